"""Filters and AB magnitudes. Filter curves are those of astro-sedpy."""

from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from mocksed.errors import UserError
from mocksed.sps.table import LSUN, PARSEC

Array = NDArray[np.float64]

AB_ZERO = 48.60
"""m_AB = -2.5 log10(f_nu / (erg/s/cm^2/Hz)) - 48.60."""

_PER_LSUN_AT_10PC = LSUN / (4.0 * np.pi * (10.0 * PARSEC) ** 2)
_STEP = 1e-4  # of the cumulative tables in ln(wavelength)


@dataclass(frozen=True)
class Filter:
    """A transmission curve for photons.

    Attributes
    ----------
    name : str
        Name of the filter.
    wavelength : ndarray of shape (n, )
        [A], increasing.
    transmission : ndarray of shape (n, )
        Photons detected per photon, any normalisation.

    """

    name: str
    wavelength: Array
    transmission: Array

    def at_redshift(self, redshift: float) -> "Filter":
        """Return the rest-frame filter that sees what this one sees of a source at the redshift."""
        return replace(self, name=f"{self.name}_z{redshift:g}", wavelength=self.wavelength / (1.0 + redshift))


@cache
def available() -> tuple[str, ...]:
    """Return the names of all filters of astro-sedpy."""
    from sedpy.observate import list_available_filters  # takes a second to import

    return tuple(sorted(list_available_filters()))


@cache
def load(name: str) -> Filter:
    """Return a filter of astro-sedpy by its name.

    Raises
    ------
    UserError
        If there is none.

    """
    if name not in available():
        raise UserError(f"filter '{name}' is not known to astro-sedpy.")
    from sedpy.observate import Filter as SedpyFilter

    curve = SedpyFilter(name)
    return Filter(name, np.array(curve.wavelength, np.float64), np.array(curve.transmission, np.float64))


def top_hat(name: str, low: float, high: float) -> Filter:
    """Return a filter between two wavelengths [A] whose flux is the mean f_nu over wavelength."""
    wavelength = np.linspace(low, high, 101)
    return Filter(name, wavelength, wavelength)


class Cumulative(NamedTuple):
    """Integrals of a filter over x = ln(wavelength), tabulated in equal steps; a named tuple, since numba can take one.

    Between the nodes of a spectrum L_nu is linear in x, so the mean f_nu, integral(L T dx) / integral(T dx), is a sum
    over nodes of differences of ``c0`` = integral(T dx) and ``c1`` = integral((x - start) T dx), both normalised.
    """

    start: float
    c0: Array
    c1: Array


@cache
def cumulative(name: str) -> Cumulative:
    """Return the integrals of a filter of astro-sedpy."""
    return integrate(load(name))


def integrate(band: Filter) -> Cumulative:
    """Return the integrals of a filter."""
    inside = np.flatnonzero(band.transmission > 0.0)
    first, last = max(inside[0] - 1, 0), min(inside[-1] + 1, len(band.wavelength) - 1)
    start, end = np.log(band.wavelength[first]), np.log(band.wavelength[last])
    x = start + _STEP * np.arange(int(np.ceil((end - start) / _STEP)) + 2)
    t = np.interp(np.exp(x), band.wavelength, band.transmission, left=0.0, right=0.0)

    def total(y: Array) -> Array:
        return np.concatenate([[0.0], np.cumsum(0.5 * (y[1:] + y[:-1]) * _STEP)])

    c0, c1 = total(t), total((x - start) * t)
    return Cumulative(float(start), c0 / c0[-1], c1 / c0[-1])


def band_weights(wavelength: Array, band: Filter) -> Array:
    """Return w, shape (n_wave, ), such that the mean f_nu in the band is sum(w L_nu) for L_nu on ``wavelength`` [A]."""
    x = np.log(wavelength)
    curve = integrate(band)
    if curve.start < x[0] or curve.start + _STEP * (len(curve.c0) - 1) > x[-1]:
        raise UserError(f"filter '{band.name}' reaches beyond the wavelengths of the spectra, "
                        f"{wavelength[0]:g} to {wavelength[-1]:g} A.")  # fmt: skip
    out = np.zeros(len(x))
    _add_weights(x, 0.0, curve, out)
    return out


@numba.njit(inline="always")
def _at(curve: Array, position: float) -> float:
    """Interpolate a cumulative integral; constant beyond its ends."""
    position = min(max(position, 0.0), len(curve) - 1.0)
    i = min(int(position), len(curve) - 2)
    return curve[i] + (position - i) * (curve[i + 1] - curve[i])


