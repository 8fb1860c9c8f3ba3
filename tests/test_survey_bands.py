import numpy as np
import photerr
import pytest
from numpy.testing import assert_allclose

from mocksed import cli
from mocksed.errors import UserError
from mocksed.run import configuration, cost
from mocksed.sps import filters
from mocksed.survey import bands, noise
from mocksed.survey.bands import Band, presets

FILTERS = ["lsst_baseline_g", "lsst_baseline_r", "Euclid-VIS", "jwst_f115w", "jwst_f090w"]


@pytest.fixture(autouse=True)
def _in_root(root, monkeypatch):
    monkeypatch.chdir(root)


def load(survey, **others):
    return configuration.load({"run": "test", "photometry": {"filters": FILTERS}, "survey": survey, **others})


def problem(survey, **others):
    with pytest.raises(UserError) as error:
        load(survey, **others)
    return str(error.value)


def test_presets_are_of_filters_that_there_are_and_say_where_they_come_from():
    known = filters.available()
    assert len(presets()) == 12
    for preset in presets().values():
        assert all((preset.is_, preset.source, preset.url.startswith("https://")))
        for band in preset.bands:
            assert band.name in known
            assert 18.0 < band.depth < 31.0
            assert 0.03 < band.gamma <= 0.04
            assert band.fwhm is None or 0.05 < band.fwhm < 7.0


def test_the_depth_of_a_visit_is_that_of_photerr():
    model = photerr.LsstErrorModelV2()
    for band in presets()["lsst_y10"].bands:
        name = band.name.removeprefix("lsst_baseline_")
        assert_allclose(band.depth, model._all_m5[name], rtol=1e-12)
        assert_allclose(band.visits, model.params.nVisYr[name] * 10)
        assert_allclose(band.fwhm / np.sqrt(8.0 * np.log(2.0)), model._get_psf_sig([name])[0], rtol=1e-12)
    first = {band.name: band for band in presets()["lsst_y1"].bands}
    assert_allclose(first["lsst_baseline_r"].visits, 18.1)


def test_without_presets_and_depths_there_is_no_survey():
    loaded = load({})
    assert not bands.is_asked_for(loaded)
    assert bands.of_config(loaded) == []
    assert "survey" not in cost.plan(loaded)


def test_a_preset_is_used_for_the_filters_of_the_run():
    loaded = load({"presets": ["lsst_y10", "euclid_wide"]})
    found = bands.of_config(loaded)
    assert [band.name for band in found] == ["lsst_baseline_g", "lsst_baseline_r", "Euclid-VIS"]
    assert found[2] == Band("Euclid-VIS", 26.2, 1.0, 0.04, 0.13)
    assert bands.sources(loaded)["euclid_wide"]["url"] == "https://arxiv.org/abs/2108.01201"
    assert cost.plan(loaded)["survey"].jobs == loaded["galaxies"]["shards"]


def test_check_says_which_filters_it_is_of():
    assert bands.preview(load({})) == []
    said = bands.preview(load({"presets": ["euclid_wide"], "depths": {"jwst_f115w": 28}}))
    assert said == [
        "survey: Euclid-VIS, jwst_f115w; not in photometry.filters, and so left out: Euclid-Y, Euclid-J, Euclid-H"
    ]


def test_depths_of_ones_own_take_the_place_of_presets():
    survey = {"presets": ["lsst_y10"], "depths": {"lsst_baseline_r": 25.0, "jwst_f115w": 28.0}}
    survey |= {"gamma": {"jwst_f115w": 0.035}, "fwhm": {"jwst_f115w": 0.05, "lsst_baseline_g": 0.8}}
    g, r, f115w = bands.of_config(load(survey))
    known = {band.name: band for band in presets()["lsst_y10"].bands}
    assert g == Band(**{**vars(known["lsst_baseline_g"]), "fwhm": 0.8})
    assert (r.visits, r.gamma, r.fwhm) == (181.0, 0.039, known["lsst_baseline_r"].fwhm)
    limit = noise.limit(10.0 ** (-0.4 * r.depth), r, sigma_sys=0.0)
    assert_allclose(-2.5 * np.log10(limit), 25.0, rtol=1e-12)  # of the stack
    assert f115w == Band("jwst_f115w", 28.0, 1.0, 0.035, 0.05)


