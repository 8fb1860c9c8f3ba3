"""The workflow as its users run it: Snakemake in a child process, in a folder of its own."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from mocksed import __version__, diagnostics, mapped, resources, storage
from mocksed import config as configuration
from mocksed.columns import COLUMNS
from mocksed.diagnostics import comparison
from mocksed.errors import UserError

pytestmark = pytest.mark.slow

PARENTS = ["0000.h5", "0001.h5"]
DIAGNOSTICS = ("muv", "sfr_mass", "mass_metallicity", "triangle", "uvj", "assignment", "yardstick", "ages")
SPECTRA = ("results/tiny/spectra/0000.parquet", "results/tiny/spectra/0001.parquet")
STAGES = ("galaxies", "proposals", "neighbours", "assign", "quiescent", "catalog", "spectra")


class Workflow:
    """Runs of the repository's Snakefile in a folder, with a configuration made from the tiny one."""

    def __init__(self, root: Path, folder: Path, **changes: object) -> None:
        self.root, self.folder = root, folder
        self.config = yaml.safe_load((root / "config/test/tiny.yaml").read_text())
        self.config["sps"] = {"table": str(root / "resources/ssp_padova_kurucz_chabrier.h5")}
        self.change(**changes)

    def change(self, **changes: object) -> None:
        merge(self.config, changes)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config))

    def cut_tree(self) -> int:
        """Have as few tree shards as there can be but one; return their number."""
        complete = configuration.load(self.config, self.root / "workflow/schemas/config.schema.yaml")
        found = {}
        for max_memory_gb in np.arange(0.5, 3.0, 0.01).round(2).tolist():
            limited = complete | {"neighbours": complete["neighbours"] | {"max_memory_gb": max_memory_gb}}
            with suppress(UserError):  # too little for any tree
                found[max_memory_gb] = resources.tree_shards(limited)
        max_memory_gb, shards = min((item for item in found.items() if item[1] > 1), key=lambda item: item[1])
        self.change(neighbours={"max_memory_gb": max_memory_gb})
        return shards

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        return [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(self.root / "Snakefile")),
            *("--directory", str(self.folder), "--configfile", str(self.folder / "config.yaml")),
            *("--cores", str(cores), *arguments),
        ]

    def run(self, *arguments: str, cores: int = 2, **options: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*arguments, cores=cores), capture_output=True, text=True, timeout=600, check=False, **options
        )

    def succeed(self, *arguments: str, cores: int = 2) -> str:
        done = self.run(*arguments, cores=cores)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout + done.stderr

    def fail(self, *arguments: str) -> str:
        done = self.run(*arguments)
        said = done.stdout + done.stderr
        assert done.returncode != 0, said[-3000:]
        assert "Traceback" not in said, said[-5000:]
        return said

    def path(self, *parts: str) -> Path:
        return self.folder.joinpath("results", str(self.config["run"]), *parts)

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("results/**/*") if path.is_file())

    def whole(self, stage: str) -> pa.Table:
        """Return a stage's shards as one table."""
        return pa.concat_tables(storage.read_table(path) for path in sorted(self.path(stage).glob("[0-9]*.parquet")))


def merge(config: dict, changes: dict) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            merge(config[key], value)
        else:
            config[key] = value


def same(one: pa.Table, other: pa.Table) -> None:
    assert one.column_names == other.column_names
    assert len(one) == len(other)
    for name in one.column_names:
        first, second = (storage.to_arrays(table.select([name]))[name] for table in (one, other))
        assert first.tobytes() == second.tobytes(), name
        assert one[name].null_count == other[name].null_count


@pytest.fixture(scope="module")
def tiny(root, tmp_path_factory):
    """One finished run."""
    workflow = Workflow(root, tmp_path_factory.mktemp("tiny"))
    workflow.succeed()
    return workflow


