import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from mocksed import relations as rel
from mocksed.cosmology import AGE_MARGIN, Cosmology, age_max, t_univ
from mocksed.errors import UserError
from mocksed.files import memory_map, storage
from mocksed.relations import Relations
from mocksed.search import parent
from mocksed.search.sampling import PRESETS, sampling_of
from mocksed.sps.curves import CURVES, SLOPED
from mocksed.sps.engine import Engine
from mocksed.sps.model import LIMITS, Model
from mocksed.sps.weights import psi_n
from mocksed.uvj import WILLIAMS2009, in_box

COSMO, RELATIONS = Cosmology(), Relations()
IDS = np.arange(20_000)
NO_SLOPE = {"dust_index": {"constant": 0.0}}
DEFAULT = {**PRESETS["star_forming"]["default"], **NO_SLOPE}


def sample(sampling, ids=IDS, *, quiescent=False, seed=3, relations=RELATIONS):
    return parent.sample(ids, sampling, quiescent=quiescent, seed=seed, cosmo=COSMO, relations=relations)


def assert_uniform(probabilities):
    """The values of a cumulative distribution at what was drawn from it are uniform."""
    assert stats.kstest(probabilities, "uniform").pvalue > 0.01


@pytest.mark.parametrize(
    ("name", "distribution", "reference"),
    [
        ("log_mstar", {"uniform": (6.0, 11.0)}, stats.uniform(6.0, 5.0)),
        ("tau", {"log_uniform": (0.1, 100.0)}, stats.loguniform(0.1, 100.0)),
        ("dust2", {"normal": (0.5, 0.4)}, stats.norm(0.5, 0.4)),
        ("dust2", {"normal": (0.0, 1.0, 0.0, 4.0)}, stats.truncnorm(0.0, 4.0)),
        ("dust2", {"normal": (0.0, 0.01, 0.5, 4.0)}, stats.truncnorm(50.0, 400.0, 0.0, 0.01)),
    ],
)
def test_shape_and_limits_of_a_distribution(name, distribution, reference):
    drawn = sample({**DEFAULT, name: distribution})[name]
    assert_uniform(reference.cdf(drawn))
    low, high = reference.support()
    assert np.all((drawn >= low) & (drawn <= high))


def test_uniform_in_scale_factor():
    redshift = sample({**DEFAULT, "redshift": {"uniform_in_scale_factor": (1.0, 12.0)}})["redshift"]
    assert_uniform(stats.uniform(1 / 13, 1 / 2 - 1 / 13).cdf(1.0 / (1.0 + redshift)))


def test_a_constant_is_constant():
    assert np.all(sample({**DEFAULT, "dust2": {"constant": 0.3}})["dust2"] == 0.3)


def test_ages_uniform_in_the_logarithm_up_to_the_age_of_the_universe():
    drawn = sample({**DEFAULT, "age": {"log_uniform_to_t_univ": 0.01}})
    assert_uniform(np.log(drawn["age"] / 0.01) / np.log(age_max(COSMO, drawn["redshift"]) / 0.01))


def test_ages_as_fractions_of_the_age_of_the_universe():
    drawn = sample({**DEFAULT, "age": {"fraction_of_t_univ": (0.2, 0.7)}})
    assert_uniform((drawn["age"] / t_univ(COSMO, drawn["redshift"]) - 0.2) / 0.5)


@pytest.mark.parametrize("redshift", [0.0, 2.0, 12.0])
@pytest.mark.parametrize(("mean", "sigma"), [(6.0, 2.0), (10.0, 2.0), (6.0, 0.1)])
def test_normal_ages_are_cut_to_what_is_allowed(redshift, mean, sigma):
    """Also where the whole allowed range lies many standard deviations below the mean."""
    drawn = sample({**DEFAULT, "redshift": {"constant": redshift}, "age": {"normal": (mean, sigma)}})
    low, high = ((limit - mean) / sigma for limit in (AGE_MARGIN, age_max(COSMO, redshift)))
    assert_uniform(stats.truncnorm(low, high, mean, sigma).cdf(drawn["age"]))


