from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.cosmology import FlatLambdaCDM
from numpy.testing import assert_allclose, assert_array_equal
from sedpy.observate import Filter

from mocksed import catalog
from mocksed.cosmology import Cosmology, age_max
from mocksed.errors import UserError
from mocksed.files import storage
from mocksed.files.columns import Flag
from mocksed.relations import Relations, lya
from mocksed.rng import Stage, uniforms
from mocksed.search import KINDS, parent
from mocksed.search.metric import METRICS
from mocksed.search.sampling import PRESETS
from mocksed.sps import filters, igm
from mocksed.sps.engine import Engine
from mocksed.sps.model import Model
from mocksed.sps.photometry import FAINTEST
from mocksed.sps.weights import psi_n
from mocksed.uvj import WILLIAMS2009, in_box

COSMO = Cosmology()
OF_ASTROPY = FlatLambdaCDM(H0=COSMO.H0, Om0=COSMO.Om0)
FILTERS = ("sdss_g0", "jwst_f200w", "spitzer_irac_ch2")
PROPOSED = ("log_sfr", "log_zmet", "log_us", "muv", "beta")
OF_QUIESCENT = ("log_sfr", "log_zmet")  # asked of them


def galaxies(n=60, quiescent=0.4):
    rng = np.random.default_rng(8)
    return {
        "galaxy_id": rng.permutation(n) + 1000,
        "redshift": rng.uniform(0.05, 9.0, n),
        "log_mstar": rng.uniform(8.0, 11.5, n),
        "quiescent": rng.random(n) < quiescent,
    }


def assigned(own):
    """What could have been assigned to the galaxies of each class."""
    rng = np.random.default_rng(9)
    n = len(own["redshift"])
    limit = age_max(COSMO, own["redshift"])
    everything = {
        "age": limit * rng.uniform(0.1, 1.0, n),
        "tau": 10.0 ** rng.uniform(-1, 2, n),
        "dust2": rng.uniform(0.0, 1.0, n),
        "dust_index": rng.uniform(-0.7, 0.4, n),
        "log_zmet": rng.uniform(-1.9, 0.19, n),
        "log_us": np.where(own["quiescent"], np.nan, rng.uniform(-4.0, -1.0, n)),
        "flags": np.full(n, Flag.AGE_CLIPPED, np.int32),
    }
    for name in PROPOSED:
        values = rng.normal(size=n) - 1.0
        everything[f"prop_{name}"] = values if name in OF_QUIESCENT else np.where(own["quiescent"], np.nan, values)
    return everything


def build(own, engine, given=None):
    return own | catalog.build(
        own, given or assigned(own), engine=engine, metrics=METRICS["default"], cosmo=COSMO, uvj_box=WILLIAMS2009
    )


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
    assert [len(values) for values in magnitudes(columns, engine).values()] == [0, 0, 0]


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


# Emission lines

LINES = ("halpha_6563", "[O III] 5007", "C II 157.636um")
SLUGS = ("halpha_6563", "oiii_5007", "cii_158um")


def lines(built, engine, names=LINES, **options):
    return catalog.lines(built, names, engine=engine, cosmo=COSMO, **options)


def of_each(built, engine, dust=True):
    """The parameters of the star-forming galaxies."""
    parameters = {name: built[name][~built["quiescent"]] for name in parent.FSPS}
    return parameters if dust else parameters | {"dust2": np.zeros(len(parameters["age"]))}


@pytest.mark.parametrize(("end", "dust"), [("", True), ("_intrinsic", False)])
def test_lines_are_those_of_the_whole_galaxy_and_gas(built, engine, end, dust):
    found = lines(built, engine)
    assert len(found) == 5 * len(LINES)
    shining = ~built["quiescent"]
    formed = 10.0 ** built["log_mstar"] / built["mass_fraction"]
    expected = engine.lines(**of_each(built, engine, dust)) * formed[shining, None]
    for name, fsps in zip(SLUGS, ("Ba-alpha 6563", "[O III] 5007", "C II 157.636um"), strict=True):
        luminosity = found[f"line_{name}{end}"]
        assert luminosity.dtype == np.float64
        assert_array_equal(np.isnan(luminosity), built["quiescent"])
        assert_allclose(luminosity[shining], expected[:, engine.line_name.index(fsps)], rtol=1e-6)


