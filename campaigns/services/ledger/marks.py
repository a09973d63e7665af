"""What customers did after a message: opened, replied, bought. A reader of the outbox that works in sets.

- *Opened*: an event of a tracked link or page that names the send task (`data.send_task`) or the touch (`data.touch`) it
  was sent with. Nobody else's link counts.
- *Replied*: the customer said something in a group or in the chat archive, or answered a form. WeCom tells no more: the
  words of a chat between guide and customer are not its to give.
- *Bought*: an order paid. Replies and orders count for the message that was delivered last before them, within the days
  that the brand's policy names (last touch). An order of which everything was paid back counts no more; the mark goes with
  the last order of a touch.

Each mark is set once, by the first such event; figures of send tasks are folds of them. Which order counts for which touch
is kept (`TouchOrder`), so each counts once.
"""

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest

from campaigns.models import DirectUse, SendTask, Touch, TouchOrder
from campaigns.services.governance.rules import policy_of
from campaigns.services.ledger.touches import array
from contacts.models import EventType, OutboxPosition
from contacts.services import outbox
from tenants.models import Brand

READER = "touch_marks"
TABLE = "touch_mark_batch"
BATCH = 5_000
OPENS = (EventType.OPENED, EventType.READ)
REPLIES = (EventType.WORD_SAID, EventType.FORM_ANSWERED)
ORDERS = (EventType.ORDER_PAID,)
REFUNDS = (EventType.ORDER_REFUNDED,)
SLOWEST = timedelta(days=31)  # between the moment a message was planned for and its delivery
KINDS = (Touch.Kind.SOP, Touch.Kind.BROADCAST, Touch.Kind.DIRECT)

# (touch_at, touch_id, send_task_id, at) of opened touches; ids of another brand or person find nothing
_OPENED = """
    WITH e AS (
        SELECT contact_id, min(at) AS at,
               CASE WHEN jsonb_typeof(data -> 'send_task') = 'number' THEN (data ->> 'send_task')::numeric::bigint END AS task_id,
               CASE WHEN jsonb_typeof(data -> 'touch') = 'number' THEN (data ->> 'touch')::numeric::bigint END AS touch_id
          FROM pg_temp.{table} WHERE type = ANY(%(types)s) AND (data ? 'send_task' OR data ? 'touch') GROUP BY 1, 3, 4
    )
    SELECT t.at AS touch_at, t.id AS touch_id, t.send_task_id, min(e.at) AS at
      FROM e JOIN campaigns_sendtask k ON k.brand_id = %(b)s AND k.id = e.task_id
      JOIN campaigns_touch t ON t.brand_id = %(b)s AND t.contact_id = e.contact_id AND t.at = k.at AND t.send_task_id = k.id
     WHERE t.opened_at IS NULL GROUP BY 1, 2, 3
     UNION ALL
    SELECT t.at, t.id, t.send_task_id, min(e.at)
      FROM e JOIN campaigns_touch t ON t.brand_id = %(b)s AND t.contact_id = e.contact_id AND t.id = e.touch_id
     WHERE e.task_id IS NULL AND t.opened_at IS NULL AND t.at BETWEEN e.at - %(far)s::interval AND e.at
     GROUP BY 1, 2, 3
"""
# the message that was delivered last before an event, within the window
_LATEST = """
    SELECT t.at AS touch_at, t.id AS touch_id, t.send_task_id, e.at, e.fen, e.order_id
      FROM ({events}) e CROSS JOIN LATERAL (
        SELECT t.at, t.id, t.send_task_id FROM campaigns_touch t
         WHERE t.brand_id = %(b)s AND t.contact_id = e.contact_id AND t.state = %(delivered)s AND t.kind = ANY(%(kinds)s)
           AND t.at BETWEEN e.at - %(far)s::interval AND e.at + interval '1 day'
           AND t.done_at <= e.at AND t.done_at > e.at - %(window)s::interval
         ORDER BY t.done_at DESC, t.id DESC LIMIT 1) t
"""
_ORDER = f"CASE WHEN type = {EventType.ORDER_PAID.value} THEN object_id END AS order_id"
_NEW = f"""
    SELECT contact_id, at, CASE WHEN jsonb_typeof(data -> 'amount_fen') = 'number'
                                THEN (data ->> 'amount_fen')::numeric::bigint ELSE 0 END AS fen, {_ORDER}
      FROM pg_temp.{{table}} WHERE type = ANY(%(types)s)
"""  # noqa: S608
# of people whose delivery became known only now: events that had no message, or an older one, when they were read
_SINCE = f"""
    SELECT e.contact_id, e.at, CASE WHEN jsonb_typeof(e.data -> 'amount_fen') = 'number'
                                    THEN (e.data ->> 'amount_fen')::numeric::bigint ELSE 0 END AS fen, {_ORDER}
      FROM contacts_event e JOIN pg_temp.touch_mark_seen s ON true
     WHERE e.brand_id = %(b)s AND e.contact_id = ANY(%(people)s::bigint[]) AND e.at >= %(since)s AND e.type = ANY(%(types)s)
       AND (e.xid, e.id) <= (s.xid, s.event_id)
       AND NOT EXISTS (SELECT FROM campaigns_touch o WHERE o.brand_id = %(b)s AND o.contact_id = e.contact_id
                        AND o.at BETWEEN e.at - %(far)s::interval AND e.at + interval '1 day' AND o.{{mark}} = e.at)
"""  # noqa: S608


