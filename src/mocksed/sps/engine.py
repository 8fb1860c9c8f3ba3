"""Composite stellar populations for many galaxies at once, from an SSP table.

Every number depends on its own galaxy alone and is computed in the same order whatever the others are, so that the
same galaxy gives the same bytes in any batch and with any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from mocksed.compiled import njit, prange
from mocksed.sps import derived, dust, nebular, photometry
from mocksed.sps.derived import Derived
from mocksed.sps.dust import Curve, transmission
from mocksed.sps.model import DEFAULT_MODEL, Model
from mocksed.sps.nebular import add_continuum, add_lines, bracket, draw_lines
from mocksed.sps.parameters import checked
from mocksed.sps.table import LIGHT, SSPTable, ionising_photons
from mocksed.sps.weights import History, history, sfr_per_mass_formed, ssp_weights, survival

Array = NDArray[np.float64]
_F = np.float32

_SELF_ABSORPTION = 1e-2
"""FSPS lets dust absorb its own emission again until less than this is left [Lsun per Msun formed]."""

_SPECTRA_AT_ONCE = 4096  # whose derived quantities are taken from them


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
        self.line_name = table.line_name
        self.line_wavelength = table.line_wavelength
        self._history = history(model.sfh, table.log_age)
        self._nebular = nebular.prepare(table)
        self._dust = dust.curve(table.wavelength, model)
        self._dust_log2 = self._dust.in_log2()
        emission = dust.emission(table, model) if model.add_dust_emission else np.empty(0)
        self._emission = emission.astype(np.float32)
        nu = LIGHT / table.wavelength
        self._d_nu = 0.5 * (np.diff(-nu, prepend=-nu[0]) + np.diff(-nu, append=-nu[-1]))

    @cached_property
    def _bands(self) -> tuple[derived.BandTables, Curve]:
        with threadpool_limits(1, "blas"):  # with more threads, products of matrices differ in their last bits
            return derived.prepare(self.table, self._nebular, self._dust)

    def prepared(self) -> Engine:
        """Return this engine with the tables of `derived` at hand, which are otherwise made when they are needed."""
        _ = self._bands
        return self

    @property
    def about(self) -> dict[str, object]:
        """What the numbers come from, for the metadata of files."""
        return {"engine": "table", "ssp_table": self.table.provenance, "sps_model": asdict(self.model)}

    def clip_log_zmet(self, log_zmet: ArrayLike) -> Array:
        """Return metallicities moved into the range of the table: FSPS would extrapolate."""
        return np.clip(np.asarray(log_zmet, np.float64), *self.table.log_zmet_range)

    def clip_log_us(self, log_us: ArrayLike) -> Array:
        """Return ionisation parameters moved into the range of the table, as FSPS does."""
        return np.clip(np.asarray(log_us, np.float64), self.table.neb_log_us[0], self.table.neb_log_us[-1])

    def spectra(
        self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike, log_us: ArrayLike, dust2: ArrayLike,
        dust_index: ArrayLike | None = None, *, nebular: ArrayLike, mass_formed: ArrayLike = 1.0, lines: bool = True,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Return rest-frame spectra, L_nu [Lsun/Hz], shape (n, n_wave).

        Parameters
        ----------
        age, tau : array_like of shape (n, )
            Age and e-folding time of the star-formation history [Gyr].
        log_zmet : array_like of shape (n, )
            log10(Z/Zsun) of stars and gas; moved into the range of the table.
        log_us : array_like of shape (n, )
            log10 of the ionisation parameter; moved into the range of the table; unused without ``nebular``.
        dust2 : array_like of shape (n, )
            Optical depth of the diffuse dust at 5500 A.
        dust_index : array_like of shape (n, ), optional
            Slope of the attenuation curve; only used where the model leaves it free (`Model.slope_is_free`).
        nebular : bool or array_like of bool of shape (n, )
            Whether the gas shines (and absorbs the ionising photons).
        mass_formed : array_like of shape (n, ), optional
            Stellar mass that formed [Msun].
        lines : bool
            Whether the emission lines are drawn; dust that emits is lit by them all the same.

        Raises
        ------
        UserError
            If an age, tau, dust2 or dust_index is not a number or out of range.

        """
        parameters = self._parameters(age, tau, log_zmet, log_us, dust2, dust_index, nebular)
        table, n = self.table, len(parameters[0])
        shines = np.ascontiguousarray(np.broadcast_to(nebular, n), bool)
        mass = np.ascontiguousarray(np.broadcast_to(mass_formed, n), np.float32)
        out = np.empty((n, len(table.wavelength)), np.float32)
        order, starts = blocks(2 * _cell(table.log_zmet, parameters[2]) + shines, _BLOCK)
        _spectra(order, starts, *parameters, shines, mass, self._history, table.log_zmet, table.stellar,
                 table.n_ionising, self._nebular, self._dust_log2, self._emission, self._d_nu, lines, out)  # fmt: skip
        return out

    def equivalent_widths(
        self, lines: Sequence[int], luminosity: Array, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike,
        log_us: ArrayLike, dust2: ArrayLike, dust_index: ArrayLike | None = None,
    ) -> Array:  # fmt: skip
        """Return equivalent widths of some lines [A, rest frame], shape (n, n_line).

        They are integrals of a spectrum with the line divided by that without any, less 1. Both are behind the same
        dust, which therefore does not matter unless it emits.

        Parameters
        ----------
        lines : sequence of int
            Indices of the lines.
        luminosity : ndarray of shape (n, n_line)
            Their luminosities for 1 Msun formed, without dust [Lsun].
        age, tau, log_zmet, log_us, dust2, dust_index
            As for `spectra`.

        """
        parameters = list(self._parameters(age, tau, log_zmet, log_us, dust2, dust_index, True))
        if not self.model.add_dust_emission:
            parameters[4] = np.zeros(len(luminosity))
        of_lines, weight = self._below_lines
        pixel, of_pixel = np.unique(of_lines[lines], return_inverse=True)
        continuum = self.continuum(pixel, *parameters, nebular=True)
        depth, slope = (values[:, None] for values in parameters[4:])
        let_through = np.exp(-depth * self._dust.some(pixel).at(slope))
        return luminosity * nebular.mean_inverse(
            continuum, let_through, of_pixel.reshape(-1, weight.shape[1]), weight[lines]
        )

    def continuum(
        self, pixel: NDArray[np.intp], age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike, log_us: ArrayLike,
        dust2: ArrayLike, dust_index: ArrayLike | None = None, *, nebular: ArrayLike,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Return `spectra` of 1 Msun formed without lines at some of the wavelengths, by increasing index."""
        if self.model.add_dust_emission:  # which wants to know all that the dust absorbs
            return self.spectra(age, tau, log_zmet, log_us, dust2, dust_index, nebular=nebular, lines=False)[:, pixel]
        parameters = self._parameters(age, tau, log_zmet, log_us, dust2, dust_index, nebular)
        table, n = self.table, len(parameters[0])
        shines = np.ascontiguousarray(np.broadcast_to(nebular, n), bool)
        neb = self._nebular._replace(continuum=np.ascontiguousarray(self._nebular.continuum[..., pixel]))
        out = np.empty((n, len(pixel)), np.float32)
        order, starts = blocks(2 * _cell(table.log_zmet, parameters[2]) + shines, _BLOCK)
        _spectra(order, starts, *parameters, shines, np.ones(n, np.float32), self._history, table.log_zmet,
                 np.ascontiguousarray(table.stellar[..., pixel]), int(np.searchsorted(pixel, table.n_ionising)), neb,
                 self._dust.some(pixel).in_log2(), self._emission, self._d_nu[pixel], False, out)  # fmt: skip
        return out

    @cached_property
    def _below_lines(self) -> tuple[NDArray[np.intp], Array]:
        return nebular.below_lines(self.wavelength, self.line_wavelength, self.table.line_sigma)

    def lines(
        self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike, log_us: ArrayLike, dust2: ArrayLike,
        dust_index: ArrayLike | None = None,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Return luminosities of the emission lines of 1 Msun formed, behind the dust [Lsun], shape (n, n_line).

        Arguments as in `spectra`; names and wavelengths are those of the table.
        """
        parameters = self._parameters(age, tau, log_zmet, log_us, dust2, dust_index, True)
        table = self.table
        out = np.zeros((len(parameters[0]), len(table.line_wavelength)), np.float32)
        # FSPS interpolates the transmission of the dust, not its optical depth
        pixel = np.clip(np.searchsorted(table.wavelength, table.line_wavelength) - 1, 0, len(table.wavelength) - 2)
        left, right = table.wavelength[pixel], table.wavelength[pixel + 1]
        fraction = (table.line_wavelength - left) / (right - left)
        around = self._dust.some(pixel).in_log2(), self._dust.some(pixel + 1).in_log2()
        _lines(*parameters, self._history, table.log_zmet, self._nebular, *around, fraction, out)
        return out

    def derived(
        self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike, log_us: ArrayLike, dust2: ArrayLike,
        dust_index: ArrayLike | None = None, *, nebular: bool,
    ) -> Derived:  # fmt: skip
        """Return SFR, surviving mass, UV magnitudes and colours without the spectra; arguments as in `spectra`.

        Where the tables of `mocksed.sps.derived` do not hold, behind very much dust and with dust emission, the
        quantities are taken from the spectra, which takes ten times as long.
        """
        parameters = self._parameters(age, tau, log_zmet, log_us, dust2, dust_index, nebular)
        bands, dust = self._bands
        depth = parameters[4]
        beyond = (depth > 0.0) if self.model.add_dust_emission else ~derived.holds(self._dust, *parameters[4:])
        flux = np.empty((len(depth), len(bands.first) - 1))
        intrinsic, mass = np.empty(len(flux)), np.empty(len(flux))
        cell = _cell(bands.gas_log_zmet, parameters[2]) * len(bands.gas_log_us)
        order, starts = blocks(cell + (_cell(bands.gas_log_us, parameters[3]) if nebular else 0), _BLOCK)
        within = (*parameters[:4], np.where(beyond, 0.0, depth), parameters[5])
        derived.band_fluxes(order, starts, *within, nebular, self._history, self.table.log_zmet, self.table.mass,
                            bands, dust, flux, intrinsic, mass)  # fmt: skip
        for rows in np.array_split(np.flatnonzero(beyond), beyond.sum() // _SPECTRA_AT_ONCE + 1):
            if len(rows):
                spectra = self.spectra(*(values[rows] for values in parameters), nebular=nebular)
                flux[rows] = photometry.mean_fluxes(self.wavelength, spectra, derived.bands())
        return derived.from_fluxes(self.model.sfh, parameters[0], parameters[1], mass, flux, intrinsic)

    def log_ssfr(self, age: Array, tau: Array, log_zmet: Array) -> Array:
        """Return log10 of SFR per surviving mass [1/yr] alone, shape (n, ); arguments as in `spectra`."""
        mass = np.empty(len(age))
        _ssp_sums(age, tau, self.clip_log_zmet(log_zmet), self._history, self.table.log_zmet, self.table.mass, mass)
        return np.asarray(np.log10(sfr_per_mass_formed(self.model.sfh, age, tau) / mass) - 9.0)

    def ionising_photons(self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike) -> Array:
        """Return the rate at which stars of 1 Msun formed make photons below 912 A [1/s], shape (n, ).

        Those of all ages count, though only stars up to 2e7 yr light the gas, as in FSPS. Arguments as in `spectra`.
        """
        age, tau, log_zmet = (np.atleast_1d(np.asarray(values, np.float64)) for values in (age, tau, log_zmet))
        rate = np.empty(len(age))
        _ssp_sums(age, tau, self.clip_log_zmet(log_zmet), self._history, self.table.log_zmet, self._photons, rate)
        return rate

    @cached_property
    def _photons(self) -> Array:
        return ionising_photons(self.table.wavelength, self.table.stellar)

    def attenuation(self, wavelength: ArrayLike, dust_index: ArrayLike) -> Array:
        """Return optical depths at wavelengths [A] relative to that at 5500 A.

        Parameters
        ----------
        wavelength : array_like of shape (n_wave, )
            Rest frame [A]; the nearest ones of the table are taken.
        dust_index : array_like of shape (n, )
            Slopes of the attenuation curve.

        Returns
        -------
        ndarray of shape (n, n_wave)

        """
        nearest = [int(np.argmin(np.abs(self.wavelength - at))) for at in np.atleast_1d(wavelength)]
        depth = self._dust.some(np.array(nearest)).at(np.asarray(dust_index, float)[:, None])
        return np.broadcast_to(depth, (np.size(dust_index), len(nearest)))

    def _parameters(
        self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike, log_us: ArrayLike, dust2: ArrayLike,
        dust_index: ArrayLike | None, nebular: ArrayLike,
    ) -> tuple[Array, Array, Array, Array, Array, Array]:  # fmt: skip
        """Return the parameters as arrays of one shape (n, ), checked and moved into the table."""
        oldest = 10.0 ** (self.table.log_age[-1] - 9.0)
        age, tau, log_zmet, log_us, dust2, dust_index = checked(
            age, tau, log_zmet, log_us, dust2, dust_index, nebular=nebular, model=self.model, oldest=oldest
        )
        return age, tau, self.clip_log_zmet(log_zmet), self.clip_log_us(log_us), dust2, dust_index


def _cell(nodes: Array, values: Array) -> NDArray[np.int64]:
    """Return the node below each value, as `bracket` finds it."""
    return np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)


def blocks(cell: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return an order of galaxies by cell, and where blocks of one cell and at most ``size`` start in it, and its end.

    Galaxies of a cell use the same rows of a table, which then are in the cache.
    """
    order = np.argsort(cell, kind="stable")
    edges = np.flatnonzero(np.diff(cell[order], prepend=-1, append=-1))
    starts = [np.arange(first, last, size) for first, last in pairwise(edges)]
    return order, np.concatenate([*starts, [len(cell)]]).astype(np.int64)


@njit(parallel=True)
def _ssp_sums(age, tau, log_zmet, history: History, zmet_nodes, of_ssp, out) -> None:  # type: ignore[no-untyped-def]
    """Fill ``out`` (n, ) with the sums over its stars of what SSPs of 1 Msun have, ``of_ssp`` (n_zmet, n_age)."""
    for g in prange(len(age)):
        weights = np.empty(len(history.log_age))
        used = ssp_weights(history, age[g], tau[g], weights)
        z, dz = bracket(zmet_nodes, log_zmet[g])
        out[g] = survival(weights, used, of_ssp[z], of_ssp[z + 1], dz)


# What one galaxy gets does not depend on the others of its block: they are only side by side.

_BLOCK = 32  # galaxies whose spectra are made together
_TILE = 256  # wavelengths at a time: the SSPs between two metallicities then fit into the second-level cache


@njit(fastmath={"contract"})
def _add_ssps(low, high, ages, weights, wavelengths, spectrum0, spectrum1):  # type: ignore[no-untyped-def]
    """Add to two spectra the SSPs (n_age, n_wave) of two metallicities, two ages at a time.

    ``ages`` and ``wavelengths`` are the first and the one past the last; ``weights`` (2, 2 n_age) of each spectrum
    alternate between the metallicities.
    """
    first, last = wavelengths
    s0, s1 = spectrum0[first:last], spectrum1[first:last]
    for a in range(ages[0], ages[1], 2):
        b = min(a + 1, len(low) - 1)  # of weight zero where there is none
        r0, r1, r2, r3 = low[a, first:last], high[a, first:last], low[b, first:last], high[b, first:last]
        p0, p1, p2, p3 = weights[0, 2 * a], weights[0, 2 * a + 1], weights[0, 2 * a + 2], weights[0, 2 * a + 3]
        q0, q1, q2, q3 = weights[1, 2 * a], weights[1, 2 * a + 1], weights[1, 2 * a + 2], weights[1, 2 * a + 3]
        for i in range(last - first):
            s0[i] += p0 * r0[i] + p1 * r1[i] + p2 * r2[i] + p3 * r3[i]
            s1[i] += q0 * r0[i] + q1 * r1[i] + q2 * r2[i] + q3 * r3[i]


@njit(inline="always")
def _shine(formed, used, z, dz, neb):  # type: ignore[no-untyped-def]
    """Return the ionising photons [1/s] of each young SSP of a galaxy, shape (n_used, )."""
    photons = np.empty(min(used, len(neb.node)))
    for a in range(len(photons)):
        photons[a] = formed[a] * ((1.0 - dz) * neb.photons[z, a] + dz * neb.photons[z + 1, a])
    return photons


@njit(parallel=True, fastmath={"contract"})
def _spectra(  # type: ignore[no-untyped-def]
    order, starts, age, tau, log_zmet, log_us, dust2, dust_index, shines, mass, history, zmet_nodes, stellar,
    n_ionising, neb, dust_log2, emission, d_nu, drawn, out,
) -> None:  # fmt: skip
    n_young, (_, n_age, n_wave) = len(neb.node), stellar.shape
    for block in prange(len(starts) - 1):
        members = order[starts[block] : starts[block + 1]]
        even = len(members) + len(members) % 2  # an odd number has a companion of weight zero
        spectra = np.zeros((even, n_wave), np.float32)
        weights, formed = np.zeros((even, 2 * (n_age + 1)), np.float32), np.zeros((even, n_age))
        used, transmitted = np.zeros(even, np.int64), np.empty(n_wave, np.float32)
        z, _ = bracket(zmet_nodes, log_zmet[members[0]])
        lit = shines[members[0]]  # as all members of the block
        n_taken = n_ionising if lit else 0
        for m, g in enumerate(members):
            dz = bracket(zmet_nodes, log_zmet[g])[1]
            used[m] = ssp_weights(history, age[g], tau[g], formed[m])
            for a in range(used[m]):
                weights[m, 2 * a], weights[m, 2 * a + 1] = _F(formed[m, a] * (1.0 - dz)), _F(formed[m, a] * dz)
        for first in range(n_taken, n_wave, _TILE):
            tile = (first, min(first + _TILE, n_wave))
            for m in range(0, even, 2):
                ages = (0, max(used[m], used[m + 1]))
                _add_ssps(stellar[z], stellar[z + 1], ages, weights[m : m + 2], tile, spectra[m], spectra[m + 1])
        # the gas takes the ionising photons of the young stars: only the older ones are left at those wavelengths
        weights[:, : 2 * n_young] = _F(0.0)
        for first in range(0, n_taken, _TILE):
            tile = (first, min(first + _TILE, n_taken))
            for m in range(0, even, 2):
                ages = (n_young - n_young % 2, max(used[m], used[m + 1]))
                _add_ssps(stellar[z], stellar[z + 1], ages, weights[m : m + 2], tile, spectra[m], spectra[m + 1])
        for m, g in enumerate(members):
            spectrum, attenuated = spectra[m], out[g]
            luminosity = np.zeros(neb.lines.shape[3], np.float32)
            if lit:
                gas_z, gas_dz = bracket(neb.log_zmet, log_zmet[g])
                u, du = bracket(neb.log_us, log_us[g])
                photons = _shine(formed[m], used[m], z, bracket(zmet_nodes, log_zmet[g])[1], neb)
                add_continuum(photons, neb, gas_z, _F(gas_dz), u, _F(du), spectrum)
                if drawn or len(emission):
                    add_lines(photons, neb, gas_z, _F(gas_dz), u, _F(du), luminosity)
                if drawn:
                    draw_lines(luminosity, neb.profile_start, neb.profile, spectrum)
            transmission(dust2[g], dust_index[g], dust_log2, transmitted)
            for i in range(n_wave):
                spectrum[i] *= mass[g]
                attenuated[i] = spectrum[i] * transmitted[i]
            if len(emission) and dust2[g] > 0.0:
                if lit and not drawn:  # the dust absorbs them
                    luminosity *= mass[g]
                    draw_lines(luminosity, neb.profile_start, neb.profile, spectrum)
                _add_dust_emission(spectrum, mass[g], transmitted, emission, d_nu, attenuated)


@njit(fastmath={"contract"})
def _add_dust_emission(spectrum, mass, transmitted, emission, d_nu, attenuated):  # type: ignore[no-untyped-def]
    """Add to the attenuated spectrum what the dust emits: what it absorbs, its own emission included.

    The emission has the integral 1; of what the dust emits it absorbs the same fraction again (``add_dust.f90``).
    """
    absorbed, of_itself = 0.0, 0.0
    for i in range(len(spectrum)):
        opaque = d_nu[i] * (1.0 - transmitted[i])
        absorbed += opaque * spectrum[i]
        of_itself += opaque * emission[i]
    luminosity = left = absorbed
    while left * of_itself > _SELF_ABSORPTION * mass:
        left *= of_itself
        luminosity += left
    for i in range(len(spectrum)):
        attenuated[i] += _F(luminosity) * emission[i] * transmitted[i]


@njit(parallel=True, fastmath={"contract"})
def _lines(  # type: ignore[no-untyped-def]
    age, tau, log_zmet, log_us, dust2, dust_index, history, zmet_nodes, neb, dust_left, dust_right, fraction, out
) -> None:
    for g in prange(len(age)):
        formed, left, right = np.empty(len(history.log_age)), np.empty_like(out[g]), np.empty_like(out[g])
        used = ssp_weights(history, age[g], tau[g], formed)
        z, dz = bracket(zmet_nodes, log_zmet[g])
        gas_z, gas_dz = bracket(neb.log_zmet, log_zmet[g])
        u, du = bracket(neb.log_us, log_us[g])
        add_lines(_shine(formed, used, z, dz, neb), neb, gas_z, _F(gas_dz), u, _F(du), out[g])
        transmission(dust2[g], dust_index[g], dust_left, left)
        transmission(dust2[g], dust_index[g], dust_right, right)
        for i in range(len(fraction)):
            out[g, i] *= (1.0 - fraction[i]) * left[i] + fraction[i] * right[i]
