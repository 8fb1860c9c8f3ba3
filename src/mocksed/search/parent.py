"""The parent catalogue: points in the parameter space of FSPS from which the galaxies take theirs.

Quiescent points outside the UVJ box are rejected and drawn again, so that every one is a model with quiescent colours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mocksed import digest, jsontext
from mocksed import relations as rel
from mocksed.blocks import row_blocks
from mocksed.cosmology import AGE_MARGIN, Cosmology, age_max, t_univ
from mocksed.errors import UserError
from mocksed.files import memory_map, provenance
from mocksed.progress import Progress
from mocksed.relations import Relations
from mocksed.rng import Stage, uniforms
from mocksed.search.sampling import Distribution, Sampling, relations_behind, sampling_of
from mocksed.sps.model import Model
from mocksed.uvj import in_box

if TYPE_CHECKING:  # it takes a second to import, and not every stage that knows parents needs it
    from mocksed.sps.engine import Engine

Array = NDArray[np.float64]
Recipe = Mapping[str, Any]

PARAMETERS = ("log_mstar", "redshift", "age", "tau", "dust2", "dust_index", "log_zmet", "log_us")
"""Drawn in this order: each may depend on those before it, and has its own random number."""

FSPS = ("age", "tau", "log_zmet", "log_us", "dust2", "dust_index")
"""Those that the stellar population model takes, in the order of its arguments."""

COLUMNS = (*PARAMETERS, "log_sfr", "mass_fraction", "muv", "beta", "uv", "vj")
"""Columns of the parent catalogue."""

BLOCK = 100_000
"""Points held at once while a catalogue is made."""

SLOPES: dict[str, tuple[float, float]] = {"kriek_conroy": (-1.2, 0.4), "power_law": (-1.6, -0.2)}
"""Range of the slope of each attenuation curve that has one, where the config fixes none.

