"""Files of every format and layout, written by other libraries than the ones that read them where there are any."""

import gzip
import json
import math

import astropy.table
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.io import fits
from numpy.testing import assert_array_equal

from mocksed.errors import UserError
from mocksed.files import storage
from mocksed.galaxies.files import Files, files_of, table_path
from mocksed.galaxies.readers import open_table
from mocksed.galaxies.readers import text as of_text
from mocksed.galaxies.table import TableSpec, write_shards

N = 50
ID = [7 * i - 3 for i in range(N)]
Z = [None if i == 3 else round(0.1 + 0.11 * i, 3) for i in range(N)]
N_BANDS = [None if i in (0, 5) else i for i in range(N)]
FIELD = [None if i == 7 else f"cosmos {i}" if i % 2 else f"uds-{i}" for i in range(N)]
STARS = [i % 3 == 0 for i in range(N)]
EXPECTED = {"id": ID, "z": Z, "n_bands": N_BANDS, "field": FIELD, "star": STARS}
FLUX = np.arange(4.0 * N).reshape(N, 4)


def frame():
    """The table as pandas has it."""
    data = {name: pd.Series(values) for name, values in EXPECTED.items()}
    return pd.DataFrame(data | {"z": pd.Series(Z, dtype=float), "n_bands": pd.Series(N_BANDS, dtype="Int16")})


def masked():
    """The table as astropy has it, with units; under each mask is a good value."""
    filled = {"z": 1.0, "n_bands": 9, "field": "uds"}
    columns = {
        name: astropy.table.MaskedColumn(
            [filled[name] if value is None else value for value in values], mask=[value is None for value in values]
        )
        for name, values in EXPECTED.items()
    }
    table = astropy.table.Table(columns, masked=True)
    table["z"].unit, table["n_bands"].unit = "Mpc", "mag"
    return table


def read(path, columns=None, chunk_rows=1000, **options):
    """Return the columns of a file, all of them by default."""
    with open_table(path, **options) as table:
        chunks = list(table.read(table.columns if columns is None else columns, chunk_rows))
        assert all(len(chunk) <= chunk_rows for chunk in chunks)
        assert not table.counted or table.n_rows == sum(map(len, chunks))
    return pa.concat_tables(chunks)


def lists(rows):
    """Return columns as lists, NaN and null as None, which both mean that there is no value."""
    return {
        name: [None if isinstance(value, float) and math.isnan(value) else value for value in values]
        for name, values in rows.to_pydict().items()
    }


def write(path, text):
    path.write_text(text)
    return path


def pack(path):
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


VOTABLE = """<?xml version="1.0"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE name="cat">
<FIELD name="id" datatype="long"/>
<FIELD name="z" datatype="double" unit="Mpc"/>
<FIELD name="n_bands" datatype="short" unit="mag"><VALUES null="-1"/></FIELD>
<FIELD name="field" datatype="char" arraysize="*"/>
<FIELD name="star" datatype="boolean"/>
<DATA><TABLEDATA>
{rows}
</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>
"""


def as_topcat_writes(path):
    nulls = {"z": "NaN", "n_bands": "-1", "field": ""}
    rows = [
        "<TR>"
        + "".join(
            f"<TD>{nulls[name] if value is None else str(value).lower() if name == 'star' else value}</TD>"
            for name, value in zip(EXPECTED, row, strict=True)
        )
        + "</TR>"
        for row in zip(*EXPECTED.values(), strict=True)
    ]
    path.write_text(VOTABLE.format(rows="\n".join(rows)))


def as_fast_writes(path):
    """Comments, then the names in line with the columns."""
    lines = [
        "#    FAST version: 1.0",
        "#    Library: BC03, Chabrier",
        "#",
        f"# {'id':>8} {'z':>8} {'n_bands':>8} field star",
    ]
    for row in zip(*EXPECTED.values(), strict=True):
        number, z, n, field, star = ("NaN" if value is None else value for value in row)
        lines.append(f"  {number:>8} {z:>8} {n:>8} {json.dumps(field)} {star}")
    path.write_text("\n".join(lines) + "\n")


def write_votable(path, **options):
    table = masked()
    if options["tabledata_format"] == "binary":  # for which astropy knows no null of integers
        table["n_bands"] = table["n_bands"].astype(float)
    if options["tabledata_format"] == "binary2":  # of which astropy forgets which texts are masked
        table["field"] = table["field"].filled("")
    table.write(path, format="votable", **options)


