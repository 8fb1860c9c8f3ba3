"""The user's table of galaxies: checked as a whole, then written in shards in the columns of the catalogue.

The table is read twice, in chunks. The first pass finds everything that is wrong with it and counts the rows that can
be used; the second deals them out to the shards like cards. Nothing is written before the whole table is known to be
good.
"""

import difflib
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mocksed import rng, storage
from mocksed.columns import PREFIXES, RESERVED, given_column
from mocksed.errors import UserError
from mocksed.galaxies.given import NO_STAR_FORMATION, SPELLINGS, looks_like
from mocksed.galaxies.mass_functions import draw_quiescent, quiescent_fraction
from mocksed.galaxies.readers import CHUNK_ROWS, Table, open_table
from mocksed.galaxies.rows import (
    N_LISTED,
    Galaxies,
    Problem,
    examples,
    galaxy_ids,
    listing,
    normalise,
    numbers,
)
from mocksed.galaxies.spec import TableSpec
from mocksed.jobs import progress
from mocksed.realisations import COLUMN, column_needed

log = logging.getLogger("mocksed")

Array = NDArray[np.float64]

STANDARD = ("galaxy_id", "redshift", "log_mstar", "quiescent")
"""Columns that every normalised table has."""

_ROLES = {"galaxy_id": "galaxy_id", "redshift": "redshift", "mass": "log_mstar", "quiescent": "quiescent"}
_SAMPLED = 1000  # values of a chunk, for the median
_FEW = 10  # values that have no telling median
_LOG_OR_LINEAR = 30.0  # log10 of a stellar mass is below, a stellar mass in Msun above
_HELD_BYTES = 1 << 28  # of dealt rows, before they are appended to their shards
_NO_STAR_FORMATION = "_no_star_formation"  # column of dealt rows, not of shards
_DEALT = ".dealt."  # how the folder of the shards' temporary files begins
_DROP_HINT = "Put them right, or leave these rows out with `invalid_rows: drop` (galaxies.table)."


# ----------------------------------------------------------------------------------------------------- header


def check_header(spec: TableSpec) -> None:
    """Check all that can be known of the table without reading its rows.

    Raises
    ------
    UserError
        If the file is missing, unreadable or of unknown format, lacks a column that the config names, or has one whose
        name the catalogue needs.

    """
    roles = spec.roles()
    with open_table(spec.path, spec.format, spec.dataset) as table:
        _passing_through(spec, roles, table)


def _passing_through(spec: TableSpec, roles: Mapping[str, str], table: Table) -> list[str]:
    """Return the names of the columns that pass through to the catalogue, after checking all names."""
    for role, name in roles.items():
        _check_present(spec, table, name, f"galaxies.table.columns.{role}")
    for (one, name), (other, of_other) in combinations(roles.items(), 2):
        if name == of_other:
            raise UserError(
                f"galaxies.table.columns.{one} and galaxies.table.columns.{other} both name the column '{name}'. Each "
                "must have one of its own."
            )
    replaced = {name for role, name in roles.items() if name == _ROLES.get(role, role)}
    if spec.keep == "all":
        names = list(table.columns)
    else:
        names = list(dict.fromkeys(spec.keep))
        for name in names:
            _check_present(spec, table, name, "galaxies.table.keep")
    names = [name for name in names if name not in replaced]
    for name in names:
        if name in RESERVED or name in STANDARD or name.startswith(PREFIXES):
            raise UserError(
                f"{spec.path}: column '{name}' has a name that the catalogue needs for its own columns. Rename it, or "
                f"list the columns that pass through in galaxies.table.keep without it{_clash_hint(name)}."
            )
    return names


def not_used(spec: TableSpec, columns: Sequence[str]) -> Iterator[str]:
    """Yield which columns of the table give a quantity by their names, but are not named in the config for it."""
    given, used = spec.given(), set(spec.roles().values())
    for name in columns:
        role = looks_like(name)
        if role is not None and SPELLINGS[role].quantity not in given and name not in used:
            yield (
                f"column '{name}' looks like {SPELLINGS[role].what} and is not used: name it in "
                f"galaxies.table.columns.{role}"
            )


def _clash_hint(name: str) -> str:
    role = {standard: role for role, standard in _ROLES.items()}.get(name, name if name in SPELLINGS else None)
    return f"; if it is what its name says, set galaxies.table.columns.{role} to it" if role else ""


