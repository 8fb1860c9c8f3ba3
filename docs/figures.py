"""Draw the figures of docs/method.md: python docs/figures.py, with SPS_HOME set for the comparison with FSPS."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from mocksed.relations import Relations
from mocksed.sps import table
from mocksed.sps.engine import Engine
from mocksed.sps.fsps import ReferenceEngine
from mocksed.sps.model import Model

HERE = Path(__file__).parent
TABLE = HERE.parent / "resources/ssp_padova_kurucz_chabrier.h5"

NODES = ((1.5, 8.2), (1.5, 10.0), (2.5, 10.7), (6.5, 10.0))
"""Redshift and log10 of the mass [Msun] of the galaxies in the figure of slopes."""


def parity() -> Figure:
    """Draw a spectrum of FSPS and of the engine, and their relative difference for random galaxies."""
    rng, n = np.random.default_rng(0), 40
    age, tau = 10 ** rng.uniform(-2, 1.1, n), 10 ** rng.uniform(-1, 2, n)
    log_zmet, log_us = rng.uniform(-2, 0.2, n), rng.uniform(-4, -1, n)
    dust2, dust_index = rng.uniform(0, 2, n), rng.uniform(-1.2, 0.4, n)
    galaxies = (age, tau, log_zmet, log_us, dust2, dust_index)
    model = Model(dust_type="kriek_conroy")
    read = table.read(TABLE)
    ours = Engine(read, model).spectra(*galaxies, nebular=True)
    theirs = ReferenceEngine(model=model).spectra(*galaxies, nebular=True)
    wavelength = read.wavelength
    seen = (wavelength > 912) & (wavelength < 3e5)
    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(7, 5), layout="constrained")
    example = int(np.argmin(dust2 + np.abs(np.log10(age))))  # about 1 Gyr old, with little dust
    upper.loglog(wavelength[seen], theirs[example][seen], color="0.7", linewidth=3, label="python-fsps")
    upper.loglog(wavelength[seen], ours[example][seen], color="C0", linewidth=1, label="mocksed")
    upper.set_ylabel(r"$L_\nu$ [L$_\odot$/Hz per M$_\odot$ formed]")
    upper.legend()
    difference = np.abs(ours[:, seen] / theirs[:, seen] - 1)
    lower.loglog(wavelength[seen], np.median(difference, axis=0), label="median")
    lower.loglog(wavelength[seen], np.max(difference, axis=0), label="largest")
    lower.set_xlabel("rest-frame wavelength [Å]")
    lower.set_ylabel(f"relative difference, {n} galaxies")
    lower.legend()
    return figure


def slopes() -> Figure:
    """Draw how far M_UV is from its relation when SFR, metallicity and UV slope are on theirs."""
    relations = Relations()
    engine = Engine(table.read(TABLE), Model(dust_type="kriek_conroy"))
    index, dust2 = np.linspace(-1.2, 0.4, 17), np.linspace(0.0, 4.0, 401)
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    for z, log_mass in NODES:
        log_sfr = relations.log_sfr_star_forming.mean(log_mass, z)
        log_zmet = relations.log_zmet.mean(log_mass, log_sfr, z)
        log_us = relations.log_us.mean(log_zmet, log_mass, log_sfr, z)
        muv = relations.muv.mean(log_mass, z)
        beta = relations.beta.mean(muv, z, relations.mean_a_uv(np.array([log_mass]), np.array([z]))[0])
        ages = np.linspace(0.01, 5.5 if z < 2 else 2.7 if z < 4 else 0.83, 400)
        offset = np.full((3, len(index)), np.nan)
        for row, tau in enumerate((0.3, 1.0, 10.0)):
            derived = engine.derived(ages, tau, log_zmet, log_us, 0.0, 0.0, nebular=True)
            age = np.interp(log_mass - log_sfr, -derived.log_ssfr, ages)  # SFR on its relation
            for column, slope in enumerate(index):
                reddened = engine.derived(age, tau, log_zmet, log_us, dust2, slope, nebular=True)
                if beta > reddened.beta.min() and beta < reddened.beta.max():
                    reached = reddened.muv - 2.5 * log_mass
                    offset[row, column] = np.interp(beta, reddened.beta, reached) - muv
        axis.plot(index, np.nanmean(offset, axis=0), label=f"z = {z:g}, log M = {log_mass:g}")
    axis.axhline(0, color="0.6", linewidth=1)
    axis.set_xlabel("slope of the attenuation curve, dust_index")
    axis.set_ylabel("M_UV less its relation [mag]")
    axis.legend()
    return figure


if __name__ == "__main__":
    for draw in (slopes, parity):
        draw().savefig(HERE.parent / "resources" / f"{draw.__name__}.png", dpi=110)
