"""The workflow on a SLURM of several nodes, all on this machine; MPI over two of them is in test_run_mpi.py."""

import pytest

from tests import slurm_cluster
from tests.runs import Run, Workflow, targets

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
    (tmp_path / "scratch").mkdir()
    with slurm_cluster.cluster(cores=2, memory_mb=6000, n_nodes=3):
        run = Run(tmp_path, *workflow.command(*profile, *exclusive, "--", *files))
        try:
            jobs = run.wait_for(lambda: len(nodes := nodes_of("neighbours")) == 2 and nodes)
            assert len(set(jobs.values())) == 2  # each has a node of its own
            job, node = next(iter(jobs.items()))
            slurm_cluster.kill_node(node)
            run.wait_for(lambda: "PENDING" in slurm_cluster.ask("squeue", "--noheader", f"--jobs={job}", "--format=%T"))
            slurm_cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")  # SLURM waits two minutes
            run.succeed()
            ended = slurm_cluster.ended()[job]
        finally:
            run.kill()
    assert ended["JobState"] == "COMPLETED"
    assert ended["NodeList"] not in ("", node)
    for name in files:
        assert (workflow.folder / name).read_bytes() == (tiny.folder / name).read_bytes()
