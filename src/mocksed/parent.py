"""The parent catalogue: points in the parameter space of FSPS from which the galaxies take theirs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mocksed import mapped, provenance
from mocksed import relations as rel
from mocksed.cosmology import AGE_MARGIN, Cosmology, age_max, t_univ
from mocksed.errors import UserError
from mocksed.jobs import Progress
from mocksed.relations import Relations
from mocksed.rng import Stage, uniforms
from mocksed.sps import TAU_RANGE
from mocksed.sps.model import Model

if TYPE_CHECKING:  # it takes a second to import, and not every stage that knows parents needs it
    from mocksed.sps.engine import Engine

Array = NDArray[np.float64]
Distribution = Mapping[str, Any]
Sampling = Mapping[str, Distribution]
Recipe = Mapping[str, Any]

PARAMETERS = ("log_mstar", "redshift", "age", "tau", "dust2", "log_zmet", "log_us")
"""Drawn in this order: each may depend on those before it, and has its own random number."""

COLUMNS = (*PARAMETERS, "log_sfr", "mass_fraction", "muv", "beta", "uv", "vj")
"""Columns of the parent catalogue."""

BLOCK = 100_000
"""Points held at once while a catalogue is made."""

_DRAKOS_A: Sampling = {
    "log_mstar": {"uniform": (5.0, 12.0)},
    "redshift": {"uniform": (0.0, 12.0)},
    "log_zmet": {"relation": True},
    "log_us": {"relation": True},
    "dust2": {"normal": (0.0, 1.0, 0.0, 4.0)},
    "age": {"log_uniform_to_t_univ": AGE_MARGIN},
    "tau": {"log_uniform": TAU_RANGE},
}
_DRAKOS_B: Sampling = {
    "log_mstar": {"uniform": (5.0, 12.0)},
    "redshift": {"uniform_in_scale_factor": (0.0, 12.0)},
    "log_zmet": {"relation": True},
    "log_us": {"relation": True},
    "dust2": {"normal": (0.0, 0.5, 0.0, 4.0)},
    "age": {"normal": (6.0, 2.0)},
    "tau": {"uniform": TAU_RANGE},
}
_DEFAULT: Sampling = {
    "log_mstar": {"uniform": (5.0, 12.0)},
    "redshift": {"uniform": (0.0, 12.0)},
    "log_zmet": {"uniform": rel.LOG_ZMET_RANGE},
    "log_us": {"relation": True},
    "dust2": {"normal": (0.0, 1.0, 0.0, 4.0)},
    "age": {"log_uniform_to_t_univ": AGE_MARGIN},
    "tau": {"log_uniform": TAU_RANGE},
}

PRESETS: dict[str, dict[str, Sampling]] = {
    "star_forming": {"default": _DEFAULT, "drakos2021a": _DRAKOS_A, "drakos2021b": _DRAKOS_B},
    "quiescent": {
        "default": {
            **_DEFAULT,
            "dust2": {"normal": (0.0, 0.3, 0.0, 1.0)},
            "log_zmet": {"relation": True},
            "age": {"fraction_of_t_univ": (0.0, 1.0)},
        },
        "drakos2021a": {**_DRAKOS_A, "dust2": {"constant": 0.0}},
        "drakos2021b": {
            **_DRAKOS_B,
            "dust2": {"constant": 0.0},
            "age": {"normal": (10.0, 2.0)},
            "tau": {"uniform": (0.1, 10.0)},
        },
    },
}
"""Sampling presets of each class. April and May 2021: Drakos et al. (2022). The default covers the metallicities
evenly, since mass and metallicity are matched independently of each other."""


def sampling_of(setting: str | Sampling, kind: str) -> Sampling:
    """Return the distributions of a class ("star_forming", "quiescent"), from a preset's name or as they are."""
    return PRESETS[kind][setting] if isinstance(setting, str) else setting


