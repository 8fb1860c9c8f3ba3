"""The recipes of CONTRIBUTING.md, followed in a copy of the source."""

import json
import os
import shutil
import subprocess
import sys
from textwrap import dedent

import numpy as np
import pytest

from tests.pages import blocks

pytestmark = pytest.mark.slow

USED = """
import json
import numpy as np
from mocksed.config import reference, relations_page
from mocksed.diagnostics import PLOTS, style
from mocksed.diagnostics.catalogue import Sample
from mocksed.diagnostics.settings import Settings
from mocksed.diagnostics.summary import module_of
from mocksed.errors import UserError
from mocksed.relations import Relations
from mocksed.run import configuration
from mocksed.sps import dust, fsps
from mocksed.sps.model import Model

cfg = configuration.load({
    "run": "new", "relations": {"log_sfr_star_forming": "author2030"}, "sps": {"dust_type": "author2031"},
})
model = Model.from_config(cfg["sps"])
try:
    fsps.model_options(model)
except UserError as error:
    refused = str(error)
sample = Sample({"redshift": np.array([0.5, 1.5, 1.6]), "quiescent": np.zeros(3, bool)}, n_catalogue=3)
settings, module = Settings(redshift_bins=(0.0, 1.0, 2.0)), module_of("redshifts")
measured = module.measure(sample, settings)
style.save(module.draw(sample, measured, settings), "redshifts.png")
print(json.dumps({
    "sfr": float(Relations.from_config(cfg["relations"]).of("log_sfr").mean(10.0, 1.0)),
    "listed": "`author2030`" in relations_page.markdown() and "author2031" in reference.markdown(),
    "curve": dust.curve([1100.0, 5500.0], model).base.tolist(),
    "refused": refused,
    "plots": list(PLOTS)[0],
    "counts": measured["counts"],
}))
"""


def insert(path, before, text):
    source = path.read_text()
    assert source.count(before) == 1
    path.write_text(source.replace(before, text + before))


@pytest.fixture(scope="module")
def source(root, tmp_path_factory):
    """The path of a copy of the source in which somebody followed the recipes."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(root / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "resources").symlink_to(root / "resources")
    relation, curve, entry, module, plot = (dedent(block) for block in blocks(root / "CONTRIBUTING.md", "python"))
    package = folder / "src/mocksed"
    with (package / "relations/published.py").open("a") as file:
        file.write(f"\n\n{relation}")
    insert(package / "sps/curves.py", "class AttenuationCurve(", f"{curve}\n\n")
    insert(package / "sps/curves.py", '    "power_law": AttenuationCurve(', f"    {entry}")
    insert(package / "config/schema.yaml", ", kriek_conroy, smc, reddy]", ", author2031")
    (package / "diagnostics/redshifts.py").write_text(module)
    insert(package / "diagnostics/__init__.py", '    "muv": Plot(', f"    {plot}")
    return folder / "src"


@pytest.fixture
def run(source, root, tmp_path):
    def run(*command):
        environment = os.environ | {"PYTHONPATH": str(source)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr * (command[1] == "-m")

    return run


def test_a_relation_a_curve_and_a_plot_are_used(run, tmp_path):
    found = json.loads(run(sys.executable, "-c", USED))
    assert found["sfr"] == pytest.approx(1.0 + np.log10(2.0))
    assert found["listed"]
    assert found["curve"] == pytest.approx([5.0, 1.0])
    assert found["refused"].startswith("FSPS has no curve author2031")
    assert (found["plots"], found["counts"]) == ("redshifts", [1, 2])
    assert (tmp_path / "redshifts.png").stat().st_size > 3000


def test_the_workflow_draws_the_plot(run, root):
    said = run(
        *(sys.executable, "-m", "snakemake", "-n", "--snakefile", root / "Snakefile"),
        *("--configfile", root / "config/config.yaml", "--", "results/demo/plots/redshifts.png"),
    )
    assert "Drawing redshifts" in said
