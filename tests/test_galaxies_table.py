"""The user's table: formats, interpretation, everything that can be wrong with it, and that nothing is written then."""

import hashlib
import json
import logging
import os
import resource
from datetime import datetime, timedelta
from decimal import Decimal

import astropy.table
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table
from numpy.testing import assert_allclose, assert_array_equal

from mocksed import rng
from mocksed.errors import UserError
from mocksed.export import formats
from mocksed.export.source import Rows
from mocksed.files import storage
from mocksed.galaxies import table as module
from mocksed.galaxies.given import SPELLINGS
from mocksed.galaxies.header import header_of
from mocksed.galaxies.mass_functions import quiescent_fraction
from mocksed.galaxies.readers import open_table
from mocksed.galaxies.spec import TableSpec
from mocksed.galaxies.table import deal, write_shards
from mocksed.quantities import GIVEN
from tests import programs

N = 23
SEED = 5


def columns(n=N):
    """A survey table like that of 3D-HST, with columns of every type to pass through."""
    random = np.random.default_rng(3)
    return {
        "id": np.arange(1, n + 1) * 10,
        "z": random.uniform(0.1, 6.0, n),
        "lmass": random.uniform(7.0, 11.5, n),
        "lssfr": random.uniform(-13.0, -8.0, n),
        "old": random.random(n) < 0.5,
        "av": (random.integers(0, 12, n) / 4).astype(np.float32),
        "field": np.array([f"cosmos-{i}" for i in range(n)]),
        "n_bands": random.integers(3, 40, n).astype(np.int16),
    }


NAMES = {"galaxy_id": "id", "redshift": "z", "mass": "lmass"}


def write_parquet(path, data, **options):
    pq.write_table(pa.table({name: pa.array(values) for name, values in data.items()}), path, **options)


def write_csv(path, data):
    pd.DataFrame(data).to_csv(path, index=False)


def write_fits(path, data):
    fits.BinTableHDU.from_columns([fits_column(name, np.asarray(values)) for name, values in data.items()]).writeto(
        path
    )


def fits_column(name, values):
    kind = values.dtype.kind
    code = {"b": "L", "U": f"{values.dtype.itemsize // 4}A", "i": {8: "K", 4: "J", 2: "I"}.get(values.dtype.itemsize)}
    length = "" if values.ndim == 1 else str(values.shape[1])
    return fits.Column(name, length + (code.get(kind) or {8: "D", 4: "E"}[values.dtype.itemsize]), array=values)


def write_hdf5(path, data, group="galaxies"):
    with h5py.File(path, "w") as file:
        for name, values in data.items():
            values = np.asarray(values)
            file[f"{group}/{name}"] = values.astype("S") if values.dtype.kind == "U" else values


def write_hdf5_compound(path, data):
    arrays = {
        n: np.asarray(v).astype("S") if np.asarray(v).dtype.kind == "U" else np.asarray(v) for n, v in data.items()
    }
    rows = np.empty(len(next(iter(arrays.values()))), [(n, v.dtype, v.shape[1:]) for n, v in arrays.items()])
    for name, values in arrays.items():
        rows[name] = values
    with h5py.File(path, "w") as file:
        file["table"] = rows


WRITERS = {
    "t.parquet": write_parquet,
    "t.csv": write_csv,
    "t.fits": write_fits,
    "t.hdf5": write_hdf5,
    "t.h5": write_hdf5_compound,
}


def check_header(spec):
    """Raise what is wrong with the columns."""
    with open_table(spec.path, spec.format, spec.dataset) as table:
        header_of(spec, table).check()


class Folder:
    """A table in a folder, and what `write_shards` makes of it."""

    def __init__(self, path):
        self.path = path
        self.outputs = [path / "out" / f"{i:04d}.parquet" for i in range(3)]
        self.report = path / "out" / "report.json"

    def config(self, data, name="t.parquet", **changes):
        table = self.path / name
        if data is not None:
            table.unlink(missing_ok=True)
            WRITERS[name](table, data)
        return {"path": str(table), "columns": NAMES} | changes

    def write(self, data, name="t.parquet", chunk_rows=1000, mass_functions="williams2018", **changes):
        """Return the rows of all shards in the order of the table."""
        spec = TableSpec.from_config(self.config(data, name, **changes), mass_functions=mass_functions)
        write_shards(spec, SEED, self.outputs, self.report, chunk_rows)
        rows = pa.concat_tables([storage.read_table(output) for output in self.outputs])
        order = np.argsort(deal(0, len(rows), len(self.outputs)), kind="stable")
        return rows.take(pa.array(np.argsort(order)))

    def refuses(self, data, match, name="t.parquet", **changes):
        """Check that the table is refused with one message that names the file, and that nothing is written."""
        with pytest.raises(UserError, match=match) as caught:
            self.write(data, name, **changes)
        assert not list(self.path.glob("out/**/*")), "something was written"
        return str(caught.value)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


# ------------------------------------------------------------------------------------------- good tables


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("chunk_rows", [1, 4, 1000])
def test_round_trip_of_every_format(folder, name, chunk_rows):
    data = columns()
    result = folder.write(data, name, chunk_rows)
    assert result.column_names[:4] == ["galaxy_id", "redshift", "log_mstar", "quiescent"]
    assert result.column_names[4:] == list(data) if name != "t.hdf5" else sorted(data)
    assert_array_equal(result["galaxy_id"], data["id"])
    assert_array_equal(result["redshift"], data["z"])
    assert_array_equal(result["log_mstar"], data["lmass"])
    for column in data:
        assert_array_equal(result[column].to_numpy(zero_copy_only=False), data[column])
    if name != "t.csv":
        assert result.schema.field("av").type == pa.float32()
        assert result.schema.field("n_bands").type == pa.int16()
    assert result.schema.field("old").type == pa.bool_()
    assert result.schema.field("redshift").metadata is not None
    report = json.loads(folder.report.read_text())
    assert (report["n_rows"], report["n_used"], report["n_dropped"], report["reasons"]) == (N, N, 0, [])


def test_every_shard_says_of_which_run_it_is(folder):
    spec = TableSpec.from_config(folder.config(columns()))
    write_shards(spec, SEED, folder.outputs, about={"run": "demo", "seed": SEED})
    for path in folder.outputs:
        about = storage.metadata(path)
        assert (about["run"], about["seed"]) == ("demo", SEED)


def test_rows_are_numbered_without_ids(folder):
    result = folder.write(columns(), chunk_rows=5, columns={"redshift": "z", "mass": "lmass"})
    assert_array_equal(result["galaxy_id"], np.arange(N))


def test_standard_names_are_not_duplicated(folder):
    data = {"galaxy_id": np.arange(N), "redshift": columns()["z"], "log_mstar": columns()["lmass"]}
    result = folder.write(data, columns={"galaxy_id": "galaxy_id"})
    assert result.column_names == ["galaxy_id", "redshift", "log_mstar", "quiescent"]


def test_keep(folder):
    assert folder.write(columns(), keep=["field", "av"]).column_names[4:] == ["field", "av"]
    assert folder.write(columns(), keep=[]).column_names[4:] == []


def test_positions_pass_through_with_their_description(folder):
    result = folder.write(columns() | {"ra": np.full(N, 150.0), "dec": np.full(N, 2.0)}, keep=["ra", "dec"])
    assert result.schema.field("ra").metadata[b"unit"] == b"deg"


@pytest.mark.parametrize("unit", ["Msun", "Msun/h"])
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_mass_scale_and_unit(folder, scale, unit):
    given = columns()["lmass"] + (np.log10(0.7) if unit == "Msun/h" else 0.0)
    data = columns() | {"lmass": given if scale == "log" else 10.0**given}
    result = folder.write(data, mass_scale=scale, mass_unit=unit, h=0.7)
    assert_allclose(result["log_mstar"].to_numpy(), columns()["lmass"], atol=1e-12)
    assert_array_equal(result["lmass"], data["lmass"])  # the user's own passes through as it is


