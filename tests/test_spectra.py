import json
import logging
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mocksed import digest, light, spectra
from mocksed.errors import UserError
from mocksed.files import provenance, storage
from mocksed.sps import from_config
from mocksed.sps.engine import Engine
from mocksed.sps.model import Model
from tests import catalogues

LIMITS = (1000.0, 20_000.0)


@pytest.fixture(scope="module")
def engine(engine):
    """Return an engine for which each galaxy has a slope of the attenuation curve of its own."""
    return Engine(engine.table, Model(dust_type="kriek_conroy"))


@pytest.fixture(scope="module")
def columns(engine):
    rng = np.random.default_rng(4)
    own = catalogues.models(engine, rng, quiescent=rng.random(40) < 0.3, age=(0.1, 5.0))
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
    ((_, flux),) = light.spectra(columns, engine)
    assert stored["spectrum"].tobytes() == flux[:, inside].tobytes()
    assert np.all(np.isfinite(stored["spectrum"]) & (stored["spectrum"] >= 0.0))


@given(
    st.lists(st.floats(1.0, 1e4), min_size=1, max_size=20, unique=True).map(sorted),
    st.tuples(st.floats(1.0, 1e4), st.floats(1.0, 1e4)).map(sorted),
)
def test_the_window_is_what_lies_within_the_limits(wavelength, limits):
    wavelength = np.array(wavelength)
    inside = (wavelength >= limits[0]) & (wavelength <= limits[1])
    if np.any(inside):
        assert_array_equal(wavelength[spectra.window(wavelength, tuple(limits))], wavelength[inside])
    else:
        with pytest.raises(UserError, match="no wavelength between"):
            spectra.window(wavelength, tuple(limits))


def test_the_window_includes_its_limits():
    wavelength = np.array([1.0, 2.0, 3.0, 4.0])
    assert wavelength[spectra.window(wavelength, (2.0, 3.0))].tolist() == [2.0, 3.0]
    assert wavelength[spectra.window(wavelength, (0.0, 9.0))].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_a_spectrum_scales_with_the_mass(path, columns, engine):
    spectra.write(path, columns, engine, LIMITS, {})
    light = read(path)["spectrum"]
    spectra.write(path, columns | {"log_mstar": columns["log_mstar"] + 1.0}, engine, LIMITS, {})
    assert_allclose(read(path)["spectrum"], 10.0 * light, rtol=1e-6)


def test_each_galaxy_has_its_own_attenuation_curve(path, columns, engine):
    spectra.write(path, columns, engine, LIMITS, {})
    light, wavelength = read(path)["spectrum"].astype(float), spectra.read_wavelength(path)
    spectra.write(path, columns | {"dust_index": np.full(40, -0.4)}, engine, LIMITS, {})
    same = read(path)["spectrum"].astype(float)
    ratio = (light / same)[:, np.searchsorted(wavelength, 1500.0)]
    steep, dusty = columns["dust_index"] < -0.4, columns["dust2"] > 0.0
    assert np.all(ratio[dusty & steep] < 1.0)
    assert np.all(ratio[dusty & ~steep] > 1.0)
    assert_array_equal(light[~dusty], same[~dusty])


def test_any_subset_has_the_same_bytes(path, tmp_path, columns, engine, monkeypatch):
    spectra.write(path, columns, engine, LIMITS, {})
    whole = read(path)["spectrum"]
    for i, j in pairwise((0, 1, 13, 40)):
        part = tmp_path / "part.parquet"
        spectra.write(part, {name: values[i:j] for name, values in columns.items()}, engine, LIMITS, {})
        assert read(part)["spectrum"].tobytes() == whole[i:j].tobytes()
    monkeypatch.setattr(light, "BLOCK", 7)
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

    monkeypatch.setattr(light, "BLOCK", 10)
    with pytest.raises(exception):
        spectra.write(path, columns, engine, LIMITS, {}, DiesInTheSecondBlock())
    assert list(path.parent.iterdir()) == []


# Spectra of some galaxies of a run

SHARDS = ((0, 13), (13, 13), (13, 40))  # one of them without galaxies
ABOUT = {"run": "demo", "seed": 42, "cosmology": {"H0": 67.66, "Om0": 0.3111}}


