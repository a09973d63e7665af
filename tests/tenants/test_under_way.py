"""A statement that Postgres works on while Python goes on: order, errors, and what takes it back."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from tenants.db import under_way
from tenants.db.under_way import WORTH, begin
from tests.threads import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = "INSERT INTO contacts_eventkey (brand_id, source, source_key) SELECT %s, 'x', k::text FROM generate_series(%s, %s) k"
SLOW = "WITH slept AS MATERIALIZED (SELECT pg_sleep(0.3)) " + KEYS + ", slept"


def _n() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM contacts_eventkey")
        return cursor.fetchone()[0]


@pytest.fixture
def scope(brand: Any) -> Any:
    from tenants.scoping import tenant_scope

    with tenant_scope(brand):
        yield brand


def test_python_goes_on_and_what_comes_next_waits(scope: Any) -> None:
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(4711)")
        with transaction.atomic():
            begin(
                "WITH waited AS MATERIALIZED (SELECT pg_advisory_xact_lock(4711)) " + KEYS + ", waited",
                [scope.pk, 1, 1000],
                WORTH,
            )
            under_way = connection._under_way  # type: ignore[attr-defined]
            assert under_way.is_alive()  # Python is here while Postgres waits
            with other.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(4711)")
            assert _n() == 1000  # of the same transaction, after it
            assert not under_way.is_alive()
            begin(SLOW, [scope.pk, 1001, 2000], WORTH)
    finally:
        other.close()
    with transaction.atomic():
        assert _n() == 2000  # the commit has waited


def test_a_cursor_that_was_open_before_waits_as_well(scope: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        begin(SLOW, [scope.pk, 1, 1000], WORTH)
        cursor.execute("SELECT count(*) FROM contacts_eventkey")
        assert cursor.fetchone() == (1000,)
        begin(SLOW, [scope.pk, 1001, 2000], WORTH)
        under_way = connection._under_way  # type: ignore[attr-defined]
        connection.prepared("SELECT %(n)s", {"n": "bigint"}, {"n": 1})  # type: ignore[attr-defined]
        assert not under_way.is_alive()


def test_statements_keep_their_order(scope: Any) -> None:
    with transaction.atomic():
        for n in range(15):
            begin(KEYS, [scope.pk, n, n], WORTH)
            begin(
                "UPDATE contacts_eventkey SET source = source || %s WHERE brand_id = %s",
                [str(n % 10), scope.pk],
                WORTH,
            )
        begin("SELECT source, source_key FROM contacts_eventkey WHERE brand_id = %s", [scope.pk], WORTH)
        rows = begin(
            "SELECT source, source_key::int FROM contacts_eventkey WHERE brand_id = %s", [scope.pk], WORTH
        )
        digits = "".join(str(n % 10) for n in range(15))
        assert sorted(rows(), key=lambda row: row[1]) == [("x" + digits[n:], n) for n in range(15)]
        assert len(rows()) == 15  # asked again


@pytest.mark.parametrize("then", ["commit", "cursor", "savepoint", "begin", "rows"])
def test_an_error_is_raised_where_the_connection_is_used_next(scope: Any, then: str) -> None:
    with transaction.atomic():
        begin(KEYS, [scope.pk, 1, 10], WORTH)
    with pytest.raises(IntegrityError), transaction.atomic():
        _n()
        rows = begin(SLOW, [scope.pk, 5, 1000], WORTH)  # some are there
        if then == "cursor":
            _n()
        elif then == "savepoint":
            with transaction.atomic():
                pytest.fail("the savepoint is refused")
        elif then == "begin":
            begin(KEYS, [scope.pk, 2001, 3000], WORTH)
        elif then == "rows":
            rows()
    with transaction.atomic():
        assert _n() == 10  # nothing of it


def test_what_is_under_way_is_taken_back_with_the_rest(scope: Any) -> None:
    """Python fails while Postgres is still at it: the transaction waits, and none of it is written, then or later."""
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        begin(SLOW, [scope.pk, 1, 1000], WORTH)
        _ = 1 / 0
    with transaction.atomic():
        assert _n() == 0
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            begin(SLOW, [scope.pk, 1, 1000], WORTH)
            _ = 1 / 0
        assert _n() == 0  # a savepoint alone
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            begin(KEYS + " JOIN nothing", [scope.pk, 1, 1000], WORTH)
            _ = 1 / 0  # and Postgres refuses it
        begin(KEYS, [scope.pk, 1, 10], WORTH)
    assert elsewhere(lambda: _seen(scope)) == 10


def _seen(brand: Any) -> int:
    from tenants.scoping import tenant_scope

    with tenant_scope(brand), transaction.atomic():
        return _n()


def test_a_connection_that_ends_meanwhile(scope: Any) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
        begin(SLOW, [scope.pk, 1, 1000], WORTH)
        elsewhere(lambda: _end(pid))
        _n()
    connection.close()
    with transaction.atomic():
        assert _n() == 0


def _end(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def _watched(act: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as queries:
        act()
    return len(queries)


def test_who_watches_statements_sees_it(scope: Any) -> None:
    with transaction.atomic():
        assert _watched(lambda: begin(KEYS, [scope.pk, 1, 1000], WORTH)) == 1
        assert connection._under_way is None  # type: ignore[attr-defined]


def test_a_small_one_and_one_outside_of_a_transaction_need_no_thread(
    scope: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_way.UnderWay, "start", lambda _self: pytest.fail("a thread was begun"))
    with transaction.atomic():
        begin(KEYS, [scope.pk, 1, 10], WORTH - 1)
        assert _n() == 10
    assert begin("SELECT 1", [], WORTH)() == [(1,)]
