"""The catalogue: what each galaxy became, in the order of the input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mocksed import photometry
from mocksed.assign import PARAMETERS, PROPOSED
from mocksed.columns import Flag, magnitude_column, rest_frame_column
from mocksed.cosmology import distance_modulus
from mocksed.filters import Filter
from mocksed.jobs import Progress
from mocksed.neighbours import Metric
from mocksed.sps import igm

if TYPE_CHECKING:
    from astropy.cosmology import FlatLambdaCDM

    from mocksed.sps.engine import Engine
    from mocksed.sps.fsps import ReferenceEngine

Array = NDArray[np.float64]

BLOCK = 4096
"""Galaxies whose spectra are held at once."""


def build(
    galaxies: Mapping[str, NDArray],
    star_forming: Mapping[str, NDArray],
    quiescent: Mapping[str, NDArray],
    *,
    engine: Engine | ReferenceEngine,
    metric: Metric,
) -> dict[str, NDArray]:
    """Put the two classes together and compute what their parameters give.

    Parameters
    ----------
    galaxies : mapping of str to ndarray of shape (n, )
        ``galaxy_id``, ``redshift``, ``log_mstar``, ``quiescent``.
    star_forming, quiescent : mappings of str to ndarray
        What was proposed (``prop_...``) and assigned (`mocksed.assign.PARAMETERS`, ``flags``) to the galaxies of each
        class, in their order.
    engine : Engine or ReferenceEngine
        The stellar population model.
    metric : Metric
        Metric of the distance between proposal and result of star-forming galaxies.

    Returns
    -------
    dict of ndarrays of shape (n, )
        The columns of the catalogue but for the apparent magnitudes; NaN where a quantity does not exist for a class.

    """
    n = len(galaxies["galaxy_id"])
    rows = {False: np.flatnonzero(~galaxies["quiescent"]), True: np.flatnonzero(galaxies["quiescent"])}
    names = (*(f"prop_{name}" for name in PROPOSED), *PARAMETERS)
    columns: dict[str, NDArray] = {name: np.full(n, np.nan) for name in names}
    columns["flags"] = np.zeros(n, np.int32)
    for is_quiescent, assigned in ((False, star_forming), (True, quiescent)):
        for name in assigned.keys() & columns.keys():
            columns[name][rows[is_quiescent]] = assigned[name]
    columns["log_zmet"] = engine.clip_log_zmet(columns["log_zmet"])
    proposed = columns["prop_log_zmet"]
    unreachable = np.isfinite(proposed) & (engine.clip_log_zmet(proposed) != proposed)
    columns["flags"] |= (Flag.ZMET_CLIPPED * unreachable).astype(np.int32)

    log_mstar = galaxies["log_mstar"]
    results = ("log_sfr", "muv", "muv_intrinsic", "beta", "uv", "vj", "mass_fraction", "distance")
    columns |= {name: np.full(n, np.nan) for name in results}
    for is_quiescent, row in rows.items():
        derived = engine.derived(*_fsps(columns, row, not is_quiescent), nebular=not is_quiescent)
        for name in ("beta", "uv", "vj", "mass_fraction"):
            columns[name][row] = getattr(derived, name)
        columns["log_sfr"][row] = derived.log_ssfr + log_mstar[row]
        for name in ("muv", "muv_intrinsic"):
            columns[name][row] = getattr(derived, name) - 2.5 * log_mstar[row]
    result = {name: columns[name] for name in (*PROPOSED, "tau")} | {k: galaxies[k] for k in ("redshift", "log_mstar")}
    proposal = result | {name: columns[f"prop_{name}"] for name in PROPOSED}
    columns["distance"] = metric.distance(proposal, result)
    return columns


def _fsps(columns: Mapping[str, NDArray], rows: NDArray[np.int64], nebular: bool) -> Iterator[Array]:
    """Yield the arguments of the engine; without gas there is no ionisation parameter, and none is used."""
    for name in ("age", "tau", "log_zmet", "log_us", "dust2"):
        yield columns[name][rows] if nebular or name != "log_us" else np.full(len(rows), -4.0)


def spectra(
    columns: Mapping[str, NDArray], engine: Engine | ReferenceEngine, progress: Progress | None = None
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the spectra of a catalogue in blocks of rows, rest-frame L_nu [Lsun/Hz] of the whole galaxy.

    FSPS forms 1 Msun; a galaxy of stellar mass M formed M / mass_fraction.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n, )
        ``quiescent``, ``log_mstar``, ``mass_fraction`` and `mocksed.assign.PARAMETERS`.
    engine : Engine or ReferenceEngine
        The stellar population model.
    progress : Progress, optional
        Told of the galaxies that are done.

    Yields
    ------
    slice, ndarray of shape (rows, n_wave)

    """
    formed = 10.0 ** columns["log_mstar"] / columns["mass_fraction"]
    for start in range(0, len(formed), BLOCK):
        block = slice(start, min(start + BLOCK, len(formed)))
        is_quiescent = columns["quiescent"][block]
        flux = np.empty((len(is_quiescent), len(engine.wavelength)), np.float32)
        for shines in (True, False):
            rows = np.flatnonzero(is_quiescent != shines)
            if len(rows):
                flux[rows] = engine.spectra(*_fsps(columns, rows + start, shines), nebular=shines)
        flux *= formed[block, None].astype(np.float32)
        yield block, flux
        if progress:
            progress.update(len(flux))


def magnitudes(
    columns: Mapping[str, NDArray],
    filters: Sequence[Filter],
    rest_frame: Sequence[Filter] = (),
    *,
    engine: Engine | ReferenceEngine,
    cosmo: FlatLambdaCDM,
    igm_model: str,
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
    cosmo : FlatLambdaCDM
        Cosmology of the distances.
    igm_model : str
        A name that `mocksed.sps.igm.transmission` takes.
    progress : Progress, optional
        Told of the galaxies that are done.

    Returns
    -------
    dict of ndarrays of shape (n, )
        NaN where nothing is received, and for apparent magnitudes at redshift 0.

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
    for block, flux in spectra(columns, engine, progress) if filters or rest_frame else ():
        absolute[:, block] = photometry.absolute_magnitude(photometry.mean_fluxes(wavelength, flux, rest_frame)).T
        redshift = columns["redshift"][block]
        seen = igm.transmission(igm_model, wavelength, redshift)
        l_nu = photometry.mean_fluxes(wavelength, flux, filters, redshift, seen)
        apparent[:, block] = photometry.apparent_magnitude(l_nu, redshift, distance_modulus(cosmo, redshift)).T
    names = [magnitude_column(band.name) for band in filters] + [rest_frame_column(band.name) for band in rest_frame]
    return dict(zip(names, [*apparent, *absolute], strict=True))