WRITERS = {
    "t.parquet": lambda path: frame().to_parquet(path),
    "t.pq": lambda path: masked().write(path, format="parquet"),
    "t.feather": lambda path: frame().to_feather(path),
    "u.feather": lambda path: frame().to_feather(path, compression="uncompressed", chunksize=7),
    "t.csv": lambda path: frame().to_csv(path, index=False),
    "commented.csv": lambda path: write(path, "# made by hand\n#" + frame().to_csv(index=False, na_rep="null")),
    "plain.csv": lambda path: write(path, "# made by hand, by me\n\n" + frame().to_csv(index=False, na_rep="NULL")),
    "t.tsv": lambda path: frame().to_csv(path, sep="\t", index=False, na_rep="nan"),
    "astropy.tsv": lambda path: masked().write(path, format="ascii.tab", fill_values=[(astropy.io.ascii.masked, "--")]),
    "t.cat": lambda path: masked().write(path, format="ascii.commented_header"),
    "t.txt": lambda path: masked().write(path, format="ascii.basic", fill_values=[(astropy.io.ascii.masked, "null")]),
    "t.dat": lambda path: frame().to_csv(path, sep=" ", index=False, na_rep="--", lineterminator="\r\n"),
    "t.fout": as_fast_writes,
    "t.ecsv": lambda path: masked().write(path),
    "comma.ecsv": lambda path: masked().write(path, delimiter=","),
    "mask.ecsv": lambda path: masked().write(path, serialize_method="data_mask"),
    "topcat.vot": as_topcat_writes,
    "t.vot": lambda path: write_votable(path, tabledata_format="tabledata"),
    "t.votable": lambda path: write_votable(path, tabledata_format="binary"),
    "t.xml": lambda path: write_votable(path, tabledata_format="binary2"),
    "t.fits": lambda path: masked().write(path),
    "t.hdf5": lambda path: masked().write(path, path="cat", serialize_meta=True),
}
PACKED = [name for name in WRITERS if not name.endswith((".parquet", ".pq", ".feather", ".hdf5"))]


@pytest.mark.parametrize("chunk_rows", [7, 1000])
@pytest.mark.parametrize("name", [*WRITERS, *(f"{name}.gz" for name in PACKED)])
def test_values_and_missing_values_of_every_format(tmp_path, name, chunk_rows):
    path = tmp_path / name.removesuffix(".gz")
    WRITERS[path.name](path)
    if name.endswith(".gz"):
        path = pack(path)
    rows = read(path, chunk_rows=chunk_rows)
    assert lists(rows) == EXPECTED
    assert pa.types.is_integer(rows.schema.field("id").type)
    assert pa.types.is_boolean(rows.schema.field("star").type)
    assert lists(read(path, ["star", "z"], chunk_rows)) == {"star": STARS, "z": Z}
    capitals = path.with_name(path.name.upper())
    path.rename(capitals)
    assert lists(read(capitals, ["id"])) == {"id": ID}


@pytest.mark.parametrize("name", ["t.arrow", "t.ipc"])
@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_files_and_streams_of_arrow(tmp_path, name, new):
    rows = pa.Table.from_pandas(frame(), preserve_index=False)
    with new(tmp_path / name, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=9)
    assert lists(read(tmp_path / name, chunk_rows=4)) == EXPECTED


def test_a_format_that_the_ending_does_not_tell(tmp_path):
    for name, file_format in (("t.cat", "ascii"), ("t.ecsv", "ecsv"), ("t.vot", "votable"), ("t.tsv", "tsv")):
        WRITERS[name](tmp_path / name)
        (tmp_path / name).rename(tmp_path / "table")
        assert lists(read(tmp_path / "table", file_format=file_format)) == EXPECTED


# ------------------------------------------------------------------------------------------------------- text


