"""The launcher as a person meets it: refusals, Ctrl-C, left-overs of a killed one."""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devtools import ports, processes
from devtools.places import SetupError
from devtools.stack import check_disk
from devtools.supervisor import Stopped, Supervisor

FOREVER = [sys.executable, "-c", "import threading; threading.Event().wait()"]
RUN_FOREVER = ("devtools.stack", "run", "--at", "kept", "--", *FOREVER)


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "still waiting"
        time.sleep(0.02)


@pytest.mark.parametrize("setting", ["PORT", "SANDBOX_PORT"])
def test_taken_port_is_one_line_and_a_failure(launch, setting):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        demo = launch("devtools.stack", "demo", **{"PORT": str(ports.any_free()), setting: str(port)})
        said = demo.communicate(timeout=300)[0]
    assert demo.returncode == 1
    line = f"error: port {port} is taken by another program; use another one, for example: "
    assert said.splitlines() == [line + f"make demo {setting}={port + 10}"]


def test_low_disk_is_one_line_and_a_failure(launch):
    free = {"PORT": str(ports.any_free()), "SANDBOX_PORT": str(ports.any_free())}
    demo = launch("devtools.stack", "demo", MIN_FREE_MB="99999999", **free)
    said = demo.communicate(timeout=300)[0].splitlines()
    assert demo.returncode == 1
    assert len(said) == 1
    assert "MB of disk are free" in said[0] and "99999999 are wanted" in said[0]


def test_disk_limit_must_be_a_number(tmp_path, monkeypatch):
    monkeypatch.setenv("MIN_FREE_MB", "much")
    with pytest.raises(SetupError, match="not a number"):
        check_disk(tmp_path)


@pytest.mark.parametrize("text", ["0", "65536", "web"])
def test_a_port_must_be_one(monkeypatch, text):
    monkeypatch.setenv("PORT", text)
    with pytest.raises(SetupError, match="is not a port"):
        ports.wanted("PORT", 8000)


def test_killed_child_is_named_and_the_others_end(supervisor: Supervisor):
    supervisor.start("worker", FOREVER)
    supervisor.start("web", FOREVER)
    supervisor.children["worker"].kill()
    supervisor.children["worker"].wait()
    with pytest.raises(
        SetupError, match=r"^worker ended by itself \(killed by SIGKILL\); everything else is stopped$"
    ):
        supervisor.look()
    supervisor.end(["worker", "web"])
    assert not processes.identity(supervisor.children["web"].pid)


def test_failed_child_shows_the_end_of_its_log(supervisor: Supervisor):
    supervisor.start("beat", [sys.executable, "-c", "raise SystemExit('no schedule')"])
    supervisor.children["beat"].wait()
    with pytest.raises(SetupError, match=r"beat ended by itself \(exit code 1\)[\s\S]*no schedule"):
        supervisor.look()


def test_children_of_children_end_too(supervisor: Supervisor, var: Path):
    """gunicorn and Celery have workers of their own; here a parent that is killed hard leaves one."""
    note = var / "grandchild"
    code = f"""
import pathlib, subprocess
child = subprocess.Popen({FOREVER!r})
pathlib.Path({str(note)!r}).write_text(str(child.pid))
child.wait()
"""
    supervisor.start("web", [sys.executable, "-c", code])
    until(lambda: note.exists() and note.read_text())
    supervisor.children["web"].kill()
    supervisor.end(["web"])
    until(lambda: not processes.identity(int(note.read_text())))


def test_failed_step_and_request_to_stop(supervisor: Supervisor):
    with pytest.raises(SetupError, match=r"migrate failed \(exit code 3\)[\s\S]*no such table"):
        supervisor.step(
            [sys.executable, "-c", "print('no such table'); raise SystemExit(3)"], "migrate", log="migrate"
        )
    supervisor._stop_soon(signal.SIGTERM, None)
    with pytest.raises(Stopped):
        supervisor.step(FOREVER, "seed")


