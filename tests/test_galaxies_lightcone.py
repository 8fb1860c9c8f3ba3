"""Light cone: counts against direct integration, independence of the sharding, limits and patches of the sky."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import kstest, poisson

from mocksed.cosmology import Cosmology, comoving_volume
from mocksed.errors import UserError
from mocksed.galaxies.lightcone import FULL_SKY_DEG2, LightCone, draw_positions
from mocksed.galaxies.mass_functions import MASS_FUNCTIONS, log_phi_quiescent, log_phi_star_forming, quiescent_fraction

N = 400_000


@cache
def cone(**changes):
    return LightCone(cosmo=Cosmology(), **({"n_galaxies": N, "seed": 7} | changes))


@cache
def sample():
    return cone().draw(0, N)


def test_mass_functions_by_name():
    """As many galaxies above 10^10.5 Msun at z = 2.5 to 3.5 are quiescent as the mass functions say."""
    limits = {"n_galaxies": 20_000, "redshift": (2.5, 3.5), "log_mstar": (10.5, 11.5)}
    assert cone(**limits).expected_per_deg2 == cone(**limits, mass_functions="williams2018").expected_per_deg2
    z, m = np.linspace(2.5, 3.5, 201)[:, None], np.linspace(10.5, 11.5, 201)
    volume = comoving_volume(Cosmology(), z)
    for name in MASS_FUNCTIONS:
        of = MASS_FUNCTIONS[name]
        quiescent, both = (
            np.sum(volume * sum(10.0 ** f(m, z) for f in fs))
            for fs in ([of.quiescent], [of.quiescent, of.star_forming])
        )
        drawn = cone(**limits, mass_functions=name).draw(0, 20_000)["quiescent"].mean()
        assert drawn == pytest.approx(quiescent / both, abs=4.0 * 0.5 / np.sqrt(20_000))


def expected_counts(quiescent, z_edges, m_edges, area_deg2):
    """Integrate the mass function over each bin, on a grid that has nothing in common with the sampler's."""
    log_phi = log_phi_quiescent if quiescent else log_phi_star_forming
    z_nodes, z_weights = np.polynomial.legendre.leggauss(24)
    m_nodes, m_weights = np.polynomial.legendre.leggauss(12)
    counts = np.empty((len(z_edges) - 1, len(m_edges) - 1))
    for i, (z_low, z_high) in enumerate(pairwise(z_edges)):
        z = 0.5 * (z_high - z_low) * z_nodes + 0.5 * (z_high + z_low)
        volume = comoving_volume(Cosmology(), z) * area_deg2 * (np.pi / 180.0) ** 2
        for j, (m_low, m_high) in enumerate(pairwise(m_edges)):
            m = 0.5 * (m_high - m_low) * m_nodes + 0.5 * (m_high + m_low)
            phi = 10.0 ** log_phi(m, z[:, None]) @ m_weights * 0.5 * (m_high - m_low)
            counts[i, j] = (volume * phi) @ z_weights * 0.5 * (z_high - z_low)
    return counts


@pytest.mark.parametrize("quiescent", [False, True])
def test_counts_by_redshift_and_mass(quiescent):
    z_edges = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0])
    m_edges = np.array([8.0, 8.3, 8.7, 9.0, 9.5, 10.0, 10.5, 11.0, 12.5])
    galaxies = sample()
    chosen = galaxies["quiescent"] == quiescent
    observed, _, _ = np.histogram2d(galaxies["redshift"][chosen], galaxies["log_mstar"][chosen], [z_edges, m_edges])
    expected = expected_counts(quiescent, z_edges, m_edges, cone().area_deg2)
    enough = expected > 10.0
    assert enough.sum() > 30
    pull = (observed - expected)[enough] / np.sqrt(expected[enough])
    chi2, n = np.sum(pull**2), enough.sum()
    assert abs(chi2 - n) < 4.0 * np.sqrt(2.0 * n)
    assert np.abs(pull).max() < 4.5
    rare = expected[~enough].sum()
    assert poisson.cdf(observed[~enough].sum(), rare) > 1e-4
    assert poisson.sf(observed[~enough].sum() - 1, rare) > 1e-4


def test_redshift_distribution():
    z = np.linspace(0.0, 12.0, 3001)
    m = np.linspace(8.0, 12.5, 301)
    phi = 10.0 ** log_phi_star_forming(m, z[:, None]) + 10.0 ** log_phi_quiescent(m, z[:, None])
    density = comoving_volume(Cosmology(), z) * np.trapezoid(phi, m, axis=1)
    cdf = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    assert kstest(sample()["redshift"][:100_000], lambda x: np.interp(x, z, cdf / cdf[-1])).pvalue > 1e-3


def test_redshifts_between_the_outermost_nodes():
    """The hats of the first and the last node have one half only; a fiftieth of the range is between two nodes."""
    n, low, high, step = 40_000, 3.0, 3.1, 0.002
    redshift = cone(redshift=(low, high), n_galaxies=n).draw(0, n)["redshift"]
    for from_limit in (redshift - low, high - redshift):
        assert from_limit.min() > 0.0
        inside = from_limit[from_limit < step]
        assert abs(len(inside) - n / 50) < 5.0 * np.sqrt(n / 50)  # of a density that changes by 3 %
        assert kstest(inside / step, "uniform").pvalue > 1e-3


