"""Jobs of a run in the queue; and the workflow on a SLURM that runs, one node on this machine (see slurm_cluster)."""

import asyncio
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml

from mocksed.errors import UserError
from mocksed.files import storage
from mocksed.run import slurm
from tests import slurm_cluster
from tests.runs import PATIENCE_S, Run, cloned, merge, same

CONFIG = "config/test/tiny.yaml"
SNAKEMAKE = (sys.executable, "-m", "snakemake")
TOO_LITTLE = ["parent:mem_mb=400*attempt", "assign:runtime=attempt"]
"""Requests that grow: of memory which Snakemake and the SSP table exceed, of a minute that a job is made to exceed."""


def test_names_of_jobs_tell_runs_and_folders_apart(tmp_path):
    one = slurm.prefix(tmp_path / "results/demo")
    assert re.fullmatch(r"mocksed-demo-[0-9a-f]{8}_", one)
    assert one != slurm.prefix(tmp_path / "elsewhere/demo")
    assert slurm.prefix(tmp_path / "results/demo.2") not in slurm.prefix(tmp_path / "results/demo")
    # what squeue --name accepts, whatever the run is called
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,60}", slurm.prefix(tmp_path / ("a.very,long name" * 5)))


def test_jobs_of_other_runs_are_no_left_overs():
    jobs = slurm.parse("12|mocksed-demo-0a_aa\n13|mocksed-demo-0b_aa\n\n14_[1-3]|bash\n15|mocksed-demo-0a_b|c\n")
    assert slurm.left_over(jobs, "mocksed-demo-0a_") == ["12", "15"]
    assert slurm.left_over([], "mocksed-demo-0a_") == []


class Queue:
    """Programs of the names of SLURM's that read and write files of a folder."""

    def __init__(self, folder: Path, scancel: str, squeue: str = "cat queue") -> None:
        self.folder = folder
        (folder / "queue").write_text("1|mocksed-a-1_x\n2|mocksed-b-1_x\n3|mocksed-a-1_x\n")
        for name, script in (("squeue", squeue), ("scancel", f'echo "$@" >> cancelled\n{scancel}')):
            (folder / name).write_text(f"#!/bin/sh\ncd {folder}\n{script}\n")
            (folder / name).chmod(0o755)

    def cancelled(self) -> list[str]:
        path = self.folder / "cancelled"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def queue(tmp_path, monkeypatch) -> Callable[..., Queue]:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "_BETWEEN_LOOKS_S", 0.01)
    return lambda *scripts: Queue(tmp_path, *scripts)


def test_left_overs_are_cancelled_and_waited_for(queue):
    fake = queue("sleep 0.2; sed -i /mocksed-a-1/d queue &")
    said = []
    assert slurm.cancel_left_over("mocksed-a-1_", said.append) == ["1", "3"]
    assert fake.cancelled() == ["1 3"]
    assert (fake.folder / "queue").read_text() == "2|mocksed-b-1_x\n"
    assert "1, 3" in said[0]
    assert slurm.cancel_left_over("mocksed-a-1_", said.append) == []
    assert len(fake.cancelled()) == len(said) == 1


def test_left_overs_that_do_not_end_stop_the_run(queue):
    queue("true")
    with pytest.raises(UserError, match="do not end: 1, 3"):
        slurm.cancel_left_over("mocksed-a-1_", lambda line: None, patience_s=0.1)


def test_nothing_is_submitted_while_the_queue_is_unknown(queue):
    queue("true", "echo cannot contact the controller >&2; exit 1")
    with pytest.raises(UserError, match="cannot contact the controller"):
        slurm.cancel_left_over("mocksed-a-1_", lambda line: None, patience_s=0.1)


def test_the_queue_is_asked_for_again(queue):
    fake = queue("rm queue; touch queue", "[ -e tried ] || { touch tried; exit 1; }; cat queue")
    assert slurm.cancel_left_over("mocksed-a-1_", lambda line: None) == ["1", "3"]
    assert fake.cancelled() == ["1 3"]


def test_jobs_of_which_nothing_is_said_stay_active():
    reported = []

    async def check(jobs):
        for job in jobs:
            if job.state == "running":
                yield job
            elif job.state == "done":
                executor.report_job_success(job)
            elif job.state == "failed":
                executor.report_job_error(job, msg="killed")

    executor = SimpleNamespace(
        check_active_jobs=check,
        report_job_success=lambda job: reported.append(("success", job)),
        report_job_error=lambda job, msg: reported.append((msg, job)),
    )
    slurm.keep_unanswered(executor)
    running, done, failed, unknown = (SimpleNamespace(state=s) for s in ("running", "done", "failed", "unknown"))

    async def active(jobs):
        return [job async for job in executor.check_active_jobs(jobs)]

    assert asyncio.run(active([unknown, done, running, failed])) == [running, unknown]
    assert reported == [("success", done), ("killed", failed)]
    unknown.state = "done"
    assert asyncio.run(active([running, unknown])) == [running]
    assert reported[-1] == ("success", unknown)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with slurm_cluster.cluster(cores=4):
        yield


