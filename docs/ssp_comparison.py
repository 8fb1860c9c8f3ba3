"""Print the tables of docs/ssp-table.md: python docs/ssp_comparison.py bc03.h5 popstar.h5, made by `mocksed ssp`.

Colours of SSPs are of stars alone, at log_zmet = 0 of each library. Composites have gas and dust; galaxies of the same
parameters and surviving mass are compared between tables.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mocksed.sps import derived, photometry, table
from mocksed.sps.engine import Engine
from mocksed.sps.model import Model

SHIPPED = Path(__file__).parent.parent / "resources/ssp_padova_kurucz_chabrier.h5"
LOG_AGES = {"3 Myr": 6.5, "30 Myr": 7.5, "300 Myr": 8.5, "1 Gyr": 9.0, "3 Gyr": 9.5, "10 Gyr": 10.0}
N = 4000


def ssp_colours(of: table.SSPTable) -> NDArray[np.float64]:
    """Return U-V and V-J (AB) of stars of log_zmet 0 at `LOG_AGES`, shape (6, 2)."""
    colours = []
    for log_age in LOG_AGES.values():
        spectrum = 0.0
        for axis, z in enumerate(np.eye(len(of.log_zmet))):
            weight_z = np.interp(0.0, of.log_zmet, z)
            for row, a in enumerate(np.eye(len(of.log_age))):
                weight = weight_z * np.interp(log_age, of.log_age, a)
                if weight:
                    spectrum = spectrum + weight * of.stellar[axis, row].astype(float)
        flux = photometry.mean_fluxes(of.wavelength, np.asarray(spectrum)[None], derived.bands()[3:])[0]
        colours.append(2.5 * np.log10(flux[1:] / flux[:-1]))
    return np.array(colours)


def composites(of: table.SSPTable) -> NDArray[np.float64]:
    """Return M_UV, UV slope, U-V and V-J of random galaxies, those with log_ssfr above and below -10.5, (N, 5)."""
    rng = np.random.default_rng(1)
    age, tau = 10 ** rng.uniform(-1.5, 1.1, N), 10 ** rng.uniform(-0.7, 1.5, N)
    zmet, us, dust2 = rng.uniform(-1.5, 0.15, N), rng.uniform(-3.5, -1.5, N), rng.uniform(0.0, 1.2, N)
    found = Engine(of, Model(dust_type="kriek_conroy")).derived(age, tau, zmet, us, dust2, -0.2, nebular=True)
    return np.column_stack([found.muv, found.beta, found.uv, found.vj, found.log_ssfr])


def main(paths: list[str]) -> None:
    """Print both tables in Markdown."""
    tables = {"shipped": table.read(SHIPPED)} | {Path(path).stem: table.read(path) for path in paths}
    colours = {name: ssp_colours(of) for name, of in tables.items()}
    print(
        "| age |", " | ".join(f"U-V {name}" for name in tables), "|", " | ".join(f"V-J {name}" for name in tables), "|"
    )
    print("|---" * (1 + 2 * len(tables)) + "|")
    for row, age in enumerate(LOG_AGES):
        print(f"| {age} |", " | ".join(f"{c[row, band]:.2f}" for band in (0, 1) for c in colours.values()), "|")
    ours = composites(tables["shipped"])
    forming = ours[:, 4] > -10.5
    for name in list(tables)[1:]:
        offset = composites(tables[name])[:, :4] - ours[:, :4]
        for kind, rows in (("star-forming", forming), ("quiescent", ~forming)):
            low, median, high = np.percentile(offset[rows], [16, 50, 84], axis=0)
            cells = (f"{m:+.2f} ({a:+.2f} .. {b:+.2f})" for m, a, b in zip(median, low, high, strict=True))
            print(f"| {name}, {kind} ({rows.sum()}) |", " | ".join(cells), "|")


if __name__ == "__main__":
    main(sys.argv[1:])
