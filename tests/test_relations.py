import re

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from mocksed import relations as r
from mocksed.config import relations_page
from mocksed.errors import UserError

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


# The age of the universe of H0 = 70, Om0 = 0.3: 13.967/3 * 2/sqrt(0.7) * asinh(sqrt(0.7/0.3) (1+z)^-1.5) Gyr, which is
# 13.4670 at z = 0 and 3.2266 at z = 2.
_AT_5500 = 0.44 * 4.05 / 3.326  # A_V of stars in A_Halpha, Calzetti et al. 2000: 0.535779


@pytest.mark.parametrize(
    ("quantity", "name", "given", "expected"),
    [
        # (0.84 - 0.026 * 13.4670) * 10 - (6.51 - 0.11 * 13.4670) = 4.89858 - 5.02863
        ("log_sfr_star_forming", "speagle2014", (10.0, 0.0), -0.1300),
        # (0.84 - 0.026 * 3.2266) * 10.5 - (6.51 - 0.11 * 3.2266) = 7.93914 - 6.15507
        ("log_sfr_star_forming", "speagle2014", (10.5, 2.0), 1.7841),
        ("log_sfr_star_forming", "whitaker2014", (9.2, 0.75), 0.17),  # 0.94 * (9.2 - 10.2) + 1.11
        ("log_sfr_star_forming", "whitaker2014", (11.2, 2.25), 2.29),  # 0.67 * (11.2 - 10.2) + 1.62
        ("log_sfr_star_forming", "whitaker2014", (11.2, 1.0), 1.535),  # mean of 0.14 + 1.11 and 0.51 + 1.31
        ("log_sfr_star_forming", "whitaker2014", (11.2, 9.0), 2.29),  # held
        # z = 1: a = 0.03746 + 0.3448 - 0.1156 = 0.26666, b = 0.9605 + 0.0499 - 0.05984 = 0.95056,
        # c = 0.2516 + 1.118 - 0.2006 = 1.169, log Mt = 10.22 + 0.3826 - 0.04491 = 10.55769
        ("log_sfr_star_forming", "leja2022", (10.55769, 1.0), 1.169),
        ("log_sfr_star_forming", "leja2022", (11.55769, 1.0), 1.43566),
        ("log_sfr_star_forming", "leja2022", (9.55769, 1.0), 0.21844),
        # 2.71 - 0.186 * 13.4670 - log10(1 + 10^(10.86 - 0.0729 * 13.4670 - 11)) = 0.20514 - log10(1 + 10^-1.12174)
        ("log_sfr_star_forming", "popesso2023", (11.0, 0.0), 0.1735),
        # 2.71 - 0.186 * 3.2266 - log10(1 + 10^(10.86 - 0.0729 * 3.2266 - 10.5)) = 2.10985 - log10(1 + 10^0.12478)
        ("log_sfr_star_forming", "popesso2023", (10.5, 2.0), 1.7420),
        # 10 - 9.67 - 0.38 * (10 - 9.59)^2 = 0.33 - 0.06388
        ("log_sfr_star_forming", "schreiber2017", (10.0, 0.0), 0.26612),
        # log10(3) = 0.47712: 11 - 9.67 + 0.86836 - 0.38 * (11 - 9.59 - 1.05921)^2 = 2.19836 - 0.38 * 0.12305
        ("log_sfr_star_forming", "schreiber2017", (11.0, 2.0), 2.15160),
        ("log_sfr_star_forming", "schreiber2017", (9.0, 2.0), 0.19836),  # 9 - 9.67 + 0.86836
        ("log_sfr_quiescent", "hahn2017", (11.0, 0.5), -1.53),  # 0.4 * 0.5 - 1.73
        # turnover 10.11 + 0.56 * 0, 0.31 / 2.1 = 0.14762; 8.779 - 0.14762 * log10(1 + 10^(-2.1 * -0.11) = 2.70216)
        ("log_zmet", "curti2020", (10.0, 0.0, 0.1), 8.71527 - 8.69),
        # turnover 10.67; 8.779 - 0.14762 * log10(1 + 10^3.507) = 8.779 - 0.14762 * 3.50714
        ("log_zmet", "curti2020", (9.0, 1.0, 3.0), 8.26128 - 8.69),
        # y = 10 - 0.6 * 1 - 10 = -0.6: 8.80 - 0.1128 - 0.0792 + 0.01147
        ("log_zmet", "sanders2021", (10.0, 1.0, 2.0), 8.61947 - 8.69),
        ("log_zmet", "sanders2021", (9.0, 0.0, 0.0), 8.4451 - 8.69),  # y = -1: 8.80 - 0.188 - 0.220 + 0.0531
        # held at its maximum, y = 0.376: 8.80 + 0.07069 - 0.03110 - 0.00282
        ("log_zmet", "sanders2021", (12.0, 0.0, 0.0), 8.83676 - 8.69),
        ("log_zmet", "nakajima2023", (8.0, 1.0, 6.0), 7.74 - 8.69),  # 8.24 + 0.25 * -2
        # log n_e = 2.066 + 0.492 * -1 = 1.574; -2.316 - 0.360 * 0.69 - 0.292 * 1.574 + 0.428 * -1
        ("log_us", "kashino2019", (0.0, 10.0, 0.0, 0.1), -3.4520),
        # log n_e = 2.066 - 0.310 + 0.492 = 2.248; -2.316 - 0.360 * 0.19 - 0.292 * 2.248 + 0.428
        ("log_us", "kashino2019", (-0.5, 9.0, 1.0, 2.0), -2.6128),
        ("beta", "bouwens2014", (-20.5, 3.8), -1.74),  # -1.85 - 0.11 * -1
        ("beta", "bouwens2014", (-18.5, 5.9), -2.20),  # -2.00 - 0.20 * 1
        ("beta", "bouwens2014", (-18.5, 9.0), -2.28),  # held: -2.13 - 0.15 * 1
        ("beta", "bouwens2014", (-19.5, 7.5), -2.09),  # mean of -2.05 and -2.13
        ("beta", "cullen2023", (-19.0, 10.0), -2.17),  # -0.17 * -19 - 5.40
        ("beta", "meurer1999", (-19.0, 2.0, 2.44), -1.0),  # (2.44 - 4.43) / 1.99
        ("beta", "koprowski2018", (-19.0, 2.0, 2.75), -1.0),  # (2.75 - 4.85) / 2.10
        ("beta", "koprowski2018", (-21.0, 5.0, 0.0), -2.30952),  # without dust
        ("a_uv", "mclure2018", (10.0, 2.5), 2.293),
        ("a_uv", "mclure2018", (11.0, 2.5), 3.918),  # 2.293 + 1.160 + 0.256 + 0.209
        ("a_uv", "mclure2018", (9.5, 2.5), 1.7509),  # 2.293 - 0.580 + 0.064 - 0.02613
        ("a_uv", "mclure2018", (7.0, 2.5), 0.0),  # 2.293 - 3.480 + 2.304 - 5.643 is below 0
        ("a_uv", "pannella2015", (10.0, 2.0), 2.5),  # 16 - 13.5
        ("a_uv", "pannella2015", (8.0, 2.0), 0.0),  # 12.8 - 13.5 is below 0
        # exp(22.77) = 7.7428e9, over 1.96e9: 3.9504; 2.5 * log10(4.9504)
        ("a_uv", "whitaker2017", (10.0, 2.0), 1.73658),
        ("a_uv", "schreiber2017", (10.5, 1.0), 3.06643),  # 2.5 * log10(16.8489), at any redshift
        ("a_uv", "schreiber2017", (9.5, 1.0), 1.36385),  # 2.5 * log10(1 + 10^(1.2 - 0.8) = 3.51189)
        ("a_uv", "schreiber2017", (10.0, 5.0), 1.27593),  # slope of z = 3: 2.5 * log10(1 + 10^(1.2 - 0.85) = 3.23872)
        ("a_v", "garn_best2010", (10.0, 0.1), 0.91 * _AT_5500),
        ("a_v", "garn_best2010", (11.0, 0.1), 1.70 * _AT_5500),  # 0.91 + 0.77 + 0.11 - 0.09
        # tau_V = 1: 1.073 - 2.8 / (1 + 3); A_V = 1.08574 tau_V
        ("dust_index", "chevallard2013", (1.08574,), 0.373),
        ("dust_index", "chevallard2013", (0.271434,), -0.047),  # tau_V = 0.25: 1.073 - 2.8 / 2.5
    ],
)  # fmt: skip
def test_published_relations(quantity, name, given, expected):
    mean = r.RELATIONS[quantity][name].mean
    assert_allclose(mean(*given), expected, rtol=0, atol=6e-5)
    arrays = mean(*(np.full((3, 1) if i else 2, value) for i, value in enumerate(given)))
    assert_allclose(arrays, np.full((3, 2) if len(given) > 1 else 2, expected), rtol=0, atol=6e-5)


