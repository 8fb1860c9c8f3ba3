"""The card of the sky, on catalogues of which it is known how far they are from what was observed."""

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtri

from mocksed import rng, sky
from mocksed.cosmology import Cosmology
from mocksed.diagnostics import SKY, catalogue
from mocksed.diagnostics.sky import OBSERVABLES, as_html, card, draw, panels, summary
from mocksed.diagnostics.sky.in_bins import missing
from mocksed.diagnostics.sky.mock import Mock, of_sample
from mocksed.diagnostics.sky.observables import panels_of
from mocksed.diagnostics.sky.scores import Score, overall, score
from mocksed.galaxies.lightcone import LightCone
from mocksed.relations import Relations
from tests.runs import Workflow

COSMO = Cosmology(67.66, 0.3111)
FOLDER = Path(__file__).parents[1] / "resources" / "sky"
Z = (1.5, 2.0)
KEPT = {  # offset, apart, worst, and chi2 per point
    "stellar_mass_function": [-0.001, 0.095, 0.378, 0.71],
    "uv_luminosity_function": [0.068, 0.133, 0.559, 3.663],
    "quiescent_share": [0.041, 0.057, 0.221, 2.026],
}


@cache
def tables():
    of_folder = sky.by_observable(FOLDER).items()
    return {name: [one.converted("chabrier", COSMO) for one in of] for name, of in of_folder}


def mock(least=8.5, area=0.3, times=1.0, seed=3):
    """Return galaxies that follow the mass function of Leja et al. (2020) at 1.5 < z < 2, so many times of them.

    All are star-forming, and their M_UV follow from their mass without scatter.
    """
    empty = Mock({}, COSMO, area, (1.0, 3.0), least)
    masses = np.linspace(least, 12.5, 4001)
    leja = next(one for one in tables()["stellar_mass_function"] if one.name.endswith("leja2020"))
    phi = leja.value(masses, 1.75, population="all")
    below = np.concatenate([[0.0], np.cumsum(0.5 * (phi[1:] + phi[:-1]) * np.diff(masses))])
    drawn = np.random.default_rng(seed)
    n = drawn.poisson(times * below[-1] * replace(empty, redshift=Z).volume())
    log_mstar = np.interp(drawn.random(n), below / below[-1], masses)
    galaxies = {
        "redshift": drawn.uniform(*Z, n), "log_mstar": log_mstar, "quiescent": np.zeros(n, bool),
        "muv": -18.0 - 2.0 * (log_mstar - 9.0), "muv_intrinsic": -19.5 - 2.0 * (log_mstar - 9.0),
    }  # fmt: skip
    return replace(empty, galaxies=galaxies)


def panel(name, of, title="1.5 < z < 2"):
    return next(one for one in panels_of(name, of, tables()) if one.title == title)


def of_paper(shown, paper):
    labels = [one.label for one in shown.references]
    return shown.scores[labels.index(paper)]


@pytest.mark.parametrize("times", [1.0, 10.0**0.3])
def test_the_offset_of_a_mass_function_is_what_it_was_made_with(times):
    found = of_paper(panel("stellar_mass_function", mock(times=times)), "Leja et al. 2020")
    assert found.points > 8
    assert found.offset == pytest.approx(np.log10(times), abs=0.03)


def test_chi2_of_points_with_their_errors_is_1_if_they_are_one_sigma_off():
    observed, up, down = np.zeros(4), np.full(4, 0.3), np.full(4, 0.4)
    found = score([0.5, -np.sqrt(0.32), 0.5, np.nan], np.full(4, 0.4), observed, down, up)
    assert (found.offset, found.apart, found.points) == (0.5, 0.5, 3)
    assert found.chi2 == pytest.approx(1.0)
    without = score([0.5], [0.1], [0.0], [np.nan], [np.nan])
    assert (without.offset, without.points) == (0.5, 1)
    assert np.isnan(without.chi2)
    assert score([-9.0], [0.1], [0.0], [np.inf], [0.1]).chi2 == 0.0  # an error that reaches zero excludes nothing


def test_scores_of_panels_come_together():
    found = overall([Score(0.1, 0.1, 2.0, 1), Score(-0.3, 0.5, 4.0, 3), Score(0.2, 0.3, np.nan, 7), Score()])
    assert found == {"panels": 3, "offset": 0.1, "apart": 0.3, "worst": -0.3, "chi2": 3.5, "points": 11}
    assert np.isnan(overall([])["offset"])


