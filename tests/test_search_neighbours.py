from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mocksed.cosmology import age_max
from mocksed.files.columns import Flag
from mocksed.relations import Relations
from mocksed.search import KINDS, balance, choice, draw, kdtree, neighbours
from mocksed.search.assign import METHODS
from mocksed.search.cloud import Cloud
from mocksed.search.kdtree import KDTree
from mocksed.search.metric import METRICS
from tests import populations

N, N_PARENT = 700, 5000


class Chain:
    """Parents of a few points, galaxies of both classes and a balance."""

    def __init__(self, root, table):
        self.cfg = populations.configured(root, {"seed": 11, "neighbours.k": 15})
        self.engine = populations.engine_of(self.cfg, table)
        self.points = {kind: populations.parent_of(self.cfg, kind, N_PARENT, self.engine) for kind in KINDS}
        rng = np.random.default_rng(3)
        redshift, log_mstar = rng.uniform(0.0, 9.0, N), rng.uniform(7.5, 11.5, N)
        self.galaxies = {kind: populations.galaxies(kind, redshift, log_mstar, first=500) for kind in KINDS}
        self.balance = balance.of_run(self.clouds("star_forming"), self.search(), (1.0, 2.0), (9.0, 9.5))

    def search(self, **changes):
        cfg = self.cfg | {name: self.cfg[name] | changes.get(name, {}) for name in ("neighbours", "assignment")}
        return populations.search_of(cfg)

    def clouds(self, kind):
        return self.points[kind].cloud

    def found(self, kind, rows=slice(None), cloud=None, method="choose", **changes):
        own = {name: values[rows] for name, values in self.galaxies[kind].items()} | changes
        search = self.search(assignment={"method": method})
        return neighbours.of_class(own, cloud or self.clouds(kind), search, self.balance)


@pytest.fixture(scope="module")
def chain(root, engine):
    return Chain(root, engine.table)


def same(one, other):
    return one.keys() == other.keys() and all(one[name].tobytes() == values.tobytes() for name, values in other.items())


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_galaxy_alone_and_in_any_order_is_as_in_the_table(chain, kind, method, monkeypatch, set_threads):
    set_threads(1)
    whole = chain.found(kind, method=method)
    set_threads(2)
    for rows in (slice(0, 0), slice(0, 1), slice(55, 56), slice(None, None, -1), slice(3, 600, 7)):
        assert same(chain.found(kind, rows, method=method), {name: values[rows] for name, values in whole.items()})
    monkeypatch.setattr(neighbours, "BLOCK", 64)
    assert same(chain.found(kind, method=method), whole)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_trees_of_parts_find_the_same_bytes(chain, kind, method):
    for cuts in ((0, 40, N_PARENT), (0, 1000, 1001, 3333, N_PARENT)):
        cloud = chain.points[kind].sharded(cuts)
        assert same(chain.found(kind, cloud=cloud, method=method), chain.found(kind, method=method))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_realisation_is_the_same_alone(chain, kind, method):
    n, alone = 200, []
    own = {name: np.tile(values[:n], 3) for name, values in chain.galaxies[kind].items()}
    together = chain.found(kind, slice(3 * n), method=method, **own, realisation=np.repeat([0, 1, 6], n))
    for i, index in enumerate((0, 1, 6)):
        alone.append(chain.found(kind, slice(n), method=method, realisation=np.full(n, index)))
        assert same(alone[-1], {name: values[i * n : (i + 1) * n] for name, values in together.items()})
    assert same(alone[0], chain.found(kind, slice(n), method=method))
    row = "parent_row" if method == "choose" else "neighbour_row"
    assert np.mean(alone[0][row] == alone[1][row]) < 0.3  # few points are allowed at high redshift


@pytest.mark.parametrize("kind", KINDS)
def test_realisations_choose_independently_among_the_same_candidates(chain, kind, monkeypatch):
    numbers = draw.numbers
    monkeypatch.setattr(draw, "numbers", lambda kind, ids, seed, realisation=0, i=0: numbers(kind, ids, seed, 0, i))
    one, other = (chain.found(kind, realisation=np.full(N, index)) for index in (0, 1))
    assert 0.02 < np.mean(one["parent_row"] == other["parent_row"]) < 0.7


