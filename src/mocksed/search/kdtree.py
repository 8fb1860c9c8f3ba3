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

from mocksed.compiled import get_num_threads, njit, prange

Array = NDArray[np.float64]
Rows = NDArray[np.uint32]

LEAF = 32
"""Points of a leaf."""
FANOUT = 8
"""Boxes in a box."""

_PARTS = 256  # into which the points are split before threads work on them: the same for any number of threads
_TARGETS = 64  # searched by one thread at a time, neighbours of each other
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
    if not _all_finite(points):
        raise ValueError("the coordinates of a point are not finite")
    rows, key = np.arange(len(points), dtype=np.uint32), np.empty(len(points), np.float32)
    bounds = np.array([0, len(points)])
    while len(bounds) <= _PARTS and np.diff(bounds).max() > LEAF:
        bounds = _split_parts(points, rows, key, bounds, get_num_threads())
    _order_parts(points, rows, key, bounds, get_num_threads())
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
    _fill(packed, packed.view(np.uint32), points, _read_only(np.asarray(age, np.float32)), payload, rows, first)
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
        _bound_leaves(self.leaves, *self._boxes[:3])
        for level in range(1, len(n_groups)):
            _bound_groups(*self._boxes, level)

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
        _search(self.leaves, self._leaf_rows, *self._boxes, targets, age_max, *nearest, get_num_threads())

    def carried(self, place: NDArray[np.uint32]) -> NDArray[np.float32]:
        """Return coordinates, age and payload of points, shape (..., n_quantity + 1 + n_payload), by their places."""
        out = np.empty((place.size, self.leaves.shape[1] - 1), np.float32)
        _carry(self.leaves, place.reshape(-1), self.n_quantity, out)
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


@njit(parallel=True)
def _all_finite(points):  # type: ignore[no-untyped-def]
    n_not_finite = 0
    for row in prange(len(points)):
        for q in range(points.shape[1]):
            n_not_finite += not np.isfinite(points[row, q])
    return n_not_finite == 0


@njit()
def _widest_axis(points, rows):  # type: ignore[no-untyped-def]
    n_quantity = points.shape[1]
    low, high = np.full(n_quantity, np.inf, np.float32), np.full(n_quantity, -np.inf, np.float32)
    for row in rows:
        for q in range(n_quantity):
            low[q], high[q] = min(low[q], points[row, q]), max(high[q], points[row, q])
    return np.argmax(high - low)


