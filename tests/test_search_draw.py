import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import stats

from mocksed import relations as rel
from mocksed.relations import Relations
from mocksed.rng import Stage, uniforms
from mocksed.search import KINDS, draw

RELATIONS = Relations()
EXACT = RELATIONS.scattered({of.quantity: 0.0 for of in RELATIONS})
N = 20_000
IDS = np.arange(N)
DRAWS = {
    "star_forming": (draw.star_forming, "star_forming"),
    "independent": (draw.independent, "star_forming"),
    "quiescent": (draw.quiescent, "quiescent"),
}


def galaxies(n=N):
    rng = np.random.default_rng(2)
    return {"log_mstar": rng.uniform(7.0, 11.5, n), "redshift": rng.uniform(0.0, 12.0, n)}


def drawn(which, own=None, ids=IDS, *, seed=4, relations=RELATIONS, realisation=0):
    function, kind = DRAWS[which]
    return function(draw.numbers(kind, ids, seed, realisation), **(own or galaxies()), relations=relations)


@pytest.mark.parametrize("kind", KINDS)
def test_each_draw_of_a_galaxy_has_numbers_of_its_own(kind):
    ids = IDS[:500]
    of_draws = [np.stack(list(draw.numbers(kind, ids, 4, 0, i).values()), axis=1) for i in range(3)]
    together = np.concatenate(of_draws, axis=1)
    assert len(np.unique(together)) == together.size
    assert_array_equal(together, uniforms(4, draw._STAGES[kind], ids, together.shape[1]))


def assert_uniform(probabilities):
    """The values of a cumulative distribution at what was drawn from it are uniform."""
    assert stats.kstest(probabilities, "uniform").pvalue > 0.01


def cut(scatter, values, limits):
    """The cumulative distribution of what was drawn from a distribution cut to limits."""
    low, high = (scatter.cdf(limit) for limit in limits)
    return (scatter.cdf(values) - low) / (high - low)


def probabilities(which):
    """Return the cumulative probabilities of what was drawn, each under its relation given those before."""
    asked, (mass, z) = drawn(which), galaxies().values()
    if which == "quiescent":
        found = {"log_sfr": stats.norm(RELATIONS.log_sfr_quiescent.mean(mass, z), 0.4).cdf(asked["log_sfr"])}
    else:
        found = {"log_sfr": stats.norm(RELATIONS.log_sfr_star_forming.mean(mass, z), 0.3).cdf(asked["log_sfr"])}
        mean_muv = RELATIONS.muv.mean(mass, z) if which == "star_forming" else asked["muv"]
        found["beta"] = cut(stats.norm(RELATIONS.beta.mean(mean_muv, z), 0.35), asked["beta"], rel.BETA_RANGE)
    metallicity = stats.t(3, RELATIONS.log_zmet.mean(mass, asked["log_sfr"], z), 0.3)
    found["log_zmet"] = cut(metallicity, asked["log_zmet"], rel.LOG_ZMET_RANGE)
    if which == "independent":
        found["muv"] = stats.norm(RELATIONS.muv.mean(mass, z), 0.7).cdf(asked["muv"])
        mean = RELATIONS.log_us.mean(asked["log_zmet"], mass, asked["log_sfr"], z)
        found["log_us"] = cut(stats.t(3, mean, 0.3), asked["log_us"], rel.LOG_US_RANGE)
    assert found.keys() == asked.keys()
    return found


@pytest.mark.parametrize("which", DRAWS)
def test_each_quantity_is_scattered_around_its_relation_given_those_before(which):
    for values in probabilities(which).values():
        assert_uniform(values)


@pytest.mark.parametrize("which", DRAWS)
def test_the_scatters_are_independent(which):
    values = [*probabilities(which).values(), *galaxies().values()]
    correlation = np.corrcoef(values)[np.triu_indices(len(values), 1)]
    assert np.all(np.abs(correlation) < 4.0 / np.sqrt(N))


@pytest.mark.parametrize("which", DRAWS)
def test_medians_are_those_of_the_relations_with_their_limits(which):
    for values in probabilities(which).values():
        assert abs(np.mean(values > 0.5) - 0.5) < 4 * 0.5 / np.sqrt(N)


def test_draws_stay_within_the_limits():
    faint = drawn("independent", {"log_mstar": np.full(N, 5.0), "redshift": np.full(N, 12.0)})
    assert np.all((faint["log_zmet"] >= -2.2) & (faint["log_zmet"] <= 0.24))
    assert np.all((faint["log_us"] >= -4.0) & (faint["log_us"] <= -1.0))
    assert np.all((faint["beta"] >= -2.6) & np.isfinite(faint["beta"]))


def test_without_scatter_each_relation_takes_what_was_drawn_before():
    own = galaxies(100) | {"log_mstar": np.linspace(8.0, 9.5, 100)}
    mass, z = own["log_mstar"], own["redshift"]
    asked = drawn("independent", own, IDS[:100], relations=EXACT)
    log_sfr = RELATIONS.log_sfr_star_forming.mean(mass, z)
    assert_array_equal(asked["log_sfr"], log_sfr)
    assert_array_equal(asked["log_zmet"], RELATIONS.log_zmet.mean(mass, log_sfr, z))
    assert_array_equal(asked["log_us"], RELATIONS.log_us.mean(asked["log_zmet"], mass, asked["log_sfr"], z))
    assert_array_equal(asked["muv"], RELATIONS.muv.mean(mass, z))
    assert_array_equal(asked["beta"], np.maximum(RELATIONS.beta.mean(asked["muv"], z), -2.6))
    searched = drawn("star_forming", own, IDS[:100], relations=EXACT)
    for name in ("log_sfr", "log_zmet", "beta"):
        assert_array_equal(searched[name], asked[name])
    quiescent = drawn("quiescent", own, IDS[:100], relations=EXACT)
    assert_array_equal(quiescent["log_sfr"], RELATIONS.log_sfr_quiescent.mean(mass, z))
    assert_array_equal(quiescent["log_zmet"], RELATIONS.log_zmet.mean(mass, quiescent["log_sfr"], z))


