"""The catalogue: the resulting quantities of each galaxy, in the order of the input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mocksed import realisations
from mocksed.cosmology import AGE_MARGIN, Cosmology, age_max
from mocksed.errors import UserError
from mocksed.files import storage
from mocksed.files.columns import NOT_MET, Flag
from mocksed.light import fsps
from mocksed.quantities import QUANTITIES
from mocksed.search import given
from mocksed.search.draw import DRAWN_QUANTITIES
from mocksed.search.metric import Metric
from mocksed.search.parent import FSPS
from mocksed.uvj import in_box

if TYPE_CHECKING:
    from mocksed.sps.engine import Engine
    from mocksed.sps.fsps import ReferenceEngine

Array = NDArray[np.float64]

DRAWN = tuple(f"prop_{name}" for name in DRAWN_QUANTITIES["star_forming"])
"""Columns of the quantities that are drawn for a galaxy."""

FAR = 1.0
"""Distance between drawn and resulting quantities above which a galaxy is flagged."""

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
        What was drawn (``prop_...``) and assigned (`mocksed.search.parent.FSPS`, ``flags``); NaN where a class has no
        such quantity.
    engine : Engine or ReferenceEngine
        The stellar population model.
    metrics : mapping of str to Metric
        Metric of each class, for the distance between drawn and resulting quantities.
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
        before, drawn_values = columns[name], columns[f"prop_{name}"]
        columns[name] = clip(before)
        flags[(np.abs(columns[name] - before) > _ROUNDING) | (np.abs(clip(drawn_values) - drawn_values) > 0.0)] |= flag
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
        resulting: dict[str, NDArray] = {name: columns[name][row] for name in DRAWN_QUANTITIES["star_forming"]}
        resulting |= {name: galaxies[name][row] for name in ("redshift", "log_mstar")}
        drawn = resulting | {name: columns[f"prop_{name}"][row] for name in DRAWN_QUANTITIES[kind]}
        columns["distance"][row] = metrics[kind].distance(drawn, resulting)
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
    """Return a sentence about galaxies with an invalid value."""
    first, count = int(np.argmax(bad)), int(np.count_nonzero(bad))
    others = f" (and {count - 1} others)" if count > 1 else ""
    return f"{name} of the galaxy {galaxy_id[first]}{others} is {values[first]:g}."


def find(
    paths: Sequence[Path], galaxy_id: NDArray[np.int64], names: Sequence[str], realisation: int | None = None
) -> dict[str, NDArray]:
    """Return columns of some galaxies of a catalogue, reading only what is needed (see `storage.find_rows`).

    That is the footers of all shards and, where identifiers increase as those of a light cone do, the row groups that
    the galaxies are in; where they are in no order, the identifiers of all row groups, too.

    Parameters
    ----------
    paths : sequence of path
        The shards of the catalogue.
    galaxy_id : ndarray of shape (n, )
        The galaxies; one that is named twice is returned twice.
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
        If a galaxy or the realisation does not exist, if a galaxy is in two shards, or if a file cannot be read.

    """
    wanted_ids = np.unique(galaxy_id)
    known = storage.metadata(paths[0]).get("realisations", [0])
    if realisation is not None and realisation not in known:
        listed = ", ".join(map(str, known[:_N_LISTED])) + (", ..." if len(known) > _N_LISTED else "")
        raise UserError(f"{paths[0].parent} has no realisation {realisation}; it has {listed}.")
    if realisations.column_needed(known):
        names = [*names, realisations.COLUMN]
    parts_of_shards: dict[str, list[NDArray]] = {name: [] for name in ("shard", "galaxy_id", *names)}
    for shard, path in enumerate(paths):
        rows = storage.to_arrays(storage.find_rows(path, "galaxy_id", wanted_ids, list(parts_of_shards)[1:]))
        if realisations.COLUMN in rows:
            chosen = rows[realisations.COLUMN] == (known[0] if realisation is None else realisation)
            rows = {name: values[chosen] for name, values in rows.items()}
        rows["shard"] = np.full(len(rows["galaxy_id"]), shard)
        for name, parts in parts_of_shards.items():
            parts.append(rows[name])
    columns = {name: np.concatenate(parts) for name, parts in parts_of_shards.items()}
    order = np.argsort(columns["galaxy_id"], kind="stable")
    ids = columns["galaxy_id"][order]
    _check_ids(paths, wanted_ids, ids, columns["shard"][order])
    rows_of_ids = order[np.searchsorted(ids, galaxy_id)]
    return {name: values[rows_of_ids] for name, values in columns.items()}


def _check_ids(
    paths: Sequence[Path], wanted_ids: NDArray[np.int64], ids: NDArray[np.int64], shard: NDArray[np.int64]
) -> None:
    twice = np.flatnonzero(ids[1:] == ids[:-1])
    if len(twice):
        first, second = (paths[shard[twice[0] + i]] for i in (0, 1))
        raise UserError(
            f"the galaxy {ids[twice[0]]} is in {first} and in {second}. If the run once had another number of shards, "
            "remove the files left from it."
        )
    missing = np.setdiff1d(wanted_ids, ids)
    if len(missing):
        listed = ", ".join(map(str, missing[:_N_LISTED])) + (", ..." if len(missing) > _N_LISTED else "")
        raise UserError(
            f"{len(missing)} of the {len(wanted_ids)} galaxies are not in {paths[0].parent}: {listed}. Check the "
            "identifiers (galaxy_id)."
        )
