"""Files of another run in the folder of results, which Snakemake does not know to be that: each stage finds them."""

import shutil

import pytest

from mocksed.files import storage
from tests.runs import LAST, Workflow

pytestmark = pytest.mark.slow


@pytest.fixture
def changed(tiny, tmp_path):
    """Return what takes a finished run, removes files and all that Snakemake remembers, and changes the config."""

    def take(*removed, **changes):
        shutil.copytree(tiny.path(), tmp_path / "results/tiny")
        workflow = Workflow(tiny.root, tmp_path, **changes)
        for name in removed:
            workflow.path(name).unlink()
        return workflow

    return take


def test_of_a_catalogue_of_another_seed_nothing_is_made(changed):
    removed = [*(f"{stage}/0001.parquet" for stage in LAST), "plots/uvj.png", "summary.json"]
    workflow = changed(*removed, seed=2)
    targets = [f"results/tiny/{name}" for name in removed]
    said = workflow.fail("--keep-going", *targets)
    for shard, n in ((0, 2), (1, 3)):
        path = f"results/tiny/catalog/000{shard}.parquet"
        assert said.count(f"error: {path} was made with another configuration: seed is 42, expected 2. Remove") >= n
    assert not any(workflow.path(name.removeprefix("results/tiny/")).exists() for name in targets)


def test_what_was_searched_in_another_way_is_neither_assigned_nor_catalogued(changed):
    workflow = changed("assign/0001.parquet", "catalog/0000.parquet", neighbours={"k": 24})
    said = workflow.fail("--keep-going", "results/tiny/assign/0001.parquet", "results/tiny/catalog/0000.parquet")
    for path in ("neighbours/0001.parquet", "assign/0000.parquet"):
        expected = f"results/tiny/{path} was made with another configuration: search.neighbours.k is 36, expected 24"
        assert expected in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"galaxies": {"lightcone": {"redshift": [0.5, 12.0]}}}, "galaxies.lightcone.redshift is [0.0, 12.0]"),
        ({"galaxies": {"shards": 1}}, "shard is [0, 2], expected [0, 1]"),
        ({"realisations": 2}, "realisations is null, expected [0, 1]"),
    ],
)
def test_other_galaxies_are_not_searched_for(changed, changes, words):
    removed = ["balance.json", "neighbours/0000.parquet"]  # the balance follows from the redshifts, too
    workflow = changed(*removed, **changes)
    said = workflow.fail("results/tiny/neighbours/0000.parquet")
    assert f"results/tiny/galaxies/0000.parquet was made with another configuration: {words}" in said


def test_a_balance_of_other_redshifts_is_not_used(changed):
    workflow = changed("neighbours/0000.parquet", galaxies={"lightcone": {"redshift": [0.5, 12.0]}})
    said = workflow.fail("results/tiny/neighbours/0000.parquet")
    assert "results/tiny/balance.json was made with another configuration: limits.redshift is [0.0, 12.0]" in said


def test_a_survey_of_other_depths_is_not_exported(changed):
    workflow = changed("survey/0001.parquet", survey={"presets": [], "depths": {"jwst_f115w": 26.0}})
    old = ["--rerun-triggers", "mtime"]
    said = workflow.fail("results/tiny/export/tiny.fits", *old)
    path = "results/tiny/survey/0000.parquet"
    assert f"{path} was made with another configuration: survey." in said
    assert not workflow.path("export").exists() or not list(workflow.path("export").iterdir())


def test_what_does_not_concern_a_stage_may_differ(changed):
    """Other filters and lines, and another name of the run."""
    workflow = changed("neighbours/0000.parquet", "assign/0000.parquet")
    workflow.path().rename(workflow.path().parent / "other")
    others = {path: path.stat().st_mtime_ns for path in workflow.files()}
    workflow.change(run="other", photometry={"filters": []}, spectra={"lines": []}, survey={"presets": []})
    workflow.succeed("results/other/assign/0000.parquet")
    assert others == {path: path.stat().st_mtime_ns for path in others}
    assert storage.metadata(workflow.path("assign/0000.parquet"))["run"] == "other"