@pytest.mark.parametrize(
    "relation", [own for of in r.RELATIONS.values() for own in of.values()], ids=lambda of: f"{of.quantity}-{of.name}"
)
def test_every_relation_says_what_it_is(relation):
    assert r.RELATIONS[relation.quantity][relation.name] is relation
    assert relation.paper
    assert relation.doi.startswith("10.")
    assert set(relation.needs) <= set(r.ARGUMENTS[relation.quantity])
    assert relation.scatter.scale > 0.0
    for low, high in (relation.redshift, relation.log_mstar):
        assert low < high
    for imf in (relation.mass_imf, relation.sfr_imf):
        assert imf in (None, "chabrier", "kroupa", "salpeter")


def test_a_scatter_in_the_infrared_excess():
    """0.4 dex at an excess of 10^1.2 = 15.849: 2.5 * 0.4 * 15.849 / 16.849 mag; none where there is no dust."""
    relation = r.RELATIONS["a_uv"]["schreiber2017"]
    assert_allclose(relation.law(10.5, 1.0).scale, 0.94065, rtol=0, atol=2e-5)
    assert relation.law(7.0, 3.0).scale < 1e-4
    of_chabrier = relation.converted("chabrier", "chabrier")
    assert_allclose(of_chabrier.law(10.5 + np.log10(0.61), 1.0).scale, 0.94065, rtol=0, atol=2e-5)


