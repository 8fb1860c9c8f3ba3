"""Runs held against their targets, on catalogues of which the answer is known."""

import csv
import io
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from mocksed.cosmology import Cosmology, t_univ
from mocksed.diagnostics import COMPARISONS, comparison, comparison_figures
from mocksed.diagnostics.catalogue import Arrays, Sample
from mocksed.diagnostics.comparison import CHECKS, Row
from mocksed.diagnostics.settings import Settings
from mocksed.relations import Gaussian, Relations

RELATIONS = Relations()
SETTINGS = Settings(redshift_bins=(0.0, 2.0, 5.0), mass_bin=1.0)


def catalogue(n: int = 4000, n_quiescent: int = 400, scatter: float = 1.0, seed: int = 0) -> Arrays:
    """Return galaxies on the relations with their scatter, quiescent ones in the box, ages even up to the limit."""
    rng = np.random.default_rng(seed)
    total = n + n_quiescent
    quiescent = np.arange(total) >= n
    z, mass = rng.uniform(0.1, 5.0, total), rng.uniform(8.0, 10.0, total)

    def drawn(relation, *given):
        mean = relation.mean(*given)
        return mean + scatter * (relation.draw(rng.random(total), *given) - mean)

    log_sfr = np.where(
        quiescent,
        drawn(RELATIONS.log_sfr_quiescent, mass, z),
        drawn(RELATIONS.log_sfr_star_forming, mass, z),
    )
    muv = drawn(RELATIONS.muv, mass, z)
    log_zmet = drawn(RELATIONS.log_zmet, mass, log_sfr, z)
    final = {
        "log_sfr": log_sfr,
        "muv": muv,
        "beta": drawn(RELATIONS.beta, muv, z),
        "log_zmet": log_zmet,
        "log_us": drawn(RELATIONS.log_us, log_zmet, mass, log_sfr, z),
    }
    colours = {"uv": np.where(quiescent, 1.8, 0.5), "vj": np.where(quiescent, 1.0, 0.5)}
    parameters = {"age": rng.random(total) * t_univ(Cosmology(), z), "tau": 10.0 ** rng.uniform(-1.0, 2.0, total)}
    parameters["dust_index"] = rng.uniform(-1.6, 0.4, total)
    return (
        {"galaxy_id": np.arange(total), "redshift": z, "log_mstar": mass, "quiescent": quiescent}
        | final
        | {f"prop_{name}": values.copy() for name, values in final.items()}
        | {"muv_intrinsic": muv - 1.0}
        | colours
        | parameters
        | {"flags": np.zeros(total)}
    )


def measured(galaxies: Arrays, settings: Settings = SETTINGS) -> list[Row]:
    """Return the rows of a catalogue."""
    return comparison.measure(Sample(galaxies), settings)


def of(rows: list[Row], check: str, quantity: str | None = None) -> list[Row]:
    return [row for row in rows if row.check == check and quantity in (None, row.quantity)]


@pytest.fixture(scope="module")
def good() -> list[Row]:
    return measured(catalogue(n_quiescent=1200))


def test_a_catalogue_on_the_relations_meets_what_is_asked(good):
    for row in good:
        if row.verdict:
            assert row.verdict != "missed", row
    assert len(of(good, "offset")) == 4 * 5  # bins of redshift and mass, quantities
    assert len(of(good, "half-width")) == 4 * 4
    assert {row.verdict for row in of(good, "quiescent SFR") + of(good, "in box") + of(good, "ages")} == {"met"}


def test_offsets_are_medians_with_their_sign_and_error():
    galaxies = catalogue()
    shifted = measured(galaxies | {"muv": galaxies["muv"] - 1.0})
    for row in of(shifted, "offset", "muv"):
        assert row.value == pytest.approx(-1.0, abs=4.0 * row.error)
        assert row.error == pytest.approx(1.2533 * 0.7 / np.sqrt(row.count), rel=0.15)
        assert (row.limit, row.verdict) == (0.08 if row.log_mstar[0] >= 8.5 else 0.25, "missed")
    for row in of(shifted, "offset", "log_sfr"):
        assert row.verdict != "missed"


