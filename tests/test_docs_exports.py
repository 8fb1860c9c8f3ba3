"""The pages on TOPCAT and image simulation: their commands, on small catalogues."""

import shutil
import sys

import pandas as pd
import pytest
import yaml
from astropy.table import Table

from mocksed.run import configuration
from tests import catalogues
from tests.pages import blocks, commands, run
from tests.programs import CLIENTS_REQUIRED, module

pytestmark = pytest.mark.slow

ROMAN = tuple(f"roman_wfi_{band}" for band in ("f062", "f106", "f129", "f158"))


@pytest.fixture
def folder(tmp_path):
    """The folder in which a reader types the commands."""
    catalogues.write(tmp_path / "results/demo", catalogues.columns(40), catalogues.columns(25, 40))
    scene = catalogues.columns(60, filters=ROMAN) | catalogues.shapes(60)
    catalogues.write(tmp_path / "results/scene", scene)
    commands(tmp_path, "mocksed")
    return tmp_path


def test_topcat(root, folder):
    export, stilts = blocks(root / "docs/topcat.md", "sh")
    assert run(["sh", "-ec", export], folder).stdout == "results/demo/export/demo.fits\nresults/demo/export/demo.vot\n"
    (settings,) = blocks(root / "docs/topcat.md", "yaml")
    assert configuration.load({"run": "demo"} | yaml.safe_load(settings))["export"]["where"] == "mag_jwst_f200w < 28"
    if CLIENTS_REQUIRED or shutil.which("stilts"):
        command, topcat = stilts.strip().rsplit("\n", 1)
        assert topcat.endswith("demo.vot")
        run(["sh", "-ec", command], folder)
        table = Table.read(folder / "results/demo/export/demo.fits")
        chosen = table[(table["redshift"] > 3) & ~table["quiescent"]]
        assert pd.read_csv(folder / "some.csv")["galaxy_id"].tolist() == chosen["galaxy_id"].tolist()


def test_image_simulation(root, folder):
    (settings,) = blocks(root / "docs/image-simulation.md", "yaml")
    loaded = configuration.load(yaml.safe_load(settings))
    assert loaded["morphology"]["write"]
    assert set(loaded["photometry"]["filters"]) == set(ROMAN)
    _, export = blocks(root / "docs/image-simulation.md", "sh")
    assert run(["sh", "-ec", export], folder).stdout == "results/scene/export/scene_romanisim.ecsv\n"
    module("romanisim")
    (python,) = blocks(root / "docs/image-simulation.md", "python")
    said = run([sys.executable, "-c", python], folder).stdout
    assert 0.97 < float(said.split()[0]) < 1.03
