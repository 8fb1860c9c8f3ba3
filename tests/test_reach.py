import numpy as np
import pytest
from numpy.testing import assert_allclose

from mocksed import assign, reach
from mocksed import relations as rel
from mocksed.cosmology import age_max, cosmology
from mocksed.relations import Relations

SCATTER = Relations()
EXACT = Relations.from_config(dict.fromkeys(Relations.__dataclass_fields__, 0.0))


@pytest.fixture(scope="module")
def models(engine):
    return reach.Models(engine)


def column(*values):
    return np.array(values, float)[:, None]


def of_models(engine, n=500):
    rng = np.random.default_rng(2)
    tau = 10.0 ** rng.uniform(-1.0, 2.0, n)
    age = np.clip(tau * 10.0 ** rng.uniform(-2.0, 1.0, n), 1.1e-3, 13.0)
    dust2, log_zmet = rng.uniform(0.0, 1.5, n), rng.uniform(-1.9, 0.19, n)
    return age, tau, dust2, log_zmet, engine.derived(age, tau, log_zmet, rel.log_us(log_zmet), dust2, nebular=True)


def u_of(tau, longest=100.0):
    return np.log10(tau / 0.1) / np.log10(longest / 0.1)


def test_models_are_recovered_from_sfr_and_slope(engine, models):
    age, tau, dust2, log_zmet, derived = of_models(engine)
    limit = np.full(len(age), 13.79)
    met = reach.meet(models.grid, derived.log_ssfr[:, None], derived.beta[:, None], log_zmet[:, None],
                     u_of(tau)[:, None], limit)  # fmt: skip
    same = np.abs(met.log_tau[:, 0] - np.log10(tau)) < 1e-6  # elsewhere even the longest tau is a little shorter
    assert same.mean() > 0.6
    assert np.quantile(np.abs(met.log_age[same, 0] - np.log10(age[same])), 0.95) < 0.01
    assert np.quantile(np.abs(met.dust2[same, 0] - dust2[same]), 0.95) < 0.05
    assert np.quantile(np.abs(met.muv[same, 0] - derived.muv[same]), 0.95) < 0.15
    assert np.median(np.abs(met.muv[same, 0] - derived.muv[same])) < 0.02
    assert_allclose(met.beta[same, 0], derived.beta[same], atol=0.05)
    assert np.all(met.too_old[same] == 0.0)


def test_the_longest_tau_needs_the_oldest_age(models):
    log_ssfr = column(-9.8)  # constant for 14 Gyr would be about -9.6: only a declining SFR gives it in 5 Gyr
    args = (log_ssfr, column(-1.5), column(-0.3))
    oldest = reach.meet(models.grid, *args, column(1.0), np.array([5.0]))
    assert_allclose(10.0**oldest.log_age, 5.0, rtol=2e-3)
    assert -1.0 < oldest.log_tau[0, 0] < 1.0
    younger = reach.meet(models.grid, *args, column(0.3), np.array([5.0]))
    assert younger.log_age < oldest.log_age
    assert np.all(younger.too_old == 0.0)
    high = reach.meet(models.grid, column(-8.5), column(-1.5), column(-0.3), column(1.0), np.array([5.0]))
    assert_allclose(high.log_tau, 2.0, atol=1e-9)


def test_an_sfr_that_no_allowed_age_gives_is_marked(models):
    met = reach.meet(models.grid, column(-14.0), column(-1.5), column(-0.3), column(0.5), np.array([0.3]))
    assert met.too_old[0, 0] > 0.0
    assert_allclose(10.0**met.log_age, 0.3, rtol=1e-9)


def test_bluer_than_any_model_is_without_dust(models):
    met = reach.meet(models.grid, column(-9.0), column(-3.5), column(-0.3), column(0.8), np.array([5.0]))
    assert met.dust2[0, 0] == 0.0
    assert met.beta[0, 0] > -2.8


def galaxies(n, seed=3):
    rng = np.random.default_rng(seed)
    mass, z = rng.uniform(8.0, 10.5, n), rng.uniform(0.3, 6.0, n)
    return np.arange(n), mass, z, age_max(cosmology(), z)


def propose(models, ids, mass, z, limit, scatter=SCATTER, seed=4):
    return assign.propose(ids, mass, z, seed=seed, scatter=scatter, age_limit=limit, models=models)


