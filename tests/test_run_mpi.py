"""Ranks of MPI as the workflow starts them, in child processes."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path

import numpy as np
import psutil
import pytest

from mocksed.errors import UserError
from mocksed.run import configuration, launch, stages
from mocksed.run.launch import Work
from mocksed.search.kdtree import KDTree, Nearest
from tests import slurm_cluster
from tests.runs import LAST, PATIENCE_S, STAGES, Workflow, targets, wait_for

try:
    launch.check("mpiexec")
    NO_MPI = ""
except UserError as error:
    NO_MPI = str(error)

REQUIRED = os.environ.get("MOCKSED_REQUIRE_SLURM") == "1"  # where there is SLURM, there is MPI
pytestmark = [pytest.mark.mpi, pytest.mark.slow, pytest.mark.skipif(bool(NO_MPI) and not REQUIRED, reason=NO_MPI)]

AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
RULES = ("parent", "neighbours", "spectra", "observed")


@pytest.fixture(autouse=True, scope="module")
def _root_may() -> Iterator[None]:
    """Open MPI refuses to work for root unless it is told twice."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in AS_ROOT.items():
            environment.setenv(name, value)
        yield


SRUN = pytest.param("srun --mem-per-cpu=1500", marks=pytest.mark.slurm)


@pytest.fixture(scope="module", params=["mpiexec", SRUN])
def launcher(request) -> Iterator[str]:
    """What starts ranks on this machine, and in a SLURM of its own, whose nodes have room for two of three ranks."""
    if request.param == "mpiexec":
        yield request.param
    else:
        with slurm_cluster.cluster(cores=2, n_nodes=2):
            yield request.param


@pytest.fixture
def work(root, tmp_path) -> Work:
    """Return a small job: two kinds of parent, shards of different lengths."""
    table = root / "resources/ssp_padova_kurucz_chabrier.h5"
    config = configuration.load({"run": "tiny", "sps": {"table": str(table)}})
    shared = {key: config[key] for key in ("seed", "cosmology", "sps", "relations")}
    recipes = {
        kind: {"kind": kind, "n": n, "sampling": "default", **shared}
        for kind, n in (("quiescent", 201), ("star_forming", 901))
    }
    shards = [
        {"kind": kind, "shard": f"{i:04d}", "output": str(tmp_path / kind / f"{i:04d}.h5")}
        for kind in recipes
        for i in range(3)
    ]
    return Work("parent", {"recipes": recipes, "n_shards": 3, "about": {"run": "tiny"}}, shards)


