"""Nebular emission, evaluated as FSPS does (``add_nebular.f90``; Byler et al. 2017).

Each SSP up to 2e7 yr makes its gas shine with Q(age, Z) times a table whose logarithm is linear between nodes in
(gas metallicity, log age, log U). The continuum is summed on the wavelength grid; the lines are summed as 166
luminosities and drawn as Gaussians afterwards, so that no line is interpolated as part of a finished spectrum.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from mocksed.sps.table import LIGHT, SSPTable

_LOG2_10 = np.log2(10.0)
_REACH = 7.0  # standard deviations of a line that are drawn: beyond, it is below 3e-11 of the peak

_F = np.float32
_C1, _C2, _C3, _C4, _C5, _C6 = (_F(np.log(2.0) ** n / np.prod(np.arange(1, n + 1))) for n in range(1, 7))
_ONE, _HALF, _LOWEST = _F(1.0), _F(0.5), _F(-126.0)
_SHIFT, _BIAS = np.int32(23), np.int32(127)


@numba.njit(inline="always")
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
    photons: NDArray[np.float64]
    continuum: NDArray[np.float32]
    lines: NDArray[np.float32]
    profile_start: NDArray[np.int64]
    profile: NDArray[np.float32]


def prepare(table: SSPTable) -> NebularTables:
    """Return the tables of the kernels."""
    ages, young = table.neb_log_age, table.log_age[: table.n_young]
    node = np.clip(np.searchsorted(ages, young, side="right") - 1, 0, len(ages) - 2)
    fraction = np.clip((young - ages[node]) / (ages[node + 1] - ages[node]), 0.0, 1.0)
    start, profile = line_profiles(table.wavelength, table.line_wavelength, table.line_sigma)
    return NebularTables(
        log_zmet=table.neb_log_zmet,
        log_us=table.neb_log_us,
        node=node,
        fraction=fraction.astype(np.float32),
        photons=table.ionising_photons(),
        continuum=(table.neb_continuum * _LOG2_10).astype(np.float32),
        lines=(table.neb_lines * _LOG2_10).astype(np.float32),
        profile_start=start,
        profile=profile,
    )


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


@numba.njit(inline="always")
def bracket(nodes, value):  # type: ignore[no-untyped-def]
    """Return the node below ``value`` and the fraction of the way to the next one, without extrapolation."""
    i = min(max(np.searchsorted(nodes, value, side="right") - 1, 0), len(nodes) - 2)
    return i, min(max((value - nodes[i]) / (nodes[i + 1] - nodes[i]), 0.0), 1.0)


@numba.njit(cache=True, fastmath={"contract"})
def at_nodes(
    table: NDArray[np.float32], z: int, dz: np.float32, u: int, du: np.float32, out: NDArray[np.float32]
) -> None:
    """Interpolate a table (n_gas_zmet, n_us, n_neb_age, n) in metallicity and ionisation to ``out`` (n_neb_age, n)."""
    a, b, c, d = (_ONE - dz) * (_ONE - du), (_ONE - dz) * du, dz * (_ONE - du), dz * du
    for k in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[k, i] = a * table[z, u, k, i] + b * table[z, u + 1, k, i] + c * table[z + 1, u, k, i] \
                + d * table[z + 1, u + 1, k, i]  # fmt: skip


@numba.njit(cache=True, fastmath={"contract"})
def add_emission(
    log2_photons: float, nodes: NDArray[np.float32], node: int, fraction: np.float32, out: NDArray[np.float32]
) -> None:
    """Add to ``out`` (n, ) the emission of gas lit by 2^log2_photons ionising photons per second at one age."""
    offset = _F(log2_photons)
    low, high = nodes[node], nodes[node + 1]
    for i in range(len(out)):
        out[i] += exp2(offset + (_ONE - fraction) * low[i] + fraction * high[i])


@numba.njit(cache=True, fastmath={"contract"})
def draw_lines(
    luminosity: NDArray[np.float32], start: NDArray[np.int64], profile: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Add the lines [Lsun] to the spectrum ``out`` (n_wave, ) [Lsun/Hz]."""
    for line in range(len(luminosity)):
        for i in range(min(profile.shape[1], len(out) - start[line])):
            out[start[line] + i] += luminosity[line] * profile[line, i]
