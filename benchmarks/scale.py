"""Run a config to its end, as its user would, and record what it took: benchmarks/scale_<run>.txt, scale.json and .png.

    python -m benchmarks.scale config/sim2048.yaml --folder /data/scale --cores 2
    python -m benchmarks.scale config/sim2048.yaml --folder /data/scale --cores 2 --minutes 90
    python -m benchmarks.scale config/sim2048.yaml --folder /data/scale_2e6 --cores 2 --galaxies 2000000

After the minutes no new job is started; the same command goes on. The plan is made before the first job. What jobs took
is what Snakemake and their logs say of them; CPU time of everything, Snakemake included, is what the system counted,
and disk space is looked at every few seconds. With a number of galaxies the config is one of so many, and of as many
fewer parents; the figure compares the sizes in scale.json. A folder in which the run is finished is only looked at.
"""

import argparse
import json
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib.ticker import NullFormatter, ScalarFormatter

from benchmarks.runs import TABLE, command, processor
from mocksed.diagnostics import style
from mocksed.run import configuration, kernel, laws, planning, usage
from mocksed.search import KINDS

FOLDER = Path(__file__).parent

LOOK_S = 5.0
"""Time between looks at the disk [s]."""


SHOWN = ("parent", "lightcone", "neighbours", "assign", "catalog")
"""Rules in the figure: those whose work grows with the galaxies and parents."""


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder; those that vanish meanwhile count as nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def session(words: list[str], results: Path, minutes: float | None) -> dict[str, Any]:
    """Run until the end, or until time is over and the jobs that run are done; return what it took."""
    reference_s, before, start = kernel.seconds(), resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    peak, stopped = 0, False
    process = subprocess.Popen(words, stdout=sys.stderr)
    while process.poll() is None:
        time.sleep(LOOK_S)
        peak = max(peak, size(results))
        if minutes is not None and not stopped and time.monotonic() - start > 60.0 * minutes:
            process.send_signal(signal.SIGTERM)
            stopped = True
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {
        "reference_s": round(reference_s, 3),
        "wall_s": round(time.monotonic() - start),
        "cpu_s": round(cpu_s),
        "peak_disk_bytes": peak,
        "finished": process.returncode == 0,
    }


def resized(source: dict[str, Any], n_galaxies: int) -> dict[str, Any]:
    """Return what a config says, for another number of galaxies of a light cone and as many times the parents."""
    config = configuration.load(source)
    factor = n_galaxies / config["galaxies"]["lightcone"]["n_galaxies"]
    galaxies = source.get("galaxies", {})
    lightcone = galaxies.get("lightcone", {}) | {"n_galaxies": n_galaxies}
    parent = {kind: config["parent"][kind] | {"n": round(config["parent"][kind]["n"] * factor)} for kind in KINDS}
    return source | {
        "run": f"{config['run']}_{n_galaxies:.0e}".replace("e+0", "e"),
        "galaxies": galaxies | {"lightcone": lightcone},
        "parent": source.get("parent", {}) | parent,
    }


