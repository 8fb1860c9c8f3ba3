import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import differential_evolution

from mocksed import assign, yardstick
from mocksed.cosmology import Cosmology, age_max
from mocksed.neighbours import METRICS
from mocksed.relations import Relations

DEFAULT = METRICS["default"]


@pytest.fixture(scope="module")
def library(engine):
    return yardstick.Library(engine, 15)


def squares(target):
    return lambda x, owner: np.sum((x - target[owner]) ** 2, axis=1)


def test_the_simplex_finds_minima_inside_and_on_the_surface():
    target = np.array([[0.3, 0.8, 0.5], [-0.4, 0.2, 1.7]])
    x, value = yardstick.nelder_mead(squares(target), np.full((2, 3), 0.5), np.arange(2), 0.2, 150)
    x, value = yardstick.nelder_mead(squares(target), x, np.arange(2), 0.2, 150)
    assert_allclose(x, [[0.3, 0.8, 0.5], [0.0, 0.2, 1.0]], atol=1e-4)
    assert_allclose(value, [0.0, 0.4**2 + 0.7**2], atol=1e-6)


def test_the_simplex_follows_a_curved_valley():
    def banana(x, owner):
        a, b = 4.0 * x[:, 0] - 2.0, 4.0 * x[:, 1] - 1.0
        return 100.0 * (b - a**2) ** 2 + (1.0 - a) ** 2

    start, own = np.array([[0.2, 0.5], [0.9, 0.1]]), np.arange(2)
    for _ in range(3):
        start, value = yardstick.nelder_mead(banana, start, own, 0.1, 100)
    assert np.all(value < 1e-6)
    assert_allclose(start, [[0.75, 0.5]] * 2, atol=1e-3)


def models(engine, n=40):
    rng = np.random.default_rng(3)
    mass, z = rng.uniform(8.0, 11.0, n), rng.uniform(0.1, 6.0, n)
    limit = age_max(Cosmology(), z)
    age, tau, dust2 = limit * rng.uniform(0.02, 1.0, n), 10.0 ** rng.uniform(-0.8, 2.0, n), rng.uniform(0.0, 1.5, n)
    tau = np.maximum(tau, 0.15 * age)
    log_zmet, log_us = rng.uniform(-1.8, 0.15, n), rng.uniform(-3.8, -1.2, n)
    return yardstick.model_columns(engine, age, tau, dust2, log_zmet, log_us, mass), mass, z, limit


def test_models_are_reachable(engine, library):
    proposal, mass, z, limit = models(engine)
    best = yardstick.best_reachable(proposal, mass, z, limit, library=library, metric=DEFAULT)
    assert np.all(best["distance"] < 0.02)
    assert np.median(best["distance"]) < 1e-3
    assert np.all(best["age"] <= limit)
    assert best["log_us"].tobytes() == proposal["log_us"].tobytes()


def test_offsets_are_those_of_the_parameters(engine, library):
    proposal, mass, z, limit = models(engine, 10)
    proposal["muv"] += 1.5
    best = yardstick.best_reachable(proposal, mass, z, limit, library=library, metric=DEFAULT)
    parameters = (best[name] for name in ("age", "tau", "dust2", "log_zmet", "log_us"))
    found = yardstick.model_columns(engine, *parameters, mass)
    for name in yardstick.QUANTITIES:
        assert_allclose(best[f"d_{name}"], found[name] - proposal[name], atol=1e-9)
    offsets = [best[f"d_{name}"] / scale for name, scale in
               (("log_sfr", 0.3), ("muv", 0.7), ("beta", 0.35), ("log_zmet", 0.3))]  # fmt: skip
    assert_allclose(best["distance"], np.sqrt(np.sum(np.square(offsets), axis=0)), rtol=1e-9)


def test_what_no_model_can_do_is_out_of_reach(engine, library):
    proposal, mass, z, limit = models(engine, 5)
    proposal["beta"] = np.full(5, -4.0)
    best = yardstick.best_reachable(proposal, mass, z, limit, library=library, metric=DEFAULT)
    assert np.all(best["distance"] > 1.0)
    assert np.all(best["d_beta"] > 0.5)
    assert_allclose(best["dust2"], 0.0, atol=1e-3)


def test_a_younger_universe_reaches_no_further(engine, library):
    proposal, mass, z, limit = models(engine, 20)
    old, young = (
        yardstick.best_reachable(proposal, mass, z, part * limit, library=library, metric=DEFAULT)
        for part in (1.0, 0.05)
    )
    assert np.all(young["age"] <= 0.05 * limit)
    assert np.all(young["distance"] > old["distance"] - 0.01)
    assert np.median(young["distance"]) > 0.3


def test_the_ionisation_parameter_is_free_where_the_metric_has_it(engine, library):
    proposal, mass, z, limit = models(engine, 5)
    proposal["log_us"] = np.full(5, -1.0)
    best = yardstick.best_reachable(proposal, mass, z, limit, library=library, metric=METRICS["drakos2021a"])
    assert np.any(best["log_us"] < -1.0)
    fixed = yardstick.best_reachable(proposal, mass, z, limit, library=library, metric=DEFAULT)
    assert np.all(fixed["log_us"] == -1.0)


@pytest.mark.slow
def test_it_agrees_with_a_global_search(engine, library):
    n = 4
    mass, z = np.array([8.3, 9.0, 10.5, 9.5]), np.array([0.5, 2.0, 1.2, 6.0])
    limit = age_max(Cosmology(), z)
    proposal = assign.propose(np.arange(n), mass, z, seed=8, scatter=Relations())
    best = yardstick.best_reachable(proposal, mass, z, limit, library=library, metric=DEFAULT)
    for i in range(n):
        asked = {name: proposal[name][i] for name in yardstick.QUANTITIES} | {"log_mstar": mass[i]}
        log_us = np.clip(asked["log_us"], -4.0, -1.0)

        def distance(x, asked=asked, log_us=log_us, mass=mass[i]):
            age, tau = 10.0 ** x[0], np.clip(10.0 ** x[1], 0.1, 100.0)
            parameters = (np.atleast_1d(v).astype(float) for v in (age, tau, x[2], x[3], log_us))
            found = yardstick.model_columns(engine, *parameters, mass) | {"log_mstar": mass}
            return DEFAULT.distance(asked, found)[0]

        bounds = [(-3.0, np.log10(limit[i]) - 1e-9), (-1.0, 2.0), (0.0, 4.0), engine.table.log_zmet_range]
        found = differential_evolution(distance, bounds, rng=1, maxiter=150, tol=1e-8)
        assert best["distance"][i] == pytest.approx(found.fun, abs=3e-3)


def test_the_library_covers_the_parameters(library):
    for values, low, high in (
        (np.log10(library.age), -3.0, np.log10(13.8)),
        (library.log_tau, -1.0, 2.0),
        (library.dust2, 0.0, 4.0),
        (library.log_zmet, *library.engine.table.log_zmet_range),
    ):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
