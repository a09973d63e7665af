"""docker-compose.yml, proved without a Docker engine: settings exist, images are pinned, commands run."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from devtools import ports
from devtools.places import ROOT, new_secrets
from devtools.postgres import Postgres
from scrm import env

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = sorted(name for name, service in SERVICES.items() if "build" in service)
FOREIGN = sorted(set(SERVICES) - set(OWN))
# what the foreign images and our files mounted into them read
FOREIGN_SETTINGS = {
    "postgres": {
        "POSTGRES_PASSWORD",
        "POSTGRES_INITDB_ARGS",
        "APP_OWNER_PASSWORD",
        "APP_RW_PASSWORD",
        "APP_OPS_PASSWORD",
    },
    "redis": {"REDIS_PASSWORD"},
    "proxy": {"SITE_ADDRESS"},
}
VALUES = {
    "SITE_ADDRESS": "scrm.example.com",
    "SECRET_KEY": "s" * 60,
    "FIELD_KEYS": "A" * 43 + "=",
    "POSTGRES_PASSWORD": "p1",
    "APP_OWNER_PASSWORD": "p2",
    "APP_RW_PASSWORD": "p3",
    "APP_OPS_PASSWORD": "p4",
    "REDIS_PASSWORD": "p5",
}


def filled(text: str, values: dict[str, str] = VALUES) -> str:
    """What compose makes of ${NAME:?} and ${NAME:-default}; $$ stays a dollar."""

    def value(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        if name in values:
            return values[name]
        assert operator == ":-", f"{name} has no value"
        return rest

    return re.sub(r"(?<!\$)\$\{([A-Z_]+)(:\?|:-)?([^}]*)\}", value, text).replace("$$", "$")


def command(service: str, *more: str) -> list[str]:
    """The service's command with this interpreter instead of the image's."""
    given = SERVICES[service]["command"]
    words = [filled(word) for word in (shlex.split(given) if isinstance(given, str) else given)]
    return with_interpreter([*words, *more])


def with_interpreter(words: list[str]) -> list[str]:
    if words[0] == "python":
        return [sys.executable, *words[1:]]
    if words[0] in {"gunicorn", "celery"}:
        return [sys.executable, "-m", *words]
    return words


@pytest.fixture
def env_of_tests(django_db_setup: None) -> dict[str, str]:
    """The environment of our processes on this test's own database, with `python` on the PATH."""
    name = settings.DATABASES["default"]["NAME"]
    urls = {
        key: os.environ[key].rpartition("/")[0] + f"/{name}"
        for key in os.environ
        if re.fullmatch("DATABASE.*URL", key)
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return (
        dict(os.environ)
        | urls
        | {"PATH": path, "ALLOWED_HOSTS": "scrm.example.com", "SECURE": "1", "STATIC_PLAIN": "1"}
    )


def run(argv: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


@contextlib.contextmanager
def started(argv: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=log, stderr=log)
        try:
            yield process
            log.seek(0)
            assert process.poll() is None, log.read()
        finally:
            process.terminate()
            process.wait(120)


def until(condition: Callable[[], object], seconds: float = 180) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "still waiting"
        time.sleep(0.05)


# ---- the file


def test_services_are_the_ones_of_the_product():
    assert OWN == ["beat", "migrate", "web", "worker", "worker-fast"]
    assert FOREIGN == ["postgres", "proxy", "redis"]


@pytest.mark.parametrize("name", OWN)
def test_every_setting_passed_to_us_exists_and_is_understood(name, monkeypatch):
    passed = SERVICES[name]["environment"]
    assert set(passed) <= set(env.TABLE)
    for key in [key for key in os.environ if key in env.TABLE]:
        monkeypatch.delenv(key)
    for key, text in passed.items():
        monkeypatch.setenv(key, filled(text))
    values = env.read()
    assert values["DATABASE_URL"]["USER"] == "app_rw"
    assert values["DEBUG"] is False and values["SECURE"] is None


def test_only_who_needs_it_connects_as_owner_or_past_row_level_security():
    privileged = {
        name
        for name in OWN
        if {"DATABASE_OWNER_URL", "DATABASE_OPS_URL"} & set(SERVICES[name]["environment"])
    }
    assert privileged == {"migrate", "worker"}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_images_are_pinned_and_their_settings_known(name):
    assert re.fullmatch(
        r"[a-z0-9./-]+:\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?(@sha256:[0-9a-f]{64})?", SERVICES[name]["image"]
    )
    assert set(SERVICES[name]["environment"]) <= FOREIGN_SETTINGS[name]


def test_secrets_come_from_the_environment_and_a_missing_one_stops_compose():
    text = (ROOT / "docker-compose.yml").read_text()
    used = dict(re.findall(r"\$\{([A-Z_]+)(:\?|:-)", text))
    assert {name for name, operator in used.items() if operator == ":?"} == set(VALUES)
    assert not re.search(r"\$\{[A-Z_]+\}", text), "neither required nor with a default"
    example = (ROOT / ".env.example").read_text()
    for name in used:
        assert re.search(rf"^(# )?{name}=", example, re.M) or name == "SCRM_VERSION", name
    for name in VALUES:
        assert re.search(rf"^{name}=", example, re.M), name


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"migrate"}))
def test_every_running_service_restarts_and_has_a_health_check(name):
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


