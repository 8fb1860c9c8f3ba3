import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocksed.search.nodes import LOG_MSTARS, REDSHIFTS, grid, nodes_within


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 9.5, [0.0, 0.2, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0]),
        (0.3, 0.4, [0.2, 0.5]),
        (0.5, 1.0, [0.5, 1.0]),
        (1.0, 1.0, [1.0]),
        (11.0, 50.0, [10.0, 12.0, 16.0, 20.0]),
        (30.0, 50.0, [20.0]),
    ],
)
def test_nodes_are_those_around_the_galaxies(low, high, expected):
    assert nodes_within(REDSHIFTS, low, high).tolist() == expected


@given(st.tuples(st.floats(0.0, 25.0), st.floats(0.0, 25.0)).map(sorted))
def test_nodes_are_no_more_than_needed(limits):
    low, high = limits
    found = nodes_within(REDSHIFTS, low, high)
    assert np.all(np.diff(found) > 0.0)
    assert set(found) <= set(REDSHIFTS)
    assert found[0] <= max(low, REDSHIFTS[0]) or found.tolist() == [REDSHIFTS[-1]]
    assert found[-1] >= min(high, REDSHIFTS[-1])
    assert np.count_nonzero(found < low) <= 1
    assert np.count_nonzero(found > high) <= 1


def test_the_grid_of_redshift_and_mass():
    redshifts, log_mstars = grid((0.6, 1.2), (8.0, 9.6))
    assert redshifts.tolist() == [0.5, 1.0, 1.5]
    assert log_mstars.tolist() == [8.0, 8.25, 8.5, 8.75, 9.0, 9.25, 9.5, 9.75]
    assert LOG_MSTARS[0] == 4.0
    assert LOG_MSTARS[-1] == 13.5


def test_masses_beyond_the_grid_have_its_outermost_nodes():
    assert grid((0.0, 0.1), (2.0, 3.0))[1].tolist() == [4.0]
    assert grid((0.0, 0.1), (14.0, 15.0))[1].tolist() == [13.5]
