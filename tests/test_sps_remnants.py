import numpy as np
import pytest
from numpy.testing import assert_allclose

from mocksed.sps.remnants import InitialMasses, change_imf, remnant_mass, with_remnants

KROUPA = InitialMasses("kroupa", 0.1, 100.0)
SALPETER_LIKE = 2.3


def test_masses_of_remnants_are_those_of_renzini_and_ciotti():
    assert_allclose(remnant_mass([0.3, 1.0, 8.0, 20.0, 60.0]), [0.3, 0.557, 1.096, 1.4, 30.0])


@pytest.mark.parametrize("name", ["chabrier", "kroupa"])
def test_the_density_is_continuous_and_falls_as_a_power_law(name):
    density = InitialMasses(name, 0.1, 100.0).density
    for join in (0.5, 1.0):
        assert_allclose(density(np.array([join * (1 - 1e-9)])), density(np.array([join])), rtol=1e-6)
    low, high = density(np.array([3.0, 30.0]))
    assert np.log10(low / high) == pytest.approx(SALPETER_LIKE)


def test_remnants_of_a_power_law_are_its_integral():
    """Above 0.5 Msun, where Kroupa's function has one slope, with stars up to 10 Msun alive."""
    of = InitialMasses("kroupa", 0.5, 100.0)

    def integral(power, low, high):
        return (high ** (power - 1.3) - low ** (power - 1.3)) / (power - 1.3)

    formed = integral(1, 0.5, 100.0)
    living = integral(1, 0.5, 10.0) / formed
    left = (1.4 * integral(0, 10.0, 40.0) + 0.5 * integral(1, 40.0, 100.0)) / formed
    assert with_remnants(np.array(living), of) == pytest.approx(living + left, rel=1e-5)


def test_nothing_is_left_to_be_added_while_all_live():
    assert with_remnants(np.array(1.0), KROUPA) == 1.0


def test_a_surviving_mass_of_another_imf_is_of_the_same_stars():
    surviving = np.array([0.55, 0.7, 0.9, 0.99])
    of = InitialMasses("chabrier", 0.08, 120.0)
    assert_allclose(change_imf(surviving, of, of), surviving, atol=1e-6)
    there = change_imf(surviving, of, KROUPA)
    assert_allclose(change_imf(there, KROUPA, of), surviving, atol=1e-6)
    assert np.all(np.diff(there) > 0.0)
    bottom_heavy = InitialMasses("kroupa", 0.01, 100.0)
    assert np.all(change_imf(surviving, KROUPA, bottom_heavy) > surviving)
