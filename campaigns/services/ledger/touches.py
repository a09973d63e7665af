"""The ledger (触达): rows are written here and nowhere else, one for each message to one person, with their
keys."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction

from campaigns.models import Touch, TouchKey
from campaigns.services.ledger import planes
from contacts.models import EventType
from contacts.services.timeline import EventRow, record_event, record_events
from scrm import clock
from tenants.db.under_way import begin
from tenants.models import Brand

EXCERPT = 80  # characters of a message that its timeline entry shows

# ---- welcome: a fast lane of its own, not asked at the gate, but in the ledger


@transaction.atomic
def claim_welcome(
    brand: Brand, *, contact_id: int, staff_id: int, code_id: int | None, welcome_code: str, at: datetime
) -> Touch | None:
    """Take the right to send the welcome of this code; None when somebody has it already (a repeat).

    A code works once at WeCom, so the claim is for good: commit it, call WeCom, then `record_welcome_result`.

    Args:
        code_id: the channel code; None for an arrival without one.
        at: the moment of the event that brought the code.
    """
    return _claim(
        brand, f"w:{_digest(welcome_code)}", contact_id=contact_id, staff_id=staff_id, code_id=code_id, at=at
    )


@transaction.atomic
def record_no_welcome(
    brand: Brand,
    *,
    contact_id: int,
    staff_id: int,
    code_id: int | None,
    key: str,
    reason: Touch.Reason,
    at: datetime,
    error: str = "",
) -> Touch | None:
    """Write down that an arrival could not be welcomed (no code, too late before any call); None for a repeat
    of `key`."""
    touch = _claim(
        brand, f"n:{_digest(key)}", contact_id=contact_id, staff_id=staff_id, code_id=code_id, at=at
    )
    if touch is not None:
        record_welcome_result(brand, touch=touch, reason=reason, error=error)
    return touch


def _claim(brand: Brand, key: str, *, at: datetime, **fields: Any) -> Touch | None:
    [touch_id] = new_ids(1)
    if not put_key(brand, key, at, touch_id):
        return None
    return Touch.objects.create(pk=touch_id, at=at, kind=Touch.Kind.WELCOME, **fields)


@transaction.atomic
def record_welcome_result(
    brand: Brand,
    *,
    touch: Touch,
    reason: Touch.Reason = Touch.Reason.NONE,
    error: str = "",
    text: str = "",
    at: datetime | None = None,
) -> None:
    """What became of a claimed welcome: delivered (no reason), or not, and why; on the timeline as well. Safe
    to repeat.

    Args:
        error: WeCom's words, when it refused.
        text: as it was sent; its beginning shows on the timeline.
        at: when WeCom took it; now if not given.
    """
    at = at or clock.now()
    state = Touch.State.FAILED if reason else Touch.State.DELIVERED
    mine = Touch.objects.filter(pk=touch.pk, at=touch.at, state=Touch.State.PLANNED)
    if not mine.update(state=state, reason=reason, error=error[:200], done_at=at):
        return
    touch.state, touch.reason, touch.error, touch.done_at = state, reason, error[:200], at
    data = {"text": text[:EXCERPT], "reason": reason.name.lower() if reason else "", "error": error[:200]}
    record_event(
        brand,
        contact_id=touch.contact_id,
        type=EventType.WELCOME_FAILED if reason else EventType.WELCOMED,
        at=at,
        staff_id=touch.staff_id,
        object_id=touch.pk,
        source="welcome",
        source_key=str(touch.pk),
        data={name: value for name, value in data.items() if value},
    )


# ---- sets


class TouchSet(NamedTuple):
    """Touches about to be written that differ in their person only; a reason makes them held back."""

    ids: Sequence[int]
    contact_ids: Sequence[int]
    staff_id: int | None = None
    sop_id: int | None = None
    step_id: int | None = None
    send_task_id: int | None = None
    reason: int = 0


def claim_keys(brand: Brand, at: datetime, keys: Sequence[str], ids: Sequence[int]) -> set[int]:
    """Claim touches that are about to be written, under the gate; gives the ids of those whose key is taken already.

    Under the gate nobody else claims keys of these people, so those that are there are looked up first: a plain insert
    costs half of one that may meet a conflict. Should one come all the same, nothing of the transaction is written.
    """
    if not keys:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT key FROM {TouchKey._meta.db_table} WHERE brand_id = %s AND key = ANY(%s::text[])",  # noqa: S608
            [brand.pk, array(keys)],
        )
        taken = {row[0] for row in cursor.fetchall()}
    lost: set[int] = set()
    if taken or len(set(keys)) < len(keys):
        free: dict[str, int] = {}
        for key, touch_id in zip(keys, ids, strict=True):
            if key in taken or free.setdefault(key, touch_id) != touch_id:
                lost.add(touch_id)
        keys, ids = list(free), list(free.values())
    begin(
        f"INSERT INTO {TouchKey._meta.db_table} (brand_id, key, touch_at, touch_id)"  # noqa: S608
        " SELECT %s, k.key, %s, k.id FROM unnest(%s::text[], %s::bigint[]) AS k(key, id)",
        [brand.pk, at, array(keys), array(ids)],
        len(keys),
    )
    return lost


def write(
    brand: Brand,
    at: datetime,
    kind: Touch.Kind,
    sets: Sequence[TouchSet],
    places: Mapping[int, int] | None = None,
) -> None:
    """Insert touches in one statement, under the gate; those that count for caps are counted.

    Args:
        places: {position: contact} of these people, where the caller knows it.
    """
    if not sets:
        return
    planes.count(brand, at, kind, [pk for one in sets if not one.reason for pk in one.contact_ids], places)
    begin(
        "INSERT INTO campaigns_touch (brand_id, at, kind, id, contact_id, staff_id, sop_id, step_id,"
        " send_task_id, reason, state, done_at, error)"
        " SELECT %s, %s, %s, r.id, r.contact_id, s.staff_id, s.sop_id, s.step_id, s.send_task_id, s.reason,"
        " CASE s.reason WHEN 0 THEN %s ELSE %s END, CASE s.reason WHEN 0 THEN NULL ELSE %s END, ''"
        " FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::smallint[])"
        " AS s(ids, contact_ids, staff_id, sop_id, step_id, send_task_id, reason)"
        " CROSS JOIN LATERAL unnest(s.ids::bigint[], s.contact_ids::bigint[]) AS r(id, contact_id)",
        [
            brand.pk,
            at,
            int(kind),
            int(Touch.State.PLANNED),
            int(Touch.State.BLOCKED),
            at,
            [array(one.ids) for one in sets],
            [array(one.contact_ids) for one in sets],
            *map(array, list(zip(*sets, strict=True))[2:]),
        ],
        sum(len(one.ids) for one in sets),
    )


def settle(
    brand: Brand,
    *,
    send_task_id: int,
    at: datetime,
    state: Touch.State,
    done_at: datetime,
    reason: Touch.Reason = Touch.Reason.NONE,
    error: str = "",
    contact_ids: Iterable[int] | None = None,
    touch_ids: Iterable[int] | None = None,
    was: Sequence[Touch.State] = (Touch.State.PLANNED, Touch.State.HANDED),
) -> list[tuple[int, int]]:
    """Move touches of one send task on; gives (touch id, contact id) of those that were in `was`. A repeat
    changes none.

    Args:
        at: the send task's own `at`, by which the ledger is partitioned.
        contact_ids: these only; None for all that are left.
        touch_ids: of them these only.
    """
    sql = (
        "UPDATE campaigns_touch SET state = %s, reason = %s, error = %s, done_at = %s"
        " WHERE brand_id = %s AND at = %s AND send_task_id = %s AND state = ANY(%s)"
    )
    done = None if state == Touch.State.HANDED else done_at
    given: list[Any] = [
        int(state),
        int(reason),
        error[:200],
        done,
        brand.pk,
        at,
        send_task_id,
        [int(s) for s in was],
    ]
    ids = None if contact_ids is None else array(contact_ids)
    where, more = within(brand, send_task_id, ids)
    sql, given = sql + where, [*given, *more]
    if touch_ids is not None:
        sql, given = sql + " AND id = ANY(%s::bigint[])", [*given, array(touch_ids)]
    with connection.cursor() as cursor:
        cursor.execute(sql + " RETURNING id, contact_id", given)
        done_rows = cursor.fetchall()
    if state not in planes.COUNTED:
        planes.mark_dirty(brand, at, [contact_id for _touch_id, contact_id in done_rows])
    return done_rows


def within(brand: Brand, send_task_id: int, contact_ids: str | None = None) -> tuple[str, list[Any]]:
    """What leads to the touches of a send task beside its `at`: a broadcast's lie between two ids, an SOP's have an index.

    The people are named too: a brand that is new to the planner's statistics has next to no rows in its eyes, and it would
    go through all touches of the moment by whichever index is smaller. So each index leads straight to them.

    Args:
        contact_ids: an array literal: these people only.
    """
    with connection.cursor() as cursor:  # the people stay text: they only go back to Postgres
        cursor.execute(
            "SELECT touch_first, touch_last, contact_ids::text FROM campaigns_sendtask WHERE brand_id = %s AND id = %s",
            [brand.pk, send_task_id],
        )
        row = cursor.fetchone()
    if row and row[0] is not None:
        first, last, everybody = row
        among = everybody if contact_ids is None else contact_ids
        return " AND id BETWEEN %s AND %s AND contact_id = ANY(%s::bigint[])", [first, last, among]
    if contact_ids is None:
        return " AND broadcast_id IS NULL", []
    return " AND broadcast_id IS NULL AND contact_id = ANY(%s::bigint[])", [contact_ids]


def tell(
    brand: Brand,
    type: EventType,
    touches: Iterable[tuple[int, int]],
    *,
    at: datetime,
    staff_id: int | None,
    data: dict[str, Any],
    reason: Touch.Reason = Touch.Reason.NONE,
    source: str = "sop",
) -> None:
    """One timeline entry for each (touch id, contact id); set-based."""
    full = {**data, "reason": reason.name.lower()} if reason else data
    rows: list[EventRow] = [
        {
            "contact_id": contact_id,
            "type": type,
            "at": at,
            "staff_id": staff_id,
            "object_id": touch_id,
            "source": source,
            "data": full,
        }
        for touch_id, contact_id in touches
    ]
    record_events(brand, rows)


def array(values: Iterable[Any]) -> str:
    """A Postgres array literal of numbers and plain words: one constant, which Postgres reads faster than
    ARRAY[…]."""
    return "{" + ",".join(map(str, values)).replace("None", "NULL") + "}"


def quoted(values: Iterable[str]) -> str:
    """The same of words that hold neither quotes nor backslashes: `null` stays a word, commas do not part."""
    return '{"' + '","'.join(values) + '"}'


def new_ids(n: int) -> list[int]:
    """Ids of touches that are about to be written, in rising order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(nextval('campaigns_touch_id_seq')::text, ',') FROM generate_series(1, %s)", [n]
        )
        (ids,) = cursor.fetchone()
        return sorted(map(int, ids.split(","))) if ids else []


def put_key(brand: Brand, key: str, at: datetime, touch_id: int) -> bool:
    """Claim one touch whose id is drawn already; False: it is claimed."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {TouchKey._meta.db_table} (brand_id, key, touch_at, touch_id)"  # noqa: S608
            " VALUES (%s, %s, %s, %s) ON CONFLICT (brand_id, key) DO NOTHING",
            [brand.pk, key, at, touch_id],
        )
        return cursor.rowcount == 1


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
