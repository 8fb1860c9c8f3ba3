import numpy as np
import pytest
from astropy import units as u
from astropy.cosmology import FlatLambdaCDM, FlatwCDM
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mocksed.cosmology import (
    AGE_MARGIN,
    Cosmology,
    age_max,
    comoving_distance,
    comoving_volume,
    distance_modulus,
    t_univ,
)

Z = np.array([0.01, 0.1, 1.0, 3.0, 8.0, 12.0, 20.0])
COSMOLOGIES = [(67.66, 0.3111), (70.0, 0.3), (50.0, 0.99), (100.0, 0.01)]


ROUNDING = 1e-14 * (1.0 + 10.0 / Z)
"""Rounding of numbers that follow from the difference of two conformal times, which for z << 1 are almost equal: at
z = 0.01 and Om0 = 0.01 distances are off by 3e-13 here and in astropy, to either side, and volumes by twice as much."""


def close(function, method, unit):
    """Compare with astropy's closed forms, and with its integrals, whose own error is a few 1e-9."""
    for theirs, more, rtol in ((FlatLambdaCDM, {}, ROUNDING), (FlatwCDM, {"w0": -1.0}, 1e-8)):
        for h0, om0 in COSMOLOGIES:
            expected = getattr(theirs(H0=h0, Om0=om0, **more), method)(Z).to_value(unit)
            found = function(Cosmology(h0, om0), Z)
            assert np.all(np.abs(found / expected - 1.0) < rtol), (theirs.__name__, h0, om0)


def test_age_of_the_universe():
    close(t_univ, "age", u.Gyr)
    assert_allclose(t_univ(Cosmology(), 0.0), FlatLambdaCDM(H0=67.66, Om0=0.3111).age(0.0).to_value(u.Gyr), rtol=1e-12)


def test_distances():
    close(comoving_distance, "comoving_distance", u.Mpc)
    close(distance_modulus, "distmod", u.mag)
    assert comoving_distance(Cosmology(), 0.0) == 0.0
    assert distance_modulus(Cosmology(), 0.0) == -np.inf


def test_volumes():
    close(comoving_volume, "differential_comoving_volume", u.Mpc**3 / u.sr)


def test_default_is_planck_2018_and_not_that_of_fsps():
    assert_allclose(t_univ(Cosmology(), 0.0), 13.79, atol=0.01)
    assert abs(t_univ(Cosmology(), 0.0) - t_univ(Cosmology(72.0, 0.27), 0.0)) > 0.2


@given(st.floats(0.0, 19.9), st.floats(0.01, 0.1))
def test_age_falls_and_distance_grows_with_redshift(z, dz):
    assert t_univ(Cosmology(), z) > t_univ(Cosmology(), z + dz) > 0.0
    assert 0.0 <= comoving_distance(Cosmology(), z) < comoving_distance(Cosmology(), z + dz)


def test_oldest_age_keeps_a_million_years():
    assert_allclose(t_univ(Cosmology(), Z) - age_max(Cosmology(), Z), AGE_MARGIN, rtol=1e-9)
    assert AGE_MARGIN == 1e-3


@pytest.mark.parametrize("shape", [(), (3,), (2, 4), (0,)])
def test_shapes_are_kept(shape):
    for function in (t_univ, age_max, comoving_distance, comoving_volume, distance_modulus):
        assert np.shape(function(Cosmology(), np.full(shape, 1.0))) == shape
