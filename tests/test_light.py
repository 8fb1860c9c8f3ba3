from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.cosmology import FlatLambdaCDM
from numpy.testing import assert_allclose, assert_array_equal
from sedpy.observate import Filter

from mocksed import light
from mocksed.cosmology import Cosmology
from mocksed.errors import UserError
from mocksed.files import storage
from mocksed.relations import lya
from mocksed.rng import Stage, uniforms
from mocksed.search import parent
from mocksed.sps import filters, igm, photometry
from mocksed.sps.engine import Engine
from mocksed.sps.model import Model
from mocksed.sps.photometry import FAINTEST
from tests.catalogues import build, galaxies

COSMO = Cosmology()
OF_ASTROPY = FlatLambdaCDM(H0=COSMO.H0, Om0=COSMO.Om0)
FILTERS = ("sdss_g0", "jwst_f200w", "spitzer_irac_ch2")


@pytest.fixture(scope="module")
def engine(engine):
    """Return an engine for which each galaxy has a slope of the attenuation curve of its own."""
    return Engine(engine.table, Model(dust_type="kriek_conroy"))


@pytest.fixture(scope="module")
def built(engine):
    return build(galaxies(), engine)


# Emission lines

LINES = ("halpha_6563", "[O III] 5007", "C II 157.636um")
SLUGS = ("halpha_6563", "oiii_5007", "cii_158um")


def lines(built, engine, names=LINES, **options):
    return light.lines(built, names, engine=engine, cosmo=COSMO, **options)


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
    monkeypatch.setattr(light, "BLOCK", 7)
    told = []
    parts = lines(built, engine, progress=SimpleNamespace(update=told.append))
    assert all(parts[name].tobytes() == whole[name].tobytes() for name in whole)
    assert sum(told) == np.count_nonzero(~built["quiescent"])


def test_the_sfr_of_some_time_is_what_formed_in_it(built):
    found = light.averaged_sfr(built, "delayed_tau")
    formed = 10.0 ** built["log_mstar"] / built["mass_fraction"]
    for myr in (10, 100):
        before = np.maximum(built["age"] - 1e-3 * myr, 0.0)
        mass = [1.0 - (1.0 + t / built["tau"]) * np.exp(-t / built["tau"]) for t in (built["age"], before)]
        assert_allclose(10.0 ** found[f"log_sfr_{myr}"], formed * (1.0 - mass[1] / mass[0]) / (1e6 * myr), rtol=1e-6)


def test_ionising_photons_are_those_of_the_stars(built, engine):
    found = light.ionising(built, engine=engine)
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
    return light.magnitudes(
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


def test_no_galaxies(engine):
    columns = build({name: values[:0] for name, values in galaxies().items()}, engine)
    assert [len(values) for values in magnitudes(columns, engine).values()] == [0, 0, 0]


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
    monkeypatch.setattr(light, "spectra", None)
    columns = built | {"redshift": np.linspace(0.1, 16.0, 60)}
    with pytest.raises(UserError, match=r"'galex_FUV' .*at redshift 16; it can be used from redshift 0 to 12.4\."):
        magnitudes(columns, engine, ("sdss_g0", "galex_FUV"))
    monkeypatch.setattr(engine, "wavelength", engine.wavelength[engine.wavelength > 2000.0])
    with pytest.raises(UserError, match=r"'galex_FUV' .*2003.71 to 9.95959e\+07 A in the rest frame\."):
        magnitudes(columns, engine, (), ("galex_FUV",))


@pytest.mark.parametrize("model", ["madau1995", "inoue2014", "none"])
def test_magnitudes_are_those_of_whole_spectra(built, engine, model, monkeypatch):
    some = magnitudes(built, engine, rest_frame=["bessell_U", "galex_FUV"], model=model)
    monkeypatch.setattr(photometry, "windows", lambda wavelength, _, z, *__: np.full((len(z), 2), [0, len(wavelength)]))
    whole = magnitudes(built, engine, rest_frame=["bessell_U", "galex_FUV"], model=model)
    for name, values in some.items():
        assert_array_equal(values, whole[name])


def test_blocks_do_not_matter(built, engine, monkeypatch):
    def everything():
        spectra = [flux for _, flux in light.spectra(built, engine)]
        found = magnitudes(built, engine, rest_frame=("bessell_U",))
        return np.concatenate(spectra).tobytes(), [values.tobytes() for values in found.values()]

    whole = everything()
    for size in (1, 7, 60):
        monkeypatch.setattr(light, "BLOCK", size)
        assert everything() == whole


def test_blocks_follow_each_other_and_progress_counts(built, engine, monkeypatch):
    class Told:
        done = 0

        def update(self, amount):
            self.done += amount

    told = Told()
    monkeypatch.setattr(light, "BLOCK", 25)
    blocks = [rows for rows, _ in light.spectra(built, engine, told)]
    assert blocks == [slice(0, 25), slice(25, 50), slice(50, 60)]
    assert told.done == 60


def test_spectra_are_those_of_the_whole_galaxy(built, engine):
    ((_, flux),) = light.spectra(built, engine)
    for row in (np.flatnonzero(built["quiescent"])[0], np.flatnonzero(~built["quiescent"])[0]):
        log_us = np.nan_to_num(built["log_us"][row], nan=-4.0)
        one = engine.spectra(
            built["age"][row], built["tau"][row], built["log_zmet"][row], log_us, built["dust2"][row],
            built["dust_index"][row], nebular=not built["quiescent"][row],
        )  # fmt: skip
        formed = 10.0 ** built["log_mstar"][row] / built["mass_fraction"][row]
        normal = one[0] > 1e-37  # below, single precision is not what it was
        assert_allclose(flux[row][normal], one[0][normal] * formed, rtol=1e-6)


def lya_of(built, law, engine, seed=3):
    escape = light.lya_escape(built, law, engine=engine, seed=seed)
    return built | escape, lines(built | escape, engine, ["lyalpha_1215", "halpha_6563"])


def test_lyman_alpha_is_as_any_line_unless_a_law_is_named(built, engine):
    assert light.lya_escape(built, "dust", engine=engine, seed=3) == {}


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
    before, after = (np.concatenate([flux for _, flux in light.spectra(of, engine)]) for of in (built, own))
    at_it = int(np.argmin(np.abs(engine.wavelength - 1215.67)))
    assert_array_equal(after[own["quiescent"]], before[own["quiescent"]])
    dimmed = after[~own["quiescent"], at_it] < before[~own["quiescent"], at_it]
    assert dimmed.mean() > 0.9
    far = engine.wavelength > 1300.0
    assert_array_equal(after[:, far], before[:, far])
