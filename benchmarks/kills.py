"""Kill jobs, Snakemake and slurmd at random during a run, on a private SLURM or without it: benchmarks/kills*.txt.

    python -m benchmarks.kills                                # on a private SLURM, as root
    python -m benchmarks.kills --local --galaxies 2000000     # without SLURM

The run has SHARDS shards of galaxies and goes as far as the spectra. Kills are spread over it at random, a seed decides
where. A process of a job gets SIGKILL, or Snakemake does and is started again. With SLURM a job is cancelled as well,
or slurmd gets SIGKILL and is started again after some seconds; without it, Snakemake and all jobs get it together. What
counts is whether the run, gone on with after each, ends, whether all its files have the bytes of an undisturbed run
without SLURM, and, on SLURM, whether two jobs ever worked on the same file.
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
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml

from benchmarks.runs import ROOT, TABLE
from tests import slurm_cluster
from tests.processes import local_jobs

FOLDER = Path(__file__).parent
SHARDS = 16
RULES = ("lightcone", "neighbours", "assign", "catalog", "spectra")
TARGETS = [f"results/kills/spectra/{shard:04d}.parquet" for shard in range(SHARDS)]
ON_SLURM = ("job cancelled", "process of a job", "Snakemake", "slurmd")
LOCAL = ("process of a job", "Snakemake", "Snakemake and all jobs")


class Kill(NamedTuple):
    """A kill: after how many finished jobs of a run, how many seconds later, of what."""

    after: int
    later_s: float
    kind: str


def config(n_galaxies: int) -> dict[str, Any]:
    """Return the config of a run."""
    return {
        "run": "kills",
        "galaxies": {"shards": SHARDS, "lightcone": {"n_galaxies": n_galaxies}},
        "parent": {"shards": 2, "star_forming": {"n": 5000 + n_galaxies}, "quiescent": {"n": 1000 + n_galaxies // 10}},
        "photometry": {"filters": ["jwst_f115w", "jwst_f277w"]},
        "spectra": {"wavelength": [1200.0, 2000.0]},
        "sps": {"table": str(TABLE)},
    }


def kills(n: int, seed: int, kinds: Sequence[str], job_s: float) -> list[Kill]:
    """Return as many kills of each kind, at random moments of a run whose jobs take so long, in their order."""
    draw = random.Random(seed)
    order = [kinds[i % len(kinds)] for i in range(n)]
    draw.shuffle(order)
    places = sorted(draw.sample(range(1, (len(RULES) - 1) * SHARDS + SHARDS // 2), n))  # before the end of the run
    return [Kill(after, draw.uniform(0.0, job_s), kind) for after, kind in zip(places, order, strict=True)]


class Run:
    """A run in a folder, through SLURM unless a number of local cores is given, begun as often as it takes."""

    def __init__(self, folder: Path, draw: random.Random, cores: int | None) -> None:
        self.folder, self.draw, self.cores, self.starts = folder, draw, cores, 0
        self.start()

    def start(self) -> None:
        """Start Snakemake. A local one repeats jobs that its predecessor's, still at work, get in the way of."""
        self.starts += 1
        where = ["--profile", ROOT / "profiles/slurm", "--slurm-init-seconds-before-status-checks", 1]
        if self.cores is not None:
            where = ["--cores", self.cores, "--rerun-incomplete", "--retries", 2]
        with open(self.folder / f"said-{self.starts}", "w") as log:
            self.process = subprocess.Popen(
                command(*where), cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )

    def go_on(self) -> None:
        """Start Snakemake again if it has ended badly: it was killed, or a job was hit thrice."""
        if self.process.poll():
            unlock(self.folder)
            self.start()

    def n_jobs(self) -> int:
        """Return how many jobs run."""
        return len(slurm_cluster.running() if self.cores is None else local_jobs(self.folder))

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
                if self.cores is None:
                    processes = [p for p in psutil.process_iter() if of_a_job(p, self.folder)]
                else:
                    processes = local_jobs(self.folder)
                if not processes:
                    return None
                victim = self.draw.choice(sorted(processes, key=lambda p: p.pid))
                try:
                    name = next((Path(a).name for a in victim.cmdline() if a.endswith(".py")), victim.name())
                    victim.kill()
                except psutil.NoSuchProcess:
                    return None
                return name.partition(".")[2] or name
            case "Snakemake" | "Snakemake and all jobs":
                if self.process.poll() is not None:
                    return None
                n = self.n_jobs()
                if kind == "Snakemake" and self.cores is not None:
                    self.process.kill()
                else:  # on SLURM, jobs are not in its process group
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


