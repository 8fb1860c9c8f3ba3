"""Mass functions: published values, counts per deg^2, behaviour on arrays."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.interpolate import PchipInterpolator

from mocksed.cosmology import Cosmology, comoving_volume
from mocksed.galaxies import mass_functions
from mocksed.galaxies.mass_functions import MASS_FUNCTIONS, log_phi_quiescent, log_phi_star_forming, quiescent_fraction

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


# A Schechter function at its knee is ln10 phi* / e = 0.847073 phi*.
@pytest.mark.parametrize(
    ("name", "kind", "log_mstar", "z", "expected"),
    [
        ("davidzon2017", "star_forming", 10.83, 3.25, -4.13758),  # log10(0.847073 * 0.086e-3)
        ("davidzon2017", "star_forming", 10.26, 0.35, -2.50271),  # log10(0.847073 * (2.410 + 1.30)e-3)
        ("davidzon2017", "star_forming", 10.26, 0.0, -2.50271),  # held below the first bin
        ("davidzon2017", "quiescent", 10.10, 3.75, -5.47001),  # log10(0.847073 * 0.004e-3)
        ("davidzon2017", "quiescent", 10.10, 5.75, -6.07001),  # two units of redshift above the last bin
        # total log10(0.847073 * 0.03e-3) = -4.59495, share at 10.18: 0.0125 + 0.22 * 0.0054 = 0.013688
        ("weaver2023", "star_forming", 10.18, 7.0, -4.60093),
        ("weaver2023", "quiescent", 10.18, 7.0, -6.45861),
        ("weaver2023", "quiescent", 10.18, 12.0, -7.95861),
    ],
)
def test_values_of_other_papers(name, kind, log_mstar, z, expected):
    assert_allclose(getattr(MASS_FUNCTIONS[name], kind)(log_mstar, z), expected, rtol=0, atol=2e-5)


def total(name, log_mstar, z):
    of = MASS_FUNCTIONS[name]
    return np.logaddexp(*(np.log(10.0) * f(log_mstar, z) for f in (of.star_forming, of.quiescent))) / np.log(10.0)


@pytest.mark.parametrize(
    ("z", "knee", "alpha", "phi"),
    [
        (0.35, 10.78, (-1.38, -0.43), (1.187, 1.92)),
        (0.65, 10.77, (-1.36, 0.03), (1.070, 1.68)),
        (0.95, 10.56, (-1.31, 0.51), (1.428, 2.19)),
        (1.3, 10.62, (-1.28, 0.29), (1.069, 1.21)),
        (1.75, 10.51, (-1.28, 0.82), (0.969, 0.64)),
        (2.25, 10.60, (-1.57, 0.07), (0.295, 0.45)),
        (2.75, 10.59, (-1.67, -0.08), (0.228, 0.21)),
        (3.25, 10.83, (-1.76, 0.0), (0.090, 0.0)),
    ],
)
def test_the_classes_of_davidzon_are_together_all_galaxies(z, knee, alpha, phi):
    """What the paper fits to both classes (table 2) against what it fits to all galaxies (table 1)."""
    m = np.linspace(9.5, 11.0, 7)
    u = 10.0 ** (m - knee)
    of_all = np.log(10.0) * np.exp(-u) * sum(1e-3 * p * u ** (1.0 + a) for a, p in zip(alpha, phi, strict=True))
    assert_allclose(total("davidzon2017", m, z), np.log10(of_all), rtol=0, atol=0.04)


@pytest.mark.parametrize(
    ("log_mstar", "z", "of_all", "of_quiescent"),
    [
        (9.125, 0.35, 9.879e-3, 1.032e-3),
        (10.625, 0.35, 2.485e-3, 1.087e-3),
        (10.875, 1.3, 1.236e-3, 4.725e-4),
        (9.875, 2.25, 1.408e-3, 1.895e-5),
        (10.625, 2.75, 4.476e-4, 8.172e-5),
    ],
)
def test_weaver_against_the_points_of_the_authors(log_mstar, z, of_all, of_quiescent):
    assert_allclose(total("weaver2023", log_mstar, z), np.log10(of_all), rtol=0, atol=0.1)
    assert_allclose(quiescent_fraction(log_mstar, z, "weaver2023"), of_quiescent / of_all, rtol=0.01)


@pytest.mark.parametrize("name", MASS_FUNCTIONS)
def test_all_are_defined_everywhere_and_between_their_bins(name):
    m, z = np.linspace(4.0, 13.5, 40), np.linspace(0.0, 20.0, 81)[:, None]
    assert np.isfinite(total(name, m, z)).all()
    fraction = quiescent_fraction(m, z, name)
    assert fraction.min() >= 0.0
    assert fraction.max() <= 1.0
    if name != "williams2018":  # linear in log Phi at fixed mass
        of = MASS_FUNCTIONS[name].star_forming
        below, between, above = of(10.2, np.array([2.25, 2.5, 2.75]))
        # of the logarithms of total and share, not of the share
        assert_allclose(between, 0.5 * (below + above), rtol=0, atol=1e-3)


def test_fewer_massive_galaxies_are_quiescent_at_high_redshift():
    """Of star-forming and quiescent above 10^10.5 at z = 3, 0.1 to 0.2 are quiescent (COSMOS), not most of them."""
    assert quiescent_fraction(10.75, 3.0) > 0.6
    for name in ("davidzon2017", "weaver2023"):
        assert 0.03 < quiescent_fraction(10.75, 3.0, name) < 0.25
