"""Rules that call FSPS."""

import numpy as np
import pytest

from mocksed.files import storage
from mocksed.sps import table
from tests.runs import Workflow

pytestmark = [pytest.mark.slow, pytest.mark.fsps]


def test_the_rule_makes_the_shipped_table(root, tmp_path):
    workflow = Workflow(root, tmp_path)
    workflow.succeed("results/ssp/own.h5")
    shipped = table.read(root / "resources/ssp_padova_kurucz_chabrier.h5")
    own = table.read(tmp_path / "results/ssp/own.h5")
    for name in ("wavelength", "log_age", "log_zmet", "stellar", "mass", "line_sigma", "dust_umin", "dust_emission"):
        assert np.array_equal(getattr(own, name), getattr(shipped, name)), name
    for name in ("neb_continuum", "neb_lines"):  # a least-squares solution may differ in its last bits
        assert np.allclose(getattr(own, name), getattr(shipped, name), rtol=0, atol=2e-5), name
    assert own.line_name == shipped.line_name
    assert own.provenance["sps_home_sha256"] == shipped.provenance["sps_home_sha256"]
    assert "largest difference" in (tmp_path / "logs/ssp/own.log").read_text()


def test_the_fsps_engine_gives_the_same_catalogue_and_spectra(root, tmp_path):
    changes = {"galaxies": {"lightcone": {"n_galaxies": 40}, "shards": 1}, "parent": {"shards": 1}}
    found = {}
    for engine in ("table", "fsps"):
        workflow = Workflow(root, tmp_path / engine, **changes, sps={"engine": engine})
        workflow.succeed("results/tiny/catalog/0000.parquet", "results/tiny/spectra/0000.parquet")
        found[engine] = storage.to_arrays(workflow.whole("catalog")), storage.to_arrays(workflow.whole("spectra"))
    (catalogue, spectra), (reference, reference_spectra) = found["table"], found["fsps"]
    for name in ("log_sfr", "muv", "muv_intrinsic", "mass_fraction", "mag_jwst_f115w", "mag_jwst_f277w"):
        assert catalogue[name] == pytest.approx(reference[name], abs=2e-3), name
    for name in ("beta", "uv", "vj"):
        assert catalogue[name] == pytest.approx(reference[name], abs=1e-2), name
    wavelength = np.array(storage.metadata(tmp_path / "fsps/results/tiny/spectra/0000.parquet")["wavelength"])
    used = (wavelength > 912.0) & (wavelength < 3e5)
    ratio = spectra["spectrum"][:, used] / reference_spectra["spectrum"][:, used]
    assert np.abs(ratio - 1.0).max() < 1e-3
