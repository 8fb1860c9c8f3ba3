"""The error model, held against photerr's and against what noise is."""

import numpy as np
import pandas as pd
import photerr
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from mocksed.survey import noise
from mocksed.survey.bands import Band, presets
from mocksed.survey.fluxes import flux_of

SIGMA_SYS = 0.005
MAGNITUDES = np.linspace(15.0, 32.0, 200)
LSST = {f"lsst_baseline_{band}": band for band in "ugrizy"}
EUCLID = {f"Euclid-{band}": band for band in ("VIS", "Y", "J", "H")}
ROMAN = dict(zip(("087", "106", "129", "158", "184", "213", "146"), "ZYJHFKW", strict=True))
ROMAN = {f"roman_wfi_f{number}": band for number, band in ROMAN.items()}
OF_PHOTERR = {
    "lsst_y10": (photerr.LsstErrorModelV2, LSST, {}),
    "lsst_y1": (photerr.LsstErrorModelV2, LSST, {"nYrObs": 1}),
    "euclid_wide": (photerr.EuclidWideErrorModel, EUCLID, {}),
    "euclid_deep": (photerr.EuclidDeepErrorModel, EUCLID, {}),
    "roman_wide": (photerr.RomanWideErrorModel, ROMAN, {}),
    "roman_medium": (photerr.RomanMediumErrorModel, ROMAN, {}),
    "roman_deep": (photerr.RomanDeepErrorModel, ROMAN, {}),
    "roman_ultradeep": (photerr.RomanUltraDeepErrorModel, ROMAN, {}),
}
APERTURES = {"point": {}, "auto": {"extendedType": "auto"}, "gaap": {"extendedType": "gaap"}}


def area(aperture, band, major, minor):
    match aperture:
        case "auto":
            return noise.area_of_auto(major, minor, band.fwhm)
        case "gaap":
            return noise.area_of_gaap(major, minor, band.fwhm, (0.7, 2.0))
    return 1.0


@pytest.mark.parametrize("aperture", APERTURES)
@pytest.mark.parametrize("name", OF_PHOTERR)
def test_errors_of_a_preset_are_those_of_photerr(name, aperture):
    model_of, names, options = OF_PHOTERR[name]
    bands = presets()[name].bands
    rng = np.random.default_rng(1)
    major = rng.uniform(0.02, 3.0, len(MAGNITUDES))
    minor = major * rng.uniform(0.1, 1.0, len(MAGNITUDES))
    table = pd.DataFrame({names[band.name]: MAGNITUDES for band in bands} | {"major": major, "minor": minor})
    model = model_of(**options, **APERTURES[aperture], outputType="maggy", decorrelate=False)
    assert set(model._bands) == {names[band.name] for band in bands}
    theirs = model(table, 0)
    their_fluxes = flux_of(MAGNITUDES, "maggies")
    for band in bands:
        at_depth = flux_of(band.depth, "maggies")
        mine = noise.flux_error(
            their_fluxes, at_depth, band, area=area(aperture, band, major, minor), sigma_sys=SIGMA_SYS
        )
        # theirs are in proportion to the flux that they measured
        of_theirs = theirs[f"{names[band.name]}_err"] / np.abs(theirs[names[band.name]]) * their_fluxes
        assert_allclose(mine, of_theirs, rtol=1e-6)


def test_errors_from_measured_fluxes_are_those_of_photerr():
    (band,) = (band for band in presets()["lsst_y10"].bands if band.name == "lsst_baseline_i")
    table = pd.DataFrame({"i": MAGNITUDES})
    theirs = photerr.LsstErrorModelV2(outputType="maggy")(table, 5)
    deviate = np.random.default_rng(5).normal(size=(len(table), 1))[:, 0]  # what photerr draws
    seen = noise.measure(
        flux_of(MAGNITUDES, "maggies"), deviate, flux_of(band.depth, "maggies"), band, sigma_sys=SIGMA_SYS
    )
    assert np.any(seen.flux < 0.0)
    assert_allclose(seen.flux, theirs["i"], rtol=1e-6)
    assert_allclose(seen.error, theirs["i_err"], rtol=1e-6)


@pytest.mark.parametrize("name", OF_PHOTERR)
def test_limits_of_the_stack_are_those_of_photerr(name):
    model_of, names, options = OF_PHOTERR[name]
    theirs = model_of(**options).getLimitingMags()
    for band in presets()[name].bands:
        mine = -2.5 * np.log10(noise.limit(flux_of(band.depth, "maggies"), band, sigma_sys=SIGMA_SYS))
        assert_allclose(mine, theirs[names[band.name]], rtol=1e-7)


@pytest.mark.parametrize("area", [1.0, 30.0])
@pytest.mark.parametrize("visits", [1.0, 100.0])
@pytest.mark.parametrize("gamma", [0.038, 0.04])
def test_at_the_limit_the_signal_is_five_times_the_noise(gamma, visits, area):
    band = Band("x", 25.0, visits, gamma)
    limit = noise.limit(2.0, band, area=area, sigma_sys=SIGMA_SYS)
    assert_allclose(limit / noise.flux_error(limit, 2.0, band, area=area, sigma_sys=SIGMA_SYS), 5.0, rtol=1e-12)


def test_noise_without_a_flux_is_that_of_the_sky():
    band = Band("x", 25.0, gamma=0.04)
    assert_allclose(noise.flux_error(0.0, 3.0, band, sigma_sys=SIGMA_SYS), 3.0 / 5.0)


def test_pulls_of_a_million_galaxies_are_normal():
    n = 1_000_000
    ids = np.arange(n) * 7919 + 12
    flux = flux_of(np.random.default_rng(0).uniform(20.0, 30.0, n), "uJy")
    band = presets()["lsst_y10"].bands[3]
    at_depth = flux_of(band.depth, "uJy")
    deviate = noise.deviates(42, ids, band.name)
    seen = noise.measure(flux, deviate, at_depth, band, sigma_sys=SIGMA_SYS, decorrelate=False)
    pulls = (seen.flux - flux) / seen.error
    assert stats.kstest(pulls, "norm").pvalue > 0.01
    assert abs(pulls.mean()) < 4e-3
    assert abs(pulls.std() - 1.0) < 3e-3
    estimated = noise.measure(flux, deviate, at_depth, band, sigma_sys=SIGMA_SYS)
    assert_array_equal(estimated.flux, seen.flux)
    assert stats.kstest((estimated.flux - flux) / estimated.error, "norm").pvalue > 0.01


def test_the_noise_of_a_filter_depends_on_nothing_but_its_name_and_the_galaxy():
    ids = np.array([5, 900, 2**62, 7])
    made = noise.deviates(3, ids, "jwst_f200w")
    assert_array_equal(noise.deviates(3, ids[[2, 0]], "jwst_f200w"), made[[2, 0]])
    assert_allclose(noise.deviates(3, np.array([5]), "jwst_f200w"), [made[0]])
    for other in (
        noise.deviates(4, ids, "jwst_f200w"),
        noise.deviates(3, ids, "jwst_f277w"),
        noise.deviates(3, ids, "jwst_f200w", np.full(4, 1)),
    ):
        assert not np.any(other == made)


def test_noise_of_filters_and_of_realisations_is_independent():
    ids = np.arange(100_000)
    streams = [noise.deviates(1, ids, "a"), noise.deviates(1, ids, "b"), noise.deviates(1, ids, "a", 1)]
    correlation = np.corrcoef(streams) - np.eye(3)
    assert np.abs(correlation).max() < 0.013  # 4 sigma
