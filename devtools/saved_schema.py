"""The migrated schema as SQL, kept in var/: a migration from nothing takes a minute, reading it back a few seconds.

Used by tests on servers of their own. What it is made from is its name, so that a changed model or migration is migrated anew.
"""

import hashlib
import os
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from devtools.places import ROOT, VAR, SetupError
from devtools.postgres import Postgres, major_version

FOLDER = VAR / "schema"
KEPT = 3  # branches of a checkout take turns
# migrations, models, whatever turns them into tables, policies and partitions, and the versions of the libraries
MADE_FROM = (
    "*/migrations/*.py",
    "*/models.py",
    "*/models/**/*.py",
    "tenants/**/*.py",
    "scrm/**/*.py",
    "deploy/*.sql",
    "devtools/database.py",
    "requirements/dev.lock",
)


def place(postgres: Postgres, now: datetime | None = None) -> Path:
    """Where the schema of this code is, or would be, for this server; partitions are made month by month."""
    digest = hashlib.sha256(str(major_version(postgres.binaries)).encode())
    for path in sorted({path for pattern in MADE_FROM for path in ROOT.glob(pattern)}):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return FOLDER / f"{now or datetime.now(UTC):%Y-%m}-{digest.hexdigest()[:20]}.sql"


def can_save(postgres: Postgres) -> bool:
    """Not every installation of Postgres brings pg_dump; without it each run migrates."""
    return (postgres.binaries / "pg_dump").exists()


def save(postgres: Postgres, database: str) -> None:
    """Write the schema of a migrated database, whole or not at all; the oldest ones are removed.

    Raises:
        SetupError: pg_dump failed.
    """
    kept = place(postgres)
    FOLDER.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=FOLDER)
    os.close(number)
    half = Path(name)
    try:
        env = dict(os.environ) | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(postgres.port),
            "PGUSER": "postgres",  # policies hide rows from their tables' owner
            "PGPASSWORD": postgres.passwords["postgres"],
        }
        argv: list[str | Path] = [postgres.binaries / "pg_dump", "-f", half, database]
        done = subprocess.run(argv, env=env, capture_output=True, text=True)
        if done.returncode:
            raise SetupError(f"pg_dump failed: {done.stderr.strip()}")
        half.replace(kept)
    finally:
        half.unlink(missing_ok=True)
    by_age = sorted(FOLDER.glob("*.sql"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in by_age[KEPT:]:
        path.unlink(missing_ok=True)


def read_back(postgres: Postgres, database: str) -> bool:
    """Fill an empty database with the schema of this code; False if it has not been saved.

    Without deploy/grants.sql before: rights that new tables get by themselves are among what was saved, at its end.

    Raises:
        SetupError: psql refused it.
    """
    kept = place(postgres)
    if not kept.exists():
        return False
    postgres.psql("postgres", database, "-1", "-f", str(kept))
    return True
