"""Proposals that the models can meet: drawn from the relations and the models together.

SFR, UV light and UV slope are tied in the models: of a history behind a screen of dust, SFR and slope give M_UV to some
tenths of a magnitude. Proposals whose scatters are independent of each other mostly lie off that sheet. Here several
candidates are drawn for each galaxy: SFR, metallicity and slope from their relations, and a tau, uniform in its
logarithm up to the one at which the age that the SFR needs is the oldest allowed. The model that has them has an M_UV
of its own. One candidate is taken with a probability that goes with the likelihood of its M_UV and of its slope given
that M_UV (importance resampling: Rubin 1988), and its model is what is proposed. Candidates whose SFR no allowed age
gives, or whose slope is bluer than any model of their tau and metallicity, are taken only where all are such.

That alone would leave the relations: for massive galaxies at z < 3 the sheet passes up to 1 mag from their means, and
the product of distributions is narrower than each of them. So the weights are balanced, as samples of a survey are
(Deville & Särndal 1992): of all weights for which half of the galaxies lie on either side of each relation and their
scatter is that of the relation, those nearest to the likelihoods in the sense of relative entropy. They are the
likelihoods times the exponential of a sum over statistics of each quantity, with coefficients that `balance` finds on
a grid of redshift and mass from the models themselves. Where models cannot have both, `SOFTNESS` says how much
of the one is given up for the other.

What is balanced are medians and widths at given mass and redshift. How quantities go together is left to the models:
of galaxies of a mass and an SFR, those faint in the UV are dusty, and redder than the relation by up to 0.6; no model
of theirs is on it. Below some 10^7 Msun the relations ask for more UV light than any model of the SFR has, by 0.5 mag
at 10^6 and 1.5 mag at 10^5 Msun: there neither medians nor widths are those of the relations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from mocksed import relations as rel
from mocksed.cosmology import AGE_MARGIN, Cosmology, age_max
from mocksed.relations import Gaussian, Relations
from mocksed.sps import TAU_RANGE
from mocksed.sps.derived import DUST2_MAX
from mocksed.sps.nebular import bracket
from mocksed.sps.weights import sfr_per_mass_formed

if TYPE_CHECKING:
    from mocksed.sps.engine import Engine

Array = NDArray[np.float64]

CANDIDATES = 16
"""Candidates of a galaxy."""

N_RANDOM = 4 * CANDIDATES + 2
"""Random numbers of a galaxy."""

BLOCK = 16_384
"""Galaxies whose candidates are held at once, some 4 kB each."""

SOFTNESS = 0.03
"""Mean of a statistic that is left per unit of its coefficient: with 0 it would be balanced at any price, which is that
one candidate of a galaxy has all the weight; from 0.1 on, medians come off relations that models could follow."""

_SHARPNESS = 8.0  # of the statistic that counts galaxies on either side: a step, but for the tenth around the median
_LEAST = 0.05  # dex or mag: where a config asks for no scatter, candidates still differ by their tau
_OUTSIDE = 1e3  # loss of log likelihood of a candidate that misses what was drawn: taken where all do
_SAME = 1e-3  # dex or slope, that count as met
_LOG_X = np.linspace(-5.0, 1.6, 67)  # of age / tau
_LOG_TAU = np.linspace(np.log10(TAU_RANGE[0]), np.log10(TAU_RANGE[1]), 16)
_N_ZMET = 12
_DUST2 = np.array([0.0, 0.6, 1.8])  # through which a parabola is laid
_OLDEST = 14.0  # Gyr
_BISECTIONS = 14  # of log tau: to 2e-4 dex
_REDSHIFTS = np.array([0.0, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0])  # of the balance
_LOG_MSTARS = np.arange(5.0, 13.1, 0.5)
_N_BALANCED, _NEWTON_STEPS = 256, 30  # galaxies of each node, and steps at most


class ModelGrid(NamedTuple):
    """What models look like, between nodes; a named tuple, since numba can take one.

    Attributes
    ----------
    log_x, log_tau, log_zmet : ndarrays of shapes (n_x, ), (n_tau, ), (n_zmet, )
        Nodes of log10(age / tau), log10 of tau [Gyr], log10(Z/Zsun).
    log_ssfr : ndarray of shape (n_tau, n_zmet, n_x)
        log10 of SFR per surviving mass [1/yr], falling with x.
    muv, beta : ndarrays of shape (n_tau, n_zmet, n_x, 3)
        M_UV + 2.5 log10 of the mass, and the UV slope, as coefficients of powers of dust2.

    """

    log_x: Array
    log_tau: Array
    log_zmet: Array
    log_ssfr: Array
    muv: Array
    beta: Array


class Models:
    """The models among which proposals are drawn, and the balance of the weights; takes a second to make.

    M_UV and slope between the nodes of the grid are good to 0.01 in the median and 0.04 at worst. What is proposed is
    taken from the engine itself.

    Parameters
    ----------
    engine : Engine
        The stellar population model.
    scatter : Relations
        Scatter of the relations.
    cosmo : Cosmology
        Cosmology that limits the ages.

    """

    def __init__(self, engine: Engine, scatter: Relations, cosmo: Cosmology) -> None:
        self.engine, self.scatter = engine, scatter
        self.grid = model_grid(engine)
        self.balance = balance(self.grid, engine, scatter, cosmo)


def model_grid(engine: Engine) -> ModelGrid:
    """Return the grid of an engine, with ionisation parameters on their relation."""
    low, high = engine.table.log_zmet_range
    log_zmet = np.linspace(low, high, _N_ZMET)
    log_tau, zmet, log_x, dust2 = (a.ravel() for a in np.meshgrid(_LOG_TAU, log_zmet, _LOG_X, _DUST2, indexing="ij"))
    wanted, tau = 10.0 ** (log_x + log_tau), np.clip(10.0**log_tau, *TAU_RANGE)
    age = np.clip(wanted, AGE_MARGIN, _OLDEST)
    derived = engine.derived(age, tau, zmet, engine.clip_log_us(rel.log_us(zmet)), dust2, nebular=True)
    # nodes just outside the ages of the engine are needed to interpolate up to its limits: light goes with the SFR
    sfh = engine.model.sfh
    fainter = np.log10(sfr_per_mass_formed(sfh, wanted, tau) / sfr_per_mass_formed(sfh, age, tau))
    shape = (len(_LOG_TAU), _N_ZMET, len(_LOG_X), len(_DUST2))
    parabola = np.linalg.inv(np.vander(_DUST2, increasing=True))
    return ModelGrid(
        log_x=_LOG_X,
        log_tau=_LOG_TAU,
        log_zmet=log_zmet,
        log_ssfr=np.ascontiguousarray((derived.log_ssfr + fainter).reshape(shape)[..., 0]),
        muv=np.einsum("...d,pd->...p", (derived.muv - 2.5 * fainter).reshape(shape), parabola),
        beta=np.einsum("...d,pd->...p", derived.beta.reshape(shape), parabola),
    )


class Met(NamedTuple):
    """Models of given SFR and slope, arrays of shape (n, n_candidate).

    Attributes
    ----------
    log_tau, log_age, dust2 : ndarrays
        log10 of tau and age [Gyr]; age and dust2 are moved into their limits.
    muv, beta : ndarrays
        M_UV + 2.5 log10 of the mass, and the slope.
    missed : ndarray
        By how much the SFR needs an age above the limit or below the youngest [dex], plus how far the slope is off.

    """

    log_tau: Array
    log_age: Array
    dust2: Array
    muv: Array
    beta: Array
    missed: Array


def meet(grid: ModelGrid, log_ssfr: Array, beta: Array, log_zmet: Array, u_tau: Array, age_limit: Array) -> Met:
    """Return the models that have an SFR and a UV slope.

    Parameters
    ----------
    grid : ModelGrid
        The models.
    log_ssfr, beta, log_zmet : ndarrays of shape (n, n_candidate)
        log10 of SFR per mass [1/yr], UV slope and log10(Z/Zsun).
    u_tau : ndarray of shape (n, n_candidate)
        Where log tau is between the shortest one and the longest with which the SFR is met at an allowed age, 0 to 1.
    age_limit : ndarray of shape (n, )
        Oldest age allowed [Gyr].

    """
    met = Met(*(np.empty(log_ssfr.shape) for _ in Met._fields))
    _meet(log_ssfr, beta, log_zmet, u_tau, np.log10(age_limit), grid, met)
    return met


class Candidates(NamedTuple):
    """Candidates of galaxies, arrays of shape (n, CANDIDATES).

    Attributes
    ----------
    log_zmet : ndarray
        log10(Z/Zsun) as drawn.
    met : Met
        Their models.
    log_weight : ndarray
        Logarithm of the likelihood of the model less that of drawing it.
    statistics : list of ndarrays
        What is balanced, each with a mean of 0 where the relations hold; two for each of SFR, M_UV, slope and
        metallicity.

    """

    log_zmet: Array
    met: Met
    log_weight: Array
    statistics: list[Array]


def candidates(
    random: Array, log_mstar: Array, redshift: Array, age_limit: Array, *,
    grid: ModelGrid, engine: Engine, scatter: Relations,
) -> Candidates:  # fmt: skip
    """Return the candidates of galaxies; ``random`` has 4 `CANDIDATES` columns or more, the others are as in `draw`."""
    u_sfr, u_zmet, u_beta, u_tau = (random[:, i * CANDIDATES : (i + 1) * CANDIDATES] for i in range(4))
    mass, z = log_mstar[:, None], redshift[:, None]
    of_muv = Gaussian(max(scatter.muv.scale, _LEAST))
    of_beta = Gaussian(max(scatter.beta.scale, _LEAST), scatter.beta.limits)
    mean_muv = rel.muv(mass, z)
    mean_beta = rel.beta(mean_muv, z)
    log_sfr = scatter.log_sfr_star_forming.draw(rel.log_sfr_star_forming(mass, z), u_sfr)
    log_zmet = scatter.log_zmet.draw(rel.log_zmet(mass, log_sfr), u_zmet)
    beta = scatter.beta.draw(mean_beta, u_beta)
    met = meet(grid, log_sfr - mass, beta, engine.clip_log_zmet(log_zmet), u_tau, age_limit)
    muv = met.muv - 2.5 * mass
    own_beta = rel.beta(muv, z)
    log_weight = -0.5 * ((muv - mean_muv) / of_muv.scale) ** 2
    # the slope was drawn around its relation at the mean M_UV
    log_weight += 0.5 * ((met.beta - mean_beta) / of_beta.scale) ** 2
    log_weight -= 0.5 * ((met.beta - own_beta) / of_beta.scale) ** 2
    log_weight -= np.where(met.missed > 0.0, _OUTSIDE * (1.0 + met.missed), 0.0)
    cumulative = (u_sfr, of_muv.cumulative(mean_muv, muv), of_beta.cumulative(own_beta, met.beta), u_zmet)
    either_side = [np.tanh(_SHARPNESS * (u - 0.5)) for u in cumulative]
    spread = [24.0 * (u - 0.5) ** 2 - 2.0 for u in cumulative]
    return Candidates(log_zmet, met, log_weight, either_side + spread)


def balance(grid: ModelGrid, engine: Engine, scatter: Relations, cosmo: Cosmology) -> Array:
    """Return the coefficients of the statistics of candidates with which the weights are balanced.

    Of the taken ones, not of all candidates, are the means of the statistics: galaxies have few candidates, and what
    that does to their distribution is balanced too.

    Returns
    -------
    ndarray of shape (n_redshift, n_mass, n_statistic)
        At `_REDSHIFTS` and `_LOG_MSTARS`.

    """
    from scipy.stats import qmc  # takes most of a second to import, and few jobs need it

    points = qmc.Sobol(4, seed=0).random(_N_BALANCED * CANDIDATES)
    shuffled = np.random.default_rng(0).permutation(np.clip(points, 1e-9, 1.0 - 1e-9))
    random = shuffled.reshape(_N_BALANCED, CANDIDATES, 4).transpose(0, 2, 1).reshape(_N_BALANCED, -1)
    oldest = np.maximum(age_max(cosmo, _REDSHIFTS), AGE_MARGIN)

    def at(redshift: float, age_limit: float, log_mstar: float) -> Array:
        node = (np.full(_N_BALANCED, value) for value in (log_mstar, redshift, age_limit))
        of_node = candidates(random, *node, grid=grid, engine=engine, scatter=scatter)
        return _coefficients(of_node.log_weight, np.stack(of_node.statistics, axis=-1))

    return np.array([[at(*of_z, m) for m in _LOG_MSTARS] for of_z in zip(_REDSHIFTS, oldest, strict=True)])


def _coefficients(log_weight: Array, statistics: Array) -> Array:
    """Return the coefficients of statistics (n, n_candidate, k) for which their weighted means are about 0.

    The sum over galaxies of the logarithms of their total weights, plus half of `SOFTNESS` times the squares of the
    coefficients, is convex and has its minimum where each mean is -`SOFTNESS` times the coefficient: Newton's steps,
    halved until they gain.
    """
    n, _, k = statistics.shape

    def value(coefficients: Array) -> tuple[float, Array]:
        exponent = log_weight + np.einsum("gck,k->gc", statistics, coefficients)
        highest = exponent.max(axis=1, keepdims=True)
        weight = np.exp(exponent - highest)
        total = weight.sum(axis=1, keepdims=True)
        own = float(np.mean(highest + np.log(total)) + 0.5 * SOFTNESS * np.sum(coefficients**2))
        return own, weight / total

    coefficients = np.zeros(k)
    lowest, weight = value(coefficients)
    for _ in range(_NEWTON_STEPS):
        mean = np.einsum("gc,gck->gk", weight, statistics)
        gradient = mean.mean(axis=0) + SOFTNESS * coefficients
        off = ((statistics - mean[:, None]) * np.sqrt(weight)[..., None]).reshape(-1, k)
        curvature = np.einsum("ik,il->kl", off, off) / n + SOFTNESS * np.eye(k)
        step = np.linalg.solve(curvature, gradient)
        if np.sum(gradient * step) < 1e-8:
            break
        for _ in range(_NEWTON_STEPS):
            reached, there = value(coefficients - step)
            if reached < lowest:
                break
            step *= 0.5
        coefficients, lowest, weight = coefficients - step, reached, there
    return coefficients


def _between(nodes: Array, values: Array) -> tuple[NDArray[np.int64], Array]:
    """Return the nodes below values and the fractions of the way to the next; beyond the nodes, the outermost one."""
    at = np.interp(values, nodes, np.arange(len(nodes)))
    below = np.minimum(at.astype(np.int64), len(nodes) - 2)
    return below, at - below


def _balanced(log_weight: Array, statistics: list[Array], log_mstar: Array, redshift: Array, table: Array) -> Array:
    """Return the logarithms of the balanced weights, with coefficients between the nodes of `balance`."""
    (i, di), (j, dj) = _between(_REDSHIFTS, redshift), _between(_LOG_MSTARS, log_mstar)
    result = log_weight.copy()
    for statistic, of in zip(statistics, np.moveaxis(table, -1, 0), strict=True):
        low, high = ((1.0 - di) * of[i, j + side] + di * of[i + 1, j + side] for side in (0, 1))
        result += ((1.0 - dj) * low + dj * high)[:, None] * statistic
    return result


def draw(random: Array, log_mstar: Array, redshift: Array, age_limit: Array, models: Models) -> dict[str, Array]:
    """Return proposals of star-forming galaxies that models meet exactly.

    Parameters
    ----------
    random : ndarray of shape (n, N_RANDOM)
        Uniform deviates.
    log_mstar, redshift, age_limit : ndarrays of shape (n, )
        log10 of the mass [Msun], redshift and oldest age allowed [Gyr].
    models : Models
        The models, with the scatter of the relations.

    Returns
    -------
    dict of ndarrays of shape (n, )
        ``log_sfr``, ``log_zmet``, ``log_us``, ``muv``, ``beta``, and the ``tau`` [Gyr] of the model. The metallicity
        and the ionisation parameter are as drawn, also outside the table.

    """
    engine, scatter = models.engine, models.scatter
    log_zmet, met, log_weight, statistics = candidates(
        random, log_mstar, redshift, age_limit, grid=models.grid, engine=engine, scatter=scatter
    )
    log_weight = _balanced(log_weight, statistics, log_mstar, redshift, models.balance)
    cumulative = np.cumsum(np.exp(log_weight - log_weight.max(axis=1, keepdims=True)), axis=1)
    chosen = np.argmax(cumulative >= random[:, -1:] * cumulative[:, -1:], axis=1)

    def take(values: Array) -> Array:
        return np.asarray(np.take_along_axis(values, chosen[:, None], 1)[:, 0])

    log_zmet = take(log_zmet)
    log_us = scatter.log_us.draw(rel.log_us(log_zmet), random[:, -2])
    age = np.clip(10.0 ** take(met.log_age), AGE_MARGIN, age_limit)
    tau = np.clip(10.0 ** take(met.log_tau), *TAU_RANGE)
    derived = engine.derived(age, tau, log_zmet, log_us, take(met.dust2), nebular=True)
    return {
        "log_sfr": derived.log_ssfr + log_mstar,
        "log_zmet": log_zmet,
        "log_us": log_us,
        "muv": derived.muv - 2.5 * log_mstar,
        "beta": derived.beta,
        "tau": tau,
    }


@numba.njit(inline="always")
def _log_ssfr(grid, t, dt, z, dz, x, dx):  # type: ignore[no-untyped-def]
    """Return log10 of the sSFR between nodes of tau, metallicity and x, given by the node below and the fraction."""
    value = 0.0
    for a in range(2):
        for b in range(2):
            row = grid.log_ssfr[t + a, z + b]
            weight = (dt if a else 1.0 - dt) * (dz if b else 1.0 - dz)
            value += weight * ((1.0 - dx) * row[x] + dx * row[x + 1])
    return value


@numba.njit(cache=True)
def _longest_tau(log_ssfr, z, dz, log_age_limit, grid):  # type: ignore[no-untyped-def]
    """Return log10 of the longest tau with which a galaxy has an sSFR at an age within its limit.

    At a given sSFR the age grows with tau, so that a bisection finds it; the shortest tau where there is none.
    """
    low, high, middle = grid.log_tau[0], grid.log_tau[-1], grid.log_tau[-1]
    for step in range(_BISECTIONS):
        t, dt = bracket(grid.log_tau, middle)
        x, dx = bracket(grid.log_x, log_age_limit - middle)
        if _log_ssfr(grid, t, dt, z, dz, x, dx) <= log_ssfr:
            if step == 0:
                return high
            low = middle
        else:
            high = middle
        middle = 0.5 * (low + high)
    return low


@numba.njit(cache=True)
def _meet(log_ssfr, beta, log_zmet, u_tau, log_age_limit, grid, met):  # type: ignore[no-untyped-def]
    youngest = np.log10(AGE_MARGIN)
    for g in range(log_ssfr.shape[0]):
        for c in range(log_ssfr.shape[1]):
            z, dz = bracket(grid.log_zmet, log_zmet[g, c])
            longest = _longest_tau(log_ssfr[g, c], z, dz, log_age_limit[g], grid)
            log_tau = grid.log_tau[0] + u_tau[g, c] * (longest - grid.log_tau[0])
            t, dt = bracket(grid.log_tau, log_tau)
            low, high = 0, len(grid.log_x) - 1
            while high - low > 1:
                middle = (low + high) // 2
                if _log_ssfr(grid, t, dt, z, dz, middle, 0.0) > log_ssfr[g, c]:
                    low = middle
                else:
                    high = middle
            at_low, at_high = _log_ssfr(grid, t, dt, z, dz, low, 0.0), _log_ssfr(grid, t, dt, z, dz, low, 1.0)
            dx = (log_ssfr[g, c] - at_low) / (at_high - at_low) if at_high < at_low else 1.0
            wanted = grid.log_x[low] + dx * (grid.log_x[high] - grid.log_x[low]) + log_tau
            log_age = min(max(wanted, youngest), log_age_limit[g])
            x, dx = bracket(grid.log_x, log_age - log_tau)
            m0, m1, m2, b0, b1, b2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for corner in range(8):
                i, j, k = corner // 4, (corner // 2) % 2, corner % 2
                weight = (dt if i else 1.0 - dt) * (dz if j else 1.0 - dz) * (dx if k else 1.0 - dx)
                m, b = grid.muv[t + i, z + j, x + k], grid.beta[t + i, z + j, x + k]
                m0, m1, m2 = m0 + weight * m[0], m1 + weight * m[1], m2 + weight * m[2]
                b0, b1, b2 = b0 + weight * b[0], b1 + weight * b[1], b2 + weight * b[2]
            # of the two roots the one that remains where the parabola is a line
            root = np.sqrt(max(b1 * b1 - 4.0 * b2 * (b0 - beta[g, c]), 0.0))
            depth = min(max(2.0 * (beta[g, c] - b0) / (b1 + root), 0.0), DUST2_MAX)
            met.log_tau[g, c], met.log_age[g, c], met.dust2[g, c] = log_tau, log_age, depth
            met.muv[g, c], met.beta[g, c] = m0 + depth * (m1 + depth * m2), b0 + depth * (b1 + depth * b2)
            off, off_slope = abs(wanted - log_age), abs(met.beta[g, c] - beta[g, c])
            met.missed[g, c] = (off if off > _SAME else 0.0) + (off_slope if off_slope > _SAME else 0.0)
