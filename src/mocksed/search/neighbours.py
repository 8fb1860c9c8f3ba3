"""The search for one shard of galaxies: draws, the allowed points near them, and the one that each galaxy takes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mocksed.blocks import row_blocks
from mocksed.cosmology import age_max, t_univ
from mocksed.progress import Progress
from mocksed.rng import Stage, uniforms
from mocksed.search import choice, draw
from mocksed.search.balance import Balance
from mocksed.search.cloud import Cloud, Search
from mocksed.search.given import known, requested
from mocksed.search.kdtree import Nearest, order

Array = NDArray[np.float64]

BLOCK = 16_384
"""Galaxies whose candidates are held at once, some 70 bytes each."""


def of_class(
    galaxies: Mapping[str, NDArray],
    cloud: Cloud,
    search: Search,
    balance: Balance | None = None,
    progress: Progress | None = None,
) -> dict[str, NDArray]:
    """Return the draws of the galaxies of a class, and the points that they take.

    Parameters
    ----------
    galaxies : mapping of str to ndarray of shape (n, )
        ``galaxy_id``, ``redshift``, ``log_mstar``, ``realisation``, by default 0, and what their table gives
        (``given_...``).
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
        ``prop_...`` of `mocksed.search.draw.DRAWN_QUANTITIES`, of several draws the one whose point is taken, and of
        whatever else the table gives; ``parent_found``,
        whether any point is young enough - else the youngest one is used; and with the method "choose" ``parent_row``,
        the row of the point taken, with others ``neighbour_row`` and ``neighbour_distance`` of shape (n, k), nearest
        first, the last one repeated where there are fewer.

    """
    n, n_draws = len(galaxies["galaxy_id"]), search.draws(cloud.kind)
    k = min(search.k // n_draws, cloud.n_points)  # of each draw
    realisation = np.broadcast_to(galaxies.get("realisation", 0), n)
    mass, z = galaxies["log_mstar"], galaxies["redshift"]
    numbers = partial(draw.numbers, cloud.kind, galaxies["galaxy_id"], search.seed, realisation)
    if cloud.kind == "quiescent":
        draw_of_class = draw.quiescent
    elif search.method == "choose":
        draw_of_class = draw.star_forming
    else:
        draw_of_class = draw.independent
    given = requested(galaxies, search.given, search.seed)
    draws = [draw_of_class(numbers(i), mass, z, search.relations, given) for i in range(n_draws)]
    limit = age_max(search.cosmo, z) if search.allowed_ages_only else np.full(n, np.inf)
    targets = cloud.targets(draws, mass, z)
    allowed, chosen = np.empty(n, bool), np.zeros(n, np.int64)
    if search.method == "choose":
        row, log_sfr, log_zmet = np.empty(n, np.int64), np.empty(n), np.empty(n)
    else:
        row, distance = np.empty((n, k), np.int64), np.empty((n, k))
    nearby = order(targets[:, 0])  # so that the targets of a block are near each other
    for block in row_blocks(0, n, BLOCK):
        rows = nearby[block].astype(np.int64)
        nearest = cloud.nearest(targets[rows], k, limit[rows])
        allowed[rows] = nearest.n_found[:, 0] > 0
        if search.method == "choose":
            some_galaxies = {name: values[rows] for name, values in galaxies.items()} | {
                "realisation": realisation[rows]
            }
            some_given = {name: values[rows] for name, values in given.items()}
            taken, log_sfr[rows], log_zmet[rows] = _choose(some_galaxies, some_given, nearest, cloud, search, balance)
            row[rows] = np.take_along_axis(nearest.rows, taken[:, None], 1)[:, 0]
            chosen[rows] = taken // k
        else:
            filled = np.minimum(np.arange(k), np.maximum(nearest.n_found - 1, 0))
            row[rows] = np.take_along_axis(nearest.rows, filled, 1)
            distance[rows] = np.take_along_axis(nearest.distance, filled, 1)
        if progress:
            progress.update(len(rows))
    drawn = {name: np.stack([of_draw[name] for of_draw in draws], axis=1) for name in draws[0]}
    result: dict[str, NDArray] = {f"prop_{name}": values[np.arange(n), chosen] for name, values in drawn.items()}
    result |= {f"prop_{name}": values for name, values in given.items() if name not in drawn}
    result["parent_found"] = allowed
    if search.method != "choose":
        return result | {"neighbour_row": row, "neighbour_distance": distance}
    if cloud.kind == "star_forming":
        log_sfr, log_zmet = known(given, "log_sfr", log_sfr), known(given, "log_zmet", log_zmet)
        log_us = search.relations.log_us.draw(numbers()["log_us"], log_zmet, mass, log_sfr, z)
        result["prop_log_us"] = known(given, "log_us", log_us)
    return result | {"parent_row": row}


def _choose(
    galaxies: Mapping[str, NDArray], given: Mapping[str, Array], nearest: Nearest, cloud: Cloud, search: Search,
    balance: Balance | None,
) -> tuple[NDArray[np.int64], Array, Array]:  # fmt: skip
    """Return which of the points are taken, and their SFRs and metallicities."""
    mass, z = galaxies["log_mstar"], galaxies["redshift"]
    candidates, oldest = cloud.candidates(nearest, mass), t_univ(search.cosmo, z)
    prior = search.prior[cloud.kind]
    if cloud.kind == "quiescent":
        score = choice.quiescent(candidates, oldest, prior=prior, given=given)
    else:
        offset = None
        if "log_sfr" in given:
            offset = given["log_sfr"] - search.relations.log_sfr_star_forming.mean(mass, z)
        coefficients = np.zeros((len(mass), len(choice.STATISTICS))) if balance is None else balance.at(z, mass, offset)
        score = choice.star_forming(
            candidates, mass, z, oldest, relations=search.relations, prior=prior, coefficients=coefficients,
            given=given, model=search.model,
        )  # fmt: skip
    random = uniforms(search.seed, Stage.ASSIGNMENT, galaxies["galaxy_id"], 1, realisation=galaxies["realisation"])
    taken = choice.take(score.log_weight, random[:, 0])
    log_sfr, log_zmet = (
        np.take_along_axis(values, taken[:, None], 1)[:, 0] for values in (candidates.log_sfr, candidates.log_zmet)
    )
    return taken, log_sfr, log_zmet
