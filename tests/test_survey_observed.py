import json
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.cosmology import FlatLambdaCDM
from astropy.io import fits
from astropy.table import QTable
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtr

from mocksed import light
from mocksed.cosmology import Cosmology
from mocksed.errors import UserError
from mocksed.files import provenance, storage
from mocksed.sps import igm
from mocksed.sps.engine import Engine
from mocksed.sps.filters import Filter
from mocksed.sps.model import Model
from mocksed.sps.photometry import mean_fluxes
from mocksed.survey import instruments, observed
from tests import catalogues

COSMO = Cosmology()
ABOUT = {"run": "demo", "seed": 1, "cosmology": {"H0": COSMO.H0, "Om0": COSMO.Om0}}
C = 2.9979e18


@pytest.fixture(scope="module")
def engine(engine):
    """Return an engine for which each galaxy has a slope of the attenuation curve of its own."""
    return Engine(engine.table, Model(dust_type="kriek_conroy"))


@pytest.fixture(scope="module")
def columns(engine):
    rng = np.random.default_rng(4)
    own = catalogues.models(engine, rng, quiescent=np.arange(12) % 4 == 3, age=(0.1, 0.5), redshift=(0.2, 9.0))
    assert own.keys() == set(observed.NEEDED)
    return own


def fluxes(columns, engine, instrument, igm_model="madau1995", **options):
    blocks = observed.fluxes(columns, instrument, engine=engine, cosmo=COSMO, igm_model=igm_model, **options)
    return np.concatenate([block for _, block in blocks])


def own(**keys):
    return instruments.from_config(observed.complete(keys))


def received(columns, engine, row, igm_model="madau1995", lines=True):
    """Return observed wavelengths and f_lambda [erg/s/cm2/A] of a galaxy on a fine grid, a step at Lyman alpha."""
    ((_, l_nu),) = light.spectra(columns, engine, lines=lines)
    z, x = columns["redshift"][row], np.log(engine.wavelength)
    seen = igm.transmission(igm_model, engine.wavelength, columns["redshift"])[row]
    n_blue = len(seen) - 1
    nodes = np.concatenate([x[:n_blue], np.log([igm.LYMAN_ALPHA, igm.LYMAN_ALPHA * (1 + 1e-9)]), x[n_blue:]])
    bare = np.interp(nodes, x, l_nu[row].astype(float))
    absorbed = bare * np.concatenate([seen, np.ones(len(x) + 1 - n_blue)])
    fine = np.sort(np.concatenate([nodes, np.linspace(np.log(300.0), np.log(1e5), 400_001)]))
    rest = np.exp(fine)
    distance = FlatLambdaCDM(H0=COSMO.H0, Om0=COSMO.Om0).luminosity_distance(z).to_value("cm") * 3.08568 / 3.0856776
    f_lambda = np.interp(fine, nodes, absorbed) * 3.839e33 * C / rest**2 / (4 * np.pi * distance**2 * (1 + z))
    return rest * (1 + z), f_lambda


@pytest.mark.slow
@pytest.mark.parametrize("keys", [{"preset": "spherex"}, {"range": [6000, 9000], "step": 20, "fwhm": 50},
                                  {"range": [6000, 9000], "sampling": 300}])  # fmt: skip
def test_bins_hold_what_a_fine_convolution_gives(columns, engine, keys):
    instrument = own(**keys)
    found = fluxes(columns, engine, instrument)
    for row in (0, 3, 5):
        at, f_lambda = received(columns, engine, row)
        expected = []
        for part in instrument.parts:
            sigma = np.maximum(part.sigma(at), 1e-12 * at)
            for low, high in zip(part.edges, part.edges[1:], strict=False):
                near = (at > low - 7.0 * sigma.max()) & (at < high + 7.0 * sigma.max())
                share = ndtr((high - at[near]) / sigma[near]) - ndtr((low - at[near]) / sigma[near])
                expected.append(np.trapezoid(f_lambda[near] * share, at[near]))
        expected = np.array(expected)
        seen = expected > 1e-6 * expected.max()
        # without a line spread function, the sum of the check is off by a point of its grid at either edge
        assert_allclose(found[row][seen], expected[seen], rtol=1e-4 if instrument.fwhm[0] else 2e-2)


@pytest.mark.slow
def test_flux_is_conserved_whatever_the_bins(columns, engine):
    whole = fluxes(columns, engine, own(range=[6000, 9000], step=3000))[:, 0]
    for step in (1, 10, 7.5):
        parts = fluxes(columns, engine, own(range=[6000, 9000], step=step))
        assert_allclose(parts.sum(axis=1), whole, rtol=1e-6, atol=1e-30)  # behind the Lyman limit


def test_units_are_of_the_same_flux(columns, engine):
    instrument = own(range=[9000, 9002], step=2)
    flux = fluxes(columns, engine, instrument)
    f_lambda, f_nu = (observed.densities(flux, instrument, unit) for unit in observed.UNITS)
    assert_allclose(f_lambda, flux / 2.0)
    assert_allclose(f_nu * 1e-29 * C / 9001.0**2, f_lambda, rtol=1e-6)


