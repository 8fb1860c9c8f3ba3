"""Mass that survives of a simple stellar population: stars that still live, and what dead ones leave.

Both follow from the mass of the heaviest star alive and the initial mass function, so that a library that has only the
mass of its living stars gains the remnants, and the surviving mass of one initial mass function that of another. The
mass that living stars lose in winds is not separated from that of stars that died.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import cumulative_trapezoid

Array = NDArray[np.float64]

_N = 20_001
_NEUTRON_STAR, _BLACK_HOLE = 8.5, 40.0  # Msun: from this initial mass


class InitialMasses(NamedTuple):
    """An initial mass function.

    Attributes
    ----------
    name : str
        "chabrier" (Chabrier 2003: log-normal around 0.08 Msun with 0.69 dex, a power law of slope -2.3 above 1 Msun) or
        "kroupa" (Kroupa 2001: slopes -1.3 below 0.5 Msun and -2.3 above).
    lower, upper : float
        Masses between which stars form [Msun].

    """

    name: str
    lower: float
    upper: float

    def density(self, mass: Array) -> Array:
        """Return the number of stars per mass [1/Msun], not normalised, at masses [Msun]."""
        if self.name == "kroupa":
            return np.where(mass < 0.5, (mass / 0.5) ** -1.3, (mass / 0.5) ** -2.3)
        log_normal = np.exp(-0.5 * (np.log10(np.minimum(mass, 1.0) / 0.08) / 0.69) ** 2)
        return np.asarray(log_normal * np.maximum(mass, 1.0) ** -1.3 / mass)


def remnant_mass(mass: ArrayLike) -> Array:
    """Return what a star of an initial mass leaves [Msun] (Renzini & Ciotti 1993, as in FSPS).

    0.077 m + 0.48 for white dwarfs (m < 8.5 Msun), 1.4 for neutron stars, 0.5 m for black holes (from 40 Msun), and
    never more than the star had.
    """
    mass = np.asarray(mass, np.float64)
    left = np.where(mass < _NEUTRON_STAR, 0.077 * mass + 0.48, np.where(mass < _BLACK_HOLE, 1.4, 0.5 * mass))
    return np.minimum(left, mass)


def with_remnants(living: Array, of: InitialMasses) -> Array:
    """Return the surviving mass [Msun per Msun formed] for the mass of living stars, of any shape."""
    alive, dead, _ = _cumulative(of)
    return living + np.interp(living, alive, dead)


def of_other_imf(surviving: Array, of: InitialMasses, to: InitialMasses) -> Array:
    """Return the surviving mass with another initial mass function, where the same stars are alive."""
    alive, dead, mass = _cumulative(of)
    heaviest = np.interp(surviving, alive + dead, mass)
    alive, dead, mass = _cumulative(to)
    return np.interp(heaviest, mass, alive + dead)


def _cumulative(of: InitialMasses) -> tuple[Array, Array, Array]:
    """Return living and dead mass per mass formed if stars up to a mass are alive, and these masses, shape (_N, )."""
    mass = np.geomspace(of.lower, of.upper, _N)
    density = of.density(mass)
    alive = cumulative_trapezoid(density * mass, mass, initial=0.0)
    left = cumulative_trapezoid(density * remnant_mass(mass), mass, initial=0.0)
    return alive / alive[-1], (left[-1] - left) / alive[-1], mass
