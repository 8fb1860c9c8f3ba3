import json
import subprocess
import warnings
from pathlib import Path

import astropy.units as u
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from mocksed import cli
from mocksed.errors import UserError
from mocksed.export import FILES, file_name, source
from mocksed.export import registry as export
from mocksed.files import storage
from tests import catalogues
from tests.programs import needs

PLAIN = [name for name, exporter in export.EXPORTERS.items() if exporter.layout is None]


def further(rows: dict) -> dict:
    """Return what a user's table may pass through: integers and texts, some of them missing."""
    n = len(rows["galaxy_id"])
    some = np.arange(n) % 3 == 0
    return {
        "count": pa.array(rows["galaxy_id"] % 2**50, mask=some),
        "note": pa.array([f"object {i}" for i in range(n)], mask=some),
        "detected": pa.array(rows["quiescent"], mask=some),
        "vector": np.arange(2.0 * n).reshape(n, 2),
    }


@pytest.fixture
def run(tmp_path):
    """Return the columns of a run of two shards of different sizes in the folder of results ``tmp_path``."""
    first, second = catalogues.columns(40), catalogues.columns(25, 40)
    catalogues.write(tmp_path / "demo", *(rows | further(rows) for rows in (first, second)))
    return {name: np.concatenate([first[name], second[name]]) for name in first}


def read(path: Path) -> Table:
    """Return a table as the readers of each format have it, missing values masked or NaN."""
    if path.suffix == ".csv":
        return Table.from_pandas(pd.read_csv(path))
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return Table({name: file[name][()] for name in file}, masked=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)  # astropy knows no log() in FITS and VOTable
        return Table.read(path)


def test_every_format_has_a_name_for_its_file():
    assert list(FILES) == list(export.EXPORTERS)
    assert len(set(FILES.values())) == len(FILES)


@pytest.mark.parametrize("name", PLAIN)
def test_values_come_back(run, tmp_path, name):
    left_out = {"csv": ["vector"], "ecsv": ["vector"]}.get(name, [])
    columns = [*run, "count", "note", "detected", *({"vector"} - set(left_out))]
    (path,) = export.write_of_run(name, "demo", tmp_path, columns=columns)
    assert path == tmp_path / "demo/export" / file_name(name, "demo")
    found = read(path)
    assert len(found) == 65
    for column, expected in run.items():
        values = found[column.replace("-", "_") if name == "fits" else column]
        assert values.dtype.kind == expected.dtype.kind, column
        if expected.dtype.kind == "f":
            values = np.ma.filled(np.ma.asarray(values), np.nan).astype(expected.dtype)
        np.testing.assert_array_equal(values, expected, err_msg=column)
    whole = pa.concat_tables(storage.read_table(part) for part in sorted((tmp_path / "demo/catalog").glob("*")))
    there = ~whole["count"].is_null().to_numpy()
    if name != "csv":  # pandas makes floats of them
        assert found["count"][there].tolist() == whole["count"].drop_null().to_pylist()
        assert found["count"].dtype.kind == ("f" if name == "parquet" else "i")
    assert [str(text).strip() for text in decoded(found["note"][there])] == whole["note"].drop_null().to_pylist()
    if "vector" in found.colnames:
        np.testing.assert_array_equal(found["vector"], np.stack(whole["vector"].to_numpy()))


def decoded(texts) -> list[str]:
    return [text.decode() if isinstance(text, bytes) else text for text in texts]


@pytest.mark.parametrize("name", ["fits", "votable", "ecsv"])
def test_what_is_missing_is_masked(run, tmp_path, name):
    (path,) = export.write_of_run(name, "demo", tmp_path, columns=["count", "galaxy_id", "mag_jwst_f200w"])
    found = read(path)
    missing = np.concatenate([np.arange(40) % 3 == 0, np.arange(25) % 3 == 0])
    assert np.array_equal(np.ma.getmaskarray(found["count"]), missing)
    assert not np.ma.getmaskarray(found["galaxy_id"]).any()
    values = np.ma.filled(np.ma.asarray(found["mag_jwst_f200w"]), np.nan)
    assert np.array_equal(np.isnan(values), np.isnan(run["mag_jwst_f200w"]))