def test_run_gives_servers_and_takes_them_away(launch, var):
    """Also the roles: the application's owns nothing and is bound by row-level security."""
    code = """
import os, psycopg2, redis
url = lambda name: os.environ[name].replace("postgres://", "postgresql://")
assert redis.Redis.from_url(os.environ["REDIS_URL"]).ping()
owner = psycopg2.connect(url("DATABASE_OWNER_URL")); owner.autocommit = True
owner.cursor().execute("CREATE TABLE made (id bigint GENERATED ALWAYS AS IDENTITY, x int)")
rw = psycopg2.connect(url("DATABASE_URL")).cursor()
rw.execute("INSERT INTO made (x) VALUES (1) RETURNING id"); assert rw.fetchone() == (1,)
rw.execute("CREATE TEMP TABLE t (x int)")
rw.execute("SELECT rolname, rolbypassrls, rolcreatedb FROM pg_roles WHERE rolname LIKE 'app%' ORDER BY 1")
print(rw.fetchall())
rw.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'scrm'")
print(rw.fetchall())
"""
    run = launch("devtools.stack", "run", "--fresh", "--", sys.executable, "-c", code)
    said = run.communicate(timeout=300)[0]
    assert run.returncode == 0, said
    assert "[('app_ops', True, False), ('app_owner', False, True), ('app_rw', False, False)]" in said
    assert "[('app_owner',)]" in said
    assert not list((var / "run").iterdir())


def test_kept_servers_keep_their_data_and_secrets(launch, var):
    code = """
import os, redis
print(redis.Redis.from_url(os.environ["REDIS_URL"]).incr("n"), os.environ["SECRET_KEY"])
"""
    said = []
    for _ in range(2):
        run = launch("devtools.stack", "run", "--at", "kept", "--", sys.executable, "-c", code)
        said.append(run.communicate(timeout=300)[0].split())
        assert run.returncode == 0
    assert [first for first, _ in said] == ["1", "2"]
    assert said[0][1] == said[1][1]
    assert (var / "kept" / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_lost_secrets_are_one_line(launch, var):
    command = ("devtools.stack", "run", "--at", "kept", "--", sys.executable, "-c", "pass")
    launch(*command).communicate(timeout=300)
    (var / "kept" / "secrets.json").unlink()
    run = launch(*command)
    said = run.communicate(timeout=300)[0]
    assert run.returncode == 1
    gone = f"error: {var}/kept/secrets.json is gone, and with it the password of the data"
    assert said.splitlines() == [f"{gone}; make demo-reset starts over"]


def test_second_launcher_is_refused_and_left_overs_are_ended(launch, var):
    first = launch(*RUN_FOREVER)
    facts = var / "run" / "kept.json"
    until(lambda: facts.exists() and json.loads(facts.read_text())["env"])
    kept = json.loads(facts.read_text())["children"]
    assert facts.stat().st_mode & 0o777 == 0o600  # it holds passwords

    second = launch(*RUN_FOREVER)
    assert f"already running (pid {first.pid})" in second.communicate(timeout=300)[0]
    assert second.returncode == 1

    first.kill()
    first.wait()
    assert all(processes.identity(pid) == proof for pid, proof in kept.values())
    third = launch("devtools.stack", "run", "--at", "kept", "--", sys.executable, "-c", "print('in')")
    said = third.communicate(timeout=300)[0]
    assert third.returncode == 0 and said.endswith("in\n")
    assert "ending postgres" in said and "ending valkey" in said
    assert not any(processes.identity(pid) == proof for pid, proof in kept.values())


def test_a_stranger_with_the_same_pid_is_left_alone(supervisor: Supervisor):
    supervisor.start("other", FOREVER)
    pid = supervisor.children["other"].pid
    assert processes.end_stranger("worker", pid, "another start time") is False
    assert processes.end_stranger("worker", pid, "") is False
    assert processes.identity(pid)


def test_terminated_run_takes_its_servers_along(launch, var):
    run = launch(*RUN_FOREVER)
    facts = var / "run" / "kept.json"
    until(lambda: facts.exists() and json.loads(facts.read_text())["env"])
    kept = json.loads(facts.read_text())["children"]
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=120)
    assert run.returncode == 128 + signal.SIGTERM
    assert not any(processes.identity(pid) == proof for pid, proof in kept.values())
    with contextlib.suppress(ProcessLookupError):
        os.kill(run.pid, 0)
