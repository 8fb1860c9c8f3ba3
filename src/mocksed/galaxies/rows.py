"""Rows of the user's table converted to the columns of the catalogue, and which rows are invalid."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mocksed import uvj
from mocksed.errors import UserError
from mocksed.files.columns import given_column, given_error_column
from mocksed.galaxies.given import ERROR, SPELLINGS, to_error, to_quantity
from mocksed.galaxies.mass_functions import draw_quiescent, quiescent_fraction
from mocksed.galaxies.spec import TableSpec

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

N_LISTED = 5
"""Rows shown for each thing that is wrong."""


@dataclass(frozen=True)
class Problem:
    """Rows of a chunk that cannot be used, for one reason."""

    column: str
    what: str
    expected: str
    rows: Mask


@dataclass(frozen=True)
class Galaxies:
    """A chunk of the table, interpreted; arrays have one entry for each row, used or not.

    Attributes
    ----------
    given : mapping of str to ndarray
        Columns ``given_*`` of the catalogue's input, NaN where the table has no value.
    no_star_formation : ndarray of bool
        Where the table gives an SFR of 0.
    original_id : pyarrow.ChunkedArray, optional
        The identifiers of the table, if they are not int64.

    """

    galaxy_id: NDArray[np.int64]
    redshift: Array
    log_mstar: Array
    quiescent: Mask
    problems: list[Problem]
    given: Mapping[str, Array] = field(default_factory=dict)
    no_star_formation: Mask = field(default_factory=lambda: np.zeros(0, bool))
    original_id: pa.ChunkedArray | None = None

    @property
    def used(self) -> Mask:
        """Rows that can be used."""
        return ~np.any([problem.rows for problem in self.problems], axis=0)


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
        If an identifier is missing or not valid.

    """
    roles = spec.roles()
    original_id = None
    if "galaxy_id" in roles:
        column = chunk[roles["galaxy_id"]]
        galaxy_id = galaxy_ids(column, first_row, spec)
        original_id = column if is_original(column.type) else None
    else:
        galaxy_id = np.arange(first_row, first_row + len(chunk), dtype=np.int64)
    redshift, problems = _redshifts(chunk, roles, spec)
    log_mstar, mass_problems = _log_masses(chunk, roles["mass"], spec)
    given, no_star_formation, given_problems = _given(chunk, roles, spec)
    problems += mass_problems + given_problems
    quiescent = np.zeros(len(chunk), bool)
    if spec.quiescent_from == "column":
        quiescent, unclear = _classes(chunk, roles["quiescent"], spec)
        problems.append(unclear)
    elif spec.quiescent_from == "uvj":
        (uv, no_uv), (vj, no_vj) = (numbers(chunk, roles[role], spec) for role in ("uv", "vj"))
        quiescent = uvj.in_box(uv, vj, spec.uvj_box)
        problems += [no_uv, no_vj]
    elif "ssfr" in roles:
        log_ssfr, missing = numbers(chunk, roles["ssfr"], spec, none=True)
        quiescent = log_ssfr < spec.log_ssfr_max
        problems.append(replace(missing, rows=missing.rows & ~no_star_formation))
    elif spec.quiescent_from == "ssfr":
        name, log_sfr = roles[spec.given()["log_sfr"]], given[given_column("log_sfr")]
        quiescent = log_sfr - log_mstar < spec.log_ssfr_max
        unknown = np.isnan(log_sfr) & ~no_star_formation & ~_any(given_problems, len(chunk))
        expected = "an SFR, as galaxies.table.quiescent.from ssfr divides the galaxies by it"
        problems.append(Problem(name, "missing", expected, unknown))
    if spec.quiescent_from == "mass_function":
        usable = ~_any(problems, len(chunk))
        fraction = quiescent_fraction(log_mstar[usable], redshift[usable], spec.mass_functions)
        quiescent[usable] = draw_quiescent(fraction, galaxy_id[usable], seed)
    if spec.quiescent_from != "column":
        quiescent = quiescent | no_star_formation
    return Galaxies(galaxy_id, redshift, log_mstar, quiescent, problems, given, no_star_formation, original_id)


def _any(problems: Sequence[Problem], n_rows: int) -> Mask:
    return np.any([np.zeros(n_rows, bool), *(problem.rows for problem in problems)], axis=0)


