from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from mocksed import assign, neighbours, parent
from mocksed.cosmology import age_max, cosmology
from mocksed.neighbours import METRICS, Metric, Neighbours, quantity
from mocksed.relations import Relations

COSMO = cosmology()
K = 10


@pytest.fixture(scope="module")
def points(engine):
    sampling = parent.PRESETS["star_forming"]["default"]
    ids = np.arange(20_000)
    drawn = parent.sample(ids, sampling, quiescent=False, seed=1, cosmo=COSMO, scatter=Relations())
    return parent.evaluate(drawn, engine, quiescent=False)


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
    rows, distance = Neighbours(coordinates, points["age"]).nearest(targets, K)
    expected_rows, expected_distance = brute_force(coordinates, targets, K)
    assert_array_equal(rows, expected_rows)
    assert_allclose(distance, expected_distance, rtol=1e-12)


@pytest.mark.parametrize("preset", METRICS)
def test_nearest_allowed_are_those_of_brute_force(points, galaxies, preset):
    metric, limit = METRICS[preset], age_max(COSMO, galaxies["redshift"])
    coordinates, targets = metric.coordinates(points), metric.coordinates(galaxies)
    rows, distance, found = Neighbours(coordinates, points["age"]).nearest_allowed(targets, K, limit)
    allowed = points["age"] <= limit[:, None]
    expected_rows, expected_distance = brute_force(coordinates, targets, K, allowed)
    assert found.all()
    assert np.all(points["age"][rows] <= limit[:, None])
    assert_array_equal(rows, expected_rows)
    assert_allclose(distance, expected_distance, rtol=1e-12)


def test_the_search_widens_until_it_has_enough(points, galaxies):
    """Few points are allowed, far from the targets."""
    metric, age = METRICS["default"], points["age"][:4000]
    limit = np.full(50, np.sort(age)[25])
    coordinates, targets = metric.coordinates(points)[:4000], metric.coordinates(galaxies)[:50]
    rows, distance, found = Neighbours(coordinates, age).nearest_allowed(targets, K, limit)
    expected_rows, expected_distance = brute_force(coordinates, targets, K, age <= limit[:, None])
    assert found.all()
    assert_array_equal(rows, expected_rows)
    assert_allclose(distance, expected_distance, rtol=1e-12)


def test_ties_are_in_the_order_of_rows():
    rng = np.random.default_rng(0)
    distinct = rng.normal(size=(60, 3)).astype(np.float32)
    points = rng.permutation(np.repeat(distinct, 6, axis=0))
    targets = np.concatenate([distinct[:10], rng.normal(size=(40, 3)).astype(np.float32)])
    rows, distance, _ = Neighbours(points, np.ones(len(points))).nearest_allowed(targets, K, np.ones(50))
    expected_rows, expected_distance = brute_force(points, targets, K)
    assert_allclose(distance, expected_distance, rtol=1e-12)
    assert_array_equal(rows, expected_rows)
    rows, distance = Neighbours(points, np.ones(len(points))).nearest(targets, K)
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
    rows, distance, found = Neighbours(points, age).nearest_allowed(targets, k, np.full(3, limit))
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
    rows, distance = Neighbours(points, np.ones(3)).nearest(np.array([[-1.0]], np.float32), 5)
    assert rows.tolist() == [[0, 2, 1]]
    assert distance.tolist() == [[1.0, 2.0, 3.0]]


def test_no_targets():
    search = Neighbours(np.zeros((4, 2), np.float32), np.ones(4))
    rows, distance, found = search.nearest_allowed(np.empty((0, 2), np.float32), 3, np.empty(0))
    assert (rows.shape, distance.shape, found.shape) == ((0, 3), (0, 3), (0,))


def test_the_batch_and_the_threads_do_not_matter(points, galaxies, monkeypatch):
    metric, limit = METRICS["default"], age_max(COSMO, galaxies["redshift"])
    search, targets = Neighbours(metric.coordinates(points), points["age"]), metric.coordinates(galaxies)

    def found(cuts, threads):
        with threadpool_limits(threads):
            parts = [search.nearest_allowed(targets[i:j], K, limit[i:j]) for i, j in pairwise(cuts)]
        return [np.concatenate(column).tobytes() for column in zip(*parts, strict=True)]

    expected = found((0, 2000), 1)
    assert found((0, 2000), 2) == expected
    assert found((0, 1, 1000, 2000), 2) == expected
    monkeypatch.setattr(neighbours, "_MAX_CANDIDATES", 1000)
    assert found((0, 2000), 1) == expected


def test_progress_counts_every_target(points, galaxies):
    class Told:
        done = 0

        def update(self, amount):
            self.done += amount

    told, metric = Told(), METRICS["default"]
    search = Neighbours(metric.coordinates(points), points["age"])
    search.nearest_allowed(metric.coordinates(galaxies), K, age_max(COSMO, galaxies["redshift"]), told)
    assert told.done == 2000


COLUMNS = {name: np.array([value]) for name, value in
           {"log_sfr": 1.0, "log_mstar": 10.0, "muv": -20.0, "redshift": 3.0, "tau": 10.0, "beta": -2.0,
            "log_zmet": -0.5, "log_us": -3.0}.items()}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [("log_ssfr", -9.0), ("muv_per_mass", 5.0), ("scale_factor", 0.25), ("log_tau", 1.0), ("beta", -2.0)],
)
def test_quantities(name, expected):
    assert quantity(name, COLUMNS).tolist() == [expected]


def test_coordinates_are_scaled_and_the_nuisance_is_no_distance():
    metric = Metric({"beta": 0.5, "log_ssfr": 3.0}, {"log_tau": 2.0})
    assert metric.n_quantities == 3
    coordinates = metric.coordinates(COLUMNS)
    assert coordinates.dtype == np.float32
    assert coordinates.tolist() == [[-4.0, -3.0, 0.5]]
    other = COLUMNS | {"beta": np.array([0.0]), "log_sfr": np.array([10.0]), "tau": np.array([0.1])}
    assert metric.distance(COLUMNS, other).tolist() == [5.0]


def test_the_metrics_of_2021():
    april, may = METRICS["drakos2021a"].coordinates(COLUMNS)[0], METRICS["drakos2021b"].coordinates(COLUMNS)[0]
    assert_allclose(april, [3 / 12, 10 / 12, 1 / 4, -0.5 / 2, -3 / 4, -20 / 30, -2 / 3], rtol=1e-6)
    assert_allclose(may, [10.0, 0.25, -0.5, -9.0, -20.0, -2.0], rtol=1e-6)


def test_the_default_metric_does_not_see_mass_or_redshift():
    twice = COLUMNS | {"log_mstar": COLUMNS["log_mstar"] + 1.0, "log_sfr": COLUMNS["log_sfr"] + 1.0,
                       "muv": COLUMNS["muv"] - 2.5, "redshift": np.array([7.0])}  # fmt: skip
    default = METRICS["default"]
    assert_array_equal(default.coordinates(twice), default.coordinates(COLUMNS))
    assert_allclose(default.coordinates(COLUMNS)[0], [-9 / 0.3, 5 / 0.7, -2 / 0.35, -0.5 / 0.3, 1.0], rtol=1e-6)
