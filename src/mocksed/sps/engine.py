"""Composite stellar populations for many galaxies at once, from an SSP table.

Every number depends on its own galaxy alone and is computed in the same order whatever the others are, so that the
same galaxy gives the same bytes in any batch and with any number of threads.
"""

from dataclasses import asdict
from functools import cache
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed import photometry
from mocksed.sps import dust, nebular
from mocksed.sps.model import DEFAULT_MODEL, Model
from mocksed.sps.nebular import NebularTables, add_emission, at_nodes, bracket, draw_lines, exp2
from mocksed.sps.table import SSPTable
from mocksed.sps.weights import delayed_tau_weights, psi_n, survival

Array = NDArray[np.float64]
_F = np.float32
_LOG2_E = float(np.log2(np.e))


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


class Engine:
    """Composite spectra and derived quantities over one SSP table.

    Parameters
    ----------
    table : SSPTable
        What FSPS wrote.
    model : Model
        Options shared by all galaxies.

    """

    def __init__(self, table: SSPTable, model: Model = DEFAULT_MODEL) -> None:
        self.table = table
        self.model = model
        self.wavelength = table.wavelength
        self._nebular = nebular.prepare(table)
        self._dust = dust.curve(table.wavelength, model)
        self._dust_log2 = (self._dust * _LOG2_E).astype(np.float32)
        self._bands: _BandTables | None = None

    @property
    def about(self) -> dict[str, object]:
        """What the numbers come from, for the metadata of files."""
        return {"engine": "table", "ssp_table": self.table.provenance, "sps_model": asdict(self.model)}

    def clip_log_zmet(self, log_zmet: ArrayLike) -> Array:
        """Return metallicities moved into the range of the table: FSPS would extrapolate."""
        return np.clip(np.asarray(log_zmet, np.float64), *self.table.log_zmet_range)

    def spectra(
        self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike, log_us: ArrayLike, dust2: ArrayLike, *, nebular: bool
    ) -> NDArray[np.float32]:
        """Return spectra of 1 Msun formed, rest-frame L_nu [Lsun/Hz], shape (n, n_wave).

        Parameters
        ----------
        age, tau : array_like of shape (n, )
            Age and e-folding time of the delayed-tau history [Gyr].
        log_zmet : array_like of shape (n, )
            log10(Z/Zsun) of stars and gas; moved into the range of the table.
        log_us : array_like of shape (n, )
            log10 of the ionisation parameter; moved into the range of the table; unused without ``nebular``.
        dust2 : array_like of shape (n, )
            Optical depth at 5500 A, Calzetti et al. (2000).
        nebular : bool
            Whether the gas shines (and absorbs the ionising photons).

        """
        parameters = _parameters(age, tau, self.clip_log_zmet(log_zmet), log_us, dust2)
        table = self.table
        out = np.empty((len(parameters[0]), len(table.wavelength)), np.float32)
        n_ionising = table.n_ionising if nebular else 0
        _spectra(*parameters, nebular, table.log_age, table.log_zmet, table.stellar, n_ionising, self._nebular,
                 self._dust_log2, out)  # fmt: skip
        return out

    def derived(
        self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike, log_us: ArrayLike, dust2: ArrayLike, *, nebular: bool
    ) -> Derived:
        """Return SFR, surviving mass, UV magnitudes and colours without the spectra; arguments as in `spectra`."""
        parameters = _parameters(age, tau, self.clip_log_zmet(log_zmet), log_us, dust2)
        if self._bands is None:
            self._bands = _band_tables(self.table, self._nebular, self._dust)
        flux = np.empty((len(parameters[0]), len(bands())))
        intrinsic, mass = np.empty(len(flux)), np.empty(len(flux))
        _band_fluxes(*parameters, nebular, self.table.log_age, self.table.log_zmet, self.table.mass, self._bands,
                     flux, intrinsic, mass)  # fmt: skip
        return derived_from(parameters[0], parameters[1], mass, flux, intrinsic)


def derived_from(age: Array, tau: Array, mass_fraction: Array, flux: Array, intrinsic: Array) -> Derived:
    """Return the derived quantities from mean L_nu [Lsun/Hz] per Msun formed in `bands`.

    Parameters
    ----------
    age, tau, mass_fraction : ndarrays of shape (n, )
        Age and e-folding time [Gyr]; surviving mass per mass formed.
    flux : ndarray of shape (n, n_band)
        In the order of `bands`.
    intrinsic : ndarray of shape (n, )
        Of the first band, without dust.

    """
    muv, f125w, f160w, u, v, j = photometry.absolute_magnitude(flux / mass_fraction[:, None]).T
    return Derived(
        mass_fraction=mass_fraction,
        log_ssfr=np.log10(psi_n(age, tau) / mass_fraction) - 9.0,
        muv=muv,
        muv_intrinsic=photometry.absolute_magnitude(intrinsic / mass_fraction),
        beta=4.43 * (f125w - f160w) - 2.0,
        uv=u - v,
        vj=v - j,
    )