def test_names_of_columns_of_text(tmp_path):
    """Whatever else is in the comments, names are as many as columns."""
    rows = "1 0.5 nan\n2 0.7 10.5\n"
    expected = {"id": [1, 2], "z": [0.5, 0.7], "lmass": [None, 10.5]}
    for head in (
        "# id z lmass\n",
        "#id\tz  lmass\n",
        "id z lmass\n",
        "# made by me\nid z lmass\n",
        "# 1 galaxy was left out\n# id z lmass\n",
        "\n  id   z lmass\n\n",
        "# EAZY\n# id z lmass\n# with the templates of 2008 and a long comment\n",
        '# "id" "z" "lmass"\n',
    ):
        assert lists(read(write(tmp_path / "t.cat", head + rows))) == expected
        assert lists(read(write(tmp_path / "t.txt", head + rows.replace("\n", "  \n # in between\n\n")))) == expected
    np.savetxt(tmp_path / "t.dat", [[1, 0.5, np.nan], [2, 0.7, 10.5]], header="two galaxies\nid z lmass")
    assert lists(read(tmp_path / "t.dat")) == expected
    np.savetxt(tmp_path / "t.csv", [[1, 0.5, np.nan], [2, 0.7, 10.5]], header="id,z,lmass", delimiter=",", fmt="%g")
    assert lists(read(tmp_path / "t.csv")) == expected


def test_text_without_names(tmp_path):
    for text, match in (
        ("1 2 3\n", r"t.cat: its columns have no names; expected a line of 3 names before the rows.* Write one"),
        ("# id z\n1 2 3\n", r"expected a line of 3 names .* \(the last one has 2\)"),
        ("# id,z\n1,2\n", r"t.cat: its columns are separated by commas. Set galaxies.table.format to csv"),
    ):
        with pytest.raises(UserError, match=match):
            read(write(tmp_path / "t.cat", text))


def test_a_header_as_that_of_sextractor(tmp_path):
    text = """\
#   1 NUMBER          Running object number
#   2 ALPHA_J2000     Right ascension of barycenter (J2000)   [deg]
#   3 MAG_APER        Fixed aperture magnitude vector         [mag]
#   5 FLAGS           Extraction flags
         1  150.1234567  22.25  21.75   0
         2  150.2234567  23.25  22.75   3
"""
    expected = astropy.table.Table.read(text, format="ascii.sextractor")
    rows = read(write(tmp_path / "t.cat", text))
    assert rows.to_pydict() == {name: expected[name].tolist() for name in expected.colnames}
    assert rows.column_names == ["NUMBER", "ALPHA_J2000", "MAG_APER", "MAG_APER_1", "FLAGS"]
    with open_table(tmp_path / "t.cat") as table:
        assert table.units == {"ALPHA_J2000": "deg", "MAG_APER": "mag", "MAG_APER_1": "mag"}


def test_text_that_vizier_serves(tmp_path):
    text = "#\n#   VizieR Astronomical Server\n#Column\tz\t(F8.4)\n\nrecno\tz\n \tMpc\n-----\t------\n1\t0.5\n2\t\n"
    assert read(write(tmp_path / "t.tsv", text)).to_pydict() == {"recno": [1, 2], "z": [0.5, None]}
    with open_table(tmp_path / "t.tsv") as table:
        assert table.units == {"z": "Mpc"}


@pytest.mark.parametrize("where", [0, 2000])
@pytest.mark.parametrize("name", ["t.cat", "t.csv", "t.ecsv"])
def test_integers_that_only_an_unsigned_type_holds(tmp_path, monkeypatch, name, where):
    monkeypatch.setattr(of_text, "_CSV_BLOCK", 4096)
    ids = np.arange(4000, dtype=np.uint64)
    ids[where] = 2**64 - 1
    mass = np.where(np.arange(4000) == where, 0.5, 1e19)  # of which the first block has integers alone, or all but one
    formats = {"t.cat": "ascii.commented_header", "t.csv": "ascii.csv", "t.ecsv": "ascii.ecsv"}
    astropy.table.Table({"id": ids, "mass": mass}).write(tmp_path / name, format=formats[name])
    if name != "t.ecsv":
        (tmp_path / name).write_text((tmp_path / name).read_text().replace("1e+19", "10000000000000000000"))
    rows = read(tmp_path / name)
    assert rows.schema.field("id").type == pa.uint64()
    assert_array_equal(rows["id"].to_numpy(), ids)
    assert_array_equal(rows["mass"].to_numpy(), mass)


