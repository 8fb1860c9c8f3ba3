"""Processes that tests start: none may be left when they end, whatever adopted it in the meantime."""

import os
from pathlib import Path
from uuid import uuid4

import psutil

_NAME = "MOCKSED_TESTS"


def mark() -> str:
    """Mark this process, and so all that it starts from now on; return the mark."""
    os.environ[_NAME] = str(uuid4())
    return os.environ[_NAME]


def left(of: str, patience_s: float = 10.0) -> list[psutil.Process]:
    """Return the processes of a mark, and of this one, that are at work still after some time."""
    mine = psutil.Process()
    found = {process for process in psutil.process_iter() if _mark_of(process) == of} | {*mine.children(recursive=True)}
    return psutil.wait_procs(found - {mine, *mine.parents()}, timeout=patience_s)[1]


def local_jobs(folder: Path) -> list[psutil.Process]:
    """Return the processes of jobs that Snakemake runs in a folder, also of those whose Snakemake was killed."""
    scripts = str(folder / ".snakemake/scripts")
    about = psutil.process_iter(["cmdline"])
    return [job for job in about if any(text.startswith(scripts) for text in (job.info["cmdline"] or [])[:3])]


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(_NAME)
    except psutil.Error:  # it has ended, or is of another user
        return None