@pytest.fixture(scope="module")
def copy(tiny, root, tmp_path_factory) -> Callable[..., Path]:
    """Return what makes copies of the repository in which jobs are looked at sooner and sacct, if asked, fails.

    Their configuration is that of the run that all tests share, but for changes.
    """

    def make(name: str, **changes: object) -> Path:
        folder = cloned(root, tmp_path_factory.mktemp(name) / "clone")
        config = deepcopy(tiny.config)
        merge(config, changes)
        (folder / CONFIG).write_text(yaml.safe_dump(config))
        profile = folder / "profiles/slurm/config.yaml"
        text, n = re.subn("(slurm-init-seconds-before-status-checks:) [0-9]+", r"\1 1", profile.read_text())
        assert n == 1
        profile.write_text(text)
        (folder / "sacct").write_text("#!/bin/sh\necho Slurm accounting storage is disabled >&2\nexit 1\n")
        (folder / "sacct").chmod(0o755)
        return folder

    return make


def script_of(name: str, shard: str) -> psutil.Process | None:
    """Return the process that runs a script of the workflow in a job for a shard, once it has begun."""
    for process in psutil.process_iter(["cmdline"]):
        with suppress(psutil.NoSuchProcess):
            if any(argument.endswith(f".{name}.py") for argument in process.info["cmdline"] or ()):
                parents = " ".join(argument for parent in process.parents() for argument in parent.cmdline())
                if "slurmstepd" in parents and f"shard={shard}" in parents:
                    return process
    return None


