"""The SSP table: written by FSPS, read once and shared read-only."""

import json
import logging
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from mocksed import digest, hdf5, jsontext
from mocksed.atomic import replacing
from mocksed.errors import UserError

log = logging.getLogger("mocksed")

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

FORMAT = 2
"""Version of the layout of the file: 2 has the dust emission and the names of the lines."""

LYMAN_LIMIT = 912.0
"""FSPS counts photons below this wavelength as ionising [A]."""

LSUN = 3.839e33
"""Solar luminosity of FSPS [erg/s]: its spectra are in units of this, not of the IAU's."""

PARSEC = 3.08568e18
"""Parsec of FSPS [cm]."""

PLANCK = 6.6261e-27
"""Planck's constant of FSPS [erg s]."""

LIGHT = 2.9979e18
"""Speed of light of FSPS [A/s]."""

_ARRAYS = (
    "wavelength",
    "log_age",
    "log_zmet",
    "stellar",
    "mass",
    "neb_log_zmet",
    "neb_log_us",
    "neb_log_age",
    "neb_continuum",
    "neb_lines",
    "line_wavelength",
    "line_sigma",
    "dust_qpah",
    "dust_umin",
    "dust_emission",
)
_SINGLE = ("stellar", "neb_continuum", "neb_lines", "dust_emission")  # precision; all others are double
_INCREASING = (
    "wavelength",
    "log_age",
    "log_zmet",
    "neb_log_zmet",
    "neb_log_us",
    "neb_log_age",
    "dust_qpah",
    "dust_umin",
)
_AXES: dict[str, tuple[str | int, ...]] = {
    "stellar": ("log_zmet", "log_age", "wavelength"),
    "mass": ("log_zmet", "log_age"),
    "neb_continuum": ("neb_log_zmet", "neb_log_us", "neb_log_age", "wavelength"),
    "neb_lines": ("neb_log_zmet", "neb_log_us", "neb_log_age", "line_wavelength"),
    "line_sigma": ("line_wavelength",),
    "dust_emission": ("dust_qpah", "dust_umin", 2, "wavelength"),
}
_CHECKSUMS = "crc32"  # attribute of the file

SHIPPED = {"ssp_padova_kurucz_chabrier.h5": "4a0c4eefbe8bdc3cf94357781841520deea6f2ab322dda5373a9c6a0ef4c8196"}
"""SHA-256 of the tables that come with mocksed, by name."""


