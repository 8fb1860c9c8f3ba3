"""Kill jobs, Snakemake and slurmd at random during a run on a private SLURM: `python -m benchmarks.kills`, as root.

The run has SHARDS shards of galaxies and goes as far as the spectra. Kills are spread over it at random, a seed decides
where: a job is cancelled, a process of a job gets SIGKILL, Snakemake does and is started again, or slurmd does and is
started again after some seconds. What counts is whether the run, gone on with after each, ends, whether all its files
have the bytes of an undisturbed run without SLURM, and whether two jobs ever worked on the same file.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml

from benchmarks.runs import ROOT, TABLE
from tests import slurm_cluster

RESULTS = Path(__file__).parent / "kills.txt"
SHARDS = 16
CONFIG: dict[str, Any] = {
    "run": "kills",
    "galaxies": {"shards": SHARDS, "lightcone": {"n_galaxies": 100 * SHARDS}},
    "parent": {"shards": 2, "star_forming": {"n": 5000}, "quiescent": {"n": 1000}},
    "photometry": {"filters": ["jwst_f115w", "jwst_f277w"]},
    "sps": {"table": str(TABLE)},
}
STAGES = ("galaxies", "neighbours", "assign", "catalog", "spectra")
TARGETS = [f"results/kills/spectra/{shard:04d}.parquet" for shard in range(SHARDS)]
KINDS = ("job cancelled", "process of a job", "Snakemake", "slurmd")


class Kill(NamedTuple):
    """A kill: after how many files of the run, of what."""

    after: int
    kind: str


def kills(n: int, seed: int) -> list[Kill]:
    """Return as many kills of each kind, at random places of the run, in their order."""
    draw = random.Random(seed)
    kinds = [KINDS[i % len(KINDS)] for i in range(n)]
    draw.shuffle(kinds)
    places = sorted(draw.sample(range(1, len(STAGES) * SHARDS), n))
    return [Kill(after, kind) for after, kind in zip(places, kinds, strict=True)]


class Run:
    """A run through SLURM in a folder, begun as often as it takes."""

    def __init__(self, folder: Path, draw: random.Random) -> None:
        self.folder, self.draw, self.starts = folder, draw, 0
        self.start()

    def start(self) -> None:
        """Start Snakemake."""
        self.starts += 1
        with open(self.folder / f"said-{self.starts}", "w") as log:
            self.process = subprocess.Popen(
                command("--profile", ROOT / "profiles/slurm", "--slurm-init-seconds-before-status-checks", 1),
                cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def go_on(self) -> None:
        """Start Snakemake again if it has ended badly: it was killed, or a job was hit thrice."""
        if self.process.poll():
            unlock(self.folder)
            self.start()

    def said(self) -> str:
        """Return what all of its Snakemakes said."""
        return "".join((self.folder / f"said-{i + 1}").read_text() for i in range(self.starts))

    def hit(self, kind: str) -> str | None:
        """Kill something; return what it was, None if there is nothing of the kind at the moment."""
        match kind:
            case "job cancelled":
                if not (jobs := slurm_cluster.running()):
                    return None
                job, what = self.draw.choice(sorted(jobs.items()))
                slurm_cluster.ask("scancel", job)
                return what.removeprefix("rule_").replace("_wildcards_", " ")
            case "process of a job":
                if not (processes := [p for p in psutil.process_iter() if of_a_job(p, self.folder)]):
                    return None
                victim = self.draw.choice(sorted(processes, key=lambda p: p.pid))
                try:
                    name = next((Path(a).name for a in victim.cmdline() if a.endswith(".py")), victim.name())
                    victim.kill()
                except psutil.NoSuchProcess:
                    return None
                return name.partition(".")[2] or name
            case "Snakemake":
                if self.process.poll() is not None:
                    return None
                n = len(slurm_cluster.running())
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                self.go_on()
                return f"with {n} jobs running"
            case _:
                n, seconds = len(slurm_cluster.running()), self.draw.uniform(0, 10)
                slurm_cluster.kill("slurmd-n1")
                time.sleep(seconds)
                slurm_cluster.start_node()
                return f"with {n} jobs running, for {seconds:.0f} s"


def command(*options: object) -> list[str]:
    """Return the command of a run."""
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile", "config.yaml"),
        *(*map(str, options), "--", *TARGETS),
    ]


def unlock(folder: Path) -> None:
    """Clear the lock of a Snakemake that was killed."""
    subprocess.run(command("--unlock", "--cores", 1), cwd=folder, check=True, capture_output=True)


def of_a_job(process: psutil.Process, folder: Path) -> bool:
    """Return whether a Python process was started by SLURM and works in the folder."""
    try:
        return (
            process.name().startswith("python")
            and process.cwd() == str(folder)
            and any(parent.name() == "slurmstepd" for parent in process.parents())
        )
    except psutil.Error:
        return False


def prepare(folder: Path) -> Path:
    """Make the folder of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder.resolve()