def test_a_bin_is_the_magnitude_of_a_top_hat(columns, engine):
    instrument = own(range=[12000, 13000], step=1000)
    f_nu = observed.densities(fluxes(columns, engine, instrument), instrument, "f_nu")[:, 0]
    at = np.linspace(12000.0, 13000.0, 2001)
    hat = Filter("hat", at, 1.0 / at)  # flux, not photons
    magnitude = light.magnitudes(columns, [hat], engine=engine, cosmo=COSMO, igm_model="madau1995")["mag_hat"]
    assert_allclose(-2.5 * np.log10(f_nu) + 23.9, magnitude, atol=1e-4)


def lines_alone(columns, engine, instrument, width):
    """Return the fluxes that lines of a width add to the bins."""
    ((_, bare),) = light.spectra(columns, engine, lines=False)
    bins, redshift = observed.bins_of(instrument), columns["redshift"]
    seen = igm.transmission("madau1995", engine.wavelength, redshift)
    mean = mean_fluxes(engine.wavelength, bare, bins.responses, redshift, seen, observed._STEPS)
    scale = (1.0 + redshift) * light.flux_of_lsun(COSMO, redshift)
    return fluxes(columns, engine, instrument, line_width=width) - mean * bins.per_f_nu * scale[:, None]


@pytest.mark.parametrize("width", [0.0, 100.0, 3000.0])
def test_lines_of_a_width_have_their_flux(columns, engine, width):
    found = lines_alone(columns, engine, own(range=[6000, 60000], sampling=300, resolution=500), width)
    every = light.lines(columns, "all", engine=engine, cosmo=COSMO)
    assert_allclose(found[columns["quiescent"]], 0.0, atol=1e-30)
    for row in np.flatnonzero(~columns["quiescent"]):
        flux = np.array([every[name][row] for name in every if name.startswith("lineflux_")])
        flux *= observed.transmission_of_lines("madau1995", engine.line_wavelength, columns["redshift"][row : row + 1])[
            0
        ]
        at = engine.line_wavelength * (1.0 + columns["redshift"][row])
        inside, outside = (at > 6800.0) & (at < 53000.0), (at < 5200.0) | (at > 66000.0)
        total = flux[inside].sum()
        assert total > 0.0
        assert -1e-3 * total < found[row].sum() - total < 1e-3 * total + flux[~inside & ~outside].sum()


def test_a_line_is_as_wide_as_galaxy_and_instrument_make_it(engine, columns):
    one = {name: values[:1].copy() for name, values in columns.items()} | {"redshift": np.array([0.5])}
    instrument, centre = own(range=[6900, 7900], step=1, fwhm=10), 4862.763 * 1.5
    near = np.abs(instrument.wavelength - centre) < 60.0  # Hbeta, far from other lines
    lsf = 10.0 / instruments.FWHM
    for width, expected in ((0.0, lsf), (300.0, np.hypot(lsf, centre * 300.0 / 299792.458))):
        line = lines_alone(one, engine, instrument, width)[0][near]
        mean = np.average(instrument.wavelength[near], weights=line)
        assert mean == pytest.approx(centre, abs=0.1)
        assert np.sqrt(np.average((instrument.wavelength[near] - mean) ** 2, weights=line)) == pytest.approx(
            expected, rel=0.01
        )


def test_half_of_lyman_alpha_is_absorbed_at_its_step():
    at = np.array([1025.72, 1215.67, 6564.6, 972.0])
    left = observed.transmission_of_lines("inoue2014", at, np.array([0.0, 6.0]))
    assert_allclose(left[0], 1.0)
    just_below = igm.transmission("inoue2014", np.array([1000.0, 1300.0]), np.array([6.0]))[0, -1]
    assert left[1, 1] == pytest.approx(0.5 * (1.0 + just_below))
    assert left[1, 2] == 1.0
    assert left[1, 0] == pytest.approx(igm.MODELS["inoue2014"](np.array([1025.72, 1215.67]), np.array([6.0]))[0, 0])
    assert_allclose(observed.transmission_of_lines("none", at, np.array([6.0])), 1.0)


def test_at_redshift_0_there_is_no_distance(columns, engine):
    near = columns | {"redshift": np.zeros(len(columns["redshift"]))}
    assert np.isnan(fluxes(near, engine, own(range=[6000, 9000], step=100))).all()


@pytest.mark.parametrize("keys", [{"preset": "nirspec_prism"}, {"range": [6000, 9000], "sampling": 300}])
def test_wavelengths_that_the_instrument_does_not_see_do_not_matter(columns, engine, monkeypatch, keys):
    instrument = own(**keys)
    found = fluxes(columns, engine, instrument, line_width=100.0)
    whole = np.full((len(columns["redshift"]), 2), [0, len(engine.wavelength)])
    monkeypatch.setattr(observed.photometry, "windows", lambda wavelength, filters, redshift, steps: whole)
    assert_array_equal(found, fluxes(columns, engine, instrument, line_width=100.0))
    assert np.isfinite(found).all()