@pytest.mark.parametrize("name", ["t.cat", "t.csv", "t.tsv", "t.ecsv", "t.vot", "t.feather"])
def test_tables_without_rows(tmp_path, name):
    frame().to_csv(tmp_path / "t.csv", index=False)
    table = masked()[:0]
    formats = {"t.cat": "ascii.commented_header", "t.csv": "ascii.csv", "t.tsv": "ascii.tab", "t.vot": "votable"}
    if name == "t.feather":
        frame()[:0].to_feather(tmp_path / name)
    else:
        table.write(tmp_path / name, format=formats.get(name), overwrite=True)
    with open_table(tmp_path / name) as found:
        assert (found.columns, found.n_rows) == (tuple(EXPECTED), 0)
        assert sum(map(len, found.read(["z"]))) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t.cat", "t.ecsv", "t.tsv"])
def test_text_in_blocks(tmp_path, monkeypatch, name):
    """Values that do not fit the first block; what is read does not run far ahead of what is asked for."""
    monkeypatch.setattr(of_text, "_CSV_BLOCK", 4096)
    n = 100_000
    late = np.where(np.arange(n) < n - 9, 1.0, 0.5)
    text = ["1"] * (n - 1) + ["a b"]
    data = astropy.table.Table({"id": np.arange(n), "late": late, "text": text, "x": np.full(n, 0.25)})
    formats = {"t.cat": "ascii.commented_header", "t.tsv": "ascii.tab", "t.ecsv": "ascii.ecsv"}
    data.write(tmp_path / name, format=formats[name], **({} if name == "t.ecsv" else {"formats": {"late": "%g"}}))
    rows = read(tmp_path / name)
    for column in data.colnames:
        assert_array_equal(rows[column].to_numpy(), data[column])
    given = []
    squeeze = of_text._Squeezer.__call__
    monkeypatch.setattr(of_text._Squeezer, "__call__", lambda self, b: given.append(len(b)) or squeeze(self, b))
    if name == "t.cat":
        with open_table(tmp_path / name) as table:
            chunks = table.read(["id"], 100)
            next(chunks)
            whole = (tmp_path / name).stat().st_size
            begun = sum(given) % whole  # it was read as a whole before, to find the types
            assert 0 < begun < whole / 2
            del chunks


# ------------------------------------------------------------------------------------------------------ units


VOPARQUET = {"z": {"unit": ""}, "m": {"unit": "solMass"}, "age": {"unit": "Gyr"}}


def test_units_that_files_state(tmp_path):
    table = astropy.table.Table({"z": [1.0], "m": [1.0] * units.Msun, "age": [1.0] * units.Gyr})
    for name, options in (
        ("t.fits", {}),
        ("t.ecsv", {}),
        ("t.vot", {"format": "votable"}),
        ("t.hdf5", {"path": "cat", "serialize_meta": True}),
        ("t.parquet", {}),
        ("v.parquet", {"format": "parquet.votable", "metadata": VOPARQUET}),
    ):
        for kind in (astropy.table.Table, astropy.table.QTable):
            kind(table).write(tmp_path / name, overwrite=True, **options)
            with open_table(tmp_path / name) as found:
                assert {n: units.Unit(unit) for n, unit in found.units.items()} == {"m": units.Msun, "age": units.Gyr}
                assert (found.unit("m"), found.unit("z"), found.unit("none")) == (found.units["m"], "", "")
    storage.write_table(tmp_path / "of_mocksed.parquet", {"log_sfr": np.ones(1), "mine": np.ones(1)})
    with open_table(tmp_path / "of_mocksed.parquet") as found:
        assert found.units == {"log_sfr": "dex(Msun/yr)"}
    with h5py.File(tmp_path / "attributes.hdf5", "w") as file:
        file["m"], file["v"], file["z"] = np.ones(2), np.ones((2, 3)), np.ones(2)
        file["m"].attrs["unit"], file["v"].attrs["units"], file["z"].attrs["units"] = "Msun", np.bytes_("km/s"), 3
    with open_table(tmp_path / "attributes.hdf5") as found:
        assert found.units == {"m": "Msun", "v": "km/s"}
        assert (found.unit("v[1]"), found.unit("v[0]+v[2]"), found.unit("m")) == ("km/s", "km/s", "Msun")


# --------------------------------------------------------------------------------------------------- elements


