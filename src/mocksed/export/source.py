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
        Metadata of the run.
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
        The shards of the survey's fluxes, as many, or none without a survey.
    schema : pyarrow.Schema
        The columns of both.
    about : dict
        Metadata of the run, those of the first shard.

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
                present = [name for _, file in files for name in file.schema_arrow.names]
                if missing := [name for name in columns if name not in present]:
                    raise UserError(f"{path} has no column '{missing[0]}'. Remove it and run again.")
                for block in _joined(files, columns):
                    kept = block if expression is None else block.filter(expression)
                    if len(kept):
                        yield kept


def _check_run(catalogue: tuple[Path, pq.ParquetFile], survey: tuple[Path, pq.ParquetFile]) -> None:
    """Stop unless a file of the survey records the same run and shard as that of the catalogue."""
    expected, recorded = (table_metadata.own_metadata(file.schema_arrow) for _, file in (catalogue, survey))
    provenance.agree(survey[0], recorded, {key: expected.get(key) for key in (*provenance.KEYS, provenance.SHARD)})


def _joined(files: Sequence[tuple[Path, pq.ParquetFile]], columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield columns of files with the same galaxies, whose identifiers are compared."""
    keys = [name for name in _KEYS if name in files[0][1].schema_arrow.names]
    if len(files) == 1:
        yield from _read(files[0][1], columns or keys[:1])
        return
    (catalogue_path, catalogue), (survey_path, survey) = files
    survey_columns = [name for name in columns if name not in catalogue.schema_arrow.names]
    catalogue_columns = [name for name in columns if name not in survey_columns]
    if catalogue.metadata.num_rows != survey.metadata.num_rows:
        raise UserError(
            f"{catalogue_path} and {survey_path} have different numbers of galaxies. Remove {survey_path} and "
            "run again."
        )
    pairs = zip(
        _read(catalogue, list(dict.fromkeys([*keys, *catalogue_columns]))),
        _read(survey, [*keys, *survey_columns]),
        strict=True,
    )
    for rows, survey_rows in pairs:
        if not rows.select(keys).equals(survey_rows.select(keys).cast(rows.select(keys).schema)):
            raise UserError(
                f"{catalogue_path} and {survey_path} have different galaxies. Remove {survey_path} and run again."
            )
        for name in survey_columns:
            rows = rows.append_column(survey_rows.schema.field(name), survey_rows[name])
        yield rows.select(list(columns) or keys[:1])


def _read(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield columns in tables of `BLOCK` rows, the last one of fewer, however the file is divided."""
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
        If the run has no catalogue, or the files do not belong together.

    """
    catalogue = catalogue_of(run, results)
    survey = [path.parent.parent / "survey" / path.name for path in catalogue]
    present = [path for path in survey if path.exists()]
    if present and len(present) != len(survey):
        missing = next(path for path in survey if path not in present)
        raise UserError(f"{missing} is missing, but {present[0]} exists. Run again: missing files will be made.")
    with storage.open_table(catalogue[0]) as file:
        schema = file.schema_arrow
    about = storage.metadata(catalogue[0])
    if "cosmology" not in about:
        raise UserError(f"{catalogue[0]} does not record its run: it is not a catalogue of this version.")
    if present:
        with storage.open_table(present[0]) as file:
            further = [field for field in file.schema_arrow if field.name not in schema.names]
        schema = pa.schema([*schema, *further])
        about = storage.metadata(present[0]) | about
    about.pop("shard", None)
    return Source(tuple(catalogue), tuple(present), schema.remove_metadata(), about)


def shards(source: Source) -> Iterator[Source]:
    """Yield the files of each shard."""
    for i, path in enumerate(source.catalogue):
        yield Source((path,), source.survey[i : i + 1], source.schema, source.about)


def chosen(patterns: Sequence[str], schema: pa.Schema) -> list[str]:
    """Return the columns that names or patterns (``mag_*``) stand for.

    Raises
    ------
    UserError
        If a name or pattern matches no column.

    """
    columns: dict[str, None] = {}
    for pattern in patterns:
        names = [name for name in schema.names if name == pattern or fnmatchcase(name, pattern)]
        if not names:
            raise UserError(f"there is no column '{pattern}'{suggestion(pattern, schema.names)} in the catalogue.")
        columns |= dict.fromkeys(names)
    return list(columns)


def unit(field: pa.Field) -> str:
    """Return the unit of a column, empty without one."""
    return table_metadata.text_of(field, b"unit")


def description(field: pa.Field) -> str:
    """Return the description of a column."""
    return table_metadata.text_of(field, b"description")