Kriek & Conroy's is relative to Calzetti's curve: of 230 000 galaxies of the local universe 99 % are within -1.2 and 0.4
(Salim, Boquien & Lee 2018, fig. 3), and above 0.4 the bump would turn negative. The power laws cover the same range.
"""

MAX_DRAWS = 10_000
"""Draws of a quiescent point that may fall outside the UVJ box one after the other."""


def slope(model: Model) -> Distribution:
    """Return the distribution of ``dust_index``: over its range in `SLOPES` where it is free, else one value."""
    if model.slope_is_free:
        return {"uniform": SLOPES[model.dust_type]}
    return {"constant": model.dust_index or 0.0}


def sample(
    ids: NDArray[np.int64],
    sampling: Sampling,
    *,
    quiescent: bool,
    seed: int,
    cosmo: Cosmology,
    relations: Relations,
    attempt: int = 0,
) -> dict[str, Array]:
    """Draw the parameters of points.

    Parameters
    ----------
    ids : ndarray of shape (n, )
        Indices of the points; each has its own random numbers.
    sampling : mapping
        The distribution of each of `PARAMETERS`.
    quiescent : bool
        The class, which decides the relation behind the metallicity.
    seed : int
        Seed of the run.
    cosmo : Cosmology
        Cosmology that limits the ages.
    relations : Relations
        Of the run.
    attempt : int
        How often the points were drawn before.

    Returns
    -------
    dict of ndarrays of shape (n, )
        One for each of `PARAMETERS`; ages between 1e6 yr and the age of the universe less 1e6 yr.

    """
    stage = Stage.PARENT_QUIESCENT if quiescent else Stage.PARENT_STAR_FORMING
    random = uniforms(seed, stage, ids, len(PARAMETERS), first=attempt * len(PARAMETERS))
    drawn: dict[str, Array] = {}
    for column, name in enumerate(PARAMETERS):
        drawn[name] = draw(name, sampling[name], random[:, column], drawn, quiescent, cosmo, relations)
    return drawn


def draw(
    name: str,
    distribution: Distribution,
    uniform: Array,
    drawn: Mapping[str, Array],
    quiescent: bool,
    cosmo: Cosmology,
    relations: Relations,
) -> Array:
    """Return a parameter at the cumulative probabilities ``uniform`` of its distribution, given those ``drawn``.

    Distributions of the age are cut to the ages allowed at the redshift, not clipped: nothing piles up at the limit.
    """
    ((kind, value),) = distribution.items()
    low, high = (AGE_MARGIN, age_max(cosmo, drawn["redshift"])) if name == "age" else (-np.inf, np.inf)
    sfr_relation = relations.of("log_sfr", quiescent)
    match kind, value:
        case "relation", _ if name == "log_us":
            mass, z = drawn["log_mstar"], drawn["redshift"]
            result = relations.log_us.draw(uniform, drawn["log_zmet"], mass, sfr_relation.mean(mass, z), z)
        case "relation", _:
            mass, z = drawn["log_mstar"], drawn["redshift"]
            result = relations.log_zmet.draw(uniform, mass, sfr_relation.mean(mass, z), z)
        case "constant", _:
            result = np.full(len(uniform), float(value))
        case "uniform", (first, last):
            first, last = np.clip(first, low, high), np.clip(last, low, high)
            result = first + uniform * (last - first)
        case "log_uniform", (first, last):
            first, last = np.clip(first, low, high), np.clip(last, low, high)
            result = first * (last / first) ** uniform
        case "normal", (mean, sigma, *limits):
            first, last = (np.maximum(low, limits[0]), np.minimum(high, limits[1])) if limits else (low, high)
            deviate = rel.normal_between((first - mean) / sigma, (last - mean) / sigma, uniform)
            result = np.clip(mean + sigma * deviate, first, last)
        case "uniform_in_scale_factor", (first, last):
            first, last = 1.0 / (1.0 + last), 1.0 / (1.0 + first)
            result = 1.0 / (first + uniform * (last - first)) - 1.0
        case "log_uniform_to_t_univ", youngest:
            result = youngest * (high / youngest) ** uniform
        case "fraction_of_t_univ", (first, last):
            result = (first + uniform * (last - first)) * t_univ(cosmo, drawn["redshift"])
        case _:
            raise ValueError(f"unknown distribution {kind} of {name}")
    return np.clip(result, low, high)


def evaluate(parameters: Mapping[str, Array], engine: Engine, *, quiescent: bool) -> dict[str, Array]:
    """Return the parent catalogue, `COLUMNS`: the parameters and the resulting quantities.

    Metallicities are those of the SSP table where the drawn ones lie outside it. Quiescent points have no gas.

    Raises
    ------
    UserError
        If the model cannot take a parameter, or nothing is left of a point's light.

    """
    columns = {name: np.asarray(parameters[name]) for name in PARAMETERS}
    columns["log_zmet"] = engine.clip_log_zmet(columns["log_zmet"])
    derived = engine.derived(*(columns[name] for name in FSPS), nebular=not quiescent)
    columns["log_sfr"] = derived.log_ssfr + columns["log_mstar"]
    columns["muv"] = derived.muv - 2.5 * columns["log_mstar"]
    for name in ("mass_fraction", "beta", "uv", "vj"):
        columns[name] = getattr(derived, name)
    for name, values in columns.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            point = ", ".join(f"{key} {columns[key][bad[0]]:.3g}" for key in PARAMETERS)
            raise UserError(
                f"{name} of {len(bad)} of {len(values)} parent points is not finite, e.g. at {point}. Change "
                f"parent.{'quiescent' if quiescent else 'star_forming'}.sampling in the config."
            )
    return columns


def recipe(
    kind: str,
    n: int,
    sampling: str | Sampling,
    *,
    seed: int,
    cosmology: Mapping[str, float],
    relations: Mapping[str, Any],
    sps: Mapping[str, Any],
    uvj_box: Mapping[str, float] | None = None,
) -> Recipe:
    """Return all that a parent catalogue follows from, in plain types: two with the same recipe are the same.

    Parameters
    ----------
    kind : str
        "star_forming" or "quiescent".
    n : int
        Number of points.
    sampling : str or mapping
        Name of a preset or the distributions of `PARAMETERS`.
    seed, cosmology, relations, sps
        The config's keys of these names.
    uvj_box : mapping, optional
        The box outside which points are rejected (see `mocksed.uvj.in_box`); none are without it.

    Raises
    ------
    UserError
        If the SSP table cannot be read.

    """
    model = Model.from_config(sps)
    result = {
        "kind": kind,
        "n": n,
        "sampling": {"dust_index": slope(model)} | dict(sampling_of(sampling, kind)),
        "uvj_box": uvj_box,
        "seed": seed,
        "cosmology": cosmology,
        "relations": relations_behind(kind, sampling, relations),
        "sps_model": asdict(model),
        "ssp_table_sha256": digest.sha256(sps["table"]),
    }
    return json.loads(jsontext.dumps(result))  # type: ignore[no-any-return]


def write(
    path: Path | str,
    start: int,
    stop: int,
    recipe: Recipe,
    engine: Engine,
    about: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> None:
    """Make one shard of a parent catalogue: the points ``start`` to ``stop``, which do not depend on the other shards.

    Parameters
    ----------
    path : path
        The file, see `mocksed.files.memory_map`.
    start, stop : int
        First row, and the one past the last.
    recipe : mapping
        See `recipe`.
    engine : Engine
        The stellar population model of the recipe.
    about : mapping, optional
        Further metadata.
    progress : Progress, optional
        Told of the points that are done.

    """
    metadata = {**(about or {}), "recipe": recipe, "rows": [start, stop]}
    with memory_map.writing(path, COLUMNS, stop - start, metadata) as append:
        drawn = 0
        for block in row_blocks(start, stop, BLOCK):
            ids = np.arange(block.start, block.stop)
            columns, attempts = points(ids, recipe, engine)
            append(columns)
            drawn += attempts
            if progress:
                progress.update(len(ids))
        metadata["drawn"] = drawn


def points(ids: NDArray[np.int64], recipe: Recipe, engine: Engine) -> tuple[dict[str, Array], int]:
    """Return points of a parent catalogue, and how often one was drawn for them.

    Where the recipe has a UVJ box, a point outside it is drawn again until it is inside.

    Parameters
    ----------
    ids : ndarray of shape (n, )
        Indices of the points: what is drawn for one does not depend on the others.
    recipe : mapping
        See `recipe`.
    engine : Engine
        The stellar population model of the recipe.

    Returns
    -------
    dict of ndarrays of shape (n, )
        One for each of `COLUMNS`.
    int
        The number of draws.

    Raises
    ------
    UserError
        If the distributions hardly reach into the box.

    """
    quiescent, box = recipe["kind"] == "quiescent", recipe["uvj_box"]
    cosmo, relations = Cosmology(**recipe["cosmology"]), Relations.from_config(recipe["relations"])
    columns, drawn, left = {name: np.empty(len(ids)) for name in COLUMNS}, 0, np.arange(len(ids))
    for attempt in range(MAX_DRAWS):
        parameters = sample(
            ids[left], recipe["sampling"], quiescent=quiescent, seed=recipe["seed"], cosmo=cosmo, relations=relations,
            attempt=attempt,
        )  # fmt: skip
        drawn += len(left)
        evaluated = evaluate(parameters, engine, quiescent=quiescent)
        kept = np.ones(len(left), bool) if box is None else in_box(evaluated["uv"], evaluated["vj"], box)
        for name, values in columns.items():
            values[left[kept]] = evaluated[name][kept]
        left = left[~kept]
        if not len(left):
            return columns, drawn
    raise UserError(
        f"{MAX_DRAWS} draws of a {recipe['kind']} parent point were all outside the UVJ box. Change quiescent.uvj_box "
        f"or parent.{recipe['kind']}.sampling in the config, or set parent.quiescent.in_box_only to false."
    )


@dataclass(frozen=True)
class Catalogue:
    """A parent catalogue on disk, or some of its shards; see `open_shards`.

    Attributes
    ----------
    tables : tuple of mocksed.files.memory_map.MappedTable
        Its shards.
    bounds : ndarray of shape (n_shard + 1, )
        First row of each shard in the whole catalogue, and the one past the last.

    """

    tables: tuple[memory_map.MappedTable, ...]
    bounds: NDArray[np.int64]

    @property
    def metadata(self) -> dict[str, Any]:
        """The record in its files, without what differs between them."""
        return {key: value for key, value in self.tables[0].metadata.items() if key not in ("rows", "drawn")}

    def check(self, names: Sequence[str] = COLUMNS) -> None:
        """Read columns and stop with a `UserError` if one is missing or damaged."""
        for table in self.tables:
            table.check(names)

    def column(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Return the rows ``start`` to ``stop`` of a column: mapped if they are of one shard, else a copy."""
        parts = [
            table.column(name)[max(start - first, 0) : stop - first]
            for table, (first, last) in zip(self.tables, pairwise(self.bounds), strict=True)
            if first < stop and start < last
        ]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.float32), *parts])

    def take(self, names: Sequence[str], rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """Return columns at rows in any order, in the shape of ``rows``.

        The files are read from front to back, however the rows are ordered.
        """
        flat = rows.reshape(-1)
        order = np.argsort(flat, kind="stable")
        cuts = np.searchsorted(flat[order], self.bounds)
        taken = {name: np.empty(len(flat), np.float32) for name in names}
        for table, first, (begin, end) in zip(self.tables, self.bounds, pairwise(cuts), strict=False):
            in_shard = order[begin:end]
            for name, values in taken.items():
                values[in_shard] = table.column(name)[flat[in_shard] - first]
        return {name: values.reshape(rows.shape) for name, values in taken.items()}


def open_shards(paths: Sequence[Path | str], recipe: Recipe) -> Catalogue:
    """Return the catalogue in some shards, which follow on each other.

    Raises
    ------
    UserError
        If one is missing, truncated, made from another recipe or not the one that follows.

    """
    tables = tuple(memory_map.read(path) for path in paths)
    bounds = [tables[0].metadata.get("rows", [0])[0]]
    for table in tables:
        check_recipe(table.path, table.metadata, recipe)
        rows = table.metadata.get("rows")
        if rows != [bounds[-1], bounds[-1] + table.n_rows]:
            raise UserError(
                f"{table.path} holds the rows {rows}, expected were those from {bounds[-1]}: it is of another division "
                f"into shards. {_REMOVE}"
            )
        bounds.append(rows[1])
    return Catalogue(tables, np.array(bounds))


def open_all(paths: Sequence[Path | str], recipe: Recipe) -> Catalogue:
    """Return the catalogue in all of its shards; errors as of `open_shards`, and if there are more."""
    parents = open_shards(paths, recipe)
    if (parents.bounds[0], parents.bounds[-1]) != (0, recipe["n"]):
        raise UserError(
            f"{paths[0]} to {paths[-1]} hold the rows {parents.bounds[0]} to {parents.bounds[-1]} of {recipe['n']}: "
            "they belong to another division into shards. Remove them and run again: they will be made again."
        )
    return parents


def check_recipe(path: Path | str, about: Mapping[str, Any], expected: Recipe) -> None:
    """Stop with a `UserError` if a file was made from a parent of another recipe than expected.

    Parameters
    ----------
    path : path
        The file.
    about : mapping
        What it says of itself, the ``recipe`` among it.
    expected : mapping
        See `recipe`.

    """
    if about.get("recipe") is None:
        raise UserError(f"{path} does not record what it was made from. {_REMOVE}")
    provenance.agree(path, about, expected, within="recipe")


_REMOVE = "Remove it and run again: it will be made again."
