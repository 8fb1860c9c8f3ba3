"""Compare ways to let redshift enter through the age of the universe alone: `python -m benchmarks.ages`.

Star-forming galaxies of a light cone take the weighted mean of 10 neighbours among 1e6 points of the default parent.
Their neighbours are searched for among points younger than the universe, or among all with ages above moved to it; or a
point stands for the fraction of the age of the universe that its age was, at the redshift of the galaxy, and redshift
is one more coordinate. The table goes to benchmarks/ages.txt: distance of what comes out from what was proposed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import sample
from mocksed import assign, parent
from mocksed.columns import Flag
from mocksed.cosmology import Cosmology, age_max
from mocksed.galaxies.lightcone import LightCone
from mocksed.kdtree import KDTree
from mocksed.neighbours import METRICS
from mocksed.relations import Relations
from mocksed.sps import table
from mocksed.sps.engine import Engine

Columns = dict[str, NDArray]

RESULTS = Path(__file__).parent / "ages.txt"
METRIC = METRICS["default"]
K, N_PARENTS, N_GALAXIES, MIN_LOG_MSTAR = 10, 1_000_000, 20_000, 8.0
SCALES = (0.02, 0.05, 0.1, 0.2, 0.5)


class Way(NamedTuple):
    """A way to find neighbours: what it is, their rows, distances and ages [Gyr], arrays of shape (n, K)."""

    name: str
    rows: NDArray[np.int64]
    distance: NDArray[np.float64]
    age: NDArray[np.float64]


def ways(points: Columns, galaxies: Columns, limit: NDArray[np.float64]) -> Iterator[Way]:
    """Find neighbours in every way."""
    coordinates, targets, age = METRIC.coordinates(points), METRIC.coordinates(galaxies), points["age"]
    tree = KDTree.of(coordinates, age)
    rows, distance, _ = tree.nearest_allowed(targets, K, limit)
    yield Way("allowed ages only", rows, distance, age[rows])
    rows, distance = tree.nearest(targets, K)
    yield Way("any age, moved to the limit", rows, distance, age[rows])
    fraction = age / age_max(Cosmology(), points["redshift"])
    yield Way("fraction, redshift no coordinate", rows, distance, fraction[rows] * limit[:, None])
    for scale in SCALES:
        more = [
            np.column_stack([values, np.log10(1.0 + columns["redshift"]) / scale]).astype(np.float32)
            for values, columns in ((coordinates, points), (targets, galaxies))
        ]
        rows, distance = KDTree.of(more[0], age).nearest(more[1], K)
        yield Way(f"fraction, log(1 + z) / {scale} a coordinate", rows, distance, fraction[rows] * limit[:, None])


def outcome(way: Way, points: Columns, galaxies: Columns, limit: NDArray[np.float64], engine: Engine) -> str:
    """Return the line of the table."""
    neighbours = {name: points[name][way.rows] for name in assign.PARAMETERS} | {"age": way.age}
    found = np.ones(len(limit), bool)
    assigned = assign.assign(neighbours, way.distance, limit, found, galaxies["log_us"], METRIC)
    parameters = (assigned[name] for name in sample.PARAMETERS)
    derived = engine.derived(*parameters, nebular=True)
    final = {
        "log_mstar": galaxies["log_mstar"],
        "log_sfr": derived.log_ssfr + galaxies["log_mstar"],
        "muv": derived.muv - 2.5 * galaxies["log_mstar"],
        "beta": derived.beta,
        "log_zmet": assigned["log_zmet"],
    }
    distance = np.percentile(METRIC.distance(galaxies, final), [50, 84])
    offsets = [np.median(final[name] - galaxies[name]) for name in ("log_sfr", "muv")]
    clipped = 100.0 * np.mean(assigned["flags"] & Flag.AGE_CLIPPED > 0)
    values = "".join(f"{value:10.3f}" for value in (*distance, *offsets))
    return f"{way.name:44s}{values}{clipped:10.2f}\n"


def main() -> None:
    """Print the table and write it."""
    engine, cosmo, scatter = Engine(table.read(sample.TABLE)), Cosmology(), Relations()
    prior = parent.PRESETS["star_forming"]["default"]
    drawn = parent.sample(np.arange(N_PARENTS), prior, quiescent=False, seed=1, cosmo=cosmo, scatter=scatter)
    points = parent.evaluate(drawn, engine, quiescent=False)
    cone = LightCone(cosmo=cosmo, n_galaxies=N_GALAXIES, log_mstar=(MIN_LOG_MSTAR, 12.5), seed=3).draw(0, N_GALAXIES)
    own = {name: values[~cone["quiescent"]] for name, values in cone.items()}
    galaxies = own | assign.propose(own["galaxy_id"], own["log_mstar"], own["redshift"], seed=1, scatter=scatter)
    limit = age_max(cosmo, own["redshift"])
    head = "".join(f"{word:>10s}" for word in ("distance", "84 %", "dSFR", "dM_UV", "moved [%]"))
    text = f"{'medians, and 84th percentile of the distance':44s}{head}\n"
    text += "".join(outcome(way, points, galaxies, limit, engine) for way in ways(points, galaxies, limit))
    print(text)
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