def write_vectors(path):
    """Write a column of four values a row, of which one is missing, as `FLUX` is."""
    flux = astropy.table.MaskedColumn(FLUX, mask=np.zeros(FLUX.shape, bool), unit="Jy")
    flux.mask[2, 1] = True
    table = astropy.table.Table({"z": np.arange(N) * 0.1, "flux": flux}, masked=True)
    with_null = [[None if (i, j) == (2, 1) else FLUX[i, j] for j in range(4)] for i in range(N)]
    match path.name:
        case "plain.hdf5":
            with h5py.File(path, "w") as file:
                file["z"], file["flux"] = np.arange(N) * 0.1, np.where(flux.mask, np.nan, FLUX)
        case "t.hdf5":
            table.write(path, path="cat")
        case "lists.parquet":
            pd.DataFrame({"z": np.arange(N) * 0.1, "flux": with_null}).to_parquet(path)
        case "fixed.parquet" | "t.feather":
            fixed = pa.array(with_null, pa.list_(pa.float64(), 4))
            writer = pq.write_table if path.suffix == ".parquet" else pyarrow.feather.write_feather
            writer(pa.table({"z": np.arange(N) * 0.1, "flux": fixed}), path)
        case "t.vot":
            table.write(path, format="votable")
        case _:
            table.write(path)


@pytest.mark.parametrize("chunk_rows", [3, 1000])
@pytest.mark.parametrize(
    "name",
    ["t.fits", "t.hdf5", "plain.hdf5", "t.vot", "t.ecsv", "t.parquet", "lists.parquet", "fixed.parquet", "t.feather"],
)
def test_elements_and_sums_of_elements(tmp_path, name, chunk_rows):
    write_vectors(tmp_path / name)
    asked = ["flux[0]", "z", "flux[1]", "flux[0]+flux[3]", "flux[1:3]", "flux[0:2] + flux[3]"]
    with open_table(tmp_path / name) as table:
        assert "flux" not in table.columns
        assert "flux" not in table
        assert all(column in table for column in asked)
        assert table.vectors == {"flux": 0 if name == "lists.parquet" else 4}
    found = lists(read(tmp_path / name, asked, chunk_rows))
    whole = FLUX.copy()
    whole[2, 1] = np.nan
    sums = [whole[:, 0], np.arange(N) * 0.1, whole[:, 1], whole[:, [0, 3]].sum(1), whole[:, 1:3].sum(1)]
    sums.append(whole[:, [0, 1, 3]].sum(1))
    expected = {name: pa.array(values) for name, values in zip(asked, sums, strict=True)}
    assert list(found) == asked
    assert found == lists(pa.table(expected))


def test_a_single_element_keeps_its_type_and_short_rows_have_none(tmp_path):
    pq.write_table(pa.table({"n": [[1, 2], [3], None, [4, 5, 6]]}), tmp_path / "t.parquet")
    rows = read(tmp_path / "t.parquet", ["n[1]", "n[0]+n[1]"])
    assert rows.to_pydict() == {"n[1]": [2, None, None, 5], "n[0]+n[1]": [3.0, None, None, 9.0]}
    assert rows.schema.field("n[1]").type == pa.int64()
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file["n"] = np.array([[2**30, 2**30], [1, 1]], np.int32)
    assert read(tmp_path / "t.hdf5", ["n[0]+n[1]"]).to_pydict() == {"n[0]+n[1]": [2.0**31, 2.0]}
    assert read(tmp_path / "t.hdf5", ["n[0]"]).schema.field("n[0]").type == pa.int32()


def test_a_column_may_be_called_as_if_it_were_an_element(tmp_path):
    pd.DataFrame({"flux[0]": [1.5], "a+b": [2.5]}).to_csv(tmp_path / "t.csv", index=False)
    assert read(tmp_path / "t.csv", ["a+b", "flux[0]"]).to_pydict() == {"a+b": [2.5], "flux[0]": [1.5]}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("z", ""),
        ("flux[0]", ""),
        ("none", ""),
        ("flux", r"is of shape (n, 4), not one number, flag or text per row. Name an element of it, such as 'flux[0]'"),
        ("text_", "is of type complex128, not one number, flag or text per row. Name another one"),
        ("flux[4]", "asks for element 4 of 'flux', which has elements 0 to 3."),
        ("flux[2:9]", "asks for elements 2 to 8 of 'flux', which has elements 0 to 3."),
        ("flux[2:2]", "asks for elements 2:2, which are none"),
        ("flx[0]", "asks for elements, but 'flx' is not there. Did you mean 'flux'?"),
        ("flux[0]+z[1]", "asks for elements, but 'z' has one value per row."),
    ],
)
def test_why_a_column_cannot_be_read(tmp_path, name, why):
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file["z"], file["flux"], file["text_"] = np.ones(N), FLUX, np.ones(N, complex)
    with open_table(tmp_path / "t.hdf5") as table:
        assert table.why_not(name).startswith(why)
        assert (table.why_not(name) == "") == (why == "")
        assert (name in table) == (name in ("z", "flux[0]"))