def test_volumes_and_dependencies_exist():
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"], (
                name,
                volume,
            )
        for other, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]
    for name in set(OWN) - {"migrate"}:
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_only_the_proxy_is_reachable_from_outside():
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    proxy = (ROOT / "deploy" / "Caddyfile").read_text()
    assert "reverse_proxy web:8000" in proxy
    assert any(word.endswith(":8000") for word in SERVICES["web"]["command"])


def test_the_proxy_lets_through_what_the_product_takes():
    """A limit of the proxy that is below one of ours would be a bare 413 in front of every sentence of ours."""
    from django.urls import resolve

    from datafiles.services import uploads
    from wecom.api import media

    proxy = (ROOT / "deploy" / "Caddyfile").read_text()
    paths = re.search(r"@files path (.+)", proxy).group(1).split()
    assert f"@others not path {' '.join(paths)}" in proxy
    assert {"/imports/new/", "/api/v1/imports/", "/content/upload/"} == set(paths)
    assert all(resolve(path) for path in paths)
    limits = {
        name: int(n) * 2**20 for name, n in re.findall(r"request_body @(\w+) \{\s+max_size (\d+)MiB", proxy)
    }
    room = 2**20  # of the form around the file
    assert limits["files"] >= uploads.MAX_BYTES + room
    assert limits["others"] >= max(media.MAX_BYTES.values()) + room
    assert limits["others"] >= settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    # threads: a long upload does not stop the worker's own sign of life, so gunicorn's time-out does not count for it
    assert "--worker-class=gthread" in SERVICES["web"]["command"]


def test_every_queue_has_a_worker():
    from scrm.schedule import BEAT_SCHEDULE, TASK_ROUTES

    routed = {route["queue"] for route in TASK_ROUTES.values()} | {settings.CELERY_TASK_DEFAULT_QUEUE}
    routed |= {
        entry["options"]["queue"] for entry in BEAT_SCHEDULE.values() if "queue" in entry.get("options", {})
    }
    served = {
        queue
        for name in OWN
        for word in SERVICES[name]["command"]
        if word.startswith("--queues=")
        for queue in word.removeprefix("--queues=").split(",")
    }
    assert served == routed | {"bulk"}


# ---- our commands, run for real


def test_web_command_starts_and_its_health_check_sees_it(env_of_tests):
    """The real gunicorn command on another port, as app_rw; before it listens the health check fails."""
    assert run(command("web", "--check-config"), env_of_tests).returncode == 0
    port = ports.any_free()
    check = with_interpreter([*SERVICES["web"]["healthcheck"]["test"][1:-1], str(port)])
    refused = run(check, env_of_tests)
    assert refused.returncode == 1 and "/healthz" in refused.stderr

    with started(command("web", f"--bind=127.0.0.1:{port}", "--workers=1"), env_of_tests) as web:
        until(lambda: web.poll() is not None or ports.answers(port))
        # its port is open before its worker has read the product
        until(lambda: web.poll() is not None or run(check, env_of_tests).returncode == 0)


def test_worker_commands_start_and_their_health_checks_see_them(env_of_tests):
    checks = {
        name: with_interpreter(SERVICES[name]["healthcheck"]["test"][1:])
        for name in ("worker", "worker-fast")
    }
    with contextlib.ExitStack() as stack:
        workers = []
        for name, check in checks.items():
            assert f"--hostname={check[-1]}@%h" in SERVICES[name]["command"]
            argv = command(name, "--concurrency=1", "--pool=solo")
            workers.append(stack.enter_context(started(argv, env_of_tests)))
        assert run([*checks["worker"][:-1], "nobody"], env_of_tests).returncode == 1
        for check in checks.values():
            until(
                lambda check=check: (
                    any(w.poll() is not None for w in workers) or run(check, env_of_tests).returncode == 0
                )
            )