def _redshifts(chunk: pa.Table, roles: Mapping[str, str], spec: TableSpec) -> tuple[Array, list[Problem]]:
    if spec.constant_redshift is not None:
        return np.full(len(chunk), spec.constant_redshift), []
    low, high = spec.redshift
    between = f"{low:g} to {high:g} (galaxies.table.redshift)"
    if "scale_factor" in roles:
        name = roles["scale_factor"]
        a, missing = numbers(chunk, name, spec)
        usable = ~missing.rows & (a > 0.0) & (a <= 1.0)
        wrong = Problem(name, "no scale factor", "above 0, at most 1", ~usable & ~missing.rows)
        z = np.divide(1.0, a, out=np.full(a.shape, np.nan), where=usable) - 1.0
        return z, [missing, wrong, Problem(name, "out of range", f"1 / (1 + z) of redshifts {between}",
                                           usable & ((z < low) | (z > high)))]  # fmt: skip
    name = roles["redshift"]
    z, missing = numbers(chunk, name, spec)
    negative = ~missing.rows & (z < 0.0)
    above = f"{between}; if it stands for a missing value, add it to galaxies.table.missing_values"
    outside = ~missing.rows & ~negative & ((z < low) | (z > high))
    return z, [missing, Problem(name, "negative", above, negative), Problem(name, "out of range", between, outside)]


def _log_masses(chunk: pa.Table, name: str, spec: TableSpec) -> tuple[Array, list[Problem]]:
    """Return log10 of the masses [Msun]."""
    mass, missing = numbers(chunk, name, spec)
    problems = [missing]
    usable = ~missing.rows
    if spec.mass_scale == "linear":
        problems.append(Problem(name, "not positive", "a mass above 0", usable & (mass <= 0.0)))
        usable &= mass > 0.0
        mass = np.log10(mass, out=np.full(mass.shape, np.nan), where=usable)
    mass = mass + np.log10(spec.mass_factor) + spec.mass_offset
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


def _given(chunk: pa.Table, roles: Mapping[str, str], spec: TableSpec) -> tuple[dict[str, Array], Mask, list[Problem]]:
    """Return the columns ``given_*``, where the SFR is 0, and what is wrong with them."""
    columns: dict[str, Array] = {}
    problems = []
    no_star_formation = np.zeros(len(chunk), bool)
    for quantity, role in spec.given().items():
        spelling, name = SPELLINGS[role], roles[role]
        values, absent, unreadable = _read(chunk, name, spec)
        low, high = spelling.limits
        none = np.zeros(len(chunk), bool)
        if quantity == "log_sfr":
            none = no_star_formation = ~absent & (values < low) & ((values >= 0.0) | (role == "log_sfr"))
        impossible = ~absent & ~none & ~unreadable & ~((values >= low) & (values <= high))
        problems.append(Problem(name, "not a number", f"{spelling.what}, or null", unreadable))
        remedy = f"{spelling.hint}, and add values that stand for missing ones to missing_values"
        expected = f"{spelling.what}, from {low:g} to {high:g}; {remedy}"
        problems.append(Problem(name, "out of range", expected, impossible))
        there = ~absent & ~none & ~unreadable & ~impossible
        converted = to_quantity(role, np.where(there, values, np.nan), spec.oh12_solar, spec.sfr_offset)
        columns[given_column(quantity)] = np.where(there, converted, np.nan)
        if role + ERROR not in roles:
            continue
        name = roles[role + ERROR]
        errors, absent, unreadable = _read(chunk, name, spec)
        expected = f"the standard error of '{roles[role]}', 0 or more, or null"
        problems.append(Problem(name, "not a number", expected, there & unreadable))
        wrong = there & ~absent & ~unreadable & ~((errors >= 0.0) & np.isfinite(errors))
        problems.append(Problem(name, "no standard error", expected, wrong))
        known = there & ~absent & ~unreadable & ~wrong
        converted = to_error(role, np.where(known, errors, np.nan), np.where(there, values, np.nan))
        columns[given_error_column(quantity)] = converted
    return columns, no_star_formation, problems


def numbers(chunk: pa.Table, name: str, spec: TableSpec, none: bool = False) -> tuple[Array, Problem]:
    """Return a column as floats and the rows without a usable number; ``none`` allows -inf, log10 of 0."""
    values, absent, unreadable = _read(chunk, name, spec)
    missing = absent | unreadable | ~(np.isfinite(values) | (none & (values == -np.inf)))
    expected = "a number, not null, NaN or infinite"
    if spec.missing_values:
        expected += f", not one of missing_values {list(spec.missing_values)}"
    return values, Problem(name, "missing", expected, missing)


def _read(chunk: pa.Table, name: str, spec: TableSpec) -> tuple[Array, Mask, Mask]:
    """Return a column as floats in the expected unit, the rows without a value, and those with no number."""
    values, unreadable = _floats(chunk[name])
    absent = [float(value) for value in spec.missing_values]
    if chunk[name].type == pa.float32():  # -99.9 in single precision is another number
        absent += [float(np.float32(value)) for value in spec.missing_values]
    missing = (np.isnan(values) | np.isin(values, absent)) & ~unreadable
    if name in spec.conversions:
        values = spec.conversions[name](values)
    return values, missing, unreadable


