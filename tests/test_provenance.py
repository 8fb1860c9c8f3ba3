import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mocksed import __version__, provenance, storage
from mocksed.errors import UserError

RUN = {"run": "demo", "seed": 42, "cosmology": {"H0": 70.0, "Om0": 0.3}}


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
    assert provenance.of_galaxies(RUN | {"realisations": 1}) == RUN
    assert provenance.of_galaxies(RUN | {"realisations": [0]}) == RUN
    assert provenance.of_galaxies(RUN | {"realisations": 3}) == RUN | {"realisations": [0, 1, 2]}
    assert provenance.of_galaxies(RUN | {"realisations": [9, 4]}) == RUN | {"realisations": [4, 9]}
