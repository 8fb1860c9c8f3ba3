"""Let FSPS write the SSP table, at its own ages, metallicities and wavelengths.

Everything is taken from the output of python-fsps: the stars from runs without gas, the nebular emission from runs with
it, divided by the rate of ionising photons, the dust emission from stars behind opaque dust. FSPS interpolates the
logarithm of the nebular emission linearly between nodes in (gas metallicity, age, ionisation); only the positions of
these nodes and the names of the lines are read from SPS_HOME.

Isochrones, spectra and dust emission are those that python-fsps was compiled with (``FFLAGS``, e.g. ``-DMIST=1
-DMILES=1 -DC3K_LR=0``); the IMF is an option. Nothing is resampled: with MIST and MILES there are 13 metallicities, 107
ages and 5994 wavelengths, and memory and time of all that reads the table are proportional to the wavelengths.
"""

import logging
import os
import subprocess
import sys
from collections import deque
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocksed import __version__
from mocksed.atomic import replacing
from mocksed.errors import UserError
from mocksed.progress import log, progress
from mocksed.sps import fsps
from mocksed.sps.model import Model
from mocksed.sps.table import LYMAN_LIMIT, SSPTable, ionising_photons, read, write

Array = NDArray[np.float64]

_FLOOR = -95.0  # FSPS's own floor for log10 of the nebular tables
_STELLAR_BITS = 16  # of the mantissa: 8e-6, below any error that matters, and the file is smaller by a third
_LOG_BITS = 20
_LAST_LINES = 5  # of FSPS's output, for the message when it stops


def _single(*values: float) -> Array:
    """Return constants as Fortran reads those written without the exponent D."""
    return np.array(values, np.float32).astype(np.float64)


DUST_NODES: dict[str, tuple[Array, Array]] = {
    "DL07": (
        _single(0.47, 1.12, 1.77, 2.50, 3.19, 3.90, 4.58),
        _single(0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 8.0, 12.0, 15.0,
                20.0, 25.0),
    ),
    "THEMIS": (
        _single(0.02, 0.06, 0.10, 0.14, 0.17, 0.20, 0.24, 0.28, 0.32, 0.36, 0.40) / 2.2 * 100.0,
        _single(0.1, 0.12, 0.15, 0.17, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 1.7, 2.0, 2.5, 3.0,
                3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 17.0, 20.0, 25.0, 30.0, 35.0, 40.0, 50.0, 80.0),
    ),
}  # fmt: skip
"""Nodes of FSPS's dust emission in q_PAH [%] and U_min, by library (``sps_vars.f90``)."""

WITH_GAS = ("pdva", "mist", "prsc", "bpss")
"""Isochrones for which FSPS has nebular tables; with the others, its gas is meaningless."""


def make(path: Path | str, imf_type: int = 1) -> None:
    """Run FSPS in a child process and write its table to ``path``, whole or not at all.

    A Fortran STOP ends a Python process with status 0, so only a table that can be read counts as made.

    Raises
    ------
    UserError
        If FSPS is missing, stops, or does not agree with the written table.

    """
    usable = subprocess.run(_command("import fsps"), capture_output=True, text=True, check=False)
    if usable.returncode or not os.environ.get("SPS_HOME"):
        reason = usable.stderr.strip().rpartition("\n")[2] or "SPS_HOME is not set"
        raise UserError(
            f"{path} must be made by FSPS, but python-fsps cannot be imported: {reason}. Install it (pip install "
            "'.[fsps]', SPS_HOME at a clone of FSPS) or use the shipped table: sps.table in the config."
        )
    with replacing(path) as temporary:
        temporary.unlink()
        code = "import sys; from mocksed.sps.make_table import child; child(sys.argv[1], int(sys.argv[2]))"
        status, last_lines = _run(_command(code, str(temporary), str(imf_type)))
        if status or not temporary.exists():
            raise UserError(f"FSPS ended before {path} was written (status {status}). Its last lines:\n{last_lines}")
        read(temporary)


def child(path: str, imf_type: int) -> None:
    """Write the table, in the child process of `make`."""
    log.addHandler(logging.StreamHandler(sys.stdout))
    log.setLevel(logging.INFO)
    try:
        write(path, extract(imf_type))
    except UserError as error:
        sys.exit(f"error: {error}")


