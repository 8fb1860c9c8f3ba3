"""Models moved onto the values that a user's table gives.

A parent point has its targets only approximately. Given values are to be met exactly: metallicity, ionisation
parameter, age and dust are set, the history is stretched until it has the SFR, and depth and slope of the attenuation
are changed until M_UV and UV slope are those given - or, where they are not, those that the point had before.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mocksed.cosmology import AGE_MARGIN
from mocksed.quantities import QUANTITIES
from mocksed.search.given import is_given, known
from mocksed.search.parent import FSPS, SLOPES
from mocksed.sps import TAU_RANGE
from mocksed.sps.derived import DUST2_MAX
from mocksed.sps.engine import Engine

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_HISTORY_STEPS, _LOG_TAU_STEPS, _ENOUGH = 8, 14, 1e-3  # dex
_LOG_STRETCH, _STRETCH_STEPS, _ROUNDS = 3.0, 12, 2  # dex, at most
_DUST_STEPS, _LITTLE = 8, 0.01
_UV = (1500.0, 1560.0, 1920.0)  # A: M_UV, and the two bands of the slope (F125W and F160W at z = 7)
_BETA = 4.43  # of a difference of magnitudes (Dunlop et al. 2012)
_MAG = 2.5 * np.log10(np.e)
_MAX_STEP = (1.0, 0.4)  # of depth and slope at a time
_CHANGE, _DAMPING = 0.01, 1e-6  # of the slope, for derivatives; of the least squares
_KEPT = 0.05  # weight of what the point had, beside what is given


def move(
    parameters: Mapping[str, Array],
    given: Mapping[str, Array],
    log_mstar: Array,
    age_limit: Array,
    engine: Engine,
    *,
    nebular: bool,
) -> dict[str, Array]:
    """Return the parameters of galaxies moved onto the given values, as far as models allow.

    Parameters
    ----------
    parameters : mapping of str to ndarray of shape (n, )
        `mocksed.search.parent.FSPS` of the points that were taken.
    given : mapping of str to ndarray of shape (n, )
        See `mocksed.search.given.requested`.
    log_mstar : ndarray of shape (n, )
        log10 of the masses [Msun].
    age_limit : ndarray of shape (n, )
        Oldest age allowed [Gyr].
    engine : Engine
        The stellar population model.
    nebular : bool
        Whether the gas shines.

    Returns
    -------
    dict of ndarrays of shape (n, )
        `mocksed.search.parent.FSPS`. Galaxies of which nothing is given keep what they have.

    """
    moved = {name: np.array(parameters[name], float) for name in FSPS}
    rows = np.flatnonzero(np.any([~np.isnan(values) for values in given.values()], axis=0))
    if not len(rows):
        return moved
    parameters = {name: values[rows] for name, values in moved.items()}
    wanted, limit, mass = {name: values[rows] for name, values in given.items()}, age_limit[rows], log_mstar[rows]
    before = engine.derived(*(parameters[name] for name in FSPS), nebular=nebular)

    parameters["log_zmet"] = engine.clip_log_zmet(known(wanted, "log_zmet", parameters["log_zmet"]))
    parameters["log_us"] = engine.clip_log_us(known(wanted, "log_us", parameters["log_us"]))
    parameters["dust2"] = known(wanted, "dust2", parameters["dust2"])
    parameters["age"] = np.clip(known(wanted, "age", parameters["age"]), AGE_MARGIN, limit)
    log_ssfr = known(wanted, "log_sfr", before.log_ssfr + mass) - mass
    parameters["age"], parameters["tau"] = history_of(
        parameters["age"],
        parameters["tau"],
        parameters["log_zmet"],
        log_ssfr,
        limit,
        engine,
        stretches=~is_given(wanted, "age", len(rows)),
    )
    targets = np.stack([known(wanted, "muv", before.muv - 2.5 * mass) + 2.5 * mass, known(wanted, "beta", before.beta)])
    sure = np.stack([is_given(wanted, name, len(rows)) for name in ("muv", "beta")])
    if not nebular:  # nothing is asked of the ultraviolet light of quiescent galaxies but what is given
        targets[~sure] = np.nan
    depth_is_free = ~is_given(wanted, "dust2", len(rows))
    _attenuate(parameters, targets, sure, depth_is_free, engine, nebular)
    muv_alone = sure[0] & ~is_given(wanted, "age", len(rows)) & ~is_given(wanted, "log_sfr", len(rows))
    for _ in range(_ROUNDS if muv_alone.any() else 0):  # more or less dust is not enough: more or less star formation
        again = _stretch(parameters, targets[0], np.flatnonzero(muv_alone), limit, engine, nebular)
        part = {name: values[again] for name, values in parameters.items()}
        _attenuate(part, targets[:, again], sure[:, again], depth_is_free[again], engine, nebular)
        for name, values in parameters.items():
            values[again] = part[name]
    for name, values in moved.items():
        values[rows] = parameters[name]
    return moved


def history_of(
    age: Array, tau: Array, log_zmet: Array, log_ssfr: Array, limit: Array, engine: Engine, *, stretches: Mask
) -> tuple[Array, Array]:
    """Return ages and e-folding times [Gyr] of histories with given SFRs.

    A history that is stretched keeps its shape, and its SFR per mass falls as 1 / age. Where the age is given, or at
    its limit, the e-folding time alone is changed, with which the SFR rises.

    Parameters
    ----------
    age, tau, log_zmet : ndarrays of shape (n, )
        The histories to begin with.
    log_ssfr : ndarray of shape (n, )
        log10 of SFR per surviving mass that is asked [1/yr].
    limit : ndarray of shape (n, )
        Oldest age allowed [Gyr].
    engine : Engine
        The stellar population model.
    stretches : ndarray of bool of shape (n, )
        Whether the age may change.

    """
    age, tau = age.copy(), tau.copy()

    def off(rows: NDArray[np.intp], ages: Array, taus: Array) -> Array:
        return engine.log_ssfr(ages, taus, log_zmet[rows]) - log_ssfr[rows]

    rows = np.flatnonzero(stretches)
    stretch = np.zeros(len(rows))
    first, first_tau = age[rows], tau[rows]
    shortest, longest = (np.log10(bound / tau) for bound in TAU_RANGE)
    for _ in range(_HISTORY_STEPS):
        missing = off(rows, age[rows], tau[rows])
        left = np.abs(missing) > _ENOUGH
        if not np.any(left):
            break
        rows, first, first_tau = rows[left], first[left], first_tau[left]
        stretch = np.clip(stretch[left] + missing[left], shortest[rows], longest[rows])
        age[rows] = np.clip(first * 10.0**stretch, AGE_MARGIN, limit[rows])
        tau[rows] = np.clip(first_tau * 10.0**stretch, *TAU_RANGE)
    everyone = np.arange(len(age))
    rows = np.flatnonzero(np.abs(off(everyone, age, tau)) > _ENOUGH)
    low, high = (np.full(len(rows), bound) for bound in np.log10(TAU_RANGE))
    for _ in range(_LOG_TAU_STEPS if len(rows) else 0):
        middle = 0.5 * (low + high)
        too_high = off(rows, age[rows], 10.0**middle) > 0.0
        low, high = np.where(too_high, low, middle), np.where(too_high, middle, high)
    tau[rows] = 10.0 ** (0.5 * (low + high))
    return age, tau


def _stretch(
    parameters: dict[str, Array], muv: Array, rows: NDArray[np.intp], limit: Array, engine: Engine, nebular: bool
) -> NDArray[np.intp]:
    """Stretch the histories of those of ``rows`` that do not have their M_UV per mass until they have; return which."""

    def off(rows: NDArray[np.intp], parameters: Mapping[str, Array]) -> Array:
        return engine.derived(*(parameters[name] for name in FSPS), nebular=nebular).muv - muv[rows]

    rows = rows[
        np.abs(off(rows, {name: values[rows] for name, values in parameters.items()})) > QUANTITIES["muv"].tolerance
    ]
    part = {name: values[rows] for name, values in parameters.items()}
    age, tau = part["age"], part["tau"]
    low, high = np.full(len(rows), -_LOG_STRETCH), np.full(len(rows), _LOG_STRETCH)
    for _ in range(_STRETCH_STEPS if len(rows) else 0):
        middle = 0.5 * (low + high)
        part["age"] = np.clip(age * 10.0**middle, AGE_MARGIN, limit[rows])
        part["tau"] = np.clip(tau * 10.0**middle, *TAU_RANGE)
        too_faint = off(rows, part) > 0.0  # younger, it is brighter
        low, high = np.where(too_faint, low, middle), np.where(too_faint, middle, high)
    for name in ("age", "tau"):
        parameters[name][rows] = part[name]
    return rows


def _attenuate(
    parameters: dict[str, Array], targets: Array, sure: Mask, depth_is_free: Mask, engine: Engine, nebular: bool
) -> None:
    """Change depth and slope of the attenuation until M_UV per mass and UV slope are at ``targets`` (2, n).

    Newton's steps with the derivatives of monochromatic attenuation, good to some per cent; where a parameter is at its
    limit, the other one goes on alone. What is ``sure`` (2, n), given, outweighs what the points had.
    """
    slopes = SLOPES[engine.model.dust_type] if engine.model.slope_is_free else (0.0, 0.0)
    low, high = np.array([0.0, slopes[0]])[:, None], np.array([DUST2_MAX, slopes[1]])[:, None]
    most = np.array(_MAX_STEP)[:, None]
    rows = np.arange(len(parameters["age"]))
    tolerance = 0.25 * np.array([QUANTITIES["muv"].tolerance, QUANTITIES["beta"].tolerance])[:, None]
    weight = np.where(sure, 1.0, _KEPT) * np.isfinite(targets)
    if np.any(sure[1]):  # a slope that is bluer than without dust cannot be had: as little dust as M_UV allows
        bare = engine.derived(*({**parameters, "dust2": np.zeros(len(rows))}[name] for name in FSPS), nebular=nebular)
        too_blue = sure[1] & depth_is_free & (targets[1] < bare.beta)
        parameters["dust2"] = np.where(too_blue & ~sure[0], 0.0, parameters["dust2"])
        weight[1, too_blue] = _KEPT
        rows = rows[~(too_blue & ~sure[0])]
    for _ in range(_DUST_STEPS):
        there = engine.derived(*(parameters[name][rows] for name in FSPS), nebular=nebular)
        missing = np.nan_to_num(targets[:, rows] - np.stack([there.muv, there.beta]))
        limit = np.where(sure[:, rows], tolerance, 4.0 * tolerance)
        left = np.any(np.abs(missing) > limit, axis=0)
        rows, missing = rows[left], missing[:, left]
        if not len(rows):
            return
        x = np.stack([parameters["dust2"][rows], parameters["dust_index"][rows]])
        free = np.stack([depth_is_free[rows], np.full(len(rows), engine.model.slope_is_free)])
        step = _step(x, missing, weight[:, rows], free, engine)
        outwards = ((step < 0.0) & (x <= low)) | ((step > 0.0) & (x >= high))
        step = np.where(outwards.any(axis=0), _step(x, missing, weight[:, rows], free & ~outwards, engine), step)
        moved = np.clip(x + np.clip(step, -most, most), low, np.maximum(high, x))
        # without dust the slope has no effect, and nothing would lead away from there
        moved[0] = np.where(x[0] > _LITTLE, np.maximum(moved[0], 0.2 * x[0]), moved[0])
        x = np.where(free, moved, x)
        parameters["dust2"][rows], parameters["dust_index"][rows] = x


def _step(x: Array, missing: Array, weight: Array, free: Mask, engine: Engine) -> Array:
    """Return the changes (2, n) of depth and slope that make up for what is ``missing`` of M_UV and UV slope (2, n).

    Least squares, by hand: a library's products of matrices differ in their last bits with the number of rows.
    """
    dust2, dust_index = x
    below, at, above = (_effect(engine.attenuation(_UV, dust_index + change)) for change in (-_CHANGE, 0.0, _CHANGE))
    by_depth = at * weight * free[0]
    by_slope = dust2 * (above - below) / (2.0 * _CHANGE) * weight * free[1]
    a, b, d = ((one * other).sum(axis=0) for one, other in ((by_depth,) * 2, (by_depth, by_slope), (by_slope,) * 2))
    right = [(change * weight * missing).sum(axis=0) for change in (by_depth, by_slope)]
    a, d = a + _DAMPING, d + _DAMPING
    determinant = a * d - b * b
    return np.stack([d * right[0] - b * right[1], a * right[1] - b * right[0]]) / determinant * free


def _effect(depth: Array) -> Array:
    """Return M_UV and UV slope behind optical depths (n, 3) at `_UV`, less those without dust, shape (2, n)."""
    return _MAG * np.stack([depth[:, 0], _BETA * (depth[:, 1] - depth[:, 2])])