@pytest.mark.parametrize(
    "flags",
    [
        lambda f: f,
        lambda f: f.astype(np.int8),
        lambda f: f.astype(float),
        lambda f: np.where(f, "true", "false"),
        lambda f: np.where(f, " True", "FALSE"),
        lambda f: pd.Categorical(np.where(f, "1", "0")),
    ],
)
def test_quiescent_from_a_column(folder, flags):
    data = columns() | {"old": flags(columns()["old"])}
    result = folder.write(data, columns=NAMES | {"quiescent": "old"}, quiescent={"from": "column"})
    assert_array_equal(result["quiescent"], columns()["old"])


@pytest.mark.parametrize("name", ["t.fits", "t.csv", "t.hdf5", "t.h5"])
def test_quiescent_from_a_column_of_other_formats(folder, name):
    result = folder.write(columns(), name, columns=NAMES | {"quiescent": "old"}, quiescent={"from": "column"})
    assert_array_equal(result["quiescent"], columns()["old"])


def test_quiescent_from_ssfr(folder):
    quiescent = {"from": "ssfr", "log_ssfr_max": -10.0}
    result = folder.write(columns(), columns=NAMES | {"ssfr": "lssfr"}, quiescent=quiescent)
    assert_array_equal(result["quiescent"], columns()["lssfr"] < -10.0)


def test_quiescent_from_the_mass_functions(folder):
    n = 20_000
    data = columns(n) | {"lmass": np.full(n, 11.0), "z": np.full(n, 1.0)}
    result = folder.write(data, chunk_rows=7001, quiescent={"from": "mass_function"})
    fraction = quiescent_fraction(11.0, 1.0)
    assert_array_equal(result["quiescent"], rng.uniforms(SEED, rng.Stage.CLASS, data["id"], 1)[:, 0] < fraction)
    assert np.mean(result["quiescent"].to_numpy()) == pytest.approx(fraction, abs=4.0 / np.sqrt(n))


def test_quiescent_from_mass_functions_by_name(folder):
    data = columns(2000) | {"lmass": np.full(2000, 10.75), "z": np.full(2000, 3.0)}
    result = folder.write(data, quiescent={"from": "mass_function"}, mass_functions="weaver2023")
    fraction = quiescent_fraction(10.75, 3.0, "weaver2023")
    assert_array_equal(result["quiescent"], rng.uniforms(SEED, rng.Stage.CLASS, data["id"], 1)[:, 0] < fraction)


def test_ids_stored_as_floats(folder):
    assert_array_equal(folder.write(columns() | {"id": np.arange(N) * 1.0})["galaxy_id"], np.arange(N))


def test_ids_in_any_order(folder):
    ids = np.random.default_rng(1).permutation(N) - 4
    assert_array_equal(folder.write(columns() | {"id": ids}, chunk_rows=5)["galaxy_id"], ids)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("keep", ["all", []])
def test_ids_that_are_text(folder, name, keep):
    """They are kept, and numbered by what they are: a part of the table gives the same galaxies."""
    data = columns() | {"id": columns()["field"]}
    whole = folder.write(data, name, chunk_rows=4, keep=keep)
    assert whole["original_id"].to_pylist() == data["id"].tolist()
    assert "id" not in whole.column_names
    assert whole.schema.field("galaxy_id").type == pa.int64()
    assert len(set(whole["galaxy_id"].to_pylist())) == N
    assert min(whole["galaxy_id"].to_pylist()) >= 0
    part = folder.write({key: values[5:12] for key, values in data.items()}, name, keep=keep)
    assert part.equals(whole.slice(5, 7))


def test_the_number_of_a_text_never_changes(folder):
    data = {key: values[:2] for key, values in columns().items()} | {"id": ["cosmos-17", "\u03b1 Cen"]}
    expected = [int.from_bytes(hashlib.blake2b(t.encode(), digest_size=8).digest(), "little") // 2 for t in data["id"]]
    assert folder.write(data)["galaxy_id"].to_pylist() == expected


def test_ids_above_the_largest_int64(folder):
    ids = np.arange(2**63 - 3, 2**63 - 3 + N, dtype=np.uint64)
    result = folder.write(columns() | {"id": ids}, chunk_rows=5)
    assert result["original_id"].to_pylist() == ids.tolist()
    assert result["galaxy_id"].to_pylist() == [i if i < 2**63 else i - 2**64 for i in ids.tolist()]


@pytest.mark.parametrize("missing", [None, "", "  "])
def test_a_text_that_is_missing_is_no_id(folder, missing):
    ids = [*columns()["field"].tolist()[:-1], missing]
    folder.refuses(columns() | {"id": ids}, "column 'id' .* not identifiers: row 22: .*an integer or a text for each")


def test_texts_that_repeat(folder):
    ids = columns()["field"].astype(object)
    ids[20] = ids[3]
    folder.refuses(columns() | {"id": ids}, "repeats 1 identifiers: 'cosmos-3' in rows 3 and 20", chunk_rows=5)


@pytest.mark.parametrize("name", ["t.fits", "t.hdf5", "t.h5"])
def test_columns_of_several_dimensions_are_left_out(folder, name, caplog):
    data = columns() | {"sed": np.zeros((N, 3))}
    with caplog.at_level(logging.INFO, "mocksed"):
        assert "sed" not in folder.write(data, name).column_names
    assert "'sed' does not pass through" in caplog.text


def test_nested_columns_of_parquet_are_left_out(folder, caplog):
    with caplog.at_level(logging.INFO, "mocksed"):
        assert "sed" not in folder.write(columns() | {"sed": [[1.0]] * N}).column_names
    assert "'sed' does not pass through (type list" in caplog.text


def test_fits_extension(folder):
    path = folder.path / "t.fits"
    table = fits.BinTableHDU.from_columns([fits_column(n, v) for n, v in columns().items()], name="CAT")
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((2, 2))), table]).writeto(path)
    for dataset in (2, "CAT"):
        assert len(folder.write(None, "t.fits", dataset=dataset)) == N
    for dataset, match in ((1, "not a table.*galaxies.table.dataset"), ("DOG", "no extension 'DOG': it has.*CAT")):
        with pytest.raises(UserError, match=match):
            folder.write(None, "t.fits", dataset=dataset)


def test_fits_nulls_unsigned_integers_and_variable_lengths(folder):
    data = columns()
    data["n"] = np.where(np.arange(N) == 3, -9, np.arange(N)).astype(np.int16)
    hdu = fits.BinTableHDU.from_columns([
        *[fits_column(n, v) for n, v in data.items() if n != "n"],
        fits.Column("n", "I", null=-9, array=data["n"]),
        fits.Column("u", "J", bzero=2**31, array=np.arange(N, dtype=np.uint32) + 2**31),
        fits.Column("p", "PD()", array=np.array([np.ones(i % 3) for i in range(N)], dtype=object)),
    ])  # fmt: skip
    hdu.writeto(folder.path / "t.fits")
    content = (folder.path / "t.fits").read_bytes()
    row = hdu.data.dtype.itemsize
    start = content.index(b"END" + b" " * 77, 2880) // 2880 * 2880 + 2880
    at = start + 2 * row + hdu.data.dtype.fields["old"][1]
    (folder.path / "t.fits").write_bytes(content[:at] + b"\0" + content[at + 1 :])
    result = folder.write(None, "t.fits", chunk_rows=7)
    assert result["n"].to_pylist() == [None if i == 3 else i for i in range(N)]
    assert_array_equal(result["u"], np.arange(N) + 2**31)
    assert result["old"][2].as_py() is None
    assert result["old"].null_count == 1
    assert "p" not in result.column_names


