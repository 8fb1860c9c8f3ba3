"""The columns of every file: name, type, unit and description, in one place."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from mocksed.quantities import GIVEN, QUANTITIES


@dataclass(frozen=True)
class Column:
    """A column of a Parquet file; unit and description travel in its metadata.

    Attributes
    ----------
    type : pyarrow.DataType
        Type of its values.
    unit : str
        As `astropy.units.Unit` takes it; empty without one. Logarithms to base 10 are in dex.
    description : str
        What it is.
    ucd : str
        Its Unified Content Descriptor of the IVOA, by which TOPCAT knows positions and identifiers; often none.

    """

    type: pa.DataType
    unit: str
    description: str
    ucd: str = ""


def given_column(quantity: str) -> str:
    """Return the name of the column with what the user's table gives of a quantity of `mocksed.quantities.GIVEN`."""
    return f"given_{quantity}"


def given_error_column(quantity: str) -> str:
    """Return the name of the column with the standard error of what the user's table gives."""
    return f"given_{quantity}_error"


_f8, _f4, _i8, _i4, _i2, _b = pa.float64(), pa.float32(), pa.int64(), pa.int32(), pa.int16(), pa.bool_()


def _column(quantity: str, detail: str = "", ucd: str = "") -> Column:
    """Return a column of a quantity, with what its description adds in this column."""
    known = QUANTITIES[quantity]
    return Column(_f8, known.unit, known.description + detail, ucd)


def _given(quantity: str) -> Iterator[tuple[str, Column]]:
    """Yield the columns of what a user's table gives of a quantity, and of its standard error."""
    yield given_column(quantity), _column(quantity, " that the table gives")
    yield given_error_column(quantity), Column(_f8, QUANTITIES[quantity].difference, "its standard error")


COLUMNS: dict[str, Column] = {
    # galaxies: the input
    "galaxy_id": Column(_i8, "", "identifier of the galaxy, unique in the run", "meta.id;meta.main"),
    "realisation": Column(_i2, "", "index of the realisation, if the run has realisations other than 0"),
    "redshift": _column("redshift", ucd="src.redshift"),
    "log_mstar": _column("log_mstar", ", remnants included", "phys.mass"),
    "quiescent": Column(_b, "", "quiescent (true) or star-forming (false)"),
    "ra": Column(_f8, "deg", "right ascension (ICRS)", "pos.eq.ra;meta.main"),
    "dec": Column(_f8, "deg", "declination (ICRS)", "pos.eq.dec;meta.main"),
    "original_id": Column(
        pa.string(), "", "identifier in the user's table, if it is text or above 2**63 - 1", "meta.id"
    ),
    # what the user's table gives
    **{name: column for quantity in GIVEN for name, column in _given(quantity)},
    # drawn from the relations
    **{
        f"prop_{quantity}": _column(quantity, " drawn from its relation")
        for quantity in ("log_sfr", "log_zmet", "log_us")
    },
    "prop_muv": _column("muv", " drawn from its relation; null if it is used to choose the model"),
    "prop_beta": _column("beta", " drawn from its relation"),
    **{f"prop_{quantity}": _column(quantity, " requested by the user's table") for quantity in ("dust2", "age")},
    # FSPS parameters
    "age": _column("age", " (FSPS tage)", "time.age"),
    "tau": Column(_f8, "Gyr", "e-folding time of the delayed-tau star-formation history"),
    "dust2": _column("dust2"),
    "dust_index": _column("dust_index", " (FSPS dust_index); 0 for a curve without one"),
    "log_zmet": _column("log_zmet", " (FSPS logzsol and gas_logz)", "phys.abund.Z"),
    "log_us": _column("log_us", " (FSPS gas_logu)"),
    "lya_escape": Column(_f8, "", "fraction of Lyman alpha that leaves the galaxy; null without gas"),
    # resulting
    "log_sfr": _column("log_sfr", " at the age of the galaxy", "phys.SFR"),
    "muv": _column("muv", ", mean f_nu over rest-frame 1450-1550 A, with dust", "phys.magAbs;em.UV"),
    "muv_intrinsic": Column(_f8, "mag(AB)", "muv without dust", "phys.magAbs;em.UV"),
    "beta": _column("beta", ", 4.43 (F125W - F160W) - 2 of the galaxy placed at z = 7"),
    "uv": _column("uv"),
    "vj": _column("vj"),
    "log_sfr_10": Column(_f4, "dex(Msun/yr)", "star-formation rate averaged over the last 10 Myr"),
    "log_sfr_100": Column(_f4, "dex(Msun/yr)", "star-formation rate averaged over the last 100 Myr"),
    "log_q_ion": Column(_f4, "dex(1/s)", "rate of ionising photons (below 912 A) of all stars, without dust"),
    "log_xi_ion": Column(_f4, "dex(Hz/erg)", "log_q_ion over L_nu at 1450-1550 A of stars and gas, both without dust"),
    "mass_fraction": Column(_f8, "", "surviving stellar mass per stellar mass formed, remnants included"),
    "distance": Column(_f8, "", "distance between the drawn and the resulting quantities, in the metric of the run"),
    "flags": Column(_i4, "", "bits for the limits that the galaxy met (mocksed.files.columns.Flag)", "meta.code"),
    # sizes and shapes
    "re_circ": Column(_f4, "kpc", "circularised half-light radius, that along the major axis times sqrt(axis_ratio)"),
    "re_maj": Column(_f4, "arcsec", "half-light radius along the major axis; null at redshift 0"),
    "sersic_n": Column(_f4, "", "Sersic index"),
    "axis_ratio": Column(_f4, "", "minor over major axis"),
    "position_angle": Column(_f4, "deg", "position angle of the major axis, from north to east"),
    # neighbours
    "parent_row": Column(_i8, "", "row of the model taken, in the parent catalogue of the class"),
    "parent_found": Column(_b, "", "whether any parent point was young enough"),
    "neighbour_row": Column(pa.list_(_i8), "", "rows in the parent catalogue of the class, nearest first"),
    "neighbour_distance": Column(pa.list_(_f8), "", "their distances from the draw, in the metric of the run"),
    # spectra
    "f_lambda": Column(pa.list_(_f4), "erg/(s cm2 Angstrom)", "observed flux density, of the flux in each bin"),
    "f_nu": Column(pa.list_(_f4), "uJy", "observed flux density, of the flux in each bin"),
    "spectrum": Column(pa.list_(_f4), "Lsun/Hz", "rest-frame L_nu of the galaxy (Lsun = 3.839e33 erg/s)"),
}
"""Every named column; those of magnitudes and emission lines are made by `magnitude_column` and the like."""