def test_labels_are_authors_and_year():
    assert r.Relations().log_sfr_star_forming.label == "Schreiber et al. 2015"
    assert r.RELATIONS["a_v"]["garn_best2010"].label == "Garn & Best 2010"
    assert r.RELATIONS["log_us"]["carton2017"].label == "Carton et al. 2017"


def test_relations_by_name_with_their_own_scatter_or_another():
    relations = r.Relations.from_config({
        "log_sfr_star_forming": "speagle2014", "a_uv": "mclure2018", "log_zmet": "curti2020", "a_v": None,
        "scatter": {"log_zmet": 0.05, "log_sfr_star_forming": None},
    })  # fmt: skip
    assert relations.log_sfr_star_forming is r.RELATIONS["log_sfr_star_forming"]["speagle2014"]
    assert relations.log_zmet.scatter == r.Gaussian(0.05, r.LOG_ZMET_RANGE)
    assert relations.attenuation is relations.a_uv
    assert relations.muv is r.Relations().muv
    assert [of.quantity for of in relations] == [*list(r.ARGUMENTS)[:6], "a_uv"]


def test_an_unknown_name_is_refused_with_what_is_known():
    known = "expected one of curti2020, hunt2016, nakajima2023, sanders2021, did you mean sanders2021?"
    with pytest.raises(UserError, match=re.escape(f"'sanders2020' is not known; {known}")):
        r.find("log_zmet", "sanders2020")
    with pytest.raises(UserError, match=r"or a table that ends in \.csv or \.ecsv"):
        r.find("muv", "mine")
    with pytest.raises(UserError, match="only log_sfr_star_forming, log_sfr_quiescent, muv, a_uv, a_v may be tables"):
        r.find("log_zmet", "mine.csv")


