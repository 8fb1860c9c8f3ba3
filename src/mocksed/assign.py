"""From relations to FSPS parameters: proposals with scatter, and what the neighbours make of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed import optimum, reach
from mocksed import relations as rel
from mocksed.columns import Flag
from mocksed.neighbours import Metric
from mocksed.relations import Relations
from mocksed.rng import Stage, uniforms
from mocksed.sps import TAU_RANGE

if TYPE_CHECKING:
    from mocksed.reach import Models
    from mocksed.sps.engine import Engine

Array = NDArray[np.float64]

PROPOSED = ("log_sfr", "log_zmet", "log_us", "muv", "beta")
"""What is proposed for a star-forming galaxy; in the catalogue with the prefix ``prop_``."""

PARAMETERS = ("age", "tau", "dust2", "log_zmet", "log_us")
"""The FSPS parameters that are assigned."""

BLOCK = 100_000
"""Galaxies to which parameters are assigned at a time."""

METHODS = ("refine", "weighted_mean", "nearest", "sample")
"""How parameters follow from the neighbours, see `assign`."""

TAU_WEIGHT = 0.1
"""Weight [1/dex] of the prior on tau of the method refine: see `mocksed.optimum.nearest_models`."""


def propose(
    galaxy_id: NDArray[np.int64],
    log_mstar: Array,
    redshift: Array,
    *,
    seed: int,
    scatter: Relations,
    age_limit: Array | None = None,
    models: Models | None = None,
    realisation: ArrayLike = 0,
) -> dict[str, Array]:
    """Return the proposals of star-forming galaxies, drawn from the relations with their scatters.

    Without models each is drawn by itself: the metallicity follows from the mass and the proposed SFR, the ionisation
    parameter from the proposed metallicity, the UV slope from the proposed M_UV. With them the proposals are such that
    models meet them (see `mocksed.reach`).

    Parameters
    ----------
    galaxy_id, log_mstar, redshift : ndarrays of shape (n, )
        The galaxies; masses as log10 of Msun.
    seed : int
        Seed of the run.
    scatter : Relations
        Scatter of the relations.
    age_limit : ndarray of shape (n, ), optional
        Oldest age allowed [Gyr]; needed with models.
    models : Models, optional
        The models that have to meet the proposals; they know the scatter that they were balanced for.
    realisation : int or ndarray of shape (n, )
        The realisation of the catalogue: each has its own random numbers.

    Returns
    -------
    dict of ndarrays of shape (n, )
        One for each of `PROPOSED`, and ``tau`` [Gyr], near which the galaxy is searched for: that of the model, or
        uniform in its logarithm, since no relation constrains it.

    """
    if models is not None:
        if age_limit is None:
            raise ValueError("proposals that models meet need the limits of the ages")
        parts, of_row = [], np.broadcast_to(realisation, galaxy_id.shape)
        for start in range(0, max(len(galaxy_id), 1), reach.BLOCK):
            rows = slice(start, start + reach.BLOCK)
            draws = uniforms(seed, Stage.PROPOSAL, galaxy_id[rows], reach.N_RANDOM, realisation=of_row[rows])
            parts.append(reach.draw(draws, log_mstar[rows], redshift[rows], age_limit[rows], models))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    random = iter(uniforms(seed, Stage.PROPOSAL, galaxy_id, len(PROPOSED) + 1, realisation=realisation).T)
    log_sfr = scatter.log_sfr_star_forming.draw(rel.log_sfr_star_forming(log_mstar, redshift), next(random))
    log_zmet = scatter.log_zmet.draw(rel.log_zmet(log_mstar, log_sfr), next(random))
    log_us = scatter.log_us.draw(rel.log_us(log_zmet), next(random))
    muv = scatter.muv.draw(rel.muv(log_mstar, redshift), next(random))
    beta = scatter.beta.draw(rel.beta(muv, redshift), next(random))
    tau = TAU_RANGE[0] * (TAU_RANGE[1] / TAU_RANGE[0]) ** next(random)
    return {"log_sfr": log_sfr, "log_zmet": log_zmet, "log_us": log_us, "muv": muv, "beta": beta, "tau": tau}


def inverse_distance(distance: Array) -> Array:
    """Return weights proportional to 1 / distance that sum to 1 over the neighbours, shape (n, k)."""
    weight = 1.0 / np.maximum(distance, 1e-6)
    return weight / weight.sum(axis=1, keepdims=True)


def weighted_mean(neighbours: Mapping[str, Array], weight: Array) -> dict[str, Array]:
    """Return the average of the neighbours' parameters; ages and times scale, so they are averaged as logarithms.

    Parameters
    ----------
    neighbours : mapping of str to ndarray of shape (n, k)
        `PARAMETERS` of the neighbours.
    weight : ndarray of shape (n, k)
        Weights that sum to 1.

    """
    mean = {name: np.sum(weight * neighbours[name], axis=1) for name in ("dust2", "log_zmet", "log_us")}
    for name in ("age", "tau"):
        mean[name] = np.exp(np.sum(weight * np.log(neighbours[name]), axis=1))
    return mean


def nearest(neighbours: Mapping[str, Array]) -> dict[str, Array]:
    """Return the parameters of the first, the nearest, of the neighbours."""
    return {name: neighbours[name][:, 0].copy() for name in PARAMETERS}


def sample(
    neighbours: Mapping[str, Array],
    weight: Array,
    galaxy_id: NDArray[np.int64],
    *,
    seed: int,
    realisation: ArrayLike = 0,
) -> dict[str, Array]:
    """Return the parameters of one of the neighbours, drawn with a probability equal to its weight.

    Parameters
    ----------
    neighbours : mapping of str to ndarray of shape (n, k)
        `PARAMETERS` of the neighbours.
    weight : ndarray of shape (n, k)
        Weights that sum to 1.
    galaxy_id : ndarray of shape (n, )
        The galaxies: each has its own random number.
    seed : int
        Seed of the run.
    realisation : int or ndarray of shape (n, )
        The realisation of the catalogue: each has its own random numbers.

    """
    cumulative = np.cumsum(weight, axis=1)
    drawn = uniforms(seed, Stage.ASSIGNMENT, galaxy_id, 1, realisation=realisation) * cumulative[:, -1:]
    chosen = np.argmax(cumulative >= drawn, axis=1)[:, None]
    return {name: np.take_along_axis(neighbours[name], chosen, 1)[:, 0] for name in PARAMETERS}


def assign(
    neighbours: Mapping[str, Array],
    distance: Array,
    found: NDArray[np.bool_],
    galaxies: Mapping[str, NDArray],
    proposal: Mapping[str, Array],
    age_limit: Array,
    *,
    metric: Metric,
    method: str,
    seed: int,
    engine: Engine | None = None,
    tau_weight: float = TAU_WEIGHT,
) -> dict[str, NDArray]:
    """Return the FSPS parameters of star-forming galaxies and their flags.

    The ionisation parameter is taken as proposed where it is no coordinate of the metric, and by the method refine.

    Parameters
    ----------
    neighbours : mapping of str to ndarray of shape (n, k)
        `PARAMETERS` of the neighbours.
    distance : ndarray of shape (n, k)
        Their distances.
    found : ndarray of shape (n, )
        Whether there were neighbours young enough.
    galaxies : mapping of str to ndarray of shape (n, )
        ``galaxy_id``, ``log_mstar`` [log10 of Msun], and ``realisation``, by default 0.
    proposal : mapping of str to ndarray of shape (n, )
        What was proposed, see `propose`; ``tau`` for the method refine only.
    age_limit : ndarray of shape (n, )
        Oldest age allowed [Gyr]; an older one is moved to it and flagged.
    metric : Metric
        The metric of the search.
    method : str
        One of `METHODS`. ``weighted_mean`` averages the neighbours by inverse distance (Drakos et al. 2022): what the
        metric does not constrain collapses to its mean, and the average of models is not the model of the average.
        ``nearest`` takes the nearest one and ``sample`` one drawn by the same weights: both keep the distributions of
        the parent and stay as far from the proposal as its points are sparse. ``refine`` moves the nearest one to where
        the model is nearest to the proposal (see `mocksed.optimum`).
    seed : int
        Seed of the run, for the method sample.
    engine : Engine, optional
        The stellar population model, for the method refine.
    tau_weight : float
        Weight of the prior on tau of the method refine [1/dex].

    Returns
    -------
    dict of ndarrays of shape (n, )
        `PARAMETERS` and ``flags``.

    """
    result: dict[str, NDArray]
    match method:
        case "weighted_mean":
            result = dict(weighted_mean(neighbours, inverse_distance(distance)))
        case "nearest":
            result = dict(nearest(neighbours))
        case "sample":
            weight, own = inverse_distance(distance), galaxies.get("realisation", 0)
            result = dict(sample(neighbours, weight, galaxies["galaxy_id"], seed=seed, realisation=own))
        case "refine" if engine is not None:
            start, mass = nearest(neighbours), galaxies["log_mstar"]
            moved = optimum.nearest_models(
                start, proposal, mass, age_limit, engine=engine, metric=metric, tau_weight=tau_weight
            )
            result = dict(moved)
        case _:
            raise ValueError(f"unknown method {method}, or one that needs an engine")
    if "log_us" not in metric.scales:
        result["log_us"] = proposal["log_us"]
    too_old = result["age"] > age_limit
    result["age"] = np.minimum(result["age"], age_limit)
    result["flags"] = (Flag.AGE_CLIPPED * too_old + Flag.NO_ALLOWED_NEIGHBOUR * ~found).astype(np.int32)
    return result
