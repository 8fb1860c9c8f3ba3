import fcntl
import importlib
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numba
import pytest
from hypothesis import settings

from mocksed.sps import make_table, table
from mocksed.sps.curves import SLOPED
from mocksed.sps.engine import Engine
from mocksed.sps.model import Model
from tests import processes, slurm_cluster
from tests.runs import Workflow

# the first call of a compiled function takes long, and the suite should say the same each time
settings.register_profile("mocksed", deadline=None, derandomize=True)
settings.register_profile("quick", settings.get_profile("mocksed"), max_examples=20)
settings.load_profile("mocksed")

ROOT = Path(__file__).parents[1]
FSPS_REQUIRED = os.environ.get("MOCKSED_REQUIRE_FSPS") == "1"
SPECIAL = {"faults", "fsps", "slurm", "mpi", "slow"}
SLURM_REQUIRED = os.environ.get("MOCKSED_REQUIRE_SLURM") == "1"

QUICK_SETS = 4
"""Of a test with more sets of parameters, so many are quick; all of them are in the whole suite."""


@cache
def why_no_fsps() -> str | None:
    """Return why python-fsps cannot be used, None if it can."""
    home = os.environ.get("SPS_HOME")
    if not home or not Path(home).is_dir():
        return "SPS_HOME is not set to a folder"
    try:
        importlib.import_module("fsps")
    except Exception as error:
        return f"python-fsps cannot be imported: {error}"
    return None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", choices=("few", "all"), default="few", help="how many kills tests/faults makes")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.markexpr == "quick":
        settings.load_profile("quick")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, why_not, required in (
        ("fsps", why_no_fsps, FSPS_REQUIRED),
        ("slurm", slurm_cluster.why_not, SLURM_REQUIRED),
    ):
        if item.get_closest_marker(marker) and (reason := why_not()):
            if required:
                pytest.fail(f"{reason}, and MOCKSED_REQUIRE_{marker.upper()} is 1", pytrace=False)
            pytest.skip(reason)


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast files first, then the one that waits for a cluster, while another process of pytest does the rest.

    Tests of MPI want the cluster too, and so come last. What has no mark is quick, of a few sets of parameters.
    """
    marks: dict[Path, list[set[str]]] = {}
    sets: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        of_item = {mark.name for mark in item.iter_markers()}
        marks.setdefault(item.path, []).append(of_item)
        if not of_item & SPECIAL:
            sets[item.nodeid.partition("[")[0]].append(item)
    for name, of_test in sets.items():
        for item in random.Random(name).sample(of_test, min(QUICK_SETS, len(of_test))):
            item.add_marker("quick")

    def turn(item: pytest.Item) -> int:
        of_file = marks[item.path]
        if any("mpi" in of_item for of_item in of_file):
            return 3
        if any("slurm" in of_item for of_item in of_file):
            return 1
        return 2 if all("slow" in of_item for of_item in of_file) else 0

    items.sort(key=turn)


def pytest_deselected(items: list[pytest.Item]) -> None:
    if FSPS_REQUIRED and any(item.get_closest_marker("fsps") for item in items):
        raise pytest.UsageError("tests against FSPS are deselected, and MOCKSED_REQUIRE_FSPS is 1")
    if SLURM_REQUIRED and any(item.get_closest_marker("slurm") for item in items):
        raise pytest.UsageError("tests on SLURM are deselected, and MOCKSED_REQUIRE_SLURM is 1")


def pytest_collection_finish(session: pytest.Session) -> None:
    if FSPS_REQUIRED and not any(item.get_closest_marker("fsps") for item in session.items):
        raise pytest.UsageError("there are no tests against FSPS, and MOCKSED_REQUIRE_FSPS is 1")
    if SLURM_REQUIRED and not any(item.get_closest_marker("slurm") for item in session.items):
        raise pytest.UsageError("there are no tests on SLURM, and MOCKSED_REQUIRE_SLURM is 1")


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Fail at the end of all if something that a test started is still at work, and end it."""
    mark = processes.mark()
    yield
    if left := processes.left(mark):
        said = "\n".join(f"{process.pid} {' '.join(process.cmdline())}" for process in left)
        for process in left:
            process.kill()
        pytest.fail(f"tests left processes:\n{said}", pytrace=False)


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    """Return what sets the number of threads of compiled code until the end of the test."""
    before = numba.get_num_threads()
    yield numba.set_num_threads
    numba.set_num_threads(before)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str, Callable[[Path], object]], Path]:
    """Return what has something made once for all processes of pytest: by a name, and what makes it at a path."""
    mine = tmp_path_factory.getbasetemp()
    shared = mine if worker_id == "master" else mine.parent

    def once(name: str, make: Callable[[Path], object]) -> Path:
        path, done = shared / name, shared / f"{name}.done"
        with open(shared / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                make(path)
                done.touch()
        return path

    return once


@pytest.fixture(scope="session")
def tiny(root: Path, once: Callable[[str, Callable[[Path], object]], Path]) -> Workflow:
    """Return a finished run, one for all processes of pytest: tests may look at it and run what changes none of it."""
    return Workflow(root, once("tiny", lambda path: Workflow(root, path).succeed()))


@pytest.fixture(scope="session")
def table_of_imf(once: Callable[[str, Callable[[Path], object]], Path]) -> Callable[[int], Path]:
    """Return what gives the SSP table of an initial mass function of FSPS, which takes long to make."""
    return lambda imf_type: once(f"imf{imf_type}.h5", lambda path: make_table.make(path, imf_type))


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Return the engine over the SSP table that the project ships."""
    return Engine(table.read(ROOT / "resources" / "ssp_padova_kurucz_chabrier.h5"))


@pytest.fixture(scope="session", params=SLOPED)
def sloped(engine: Engine, request: pytest.FixtureRequest) -> Engine:
    """Return an engine over the same table for galaxies that have a slope of the attenuation curve each."""
    return Engine(engine.table, Model(dust_type=request.param))
