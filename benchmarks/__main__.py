"""Measure the hot paths side by side in one process on one core: `make bench`.

Every figure is the median of several runs. python-fsps is measured where it is installed.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from mocksed import assign, catalog, parent, quiescent
from mocksed.cosmology import age_max, cosmology
from mocksed.neighbours import METRICS, Neighbours
from mocksed.relations import Relations
from mocksed.sps import fsps, table
from mocksed.sps.engine import Engine
from mocksed.uvj import WILLIAMS2009

TABLE = Path(__file__).parents[1] / "resources/ssp_padova_kurucz_chabrier.h5"
FILTERS = [f"jwst_f{band}" for band in ("070w", "090w", "115w", "150w", "200w", "277w", "356w", "410m", "444w", "480m")]
REPEATS = 5


def median_time(work: Callable[[], object]) -> float:
    """Return the median time of a call [s], after one that compiles."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    """Print the table."""
    numba.set_num_threads(1)
    engine, cosmo, scatter = Engine(table.read(TABLE)), cosmology(), Relations()
    rng = np.random.default_rng(1)
    n = 2000
    redshift, log_mstar, ids = rng.uniform(0.1, 8.0, n), rng.uniform(8.0, 11.0, n), np.arange(n)
    parameters = {
        "age": age_max(cosmo, redshift) * rng.uniform(0.01, 1.0, n),
        "tau": 10 ** rng.uniform(-1, 2, n),
        "log_zmet": rng.uniform(-1.9, 0.19, n),
        "log_us": rng.uniform(-4, -1, n),
        "dust2": rng.uniform(0, 2, n),
    }
    columns = parameters | {"redshift": redshift, "log_mstar": log_mstar, "quiescent": np.zeros(n, bool)}
    columns["mass_fraction"] = engine.derived(*parameters.values(), nebular=True).mass_fraction
    points = parent.evaluate(
        parent.sample(np.arange(300_000), parent.PRESETS["star_forming"]["default"], quiescent=False, seed=1,
                      cosmo=cosmo, scatter=scatter),
        engine, quiescent=False,
    )  # fmt: skip
    metric = METRICS["default"]
    search = Neighbours(metric.coordinates(points), points["age"])
    proposal = assign.propose(ids, log_mstar, redshift, seed=1, scatter=scatter)
    targets = metric.coordinates(proposal | {"redshift": redshift, "log_mstar": log_mstar})
    galaxies = {"galaxy_id": ids, "redshift": redshift / 4.0, "log_mstar": log_mstar}
    prior = quiescent.Prior(parent.PRESETS["quiescent"]["default"], WILLIAMS2009, 200, 1, cosmo, scatter)

    rows: list[tuple[str, float]] = [
        ("spectra, gas and dust", median_time(lambda: engine.spectra(*parameters.values(), nebular=True)) / n),
        ("spectra, stars and dust", median_time(lambda: engine.spectra(*parameters.values(), nebular=False)) / n),
        ("derived quantities", median_time(lambda: engine.derived(*parameters.values(), nebular=True)) / n),
        (f"{len(FILTERS)} apparent magnitudes", median_time(
            lambda: catalog.apparent_magnitudes(columns, FILTERS, engine=engine, cosmo=cosmo, igm_model="madau1995")
        ) / n),
        ("10 neighbours of 3e5 points", median_time(
            lambda: search.nearest_allowed(targets, 10, age_max(cosmo, redshift))) / n),
        ("quiescent galaxy, z < 2", median_time(lambda: quiescent.assign(galaxies, prior, engine)) / n),
    ]  # fmt: skip
    reference = None
    if os.environ.get("SPS_HOME"):
        few = np.stack(list(parameters.values()), axis=1)[:40]
        fixed = few * [1, 1, 0, 1, 1]  # one metallicity, so that its SSPs are cached: FSPS at its quickest
        reference = median_time(lambda: [fsps.composite(*row, True) for row in fixed]) / len(few)
        rows.append(("python-fsps, warm", reference))
    print(f"{'one core, median of ' + str(REPEATS) + ' runs':32s} {'us a galaxy':>12s} {'python-fsps / this':>20s}")
    for name, seconds in rows:
        ratio = f"{reference / seconds:20.0f}" if reference else f"{'-':>20s}"
        print(f"{name:32s} {seconds * 1e6:12.1f} {ratio}")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
