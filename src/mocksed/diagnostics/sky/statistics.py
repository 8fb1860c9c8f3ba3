"""What is measured of a mock in bins: numbers per volume or area, medians and shares, with their errors.

Each function returns a `Statistic`, which measures some of the galaxies in bins given by their middles and widths. So
the same quantity is had where the points of a paper are, on a grid for a plot, and of each realisation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mocksed.diagnostics import bins
from mocksed.diagnostics.sky.mock import Mock

Array = NDArray[np.float64]
Rows = NDArray[np.bool_]


class Measured(NamedTuple):
    """Values in bins, their standard errors, and the galaxies of one realisation that they are of.

    Values of bins with few galaxies are NaN (`Mock.min_count`).
    """

    value: Array
    error: Array
    n: Array


Statistic = Callable[[Array, Array, Rows], Measured]


def log_density(mock: Mock, values: Array, volume: float, variance: float) -> Statistic:
    """Return log10 of the number of galaxies per volume, or area, and width of a bin.

    Parameters
    ----------
    mock : Mock
        The galaxies.
    values : ndarray of shape (n, )
        What is binned.
    volume : float
        Of the mock.
    variance : float
        Relative cosmic variance, which the error has beside Poisson noise.

    """

    def measure(x: Array, width: Array, rows: Rows) -> Measured:
        ordered = np.sort(values[rows & np.isfinite(values)])
        low, high = (np.searchsorted(ordered, x + sign * width / 2.0) for sign in (-1.0, 1.0))
        n = (high - low) / _realisations(mock, rows)
        return _logarithm(mock, n, n * mock.weight / (volume * width), n, variance)

    return measure


def log_counts_above(mock: Mock, values: Array, area: float, variance: float) -> Statistic:
    """Return log10 of the number of galaxies per area that are above a value; the width of bins has no meaning."""

    def measure(x: Array, width: Array, rows: Rows) -> Measured:
        ordered = np.sort(values[rows & np.isfinite(values)])
        n = (len(ordered) - np.searchsorted(ordered, x)) / _realisations(mock, rows)
        return _logarithm(mock, n, n * mock.weight / area, n, variance)

    return measure


def log_sum_density(mock: Mock, redshift: Array, values: Array) -> Statistic:
    """Return log10 of the sum of a quantity per volume, in bins of redshift that reach as far as the mock does.

    The error is that of a sum of ``values`` over a Poisson process, with cosmic variance.
    """

    def measure(x: Array, width: Array, rows: Rows) -> Measured:
        found = []
        for middle, wide in zip(x, width, strict=True):
            low, high = max(middle - wide / 2.0, mock.redshift[0]), min(middle + wide / 2.0, mock.redshift[1])
            inside = values[rows & np.isfinite(values) & (redshift >= low) & (redshift < high)]
            n_real = _realisations(mock, rows)
            total, squares = inside.sum() / n_real, np.sum(inside**2) / n_real
            if high <= low or not total:
                found.append((np.nan, np.nan, 0.0, np.nan))
                continue
            slab = mock.between(low, high)
            found.append((
                total * mock.weight / slab.volume(), total**2 / squares, len(inside) / n_real,
                slab.cosmic_variance(),
            ))  # fmt: skip
        density, effective, n, variance = np.array(found).reshape(-1, 4).T
        return _logarithm(mock, n, density, effective, variance)

    return measure


def median(mock: Mock, by: Array, values: Array) -> Statistic:
    """Return the median of a quantity in bins of another one, with the error of that of normal deviates."""

    def of_bin(inside: Array) -> tuple[float, float]:
        low, middle, high = np.percentile(inside, [16.0, 50.0, 84.0])
        return float(middle), float(np.sqrt(np.pi / 2.0) * (high - low) / 2.0)

    return _of_bins(mock, by, values, of_bin)


def share(mock: Mock, by: Array, chosen: NDArray[np.bool_]) -> Statistic:
    """Return the share of galaxies that are chosen, in bins of a quantity."""

    def of_bin(inside: Array) -> tuple[float, float]:
        p = float(inside.mean())
        # with one galaxy more of each kind, without which none of 100 would be none with certainty
        near = (inside.sum() + 1.0) / (len(inside) + 2.0)
        return p, float(np.sqrt(near * (1.0 - near)))

    return _of_bins(mock, by, chosen.astype(float), of_bin)


def spread(mock: Mock, statistic: Statistic, x: Array, width: Array) -> Array | None:
    """Return how far a statistic scatters between realisations, None where there is one alone."""
    if mock.realisation is None:
        return None
    return bins.spread(lambda rows: statistic(x, width, rows).value, mock.realisation)


def _of_bins(mock: Mock, by: Array, values: Array, of_bin: Callable[[Array], tuple[float, float]]) -> Statistic:
    def measure(x: Array, width: Array, rows: Rows) -> Measured:
        known = rows & np.isfinite(by) & np.isfinite(values)
        order = np.argsort(by[known])
        ordered, of_them = by[known][order], values[known][order]
        low, high = (np.searchsorted(ordered, x + sign * width / 2.0) for sign in (-1.0, 1.0))
        n = (high - low) / _realisations(mock, rows)
        enough = n >= max(mock.min_count, 1)
        found = [
            of_bin(of_them[first:last]) if ok else (np.nan, np.nan)
            for first, last, ok in zip(low, high, enough, strict=True)
        ]
        value, scatter = np.array(found).reshape(-1, 2).T
        return Measured(value, scatter / np.sqrt(np.maximum(n, 1.0)), n)

    return measure


def _logarithm(mock: Mock, n: Array, density: Array, effective: Array, variance: Array | float) -> Measured:
    enough = n >= max(mock.min_count, 1)
    value = np.where(enough, np.log10(np.where(enough, density, 1.0)), np.nan)
    error = np.sqrt(1.0 / np.where(enough, effective, 1.0) + np.asarray(variance) ** 2) / np.log(10.0)
    return Measured(value, np.where(enough, error, np.nan), np.asarray(n, float))


def _realisations(mock: Mock, rows: Rows) -> int:
    """Return the number of realisations that some rows are of: of all, or of one."""
    return mock.n_realisations if rows.all() else 1
