"""Every diagnostic on synthetic catalogues that follow the relations."""

import json
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mocksed.cosmology import Cosmology, t_univ
from mocksed.diagnostics import (
    PLOTS,
    ages,
    assignment,
    mass_metallicity,
    muv,
    residuals,
    sfr_mass,
    style,
    triangle,
    uvj,
)
from mocksed.diagnostics.catalogue import Arrays, Sample, select
from mocksed.diagnostics.settings import Settings
from mocksed.diagnostics.summary import module_of, of_all, read_sample
from mocksed.errors import UserError
from mocksed.files import storage
from mocksed.files.columns import FLAG_DESCRIPTIONS, Flag
from mocksed.relations import Relations

RELATIONS = Relations()
SSP_TABLE = Path(__file__).parents[1] / "resources/ssp_padova_kurucz_chabrier.h5"
SETTINGS = Settings(
    sps={"engine": "table", "table": str(SSP_TABLE), "dust_type": "kriek_conroy", "igm": "madau1995"},
    photometry={"filters": ["lsst_baseline_g", "jwst_f200w"]},
)
PANELS = {
    "muv": (muv, "muv"),
    "beta": (muv, "beta"),
    "star-forming": (sfr_mass, "star_forming"),
    "quiescent": (sfr_mass, "quiescent"),
    "metallicity": (mass_metallicity, "star_forming"),
}
UNITLESS = (
    "redshift",
    "flag",
    "beta",
    "tau_V",
    "log\\,U",
    "t_\\mathrm{univ}",
    "density",
    "number",
    "fraction",
    "metric",
    "slope",
)


def synthetic(n_star_forming: int, n_quiescent: int, scatter: float = 1.0, seed: int = 1) -> Arrays:
    """Return a catalogue on the relations, with their scatter times ``scatter``, uniform in redshift and log mass."""
    rng = np.random.default_rng(seed)
    n = n_star_forming + n_quiescent
    quiescent = np.arange(n) >= n_star_forming
    z, log_mstar = rng.uniform(0.01, 12.0, n), rng.uniform(8.0, 11.5, n)
    normal = partial(rng.normal, size=n)
    log_sfr = np.where(
        quiescent, RELATIONS.log_sfr_quiescent.mean(log_mstar, z), RELATIONS.log_sfr_star_forming.mean(log_mstar, z)
    ) + scatter * normal(0, 0.3)
    log_zmet = RELATIONS.log_zmet.mean(log_mstar, log_sfr, z) + scatter * normal(0, 0.2)
    magnitude = RELATIONS.muv.mean(log_mstar, z) + scatter * normal(0, 0.7)
    log_us = RELATIONS.log_us.mean(log_zmet, log_mstar, log_sfr, z) + scatter * normal(0, 0.3)
    final = {
        "log_sfr": log_sfr,
        "log_zmet": log_zmet,
        "log_us": np.where(quiescent, np.nan, log_us),
        "muv": magnitude,
        "beta": RELATIONS.beta.mean(magnitude, z) + scatter * normal(0, 0.35),
    }
    proposed = {f"prop_{name}": values - scatter * normal(0.05, 0.1) for name, values in final.items()}
    fraction = rng.beta(2.0, 2.0, n)
    uv = np.where(quiescent, normal(1.75, 0.15) - 0.03 * z, normal(0.7, 0.25))
    return (
        {"galaxy_id": np.arange(n), "redshift": z, "log_mstar": log_mstar, "quiescent": quiescent}
        | final
        | proposed
        | {
            "muv_intrinsic": magnitude - 1.0,
            "age": fraction * t_univ(Cosmology(), z),
            "tau": 10 ** rng.uniform(-1.0, 2.0, n),
            "dust2": np.where(quiescent, 0.0, np.abs(normal(0, 0.5))),
            "dust_index": rng.uniform(-1.2, 0.4, n),
            "mass_fraction": np.full(n, 0.7),
            "uv": uv,
            "vj": 0.6 * uv - np.where(quiescent, 0.1, -0.2) + normal(0, 0.12),
            "distance": rng.gamma(2.0, 0.2, n),
            "flags": np.where(fraction > 0.97, Flag.AGE_CLIPPED, 0) | np.where(fraction < 0.05, Flag.ZMET_CLIPPED, 0),
        }
    )


