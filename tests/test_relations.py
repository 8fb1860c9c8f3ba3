import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from mocksed import relations as r

DEFAULT = r.Relations()

# the check values are printed with three or four decimals
SFR, Z, MAG = 5.1e-5, 5.1e-4, 5.1e-4


@pytest.mark.parametrize(
    ("log_mstar", "redshift", "expected"),
    [(8, 0, -1.5), (10, 0, 0.3771), (11, 0, 0.6931), (10, 2, 1.2157), (11, 2, 2.1557), (10, 4, 1.5485), (9, 7, 0.8546)],
)
def test_sfr_of_star_forming_galaxies(log_mstar, redshift, expected):
    assert_allclose(DEFAULT.log_sfr_star_forming.mean(log_mstar, redshift), expected, rtol=0, atol=SFR)


@pytest.mark.parametrize(
    ("log_mstar", "redshift", "expected"), [(10, 0, -1.1), (11, 0, -0.6), (10, 2, -0.6229), (9, 7, -0.6969)]
)
def test_sfr_of_quiescent_galaxies(log_mstar, redshift, expected):
    assert_allclose(DEFAULT.log_sfr_quiescent.mean(log_mstar, redshift), expected, rtol=0, atol=SFR)


@pytest.mark.parametrize(
    ("log_mstar", "log_sfr", "expected"), [(9, 0, -0.55), (10, 1, -0.32), (8, -1.5, -0.71), (11, 2, -0.09)]
)
def test_metallicity(log_mstar, log_sfr, expected):
    assert_allclose(DEFAULT.log_zmet.mean(log_mstar, log_sfr, 1.0), expected, rtol=0, atol=Z)


@pytest.mark.parametrize(("log_zmet", "expected"), [(-0.55, -3.14), (-0.32, -3.324)])
def test_ionisation_parameter(log_zmet, expected):
    assert_allclose(DEFAULT.log_us.mean(log_zmet, 10.0, 1.0, 1.0), expected, rtol=0, atol=Z)


@pytest.mark.parametrize(
    ("redshift", "expected"),
    [
        (0, [-15.012, -16.672, -18.332, -19.992]),
        (2, [-16.871, -18.531, -20.191, -21.851]),
        (4, [-17.676, -19.336, -20.996, -22.656]),
        (8, [-18.473, -20.133, -21.793, -23.453]),
        (11, [-18.473, -20.133, -21.793, -23.453]),
    ],
)
def test_muv(redshift, expected):
    assert_allclose(
        DEFAULT.muv.mean([8, 9, 10, 11], redshift), expected, rtol=0, atol=1.1e-3
    )  # the fit's residual: 0.001


@pytest.mark.parametrize(
    ("redshift", "expected"),
    [
        (0, [-1.265, -1.490, -1.715, -1.895]),
        (4, [-1.555, -1.850, -2.145, -2.381]),
        (8, [-1.845, -2.210, -2.575, -2.867]),
        (11, [-1.845, -2.210, -2.575, -2.867]),
    ],
)
def test_beta(redshift, expected):
    assert_allclose(DEFAULT.beta.mean([-22, -19.5, -17, -15], redshift), expected, rtol=0, atol=MAG)


def test_relations_broadcast():
    assert DEFAULT.log_sfr_star_forming.mean(np.zeros((3, 1)), np.zeros(2)).shape == (3, 2)
    assert DEFAULT.muv.mean(np.zeros(3), 0.0).shape == (3,)


UNIFORM = (np.arange(20_000) + 0.5) / 20_000


@pytest.mark.parametrize(
    ("scatter", "reference"),
    [
        (r.Gaussian(0.7), stats.norm(-20.0, 0.7)),
        (r.StudentT(0.3), stats.t(3, -20.0, 0.3)),
        (r.Gaussian(0.35, (-20.2, np.inf)), stats.truncnorm(-0.2 / 0.35, np.inf, -20.0, 0.35)),
    ],
)
def test_scatter_has_the_quantiles_of_its_distribution(scatter, reference):
    assert_allclose(scatter.draw(-20.0, UNIFORM), reference.ppf(UNIFORM), rtol=1e-9)