# ---------------------------------------------------------------------------------------------- several files


def part(i, n=3, **columns):
    return {"id": np.arange(n) + 10 * i, "z": np.full(n, i / 10)} | columns


def write_parts(folder, numbers=(0, 2, 10), ending="hdf5", **changes):
    for i in numbers:
        data = part(i) | changes.get(f"part_{i}", {})
        path = folder / f"snap_{i}.{ending}"
        if ending == "hdf5":
            with h5py.File(path, "w") as file:
                file["Header/box"] = 100.0
                group = file.create_group("Subhalo")
                for name, values in data.items():
                    group[name] = values
        else:
            pd.DataFrame(data).to_csv(path, index=False)
    return folder / f"snap_*.{ending}"


@pytest.mark.parametrize("chunk_rows", [2, 1000])
def test_files_that_match_a_pattern_are_one_table(tmp_path, chunk_rows):
    path = write_parts(tmp_path, **{f"part_{i}": {"mass": np.full((3, 6), i)} for i in (0, 2, 10)})
    rows = read(path, ["mass[4]", "id", "z"], chunk_rows, dataset="Subhalo")
    assert rows["id"].to_pylist() == [0, 1, 2, 20, 21, 22, 100, 101, 102]
    assert rows["mass[4]"].to_pylist() == [0] * 3 + [2] * 3 + [10] * 3
    with open_table(path, dataset="Subhalo") as table:
        assert (table.columns, table.n_rows, table.vectors) == (("id", "z"), 9, {"mass": 6})


def test_files_that_are_listed_are_read_in_that_order(tmp_path):
    write_parts(tmp_path, ending="csv")
    path = table_path([str(tmp_path / "snap_10.csv"), str(tmp_path / "snap_[02].csv")])
    assert read(path, ["id"])["id"].to_pylist() == [100, 101, 102, 0, 1, 2, 20, 21, 22]
    assert str(path) == f"{tmp_path / 'snap_10.csv'} and 1 more"


def test_a_pattern_that_is_the_name_of_a_file_is_that_file(tmp_path):
    names = ["t[1].csv", "t1.csv"]
    for name in names:
        (tmp_path / name).touch()
    assert files_of(tmp_path / "t[1].csv") == [tmp_path / "t[1].csv"]
    assert files_of(tmp_path / "u*.csv") == [tmp_path / "u*.csv"]
    assert files_of(Files([tmp_path / "t1.csv", tmp_path / "u.csv"])) == [tmp_path / "t1.csv", tmp_path / "u.csv"]


def test_an_hdf5_group_within_itself_is_named(tmp_path):
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file.create_group("a")["b"] = file.create_group("b")
        file["b/a"] = file["a"]
        del file["b"]
    with pytest.raises(UserError, match=r"t\.hdf5: '/a.*' is a group within itself\. Set galaxies\.table\.dataset"):
        read(tmp_path / "t.hdf5")


