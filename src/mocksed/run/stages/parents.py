"""The stages of the parent catalogues: their points, and the trees over them."""

from __future__ import annotations

from collections.abc import Sequence

from mocksed.files import provenance, storage
from mocksed.progress import progress
from mocksed.run.work import Params, Report, Shard, Share, alone
from mocksed.search import parent, tree
from mocksed.search.metric import metric_of
from mocksed.sps import from_config


class Parent:
    """Shards of the parent catalogues: points and their observable quantities.

    Parameters
    ----------
    params : mapping
        ``recipes``: of each kind of parent, the arguments of `mocksed.search.parent.recipe`; ``n_shards``: of each
        kind; ``about``: what the files say of the run.
    shards : sequence of mapping
        ``kind``, ``shard`` (its number) and ``output``.
    share : Share
        For the engine.

    """

    def __init__(self, params: Params, shards: Sequence[Shard], share: Share = alone) -> None:
        arguments = params["recipes"]
        self._recipes = {kind: parent.recipe(**recipe) for kind, recipe in arguments.items()}
        sps = arguments[shards[0]["kind"]]["sps"]
        self._engine = share(lambda: from_config.over_table(sps).prepared())
        self._about = params["about"] | provenance.of_engine(self._engine, sps)
        self._n_shards = params["n_shards"]

    def _bounds(self, shard: Shard) -> tuple[int, int]:
        return storage.shard_bounds(self._recipes[shard["kind"]]["n"], self._n_shards)[int(shard["shard"])]

    def rows(self, shard: Shard) -> int:
        """Return the number of points."""
        start, stop = self._bounds(shard)
        return stop - start

    def make(self, shard: Shard, report: Report = progress) -> None:
        """Draw the points and evaluate them."""
        start, stop = self._bounds(shard)
        with report(stop - start, "points", f"parent {shard['kind']} {shard['shard']}") as bar:
            recipe = self._recipes[shard["kind"]]
            parent.write(shard["output"], start, stop, recipe, self._engine, self._about, bar)


def make_tree(params: Params, parents: Sequence[str], leaves: str, about: str) -> None:
    """Write the k-d tree of a range of rows of a parent.

    Parameters
    ----------
    params : mapping
        ``recipe``: the arguments of `mocksed.search.parent.recipe`; ``metric``: those of
        `mocksed.search.metric.metric_of` but the ``kind``, which is another; ``tree`` and ``n_trees``: its number, and
        how many there are.
    parents : sequence of path
        The shards of the parent that have the rows.
    leaves, about : path
        The files to write.

    """
    recipe = parent.recipe(**params["recipe"])
    catalogue = parent.open_shards(parents, recipe)
    metric = metric_of(params["kind"], **params["metric"])
    start, stop = storage.shard_bounds(recipe["n"], params["n_trees"])[params["tree"]]
    with progress(stop - start, "points", "tree") as bar:
        tree.write(catalogue, metric, start, stop, leaves, about, bar)
