"""What the default makes of galaxies, at nodes of redshift and mass between those at which weights are balanced."""

import itertools

import numpy as np
import pytest

from mocksed.cosmology import Cosmology, age_max, t_univ
from mocksed.files.columns import Flag
from mocksed.galaxies.lightcone import LightCone
from mocksed.relations import Relations
from mocksed.search import balance
from mocksed.uvj import depth, in_box
from tests import populations

pytestmark = pytest.mark.slow

RELATIONS, COSMO = Relations(), Cosmology()
SEEDS = {"galaxies": (7, 2026), "parent": 404}  # nothing was tuned on them
N_PARENT = {"star_forming": 1_000_000, "quiescent": 200_000}  # those of the default
BLUEST = -2.3
"""UV slope that hardly any model of a galaxy is bluer than (gas and dust make all redder)."""

N = {"star_forming": 6000, "quiescent": 3000}
"""Galaxies of each node."""

Z_LIMITS, MASS_LIMITS = (0.2, 7.0), (8.0, 12.0)

NODES = {
    "star_forming": tuple(itertools.product((0.3, 0.7, 1.2, 1.8, 2.5, 3.5, 5.0, 7.0), (8.2, 8.7, 9.2, 9.8, 10.5))),
    "quiescent": tuple(itertools.product((0.2, 0.7, 1.2, 2.5, 4.0), (8.2, 9.1, 10.2, 10.7, 11.3))),
}


def mass_weighted_age(age, tau):
    """Return the mean age of the stars formed by a delayed-tau history [Gyr]."""
    x = age / tau
    formed, first = 1.0 - (1.0 + x) * np.exp(-x), 2.0 - (x * x + 2.0 * x + 2.0) * np.exp(-x)
    return age - tau * first / formed