def test_ascii_tables_of_fits(folder):
    """As VizieR serves them: blanks and the null of a column are missing, not 0."""
    path = folder.path / "t.fits"
    data = {name: values for name, values in columns().items() if name != "old"}
    ascii_columns = [
        fits.Column("id", "I10", array=data["id"]),
        *(fits.Column(name, "E25.17", array=data[name]) for name in ("z", "lmass", "lssfr", "av")),
        fits.Column("field", "A10", array=data["field"]),
        fits.Column("n_bands", "I6", null="-99", array=np.where(np.arange(N) == 4, -99, data["n_bands"])),
    ]
    fits.TableHDU.from_columns(ascii_columns).writeto(path)
    content = path.read_bytes()
    assert content.count(b"-99") == 2  # in the header and in the table
    end = content.index(b"cosmos-2")
    assert float(content[end - 25 : end]) == data["av"][2]
    path.write_bytes(content[: end - 25] + b" " * 25 + content[end:])
    result = folder.write(None, "t.fits", chunk_rows=5)
    for name in ("galaxy_id", "redshift", "log_mstar", "lssfr"):
        expected = {"galaxy_id": "id", "redshift": "z", "log_mstar": "lmass"}.get(name, name)
        assert_array_equal(result[name], data[expected])
    assert result["field"].to_pylist() == data["field"].tolist()
    assert result["av"].to_pylist() == [None if i == 2 else float(v) for i, v in enumerate(data["av"])]
    assert result["n_bands"].to_pylist() == [None if i == 4 else int(v) for i, v in enumerate(data["n_bands"])]


def masked_table(n=N):
    """Return a table as astropy has it, with a redshift, a text and an unsigned integer masked."""
    table = astropy.table.Table({name: values for name, values in columns(n).items() if name != "old"}, masked=True)
    table["n_bands"] = table["n_bands"].astype(np.uint32)
    table["z"].mask[3] = table["field"].mask[5] = table["n_bands"].mask[7] = True
    return table


@pytest.mark.parametrize("serialize_meta", [True, False])
@pytest.mark.parametrize("as_group", [True, False])
def test_masks_that_astropy_writes_beside_columns_of_hdf5(folder, serialize_meta, as_group):
    path, table = folder.path / "t.hdf5", masked_table()
    for name in ("field", "z", "n_bands"):
        table[f"{name}.mask"] = np.array(table[name].mask)
        table[name] = table[name].filled(table[name][0])  # what lies under the mask is a good value
    table["odd.mask"] = np.arange(N)  # a column like another: there is none called odd
    if as_group:
        table["field"] = table["field"].astype("S")
        write_hdf5(path, {name: np.asarray(table[name]) for name in table.colnames})
    else:
        table.write(path, path="cat", serialize_meta=serialize_meta)
        with h5py.File(path) as file:
            assert len(file) == 1 + serialize_meta
    result = folder.write(None, "t.hdf5", chunk_rows=4, invalid_rows="drop")
    assert result["galaxy_id"].to_pylist() == [10 * (i + 1) for i in range(N) if i != 3]
    assert np.flatnonzero(result["field"].is_null()).tolist() == [4]
    assert np.flatnonzero(result["n_bands"].is_null()).tolist() == [6]
    assert [name for name in result.column_names if name.endswith(".mask")] == ["odd.mask"]
    folder_of_stop = Folder(folder.path / "stop")
    folder_of_stop.path.mkdir()
    path.rename(folder_of_stop.path / "t.hdf5")
    folder_of_stop.refuses(None, r"column 'z' missing: 1 row \(row 3: null\)", name="t.hdf5")


def test_masks_that_astropy_writes_to_fits(folder):
    """The null of an unsigned integer is given as the number that is meant, not as the one that is stored."""
    masked_table().write(folder.path / "t.fits")
    result = folder.write(None, "t.fits", chunk_rows=4, invalid_rows="drop")
    assert result["galaxy_id"].to_pylist() == [10 * (i + 1) for i in range(N) if i != 3]
    assert np.flatnonzero(result["n_bands"].is_null()).tolist() == [6]


def test_text_that_polars_writes(folder):
    data = columns()
    views = {"field": pa.array(data["field"], pa.string_view())}
    pq.write_table(pa.table({**{n: pa.array(v) for n, v in data.items()}, **views}), folder.path / "t.parquet")
    result = folder.write(None, chunk_rows=5)
    assert result["field"].to_pylist() == data["field"].tolist()


def test_hdf5_group_and_names(folder):
    write_hdf5(folder.path / "t.hdf5", columns(), "run/snapshot")
    with h5py.File(folder.path / "t.hdf5", "a") as file:
        file["other"] = 1.0
    assert len(folder.write(None, "t.hdf5", dataset="run/snapshot")) == N
    with pytest.raises(UserError, match=r"has no 'snapshot': it has other, run.*dataset"):
        folder.write(None, "t.hdf5", dataset="snapshot")
    with pytest.raises(UserError, match=r"'/' holds no columns, only other, run.*dataset"):
        folder.write(None, "t.hdf5", dataset="/")


def test_csv_types_of_later_rows(folder, monkeypatch):
    monkeypatch.setattr("mocksed.galaxies.readers.text._CSV_BLOCK", 256)
    n = 300
    data = pd.DataFrame(columns(n)).drop(columns="field")
    data["late_float"] = [0] * 200 + [0.5] * 100
    data["late_text"] = [1] * 200 + ["x"] * 100
    data["late_number"] = [None] * 200 + [2] * 100
    result = folder.write(data, "t.csv", chunk_rows=3)
    assert [str(result.schema.field(f"late_{kind}").type) for kind in ("float", "text", "number")] == [
        "double",
        "string",
        "double",
    ]
    assert result["late_text"].to_pylist() == [str(value) for value in data["late_text"]]


# ----------------------------------------------------------------------------------------- rows to shards


