"""Proposals that the models can meet: drawn from the relations and the models together.

SFR, UV light and UV slope are tied in the models: of a history behind a screen of dust, SFR and slope give M_UV to some
tenths of a magnitude. Proposals whose scatters are independent of each other mostly lie off that sheet. Here several
candidates are drawn for each galaxy: SFR, metallicity and slope from their relations, and a tau; the model that has
them has an M_UV of its own. One candidate is taken with a probability that goes with the likelihood of its M_UV and
with how near its model comes to it (importance resampling: Rubin 1988), and its model is what is proposed.

Three numbers, measured on a light cone above 1e8 Msun, keep the population at the relations:

* A product of Gaussians cut by a sheet is narrower than each of them: candidates are drawn with `SPREAD` times the
  scatter, which leaves the scatter that was asked for.
* For massive galaxies at z < 3 the means of the relations lie up to 1 mag off the sheet. The resampling divides the gap
  between the three by their variances, but low SFRs take part less, since in an old galaxy they need a short tau and so
  have more UV light: M_UV is weighed around its relation less `BALANCE` of the gap, and the shares are equal again.
* For the same reason long taus are drawn more often, with a density that grows as log(tau / 0.1 Gyr) to the power
  `LONG_TAU`; uniform in log tau would be 0. Nothing piles up: tau is drawn below the one at which the age that the SFR
  needs is the oldest allowed.

A slope that is bluer than any model of its tau and metallicity becomes that of the model without dust: one galaxy in
five has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from mocksed import relations as rel
from mocksed.cosmology import AGE_MARGIN
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
"""Galaxies whose candidates are held at once, some 3 kB each."""

SPREAD = {"log_sfr": 1.2, "muv": 1.35, "beta": 1.25}
"""Scatter of the candidates in units of that of the relations."""

BALANCE = 0.25
"""See above."""

LONG_TAU = 2.0
"""See above."""

_LEAST = 0.05  # dex or mag: where a config asks for no scatter, candidates still differ by their tau
_OUTSIDE = 1e3  # loss of log likelihood of a candidate that is older than allowed: taken where all are
_LOG_X = np.linspace(-5.0, 1.6, 67)  # of age / tau
_LOG_TAU = np.linspace(np.log10(TAU_RANGE[0]), np.log10(TAU_RANGE[1]), 16)
_N_ZMET = 12
_DUST2 = np.array([0.0, 0.6, 1.8])  # through which a parabola is laid
_OLDEST = 14.0  # Gyr
_BISECTIONS = 14  # of log tau: to 2e-4 dex


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
    """The models among which proposals are drawn: an engine, and a grid of it, which takes 0.1 s to make.

    M_UV and slope between its nodes are good to 0.01 in the median and 0.04 at worst. What is proposed is taken from
    the engine itself.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.grid = model_grid(engine)


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
    too_old : ndarray
        By how much the SFR needs an age above the limit or below the youngest [dex].

    """

    log_tau: Array
    log_age: Array
    dust2: Array
    muv: Array
    beta: Array
    too_old: Array


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


def draw(
    random: Array, log_mstar: Array, redshift: Array, age_limit: Array, *, scatter: Relations, models: Models
) -> dict[str, Array]:
    """Return proposals of star-forming galaxies that models meet exactly.

    Parameters
    ----------
    random : ndarray of shape (n, N_RANDOM)
        Uniform deviates.
    log_mstar, redshift, age_limit : ndarrays of shape (n, )
        log10 of the mass [Msun], redshift and oldest age allowed [Gyr].
    scatter : Relations
        Scatter of the relations.
    models : Models
        The models.

    Returns
    -------
    dict of ndarrays of shape (n, )
        ``log_sfr``, ``log_zmet``, ``log_us``, ``muv``, ``beta``, and the ``tau`` [Gyr] of the model. The metallicity
        and the ionisation parameter are as drawn, also outside the table.

    """
    engine, grid = models.engine, models.grid
    u_sfr, u_zmet, u_beta, u_tau = (random[:, i * CANDIDATES : (i + 1) * CANDIDATES] for i in range(4))
    mass, z, limit = log_mstar[:, None], redshift[:, None], age_limit
    sigma = {name: max(SPREAD[name] * _scale(scatter, name), _LEAST) for name in SPREAD}

    mean_sfr, mean_muv = rel.log_sfr_star_forming(mass, z), rel.muv(mass, z)
    mean_beta = rel.beta(mean_muv, z)
    log_sfr = Gaussian(SPREAD["log_sfr"] * _scale(scatter, "log_sfr")).draw(mean_sfr, u_sfr)
    log_zmet = scatter.log_zmet.draw(rel.log_zmet(mass, log_sfr), u_zmet)
    beta = Gaussian(SPREAD["beta"] * _scale(scatter, "beta"), scatter.beta.limits).draw(mean_beta, u_beta)
    met = meet(grid, log_sfr - mass, beta, engine.clip_log_zmet(log_zmet), u_tau ** (1.0 / (1.0 + LONG_TAU)), limit)
    muv = met.muv - 2.5 * mass

    half = np.full(mass.shape, 0.5 ** (1.0 / (1.0 + LONG_TAU)))
    mean_zmet = engine.clip_log_zmet(rel.log_zmet(mass, mean_sfr))
    gap = meet(grid, mean_sfr - mass, mean_beta, mean_zmet, half, limit).muv - 2.5 * mass - mean_muv
    log_weight = -0.5 * ((muv - mean_muv + BALANCE * gap) / sigma["muv"]) ** 2
    # the slope was drawn around its relation at the mean M_UV
    log_weight += 0.5 * ((met.beta - mean_beta) / sigma["beta"]) ** 2
    log_weight -= 0.5 * ((met.beta - rel.beta(muv, z)) / sigma["beta"]) ** 2
    # bluer than any model: the bluest one, at the price of its distance
    log_weight -= 0.5 * ((met.beta - beta) / max(_scale(scatter, "beta"), _LEAST)) ** 2
    log_weight -= np.where(met.too_old > 0.0, _OUTSIDE * (1.0 + met.too_old), 0.0)

    cumulative = np.cumsum(np.exp(log_weight - log_weight.max(axis=1, keepdims=True)), axis=1)
    chosen = np.argmax(cumulative >= random[:, -1:] * cumulative[:, -1:], axis=1)

    def take(values: Array) -> Array:
        return np.asarray(np.take_along_axis(values, chosen[:, None], 1)[:, 0])

    log_zmet = take(log_zmet)
    log_us = scatter.log_us.draw(rel.log_us(log_zmet), random[:, -2])
    age, tau = np.clip(10.0 ** take(met.log_age), AGE_MARGIN, limit), np.clip(10.0 ** take(met.log_tau), *TAU_RANGE)
    derived = engine.derived(age, tau, log_zmet, log_us, take(met.dust2), nebular=True)
    return {
        "log_sfr": derived.log_ssfr + log_mstar,
        "log_zmet": log_zmet,
        "log_us": log_us,
        "muv": derived.muv - 2.5 * log_mstar,
        "beta": derived.beta,
        "tau": tau,
    }


def _scale(scatter: Relations, name: str) -> float:
    return float(getattr(scatter, "log_sfr_star_forming" if name == "log_sfr" else name).scale)


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
            off = abs(wanted - log_age)
            met.too_old[g, c] = off if off > 1e-3 else 0.0
