"""AB magnitudes of spectra in filters."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.compiled import njit, prange
from mocksed.errors import UserError
from mocksed.sps.filters import Filter, unreachable
from mocksed.sps.igm import LYMAN_ALPHA
from mocksed.sps.table import LSUN, PARSEC

Array = NDArray[np.float64]

AB_ZERO = 48.60
"""m_AB = -2.5 log10(f_nu / (erg/s/cm^2/Hz)) - 48.60."""

FAINTEST = 75.0
"""Apparent magnitude beyond which there is no detectable flux: no photon in any telescope within the age of the
universe."""

PER_LSUN_AT_10PC = LSUN / (4.0 * np.pi * (10.0 * PARSEC) ** 2)
"""Flux of one solar luminosity of FSPS at 10 pc [erg/s/cm^2]."""

_STEPS = 4096  # in which a filter is tabulated
_LYMAN_ALPHA = np.log(LYMAN_ALPHA)
_ROUNDING = 1e-12  # a sum so much smaller than its terms is nothing


class Bands(NamedTuple):
    """Filters as the kernels want them; a named tuple, since numba can take one.

    The mean f_nu in a filter is integral(L T dx) / integral(T dx) with x = ln(wavelength). Integrated by parts twice, a
    spectrum L that is linear in x between its nodes needs only the integral of the fraction of the filter that lies
    redward of x: what it falls by from one node to the next, over their distance, is the mean fraction R there, and the
    flux is that of the first node plus the sum of R times the rise of L. Counted from the red end, as most light comes
    from there, nothing cancels where a filter sees little but the end of a break.

    Attributes
    ----------
    start, step : ndarrays of shape (n_filter, )
        First node of each table and the distance of its nodes, in ln(wavelength [A]).
    redward : ndarray of shape (n_filter, n_node, 2)
        The fraction that lies redward of each node and its integral from there to the end of the filter.

    """

    start: Array
    step: Array
    redward: Array


@lru_cache(maxsize=16)
def prepare(filters: tuple[Filter, ...], steps: int = _STEPS) -> Bands:
    """Return filters as the kernels want them; at the nodes all is exact for transmissions linear in wavelength."""
    start, step, redward = np.empty(len(filters)), np.empty(len(filters)), np.empty((len(filters), steps + 1, 2))
    for i, band in enumerate(filters):
        x = np.log(band.wavelength)
        start[i], step[i] = x[0], (x[-1] - x[0]) / steps
        redward[i] = _redward(band, x, np.linspace(x[0], x[-1], steps + 1))
    return Bands(start, step, redward)


def _redward(band: Filter, x: Array, at: Array) -> Array:
    """Return the fraction of the filter redward of ``at``, and its integral from there, over x = ln(wavelength)."""
    per_x = band.wavelength[1:] * np.diff(band.transmission) / np.diff(band.wavelength)

    def integrals(i: NDArray[np.intp], v: Array) -> tuple[Array, Array]:
        """Return the integrals, once and twice, of the transmission over a distance v in x blueward of point i + 1."""
        t, exponential = band.transmission[i + 1], np.expm1(-v) + v
        return t * v - per_x[i] * exponential, 0.5 * t * v**2 - per_x[i] * (0.5 * v**2 - exponential)

    def from_the_end(pieces: Array) -> Array:
        return np.append(np.cumsum(pieces[::-1])[::-1], 0.0)

    width = np.diff(x)
    once, twice = integrals(np.arange(len(width)), width)
    once = from_the_end(once)
    twice = from_the_end(twice + once[1:] * width)
    i = np.clip(np.searchsorted(x, at) - 1, 0, len(width) - 1)
    v = x[i + 1] - at
    more, twice_more = integrals(i, v)
    return np.stack([once[i + 1] + more, twice[i + 1] + once[i + 1] * v + twice_more], axis=-1) / once[0]


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
    redward = -np.diff(integral[first : last + 1]) * nodes.per_distance[first:last]
    weights[first : last + 1] = -np.diff(redward, prepend=1.0, append=0.0)
    return weights


def mean_fluxes(
    wavelength: Array,
    spectra: NDArray[np.floating],
    filters: Sequence[Filter],
    redshift: Array | None = None,
    transmission: NDArray[np.float32] | None = None,
    steps: int = _STEPS,
) -> Array:
    """Return the mean L_nu that filters see of spectra, linear in ln(wavelength) between their nodes.

    Absorbed by the intergalactic medium they are so, too, except for a step at Lyman alpha, between two nodes.

    Parameters
    ----------
    wavelength : ndarray of shape (n_wave, )
        Rest frame [A].
    spectra : ndarray of shape (n, n_wave)
        Rest-frame L_nu; what the filters do not see (`windows`) may be NaN.
    filters : sequence of Filter
        In the observed frame.
    redshift : ndarray of shape (n, ), optional
        Redshifts; without them the filters are in the rest frame.
    transmission : ndarray of shape (n, n_blue + 1), optional
        Of the intergalactic medium, as `mocksed.sps.igm.transmission` returns it: on the ``n_blue`` wavelengths below
        Lyman alpha and just blueward of that. It is 1 redward, and everywhere without it or its columns.
    steps : int
        In which each filter is tabulated.

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
        _mean_fluxes(_nodes(wavelength), spectra, np.log1p(redshift), transmission, prepare(tuple(filters), steps), out)
    return out


