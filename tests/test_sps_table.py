import json
from dataclasses import fields

import h5py
import numpy as np
import pytest

from mocksed.errors import UserError
from mocksed.sps import table


@pytest.fixture(scope="module")
def path(root):
    return root / "resources/ssp_padova_kurucz_chabrier.h5"


@pytest.fixture(scope="module")
def shipped(path):
    return table.read(path)


def test_ionising_photons_of_a_flat_spectrum():
    """L_nu = 1 Lsun/Hz from nu0 to nu1 has (Lsun / h) ln(nu1 / nu0) photons a second."""
    wavelength = np.geomspace(100.0, 1000.0, 20001)
    edge = wavelength[wavelength <= 912.0][-1]
    photons = table.ionising_photons(wavelength, np.ones(len(wavelength)))
    assert photons == pytest.approx(table.LSUN / table.PLANCK * np.log(edge / 100.0), rel=1e-6)


def test_the_shipped_table_says_what_it_is_made_of(path, shipped):
    assert shipped.stellar.shape == (22, 94, 1936)
    assert shipped.neb_lines.shape[-1] == len(shipped.line_name) == len(set(shipped.line_name)) == 166
    assert shipped.dust_emission.shape == (7, 22, 2, 1936)
    for key in ("made_by", "fsps", "libraries", "imf_type", "solar_metallicity", "sps_home_sha256", "date", "command"):
        assert shipped.provenance[key]
    assert {"imf1", "imf_upper_limit", "tpagb_norm_type"} <= set(shipped.provenance["options"])
    assert path.stat().st_size < 15e6


def test_the_lines_are_those_that_their_names_say(shipped):
    where = dict(zip(shipped.line_name, shipped.line_wavelength, strict=True))
    for name, wavelength in {"Ly-alpha 1215": 1215.67, "[O III] 5007": 5008.24, "Ba-alpha 6563": 6564.6}.items():
        assert where[name] == pytest.approx(wavelength, abs=0.2)


@pytest.mark.slow
def test_a_table_survives_a_round_trip(shipped, tmp_path):
    table.write(tmp_path / "copy.h5", shipped)
    copy = table.read(tmp_path / "copy.h5")
    assert copy.provenance == shipped.provenance
    assert copy.line_name == shipped.line_name
    for field in fields(table.SSPTable):
        if field.name not in ("provenance", "line_name"):
            assert getattr(copy, field.name).tobytes() == getattr(shipped, field.name).tobytes(), field.name


def test_ionising_wavelengths_end_at_912_angstroms(shipped):
    assert shipped.n_ionising == np.count_nonzero(shipped.wavelength <= 912.0)


def test_parts_can_be_read_alone(path, shipped):
    assert np.array_equal(table.read_wavelength(path), shipped.wavelength)
    names, wavelength = table.read_lines(path)
    assert names == shipped.line_name
    assert np.array_equal(wavelength, shipped.line_wavelength)


READERS = (table.read, table.read_wavelength, table.read_lines)


@pytest.mark.parametrize("read", READERS)
def test_what_is_no_table_is_named(path, tmp_path, read):
    with pytest.raises(UserError, match=r"missing\.h5.*mocksed ssp"):
        read(tmp_path / "missing.h5")
    (tmp_path / "truncated.h5").write_bytes(path.read_bytes()[:100_000])
    (tmp_path / "text.h5").write_text("no table")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["spectra"] = np.ones(3)
    for name in ("truncated", "text", "other"):
        with pytest.raises(UserError, match=rf"{name}\.h5"):
            read(tmp_path / f"{name}.h5")


@pytest.mark.parametrize("read", READERS)
def test_a_table_of_an_older_format_is_refused(path, tmp_path, read):
    old = tmp_path / "old.h5"
    old.write_bytes(path.read_bytes())
    with h5py.File(old, "r+") as file:
        file.attrs["format"] = 1
        del file["line_name"]
    with pytest.raises(UserError, match=r"old\.h5 is an SSP table of format 1; this mocksed reads format 2"):
        read(old)


