"""Starting it: through manage.py, on a taken port, twice on the same data."""

import os
import subprocess
import sys
from pathlib import Path

from tests.wecom.sandbox_client import ROOT, Sandbox


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(
        [sys.executable, *argv], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )


def test_manage_command_becomes_the_sandbox(tmp_path: Path) -> None:
    ended = run("manage.py", "wecom_sandbox", "--check", "--data", str(tmp_path / "a folder"))
    assert (ended.returncode, ended.stdout) == (0, "sandbox: ok\n"), ended.stderr
    assert (tmp_path / "a folder" / "sandbox.sqlite3").exists()


def test_a_taken_port_is_one_line(sandbox_server: Sandbox, tmp_path: Path) -> None:
    ended = run("-m", "wecom.sandbox", "--port", str(sandbox_server.port), "--data", str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr.strip().splitlines() == [
        f"sandbox: port {sandbox_server.port} cannot be used: Address already in use"
    ]
