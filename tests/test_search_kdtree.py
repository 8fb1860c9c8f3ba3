import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist

from mocksed.cosmology import Cosmology, age_max
from mocksed.relations import Relations
from mocksed.search import draw, kdtree, parent
from mocksed.search.kdtree import KDTree, Nearest, find
from mocksed.search.metric import METRICS
from mocksed.search.sampling import PRESETS

COSMO = Cosmology()
K = 10
METRIC = METRICS["default"]["star_forming"]
ALL = [pytest.param(preset[kind], id=f"{name} {kind}") for name, preset in METRICS.items() for kind in preset]


@pytest.fixture(scope="module")
def points(engine):
    sampling = {**PRESETS["star_forming"]["default"], "dust_index": {"constant": 0.0}}
    ids = np.arange(20_000)
    drawn = parent.sample(ids, sampling, quiescent=False, seed=1, cosmo=COSMO, relations=Relations())
    return {name: values.astype(np.float32) for name, values in parent.evaluate(drawn, engine, quiescent=False).items()}


@pytest.fixture(scope="module")
def galaxies():
    rng, ids = np.random.default_rng(5), np.arange(2000)
    own = {"redshift": rng.uniform(0.0, 12.0, 2000), "log_mstar": rng.uniform(7.0, 11.5, 2000)}
    uniform = draw.numbers("star_forming", ids, 1)
    return own | draw.independent(uniform, **own, relations=Relations())


def anywhere(n):
    """Limits that leave every age."""
    return np.full(n, np.inf)


def brute_force(points, targets, k, allowed=None):
    """Return the k nearest of all points, ordered by (distance, row)."""
    distance = cdist(targets.astype(float), points.astype(float))
    if allowed is not None:
        distance[~allowed] = np.inf
    kth = np.partition(distance, k - 1, axis=1)[:, k - 1]
    rows = np.empty((len(targets), k), np.int64)
    for i, row in enumerate(distance):
        near = np.flatnonzero(row <= kth[i])
        rows[i] = near[np.argsort(row[near], kind="stable")][:k]
    return rows, np.take_along_axis(distance, rows, 1)


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("limited", [False, True])
def test_nearest_are_those_of_brute_force(points, galaxies, metric, limited):
    some = {name: values[:400] for name, values in galaxies.items()}  # brute force takes long
    limit = age_max(COSMO, some["redshift"]) if limited else anywhere(400)
    coordinates, targets = metric.coordinates(points), metric.coordinates(some)
    nearest = find([KDTree.of(coordinates, points["age"])], targets, K, limit)
    allowed = points["age"] <= limit[:, None]
    assert allowed.all() != limited
    expected_rows, expected_distance = brute_force(coordinates, targets, K, allowed)
    assert np.all(nearest.n_found == K)
    assert np.all(points["age"][nearest.rows] <= limit[:, None])
    assert_array_equal(nearest.rows, expected_rows)
    assert_allclose(nearest.distance, expected_distance, rtol=1e-12)


def test_few_points_are_allowed_far_from_the_targets(points, galaxies):
    age = points["age"][:4000]
    limit = np.full(50, np.sort(age)[25])
    coordinates, targets = METRIC.coordinates(points)[:4000], METRIC.coordinates(galaxies)[:50]
    nearest = find([KDTree.of(coordinates, age)], targets, K, limit)
    expected_rows, expected_distance = brute_force(coordinates, targets, K, age <= limit[:, None])
    assert np.all(nearest.n_found == K)
    assert_array_equal(nearest.rows, expected_rows)
    assert_allclose(nearest.distance, expected_distance, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 10, 64])
@pytest.mark.parametrize("cuts", [(0, 20_000), (0, 5, 20_000), (0, 7000, 7001, 13_000, 20_000)])
def test_several_trees_find_what_one_of_all_points_does(points, galaxies, cuts, k):
    coordinates, targets = METRIC.coordinates(points), METRIC.coordinates(galaxies)
    payload = METRIC.carried(points)
    limit = np.minimum(age_max(COSMO, galaxies["redshift"]), np.geomspace(1e-3, 20.0, 2000))  # some have few or none
    one = find([KDTree.of(coordinates, points["age"], payload)], targets, k, limit)
    parts = [(slice(first, last), first) for first, last in pairwise(cuts)]
    trees = [
        KDTree(kdtree.leaves(coordinates[part], points["age"][part], payload[part], kdtree.order(coordinates[part]),
                             first), 3)
        for part, first in parts
    ]  # fmt: skip
    for order in (trees, trees[::-1]):
        several = find(order, targets, k, limit)
        assert several.n_found.tobytes() == one.n_found.tobytes()
        there = np.arange(k) < one.n_found[:, None]
        for name in ("rows", "distance"):
            assert getattr(several, name)[there].tobytes() == getattr(one, name)[there].tobytes()
    assert one.n_found.min() < min(k, 5) or k == 1


