"""AB magnitudes of spectra in filters."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from mocksed.errors import UserError
from mocksed.filters import Filter, load, top_hat, unreachable
from mocksed.sps.table import LSUN, PARSEC

__all__ = ["Filter", "load", "top_hat"]

Array = NDArray[np.float64]

AB_ZERO = 48.60
"""m_AB = -2.5 log10(f_nu / (erg/s/cm^2/Hz)) - 48.60."""

_PER_LSUN_AT_10PC = LSUN / (4.0 * np.pi * (10.0 * PARSEC) ** 2)
_STEPS = 4096  # in which a filter is tabulated
_ROUNDING = 1e-12  # a sum so much smaller than its terms is nothing


class Bands(NamedTuple):
    """Filters as the kernels want them; a named tuple, since numba can take one.

    The mean f_nu in a filter is integral(L T dx) / integral(T dx) with x = ln(wavelength). Integrated by parts twice, a
    spectrum that is linear in x between its nodes needs only the integral of the fraction of the filter that lies
    blueward of x, tabulated here: its increase between two nodes over their distance is the mean fraction there.

    Attributes
    ----------
    start, step : ndarrays of shape (n_filter, )
        First node of each table and the distance of its nodes, in ln(wavelength [A]).
    blueward : ndarray of shape (n_filter, n_node)
        The integral from the start of the filter to each node.

    """

    start: Array
    step: Array
    blueward: Array


@lru_cache(maxsize=16)
def prepare(filters: tuple[Filter, ...]) -> Bands:
    """Return filters as the kernels want them; every integral is exact for transmissions linear in wavelength."""
    start, step, blueward = np.empty(len(filters)), np.empty(len(filters)), np.empty((len(filters), _STEPS + 1))
    for i, band in enumerate(filters):
        x = np.log(band.wavelength)
        start[i], step[i] = x[0], (x[-1] - x[0]) / _STEPS
        blueward[i] = _blueward(band, x, np.linspace(x[0], x[-1], _STEPS + 1))
    return Bands(start, step, blueward)


def _blueward(band: Filter, x: Array, at: Array) -> Array:
    """Return the integral over ln(wavelength), up to ``at``, of the fraction of the filter that lies blueward."""
    per_x = band.wavelength[:-1] * np.diff(band.transmission) / np.diff(band.wavelength)

    def integrals(i: NDArray[np.intp], u: Array) -> tuple[Array, Array]:
        """Return the integrals once and twice of the transmission from point i over a distance u in x."""
        exponential = np.expm1(u) - u
        once = band.transmission[i] * u + per_x[i] * exponential
        twice = 0.5 * band.transmission[i] * u**2 + per_x[i] * (exponential - 0.5 * u**2)
        return once, twice

    width = np.diff(x)
    once, twice = integrals(np.arange(len(width)), width)
    once = np.concatenate([[0.0], np.cumsum(once)])
    twice = np.concatenate([[0.0], np.cumsum(twice + once[:-1] * width)])
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(width) - 1)
    u = at - x[i]
    return (twice[i] + once[i] * u + integrals(i, u)[1]) / once[-1]


class Nodes(NamedTuple):
    """Wavelengths of spectra as the kernels want them; a named tuple, since numba can take one.

    Attributes
    ----------
    x : ndarray of shape (n_wave, )
        ln(wavelength [A]).
    per_distance : ndarray of shape (n_wave - 1, )
        Inverse of the distance to the next node.
    below : ndarray of shape (n_cell, )
        Last node at or below the start of each of the equal cells into which x is cut: no search is needed.
    cells_per_x : float
        Inverse of the width of the cells.

    """

    x: Array
    per_distance: Array
    below: NDArray[np.intp]
    cells_per_x: float


def _nodes(wavelength: Array) -> Nodes:
    x = np.log(wavelength)
    cells = np.linspace(x[0], x[-1], 4 * len(x), endpoint=False)
    below = np.searchsorted(x, cells, side="right") - 1
    return Nodes(x, 1.0 / np.diff(x), below, 1.0 / (cells[1] - cells[0]))


def band_weights(wavelength: Array, band: Filter) -> Array:
    """Return w, shape (n_wave, ), such that the mean f_nu in the band is sum(w L_nu) for L_nu on ``wavelength`` [A].

    Raises
    ------
    UserError
        If the filter reaches beyond the wavelengths.

    """
    check_reach([band], wavelength)
    nodes, integral, weights = _nodes(wavelength), np.empty(len(wavelength)), np.zeros(len(wavelength))
    first, last = _integrals(nodes, 0.0, prepare((band,)), 0, integral)
    blueward = np.diff(integral[first : last + 1]) * nodes.per_distance[first:last]
    weights[first : last + 1] = np.diff(blueward, prepend=0.0, append=1.0)
    return weights


def mean_fluxes(
    wavelength: Array,
    spectra: NDArray[np.floating],
    filters: Sequence[Filter],
    redshift: Array | None = None,
    transmission: NDArray[np.float32] | None = None,
) -> Array:
    """Return the mean L_nu that filters see of spectra, linear in ln(wavelength) between their nodes.

    Parameters
    ----------
    wavelength : ndarray of shape (n_wave, )
        Rest frame [A].
    spectra : ndarray of shape (n, n_wave)
        Rest-frame L_nu.
    filters : sequence of Filter
        In the observed frame.
    redshift : ndarray of shape (n, ), optional
        Redshifts; without them the filters are in the rest frame.
    transmission : ndarray of shape (n, n_blue), optional
        Of the intergalactic medium on the first wavelengths; 1 beyond them, and everywhere without it.

    Returns
    -------
    ndarray of shape (n, n_filter)
        In the unit of ``spectra``; 0 where there is nothing but rounding.

    Raises
    ------
    UserError
        If a filter reaches beyond the wavelengths at any of the redshifts.

    """
    redshift = np.zeros(len(spectra)) if redshift is None else np.asarray(redshift, np.float64)
    transmission = np.empty((len(spectra), 0), np.float32) if transmission is None else transmission
    check_reach(filters, wavelength, redshift)
    out = np.empty((len(spectra), len(filters)))
    if out.size:
        _mean_fluxes(_nodes(wavelength), spectra, np.log1p(redshift), transmission, prepare(tuple(filters)), out)
    return out


def check_reach(filters: Sequence[Filter], wavelength: Array, redshift: Array | None = None) -> None:
    """Check that spectra cover filters.

    Parameters
    ----------
    filters : sequence of Filter
        In the observed frame.
    wavelength : ndarray of shape (n_wave, )
        Of the spectra, rest frame [A].
    redshift : ndarray of shape (n, ), optional
        Redshifts of the galaxies; without them the filters are in the rest frame.

    Raises
    ------
    UserError
        If a filter reaches beyond the wavelengths at any of the redshifts.

    """
    redshift = np.zeros(1) if redshift is None else redshift
    if len(redshift) == 0:
        return
    for band in filters:
        if problem := unreachable(band, wavelength, (redshift.min(), redshift.max())):
            raise UserError(f"{problem}.")


@numba.njit(inline="always")
def _below(nodes, value):  # type: ignore[no-untyped-def]
    """Return the last node at or below ``value``, the first one if there is none."""
    i = nodes.below[min(max(int((value - nodes.x[0]) * nodes.cells_per_x), 0), len(nodes.below) - 1)]
    while i + 1 < len(nodes.x) and nodes.x[i + 1] <= value:
        i += 1
    return i


@numba.njit(cache=True, fastmath={"contract"})
def _integrals(nodes, shift, bands, f, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with the integral of `Bands` for filter ``f`` at the nodes of a spectrum shifted by ``shift`` in x.

    Only the nodes around the filter are filled. Returns the first and the last of them: the integral is zero up to the
    first, and grows as x after the last.
    """
    start, blueward = bands.start[f] - shift, bands.blueward[f]
    steps = len(blueward) - 1
    per_step, end = 1.0 / bands.step[f], start + steps * bands.step[f]
    first, last = _below(nodes, start), min(_below(nodes, end) + 1, len(nodes.x) - 1)
    out[first] = 0.0
    x, inside = nodes.x[first + 1 : last], out[first + 1 : last]
    for i in range(len(x)):
        position = (x[i] - start) * per_step
        k = np.uint64(min(np.int64(position), np.int64(steps - 1)))  # unsigned: never counts from the end
        inside[i] = blueward[k] + (position - np.float64(k)) * (blueward[k + np.uint64(1)] - blueward[k])
    out[last] = blueward[steps] + (nodes.x[last] - end)
    return first, last