def test_beat_command_starts_and_its_health_check_reads_the_schedule(env_of_tests, tmp_path):
    check = with_interpreter([*SERVICES["beat"]["healthcheck"]["test"][1:-1], str(tmp_path)])
    assert run(check, env_of_tests).returncode == 1
    argv = [word.replace("/data/beat", str(tmp_path)) for word in command("beat")]
    assert argv != command("beat")
    with started(argv, env_of_tests) as beat:
        until(lambda: beat.poll() is not None or list(tmp_path.glob("schedule*")))
    assert run(check, env_of_tests).returncode == 0
    for path in tmp_path.glob("schedule*"):
        os.utime(path, (0, 0))
    assert run(check, env_of_tests).returncode == 1


def test_migrate_command_runs_and_leaves_nothing_to_migrate(env_of_tests):
    done = run(command("migrate"), env_of_tests)
    assert done.returncode == 0, done.stderr
    assert (
        run(
            [sys.executable, "manage.py", "migrate", "--check", "--database", "owner"], env_of_tests
        ).returncode
        == 0
    )


def test_postgres_is_initialised_as_the_product_needs_it(tmp_path):
    """The image's initdb arguments, and our init script run by the demo's psql; twice, as after a change."""
    kept = Postgres(tmp_path / "pg", new_secrets(), tmp_path / "postgres.log", throwaway=True)
    kept.start()
    try:
        script = next(v.split(":")[0] for v in SERVICES["postgres"]["volumes"] if "initdb.d" in v)
        env = dict(os.environ) | {
            "PATH": f"{kept.binaries}{os.pathsep}{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(kept.port),
            "PGPASSWORD": kept.passwords["postgres"],
            "SCRM_ROLES_SQL": str(ROOT / "deploy" / "roles.sql"),
            **{name: f"new-{name}" for name in ("APP_OWNER_PASSWORD", "APP_RW_PASSWORD", "APP_OPS_PASSWORD")},
        }
        for _ in range(2):
            done = run(["sh", str(ROOT / script)], env)
            assert done.returncode == 0, done.stderr
        kept.passwords["app_rw"] = "new-APP_RW_PASSWORD"
        kept.psql("app_rw", "scrm", "-c", "CREATE TEMP TABLE t (x int)")
    finally:
        kept.stop()
    arguments = SERVICES["postgres"]["environment"]["POSTGRES_INITDB_ARGS"]
    for expected in ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"):
        assert expected in arguments.split()
        assert f'"{expected}"' in (ROOT / "devtools" / "postgres.py").read_text()


# ---- the image


def dockerfile() -> list[str]:
    text = re.sub(r"\\\n", " ", (ROOT / "deploy" / "Dockerfile").read_text())
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_image_is_pinned_unprivileged_and_installs_by_hash():
    lines = dockerfile()
    first = lines[0].split()
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-bookworm", first[1])
    assert [line for line in lines if line.startswith("FROM") and line.split()[1] != "base"] == [lines[0]]
    assert "USER scrm" in lines
    for line in lines:
        assert "pip install" not in line or "--require-hashes" in line


def test_image_copies_what_exists_and_every_app():
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied, final = set(), set()
    for line in dockerfile():
        words = line.split()
        if words[0] == "FROM":
            final = set()
        if words[0] != "COPY":
            continue
        from_build = words[1].startswith("--from=")
        for source in words[2 if from_build else 1 : -1]:
            name = source.removeprefix("/app/").rstrip("/")
            final.add(name)
            if not from_build:
                copied.add(name)
                assert (ROOT / name).exists(), name
                assert name.split("/")[0] not in ignored, name
            elif name != "var":
                assert name in copied or name.split("/")[0] in copied, name
    apps = {name.split(".")[0] for name in settings.INSTALLED_APPS if (ROOT / name.split(".")[0]).is_dir()}
    assert apps | {"templates", "locale", "manage.py", "deploy", "var"} <= final


def test_static_files_are_collected_with_the_settings_of_the_build(tmp_path):
    line = next(line for line in dockerfile() if "collectstatic" in line).removeprefix("RUN ")
    words = shlex.split(line)
    given = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
    argv = with_interpreter([word for word in words if not re.match(r"[A-Z_]+=", word)])
    clean = {name: value for name, value in os.environ.items() if name not in env.TABLE}
    done = run([*argv, "--dry-run"], clean | given)
    assert done.returncode == 0, done.stderr


def test_image_command_is_the_one_of_web():
    cmd = yaml.safe_load(next(line for line in dockerfile() if line.startswith("CMD")).removeprefix("CMD "))
    assert cmd == [filled(word) for word in SERVICES["web"]["command"] if "graceful" not in word]
