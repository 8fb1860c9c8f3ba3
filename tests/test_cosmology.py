import numpy as np
import pytest
from astropy import units as u
from astropy.cosmology import FlatLambdaCDM
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mocksed.cosmology import AGE_MARGIN, age_max, cosmology, distance_modulus, t_univ

Z = np.array([0.0, 0.1, 1.0, 3.0, 8.0, 12.0])


def analytic_age(z, h0, om0):
    """Age of the universe [Gyr] of a flat universe of matter and a cosmological constant."""
    hubble_time = (1.0 / (h0 * u.km / u.s / u.Mpc)).to_value(u.Gyr)
    ol0 = 1.0 - om0
    return hubble_time * 2.0 / (3.0 * np.sqrt(ol0)) * np.arcsinh(np.sqrt(ol0 / om0 / (1.0 + z) ** 3))


@pytest.mark.parametrize(("h0", "om0"), [(67.66, 0.3111), (70.0, 0.3)])
def test_age_of_the_universe(h0, om0):
    assert_allclose(t_univ(cosmology(h0, om0), Z), FlatLambdaCDM(H0=h0, Om0=om0).age(Z).to_value(u.Gyr), rtol=1e-12)
    assert_allclose(t_univ(cosmology(h0, om0), Z), analytic_age(Z, h0, om0), rtol=1e-8)


def test_default_is_planck_2018_and_not_that_of_fsps():
    assert_allclose(t_univ(cosmology(), 0.0), 13.79, atol=0.01)
    assert abs(t_univ(cosmology(), 0.0) - t_univ(cosmology(72.0, 0.27), 0.0)) > 0.2


@given(st.floats(0.0, 19.9), st.floats(0.01, 0.1))
def test_age_falls_with_redshift(z, dz):
    assert t_univ(cosmology(), z) > t_univ(cosmology(), z + dz) > 0.0


def test_oldest_age_keeps_a_million_years():
    assert_allclose(t_univ(cosmology(), Z) - age_max(cosmology(), Z), AGE_MARGIN, rtol=1e-9)
    assert AGE_MARGIN == 1e-3


def test_distance_modulus():
    expected = FlatLambdaCDM(H0=67.66, Om0=0.3111).distmod(Z[1:]).value
    assert_allclose(distance_modulus(cosmology(), Z[1:]), expected, rtol=1e-12)
    assert distance_modulus(cosmology(), 0.0) == -np.inf
