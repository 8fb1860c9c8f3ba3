"""The first pass through the user's table, which finds all problems with its rows and counts those that can be used."""

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

_SAMPLES_PER_CHUNK = 1000  # about so many values of each chunk go into the median of a column
_MIN_SAMPLES = 10  # the median of fewer values says little about a column
_LOG_SFR_MARK = -30.0  # log10 of an SFR below this is a mark rather than a value, such as -99
_MAX_CLASSES = 10  # listed in a note
_LOG_OR_LINEAR = 30.0  # log10 of any stellar mass is below this, any stellar mass in Msun is above
_DROP_HINT = "Put them right, or leave these rows out with `invalid_rows: drop` (galaxies.table)."


@dataclass
class Reason:
    """Rows of the table that cannot be used for one reason: their number, and row and value of the first ones."""

    problem: Problem
    count: int
    examples: list[tuple[int, object]]

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        rows = "1 row" if self.count == 1 else f"{self.count} rows"
        return (
            f"  column '{self.problem.column}' {self.problem.what}: {rows} ({listing(self.examples)}{more}); "
            f"expected {self.problem.expected}"
        )


class Validation:
    """The results of the first pass. Of the rows themselves only small samples are kept.

    Attributes
    ----------
    n_rows, n_used : int
        Number of rows that were read, and of those among them that can be used.
    n_quiescent, n_no_star_formation : int
        Number of usable rows that are quiescent, and of those whose SFR counts as 0.
    n_given : dict of str to int
        Number of usable rows that have a value, for each given quantity (`mocksed.quantities.GIVEN`).
    reasons : dict of pairs of str to Reason
        Why rows cannot be used, by the column and what is wrong with it.
    ids_increase : bool
        Whether each identifier is larger than the one before, so that none can repeat.
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
        self._classes: set[object] = set()
        self._samples: dict[str, list[Array]] = {role: [] for role in ("mass", *self.spec.given().values())}
        self.id_problems: list[str] = []

    def add(self, chunk: pa.Table, galaxies: Galaxies) -> None:
        """Take in the next chunk, as the table has it and as galaxies."""
        for problem in galaxies.problems:
            if problem.rows.any():
                reason = self.reasons.setdefault((problem.column, problem.what), Reason(problem, 0, []))
                reason.count += int(problem.rows.sum())
                n_more = N_LISTED - len(reason.examples)
                reason.examples += examples(chunk[problem.column], problem.rows, self.n_rows)[:n_more]
        ids = galaxies.galaxy_id
        if len(ids):
            follows = self._last_id is None or ids[0] > self._last_id
            self.ids_increase &= bool(follows and np.all(ids[1:] > ids[:-1]))
            self._last_id = int(ids[-1])
        for role, samples in self._samples.items():
            values, missing = numbers(chunk, self.roles[role], self.spec)
            # values that stand for 0 or for no value say nothing about the unit of the column
            telling = {"mass": values > 0.0, "sfr": values != 0.0, "log_sfr": values > _LOG_SFR_MARK}
            sample = values[~missing.rows & telling.get(role, True)]
            samples.append(sample[:: max(len(sample) // _SAMPLES_PER_CHUNK, 1)])
        if self.spec.quiescent_values:
            self._classes |= set(islice(chunk[self.roles["quiescent"]].unique().to_pylist(), _MAX_CLASSES))
        used = galaxies.used
        self.n_rows += len(chunk)
        self.n_used += int(used.sum())
        self.n_quiescent += int((used & galaxies.quiescent).sum())
        for quantity in self.n_given:
            self.n_given[quantity] += int((used & ~np.isnan(galaxies.given[given_column(quantity)])).sum())
        no_star_formation = used & galaxies.no_star_formation
        self.n_no_star_formation += int(no_star_formation.sum())
        self._n_forming_without_sfr += int((no_star_formation & ~galaxies.quiescent).sum())

    def problems(self) -> list[str]:
        """Return why the table cannot be used, one message each; an empty list if it can be."""
        path = self.spec.path
        if self.n_rows == 0:
            return [f"{path} is empty: it has columns but no rows."]
        unlikely = dict(self._unlikely())  # their message explains the rows out of range, which are not listed too
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
        """Yield the names of columns whose values are not what the config says, each with a message."""
        for role, samples in self._samples.items():
            sample = np.concatenate(samples)
            if len(sample) >= (1 if role == "mass" else _MIN_SAMPLES):
                name = self.roles[role]
                if what := _unlikely_as(role, sample, self.spec):
                    yield name, f"{self.spec.path}: column '{name}' has {what}"

    def notes(self) -> list[str]:
        """Return notes for the user on the columns and on the rows that can be used."""
        notes = list(self._header_notes)
        if self.n_no_star_formation:
            name, n_forming = self.roles[self.spec.given()["log_sfr"]], self._n_forming_without_sfr
            forming = f"{n_forming} are star-forming by column '{self.roles['quiescent']}'" if n_forming else ""
            notes.append(
                f"column '{name}': {self.n_no_star_formation} galaxies have no star formation (an SFR below 1e-8 "
                f"Msun/yr), which counts as not given; {forming or 'they are quiescent'}"
            )
        if self.spec.quiescent_values and self.n_quiescent == 0:
            classes = ", ".join(sorted(map(str, self._classes))[:_MAX_CLASSES])
            notes.append(
                f"column '{self.roles['quiescent']}': no galaxy has one of galaxies.table.quiescent.values "
                f"{list(self.spec.quiescent_values)}; there are {classes}"
            )
        return notes

    def report(self) -> dict[str, Any]:
        """Return numbers of rows, reasons and notes, for the run's report on its input."""
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
    """Return what shows that a column is not what the config says, and what to do; '' if nothing does.

    Parameters
    ----------
    role : str
        Key of `SPELLINGS`, or "mass".
    sample : ndarray of shape (n, )
        Some values of the column.
    spec : TableSpec
        What the config says of the table.

    """
    median = float(np.median(sample))
    seen = f"a median of {median:.4g}"
    if role in SPELLINGS:
        spelling = SPELLINGS[role]
        low, high = spelling.median
        if spelling.never_within[0] <= sample.min() and sample.max() <= spelling.never_within[1]:
            seen = f"values from {sample.min():.4g} to {sample.max():.4g} only"
        elif low <= median <= high:
            return ""
        return (
            f"{seen}, but galaxies.table.columns.{role} is {spelling.what}: {spelling.hint}, and add values that "
            "stand for missing ones to galaxies.table.missing_values."
        )
    if spec.mass_scale == "log" and median > _LOG_OR_LINEAR:
        return (
            f"{seen}, which is no log10 of a stellar mass: the masses are not logarithms. "
            "Set galaxies.table.mass_scale to linear."
        )
    if spec.mass_scale == "linear" and median * spec.mass_factor < _LOG_OR_LINEAR:
        return (
            f"{seen}, too small for stellar masses in {spec.mass_unit}. If these are their log10, set "
            "galaxies.table.mass_scale to log; if they are in units of a larger mass, set galaxies.table.mass_factor "
            "to it (1.0e+10 for 1e10 Msun)."
        )
    return ""


