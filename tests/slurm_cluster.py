"""A private SLURM on this machine, for tests and benchmarks: `python -m tests.slurm_cluster up | down`.

Controller, nodes (one unless more are asked for, each a slurmd) and munge run as root on loopback, with ports, folders
and a key of their own. Jobs find the configuration only as /etc/slurm/slurm.conf, which therefore is a link to it while
the cluster is up: a machine has room for one. Limits are kept without cgroups: SLURM polls the memory of jobs. There is
no accounting.

A shell of its own: `python -m tests.slurm_cluster shell COMMAND ...` starts the cluster, runs the command and stops it.
"""

import argparse
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

CONF = Path("/etc/slurm/slurm.conf")
FOLDER = Path(tempfile.gettempdir(), "mocksed-slurm")
PORT = 16817  # of the controller; those of the nodes are the next
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "munged")

CONFIGURATION = """\
ClusterName=mocksed
SlurmctldHost={host}(127.0.0.1)
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
# neither systemd nor cgroups
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log
# cores and memory are what jobs share
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
MinJobAge=3600
EnforcePartLimits=ALL
OverTimeLimit=0
KillWait=2
ReturnToService=2
SlurmctldTimeout=120
SlurmdTimeout={patience}
MpiDefault={mpi}
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
TmpFS={folder}/tmp-%n
# believe the numbers below
SlurmdParameters=config_overrides
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={node_ports} CPUs={cores} Boards=1 SocketsPerBoard=1 \
CoresPerSocket={cores} ThreadsPerCore=1 RealMemory={memory_mb} State=UNKNOWN
PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE DefMemPerCPU=500 State=UP
PartitionName=short Nodes={nodes} MaxTime=5 DefMemPerCPU=500 State=UP
"""


def why_not() -> str | None:
    """Return why no cluster can be started on this machine, None if one can."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]
    if missing:
        return f"there is no {', '.join(missing)}: install slurmctld slurmd slurm-client munge libpmix-dev"
    if os.geteuid() != 0:
        return "only root can start a SLURM"
    if (CONF.exists() or CONF.is_symlink()) and not is_ours():
        return f"{CONF} is there: this machine has a SLURM of its own"
    return None


def is_ours() -> bool:
    """Return whether the configuration of this machine is a link to the private cluster's."""
    return CONF.is_symlink() and CONF.readlink().is_relative_to(FOLDER)


def up(cores: int | None = None, memory_mb: int | None = None, n_nodes: int = 1) -> None:
    """Start the cluster, or what of it is not alive; return when all nodes take jobs.

    Parameters
    ----------
    cores : int, optional
        Cores that a node says it has, by default those of this machine.
    memory_mb : int, optional
        Memory that it says it has [MB], by default most of this machine's.
    n_nodes : int
        Number of nodes, at most 9, called n1, n2, ... Where there are several, one that does not answer for half a
        minute is given up; a single one has five minutes to come back.

    Raises
    ------
    RuntimeError
        If this machine cannot have one (see `why_not`), or the cluster does not come up.

    """
    if reason := why_not():
        raise RuntimeError(reason)
    host = socket.gethostname().split(".")[0]
    names = node_names(n_nodes)
    for name in ("state", *(f"{kind}-{node}" for kind in ("spool", "tmp") for node in names)):
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
    FOLDER.chmod(0o755)
    (FOLDER / "log").touch()
    # libpmix-dev has the link that the plugin opens
    mpi = "pmix" if any(Path("/usr/lib").glob("*/pmix2/lib/libpmix.so")) else "none"
    (FOLDER / "slurm.conf").write_text(
        CONFIGURATION.format(
            host=host,
            folder=FOLDER,
            port=PORT,
            nodes=f"n[1-{n_nodes}]",
            node_ports=f"[{PORT + 1}-{PORT + n_nodes}]",
            patience=300 if n_nodes == 1 else 30,
            mpi=mpi,
            cores=cores or os.cpu_count(),
            memory_mb=memory_mb or psutil.virtual_memory().total // 2**20 - 1024,
        )
    )
    CONF.parent.mkdir(exist_ok=True)
    if not is_ours():
        CONF.symlink_to(FOLDER / "slurm.conf")
    start_munge()
    start_controller()
    for name in names:
        start_node(name)


def node_names(n_nodes: int) -> list[str]:
    """Return the names of nodes."""
    return [f"n{i + 1}" for i in range(n_nodes)]


def start_munge() -> None:
    """Start the daemon that signs messages."""
    if alive("munged"):
        return
    key = FOLDER / "munge.key"
    if not key.exists():
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
    options = [f"--{kind}-file={FOLDER}/munged.{kind}" for kind in ("pid", "log", "seed")]
    start("munged", "--force", "--num-threads=2", f"--key-file={key}", f"--socket={FOLDER}/munge.socket", *options)


def start_controller() -> None:
    """Start slurmctld and wait until it answers."""
    if not alive("slurmctld"):
        start("slurmctld")
    wait_for(lambda: "is UP" in ask("scontrol", "ping"), "slurmctld")


def start_node(name: str = "n1") -> None:
    """Start the slurmd of a node and wait until it takes jobs."""
    if not alive(f"slurmd-{name}"):
        start("slurmd", "-N", name)
    wait_for(lambda: ready(name), f"slurmd-{name}")


