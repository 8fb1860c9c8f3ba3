"""The work of a job on ranks of MPI: ``mpiexec -n N python -m mocksed.run.mpi WORK.json``.

Each rank makes one shard after the other, always the most costly one left. Shared data are made by one rank per node,
in memory that the others map.
"""

import gc
import json
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

import numpy as np
from mpi4py import MPI

from mocksed.errors import UserError
from mocksed.progress import Progress, log
from mocksed.run import launch, stages
from mocksed.run.jobs import job
from mocksed.run.work import Work

T = TypeVar("T")

_ALIGNED = 64  # bytes: a line of the cache, and what vector instructions want
_POLL_S = 0.02


class NodeMemory:
    """A `mocksed.run.work.Share` for the ranks of a node.

    It saves 31 to 56 MB of some 260 MB for each rank (benchmarks/mpi.txt).

    Parameters
    ----------
    node : Intracomm
        The ranks that can share memory.

    """

    def __init__(self, node: MPI.Intracomm) -> None:
        self._node = node
        self._windows: list[MPI.Win] = []  # whose memory the arrays are in

    def __call__(self, make: Callable[[], T]) -> T:
        """Return what ``make`` returns on the first rank, on all ranks with the data of arrays in shared memory.

        It is pickled with its arrays apart (PEP 574), so that it may be anything that can be pickled. Arrays stay
        read-only or not: kernels are compiled for either.
        """
        buffers: list[pickle.PickleBuffer] = []
        content = pickle.dumps(make(), protocol=5, buffer_callback=buffers.append) if self._node.rank == 0 else b""
        raw = [buffer.raw() for buffer in buffers]
        content, sizes = self._node.bcast((content, [(view.nbytes, view.readonly) for view in raw]))
        starts = np.cumsum([0, *(-(-size // _ALIGNED) * _ALIGNED for size, _ in sizes)]).tolist()
        window = MPI.Win.Allocate_shared(max(starts[-1], 1) if self._node.rank == 0 else 0, 1, comm=self._node)
        self._windows.append(window)
        memory = memoryview(window.Shared_query(0)[0])  # type: ignore[arg-type]
        views = [memory[start : start + size] for start, (size, _) in zip(starts, sizes, strict=False)]
        for view, source in zip(views, raw, strict=False):
            view[:] = source
        window.Fence()
        del raw, buffers
        gc.collect()  # the first rank's own copy
        arrays = [view.toreadonly() if readonly else view for view, (_, readonly) in zip(views, sizes, strict=True)]
        return pickle.loads(content, buffers=arrays)  # type: ignore[no-any-return]


class Counter:
    """A counter shared by all ranks, in the memory of the first one.

    The pool of `mpi4py.futures` has a rank that only hands out work: one of two would make nothing.

    Without hardware for it, the first rank must enter MPI now and then for others to be answered: `poll`.
    """

    def __init__(self, comm: MPI.Intracomm) -> None:
        self._comm = comm.Dup()

    def __enter__(self) -> "Counter":
        size = MPI.INT64_T.Get_size()
        self._window = MPI.Win.Allocate(size if self._comm.rank == 0 else 0, size, comm=self._comm)
        if self._comm.rank == 0:
            np.asarray(self._window.tomemory()).view(np.int64)[:] = 0
        self._comm.Barrier()
        self._window.Lock_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        if kind is None:  # else the others are not waited for
            done = self._comm.Ibarrier()
            while not done.Test():  # a waiting rank of MPI takes a whole core
                time.sleep(_POLL_S)
            self._window.Unlock_all()
            self._window.Free()

    def take(self, stop: int) -> Iterator[int]:
        """Yield numbers below ``stop``; all ranks together get each of them once."""
        increment, number = np.ones(1, np.int64), np.empty(1, np.int64)
        while True:
            self._window.Fetch_and_op(increment, number, 0)
            self._window.Flush(0)
            if number[0] >= stop:
                return
            yield int(number[0])

    def poll(self) -> None:
        """Let MPI answer other ranks."""
        self._comm.Iprobe()


def run(work: Work, comm: MPI.Intracomm) -> None:
    """Make all shards of a job together with the other ranks.

    Raises
    ------
    UserError
        If a shard cannot be made; it names the shard.

    """
    node = cast("MPI.Intracomm", comm.Split_type(MPI.COMM_TYPE_SHARED))
    stage = stages.set_up(work, NodeMemory(node))
    order = comm.bcast(_largest_first([stage.rows(shard) for shard in work.shards]) if comm.rank == 0 else None)
    with Counter(comm) as counter:
        for n in counter.take(len(order)):
            shard = work.shards[order[n]]
            try:
                stage.make(shard, partial(Progress, tick=counter.poll))
            except UserError as error:
                raise UserError(f"{shard['output']}: {error}") from error
            except Exception as error:
                error.add_note(f"It was making {shard['output']}.")
                raise
            log.info("%s is made, number %d of %d", shard["output"], n + 1, len(order))


def _largest_first(rows: Sequence[int]) -> list[int]:
    """Return an order of shards in which the last ones are small, so that all ranks end at about the same time."""
    return sorted(range(len(rows)), key=lambda i: -rows[i])


def _check_size(comm: MPI.Intracomm, environment: Mapping[str, str]) -> None:
    """Stop if each process takes itself for the only rank: all would do the same work."""
    expected = int(environment.get(launch.EXPECTED, comm.size))
    if comm.size != expected:
        raise UserError(
            f"{expected} ranks were started, but this one knows of {comm.size}: the launcher is not that of the MPI "
            f"library ({MPI.Get_library_version().split(',')[0]}). With srun try mpi.launcher 'srun --mpi=pmix' "
            "(srun --mpi=list says what there is); with mpiexec take that of the library"
        )


def main(arguments: Sequence[str]) -> None:
    """Make the work that a file describes; a rank that fails ends all of them."""
    comm = MPI.COMM_WORLD
    content: dict[str, Any] = json.loads(Path(arguments[0]).read_text())
    try:
        with job(threads=content.pop("threads"), label=f"rank {comm.rank}: "):
            _check_size(comm, os.environ)
            run(Work(**content), comm)
    except BaseException:  # has been logged
        sys.stderr.flush()
        comm.Abort(1)


if __name__ == "__main__":
    main(sys.argv[1:])