def examine(header: Header, table: Table, seed: int, chunk_rows: int = CHUNK_ROWS, all_rows: bool = True) -> Validation:
    """Read the table, or only its first rows, and return what is wrong with it.

    Parameters
    ----------
    header : Header
        The roles of its columns.
    table : Table
        The table, open.
    seed : int
        Seed of the run, with which classes are drawn where the table does not give them.
    chunk_rows : int
        Number of rows read at a time.
    all_rows : bool
        Whether to read the whole table, instead of its first ``chunk_rows`` rows.

    Raises
    ------
    UserError
        If the file is damaged, or if values of the column of identifiers cannot be used as such.

    """
    n_rows = None if all_rows else chunk_rows
    validation = Validation(header, table.columns)
    for chunk in _first(table.read(list(validation.roles.values()), chunk_rows), n_rows):
        validation.add(chunk, normalise(chunk, validation.n_rows, header.spec, seed))
    if not validation.ids_increase:  # only then can they repeat; finding out takes 16 bytes of memory a row
        name = validation.roles["galaxy_id"]
        chunks = _first(table.read([name], chunk_rows), n_rows)
        ids = np.concatenate([galaxy_ids(chunk[name], 0, header.spec) for chunk in chunks])
        validation.id_problems = _repeated(header.spec, table, ids)
    return validation


def _first(chunks: Iterable[pa.Table], n_rows: int | None) -> Iterator[pa.Table]:
    """Yield chunks until they have at least ``n_rows`` rows, or all; chunks of several files can be small."""
    n_read = 0
    for chunk in chunks:
        yield chunk
        n_read += len(chunk)
        if n_rows is not None and n_read >= n_rows:
            return


def validate(header: Header, table: Table, seed: int, chunk_rows: int = CHUNK_ROWS) -> Validation:
    """Return what `examine` learns of the whole table; arguments as there.

    Raises
    ------
    UserError
        If the table cannot be used: one message with everything that is wrong with its rows.

    """
    validation = examine(header, table, seed, chunk_rows)
    if problems := validation.problems():
        raise UserError(together(str(header.spec.path), problems))
    return validation


def _repeated(spec: TableSpec, table: Table, ids: NDArray[np.int64]) -> list[str]:
    """Return a list with a message on identifiers that repeat; empty if none does."""
    name = spec.columns["galaxy_id"]
    order = np.argsort(ids, kind="stable")
    repeated = np.flatnonzero(ids[order][1:] == ids[order][:-1]) + 1
    if len(repeated) == 0:
        return []
    first = sorted((int(order[i]), int(order[i - 1])) for i in repeated)[:N_LISTED]
    values = _values_at(table, name, [row for row, _ in first])
    listed = ", ".join(f"{values[row]!r} in rows {before} and {row}" for row, before in first)
    return [
        f"{spec.path}: column '{name}' repeats {len(repeated)} identifiers: {listed}"
        f"{', ...' if len(repeated) > N_LISTED else ''}. They must be unique: make them so, or number the rows with "
        "galaxies.table.columns.galaxy_id: null."
    ]


def _values_at(table: Table, name: str, rows: Sequence[int]) -> dict[int, object]:
    """Return the values of a column in some rows, counted from 0, by row."""
    values: dict[int, object] = {}
    first_row = 0
    for chunk in table.read([name], CHUNK_ROWS):
        values |= {row: chunk[name][row - first_row].as_py() for row in rows if 0 <= row - first_row < len(chunk)}
        first_row += len(chunk)
    return values