def sample(
    ids: NDArray[np.int64],
    sampling: Sampling,
    *,
    quiescent: bool,
    seed: int,
    cosmo: Cosmology,
    scatter: Relations,
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
    scatter : Relations
        Scatter of the relations.

    Returns
    -------
    dict of ndarrays of shape (n, )
        One for each of `PARAMETERS`; ages between 1e6 yr and the age of the universe less 1e6 yr.

    """
    stage = Stage.PARENT_QUIESCENT if quiescent else Stage.PARENT_STAR_FORMING
    random = uniforms(seed, stage, ids, len(PARAMETERS))
    drawn: dict[str, Array] = {}
    for column, name in enumerate(PARAMETERS):
        drawn[name] = draw(name, sampling[name], random[:, column], drawn, quiescent, cosmo, scatter)
    return drawn


def draw(
    name: str,
    distribution: Distribution,
    uniform: Array,
    drawn: Mapping[str, Array],
    quiescent: bool,
    cosmo: Cosmology,
    scatter: Relations,
) -> Array:
    """Return a parameter at the cumulative probabilities ``uniform`` of its distribution, given those ``drawn``.

    Distributions of the age are cut to the ages allowed at the redshift, not clipped: nothing piles up at the limit.
    """
    ((kind, value),) = distribution.items()
    low, high = (AGE_MARGIN, age_max(cosmo, drawn["redshift"])) if name == "age" else (-np.inf, np.inf)
    match kind, value:
        case "relation", _ if name == "log_us":
            result = scatter.log_us.draw(rel.log_us(drawn["log_zmet"]), uniform)
        case "relation", _:
            log_sfr = rel.log_sfr_quiescent if quiescent else rel.log_sfr_star_forming
            mean = rel.log_zmet(drawn["log_mstar"], log_sfr(drawn["log_mstar"], drawn["redshift"]))
            result = scatter.log_zmet.draw(mean, uniform)
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


def cumulative(
    name: str,
    distribution: Distribution,
    value: Array,
    drawn: Mapping[str, Array],
    quiescent: bool,
    cosmo: Cosmology,
    scatter: Relations,
) -> Array:
    """Return the cumulative probability of values of age, metallicity or dust, the inverse of `draw`.

    Parameters
    ----------
    name, distribution, drawn, quiescent, cosmo, scatter
        As in `draw`.
    value : ndarray of shape (m, )
        Increasing values.

    Returns
    -------
    ndarray of shape (n, m)
        1 from the highest value that can be drawn on; of a constant, a step there.

    """
    ((kind, setting),) = distribution.items()
    given = {key: np.asarray(values)[:, None] for key, values in drawn.items()}
    low, high = (AGE_MARGIN, age_max(cosmo, given["redshift"])) if name == "age" else (-np.inf, np.inf)
    match kind, setting:
        case "relation", _:
            log_sfr = rel.log_sfr_quiescent if quiescent else rel.log_sfr_star_forming
            mean = rel.log_zmet(given["log_mstar"], log_sfr(given["log_mstar"], given["redshift"]))
            result = scatter.log_zmet.cumulative(mean, value)
        case "constant", _:
            result = np.where(value >= np.clip(float(setting), low, high), 1.0, 0.0)
        case "uniform", (first, last):
            result = _even(value, np.clip(first, low, high), np.clip(last, low, high))
        case "log_uniform", (first, last):
            result = _even(np.log(value), *(np.log(np.clip(limit, low, high)) for limit in (first, last)))
        case "normal", (mean, sigma, *limits):
            first, last = (np.maximum(low, limits[0]), np.minimum(high, limits[1])) if limits else (low, high)
            result = rel.normal_cumulative(*((x - mean) / sigma for x in (first, last, np.clip(value, first, last))))
        case "log_uniform_to_t_univ", youngest:
            result = _even(np.log(value), np.log(youngest), np.log(high))
        case "fraction_of_t_univ", (first, last):
            result = _even(value / t_univ(cosmo, given["redshift"]), first, last)
        case _:
            raise ValueError(f"no cumulative probability of {kind} of {name}")
    result = np.where(value >= high, 1.0, np.where(value < low, 0.0, result))
    return np.broadcast_to(result, (len(given["redshift"]), len(value)))


def _even(value: Array, first: Array, last: Array) -> Array:
    """Return the cumulative probability of a uniform distribution, a step where its limits are the same."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(value >= last, 1.0, np.clip((value - first) / (last - first), 0.0, 1.0))


def evaluate(parameters: Mapping[str, Array], engine: Engine, *, quiescent: bool) -> dict[str, Array]:
    """Return the parent catalogue, `COLUMNS`: the parameters and what the stellar population model makes of them.

    Metallicities are those of the SSP table where the drawn ones lie outside it. Quiescent points have no gas.

    Raises
    ------
    UserError
        If the model cannot take a parameter, or nothing is left of a point's light.

    """
    columns = {name: np.asarray(parameters[name]) for name in PARAMETERS}
    columns["log_zmet"] = engine.clip_log_zmet(columns["log_zmet"])
    fsps = (columns[name] for name in ("age", "tau", "log_zmet", "log_us", "dust2"))
    derived = engine.derived(*fsps, nebular=not quiescent)
    columns["log_sfr"] = derived.log_ssfr + columns["log_mstar"]
    columns["muv"] = derived.muv - 2.5 * columns["log_mstar"]
    for name in ("mass_fraction", "beta", "uv", "vj"):
        columns[name] = getattr(derived, name)
    for name, values in columns.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            point = ", ".join(f"{key} {columns[key][bad[0]]:.3g}" for key in PARAMETERS)
            raise UserError(
                f"{name} of {len(bad)} of {len(values)} parent points is no finite number, e.g. at {point}. Change "
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
    scatter: Mapping[str, float],
    sps: Mapping[str, Any],
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
    seed, cosmology, scatter, sps
        The config's ``seed``, ``cosmology``, ``relations.scatter`` and ``sps``.

    Raises
    ------
    UserError
        If the SSP table cannot be read.

    """
    result = {
        "kind": kind,
        "n": n,
        "sampling": sampling_of(sampling, kind),
        "seed": seed,
        "cosmology": cosmology,
        "scatter": scatter,
        "sps_model": asdict(Model.from_config(sps)),
        "ssp_table_sha256": provenance.sha256(sps["table"]),
    }
    return json.loads(json.dumps(result))  # type: ignore[no-any-return]


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
        The file, see `mocksed.mapped`.
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
    quiescent, sampling = recipe["kind"] == "quiescent", recipe["sampling"]
    cosmo, scatter = Cosmology(**recipe["cosmology"]), Relations.from_config(recipe["scatter"])
    metadata = {**(about or {}), "recipe": recipe, "rows": [start, stop]}
    with mapped.writing(path, COLUMNS, stop - start, metadata) as append:
        for first in range(start, stop, BLOCK):
            ids = np.arange(first, min(first + BLOCK, stop))
            drawn = sample(ids, sampling, quiescent=quiescent, seed=recipe["seed"], cosmo=cosmo, scatter=scatter)
            append(evaluate(drawn, engine, quiescent=quiescent))
            if progress:
                progress.update(len(ids))


@dataclass(frozen=True)
class Catalogue:
    """A parent catalogue on disk, or some of its shards; see `open_shards`.

    Attributes
    ----------
    tables : tuple of mocksed.mapped.Table
        Its shards.
    bounds : ndarray of shape (n_shard + 1, )
        First row of each shard in the whole catalogue, and the one past the last.

    """

    tables: tuple[mapped.Table, ...]
    bounds: NDArray[np.int64]

    @property
    def metadata(self) -> dict[str, Any]:
        """What its files say of themselves, apart from their rows."""
        return {key: value for key, value in self.tables[0].metadata.items() if key != "rows"}

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
            of_shard = order[begin:end]
            for name, values in taken.items():
                values[of_shard] = table.column(name)[flat[of_shard] - first]
        return {name: values.reshape(rows.shape) for name, values in taken.items()}


def open_shards(paths: Sequence[Path | str], recipe: Recipe) -> Catalogue:
    """Return the catalogue in some shards, which follow on each other.

    Raises
    ------
    UserError
        If one is missing, truncated, made from another recipe or not the one that follows.

    """
    tables = tuple(mapped.read(path) for path in paths)
    bounds = [tables[0].metadata.get("rows", [0])[0]]
    for table in tables:
        check_recipe(table.path, table.metadata.get("recipe"), recipe)
        rows = table.metadata.get("rows")
        if rows != [bounds[-1], bounds[-1] + table.n_rows]:
            raise UserError(
                f"{table.path} holds the rows {rows}, expected were those from {bounds[-1]}: it is of another division "
                f"into shards. {_REMOVE}"
            )
        bounds.append(rows[1])
    return Catalogue(tables, np.array(bounds))


def check_recipe(path: Path | str, found: Recipe | None, expected: Recipe) -> None:
    """Stop with a `UserError` if a file was made from a parent of another recipe than expected."""
    if found is None:
        raise UserError(f"{path} does not say from what it was made. {_REMOVE}")
    for key, value in expected.items():
        if found.get(key) != value:
            raise UserError(
                f"{path} was made with another configuration: {key} is {found.get(key)}, expected {value}. {_REMOVE}"
            )


_REMOVE = "Remove it and run again: it will be made anew."