@pytest.mark.parametrize("quiescent", [False, True])
def test_metallicity_from_its_relation(quiescent):
    drawn = sample({**DEFAULT, "log_zmet": {"relation": True}}, quiescent=quiescent)
    mass, z = drawn["log_mstar"], drawn["redshift"]
    log_sfr = (RELATIONS.log_sfr_quiescent if quiescent else RELATIONS.log_sfr_star_forming).mean(mass, z)
    mean = RELATIONS.log_zmet.mean(mass, log_sfr, z)
    assert_student(drawn["log_zmet"], mean, rel.LOG_ZMET_RANGE)


def test_ionisation_parameter_from_its_relation():
    drawn = sample(DEFAULT)
    mass, z = drawn["log_mstar"], drawn["redshift"]
    log_sfr = RELATIONS.log_sfr_star_forming.mean(mass, z)
    assert_student(drawn["log_us"], RELATIONS.log_us.mean(drawn["log_zmet"], mass, log_sfr, z), rel.LOG_US_RANGE)


def assert_student(drawn, mean, limits):
    scatter = stats.t(3, mean, 0.3)
    low, high = (scatter.cdf(limit) for limit in limits)
    assert_uniform((scatter.cdf(drawn) - low) / (high - low))


def test_without_scatter_the_relations_themselves():
    exact = RELATIONS.scattered({of.quantity: 0.0 for of in RELATIONS})
    drawn = sample({**DEFAULT, "log_zmet": {"relation": True}, "log_mstar": {"uniform": (8.0, 9.0)}}, relations=exact)
    mass, z = drawn["log_mstar"], drawn["redshift"]
    log_sfr = RELATIONS.log_sfr_star_forming.mean(mass, z)
    assert_allclose(drawn["log_zmet"], RELATIONS.log_zmet.mean(mass, log_sfr, z), rtol=1e-14)
    assert_allclose(drawn["log_us"], RELATIONS.log_us.mean(drawn["log_zmet"], mass, log_sfr, z), rtol=1e-14)


@given(
    redshift=st.floats(0.0, 12.0),
    uniform=st.floats(2.0**-53, 1.0 - 2.0**-53),
    distribution=st.one_of(
        st.tuples(st.floats(1e-3, 30.0), st.floats(1e-2, 10.0)).map(lambda value: {"normal": value}),
        st.tuples(st.floats(0.0, 0.5), st.floats(0.5, 1.0)).map(lambda value: {"fraction_of_t_univ": value}),
        st.tuples(st.floats(1e-3, 1.0), st.floats(1.0, 20.0)).map(lambda value: {"uniform": value}),
        st.floats(1e-3, 1.0).map(lambda value: {"log_uniform_to_t_univ": value}),
        st.floats(1e-3, 20.0).map(lambda value: {"constant": value}),
    ),
)
def test_ages_are_always_allowed(redshift, uniform, distribution):
    redshift = np.array([redshift])
    age = parent.draw("age", distribution, np.array([uniform]), {"redshift": redshift}, False, COSMO, RELATIONS)
    assert AGE_MARGIN <= age[0] <= age_max(COSMO, redshift)[0]


def test_presets_are_those_of_drakos_et_al():
    half_normal = {"normal": (0.0, 1.0, 0.0, 4.0)}
    a = {"log_mstar": {"uniform": (5, 12)}, "redshift": {"uniform": (0, 12)}, "log_zmet": {"relation": True},
         "log_us": {"relation": True}, "dust2": half_normal, "age": {"log_uniform_to_t_univ": 1e-3},
         "tau": {"log_uniform": (0.1, 100)}}  # fmt: skip
    b = {**a, "redshift": {"uniform_in_scale_factor": (0, 12)}, "dust2": {"normal": (0.0, 0.5, 0.0, 4.0)},
         "age": {"normal": (6, 2)}, "tau": {"uniform": (0.1, 100)}}  # fmt: skip
    assert PRESETS["star_forming"]["drakos2021a"] == a
    assert PRESETS["star_forming"]["drakos2021b"] == b
    no_dust = {"dust2": {"constant": 0}}
    assert PRESETS["quiescent"]["drakos2021a"] == {**a, **no_dust}
    assert PRESETS["quiescent"]["drakos2021b"] == {
        **b, **no_dust, "age": {"normal": (10, 2)}, "tau": {"uniform": (0.1, 10)},
    }  # fmt: skip


