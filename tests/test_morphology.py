from itertools import pairwise

import numpy as np
import pytest
from astropy import units as u
from astropy.cosmology import FlatLambdaCDM
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from mocksed import morphology
from mocksed.cosmology import Cosmology
from mocksed.errors import UserError
from mocksed.files.columns import MORPHOLOGY

COSMO = Cosmology()


def galaxies(n, redshift, log_mstar, kind="star_forming"):
    return {
        "galaxy_id": np.arange(n),
        "redshift": np.broadcast_to(np.asarray(redshift, float), n),
        "log_mstar": np.broadcast_to(np.asarray(log_mstar, float), n),
        "quiescent": np.full(n, kind == "quiescent"),
    }


def shapes(own, given=None, seed=3):
    return morphology.shapes(own, given or {}, seed=seed, cosmo=COSMO)


def major_kpc(made):
    return np.log10(made["re_circ"] / np.sqrt(made["axis_ratio"]))


# van der Wel et al. (2014), table 1: bin of redshift, log A, alpha, sigma
PUBLISHED = [
    ("star_forming", 0.25, 0.86, 0.25, 0.16),
    ("star_forming", 1.25, 0.70, 0.22, 0.17),
    ("star_forming", 2.75, 0.51, 0.18, 0.19),
    ("quiescent", 0.25, 0.60, 0.75, 0.10),
    ("quiescent", 1.25, 0.22, 0.76, 0.12),
    ("quiescent", 2.75, -0.06, 0.79, 0.14),
]


@pytest.mark.parametrize(("kind", "redshift", "log_a", "alpha", "sigma"), PUBLISHED)
@pytest.mark.parametrize("log_mstar", [10.4, 11.2])
def test_the_size_mass_relation_is_recovered_to_a_hundredth_of_a_dex(kind, redshift, log_a, alpha, sigma, log_mstar):
    n = 20_000  # the mean is known to sigma / sqrt(n), 0.001 dex
    found = major_kpc(shapes(galaxies(n, redshift, log_mstar, kind)))
    assert abs(found.mean() - (log_a + alpha * (log_mstar - np.log10(5e10)))) < 0.01
    assert abs(found.std() - sigma) < 0.01
    assert stats.kstest((found - found.mean()) / sigma, "norm").pvalue > 0.01


def test_between_bins_it_is_linear_in_redshift():
    relation = morphology.SIZES["quiescent"]
    assert_allclose(relation.mean(np.log10(5e10), 1.0), (0.42 + 0.22) / 2)
    assert_allclose(relation.scatter(1.5), 0.13)


@pytest.mark.parametrize(("kind", "z", "last", "power"), [
    ("star_forming", 7.0, 2.75, -1.2), ("star_forming", 0.0, 0.25, -0.75),
    ("quiescent", 5.0, 2.75, -1.48), ("quiescent", 0.05, 0.25, -1.48),
])  # fmt: skip
def test_beyond_the_bins_sizes_go_as_a_power_of_1_plus_z(kind, z, last, power):
    relation = morphology.SIZES[kind]
    ratio = relation.mean(10.5, z) - relation.mean(10.5, last)
    assert_allclose(ratio, power * np.log10((1 + z) / (1 + last)))
    assert relation.scatter(z) == relation.scatter(last)


def test_quiescent_dwarfs_are_not_smaller_than_galaxies_of_2e10_msun():
    relation = morphology.SIZES["quiescent"]
    assert relation.mean(8.0, 0.75) == relation.mean(np.log10(2e10), 0.75) < relation.mean(10.6, 0.75)


@pytest.mark.parametrize(("kind", "median"), [("star_forming", 1.25), ("quiescent", 3.5)])
def test_sersic_indices_have_the_published_medians_and_scatter(kind, median):
    n = shapes(galaxies(50_000, 1.0, 10.5, kind))["sersic_n"]
    assert n.min() >= 0.3
    assert n.max() <= 6.2
    below = np.mean(n < median)  # 0.5 where the cut takes nothing away
    cut = stats.norm(np.log10(median), 0.18)
    share = cut.cdf(np.log10(6.2)) - cut.cdf(np.log10(0.3))
    assert abs(below - (0.5 - cut.cdf(np.log10(0.3))) / share) < 0.01
    assert abs(np.mean(n < median * 10**-0.18) - cut.cdf(np.log10(median) - 0.18) / share) < 0.01


