"""Starting it: through manage.py, alone in another project, on a taken port; what it tells about itself."""

import ast
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import requests

from devtools import ports
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


def test_help_explains_itself_without_any_setting() -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "wecom_sandbox", "--help"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    for word in ("usage: manage.py wecom_sandbox", "--scenario", "--data", "/control/corps", "examples:"):
        assert word in ended.stdout


def test_it_lists_its_scenarios_and_describes_its_calls() -> None:
    assert "staff-leaving" in run("-m", "wecom.sandbox", "--scenarios").stdout
    page = run("-m", "wecom.sandbox", "--describe").stdout
    assert page == (ROOT / "docs" / "sandbox-control.md").read_text("utf-8"), (
        "python -m wecom.sandbox --describe > docs/sandbox-control.md"
    )


def test_its_folder_alone_starts(tmp_path: Path) -> None:
    """Another project copies wecom/sandbox and needs nothing else of this one."""
    shutil.copytree(
        ROOT / "wecom" / "sandbox",
        tmp_path / "wecom" / "sandbox",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    port = ports.any_free()
    argv = [
        sys.executable,
        "-m",
        "wecom.sandbox",
        "--port",
        str(port),
        "--scenario",
        "calm-day",
        "--speed",
        "0",
    ]
    process = subprocess.Popen(argv, cwd=tmp_path, env=env)
    try:
        one = Sandbox(data=tmp_path, port=port)
        one.wait_for(lambda: answers(one))
        assert one.get("scenario")["name"] == "calm-day"
        token = one.token("ww5a4db0c0ffee0001", "sandbox-secret-of-the-tea-shop")
        followers = one.api("externalcontact/get_follow_user_list", access_token=token)["follow_user"]
        assert followers == ["zhangsan", "lisi", "wangwu", "zhaoliu"]
        assert not list(tmp_path.glob("**/scrm"))
    finally:
        process.terminate()
        process.wait(10)


def answers(one: Sandbox) -> bool:
    with contextlib.suppress(requests.RequestException):
        return one.http.get(f"{one.url}/healthz", timeout=1).ok
    return False


def test_its_scenario_goes_on_after_a_crash_of_the_worker(tmp_path: Path) -> None:
    """It does not begin again."""
    port = ports.any_free()
    argv = [sys.executable, "-m", "wecom.sandbox", "--data", str(tmp_path), "--port", str(port)]
    with subprocess.Popen([*argv, "--scenario", "calm-day", "--speed", "0"], cwd=ROOT) as process:
        try:
            one = Sandbox(data=tmp_path, port=port)
            one.wait_for(lambda: answers(one))
            one.post("scenario/step", seconds=600)
            before = one.get("scenario")
            [worker] = workers(process)
            os.kill(int(worker), signal.SIGKILL)
            one.wait_for(lambda: workers(process) not in ([], [worker]) and answers(one))
            assert one.get("scenario") == before
        finally:
            process.terminate()


def workers(process: subprocess.Popen[bytes]) -> list[str]:
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


def test_a_scenario_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    ended = run("-m", "wecom.sandbox", "--data", str(tmp_path), "--scenario", "nothing.yaml")
    assert (ended.returncode, ended.stderr) == (1, "sandbox: no file nothing.yaml\n")


def test_what_it_imports_is_what_it_says() -> None:
    """wecom/sandbox/requirements.txt names every foreign package, and no other."""
    found = set()
    for path in (ROOT / "wecom" / "sandbox").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.split(".")[0])
    foreign = found - set(sys.stdlib_module_names) - {"wecom"}
    lines = (ROOT / "wecom" / "sandbox" / "requirements.txt").read_text("utf-8").splitlines()
    named = {line.split(">")[0].strip() for line in lines if line and not line.startswith("#")}
    names = {"yaml": "pyyaml"}
    assert {names.get(one, one) for one in foreign} == named
