"""Units of a user's file: what their texts mean, what is converted, and what contradicts the config."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from numpy.testing import assert_allclose

from mocksed.galaxies.spec import TableSpec
from mocksed.galaxies.units import Unit, conversions, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Msun", Unit(u.Msun)),
        (" solMass ", Unit(u.Msun)),
        ("M_sun", Unit(u.Msun)),
        ("Msol", Unit(u.Msun)),
        (r"M_{\odot}", Unit(u.Msun)),
        ("M☉ yr-1", Unit(u.Msun / u.yr)),
        ("kg", Unit(u.kg)),
        ("dex(Msun)", Unit(u.Msun, log=True)),
        ("log(solMass)", Unit(u.Msun, log=True)),
        ("log10(Msun/yr)", Unit(u.Msun / u.yr, log=True)),
        ("log Msun", Unit(u.Msun, log=True)),
        ("[Msun]", Unit(u.Msun, log=True)),
        ("[yr]", Unit(u.yr, log=True)),
        ("dex", Unit(u.dimensionless_unscaled, log=True)),
        ("mag", Unit(u.mag, magnitudes=True)),
        ("mag(AB)", Unit(u.mag, magnitudes=True)),
        ("ABmag", Unit(u.mag, magnitudes=True)),
        ("Msun/h", Unit(u.Msun, per_h=True)),
        ("Msun h^-1", Unit(u.Msun, per_h=True)),
        ("h-1 Msun", Unit(u.Msun, per_h=True)),
        ("Msun / littleh", Unit(u.Msun, per_h=True)),
        ("log10(Msun/h)", Unit(u.Msun, log=True, per_h=True)),
        ("Gyr", Unit(u.Gyr)),
        ("1/yr", Unit(1 / u.yr)),
        ("1/h", Unit(1 / u.h)),  # an hour
        ("---", None),
        ("", None),
    ],
)
def test_texts(text, expected):
    assert parse(text) == expected


def test_large_units():
    for text in ("1e10 Msun/h", "10^10 Msun/h", "10**10 Msun h**-1", "1e10 h^-1 M_sun"):
        parsed = parse(text)
        assert parsed.per_h
        assert parsed.unit.to(u.Msun) == pytest.approx(1e10)


@pytest.mark.parametrize("text", ["furlong per fortnight", "dex(dex(Msun))", "log(mag)", "Zsun", "(", "5 apples"])
def test_unknown_texts(text):
    with pytest.raises(ValueError, match=r".*"):
        parse(text)


def converted(columns, texts, **changes):
    return conversions(TableSpec(Path("t.fits"), columns=columns, **changes), texts)


LINEAR = {"mass_scale": "linear"}
PER_H = {"mass_unit": "Msun/h"}


@pytest.mark.parametrize(
    ("role", "text", "changes", "value", "expected"),
    [
        ("mass", "kg", LINEAR, 1.98841e40, 1e10),
        ("mass", "1e10 Msun", LINEAR, 1.0, 1e10),
        ("mass", "1e10 Msun/h", LINEAR | PER_H, 1.0, 1e10),
        ("mass", "dex(kg)", {}, 40.29851, 10.0),
        ("mass", "log(1e10 Msun)", {}, 0.5, 10.5),
        ("sfr", "kg/s", {}, 6.30096e22, 1.0),
        ("log_sfr", "dex(kg/s)", {}, 22.79941, 0.0),
        ("ssfr", "log(1/Gyr)", {}, -1.0, -10.0),
        ("age", "yr", {}, 2e9, 2.0),
        ("age", "Myr", {}, 500.0, 0.5),
        ("age", "log(yr)", {}, 9.0, 1.0),
    ],
)
def test_what_converts_is_converted(role, text, changes, value, expected):
    found, notes, problems = converted({role: "x"}, {"x": text}, **changes, quiescent_from="ssfr")
    assert problems == {}
    assert_allclose(found["x"](np.array([value])), expected, rtol=1e-4, atol=1e-4)
    assert notes[0].startswith(f"column 'x' is converted from {text} to ")


@pytest.mark.parametrize(
    ("role", "text", "changes"),
    [
        ("mass", "Msun", LINEAR),
        ("mass", "Msun", {}),  # some give the unit of what the logarithm is taken of
        ("mass", "dex(Msun)", {}),
        ("mass", "[solMass]", {}),
        ("mass", "Msun/h", PER_H),
        ("mass", "log10(Msun/h)", PER_H),
        ("redshift", "---", {}),
        ("redshift", "", {}),
        ("log_sfr", "log(Msun/yr)", {}),
        ("log_sfr", "Msun/yr", {}),
        ("sfr", "Msun yr^-1", {}),
        ("log_zmet", "dex", {}),
        ("muv", "mag(AB)", {}),
        ("av", "mag", {}),
        ("age", "Gyr", {}),
    ],
)
def test_what_agrees_stays(role, text, changes):
    assert converted({role: "x"}, {"x": text}, **changes) == ({}, [], {})


@pytest.mark.parametrize(
    ("role", "text", "changes", "words"),
    [
        ("redshift", "km/s", {}, "redshift, without a unit, is expected"),
        ("mass", "mag", {}, "a stellar mass is expected, in Msun: name another column"),
        ("mass", "kg", {}, "mass_scale is log: set it to linear"),
        ("mass", "dex(Msun)", LINEAR, "mass_scale is linear: set it to log"),
        ("mass", "Msun/h", {}, "mass_unit is Msun: set it to Msun/h, and h"),
        ("mass", "Msun", PER_H, "mass_unit is Msun/h: set it to Msun"),
        ("mass", "1e10 Msun", LINEAR | {"mass_factor": 1e10}, "mass_factor is 1e+10 as well: leave it out"),
        ("sfr", "dex(Msun/yr)", {}, "name it in galaxies.table.columns.log_sfr"),
        ("log_sfr", "kg/s", {}, "name it in galaxies.table.columns.sfr"),
        ("sfr", "1/yr", {}, "an SFR in Msun/yr"),
        ("age", "mag", {}, "a time since the start of star formation in Gyr"),
        ("muv", "Jy", {}, "an absolute AB magnitude in the UV is expected"),
        ("dust2", "mag", {}, "name A_V in galaxies.table.columns.av"),
        ("log_us", "cm/s", {}, "log10 of the ionisation parameter is expected"),
    ],
)
def test_what_contradicts_is_refused(role, text, changes, words):
    found, notes, problems = converted({role: "x"}, {"x": text}, **changes)
    assert (found, notes, list(problems)) == ({}, [], [role])
    start = f"t.fits: column 'x' (galaxies.table.columns.{role}) has the unit '{text}' in the file, but "
    assert problems[role].startswith(start)
    assert words in problems[role]
    assert "if the file is wrong, set galaxies.table.units to ignore" in problems[role]
    assert converted({role: "x"}, {"x": text}, **changes, units="ignore") == ({}, [], {})


def test_unknown_units_are_said_and_ignored():
    found, notes, problems = converted({"age": "x"}, {"x": "furlong", "other": "kg"})
    assert (found, problems) == ({}, {})
    assert notes == ["column 'x': its unit in the file, 'furlong', is not known and ignored"]


@pytest.mark.parametrize(
    ("role", "text", "factor"),
    [("age", "Myr", 1e-3), ("sfr", "Msun/yr", None), ("log_sfr", "dex", None), ("muv", "mag", None)],
)
def test_standard_errors(role, text, factor):
    columns = {role: "x", f"{role}_error": "e"}
    found, _, problems = converted(columns, {"e": text})
    assert problems == {}
    assert (found["e"].factor if factor else found) == (pytest.approx(factor) if factor else {})


@pytest.mark.parametrize(
    ("role", "units"), [("age", {"e": "mag"}), ("age", {"x": "log(yr)", "e": "Gyr"}), ("log_sfr", {"e": "Msun/yr"})]
)
def test_standard_errors_that_contradict(role, units):
    _, _, problems = converted({role: "x", f"{role}_error": "e"}, units)
    assert list(problems) == [f"{role}_error"]
    assert f"the standard error of columns.{role} is expected in" in problems[f"{role}_error"]