def run(brand: Brand, *, batches: int = 40) -> int:
    """Set the marks of what is new; gives how many events were read. A brand's first time notes where it begins."""
    n_all = 0
    with transaction.atomic():
        if not OutboxPosition.objects.filter(reader=READER).exists():
            outbox.begin_here(brand, READER)  # years of events without a touch are not gone through
            return 0
    for _round in range(batches):
        with transaction.atomic():
            n, xid, event_id = outbox.take(brand, READER, TABLE, BATCH)
            if not n:
                return n_all
            given = _given(brand)
            _write(brand, "opened_at", _OPENED.format(table=TABLE), {**given, "types": _ints(OPENS)})
            latest = _LATEST.format(events=_NEW.format(table=TABLE))
            _write(brand, "replied_at", latest, {**given, "types": _ints(REPLIES)})
            _write(brand, "converted_at", latest, {**given, "types": _ints(ORDERS)})
            _take_back(brand)
            outbox.move_to(brand, READER, xid, event_id)
        n_all += n
        if n < BATCH:
            break
    return n_all


def look_back(brand: Brand, contact_ids: Collection[int], since: datetime) -> None:
    """Deliveries at `since` have just become known: replies and orders after it that have been read already count for
    them. In the caller's transaction, which has written the deliveries."""
    position = OutboxPosition.objects.filter(reader=READER).first()
    if position is None or not contact_ids:
        return
    given = {**_given(brand), "people": array(contact_ids), "since": since}
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.touch_mark_seen")
        cursor.execute(
            "CREATE TEMP TABLE touch_mark_seen ON COMMIT DROP AS SELECT %s::bigint AS xid, %s::bigint AS event_id",
            [position.xid, position.event_id],
        )
    for mark, types in (("replied_at", REPLIES), ("converted_at", ORDERS)):
        events = _SINCE.format(mark=mark)
        _write(brand, mark, _LATEST.format(events=events), {**given, "types": _ints(types)})