@pytest.mark.parametrize(("n_rows", "n_shards"), [(23, 1), (24, 4), (1003, 7), (5, 9), (0, 3)])
def test_every_round_gives_each_shard_a_row(n_rows, n_shards):
    shards = deal(0, n_rows, n_shards)
    whole = shards[: n_rows // n_shards * n_shards].reshape(-1, n_shards)
    assert_array_equal(np.sort(whole, axis=1), np.tile(np.arange(n_shards), (len(whole), 1)))
    rest = shards[whole.size :]
    assert len(np.unique(rest)) == len(rest)
    assert set(rest) <= set(range(n_shards))


def test_a_row_goes_to_the_same_shard_wherever_a_chunk_begins():
    whole = deal(0, 1000, 7)
    for start, stop in ((0, 1), (3, 4), (5, 500), (699, 1000)):
        assert_array_equal(deal(start, stop - start, 7), whole[start:stop])


@pytest.mark.parametrize("n_shards", [2, 32, 100])
def test_shards_are_even_samples_whatever_the_order_of_the_table(n_shards):
    rows = np.arange(2000 * n_shards)
    shards = deal(0, len(rows), n_shards)
    z = rows / len(rows)  # sorted
    mean = np.bincount(shards, z) / 2000
    assert_allclose(mean, z.mean(), atol=1.0 / 2000)
    for start, stop in ((0, 700), (len(rows) - 12_345, len(rows))):  # the few of a class at one end
        counts = np.bincount(shards[start:stop], minlength=n_shards)
        assert np.ptp(counts) <= 2
    for period in (2, n_shards - 1, n_shards, n_shards + 1, 2 * n_shards):
        if period > 1:
            counts = np.bincount(shards[::period], minlength=n_shards)
            assert_allclose(counts, len(rows) / period / n_shards, atol=6.0 * np.sqrt(2000 / period))


@pytest.mark.parametrize("held_bytes", [0, 1000, 1 << 28])
@pytest.mark.parametrize("chunk_rows", [1, 5, 1000])
def test_shards_hold_what_they_were_dealt_in_the_order_of_the_table(folder, monkeypatch, chunk_rows, held_bytes):
    monkeypatch.setattr(module, "_HELD_BYTES", held_bytes)
    data = columns()
    data["id"] = data["id"][::-1].copy()
    folder.write(data, chunk_rows=chunk_rows)
    shards = deal(0, N, 3)
    for shard, output in enumerate(folder.outputs):
        assert_array_equal(storage.read_table(output)["galaxy_id"], data["id"][shards == shard])
    assert sorted(path.name for path in folder.path.glob("out/*")) == ["0000.parquet", "0001.parquet", "0002.parquet",
                                                                       "report.json"]  # fmt: skip


def test_rows_that_are_left_out_are_not_dealt(folder):
    folder.write(survey(), invalid_rows="drop", missing_values=[-1])
    assert sorted(len(storage.read_table(output)) for output in folder.outputs) == [4, 4, 5]


def test_row_groups_are_full_whatever_is_appended_at_a_time(folder, monkeypatch):
    monkeypatch.setattr(module, "_HELD_BYTES", 0)
    monkeypatch.setattr(storage, "ROW_GROUP", 3)
    folder.write(columns(), chunk_rows=2)
    for output in folder.outputs:
        file = pq.ParquetFile(output).metadata
        sizes = [file.row_group(i).num_rows for i in range(file.num_row_groups)]
        assert sizes == [3, 3, file.num_rows - 6]


def test_categories_pass_through(folder, monkeypatch):
    monkeypatch.setattr(module, "_HELD_BYTES", 0)
    kind = pd.Categorical(np.array(["disc", "bulge", "irregular", None], object)[np.arange(N) % 4])
    write_parquet(folder.path / "t.parquet", columns() | {"kind": kind}, row_group_size=5)
    result = folder.write(None, chunk_rows=4)["kind"]
    assert result.type == pa.string()
    assert result.to_pylist() == [None if pd.isna(value) else value for value in kind]


NOON = datetime(2027, 6, 1, 12)
OTHER_TYPES = {
    "categories of numbers": (pa.array([3, 5] * N)[:N].dictionary_encode(), pa.int64(), 3),
    "large texts": (pa.array(["a"] * N, pa.large_string()), pa.string(), "a"),
    "decimals": (pa.array([Decimal("1.50")] * N, pa.decimal128(8, 2)), pa.float64(), 1.5),
    "small numbers": (pa.array([-8] * N, pa.int8()), pa.int16(), -8),
    "bytes": (pa.array([200] * N, pa.uint8()), pa.int16(), 200),
    "unsigned": (pa.array([2**32 - 1] * N, pa.uint32()), pa.int64(), 2**32 - 1),
    "unsigned of 64 bits": (pa.array([2**64 - 1] * N, pa.uint64()), pa.uint64(), 2**64 - 1),
    "half precision": (pa.array(np.full(N, 0.5, np.float16)), pa.float32(), 0.5),
    "times": (pa.array([NOON] * N, pa.timestamp("ms")), pa.string(), "2027-06-01 12:00:00.000"),
    "zones": (pa.array([NOON] * N, pa.timestamp("ms", "UTC")), pa.string(), "2027-06-01 12:00:00.000Z"),
    "days": (pa.array([NOON.date()] * N), pa.string(), "2027-06-01"),
    "nothing": (pa.nulls(N), pa.float64(), None),
    "yes and no": (pa.array([True, None] * N)[:N], pa.bool_(), True),
}


def test_columns_of_other_types_pass_through_in_types_that_programs_read(folder):
    """And that FITS holds, but uint64."""
    polars, duckdb = (programs.module(name) for name in ("polars", "duckdb"))
    given = {name: values for name, (values, _, _) in OTHER_TYPES.items()}
    pq.write_table(pa.table({**{n: pa.array(v) for n, v in columns().items()}, **given}), folder.path / "t.parquet")
    result = folder.write(None)
    for name, (_, type_, first) in OTHER_TYPES.items():
        assert result.schema.field(name).type == type_
        assert result[name][0].as_py() == first
    whole = folder.path / "whole.parquet"
    storage.write_table(whole, result.select(list(OTHER_TYPES)))
    assert Table.read(whole).colnames == list(OTHER_TYPES)
    for read in (pd.read_parquet, polars.read_parquet, lambda path: duckdb.sql(f"SELECT * FROM '{path}'").pl()):
        assert list(read(whole).columns) == list(OTHER_TYPES)
    for field in result.schema:
        rows = Rows(pa.schema([field]), N, {}, {field.name: 30}, lambda name=field.name: iter([result.select([name])]))
        if field.type == pa.uint64():
            with pytest.raises(UserError, match="FITS cannot hold values of type uint64"):
                formats.fits(folder.path / "t.fits", rows)
        else:
            formats.fits(folder.path / "t.fits", rows)
            assert len(Table.read(folder.path / "t.fits")) == N


@pytest.mark.parametrize("values", [[b"x"] * N, [[1, 2]] * N, [{"a": 1}] * N, [timedelta(1)] * N])
def test_columns_that_programs_do_not_read_do_not_pass_through(folder, values, caplog):
    table = pa.table({**{n: pa.array(v) for n, v in columns().items()}, "mine": pa.array(values)})
    pq.write_table(table, folder.path / "t.parquet")
    caplog.set_level("INFO")
    assert "mine" not in folder.write(None).column_names
    assert "column 'mine' does not pass through (type " in caplog.text


@pytest.mark.slow
def test_what_is_held_does_not_grow_with_the_table(folder, monkeypatch):
    held, n = [], 100_000
    data = columns(n) | {f"column {i}": np.arange(float(n)) for i in range(10)}
    write_parquet(folder.path / "t.parquet", data, row_group_size=1000)
    append, before = module._append, pa.total_allocated_bytes()
    monkeypatch.setattr(module, "_HELD_BYTES", 500_000)
    monkeypatch.setattr(module, "_append", lambda *a: held.append(pa.total_allocated_bytes() - before) or append(*a))
    folder.write(None, chunk_rows=1000)
    assert len(held) > 20
    assert max(held) < 2_000_000  # of a table of 14 MB


def test_there_may_be_more_shards_than_files_can_be_open(folder):
    folder.outputs = [folder.path / "out" / f"{i:04d}.parquet" for i in range(100)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 30, limits[1]))
    try:
        assert_array_equal(folder.write(columns(1000))["galaxy_id"], columns(1000)["id"])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_what_a_killed_job_left_is_removed(folder):
    left = folder.path / "out" / ".dealt.abc" / "0"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"rows")
    folder.write(columns())
    assert not left.parent.exists()


def test_more_shards_than_rows(folder):
    folder.write({name: values[:1] for name, values in columns().items()})
    tables = [storage.read_table(output) for output in folder.outputs]
    assert sorted(len(table) for table in tables) == [0, 0, 1]
    assert tables[0].schema == tables[1].schema == tables[2].schema


# ----------------------------------------------------------------------------------------- rows to drop


def survey(n=N):
    """The table with what real ones have: no fit (-1, NaN), masses out of range."""
    data = columns(n)
    for name in ("z", "lmass", "lssfr"):
        data[name][[2, 9]] = -1.0
    data["lmass"][[4, 5, 6, 7, 8, 12]] = np.nan
    data["lmass"][20] = 3.3
    data["z"][21] = 25.0
    return data


def test_invalid_rows_stop(folder):
    message = folder.refuses(survey(), "10 of 23 rows cannot be used", "t.fits", missing_values=[-1], chunk_rows=5)
    assert "column 'z' missing: 2 rows (row 2: -1.0, row 9: -1.0); expected a number" in message
    assert (
        "column 'lmass' missing: 8 rows (row 2: -1.0, row 4: nan, row 5: nan, row 6: nan, row 7: nan, ...)" in message
    )
    assert (
        "column 'lmass' out of range: 1 row (row 20: 3.3); expected log10 of the mass in Msun from 4 to 13.5" in message
    )
    assert "column 'z' out of range: 1 row (row 21: 25.0); expected 0 to 20" in message
    assert "`invalid_rows: drop`" in message


@pytest.mark.parametrize("chunk_rows", [1, 5, 1000])
def test_invalid_rows_drop(folder, caplog, chunk_rows):
    with caplog.at_level(logging.INFO, "mocksed"):
        result = folder.write(survey(), "t.fits", chunk_rows, missing_values=[-1], invalid_rows="drop")
    used = np.setdiff1d(np.arange(N), [2, 4, 5, 6, 7, 8, 9, 12, 20, 21])
    assert_array_equal(result["galaxy_id"], columns()["id"][used])
    assert_array_equal(result["av"], columns()["av"][used])
    report = json.loads(folder.report.read_text())
    assert (report["n_rows"], report["n_used"], report["n_dropped"]) == (23, 13, 10)
    counts = {(reason["column"], reason["problem"]): reason["n_rows"] for reason in report["reasons"]}
    assert counts == {
        ("z", "missing"): 2,
        ("lmass", "missing"): 8,
        ("lmass", "out of range"): 1,
        ("z", "out of range"): 1,
    }
    assert "column 'lmass' missing: 8 rows" in caplog.text
    assert "13 of 23 rows used" in caplog.text


