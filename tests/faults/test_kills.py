"""Snakemake or jobs are killed at random moments, and the run goes on: all files have the bytes of an undisturbed one.

A few kills by default; `pytest tests/faults --faults=all` makes `KILLS` of each kind.
"""

import itertools
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.processes import local_jobs
from tests.runs import PATIENCE_S, Workflow, targets

pytestmark = [pytest.mark.faults, pytest.mark.slow]

KILLS, FEW = 30, 3
"""Of Snakemake and of jobs: in a whole campaign, and by default."""

SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)

FILES, WITHIN_S = 1, 4.0
"""A kill comes within so many seconds after so many further files at most."""

TARGETS = targets(("catalog", "spectra"))

GO_ON = ("--rerun-incomplete", "--nolock", "--retries", "2")
"""Jobs that a killed Snakemake left may get in the way of those of the next: of two that write a file, one stops."""


@pytest.fixture
def n_kills(request: pytest.FixtureRequest) -> int:
    return KILLS if request.config.getoption("--faults") == "all" else FEW


def begin(run: Workflow, *options: str) -> subprocess.Popen:
    """Start a run that heeds SIGINT, as those of a shell that put the tests in the background do not."""
    return subprocess.Popen(
        run.command(*TARGETS, *GO_ON, *options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_work(run: Workflow, process: subprocess.Popen, moment: random.Random) -> None:
    """Wait for jobs and for a number of files drawn at random, then for a time drawn at random, or for the end."""
    enough = len(run.files()) + moment.randint(0, FILES)
    while process.poll() is None and (len(run.files()) < enough or not local_jobs(run.folder)):
        time.sleep(0.02)
    with suppress(subprocess.TimeoutExpired):
        process.wait(moment.uniform(0.0, WITHIN_S))


def new_runs(root: Path, folder: Path) -> Iterator[Workflow]:
    """Yield runs in folders of their own, which delete what they have used."""
    for i in itertools.count(1):
        run = Workflow(root, folder / str(i))
        run.options = ()
        yield run


def differing(run: Workflow, calm: Workflow) -> list[str]:
    """Return the files of a run that are not as those of the undisturbed one, temporary ones left out."""
    paths = [path.relative_to(run.folder) for path in run.files() if not path.name.startswith(".")]
    return [str(path) for path in paths if (run.folder / path).read_bytes() != (calm.folder / path).read_bytes()]


def finished(run: Workflow, calm: Workflow) -> None:
    """See that a run has all that the undisturbed one has, and nothing else, once jobs that were left are at an end."""
    psutil.wait_procs(local_jobs(run.folder), PATIENCE_S)
    assert all((run.folder / path).exists() for path in TARGETS)
    assert differing(run, calm) == []
    assert [path for path in run.files() if path.name.startswith(".")] == []


def tell(run: Workflow, n: int, what: str) -> None:
    done = len(run.files())
    print(f"kill {n + 1}: {SIGNALS[n % len(SIGNALS)].name} for {what}, {done} files in run {run.folder.name}")


def test_killed_snakemakes(tiny: Workflow, root: Path, tmp_path: Path, n_kills: int) -> None:
    """In turn with all its jobs, as by a batch system or Ctrl-C, and alone, so that its jobs stay at work."""
    moment, runs, n = random.Random(1), new_runs(root, tmp_path), 0
    run = next(runs)
    while n < n_kills:
        process = begin(run)
        wait_for_work(run, process, moment)
        if process.poll() is None:
            of_all = n // len(SIGNALS) % 2 == 0
            tell(run, n, f"Snakemake {'and its jobs' if of_all else 'alone'}")
            kill = (lambda which, pid=process.pid: os.killpg(pid, which)) if of_all else process.send_signal
            kill(SIGNALS[n % len(SIGNALS)])
            n += 1
            process.wait(PATIENCE_S)
            assert differing(run, tiny) == []
        else:
            assert process.returncode == 0, "a run failed that nobody killed"
            finished(run, tiny)
            run = next(runs)
    run.succeed(*TARGETS, *GO_ON)
    finished(run, tiny)


def test_killed_jobs(tiny: Workflow, root: Path, tmp_path: Path, n_kills: int) -> None:
    """Snakemake repeats them."""
    moment, runs, n = random.Random(2), new_runs(root, tmp_path), 0
    while n < n_kills:
        run = next(runs)
        process = begin(run, "--retries", str(KILLS))
        while n < n_kills and process.poll() is None:
            wait_for_work(run, process, moment)
            if at_work := local_jobs(run.folder):
                tell(run, n, "a job")
                with suppress(psutil.NoSuchProcess):
                    moment.choice(at_work).send_signal(SIGNALS[n % len(SIGNALS)])
                    n += 1
                assert differing(run, tiny) == []
        assert process.wait(PATIENCE_S) == 0
        finished(run, tiny)
