"""The work of a job, and the interface of the stages that can run on ranks of MPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from mocksed.progress import Progress

T = TypeVar("T")
Params = Mapping[str, Any]
Shard = Mapping[str, Any]
Report = Callable[[int, str, str], Progress]
"""Starts a progress report, as `mocksed.progress.progress`."""


class Share(Protocol):
    """Data for all processes of a node: made by one, and held once where they can share memory."""

    def __call__(self, make: Callable[[], T]) -> T:
        """Return what ``make`` returns. All processes of a node call this together."""


def alone(make: Callable[[], T]) -> T:
    """Return what ``make`` returns: a `Share` for a process that is alone."""
    return make()


class Stage(Protocol):
    """A stage that is set up."""

    def rows(self, shard: Shard) -> int:
        """Return the number of rows of a shard, to which its cost is proportional."""

    def make(self, shard: Shard, report: Report) -> None:
        """Make the file ``shard["output"]``."""


@dataclass(frozen=True)
class Work:
    """The work of a job, in plain values that can be written as JSON.

    Attributes
    ----------
    stage : str
        One of `mocksed.run.stages.STAGES`.
    params : mapping
        What holds for all shards.
    shards : sequence of mapping
        For each, what the stage needs to know, and the file to make, ``output``.

    """

    stage: str
    params: Mapping[str, Any]
    shards: Sequence[Mapping[str, Any]]
