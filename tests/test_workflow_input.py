"""Users' tables and configurations, good and bad ones."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from mocksed.files.columns import Flag
from mocksed.galaxies.given import AV_OF_DUST2
from mocksed.quantities import QUANTITIES
from tests.runs import Workflow, survey

pytestmark = pytest.mark.slow


def test_a_users_table_runs(root, tmp_path):
    script = "</script><script>alert(1)</script>"
    config = survey(tmp_path / "survey.parquet", **{f"log_sfr{script}": np.ones(200)})
    workflow = Workflow(root, tmp_path, parent={"shards": 1}, **config)
    targets = ("results/tiny/spectra/0000.parquet", "results/tiny/plots/muv.png")
    workflow.succeed(*targets)
    workflow.succeed(*targets, "--report", "results/tiny/report.html")
    assert "alert(1)" not in workflow.path("report.html").read_text()
    catalogue = workflow.whole("catalog").sort_by("galaxy_id")
    assert catalogue["galaxy_id"].to_pylist() == list(range(1000, 1200))
    assert catalogue["note"].to_pylist()[3] == "object 3"
    assert json.loads(workflow.path("galaxies", "report.json").read_text())["n_used"] == 200


def test_a_table_of_several_files_runs_and_runs_again_when_there_is_another(root, tmp_path):
    config = survey(tmp_path / "whole.parquet")
    whole = pq.read_table(tmp_path / "whole.parquet")
    for i, number in enumerate((2, 10, 9)):
        pq.write_table(whole.slice(50 * i, 50), tmp_path / f"part_{number}.parquet")
    config["galaxies"]["table"]["path"] = str(tmp_path / "part_*.parquet")
    target = "results/tiny/galaxies/0000.parquet"
    workflow = Workflow(root, tmp_path, **config)
    workflow.succeed(target)
    assert sorted(workflow.whole("galaxies")["galaxy_id"].to_pylist()) == list(range(1000, 1150))
    assert "Nothing to be done" in workflow.succeed("--dry-run", target)
    pq.write_table(whole.slice(150), tmp_path / "part_11.parquet")
    assert "input_table" in workflow.succeed("--dry-run", target)


def with_first(value):
    def change(values):
        values = values.astype(float) if not isinstance(value, int) else values.copy()
        values[0] = value
        return values

    return change


BAD_TABLES = {
    "missing column": ({"lmass": None}, ["lmass", "survey.parquet"]),
    "NaN mass": ({"lmass": with_first(np.nan)}, ["lmass", "row", "0"]),
    "mass far too low": ({"lmass": with_first(-3.0)}, ["lmass", "-3"]),
    "negative redshift": ({"z": with_first(-0.5)}, ["z", "-0.5"]),
    "duplicate ids": ({"id": with_first(1001)}, ["id", "1001"]),
    "empty table": ({name: lambda v: v[:0] for name in ("id", "z", "lmass", "passive", "note")}, ["no rows"]),
    "masses linear": ({"lmass": lambda v: 10.0**v}, ["mass_scale", "lmass"]),
}


@pytest.mark.parametrize("what", BAD_TABLES)
def test_a_bad_table_stops_the_run_before_any_work(root, tmp_path, what):
    changes, words = BAD_TABLES[what]
    workflow = Workflow(root, tmp_path, **survey(tmp_path / "survey.parquet", **changes))
    said = workflow.fail()
    for word in words:
        assert word in said, said
    assert not workflow.files()


def test_an_unreadable_table_stops_the_run(root, tmp_path):
    config = survey(tmp_path / "survey.parquet")
    content = (tmp_path / "survey.parquet").read_bytes()
    (tmp_path / "survey.parquet").write_bytes(content[: len(content) // 2])
    workflow = Workflow(root, tmp_path, **config)
    assert "survey.parquet" in workflow.fail()
    assert not workflow.files()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"photometry": {"filters": ["jwst_f115x"]}}, ["photometry.filters", "jwst_f115x", "jwst_f115w"]),
        ({"galaxies": {"source": "table", "table": {"path": "nowhere.fits"}}}, ["galaxies.table.path", "nowhere.fits"]),
        ({"neighbours": {"kk": 3}}, ["neighbours.kk"]),
        ({"realisations": [0, 0]}, ["realisations", "0 given more than once"]),
        ({"spectra": {"wavelength": [5000, 1000]}}, ["spectra.wavelength"]),
    ],
)
def test_a_bad_config_stops_the_run_at_once(root, tmp_path, changes, words):
    workflow = Workflow(root, tmp_path, **changes)
    said = workflow.fail()
    assert all(word in said for word in words), said
    assert not workflow.files()


def test_a_key_that_is_given_twice_stops_the_run(root, tmp_path):
    workflow = Workflow(root, tmp_path, neighbours={"k": 4})
    path = tmp_path / "config.yaml"
    n_lines = path.read_text().count("\n")
    with open(path, "a") as file:
        file.write("neighbours: {draws: 1}\n")
    said = workflow.fail("--dry-run")
    assert f"{path} as YAML: line {n_lines + 1}: the key neighbours is given twice" in said
    assert not workflow.files()


def test_results_that_cannot_be_written_stop_the_run(root, tmp_path):
    (tmp_path / "file").write_text("in the way")
    workflow = Workflow(root, tmp_path, results=str(tmp_path / "file" / "results"))
    said = workflow.fail()
    assert "results" in said
    assert str(tmp_path / "file") in said


def test_galaxies_have_what_their_table_gives(root, tmp_path):
    """In every shard, realisation and class."""
    rng = np.random.default_rng(3)
    log_sfr = np.where(rng.random(200) < 0.3, np.nan, rng.uniform(-1.0, 1.0, 200))
    path = tmp_path / "survey.parquet"
    own = {"z": rng.uniform(1.05, 1.95, 200), "lmass": rng.uniform(9.1, 9.9, 200)}  # few nodes of the balance
    table = survey(path, **own, lsfr=log_sfr, a_v=rng.uniform(0.0, 1.5, 200))["galaxies"]["table"]
    table["columns"] |= {"log_sfr": "lsfr", "av": "a_v"}
    table |= {"redshift": [1.0, 2.0], "log_mstar": [9.0, 10.0]}
    galaxies = {"source": "table", "table": table}
    workflow = Workflow(root, tmp_path, parent={"shards": 1}, galaxies=galaxies, realisations=2)
    target = [f"results/tiny/catalog/{shard:04d}.parquet" for shard in range(2)]
    workflow.succeed(*target, "results/tiny/plots/sfr_mass.png")
    catalogue = workflow.whole("catalog").to_pandas()
    assert len(catalogue) == 400
    row = catalogue["galaxy_id"].to_numpy() - 1000
    is_given = ~np.isnan(log_sfr[row])
    np.testing.assert_array_equal(np.isnan(catalogue["given_log_sfr"]), ~is_given)
    off = np.abs(catalogue["log_sfr"] - log_sfr[row])[is_given]
    flagged = (catalogue["flags"].to_numpy()[is_given] & Flag.SFR_NOT_MET) > 0
    np.testing.assert_array_equal(flagged, off > QUANTITIES["log_sfr"].tolerance)
    assert flagged.mean() < 0.1
    assert np.all(np.abs(catalogue["dust2"] * AV_OF_DUST2 - catalogue["a_v"]) < 0.01)
    first, second = (catalogue[catalogue["realisation"] == index] for index in (0, 1))
    assert np.any(first["age"].to_numpy() != second["age"].to_numpy())
