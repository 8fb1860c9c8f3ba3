"""The catalogue: the resulting quantities of each galaxy, in the order of the input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mocksed import realisations
from mocksed.blocks import row_blocks
from mocksed.cosmology import AGE_MARGIN, Cosmology, age_max, distance_modulus
from mocksed.errors import UserError
from mocksed.files import storage
from mocksed.files.columns import (
    INTRINSIC,
    LYA_ESCAPE,
    NOT_MET,
    Flag,
    equivalent_width_column,
    line_column,
    line_flux_column,
    magnitude_column,
    rest_frame_column,
)
from mocksed.progress import Progress
from mocksed.quantities import QUANTITIES
from mocksed.relations import lya
from mocksed.rng import Stage, uniforms
from mocksed.search import given
from mocksed.search.draw import ASKED
from mocksed.search.metric import Metric
from mocksed.search.parent import FSPS
from mocksed.sps import igm, photometry
from mocksed.sps.filters import Filter
from mocksed.sps.lines import LYMAN_ALPHA, indices
from mocksed.sps.table import LSUN
from mocksed.sps.weights import mean_sfr_per_mass_formed
from mocksed.uvj import in_box

if TYPE_CHECKING:
    from mocksed.sps.engine import Engine
    from mocksed.sps.fsps import ReferenceEngine

Array = NDArray[np.float64]

BLOCK = 4096
"""Galaxies whose spectra are held at once."""

DRAWN = tuple(f"prop_{name}" for name in ASKED["star_forming"])
"""Columns of what was drawn for a galaxy."""

FAR = 1.0
"""Distance between what was asked and what came out above which a galaxy is flagged."""

_ROUNDING = 1e-6  # parameters of parent points are kept in single precision
_N_LISTED = 5  # identifiers that a message names


def build(
    galaxies: Mapping[str, NDArray],
    assigned: Mapping[str, NDArray],
    *,
    engine: Engine | ReferenceEngine,
    metrics: Mapping[str, Metric],
    cosmo: Cosmology,
    uvj_box: Mapping[str, float],
) -> dict[str, NDArray]:
    """Compute the quantities that follow from the parameters of galaxies.

    Ages above the age of the universe and metallicities and ionisation parameters outside the SSP table are moved to
    the nearest ones allowed and flagged, wherever they come from.

    Parameters
    ----------
    galaxies : mapping of str to ndarray of shape (n, )
        ``galaxy_id``, ``redshift``, ``log_mstar``, ``quiescent``, and what their table gives (``given_...``).
    assigned : mapping of str to ndarray of shape (n, )
        What was asked (``prop_...``) and assigned (`mocksed.search.parent.FSPS`, ``flags``); NaN where a class has no
        such quantity.
    engine : Engine or ReferenceEngine
        The stellar population model.
    metrics : mapping of str to Metric
        Metric of each class, of the distance between what was asked and what came out.
    cosmo : Cosmology
        Cosmology that limits the ages.
    uvj_box : mapping
        The box of quiescent galaxies (see `mocksed.uvj`).

    Returns
    -------
    dict of ndarrays of shape (n, )
        The columns of the catalogue except for apparent magnitudes and lines; NaN where a quantity does not exist for a
        class.

    Raises
    ------
    UserError
        If a parameter is invalid for the model, or a result is not finite.

    """
    n = len(galaxies["galaxy_id"])
    columns: dict[str, NDArray] = {name: np.full(n, np.nan) for name in DRAWN}
    columns |= {name: np.array(assigned[name]) for name in (*FSPS, "flags")}
    columns |= {name: np.array(assigned[name]) for name in DRAWN if name in assigned}
    flags = columns["flags"]
    for name, clip, flag in (
        ("log_zmet", engine.clip_log_zmet, Flag.ZMET_CLIPPED),
        ("log_us", engine.clip_log_us, Flag.US_CLIPPED),
    ):
        before, asked = columns[name], columns[f"prop_{name}"]
        columns[name] = clip(before)
        flags[(np.abs(columns[name] - before) > _ROUNDING) | (np.abs(clip(asked) - asked) > 0.0)] |= flag
    limit = _age_limit(galaxies, cosmo)
    flags[columns["age"] > limit] |= Flag.AGE_CLIPPED
    columns["age"] = np.minimum(columns["age"], limit)

    log_mstar = galaxies["log_mstar"]
    results = ("log_sfr", "muv", "muv_intrinsic", "beta", "uv", "vj", "mass_fraction", "distance")
    columns |= {name: np.full(n, np.nan) for name in results}
    for kind, row in _classes(galaxies):
        try:
            derived = engine.derived(*fsps(columns, row), nebular=kind == "star_forming")
        except UserError as error:
            raise UserError(f"parameters in assign/: {error} Remove that file and run again.") from error
        for name in ("beta", "uv", "vj", "mass_fraction"):
            columns[name][row] = getattr(derived, name)
        columns["log_sfr"][row] = derived.log_ssfr + log_mstar[row]
        for name in ("muv", "muv_intrinsic"):
            columns[name][row] = getattr(derived, name) - 2.5 * log_mstar[row]
        own: dict[str, NDArray] = {name: columns[name][row] for name in ASKED["star_forming"]}
        own |= {name: galaxies[name][row] for name in ("redshift", "log_mstar")}
        drawn = own | {name: columns[f"prop_{name}"][row] for name in ASKED[kind]}
        columns["distance"][row] = metrics[kind].distance(drawn, own)
    flags[columns["distance"] > FAR] |= Flag.FAR
    for name in given.columns(galaxies):
        is_given = ~np.isnan(galaxies[f"given_{name}"])
        off = np.abs(columns[name] - assigned[f"prop_{name}"])  # NaN where a class has no such quantity
        flags[is_given & (off > QUANTITIES[name].tolerance)] |= NOT_MET[name]
    outside = galaxies["quiescent"] & ~in_box(columns["uv"], columns["vj"], uvj_box)
    flags[outside] |= Flag.UVJ_OUTSIDE
    for name in results:
        bad = ~np.isfinite(columns[name])
        if np.any(bad):
            raise UserError(_no_number(name, columns[name], bad, galaxies["galaxy_id"]))
    return columns


def _classes(galaxies: Mapping[str, NDArray]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield each class with its rows."""
    yield "star_forming", np.flatnonzero(~galaxies["quiescent"])
    yield "quiescent", np.flatnonzero(galaxies["quiescent"])


