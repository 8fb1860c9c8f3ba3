"""Cosmic variance: how much the number of galaxies in a survey scatters, beyond Poisson noise, from place to place."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.cosmology import Cosmology, comoving_distance

Array = NDArray[np.float64]

MOSTER_FIELDS = {
    "UDF": (0.251, 0.364, 0.358),
    "GOODS": (0.261, 0.854, 0.684),
    "GEMS": (0.161, 0.520, 0.729),
    "EGS": (0.128, 0.383, 0.673),
    "COSMOS": (0.069, 0.234, 0.834),
}
"""sigma_a, sigma_b and beta of the variance of dark matter in a field (Moster et al. 2011, table 3)."""

_MOSTER_MASSES = (8.5, 9.0, 9.5, 10.0, 10.5, 11.0)
_MOSTER_BIAS = (
    (0.062, 2.59, 1.025),
    (0.074, 2.58, 1.039),
    (0.042, 3.17, 1.147),
    (0.053, 3.07, 1.225),
    (0.069, 3.19, 1.269),
    (0.173, 2.89, 1.438),
)
"""b0, b1 and b2 of the bias of galaxies in bins of 0.5 dex from these masses on (Moster et al. 2011, table 4)."""


def moster2011(field: str, log_mstar: ArrayLike, redshift: ArrayLike, thickness: ArrayLike) -> Array:
    """Return the relative cosmic variance of galaxies of some mass in a field (Moster et al. 2011, eqs 10, 12 and 13).

    Parameters
    ----------
    field : str
        One of `MOSTER_FIELDS`.
    log_mstar : array_like
        log10 of the stellar mass [Msun]; below 8.5 and above 11.5 it is that of the outermost bins.
    redshift, thickness : array_like
        Mean redshift, to 4, and width in redshift of what is counted.

    Returns
    -------
    ndarray
        Standard deviation of the number over its mean.

    """
    z = np.asarray(redshift, float)
    sigma_a, sigma_b, beta = MOSTER_FIELDS[field]
    matter = sigma_a / (z**beta + sigma_b)
    in_bin = np.clip(np.searchsorted(_MOSTER_MASSES, log_mstar, side="right") - 1, 0, len(_MOSTER_BIAS) - 1)
    b0, b1, b2 = np.moveaxis(np.array(_MOSTER_BIAS)[in_bin], -1, 0)
    return np.asarray((b0 * (1.0 + z) ** b1 + b2) * matter * np.sqrt(0.2 / np.asarray(thickness, float)))


def driver_robotham2010(side: ArrayLike, other_side: ArrayLike, depth: ArrayLike, fields: int = 1) -> Array:
    """Return the relative cosmic variance of galaxies near M* in a box (Driver & Robotham 2010, eq. 4).

    It was measured at low redshift, for volumes of 10^3 to 10^7 Mpc^3, with Om0 = 0.3.

    Parameters
    ----------
    side, other_side : array_like
        Transverse lengths at the middle redshift [Mpc / h70, comoving], the first not the shorter one.
    depth : array_like
        Radial length [Mpc / h70, comoving].
    fields : int
        Independent sight lines with such a box each.

    Returns
    -------
    ndarray
        Standard deviation of the number over its mean.

    """
    a, b = np.asarray(side, float), np.asarray(other_side, float)
    log_volume = np.log10(a * b * 291.0)
    square = 219.7 - 52.4 * log_volume + 3.21 * log_volume**2
    aspect = 1.0 - 0.03 * np.sqrt(a / b - 1.0)
    return np.asarray(0.01 * aspect * square / np.sqrt(fields * np.asarray(depth, float) / 291.0))


def of_field(cosmo: Cosmology, area: float, low: ArrayLike, high: ArrayLike, fields: int = 1) -> Array:
    """Return the relative cosmic variance in square fields between two redshifts (`driver_robotham2010`).

    Parameters
    ----------
    cosmo : Cosmology
        Cosmology of the distances.
    area : float
        Area of one field [deg^2].
    low, high : array_like
        Limits of redshift.
    fields : int
        Number of fields, far from each other.

    """
    to_h70 = cosmo.H0 / 70.0
    near, far = comoving_distance(cosmo, low) * to_h70, comoving_distance(cosmo, high) * to_h70
    middle = comoving_distance(cosmo, 0.5 * np.add(low, high)) * to_h70
    side = np.radians(np.sqrt(area)) * middle
    return driver_robotham2010(side, side, far - near, fields)
