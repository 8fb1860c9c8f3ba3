"""The search for one shard of galaxies: draws, the allowed points near them, and the one that each galaxy takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mocksed import relations as rel
from mocksed.cosmology import Cosmology, age_max, t_univ
from mocksed.jobs import Progress
from mocksed.relations import Relations
from mocksed.rng import Stage, uniforms
from mocksed.search import choice, draw
from mocksed.search.balance import Balance
from mocksed.search.choice import Candidates, Prior
from mocksed.search.kdtree import KDTree, Nearest, order
from mocksed.search.metric import Metric

Array = NDArray[np.float64]

BLOCK = 16_384
"""Galaxies whose candidates are held at once, some 4 kB each with 64 of them."""


@dataclass(frozen=True)
class Cloud:
    """The parent points of a class, as the search sees them.

    Attributes
    ----------
    kind : str
        "star_forming" or "quiescent".
    trees : sequence of KDTree
        Its tree shards, in the order of their rows.
    metric : Metric
        Of their coordinates.

    """

    kind: str
    trees: Sequence[KDTree]
    metric: Metric


@dataclass(frozen=True)
class Search:
    """How galaxies of a run are searched for.

    Attributes
    ----------
    method : str
        One of `mocksed.search.assign.METHODS`: with "choose" one point is taken, else all that were found are kept.
    k : int
        Points that are looked for.
    allowed_ages_only : bool
        Whether points older than the universe are left out.
    seed : int
        Seed of the run.
    cosmo : Cosmology
        Cosmology that limits the ages.
    scatter : Relations
        Scatter of the relations.
    prior : mapping of str to Prior
        Of each class.

    """

    method: str
    k: int
    allowed_ages_only: bool
    seed: int
    cosmo: Cosmology
    scatter: Relations
    prior: Mapping[str, Prior]


def of_class(
    galaxies: Mapping[str, NDArray],
    cloud: Cloud,
    search: Search,
    balance: Balance | None = None,
    progress: Progress | None = None,
) -> dict[str, NDArray]:
    """Return what is asked of the galaxies of a class, and the points that they have.

    Parameters
    ----------
    galaxies : mapping of str to ndarray of shape (n, )
        ``galaxy_id``, ``redshift``, ``log_mstar``, and ``realisation``, by default 0.
    cloud : Cloud
        The points of the class.
    search : Search
        How.
    balance : Balance, optional
        Of the weights of star-forming galaxies, for the method "choose".
    progress : Progress, optional
        Told of the galaxies that are done.

    Returns
    -------
    dict of ndarrays of shape (n, )
        ``prop_...`` of `mocksed.search.draw.ASKED`; ``parent_found``, whether any point is young enough - else the
        youngest one is used; and with the method "choose" ``parent_row``, the row of the point taken, with others
        ``neighbour_row`` and ``neighbour_distance`` of shape (n, k), nearest first, the last one repeated where there
        are fewer.

    """
    n, k = len(galaxies["galaxy_id"]), min(search.k, sum(tree.n_points for tree in cloud.trees))
    realisation = np.broadcast_to(galaxies.get("realisation", 0), n)
    uniform = draw.numbers(cloud.kind, galaxies["galaxy_id"], search.seed, realisation)
    mass, z = galaxies["log_mstar"], galaxies["redshift"]
    if cloud.kind == "quiescent":
        asked = draw.quiescent(uniform, mass, z, search.scatter)
    elif search.method == "choose":
        asked = draw.star_forming(uniform, mass, z, search.scatter)
    else:
        asked = draw.independent(uniform, mass, z, search.scatter)
    limit = age_max(search.cosmo, z) if search.allowed_ages_only else np.full(n, np.inf)
    targets = cloud.metric.coordinates({**asked, "log_mstar": mass, "redshift": z})
    result: dict[str, NDArray] = {f"prop_{name}": values for name, values in asked.items()}
    result["parent_found"] = np.empty(n, bool)
    if search.method == "choose":
        result["parent_row"] = np.empty(n, np.int64)
        own_zmet = np.empty(n)
    else:
        result["neighbour_row"], result["neighbour_distance"] = np.empty((n, k), np.int64), np.empty((n, k))
    nearby = order(targets)
    for start in range(0, n, BLOCK):
        rows = nearby[start : start + BLOCK].astype(np.int64)
        nearest = find(cloud.trees, targets[rows], k, limit[rows])
        result["parent_found"][rows] = nearest.n_found > 0
        use_youngest(cloud.trees, targets[rows], nearest)
        if search.method == "choose":
            own = {name: values[rows] for name, values in galaxies.items()} | {"realisation": realisation[rows]}
            taken, own_zmet[rows] = _choose(own, nearest, cloud, search, balance)
            result["parent_row"][rows] = taken
        else:
            last = np.maximum(nearest.n_found - 1, 0)[:, None]
            filled = np.minimum(np.arange(k), last)
            result["neighbour_row"][rows] = np.take_along_axis(nearest.rows, filled, 1)
            result["neighbour_distance"][rows] = np.take_along_axis(nearest.distance, filled, 1)
        if progress:
            progress.update(len(rows))
    if search.method == "choose" and cloud.kind == "star_forming":
        result["prop_log_us"] = search.scatter.log_us.draw(rel.log_us(own_zmet), uniform["log_us"])
    return result


def find(trees: Sequence[KDTree], targets: NDArray[np.float32], k: int, age_max: Array) -> Nearest:
    """Return the ``k`` points of all trees that are nearest to targets and not older than their limits."""
    nearest = Nearest.none(len(targets), k)
    for tree in trees:
        tree.search(targets, age_max, nearest)
        if len(trees) > 1:
            tree.release()
    return nearest


def use_youngest(trees: Sequence[KDTree], targets: NDArray[np.float32], nearest: Nearest) -> None:
    """Let the youngest point of all be the one that was found for targets without any."""
    none = np.flatnonzero(nearest.n_found == 0)
    if not len(none):
        return
    (_, row, place), tree = min(((tree.youngest(), tree) for tree in trees), key=lambda pair: pair[0])
    point = tree.carried(np.array([place], np.uint32))[0, : tree.n_quantity].astype(np.float64)
    nearest.rows[none, 0], nearest.place[none, 0], nearest.n_found[none] = row, place, 1
    nearest.distance[none, 0] = np.sqrt(np.square(targets[none].astype(np.float64) - point).sum(axis=1))


def candidates(trees: Sequence[KDTree], metric: Metric, nearest: Nearest, log_mstar: Array) -> Candidates:
    """Return what the points that were found look like at the masses of the galaxies.

    Parameters
    ----------
    trees : sequence of KDTree
        That were searched.
    metric : Metric
        Of their coordinates.
    nearest : Nearest
        The points.
    log_mstar : ndarray of shape (n, )
        log10 of the masses [Msun].

    """
    names = (*metric.scales, "age", *metric.payload)
    values = np.full((*nearest.rows.shape, len(names)), np.nan, np.float32)
    bounds = np.cumsum([0, *(tree.n_points for tree in trees)])
    for tree, (first, last) in zip(trees, pairwise(bounds), strict=True):
        of_tree = (nearest.rows >= first) & (nearest.rows < last) if len(trees) > 1 else np.s_[:]
        values[of_tree] = tree.carried(nearest.place[of_tree])
        if len(trees) > 1:
            tree.release()
    scales = metric.scales | dict.fromkeys(("age", *metric.payload), 1.0)
    found = {name: np.multiply(values[..., i], scales[name], dtype=np.float64) for i, name in enumerate(names)}
    nothing = np.empty((0, 0))
    return Candidates(
        n_found=nearest.n_found,
        distance=nearest.distance,
        age=found["age"],
        log_sfr=found["log_ssfr"] + log_mstar[:, None],
        log_zmet=found["log_zmet"],
        beta=found.get("beta", nothing),
        muv=found["muv_per_mass"] - 2.5 * log_mstar[:, None] if "muv_per_mass" in found else nothing,
        dust_index=found.get("dust_index", nothing),
    )


def _choose(
    galaxies: Mapping[str, NDArray], nearest: Nearest, cloud: Cloud, search: Search, balance: Balance | None
) -> tuple[NDArray[np.uint32], Array]:
    """Return the rows of the points taken, and their metallicities."""
    mass, z = galaxies["log_mstar"], galaxies["redshift"]
    found, oldest = candidates(cloud.trees, cloud.metric, nearest, mass), t_univ(search.cosmo, z)
    prior = search.prior[cloud.kind]
    if cloud.kind == "quiescent":
        score = choice.quiescent(found, oldest, prior=prior)
    else:
        own = np.zeros((len(mass), len(choice.STATISTICS))) if balance is None else balance.at(z, mass)
        score = choice.star_forming(found, mass, z, oldest, scatter=search.scatter, prior=prior, coefficients=own)
    random = uniforms(search.seed, Stage.ASSIGNMENT, galaxies["galaxy_id"], 1, realisation=galaxies["realisation"])
    taken = choice.take(score.log_weight, random[:, 0])[:, None]
    return (
        np.take_along_axis(nearest.rows, taken, 1)[:, 0],
        np.take_along_axis(found.log_zmet, taken, 1)[:, 0],
    )
