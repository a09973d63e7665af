"""Connections outlive requests and tasks, and one that Postgres has ended is noticed before it is used."""

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, ProgrammingError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from contacts.models import OutboxPosition
from scrm.celery import app, drop_dead_connections
from tenants.scoping import tenant_scope
from tests.factories import make_contact

pytestmark = pytest.mark.django_db(transaction=True)


def _backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def _end(pid: int) -> None:
    """By the same role over a connection of its own: a role may end its own backends."""
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    other.close()


def _before_task() -> None:
    drop_dead_connections(task=SimpleNamespace(request=SimpleNamespace(is_eager=False)))


def test_tasks_share_a_connection() -> None:
    _before_task()
    first = _backend()
    with CaptureQueriesContext(connection) as queries:
        _before_task()
        assert _backend() == first
    assert len(queries) == 1  # whether it lives is not asked of Postgres
    assert app.conf.get("CELERY_DB_REUSE_MAX")  # what Celery itself goes by


def test_an_ended_connection_is_replaced(brand: Any) -> None:
    with tenant_scope(brand), transaction.atomic():
        make_contact(brand)
    _before_task()
    ended = _backend()
    _end(ended)
    _before_task()
    with tenant_scope(brand), transaction.atomic():
        make_contact(brand)
    assert _backend() != ended


def test_a_connection_ended_within_a_task_is_not_inside_a_block_for_good(brand: Any) -> None:
    """One task opens several transactions; Postgres may go between two of them, and the task may go on trying."""
    with tenant_scope(brand):
        _end(_backend())
        for _ in range(3):
            with suppress(OperationalError, InterfaceError), transaction.atomic():
                make_contact(brand)
        assert not connection.in_atomic_block
        _before_task()
        with transaction.atomic():
            contact = make_contact(brand)
    assert contact.pk
    assert connection.get_autocommit()


def _plus_one(n: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(*connection.prepared("SELECT %(n)s + 1, '%%'", {"n": "bigint"}, {"n": n}))  # type: ignore[attr-defined]
        return cursor.fetchone()[0]


def test_a_prepared_statement_belongs_to_its_connection() -> None:
    assert [_plus_one(1), _plus_one(2)] == [2, 3]
    with suppress(ZeroDivisionError), transaction.atomic():
        raise ZeroDivisionError
    _before_task()
    ended = _backend()
    _end(ended)
    _before_task()
    assert [_plus_one(1), _plus_one(2)] == [2, 3]
    assert _backend() != ended


def test_a_statement_at_once_is_a_transaction_in_the_brand(brand: Any, other_brand: Any) -> None:
    insert = "INSERT INTO contacts_outboxposition (brand_id, reader, xid, event_id) VALUES (%(b)s, 'x', 1, 1) RETURNING brand_id"
    with tenant_scope(brand):
        assert connection.at_once(insert, {"b": brand.pk}) == (brand.pk,)  # type: ignore[attr-defined]
        with pytest.raises(ProgrammingError):  # another brand's row
            connection.at_once(insert, {"b": other_brand.pk})  # type: ignore[attr-defined]
        with pytest.raises(RuntimeError), transaction.atomic():
            connection.at_once(insert, {"b": brand.pk})  # type: ignore[attr-defined]
        with transaction.atomic():
            assert OutboxPosition.objects.count() == 1
    with tenant_scope(other_brand), transaction.atomic():
        assert not OutboxPosition.objects.exists()
