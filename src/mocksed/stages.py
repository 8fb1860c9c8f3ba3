"""Stages that make many files, each independent of the others: what one of them needs.

A stage is set up once in a process and then makes any number of its shards in any order. A job of the workflow that
makes one shard and ranks of MPI that make all of them (`mocksed.mpi`) run the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from mocksed import jobs, parent, provenance, realisations, spectra, staging, storage, tree
from mocksed.cosmology import Cosmology, age_max
from mocksed.launch import Work
from mocksed.neighbours import metric_of
from mocksed.sps import engines
from mocksed.sps.engine import Engine
from mocksed.sps.fsps import ReferenceEngine

T = TypeVar("T")
Params = Mapping[str, Any]
Shard = Mapping[str, Any]
Report = Callable[[int, str, str], jobs.Progress]
"""Starts a progress report, as `mocksed.jobs.progress`."""


class Share(Protocol):
    """What is the same for all processes of a node: made by one, and held once where they can share memory."""

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


class Parent:
    """Shards of the parent catalogues: points, and what they look like.

    Parameters
    ----------
    params : mapping
        ``recipes``: of each kind of parent, the arguments of `mocksed.parent.recipe`; ``n_shards``: of each kind;
        ``about``: what the files say of the run.
    shards : sequence of mapping
        ``kind``, ``shard`` (its number) and ``output``.
    share : Share
        For the engine.

    """

    def __init__(self, params: Params, shards: Sequence[Shard], share: Share = alone) -> None:
        arguments = params["recipes"]
        self._recipes = {kind: parent.recipe(**of_kind) for kind, of_kind in arguments.items()}
        sps = arguments[shards[0]["kind"]]["sps"]
        self._engine = share(lambda: engines.over_table(sps).prepared())
        self._about = params["about"] | provenance.of_engine(self._engine, sps)
        self._n_shards = params["n_shards"]

    def _bounds(self, shard: Shard) -> tuple[int, int]:
        return storage.shard_bounds(self._recipes[shard["kind"]]["n"], self._n_shards)[int(shard["shard"])]

    def rows(self, shard: Shard) -> int:
        """Return the number of points."""
        start, stop = self._bounds(shard)
        return stop - start

    def make(self, shard: Shard, report: Report = jobs.progress) -> None:
        """Draw the points and evaluate them."""
        start, stop = self._bounds(shard)
        with report(stop - start, "points", f"parent {shard['kind']} {shard['shard']}") as bar:
            recipe = self._recipes[shard["kind"]]
            parent.write(shard["output"], start, stop, recipe, self._engine, self._about, bar)


class Neighbours:
    """The points nearest to what was proposed for star-forming galaxies, in a tree shard.

    Parameters
    ----------
    params : mapping
        ``recipe``: the arguments of `mocksed.parent.recipe`; ``metric``: those of `mocksed.neighbours.metric_of`;
        ``k`` and ``allowed_ages_only``: the config's; ``cosmology``; ``n_trees``; ``config``: as the user gave it,
        for `mocksed.staging.scratch_of`; ``about``: what the files say of the run.
    shards : sequence of mapping
        ``galaxies``, ``proposals``, ``tree`` (its number) with the files ``leaves`` and ``about``, and ``output``.
    share : Share
        For the trees.

    """

    def __init__(self, params: Params, shards: Sequence[Shard], share: Share = alone) -> None:
        self._params = params
        self._metric = metric_of(**params["metric"])
        recipe = parent.recipe(**params["recipe"])
        bounds, scratch = storage.shard_bounds(recipe["n"], params["n_trees"]), staging.scratch_of(params["config"])

        def read(shard: Shard) -> tree.KDTree:
            leaves = staging.local(shard["leaves"], scratch)
            return tree.read(leaves, shard["about"], self._metric, *bounds[int(shard["tree"])], recipe)

        first_of = {shard["tree"]: shard for shard in reversed(shards)}
        self._trees = {number: share(partial(read, shard)) for number, shard in sorted(first_of.items())}

    def rows(self, shard: Shard) -> int:
        """Return the number of star-forming galaxies."""
        return storage.count_rows(shard["proposals"])

    def make(self, shard: Shard, report: Report = jobs.progress) -> None:
        """Search."""
        params = self._params
        wanted = ["galaxy_id", "redshift", "log_mstar", "quiescent"]
        galaxies = storage.read_arrays(shard["galaxies"], wanted, optional=[realisations.COLUMN])
        galaxies = {name: values[~galaxies["quiescent"]] for name, values in galaxies.items()}
        proposed = storage.to_arrays(storage.read_table(shard["proposals"]))
        proposal = {name.removeprefix("prop_"): values for name, values in proposed.items()}
        limit = age_max(Cosmology(**params["cosmology"]), galaxies["redshift"])
        if not params["allowed_ages_only"]:
            limit = np.full(len(limit), np.inf)
        targets = self._metric.coordinates(proposal | galaxies)
        with report(len(targets), "galaxies", f"neighbours {Path(shard['output']).stem}") as bar:
            rows, distance, found = self._trees[shard["tree"]].nearest_allowed(targets, params["k"], limit, bar)
        columns = proposed | {"neighbour_index": rows, "neighbour_distance": distance, "neighbour_found": found}
        storage.write_table(shard["output"], columns, params["about"] | provenance.of_file(shard["about"]))


class Spectra:
    """Spectra of the shards of a catalogue, whose metadata say how.

    Parameters
    ----------
    params : mapping
        None.
    shards : sequence of mapping
        ``catalog`` and ``output``.
    share : Share
        For the engine.

    """

    def __init__(self, params: Params, shards: Sequence[Shard], share: Share = alone) -> None:
        self._engine: Engine | ReferenceEngine | None = None
        self._sps: Mapping[str, Any] = {}
        self._share = share
        spectra.recipe(shards[0]["catalog"], engine_of=self._engine_of)

    def _engine_of(self, sps: Mapping[str, Any]) -> Engine | ReferenceEngine:
        """Return the engine: shared if the first shard wanted it too, as all shards of a run do."""
        if self._engine is None:
            self._sps = sps
            # FSPS has its state in its own process
            self._engine = engines.of(sps) if sps["engine"] == "fsps" else self._share(lambda: engines.of(sps))
        return self._engine if sps == self._sps else engines.of(sps)

    def rows(self, shard: Shard) -> int:
        """Return the number of galaxies."""
        return storage.count_rows(shard["catalog"])

    def make(self, shard: Shard, report: Report = jobs.progress) -> None:
        """Compute the spectra."""
        columns = storage.read_arrays(shard["catalog"], spectra.NEEDED, optional=[realisations.COLUMN])
        made = spectra.recipe(shard["catalog"], engine_of=self._engine_of)
        with report(len(columns["galaxy_id"]), "galaxies", f"spectra {Path(shard['output']).stem}") as bar:
            spectra.write(shard["output"], columns, made.engine, made.limits, made.about, bar)


STAGES: dict[str, Callable[[Params, Sequence[Shard], Share], Stage]] = {
    "parent": Parent,
    "neighbours": Neighbours,
    "spectra": Spectra,
}


def set_up(work: Work, share: Share = alone) -> Stage:
    """Return the stage that makes the shards of a job."""
    return STAGES[work.stage](work.params, work.shards, share)


def make_all(work: Work) -> None:
    """Make all shards, one after the other, in this process."""
    stage = set_up(work)
    for shard in work.shards:
        stage.make(shard, jobs.progress)
