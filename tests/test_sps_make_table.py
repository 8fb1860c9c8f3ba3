"""The rule's FSPS, real where it is marked; otherwise one whose isochrones, library and dust are unlike the shipped."""

import itertools
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mocksed.errors import UserError
from mocksed.sps import fsps, make_table, table
from mocksed.sps.table import LIGHT, LSUN, PLANCK


def test_hat_functions_are_linear_interpolation():
    nodes, x = np.array([0.0, 1.0, 3.0]), np.array([-1.0, 0.0, 0.25, 2.0, 5.0])
    values = np.array([5.0, 7.0, 1.0])
    assert make_table.hat_functions(x, nodes) @ values == pytest.approx(np.interp(x, nodes, values))


@pytest.mark.parametrize("bits", [10, 16, 20])
def test_rounding_the_mantissa_keeps_the_promised_precision(bits):
    values = np.random.default_rng(3).normal(size=10_000) * 10.0 ** np.random.default_rng(4).uniform(-20, 5, 10_000)
    error = np.abs(make_table.round_mantissa(values, bits) / values.astype(np.float32) - 1.0)
    assert error.max() <= 2.0 ** -(bits + 1)


# Other isochrones, libraries, lines, dust


class Parameters(dict):
    ssp_params = ("imf_type", "imf1", "imf_upper_limit")


class OtherFSPS:
    """What python-fsps is for `make_table`: simple formulae on grids of one's own."""

    def __init__(self, isochrones="mist", dust="THEMIS", log_age=None, n_wave=700, n_line=128):
        self.libraries = (isochrones.encode(), b"miles", dust.encode())
        self.params = Parameters(imf_type=0, imf1=1.3, imf_upper_limit=100)
        self.wavelengths = np.geomspace(91.0, 1e8, n_wave)
        self.resolutions = np.full(n_wave, 50.0)
        self.log_age = np.concatenate([np.arange(5.0, 7.5, 0.1), [8.0, 9.0, 10.3]]) if log_age is None else log_age
        self.ssp_ages = self.log_age
        self.zlegend = 0.0142 * 10.0 ** np.array([-2.5, -1.0, -0.2, 0.3])
        self.solar_metallicity = 0.0142
        self.emline_wavelengths = np.geomspace(920.0, 1e6, n_line)
        self.nodes = (np.array([-2.0, 0.0, 0.5]), np.log10([3e5, 1e6, 3e6, 1e7]), np.array([-4.0, -2.5, -1.0]))

    def write(self, home):
        (home / "nebular").mkdir()
        (home / "data").mkdir()
        numbers = ["# a comment", *map(repr, self.emline_wavelengths.tolist())]
        for node in itertools.product(self.nodes[0], 10.0 ** self.nodes[1], self.nodes[2]):
            numbers += [*map(str, node), *["1.0"] * len(self.emline_wavelengths)]
        (home / "nebular" / f"ZAU_ND_{self.libraries[0].decode()}.lines").write_text("\n".join(numbers))
        rows = [f"{value!r},line {i}" for i, value in enumerate(self.emline_wavelengths.tolist())]
        (home / "data" / "emlines_info.dat").write_text("\n".join(rows[::-1]))

    def stars(self):
        age, wavelength = self.log_age[:, None], self.wavelengths
        return 10.0 ** (-12.0 - 0.8 * (age - 6.0) + 0.1 * self.params["logzsol"]) * np.exp(-((1e3 / wavelength) ** 0.5))

    def gas(self, n, slope):
        """Return log10 per photon (n_young, n), linear between the nodes in all three."""
        young = self.log_age[self.log_age <= self.nodes[1][-1]]
        at_nodes = -28.0 - 0.7 * (self.nodes[1] - 6.0) ** 2
        of_gas = 0.3 * self.params["gas_logz"] + 0.1 * self.params["gas_logu"]
        return np.interp(young, self.nodes[1], at_nodes)[:, None] + of_gas + slope * np.linspace(0.0, 1.0, n)

    def get_spectrum(self, tage):
        if self.params["add_dust_emission"]:
            u = self.params["duste_umin"] * (1.0 + 3.0 * self.params["duste_gamma"])
            self.dust_mass = 1.0 / u
            return self.wavelengths, 1e-10 * (1.0 + self.params["duste_qpah"]) * self.wavelengths / 1e5
        spectrum = self.stars()
        self.stellar_mass = 1.0 - 0.05 * (self.log_age - 5.0)
        self.emline_luminosity = np.zeros((len(self.log_age), len(self.emline_wavelengths)))
        if self.params["add_neb_emission"]:
            nu = LIGHT / self.wavelengths
            blue = self.wavelengths <= 912.0
            photons = -np.trapezoid((spectrum / nu)[:, blue], nu[blue], axis=1) / PLANCK * LSUN
            continuum, lines = self.gas(len(nu), -1.0), self.gas(len(self.emline_wavelengths), 1.0)
            spectrum[: len(continuum), blue] = 0.0
            spectrum[: len(continuum)] += 10.0**continuum * photons[: len(continuum), None]
            self.emline_luminosity[: len(lines)] = 10.0**lines * photons[: len(lines), None]
        return self.wavelengths, spectrum


