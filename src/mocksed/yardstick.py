"""How close the models can come to what is asked of each galaxy: the mark against which an assignment is measured.

The relations ask for more than a delayed-tau history behind one screen of dust can give, so a distance means little by
itself. Here the best reachable point is looked for with no regard to cost, and without anything that the assignment
uses: an even library of models, whose best points within several ranges of tau are the starts of Nelder & Mead's (1965)
search, which needs no derivatives. About 4 ms a galaxy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from mocksed import relations as rel
from mocksed.cosmology import AGE_MARGIN
from mocksed.neighbours import Metric, quantity
from mocksed.sps import TAU_RANGE
from mocksed.sps.derived import DUST2_MAX

if TYPE_CHECKING:
    from mocksed.sps.engine import Engine

Array = NDArray[np.float64]

REACHABLE = 0.1
"""A proposal counts as reachable if a model is nearer than this, a tenth of the relations' scatter."""

QUANTITIES = ("log_sfr", "muv", "beta", "log_zmet", "log_us")

_OLDEST = 13.8  # Gyr, of the library; each galaxy looks at the points that are young enough for it
_BANDS = 4  # ranges of log tau, each with a start: along tau runs the valley in which the best point lies
_STEP = 0.15  # first size of a simplex, in units of the range of each parameter
_RESTARTS, _ITERATIONS = 3, 60  # a simplex can collapse, above all at a bound: begun again around its best point
_AT_ONCE = 4096


class Library:
    """Models spread evenly over the parameters: a Sobol sequence in log age, log tau, dust2 and log_zmet.

    Half of the points have dust2 below 0.5, where most galaxies are. Their ionisation parameter follows its relation.

    Parameters
    ----------
    engine : Engine
        The stellar population model.
    log2_points : int
        log2 of the number of points.
    seed : int
        Seed of the scrambling of the sequence.

    """

    def __init__(self, engine: Engine, log2_points: int = 18, seed: int = 0) -> None:
        self.engine = engine
        unit = qmc.Sobol(4, seed=seed).random_base2(log2_points)
        self.age = AGE_MARGIN * (_OLDEST / AGE_MARGIN) ** unit[:, 0]
        self.log_tau = np.log10(TAU_RANGE[0]) + np.log10(TAU_RANGE[1] / TAU_RANGE[0]) * unit[:, 1]
        self.dust2 = np.where(unit[:, 2] < 0.5, unit[:, 2], DUST2_MAX * (unit[:, 2] - 0.5) * 2.0)
        low, high = engine.table.log_zmet_range
        self.log_zmet = low + (high - low) * unit[:, 3]
        self.log_us = engine.clip_log_us(rel.log_us(self.log_zmet))
        columns = model_columns(engine, self.age, 10.0**self.log_tau, self.dust2, self.log_zmet, self.log_us)
        self.columns = columns | {"tau": 10.0**self.log_tau}


def model_columns(
    engine: Engine, age: Array, tau: Array, dust2: Array, log_zmet: Array, log_us: Array, log_mstar: Array | float = 0.0
) -> dict[str, Array]:
    """Return the quantities that relations speak of for star-forming galaxies with some parameters, of a mass."""
    derived = engine.derived(age, tau, log_zmet, log_us, dust2, nebular=True)
    return {
        "log_sfr": derived.log_ssfr + log_mstar,
        "muv": derived.muv - 2.5 * log_mstar,
        "beta": derived.beta,
        "log_zmet": engine.clip_log_zmet(log_zmet),
        "log_us": engine.clip_log_us(log_us),
    }


