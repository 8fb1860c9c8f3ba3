"""Statistics in bins, and the relations with which they are compared."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Relation = Callable[..., Array]
"""The mean of a quantity as a function of x, a second quantity and others, which broadcast."""
Realisation = NDArray[np.int_] | None
"""The realisation of each row, None where all are of one."""

PERCENTILES = {"p16": 16.0, "median": 50.0, "p84": 84.0}


def percentiles(values: Array, realisation: Realisation = None) -> dict[str, float]:
    """Return count, median, 16th and 84th percentile of the finite values; NaN where there are none.

    With realisations, of all of them together, and ``median_spread``, see `spread`.
    """
    finite = np.isfinite(values)
    at_percentiles = (
        np.percentile(values[finite], list(PERCENTILES.values())) if finite.any() else [np.nan] * len(PERCENTILES)
    )
    result: dict[str, float] = {"count": int(np.count_nonzero(finite))}
    result |= {name: float(value) for name, value in zip(PERCENTILES, at_percentiles, strict=True)}
    if realisation is not None:
        result["median_spread"] = float(spread(lambda rows: _median(values[rows & finite]), realisation))
    return result


def counts_above(values: Array, bin_edges: Array) -> dict[str, Any]:
    """Return ``counts`` of the finite values in bins, the last of which is open, and how many are ``below`` the first.

    Values are counted, not moved: what is below the first edge would look like a peak in the first bin.
    """
    finite = values[np.isfinite(values)]
    inside = np.minimum(finite[finite >= bin_edges[0]], bin_edges[-1])
    return {"below": len(finite) - len(inside), "counts": np.histogram(inside, bin_edges)[0].tolist()}


def rows_of(realisation: Realisation, rows: NDArray[np.bool_]) -> Realisation:
    """Return the realisations of some rows, None where all are of one."""
    return None if realisation is None else realisation[rows]


def _median(values: Array) -> float:
    return float(np.median(values)) if values.size else np.nan


def spread(statistic: Callable[[NDArray[np.bool_]], ArrayLike], realisation: NDArray[np.int_]) -> Array:
    """Return the standard deviation of a statistic between realisations: the error of that of one of them.

    Percentiles would be no measure of it: between 16 and 84 % of eight values are but 1.6 standard deviations, of two
    0.8, for normal deviates and on average.

    Parameters
    ----------
    statistic : callable
        The statistic, a number or an array, of the rows of a mask.
    realisation : ndarray of shape (n, )
        The realisation of each row.

    Returns
    -------
    ndarray of the shape of the statistic
        NaN where fewer than two realisations have one that is finite.

    """
    of_each = np.array([statistic(realisation == index) for index in np.unique(realisation)], float)
    if not len(of_each):
        return np.asarray(np.nan)
    known = np.isfinite(of_each)
    n, values = known.sum(axis=0), np.where(known, of_each, 0.0)
    deviation = np.where(known, values - values.sum(axis=0) / np.maximum(n, 1), 0.0)
    return np.where(n > 1, np.sqrt(np.sum(deviation**2, axis=0) / np.maximum(n - 1, 1)), np.nan)


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


def statistics(
    x: Array, y: Array, bin_edges: Array, min_count: int, realisation: Realisation = None
) -> dict[str, Array]:
    """Return statistics of y in bins of x.

    Parameters
    ----------
    x, y : ndarray of shape (n, )
        Pairs in which either is not finite are left out.
    bin_edges : ndarray of shape (n_bins + 1, )
        Increasing edges; the last bin includes its upper edge.
    min_count : int
        Bins with fewer pairs are NaN.
    realisation : ndarray of shape (n, ), optional
        The realisation of each pair.

    Returns
    -------
    dict of str to ndarray of shape (n_bins, )
        ``count``; ``x``, the median x; ``median``, ``p16`` and ``p84`` of y. With realisations, of all of them
        together, and ``median_spread``, see `spread`.

    """
    if realisation is not None:
        result = statistics(x, y, bin_edges, min_count)
        medians = spread(lambda rows: _medians(x[rows], y[rows], bin_edges), realisation)
        return result | {"median_spread": np.where(np.isnan(result["median"]), np.nan, medians)}
    n_bins = max(len(bin_edges) - 1, 0)
    finite = np.isfinite(x) & np.isfinite(y)
    if not n_bins or not finite.any():
        missing = {name: np.full(n_bins, np.nan) for name in ("x", *PERCENTILES)}
        return {"count": np.zeros(n_bins, int), **missing}
    x, y = x[finite], y[finite]
    bins = _rows_of_bins(x, bin_edges)

    def in_bins(values: Array, percentile: float) -> Array:
        least = max(min_count, 1)
        return np.array([np.percentile(values[rows], percentile) if len(rows) >= least else np.nan for rows in bins])

    result = {name: in_bins(y, percentile) for name, percentile in PERCENTILES.items()}
    return {"count": np.array([len(rows) for rows in bins]), "x": in_bins(x, 50.0)} | result


def _medians(x: Array, y: Array, bin_edges: Array) -> Array:
    """Return the median y in bins of x, NaN where there is none."""
    finite = np.isfinite(x) & np.isfinite(y)
    if len(bin_edges) < 2 or not finite.any():
        return np.full(max(len(bin_edges) - 1, 0), np.nan)
    return np.array([_median(y[finite][rows]) for rows in _rows_of_bins(x[finite], bin_edges)])


def _rows_of_bins(x: Array, bin_edges: Array) -> list[NDArray[np.intp]]:
    """Return the rows of each bin; the last one holds its upper edge.

    As `scipy.stats.binned_statistic` does, but scipy.stats takes a second of each plot to import.
    """
    bin_of = np.searchsorted(bin_edges, x, side="right") - 1
    bin_of[x == bin_edges[-1]] = len(bin_edges) - 2
    return [np.flatnonzero(bin_of == i) for i in range(len(bin_edges) - 1)]


def crowded(
    values: Array, near: NDArray[np.bool_], bin_edges: Array, share: float, min_count: int
) -> NDArray[np.bool_]:
    """Return which bins have more than a share of their galaxies near a limit of the catalogue.

    Beyond the limit there would be more in the same bin, which the catalogue does not have.

    Parameters
    ----------
    values : ndarray of shape (n, )
        What is binned.
    near : ndarray of bool, shape (n, )
        Which galaxies are near a limit.
    bin_edges : ndarray of shape (n_bins + 1, )
        Increasing edges.
    share : float
        More of a bin than this makes it crowded.
    min_count : int
        Bins with fewer galaxies are not.

    """
    bin_of = np.searchsorted(bin_edges, values, side="right") - 1
    n_bins = max(len(bin_edges) - 1, 0)
    inside = (bin_of >= 0) & (bin_of < n_bins)
    n_all, n_near = (np.bincount(bin_of[rows], minlength=n_bins) for rows in (inside, inside & near))
    return (n_near > share * n_all) & (n_all >= min_count)


def relation_panels(
    condition: Array,
    x: Array,
    y: Array,
    condition_edges: Sequence[float] | Array,
    x_edges: Array,
    relation: Relation,
    min_count: int,
    realisation: Realisation = None,
    others: Sequence[Array] = (),
) -> list[dict[str, Any]]:
    """Return the statistics of y in bins of x, for each bin of a condition, beside the relation.

    Parameters
    ----------
    condition, x, y : ndarray of shape (n, )
        For example redshift, log stellar mass and log SFR.
    condition_edges, x_edges : array-like of shape (n_bins + 1, )
        Increasing edges.
    relation : callable
        Mean of y as a function of ``(x, condition, *others)``.
    min_count : int
        Bins with fewer galaxies are NaN.
    realisation : ndarray of shape (n, ), optional
        The realisation of each galaxy.
    others : sequence of ndarray of shape (n, )
        Further arguments of the relation.

    Returns
    -------
    list of dict
        For each bin of the condition that holds galaxies, of lists over the bins of x where not said otherwise:

        ``low``, ``high`` : float, the bin of the condition; ``n`` : int, its galaxies;
        ``edges`` : edges of the bins of x; ``count``, ``x`` (median x), ``p16``, ``median``, ``p84`` of y;
        ``relation`` : its median at the arguments of the galaxies of the bin, so that it is comparable with theirs
        however they are spread over the bin;
        ``residual`` : median less relation;
        ``offset`` : median of y less the relation of each galaxy;
        ``line_x``, ``line_y`` : median x and relation in all bins with galaxies, also where these are few.

        With realisations all that is of them together, and there are ``median_spread`` and ``offset_spread``, see
        `spread`, and ``realisations`` : int, how many there are.

    """
    panels = []
    for low, high, inside in slices(condition, condition_edges):
        x_inside, y_inside, members = x[inside], y[inside], rows_of(realisation, inside)
        means = relation(x_inside, condition[inside], *(values[inside] for values in others))
        of_y = statistics(x_inside, y_inside, x_edges, min_count, members)
        offset = statistics(x_inside, y_inside - means, x_edges, min_count, members)
        line = statistics(x_inside, np.where(np.isfinite(y_inside), means, np.nan), x_edges, min_count=1)
        expected = np.where(np.isfinite(of_y["median"]), line["median"], np.nan)
        occupied = np.isfinite(line["median"])
        arrays = of_y | {
            "edges": np.asarray(x_edges),
            "relation": expected,
            "residual": of_y["median"] - expected,
            "offset": offset["median"],
            "line_x": line["x"][occupied],
            "line_y": line["median"][occupied],
        }
        numbers = {"low": low, "high": high, "n": int(inside.sum())}
        if realisation is not None:
            arrays["offset_spread"] = offset["median_spread"]
            numbers["realisations"] = len(np.unique(realisation))
        panels.append(numbers | {name: a.tolist() for name, a in arrays.items()})
    return panels