def sample_of(galaxies: Arrays, n_parent: int = 2000) -> Sample:
    parent = synthetic(n_parent, 0, scatter=2.0, seed=2)
    return Sample(galaxies, {name: parent[name] for name in triangle.PARENT_COLUMNS}, len(galaxies["age"]))


@pytest.fixture(scope="module")
def large() -> Sample:
    return sample_of(synthetic(60_000, 20_000))


@pytest.mark.parametrize("which", PANELS)
def test_medians_equal_the_relation_within_statistics(large: Sample, which: str) -> None:
    module, key = PANELS[which]
    panels = module.measure(large, SETTINGS)[key]
    scatter = {"muv": 0.7, "beta": 0.35, "metallicity": 0.2}.get(which, 0.3)
    pulls, deviations = [], []
    for panel in panels:
        error = 1.2533 * scatter / np.sqrt(np.maximum(panel["count"], 1))
        pulls += list(np.array(panel["offset"], float) / error)
        deviations += list(np.array(panel["residual"], float))
    pulls = np.array(pulls)[np.isfinite(pulls)]
    assert len(pulls) > 20
    assert np.abs(pulls).max() < 4.5
    assert np.abs(np.nanmedian(deviations)) < 0.03
    assert np.nanmedian(np.abs(deviations)) < 0.1


def test_scatter_is_between_the_percentiles(large: Sample) -> None:
    for panel in sfr_mass.measure(large, Settings(redshift_bins=(4.0, 4.2)))["star_forming"]:
        width = (np.array(panel["p84"]) - np.array(panel["p16"])) / 2
        # the width of the bin of mass adds to the scatter of 0.3 dex
        assert np.all((width > 0.2) & (width < 0.5))


def test_without_scatter_offset_and_residual_are_zero() -> None:
    exact = sample_of(synthetic(20_000, 0, scatter=0.0))
    for panel in muv.measure(exact, SETTINGS)["muv"]:
        np.testing.assert_allclose(np.array(panel["offset"]), 0.0, atol=1e-12)
        np.testing.assert_allclose(np.array(panel["residual"]), 0.0, atol=1e-12)


def test_every_panel_names_its_bin_and_counts_all_its_galaxies(large: Sample) -> None:
    panels = sfr_mass.measure(large, SETTINGS)["star_forming"]
    assert [(panel["low"], panel["high"]) for panel in panels] == list(
        zip(SETTINGS.redshift_bins[:-1], SETTINGS.redshift_bins[1:], strict=True)
    )
    assert sum(panel["n"] for panel in panels) == 60_000
    assert all(sum(panel["count"]) == panel["n"] for panel in panels)


def test_uvj_counts_the_galaxies_in_the_box() -> None:
    galaxies = {
        "redshift": np.array([0.1, 0.2, 0.5, 0.6, 4.0]),
        "quiescent": np.array([True, True, True, True, False]),
        "uv": np.array([1.8, 1.0, 1.8, np.nan, 0.5]),
        "vj": np.array([0.8, 0.8, 0.8, 0.8, 0.3]),
    }
    measured = uvj.measure(Sample(galaxies), SETTINGS)
    assert measured["quiescent"]["overall"]["n"] == 3
    assert measured["quiescent"]["overall"]["in_box"] == pytest.approx(2 / 3)
    assert [(row["low"], row["n"], row["in_box"]) for row in measured["quiescent"]["by_redshift"]] == [
        (0.0, 2, 0.5),
        (0.3, 1, 1.0),
    ]
    assert measured["star_forming"]["overall"]["in_box"] == 0.0
    low, fraction, high = (measured["quiescent"]["overall"][key] for key in ("p16", "in_box", "p84"))
    assert 0.0 < low < fraction < high < 1.0
    assert measured["quiescent"]["overall"]["at_edge"] == 0.0