def elsewhere(work: Work, folder: Path) -> Work:
    """Return the same work with its files in another folder."""
    return replace(
        work, shards=[shard | {"output": str(folder / f"{shard['kind']}-{shard['shard']}.h5")} for shard in work.shards]
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.h5")}


def written(work: Work, path: Path, threads: int = 1) -> Path:
    path.write_text(json.dumps(asdict(work) | {"threads": threads}))
    return path


def launched(work: Work, log: Path, launcher: str, ranks: int, threads: int = 1) -> list[str]:
    """Return the command of a process that starts ranks as the workflow does."""
    code = (
        "import json, sys; from mocksed.run.launch import Work, run; work, *how = json.loads(sys.argv[1]); "
        "log, launcher, ranks, threads = how; "
        "run(Work(**work), log, threads * ranks, {'tasks': ranks, 'mpi': launcher})"
    )
    return [sys.executable, "-c", code, json.dumps([asdict(work), str(log), launcher, ranks, threads])]


def on_ranks(code: str, ranks: int, *arguments: str) -> str:
    """Run Python on ranks; return what they print."""
    command = launch.command("mpiexec", ranks, "work")[:-3]
    done = subprocess.run(
        [*command, "-c", code, *arguments], env=launch.environment(1, ranks), capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("ranks", "threads"), [(1, 2), (2, 1), (3, 1), (2, 2)])
def test_ranks_make_the_same_bytes_as_one_process(work, tmp_path, launcher, ranks, threads):
    stages.make_all(elsewhere(work, tmp_path / "alone"))
    apart = elsewhere(work, tmp_path / "ranks")
    if ranks == 1:  # which the workflow does not start
        spec = written(apart, tmp_path / "work.json", threads)
        command = [sys.executable, "-m", "mocksed.run.mpi", str(spec)]
        if launcher != "mpiexec":
            command = launch.command(launcher, ranks, spec)
        subprocess.run(command, env=launch.environment(threads, ranks), check=True)
    else:
        subprocess.run(launched(apart, tmp_path / "all.log", launcher, ranks, threads), check=True)
        said = (tmp_path / "all.log").read_text()
        assert {int(rank) for rank in re.findall(r"rank (\d): done in", said)} == set(range(ranks))
        assert said.count("is made") == len(work.shards)
    assert len(contents(tmp_path / "ranks")) == len(work.shards)
    assert contents(tmp_path / "ranks") == contents(tmp_path / "alone")


def test_each_shard_is_made_once_the_costly_first_and_by_who_is_free(tmp_path):
    """Of twelve shards one takes as long as all others together."""
    code = """
import sys, time
from pathlib import Path
from mpi4py import MPI
from mocksed.run import mpi, stages
from mocksed.run.launch import Work

class Sleep:
    def __init__(self, params, shards, share): pass
    def rows(self, shard): return shard["cost"]
    def make(self, shard, report):
        with report(10, "s", "sleep") as bar:
            for _ in range(10):
                time.sleep(0.01 * shard["cost"]); bar.update(1)
        with open(Path(sys.argv[1], f"{MPI.COMM_WORLD.rank}"), "a") as file:
            file.write(f"{shard['output']}\\n")

stages.STAGES["sleep"] = Sleep
shards = [{"cost": 11 if i == 7 else 1, "output": i} for i in range(12)]
mpi.run(Work("sleep", {}, shards), MPI.COMM_WORLD)
"""
    on_ranks(code, 2, str(tmp_path))
    made = [[int(line) for line in path.read_text().split()] for path in tmp_path.iterdir()]
    assert sorted(chain(*made)) == list(range(12))
    alone, others = sorted(made, key=len)
    assert alone[0] == 7
    assert len(others) >= 8


def test_a_node_holds_arrays_once_and_kernels_see_no_difference():
    code = """
import numpy as np
from mpi4py import MPI
from mocksed.run.mpi import NodeMemory

def make():
    fixed = np.arange(5.0)
    fixed.flags.writeable = False
    arrays = {"free": np.ones((3, 7), np.float32), "none": np.empty((0, 4)), "turned": np.eye(4)[:, ::2]}
    return {"name": "x", "fixed": fixed, **arrays}

comm = MPI.COMM_WORLD
got = NodeMemory(comm)(lambda: make() if comm.rank == 0 else 1 / 0)
for name, wanted in make().items():
    if name != "name":
        assert np.array_equal(got[name], wanted) and got[name].dtype == wanted.dtype, name
        assert got[name].flags.aligned, name
assert got["free"].flags.writeable and not got["fixed"].flags.writeable
comm.Barrier()
if comm.rank == 1:
    got["free"][2, 3] = 8.0
comm.Barrier()
assert got["name"] == "x" and got["free"][2, 3] == 8.0
"""
    on_ranks(code, 2)


def test_a_tree_is_passed_on_without_its_leaves(tmp_path):
    import pickle

    rng = np.random.default_rng(3)
    whole = KDTree.of(rng.random((5000, 3), np.float32), rng.random(5000))
    np.save(tmp_path / "leaves.npy", whole.leaves)
    mapped = KDTree(np.load(tmp_path / "leaves.npy", mmap_mode="r"), 3)
    targets = rng.random((100, 3), np.float32)

    def nearest(tree: KDTree) -> Nearest:
        found = Nearest.none(len(targets), 4)
        tree.search(targets, np.full(len(targets), 1.0), found)
        return found

    expected = nearest(whole)
    assert len(pickle.dumps(mapped)) < 0.5 * whole.leaves.nbytes < len(pickle.dumps(whole))
    for tree in (mapped, whole):
        for one, other in zip(nearest(pickle.loads(pickle.dumps(tree))), expected, strict=True):
            assert np.array_equal(one, other)


def failing(work: Work, tmp_path: Path) -> Work:
    """Return work of which one shard takes minutes, two a moment, and the last cannot be written."""
    (tmp_path / "file").write_text("in the way")
    work.params["recipes"]["star_forming"]["n"] = 200_000_000
    *quick, last = work.shards[:3]
    return replace(work, shards=[*quick, last | {"output": str(tmp_path / "file" / "0002.h5")}, work.shards[3]])


def test_a_rank_that_fails_ends_the_job_with_its_message_and_leaves_nothing(work, tmp_path, launcher):
    start = time.monotonic()
    command = launched(failing(work, tmp_path), tmp_path / "all.log", launcher, 2)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert time.monotonic() - start < 300.0
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (said,) = (line for line in done.stderr.splitlines() if re.search(r"rank \d: error: ", line))
    assert re.search(rf"rank [01]: error: {tmp_path}/file/0002.h5: cannot write", said)
    assert said in (tmp_path / "all.log").read_text()
    assert [path.name for path in sorted(tmp_path.glob("*/*"))] == ["0000.h5", "0001.h5"]  # nothing hidden


def test_a_rank_that_is_killed_ends_the_job_and_leaves_nothing(work, tmp_path, launcher):
    work.params["recipes"]["star_forming"]["n"] = 200_000_000
    command = launched(replace(work, shards=work.shards[3:5]), tmp_path / "all.log", launcher, 2)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list(tmp_path.glob("star_forming/.*.h5"))) == 2, process)
    rank = [sys.executable, "-m", "mocksed.run.mpi", str(tmp_path / "all.json")]
    next(found for found in psutil.process_iter(["cmdline"]) if found.info["cmdline"] == rank).kill()
    assert process.wait(timeout=PATIENCE_S) == 1
    assert not list((tmp_path / "star_forming").iterdir())


