"""Attenuation curves of the diffuse dust, k(lambda) / k(5500 A) as FSPS codes them: the one place that lists them.

The names in the config (``sps.dust_type``) are those of `CURVES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

V_BAND = 5500.0
"""Wavelength [A] of the optical depths of galaxies."""

# Wavelength [um] and A(lambda) / A(V) of the SMC bar (Gordon et al. 2003, table 4), from the red
_SMC = np.array([
    (2.198, 0.016), (1.650, 0.169), (1.250, 0.131), (0.810, 0.567), (0.650, 0.801), (0.550, 1.000), (0.440, 1.374),
    (0.370, 1.672), (0.296, 2.000), (0.276, 2.220), (0.258, 2.428), (0.242, 2.661), (0.229, 2.947), (0.216, 3.161),
    (0.205, 3.293), (0.195, 3.489), (0.186, 3.637), (0.178, 3.866), (0.170, 4.013), (0.163, 4.243), (0.157, 4.472),
    (0.151, 4.776), (0.145, 5.000), (0.140, 5.272), (0.136, 5.575), (0.131, 5.795), (0.127, 6.074), (0.123, 6.297),
    (0.119, 6.436), (0.116, 6.992),
])  # fmt: skip


def power_law(wavelength: ArrayLike, dust_index: float) -> Array:
    """Return (lambda / 5500 A)^dust_index, FSPS's ``dust_type=0`` (Charlot & Fall 2000 with -0.7).

    Parameters
    ----------
    wavelength : array_like
        Rest frame [A].
    dust_index : float
        Slope.

    Returns
    -------
    ndarray, shape of ``wavelength``
        Optical depth relative to that at 5500 A.

    """
    return np.asarray((np.asarray(wavelength, np.float64) / V_BAND) ** dust_index)


def cardelli(wavelength: ArrayLike, mwr: float, uvb: float) -> Array:
    """Return the curve of the Milky Way (Cardelli, Clayton & Mathis 1989, eqs 1-5), FSPS's ``dust_type=1``.

    FSPS scales the 2175 A bump and, to keep the curve continuous, adds to the near ultraviolet the step at its red
    end, falling as the sixth power of the wavelength: to this extent the curve depends on the grid.

    Parameters
    ----------
    wavelength : array_like of shape (n_wave, )
        Rest frame [A].
    mwr : float
        R_V, the ratio of total to selective absorption.
    uvb : float
        Strength of the bump, 1 for that of the paper.

    Returns
    -------
    ndarray of shape (n_wave, )
        A(lambda) / A(V); constant below 833 A, zero beyond 10 um.

    """
    x = 1e4 / np.asarray(wavelength, np.float64)

    def ultraviolet(x: Array) -> Array:
        a = 1.752 - 0.316 * x - 0.104 / ((x - 4.67) ** 2 + 0.341) * uvb
        b = -3.09 + 1.825 * x + 1.206 / ((x - 4.62) ** 2 + 0.263) * uvb
        return a + b / mwr

    def far_curvature(x: Array) -> Array:
        a = -0.04473 * (x - 5.9) ** 2 - 0.009779 * (x - 5.9) ** 3
        b = 0.2130 * (x - 5.9) ** 2 + 0.1207 * (x - 5.9) ** 3
        return a + b / mwr

    def optical(x: Array) -> Array:
        y = x - 1.82
        a = np.polyval([0.32999, -0.77530, 0.01979, 0.72085, -0.02427, -0.50447, 0.17699, 1.0], y)
        b = np.polyval([-2.09002, 5.3026, -0.62251, -5.38434, 1.07233, 2.28305, 1.41338, 0.0], y)
        return np.asarray(a + b / mwr)

    def far_ultraviolet(x: Array) -> Array:
        y = x - 8.0
        a = np.polyval([-0.070, 0.137, -0.628, -1.073], y)
        b = np.polyval([0.374, -0.42, 4.257, 13.67], y)
        return np.asarray(a + b / mwr)

    beyond = x[x >= 3.3]
    joint = np.array([beyond.min() if 0 < beyond.size < x.size else 3.3])
    missing = (joint / x) ** 6 * (optical(joint) - ultraviolet(joint))
    return np.select(
        [x > 12.0, x >= 8.0, x >= 5.9, x >= 3.3, x >= 1.1, x >= 0.1],
        [
            far_ultraviolet(np.full_like(x, 12.0)),
            far_ultraviolet(x),
            ultraviolet(x) + far_curvature(x),
            ultraviolet(x) + missing,
            optical(x),
            (0.574 - 0.527 / mwr) * x**1.61,
        ],
        0.0,
    )


def calzetti(wavelength: ArrayLike) -> Array:
    """Return the curve of starbursts (Calzetti et al. 2000, eq 4), FSPS's ``dust_type=2``.

    Parameters
    ----------
    wavelength : array_like
        Rest frame [A].

    Returns
    -------
    ndarray, shape of ``wavelength``
        Optical depth relative to that at 5500 A (R_V = 4.05), zero beyond 3.1 um where the fit would turn negative.

    """
    wavelength = np.asarray(wavelength, np.float64)
    x = 1e4 / wavelength
    red = 1.17 * (-1.857 + 1.04 * x) + 1.78
    blue = 1.17 * (-2.156 + x * (1.509 + x * (-0.198 + x * 0.011))) + 1.78
    return np.maximum(np.where(wavelength > 6300.0, red, blue) / 0.44 / 4.05, 0.0)


def kriek_conroy(wavelength: ArrayLike, dust_index: float) -> Array:
    """Return the curve of Kriek & Conroy (2013, eqs 1-3), FSPS's ``dust_type=4``.

    Calzetti's curve with a 2175 A bump of 350 A, tilted; the shallower the curve, the weaker its bump.

    Parameters
    ----------
    wavelength : array_like
        Rest frame [A].
    dust_index : float
        Slope relative to that of Calzetti's curve.

    Returns
    -------
    ndarray, shape of ``wavelength``
        Optical depth relative to that at 5500 A (except for the bump's wing).

    """
    low, high = BUMP_STRENGTH
    bumped = calzetti(wavelength) + (low + high * dust_index) * bump(wavelength)
    return np.asarray(bumped * power_law(wavelength, dust_index))


BUMP_STRENGTH = (0.85, -1.9)
"""Strength of the bump of Kriek & Conroy (2013, eq 3): the first plus the second times the slope."""


def bump(wavelength: ArrayLike) -> Array:
    """Return the 2175 A bump of Kriek & Conroy (2013, eq 2) of strength 1, 350 A wide, relative to 5500 A (R_V 4.05).

    Parameters
    ----------
    wavelength : array_like
        Rest frame [A].

    """
    wavelength = np.asarray(wavelength, np.float64)
    width = (wavelength * 350.0) ** 2
    return np.asarray(width / ((wavelength**2 - 2175.0**2) ** 2 + width) / 4.05)


def smc(wavelength: ArrayLike) -> Array:
    """Return the extinction curve of the SMC bar (Gordon et al. 2003, table 4), FSPS's ``dust_type=5``.

    Parameters
    ----------
    wavelength : array_like
        Rest frame [A].

    Returns
    -------
    ndarray, shape of ``wavelength``
        A(lambda) / A(V), linear between the measurements; constant below 1160 A, zero beyond 2.198 um.

    """
    measured, relative = _SMC[::-1].T
    return np.interp(np.asarray(wavelength, np.float64), measured * 1e4, relative, right=0.0)


def reddy(wavelength: ArrayLike) -> Array:
    """Return the curve of galaxies at z = 2 (Reddy et al. 2015, eq 8), FSPS's ``dust_type=6``.

    FSPS shifts the red part so that it meets the blue one at 6000 A.

    Parameters
    ----------
    wavelength : array_like of shape (n_wave, )
        Rest frame [A], increasing.

    Returns
    -------
    ndarray of shape (n_wave, )
        Optical depth relative to that at 5500 A (R_V = 2.505); constant below 1500 A, zero beyond 2.85 um.

    """
    wavelength = np.asarray(wavelength, np.float64)
    # FSPS's parts begin at the last wavelength up to the limit
    shortest, joint = (wavelength[wavelength <= limit][-1:] for limit in (1500.0, 6000.0))
    x = 1e4 / np.maximum(wavelength, shortest if shortest.size else 0.0)
    blue = -5.726 + x * (4.004 + x * (-0.525 + x * 0.029)) + 2.505
    red = -2.672 + x * (-0.010 + x * (1.532 - x * 0.412)) + 2.505 - 0.036221981
    curve = np.where(wavelength < (joint if joint.size else 0.0), blue, red) / 2.505
    return np.where(wavelength > 28500.0, 0.0, curve)


class AttenuationCurve(NamedTuple):
    """An attenuation curve: how it is computed, and its number in FSPS."""

    at: Callable[..., Array]
    """Function of the wavelengths [A] and `options`."""
    fsps: int | None = None
    """FSPS's ``dust_type``; None for a curve that FSPS lacks."""
    options: tuple[str, ...] = ()
    """Further arguments of `at`: options of `mocksed.sps.model.Model`."""
    untilted: Callable[[ArrayLike], Array] | None = None
    """The curve without tilt and bump, if it has a slope: tilted, the curve is (this + bump) times `power_law`."""
    bump_strength: tuple[float, float] = (0.0, 0.0)
    """Strength of the bump (`bump`) of a tilted curve: the first plus the second times the slope."""

    @property
    def has_slope(self) -> bool:
        """Whether the curve has the option ``dust_index``."""
        return self.untilted is not None


CURVES = {
    "power_law": AttenuationCurve(power_law, 0, ("dust_index",), lambda wavelength: np.ones(np.shape(wavelength))),
    "cardelli": AttenuationCurve(cardelli, 1, ("mwr", "uvb")),
    "calzetti": AttenuationCurve(calzetti, 2),
    "kriek_conroy": AttenuationCurve(kriek_conroy, 4, ("dust_index",), calzetti, BUMP_STRENGTH),
    "smc": AttenuationCurve(smc, 5),
    "reddy": AttenuationCurve(reddy, 6),
}
"""Attenuation curves by name."""

SLOPED = tuple(name for name, known in CURVES.items() if known.has_slope)
"""Attenuation curves that have a slope, ``dust_index``."""