def test_masses_and_sfrs_of_another_imf():
    """Masses of Salpeter times 0.61, SFRs times 0.63 are those of Chabrier, with 0.66 and 0.67 those of Kroupa."""
    own = r.Relations()
    asked = r.Relations.from_config({"mass_imf": "chabrier", "sfr_imf": "chabrier"})
    salpeter = own.log_sfr_star_forming.mean(10.0 - np.log10(0.61), 1.0)  # at the same galaxy's mass
    assert_allclose(asked.log_sfr_star_forming.mean(10.0, 1.0), salpeter + np.log10(0.63), rtol=0, atol=1e-12)
    assert asked.log_zmet.mean(9.0, 0.3, 1.0) == own.log_zmet.mean(9.0, 0.3, 1.0)  # of Chabrier already
    kroupa = r.Relations.from_config({"log_us": "kashino2019", "mass_imf": "chabrier", "sfr_imf": "salpeter"}).log_us
    of_paper = r.RELATIONS["log_us"]["kashino2019"].mean
    expected = of_paper(0.0, 9.0 + np.log10(0.66 / 0.61), 0.5 + np.log10(0.67), 1.0)
    assert_allclose(kroupa.mean(0.0, 9.0, 0.5, 1.0), expected, rtol=0, atol=1e-12)
    masses = r.Relations.from_config({"mass_imf": "chabrier"}).log_sfr_star_forming
    assert_allclose(masses.mean(10.0, 1.0), salpeter, rtol=0, atol=1e-12)
    assert own.log_sfr_star_forming.converted("salpeter", "salpeter") is own.log_sfr_star_forming


def test_the_muv_of_an_attenuation():
    """Madau & Dickinson (2014), eq. 10: 1.15e-28 Msun/yr per erg/s/Hz, times 0.63 for Chabrier."""
    assert r.Relations().mean_muv(9.0, 2.0) == r.Relations().muv.mean(9.0, 2.0)
    relations = r.Relations.from_config({"a_uv": "mclure2018"})
    # 1 / (0.63 * 1.15e-28) = 1.38026e28 erg/s/Hz; over 4 pi (3.0857e19 cm)^2 = 1.19650e40 cm^2: 1.15358e-12;
    # -2.5 * log10 of it - 48.6 = -18.7551
    log_sfr = relations.log_sfr_star_forming.mean(10.0, 2.0)
    assert_allclose(relations.mean_muv(10.0, 2.0), -18.7551 - 2.5 * log_sfr + 2.293, rtol=0, atol=2e-4)
    relations = r.Relations.from_config({"a_v": "garn_best2010"})
    assert_allclose(relations.mean_muv(10.0, 2.0), -18.7551 - 2.5 * log_sfr + 2.55 * 0.91 * _AT_5500, rtol=0, atol=2e-4)


def test_the_attenuation_of_which_uv_slopes_are_functions():
    """Without a relation of dust it is what M_UV is fainter than the light of the SFR, see above."""
    of_muv = r.Relations()
    fainter = of_muv.muv.mean(10.0, 2.0) + 18.7551 + 2.5 * of_muv.log_sfr_star_forming.mean(10.0, 2.0)
    assert fainter > 0.0
    assert_allclose(of_muv.mean_a_uv(10.0, 2.0), fainter, rtol=0, atol=2e-4)
    assert of_muv.mean_a_uv(7.0, 6.0) == 0.0  # brighter than that
    assert r.Relations.from_config({"a_uv": "mclure2018"}).mean_a_uv(10.0, 2.0) == 2.293
    of_depth = r.Relations.from_config({"a_v": "garn_best2010"})
    assert_allclose(of_depth.mean_a_uv(10.0, 2.0), 2.55 * 0.91 * _AT_5500, rtol=1e-12)


def test_what_is_extrapolated_is_named_with_its_range():
    assert r.Relations.from_config({"log_us": "carton2017"}).extrapolated((0.1, 0.2), (10.0, 11.0)) == [
        "muv williams2018 (z 0.2-8)", "beta williams2018 (z 1-8)",
    ]  # fmt: skip
    found = r.Relations.from_config({"log_zmet": "nakajima2023"}).extrapolated((2.0, 6.0), (8.0, 11.0))
    assert "log_zmet nakajima2023 (z 4-10, log M 7-10)" in found
    assert "log_sfr_star_forming schreiber2015 (z 0-4, log M 9.5-11.5)" in found


ROWS = [(z, m, z + 0.1 * m, 0.1 + 0.1 * z) for z in (0.0, 1.0, 4.0) for m in (8.0, 10.0)]
HEAD = "redshift,log_mstar,mean,scatter"


def written(path, rows=ROWS, head=HEAD):
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return str(path)