def test_fractions_in_the_uvj_box_end_where_the_galaxies_end() -> None:
    galaxies = {"redshift": np.array([0.4, 2.5]), "quiescent": np.array([True, False])}
    galaxies |= {"uv": np.array([1.8, 0.5]), "vj": np.array([0.8, 0.3])}
    settings = Settings(redshift_bins=(0.0, 0.3, 1.0, 2.0, 3.0, 5.0))
    _, fractions = uvj.draw(Sample(galaxies), uvj.measure(Sample(galaxies), settings), settings).axes
    assert fractions.get_xlim() == (pytest.approx(0.3 - 0.03 * 2.7), 3.0)


def test_uvj_counts_the_galaxies_at_the_edge_of_the_box() -> None:
    uv = np.array([1.31, 1.29, 1.8, 2.3, 1.0])
    galaxies = {"redshift": np.full(5, 0.1), "quiescent": np.ones(5, bool), "uv": uv, "vj": np.full(5, 0.5)}
    galaxies["vj"][3] = 1.59
    assert uvj.measure(Sample(galaxies), SETTINGS)["quiescent"]["overall"]["at_edge"] == pytest.approx(3 / 5)


def test_assignment_offsets_are_given_less_drawn(large: Sample) -> None:
    measured = assignment.measure(large, SETTINGS)
    for kind, n in (("star_forming", 60_000), ("quiescent", 20_000)):
        for name in assignment.DRAWN[kind]:
            found = measured[kind][name]
            assert found["overall"]["median"] == pytest.approx(0.05, abs=0.005)
            assert found["overall"]["p84"] - found["overall"]["median"] == pytest.approx(0.1, abs=0.005)
            assert [row["low"] for row in found["by_redshift"]] == list(SETTINGS.redshift_bins[:-1])
            assert sum(sum(row["by_mass"]["count"]) for row in found["by_redshift"]) == found["overall"]["count"] == n
        assert sum(measured[kind]["distance"]["counts"]) + measured[kind]["distance"]["below"] == n


def test_what_was_not_drawn_is_not_shown() -> None:
    galaxies = synthetic(300, 100) | {"prop_muv": np.full(400, np.nan)}
    assert "muv" not in assignment.measure(sample_of(galaxies), SETTINGS)["star_forming"]


def test_residuals_that_go_together_are_found(large: Sample) -> None:
    """Galaxies that are bluer the brighter they are for their mass, and others whose slope knows nothing of that."""
    free = assignment.measure(large, SETTINGS)
    assert abs(free["mean_correlation"]) < 0.02
    assert all(row["log_mstar"][0] >= 8.5 and row["count"] >= 100 for row in free["correlations"])
    galaxies = dict(large.galaxies)
    residual = galaxies["muv"] - RELATIONS.muv.mean(galaxies["log_mstar"], galaxies["redshift"])
    galaxies["beta"] = galaxies["beta"] + 0.5 * residual  # as wide as the scatter of 0.35
    tied = assignment.measure(Sample(galaxies), SETTINGS)
    assert tied["mean_correlation"] == pytest.approx(0.707, abs=0.02)


def test_slopes_of_dust_are_asked_for_at_the_attenuation_of_the_galaxy() -> None:
    dusty = Relations.from_config({"beta": "meurer1999"})
    galaxies = {"redshift": np.zeros(2), "muv": np.array([-20.0, -17.0]), "muv_intrinsic": np.array([-20.0, -19.0])}
    assert residuals.mean_beta(galaxies, dusty) == pytest.approx([-4.43 / 1.99, (2.0 - 4.43) / 1.99])


def test_residuals_are_from_the_median_of_what_is_cut_to_limits() -> None:
    galaxies = synthetic(2000, 0, scatter=0.0) | {"log_mstar": np.full(2000, 11.5)}
    mean = residuals.means(galaxies, RELATIONS)["log_zmet"]
    galaxies["log_zmet"] = RELATIONS.log_zmet.scatter.draw(mean, 0.5)
    assert np.abs(residuals.from_relations(galaxies, RELATIONS)["log_zmet"]).max() < 1e-12
    assert np.median(galaxies["log_zmet"] - mean) < -0.05