def test_the_default_is_even_in_metallicity_age_and_e_folding_time():
    for kind, ages, taus in (("star_forming", (1e-3, 13.8), (0.1, 100.0)), ("quiescent", (0.3, 13.8), (0.1, 10.0))):
        sampling = {**PRESETS[kind]["default"], **NO_SLOPE}
        drawn = sample(sampling, quiescent=kind == "quiescent")
        assert_uniform(stats.loguniform(ages[0], age_max(COSMO, 0.0)).cdf(drawn["age"]))
        assert_uniform(stats.loguniform(*taus).cdf(drawn["tau"]))
        assert_uniform(stats.uniform(-2.2, 2.44).cdf(drawn["log_zmet"]))
        assert np.all(drawn["redshift"] == 0.0)
        names = ("age", "tau", "log_zmet", "dust2")
        correlation = np.corrcoef([stats.rankdata(drawn[name]) for name in names])
        assert np.all(np.abs(correlation[np.triu_indices(4, 1)]) < 4.0 / np.sqrt(len(IDS)))


def test_sampling_by_name_or_as_it_is():
    own = {**DEFAULT, "dust2": {"constant": 1.0}}
    assert sampling_of("drakos2021b", "quiescent") is PRESETS["quiescent"]["drakos2021b"]
    assert sampling_of(own, "quiescent") is own


@pytest.mark.parametrize("dust_type", CURVES)
def test_the_slope_is_drawn_where_it_is_free_and_constant_elsewhere(dust_type):
    free = parent.slope(Model(dust_type=dust_type))
    drawn = sample({**DEFAULT, "dust_index": free})["dust_index"]
    if dust_type in SLOPED:
        low, high = parent.SLOPES[dust_type]
        assert_uniform(stats.uniform(low, high - low).cdf(drawn))
        assert LIMITS["dust_index"][0] <= low < high <= LIMITS["dust_index"][1]
    else:
        assert not drawn.any()
    fixed = parent.slope(Model(dust_type=dust_type, dust_index=-0.7))
    assert np.all(sample({**DEFAULT, "dust_index": fixed})["dust_index"] == -0.7)


@pytest.mark.parametrize("kind", PRESETS)
@pytest.mark.parametrize("preset", ["default", "drakos2021a", "drakos2021b"])
def test_the_same_points_however_they_are_sharded(kind, preset, engine):
    sampling, quiescent = {**PRESETS[kind][preset], **NO_SLOPE}, kind == "quiescent"

    def shard(ids):
        return parent.evaluate(sample(sampling, ids, quiescent=quiescent), engine, quiescent=quiescent)

    whole, parts = shard(IDS[:600]), [shard(ids) for ids in (IDS[:1], IDS[1:101], IDS[101:600])]
    for name in parent.COLUMNS:
        assert whole[name].tobytes() == np.concatenate([part[name] for part in parts]).tobytes()
    assert np.all((whole["age"] >= AGE_MARGIN) & (whole["age"] <= age_max(COSMO, whole["redshift"])))


def test_seeds_and_classes_differ():
    drawn = [sample(DEFAULT, seed=1), sample(DEFAULT, seed=2), sample(DEFAULT, seed=1, quiescent=True)]
    for one, other in ((0, 1), (0, 2)):
        assert abs(np.corrcoef(drawn[one]["log_mstar"], drawn[other]["log_mstar"])[0, 1]) < 0.02
    assert abs(np.corrcoef(drawn[0]["log_mstar"], drawn[0]["age"])[0, 1]) < 0.02


