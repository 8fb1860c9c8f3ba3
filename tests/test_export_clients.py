import logging
import warnings

import astropy.units as u
import h5py
import numpy as np
import pandas as pd
import photerr
import pytest
from astropy.cosmology import FlatLambdaCDM
from astropy.table import Table

from mocksed.errors import UserError
from mocksed.export import clients, file_name
from mocksed.export import registry as export
from mocksed.files import storage
from mocksed.sps import filters, lines, table
from tests import catalogues
from tests.programs import module

N = 30
BANDS = (
    *(name.removeprefix("mag_") for name in clients.JAGUAR_BANDS.values()),
    *(name.removeprefix("mag_") for bands in clients.PHOTERR_BANDS.values() for name in bands.values()),
    "roman_wfi_f062",
)
LINES = tuple(dict.fromkeys([*clients.JAGUAR_FLUXES.values(), *sum(clients.JAGUAR_EWS.values(), ())]))


@pytest.fixture
def rows():
    return catalogues.columns(N, filters=BANDS) | catalogues.shapes(N) | catalogues.lines(N, LINES)


@pytest.fixture
def run(rows, tmp_path):
    catalogues.write(tmp_path / "demo", rows)
    return rows


def write(name, tmp_path, **options):
    (path,) = export.write_of_run(name, "demo", tmp_path, **options)
    assert path.name == file_name(name, "demo")
    return path


def flux(mag, zero_point):
    return np.where(np.isnan(mag), 0.0, 10.0 ** (-0.4 * (mag.astype(float) - zero_point)))


def test_names_of_filters_and_lines_are_known(root):
    assert set(BANDS) <= set(filters.available())
    names, _ = table.read_lines(root / "resources/ssp_padova_kurucz_chabrier.h5")
    assert set(LINES) <= {lines.slug(name) for name in names}


def test_jaguar(run, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)
        found = Table.read(write("jaguar", tmp_path))
    assert found.colnames[:6] == ["ID", "RA", "DEC", "redshift", "mStar", "MUV"]
    assert found.colnames[-5:] == ["Re_circ", "Re_maj", "axis_ratio", "sersic_n", "position_angle"]
    assert len(found.colnames) == 14 + len(clients.JAGUAR_BANDS) + 2 + 9 + 17 + 6
    same = {"ID": "galaxy_id", "mStar": "log_mstar", "SFR_10": "log_sfr_10", "tauV_eff": "dust2", "Re_maj": "re_maj"}
    for name, own in same.items():
        np.testing.assert_array_equal(found[name], run[own])
    np.testing.assert_allclose(10.0 ** (found["max_stellar_age"] - 9.0), run["age"], rtol=1e-12)
    np.testing.assert_allclose(found["A1500"], run["muv"] - run["muv_intrinsic"], rtol=1e-12)
    np.testing.assert_allclose(found["NRC_F200W_fnu"], flux(run["mag_jwst_f200w"], 31.4), rtol=1e-12)
    assert found["NRC_F200W_fnu"].unit == u.nJy
    np.testing.assert_allclose(found["HBaA_6563_flux"], run["lineflux_halpha_6563"], rtol=1e-12)
    np.testing.assert_allclose(found["O2_3726_3729_EW"], run["ew_oii_3726"] + run["ew_oii_3729"], rtol=1e-12)
    distance = FlatLambdaCDM(H0=67.66, Om0=0.3111, Tcmb0=0.0).luminosity_distance(run["redshift"])
    np.testing.assert_allclose(found["luminosity_distance"], distance.to_value(u.Mpc), rtol=1e-6)


def test_what_a_run_lacks_is_left_out_and_said(tmp_path, caplog):
    catalogues.write(tmp_path / "demo", catalogues.columns(N))
    with caplog.at_level(logging.INFO, "mocksed"), warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)
        found = Table.read(write("jaguar", tmp_path))
    assert "NRC_F200W_fnu" in found.colnames
    assert not {"NRC_F444W_fnu", "HBaA_6563_EW", "Re_maj"} & set(found.colnames)
    (said,) = caplog.messages
    assert said.startswith("JAGUAR: left out, since the run lacks columns for them: SFR_10, SFR_100, HST_F435W_fnu")
    assert said.endswith("They come from the config's spectra.lines, photometry.filters, morphology.write.")


