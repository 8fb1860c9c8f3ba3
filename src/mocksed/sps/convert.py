"""Make an SSP table from a published library of stars, with parts that it lacks from the shipped table.

Nebular tables, dust emission and, if the library has none, surviving masses are those of the shipped table. Wavelengths
are those of the library, and beyond 1 um also those of the shipped table where the former are further apart, or end.
"""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mocksed import __version__, digest, shipped
from mocksed.errors import UserError
from mocksed.sps import derived, photometry, table
from mocksed.sps.libraries import LIBRARIES, Library, Stars
from mocksed.sps.make_table import round_mantissa
from mocksed.sps.nebular import line_profiles
from mocksed.sps.remnants import InitialMasses, change_imf
from mocksed.sps.table import LIGHT, LYMAN_LIMIT, SSPTable, ionising_photons

Array = NDArray[np.float64]

_SHIPPED = "resources/ssp_padova_kurucz_chabrier.h5"
_SHIPPED_IMF = InitialMasses("chabrier", 0.08, 120.0)  # FSPS's limits, in its provenance
_BITS = 16  # of the mantissa, as in `mocksed.sps.make_table`
_FWHM = 2.355  # full width at half maximum of a Gaussian in standard deviations
_TINY = 1e-40
_INFRARED = 1e4  # A

_RATIO = 0.01  # light and ionising photons of a table and of its library agree to this
_MAGNITUDE = 0.005
_PLAUSIBLE = 2.5  # a factor: light of solar SSPs of two libraries


def convert(name: str, output: Path | str, data: Path | None = None) -> list[str]:
    """Write the table of a library, whole or not at all, and return the results of the checks, one line each.

    Parameters
    ----------
    name : str
        One of `LIBRARIES`.
    output : path
        File to write.
    data : path, optional
        File of the library, or its folder; by default it is searched for in the installed package.

    Raises
    ------
    UserError
        If the library is missing or not the expected one, or the table does not agree with it.

    """
    library = LIBRARIES[name]
    source = library.path(data)
    base_path = shipped.found(_SHIPPED)
    table.check_shipped(base_path)
    stars, base = library.stars(source), table.read(base_path)
    converted = fill(stars, library, base, {
        "made_by": f"mocksed {__version__}",
        "command": f"mocksed ssp --from {name}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "library": library.title,
        "reference": library.reference,
        "source": {"package": f"{library.package} {library.version}", "file": source.name,
                   "sha256": digest.sha256(source)},
        "shipped_sha256": digest.sha256(base_path),
    })  # fmt: skip
    results = check(converted, stars, base)
    table.write(output, converted)
    return results


def fill(stars: Stars, library: Library, base: SSPTable, provenance: dict) -> SSPTable:
    """Return the table of a library's stars with gas and dust of another table.

    Parameters
    ----------
    stars : Stars
        The stars of the library.
    library : Library
        The library.
    base : SSPTable
        The shipped table.
    provenance : dict
        Provenance of the table; the initial mass function and the parts taken from ``base`` are added.

    """
    wavelength = common_wavelengths(stars.wavelength, base.wavelength)
    log_zmet = np.log10(stars.zmet / library.zsun)
    mass, lacking = stars.mass, ["nebular tables", "dust emission"]
    if mass is None:
        mass = change_imf(_masses(base, log_zmet, stars.log_age), _SHIPPED_IMF, library.imf)
        lacking.append("surviving masses (for its stars alive, with the library's IMF)")
    return SSPTable(
        wavelength=wavelength,
        log_age=stars.log_age,
        log_zmet=log_zmet,
        stellar=round_mantissa(_stars_at(wavelength, stars), _BITS),
        mass=mass,
        neb_log_zmet=base.neb_log_zmet,
        neb_log_us=base.neb_log_us,
        neb_log_age=base.neb_log_age,
        neb_continuum=_gas_at(wavelength, base),
        neb_lines=base.neb_lines,
        line_wavelength=base.line_wavelength,
        line_sigma=_line_sigma(wavelength, base.line_wavelength, library.resolution),
        line_name=base.line_name,
        dust_qpah=base.dust_qpah,
        dust_umin=base.dust_umin,
        dust_emission=_interpolated(wavelength, base.wavelength, base.dust_emission),
        provenance=provenance
        | {
            "imf_type": library.imf_type,
            "imf": library.imf._asdict(),
            "solar_metallicity": library.zsun,
            "mantissa_bits": _BITS,
            "from_shipped": lacking,
        },
    )


