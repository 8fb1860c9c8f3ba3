"""Statistics in bins, and the relations that they are held against."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binned_statistic

Array = NDArray[np.float64]
Relation = Callable[[ArrayLike, ArrayLike], Array]
"""The mean of a quantity as a function of x and a second quantity, which broadcast."""

PERCENTILES = {"p16": 16.0, "median": 50.0, "p84": 84.0}

_NODES = 64  # of the mean over a bin: midpoints, good to 1e-4 of the change over the bin for relations with kinks
_LINE_POINTS = 25


def percentiles(values: Array) -> dict[str, float]:
    """Return count, median, 16th and 84th percentile of the finite values; NaN where there are none."""
    finite = values[np.isfinite(values)]
    found = np.percentile(finite, list(PERCENTILES.values())) if finite.size else [np.nan] * len(PERCENTILES)
    return {"count": int(finite.size)} | {name: float(value) for name, value in zip(PERCENTILES, found, strict=True)}


def edges(values: ArrayLike, width: float) -> Array:
    """Return edges at multiples of ``width`` that enclose the finite values; none for no values.

    Returns
    -------
    ndarray of shape (n_bins + 1, ) or (0, )

    """
    values = np.asarray(values, float)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.empty(0)
    low, high = np.floor(finite.min() / width), np.ceil(finite.max() / width)
    return width * np.arange(low, max(high, low + 1) + 1)


def slices(values: Array, bin_edges: Sequence[float] | Array) -> Iterator[tuple[float, float, NDArray[np.bool_]]]:
    """Yield lower edge, upper edge and members of each bin that has any; the last bin includes its upper edge."""
    last = len(bin_edges) - 2
    for i, (low, high) in enumerate(pairwise(bin_edges)):
        inside = (values >= low) & ((values <= high) if i == last else (values < high))
        if inside.any():
            yield float(low), float(high), inside


def statistics(x: Array, y: Array, bin_edges: Array, min_count: int) -> dict[str, Array]:
    """Return statistics of y in bins of x.

    Parameters
    ----------
    x, y : ndarray of shape (n, )
        Pairs in which either is not finite are left out.
    bin_edges : ndarray of shape (n_bins + 1, )
        Increasing edges; the last bin includes its upper edge.
    min_count : int
        Bins with fewer pairs are NaN.

    Returns
    -------
    dict of str to ndarray of shape (n_bins, )
        ``count``; ``x``, the median x; ``median``, ``p16`` and ``p84`` of y.

    """
    n_bins = max(len(bin_edges) - 1, 0)
    finite = np.isfinite(x) & np.isfinite(y)
    if not n_bins or not finite.any():
        missing = {name: np.full(n_bins, np.nan) for name in ("x", *PERCENTILES)}
        return {"count": np.zeros(n_bins, int), **missing}
    x, y = x[finite], y[finite]
    count = binned_statistic(x, x, "count", bin_edges).statistic.astype(int)

    def in_bins(values: Array, percentile: float) -> Array:
        found = binned_statistic(x, values, lambda v: np.percentile(v, percentile), bin_edges).statistic
        return np.where(count >= max(min_count, 1), found, np.nan)

    return {"count": count, "x": in_bins(x, 50.0)} | {name: in_bins(y, q) for name, q in PERCENTILES.items()}


def mean_over_bin(relation: Relation, x: ArrayLike, low: float, high: float) -> Array:
    """Return a relation averaged uniformly in its second argument between ``low`` and ``high``, shape of ``x``."""
    nodes = low + (high - low) * (np.arange(_NODES) + 0.5) / _NODES
    return relation(np.asarray(x, float)[..., None], nodes).mean(axis=-1)


def relation_panels(
    condition: Array,
    x: Array,
    y: Array,
    condition_edges: Sequence[float] | Array,
    x_edges: Array,
    relation: Relation,
    min_count: int,
) -> list[dict[str, Any]]:
    """Return the statistics of y in bins of x, for each bin of a condition, beside the relation.

    Parameters
    ----------
    condition, x, y : ndarray of shape (n, )
        For example redshift, log stellar mass and log SFR.
    condition_edges, x_edges : array-like of shape (n_bins + 1, )
        Increasing edges.
    relation : callable
        Mean of y as a function of (x, condition).
    min_count : int
        Bins with fewer galaxies are NaN.

    Returns
    -------
    list of dict
        For each bin of the condition that holds galaxies, of lists over the bins of x where not said otherwise:

        ``low``, ``high`` : float, the bin of the condition; ``n`` : int, its galaxies;
        ``edges`` : edges of the bins of x; ``count``, ``x`` (median x), ``p16``, ``median``, ``p84`` of y;
        ``relation`` : at the median x, averaged uniformly over the bin of the condition;
        ``residual`` : median less relation;
        ``offset`` : median of y less the relation at the x and condition of each galaxy itself. The residual also
        carries how galaxies are spread over a wide bin, the offset does not;
        ``line_x``, ``line_y`` : the averaged relation as a line over the x of the panel.

    """
    panels = []
    for low, high, inside in slices(condition, condition_edges):
        own_x, own_y = x[inside], y[inside]
        found = statistics(own_x, own_y, x_edges, min_count)
        offset = statistics(own_x, own_y - relation(own_x, condition[inside]), x_edges, min_count)["median"]
        expected = mean_over_bin(relation, found["x"], low, high)
        occupied = np.flatnonzero(found["count"])
        first, last = (x_edges[occupied[0]], x_edges[occupied[-1] + 1]) if occupied.size else (np.nan, np.nan)
        line_x = np.linspace(first, last, _LINE_POINTS)
        arrays = found | {
            "edges": np.asarray(x_edges),
            "relation": expected,
            "residual": found["median"] - expected,
            "offset": offset,
            "line_x": line_x,
            "line_y": mean_over_bin(relation, line_x, low, high),
        }
        panels.append(
            {"low": low, "high": high, "n": int(inside.sum())} | {name: a.tolist() for name, a in arrays.items()}
        )
    return panels
