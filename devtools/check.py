"""`make check`: every check in turn, all of them even when one fails; shows the output of those that fail.

    python -m devtools.check [NAME …]

Runs inside `devtools.stack run --fresh`, which supplies a database and the settings.
"""

import os
import subprocess
import sys
import time

from devtools.places import ROOT, fail
from devtools.services import manage

PYTHON = sys.executable
CHECKS: dict[str, list[str]] = {
    "ruff": [PYTHON, "-m", "ruff", "check", "--output-format=concise", "."],
    "format": [PYTHON, "-m", "ruff", "format", "--check", "."],
    "locks": [PYTHON, "-m", "devtools.locks"],
    "messages": [PYTHON, "-m", "devtools.messages", "check"],
    "layers": [PYTHON, "-c", "from importlinter.cli import lint_imports_command as run; run()"],
    "templates": [PYTHON, "-m", "djlint", "--lint", "--quiet", "templates"],
    "migrations": manage("makemigrations", "--check", "--dry-run"),
    "deploy": manage("check", "--deploy", "--fail-level", "WARNING"),
    "mypy": [PYTHON, "-m", "mypy"],
}
# as in production: what the demo and the tests switch off is on
PRODUCTION = {
    "DEBUG": "0",
    "SECURE": "1",
    "STATIC_PLAIN": "0",
    "ALLOWED_HOSTS": "scrm.example.com",
    "PUBLIC_URL": "https://scrm.example.com",
}


def run(names: list[str]) -> list[str]:
    """Run the named checks and return those that failed."""
    failed = []
    for name in names:
        started = time.monotonic()
        done = subprocess.run(
            CHECKS[name],
            cwd=ROOT,
            env=os.environ | PRODUCTION,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        print(
            f"{'ok    ' if done.returncode == 0 else 'FAILED'} {name:10} {time.monotonic() - started:5.1f} s",
            flush=True,
        )
        if done.returncode:
            failed.append(name)
            print(done.stdout.rstrip(), flush=True)
    return failed


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(CHECKS)
    if unknown := set(chosen) - set(CHECKS):
        fail(f"no check named {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
    if bad := run(chosen):
        fail(f"failed: {', '.join(bad)}")
