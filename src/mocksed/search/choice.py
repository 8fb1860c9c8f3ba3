"""Which of the models near a draw is taken: importance resampling with balanced weights.

The points nearest to what was drawn for a galaxy (`mocksed.search.draw`) are real models, each with an M_UV, an age and
a slope of the attenuation curve of its own. Points near one draw have nearly the same SFR and UV slope and a small
range of M_UV; therefore star-forming galaxies are drawn several times, and the points near all draws are candidates.
One of them is taken, with a probability proportional to the product of

* the likelihood of its M_UV under the relation (of its attenuation, where a relation of that takes the place), and that
  of its UV slope given this M_UV over that of drawing it (importance resampling: Rubin 1988), for star-forming
  galaxies;
* a normal distribution of its distance from the draw, `KERNEL` wide;
* priors on its age, as a fraction of the age of the universe, and on the slope of its attenuation curve, which the
  relations leave open (`Prior`);
* the exponential of a sum over `STATISTICS`, whose coefficients make the population follow each relation and its
  scatter (`mocksed.search.balance`).

Where a user's table gives the SFR, metallicity or UV slope of a galaxy, the candidates are already close to it. A given
M_UV, dust or age replaces relation and prior, with a scatter of `NEAR`: the model that is taken will be moved onto it
(`mocksed.search.move`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import atan, erfc, exp, sqrt, tanh
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mocksed.compiled import njit, prange
from mocksed.relations import Relations, Scatter, StudentT
from mocksed.search.draw import NOTHING, Given
from mocksed.search.given import is_given, known
from mocksed.sps import dust
from mocksed.sps.model import DEFAULT_MODEL, Model

Array = NDArray[np.float64]

MAG = 2.5 * float(np.log10(np.e))
"""Magnitudes in an optical depth of 1."""

KERNEL = {"star_forming": 0.3, "quiescent": 0.25}
"""Distance from the draw, in units of the metric, at which a point has exp(-1/2) of the weight of one that is there."""

NEAR = {"muv": 0.1, "dust2": 0.1, "log_age": 0.05}
"""How near to what is given a model should be: mag, optical depth, dex."""

BALANCED = ("log_sfr", "muv", "beta", "log_zmet")
"""Quantities whose distribution around their relation is balanced."""

N_MOMENTS, N_TOGETHER = 4, 3
"""Moments of each that are, and moments of M_UV with which the UV slope must not go."""

STATISTICS = (
    *(f"{name}_{n + 1}" for name in BALANCED for n in range(N_MOMENTS)),
    *(f"beta_1_muv_{n + 1}" for n in range(N_TOGETHER)),
    *(f"{name}_side" for name in BALANCED),
)
"""What is balanced, in terms of the cumulative probability u of a quantity under its relation: the Legendre polynomials
of 2 u - 1, which leave u even in its mean, its width and its shape; the products of the first one of the slope with
those of M_UV, which leave the slope on its relation whatever the residual of M_UV; and on which side of the median a
galaxy lies, tanh(8 (u - 1/2)). All have a mean of 0 where the relations hold, polynomials a variance of 1. Where a
relation of A_UV or A_V takes the place of that of M_UV, so does that quantity, except for the products."""

_SHARPNESS = 8.0  # of the step that counts galaxies on either side of the median: except for the tenth around it
_NEAR_MUV = NEAR["muv"]
_UV = 1500.0  # A, where A_UV is
_LEAST = 0.05  # dex or mag: what counts as scatter where a config asks for none


@dataclass(frozen=True)
class Prior:
    """Normal distributions of what the relations leave open, each mean and standard deviation, or None.

    Attributes
    ----------
    age_fraction : tuple of float, optional
        Of the age as a fraction of the age of the universe.
    dust_index : tuple of float, optional
        Of the slope of the attenuation curve, where that is free.

    """

    age_fraction: tuple[float, float] | None = None
    dust_index: tuple[float, float] | None = None

    @classmethod
    def from_config(cls, prior: Mapping[str, Sequence[float] | None]) -> Prior:
        """Return the prior of the config's ``assignment.prior`` of a class."""
        return cls(**{name: None if value is None else (value[0], value[1]) for name, value in prior.items()})


