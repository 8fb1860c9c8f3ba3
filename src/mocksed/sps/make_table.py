"""Let FSPS write the SSP table.

Everything is taken from what python-fsps returns: the stars from runs without gas, the nebular emission from runs with
it, divided by the rate of ionising photons. FSPS interpolates the logarithm of the nebular emission linearly between
nodes in (gas metallicity, age, ionisation); only the positions of these nodes are read from SPS_HOME.
"""

import os
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocksed import __version__
from mocksed.errors import UserError
from mocksed.jobs import log, progress
from mocksed.sps import fsps
from mocksed.sps.table import LIGHT, LYMAN_LIMIT, SSPTable, ionising_photons, read, write


def _single(*values: float) -> NDArray[np.float64]:
    """Return constants as Fortran takes those written without exponent D."""
    return np.array(values, np.float32).astype(np.float64)


_FLOOR = -95.0  # FSPS's own floor for log10 of the nebular tables
_STELLAR_BITS = 16  # of the mantissa: 8e-6, below any use, and the file is smaller by a third
_LOG_BITS = 20

DUST_NODES: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {
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
"""Nodes of FSPS's dust emission in q_PAH [%] and U_min, by library (``sps_vars.f90``; written there in single
precision)."""


def make(path: Path | str, imf_type: int = 1) -> None:
    """Run FSPS in a child process and write its table to ``path``, whole or not at all.

    A Fortran STOP ends a Python process with status 0, so the table counts as made only if it can be read.

    Raises
    ------
    UserError
        If FSPS is not there, stops, or does not agree with what was written.

    """
    fsps_is_usable = [sys.executable, "-c", "import fsps"]
    if not os.environ.get("SPS_HOME") or subprocess.run(fsps_is_usable, capture_output=True, check=False).returncode:
        raise UserError(
            f"{path} must be made by FSPS, but python-fsps cannot be imported or SPS_HOME is not set. Install it "
            "(pip install '.[fsps]', SPS_HOME at a clone of FSPS) or use the shipped table: sps.table in the config."
        )
    command = [sys.executable, "-m", "mocksed.sps.make_table", str(path), str(imf_type)]
    started = datetime.now(UTC).timestamp()
    child = subprocess.run(command, check=False)
    if child.returncode or not Path(path).exists() or Path(path).stat().st_mtime < started - 1.0:
        raise UserError(f"FSPS ended before {path} was written (status {child.returncode}); its last lines say why.")
    read(path)


def extract(imf_type: int = 1) -> SSPTable:
    """Return the table of the FSPS of this process.

    Raises
    ------
    UserError
        If FSPS is not there or its composite spectra do not agree with sums over the table.

    """
    sps = fsps.population(imf_type)
    fsps.set_options(sps, fsps.ALWAYS | {"sfh": 0, "dust2": 0.0, "add_neb_emission": False})
    wavelength = np.asarray(sps.wavelengths, np.float64)
    log_age = np.asarray(sps.log_age, np.float64)
    log_zmet = fsps.log_zmet_grid(sps)
    stellar = np.empty((len(log_zmet), len(log_age), len(wavelength)))
    mass = np.empty((len(log_zmet), len(log_age)))
    with progress(len(log_zmet), "metallicities", "stars") as bar:
        for i, value in enumerate(log_zmet):
            sps.params["logzsol"] = value
            stellar[i] = sps.get_spectrum(tage=0.0)[1]
            mass[i] = sps.stellar_mass
            bar.update(1)

    neb_log_zmet, neb_log_age, neb_log_us = fsps.nebular_nodes(sps)
    young = log_age <= neb_log_age[-1]
    hats = hat_functions(log_age[young], neb_log_age)
    sun = int(np.argmin(np.abs(log_zmet)))
    photons = ionising_photons(wavelength, stellar[sun, young])
    behind_limit = np.where(wavelength <= LYMAN_LIMIT, 0.0, stellar[sun, young])
    shape = (len(neb_log_zmet), len(neb_log_us), len(neb_log_age))
    continuum, lines = np.empty((*shape, len(wavelength))), np.empty((*shape, len(sps.emline_wavelengths)))
    sps.params["logzsol"] = log_zmet[sun]
    sps.params["add_neb_emission"] = True
    sps.params["nebemlineinspec"] = False
    with progress(shape[0] * shape[1], "models", "gas") as bar:
        for i, gas_logz in enumerate(neb_log_zmet):
            for j, gas_logu in enumerate(neb_log_us):
                sps.params["gas_logz"], sps.params["gas_logu"] = gas_logz, gas_logu
                spectrum = sps.get_spectrum(tage=0.0)[1][young]
                glow = spectrum - behind_limit
                glow[glow < 1e-10 * behind_limit] = 0.0  # what the subtraction cannot resolve does not matter either
                continuum[i, j] = _at_nodes(hats, glow / photons[:, None])
                lines[i, j] = _at_nodes(hats, sps.emline_luminosity[young] / photons[:, None])
                bar.update(1)

    line_wavelength = np.asarray(sps.emline_wavelengths, np.float64)
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
        line_sigma=_line_sigma(wavelength, np.asarray(sps.resolutions), line_wavelength),
        line_name=fsps.line_names(line_wavelength),
        dust_qpah=dust_qpah,
        dust_umin=dust_umin,
        dust_emission=round_mantissa(dust_emission, _STELLAR_BITS),
        provenance=_provenance(sps, imf_type),
    )
    _verify(table, imf_type)
    return table


