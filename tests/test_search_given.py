import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import stats

from mocksed.quantities import GIVEN
from mocksed.search import given

N = 20_000


def galaxies(**columns):
    return {"galaxy_id": np.arange(N), **columns}


def test_what_is_given_is_asked_for_as_it_is():
    log_sfr = np.where(np.arange(N) % 3 == 0, np.nan, np.linspace(-2.0, 2.0, N))
    own = galaxies(given_log_sfr=log_sfr, given_log_sfr_error=np.full(N, 0.3), given_age=np.full(N, 2.0))
    targets = given.requested(own, "exact", seed=1)
    assert targets.keys() == {"log_sfr", "age"}
    assert_array_equal(targets["log_sfr"], log_sfr)
    assert_array_equal(targets["age"], own["given_age"])
    assert given.requested(galaxies(), "error", seed=1) == {}


def test_within_its_error_where_there_is_one():
    error = np.where(np.arange(N) % 2 == 0, 0.3, np.nan)
    own = galaxies(given_muv=np.full(N, -20.0), given_muv_error=error, given_beta=np.full(N, -2.0))
    targets = given.requested(own, "error", seed=1)
    drawn = (targets["muv"][::2] + 20.0) / 0.3
    assert stats.kstest(drawn, "norm").pvalue > 0.01
    assert_array_equal(targets["muv"][1::2], -20.0)
    assert_array_equal(targets["beta"], -2.0)


@pytest.mark.parametrize("changed", [{"seed": 2}, {"realisation": 1}])
def test_other_seeds_and_realisations_draw_others(changed):
    own = galaxies(given_muv=np.zeros(N), given_muv_error=np.ones(N))
    first = given.requested(own, "error", seed=1)["muv"]
    seed, realisation = changed.get("seed", 1), changed.get("realisation", 0)
    other = given.requested(own | {"realisation": np.full(N, realisation)}, "error", seed=seed)["muv"]
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.03


def test_quantities_are_drawn_independently_of_each_other():
    own = {f"given_{name}{end}": np.full(N, value) for name in GIVEN for end, value in (("", 0.0), ("_error", 1.0))}
    targets = given.requested(galaxies(**own), "error", seed=1)
    assert list(targets) == list(GIVEN)
    assert np.abs(np.corrcoef(list(targets.values())) - np.eye(len(GIVEN))).max() < 0.03


def test_draws_of_a_galaxy_do_not_depend_on_the_others_or_on_what_else_is_given():
    own = galaxies(given_muv=np.zeros(N), given_muv_error=np.ones(N))
    rows = np.random.default_rng(1).permutation(N)[:100]
    some = {name: values[rows] for name, values in own.items()} | {"given_age": np.ones(100)}
    assert_array_equal(
        given.requested(some, "error", seed=1)["muv"], given.requested(own, "error", seed=1)["muv"][rows]
    )


def test_known():
    of_table = {"muv": np.array([np.nan, -20.0])}
    assert_array_equal(given.known(of_table, "muv", np.array([-18.0, -19.0])), [-18.0, -20.0])
    assert_array_equal(given.known(of_table, "beta", -2.0), -2.0)
    assert_array_equal(given.is_given(of_table, "muv", 2), [False, True])
    assert_array_equal(given.is_given(of_table, "beta", 2), [False, False])