@pytest.mark.parametrize("which", DRAWS)
def test_draws_do_not_depend_on_the_shard(which):
    whole = drawn(which)
    for rows in (slice(0, 1), slice(7, 1000), slice(N, 0, -3)):
        part = drawn(which, {name: values[rows] for name, values in galaxies().items()}, IDS[rows])
        assert part.keys() == whole.keys()
        for name, values in part.items():
            assert values.tobytes() == whole[name][rows].tobytes()
    other = drawn(which, seed=5)
    assert all(np.all(other[name] != whole[name]) for name in ("log_sfr", "log_zmet"))


@pytest.mark.parametrize("which", DRAWS)
def test_a_realisation_is_the_same_alone(which):
    n = 500
    own = {name: np.tile(values[:n], 3) for name, values in galaxies().items()}
    together = drawn(which, own, np.tile(IDS[:n], 3), realisation=np.repeat([0, 1, 6], n))
    few = {name: values[:n] for name, values in galaxies().items()}
    for i, index in enumerate((0, 1, 6)):
        alone = drawn(which, few, IDS[:n], realisation=index)
        assert all(together[name][i * n : (i + 1) * n].tobytes() == values.tobytes() for name, values in alone.items())
    whole = drawn(which)
    assert all(together[name][:n].tobytes() == values[:n].tobytes() for name, values in whole.items())
    relation = RELATIONS.log_sfr_quiescent.mean if which == "quiescent" else RELATIONS.log_sfr_star_forming.mean
    scatter = np.split(together["log_sfr"] - relation(**own), 3)
    assert np.all(np.abs(np.corrcoef(scatter)[np.triu_indices(3, 1)]) < 0.2)


def test_classes_and_stages_have_numbers_of_their_own():
    first = [draw.numbers(kind, IDS, 1)["log_sfr"] for kind in KINDS]
    first += [uniforms(1, stage, IDS, 1)[:, 0] for stage in (Stage.ASSIGNMENT, Stage.PARENT_STAR_FORMING)]
    assert np.all(np.abs(np.corrcoef(first)[np.triu_indices(4, 1)]) < 0.03)
    assert tuple(draw.numbers("quiescent", IDS, 1)) == draw.DRAWN_QUANTITIES["quiescent"]
    assert tuple(draw.numbers("star_forming", IDS, 1)) == draw.DRAWN_QUANTITIES["star_forming"]


@pytest.mark.parametrize("which", DRAWS)
def test_what_is_given_is_not_drawn_and_the_rest_follows_from_it(which):
    function, kind = DRAWS[which]
    own, numbers = galaxies(), draw.numbers(kind, IDS, 4)
    log_sfr = np.where(IDS % 2 == 0, 1.5, np.nan)
    given = {"log_sfr": log_sfr, "log_zmet": np.where(IDS % 4 == 0, -0.4, np.nan)}
    asked, without = function(numbers, **own, relations=EXACT, given=given), function(numbers, **own, relations=EXACT)
    assert_array_equal(asked["log_sfr"][::2], 1.5)
    assert_array_equal(asked["log_zmet"][::4], -0.4)
    expected = EXACT.log_zmet.draw(0.5, own["log_mstar"], 1.5, own["redshift"])
    assert_array_equal(asked["log_zmet"][2::4], expected[2::4])
    for name in asked:
        assert_array_equal(asked[name][1::2], without[name][1::2])


@pytest.mark.parametrize("which", ["star_forming", "independent"])
def test_the_slope_is_drawn_around_its_relation_at_the_muv_that_is_given(which):
    own, muv = galaxies(), np.linspace(-22.0, -16.0, N)
    asked = DRAWS[which][0](draw.numbers("star_forming", IDS, 4), **own, relations=RELATIONS, given={"muv": muv})
    assert_uniform(cut(stats.norm(RELATIONS.beta.mean(muv, own["redshift"]), 0.35), asked["beta"], rel.BETA_RANGE))


def test_sfrs_go_with_the_muv_that_is_given_and_scatter_as_their_relation():
    own = galaxies()
    residual = stats.norm(0.0, 0.7).ppf((np.random.default_rng(1).permutation(N) + 0.5) / N)
    muv = RELATIONS.muv.mean(**own) + residual
    asked = draw.star_forming(draw.numbers("star_forming", IDS, 4), **own, relations=RELATIONS, given={"muv": muv})
    assert_uniform(stats.norm(RELATIONS.log_sfr_star_forming.mean(**own), 0.3).cdf(asked["log_sfr"]))
    off = asked["log_sfr"] - RELATIONS.log_sfr_star_forming.mean(**own)
    assert np.polyfit(residual, off, 1)[0] == pytest.approx(draw.SFR_WITH_MUV, abs=0.01)
