import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mocksed.quiescent_proposal import Cells, Reach, colours, history, outside, solve_tau
from mocksed.sps import TAU_RANGE
from mocksed.sps.weights import psi_n, sfr_per_mass_formed
from mocksed.uvj import WILLIAMS2009, in_box


@given(age=st.floats(1e-3, 13.8), log_tau=st.floats(-1.0, 2.0))
def test_the_solved_tau_gives_the_sfr(age, log_tau):
    psi = psi_n(age, 10.0**log_tau)
    tau = solve_tau(np.array([age]), np.array([psi]))
    assert TAU_RANGE[0] <= tau[0] <= TAU_RANGE[1] * (1.0 + 1e-12)
    assert_allclose(psi_n(age, tau), psi, rtol=1e-9)


def test_tau_itself_where_it_is_well_determined():
    age, tau = (x.ravel() for x in np.meshgrid([0.5, 2.0, 10.0], [0.11, 0.3, 1.0, 3.0, 20.0]))
    assert_allclose(solve_tau(age, psi_n(age, tau)), tau, rtol=1e-9)


def test_tau_of_an_sfr_out_of_reach_is_the_nearer_limit():
    age = np.array([0.1, 1.0, 10.0])
    assert_allclose(solve_tau(age, 2.0 / age), 100.0, rtol=1e-10)
    assert_allclose(solve_tau(age, 0.5 * psi_n(age, 0.1)), 0.1, rtol=1e-10)


def test_tau_rises_with_the_sfr():
    psi = np.geomspace(1e-5, 2.0, 200)
    assert np.all(np.diff(solve_tau(np.ones(200), psi)) >= 0.0)


@pytest.mark.parametrize(
    ("uv", "vj", "expected"),
    [
        (2.0, 1.0, 0.0),
        (1.3, 0.5, 0.0),  # on the edge
        (1.0, 0.0, 0.3),  # below U-V > 1.3, above the diagonal
        (2.5, 2.0, 0.4),  # right of V-J < 1.6; the diagonal is at 2.45
        (1.4, 1.5, 0.61 / 1.3320660644277),  # under the diagonal, at 2.01 there
        (1.0, 2.0, np.sqrt(0.3**2 + 0.4**2 + (1.45 / 1.3320660644277) ** 2)),  # outside of all three
    ],
)
def test_how_far_outside_the_box(uv, vj, expected):
    assert_allclose(outside(np.array([uv]), np.array([vj]), WILLIAMS2009), [expected], atol=1e-12)


@given(st.lists(st.tuples(st.integers(-100, 400), st.integers(-100, 400)), min_size=1))
def test_zero_is_inside_or_on_the_edge(hundredths):
    uv, vj = np.array(hundredths).T / 100.0
    distance, inside = outside(uv, vj, WILLIAMS2009), in_box(uv, vj)
    closed = (uv >= 1.3) & (vj <= 1.6) & (uv >= 0.88 * vj + 0.69)
    assert np.all((distance == 0.0) == closed)
    assert np.all(distance[inside] == 0.0)


@given(age=st.floats(1e-3, 13.8), log_tau=st.floats(-1.0, 2.0))
def test_the_tau_of_a_history_without_delay(age, log_tau):
    psi = sfr_per_mass_formed("tau", np.array([age]), np.array([10.0**log_tau]))
    assert_allclose(sfr_per_mass_formed("tau", age, solve_tau(np.array([age]), psi, "tau")), psi, rtol=1e-9)


def test_a_constant_history_has_no_tau():
    assert solve_tau(np.array([2.0, 2.0]), np.array([0.4, 0.6]), "constant").tolist() == [0.1, 100.0]


def test_extreme_rates_have_the_limits_of_tau():
    age = np.array([1e-3, 1.0, 13.8])
    assert_allclose(solve_tau(age, np.zeros(3)), 0.1)
    assert_allclose(solve_tau(age, np.full(3, 1e9)), 100.0)


# The table


@pytest.fixture(scope="module")
def cells(engine):
    return Cells.of(colours(engine, (0.0, 1.0)), WILLIAMS2009)


def test_dust_of_one_value_has_one_node(engine):
    assert colours(engine, (0.2, 0.2)).dust2.tolist() == [0.2]


def test_the_colours_of_the_table_are_those_of_the_model(engine, cells):
    table = cells.table
    at = tuple(np.random.default_rng(1).integers(0, n, 500) for n in table.uv.shape)
    reached = table.missed[at[:3]] == 0.0
    assert 0.3 < reached.mean() < 0.9
    age, log_zmet, log_ssfr, dust2 = (nodes[i] for nodes, i in zip((table.age, table.log_zmet, table.log_ssfr,
                                      table.dust2), (at[1], at[2], at[0], at[3]), strict=True))  # fmt: skip
    tau = history(age, log_ssfr, log_zmet, np.full(500, 0.6), engine)
    found = engine.derived(age, tau, log_zmet, -4.0, dust2, nebular=False)
    assert_allclose(found.uv, table.uv[at], atol=1e-6)
    assert_allclose(found.vj, table.vj[at], atol=1e-6)
    assert np.all(np.abs(found.log_ssfr - log_ssfr)[reached] < 0.01)
    assert_allclose(cells.mass_fraction(log_ssfr, age, log_zmet), table.mass_fraction[at[:3]])


