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
from dataclasses import dataclass, field, fields
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mocksed import rng, storage
from mocksed.columns import PREFIXES, RESERVED
from mocksed.errors import UserError
from mocksed.galaxies.files import Files, table_path
from mocksed.galaxies.mass_functions import draw_quiescent, quiescent_fraction
from mocksed.galaxies.readers import CHUNK_ROWS, Table, open_table
from mocksed.jobs import progress
from mocksed.realisations import COLUMN, column_needed

log = logging.getLogger("mocksed")

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

STANDARD = ("galaxy_id", "redshift", "log_mstar", "quiescent")
"""Columns that every normalised table has."""

_ROLES = {"galaxy_id": "galaxy_id", "redshift": "redshift", "mass": "log_mstar", "quiescent": "quiescent"}
_N_LISTED = 5  # rows shown for each thing that is wrong
_MASSES_SAMPLED = 1000  # of a chunk, for the median
_LOG_OR_LINEAR = 30.0  # log10 of a stellar mass is below, a stellar mass in Msun above
_HELD_BYTES = 1 << 28  # of dealt rows, before they are appended to their shards
_DEALT = ".dealt."  # how the folder of the shards' temporary files begins
_DROP_HINT = "Put them right, or leave these rows out with `invalid_rows: drop` (galaxies.table)."


@dataclass(frozen=True)
class ColumnNames:
    """Names of the columns in the user's table (config ``galaxies.table.columns``)."""

    galaxy_id: str | None = None
    redshift: str = "redshift"
    mass: str = "log_mstar"
    quiescent: str | None = None
    ssfr: str | None = None


@dataclass(frozen=True)
class TableSpec:
    """What the config's ``galaxies.table`` says; every key is described in the schema of the config."""

    path: Path | Files
    format: str = "auto"
    dataset: str | int | None = None
    columns: ColumnNames = field(default_factory=ColumnNames)
    mass_scale: Literal["log", "linear"] = "log"
    mass_unit: Literal["Msun", "Msun/h"] = "Msun"
    h: float = 0.6766
    quiescent_from: Literal["column", "ssfr", "mass_function"] = "mass_function"
    log_ssfr_max: float = -11.0
    keep: Literal["all"] | tuple[str, ...] = "all"
    missing_values: tuple[float, ...] = ()
    invalid_rows: Literal["stop", "drop"] = "stop"
    redshift: tuple[float, float] = (0.0, 20.0)
    log_mstar: tuple[float, float] = (4.0, 13.5)

    @classmethod
    def from_config(cls, table: Mapping[str, Any]) -> "TableSpec":
        """Return the specification of the config's ``galaxies.table``.

        Raises
        ------
        UserError
            If no path is given.

        """
        if not table.get("path"):
            raise UserError("galaxies.source is table, but galaxies.table.path names no file.")
        quiescent = table.get("quiescent", {})
        rule = {"quiescent_from": quiescent.get("from"), "log_ssfr_max": quiescent.get("log_ssfr_max")}
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
        }
        given |= {"path": table_path(table["path"]), "columns": ColumnNames(**table.get("columns", {}))}
        given |= {key: value for key, value in rule.items() if value is not None}
        return cls(**{f.name: given[f.name] for f in fields(cls) if f.name in given})

    def roles(self) -> dict[str, str]:
        """Return the columns that are interpreted: role (key of ``columns``) to name in the table.

        Raises
        ------
        UserError
            If ``quiescent.from`` asks for a column that is not named.

        """
        roles = {"redshift": self.columns.redshift, "mass": self.columns.mass}
        if self.columns.galaxy_id is not None:
            roles["galaxy_id"] = self.columns.galaxy_id
        if self.quiescent_from != "mass_function":
            role = "quiescent" if self.quiescent_from == "column" else "ssfr"
            name = getattr(self.columns, role)
            if name is None:
                raise UserError(
                    f"galaxies.table.quiescent.from is {self.quiescent_from}, but galaxies.table.columns.{role} names "
                    "no column. Name it, or set galaxies.table.quiescent.from to mass_function."
                )
            roles[role] = name
        return roles


@dataclass(frozen=True)
class Problem:
    """Rows of a chunk that cannot be used, for one reason."""

    column: str
    what: str
    expected: str
    rows: Mask