def test_files_that_do_not_fit_each_other(tmp_path):
    def refuses(match, number=2, **change):
        path = write_parts(tmp_path, **{f"part_{number}": change})
        with pytest.raises(UserError, match=match):
            read(path, ["id", "z"], dataset="Subhalo")

    refuses(r"snap_0.hdf5 has no column 'x', which .*snap_10.hdf5 has.*same columns", number=10, x=np.ones(3))
    refuses(r"snap_2.hdf5 has no column 'x', which .*snap_0.hdf5 has", number=0, x=np.ones(3))
    refuses(r"'z' is of shape \(n, 2\) in .*snap_2.hdf5, but of one value per row in .*snap_0.hdf5", z=np.ones((3, 2)))
    refuses(r"'z' is of type string in .*snap_2.hdf5, but double in .*snap_0.hdf5", z=[b"a", b"b", b"c"])
    path = write_parts(tmp_path)
    with h5py.File(tmp_path / "snap_10.hdf5", "a") as file:
        file["Subhalo/z"].attrs["unit"] = "Mpc"
    with pytest.raises(
        UserError, match=r"'z' is of one value per row in Mpc in .*snap_10.hdf5, but of one value per row in "
    ):
        read(path, ["id"], dataset="Subhalo")
    with h5py.File(tmp_path / "snap_2.hdf5", "a") as file:
        file["Group/x"] = np.ones(3)
    with pytest.raises(UserError, match=r"snap_10.hdf5 has no 'Group'"):
        read(Files([tmp_path / "snap_2.hdf5", tmp_path / "snap_10.hdf5"]), dataset="Group")


def test_types_of_several_files_are_those_that_hold_all_values(tmp_path):
    path = write_parts(tmp_path, ending="csv", part_0={"z": [0, 1, 2], "x": [1, 2, None]}, part_2={"x": [0.5, 1, 2]},
                       part_10={"x": [None] * 3})  # fmt: skip
    rows = read(path)
    assert rows["z"].to_pylist() == [0.0, 1.0, 2.0, 0.2, 0.2, 0.2, 1.0, 1.0, 1.0]
    assert rows["x"].to_pylist() == [1.0, 2.0, None, 0.5, 1.0, 2.0, None, None, None]


def test_a_part_of_a_snapshot_without_galaxies_has_no_columns(tmp_path):
    path = write_parts(tmp_path)
    with h5py.File(tmp_path / "snap_1.hdf5", "w") as file:
        file.create_group("Subhalo")
    assert len(read(path, dataset="Subhalo")) == 9
    with pytest.raises(UserError, match=r"snap_1.hdf5 holds no columns"):
        read(tmp_path / "snap_1.hdf5", dataset="Subhalo")


def test_rows_of_several_files_become_galaxies(tmp_path):
    masses = {f"part_{i}": {"m": np.full((3, 6), 10.0 + i / 10)} for i in (0, 2, 10)}
    path = write_parts(tmp_path, **masses)
    config = {
        "path": str(path),
        "dataset": "Subhalo",
        "columns": {"galaxy_id": "id", "redshift": "z", "mass": "m[4]"},
        "keep": ["m[0]+m[1]"],
    }
    write_shards(TableSpec.from_config(config), 1, [tmp_path / "out.parquet"])
    rows = storage.read_table(tmp_path / "out.parquet").sort_by("galaxy_id")
    assert rows["galaxy_id"].to_pylist() == [0, 1, 2, 20, 21, 22, 100, 101, 102]
    assert_array_equal(rows["log_mstar"], np.repeat([10.0, 10.2, 11.0], 3))
    assert_array_equal(rows["m[0]+m[1]"], np.repeat([20.0, 20.4, 22.0], 3))


# ------------------------------------------------------------------------------------- columns that are not


def test_what_is_odd_in_a_group_does_not_block_the_rest(tmp_path):
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file["id"], file["z"] = np.arange(N), np.ones(N)
        file["names"] = [f"g{i}" for i in range(N)]
        file["box"] = 100.0
        file["nothing"] = h5py.Empty("f8")
        file["wavelength"] = np.ones(2 * N)
        file["complex"] = np.ones(N, complex)
        file["cube"] = np.ones((N, 2, 2))
        file["pair"] = np.zeros(N, [("a", float), ("b", int)])
        file["ragged"] = np.array([np.ones(i) for i in range(N)], h5py.vlen_dtype(float))
        file["reference"] = np.array([file["z"].ref] * N, h5py.ref_dtype)
        file["lost"] = h5py.SoftLink("/nowhere")
        file["elsewhere"] = h5py.ExternalLink("nowhere.hdf5", "/z")
        file["a_group/z"] = np.ones(3)
    with open_table(tmp_path / "t.hdf5") as table:
        assert table.columns == ("id", "names", "z")
        assert table.n_rows == N
        assert table.vectors == {}
        unusable = dict(table.unusable)
    assert unusable.pop("lost").startswith("a kind that cannot be read")
    assert unusable.pop("elsewhere").startswith("a kind that cannot be read")
    assert unusable.pop("pair").startswith("type ")
    assert unusable == {
        "box": "a single value for all rows",
        "nothing": "a single value for all rows",
        "wavelength": "length 100 (most columns have 50 rows)",
        "complex": "type complex128",
        "cube": "shape (n, 2, 2)",
        "ragged": "type object",
        "reference": "type object",
    }
    assert read(tmp_path / "t.hdf5")["names"].to_pylist() == [f"g{i}" for i in range(N)]