def hat_functions(x: NDArray[np.float64], nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of linear interpolation, shape (len(x), len(nodes)), constant beyond the end nodes."""
    return np.stack([np.interp(x, nodes, unit) for unit in np.eye(len(nodes))], axis=1)


def round_mantissa(values: NDArray, bits: int) -> NDArray[np.float32]:
    """Round to float32 with ``bits`` bits of mantissa, so that the file compresses."""
    drop = np.uint32(23 - bits)
    raw = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32(1 << (int(drop) - 1))
    return ((raw + half) >> drop << drop).view(np.float32)


def _at_nodes(hats: NDArray[np.float64], per_photon: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve for the logarithms at the age nodes whose interpolation gives ``per_photon`` at the SSP ages."""
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log10(np.maximum(per_photon, 0.0)), _FLOOR)
    return np.asarray(np.linalg.lstsq(hats, logs, rcond=None)[0], np.float64)


def _line_sigma(
    wavelength: NDArray[np.float64], resolution: NDArray[np.float64], lines: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the width of the lines [A] as FSPS sets it: two pixels at half maximum or the library's resolution."""
    i = np.clip(np.searchsorted(wavelength, lines, side="right") - 1, 0, len(wavelength) - 2)
    two_pixels = (wavelength[i + 1] - wavelength[i]) * 2.0 / 2.355
    return np.asarray(np.maximum(two_pixels, lines * np.abs(resolution[i]) / (LIGHT * 1e-13)))


def _dust_emission(sps: Any) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the nodes in q_PAH and U_min and the emission there per mass of dust [Lsun/Hz/Msun].

    Grey dust of great depth around young stars only leaves nothing of them and does not absorb what it emits, so that
    the spectrum is that of the dust.
    """
    qpah, umin = DUST_NODES[fsps.libraries(sps)["dust_emission"]]
    emission = np.empty((len(qpah), len(umin), 2, len(sps.wavelengths)))
    options = {"sfh": 0, "add_neb_emission": False, "add_dust_emission": True, "logzsol": 0.0}
    fsps.set_options(sps, {**options, "dust1": 200.0, "dust1_index": 0.0, "dust2": 0.0})
    for i, j, gamma in np.ndindex(emission.shape[:3]):
        fsps.set_options(sps, {"duste_qpah": qpah[i], "duste_umin": umin[j], "duste_gamma": float(gamma)})
        emission[i, j, gamma] = sps.get_spectrum(tage=1e-3)[1] / sps.dust_mass
    fsps.set_options(sps, {"add_dust_emission": False, "dust1": 0.0, "dust1_index": -1.0})
    return qpah, umin, emission


def _provenance(sps: Any, imf_type: int) -> dict:
    """Return what the table was made of and how."""
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

    engine = Engine(table)
    rng = np.random.default_rng(1)
    for nebular in (True, False):
        for _ in range(4):
            age, tau = 10 ** rng.uniform(-2.0, 1.1), 10 ** rng.uniform(-1.0, 2.0)
            zmet, us, dust2 = rng.uniform(*table.log_zmet_range), rng.uniform(-4.0, -1.0), rng.uniform(0.0, 2.0)
            expected, mass, *_ = fsps.composite(age, tau, zmet, us, dust2, nebular, imf_type)
            args = [np.array([value]) for value in (age, tau, zmet, us, dust2)]
            found = engine.spectra(*args, nebular=nebular)[0]
            found_mass = engine.derived(*args, nebular=nebular).mass_fraction[0]
            used = (table.wavelength > LYMAN_LIMIT) & (table.wavelength < 3e5)
            worst = float(np.max(np.abs(found / expected - 1.0)[used], initial=abs(found_mass / mass - 1.0)))
            log.info("check: nebular %s, age %.3g Gyr, tau %.3g Gyr: largest difference %.1e", nebular, age, tau, worst)
            if not worst < 1e-3:
                raise UserError(f"the table does not reproduce FSPS: {worst:.1e} at age {age} Gyr, tau {tau} Gyr.")


if __name__ == "__main__":
    from mocksed.jobs import job

    with job():
        write(sys.argv[1], extract(int(sys.argv[2])))
