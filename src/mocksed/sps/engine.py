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

from mocksed.sps import derived, dust, lines, nebular, photometry
from mocksed.sps import engine_kernels as kernels
from mocksed.sps.derived import Derived
from mocksed.sps.dust import Curve
from mocksed.sps.model import DEFAULT_MODEL, Model
from mocksed.sps.parameters import checked
from mocksed.sps.table import LIGHT, SSPTable, ionising_photons
from mocksed.sps.weights import history, sfr_per_mass_formed

Array = NDArray[np.float64]

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
        self._lyman_alpha = lines.lyman_alpha(table.line_name)
        emission = dust.emission(table, model) if model.add_dust_emission else np.empty(0)
        self._emission = emission.astype(np.float32)
        nu = LIGHT / table.wavelength
        self._d_nu = 0.5 * (np.diff(-nu, prepend=-nu[0]) + np.diff(-nu, append=-nu[-1]))

    @cached_property
    def _bands(self) -> tuple[derived.BandTables, Curve]:
        with threadpool_limits(1, "blas"):  # with more threads, products of matrices differ in their last bits
            return derived.prepare(self.table, self._nebular, self._dust, self.model.line_attenuation)

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
        lya_escape: ArrayLike | None = None, window: NDArray[np.integer] | None = None,
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
        lya_escape : array_like of shape (n, ), optional
            Fraction of Lyman alpha that leaves the galaxy, instead of what the dust would let through; not used without
            ``nebular``.
        window : ndarray of int of shape (n, 2), optional
            Index of the first wavelength that is wanted of each galaxy, and the one past the last. The others are NaN,
            unless the dust emits: all have to be made then. Those that are made do not depend on the window.

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
        if window is None or len(self._emission):
            window = np.broadcast_to([0, out.shape[1]], (n, 2))
        windows = np.ascontiguousarray(window, np.int64)
        order, starts = blocks(2 * _cell(table.log_zmet, parameters[2]) + shines, kernels.BLOCK, windows[:, 0])
        kernels.spectra(order, starts, windows, *parameters, shines, mass, self._escape(lya_escape, n),
                        self._lyman_alpha, self.model.line_attenuation, self._history, table.log_zmet, table.stellar,
                        table.n_ionising, self._nebular, self._dust_log2, self._emission, self._d_nu, lines,
                        out)  # fmt: skip
        return out

    @staticmethod
    def _escape(lya_escape: ArrayLike | None, n: int) -> Array:
        """Return the fraction of Lyman alpha that leaves each galaxy, shape (n, ); NaN for what dust lets through."""
        return np.ascontiguousarray(np.broadcast_to(np.nan if lya_escape is None else lya_escape, n), np.float64)

    def equivalent_widths(
        self, lines: Sequence[int], luminosity: Array, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike,
        log_us: ArrayLike, dust2: ArrayLike, dust_index: ArrayLike | None = None, *,
        lya_escape: ArrayLike | None = None,
    ) -> Array:  # fmt: skip
        """Return equivalent widths of some lines [A, rest frame], shape (n, n_line).

        They are integrals of a spectrum with the line divided by that without any, less 1. If both are behind the same
        dust, it does not matter unless it emits.

        Parameters
        ----------
        lines : sequence of int
            Indices of the lines.
        luminosity : ndarray of shape (n, n_line)
            Their luminosities for 1 Msun formed, without dust [Lsun].
        age, tau, log_zmet, log_us, dust2, dust_index, lya_escape
            As for `spectra`.

        """
        parameters = list(self._parameters(age, tau, log_zmet, log_us, dust2, dust_index, True))
        if not (self.model.add_dust_emission or self.model.lines_are_apart or lya_escape is not None):
            parameters[4] = np.zeros(len(luminosity))
        of_lines, weight = self._below_lines
        pixel, of_pixel = np.unique(of_lines[lines], return_inverse=True)
        continuum = self.continuum(pixel, *parameters, nebular=True)
        depth, slope = (values[:, None] for values in parameters[4:])
        let_through = np.exp(-self.model.line_attenuation * depth * self._dust.some(pixel).at(slope))
        return nebular.equivalent_widths(
            luminosity, continuum, let_through, of_pixel.reshape(-1, weight.shape[1]), weight[lines],
            np.asarray(lines) == self._lyman_alpha, lya_escape,
        )  # fmt: skip

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
        out = np.empty((n, len(pixel)), np.float32)
        order, starts = blocks(2 * _cell(table.log_zmet, parameters[2]) + shines, kernels.BLOCK)
        window = np.full((n, 2), [0, len(pixel)])
        kernels.spectra(order, starts, window, *parameters, shines, np.ones(n, np.float32), self._escape(None, n),
                        self._lyman_alpha, self.model.line_attenuation, self._history, table.log_zmet,
                        np.ascontiguousarray(table.stellar[..., pixel]),
                        int(np.searchsorted(pixel, table.n_ionising)), self._nebular.some(pixel),
                        self._dust.some(pixel).in_log2(), self._emission, self._d_nu[pixel], False,
                        out)  # fmt: skip
        return out

    @cached_property
    def _below_lines(self) -> tuple[NDArray[np.intp], Array]:
        return nebular.below_lines(self.wavelength, self.line_wavelength, self.table.line_sigma)

    def lines(
        self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike, log_us: ArrayLike, dust2: ArrayLike,
        dust_index: ArrayLike | None = None, *, lya_escape: ArrayLike | None = None,
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
        depth, escape = self.model.line_attenuation * parameters[4], self._escape(lya_escape, len(out))
        kernels.lines(*parameters[:4], depth, parameters[5], escape, self._lyman_alpha, self._history, table.log_zmet,
                      self._nebular, *around, fraction, out)  # fmt: skip
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
        order, starts = blocks(cell + (_cell(bands.gas_log_us, parameters[3]) if nebular else 0), kernels.BLOCK)
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
        kernels.ssp_sums(
            age, tau, self.clip_log_zmet(log_zmet), self._history, self.table.log_zmet, self.table.mass, mass
        )
        return np.asarray(np.log10(sfr_per_mass_formed(self.model.sfh, age, tau) / mass) - 9.0)

    def ionising_photons(self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike) -> Array:
        """Return the rate at which stars of 1 Msun formed make photons below 912 A [1/s], shape (n, ).

        Those of all ages count, though only stars up to 2e7 yr light the gas, as in FSPS. Arguments as in `spectra`.
        """
        age, tau, log_zmet = (np.atleast_1d(np.asarray(values, np.float64)) for values in (age, tau, log_zmet))
        rate = np.empty(len(age))
        kernels.ssp_sums(
            age, tau, self.clip_log_zmet(log_zmet), self._history, self.table.log_zmet, self._photons, rate
        )
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


def blocks(
    cell: NDArray[np.int64], size: int, within: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return an order of galaxies by cell, and where blocks of one cell and at most ``size`` start in it, and its end.

    Galaxies of a cell use the same rows of a table, which then are in the cache. Those of a block are close in
    ``within``, too.
    """
    order = np.argsort(cell, kind="stable") if within is None else np.lexsort((within, cell))
    edges = np.flatnonzero(np.diff(cell[order], prepend=-1, append=-1))
    starts = [np.arange(first, last, size) for first, last in pairwise(edges)]
    return order, np.concatenate([*starts, [len(cell)]]).astype(np.int64)
