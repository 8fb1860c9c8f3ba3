"""A k-d tree of points with ages, for the nearest points that are young enough.

Each galaxy has an age limit of its own, which the trees of other libraries do not support: a search among all points
would have to be widened until enough of them are allowed, without end for a galaxy far from every allowed point. Here a
branch without points young enough is not entered. ``benchmarks/search.txt`` compares.

The tree is an array that can be written and mapped, so that all processes of a node share one. It is a sequence of
leaves of `LEAF` points each, in an order in which points that are close in space are close in the array: split at a
median, the halves again, and so on. The boxes around the leaves, around `FANOUT` leaves each, around `FANOUT` of those,
..., are the tree; to compute them takes as long as to read the points.

A search goes on where one of another tree ended (`Nearest`), so that trees of parts of the points find what one of all
would. Points carry a payload, which is returned with those that were found.

All comparisons are between numbers computed in the same way in double precision. As rounding keeps order, no point of a
box is ever closer than the box: the result is exact, to the last bit, and does not depend on the shape of the tree.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mocksed.compiled import get_num_threads
from mocksed.search import kdtree_kernels as kernels
from mocksed.search.kdtree_kernels import FANOUT, LEAF

Array = NDArray[np.float64]
Rows = NDArray[np.uint32]

_PARTS = 256  # into which the points are split before threads work on them: the same for any number of threads
_MAX_ROWS = 1 << 32


class Nearest(NamedTuple):
    """The points nearest to targets so far, in arrays that a search changes.

    Attributes
    ----------
    rows : ndarray of uint32 of shape (n, k)
        Rows of the points, ordered by (distance, row); of no meaning beyond ``n_found``.
    distance : ndarray of shape (n, k)
        Their distances, those of the coordinates in double precision.
    place : ndarray of uint32 of shape (n, k)
        Where they are among the leaves of their tree.
    n_found : ndarray of shape (n, )
        How many were found.

    """

    rows: NDArray[np.uint32]
    distance: Array
    place: NDArray[np.uint32]
    n_found: NDArray[np.int64]

    @classmethod
    def none(cls, n: int, k: int) -> Nearest:
        """Return what is known of ``n`` targets before a search for ``k`` points."""
        return cls(np.zeros((n, k), np.uint32), np.zeros((n, k)), np.zeros((n, k), np.uint32), np.zeros(n, np.int64))

    def take(self, targets: NDArray) -> Nearest:
        """Return what was found for some of the targets, or for all in another order."""
        return Nearest(*(values[targets] for values in self))


class Boxes(NamedTuple):
    """The boxes of all levels, from that of the leaves to the root.

    Attributes
    ----------
    low, high : ndarrays of shape (n_group, n_quantity, FANOUT)
        Corners of the boxes, grouped by the box that they are in.
    youngest : ndarray of shape (n_group, FANOUT)
        Lowest age in each box [Gyr]; NaN, which is below no limit, where a group has fewer.
    start : ndarray of shape (n_level + 1, )
        First group of each level.

    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    youngest: NDArray[np.float32]
    start: NDArray[np.int64]


def order(points: NDArray[np.float32]) -> Rows:
    """Return the rows of points in the order of a tree.

    Parameters
    ----------
    points : ndarray of shape (n, n_quantity)
        Coordinates.

    Returns
    -------
    ndarray of shape (n, )
        Rows; the same for any number of threads.

    Raises
    ------
    ValueError
        If there are more than 2^32 points, or one is not finite.

    """
    if len(points) > _MAX_ROWS:
        raise ValueError(f"{len(points)} points: a tree holds at most {_MAX_ROWS}")
    points = _read_only(np.ascontiguousarray(points, np.float32))
    if not kernels.all_finite(points):
        raise ValueError("the coordinates of a point are not finite")
    rows, key = np.arange(len(points), dtype=np.uint32), np.empty(len(points), np.float32)
    bounds = np.array([0, len(points)])
    while len(bounds) <= _PARTS and np.diff(bounds).max() > LEAF:
        bounds = kernels.split_parts(points, rows, key, bounds, get_num_threads())
    kernels.order_parts(points, rows, key, bounds, get_num_threads())
    return rows