@pytest.fixture(scope="module")
def run(tmp_path_factory, root, columns, engine):
    """A run of three shards with its spectra, as the workflow leaves it; its SSP table is a copy beside it."""
    folder = tmp_path_factory.mktemp("run")
    table = shutil.copy(root / "resources" / "ssp_padova_kurucz_chabrier.h5", folder / "table.h5")
    sps = {"engine": "table", "table": str(table), "imf_type": 1, "dust_type": "kriek_conroy", "igm": "madau1995"}
    about = ABOUT | provenance.of_engine(engine, sps) | {"sps": sps}
    galaxies = columns | {"galaxy_id": np.sort(columns["galaxy_id"])}
    for shard, (start, stop) in enumerate(SHARDS):
        path = folder / "results" / "demo" / "catalog" / f"{shard:04d}.parquet"
        rows = {name: values[start:stop] for name, values in galaxies.items()}
        storage.write_table(path, rows | {"redshift": np.ones(stop - start)}, about)
        made = spectra.setup_of(path)
        stored = storage.read_arrays(path, spectra.NEEDED)
        spectra.write(spectra_of(folder, shard), stored, made.engine, spectra.WAVELENGTH, made.about)
    return folder


def spectra_of(folder, shard):
    return folder / "results" / "demo" / "spectra" / f"{shard:04d}.parquet"


