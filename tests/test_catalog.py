import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from numpy.testing import assert_allclose, assert_array_equal

from mocksed import catalog
from mocksed.cosmology import Cosmology, age_max
from mocksed.errors import UserError
from mocksed.files.columns import Flag
from mocksed.relations import Relations
from mocksed.search import KINDS, parent
from mocksed.search.metric import METRICS
from mocksed.search.sampling import PRESETS
from mocksed.sps.engine import Engine
from mocksed.sps.model import Model
from mocksed.sps.weights import psi_n
from mocksed.uvj import in_box
from tests.catalogues import PROPOSED, assigned, build, galaxies

COSMO = Cosmology()
OF_ASTROPY = FlatLambdaCDM(H0=COSMO.H0, Om0=COSMO.Om0)


@pytest.fixture(scope="module")
def engine(engine):
    """Return an engine for which each galaxy has a slope of the attenuation curve of its own."""
    return Engine(engine.table, Model(dust_type="kriek_conroy"))


@pytest.fixture(scope="module")
def built(engine):
    return build(galaxies(), engine)


def test_each_galaxy_gets_what_was_assigned_to_it(built):
    given = assigned(galaxies())
    assert 0 < built["quiescent"].sum() < len(built["quiescent"])
    for name in given.keys() - {"flags"}:
        assert_array_equal(built[name], given[name])
    assert np.all(built["flags"] & Flag.AGE_CLIPPED)


def test_what_does_not_exist_for_quiescent_galaxies_is_nan(built):
    absent = ("prop_log_us", "prop_muv", "prop_beta", "log_us")
    for name, values in built.items():
        missing = np.isnan(values)
        assert_array_equal(missing, built["quiescent"] if name in absent else np.zeros(60, bool))


def test_derived_quantities_are_those_of_the_parameters(built, engine):
    for rows, nebular in ((~built["quiescent"], True), (built["quiescent"], False)):
        age, tau, log_zmet, log_us, *dust = (built[name][rows] for name in parent.FSPS)
        derived = engine.derived(age, tau, log_zmet, log_us if nebular else -4.0, *dust, nebular=nebular)
        for name in ("mass_fraction", "beta", "uv", "vj"):
            assert_array_equal(built[name][rows], getattr(derived, name))
        mass = built["log_mstar"][rows]
        assert_array_equal(built["muv"][rows], derived.muv - 2.5 * mass)
        assert_array_equal(built["muv_intrinsic"][rows], derived.muv_intrinsic - 2.5 * mass)
        sfr = 10.0**mass / derived.mass_fraction * psi_n(age, tau) * 1e-9
        assert_allclose(built["log_sfr"][rows], np.log10(sfr), rtol=1e-12, atol=1e-12)
    dusty = built["dust2"] > 0.0
    assert np.all(built["muv"][dusty] > built["muv_intrinsic"][dusty])


@pytest.mark.parametrize("quiescent", [False, True])
def test_one_class_alone(built, engine, quiescent):
    """Each galaxy is what it is in company."""
    mixed = galaxies()
    rows = mixed["quiescent"] == quiescent
    own, given = ({name: values[rows] for name, values in of.items()} for of in (mixed, assigned(mixed)))
    alone = build(own, engine, given)
    assert alone.keys() == built.keys()
    for name, values in alone.items():
        assert values.tobytes() == built[name][rows].tobytes()


def test_what_was_not_asked_of_any_galaxy_is_missing(built, engine):
    """The method choose does not draw M_UV."""
    given = assigned(galaxies())
    del given["prop_muv"]
    columns = build(galaxies(), engine, given)
    assert np.all(np.isnan(columns["prop_muv"]))
    for name in columns.keys() - {"prop_muv"}:
        assert columns[name].tobytes() == built[name].tobytes()


def test_no_galaxies(engine):
    own = galaxies(0)
    columns = build(own, engine)
    assert all(len(values) == 0 for values in columns.values())


def test_the_distance_is_that_of_the_metric_of_each_class(built, engine):
    own, given = galaxies(), assigned(galaxies())
    quiescent = own["quiescent"]
    perfect = given | {f"prop_{name}": np.where(np.isnan(given[f"prop_{name}"]), np.nan, built[name])
                       for name in PROPOSED}  # fmt: skip
    again = build(own, engine, perfect)
    assert np.all(again["distance"] == 0.0)
    assert not np.any(again["flags"] & Flag.FAR)
    off = perfect | {"prop_log_sfr": perfect["prop_log_sfr"] + np.where(quiescent, 0.4 * 3, 0.3 * 3),
                     "prop_log_zmet": perfect["prop_log_zmet"] - 0.3 * 4,
                     "prop_muv": perfect["prop_muv"] + 9.0}  # fmt: skip
    far = build(own, engine, off)
    assert_allclose(far["distance"], 5.0, rtol=1e-12)
    assert np.all(far["flags"] & Flag.FAR)
    slope = perfect | {"prop_beta": perfect["prop_beta"] + 0.35 * 2}
    assert_allclose(build(own, engine, slope)["distance"], np.where(quiescent, 0.0, 2.0), rtol=1e-12)


