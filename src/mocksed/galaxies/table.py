"""The user's table of galaxies: checked as a whole, then written in shards in the columns of the catalogue.

The table is read twice, in chunks. The first pass finds everything that is wrong with it and counts the rows that can
be used; the second distributes them over the shards at random. Nothing is written before the whole table is known to be
good.
"""

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mocksed import atomic, rng
from mocksed.files import provenance, storage
from mocksed.galaxies.header import STANDARD, header_of, not_used
from mocksed.galaxies.mass_functions import draw_quiescent, quiescent_fraction
from mocksed.galaxies.readers import CHUNK_ROWS, open_table
from mocksed.galaxies.rows import normalise
from mocksed.galaxies.spec import TableSpec
from mocksed.galaxies.validation import validate
from mocksed.progress import progress
from mocksed.realisations import COLUMN, column_needed

log = logging.getLogger("mocksed")

_PLAIN = {
    pa.int8(): pa.int16(), pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(),
    pa.float16(): pa.float32(), pa.large_string(): pa.string(),
}  # fmt: skip
_HELD_BYTES = 1 << 28  # of dealt rows, before they are appended to their shards
_NO_STAR_FORMATION = "_no_star_formation"  # column of dealt rows, not of shards
_DEALT = ".dealt."  # how the folder of the shards' temporary files begins


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

    Columns are galaxy_id, redshift, log_mstar [log10 Msun], quiescent, and those that pass through (see `plain`). Rows
    are distributed over the shards (see `deal`) and keep the table's order within each. If the run has realisations
    other than 0, a shard has its rows once for each, with a column ``realisation``; classes differ where the mass
    functions decide them.

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
    with open_table(spec.path, spec.format, spec.dataset) as table:
        header = header_of(spec, table)
        header.check()
        spec, kept = header.spec, header.kept
        if spec.keep == "all":
            for name, what in table.unusable.items():
                log.info("%s: column '%s' does not pass through (%s)", spec.path, name, what)
        validation = validate(header, table, seed, chunk_rows)
        for reason in validation.reasons.values():
            log.info("left out:%s", str(reason))
        log.info("%s: %d of %d rows used", spec.path, validation.n_used, validation.n_rows)
        for line in (*validation.notes(), *not_used(spec, table.columns)):
            log.info("%s: %s", spec.path, line)

        read = list(dict.fromkeys([*spec.roles().values(), *kept]))
        with ExitStack() as stack:
            temporaries = [stack.enter_context(atomic.replacing(path)) for path in outputs]
            if report is not None:
                storage.write_json(stack.enter_context(atomic.replacing(report)), validation.report())
            with progress(validation.n_rows, "rows", "deal out") as bar:
                rows = _used_rows(table.read(read, chunk_rows), kept, spec, seed, about, bar.update)
                dealt = stack.enter_context(_dealt(rows, len(outputs), Path(outputs[0]).parent))
            with progress(validation.n_used * len(realisations), "rows", "write") as bar:
                for shard, (temporary, path) in enumerate(zip(temporaries, dealt, strict=True)):
                    galaxies = storage.with_metadata(_collect(path), provenance.of_shard(shard, len(outputs)))
                    first, *rest = _in_realisations(galaxies, realisations, spec, seed)
                    with storage.parquet_writer(temporary, first.schema) as writer:
                        for rows in (first, *rest):
                            writer.write_table(rows, storage.ROW_GROUP)
                            bar.update(len(rows))
                    path.unlink()


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
        id_column = None
        if galaxies.original_id is not None:
            columns["original_id"], id_column = plain(galaxies.original_id), spec.columns["galaxy_id"]
        columns |= galaxies.given
        columns |= {name: plain(chunk[name]) for name in kept if name != id_column}
        if _classes_are_drawn(spec):
            columns[_NO_STAR_FORMATION] = galaxies.no_star_formation
        yield storage.to_table(columns, about).filter(pa.array(galaxies.used))
        first_row += len(chunk)
        done(len(chunk))


def plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in a type that the readers of catalogues and the formats of exports know.

    Categories are written out, and numbers and texts of rare types have the next wider type. Decimals become float64,
    dates and times texts as in ISO 8601. uint64 stays, which has no wider type.
    """
    type_ = values.type
    if pa.types.is_dictionary(type_):
        return plain(values.cast(type_.value_type))
    if pa.types.is_decimal(type_) or pa.types.is_null(type_):
        return values.cast(pa.float64())
    if pa.types.is_temporal(type_):
        return values.cast(pa.string())
    return values.cast(_PLAIN.get(type_, type_))


def _classes_are_drawn(spec: TableSpec) -> bool:
    """Return whether the mass functions decide the class, except for galaxies without star formation."""
    return spec.quiescent_from == "mass_function" and "log_sfr" in spec.given()


def _in_realisations(galaxies: pa.Table, realisations: Sequence[int], spec: TableSpec, seed: int) -> Iterator[pa.Table]:
    """Yield the rows of a shard in each of the realisations."""
    no_star_formation: NDArray[np.bool_] | bool = False
    if _classes_are_drawn(spec):
        no_star_formation = galaxies[_NO_STAR_FORMATION].to_numpy()
        galaxies = galaxies.drop_columns(_NO_STAR_FORMATION)
    if not column_needed(realisations):
        yield galaxies
        return
    galaxy_id, redshift, log_mstar, quiescent = (galaxies[name].to_numpy() for name in STANDARD)
    fraction = None
    if spec.quiescent_from == "mass_function":
        fraction = quiescent_fraction(log_mstar, redshift, spec.mass_functions)
    for index in realisations:
        columns = {COLUMN: np.full(len(galaxies), index), "quiescent": quiescent}
        if fraction is not None:
            columns["quiescent"] = draw_quiescent(fraction, galaxy_id, seed, index) | no_star_formation
        drawn = storage.to_table(columns)
        rows = galaxies.set_column(STANDARD.index("quiescent"), drawn.field("quiescent"), drawn["quiescent"])
        yield rows.add_column(1, drawn.field(COLUMN), drawn[COLUMN])


def deal(first_row: int, n_rows: int, n_shards: int) -> NDArray[np.int64]:
    """Return the shards of some rows that follow each other.

    Rows are distributed over the shards at random: of every ``n_shards`` rows each shard gets one, in an order that is
    drawn independently of seed and galaxies. Every shard is an even sample of the table, whether that is sorted by
    redshift, mass or class or is periodic, and all jobs of a stage cost about the same.

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
    return pa.concat_tables(streams)
