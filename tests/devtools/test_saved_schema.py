"""A schema that is read back is the migrated one; other models or another month are another schema."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from devtools import pytest_services, saved_schema
from devtools.postgres import Postgres

CATALOGUE = (
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace",
    "SELECT table_name, column_name, data_type, udt_name, is_nullable, column_default, character_maximum_length"
    " FROM information_schema.columns WHERE table_schema = 'public'",
    "SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies",
    "SELECT relname, relkind, relrowsecurity, relforcerowsecurity, reloptions::text, relowner::regrole::text,"
    " ARRAY(SELECT a::text FROM unnest(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\","
    " relowner))) a ORDER BY 1), pg_get_expr(relpartbound, oid)"
    " FROM pg_class WHERE relnamespace = 'public'::regnamespace",
    "SELECT proname, prosrc, proacl::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "SELECT defaclrole::regrole::text, defaclobjtype, defaclacl::text FROM pg_default_acl",
    "SELECT extname FROM pg_extension",
    "SELECT app, name FROM django_migrations",
)


CASTS = re.compile(r"::(character varying|text)(\[\])?|[()]")


def catalogue(url: str) -> list[list[str]]:
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        found = []
        for query in CATALOGUE:
            cursor.execute(query)
            # a list in a predicate is cast as a whole or one by one; its value is the same
            found.append(sorted(CASTS.sub("", repr(row)) for row in cursor.fetchall()))
    connection.close()
    return found


@pytest.fixture
def server() -> Postgres:
    services = pytest_services.own_services()
    if services is None or services.postgres is None:
        pytest.skip("the servers are not ours: nothing is saved")
    if not saved_schema.can_save(services.postgres):
        pytest.skip("this Postgres has no pg_dump: nothing is saved")
    return services.postgres


def test_what_is_read_back_is_what_was_migrated(server: Postgres) -> None:
    """On a server of this run; another process of it may have migrated, or nobody yet."""
    again, anew = "schema_again", "schema_anew"
    server.psql("app_owner", "template1", "-c", f"CREATE DATABASE {again}")
    try:
        migrated = os.environ.get(pytest_services.MIGRATED)
        if not migrated:
            migrated = pytest_services.migrate(server.url("app_owner", "template1"), anew)
        assert saved_schema.read_back(server, again)
        found = catalogue(server.url("app_owner", again))
        for query, here, there in zip(CATALOGUE, catalogue(migrated), found, strict=True):
            assert here == there, query
        assert len(found[0]) > 300  # indexes: there is something to compare
    finally:
        for name in (again, anew):
            server.psql("app_owner", "template1", "-c", f"DROP DATABASE IF EXISTS {name}")


def test_another_month_or_model_is_another_schema(server: Postgres, tmp_path: Path, monkeypatch: Any) -> None:
    here = saved_schema.place(server, datetime(2026, 11, 30, 23, 59, tzinfo=UTC))
    assert here == saved_schema.place(server, datetime(2026, 11, 1, tzinfo=UTC))
    assert here != saved_schema.place(server, datetime(2026, 12, 1, tzinfo=UTC))
    (tmp_path / "shop" / "models").mkdir(parents=True)
    (tmp_path / "shop" / "migrations").mkdir()
    monkeypatch.setattr(saved_schema, "ROOT", tmp_path)
    seen = {saved_schema.place(server).name}
    for name in ("shop/models/orders.py", "shop/migrations/0001_orders.py", "shop/views.py"):
        (tmp_path / name).write_text("one = 1\n")
        seen.add(saved_schema.place(server).name)
    assert len(seen) == 3  # a page makes no table


def test_the_oldest_are_removed(server: Postgres, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(saved_schema, "FOLDER", tmp_path)
    for n in range(5):
        old = tmp_path / f"2026-0{n + 1}-old.sql"
        old.write_text("")
        os.utime(old, (n, n))
    saved_schema.save(server, "template1")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted([saved_schema.place(server).name, "2026-04-old.sql", "2026-05-old.sql"])
