"""`make run` after a kill; Snakemake and its jobs are killed in tests/faults."""

import os
import re
import signal
import subprocess
import sys

import pyarrow as pa
import pytest

from mocksed.files import storage
from tests.runs import PATIENCE_S, cloned, same, wait_for

pytestmark = pytest.mark.slow


def would_run(folder, *targets):
    """Return how many jobs of each rule Snakemake would run in a clone."""
    command = [sys.executable, "-m", "snakemake", "-n", *targets, "--configfile", "config/test/tiny.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    listed = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE))
    return {rule: int(n) for rule, n in listed.items() if rule not in ("all", "total")}


def test_make_run_resumes_after_a_kill(tiny, root, tmp_path):
    clone = cloned(root, tmp_path / "clone")
    command = ["make", "-o", ".venv/.installed", "run", "CONFIG=config/test/tiny.yaml", "CORES=2"]
    process = subprocess.Popen(
        command, cwd=clone, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_for(lambda: any(clone.glob("results/tiny/neighbours/*.parquet")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    assert (clone / "results/tiny/report.html").exists()
    run = clone / "results/tiny"
    found = pa.concat_tables(storage.read_table(path) for path in sorted(run.glob("catalog/*.parquet")))
    same(found, tiny.whole("catalog"))
    assert [path.name for stage in ("neighbours", "assign") for path in run.glob(f"{stage}/*")] == []
    assert all(any(run.glob(f"{stage}/**/*.*")) for stage in ("galaxies", "parent", "tree", "catalog", "spectra"))
    assert would_run(clone) == {}
    for path in ("plots/uvj.png", "spectra/0000.parquet"):
        (run / path).unlink()
    assert would_run(clone) == {"plot": 1, "spectra": 1}
    (run / "catalog/0001.parquet").unlink()  # what it is made from is gone, and made again of this shard alone
    listed = would_run(clone, "results/tiny/catalog/0001.parquet")
    assert listed == {"neighbours": 1, "assign": 1, "catalog": 1}
