import json
from dataclasses import asdict

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from numpy.testing import assert_allclose, assert_array_equal

from mocksed.errors import UserError
from mocksed.files import provenance, storage
from mocksed.sps.model import Model
from mocksed.survey import fluxes, noise
from mocksed.survey.bands import Band

BANDS = [Band("jwst_f115w", 28.0, fwhm=0.06), Band("lsst_baseline_r", 24.5, 100.0, 0.039, 0.9)]
SURVEY = {
    "presets": [], "depths": {"jwst_f115w": 28.0, "lsst_baseline_r": 24.5}, "unit": "uJy", "threshold": 5.0,
    "aperture": "point", "gaap_diameter": [0.7, 2.0], "fwhm": {}, "gamma": {}, "sigma_sys": 0.005, "decorrelate": True,
}  # fmt: skip
ABOUT = {"run": "demo", "seed": 42, "cosmology": {}, "galaxies": {}, "relations": {}, "search": {}}
SPS = {"engine": "table", "table": "not there"}
N = 400


def catalogue():
    rng = np.random.default_rng(4)
    columns = {
        "galaxy_id": rng.permutation(N) + 10,
        "redshift": rng.uniform(0.1, 6.0, N),
        "mag_jwst_f115w": rng.uniform(20.0, 31.0, N).astype(np.float32),
        "mag_lsst_baseline_r": rng.uniform(20.0, 31.0, N).astype(np.float32),
        "re_maj": rng.uniform(0.02, 2.0, N).astype(np.float32),
        "axis_ratio": rng.uniform(0.1, 1.0, N).astype(np.float32),
    }
    columns["mag_jwst_f115w"][::50] = np.nan
    return columns


def observe(columns, **survey):
    return fluxes.observe(columns, BANDS, seed=42, survey=SURVEY | survey)


def write(path, columns, **about):
    said = ABOUT | {"engine": "table", "sps_model": asdict(Model.from_config(SPS))} | provenance.of_shard(1, 3) | about
    storage.write_table(path, columns, said)


def make(tmp_path, columns=None, survey=SURVEY, **about):
    write(tmp_path / "catalog.parquet", columns or catalogue(), **about)
    fluxes.make(
        tmp_path / "catalog.parquet", tmp_path / "survey.parquet", bands=[asdict(band) for band in BANDS],
        survey=survey, sources={"mine": {"source": "a paper"}}, about=ABOUT, sps=SPS, shard=[1, 3],
    )  # fmt: skip
    return tmp_path / "survey.parquet"


def test_fluxes_are_those_of_the_magnitudes_with_noise():
    columns = catalogue()
    seen = observe(columns, decorrelate=False)
    true = (columns["mag_lsst_baseline_r"].astype(float) * u.ABmag).to_value(u.uJy)
    pulls = (seen["flux_lsst_baseline_r"] - true) / seen["flux_err_lsst_baseline_r"]
    assert_allclose(pulls, noise.deviates(42, columns["galaxy_id"], "lsst_baseline_r"), atol=2e-3)
    assert_allclose(
        seen["snr_lsst_baseline_r"], seen["flux_lsst_baseline_r"] / seen["flux_err_lsst_baseline_r"], rtol=1e-6
    )
    assert_array_equal(seen["detected_lsst_baseline_r"], seen["snr_lsst_baseline_r"] >= 5.0)
    assert 0.2 < seen["detected_lsst_baseline_r"].mean() < 0.8
    assert np.any(seen["flux_lsst_baseline_r"] < 0.0)


def test_where_nothing_is_received_there_is_noise_alone():
    columns = catalogue()
    dark = np.isnan(columns["mag_jwst_f115w"])
    seen = observe(columns, decorrelate=False)
    sky = fluxes.flux_of(28.0, "uJy") / 5.0
    assert_allclose(seen["flux_err_jwst_f115w"][dark], sky, rtol=1e-6)
    expected = sky * noise.deviates(42, columns["galaxy_id"][dark], "jwst_f115w")
    assert_allclose(seen["flux_jwst_f115w"][dark], expected, rtol=1e-6)


def test_at_redshift_0_nothing_is_known():
    columns = catalogue()
    columns["redshift"][:3] = 0.0
    columns["mag_jwst_f115w"][:3] = np.nan
    seen = observe(columns)
    for name in ("flux", "flux_err", "snr"):
        assert np.all(np.isnan(seen[f"{name}_jwst_f115w"][:3]))
        assert np.all(np.isfinite(seen[f"{name}_jwst_f115w"][3:]))
    assert not np.any(seen["detected_jwst_f115w"][:3])


@pytest.mark.parametrize(("unit", "of_astropy"), [("nJy", u.nJy), ("maggies", u.mgy)])
def test_units_change_numbers_alone(unit, of_astropy):
    columns = catalogue()
    micro, other = observe(columns), observe(columns, unit=unit)
    factor = (
        (1.0 * u.uJy).to_value(u.nJy)
        if unit == "nJy"
        else 1.0 / (1.0 * u.mgy).to_value(u.uJy, u.zero_point_flux(3630.780547701 * u.Jy))
    )
    for name in ("flux_jwst_f115w", "flux_err_lsst_baseline_r"):
        assert_allclose(other[name], micro[name] * factor, rtol=1e-6)
    assert_allclose(other["snr_jwst_f115w"], micro["snr_jwst_f115w"], rtol=1e-6)
    assert u.Unit(fluxes.FLUX_UNITS[unit].unit) == of_astropy


