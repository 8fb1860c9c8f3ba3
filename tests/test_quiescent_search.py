import numpy as np
import pytest
from numpy.testing import assert_allclose

from mocksed import quiescent_search as search
from mocksed.cosmology import Cosmology, age_max
from mocksed.quiescent_proposal import history
from mocksed.relations import log_sfr_quiescent
from mocksed.uvj import WILLIAMS2009, in_box

COSMO = Cosmology()
NO_DUST, SOME_DUST = (0.0, 0.0), (0.0, 1.0)


def nearest(engine, log_mstar, redshift, dust2_range=NO_DUST):
    log_mstar, redshift = np.broadcast_arrays(np.asarray(log_mstar, float), np.asarray(redshift, float))
    log_ssfr = log_sfr_quiescent(log_mstar, redshift) - log_mstar
    return log_ssfr, search.nearest(log_ssfr, redshift, WILLIAMS2009, engine, COSMO, dust2_range)


@pytest.mark.parametrize(
    ("uv", "vj", "expected"),
    [(2.0, 1.0, 0.43 / 1.3320660644277), (1.5, 0.5, 0.2), (2.6, 1.55, 0.05), (1.0, 0.0, -0.3), (2.5, 2.0, -0.4)],
)
def test_depth_in_the_box(uv, vj, expected):
    assert_allclose(search.depth(np.array(uv), np.array(vj), WILLIAMS2009), expected, atol=1e-12)


def test_depth_is_positive_inside():
    uv, vj = np.random.default_rng(0).uniform(-1.0, 4.0, (2, 1000))
    assert np.all((search.depth(uv, vj, WILLIAMS2009) > 0.0) == in_box(uv, vj))


def test_the_point_found_is_what_it_says(engine):
    redshift = np.array([0.0, 1.0, 3.0, 5.0])
    log_ssfr, found = nearest(engine, 10.5, redshift, SOME_DUST)
    assert np.all(found.age <= age_max(COSMO, redshift) * (1 + 1e-12))
    tau = history(found.age, log_ssfr, found.log_zmet, np.full(4, 0.6), engine)
    made = engine.derived(found.age, tau, found.log_zmet, -4.0, found.dust2, nebular=False)
    assert_allclose(search.depth(made.uv, made.vj, WILLIAMS2009), found.depth, atol=2e-3)
    assert_allclose(made.log_ssfr, log_ssfr, atol=0.01)


def test_massive_galaxies_have_points_in_the_box_until_the_universe_is_too_young(engine):
    _, found = nearest(engine, 10.5, [0.5, 2.0, 3.0, 4.0, 5.0, 9.0])
    assert np.all(found.depth[:5] > 0.0)
    assert found.depth[-1] < 0.0
    assert np.all(np.diff(found.depth[1:]) < 0.0)


def test_small_galaxies_need_dust(engine):
    _, without = nearest(engine, 8.3, [1.0, 3.0])
    _, dusty = nearest(engine, 8.3, [1.0, 3.0], SOME_DUST)
    assert np.all(without.depth < 0.0)
    assert np.all(dusty.depth > without.depth)
    assert dusty.depth[0] > 0.0


def test_no_random_draw_lies_deeper(engine):
    rng, n = np.random.default_rng(3), 20_000
    log_ssfr, found = nearest(engine, 9.5, [3.0], SOME_DUST)
    age, log_zmet, dust2 = (
        rng.uniform(0.05, 1.0, n) * age_max(COSMO, 3.0),
        rng.uniform(-1.97, 0.198, n),
        rng.uniform(size=n),
    )
    tau = history(age, np.full(n, log_ssfr[0]), log_zmet, np.full(n, 0.6), engine)
    made = engine.derived(age, tau, log_zmet, -4.0, dust2, nebular=False)
    depth = search.depth(made.uv, made.vj, WILLIAMS2009)[np.abs(made.log_ssfr - log_ssfr[0]) < 0.01]
    assert depth.max() <= found.depth[0] + 2e-3


def test_an_sfr_that_no_history_has(engine):
    found = search.nearest(np.array([-7.0, -14.0]), np.array([0.0, 10.0]), WILLIAMS2009, engine, COSMO, NO_DUST)
    assert np.all(found.depth == -np.inf)


def test_no_galaxies(engine):
    found = search.nearest(np.empty(0), np.empty(0), WILLIAMS2009, engine, COSMO, NO_DUST)
    assert all(len(values) == 0 for values in found)


def test_the_company_does_not_matter(engine, monkeypatch):
    _, together = nearest(engine, 10.0, np.linspace(0.5, 7.0, 9), SOME_DUST)
    monkeypatch.setattr(search, "_AT_ONCE", 1)
    _, alone = nearest(engine, 10.0, np.linspace(0.5, 7.0, 9), SOME_DUST)
    for one, other in zip(together, alone, strict=True):
        assert one.tobytes() == other.tobytes()