@njit()
def _select(key, rows, n_low):  # type: ignore[no-untyped-def]
    """Bring the ``n_low`` lowest keys, and the rows that go with them, to the front (Hoare 1961)."""
    first, last = 0, len(key) - 1
    while first < last:
        a, b, c = key[first], key[(first + last) // 2], key[last]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = first, last
        while i <= j:
            while key[i] < pivot:
                i += 1
            while key[j] > pivot:
                j -= 1
            if i <= j:
                key[i], key[j] = key[j], key[i]
                rows[i], rows[j] = rows[j], rows[i]
                i += 1
                j -= 1
        if n_low <= j:
            last = j
        elif n_low >= i:
            first = i
        else:
            return


@njit()
def _split(points, rows, key):  # type: ignore[no-untyped-def]
    """Split points across the axis along which they reach furthest; return the size of the lower part.

    It is a number of leaves, a power of two: so boxes of `FANOUT` boxes are branches of a binary tree.
    """
    axis = _widest_axis(points, rows)
    for i, row in enumerate(rows):
        key[i] = points[row, axis]
    n_low = LEAF
    while 2 * n_low < len(rows):
        n_low *= 2
    _select(key, rows, n_low)
    return n_low


@njit(parallel=True)
def _split_parts(points, rows, key, bounds, n_thread):  # type: ignore[no-untyped-def]
    """Split each part in two; return the bounds of all."""
    middle = bounds[:-1].copy()
    for thread in prange(n_thread):
        for part in range(thread, len(middle), n_thread):
            start, stop = bounds[part], bounds[part + 1]
            if stop - start > LEAF:
                middle[part] = start + _split(points, rows[start:stop], key[start:stop])
    return np.unique(np.concatenate((bounds, middle)))


@njit(parallel=True)
def _order_parts(points, rows, key, bounds, n_thread):  # type: ignore[no-untyped-def]
    """Split each part until leaves are left."""
    for thread in prange(n_thread):
        for part in range(thread, len(bounds) - 1, n_thread):
            stack = [(bounds[part], bounds[part + 1])]
            while len(stack) > 0:
                start, stop = stack.pop()
                if stop - start > LEAF:
                    middle = start + _split(points, rows[start:stop], key[start:stop])
                    stack.append((start, middle))
                    stack.append((middle, stop))


@njit(parallel=True)
def _fill(leaves, leaf_rows, points, age, payload, rows, first):  # type: ignore[no-untyped-def]
    n_quantity = points.shape[1]
    for leaf in prange(len(leaves)):
        for i, row in enumerate(rows[leaf * LEAF : (leaf + 1) * LEAF]):
            for q in range(n_quantity):
                leaves[leaf, q, i] = points[row, q]
            leaves[leaf, n_quantity, i] = age[row]
            leaf_rows[leaf, n_quantity + 1, i] = first + row
            for q in range(payload.shape[1]):
                leaves[leaf, n_quantity + 2 + q, i] = payload[row, q]


@njit(parallel=True)
def _carry(leaves, place, n_quantity, out):  # type: ignore[no-untyped-def]
    for p in prange(len(place)):
        leaf, i = place[p] // np.uint32(LEAF), place[p] % np.uint32(LEAF)
        for q in range(out.shape[1]):
            out[p, q] = leaves[leaf, q if q <= n_quantity else q + 1, i]


@njit(parallel=True)
def _bound_leaves(leaves, low, high, youngest):  # type: ignore[no-untyped-def]
    """Compute the boxes of the leaves; comparisons with NaN are false, so what fills the last leaf is left out."""
    n_quantity = low.shape[1]
    for leaf in prange(len(leaves)):
        group, child = leaf // FANOUT, leaf % FANOUT
        for q in range(n_quantity):
            lowest, highest = np.float32(np.inf), np.float32(-np.inf)
            for i in range(LEAF):
                value = leaves[leaf, q, i]
                lowest = value if value < lowest else lowest
                highest = value if value > highest else highest
            low[group, q, child], high[group, q, child] = lowest, highest
        age = np.float32(np.inf)
        for i in range(LEAF):
            value = leaves[leaf, n_quantity, i]
            age = value if value < age else age
        youngest[group, child] = age


@njit(parallel=True)
def _bound_groups(low, high, youngest, start, level):  # type: ignore[no-untyped-def]
    """Compute the boxes of a level from those of the level below."""
    below, here, above = start[level - 1], start[level], start[level + 1]
    n_quantity = low.shape[1]
    for group in prange(here, above):
        for child in range(min(FANOUT, here - below - (group - here) * FANOUT)):
            inside = below + (group - here) * FANOUT + child
            for q in range(n_quantity):
                low[group, q, child], high[group, q, child] = low[inside, q].min(), high[inside, q].max()
            youngest[group, child] = np.nanmin(youngest[inside])


@njit(parallel=True)
def _search(  # type: ignore[no-untyped-def]
    leaves, leaf_rows, low, high, youngest, start, targets, age_max, rows, distance, place, count, n_thread
) -> None:
    for thread in prange(n_thread):
        # blocks of neighbours cost about the same: by turns, so that all threads have as much to do
        for block in range(thread, -(-len(targets) // _TARGETS), n_thread):
            first, last = block * _TARGETS, min((block + 1) * _TARGETS, len(targets))
            _search_block(
                leaves, leaf_rows, low, high, youngest, start, targets, first, last, age_max, rows, distance, place,
                count,
            )  # fmt: skip


@njit()
def _search_block(  # type: ignore[no-untyped-def]
    leaves, leaf_rows, low, high, youngest, start, targets, first, last, age_max, rows, distance, place, count
) -> None:
    n_level, k = len(start) - 1, rows.shape[1]
    n_stack = 1 + n_level * (FANOUT - 1)  # a box is replaced by those in it
    target = np.empty(targets.shape[1])
    separation, point_separation = np.empty(FANOUT), np.empty(LEAF)
    stack_level, stack_box = np.empty(n_stack, np.int64), np.empty(n_stack, np.int64)
    stack_separation = np.empty(n_stack)
    for t in range(first, last):
        target[:] = targets[t]
        n_found = count[t]
        reach = _reach(distance[t, k - 1]) if n_found == k else np.inf
        stack_level[0], stack_box[0], stack_separation[0] = n_level, 0, 0.0
        top = 1
        while top > 0:
            top -= 1
            if stack_separation[top] > reach:
                continue
            level, box = stack_level[top], stack_box[top]
            if level == 0:
                n_found, reach = _search_leaf(
                    leaves[box], leaf_rows[box], box * LEAF, target, age_max[t], point_separation, rows[t],
                    distance[t], place[t], n_found, reach,
                )  # fmt: skip
                continue
            group = start[level - 1] + box
            _box_separations(low[group], high[group], target, separation)
            lowest = top
            for child in range(FANOUT):
                if separation[child] <= reach and youngest[group, child] <= age_max[t]:
                    i = top
                    while i > lowest and stack_separation[i - 1] < separation[child]:
                        stack_separation[i], stack_box[i] = stack_separation[i - 1], stack_box[i - 1]
                        i -= 1
                    stack_separation[i], stack_box[i] = separation[child], box * FANOUT + child
                    stack_level[top] = level - 1
                    top += 1
        count[t] = n_found


@njit(inline="always")
def _reach(distance):  # type: ignore[no-untyped-def]
    """Return the square of how far points matter: several squares have the same root, none of those is left out."""
    return distance * distance * (1.0 + 1e-15)


@njit(inline="always")
def _box_separations(low, high, target, separation):  # type: ignore[no-untyped-def]
    """Compute the squared distance to the nearest corner, edge or side of each box, 0 inside."""
    separation[:] = 0.0
    for q in range(len(target)):
        for child in range(FANOUT):
            outside = max(np.float64(low[q, child]) - target[q], target[q] - np.float64(high[q, child]), 0.0)
            separation[child] += outside * outside


@njit(inline="always")
def _search_leaf(  # type: ignore[no-untyped-def]
    leaf, leaf_rows, first_place, target, age_max, separation, rows, distance, place, n_found, reach
):
    """Put the points of a leaf among the nearest; return how many these are and the square of how far others matter."""
    n_quantity, k = len(target), len(rows)
    separation[:] = 0.0
    for q in range(n_quantity):
        for i in range(LEAF):
            difference = np.float64(leaf[q, i]) - target[q]
            separation[i] += difference * difference
    for i in range(LEAF):
        if separation[i] <= reach and leaf[n_quantity, i] <= age_max:
            here, row = np.sqrt(separation[i]), leaf_rows[n_quantity + 1, i]
            at = min(n_found, k - 1)
            if n_found == k and (here > distance[at] or (here == distance[at] and row > rows[at])):
                continue
            while at > 0 and (distance[at - 1] > here or (distance[at - 1] == here and rows[at - 1] > row)):
                distance[at], rows[at], place[at] = distance[at - 1], rows[at - 1], place[at - 1]
                at -= 1
            distance[at], rows[at], place[at] = here, row, np.uint32(first_place + i)
            n_found = min(n_found + 1, k)
            if n_found == k:
                reach = _reach(distance[k - 1])
    return n_found, reach
