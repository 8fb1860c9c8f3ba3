import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mocksed.quantities import QUANTITIES
from mocksed.search.move import history_of, move
from mocksed.search.parent import FSPS, SLOPES
from mocksed.sps import TAU_RANGE
from mocksed.sps.engine import Engine
from mocksed.sps.model import Model

N = 400
MASS = np.full(N, 10.0)


@pytest.fixture(scope="module")
def engine(engine):
    """Return an engine for which each galaxy has a slope of the attenuation curve of its own."""
    return Engine(engine.table, Model(dust_type="kriek_conroy"))


@pytest.fixture(scope="module")
def points():
    """Points well within what models can be, so that what is next to them can be had."""
    rng = np.random.default_rng(3)
    age = 10.0 ** rng.uniform(-0.3, 0.7, N)
    return {
        "age": age,
        "tau": np.maximum(age * 10.0 ** rng.uniform(-0.5, 0.1, N), 0.2),
        "log_zmet": rng.uniform(-1.5, 0.0, N),
        "log_us": rng.uniform(-3.5, -1.5, N),
        "dust2": rng.uniform(0.4, 1.5, N),
        "dust_index": rng.uniform(-0.7, 0.0, N),
    }


LIMIT = np.full(N, 10.0)


def results(parameters, engine, nebular=True):
    derived = engine.derived(*(parameters[name] for name in FSPS), nebular=nebular)
    return {
        **parameters, "log_sfr": derived.log_ssfr + MASS, "muv": derived.muv - 2.5 * MASS, "beta": derived.beta,
        "uv": derived.uv,
    }  # fmt: skip


def near(points, engine, names, nebular=True):
    """Return values of some quantities that are near those of points."""
    rng, found = np.random.default_rng(4), results(points, engine, nebular)
    sigma = {"log_sfr": 0.1, "muv": 0.1, "beta": 0.05, "log_zmet": 0.1, "log_us": 0.2, "dust2": 0.1, "age": 0.0}
    wanted = {name: found[name] + rng.normal(0.0, sigma[name], N) for name in names}
    if "age" in names:
        wanted["age"] = points["age"] * 10.0 ** rng.normal(0.0, 0.05, N)
    return wanted


@pytest.mark.parametrize(
    "names",
    [
        ("log_sfr",), ("log_zmet",), ("log_us",), ("muv",), ("beta",), ("dust2",), ("age",), ("log_sfr", "log_zmet"),
        ("log_sfr", "log_zmet", "log_us", "muv", "beta"), ("muv", "beta"), ("log_sfr", "dust2"), ("log_zmet", "age"),
    ],
)  # fmt: skip
def test_models_get_what_is_given_and_keep_their_light(points, engine, names):
    wanted = near(points, engine, names)
    moved = move(points, wanted, MASS, LIMIT, engine, nebular=True)
    before, after = results(points, engine), results(moved, engine)
    for name, values in wanted.items():
        # of all five together, some cannot be had
        met = np.abs(after[name] - values) <= QUANTITIES[name].tolerance
        assert np.mean(met) >= (0.99 if len(names) == 5 else 1.0), name
    # with the depth given, one parameter is left for M_UV and slope
    for name in {"log_sfr", *(() if "dust2" in names else ("muv", "beta"))} - set(names):
        assert np.median(np.abs(after[name] - before[name])) < 0.01, name
        assert np.percentile(np.abs(after[name] - before[name]), 95) < 0.04, name


def test_galaxies_of_which_nothing_is_given_keep_every_bit(points, engine):
    wanted = near(points, engine, ["log_sfr", "muv"])
    for values in wanted.values():
        values[::2] = np.nan
    moved = move(points, wanted, MASS, LIMIT, engine, nebular=True)
    for name in FSPS:
        assert_array_equal(moved[name][::2], points[name][::2])
    assert np.mean(moved["dust2"][1::2] != points["dust2"][1::2]) > 0.9
    nothing = move(points, {}, MASS, LIMIT, engine, nebular=True)
    assert all(nothing[name].tobytes() == points[name].tobytes() for name in FSPS)


def test_a_galaxy_does_not_depend_on_the_others_or_on_threads(points, engine, set_threads):
    wanted = near(points, engine, ["log_sfr", "log_zmet", "muv"])
    wanted["beta"] = np.where(np.arange(N) % 3, np.nan, results(points, engine)["beta"] - 0.1)
    together = move(points, wanted, MASS, LIMIT, engine, nebular=True)
    rows = np.random.default_rng(5).permutation(N)[:37]
    some, of_some = ({name: values[rows] for name, values in all_.items()} for all_ in (points, wanted))
    set_threads(1)
    alone = move(some, of_some, MASS[rows], LIMIT[rows], engine, nebular=True)
    for name in FSPS:
        assert alone[name].tobytes() == together[name][rows].tobytes(), name


