"""Postgres and Valkey: kept for the demo, thrown away for tests, or those that the environment names."""

import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devtools import places, runfile
from devtools.places import ROOT, SetupError
from devtools.postgres import Postgres, data_folders, find_binaries, major_version
from devtools.valkey import Valkey


class Services:
    """Both servers and the environment that leads to them; `stop` is safe to call at any time, and twice.

    Args:
        folder: where a kept pair has its data; None makes a throw-away pair in a temporary folder.
        run: the launcher's run file; a throw-away pair makes its own, by which it is swept if its launcher is
            killed.
    """

    def __init__(self, folder: Path | None, run: runfile.RunFile | None = None) -> None:
        self.throwaway = folder is None
        self.run = run or runfile.take(f"throwaway-{os.getpid()}")
        self.own_run = run is None
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="scrm-"))
            folder.chmod(
                0o755
            )  # Postgres runs as another account when we are root; its own folder in here is 0700
            self.run.note(folder=str(folder))
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.secrets = places.new_secrets() if self.throwaway else self._kept_secrets(folder / "secrets.json")
        self.postgres: Postgres | None = None
        self.valkey: Valkey | None = None
        try:
            self._choose()
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Start both at once and note them in the run file. After a failure nothing is left running."""
        servers = [server for server in (self.postgres, self.valkey) if server]
        try:
            with ThreadPoolExecutor() as pool:
                for done in [pool.submit(server.start) for server in servers]:
                    done.result()
        except BaseException:
            self.stop()
            raise
        for server in servers:
            if server.process:
                self.run.note_child(server.name, server.process.pid)

    def stop(self) -> None:
        for server in (self.valkey, self.postgres):
            if server:
                server.stop()
        if self.throwaway:
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.postgres:
                shutil.rmtree(self.postgres.base, ignore_errors=True)  # may lie outside, see Postgres
        if self.own_run:
            self.run.release()

    def settings(self) -> dict[str, str]:
        """The environment of the product: addresses of the servers and the two keys."""
        found = {name: self.secrets[name] for name in ("SECRET_KEY", "FIELD_KEYS")}
        for server in (self.postgres, self.valkey):
            found |= server.settings() if server else {}
        return found

    def in_words(self) -> str:
        postgres = f"127.0.0.1:{self.postgres.port}" if self.postgres else "from DATABASE_URL"
        valkey = f"127.0.0.1:{self.valkey.port}" if self.valkey else "from REDIS_URL"
        return f"Postgres {postgres}, Valkey {valkey}"

    @staticmethod
    def _kept_secrets(path: Path) -> dict[str, str]:
        if not path.exists() and any(
            (data / "data" / "PG_VERSION").exists() for data in data_folders(path.parent)
        ):
            raise SetupError(
                f"{path} is gone, and with it the password of the data; make demo-reset starts over"
            )
        return places.kept_secrets(path)

    def _choose(self) -> None:
        logs = self.folder / "log"
        if not os.environ.get("DATABASE_URL"):
            base = self.folder / f"pg{major_version(find_binaries())}"
            self.postgres = Postgres(base, self.secrets, logs / "postgres.log", throwaway=self.throwaway)
        if not os.environ.get("REDIS_URL"):
            self.valkey = Valkey(
                self.folder / "valkey", self.secrets["valkey"], logs / "valkey.log", throwaway=self.throwaway
            )


def wecom_at(address: str) -> dict[str, str]:
    """The product's settings when everything of WeCom is one sandbox."""
    names = ("WECOM_API_URL", "WECOM_OAUTH_URL", "WECOM_LOGIN_URL", "WECOM_JSSDK_URL")
    return dict.fromkeys(names, address)


def manage(*args: str) -> list[str]:
    """Command line of manage.py with this interpreter."""
    return [sys.executable, str(ROOT / "manage.py"), *args]