GALAXY = ("galaxy_id", "redshift", "log_mstar", "quiescent")
GALAXY_OPTIONAL = (
    "realisation", *(name_of(quantity) for quantity in GIVEN for name_of in (given_column, given_error_column)),
)  # fmt: skip
"""Columns of a shard of galaxies that the search and the catalogue read: those it has, and those it may have."""

MORPHOLOGY = ("re_circ", "re_maj", "sersic_n", "axis_ratio", "position_angle")
"""Columns of sizes and shapes; those that the user's table has pass through."""

PREFIXES = ("mag_", "absmag_", "line_", "lineflux_", "ew_")
"""Prefixes of the columns that the configuration adds."""


LYA_ESCAPE = "lya_escape"
"""Column of catalogues in which dust alone does not decide how much Lyman alpha leaves a galaxy."""


def magnitude_column(filter_name: str) -> str:
    """Return the name of the column with the apparent magnitude in a filter."""
    return f"mag_{filter_name}"


def rest_frame_column(filter_name: str) -> str:
    """Return the name of the column with the absolute magnitude in a filter in the rest frame."""
    return f"absmag_{filter_name}"


def line_column(line: str) -> str:
    """Return the name of the column with the luminosity of an emission line (`mocksed.sps.lines.slug`)."""
    return f"line_{line}"


@dataclass(frozen=True)
class FluxUnit:
    """A unit of fluxes: how astropy calls it, and the flux of AB magnitude 0 in it."""

    unit: str
    flux_at_magnitude_0: float


_AB_0_JY = 10.0**3.56  # 48.6 / 2.5 = 19.44, and 1 Jy = 1e-23 erg/s/cm2/Hz

FLUX_UNITS = {
    "uJy": FluxUnit("uJy", _AB_0_JY * 1e6),
    "nJy": FluxUnit("nJy", _AB_0_JY * 1e9),
    "maggies": FluxUnit("mgy", 1.0),
}
"""Units in which fluxes of a survey can be, by their names in the config."""


def survey_column(name: str, flux_unit: str) -> Column | None:
    """Return what is known of a column of the stage ``survey``, whose fluxes are in a unit."""
    for prefix, (type_, unit, description) in {
        "flux_err_": (_f4, flux_unit, "standard error of the flux in {}"),
        "flux_": (_f4, flux_unit, "flux in {} with noise, may be negative"),
        "snr_": (_f4, "", "signal-to-noise ratio in {}"),
        "detected_": (_b, "", "whether the signal-to-noise ratio in {} is at or above the threshold"),
        "limit_": (_f4, flux_unit, "flux in {} that is 5 times its error in the aperture of the galaxy"),
    }.items():
        if name.startswith(prefix):
            return Column(type_, unit, description.format(name.removeprefix(prefix)))
    return COLUMNS.get(name)


