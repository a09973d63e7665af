"""Switches of the planner hold inside their block, and behind it what held before."""

from typing import Any

import pytest
from django.db import connection

from tenants.db.joins import LARGE, joined_by_hash, joined_by_loop

pytestmark = pytest.mark.django_db
NAMES = (
    "enable_nestloop",
    "enable_hashjoin",
    "enable_mergejoin",
    "enable_material",
    "enable_sort",
    "work_mem",
)


def _now(cursor: Any) -> tuple[str, ...]:
    cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in NAMES))
    return cursor.fetchone()


def test_blocks_may_stand_in_each_other() -> None:
    with connection.cursor() as cursor:
        before = _now(cursor)
        with joined_by_hash(cursor, work_mem="9MB", merging=False):
            hashed = ("off", "on", "off", "on", "on", "9MB")
            assert _now(cursor) == hashed
            with joined_by_hash(cursor, LARGE):
                assert _now(cursor) == hashed
            with joined_by_loop(cursor, sorting=False):
                assert _now(cursor) == ("off", "off", "off", "off", "off", "9MB")
            assert _now(cursor) == hashed
        for n, above in ((LARGE + 1, LARGE), (3, 2)):
            with joined_by_hash(cursor, n, above=above):
                assert _now(cursor) == ("off", *before[1:])
        assert _now(cursor) == before