def test_dropping_rows_changes_no_other_galaxy(folder):
    names = {"redshift": "z", "mass": "lmass"}
    whole = folder.write(columns(), columns=names)
    some = folder.write(survey(), columns=names, invalid_rows="drop")
    assert_array_equal(some["quiescent"], whole["quiescent"].to_numpy(zero_copy_only=False)[some["galaxy_id"]])


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("z", None, "column 'z' missing: 1 row .row 7: null"),
        ("z", np.nan, "column 'z' missing: 1 row"),
        ("z", np.inf, "column 'z' missing: 1 row .row 7: inf"),
        ("z", -0.5, "column 'z' negative: 1 row .row 7: -0.5.*expected 0 to 20"),
        ("lmass", -np.inf, "column 'lmass' missing"),
        ("lmass", 14.0, "column 'lmass' out of range"),
        ("lssfr", None, "column 'lssfr' missing"),
    ],
)
def test_each_reason(folder, column, value, message):
    data = columns()
    data[column] = [*data[column][:7], value, *data[column][8:]]
    setting = {"columns": NAMES | {"ssfr": "lssfr"}, "quiescent": {"from": "ssfr"}}
    folder.refuses(data, message, chunk_rows=5, **setting)
    assert len(folder.write(data, invalid_rows="drop", **setting)) == N - 1


def test_linear_masses_must_be_positive(folder):
    data = columns()
    data["lmass"] = 10.0 ** data["lmass"]
    data["lmass"][[1, 3]] = 0.0, -1e9
    folder.refuses(data, "not positive: 2 rows .row 1: 0.0, row 3: -1000000000.0", mass_scale="linear")


@pytest.mark.parametrize("value", [None, 2, -99])
def test_flags_must_be_flags(folder, value):
    flags = [*columns()["old"].astype(int).tolist()[:-1], value]
    setting = {"columns": NAMES | {"quiescent": "old"}, "quiescent": {"from": "column"}}
    folder.refuses(columns() | {"old": flags}, "'old' not a flag: 1 row .row 22: .*true or false, 1 or 0", **setting)


def test_text_in_a_column_of_numbers(folder):
    data = columns()
    data["z"] = [*data["z"].tolist()[:-1], "unknown"]
    folder.refuses(pd.DataFrame(data), "column 'z' missing: 1 row .row 22: 'unknown'", "t.csv")


def test_missing_value_in_single_precision(folder):
    data = columns()
    data["z"][3] = 19.9
    data["z"] = data["z"].astype(np.float32)
    folder.refuses(data, "'z' missing: 1 row .row 3: 19.89", missing_values=[19.9])


# --------------------------------------------------------------------------------- tables that are refused


def test_no_path():
    with pytest.raises(UserError, match=r"galaxies.table.path: null is not allowed"):
        TableSpec.from_config({"path": None})


@pytest.mark.parametrize("check", [check_header, lambda spec: write_shards(spec, SEED, ["never.parquet"])])
def test_header(folder, check):
    def refuses(match, data=None, name="t.parquet", **changes):
        with pytest.raises(UserError, match=match):
            check(TableSpec.from_config(folder.config(columns() if data is None else data, name, **changes)))

    refuses(
        r"t.parquet has no column 'lmas' \(galaxies.table.columns.mass\). Did you mean 'lmass'\? It has: id, z, ",
        columns=NAMES | {"mass": "lmas"},
    )
    refuses(r"no column 'Z' .*Did you mean 'z'", columns=NAMES | {"redshift": "Z"})
    refuses(r"no column 'qqq' \(galaxies.table.keep\)", keep=["qqq"])
    refuses(r"columns.quiescent: null is not allowed with .*quiescent.from column", quiescent={"from": "column"})
    refuses(r"columns.ssfr: null is not allowed .*, or the SFR in columns.log_sfr", quiescent={"from": "ssfr"})
    for name in ("age", "mag_f200w", "absmag_V", "line_halpha", "redshift", "quiescent"):
        refuses(rf"'{name}' has a name that the catalogue needs.*Rename it.*keep", columns() | {name: np.ones(N)})
    for name in ("t.fits", "t.hdf5", "t.h5"):
        refuses(
            r"'sed' .*is of shape \(n, 3.*not one number", columns() | {"sed": np.zeros((N, 3))}, name, keep=["sed"]
        )


def test_check_header_accepts_a_good_table(folder):
    check_header(TableSpec.from_config(folder.config(columns())))


def test_missing_file(folder):
    folder.config(columns())
    with pytest.raises(UserError, match=r"t.parque does not exist .*path.*Did you mean .*t.parquet"):
        check_header(TableSpec(folder.path / "t.parque"))
    with pytest.raises(UserError, match="is a folder"):
        check_header(TableSpec(folder.path))


def test_unknown_ending(folder):
    for name in ("t.tbl", "t.parquet.gz"):
        (folder.path / name).write_text("x")
        words = rf"{name}: its file extension does not determine the format \(known: .parquet.*galaxies.table.format"
        with pytest.raises(UserError, match=words):
            check_header(TableSpec(folder.path / name))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b"\0garbage\xff" * 50, lambda b: b[: int(0.7 * len(b))]])
def test_damaged_file(folder, name, damage):
    folder.config(columns(2000), name)
    path = folder.path / name
    path.write_bytes(damage(path.read_bytes()))
    if name == "t.csv" and path.stat().st_size > 1000:
        return  # half a text file is a shorter text file
    assert str(path) in folder.refuses(None, "cannot read|no column", name)


def test_damage_found_late_leaves_nothing(folder):
    """A column that only passes through is read in the second pass, when shards are being written."""
    data = columns(20_000) | {"noise": np.random.default_rng(0).random(20_000)}
    write_parquet(folder.path / "t.parquet", data, compression="zstd", row_group_size=5000)
    content = bytearray((folder.path / "t.parquet").read_bytes())
    chunk = pq.ParquetFile(folder.path / "t.parquet").metadata.row_group(3).column(len(data) - 1)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    (folder.path / "t.parquet").write_bytes(content)
    folder.refuses(None, "cannot read .*t.parquet", chunk_rows=5000)


def test_errors_of_the_program_are_not_blamed_on_the_file(folder, monkeypatch):
    monkeypatch.setattr("mocksed.galaxies.validation.normalise", lambda *_: [][0])
    with pytest.raises(IndexError):
        folder.write(columns())


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("invalid_rows", ["stop", "drop"])
def test_empty_table(folder, name, invalid_rows):
    data = {n: v[:0] for n, v in columns().items() if n != "field"}
    folder.refuses(data, f"{name} is empty", name, invalid_rows=invalid_rows)


def test_no_usable_row(folder):
    message = folder.refuses(
        columns() | {"z": np.full(N, -1.0)}, "none of its 23 rows can be used", invalid_rows="drop"
    )
    assert "column 'z' negative: 23 rows" in message


@pytest.mark.parametrize("chunk_rows", [3, 1000])
def test_duplicate_ids(folder, chunk_rows):
    ids = np.arange(N)
    ids[[4, 22]] = 2, 1
    folder.refuses(
        columns() | {"id": ids},
        "'id' repeats 2 identifiers: 2 in rows 2 and 4, 1 in rows 1 and 22. They must be unique",
        invalid_rows="drop",
        chunk_rows=chunk_rows,
    )


@pytest.mark.parametrize(
    ("last", "shown"),
    [(1.5, "1.5"), (None, "null"), (1e17, "1e.17"), (np.nan, "nan|null")],
)
def test_ids_must_be_integers(folder, last, shown):
    ids = [*range(N - 1), last]
    message = f"column 'id' .* not identifiers: row 22: ({shown})"
    folder.refuses(pd.DataFrame(columns() | {"id": pd.array(ids) if last is None else ids}), message, chunk_rows=5)


