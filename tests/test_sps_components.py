"""Nebular kernels, and the table's own functions."""

import numpy as np
import pytest

from mocksed.errors import UserError
from mocksed.sps import make_table, nebular, table


def test_exp2_is_good_to_single_precision(monkeypatch):
    nodes = np.zeros((2, 1), np.float32)
    for x in np.linspace(-126.0, 120.0, 5001):
        out = np.zeros(1, np.float32)
        nebular.add_emission(x, nodes, 0, np.float32(0.0), out)
        assert out[0] == pytest.approx(2.0 ** np.float32(x), rel=5e-7)


def test_exp2_is_zero_where_single_precision_ends():
    out = np.zeros(1, np.float32)
    nebular.add_emission(-300.0, np.zeros((2, 1), np.float32), 0, np.float32(0.0), out)
    assert out[0] == 0.0


def test_lines_keep_their_luminosity():
    wavelength = np.linspace(4000.0, 6000.0, 20001)
    start, profile = nebular.line_profiles(wavelength, np.array([4861.0, 5007.0]), np.array([3.0, 5.0]))
    spectrum = np.zeros(len(wavelength), np.float32)
    nebular.draw_lines(np.array([2.0, 0.0], np.float32), start, profile, spectrum)
    nu = table.LIGHT / wavelength
    # FSPS converts to L_nu with the frequency of the line's centre
    assert -np.trapezoid(spectrum * (wavelength / 4861.0) ** 2, nu) == pytest.approx(2.0, rel=1e-4)
    assert wavelength[np.argmax(spectrum)] == pytest.approx(4861.0, abs=0.1)


def test_a_line_at_the_end_of_the_spectrum_stays_inside():
    wavelength = np.linspace(4000.0, 4500.0, 501)
    start, profile = nebular.line_profiles(wavelength, np.array([4499.0]), np.array([3.0]))
    spectrum = np.zeros(len(wavelength), np.float32)
    nebular.draw_lines(np.ones(1, np.float32), start, profile, spectrum)
    assert np.argmax(spectrum) == 499


@pytest.mark.parametrize(
    ("value", "expected"), [(-5.0, (0, 0.0)), (0.0, (0, 0.0)), (0.5, (0, 0.5)), (2.0, (1, 0.5)), (9.0, (1, 1.0))]
)
def test_bracket_does_not_extrapolate(value, expected):
    found = nebular.bracket.py_func(np.array([0.0, 1.0, 3.0]), value)
    assert found == pytest.approx(expected)


def test_hat_functions_are_linear_interpolation():
    nodes, x = np.array([0.0, 1.0, 3.0]), np.array([-1.0, 0.0, 0.25, 2.0, 5.0])
    values = np.array([5.0, 7.0, 1.0])
    assert make_table.hat_functions(x, nodes) @ values == pytest.approx(np.interp(x, nodes, values))


@pytest.mark.parametrize("bits", [10, 16, 20])
def test_rounding_the_mantissa_keeps_the_promised_precision(bits):
    values = np.random.default_rng(3).normal(size=10_000) * 10.0 ** np.random.default_rng(4).uniform(-20, 5, 10_000)
    error = np.abs(make_table.round_mantissa(values, bits) / values.astype(np.float32) - 1.0)
    assert error.max() <= 2.0 ** -(bits + 1)


def test_ionising_photons_of_a_flat_spectrum():
    """L_nu = 1 Lsun/Hz from nu0 to nu1 has (Lsun / h) ln(nu1 / nu0) photons a second."""
    wavelength = np.geomspace(100.0, 1000.0, 20001)
    edge = wavelength[wavelength <= 912.0][-1]
    photons = table.ionising_photons(wavelength, np.ones(len(wavelength)))
    assert photons == pytest.approx(table.LSUN / table.PLANCK * np.log(edge / 100.0), rel=1e-6)


def test_the_shipped_table_says_what_it_is_made_of(root):
    shipped = table.read(root / "resources/ssp_padova_kurucz_chabrier.h5")
    assert shipped.stellar.shape == (22, 94, 1936)
    assert shipped.neb_lines.shape[-1] == 166
    for key in ("made_by", "fsps", "libraries", "imf_type", "sps_home_sha256", "date", "command"):
        assert shipped.provenance[key]
    assert (root / "resources/ssp_padova_kurucz_chabrier.h5").stat().st_size < 15e6


def test_a_table_survives_a_round_trip(root, tmp_path):
    shipped = table.read(root / "resources/ssp_padova_kurucz_chabrier.h5")
    table.write(tmp_path / "copy.h5", shipped)
    copy = table.read(tmp_path / "copy.h5")
    assert copy.provenance == shipped.provenance
    for name in ("wavelength", "stellar", "neb_continuum", "neb_lines", "line_sigma"):
        assert np.array_equal(getattr(copy, name), getattr(shipped, name))


def test_a_damaged_table_is_named(root, tmp_path):
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes((root / "resources/ssp_padova_kurucz_chabrier.h5").read_bytes()[:100_000])
    with pytest.raises(UserError, match=r"damaged\.h5"):
        table.read(damaged)
    with pytest.raises(UserError, match=r"missing\.h5"):
        table.read(tmp_path / "missing.h5")


def test_without_fsps_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("SPS_HOME", raising=False)
    with pytest.raises(UserError, match="SPS_HOME"):
        make_table.make(tmp_path / "table.h5")
    assert not list(tmp_path.iterdir())


def test_fsps_that_stops_leaves_no_table(tmp_path, monkeypatch):
    """A Fortran STOP ends Python with status 0; here SPS_HOME holds none of the files that FSPS wants."""
    monkeypatch.setenv("SPS_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"table\.h5"):
        make_table.make(tmp_path / "out" / "table.h5")
    assert not (tmp_path / "out" / "table.h5").exists()
