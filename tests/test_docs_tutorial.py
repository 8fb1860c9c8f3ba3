"""The tutorial: its table, config and commands, with fewer parents; and the figure of the rules."""

import re
import sys

import pytest
import yaml

from mocksed.files import storage
from tests.pages import blocks, checkout, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(root):
    return root / "docs/tutorial.md"


@pytest.fixture(scope="module")
def folder(page, root, tiny, tmp_path_factory):
    """The folder in which a reader has made the table and the config."""
    made = tmp_path_factory.mktemp("mine")
    run([sys.executable, "-c", blocks(page, "python")[0].replace("n = 2000", "n = 200")], made)
    (config,) = (yaml.safe_load(text) for text in blocks(page, "yaml"))
    checkout(root, made, config, "mine", tiny)
    return made


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


def test_the_figure_shows_the_rules(root, folder):
    said = run(
        [sys.executable, "-m", "snakemake", "--rulegraph", "--configfile", root / "config/config.yaml"], folder
    ).stdout
    figure = (root / "resources/rules.svg").read_text()
    assert set(re.findall(r">(\w+)</text>", figure)) == set(re.findall(r'label = "(\w+)"', said)), "run `make docs`"
