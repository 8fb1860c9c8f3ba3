"""Mass functions of Williams et al. (2018): published values, counts per deg^2, behaviour on arrays."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.interpolate import PchipInterpolator

from mocksed.cosmology import Cosmology, comoving_volume
from mocksed.galaxies import mass_functions
from mocksed.galaxies.mass_functions import log_phi_quiescent, log_phi_star_forming, quiescent_fraction

LOG_MSTAR = np.array([7.0, 8.0, 9.0, 10.0, 11.0])


@pytest.mark.parametrize(
    ("z", "expected"),
    [
        (1.0, [-1.015, -1.568, -2.096, -2.548, -3.258]),
        (4.0, [-1.399, -1.824, -2.321, -3.528, -5.726]),
        (8.0, [-1.993, -2.736, -3.764, -7.649, -14.45]),
    ],
)
def test_star_forming_values(z, expected):
    assert_allclose(log_phi_star_forming(LOG_MSTAR, z)[:4], expected[:4], atol=6e-4)
    assert_allclose(log_phi_star_forming(LOG_MSTAR, z)[4], expected[4], atol=6e-3)  # printed to 0.01


@pytest.mark.parametrize(
    ("z", "expected"),
    [(1.0, [-2.781, -3.091, -3.360, -3.202, -3.230]), (6.0, [-7.886, -7.035, -6.193, -5.437, -5.544])],
)
def test_quiescent_values(z, expected):
    assert_allclose(log_phi_quiescent(LOG_MSTAR, z), expected, atol=6e-4)


def test_quiescent_is_pchip_at_fixed_mass_through_all_nodes():
    z = np.linspace(0.0, 5.5, 331)
    for m in (5.0, 9.3, 11.7):
        at_nodes = mass_functions._log_phi_at_nodes(np.array([m]), slice(None))[:, 0]
        assert_allclose(log_phi_quiescent(m, z), PchipInterpolator(mass_functions._NODES_Z, at_nodes)(z), rtol=1e-12)


def test_quiescent_follows_the_law_at_high_redshift():
    z = np.array([4.43, 5.0, 8.0, 12.0, 20.0, 25.0])
    slope = np.diff(log_phi_quiescent(10.0, z)) / np.diff(z)
    assert_allclose(slope, -0.4293, rtol=1e-5)


@pytest.mark.parametrize(("lowest", "expected"), [(5.0, 3.386e7), (7.0, 2.96e6), (10.0, 42_280.0)])
def test_counts_per_square_degree(lowest, expected):
    z, m = np.linspace(0.0, 12.0, 1201), np.linspace(lowest, 13.5, 851)
    phi = 10.0 ** log_phi_star_forming(m, z[:, None]) + 10.0 ** log_phi_quiescent(m, z[:, None])
    volume = comoving_volume(Cosmology(), z) * (np.pi / 180.0) ** 2
    assert_allclose(np.trapezoid(volume * np.trapezoid(phi, m, axis=1), z), expected, rtol=5e-3)


@pytest.mark.parametrize("function", [log_phi_star_forming, log_phi_quiescent, quiescent_fraction])
def test_arrays_broadcast(function):
    z = np.array([[0.3], [4.2], [9.0]])
    grid = function(LOG_MSTAR, z)
    assert grid.shape == (3, 5)
    assert_allclose(grid[1, 2], function(9.0, 4.2))
    assert function(9.0, 4.2).shape == ()
    assert function(np.empty(0), 1.0).shape == (0,)


def test_finite_where_phi_underflows():
    assert np.isfinite(log_phi_star_forming(13.5, 20.0))
    assert np.isfinite(log_phi_quiescent(13.5, 20.0))


def test_quiescent_fraction():
    m, z = np.array([8.0, 10.5, 11.5]), np.array([0.5, 0.5, 2.0])
    q, sf = 10.0 ** log_phi_quiescent(m, z), 10.0 ** log_phi_star_forming(m, z)
    assert_allclose(quiescent_fraction(m, z), q / (q + sf), rtol=1e-12)
    assert 0.0 <= quiescent_fraction(13.5, 20.0) <= 1.0
