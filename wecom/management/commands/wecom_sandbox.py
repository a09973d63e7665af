"""Start the WeCom sandbox: a process of its own with its own settings and database."""

import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

ROOT = Path(__file__).resolve().parents[3]


class Command(BaseCommand):
    """Becomes `python -m wecom.sandbox`; nothing of the product stays in that process."""

    help = "Start the WeCom sandbox (docs/sandbox.md)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8001)
        parser.add_argument("--data", type=Path, default=ROOT / "var" / "sandbox")
        parser.add_argument("--check", action="store_true", help="prepare its data folder, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        # Its own settings: none of the product's secrets and addresses are left in its environment.
        keep = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "LOG_LEVEL", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT")
        env = {key: os.environ[key] for key in keep if key in os.environ}
        env["PYTHONPATH"] = str(ROOT)
        argv = [
            sys.executable,
            "-m",
            "wecom.sandbox",
            "--host",
            options["host"],
            "--port",
            str(options["port"]),
        ]
        argv += ["--data", str(options["data"])] + (["--check"] if options["check"] else [])
        sys.stdout.flush()
        os.execve(sys.executable, argv, env)  # noqa: S606
