import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mocksed import __version__, digest
from mocksed.errors import UserError
from mocksed.files import provenance, storage
from mocksed.sps.model import Model

RUN = {"run": "demo", "seed": 42, "cosmology": {"H0": 70.0, "Om0": 0.3}}
GALAXIES = {"source": "lightcone", "lightcone": {"redshift": [0.0, 12.0]}}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "own.h5"
    path.write_bytes(b"a table")
    return path


def test_of_a_run_files_say_nothing_that_depends_on_its_shards():
    assert provenance.of_run(RUN | {"galaxies": {"shards": 4}, "results": "/here"}) == RUN


def test_of_the_table_they_say_what_it_says_its_name_and_its_checksum(engine, table):
    about = provenance.of_engine(engine, {"table": str(table)})
    assert about["engine"] == "table"
    assert about["sps_model"]["dust_type"] == "calzetti"
    assert about["ssp_table"] == engine.table.provenance | {
        "file": "own.h5",
        "sha256": hashlib.sha256(b"a table").hexdigest(),
    }
    assert "file" not in engine.table.provenance
    assert str(table.parent) not in json.dumps(about)


def test_of_fsps_they_say_what_it_says():
    fsps = {"python_fsps": "0.5.0", "libraries": {"spectra": "miles"}, "imf_type": 1}
    engine = SimpleNamespace(about={"engine": "fsps", "sps_model": {"sfh": "delayed_tau"}, **fsps})
    about = provenance.of_engine(engine, {"table": "not read"})
    assert about == {"engine": "fsps", "sps_model": {"sfh": "delayed_tau"}, "fsps": fsps}


def test_a_table_that_is_not_there_is_named(engine):
    with pytest.raises(UserError, match=r"cannot read nowhere\.h5"):
        provenance.of_engine(engine, {"table": "nowhere.h5"})


@pytest.mark.parametrize("name", ["a.parquet", "a.json"])
def test_a_file_hands_on_where_its_numbers_come_from_and_nothing_else(tmp_path, name):
    path, about = tmp_path / name, RUN | {"engine": "table", "ssp_table": {"sha256": "12"}}
    if path.suffix == ".json":
        storage.write_json(path, provenance.stamped(about | {"metric": "default"}))
        assert json.loads(path.read_text())["mocksed_version"] == __version__
    else:
        storage.write_table(path, {"age": np.ones(2)}, about | {"wavelength": [1.0]})
        assert storage.metadata(path)["mocksed_version"] == __version__
    assert provenance.of_file(path) == about


@pytest.mark.parametrize("name", ["a.parquet", "a.json"])
@pytest.mark.parametrize("content", [None, "PAR1{"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content):
    path = Path(tmp_path, name)
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=rf"cannot read .*{name}.*Remove it and run again"):
        provenance.of_file(path)


def test_files_with_galaxies_name_their_realisations_unless_it_is_0_alone():
    about = RUN | {"galaxies": GALAXIES}
    for asked, said in ((1, None), ([0], None), (3, [0, 1, 2]), ([9, 4], [4, 9])):
        found = provenance.of_galaxies(RUN | {"realisations": asked}, GALAXIES)
        assert found == about | ({"realisations": said} if said else {})


# ------------------------------------------------------------------------------------------- files of another run

ABOUT = {
    **RUN,
    "galaxies": GALAXIES,
    "relations": {"muv": {"scatter": 0.75}},
    "search": {"neighbours": {"k": 64}, "metric": {"scales": None}},
}
"""What files from the search on say of a run."""


@pytest.fixture
def sps(table):
    return {"table": str(table), "engine": "table", "imf_type": 1, "sfh": "delayed_tau"}


def said_in(stage, sps):
    """Return what a file of a stage of the run says, and what is expected of it."""
    model = {"sps_model": asdict(Model()), "ssp_table": {"sha256": digest.sha256(sps["table"]), "date": "today"}}
    shard = provenance.of_shard(1, 4)
    if stage == "galaxies":
        about = {key: value for key, value in ABOUT.items() if key not in ("relations", "search")}
        return about | shard, provenance.expected_of_galaxies(ABOUT, (1, 4))
    if stage == "search":
        return ABOUT | model | shard, provenance.expected_of_search(ABOUT, sps, (1, 4))
    return ABOUT | model | {"engine": "table"} | shard, provenance.expected_of_catalogue(ABOUT, sps, (1, 4))


