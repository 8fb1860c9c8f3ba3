"""Quiescent galaxies: SFR from its relation, colours in the UVJ box, by rejection sampling on batches.

The SFR is drawn around its relation, with a scatter that ends where no age, metallicity and dust of the prior gives
colours in the box. Age, metallicity and dust are drawn from the prior where it reaches into the box
(`mocksed.quiescent_proposal`), tau is solved from the SFR, and a try whose own colours lie outside the box is rejected.
The galaxies accepted are draws from the prior given the SFR and the box. A galaxy that finds none, as where the
universe is too young for red stars, walks towards the box as far as the prior allows, and is flagged if it does not
arrive. What a galaxy gets does not depend on the batch it is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from mocksed import relations as rel
from mocksed.columns import Flag
from mocksed.cosmology import Cosmology
from mocksed.jobs import Progress
from mocksed.parent import Sampling, cumulative, draw
from mocksed.quiescent_proposal import SFR_TOLERANCE, Cells, Colours, Reach, colours, missed_sfr, outside, solve_tau
from mocksed.relations import Relations
from mocksed.rng import Stage, uniforms
from mocksed.uvj import in_box

if TYPE_CHECKING:
    from mocksed.sps.engine import Engine

__all__ = ["SFR_TOLERANCE", "Prior", "assign", "dust2_range", "propose_log_sfr", "solve_tau"]

Array = NDArray[np.float64]
Arrays = dict[str, NDArray]

RARE = 1e-3
"""SFRs that the prior lets into the box less often than this are proposed in proportion, all others as they come."""

_DRAWN = ("age", "log_zmet", "dust2")  # anew in each try
_FIRST_TRY, _PER_TRY = 4, 4  # random numbers before the tries belong to the SFR; of a try: the cell, and `_DRAWN`
_ATTEMPTS, _PER_ATTEMPT = 5, 1 << 20  # to find an SFR and colours that go together; random numbers of each
_BATCH = 20_000  # galaxies at once
_STEP = 16  # tries of a round, but for the first few, and of a step of the walk
_FROM_CELLS, _FROM_PRIOR = 32, 16  # tries before the walk, where cells reach into the box and where none does
_WIDTH, _NARROWING = 0.5, 0.8  # of the walk, in normal deviates: of its first step, and with each further one
_HOPELESS = 2.0  # a walk ends this far from the box [mag], relative to its width
_START = (1e-3, 1.0 - 1e-3)  # least and largest cumulative probability that a walk starts from
_SURE = (1e-12, 1.0 - 1e-12)  # least and largest cumulative probability


@dataclass(frozen=True)
class Prior:
    """What the tries are drawn from, shared by all galaxies.

    Attributes
    ----------
    sampling : mapping
        Distributions of age, metallicity and dust (see `mocksed.parent`).
    box : mapping
        The UVJ box (see `mocksed.uvj`).
    max_tries : int
        Tries for each galaxy.
    seed : int
        Seed of the run.
    cosmo : Cosmology
        Cosmology that limits the ages.
    scatter : Relations
        Scatter of the relations.
    proposal : str
        "adapted" to the box, or "prior": tries are drawn from the prior as it is, and the best one is kept (2021).
    sfr : str
        "reachable": of the relation and its scatter, where the prior reaches the box; "relation": as it is (2021).

    """

    sampling: Sampling
    box: Mapping[str, float]
    max_tries: int
    seed: int
    cosmo: Cosmology
    scatter: Relations
    proposal: str = "adapted"
    sfr: str = "reachable"


def propose_log_sfr(
    galaxy_id: NDArray[np.int64], log_mstar: Array, redshift: Array, prior: Prior, realisation: ArrayLike = 0
) -> Array:
    """Return the SFRs proposed from the relation of quiescent galaxies, log10 [Msun/yr], shape (n, )."""
    uniform = uniforms(prior.seed, Stage.QUIESCENT, galaxy_id, 1, realisation=realisation)[:, 0]
    return prior.scatter.log_sfr_quiescent.draw(rel.log_sfr_quiescent(log_mstar, redshift), uniform)


def dust2_range(sampling: Sampling) -> tuple[float, float]:
    """Return the least and the largest dust2 that can be drawn."""
    ((kind, value),) = sampling["dust2"].items()
    match kind, value:
        case "constant", _:
            return float(value), float(value)
        case "normal", (mean, sigma, *limits):
            low, high = limits or (-np.inf, np.inf)
            return max(low, mean - 6.0 * sigma, 0.0), min(high, mean + 6.0 * sigma)
        case _, (low, high):
            return float(low), float(high)
    raise ValueError(f"unknown distribution {kind} of dust2")


def assign(
    galaxies: Mapping[str, NDArray],
    prior: Prior,
    engine: Engine,
    progress: Progress | None = None,
    table: Colours | None = None,
) -> dict[str, NDArray]:
    """Draw the FSPS parameters of quiescent galaxies.

    Parameters
    ----------
    galaxies : mapping of str to ndarray of shape (n, )
        ``galaxy_id``, ``redshift``, ``log_mstar``, and ``realisation``, by default 0.
    prior : Prior
        What to draw from, and how often.
    engine : Engine
        The stellar population model.
    progress : Progress, optional
        Told of the galaxies that are done.
    table : Colours, optional
        `colours` of the engine within the `dust2_range` of the prior; made anew if it is not given.

    Returns
    -------
    dict of ndarrays of shape (n, )
        ``prop_log_sfr``, the parameters ``age``, ``tau``, ``log_zmet``, ``dust2``, and ``flags``. Where no try was
        accepted, the best one is kept: the one nearest to its SFR, of those that have it the one nearest to the box.

    """
    n = len(galaxies["galaxy_id"])
    galaxies = {"realisation": np.zeros(n, np.int64)} | dict(galaxies)
    if table is None:
        table = colours(engine, dust2_range(prior.sampling))
    cells = Cells.of(table, prior.box)
    parts = []
    for first in range(0, max(n, 1), _BATCH):
        batch = _rows(galaxies, slice(first, first + _BATCH))
        parts.append(_assign(batch, prior, engine, cells, progress))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _assign(
    galaxies: Arrays, prior: Prior, engine: Engine, cells: Cells, progress: Progress | None
) -> dict[str, NDArray]:
    names = ("galaxy_id", "log_mstar", "redshift", "realisation")
    galaxy_id, log_mstar, redshift, realisation = (galaxies[name] for name in names)
    log_sfr = propose_log_sfr(galaxy_id, log_mstar, redshift, prior, realisation)
    redrawn = np.zeros(len(log_sfr), bool)
    reach = _reach(galaxies, prior, cells)
    if prior.sfr == "reachable":
        log_sfr, redrawn = _within_reach(galaxies, log_sfr, reach, prior, 0)
    assigned = _attempt(galaxies | {"prop_log_sfr": log_sfr}, redrawn, reach, prior, engine, 0, progress)
    left = np.flatnonzero(_rejected(assigned))
    # the table may promise too much where the oldest age decides
    for number in range(1, _ATTEMPTS if prior.sfr == "reachable" else 1):
        own = _rows(galaxies, left)
        log_sfr, redrawn = _within_reach(own, log_sfr[left], _reach(own, prior, cells), prior, number)
        left, own, log_sfr = left[redrawn], _rows(own, redrawn), log_sfr[redrawn]
        if not len(left):
            break
        reach = _reach(own, prior, cells)
        again = _attempt(own | {"prop_log_sfr": log_sfr}, redrawn[redrawn], reach, prior, engine, number, None)
        accepted = ~_rejected(again)
        for name, values in assigned.items():
            values[left[accepted]] = again[name][accepted]
        left, log_sfr = left[~accepted], assigned["prop_log_sfr"]
    return assigned


def _rows(galaxies: Mapping[str, NDArray], rows: NDArray | slice) -> Arrays:
    return {name: values[rows] for name, values in galaxies.items()}


def _uniforms(galaxies: Mapping[str, NDArray], prior: Prior, n_draws: int, first: int) -> Array:
    return uniforms(prior.seed, Stage.QUIESCENT, galaxies["galaxy_id"], n_draws, first, galaxies["realisation"])


def _rejected(assigned: Arrays) -> NDArray[np.bool_]:
    """Return which galaxies found no try that was accepted."""
    return np.asarray(assigned["flags"] & (Flag.UVJ_NOT_ACCEPTED | Flag.SFR_NOT_REACHED) > 0)


def _attempt(
    galaxies: Arrays,
    redrawn: NDArray[np.bool_],
    reach: Reach,
    prior: Prior,
    engine: Engine,
    number: int,
    progress: Progress | None,
) -> dict[str, NDArray]:
    """Return what `assign` does for SFRs that were proposed for the first time (0) or again."""
    log_sfr, cells = galaxies["prop_log_sfr"], reach.cells
    n, offset = len(log_sfr), number * _PER_ATTEMPT
    best = {name: np.full(n, np.inf) for name in (*_DRAWN, "tau", "missed_sfr", "outside", "zmet_clipped")}
    best |= {_u(name): np.full(n, 0.5) for name in _DRAWN}
    possible, walks_from = np.zeros(n, bool), np.full(n, prior.max_tries)
    if prior.proposal == "adapted":
        possible = reach.draw(np.arange(n), log_sfr - galaxies["log_mstar"], np.full(n, 0.5))[1] > 0.0
        walks_from = np.where(possible, _FROM_CELLS, _FROM_PRIOR)
    left = np.arange(n)
    for done, tries in _rounds(prior.max_tries):
        rows = np.repeat(left, tries)
        own = _rows(galaxies, rows)
        first = offset + _FIRST_TRY + _PER_TRY * done
        random = _uniforms(_rows(galaxies, left), prior, _PER_TRY * tries, first)
        random = random.reshape(len(rows), _PER_TRY)
        at = random[:, 1:].copy()  # cumulative probabilities of what is drawn, here from the prior itself
        begin = left[walks_from[left] == done]
        if len(begin):
            for name, uniform in _nearest_to_box(begin, galaxies, reach, prior).items():
                best[_u(name)][begin] = uniform
        walking = np.flatnonzero(walks_from[rows] <= done)
        start = np.stack([best[_u(name)][rows[walking]] for name in _DRAWN], axis=1)
        width = _width(done - walks_from[rows[walking]])[:, None]
        at[walking] = ndtr(ndtri(np.clip(start, *_SURE)) + width * ndtri(at[walking]))
        in_cells = np.flatnonzero(possible[rows] & (walks_from[rows] > done))
        at[in_cells] = _in_cells(rows[in_cells], _rows(own, in_cells), random[in_cells], reach)
        result = _try(own, np.clip(at, *_SURE), prior, engine, cells)
        accepted = _keep_best(best, left, {name: values.reshape(-1, tries) for name, values in result.items()})
        over = (done + tries > walks_from[left]) & (
            best["outside"][left] > _HOPELESS * _width(done + tries - walks_from[left])
        )
        if progress:
            progress.update(int(np.sum(accepted | over)))
        left = left[~(accepted | over)]
        if not len(left):
            break
    if progress:
        progress.update(len(left))
    bits = {
        Flag.UVJ_NOT_ACCEPTED: best["outside"] > 0.0,
        Flag.SFR_NOT_REACHED: best["missed_sfr"] > 0.0,
        Flag.ZMET_CLIPPED: best["zmet_clipped"] > 0.0,
        Flag.SFR_REDRAWN: redrawn,
    }
    return {
        "prop_log_sfr": log_sfr,
        **{name: best[name] for name in ("age", "tau", "log_zmet", "dust2")},
        "flags": np.sum([bit * which for bit, which in bits.items()], axis=0).astype(np.int32),
    }


def _rounds(max_tries: int) -> Iterator[tuple[int, int]]:
    """Yield the tries done and those of the next round; most galaxies need one or two."""
    done, sizes = 0, iter((1, 1, 2, 4, 8))
    while done < max_tries:
        tries = min(next(sizes, _STEP), max_tries - done)
        yield done, tries
        done += tries


def _width(tries: NDArray[np.int64]) -> Array:
    """Return the width of a walk after some tries, in normal deviates."""
    return _WIDTH * _NARROWING ** np.maximum(tries // _STEP, 0)


def _keep_best(best: Arrays, left: NDArray[np.int64], tries: Arrays) -> NDArray[np.bool_]:
    """Replace the best tries so far by the first accepted of some (len(left), n) or a better one; say who accepted."""
    accepted = np.asarray(tries["accepted"].any(axis=1))
    ranked = np.lexsort((tries["outside"], tries["missed_sfr"]))[:, 0]
    chosen = np.where(accepted, np.argmax(tries["accepted"], axis=1), ranked)[:, None]
    values = {name: np.take_along_axis(tries[name], chosen, 1)[:, 0] for name in best}
    missed, distance = best["missed_sfr"][left], best["outside"][left]
    better = (values["missed_sfr"] < missed) | ((values["missed_sfr"] == missed) & (values["outside"] < distance))
    take = accepted | better
    for name in best:
        best[name][left[take]] = values[name][take]
    return accepted


def _u(name: str) -> str:
    """Return under which name the cumulative probability of a drawn parameter is kept."""
    return f"u_{name}"


def _reach(galaxies: Mapping[str, NDArray], prior: Prior, cells: Cells) -> Reach:
    below = _cumulative(galaxies, prior, cells)
    for edges in (below["log_zmet"], below["dust2"]):  # what is drawn beyond the table is moved to its edge
        edges[..., 0], edges[..., -1] = 0.0, 1.0
    return Reach(cells, below["age"], below["log_zmet"], below["dust2"])


def _cumulative(galaxies: Mapping[str, NDArray], prior: Prior, cells: Cells) -> Arrays:
    """Return the cumulative probabilities of the edges of cells, (n, n_edges), but those of dust2, (n_edges, )."""

    def below(name: str, values: Array, given: Mapping[str, NDArray]) -> Array:
        return cumulative(name, prior.sampling[name], values, given, True, prior.cosmo, prior.scatter).copy()

    return {
        "age": below("age", cells.table.age, galaxies),
        "log_zmet": below("log_zmet", cells.table.log_zmet, galaxies),
        "dust2": below("dust2", cells.dust2, {"redshift": np.zeros(1)})[0],
    }


def _within_reach(
    galaxies: Arrays, log_sfr: Array, reach: Reach, prior: Prior, number: int
) -> tuple[Array, NDArray[np.bool_]]:
    """Return SFRs from which the box can be reached, and which of them were drawn anew for that.

    The distribution is that of the relation times min(1, P / RARE), with P the prior probability of the box at the
    SFR. In the first attempt an SFR is kept with that probability; else it is drawn from it, in cells of sSFR.
    """
    rows = np.arange(len(log_sfr))
    scatter = prior.scatter.log_sfr_quiescent
    keep, where, within = _uniforms(galaxies, prior, 3, number * _PER_ATTEMPT + 1).T
    log_ssfr = log_sfr - galaxies["log_mstar"]
    nodes = reach.cells.table.log_ssfr
    cell = reach.cell_of(log_ssfr)
    weight = np.minimum(reach.probability(rows, cell, 2) / RARE, 1.0).min(axis=1)
    weight[log_ssfr > nodes[-1]] = 0.0
    rejected = np.flatnonzero((keep > weight) | (number > 0))
    if scatter.scale == 0.0 or not len(rejected):
        return log_sfr, np.zeros(len(log_sfr), bool)
    mean = rel.log_sfr_quiescent(galaxies["log_mstar"], galaxies["redshift"]) - galaxies["log_mstar"]
    weights = np.minimum(reach.probability(rejected, 0, len(nodes)) / RARE, 1.0)
    edges = (nodes - mean[rejected, None]) / scatter.scale
    edges[:, 0] = -np.inf
    low, high = edges[:, :-1], edges[:, 1:]
    likely = np.where(low > 0.0, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))
    total = np.cumsum(likely * np.minimum(weights[:, :-1], weights[:, 1:]), axis=1)
    some = total[:, -1] > 0.0
    rejected, total, low, high = (values[some] for values in (rejected, total, low, high))
    chosen = np.argmax(total > where[rejected, None] * total[:, -1:], axis=1)[:, None]
    low, high = (np.take_along_axis(edge, chosen, 1)[:, 0] for edge in (low, high))
    log_sfr = log_sfr.copy()
    log_sfr[rejected] = (
        mean[rejected]
        + scatter.scale * rel.normal_between(low, high, within[rejected])
        + galaxies["log_mstar"][rejected]
    )
    redrawn = np.zeros(len(log_sfr), bool)
    redrawn[rejected] = True
    return log_sfr, redrawn


def _in_cells(rows: NDArray[np.int64], own: Arrays, random: Array, reach: Reach) -> Array:
    """Return cumulative probabilities of age, metallicity and dust2 drawn from the prior within possible cells."""
    cell, _ = reach.draw(rows, own["prop_log_sfr"] - own["log_mstar"], random[:, 0])
    low, high = reach.limits(rows, cell)
    return low + random[:, 1:] * (high - low)


def _nearest_to_box(rows: NDArray[np.int64], galaxies: Arrays, reach: Reach, prior: Prior) -> Arrays:
    """Return the cumulative probabilities of the point of the table nearest to the box, of galaxies."""
    own = _rows(galaxies, rows)
    below = _cumulative(own, prior, reach.cells)
    oldest = np.sum(below["age"] < 1.0, axis=1)  # the first node beyond the oldest age stands for it
    highest = np.minimum(oldest, below["age"].shape[1] - 1)
    corner = reach.nearest(own["prop_log_sfr"] - own["log_mstar"], highest)
    row = np.arange(len(rows))
    start = (below["age"][row, corner[:, 0]], below["log_zmet"][row, corner[:, 1]], below["dust2"][corner[:, 2]])
    return {name: np.clip(uniform, *_START) for name, uniform in zip(_DRAWN, start, strict=True)}


def _try(own: Arrays, at: Array, prior: Prior, engine: Engine, cells: Cells) -> Arrays:
    """Return one try for each row: parameters, whether it is accepted, and how bad it is if not."""
    drawn: dict[str, NDArray] = {name: own[name] for name in ("redshift", "log_mstar")}
    for name, uniform in zip(_DRAWN, at.T, strict=True):
        drawn[name] = draw(name, prior.sampling[name], uniform, drawn, True, prior.cosmo, prior.scatter)
        drawn[_u(name)] = uniform
    within = engine.clip_log_zmet(drawn["log_zmet"])
    drawn["zmet_clipped"], drawn["log_zmet"] = within != drawn["log_zmet"], within
    log_ssfr = own["prop_log_sfr"] - own["log_mstar"]
    mass_fraction = cells.mass_fraction(log_ssfr, drawn["age"], within)
    for _ in range(2):  # from one that is good to a per cent
        drawn["tau"] = solve_tau(drawn["age"], mass_fraction * 10.0 ** (log_ssfr + 9.0), engine.model.sfh)
        derived = engine.derived(drawn["age"], drawn["tau"], within, -4.0, drawn["dust2"], nebular=False)
        mass_fraction = derived.mass_fraction
    drawn["missed_sfr"] = missed_sfr(derived.log_ssfr, log_ssfr)
    drawn["outside"] = outside(derived.uv, derived.vj, prior.box)
    accepted = (drawn["missed_sfr"] == 0.0) & in_box(derived.uv, derived.vj, prior.box)
    return drawn | {"accepted": accepted}