def common_wavelengths(star_wavelength: Array, gas_wavelength: Array) -> Array:
    """Return wavelengths of stars, and those of gas and dust beyond 1 um where stars have wider steps or none [A].

    They end where gas and dust do. Dust has features in the infrared that the steps of stars there would miss.
    """
    step = np.interp(gas_wavelength, star_wavelength, np.gradient(star_wavelength), right=np.inf)
    within = star_wavelength[(star_wavelength >= gas_wavelength[0]) & (star_wavelength <= gas_wavelength[-1])]
    return np.union1d(within, gas_wavelength[(gas_wavelength > _INFRARED) & (np.gradient(gas_wavelength) < step)])


def _stars_at(wavelength: Array, stars: Stars) -> Array:
    """Return L_nu at other wavelengths, a power law between those of the library, and of slope -2 beyond its last."""
    log_wavelength, log_l_nu = np.log(stars.wavelength), np.log(np.maximum(stars.l_nu, _TINY))
    last = np.log(wavelength[-1])
    if last > log_wavelength[-1]:  # Rayleigh and Jeans
        end = log_l_nu[..., -1:] - 2.0 * (last - log_wavelength[-1])
        log_wavelength, log_l_nu = np.append(log_wavelength, last), np.append(log_l_nu, end, axis=-1)
    l_nu = np.exp(_interpolated(np.log(wavelength), log_wavelength, log_l_nu))
    return np.where(l_nu > 2.0 * _TINY, l_nu, 0.0)


def _gas_at(wavelength: Array, base: SSPTable) -> NDArray[np.float32]:
    """Return log10 of the nebular continuum at other wavelengths, interpolated on each side of the Lyman limit."""
    ionising, base_ionising = (wavelength <= LYMAN_LIMIT), (base.wavelength <= LYMAN_LIMIT)
    parts = [
        _interpolated(wavelength[side], base.wavelength[base_side], base.neb_continuum[..., base_side])
        for side, base_side in ((ionising, base_ionising), (~ionising, ~base_ionising))
    ]
    return np.concatenate(parts, axis=-1)


def _interpolated(x: Array, nodes: Array, values: NDArray) -> NDArray:
    """Return values (..., n_node) linear between nodes, and constant beyond, at x, shape (..., len(x))."""
    rows = values.reshape(-1, values.shape[-1])
    interpolated = np.empty((len(rows), len(x)), values.dtype)
    for at_x, at_nodes in zip(interpolated, rows, strict=True):
        at_x[:] = np.interp(x, nodes, at_nodes)
    return interpolated.reshape(*values.shape[:-1], len(x))


def _masses(base: SSPTable, log_zmet: Array, log_age: Array) -> Array:
    """Return surviving masses of a table at metallicities and ages, linear in both, shape (n_zmet, n_age)."""
    at_ages = np.stack([np.interp(log_age, base.log_age, row, left=1.0) for row in base.mass])
    return _interpolated(log_zmet, base.log_zmet, at_ages.T).T


def _line_sigma(wavelength: Array, lines: Array, resolution: float) -> Array:
    """Return widths of lines [A]: three steps at half maximum, or the resolution of the library [A].

    FSPS takes two, which is too narrow for steps that change; the widest one within three sigma counts.
    """
    step, sigma = np.diff(wavelength), np.zeros(len(lines))
    for _ in range(4):  # wide lines extend over more steps
        start, stop = (np.searchsorted(wavelength, lines + side * 3.0 * sigma) for side in (-1, 1))
        widest = [step[max(i - 1, 0) : j].max() for i, j in zip(start, stop, strict=True)]
        sigma = np.maximum(3.0 * np.array(widest), resolution) / _FWHM
    return sigma


