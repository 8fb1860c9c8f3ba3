"""The stages of the search: the balance of weights, the neighbours of galaxies and their parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocksed import realisations
from mocksed.cosmology import Cosmology, age_max
from mocksed.errors import UserError
from mocksed.files import provenance, staging, storage
from mocksed.files.columns import GALAXY, GALAXY_OPTIONAL
from mocksed.progress import progress
from mocksed.relations import BEHIND_BALANCE, Relations, used
from mocksed.run.work import Params, Report, Shard, Share, alone
from mocksed.search import KINDS, assign, balance, choice, given, neighbours, parent, tree
from mocksed.search.balance import Balance
from mocksed.search.choice import Prior
from mocksed.search.cloud import Cloud, Search
from mocksed.search.metric import Metric, metric_of
from mocksed.search.nodes import SFR_OFFSETS, grid
from mocksed.sps import from_config
from mocksed.sps.model import Model


def search_of(params: Params) -> Search:
    """Return how galaxies are searched for, from the config's ``neighbours``, ``assignment`` and others in a job."""
    assignment = params["assignment"]
    return Search(
        method=assignment["method"],
        k=params["neighbours"]["k"],
        n_draws=params["neighbours"]["draws"],
        allowed_ages_only=params["neighbours"]["allowed_ages_only"],
        seed=params["seed"],
        cosmo=Cosmology(**params["cosmology"]),
        relations=Relations.from_config(params["relations"]),
        prior={kind: Prior.from_config(assignment["prior"][kind]) for kind in KINDS},
        given=params["given"]["mode"],
        model=Model.from_config(params["sps"]),
    )


class Trees:
    """The tree shards of the parents, opened and checked.

    Parameters
    ----------
    params : mapping
        ``recipes``: of each kind of parent, the arguments of `mocksed.search.parent.recipe`; ``metric``: those of
        `mocksed.search.metric.metric_of` but the kind; ``config``: as the user gave it, for
        `mocksed.files.staging.scratch_of`.
    files : mapping
        Of each kind, the files of its tree shards: ``leaves`` and ``about``.
    share : Share
        For the trees.

    """

    def __init__(self, params: Params, files: Mapping[str, Mapping[str, Sequence[str]]], share: Share) -> None:
        scratch = staging.scratch_of(params["config"])
        self.recipes = {kind: parent.recipe(**params["recipes"][kind]) for kind in files}
        self.metrics = {kind: metric_of(kind, **params["metric"]) for kind in files}
        self.clouds: dict[str, Cloud] = {}
        for kind, shard_files in files.items():
            metric, recipe = self.metrics[kind], self.recipes[kind]
            bounds = storage.shard_bounds(recipe["n"], len(shard_files["leaves"]))

            def read(
                leaves: str, about: str, rows: tuple[int, int],
                metric: Metric = metric, recipe: parent.Recipe = recipe,
            ) -> tree.KDTree:  # fmt: skip
                return tree.read(staging.local(leaves, scratch), about, metric, *rows, recipe)

            shards = zip(shard_files["leaves"], shard_files["about"], bounds, strict=True)
            self.clouds[kind] = Cloud(kind, [share(partial(read, *shard)) for shard in shards], metric)

    def behind(self, search: Params) -> dict[str, Any]:
        """Return all that a balance follows from, in plain types."""
        names = ("neighbours", "assignment", "cosmology", "metric", "given", "limits")
        made_of = {
            "recipe": self.recipes["star_forming"], "statistics": choice.STATISTICS, "softness": balance.SOFTNESS,
            "relations": used(search["relations"], BEHIND_BALANCE),
        }  # fmt: skip
        return made_of | {name: search[name] for name in names}


def make_balance(params: Params, files: Mapping[str, Mapping[str, Sequence[str]]], output: str) -> None:
    """Write the balance of the weights of a run.

    Parameters
    ----------
    params, files : mappings
        As for `Trees`, of the star-forming class, and for `search_of`; ``limits``: ``redshift`` and ``log_mstar`` of
        the galaxies; ``about``: what the file says of the run.
    output : path
        The JSON file.

    """
    limits = params["limits"]
    trees = Trees(params, files, alone)
    sfr_is_given = "log_sfr" in params["given"]["quantities"]
    n_nodes = np.prod([len(nodes) for nodes in grid(limits["redshift"], limits["log_mstar"])])
    n_nodes *= 1 + len(SFR_OFFSETS) * sfr_is_given
    with progress(int(n_nodes), "nodes", "balance") as bar:
        run_balance = balance.of_run(
            trees.clouds["star_forming"], search_of(params), limits["redshift"], limits["log_mstar"], bar,
            sfr_is_given=sfr_is_given,
        )  # fmt: skip
    about = params["about"] | provenance.of_file(files["star_forming"]["about"][0])
    storage.write_json(output, provenance.stamped(about) | {"of": trees.behind(params)} | run_balance.as_json())


def read_balance(path: str, behind: Mapping[str, Any]) -> Balance:
    """Return a balance.

    Raises
    ------
    UserError
        If the file cannot be read, is not a balance, or belongs to another run.

    """
    stored = storage.read_json(path)
    if not isinstance(stored, Mapping) or not {"of", "coefficients", "residual"} <= stored.keys():
        raise UserError(f"{path} is not a balance of weights. Remove it and run again: it will be made again.")
    provenance.agree(path, stored, behind, within="of")
    return Balance.from_json(dict(stored))


