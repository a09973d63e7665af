"""pytest plugin (`-p devtools.pytest_services`, in pyproject.toml): servers and a migrated template database.

Starts a throw-away Postgres and Valkey unless DATABASE_URL and REDIS_URL name some, migrates the database
`scrm_template` once as app_owner (or reads the saved schema of the same code back, see saved_schema.py) and
names it in SCRM_TEST_TEMPLATE; tests/conftest.py clones it for each test process. xdist's workers inherit the environment.
"""

import atexit
import os
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from devtools import chromium, runfile, saved_schema
from devtools.places import ROOT, SetupError
from devtools.postgres import run_psql
from devtools.services import Services

TEMPLATE = "scrm_template"
# what the tests' product gets when the environment says nothing else
SETTINGS = {
    "STATIC_PLAIN": "1",
    "SECURE": "0",
    "LOG_LEVEL": "WARNING",
    "PUBLIC_URL": "http://testserver",
    "ALLOWED_HOSTS": "testserver,127.0.0.1,localhost",
}
DATABASES = ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_OPS_URL")
MIGRATED = "SCRM_TEST_MIGRATED"  # address of the database that this run has migrated, if it had to
OWN_POSTGRES = "SCRM_TEST_OWN_POSTGRES"  # for xdist's workers: the servers are ours, so start one more
_services: Services | None = None


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> None:
    """Runs before pytest-django reads the settings, which need a database's address."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        os.environ["TEST_PROCESS"] = worker
        # a database of its own within the server: tests empty it
        number = int(worker.removeprefix("gw")) + 1
        os.environ["REDIS_URL"] = urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{number}").geturl()
        if not os.environ.pop(OWN_POSTGRES, ""):
            return
        # and a Postgres of its own: the oldest open transaction, below which reactions read events, is one for all
        # databases of a server, so one process's test would hold back another's
        for name in DATABASES:
            del os.environ[name]
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if early_config.known_args_namespace.collectonly or {"--help", "-h", "--version"} & set(args):
        _settings_without_servers()
        return
    try:
        _start()
    except (SetupError, OSError) as error:
        raise pytest.UsageError(str(error)) from None


def pytest_unconfigure(config: pytest.Config) -> None:
    _stop()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Browser tests need Chromium: skipped without it, but a failure on CI, where it must be there."""
    if item.get_closest_marker("browser") and chromium.find() is None:
        reason = f"no Chromium ({chromium.HINT})"
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def _start() -> None:
    global _services
    runfile.sweep()
    _services = Services(None)
    atexit.register(_stop)  # a failing hook of another plugin skips pytest_unconfigure
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that atexit runs
    _services.start()
    for name, value in _services.settings().items():
        os.environ.setdefault(name, value)
    owner, own = os.environ["DATABASE_OWNER_URL"], _services.postgres
    _empty(owner, TEMPLATE)
    if not (own and saved_schema.read_back(own, TEMPLATE)):
        os.environ[MIGRATED] = migrate(owner, TEMPLATE)
        if own and saved_schema.can_save(own):
            saved_schema.save(own, TEMPLATE)
    os.environ["SCRM_TEST_TEMPLATE"] = TEMPLATE
    if own:
        os.environ[OWN_POSTGRES] = "1"


def own_services() -> Services | None:
    """The servers that this process has started; None for a process that uses another one's."""
    return _services


def _empty(owner: str, name: str) -> str:
    """An empty database beside `owner`'s; its address."""
    address = owner.rpartition("/")[0]
    run_psql(f"{address}/template1", "-c", f"DROP DATABASE IF EXISTS {name}", "-c", f"CREATE DATABASE {name}")
    return f"{address}/{name}"


def migrate(owner: str, name: str) -> str:
    """A migrated database beside `owner`'s; its address.

    Raises:
        SetupError: with what the migration said.
    """
    url = _empty(owner, name)
    run_psql(url, "-f", str(ROOT / "deploy" / "grants.sql"))
    env = dict(os.environ) | {"DATABASE_OWNER_URL": url}
    argv = [sys.executable, "-m", "devtools.database"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise SetupError(f"migrate failed:\n{done.stdout}{done.stderr}")
    return url


def _stop() -> None:
    global _services
    if _services:
        _services.stop()
        _services = None


def _settings_without_servers() -> None:
    os.environ.setdefault("DATABASE_URL", "postgres://app_rw:none@127.0.0.1:1/none")
    os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:1/0")
    os.environ.setdefault("SECRET_KEY", "collecting only")
    os.environ.setdefault("FIELD_KEYS", "A" * 43 + "=")