# orders of which nothing was kept; a refund that the source takes back later does not count them again
_REFUNDED = f"""
    SELECT o.order_id FROM campaigns_touchorder o JOIN commerce_order s ON s.brand_id = %(b)s AND s.id = o.order_id
     WHERE o.brand_id = %(b)s AND s.refunded_fen >= s.amount_fen AND s.refunded_fen > 0
       AND o.order_id IN (SELECT object_id FROM pg_temp.{TABLE} WHERE type = ANY(%(types)s))
"""  # noqa: S608
_UNMARK = """
    WITH gone AS (SELECT * FROM unnest(%(touches)s::bigint[], %(touch_ats)s::timestamptz[], %(ats)s::timestamptz[])
                           g(touch_id, touch_at, at)),
         left_ AS (SELECT g.touch_id, g.touch_at, array_agg(g.at) AS ats,
                          (SELECT min(o.at) FROM campaigns_touchorder o
                            WHERE o.brand_id = %(b)s AND o.touch_id = g.touch_id) AS at
                     FROM gone g GROUP BY 1, 2)
    UPDATE campaigns_touch t SET converted_at = l.at FROM left_ l
     WHERE t.brand_id = %(b)s AND t.at = l.touch_at AND t.id = l.touch_id AND t.converted_at = ANY(l.ats)
    RETURNING t.send_task_id, t.converted_at IS NULL, t.content_id, t.staff_id, t.kind
"""


def _take_back(brand: Brand) -> None:
    """Wholly refunded orders of the batch count no more."""
    with connection.cursor() as cursor:
        cursor.execute(_REFUNDED, {"b": brand.pk, "types": _ints(REFUNDS)})
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return
    rows = list(TouchOrder.objects.filter(order_id__in=ids).values_list("touch_at", "touch_id", "at", "fen"))
    touches = [(at, touch_id) for at, touch_id, _at, _fen in rows]
    found = Touch.objects.filter(at__in={at for at, _id in touches}, pk__in={pk for _at, pk in touches})
    tasks = {pk: task_id for pk, task_id in found.values_list("pk", "send_task_id") if task_id is not None}
    # send tasks before touches, in the order of their ids: as everybody who writes both
    locked = SendTask.objects.select_for_update().filter(pk__in=set(tasks.values())).order_by("pk")
    list(locked.values_list("pk"))
    TouchOrder.objects.filter(order_id__in=ids).delete()
    given: dict[str, Any] = {
        "b": brand.pk,
        "touches": [touch_id for _touch_at, touch_id, _at, _fen in rows],
        "touch_ats": [touch_at for touch_at, _touch_id, _at, _fen in rows],
        "ats": [at for _touch_at, _touch_id, at, _fen in rows],
    }
    with connection.cursor() as cursor:
        cursor.execute(_UNMARK, given)
        gone = [(task_id, *by) for task_id, is_gone, *by in cursor.fetchall() if is_gone]
    unmarked: Counter[int] = Counter(task_id for task_id, *_by in gone if task_id is not None)
    direct = Counter(
        (version_id, staff_id) for _task, version_id, staff_id, kind in gone if kind == Touch.Kind.DIRECT
    )
    for (version_id, staff_id), n in sorted(direct.items(), key=str):
        DirectUse.objects.filter(version_id=version_id, staff_id=staff_id).update(
            n_converted=Greatest(F("n_converted") - n, 0)
        )
    fen: Counter[int] = Counter()
    for _touch_at, touch_id, _at, amount in rows:
        if touch_id in tasks:
            fen[tasks[touch_id]] += amount
    for task_id in sorted(fen.keys() | unmarked.keys()):
        SendTask.objects.filter(pk=task_id).update(
            n_converted=Greatest(F("n_converted") - unmarked[task_id], 0),
            converted_fen=Greatest(F("converted_fen") - fen[task_id], 0),
        )


def _given(brand: Brand) -> dict[str, Any]:
    window = timedelta(days=policy_of(brand).attribution_days)
    return {
        "b": brand.pk,
        "delivered": int(Touch.State.DELIVERED),
        "kinds": _ints(KINDS),
        "far": SLOWEST + max(window, timedelta(days=90)),
        "window": window,
    }


def _ints(values: Collection[int]) -> list[int]:
    return [int(value) for value in values]


