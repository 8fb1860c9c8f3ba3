"""Starting the work of a job: in this process, or on ranks of MPI.

Nothing here needs MPI: a run without ranks works on machines that have none.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from mocksed import jsontext
from mocksed.errors import UserError
from mocksed.run.work import Work

EXPECTED = "MOCKSED_RANKS"
"""Environment variable with the number of ranks that were started."""


def launcher_here() -> str:
    """Return the command that starts ranks: within a job of SLURM its own, which knows where they are to run."""
    return "srun" if "SLURM_JOB_ID" in os.environ else "mpiexec"


@cache
def check(launcher: str | None) -> None:
    """Stop if there is no MPI on this machine.

    Parameters
    ----------
    launcher : str, optional
        The command that is to start the ranks, by default any of the usual ones.

    Raises
    ------
    UserError
        If there is no such command, or Python cannot load an MPI library.

    """
    names = [shlex.split(launcher)[0]] if launcher else ["mpiexec", "srun"]
    if not any(map(shutil.which, names)):
        raise UserError(
            f"mpi.tasks: there is no {' or '.join(names)} on this machine to start ranks with; install or load MPI, "
            "name another command in mpi.launcher, or set mpi.tasks to 1"
        )
    load = "import mpi4py; mpi4py.rc.initialize = False; import mpi4py.MPI"
    loaded = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, check=False)
    if loaded.returncode:
        raise UserError(
            f"mpi.tasks: Python cannot load an MPI library: {loaded.stderr.strip().splitlines()[-1]}; install or load "
            "MPI, or set mpi.tasks to 1"
        )


def run(work: Work, log_path: Path | str, threads: int, resources: Mapping[str, Any] | None = None) -> None:
    """Make all shards of a job; end the process with one message if that fails.

    Parameters
    ----------
    work : Work
        The job.
    log_path : path
        Its log.
    threads : int
        Of the job.
    resources : mapping, optional
        Under SLURM's names: ``tasks``, ranks of MPI, without which the shards are made in this process; ``mpi``, the
        command that starts them when it is followed by ``-n`` and their number, by default `launcher_here`; and
        ``cpus_per_task``, threads of each, by default an equal part.

    """
    resources = resources or {}
    ranks = resources.get("tasks", 1)
    if ranks > 1:
        launcher = resources.get("mpi") or launcher_here()
        threads = resources.get("cpus_per_task", max(threads // ranks, 1))
        sys.exit(_on_ranks(work, Path(log_path), threads, ranks, launcher))
    from mocksed.run import jobs, stages  # all of the library, which a process that waits for ranks does not need

    with jobs.job(log_path, threads):
        stages.make_all(work)


def command(launcher: str, ranks: int, work: Path | str) -> list[str]:
    """Return the command that starts ranks on the work in a file."""
    return [*shlex.split(launcher), "-n", str(ranks), sys.executable, "-m", "mocksed.run.mpi", str(work)]


def environment(threads: int, ranks: int) -> Mapping[str, str]:
    """Return the environment of launchers, MPI and compiled code for ranks with that many threads each."""
    return {
        # Windows between nodes that only TCP connects: Open MPI 4 has them if one thread of a rank speaks MPI, and
        # Debian's configuration leaves them out. A user may choose others.
        "MPI4PY_RC_THREAD_LEVEL": "funneled",
        "OMPI_MCA_osc": "^ucx",
        **os.environ,
        EXPECTED: str(ranks),
        "NUMBA_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        # srun: cores of a rank, and the end of all of them with the first that fails
        "SRUN_CPUS_PER_TASK": str(threads),
        "SLURM_KILL_BAD_EXIT": "1",
        # Open MPI: not each rank on one core, which several jobs on a node would share; as many ranks as requested
        "OMPI_MCA_hwloc_base_binding_policy": "none",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_hwloc_default_binding_policy": "none",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }


def _on_ranks(work: Work, log_path: Path, threads: int, ranks: int, launcher: str) -> int:
    """Return the exit status of ranks that make the shards; if they fail, remove what they left.

    Their output goes to standard error and to the log, which therefore has one writer.
    """
    file = log_path.with_suffix(".json")
    file.write_text(jsontext.dumps(asdict(work) | {"threads": threads}))
    started = command(launcher, ranks, file)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    process = subprocess.Popen(
        started,
        env=environment(threads, ranks),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout
    status = 1
    try:
        with open(log_path, "w") as log:
            log.write(f"{shlex.join(started)}\n")
            for line in process.stdout:
                for stream in (log, sys.stderr):
                    stream.write(line)
                    stream.flush()
        status = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        if status:
            from mocksed.atomic import remove_left_overs

            for shard in work.shards:
                remove_left_overs(shard["output"])
    return 1 if status else 0