def test_far_begins_beyond_a_distance_of_one(built, engine):
    own = galaxies()
    given = assigned(own) | {f"prop_{name}": built[name] for name in ("log_sfr", "log_zmet", "beta")}
    distance = np.linspace(0.0, 2.0, len(own["redshift"]))
    given["prop_log_sfr"] = given["prop_log_sfr"] + distance * np.where(own["quiescent"], 0.4, 0.3)
    columns = build(own, engine, given)
    assert_array_equal(columns["flags"] & Flag.FAR > 0, columns["distance"] > catalog.FAR)
    assert_allclose(columns["distance"], distance, atol=1e-12)


def test_quiescent_galaxies_outside_the_box_are_flagged(engine):
    own, given = galaxies(), assigned(galaxies())
    red = np.arange(60) % 2 == 0  # old, without star formation, with little dust: where the universe is old enough
    for name, value in (("tau", 0.1), ("dust2", 0.3), ("dust_index", -0.2), ("log_zmet", 0.0)):
        given[name][red] = value
    given["age"][red] = 0.99 * age_max(COSMO, own["redshift"])[red]
    columns = build(own, engine, given)
    inside = in_box(columns["uv"], columns["vj"])
    outside = columns["flags"] & Flag.UVJ_OUTSIDE > 0
    assert_array_equal(outside, own["quiescent"] & ~inside)
    assert 0 < np.count_nonzero(outside) < np.count_nonzero(own["quiescent"])
    assert np.any(inside & ~own["quiescent"])
    everywhere = {"uv_min": -9.0, "vj_max": 9.0, "slope": 0.0, "intercept": -9.0}
    columns = catalog.build(own, given, engine=engine, metrics=METRICS["default"], cosmo=COSMO, uvj_box=everywhere)
    assert not np.any(columns["flags"] & Flag.UVJ_OUTSIDE)


@pytest.mark.parametrize("name", ["log_zmet", "log_us"])
def test_parameters_outside_the_table_are_moved_into_it_and_flagged(engine, name):
    """Also those that were assigned, not drawn; a parent point's single precision is not outside."""
    own = galaxies(5, quiescent=0.0)
    given = assigned(own)
    clip = {"log_zmet": engine.clip_log_zmet, "log_us": engine.clip_log_us}[name]
    low, high = clip([-99.0, 99.0])
    given[name] = np.array([low - 0.1, high + 3.0, high + 1e-7, low, 0.5 * (low + high)])
    given[f"prop_{name}"] = np.array([low, high, high, low, high + 0.01])
    given["prop_log_us" if name == "log_zmet" else "prop_log_zmet"][:] = -1.5
    flag = {"log_zmet": Flag.ZMET_CLIPPED, "log_us": Flag.US_CLIPPED}[name]
    columns = build(own, engine, given)
    assert columns[name].tolist() == [low, high, high, low, 0.5 * (low + high)]
    moved = columns["flags"] & (Flag.ZMET_CLIPPED | Flag.US_CLIPPED)
    assert moved.tolist() == [flag, flag, 0, 0, flag]


def test_what_was_flagged_stays_flagged(engine):
    own = galaxies(40)
    given = assigned(own)
    given["prop_log_zmet"][:] = -1.0
    given["flags"][own["quiescent"]] |= Flag.ZMET_CLIPPED
    columns = build(own, engine, given)
    assert np.all((columns["flags"] & Flag.ZMET_CLIPPED > 0) == own["quiescent"])


def test_what_was_assigned_is_not_changed(engine):
    own, given = galaxies(), assigned(galaxies())
    given["age"][:] = 99.0
    build(own, engine, given)
    assert np.all(given["age"] == 99.0)
    assert np.all(given["flags"] == Flag.AGE_CLIPPED)


