"""The workflow on a SLURM of several nodes, all on this machine; MPI over two of them is in test_run_mpi.py."""

import os
import subprocess
import time

import pytest

from tests import slurm_cluster
from tests.runs import PATIENCE_S, Workflow, targets

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def nodes_of(rule: str) -> dict[str, str]:
    """Return the node of each running job of a rule."""
    jobs = slurm_cluster.running(rule)
    return {job: slurm_cluster.ask("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip() for job in jobs}


def test_a_job_of_a_node_that_dies_ends_on_another_one(tiny, root, tmp_path):
    """Whole nodes for the search, which stages the trees on a disk of the node."""
    workflow = Workflow(root, tmp_path / "run", neighbours={"scratch": str(tmp_path / "scratch")})
    workflow.take_parents(tiny)
    profile = ["--profile", str(root / "profiles/slurm"), "--slurm-init-seconds-before-status-checks", "1"]
    exclusive = ["--set-resources", "neighbours:slurm_extra='--exclusive'"]
    files = targets(["neighbours"])
    command = workflow.command(*profile, *exclusive, "--", *files)
    (tmp_path / "scratch").mkdir()
    with (
        slurm_cluster.cluster(cores=2, memory_mb=6000, n_nodes=3),
        open(tmp_path / "said", "w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=os.environ, start_new_session=True) as run,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_S
            while len(jobs := nodes_of("neighbours")) < 2:
                assert run.poll() is None, (tmp_path / "said").read_text()[-5000:]
                assert time.monotonic() < deadline
                time.sleep(0.2)
            assert len(set(jobs.values())) == 2  # each has a node of its own
            job, node = next(iter(jobs.items()))
            slurm_cluster.kill_node(node)
            while "PENDING" not in slurm_cluster.ask("squeue", "--noheader", f"--jobs={job}", "--format=%T"):
                assert run.poll() is None, (tmp_path / "said").read_text()[-5000:]
                time.sleep(0.2)
            slurm_cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")  # SLURM waits two minutes
            assert run.wait(PATIENCE_S) == 0, (tmp_path / "said").read_text()[-5000:]
            ended = slurm_cluster.ended()[job]
        finally:
            run.kill()
    assert ended["JobState"] == "COMPLETED"
    assert ended["NodeList"] not in ("", node)
    for name in files:
        assert (workflow.folder / name).read_bytes() == (tiny.folder / name).read_bytes()
