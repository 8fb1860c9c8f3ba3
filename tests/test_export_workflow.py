"""Exports as targets of the workflow."""

import shutil

import pytest
from astropy.table import Table

from mocksed.files import storage

pytestmark = pytest.mark.slow


@pytest.fixture
def exported(tiny):
    """Return a run whose exports are removed at the end."""
    yield tiny
    for folder in ("results/tiny/export", "logs/tiny/export", "benchmarks/tiny/export"):
        shutil.rmtree(tiny.folder / folder, ignore_errors=True)


def test_a_file_for_a_program_is_a_target(exported):
    target = "results/tiny/export/tiny_jaguar.fits"
    where = "export={where: redshift > 1}"
    assert "2 of 2 steps" not in exported.succeed(target, "--config", where)  # the catalogue is there
    catalogue = storage.to_arrays(exported.whole("catalog"))
    found = Table.read(exported.folder / target)
    assert found["ID"].tolist() == catalogue["galaxy_id"][catalogue["redshift"] > 1].tolist()
    assert "log: " not in (exported.folder / "logs/tiny/export/tiny_jaguar.fits.log").read_text()
    assert "JAGUAR: left out" in (exported.folder / "logs/tiny/export/tiny_jaguar.fits.log").read_text()
    assert (exported.folder / "benchmarks/tiny/export/tiny_jaguar.fits.tsv").exists()


def test_what_cannot_be_is_said_and_nothing_is_written(exported):
    said = exported.fail("results/tiny/export/tiny_romanisim.ecsv")
    assert "romanisim needs columns that the run lacks" in said
    assert "morphology" in said
    assert not list(exported.folder.glob("results/tiny/export/*"))
