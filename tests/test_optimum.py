import numpy as np
import pytest
from numpy.testing import assert_allclose

from mocksed import optimum
from mocksed.cosmology import AGE_MARGIN
from mocksed.neighbours import METRICS
from mocksed.sps.weights import sfr_per_mass_formed

DEFAULT = METRICS["default"]
LOW, HIGH = np.array([[-3.0, -1.0, 0.0, -2.0]]), np.array([[1.0, 2.0, 4.0, 0.2]])


def towards(*targets):
    """Residuals that vanish at a target of each problem."""
    targets = np.array(targets)
    return lambda x, rows: x - targets[rows]


def solve(residuals, start, low=LOW, high=HIGH):
    start = np.atleast_2d(start)
    shape = (len(start), 1)
    return optimum.minimise(residuals, start, np.tile(low, shape), np.tile(high, shape))


def test_a_minimum_within_the_bounds_is_found():
    x, value = solve(towards([0.3, 0.5, 1.0, -1.0]), [-2.0, 1.5, 0.1, 0.0])
    assert_allclose(x, [[0.3, 0.5, 1.0, -1.0]], atol=1e-6)
    assert_allclose(value, 0.0, atol=1e-12)


def test_a_minimum_beyond_the_bounds_ends_on_them():
    x, value = solve(towards([0.3, 5.0, -1.0, -1.0]), [-2.0, 1.5, 0.1, 0.0])
    assert_allclose(x, [[0.3, 2.0, 0.0, -1.0]], atol=1e-6)
    assert_allclose(value, 3.0**2 + 1.0**2, rtol=1e-9)


def test_the_other_parameters_move_on_where_one_is_at_its_bound():
    # x0 + x1 = 3 and x0 - x1 = -3 have the solution (0, 3): with x1 <= 2 the nearest point is (0, 2), not where a line
    # to (0, 3) leaves the bounds
    def residuals(x, rows):
        return np.stack([x[:, 0] + x[:, 1] - 3.0, x[:, 0] - x[:, 1] + 3.0, x[:, 2] - 1.0, x[:, 3]], axis=1)

    x, value = solve(residuals, [-2.5, -0.5, 3.0, -1.0])
    assert_allclose(x, [[0.0, 2.0, 1.0, 0.0]], atol=1e-5)
    assert_allclose(value, 2.0, rtol=1e-9)


def test_a_curved_valley_is_followed():
    def residuals(x, rows):  # Rosenbrock (1960), milder
        return np.stack([3.0 * (x[:, 1] - x[:, 0] ** 2), 1.0 - x[:, 0], x[:, 2], x[:, 3]], axis=1)

    _, value = solve(residuals, [-1.0, 1.0, 1.0, -1.0], high=np.array([[2.0, 4.0, 4.0, 0.2]]))
    assert value[0] < 1e-3


def test_a_problem_does_not_depend_on_its_company():
    rng = np.random.default_rng(0)
    targets, starts = rng.uniform(-3.0, 3.0, (50, 4)), rng.uniform(LOW, HIGH, (50, 4))

    def residuals(x, rows):
        return np.sin(x - targets[rows]) + 0.1 * (x - targets[rows]) ** 2

    together, value = solve(residuals, starts)
    for i in (0, 7, 49):
        alone, own = solve(lambda x, rows, i=i: residuals(x, rows + i), starts[i])
        assert alone.tobytes() == together[i].tobytes()
        assert own.tobytes() == value[i : i + 1].tobytes()


def test_the_value_never_rises():
    rng = np.random.default_rng(1)
    starts = rng.uniform(LOW, HIGH, (200, 4))

    def residuals(x, rows):
        return np.stack([np.sin(5.0 * x[:, 0]), np.cos(3.0 * x[:, 1] * x[:, 2]), np.exp(x[:, 3]), x[:, 1]], axis=1)

    x, value = solve(residuals, starts)
    assert np.all(value <= np.sum(residuals(starts, None) ** 2, axis=1))
    assert np.all((x >= LOW) & (x <= HIGH))
    assert_allclose(value, np.sum(residuals(x, None) ** 2, axis=1), rtol=1e-12)


@pytest.mark.parametrize("sfh", ["delayed_tau", "tau"])
def test_the_other_branch_has_the_same_sfr_and_another_tau(sfh):
    x = np.array([[0.0, 1.5, 0.3, -0.5], [-0.5, -0.9, 0.0, 0.1]])
    other = optimum._other_branch(x, sfh)
    assert_allclose(10.0 ** other[:, 1], [0.1, 1.0])
    assert_allclose(other[:, 2:], x[:, 2:])
    of_both = (sfr_per_mass_formed(sfh, 10.0 ** y[:, 0], 10.0 ** y[:, 1]) for y in (x, other))
    assert_allclose(*of_both, rtol=1e-3)


def some_models(engine, n=300):
    """Parameters of models, what they look like as proposals, mass and age limit."""
    rng = np.random.default_rng(5)
    limit, mass = rng.uniform(0.5, 13.0, n), rng.uniform(8.0, 11.0, n)
    true = {
        "age": limit * rng.uniform(0.05, 0.95, n),
        "tau": 10.0 ** rng.uniform(-0.5, 1.5, n),
        "dust2": rng.uniform(0.05, 1.0, n),
        "log_zmet": rng.uniform(-1.5, 0.1, n),
        "log_us": rng.uniform(-3.5, -1.5, n),
    }
    true["tau"] = np.maximum(true["tau"], 0.2 * true["age"])  # a star-forming galaxy
    return true, as_proposal(engine, true, mass), mass, limit