def windows(
    wavelength: Array,
    filters: Sequence[Filter],
    redshift: Array,
    rest_frame: Sequence[Filter] = (),
    steps: int = _STEPS,
) -> NDArray[np.int64]:
    """Return which wavelengths of spectra `mean_fluxes` reads: the first one and the one past the last, shape (n, 2).

    Parameters
    ----------
    wavelength : ndarray of shape (n_wave, )
        Rest frame [A].
    filters, rest_frame : sequences of Filter
        In the observed and in the rest frame, not both empty.
    redshift : ndarray of shape (n, )
        Of the galaxies.
    steps : int
        As for `mean_fluxes`.

    """
    out, nodes = np.empty((len(redshift), 2), np.int64), _nodes(wavelength)
    out[:] = len(wavelength), 0
    for bands, shift in ((filters, np.log1p(redshift)), (rest_frame, np.zeros(len(redshift)))):
        if bands:
            _windows(nodes, shift, prepare(tuple(bands), steps), out)
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


@njit(inline="always")
def _below(nodes, value):  # type: ignore[no-untyped-def]
    """Return the last node at or below ``value``, the first one if there is none."""
    i = nodes.below[min(max(int((value - nodes.x[0]) * nodes.cells_per_x), 0), len(nodes.below) - 1)]
    while i + 1 < len(nodes.x) and nodes.x[i + 1] <= value:
        i += 1
    return i


@njit(inline="always")
def _cell(position, steps):  # type: ignore[no-untyped-def]
    """Return the nodes around a position in the table of a filter, and its distance from the second, in steps."""
    k = np.uint64(min(np.int64(position), np.int64(steps - 1)))  # unsigned: never counts from the end
    next_ = k + np.uint64(1)
    return k, next_, np.float64(next_) - position


@njit()  # one function, which rounds the same wherever it is called
def _around(nodes, shift, bands, f):  # type: ignore[no-untyped-def]
    """Return the first and the last node of a spectrum shifted by ``shift`` in x that filter ``f`` sees."""
    start, end = bands.start[f] - shift, bands.start[f] - shift + (bands.redward.shape[1] - 1) * bands.step[f]
    return _below(nodes, start), min(_below(nodes, end) + 1, len(nodes.x) - 1)


@njit(parallel=True)
def _windows(nodes, shift, bands, out) -> None:  # type: ignore[no-untyped-def]
    """Widen windows ``out`` (n, 2) by what filters see."""
    for g in prange(len(shift)):
        for f in range(len(bands.start)):
            first, last = _around(nodes, shift[g], bands, f)
            out[g, 0], out[g, 1] = min(out[g, 0], first), max(out[g, 1], last + 1)


