"""Additions to Snakemake's SLURM executor: job names that identify the run.

The executor gives the jobs of each Snakemake process a name of their own and queries their states by it. A Snakemake
that was killed leaves jobs behind that no process waits for; the next one has to find them, since it will submit the
same work again. Only squeue and scancel are used, which need no accounting database.
"""

import hashlib
import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mocksed.errors import UserError

_BETWEEN_LOOKS_S = 1.0
_BETWEEN_CANCELS_S = 30.0
_PATIENCE_S = 600.0


class Job(NamedTuple):
    """A job in the queue: its identifier and its name."""

    id: str
    name: str


def prefix(results: Path | str) -> str:
    """Return what the names of all jobs begin with that write to a folder of results.

    Parameters
    ----------
    results : path
        The folder of one run. Its absolute path counts, so that two checkouts do not cancel each other's jobs.

    """
    folder = Path(results).resolve()
    readable = re.sub(r"[^A-Za-z0-9_]", "-", folder.name)[:30]
    return f"mocksed-{readable}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}_"


def parse(queue: str) -> list[Job]:
    """Return the jobs that squeue printed as ``id|name``, one in a line."""
    return [Job(*line.strip().split("|", 1)) for line in queue.splitlines() if "|" in line]


def left_over(jobs: Sequence[Job], name_prefix: str) -> list[str]:
    """Return the identifiers of the jobs whose names begin with ``name_prefix``."""
    return [job.id for job in jobs if job.name.startswith(name_prefix)]


def queue() -> str:
    """Return the user's jobs that wait, run or are ending, as ``id|name``.

    Raises
    ------
    subprocess.SubprocessError
        If SLURM does not answer.

    """
    command = ["squeue", "--me", "--noheader", "--format=%i|%j"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def cancel(jobs: Sequence[str]) -> None:
    """Ask SLURM to cancel jobs; that one has ended meanwhile is no error."""
    subprocess.run(["scancel", *jobs], capture_output=True, text=True, check=False, timeout=60)


def cancel_left_over(name_prefix: str, tell: Callable[[str], None], patience_s: float = _PATIENCE_S) -> list[str]:
    """Cancel the jobs that an earlier Snakemake left in the queue, and wait until they are gone.

    Parameters
    ----------
    name_prefix : str
        Beginning of their names, see `prefix`.
    tell : callable
        Called with one line that says what is done.
    patience_s : float
        How long to wait, also for SLURM to answer [s].

    Returns
    -------
    list of str
        The identifiers of the jobs that were there.

    Raises
    ------
    UserError
        If they do not end, or SLURM does not answer.

    """
    deadline, cancelled_at, cancelled = time.monotonic() + patience_s, -float("inf"), dict[str, None]()
    while True:
        try:
            jobs, trouble = left_over(parse(queue()), name_prefix), ""
            if not jobs:
                return list(cancelled)
            if time.monotonic() - cancelled_at > _BETWEEN_CANCELS_S:
                if not cancelled:
                    tell(f"jobs of an earlier run are in the queue and are cancelled: {', '.join(jobs)}")
                cancel(jobs)
                cancelled_at = time.monotonic()
            cancelled |= dict.fromkeys(jobs)
        except (OSError, subprocess.SubprocessError) as error:
            jobs, trouble = [], str(getattr(error, "stderr", "") or error).strip()
        if time.monotonic() > deadline:
            raise UserError(
                f"cannot find out from SLURM what is in the queue: {trouble}. Run again when squeue --me works."
                if trouble
                else f"jobs of an earlier run do not end: {', '.join(jobs)}. They would write the same files as this "
                "run; run again when squeue --me no longer shows them, and ask the cluster's support if they stay."
            )
        time.sleep(_BETWEEN_LOOKS_S)


def keep_unanswered(executor: Any) -> None:
    """Keep jobs active when SLURM gives no status for them.

    Its ``check_active_jobs`` should report each job as ended or yield it as active. When SLURM does not answer for a
    minute, as while its controller is restarted, the executor does neither: it forgets its jobs, and the run waits for
    ever (also with version 2.8 of it).

    Parameters
    ----------
    executor : snakemake_interface_executor_plugins.executors.remote.RemoteExecutor
        The executor; changed in place.

    """
    check, settled = executor.check_active_jobs, set[int]()

    def reporting(report: Callable[..., None]) -> Callable[..., None]:
        def reported(job: Any, *arguments: Any, **options: Any) -> None:
            settled.add(id(job))
            report(job, *arguments, **options)

        return reported

    async def check_all(jobs: list[Any]) -> AsyncIterator[Any]:
        settled.clear()
        async for job in check(jobs):
            settled.add(id(job))
            yield job
        for job in jobs:
            if id(job) not in settled:
                yield job

    executor.report_job_success = reporting(executor.report_job_success)
    executor.report_job_error = reporting(executor.report_job_error)
    executor.check_active_jobs = check_all
