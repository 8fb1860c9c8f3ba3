"""The compiled loops of the k-d tree (`mocksed.search.kdtree`): splitting points, bounding leaves, searching.

Arguments of the same name are the same everywhere:

points : float32, shape (n, n_quantity)
    Coordinates in the metric.
rows, key : uint32 and float32, shape (n, )
    Numbers of points in their order in the tree, and scratch for the coordinate that they are split by.
bounds : int64, shape (n_part + 1, )
    Where parts of ``rows`` begin and end, each worked on by one thread of ``n_thread``.
leaves, leaf_rows : float32 and the same bytes as uint32, shape (n_leaf, n_quantity + 2 + n_payload, LEAF)
    Of each leaf the coordinates, age [Gyr], row and payload of its points; NaN where the last leaf has fewer.
low, high, youngest, start
    The boxes, as `mocksed.search.kdtree.Boxes` has them; ``level`` counts from 0, the boxes of the leaves.
targets, age_max : float64, shapes (n_target, n_quantity) and (n_target, )
    Where the nearest points are searched for, and the limits of their ages [Gyr].
rows, distance, place, count (of `search`) : shapes (n_target, k), (n_target, k), (n_target, k), (n_target, )
    What is found, written in place, as `mocksed.search.kdtree.Nearest` has it.
"""

import numpy as np

from mocksed.compiled import njit, prange

LEAF = 32
"""Points of a leaf."""
FANOUT = 8
"""Boxes in a box."""

_TARGETS = 64  # searched by one thread at a time, neighbours of each other


@njit(parallel=True)
def all_finite(points):  # type: ignore[no-untyped-def]
    """Return whether all quantities of all points are finite numbers."""
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
def split_parts(points, rows, key, bounds, n_thread):  # type: ignore[no-untyped-def]
    """Split each part in two; return the bounds of all."""
    middle = bounds[:-1].copy()
    for thread in prange(n_thread):
        for part in range(thread, len(middle), n_thread):
            start, stop = bounds[part], bounds[part + 1]
            if stop - start > LEAF:
                middle[part] = start + _split(points, rows[start:stop], key[start:stop])
    return np.unique(np.concatenate((bounds, middle)))


@njit(parallel=True)
def order_parts(points, rows, key, bounds, n_thread):  # type: ignore[no-untyped-def]
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
def fill(leaves, leaf_rows, points, age, payload, rows, first):  # type: ignore[no-untyped-def]
    """Write points, ages, payloads and rows into leaves, in the order of the rows."""
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
def carry(leaves, place, n_quantity, out):  # type: ignore[no-untyped-def]
    """Write the payload of the points at some places of the leaves."""
    for p in prange(len(place)):
        leaf, i = place[p] // np.uint32(LEAF), place[p] % np.uint32(LEAF)
        for q in range(out.shape[1]):
            out[p, q] = leaves[leaf, q if q <= n_quantity else q + 1, i]


@njit(parallel=True)
def bound_leaves(leaves, low, high, youngest):  # type: ignore[no-untyped-def]
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
def bound_groups(low, high, youngest, start, level):  # type: ignore[no-untyped-def]
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
def search(  # type: ignore[no-untyped-def]
    leaves, leaf_rows, low, high, youngest, start, targets, age_max, rows, distance, place, count, n_thread
) -> None:
    """Search blocks of targets for their nearest points, beside those found already, and write them in place."""
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
