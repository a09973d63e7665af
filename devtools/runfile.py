"""What runs now: `var/run/<name>.json` (private: it holds the environment), and a lock held by its launcher.

The lock vanishes with its launcher, however that ends; so a file whose lock can be taken belongs to one that
was killed, and the processes in it are left over.
"""

import contextlib
import fcntl
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

from devtools import places, processes
from devtools.places import SetupError

FOLDER = places.VAR / "run"
SERVERS = ("valkey", "postgres")


class RunFile:
    """Held by the launcher from `take` to `release`."""

    def __init__(self, name: str, lock: TextIO) -> None:
        self.path = FOLDER / f"{name}.json"
        self._lock = lock
        self.facts: dict[str, Any] = {"pid": os.getpid(), "children": {}, "folder": None, "env": {}}
        self._write()

    def note(self, **facts: Any) -> None:
        self.facts |= facts
        self._write()

    def note_child(self, name: str, pid: int) -> None:
        self.facts["children"][name] = [pid, processes.identity(pid)]
        self._write()

    def release(self) -> None:
        self.path.unlink(missing_ok=True)
        if self.facts["folder"]:  # the name of a throw-away run is never used again
            Path(self._lock.name).unlink(missing_ok=True)
        self._lock.close()

    def _write(self) -> None:
        places.write_private(self.path, json.dumps(self.facts))


def take(name: str) -> RunFile:
    """Become the launcher of `name`, ending what an earlier one left behind.

    Raises:
        SetupError: another launcher holds it.
    """
    lock = _lock(name)
    if lock is None:
        facts = _facts(name)
        raise SetupError(
            f"already running (pid {facts.get('pid', '?')}) {facts.get('url', '')}; make stop ends it"
        )
    _clear(name)
    return RunFile(name, lock)


def running(name: str) -> dict[str, Any] | None:
    """The facts of a live launcher, or None."""
    lock = _lock(name)
    if lock is None:
        return _facts(name)
    lock.close()
    return None


def sweep() -> None:
    """End what killed launchers of any name left behind, and remove their throw-away folders."""
    for path in FOLDER.glob("*.json"):
        lock = _lock(path.stem)
        if lock is not None:
            _clear(path.stem)
            if path.stem.startswith("throwaway-"):
                Path(lock.name).unlink(missing_ok=True)
            lock.close()


def _lock(name: str) -> TextIO | None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = (FOLDER / f"{name}.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _facts(name: str) -> dict[str, Any]:
    try:
        return json.loads((FOLDER / f"{name}.json").read_text())
    except (OSError, ValueError):
        return {}  # being written, or just removed


def _clear(name: str) -> None:
    facts = _facts(name)
    children = facts.get("children", {})
    # servers last: the product's processes, which end side by side, still use them meanwhile
    product = [name for name in children if name not in SERVERS]
    with ThreadPoolExecutor(len(product) or 1) as pool:
        list(pool.map(lambda name: processes.end_stranger(name, *children[name]), product))
    for name in SERVERS:
        if name in children:
            processes.end_stranger(name, *children[name])
    if facts.get("folder"):
        shutil.rmtree(facts["folder"], ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        (FOLDER / f"{name}.json").unlink()