def best_reachable(
    proposal: Mapping[str, Array],
    log_mstar: Array,
    redshift: Array,
    age_limit: Array,
    *,
    library: Library,
    metric: Metric,
) -> dict[str, Array]:
    """Return the model nearest to what was proposed for each galaxy.

    Free are the age up to its limit, tau and the metallicity within the table and dust2 up to `DUST2_MAX`, and the
    ionisation parameter if it is a coordinate of the metric, else it is the proposed one. Quantities without a relation
    (`Metric.nuisance`) play no part.

    Parameters
    ----------
    proposal : mapping of str to ndarray of shape (n, )
        `QUANTITIES` as proposed.
    log_mstar, redshift, age_limit : ndarrays of shape (n, )
        log10 of the mass [Msun], redshift and oldest age allowed [Gyr].
    library : Library
        Where the search begins.
    metric : Metric
        The distance.

    Returns
    -------
    dict of ndarrays of shape (n, )
        ``distance``; ``age`` and ``tau`` [Gyr], ``dust2``, ``log_zmet``, ``log_us``; and the offsets ``d_log_sfr`` etc.
        of `QUANTITIES`, best reachable less proposed.

    """
    fixed = {name: proposal[name] for name in QUANTITIES} | {"log_mstar": log_mstar, "redshift": redshift}
    parts = []
    for start in range(0, len(log_mstar), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        parts.append(_best({k: v[rows] for k, v in fixed.items()}, age_limit[rows], library, metric))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _best(asked: Mapping[str, Array], age_limit: Array, library: Library, metric: Metric) -> dict[str, Array]:
    engine, n = library.engine, len(age_limit)
    free_us = "log_us" in metric.scales
    low = np.array([np.log10(AGE_MARGIN), np.log10(TAU_RANGE[0]), 0.0, engine.table.log_zmet_range[0], -4.0])
    high = np.array([0.0, np.log10(TAU_RANGE[1]), DUST2_MAX, engine.table.log_zmet_range[1], -1.0])
    dimensions = 5 if free_us else 4
    low = np.broadcast_to(low[:dimensions], (n, dimensions))
    high = np.tile(high[:dimensions], (n, 1))
    high[:, 0] = np.log10(age_limit)
    width = np.maximum(high - low, 1e-9)

    def parameters(unit: Array, galaxy: NDArray[np.int64]) -> Array:
        return low[galaxy] + np.clip(unit, 0.0, 1.0) * width[galaxy]

    def columns(unit: Array, galaxy: NDArray[np.int64]) -> dict[str, Array]:
        values = parameters(unit, galaxy).T
        age = np.minimum(10.0 ** values[0], age_limit[galaxy])
        log_us = values[4] if free_us else engine.clip_log_us(asked["log_us"][galaxy])
        tau = np.clip(10.0 ** values[1], *TAU_RANGE)
        found = model_columns(engine, age, tau, values[2], values[3], log_us, asked["log_mstar"][galaxy])
        return found | {"age": age, "tau": tau, "dust2": values[2]}

    def squared_distance(unit: Array, galaxy: NDArray[np.int64]) -> Array:
        own = {name: values[galaxy] for name, values in asked.items()}
        return metric.distance(own, own | columns(unit, galaxy)) ** 2

    starts = _starts(asked, age_limit, library, metric)  # (n, bands) rows
    galaxy = np.repeat(np.arange(n), _BANDS)
    rows = starts.ravel()
    begin = [np.log10(library.age[rows]), library.log_tau[rows], library.dust2[rows], library.log_zmet[rows]]
    if free_us:
        begin.append(library.log_us[rows])
    unit = np.clip((np.stack(begin, axis=1) - low[galaxy]) / width[galaxy], 0.0, 1.0)
    for _ in range(_RESTARTS):
        unit, value = nelder_mead(squared_distance, unit, galaxy, _STEP, _ITERATIONS)
    best = np.argmin(value.reshape(n, _BANDS), axis=1) + _BANDS * np.arange(n)
    unit, galaxy = unit[best], galaxy[best]
    for _ in range(_RESTARTS):
        unit, value = nelder_mead(squared_distance, unit, galaxy, 0.3 * _STEP, _ITERATIONS)
    found = columns(unit, galaxy)
    result = {"distance": np.sqrt(value)} | {k: found[k] for k in ("age", "tau", "dust2", "log_zmet", "log_us")}
    return result | {f"d_{name}": found[name] - asked[name] for name in QUANTITIES}


def _starts(asked: Mapping[str, Array], age_limit: Array, library: Library, metric: Metric) -> NDArray[np.int64]:
    """Return for each galaxy the library point nearest to it in each range of tau, shape (n, _BANDS)."""
    names = [name for name in metric.scales if name not in ("redshift", "log_mstar", "scale_factor")]
    zero = {"log_mstar": np.zeros(len(library.age))}
    # per unit mass, on both sides: masses and redshifts are the galaxy's own
    per_mass = {**asked, "log_sfr": asked["log_sfr"] - asked["log_mstar"], "log_mstar": np.zeros(len(age_limit))}
    per_mass["muv"] = asked["muv"] + 2.5 * asked["log_mstar"]
    points = np.stack([quantity(k, library.columns | zero) / metric.scales[k] for k in names], axis=1)
    targets = np.stack([quantity(k, per_mass) / metric.scales[k] for k in names], axis=1)
    order = np.argsort(library.age, kind="stable")
    width = np.log10(TAU_RANGE[1] / TAU_RANGE[0]) / _BANDS
    band = np.clip(((library.log_tau - np.log10(TAU_RANGE[0])) / width).astype(np.int64), 0, _BANDS - 1)
    allowed = np.searchsorted(library.age[order], age_limit, side="right")
    found = _nearest_of_bands(targets, points[order].astype(np.float64), band[order], allowed, _BANDS)
    return np.asarray(order[found])


@numba.njit(cache=True)
def _nearest_of_bands(targets, points, band, allowed, n_bands):  # type: ignore[no-untyped-def]
    """Return the nearest of the first ``allowed`` points of each band; 0, the youngest, where there is none."""
    found = np.zeros((len(targets), n_bands), np.int64)
    for g in range(len(targets)):
        best = np.full(n_bands, np.inf)
        for p in range(allowed[g]):
            total = 0.0
            for d in range(points.shape[1]):
                total += (points[p, d] - targets[g, d]) ** 2
            if total < best[band[p]]:
                best[band[p]] = total
                found[g, band[p]] = p
    return found


def nelder_mead(
    function: Callable[[Array, NDArray[np.int64]], Array],
    start: Array,
    owner: NDArray[np.int64],
    step: float,
    iterations: int,
) -> tuple[Array, Array]:
    """Minimise a function of many small problems at once by the downhill simplex in the unit cube.

    Nelder & Mead (1965), with the usual coefficients (reflection 1, expansion 2, contraction and shrinkage 1/2); points
    outside the cube are moved to its surface.

    Parameters
    ----------
    function : callable
        (points (m, d), owners (m, )) -> values (m, ).
    start : ndarray of shape (n, d)
        First corner of each simplex.
    owner : ndarray of shape (n, )
        Index of the problem, handed to the function.
    step : float
        Distance of the other corners, inwards where the first one is in the upper half.
    iterations : int
        Number of steps.

    Returns
    -------
    x : ndarray of shape (n, d)
        The best corner of each simplex.
    value : ndarray of shape (n, )
        The function there.

    """
    n, d = start.shape
    simplex = np.repeat(start[:, None, :], d + 1, axis=1)
    towards = np.where(start > 0.5, -step, step)
    for i in range(d):
        simplex[:, i + 1, i] += towards[:, i]
    value = function(simplex.reshape(-1, d), np.repeat(owner, d + 1)).reshape(n, d + 1)
    every = np.arange(n)
    for _ in range(iterations):
        order = np.argsort(value, axis=1, kind="stable")
        simplex, value = np.take_along_axis(simplex, order[:, :, None], 1), np.take_along_axis(value, order, 1)
        centre = simplex[:, :-1].mean(axis=1)
        away = centre - simplex[:, -1]
        reflected = np.clip(centre + away, 0.0, 1.0)
        at_reflected = function(reflected, owner)
        expand, contract_out = at_reflected < value[:, 0], at_reflected < value[:, -1]
        accept = ~expand & (at_reflected < value[:, -2])
        factor = np.where(expand, 2.0, np.where(contract_out, 0.5, -0.5))
        second = np.clip(centre + factor[:, None] * away, 0.0, 1.0)
        at_second = np.full(n, np.inf)
        ask = ~accept
        at_second[ask] = function(second[ask], owner[ask])
        use_second = ask & (at_second < np.where(contract_out, at_reflected, value[:, -1]))
        use_first = ~use_second & (accept | expand)
        shrink = ~use_second & ~use_first
        simplex[use_second, -1], value[use_second, -1] = second[use_second], at_second[use_second]
        simplex[use_first, -1], value[use_first, -1] = reflected[use_first], at_reflected[use_first]
        small = every[shrink]
        if len(small):
            simplex[small, 1:] = 0.5 * (simplex[small, 1:] + simplex[small, :1])
            corners = simplex[small, 1:].reshape(-1, d)
            value[small, 1:] = function(corners, np.repeat(owner[small], d)).reshape(-1, d)
    best = np.argmin(value, axis=1)
    return simplex[every, best], value[every, best]