def test_what_no_model_can_have_is_met_as_far_as_can_be(points, engine):
    impossible = {"log_sfr": np.full(N, 20.0), "log_zmet": np.full(N, 3.0), "age": np.full(N, 50.0)}
    moved = move(points, impossible, MASS, LIMIT, engine, nebular=True)
    assert_allclose(moved["age"], LIMIT)
    assert_allclose(moved["log_zmet"], engine.table.log_zmet_range[1])
    assert_allclose(moved["tau"], TAU_RANGE[1], rtol=1e-3)  # the most that is forming stars at this age
    bluer = move(points, {"beta": np.full(N, -5.0)}, MASS, LIMIT, engine, nebular=True)
    assert_array_equal(bluer["dust2"], 0.0)


def test_a_bright_galaxy_of_free_sfr_forms_more_stars(points, engine):
    held = results(points, engine)["log_sfr"]
    bare = engine.derived(*(points[name] for name in FSPS), nebular=True).muv_intrinsic - 2.5 * MASS
    wanted = {"muv": bare - 1.0}  # brighter than without dust
    after = results(move(points, wanted, MASS, LIMIT, engine, nebular=True), engine)
    assert_allclose(after["muv"], wanted["muv"], rtol=0, atol=QUANTITIES["muv"].tolerance)
    assert np.all(after["log_sfr"] > held + 0.1)
    bound = results(move(points, wanted | {"log_sfr": held}, MASS, LIMIT, engine, nebular=True), engine)
    assert_allclose(bound["log_sfr"], held, rtol=0, atol=QUANTITIES["log_sfr"].tolerance)
    assert np.all(bound["muv"] > wanted["muv"] + 0.9)


def test_quiescent_galaxies_keep_their_dust_unless_it_is_given(points, engine):
    old = points | {"age": np.full(N, 6.0), "tau": np.full(N, 0.7), "dust2": np.full(N, 0.1)}
    wanted = {"log_sfr": results(old, engine, nebular=False)["log_sfr"] - 0.3}
    moved = move(old, wanted, MASS, LIMIT, engine, nebular=False)
    assert_allclose(results(moved, engine, nebular=False)["log_sfr"], wanted["log_sfr"], rtol=0, atol=0.01)
    assert_array_equal(moved["dust2"], old["dust2"])
    assert_array_equal(moved["dust_index"], old["dust_index"])


@pytest.mark.slow
def test_a_curve_without_slope_is_changed_in_depth_alone(points, engine):
    fixed = Engine(engine.table, Model(dust_type="calzetti"))
    flat = points | {"dust_index": np.zeros(N)}
    wanted = near(flat, fixed, ["muv"])
    moved = move(flat, wanted, MASS, LIMIT, fixed, nebular=True)
    assert_array_equal(moved["dust_index"], 0.0)
    off = np.abs(results(moved, fixed)["muv"] - wanted["muv"])
    assert np.all(off < QUANTITIES["muv"].tolerance)


def test_slopes_stay_in_their_range(points, engine):
    found = results(points, engine)
    wanted = {"muv": found["muv"] + 1.0, "beta": found["beta"] - 0.3}
    moved = move(points, wanted, MASS, LIMIT, engine, nebular=True)
    low, high = SLOPES["kriek_conroy"]
    assert moved["dust_index"].min() >= low
    assert moved["dust_index"].max() <= high
    assert moved["dust2"].min() >= 0.0


@pytest.mark.parametrize("stretches", [True, False])
def test_histories_have_the_sfr_that_is_asked(engine, stretches):
    rng = np.random.default_rng(6)
    age, tau, log_zmet = 10.0 ** rng.uniform(-1, 0.9, N), 10.0 ** rng.uniform(-0.5, 1.5, N), rng.uniform(-1.5, 0.1, N)
    # what the same age, or an allowed one, has with another e-folding time
    log_ssfr = engine.log_ssfr(age, 10.0 ** rng.uniform(-0.5, 1.5, N), log_zmet)
    new_age, new_tau = history_of(age, tau, log_zmet, log_ssfr, LIMIT, engine, stretches=np.full(N, stretches))
    assert_allclose(engine.log_ssfr(new_age, new_tau, log_zmet), log_ssfr, rtol=0, atol=2e-3)
    assert np.all(new_age <= LIMIT)
    assert np.all((new_tau >= TAU_RANGE[0] * 0.999) & (new_tau <= TAU_RANGE[1] * 1.001))
    if not stretches:
        assert_array_equal(new_age, age)
