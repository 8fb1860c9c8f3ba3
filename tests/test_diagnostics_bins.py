"""Statistics in bins, on cases worked by hand."""

import numpy as np
import pytest
from scipy.stats import binned_statistic

from mocksed.diagnostics import bins
from mocksed.relations import Relations

NAN = np.nan


def test_edges_are_multiples_of_the_width_that_enclose_the_values() -> None:
    np.testing.assert_allclose(bins.edges([8.2, 9.4, NAN], 0.5), [8.0, 8.5, 9.0, 9.5])
    np.testing.assert_allclose(bins.edges([-1.2, np.inf], 1.0), [-2.0, -1.0])
    np.testing.assert_allclose(bins.edges([2.0], 1.0), [2.0, 3.0])
    assert bins.edges([NAN], 1.0).size == 0


def test_percentiles_by_hand() -> None:
    x = np.repeat([0.5, 1.5], [101, 3])
    y = np.concatenate([np.arange(101.0), [1.0, 2.0, 9.0]])
    found = bins.statistics(x, y, np.array([0.0, 1.0, 2.0, 3.0]), min_count=3)
    assert found["count"].tolist() == [101, 3, 0]
    np.testing.assert_allclose(found["median"], [50.0, 2.0, NAN])
    np.testing.assert_allclose(found["p16"], [16.0, 1.32, NAN])
    np.testing.assert_allclose(found["p84"], [84.0, 6.76, NAN])
    np.testing.assert_allclose(found["x"], [0.5, 1.5, NAN])


def test_bins_are_those_of_scipy() -> None:
    rng = np.random.default_rng(5)
    x, y = np.append(rng.uniform(-0.2, 1.2, 500), [0.0, 0.3, 1.0]), rng.normal(size=503)
    edges = np.array([0.0, 0.1, 0.3, 0.31, 1.0])
    found = bins.statistics(x, y, edges, min_count=1)
    for name, statistic in (("count", "count"), ("median", "median"), ("p16", lambda v: np.percentile(v, 16.0))):
        np.testing.assert_allclose(found[name], binned_statistic(x, y, statistic, edges).statistic, rtol=1e-12)


def test_bins_of_too_few_are_missing_but_counted() -> None:
    found = bins.statistics(np.array([0.5, 0.5, 1.5]), np.ones(3), np.array([0.0, 1.0, 2.0]), min_count=2)
    assert found["count"].tolist() == [2, 1]
    np.testing.assert_array_equal(found["median"], [1.0, NAN])


def test_pairs_that_are_not_finite_are_left_out() -> None:
    x, y = np.array([0.5, 0.5, NAN, 0.5]), np.array([1.0, NAN, 5.0, np.inf])
    found = bins.statistics(x, y, np.array([0.0, 1.0]), min_count=1)
    assert (found["count"][0], found["median"][0]) == (1, 1.0)


@pytest.mark.parametrize("n_edges", [0, 4])
def test_no_values_at_all(n_edges: int) -> None:
    found = bins.statistics(np.empty(0), np.empty(0), np.arange(float(n_edges)), min_count=1)
    n_bins = max(n_edges - 1, 0)
    assert found["count"].tolist() == [0] * n_bins
    assert np.isnan(found["median"]).all()
    assert len(found["median"]) == n_bins


def test_slices_hold_every_value_once_and_skip_empty_bins() -> None:
    values = np.array([0.0, 1.0, 3.0, 3.5, NAN])
    found = list(bins.slices(values, (0.0, 1.0, 2.0, 3.0)))
    assert [(low, high, inside.tolist()) for low, high, inside in found] == [
        (0.0, 1.0, [True, False, False, False, False]),
        (1.0, 2.0, [False, True, False, False, False]),
        (2.0, 3.0, [False, False, True, False, False]),
    ]
    assert [low for low, _, _ in bins.slices(np.array([2.5]), (0.0, 1.0, 2.0, 3.0))] == [2.0]


def test_the_relation_is_that_of_the_galaxies_of_the_bin_however_they_are_spread() -> None:
    rng = np.random.default_rng(5)
    z = 2.0 * rng.beta(1.0, 6.0, 4000)  # most near the lower edge, as in a light cone cut at a magnitude
    log_mstar, muv = rng.uniform(9.0, 10.0, 4000), Relations().muv.mean
    (panel,) = bins.relation_panels(z, log_mstar, muv(log_mstar, z), (0.0, 2.0), np.array([9.0, 9.5, 10.0]), muv, 10)
    np.testing.assert_allclose(panel["residual"], 0.0, atol=1e-12)
    at_middle = muv(np.array(panel["x"]), 1.0)
    assert np.all(np.abs(np.array(panel["relation"]) - at_middle) > 0.2)