def measured(source: Mapping[str, Any], folder: Path, sessions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a run took: CPU time of everything and of each rule, and the most memory and wall time of a job."""
    config = configuration.load(source)
    rules = {
        rule: {
            "jobs": len(taken),
            "cpu_s": round(sum(job.cpu_seconds for job in taken), 1),
            "longest_s": round(max(job.seconds for job in taken), 1),
            "memory_mb": round(max(job.memory_mb for job in taken)),
        }
        for rule, taken in usage.of_run(config["run"], folder).items()
    }
    return {
        "config": {key: value for key, value in source.items() if key != "sps"},
        "galaxies": config["galaxies"]["lightcone"]["n_galaxies"],
        "cpu_s": sum(one["cpu_s"] for one in sessions),
        "wall_s": sum(one["wall_s"] for one in sessions),
        "reference_s": [one["reference_s"] for one in sessions],
        "peak_disk_bytes": max(one["peak_disk_bytes"] for one in sessions),
        "rules": rules,
    }


def draw(runs: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the figure: cost of a galaxy and memory of a job by the number of galaxies."""
    runs = dict(sorted(runs.items(), key=lambda item: item[1]["galaxies"]))
    n = np.array([run["galaxies"] for run in runs.values()], float)
    figure = style.figure(9.0, 3.8)
    cost, memory = figure.subplots(1, 2)
    cost.loglog(n, [1e6 * run["cpu_s"] / run["galaxies"] for run in runs.values()], "ko-", label="all, with Snakemake")
    for rule in SHOWN:
        of_rule = [run["rules"].get(rule) for run in runs.values()]
        cost.loglog(n, [1e6 * taken["cpu_s"] / m for taken, m in zip(of_rule, n, strict=True)], "o-", ms=3, label=rule)
        memory.loglog(n, [taken["memory_mb"] / 1024.0 for taken in of_rule], "o-", ms=3, label=rule)
    cost.set(xlabel="galaxies, and parents", ylabel="CPU time per galaxy [us]")
    memory.set(xlabel="galaxies, and parents", ylabel="most memory of a job [GiB]", ylim=(0.2, 10.0))
    memory.yaxis.set_major_formatter(ScalarFormatter())
    memory.yaxis.set_minor_formatter(NullFormatter())
    cost.legend(ncols=2, fontsize="small")
    figure.savefig(FOLDER / "scale.png", dpi=150, metadata={"Software": None})


def table(config: Mapping[str, Any], jobs: Mapping[str, list[usage.Usage]]) -> str:
    """Return a line for each rule: its jobs and what they took, start included."""
    head = (
        f"{'rule':12s}{'jobs':>6s}{'rows':>9s}{'CPU [s]':>10s}{'us a row':>10s}{'longest [s]':>13s}{'memory [MB]':>13s}"
    )
    lines = [head]
    for rule in (rule for rule in laws.RULES if rule in jobs):
        taken, n_rows = jobs[rule], laws.RULES[rule].all_rows(config)
        cpu_s = sum(job.cpu_seconds for job in taken)
        lines.append(
            f"{rule:12s}{len(taken):6d}{n_rows:9.0e}{cpu_s:10.0f}{1e6 * cpu_s / max(n_rows, 1):10.2f}"
            f"{max(job.seconds for job in taken):13.0f}{max(job.memory_mb for job in taken):13.0f}"
        )
    total = sum(job.cpu_seconds for taken in jobs.values() for job in taken)
    lines.append(f"all jobs: {total / 3600.0:.2f} core-hours, {sum(map(len, jobs.values()))} jobs")
    return "\n".join(lines) + "\n"


def record(said: str, config: Mapping[str, Any], folder: Path, sessions: list[dict[str, Any]]) -> str:
    """Return the text of the record."""
    jobs, results = usage.of_run(config["run"], folder), folder / "results" / config["run"]
    hours = [sum(one[key] for one in sessions) / 3600.0 for key in ("cpu_s", "wall_s")]
    kernels = ", ".join(f"{one['reference_s']:.2f}" for one in sessions)
    parts = [
        f"{said}\n{processor()}; run in {len(sessions)} sessions, before which the reference kernel took {kernels} s",
        table(config, jobs)
        + f"everything, Snakemake included: {hours[0]:.2f} core-hours, {hours[1]:.2f} hours of wall time\n"
        f"disk: at most {max(one['peak_disk_bytes'] for one in sessions) / 1e9:.1f} GB, "
        f"{size(results) / 1e9:.1f} GB at the end",
        "The plan, made before the run:\n\n" + (folder / "plan.txt").read_text().rstrip(),
        "Jobs and plan (mocksed plan --check):\n\n" + planning.comparison(config, jobs).rstrip(),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Run, or go on, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="where to run; kept, and gone on with")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="after which no new job is started")
    parser.add_argument("--galaxies", type=int, help="instead of the config's, with as many times its parents")
    args = parser.parse_args()
    source = yaml.safe_load(args.config.read_text())
    if args.galaxies is not None:
        source = resized(source, args.galaxies)
    source["sps"] = {"table": str(TABLE)} | source.get("sps", {})
    config = configuration.load(source)
    plan, stored = args.folder / "plan.txt", args.folder / "sessions.json"
    sessions = json.loads(stored.read_text()) if stored.exists() else []
    if not (sessions and sessions[-1]["finished"]):
        words = command(args.folder, source, [], args.cores)
        if not plan.exists():
            plan.write_text(planning.table(config, kernel.seconds()))
        sessions.append(session(words, args.folder / "results" / config["run"], args.minutes))
        stored.write_text(json.dumps(sessions, indent=1))
    if not sessions[-1]["finished"]:
        sys.exit(f"{config['run']} is not finished; the same command goes on")
    text = record(shlex.join(["python", "-m", "benchmarks.scale", *sys.argv[1:]]), config, args.folder, sessions)
    print(text)
    if args.galaxies is None:
        (FOLDER / f"scale_{config['run']}.txt").write_text(text)
    path = FOLDER / "scale.json"
    runs = json.loads(path.read_text()) if path.exists() else {}
    runs[config["run"]] = measured(source, args.folder, sessions)
    path.write_text(json.dumps(runs, indent=1) + "\n")
    draw(runs)


if __name__ == "__main__":
    main()
