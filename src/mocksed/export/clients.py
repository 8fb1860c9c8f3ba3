"""Columns under the names, and in the units, of the programs that read them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mocksed.cosmology import Cosmology, comoving_distance
from mocksed.errors import UserError
from mocksed.export.source import Rows, Source, unit
from mocksed.files import storage
from mocksed.sps import filters

log = logging.getLogger("mocksed")


@dataclass(frozen=True)
class ClientColumn:
    """A column of a client, computed from columns of a run.

    Attributes
    ----------
    inputs : tuple of str
        Columns of the run.
    make : callable
        Returns the client's column, given the inputs as arrays of shape (n, ).
    unit : str
        As `mocksed.files.columns.Column` has it.
    description : str
        What it is.

    """

    inputs: tuple[str, ...]
    make: Callable[..., NDArray]
    unit: str = ""
    description: str = ""


Layout = Mapping[str, ClientColumn]

_NJY = 31.4  # AB magnitude of 1 nJy, 8.9 + 2.5 log10(1e9)
_SOLAR_OH = 8.69  # 12 + log(O/H) of the sun (Asplund et al. 2009)

_KEYS = {
    "ra": "galaxies.table.columns.ra and dec",
    "dec": "galaxies.table.columns.ra and dec",
    "mag_": "photometry.filters",
    "lineflux_": "spectra.lines",
    "ew_": "spectra.lines",
    "log_sfr_": "spectra.lines",
    "re_": "morphology.write",
    "sersic_n": "morphology.write",
    "axis_ratio": "morphology.write",
    "position_angle": "morphology.write",
    "flux_": "survey",
}
"""Keys of the config that make columns, by the beginning of the columns' names."""


def rows(source: Source, layout: Layout, where: str | None = None) -> Rows:
    """Return the rows of a run with the columns of a client; arguments as in `mocksed.export.source.Source.rows`."""
    needed = list(dict.fromkeys(name for column in layout.values() for name in column.inputs))
    plain = source.rows(needed, where)

    def converted(block: pa.Table) -> pa.Table:
        arrays = storage.to_arrays(block)
        columns = {name: column.make(*(arrays[key] for key in column.inputs)) for name, column in layout.items()}
        fields = [
            pa.field(name, pa.array(columns[name][:0]).type, metadata=_metadata(column))
            for name, column in layout.items()
        ]
        converted_arrays = [pa.array(values, from_pandas=True) for values in columns.values()]  # NaN is null
        return pa.Table.from_arrays(converted_arrays, schema=pa.schema(fields))

    empty = converted(pa.Table.from_batches([], plain.schema))
    texts = dict.fromkeys((field.name for field in empty.schema if pa.types.is_string(field.type)), 16)

    def blocks() -> Iterator[pa.Table]:
        yield from map(converted, plain.blocks())

    return Rows(empty.schema, plain.n_rows, plain.about, texts, blocks)


def _metadata(column: ClientColumn) -> dict[str, str]:
    return {"unit": column.unit, "description": column.description}


def available(source: Source, wanted: Layout, client: str, required: Sequence[str] = ()) -> Layout:
    """Return the columns of a client that a run can fill; the log lists those that are left out.

    Raises
    ------
    UserError
        If it cannot fill a required one: the message lists the keys of the config that make it.

    """
    run_columns = source.schema.names
    lacking = {name: [key for key in column.inputs if key not in run_columns] for name, column in wanted.items()}
    if missing := {key: None for name in required for key in lacking[name]}:
        raise UserError(f"{client} needs columns that the run lacks: {', '.join(missing)}. {_remedy(missing)}")
    if left_out := [name for name, inputs in lacking.items() if inputs]:
        reasons = _remedy(key for name in left_out for key in lacking[name])
        log.info("%s: left out, since the run lacks columns for them: %s. %s", client, ", ".join(left_out), reasons)
    return {name: column for name, column in wanted.items() if not lacking[name]}


def _remedy(columns: Iterable[str]) -> str:
    """Return a sentence that names the keys of the config that make columns."""
    keys = {key: None for name in columns for start, key in _KEYS.items() if name.startswith(start)}
    return f"They come from the config's {', '.join(keys)}." if keys else "They come with the user's table."


def as_it_is(values: NDArray) -> NDArray:
    """Return a column as the run has it."""
    return values


def _flux(zero_point: float) -> Callable[[NDArray], NDArray]:
    """Return the conversion of AB magnitudes to fluxes, 0 without detectable flux; 1 is the zero point."""
    return lambda mag: np.nan_to_num(10.0 ** (-0.4 * (mag.astype(np.float64) - zero_point)))