def test_bins_of_muv_that_the_least_mass_cuts_are_known(large: Sample) -> None:
    """At z of 4 the relation has -17.7 at 1e8 Msun: fainter bins lack the galaxies of less mass, bright ones do not."""
    (panel,) = muv.measure(large, Settings(redshift_bins=(3.9, 4.1)))["beta"]
    cut = {low: cut for low, cut, n in zip(panel["edges"], panel["cut"], panel["count"], strict=False) if n > 20}
    assert not any(value for low, value in cut.items() if low < -20.0)
    assert all(value for low, value in cut.items() if low >= -18.0)


def test_the_triangle_has_the_redshifts_that_are_asked_for(large: Sample) -> None:
    near = triangle.measure(large, Settings(triangle_redshift=(0.0, 0.3)))
    all_ = triangle.measure(large, SETTINGS)
    assert near["catalogue"]["redshift"]["p84"] < 0.3 < all_["catalogue"]["redshift"]["p16"]
    assert near["parent"] == all_["parent"]


@pytest.mark.slow
def test_a_parent_of_one_redshift_is_no_contour(large: Sample) -> None:
    parent = large.parent | {"redshift": np.zeros(len(large.parent["age"]))}
    sample = Sample(large.galaxies, parent, large.n_catalogue)
    drawn = triangle.draw(sample, triangle.measure(sample, SETTINGS), SETTINGS)
    n = len(triangle.QUANTITIES)
    both, alone = (len(drawn.axes[cell].collections) for cell in (2 * n + 1, n))
    assert both == 2 * alone > 0


def test_limits_leave_out_few_values_but_none_that_are_to_be_whole() -> None:
    values = np.append(np.linspace(0.0, 1.0, 9999), [100.0, np.nan])
    assert style.limits(values)[1] < 1.1
    low, high = style.limits(values, whole=[np.array([-3.0, np.nan]), np.array([20.0])])
    assert low < -3.0
    assert 20.0 < high < 25.0


@pytest.mark.parametrize(("plot", "which"), [(muv, "muv"), (sfr_mass, "star_forming")])
def test_bands_of_few_bright_galaxies_are_within_the_axes(plot: Any, which: str) -> None:
    faint, few = synthetic(40_000, 500), {key: values[:30] for key, values in synthetic(30, 0, seed=2).items()}
    few |= {"redshift": np.full(30, 1.5), "log_mstar": np.full(30, 12.1)}
    few |= {"log_sfr": few["log_sfr"] + 5.0, "muv": few["muv"] - 9.0}
    sample = sample_of({key: np.concatenate([values, few[key]]) for key, values in faint.items()})
    measured = plot.measure(sample, SETTINGS)
    ends = np.concatenate([panel[key] for panel in measured[which] for key in ("p16", "p84")]).astype(float)
    low, high = sorted(plot.draw(sample, measured, SETTINGS).axes[0].get_ylim())
    assert low <= np.nanmin(ends)
    assert np.nanmax(ends) <= high


def test_the_most_massive_galaxies_are_shown(large: Sample) -> None:
    drawn = sfr_mass.draw(large, sfr_mass.measure(large, SETTINGS), SETTINGS)
    assert drawn.axes[0].get_xlim()[1] > large.galaxies["log_mstar"].max()


@pytest.mark.parametrize("every", [False, True])
def test_flags_that_galaxies_have_are_named_without_overlap(large: Sample, every: bool) -> None:
    flags = np.full(len(large.galaxies["flags"]), sum(FLAG_DESCRIPTIONS)) if every else large.galaxies["flags"]
    sample = Sample(large.galaxies | {"flags": flags}, n_catalogue=large.n_catalogue)
    figure = ages.draw(sample, ages.measure(sample, SETTINGS), SETTINGS)
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[1].get_yticklabels()]
    assert len(boxes) == (len(FLAG_DESCRIPTIONS) if every else 2)
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))
    assert ("no galaxy has another flag" in [text.get_text() for text in figure.axes[1].texts]) != every


