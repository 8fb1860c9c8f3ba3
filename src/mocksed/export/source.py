"""The rows of a finished run, read in blocks: the catalogue joined with the survey."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mocksed import realisations
from mocksed.errors import UserError, suggestion
from mocksed.export.where import condition
from mocksed.files import provenance, storage, table_metadata
from mocksed.spectra import catalogue_of

BLOCK = 65_536
"""Rows that are held at once."""

_KEYS = ("galaxy_id", realisations.COLUMN)


@dataclass(frozen=True)
class Rows:
    """Rows of a table that are read when they are written.

    Attributes
    ----------
    schema : pyarrow.Schema
        Columns, with ``unit`` and ``description`` in the metadata of their fields.
    n_rows : int
        How many rows there are.
    about : dict
        What the files that are read say of the run.
    longest : mapping of str to int
        The longest text of each column of texts [bytes].
    blocks : callable
        Yields tables with these columns of at most `BLOCK` rows.

    """

    schema: pa.Schema
    n_rows: int
    about: Mapping[str, Any]
    longest: Mapping[str, int]
    blocks: Callable[[], Iterator[pa.Table]]


@dataclass(frozen=True)
class Source:
    """Files of a run with the same galaxies.

    Attributes
    ----------
    catalogue : tuple of path
        The shards of the catalogue.
    survey : tuple of path
        Those of what a survey sees, as many, or none.
    schema : pyarrow.Schema
        The columns of both.
    about : dict
        What the first shard says of the run.

    """

    catalogue: tuple[Path, ...]
    survey: tuple[Path, ...]
    schema: pa.Schema
    about: Mapping[str, Any]

    def rows(self, columns: Sequence[str], where: str | None = None) -> Rows:
        """Return columns of the rows that meet a condition.

        Parameters
        ----------
        columns : sequence of str
            Names, in the order of the file.
        where : str, optional
            A condition (`mocksed.export.where`).

        Raises
        ------
        UserError
            If the condition cannot be used, or a file cannot be read.

        """
        expression, read = condition(where, self.schema) if where else (None, [])
        schema = pa.schema([self.schema.field(name) for name in columns])
        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        n_rows, longest = 0, dict.fromkeys(texts, 1)
        if expression is None and not texts:
            n_rows = sum(storage.count_rows(path) for path in self.catalogue)
        else:
            for block in self._blocks(list(dict.fromkeys([*read, *texts])), expression):
                n_rows += len(block)
                longest |= {
                    name: max(longest[name], pc.max(pc.binary_length(block[name])).as_py() or 1) for name in texts
                }

        def blocks() -> Iterator[pa.Table]:
            for block in self._blocks(list(dict.fromkeys([*columns, *read])), expression):
                yield block.select(columns)

        return Rows(schema, n_rows, self.about, longest, blocks)

    def _blocks(self, columns: Sequence[str], expression: pc.Expression | None) -> Iterator[pa.Table]:
        for i, path in enumerate(self.catalogue):
            with ExitStack() as stack:
                files = [(path, stack.enter_context(storage.open_table(path)))]
                if self.survey:
                    files.append((self.survey[i], stack.enter_context(storage.open_table(self.survey[i]))))
                    _check_run(*files)
                there = [name for _, file in files for name in file.schema_arrow.names]
                if missing := [name for name in columns if name not in there]:
                    raise UserError(f"{path} has no column '{missing[0]}'. Remove it and run again.")
                for block in _joined(files, columns):
                    kept = block if expression is None else block.filter(expression)
                    if len(kept):
                        yield kept


def _check_run(of_catalogue: tuple[Path, pq.ParquetFile], of_survey: tuple[Path, pq.ParquetFile]) -> None:
    """Stop unless a survey's file says that it was made from what the catalogue's was."""
    said, seen = (table_metadata.own_metadata(file.schema_arrow) for _, file in (of_catalogue, of_survey))
    provenance.agree(of_survey[0], seen, {key: said.get(key) for key in (*provenance.KEYS, provenance.SHARD)})


def _joined(files: Sequence[tuple[Path, pq.ParquetFile]], columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield columns of files with the same galaxies, whose identifiers are compared."""
    keys = [name for name in _KEYS if name in files[0][1].schema_arrow.names]
    if len(files) == 1:
        yield from _read(files[0][1], columns or keys[:1])
        return
    (one, catalogue), (other, survey) = files
    of_survey = [name for name in columns if name not in catalogue.schema_arrow.names]
    wanted = [name for name in columns if name not in of_survey]
    if catalogue.metadata.num_rows != survey.metadata.num_rows:
        raise UserError(f"{one} and {other} have different numbers of galaxies. Remove {other} and run again.")
    pairs = zip(
        _read(catalogue, list(dict.fromkeys([*keys, *wanted]))), _read(survey, [*keys, *of_survey]), strict=True
    )
    for rows, seen in pairs:
        if not rows.select(keys).equals(seen.select(keys).cast(rows.select(keys).schema)):
            raise UserError(f"{one} and {other} have different galaxies. Remove {other} and run again.")
        for name in of_survey:
            rows = rows.append_column(seen.schema.field(name), seen[name])
        yield rows.select(list(columns) or keys[:1])