@pytest.mark.parametrize(("dtype", "largest"), [(np.float16, 2**11), (np.float32, 2**24), (np.float64, 2**53)])
def test_ids_that_the_type_rounds_are_refused(folder, dtype, largest):
    """From a power of two on, a float holds every second integer: what is there may stand for another."""
    ids = np.arange(N).astype(dtype)
    ids[-1] = largest - 1
    assert folder.write(columns() | {"id": ids})["galaxy_id"][-1].as_py() == largest - 1
    ids[-1] = largest
    again = Folder(folder.path / "again")
    again.path.mkdir()
    again.refuses(columns() | {"id": ids}, f"not identifiers: row 22: .*below {largest}, from where on it rounds them")


@pytest.mark.parametrize("column", ["z", "lmass"])
def test_flags_are_no_numbers(folder, column):
    folder.refuses(columns() | {column: np.ones(N, bool)}, f"column '{column}' missing: 23 rows .row 0: True")


def test_one_column_is_not_two_things(folder):
    names = NAMES | {"redshift": "lmass"}
    with pytest.raises(
        UserError, match=r"columns.redshift and galaxies.table.columns.mass both name the column 'lmass'"
    ):
        check_header(TableSpec.from_config(folder.config(columns(), columns=names)))


def test_masses_that_are_not_logarithms(folder):
    data = columns() | {"lmass": 10.0 ** columns()["lmass"]}
    for invalid_rows in ("stop", "drop"):
        message = folder.refuses(
            data, "median of .*no log10.*galaxies.table.mass_scale to linear", invalid_rows=invalid_rows
        )
        assert "\n" not in message


def test_logarithms_declared_linear(folder):
    folder.refuses(columns(), "median of .*too small.*galaxies.table.mass_scale to log", mass_scale="linear")


def test_columns_with_the_same_name(folder):
    (folder.path / "t.csv").write_text("id,z,z,lmass\n1,0.5,0.5,9.0\n")
    folder.refuses(None, "more than one column is called 'z'", "t.csv")


def test_hdf5_column_of_another_length(folder):
    message = r"'av' \(galaxies.table.keep\) is of length 3 \(most columns have 23 rows\)"
    folder.refuses(columns() | {"av": np.zeros(3)}, message, "t.hdf5", keep=["av"])


def test_output_folder_that_cannot_be_written(folder):
    (folder.path / "out").write_text("a file")
    with pytest.raises(UserError, match="cannot write"):
        folder.write(columns())


# -------------------------------------------------------------------------------------- what the table gives


def given(folder, column, role, values, error=None, **changes):
    """Return the columns given_* of a table with one given column, None for null, and the report."""
    data, names = columns() | {column: values}, NAMES | {role: column}
    if error is not None:
        data[f"e_{column}"], names[f"{role}_error"] = error, f"e_{column}"
    result = folder.write(data, chunk_rows=7, columns=names | changes.pop("columns", {}), **changes)
    found = {name: result[name].to_pylist() for name in result.column_names if name.startswith("given_")}
    return found, result, json.loads(folder.report.read_text())


CASES = {  # key: values of the table, quantity, what they are, error of 0.2 in the table
    "log_sfr": ([1.5, -0.5], "log_sfr", [1.5, -0.5], [0.2, 0.2]),
    "sfr": ([10.0, 0.1], "log_sfr", [1.0, -1.0], [0.2 / 10 / np.log(10), 0.2 / 0.1 / np.log(10)]),
    "log_zmet": ([-1.0, 0.25], "log_zmet", [-1.0, 0.25], [0.2, 0.2]),
    "oh12": ([8.69, 7.69], "log_zmet", [0.0, -1.0], [0.2, 0.2]),
    "log_us": ([-2.5, -3.5], "log_us", [-2.5, -3.5], [0.2, 0.2]),
    "muv": ([-19.0, -22.0], "muv", [-19.0, -22.0], [0.2, 0.2]),
    "beta": ([-2.0, -1.0], "beta", [-2.0, -1.0], [0.2, 0.2]),
    "dust2": ([0.0, 1.5], "dust2", [0.0, 1.5], [0.2, 0.2]),
    "av": ([0.0, 1.0857362], "dust2", [0.0, 1.0], [0.2 / 1.0857362, 0.2 / 1.0857362]),
    "age": ([0.5, 3.0], "age", [0.5, 3.0], [0.2, 0.2]),
}


def test_every_quantity_has_a_case():
    assert CASES.keys() == SPELLINGS.keys()
    assert {quantity for _, quantity, _, _ in CASES.values()} == set(GIVEN)