def test_a_panel_holds_median_relation_residual_and_offset() -> None:
    x, z = np.array([1.0, 1.2, 1.4, 2.5]), np.array([0.5, 0.6, 0.7, 0.8])
    y = x + z + 0.25
    (panel,) = bins.relation_panels(z, x, y, (0.0, 1.0, 2.0), np.array([1.0, 2.0, 3.0]), lambda a, b: a + b, 2)
    assert (panel["low"], panel["high"], panel["n"], panel["count"]) == (0.0, 1.0, 4, [3, 1])
    np.testing.assert_allclose(panel["median"], [1.2 + 0.6 + 0.25, NAN])
    np.testing.assert_allclose(panel["relation"], [1.2 + 0.6, NAN])
    np.testing.assert_allclose(panel["residual"], [0.25, NAN])
    np.testing.assert_allclose(panel["offset"], [0.25, NAN])
    np.testing.assert_allclose(panel["line_x"], [1.2, 2.5])
    np.testing.assert_allclose(panel["line_y"], [1.2 + 0.6, 2.5 + 0.8])


def test_percentiles_of_a_sample() -> None:
    found = bins.percentiles(np.array([*np.arange(101.0), NAN]))
    assert found == {"count": 101, "p16": 16.0, "median": 50.0, "p84": 84.0}
    assert bins.percentiles(np.array([NAN]))["count"] == 0


def test_the_spread_is_the_standard_deviation_between_realisations() -> None:
    realisation = np.array([4, 4, 4, 7, 7, 7, 9, 9, 9])
    values = np.array([1.0, 2.0, 9.0, 3.0, 4.0, -5.0, 7.0, 7.0, 7.0])  # medians 2, 3, 7
    assert bins.percentiles(values, realisation)["median_spread"] == pytest.approx(np.sqrt(7.0))
    assert bins.percentiles(values, realisation)["median"] == 4.0
    assert bins.spread(lambda rows: rows.sum(), realisation) == 0.0
    values[:3] = NAN
    assert bins.percentiles(values, realisation)["median_spread"] == pytest.approx(np.sqrt(8.0))  # of 3 and 7
    values[3:6] = NAN
    assert np.isnan(bins.percentiles(values, realisation)["median_spread"])
    assert np.isnan(bins.percentiles(values[:0], realisation[:0])["median_spread"])


def test_the_spread_in_bins() -> None:
    realisation = np.array([0, 0, 0, 1, 1, 1, 1])
    x = np.array([0.5, 1.5, 1.5, 0.5, 0.6, 1.5, 2.5])
    y = np.array([1.0, 2.0, 4.0, 2.0, 4.0, NAN, 8.0])
    edges = np.array([0.0, 1.0, 2.0, 3.0])
    found = bins.statistics(x, y, edges, 1, realisation)
    assert found["count"].tolist() == [3, 2, 1]
    np.testing.assert_allclose(found["median"], [2.0, 3.0, 8.0])
    np.testing.assert_allclose(found["median_spread"], [np.sqrt(2.0), NAN, NAN])  # of 1 and 3; the others have one each
    few = bins.statistics(x, y, edges, 4, realisation)
    assert np.isnan([few["median"], few["median_spread"]]).all()
    without = bins.statistics(x, y, edges, 1)
    assert without.keys() == found.keys() - {"median_spread"}
    for name, values in without.items():
        np.testing.assert_array_equal(values, found[name])
    for empty in (np.empty(0), np.arange(3.0)):
        nothing = bins.statistics(np.empty(0), np.empty(0), empty, 1, np.empty(0, int))["median_spread"]
        assert np.isnan(nothing).all()
        assert len(nothing) == max(len(empty) - 1, 0)


def test_a_panel_of_realisations_says_how_far_median_and_offset_scatter() -> None:
    x, z, realisation = np.full(6, 0.5), np.full(6, 0.5), np.repeat([0, 1], 3)
    y = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    arguments = (z, x, y, (0.0, 1.0), np.array([0.0, 1.0]), lambda a, b: np.asarray(a) * 0.0 + b, 2)
    (panel,) = bins.relation_panels(*arguments, realisation)
    assert (panel["n"], panel["realisations"], panel["median"]) == (6, 2, [3.5])
    np.testing.assert_allclose([panel["median_spread"], panel["offset_spread"]], 3.0 / np.sqrt(2.0))
    (plain,) = bins.relation_panels(*arguments)
    assert plain.keys() == panel.keys() - {"realisations", "median_spread", "offset_spread"}


def test_counts_above_the_first_edge():
    counted = bins.counts_above(np.array([0.0, 0.5, 1.0, 2.5, 9.0, np.nan]), np.array([1.0, 2.0, 4.0]))
    assert counted == {"below": 2, "counts": [1, 2]}
    assert bins.counts_above(np.empty(0), np.array([1.0, 2.0])) == {"below": 0, "counts": [0]}
