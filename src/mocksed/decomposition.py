"""The search cut in two ways, into galaxies and into tree shards, and put together again exactly.

A job finds the nearest allowed points of one tree shard for one shard of galaxies; the nearest of all are among those.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mocksed import realisations
from mocksed.errors import UserError

_BLOCK = 100_000  # galaxies merged at once


class Found(NamedTuple):
    """What a search found, see `mocksed.kdtree.KDTree.nearest_allowed`.

    Attributes
    ----------
    rows, distance : ndarrays of shape (n, k)
        Rows of the whole parent catalogue, ordered by (distance, row). Where there are fewer points than k, the last
        one is repeated.
    found : ndarray of shape (n, )
        False where no point is allowed: rows are then the youngest point.

    """

    rows: NDArray[np.int64]
    distance: NDArray[np.float64]
    found: NDArray[np.bool_]


def merge(parts: Sequence[Found], youngest_age: Sequence[float], k: int) -> Found:
    """Return what a search of all tree shards together would have found.

    Parameters
    ----------
    parts : sequence of Found
        Of the same galaxies, one for each tree shard, in the order of their rows.
    youngest_age : sequence of float
        Age of the youngest point of each tree shard.
    k : int
        Number of neighbours that were asked for.

    """
    n = len(parts[0].found)
    width = min(k, sum(part.rows.shape[1] for part in parts))
    rows, distance = np.empty((n, width), np.int64), np.empty((n, width))
    found = np.any([part.found for part in parts], axis=0)
    for start in range(0, n, _BLOCK):
        block = slice(start, start + _BLOCK)
        of_block = [Found(part.rows[block], part.distance[block], part.found[block]) for part in parts]
        rows[block], distance[block] = _merge_block(of_block, width)
    youngest = parts[int(np.argmin(youngest_age))]
    rows[~found], distance[~found] = youngest.rows[~found, :1], youngest.distance[~found, :1]
    return Found(rows, distance, found)


def merge_columns(parts: Sequence[Mapping[str, NDArray]], youngest_age: Sequence[float], k: int) -> dict[str, NDArray]:
    """Return the columns of a file of neighbours from those of the tree shards; see `merge`.

    Raises
    ------
    UserError
        If they are not of the same galaxies.

    """
    keys = realisations.keys(parts[0])
    if any(not np.array_equal(part.get(name, []), keys[name]) for part in parts for name in keys):
        raise UserError("the tree shards were searched for other galaxies. Remove neighbours/parts/ and run again.")
    merged = merge([Found(*(part[name] for name in _COLUMNS)) for part in parts], youngest_age, k)
    return dict(parts[0]) | dict(zip(_COLUMNS, merged, strict=True))


_COLUMNS = ("neighbour_index", "neighbour_distance", "neighbour_found")


def _merge_block(parts: Sequence[Found], width: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return rows and distances of the nearest points; of no meaning where none were found."""
    rows = np.concatenate([part.rows for part in parts], axis=1)
    distance = np.concatenate([np.where(_are_points(part), part.distance, np.inf) for part in parts], axis=1)
    nearest = np.lexsort((rows, distance))
    last = np.count_nonzero(distance < np.inf, axis=1, keepdims=True) - 1
    chosen = np.take_along_axis(nearest, np.clip(np.arange(width), 0, np.maximum(last, 0)), 1)
    return np.take_along_axis(rows, chosen, 1), np.take_along_axis(distance, chosen, 1)


def _are_points(part: Found) -> NDArray[np.bool_]:
    """Return which entries are points of their own: neither repeated nor in the place of none."""
    repeated = np.zeros(part.rows.shape, bool)
    repeated[:, 1:] = part.rows[:, 1:] == part.rows[:, :-1]
    return part.found[:, None] & ~repeated
