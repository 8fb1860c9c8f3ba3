import numpy as np
import pytest

from mocksed.sps import curves

WAVELENGTH = np.geomspace(912.0, 3e5, 2000)


def test_calzetti_is_that_of_the_paper():
    """Calzetti et al. (2000), eq 4: k'(1600 A) = 9.97 and k'(1.2 um) = 1.42, R_V = 4.05."""
    assert curves.calzetti([1600.0, 12000.0]) * 4.05 == pytest.approx([9.97, 1.42], abs=0.01)
    assert curves.calzetti(3.2e4) == 0.0
    assert np.all(np.diff(curves.calzetti(WAVELENGTH)) < 7e-3)  # the two parts do not quite meet at 6300 A


@pytest.mark.parametrize(
    ("x", "expected"),
    [(2.78, 1.569), (2.27, 1.337), (1.43, 0.751), (1.11, 0.479), (0.80, 0.282), (0.63, 0.190), (0.46, 0.114)],
)
def test_cardelli_is_that_of_the_paper(x, expected):
    """Cardelli, Clayton & Mathis (1989), table 3: A(lambda) / A(V) of the bands UBRIJHK for R_V = 3.1."""
    assert curves.cardelli(np.array([1e4 / x]), 3.1, 1.0)[0] == pytest.approx(expected, abs=0.015)


def test_the_bump_is_at_2175_and_goes():
    near = WAVELENGTH[(WAVELENGTH > 1900.0) & (WAVELENGTH < 2600.0)]
    with_bump, without = curves.cardelli(near, 3.1, 1.0), curves.cardelli(near, 3.1, 0.0)
    assert near[np.argmax(with_bump - without)] == pytest.approx(2175.0, abs=30.0)
    assert np.all(np.diff(without) < 0.0)
    kriek, calzetti = curves.kriek_conroy(near, 0.0), curves.calzetti(near)
    assert near[np.argmax(kriek - calzetti)] == pytest.approx(2175.0, abs=5.0)
    assert (kriek - calzetti).max() * 4.05 == pytest.approx(0.85, abs=0.01)


@pytest.mark.parametrize("limit", [1e5, 1e4 / 1.1, 1e4 / 3.3, 1e4 / 5.9, 1250.0, 1e4 / 12.0])
def test_cardelli_has_no_steps_in_the_optical_and_ultraviolet(limit):
    wavelength = np.geomspace(limit / 1.1, limit * 1.1, 2001)
    step = np.abs(np.diff(curves.cardelli(wavelength, 3.1, 0.3))).max()
    assert step < 0.03  # FSPS's cut at 10 um, and the joint at 1700 A for a bump that is not that of the paper


def test_smc_is_linear_between_the_measurements():
    found = curves.smc([500.0, 1160.0, 5500.0, 8100.0, 9400.0, 21980.0, 22000.0])
    assert found == pytest.approx([6.992, 6.992, 1.0, 0.567, 0.567 - 0.436 * 13 / 44, 0.016, 0.0])


def test_reddy_is_constant_below_1500_and_meets_at_6000():
    curve = curves.reddy(WAVELENGTH)
    assert len(set(curve[WAVELENGTH < 1500.0])) == 1
    assert np.abs(np.diff(curve)).max() < 0.02
    assert np.all(curve[WAVELENGTH > 28500.0] == 0.0)
    assert len(curves.reddy([2e4])) == 1  # a grid that has none of its limits