def _check_present(spec: TableSpec, table: Table, name: str, key: str) -> None:
    if name in table.columns:
        return
    if name in table.unusable:
        raise UserError(
            f"{spec.path}: column '{name}' ({key}) is of {table.unusable[name]}, not one number, flag or text per row. "
            "Name another one, or split it into columns of their own."
        )
    close = difflib.get_close_matches(name, table.columns, n=1, cutoff=0.5) or [
        other for other in table.columns if other.lower() == name.lower()
    ]
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise UserError(
        f"{spec.path} has no column '{name}' ({key}).{hint} It has: {', '.join(table.columns) or 'no columns'}."
    )


# ------------------------------------------------------------------------------------------------- first pass


@dataclass
class _Reason:
    """Rows of the table that cannot be used, for one reason."""

    problem: Problem
    count: int
    examples: list[tuple[int, object]]

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        return (
            f"  column '{self.problem.column}' {self.problem.what}: {self.count} rows "
            f"({listing(self.examples)}{more}); expected {self.problem.expected}"
        )


class _Validation:
    """What the first pass learns; of the rows it keeps only a thin sample of the masses."""

    def __init__(self, spec: TableSpec, columns: Sequence[str]) -> None:
        self.spec, self.roles, self.columns = spec, spec.roles(), columns
        self.n_rows = self.n_used = self.n_quiescent = 0
        self.n_given = dict.fromkeys(spec.given(), 0)
        self.n_no_star_formation = self.n_of_them_star_forming = 0
        self.reasons: dict[tuple[str, str], _Reason] = {}
        self._samples: dict[str, list[Array]] = {role: [] for role in ("mass", *spec.given().values())}
        self.ids_increase = True
        self._last_id: int | None = None

    def add(self, chunk: pa.Table, galaxies: Galaxies) -> None:
        """Take in the next chunk."""
        for problem in galaxies.problems:
            if problem.rows.any():
                reason = self.reasons.setdefault((problem.column, problem.what), _Reason(problem, 0, []))
                reason.count += int(problem.rows.sum())
                room = N_LISTED - len(reason.examples)
                reason.examples += examples(chunk[problem.column], problem.rows, self.n_rows)[:room]
        ids = galaxies.galaxy_id
        if len(ids):
            follows = self._last_id is None or ids[0] > self._last_id
            self.ids_increase &= bool(follows and np.all(ids[1:] > ids[:-1]))
            self._last_id = int(ids[-1])
        for role, samples in self._samples.items():
            values, missing = numbers(chunk, self.roles[role], self.spec)
            telling = {"mass": values > 0.0, "sfr": values != 0.0, "log_sfr": values >= NO_STAR_FORMATION}
            sample = values[~missing.rows & telling.get(role, True)]
            samples.append(sample[:: max(len(sample) // _SAMPLED, 1)])
        used = galaxies.used
        self.n_rows += len(chunk)
        self.n_used += int(used.sum())
        self.n_quiescent += int((used & galaxies.quiescent).sum())
        for quantity in self.n_given:
            self.n_given[quantity] += int((used & ~np.isnan(galaxies.given[given_column(quantity)])).sum())
        none = used & galaxies.no_star_formation
        self.n_no_star_formation += int(none.sum())
        self.n_of_them_star_forming += int((none & ~galaxies.quiescent).sum())

    def check(self) -> None:
        """Raise a UserError if the table cannot be used."""
        path = self.spec.path
        if self.n_rows == 0:
            raise UserError(f"{path} is empty: it has columns but no rows.")
        if unlikely := list(self._unlikely()):
            raise UserError("\n".join(unlikely))
        listed = "\n".join(str(reason) for reason in self.reasons.values())
        if self.reasons and self.spec.invalid_rows == "stop":
            raise UserError(
                f"{path}: {self.n_rows - self.n_used} of {self.n_rows} rows cannot be used (counted from 0):\n{listed}"
                f"\n{_DROP_HINT}"
            )
        if self.n_used == 0:
            raise UserError(
                f"{path}: none of its {self.n_rows} rows can be used (counted from 0):\n{listed}\n"
                "Check galaxies.table.columns and the units."
            )

    def _unlikely(self) -> Iterator[str]:
        """Yield which columns are not what the config says, by their medians."""
        spec = self.spec
        for role, samples in self._samples.items():
            sample = np.concatenate(samples)
            if len(sample) < (1 if role == "mass" else _FEW):
                continue
            median, spelling = np.median(sample), SPELLINGS.get(role)
            where = f"{spec.path}: column '{self.roles[role]}' has a median of {median:.4g}"
            if spelling is not None:
                low, high = spelling.median
                if not low <= median <= high:
                    yield (
                        f"{where}, but galaxies.table.columns.{role} is {spelling.what}, of a median from {low:g} to "
                        f"{high:g}: {spelling.cause}, and add values that mean that there is none to "
                        "galaxies.table.missing_values."
                    )
            elif spec.mass_scale == "log" and median > _LOG_OR_LINEAR:
                yield (
                    f"{where}, which is no log10 of a stellar mass: the masses are not logarithms. "
                    "Set galaxies.table.mass_scale to linear."
                )
            elif spec.mass_scale == "linear" and median * spec.mass_factor < _LOG_OR_LINEAR:
                yield (
                    f"{where}, too small for stellar masses in {spec.mass_unit}. If these are their log10, set "
                    "galaxies.table.mass_scale to log; if they are multiples of a large mass, say of which in "
                    "galaxies.table.mass_factor (1.0e+10 for 1e10 Msun)."
                )

    def lines(self) -> Iterator[str]:
        """Yield what is worth to be known of the rows that are used."""
        if self.n_no_star_formation:
            name = self.roles[self.spec.given()["log_sfr"]]
            yield (
                f"column '{name}': {self.n_no_star_formation} galaxies have no star formation (an SFR of 0); they are "
                "quiescent, and their SFR is drawn"
                + (f", but {self.n_of_them_star_forming} of them are star-forming by column "
                   f"'{self.roles['quiescent']}'" if self.n_of_them_star_forming else "")
            )  # fmt: skip

    def report(self) -> dict[str, Any]:
        """Return the numbers of rows used and left out."""
        return {
            "n_rows": self.n_rows,
            "n_used": self.n_used,
            "n_dropped": self.n_rows - self.n_used,
            "n_quiescent": self.n_quiescent,
            "n_given": self.n_given,
            "n_no_star_formation": self.n_no_star_formation,
            "reasons": [
                {
                    "column": reason.problem.column,
                    "problem": reason.problem.what,
                    "expected": reason.problem.expected,
                    "n_rows": reason.count,
                    "first_rows": [row for row, _ in reason.examples],
                }
                for reason in self.reasons.values()
            ],
            "not_used": list(not_used(self.spec, self.columns)),
        }


# ------------------------------------------------------------------------------------------------ second pass


def write_shards(
    spec: TableSpec,
    seed: int,
    outputs: Sequence[Path | str],
    report: Path | str | None = None,
    chunk_rows: int = CHUNK_ROWS,
    about: Mapping[str, object] | None = None,
    realisations: Sequence[int] = (0,),
) -> None:
    """Check the user's table and write its rows as shards of the catalogue's input.

    Columns are galaxy_id, redshift, log_mstar [log10 Msun], quiescent, and those that pass through, unchanged. Rows are
    dealt out to the shards (see `deal`) and keep the table's order within each. Where there are other realisations than
    0, a shard has its rows once for each, with a column ``realisation``; classes differ where the mass functions decide
    them.

    Parameters
    ----------
    spec : TableSpec
        The table.
    seed : int
        Seed of the run.
    outputs : sequence of path
        The shards (Parquet). All of them appear, or none.
    report : path, optional
        JSON with ``n_rows``, ``n_used``, ``n_dropped`` and the reasons for which rows were left out.
    chunk_rows : int
        Rows read at a time.
    about : mapping, optional
        Metadata of the shards.
    realisations : sequence of int
        Indices of the realisations.

    Raises
    ------
    UserError
        If the table cannot be read or used; nothing is written.

    """
    roles = spec.roles()
    with open_table(spec.path, spec.format, spec.dataset) as table:
        kept = _passing_through(spec, roles, table)
        if spec.keep == "all":
            for name, what in table.unusable.items():
                log.info("%s: column '%s' does not pass through (%s)", spec.path, name, what)
        validation = _validate(spec, table, seed, chunk_rows)
        for reason in validation.reasons.values():
            log.info("left out:%s", str(reason))
        log.info("%s: %d of %d rows used", spec.path, validation.n_used, validation.n_rows)
        for line in (*validation.lines(), *not_used(spec, table.columns)):
            log.info("%s: %s", spec.path, line)

        read = list(dict.fromkeys([*roles.values(), *kept]))
        with ExitStack() as stack:
            temporaries = [stack.enter_context(storage.replacing(path)) for path in outputs]
            if report is not None:
                storage.write_json(stack.enter_context(storage.replacing(report)), validation.report())
            with progress(validation.n_rows, "rows", "deal out") as bar:
                rows = _used_rows(table.read(read, chunk_rows), kept, spec, seed, about, bar.update)
                dealt = stack.enter_context(_dealt(rows, len(outputs), Path(outputs[0]).parent))
            with progress(validation.n_used * len(realisations), "rows", "write") as bar:
                for temporary, path in zip(temporaries, dealt, strict=True):
                    first, *others = _in_realisations(_collect(path), realisations, spec, seed)
                    with pq.ParquetWriter(temporary, first.schema, **storage.PARQUET) as writer:
                        for rows in (first, *others):
                            writer.write_table(rows, storage.ROW_GROUP)
                            bar.update(len(rows))
                    path.unlink()


def _validate(spec: TableSpec, table: Table, seed: int, chunk_rows: int) -> _Validation:
    validation = _Validation(spec, table.columns)
    roles = spec.roles()
    for chunk in table.read(list(dict.fromkeys(roles.values())), chunk_rows):
        validation.add(chunk, normalise(chunk, validation.n_rows, spec, seed))
    validation.check()
    if not validation.ids_increase:  # only then can they repeat; costs 16 bytes a row to find out
        name = roles["galaxy_id"]
        chunks = table.read([name], chunk_rows)
        _check_unique(spec, table, np.concatenate([galaxy_ids(chunk[name], 0, spec) for chunk in chunks]))
    return validation


def _check_unique(spec: TableSpec, table: Table, ids: NDArray[np.int64]) -> None:
    name = spec.columns["galaxy_id"]
    order = np.argsort(ids, kind="stable")
    again = np.flatnonzero(ids[order][1:] == ids[order][:-1]) + 1
    if len(again) == 0:
        return
    first = sorted((int(order[i]), int(order[i - 1])) for i in again)[:N_LISTED]
    values = _values_at(table, name, [row for row, _ in first])
    listed = ", ".join(f"{values[row]!r} in rows {before} and {row}" for row, before in first)
    raise UserError(
        f"{spec.path}: column '{name}' repeats {len(again)} identifiers: {listed}"
        f"{', ...' if len(again) > N_LISTED else ''}. They must be unique: make them so, or number the rows with "
        "galaxies.table.columns.galaxy_id: null."
    )


def _values_at(table: Table, name: str, rows: Sequence[int]) -> dict[int, object]:
    """Return the values of a column in some rows."""
    values: dict[int, object] = {}
    first_row = 0
    for chunk in table.read([name], CHUNK_ROWS):
        values |= {row: chunk[name][row - first_row].as_py() for row in rows if 0 <= row - first_row < len(chunk)}
        first_row += len(chunk)
    return values


def _used_rows(
    chunks: Iterator[pa.Table],
    kept: Sequence[str],
    spec: TableSpec,
    seed: int,
    about: Mapping[str, object] | None,
    done: Callable[[int], None],
) -> Iterator[pa.Table]:
    """Yield the rows that can be used in the columns of the catalogue."""
    first_row = 0
    for chunk in chunks:
        galaxies = normalise(chunk, first_row, spec, seed)
        columns: dict[str, object] = {name: getattr(galaxies, name) for name in STANDARD}
        of_id = None
        if galaxies.original_id is not None:
            columns["original_id"], of_id = galaxies.original_id, spec.columns["galaxy_id"]
        columns |= galaxies.given
        columns |= {name: chunk[name] for name in kept if name != of_id}
        if _classes_are_drawn(spec):
            columns[_NO_STAR_FORMATION] = galaxies.no_star_formation
        yield storage.to_table(columns, about).filter(pa.array(galaxies.used))
        first_row += len(chunk)
        done(len(chunk))


def _classes_are_drawn(spec: TableSpec) -> bool:
    """Return whether the mass functions decide who is quiescent, but for galaxies without star formation."""
    return spec.quiescent_from == "mass_function" and "log_sfr" in spec.given()


def _in_realisations(galaxies: pa.Table, realisations: Sequence[int], spec: TableSpec, seed: int) -> Iterator[pa.Table]:
    """Yield the rows of a shard in each of the realisations."""
    none: NDArray[np.bool_] | bool = False
    if _classes_are_drawn(spec):
        none = galaxies[_NO_STAR_FORMATION].to_numpy()
        galaxies = galaxies.drop_columns(_NO_STAR_FORMATION)
    if not column_needed(realisations):
        yield galaxies
        return
    galaxy_id, redshift, log_mstar, quiescent = (galaxies[name].to_numpy() for name in STANDARD)
    fraction = quiescent_fraction(log_mstar, redshift) if spec.quiescent_from == "mass_function" else None
    for index in realisations:
        own = {COLUMN: np.full(len(galaxies), index), "quiescent": quiescent}
        if fraction is not None:
            own["quiescent"] = draw_quiescent(fraction, galaxy_id, seed, index) | none
        drawn = storage.to_table(own)
        rows = galaxies.set_column(STANDARD.index("quiescent"), drawn.field("quiescent"), drawn["quiescent"])
        yield rows.add_column(1, drawn.field(COLUMN), drawn[COLUMN])


def deal(first_row: int, n_rows: int, n_shards: int) -> NDArray[np.int64]:
    """Return the shards of some rows that follow each other.

    Rows are dealt out like cards: of every ``n_shards`` rows each shard gets one. Who gets which is drawn anew in every
    such round, independently of seed and galaxies. Whatever order a table has, by redshift, mass or class, or a
    periodic one as of pairs, every shard is an even sample of it, and all jobs of a stage cost about the same.

    Parameters
    ----------
    first_row, n_rows : int
        The rows, counted among those that can be used.
    n_shards : int
        Number of shards; their numbers of rows differ by at most one.

    Returns
    -------
    ndarray of shape (n_rows, )

    """
    in_round, place = np.divmod(np.arange(first_row, first_row + n_rows), n_shards)
    rounds, row = np.unique(in_round, return_inverse=True)
    hands = np.argsort(rng.uniforms(0, rng.Stage.SHARDS, rounds, n_shards), axis=1, kind="stable")
    return hands[row, place]


@contextmanager
def _dealt(tables: Iterable[pa.Table], n_shards: int, folder: Path) -> Iterator[list[Path]]:
    """Deal out rows; yield a temporary file for each shard (see `_collect`), in a folder that is then removed.

    Appending to files that are open one at a time bounds memory and open files whatever the number of shards.
    """
    for left_by_a_killed_job in folder.glob(f"{_DEALT}*"):
        shutil.rmtree(left_by_a_killed_job)
    with TemporaryDirectory(prefix=_DEALT, dir=folder) as temporary:
        paths = [Path(temporary, str(shard)) for shard in range(n_shards)]
        held: list[tuple[pa.Table, NDArray[np.int64]]] = []
        first_row = 0
        for table in tables:
            shard = deal(first_row, len(table), n_shards)
            first_row += len(table)
            ordered = table.take(pa.array(np.argsort(shard, kind="stable")))
            held.append((ordered, np.searchsorted(np.sort(shard), np.arange(n_shards + 1))))
            if sum(rows.nbytes for rows, _ in held) > _HELD_BYTES:
                _append(paths, held)
                held = []
        _append(paths, held)
        yield paths


def _append(paths: Sequence[Path], held: Sequence[tuple[pa.Table, NDArray[np.int64]]]) -> None:
    """Append to the file of each shard a stream of its rows, of tables in the order of shards and where these begin."""
    for shard, path in enumerate(paths if held else ()):
        rows = pa.concat_tables([table.slice(at[shard], at[shard + 1] - at[shard]) for table, at in held])
        with open(path, "ab") as file, pa.ipc.new_stream(file, rows.schema) as stream:
            stream.write_table(rows.combine_chunks())


def _collect(path: Path) -> pa.Table:
    """Return the rows that were dealt to a shard, mapped, not read."""
    streams = []
    with pa.memory_map(str(path)) as file:
        while file.tell() < file.size():
            streams.append(pa.ipc.open_stream(file).read_all())
    return pa.concat_tables(streams).unify_dictionaries()