@pytest.mark.parametrize(
    ("name", "lacking", "said"),
    [
        (
            "romanisim",
            "sersic_n",
            "columns that the run lacks: sersic_n. They come from the config's morphology.write.",
        ),
        ("romanisim", "mag_roman", "They come from the config's photometry.filters."),
        ("romanisim", "ra", "They come from the config's galaxies.table.columns.ra and dec."),
        ("photerr_lsst", "mag_lsst_baseline_u", "photerr (lsst) needs columns that the run lacks: mag_lsst_baseline_u"),
        ("rail", "mag_lsst_baseline_u", "RAIL needs columns that the run lacks: mag_lsst_baseline_u"),
        ("eazy", "flux", "EAZY needs fluxes with errors, which the run lacks. They come from the config's survey."),
        ("lephare", "flux", "LePhare needs fluxes with errors"),
    ],
)
def test_what_is_needed_and_lacking_is_one_message(rows, tmp_path, name, lacking, said):
    catalogues.write(tmp_path / "demo", {own: values for own, values in rows.items() if not own.startswith(lacking)})
    with pytest.raises(UserError) as error:
        export.write_of_run(name, "demo", tmp_path)
    assert said in str(error.value)
    assert not (tmp_path / "demo/export").exists()


def test_dream(run, tmp_path):
    with h5py.File(write("dream", tmp_path)) as file:
        np.testing.assert_array_equal(file["redshift"], run["redshift"])
        for name in ("WFC_ACS_F606W", "WFC3_IR_F125W", "JWST_F200W"):  # as programs read DREaM_photo.h5
            own = f"mag_{name.lower().replace('wfc_acs', 'acs_wfc')}"
            np.testing.assert_array_equal(file[name][()], run[own])


def test_columns_of_a_client_are_its_own(run, tmp_path):
    with pytest.raises(UserError, match="leave out --columns"):
        export.write_of_run("jaguar", "demo", tmp_path, columns=["redshift"])


# ------------------------------------------------------------------------------------------------ image simulation


def test_romanisim_has_the_columns_that_it_reads(run, tmp_path):
    found = Table.read(write("romanisim", tmp_path, where="redshift > 1"))
    chosen = run["redshift"] > 1
    assert found.colnames == ["ra", "dec", "type", "n", "half_light_radius", "pa", "ba", *clients.ROMAN_BANDS]
    assert set(found["type"]) == {"SER"}
    np.testing.assert_allclose(found["F129"], flux(run["mag_roman_wfi_f129"][chosen], 0.0), rtol=1e-12)
    area = run["re_maj"].astype(float) ** 2 * run["axis_ratio"]
    np.testing.assert_allclose(found["half_light_radius"] ** 2, area[chosen], rtol=1e-12)


@pytest.mark.slow
def test_romanisim_renders_what_the_catalogue_has(run, tmp_path):
    catalog = module("romanisim.catalog")
    galsim, image = module("galsim"), module("romanisim.image")
    from astropy.coordinates import SkyCoord

    path = write("romanisim", tmp_path)
    coord = SkyCoord(150.0, 2.1, unit="deg")
    sources = catalog.read_catalog(str(path), coord, bandpasses=["F129"])
    assert len(sources) == N  # where nothing is received is a flux of 0, not a source that is dropped
    pixel, side, maggy = 0.4, 2048, 1e12
    affine = galsim.AffineTransform(-pixel, 0.0, 0.0, pixel, origin=galsim.PositionD(side / 2, side / 2))
    centre = galsim.CelestialCoord(150.0 * galsim.degrees, 2.1 * galsim.degrees)
    cutout = galsim.Image(side, side, wcs=galsim.TanWCS(affine, centre), dtype=np.float64)
    cutout.setZero()
    objects = catalog.table_to_catalog(sources, ["F129"])
    info = image.simulate_counts_generic(
        cutout, 1.0, objlist=objects, psf=galsim.Gaussian(fwhm=1.0), zpflux=maggy, filter_name="F129", seed=1
    )
    expected = maggy * flux(run["mag_roman_wfi_f129"], 0.0)
    np.testing.assert_allclose(info[0]["counts"] if isinstance(info, tuple) else info["counts"], expected, rtol=0.03)


# ----------------------------------------------------------------------------------------------- photometric redshifts


