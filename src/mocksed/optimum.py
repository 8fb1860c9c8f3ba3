"""Parameters moved from a start to where the model comes nearest to what is asked, for many galaxies at once.

Each galaxy is a least-squares problem of a few residuals in four bounded parameters, solved by Levenberg's (1944) and
Marquardt's (1963) damped Gauss-Newton steps. All galaxies of a batch take their steps together, so that the engine is
asked for thousands of models at a time, but none depends on its company: the linear systems are solved one by one in
plain loops, and the number of steps of a galaxy follows from its own residuals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import NDArray

from mocksed.cosmology import AGE_MARGIN
from mocksed.neighbours import Metric
from mocksed.sps import TAU_RANGE
from mocksed.sps.derived import DUST2_MAX
from mocksed.sps.weights import sfr_per_mass_formed

if TYPE_CHECKING:
    from mocksed.sps.engine import Engine

Array = NDArray[np.float64]
Residuals = Callable[[Array, NDArray[np.int64]], Array]

BATCH = 4096
"""Galaxies whose steps are taken together."""

_STEP = 0.02  # of the finite differences, in dex and dust2: the kinks between nodes of the table are finer
_LONGEST = np.array([0.5, 1.0, 0.5, 0.5])  # change of each parameter in one step: the models are not linear beyond
_DAMPING, _EASIER, _HARDER, _HOPELESS = 1e-2, 0.1, 8.0, 1e4
_ITERATIONS = 12
_SETTLED = 1e-3  # gain of the distance in a step below which it is the last one
_FAR = 0.1  # from what is asked: then a second search begins elsewhere
_BRANCHES = (0.1, 1.0)  # Gyr, tau of its start
_OLDEST, _BISECTIONS = 1.2, 20  # log10 of an age [Gyr]


def nearest_models(
    start: Mapping[str, Array],
    proposal: Mapping[str, Array],
    log_mstar: Array,
    age_limit: Array,
    *,
    engine: Engine,
    metric: Metric,
    tau_weight: float,
) -> dict[str, Array]:
    """Return the parameters near a start whose models are nearest to what was proposed.

    What is minimised is the squared distance in the metric plus the square of ``tau_weight`` log10(tau / proposed tau),
    the prior that decides where along the degeneracy of age and tau a galaxy comes to lie. A galaxy that ends far from
    its proposal is searched for a second time from the other side of the peak of its star-formation history.

    Parameters
    ----------
    start : mapping of str to ndarray of shape (n, )
        ``age`` and ``tau`` [Gyr], ``dust2``, ``log_zmet``; moved into their limits.
    proposal : mapping of str to ndarray of shape (n, )
        ``log_sfr``, ``muv``, ``beta``, ``log_zmet``, ``log_us``, which is taken as it is, and ``tau`` [Gyr].
    log_mstar, age_limit : ndarrays of shape (n, )
        log10 of the mass [Msun] and oldest age allowed [Gyr].
    engine : Engine
        The stellar population model.
    metric : Metric
        The distance; of its coordinates, those count that a model of the galaxy's mass and redshift can change.
    tau_weight : float
        Weight of the prior [1/dex].

    Returns
    -------
    dict of ndarrays of shape (n, )
        ``age``, ``tau``, ``dust2``, ``log_zmet``, ``log_us``.

    """
    parts = []
    for first in range(0, len(log_mstar), BATCH):
        rows = slice(first, first + BATCH)
        own, asked = ({name: values[rows] for name, values in columns.items()} for columns in (start, proposal))
        parts.append(_nearest(own, asked, log_mstar[rows], age_limit[rows], engine, metric, tau_weight))
    if not parts:
        return {name: np.empty(0) for name in ("age", "tau", "dust2", "log_zmet", "log_us")}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _nearest(
    start: Mapping[str, Array], proposal: Mapping[str, Array], log_mstar: Array, age_limit: Array,
    engine: Engine, metric: Metric, tau_weight: float,
) -> dict[str, Array]:  # fmt: skip
    low = np.array([np.log10(AGE_MARGIN), np.log10(TAU_RANGE[0]), 0.0, engine.table.log_zmet_range[0]])
    high = np.array([0.0, np.log10(TAU_RANGE[1]), DUST2_MAX, engine.table.log_zmet_range[1]])
    low, high = np.tile(low, (len(log_mstar), 1)), np.tile(high, (len(log_mstar), 1))
    high[:, 0] = np.log10(age_limit)
    asked = np.stack(
        [
            proposal["log_sfr"] - log_mstar,
            proposal["muv"] + 2.5 * log_mstar,
            proposal["beta"],
            proposal["log_zmet"],
            np.log10(proposal["tau"]),
        ],
        axis=1,
    )
    weight = np.array([*_weights(metric), tau_weight])
    log_us = engine.clip_log_us(proposal["log_us"])

    def fsps(x: Array, rows: NDArray[np.int64]) -> tuple[Array, Array, Array, Array, Array]:
        age = np.clip(10.0 ** x[:, 0], AGE_MARGIN, age_limit[rows])
        tau = np.clip(10.0 ** x[:, 1], *TAU_RANGE)
        return age, tau, x[:, 3], log_us[rows], x[:, 2]

    def residuals(x: Array, rows: NDArray[np.int64]) -> Array:
        derived = engine.derived(*fsps(x, rows), nebular=True)
        found = np.stack([derived.log_ssfr, derived.muv, derived.beta, x[:, 3], x[:, 1]], axis=1)
        return (found - asked[rows]) * weight

    x = np.stack([np.log10(start["age"]), np.log10(start["tau"]), start["dust2"], start["log_zmet"]], axis=1)
    best, value = minimise(residuals, np.clip(x, low, high), low, high)
    far = np.flatnonzero(value > _FAR**2)
    if len(far):
        elsewhere = _other_branch(best[far], engine.model.sfh)
        again, reached = minimise(
            lambda x, rows: residuals(x, far[rows]), np.clip(elsewhere, low[far], high[far]), low[far], high[far]
        )
        better = reached < value[far]
        best[far[better]] = again[better]
    age, tau, log_zmet, _, dust2 = fsps(best, np.arange(len(best)))
    return {"age": age, "tau": tau, "dust2": dust2, "log_zmet": log_zmet, "log_us": proposal["log_us"]}


def _other_branch(x: Array, sfh: str) -> Array:
    """Return points with the same SFR per mass formed, with a short tau for a long one and the other way round.

    A galaxy of some SFR can be young or declining; a search that begins on one side of the peak hardly leaves it.
    """
    tau = np.where(x[:, 1] > np.log10(_BRANCHES).mean(), *_BRANCHES)
    wanted = sfr_per_mass_formed(sfh, 10.0 ** x[:, 0], 10.0 ** x[:, 1])
    low, high = np.full(len(x), np.log10(AGE_MARGIN)), np.full(len(x), _OLDEST)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        too_young = sfr_per_mass_formed(sfh, 10.0**middle, tau) > wanted
        low, high = np.where(too_young, middle, low), np.where(too_young, high, middle)
    result = x.copy()
    result[:, 0], result[:, 1] = 0.5 * (low + high), np.log10(tau)
    return result


def _weights(metric: Metric) -> list[float]:
    """Return the weights of log SFR, M_UV, beta and log Z in a distance at fixed mass and redshift."""
    names = (("log_ssfr", "log_sfr"), ("muv_per_mass", "muv"), ("beta",), ("log_zmet",))
    return [float(sum(metric.scales.get(name, np.inf) ** -2.0 for name in same) ** 0.5) for same in names]


def minimise(residuals: Residuals, start: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Minimise the sums of squares of many small problems at once, within bounds.

    Parameters
    ----------
    residuals : callable
        (x (m, 4), problems (m, )) -> residuals (m, n_residual).
    start, low, high : ndarrays of shape (n, 4)
        First points and their bounds.

    Returns
    -------
    x : ndarray of shape (n, 4)
        Where each search ended.
    value : ndarray of shape (n, )
        The sums of squares there.

    """
    n, d = start.shape
    x, active = start.copy(), np.arange(n)
    found = residuals(x, active)
    value, damping = _squares(found), np.full(n, _DAMPING)
    slope, stale = np.empty((n, found.shape[1], d)), np.ones(n, bool)
    for _ in range(_ITERATIONS):
        need = active[stale[active]]
        if len(need):
            slope[need] = _slopes(residuals, x, found, need, high)
            stale[need] = False
        target = np.empty((len(active), d))
        _steps(slope[active], found[active], damping[active], x[active], low[active], high[active], target)
        at_target = residuals(target, active)
        reached = _squares(at_target)
        before = value[active]
        better = reached < before
        moved = active[better]
        x[moved], found[moved], value[moved] = target[better], at_target[better], reached[better]
        stale[moved] = True
        damping[active] *= np.where(better, _EASIER, _HARDER)
        settled = better & (np.sqrt(before) - np.sqrt(reached) < _SETTLED) | (damping[active] > _HOPELESS)
        active = active[~settled]
        if not len(active):
            break
    return x, value


