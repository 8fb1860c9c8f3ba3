"""Reading a catalogue, or an even sample of it."""

from pathlib import Path

import numpy as np
import pytest

from mocksed.diagnostics import catalogue
from mocksed.errors import UserError
from mocksed.files import memory_map, storage

N = 20_000
IDS = np.arange(N) * 7 + 5


def write(folder: Path, n_shards: int) -> list[Path]:
    paths = []
    for i, (start, stop) in enumerate(storage.shard_bounds(N, n_shards)):
        paths.append(folder / str(n_shards) / f"{i:04d}.parquet")
        rows = slice(start, stop)
        columns = {"galaxy_id": IDS[rows], "redshift": np.arange(N)[rows] / N, "quiescent": np.arange(N)[rows] % 2 == 0}
        storage.write_table(paths[-1], columns | {"muv": np.where(IDS[rows] % 2, np.nan, -20.0)})
    return paths


def test_all_rows_in_order_with_null_as_nan(tmp_path: Path) -> None:
    arrays = catalogue.read(write(tmp_path, 3), ["redshift", "muv", "quiescent"], N)
    np.testing.assert_array_equal(arrays["redshift"], np.arange(N) / N)
    np.testing.assert_array_equal(np.isnan(arrays["muv"]), IDS % 2 == 1)
    assert arrays["quiescent"].dtype == bool


def test_sample_is_of_the_size_asked_for_even_and_the_same_for_any_sharding(tmp_path: Path) -> None:
    one, many = (catalogue.read(write(tmp_path, n), ["redshift"], 2000)["redshift"] for n in (1, 7))
    np.testing.assert_array_equal(one, many)
    assert len(one) == len(np.unique(one)) == 2000
    assert np.all(np.diff(one) > 0)
    counts = np.histogram(one, 10, (0.0, 1.0))[0]
    assert np.all(np.abs(counts - 200) < 5 * np.sqrt(200))


@pytest.mark.parametrize("max_rows", [2000, N])
def test_the_order_is_that_of_the_ids_however_rows_are_cut_into_shards(tmp_path: Path, max_rows: int) -> None:
    whole = write(tmp_path, 1)
    rows = storage.read_table(whole[0])
    dealt = [tmp_path / f"{i}.parquet" for i in range(3)]
    for i, path in enumerate(dealt):
        storage.write_table(path, rows.slice(i).take(np.arange(0, N - i, 3)))
    one, other = (catalogue.read(paths, ["redshift", "muv"], max_rows) for paths in (whole, dealt))
    assert one.keys() == other.keys() == {"redshift", "muv"}
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_rows_without_an_id_are_sampled_by_their_number(tmp_path: Path) -> None:
    samples = []
    for n_shards in (1, 4):
        paths = [tmp_path / f"{n_shards}_{i}.parquet" for i in range(n_shards)]
        for path, part in zip(paths, np.array_split(np.arange(5000.0), n_shards), strict=True):
            storage.write_table(path, {"age": part})
        samples.append(catalogue.read(paths, ["age"], 1000)["age"])
    assert len(samples[0]) == 1000
    np.testing.assert_array_equal(*samples)


def test_mapped_tables_are_sampled_as_parquet_is(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(200_000).astype(np.float32).astype(float)
    storage.write_table(tmp_path / "a.parquet", {"mine": values})
    paths = [tmp_path / f"{i}.h5" for i in range(3)]
    for path, part in zip(paths, np.array_split(values, 3), strict=True):
        with memory_map.writing(path, ["mine"], len(part)) as append:
            append({"mine": part})
    assert catalogue.count_rows(paths) == 200_000
    for max_rows in (1000, 200_000):
        found = catalogue.read(paths, ["mine"], max_rows)["mine"]
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, catalogue.read([tmp_path / "a.parquet"], ["mine"], max_rows)["mine"])
    with pytest.raises(UserError, match="no column 'beta'"):
        catalogue.read(paths, ["beta"], 10)


