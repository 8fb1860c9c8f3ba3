from dataclasses import replace

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats

from mocksed import relations as rel
from mocksed.relations import Gaussian, Relations, StudentT
from mocksed.search import choice
from mocksed.search.choice import STATISTICS, Candidates, Prior
from mocksed.sps import curves
from mocksed.sps.model import Model

RELATIONS = Relations()
NO_PRIOR = Prior()


@numba.njit
def cumulative(values, means, law):
    out = np.empty(len(values))
    for i in range(len(values)):
        out[i] = choice._cumulative(values[i], means[i], law)
    return out


def law(scatter):
    return np.array(choice._law(scatter), float)


@pytest.mark.parametrize(
    "scatter",
    [Gaussian(0.7), Gaussian(0.35, rel.BETA_RANGE), Gaussian(0.3, (-1.0, 0.5)), Gaussian(0.3, (-np.inf, 0.2))],
)
def test_cumulative_probabilities_of_a_normal_distribution(scatter):
    rng = np.random.default_rng(1)
    mean = rng.uniform(-3.5, 2.0, 4000)
    value = np.clip(mean + rng.uniform(-9.0, 9.0, 4000) * scatter.scale, *scatter.limits)
    low, high = ((limit - mean) / scatter.scale for limit in scatter.limits)
    expected = stats.truncnorm(low, high, mean, scatter.scale).cdf(value)
    assert_allclose(cumulative(value, mean, law(scatter)), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("limits", [(-1e4, 1e4), rel.LOG_ZMET_RANGE])
def test_cumulative_probabilities_of_students_distribution(limits):
    rng = np.random.default_rng(2)
    scatter, mean = StudentT(0.3, limits), rng.uniform(-3.0, 1.0, 4000)
    value = np.clip(mean + rng.uniform(-20.0, 20.0, 4000) * 0.3, *limits)
    free = stats.t(3, mean, 0.3)
    low, high = (free.cdf(limit) for limit in limits)
    expected = (free.cdf(value) - low) / (high - low)
    assert_allclose(cumulative(value, mean, law(scatter)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("limits", "mean", "first", "last"), [((2.0, 4.0), -1.0, 2.0, 2.5), ((-4.0, -2.0), 1.0, -2.5, -2.0)]
)
def test_far_tails(limits, mean, first, last):
    """Limits ten standard deviations from the mean, where a difference of two ones would be left."""
    value = np.linspace(first, last, 50)
    expected = stats.truncnorm((limits[0] - mean) / 0.3, (limits[1] - mean) / 0.3, mean, 0.3).cdf(value)
    found = cumulative(value, np.full(50, mean), law(Gaussian(0.3, limits)))
    assert expected[0] == pytest.approx(0.0, abs=1e-9) or expected[-1] == pytest.approx(1.0, abs=1e-9)
    assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_values_beyond_the_limits_are_at_the_limits():
    found = cumulative(np.array([-9.0, -1.0, 0.5, 9.0]), np.zeros(4), law(Gaussian(0.3, (-1.0, 0.5))))
    assert found.tolist() == [0.0, 0.0, 1.0, 1.0]


def test_limits_that_leave_no_probability_decide_nothing():
    assert cumulative(np.array([50.0]), np.array([-50.0]), law(Gaussian(0.3, (49.0, 51.0)))).tolist() == [0.5]


def test_a_scatter_of_zero_counts_as_a_little_and_other_students_are_refused():
    assert choice._law(Gaussian(0.0))[0] > 0.0
    with pytest.raises(ValueError, match="only 3"):
        choice._law(StudentT(0.3, nu=5.0))


N_GALAXIES, K = 400, 50


def drawn_from_the_relations(n=N_GALAXIES, k=K, seed=3, relations=RELATIONS):
    """Candidates that are what the relations ask, each of them: SFR, M_UV, slope at that and metallicity."""
    rng = np.random.default_rng(seed)
    mass, z = np.repeat(rng.uniform(8.0, 11.0, (n, 1)), k, 1), np.repeat(rng.uniform(0.0, 6.0, (n, 1)), k, 1)
    log_sfr = relations.log_sfr_star_forming.draw(rng.random((n, k)), mass, z)
    muv = relations.muv.draw(rng.random((n, k)), mass, z)
    found = Candidates(
        distance=rng.uniform(0.0, 1.0, (n, k)),
        age=rng.uniform(0.1, 3.0, (n, k)),
        log_sfr=log_sfr,
        log_zmet=relations.log_zmet.draw(rng.random((n, k)), mass, log_sfr, z),
        beta=relations.beta.draw(rng.random((n, k)), muv, z),
        muv=muv,
        dust_index=rng.uniform(-1.2, 0.4, (n, k)),
    )
    return found, mass[:, 0].copy(), z[:, 0].copy(), np.full(n, 5.0)


N_STATISTICS = len(STATISTICS)


N_POLYNOMIALS = N_STATISTICS - len(choice.BALANCED)


def test_statistics_have_a_mean_of_zero_and_polynomials_a_variance_of_one_where_the_relations_hold():
    found, *galaxies = drawn_from_the_relations()
    statistics = choice.star_forming(found, *galaxies, relations=RELATIONS, prior=NO_PRIOR).statistics
    assert statistics.shape == (N_GALAXIES, K, N_STATISTICS)
    flat = statistics.reshape(-1, N_STATISTICS).astype(float)
    assert np.all(np.abs(flat.mean(axis=0)) < 4.0 / np.sqrt(len(flat)))
    assert_allclose(flat[:, :N_POLYNOMIALS].std(axis=0), 1.0, atol=0.05)
    correlation = np.corrcoef(flat[:, :N_POLYNOMIALS].T)[np.triu_indices(N_POLYNOMIALS, 1)]
    assert np.all(np.abs(correlation) < 0.05)


def moments(u, n):
    """Return the first Legendre polynomials of 2 u - 1, of variance 1 where u is uniform, shape (n, )."""
    return np.array([np.sqrt(2 * i + 1) * special.eval_legendre(i, 2 * u - 1) for i in range(1, n + 1)])


@pytest.mark.parametrize("off", [-1.5, 1.0])
@pytest.mark.parametrize("name", choice.BALANCED)
def test_statistics_at_given_residuals(name, off):
    """At some scatters from the mean in one quantity; the others are at the means that this leaves them."""
    mass, z = np.array([9.0]), np.array([1.0])
    # limits that do not matter
    relations = Relations(
        beta=replace(RELATIONS.beta, scatter=Gaussian(0.35)),
        log_zmet=replace(RELATIONS.log_zmet, scatter=StudentT(0.3, (-1e4, 1e4))),
    )
    residual = {other: off * scale if other == name else 0.0 for other, scale in
                (("log_sfr", 0.3), ("muv", 0.7), ("beta", 0.35), ("log_zmet", 0.3))}  # fmt: skip
    log_sfr, muv = (
        RELATIONS.log_sfr_star_forming.mean(mass, z) + residual["log_sfr"],
        RELATIONS.muv.mean(mass, z) + residual["muv"],
    )
    beta = RELATIONS.beta.mean(muv, z) + residual["beta"]
    log_zmet = RELATIONS.log_zmet.mean(mass, log_sfr, z) + residual["log_zmet"]
    nothing = np.zeros((1, 1))
    found = Candidates(
        nothing,
        nothing + 1.0,
        *(values[:, None] for values in (log_sfr, log_zmet, beta, muv)),
        nothing,
    )
    (got,) = choice.star_forming(found, mass, z, np.full(1, 5.0), relations=relations, prior=NO_PRIOR).statistics[0]
    u = dict.fromkeys(choice.BALANCED, 0.5)
    u[name] = stats.t(3).cdf(off) if name == "log_zmet" else stats.norm.cdf(off)
    expected = [moments(u[of], choice.N_MOMENTS) for of in choice.BALANCED]
    together = moments(u["beta"], 1) * moments(u["muv"], choice.N_TOGETHER)
    sides = [np.tanh(8.0 * (u[of] - 0.5)) for of in choice.BALANCED]
    assert_allclose(got, np.concatenate([*expected, together, sides]), rtol=1e-5, atol=1e-6)


def test_products_are_of_slope_and_muv():
    mass, z = np.array([9.0]), np.array([1.0])
    muv = RELATIONS.muv.mean(mass, z) + 0.7
    nothing = np.zeros((1, 1))
    found = Candidates(
        nothing, nothing, RELATIONS.log_sfr_star_forming.mean(mass, z)[:, None], nothing,
        (RELATIONS.beta.mean(muv, z) - 0.35)[:, None], muv[:, None], nothing,
    )  # fmt: skip
    relations = Relations(beta=replace(RELATIONS.beta, scatter=Gaussian(0.35)))
    (got,) = choice.star_forming(found, mass, z, np.full(1, 5.0), relations=relations, prior=NO_PRIOR).statistics[0]
    above, below = stats.norm.cdf(1.0), stats.norm.cdf(-1.0)
    expected = moments(below, 1) * moments(above, choice.N_TOGETHER)
    together = slice(N_POLYNOMIALS - choice.N_TOGETHER, N_POLYNOMIALS)
    assert_allclose(got[together], expected, rtol=1e-5)
    assert STATISTICS[together] == tuple(f"beta_1_muv_{i + 1}" for i in range(choice.N_TOGETHER))


def test_weights_of_star_forming_candidates_are_those_written_down():
    found, mass, z, t_univ = drawn_from_the_relations(30, 7)
    prior = Prior((0.6, 0.25), (-0.2, 0.5))
    coefficients = np.random.default_rng(1).normal(size=(30, N_STATISTICS))
    unbalanced = choice.star_forming(found, mass, z, t_univ, relations=RELATIONS, prior=prior)
    log_weight = choice.star_forming(
        found, mass, z, t_univ, relations=RELATIONS, prior=prior, coefficients=coefficients
    ).log_weight
    of_muv = stats.norm(RELATIONS.muv.mean(mass, z)[:, None], 0.7).logpdf(found.muv)
    own = stats.norm(RELATIONS.beta.mean(found.muv, z[:, None]), 0.35).logpdf(found.beta)
    drawn = stats.norm(RELATIONS.beta.mean(RELATIONS.muv.mean(mass, z), z)[:, None], 0.35).logpdf(found.beta)
    expected = of_muv + own - drawn
    expected += stats.norm(0.0, 0.3).logpdf(found.distance)
    expected += stats.norm(0.6, 0.25).logpdf(found.age / 5.0) + stats.norm(-0.2, 0.5).logpdf(found.dust_index)
    ratio = unbalanced.log_weight - expected
    assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=0, atol=1e-9)
    assert_allclose(
        log_weight - unbalanced.log_weight, np.einsum("gck,gk->gc", unbalanced.statistics, coefficients), atol=2e-4
    )


def test_weights_of_quiescent_candidates_are_those_written_down():
    found, _, _, t_univ = drawn_from_the_relations(30, 7)
    nothing = np.empty((0, 0))
    found = found._replace(beta=nothing, muv=nothing, dust_index=nothing)
    for prior, of_age in ((NO_PRIOR, 0.0), (Prior((0.8, 0.2)), stats.norm(0.8, 0.2).logpdf(found.age / 5.0))):
        log_weight = choice.quiescent(found, t_univ, prior=prior).log_weight
        ratio = log_weight - stats.norm(0.0, choice.KERNEL["quiescent"]).logpdf(found.distance) - of_age
        assert_allclose(ratio, np.broadcast_to(ratio[0, 0], ratio.shape), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["star_forming", "quiescent"])
def test_what_was_not_found_has_no_weight(kind):
    found, mass, z, t_univ = drawn_from_the_relations(40, 7)
    missing = np.arange(7) >= np.resize([1, 3, 7], 40)[:, None]
    missing[1] = np.arange(7) % 3 != 1  # as with several draws of which each found some
    for name in ("age", "muv", "beta", "log_sfr", "log_zmet", "dust_index"):
        getattr(found, name)[missing] = np.nan
    found.distance[missing] = np.inf
    prior = Prior((0.6, 0.25), (-0.2, 0.5))
    if kind == "quiescent":
        log_weight = choice.quiescent(found, t_univ, prior=prior).log_weight
    else:
        score = choice.star_forming(found, mass, z, t_univ, relations=RELATIONS, prior=prior)
        log_weight = score.log_weight
        assert np.all(np.isfinite(score.statistics))
    assert_array_equal(np.isneginf(log_weight), missing)
    assert not np.any(np.isnan(log_weight))
    taken = choice.take(log_weight, np.full(40, 1.0 - 2.0**-53))
    assert_array_equal(taken, [np.flatnonzero(~of_galaxy)[-1] for of_galaxy in missing])


def test_each_candidate_is_taken_as_often_as_it_weighs():
    weight = np.array([0.1, 0.0, 0.55, 0.05, 0.3])
    n = 40_000
    with np.errstate(divide="ignore"):
        log_weight = np.tile(np.log(weight), (n, 1)) + np.random.default_rng(0).normal(size=(n, 1)) * 300.0
    taken = choice.take(log_weight, np.random.default_rng(1).random(n))
    counts = np.bincount(taken, minlength=5)
    assert counts[1] == 0
    there = weight > 0.0
    assert stats.chisquare(counts[there], n * weight[there]).pvalue > 0.01


def test_the_smallest_and_the_largest_number_take_the_first_and_the_last():
    log_weight = np.array([[-np.inf, 0.0, -700.0, 0.0, -np.inf]] * 2)
    assert choice.take(log_weight, np.array([2.0**-53, 1.0 - 2.0**-53])).tolist() == [1, 3]


def test_weights_and_choices_do_not_depend_on_the_others_or_on_threads(set_threads):
    found, *galaxies = drawn_from_the_relations()
    coefficients, random = (
        np.random.default_rng(4).normal(size=(N_GALAXIES, N_STATISTICS)),
        np.random.default_rng(5).random(400),
    )

    def made(rows):
        part = Candidates(*(None if values is None else values[rows] for values in found))
        score = choice.star_forming(
            part, *(values[rows] for values in galaxies), relations=RELATIONS, prior=Prior((0.6, 0.25)),
            coefficients=coefficients[rows],
        )  # fmt: skip
        return score.log_weight, choice.take(score.log_weight, random[rows])

    set_threads(1)
    whole = made(slice(None))
    set_threads(2)
    for rows in (slice(None), slice(7, 8), slice(None, None, -3)):
        for part, values in zip(made(rows), whole, strict=True):
            assert part.tobytes() == values[rows].tobytes()


def test_a_prior_from_the_config():
    assert Prior.from_config({"age_fraction": [0.6, 0.25], "dust_index": None}) == Prior((0.6, 0.25), None)


def some_dusty(n=3, k=4, seed=5):
    """Return candidates with dust, log masses, redshifts and ages of the universe."""
    rng = np.random.default_rng(seed)
    mass, z = rng.uniform(9.0, 11.0, n), rng.uniform(1.0, 3.0, n)
    of = {name: rng.normal(mean, 0.2, (n, k)) for name, mean in (("log_sfr", 1.0), ("log_zmet", -0.3), ("beta", -1.5))}
    of |= {"muv": rng.normal(-20.0, 0.5, (n, k)), "dust_index": rng.uniform(-0.5, 0.3, (n, k))}
    dust2 = rng.uniform(0.0, 1.5, (n, k))
    return Candidates(np.zeros((n, k)), np.ones((n, k)), **of, dust2=dust2), mass, z, np.full(n, 4.0)


@pytest.mark.parametrize("slope", ["williams2018", "koprowski2018"])
@pytest.mark.parametrize(("quantity", "name"), [("a_uv", "mclure2018"), ("a_v", "garn_best2010")])
def test_an_attenuation_takes_the_place_of_muv(quantity, name, slope):
    found, *galaxies = some_dusty()
    relations = Relations.from_config({quantity: name, "beta": slope})
    model = Model(dust_type="kriek_conroy")
    score = choice.star_forming(found, *galaxies, relations=relations, prior=NO_PRIOR, model=model)
    mass, z, _ = (of[:, None] for of in galaxies)
    a_v = choice.MAG * found.dust2
    a_uv = a_v * np.array([[curves.kriek_conroy(1500.0, index) for index in row] for row in found.dust_index])
    value = a_uv if quantity == "a_uv" else a_v
    law, own = relations.attenuation.scatter, relations.beta.mean(found.muv, z, a_uv)
    drawn = relations.beta.mean(relations.mean_muv(mass, z), z, relations.mean_a_uv(mass, z))
    expected = (
        -0.5 * ((value - relations.attenuation.mean(mass, z)) / law.scale) ** 2
        - 0.5 * ((found.beta - own) / 0.35) ** 2 + 0.5 * ((found.beta - drawn) / 0.35) ** 2
    )  # fmt: skip
    assert_allclose(score.log_weight, expected, rtol=1e-9, atol=1e-9)
    u = law.cumulative(relations.attenuation.mean(mass, z), value)
    at = STATISTICS.index("muv_1")
    assert_allclose(score.statistics[..., at], np.sqrt(3.0) * (2.0 * u - 1.0), atol=1e-5)
    # the slope must not go with M_UV itself
    sigma = np.hypot(0.75, law.scale * (1.0 if quantity == "a_uv" else 2.55))
    of_muv = stats.norm(relations.mean_muv(mass, z), sigma).cdf(found.muv)
    beta = score.statistics[..., STATISTICS.index("beta_1")]
    together = score.statistics[..., STATISTICS.index("beta_1_muv_1")]
    assert_allclose(together, beta * np.sqrt(3.0) * (2.0 * of_muv - 1.0), atol=1e-5)


def test_what_a_table_gives_comes_before_an_attenuation():
    """A galaxy whose M_UV is given takes that, one whose optical depth is given no more of the relation."""
    found, *galaxies = some_dusty()
    given = {"muv": np.array([-20.0, np.nan, np.nan]), "dust2": np.array([np.nan, 0.5, np.nan])}
    relations = Relations.from_config({"a_v": "garn_best2010"})
    score = choice.star_forming(found, *galaxies, relations=relations, prior=NO_PRIOR, given=given)
    free = choice.star_forming(found, *galaxies, relations=relations, prior=NO_PRIOR)
    plain = choice.star_forming(found, *galaxies, relations=RELATIONS, prior=NO_PRIOR, given=given)
    assert_allclose(score.log_weight[0], plain.log_weight[0], rtol=1e-12)
    assert_allclose(score.log_weight[2], free.log_weight[2], rtol=1e-12)
    of_relation = -0.5 * ((choice.MAG * found.dust2[1] - relations.a_v.mean(galaxies[0][1], 0.0)) / 0.160734) ** 2
    of_depth = -0.5 * ((found.dust2[1] - 0.5) / 0.1) ** 2
    assert_allclose(score.log_weight[1], free.log_weight[1] - of_relation + of_depth, rtol=1e-4)


def test_the_slope_of_the_curve_follows_the_attenuation():
    found, *galaxies = some_dusty()
    relations = replace(RELATIONS, dust_index=rel.RELATIONS["dust_index"]["chevallard2013"])
    of_prior, alone = (
        choice.star_forming(found, *galaxies, relations=of, prior=prior).log_weight
        for of, prior in ((relations, Prior(None, (-0.2, 0.1))), (RELATIONS, NO_PRIOR))
    )
    mean = 1.073 - 2.8 / (1.0 + 3.0 * np.sqrt(found.dust2))
    assert_allclose(of_prior - alone, -0.5 * ((found.dust_index - mean) / 0.25) ** 2, rtol=1e-9, atol=1e-9)


def test_relations_of_dust_need_it_carried():
    found, *galaxies = some_dusty()
    relations = Relations.from_config({"a_v": "garn_best2010"})
    with pytest.raises(ValueError, match="carry dust2"):
        choice.star_forming(found._replace(dust2=None), *galaxies, relations=relations, prior=NO_PRIOR)


def test_each_galaxy_has_the_scatter_of_a_table(tmp_path):
    found, *galaxies = some_dusty()
    path = tmp_path / "own.csv"
    path.write_text("redshift,log_mstar,mean,scatter\n0,9,-20,0.2\n0,11,-20,1.2\n")
    relations = Relations.from_config({"muv": str(path)})
    score = choice.star_forming(found, *galaxies, relations=relations, prior=NO_PRIOR)
    scale = 0.2 + 0.5 * (galaxies[0][:, None] - 9.0)
    u = stats.norm.cdf((found.muv + 20.0) / scale)
    assert_allclose(score.statistics[..., STATISTICS.index("muv_1")], np.sqrt(3.0) * (2.0 * u - 1.0), atol=1e-5)
