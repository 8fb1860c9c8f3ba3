"""`make run` after a kill; Snakemake and its jobs are killed in tests/faults."""

import os
import signal
import subprocess

import pyarrow as pa
import pytest

from mocksed.files import storage
from tests.runs import PATIENCE_S, cloned, same, wait_for

pytestmark = pytest.mark.slow


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
    found = pa.concat_tables(storage.read_table(path) for path in sorted(clone.glob("results/tiny/catalog/*.parquet")))
    same(found, tiny.whole("catalog"))
