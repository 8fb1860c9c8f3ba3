"""Runs that are killed, and what comes after."""

import os
import signal
import subprocess
import time

import psutil
import pyarrow as pa
import pytest

from mocksed import storage
from tests.runs import PARENTS, PATIENCE_S, SPECTRA, Workflow, cloned, same, wait_for

pytestmark = pytest.mark.slow


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


def test_make_run_resumes_after_a_kill(tiny, root, tmp_path):
    clone = cloned(root, tmp_path / "clone")
    command = ["make", "-o", ".venv/.installed", "run", "CONFIG=config/test/tiny.yaml", "CORES=2"]
    process = subprocess.Popen(
        command, cwd=clone, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_for(lambda: any(clone.glob("results/tiny/neighbours/*.parquet")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    assert (clone / "results/tiny/report.html").exists()
    found = pa.concat_tables(storage.read_table(path) for path in sorted(clone.glob("results/tiny/catalog/*.parquet")))
    same(found, tiny.whole("catalog"))


def test_a_killed_job_leaves_nothing_and_is_repeated(tiny, root, tmp_path):
    workflow = Workflow(root, tmp_path)
    parents = [f"results/tiny/parent/star_forming/{name}" for name in PARENTS]
    process = subprocess.Popen(workflow.command(*parents), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    killed = None
    while killed is None and process.poll() is None:
        time.sleep(0.005)
        killed = kill_a_job(process.pid, "parent.py")
    assert killed, "no job was found to kill"
    assert process.wait(timeout=PATIENCE_S) != 0
    expected = {path: (tiny.folder / path).read_bytes() for path in parents}
    for path in workflow.files():
        assert path.read_bytes() == expected[str(path.relative_to(tmp_path))]
    workflow.succeed(*parents, "--rerun-incomplete")
    assert {path: (tmp_path / path).read_bytes() for path in parents} == expected


def kill_a_job(parent: int, script: str) -> int | None:
    """Kill a descendant of a process that runs a script; return its process id."""
    for child in psutil.Process(parent).children(recursive=True):
        try:
            if any(argument.endswith(script) for argument in child.cmdline()):
                child.kill()
                return child.pid
        except psutil.NoSuchProcess:
            continue
    return None