@pytest.mark.parametrize("kind", ["star_forming", "quiescent"])
def test_axis_ratios_have_the_counts_of_candels(kind):
    found = shapes(galaxies(100_000, 1.0, 10.5, kind))["axis_ratio"]
    edges = np.linspace(0.1, 0.9, 9)
    points = np.array([0.0, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1.0])
    counts = np.array(morphology.AXIS_RATIO_COUNTS[kind], float)
    fine = np.linspace(0, 1, 100_001)
    density = np.interp(fine, points, counts)
    density /= density.sum()
    expected = [density[(fine >= low) & (fine < high)].sum() for low, high in pairwise(edges)]
    assert_allclose(np.histogram(found, edges)[0] / len(found), expected, atol=0.004)


def test_position_angles_are_uniform():
    found = shapes(galaxies(20_000, 1.0, 10.5))["position_angle"]
    assert stats.kstest(found / 180.0, "uniform").pvalue > 0.01


def test_radii_agree_with_each_other():
    own = galaxies(500, np.linspace(0.01, 12, 500), 10.0)
    made = shapes(own)
    kpc = (
        made["re_maj"] * u.arcsec * FlatLambdaCDM(H0=COSMO.H0, Om0=COSMO.Om0).kpc_proper_per_arcmin(own["redshift"])
    ).to_value("kpc")
    assert_allclose(np.log10(kpc), major_kpc(made), atol=1e-6)


def test_a_galaxy_keeps_its_shape_in_any_company():
    own = galaxies(100, np.linspace(0.1, 9, 100), np.linspace(8, 12, 100))
    own["quiescent"] = np.arange(100) % 3 == 0
    some = np.array([71, 3, 9])
    alone = shapes({name: values[some] for name, values in own.items()})
    for name, values in shapes(own).items():
        assert_array_equal(alone[name], values[some])
    assert not np.any(shapes(own, seed=4)["re_maj"] == shapes(own)["re_maj"])
    other = shapes(own | {"realisation": np.full(100, 2)})
    assert not np.any(other["sersic_n"] == shapes(own)["sersic_n"])


def test_at_redshift_0_there_is_no_angle():
    made = shapes(galaxies(3, 0.0, 10.0))
    assert np.all(np.isnan(made["re_maj"]))
    assert np.all(np.isfinite(made["re_circ"]))


def test_what_the_table_gives_is_kept_and_the_rest_agrees_with_it():
    own = galaxies(4, 1.0, 10.0)
    drawn = shapes(own)
    assert tuple(drawn) == MORPHOLOGY
    q = np.array([0.25, 1.0, 0.5, 0.81])
    made = shapes(own, {"axis_ratio": q, "re_circ": np.array([1.0, 2.0, 3.0, np.nan])})
    assert tuple(made) == ("re_maj", "sersic_n", "position_angle")
    assert_array_equal(made["sersic_n"], drawn["sersic_n"])
    arcsec_per_kpc = drawn["re_maj"] / (drawn["re_circ"] / np.sqrt(drawn["axis_ratio"]))
    assert_allclose(made["re_maj"] / arcsec_per_kpc, [2.0, 2.0, 3.0 / np.sqrt(0.5), np.nan])
    other = shapes(own, {"re_maj": made["re_maj"], "axis_ratio": q})
    assert_allclose(other["re_circ"], [1.0, 2.0, 3.0, np.nan])


@pytest.mark.parametrize(("name", "value"), [
    ("re_maj", 0.0), ("re_circ", -1.0), ("sersic_n", np.inf), ("axis_ratio", 1.2), ("position_angle", np.inf),
])  # fmt: skip
def test_an_impossible_value_of_the_table_is_named_with_its_galaxy(name, value):
    own = galaxies(3, 1.0, 10.0)
    with pytest.raises(UserError, match=f"{name} of the galaxy 1 is {value:g} in the table; expected"):
        shapes(own, {name: np.array([0.5, value, 0.5])})


def test_a_column_of_text_is_no_size():
    with pytest.raises(UserError, match="re_maj of the table has no numbers"):
        shapes(galaxies(1, 1.0, 10.0), {"re_maj": np.array(["big"], object)})