def test_fluxes_of_lines_are_at_the_luminosity_distance(built, engine):
    own = {name: values.copy() for name, values in built.items()}
    first = int(np.argmin(own["quiescent"]))
    own["redshift"][first] = 0.0
    found = lines(own, engine)
    distance = OF_ASTROPY.luminosity_distance(own["redshift"]).to_value(u.cm)
    with np.errstate(divide="ignore"):
        expected = found["line_halpha_6563"] * 3.839e33 / (4.0 * np.pi * distance**2)
    expected[first] = np.nan  # nothing is at no distance
    assert_allclose(found["lineflux_halpha_6563"], expected, rtol=1e-4)  # astropy's parsec, and FSPS's
    assert_array_equal(np.isnan(found["lineflux_halpha_6563"]), own["quiescent"] | (own["redshift"] == 0.0))


@pytest.mark.parametrize("model", [Model(dust_type="kriek_conroy"), Model(add_dust_emission=True)])
@pytest.mark.parametrize(("end", "dust"), [("", True), ("_intrinsic", False)])
def test_equivalent_widths_are_over_the_spectrum_without_lines(built, engine, model, end, dust):
    own = Engine(engine.table, model)
    found, shining = lines(built, own), ~built["quiescent"]
    parameters = of_each(built, own, dust)
    bare, luminosity = own.spectra(**parameters, nebular=True, lines=False), own.lines(**of_each(built, own, False))
    wavelength, sigma = own.wavelength, own.table.line_sigma
    depth = parameters["dust2"][:, None] * own._dust.at(parameters["dust_index"][:, None])
    for name, fsps in zip(SLUGS, ("Ba-alpha 6563", "[O III] 5007", "C II 157.636um"), strict=True):
        i = own.line_name.index(fsps)
        profile = np.exp(-0.5 * ((wavelength - own.line_wavelength[i]) / sigma[i]) ** 2) / np.sqrt(2 * np.pi) / sigma[i]
        near = np.abs(wavelength - own.line_wavelength[i]) < 7.0 * sigma[i]
        drawn = luminosity[:, i, None] * np.exp(-depth) * profile
        continuum = bare * 2.9979e18 / wavelength**2
        expected = np.trapezoid(drawn[:, near] / continuum[:, near], wavelength[near])
        assert_allclose(found[f"ew_{name}{end}"][shining], expected, rtol=1e-3)
        assert np.all(np.isnan(found[f"ew_{name}{end}"][~shining]))


def test_all_lines_and_none(built, engine):
    every = lines(built, engine, "all")
    assert len(every) == 5 * len(engine.line_name)
    assert all(np.all(values[~built["quiescent"]] >= 0.0) for values in every.values())
    assert lines(built, engine, []) == {}
    with pytest.raises(UserError, match="no line 'halpha', did you mean halpha_6563"):
        lines(built, engine, ["halpha"])


def test_blocks_do_not_matter_to_lines(built, engine, monkeypatch):
    whole = lines(built, engine)
    monkeypatch.setattr(catalog, "BLOCK", 7)
    told = []
    parts = lines(built, engine, progress=SimpleNamespace(update=told.append))
    assert all(parts[name].tobytes() == whole[name].tobytes() for name in whole)
    assert sum(told) == np.count_nonzero(~built["quiescent"])


