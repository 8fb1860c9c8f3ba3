"""The tutorial: its table, config and commands, with fewer parents; and the figure of the rules."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mocksed.diagnostics import PLOTS
from mocksed.files import storage
from tests.runs import PATIENCE_S, Workflow

pytestmark = pytest.mark.slow


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def page(root):
    return root / "docs/tutorial.md"


@pytest.fixture(scope="module")
def folder(page, root, tiny, tmp_path_factory):
    """The folder in which a reader has made the table and the config."""
    made = tmp_path_factory.mktemp("mine")
    run([sys.executable, "-c", blocks(page, "python")[0].replace("n = 2000", "n = 200")], made)
    (config,) = (yaml.safe_load(text) for text in blocks(page, "yaml"))
    config["galaxies"]["shards"] = 1
    config["parent"] = tiny.config["parent"]
    Workflow(root, made, run="mine").take_parents(tiny)
    (made / "config").mkdir()
    (made / "config/mine.yaml").write_text(yaml.safe_dump(config))
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
    check, make, spectra = blocks(page, "sh")
    (said,) = blocks(page, "text")
    printed = run(["sh", "-ec", check], folder).stdout
    numbers = re.compile(r"[\d.]+(?= rows|%)|first \d+|: \d+ can")
    assert numbers.sub("N", printed) == numbers.sub("N", said)
    run(["sh", "-ec", f"{make.strip()} --until catalog"], folder)  # plots and spectra are those of any run
    assert "mag_jwst_f200w" in run([sys.executable, "-c", blocks(page, "python")[1]], folder).stdout
    catalogue = storage.to_arrays(storage.read_table(folder / "results/mine/catalog/0000.parquet"))
    assert sorted(catalogue["galaxy_id"]) == list(range(1, 201))
    assert "group" in catalogue
    run(["sh", "-ec", spectra], folder)
    assert storage.count_rows(folder / "three.parquet") == 3


def test_the_plots_of_the_page_are_those_there_are(page, root):
    assert set(re.findall(r"^\| `(\w+)` \|", page.read_text(), re.MULTILINE)) == set(PLOTS)


def test_the_figure_shows_the_rules(root, folder):
    said = run(
        [sys.executable, "-m", "snakemake", "--rulegraph", "--configfile", root / "config/config.yaml"], folder
    ).stdout
    figure = (root / "resources/rules.svg").read_text()
    assert set(re.findall(r">(\w+)</text>", figure)) == set(re.findall(r'label = "(\w+)"', said)), "run `make docs`"