@pytest.fixture
def copy(run, tmp_path):
    """The same run, to be damaged."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


def rewrite(path, columns=None, **about):
    """Write a shard of a catalogue anew with other columns and metadata; None removes them."""
    stored = storage.metadata(path) | about
    stored.pop("mocksed_version", None)
    table = storage.to_arrays(storage.read_table(path)) | (columns or {})
    storage.write_table(path, table, {key: value for key, value in stored.items() if value is not None})


@pytest.fixture(scope="module")
def stored(run):
    """The spectra of the run by galaxy."""
    files = [read(spectra_of(run, shard)) for shard in range(len(SHARDS))]
    return {int(i): flux for file in files for i, flux in zip(file["galaxy_id"], file["spectrum"], strict=True)}


def test_the_spectra_of_a_run_say_what_made_them(run):
    about = storage.metadata(spectra_of(run, 0))
    assert {key: about[key] for key in ABOUT} == ABOUT
    assert about["ssp_table"]["file"] == "table.h5"
    assert about["ssp_table"]["sha256"] == digest.sha256(run / "table.h5")
    assert about["sps_model"]["dust_type"] == "kriek_conroy"
    assert about.keys() == {"mocksed_version", "wavelength", "engine", "sps_model", "ssp_table", *ABOUT}


@pytest.mark.parametrize("n", [0, 1, 7, 40, 90])
def test_any_galaxies_have_the_bytes_of_the_run_in_the_order_asked_for(run, stored, tmp_path, n):
    wanted = np.random.default_rng(n).choice(list(stored), n, replace=n > len(stored))
    path = tmp_path / "some.parquet"
    spectra.write_of_run(path, "demo", wanted, run / "results")
    some = read(path)
    assert_array_equal(some["galaxy_id"], wanted)
    assert some["spectrum"].tobytes() == b"".join(stored[i].tobytes() for i in wanted)
    assert pq.read_schema(path).equals(pq.read_schema(spectra_of(run, 0)), check_metadata=True)
    wavelength, flux = spectra.of_run("demo", wanted.tolist(), run / "results")
    assert_array_equal(wavelength, spectra.read_wavelength(path))
    assert flux.tobytes() == some["spectrum"].tobytes()
    assert flux.shape == (n, len(wavelength))


def test_one_galaxy_alone_and_one_twice(run, stored):
    one, other = list(stored)[7], list(stored)[30]
    flux = spectra.of_run("demo", one, run / "results")[1]
    assert flux.tobytes() == stored[one].tobytes()
    flux = spectra.of_run("demo", [other, one, other], run / "results")[1]
    assert flux.tobytes() == b"".join(stored[i].tobytes() for i in (other, one, other))


def test_identifiers_may_be_in_any_order_over_the_shards(copy, stored):
    mixed = np.random.default_rng(3).permutation(40)
    for shard, (start, stop) in enumerate(SHARDS):
        rewrite(copy / f"results/demo/catalog/{shard:04d}.parquet", {"galaxy_id": mixed[start:stop]})
    flux = spectra.of_run("demo", np.arange(40), copy / "results")[1]
    assert flux.tobytes() == b"".join(list(stored.values())[row].tobytes() for row in np.argsort(mixed))


def test_shards_without_the_galaxies_are_not_read(copy, stored):
    """Damage in them does not matter, and where it does they are named."""
    path, ids = copy / "results/demo/catalog/0002.parquet", list(stored)
    row_group = pq.ParquetFile(path).metadata.row_group(0)
    content = bytearray(path.read_bytes())
    for name in ("galaxy_id", "age"):
        column = row_group.column(pq.read_schema(path).names.index(name))
        content[column.dictionary_page_offset + 40] ^= 1
    path.write_bytes(content)
    assert spectra.of_run("demo", ids[:2], copy / "results")[1].tobytes() == b"".join(stored[i] for i in ids[:2])
    with pytest.raises(UserError, match=r"cannot read .*0002\.parquet.*Remove it and run again"):
        spectra.of_run("demo", ids[-1], copy / "results")


def test_runs_and_galaxies_that_are_not_there(run, stored):
    results = run / "results"
    with pytest.raises(UserError, match=r"no catalogue of a run 'dmo' in .*results, did you mean demo\?"):
        spectra.of_run("dmo", [1], results)
    with pytest.raises(UserError, match="nor of any other run"):
        spectra.of_run("demo", [1], run / "nowhere")
    with pytest.raises(UserError, match=r"7 of the 8 galaxies are not in .*demo/catalog: 1, 2, 3, 4, 5, \.\.\."):
        spectra.of_run("demo", [*range(1, 8), max(stored), 3], results)
    with pytest.raises(UserError, match=r"integers \(galaxy_id\); 0\.5 is not an integer"):
        spectra.of_run("demo", [0.5], results)


def test_another_ssp_table_is_never_used(copy, stored):
    results, there, moved, one = copy / "results", copy / "table.h5", copy / "moved.h5", next(iter(stored))
    shard = results / "demo/catalog/0000.parquet"
    rewrite(shard, sps=storage.metadata(shard)["sps"] | {"table": str(there)})
    assert spectra.of_run("demo", one, results)[1].tobytes() == stored[one].tobytes()
    there.rename(moved)
    with pytest.raises(UserError, match=r"SSP table table\.h5 with the SHA-256 \w{64}, which is not at .*--ssp-table"):
        spectra.of_run("demo", one, results)
    assert spectra.of_run("demo", one, results, ssp_table=moved)[1].tobytes() == stored[one].tobytes()
    content = bytearray(moved.read_bytes())
    content[len(content) // 2] ^= 1
    there.write_bytes(content)
    with pytest.raises(UserError, match=r"was made with the SSP table table\.h5 .*table\.h5 is another one"):
        spectra.of_run("demo", one, results)


def test_shards_of_different_runs_are_not_mixed(copy, stored):
    results = copy / "results"
    ids = list(stored)
    rewrite(results / "demo/catalog/0002.parquet", seed=43)
    with pytest.raises(UserError, match=r"0000\.parquet and .*0002\.parquet were not made in the same way"):
        spectra.of_run("demo", [ids[0], ids[-1]], results)
    spectra.of_run("demo", ids[:2], results)
    # left of a run with more shards
    shutil.copy(results / "demo/catalog/0000.parquet", results / "demo/catalog/0003.parquet")
    with pytest.raises(UserError, match=rf"the galaxy {ids[0]} is in .*0000\.parquet and in .*0003\.parquet"):
        spectra.of_run("demo", [ids[0]], results)


def test_a_catalogue_that_does_not_say_how_it_was_made(copy, stored):
    rewrite(copy / "results/demo/catalog/0000.parquet", sps=None)
    with pytest.raises(UserError, match="does not record how its spectra are made"):
        spectra.of_run("demo", next(iter(stored)), copy / "results")


def test_another_version_is_said(run, stored, monkeypatch, caplog):
    monkeypatch.setattr(spectra, "__version__", "99.0")
    with caplog.at_level(logging.WARNING, "mocksed"):
        spectra.of_run("demo", next(iter(stored)), run / "results")
    assert "this is 99.0 and its spectra may differ" in caplog.text


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("mass_fraction", np.nan, "mass_fraction nan"),
        ("mass_fraction", 0.0, "mass_fraction 0"),
        ("log_mstar", np.inf, "log_mstar inf"),
        ("age", np.nan, "age"),
        ("tau", 0.01, "tau"),
        ("dust2", -1.0, "dust2"),
        ("dust_index", 0.5, "dust_index"),
    ],
)
def test_numbers_that_cannot_be_in_a_catalogue_give_no_spectrum(copy, stored, name, value, words):
    rewrite(copy / "results/demo/catalog/0002.parquet", {name: np.full(27, value)})
    with pytest.raises(UserError, match=words):
        spectra.of_run("demo", list(stored)[13:15], copy / "results")


def in_realisations(results, indices):
    """Give a run several realisations, of which each has its galaxies in reverse order."""
    for path in sorted((results / "demo/catalog").glob("*.parquet")):
        rows = storage.to_arrays(storage.read_table(path))
        n = len(rows["galaxy_id"])
        repeated = {name: np.tile(values, len(indices)) for name, values in rows.items()}
        repeated["galaxy_id"] = np.concatenate([rows["galaxy_id"][:: -1 if i % 2 else 1] for i in range(len(indices))])
        rewrite(path, repeated | {"realisation": np.repeat(indices, n)}, realisations=list(indices))


@pytest.mark.slow
def test_spectra_of_a_realisation(copy, stored, tmp_path):
    results, ids = copy / "results", list(stored)
    in_realisations(results, (2, 5))
    one, last = ids[0], ids[12]  # the first and the last row of a shard
    expected = {None: stored[one], 2: stored[one], 5: stored[last]}
    for realisation, flux in expected.items():
        found = spectra.of_run("demo", [one, one], results, realisation=realisation)[1]
        assert found.tobytes() == 2 * flux.tobytes()
        spectra.write_of_run(tmp_path / "some.parquet", "demo", [one], results, realisation=realisation)
        rows = storage.read_arrays(tmp_path / "some.parquet", ["galaxy_id", "realisation", "spectrum"])
        assert pq.read_schema(tmp_path / "some.parquet").names == ["galaxy_id", "realisation", "spectrum"]
        assert (rows["galaxy_id"].tolist(), rows["realisation"].tolist()) == ([one], [realisation or 2])
        assert rows["spectrum"].tobytes() == flux.tobytes()
    with pytest.raises(UserError, match=r"demo/catalog has no realisation 0; it has 2, 5\."):
        spectra.of_run("demo", one, results, realisation=0)
    # left of a run with more shards
    shutil.copy(results / "demo/catalog/0000.parquet", results / "demo/catalog/0003.parquet")
    with pytest.raises(UserError, match=rf"the galaxy {one} is in .*0000\.parquet and in .*0003\.parquet"):
        spectra.of_run("demo", [one], results, realisation=5)


def test_a_run_without_realisations_has_number_0(run, stored):
    one = next(iter(stored))
    assert spectra.of_run("demo", one, run / "results", realisation=0)[1].tobytes() == stored[one].tobytes()
    with pytest.raises(UserError, match=r"demo/catalog has no realisation 1; it has 0\."):
        spectra.of_run("demo", one, run / "results", realisation=1)


def test_shards_with_and_without_realisations_are_not_mixed(run, copy, stored):
    in_realisations(copy / "results", (0, 1))
    shutil.copy(run / "results/demo/catalog/0002.parquet", copy / "results/demo/catalog/0002.parquet")
    with pytest.raises(UserError, match=r"0002\.parquet has no column 'realisation'\. Remove it and run again"):
        spectra.of_run("demo", next(iter(stored)), copy / "results")


@pytest.mark.fsps
def test_spectra_of_a_run_with_fsps(tmp_path, columns):
    sps = {"engine": "fsps", "table": "not used", "imf_type": 1, "dust_type": "kriek_conroy", "igm": "madau1995"}
    engine = from_config.of(sps)
    few = {name: values[:4] for name, values in columns.items()}
    about = ABOUT | provenance.of_engine(engine, sps) | {"sps": sps}
    shard = tmp_path / "results/demo/catalog/0000.parquet"
    storage.write_table(shard, few, about)
    ((_, expected),) = light.spectra(few, engine)
    wavelength, flux = spectra.of_run("demo", few["galaxy_id"], tmp_path / "results", wavelength=LIMITS)
    assert flux.tobytes() == expected[:, spectra.window(engine.wavelength, LIMITS)].tobytes()
    assert len(wavelength) == flux.shape[1]
    rewrite(shard, fsps=about["fsps"] | {"sps_home_sha256": "0123"})
    with pytest.raises(UserError, match=r"was made with another FSPS, .*0123.*the installed one is"):
        spectra.of_run("demo", few["galaxy_id"], tmp_path / "results")


def test_the_lyman_alpha_of_a_catalogue_is_in_its_spectra(copy, columns, engine, stored):
    rows = dict(zip(np.sort(columns["galaxy_id"]), columns["quiescent"], strict=True))
    for shard, (start, stop) in enumerate(SHARDS):
        rewrite(copy / f"results/demo/catalog/{shard:04d}.parquet", {"lya_escape": np.zeros(stop - start)})
    wavelength, flux = spectra.of_run("demo", list(stored), copy / "results")
    line = np.abs(wavelength - 1215.67) < 1.0
    assert np.any(line)
    before = np.array(list(stored.values()))
    shining = ~np.array([rows[i] for i in stored])
    assert_array_equal(flux[~shining], before[~shining])
    bright = shining & np.any(before[:, line] > 0.0, axis=1)
    assert np.all(flux[bright][:, line] < before[bright][:, line])
    assert_array_equal(flux[:, wavelength > 1300.0], before[:, wavelength > 1300.0])