def extracted(other, monkeypatch, home):
    other.write(home)
    monkeypatch.setenv("SPS_HOME", str(home))
    monkeypatch.setattr(fsps, "population", lambda imf_type: other)
    monkeypatch.setattr(make_table, "_verify", lambda *_: None)
    monkeypatch.setattr(make_table, "version", lambda name: "0")
    fsps.home_sha256.cache_clear()
    try:
        return make_table.extract(0)
    finally:
        fsps.home_sha256.cache_clear()


def test_nothing_is_taken_from_the_shipped_grids(monkeypatch, tmp_path):
    other = OtherFSPS()
    found = extracted(other, monkeypatch, tmp_path)
    assert np.array_equal(found.wavelength, other.wavelengths)
    assert np.array_equal(found.log_age, other.log_age)
    assert found.log_zmet == pytest.approx([-2.5, -1.0, -0.2, 0.3])
    assert found.stellar.shape == (4, 28, 700)
    assert found.line_name == tuple(f"line {i}" for i in range(128))
    for nodes, expected in zip((found.neb_log_zmet, found.neb_log_age, found.neb_log_us), other.nodes, strict=True):
        assert nodes == pytest.approx(expected)
    assert found.dust_emission.shape == (11, 37, 2, 700)
    assert found.dust_qpah[[0, -1]] == pytest.approx([2.0 / 2.2, 40.0 / 2.2], rel=1e-6)
    expected = 1e-10 * (1.0 + found.dust_qpah[3]) * other.wavelengths / 1e5 * found.dust_umin[7]
    assert found.dust_emission[3, 7, 0] == pytest.approx(expected, rel=1e-5)
    assert found.dust_emission[3, 7, 1] == pytest.approx(4.0 * expected, rel=1e-5)
    assert found.provenance["imf_type"] == 0
    assert found.provenance["options"] == {"imf1": 1.3, "imf_upper_limit": 100}
    assert found.provenance["libraries"]["isochrones"] == "mist"


@pytest.mark.parametrize(
    ("isochrones", "log_age"),
    [
        ("mist", None),
        ("bpss", np.arange(6.0, 11.0, 0.1)),
        ("prsc", np.array([6.6, 6.9, 7.5, 8.0, 9.0, 10.1])),  # fewer young ages than nodes
    ],
)
def test_the_gas_is_that_of_fsps_at_every_young_age(monkeypatch, tmp_path, isochrones, log_age):
    other = OtherFSPS(isochrones, log_age=log_age)
    found = extracted(other, monkeypatch, tmp_path)
    young = found.log_age[: found.n_young]
    assert np.array_equal(young, other.log_age[other.log_age <= 7.0])
    hats = make_table.hat_functions(young, found.neb_log_age)
    other.params |= {"gas_logz": 0.5, "gas_logu": -2.5}
    assert hats @ found.neb_continuum[2, 1] == pytest.approx(other.gas(700, -1.0), abs=3e-5)
    assert hats @ found.neb_lines[2, 1] == pytest.approx(other.gas(128, 1.0), abs=3e-5)


def test_isochrones_without_gas_are_refused(monkeypatch, tmp_path):
    with pytest.raises(UserError, match="no nebular emission for its isochrones bsti"):
        extracted(OtherFSPS("bsti"), monkeypatch, tmp_path)


def test_an_unknown_library_of_dust_has_no_emission(monkeypatch, tmp_path):
    assert extracted(OtherFSPS(dust="ASTRO"), monkeypatch, tmp_path).dust_emission.shape == (0, 0, 2, 700)


