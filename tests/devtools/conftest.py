"""These tests try the launcher with real processes, in a copy of its own `var`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.places import ROOT
from devtools.postgres import outside_data
from devtools.supervisor import Supervisor

# what the tests' own servers have put into the environment and a launcher must not inherit
SERVER_SETTINGS = (
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "DATABASE_OPS_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "FIELD_KEYS",
)


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    """A `var` whose path has a space."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    yield folder
    shutil.rmtree(outside_data(folder), ignore_errors=True)


@pytest.fixture
def launch(var: Path) -> Iterator:
    """Start `python -m devtools.<module> …` with that `var`; returns the process."""
    started: list[subprocess.Popen] = []

    def start(*args: str, **env: str) -> subprocess.Popen:
        clean = {name: value for name, value in os.environ.items() if name not in SERVER_SETTINGS}
        process = subprocess.Popen(
            [sys.executable, "-m", *args],
            cwd=ROOT,
            env=clean | {"SCRM_VAR": str(var)} | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def supervisor(var: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    from devtools import runfile

    monkeypatch.setattr(runfile, "FOLDER", var / "run")
    run = runfile.take("demo")
    supervisor = Supervisor(run, dict(os.environ), var / "log")
    yield supervisor
    supervisor.end(list(supervisor.children))
    run.release()