def test_a_table_that_lacks_something_is_refused(path, tmp_path):
    lacking = tmp_path / "lacking.h5"
    lacking.write_bytes(path.read_bytes())
    with h5py.File(lacking, "r+") as file:
        assert json.loads(file.attrs["provenance"])
        del file["mass"]
    with pytest.raises(UserError, match=r"lacking\.h5.*mass"):
        table.read(lacking)


def test_nobody_can_change_what_all_share(shipped):
    with pytest.raises(ValueError, match="read-only"):
        shipped.stellar[0, 0, 0] = 1.0


@pytest.mark.parametrize(
    "name", ["wavelength", pytest.param("stellar", marks=pytest.mark.slow), "neb_lines", "line_sigma"]
)
def test_a_number_that_is_not_the_one_that_was_written_is_noticed(path, tmp_path, name):
    """Also where the file is whole for HDF5."""
    harmed = tmp_path / "harmed.h5"
    harmed.write_bytes(path.read_bytes())
    with h5py.File(harmed, "r+") as file:
        values = file[name][()]
        values.flat[5] *= 1.0001
        file[name][...] = values
    with pytest.raises(UserError, match=rf"harmed\.h5: it is damaged: '{name}' has another checksum\. Take the table"):
        table.read(harmed)


def test_names_and_provenance_that_are_not_those_that_were_written_are_noticed(path, tmp_path):
    harmed = tmp_path / "harmed.h5"
    for name in ("line_name", "provenance"):
        harmed.write_bytes(path.read_bytes())
        with h5py.File(harmed, "r+") as file:
            if name == "line_name":
                file[name][3] = "another"
            else:
                file.attrs[name] = file.attrs[name].replace("Padova", "MIST").replace("pdva", "mist")
        with pytest.raises(UserError, match=rf"'{name}' has another checksum"):
            table.read(harmed)
    harmed.write_bytes(path.read_bytes())
    with h5py.File(harmed, "r+") as file:
        file["line_wavelength"][0] = 1.0
    with pytest.raises(UserError, match="'line_wavelength' has another checksum"):
        table.read_lines(harmed)


def without_checksums(path, folder):
    old = folder / "old.h5"
    old.write_bytes(path.read_bytes())
    with h5py.File(old, "r+") as file:
        del file.attrs["crc32"]
    return old


def test_a_table_of_an_earlier_version_is_read_and_the_log_says_that_it_has_no_checksums(
    path, shipped, tmp_path, caplog
):
    old = without_checksums(path, tmp_path)
    with caplog.at_level("INFO", "mocksed"):
        assert table.read(old).stellar.tobytes() == shipped.stellar.tobytes()
    assert f"{old} was made by an earlier mocksed and has no checksums" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO", "mocksed"):
        table.read(path)
    assert not caplog.text


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("wavelength", lambda old: old[::-1], "'wavelength' does not increase: .* follows on"),
        ("log_age", lambda old: np.r_[old[:5], old[4], old[6:]], "'log_age' does not increase"),
        ("mass", lambda old: np.where(old > 0.9, np.nan, old), "'mass' has values that are not finite"),
        ("mass", lambda old: old[:, 1:], r"'mass' has the shape \(22, 93\), expected \(22, 94\)"),
        ("line_name", lambda old: old[1:], "'line_name' has 165 names of 166 lines"),
    ],
)
def test_a_table_without_checksums_is_at_least_consistent(path, tmp_path, name, values, words):
    old = without_checksums(path, tmp_path)
    with h5py.File(old, "r+") as file:
        changed = values(file[name][()])
        del file[name]
        file[name] = changed
    with pytest.raises(UserError, match=words):
        table.read(old)


def test_the_shipped_table_is_known(path, tmp_path):
    table.check_shipped(path)
    (tmp_path / "mine.h5").write_text("a table of one's own")
    table.check_shipped(tmp_path / "mine.h5")
    (tmp_path / path.name).write_text("another table")
    with pytest.raises(UserError, match=r"is not the SSP table that comes with mocksed under this name.* another name"):
        table.check_shipped(tmp_path / path.name)