@pytest.mark.parametrize("kind", KINDS)
def test_columns_and_what_is_asked(chain, kind):
    """Of several draws, that whose point is taken."""
    found, own = chain.found(kind), chain.galaxies[kind]
    draws = []
    for i in range(3 if kind == "star_forming" else 1):
        uniform = draw.numbers(kind, own["galaxy_id"], 11, draw=i)
        draws.append(getattr(draw, kind)(uniform, own["log_mstar"], own["redshift"], chain.search().relations))
    asked = np.stack([np.stack(list(of_draw.values())) for of_draw in draws])
    got = np.stack([found[f"prop_{name}"] for name in draws[0]])
    of_draw = np.all(asked == got, axis=1)
    assert_array_equal(of_draw.sum(axis=0), 1)
    assert np.all(of_draw.mean(axis=1) > 0.2)
    of_class = {f"prop_{name}" for name in draws[0]} | {"parent_found", "parent_row"}
    assert found.keys() == of_class | ({"prop_log_us"} if kind == "star_forming" else set())
    independent = chain.found(kind, method="nearest")
    assert {name for name in independent if name.startswith("prop_")} == {
        f"prop_{name}" for name in draw.DRAWN_QUANTITIES[kind]
    }


def test_a_galaxy_may_have_many_draws(chain):
    """One point for each: it is the nearest to the draw that is given."""
    own, points = chain.galaxies["star_forming"], chain.points["star_forming"]
    found = neighbours.of_class(own, points.cloud, chain.search(neighbours={"k": 70, "draws": 70}), None)
    asked = {name[5:]: values for name, values in found.items() if name.startswith("prop_")}
    target = points.cloud.targets([asked], own["log_mstar"], own["redshift"])
    nearest = points.cloud.nearest(target, 1, age_max(chain.search().cosmo, own["redshift"]))
    assert_array_equal(nearest.rows[:, 0], found["parent_row"])


def test_the_point_taken_is_near_the_draw_that_is_given(chain):
    found, own, points = chain.found("star_forming"), chain.galaxies["star_forming"], chain.points["star_forming"]
    asked = {name[5:]: values for name, values in found.items() if name.startswith("prop_")} | own
    target = points.cloud.metric.coordinates(asked)
    nearest = points.cloud.nearest(target[:, None], 5, age_max(chain.search().cosmo, own["redshift"]))
    assert np.all(np.any(nearest.rows == found["parent_row"][:, None], axis=1) | ~found["parent_found"])