@pytest.mark.parametrize(("name", "sfr"), [("fits", "log(solMass.yr**-1)"), ("ecsv", "dex(solMass / yr)")])
def test_units_and_descriptions_are_there(run, tmp_path, name, sfr):
    (path,) = export.write_of_run(name, "demo", tmp_path, columns=["age", "log_sfr", "mag_jwst_f200w"])
    found = read(path)
    assert found["age"].unit == u.Gyr
    assert str(found["log_sfr"].unit) == sfr
    assert found["mag_jwst_f200w"].unit == (u.mag if name == "fits" else u.ABmag)
    if name == "fits":  # astropy leaves descriptions in the header
        assert fits.getheader(path, 1)["TCOMM1"].startswith("time since the start of star formation")
    else:
        assert found["age"].description.startswith("time since the start of star formation")
        assert found.meta["run"] == "demo"
        assert found.meta["cosmology"] == {"H0": 67.66, "Om0": 0.3111}


def test_hdf5_tells_units_and_the_run(run, tmp_path):
    (path,) = export.write_of_run("hdf5", "demo", tmp_path)
    with h5py.File(path) as file:
        assert file["age"].attrs["unit"] == "Gyr"
        assert json.loads(file.attrs["seed"]) == 42
        missing = file["count"][()] == file["count"].attrs["missing"]
        assert missing.sum() == 14 + 9


@needs("fitsverify")
def test_fits_is_verified(run, tmp_path):
    (path,) = export.write_of_run("fits", "demo", tmp_path)
    with fits.open(path) as file:
        file.verify("exception")
    said = subprocess.run(["fitsverify", str(path)], capture_output=True, text=True, check=False)
    assert "Verification found 0 warning(s) and 0 error(s)" in said.stdout, said.stdout


@needs("stilts")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["fits", "votable", "csv"])
def test_topcat_reads_it(run, tmp_path, name):
    columns = ["galaxy_id", "redshift", "quiescent", "log_sfr", "note"]
    (path,) = export.write_of_run(name, "demo", tmp_path, columns=columns)
    stilts = ["stilts", "tpipe", f"in={path}", f"ifmt={name}", "ofmt=csv", f"out={tmp_path / 'back.csv'}"]
    subprocess.run(stilts, check=True, capture_output=True)
    back = pd.read_csv(tmp_path / "back.csv")
    assert list(back) == columns
    assert back["galaxy_id"].tolist() == run["galaxy_id"].tolist()
    np.testing.assert_allclose(back["redshift"], run["redshift"], rtol=1e-15)
    assert back["quiescent"].tolist() == run["quiescent"].tolist()
    assert back["note"].isna().sum() == 14 + 9
    if name == "votable":
        lint = subprocess.run(["stilts", "votlint", str(path)], capture_output=True, text=True, check=True)
        assert not (lint.stdout + lint.stderr).strip()


@pytest.mark.parametrize("name", PLAIN)
def test_blocks_and_repeats_change_no_byte(run, tmp_path, monkeypatch, name):
    columns = ["galaxy_id", "redshift", "quiescent", "count", "note", "mag_*"]
    (path,) = export.write_of_run(name, "demo", tmp_path, columns=columns, where="redshift > 1")
    whole = path.read_bytes()
    monkeypatch.setattr(source, "BLOCK", 7)
    (other,) = export.write_of_run(
        name, "demo", tmp_path, columns=columns, where="redshift > 1", output=tmp_path / f"other{path.suffix}"
    )
    if name == "parquet":  # row groups are blocks
        assert pq.read_table(path).equals(pq.read_table(other))
    else:
        assert other.read_bytes() == whole


def test_conditions_choose_rows_of_columns_that_are_not_written(run, tmp_path):
    (path,) = export.write_of_run(
        "csv", "demo", tmp_path, columns=["galaxy_id"], where="redshift > 2 and not quiescent"
    )
    expected = run["galaxy_id"][(run["redshift"] > 2) & ~run["quiescent"]]
    assert pd.read_csv(path)["galaxy_id"].tolist() == expected.tolist()


@pytest.mark.parametrize("name", PLAIN)
def test_no_row_is_a_table_as_well(run, tmp_path, name):
    (path,) = export.write_of_run(name, "demo", tmp_path, columns=["galaxy_id", "note", "age"], where="redshift > 99")
    assert len(read(path)) == 0


def test_a_file_for_each_shard(run, tmp_path):
    paths = export.write_of_run("fits", "demo", tmp_path, by_shard=True)
    assert paths == [tmp_path / "demo/export/fits" / name for name in ("0000.fits", "0001.fits")]
    assert [len(read(path)) for path in paths] == [40, 25]


SEEN = ("flux_jwst_f200w", "flux_err_jwst_f200w", "detected_jwst_f200w")