def _parameters(*values: ArrayLike) -> tuple[Array, Array, Array, Array, Array]:
    """Return the five parameters as contiguous arrays of one shape (n, )."""
    arrays = np.broadcast_arrays(*map(np.atleast_1d, values))
    age, tau, log_zmet, log_us, dust2 = (np.ascontiguousarray(array, np.float64) for array in arrays)
    return age, tau, log_zmet, log_us, dust2


@numba.njit(cache=True, parallel=True, fastmath={"contract"})
def _spectra(  # type: ignore[no-untyped-def]
    age, tau, log_zmet, log_us, dust2, shines, log_age, zmet_nodes, stellar, n_ionising, neb, dust_log2, out
) -> None:
    n_young, n_wave = len(neb.node), out.shape[1]
    for g in numba.prange(len(age)):
        weights = np.empty(len(log_age))
        used = delayed_tau_weights(age[g], tau[g], log_age, weights)
        z, dz = bracket(zmet_nodes, log_zmet[g])
        spectrum = out[g]
        spectrum[:] = _F(0.0)
        for a in range(used):
            first = n_ionising if a < n_young else 0
            low, high = _F(weights[a] * (1.0 - dz)), _F(weights[a] * dz)
            below, above = stellar[z, a], stellar[z + 1, a]
            for i in range(first, n_wave):
                spectrum[i] += low * below[i] + high * above[i]
        if shines:
            gas_z, gas_dz = bracket(neb.log_zmet, log_zmet[g])
            u, du = bracket(neb.log_us, log_us[g])
            continuum = np.empty(neb.continuum.shape[2:], np.float32)
            lines = np.empty(neb.lines.shape[2:], np.float32)
            at_nodes(neb.continuum, gas_z, _F(gas_dz), u, _F(du), continuum)
            at_nodes(neb.lines, gas_z, _F(gas_dz), u, _F(du), lines)
            luminosity = np.zeros(neb.lines.shape[3], np.float32)
            for a in range(min(used, n_young)):
                photons = weights[a] * ((1.0 - dz) * neb.photons[z, a] + dz * neb.photons[z + 1, a])
                if photons > 0.0:
                    add_emission(np.log2(photons), continuum, neb.node[a], neb.fraction[a], spectrum)
                    add_emission(np.log2(photons), lines, neb.node[a], neb.fraction[a], luminosity)
            draw_lines(luminosity, neb.profile_start, neb.profile, spectrum)
        depth = _F(dust2[g])
        for i in range(n_wave):
            spectrum[i] *= exp2(-depth * dust_log2[i])


# Derived quantities. A band's flux behind dust is sum_i w_i L_i exp(-dust2 k_i). Within a band k_i differs little from
# its mean, so the exponential is expanded around it: exp(-dust2 k) sum_j (-dust2)^j m_j with the moments
# m_j = sum_i w_i L_i (k_i - k)^j / j!, linear in L and thus tabulated for the SSPs once. Eleven orders are exact to
# 1e-3 mag for dust2 = 4 in the widest band, to 1e-6 in the median.


@cache
def bands() -> tuple[photometry.Filter, ...]:
    """Return the rest-frame bands behind the derived quantities: M_UV, F125W and F160W at z = 7, U, V, J."""
    return (
        photometry.top_hat("uv1500", 1450.0, 1550.0),
        photometry.load("wfc3_ir_f125w").at_redshift(7.0),
        photometry.load("wfc3_ir_f160w").at_redshift(7.0),
        photometry.load("bessell_U"),
        photometry.load("bessell_V"),
        photometry.load("twomass_J"),
    )


_N_MOMENTS = 11
_DUST2_SCALE = 4.0  # keeps high moments away from the smallest numbers of single precision
_REFINE = 4  # steps between the nodes of the nebular grid in metallicity and ionisation


class _BandTables(NamedTuple):
    """Moments of the bands for each SSP: its stars, and its gas on a refined grid of metallicity and ionisation."""

    k_mean: Array  # (n_band, )
    stellar: NDArray[np.float32]  # (n_zmet, n_age, n_band * n_moment)
    gas_log_zmet: Array
    gas_log_us: Array
    gas: NDArray[np.float32]  # (n_gas_zmet, n_us, n_young, n_band * n_moment), photons of the SSPs included


def _band_tables(table: SSPTable, neb: NebularTables, k: Array) -> _BandTables:
    weights = np.stack([photometry.band_weights(table.wavelength, band) for band in bands()])
    k_mean = weights @ k / weights.sum(axis=1)
    order = np.arange(_N_MOMENTS)
    factorial = np.cumprod(np.maximum(order, 1)).astype(float)
    depth = _DUST2_SCALE * (k - k_mean[:, None])[:, None, :]
    moments = weights[:, None, :] * depth ** order[:, None] / factorial[:, None]
    moments = moments.reshape(-1, len(table.wavelength))
    first, *_, last = np.flatnonzero(np.any(moments != 0.0, axis=0))
    seen = slice(first, last + 1)
    projection = np.ascontiguousarray(moments[:, seen].T, np.float32)

    def project(spectra: NDArray[np.float32]) -> NDArray[np.float32]:
        flat = spectra[..., seen].reshape(-1, len(projection)) @ projection
        return flat.reshape(*spectra.shape[:-1], -1)

    gas_zmet = _refined(np.union1d(table.log_zmet, neb.log_zmet), _REFINE)
    gas_zmet = gas_zmet[(gas_zmet >= table.log_zmet[0]) & (gas_zmet <= table.log_zmet[-1])]
    gas_us = _refined(neb.log_us, _REFINE)
    gas = np.empty((len(gas_zmet), len(gas_us), len(neb.node), moments.shape[0]), np.float32)
    spectra = np.empty((len(gas_us), len(neb.node), len(table.wavelength)), np.float32)
    for i, zmet in enumerate(gas_zmet):
        _gas_spectra(zmet, gas_us, table.log_zmet, neb, first, last + 1, spectra)
        gas[i] = project(spectra)
    return _BandTables(
        k_mean=k_mean,
        stellar=project(table.stellar),
        gas_log_zmet=gas_zmet,
        gas_log_us=gas_us,
        gas=gas,
    )