def test_proposals_are_models(engine, models):
    ids, mass, z, limit = galaxies(400)
    proposal = propose(models, ids, mass, z, limit)
    assert proposal.keys() == {*assign.PROPOSED, "tau"}
    # at the proposed tau, the age follows from the SFR and the dust from the slope: then M_UV has to be right
    low, high = np.full(400, 1e-3), limit.copy()
    dust2 = np.full(400, 0.3)
    for _ in range(40):
        age = np.sqrt(low * high)
        derived = engine.derived(age, proposal["tau"], proposal["log_zmet"], proposal["log_us"], dust2, nebular=True)
        too_young = derived.log_ssfr + mass > proposal["log_sfr"]
        low, high = np.where(too_young, age, low), np.where(too_young, high, age)
    least, most = np.zeros(400), np.full(400, 4.0)
    for _ in range(40):
        dust2 = 0.5 * (least + most)
        derived = engine.derived(age, proposal["tau"], proposal["log_zmet"], proposal["log_us"], dust2, nebular=True)
        too_blue = derived.beta < proposal["beta"]
        least, most = np.where(too_blue, dust2, least), np.where(too_blue, most, dust2)
    assert_allclose(derived.log_ssfr + mass, proposal["log_sfr"], atol=1e-4)
    assert_allclose(derived.beta, proposal["beta"], atol=1e-3)
    assert_allclose(derived.muv - 2.5 * mass, proposal["muv"], atol=5e-3)


def test_proposals_do_not_depend_on_the_shard(models):
    ids, mass, z, limit = galaxies(200)
    whole = propose(models, ids, mass, z, limit)
    for rows in (slice(0, 1), slice(7, 100), slice(199, 0, -3)):
        for name, values in propose(models, ids[rows], mass[rows], z[rows], limit[rows]).items():
            assert values.tobytes() == whole[name][rows].tobytes()


def test_blocks_change_nothing(models, monkeypatch):
    own = galaxies(50)
    whole = propose(models, *own)
    monkeypatch.setattr(reach, "BLOCK", 7)
    for name, values in propose(models, *own).items():
        assert values.tobytes() == whole[name].tobytes()


def test_no_galaxies(models):
    empty = propose(models, np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))
    assert {name: len(values) for name, values in empty.items()} == dict.fromkeys([*assign.PROPOSED, "tau"], 0)


def test_another_seed_gives_other_proposals(models):
    one, other = (propose(models, *galaxies(50), seed=seed) for seed in (4, 5))
    for name in one:
        assert not np.any(one[name] == other[name])


def test_without_scatter_the_sfr_is_on_its_relation(models):
    ids, mass, z, limit = galaxies(300)
    proposal = propose(models, ids, mass, z, limit, EXACT)
    assert_allclose(proposal["log_sfr"], rel.log_sfr_star_forming(mass, z), atol=0.02)
    assert np.all(np.abs(proposal["muv"] - rel.muv(mass, z)) < 2.0)


def test_young_universes_give_young_galaxies(models):
    ids, mass, _, _ = galaxies(300)
    z = np.full(300, 11.5)
    proposal = propose(models, ids, mass, z, age_max(cosmology(), z))
    for values in proposal.values():
        assert np.all(np.isfinite(values))


@pytest.mark.slow
def test_the_scatter_is_that_of_the_relations_and_the_medians_are_near(models):
    """Half-widths within 15 %, and medians within the gap that the models leave, at several masses and redshifts."""
    n = 20_000
    for mass, z in ((8.2, 1.0), (8.2, 4.0), (9.2, 2.5), (9.2, 0.6), (9.7, 4.0), (10.2, 1.5)):
        m, zz = np.full(n, mass), np.full(n, z)
        proposal = propose(models, np.arange(n), m, zz, age_max(cosmology(), zz))
        for name, mean, wide, near in (
            ("log_sfr", rel.log_sfr_star_forming(m, zz), 0.3, 0.13),
            ("muv", rel.muv(m, zz), 0.7, 0.30),
            ("beta", rel.beta(proposal["muv"], zz), 0.35, 0.18),
            ("log_zmet", rel.log_zmet(m, proposal["log_sfr"]), 0.3 * 1.1969, 0.08),
            ("log_us", rel.log_us(proposal["log_zmet"]), 0.3 * 1.1969, 0.05),
        ):
            low, middle, high = np.percentile(proposal[name] - mean, [16, 50, 84])
            assert abs(middle) < near, (mass, z, name)
            # no model is bluer than about -2.3: slopes have no lower wing where galaxies are that blue
            within = 0.2 if name == "beta" else 0.15
            assert 0.5 * (high - low) == pytest.approx(wide, rel=within), (mass, z, name)


@pytest.mark.slow
def test_nothing_piles_up_in_tau(models):
    ids, mass, z, limit = galaxies(50_000)
    log_tau = np.log10(propose(models, ids, mass, z, limit)["tau"])
    assert log_tau.min() >= -1.0
    assert log_tau.max() <= 2.0
    count = np.histogram(log_tau, np.linspace(-1.0, 2.0, 51))[0]
    beside = np.array([np.mean([count[j] for j in (i - 1, i + 1) if 0 <= j < 50]) for i in range(50)])
    assert np.all((count < 3.0 * beside) | (count < 50))