def test_the_ionisation_parameter_is_drawn_at_the_metallicity_that_was_taken(chain):
    found, own = chain.found("star_forming"), chain.galaxies["star_forming"]
    uniform = draw.numbers("star_forming", own["galaxy_id"], 11)["log_us"]
    taken = {name: values[found["parent_row"]] for name, values in chain.points["star_forming"].columns.items()}
    mass, log_sfr = own["log_mstar"], taken["log_sfr"] - taken["log_mstar"] + own["log_mstar"]
    expected = chain.search().relations.log_us.draw(uniform, taken["log_zmet"], mass, log_sfr, own["redshift"])
    assert_allclose(found["prop_log_us"], expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_taken_is_allowed_and_among_the_nearest(chain, kind):
    own, points = chain.galaxies[kind], chain.points[kind]
    found, near = chain.found(kind), chain.found(kind, method="nearest")
    limit = age_max(chain.search().cosmo, own["redshift"])
    assert found["parent_found"].mean() > 0.99
    assert np.all(points.columns["age"][found["parent_row"]] <= limit)
    # the same draws for quiescent galaxies, so that lists of the other methods are the candidates
    if kind == "quiescent":
        assert np.all(np.any(near["neighbour_row"] == found["parent_row"][:, None], axis=1))
        rows = near["neighbour_row"][:, 0] == found["parent_row"]
        assert 0.05 < rows.mean() < 0.9


def test_weights_decide_and_the_balance_is_used(chain, root):
    """Frequencies over many galaxies that are the same but for their numbers, and have the same candidates."""
    scatter = {f"relations.scatter.{of.quantity}": 0.0 for of in Relations()}
    cfg = populations.configured(root, {"seed": 11, "neighbours.k": 15, **scatter})
    search, n = populations.search_of(cfg), 20_000
    own = populations.galaxies("star_forming", np.full(n, 1.5), np.full(n, 9.25))
    cloud = chain.clouds("star_forming")
    for of in (None, chain.balance):
        found = neighbours.of_class(own, cloud, search, of)
        first = {name: values[:1] for name, values in own.items()}
        asked = {name[5:]: values[:1] for name, values in found.items() if name.startswith("prop_")}
        target = cloud.targets([asked] * 3, first["log_mstar"], first["redshift"])
        nearest = cloud.nearest(target, 5, age_max(search.cosmo, first["redshift"]))
        candidates = cloud.candidates(nearest, first["log_mstar"])
        own_coefficients = (
            np.zeros((1, len(choice.STATISTICS))) if of is None else of.at(np.array([1.5]), np.array([9.25]))
        )
        score = choice.star_forming(
            candidates, first["log_mstar"], first["redshift"], age_max(search.cosmo, first["redshift"]) + 1e-3,
            relations=search.relations, prior=search.prior["star_forming"],
            coefficients=own_coefficients,
        )  # fmt: skip
        weight = np.exp(score.log_weight[0] - score.log_weight.max())[:5]
        expected = n * weight / weight.sum()
        counts = np.array([np.count_nonzero(found["parent_row"] == row) for row in nearest.rows[0, :5]])
        assert counts.sum() == n
        assert np.all(np.abs(counts - expected) < 5.0 * np.sqrt(expected) + 5.0)


def test_candidates_look_like_the_parent_at_the_masses_of_the_galaxies(chain):
    for kind in KINDS:
        points, mass = chain.points[kind], np.array([8.0, 10.0, 11.0])
        metric = points.cloud.metric
        several = points.sharded((0, 2000, N_PARENT))
        targets = metric.coordinates({name: values[[4, 70, 900]] for name, values in points.columns.items()})
        for cloud in (points.cloud, several):
            nearest = cloud.nearest(targets[:, None], 5, np.full(3, np.inf))
            assert nearest.n_found.tolist() == [[5], [5], [5]]
            assert nearest.rows[:, 0].tolist() == [4, 70, 900]
            found = cloud.candidates(nearest, mass)
            parents = {name: values.astype(float) for name, values in points.take(points.columns, nearest.rows).items()}
            offset = mass[:, None] - parents["log_mstar"]
            assert_array_equal(found.age, parents["age"])
            assert_allclose(found.log_sfr, parents["log_sfr"] + offset, atol=1e-5)
            assert_allclose(found.log_zmet, parents["log_zmet"], atol=1e-6)
            assert_array_equal(found.distance, nearest.distance)
            if kind == "star_forming":
                assert_allclose(found.muv, parents["muv"] - 2.5 * offset, atol=1e-5)
                assert_allclose(found.beta, parents["beta"], atol=1e-6)
                assert_array_equal(found.dust_index, parents["dust_index"])


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cuts", [(0, 200), (0, 77, 200)])
def test_without_an_allowed_point_the_youngest_of_all_is_used(chain, method, cuts):
    rng = np.random.default_rng(0)
    age = rng.uniform(5.0, 9.0, 200)
    age[[120, 150]] = 3.0  # the first of them
    metric = METRICS["default"]["star_forming"]
    points, payload = rng.normal(size=(200, 3)).astype(np.float32), np.zeros((200, 2), np.float32)
    trees = []
    for first, last in pairwise(cuts):
        part = points[first:last]
        leaves = kdtree.leaves(part, age[first:last], payload[first:last], kdtree.order(part), first)
        trees.append(KDTree(leaves, 3))
    cloud = Cloud("star_forming", trees, metric)
    own = populations.galaxies("star_forming", np.array([8.0, 0.1, 5.0]), np.full(3, 9.0))
    found = neighbours.of_class(own, cloud, chain.search(assignment={"method": method}), None)
    assert found["parent_found"].tolist() == [False, True, False]
    if method == "choose":
        assert found["parent_row"][[0, 2]].tolist() == [120, 120]
    else:
        assert np.all(found["neighbour_row"][[0, 2]] == 120)
        asked = {name[5:]: values for name, values in found.items() if name.startswith("prop_")}
        target = metric.coordinates(asked | own)[[0, 2]].astype(float)
        expected = np.linalg.norm(target - points[120].astype(float), axis=1)
        assert_allclose(found["neighbour_distance"][[0, 2]], np.repeat(expected[:, None], 15, 1), rtol=1e-12)


def test_fewer_allowed_points_than_k_repeat_the_last(chain):
    age = np.full(40, 9.0)
    age[:3] = 0.1
    points = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    cloud = Cloud("quiescent", [KDTree.of(points, age)], METRICS["default"]["quiescent"])
    own = populations.galaxies("quiescent", np.full(5, 6.0), np.full(5, 10.0))
    found = neighbours.of_class(own, cloud, chain.search(assignment={"method": "nearest"}))
    assert found["neighbour_row"].shape == (5, 15)
    for rows, distance in zip(found["neighbour_row"], found["neighbour_distance"], strict=True):
        assert sorted(rows[:3]) == [0, 1, 2]
        assert np.all(rows[3:] == rows[2])
        assert np.all(distance[3:] == distance[2])
        assert np.all(np.diff(distance) >= 0.0)
    few = neighbours.of_class(own, cloud, chain.search(assignment={"method": "nearest"}, neighbours={"k": 500}))
    assert few["neighbour_row"].shape == (5, 40)


def test_ages_are_only_limited_if_asked_for(chain):
    points = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    cloud = Cloud("quiescent", [KDTree.of(points, np.full(40, 9.0))], METRICS["default"]["quiescent"])
    own = populations.galaxies("quiescent", np.full(5, 6.0), np.full(5, 10.0))
    for allowed_ages_only in (True, False):
        search = chain.search(neighbours={"allowed_ages_only": allowed_ages_only})
        assert np.all(neighbours.of_class(own, cloud, search)["parent_found"] != allowed_ages_only)


def test_progress_counts_every_galaxy(chain, monkeypatch):
    class Told:
        done = 0

        def update(self, amount):
            self.done += amount

    told = Told()
    monkeypatch.setattr(neighbours, "BLOCK", 100)
    neighbours.of_class(chain.galaxies["quiescent"], chain.clouds("quiescent"), chain.search(), None, told)
    assert told.done == N


@pytest.mark.parametrize("kind", KINDS)
def test_a_catalogue_of_what_was_found(chain, kind):
    """Through to the catalogue: what was taken is what comes out, and flags say where it was not to be had."""
    points, own = chain.points[kind], chain.galaxies[kind]
    made = populations.populate(chain.cfg, own, points, chain.engine, chain.balance)
    for name in ("tau", "dust2", "dust_index", "log_zmet", "age"):
        # metallicities at the ends of the table are rounded in the parent
        assert_allclose(made[name], points.columns[name][made["parent_row"]].astype(float), rtol=1e-7)
    of_taken = points.columns["log_sfr"] - points.columns["log_mstar"]
    assert_allclose(made["log_sfr"] - own["log_mstar"], of_taken[made["parent_row"]], atol=2e-5)
    missing = made["flags"] & Flag.NO_ALLOWED_NEIGHBOUR > 0
    assert_array_equal(missing, ~made["parent_found"])
    assert not np.any(made["flags"] & Flag.UVJ_OUTSIDE)


@pytest.mark.slow
def test_the_balance_of_a_run_is_the_same_for_any_threads_and_trees(chain, set_threads):
    whole = chain.balance
    set_threads(2)
    cloud = chain.points["star_forming"].sharded((0, 1234, N_PARENT))
    again = balance.of_run(cloud, chain.search(), (1.0, 2.0), (9.0, 9.5))
    assert again.as_json() == whole.as_json()
    assert whole.redshift.tolist() == [1.0, 1.5, 2.0]
    assert whole.log_mstar.tolist() == [9.0, 9.25, 9.5]
    # what is left is the softness times the coefficient
    assert_allclose(whole.residual, -balance.SOFTNESS * whole.coefficients, atol=3e-4)
