from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from mocksed import assign, parent, reach, yardstick
from mocksed import relations as rel
from mocksed.columns import Flag
from mocksed.cosmology import Cosmology, age_max, t_univ
from mocksed.galaxies.lightcone import LightCone
from mocksed.kdtree import KDTree
from mocksed.neighbours import METRICS
from mocksed.relations import Relations
from mocksed.rng import Stage, uniforms

SCATTER = Relations()
N = 20_000
IDS = np.arange(N)
EXACT = Relations.from_config(dict.fromkeys(Relations.__dataclass_fields__, 0.0))


def galaxies(n=N):
    rng = np.random.default_rng(2)
    return {"log_mstar": rng.uniform(7.0, 11.5, n), "redshift": rng.uniform(0.0, 12.0, n)}


@pytest.fixture(scope="module")
def proposed():
    return assign.propose(IDS, **galaxies(), seed=4, scatter=SCATTER)


def assert_uniform(probabilities):
    assert stats.kstest(probabilities, "uniform").pvalue > 0.01


def cut(scatter, drawn, limits):
    """The cumulative distribution of what was drawn from a distribution cut to limits."""
    low, high = (scatter.cdf(limit) for limit in limits)
    return (scatter.cdf(drawn) - low) / (high - low)


def test_each_proposal_is_scattered_around_its_relation_given_those_before(proposed):
    mass, z = galaxies().values()
    assert_uniform(stats.norm(rel.log_sfr_star_forming(mass, z), 0.3).cdf(proposed["log_sfr"]))
    metallicity = stats.t(3, rel.log_zmet(mass, proposed["log_sfr"]), 0.3)
    assert_uniform(cut(metallicity, proposed["log_zmet"], rel.LOG_ZMET_RANGE))
    assert_uniform(cut(stats.t(3, rel.log_us(proposed["log_zmet"]), 0.3), proposed["log_us"], rel.LOG_US_RANGE))
    assert_uniform(stats.norm(rel.muv(mass, z), 0.7).cdf(proposed["muv"]))
    assert_uniform(cut(stats.norm(rel.beta(proposed["muv"], z), 0.35), proposed["beta"], rel.BETA_RANGE))
    assert_uniform(stats.loguniform(*assign.TAU_RANGE).cdf(proposed["tau"]))


def test_the_scatters_are_independent(proposed):
    mass, z = galaxies().values()
    # as probabilities, which the limits do not correlate
    probabilities = [
        stats.norm(rel.log_sfr_star_forming(mass, z), 0.3).cdf(proposed["log_sfr"]),
        cut(stats.t(3, rel.log_zmet(mass, proposed["log_sfr"]), 0.3), proposed["log_zmet"], rel.LOG_ZMET_RANGE),
        cut(stats.t(3, rel.log_us(proposed["log_zmet"]), 0.3), proposed["log_us"], rel.LOG_US_RANGE),
        stats.norm(rel.muv(mass, z), 0.7).cdf(proposed["muv"]),
        cut(stats.norm(rel.beta(proposed["muv"], z), 0.35), proposed["beta"], rel.BETA_RANGE),
        np.log(proposed["tau"]),
        mass,
        z,
    ]
    correlation = np.corrcoef(probabilities)[np.triu_indices(8, 1)]
    assert np.all(np.abs(correlation) < 4.0 / np.sqrt(N))


def test_medians_are_on_the_relations(proposed):
    mass, z = galaxies().values()
    at_median = np.full(N, 0.5)
    sfr_error = 0.3 * np.sqrt(np.pi / 2 / N)
    assert abs(np.median(proposed["log_sfr"] - rel.log_sfr_star_forming(mass, z))) < 4 * sfr_error
    for name, mean in (
        ("muv", rel.muv(mass, z)),
        ("beta", rel.beta(proposed["muv"], z)),
        ("log_zmet", rel.log_zmet(mass, proposed["log_sfr"])),
        ("log_us", rel.log_us(proposed["log_zmet"])),
    ):
        above = proposed[name] > getattr(SCATTER, name).draw(mean, at_median)
        assert abs(above.mean() - 0.5) < 4 * 0.5 / np.sqrt(N)


