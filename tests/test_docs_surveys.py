"""The page on surveys: its config and commands, on fewer galaxies."""

import re
import sys

import pytest
import yaml
from astropy.table import Table

from mocksed.files import storage
from mocksed.survey.bands import presets
from tests.pages import blocks, checkout, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(root):
    return root / "docs/surveys.md"


@pytest.fixture(scope="module")
def folder(page, root, tiny, tmp_path_factory):
    """The folder in which a reader has typed the config and the commands."""
    made = tmp_path_factory.mktemp("three")
    (config,) = (yaml.safe_load(text) for text in blocks(page, "yaml"))
    config["galaxies"] = {"lightcone": {"n_galaxies": 200}}
    checkout(root, made, config, "three", tiny)
    return made


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