def test_no_galaxy_is_older_than_the_universe(engine):
    """Whatever the stage before may have let through, of either class."""
    own = galaxies()
    given = assigned(own)
    given["flags"][:] = 0
    limit = age_max(COSMO, own["redshift"])
    moved = np.concatenate([np.flatnonzero(own["quiescent"])[:3], np.flatnonzero(~own["quiescent"])[:3]])
    given["age"][moved] = limit[moved] * [1.0 + 1e-9, 1.5, 1e6, 1.0 + 1e-9, 1.5, 1e6]
    columns = build(own, engine, given)
    assert np.all(columns["age"] <= limit)
    assert columns["age"][moved].tolist() == limit[moved].tolist()
    assert np.flatnonzero(columns["flags"] & Flag.AGE_CLIPPED).tolist() == sorted(moved)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("age", value) for value in (np.nan, -1.0, 0.0)),
        *(("tau", value) for value in (np.nan, 0.09, 101.0)),
        *(("dust2", value) for value in (np.nan, -0.1, np.inf)),
        *(("dust_index", value) for value in (np.nan, -3.1, 0.5)),
        ("log_zmet", np.nan),
        ("log_us", np.nan),
    ],
)
def test_parameters_that_cannot_be_stop_the_catalogue(engine, name, value):
    own = galaxies(20)
    for quiescent in (False, True)[: 1 if name == "log_us" else 2]:  # no gas, no ionisation
        given = assigned(own)
        given[name][np.flatnonzero(own["quiescent"] == quiescent)[2]] = value
        with pytest.raises(UserError, match=rf"parameters in assign/: {name}: 1 of .* index 2; .* Remove that file"):
            build(own, engine, given)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(("name", "value"), [("redshift", np.nan), ("redshift", 2000.0), ("log_mstar", np.nan),
                                             ("log_mstar", -np.inf)])  # fmt: skip
def test_galaxies_that_cannot_be_stop_the_catalogue(engine, name, value):
    own = galaxies(20)
    given = assigned(own)
    own[name][7] = value
    with pytest.raises(UserError, match=rf"of the galaxy {own['galaxy_id'][7]} is "):
        build(own, engine, given)


@pytest.mark.parametrize("quiescent", [0.0, 1.0])
def test_a_draw_that_is_no_number_stops_the_catalogue(engine, quiescent):
    own = galaxies(20, quiescent)
    given = assigned(own)
    given["prop_log_sfr"][[3, 8]] = np.nan
    with pytest.raises(UserError, match=rf"distance of the galaxy {own['galaxy_id'][3]} \(and 1 others\) is nan"):
        build(own, engine, given)


@pytest.mark.parametrize("kind", KINDS)
def test_parent_points_and_galaxies_agree(engine, kind):
    """A galaxy that takes the parameters of a parent point, its mass included, looks like it."""
    quiescent = kind == "quiescent"
    sampling = {**PRESETS[kind]["default"], "dust_index": {"uniform": (-1.2, 0.4)}}
    drawn = parent.sample(np.arange(50), sampling, quiescent=quiescent, seed=1, cosmo=COSMO, relations=Relations())
    points = parent.evaluate(drawn, engine, quiescent=quiescent)
    own = {"galaxy_id": np.arange(50), "quiescent": np.full(50, quiescent)}
    own |= {name: points[name] for name in ("redshift", "log_mstar")}
    given = {name: points[name] for name in parent.FSPS} | {"flags": np.zeros(50, np.int32)}
    given |= {f"prop_{name}": points[name] for name in PROPOSED}
    columns = build(own, engine, given)
    for name in ("log_sfr", "muv", "beta", "uv", "vj", "mass_fraction"):
        assert_array_equal(columns[name], points[name])
    assert np.all(columns["distance"] == 0.0)
    assert_array_equal(columns["flags"] != 0, quiescent & ~in_box(points["uv"], points["vj"]))


def test_what_is_given_and_does_not_come_out_is_flagged(engine):
    own = galaxies()
    usual = build(own, engine)
    wanted = {name: usual[name].copy() for name in ("log_sfr", "muv", "age", "dust2")}
    wanted["log_sfr"][::2] += 0.011
    wanted["muv"][1::2] -= 0.021
    wanted["age"][:10] = np.nan  # not given
    asked = assigned(own) | {f"prop_{name}": values for name, values in wanted.items()}
    given = {f"given_{name}": values for name, values in wanted.items()}
    flags = build(own | given, engine, asked)["flags"]
    even = np.arange(len(flags)) % 2 == 0
    assert_array_equal((flags & Flag.SFR_NOT_MET) > 0, even)
    assert_array_equal((flags & Flag.MUV_NOT_MET) > 0, ~even)
    assert not np.any(flags & (Flag.AGE_NOT_MET | Flag.DUST_NOT_MET | Flag.ZMET_NOT_MET))