class Candidates(NamedTuple):
    """The models among which galaxies choose, arrays of shape (n, k).

    Attributes
    ----------
    distance : ndarray
        From the draw, in the metric; infinite where there is no model.
    age : ndarray
        Age [Gyr].
    log_sfr, log_zmet, beta, muv, dust_index : ndarrays
        Of the galaxy's mass; the last three are of no meaning for quiescent galaxies.
    dust2 : ndarray, optional
        Optical depth at 5500 A, where the metric carries it.

    """

    distance: Array
    age: Array
    log_sfr: Array
    log_zmet: Array
    beta: Array
    muv: Array
    dust_index: Array
    dust2: Array | None = None


class Score(NamedTuple):
    """How candidates weigh, see the module.

    Attributes
    ----------
    log_weight : ndarray of shape (n, k)
        Logarithm of the weight; -inf where there is no candidate.
    statistics : ndarray of float32 of shape (n, k, n_statistic)
        `STATISTICS`, of shape (0, 0, 0) where they were not asked for.

    """

    log_weight: Array
    statistics: NDArray[np.float32]


def star_forming(
    candidates: Candidates, log_mstar: Array, redshift: Array, t_univ: Array, *,
    relations: Relations, prior: Prior, coefficients: Array | None = None, given: Given = NOTHING,
    model: Model = DEFAULT_MODEL,
) -> Score:  # fmt: skip
    """Return the weights of the candidates of star-forming galaxies.

    Parameters
    ----------
    candidates : Candidates
        The models.
    log_mstar, redshift, t_univ : ndarrays of shape (n, )
        log10 of the mass [Msun], redshift and age of the universe [Gyr].
    relations : Relations
        Of the run.
    prior : Prior
        What is believed beside them.
    coefficients : ndarray of shape (n, n_statistic), optional
        Of the statistics; without them the weights are not balanced and the statistics are returned.
    given : mapping of str to ndarray of shape (n, )
        What the table gives, see `mocksed.search.given.requested`. The statistics of an SFR that is given are 0:
        galaxies of that SFR are balanced by themselves.
    model : Model
        Of the attenuation curve, for a relation of A_UV.

    """
    mass, z = log_mstar[:, None], redshift[:, None]
    mean_muv = known(given, "muv", relations.mean_muv(log_mstar, redshift))
    fixed = np.stack([is_given(given, name, len(log_mstar)) for name in ("log_sfr", "muv", "beta")], axis=1)
    light, mean_light, muv_cumulative = candidates.muv, mean_muv, np.empty((0, 0))
    if relations.attenuation is not None:
        light = attenuation(candidates, relations, model)
        mean_light = relations.attenuation.mean(log_mstar, redshift)
        muv_is_given, depth_is_given = (is_given(given, name, len(log_mstar)) for name in ("muv", "dust2"))
        light = np.where(muv_is_given[:, None], candidates.muv, np.where(depth_is_given[:, None], 0.0, light))
        mean_light = np.where(muv_is_given, mean_muv, np.where(depth_is_given, 0.0, mean_light))
        fixed[:, 1] |= depth_is_given  # nothing is left of the relation
        muv_cumulative = relations.scatter_muv.cumulative(mean_muv[:, None], candidates.muv)
    own_a_uv: Array | float = 0.0
    if "a_uv" in relations.beta.needs:
        own_a_uv = attenuation_at_1500(candidates, model)
    means = (
        relations.log_sfr_star_forming.mean(log_mstar, redshift), mean_light,
        relations.beta.mean(mean_muv, redshift, relations.mean_a_uv(log_mstar, redshift)),
        relations.beta.mean(candidates.muv, z, own_a_uv), relations.log_zmet.mean(mass, candidates.log_sfr, z),
    )  # fmt: skip
    balanced = (
        relations.log_sfr_star_forming,
        relations.attenuation or relations.muv,
        relations.beta,
        relations.log_zmet,
    )
    laws = np.empty((len(log_mstar), len(BALANCED), 4))
    for i, relation in enumerate(balanced):
        laws[:, i] = _law(relation.law(log_mstar, redshift))
    shape = candidates.distance.shape
    log_weight = np.empty(shape)
    statistics = np.empty((*shape, len(STATISTICS)) if coefficients is None else (0, 0, 0), np.float32)
    balance = np.zeros((len(log_mstar), len(STATISTICS))) if coefficients is None else coefficients
    seen = candidates.distance, candidates.log_sfr, light, candidates.beta, candidates.log_zmet
    _score(*seen, *means, muv_cumulative, laws, fixed, balance, log_weight, statistics)
    if relations.dust_index is not None:
        prior = replace(prior, dust_index=None)
        mean = relations.dust_index.mean(a_v(candidates))
        log_weight += _normal(candidates.dust_index, mean, max(relations.dust_index.scatter.scale, _LEAST))
    return Score(log_weight + _common(candidates, t_univ, prior, KERNEL["star_forming"], given), statistics)


