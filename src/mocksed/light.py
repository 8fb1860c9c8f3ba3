"""What the galaxies of a catalogue emit, from their parameters: spectra, magnitudes, lines, ionising photons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mocksed import realisations
from mocksed.blocks import row_blocks
from mocksed.cosmology import Cosmology, distance_modulus
from mocksed.errors import UserError
from mocksed.files.columns import (
    INTRINSIC,
    LYA_ESCAPE,
    equivalent_width_column,
    line_column,
    line_flux_column,
    magnitude_column,
    rest_frame_column,
)
from mocksed.progress import Progress
from mocksed.relations import lya
from mocksed.rng import Stage, uniforms
from mocksed.search.parent import FSPS
from mocksed.sps import igm, photometry
from mocksed.sps.filters import Filter
from mocksed.sps.lines import LYMAN_ALPHA, indices
from mocksed.sps.table import LSUN
from mocksed.sps.weights import mean_sfr_per_mass_formed

if TYPE_CHECKING:
    from mocksed.sps.engine import Engine
    from mocksed.sps.fsps import ReferenceEngine

Array = NDArray[np.float64]

BLOCK = 4096
"""Galaxies whose spectra are held at once."""


def fsps(columns: Mapping[str, NDArray], rows: NDArray[np.int64]) -> Iterator[Array]:
    """Yield the arguments of the engine; the ionisation parameter is unused without gas."""
    for name in FSPS:
        yield columns[name][rows]


def mass_formed(columns: Mapping[str, NDArray]) -> Array:
    """Return the stellar mass that each galaxy formed [Msun]: FSPS forms 1 Msun, of which mass_fraction survives."""
    with np.errstate(divide="ignore", invalid="ignore"):
        formed = 10.0 ** columns["log_mstar"] / columns["mass_fraction"]
    bad = ~(np.isfinite(formed) & (formed > 0.0))
    if np.any(bad):
        row = int(np.argmax(bad))
        raise UserError(
            f"the catalogue is damaged: row {row} has log_mstar {columns['log_mstar'][row]:g} and mass_fraction "
            f"{columns['mass_fraction'][row]:g}. Remove that file of catalog/ and run again."
        )
    return formed


def spectra(
    columns: Mapping[str, NDArray],
    engine: Engine | ReferenceEngine,
    progress: Progress | None = None,
    *,
    lines: bool = True,
    window: Callable[[NDArray[np.int64]], NDArray[np.int64]] | None = None,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the spectra of a catalogue in blocks of rows, rest-frame L_nu [Lsun/Hz] of the whole galaxy.

    FSPS forms 1 Msun; a galaxy of stellar mass M formed M / mass_fraction.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n, )
        ``quiescent``, ``log_mstar``, ``mass_fraction`` and `mocksed.search.parent.FSPS`; ``lya_escape`` unless dust
        alone sets how much Lyman alpha leaves.
    engine : Engine or ReferenceEngine
        The stellar population model.
    progress : Progress, optional
        Counts the galaxies that are done.
    lines : bool
        Whether the spectra contain the emission lines.
    window : function, optional
        Returns the wavelengths that are needed for some rows, as `Engine.spectra` takes them.

    Yields
    ------
    slice, ndarray of shape (rows, n_wave)

    """
    formed = mass_formed(columns)
    for block in row_blocks(0, len(formed), BLOCK):
        rows = np.arange(block.start, block.stop)
        flux = engine.spectra(
            *fsps(columns, rows),
            nebular=~columns["quiescent"][block],
            mass_formed=formed[block],
            lines=lines,
            lya_escape=lya_escape_of(columns, rows),
            window=window(rows) if window else None,
        )
        yield block, flux
        if progress:
            progress.update(len(flux))