def files(folder: Path) -> dict[str, str]:
    """Return the checksums of all results of a run but the report, which tells when it was made."""
    results = folder / "results/tiny"
    paths = sorted(path for path in results.glob("**/*") if path.is_file() and path.name != "report.html")
    return {str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def local(tiny) -> dict[str, str]:
    """Return the results of a run without SLURM."""
    return files(tiny.folder)


@pytest.fixture(scope="module")
def troubled(cluster, copy) -> Run:
    """A run to which happens what a cluster has in store."""
    profile = ["--profile", "slurm", "--configfile", CONFIG]
    spectra = [f"results/tiny/spectra/{shard}.parquet" for shard in ("0000", "0001")]
    run = Run(copy("troubled"), *SNAKEMAKE, *spectra, *profile, "--set-resources", *TOO_LITTLE)
    try:
        slurm_cluster.ask("scancel", next(iter(run.wait_for(lambda: slurm_cluster.running("lightcone")))))
        run.wait_for(lambda: script_of("assign", "0000")).suspend()
        slurm_cluster.kill("slurmd-n1")
        time.sleep(2)
        slurm_cluster.start_node()
        run.wait_for(slurm_cluster.running)
        # told to stop, it saves its state: one that crashes may forget that a job has ended, until its walltime
        slurm_cluster.kill("slurmctld", signal.SIGTERM)
        time.sleep(60)  # longer than Snakemake's executor asks in a row
        slurm_cluster.start_controller()
        run.succeed()
    except BaseException:
        run.kill()
        raise
    return run


def states(run: Run, what: str) -> list[str]:
    """Return how the jobs ended that were submitted for a rule and its wildcards, in their order."""
    return [slurm_cluster.ended()[job]["JobState"] for job in run.submitted()[what]]


@pytest.mark.slurm
@pytest.mark.slow
def test_a_troubled_run_has_the_results_of_an_undisturbed_one(troubled, local):
    found = files(troubled.folder)
    assert len(found) == 15  # without the neighbours and parameters, which do not outlive their use
    assert found.items() <= local.items()


@pytest.mark.slurm
@pytest.mark.slow
def test_a_job_over_its_memory_is_killed_and_gets_more(troubled):
    for what in ("parent/star_forming_0000", "parent/star_forming_0001"):
        first, *_, last = states(troubled, what)
        assert (first, last) == ("FAILED", "COMPLETED")
        log = troubled.folder / f"logs/slurm/rule_{what}/{troubled.submitted()[what][0]}.log"
        assert "memory limit" in log.read_text()


@pytest.mark.slurm
@pytest.mark.slow
def test_a_job_past_its_walltime_is_killed_and_gets_more(troubled):
    first, second = (slurm_cluster.ended()[job] for job in troubled.submitted()["assign/0000"])
    assert (first["JobState"], first["TimeLimit"]) == ("TIMEOUT", "1")
    assert (second["JobState"], second["TimeLimit"]) == ("COMPLETED", "2")


@pytest.mark.slurm
@pytest.mark.slow
def test_a_cancelled_job_is_repeated(troubled):
    found = [states(troubled, f"lightcone/000{i}") for i in (0, 1)]
    assert ["CANCELLED", "COMPLETED"] in found


@pytest.mark.slurm
@pytest.mark.slow
def test_neither_controller_nor_node_daemon_take_jobs_with_them(troubled):
    """Only a job that was just being started may have to be repeated."""
    jobs = troubled.submitted()
    assert all(states(troubled, what)[-1] == "COMPLETED" for what in jobs)
    others = [ids for what, ids in jobs.items() if not what.startswith(("parent", "lightcone", "assign"))]
    assert sum(map(len, others)) <= len(others) + 2


@pytest.mark.slurm
@pytest.mark.slow
def test_a_killed_snakemake_is_taken_over_from(cluster, copy, tiny):
    """With `make run`, which also clears the lock: what the dead run left is gone before anything is submitted."""
    folder = copy("killed", galaxies={"shards": 1}, parent={"shards": 1})
    command = ["make", "-o", ".venv/.installed", "run", "PROFILE=slurm", f"CONFIG={CONFIG}"]
    first = Run(folder, *command)
    first.wait_for(lambda: script_of("neighbours", "0000")).suspend()  # else it might end before it is looked for
    first.kill()
    left = set(slurm_cluster.ask("squeue", "--noheader", "--format=%i").split())
    assert left
    second = Run(folder, *command)
    said = second.succeed()
    assert "jobs of an earlier run are in the queue and are cancelled" in said
    for stage in ("catalog", "spectra"):
        same(storage.read_table(folder / f"results/tiny/{stage}/0000.parquet"), tiny.whole(stage))
    assert (folder / "results/tiny/report.html").exists()
    about, ours = slurm_cluster.ended(), {job for jobs in second.submitted().values() for job in jobs}
    assert not left & ours
    assert {about[job]["JobState"] for job in left} <= {"CANCELLED", "COMPLETED"}
    assert max(about[job]["EndTime"] for job in left) <= min(about[job]["StartTime"] for job in ours)
    assert all(len(jobs) == 1 for jobs in second.submitted().values())
    assert not slurm_cluster.ask("squeue", "--noheader")
    # plots of so small a run are drawn here
    assert not [what for what in second.submitted() if what.startswith(("plot", "summary"))]


@pytest.mark.slurm
@pytest.mark.slow
def test_a_bare_restart_is_told_of_the_lock_and_unlocked_by_one_command(cluster, copy):
    folder = copy("locked")
    target = ["results/tiny/parent/quiescent/0000.h5"]
    command = [*SNAKEMAKE, *target, "--profile", "slurm", "--configfile", CONFIG]
    first = Run(folder, *command)
    first.wait_for(lambda: script_of("parent", "0000")).suspend()
    first.kill()
    again = Run(folder, *command)
    assert again.process.wait(PATIENCE_S) != 0
    assert "--unlock" in again.said()
    assert len(slurm_cluster.running("parent")) == 1
    Run(folder, *command, "--unlock").succeed()
    said = Run(folder, *command).succeed()
    assert "are cancelled" in said
    assert (folder / target[0]).exists()


@pytest.mark.slurm
@pytest.mark.slow
def test_what_a_cancelled_job_removes_is_made_again(cluster, copy):
    """A job that is cancelled between its last line and its end takes with it a file that was there before."""
    folder = copy("removed")
    made, wanted = (f"results/tiny/{stage}/0001.parquet" for stage in ("galaxies", "neighbours"))
    command = ["--profile", "slurm", "--configfile", CONFIG]
    first = Run(folder, *SNAKEMAKE, made, *command)
    script = first.wait_for(lambda: script_of("lightcone", "0001"))
    snakemake = next(parent for parent in script.parents() if "snakemake" in parent.cmdline())
    logs = folder / "logs/slurm/rule_lightcone/0001"
    first.wait_for(lambda: any("Finished jobid: 0" in log.read_text() for log in logs.glob("*.log")))
    snakemake.suspend()
    first.kill()
    assert (folder / made).exists()
    assert slurm_cluster.running("lightcone")
    Run(folder, *SNAKEMAKE, made, *command, "--unlock").succeed()
    second = Run(folder, *SNAKEMAKE, wanted, *command)
    second.wait_for(lambda: "are cancelled" in second.said())
    said = second.succeed()
    assert (folder / wanted).exists()
    assert [len(second.submitted()[f"{rule}/0001"]) for rule in ("lightcone", "neighbours")] == [1, 1], said


@pytest.mark.slow
def test_the_profile_plans_and_draws_without_a_cluster(root):
    command = [*SNAKEMAKE, "--profile", "slurm", "--configfile", CONFIG]
    listed = subprocess.run([*command, "-n", "--forceall"], cwd=root, capture_output=True, text=True, check=True)
    assert "neighbours" in listed.stdout
    graph = subprocess.run(
        [*command, "--rulegraph", "--forceall"], cwd=root, capture_output=True, text=True, check=True
    )
    assert graph.stdout.startswith("digraph")
