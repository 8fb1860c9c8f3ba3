import subprocess
from io import BytesIO

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import votable
from astropy.table import Table

from mocksed.files import storage, table_metadata
from mocksed.files.columns import COLUMNS
from tests import catalogues
from tests.programs import needs

LISTS = {
    "spectrum": np.arange(12.0).reshape(4, 3),
    "neighbour_row": np.arange(8).reshape(4, 2) + 2**60,
    "original_id": pa.array(["a", "long: é", "", "5"]),
    "realisation": np.arange(4, dtype=np.int16),
}


@pytest.fixture
def path(tmp_path):
    rows = catalogues.columns(4) | LISTS | {"mine <&>": np.arange(4)}
    storage.write_table(tmp_path / "a.parquet", rows, catalogues.ABOUT | {"none": None, "list": [1.5, "1e5", True]})
    return tmp_path / "a.parquet"


@pytest.mark.filterwarnings("error")
def test_astropy_reads_values_units_descriptions_and_metadata(path):
    expected, read = storage.to_arrays(storage.read_table(path)), Table.read(path)
    assert read.colnames == list(expected)
    for name, values in expected.items():
        assert read[name].dtype.kind == values.dtype.kind or name == "original_id"
        np.testing.assert_array_equal(read[name], values)
        known = COLUMNS.get(name)
        if known:
            assert read[name].unit == (u.Unit(known.unit) if known.unit else None)
            assert read[name].description == known.description
    assert read["mag_jwst_f200w"].unit == u.ABmag
    assert read.meta == storage.metadata(path)
    assert read.meta["list"] == [1.5, "1e5", True]
    assert read.meta["small"] == 1e-5


def test_the_votable_has_a_field_for_each_column(path):
    stored = pq.read_schema(path)
    assert stored.metadata[b"IVOA.VOTable-Parquet.version"] == b"1.0"
    text = stored.metadata[b"IVOA.VOTable-Parquet.content"]
    assert b"<DATA" not in text
    table = votable.parse(BytesIO(text), verify="ignore").get_first_table()
    fields = {field.name: field for field in table.fields}
    assert list(fields) == stored.names
    types = {"galaxy_id": "long", "flags": "int", "realisation": "short", "quiescent": "boolean", "redshift": "double"}
    assert {name: fields[name].datatype for name in types} == types
    assert fields["mag_jwst_f200w"].datatype == "float"
    assert (fields["spectrum"].datatype, fields["spectrum"].arraysize) == ("float", "3")
    assert (fields["original_id"].datatype, fields["original_id"].arraysize) == ("unicodeChar", "*")
    assert fields["age"].unit.to_string() == "Gyr"
    assert fields["ra"].ucd == "pos.eq.ra;meta.main"
    assert fields["age"].description == COLUMNS["age"].description
    assert {info.name: info.value for info in table.infos} == {
        "mocksed_version": storage.metadata(path)["mocksed_version"], "run": "demo", "seed": "42", "small": "1e-05",
    }  # fmt: skip


@needs("stilts")
def test_the_votable_is_valid(path, tmp_path):
    (tmp_path / "a.vot").write_bytes(pq.read_schema(path).metadata[table_metadata.VOTABLE])
    lint = subprocess.run(["stilts", "votlint", str(tmp_path / "a.vot")], capture_output=True, text=True, check=True)
    assert not (lint.stdout + lint.stderr).strip()


def test_what_is_written_anew_describes_itself_anew(path, tmp_path):
    read = storage.read_table(path)
    storage.write_table(tmp_path / "b.parquet", read.select(["age", "original_id"]).slice(2))
    stored = pq.read_schema(tmp_path / "b.parquet")
    assert Table.read(tmp_path / "b.parquet").colnames == ["age", "original_id"]
    assert stored.metadata[table_metadata.LENGTH + b"original_id"] == b"4"
    assert storage.metadata(tmp_path / "b.parquet") == storage.metadata(path)


def test_columns_of_other_types_are_said_to_be_text():
    assert table_metadata.vo_type(pa.uint64()) == {"datatype": "unicodeChar", "arraysize": "*"}
    assert table_metadata.vo_type(pa.list_(pa.float32())) == {"datatype": "float", "arraysize": "*"}


def test_missing_texts_are_not_cut(tmp_path):
    storage.write_table(tmp_path / "a.parquet", {"mine": pa.array(["a", None])})
    assert Table.read(tmp_path / "a.parquet")["mine"].tolist() == ["a", "None"]