def test_tables_of_a_votable(tmp_path):
    as_topcat_writes(tmp_path / "t.vot")
    for dataset in (None, 0, "cat"):
        assert len(read(tmp_path / "t.vot", dataset=dataset)) == N
    with pytest.raises(UserError, match=r"t.vot has no table 'dog': it has 0, cat. Set galaxies.table.dataset"):
        read(tmp_path / "t.vot", dataset="dog")


def test_columns_of_ecsv_that_are_neither_numbers_nor_vectors(tmp_path):
    odd = np.array([{"a": 1}, {"a": [2]}], dtype=object)
    table = astropy.table.Table({"z": [0.5, 1.5], "odd": odd, "cube": np.ones((2, 2, 2)), "c": [1j, 2j]})
    table.write(tmp_path / "t.ecsv")
    with open_table(tmp_path / "t.ecsv") as found:
        assert found.columns == ("z",)
        assert found.unusable == {"odd": "type json", "cube": "type float64[2,2]", "c": "type complex128"}


# ----------------------------------------------------------------------------------------------------- damage


DAMAGED = ["t.feather", "t.ecsv", "topcat.vot", "t.votable", "t.xml", "t.cat", "t.tsv"]
DAMAGED += [f"{name}.gz" for name in ("t.cat", "t.csv", "t.tsv", "t.ecsv", "t.xml", "t.fits")]


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b"\0garbage\xff" * 50, lambda b: b[: int(0.7 * len(b))]])
def test_damaged_files_are_named(tmp_path, name, damage):
    path = tmp_path / name.removesuffix(".gz")
    WRITERS[path.name](path)
    if name.endswith(".gz"):
        path = pack(path)
    damaged = damage(path.read_bytes())
    if name in ("t.cat", "t.tsv", "t.ecsv") and len(damaged) > 900:
        return  # a part of a text is a text
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=rf"cannot read {path}: .*Check that the file is whole"):
        read(path)


ECSV = "# %ECSV 1.0\n# ---\n# datatype:\n# - name: id\n#   datatype: {}\n"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("id,z\n1,2\n", "its first line is not '# %ECSV 1.0'"),
        (
            "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: id, datatype: int64}\nid z\n1 2\n",
            r"its columns are \['id', 'z'\]",
        ),
        ("# %ECSV 1.0\n# ---\n# datatype: [}\nid\n1\n", ""),
        ("# %ECSV 1.0\n# ---\n# datatype:\n# - {name: id, datatype: int64}\nid\n1.5\n", "1.5"),
        ("# %ECSV 1.0\n# ---\n# datatype:\n# - {name: id, datatype: furlong}\nid\n1\n", "furlong"),
    ],
)
def test_ecsv_that_is_none(tmp_path, text, match):
    path = write(tmp_path / "t.ecsv", text)
    with pytest.raises(UserError, match=f"cannot read {path}: .*{match}"):
        read(path)


def test_feather_of_the_first_version(tmp_path):
    (tmp_path / "t.feather").write_bytes(b"FEA1" + b"\0" * 100)
    with pytest.raises(UserError, match=r"cannot read .*t.feather"):
        read(tmp_path / "t.feather")


def test_a_fits_file_called_cat_is_no_text(tmp_path):
    """As SExtractor's FITS_LDAC are."""
    fits.BinTableHDU.from_columns([fits.Column("z", "D", array=np.ones(N))]).writeto(tmp_path / "t.fits")
    (tmp_path / "t.fits").rename(tmp_path / "t.cat")
    with pytest.raises(UserError, match=r"cannot read .*t.cat: it is not text.*galaxies.table.format"):
        read(tmp_path / "t.cat")
    assert len(read(tmp_path / "t.cat", file_format="fits")) == N