def test_mass_distribution_in_a_narrow_redshift_range():
    galaxies = cone(redshift=(0.99, 1.01), n_galaxies=20_000).draw(0, 20_000)
    m = np.linspace(8.0, 12.5, 2001)
    phi = 10.0 ** log_phi_star_forming(m, 1.0) + 10.0 ** log_phi_quiescent(m, 1.0)
    cdf = np.concatenate([[0.0], np.cumsum(0.5 * (phi[1:] + phi[:-1]))])
    assert kstest(galaxies["log_mstar"], lambda x: np.interp(x, m, cdf / cdf[-1])).pvalue > 1e-3


def test_positions_are_uniform_and_independent_of_the_redshift():
    galaxies = sample()
    side = np.sqrt(cone().area_deg2)
    ra, dec = galaxies["ra"], galaxies["dec"]
    width = side / np.cos(np.radians(2.2))
    assert kstest(ra, lambda x: (x - 150.1) / width + 0.5).pvalue > 1e-3
    assert np.ptp(dec) == pytest.approx(side, rel=1e-3)
    assert 0.5 * (dec.min() + dec.max()) == pytest.approx(2.2, abs=1e-3)
    assert abs(np.corrcoef([ra, dec, galaxies["redshift"], galaxies["log_mstar"]])[:2]).min(axis=1).max() < 0.01


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 3000), max_size=6))
def test_any_sharding_gives_the_same_bytes(cuts):
    small = cone(n_galaxies=3000)
    whole = small.draw(0, 3000)
    edges = [0, *sorted(cuts), 3000]
    pieces = [small.draw(start, stop) for start, stop in pairwise(edges)]
    for name, values in whole.items():
        assert np.concatenate([piece[name] for piece in pieces]).tobytes() == values.tobytes()


def test_columns():
    galaxies = cone(n_galaxies=3000).draw(100, 200)
    assert list(galaxies) == ["galaxy_id", "redshift", "log_mstar", "quiescent", "ra", "dec"]
    assert_array_equal(galaxies["galaxy_id"], np.arange(100, 200))
    assert galaxies["galaxy_id"].dtype == np.int64
    assert galaxies["quiescent"].dtype == bool


def test_seed_changes_the_galaxies():
    assert not np.array_equal(
        cone(n_galaxies=3000, seed=1).draw(0, 9)["ra"], cone(n_galaxies=3000, seed=2).draw(0, 9)["ra"]
    )


@pytest.mark.parametrize(
    ("redshift", "log_mstar"), [((0.0, 12.0), (8.0, 12.5)), ((3.3, 3.4), (10.0, 10.1)), ((9.0, 20.0), (5.0, 13.5))]
)
def test_limits_are_kept(redshift, log_mstar):
    galaxies = cone(redshift=redshift, log_mstar=log_mstar, n_galaxies=20_000).draw(0, 20_000)
    for name, (low, high) in (("redshift", redshift), ("log_mstar", log_mstar)):
        assert low <= galaxies[name].min() < galaxies[name].max() <= high


def test_published_counts_per_square_degree():
    for lowest, expected in ((5.0, 3.386e7), (7.0, 2.96e6), (10.0, 42_280.0)):
        assert_allclose(cone(log_mstar=(lowest, 13.5)).expected_per_deg2, expected, rtol=5e-3)


def test_area_follows_from_the_number():
    assert cone().n_galaxies == N
    assert cone().area_deg2 * cone().expected_per_deg2 == pytest.approx(N)


def test_number_is_poisson_for_an_area():
    limits = {"redshift": (1.0, 1.5), "log_mstar": (9.0, 10.0)}
    numbers = np.array([cone(n_galaxies=None, area_deg2=1e-3, seed=seed, **limits).n_galaxies for seed in range(60)])
    expected = 1e-3 * cone(**limits, n_galaxies=1).expected_per_deg2
    pull = (numbers - expected) / np.sqrt(expected)
    assert abs(pull.mean()) < 4.0 / np.sqrt(60)
    assert 0.6 < pull.std() < 1.4
    assert cone(n_galaxies=None, area_deg2=1e-3).area_deg2 == 1e-3


def test_area_of_the_full_sky_has_a_number():
    sky = cone(n_galaxies=None, area_deg2=41252.0, log_mstar=(5.0, 13.5))
    assert sky.n_galaxies == pytest.approx(41252.0 * sky.expected_per_deg2, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_galaxies": 10**10, "log_mstar": (11.0, 12.0)}, "n_galaxies.*full sky.*holds"),
        ({"n_galaxies": 5, "redshift": (15.0, 20.0), "log_mstar": (13.4, 13.5)}, "full sky"),
        ({"n_galaxies": None, "area_deg2": 1e-12}, "light cone is empty.*lightcone.area"),
        ({"n_galaxies": None, "area_deg2": 41253.0}, "lightcone.area is 41253.0"),
        ({"redshift": (2.0, 1.0)}, r"lightcone.redshift is \[2.0, 1.0\]"),
        ({"redshift": (-1.0, 1.0)}, "lightcone.redshift"),
        ({"log_mstar": (8.0, np.nan)}, "lightcone.log_mstar"),
        ({"centre": (0.0, 91.0)}, "lightcone.centre"),
    ],
)
def test_impossible_cones(changes, message):
    with pytest.raises(UserError, match=message):
        cone(**changes)


