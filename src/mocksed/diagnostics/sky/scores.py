"""How far a mock is from what was observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """How far a mock is from points or a line.

    Attributes
    ----------
    offset : float
        Median of mock less observed, in the unit of the quantity; NaN without points.
    apart : float
        Median of its absolute value, which is also large where a mock is above at one end and below at the other.
    chi2 : float
        Mean of the squares of these differences over the sum of the squares of both errors; NaN where no point has
        an error, as lines have none.
    points : int
        How many could be compared.

    """

    offset: float = np.nan
    apart: float = np.nan
    chi2: float = np.nan
    points: int = 0


def score(mock: ArrayLike, error: ArrayLike, observed: ArrayLike, down: ArrayLike, up: ArrayLike) -> Score:
    """Return how far a mock is from what was observed.

    Parameters
    ----------
    mock, error : array_like of shape (n, )
        The mock and its standard error; where the mock is NaN it is not compared.
    observed, down, up : array_like of shape (n, )
        What was observed, with its errors downwards and upwards: the one towards the mock counts. An error may be
        infinite; where it is NaN a point has no part in chi2.

    """
    mock, error, observed, down, up = (np.asarray(values, float) for values in (mock, error, observed, down, up))
    difference = mock - observed
    known = np.isfinite(difference)
    with np.errstate(invalid="ignore"):
        squares = difference**2 / (error**2 + np.where(difference < 0.0, down, up) ** 2)
    weighed = squares[known & np.isfinite(squares)]
    return Score(
        offset=float(np.median(difference[known])) if known.any() else np.nan,
        apart=float(np.median(np.abs(difference[known]))) if known.any() else np.nan,
        chi2=float(np.mean(weighed)) if weighed.size else np.nan,
        points=int(np.count_nonzero(known)),
    )


def overall(scores: Sequence[Score]) -> dict[str, float | int]:
    """Return what the scores of several panels come to.

    Returns
    -------
    dict
        ``panels`` with a score; ``offset`` and ``apart``, the medians of theirs, and ``worst``, the offset furthest
        from 0; ``chi2``, the mean over all points; ``points``.

    """
    scores = [one for one in scores if one.points]
    offsets = np.array([one.offset for one in scores])
    weighed = [one for one in scores if np.isfinite(one.chi2)]
    n = sum(one.points for one in weighed)
    return {
        "panels": len(scores),
        "offset": float(np.median(offsets)) if scores else np.nan,
        "apart": float(np.median([one.apart for one in scores])) if scores else np.nan,
        "worst": float(offsets[np.argmax(np.abs(offsets))]) if scores else np.nan,
        "chi2": sum(one.chi2 * one.points for one in weighed) / n if n else np.nan,
        "points": sum(one.points for one in scores),
    }