def check(converted: SSPTable, stars: Stars, base: SSPTable) -> list[str]:
    """Compare a table with its library and with the shipped table, and return a line for each figure.

    Raises
    ------
    UserError
        If they do not agree, or numbers of the library are impossible.

    """
    if not np.isfinite(stars.l_nu).all() or stars.l_nu.min() < 0.0:
        raise UserError("the library has spectra that are negative or not numbers; expected L_nu >= 0.")
    mass = converted.mass
    if not ((mass > 0.0) & (mass <= 1.0)).all() or np.diff(mass, axis=1).max() > 1e-6:
        raise UserError("the surviving mass of the library does not decrease with age between 1 and 0 Msun per Msun.")
    light = _light(converted.wavelength, converted.stellar) / _light(stars.wavelength, stars.l_nu)
    photons = converted.ionising_photons() / ionising_photons(stars.wavelength, stars.l_nu[:, : converted.n_young])
    bands = derived.bands()[3:]
    flux = [
        photometry.mean_fluxes(wavelength, l_nu.reshape(-1, len(wavelength)), bands)
        for wavelength, l_nu in ((converted.wavelength, converted.stellar), (stars.wavelength, stars.l_nu))
    ]
    colour = np.abs(np.diff(-2.5 * np.log10(flux[0] / flux[1]), axis=1))
    young, old = (_solar_light(converted, age) / _solar_light(base, age) for age in (6.5, 10.0))
    profile = _profile_sums(converted)
    differences = {
        "light of SSPs": (np.abs(light - 1.0).max(), _RATIO),
        "ionising photons": (np.abs(photons - 1.0).max(), _RATIO),
        "U-V and V-J [mag]": (colour.max(), _MAGNITUDE),
        "light of emission lines": (np.abs(profile - 1.0).max(), 2.0 * _RATIO),
    }
    for quantity, (difference, allowed) in differences.items():
        if not difference <= allowed:
            raise UserError(f"the table does not agree with its library: {quantity} differ by {difference:.2g}.")
    if not all(1.0 / _PLAUSIBLE < ratio < _PLAUSIBLE for ratio in (young, old)):
        raise UserError(
            f"solar SSPs of 3 Myr and 10 Gyr shine {young:.3g} and {old:.3g} times as much as in the shipped table; "
            f"expected a factor below {_PLAUSIBLE}: the library has other units."
        )
    return [
        *(f"{quantity}: differ by {difference:.1e} at most" for quantity, (difference, _) in differences.items()),
        f"solar SSPs of 3 Myr and 10 Gyr: {young:.2f} and {old:.2f} of the light in the shipped table",
    ]


def _light(wavelength: Array, l_nu: NDArray) -> Array:
    """Return bolometric luminosities [Lsun], shape (..., )."""
    return np.asarray(-np.trapezoid(l_nu, LIGHT / wavelength))


def _solar_light(ssps: SSPTable, log_age: float) -> float:
    zmet, age = np.argmin(np.abs(ssps.log_zmet)), np.argmin(np.abs(ssps.log_age - log_age))
    return float(_light(ssps.wavelength, ssps.stellar[zmet, age].astype(np.float64)))


def _profile_sums(ssps: SSPTable) -> Array:
    """Return the integrals over the spectrum of lines of 1 Lsun, shape (n_line, )."""
    start, profile = line_profiles(ssps.wavelength, ssps.line_wavelength, ssps.line_sigma)
    step = -np.gradient(LIGHT / ssps.wavelength)
    pixel = np.minimum(start[:, None] + np.arange(profile.shape[1]), len(step) - 1)
    return np.asarray((profile * step[pixel]).sum(axis=1))