def magnitudes(
    columns: Mapping[str, NDArray],
    filters: Sequence[Filter],
    rest_frame: Sequence[Filter] = (),
    *,
    engine: Engine | ReferenceEngine,
    cosmo: Cosmology,
    igm_model: str,
    lines: bool = True,
    progress: Progress | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Return the AB magnitudes of a catalogue, one column for each filter.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n, )
        As for `spectra`, and ``redshift``.
    filters : sequence of Filter
        Filters of the apparent magnitudes, which the intergalactic medium dims.
    rest_frame : sequence of Filter
        Filters of the absolute magnitudes, in the rest frame.
    engine : Engine or ReferenceEngine
        The stellar population model.
    cosmo : Cosmology
        Cosmology of the distances.
    igm_model : str
        A name that `mocksed.sps.igm.transmission` takes.
    lines : bool
        Whether they include the emission lines.
    progress : Progress, optional
        Counts the galaxies that are done.

    Returns
    -------
    dict of ndarrays of shape (n, )
        NaN without detectable flux, and for apparent magnitudes at redshift 0.

    Raises
    ------
    UserError
        If a filter reaches beyond the spectra of a galaxy.

    """
    wavelength = engine.wavelength
    photometry.check_reach(filters, wavelength, columns["redshift"])
    photometry.check_reach(rest_frame, wavelength)
    apparent, absolute = (
        np.empty((len(bands), len(columns["redshift"])), np.float32) for bands in (filters, rest_frame)
    )

    def window(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return photometry.windows(wavelength, filters, columns["redshift"][rows], rest_frame)

    blocks = spectra(columns, engine, progress, lines=lines, window=window) if filters or rest_frame else ()
    for block, flux in blocks:
        absolute[:, block] = photometry.absolute_magnitude(photometry.mean_fluxes(wavelength, flux, rest_frame)).T
        redshift = columns["redshift"][block]
        begin = photometry.windows(wavelength, filters, redshift)[:, 0]
        transmission = igm.transmission(igm_model, wavelength, redshift, begin)
        l_nu = photometry.mean_fluxes(wavelength, flux, filters, redshift, transmission)
        apparent[:, block] = photometry.apparent_magnitude(l_nu, redshift, distance_modulus(cosmo, redshift)).T
    names = [magnitude_column(band.name) for band in filters] + [rest_frame_column(band.name) for band in rest_frame]
    return dict(zip(names, [*apparent, *absolute], strict=True))


def lines(
    columns: Mapping[str, NDArray],
    names: Sequence[str] | str,
    *,
    engine: Engine | ReferenceEngine,
    cosmo: Cosmology,
    progress: Progress | None = None,
) -> dict[str, Array]:
    """Return the columns of emission lines, for the whole galaxy.

    Equivalent widths are integrals over the spectrum with the line divided by that of stars and gas without it, less 1.
    Where lines and continuum are behind the same dust, widths with and without dust differ only if the dust emits.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n, )
        As for `spectra`, and ``redshift``.
    names : sequence of str, or "all"
        Names that `mocksed.sps.lines.slug` takes.
    engine : Engine or ReferenceEngine
        The stellar population model.
    cosmo : Cosmology
        Cosmology of the distances.
    progress : Progress, optional
        Counts the galaxies that are done.

    Returns
    -------
    dict of ndarrays of shape (n, )
        For each line its luminosity [Lsun] with dust and without, its flux [erg/s/cm^2] with dust, and the equivalent
        widths [A, rest frame] with dust and without. NaN for quiescent galaxies, which have no gas, and of fluxes at
        redshift 0.

    Raises
    ------
    UserError
        If a line does not exist.

    """
    line_indices = indices(names, engine.line_name)
    index = list(line_indices.values())
    n, formed = len(columns["quiescent"]), mass_formed(columns)
    luminosity, width = (np.full((2, len(line_indices), n), np.nan) for _ in range(2))
    shining = np.flatnonzero(~columns["quiescent"])
    for block in row_blocks(0, len(shining) if line_indices else 0, BLOCK):
        rows = shining[block]
        behind = dict(zip(FSPS, fsps(columns, rows), strict=True))
        clear = behind | {"dust2": np.zeros(len(rows))}
        escape = lya_escape_of(columns, rows)
        per_mass = [
            engine.lines(**parameters)[:, index].astype(np.float64)
            for parameters in (behind | {"lya_escape": escape}, clear)
        ]
        widths = [engine.equivalent_widths(index, per_mass[1], **clear)] * 2
        if engine.model.add_dust_emission or engine.model.lines_are_apart or escape is not None:
            widths[0] = engine.equivalent_widths(index, per_mass[1], **behind, lya_escape=escape)
        for i in range(2):
            luminosity[i][:, rows], width[i][:, rows] = (per_mass[i] * formed[rows, None]).T, widths[i].T
        if progress:
            progress.update(len(rows))
    flux = luminosity[0] * flux_of_lsun(cosmo, columns["redshift"])
    result = {}
    for i, name in enumerate(line_indices):
        result[line_column(name)], result[line_column(name) + INTRINSIC] = luminosity[:, i]
        result[line_flux_column(name)] = flux[i]
        result[equivalent_width_column(name)], result[equivalent_width_column(name) + INTRINSIC] = width[:, i]
    return result


def flux_of_lsun(cosmo: Cosmology, redshift: Array) -> Array:
    """Return the flux of one solar luminosity of FSPS at redshifts [erg/s/cm^2]; NaN at redshift 0."""
    modulus = np.where(redshift > 0.0, distance_modulus(cosmo, redshift), np.nan)
    return np.asarray(photometry.PER_LSUN_AT_10PC * 10.0 ** (-0.4 * modulus))


def lya_escape_of(columns: Mapping[str, NDArray], rows: NDArray[np.int64]) -> Array | None:
    """Return the fractions of Lyman alpha that leave some galaxies of a catalogue; None where dust alone sets them."""
    return columns[LYA_ESCAPE][rows] if LYA_ESCAPE in columns else None


def lya_escape(
    columns: Mapping[str, NDArray], law: str | float, *, engine: Engine | ReferenceEngine, seed: int
) -> dict[str, Array]:
    """Return the column ``lya_escape``, or no column where dust alone sets how much Lyman alpha leaves a galaxy.

    A drawn equivalent width is that of the galaxy, before the intergalactic medium: the fraction is the one that gives
    the line this width above stars and gas behind their dust, at most 1.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n, )
        As for `spectra`, ``galaxy_id`` and ``redshift``, and ``realisation`` where there is one.
    law : str or float
        One of `mocksed.relations.lya.LAWS`, or a fraction for all galaxies.
    engine : Engine or ReferenceEngine
        The stellar population model.
    seed : int
        The seed of the run.

    Returns
    -------
    dict of ndarray of shape (n, )
        NaN for quiescent galaxies, which have no gas.

    """
    if law == "dust":
        return {}
    shining = np.flatnonzero(~columns["quiescent"])
    escape = np.full(len(columns["quiescent"]), np.nan)
    if law == "hayes2011":
        escape[shining] = lya.hayes2011(columns["redshift"][shining])
    elif law == "oyarzun2016":
        realisation = columns.get(realisations.COLUMN, np.zeros(len(escape), np.int64))
        uniform = uniforms(seed, Stage.LYMAN_ALPHA, columns["galaxy_id"], 1, realisation=realisation)[:, 0]
        index = [indices([LYMAN_ALPHA], engine.line_name)[LYMAN_ALPHA]]
        for block in row_blocks(0, len(shining), BLOCK):
            rows = shining[block]
            behind = dict(zip(FSPS, fsps(columns, rows), strict=True))
            unattenuated = engine.lines(**behind | {"dust2": np.zeros(len(rows))})[:, index].astype(np.float64)
            full_width = engine.equivalent_widths(index, unattenuated, **behind, lya_escape=1.0)[:, 0]
            width = lya.oyarzun2016(columns["log_mstar"][rows], uniform[rows])
            with np.errstate(divide="ignore", invalid="ignore"):
                escape[rows] = np.where(width < full_width, width / full_width, 1.0)
    else:
        escape[shining] = float(law)
    return {LYA_ESCAPE: escape}


def averaged_sfr(columns: Mapping[str, NDArray], sfh: str) -> dict[str, Array]:
    """Return the SFR averaged over the last 10 and 100 Myr, ``log_sfr_10`` and ``log_sfr_100`` [log10(Msun/yr)].

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n, )
        ``age``, ``tau``, ``log_mstar`` and ``mass_fraction``.
    sfh : str
        Star-formation history, one of `mocksed.sps.weights.HISTORIES`.

    """
    log_formed, history = np.log10(mass_formed(columns)), (columns["age"], columns["tau"])
    return {
        f"log_sfr_{myr}": np.log10(mean_sfr_per_mass_formed(sfh, *history, over=1e-3 * myr)) - 9.0 + log_formed
        for myr in (10, 100)
    }


def ionising(columns: Mapping[str, NDArray], *, engine: Engine | ReferenceEngine) -> dict[str, Array]:
    """Return the rate of ionising photons, ``log_q_ion`` [1/s], and per UV luminosity, ``log_xi_ion`` [Hz/erg].

    From stars only, without dust. xi_ion is this rate over L_nu of ``muv_intrinsic``, the mean over 1450-1550 A of
    stars and gas without dust, as observers have it after correction for dust.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n, )
        As for `spectra`, and ``muv_intrinsic``.
    engine : Engine or ReferenceEngine
        The stellar population model.

    """
    per_mass = engine.ionising_photons(columns["age"], columns["tau"], columns["log_zmet"])
    log_q_ion = np.log10(per_mass * mass_formed(columns))
    log_l_nu = np.log10(photometry.luminosity(columns["muv_intrinsic"]) * LSUN)
    return {"log_q_ion": log_q_ion, "log_xi_ion": log_q_ion - log_l_nu}
