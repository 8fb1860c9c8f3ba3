"""The noise of fluxes: the error model of Ivezic et al. (2019), for point sources and for apertures, as in photerr.

photerr's equations (Crenshaw et al. 2024) are for noise over signal; here they are for fluxes, which may be 0 or, with
noise, negative. The tests compare the two.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from mocksed.rng import Stage, uniforms
from mocksed.survey.bands import Band

Array = NDArray[np.float64]

LIMIT_SIGMA = 5.0
"""Signal-to-noise ratio of the limits."""

_FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
_HALF_LIGHT_PER_SIGMA = 0.6745  # as in photerr: half of a Gaussian is within this, taken for the half-light radius


class Measured(NamedTuple):
    """What a survey measures in a filter, in the unit of the true fluxes; arrays of shape (n, )."""

    flux: Array
    error: Array


def flux_error(flux: ArrayLike, flux_at_depth: float, band: Band, *, area: ArrayLike = 1.0, sigma_sys: float) -> Array:
    """Return the standard deviation of measured fluxes (Ivezic et al. 2019, eqs 4 and 5, times the flux squared).

    Parameters
    ----------
    flux : array_like
        True fluxes, or measured ones, from which the error can be estimated as well; the sign does not matter.
    flux_at_depth : float
        Flux of a point source at the depth of a visit, in the same unit.
    band : Band
        The filter.
    area : array_like
        Area of the aperture over that of the PSF.
    sigma_sys : float
        Error of the calibration [mag], which all fluxes share in proportion.

    Returns
    -------
    ndarray
        In the unit of ``flux``.

    """
    modulus = np.abs(flux)
    random = (0.04 - band.gamma) * flux_at_depth * modulus + band.gamma * flux_at_depth**2
    return np.sqrt(random * np.asarray(area, np.float64) / band.visits + (_systematic(sigma_sys) * modulus) ** 2)


def limit(flux_at_depth: float, band: Band, *, area: ArrayLike = 1.0, sigma_sys: float) -> Array:
    """Return the flux that is `LIMIT_SIGMA` times its error; parameters as in `flux_error`."""
    random = (LIMIT_SIGMA**-2 - _systematic(sigma_sys) ** 2) * band.visits / np.asarray(area, np.float64)
    half = 0.04 - band.gamma  # of the quadratic equation for the flux at the depth over the limit
    return np.asarray(flux_at_depth * 2.0 * band.gamma / (np.sqrt(half**2 + 4.0 * band.gamma * random) - half))


def _systematic(sigma_sys: float) -> float:
    """Return an error in magnitudes as a fraction of the flux."""
    return float(10.0 ** (0.4 * sigma_sys) - 1.0)


def area_of_auto(major: ArrayLike, minor: ArrayLike, fwhm: float) -> Array:
    """Return the area of an aperture of 2.5 half-light radii over that of the PSF (van den Busch et al. 2020).

    Parameters
    ----------
    major, minor : array_like
        Half-light radii along the axes [arcsec].
    fwhm : float
        Width of the PSF [arcsec].

    """
    psf = fwhm / _FWHM_PER_SIGMA
    a, b = (np.hypot(psf, 2.5 * np.asarray(radius, np.float64)) for radius in (major, minor))
    return np.asarray(a * b / psf**2)


def area_of_gaap(major: ArrayLike, minor: ArrayLike, fwhm: float, diameters: tuple[float, float]) -> Array:
    """Return the area of a GAaP aperture over that of the PSF (Kuijken et al. 2019).

    Parameters
    ----------
    major, minor, fwhm
        As in `area_of_auto`.
    diameters : pair of float
        Diameters of the smallest and of the largest aperture [arcsec].

    """
    psf, low, high = (width / _FWHM_PER_SIGMA for width in (fwhm, *diameters))
    a, b = (
        np.minimum(np.sqrt(psf**2 + low**2 + (np.asarray(radius, np.float64) / _HALF_LIGHT_PER_SIGMA) ** 2), high)
        for radius in (major, minor)
    )
    return np.asarray(a * b / psf**2)


def deviates(seed: int, galaxy_id: NDArray[np.int64], filter_name: str, realisation: ArrayLike = 0) -> Array:
    """Return normal deviates of mean 0 and standard deviation 1, one for each galaxy, of a filter by its name.

    Parameters
    ----------
    seed : int
        The seed of the run.
    galaxy_id : ndarray of shape (n, )
        The galaxies.
    filter_name : str
        Each filter has its own stream, whichever other filters a run has.
    realisation : int or ndarray of shape (n, )
        Each realisation has its own streams.

    Returns
    -------
    ndarray of shape (n, )

    """
    # Python's own hash differs from run to run
    key = int.from_bytes(hashlib.sha256(filter_name.encode()).digest()[:7])
    return np.asarray(ndtri(uniforms(seed, Stage.SURVEY, galaxy_id, 1, first=4 * key, realisation=realisation)[:, 0]))


def measure(
    flux: Array, deviate: Array, flux_at_depth: float, band: Band, *, area: ArrayLike = 1.0, sigma_sys: float,
    decorrelate: bool = True,
) -> Measured:  # fmt: skip
    """Return fluxes as they are measured, and their errors.

    Parameters
    ----------
    flux : ndarray of shape (n, )
        True fluxes.
    deviate : ndarray of shape (n, )
        Normal deviates (`deviates`).
    flux_at_depth, band, area, sigma_sys
        As in `flux_error`.
    decorrelate : bool
        Whether errors are estimated from the measured fluxes, as an observer does; errors from the true fluxes would
        give these away.

    """
    error = flux_error(flux, flux_at_depth, band, area=area, sigma_sys=sigma_sys)
    measured = flux + error * deviate
    if decorrelate:
        error = flux_error(measured, flux_at_depth, band, area=area, sigma_sys=sigma_sys)
    return Measured(measured, error)