@pytest.fixture
def seen(run, tmp_path):
    """Return what a survey sees of the galaxies, in nJy."""
    rng = np.random.default_rng(1)
    found = {"galaxy_id": run["galaxy_id"]}
    for name in ("jwst_f200w", "Euclid-VIS"):
        found |= {f"flux_{name}": rng.normal(100.0, 300.0, N), f"flux_err_{name}": rng.uniform(1.0, 9.0, N)}
        found[f"flux_{name}"][3] = np.nan
    import pyarrow as pa

    fields = [pa.field(name, pa.from_numpy_dtype(values.dtype), metadata={"unit": "nJy"} if name != "galaxy_id" else {})
              for name, values in found.items()]  # fmt: skip
    arrays = [pa.array(values, from_pandas=True) for values in found.values()]
    about = storage.metadata(tmp_path / "demo/catalog/0000.parquet")
    schema = pa.schema(fields, metadata=storage.to_table({"x": [0]}, about).schema.metadata)
    storage.write_table(tmp_path / "demo/survey/0000.parquet", pa.Table.from_arrays(arrays, schema=schema))
    return found


def test_eazy(run, seen, tmp_path):
    path = write("eazy", tmp_path)
    found = Table.read(path, format="ascii.commented_header")
    assert found.colnames == ["id", "z_spec", "f_jwst_f200w", "e_jwst_f200w", "f_Euclid-VIS", "e_Euclid-VIS"]
    assert found["id"].tolist() == run["galaxy_id"].tolist()
    expected = np.where(np.isnan(seen["flux_jwst_f200w"]), -99.0, seen["flux_jwst_f200w"] / 1000.0)
    np.testing.assert_allclose(found["f_jwst_f200w"], expected, rtol=1e-12)
    assert path.with_suffix(".translate").read_text().splitlines() == [
        *("f_jwst_f200w F1", "e_jwst_f200w E1", "f_Euclid-VIS F2", "e_Euclid-VIS E2"),
    ]
    eazy_filters = module("eazy.filters")
    eazy_param = module("eazy.param")
    bands = eazy_filters.FilterFile(str(path.with_suffix(".FILTER.RES")))
    assert bands[1].name.startswith("jwst_f200w")
    assert bands[1].pivot == pytest.approx(filters.load("jwst_f200w").pivot, rel=1e-3)
    assert bands[2].pivot == pytest.approx(filters.load("Euclid-VIS").pivot, rel=1e-3)
    translate = eazy_param.TranslateFile(str(path.with_suffix(".translate")))
    assert translate.trans["f_Euclid-VIS"] == "F2"


def test_lephare(run, seen, tmp_path):
    path = write("lephare", tmp_path)
    found = np.loadtxt(path)
    assert found.shape == (N, 1 + 2 * 2 + 2)
    assert [int(line.split()[0]) for line in path.read_text().splitlines()[1:]] == run["galaxy_id"].tolist()
    expected = np.where(np.isnan(seen["flux_Euclid-VIS"]), -99.0, seen["flux_Euclid-VIS"] * 1e-32)
    np.testing.assert_allclose(found[:, 3], expected, rtol=1e-12)
    np.testing.assert_array_equal(found[:, -2], 0.0)
    np.testing.assert_array_equal(found[:, -1], run["redshift"])
    assert "CAT_TYPE LONG" in path.with_suffix(".para").read_text()


@pytest.mark.parametrize("survey", clients.PHOTERR_BANDS)
def test_photerr(run, tmp_path, survey):
    found = pd.read_parquet(write(f"photerr_{survey}", tmp_path))
    for band, own in clients.PHOTERR_BANDS[survey].items():
        np.testing.assert_array_equal(found[band], np.where(np.isnan(run[own]), np.inf, run[own]))
    model = {"lsst": photerr.LsstErrorModel, "euclid": photerr.EuclidWideErrorModel}.get(survey)
    model = (model or photerr.RomanUltraDeepErrorModel)()
    observed = model(found, random_state=1)
    for band in set(clients.PHOTERR_BANDS[survey]) & set(model.params.m5):
        bright = found[band] < 22.0
        assert bright.any()
        assert np.abs(observed[band] - found[band])[bright].max() < 0.5
        assert f"{band}_err" in observed


def test_rail(run, tmp_path):
    found = pd.read_parquet(write("rail", tmp_path))
    assert list(found) == ["id", "redshift", *(f"mag_{band}_lsst" for band in "ugrizy")]
    assert found["id"].tolist() == run["galaxy_id"].tolist()