def _command(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def _run(command: list[str]) -> tuple[int, str]:
    """Run a command, copy its output to the log, and return its status and last lines."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            log.info("%s", line.rstrip())
            last.append(f"  {line.rstrip()}")
    return process.returncode, "\n".join(last)


def extract(imf_type: int = 1) -> SSPTable:
    """Return the table of the FSPS of this process.

    Raises
    ------
    UserError
        If FSPS is missing, has no nebular emission, or its composite spectra do not agree with sums over the table.

    """
    sps = fsps.population(imf_type)
    isochrones = fsps.libraries(sps)["isochrones"]
    if isochrones not in WITH_GAS:
        raise UserError(
            f"FSPS has no nebular emission for its isochrones {isochrones}, which galaxies with young stars need. "
            f"Compile python-fsps with others: {', '.join(WITH_GAS)}."
        )
    wavelength = np.asarray(sps.wavelengths, np.float64)
    line_wavelength = np.asarray(sps.emline_wavelengths, np.float64)
    log_zmet = fsps.log_zmet_grid(sps)
    log_age, stellar, mass = _stars(sps, log_zmet)
    neb_log_zmet, neb_log_us, neb_log_age, continuum, lines = _gas(sps, log_zmet, log_age, stellar)
    dust_qpah, dust_umin, dust_emission = _dust_emission(sps)
    table = SSPTable(
        wavelength=wavelength,
        log_age=log_age,
        log_zmet=log_zmet,
        stellar=round_mantissa(stellar, _STELLAR_BITS),
        mass=mass,
        neb_log_zmet=neb_log_zmet,
        neb_log_us=neb_log_us,
        neb_log_age=neb_log_age,
        neb_continuum=round_mantissa(continuum, _LOG_BITS),
        neb_lines=round_mantissa(lines, _LOG_BITS),
        line_wavelength=line_wavelength,
        line_sigma=fsps.line_sigma(sps),
        line_name=fsps.line_names(line_wavelength),
        dust_qpah=dust_qpah,
        dust_umin=dust_umin,
        dust_emission=round_mantissa(dust_emission, _STELLAR_BITS),
        provenance=_provenance(sps, imf_type),
    )
    _verify(table, imf_type)
    return table


def hat_functions(x: Array, nodes: Array) -> Array:
    """Return the weights of linear interpolation, shape (len(x), len(nodes)), constant beyond the end nodes."""
    return np.stack([np.interp(x, nodes, unit) for unit in np.eye(len(nodes))], axis=1)


def round_mantissa(values: NDArray, bits: int) -> NDArray[np.float32]:
    """Round to float32 with ``bits`` bits of mantissa, so that the file compresses."""
    drop = np.uint32(23 - bits)
    raw = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32(1 << (int(drop) - 1))
    return ((raw + half) >> drop << drop).view(np.float32)


def _stars(sps: Any, log_zmet: Array) -> tuple[Array, Array, Array]:
    """Return log10 of the ages [yr], the spectra (n_zmet, n_age, n_wave) and the surviving mass (n_zmet, n_age)."""
    no_gas_or_dust = {"add_neb_emission": False, "add_dust_emission": False, "dust2": 0.0}
    fsps.set_options(sps, fsps.ALWAYS | no_gas_or_dust | {"sfh": 0})
    stellar, mass = [], []
    with progress(len(log_zmet), "metallicities", "stars") as bar:
        for value in log_zmet:
            sps.params["logzsol"] = value
            stellar.append(sps.get_spectrum(tage=0.0)[1])
            mass.append(sps.stellar_mass)
            bar.update(1)
    return np.asarray(sps.log_age, np.float64), np.array(stellar), np.array(mass)


def _gas(sps: Any, log_zmet: Array, log_age: Array, stellar: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Return the nodes in log Z, log U and log age [yr], and there log10 of continuum and lines per ionising photon."""
    neb_log_zmet, neb_log_age, neb_log_us = fsps.nebular_nodes(sps)
    wavelength = np.asarray(sps.wavelengths, np.float64)
    young = log_age <= neb_log_age[-1]
    hats = hat_functions(log_age[young], neb_log_age)
    if np.linalg.svd(hats, compute_uv=False)[-1] < 0.1 or len(hats) < len(neb_log_age):
        # too few young SSPs to solve for FSPS's values at its nodes; those at the SSPs serve as well
        neb_log_age = log_age[young]
        hats = np.eye(len(neb_log_age))
    sun = int(np.argmin(np.abs(log_zmet)))
    photons = ionising_photons(wavelength, stellar[sun, young])
    behind_limit = np.where(wavelength <= LYMAN_LIMIT, 0.0, stellar[sun, young])
    continuum, lines = [], []
    fsps.set_options(sps, {"logzsol": log_zmet[sun], "add_neb_emission": True, "nebemlineinspec": False})
    with progress(len(neb_log_zmet) * len(neb_log_us), "models", "gas") as bar:
        for gas_logz in neb_log_zmet:
            for gas_logu in neb_log_us:
                fsps.set_options(sps, {"gas_logz": gas_logz, "gas_logu": gas_logu})
                glow = sps.get_spectrum(tage=0.0)[1][young] - behind_limit
                glow[glow < 1e-10 * behind_limit] = 0.0  # lost in the subtraction, and too faint to matter
                continuum.append(_at_nodes(hats, glow / photons[:, None]))
                lines.append(_at_nodes(hats, sps.emline_luminosity[young] / photons[:, None]))
                bar.update(1)
    shape = (len(neb_log_zmet), len(neb_log_us), len(neb_log_age), -1)
    return neb_log_zmet, neb_log_us, neb_log_age, np.reshape(continuum, shape), np.reshape(lines, shape)


def _at_nodes(hats: Array, per_photon: Array) -> Array:
    """Solve for the logarithms at the age nodes whose interpolation gives ``per_photon`` at the SSP ages."""
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log10(np.maximum(per_photon, 0.0)), _FLOOR)
    return np.asarray(np.linalg.lstsq(hats, logs, rcond=None)[0], np.float64)