@pytest.mark.parametrize("quiescent", [False, True])
def test_evaluate(engine, quiescent):
    drawn = sample({**DEFAULT, "dust_index": {"uniform": (-1.2, 0.4)}}, IDS[:500], quiescent=quiescent)
    engine = Engine(engine.table, Model(dust_type="kriek_conroy"))
    made = parent.evaluate(drawn, engine, quiescent=quiescent)
    assert made.keys() == set(parent.COLUMNS)
    low, high = engine.table.log_zmet_range
    assert np.any(drawn["log_zmet"] < low)
    assert np.any(drawn["log_zmet"] > high)
    assert_array_equal(made["log_zmet"], np.clip(drawn["log_zmet"], low, high))
    for name in set(parent.PARAMETERS) - {"log_zmet"}:
        assert_array_equal(made[name], drawn[name])
    fsps = [made[name] for name in ("age", "tau", "log_zmet", "log_us", "dust2", "dust_index")]
    derived = engine.derived(*fsps, nebular=not quiescent)
    grey = engine.derived(*fsps[:-1], np.full(500, 0.4), nebular=not quiescent)
    assert np.mean(derived.beta != grey.beta) > 0.9
    assert_array_equal(made["log_sfr"], derived.log_ssfr + drawn["log_mstar"])
    assert_array_equal(made["muv"], derived.muv - 2.5 * drawn["log_mstar"])
    for name in ("mass_fraction", "beta", "uv", "vj"):
        assert_array_equal(made[name], getattr(derived, name))
    sfr = 10.0 ** drawn["log_mstar"] / made["mass_fraction"] * psi_n(drawn["age"], drawn["tau"]) * 1e-9
    assert_allclose(made["log_sfr"], np.log10(sfr), rtol=1e-12, atol=1e-12)


def test_points_without_light_are_refused(engine):
    """Nothing is left behind so much dust; a coordinate that is no number would spoil the search for neighbours."""
    drawn = sample(DEFAULT, np.arange(20))
    drawn["dust2"][[4, 9]] = 300.0
    with pytest.raises(UserError, match=r"muv of 2 of 20 parent points .* dust2 300.*parent\.star_forming\.sampling"):
        parent.evaluate(drawn, engine, quiescent=False)


TABLE = "resources/ssp_padova_kurucz_chabrier.h5"


def make_recipe(root, **changes):
    options = {
        "kind": "star_forming",
        "n": 1000,
        "sampling": "default",
        "seed": 3,
        "cosmology": {"H0": 67.66, "Om0": 0.3111},
        "relations": {"scatter": {of.quantity: 0.3 for of in RELATIONS}},
        "sps": {"table": str(root / TABLE), "sfh": "delayed_tau"},
    }
    return parent.recipe(**options | changes)


@pytest.fixture
def recipe(root):
    return make_recipe(root)


def write_shards(folder, recipe, engine, n_shards):
    paths = [folder / str(n_shards) / f"{i:04d}.h5" for i in range(n_shards)]
    for path, (start, stop) in zip(paths, storage.shard_bounds(recipe["n"], n_shards), strict=True):
        parent.write(path, start, stop, recipe, engine, {"run": "test"})
    return paths


@pytest.fixture
def shards(tmp_path, recipe, engine):
    return write_shards(tmp_path, recipe, engine, 3)


def test_any_number_of_shards_holds_the_same_points(tmp_path, recipe, engine, monkeypatch):
    one = parent.open_shards(write_shards(tmp_path, recipe, engine, 1), recipe)
    monkeypatch.setattr(parent, "BLOCK", 70)
    many = parent.open_shards(write_shards(tmp_path, recipe, engine, 7), recipe)
    expected = parent.evaluate(sample(DEFAULT, np.arange(1000)), engine, quiescent=False)
    for name in parent.COLUMNS:
        for catalogue in (one, many):
            assert_array_equal(catalogue.column(name, 0, 1000), expected[name].astype(np.float32))
    assert one.metadata == many.metadata
    assert one.metadata["run"] == "test"