def test_a_search_goes_on_where_another_ended(points, galaxies):
    """Points of the other tree that are further stay out, whichever was searched first."""
    coordinates, targets = METRIC.coordinates(points)[:200], METRIC.coordinates(galaxies)[:20]
    near, far = (
        KDTree(kdtree.leaves(values, np.ones(200), np.empty((200, 0), np.float32), kdtree.order(values), first), 3)
        for values, first in ((coordinates, 0), (coordinates + 1e4, 200))
    )
    for trees in ([near, far], [far, near]):
        nearest = find(trees, targets, K, anywhere(20))
        assert np.all(nearest.rows < 200)
        assert_array_equal(nearest.rows, brute_force(coordinates, targets, K)[0])


def test_the_payload_is_that_of_the_points(points, galaxies):
    coordinates, payload = METRIC.coordinates(points), METRIC.carried(points)
    assert payload.shape == (20_000, 2)
    tree = KDTree.of(coordinates, points["age"], payload)
    nearest = find([tree], METRIC.coordinates(galaxies), K, anywhere(2000))
    carried = tree.carried(nearest.place)
    assert carried.shape == (2000, K, 6)
    assert_array_equal(carried[..., :3], coordinates[nearest.rows])
    assert_array_equal(carried[..., 3], points["age"][nearest.rows])
    assert_array_equal(carried[..., 4:], payload[nearest.rows])
    assert tree.carried(nearest.place[:0]).shape == (0, K, 6)


def test_ties_are_in_the_order_of_rows():
    rng = np.random.default_rng(0)
    distinct = rng.normal(size=(60, 3)).astype(np.float32)
    points = rng.permutation(np.repeat(distinct, 6, axis=0))
    targets = np.concatenate([distinct[:10], rng.normal(size=(40, 3)).astype(np.float32)])
    expected_rows, expected_distance = brute_force(points, targets, K)
    nothing = np.empty((180, 0), np.float32)
    halves = [
        KDTree(kdtree.leaves(half, np.ones(180), nothing, kdtree.order(half), first), 3)
        for half, first in ((points[:180], 0), (points[180:], 180))
    ]
    for trees in ([KDTree.of(points, np.ones(len(points)))], halves, halves[::-1]):
        nearest = find(trees, targets, K, np.ones(50))
        assert_allclose(nearest.distance, expected_distance, rtol=1e-12)
        assert_array_equal(nearest.rows, expected_rows)
    assert np.any(np.diff(expected_distance) == 0.0)


@pytest.mark.slow
@given(
    n=st.integers(1, 12),
    k=st.integers(1, 15),
    seed=st.integers(0, 1000),
    limit=st.floats(0.0, 1.0),
)
def test_few_points(n, k, seed, limit):
    rng = np.random.default_rng(seed)
    points, age = rng.normal(size=(n, 2)).astype(np.float32), rng.random(n).astype(np.float32)
    targets = rng.normal(size=(3, 2)).astype(np.float32)
    nearest = find([KDTree.of(points, age)], targets, k, np.full(3, limit))
    assert nearest.rows.shape == nearest.distance.shape == (3, k)
    allowed = np.flatnonzero(age <= limit)
    n_found = min(k, len(allowed))
    assert np.all(nearest.n_found == n_found)
    for i, target in enumerate(targets):
        exact = np.linalg.norm(points[allowed].astype(float) - target.astype(float), axis=1)
        order = np.argsort(exact)[:k]
        assert nearest.rows[i, :n_found].tolist() == allowed[order].tolist()
        assert_allclose(nearest.distance[i, :n_found], exact[order], rtol=1e-12)