def _read(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield columns in tables of `BLOCK` rows, the last one of less, however the file is divided."""
    held: list[pa.Table] = []
    for batch in file.iter_batches(batch_size=BLOCK, columns=list(columns)):
        held.append(pa.Table.from_batches([batch]))
        if sum(map(len, held)) >= BLOCK:
            rows = pa.concat_tables(held)
            yield rows.slice(0, BLOCK)
            held = [rows.slice(BLOCK)]
    rest = pa.concat_tables(held) if held else None
    if rest:
        yield rest


def of_run(run: str, results: Path | str = "results") -> Source:
    """Return the files of a run.

    Raises
    ------
    UserError
        If there are none, or they do not belong together.

    """
    catalogue = catalogue_of(run, results)
    survey = [path.parent.parent / "survey" / path.name for path in catalogue]
    there = [path for path in survey if path.exists()]
    if there and len(there) != len(survey):
        missing = next(path for path in survey if path not in there)
        raise UserError(f"{missing} is missing, but {there[0]} is there. Run again: what is missing will be made.")
    with storage.open_table(catalogue[0]) as file:
        schema = file.schema_arrow
    about = storage.metadata(catalogue[0])
    if "cosmology" not in about:
        raise UserError(f"{catalogue[0]} does not record its run: it is not a catalogue of this version.")
    if there:
        with storage.open_table(there[0]) as file:
            further = [field for field in file.schema_arrow if field.name not in schema.names]
        schema = pa.schema([*schema, *further])
        about = storage.metadata(there[0]) | about
    about.pop("shard", None)
    return Source(tuple(catalogue), tuple(there), schema.remove_metadata(), about)


def shards(source: Source) -> Iterator[Source]:
    """Yield each shard of the files alone."""
    for i, path in enumerate(source.catalogue):
        yield Source((path,), source.survey[i : i + 1], source.schema, source.about)


def chosen(patterns: Sequence[str], schema: pa.Schema) -> list[str]:
    """Return the columns that names or patterns (``mag_*``) stand for.

    Raises
    ------
    UserError
        If a name or pattern matches no column.

    """
    found: dict[str, None] = {}
    for pattern in patterns:
        names = [name for name in schema.names if name == pattern or fnmatchcase(name, pattern)]
        if not names:
            raise UserError(f"there is no column '{pattern}'{suggestion(pattern, schema.names)} in the catalogue.")
        found |= dict.fromkeys(names)
    return list(found)


def unit(field: pa.Field) -> str:
    """Return the unit of a column, empty without one."""
    return table_metadata.said(field, b"unit")


def description(field: pa.Field) -> str:
    """Return the description of a column."""
    return table_metadata.said(field, b"description")
