"""A panel of the card: what a mock has in bins, beside what was observed, and how far they are apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.diagnostics.sky.mock import Mock
from mocksed.diagnostics.sky.scores import Score, score
from mocksed.diagnostics.sky.statistics import Statistic, spread
from mocksed.sky.laws import LAWS
from mocksed.sky.observed import Observed

Array = NDArray[np.float64]

_WIDEST = 0.6  # of bins of points, where a paper has gaps [mag or dex]


@dataclass(frozen=True)
class Reference:
    """What a paper has in a panel.

    Attributes
    ----------
    label : str
        The paper.
    x, y : ndarray of shape (n, )
        Its points, or a line.
    down, up : ndarray of shape (n, )
        Errors of y, NaN where there are none.
    width : ndarray of shape (n, )
        Of the bins in x.
    line : bool
        Whether it is a function.

    """

    label: str
    x: Array
    y: Array
    down: Array
    up: Array
    width: Array
    line: bool = False


@dataclass(frozen=True)
class Panel:
    """What is shown, and said in the summary; `why` it is empty, if it is.

    ``x``, ``y``, ``error``, ``n`` and, of several realisations, ``spread`` are the mock on the grid of the panel,
    ``limits`` the x between which it is complete. Each of ``references`` goes with the ``compared`` mock at its x, of
    which no more than what is complete, and its ``score``; ``score`` is that of all of them.
    """

    title: str
    why: str = ""
    x: Array = field(default_factory=lambda: np.empty(0))
    y: Array = field(default_factory=lambda: np.empty(0))
    error: Array = field(default_factory=lambda: np.empty(0))
    n: Array = field(default_factory=lambda: np.empty(0))
    spread: Array | None = None
    limits: tuple[float, float] = (-np.inf, np.inf)
    references: tuple[Reference, ...] = ()
    compared: tuple[Array, ...] = ()
    scores: tuple[Score, ...] = ()
    score: Score = field(default_factory=Score)

    def numbers(self) -> dict[str, Any]:
        """Return what the summary says of it."""
        if self.why:
            return {"bin": self.title, "why": self.why}
        papers = [
            {"paper": one.label, "x": one.x, "observed": one.y, "mock": mock} | vars(own)
            for one, mock, own in zip(self.references, self.compared, self.scores, strict=True)
        ]
        mock = {"x": self.x, "y": self.y, "error": self.error, "n": self.n}
        mock |= {} if self.spread is None else {"spread": self.spread}
        return {"bin": self.title, "complete": self.limits, "mock": mock, "papers": papers} | vars(self.score)


def compare(
    title: str,
    mock: Mock,
    statistic: Statistic,
    edges: Array,
    references: Sequence[Reference],
    complete: tuple[float, float] = (-np.inf, np.inf),
) -> Panel:
    """Return the panel of a statistic beside what was observed.

    Parameters
    ----------
    title : str
        What is written above it.
    mock : Mock
        The galaxies that the statistic is of.
    statistic : callable
        See `mocksed.diagnostics.sky.statistics`.
    edges : ndarray of shape (n_bins + 1, )
        Of the grid that is drawn.
    references : sequence of Reference
        What was observed.
    complete : tuple of float
        Between which x the mock is complete: only bins that are wholly within are compared.

    """
    if not references:
        return Panel(title, why="no table has this bin")
    x, width, everything = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges), np.ones(len(mock["redshift"]), bool)
    found = statistic(x, width, everything)
    compared, errors, scores = [], [], []
    for one in references:
        at = statistic(one.x, one.width, everything)
        inside = (one.x - one.width / 2.0 >= complete[0] - 1e-9) & (one.x + one.width / 2.0 <= complete[1] + 1e-9)
        compared.append(np.where(inside, at.value, np.nan))
        errors.append(at.error)
        scores.append(score(compared[-1], at.error, one.y, one.down, one.up))
    if not np.isfinite(found.value).any() and not any(one.points for one in scores):
        return Panel(title, why=f"less than {mock.min_count} galaxies in each bin")
    together = (np.concatenate([getattr(one, name) for one in references]) for name in ("y", "down", "up"))
    return Panel(
        title=title, x=x, y=found.value, error=found.error, n=found.n, spread=spread(mock, statistic, x, width),
        limits=complete, references=tuple(references), compared=tuple(compared), scores=tuple(scores),
        score=score(np.concatenate(compared), np.concatenate(errors), *together),
    )  # fmt: skip


def complete_between(cut: NDArray[np.bool_], edges: Array, faint_is_low: bool) -> tuple[float, float]:
    """Return the x between which no bin is cut: from the first one that is on, towards the faint, all are taken to be.

    Bins of few galaxies say nothing, so that what is beyond a bin that is cut counts as cut.
    """
    if not cut.any():
        return -np.inf, np.inf
    where = np.flatnonzero(cut)
    return (float(edges[where[-1] + 1]), np.inf) if faint_is_low else (-np.inf, float(edges[where[0]]))


def points(
    data: Observed, x: str, y: str, low: float, high: float, width: float | None = None, **chosen: Any
) -> list[Reference]:
    """Return the points of a paper between two redshifts, a list of one or none.

    Parameters
    ----------
    data : Observed
        Of points.
    x, y : str
        Columns.
    low, high : float
        Limits of the middles of its bins in redshift.
    width : float, optional
        Of its bins in x; otherwise the column ``half_width`` says it, or the distance between its points.
    **chosen
        Values of columns that choose rows.

    """
    table = data.table[(data.table["redshift"] >= low) & (data.table["redshift"] < high)]
    for column, value in chosen.items():
        table = table[table[column] == value]
    if "upper_limit" in table.colnames:
        table = table[~np.asarray(table["upper_limit"], bool)]
    if not len(table):
        return []
    at, value, down, up = (np.asarray(table[name], float) for name in (x, y, "err_down", "err_up"))
    if width is None and "half_width" in table.colnames:
        wide = 2.0 * np.asarray(table["half_width"], float)
    elif width is None:
        steps = np.diff(np.unique(at.round(3)))
        wide = np.full(len(at), min(float(np.median(steps)) if steps.size else _WIDEST, _WIDEST))
    else:
        wide = np.full(len(at), width)
    return [Reference(data.label, at, value, down, up, wide)]


def law(
    data: Observed,
    x: Array,
    width: float | Array,
    low: float,
    high: float,
    then: Callable[[Array], ArrayLike] = np.asarray,
    name: str = "",
    **chosen: Any,
) -> list[Reference]:
    """Return the function of a paper at the middle of a bin in redshift, a list of one or none.

    Parameters
    ----------
    data : Observed
        Of one of `mocksed.sky.laws.LAWS`.
    x : ndarray of shape (n, )
        Where it is to be had; of these, those where the paper says that it holds.
    width : float or ndarray of shape (n, )
        Of the bins in x.
    low, high : float
        The bin in redshift. The middle of one of the paper's bins must be in it, unless the function evolves.
    then : callable
        What is made of its values.
    name : str
        What is added to the paper in the legend.
    **chosen
        Values of columns that choose a row.

    """
    middle = 0.5 * (low + high)
    if LAWS[data.kind].evolves or "anchor" in data.table.colnames or len(data.table) == 1:
        known = data.redshift[0] <= middle <= data.redshift[1] or low <= data.redshift[0] < high
    else:
        rows = data.rows(middle, **chosen)
        known = len(rows) == 1 and low <= rows["redshift"][0] < high
    inside = (x >= data.range[0]) & (x <= data.range[1])
    x, width = x[inside], np.broadcast_to(width, x.shape)[inside]
    if not known or not len(x):
        return []
    none = np.full(len(x), np.nan)
    at = np.clip(middle, *data.redshift)
    value = np.asarray(then(data.value(x, float(at), **chosen)), float)
    return [Reference(data.label + name, x, value, none, none, width, line=True)]