_FOLDS = {"opened_at": "n_opened", "replied_at": "n_replied", "converted_at": "n_converted"}
_MARK = """
    UPDATE campaigns_touch t SET {mark} = f.at
      FROM (SELECT touch_at, touch_id, min(at) AS at FROM pg_temp.touch_mark_found GROUP BY 1, 2) f
     WHERE t.brand_id = %(b)s AND t.at = f.touch_at AND t.id = f.touch_id AND t.{mark} IS NULL
    RETURNING t.send_task_id, t.content_id, t.staff_id, t.kind
"""
_FOLD = """
    WITH done AS ({mark}), direct AS (
        INSERT INTO campaigns_directuse AS u (brand_id, version_id, staff_id, n_sent, {others}, {fold})
        SELECT %(b)s, content_id, staff_id, 0, 0, 0, count(*) FROM done
         WHERE kind = {direct} AND content_id IS NOT NULL AND staff_id IS NOT NULL GROUP BY 2, 3 ORDER BY 2, 3
        ON CONFLICT (brand_id, version_id, staff_id) DO UPDATE SET {fold} = u.{fold} + excluded.{fold}
    ), n AS (
        SELECT send_task_id AS id, count(*) AS n, 0::numeric AS fen FROM done WHERE send_task_id IS NOT NULL GROUP BY 1
         UNION ALL
        SELECT send_task_id, 0, sum(fen) FROM pg_temp.touch_mark_found WHERE send_task_id IS NOT NULL GROUP BY 1
    )
    UPDATE campaigns_sendtask k SET {fold} = k.{fold} + n.n, converted_fen = k.converted_fen + n.fen
      FROM (SELECT id, sum(n) AS n, sum(fen) AS fen FROM n GROUP BY 1) n
     WHERE k.brand_id = %(b)s AND k.id = n.id AND (n.n > 0 OR n.fen > 0)
"""


# orders that count for no touch yet, and of which something was kept
_TAKE_ORDERS = """
    INSERT INTO campaigns_touchorder (brand_id, order_id, at, touch_at, touch_id, fen)
    SELECT DISTINCT ON (order_id) %(b)s, order_id, at, touch_at, touch_id, fen FROM pg_temp.touch_mark_found f
     WHERE order_id IS NOT NULL
       AND NOT EXISTS (SELECT FROM commerce_order s WHERE s.brand_id = %(b)s AND s.id = f.order_id
                          AND s.refunded_fen >= s.amount_fen AND s.refunded_fen > 0)
     ORDER BY order_id, at
    ON CONFLICT DO NOTHING RETURNING order_id
"""
_COUNTED = "DELETE FROM pg_temp.touch_mark_found WHERE order_id IS NOT NULL AND order_id <> ALL(%s)"


def _write(brand: Brand, mark: str, found: str, given: dict[str, Any]) -> None:
    is_order = mark == "converted_at"
    more = "fen, order_id" if is_order else "0::bigint AS fen, NULL::bigint AS order_id"
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.touch_mark_found")
        select = f"SELECT touch_at, touch_id, send_task_id, at, {more} FROM ({found}) f"  # noqa: S608
        cursor.execute(f"CREATE TEMP TABLE touch_mark_found ON COMMIT DROP AS {select}", given)
        if not cursor.rowcount:
            return
        cursor.execute(
            "SELECT DISTINCT send_task_id FROM pg_temp.touch_mark_found WHERE send_task_id IS NOT NULL"
        )
        ids = [row[0] for row in cursor.fetchall()]
    # send tasks before touches, in the order of their ids: as everybody who writes both
    list(SendTask.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))
    with connection.cursor() as cursor:
        if is_order:
            cursor.execute(_TAKE_ORDERS, given)
            cursor.execute(_COUNTED, [[row[0] for row in cursor.fetchall()]])
        fold = _FOLDS[mark]
        others = ", ".join(name for name in _FOLDS.values() if name != fold)
        names = {"fold": fold, "others": others, "direct": int(Touch.Kind.DIRECT)}
        sql = _FOLD.format(mark=_MARK.format(mark=mark), **names)
        cursor.execute(sql, {"b": brand.pk})
