"""Nebular emission, evaluated as FSPS does (``add_nebular.f90``; Byler et al. 2017).

Each SSP up to 2e7 yr makes its gas shine with Q(age, Z) times a table whose logarithm is linear between nodes in
(gas metallicity, log age, log U). The continuum is summed on the wavelength grid; the lines are summed as 166
luminosities and drawn as Gaussians afterwards, so that no line is interpolated as part of a finished spectrum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.compiled import njit
from mocksed.sps.table import LIGHT, LYMAN_LIMIT, SSPTable

_LOG2_10, _LN2 = np.log2(10.0), np.log(2.0)
_SMOOTH = 0.5  # log2: the expansion of `add_continuum` is good to 1e-6 for such a change between age nodes
_REACH = 7.0  # standard deviations of a line that are drawn: beyond, it is below 3e-11 of the peak

_F = np.float32
_C1, _C2, _C3, _C4, _C5, _C6 = (_F(np.log(2.0) ** n / np.prod(np.arange(1, n + 1))) for n in range(1, 7))
_ONE, _HALF, _LOWEST = _F(1.0), _F(0.5), _F(-126.0)
_SHIFT, _BIAS = np.int32(23), np.int32(127)


@njit(inline="always")
def exp2(x: np.float32) -> np.float32:
    """Return 2^x to 1e-7 in single precision, 0 below 2^-126; unlike the library's, LLVM vectorises it."""
    whole = np.floor(x + _HALF)
    f = x - whole
    power = _ONE + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))
    scale = np.int32((np.int32(max(whole, _LOWEST)) + _BIAS) << _SHIFT).view(np.float32)
    return power * scale if x >= _LOWEST else _F(0.0)


class NebularTables(NamedTuple):
    """What the kernels need of the nebular part of an `SSPTable`; a named tuple, since numba can take one.

    Attributes
    ----------
    log_zmet, log_us : ndarrays of shapes (n_gas_zmet, ), (n_us, )
        Nodes.
    node, fraction : ndarrays of shape (n_young, )
        Age node below each young SSP and the fraction of the way to the next one.
    first : ndarray of shape (n_neb_age, )
        First young SSP of each interval between age nodes, and their number.
    smooth_from : ndarray of int of shape (n_neb_age - 1, )
        First wavelength from which on the continuum changes so little in an interval that `add_continuum` may expand
        it: below the Lyman limit it does not.
    photons : ndarray of shape (n_zmet, n_young)
        Ionising photons [1/s] of the SSPs of 1 Msun.
    continuum, lines : ndarrays of shapes (n_gas_zmet, n_us, n_neb_age, n_wave) and (..., n_line)
        log2 of the emission per ionising photon rate.
    profile_start, profile : ndarrays of shapes (n_line, ), (n_line, n_pixel)
        First pixel of each line and its L_nu [1/Hz] per luminosity, zero where it is over.

    """

    log_zmet: NDArray[np.float64]
    log_us: NDArray[np.float64]
    node: NDArray[np.int64]
    fraction: NDArray[np.float32]
    first: NDArray[np.int64]
    smooth_from: NDArray[np.int64]
    photons: NDArray[np.float64]
    continuum: NDArray[np.float32]
    lines: NDArray[np.float32]
    profile_start: NDArray[np.int64]
    profile: NDArray[np.float32]

    def some(self, index: NDArray[np.intp]) -> NebularTables:
        """Return the tables with the continuum at some of its wavelengths, by increasing index."""
        continuum = np.ascontiguousarray(self.continuum[..., index])
        return self._replace(continuum=continuum, smooth_from=np.searchsorted(index, self.smooth_from))


def prepare(table: SSPTable) -> NebularTables:
    """Return the tables of the kernels."""
    ages, young = table.neb_log_age, table.log_age[: table.n_young]
    node = np.clip(np.searchsorted(ages, young, side="right") - 1, 0, len(ages) - 2)
    fraction = np.clip((young - ages[node]) / (ages[node + 1] - ages[node]), 0.0, 1.0)
    start, profile = line_profiles(table.wavelength, table.line_wavelength, table.line_sigma)
    continuum = (table.neb_continuum * _LOG2_10).astype(np.float32)
    return NebularTables(
        log_zmet=table.neb_log_zmet,
        log_us=table.neb_log_us,
        node=node,
        fraction=fraction.astype(np.float32),
        first=np.searchsorted(node, np.arange(len(ages))),
        smooth_from=_smooth_from(np.abs(np.diff(continuum, axis=2)).max(axis=(0, 1)) < _SMOOTH),
        photons=table.ionising_photons(),
        continuum=continuum,
        lines=(table.neb_lines * _LOG2_10).astype(np.float32),
        profile_start=start,
        profile=profile,
    )


