from types import SimpleNamespace

import numpy as np
import pytest

from mocksed.errors import UserError
from mocksed.sps import dust, fsps
from mocksed.sps.model import DEFAULT_MODEL, Model
from mocksed.sps.table import LIGHT

GOOD = {"age": 1.0, "tau": 1.0, "log_zmet": 0.0, "log_us": -2.0, "dust2": 0.5}


class FakePopulation:
    """What `fsps` asks of a population, for what must work without FSPS."""

    wavelengths = np.geomspace(100.0, 1e6, 50)
    ssp_ages = np.linspace(5.5, 10.15, 94)
    zlegend = np.array([0.0002, 0.019, 0.03])
    solar_metallicity = 0.019
    emline_wavelengths = np.array([1215.67])
    emline_luminosity = np.array([1.0])
    sfr = 1e-9

    def __init__(self, spectrum=1e-15, stellar_mass=0.7):
        self.params = {}
        self.stellar_mass = stellar_mass
        self.spectrum = np.full(50, spectrum)
        self.calls = 0

    def get_spectrum(self, tage):
        self.calls += 1
        return self.wavelengths, self.spectrum


@pytest.fixture
def fake(monkeypatch):
    population = FakePopulation()
    monkeypatch.setattr(fsps, "population", lambda imf_type=1: population)
    return population


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("age", 0.0),
        ("age", -1.0),
        ("age", 15.0),
        ("age", np.nan),
        ("tau", 0.01),
        ("tau", 101.0),
        ("tau", np.nan),
        ("log_zmet", np.nan),
        ("log_us", np.inf),
        ("dust2", -0.1),
        ("dust2", np.nan),
    ],
)
def test_what_fsps_would_take_for_a_number_is_refused_before_it_is_called(fake, name, value):
    with pytest.raises(UserError, match=f"{name}: 1 of 1 "):
        fsps.composite(**GOOD | {name: value}, nebular=True)
    several = {key: np.array([good, good]) for key, good in GOOD.items()}
    several[name] = np.array([GOOD[name], value])
    for method, options in {"spectra": {"nebular": True}, "derived": {"nebular": True}, "lines": {}}.items():
        with pytest.raises(UserError, match=f"{name}: 1 of 2 .* at index 1"):
            getattr(fsps.ReferenceEngine(), method)(**several, **options)
    assert fake.calls == 0


def test_what_is_not_used_may_be_anything(fake):
    fsps.composite(**GOOD | {"log_us": np.nan}, nebular=False)
    assert "gas_logu" not in fake.params
    fake.params.clear()
    fsps.composite(**GOOD | {"tau": np.nan}, nebular=True, model=Model(sfh="constant"))
    assert "tau" not in fake.params
    assert fake.calls == 2


@pytest.mark.parametrize("returned", [{"spectrum": np.nan}, {"spectrum": 1e-70}, {"stellar_mass": np.nan}])
def test_what_is_no_spectrum_is_refused(monkeypatch, returned):
    monkeypatch.setattr(fsps, "population", lambda imf_type: FakePopulation(**returned))
    with pytest.raises(UserError, match="FSPS returned no spectrum"):
        fsps.composite(**GOOD, nebular=False)


def test_every_option_of_the_model_reaches_fsps(fake):
    model = Model(
        sfh="constant", dust_type="cardelli", dust_index=-0.3, mwr=2.5, uvb=0.5, add_dust_emission=True, duste_qpah=2.0,
        duste_umin=3.0, duste_gamma=0.2,
    )  # fmt: skip
    fsps.composite(**GOOD, nebular=True, model=model)
    expected = {
        "sfh": 1, "const": 1.0, "dust_type": 1, "dust_index": -0.3, "mwr": 2.5, "uvb": 0.5, "add_dust_emission": True,
        "duste_qpah": 2.0, "duste_umin": 3.0, "duste_gamma": 0.2, "dust1": 0.0, "zred": 0.0, "gas_logu": -2.0,
        "dust2": 0.5, "logzsol": 0.0, "gas_logz": 0.0, "add_neb_emission": True,
    }  # fmt: skip
    assert {name: fake.params[name] for name in expected} == expected
    fsps.composite(**GOOD, nebular=False)
    assert fake.params["sfh"] == 4
    assert not fake.params["add_dust_emission"]


def test_a_free_slope_reaches_fsps(fake):
    model, n = Model(dust_type="kriek_conroy"), 3
    fsps.composite(**GOOD, dust_index=-0.4, nebular=True, model=model)
    assert fake.params["dust_index"] == -0.4
    with pytest.raises(ValueError, match="each galaxy needs its dust_index"):
        fsps.composite(**GOOD, nebular=True, model=model)
    for wrong in (-3.1, 0.5, np.nan):
        with pytest.raises(UserError, match="dust_index: 1 of 1 "):
            fsps.composite(**GOOD, dust_index=wrong, nebular=True, model=model)
    seen = []
    fake.get_spectrum = lambda tage: seen.append(fake.params["dust_index"]) or (fake.wavelengths, fake.spectrum)
    slopes = np.linspace(-1.0, 0.4, n)
    fsps.ReferenceEngine(model=model).spectra(**GOOD, dust_index=slopes, nebular=np.ones(n, bool))
    assert seen == slopes.tolist()