def test_fewer_points_than_asked_for():
    points = np.array([[0.0], [2.0], [1.0]], np.float32)
    nearest = find([KDTree.of(points, np.ones(3))], np.array([[-1.0]], np.float32), 5, anywhere(1))
    assert nearest.n_found.tolist() == [3]
    assert nearest.rows[:, :3].tolist() == [[0, 2, 1]]
    assert nearest.distance[:, :3].tolist() == [[1.0, 2.0, 3.0]]


def test_no_targets():
    search = KDTree.of(np.zeros((4, 2), np.float32), np.ones(4))
    nearest = find([search], np.empty((0, 2), np.float32), 3, np.empty(0))
    assert (nearest.rows.shape, nearest.distance.shape, nearest.n_found.shape) == ((0, 3), (0, 3), (0,))


def test_the_batch_and_the_threads_do_not_matter(points, galaxies, set_threads):
    limit = age_max(COSMO, galaxies["redshift"])
    coordinates, targets = METRIC.coordinates(points), METRIC.coordinates(galaxies)

    def found(cuts, n_threads):
        set_threads(n_threads)
        search = KDTree.of(coordinates, points["age"])
        parts = [find([search], targets[i:j], K, limit[i:j]) for i, j in pairwise(cuts)]
        return [np.concatenate(column).tobytes() for column in zip(*parts, strict=True)]

    expected = found((0, 2000), 1)
    assert found((0, 2000), 2) == expected
    assert found((0, 1, 1000, 2000), 2) == expected
    assert found((0, 100, 130, 2000), 1) == expected


@pytest.mark.parametrize("n", [1, 31, 32, 33, 1000, 20_000])
def test_the_order_is_of_all_rows_and_the_same_for_any_threads(points, n, set_threads):
    coordinates = METRIC.coordinates(points)[:n]
    orders = []
    for n_threads in (1, 2):
        set_threads(n_threads)
        orders.append(kdtree.order(coordinates))
    assert_array_equal(np.sort(orders[0]), np.arange(n))
    assert_array_equal(*orders)


def test_leaves_are_compact(points):
    """The boxes of the leaves hold a part of the space of about the part that they hold of the points."""
    coordinates = METRIC.coordinates(points)[:, :2]
    nothing = np.empty((len(coordinates), 0), np.float32)
    leaves = kdtree.leaves(coordinates, points["age"], nothing, kdtree.order(coordinates))[:-1, :2]
    side = np.ptp(leaves, axis=2)
    whole = np.ptp(np.percentile(coordinates, [1, 99], axis=0), axis=0)
    assert np.median(side / whole) < 3.0 / np.sqrt(len(leaves))


def test_leaves_hold_every_point_with_its_age_name_and_payload(points):
    some = {name: values[:1001] for name, values in points.items()}
    coordinates, age, payload = METRIC.coordinates(some), some["age"], METRIC.carried(some)
    rows = kdtree.order(coordinates)
    leaves = kdtree.leaves(coordinates, age, payload, rows, first=7000)
    assert leaves.shape == (32, 7, kdtree.LEAF)
    flat = leaves.transpose(0, 2, 1).reshape(-1, 7)
    assert np.isnan(flat[1001:, [0, 1, 2, 3, 5, 6]]).all()
    names = np.ascontiguousarray(flat[:1001, 4]).view(np.uint32).astype(int) - 7000
    assert_array_equal(names, rows)
    assert_array_equal(flat[:1001, :3], coordinates[names])
    assert_array_equal(flat[:1001, 3], age[names])
    assert_array_equal(flat[:1001, 5:], payload[names])
    halves = [kdtree.leaves(coordinates, age, payload, part, first=7000) for part in (rows[:320], rows[320:])]
    assert np.concatenate(halves).tobytes() == leaves.tobytes()


def test_coordinates_equal_in_all_points_end_the_splitting():
    points = np.zeros((500, 3), np.float32)
    nearest = find([KDTree.of(points, np.ones(500))], points[:5], K, anywhere(5))
    assert_array_equal(nearest.rows, np.tile(np.arange(K), (5, 1)))
    assert not nearest.distance.any()