@numba.njit(cache=True, parallel=True, fastmath={"contract"})
def _mean_fluxes(nodes, spectra, shift, transmission, bands, out) -> None:  # type: ignore[no-untyped-def]
    n_wave, n_blue = spectra.shape[1], transmission.shape[1]
    for g in numba.prange(len(shift)):
        seen, fall, integral = np.empty(n_wave), np.empty(n_wave - 1), np.empty(n_wave)
        for i in range(n_blue):
            seen[i] = np.float64(spectra[g, i]) * transmission[g, i]
        for i in range(n_blue, n_wave):
            seen[i] = spectra[g, i]
        for i in range(n_wave - 1):
            fall[i] = (seen[i] - seen[i + 1]) * nodes.per_distance[i]
        for f in range(len(bands.start)):
            first, last = _integrals(nodes, shift[g], bands, f, integral)
            blueward, falls = integral[first : last + 1], fall[first:last]
            total = size = seen[last]
            for i in range(len(falls)):
                term = (blueward[i + 1] - blueward[i]) * falls[i]
                total += term
                size += abs(term)
            out[g, f] = total if total > _ROUNDING * size else 0.0


def absolute_magnitude(l_nu: NDArray) -> Array:
    """Return the AB magnitude at 10 pc of a mean L_nu [Lsun/Hz]; NaN (null in files) where it is not positive."""
    l_nu = np.asarray(l_nu, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(l_nu > 0.0, -2.5 * np.log10(l_nu * _PER_LSUN_AT_10PC) - AB_ZERO, np.nan)


def apparent_magnitude(l_nu: NDArray, redshift: Array, distance_modulus: Array) -> Array:
    """Return apparent AB magnitudes; NaN (null in files) where nothing is received, and without a distance (z = 0).

    Parameters
    ----------
    l_nu : ndarray of shape (n, n_filter)
        Mean rest-frame L_nu seen by the redshifted filter [Lsun/Hz].
    redshift, distance_modulus : ndarrays of shape (n, )
        Redshift and distance modulus at the luminosity distance [mag].

    """
    offset = np.where(redshift > 0.0, distance_modulus - 2.5 * np.log10(1.0 + redshift), np.nan)
    return absolute_magnitude(l_nu) + offset[:, None]
