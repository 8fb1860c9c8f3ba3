"""Several files with the same columns as one table."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa

from mocksed.errors import UserError
from mocksed.galaxies.readers.interface import Table


def several(files: Sequence[Path], opened: Callable[[Path], AbstractContextManager[Table]]) -> Table:
    """Return the table of several files, of which only one at a time is open."""
    tables: dict[Path, Table] = {}
    for file in files:
        with opened(file) as table:
            if table.columns or table.unusable:  # else a file for which there was nothing to write
                tables[file] = dataclasses.replace(table, read=_closed)  # which would keep what h5py has opened alive
    if not tables:
        raise UserError(f"{files[0]} and {len(files) - 1} more hold no columns (galaxies.table.path).")
    (first_file, first), *rest = tables.items()
    for file, table in rest:
        _check_same_columns(first_file, first, file, table)

    def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        schema = _common_schema({file: _schema(opened(file), columns) for file in tables})
        for file in tables:
            with opened(file) as table:
                for chunk in table.read(columns, chunk_rows):
                    yield chunk.select(columns).cast(schema)

    return dataclasses.replace(
        first,
        read=read,
        n_rows=sum(table.n_rows for table in tables.values()),
        counted=all(table.counted for table in tables.values()),
        unusable={name: what for table in tables.values() for name, what in table.unusable.items()},
    )


def _closed(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
    raise AssertionError("the file is closed")


def _check_same_columns(first_file: Path, first: Table, file: Path, table: Table) -> None:
    first_kinds, table_kinds = _kinds(first), _kinds(table)
    for name in {**first_kinds, **table_kinds}:
        first_kind = first_kinds.get(name, first.unusable.get(name))
        kind = table_kinds.get(name, table.unusable.get(name))
        if first_kind is None or kind is None:
            without, having = (first_file, file) if first_kind is None else (file, first_file)
            raise UserError(
                f"{without} has no column '{name}', which {having} has. Files of one table (galaxies.table.path) must "
                "have the same columns."
            )
        if first_kind != kind:
            raise UserError(
                f"column '{name}' is of {kind} in {file}, but of {first_kind} in {first_file}. Files of one table "
                "(galaxies.table.path) must agree."
            )


def _kinds(table: Table) -> dict[str, str]:
    """Return what columns that can be read are; beside numbers of elements and units, types may differ."""
    units = {name: f" in {unit}" for name, unit in table.units.items()}
    kinds = dict.fromkeys(table.columns, "one value per row") | {name: table.unusable[name] for name in table.vectors}
    return {name: f"{kind}{units.get(name, '')}" for name, kind in kinds.items()}


def _schema(opened: AbstractContextManager[Table], columns: Sequence[str]) -> pa.Schema | None:
    """Return the types of some columns of a file, none if it has no rows."""
    with opened as table:
        chunk = next(table.read(columns, 1), None)
    return None if chunk is None else chunk.select(columns).schema.remove_metadata()


def _common_schema(schemas: Mapping[Path, pa.Schema | None]) -> pa.Schema | None:
    """Return types that hold the values of all files."""
    common: pa.Schema | None = None
    first_file: Path | None = None
    for file, schema in schemas.items():
        if common is None or schema is None:
            common, first_file = (common, first_file) if schema is None else (schema, file)
            continue
        for i, (common_field, field) in enumerate(zip(common, schema, strict=True)):
            try:
                both = [pa.schema([common_field.remove_metadata()]), pa.schema([field.remove_metadata()])]
                common = common.set(i, pa.unify_schemas(both, promote_options="permissive").field(0))
            except pa.ArrowException:
                raise UserError(
                    f"column '{field.name}' is of type {field.type} in {file}, but {common_field.type} in "
                    f"{first_file}. Files of one table (galaxies.table.path) must agree."
                ) from None
    return common