def test_a_table_is_bilinear_and_held_at_its_edges(tmp_path):
    relation = r.find("log_sfr_star_forming", written(tmp_path / "own.csv", ROWS[::-1]))
    z, m = np.array([0.0, 0.5, 2.5, 4.0, 9.0, -1.0]), np.array([8.0, 9.5, 10.0, 8.0, 12.0, 7.0])
    expected = [0.8, 0.5 + 0.95, 2.5 + 1.0, 4.0 + 0.8, 4.0 + 1.0, 0.8]
    assert_allclose(relation.mean(m, z), expected, rtol=1e-12)
    assert_allclose(relation.law(m, z).scale, [0.1, 0.15, 0.35, 0.5, 0.5, 0.1], rtol=1e-12)
    above = relation.draw(np.full(6, stats.norm.cdf(1.0)), m, z) - relation.mean(m, z)
    assert_allclose(above, [0.1, 0.15, 0.35, 0.5, 0.5, 0.1], rtol=1e-9)
    assert relation.redshift == (0.0, 4.0)
    assert relation.log_mstar == (8.0, 10.0)
    assert relation.label == "own.csv"
    assert relation.mean(np.zeros((3, 1)), np.zeros(2)).shape == (3, 2)
    assert np.isnan(relation.mean([9.0, np.nan], [np.nan, 1.0])).all()  # bins without galaxies
    assert relation.scattered(0.2).law(m, z) == r.Gaussian(0.2)


def test_a_table_has_the_limits_of_its_quantity_and_may_be_ecsv(tmp_path):
    path = tmp_path / "own.ecsv"
    Table(rows=[(0.0, 9.0, 1.0, 0.2)], names=HEAD.split(",")).write(path)
    relation = r.find("a_v", str(path))
    assert relation.scatter == r.Gaussian(0.2, r.DUST_RANGE)
    assert relation.scale is None
    assert_allclose(relation.mean([7.0, 9.0], [3.0, 0.0]), 1.0)


@pytest.mark.parametrize(
    ("rows", "head", "message"),
    [
        (ROWS, "redshift,log_mstar,value,scatter", "column 'mean' is missing"),
        (ROWS[:-1], HEAD, "no row for redshift 4 and log_mstar 10; expected one row for each combination of its 3 "),
        ([*ROWS, ROWS[0]], HEAD, "several rows for redshift 0 and log_mstar 8"),
        ([(0, 8, "nan", 0.1)], HEAD, "column 'mean' is nan in row 1"),
        ([(0, 8, "", 0.1), (0, 9, 1.0, 0.1)], HEAD, "column 'mean' is nan in row 1"),
        ([(0, 8, "a", 0.1)], HEAD, "column 'mean' is not of numbers"),
        ([(0, 8, 1.0, -0.1)], HEAD, "scatter is -0.1 at redshift 0 and log_mstar 8; expected values above 0"),
        ([], HEAD, "has no rows"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, rows, head, message):
    with pytest.raises(UserError, match=re.escape(message)):
        r.find("muv", written(tmp_path / "own.csv", rows, head))


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none\.csv"):
        r.find("muv", str(tmp_path / "none.csv"))


def test_what_a_result_follows_from(tmp_path):
    names = ("log_zmet", "muv", "a_uv")
    plain = {"log_zmet": "hunt2016", "muv": "williams2018", "scatter": {}}
    assert r.used({}, names) == plain  # the same whether defaults are written or not
    whole = {"log_zmet": "hunt2016", "log_us": "kashino2019", "a_uv": None, "mass_imf": "as_published"}
    assert r.used(whole | {"scatter": {"log_us": 0.1, "muv": None}}, names) == plain
    path = written(tmp_path / "own.csv")
    before = r.used({"muv": path}, names)
    assert before["muv"] == path
    written(tmp_path / "own.csv", [(z, m, 1.0, 0.1) for z, m, *_ in ROWS])
    assert r.used({"muv": path}, names)["tables"] != before["tables"]
    assert r.used({"mass_imf": "chabrier"}, names) == plain | {"mass_imf": "chabrier"}


def test_the_reference_is_that_of_the_relations(root):
    assert (root / "docs/relations.md").read_text() == relations_page.markdown()