def test_blocks_do_not_matter(columns, engine, monkeypatch):
    instrument, told = own(range=[6000, 9000], step=100, resolution=80), []
    whole = fluxes(columns, engine, instrument, line_width=50.0)
    monkeypatch.setattr(light, "BLOCK", 5)
    parts = fluxes(columns, engine, instrument, line_width=50.0, progress=SimpleNamespace(update=told.append))
    assert parts.tobytes() == whole.tobytes()
    assert sum(told) == len(whole)


@pytest.fixture(scope="module")
def run(tmp_path_factory, columns, engine, root):
    """Return a folder with the catalogue of a run."""
    folder = tmp_path_factory.mktemp("run")
    sps = {"engine": "table", "table": str(root / "resources/ssp_padova_kurucz_chabrier.h5"), "imf_type": 1}
    sps |= {"dust_type": "kriek_conroy", "igm": "madau1995"}
    about = ABOUT | provenance.of_engine(engine, sps) | {"sps": sps} | provenance.of_shard(0, 1)
    storage.write_table(folder / "results/demo/catalog/0000.parquet", columns, about)
    return folder


SPHEREX = {"preset": "spherex", "unit": "f_nu"}


def test_a_grid_finer_than_the_ssps_is_said(run, columns, caplog):
    ids, path = columns["galaxy_id"][:2], run / "fine.parquet"
    for name, n in (("spherex", 0), ("euclid_red", 1)):
        observed.write_of_run(path, "demo", ids, {"preset": name}, run / "results")
        assert storage.metadata(path)["share_unresolved"] == float(n)
        assert caplog.text.count("euclid_red: 100 % of its bins are finer than the SSPs resolve") == n


def test_files(run, columns, engine):
    ids, path = columns["galaxy_id"][[5, 2]], run / "some.parquet"
    observed.write_of_run(path, "demo", ids, SPHEREX, run / "results")
    schema, said = pq.read_schema(path), storage.metadata(path)
    assert schema.names == ["galaxy_id", "f_nu"]
    assert schema.field("f_nu").metadata[b"unit"] == b"uJy"
    assert said["observed"]["preset"] == "spherex"
    assert said["ssp_table"]["sha256"]
    stored = storage.read_arrays(path, ["galaxy_id", "f_nu"])
    instrument = instruments.by_name("spherex")
    assert_allclose(said["wavelength"], instrument.wavelength)
    expected = observed.densities(fluxes(columns, engine, instrument), instrument, "f_nu")[[5, 2]]
    assert_array_equal(stored["f_nu"], expected.astype(np.float32))
    wavelength, values = observed.of_run("demo", ids, SPHEREX, run / "results")
    assert_array_equal(values, stored["f_nu"])
    assert_array_equal(wavelength, instrument.wavelength)


def test_fits_has_the_layout_that_specutils_reads(run, columns):
    """A binary table for each galaxy with a wavelength and a flux column and their units, "tabular-fits"."""
    ids, path = columns["galaxy_id"][[5, 2]], run / "some.fits"
    observed.write_of_run(path, "demo", ids, {"preset": "spherex"}, run / "results")
    wavelength, values = observed.of_run("demo", ids, {"preset": "spherex"}, run / "results")
    with fits.open(path) as file:
        file.verify("exception")
        assert len(file) == 3
        assert json.loads(file[0].header["PROVENAN"])["run"] == "demo"
        assert [file[i].header["GALAXYID"] for i in (1, 2)] == ids.tolist()
        assert file[1].header["REDSHIFT"] == columns["redshift"][5]
    for i in (1, 2):
        table = QTable.read(path, hdu=i)
        assert table.colnames == ["wavelength", "flux"]
        assert_allclose(table["wavelength"].to_value("Angstrom"), wavelength)
        assert_array_equal(table["flux"].to_value("erg / (s cm2 Angstrom)"), values[i - 1])


def test_a_grid_beyond_the_spectra_is_said_with_the_redshifts(run, columns, engine):
    keys = observed.complete({"range": [700, 900], "step": 10})
    (problem,) = observed.problems(keys, engine.wavelength, (0.0, 12.0))
    assert "spectra.observed: grid 'grid' (700 to 900 A) reaches beyond the spectra" in problem
    assert "at redshift 12; it can be used from redshift 0 to 6; change it" in problem
    assert list(observed.problems(keys, engine.wavelength, (0.0, 5.0))) == []
    assert list(observed.problems(keys, None, (0.0, 12.0))) == []
    with pytest.raises(UserError, match="reaches beyond the spectra"):
        observed.of_run("demo", columns["galaxy_id"], keys, run / "results")
