import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mocksed.errors import UserError
from mocksed.relations import Relations
from mocksed.search import KINDS
from mocksed.search.metric import METRICS, Metric, carries, metric_of, quantity

COLUMNS = {name: np.array([value]) for name, value in
           {"log_sfr": 1.0, "log_mstar": 10.0, "muv": -20.0, "redshift": 3.0, "beta": -2.0, "log_zmet": -0.5,
            "log_us": -3.0, "dust_index": 0.25}.items()}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"), [("log_ssfr", -9.0), ("muv_per_mass", 5.0), ("scale_factor", 0.25), ("beta", -2.0)]
)
def test_quantities(name, expected):
    assert quantity(name, COLUMNS).tolist() == [expected]


def test_coordinates_are_scaled_and_the_payload_is_no_distance():
    metric = Metric({"beta": 0.5, "log_ssfr": 3.0}, ("muv_per_mass", "dust_index"))
    coordinates = metric.coordinates(COLUMNS)
    assert coordinates.dtype == np.float32
    assert coordinates.tolist() == [[-4.0, -3.0]]
    assert metric.carried(COLUMNS).dtype == np.float32
    assert metric.carried(COLUMNS).tolist() == [[5.0, 0.25]]
    assert set(metric.columns) == {"beta", "log_sfr", "log_mstar", "muv", "dust_index"}
    other = COLUMNS | {"beta": np.array([0.0]), "log_sfr": np.array([10.0]), "muv": np.array([0.0])}
    assert metric.distance(COLUMNS, other).tolist() == [5.0]


@pytest.mark.parametrize("n", [0, 1, 5])
def test_nothing_is_carried_where_nothing_is_wanted(n):
    columns = {name: np.repeat(values, n) for name, values in COLUMNS.items()}
    assert METRICS["default"]["quiescent"].carried(columns).shape == (n, 0)
    assert METRICS["default"]["star_forming"].carried(columns).shape == (n, 2)


def test_the_metrics_of_2021():
    april, may = (METRICS[name]["star_forming"].coordinates(COLUMNS)[0] for name in ("drakos2021a", "drakos2021b"))
    assert_allclose(april, [3 / 12, 10 / 12, 1 / 4, -0.5 / 2, -3 / 4, -20 / 30, -2 / 3], rtol=1e-6)
    assert_allclose(may, [10.0, 0.25, -0.5, -9.0, -20.0, -2.0], rtol=1e-6)
    april, may = (METRICS[name]["quiescent"].coordinates(COLUMNS)[0] for name in ("drakos2021a", "drakos2021b"))
    assert_allclose(april, [3 / 12, 10 / 12, 1 / 4, -0.5 / 2], rtol=1e-6)
    assert_allclose(may, [10.0, 0.25, -0.5, -9.0], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_metric_does_not_see_mass_or_redshift(kind):
    twice = COLUMNS | {"log_mstar": COLUMNS["log_mstar"] + 1.0, "log_sfr": COLUMNS["log_sfr"] + 1.0,
                       "muv": COLUMNS["muv"] - 2.5, "redshift": np.array([7.0])}  # fmt: skip
    default = METRICS["default"][kind]
    assert_array_equal(default.coordinates(twice), default.coordinates(COLUMNS))
    assert_array_equal(default.carried(twice), default.carried(COLUMNS))


def test_the_default_metric_counts_in_scatters_of_the_relations():
    relations, default = Relations(), METRICS["default"]
    assert default["star_forming"].scales == {
        "log_ssfr": relations.log_sfr_star_forming.scatter.scale,
        "log_zmet": relations.log_zmet.scatter.scale,
        "beta": relations.beta.scatter.scale,
    }
    assert default["quiescent"].scales == {
        "log_ssfr": relations.log_sfr_quiescent.scatter.scale,
        "log_zmet": relations.log_zmet.scatter.scale,
    }
    assert default["star_forming"].payload == ("muv_per_mass", "dust_index")


def test_points_carry_their_dust_where_the_uv_slope_follows_it():
    assert carries({"beta": "koprowski2018"}) == ["dust2"]
    assert carries({"beta": "bouwens2014"}) == carries({}) == []


@pytest.mark.parametrize("preset", METRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_scales_of_a_preset_can_be_replaced(preset, kind):
    assert metric_of(kind, preset, {}) == METRICS[preset][kind]
    one = metric_of(kind, preset, {"log_zmet": 0.5})
    assert one.scales == METRICS[preset][kind].scales | {"log_zmet": 0.5}
    assert one.payload == METRICS[preset][kind].payload
    assert list(one.scales) == list(METRICS[preset][kind].scales)


def test_a_scale_that_only_the_other_class_has_changes_nothing():
    assert metric_of("quiescent", "default", {"beta": 3.0}) == METRICS["default"]["quiescent"]
    assert metric_of("star_forming", "default", {"beta": 3.0}).scales["beta"] == 3.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_scale_of_another_quantity_is_refused(kind):
    with pytest.raises(UserError, match="'log_tau' is not a quantity of the metric drakos2021a; it has redshift"):
        metric_of(kind, "drakos2021a", {"log_tau": 1.0})


@pytest.mark.parametrize("preset", METRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_metric_needs_no_other_columns(preset, kind):
    metric = METRICS[preset][kind]
    few = {name: COLUMNS[name] for name in metric.columns}
    assert_array_equal(metric.coordinates(few), metric.coordinates(COLUMNS))
    assert_array_equal(metric.carried(few), metric.carried(COLUMNS))


def test_points_carry_their_dust_where_a_relation_or_a_table_asks_for_it():
    assert carries({"a_uv": None, "muv": "williams2018"}) == []
    for name in ("a_uv", "a_v", "dust_index"):
        assert carries({name: "some"}) == ["dust2"]
    assert carries({}, ["dust2", "muv"]) == ["dust2"]