def test_residuals_that_go_together_are_missed():
    galaxies = catalogue(20_000, 0)
    rows = of(measured(galaxies), "correlation")
    assert {row.verdict for row in rows} == {"met"}
    residual = galaxies["muv"] - RELATIONS.muv.mean(galaxies["log_mstar"], galaxies["redshift"])
    rows = of(measured(galaxies | {"beta": galaxies["beta"] + 0.5 * residual}), "correlation")
    assert {row.verdict for row in rows} == {"missed"}
    assert all(0.55 < row.value < 0.8 for row in rows)


def test_slopes_are_judged_in_bins_of_muv_that_no_mass_limit_cuts():
    galaxies = catalogue(20_000, 0)
    rows = of(measured(galaxies), "beta at M_UV")
    assert len(rows) >= 4
    assert {row.verdict for row in rows} <= {"met", "within errors"}
    assert max(row.interval[1] for row in rows) <= -16.0
    bright = galaxies["muv"] < -20.0
    off = of(measured(galaxies | {"beta": galaxies["beta"] + np.where(bright, 0.4, 0.0)}), "beta at M_UV")
    assert {row.verdict for row in off if row.interval[1] <= -20.0} == {"missed"}
    assert {row.verdict for row in off if row.interval[0] >= -20.0} <= {"met", "within errors"}


def test_half_widths_are_relative_to_those_asked_for():
    for scatter, verdicts in ((0.5, {"missed"}), (1.0, {"met", "within errors"})):
        rows = of(measured(catalogue(20_000, 0, scatter)), "half-width")
        assert {row.verdict for row in rows} <= verdicts
        for row in rows:
            assert row.value == pytest.approx(scatter - 1.0, abs=0.06)


def test_the_scatter_that_is_asked_for_ends_at_the_limits():
    cut = Gaussian(1.0, (-np.inf, 0.0))
    inside = np.ones(1, bool)
    assert comparison._half_width(cut, np.array([-9.0]), inside) == pytest.approx(1.0)
    # half a normal: quantiles of 0.159 and 0.841 at -1.41 and -0.20
    assert comparison._half_width(cut, np.array([0.0]), inside) == pytest.approx((1.4096 - 0.2002) / 2, abs=1e-3)


def test_quiescents_are_held_against_relation_and_box():
    galaxies = catalogue(n_quiescent=1200)
    off = galaxies | {
        "log_sfr": galaxies["log_sfr"] + 0.5,
        "uv": np.where(galaxies["redshift"] < 1.0, 1.0, galaxies["uv"]),
    }
    rows = measured(off)
    assert {row.verdict for row in of(rows, "quiescent SFR")} == {"missed"}
    young, old = of(rows, "in box")
    inside = galaxies["quiescent"] & (galaxies["redshift"] < 2.0)
    assert young.value == pytest.approx(np.mean(galaxies["redshift"][inside] >= 1.0))
    assert (young.limit, young.verdict, old.verdict) == (1.0, "missed", "met")


def test_beyond_redshift_5_nobody_is_asked_into_the_box():
    rows = [{"low": low, "high": high, "n": 10, "in_box": 0.6} for low, high in ((3.0, 5.0), (5.0, 8.0))]
    assert [row.verdict for row in comparison._of_box(rows)] == ["missed", ""]


def test_too_few_galaxies_get_no_verdict():
    rows = measured(catalogue(200, 60))
    assert not of(rows, "offset")
    assert {row.verdict for row in of(rows, "quiescent SFR")} == {""}
    assert {row.count for row in of(rows, "quiescent SFR")} != {0}


def test_ages_outside_the_universe_are_counted():
    galaxies = catalogue()
    age = galaxies["age"].copy()
    age[:3], age[3], age[-1] = 20.0, 0.0, -1.0
    star_forming, quiescent = of(measured(galaxies | {"age": age}), "ages")
    assert (star_forming.value, star_forming.verdict) == (4.0, "missed")
    assert (quiescent.value, quiescent.verdict) == (1.0, "missed")


