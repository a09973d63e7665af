"""Start the WeCom sandbox: a process of its own with its own settings and database."""

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import BaseCommand

ROOT = Path(__file__).resolve().parents[3]
# Its own settings: none of the product's secrets and addresses are left in its environment.
KEEP = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "LOG_LEVEL", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT", "COLUMNS")


def become(given: list[str]) -> NoReturn:
    """Turn this process into `python -m wecom.sandbox` with the same arguments, --help among them."""
    if not any(one == "--data" or one.startswith("--data=") for one in given):
        given = ["--data", str(ROOT / "var" / "sandbox"), *given]
    env = {key: os.environ[key] for key in KEEP if key in os.environ}
    env |= {"PYTHONPATH": str(ROOT), "SANDBOX_PROG": "manage.py wecom_sandbox"}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "wecom.sandbox", *given], env)  # noqa: S606


class Command(BaseCommand):
    """Nothing of the product stays in the process it becomes."""

    help = "Start the WeCom sandbox (docs/sandbox.md); wecom_sandbox --help tells the rest."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """manage.py does the same before it reads the settings."""
        become(argv[2:])

    def handle(self, *args: Any, **options: Any) -> None:
        become(list(args))
