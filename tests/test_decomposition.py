import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist

from mocksed import assign, decomposition, parent, storage
from mocksed.cosmology import Cosmology, age_max
from mocksed.decomposition import Found
from mocksed.errors import UserError
from mocksed.kdtree import KDTree
from mocksed.neighbours import METRICS
from mocksed.relations import Relations

K = 10


def brute_force(points, age, targets, k, limit):
    """Return what `KDTree.nearest_allowed` does from all distances."""
    k = min(k, len(points))
    rows, distance = np.empty((len(targets), k), np.int64), np.empty((len(targets), k))
    found = np.array([np.any(age <= oldest) for oldest in limit], bool)
    for i in range(len(targets)):
        separation = cdist(targets[i : i + 1].astype(float), points)[0]
        allowed = np.flatnonzero(age <= limit[i]) if found[i] else np.array([np.argmin(age)])
        kth = np.partition(separation[allowed], min(k, len(allowed)) - 1)[min(k, len(allowed)) - 1]
        near = allowed[separation[allowed] <= kth]
        near = near[np.argsort(separation[near], kind="stable")][:k]
        rows[i] = near[np.minimum(np.arange(k), len(near) - 1)]
        distance[i] = separation[rows[i]]
    return rows, distance, found


def cut(points, age, n_trees):
    """Return the first rows of tree shards, their youngest ages and the points and ages of each."""
    bounds = storage.shard_bounds(len(points), n_trees)
    shards = [(points[start:stop], age[start:stop]) for start, stop in bounds]
    return [start for start, _ in bounds], [float(ages.min()) for _, ages in shards], shards


def merged(starts, youngest, searches, k):
    parts = [Found(rows + start, *rest) for start, (rows, *rest) in zip(starts, searches, strict=True)]
    return decomposition.merge(parts, youngest, k)


def same(one, other):
    for first, second in zip(one, other, strict=True):
        assert first.dtype == second.dtype
        assert_array_equal(first, second)


@pytest.fixture(scope="module")
def points(engine):
    sampling = parent.PRESETS["star_forming"]["default"]
    drawn = parent.sample(np.arange(100_000), sampling, quiescent=False, seed=1, cosmo=Cosmology(), scatter=Relations())
    return parent.evaluate(drawn, engine, quiescent=False)


@pytest.fixture(scope="module")
def galaxies():
    rng = np.random.default_rng(5)
    own = {"redshift": rng.uniform(0.0, 12.0, 2000), "log_mstar": rng.uniform(7.0, 11.5, 2000)}
    return own | assign.propose(np.arange(2000), **own, seed=1, scatter=Relations())


@pytest.mark.parametrize("preset", METRICS)
def test_any_cut_and_any_threads_find_what_brute_force_finds(points, galaxies, preset, set_threads):
    metric, limit = METRICS[preset], age_max(Cosmology(), galaxies["redshift"])
    coordinates, targets = metric.coordinates(points), metric.coordinates(galaxies)
    age = points["age"].astype(np.float32)
    rows, distance, found = brute_force(coordinates.astype(float), age, targets, K, limit)
    first = None
    for n_trees in (1, 3, 7):
        starts, youngest, shards = cut(coordinates, age, n_trees)
        trees = [KDTree.of(*shard) for shard in shards]
        for n_shards, threads in ((1, 1), (1, 2), (4, 1), (16, 2)):
            set_threads(threads)
            parts = [
                merged(starts, youngest, [tree.nearest_allowed(targets[i:j], K, limit[i:j]) for tree in trees], K)
                for i, j in storage.shard_bounds(len(targets), n_shards)
            ]
            whole = Found(*map(np.concatenate, zip(*parts, strict=True)))
            first = first or whole
            same(whole, first)
    assert_array_equal(first.rows, rows)
    assert_allclose(first.distance, distance, rtol=1e-12)
    assert_array_equal(first.found, found)


@given(
    n=st.integers(1, 40),
    n_trees=st.integers(1, 8),
    k=st.integers(1, 15),
    values=st.integers(1, 6),
    limit=st.floats(-0.1, 1.0),
    seed=st.integers(0, 1000),
)
def test_few_points_ties_and_few_or_none_allowed(n, n_trees, k, values, limit, seed):
    """Points and ages of few different values: ties across tree shards, the youngest point among them."""
    rng = np.random.default_rng(seed)
    points, age = rng.integers(0, values, (n, 2)).astype(np.float32), rng.integers(0, 3, n) / 3.0
    targets, limit = rng.integers(0, values, (4, 2)).astype(np.float32), np.array([limit, 1.0, 0.4, -1.0])
    starts, youngest, shards = cut(points, age, min(n_trees, n))
    searches = [brute_force(*shard, targets, k, limit) for shard in shards]
    same(merged(starts, youngest, searches, k), Found(*brute_force(points, age, targets, k, limit)))


def test_blocks_and_no_galaxies(monkeypatch):
    rng = np.random.default_rng(0)
    points, age = rng.normal(size=(300, 3)).astype(np.float32), rng.random(300)
    targets, limit = rng.normal(size=(50, 3)).astype(np.float32), rng.random(50)
    starts, youngest, shards = cut(points, age, 3)
    searches = [brute_force(*shard, targets, K, limit) for shard in shards]
    whole = merged(starts, youngest, searches, K)
    monkeypatch.setattr(decomposition, "_BLOCK", 7)
    same(merged(starts, youngest, searches, K), whole)
    none = merged(starts, youngest, [[values[:0] for values in search] for search in searches], K)
    assert [values.shape for values in none] == [(0, K), (0, K), (0,)]


def test_columns_of_files():
    part = {"galaxy_id": np.array([7, 8]), "prop_muv": np.array([-20.0, -21.0]), "neighbour_found": np.ones(2, bool)}
    near = part | {"neighbour_index": np.array([[3], [2]]), "neighbour_distance": np.array([[1.0], [3.0]])}
    far = part | {"neighbour_index": np.array([[9], [8]]), "neighbour_distance": np.array([[2.0], [2.0]])}
    merged = decomposition.merge_columns([near, far], [0.1, 0.2], 1)
    assert list(merged) == list(near)
    assert merged["neighbour_index"].tolist() == [[3], [8]]
    assert merged["prop_muv"] is near["prop_muv"]
    with pytest.raises(UserError, match="other galaxies"):
        decomposition.merge_columns([near, far | {"galaxy_id": np.array([7, 9])}], [0.1, 0.2], 1)