def test_the_sfr_of_some_time_is_what_formed_in_it(built):
    found = catalog.averaged_sfr(built, "delayed_tau")
    formed = 10.0 ** built["log_mstar"] / built["mass_fraction"]
    for myr in (10, 100):
        before = np.maximum(built["age"] - 1e-3 * myr, 0.0)
        mass = [1.0 - (1.0 + t / built["tau"]) * np.exp(-t / built["tau"]) for t in (built["age"], before)]
        assert_allclose(10.0 ** found[f"log_sfr_{myr}"], formed * (1.0 - mass[1] / mass[0]) / (1e6 * myr), rtol=1e-6)


def test_ionising_photons_are_those_of_the_stars(built, engine):
    found = catalog.ionising(built, engine=engine)
    bare = engine.spectra(built["age"], built["tau"], built["log_zmet"], -2.0, 0.0, np.zeros(len(built["age"])),
                          nebular=False)  # fmt: skip
    below = engine.wavelength <= 912.0
    nu = 2.9979e18 / engine.wavelength[below]
    rate = -np.trapezoid(bare[:, below] / (6.6261e-27 * nu), nu) * 3.839e33
    formed = 10.0 ** built["log_mstar"] / built["mass_fraction"]
    assert_allclose(found["log_q_ion"], np.log10(rate * formed), atol=1e-6)
    l_nu = 10.0 ** (-0.4 * (built["muv_intrinsic"] + 48.6)) * 4.0 * np.pi * (10.0 * 3.0857e18) ** 2
    assert_allclose(found["log_xi_ion"], found["log_q_ion"] - np.log10(l_nu), atol=1e-4)
    young = ~built["quiescent"] & (built["age"] < 1.0) & (built["tau"] > 1.0)
    assert np.all((found["log_xi_ion"][young] > 24.8) & (found["log_xi_ion"][young] < 25.9))


def magnitudes(columns, engine, names=FILTERS, rest_frame=(), model="madau1995", **options):
    return catalog.magnitudes(
        columns, filters.select(names), filters.select(rest_frame), engine=engine, cosmo=COSMO, igm_model=model,
        **options,
    )  # fmt: skip


def test_magnitudes_without_lines_lack_the_light_of_the_lines(built, engine):
    with_lines, without = (
        10.0 ** (-0.4 * magnitudes(built, engine, (), ("bessell_V",), lines=drawn)["absmag_bessell_V"].astype(float))
        for drawn in (True, False)
    )
    assert_array_equal(with_lines[built["quiescent"]], without[built["quiescent"]])
    band, at = Filter("bessell_V"), engine.line_wavelength
    seen = np.interp(at, band.wavelength, band.transmission, 0.0, 0.0) * at / 2.9979e18
    l_nu = engine.lines(**of_each(built, engine)) @ seen / np.trapezoid(band.transmission, np.log(band.wavelength))
    shining = ~built["quiescent"]
    l_nu *= 10.0 ** built["log_mstar"][shining] / built["mass_fraction"][shining]
    flux = l_nu * 3.839e33 / (4.0 * np.pi * (10.0 * 3.08568e18) ** 2) * 10.0 ** (0.4 * 48.6)
    share = (with_lines / without - 1.0)[shining]
    assert share.max() > 0.01
    assert_allclose(share, flux / without[shining], rtol=0.02, atol=1e-6)  # lines have a width, magnitudes seven digits


def l_nu_of(row, built, engine):
    """The spectrum of one galaxy [erg/s/Hz]."""
    log_us = -4.0 if built["quiescent"][row] else built["log_us"][row]
    age, tau, log_zmet, _, *dust = (built[name][row] for name in parent.FSPS)
    l_nu = engine.spectra(age, tau, log_zmet, log_us, *dust, nebular=not built["quiescent"][row])[0].astype(float)
    return l_nu * 10.0 ** built["log_mstar"][row] / built["mass_fraction"][row] * 3.839e33


def ab_magnitude(name, wavelength, f_nu):
    """The AB magnitude of f_nu [erg/s/cm^2/Hz] by a sum over a fine grid."""
    curve = Filter(name)
    fine = np.geomspace(curve.wavelength[0], curve.wavelength[-1], 100_001)
    photons = np.interp(fine, curve.wavelength, curve.transmission) / fine
    flux = np.interp(np.log(fine), np.log(wavelength), f_nu)
    return -2.5 * np.log10(np.trapezoid(flux * photons, fine) / np.trapezoid(photons, fine)) - 48.6