def test_proposals_stay_within_the_limits():
    faint = assign.propose(IDS, np.full(N, 5.0), np.full(N, 12.0), seed=1, scatter=SCATTER)
    assert np.all((faint["log_zmet"] >= -2.2) & (faint["log_zmet"] <= 0.24))
    assert np.all((faint["log_us"] >= -4.0) & (faint["log_us"] <= -1.0))
    assert np.all((faint["beta"] >= -2.6) & np.isfinite(faint["beta"]))
    assert np.all((faint["tau"] >= 0.1) & (faint["tau"] <= 100.0))


def test_without_scatter_each_relation_takes_what_was_proposed_before():
    own = galaxies(100) | {"log_mstar": np.linspace(8.0, 9.5, 100)}
    mass, z = own["log_mstar"], own["redshift"]
    proposed = assign.propose(IDS[:100], **own, seed=1, scatter=EXACT)
    log_sfr = rel.log_sfr_star_forming(mass, z)
    assert_array_equal(proposed["log_sfr"], log_sfr)
    assert_array_equal(proposed["log_zmet"], rel.log_zmet(mass, log_sfr))
    assert_array_equal(proposed["log_us"], rel.log_us(proposed["log_zmet"]))
    assert_array_equal(proposed["muv"], rel.muv(mass, z))
    assert_array_equal(proposed["beta"], np.maximum(rel.beta(proposed["muv"], z), -2.6))


def test_proposals_do_not_depend_on_the_shard(proposed):
    for rows in (slice(0, 1), slice(7, 1000), slice(N, 0, -3)):
        own = {name: values[rows] for name, values in galaxies().items()}
        part = assign.propose(IDS[rows], **own, seed=4, scatter=SCATTER)
        assert part.keys() == {*assign.PROPOSED, "tau"}
        for name, values in part.items():
            assert values.tobytes() == proposed[name][rows].tobytes()


@given(hnp.arrays(float, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=st.floats(0.0, 1e6)))
def test_weights_sum_to_one_and_fall_with_distance(distance):
    weight = assign.inverse_distance(distance)
    assert_allclose(weight.sum(axis=1), 1.0, rtol=1e-12)
    for d, w in zip(distance, weight, strict=True):
        assert np.all(np.diff(w[np.argsort(d)]) <= 0.0)


