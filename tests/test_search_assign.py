import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from mocksed.files.columns import Flag
from mocksed.rng import Stage, uniforms
from mocksed.search import assign
from mocksed.search.metric import METRICS
from mocksed.search.parent import FSPS

N = 20_000
IDS = np.arange(N)
PARENT = {"age": [1.0, 4.0, 2.0], "tau": [0.1, 10.0, 1.0], "dust2": [0.0, 1.0, 0.5], "dust_index": [-1.0, 0.0, 0.4],
          "log_zmet": [-1.0, 0.0, -0.5], "log_us": [-3.0, -2.0, -1.0]}  # fmt: skip


def take(names, rows):
    return {name: np.array(PARENT[name], np.float32)[rows] for name in names}


@given(hnp.arrays(float, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=st.floats(0.0, 1e6)))
def test_weights_sum_to_one_and_fall_with_distance(distance):
    weight = assign.inverse_distance(distance)
    assert_allclose(weight.sum(axis=1), 1.0, rtol=1e-12)
    for d, w in zip(distance, weight, strict=True):
        assert np.all(np.diff(w[np.argsort(d)]) <= 0.0)


def test_weights_are_inverse_distances_and_a_zero_takes_it_all():
    weight = assign.inverse_distance(np.array([[1.0, 2.0, 4.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]))
    assert_allclose(weight[0], np.array([4, 2, 1]) / 7)
    assert_allclose(weight[1:], [[1, 0, 0], [0.5, 0.5, 0]], atol=3e-6)


def test_weighted_mean():
    neighbours = {name: np.array([values[:2]]) for name, values in PARENT.items()}
    mean = assign.weighted_mean(neighbours, np.array([[0.5, 0.5]]))
    assert mean.keys() == set(FSPS)
    expected = {"age": 2.0, "tau": 1.0, "dust2": 0.5, "dust_index": -0.5, "log_zmet": -0.5, "log_us": -2.5}
    for name, value in expected.items():
        assert_allclose(mean[name], [value], rtol=1e-14)
    mean = assign.weighted_mean(neighbours, np.array([[0.75, 0.25]]))
    assert_allclose(mean["age"], [2.0**0.5], rtol=1e-14)
    assert_allclose(mean["dust2"], [0.25], rtol=1e-14)


WEIGHT = np.array([0.5, 0.2, 0.3])
DISTANCE = np.tile(1.0 / WEIGHT, (N, 1))


def test_sample_draws_each_neighbour_as_often_as_its_weight():
    counts = np.bincount(assign.sample(DISTANCE, IDS, seed=1), minlength=3)
    assert stats.chisquare(counts, N * WEIGHT).pvalue > 0.01


def test_sample_never_draws_what_has_no_weight():
    assert np.all(assign.sample(np.tile([[1e12, 0.0, 1e12]], (N, 1)), IDS, seed=1) == 1)


def test_sample_depends_on_galaxy_seed_and_realisation_alone():
    whole = assign.sample(DISTANCE, IDS, seed=1)
    rows = slice(N, 0, -7)
    assert assign.sample(DISTANCE[rows], IDS[rows], seed=1).tobytes() == whole[rows].tobytes()
    assert 0.3 < np.mean(assign.sample(DISTANCE, IDS, seed=2) == whole) < 0.45
    others = assign.sample(DISTANCE, IDS, seed=1, realisation=np.where(IDS % 2, 3, 0))
    assert_array_equal(others[::2], whole[::2])
    assert_array_equal(others[1::2], assign.sample(DISTANCE[1::2], IDS[1::2], seed=1, realisation=3))
    assert 0.3 < np.mean(others[1::2] == whole[1::2]) < 0.45


def test_the_draw_is_not_that_of_the_proposals():
    ours = uniforms(1, Stage.ASSIGNMENT, IDS, 1)
    assert not np.any(ours == uniforms(1, Stage.PROPOSAL, IDS, 1))


def found(n=1, *, rows=(0, 1), distance=None, allowed=True):
    """What the search could have found for some galaxies, all the same, for any method."""
    return {
        "parent_found": np.full(n, allowed),
        "parent_row": np.full(n, rows[-1]),
        "neighbour_row": np.tile(rows, (n, 1)),
        "neighbour_distance": np.tile(distance or np.ones(len(rows)), (n, 1)),
        "prop_log_us": np.full(n, -1.5),
    }


def assigned(limit, *, metric="default", method="weighted_mean", kind="star_forming", n=1, of=None, **own):
    own = {"galaxy_id": np.arange(n)} | own
    return assign.assign(
        own | (of or found(n)), np.full(n, limit), take, metric=METRICS[metric][kind], method=method, seed=1
    )


@pytest.mark.parametrize(
    ("method", "ages"),
    [("choose", [4.0]), ("weighted_mean", [2.0]), ("nearest", [1.0]), ("sample", [1.0, 4.0])],
)
def test_the_method_decides(method, ages):
    result = assigned(10.0, method=method, n=50)
    assert result.keys() == {*FSPS, "flags"}
    assert set(np.round(result["age"], 12)) == set(ages)
    assert all(values.dtype == float for name, values in result.items() if name != "flags")


@pytest.mark.parametrize("method", ["choose", "nearest", "sample"])
def test_all_parameters_are_those_of_one_point(method):
    result = assigned(10.0, method=method, n=50, metric="drakos2021a", of=found(50, rows=(2, 0, 1)))
    rows = np.searchsorted([1.0, 2.0, 4.0], result["age"])
    rows = np.array([0, 2, 1])[rows]
    for name in FSPS:
        assert_array_equal(result[name], np.array(PARENT[name], np.float32)[rows].astype(float))


def test_a_method_that_is_unknown():
    with pytest.raises(ValueError, match="refine"):
        assigned(10.0, method="refine")


@pytest.mark.parametrize("method", assign.METHODS)
def test_blocks_and_the_order_do_not_matter(method, monkeypatch):
    rng = np.random.default_rng(2)
    n = 300
    of = {
        "parent_found": rng.random(n) < 0.9,
        "parent_row": rng.integers(0, 3, n),
        "neighbour_row": rng.integers(0, 3, (n, 4)),
        "neighbour_distance": np.sort(rng.random((n, 4)), axis=1),
        "prop_log_us": rng.uniform(-4.0, -1.0, n),
    }
    own = {"galaxy_id": rng.permutation(n), "realisation": rng.integers(0, 3, n)}
    limit = rng.uniform(0.5, 5.0, n)

    def made(rows):
        return assign.assign(
            {name: values[rows] for name, values in (own | of).items()}, limit[rows], take,
            metric=METRICS["default"]["star_forming"], method=method, seed=1,
        )  # fmt: skip

    whole = made(slice(None))
    monkeypatch.setattr(assign, "BLOCK", 64)
    for rows in (slice(None), slice(0, 0), slice(5, 6), slice(None, None, -1)):
        for name, values in made(rows).items():
            assert values.tobytes() == whole[name][rows].tobytes()


def test_an_age_that_is_not_allowed_is_moved_and_flagged():
    result = assigned(1.5)
    assert result["age"].tolist() == [1.5]
    assert result["flags"].tolist() == [Flag.AGE_CLIPPED]
    assert result["flags"].dtype == np.int32
    result = assigned(2.5)
    assert_allclose(result["age"], [2.0])
    assert result["flags"].tolist() == [0]


def test_no_allowed_neighbour_is_flagged():
    of = found(allowed=False)
    assert assigned(10.0, of=of)["flags"].tolist() == [Flag.NO_ALLOWED_NEIGHBOUR]
    assert assigned(0.5, of=of)["flags"].tolist() == [Flag.NO_ALLOWED_NEIGHBOUR | Flag.AGE_CLIPPED]


@pytest.mark.parametrize("method", assign.METHODS)
def test_the_ionisation_parameter_is_as_asked_where_it_is_not_searched(method):
    of_point = assigned(10.0, metric="drakos2021a", method=method)["log_us"]
    assert of_point.tolist() != [-1.5]
    assert assigned(10.0, method=method)["log_us"].tolist() == [-1.5]
    assert assigned(10.0, metric="drakos2021b", method=method)["log_us"].tolist() == [-1.5]
    of = found()
    del of["prop_log_us"]  # as of quiescent galaxies
    assert assigned(10.0, kind="quiescent", method=method, of=of)["log_us"].tolist() == of_point.tolist()


@given(
    limit=st.floats(0.01, 13.7),
    fraction=hnp.arrays(float, (4, 10), elements=st.floats(0.01, 0.999)),
    distance=hnp.arrays(float, (4, 10), elements=st.floats(0.0, 100.0)),
)
def test_allowed_neighbours_give_an_allowed_age(limit, fraction, distance):
    def of_rows(names, rows):
        return {name: fraction.ravel()[rows] * limit if name == "age" else np.ones(rows.shape) for name in names}

    of = {
        "neighbour_row": np.arange(40).reshape(4, 10),
        "neighbour_distance": distance,
        "parent_found": np.ones(4, bool),
    }
    result = assign.assign(
        {"galaxy_id": np.arange(4)} | of, np.full(4, limit), of_rows, metric=METRICS["default"]["star_forming"],
        method="weighted_mean", seed=1,
    )  # fmt: skip
    assert np.all(result["age"] <= limit)
    assert np.all(result["flags"] == 0)
    low, high = (fraction * limit).min(axis=1), (fraction * limit).max(axis=1)
    assert np.all((result["age"] >= low * (1 - 1e-12)) & (result["age"] <= high * (1 + 1e-12)))
