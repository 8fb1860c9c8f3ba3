"""The first pass through the user's table: all problems with its rows, and the number of valid rows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mocksed.errors import UserError
from mocksed.files.columns import given_column
from mocksed.galaxies.given import SPELLINGS
from mocksed.galaxies.header import Header, not_used, together
from mocksed.galaxies.readers import CHUNK_ROWS, Table
from mocksed.galaxies.rows import N_LISTED, Galaxies, Problem, examples, galaxy_ids, listing, normalise, numbers
from mocksed.galaxies.spec import TableSpec

Array = NDArray[np.float64]

_SAMPLED = 1000  # values of a chunk, for the median
_FEW = 10  # values that have no telling median
_MARK = -30.0  # log10 of an SFR that is rather a mark than a value, such as -99
_KINDS = 10  # classes that a note lists
_LOG_OR_LINEAR = 30.0  # log10 of a stellar mass is below, a stellar mass in Msun above
_DROP_HINT = "Put them right, or leave these rows out with `invalid_rows: drop` (galaxies.table)."


@dataclass
class Reason:
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


class Validation:
    """The results of the first pass; of the rows themselves only thin samples are kept.

    Attributes
    ----------
    n_rows, n_used, n_quiescent, n_no_star_formation : int
        Rows that were read; of these that can be used; of these that are quiescent, and that have an SFR of 0.
    n_given : dict of str to int
        Those that can be used and have a value: quantity of `mocksed.quantities.GIVEN` to number.
    id_problems : list of str
        What is wrong with the identifiers as a whole.

    """

    def __init__(self, header: Header, columns: Sequence[str]) -> None:
        self.spec, self.roles, self.columns = header.spec, header.spec.roles(), columns
        self.n_rows = self.n_used = self.n_quiescent = self.n_no_star_formation = self._n_forming_without_sfr = 0
        self.n_given = dict.fromkeys(self.spec.given(), 0)
        self.reasons: dict[tuple[str, str], Reason] = {}
        self.ids_increase = True
        self._header_notes = header.notes
        self._last_id: int | None = None
        self._kinds: set[object] = set()
        self._samples: dict[str, list[Array]] = {role: [] for role in ("mass", *self.spec.given().values())}
        self.id_problems: list[str] = []

    def add(self, chunk: pa.Table, galaxies: Galaxies) -> None:
        """Take in the next chunk."""
        for problem in galaxies.problems:
            if problem.rows.any():
                reason = self.reasons.setdefault((problem.column, problem.what), Reason(problem, 0, []))
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
            telling = {"mass": values > 0.0, "sfr": values != 0.0, "log_sfr": values > _MARK}
            sample = values[~missing.rows & telling.get(role, True)]
            samples.append(sample[:: max(len(sample) // _SAMPLED, 1)])
        if self.spec.quiescent_values:
            self._kinds |= set(islice(chunk[self.roles["quiescent"]].unique().to_pylist(), _KINDS))
        used = galaxies.used
        self.n_rows += len(chunk)
        self.n_used += int(used.sum())
        self.n_quiescent += int((used & galaxies.quiescent).sum())
        for quantity in self.n_given:
            self.n_given[quantity] += int((used & ~np.isnan(galaxies.given[given_column(quantity)])).sum())
        none = used & galaxies.no_star_formation
        self.n_no_star_formation += int(none.sum())
        self._n_forming_without_sfr += int((none & ~galaxies.quiescent).sum())

    def problems(self) -> list[str]:
        """Return why the table cannot be used."""
        path = self.spec.path
        if self.n_rows == 0:
            return [f"{path} is empty: it has columns but no rows."]
        unlikely = dict(self._unlikely())
        problems = [*unlikely.values(), *self.id_problems]
        reasons = [reason for reason in self.reasons.values() if reason.problem.column not in unlikely]
        listed = "\n".join(str(reason) for reason in reasons)
        if reasons and self.spec.invalid_rows == "stop":
            n_wrong = "rows" if unlikely else f"{self.n_rows - self.n_used} of {self.n_rows} rows"
            problems.append(f"{path}: {n_wrong} cannot be used (counted from 0):\n{listed}\n{_DROP_HINT}")
        elif self.n_used == 0 and not problems:
            problems.append(
                f"{path}: none of its {self.n_rows} rows can be used (counted from 0):\n{listed}\n"
                "Check galaxies.table.columns and the units."
            )
        return problems

    def _unlikely(self) -> Iterator[tuple[str, str]]:
        """Yield columns that are not what the config says, by their medians, and a message of each."""
        for role, samples in self._samples.items():
            sample = np.concatenate(samples)
            if len(sample) >= (1 if role == "mass" else _FEW):
                name = self.roles[role]
                if what := _unlikely_as(role, sample, self.spec):
                    yield name, f"{self.spec.path}: column '{name}' has {what}"

    def notes(self) -> list[str]:
        """Return notes on the columns and on the valid rows."""
        notes = list(self._header_notes)
        if self.n_no_star_formation:
            name, n, none = self.roles[self.spec.given()["log_sfr"]], self._n_forming_without_sfr, "below 1e-8 Msun/yr"
            classes = f"{n} are star-forming by column '{self.roles['quiescent']}'" if n else "they are quiescent"
            notes.append(
                f"column '{name}': {self.n_no_star_formation} galaxies have no star formation (an SFR {none}), which "
                f"counts as not given; {classes}"
            )
        if self.spec.quiescent_values and self.n_quiescent == 0:
            kinds = ", ".join(sorted(map(str, self._kinds))[:_KINDS])
            notes.append(
                f"column '{self.roles['quiescent']}': no galaxy has one of galaxies.table.quiescent.values "
                f"{list(self.spec.quiescent_values)}; there are {kinds}"
            )
        return notes

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
            "notes": self.notes(),
            "not_used": list(not_used(self.spec, self.columns)),
        }


def _unlikely_as(role: str, sample: Array, spec: TableSpec) -> str:
    """Return what tells that some values of a column are something else, and what to do, '' if nothing does."""
    median = float(np.median(sample))
    what = f"a median of {median:.4g}"
    if role in SPELLINGS:
        spelling = SPELLINGS[role]
        low, high = spelling.median
        if spelling.never[0] <= sample.min() and sample.max() <= spelling.never[1]:
            what = f"values from {sample.min():.4g} to {sample.max():.4g} only"
        elif low <= median <= high:
            return ""
        return (
            f"{what}, but galaxies.table.columns.{role} is {spelling.what}: {spelling.cause}, and add values that "
            "stand for missing ones to galaxies.table.missing_values."
        )
    if spec.mass_scale == "log" and median > _LOG_OR_LINEAR:
        return (
            f"{what}, which is no log10 of a stellar mass: the masses are not logarithms. "
            "Set galaxies.table.mass_scale to linear."
        )
    if spec.mass_scale == "linear" and median * spec.mass_factor < _LOG_OR_LINEAR:
        return (
            f"{what}, too small for stellar masses in {spec.mass_unit}. If these are their log10, set "
            "galaxies.table.mass_scale to log; if they are multiples of a large mass, say of which in "
            "galaxies.table.mass_factor (1.0e+10 for 1e10 Msun)."
        )
    return ""


def examine(header: Header, table: Table, seed: int, chunk_rows: int = CHUNK_ROWS, all_rows: bool = True) -> Validation:
    """Read the table once, or its first rows.

    Parameters
    ----------
    header : Header
        What its columns are for.
    table : Table
        The table, open.
    seed : int
        Seed of the run.
    chunk_rows : int
        Rows read at a time.
    all_rows : bool
        Whether to read all of the table, or only as many rows.

    Raises
    ------
    UserError
        If the file is damaged, or the identifiers are none.

    """
    n_rows = None if all_rows else chunk_rows
    validation = Validation(header, table.columns)
    for chunk in _first(table.read(list(validation.roles.values()), chunk_rows), n_rows):
        validation.add(chunk, normalise(chunk, validation.n_rows, header.spec, seed))
    if not validation.ids_increase:  # only then can they repeat; costs 16 bytes a row to find out
        name = validation.roles["galaxy_id"]
        chunks = _first(table.read([name], chunk_rows), n_rows)
        ids = np.concatenate([galaxy_ids(chunk[name], 0, header.spec) for chunk in chunks])
        validation.id_problems = _repeated(header.spec, table, ids)
    return validation


def _first(chunks: Iterable[pa.Table], n_rows: int | None) -> Iterator[pa.Table]:
    """Yield chunks until there are so many rows, or all; those of several files can be small."""
    n_read = 0
    for chunk in chunks:
        yield chunk
        n_read += len(chunk)
        if n_rows is not None and n_read >= n_rows:
            return


def validate(header: Header, table: Table, seed: int, chunk_rows: int = CHUNK_ROWS) -> Validation:
    """Return what `examine` learns of the whole table.

    Raises
    ------
    UserError
        With everything that is wrong with the rows.

    """
    validation = examine(header, table, seed, chunk_rows)
    if problems := validation.problems():
        raise UserError(together(str(header.spec.path), problems))
    return validation


def _repeated(spec: TableSpec, table: Table, ids: NDArray[np.int64]) -> list[str]:
    """Return which identifiers repeat, if any do."""
    name = spec.columns["galaxy_id"]
    order = np.argsort(ids, kind="stable")
    again = np.flatnonzero(ids[order][1:] == ids[order][:-1]) + 1
    if len(again) == 0:
        return []
    first = sorted((int(order[i]), int(order[i - 1])) for i in again)[:N_LISTED]
    values = _values_at(table, name, [row for row, _ in first])
    listed = ", ".join(f"{values[row]!r} in rows {before} and {row}" for row, before in first)
    return [
        f"{spec.path}: column '{name}' repeats {len(again)} identifiers: {listed}"
        f"{', ...' if len(again) > N_LISTED else ''}. They must be unique: make them so, or number the rows with "
        "galaxies.table.columns.galaxy_id: null."
    ]


def _values_at(table: Table, name: str, rows: Sequence[int]) -> dict[int, object]:
    """Return the values of a column in some rows."""
    values: dict[int, object] = {}
    first_row = 0
    for chunk in table.read([name], CHUNK_ROWS):
        values |= {row: chunk[name][row - first_row].as_py() for row in rows if 0 <= row - first_row < len(chunk)}
        first_row += len(chunk)
    return values