def prepare(folder: Path, n_galaxies: int) -> Path:
    """Make the folder of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config(n_galaxies)))
    return folder.resolve()


def done(folder: Path) -> int:
    """Return how many jobs are finished, of those that there is one of for each shard of galaxies."""
    return sum(len(list((folder / "benchmarks/kills" / rule).glob("*.tsv"))) for rule in RULES)


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


def killed(folder: Path, plan: list[Kill], seed: int, cores: int | None) -> Iterator[str]:
    """Make the run with its kills and yield a line on each, and on all of it."""
    start, run = time.monotonic(), Run(folder, random.Random(seed), cores)
    try:
        for i, kill in enumerate(plan):
            what = None
            while what is None:
                time.sleep(0.2)
                run.go_on()
                if run.process.poll() == 0:
                    what = "too late: the run has ended"
                elif done(folder) >= kill.after:
                    time.sleep(kill.later_s)
                    what = run.hit(kill.kind)
            yield f"{i + 1:4d}  {done(folder):4d}  {kill.kind:24s}{what}"
        while run.process.wait() != 0:
            run.go_on()
    finally:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
    yield ""
    if cores is None:
        said = run.said()
        jobs = slurm_cluster.submitted(said)
        yield f"{len(jobs)} pieces of work, {sum(map(len, jobs.values()))} jobs submitted"
        yield f"pairs of jobs that worked on the same files at the same time: {doubled(said)}"
    yield f"{run.starts} starts of Snakemake, wall time {time.monotonic() - start:.0f} s"


def main() -> int:
    """Run the benchmark and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--local", action="store_true", help="without SLURM")
    parser.add_argument("--galaxies", type=int, default=100 * SHARDS, help=f"default: {100 * SHARDS}")
    parser.add_argument("--cores", type=int, default=2, help="of this machine, or of the private cluster (default: 2)")
    parser.add_argument("--folder", type=Path, help="keeps the runs; the undisturbed one is gone on with")
    args = parser.parse_args()
    lines = [
        f"{args.kills} kills, seed {args.seed}, in one run of {args.galaxies:,} galaxies in {SHARDS} shards, "
        + ("without SLURM" if args.local else "through SLURM"),
        "",
        " no.  jobs  killed",
    ]
    with tempfile.TemporaryDirectory() as top:
        calm, disturbed = (prepare(Path(args.folder or top, name), args.galaxies) for name in ("calm", "disturbed"))
        for made in ("results", "benchmarks", ".snakemake"):
            shutil.rmtree(disturbed / made, ignore_errors=True)
        tell("without SLURM and undisturbed")
        start = time.monotonic()
        subprocess.run(command("--cores", args.cores, "--quiet"), cwd=calm, check=True, stdout=sys.stderr)
        wall_s = time.monotonic() - start
        plan = kills(
            args.kills, args.seed, LOCAL if args.local else ON_SLURM, args.cores * wall_s / len(RULES) / SHARDS
        )
        with nullcontext() if args.local else slurm_cluster.cluster(cores=args.cores):
            for line in killed(disturbed, plan, args.seed, args.cores if args.local else None):
                tell(line)
                lines.append(line)
        expected, found = checksums(calm), checksums(disturbed)
    equal = sum(found.get(path) == checksum for path, checksum in expected.items())
    lines.append(f"files with the bytes of the undisturbed run: {equal} of {len(expected)}")
    lines += [f"differs or is one too many: {path}" for path in found if found[path] != expected.get(path)]
    lines += [f"undisturbed: {wall_s:.0f} s", "passed" if found == expected else "FAILED", ""]
    (FOLDER / ("kills_local.txt" if args.local else "kills.txt")).write_text("\n".join(lines))
    print("\n".join(lines))
    return 0 if found == expected else 1


def tell(line: str) -> None:
    """Say on standard error how far the benchmark is."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