INTRINSIC = "_intrinsic"
"""Suffix of the columns without dust."""


def line_flux_column(line: str) -> str:
    """Return the name of the column with the observed flux of an emission line."""
    return f"lineflux_{line}"


def equivalent_width_column(line: str) -> str:
    """Return the name of the column with the equivalent width of an emission line."""
    return f"ew_{line}"


def column(name: str) -> Column | None:
    """Return what is known of a column, None for one that passed through from the user's table."""
    if name.startswith("mag_"):
        about = f"apparent magnitude in {name[4:]}, with dust and intergalactic absorption"
        return Column(_f4, "mag(AB)", about, "phot.mag")
    if name.startswith("absmag_"):
        about = f"absolute magnitude in {name[7:]} in the rest frame, with dust"
        return Column(_f4, "mag(AB)", about, "phys.magAbs")
    prefix, _, line = name.removesuffix(INTRINSIC).partition("_")
    dust = "without dust" if name.endswith(INTRINSIC) else "with dust"
    if prefix == "line":  # as erg/s beyond single precision
        about = f"luminosity of the emission line {line}, {dust} (Lsun = 3.839e33 erg/s)"
        return Column(_f8, "Lsun", about, "phys.luminosity;em.line")
    if prefix == "lineflux":
        about = f"observed flux of the emission line {line}, {dust}, without intergalactic absorption"
        return Column(_f8, "erg/(s cm2)", about, "phot.flux;em.line")
    if prefix == "ew":
        about = f"rest-frame equivalent width of the emission line {line}, {dust}"
        return Column(_f4, "Angstrom", about, "spect.line.eqWidth")
    return COLUMNS.get(name)


_VO_UNITS = {
    "mag(AB)": "mag",
    "mag(ST)": "mag",
    "dex": "",
    "dex(Msun)": "log(solMass)",
    "dex(Msun/yr)": "log(solMass.yr**-1)",
    "dex(1/yr)": "log(yr**-1)",
    "dex(1/s)": "log(s**-1)",
    "dex(Hz/erg)": "log(Hz.erg**-1)",
    "dex(yr)": "log(yr)",
    "mgy": "",
    "Lsun": "solLum",
    "Lsun/Hz": "solLum.Hz**-1",
    "erg/(s cm2)": "erg.s**-1.cm**-2",
    "erg/(s cm2 Angstrom)": "erg.s**-1.cm**-2.Angstrom**-1",
}


def vo_unit(unit: str) -> str:
    """Return a unit of a column as VOUnits 1.0 of the IVOA writes it, which knows no AB magnitudes and no dex."""
    return _VO_UNITS.get(unit, unit)


class Flag:
    """Bits of the column ``flags``."""

    AGE_CLIPPED = 1
    """The age was reduced to the limit set by the age of the universe."""
    NO_ALLOWED_NEIGHBOUR = 2
    """No parent point was young enough; the youngest one was used."""
    ZMET_CLIPPED = 4
    """The drawn or assigned metallicity lies outside the SSP table; the nearest one there was used."""
    UVJ_OUTSIDE = 8
    """Quiescent: the colours lie outside the UVJ box."""
    FAR = 16
    """The resulting quantities are further than 1 from the draw, in the metric of the run."""
    US_CLIPPED = 32
    """The drawn or assigned ionisation parameter lies outside the SSP table; the nearest one there was used."""
    SFR_NOT_MET, ZMET_NOT_MET, US_NOT_MET, MUV_NOT_MET, BETA_NOT_MET, DUST_NOT_MET, AGE_NOT_MET = (
        64, 128, 256, 512, 1024, 2048, 4096,
    )  # fmt: skip
    """No allowed model has the value given by the user's table, in the order of `mocksed.quantities.GIVEN`."""


NOT_MET = dict(
    zip(
        GIVEN,
        (
            Flag.SFR_NOT_MET, Flag.ZMET_NOT_MET, Flag.US_NOT_MET, Flag.MUV_NOT_MET, Flag.BETA_NOT_MET,
            Flag.DUST_NOT_MET, Flag.AGE_NOT_MET,
        ),
        strict=True,
    )
)  # fmt: skip
"""The bit that says that the given value of a quantity is not met."""