def _squares(residuals: Array) -> Array:
    """Return the sums of squares (n, ), term by term: no library sums rows in an order that their number changes."""
    total = np.zeros(len(residuals))
    for column in residuals.T:
        total += column * column
    return total


def _slopes(residuals: Residuals, x: Array, found: Array, rows: NDArray[np.int64], high: Array) -> Array:
    """Return the derivatives of the residuals by finite differences, shape (len(rows), n_residual, d)."""
    d = x.shape[1]
    step = np.where(x[rows] + _STEP <= high[rows], _STEP, -_STEP)
    points = np.repeat(x[rows][None], d, axis=0)
    for i in range(d):
        points[i, :, i] += step[:, i]
    there = residuals(points.reshape(-1, d), np.tile(rows, d)).reshape(d, len(rows), -1)
    return np.moveaxis((there - found[rows]) / step.T[:, :, None], 0, 2)


@numba.njit(cache=True)
def _steps(slope, residual, damping, x, low, high, target):  # type: ignore[no-untyped-def]
    """Fill ``target`` (n, d) with the end points of damped Gauss-Newton steps within the bounds.

    A parameter at a bound which the gradient pushes outwards stays; one that a step would take beyond it goes there,
    and the step of the others is found anew.
    """
    n, m, d = slope.shape
    normal, gradient, root = np.empty((d, d)), np.empty(d), np.empty((d, d))
    step, free = np.empty(d), np.empty(d, np.bool_)
    for k in range(n):
        for i in range(d):
            gradient[i] = 0.0
            for r in range(m):
                gradient[i] += slope[k, r, i] * residual[k, r]
            for j in range(i + 1):
                total = 0.0
                for r in range(m):
                    total += slope[k, r, i] * slope[k, r, j]
                normal[i, j] = normal[j, i] = total
            outwards = (x[k, i] <= low[k, i] and gradient[i] > 0.0) or (x[k, i] >= high[k, i] and gradient[i] < 0.0)
            free[i], step[i] = not outwards, 0.0
        for _ in range(d):
            _solve(normal, gradient, damping[k], free, root, step)
            inside = True
            for i in range(d):
                wanted = x[k, i] + step[i]
                if free[i] and (wanted < low[k, i] or wanted > high[k, i]):
                    step[i] = (low[k, i] if wanted < low[k, i] else high[k, i]) - x[k, i]
                    free[i] = inside = False
            if inside:
                break
        shorter = 1.0
        for i in range(d):
            if abs(step[i]) > _LONGEST[i]:
                shorter = min(shorter, _LONGEST[i] / abs(step[i]))
        for i in range(d):
            target[k, i] = min(max(x[k, i] + shorter * step[i], low[k, i]), high[k, i])


@numba.njit(cache=True)
def _solve(normal, gradient, damping, free, root, step):  # type: ignore[no-untyped-def]
    """Set the free parts of ``step`` (d, ) to the damped Gauss-Newton step, given the others; by Cholesky's method."""
    d = len(step)
    given = step.copy()
    for i in range(d):
        for j in range(i + 1):
            value = normal[i, j] if free[i] and free[j] else 0.0
            if i == j:
                value = value + damping * (value + 1e-3) if free[i] else 1.0
            for q in range(j):
                value -= root[i, q] * root[j, q]
            root[i, j] = np.sqrt(max(value, 1e-12)) if i == j else value / root[j, j]
    for i in range(d):
        if free[i]:
            step[i] = -gradient[i]
            for j in range(d):
                if not free[j]:
                    step[i] -= normal[i, j] * given[j]
        for q in range(i):
            step[i] -= root[i, q] * step[q]
        step[i] /= root[i, i]
    for i in range(d - 1, -1, -1):
        for q in range(i + 1, d):
            step[i] -= root[q, i] * step[q]
        step[i] /= root[i, i]
    for i in range(d):
        if not free[i]:
            step[i] = given[i]