def test_empty_shards_and_no_shards(tmp_path: Path) -> None:
    empty = tmp_path / "empty.parquet"
    storage.write_table(empty, {"galaxy_id": np.empty(0, np.int64), "quiescent": np.empty(0, bool), "muv": np.empty(0)})
    for paths in ([empty], []):
        arrays = catalogue.read(paths, ["muv", "quiescent"], 10)
        assert {name: len(values) for name, values in arrays.items()} == {"muv": 0, "quiescent": 0}
        assert arrays["quiescent"].dtype == bool


def test_missing_column_missing_file_and_a_file_cut_short_are_named(tmp_path: Path) -> None:
    (path,) = write(tmp_path, 1)
    with pytest.raises(UserError, match="no column 'beta'"):
        catalogue.read([path], ["beta"], N)
    with pytest.raises(UserError, match=r"nowhere\.parquet"):
        catalogue.read([tmp_path / "nowhere.parquet"], ["muv"], N)
    short = tmp_path / "short.parquet"
    short.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"short\.parquet"):
        catalogue.count_rows([short])


def test_thin_keeps_an_even_part_or_all() -> None:
    arrays = {"x": np.arange(10_000)}
    assert catalogue.thin(arrays, 10_000) is arrays
    assert catalogue.thin({}, 5) == {}
    thinned = catalogue.thin(arrays, 500)["x"]
    assert len(thinned) == 500
    assert abs(thinned.mean() - 5000) < 5 * 2887 / np.sqrt(500)


def write_realisations(folder: Path, n_shards: int, indices: list[int]) -> list[Path]:
    """Write shards in which each realisation has galaxies in its own order and M_UV of its own."""
    paths = write(folder, n_shards)
    for path in paths:
        rows = storage.to_arrays(storage.read_table(path))
        parts = [catalogue.select(rows, np.argsort(rows["redshift"] * (-1) ** i)) for i in range(len(indices))]
        repeated = {name: np.concatenate([part[name] for part in parts]) for name in rows}
        repeated["realisation"] = np.repeat(indices, len(rows["galaxy_id"]))
        repeated["muv"] = repeated["redshift"] + repeated["realisation"]
        storage.write_table(path, repeated, {"realisations": indices})
    return paths


@pytest.mark.parametrize("max_rows", [3001, 3 * N])
def test_a_sample_is_of_the_same_galaxies_in_all_realisations(tmp_path: Path, max_rows: int) -> None:
    found = [catalogue.read(write_realisations(tmp_path, n, [1, 4, 5]), ["redshift", "muv"], max_rows) for n in (1, 4)]
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name])
    sample = found[0]
    n = min(max_rows // 3, N)
    np.testing.assert_array_equal(sample["realisation"], np.repeat([1, 4, 5], n))
    np.testing.assert_array_equal(*np.split(sample["redshift"], 3)[:2])
    np.testing.assert_allclose(sample["muv"], sample["redshift"] + sample["realisation"])
    alone = catalogue.read(write(tmp_path, 2), ["redshift"], n)["redshift"]
    np.testing.assert_array_equal(np.split(sample["redshift"], 3)[2], alone)


def test_a_single_realisation_is_read_as_one_without_number(tmp_path: Path) -> None:
    arrays = catalogue.read(write_realisations(tmp_path, 2, [3]), ["redshift"], 1000)
    plain = catalogue.read(write(tmp_path, 2), ["redshift"], 1000)
    assert arrays.keys() == plain.keys() == {"redshift"}
    np.testing.assert_array_equal(arrays["redshift"], plain["redshift"])


def test_the_number_of_realisations() -> None:
    galaxies = {"quiescent": np.array([True, False, True]), "realisation": np.array([0, 0, 2])}
    assert catalogue.Sample(galaxies).n_realisations == 2
    assert catalogue.Sample({"quiescent": galaxies["quiescent"]}).n_realisations == 1
