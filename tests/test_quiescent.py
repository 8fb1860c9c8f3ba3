from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from mocksed import parent, quiescent
from mocksed import relations as rel
from mocksed.columns import Flag
from mocksed.cosmology import AGE_MARGIN, age_max, cosmology
from mocksed.quiescent import Prior, solve_tau
from mocksed.relations import Relations
from mocksed.sps.weights import psi_n
from mocksed.uvj import WILLIAMS2009, in_box

COSMO = cosmology()
DEFAULT = parent.PRESETS["quiescent"]["default"]
NOWHERE = {**WILLIAMS2009, "uv_min": 5.0}


def prior(**own):
    return Prior(**{"sampling": DEFAULT, "box": WILLIAMS2009, "max_tries": 40, "seed": 11, "cosmo": COSMO,
                    "scatter": Relations()} | own)  # fmt: skip


def galaxies(n=300, z=(0.0, 4.0)):
    rng = np.random.default_rng(3)
    return {"galaxy_id": rng.permutation(10 * n)[:n], "redshift": rng.uniform(*z, n),
            "log_mstar": rng.uniform(9.0, 11.5, n)}  # fmt: skip


def same_bytes(one, other):
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


@given(age=st.floats(1e-3, 13.8), log_tau=st.floats(-1.0, 2.0))
def test_the_solved_tau_gives_the_sfr(age, log_tau):
    psi = psi_n(age, 10.0**log_tau)
    tau = solve_tau(np.array([age]), np.array([psi]))
    assert quiescent.TAU_RANGE[0] <= tau[0] <= quiescent.TAU_RANGE[1] * (1.0 + 1e-12)
    assert_allclose(psi_n(age, tau), psi, rtol=1e-9)


def test_tau_itself_where_it_is_well_determined():
    age, tau = (x.ravel() for x in np.meshgrid([0.5, 2.0, 10.0], [0.11, 0.3, 1.0, 3.0, 20.0]))
    assert_allclose(solve_tau(age, psi_n(age, tau)), tau, rtol=1e-9)


def test_tau_of_an_sfr_out_of_reach_is_the_nearer_limit():
    age = np.array([0.1, 1.0, 10.0])
    assert_allclose(solve_tau(age, 2.0 / age), 100.0, rtol=1e-10)
    assert_allclose(solve_tau(age, 0.5 * psi_n(age, 0.1)), 0.1, rtol=1e-10)


def test_tau_rises_with_the_sfr():
    psi = np.geomspace(1e-5, 2.0, 200)
    assert np.all(np.diff(solve_tau(np.ones(200), psi)) >= 0.0)


@pytest.mark.parametrize(
    ("uv", "vj", "expected"),
    [
        (2.0, 1.0, 0.0),
        (1.3, 0.5, 0.0),  # on the edge
        (1.0, 0.0, 0.3),  # below U-V > 1.3, above the diagonal
        (2.5, 2.0, 0.4),  # right of V-J < 1.6; the diagonal is at 2.45
        (1.4, 1.5, 0.61 / 1.3320660644277),  # under the diagonal, at 2.01 there
        (1.0, 2.0, np.sqrt(0.3**2 + 0.4**2 + (1.45 / 1.3320660644277) ** 2)),  # outside of all three
    ],
)
def test_how_far_outside_the_box(uv, vj, expected):
    assert_allclose(quiescent.outside(np.array([uv]), np.array([vj]), WILLIAMS2009), [expected], atol=1e-12)


@given(st.lists(st.tuples(st.integers(-100, 400), st.integers(-100, 400)), min_size=1))
def test_zero_is_inside_or_on_the_edge(hundredths):
    uv, vj = np.array(hundredths).T / 100.0
    outside, inside = quiescent.outside(uv, vj, WILLIAMS2009), in_box(uv, vj)
    closed = (uv >= 1.3) & (vj <= 1.6) & (uv >= 0.88 * vj + 0.69)
    assert np.all((outside == 0.0) == closed)
    assert np.all(outside[inside] == 0.0)


def test_sfrs_are_scattered_around_their_relation():
    own = galaxies(20_000)
    log_sfr = quiescent.propose_log_sfr(own["galaxy_id"], own["log_mstar"], own["redshift"], prior())
    mean = rel.log_sfr_quiescent(own["log_mstar"], own["redshift"])
    assert stats.kstest((log_sfr - mean) / 0.4, "norm").pvalue > 0.01


