"""The page on surveys: its config and commands, on fewer galaxies."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from astropy.table import Table

from mocksed.files import storage
from mocksed.survey.bands import presets
from tests.runs import PATIENCE_S, Workflow

pytestmark = pytest.mark.slow


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def page(root):
    return root / "docs/surveys.md"


@pytest.fixture(scope="module")
def folder(page, root, tiny, tmp_path_factory):
    """The folder in which a reader has typed the config and the commands."""
    made = tmp_path_factory.mktemp("three")
    (config,) = (yaml.safe_load(text) for text in blocks(page, "yaml"))
    config["galaxies"] = {"shards": 1, "lightcone": {"n_galaxies": 200}}
    config["parent"] = tiny.config["parent"]
    other = Workflow(root, made, run="three")  # whose parents are those of the run that all tests share
    other.take_parents(tiny)
    (made / "config").mkdir()
    (made / "config/three.yaml").write_text(yaml.safe_dump(config))
    for name in ("Snakefile", "workflow", "resources"):
        (made / name).symlink_to(root / name)
    (made / "bin").mkdir()
    for name, module in (("mocksed", "mocksed.cli"), ("snakemake", "snakemake")):
        (made / "bin" / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        (made / "bin" / name).chmod(0o755)
    return made


def run(command, folder):
    environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def test_the_page_does_what_it_says(page, folder):
    first, export, surveys = blocks(page, "sh")
    check, make = first.splitlines()
    assert run(["sh", "-ec", check], folder).stdout.endswith("ok\n")
    run(["sh", "-ec", f"{make} --until survey"], folder)  # plots are those of any run
    (python,) = blocks(page, "python")
    said = run([sys.executable, "-c", python], folder).stdout
    assert re.fullmatch(r"\d+ galaxies, Euclid VIS off by 0\.\d+ mag\n", said)
    run(["sh", "-ec", export], folder)
    table = Table.read(folder / "three.fits")
    seen = storage.to_arrays(storage.read_table(folder / "results/three/survey/0000.parquet"))
    assert len(table) == 200
    assert (table["flux_Euclid_VIS"] == seen["flux_Euclid-VIS"]).all()
    assert str(table["flux_Euclid_VIS"].unit) == "uJy"
    listed = run(["sh", "-ec", surveys], folder).stdout
    assert all(f"{name}: " in listed for name in presets())
    assert len([name for name in seen if name.startswith("limit_")]) == 13


def test_other_depths_make_nothing_but_the_survey_anew(folder):
    path = folder / "config/three.yaml"
    config = yaml.safe_load(path.read_text())
    config["survey"]["depths"] = {"roman_wfi_f158": 27.0}
    path.write_text(yaml.safe_dump(config))
    done = run(["sh", "-ec", "snakemake --cores 1 -n --configfile config/three.yaml --until survey"], folder)
    listed = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE)
    assert dict(listed) == {"survey": "1", "total": "1"}
