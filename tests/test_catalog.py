from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.cosmology import FlatLambdaCDM
from numpy.testing import assert_allclose, assert_array_equal
from sedpy.observate import Filter

from mocksed import catalog, filters, parent, storage
from mocksed.columns import Flag
from mocksed.cosmology import Cosmology, age_max
from mocksed.errors import UserError
from mocksed.neighbours import METRICS
from mocksed.photometry import FAINTEST
from mocksed.relations import Relations
from mocksed.sps import igm
from mocksed.sps.weights import psi_n

COSMO = Cosmology()
OF_ASTROPY = FlatLambdaCDM(H0=COSMO.H0, Om0=COSMO.Om0)
METRIC = METRICS["default"]
FILTERS = ("sdss_g0", "jwst_f200w", "spitzer_irac_ch2")
PROPOSED = ("log_sfr", "log_zmet", "log_us", "muv", "beta")


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
        "dust2": rng.uniform(0.0, 1.5, n),
        "log_zmet": rng.uniform(-1.9, 0.19, n),
        "log_us": rng.uniform(-4.0, -1.0, n),
        "flags": np.full(n, Flag.AGE_CLIPPED, np.int32),
        **{f"prop_{name}": rng.normal(size=n) - 1.0 for name in PROPOSED},
    }
    is_quiescent = own["quiescent"]
    star_forming = {name: values[~is_quiescent] for name, values in everything.items()}
    names = ("age", "tau", "log_zmet", "dust2", "prop_log_sfr")
    quiescent = {name: everything[name][is_quiescent] for name in names}
    quiescent["dust2"] = np.zeros(is_quiescent.sum())
    quiescent["flags"] = np.full(is_quiescent.sum(), Flag.UVJ_NOT_ACCEPTED, np.int32)
    return star_forming, quiescent


def build(own, engine, star_forming=None, quiescent=None):
    default = assigned(own)
    parts = star_forming or default[0], quiescent or default[1]
    return own | catalog.build(own, *parts, engine=engine, metric=METRIC, cosmo=COSMO)


@pytest.fixture(scope="module")
def built(engine):
    return build(galaxies(), engine)


def test_each_galaxy_gets_what_was_assigned_to_it(built):
    star_forming, quiescent = assigned(galaxies())
    is_quiescent = built["quiescent"]
    assert 0 < is_quiescent.sum() < len(is_quiescent)
    for rows, parts in ((~is_quiescent, star_forming), (is_quiescent, quiescent)):
        for name in parts.keys() - {"flags"}:
            assert_array_equal(built[name][rows], parts[name])
        bits = Flag.AGE_CLIPPED | Flag.UVJ_NOT_ACCEPTED
        assert_array_equal(built["flags"][rows] & bits, parts["flags"])


def test_what_does_not_exist_for_quiescent_galaxies_is_nan(built):
    absent = ("prop_log_zmet", "prop_log_us", "prop_muv", "prop_beta", "log_us", "distance")
    for name, values in built.items():
        missing = np.isnan(values)
        assert_array_equal(missing, built["quiescent"] if name in absent else np.zeros(60, bool))


def test_derived_quantities_are_those_of_the_parameters(built, engine):
    for rows, nebular in ((~built["quiescent"], True), (built["quiescent"], False)):
        age, tau, log_zmet, log_us, dust2 = (
            built[name][rows] for name in ("age", "tau", "log_zmet", "log_us", "dust2")
        )
        derived = engine.derived(age, tau, log_zmet, log_us if nebular else -4.0, dust2, nebular=nebular)
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
    own = {name: values[rows] for name, values in mixed.items()}
    parts = assigned(mixed)
    nothing = {name: values[:0] for name, values in parts[not quiescent].items()}
    alone = build(own, engine, *((nothing, parts[1]) if quiescent else (parts[0], nothing)))
    assert alone.keys() == built.keys()
    for name, values in alone.items():
        assert values.tobytes() == built[name][rows].tobytes()


def test_no_galaxies(engine):
    own = galaxies(0)
    columns = build(own, engine)
    assert all(len(values) == 0 for values in columns.values())
    assert [len(values) for values in magnitudes(columns, engine).values()] == [0, 0, 0]


def test_a_perfect_assignment_has_no_distance(built, engine):
    own = galaxies()
    star_forming, quiescent = assigned(own)
    perfect = star_forming | {f"prop_{name}": built[name][~own["quiescent"]] for name in PROPOSED}
    again = build(own, engine, perfect, quiescent)
    assert np.all(again["distance"][~own["quiescent"]] == 0.0)
    off = perfect | {"prop_beta": perfect["prop_beta"] + 0.35 * 3, "prop_muv": perfect["prop_muv"] - 0.7 * 4}
    assert_allclose(build(own, engine, off, quiescent)["distance"][~own["quiescent"]], 5.0, rtol=1e-12)