def a_v(candidates: Candidates) -> Array:
    """Return the attenuation at 5500 A [mag], shape (n, k), of candidates that carry ``dust2``."""
    if candidates.dust2 is None:
        raise ValueError("relations of dust need candidates that carry dust2, see mocksed.search.metric.carries")
    return MAG * candidates.dust2


def attenuation(candidates: Candidates, relations: Relations, model: Model) -> Array:
    """Return the attenuation that replaces M_UV, shape (n, k): A_UV, at 1500 A, or A_V, by the relations [mag]."""
    return a_v(candidates) if relations.a_uv is None else attenuation_at_1500(candidates, model)


def attenuation_at_1500(candidates: Candidates, model: Model) -> Array:
    """Return A_UV, at 1500 A, of the optical depth and the curve of candidates [mag], shape (n, k)."""
    per_a_v = dust.curve(np.array([_UV]), model).at(candidates.dust_index[..., None])
    return a_v(candidates) * (per_a_v[..., 0] if model.slope_is_free else per_a_v)


def quiescent(candidates: Candidates, t_univ: Array, *, prior: Prior, given: Given = NOTHING) -> Score:
    """Return the weights of the candidates of quiescent galaxies; arguments as in `star_forming`."""
    return Score(_common(candidates, t_univ, prior, KERNEL["quiescent"], given), np.empty((0, 0, 0), np.float32))


def take(log_weight: Array, uniform: Array) -> NDArray[np.int64]:
    """Return which candidate each galaxy takes, by a random number of its own, shape (n, )."""
    taken = np.empty(len(uniform), np.int64)
    _take(log_weight, uniform, taken)
    return taken


def _common(candidates: Candidates, t_univ: Array, prior: Prior, kernel: float, given: Given) -> Array:
    """Return the logarithms of the weights that both classes have."""
    log_weight = -0.5 * (candidates.distance / kernel) ** 2
    if prior.age_fraction is not None:
        log_age_prior = _normal(candidates.age / t_univ[:, None], *prior.age_fraction)
        log_weight += np.where(is_given(given, "age", len(log_age_prior))[:, None], 0.0, log_age_prior)
    if prior.dust_index is not None and candidates.dust_index.size:
        log_weight += _normal(candidates.dust_index, *prior.dust_index)
    if "age" in given:
        log_weight += np.nan_to_num(_normal(np.log10(candidates.age / given["age"][:, None]), 0.0, NEAR["log_age"]))
    if "dust2" in given and candidates.dust2 is not None:
        log_weight += np.nan_to_num(_normal(candidates.dust2, given["dust2"][:, None], NEAR["dust2"]))
    log_weight[np.isinf(candidates.distance)] = -np.inf
    return log_weight


def _normal(values: Array, mean: Array | float, sigma: float) -> Array:
    """Return the logarithm of a normal distribution, except for its constant."""
    return np.asarray(-0.5 * ((values - mean) / sigma) ** 2)


def _law(scatter: Scatter) -> Array:
    """Return a scatter as the kernel wants it: scale, limits, and whether it is a Student t of three degrees.

    Of shape (4, ), or (n, 4) where each galaxy has its own scale.
    """
    heavy = isinstance(scatter, StudentT)
    if isinstance(scatter, StudentT) and scatter.nu != 3.0:
        raise ValueError(f"a Student t of {scatter.nu} degrees of freedom; only 3 has been written down")
    return np.stack(np.broadcast_arrays(np.maximum(scatter.scale, _LEAST), *scatter.limits, heavy), axis=-1)


@njit(inline="always")
def _normal_cdf(x):  # type: ignore[no-untyped-def]
    return 0.5 * erfc(-x / sqrt(2.0))


@njit(inline="always")
def _student3_cdf(x):  # type: ignore[no-untyped-def]
    """Return the cumulative probability of Student's t with three degrees of freedom (Student 1908)."""
    y = x / sqrt(3.0)
    return 0.5 + (y / (1.0 + y * y) + atan(y)) / np.pi


