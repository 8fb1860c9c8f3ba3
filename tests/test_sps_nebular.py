import numpy as np
import pytest

from mocksed.sps import nebular, table


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
    nebular.draw_lines(np.array([2.0, 0.0], np.float32), start, profile, 0, spectrum)
    nu = table.LIGHT / wavelength
    # FSPS converts to L_nu with the frequency of the line's centre
    assert -np.trapezoid(spectrum * (wavelength / 4861.0) ** 2, nu) == pytest.approx(2.0, rel=1e-4)
    assert wavelength[np.argmax(spectrum)] == pytest.approx(4861.0, abs=0.1)


def test_a_line_at_the_end_of_the_spectrum_stays_inside():
    wavelength = np.linspace(4000.0, 4500.0, 501)
    start, profile = nebular.line_profiles(wavelength, np.array([4499.0]), np.array([3.0]))
    spectrum = np.zeros(len(wavelength), np.float32)
    nebular.draw_lines(np.ones(1, np.float32), start, profile, 0, spectrum)
    assert np.argmax(spectrum) == 499


@pytest.mark.parametrize(
    ("value", "expected"), [(-5.0, (0, 0.0)), (0.0, (0, 0.0)), (0.5, (0, 0.5)), (2.0, (1, 0.5)), (9.0, (1, 1.0))]
)
def test_bracket_does_not_extrapolate(value, expected):
    found = nebular.bracket.py_func(np.array([0.0, 1.0, 3.0]), value)
    assert found == pytest.approx(expected)
