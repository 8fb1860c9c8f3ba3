import re
from pathlib import Path

import astropy.units as u
import pytest

from mocksed.files import columns
from mocksed.files.columns import FLAG_DESCRIPTIONS, Flag
from tests import catalogues

EVERY = {**columns.COLUMNS, **{name: columns.column(name) for name in columns._MADE}}


def test_the_reference_is_that_of_the_columns(root):
    assert (root / "docs/columns.md").read_text() == columns.markdown(), "run `make docs`"


@pytest.mark.parametrize("name", EVERY)
def test_units_are_those_of_astropy_and_of_the_ivoa(name):
    unit, of_vo = EVERY[name].unit, columns.vo_unit(EVERY[name].unit)
    known = u.Unit(unit)  # raises what it does not know
    if isinstance(known, u.DexUnit):  # a function, which VOUnits has and astropy does not read
        assert u.Unit(re.fullmatch(r"log\((.*)\)", of_vo)[1], format="vounit") == known.physical_unit
    elif known in (u.ABmag, u.dex):
        assert of_vo == {u.ABmag: "mag", u.dex: ""}[known]
    else:
        assert u.Unit(of_vo, format="vounit") == known


def blocks(path: Path) -> list[str]:
    """Return the blocks of Python in a page."""
    return re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)


@pytest.mark.parametrize("reader", ["astropy", "pandas", "polars", "duckdb"])
def test_readers_of_the_page_read_a_catalogue(root, tmp_path, monkeypatch, reader):
    pytest.importorskip(reader)
    first, second = catalogues.columns(20), catalogues.columns(30, 20)
    catalogues.write(tmp_path / "results/demo", first, second)
    monkeypatch.chdir(tmp_path)
    (block,) = [
        text for text in blocks(root / "docs/columns.md") if f"import {reader}" in text or f"from {reader}" in text
    ]
    names: dict = {}
    exec(block, names)
    n_distant = sum((rows["redshift"] > 2).sum() for rows in (first, second))
    if reader == "astropy":
        catalogue = names["catalogue"]
        assert len(catalogue) == 50
        assert names["sfr"].unit == u.Msun / u.yr
        assert names["sfr"].value == pytest.approx([10.0**x for rows in (first, second) for x in rows["log_sfr"]])
        assert catalogue["mag_Euclid-VIS"].unit == u.ABmag
        assert catalogue["galaxy_id"].tolist() == [*first["galaxy_id"], *second["galaxy_id"]]
    elif reader == "pandas":
        assert len(names["catalogue"]) == 50
        assert len(names["inside"]) == sum(((rows["flags"] & 8) == 0).sum() for rows in (first, second))
    else:
        assert len(names["distant"]) == n_distant


def test_a_flag_keeps_its_bit():
    """Catalogues that were made before are read by it."""
    assert {name: value for name, value in vars(Flag).items() if name.isupper()} == {
        "AGE_CLIPPED": 1, "NO_ALLOWED_NEIGHBOUR": 2, "ZMET_CLIPPED": 4, "UVJ_OUTSIDE": 8, "FAR": 16, "US_CLIPPED": 32,
        "SFR_NOT_MET": 64, "ZMET_NOT_MET": 128, "US_NOT_MET": 256, "MUV_NOT_MET": 512, "BETA_NOT_MET": 1024,
        "DUST_NOT_MET": 2048, "AGE_NOT_MET": 4096,
    }  # fmt: skip


def test_every_flag_is_described():
    assert list(FLAG_DESCRIPTIONS) == [2**bit for bit in range(13)]
    assert len(set(FLAG_DESCRIPTIONS.values())) == 13