@njit(fastmath={"contract"})
def _integrals(nodes, shift, bands, f, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with the integral of `Bands` for filter ``f`` at the nodes of a spectrum shifted by ``shift`` in x.

    Only the nodes around the filter are filled. Returns the first and the last of them: the integral falls as x before
    the first, and is zero from the last on.
    """
    start, step, redward = bands.start[f] - shift, bands.step[f], bands.redward[f]
    steps = len(redward) - 1
    first, last = _around(nodes, shift, bands, f)
    out[first] = redward[0, 1] + (start - nodes.x[first])
    x, inside = nodes.x[first + 1 : last], out[first + 1 : last]
    for i in range(len(x)):
        k, next_, v = _cell((x[i] - start) / step, steps)
        mean = redward[next_, 0] + 0.5 * v * (redward[k, 0] - redward[next_, 0])
        inside[i] = redward[next_, 1] + step * v * mean
    out[last] = 0.0
    return first, last


@njit(fastmath={"contract"})
def _redward_of_step(shift, bands, f):  # type: ignore[no-untyped-def]
    """Return the fraction of filter ``f`` redward of Lyman alpha and its integral; spectra are shifted as above."""
    start, step, redward = bands.start[f] - shift, bands.step[f], bands.redward[f]
    position = (_LYMAN_ALPHA - start) / step
    if position <= 0.0:
        return 1.0, redward[0, 1] + (start - _LYMAN_ALPHA)
    if position >= len(redward) - 1:
        return 0.0, 0.0
    k, next_, v = _cell(position, len(redward) - 1)
    end, rise = redward[next_, 0], redward[k, 0] - redward[next_, 0]
    # The fraction is multiplied by the whole step: a parabola, whose integral over the cell is that of the table.
    bend = 6.0 * ((redward[k, 1] - redward[next_, 1]) / step - end - 0.5 * rise)
    mean = end + v * (0.5 * rise + bend * (0.5 - v / 3.0))
    return end + v * (rise + bend * (1.0 - v)), redward[next_, 1] + step * v * mean


@njit(inline="always")
def _see(spectrum, transmission, seen):  # type: ignore[no-untyped-def]
    """Fill ``seen`` with what a transmission, of the bluest wavelengths alone, leaves of a spectrum."""
    n_blue = min(len(transmission), len(seen))
    for i in range(n_blue):
        seen[i] = np.float64(spectrum[i]) * transmission[i]
    for i in range(n_blue, len(seen)):
        seen[i] = spectrum[i]


@njit(inline="always")
def _slopes(seen, per_distance, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = (seen[i + 1] - seen[i]) * per_distance[i]


@njit(parallel=True, fastmath={"contract"})
def _mean_fluxes(nodes, spectra, shift, transmission, bands, out) -> None:  # type: ignore[no-untyped-def]
    n_wave, n_blue = spectra.shape[1], max(transmission.shape[1] - 1, 0)
    last_blue = n_blue - 1 if n_blue < n_wave else -1  # the step is between this node and the next; -1: there is none
    for g in prange(len(shift)):
        seen, slope, integral = np.empty(n_wave), np.empty(n_wave - 1), np.empty(n_wave)
        begin, end = n_wave, 0
        for f in range(len(bands.start)):
            first, last = _around(nodes, shift[g], bands, f)
            begin, end = min(begin, first), max(end, last + 1)
        _see(spectra[g, begin:end], transmission[g, begin:n_blue], seen[begin:end])
        _slopes(seen[begin:end], nodes.per_distance[begin : end - 1], slope[begin : end - 1])
        blue = rise = red = 0.0
        if begin <= last_blue < end - 1:  # the slopes on both sides of the step, and its height
            emitted, distance = np.float64(spectra[g, last_blue]), _LYMAN_ALPHA - nodes.x[last_blue]
            red = (seen[n_blue] - emitted) * nodes.per_distance[last_blue]
            emitted += red * distance
            absorbed = emitted * transmission[g, n_blue]
            blue, rise = (absorbed - seen[last_blue]) / distance, emitted - absorbed
            slope[last_blue] = 0.0
        for f in range(len(bands.start)):
            first, last = _integrals(nodes, shift[g], bands, f, integral)
            redward, slopes = integral[first : last + 1], slope[first:last]
            total = size = seen[first]
            for i in range(len(slopes)):
                term = (redward[i] - redward[i + 1]) * slopes[i]
                total += term
                size += abs(term)
            if first <= last_blue < last:
                fraction, beyond = _redward_of_step(shift[g], bands, f)
                before, after = integral[last_blue] - beyond, beyond - integral[n_blue]
                for term in (before * blue, fraction * rise, after * red):
                    total += term
                    size += abs(term)
            out[g, f] = total if total > _ROUNDING * size else 0.0


def absolute_magnitude(l_nu: NDArray) -> Array:
    """Return the AB magnitude at 10 pc of a mean L_nu [Lsun/Hz]; NaN (null in files) where it is not positive."""
    l_nu = np.asarray(l_nu, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(l_nu > 0.0, -2.5 * np.log10(l_nu * PER_LSUN_AT_10PC) - AB_ZERO, np.nan)


def luminosity(absolute: ArrayLike) -> Array:
    """Return the mean L_nu [Lsun/Hz] of an absolute AB magnitude."""
    return np.asarray(10.0 ** (-0.4 * (np.asarray(absolute, np.float64) + AB_ZERO)) / PER_LSUN_AT_10PC)


def apparent_magnitude(l_nu: NDArray, redshift: Array, distance_modulus: Array) -> Array:
    """Return apparent AB magnitudes; NaN (null in files) beyond `FAINTEST`, and without a distance (redshift 0).

    Parameters
    ----------
    l_nu : ndarray of shape (n, n_filter)
        Mean rest-frame L_nu seen by the redshifted filter [Lsun/Hz].
    redshift, distance_modulus : ndarrays of shape (n, )
        Redshift and distance modulus at the luminosity distance [mag].

    """
    offset = np.where(redshift > 0.0, distance_modulus - 2.5 * np.log10(1.0 + redshift), np.nan)
    magnitude = absolute_magnitude(l_nu) + offset[:, None]
    return np.where(magnitude <= FAINTEST, magnitude, np.nan)
