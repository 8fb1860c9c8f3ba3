"""Quantities that follow from a few broad bands, without the spectra: the path for parent catalogues of 1e8 points.

The SSPs and the gas around them are projected once on the bands. Within a band, the transmission of the dust is
interpolated between its values at a few wavelengths (empirical interpolation: Barrault et al. 2004), which are chosen
such that this holds for every optical depth and slope of the attenuation curve. So the flux of a band behind dust is a
sum of a few coefficients, linear in the spectrum and tabulated for each SSP, times exp(-dust2 k) there. The gas is
tabulated per ionising photon on a refined grid of metallicity and ionisation: between its nodes it is linear.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mocksed.compiled import njit, prange
from mocksed.sps import filters, photometry
from mocksed.sps.curves import V_BAND
from mocksed.sps.dust import Curve, transmission
from mocksed.sps.model import LIMITS
from mocksed.sps.nebular import NebularTables, add_emission, at_nodes, bracket
from mocksed.sps.table import SSPTable
from mocksed.sps.weights import sfr_per_mass_formed, ssp_weights, survival

Array = NDArray[np.float64]
_F = np.float32

DUST2_MAX, UV_DEPTH_MAX = 4.0, 30.0
"""The interpolation of the dust holds up to this dust2 and this optical depth at 1500 A."""

_TOLERANCE = 8e-6  # of the interpolated transmission of the dust, relative to its mean: fluxes are accurate to 5e-6
_WINGS = 0.75  # power of the weight of a band with which errors count: with 1 large ones would cancel in the wings
_DEPTHS, _N_SLOPES = np.linspace(0.0, 1.0, 13) ** 2, 17  # for which it is made, relative to the largest depth
_ZMET_STEP, _US_STEP = 0.02, 0.0625  # dex, of the grid of the gas: [O III] in V sets them, 1.5e-3 mag at worst
_PAD = 16  # coefficients are padded to a multiple of this, for whole vector registers


class Derived(NamedTuple):
    """Quantities of each galaxy, per Msun of surviving mass where they scale with it; arrays of shape (n, ).

    Attributes
    ----------
    mass_fraction : ndarray
        Surviving mass per mass formed, remnants included.
    log_ssfr : ndarray
        log10 of SFR per surviving mass [1/yr].
    muv, muv_intrinsic : ndarray
        Mean f_nu over rest-frame 1450-1550 A of 1 Msun, AB magnitude at 10 pc, with and without dust: M_UV + 2.5 log M.
    beta : ndarray
        UV slope from WFC3 F125W and F160W of the galaxy placed at z = 7 (Dunlop et al. 2012).
    uv, vj : ndarray
        Rest-frame Bessell U - V and Bessell V - 2MASS J [AB mag].

    """

    mass_fraction: Array
    log_ssfr: Array
    muv: Array
    muv_intrinsic: Array
    beta: Array
    uv: Array
    vj: Array


@cache
def bands() -> tuple[filters.Filter, ...]:
    """Return the rest-frame bands behind the derived quantities: M_UV, F125W and F160W at z = 7, U, V, J."""
    return (
        filters.top_hat("uv1500", 1450.0, 1550.0),
        filters.load("wfc3_ir_f125w").at_redshift(7.0),
        filters.load("wfc3_ir_f160w").at_redshift(7.0),
        filters.load("bessell_U"),
        filters.load("bessell_V"),
        filters.load("twomass_J"),
    )


def band_weights(wavelength: Array) -> Array:
    """Return the weights (n_band, n_wave) of spectra in `bands`."""
    return np.stack([photometry.band_weights(wavelength, band) for band in bands()])


def from_fluxes(sfh: str, age: Array, tau: Array, mass_fraction: Array, flux: Array, intrinsic: Array) -> Derived:
    """Return the derived quantities from mean L_nu [Lsun/Hz] per Msun formed in `bands`.

    Parameters
    ----------
    sfh : str
        Star-formation history, one of `mocksed.sps.weights.HISTORIES`.
    age, tau, mass_fraction : ndarrays of shape (n, )
        Age and e-folding time [Gyr]; surviving mass per mass formed.
    flux : ndarray of shape (n, n_band)
        Mean L_nu in the order of `bands`.
    intrinsic : ndarray of shape (n, )
        Mean L_nu in the first band, without dust.

    """
    muv, f125w, f160w, u, v, j = photometry.absolute_magnitude(flux / mass_fraction[:, None]).T
    return Derived(
        mass_fraction=mass_fraction,
        log_ssfr=np.log10(sfr_per_mass_formed(sfh, age, tau) / mass_fraction) - 9.0,
        muv=muv,
        muv_intrinsic=photometry.absolute_magnitude(intrinsic / mass_fraction),
        beta=4.43 * (f125w - f160w) - 2.0,
        uv=u - v,
        vj=v - j,
    )


class BandTables(NamedTuple):
    """Coefficients of the bands for each SSP, and for the gas; a named tuple, since numba accepts these.

    Attributes
    ----------
    first : ndarray of shape (n_band + 1, )
        First coefficient of each band, and their number.
    stellar : ndarray of shape (n_zmet, n_age, n_coefficient)
        Of SSPs of 1 Msun [Lsun/Hz]; those of a band sum to its flux without dust.
    gas_log_zmet, gas_log_us : ndarrays of shapes (n_gas_zmet, ), (n_gas_us, )
        Refined grid.
    gas : ndarray of shape (n_gas_zmet, n_gas_us, n_row, n_coefficient)
        Coefficients of the gas lit by ``photon_unit`` ionising photons a second, in rows of SSPs with the same gas. If
        its lines are behind their own dust, these are twice as many: of the continuum, and then of the lines.
    line_attenuation : float
        Optical depth in front of the lines relative to that in front of the continuum.
    row : ndarray of shape (n_young, )
        Row of each SSP.
    photons : ndarray of shape (n_zmet, n_young)
        Ionising photons of SSPs of 1 Msun in units of ``photon_unit``, some 1e46 a second.

    """

    first: NDArray[np.int64]
    stellar: NDArray[np.float32]
    gas_log_zmet: Array
    gas_log_us: Array
    gas: NDArray[np.float32]
    row: NDArray[np.int64]
    photons: Array
    line_attenuation: float


def prepare(
    table: SSPTable, neb: NebularTables, dust: Curve, line_attenuation: float = 1.0
) -> tuple[BandTables, Curve]:
    """Return the tables of `band_fluxes`, and the attenuation curve at the wavelength of each coefficient.

    ``dust`` is the curve on the wavelengths of the table, ``line_attenuation`` as in `BandTables`.
    """
    weights = band_weights(table.wavelength)
    deepest = max(1.0, line_attenuation)
    interpolations = [interpolation(dust, w, deepest) for w in weights]
    coefficients = np.concatenate([w * cardinal for w, (_, cardinal) in zip(weights, interpolations, strict=True)])
    coefficients = np.pad(coefficients, ((0, -len(coefficients) % _PAD), (0, 0)))
    seen = np.flatnonzero(np.any(coefficients != 0.0, axis=0))
    projection = np.ascontiguousarray(coefficients.T, np.float32)
    pixel = np.minimum(neb.profile_start[:, None] + np.arange(neb.profile.shape[1]), len(projection) - 1)
    line_projection = np.einsum("lp,lpc->lc", neb.profile, projection[pixel])  # the profile is 0 where it is cut

    photon_unit = float(neb.photons.max())
    _, ssp_of_row, row = np.unique(neb.node + neb.fraction, return_index=True, return_inverse=True)
    gas_log_zmet, gas_log_us = _refined(neb.log_zmet, _ZMET_STEP), _refined(neb.log_us, _US_STEP)
    parts = ((neb.some(seen).continuum, projection[seen]), (neb.lines, line_projection))
    n_gas = len(coefficients) if line_attenuation == 1.0 else 2 * len(coefficients)
    gas = np.empty((len(gas_log_zmet), len(gas_log_us), len(ssp_of_row), n_gas), np.float32)
    for i, log_zmet in enumerate(gas_log_zmet):
        continuum, lines = (
            _emission(log_zmet, gas_log_us, ssp_of_row, np.log2(photon_unit), neb, emission) @ onto_bands
            for emission, onto_bands in parts
        )
        gas[i] = continuum + lines if line_attenuation == 1.0 else np.concatenate([continuum, lines], axis=-1)
    tables = BandTables(
        first=np.cumsum([0, *(len(nodes) for nodes, _ in interpolations)]),
        stellar=table.stellar[..., seen] @ projection[seen],
        gas_log_zmet=gas_log_zmet,
        gas_log_us=gas_log_us,
        gas=gas,
        row=row,
        photons=neb.photons / photon_unit,
        line_attenuation=line_attenuation,
    )
    return tables, dust.some(np.concatenate([nodes for nodes, _ in interpolations])).in_log2()


def holds(dust: Curve, dust2: Array, dust_index: Array) -> NDArray[np.bool_]:
    """Return where `band_fluxes` can be used, for arrays of shape (n, )."""
    return (dust2 <= DUST2_MAX) & (dust2 * _uv(dust, dust_index) <= UV_DEPTH_MAX)


def _uv(dust: Curve, dust_index: Array) -> Array:
    """Return the optical depth at 1500 A relative to that at 5500 A for slopes of shape (n, )."""
    i = np.searchsorted(dust.log_ratio, np.log(1500.0 / V_BAND))
    return dust.some(np.array([i])).at(dust_index)


def interpolation(dust: Curve, weights: Array, deepest: float = 1.0) -> tuple[NDArray[np.intp], Array]:
    """Return the wavelengths in a band between which the transmission of dust is interpolated, and how.

    The empirical interpolation of Barrault et al. (2004): the depth and slope with the largest error are added to the
    basis, and the wavelength of that error to the nodes, until all errors are below `_TOLERANCE`. Errors count less
    where the band has little weight.

    Parameters
    ----------
    dust : Curve
        Attenuation curve.
    weights : ndarray of shape (n_wave, )
        Weights of the band.
    deepest : float
        Optical depths are at most this many times `DUST2_MAX` and `UV_DEPTH_MAX`.

    Returns
    -------
    nodes : ndarray of shape (n_node, )
        Indices of wavelengths.
    cardinal : ndarray of shape (n_node, n_wave)
        The interpolated transmission is the sum over nodes of its value there times these; 0 outside the band.

    """
    inside = np.flatnonzero(weights)
    counts = np.abs(weights[inside] / weights.max()) ** _WINGS
    slopes = np.linspace(*LIMITS["dust_index"], _N_SLOPES) if dust.free else np.zeros(1)
    depths = deepest * _DEPTHS * np.minimum(DUST2_MAX, UV_DEPTH_MAX / _uv(dust, slopes))[:, None]
    curves = np.broadcast_to(dust.some(inside).at(slopes[:, None]), (len(slopes), len(inside)))
    family = np.exp(-depths[..., None] * curves[:, None]).reshape(-1, len(inside))
    family /= (family @ weights[inside] / weights.sum())[:, None]
    nodes: list[int] = []
    basis: list[int] = []
    cardinal = np.zeros((0, len(inside)))
    while True:
        error = np.abs(family - family[:, nodes] @ cardinal) * counts
        worst, where = np.unravel_index(np.argmax(error), error.shape)
        if error[worst, where] < _TOLERANCE:
            break
        nodes.append(int(where))
        basis.append(int(worst))
        cardinal = np.linalg.solve(family[np.ix_(basis, nodes)], family[basis])
    full = np.zeros((len(nodes), len(weights)))
    full[:, inside] = cardinal
    return inside[nodes], full


def _refined(nodes: Array, step: float) -> Array:
    """Return the nodes with equal steps of at most ``step`` between neighbours."""
    steps = np.ceil(np.diff(nodes) / step - 1e-9).astype(int)
    parts = [np.linspace(low, high, n, endpoint=False) for low, high, n in zip(nodes, nodes[1:], steps, strict=False)]
    return np.concatenate([*parts, nodes[-1:]])


@njit(parallel=True)
def _emission(log_zmet, log_us, ages, log2_photons, neb, emission):  # type: ignore[no-untyped-def]
    """Return the emission (n_us, len(ages), n) of gas lit by 2^log2_photons ionising photons a second of single SSPs.

    ``emission`` (n_gas_zmet, n_us, n_neb_age, n) is log2 of that of a photon a second, `NebularTables.continuum`
    [Lsun/Hz] or ``lines`` [Lsun]; ``ages`` are indices of SSPs.
    """
    out = np.zeros((len(log_us), len(ages), emission.shape[3]), np.float32)
    z, dz = bracket(neb.log_zmet, log_zmet)
    for g in prange(len(log_us)):
        u, du = bracket(neb.log_us, log_us[g])
        nodes = np.empty(emission.shape[2:], np.float32)
        at_nodes(emission, z, _F(dz), u, _F(du), nodes)
        for row in range(len(ages)):
            age = ages[row]
            add_emission(log2_photons, nodes, neb.node[age], neb.fraction[age], out[g, row])
    return out


@njit(parallel=True, fastmath={"contract"})
def band_fluxes(  # type: ignore[no-untyped-def]
    order, starts, age, tau, log_zmet, log_us, dust2, dust_index, shines, history, zmet_nodes, ssp_mass, bands, dust,
    flux, intrinsic, mass,
) -> None:  # fmt: skip
    """Fill flux (n, n_band) [Lsun/Hz], the flux of the first band without dust (n, ) and the surviving mass (n, ).

    Parameters
    ----------
    order, starts : ndarrays of int
        An order of the galaxies and where blocks start in it (see `mocksed.sps.engine.blocks`).
    age, tau, log_zmet, log_us, dust2, dust_index : ndarrays of shape (n, )
        Parameters, within the table.
    shines : bool
        Whether the gas shines.
    history : History
        Kind of history.
    zmet_nodes, ssp_mass : ndarrays of shapes (n_zmet, ), (n_zmet, n_age)
        Metallicities and surviving masses of the SSPs.
    bands, dust : BandTables, Curve
        From `prepare`.
    flux, intrinsic, mass : ndarrays
        Overwritten.

    """
    n_age, n_young, n_row, n = len(history.log_age), len(bands.row), bands.gas.shape[2], bands.stellar.shape[2]
    n_gas = bands.gas.shape[3]
    for block in prange(len(starts) - 1):
        weights, photons, total = np.empty(n_age), np.empty(n_row), np.empty(n_gas, np.float32)
        through = np.empty(bands.first[-1], np.float32)
        for g in order[starts[block] : starts[block + 1]]:
            used = ssp_weights(history, age[g], tau[g], weights)
            z, dz = bracket(zmet_nodes, log_zmet[g])
            mass[g] = survival(weights, used, ssp_mass[z], ssp_mass[z + 1], dz)
            total[:] = _F(0.0)
            for a in range(used):
                low, high = _F(weights[a] * (1.0 - dz)), _F(weights[a] * dz)
                below, above = bands.stellar[z, a], bands.stellar[z + 1, a]
                for i in range(n):
                    total[i] += low * below[i] + high * above[i]
            if shines:
                gas_z, gas_dz = bracket(bands.gas_log_zmet, log_zmet[g])
                u, du = bracket(bands.gas_log_us, log_us[g])
                photons[:] = 0.0
                for a in range(min(used, n_young)):
                    ssp_photons = (1.0 - dz) * bands.photons[z, a] + dz * bands.photons[z + 1, a]
                    photons[bands.row[a]] += weights[a] * ssp_photons
                rows = bands.row[min(used, n_young) - 1] + 1
                for row in range(rows):
                    w00, w01 = photons[row] * (1.0 - gas_dz) * (1.0 - du), photons[row] * (1.0 - gas_dz) * du
                    w10, w11 = photons[row] * gas_dz * (1.0 - du), photons[row] * gas_dz * du
                    f00, f01, f10, f11 = _F(w00), _F(w01), _F(w10), _F(w11)
                    low0, low1 = bands.gas[gas_z, u, row], bands.gas[gas_z, u + 1, row]
                    high0, high1 = bands.gas[gas_z + 1, u, row], bands.gas[gas_z + 1, u + 1, row]
                    for i in range(n_gas):
                        total[i] += f00 * low0[i] + f01 * low1[i] + f10 * high0[i] + f11 * high1[i]
            transmission(dust2[g], dust_index[g], dust, 0, through)
            for b in range(len(bands.first) - 1):
                value = 0.0
                for i in range(bands.first[b], bands.first[b + 1]):
                    value += total[i] * through[i]
                flux[g, b] = value
            value = 0.0
            for i in range(bands.first[1]):
                value += total[i]
            intrinsic[g] = value
            if n_gas > n:
                transmission(bands.line_attenuation * dust2[g], dust_index[g], dust, 0, through)
                for b in range(len(bands.first) - 1):
                    for i in range(bands.first[b], bands.first[b + 1]):
                        flux[g, b] += total[n + i] * through[i]
                for i in range(bands.first[1]):
                    intrinsic[g] += total[n + i]