def test_pile_up_is_the_fullest_interval_over_its_neighbours():
    even = (np.arange(5000) + 0.5) / 5000
    ratio, error, _ = comparison.pile_up(even, 0.0, 1.0)
    assert ratio == pytest.approx(1.0)
    assert error == pytest.approx(np.sqrt(2.0 / 100.0))
    ratio, _, interval = comparison.pile_up(np.concatenate([even, np.full(400, 0.51)]), 0.0, 1.0)
    assert ratio == pytest.approx(5.0)
    assert interval == pytest.approx((0.50, 0.52))
    ratio, _, interval = comparison.pile_up(np.concatenate([even, np.full(300, 1.0)]), 0.0, 1.0)
    assert ratio == pytest.approx(4.0)
    assert interval == pytest.approx((0.98, 1.0))
    assert comparison.pile_up(np.full(500, 0.51), 0.0, 1.0)[0] == np.inf
    assert np.isnan(comparison.pile_up(even[::100], 0.0, 1.0)[0])


def test_verdicts():
    assert Row("offset", "muv", 100, -0.3, 0.1, 0.3).verdict == "met"
    assert Row("offset", "muv", 100, -0.5, 0.1, 0.3).verdict == "within errors"
    assert Row("offset", "muv", 100, -0.51, 0.1, 0.3).verdict == "missed"
    assert Row("offset", "muv", 99, -0.51, 0.1, 0.3).verdict == ""
    assert Row("in box", "", 5, 0.4, 0.0, 0.3).verdict == "met"
    assert Row("offset", "muv", 100, np.nan, np.nan, 0.3).verdict == ""


def test_the_tables_hold_every_number(good):
    runs = {"one": good, "other <b>": measured(catalogue() | {"tau": np.full(4400, 1.0)})}
    table = list(csv.DictReader(io.StringIO(comparison.as_csv(runs))))
    assert len(table) == sum(map(len, runs.values()))
    first = table[0]
    assert (first["run"], first["check"], first["quantity"]) == ("one", "offset", "muv")
    assert [float(first[name]) for name in ("redshift_low", "redshift_high", "log_mstar_low")] == [0.0, 2.0, 8.0]
    assert first["interval_low"] == ""
    assert float(first["value"]) == pytest.approx(good[0].value, rel=1e-5)
    page = comparison.as_html(runs)
    assert "other &lt;b&gt;" in page
    for check in CHECKS.values():
        assert check.title.split("|")[0].split("(")[0] in page
    (line,) = re.findall("<tr><td>log tau, star-forming</td>.*</tr>", page)
    assert re.findall('class="([^"]*)"', line) == ["met", "missed"]
    assert ">inf (" in line


@pytest.mark.slow
@pytest.mark.parametrize("name", comparison_figures.FIGURES)
@pytest.mark.parametrize("case", ["full", "no quiescents", "no star-forming", "empty"])
def test_figures_have_the_same_axes_for_all_runs(name, case):
    sizes = {"full": (3000, 300), "no quiescents": (1000, 0), "no star-forming": (0, 300), "empty": (0, 0)}[case]
    runs = {}
    for run, seed in (("one", 1), ("two", 2), ("three", 3)):
        galaxies = catalogue(*sizes, seed=seed)
        sample = Sample(galaxies)
        found = comparison.measure_plots(sample, SETTINGS)
        runs[run] = comparison_figures.Run(sample, SETTINGS, found, measured(galaxies))
    drawn = comparison_figures.FIGURES[name](runs)
    assert isinstance(drawn, Figure)
    if name in ("muv", "beta", "sfr_mass", "mass_metallicity"):
        assert len({(axes.get_xlim(), axes.get_ylim()) for axes in drawn.axes}) == 1
        assert len(drawn.axes) % 3 == 0
    if name == "uvj":
        assert len({(axes.get_xlim(), axes.get_ylim()) for axes in drawn.axes[:3]}) == 1
    drawn.draw_without_rendering()


def test_what_is_drawn_is_measured_once():
    sample = Sample(catalogue(1000, 200))
    plots = comparison.measure_plots(sample, SETTINGS)
    assert comparison.measure(sample, SETTINGS, plots) == comparison.measure(sample, SETTINGS)


def test_every_figure_that_the_workflow_asks_for_is_drawn():
    assert tuple(comparison_figures.FIGURES) == COMPARISONS
