"""Populations made in memory by the chain that a config asks for, without files: parents, search, choice, catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocksed import catalog
from mocksed.cosmology import Cosmology, age_max
from mocksed.run import configuration
from mocksed.run.stages.search import search_of as search_of_job
from mocksed.search import assign, kdtree, neighbours, parent
from mocksed.search.balance import Balance
from mocksed.search.cloud import Cloud, Search
from mocksed.search.kdtree import KDTree
from mocksed.search.metric import carries, metric_of
from mocksed.sps.engine import Engine
from mocksed.sps.model import Model
from mocksed.sps.table import SSPTable

Columns = dict[str, NDArray]


def configured(root: Path, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a config with all defaults, changed at dotted keys."""
    raw: dict[str, Any] = {"run": "test", "sps": {"table": str(root / "resources/ssp_padova_kurucz_chabrier.h5")}}
    for key, value in (changes or {}).items():
        *path, last = key.split(".")
        reduce(lambda node, name: node.setdefault(name, {}), path, raw)[last] = value
    return configuration.load(raw)


def search_of(cfg: Mapping[str, Any]) -> Search:
    """Return the search of a config."""
    return search_of_job(dict(cfg) | {"given": {"mode": "exact", "quantities": []}})


def engine_of(cfg: Mapping[str, Any], table: SSPTable) -> Engine:
    """Return the engine of a config over a table that is read already."""
    return Engine(table, Model.from_config(cfg["sps"]))


@dataclass(frozen=True)
class Parent:
    """Parent points of a class: as the search sees them, and their columns in single precision as in files."""

    cloud: Cloud
    columns: Columns
    drawn: int

    def take(self, names: Sequence[str], rows: NDArray) -> Columns:
        """Return columns at rows."""
        return {name: self.columns[name][rows] for name in names}

    def sharded(self, cuts: Sequence[int]) -> Cloud:
        """Return the points in several trees, which begin and end at the rows ``cuts``."""
        doubles = {name: values.astype(float) for name, values in self.columns.items()}
        metric, trees = self.cloud.metric, []
        for first, last in pairwise(cuts):
            part = {name: values[first:last] for name, values in doubles.items()}
            points = metric.coordinates(part)
            leaves = kdtree.leaves(points, part["age"], metric.carried(part), kdtree.order(points), first)
            trees.append(KDTree(leaves, len(metric.scales)))
        return Cloud(self.cloud.kind, trees, metric)


def parent_of(cfg: Mapping[str, Any], kind: str, n: int, engine: Engine) -> Parent:
    """Return the first ``n`` parent points of a config."""
    of_kind = cfg["parent"][kind]
    recipe = parent.recipe(
        kind, n, of_kind["sampling"], seed=cfg["seed"], cosmology=cfg["cosmology"],
        relations=cfg["relations"], sps=cfg["sps"],
        uvj_box=cfg["quiescent"]["uvj_box"] if of_kind.get("in_box_only") else None,
    )  # fmt: skip
    columns, drawn = parent.points(np.arange(n), recipe, engine)
    single = {name: values.astype(np.float32) for name, values in columns.items()}
    doubles = {name: values.astype(float) for name, values in single.items()}
    metric = metric_of(kind, cfg["neighbours"]["metric"], cfg["neighbours"]["scales"], carries(cfg["relations"]))
    tree = KDTree.of(metric.coordinates(doubles), doubles["age"], metric.carried(doubles))
    return Parent(Cloud(kind, [tree], metric), single, drawn)


def galaxies(kind: str, redshift: NDArray, log_mstar: NDArray, first: int = 0) -> Columns:
    """Return galaxies of a class."""
    return {
        "galaxy_id": np.arange(first, first + len(redshift)),
        "redshift": np.asarray(redshift, float),
        "log_mstar": np.asarray(log_mstar, float),
        "quiescent": np.full(len(redshift), kind == "quiescent"),
    }


def populate(
    cfg: Mapping[str, Any], own: Columns, points: Parent, engine: Engine, balance: Balance | None = None
) -> Columns:
    """Return the galaxies of one class with all columns of the catalogue and what the search found."""
    search, cosmo = search_of(cfg), Cosmology(**cfg["cosmology"])
    found = neighbours.of_class(own, points.cloud, search, balance)
    limit = age_max(cosmo, own["redshift"])
    assigned = assign.assign(
        own | found, limit, points.take, metric=points.cloud.metric, method=search.method, seed=search.seed,
        engine=engine, nebular=points.cloud.kind == "star_forming",
    )  # fmt: skip
    if points.cloud.kind == "quiescent":
        assigned["log_us"] = np.full(len(limit), np.nan)  # they have no gas
    metrics = {points.cloud.kind: points.cloud.metric}
    built = catalog.build(
        own, found | assigned, engine=engine, metrics=metrics | _other(points.cloud), cosmo=cosmo,
        uvj_box=cfg["quiescent"]["uvj_box"],
    )  # fmt: skip
    return own | found | built


def _other(cloud: Cloud) -> dict[str, Any]:
    other = {"quiescent": "star_forming", "star_forming": "quiescent"}[cloud.kind]
    return {other: metric_of(other, "default", {})}
