"""`make doctor`: what this machine and checkout look like to the set-up, and what is missing."""

import os
import platform
import shutil
import sys
from collections.abc import Callable

from devtools import chromium, ports, postgres, runfile, valkey
from devtools.places import ROOT, VAR, SetupError


def show() -> int:
    """Print the findings; the exit code is 1 when the demo could not start."""
    bad = False
    for name, find in FINDINGS.items():
        try:
            print(f"  {name:12} {find()}")
        except SetupError as error:
            bad = True
            print(f"! {name:12} {error}")
    return int(bad)


def _database() -> str:
    if os.environ.get("DATABASE_URL"):
        return "from DATABASE_URL, none is started"
    binaries = postgres.find_binaries()
    return f"PostgreSQL {postgres.major_version(binaries)} in {binaries}"


def _redis() -> str:
    return "from REDIS_URL, none is started" if os.environ.get("REDIS_URL") else valkey.find_binary()


def _port(setting: str, default: int) -> Callable[[], str]:
    def find() -> str:
        if (facts := runfile.running("demo")) and facts.get("url"):
            return f"a demo runs at {facts['url']}"
        return f"{ports.wanted(setting, default)} is free"

    return find


def _browser() -> str:
    found = chromium.find()
    return found[0] if found else f"none, browser tests are skipped ({chromium.HINT})"


def _index() -> str:
    named = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
    return "set in the environment" if named else "the default one, or pip's configuration"


FINDINGS: dict[str, Callable[[], str]] = {
    "checkout": lambda: str(ROOT),
    "python": lambda: f"{platform.python_version()} in {sys.executable}",
    "machine": lambda: (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, user {os.geteuid()}"
    ),
    "disk": lambda: f"{shutil.disk_usage(VAR).free // 1_000_000} MB free for {VAR}",
    "postgres": _database,
    "redis": _redis,
    "PORT": _port("PORT", 8000),
    "SANDBOX_PORT": _port("SANDBOX_PORT", 8001),
    "chromium": _browser,
    "index": _index,
}
