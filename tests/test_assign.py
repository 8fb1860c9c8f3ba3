import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from mocksed import assign
from mocksed import relations as rel
from mocksed.columns import Flag
from mocksed.neighbours import METRICS
from mocksed.relations import Relations

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


def assigned(limit, *, found=True, metric="default", **own):
    equal = np.ones((1, 2))
    return assign.assign(
        neighbours(**own), equal, np.array([limit]), np.array([found]), np.array([-1.5]), METRICS[metric]
    )


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
    result = assign.assign(same, distance, np.full(4, limit), np.ones(4, bool), np.ones(4), METRICS["default"])
    assert np.all(result["age"] <= limit)
    assert np.all(result["flags"] == 0)
    low, high = (fraction * limit).min(axis=1), (fraction * limit).max(axis=1)
    assert np.all((result["age"] >= low * (1 - 1e-12)) & (result["age"] <= high * (1 + 1e-12)))


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
