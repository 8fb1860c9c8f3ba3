"""The FSPS parameters of galaxies: those of the point that was taken, or a mean of several neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.blocks import row_blocks
from mocksed.files.columns import Flag
from mocksed.rng import Stage, uniforms
from mocksed.search import given
from mocksed.search.metric import Metric
from mocksed.search.parent import FSPS

if TYPE_CHECKING:
    from mocksed.sps.engine import Engine

Array = NDArray[np.float64]
Take = Callable[[tuple[str, ...], NDArray[np.int64]], Mapping[str, NDArray]]
"""Returns columns of the parent at rows, in the shape of these (`mocksed.search.parent.Catalogue.take`)."""

BLOCK = 100_000
"""Galaxies to which parameters are assigned at a time."""

METHODS = ("choose", "weighted_mean", "nearest", "sample")
"""How parameters follow from what the search found.

``choose``: one of the points near the draw, taken with weights that make the population follow the relations
(`mocksed.search.choice`). ``weighted_mean``: the average of the neighbours by inverse distance (Drakos et al. 2022):
what the metric does not constrain collapses to its mean, and the average of models is not the model of the average.
``nearest``: the nearest neighbour, and ``sample``: one drawn by the same weights; both stay as far from the draw as the
points are sparse."""


def inverse_distance(distance: Array) -> Array:
    """Return weights proportional to 1 / distance that sum to 1 over the neighbours, shape (n, k)."""
    weight = 1.0 / np.maximum(distance, 1e-6)
    return weight / weight.sum(axis=1, keepdims=True)


def weighted_mean(neighbours: Mapping[str, Array], weight: Array) -> dict[str, Array]:
    """Return the average of the neighbours' parameters; ages and times scale, so they are averaged as logarithms.

    Parameters
    ----------
    neighbours : mapping of str to ndarray of shape (n, k)
        `mocksed.search.parent.FSPS` of the neighbours.
    weight : ndarray of shape (n, k)
        Weights that sum to 1.

    """
    scaling = ("age", "tau")
    mean = {name: np.sum(weight * neighbours[name], axis=1) for name in FSPS if name not in scaling}
    return mean | {name: np.exp(np.sum(weight * np.log(neighbours[name]), axis=1)) for name in scaling}


def sample(distance: Array, galaxy_id: NDArray[np.int64], *, seed: int, realisation: ArrayLike = 0) -> NDArray[np.intp]:
    """Return which neighbour each galaxy takes, drawn by inverse distance, shape (n, ).

    Parameters
    ----------
    distance : ndarray of shape (n, k)
        Distances of the neighbours.
    galaxy_id : ndarray of shape (n, )
        The galaxies: each has its own random number.
    seed : int
        Seed of the run.
    realisation : int or ndarray of shape (n, )
        The realisation of the catalogue: each has its own random numbers.

    """
    cumulative = np.cumsum(inverse_distance(distance), axis=1)
    drawn = uniforms(seed, Stage.ASSIGNMENT, galaxy_id, 1, realisation=realisation) * cumulative[:, -1:]
    return np.argmax(cumulative >= drawn, axis=1)


def assign(
    galaxies: Mapping[str, NDArray],
    age_limit: Array,
    take: Take,
    *,
    metric: Metric,
    method: str,
    seed: int,
    engine: Engine | None = None,
    nebular: bool = True,
) -> dict[str, NDArray]:
    """Return the FSPS parameters of galaxies of a class and their flags.

    The ionisation parameter is the one that was asked for, where it is no coordinate of the metric. Models of galaxies
    of which their table gives more than redshift and mass are moved onto that (`mocksed.search.move`).

    Parameters
    ----------
    galaxies : mapping of str to ndarray
        ``galaxy_id``, ``realisation``, by default 0, what `mocksed.search.neighbours.of_class` found for them; and
        where their table gives something, ``log_mstar`` and ``given_...``.
    age_limit : ndarray of shape (n, )
        Oldest age allowed [Gyr]; an older one is moved to it and flagged.
    take : callable
        Looks up the parent.
    metric : Metric
        The metric of the search.
    method : str
        One of `METHODS`.
    seed : int
        Seed of the run.
    engine : Engine, optional
        The stellar population model; only used where tables give something.
    nebular : bool
        Whether the gas of the class shines.

    Returns
    -------
    dict of ndarrays of shape (n, )
        `mocksed.search.parent.FSPS` and ``flags``.

    """
    n = len(age_limit)
    parts = [
        _assign({name: values[rows] for name, values in galaxies.items()}, take, method, seed)
        for rows in row_blocks(0, max(n, 1), BLOCK)
    ]
    result: dict[str, NDArray] = {name: np.concatenate([part[name] for part in parts]) for name in FSPS}
    if "log_us" not in metric.scales and "prop_log_us" in galaxies:
        result["log_us"] = galaxies["prop_log_us"]
    too_old = result["age"] > age_limit
    result["age"] = np.minimum(result["age"], age_limit)
    if engine is not None and (names := given.columns(galaxies)):
        from mocksed.search.move import move  # the model takes half a second to import, and most runs do without

        wanted = {
            name: np.where(np.isnan(galaxies[f"given_{name}"]), np.nan, galaxies[f"prop_{name}"]) for name in names
        }
        result |= move(result, wanted, galaxies["log_mstar"], age_limit, engine, nebular=nebular)
    flags = Flag.AGE_CLIPPED * too_old + Flag.NO_ALLOWED_NEIGHBOUR * ~galaxies["parent_found"]
    return result | {"flags": flags.astype(np.int32)}


def _assign(galaxies: Mapping[str, NDArray], take: Take, method: str, seed: int) -> dict[str, Array]:
    match method:
        case "choose":
            rows = galaxies["parent_row"]
        case "weighted_mean":
            neighbours = {name: values.astype(float) for name, values in take(FSPS, galaxies["neighbour_row"]).items()}
            return weighted_mean(neighbours, inverse_distance(galaxies["neighbour_distance"]))
        case "nearest":
            rows = galaxies["neighbour_row"][:, 0]
        case "sample":
            realisation = galaxies.get("realisation", 0)
            chosen = sample(galaxies["neighbour_distance"], galaxies["galaxy_id"], seed=seed, realisation=realisation)
            rows = np.take_along_axis(galaxies["neighbour_row"], chosen[:, None], 1)[:, 0]
        case _:
            raise ValueError(f"unknown method {method}")
    return {name: values.astype(float) for name, values in take(FSPS, rows).items()}
