"""Programs that read exports, which not every machine has."""

import importlib
import os
import shutil
from typing import Any

import pytest

CLIENTS_REQUIRED = os.environ.get("MOCKSED_REQUIRE_CLIENTS") == "1"


def module(name: str) -> Any:
    """Return a module of a program; without it the test is skipped, unless the programs are required."""
    return importlib.import_module(name) if CLIENTS_REQUIRED else pytest.importorskip(name)


def needs(command: str) -> pytest.MarkDecorator:
    """Return the mark of a test that needs a command, which is skipped without it, unless the programs are required."""
    missing = not CLIENTS_REQUIRED and not shutil.which(command)
    return pytest.mark.skipif(missing, reason=f"{command} is not installed")