@pytest.mark.parametrize("model", ["madau1995", "none"])
def test_apparent_magnitudes_are_integrals_over_the_observed_spectrum(built, engine, model):
    found = magnitudes(built, engine, model=model)
    rows = np.flatnonzero((built["redshift"] < 4.0) | built["quiescent"])[:12]
    assert set(built["quiescent"][rows]) == {True, False}
    for row in rows:
        z = built["redshift"][row]
        l_nu = l_nu_of(row, built, engine)
        wavelength = engine.wavelength
        if model != "none":  # it steps at Lyman alpha
            seen, before = igm.transmission(model, wavelength, [z])[0], np.nextafter(igm.LYMAN_ALPHA, 0.0)
            at_step = np.interp(np.log(igm.LYMAN_ALPHA), np.log(wavelength), l_nu)
            step = len(seen) - 1
            wavelength = np.insert(wavelength, step, [before, igm.LYMAN_ALPHA])
            l_nu = np.insert(l_nu, step, at_step)
            l_nu = np.insert(l_nu, step, at_step)
            l_nu[: step + 1] *= seen
        distance = OF_ASTROPY.luminosity_distance(z).to_value(u.cm)
        f_nu = (1.0 + z) * l_nu / (4.0 * np.pi * distance**2)
        for name in FILTERS:
            expected = ab_magnitude(name, wavelength * (1.0 + z), f_nu)
            expected = expected if expected < FAINTEST else np.nan
            assert_allclose(found[f"mag_{name}"][row], expected, rtol=0, atol=1e-4)


def test_rest_frame_magnitudes_are_integrals_over_the_emitted_spectrum(built, engine):
    names = ("bessell_U", "twomass_J", "sdss_g0")
    found = magnitudes(built, engine, rest_frame=names)
    assert list(found) == [*(f"mag_{name}" for name in FILTERS), *(f"absmag_{name}" for name in names)]
    ten_parsec = 3.08568e19  # cm
    for row in (np.flatnonzero(built["quiescent"])[0], np.flatnonzero(~built["quiescent"])[0]):
        f_nu = l_nu_of(row, built, engine) / (4.0 * np.pi * ten_parsec**2)
        for name in names:
            expected = ab_magnitude(name, engine.wavelength, f_nu)
            assert_allclose(found[f"absmag_{name}"][row], expected, rtol=0, atol=1e-4)
    alone = magnitudes(built, engine, (), names)
    assert list(alone) == [f"absmag_{name}" for name in names]
    for name, values in alone.items():
        assert values.tobytes() == found[name].tobytes()


def test_rest_frame_colours_are_those_of_the_engine(built, engine):
    found = magnitudes(built, engine, (), ("bessell_U", "bessell_V", "twomass_J"))
    u_band, v_band, j_band = found.values()
    assert_allclose(u_band - v_band, built["uv"], rtol=0, atol=2e-3)
    assert_allclose(v_band - j_band, built["vj"], rtol=0, atol=2e-3)


def test_magnitudes_are_columns_of_floats_with_a_unit(built, engine):
    table = storage.to_table(magnitudes(built, engine, rest_frame=("bessell_V",)))
    for name in ("mag_sdss_g0", "absmag_bessell_V"):
        assert table.schema.field(name).type == pa.float32()
        assert table.schema.field(name).metadata[b"unit"] == b"mag(AB)"
        assert name.split("_", 1)[1].encode() in table.schema.field(name).metadata[b"description"]


def test_no_filters(built, engine):
    assert magnitudes(built, engine, ()) == {}