def test_weights_are_inverse_distances_and_a_zero_takes_it_all():
    weight = assign.inverse_distance(np.array([[1.0, 2.0, 4.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]))
    assert_allclose(weight[0], np.array([4, 2, 1]) / 7)
    assert_allclose(weight[1:], [[1, 0, 0], [0.5, 0.5, 0]], atol=3e-6)


def neighbours(**own):
    default = {"age": [[1.0, 4.0]], "tau": [[0.1, 10.0]], "dust2": [[0.0, 1.0]], "log_zmet": [[-1.0, 0.0]],
               "log_us": [[-3.0, -2.0]]}  # fmt: skip
    return {name: np.array(own.get(name, values), float) for name, values in default.items()}


def test_weighted_mean():
    mean = assign.weighted_mean(neighbours(), np.array([[0.5, 0.5]]))
    assert mean.keys() == set(assign.PARAMETERS)
    expected = {"age": 2.0, "tau": 1.0, "dust2": 0.5, "log_zmet": -0.5, "log_us": -2.5}
    for name, value in expected.items():
        assert_allclose(mean[name], [value], rtol=1e-14)
    mean = assign.weighted_mean(neighbours(), np.array([[0.75, 0.25]]))
    assert_allclose(mean["age"], [2.0**0.5], rtol=1e-14)
    assert_allclose(mean["dust2"], [0.25], rtol=1e-14)


def test_nearest_is_the_first():
    result = assign.nearest(neighbours())
    assert {name: values.tolist() for name, values in result.items()} == {
        "age": [1.0], "tau": [0.1], "dust2": [0.0], "log_zmet": [-1.0], "log_us": [-3.0]
    }  # fmt: skip


def many(n=N):
    """Neighbours that are told apart by every parameter."""
    return {name: np.tile([[1.0, 2.0, 3.0]], (n, 1)) for name in assign.PARAMETERS}


def test_sample_draws_each_neighbour_as_often_as_its_weight():
    weight = np.tile([[0.5, 0.2, 0.3]], (N, 1))
    result = assign.sample(many(), weight, IDS, seed=1)
    counts = np.bincount(result["age"].astype(int), minlength=4)[1:]
    assert stats.chisquare(counts, N * weight[0]).pvalue > 0.01
    for values in result.values():  # all of one neighbour
        assert_array_equal(values, result["age"])


def test_sample_never_draws_what_has_no_weight():
    result = assign.sample(many(), np.tile([[0.0, 1.0, 0.0]], (N, 1)), IDS, seed=1)
    assert np.all(result["age"] == 2.0)


def test_sample_depends_on_galaxy_and_seed_alone():
    weight = np.tile([[0.5, 0.2, 0.3]], (N, 1))
    whole = assign.sample(many(), weight, IDS, seed=1)["age"]
    rows = slice(N, 0, -7)
    part = assign.sample(many(len(IDS[rows])), weight[rows], IDS[rows], seed=1)["age"]
    assert part.tobytes() == whole[rows].tobytes()
    assert np.any(assign.sample(many(), weight, IDS, seed=2)["age"] != whole)


def test_the_draw_is_not_that_of_the_proposals():
    ours = uniforms(1, Stage.ASSIGNMENT, IDS, 1)
    assert not np.any(ours == uniforms(1, Stage.PROPOSAL, IDS, 1))


def assigned(limit, *, found=True, metric="default", method="weighted_mean", **own):
    return assign.assign(
        neighbours(**own),
        np.ones((1, 2)),
        np.array([found]),
        {"galaxy_id": np.array([3]), "log_mstar": np.array([9.0])},
        {"log_us": np.array([-1.5])},
        np.array([limit]),
        metric=METRICS[metric],
        method=method,
        seed=1,
    )


@pytest.mark.parametrize(("method", "ages"), [("weighted_mean", [2.0]), ("nearest", [1.0]), ("sample", [1.0, 4.0])])
def test_the_method_decides(method, ages):
    assert any(assigned(10.0, method=method)["age"] == pytest.approx(age) for age in ages)


@pytest.mark.parametrize("method", ["median", "refine"])
def test_a_method_that_is_unknown_or_lacks_its_engine(method):
    with pytest.raises(ValueError, match=method):
        assigned(10.0, method=method)


def test_joint_proposals_need_the_limits_of_the_ages():
    with pytest.raises(ValueError, match="ages"):
        assign.propose(IDS[:2], np.ones(2), np.ones(2), seed=1, scatter=SCATTER, models=object())


def test_an_age_that_is_not_allowed_is_moved_and_flagged():
    result = assigned(1.5)
    assert result["age"].tolist() == [1.5]
    assert result["flags"].tolist() == [Flag.AGE_CLIPPED]
    assert result["flags"].dtype == np.int32
    result = assigned(2.5)
    assert_allclose(result["age"], [2.0])
    assert result["flags"].tolist() == [0]


def test_no_allowed_neighbour_is_flagged():
    assert assigned(10.0, found=False)["flags"].tolist() == [Flag.NO_ALLOWED_NEIGHBOUR]
    assert assigned(0.5, found=False)["flags"].tolist() == [Flag.NO_ALLOWED_NEIGHBOUR | Flag.AGE_CLIPPED]


def test_the_ionisation_parameter_is_as_proposed_where_it_is_not_searched():
    assert assigned(10.0)["log_us"].tolist() == [-1.5]
    assert assigned(10.0, metric="drakos2021b")["log_us"].tolist() == [-1.5]
    assert_allclose(assigned(10.0, metric="drakos2021a")["log_us"], [-2.5], rtol=1e-14)


@given(
    limit=st.floats(0.01, 13.7),
    fraction=hnp.arrays(float, (4, 10), elements=st.floats(0.01, 0.999)),
    distance=hnp.arrays(float, (4, 10), elements=st.floats(0.0, 100.0)),
)
def test_allowed_neighbours_give_an_allowed_age(limit, fraction, distance):
    same = {name: np.ones((4, 10)) for name in assign.PARAMETERS} | {"age": fraction * limit}
    result = assign.assign(
        same, distance, np.ones(4, bool), {"galaxy_id": np.arange(4)}, {"log_us": np.ones(4)}, np.full(4, limit),
        metric=METRICS["default"], method="weighted_mean", seed=1,
    )  # fmt: skip
    assert np.all(result["age"] <= limit)
    assert np.all(result["flags"] == 0)
    low, high = (fraction * limit).min(axis=1), (fraction * limit).max(axis=1)
    assert np.all((result["age"] >= low * (1 - 1e-12)) & (result["age"] <= high * (1 + 1e-12)))


# The population: a light cone above 1e8 Msun, against what was proposed and what can be reached

SEED = 7  # nothing was tuned on it
N_LIGHTCONE, N_PARENT, N_YARDSTICK = 25_000, 100_000, 1500
DEFAULT = METRICS["default"]


class Population:
    """Star-forming galaxies of a light cone: proposed, searched for, and assigned by the method refine."""

    def __init__(self, engine, proposals):
        cosmo, self.engine = Cosmology(), engine
        drawn = LightCone(cosmo=cosmo, n_galaxies=N_LIGHTCONE, seed=SEED).draw(0, N_LIGHTCONE)
        own = {name: drawn[name][~drawn["quiescent"]] for name in ("galaxy_id", "log_mstar", "redshift")}
        self.galaxies, self.mass, self.z = own, own["log_mstar"], own["redshift"]
        self.limit, self.t_univ = age_max(cosmo, self.z), t_univ(cosmo, self.z)
        models = reach.Models(engine, SCATTER, cosmo) if proposals == "joint" else None
        self.proposal = assign.propose(**own, seed=SEED, scatter=SCATTER, age_limit=self.limit, models=models)
        prior = parent.PRESETS["star_forming"]["default"]
        drawn = parent.sample(np.arange(N_PARENT), prior, quiescent=False, seed=SEED, cosmo=cosmo, scatter=SCATTER)
        points = parent.evaluate(drawn, engine, quiescent=False)
        search = KDTree.of(DEFAULT.coordinates(points), points["age"])
        targets = DEFAULT.coordinates(self.proposal | own)
        rows, self.separation, self.found = search.nearest_allowed(targets, 10, self.limit)
        self.neighbours = {name: points[name][rows] for name in assign.PARAMETERS}
        self.assigned, self.result, distance = self.by("refine")
        some = slice(0, N_YARDSTICK)
        self.best = yardstick.best_reachable(
            {name: values[some] for name, values in self.proposal.items()}, self.mass[some], self.z[some],
            self.limit[some], library=yardstick.Library(engine, 17), metric=DEFAULT,
        )  # fmt: skip
        self.excess = distance[some] - self.best["distance"]

    def by(self, method):
        """Return what a method assigns, what comes of it and how far that is from the proposals."""
        assigned = assign.assign(
            self.neighbours, self.separation, self.found, self.galaxies, self.proposal, self.limit, metric=DEFAULT,
            method=method, seed=SEED, engine=self.engine,
        )  # fmt: skip
        parameters = (assigned[name] for name in ("age", "tau", "dust2", "log_zmet", "log_us"))
        result = yardstick.model_columns(self.engine, *parameters, self.mass)
        return assigned, result, DEFAULT.distance(self.proposal | self.galaxies, result | self.galaxies)


@pytest.fixture(scope="module")
def joint(engine):
    return Population(engine, "joint")


@pytest.fixture(scope="module")
def independent(engine):
    return Population(engine, "independent")


@pytest.mark.slow
@pytest.mark.parametrize("which", ["joint", "independent"])
def test_refined_galaxies_are_as_near_as_models_can_be(which, request):
    population = request.getfixturevalue(which)
    assert np.median(population.excess) < 0.02
    assert np.quantile(population.excess, 0.99) < 0.3
    assert population.excess.min() > -0.05  # or the yardstick did not find the best
    age = population.assigned["age"]
    assert np.all((age > 0.0) & (age <= population.limit))
    assert np.all(population.assigned["flags"] == 0)


@pytest.mark.slow
def test_joint_proposals_are_reachable_and_independent_ones_are_not(joint, independent):
    assert np.mean(joint.best["distance"] < yardstick.REACHABLE) > 0.98
    assert np.mean(independent.best["distance"] < yardstick.REACHABLE) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("method", ["weighted_mean", "nearest", "sample"])
def test_the_other_methods_stay_further_off(method, joint):
    _, _, distance = joint.by(method)
    assert np.median(distance[:N_YARDSTICK] - joint.best["distance"]) > np.median(joint.excess) + 0.05


@pytest.mark.slow
def test_refined_galaxies_have_the_statistics_of_the_proposals(joint):
    """Those hold to the relations (see test_reach.py); what is beyond the table of SSPs is moved into it in both."""
    asked = joint.proposal | {
        "log_zmet": joint.engine.clip_log_zmet(joint.proposal["log_zmet"]),
        "log_us": joint.engine.clip_log_us(joint.proposal["log_us"]),
    }
    for low, high in pairwise((0.0, 1.0, 2.0, 3.0, 5.0, 12.0)):
        inside = (joint.z >= low) & (joint.z < high)
        for name in assign.PROPOSED:
            found, wanted = (np.percentile(columns[name][inside], [16, 50, 84]) for columns in (joint.result, asked))
            assert_allclose(found, wanted, atol=0.01)


@pytest.mark.slow
def test_joint_proposals_leave_few_galaxies_without_dust(joint, independent):
    assert np.mean(joint.assigned["dust2"] == 0.0) < 0.01
    assert np.mean(independent.assigned["dust2"] == 0.0) > 0.1


@pytest.mark.slow
def test_nothing_piles_up(joint):
    for values, low, high in (
        (joint.assigned["age"] / joint.t_univ, 0.0, 1.0),
        (np.log10(joint.assigned["tau"]), -1.0, 2.0),
    ):
        count = np.histogram(values, np.linspace(low, high, 51))[0]
        beside = np.array([np.mean([count[j] for j in (i - 1, i + 1) if 0 <= j < 50]) for i in range(50)])
        assert np.all((count < 3.0 * beside) | (count < 30))


def test_a_realisation_of_the_proposals_is_the_same_alone(proposed):
    n = 500
    own = {name: np.tile(values[:n], 3) for name, values in galaxies().items()}
    realisation = np.repeat([0, 1, 6], n)
    together = assign.propose(np.tile(IDS[:n], 3), **own, seed=4, scatter=SCATTER, realisation=realisation)
    few = {name: values[:n] for name, values in galaxies().items()}
    for index, rows in zip((0, 1, 6), (slice(0, n), slice(n, 2 * n), slice(2 * n, None)), strict=True):
        alone = assign.propose(IDS[:n], **few, seed=4, scatter=SCATTER, realisation=index)
        assert all(together[name][rows].tobytes() == values.tobytes() for name, values in alone.items())
    assert all(together[name][:n].tobytes() == values[:n].tobytes() for name, values in proposed.items())
    scatter = together["log_sfr"] - rel.log_sfr_star_forming(own["log_mstar"], own["redshift"])
    assert abs(np.corrcoef(np.split(scatter, 3))[0, 1]) < 0.2