@numba.njit(cache=True)
def _add_weights(x, shift, curve, out):  # type: ignore[no-untyped-def]
    """Add to ``out`` the weights of the nodes of a spectrum at ln(wavelength) x + shift; return those touched."""
    end = curve.start + _STEP * (len(curve.c0) - 1)
    first = max(np.searchsorted(x, curve.start - shift, side="right") - 1, 0)
    last = min(np.searchsorted(x, end - shift, side="left"), len(x) - 1)
    for i in range(first, last):
        low, high = x[i] + shift - curve.start, x[i + 1] + shift - curve.start
        zeroth = _at(curve.c0, high / _STEP) - _at(curve.c0, low / _STEP)
        first_moment = _at(curve.c1, high / _STEP) - _at(curve.c1, low / _STEP)
        to_right = (first_moment - low * zeroth) / (high - low)
        out[i] += zeroth - to_right
        out[i + 1] += to_right
    return first, last


@numba.njit(cache=True, parallel=True)
def _redshifted_fluxes(  # type: ignore[no-untyped-def]
    log_wavelength, spectra, redshift, transmission, starts, offsets, c0, c1, out
) -> None:
    n_blue = transmission.shape[1]
    for g in numba.prange(len(redshift)):
        shift = np.log1p(redshift[g])
        weights = np.zeros(len(log_wavelength))
        for f in range(len(starts)):
            curve = Cumulative(starts[f], c0[offsets[f] : offsets[f + 1]], c1[offsets[f] : offsets[f + 1]])
            first, last = _add_weights(log_wavelength, shift, curve, weights)
            total = 0.0
            for i in range(first, last + 1):
                seen = transmission[g, i] if i < n_blue else 1.0
                total += weights[i] * spectra[g, i] * seen
                weights[i] = 0.0
            out[g, f] = total


def redshifted_fluxes(
    wavelength: Array,
    spectra: NDArray[np.float32],
    redshift: Array,
    transmission: NDArray[np.float32],
    filters: tuple[str, ...],
) -> Array:
    """Return the mean rest-frame L_nu that observed-frame filters see of redshifted spectra.

    Parameters
    ----------
    wavelength : ndarray of shape (n_wave, )
        Rest frame [A].
    spectra : ndarray of shape (n, n_wave)
        Rest-frame L_nu.
    redshift : ndarray of shape (n, )
        Redshifts.
    transmission : ndarray of shape (n, n_blue)
        Of the intergalactic medium on the first wavelengths; 1 beyond them.
    filters : tuple of str
        Names of astro-sedpy filters.

    Returns
    -------
    ndarray of shape (n, n_filter)
        In the unit of ``spectra``.

    """
    out = np.empty((len(spectra), len(filters)))
    if filters:
        # one array for all filters: a list of them would be compiled anew in every process
        curves = [cumulative(name) for name in filters]
        starts = np.array([curve.start for curve in curves])
        offsets = np.cumsum([0, *(len(curve.c0) for curve in curves)])
        c0, c1 = (np.concatenate([getattr(curve, name) for curve in curves]) for name in ("c0", "c1"))
        _redshifted_fluxes(np.log(wavelength), spectra, redshift, transmission, starts, offsets, c0, c1, out)
    return out


def absolute_magnitude(l_nu: NDArray) -> Array:
    """Return the AB magnitude at 10 pc of a mean L_nu [Lsun/Hz]; inf where it is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = -2.5 * np.log10(np.asarray(l_nu, np.float64) * _PER_LSUN_AT_10PC) - AB_ZERO
    return np.where(np.asarray(l_nu) > 0.0, magnitude, np.inf)


def apparent_magnitude(l_nu: NDArray, redshift: Array, distance_modulus: Array) -> Array:
    """Return apparent AB magnitudes; NaN (null in files) where nothing is received.

    Parameters
    ----------
    l_nu : ndarray of shape (n, n_filter)
        Mean rest-frame L_nu seen by the redshifted filter [Lsun/Hz].
    redshift, distance_modulus : ndarrays of shape (n, )
        Redshift and distance modulus at the luminosity distance [mag].

    """
    offset = distance_modulus - 2.5 * np.log10(1.0 + redshift)
    magnitude = absolute_magnitude(l_nu) + offset[:, None]
    return np.where(np.isfinite(magnitude), magnitude, np.nan)