def test_metallicities_are_moved_into_the_grid(fake):
    for asked, given in [(-9.0, np.log10(0.0002 / 0.019)), (2.0, np.log10(0.03 / 0.019))]:
        fsps.composite(**GOOD | {"log_zmet": asked}, nebular=True)
        assert fake.params["logzsol"] == fake.params["gas_logz"] == pytest.approx(given)
    assert fsps.ReferenceEngine().clip_log_zmet([-9.0, 0.0]) == pytest.approx([np.log10(0.0002 / 0.019), 0.0])


def test_no_galaxies_need_no_fsps(fake):
    empty = [np.empty(0)] * 5
    assert fsps.ReferenceEngine().spectra(*empty, nebular=True).shape == (0, 50)
    assert fsps.ReferenceEngine().lines(*empty).shape == (0, 1)


def test_without_sps_home_the_message_says_so(monkeypatch):
    monkeypatch.delenv("SPS_HOME", raising=False)
    with pytest.raises(UserError, match="SPS_HOME"):
        fsps._population.__wrapped__(1)


def test_the_checksum_is_of_all_files(monkeypatch, tmp_path):
    monkeypatch.setenv("SPS_HOME", str(tmp_path))
    found = []
    for path, text in [("data/a", "1"), ("data/a", "2"), ("dust/b/c", "2"), ("src/d", "3"), (".git/data/e", "4")]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        found.append(fsps.home_sha256.__wrapped__())
    assert len(set(found[:3])) == 3
    assert found[4] == found[3] == found[2]


@pytest.mark.fsps
def test_there_is_one_population_per_process():
    assert fsps.population() is fsps.population()
    with pytest.raises(UserError, match="one state per process"):
        fsps.population(0)


@pytest.mark.fsps
def test_no_option_outlives_its_call():
    first = fsps.composite(**GOOD, nebular=True)
    sps = fsps.population()
    fsps.set_options(sps, {"zred": 3.0, "add_igm_absorption": True, "dust1": 2.0, "nebemlineinspec": False})
    fsps.composite(**GOOD, nebular=False, model=Model(sfh="tau", dust_type="smc", add_dust_emission=True))
    again = fsps.composite(**GOOD, nebular=True)
    assert np.array_equal(again.spectrum, first.spectrum)
    assert np.array_equal(again.lines, first.lines)
    assert again.mass == first.mass


@pytest.mark.fsps
@pytest.mark.parametrize("age", [0.01, 1.0, 13.0])
def test_histories_have_their_rate_of_star_formation(age):
    x = age / GOOD["tau"]
    expected = {
        "delayed_tau": x * np.exp(-x) / (1.0 - (1.0 + x) * np.exp(-x)),
        "tau": np.exp(-x) / -np.expm1(-x),
        "constant": 1.0 / age,
    }
    for name, rate in expected.items():
        found = fsps.composite(**GOOD | {"age": age}, nebular=False, model=Model(sfh=name))
        assert found.sfr == pytest.approx(rate * 1e-9, rel=1e-6), name


@pytest.mark.fsps
def test_a_slow_decline_is_constant():
    slow, constant = (
        fsps.composite(**GOOD | {"age": 0.01, "tau": 100.0}, nebular=False, model=Model(sfh=sfh))
        for sfh in ("tau", "constant")
    )
    assert np.allclose(slow.spectrum, constant.spectrum, rtol=2e-3)


@pytest.mark.fsps
def test_dust_emits_what_it_absorbs():
    wavelength = fsps.population().wavelengths

    def luminosity(model, dust2):
        spectrum = fsps.composite(**GOOD | {"dust2": dust2}, nebular=False, model=model).spectrum
        return -np.trapezoid(spectrum, LIGHT / wavelength)

    bare = luminosity(DEFAULT_MODEL, 0.0)
    assert luminosity(DEFAULT_MODEL, 2.0) < 0.8 * bare
    # FSPS stops where less than 0.01 Lsun is left to be emitted again
    assert luminosity(Model(add_dust_emission=True), 2.0) == pytest.approx(bare, rel=0.02)


@pytest.mark.fsps
def test_lines_are_behind_the_dust():
    reference = fsps.ReferenceEngine()
    parameters = {key: np.array([value, value]) for key, value in GOOD.items()} | {"dust2": np.array([0.0, 0.8])}
    clear, dusty = reference.lines(**parameters)
    assert clear.shape == reference.line_wavelength.shape
    attenuation = np.exp(-0.8 * dust.curve(reference.wavelength, DEFAULT_MODEL).base)
    expected = clear * np.interp(reference.line_wavelength, reference.wavelength, attenuation)
    assert dusty == pytest.approx(expected, rel=1e-5)
    assert len(reference.line_name) == len(clear)
    assert reference.clip_log_us([-9.0, -2.0, 1.0]).tolist() == [-4.0, -2.0, -1.0]


@pytest.mark.fsps
def test_the_reference_says_what_it_is():
    about = fsps.ReferenceEngine(model=Model(dust_type="smc")).about
    assert about["engine"] == "fsps"
    assert about["sps_model"]["dust_type"] == "smc"
    assert set(about["libraries"]) == {"isochrones", "spectra", "dust_emission"}
    assert len(about["sps_home_sha256"]) == 64


def test_names_of_libraries_are_text():
    named = SimpleNamespace(libraries=(b"pdva", b"c3k_lr ", b"DL07  "))
    assert fsps.libraries(named) == {"isochrones": "pdva", "spectra": "c3k_lr", "dust_emission": "DL07"}