STAGES = ("galaxies", "search", "catalogue")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", ["a.parquet", "a.json"])
def test_a_file_of_the_run_is_read_whatever_its_name_and_version(tmp_path, sps, stage, name, caplog):
    said, expected = said_in(stage, sps)
    content = said | {"run": "another name", "mocksed_version": "0.0.1", "filters": {"f115w": 1.0}}
    if name == "a.json":
        storage.write_json(tmp_path / name, content)
    else:
        storage.write_table(tmp_path / name, {"age": np.ones(2)}, content)
    with caplog.at_level("INFO", "mocksed"):
        provenance.check(tmp_path / name, expected)
    assert f"{tmp_path / name} was made by mocksed 0.0.1; this is {__version__}." in caplog.text


CHANGES = {
    "seed": ({"seed": 2}, "seed is 2, expected 42"),
    "cosmology": ({"cosmology": {"H0": 71.0, "Om0": 0.3}}, "cosmology.H0 is 71.0, expected 70.0"),
    "realisations": ({"realisations": [0, 1]}, r"realisations is \[0, 1\], expected null"),
    "galaxies": ({"galaxies": {"source": "table", "table": {}}}, 'galaxies.source is "table", expected "lightcone"'),
    "shard": ({"shard": [1, 2]}, r"shard is \[1, 2\], expected \[1, 4\]"),
    "relations": ({"relations": {"muv": {}}}, "relations.muv.scatter is null, expected 0.75"),
    "search": ({"search": ABOUT["search"] | {"neighbours": {"k": 5}}}, "search.neighbours.k is 5, expected 64"),
    "model": ({"sps_model": asdict(Model(dust_type="smc"))}, 'sps_model.dust_type is "smc", expected "calzetti"'),
    "table": ({"ssp_table": {"sha256": "12"}}, 'ssp_table.sha256 is "12", expected "[0-9a-f]{64}"'),
    "engine": ({"engine": "fsps"}, 'engine is "fsps", expected "table"'),
}
OF_STAGE = {"galaxies": 5, "search": 9, "catalogue": 10}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_of_another_run_is_named_with_the_key_and_both_values(tmp_path, sps, stage, change):
    said, expected = said_in(stage, sps)
    changed, words = CHANGES[change]
    path = tmp_path / "0001.parquet"
    storage.write_table(path, {"age": np.ones(2)}, said | changed)
    if list(CHANGES).index(change) >= OF_STAGE[stage]:  # what does not concern it
        provenance.check(path, expected)
        return
    with pytest.raises(UserError, match=rf"0001\.parquet was made with another config.*: {words}.* Remove it and run"):
        provenance.check(path, expected)


@pytest.mark.parametrize("stage", STAGES)
def test_a_file_that_does_not_say_it_is_not_trusted(tmp_path, sps, stage):
    said, expected = said_in(stage, sps)
    for key in set(said) - {"run"}:
        storage.write_table(tmp_path / "a.parquet", {"age": np.ones(2)}, {k: v for k, v in said.items() if k != key})
        with pytest.raises(UserError, match=rf"made with another configuration: {key}\S* is null, expected"):
            provenance.check(tmp_path / "a.parquet", expected)


def test_long_values_are_cut(tmp_path):
    storage.write_json(tmp_path / "a.json", {"scales": list(range(1000))})
    with pytest.raises(UserError, match=r"scales is \[0, 1, 2, .*\.\.\., expected \[1\]") as caught:
        provenance.check(tmp_path / "a.json", {"scales": [1]})
    assert len(str(caught.value)) < 500


def test_of_fsps_the_imf_is_compared(sps):
    said, expected = said_in("catalogue", sps)
    own = provenance.expected_of_catalogue(ABOUT, sps | {"engine": "fsps"}, (1, 4))
    provenance.agree("a", said | {"engine": "fsps", "fsps": {"imf_type": 1}}, own)
    with pytest.raises(UserError, match=r"fsps\.imf_type is 2, expected 1"):
        provenance.agree("a", said | {"engine": "fsps", "fsps": {"imf_type": 2}}, own)
    assert "fsps.imf_type" not in expected


def test_a_table_that_is_gone_is_not_compared(sps, table):
    table.unlink()
    assert "ssp_table.sha256" not in provenance.expected_of_catalogue(ABOUT, sps, (1, 4))