def test_from_config():
    config = {"n_galaxies": 50, "area": 0.01, "redshift": [0.5, 2.0], "log_mstar": [9.0, 12.0], "centre": [0.0, -30.0]}
    a = LightCone.from_config(config, Cosmology(), 3)
    b = cone(n_galaxies=50, redshift=(0.5, 2.0), log_mstar=(9.0, 12.0), centre=(0.0, -30.0), seed=3)
    assert_array_equal(a.draw(0, 50)["ra"], b.draw(0, 50)["ra"])


@pytest.mark.parametrize("centre", [(0.0, 0.0), (359.9, 45.0), (10.0, 89.9), (10.0, 90.0), (10.0, -90.0), (200.0, -70)])
@pytest.mark.parametrize("area", [0.01, 1.0, 500.0, 30_000.0, FULL_SKY_DEG2])
def test_patch_is_on_the_sphere_with_its_exact_area(centre, area):
    rows = np.linspace(0.0, 1.0, 201)
    corners = np.array([0.0, 1.0])
    _, (dec_low, dec_high) = draw_positions(centre, area, corners, corners)
    height = np.sin(np.radians(dec_high)) - np.sin(np.radians(dec_low))
    ra, dec = draw_positions(centre, area, rows, rows)
    width = np.sum(np.diff(np.unwrap(np.radians(ra))))
    assert np.degrees(np.degrees(width * height)) == pytest.approx(area, rel=1e-4)
    assert np.all((ra >= 0.0) & (ra < 360.0))
    assert np.all((dec >= -90.0) & (dec <= 90.0))
    assert dec_low - 1e-9 <= centre[1] <= dec_high + 1e-9


def test_cap_around_a_pole():
    u = np.random.default_rng(1).random((2, 20_000))
    ra, dec = draw_positions((77.0, 90.0), 100.0, u[0], u[1])
    assert kstest(ra / 360.0, "uniform").pvalue > 1e-3
    radius = np.degrees(np.arccos(1.0 - np.radians(np.radians(100.0)) / (2.0 * np.pi)))
    assert dec.min() == pytest.approx(90.0 - radius, abs=0.01)


def test_right_ascension_is_never_360():
    ra, _ = draw_positions((0.0, 0.0), 1.0, np.array([0.5 - 1e-17, np.nextafter(0.5, 0.0), 0.2]), np.full(3, 0.5))
    assert np.all((ra >= 0.0) & (ra < 360.0))


def test_realisations_have_the_same_galaxies_and_classes_of_their_own():
    n, indices = 200_000, [0, 3, 7]
    first, drawn = cone().draw(0, n), cone().draw(0, n, indices)
    assert list(drawn) == ["galaxy_id", "realisation", *list(first)[1:]]
    assert_array_equal(drawn["realisation"], np.repeat(indices, n))
    for name, values in first.items():
        parts = np.split(drawn[name], 3)
        assert parts[0].tobytes() == values.tobytes()
        if name != "quiescent":
            assert all(part.tobytes() == values.tobytes() for part in parts)
    alone = cone().draw(0, n, [7])
    assert all(alone[name].tobytes() == values[2 * n :].tobytes() for name, values in drawn.items())
    # each follows the mass functions, whatever the classes in the others
    fraction = quiescent_fraction(first["log_mstar"], first["redshift"])
    classes = np.array(np.split(drawn["quiescent"], 3))
    for low, high in ((8.0, 9.0), (9.0, 10.0), (10.0, 10.5), (10.5, 11.0), (11.0, 12.5)):
        of_bin = (first["log_mstar"] >= low) & (first["log_mstar"] < high)
        expected, p = np.sum(fraction[of_bin]), fraction[of_bin]
        error = np.sqrt(np.sum(p * (1.0 - p)))
        assert np.all(np.abs(classes[:, of_bin].sum(axis=1) - expected) < 4.5 * error + 0.002 * expected)
        both = np.sum(classes[0, of_bin] & classes[1, of_bin])
        assert abs(both - np.sum(p**2)) < 4.5 * np.sqrt(np.sum(p**2)) + 0.004 * np.sum(p**2)


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 3000), max_size=4))
def test_any_sharding_gives_the_same_realisations(cuts):
    small = cone(n_galaxies=3000)
    whole = small.draw(0, 3000, [1, 2])
    edges = [0, *sorted(cuts), 3000]
    pieces = [small.draw(start, stop, [1, 2]) for start, stop in pairwise(edges)]
    for index in (1, 2):
        for name, values in whole.items():
            parts = [piece[name][piece["realisation"] == index] for piece in pieces]
            assert np.concatenate(parts).tobytes() == values[whole["realisation"] == index].tobytes()