@dataclass(frozen=True)
class Galaxies:
    """A chunk of the table, interpreted; arrays have one entry for each row, used or not."""

    galaxy_id: NDArray[np.int64]
    redshift: Array
    log_mstar: Array
    quiescent: Mask
    problems: list[Problem]

    @property
    def used(self) -> Mask:
        """Rows that can be used."""
        return ~np.any([problem.rows for problem in self.problems], axis=0)


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
    replaced = {roles[role] for role in roles.keys() & _ROLES.keys() if roles[role] == _ROLES[role]}
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


def _clash_hint(name: str) -> str:
    role = {standard: role for role, standard in _ROLES.items()}.get(name)
    return f"; if it is what its name says, set galaxies.table.columns.{role} to it" if role else ""


def _check_present(spec: TableSpec, table: Table, name: str, key: str) -> None:
    if name in table:
        return
    if why := table.why_not(name):
        raise UserError(f"{spec.path}: '{name}' ({key}) {why}")
    close = difflib.get_close_matches(name, table.columns, n=1, cutoff=0.5) or [
        other for other in table.columns if other.lower() == name.lower()
    ]
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise UserError(
        f"{spec.path} has no column '{name}' ({key}).{hint} It has: {', '.join(table.columns) or 'no columns'}."
    )


# ------------------------------------------------------------------------------------------------------- rows


def normalise(chunk: pa.Table, first_row: int, spec: TableSpec, seed: int) -> Galaxies:
    """Interpret a chunk of the user's table.

    Parameters
    ----------
    chunk : pyarrow.Table
        Rows of the table with at least the columns of ``spec.roles()``.
    first_row : int
        Row of the table where the chunk begins; it numbers the galaxies of a table without ids.
    spec : TableSpec
        How to interpret the columns.
    seed : int
        Seed of the run, for quiescent galaxies drawn from the mass functions of Williams et al. (2018).

    Returns
    -------
    Galaxies
        With log_mstar in log10(Msun); values of rows that cannot be used are arbitrary.

    Raises
    ------
    UserError
        If an id is not an integer of 64 bits.

    """
    roles = spec.roles()
    if "galaxy_id" in roles:
        galaxy_id = _galaxy_ids(chunk[roles["galaxy_id"]], first_row, spec)
    else:
        galaxy_id = np.arange(first_row, first_row + len(chunk), dtype=np.int64)
    redshift, problems = _redshifts(chunk, roles["redshift"], spec)
    log_mstar, of_mass = _log_masses(chunk, roles["mass"], spec)
    problems += of_mass
    if spec.quiescent_from == "column":
        quiescent, unclear = _flags(chunk[roles["quiescent"]])
        problems.append(Problem(roles["quiescent"], "not a flag", "true or false, 1 or 0", unclear))
    elif spec.quiescent_from == "ssfr":
        log_ssfr, missing = _numbers(chunk, roles["ssfr"], spec)
        quiescent = log_ssfr < spec.log_ssfr_max
        problems.append(missing)
    else:
        usable = ~np.any([problem.rows for problem in problems], axis=0)
        quiescent = np.zeros(len(chunk), bool)
        fraction = quiescent_fraction(log_mstar[usable], redshift[usable])
        quiescent[usable] = draw_quiescent(fraction, galaxy_id[usable], seed)
    return Galaxies(galaxy_id, redshift, log_mstar, quiescent, problems)


def _redshifts(chunk: pa.Table, name: str, spec: TableSpec) -> tuple[Array, list[Problem]]:
    z, missing = _numbers(chunk, name, spec)
    low, high = spec.redshift
    negative = ~missing.rows & (z < 0.0)
    outside = ~missing.rows & ~negative & ((z < low) | (z > high))
    between = f"{low:g} to {high:g} (galaxies.table.redshift)"
    return z, [missing, Problem(name, "negative", between, negative), Problem(name, "out of range", between, outside)]


def _log_masses(chunk: pa.Table, name: str, spec: TableSpec) -> tuple[Array, list[Problem]]:
    """Return log10 of the masses [Msun]."""
    mass, missing = _numbers(chunk, name, spec)
    problems = [missing]
    usable = ~missing.rows
    if spec.mass_scale == "linear":
        problems.append(Problem(name, "not positive", "a mass above 0", usable & (mass <= 0.0)))
        usable &= mass > 0.0
        mass = np.log10(mass, out=np.full(mass.shape, np.nan), where=usable)
    if spec.mass_unit == "Msun/h":
        mass = mass - np.log10(spec.h)
    low, high = spec.log_mstar
    problems.append(
        Problem(
            name,
            "out of range",
            f"log10 of the mass in Msun from {low:g} to {high:g} (galaxies.table.log_mstar)",
            usable & ((mass < low) | (mass > high)),
        )
    )
    return mass, problems