def test_the_same_galaxy_farther_off(built, engine):
    """At low redshift the magnitude follows the distance modulus, but for the redshift of the spectrum."""
    near, far = (
        magnitudes(built | {"redshift": np.full(60, z)}, engine, ("spitzer_irac_ch2",))["mag_spitzer_irac_ch2"]
        for z in (0.01, 0.02)
    )
    ratio = OF_ASTROPY.luminosity_distance(0.02) / OF_ASTROPY.luminosity_distance(0.01)
    assert_allclose(far - near, 5.0 * np.log10(float(ratio)), rtol=0, atol=0.1)


def test_a_more_massive_galaxy_is_brighter(built, engine):
    both = [
        magnitudes(built | {"log_mstar": built["log_mstar"] + dex}, engine, rest_frame=("bessell_V",))
        for dex in (0.0, 1.0)
    ]
    for name in both[0]:
        seen = ~np.isnan(both[0][name])
        assert seen.mean() > 0.6
        assert_allclose(both[1][name][seen], both[0][name][seen] - 2.5, rtol=0, atol=2e-5)
        brighter = both[1][name][~seen]
        assert np.all(np.isnan(brighter) | (brighter > FAINTEST - 2.5))


def test_the_intergalactic_medium_absorbs_blueward_of_lyman_alpha_only(built, engine):
    columns = built | {"redshift": np.full(60, 5.0)}
    names = ("sdss_g0", "sdss_r0", "jwst_f200w")  # below 5550 A, around 6200 A, at 2 um: Lyman alpha is at 7294 A
    on, off = (magnitudes(columns, engine, names, names, model) for model in ("madau1995", "none"))
    assert np.all(on["mag_sdss_g0"] > off["mag_sdss_g0"] + 1.0)
    assert np.all(on["mag_sdss_r0"] > off["mag_sdss_r0"] + 0.3)
    assert_array_equal(on["mag_jwst_f200w"], off["mag_jwst_f200w"])
    for name in names:
        assert_array_equal(on[f"absmag_{name}"], off[f"absmag_{name}"])


def test_nothing_received_is_missing(built, engine):
    """Gas leaves nothing of the ionising light that the filter sees; without it, and without stars, neither."""
    columns = built | {"redshift": np.full(60, 20.0)}
    found = magnitudes(columns, engine, ("bessell_U",))["mag_bessell_U"]  # below 200 A
    assert np.all(np.isnan(found[~built["quiescent"]]))
    nearby = magnitudes(built | {"redshift": np.zeros(60)}, engine, ("bessell_U",), ("bessell_U",))
    assert np.all(np.isnan(nearby["mag_bessell_U"]))
    assert np.all(np.isfinite(nearby["absmag_bessell_U"]))


def test_filters_beyond_the_spectra_are_an_error_before_any_work(built, engine, monkeypatch):
    monkeypatch.setattr(catalog, "spectra", None)
    columns = built | {"redshift": np.linspace(0.1, 16.0, 60)}
    with pytest.raises(UserError, match=r"'galex_FUV' .*at redshift 16; it can be used from redshift 0 to 12.4\."):
        magnitudes(columns, engine, ("sdss_g0", "galex_FUV"))
    monkeypatch.setattr(engine, "wavelength", engine.wavelength[engine.wavelength > 2000.0])
    with pytest.raises(UserError, match=r"'galex_FUV' .*2003.71 to 9.95959e\+07 A in the rest frame\."):
        magnitudes(columns, engine, (), ("galex_FUV",))


def test_blocks_do_not_matter(built, engine, monkeypatch):
    def everything():
        spectra = [flux for _, flux in catalog.spectra(built, engine)]
        found = magnitudes(built, engine, rest_frame=("bessell_U",))
        return np.concatenate(spectra).tobytes(), [values.tobytes() for values in found.values()]

    whole = everything()
    for size in (1, 7, 60):
        monkeypatch.setattr(catalog, "BLOCK", size)
        assert everything() == whole