@pytest.mark.parametrize("role", CASES)
def test_what_is_given_is_a_column_of_the_catalogues_input(folder, role):
    (one, two), quantity, expected, error = CASES[role]
    values = [one, two] * (N // 2) + [None]
    found, result, report = given(folder, "mine", role, values, [0.2] * 21 + [None, 0.2])
    assert_allclose(found[f"given_{quantity}"][:2], expected, atol=1e-7)
    assert found[f"given_{quantity}"][2:] == [*(found[f"given_{quantity}"][:2] * 10), None]
    assert_allclose(found[f"given_{quantity}_error"][:2], error, rtol=1e-6)
    assert found[f"given_{quantity}_error"][21:] == [None, None]  # the one of a value that is not there
    assert found.keys() == {f"given_{quantity}", f"given_{quantity}_error"}
    assert result.schema.field(f"given_{quantity}").type == pa.float64()
    assert result.schema.field(f"given_{quantity}").metadata[b"description"]
    assert result["mine"].to_pylist() == values
    assert report["n_given"] == {quantity: N - 1}


@pytest.mark.parametrize("missing", [None, np.nan, -99.9, -1])
def test_rows_without_a_value_are_good_rows(folder, missing):
    values = [*columns()["z"][:-1], missing]
    found, result, _ = given(folder, "mine", "age", values, missing_values=[-99.9, -1])
    assert found == {"given_age": [*columns()["z"][:-1].tolist(), None]}
    assert len(result) == N


def test_solar_oxygen(folder):
    found, _, _ = given(folder, "mine", "oh12", np.full(N, 8.0), oh12_solar=8.9)
    assert_allclose(found["given_log_zmet"], -0.9, atol=1e-12)


@pytest.mark.parametrize(("name", "mass", "sfr"), [("salpeter", 0.61, 0.63), ("kroupa", 0.61 / 0.66, 0.63 / 0.67),
                                                  ("chabrier", 1.0, 1.0), (None, 1.0, 1.0)])  # fmt: skip
def test_initial_mass_functions(folder, name, mass, sfr):
    found, result, _ = given(folder, "mine", "sfr", np.full(N, 10.0), mass_imf=name, sfr_imf=name)
    assert_allclose(found["given_log_sfr"], 1.0 + np.log10(sfr), atol=1e-12)
    assert_allclose(result["log_mstar"].to_numpy() - columns()["lmass"], np.log10(mass), atol=1e-12)


@pytest.mark.parametrize(("role", "none"), [("sfr", 0.0), ("sfr", 1e-9), ("log_sfr", -np.inf), ("log_sfr", -9.0)])
@pytest.mark.parametrize("origin", ["column", "ssfr", "own ssfr", "uvj", "mass_function"])
def test_a_galaxy_without_star_formation_is_quiescent(folder, role, none, origin, caplog):
    """Where the classes are not those of a column; its SFR is not given."""
    values = np.full(N, 1.0)
    values[[3, 17]] = none
    data = columns() | {"mine": values, "old": np.zeros(N, bool), "lssfr": np.full(N, -9.0)}
    data |= {"u-v": np.full(N, 0.5), "v-j": np.full(N, 0.5), "lmass": np.full(N, 9.0), "z": np.full(N, 8.0)}
    names = NAMES | {role: "mine", "quiescent": "old", "uv": "u-v", "vj": "v-j"}
    if origin == "own ssfr":
        names["ssfr"] = "lssfr"
    with caplog.at_level(logging.INFO, "mocksed"):
        result = folder.write(data, columns=names, quiescent={"from": origin.split()[-1]})
    assert np.flatnonzero(result["given_log_sfr"].is_null()).tolist() == [3, 17]
    assert np.flatnonzero(result["quiescent"]).tolist() == ([] if origin == "column" else [3, 17])
    assert json.loads(folder.report.read_text())["n_no_star_formation"] == 2
    assert "column 'mine': 2 galaxies have no star formation" in caplog.text
    assert ("2 are star-forming by column 'old'" in caplog.text) == (origin == "column")


def test_a_galaxy_without_star_formation_is_quiescent_in_every_realisation(folder):
    data = columns(400) | {"mine": np.where(np.arange(400) % 4 == 0, 0.0, 1.0)}
    spec = TableSpec.from_config(folder.config(data, columns=NAMES | {"sfr": "mine"}))
    write_shards(spec, SEED, folder.outputs, folder.report, realisations=[0, 3])
    rows = pa.concat_tables([storage.read_table(path) for path in folder.outputs]).to_pandas()
    assert rows.quiescent[rows.given_log_sfr.isna()].all()
    assert not rows.quiescent[rows.given_log_sfr.notna()].all()
    assert not [name for name in rows if name.startswith("_")]
    assert (rows.quiescent[rows.realisation == 0].to_numpy() != rows.quiescent[rows.realisation == 3].to_numpy()).any()


def test_a_named_column_with_a_name_of_the_catalogue_does_not_clash(folder):
    data = columns() | {"log_sfr": columns()["z"] - 2.0, "age": columns()["z"]}
    result = folder.write(data, columns=NAMES | {"log_sfr": "log_sfr", "age": "age"})
    assert result["given_log_sfr"].to_pylist() == data["log_sfr"].tolist()
    assert result["given_age"].to_pylist() == data["age"].tolist()
    assert not {"log_sfr", "age"} & set(result.column_names)
    with pytest.raises(UserError, match=r"'age' has a name that .*set galaxies.table.columns.age to it"):
        check_header(TableSpec.from_config(folder.config(data, keep=["age"])))


@pytest.mark.parametrize(
    ("role", "value", "words"),
    [
        ("age", 0.0, "out of range: 1 row .row 7: 0.0.; expected a time .* in Gyr, above 0.*yr or Myr"),
        ("age", 1e9, "out of range.*in Gyr"),
        ("dust2", -0.1, "out of range: 1 row .row 7: -0.1.; expected an optical depth .*0 or more"),
        ("av", -99.0, "out of range.*missing_values"),
        ("log_sfr", 7.0, "out of range.*from -8 to 5; name a linear SFR in galaxies.table.columns.sfr"),
        ("log_sfr", np.inf, "out of range"),
        ("sfr", -1.0, "out of range.*galaxies.table.columns.log_sfr"),
        ("muv", 24.0, "out of range.*-30 to 0.*apparent"),
        ("beta", "blue", "not a number: 1 row .row 7: 'blue'"),
    ],
)
def test_values_that_cannot_be(folder, role, value, words):
    values = np.full(N, np.mean(CASES[role][0])).astype(object)
    values[7] = value
    data, setting = pd.DataFrame(columns() | {"mine": values}), {"columns": NAMES | {role: "mine"}}
    folder.refuses(data, f"column 'mine' {words}", "t.csv", **setting)
    assert len(folder.write(data, "t.csv", invalid_rows="drop", **setting)) == N - 1


@pytest.mark.parametrize("value", [-0.1, "large", np.inf])
def test_errors_that_cannot_be(folder, value):
    errors = np.full(N, 0.1).astype(object)
    errors[7] = value
    data = pd.DataFrame(columns() | {"mine": np.full(N, 1.0), "error": errors})
    setting = {"columns": NAMES | {"age": "mine", "age_error": "error"}}
    folder.refuses(
        data, "column 'error' (not a number|no standard error): 1 row .row 7: .*0 or more", "t.csv", **setting
    )


@pytest.mark.parametrize(
    ("role", "median", "words"),
    [
        ("log_sfr", 20.0, "a median of 20, but galaxies.table.columns.log_sfr is log10 .*columns.sfr"),
        ("log_sfr", -10.0, "values from -10.1 to -9.9 only, .*columns.ssfr"),
        ("sfr", 1e-10, "columns.ssfr"),
        ("log_zmet", 0.02, "values from 0.018 to 0.022 only, .*mass fractions"),
        ("sfr", -1.0, "columns.log_sfr"),
        ("log_zmet", 8.6, "columns.oh12"),
        ("oh12", -0.2, "columns.log_zmet"),
        ("age", 2e9, "in yr or Myr"),
        ("muv", 25.0, "apparent"),
    ],
)
def test_a_column_that_is_something_else_is_known_by_its_median(folder, role, median, words):
    data = columns() | {"mine": median + np.linspace(-0.1, 0.1, N) * (min(median, 0.1) if median > 0.0 else 1.0)}
    for invalid_rows in ("stop", "drop"):
        message = folder.refuses(
            data, f"column 'mine' has .*{words}", columns=NAMES | {role: "mine"}, invalid_rows=invalid_rows
        )
        assert "\n" not in message


def test_columns_that_are_not_used_are_named(folder, caplog):
    data = columns() | {"lSFR": np.zeros(N), "SFR": np.ones(N), "12logOH": np.full(N, 8.0)}
    with caplog.at_level(logging.INFO, "mocksed"):
        folder.write(data, columns=NAMES | {"oh12": "12logOH"}, keep=[])
    report = json.loads(folder.report.read_text())
    assert [line.split("'")[1] for line in report["not_used"]] == ["av", "lSFR", "SFR"]
    line = "column 'lSFR' looks like log10 of the SFR in Msun/yr and is not used: name it in "
    line += "galaxies.table.columns.log_sfr"
    assert line in report["not_used"]
    assert line in caplog.text
    folder.write(data, columns=NAMES | {"oh12": "12logOH", "log_sfr": "lSFR", "av": "av"})
    assert json.loads(folder.report.read_text())["not_used"] == []


# ------------------------------------------------------------------------------------------------ classes


def test_classes_by_colours(folder):
    uv, vj = np.array([1.8, 1.2, 1.8, 1.8] * 6)[:N], np.array([0.9, 0.4, 1.7, 1.3] * 6)[:N]
    data, names = columns() | {"UV": uv, "VJ": vj}, NAMES | {"uv": "UV", "vj": "VJ"}
    result = folder.write(data, columns=names, quiescent={"from": "uvj"})
    assert result["quiescent"].to_pylist() == ([True, False, False, False] * 6)[:N]
    box = {"uv_min": 1.0, "vj_max": 1.6, "slope": 0.88, "intercept": 0.5}
    write_shards(TableSpec.from_config(folder.config(data, columns=names, quiescent={"from": "uvj"}), box), SEED,
                 folder.outputs)  # fmt: skip
    assert sum(sum(storage.read_table(path)["quiescent"].to_pylist()) for path in folder.outputs) == 17


def test_a_missing_colour(folder):
    data = columns() | {"UV": np.full(N, 1.0), "VJ": [*np.ones(N - 1), np.nan]}
    folder.refuses(data, "'VJ' missing: 1 row .row 22", columns=NAMES | {"uv": "UV", "vj": "VJ"},
                   quiescent={"from": "uvj"})  # fmt: skip


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.fits"])
@pytest.mark.parametrize(("kinds", "values"), [((" Q", "SF", "dusty", "passive"), ["q", "passive"]),
                                               ((3, 1, 2, 7), [3, 7.0])])  # fmt: skip
def test_classes_by_text_and_by_number(folder, name, kinds, values):
    data = columns() | {"type": np.array(kinds * 6)[:N]}
    setting = {"columns": NAMES | {"quiescent": "type"}, "quiescent": {"from": "column", "values": values}}
    assert folder.write(data, name, **setting)["quiescent"].to_pylist() == ([True, False, False, True] * 6)[:N]


def test_classes_that_nobody_has_are_said(folder):
    data = columns() | {"type": ["Q", "SF"] * 11 + ["SF"]}
    setting = {"columns": NAMES | {"quiescent": "type"}, "quiescent": {"from": "column", "values": ["passive"]}}
    assert not any(folder.write(data, **setting)["quiescent"].to_pylist())
    notes = json.loads(folder.report.read_text())["notes"]
    assert notes == ["column 'type': no galaxy has one of galaxies.table.quiescent.values ['passive']; there are Q, SF"]


@pytest.mark.parametrize("missing", [None, ""])
def test_a_missing_class(folder, missing):
    data = columns() | {"type": ["Q", "SF"] * 11 + [missing]}
    setting = {"columns": NAMES | {"quiescent": "type"}, "quiescent": {"from": "column", "values": ["Q"]}}
    folder.refuses(data, "'type' missing: 1 row .row 22: .*expected a class", **setting)


def test_ssfr_from_the_sfr_that_is_given(folder):
    log_sfr = columns()["lmass"] - np.where(np.arange(N) % 3 == 0, 12.0, 9.0)
    setting = {"columns": NAMES | {"sfr": "mine"}, "quiescent": {"from": "ssfr"}}
    result = folder.write(columns() | {"mine": 10.0**log_sfr}, **setting)
    assert_array_equal(result["quiescent"], np.arange(N) % 3 == 0)
    missing = columns() | {"mine": [*(10.0**log_sfr)[:-1], None]}
    folder = Folder(folder.path / "again")
    folder.path.mkdir()
    folder.refuses(missing, "'mine' missing: 1 row .row 22: null.*quiescent.from ssfr", **setting)


# ---------------------------------------------------------------------------------------------- snapshots


def test_a_constant_redshift(folder):
    result = folder.write(columns(), columns={"galaxy_id": "id", "mass": "lmass", "redshift": 2})
    assert result["redshift"].to_pylist() == [2.0] * N
    assert result["z"].to_pylist() == columns()["z"].tolist()


def test_scale_factors(folder):
    data = columns() | {"a": 1.0 / (1.0 + columns()["z"])}
    result = folder.write(data, columns={"galaxy_id": "id", "mass": "lmass", "scale_factor": "a"})
    assert_allclose(result["redshift"].to_numpy(), columns()["z"], rtol=1e-12)
    for value in (0.0, 1.01, 2.0, -1.0):
        again = Folder(folder.path / str(value))
        again.path.mkdir()
        data["a"][4] = value
        again.refuses(data, "'a' no scale factor: 1 row .row 4", columns={"mass": "lmass", "scale_factor": "a"})


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_masses_in_units_of_a_large_one(folder, scale):
    """As simulations of the Illustris family have them."""
    data = columns() | {"lmass": columns()["lmass"] - 10.0 + np.log10(0.7)}
    if scale == "linear":
        data["lmass"] = 10.0 ** data["lmass"]
    result = folder.write(data, mass_scale=scale, mass_unit="Msun/h", mass_factor=1e10, h=0.7)
    assert_allclose(result["log_mstar"].to_numpy(), columns()["lmass"], atol=1e-12)


@pytest.mark.parametrize("name", ["t.fits", "t.hdf5", "t.parquet"])
def test_units_of_the_file(folder, name):
    """Values of missing rows are compared before they are converted; what passes through stays."""
    age = np.where(np.arange(N) == 3, -99.0, 500.0)
    table = astropy.table.Table(columns() | {"mass": 1.98841e30 * 10.0 ** columns()["lmass"], "t": age, "e": age / 10})
    table["mass"].unit, table["t"].unit, table["e"].unit, table["z"].unit = "kg", "Myr", "yr", ""
    options = {"path": "t", "serialize_meta": True} if name == "t.hdf5" else {}
    if name == "t.hdf5":
        table["field"] = table["field"].astype("S")
    table.write(folder.path / name, **options)
    names = NAMES | {"mass": "mass", "age": "t", "age_error": "e"}
    result = folder.write(None, name, columns=names, mass_scale="linear", missing_values=[-99], chunk_rows=5)
    assert_allclose(result["log_mstar"].to_numpy(), columns()["lmass"], atol=1e-5)
    assert result["given_age"].to_pylist() == [None if i == 3 else pytest.approx(0.5) for i in range(N)]
    assert result["given_age_error"].to_pylist() == [None if i == 3 else pytest.approx(5e-8) for i in range(N)]
    assert_array_equal(result["t"], age)
    notes = json.loads(folder.report.read_text())["notes"]
    assert [note.split(" (x")[0] for note in notes] == [
        "column 'mass' is converted from kg to Msun",
        "column 't' is converted from Myr to Gyr",
        "column 'e' is converted from yr to Gyr",
    ]
    with pytest.raises(UserError, match=r"2 problems:\n  column 'mass' .* unit 'kg' .*\n  .* has no column 'q'"):
        folder.write(None, name, columns=names, keep=["q"])


# ------------------------------------------------------------------------------------------- realisations


def in_realisations(folder, indices, **changes):
    """Return the shards of the table, each a list of its realisations' rows."""
    spec = TableSpec.from_config(folder.config(columns(400), **changes))
    write_shards(spec, SEED, folder.outputs, folder.report, about={"run": "x"}, realisations=indices)
    shards = []
    for path in folder.outputs:
        rows = storage.read_table(path)
        n = len(rows) // len(indices)
        assert rows["realisation"].to_pylist() == np.repeat(indices, n).tolist()
        shards.append([rows.slice(i * n, n) for i in range(len(indices))])
    return shards


@pytest.mark.parametrize("quiescent_from", ["mass_function", "column"])
def test_realisations_repeat_all_but_classes_that_the_mass_functions_decide(folder, quiescent_from):
    changes = {"quiescent": {"from": quiescent_from}, "columns": NAMES | {"quiescent": "old"}}
    default = folder.config(columns(400), **changes)
    write_shards(TableSpec.from_config(default), SEED, folder.outputs, folder.report)
    today = [storage.read_table(path) for path in folder.outputs]
    assert today[0].column_names[:4] == ["galaxy_id", "redshift", "log_mstar", "quiescent"]
    classes = []
    for first, parts in zip(today, in_realisations(folder, [0, 2, 9], **changes), strict=True):
        assert parts[0].column_names == ["galaxy_id", "realisation", *first.column_names[1:]]
        assert parts[0].drop_columns("realisation").equals(first)
        repeated = first.drop_columns("quiescent")
        assert all(part.drop_columns(["realisation", "quiescent"]).equals(repeated) for part in parts)
        assert {"field", "n_bands", "av"} < set(repeated.column_names)
        classes.append([part["quiescent"].to_numpy() for part in parts])
    classes = np.concatenate(classes, axis=1)
    if quiescent_from == "column":
        assert np.all(classes == classes[0])
    else:
        rows = pa.concat_tables(today)
        fraction = quiescent_fraction(rows["log_mstar"].to_numpy(), rows["redshift"].to_numpy())
        for index, drawn in zip((0, 2, 9), classes, strict=True):
            uniform = rng.uniforms(SEED, rng.Stage.CLASS, rows["galaxy_id"].to_numpy(), 1, realisation=index)[:, 0]
            assert_array_equal(drawn, uniform < fraction)
        assert len(np.unique(classes, axis=0)) == 3
    schema = pq.read_schema(folder.outputs[0])
    assert schema.field("realisation").type == pa.int16()
    assert b"realisation" in schema.field("realisation").metadata[b"description"]
    assert json.loads(schema.metadata[b"run"]) == "x"
    assert json.loads(folder.report.read_text())["n_used"] == 400


def test_a_realisation_is_the_same_alone(folder):
    together = in_realisations(folder, [0, 2, 9])
    for shard, (alone,) in zip(together, in_realisations(folder, [2]), strict=True):
        assert shard[1].equals(alone)


def test_a_column_may_not_be_called_realisation(folder):
    folder.refuses(columns() | {"realisation": np.zeros(N)}, "'realisation' has a name that the catalogue needs")