def _age_limit(galaxies: Mapping[str, NDArray], cosmo: Cosmology) -> Array:
    """Return the oldest age allowed for each galaxy [Gyr]."""
    limit = age_max(cosmo, galaxies["redshift"])
    too_early = ~(limit >= AGE_MARGIN)
    if np.any(too_early):
        raise UserError(
            f"{_no_number('redshift', galaxies['redshift'], too_early, galaxies['galaxy_id'])} At a galaxy's redshift "
            f"the universe must be older than {2e3 * AGE_MARGIN:g} Myr. Leave such galaxies out."
        )
    return limit


def _no_number(name: str, values: NDArray, bad: NDArray[np.bool_], galaxy_id: NDArray[np.int64]) -> str:
    """Describe which galaxies have an invalid value."""
    first, count = int(np.argmax(bad)), int(np.count_nonzero(bad))
    others = f" (and {count - 1} others)" if count > 1 else ""
    return f"{name} of the galaxy {galaxy_id[first]}{others} is {values[first]:g}."


def fsps(columns: Mapping[str, NDArray], rows: NDArray[np.int64]) -> Iterator[Array]:
    """Yield the arguments of the engine; the ionisation parameter is unused without gas."""
    for name in FSPS:
        yield columns[name][rows]


def spectra(
    columns: Mapping[str, NDArray],
    engine: Engine | ReferenceEngine,
    progress: Progress | None = None,
    *,
    lines: bool = True,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the spectra of a catalogue in blocks of rows, rest-frame L_nu [Lsun/Hz] of the whole galaxy.

    FSPS forms 1 Msun; a galaxy of stellar mass M formed M / mass_fraction.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n, )
        ``quiescent``, ``log_mstar``, ``mass_fraction`` and `mocksed.search.parent.FSPS`; ``lya_escape`` unless dust
        decides how much Lyman alpha leaves.
    engine : Engine or ReferenceEngine
        The stellar population model.
    progress : Progress, optional
        Told of the galaxies that are done.
    lines : bool
        Whether they have their emission lines.

    Yields
    ------
    slice, ndarray of shape (rows, n_wave)

    """
    formed = mass_formed(columns)
    for block in row_blocks(0, len(formed), BLOCK):
        rows = np.arange(block.start, block.stop)
        shines = ~columns["quiescent"][block]
        flux = engine.spectra(
            *fsps(columns, rows),
            nebular=shines,
            mass_formed=formed[block],
            lines=lines,
            lya_escape=lya_escape_of(columns, rows),
        )
        yield block, flux
        if progress:
            progress.update(len(flux))


def lya_escape_of(columns: Mapping[str, NDArray], rows: NDArray[np.int64]) -> Array | None:
    """Return which fractions of Lyman alpha leave some galaxies of a catalogue; None where dust decides."""
    return columns[LYA_ESCAPE][rows] if LYA_ESCAPE in columns else None


def lya_escape(
    columns: Mapping[str, NDArray], law: str | float, *, engine: Engine | ReferenceEngine, seed: int
) -> dict[str, Array]:
    """Return the column ``lya_escape``, or nothing where dust alone decides how much Lyman alpha leaves a galaxy.

    A drawn equivalent width is that of the galaxy, before the intergalactic medium: the fraction is the one with which
    the line has this width above stars and gas behind their dust, at most 1.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n, )
        As for `spectra`, ``galaxy_id`` and ``redshift``, and ``realisation`` where there is one.
    law : str or float
        One of `mocksed.relations.lya.LAWS`, or a fraction for all galaxies.
    engine : Engine or ReferenceEngine
        The stellar population model.
    seed : int
        Of the run.

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
        for start in range(0, len(shining), BLOCK):
            rows = shining[start : start + BLOCK]
            behind = dict(zip(FSPS, fsps(columns, rows), strict=True))
            made = engine.lines(**behind | {"dust2": np.zeros(len(rows))})[:, index].astype(np.float64)
            of_all = engine.equivalent_widths(index, made, **behind, lya_escape=1.0)[:, 0]
            width = lya.oyarzun2016(columns["log_mstar"][rows], uniform[rows])
            with np.errstate(divide="ignore", invalid="ignore"):
                escape[rows] = np.where(width < of_all, width / of_all, 1.0)
    else:
        escape[shining] = float(law)
    return {LYA_ESCAPE: escape}


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


