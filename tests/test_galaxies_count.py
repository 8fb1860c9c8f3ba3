import gzip

import h5py
import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from mocksed.cosmology import Cosmology
from mocksed.errors import UserError
from mocksed.galaxies import count
from mocksed.galaxies.lightcone import LightCone
from mocksed.run import configuration

N = 12_345


@pytest.fixture(scope="module")
def default(root):
    return configuration.load({"run": "test"})


def of_table(default, path, **others):
    table = default["galaxies"]["table"] | {"path": str(path), **others}
    return count.of_config(default | {"galaxies": default["galaxies"] | {"source": "table", "table": table}})


def of_lightcone(default, **lightcone):
    lightcone = default["galaxies"]["lightcone"] | lightcone
    return count.of_config(default | {"galaxies": default["galaxies"] | {"lightcone": lightcone}})


def test_a_number_that_is_given_counts(default):
    assert of_lightcone(default, n_galaxies=1234) == (1234, "as the config says")


@pytest.mark.parametrize("area", [0.01, 0.1])
def test_a_light_cone_has_as_many_as_will_be_drawn(default, area):
    cone = LightCone.from_config(default["galaxies"]["lightcone"] | {"area": area}, Cosmology(), default["seed"])
    found = of_lightcone(default, area=area)
    assert found == (cone.n_galaxies, f"drawn for {area} deg^2")
    assert found.n == pytest.approx(area * cone.expected_per_deg2, rel=0.05)


def test_an_empty_light_cone_is_an_error(default):
    with pytest.raises(UserError, match="the light cone is empty"):
        of_lightcone(default, area=1e-9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same table in every format."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"redshift": rng.uniform(0, 6, N), "log_mstar": rng.uniform(8, 11, N)})
    rows.to_parquet(folder / "a.parquet")
    rows.to_csv(folder / "a.csv", index=False)
    rows[:50].to_csv(folder / "short.csv", index=False)
    rows.to_csv(folder / "a.csv.gz", index=False)
    Table.from_pandas(rows).write(folder / "a.fits")
    with h5py.File(folder / "a.hdf5", "w") as file:
        for name in rows:
            file[f"other/{name}"] = np.ones(3)
        group = file.create_group("table")
        for name in rows:
            group[name] = rows[name]
        group["box"] = 100.0
        file["compound"] = rows.to_records(index=False)
    (folder / "damaged.parquet").write_bytes(b"no such thing")
    return folder


@pytest.mark.parametrize(
    ("name", "dataset", "n"),
    [
        ("a.parquet", None, N),
        ("a.fits", 1, N),
        ("a.hdf5", "table", N),
        ("a.hdf5", "compound", N),
        ("a.hdf5", "other", 3),
    ],
)
def test_a_table_has_the_rows_that_its_file_says(default, folder, name, dataset, n):
    assert of_table(default, folder / name, dataset=dataset) == (n, f"the rows of {folder / name}")


@pytest.mark.parametrize(("name", "n", "off"), [("a.csv", N, 0.02), ("short.csv", 50, 0.0), ("a.csv.gz", N, 0.3)])
def test_the_rows_of_text_are_estimated(default, folder, name, n, off):
    found = of_table(default, folder / name)
    assert found.n == pytest.approx(n, rel=off)
    assert found.how.startswith("estimated")


def test_a_table_that_has_changed_is_counted_again(default, tmp_path):
    path = tmp_path / "a.csv.gz"
    for n in (10, 20):
        with gzip.open(path, "wt") as file:
            file.write("redshift\n" + "1.0\n" * n)
        assert of_table(default, path).n == n


def test_the_rows_of_several_files_are_summed(default, folder, tmp_path):
    for i in range(3):
        (tmp_path / f"part_{i}.fits").write_bytes((folder / "a.fits").read_bytes())
    assert of_table(default, tmp_path / "part_*.fits").n == 3 * N
    assert of_table(default, tmp_path / "prt_*.fits").how == f"a guess: {tmp_path / 'prt_*.fits'} is not there yet"


@pytest.mark.parametrize("kind", ["tabledata", "binary", "binary2"])
def test_the_rows_of_a_votable_are_known_without_reading_it(default, folder, tmp_path, monkeypatch, kind):
    Table.read(folder / "a.fits").write(tmp_path / "a.vot", format="votable", tabledata_format=kind)
    content = (tmp_path / "a.vot").read_bytes()
    with gzip.open(tmp_path / "a.xml.gz", "wb") as file:
        file.write(content)
    stated = tmp_path / "as_topcat_writes.vot"
    stated.write_bytes(content.replace(b"<TABLE", b'<TABLE name="a" nrows="12345"', 1))
    monkeypatch.setattr("mocksed.galaxies.readers.open_table", None)
    assert of_table(default, stated) == (N, f"the rows of {stated}")
    for name in ("a.vot", "a.xml.gz"):
        found = of_table(default, tmp_path / name)
        assert found.how.startswith("estimated")
        assert N / 2 < found.n < N * 2


@pytest.mark.parametrize("name", ["missing.fits", "damaged.parquet"])
def test_a_table_that_cannot_be_counted_is_guessed(default, folder, name):
    found = of_table(default, folder / name)
    assert found.n == count.GUESS
    assert found.how.startswith("a guess: ")
    assert name in found.how