def test_ranks_that_do_not_know_of_each_other_are_told(work, tmp_path):
    """As with an srun that is not made for the MPI library: each process would do all the work."""
    command = [sys.executable, "-m", "mocksed.run.mpi", str(written(work, tmp_path / "work.json"))]
    done = subprocess.run(command, env=os.environ | {launch.EXPECTED: "2"}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "2 ranks were started, but this one knows of 1" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*/*.h5"))


def test_without_ranks_mpi_is_not_loaded_nor_what_few_stages_need():
    unwanted = "unwanted = {'mpi4py', 'scipy.stats', 'astropy', 'pandas'}"
    code = f"import sys; {unwanted}; from mocksed.run import stages; assert not unwanted & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import sys; import mocksed.run.launch; assert not {'numba', 'pyarrow', 'mpi4py'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_launcher_or_library_is_said_before_any_work(root, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"no mpirunner on this machine.*mpi\.launcher"):
        launch.check("mpirunner -q")
    workflow = Workflow(root, tmp_path, mpi={"tasks": 2, "launcher": "mpirunner"})
    assert "there is no mpirunner on this machine" in workflow.fail("-n")
    monkeypatch.setenv("MPI4PY_LIBMPI", "/nowhere/libmpi.so")
    launch.check.cache_clear()
    with pytest.raises(UserError, match="Python cannot load an MPI library"):
        launch.check(None)


def results(workflow: Workflow, *folders: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(workflow.folder)): path.read_bytes()
        for path in workflow.files()
        if not folders or any(f"/{folder}/" in str(path) for folder in folders)
    }


def test_a_dry_run_shows_one_job_of_each_rule(root, tmp_path):
    said = Workflow(root, tmp_path, mpi={"tasks": 2}).succeed("-n")
    listed = dict(re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE))
    assert {rule: listed[rule] for rule in (*RULES, "catalog")} == dict.fromkeys(RULES, "1") | {"catalog": "2"}


@pytest.fixture(scope="module")
def ranked(root, tmp_path_factory):
    """The same run with two ranks."""
    workflow = Workflow(root, tmp_path_factory.mktemp("ranked"), mpi={"tasks": 2})
    workflow.succeed(*targets(LAST), "results/tiny/parent/quiescent/0000.h5")
    return workflow


def test_a_run_with_ranks_is_the_same(tiny, ranked):
    found, expected = results(ranked), results(tiny)
    assert found.items() <= expected.items()
    assert {Path(name).parts[2] for name in found} == {"parent", "tree", "balance.json", *STAGES}
    for rule in RULES:
        assert (ranked.folder / f"logs/tiny/{rule}/all.log").read_text().count("done in") == 2
        assert (ranked.folder / f"benchmarks/tiny/{rule}/all.tsv").read_text().count("\n") == 2


@pytest.mark.parametrize("launcher", [SRUN], indirect=True)
@pytest.mark.parametrize("rule", RULES)
def test_ranks_under_srun_make_the_files_of_a_run(ranked, tmp_path, launcher, rule):
    """What the job of a rule was told, with its files elsewhere."""
    work = json.loads((ranked.folder / f"logs/tiny/{rule}/all.json").read_text())
    made = {tmp_path / f"{i}{Path(shard['output']).suffix}": shard["output"] for i, shard in enumerate(work["shards"])}
    for path, shard in zip(made, work["shards"], strict=True):
        shard["output"] = str(path)
    (tmp_path / "work.json").write_text(json.dumps(work))
    command = launch.command(launcher, 3, tmp_path / "work.json")
    subprocess.run(command, cwd=ranked.folder, env=launch.environment(1, 3), check=True)
    for path, original in made.items():
        assert path.read_bytes() == (ranked.folder / original).read_bytes()


@pytest.mark.parametrize("launcher", [SRUN], indirect=True)
def test_a_job_of_the_profile_starts_ranks_with_srun(tiny, root, tmp_path, launcher):
    workflow = Workflow(root, tmp_path, mpi={"tasks": 2})
    profile = ["--profile", str(root / "profiles/slurm"), "--slurm-init-seconds-before-status-checks", "1"]
    workflow.succeed(*profile, "results/tiny/parent/star_forming/0000.h5")
    found, expected = results(workflow, "parent/star_forming"), results(tiny, "parent/star_forming")
    assert len(found) == 2
    assert found == expected
    said = (tmp_path / "logs/tiny/parent/all.log").read_text()
    assert {int(rank) for rank in re.findall(r"rank (\d): done in", said)} == {0, 1}
    assert said.startswith("srun -n 2 ")