def _sum(*values: NDArray) -> NDArray:
    return np.sum(values, axis=0)


def _half_light_radius(re_maj: NDArray, axis_ratio: NDArray) -> NDArray:
    """Return the radius of the circle with the area of the ellipse with half of the light."""
    return re_maj * np.sqrt(axis_ratio.astype(np.float64))


JAGUAR_BANDS = {
    **{f"HST_{band}_fnu": f"mag_acs_wfc_{band.lower()}" for band in ("F435W", "F606W", "F775W", "F814W", "F850LP")},
    **{f"HST_{band}_fnu": f"mag_wfc3_ir_{band.lower()}" for band in ("F105W", "F125W", "F140W", "F160W")},
    **{
        f"NRC_{band}_fnu": f"mag_jwst_{band.lower()}"
        for band in (
            *("F070W", "F090W", "F115W", "F150W", "F200W", "F277W", "F356W", "F444W", "F140M", "F162M", "F182M"),
            *("F210M", "F250M", "F300M", "F335M", "F360M", "F410M", "F430M", "F460M", "F480M"),
        )
    },
}
JAGUAR_EWS = {
    "C4_1548_1550": ("civ_1548", "civ_1551"),
    "O3_1660": ("oiii_1661",),
    "O3_1666": ("oiii_1666",),
    "C3_1907_1909": ("ciii_1907", "ciii_1910"),
    "O2_3726_3729": ("oii_3726", "oii_3729"),
    "HBaB_4861": ("hbeta_4861",),
    "O3_4959": ("oiii_4959",),
    "O3_5007": ("oiii_5007",),
    "HBaA_6563": ("halpha_6563",),
}
JAGUAR_FLUXES = {
    "C4_1548": "civ_1548",
    "C4_1551": "civ_1551",
    "O3_1661": "oiii_1661",
    "O3_1666": "oiii_1666",
    "C3_1907": "ciii_1907",
    "C3_1909": "ciii_1910",
    "O2_3726": "oii_3726",
    "O2_3729": "oii_3729",
    "Ne3_3869": "neiii_3869",
    "O3_4363": "oiii_4363",
    "HBaB_4861": "hbeta_4861",
    "O3_4959": "oiii_4959",
    "O3_5007": "oiii_5007",
    "HBaA_6563": "halpha_6563",
    "N2_6584": "nii_6584",
    "S2_6716": "sii_6716",
    "S2_6731": "sii_6731",
}
"""Lines of JAGUAR, and their names in a run."""


def jaguar(source: Source) -> Layout:
    """Return the columns of the mock catalogues of JAGUAR (JADES_SF_mock, JADES_Q_mock; Williams et al. 2018).

    Masses, rates, ages and metallicities are log10, times of yr; fluxes are in nJy.
    """
    cosmology = Cosmology(**source.about["cosmology"])
    wanted = {
        "ID": ClientColumn(("galaxy_id",), as_it_is),
        "RA": ClientColumn(("ra",), as_it_is, "deg"),
        "DEC": ClientColumn(("dec",), as_it_is, "deg"),
        "redshift": ClientColumn(("redshift",), as_it_is),
        "mStar": ClientColumn(("log_mstar",), as_it_is, "dex(Msun)"),
        "MUV": ClientColumn(("muv",), as_it_is, "mag(AB)"),
        "beta": ClientColumn(("beta",), as_it_is),
        "SFR_10": ClientColumn(("log_sfr_10",), as_it_is, "dex(Msun/yr)"),
        "SFR_100": ClientColumn(("log_sfr_100",), as_it_is, "dex(Msun/yr)"),
        "sSFR": ClientColumn(("log_sfr", "log_mstar"), np.subtract, "dex(1/yr)"),
        "tau": ClientColumn(("tau",), _log_years, "dex(yr)"),
        "max_stellar_age": ClientColumn(("age",), _log_years, "dex(yr)"),
        "tauV_eff": ClientColumn(("dust2",), as_it_is),
        "A1500": ClientColumn(("muv", "muv_intrinsic"), np.subtract, "mag"),
        **{name: ClientColumn((magnitude,), _flux(_NJY), "nJy") for name, magnitude in JAGUAR_BANDS.items()},
        "metallicity": ClientColumn(("log_zmet",), as_it_is, "dex"),
        "log_OH": ClientColumn(("log_zmet",), lambda log_zmet: log_zmet + _SOLAR_OH, "", "12 + log(O/H)"),
        **{f"{name}_EW": ClientColumn(tuple(f"ew_{line}" for line in lines), _sum, "Angstrom")
           for name, lines in JAGUAR_EWS.items()},
        **{f"{name}_flux": ClientColumn((f"lineflux_{line}",), as_it_is, "erg/(s cm2)")
           for name, line in JAGUAR_FLUXES.items()},
        "luminosity_distance": ClientColumn(
            ("redshift",), lambda z: (1.0 + z) * comoving_distance(cosmology, z), "Mpc", "luminosity distance"
        ),
        "Re_circ": ClientColumn(("re_circ",), as_it_is, "kpc"),
        "Re_maj": ClientColumn(("re_maj",), as_it_is, "arcsec"),
        "axis_ratio": ClientColumn(("axis_ratio",), as_it_is),
        "sersic_n": ClientColumn(("sersic_n",), as_it_is),
        "position_angle": ClientColumn(("position_angle",), as_it_is, "deg"),
    }  # fmt: skip
    return available(source, wanted, "JAGUAR")