def as_proposal(engine, model, mass):
    derived = engine.derived(*(model[k] for k in ("age", "tau", "log_zmet", "log_us", "dust2")), nebular=True)
    return {
        "log_sfr": derived.log_ssfr + mass,
        "muv": derived.muv - 2.5 * mass,
        "beta": derived.beta,
        **{name: model[name] for name in ("log_zmet", "log_us", "tau")},
    }


def beside(true, limit):
    """Starts some way off the truth."""
    rng = np.random.default_rng(6)
    n = len(limit)
    return {
        "age": np.minimum(true["age"] * 10.0 ** rng.normal(0.0, 0.15, n), limit),
        "tau": np.clip(true["tau"] * 10.0 ** rng.normal(0.0, 0.2, n), 0.1, 100.0),
        "dust2": np.abs(true["dust2"] + rng.normal(0.0, 0.1, n)),
        "log_zmet": true["log_zmet"] + rng.normal(0.0, 0.1, n),
    }


def refine(engine, start, proposal, mass, limit, tau_weight=0.1, metric=DEFAULT):
    return optimum.nearest_models(start, proposal, mass, limit, engine=engine, metric=metric, tau_weight=tau_weight)


def distance(engine, found, proposal, mass):
    result = as_proposal(engine, found, mass) | {"log_mstar": mass}
    return DEFAULT.distance(proposal | {"log_mstar": mass}, result)


def test_proposals_that_are_models_are_met(engine):
    true, proposal, mass, limit = some_models(engine)
    found = refine(engine, beside(true, limit), proposal, mass, limit)
    reached = distance(engine, found, proposal, mass)
    assert np.median(reached) < 1e-3
    assert np.quantile(reached, 0.99) < 0.02
    for name in ("age", "tau"):
        assert np.median(np.abs(np.log10(found[name] / true[name]))) < 0.01
    for name in ("dust2", "log_zmet"):
        assert np.median(np.abs(found[name] - true[name])) < 0.01
    assert found["log_us"].tobytes() == proposal["log_us"].tobytes()


def test_what_is_found_is_nearer_than_the_start_and_allowed(engine):
    true, proposal, mass, limit = some_models(engine)
    rng = np.random.default_rng(7)
    proposal = proposal | {"muv": proposal["muv"] + rng.normal(0.0, 1.0, len(mass)), "beta": proposal["beta"] - 0.5}
    start = beside(true, limit)
    found = refine(engine, start, proposal, mass, limit, tau_weight=0.0)
    before = distance(engine, start | {"log_us": proposal["log_us"]}, proposal, mass)
    assert np.all(distance(engine, found, proposal, mass) <= before + 1e-9)
    assert np.all((found["age"] >= AGE_MARGIN) & (found["age"] <= limit))
    assert np.all((found["tau"] >= 0.1) & (found["tau"] <= 100.0))
    assert np.all(found["dust2"] >= 0.0)
    low, high = engine.table.log_zmet_range
    assert np.all((found["log_zmet"] >= low) & (found["log_zmet"] <= high))


def test_the_prior_holds_tau_where_the_proposal_is_out_of_reach(engine):
    true, proposal, mass, limit = some_models(engine)
    proposal = proposal | {"muv": proposal["muv"] - 1.0}
    start = beside(true, limit)
    off = {
        weight: np.abs(np.log10(refine(engine, start, proposal, mass, limit, weight)["tau"] / proposal["tau"]))
        for weight in (0.0, 0.1, 30.0)
    }
    assert np.all(off[30.0] < 0.05)
    assert off[0.0].mean() > off[0.1].mean() > off[30.0].mean()


def test_only_the_coordinates_of_the_metric_count(engine):
    true, proposal, mass, limit = some_models(engine, 20)
    found = refine(engine, beside(true, limit), proposal, mass, limit, metric=METRICS["drakos2021a"])
    as_found = as_proposal(engine, found, mass)
    assert_allclose(as_found["log_sfr"], proposal["log_sfr"], atol=0.05)
    assert optimum._weights(METRICS["drakos2021a"]) == pytest.approx([1 / 4, 1 / 30, 1 / 3, 1 / 2])
    assert optimum._weights(DEFAULT) == pytest.approx([1 / 0.3, 1 / 0.7, 1 / 0.35, 1 / 0.3])


def test_the_same_bytes_for_any_sharding_and_batch(engine, monkeypatch):
    true, proposal, mass, limit = some_models(engine, 60)
    proposal = proposal | {"muv": proposal["muv"] + np.linspace(-2.0, 2.0, 60)}
    start = beside(true, limit)
    whole = refine(engine, start, proposal, mass, limit)

    def part(rows):
        of_rows = ({name: values[rows] for name, values in columns.items()} for columns in (start, proposal))
        return refine(engine, *of_rows, mass[rows], limit[rows])

    for rows in (slice(0, 1), slice(13, 41), slice(59, 0, -7)):
        for name, values in part(rows).items():
            assert values.tobytes() == whole[name][rows].tobytes()
    monkeypatch.setattr(optimum, "BATCH", 7)
    for name, values in refine(engine, start, proposal, mass, limit).items():
        assert values.tobytes() == whole[name].tobytes()


def test_no_galaxies(engine):
    nothing = {name: np.empty(0) for name in ("age", "tau", "dust2", "log_zmet")}
    found = refine(engine, nothing, nothing, np.empty(0), np.empty(0))
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys([*nothing, "log_us"], 0)