def test_points_in_the_box_are_in_possible_cells(engine, cells):
    """Nothing that is accepted may lie where nothing is proposed."""
    rng, n = np.random.default_rng(2), 20_000
    age, log_zmet, dust2 = 13.0 ** rng.uniform(-0.3, 1.0, n), rng.uniform(-1.9, 0.19, n), rng.uniform(0.0, 1.0, n)
    log_ssfr = rng.uniform(-13.0, -9.5, n)
    tau = history(age, log_ssfr, log_zmet, np.full(n, 0.6), engine)
    found = engine.derived(age, tau, log_zmet, -4.0, dust2, nebular=False)
    inside = in_box(found.uv, found.vj) & (np.abs(found.log_ssfr - log_ssfr) < 0.01)
    nodes = (cells.table.log_ssfr, cells.table.age, cells.table.log_zmet, cells.dust2)
    at = [np.searchsorted(x, values) - 1 for x, values in zip(nodes, (log_ssfr, age, log_zmet, dust2), strict=True)]
    possible = cells.possible[tuple(at)]
    assert inside.sum() > 5000
    assert np.mean(possible[inside]) > 0.999
    assert np.mean(inside[possible]) > 0.8


# What priors leave of it


@pytest.fixture(scope="module")
def reach(cells):
    """Return the reach of two galaxies: one with even priors, one without any prior beyond the first three ages."""
    age, log_zmet, dust2 = (np.linspace(0.0, 1.0, len(x)) for x in (cells.table.age, cells.table.log_zmet, cells.dust2))
    return Reach(cells, np.stack([age, np.minimum(np.arange(len(age)) / 3.0, 1.0)]), np.stack([log_zmet] * 2), dust2)


def test_the_probability_of_the_box(reach, cells):
    both = np.array([0, 1])
    found = reach.probability(both, 0, len(cells.table.log_ssfr))
    assert_allclose(found[0], cells.inside.mean(axis=(1, 2, 3)))
    assert np.all(found[1] == 0.0)  # 0.1 Gyr is too young
    assert_allclose(reach.probability(both, np.array([20, 30]), 2)[0], found[0, 20:22])
    assert found[0, -1] == 0.0


def test_cells_are_drawn_by_their_probability(reach, cells):
    n, log_ssfr = 100_000, -10.3
    rows = np.zeros(n, np.int64)
    drawn, probability = reach.draw(rows, np.full(n, log_ssfr), (np.arange(n) + 0.5) / n)
    possible = cells.possible[reach.cell_of(np.array([log_ssfr]))[0]]
    assert_allclose(probability, possible.mean())
    count = np.zeros(possible.shape)
    np.add.at(count, tuple(drawn.T), 1)
    assert np.all(count[~possible] == 0)
    assert np.abs(count[possible] - n / possible.sum()).max() < 2.0  # the deviates are even
    low, high = reach.limits(rows[:2], np.array([[3, 1, 0], [62, 10, 19]]))
    assert_allclose(low, [[3 / 63, 1 / 11, 0.0], [62 / 63, 10 / 11, 0.95]], atol=1e-12)
    assert_allclose(high - low, [[1 / 63, 1 / 11, 0.05]] * 2)


@pytest.mark.parametrize(("row", "log_ssfr"), [(1, -11.0), (0, -8.6), (0, -7.0)])
def test_nothing_is_drawn_where_nothing_is_possible(reach, row, log_ssfr):
    assert reach.draw(np.array([row]), np.array([log_ssfr]), np.array([0.5]))[1] == 0.0


def test_the_nearest_corner(reach, cells):
    nodes, n_age = cells.table.log_ssfr, len(cells.table.age)
    log_ssfr = np.array([nodes[30], nodes[30], -9.2])
    highest = np.array([n_age - 1, 20, n_age - 1])
    corner = reach.nearest(log_ssfr, highest)
    assert np.all(corner[:, 0] <= highest)
    at = reach.cell_of(log_ssfr)
    distance, missed = cells.outside[at, *corner.T], cells.table.missed[at, *corner.T[:2]]
    assert distance[0] == missed[0] == 0.0
    of_the_young = cells.outside[30, :21] + 10.0 * cells.table.missed[30, :21, :, None]
    assert_allclose(distance[1] + 10.0 * missed[1], of_the_young.min())
    assert of_the_young.min() > 0.0
    assert missed[2] == 0.0
    assert distance[2] > 0.0


def test_the_nearest_corner_is_the_one_nearest_to_an_sfr_that_no_history_has(reach, cells):
    """At 10^-15 / yr an age of 0.2 Gyr is too young for a tau of 0.1 Gyr: the oldest comes nearest."""
    assert reach.nearest(np.array([-15.0]), np.array([9]))[0, 0] == 9