def _dust_emission(sps: Any) -> tuple[Array, Array, Array]:
    """Return the nodes in q_PAH and U_min and the emission there per mass of dust [Lsun/Hz/Msun].

    Grey dust of great depth around young stars absorbs all their light but not its own emission, so that the spectrum
    is that of the dust. For a library whose nodes are not known the emission is empty.
    """
    qpah, umin = DUST_NODES.get(fsps.libraries(sps)["dust_emission"], (np.empty(0), np.empty(0)))
    emission = np.empty((len(qpah), len(umin), 2, len(sps.wavelengths)))
    around_young_stars = {"dust1": 200.0, "dust1_index": 0.0, "dust2": 0.0}
    fsps.set_options(sps, {"sfh": 0, "add_neb_emission": False, "add_dust_emission": True, **around_young_stars})
    for i, j, gamma in np.ndindex(emission.shape[:3]):
        fsps.set_options(sps, {"duste_qpah": qpah[i], "duste_umin": umin[j], "duste_gamma": float(gamma)})
        emission[i, j, gamma] = sps.get_spectrum(tage=1e-3)[1] / sps.dust_mass
    return qpah, umin, emission


def _provenance(sps: Any, imf_type: int) -> dict:
    """Return how the table was made, and from which data."""
    return {
        "made_by": f"mocksed {__version__}",
        **{name: version(name) for name in ("fsps", "numpy", "h5py")},
        "libraries": fsps.libraries(sps),
        "imf_type": imf_type,
        "solar_metallicity": float(sps.solar_metallicity),
        "options": {name: sps.params[name] for name in sps.params.ssp_params if name != "imf_type"},
        "sps_home_sha256": fsps.home_sha256(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": "snakemake --cores 1 results/ssp/<name>.h5",
        "mantissa_bits": _STELLAR_BITS,
    }


def _verify(table: SSPTable, imf_type: int) -> None:
    """Compare composites over the table with those of FSPS."""
    from mocksed.sps.engine import Engine

    rng = np.random.default_rng(1)
    emitting = rng.uniform((0.3, 0.1, 0.0), (5.0, 25.0, 1.0), (2 if table.dust_emission.size else 0, 3))
    default = Engine(table)
    engines = [default] * 4 + [
        Engine(table, Model(add_dust_emission=True, duste_qpah=qpah, duste_umin=umin, duste_gamma=gamma))
        for qpah, umin, gamma in emitting
    ]
    used = (table.wavelength > LYMAN_LIMIT) & (table.wavelength < 3e7)
    oldest = table.log_age[-1] - 9.0
    for engine, nebular in product(engines, (True, False)):
        age, tau = 10 ** rng.uniform(-2.0, oldest), 10 ** rng.uniform(-1.0, 2.0)
        zmet, us, dust2 = rng.uniform(*table.log_zmet_range), rng.uniform(-4.0, -1.0), rng.uniform(0.1, 2.0)
        expected = fsps.composite(age, tau, zmet, us, dust2, nebular=nebular, imf_type=imf_type, model=engine.model)
        spectrum = engine.spectra(age, tau, zmet, us, dust2, nebular=nebular)[0]
        mass = default.derived(age, tau, zmet, us, dust2, nebular=nebular).mass_fraction[0]
        differences = np.abs(np.append(spectrum / expected.spectrum, mass / expected.mass) - 1.0)
        worst = float(differences[np.append(used, True)].max())
        log.info("check: nebular %s, dust emission %s, age %.3g Gyr, tau %.3g Gyr: largest difference %.1e",
                 nebular, engine.model.add_dust_emission, age, tau, worst)  # fmt: skip
        if not worst < 1e-3:
            raise UserError(f"the table does not reproduce FSPS: {worst:.1e} at age {age} Gyr, tau {tau} Gyr.")
