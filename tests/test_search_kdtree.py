from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist

from mocksed import assign, kdtree, parent
from mocksed.cosmology import Cosmology, age_max
from mocksed.kdtree import KDTree
from mocksed.neighbours import METRICS
from mocksed.relations import Relations

COSMO = Cosmology()
K = 10


@pytest.fixture(scope="module")
def points(engine):
    sampling = parent.PRESETS["star_forming"]["default"]
    ids = np.arange(20_000)
    drawn = parent.sample(ids, sampling, quiescent=False, seed=1, cosmo=COSMO, scatter=Relations())
    return {name: values.astype(np.float32) for name, values in parent.evaluate(drawn, engine, quiescent=False).items()}


@pytest.fixture(scope="module")
def galaxies():
    rng = np.random.default_rng(5)
    own = {"redshift": rng.uniform(0.0, 12.0, 2000), "log_mstar": rng.uniform(7.0, 11.5, 2000)}
    return own | assign.propose(np.arange(2000), **own, seed=1, scatter=Relations())


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


@pytest.mark.parametrize("preset", METRICS)
def test_nearest_are_those_of_brute_force(points, galaxies, preset):
    metric = METRICS[preset]
    coordinates, targets = metric.coordinates(points), metric.coordinates(galaxies)
    rows, distance = KDTree.of(coordinates, points["age"]).nearest(targets, K)
    expected_rows, expected_distance = brute_force(coordinates, targets, K)
    assert_array_equal(rows, expected_rows)
    assert_allclose(distance, expected_distance, rtol=1e-12)


@pytest.mark.parametrize("preset", METRICS)
def test_nearest_allowed_are_those_of_brute_force(points, galaxies, preset):
    metric, limit = METRICS[preset], age_max(COSMO, galaxies["redshift"])
    coordinates, targets = metric.coordinates(points), metric.coordinates(galaxies)
    rows, distance, found = KDTree.of(coordinates, points["age"]).nearest_allowed(targets, K, limit)
    allowed = points["age"] <= limit[:, None]
    expected_rows, expected_distance = brute_force(coordinates, targets, K, allowed)
    assert found.all()
    assert np.all(points["age"][rows] <= limit[:, None])
    assert_array_equal(rows, expected_rows)
    assert_allclose(distance, expected_distance, rtol=1e-12)


def test_few_points_are_allowed_far_from_the_targets(points, galaxies):
    metric, age = METRICS["default"], points["age"][:4000]
    limit = np.full(50, np.sort(age)[25])
    coordinates, targets = metric.coordinates(points)[:4000], metric.coordinates(galaxies)[:50]
    rows, distance, found = KDTree.of(coordinates, age).nearest_allowed(targets, K, limit)
    expected_rows, expected_distance = brute_force(coordinates, targets, K, age <= limit[:, None])
    assert found.all()
    assert_array_equal(rows, expected_rows)
    assert_allclose(distance, expected_distance, rtol=1e-12)


def test_ties_are_in_the_order_of_rows():
    rng = np.random.default_rng(0)
    distinct = rng.normal(size=(60, 3)).astype(np.float32)
    points = rng.permutation(np.repeat(distinct, 6, axis=0))
    targets = np.concatenate([distinct[:10], rng.normal(size=(40, 3)).astype(np.float32)])
    rows, distance, _ = KDTree.of(points, np.ones(len(points))).nearest_allowed(targets, K, np.ones(50))
    expected_rows, expected_distance = brute_force(points, targets, K)
    assert_allclose(distance, expected_distance, rtol=1e-12)
    assert_array_equal(rows, expected_rows)
    rows, distance = KDTree.of(points, np.ones(len(points))).nearest(targets, K)
    assert_allclose(distance, expected_distance, rtol=1e-12)
    same = np.diff(distance) == 0.0
    assert np.all(np.diff(rows)[same] > 0)


@given(
    n=st.integers(1, 12),
    k=st.integers(1, 15),
    seed=st.integers(0, 1000),
    limit=st.floats(0.0, 1.0),
)
def test_few_points(n, k, seed, limit):
    rng = np.random.default_rng(seed)
    points, age = rng.normal(size=(n, 2)).astype(np.float32), rng.random(n)
    targets = rng.normal(size=(3, 2)).astype(np.float32)
    rows, distance, found = KDTree.of(points, age).nearest_allowed(targets, k, np.full(3, limit))
    assert rows.shape == distance.shape == (3, min(k, n))
    allowed = np.flatnonzero(age <= limit)
    assert np.all(found == (len(allowed) > 0))
    for target, row in zip(targets, rows, strict=True):
        if len(allowed):
            nearest = allowed[np.argsort(np.linalg.norm(points[allowed] - target, axis=1))][:k].tolist()
            expected = nearest + nearest[-1:] * (min(k, n) - len(nearest))
        else:
            expected = [np.argmin(age)] * min(k, n)
        assert row.tolist() == expected
    exact = np.linalg.norm(points[rows].astype(float) - targets[:, None].astype(float), axis=2)
    assert_allclose(distance, exact, rtol=1e-12)