def test_a_list_of_other_lines_is_refused(monkeypatch, tmp_path):
    other = OtherFSPS()
    other.write(tmp_path)
    monkeypatch.setenv("SPS_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"emlines_info\.dat does not list the lines"):
        fsps.line_names(other.emline_wavelengths * 1.01)
    (tmp_path / "data/emlines_info.dat").write_text("no list")
    with pytest.raises(UserError, match=r"cannot read .*emlines_info\.dat"):
        fsps.line_names(other.emline_wavelengths)
    path = tmp_path / "nebular/ZAU_ND_mist.lines"
    path.write_text(path.read_text()[:-10])
    with pytest.raises(UserError, match=r"cannot read .*ZAU_ND_mist\.lines"):
        fsps.nebular_nodes(other)


# The child process


@pytest.fixture
def child(monkeypatch, root):
    """Let `make` run other Python code than it would; `make` needs no FSPS then."""

    def becomes(code):
        def command(asked, *arguments):
            return [sys.executable, "-c", code if arguments else "", *arguments, str(root)]

        monkeypatch.setattr(make_table, "_command", command)

    monkeypatch.setenv("SPS_HOME", str(root))
    return becomes


SHIPPED = (
    "import pathlib, sys; data = pathlib.Path(sys.argv[3], 'resources/ssp_padova_kurucz_chabrier.h5').read_bytes()"
)


def test_the_child_that_writes_a_table_has_done_its_work(child, tmp_path):
    child(f"{SHIPPED}; pathlib.Path(sys.argv[1]).write_bytes(data)")
    make_table.make(tmp_path / "own.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["own.h5"]
    table.read(tmp_path / "own.h5")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print(' SPS_SETUP ERROR: no file')", r"FSPS ended before .*own\.h5 .*status 0.*\n.*SPS_SETUP ERROR: no file"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "status -9"),
        ("raise MemoryError", "status 1.*\n(.*\n)*.*MemoryError"),
        (f"{SHIPPED}; pathlib.Path(sys.argv[1]).write_bytes(data[:-1000000])", "cannot read the SSP table"),
        (f"{SHIPPED}; pathlib.Path(sys.argv[1]).write_bytes(data); sys.exit(1)", "status 1"),
        ("import sys; open(sys.argv[1], 'w').write('done')", "cannot read the SSP table"),
        ("import h5py, sys; h5py.File(sys.argv[1], 'w').close()", "not an SSP table of mocksed"),
    ],
)
def test_the_child_that_does_not_leaves_what_was_there(child, tmp_path, code, message):
    (tmp_path / "own.h5").write_text("what was there")
    child(code)
    with pytest.raises(UserError, match=message):
        make_table.make(tmp_path / "own.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["own.h5"]
    assert (tmp_path / "own.h5").read_text() == "what was there"


def test_without_fsps_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("SPS_HOME", raising=False)
    with pytest.raises(UserError, match="SPS_HOME"):
        make_table.make(tmp_path / "table.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.fsps
def test_fsps_that_stops_leaves_no_table(tmp_path, monkeypatch):
    """A Fortran STOP ends Python with status 0; here SPS_HOME holds what lets python-fsps begin, and no more."""
    (tmp_path / "data").symlink_to(Path(os.environ["SPS_HOME"]) / "data")
    monkeypatch.setenv("SPS_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"FSPS ended before .*table\.h5 .*status 0.*\n(.*\n)*.*SPS_SETUP ERROR"):
        make_table.make(tmp_path / "out" / "table.h5")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.fsps
@pytest.mark.slow
@pytest.mark.parametrize(("imf_type", "ratio"), [(0, 1.6), (2, 1.05)])
def test_other_initial_mass_functions(root, table_of_imf, imf_type, ratio):
    """Salpeter and Kroupa have more mass for the same light as Chabrier, of which the shipped table is."""
    other, shipped = table.read(table_of_imf(imf_type)), table.read(root / "resources/ssp_padova_kurucz_chabrier.h5")
    assert other.provenance["imf_type"] == imf_type
    assert other.provenance["sps_home_sha256"] == shipped.provenance["sps_home_sha256"]
    old, red = 85, np.searchsorted(shipped.wavelength, 8000.0)
    mass_to_light = [t.mass[15, old] / t.stellar[15, old, red] for t in (other, shipped)]
    assert mass_to_light[0] / mass_to_light[1] == pytest.approx(ratio, rel=0.15)
    assert np.array_equal(other.dust_emission, shipped.dust_emission)
    assert np.allclose(other.neb_lines, shipped.neb_lines, atol=1e-3)


@pytest.mark.fsps
def test_a_table_that_is_not_that_of_fsps_is_refused(engine):
    wrong = replace(engine.table, mass=engine.table.mass * 1.01)
    with pytest.raises(UserError, match="does not reproduce FSPS"):
        make_table._verify(wrong, 1)
