"""Surviving mass of a simple stellar population: living stars, and the remnants of dead ones.

Both follow from the mass of the heaviest star alive and the initial mass function, so that remnants can
be added for a library with only the mass of living stars, and surviving masses converted between functions. The mass
that living stars lose in winds is not separated from that of stars that died.
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
    """Return the remnant mass of stars of initial masses [Msun] (Renzini & Ciotti 1993, as in FSPS).

    0.077 m + 0.48 for white dwarfs (m < 8.5 Msun), 1.4 for neutron stars, 0.5 m for black holes (from 40 Msun), and
    never more than the initial mass.
    """
    mass = np.asarray(mass, np.float64)
    remnant = np.where(mass < _NEUTRON_STAR, 0.077 * mass + 0.48, np.where(mass < _BLACK_HOLE, 1.4, 0.5 * mass))
    return np.minimum(remnant, mass)


def with_remnants(living: Array, imf: InitialMasses) -> Array:
    """Return the surviving mass [Msun per Msun formed] for the mass of living stars, of any shape."""
    alive, dead, _ = _cumulative(imf)
    return living + np.interp(living, alive, dead)


def change_imf(surviving: Array, imf: InitialMasses, other_imf: InitialMasses) -> Array:
    """Return the surviving mass with another initial mass function, where the same stars are alive."""
    alive, dead, mass = _cumulative(imf)
    heaviest = np.interp(surviving, alive + dead, mass)
    alive, dead, mass = _cumulative(other_imf)
    return np.interp(heaviest, mass, alive + dead)


def _cumulative(imf: InitialMasses) -> tuple[Array, Array, Array]:
    """Return living and dead mass per mass formed if stars up to a mass are alive, and these masses, shape (_N, )."""
    mass = np.geomspace(imf.lower, imf.upper, _N)
    density = imf.density(mass)
    alive = cumulative_trapezoid(density * mass, mass, initial=0.0)
    dead = cumulative_trapezoid(density * remnant_mass(mass), mass, initial=0.0)
    return alive / alive[-1], (dead[-1] - dead) / alive[-1], mass