@dataclass(frozen=True)
class SSPTable:
    """Simple stellar populations of 1 Msun formed, and the emission of gas and dust.

    Attributes
    ----------
    wavelength : ndarray of shape (n_wave, )
        Rest frame, in vacuum [A].
    log_age : ndarray of shape (n_age, )
        log10 of the ages [yr].
    log_zmet : ndarray of shape (n_zmet, )
        Metallicities of the stars, log10(Z/Zsun) with the Zsun of the isochrones.
    stellar : ndarray of shape (n_zmet, n_age, n_wave)
        L_nu of the stars [Lsun/Hz], ionising photons included.
    mass : ndarray of shape (n_zmet, n_age)
        Surviving mass, remnants included [Msun].
    neb_log_zmet, neb_log_us, neb_log_age : ndarrays of shapes (n_gas_zmet, ), (n_us, ), (n_neb_age, )
        Nodes of the nebular tables: log10(Z/Zsun) of the gas, log10 U, log10 of the age [yr].
    neb_continuum : ndarray of shape (n_gas_zmet, n_us, n_neb_age, n_wave)
        log10 of L_nu per ionising photon rate [Lsun/Hz s].
    neb_lines : ndarray of shape (n_gas_zmet, n_us, n_neb_age, n_line)
        log10 of the luminosity per ionising photon rate [Lsun s].
    line_wavelength, line_sigma : ndarrays of shape (n_line, )
        Centre and standard deviation of the lines [A].
    line_name : tuple of str
        FSPS's names of the lines.
    dust_qpah, dust_umin : ndarrays of shapes (n_qpah, ), (n_umin, )
        Nodes of the dust emission: mass fraction of PAHs [%] and least radiation field [that of the solar
        neighbourhood].
    dust_emission : ndarray of shape (n_qpah, n_umin, 2, n_wave)
        L_nu per mass of dust [Lsun/Hz/Msun]: in the least radiation field, and in fields from it to 1e6 (power law).
    provenance : dict
        Versions, libraries, options, checksum of SPS_HOME, date, command.

    """

    wavelength: Float64
    log_age: Float64
    log_zmet: Float64
    stellar: Float32
    mass: Float64
    neb_log_zmet: Float64
    neb_log_us: Float64
    neb_log_age: Float64
    neb_continuum: Float32
    neb_lines: Float32
    line_wavelength: Float64
    line_sigma: Float64
    line_name: tuple[str, ...]
    dust_qpah: Float64
    dust_umin: Float64
    dust_emission: Float32
    provenance: dict

    @property
    def n_ionising(self) -> int:
        """Number of wavelengths up to the Lyman limit, FSPS's ``whlylim``."""
        return int(np.searchsorted(self.wavelength, LYMAN_LIMIT, side="right"))

    @property
    def n_young(self) -> int:
        """Number of ages at which there is nebular emission."""
        return int(np.searchsorted(self.log_age, self.neb_log_age[-1], side="right"))

    @property
    def log_zmet_range(self) -> tuple[float, float]:
        """Lowest and highest metallicity of the stars, log10(Z/Zsun)."""
        return float(self.log_zmet[0]), float(self.log_zmet[-1])

    def ionising_photons(self) -> Float64:
        """Return the rate of ionising photons [1/s] of 1 Msun formed, shape (n_zmet, n_young)."""
        return ionising_photons(self.wavelength, self.stellar[:, : self.n_young])


def ionising_photons(wavelength: Float64, l_nu: NDArray) -> Float64:
    """Return the rate of photons up to the Lyman limit [1/s], as FSPS sums it (trapezium in nu).

    Parameters
    ----------
    wavelength : ndarray of shape (n_wave, )
        [A].
    l_nu : ndarray of shape (..., n_wave)
        [Lsun/Hz].

    """
    n = np.searchsorted(wavelength, LYMAN_LIMIT, side="right")
    nu = LIGHT / wavelength[:n]
    return np.asarray(-np.trapezoid(l_nu[..., :n].astype(np.float64) / nu, nu) / PLANCK * LSUN)


def write(path: Path | str, table: SSPTable) -> None:
    """Write the table to an HDF5 file, whole or not at all."""
    with replacing(path) as temporary, hdf5.created(temporary) as (file, _):
        file.attrs["format"] = FORMAT
        file.attrs["provenance"] = jsontext.dumps(table.provenance, sort_keys=True)
        file.attrs[_CHECKSUMS] = jsontext.dumps(checksums(table), sort_keys=True)
        file["line_name"] = np.array(table.line_name, h5py.string_dtype())
        for name in _ARRAYS:
            data = getattr(table, name)
            packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True} if data.ndim > 2 else {}
            file.create_dataset(name, data=data, **packed)


def checksums(table: SSPTable) -> dict[str, int]:
    """Return the CRC-32 of each array of a table, of its line names and of its provenance, as stored in its file."""
    return {name: _checksum(getattr(table, name)) for name in (*_ARRAYS, "line_name", "provenance")}


def _checksum(content: object) -> int:
    if isinstance(content, np.ndarray):  # numbers are little-endian on all machines of today
        return zlib.crc32(np.ascontiguousarray(content).data, zlib.crc32(repr(content.shape).encode()))
    return digest.checksum(content)


