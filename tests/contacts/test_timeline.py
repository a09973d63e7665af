"""Events are written once; the outbox loses none of them."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from contacts.models import Event, EventKey, EventType
from contacts.services import outbox, positions
from contacts.services.timeline import record_event, record_events
from scrm import clock
from tests.factories import in_brand, make_contact
from tests.threads import elsewhere, together


def note(brand: Any, contact_id: int, **over: Any) -> bool:
    values: dict[str, Any] = {
        "contact_id": contact_id,
        "type": EventType.NOTE,
        "at": clock.now(),
        "source": "page",
        **over,
    }
    return record_event(brand, **values)


def test_a_fact_that_comes_twice_is_written_once(brand: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand)
        assert note(brand, contact.pk, source_key="a", data={"text": "你好"}, object_id=7)
        assert not note(brand, contact.pk, source_key="a")
        assert note(brand, contact.pk, source_key="b")
        assert note(brand, contact.pk, source_key="a", source="api")
        assert note(brand, contact.pk) and note(brand, contact.pk)
        first = Event.objects.order_by("id").first()
        assert first and (first.data, first.object_id, first.source) == ({"text": "你好"}, 7, "page")
        assert Event.objects.count() == 5


def test_namespace_of_keys(brand: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand)
        assert note(brand, contact.pk, source="callback", key_source="follow", source_key="a")
        assert not note(brand, contact.pk, source="sync", key_source="follow", source_key="a")


def test_many_at_once(brand: Any, django_assert_num_queries: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand)
        now = clock.now()
        rows: list[Any] = [
            {
                "contact_id": contact.pk,
                "type": EventType.NOTE,
                "at": now,
                "source": "s",
                "source_key": f"{n % 30}",
            }
            for n in range(50)
        ]
        with django_assert_num_queries(2):
            assert record_events(brand, rows) == 30
        assert record_events(brand, rows) == 0
        assert record_events(brand, []) == 0


def test_the_future_is_not_believed(brand: Any) -> None:
    now = clock.now()
    with in_brand(brand), clock.at(now):
        contact = make_contact(brand)
        note(brand, contact.pk, at=now + timedelta(minutes=4))
        note(brand, contact.pk, at=now + timedelta(minutes=6))
        note(brand, contact.pk, at=now - timedelta(days=400))
        assert list(Event.objects.order_by("id").values_list("at", flat=True)) == [
            now + timedelta(minutes=4), now, now - timedelta(days=400),
        ]  # fmt: skip


def test_two_brands_have_their_own_keys(brand: Any, other_brand: Any) -> None:
    for each in (brand, other_brand):
        with in_brand(each):
            assert note(each, make_contact(each).pk, source_key="a")
            assert (Event.objects.count(), EventKey.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_the_outbox_gives_each_event_once(brand: Any, other_brand: Any) -> None:
    for each in (brand, other_brand):
        with in_brand(each):
            contact = make_contact(each)
            for _ in range(5):
                note(each, contact.pk, data={"x": [1]})
    with in_brand(brand):
        events = outbox.read(brand, "rules", limit=3)
        assert [e.data for e in events] == [{"x": [1]}] * 3
        outbox.save_position(brand, "rules", events)
    with in_brand(brand):
        assert len(outbox.read(brand, "rules", limit=10)) == 2  # not saved: they come again
        assert len(outbox.read(brand, "other", limit=10)) == 5
    with in_brand(brand):
        assert len(outbox.read(brand, "rules", limit=10)) == 2


@pytest.mark.django_db(transaction=True)
def test_one_process_reads_as_one_reader(brand: Any) -> None:
    with in_brand(brand):
        note(brand, make_contact(brand).pk)
    with in_brand(brand):
        outbox.read(brand, "rules")

    def read() -> int:
        with in_brand(brand):
            return len(outbox.read(brand, "rules"))

    with in_brand(brand):
        assert len(outbox.read(brand, "rules")) == 1
        assert elsewhere(read) == 0


@pytest.mark.django_db(transaction=True)
def test_no_event_of_concurrent_writers_is_lost(brand: Any) -> None:
    """Writers commit out of order while a reader runs all the time; the reader ends with exactly what was
    written."""
    with in_brand(brand):
        contact_id = make_contact(brand).pk
    turns, rounds, writers = threading.Barrier(2), 30, 6
    stop, got = threading.Event(), []

    def late(n: int) -> None:
        # each transaction takes its ids early and commits after transactions with later ids
        for _ in range(rounds):
            with in_brand(brand):
                note(brand, contact_id)
                if n < 2:
                    turns.wait(60)  # the two meet while both are open
                note(brand, contact_id)
        connection.close()

    def read() -> None:
        while True:
            ended = stop.is_set()
            with in_brand(brand):
                events = outbox.read(brand, "rules", limit=7)
                got.extend(event.pk for event in events)
                outbox.save_position(brand, "rules", events)
            if ended and not events:
                break
        connection.close()

    threads = [threading.Thread(target=late, args=(n,)) for n in range(writers)]
    reader = threading.Thread(target=read)
    for thread in [reader, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    reader.join()
    with in_brand(brand):
        written = set(Event.objects.values_list("pk", flat=True))
    assert len(written) == rounds * writers * 2
    assert len(got) == len(set(got)) and set(got) == written


@pytest.mark.django_db(transaction=True)
def test_an_open_transaction_holds_back_what_came_after_it(brand: Any) -> None:
    with in_brand(brand):
        contact_id = make_contact(brand).pk
    opened, go = threading.Event(), threading.Event()

    def slow() -> None:
        with in_brand(brand):
            note(brand, contact_id, data={"n": 1})
            opened.set()
            go.wait(60)
        connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    opened.wait(60)
    with in_brand(brand):
        note(brand, contact_id, data={"n": 2})
    with in_brand(brand):
        held = outbox.read(brand, "rules")
    go.set()
    thread.join()
    with in_brand(brand):
        assert (held, [e.data["n"] for e in outbox.read(brand, "rules")]) == ([], [1, 2])


@pytest.mark.django_db
def test_reading_uses_the_index(brand: Any) -> None:
    with in_brand(brand), connection.cursor() as cursor:
        # of next to no rows a sort is as good as the index, whichever the statistics of the moment favour
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        cursor.execute("EXPLAIN " + outbox._SQL, [brand.pk, 5, 5, 10])
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("app_rw",)
    assert "Sort" not in plan.replace("Sort Key", "")
    for part in ("brand_id", "ROW(xid, id) >", "xid <"):
        assert part in plan.split("Index Cond", 1)[1]


@pytest.mark.django_db(transaction=True)
def test_positions_are_given_once(brand: Any, other_brand: Any) -> None:
    taken: list[int] = []

    def work() -> None:
        for _ in range(40):
            with in_brand(brand):
                taken.append(positions.take(brand))

    together(*[work] * 4)
    with in_brand(brand):
        first = positions.take(brand, 1000)
    assert len(set(taken)) == 160 and max(taken) < first < 160 + 5 * positions.BLOCK
    with in_brand(other_brand):
        assert positions.take(other_brand) == 0


@pytest.mark.django_db(transaction=True)
def test_positions_of_a_rolled_back_transaction(brand: Any) -> None:
    with pytest.raises(ZeroDivisionError), in_brand(brand):
        positions.take(brand)
        raise ZeroDivisionError
    with in_brand(brand):
        first = positions.take(brand)
    with in_brand(brand), transaction.atomic():
        assert positions.take(brand) != first