def _log_years(gyr: NDArray) -> NDArray:
    return np.log10(gyr) + 9.0


DREAM_BANDS = {"acs_wfc_": "WFC_ACS_", "wfc3_ir_": "WFC3_IR_", "jwst_": "JWST_"}
"""Beginnings of the names of filters in a run and in DREaM_photo.h5."""


def dream(source: Source) -> Layout:
    """Return redshift and AB magnitudes under the names of DREaM_photo.h5 (Drakos et al. 2022).

    Only filters of HST and NIRCam: their names are known from programs that read the file, those of others are not.
    """
    bands = {}
    for name in source.schema.names:
        for prefix, dream_prefix in DREAM_BANDS.items():
            if name.startswith(f"mag_{prefix}"):
                bands[dream_prefix + name.removeprefix(f"mag_{prefix}").upper()] = ClientColumn(
                    (name,), as_it_is, "mag(AB)"
                )
    return {"redshift": ClientColumn(("redshift",), as_it_is), **bands}


ROMAN_BANDS = {
    band: f"mag_roman_wfi_{band.lower()}" for band in ("F062", "F087", "F106", "F129", "F146", "F158", "F184", "F213")
}


def romanisim(source: Source) -> Layout:
    """Return the columns of a catalogue of sources of romanisim: Sersic profiles, and fluxes in maggies.

    It takes ``half_light_radius`` for that of a circle, which it then shears to ``ba`` at constant area. Units are
    only in the descriptions, since romanisim multiplies columns by theirs.
    """
    shape = {
        "ra": ClientColumn(("ra",), as_it_is, description="deg"),
        "dec": ClientColumn(("dec",), as_it_is, description="deg"),
        "type": ClientColumn(("ra",), lambda ra: np.full(len(ra), "SER")),
        "n": ClientColumn(("sersic_n",), as_it_is),
        "half_light_radius": ClientColumn(("re_maj", "axis_ratio"), _half_light_radius, description="arcsec"),
        "pa": ClientColumn(("position_angle",), as_it_is, description="deg, from north to east"),
        "ba": ClientColumn(("axis_ratio",), as_it_is),
    }
    bands = {
        band: ClientColumn((magnitude,), _flux(0.0), description="maggies") for band, magnitude in ROMAN_BANDS.items()
    }
    layout = available(source, shape | bands, "romanisim", list(shape))
    if not set(layout) & set(bands):
        available(source, bands, "romanisim", list(bands))
    return layout


PHOTERR_BANDS = {
    "lsst": {band: f"mag_lsst_baseline_{band}" for band in "ugrizy"},
    "euclid": {band: f"mag_Euclid-{band}" for band in ("VIS", "Y", "J", "H")},
    "roman": {
        letter: ROMAN_BANDS[band]
        for letter, band in zip("ZYJHFKW", ("F087", "F106", "F129", "F158", "F184", "F213", "F146"), strict=True)
    },
}
"""Names of bands in photerr's error models of each survey."""


def photerr(survey: str) -> Callable[[Source], Layout]:
    """Return the columns of one of photerr's models: magnitudes, infinite without detectable flux."""

    def layout(source: Source) -> Layout:
        bands = {
            band: ClientColumn((magnitude,), _faintest, "mag(AB)") for band, magnitude in PHOTERR_BANDS[survey].items()
        }
        shape = {"major": ClientColumn(("re_maj",), as_it_is, "arcsec"),
                 "minor": ClientColumn(("re_maj", "axis_ratio"), np.multiply, "arcsec")}  # fmt: skip
        keys = {"galaxy_id": ClientColumn(("galaxy_id",), as_it_is), "redshift": ClientColumn(("redshift",), as_it_is)}
        return available(source, keys | bands | shape, f"photerr ({survey})", list(bands))

    return layout