def leaves(
    points: NDArray[np.float32], age: NDArray, payload: NDArray[np.float32], rows: Rows, first: int = 0
) -> NDArray[np.float32]:
    """Return leaves of a tree, filled with points in the order given.

    Parameters
    ----------
    points : ndarray of shape (n, n_quantity)
        Coordinates.
    age : ndarray of shape (n, )
        Ages [Gyr], kept in single precision.
    payload : ndarray of shape (n, n_payload)
        What is wanted of a point that is found, beside its age.
    rows : ndarray of shape (m, )
        Rows of the points, in the order of the tree. Unless they are its last, m is a multiple of `LEAF`.
    first : int
        What row 0 is called. Ties in distance are in the order of the rows.

    Returns
    -------
    ndarray of shape (n_leaf, n_quantity + 2 + n_payload, LEAF)
        Coordinates, ages, the bits of the rows as uint32, and payload. NaN fills the last leaf.

    Raises
    ------
    ValueError
        If a row is called more than 2^32, or an age is not a number.

    """
    if first + len(points) > _MAX_ROWS:
        raise ValueError(f"rows {first} to {first + len(points)}: a tree knows {_MAX_ROWS}")
    n_quantity, n_payload = points.shape[1], payload.shape[1]
    packed = np.full((-(-len(rows) // LEAF), n_quantity + 2 + n_payload, LEAF), np.nan, np.float32)
    points, payload = (_read_only(np.ascontiguousarray(values, np.float32)) for values in (points, payload))
    kernels.fill(packed, packed.view(np.uint32), points, _read_only(np.asarray(age, np.float32)), payload, rows, first)
    if np.count_nonzero(np.isnan(packed[:, n_quantity])) > len(packed) * LEAF - len(rows):
        raise ValueError("the age of a point is not a number")
    return packed


class KDTree:
    """Search among the points of leaves.

    Parameters
    ----------
    leaves : ndarray of shape (n_leaf, n_quantity + 2 + n_payload, LEAF)
        The points (see `leaves`), which may be memory-mapped: no copy is made. Also an attribute.
    n_quantity : int
        Number of coordinates. Also an attribute, as is the number of points, ``n_points``.

    Raises
    ------
    ValueError
        If there are none.

    """

    def __init__(self, leaves: NDArray[np.float32], n_quantity: int) -> None:
        if len(leaves) == 0:
            raise ValueError("a tree without points")
        self.n_quantity = n_quantity
        self.n_points = len(leaves) * LEAF - int(np.count_nonzero(np.isnan(leaves[-1, n_quantity])))
        self.leaves, self._leaf_rows = _read_only(leaves), _read_only(leaves.view(np.uint32))
        self._file = _mapped_file(leaves)
        n_groups = [-(-len(leaves) // FANOUT)]  # of each level
        while n_groups[-1] > 1:
            n_groups.append(-(-n_groups[-1] // FANOUT))
        start = np.cumsum([0, *n_groups])
        shape = (start[-1], n_quantity, FANOUT)
        self._boxes = Boxes(
            np.full(shape, np.inf, np.float32),
            np.full(shape, -np.inf, np.float32),
            np.full((start[-1], FANOUT), np.nan, np.float32),
            start,
        )
        kernels.bound_leaves(self.leaves, *self._boxes[:3])
        for level in range(1, len(n_groups)):
            kernels.bound_groups(*self._boxes, level)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out memory-mapped leaves: the process that loads the tree maps them again."""
        state = self.__dict__ | {"_leaf_rows": None}
        return state | {"leaves": None} if self._file else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._file:
            path, offset, shape = self._file
            self.leaves = _read_only(np.memmap(path, np.float32, "r", offset, shape))
        self._leaf_rows = self.leaves.view(np.uint32)

    @classmethod
    def of(cls, points: NDArray[np.float32], age: NDArray, payload: NDArray[np.float32] | None = None) -> KDTree:
        """Return the tree of points, shape (n, n_quantity), with ages [Gyr], shape (n, ), and payload."""
        carried = np.empty((len(points), 0), np.float32) if payload is None else payload
        return cls(leaves(points, age, carried, order(points)), points.shape[1])

    def search(self, targets: NDArray[np.float32], age_max: Array, nearest: Nearest) -> None:
        """Look for points that are nearer than those found so far and not older than the limit of each target.

        Targets that follow on each other should be near each other (see `order`): they find the same leaves still in
        the cache.

        Parameters
        ----------
        targets : ndarray of shape (n, n_quantity)
            Coordinates of what is asked.
        age_max : ndarray of shape (n, )
            Oldest age allowed [Gyr].
        nearest : Nearest
            The points found so far, of which those of other trees have other rows; changed.

        """
        targets, age_max = np.ascontiguousarray(targets, np.float32), np.ascontiguousarray(age_max, np.float64)
        kernels.search(self.leaves, self._leaf_rows, *self._boxes, targets, age_max, *nearest, get_num_threads())

    def carried(self, place: NDArray[np.uint32]) -> NDArray[np.float32]:
        """Return coordinates, age and payload of points, shape (..., n_quantity + 1 + n_payload), by their places."""
        out = np.empty((place.size, self.leaves.shape[1] - 1), np.float32)
        kernels.carry(self.leaves, place.reshape(-1), self.n_quantity, out)
        return out.reshape(*place.shape, out.shape[1])

    def release(self) -> None:
        """Release the memory of mapped leaves, which remain in the page cache of the node."""
        mapping: Any = self.leaves
        while mapping is not None and not isinstance(mapping, mmap.mmap):
            mapping = getattr(mapping, "base", None)
        if mapping is not None:
            mapping.madvise(mmap.MADV_DONTNEED)

    def youngest(self) -> tuple[float, int, int]:
        """Return the age of the youngest point [Gyr], its row and its place; of several the first."""
        age = self._boxes.youngest[: self._boxes.start[1]].ravel()[: len(self.leaves)]
        among = np.flatnonzero(age == age.min())
        leaf, i = np.nonzero(self.leaves[among, self.n_quantity] == age.min())
        first = np.argmin(self._leaf_rows[among[leaf], self.n_quantity + 1, i])
        leaf, i = among[leaf[first]], i[first]
        return float(age.min()), int(self._leaf_rows[leaf, self.n_quantity + 1, i]), int(leaf) * LEAF + int(i)


def find(trees: Sequence[KDTree], targets: NDArray[np.float32], k: int, age_max: Array) -> Nearest:
    """Return the ``k`` points of all trees that are nearest to targets and not older than their limits."""
    nearest = Nearest.none(len(targets), k)
    for tree in trees:
        tree.search(targets, age_max, nearest)
        if len(trees) > 1:
            tree.release()
    return nearest


def _mapped_file(array: NDArray) -> tuple[str, int, tuple[int, ...]] | None:
    """Return path, offset and shape of an array that is the whole of a mapping, None for others."""
    if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap):
        return str(array.filename), array.offset, array.shape
    return None


def _read_only(array: NDArray) -> NDArray:
    """Return a view: what is mapped cannot be written to, and the kernels are compiled for one kind of array."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