def read(path: Path | str) -> SSPTable:
    """Read a table.

    A table of an earlier version of mocksed has no checksums; the log mentions it.

    Raises
    ------
    UserError
        If the file is missing, damaged or not a table of this format.

    """
    with _open(path) as file:
        expected = _expected(file)
        if not expected:
            log.info("%s was made by an earlier mocksed and has no checksums: damage would not be noticed.", path)
        arrays = {name: _array(file, name, expected) for name in _ARRAYS}
        line_name = _line_names(file, expected)
        provenance = json.loads(file.attrs["provenance"])
        _verify("provenance", provenance, expected)
        for name, axes in _AXES.items():
            shape = tuple(len(arrays[axis]) if isinstance(axis, str) else axis for axis in axes)
            if arrays[name].shape != shape:
                raise ValueError(f"'{name}' has the shape {arrays[name].shape}, expected {shape}")
        if len(line_name) != len(arrays["line_wavelength"]):
            raise ValueError(f"'line_name' has {len(line_name)} names of {len(arrays['line_wavelength'])} lines")
    for array in arrays.values():
        array.flags.writeable = False
    return SSPTable(**arrays, line_name=line_name, provenance=provenance)


def _expected(file: h5py.File) -> dict[str, int]:
    """Return the checksums in a file, empty for one of an earlier version."""
    return dict(json.loads(file.attrs[_CHECKSUMS])) if _CHECKSUMS in file.attrs else {}


def _verify(name: str, content: object, expected: Mapping[str, int]) -> None:
    if expected and _checksum(content) != expected[name]:
        raise ValueError(f"it is damaged: '{name}' has another checksum")


def _array(file: h5py.File, name: str, expected: Mapping[str, int]) -> NDArray:
    """Return an array of the file, after checking it: numbers are finite, nodes and wavelengths increase."""
    array = file[name].astype(np.float32 if name in _SINGLE else np.float64)[()]
    _verify(name, array, expected)
    if not np.isfinite(array).all():
        raise ValueError(f"'{name}' has values that are not finite")
    if name in _INCREASING and (wrong := np.flatnonzero(np.diff(array) <= 0.0)).size:
        i = wrong[0]
        raise ValueError(f"'{name}' does not increase: {array[i + 1]:g} follows on {array[i]:g}")
    return np.asarray(array)


def _line_names(file: h5py.File, expected: Mapping[str, int]) -> tuple[str, ...]:
    names = tuple(file["line_name"].asstr()[()])
    _verify("line_name", names, expected)
    return names


def read_wavelength(path: Path | str) -> Float64:
    """Return the wavelengths of a table [A], reading only these; errors as in `read`."""
    with _open(path) as file:
        return _array(file, "wavelength", _expected(file))


def read_lines(path: Path | str) -> tuple[tuple[str, ...], Float64]:
    """Return FSPS's names and the wavelengths [A] of the lines of a table, reading only these; errors as in `read`."""
    with _open(path) as file:
        expected = _expected(file)
        return _line_names(file, expected), _array(file, "line_wavelength", expected)


def check_shipped(path: Path | str) -> None:
    """Stop with a `UserError` if a file has the name of a table that comes with mocksed, but not its content."""
    name = Path(path).name
    if name in SHIPPED and (sha256 := digest.sha256(path)) != SHIPPED[name]:
        raise UserError(
            f"{path} is not the SSP table that comes with mocksed under this name: its SHA-256 is {sha256}, expected "
            f"{SHIPPED[name]}. Restore it (git checkout {path}), or give your own table another name."
        )


@contextmanager
def _open(path: Path | str) -> Iterator[h5py.File]:
    """Yield the open file of a table; errors in it become a `UserError`."""
    try:
        with hdf5.opened(path) as file:
            _check_format(path, file.attrs.get("format"))
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        # h5py raises any of them for damaged files, and for objects of another kind under the expected names
        raise UserError(f"cannot read the SSP table {path}: {error}. {_HOW_TO_MAKE}") from error


_HOW_TO_MAKE = (
    "Take the table that comes with mocksed in resources/, or make one: mocksed ssp --from bc03|popstar|fsps OUT.h5."
)


def _check_format(path: Path | str, format_: object) -> None:
    if format_ is None:
        raise UserError(f"{path} is not an SSP table of mocksed. {_HOW_TO_MAKE}")
    if format_ != FORMAT:
        raise UserError(
            f"{path} is an SSP table of format {format_}; this mocksed reads format {FORMAT}. {_HOW_TO_MAKE}"
        )