def rail(source: Source) -> Layout:
    """Return the columns that RAIL's stages expect for LSST: ``redshift`` and true magnitudes ``mag_u_lsst`` to y."""
    bands = {
        f"mag_{band}_lsst": ClientColumn((magnitude,), _faintest, "mag(AB)")
        for band, magnitude in PHOTERR_BANDS["lsst"].items()
    }
    keys = {"id": ClientColumn(("galaxy_id",), as_it_is), "redshift": ClientColumn(("redshift",), as_it_is)}
    return available(source, keys | bands, "RAIL", list(bands))


def _faintest(mag: NDArray) -> NDArray:
    return np.where(np.isnan(mag), np.inf, mag)


def _survey_fluxes(source: Source, client: str, unit_: str) -> dict[str, tuple[str, str, float]]:
    """Return the columns of flux and error of each filter of the survey, and their unit in ``unit_``."""
    import astropy.units as u

    names = [name.removeprefix("flux_err_") for name in source.schema.names if name.startswith("flux_err_")]
    if not names:
        raise UserError(f"{client} needs fluxes with errors, which the run lacks. They come from the config's survey.")
    scale = {name: u.Unit(unit(source.schema.field(f"flux_{name}"))).to(unit_) for name in names}
    return {name: (f"flux_{name}", f"flux_err_{name}", scale[name]) for name in names}


def _times(scale: float) -> Callable[[NDArray], NDArray]:
    return lambda values: values * scale


def eazy(source: Source) -> Layout:
    """Return the columns of a catalogue of EAZY: fluxes and errors [uJy] under the names in its translate file."""
    columns = {"id": ClientColumn(("galaxy_id",), as_it_is), "z_spec": ClientColumn(("redshift",), as_it_is)}
    for name, (flux, error, scale) in _survey_fluxes(source, "EAZY", "uJy").items():
        columns[f"f_{name}"] = ClientColumn((flux,), _times(scale), "uJy")
        columns[f"e_{name}"] = ClientColumn((error,), _times(scale), "uJy")
    return columns


def eazy_beside(layout: Layout) -> dict[str, str]:
    """Return EAZY's translate file, and a file of filters with the curves and the numbers that it names."""
    names = [name.removeprefix("f_") for name in layout if name.startswith("f_")]
    translate = [line for i, name in enumerate(names, start=1) for line in (f"f_{name} F{i}", f"e_{name} E{i}")]
    return {".translate": "\n".join(translate) + "\n", ".FILTER.RES": "".join(map(_curve, names))}


def _curve(name: str) -> str:
    """Return a filter in the format of EAZY's file of filters."""
    if name not in filters.available():
        raise UserError(f"EAZY needs the curve of {name!r}, a filter from your own file: leave it out of the survey.")
    band = filters.load(name)
    lines = [f"{len(band.wavelength):8d} {name} lambda_c= {band.pivot:.4e}"]
    pairs = zip(band.wavelength, band.transmission, strict=True)
    return "\n".join([*lines, *(f"{i:8d} {w:.6e} {t:.6e}" for i, (w, t) in enumerate(pairs, start=1))]) + "\n"


def lephare(source: Source) -> Layout:
    """Return the columns of a catalogue of LePhare, as CAT_TYPE LONG, CAT_FMT MEME and INP_TYPE F say.

    Identifier, flux and error of each filter [erg/s/cm2/Hz], context (the sum of 2^i over the filters to use, 0 for
    all), redshift.
    """
    columns = {"id": ClientColumn(("galaxy_id",), as_it_is)}
    for name, (flux, error, scale) in _survey_fluxes(source, "LePhare", "erg/(s cm2 Hz)").items():
        columns[f"f_{name}"] = ClientColumn((flux,), _times(scale), "erg/(s cm2 Hz)")
        columns[f"e_{name}"] = ClientColumn((error,), _times(scale), "erg/(s cm2 Hz)")
    columns["context"] = ClientColumn(("galaxy_id",), np.zeros_like)
    return columns | {"z_spec": ClientColumn(("redshift",), as_it_is)}


def lephare_beside(layout: Layout) -> dict[str, str]:
    """Return the lines of LePhare's parameter file that say how the catalogue is to be read."""
    names = [name.removeprefix("f_") for name in layout if name.startswith("f_")]
    keys = {"INP_TYPE": "F", "CAT_MAG": "AB", "CAT_FMT": "MEME", "CAT_TYPE": "LONG"}
    lines = [f"# FILTER_LIST must name these filters, in this order: {', '.join(names)}"]
    return {".para": "\n".join([*lines, *(f"{key} {value}" for key, value in keys.items())]) + "\n"}
