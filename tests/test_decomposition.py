import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from threadpoolctl import threadpool_limits

from mocksed import assign, decomposition, parent, storage
from mocksed.cosmology import age_max, cosmology
from mocksed.decomposition import Found
from mocksed.errors import UserError
from mocksed.neighbours import METRICS, Neighbours
from mocksed.relations import Relations

K = 10


def tree_search(points, age, targets, k, limit):
    return Neighbours(points, age).nearest_allowed(targets, k, limit)


def brute_force(points, age, targets, k, limit):
    """Return the same from all distances."""
    k = min(k, len(points))
    rows, found = np.empty((len(targets), k), np.int64), np.array([np.any(age <= oldest) for oldest in limit])
    distance = np.linalg.norm(targets[:, None].astype(float) - points.astype(float), axis=2)
    for i, oldest in enumerate(limit):
        allowed = np.flatnonzero(age <= oldest) if found[i] else np.array([np.argmin(age)])
        nearest = allowed[np.argsort(distance[i, allowed], kind="stable")][:k]
        rows[i] = nearest[np.minimum(np.arange(k), len(nearest) - 1)]
    return rows, np.take_along_axis(distance, rows, 1), found


def search(points, age, targets, k, limit, n_trees, one_tree=tree_search):
    """Return what the search of every tree shard finds, merged."""
    parts, youngest = [], []
    for start, stop in storage.shard_bounds(len(points), n_trees):
        rows, *rest = one_tree(points[start:stop], age[start:stop], targets, k, limit)
        parts.append(Found(rows + start, *rest))
        youngest.append(float(age[start:stop].min()))
    return decomposition.merge(parts, youngest, k)


def same(one, other):
    for first, second in zip(one, other, strict=True):
        assert first.dtype == second.dtype
        assert_array_equal(first, second)


@pytest.fixture(scope="module")
def points(engine):
    sampling = parent.PRESETS["star_forming"]["default"]
    drawn = parent.sample(np.arange(20_000), sampling, quiescent=False, seed=1, cosmo=cosmology(), scatter=Relations())
    return parent.evaluate(drawn, engine, quiescent=False)


@pytest.fixture(scope="module")
def galaxies():
    rng = np.random.default_rng(5)
    own = {"redshift": rng.uniform(0.0, 12.0, 500), "log_mstar": rng.uniform(7.0, 11.5, 500)}
    return own | assign.propose(np.arange(500), **own, seed=1, scatter=Relations())


@pytest.mark.parametrize("preset", METRICS)
def test_any_cut_and_any_threads_find_the_same(points, galaxies, preset):
    metric, limit = METRICS[preset], age_max(cosmology(), galaxies["redshift"])
    coordinates, targets, age = metric.coordinates(points), metric.coordinates(galaxies), points["age"]
    expected = Found(*tree_search(coordinates, age, targets, K, limit))
    for n_trees, n_shards, threads in ((1, 1, 2), (3, 4, 1), (7, 16, 2)):
        with threadpool_limits(threads):
            parts = [
                search(coordinates, age, targets[start:stop], K, limit[start:stop], n_trees)
                for start, stop in storage.shard_bounds(len(targets), n_shards)
            ]
        same(Found(*map(np.concatenate, zip(*parts, strict=True))), expected)


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
    whole = Found(*brute_force(points, age, targets, k, limit))
    same(search(points, age, targets, k, limit, min(n_trees, n), brute_force), whole)


def test_blocks_and_no_galaxies(points, galaxies, monkeypatch):
    metric, limit = METRICS["default"], age_max(cosmology(), galaxies["redshift"])
    arguments = metric.coordinates(points), points["age"], metric.coordinates(galaxies), K, limit, 3
    whole = search(*arguments)
    monkeypatch.setattr(decomposition, "_BLOCK", 7)
    same(search(*arguments), whole)
    none = search(arguments[0], arguments[1], arguments[2][:0], K, limit[:0], 2)
    assert [x.shape for x in none] == [(0, K), (0, K), (0,)]


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