def lines(
    columns: Mapping[str, NDArray],
    names: Sequence[str] | str,
    *,
    engine: Engine | ReferenceEngine,
    cosmo: Cosmology,
    progress: Progress | None = None,
) -> dict[str, Array]:
    """Return the columns of emission lines, for the whole galaxy.

    Equivalent widths are integrals over the spectrum with the line divided by that of stars and gas without, less 1.
    Where lines and continuum are behind the same dust, only dust that emits makes those with it and without differ.

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
        Told of the galaxies that are done.

    Returns
    -------
    dict of ndarrays of shape (n, )
        For each line its luminosity [Lsun] with dust and without, its flux [erg/s/cm^2] with dust, and the equivalent
        widths [A, rest frame] with dust and without. NaN for quiescent galaxies, which have no gas, and of fluxes at
        redshift 0.

    Raises
    ------
    UserError
        If there is no such line.

    """
    wanted = indices(names, engine.line_name)
    index = list(wanted.values())
    n, formed = len(columns["quiescent"]), mass_formed(columns)
    luminosity, width = (np.full((2, len(wanted), n), np.nan) for _ in range(2))
    shining = np.flatnonzero(~columns["quiescent"])
    for block in row_blocks(0, len(shining) if wanted else 0, BLOCK):
        rows = shining[block]
        behind = dict(zip(FSPS, fsps(columns, rows), strict=True))
        clear = behind | {"dust2": np.zeros(len(rows))}
        escape = lya_escape_of(columns, rows)
        of_mass = [
            engine.lines(**parameters)[:, index].astype(np.float64)
            for parameters in (behind | {"lya_escape": escape}, clear)
        ]
        widths = [engine.equivalent_widths(index, of_mass[1], **clear)] * 2
        if engine.model.add_dust_emission or engine.model.lines_are_apart or escape is not None:
            widths[0] = engine.equivalent_widths(index, of_mass[1], **behind, lya_escape=escape)
        for i in range(2):
            luminosity[i][:, rows], width[i][:, rows] = (of_mass[i] * formed[rows, None]).T, widths[i].T
        if progress:
            progress.update(len(rows))
    flux = luminosity[0] * flux_of_lsun(cosmo, columns["redshift"])
    found = {}
    for i, name in enumerate(wanted):
        found[line_column(name)], found[line_column(name) + INTRINSIC] = luminosity[:, i]
        found[line_flux_column(name)] = flux[i]
        found[equivalent_width_column(name)], found[equivalent_width_column(name) + INTRINSIC] = width[:, i]
    return found