@pytest.mark.parametrize("name", ["log_zmet", "log_us"])
def test_parameters_outside_the_table_are_moved_into_it_and_flagged(engine, name):
    """Also those that were assigned, not proposed; a parent point's single precision is not outside."""
    own = galaxies(5, quiescent=0.0)
    star_forming, quiescent = assigned(own)
    clip = {"log_zmet": engine.clip_log_zmet, "log_us": engine.clip_log_us}[name]
    low, high = clip([-99.0, 99.0])
    star_forming[name] = np.array([low - 0.1, high + 3.0, high + 1e-7, low, 0.5 * (low + high)])
    star_forming[f"prop_{name}"] = np.array([low, high, high, low, high + 0.01])
    star_forming["prop_log_us" if name == "log_zmet" else "prop_log_zmet"][:] = -1.5
    flag = {"log_zmet": Flag.ZMET_CLIPPED, "log_us": Flag.US_CLIPPED}[name]
    columns = build(own, engine, star_forming, quiescent)
    assert columns[name].tolist() == [low, high, high, low, 0.5 * (low + high)]
    moved = columns["flags"] & (Flag.ZMET_CLIPPED | Flag.US_CLIPPED)
    assert moved.tolist() == [flag, flag, 0, 0, flag]


def test_what_was_flagged_stays_flagged(engine):
    own = galaxies(40)
    star_forming, quiescent = assigned(own)
    star_forming["prop_log_zmet"][:] = -1.0
    quiescent["flags"] |= Flag.ZMET_CLIPPED
    columns = build(own, engine, star_forming, quiescent)
    assert np.all((columns["flags"] & Flag.ZMET_CLIPPED > 0) == own["quiescent"])


def test_no_galaxy_is_older_than_the_universe(engine):
    """Whatever the stage before may have let through, of either class."""
    own = galaxies()
    parts = assigned(own)
    limit = age_max(COSMO, own["redshift"])
    for part, rows in zip(parts, (~own["quiescent"], own["quiescent"]), strict=True):
        part["flags"][:] = 0
        part["age"][:3] = limit[rows][:3] * [1.0 + 1e-9, 1.5, 1e6]
    columns = build(own, engine, *parts)
    assert np.all(columns["age"] <= limit)
    for rows in (~own["quiescent"], own["quiescent"]):
        assert columns["age"][rows][:3].tolist() == limit[rows][:3].tolist()
        assert np.flatnonzero(columns["flags"][rows] & Flag.AGE_CLIPPED).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("age", value) for value in (np.nan, -1.0, 0.0)),
        *(("tau", value) for value in (np.nan, 0.09, 101.0)),
        *(("dust2", value) for value in (np.nan, -0.1, np.inf)),
        ("log_zmet", np.nan),
        ("log_us", np.nan),
    ],
)
def test_parameters_that_cannot_be_stop_the_catalogue(engine, name, value):
    own = galaxies(20)
    for stage in ("assign", "quiescent")[: 1 if name == "log_us" else 2]:  # no gas, no ionisation
        parts = dict(zip(("assign", "quiescent"), assigned(own), strict=True))
        parts[stage][name][2] = value
        with pytest.raises(UserError, match=rf"parameters in {stage}/: {name}: 1 of .* index 2; .* Remove that file"):
            build(own, engine, *parts.values())


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(("name", "value"), [("redshift", np.nan), ("redshift", 2000.0), ("log_mstar", np.nan),
                                             ("log_mstar", -np.inf)])  # fmt: skip
def test_galaxies_that_cannot_be_stop_the_catalogue(engine, name, value):
    own = galaxies(20)
    parts = assigned(own)
    own[name][7] = value
    with pytest.raises(UserError, match=rf"of the galaxy {own['galaxy_id'][7]} is "):
        build(own, engine, *parts)


def test_a_proposal_that_is_no_number_stops_the_catalogue(engine):
    own = galaxies(20, quiescent=0.0)
    star_forming, quiescent = assigned(own)
    star_forming["prop_muv"][[3, 8]] = np.nan
    with pytest.raises(UserError, match=rf"distance of the galaxy {own['galaxy_id'][3]} \(and 1 others\) is nan"):
        build(own, engine, star_forming, quiescent)


# Emission lines