def seen(rows: dict) -> dict:
    """Return what a survey sees of galaxies."""
    ids = rows["galaxy_id"]
    return {"galaxy_id": ids, SEEN[0]: ids % 97.0, SEEN[1]: np.ones(len(ids)), SEEN[2]: ids % 2 == 0}


def test_what_a_survey_sees_is_joined(run, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "BLOCK", 7)
    first, second = catalogues.columns(40), catalogues.columns(25, 40)
    catalogues.write(tmp_path / "demo", seen(first), seen(second), stage="survey")
    columns = ["galaxy_id", "redshift", *SEEN]
    (path,) = export.write_of_run(
        "csv", "demo", tmp_path, columns=columns, where="detected_jwst_f200w and redshift > 1"
    )
    found, chosen = pd.read_csv(path), (run["redshift"] > 1) & (run["galaxy_id"] % 2 == 0)
    assert found["galaxy_id"].tolist() == run["galaxy_id"][chosen].tolist()
    assert found[SEEN[0]].tolist() == (run["galaxy_id"][chosen] % 97.0).tolist()


def test_files_that_do_not_belong_together_are_refused(run, tmp_path):
    first, second = catalogues.columns(40), catalogues.columns(25, 40)
    catalogues.write(tmp_path / "demo", seen(second), seen(first), stage="survey")
    with pytest.raises(UserError, match="have different numbers of galaxies"):
        export.write_of_run("csv", "demo", tmp_path, columns=["redshift", SEEN[0]])
    other = seen(first)
    other["galaxy_id"] = other["galaxy_id"][::-1]
    catalogues.write(tmp_path / "demo", other, seen(second), stage="survey")
    with pytest.raises(UserError, match="have different galaxies"):
        export.write_of_run("csv", "demo", tmp_path, columns=["redshift", SEEN[0]])
    of_other_seed = catalogues.ABOUT | {"seed": 7}
    catalogues.write(tmp_path / "demo", seen(first), seen(second), stage="survey", about=of_other_seed)
    with pytest.raises(UserError, match=r"survey/0000.parquet was made with another .* seed is 7, expected 42"):
        export.write_of_run("csv", "demo", tmp_path, columns=["redshift", SEEN[0]])
    (tmp_path / "demo/survey/0001.parquet").unlink()
    with pytest.raises(UserError, match=r"survey/0001.parquet is missing"):
        export.write_of_run("csv", "demo", tmp_path)
    assert not list(tmp_path.glob("demo/export/*"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format_": "fit"}, "there is no format 'fit', did you mean fits?"),
        ({"run": "dem"}, "there is no catalogue of a run 'dem'"),
        ({"columns": ["redshif"]}, "there is no column 'redshif', did you mean redshift?"),
        ({"where": "redshif > 1"}, "there is no column 'redshif', did you mean redshift?"),
        ({"output": "demo"}, "it is a folder"),
        ({"output": "demo/catalog/0000.parquet"}, "it is a file of the run itself"),
        ({"output": "demo/catalog/0000.parquet/a.fits"}, "cannot write"),
        ({"output": "/proc/a.fits"}, "cannot write"),
        ({"format_": "csv", "columns": ["vector"]}, "CSV cannot hold values of type"),
    ],
)
def test_what_cannot_be_is_one_message_and_nothing_is_written(run, tmp_path, options, said):
    options = {"format_": "fits", "run": "demo"} | options
    if "output" in options:
        options["output"] = tmp_path / options["output"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError) as error:
        export.write_of_run(**options, results=tmp_path)
    assert said in str(error.value)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_damage_is_noticed(run, tmp_path):
    path = tmp_path / "demo/catalog/0001.parquet"
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read .*0001.parquet"):
        export.write_of_run("fits", "demo", tmp_path)
    assert not list(tmp_path.glob("demo/export/*"))


def test_command(run, tmp_path, capsys):
    base = ["export", "--run", "demo", "--results", str(tmp_path)]
    assert cli.main([*base, "--format", "csv", "--columns", "galaxy_id", "mag_*", "--where", "quiescent"]) == 0
    path = tmp_path / "demo/export/demo.csv"
    assert capsys.readouterr().out == f"{path}\n"
    assert list(pd.read_csv(path)) == ["galaxy_id", "mag_jwst_f200w", "mag_Euclid-VIS"]
    assert cli.main([*base, "--format", "list"]) == 0
    assert "FITS binary table" in capsys.readouterr().out
    assert cli.main([*base, "--format", "fits", "--where", "redshif > 1"]) == 1
    assert "did you mean redshift?" in capsys.readouterr().err