class Population:
    """Galaxies at the nodes of a class, those of both seeds together."""

    def __init__(self, root, table, kind):
        self.cfg = populations.configured(root, {"seed": SEEDS["parent"]})
        self.engine = populations.engine_of(self.cfg, table)
        self.points = populations.parent_of(self.cfg, kind, N_PARENT[kind], self.engine)
        self.balance = None
        if kind == "star_forming":
            self.balance = balance.of_run(self.points.cloud, populations.search_of(self.cfg), Z_LIMITS, MASS_LIMITS)
        nodes = np.repeat(NODES[kind], N[kind] // 2, axis=0)
        own = populations.galaxies(kind, *nodes.T)
        made = [self.made(own, seed) for seed in SEEDS["galaxies"]]
        self.columns = {name: np.concatenate([part[name] for part in made]) for name in made[0]}
        self.t_univ = t_univ(COSMO, self.columns["redshift"])

    def made(self, own, seed):
        """Return what a run of this seed makes of galaxies."""
        return populations.populate(self.cfg | {"seed": seed}, own, self.points, self.engine, self.balance)

    def at(self, redshift, log_mstar):
        """Return the columns of the galaxies of a node."""
        rows = (self.columns["redshift"] == redshift) & (self.columns["log_mstar"] == log_mstar)
        return {name: values[rows] for name, values in self.columns.items()}


@pytest.fixture(scope="module")
def star_forming(root, engine):
    return Population(root, engine.table, "star_forming")


@pytest.fixture(scope="module")
def quiescent(root, engine):
    return Population(root, engine.table, "quiescent")


def probabilities(own):
    """Return the cumulative probability of each quantity of star-forming galaxies under its relation."""

    def of(relation, value, *given):
        return relation.scatter.cumulative(relation.mean(*given), value)

    mass, z = own["log_mstar"], own["redshift"]
    return {
        "muv": of(RELATIONS.muv, own["muv"], mass, z),
        "log_sfr": of(RELATIONS.log_sfr_star_forming, own["log_sfr"], mass, z),
        "beta": of(RELATIONS.beta, own["beta"], own["muv"], z),
        "log_zmet": of(RELATIONS.log_zmet, own["log_zmet"], mass, own["log_sfr"], z),
    }


def residuals(own):
    """Return star-forming galaxies less the medians of their relations, limits included."""
    mass, z = own["log_mstar"], own["redshift"]
    return {
        "muv": own["muv"] - RELATIONS.muv.mean(mass, z),
        "log_sfr": own["log_sfr"] - RELATIONS.log_sfr_star_forming.mean(mass, z),
        "beta": own["beta"] - RELATIONS.beta.draw(0.5, own["muv"], z),
        "log_zmet": own["log_zmet"] - RELATIONS.log_zmet.draw(0.5, mass, own["log_sfr"], z),
        "log_us": own["log_us"] - RELATIONS.log_us.draw(0.5, own["log_zmet"], mass, own["log_sfr"], z),
    }


def half_width(values):
    """Return half of the width that holds 68 % of values."""
    low, high = np.quantile(values, [0.15866, 0.84134])
    return 0.5 * (high - low)


def missed(population, kind, value, limit):
    """Return the nodes where the absolute value of something is above a limit (both functions of columns and node)."""
    found = {}
    for node in NODES[kind]:
        at_node = value(population.at(*node))
        if not abs(at_node) <= limit(*node):
            found[node] = round(float(at_node), 3)
    return found


@pytest.mark.parametrize(
    ("name", "limit"), [("muv", 0.08), ("log_sfr", 0.03), ("beta", 0.05), ("log_zmet", 0.03), ("log_us", 0.03)]
)
def test_medians_are_on_the_relations(star_forming, name, limit):
    assert not missed(star_forming, "star_forming", lambda own: np.median(residuals(own)[name]), lambda z, mass: limit)


@pytest.mark.parametrize("name", ["muv", "log_sfr", "beta", "log_zmet"])
def test_half_widths_are_those_of_the_relations(star_forming, name):
    """As probabilities, of which 68 % of the galaxies hold 68 %, since limits cut slopes and metallicities."""

    def of_node(redshift, log_mstar):
        # that of the slope is not to be had where a sixth of the galaxies are asked to be bluer than any model
        blue = RELATIONS.beta.draw(0.159, RELATIONS.muv.mean(log_mstar, redshift), redshift)
        return 0.12 if name == "beta" and blue < BLUEST else 0.1

    within = 0.5 * (0.84134 - 0.15866)
    assert not missed(
        star_forming, "star_forming", lambda own: half_width(probabilities(own)[name]) / within - 1.0, of_node
    )


def test_residuals_of_muv_and_slope_are_hardly_correlated(star_forming):
    def correlation(own):
        found = residuals(own)
        return np.corrcoef(found["muv"], found["beta"])[0, 1]

    assert not missed(star_forming, "star_forming", correlation, lambda z, mass: 0.3 if mass >= 8.5 else 1.0)


@pytest.fixture(scope="module")
def cone(star_forming):
    """Return star-forming galaxies of light cones above 1e8 Msun, of both seeds."""
    n, parts = 150_000, []
    for seed in SEEDS["galaxies"]:
        drawn = LightCone(cosmo=COSMO, n_galaxies=n, seed=seed).draw(0, n)
        kept = ~drawn["quiescent"] & (drawn["log_mstar"] < MASS_LIMITS[1])
        kept &= (drawn["redshift"] > Z_LIMITS[0]) & (drawn["redshift"] < Z_LIMITS[1])
        names = ("galaxy_id", "redshift", "log_mstar", "quiescent")
        parts.append(star_forming.made({name: drawn[name][kept] for name in names}, seed))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_slopes_at_a_given_muv_are_on_their_relation(cone):
    """Where the mass limit does not cut: brighter than galaxies of 1e8 Msun are by twice their scatter."""
    off, bins = {}, 0  # off by more than the median of the bin is uncertain
    for low, high in ((0.2, 0.7), (0.7, 1.3), (1.3, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 5.0), (5.0, 7.0)):
        of_bin = (cone["redshift"] >= low) & (cone["redshift"] < high)
        limit = RELATIONS.muv.mean(8.0, np.array([low, high])).min() - 2.0 * RELATIONS.muv.scatter.scale
        for bright in np.arange(-23.0, limit - 1.0):
            rows = of_bin & (cone["muv"] >= bright) & (cone["muv"] < bright + 1.0)
            if rows.sum() < 300:  # of fewer the median is uncertain by a quarter of what is allowed
                continue
            bins += 1
            residual = residuals({name: values[rows] for name, values in cone.items()})["beta"]
            median, error = np.median(residual), 1.25 * np.std(residual) / np.sqrt(len(residual))
            if abs(median) > 0.1 + error:
                off[low, bright] = round(float(median), 3)
    assert bins > 10
    assert not off


@pytest.mark.parametrize("redshift", [1.2, 1.8, 2.5])
def test_massive_galaxies_have_more_dust(star_forming, redshift):
    medians = [np.median(star_forming.at(redshift, mass)["dust2"]) for mass in (8.2, 8.7, 9.2, 9.8, 10.5)]
    assert np.all(np.diff(medians) > 0.0)
    assert medians[-1] >= 0.6


def test_some_massive_galaxies_are_dusty_and_red(star_forming):
    for z in (0.3, 0.7, 1.2, 1.8, 2.5):
        own = star_forming.at(z, 10.5)
        assert np.mean(own["vj"] > 1.2) > 0.003


def share_above_neighbours(values, low, high):
    """Return how much more than its neighbours the most crowded 2 % interval holds, of those with 30 galaxies."""
    count = np.histogram(values, np.linspace(low, high, 51))[0].astype(float)
    padded = np.pad(count, 1, constant_values=np.nan)
    beside = np.nanmean([padded[:-2], padded[2:]], axis=0)
    return np.max(np.where(count >= 30, count / np.maximum(beside, 1.0), 0.0))


@pytest.mark.parametrize("massive", [False, True])
@pytest.mark.parametrize("kind", ["star_forming", "quiescent"])
def test_nothing_piles_up(request, kind, massive):
    population = request.getfixturevalue(kind)
    rows = population.columns["log_mstar"] > 10.4 if massive else np.s_[:]
    own = {name: values[rows] for name, values in population.columns.items()}
    tau_max = {"star_forming": 2.0, "quiescent": 1.0}[kind]
    assert share_above_neighbours(own["age"] / population.t_univ[rows], 0.0, 1.0) < 3.0
    assert share_above_neighbours(np.log10(own["tau"]), -1.0, tau_max) < 3.0
    assert share_above_neighbours(own["dust_index"], -1.2, 0.4) < 3.0


@pytest.mark.parametrize("kind", ["star_forming", "quiescent"])
def test_every_galaxy_has_a_model_that_is_allowed(request, kind):
    own = request.getfixturevalue(kind).columns
    assert own["parent_found"].all()
    assert np.all(own["age"] <= age_max(COSMO, own["redshift"]))
    assert not np.any(own["flags"] & (Flag.AGE_CLIPPED | Flag.NO_ALLOWED_NEIGHBOUR | Flag.UVJ_OUTSIDE))


def test_quiescent_galaxies_are_in_the_box(quiescent):
    assert np.all(in_box(quiescent.columns["uv"], quiescent.columns["vj"]))


def test_few_massive_quiescent_galaxies_are_at_the_edge_of_the_box(quiescent):
    """Of all above 1e10 Msun at each redshift: the least massive of them have more star formation, and are nearest."""
    own = quiescent.columns
    for redshift in np.unique(own["redshift"]):
        rows = (own["redshift"] == redshift) & (own["log_mstar"] > 10.0)
        assert np.mean(depth(own["uv"][rows], own["vj"][rows]) < 0.05) < 0.15, redshift


def test_quiescent_star_formation_is_on_its_relation(quiescent):
    def off(own):
        return own["log_sfr"] - RELATIONS.log_sfr_quiescent.mean(own["log_mstar"], own["redshift"])

    def limit(redshift, log_mstar):
        return 0.05 if log_mstar >= 9.0 else np.inf

    def width(redshift, log_mstar):
        return 0.1 if log_mstar >= 9.0 else np.inf

    assert not missed(quiescent, "quiescent", lambda own: np.median(off(own)), limit)
    scale = RELATIONS.log_sfr_quiescent.scatter.scale
    assert not missed(quiescent, "quiescent", lambda own: half_width(off(own)) / scale - 1.0, width)


def test_massive_quiescent_galaxies_are_old(quiescent):
    for redshift, mass in itertools.product((0.2, 0.7), (10.7, 11.3)):
        own = quiescent.at(redshift, mass)
        assert np.median(mass_weighted_age(own["age"], own["tau"])) >= 0.45 * t_univ(COSMO, redshift)


def test_metallicities_of_quiescent_galaxies_are_on_their_relation(quiescent):
    def off(own):
        asked = RELATIONS.log_zmet.draw(0.5, own["log_mstar"], own["log_sfr"], own["redshift"])
        return np.median(own["log_zmet"] - asked)

    assert not missed(quiescent, "quiescent", off, lambda z, mass: 0.03)


GIVEN_NODES = tuple(itertools.product((0.7, 1.8, 3.5), (9.2, 9.8, 10.5)))
SFR_OFFSETS = (-0.2, 0.0, 0.3)
"""Of the SFRs that tables give from their relation [dex]. With less, models without dust are fainter than M_UV asks."""


@pytest.fixture(scope="module")
def given_sfrs(star_forming):
    """Return galaxies whose tables give SFR and metallicity, at each node and offset of the SFR."""
    cfg, cloud = star_forming.cfg, star_forming.points.cloud
    of_given = balance.of_run(cloud, populations.search_of(cfg), (0.7, 3.5), (9.2, 10.5), sfr_is_given=True)
    z, mass = np.repeat(GIVEN_NODES, 1500, axis=0).T
    own, rng = populations.galaxies("star_forming", z, mass), np.random.default_rng(808)
    made = {}
    for offset in SFR_OFFSETS:
        log_sfr = RELATIONS.log_sfr_star_forming.mean(mass, z) + offset + rng.normal(0.0, 0.2, len(z))
        log_zmet = RELATIONS.log_zmet.mean(mass, log_sfr, z) + rng.normal(0.0, 0.2, len(z))
        given = {
            "given_log_sfr": log_sfr,
            "given_log_zmet": np.clip(log_zmet, *star_forming.engine.table.log_zmet_range),
        }
        made[offset] = populations.populate(
            cfg | {"seed": SEEDS["galaxies"][0]}, own | given, star_forming.points, star_forming.engine, of_given
        )
    return made


@pytest.mark.parametrize("name", ["log_sfr", "log_zmet"])
def test_what_is_given_is_what_galaxies_have(given_sfrs, name):
    off = np.concatenate([np.abs(own[name] - own[f"given_{name}"]) for own in given_sfrs.values()])
    assert np.mean(off <= 0.01) >= 0.99


@pytest.mark.parametrize("name", ["muv", "beta", "log_us"])
def test_the_rest_follows_its_relation_given_that(given_sfrs, name):
    missed = {}
    for offset, made in given_sfrs.items():
        for redshift, log_mstar in GIVEN_NODES:
            rows = (made["redshift"] == redshift) & (made["log_mstar"] == log_mstar)
            value = np.median(residuals({key: values[rows] for key, values in made.items()})[name])
            if not abs(value) <= 0.1:
                missed[offset, redshift, log_mstar] = round(float(value), 3)
    assert not missed


def test_nothing_that_is_given_is_flagged(given_sfrs):
    for own in given_sfrs.values():
        assert np.mean((own["flags"] & (Flag.SFR_NOT_MET | Flag.ZMET_NOT_MET)) > 0) < 0.01