def _smooth_from(smooth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the first wavelength from which on each interval (n_neb_age - 1, n_wave) is smooth; n_wave for none."""
    rough_at_the_end = np.argmin(smooth[:, ::-1], axis=1)
    return np.where(smooth.all(axis=1), 0, smooth.shape[1] - rough_at_the_end)


def line_profiles(
    wavelength: NDArray[np.float64], centre: NDArray[np.float64], sigma: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the first pixel of each line and its Gaussian in L_nu per luminosity [1/Hz], cut at seven sigma."""
    start = np.searchsorted(wavelength, centre - _REACH * sigma)
    stop = np.searchsorted(wavelength, centre + _REACH * sigma)
    pixel = np.arange((stop - start).max())
    index = np.minimum(start[:, None] + pixel, len(wavelength) - 1)
    x = (wavelength[index] - centre[:, None]) / sigma[:, None]
    profile = np.exp(-0.5 * x**2) / (np.sqrt(2 * np.pi) * sigma[:, None]) * centre[:, None] ** 2 / LIGHT
    profile[pixel >= (stop - start)[:, None]] = 0.0
    return start, profile.astype(np.float32)


def below_lines(
    wavelength: NDArray[np.float64], centre: NDArray[np.float64], sigma: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return where lines are drawn, and how to average the inverse of what is below them for `mean_inverse`.

    Parameters
    ----------
    wavelength, centre, sigma : ndarrays of shapes (n_wave, ), (n_line, ), (n_line, )
        Of the spectra, and centres and standard deviations of the lines [A].

    Returns
    -------
    pixel, weight : ndarrays of shape (n_line, n_pixel)
        Indices of wavelengths, and weights [A Hz] of 1 / L_nu, those of the profile of the line, normalised.

    """
    start, profile = line_profiles(wavelength, centre, sigma)
    pixel = np.minimum(start[:, None] + np.arange(profile.shape[1]), len(wavelength) - 1)
    weight = profile / wavelength[pixel] ** 2 * np.gradient(wavelength)[pixel]
    weight[wavelength[pixel] <= LYMAN_LIMIT] = 0.0  # where the gas leaves nothing for the wings of the Lyman series
    return pixel, weight / weight.sum(axis=1, keepdims=True) * wavelength[pixel] ** 2 / LIGHT


def mean_inverse(
    l_nu: NDArray[np.floating], let_through: NDArray[np.float64], pixel: NDArray[np.intp], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean of 1 / L_lambda below lines [A/Lsun], shape (n, n_line), weighted by what dust leaves of them.

    Parameters
    ----------
    l_nu : ndarray of shape (n, n_wave)
        Spectra without lines, behind the dust [Lsun/Hz].
    let_through : ndarray of shape (n, n_wave), or (1, n_wave)
        Of the dust.
    pixel, weight : ndarrays of shape (n_line, n_pixel)
        From `below_lines`.

    Returns
    -------
    ndarray of shape (n, n_line)
        NaN where a spectrum is zero.

    """
    out = np.zeros((len(l_nu), len(pixel)))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = let_through / l_nu
        for of_lines, weights in zip(pixel.T, weight.T, strict=True):
            out += np.where(weights > 0.0, weights * ratio[:, of_lines], 0.0)
    return np.where(np.isfinite(out), out, np.nan)


def equivalent_widths(
    luminosity: NDArray[np.float64], l_nu: NDArray[np.floating], let_through: NDArray[np.float64],
    pixel: NDArray[np.intp], weight: NDArray[np.float64], is_lyman_alpha: NDArray[np.bool_],
    lya_escape: ArrayLike | None,
) -> NDArray[np.float64]:  # fmt: skip
    """Return equivalent widths of lines [A], shape (n, n_line).

    Parameters
    ----------
    luminosity : ndarray of shape (n, n_line)
        Of the lines without dust [Lsun].
    l_nu, let_through, pixel, weight : ndarrays
        As for `mean_inverse`; what dust in front of the lines lets through.
    is_lyman_alpha : ndarray of bool of shape (n_line, )
        Which of the lines that is.
    lya_escape : array_like of shape (n, ) or (), optional
        Fraction of it that leaves, instead of what dust would let through.

    """
    inverse = mean_inverse(l_nu, let_through, pixel, weight)
    if lya_escape is not None:
        escaping = np.broadcast_to(np.broadcast_to(lya_escape, len(l_nu))[:, None], l_nu.shape)
        inverse[:, is_lyman_alpha] = mean_inverse(l_nu, escaping, pixel[is_lyman_alpha], weight[is_lyman_alpha])
    return luminosity * inverse


@njit(inline="always")
def bracket(nodes, value):  # type: ignore[no-untyped-def]
    """Return the node below ``value`` and the fraction of the way to the next one, without extrapolation."""
    i = min(max(np.searchsorted(nodes, value, side="right") - 1, 0), len(nodes) - 2)
    return i, min(max((value - nodes[i]) / (nodes[i + 1] - nodes[i]), 0.0), 1.0)


@njit(fastmath={"contract"})
def at_nodes(
    table: NDArray[np.float32], z: int, dz: np.float32, u: int, du: np.float32, out: NDArray[np.float32]
) -> None:
    """Interpolate a table (n_gas_zmet, n_us, n_neb_age, n) in metallicity and ionisation to ``out`` (n_neb_age, n)."""
    a, b, c, d = (_ONE - dz) * (_ONE - du), (_ONE - dz) * du, dz * (_ONE - du), dz * du
    for k in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[k, i] = a * table[z, u, k, i] + b * table[z, u + 1, k, i] + c * table[z + 1, u, k, i] \
                + d * table[z + 1, u + 1, k, i]  # fmt: skip


@njit(fastmath={"contract"})
def add_emission(
    log2_photons: float, nodes: NDArray[np.float32], node: int, fraction: np.float32, out: NDArray[np.float32]
) -> None:
    """Add to ``out`` (n, ) the emission of gas lit by 2^log2_photons ionising photons per second at one age."""
    offset = _F(log2_photons)
    low, high = nodes[node], nodes[node + 1]
    for i in range(len(out)):
        out[i] += exp2(offset + (_ONE - fraction) * low[i] + fraction * high[i])


@njit(fastmath={"contract"})
def _add_each(photons, fraction, low, high, out):  # type: ignore[no-untyped-def]
    """Add to ``out`` (n, ) the emission of each SSP between two age nodes, ``low`` and ``high`` (n, ) its log2 there.

    ``photons`` [1/s] and ``fraction`` (n_ssp, ) are the SSPs' ionising photons and positions between the nodes.
    """
    for age in range(len(photons)):
        if photons[age] > 0.0:
            log2_photons, f = _F(np.log2(photons[age])), fraction[age]
            for i in range(len(out)):
                out[i] += exp2(log2_photons + (_ONE - f) * low[i] + f * high[i])


@njit(fastmath={"contract"})
def _add_expanded(photons, fraction, total, low, high, out):  # type: ignore[no-untyped-def]
    """Add the same as `add_continuum` expands it; ``total`` [1/s] are the photons of SSPs between all nodes."""
    offset = _F(np.log2(total))
    m0, m1, m2, m3, m4 = 0.0, 0.0, 0.0, 0.0, 0.0
    for age in range(len(photons)):
        q, x = photons[age] / total, (fraction[age] - 0.5) * _LN2
        m0, m1, m2, m3, m4 = m0 + q, m1 + q * x, m2 + q * x**2, m3 + q * x**3, m4 + q * x**4
    f0, f1, f2, f3, f4 = _F(m0), _F(m1), _F(m2 / 2.0), _F(m3 / 6.0), _F(m4 / 24.0)
    for i in range(len(out)):
        change = high[i] - low[i]
        middle = exp2(offset + _HALF * (low[i] + high[i]))
        out[i] += middle * (f0 + change * (f1 + change * (f2 + change * (f3 + change * f4))))


@njit(fastmath={"contract"})
def add_continuum(
    photons: NDArray[np.float64], neb: NebularTables, z: int, dz: np.float32, u: int, du: np.float32, begin: int,
    out: NDArray[np.float32],
) -> None:  # fmt: skip
    """Add to ``out`` the continuum of gas lit by SSPs with ``photons`` (n_used, ) ionising photons a second.

    ``out`` (n, ) has the wavelengths from ``begin`` on.

    Between two age nodes with log2 of the emission l and h the SSPs add up to sum_a q_a 2^((1 - f_a) l + f_a h), which
    is 2^((l + h) / 2) sum_j m_j (h - l)^j with the moments m_j = sum_a q_a ((f_a - 1/2) ln 2)^j / j!: one exponential
    an interval instead of one an SSP. That is done from ``smooth_from`` on, where the continuum of a photon hardly
    changes with age; at shorter wavelengths SSPs are added one by one.
    """
    total = photons.sum()
    if not total > 0.0:
        return
    a, b, c, d = (_ONE - dz) * (_ONE - du), (_ONE - dz) * du, dz * (_ONE - du), dz * du
    n = len(out)
    low, high = np.empty(n, np.float32), np.empty(n, np.float32)
    for k in range(len(neb.first)):
        t00, t01 = neb.continuum[z, u, k, begin : begin + n], neb.continuum[z, u + 1, k, begin : begin + n]
        t10, t11 = neb.continuum[z + 1, u, k, begin : begin + n], neb.continuum[z + 1, u + 1, k, begin : begin + n]
        for i in range(n):
            high[i] = a * t00[i] + b * t01[i] + c * t10[i] + d * t11[i]
        first, last = neb.first[k - 1], min(neb.first[k], len(photons))
        if k > 0 and first < last:
            ages, rough = slice(first, last), min(max(neb.smooth_from[k - 1] - begin, 0), n)
            _add_each(photons[ages], neb.fraction[ages], low[:rough], high[:rough], out[:rough])
            _add_expanded(photons[ages], neb.fraction[ages], total, low[rough:], high[rough:], out[rough:])
        if k < len(neb.first) - 1 and neb.first[k] >= len(photons):
            return
        low, high = high, low


@njit(fastmath={"contract"})
def add_lines(
    photons: NDArray[np.float64], neb: NebularTables, z: int, dz: np.float32, u: int, du: np.float32, begin: int,
    out: NDArray[np.float32],
) -> None:  # fmt: skip
    """Add to ``out`` the luminosities of lines, exact for each SSP.

    ``out`` (n, ) has the lines from ``begin`` on; the other arguments are as for `add_continuum`.
    """
    nodes = np.empty((neb.lines.shape[2], len(out)), np.float32)
    at_nodes(neb.lines[:, :, :, begin : begin + len(out)], z, dz, u, du, nodes)
    for age in range(len(photons)):
        if photons[age] > 0.0:
            add_emission(np.log2(photons[age]), nodes, neb.node[age], neb.fraction[age], out)


@njit(fastmath={"contract"})
def draw_lines(
    luminosity: NDArray[np.float32], start: NDArray[np.int64], profile: NDArray[np.float32], begin: int,
    out: NDArray[np.float32],
) -> None:  # fmt: skip
    """Add the lines [Lsun] to the spectrum ``out`` (n, ) [Lsun/Hz], which has the wavelengths from ``begin`` on."""
    for line in range(len(luminosity)):
        first = start[line] - begin
        for i in range(max(0, -first), min(profile.shape[1], len(out) - first)):
            out[first + i] += luminosity[line] * profile[line, i]


@njit()
def lines_within(start: NDArray[np.int64], profile: NDArray[np.float32], begin: int, end: int) -> tuple[int, int]:
    """Return the first of the lines that reach some wavelengths, and the one past the last; lines are in order."""
    first, last = 0, len(start)
    while first < last and start[first] + profile.shape[1] <= begin:
        first += 1
    while last > first and start[last - 1] >= end:
        last -= 1
    return first, last
