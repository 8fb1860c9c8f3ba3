"""The balance of the weights with which star-forming galaxies take their models, once for a run.

With the weights of `mocksed.search.choice` alone the population would leave the relations: where the models near the
draws lie to one side of a relation, so does the population, and a product of distributions is narrower than each of
them. So the weights are balanced, as samples of a survey are (Deville & Särndal 1992): of all weights for which half of
the galaxies lie on either side of each relation and their scatter is that of the relation, those nearest to the
likelihoods in the sense of relative entropy. They are the likelihoods times the exponential of a sum over statistics of
each quantity, with coefficients that are found here on a grid of redshift and mass, from the models that the search
finds there. Where no model satisfies two relations, `SOFTNESS` sets how much of one is given up for the other.

Galaxies whose SFR is given by their table do not follow the relation of the SFR: they have coefficients on a grid of
the SFR as well, with which galaxies of each SFR follow the other relations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mocksed.cosmology import AGE_MARGIN, age_max, t_univ
from mocksed.progress import Progress
from mocksed.search import choice, draw
from mocksed.search.cloud import Cloud, Search
from mocksed.search.draw import NOTHING
from mocksed.search.nodes import SFR_OFFSETS, grid

Array = NDArray[np.float64]

N_GALAXIES = 512
"""Galaxies of each node."""

SOFTNESS = 0.02
"""Mean of a statistic that is left per unit of its coefficient: with 0 it would be balanced at any price, which is that
one candidate of a galaxy has all the weight; from 0.1 on, medians come off relations that models could follow."""

SFR_SPREAD = 0.2
"""How far galaxies of a node of the SFR are spread to either side [dex], as the interpolation weighs them.
Without, M_UV is off by 0.1 to 0.3 mag halfway between nodes."""

_NEWTON_STEPS = 30  # at most
_ENOUGH = 1e-8  # gain of a step below which it is the last one
_DIGITS = 6  # of the coefficients: libraries of linear algebra differ in the last bits


@dataclass(frozen=True)
class Balance:
    """Coefficients of the statistics at nodes.

    Attributes
    ----------
    redshift, log_mstar : ndarrays of shapes (n_redshift, ), (n_mass, )
        The nodes.
    coefficients : ndarray of shape (n_redshift, n_mass, n_statistic)
        Of `mocksed.search.choice.STATISTICS`.
    residual : ndarray of shape (n_redshift, n_mass, n_statistic)
        Means of the statistics that are left.
    given_sfr : ndarray of shape (n_offset, n_redshift, n_mass, n_statistic), optional
        Coefficients of galaxies whose SFR is given, at `SFR_OFFSETS`.

    """

    redshift: Array
    log_mstar: Array
    coefficients: Array
    residual: Array
    given_sfr: Array | None = None

    def at(self, redshift: Array, log_mstar: Array, sfr_offset: Array | None = None) -> Array:
        """Return the coefficients of galaxies, shape (n, n_statistic).

        ``sfr_offset`` (n, ) are given SFRs less their relation [dex], NaN where none is given.
        """
        place = (self.redshift, redshift), (self.log_mstar, log_mstar)
        coefficients = _linear(self.coefficients, *place)
        if self.given_sfr is not None and sfr_offset is not None:
            rows = np.flatnonzero(~np.isnan(sfr_offset))
            own = ((nodes, values[rows]) for nodes, values in ((np.array(SFR_OFFSETS), sfr_offset), *place))
            coefficients[rows] = _linear(self.given_sfr, *own)
        return coefficients

    def as_json(self) -> dict[str, Any]:
        """Return it in plain types; see `from_json`."""
        return {
            "redshift": self.redshift.tolist(),
            "log_mstar": self.log_mstar.tolist(),
            "coefficients": self.coefficients.tolist(),
            "residual": self.residual.tolist(),
            "given_sfr": None if self.given_sfr is None else self.given_sfr.tolist(),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Balance:
        """Return what `as_json` made plain."""
        names = ("redshift", "log_mstar", "coefficients", "residual")
        redshift, log_mstar, coefficients, residual = (np.array(stored[name], float) for name in names)
        of_given = stored["given_sfr"]
        return cls(redshift, log_mstar, coefficients, residual, None if of_given is None else np.array(of_given, float))


def of_run(
    cloud: Cloud, search: Search, redshift: Sequence[float], log_mstar: Sequence[float],
    progress: Progress | None = None, sfr_is_given: bool = False,
) -> Balance:  # fmt: skip
    """Return the balance for the galaxies of a run.

    Parameters
    ----------
    cloud : Cloud
        The star-forming points.
    search : Search
        How galaxies are searched for.
    redshift, log_mstar : pairs of float
        Limits of the galaxies; nodes are those around them.
    progress : Progress, optional
        Told of the nodes that are done.
    sfr_is_given : bool
        Whether the table gives SFRs of galaxies.

    """
    redshifts, log_mstars = grid(redshift, log_mstar)
    uniforms = _uniforms(N_GALAXIES, search.n_draws)
    offsets = (None, *SFR_OFFSETS) if sfr_is_given else (None,)
    shape = (len(offsets), len(redshifts), len(log_mstars), len(choice.STATISTICS))
    coefficients, residual = np.empty(shape), np.empty(shape)
    with threadpool_limits(1, "blas"):  # with more threads, products of matrices differ in their last bits
        for node in np.ndindex(shape[:3]):
            offset, z, mass = offsets[node[0]], float(redshifts[node[1]]), float(log_mstars[node[2]])
            log_weight, statistics = _of_node(cloud, search, uniforms, z, mass, offset)
            coefficients[node] = np.round(solve(log_weight, statistics), _DIGITS)
            residual[node] = np.round(means(log_weight, statistics, coefficients[node]), _DIGITS)
            if progress:
                progress.update(1)
    return Balance(redshifts, log_mstars, coefficients[0], residual[0], coefficients[1:] if sfr_is_given else None)


def _uniforms(n: int, n_draws: int) -> list[dict[str, Array]]:
    """Return evenly spread cumulative probabilities of each draw, in the same order for all nodes."""
    from scipy.stats import qmc  # takes half a second to import, and one job needs it

    names = draw.DRAWN_QUANTITIES["star_forming"]
    points = np.clip(qmc.Sobol(n_draws * len(names), seed=0).random(n), 1e-9, 1.0 - 1e-9)
    return [dict(zip(names, of_draw.T, strict=True)) for of_draw in np.split(points, n_draws, axis=1)]


def _of_node(
    cloud: Cloud, search: Search, uniforms: Sequence[dict[str, Array]], redshift: float, log_mstar: float,
    sfr_offset: float | None = None,
) -> choice.Score:  # fmt: skip
    """Return the weights and statistics of the candidates of galaxies of one redshift and mass, and SFR if given."""
    z, mass = np.full(N_GALAXIES, redshift), np.full(N_GALAXIES, log_mstar)
    given = NOTHING
    if sfr_offset is not None:
        log_sfr = search.relations.log_sfr_star_forming.mean(mass, z) + sfr_offset
        given = {"log_sfr": log_sfr + SFR_SPREAD * _triangular(uniforms[0]["log_sfr"])}
    limit = np.maximum(age_max(search.cosmo, z), AGE_MARGIN)
    asked = [draw.star_forming(uniform, mass, z, search.relations, given) for uniform in uniforms]
    k = min(search.k // search.n_draws, cloud.n_points)
    found = cloud.candidates(cloud.nearest(cloud.targets(asked, mass, z), k, limit), mass)
    prior = search.prior["star_forming"]
    oldest = t_univ(search.cosmo, z)
    return choice.star_forming(
        found, mass, z, oldest, relations=search.relations, prior=prior, given=given, model=search.model
    )


def _triangular(uniform: Array) -> Array:
    """Return deviates from -1 to 1 whose probability falls from 0 to either side, by cumulative probabilities."""
    side = 1.0 - np.sqrt(1.0 - np.abs(2.0 * uniform - 1.0))
    return np.copysign(side, uniform - 0.5)


def means(log_weight: Array, statistics: NDArray, coefficients: Array) -> Array:
    """Return the weighted means of statistics, shape (n_statistic, ); arguments as in `solve`."""
    weight = _weights(log_weight, statistics @ coefficients)[1]
    return np.asarray(np.einsum("gc,gck->k", weight, statistics)) / len(log_weight)


def _weights(log_weight: Array, balance: Array) -> tuple[float, Array]:
    """Return the mean logarithm of the total weights of galaxies, and the weights that sum to 1."""
    exponent = log_weight + balance
    highest = exponent.max(axis=1, keepdims=True)
    weight = np.exp(exponent - highest)
    total = weight.sum(axis=1, keepdims=True)
    return float(np.mean(highest + np.log(total))), weight / total


def solve(log_weight: Array, statistics: NDArray) -> Array:
    """Return the coefficients of statistics for which their weighted means are about 0.

    The mean over galaxies of the logarithms of their total weights, plus half of `SOFTNESS` times the squares of the
    coefficients, is convex and has its minimum where each mean is -`SOFTNESS` times the coefficient: Newton's steps,
    halved until they gain.

    Parameters
    ----------
    log_weight : ndarray of shape (n, k)
        Logarithms of the weights of candidates, -inf for none.
    statistics : ndarray of shape (n, k, n_statistic)
        Of the candidates.

    Returns
    -------
    ndarray of shape (n_statistic, )

    """
    n, k, size = statistics.shape
    statistics = statistics.astype(np.float64)
    flat = statistics.reshape(n * k, size)

    def value(coefficients: Array) -> tuple[float, Array]:
        mean_log, weight = _weights(log_weight, (flat @ coefficients).reshape(n, k))
        return mean_log + 0.5 * SOFTNESS * float(np.sum(coefficients**2)), weight

    coefficients = np.zeros(size)
    lowest, weight = value(coefficients)
    for _ in range(_NEWTON_STEPS):
        mean = np.matmul(weight[:, None], statistics)[:, 0]  # of each galaxy
        gradient = mean.mean(axis=0) + SOFTNESS * coefficients
        curvature = ((flat * weight.reshape(-1, 1)).T @ flat - mean.T @ mean) / n + SOFTNESS * np.eye(size)
        step = np.linalg.solve(curvature, gradient)
        if np.sum(gradient * step) < _ENOUGH:
            break
        for _ in range(_NEWTON_STEPS):
            reached, there = value(coefficients - step)
            if reached < lowest:
                break
            step *= 0.5
        coefficients, lowest, weight = coefficients - step, reached, there
    return coefficients


def _linear(coefficients: Array, *place: tuple[Array, Array]) -> Array:
    """Return coefficients between nodes, shape (n, n_statistic), from the nodes and the values (n, ) of each axis."""
    between = [_between(nodes, values) for nodes, values in place]
    corners = []
    for corner in product((0, 1), repeat=len(between)):
        share = np.prod([d if up else 1.0 - d for up, (_, d) in zip(corner, between, strict=True)], axis=0)
        sides = zip(corner, between, coefficients.shape, strict=False)
        at = tuple(np.minimum(below + up, size - 1) for up, (below, _), size in sides)
        corners.append(share[:, None] * coefficients[at])
    return np.asarray(np.sum(corners, axis=0))


def _between(nodes: Array, values: Array) -> tuple[NDArray[np.int64], Array]:
    """Return the nodes below values and the fractions of the way to the next; beyond the nodes, the outermost one."""
    at = np.interp(values, nodes, np.arange(len(nodes)))
    below = np.minimum(at.astype(np.int64), max(len(nodes) - 2, 0))
    return below, at - below
