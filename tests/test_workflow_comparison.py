"""The run beside the presets of 2021."""

import numpy as np
import pandas as pd
import pytest

from mocksed.diagnostics import COMPARISONS, comparison
from mocksed.files import storage
from tests.runs import VARIANTS, Workflow

pytestmark = pytest.mark.slow

ENOUGH = {"shards": 1, "lightcone": {"n_galaxies": 6000}}
"""With which bins have the 100 galaxies that numbers take, those of M_UV that no mass limit cuts included."""


def test_the_comparison_draws_the_runs_of_2021_beside_the_run(root, tmp_path):
    workflow = Workflow(root, tmp_path, galaxies=ENOUGH, parent={"shards": 1, "star_forming": {"n": 2000}})
    workflow.succeed("results/tiny/comparison/numbers.csv")
    names = {path.name for path in workflow.path("comparison").iterdir()}
    plots = {f"{plot}.{ending}" for plot in COMPARISONS for ending in ("png", "pdf")}
    assert names == plots | {"numbers.csv", "numbers.html"}
    catalogues = {}
    for name in VARIANTS:
        path = tmp_path / "results" / name / "catalog" / "0000.parquet"
        assert storage.metadata(path)["run"] == name
        catalogues[name] = storage.to_arrays(storage.read_table(path))
    one, other, _ = catalogues.values()
    for name in ("galaxy_id", "redshift", "log_mstar", "quiescent"):
        assert np.array_equal(one[name], other[name]), name
    assert not np.array_equal(one["age"], other["age"])
    table = pd.read_csv(workflow.path("comparison", "numbers.csv"))
    assert tuple(dict.fromkeys(table["run"])) == VARIANTS
    assert table.groupby("run", sort=False)["check"].agg(set).tolist() == [set(comparison.CHECKS)] * 3
    workflow.succeed("results/tiny/comparison/numbers.csv", "--report", "results/tiny/report.html")
    assert "comparison/offsets.png" in workflow.path("report.html").read_text()