def test_errors_are_poisson_noise_and_cosmic_variance():
    of = mock()
    shown = panel("stellar_mass_function", of)
    variance = of.between(*Z).cosmic_variance()
    assert 0.02 < variance < 0.2
    known = np.isfinite(shown.y)
    expected = np.sqrt(1.0 / shown.n[known] + variance**2) / np.log(10.0)
    np.testing.assert_allclose(shown.error[known], expected)
    assert not np.isfinite(shown.y[shown.n < of.min_count]).any()


def test_bins_below_the_least_mass_are_not_compared():
    shown = panel("stellar_mass_function", mock(least=9.1))
    leja = [one.label for one in shown.references].index("Leja et al. 2020")
    x, compared = shown.references[leja].x, shown.compared[leja]
    assert shown.limits[0] == 9.1
    assert not np.isfinite(compared[x < 9.1 + 0.125]).any()
    assert np.isfinite(compared[(x > 9.3) & (x < 11.0)]).all()


def test_luminosity_functions_end_where_the_least_mass_cuts_them():
    of = mock(least=9.0)  # whose galaxies end at M_UV = -18, and are within 0.25 dex of it up to -18.5
    of.galaxies["redshift"] = of["redshift"] + 0.3  # into the bin around z = 2
    shown = next(one for one in panels_of("uv_luminosity_function", of, tables()) if one.title.startswith("1.75"))
    assert shown.limits == (-np.inf, -18.5)
    for one, compared in zip(shown.references, shown.compared, strict=True):
        assert not np.isfinite(compared[one.x > -18.5]).any()


def test_medians_are_of_star_forming_galaxies_in_magnitudes():
    found = panel("a_uv", mock())
    np.testing.assert_allclose(found.y[np.isfinite(found.y)], 1.5)
    data = tables()["obscured_share"][0]
    expected = sky.laws.attenuation(data.value(found.references[0].x, 1.75))
    compared = np.isfinite(found.compared[0])
    assert found.score.offset == pytest.approx(np.median(1.5 - expected[compared]))


def test_shares_have_the_errors_of_a_binomial_distribution():
    of = mock()
    of.galaxies["quiescent"] = np.arange(len(of["redshift"])) % 4 == 0
    found = panel("quiescent_share", of)
    well = found.n > 300
    np.testing.assert_allclose(found.y[well], 0.25, atol=0.08)
    np.testing.assert_allclose(found.error[well], np.sqrt(0.25 * 0.75 / found.n[well]), rtol=0.1)


def test_what_a_run_lacks_is_said():
    of = mock()
    (k,) = panels_of("k_luminosity_function", of, tables())
    assert k.why == "photometry.rest_frame lacks twomass_Ks"
    assert missing(["line_halpha_6563", "ew_halpha_6563", "vj"]) == "spectra.lines lacks halpha_6563; columns lacks vj"
    (counted,) = panels_of("stellar_mass_function", replace(of, area=None), tables())
    assert "diagnostics.area" in counted.why
    assert not panel("a_uv", replace(of, area=None)).why  # medians need none
    early = panel("stellar_mass_function", of, "4.5 < z < 5.5")
    assert early.why == "the catalogue is at 1 < z < 3"
    bands = panels_of("number_counts", of, tables())
    assert bands[0].why == "photometry.filters lacks lsst_baseline_i"


def test_realisations_count_once_and_show_their_spread():
    one, other = mock(seed=4), mock(seed=5)
    both = {name: np.concatenate([values, other.galaxies[name]]) for name, values in one.galaxies.items()}
    both["realisation"] = np.repeat([0, 1], [len(one["redshift"]), len(other["redshift"])])
    alone, twice = (panel("stellar_mass_function", of) for of in (one, replace(one, galaxies=both, n_realisations=2)))
    np.testing.assert_allclose(twice.y[:8], alone.y[:8], atol=0.1)
    assert alone.spread is None
    second = panel("stellar_mass_function", other)
    near = slice(0, 8)
    np.testing.assert_allclose(twice.spread[near], np.abs(second.y - alone.y)[near] / np.sqrt(2.0), rtol=1e-6)