def test_a_run_without_flags_says_so(large: Sample) -> None:
    sample = Sample(large.galaxies | {"flags": np.zeros(len(large.galaxies["flags"]), int)}, n_catalogue=1)
    figure = ages.draw(sample, ages.measure(sample, SETTINGS), SETTINGS)
    assert [text.get_text() for text in figure.axes[1].texts] == ["no galaxy has a flag"]


def test_masses_below_the_range_of_the_relation_are_marked(large: Sample) -> None:
    settings = Settings(relations={"log_sfr_star_forming": "popesso2023", "log_zmet": "sanders2021"})
    for module, least in ((sfr_mass, 8.5), (mass_metallicity, 9.0)):
        axes = module.draw(large, module.measure(large, settings), settings).axes[0]
        (shaded,) = [patch for patch in axes.patches if str(patch.get_label()).startswith("masses below")]
        low, high = shaded.get_window_extent().transformed(axes.transData.inverted()).intervalx
        assert (low, high) == pytest.approx((axes.get_xlim()[0], least))


@pytest.mark.parametrize(
    ("inside", "n", "said"), [(454, 696, "65 %"), (696, 696, "100.0 %"), (65230, 100_000, "65.2 %")]
)
def test_shares_have_the_digits_that_their_error_allows(inside: int, n: int, said: str) -> None:
    found = uvj._fraction(np.arange(n) < inside, np.zeros(n), None)
    assert uvj._overall_note(found).startswith(f"{said} of {n} ")


def test_ages_and_flags(large: Sample) -> None:
    measured = ages.measure(large, SETTINGS)
    for name, n in (("star_forming", 60_000), ("quiescent", 20_000)):
        assert measured[name]["n"] == n
        assert measured[name]["older_than_universe"] == 0
        assert measured[name]["age_fraction"]["median"] == pytest.approx(0.5, abs=0.01)
        assert sum(measured[name]["age_fraction"]["counts"]) == sum(measured[name]["log_tau"]["counts"]) == n
        assert set(measured[name]["flags"]) == {ages.FLAG_NAMES[bit] for bit in FLAG_DESCRIPTIONS}
    flags = np.array([0, Flag.AGE_CLIPPED, Flag.AGE_CLIPPED | Flag.FAR])
    counts = ages.flag_counts(flags)
    assert (counts["AGE_CLIPPED"], counts["FAR"], counts["ZMET_CLIPPED"]) == (2, 1, 0)


def test_age_above_that_of_the_universe_is_counted() -> None:
    galaxies = synthetic(10, 0)
    galaxies["age"][:3] = 20.0
    assert ages.measure(sample_of(galaxies), SETTINGS)["star_forming"]["older_than_universe"] == 3


def test_summary_holds_every_measure_and_is_json(large: Sample) -> None:
    summary = of_all(large, SETTINGS)
    assert set(summary) == {"counts", *PLOTS}
    counts = summary["counts"]
    assert (counts["catalogue"], counts["sample"]) == (80_000, 80_000)
    assert (counts["star_forming"], counts["quiescent"]) == (60_000, 20_000)
    assert counts["flags"]["AGE_CLIPPED"] == np.count_nonzero(large.galaxies["flags"] & Flag.AGE_CLIPPED)
    json.dumps(summary)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLOTS)
def test_every_axis_that_shows_numbers_has_a_label_with_its_unit(large: Sample, name: str) -> None:
    figure = module_of(name).draw(large, module_of(name).measure(large, SETTINGS), SETTINGS)
    assert isinstance(figure, Figure)
    visible = [axes for axes in figure.axes if axes.get_visible()]
    assert visible
    for axes in visible:
        for axis, side in ((axes.xaxis, "labelbottom"), (axes.yaxis, "labelleft")):
            label = axis.get_label_text()
            if axis.get_tick_params().get(side, True) or label:
                assert "[" in label or any(unitless in label for unitless in UNITLESS), (name, label)


