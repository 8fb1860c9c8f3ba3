"""The pages on TOPCAT and image simulation: their commands, on small catalogues."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from astropy.table import Table

from mocksed.run import configuration
from tests import catalogues
from tests.programs import CLIENTS_REQUIRED, module

pytestmark = pytest.mark.slow

ROMAN = tuple(f"roman_wfi_{band}" for band in ("f062", "f106", "f129", "f158"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    """The folder in which a reader types the commands."""
    catalogues.write(tmp_path / "results/demo", catalogues.columns(40), catalogues.columns(25, 40))
    scene = catalogues.columns(60, filters=ROMAN) | catalogues.shapes(60)
    catalogues.write(tmp_path / "results/scene", scene)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/mocksed").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mocksed.cli "$@"\n')
    (tmp_path / "bin/mocksed").chmod(0o755)
    return tmp_path


def run(command, folder):
    environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_topcat(root, folder):
    export, stilts = blocks(root / "docs/topcat.md", "sh")
    assert run(["sh", "-ec", export], folder) == "results/demo/export/demo.fits\nresults/demo/export/demo.vot\n"
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
    assert run(["sh", "-ec", export], folder) == "results/scene/export/scene_romanisim.ecsv\n"
    module("romanisim")
    (python,) = blocks(root / "docs/image-simulation.md", "python")
    said = run([sys.executable, "-c", python], folder)
    assert 0.97 < float(said.split()[0]) < 1.03