def _refined(nodes: Array, steps: int) -> Array:
    """Return the nodes with ``steps`` equal steps between neighbours."""
    return np.interp(np.arange(steps * (len(nodes) - 1) + 1) / steps, np.arange(len(nodes)), nodes)


@numba.njit(cache=True, parallel=True)
def _gas_spectra(log_zmet, log_us, zmet_nodes, neb, first, last, out) -> None:  # type: ignore[no-untyped-def]
    """Fill ``out`` (n_us, n_young, n_wave), from ``first`` to ``last``, with the gas around SSPs of 1 Msun."""
    z, dz = bracket(zmet_nodes, log_zmet)
    gas_z, gas_dz = bracket(neb.log_zmet, log_zmet)
    for g in numba.prange(len(log_us)):
        u, du = bracket(neb.log_us, log_us[g])
        continuum = np.empty((neb.continuum.shape[2], last - first), np.float32)
        lines = np.empty(neb.lines.shape[2:], np.float32)
        at_nodes(neb.continuum[:, :, :, first:last], gas_z, _F(gas_dz), u, _F(du), continuum)
        at_nodes(neb.lines, gas_z, _F(gas_dz), u, _F(du), lines)
        for a in range(len(neb.node)):
            log2_photons = np.log2((1.0 - dz) * neb.photons[z, a] + dz * neb.photons[z + 1, a])
            spectrum, luminosity = out[g, a], np.zeros(lines.shape[1], np.float32)
            spectrum[:] = _F(0.0)
            add_emission(log2_photons, continuum, neb.node[a], neb.fraction[a], spectrum[first:last])
            add_emission(log2_photons, lines, neb.node[a], neb.fraction[a], luminosity)
            draw_lines(luminosity, neb.profile_start, neb.profile, spectrum)


@numba.njit(cache=True, parallel=True, fastmath={"contract"})
def _band_fluxes(  # type: ignore[no-untyped-def]
    age, tau, log_zmet, log_us, dust2, shines, log_age, zmet_nodes, ssp_mass, bands, flux, intrinsic, mass
) -> None:
    """Fill flux (n, n_band) [Lsun/Hz], the flux of the first band without dust (n, ) and the surviving mass (n, )."""
    n_band, n_young, n_moment = flux.shape[1], bands.gas.shape[2], bands.stellar.shape[2]
    for g in numba.prange(len(age)):
        weights = np.empty(len(log_age))
        used = delayed_tau_weights(age[g], tau[g], log_age, weights)
        z, dz = bracket(zmet_nodes, log_zmet[g])
        mass[g] = survival(weights, used, ssp_mass[z], ssp_mass[z + 1], dz)
        total = np.zeros(n_moment, np.float32)
        for a in range(used):
            low, high = _F(weights[a] * (1.0 - dz)), _F(weights[a] * dz)
            for i in range(n_moment):
                total[i] += low * bands.stellar[z, a, i] + high * bands.stellar[z + 1, a, i]
        if shines:
            gas_z, gas_dz = bracket(bands.gas_log_zmet, log_zmet[g])
            u, du = bracket(bands.gas_log_us, log_us[g])
            for a in range(min(used, n_young)):
                w00, w01 = _F(weights[a] * (1.0 - gas_dz) * (1.0 - du)), _F(weights[a] * (1.0 - gas_dz) * du)
                w10, w11 = _F(weights[a] * gas_dz * (1.0 - du)), _F(weights[a] * gas_dz * du)
                low0, low1 = bands.gas[gas_z, u, a], bands.gas[gas_z, u + 1, a]
                high0, high1 = bands.gas[gas_z + 1, u, a], bands.gas[gas_z + 1, u + 1, a]
                for i in range(n_moment):
                    total[i] += w00 * low0[i] + w01 * low1[i] + w10 * high0[i] + w11 * high1[i]
        intrinsic[g] = total[0]
        for b in range(n_band):
            value, power = 0.0, 1.0
            for j in range(n_moment // n_band):
                value += power * total[b * (n_moment // n_band) + j]
                power *= -dust2[g] / _DUST2_SCALE
            flux[g, b] = value * np.exp(-dust2[g] * bands.k_mean[b])