def quiescent_recipe(root, **changes):
    sps = {"table": str(root / TABLE), "dust_type": "kriek_conroy"}
    return make_recipe(root, **{"kind": "quiescent", "n": 300, "uvj_box": dict(WILLIAMS2009), "sps": sps} | changes)


@pytest.mark.slow
def test_quiescent_points_are_all_in_the_box_and_the_same_for_any_shards(tmp_path, root, sloped, monkeypatch):
    recipe = quiescent_recipe(root, sps={"table": str(root / TABLE), "dust_type": sloped.model.dust_type})
    one = parent.open_shards(write_shards(tmp_path, recipe, sloped, 1), recipe)
    monkeypatch.setattr(parent, "BLOCK", 37)
    several = parent.open_shards(write_shards(tmp_path, recipe, sloped, 4), recipe)
    for name in parent.COLUMNS:
        assert one.column(name, 0, 300).tobytes() == several.column(name, 0, 300).tobytes()
    assert np.all(in_box(one.column("uv", 0, 300), one.column("vj", 0, 300)))
    drawn = [table.metadata["drawn"] for table in several.tables]
    assert sum(drawn) == one.tables[0].metadata["drawn"]
    assert 300 / 0.5 < sum(drawn) < 300 / 0.15  # about 30 % are kept
    assert "drawn" not in several.metadata
    slope = one.column("dust_index", 0, 300)
    assert -1.6 <= slope.min() < slope.max() <= 0.4


@pytest.mark.slow
def test_what_is_drawn_again_is_what_would_be_drawn_without_a_box(root, sloped):
    """Points that are kept at once do not change, and the others are those of later numbers of the same points."""
    recipe = quiescent_recipe(root, sps={"table": str(root / TABLE), "dust_type": sloped.model.dust_type})
    ids = np.arange(300)
    kept, drawn = parent.points(ids, recipe, sloped)
    everything, once = parent.points(ids, {**recipe, "uvj_box": None}, sloped)
    inside = in_box(everything["uv"], everything["vj"])
    assert once == 300
    assert 0.15 < inside.mean() < 0.5
    for name in parent.COLUMNS:
        assert kept[name][inside].tobytes() == everything[name][inside].tobytes()
    assert not np.any(np.isin(kept["age"][~inside], everything["age"]))
    again = np.count_nonzero(~inside)
    assert drawn >= 300 + again
    assert len(np.unique(kept["age"])) == 300


def test_points_of_2021_are_not_rejected(root, engine):
    recipe = quiescent_recipe(root, sampling="drakos2021a", uvj_box=None, sps={"table": str(root / TABLE)})
    columns, drawn = parent.points(np.arange(300), recipe, engine)
    assert drawn == 300
    assert not np.all(in_box(columns["uv"], columns["vj"]))
    assert not columns["dust2"].any()
    assert not columns["dust_index"].any()


def test_a_box_out_of_reach_is_an_error(root, sloped, monkeypatch):
    monkeypatch.setattr(parent, "MAX_DRAWS", 5)
    recipe = quiescent_recipe(root, uvj_box=WILLIAMS2009 | {"uv_min": 4.0})
    with pytest.raises(
        UserError, match=r"5 draws of a quiescent parent point were all outside the UVJ box.*quiescent\.uvj_box"
    ):
        parent.points(np.arange(20), recipe, sloped)


def test_dust_of_quiescent_points_is_a_half_normal(root, sloped):
    recipe = quiescent_recipe(root, uvj_box=None)
    columns, _ = parent.points(np.arange(2000), recipe, sloped)
    assert_uniform(stats.truncnorm(0.0, 4.0 / 0.3, 0.0, 0.3).cdf(columns["dust2"]))


def test_rows_in_any_order_and_shape(shards, recipe):
    catalogue = parent.open_shards(shards, recipe)
    rows = np.random.default_rng(0).integers(0, 1000, (50, 4))
    for name, taken in catalogue.take(("age", "beta"), rows).items():
        assert_array_equal(taken, catalogue.column(name, 0, 1000)[rows])
    assert catalogue.take(("age",), rows[:0])["age"].shape == (0, 4)