WRONG = {
    "unknown preset": (
        {"presets": ["lsst_y11"]},
        ["survey.presets: 'lsst_y11' is not known, did you mean lsst_y1", "expected some of lsst_y10, lsst_y1, euclid"],
    ),
    "none of its filters": (
        {"presets": ["roman_medium"]},
        ["none of the filters of roman_medium is in photometry.filters; expected some of roman_wfi_f106, roman_wfi"],
    ),
    "two presets of a filter": (
        {"presets": ["lsst_y1", "lsst_y10"]},
        ["survey.presets: lsst_y1 and lsst_y10 all have a depth of lsst_baseline_g, lsst_baseline_r; name one"],
    ),
    "no such filter": (
        {"depths": {"jwst_f150w": 28.0}},
        ["survey.depths.jwst_f150w: the catalogue has no such filter, did you mean jwst_f115w?", "or add it there"],
    ),
    "a negative depth": (
        {"depths": {"jwst_f115w": -28}},
        ["survey.depths.jwst_f115w: -28 is not allowed; expected the AB magnitude of a point source at 5 sigma, from"],
    ),
    "a flux for a depth": ({"depths": {"jwst_f115w": 0.02}}, ["survey.depths.jwst_f115w: 0.02 is not allowed"]),
    "a depth of text": ({"depths": {"jwst_f115w": "deep"}}, ['survey.depths.jwst_f115w: "deep" is not allowed']),
    "an unknown unit": ({"unit": "Jy"}, ['survey.unit: "Jy" is not allowed; expected one of uJy, nJy, maggies']),
    "gamma of nothing": (
        {"gamma": {"jwst_f115w": 0.04}},
        ["survey.gamma.jwst_f115w: not used; expected a filter of survey.presets or survey.depths"],
    ),
    "impossible gamma": (
        {"depths": {"jwst_f115w": 28}, "gamma": {"jwst_f115w": 0.05}},
        ["survey.gamma.jwst_f115w: 0.05 is not allowed"],
    ),
    "apertures without sizes": (
        {"presets": ["euclid_wide"], "aperture": "auto"},
        ["survey.aperture: auto is not allowed without the sizes of the galaxies; set morphology.write to true"],
    ),
    "no threshold": ({"presets": ["euclid_wide"], "threshold": 0}, ["survey.threshold: 0 is not allowed"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_said_in_one_line(name):
    survey, expected = WRONG[name]
    said = problem(survey)
    assert said.startswith("the configuration has a problem:\n")
    for text in expected:
        assert text in said


def test_apertures_need_the_width_of_each_psf():
    survey = {"presets": ["jades_deep"], "aperture": "gaap"}
    said = problem(survey, morphology={"write": True})
    assert "survey.fwhm: missing for jwst_f090w; survey.aperture gaap needs the width of their PSF" in said
    load(survey | {"fwhm": {"jwst_f090w": 0.04}}, morphology={"write": True})


def test_all_problems_come_at_once():
    said = problem({"presets": ["euclid"], "depths": {"lsst_baseline_y": 24, "jwst_f115w": 99}})
    assert "has 3 problems" in said


def test_the_surveys_are_listed_with_their_depths(capsys):
    cli.main(["surveys"])
    said = capsys.readouterr().out
    assert "euclid_wide: Euclid Wide Survey\n  Scaramella et al. (2022), table 7;" in said
    assert "  Euclid-VIS            26.20\n" in said
    assert "  lsst_baseline_r       27.06\n" in said
