"""The frame of every job of the workflow: log file, messages for users, progress."""

import logging
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from threadpoolctl import threadpool_limits

from mocksed import compiled
from mocksed.errors import UserError
from mocksed.progress import log


@contextmanager
def job(log_path: str | Path | None = None, threads: int | None = None, label: str = "") -> Iterator[None]:
    """Log to a file and to standard error; end with one message, not a traceback, on a `UserError`.

    Parameters
    ----------
    log_path : path, optional
        The log file of the job; it also receives the traceback of an unexpected error.
    threads : int, optional
        Threads that numba, OpenMP and BLAS may use; all cores by default.
    label : str
        Begins each message, e.g. "rank 1: " in a job of several processes.

    """
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if log_path is not None:
        Path(log_path).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_path, mode="w"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter(f"%(asctime)s {label}%(message)s", "%Y-%m-%d %H:%M:%S"))
    log.handlers = handlers
    log.setLevel(logging.INFO)
    for note in compiled.notes:
        log.warning(note)
    start = time.perf_counter()
    try:
        if threads is None:
            yield
        else:
            compiled.set_num_threads(min(threads, compiled.get_num_threads()))
            with threadpool_limits(threads):
                yield
    except UserError as error:
        log.error("error: %s", error)
        sys.exit(1)
    except Exception:
        log.exception("unexpected error")
        raise
    log.info("done in %.1f s, %s", time.perf_counter() - start, used())


def used() -> str:
    """Return the CPU time and the peak memory [MB of 2^20 bytes] of this process so far, for the end of a log.

    The system counts them; Snakemake's benchmark files sample them, after the first 15 s of a job every 30 s.
    """
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return f"{spent.ru_utime + spent.ru_stime:.1f} s of CPU time, at most {spent.ru_maxrss / 1024:.0f} MB of memory"