@pytest.mark.parametrize(("start", "stop"), [(0, 1000), (0, 333), (400, 500), (333, 666), (332, 334), (10, 10)])
def test_a_stretch_of_a_column(shards, recipe, start, stop):
    catalogue = parent.open_shards(shards, recipe)
    assert_array_equal(catalogue.column("age", start, stop), catalogue.column("age", 0, 1000)[start:stop])
    assert isinstance(catalogue.column("age", 0, 333), np.memmap)


def test_some_of_the_shards(shards, recipe):
    some = parent.open_shards(shards[1:], recipe)
    assert some.bounds.tolist() == [333, 666, 1000]
    assert_array_equal(some.column("tau", 400, 800), parent.open_shards(shards, recipe).column("tau", 400, 800))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"seed": 4}, "seed is 3, expected 4"),
        ({"n": 1001}, "n is 1000"),
        ({"sampling": "drakos2021b"}, "sampling"),
        ({"sps": {"table": TABLE, "sfh": "tau"}}, "sps_model"),
        ({"cosmology": {"H0": 70.0, "Om0": 0.3}}, "cosmology"),
        ({"uvj_box": dict(WILLIAMS2009)}, "uvj_box is null"),
    ],
)
def test_a_parent_of_another_config_is_named(shards, root, monkeypatch, changes, word):
    monkeypatch.chdir(root)
    with pytest.raises(
        UserError, match=f"0000.h5 was made with another configuration: {word}.*Remove it and run again"
    ):
        parent.open_shards(shards, make_recipe(root, **changes))


def test_a_parent_of_another_ssp_table_is_named(shards, root, tmp_path):
    (tmp_path / "other.h5").write_bytes(b"other")
    with pytest.raises(UserError, match="ssp_table_sha256"):
        parent.open_shards(shards, make_recipe(root, sps={"table": str(tmp_path / "other.h5")}))


def test_missing_truncated_damaged_foreign_and_mixed_shards_are_named(shards, recipe, engine):
    with pytest.raises(UserError, match=r"0002\.h5 holds the rows \[666, 1000\], expected were those from 333"):
        parent.open_shards([shards[0], shards[2]], recipe)
    content = shards[1].read_bytes()
    shards[1].write_bytes(content[:-5])
    with pytest.raises(UserError, match=r"cannot read .*0001\.h5"):
        parent.open_shards(shards, recipe)
    shards[1].unlink()
    with pytest.raises(UserError, match=r"cannot read .*0001\.h5"):
        parent.open_shards(shards, recipe)
    shards[1].write_bytes(content)
    catalogue = parent.open_shards(shards, recipe)
    catalogue.check()
    where = catalogue.tables[1].offset["beta"]
    shards[1].write_bytes(content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :])
    with pytest.raises(UserError, match=r"0001\.h5 is damaged: column 'beta'"):
        parent.open_shards(shards, recipe).check()
    with memory_map.writing(shards[1], parent.COLUMNS, 333) as append:
        append(dict.fromkeys(parent.COLUMNS, np.ones(333)))
    with pytest.raises(UserError, match=r"0001\.h5 does not record what it was made from"):
        parent.open_shards(shards, recipe)


def test_another_relation_makes_those_points_anew_that_follow_from_it(root):
    def behind(**relations):
        return make_recipe(root, sampling=DEFAULT | {"log_zmet": {"relation": True}}, relations=relations)["relations"]

    assert behind() == behind(log_zmet="hunt2016", muv="williams2018", beta="cullen2023", scatter={"muv": 0.1})
    assert behind() != behind(log_zmet="curti2020")
    assert behind() != behind(log_sfr_star_forming="popesso2023")  # of which the metallicity is a function
    other = {"log_sfr_star_forming": "popesso2023"}
    assert behind(log_zmet="nakajima2023") == behind(log_zmet="nakajima2023", **other)
    own = make_recipe(root)["relations"]  # the default has metallicities of its own
    assert own == {"log_us": "carton2017", "scatter": {"log_us": 0.3}}
