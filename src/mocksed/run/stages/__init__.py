"""The work of the jobs of each stage: from paths and plain parameters to files.

Stages that make many files, each independent of the others, are classes (`STAGES`): set up once in a process, they make
any number of their shards in any order. A job of the workflow that makes one shard and ranks of MPI that make all of
them (`mocksed.run.mpi`) run the same code. The others are functions, one for each rule.
"""

from collections.abc import Callable, Sequence

from mocksed.progress import progress
from mocksed.run.stages.parents import Parent
from mocksed.run.stages.products import Observed, Spectra
from mocksed.run.stages.search import Neighbours
from mocksed.run.work import Params, Shard, Share, Stage, Work, alone

STAGES: dict[str, Callable[[Params, Sequence[Shard], Share], Stage]] = {
    "parent": Parent,
    "neighbours": Neighbours,
    "spectra": Spectra,
    "observed": Observed,
}


def set_up(work: Work, share: Share = alone) -> Stage:
    """Return the stage that makes the shards of a job."""
    return STAGES[work.stage](work.params, work.shards, share)


def make_all(work: Work) -> None:
    """Make all shards, one after the other, in this process."""
    stage = set_up(work)
    for shard in work.shards:
        stage.make(shard, progress)
