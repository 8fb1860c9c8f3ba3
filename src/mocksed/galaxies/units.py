"""Units in the file of the user's table: converted, and compared with the config."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import astropy.units as u

from mocksed.galaxies.given import ERROR, SPELLINGS
from mocksed.galaxies.spec import Conversion, TableSpec
from mocksed.quantities import GIVEN, QUANTITIES

_NONE = {"", "-", "--", "---", "none", "null", "unitless", "dimensionless", "n/a", "no unit"}
_LOG = re.compile(r"(?:log10|log|lg|dex)\s*\((.*)\)|\[(.*)\]|(?:log10|log|lg)\s+(.*)", re.IGNORECASE)
_PER_H = re.compile(r"\s*(?:/\s*(?:little)?h|[\s.*]?\b(?:little)?h\s*(?:\^|\*\*)?\s*\(?-1\)?)(?![a-z])", re.IGNORECASE)
_SUN = re.compile(r"\bM_?(?:sol|solar|odot|\\odot|\{\\odot\}|☉|⊙)(?![a-z])", re.IGNORECASE)
_MAGNITUDES = {"abmag", "mag ab", "ab mag", "mag_ab", "mag(ab)", "ab"}

_UNITS: dict[str, tuple[str, bool]] = {
    **{name: (QUANTITIES[name].linear_unit, QUANTITIES[name].is_log) for name in ("redshift", "uv", "vj", *GIVEN)},
    "scale_factor": ("", False),
    "ssfr": ("1/yr", True),
    "sfr": ("Msun/yr", False),
    "oh12": ("", True),
    "av": ("mag", False),
}
"""What the columns have to be, except for masses: the unit, and whether they are log10 of it."""

_OTHER = {
    ("log_sfr", False): "name it in galaxies.table.columns.sfr",
    ("sfr", True): "name it in galaxies.table.columns.log_sfr",
    ("dust2", False): "name A_V in galaxies.table.columns.av",
}
"""What to do where a column is what another key is for, by what the file says (whether it is log10)."""


@dataclass(frozen=True)
class Unit:
    """A unit as a file gives it: log10 or not, magnitudes or not, per h or not."""

    unit: u.UnitBase
    log: bool = False
    magnitudes: bool = False
    per_h: bool = False


def parse(text: str) -> Unit | None:
    """Return the unit that a text means.

    Beside what astropy knows these are log10 of a unit as dex(Msun), log(Msun) or [Msun] and masses in Msun/h.

    Returns
    -------
    Unit or None
        None for a text that says that there is no unit.

    Raises
    ------
    ValueError
        If it is unknown.

    """
    text = text.strip()
    if text.lower() in _NONE:
        return None
    if text.lower() in _MAGNITUDES:
        return Unit(u.mag, magnitudes=True)
    if wrapped := _LOG.fullmatch(text):
        inner = parse(next(part for part in wrapped.groups() if part is not None))
        if inner is None:
            return Unit(u.dimensionless_unscaled, log=True)
        if inner.log or inner.magnitudes:
            raise ValueError(text)
        return Unit(inner.unit, log=True, per_h=inner.per_h)
    plain = _PER_H.sub("", _SUN.sub("Msun", text))
    per_h = plain != _SUN.sub("Msun", text) and "sun" in plain.lower().replace("solmass", "sun")
    unit = u.Unit(plain if per_h else _SUN.sub("Msun", text))
    if unit == u.dex:
        return Unit(u.dimensionless_unscaled, log=True)
    if unit == u.mag or isinstance(unit, u.MagUnit):
        return Unit(u.mag, magnitudes=True)
    if isinstance(unit, u.LogUnit):
        raise ValueError(text)
    return Unit(unit, per_h=per_h)


def conversions(spec: TableSpec, units: Mapping[str, str]) -> tuple[dict[str, Conversion], list[str], dict[str, str]]:
    """Return the conversions by the units of the file, notes for the user, and contradictions.

    Parameters
    ----------
    spec : TableSpec
        The table.
    units : mapping of str to str
        The units that the file gives: name of the column to text.

    Returns
    -------
    conversions : dict of str to Conversion
        Conversions of the columns that need one.
    notes : list of str
        Each names the column, the unit of the file, and what is done with it.
    problems : dict of str to str
        Key of ``galaxies.table.columns`` to what is expected and what to do.

    """
    converted: dict[str, Conversion] = {}
    notes: list[str] = []
    problems: dict[str, str] = {}
    if spec.units == "ignore":
        return converted, notes, problems
    for role, name in spec.roles().items():
        value = role.removesuffix(ERROR)
        if name not in units or value not in {"mass", *_UNITS}:
            continue
        text = units[name]
        try:
            unit = parse(text)
        except (ValueError, TypeError):
            notes.append(f"column '{name}': its unit in the file, '{text}', is not known and ignored")
            continue
        if unit is None:
            continue
        if role != value:
            conversion = _error_conversion(value, unit, units.get(spec.roles()[value], ""))
        else:
            conversion = _mass_conversion(unit, spec) if role == "mass" else _value_conversion(role, unit)
        if isinstance(conversion, str):
            problems[role] = (
                f"{spec.path}: column '{name}' (galaxies.table.columns.{role}) has the unit '{text}' in the file, but "
                f"{conversion}; if the file is wrong, set galaxies.table.units to ignore."
            )
        elif conversion != Conversion():
            target = "Msun" if value == "mass" else _UNITS[value][0]
            notes.append(f"column '{name}' is converted from {text} to {conversion.words(target)}")
            converted[name] = conversion
    return converted, notes, problems


def _mass_conversion(unit: Unit, spec: TableSpec) -> Conversion | str:
    """Return how masses are converted, or what contradicts the config and what to do."""
    key = "galaxies.table"
    if unit.magnitudes or not unit.unit.is_equivalent(u.Msun):
        return f"a stellar mass is expected, in {spec.mass_unit}: name another column, or correct the unit"
    if unit.log and spec.mass_scale == "linear":
        return f"{key}.mass_scale is linear: set it to log"
    if unit.per_h != (spec.mass_unit == "Msun/h"):
        return f"{key}.mass_unit is {spec.mass_unit}: set it to {'Msun/h, and h' if unit.per_h else 'Msun'}"
    factor = unit.unit.to(u.Msun)
    if math.isclose(factor, 1.0, rel_tol=1e-6):
        return Conversion()
    if not unit.log and spec.mass_scale == "log":
        return f"{key}.mass_scale is log: set it to linear"
    if spec.mass_factor != 1.0:
        return f"{key}.mass_factor is {spec.mass_factor:g} as well: leave it out"
    return Conversion(factor, log=unit.log)


def _value_conversion(role: str, unit: Unit) -> Conversion | str:
    """Return how another column is converted, or what is expected of it and what to do."""
    text, log = _UNITS[role]
    what = SPELLINGS[role].what if role in SPELLINGS else _words(role, text, log)
    wrong = f"{what} is expected: {_OTHER.get((role, unit.log), 'name another column, or convert it')}"
    if text == "mag":
        return Conversion() if unit.magnitudes else wrong
    if unit.magnitudes or unit.per_h:
        return wrong
    expected = u.Unit(text)
    if unit.unit == u.dimensionless_unscaled and unit.log:  # dex, of what the column is
        return Conversion() if log else wrong
    if not unit.unit.is_equivalent(expected):
        return wrong
    factor = unit.unit.to(expected)
    same = math.isclose(factor, 1.0, rel_tol=1e-6)
    if unit.log:
        if role == "age":
            return Conversion(factor, exponentiate=True)
        return Conversion(factor, log=True) if log and not same else Conversion() if log else wrong
    if log:  # some give the unit of what the logarithm is taken of
        return Conversion() if same else wrong
    return Conversion() if same else Conversion(factor)


def _words(role: str, text: str, log: bool) -> str:
    return f"{'log10 of ' if log else ''}{role}{f' in {text}' if text else ', without a unit,'}"


def _error_conversion(value: str, unit: Unit, value_unit: str) -> Conversion | str:
    """Return how standard errors are converted, or what is expected of them."""
    text, log = _UNITS[value]
    if log or text in ("", "mag"):
        fits = (unit.log and log) or (unit.magnitudes and text == "mag")
        fits = fits or unit.unit == u.dimensionless_unscaled
        return (
            Conversion() if fits else f"the standard error of columns.{value} is expected in {'dex' if log else text}"
        )
    value_is_log = value_unit and (parsed := parse(value_unit)) is not None and parsed.log
    if value_is_log or unit.log or unit.magnitudes or not unit.unit.is_equivalent(u.Unit(text)):
        return f"the standard error of columns.{value} is expected in a unit as {text}: convert both, or leave it out"
    factor = unit.unit.to(u.Unit(text))
    return Conversion() if math.isclose(factor, 1.0, rel_tol=1e-6) else Conversion(factor)