def test_fewer_points_than_asked_for():
    points = np.array([[0.0], [2.0], [1.0]], np.float32)
    rows, distance = KDTree.of(points, np.ones(3)).nearest(np.array([[-1.0]], np.float32), 5)
    assert rows.tolist() == [[0, 2, 1]]
    assert distance.tolist() == [[1.0, 2.0, 3.0]]


def test_no_targets():
    search = KDTree.of(np.zeros((4, 2), np.float32), np.ones(4))
    rows, distance, found = search.nearest_allowed(np.empty((0, 2), np.float32), 3, np.empty(0))
    assert (rows.shape, distance.shape, found.shape) == ((0, 3), (0, 3), (0,))


def test_the_batch_and_the_threads_do_not_matter(points, galaxies, set_threads, monkeypatch):
    metric, limit = METRICS["default"], age_max(COSMO, galaxies["redshift"])
    coordinates, targets = metric.coordinates(points), metric.coordinates(galaxies)

    def found(cuts, n_threads):
        set_threads(n_threads)
        search = KDTree.of(coordinates, points["age"])
        parts = [search.nearest_allowed(targets[i:j], K, limit[i:j]) for i, j in pairwise(cuts)]
        return [np.concatenate(column).tobytes() for column in zip(*parts, strict=True)]

    expected = found((0, 2000), 1)
    assert found((0, 2000), 2) == expected
    assert found((0, 1, 1000, 2000), 2) == expected
    monkeypatch.setattr(kdtree, "_BLOCK", 100)
    assert found((0, 2000), 1) == expected


@pytest.mark.parametrize("n", [1, 31, 32, 33, 1000, 20_000])
def test_the_order_is_of_all_rows_and_the_same_for_any_threads(points, n, set_threads):
    coordinates = METRICS["default"].coordinates(points)[:n]
    orders = []
    for n_threads in (1, 2):
        set_threads(n_threads)
        orders.append(kdtree.order(coordinates))
    assert_array_equal(np.sort(orders[0]), np.arange(n))
    assert_array_equal(*orders)


def test_leaves_are_compact(points):
    """The boxes of the leaves hold a part of the space of about the part that they hold of the points."""
    coordinates = METRICS["default"].coordinates(points)[:, :2]
    leaves = kdtree.leaves(coordinates, points["age"], kdtree.order(coordinates))[:-1, :2]
    side = np.ptp(leaves, axis=2)
    whole = np.ptp(np.percentile(coordinates, [1, 99], axis=0), axis=0)
    assert np.median(side / whole) < 3.0 / np.sqrt(len(leaves))


def test_leaves_hold_every_point_with_its_age_and_name(points):
    coordinates, age = METRICS["default"].coordinates(points)[:1001], points["age"][:1001].astype(np.float32)
    rows = kdtree.order(coordinates)
    leaves = kdtree.leaves(coordinates, age, rows, first=7000)
    assert leaves.shape == (32, 7, kdtree.LEAF)
    flat = leaves.transpose(0, 2, 1).reshape(-1, 7)
    assert np.isnan(flat[1001:, :6]).all()
    names = np.ascontiguousarray(flat[:1001, 6]).view(np.uint32).astype(int) - 7000
    assert_array_equal(names, rows)
    assert_array_equal(flat[:1001, :5], coordinates[names])
    assert_array_equal(flat[:1001, 5], age[names])
    halves = [kdtree.leaves(coordinates, age, part, first=7000) for part in (rows[:320], rows[320:])]
    assert np.concatenate(halves).tobytes() == leaves.tobytes()


def test_coordinates_equal_in_all_points_end_the_splitting():
    points = np.zeros((500, 3), np.float32)
    rows, distance = KDTree.of(points, np.ones(500)).nearest(points[:5], K)
    assert_array_equal(rows, np.tile(np.arange(K), (5, 1)))
    assert not distance.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad):
    points = np.zeros((100, 2), np.float32)
    points[37, 1] = bad
    with pytest.raises(ValueError, match="not finite"):
        kdtree.order(points)
    search = KDTree.of(np.zeros((100, 2), np.float32), np.ones(100))
    with pytest.raises(ValueError, match="not finite"):
        search.nearest(points, 3)


def test_an_age_that_is_no_number_is_refused():
    age = np.ones(100)
    age[3] = np.nan
    with pytest.raises(ValueError, match="age"):
        KDTree.of(np.zeros((100, 2), np.float32), age)
    with pytest.raises(ValueError, match="without points"):
        KDTree.of(np.zeros((0, 2), np.float32), np.zeros(0))


def test_progress_counts_every_target(points, galaxies):
    class Told:
        done = 0

        def update(self, amount):
            self.done += amount

    told, metric = Told(), METRICS["default"]
    search = KDTree.of(metric.coordinates(points), points["age"])
    search.nearest_allowed(metric.coordinates(galaxies), K, age_max(COSMO, galaxies["redshift"]), told)
    assert told.done == 2000