def done(folder: Path) -> int:
    """Return how many files of the stages are there."""
    return sum(len(list((folder / "results/kills" / stage).glob("[0-9]*.parquet"))) for stage in STAGES)


def checksums(folder: Path) -> dict[str, str]:
    """Return the checksum of each file of a run."""
    paths = sorted(path for path in (folder / "results").glob("**/*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def doubled(said: str) -> int:
    """Return how many pairs of jobs worked on the same files at the same time."""
    about, n = slurm_cluster.ended(), 0
    for jobs in slurm_cluster.submitted(said).values():
        times = sorted((about[job]["StartTime"], about[job]["EndTime"]) for job in jobs if job in about)
        n += sum(later[0] < earlier[1] for earlier, later in pairwise(times))
    return n


def killed(folder: Path, n: int, seed: int) -> Iterator[str]:
    """Make the run with its kills and yield a line on each, and on all of it."""
    start, run = time.monotonic(), Run(folder, random.Random(seed))
    try:
        for i, kill in enumerate(kills(n, seed)):
            what = None
            while what is None:
                time.sleep(0.2)
                run.go_on()
                if run.process.poll() == 0:
                    what = "too late: the run has ended"
                elif done(folder) >= kill.after:
                    what = run.hit(kill.kind)
            yield f"{i + 1:4d}  {done(folder):5d}  {kill.kind:18s}{what}"
        while run.process.wait() != 0:
            run.go_on()
    finally:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
    said = run.said()
    jobs = slurm_cluster.submitted(said)
    n_jobs = sum(map(len, jobs.values()))
    yield ""
    yield f"{len(jobs)} pieces of work, {n_jobs} jobs submitted, {run.starts} starts of Snakemake"
    yield f"pairs of jobs that worked on the same files at the same time: {doubled(said)}"
    yield f"wall time: {time.monotonic() - start:.0f} s"


def main() -> int:
    """Run the benchmark and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cores", type=int, default=2, help="that the private cluster says it has (default: 2)")
    parser.add_argument("--folder", type=Path, help="keeps the runs; one without SLURM that is there is gone on with")
    args = parser.parse_args()
    lines = [
        f"{args.kills} kills, seed {args.seed}, in one run of {SHARDS} shards through SLURM",
        "",
        " no.  files  killed",
    ]
    with tempfile.TemporaryDirectory() as top:
        calm, disturbed = (prepare(Path(args.folder or top, name)) for name in ("calm", "disturbed"))
        shutil.rmtree(disturbed / "results", ignore_errors=True)
        with slurm_cluster.cluster(cores=args.cores):
            for line in killed(disturbed, args.kills, args.seed):
                tell(line)
                lines.append(line)
        tell("without SLURM and undisturbed")
        subprocess.run(command("--cores", args.cores, "--quiet"), cwd=calm, check=True, stdout=sys.stderr)
        expected, found = checksums(calm), checksums(disturbed)
    equal = sum(found.get(path) == checksum for path, checksum in expected.items())
    lines.append(f"files with the bytes of the undisturbed run: {equal} of {len(expected)}")
    lines += [f"differs or is one too many: {path}" for path in found if found[path] != expected.get(path)]
    lines += ["passed" if found == expected else "FAILED", ""]
    RESULTS.write_text("\n".join(lines))
    print(RESULTS.read_text())
    return 0 if found == expected else 1


def tell(line: str) -> None:
    """Say on standard error how far the benchmark is."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
