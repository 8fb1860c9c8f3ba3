import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mocksed import catalog, spectra, storage

LIMITS = (1000.0, 20_000.0)


@pytest.fixture(scope="module")
def columns(engine):
    rng = np.random.default_rng(4)
    n = 40
    quiescent = rng.random(n) < 0.3
    own = {
        "galaxy_id": rng.permutation(n) * 10**12,
        "quiescent": quiescent,
        "log_mstar": rng.uniform(8.0, 11.5, n),
        "age": rng.uniform(0.1, 5.0, n),
        "tau": rng.uniform(0.1, 10.0, n),
        "dust2": np.where(quiescent, 0.0, rng.uniform(0.0, 1.0, n)),
        "log_zmet": rng.uniform(-1.9, 0.1, n),
        "log_us": np.where(quiescent, np.nan, rng.uniform(-4.0, -1.0, n)),
    }
    own["mass_fraction"] = engine.derived(own["age"], own["tau"], own["log_zmet"], -3.0, 0.0, nebular=False)[0]
    assert own.keys() == set(spectra.NEEDED)
    return own


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spectra" / "0000.parquet"


def read(path):
    return storage.read_arrays(path, ["galaxy_id", "spectrum"])


def test_layout(path, columns, engine):
    spectra.write(path, columns, engine, LIMITS, {"run": "demo", "seed": 42})
    schema = pq.read_schema(path)
    wavelength = json.loads(schema.metadata[b"wavelength"])
    assert schema.names == ["galaxy_id", "spectrum"]
    assert schema.field("galaxy_id").type == pa.int64()
    assert schema.field("spectrum").type == pa.list_(pa.float32(), len(wavelength))
    assert schema.field("spectrum").metadata[b"unit"] == b"Lsun/Hz"
    inside = (engine.wavelength >= LIMITS[0]) & (engine.wavelength <= LIMITS[1])
    assert_array_equal(wavelength, engine.wavelength[inside])
    assert_array_equal(spectra.read_wavelength(path), wavelength)
    assert (storage.metadata(path)["run"], storage.metadata(path)["seed"]) == ("demo", 42)
    stored = read(path)
    assert_array_equal(stored["galaxy_id"], columns["galaxy_id"])
    ((_, flux),) = catalog.spectra(columns, engine)
    assert stored["spectrum"].tobytes() == flux[:, inside].tobytes()
    assert np.all(np.isfinite(stored["spectrum"]) & (stored["spectrum"] >= 0.0))


@given(
    st.lists(st.floats(1.0, 1e4), min_size=1, max_size=20, unique=True).map(sorted),
    st.tuples(st.floats(1.0, 1e4), st.floats(1.0, 1e4)).map(sorted),
)
def test_the_window_is_what_lies_within_the_limits(wavelength, limits):
    wavelength = np.array(wavelength)
    inside = (wavelength >= limits[0]) & (wavelength <= limits[1])
    assert_array_equal(wavelength[spectra.window(wavelength, tuple(limits))], wavelength[inside])


def test_the_window_includes_its_limits():
    wavelength = np.array([1.0, 2.0, 3.0, 4.0])
    assert wavelength[spectra.window(wavelength, (2.0, 3.0))].tolist() == [2.0, 3.0]
    assert wavelength[spectra.window(wavelength, (0.0, 9.0))].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_a_spectrum_scales_with_the_mass(path, columns, engine):
    spectra.write(path, columns, engine, LIMITS, {})
    light = read(path)["spectrum"]
    spectra.write(path, columns | {"log_mstar": columns["log_mstar"] + 1.0}, engine, LIMITS, {})
    assert_allclose(read(path)["spectrum"], 10.0 * light, rtol=1e-6)


def test_any_subset_has_the_same_bytes(path, tmp_path, columns, engine, monkeypatch):
    spectra.write(path, columns, engine, LIMITS, {})
    whole = read(path)["spectrum"]
    for i, j in pairwise((0, 1, 13, 40)):
        part = tmp_path / "part.parquet"
        spectra.write(part, {name: values[i:j] for name, values in columns.items()}, engine, LIMITS, {})
        assert read(part)["spectrum"].tobytes() == whole[i:j].tobytes()
    monkeypatch.setattr(catalog, "BLOCK", 7)
    spectra.write(path, columns, engine, LIMITS, {})
    assert read(path)["spectrum"].tobytes() == whole.tobytes()
    assert pq.ParquetFile(path).num_row_groups == 6


def test_the_same_file_twice(path, tmp_path, columns, engine):
    spectra.write(path, columns, engine, LIMITS, {"seed": 1})
    spectra.write(tmp_path / "again.parquet", columns, engine, LIMITS, {"seed": 1})
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_no_galaxies(path, columns, engine):
    spectra.write(path, {name: values[:0] for name, values in columns.items()}, engine, LIMITS, {})
    assert read(path)["spectrum"].shape == (0, len(spectra.read_wavelength(path)))


@pytest.mark.parametrize("exception", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_write_leaves_nothing(path, columns, engine, monkeypatch, exception):
    class DiesInTheSecondBlock:
        done = 0

        def update(self, amount):
            self.done += amount
            if self.done > 10:
                raise exception

    monkeypatch.setattr(catalog, "BLOCK", 10)
    with pytest.raises(exception):
        spectra.write(path, columns, engine, LIMITS, {}, DiesInTheSecondBlock())
    assert list(path.parent.iterdir()) == []
