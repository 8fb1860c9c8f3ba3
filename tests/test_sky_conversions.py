import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from numpy.testing import assert_allclose

from mocksed.cosmology import Cosmology
from mocksed.sky import conversions

OLD, NEW = Cosmology(100.0, 0.3), Cosmology(70.0, 0.3)


def test_scaling_with_h_by_hand():
    # from h = 1 to h = 0.7: distances are longer by 1 / 0.7
    assert_allclose(conversions.hubble_luminosity(100.0, 70.0), 0.3098, atol=1e-4)
    assert_allclose(conversions.hubble_magnitude(100.0, 70.0), -0.7745, atol=1e-4)
    assert_allclose(conversions.hubble_density(100.0, 70.0), -0.4647, atol=1e-4)


@pytest.mark.parametrize("redshift", [0.0, 0.05, 1.0, 9.0])
def test_cosmologies_that_differ_in_h_alone(redshift):
    assert_allclose(conversions.luminosity(redshift, OLD, NEW), conversions.hubble_luminosity(100.0, 70.0))
    assert_allclose(conversions.magnitude(redshift, OLD, NEW), conversions.hubble_magnitude(100.0, 70.0))
    for low, high in ((redshift, redshift), (redshift, redshift + 0.5)):
        assert_allclose(conversions.density(low, high, OLD, NEW), conversions.hubble_density(100.0, 70.0))


def test_another_density_of_matter_is_that_of_astropy():
    other = Cosmology(67.66, 0.3111)
    was, is_ = (FlatLambdaCDM(cosmo.H0, cosmo.Om0) for cosmo in (NEW, other))
    expected = 2.0 * np.log10(is_.luminosity_distance(3.0) / was.luminosity_distance(3.0))
    assert_allclose(conversions.luminosity(3.0, NEW, other), expected, rtol=1e-5)
    shells = [one.comoving_volume(3.5) - one.comoving_volume(2.5) for one in (was, is_)]
    assert_allclose(conversions.density(2.5, 3.5, NEW, other), np.log10(shells[0] / shells[1]), rtol=1e-5)


def test_a_thin_bin_is_the_limit_of_a_thick_one():
    other = Cosmology(67.66, 0.3111)
    thin = conversions.density([1.0, 4.0], [1.0, 4.0], NEW, other)
    assert_allclose(conversions.density([0.995, 3.995], [1.005, 4.005], NEW, other), thin, atol=1e-5)


def test_there_and_back():
    other = Cosmology(67.66, 0.3111)
    for function, at in ((conversions.luminosity, (2.0,)), (conversions.density, (1.5, 2.5))):
        assert_allclose(function(*at, NEW, other) + function(*at, other, NEW), 0.0, atol=1e-12)
        assert function(*at, NEW, other) != 0.0