def derived(assigned, engine):
    names = ("age", "tau", "log_zmet", "dust2")
    age, tau, log_zmet, dust2 = (assigned[name] for name in names)
    return engine.derived(age, tau, log_zmet, -4.0, dust2, nebular=False)


def rejected(assigned):
    """Return the flags of galaxies that found no try to their liking."""
    return assigned["flags"] & ~Flag.ZMET_CLIPPED


def test_accepted_galaxies_are_in_the_box_and_on_their_sfr(engine):
    own = galaxies()
    assigned = quiescent.assign(own, prior(), engine)
    accepted = rejected(assigned) == 0
    assert accepted.mean() > 0.5
    result = derived(assigned, engine)
    assert np.all(in_box(result.uv, result.vj)[accepted])
    missed = np.abs(result.log_ssfr + own["log_mstar"] - assigned["prop_log_sfr"])
    assert np.all(missed[accepted] <= quiescent.SFR_TOLERANCE)
    # and a flag says what is wrong with the others
    in_vain = (assigned["flags"] & Flag.UVJ_NOT_ACCEPTED) > 0
    assert np.all(in_box(result.uv, result.vj) == ~in_vain)
    assert np.all((missed > quiescent.SFR_TOLERANCE) == ((assigned["flags"] & Flag.SFR_NOT_REACHED) > 0))
    assert np.all((assigned["flags"] & ~(Flag.UVJ_NOT_ACCEPTED | Flag.SFR_NOT_REACHED | Flag.ZMET_CLIPPED)) == 0)
    assert assigned["flags"].dtype == np.int32


def test_a_metallicity_outside_the_table_is_flagged(engine):
    own = galaxies(100)
    low, high = engine.table.log_zmet_range
    for value, moved in ((low - 0.1, True), (high + 0.01, True), (low, False), (high, False), (-0.3, False)):
        drawn_from = {**DEFAULT, "log_zmet": {"constant": value}}
        assigned = quiescent.assign(own, prior(sampling=drawn_from, max_tries=3), engine)
        assert np.all(assigned["log_zmet"] == np.clip(value, low, high))
        assert np.all((assigned["flags"] & Flag.ZMET_CLIPPED > 0) == moved)
    assigned = quiescent.assign(own, prior(), engine)
    at_the_limit = np.isin(assigned["log_zmet"], (low, high))
    assert np.any(at_the_limit)
    assert np.all(at_the_limit == (assigned["flags"] & Flag.ZMET_CLIPPED > 0))


@pytest.mark.parametrize("preset", ["default", "drakos2021b"])
def test_ages_and_metallicities_are_allowed(engine, preset):
    own = galaxies(z=(0.0, 12.0))
    assigned = quiescent.assign(own, prior(sampling=parent.PRESETS["quiescent"][preset], max_tries=5), engine)
    assert np.all((assigned["age"] >= AGE_MARGIN) & (assigned["age"] <= age_max(COSMO, own["redshift"])))
    low, high = engine.table.log_zmet_range
    assert np.all((assigned["log_zmet"] >= low) & (assigned["log_zmet"] <= high))
    assert np.all(assigned["dust2"] == 0.0)
    assert np.all((assigned["tau"] >= 0.1 * (1 - 1e-11)) & (assigned["tau"] <= 100.0 * (1 + 1e-11)))


def test_the_batch_does_not_matter(engine, monkeypatch):
    own = galaxies(120)
    expected = quiescent.assign(own, prior(), engine)
    assert np.any(expected["flags"] > 0)
    parts = []
    for i, j in pairwise((0, 1, 50, 120)):
        parts.append(quiescent.assign({name: values[i:j] for name, values in own.items()}, prior(), engine))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in expected}
    assert same_bytes(joined, expected)
    for batch in (1, 500, 10**9):
        monkeypatch.setattr(quiescent, "_BATCH", batch)
        assert same_bytes(quiescent.assign(own, prior(), engine), expected)