LINES = ("halpha_6563", "[O III] 5007", "C II 157.636um")


def test_lines_are_those_of_the_whole_galaxy_and_gas(built, engine):
    found = catalog.line_luminosities(built, LINES, engine=engine)
    assert list(found) == ["line_halpha_6563", "line_oiii_5007", "line_cii_158um"]
    shining = ~built["quiescent"]
    formed = 10.0 ** built["log_mstar"] / built["mass_fraction"]
    parameters = (built[name][shining] for name in ("age", "tau", "log_zmet", "log_us", "dust2"))
    expected = engine.lines(*parameters) * formed[shining, None]
    for name, fsps in zip(found, ("Ba-alpha 6563", "[O III] 5007", "C II 157.636um"), strict=True):
        assert found[name].dtype == np.float32
        assert_array_equal(np.isnan(found[name]), built["quiescent"])
        assert_allclose(found[name][shining], expected[:, engine.line_name.index(fsps)], rtol=1e-6)


def test_all_lines_and_none(built, engine):
    every = catalog.line_luminosities(built, "all", engine=engine)
    assert len(every) == len(engine.line_name)
    assert all(np.all(values[~built["quiescent"]] >= 0.0) for values in every.values())
    assert catalog.line_luminosities(built, [], engine=engine) == {}
    with pytest.raises(UserError, match="no line 'halpha', did you mean halpha_6563"):
        catalog.line_luminosities(built, ["halpha"], engine=engine)


def test_blocks_do_not_matter_to_lines(built, engine, monkeypatch):
    whole = catalog.line_luminosities(built, LINES, engine=engine)
    monkeypatch.setattr(catalog, "BLOCK", 7)
    told = []
    parts = catalog.line_luminosities(built, LINES, engine=engine, progress=SimpleNamespace(update=told.append))
    assert all(parts[name].tobytes() == whole[name].tobytes() for name in whole)
    assert sum(told) == np.count_nonzero(~built["quiescent"])


def magnitudes(columns, engine, names=FILTERS, rest_frame=(), model="madau1995"):
    return catalog.magnitudes(
        columns, filters.select(names), filters.select(rest_frame), engine=engine, cosmo=COSMO, igm_model=model
    )


def l_nu_of(row, built, engine):
    """The spectrum of one galaxy [erg/s/Hz]."""
    log_us = -4.0 if built["quiescent"][row] else built["log_us"][row]
    age, tau, log_zmet, dust2 = (built[name][row] for name in ("age", "tau", "log_zmet", "dust2"))
    l_nu = engine.spectra(age, tau, log_zmet, log_us, dust2, nebular=not built["quiescent"][row])[0].astype(float)
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
        seen = igm.transmission(model, engine.wavelength, [z])[0]
        l_nu[: len(seen)] *= seen
        distance = OF_ASTROPY.luminosity_distance(z).to_value(u.cm)
        f_nu = (1.0 + z) * l_nu / (4.0 * np.pi * distance**2)
        for name in FILTERS:
            expected = ab_magnitude(name, engine.wavelength * (1.0 + z), f_nu)
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
        assert_allclose(both[1][name], both[0][name] - 2.5, rtol=0, atol=2e-5)


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
            nebular=not built["quiescent"][row],
        )  # fmt: skip
        formed = 10.0 ** built["log_mstar"][row] / built["mass_fraction"][row]
        normal = one[0] > 1e-37  # below, single precision is not what it was
        assert_allclose(flux[row][normal], one[0][normal] * formed, rtol=1e-6)


def test_parent_points_and_galaxies_agree(engine):
    """A galaxy that takes the parameters of a parent point, its mass included, looks like it."""
    drawn = parent.sample(np.arange(50), parent.PRESETS["star_forming"]["default"], quiescent=False, seed=1,
                          cosmo=COSMO, scatter=Relations())  # fmt: skip
    points = parent.evaluate(drawn, engine, quiescent=False)
    own = {"galaxy_id": np.arange(50), "quiescent": np.zeros(50, bool)}
    own |= {name: points[name] for name in ("redshift", "log_mstar")}
    star_forming = {name: points[name] for name in ("age", "tau", "dust2", "log_zmet", "log_us")}
    star_forming |= {f"prop_{name}": points[name] for name in PROPOSED}
    columns = build(own, engine, star_forming)
    for name in ("log_sfr", "muv", "beta", "uv", "vj", "mass_fraction"):
        assert_array_equal(columns[name], points[name])
    assert np.all(columns["distance"] == 0.0)
    assert np.all(columns["flags"] == 0)