def test_blocks_follow_each_other_and_progress_counts(built, engine, monkeypatch):
    class Told:
        done = 0

        def update(self, amount):
            self.done += amount

    told = Told()
    monkeypatch.setattr(catalog, "BLOCK", 25)
    blocks = [rows for rows, _ in catalog.spectra(built, engine, told)]
    assert blocks == [slice(0, 25), slice(25, 50), slice(50, 60)]
    assert told.done == 60


def test_spectra_are_those_of_the_whole_galaxy(built, engine):
    ((_, flux),) = catalog.spectra(built, engine)
    for row in (np.flatnonzero(built["quiescent"])[0], np.flatnonzero(~built["quiescent"])[0]):
        log_us = np.nan_to_num(built["log_us"][row], nan=-4.0)
        one = engine.spectra(
            built["age"][row], built["tau"][row], built["log_zmet"][row], log_us, built["dust2"][row],
            built["dust_index"][row], nebular=not built["quiescent"][row],
        )  # fmt: skip
        formed = 10.0 ** built["log_mstar"][row] / built["mass_fraction"][row]
        normal = one[0] > 1e-37  # below, single precision is not what it was
        assert_allclose(flux[row][normal], one[0][normal] * formed, rtol=1e-6)


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


def lya_of(built, law, engine, seed=3):
    escape = catalog.lya_escape(built, law, engine=engine, seed=seed)
    return built | escape, lines(built | escape, engine, ["lyalpha_1215", "halpha_6563"])


def test_lyman_alpha_is_as_any_line_unless_a_law_is_named(built, engine):
    assert catalog.lya_escape(built, "dust", engine=engine, seed=3) == {}


@pytest.mark.parametrize("law", [0.25, "hayes2011"])
def test_a_fraction_of_lyman_alpha_leaves(built, engine, law):
    own, found = lya_of(built, law, engine)
    assert_array_equal(np.isnan(own["lya_escape"]), own["quiescent"])
    assert_allclose(found["line_lyalpha_1215"], own["lya_escape"] * found["line_lyalpha_1215_intrinsic"], rtol=1e-6)
    shining = ~own["quiescent"]
    expected = 0.25 if law == 0.25 else ((1.0 + own["redshift"][shining]) / 12.1) ** 2.57
    assert_allclose(own["lya_escape"][shining], expected)
    usual = lines(built, engine, ["halpha_6563"])
    for name, values in usual.items():
        assert_allclose(found[name], values, rtol=1e-6)  # the continuum is in single precision


def test_drawn_equivalent_widths_of_lyman_alpha_are_those_of_the_galaxies(built, engine):
    own, found = lya_of(built, "oyarzun2016", engine)
    shining = ~own["quiescent"]
    uniform = uniforms(3, Stage.LYMAN_ALPHA, own["galaxy_id"], 1)[:, 0]
    width, escape = lya.oyarzun2016(own["log_mstar"], uniform), own["lya_escape"]
    free = shining & (escape < 1.0)
    assert free.sum() > 20
    assert_allclose(found["ew_lyalpha_1215"][free], width[free], rtol=1e-5, atol=1e-9)
    all_of_it = shining & (escape == 1.0)
    assert np.all(found["ew_lyalpha_1215"][all_of_it] <= width[all_of_it])
    assert np.any(escape[shining] == 0.0)
    other, _ = lya_of(built, "oyarzun2016", engine, seed=4)
    assert np.any(other["lya_escape"][shining] != escape[shining])


def test_spectra_have_the_lyman_alpha_that_leaves(built, engine):
    own = built | {"lya_escape": np.where(built["quiescent"], np.nan, 0.0)}
    before, after = (np.concatenate([flux for _, flux in catalog.spectra(of, engine)]) for of in (built, own))
    at_it = int(np.argmin(np.abs(engine.wavelength - 1215.67)))
    assert_array_equal(after[own["quiescent"]], before[own["quiescent"]])
    dimmed = after[~own["quiescent"], at_it] < before[~own["quiescent"], at_it]
    assert dimmed.mean() > 0.9
    far = engine.wavelength > 1300.0
    assert_array_equal(after[:, far], before[:, far])