def ready(name: str) -> bool:
    """Return whether a node takes jobs."""
    state = ask("sinfo", "--noheader", "--partition=main", f"--nodes={name}", "--format=%T").strip()
    if state.startswith(("down", "drain")):
        ask("scontrol", "update", f"nodename={name}", "state=resume")
    return state in ("idle", "mixed", "allocated", "completing")


def start(program: str, *options: str) -> None:
    """Start a daemon."""
    path = shutil.which(program, path=f"/usr/sbin:{os.environ['PATH']}")
    subprocess.run([str(path), *options], stdin=subprocess.DEVNULL, check=True, env=os.environ | {"LC_ALL": "C.UTF-8"})


def ask(*command: str) -> str:
    """Return what a command of SLURM prints, nothing if it fails or takes long."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    except subprocess.TimeoutExpired:
        return ""


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 180.0) -> None:
    """Wait until a condition holds.

    Raises
    ------
    RuntimeError
        If it does not in time; with the end of the log of the daemon ``what``.

    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            log = FOLDER / f"{what}.log"
            raise RuntimeError(f"{what} does not come up:\n" + (log.read_text()[-2000:] if log.exists() else ""))
        time.sleep(0.1)


def process(daemon: str) -> psutil.Process | None:
    """Return the running process of a daemon of this cluster: munged, slurmctld, slurmd-n1, ..."""
    try:
        found = psutil.Process(int((FOLDER / f"{daemon}.pid").read_text()))
        return found if found.name() == daemon.partition("-")[0] and found.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None


def alive(daemon: str) -> bool:
    """Return whether a daemon of this cluster runs."""
    return process(daemon) is not None


def kill(daemon: str, number: int = signal.SIGKILL) -> None:
    """Send a daemon a signal and wait for its end."""
    if found := process(daemon):
        found.send_signal(number)
        with suppress(psutil.TimeoutExpired):
            found.wait(20)
        if found.is_running():
            found.kill()
            found.wait(20)


def kill_node(name: str) -> None:
    """Let a node die: its slurmd and all processes of its jobs."""
    kill(f"slurmd-{name}")
    for job in psutil.process_iter():
        with suppress(psutil.Error):
            if job.environ().get("SLURMD_NODENAME") == name:
                for part in (*(parent for parent in job.parents() if parent.name() == "slurmstepd"), job):
                    part.kill()


def running(rule: str = "") -> dict[str, str]:
    """Return the running jobs of a rule, by default of all: what Snakemake calls them, by their identifiers."""
    lines = ask("squeue", "--noheader", "--states=running", "--format=%i %k").splitlines()
    return dict(line.split(maxsplit=1) for line in lines if f"rule_{rule}" in line)


def submitted(said: str) -> dict[str, list[str]]:
    """Return the identifiers of all jobs that Snakemake says it submitted, by rule and wildcards."""
    jobs: dict[str, list[str]] = {}
    for job, what in re.findall(r"SLURM jobid (\d+) \(log: \S+/rule_(\S+)/\d+\.log\)", said):
        jobs.setdefault(what, []).append(job)
    return jobs


def ended() -> dict[str, dict[str, str]]:
    """Return what SLURM noted of the jobs that have ended, JobState and others, by their identifiers."""
    lines = (FOLDER / "log").read_text().splitlines()
    return {about["JobId"]: about for about in (dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines)}


def down() -> None:
    """Cancel all jobs, stop all daemons and remove every trace."""
    if alive("slurmctld"):
        ask("scancel", "--full", "--signal=KILL", *ask("squeue", "--noheader", "--format=%i").split())
        ask("scancel", *ask("squeue", "--noheader", "--format=%i").split())
        deadline = time.monotonic() + 10
        while ask("squeue", "--noheader") and time.monotonic() < deadline:
            time.sleep(0.1)
    nodes = [path.stem for path in FOLDER.glob("slurmd-*.pid")]
    for daemon in (*nodes, "slurmctld", "munged"):
        kill(daemon, signal.SIGTERM)
    if is_ours():
        CONF.unlink()
    shutil.rmtree(FOLDER, ignore_errors=True)


@contextmanager
def cluster(cores: int | None = None, memory_mb: int | None = None, n_nodes: int = 1) -> Iterator[None]:
    """Have a new cluster for the time of a block, stopped whatever happens (see `up`); wait for whoever has one."""
    with open(FOLDER.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        down()  # what a killed session left
        try:
            up(cores, memory_mb, n_nodes)
            yield
        finally:
            down()


def main() -> int:
    """Run a command of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("up", "down", "status", "shell"))
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what shell runs, by default $SHELL")
    parser.add_argument("--cores", type=int, help="that a node says it has")
    parser.add_argument("--memory", type=int, metavar="MB", help="that a node says it has")
    parser.add_argument("--nodes", type=int, default=1, help="how many there are")
    args = parser.parse_args()
    match args.what:
        case "up":
            up(args.cores, args.memory, args.nodes)
        case "down":
            down()
        case "status":
            for path in sorted(FOLDER.glob("*.pid")):
                print(f"{path.stem}: {'runs' if alive(path.stem) else 'does not run'}")
        case "shell":
            with cluster(args.cores, args.memory, args.nodes):
                return subprocess.run(args.command or [os.environ.get("SHELL", "bash")], check=False).returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