AWKWARD = {
    "no galaxies": lambda: synthetic(0, 0),
    "one star-forming": lambda: synthetic(1, 0),
    "one quiescent": lambda: synthetic(0, 1),
    "star-forming only": lambda: synthetic(300, 0),
    "quiescent only": lambda: synthetic(0, 300),
    "all alike": lambda: select(synthetic(1, 0), np.zeros(50, int)),
    "missing values": lambda: with_missing(synthetic(200, 50)),
    "beyond the redshift bins": lambda: synthetic(30, 30) | {"redshift": np.full(60, 15.0)},
}


def with_missing(galaxies: Arrays) -> Arrays:
    """Return galaxies with every third value of every result missing, and all M_UV of z > 5."""
    for name in ("muv", "beta", "log_sfr", "log_zmet", "uv", "vj", "distance", "age", "tau", "dust_index", "prop_muv"):
        galaxies[name] = np.where(galaxies["galaxy_id"] % 3 == 0, np.nan, galaxies[name])
    galaxies["muv"][galaxies["redshift"] > 5.0] = np.nan
    return galaxies


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", sorted(set(PLOTS) - {"triangle"}))
@pytest.mark.parametrize("case", AWKWARD)
def test_awkward_catalogues_are_measured_and_drawn(case: str, name: str) -> None:
    sample = sample_of(AWKWARD[case]())
    measured = module_of(name).measure(sample, SETTINGS)
    json.dumps(measured)
    figure = module_of(name).draw(sample, measured, SETTINGS)
    figure.draw_without_rendering()


@pytest.mark.slow
@pytest.mark.parametrize("case", ["no galaxies", "one star-forming", "missing values"])
def test_triangle_of_awkward_catalogues(case: str) -> None:
    sample = sample_of(AWKWARD[case](), n_parent=500)
    measured = module_of("triangle").measure(sample, SETTINGS)
    assert measured["parent"]["beta"]["count"] == 500
    assert isinstance(module_of("triangle").draw(sample, measured, SETTINGS), Figure)