def _numbers(chunk: pa.Table, name: str, spec: TableSpec) -> tuple[Array, Problem]:
    """Return a column as floats and the rows without a usable number."""
    values, unreadable = _floats(chunk[name])
    absent = [float(value) for value in spec.missing_values]
    if chunk[name].type == pa.float32():  # -99.9 in single precision is another number
        absent += [float(np.float32(value)) for value in spec.missing_values]
    missing = ~np.isfinite(values) | np.isin(values, absent) | unreadable
    expected = "a number, not null, NaN or infinite"
    if absent:
        expected += f", not one of missing_values {list(spec.missing_values)}"
    return values, Problem(name, "missing", expected, missing)


def _floats(column: pa.ChunkedArray) -> tuple[Array, Mask]:
    """Return a column as floats, null as NaN, and the rows that hold something else than a number."""
    series = _plain(column).to_pandas()
    if pa.types.is_temporal(column.type) or pa.types.is_boolean(column.type):
        return np.full(len(column), np.nan), np.ones(len(column), bool)
    values = pd.to_numeric(series, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return values, np.isnan(values) & series.notna().to_numpy()


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with categories replaced by their values."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _flags(column: pa.ChunkedArray) -> tuple[Mask, Mask]:
    """Return a column as flags, and the rows that are neither true nor false."""
    values = _plain(column).to_pandas()
    if pa.types.is_boolean(column.type):
        return (values == True).to_numpy(bool), values.isna().to_numpy()  # noqa: E712 (null is not true)
    if not pd.api.types.is_numeric_dtype(values):
        text = values.astype(str).str.strip().str.lower()
        values = text.map({"true": 1, "1": 1, "false": 0, "0": 0})
    return (values == 1).to_numpy(bool), (~values.isin((0, 1))).to_numpy(bool)


def _galaxy_ids(column: pa.ChunkedArray, first_row: int, spec: TableSpec) -> NDArray[np.int64]:
    """Return identifiers, which must be integers that fit in 64 bits."""
    limit = ""
    if pa.types.is_integer(column.type):
        wrong = column.is_null().to_numpy()
        values = column.fill_null(0).to_numpy()
        if values.dtype == np.uint64:
            wrong = wrong | (values > np.iinfo(np.int64).max)
    elif pa.types.is_floating(column.type):  # as some formats store integers; NaN compares false
        values, _ = _floats(column)
        exact = 2.0 ** (np.finfo(column.type.to_pandas_dtype()).nmant + 1)  # integers from here on are rounded
        limit = f", as {column.type} below {exact:.0f}, from where on it rounds them"
        wrong = ~((np.abs(values) < exact) & (values == np.floor(values)))
    else:
        wrong = np.ones(len(column), bool)
    if wrong.any():
        raise UserError(
            f"{spec.path}: column '{spec.columns.galaxy_id}' (galaxies.table.columns.galaxy_id) has values that are "
            f"not identifiers: {_listing(_examples(column, wrong, first_row))}. "
            f"Expected integers between -2**63 and 2**63 - 1, one for each row{limit}. With galaxies.table.columns."
            "galaxy_id: null the rows are numbered from 0."
        )
    return values.astype(np.int64)


def _examples(column: pa.ChunkedArray, rows: Mask, first_row: int) -> list[tuple[int, object]]:
    """Return the first rows of a mask, numbered in the table, with their values."""
    return [(first_row + int(i), column[int(i)].as_py()) for i in np.flatnonzero(rows)[:_N_LISTED]]


def _listing(examples: Sequence[tuple[int, object]]) -> str:
    return ", ".join(f"row {row}: {'null' if value is None else repr(value)}" for row, value in examples)


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
            f"({_listing(self.examples)}{more}); expected {self.problem.expected}"
        )