FLAG_DESCRIPTIONS = {
    Flag.AGE_CLIPPED: "age reduced to the limit set by the age of the universe",
    Flag.NO_ALLOWED_NEIGHBOUR: "no parent point young enough for the redshift",
    Flag.ZMET_CLIPPED: "metallicity outside the SSP table",
    Flag.UVJ_OUTSIDE: "quiescent, with colours outside the UVJ box",
    Flag.FAR: "distance from the draw above 1",
    Flag.US_CLIPPED: "ionisation outside the SSP table",
    **{bit: f"given {QUANTITIES[quantity].name} not met" for quantity, bit in NOT_MET.items()},
}

RESERVED = frozenset(COLUMNS) - {"galaxy_id", "redshift", "log_mstar", "quiescent", "ra", "dec", *MORPHOLOGY}
"""Names, besides those starting with one of `PREFIXES`, that a user's pass-through column may not have."""

_SECTIONS = {
    "galaxy_id": "The galaxies",
    "given_log_sfr": "Given by the user's table",
    "prop_log_sfr": "Drawn from the relations",
    "age": "FSPS parameters",
    "log_sfr": "Resulting quantities",
    "re_circ": "Sizes and shapes",
    "parent_row": "",
}
"""Headings of the reference, by the first column below; nothing of a section without a heading is listed."""

_MADE = (
    *("mag_FILTER", "absmag_FILTER", "line_LINE", "line_LINE_intrinsic", "lineflux_LINE"),
    *("ew_LINE", "ew_LINE_intrinsic"),
)
"""Columns of which there is one for each filter or line of the config, for the reference."""

_HEAD = """\
# Columns of the catalogue

`results/<run>/catalog/*.parquet` has one row per galaxy. The columns depend on the config and on the table of the
galaxies; other columns of that table follow at the end. Missing values are null, which most readers show as NaN.
astropy and pandas read integers as float64 if some are missing, and astropy a missing text as `None`.

Columns of your table keep their values, in types that all programs below can read: categories become texts, decimals
float64, dates and times texts in ISO 8601, and 8-bit or unsigned integers the next wider signed type. uint64 is kept,
and exports that cannot hold it say so. Lists, records, durations and bytes do not pass through; `mocksed check` names
them.

Units are those of `astropy.units`: `dex(Msun)` means log10 of a mass in solar masses, `mag(AB)` AB magnitudes. pyarrow
reads unit and description from the metadata of each field, astropy from `table_meta_yaml`, and TOPCAT and STILTS of
2025 and later from a VOTable in the file's metadata.

## Reading

`mocksed export` writes other formats. astropy reads units, descriptions and metadata:

```python
from pathlib import Path

from astropy.table import QTable, vstack

files = sorted(Path("results/demo/catalog").glob("*.parquet"))
catalogue = vstack([QTable.read(path) for path in files], metadata_conflicts="silent")
sfr = catalogue["log_sfr"].physical  # solMass / yr
```

The bits of `flags` are listed at the end. In pandas, `DataFrame.flags` is an attribute of pandas itself: write
`catalogue["flags"]`.

```python
import pandas as pd

catalogue = pd.read_parquet("results/demo/catalog")
inside = catalogue[(catalogue["flags"] & 8) == 0]
```

```python
import polars as pl

distant = pl.scan_parquet("results/demo/catalog/*.parquet").filter(pl.col("redshift") > 2).collect()
```

```python
import duckdb

distant = duckdb.sql("SELECT * FROM 'results/demo/catalog/*.parquet' WHERE redshift > 2").df()
```
"""


def markdown() -> str:
    """Return the reference of the catalogue's columns (docs/columns.md)."""
    lines, listed = [_HEAD.rstrip()], True
    for name, known in COLUMNS.items():
        if name in _SECTIONS:
            listed = bool(_SECTIONS[name])
            lines += _table_head(_SECTIONS[name]) if listed else []
        if listed:
            lines.append(_line(name, known))
    lines += _table_head("Magnitudes and emission lines")
    lines += [_line(name, described) for name in _MADE if (described := column(name))]
    lines += ["", "## Bits of `flags`", "", "| bit | meaning |", "|---|---|"]
    lines += [f"| {bit} | {text} |" for bit, text in FLAG_DESCRIPTIONS.items()]
    return "\n".join(lines) + "\n"


def _table_head(title: str) -> list[str]:
    return ["", f"## {title}", "", "| column | type | unit | description |", "|---|---|---|---|"]


def _line(name: str, known: Column) -> str:
    return f"| `{name}` | {known.type} | {f'`{known.unit}`' if known.unit else ''} | {known.description} |"
