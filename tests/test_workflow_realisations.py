"""Runs of several realisations."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mocksed.files import storage
from tests.runs import BEFORE, LAST, STAGES, Workflow, same, survey, targets

pytestmark = pytest.mark.slow


def of_realisation(table: pa.Table, index: int) -> pa.Table:
    """Return the rows of a realisation as they are in a run of realisation 0 alone."""
    return table.filter(pc.equal(table["realisation"], index)).drop_columns("realisation")


@pytest.fixture(scope="module")
def three(root, tmp_path_factory):
    """Three realisations in one pass."""
    workflow = Workflow(root, tmp_path_factory.mktemp("three"), realisations=3)
    workflow.succeed(*targets(LAST), "results/tiny/parent/quiescent/0000.h5", "results/tiny/summary.json",
                     "results/tiny/plots/muv.png")  # fmt: skip
    return workflow


def test_the_first_realisation_is_the_catalogue_without_realisations(three, tiny):
    for stage in STAGES:
        rows = three.whole(stage)
        assert rows.column_names[1] == "realisation"
        assert rows.schema.field("realisation").type == pa.int16()
        same(of_realisation(rows, 0), tiny.whole(stage))
        about = storage.metadata(three.path(stage, "0001.parquet"))
        assert about.pop("realisations") == [0, 1, 2]
        assert about == storage.metadata(tiny.path(stage, "0001.parquet"))
    for part in (
        "parent/star_forming/0001.h5",
        "parent/quiescent/0000.h5",
        "tree/star_forming/0000.npy",
        "balance.json",
    ):
        assert three.path(part).read_bytes() == tiny.path(part).read_bytes()


@pytest.mark.parametrize(("realisations", "shards"), [([2], 3), ([2, 1], 1)])
def test_each_realisation_is_the_same_bytes_alone(tiny, three, root, tmp_path, realisations, shards):
    other = Workflow(root, tmp_path, realisations=realisations, galaxies={"shards": shards})
    other.take_parents(tiny)
    last = LAST if shards == 1 else ("spectra",)
    other.succeed(*targets(last, range(shards)))
    for stage in (*BEFORE, *last):
        rows = other.whole(stage)
        assert set(rows["realisation"].to_pylist()) == set(realisations)
        for index in realisations:
            same(of_realisation(rows, index), of_realisation(three.whole(stage), index))


def test_realisations_share_galaxies_and_draw_the_rest_anew(three):
    rows = three.whole("catalog")
    first, *others = (storage.to_arrays(of_realisation(rows, index)) for index in range(3))
    for other in others:
        for name in ("galaxy_id", "redshift", "log_mstar", "ra", "dec"):
            assert np.array_equal(other[name], first[name])
        assert 0 < np.sum(other["quiescent"] != first["quiescent"]) < 60
        assert np.mean(other["prop_log_sfr"] == first["prop_log_sfr"]) < 0.01
        for name in ("age", "log_sfr", "mag_jwst_f277w"):  # of the few models of this parent some are taken twice
            assert np.mean(other[name] == first[name]) < 0.1, name


def test_the_numbers_of_realisations_have_their_spread(three, tiny):
    summary, plain = (json.loads(run.path("summary.json").read_text()) for run in (three, tiny))
    assert (summary["counts"]["realisations"], summary["counts"]["sample"]) == (3, 1800)
    assert summary["provenance"]["realisations"] == [0, 1, 2]
    panel = next(panel for panel in summary["muv"]["muv"] if panel["low"] == 1.0)
    assert panel["realisations"] == 3
    assert 0.0 < panel["median_spread"][0] < 0.5
    assert "spread" not in json.dumps(plain)
    assert "realisations" not in json.dumps(plain)


def test_spectra_of_a_realisation_are_those_of_the_run(three):
    command = [sys.executable, "-m", "mocksed.cli", "spectra", "--run", "tiny", "--output", "some.parquet"]
    ids, whole = [417, 3, 590], three.whole("spectra")
    for options, index in (([], 0), (["--realisation", "2"], 2)):
        subprocess.run([*command, "--ids", *map(str, ids), *options], cwd=three.folder, check=True)
        some = storage.read_table(three.folder / "some.parquet")
        same(some, whole.filter(pc.equal(whole["realisation"], index)).take(ids))


def test_realisations_of_a_users_table(tiny, root, tmp_path):
    workflow = Workflow(root, tmp_path, realisations=[0, 4], **survey(tmp_path / "survey.parquet"))
    workflow.take_parents(tiny)
    workflow.succeed("results/tiny/catalog/0000.parquet", "results/tiny/catalog/0001.parquet")
    first, other = (of_realisation(workflow.whole("catalog"), index).sort_by("galaxy_id") for index in (0, 4))
    assert first["galaxy_id"].to_pylist() == list(range(1000, 1200))
    for name in ("galaxy_id", "redshift", "log_mstar", "quiescent", "note"):  # the table says who is quiescent
        assert first[name].equals(other[name]), name
    assert np.mean(np.equal(first["prop_log_sfr"], other["prop_log_sfr"])) < 0.01
    assert np.mean(np.equal(first["age"], other["age"])) < 0.15  # some models of a small parent are taken twice