class _Validation:
    """What the first pass learns; of the rows it keeps only a thin sample of the masses."""

    def __init__(self, spec: TableSpec, roles: Mapping[str, str]) -> None:
        self.spec, self.roles = spec, roles
        self.n_rows = self.n_used = 0
        self.reasons: dict[tuple[str, str], _Reason] = {}
        self._masses: list[Array] = []
        self.ids_increase = True
        self._last_id: int | None = None

    def add(self, chunk: pa.Table, galaxies: Galaxies) -> None:
        """Take in the next chunk."""
        for problem in galaxies.problems:
            if problem.rows.any():
                reason = self.reasons.setdefault((problem.column, problem.what), _Reason(problem, 0, []))
                reason.count += int(problem.rows.sum())
                room = _N_LISTED - len(reason.examples)
                reason.examples += _examples(chunk[problem.column], problem.rows, self.n_rows)[:room]
        ids = galaxies.galaxy_id
        if len(ids):
            follows = self._last_id is None or ids[0] > self._last_id
            self.ids_increase &= bool(follows and np.all(ids[1:] > ids[:-1]))
            self._last_id = int(ids[-1])
        mass, missing = _numbers(chunk, self.roles["mass"], self.spec)
        sample = mass[~missing.rows & (mass > 0.0)]
        self._masses.append(sample[:: max(len(sample) // _MASSES_SAMPLED, 1)])
        self.n_rows += len(chunk)
        self.n_used += int(galaxies.used.sum())

    def check(self) -> None:
        """Raise a UserError if the table cannot be used."""
        path = self.spec.path
        if self.n_rows == 0:
            raise UserError(f"{path} is empty: it has columns but no rows.")
        self._check_scale()
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

    def _check_scale(self) -> None:
        masses = np.concatenate(self._masses)
        if len(masses) == 0:
            return
        median, spec = np.median(masses), self.spec
        where = f"{spec.path}: column '{self.roles['mass']}' has a median of {median:.4g}"
        if spec.mass_scale == "log" and median > _LOG_OR_LINEAR:
            raise UserError(
                f"{where}, which is no log10 of a stellar mass: the masses are not logarithms. "
                "Set galaxies.table.mass_scale to linear."
            )
        if spec.mass_scale == "linear" and median < _LOG_OR_LINEAR:
            raise UserError(
                f"{where}, too small for stellar masses in {spec.mass_unit}. If these are their log10, set "
                "galaxies.table.mass_scale to log; otherwise convert them."
            )

    def report(self) -> dict[str, Any]:
        """Return the numbers of rows used and left out."""
        return {
            "n_rows": self.n_rows,
            "n_used": self.n_used,
            "n_dropped": self.n_rows - self.n_used,
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
        validation = _validate(spec, roles, table, seed, chunk_rows)
        for reason in validation.reasons.values():
            log.info("left out:%s", str(reason))
        log.info("%s: %d of %d rows used", spec.path, validation.n_used, validation.n_rows)

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


def _validate(spec: TableSpec, roles: Mapping[str, str], table: Table, seed: int, chunk_rows: int) -> _Validation:
    validation = _Validation(spec, roles)
    for chunk in table.read(list(dict.fromkeys(roles.values())), chunk_rows):
        validation.add(chunk, normalise(chunk, validation.n_rows, spec, seed))
    validation.check()
    if not validation.ids_increase:  # only then can they repeat; costs 16 bytes a row to find out
        name = roles["galaxy_id"]
        chunks = table.read([name], chunk_rows)
        _check_unique(spec, name, np.concatenate([_galaxy_ids(chunk[name], 0, spec) for chunk in chunks]))
    return validation


def _check_unique(spec: TableSpec, name: str, ids: NDArray[np.int64]) -> None:
    order = np.argsort(ids, kind="stable")
    again = np.flatnonzero(ids[order][1:] == ids[order][:-1]) + 1
    if len(again) == 0:
        return
    first = sorted((int(order[i]), int(ids[order[i]]), int(order[i - 1])) for i in again)[:_N_LISTED]
    listed = ", ".join(f"{value} in rows {before} and {row}" for row, value, before in first)
    raise UserError(
        f"{spec.path}: column '{name}' repeats {len(again)} identifiers: {listed}"
        f"{', ...' if len(again) > _N_LISTED else ''}. They must be unique: make them so, or number the rows with "
        "galaxies.table.columns.galaxy_id: null."
    )


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
        columns |= {name: chunk[name] for name in kept}
        yield storage.to_table(columns, about).filter(pa.array(galaxies.used))
        first_row += len(chunk)
        done(len(chunk))


def _in_realisations(galaxies: pa.Table, realisations: Sequence[int], spec: TableSpec, seed: int) -> Iterator[pa.Table]:
    """Yield the rows of a shard in each of the realisations."""
    if not column_needed(realisations):
        yield galaxies
        return
    galaxy_id, redshift, log_mstar, quiescent = (galaxies[name].to_numpy() for name in STANDARD)
    fraction = quiescent_fraction(log_mstar, redshift) if spec.quiescent_from == "mass_function" else None
    for index in realisations:
        own = {COLUMN: np.full(len(galaxies), index), "quiescent": quiescent}
        if fraction is not None:
            own["quiescent"] = draw_quiescent(fraction, galaxy_id, seed, index)
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
