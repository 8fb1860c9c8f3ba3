"""From relations to FSPS parameters: proposals with scatter, and what the neighbours make of them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed import relations as rel
from mocksed.columns import Flag
from mocksed.neighbours import Metric
from mocksed.relations import Relations
from mocksed.rng import Stage, uniforms
from mocksed.sps import TAU_RANGE

Array = NDArray[np.float64]

PROPOSED = ("log_sfr", "log_zmet", "log_us", "muv", "beta")
"""What is proposed for a star-forming galaxy; in the catalogue with the prefix ``prop_``."""

PARAMETERS = ("age", "tau", "dust2", "log_zmet", "log_us")
"""The FSPS parameters that are assigned."""


def propose(
    galaxy_id: NDArray[np.int64],
    log_mstar: Array,
    redshift: Array,
    *,
    seed: int,
    scatter: Relations,
    realisation: ArrayLike = 0,
) -> dict[str, Array]:
    """Return the proposals of star-forming galaxies, each drawn from its relation with its scatter.

    The metallicity follows from the mass and the proposed SFR, the ionisation parameter from the proposed metallicity,
    the UV slope from the proposed M_UV.

    Parameters
    ----------
    galaxy_id, log_mstar, redshift : ndarrays of shape (n, )
        The galaxies; masses as log10 of Msun.
    seed : int
        Seed of the run.
    scatter : Relations
        Scatter of the relations.
    realisation : int or ndarray of shape (n, )
        The realisation of the catalogue: each has its own random numbers.

    Returns
    -------
    dict of ndarrays of shape (n, )
        One for each of `PROPOSED`, and ``tau`` [Gyr], which no relation constrains: uniform in its logarithm, the one
        near which the galaxy is searched for.

    """
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


def assign(
    neighbours: Mapping[str, Array],
    distance: Array,
    age_limit: Array,
    found: NDArray[np.bool_],
    prop_log_us: Array,
    metric: Metric,
) -> dict[str, NDArray]:
    """Return the FSPS parameters of star-forming galaxies and their flags.

    Parameters
    ----------
    neighbours : mapping of str to ndarray of shape (n, k)
        `PARAMETERS` of the neighbours.
    distance : ndarray of shape (n, k)
        Their distances.
    age_limit : ndarray of shape (n, )
        Oldest age allowed [Gyr]; an older average is moved to it and flagged.
    found : ndarray of shape (n, )
        Whether there were neighbours young enough.
    prop_log_us : ndarray of shape (n, )
        The proposed ionisation parameter, taken as it is where it is no coordinate of the metric.
    metric : Metric
        The metric of the search.

    Returns
    -------
    dict of ndarrays of shape (n, )
        `PARAMETERS` and ``flags``.

    """
    result: dict[str, NDArray] = dict(weighted_mean(neighbours, inverse_distance(distance)))
    if "log_us" not in metric.scales:
        result["log_us"] = prop_log_us
    too_old = result["age"] > age_limit
    result["age"] = np.minimum(result["age"], age_limit)
    result["flags"] = (Flag.AGE_CLIPPED * too_old + Flag.NO_ALLOWED_NEIGHBOUR * ~found).astype(np.int32)
    return result