def realised(n_star_forming: int, n_quiescent: int, n: int = 8) -> Sample:
    """Return realisations of as many galaxies, which are drawn anew in each."""
    parts = [synthetic(n_star_forming, n_quiescent, seed=seed) for seed in range(n)]
    for i, part in enumerate(parts):
        part["realisation"] = np.full(n_star_forming + n_quiescent, i)
    return sample_of({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


@pytest.fixture(scope="module")
def eight() -> Sample:
    return realised(16_000, 4000)


@pytest.mark.parametrize("which", PANELS)
def test_the_spread_of_a_median_is_its_error(eight: Sample, which: str) -> None:
    """The error of the median of n normal deviates is 1.25 sigma / sqrt(n); sigma is that of the bin."""
    module, key = PANELS[which]
    ratios = []
    for panel in module.measure(eight, SETTINGS)[key]:
        assert panel["realisations"] == 8
        width, n = (np.array(panel["p84"]) - np.array(panel["p16"])) / 2, np.array(panel["count"]) / 8
        spread = np.array(panel["median_spread"])
        assert np.array_equal(np.isfinite(spread), np.isfinite(panel["median"]))
        ratios += list((spread / (1.2533 * width / np.sqrt(n)))[n > 50])
    assert len(ratios) > 10
    assert 0.8 < np.nanmedian(ratios) < 1.25


def test_bins_of_realisations_hold_as_many_galaxies_each_as_those_of_one(eight: Sample) -> None:
    few = Settings(min_count=200)
    for panel in muv.measure(eight, few)["muv"]:
        assert np.array_equal(np.isfinite(panel["median"]), np.array(panel["count"]) >= 1600)
    for row in assignment.measure(eight, few)["star_forming"]["muv"]["by_redshift"]:
        assert np.array_equal(np.isfinite(row["by_mass"]["median"]), np.array(row["by_mass"]["count"]) >= 1600)


@pytest.mark.slow
def test_the_summary_of_realisations_has_their_spread_and_that_of_one_has_none(eight: Sample) -> None:
    summary = of_all(eight, SETTINGS)
    assert summary["counts"]["realisations"] == 8
    assert summary["counts"]["sample"] == 8 * 20_000
    assert summary["counts"]["quiescent_spread"] == 0.0  # as many in each
    overall = summary["uvj"]["quiescent"]["overall"]
    p, n = overall["in_box"], overall["n"] / 8
    assert 0.4 < overall["in_box_spread"] / np.sqrt(p * (1.0 - p) / n) < 1.8
    assert 0.0 < summary["assignment"]["star_forming"]["muv"]["overall"]["median_spread"] < 0.005
    assert 0.0 < summary["assignment"]["star_forming"]["distance"]["median_spread"] < 0.02
    assert 0.0 < summary["ages"]["star_forming"]["log_tau"]["median_spread"] < 0.05
    one = of_all(sample_of(synthetic(300, 100)), SETTINGS)
    assert "spread" not in json.dumps(one)
    assert "realisations" not in json.dumps(one)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", sorted(set(PLOTS) - {"triangle"}))
@pytest.mark.parametrize("n", [(16_000, 4000), (3, 1), (0, 2), (2, 0)])
def test_realisations_are_drawn_with_their_spread(eight: Sample, name: str, n: tuple[int, int]) -> None:
    sample = eight if n[0] > 3 else realised(*n, n=2)
    measured = module_of(name).measure(sample, SETTINGS)
    json.dumps(measured)
    figure = module_of(name).draw(sample, measured, SETTINGS)
    figure.draw_without_rendering()
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    said += [axes.get_title(loc="right") for axes in figure.axes]
    said += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    if sample is eight and name not in ("ages", "spectra"):
        assert any("spread" in text for text in said), said
    if sample is eight and name in ("muv", "sfr_mass", "mass_metallicity"):
        assert any(text.startswith("8 \N{MULTIPLICATION SIGN} ") for text in said), said


def test_drawing_leaves_the_settings_of_matplotlib_alone(large: Sample) -> None:
    before = dict(matplotlib.rcParams)
    muv.draw(large, muv.measure(large, SETTINGS), SETTINGS)
    assert dict(matplotlib.rcParams) == before


@pytest.mark.slow
def test_plots_do_not_depend_on_the_users_matplotlibrc(large: Sample, tmp_path: Path) -> None:
    """That asks for LaTeX, say, which nodes of a cluster do not have."""

    def drawn(name: str) -> bytes:
        figure = muv.draw(large, muv.measure(large, SETTINGS), SETTINGS)
        style.save(figure, tmp_path / f"{name}.png", tmp_path / f"{name}.pdf")
        return (tmp_path / f"{name}.png").read_bytes()

    own = {"text.usetex": True, "axes.grid": True, "font.family": "serif", "savefig.transparent": True}
    expected = drawn("default")
    with matplotlib.rc_context(own):
        assert drawn("own") == expected
        assert all(matplotlib.rcParams[key] == value for key, value in own.items() if key != "font.family")


@pytest.mark.slow
def test_files_are_the_same_bytes_every_time_and_say_what_they_were_made_from(large: Sample, tmp_path: Path) -> None:
    about = {"run": "demo", "ssp_table": {"sha256": "0123"}}
    for run in ("a", "b"):
        figure = uvj.draw(large, uvj.measure(large, SETTINGS), SETTINGS)
        style.save(figure, tmp_path / f"{run}.png", tmp_path / f"{run}.pdf", about)
    with Image.open(tmp_path / "a.png") as image:
        assert json.loads(image.info["Description"]) == about
    assert b'/Subject ({"run": "demo", "ssp_table": {"sha256": "0123"}})' in (tmp_path / "a.pdf").read_bytes()
    for ending in ("png", "pdf"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "a.png", "b.pdf", "b.png"]


def test_from_files_to_summary(tmp_path: Path) -> None:
    galaxies = synthetic(900, 100)
    shards = [tmp_path / f"{i:04d}.parquet" for i in range(3)]
    for i, shard in enumerate(shards):
        storage.write_table(shard, select(galaxies, np.arange(1000) % 3 == i))
    parent = tmp_path / "parent.parquet"
    points = synthetic(200, 0)
    storage.write_table(parent, {name: points[name] for name in triangle.PARENT_COLUMNS})
    sample = read_sample(shards, [parent], SETTINGS)
    summary = of_all(sample, SETTINGS)
    assert summary["counts"]["catalogue"] == summary["counts"]["sample"] == 1000
    assert summary["triangle"]["parent"]["age"]["count"] == 200
    alone = read_sample(shards, [], SETTINGS, ["muv"])
    assert set(alone.galaxies) == set(muv.COLUMNS)
    assert not alone.parent
    assert json.dumps(muv.measure(alone, SETTINGS)) == json.dumps(summary["muv"])
    storage.write_json(tmp_path / "summary.json", summary)
    assert json.loads((tmp_path / "summary.json").read_text())["counts"] == summary["counts"]


def test_every_plot_has_a_module_and_a_caption() -> None:
    for name, plot in PLOTS.items():
        assert len(plot.caption) > 100
        assert plot.needs_parent == bool(module_of(name).PARENT_COLUMNS)


@pytest.mark.parametrize("edges", [(1.0,), (0.0, 2.0, 1.0), (0.0, 0.0)])
def test_redshift_bins_that_do_not_increase_are_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="redshift_bins"):
        Settings(redshift_bins=edges)


def test_plots_name_the_relations(large: Sample) -> None:
    settings = Settings(relations={"log_zmet": "curti2020", "a_uv": "mclure2018"})
    expected = {
        "muv": ["relation: Williams et al. 2018", "relation: mean SFR, dust of McLure et al. 2018"],
        "sfr_mass": ["relation, quiescent: Schreiber et al. 2017", "relation, star-forming: Schreiber et al. 2015"],
        "mass_metallicity": ["relation: Curti et al. 2020"],
    }
    for name, labels in expected.items():
        drawn = module_of(name).draw(large, module_of(name).measure(large, settings), settings)
        (legend,) = drawn.legends
        assert (
            sorted(text.get_text() for text in legend.get_texts() if text.get_text().startswith("relation")) == labels
        )


@pytest.mark.slow
def test_the_name_of_a_users_relation_is_no_formula(large: Sample, tmp_path: Path) -> None:
    table = tmp_path / "own$_{x$.csv"
    table.write_text("redshift,log_mstar,mean,scatter\n0,8,0,0.3\n0,12,2,0.3\n12,8,2,0.3\n12,12,4,0.3\n")
    settings = Settings(relations={"log_sfr_star_forming": str(table)})
    figure = sfr_mass.draw(large, sfr_mass.measure(large, settings), settings)
    style.save(figure, tmp_path / "a.png", tmp_path / "a.pdf")
    (legend,) = figure.legends
    assert any(text.get_text().endswith(r"own\$_{x\$.csv") for text in legend.get_texts())


def test_example_spectra_are_of_both_classes_and_massive(large: Sample) -> None:
    panels = module_of("spectra").measure(large, SETTINGS)["panels"]
    assert len(panels) == 4
    for panel in panels:
        for name in ("star_forming", "quiescent"):
            shown = panel[name]
            row = int(np.flatnonzero(large.galaxies["galaxy_id"] == shown["galaxy_id"])[0])
            assert large.galaxies["quiescent"][row] == (name == "quiescent")
            assert panel["low"] < shown["redshift"] < panel["high"]
            assert abs(shown["log_mstar"] - 10.3) < 0.2


def test_example_spectra_have_their_photometry_and_lines(large: Sample) -> None:
    module = module_of("spectra")
    figure = module.draw(large, module.measure(large, SETTINGS), SETTINGS)
    for axes in figure.axes:
        spectrum, points = (next(line for line in axes.lines if what in str(line.get_label()))
                            for what in ("spectrum", "photometry"))  # fmt: skip
        at, flux = points.get_data()
        assert len(at) == 2
        assert np.interp(at[1], *spectrum.get_data()) == pytest.approx(flux[1], rel=0.5)  # F200W
    assert r"H$\alpha$" in [text.get_text() for text in figure.axes[0].texts]
