"""What customers did after a message: opened, replied, bought. A reader of the outbox that works in sets.

- *Opened*: an event of a tracked link or page that names the send task (`data.send_task`) or the touch (`data.touch`) it
  was sent with. Nobody else's link counts.
- *Replied*: the customer said something in a group or in the chat archive, or answered a form. WeCom tells no more: the
  words of a chat between guide and customer are not its to give.
- *Bought*: an order paid. Replies and orders count for the message that was delivered last before them, within the days
  that the brand's policy names (last touch).

Each mark is set once, by the first such event; figures of send tasks are folds of them.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from campaigns.models import SendTask, Touch
from campaigns.services.rules import policy_of
from campaigns.services.touches import array
from contacts.models import EventType, OutboxPosition
from contacts.services import outbox
from tenants.models import Brand

READER = "touch_marks"
TABLE = "touch_mark_batch"
BATCH = 5_000
OPENS = (EventType.OPENED, EventType.READ)
REPLIES = (EventType.WORD_SAID, EventType.FORM_ANSWERED)
ORDERS = (EventType.ORDER_PAID,)
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
    SELECT t.at AS touch_at, t.id AS touch_id, t.send_task_id, e.at, e.fen
      FROM ({events}) e CROSS JOIN LATERAL (
        SELECT t.at, t.id, t.send_task_id FROM campaigns_touch t
         WHERE t.brand_id = %(b)s AND t.contact_id = e.contact_id AND t.state = %(delivered)s AND t.kind = ANY(%(kinds)s)
           AND t.at BETWEEN e.at - %(far)s::interval AND e.at + interval '1 day'
           AND t.done_at <= e.at AND t.done_at > e.at - %(window)s::interval
         ORDER BY t.done_at DESC, t.id DESC LIMIT 1) t
"""
_NEW = """
    SELECT contact_id, at, CASE WHEN jsonb_typeof(data -> 'amount_fen') = 'number'
                                THEN (data ->> 'amount_fen')::numeric::bigint ELSE 0 END AS fen
      FROM pg_temp.{table} WHERE type = ANY(%(types)s)
"""
# of people whose delivery became known only now: events that had no message, or an older one, when they were read
_SINCE = """
    SELECT e.contact_id, e.at, CASE WHEN jsonb_typeof(e.data -> 'amount_fen') = 'number'
                                    THEN (e.data ->> 'amount_fen')::numeric::bigint ELSE 0 END AS fen
      FROM contacts_event e JOIN pg_temp.touch_mark_seen s ON true
     WHERE e.brand_id = %(b)s AND e.contact_id = ANY(%(people)s::bigint[]) AND e.at >= %(since)s AND e.type = ANY(%(types)s)
       AND (e.xid, e.id) <= (s.xid, s.event_id)
       AND NOT EXISTS (SELECT FROM campaigns_touch o WHERE o.brand_id = %(b)s AND o.contact_id = e.contact_id
                        AND o.at BETWEEN e.at - %(far)s::interval AND e.at + interval '1 day' AND o.{mark} = e.at)
"""


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
    RETURNING t.send_task_id
"""
_FOLD = """
    WITH done AS ({mark}), n AS (
        SELECT send_task_id AS id, count(*) AS n, 0::numeric AS fen FROM done WHERE send_task_id IS NOT NULL GROUP BY 1
         UNION ALL
        SELECT send_task_id, 0, sum(fen) FROM pg_temp.touch_mark_found WHERE send_task_id IS NOT NULL GROUP BY 1
    )
    UPDATE campaigns_sendtask k SET {fold} = k.{fold} + n.n, converted_fen = k.converted_fen + n.fen
      FROM (SELECT id, sum(n) AS n, sum(fen) AS fen FROM n GROUP BY 1) n
     WHERE k.brand_id = %(b)s AND k.id = n.id AND (n.n > 0 OR n.fen > 0)
"""


def _write(brand: Brand, mark: str, found: str, given: dict[str, Any]) -> None:
    fen = "fen" if mark == "converted_at" else "0::bigint AS fen"
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.touch_mark_found")
        select = f"SELECT touch_at, touch_id, send_task_id, at, {fen} FROM ({found}) f"  # noqa: S608
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
        sql = _FOLD.format(mark=_MARK.format(mark=mark), fold=_FOLDS[mark])
        cursor.execute(sql, {"b": brand.pk})
