"""The workflow as its users run it: what a finished run consists of, and what Snakemake does with it."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mocksed import __version__
from mocksed.cosmology import Cosmology, age_max
from mocksed.diagnostics import PLOTS
from mocksed.files import memory_map, storage
from mocksed.files.columns import COLUMNS
from mocksed.run import configuration, cost
from mocksed.search import KINDS
from tests.runs import PARENTS, STAGES, VARIANTS, Workflow

pytestmark = pytest.mark.slow


def test_every_file_is_there(tiny):
    for stage in STAGES:
        assert [path.name for path in sorted(tiny.path(stage).iterdir())] == ["0000.parquet", "0001.parquet"], stage
    for kind in ("star_forming", "quiescent"):
        assert [path.name for path in sorted(tiny.path("parent", kind).iterdir())] == PARENTS
        assert [path.name for path in sorted(tiny.path("tree", kind).iterdir())] == ["0000.json", "0000.npy"]
    for name in PLOTS:
        assert tiny.path("plots", f"{name}.png").stat().st_size > 5_000
        assert tiny.path("plots", f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_nothing_else_is_left(tiny):
    assert not [path for path in tiny.files() if path.name.startswith(".")]


def test_every_job_has_a_log_and_a_benchmark(tiny):
    for rule in ("lightcone", "parent", "tree", "balance", *STAGES[1:], "plot"):
        logs = sorted(tiny.folder.glob(f"logs/tiny/{rule}/*.log"))
        assert logs, rule
        assert all("done in" in path.read_text() for path in logs)
        assert {path.stem for path in logs} == {path.stem for path in tiny.folder.glob(f"benchmarks/tiny/{rule}/*.tsv")}


OF_LINES = ("line", "lineflux", "ew")


def test_the_catalogue_keeps_its_contract(tiny):
    catalogue = tiny.whole("catalog")
    expected = [
        *("galaxy_id", "redshift", "log_mstar", "quiescent", "prop_log_sfr", "prop_log_zmet", "prop_log_us"),
        *("prop_muv", "prop_beta", "age", "tau", "dust2", "log_zmet", "log_us", "log_sfr", "muv", "muv_intrinsic"),
        *(
            "dust_index",
            "beta",
            "uv",
            "vj",
            "mass_fraction",
            "distance",
            "flags",
            "mag_jwst_f115w",
            "mag_jwst_f277w",
            "ra",
            "dec",
        ),
        *("absmag_bessell_U", "absmag_bessell_V", "absmag_twomass_J", "log_sfr_10", "log_sfr_100"),
        *(f"{what}_{line}" for line in ("halpha_6563", "oiii_5007") for what in OF_LINES),
        *(f"{what}_{line}_intrinsic" for line in ("halpha_6563", "oiii_5007") for what in ("line", "ew")),
    ]
    assert set(catalogue.column_names) == set(expected)
    assert len(catalogue) == 600
    for name in expected:
        field = catalogue.schema.field(name)
        assert field.metadata[b"description"]
        if name in COLUMNS:
            assert field.type == COLUMNS[name].type
    columns = storage.to_arrays(catalogue)
    quiescent = columns["quiescent"]
    assert np.array_equal(columns["galaxy_id"], np.arange(600))
    for name in expected:
        if name == "prop_muv":  # it is not drawn: its relation decides between models
            assert np.isnan(columns[name]).all()
        elif name in ("prop_log_us", "prop_beta", "log_us") or name.startswith(OF_LINES):
            assert np.array_equal(np.isnan(columns[name]), quiescent), name
        elif columns[name].dtype.kind == "f":
            assert not np.isnan(columns[name]).any(), name
    about = storage.metadata(tiny.path("catalog", "0000.parquet"))
    assert about["run"] == "tiny"
    assert 11_000 < about["filters"]["jwst_f115w"] < 12_000
    assert about["ssp_table"]["sps_home_sha256"]


def test_every_file_says_where_its_numbers_come_from(tiny):
    """Of the same run and table, whatever the shard; files before the model know nothing of it."""
    said = {}
    for path in tiny.files():
        if path.suffix == ".parquet":
            said[path] = storage.metadata(path)
        elif path.suffix == memory_map.SUFFIX:
            said[path] = memory_map.read(path).metadata
        elif path.suffix == ".png":
            with Image.open(path) as image:
                said[path] = json.loads(image.info["Description"])
        elif path.suffix == ".pdf":
            assert b"/Subject ({" in path.read_bytes()
    said[tiny.path("summary.json")] = json.loads(tiny.path("summary.json").read_text())["provenance"]
    for path in (*(tiny.path("tree", kind, "0000.json") for kind in KINDS), tiny.path("balance.json")):
        said[path] = json.loads(path.read_text())
    table = said[tiny.path("catalog", "0000.parquet")]["ssp_table"]
    assert table["sha256"] == hashlib.sha256(Path(tiny.config["sps"]["table"]).read_bytes()).hexdigest()
    assert len(said) == 2 * (len(STAGES) + 2) + len(PLOTS) + 4
    for path, about in said.items():
        assert about["mocksed_version"] == __version__, path
        assert (about["run"], about["seed"], about["cosmology"]["H0"]) == ("tiny", 42, 67.66), path
        if path.parent.name != "galaxies":
            assert (about["engine"], about["sps_model"]["sfh"]) == ("table", "delayed_tau"), path
            assert about["ssp_table"] == table, path
    for stage in STAGES:
        first, second = (said[tiny.path(stage, f"000{i}.parquet")] for i in (0, 1))
        assert (first.pop("shard"), second.pop("shard")) == ([0, 2], [1, 2]), stage
        assert first == second, stage


def test_spectra_of_any_galaxies_are_those_of_the_run(tiny):
    whole = storage.to_arrays(tiny.whole("spectra"))
    ids = np.random.default_rng(2).choice(whole["galaxy_id"], 50)
    command = [sys.executable, "-m", "mocksed.cli", "spectra", "--run", "tiny", "--output", "some.parquet"]
    subprocess.run([*command, "--ids", *map(str, ids)], cwd=tiny.folder, check=True)
    some = storage.to_arrays(storage.read_table(tiny.folder / "some.parquet"))
    assert np.array_equal(some["galaxy_id"], ids)
    assert some["spectrum"].tobytes() == whole["spectrum"][np.searchsorted(whole["galaxy_id"], ids)].tobytes()


def test_the_spectra_keep_their_contract(tiny):
    path = tiny.path("spectra", "0001.parquet")
    schema = pq.read_schema(path)
    wavelength = json.loads(schema.metadata[b"wavelength"])
    spectrum = schema.field("spectrum")
    assert pa.types.is_fixed_size_list(spectrum.type)
    assert spectrum.type.list_size == len(wavelength)
    assert spectrum.type.value_type == pa.float32()
    assert spectrum.metadata[b"unit"] == b"Lsun/Hz"
    ids = [storage.read_table(tiny.path(stage, "0001.parquet"))["galaxy_id"] for stage in ("spectra", "catalog")]
    assert ids[0] == ids[1]


def test_ages_are_allowed(tiny):
    columns = storage.to_arrays(tiny.whole("catalog"))
    assert np.all(columns["age"] >= 1e-3)
    assert np.all(columns["age"] <= age_max(Cosmology(), columns["redshift"]))


def test_the_summary_holds_the_numbers_of_all_plots(tiny):
    summary = json.loads(tiny.path("summary.json").read_text())
    assert set(PLOTS) < set(summary)
    assert summary["counts"]["star_forming"] + summary["counts"]["quiescent"] == 600


def test_one_plot_is_redrawn_alone(tiny, tmp_path):
    tiny = Workflow(tiny.root, shutil.copytree(tiny.folder, tmp_path / "copy"))
    plot = tiny.path("plots", "uvj.png")
    before = plot.read_bytes()
    others = {path: path.stat().st_mtime_ns for path in tiny.files() if "uvj" not in path.name}
    plot.unlink()
    said = tiny.succeed(str(plot.relative_to(tiny.folder)))
    assert plot.read_bytes() == before
    assert "1 of 1 steps" in said
    assert others == {path: path.stat().st_mtime_ns for path in others}


def test_a_second_run_does_nothing(tiny):
    assert "Nothing to be done" in tiny.succeed()


def test_the_report_is_made(tiny):
    tiny.succeed("--report", "results/tiny/report.html")
    report = tiny.path("report.html").read_text()
    assert all(f"{name}.png" in report for name in PLOTS)


def test_other_realisations_need_no_other_parent_or_tree(tiny):
    said = tiny.succeed("-n", "--config", "realisations=2")
    listed = dict(re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE))
    assert (listed["lightcone"], listed["spectra"]) == ("2", "2")
    assert not {"parent", "tree", "balance"} & listed.keys()


def test_another_window_makes_no_other_catalogue(tiny, tmp_path):
    narrow = Workflow(tiny.root, shutil.copytree(tiny.folder, tmp_path / "copy"), spectra={"wavelength": [3600, 7000]})
    said = narrow.succeed("--until", "spectra", "observed")
    assert re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE) == [("spectra", "2"), ("total", "2")]
    wavelength = np.array(json.loads(pq.read_schema(tiny.path("spectra", "0000.parquet")).metadata[b"wavelength"]))
    kept = (wavelength >= 3600.0) & (wavelength <= 7000.0)
    expected, found = (storage.to_arrays(workflow.whole("spectra"))["spectrum"] for workflow in (tiny, narrow))
    assert found.tobytes() == expected[:, kept].tobytes()


def test_without_spectra_none_are_written(root, tmp_path):
    workflow = Workflow(root, tmp_path, spectra={"write": False})
    assert "results/tiny/spectra" not in workflow.succeed("-n")
    assert "results/tiny/catalog" in workflow.succeed("-n")


@pytest.mark.parametrize("name", ["sim512", "sim2048"])
def test_large_runs_are_planned_at_once(root, name):
    command = [sys.executable, "-m", "snakemake", "-n", "--configfile", f"config/{name}.yaml"]
    start = time.monotonic()
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 20.0
    # the plan of the cost model has the same jobs
    listed = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE))
    config = configuration.load(root / f"config/{name}.yaml")
    planned = {rule: str(need.jobs) for rule, need in cost.plan(config).items()}
    assert planned == {rule: n for rule, n in listed.items() if rule not in ("all", "total")}


def test_the_demo_does_not_leak_into_other_configs(root):
    command = [sys.executable, "-m", "snakemake", "-n", "--configfile", "config/sim512.yaml", "--quiet", "rules"]
    done = subprocess.run([*command, "--printshellcmds"], cwd=root, capture_output=True, text=True, check=False)
    assert "results/demo" not in done.stdout + done.stderr


def test_the_slurm_profile_is_found(root):
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "-n", "--forceall"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "neighbours" in done.stdout


def test_lint_has_no_other_hint_than_the_container(root):
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], cwd=root, capture_output=True, text=True, check=False
    )
    hints = {line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip().startswith("* ")}
    assert hints == {"* Specify a conda environment or container for each rule.:"}


def test_the_comparison_is_asked_for_by_name(tiny):
    before = tiny.files()
    assert "drakos2021" not in tiny.succeed("-n", "--forceall")
    said = tiny.succeed("-n", "comparison")
    for name in VARIANTS[1:]:
        assert f"results/{name}/catalog/0001.parquet" in said
        assert f"results/{name}/spectra" not in said
        assert f"results/{name}/plots" not in said
    assert "results/tiny/comparison/numbers.html" in said
    assert "results/tiny/catalog/0000.parquet" not in re.findall(r"^ +output: (.*)$", said, re.MULTILINE)
    assert tiny.files() == before