def test_more_tries_never_make_it_worse(engine):
    """Nor do they change what was accepted; one try is enough for a result."""
    own = galaxies(100)
    before = None
    for max_tries in (1, 2, 17, 60):
        assigned = quiescent.assign(own, prior(max_tries=max_tries), engine)
        result = derived(assigned, engine)
        missed = np.maximum(
            np.abs(result.log_ssfr + own["log_mstar"] - assigned["prop_log_sfr"]) - quiescent.SFR_TOLERANCE, 0.0
        )
        outside = quiescent.outside(result.uv, result.vj, WILLIAMS2009)
        if before is not None:
            was_accepted = rejected(before["assigned"]) == 0
            for name in ("age", "tau", "log_zmet"):
                assert np.all(before["assigned"][name][was_accepted] == assigned[name][was_accepted])
            better = (missed < before["missed"]) | ((missed == before["missed"]) & (outside <= before["outside"]))
            assert np.all(better | was_accepted)
            assert (rejected(assigned) == 0).sum() > was_accepted.sum()
        before = {"assigned": assigned, "missed": missed, "outside": outside}


def test_a_box_out_of_reach_leaves_the_nearest_try(engine):
    own = galaxies(50, z=(0.0, 1.0))
    assigned = quiescent.assign(own, prior(box=NOWHERE, max_tries=30), engine)
    assert np.all(assigned["flags"] & Flag.UVJ_NOT_ACCEPTED)
    assert all(np.all(np.isfinite(values)) for values in assigned.values())
    first = quiescent.assign(own, prior(box=NOWHERE, max_tries=1), engine)
    gain = derived(assigned, engine).uv - derived(first, engine).uv
    assert np.median(gain) > 0.1


def test_the_sfr_comes_before_the_box(engine):
    """Small galaxies reach their SFR at young ages alone, which are the farthest from the box."""
    own = {"galaxy_id": np.arange(40), "redshift": np.zeros(40), "log_mstar": np.full(40, 6.0)}
    once, often = (quiescent.assign(own, prior(box=NOWHERE, max_tries=n), engine)["flags"] for n in (1, 400))
    assert np.mean(once & Flag.SFR_NOT_REACHED > 0) > 0.3
    assert np.all(often & ~Flag.ZMET_CLIPPED == Flag.UVJ_NOT_ACCEPTED)


def test_an_sfr_out_of_reach_is_flagged(engine):
    """At 10 Gyr no tau up to 100 Gyr gives small galaxies the SFR of their relation."""
    own = {"galaxy_id": np.arange(20), "redshift": np.zeros(20), "log_mstar": np.full(20, 5.0)}
    assigned = quiescent.assign(own, prior(sampling={**DEFAULT, "age": {"constant": 10.0}}, max_tries=3), engine)
    assert np.all(assigned["flags"] & Flag.SFR_NOT_REACHED)
    assert_allclose(assigned["tau"], 100.0, rtol=1e-10)
    assert np.all(assigned["age"] == 10.0)


def test_no_galaxies(engine):
    assigned = quiescent.assign({name: values[:0] for name, values in galaxies(1).items()}, prior(), engine)
    assert assigned.keys() == {"prop_log_sfr", "age", "tau", "log_zmet", "dust2", "flags"}
    assert all(len(values) == 0 for values in assigned.values())


@pytest.mark.parametrize("box", [WILLIAMS2009, NOWHERE])
def test_progress_counts_every_galaxy(engine, box):
    class Told:
        done = 0

        def update(self, amount):
            self.done += amount

    told = Told()
    quiescent.assign(galaxies(30), prior(box=box, max_tries=20), engine, told)
    assert told.done == 30


def test_a_realisation_is_the_same_alone(engine):
    own, indices = galaxies(60), (0, 1, 6)
    together = {name: np.tile(values, 3) for name, values in own.items()}
    together["realisation"] = np.repeat(np.array(indices, np.int16), 60)
    result = quiescent.assign(together, prior(), engine)
    for i, index in enumerate(indices):
        alone = quiescent.assign(own | {"realisation": np.full(60, index)}, prior(), engine)
        assert same_bytes({name: values[60 * i : 60 * (i + 1)] for name, values in result.items()}, alone)
    assert same_bytes(quiescent.assign(own, prior(), engine), {name: values[:60] for name, values in result.items()})
    for name in ("prop_log_sfr", "age"):
        assert len(np.unique(result[name])) == 180