def flux_of_lsun(cosmo: Cosmology, redshift: Array) -> Array:
    """Return the flux of one solar luminosity of FSPS at luminosity distances [erg/s/cm^2]; NaN at redshift 0."""
    modulus = np.where(redshift > 0.0, distance_modulus(cosmo, redshift), np.nan)
    return np.asarray(photometry.PER_LSUN_AT_10PC * 10.0 ** (-0.4 * modulus))


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

    Of the stars alone, without dust. xi_ion is this rate over L_nu of ``muv_intrinsic``, the mean over 1450-1550 A of
    stars and gas without dust, as observers have it after correction for dust.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n, )
        As for `spectra`, and ``muv_intrinsic``.
    engine : Engine or ReferenceEngine
        The stellar population model.

    """
    of_mass = engine.ionising_photons(columns["age"], columns["tau"], columns["log_zmet"])
    log_q_ion = np.log10(of_mass * mass_formed(columns))
    log_l_nu = np.log10(photometry.luminosity(columns["muv_intrinsic"]) * LSUN)
    return {"log_q_ion": log_q_ion, "log_xi_ion": log_q_ion - log_l_nu}


def find(
    paths: Sequence[Path], galaxy_id: NDArray[np.int64], names: Sequence[str], realisation: int | None = None
) -> dict[str, NDArray]:
    """Return columns of some galaxies of a catalogue, reading only what is needed (see `storage.find_rows`).

    That is the footers of all shards and, where identifiers rise as those of a light cone do, the row groups that the
    galaxies are in; where they are in no order, the identifiers of all row groups, too.

    Parameters
    ----------
    paths : sequence of path
        The shards of the catalogue.
    galaxy_id : ndarray of shape (n, )
        The galaxies; one that is asked for twice is returned twice.
    names : sequence of str
        Columns.
    realisation : int, optional
        In which realisation, by default the first one that the catalogue has.

    Returns
    -------
    dict of ndarrays of shape (n, )
        In the order of ``galaxy_id``, with ``realisation`` where the catalogue has that column, and ``shard``: the
        index in ``paths``.

    Raises
    ------
    UserError
        If a galaxy or the realisation is not there, if a galaxy is in two shards, or if a file cannot be read.

    """
    wanted = np.unique(galaxy_id)
    made = storage.metadata(paths[0]).get("realisations", [0])
    if realisation is not None and realisation not in made:
        listed = ", ".join(map(str, made[:_N_LISTED])) + (", ..." if len(made) > _N_LISTED else "")
        raise UserError(f"{paths[0].parent} has no realisation {realisation}; it has {listed}.")
    if realisations.column_needed(made):
        names = [*names, realisations.COLUMN]
    found: dict[str, list[NDArray]] = {name: [] for name in ("shard", "galaxy_id", *names)}
    for shard, path in enumerate(paths):
        rows = storage.to_arrays(storage.find_rows(path, "galaxy_id", wanted, list(found)[1:]))
        if realisations.COLUMN in rows:
            chosen = rows[realisations.COLUMN] == (made[0] if realisation is None else realisation)
            rows = {name: values[chosen] for name, values in rows.items()}
        rows["shard"] = np.full(len(rows["galaxy_id"]), shard)
        for name, parts in found.items():
            parts.append(rows[name])
    columns = {name: np.concatenate(parts) for name, parts in found.items()}
    order = np.argsort(columns["galaxy_id"], kind="stable")
    ids = columns["galaxy_id"][order]
    _check_found(paths, wanted, ids, columns["shard"][order])
    rows_of_ids = order[np.searchsorted(ids, galaxy_id)]
    return {name: values[rows_of_ids] for name, values in columns.items()}


def _check_found(
    paths: Sequence[Path], wanted: NDArray[np.int64], ids: NDArray[np.int64], shard: NDArray[np.int64]
) -> None:
    twice = np.flatnonzero(ids[1:] == ids[:-1])
    if len(twice):
        first, second = (paths[shard[twice[0] + i]] for i in (0, 1))
        raise UserError(
            f"the galaxy {ids[twice[0]]} is in {first} and in {second}. If the run once had another number of shards, "
            "remove the files that are left of it."
        )
    missing = np.setdiff1d(wanted, ids)
    if len(missing):
        listed = ", ".join(map(str, missing[:_N_LISTED])) + (", ..." if len(missing) > _N_LISTED else "")
        raise UserError(
            f"{len(missing)} of the {len(wanted)} galaxies are not in {paths[0].parent}: {listed}. Check the "
            "identifiers (galaxy_id)."
        )


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
        Whether they have the emission lines in them.
    progress : Progress, optional
        Told of the galaxies that are done.

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
    for block, flux in spectra(columns, engine, progress, lines=lines) if filters or rest_frame else ():
        absolute[:, block] = photometry.absolute_magnitude(photometry.mean_fluxes(wavelength, flux, rest_frame)).T
        redshift = columns["redshift"][block]
        seen = igm.transmission(igm_model, wavelength, redshift)
        l_nu = photometry.mean_fluxes(wavelength, flux, filters, redshift, seen)
        apparent[:, block] = photometry.apparent_magnitude(l_nu, redshift, distance_modulus(cosmo, redshift)).T
    names = [magnitude_column(band.name) for band in filters] + [rest_frame_column(band.name) for band in rest_frame]
    return dict(zip(names, [*apparent, *absolute], strict=True))