@njit(inline="always")
def _cumulative(value, mean, law):  # type: ignore[no-untyped-def]
    """Return the cumulative probability of a value in a distribution that is cut to limits; see `_law`."""
    scale, low, high = law[0], law[1], law[2]
    x = (min(max(value, low), high) - mean) / scale
    first, last = (low - mean) / scale, (high - mean) / scale
    sign = 1.0
    if first > 0.0:  # in the upper tail differences are those of what is above
        x, first, last, sign = -x, -last, -first, -1.0
    if law[3]:
        below, at, above = _student3_cdf(first), _student3_cdf(x), _student3_cdf(last)
    else:
        below, at, above = _normal_cdf(first), _normal_cdf(x), _normal_cdf(last)
    if above <= below:
        return 0.5
    u = (at - below) / (above - below)
    return u if sign > 0.0 else 1.0 - u


@njit(inline="always")
def _moments(u, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with the first Legendre polynomials of 2 u - 1, of variance 1 where u is even."""
    t = 2.0 * u - 1.0
    t2 = t * t
    out[0] = sqrt(3.0) * t
    out[1] = sqrt(5.0) * 0.5 * (3.0 * t2 - 1.0)
    out[2] = sqrt(7.0) * 0.5 * t * (5.0 * t2 - 3.0)
    out[3] = 3.0 * 0.125 * ((35.0 * t2 - 30.0) * t2 + 3.0)


@njit(parallel=True)
def _score(  # type: ignore[no-untyped-def]
    distance, log_sfr, muvs, betas, log_zmet, mean_log_sfr, mean_muv, mean_beta,
    mean_beta_of_candidate, mean_log_zmet, muv_cumulative, laws,
    fixed, coefficients, log_weight, statistics,
) -> None:  # fmt: skip
    for g in prange(len(mean_muv)):
        sfr_law, muv_law, beta_law, zmet_law = laws[g, 0], laws[g, 1], laws[g, 2], laws[g, 3]
        u, values, muv_moments = np.empty(4), np.empty(len(coefficients[g])), np.empty(N_MOMENTS)
        for c in range(log_weight.shape[1]):
            if not np.isfinite(distance[g, c]):
                log_weight[g, c] = 0.0
                if statistics.size:
                    statistics[g, c] = 0.0
                continue
            muv, beta = muvs[g, c], betas[g, c]
            total = -0.5 * ((muv - mean_muv[g]) / (_NEAR_MUV if fixed[g, 1] else muv_law[0])) ** 2
            if not fixed[g, 2]:
                total += 0.5 * ((beta - mean_beta[g]) / beta_law[0]) ** 2  # the slope was drawn around this
            total -= 0.5 * ((beta - mean_beta_of_candidate[g, c]) / beta_law[0]) ** 2
            u[0] = _cumulative(log_sfr[g, c], mean_log_sfr[g], sfr_law)
            u[1] = _cumulative(muv, mean_muv[g], muv_law)
            u[2] = _cumulative(beta, mean_beta_of_candidate[g, c], beta_law)
            u[3] = _cumulative(log_zmet[g, c], mean_log_zmet[g, c], zmet_law)
            for i in range(4):
                _moments(u[i], values[i * N_MOMENTS : (i + 1) * N_MOMENTS])
            beside = values[N_MOMENTS : 2 * N_MOMENTS]
            if muv_cumulative.size:  # the second quantity is not M_UV
                _moments(muv_cumulative[g, c], muv_moments)
                beside = muv_moments
            for i in range(N_TOGETHER):
                values[4 * N_MOMENTS + i] = values[2 * N_MOMENTS] * beside[i]
            for i in range(4):
                values[4 * N_MOMENTS + N_TOGETHER + i] = tanh(_SHARPNESS * (u[i] - 0.5))
            if fixed[g, 0]:
                values[:N_MOMENTS] = 0.0
                values[4 * N_MOMENTS + N_TOGETHER] = 0.0
            for i in range(len(values)):
                total += coefficients[g, i] * values[i]
            if statistics.size:
                statistics[g, c] = values
            log_weight[g, c] = total


@njit(parallel=True)
def _take(log_weight, uniform, taken) -> None:  # type: ignore[no-untyped-def]
    for g in prange(len(uniform)):
        highest, total = -np.inf, 0.0
        for c in range(log_weight.shape[1]):
            highest = max(highest, log_weight[g, c])
        cumulative = np.empty(log_weight.shape[1])
        for c in range(log_weight.shape[1]):
            total += exp(log_weight[g, c] - highest)
            cumulative[c] = total
        chosen = 0
        while cumulative[chosen] < uniform[g] * total:
            chosen += 1
        taken[g] = chosen