def light_cone():
    """Return a light cone with M_UV on their relation: counter-based random numbers alone."""
    of = {"n_galaxies": 30_000, "area": 0.01, "redshift": [0.2, 6.0], "log_mstar": [8.0, 12.5], "centre": [150.1, 2.2]}
    about = {
        "cosmology": {"H0": COSMO.H0, "Om0": COSMO.Om0}, "seed": 20261128, "ssp_table": {"imf_type": 1},
        "galaxies": {"source": "lightcone", "lightcone": {**of, "mass_functions": "williams2018"}},
    }  # fmt: skip
    cone = LightCone.from_config(of, COSMO, about["seed"])
    drawn = cone.draw(0, cone.n_galaxies)
    normal = ndtri(rng.uniforms(about["seed"], rng.Stage.DIAGNOSTICS, drawn["galaxy_id"], 1)[:, 0])
    drawn["muv"] = Relations().muv.mean(drawn["log_mstar"], drawn["redshift"]) + 0.7 * normal
    sample = catalogue.Sample(drawn, n_catalogue=cone.n_galaxies)
    return of_sample(sample, about, of, 20), cone


def test_scores_of_a_fixed_seed_stay():
    of, cone = light_cone()
    assert of.area == cone.area_deg2
    found = summary({name: panels_of(name, of, tables()) for name in OBSERVABLES})
    kept = {
        name: [found[name][key] for key in ("offset", "apart", "worst", "chi2")]
        for name in ("stellar_mass_function", "uv_luminosity_function", "quiescent_share")
    }
    assert kept == {name: pytest.approx(values, abs=0.002) for name, values in KEPT.items()}
    json.dumps(found["bpt"]["bins"])  # what the run lacks: no arrays


def test_the_limits_of_a_table_are_those_of_its_galaxies():
    of = mock(least=9.0)
    galaxies = of.galaxies | {"log_mstar": np.where(np.arange(len(of["redshift"])) % 200, of["log_mstar"], 6.0)}
    about = {"cosmology": {"H0": COSMO.H0, "Om0": COSMO.Om0}, "galaxies": {"source": "table"}, "fsps": {"imf_type": 2}}
    sample = catalogue.Sample(galaxies, n_catalogue=3 * len(of["redshift"]))
    found = of_sample(sample, about, {"redshift": [0.0, 20.0], "log_mstar": [4.0, 13.5]}, 20, area=0.3)
    assert found.log_mstar == pytest.approx(9.0, abs=0.01)  # half a per cent at 10^6 Msun is no limit
    assert found.redshift == pytest.approx(Z, abs=0.01)
    assert (found.area, found.weight, found.imf) == (0.3, 3.0, "kroupa")
    assert panel("stellar_mass_function", found).score.offset == pytest.approx(
        panel("stellar_mass_function", of).score.offset + np.log10(3.0), abs=0.05
    )


def test_figures_and_the_page_show_every_observable(tmp_path):
    of = mock()
    found = {name: panels_of(name, of, tables()) for name in ("stellar_mass_function", "bpt", "a_uv")}
    for name, shown in found.items():
        figure = draw(name, shown)
        titles = "".join(axes.get_title(loc="left") for axes in figure.axes)
        assert all(one.title in titles for one in shown)
        assert all(axes.get_xlabel() for axes in figure.axes)
    page = as_html(found, "a <run>")
    assert "a &lt;run&gt;" in page
    assert "Leja et al. 2020" in page
    assert "spectra.lines lacks" in page
    assert card.columns(["muv", "note", "mag_hsc_i"]) == ["redshift", "log_mstar", "quiescent", "muv", "mag_hsc_i"]


def test_bins_beyond_one_that_is_cut_count_as_cut():
    edges, cut = np.arange(5.0), np.array([False, False, True, False])
    assert panels.complete_between(cut, edges, faint_is_low=False) == (-np.inf, 2.0)
    assert panels.complete_between(cut, edges, faint_is_low=True) == (3.0, np.inf)
    assert panels.complete_between(~(cut | ~cut), edges, True) == (-np.inf, np.inf)


def test_every_observable_that_the_workflow_asks_for_is_measured():
    assert tuple(OBSERVABLES) == SKY


@pytest.mark.slow
def test_a_run_makes_its_card(tiny: Workflow, tmp_path):
    tiny = Workflow(tiny.root, shutil.copytree(tiny.folder, tmp_path / "copy"))
    tiny.succeed("sky", cores=1)
    made = json.loads(tiny.path("sky", "summary.json").read_text())
    assert list(made["sky"]) == sorted(OBSERVABLES)
    assert made["provenance"]["run"] == "tiny"
    assert made["sky"]["k_luminosity_function"]["bins"][0]["why"] == "photometry.rest_frame lacks twomass_Ks"
    for name in OBSERVABLES:
        assert {path.suffix for path in tiny.path("sky").glob(f"{name}.*")} == {".png", ".pdf"}
    assert "tiny" in tiny.path("sky", "sky.html").read_text()