@pytest.mark.parametrize("n", [20, 3000])
def test_an_age_that_is_the_limit_is_allowed(n):
    rng = np.random.default_rng(n)
    points, age = rng.normal(size=(n, 2)).astype(np.float32), np.full(n, 0.3, np.float32)
    age[7] = 0.25
    tree = KDTree.of(points, age)
    for limit, n_found in ((np.nextafter(0.25, 0.0), 0), (0.25, 1), (float(age[0]), K)):
        assert find([tree], points[:3], K, np.full(3, limit)).n_found.tolist() == [n_found] * 3


@pytest.mark.parametrize(("n", "seed"), [(1, 0), (40, 1), *((3000, seed) for seed in range(8))])
def test_the_youngest_point(n, seed):
    rng = np.random.default_rng(seed)
    points, age = rng.normal(size=(n, 2)).astype(np.float32), rng.uniform(1.0, 2.0, n).astype(np.float32)
    lowest = age.min()
    again = rng.integers(0, n, 3)
    age[again] = lowest  # several, of which the first row counts
    tree = KDTree(kdtree.leaves(points, age, age[:, None], kdtree.order(points), first=500), 2)
    youngest, row, place = tree.youngest()
    assert (youngest, row) == (lowest, 500 + np.argmin(age))
    assert_array_equal(tree.carried(np.array([place], np.uint32))[0], [*points[row - 500], lowest, lowest])


@pytest.fixture
def stored(points, tmp_path):
    """A tree whose leaves are mapped, and the same in memory."""
    coordinates = METRIC.coordinates(points)
    leaves = kdtree.leaves(coordinates, points["age"], METRIC.carried(points), kdtree.order(coordinates))
    np.save(tmp_path / "leaves.npy", leaves)
    return KDTree(np.load(tmp_path / "leaves.npy", mmap_mode="r"), 3), KDTree(leaves, 3)


def resident(tree):
    """Return how much of the leaves is in the memory of this process [kB]."""
    address, size = f"{tree.leaves.ctypes.data & ~0xFFF:x}-", None
    with open("/proc/self/smaps") as lines:
        for line in lines:
            if size is None and line.startswith(address):
                size = 0
            elif size is not None and line.startswith("Rss:"):
                return int(line.split()[1])
    raise AssertionError("the leaves are not mapped")


def test_leaves_that_were_released_are_found_again(stored, galaxies):
    mapped, in_memory = stored
    targets, limit = METRIC.coordinates(galaxies), age_max(COSMO, galaxies["redshift"])
    expected = find([in_memory], targets, K, limit)
    first = find([mapped], targets, K, limit)
    before = resident(mapped)
    mapped.release()
    assert resident(mapped) < 0.1 * before
    in_memory.release()  # there is nothing to give back
    again = find([mapped], targets, K, limit)
    for name in Nearest._fields:
        assert getattr(again, name).tobytes() == getattr(first, name).tobytes() == getattr(expected, name).tobytes()
    assert mapped.carried(first.place).tobytes() == in_memory.carried(first.place).tobytes()


def test_a_tree_travels_without_its_mapped_leaves(stored, galaxies):
    targets, limit = METRIC.coordinates(galaxies), age_max(COSMO, galaxies["redshift"])
    expected = find([stored[1]], targets, K, limit)
    sizes = []
    for tree in stored:
        sizes.append(len(pickle.dumps(tree)))
        again = find([pickle.loads(pickle.dumps(tree))], targets, K, limit)
        assert [values.tobytes() for values in again] == [values.tobytes() for values in expected]
    assert sizes[0] < 0.2 * sizes[1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad):
    points = np.zeros((100, 2), np.float32)
    points[37, 1] = bad
    with pytest.raises(ValueError, match="not finite"):
        kdtree.order(points)


def test_an_age_that_is_no_number_is_refused():
    age = np.ones(100)
    age[3] = np.nan
    with pytest.raises(ValueError, match="age"):
        KDTree.of(np.zeros((100, 2), np.float32), age)
    with pytest.raises(ValueError, match="without points"):
        KDTree.of(np.zeros((0, 2), np.float32), np.zeros(0))


def test_rows_beyond_what_a_tree_can_name_are_refused():
    points = np.zeros((3, 2), np.float32)
    with pytest.raises(ValueError, match="a tree knows"):
        kdtree.leaves(points, np.ones(3), np.empty((3, 0), np.float32), kdtree.order(points), first=(1 << 32) - 2)