@pytest.mark.parametrize(
    "scatter", [r.Gaussian(0.4), r.Gaussian(0.35, (-2.6, np.inf)), r.StudentT(0.3, (-2.2, 0.24)), r.StudentT(0.3)]
)
def test_the_cumulative_probability_is_the_inverse_of_a_draw(scatter):
    uniform = np.linspace(0.001, 0.999, 50)
    for mean in (-2.5, -0.3, 0.2):
        assert_allclose(scatter.cumulative(mean, scatter.draw(mean, uniform)), uniform, rtol=1e-9)


def test_the_cumulative_probability_far_below_a_limit():
    scatter = r.Gaussian(0.05, (-2.6, np.inf))
    assert_allclose(scatter.cumulative(-9.0, scatter.draw(-9.0, [0.1, 0.5, 0.9])), [0.1, 0.5, 0.9], rtol=1e-6)


def test_the_cumulative_probability_without_scatter_is_a_step_at_the_mean():
    value = np.array([-0.1, 0.0, 0.1, 0.3])
    assert r.Gaussian(0.0).cumulative(0.1, value).tolist() == [0.0, 0.0, 1.0, 1.0]
    assert r.StudentT(0.0, (-2.2, 0.24)).cumulative(0.5, value).tolist() == [0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (-np.inf, np.inf), (8.0, 12.0), (-40.0, -35.0), (30.0, np.inf)])
def test_normal_deviates_and_their_cumulative_probability(low, high):
    uniform = np.linspace(0.001, 0.999, 50)
    limits = np.full(50, low), np.full(50, high)
    assert_allclose(r.normal_cumulative(*limits, r.normal_between(*limits, uniform)), uniform, rtol=1e-6)


def test_truncated_student_t_is_the_distribution_within_the_limits():
    scatter, reference = r.StudentT(0.3, r.LOG_ZMET_RANGE), stats.t(3, -0.1, 0.3)
    low, high = reference.cdf(r.LOG_ZMET_RANGE)
    assert_allclose(scatter.draw(-0.1, UNIFORM), reference.ppf(low + UNIFORM * (high - low)), rtol=1e-9, atol=1e-12)


def test_default_scatters():
    relations = r.Relations()
    assert relations.log_sfr_star_forming.scatter == r.Gaussian(0.3)
    assert relations.log_sfr_quiescent.scatter == r.Gaussian(0.4)
    assert relations.log_zmet.scatter == r.StudentT(0.3, (-2.2, 0.24))
    assert relations.log_us.scatter == r.StudentT(0.3, (-4.0, -1.0))
    assert relations.muv.scatter == r.Gaussian(0.7)
    assert relations.beta.scatter == r.Gaussian(0.35, (-2.6, np.inf))


def test_scatters_come_from_the_config():
    scales = dict.fromkeys(("log_sfr_star_forming", "log_sfr_quiescent", "log_zmet", "log_us", "muv", "beta"), 0.0)
    relations = r.Relations.from_config({"scatter": scales | {"muv": 0.5}})
    assert relations.muv.scatter == r.Gaussian(0.5)
    assert relations.log_us.scatter == r.StudentT(0.0, r.LOG_US_RANGE)


@pytest.mark.parametrize("kind", [r.Gaussian, r.StudentT])
def test_no_scatter_gives_the_mean_moved_into_the_limits(kind):
    drawn = kind(0.0, (-1.0, 1.0)).draw([[-3.0], [0.2], [4.0]], [0.1, 0.9])
    assert drawn.tolist() == [[-1.0, -1.0], [0.2, 0.2], [1.0, 1.0]]


@given(
    kind=st.sampled_from([r.Gaussian, r.StudentT]),
    scale=st.floats(0.01, 2.0),
    limits=st.sampled_from([r.LOG_ZMET_RANGE, r.LOG_US_RANGE, r.BETA_RANGE]),
    mean=st.floats(-10.0, 5.0),
    uniform=st.floats(2.0**-54, 1.0 - 2.0**-53),
)
def test_every_draw_is_finite_and_within_the_limits(kind, scale, limits, mean, uniform):
    drawn = kind(scale, limits).draw(mean, uniform)
    assert np.isfinite(drawn)
    assert limits[0] <= drawn <= limits[1]
