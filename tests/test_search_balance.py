import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mocksed.search import balance, choice
from mocksed.search.balance import SOFTNESS, Balance, means, solve
from mocksed.search.nodes import SFR_OFFSETS


def problem(seed, n=300, k=20, size=3, offset=0.3, scale=1.0):
    """Candidates whose statistics lie to one side, with weights of their own, some of them missing."""
    rng = np.random.default_rng(seed)
    log_weight = rng.normal(size=(n, k)) * scale
    n_found = rng.integers(1, k + 1, n)
    log_weight[np.arange(k) >= n_found[:, None]] = -np.inf
    statistics = (rng.normal(size=(n, k, size)) + offset).astype(np.float32)
    statistics[np.isneginf(log_weight)] = 0.0
    return log_weight, statistics


def objective(log_weight, statistics, coefficients):
    total = np.logaddexp.reduce(log_weight + statistics @ coefficients, axis=1)
    return total.mean() + 0.5 * SOFTNESS * np.sum(coefficients**2)


@given(seed=st.integers(0, 200), offset=st.floats(-0.5, 0.5), scale=st.floats(0.0, 3.0))
def test_means_reach_zero_but_for_the_softness(seed, offset, scale):
    log_weight, statistics = problem(seed, offset=offset, scale=scale)
    found = solve(log_weight, statistics)
    assert_allclose(means(log_weight, statistics, found), -SOFTNESS * found, rtol=0, atol=2e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_solution_is_the_minimum(seed):
    """Convex: neither near nor far is there anything lower."""
    log_weight, statistics = problem(seed)
    statistics = statistics.astype(float)
    found = solve(log_weight, statistics)
    lowest = objective(log_weight, statistics, found)
    rng = np.random.default_rng(seed)
    for size in (0.03, 0.3, 3.0, 30.0):
        for _ in range(20):
            assert objective(log_weight, statistics, found + size * rng.normal(size=3)) > lowest


def test_what_is_balanced_already_is_left_alone():
    log_weight = np.zeros((50, 2))
    statistics = np.tile(np.array([[[0.5, -1.0], [-0.5, 1.0]]], np.float32), (50, 1, 1))
    assert_allclose(solve(log_weight, statistics), 0.0, atol=1e-12)


def test_what_cannot_be_balanced_is_balanced_as_far_as_is_worth_it():
    """All candidates of all galaxies lie above: the best that there is, at a price that is finite."""
    log_weight, statistics = problem(1, size=1, offset=0.0)
    statistics = np.abs(statistics) + 0.2
    found = solve(log_weight, statistics)
    assert np.all(np.isfinite(found))
    left = means(log_weight, statistics, found)
    assert_allclose(left, -SOFTNESS * found, atol=2e-4)
    assert 0.2 < left[0] < means(log_weight, statistics, np.zeros(1))[0]


def test_a_galaxy_of_one_candidate_does_not_move_the_others():
    log_weight, statistics = problem(3, k=2)
    log_weight[:, 1] = -np.inf
    assert_allclose(means(log_weight, statistics, np.ones(3)), statistics[:, 0].mean(axis=0), rtol=1e-6)


def test_weights_balanced_are_taken_with_balanced_frequencies():
    """What `solve` promises of weights, `choice.take` keeps."""
    log_weight, statistics = problem(5, n=20_000, k=8)
    found = solve(log_weight, statistics)
    taken = choice.take(log_weight + statistics @ found, np.random.default_rng(0).random(20_000))
    of_taken = np.take_along_axis(statistics, taken[:, None, None], 1)[:, 0].astype(float)
    error = 4.0 * of_taken.std(axis=0) / np.sqrt(20_000)
    assert np.all(np.abs(of_taken.mean(axis=0) + SOFTNESS * found) < error)


def table():
    rng = np.random.default_rng(2)
    return Balance(np.array([0.5, 1.0, 2.0]), np.array([8.0, 8.5]), rng.normal(size=(3, 2, 9)), np.zeros((3, 2, 9)))


def test_at_the_nodes_coefficients_are_those_of_the_nodes():
    of = table()
    z, mass = (values.ravel() for values in np.meshgrid(of.redshift, of.log_mstar, indexing="ij"))
    assert_allclose(of.at(z, mass), of.coefficients.reshape(-1, 9), rtol=0, atol=1e-14)


def test_between_nodes_coefficients_are_linear_and_beyond_they_are_those_of_the_outermost():
    of = table()
    c = of.coefficients
    found = of.at(np.array([0.75, 1.25, 0.0, 99.0, 1.0]), np.array([8.0, 8.25, 8.5, 3.0, 20.0]))
    expected = [
        0.5 * (c[0, 0] + c[1, 0]),
        0.5 * (0.75 * (c[1, 0] + c[1, 1]) + 0.25 * (c[2, 0] + c[2, 1])),
        c[0, 1],
        c[2, 0],
        c[1, 1],
    ]
    assert_allclose(found, expected, rtol=0, atol=1e-14)


def test_one_node_is_for_all():
    one = Balance(np.array([1.0]), np.array([9.0]), np.ones((1, 1, 9)), np.zeros((1, 1, 9)))
    assert_array_equal(one.at(np.array([0.0, 5.0]), np.array([7.0, 12.0])), np.ones((2, 9)))


def test_it_is_the_same_after_a_file():
    of = table()
    stored = json.loads(json.dumps(of.as_json()))
    again = Balance.from_json(stored)
    for name in ("redshift", "log_mstar", "coefficients", "residual"):
        assert getattr(again, name).tobytes() == getattr(of, name).tobytes()


def test_the_uniforms_are_even_and_inside():
    uniforms = balance._uniforms(1024, 4)
    assert len(uniforms) == 4
    for values in [values for uniform in uniforms for values in uniform.values()]:
        assert np.all((values > 0.0) & (values < 1.0))
        assert np.all(np.abs(np.histogram(values, 16, (0.0, 1.0))[0] - 64) <= 1)


def with_given_sfr():
    size = len(choice.STATISTICS)
    rng = np.random.default_rng(9)
    redshift, log_mstar = np.array([1.0, 2.0]), np.array([9.0, 9.5, 10.0])
    shape = (2, 3, size)
    of_given = rng.normal(size=(len(SFR_OFFSETS), *shape))
    return Balance(redshift, log_mstar, rng.normal(size=shape), np.zeros(shape), of_given)


def test_coefficients_of_given_sfrs_are_linear_between_nodes_of_the_sfr():
    found = with_given_sfr()
    z, mass = np.full(4, 2.0), np.full(4, 9.5)
    offset = np.array([SFR_OFFSETS[3], 0.5 * (SFR_OFFSETS[3] + SFR_OFFSETS[4]), np.nan, 9.0])
    coefficients = found.at(z, mass, offset)
    assert_allclose(coefficients[0], found.given_sfr[3, 1, 1], rtol=1e-12)
    assert_allclose(coefficients[1], 0.5 * (found.given_sfr[3, 1, 1] + found.given_sfr[4, 1, 1]), rtol=1e-12)
    assert_allclose(coefficients[2], found.coefficients[1, 1], rtol=1e-12)  # as of a galaxy whose SFR is drawn
    assert_allclose(coefficients[3], found.given_sfr[-1, 1, 1], rtol=1e-12)
    assert_array_equal(found.at(z, mass), np.repeat(found.coefficients[1, 1][None], 4, axis=0))


def test_those_of_given_sfrs_are_stored_too():
    found = with_given_sfr()
    again = Balance.from_json(json.loads(json.dumps(found.as_json())))
    assert_array_equal(again.given_sfr, found.given_sfr)
    assert Balance.from_json(json.loads(json.dumps(replace(found, given_sfr=None).as_json()))).given_sfr is None
