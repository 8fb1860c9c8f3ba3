import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mocksed.errors import UserError
from mocksed.neighbours import METRICS, Metric, metric_of, quantity

COLUMNS = {name: np.array([value]) for name, value in
           {"log_sfr": 1.0, "log_mstar": 10.0, "muv": -20.0, "redshift": 3.0, "tau": 10.0, "beta": -2.0,
            "log_zmet": -0.5, "log_us": -3.0}.items()}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [("log_ssfr", -9.0), ("muv_per_mass", 5.0), ("scale_factor", 0.25), ("log_tau", 1.0), ("beta", -2.0)],
)
def test_quantities(name, expected):
    assert quantity(name, COLUMNS).tolist() == [expected]


def test_coordinates_are_scaled_and_the_nuisance_is_no_distance():
    metric = Metric({"beta": 0.5, "log_ssfr": 3.0}, {"log_tau": 2.0})
    assert metric.n_quantities == 3
    coordinates = metric.coordinates(COLUMNS)
    assert coordinates.dtype == np.float32
    assert coordinates.tolist() == [[-4.0, -3.0, 0.5]]
    other = COLUMNS | {"beta": np.array([0.0]), "log_sfr": np.array([10.0]), "tau": np.array([0.1])}
    assert metric.distance(COLUMNS, other).tolist() == [5.0]


def test_the_metrics_of_2021():
    april, may = METRICS["drakos2021a"].coordinates(COLUMNS)[0], METRICS["drakos2021b"].coordinates(COLUMNS)[0]
    assert_allclose(april, [3 / 12, 10 / 12, 1 / 4, -0.5 / 2, -3 / 4, -20 / 30, -2 / 3], rtol=1e-6)
    assert_allclose(may, [10.0, 0.25, -0.5, -9.0, -20.0, -2.0], rtol=1e-6)


def test_the_default_metric_does_not_see_mass_or_redshift():
    twice = COLUMNS | {"log_mstar": COLUMNS["log_mstar"] + 1.0, "log_sfr": COLUMNS["log_sfr"] + 1.0,
                       "muv": COLUMNS["muv"] - 2.5, "redshift": np.array([7.0])}  # fmt: skip
    default = METRICS["default"]
    assert_array_equal(default.coordinates(twice), default.coordinates(COLUMNS))
    assert_allclose(default.coordinates(COLUMNS)[0], [-9 / 0.3, 5 / 0.7, -2 / 0.35, -0.5 / 0.3, 1.0], rtol=1e-6)


@pytest.mark.parametrize("preset", METRICS)
def test_scales_of_a_preset_can_be_replaced(preset):
    assert metric_of(preset, {}) == METRICS[preset]
    one = metric_of(preset, {"beta": 0.5})
    assert one.scales == METRICS[preset].scales | {"beta": 0.5}
    assert one.nuisance == METRICS[preset].nuisance
    assert list(one.scales) == list(METRICS[preset].scales)


def test_the_scale_of_a_nuisance_can_be_replaced():
    assert metric_of("default", {"log_tau": 3.0}) == Metric(METRICS["default"].scales, {"log_tau": 3.0})


def test_a_scale_of_another_quantity_is_refused():
    with pytest.raises(UserError, match="'log_tau' is no quantity of the metric drakos2021a; it has redshift, log_mst"):
        metric_of("drakos2021a", {"log_tau": 1.0})