class Neighbours:
    """The draws of galaxies and the parent points that they take, for shards of galaxies.

    Parameters
    ----------
    params : mapping
        As for `Trees` and `search_of`; ``limits`` as for `make_balance`; ``trees``: the files of both kinds;
        ``balance``: the file of the balance, None for methods that have none; ``about``: what the files say of the run.
    shards : sequence of mapping
        ``galaxies``, ``shard`` (its number, and how many there are) and ``output``.
    share : Share
        For the trees.

    """

    def __init__(self, params: Params, shards: Sequence[Shard], share: Share = alone) -> None:
        self._params, self._search = params, search_of(params)
        self._trees = Trees(params, params["trees"], share)
        behind = self._trees.behind(params)
        self._balance = read_balance(params["balance"], behind) if params["balance"] else None
        self._sources: dict[str, Any] = {}
        for kind in KINDS:
            self._sources |= provenance.of_file(params["trees"][kind]["about"][0])

    def rows(self, shard: Shard) -> int:
        """Return the number of galaxies."""
        return storage.count_rows(shard["galaxies"])

    def make(self, shard: Shard, report: Report = progress) -> None:
        """Search."""
        about, shard_record = self._params["about"], provenance.of_shard(*shard["shard"])
        provenance.check(shard["galaxies"], provenance.expected_of_galaxies(about, shard["shard"]))
        galaxies = storage.read_arrays(shard["galaxies"], GALAXY, GALAXY_OPTIONAL)
        with report(len(galaxies["galaxy_id"]), "galaxies", f"neighbours {Path(shard['output']).stem}") as bar:
            by_class = {
                kind: neighbours.of_class(members, self._trees.clouds[kind], self._search, self._balance, bar)
                for kind, members in _split_by_class(galaxies).items()
            }
        columns = realisations.keys(galaxies) | _together(galaxies["quiescent"], by_class)
        storage.write_table(shard["output"], columns, self._sources | about | shard_record)


def _split_by_class(columns: Mapping[str, NDArray]) -> dict[str, dict[str, NDArray]]:
    """Return the rows of each class, told apart by the column ``quiescent``."""
    rows = {kind: np.flatnonzero(columns["quiescent"] == (kind == "quiescent")) for kind in KINDS}
    return {kind: {name: values[members] for name, values in columns.items()} for kind, members in rows.items()}


def _together(quiescent: NDArray[np.bool_], classes: Mapping[str, Mapping[str, NDArray]]) -> dict[str, NDArray]:
    """Return the columns of both classes in the order of the galaxies, NaN where a class has none."""
    columns: dict[str, NDArray] = {}
    for kind, members in classes.items():
        rows = np.flatnonzero(quiescent == (kind == "quiescent"))
        for name, values in members.items():
            if name not in columns:
                missing = np.nan if values.dtype.kind == "f" else 0
                columns[name] = np.full((len(quiescent), *values.shape[1:]), missing, values.dtype)
            columns[name][rows] = values
    return columns


def assign_shard(params: Params, files: Mapping[str, Any], shard: Sequence[int], output: str) -> None:
    """Write the parameters of a shard of galaxies.

    Parameters
    ----------
    params : mapping
        ``recipes``, ``metric``, ``assignment``, ``seed``, ``cosmology``, ``sps``, ``about`` and ``config`` as for
        `Neighbours`.
    files : mapping
        ``galaxies``, ``neighbours``, and ``parents``: the shards of the parent of each kind.
    shard : pair of int
        Number of the shard, and how many there are.
    output : path
        The file to write.

    """
    scratch = staging.scratch_of(params["config"])
    about = params["about"]
    provenance.check(files["galaxies"], provenance.expected_of_galaxies(about, shard))
    provenance.check(files["neighbours"], provenance.expected_of_search(about, params["sps"], shard))
    galaxies = storage.read_arrays(files["galaxies"], GALAXY, GALAXY_OPTIONAL)
    searched = storage.to_arrays(storage.read_table(files["neighbours"]))
    if any(not np.array_equal(searched.get(name, []), values) for name, values in realisations.keys(galaxies).items()):
        raise UserError(f"{files['neighbours']} is of other galaxies. Remove it and run again: it will be made again.")
    limit = age_max(Cosmology(**params["cosmology"]), galaxies["redshift"])
    engine = from_config.over_table(params["sps"]).prepared() if given.columns(galaxies) else None
    classes = {}
    for kind, members in _split_by_class(galaxies | searched | {"limit": limit}).items():
        paths = [staging.local(path, scratch) for path in files["parents"][kind]]
        parents = parent.open_all(paths, parent.recipe(**params["recipes"][kind]))
        parents.check(parent.FSPS)
        classes[kind] = assign.assign(
            members, members["limit"], parents.take,
            metric=metric_of(kind, **params["metric"]), method=params["assignment"]["method"], seed=params["seed"],
            engine=engine, nebular=kind == "star_forming",
        )  # fmt: skip
    del classes["quiescent"]["log_us"]  # they have no gas
    drawn = {name: values for name, values in searched.items() if name.startswith("prop_")}
    columns = realisations.keys(galaxies) | drawn | _together(galaxies["quiescent"], classes)
    behind = provenance.of_file(files["neighbours"])
    storage.write_table(output, columns, behind | about | provenance.of_shard(*shard))