def _floats(column: pa.ChunkedArray) -> tuple[Array, Mask]:
    """Return a column as floats, null as NaN, and the rows that hold anything but a number."""
    series = _plain(column).to_pandas()
    if pa.types.is_temporal(column.type) or pa.types.is_boolean(column.type):
        return np.full(len(column), np.nan), np.ones(len(column), bool)
    values = pd.to_numeric(series, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return values, np.isnan(values) & series.notna().to_numpy()


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with categories replaced by their values."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _classes(chunk: pa.Table, name: str, spec: TableSpec) -> tuple[Mask, Problem]:
    """Return which galaxies are quiescent, from a column of flags or of values of which some mark quiescent ones."""
    column = _plain(chunk[name])
    if not spec.quiescent_values:
        quiescent, unclear = _flags(column)
        expected = "true or false, 1 or 0; what other values mean that a galaxy is quiescent, say in quiescent.values"
        return quiescent, Problem(name, "not a flag", expected, unclear)
    values = pd.Series(column.to_pandas())
    if _is_text(column.type):
        meant = {str(value).strip().lower() for value in spec.quiescent_values}
        text = values.astype("string").str.strip().str.lower()
        quiescent, unclear = text.isin(meant), values.isna() | (text == "").fillna(True)
    else:
        quiescent, unclear = values.isin(spec.quiescent_values), values.isna()
    return quiescent.to_numpy(bool), Problem(name, "missing", "a class, not null", unclear.to_numpy(bool))


def _flags(column: pa.ChunkedArray) -> tuple[Mask, Mask]:
    """Return a column as flags, and the rows that are neither true nor false."""
    values = column.to_pandas()
    if pa.types.is_boolean(column.type):
        return (values == True).to_numpy(bool), values.isna().to_numpy()  # noqa: E712 (null is not true)
    if not pd.api.types.is_numeric_dtype(values):
        text = values.astype(str).str.strip().str.lower()
        values = text.map({"true": 1, "1": 1, "false": 0, "0": 0})
    return (values == 1).to_numpy(bool), (~values.isin((0, 1))).to_numpy(bool)


def is_original(type_: pa.DataType) -> bool:
    """Return whether identifiers of a type are kept as ``original_id`` beside the int64 that stand for them."""
    return pa.types.is_uint64(type_) or _is_text(type_)


def _is_text(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        return _is_text(type_.value_type)
    return pa.types.is_string(type_) or pa.types.is_large_string(type_)


def galaxy_ids(column: pa.ChunkedArray, first_row: int, spec: TableSpec) -> NDArray[np.int64]:
    """Return identifiers as int64.

    Integers are what they are; unsigned ones from 2**63 on are less 2**64, which is unique as well. A text is the
    number that 63 bits of its BLAKE2 digest are: it depends on nothing else, so that a part of a table gives the same
    galaxies.

    Raises
    ------
    UserError
        If an identifier is missing or not an integer or text.

    """
    limit = ""
    if pa.types.is_integer(column.type):
        wrong = column.is_null().to_numpy()
        values = column.fill_null(0).to_numpy()
    elif pa.types.is_floating(column.type):  # as some formats store integers; NaN compares false
        values, _ = _floats(column)
        exact = 2.0 ** (np.finfo(column.type.to_pandas_dtype()).nmant + 1)  # integers from here on are rounded
        limit = f"; of {column.type}, integers below {exact:.0f}, from where on it rounds them"
        wrong = ~((np.abs(values) < exact) & (values == np.floor(values)))
    elif _is_text(column.type):
        texts = _plain(column).to_pylist()
        wrong = np.array([text is None or not text.strip() for text in texts], bool)
        values = np.array([_number_of(text or "") for text in texts], np.int64)
    else:
        wrong = np.ones(len(column), bool)
    if wrong.any():
        raise UserError(
            f"{spec.path}: column '{spec.columns['galaxy_id']}' (galaxies.table.columns.galaxy_id) has values that are "
            f"not identifiers: {listing(examples(column, wrong, first_row))}. Expected an integer or a text for each "
            f"row{limit}. With galaxies.table.columns.galaxy_id: null the rows are numbered from 0."
        )
    return values.view(np.int64) if values.dtype == np.uint64 else values.astype(np.int64)


def _number_of(text: str) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def examples(column: pa.ChunkedArray, rows: Mask, first_row: int) -> list[tuple[int, object]]:
    """Return the first rows of a mask, numbered in the table, with their values."""
    return [(first_row + int(i), column[int(i)].as_py()) for i in np.flatnonzero(rows)[:N_LISTED]]


def listing(shown: Sequence[tuple[int, object]]) -> str:
    """Return `examples` as text."""
    return ", ".join(f"row {row}: {'null' if value is None else repr(value)}" for row, value in shown)