def test_a_galaxy_is_seen_the_same_in_any_company_and_with_any_other_filters():
    columns = catalogue()
    some = np.array([300, 4, 17])
    alone = fluxes.observe({name: values[some] for name, values in columns.items()}, BANDS[1:], seed=42, survey=SURVEY)
    everything = observe(columns)
    for name, values in alone.items():
        assert_array_equal(values, everything[name][some])


@pytest.mark.parametrize("aperture", ["auto", "gaap"])
def test_large_galaxies_are_noisier(aperture):
    columns = catalogue()
    point, seen = observe(columns, decorrelate=False), observe(columns, aperture=aperture, decorrelate=False)
    faint = columns["mag_lsst_baseline_r"] > 28.0  # whose noise is that of the sky
    ratio = (seen["flux_err_lsst_baseline_r"] / point["flux_err_lsst_baseline_r"])[faint]
    assert np.all(ratio > 1.0)
    assert_allclose(seen["limit_lsst_baseline_r"][faint] / seen["flux_err_lsst_baseline_r"][faint], 5.0, rtol=0.03)
    larger = columns["re_maj"][faint] > np.median(columns["re_maj"])
    assert ratio[larger].mean() > ratio[~larger].mean()


def test_where_the_size_is_not_known_nothing_is():
    columns = catalogue()
    columns["re_maj"][0] = np.nan
    seen = observe(columns, aperture="auto")
    assert np.isnan(seen["flux_jwst_f115w"][0])
    assert np.isfinite(seen["flux_jwst_f115w"][1])


def test_the_file_has_the_rows_of_the_catalogue_and_says_how_it_was_made(tmp_path):
    columns = catalogue()
    path = make(tmp_path, columns)
    table = storage.read_table(path)
    kinds = ("flux", "flux_err", "snr", "detected")
    assert table.column_names == ["galaxy_id", *(f"{kind}_{band.name}" for band in BANDS for kind in kinds)]
    assert_array_equal(table["galaxy_id"], columns["galaxy_id"])
    assert_array_equal(table["flux_jwst_f115w"], observe(columns)["flux_jwst_f115w"])
    about = {field.name: field.metadata for field in table.schema}
    assert about["flux_err_jwst_f115w"] == {
        b"unit": b"uJy",
        b"description": b"standard error of the flux in jwst_f115w",
    }
    said = storage.metadata(path)
    assert said["survey"] == SURVEY
    assert said["sources"] == {"mine": {"source": "a paper"}}
    assert said["run"] == "demo"
    assert said["shard"] == [1, 3]
    assert said["bands"] == [asdict(band) for band in BANDS]
    limit = said["limits"]["jwst_f115w"]
    assert_allclose(limit["mag"], 28.0, atol=5e-4)  # sigma_sys
    assert_allclose((limit["mag"] * u.ABmag).to_value(u.uJy), limit["flux"])
    assert json.loads(pq.read_schema(path).metadata[b"limits"]) == said["limits"]


def test_realisations_have_noise_of_their_own(tmp_path):
    once = catalogue()
    twice = {name: np.tile(values, 2) for name, values in once.items()}
    twice["realisation"] = np.repeat([0, 3], N)
    table = storage.to_arrays(storage.read_table(make(tmp_path, twice)))
    alone = observe(once)
    assert_array_equal(table["flux_jwst_f115w"][:N], alone["flux_jwst_f115w"])
    assert not np.any(table["flux_jwst_f115w"][N:] == alone["flux_jwst_f115w"])
    assert_array_equal(table["realisation"], twice["realisation"])


def test_a_galaxy_that_is_there_twice_stops_it_and_nothing_is_written(tmp_path):
    columns = catalogue()
    columns["galaxy_id"][7] = columns["galaxy_id"][200]
    with pytest.raises(UserError, match=rf"has the galaxy {columns['galaxy_id'][7]} twice"):
        make(tmp_path, columns)
    assert [path.name for path in tmp_path.iterdir()] == ["catalog.parquet"]


@pytest.mark.parametrize(("about", "said"), [
    ({"seed": 43}, "seed is 43, expected 42"), ({"shard": [0, 3]}, "shard is"), ({"engine": "fsps"}, "engine is"),
])  # fmt: skip
def test_the_catalogue_of_another_run_stops_it(tmp_path, about, said):
    with pytest.raises(UserError, match=said):
        make(tmp_path, **about)


def test_a_catalogue_without_the_filter_or_the_sizes_stops_it(tmp_path):
    columns = catalogue()
    del columns["mag_jwst_f115w"]
    with pytest.raises(UserError, match="has no column 'mag_jwst_f115w'"):
        make(tmp_path, columns)
    columns = catalogue()
    del columns["re_maj"]
    with pytest.raises(UserError, match="has no column 're_maj'"):
        make(tmp_path, columns, SURVEY | {"aperture": "auto"})
