"""Other people's JavaScript packages (tests/wecom/npm), installed once into var/ from the lock, and node to run
them.

Fixture: `node` (session). Without the packages and without a registry the tests are skipped, on CI they fail.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devtools.assets import QUIET, npm
from devtools.places import VAR, SetupError

HERE = Path(__file__).parent / "npm"
TARGET = VAR / "npm-tests"
RUN_S = 240


@dataclass(frozen=True)
class Node:
    """node with the packages on its path."""

    argv: tuple[str, ...]
    env: dict[str, str]

    def steps(self, script: str, given: dict[str, Any], *, preload: str = "", **env: str) -> list[Any]:
        """Run a script of tests/wecom/npm with `given` as its input; its results, errors as they are."""
        preloaded = ["--require", str(HERE / preload)] if preload else []
        done = subprocess.run(
            [*self.argv, *preloaded, str(HERE / script)],
            input=json.dumps(given),
            env={**self.env, **env},
            cwd=TARGET,  # one of the packages keeps its cache in the working folder
            capture_output=True,
            text=True,
            timeout=RUN_S,
        )
        if done.returncode or not done.stdout:
            raise AssertionError(f"{script}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def start(self, script: str, **env: str) -> subprocess.Popen[str]:
        """Start a script that goes on; its output is a pipe."""
        return subprocess.Popen(
            [*self.argv, str(HERE / script)],
            env={**self.env, **env},
            cwd=TARGET,
            stdout=subprocess.PIPE,
            text=True,
        )


def results(answers: list[Any]) -> list[Any]:
    """The results of all steps; the first error is raised."""
    for n, answer in enumerate(answers):
        assert "error" not in answer, f"step {n}: {answer['error']}"
    return [answer.get("ok") for answer in answers]


def install() -> Node:
    """The packages of the lock, installed if they are not there yet; one process does it, others wait.

    Raises:
        SetupError: no node, or no registry to fetch from.
    """
    argv, env = npm()
    wanted = hashlib.sha256(
        b"".join((HERE / name).read_bytes() for name in ("package.json", "package-lock.json"))
    ).hexdigest()
    TARGET.mkdir(parents=True, exist_ok=True)
    stamp = TARGET / ".stamp"
    with (VAR / "npm-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, TARGET / name)
            done = subprocess.run([*argv, "ci", *QUIET], cwd=TARGET, env=env, capture_output=True, text=True)
            if done.returncode:
                raise SetupError(f"npm ci failed: {(done.stderr or done.stdout).strip()[-500:]}")
            stamp.write_text(wanted)
    node = argv[:1] if len(argv) > 1 else [shutil.which("node", path=env["PATH"]) or "node"]
    return Node(tuple(node), {**env, "NODE_PATH": str(TARGET / "node_modules"), "NO_PROXY": "*"})


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """See `Node`."""
    try:
        yield install()
    except SetupError as error:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