def test_every_file_is_there(tiny):
    for stage in STAGES:
        assert [path.name for path in sorted(tiny.path(stage).iterdir())] == ["0000.parquet", "0001.parquet"], stage
    for kind in ("star_forming", "quiescent"):
        assert [path.name for path in sorted(tiny.path("parent", kind).iterdir())] == PARENTS
    assert [path.name for path in sorted(tiny.path("tree").iterdir())] == ["0000.json", "0000.npy"]
    for name in DIAGNOSTICS:
        assert tiny.path("plots", f"{name}.png").stat().st_size > 5_000
        assert tiny.path("plots", f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert tuple(diagnostics.DIAGNOSTICS) == DIAGNOSTICS


def test_nothing_else_is_left(tiny):
    assert not [path for path in tiny.files() if path.name.startswith(".")]


def test_every_job_has_a_log_and_a_benchmark(tiny):
    for rule in ("lightcone", "parent", "tree", "propose", *STAGES[2:], "plot"):
        logs = sorted(tiny.folder.glob(f"logs/tiny/{rule}/*.log"))
        assert logs, rule
        assert all("done in" in path.read_text() for path in logs)
        assert {path.stem for path in logs} == {path.stem for path in tiny.folder.glob(f"benchmarks/tiny/{rule}/*.tsv")}


def test_the_catalogue_keeps_its_contract(tiny):
    catalogue = tiny.whole("catalog")
    expected = [
        *("galaxy_id", "redshift", "log_mstar", "quiescent", "prop_log_sfr", "prop_log_zmet", "prop_log_us"),
        *("prop_muv", "prop_beta", "age", "tau", "dust2", "log_zmet", "log_us", "log_sfr", "muv", "muv_intrinsic"),
        *("beta", "uv", "vj", "mass_fraction", "distance", "flags", "mag_jwst_f115w", "mag_jwst_f277w", "ra", "dec"),
        *("absmag_bessell_U", "absmag_bessell_V", "absmag_twomass_J", "line_halpha_6563", "line_oiii_5007"),
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
        absent = ("prop_log_zmet", "prop_log_us", "prop_muv", "prop_beta", "log_us", "distance")
        if name in absent or name.startswith("line_"):
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
        elif path.suffix == mapped.SUFFIX:
            said[path] = mapped.read(path).metadata
        elif path.suffix == ".png":
            with Image.open(path) as image:
                said[path] = json.loads(image.info["Description"])
        elif path.suffix == ".pdf":
            assert b"/Subject ({" in path.read_bytes()
    said[tiny.path("summary.json")] = json.loads(tiny.path("summary.json").read_text())["provenance"]
    said[tiny.path("tree", "0000.json")] = json.loads(tiny.path("tree", "0000.json").read_text())
    table = said[tiny.path("catalog", "0000.parquet")]["ssp_table"]
    assert table["sha256"] == hashlib.sha256(Path(tiny.config["sps"]["table"]).read_bytes()).hexdigest()
    assert len(said) == 2 * (len(STAGES) + 2) + len(DIAGNOSTICS) + 2
    for path, about in said.items():
        assert about["mocksed_version"] == __version__, path
        assert (about["run"], about["seed"], about["cosmology"]["H0"]) == ("tiny", 42, 67.66), path
        if path.parent.name != "galaxies":
            assert (about["engine"], about["sps_model"]["sfh"]) == ("table", "delayed_tau"), path
            assert about["ssp_table"] == table, path
    for stage in STAGES:
        first, second = (said[tiny.path(stage, f"000{i}.parquet")] for i in (0, 1))
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
    from mocksed.cosmology import age_max, cosmology

    columns = storage.to_arrays(tiny.whole("catalog"))
    assert np.all(columns["age"] >= 1e-3)
    assert np.all(columns["age"] <= age_max(cosmology(), columns["redshift"]))


def test_the_summary_holds_the_numbers_of_all_plots(tiny):
    summary = json.loads(tiny.path("summary.json").read_text())
    assert set(DIAGNOSTICS) < set(summary)
    assert summary["counts"]["star_forming"] + summary["counts"]["quiescent"] == 600


def test_one_plot_is_redrawn_alone(tiny):
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
    assert all(f"{name}.png" in report for name in DIAGNOSTICS)


VARIANTS = ("tiny", "tiny-drakos2021a", "tiny-drakos2021b")


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


ENOUGH = {"shards": 1, "lightcone": {"n_galaxies": 1500}}
"""With which one bin of redshift and mass has the 100 galaxies that numbers of bins take."""


def test_the_comparison_draws_the_runs_of_2021_beside_the_run(root, tmp_path):
    workflow = Workflow(root, tmp_path, galaxies=ENOUGH, parent={"shards": 1, "star_forming": {"n": 2000}})
    workflow.succeed("results/tiny/comparison/numbers.csv")
    names = {path.name for path in workflow.path("comparison").iterdir()}
    plots = {f"{plot}.{ending}" for plot in comparison.FIGURES for ending in ("png", "pdf")}
    assert names == plots | {"numbers.csv", "numbers.html"}
    catalogues = {}
    for name in VARIANTS:
        path = tmp_path / "results" / name / "catalog" / "0000.parquet"
        assert storage.metadata(path)["run"] == name
        catalogues[name] = storage.to_arrays(storage.read_table(path))
    one, other, _ = catalogues.values()
    for name in ("galaxy_id", "redshift", "log_mstar", "quiescent"):
        assert np.array_equal(one[name], other[name]), name
    assert not np.array_equal(one["age"], other["age"])
    table = pd.read_csv(workflow.path("comparison", "numbers.csv"))
    assert tuple(dict.fromkeys(table["run"])) == VARIANTS
    assert table.groupby("run", sort=False)["check"].agg(set).map(len).tolist() == [9, 9, 9]
    workflow.succeed("results/tiny/comparison/numbers.csv", "--report", "results/tiny/report.html")
    assert "comparison/offsets.png" in workflow.path("report.html").read_text()


@pytest.mark.parametrize(
    ("shards", "parent_shards", "cores", "threads", "last"),
    [(1, 3, 1, 2, "spectra"), (4, 1, 2, 1, "spectra"), (16, 2, 2, 1, "catalog")],
)
def test_the_same_bytes_however_it_is_sharded(tiny, root, tmp_path, shards, parent_shards, cores, threads, last):
    other = Workflow(root, tmp_path, galaxies={"shards": shards}, parent={"shards": parent_shards})
    rules = ("parent", "neighbours", "assign", "quiescent", "catalog", "spectra")
    targets = [f"results/tiny/{last}/{shard:04d}.parquet" for shard in range(shards)]
    other.succeed(*targets, "--set-threads", *(f"{rule}={threads}" for rule in rules), cores=cores)
    for stage in ("galaxies", "catalog", last):
        same(other.whole(stage), tiny.whole(stage))


def test_the_same_bytes_however_the_tree_is_cut(root, tmp_path):
    """One tree shard and two, of two and of three shards of the parent, in place and from a copy."""
    found, scratch = {}, tmp_path / "scratch"
    for parent_shards, threads, copied in ((2, 1, None), (3, 2, str(scratch))):
        workflow = Workflow(
            root,
            tmp_path / str(parent_shards),
            galaxies={"shards": 1},
            parent={"shards": parent_shards, "star_forming": {"n": 200_000}},
            neighbours={"max_memory_gb": 8, "threads": threads, "scratch": copied},
        )
        if parent_shards == 3:
            assert workflow.cut_tree() == 2
        said = workflow.succeed("results/tiny/assign/0000.parquet")
        assert ("Rule: merge" in said) == (parent_shards == 3)
        names = sorted(path.name for path in workflow.path("tree").iterdir())
        assert len(names) == (4 if parent_shards == 3 else 2)
        for stage in ("neighbours", "assign"):
            paths = sorted(path for path in workflow.path(stage).rglob("*") if path.is_file())
            assert [path.name for path in paths] == ["0000.parquet"]
            found.setdefault(stage, []).append([path.read_bytes() for path in paths])
    for one, other in found.values():
        assert one == other
    assert (len(list(scratch.rglob("*.npy"))), len(list(scratch.rglob("*.h5")))) == (2, 3)


# Realisations


def of_realisation(table: pa.Table, index: int) -> pa.Table:
    """Return the rows of a realisation as they are in a run of realisation 0 alone."""
    return table.filter(pc.equal(table["realisation"], index)).drop_columns("realisation")


@pytest.fixture(scope="module")
def three(root, tmp_path_factory):
    """Three realisations in one pass."""
    workflow = Workflow(root, tmp_path_factory.mktemp("three"), realisations=3)
    workflow.succeed(*SPECTRA, "results/tiny/parent/quiescent/0000.h5", "results/tiny/summary.json",
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
    for part in ("parent/star_forming/0001.h5", "parent/quiescent/0000.h5", "tree/0000.npy", "tree/0000.json"):
        assert three.path(part).read_bytes() == tiny.path(part).read_bytes()


@pytest.mark.parametrize(("realisations", "shards"), [([2], 3), ([2, 1], 1)])
def test_each_realisation_is_the_same_bytes_alone(three, root, tmp_path, realisations, shards):
    other = Workflow(root, tmp_path, realisations=realisations, galaxies={"shards": shards})
    other.succeed(*(f"results/tiny/spectra/{shard:04d}.parquet" for shard in range(shards)))
    for stage in STAGES:
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
        for name in ("prop_log_sfr", "age", "log_sfr", "mag_jwst_f277w"):
            assert np.mean(other[name] == first[name]) < 0.01, name


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


def test_other_realisations_need_no_other_parent_or_tree(tiny):
    said = tiny.succeed("-n", "--config", "realisations=2")
    listed = dict(re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE))
    assert (listed["lightcone"], listed["spectra"]) == ("2", "2")
    assert not {"parent", "tree"} & listed.keys()


def test_realisations_of_a_users_table(root, tmp_path):
    workflow = Workflow(root, tmp_path, realisations=[0, 4], **survey(tmp_path / "survey.parquet"))
    workflow.succeed("results/tiny/catalog/0000.parquet", "results/tiny/catalog/0001.parquet")
    first, other = (of_realisation(workflow.whole("catalog"), index).sort_by("galaxy_id") for index in (0, 4))
    assert first["galaxy_id"].to_pylist() == list(range(1000, 1200))
    for name in ("galaxy_id", "redshift", "log_mstar", "quiescent", "note"):  # the table says who is quiescent
        assert first[name].equals(other[name]), name
    assert np.mean(np.equal(first["age"], other["age"])) < 0.01


def test_a_damaged_parent_or_one_of_another_config_stops_the_run_before_the_search(root, tmp_path):
    workflow = Workflow(root, tmp_path)
    shards = [f"results/tiny/parent/star_forming/{name}" for name in PARENTS]
    workflow.succeed(*shards)
    target, old = "results/tiny/neighbours/0000.parquet", ["--rerun-triggers", "mtime"]
    damaged = tmp_path / shards[1]
    content, stat = damaged.read_bytes(), damaged.stat()
    middle = len(content) // 2
    for harm, word in (
        (content[:-100], "cannot read"),
        (content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :], "is damaged"),
    ):
        damaged.write_bytes(harm)
        os.utime(damaged, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        said = workflow.fail(target, *old)
        assert word in said
        assert shards[1] in said
    damaged.write_bytes(content)
    os.utime(damaged, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    workflow.change(seed=7)
    said = workflow.fail(target, *old)
    assert f"{shards[0]} was made with another configuration: seed is 42, expected 7" in said
    assert not workflow.path("tree").exists() or not list(workflow.path("tree").iterdir())
    assert not workflow.path("neighbours").exists() or not list(workflow.path("neighbours").iterdir())


def test_a_killed_run_resumes(tiny, root, tmp_path):
    """SIGKILL for Snakemake and all its jobs in the middle of the work, three times."""
    workflow = Workflow(root, tmp_path)
    for stage in ("parent/star_forming", "assign", "spectra"):
        process = subprocess.Popen(
            workflow.command(*SPECTRA, "--rerun-incomplete"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(lambda stage=stage: any(workflow.path(stage).glob("*")), process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        workflow.succeed("--unlock")
    workflow.succeed(*SPECTRA, "--rerun-incomplete")
    for stage in ("catalog", "spectra"):
        same(workflow.whole(stage), tiny.whole(stage))
    assert not [path for path in workflow.files() if path.name.startswith(".")]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait until a condition holds while a process is at work."""
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def cloned(root: Path, folder: Path) -> Path:
    """Copy the repository as its users get it; only its environment is that of the tests."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, folder / name, follow_symlinks=False)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    return folder


def test_make_run_resumes_after_a_kill(tiny, root, tmp_path):
    clone = cloned(root, tmp_path / "clone")
    command = ["make", "-o", ".venv/.installed", "run", "CONFIG=config/test/tiny.yaml", "CORES=2"]
    process = subprocess.Popen(
        command, cwd=clone, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_for(lambda: any(clone.glob("results/tiny/neighbours/*.parquet")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=600, check=False)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    assert (clone / "results/tiny/report.html").exists()
    found = pa.concat_tables(storage.read_table(path) for path in sorted(clone.glob("results/tiny/catalog/*.parquet")))
    same(found, tiny.whole("catalog"))


def test_a_killed_job_leaves_nothing_and_is_repeated(tiny, root, tmp_path):
    workflow = Workflow(root, tmp_path)
    process = subprocess.Popen(workflow.command(*SPECTRA), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    killed = None
    while killed is None and process.poll() is None:
        time.sleep(0.005)
        killed = kill_a_job(process.pid, "parent.py")
    assert killed, "no job was found to kill"
    assert process.wait(timeout=300) != 0
    assert not [path for path in workflow.files() if path.suffix == ".parquet" and not readable(path)]
    workflow.succeed(*SPECTRA, "--rerun-incomplete")
    same(workflow.whole("catalog"), tiny.whole("catalog"))


def kill_a_job(parent: int, script: str) -> int | None:
    """Kill a descendant of a process that runs a script; return its process id."""
    import psutil

    for child in psutil.Process(parent).children(recursive=True):
        try:
            if any(argument.endswith(script) for argument in child.cmdline()):
                child.kill()
                return child.pid
        except psutil.NoSuchProcess:
            continue
    return None


def readable(path: Path) -> bool:
    try:
        pq.read_table(path)
    except (OSError, pa.ArrowInvalid):
        return False
    return True


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
    config = configuration.load(root / f"config/{name}.yaml", root / "workflow/schemas/config.schema.yaml")
    planned = {rule: str(need.jobs) for rule, need in resources.plan(config).items()}
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


def survey(path: Path, **changes: object) -> dict:
    """Write a user's table of 200 galaxies; return the config of a run on it."""
    rng = np.random.default_rng(8)
    columns = {
        "id": np.arange(1000, 1200),
        "z": rng.uniform(0.1, 6.0, 200),
        "lmass": rng.uniform(8.0, 11.5, 200),
        "passive": rng.random(200) < 0.2,
        "note": np.array([f"object {i}" for i in range(200)]),
    }
    for name, value in changes.items():
        columns[name] = value(columns[name]) if callable(value) else value
    pq.write_table(pa.table({name: value for name, value in columns.items() if value is not None}), path)
    names = {"galaxy_id": "id", "redshift": "z", "mass": "lmass", "quiescent": "passive"}
    table = {"path": str(path), "columns": names, "quiescent": {"from": "column"}}
    return {"galaxies": {"source": "table", "table": table}}


def test_a_users_table_runs(root, tmp_path):
    workflow = Workflow(root, tmp_path, **survey(tmp_path / "survey.parquet"))
    workflow.succeed("results/tiny/spectra/0000.parquet", "results/tiny/plots/muv.png")
    catalogue = workflow.whole("catalog").sort_by("galaxy_id")
    assert catalogue["galaxy_id"].to_pylist() == list(range(1000, 1200))
    assert catalogue["note"].to_pylist()[3] == "object 3"
    assert json.loads(workflow.path("galaxies", "report.json").read_text())["n_used"] == 200


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


def test_results_that_cannot_be_written_stop_the_run(root, tmp_path):
    (tmp_path / "file").write_text("in the way")
    workflow = Workflow(root, tmp_path, results=str(tmp_path / "file" / "results"))
    said = workflow.fail()
    assert "results" in said
    assert str(tmp_path / "file") in said


@pytest.mark.fsps
def test_the_rule_makes_the_shipped_table(root, tmp_path):
    workflow = Workflow(root, tmp_path)
    workflow.succeed("results/ssp/own.h5")
    from mocksed.sps import table

    shipped = table.read(root / "resources/ssp_padova_kurucz_chabrier.h5")
    own = table.read(tmp_path / "results/ssp/own.h5")
    for name in ("wavelength", "log_age", "log_zmet", "stellar", "mass", "line_sigma", "dust_umin", "dust_emission"):
        assert np.array_equal(getattr(own, name), getattr(shipped, name)), name
    for name in ("neb_continuum", "neb_lines"):  # a least-squares solution may differ in its last bits
        assert np.allclose(getattr(own, name), getattr(shipped, name), rtol=0, atol=2e-5), name
    assert own.line_name == shipped.line_name
    assert own.provenance["sps_home_sha256"] == shipped.provenance["sps_home_sha256"]
    assert "largest difference" in (tmp_path / "logs/ssp/own.log").read_text()


@pytest.mark.fsps
def test_the_fsps_engine_gives_the_same_catalogue_and_spectra(root, tmp_path):
    changes = {"galaxies": {"lightcone": {"n_galaxies": 40}, "shards": 1}, "parent": {"shards": 1}}
    found = {}
    for engine in ("table", "fsps"):
        workflow = Workflow(root, tmp_path / engine, **changes, sps={"engine": engine})
        workflow.succeed("results/tiny/catalog/0000.parquet", "results/tiny/spectra/0000.parquet")
        found[engine] = storage.to_arrays(workflow.whole("catalog")), storage.to_arrays(workflow.whole("spectra"))
    (catalogue, spectra), (reference, reference_spectra) = found["table"], found["fsps"]
    for name in ("log_sfr", "muv", "muv_intrinsic", "mass_fraction", "mag_jwst_f115w", "mag_jwst_f277w"):
        assert catalogue[name] == pytest.approx(reference[name], abs=2e-3), name
    for name in ("beta", "uv", "vj"):
        assert catalogue[name] == pytest.approx(reference[name], abs=1e-2), name
    wavelength = np.array(storage.metadata(tmp_path / "fsps/results/tiny/spectra/0000.parquet")["wavelength"])
    used = (wavelength > 912.0) & (wavelength < 3e5)
    ratio = spectra["spectrum"][:, used] / reference_spectra["spectrum"][:, used]
    assert np.abs(ratio - 1.0).max() < 1e-3
