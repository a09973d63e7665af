"""行为提醒 at work: new events become alerts, alerts become messages of the app to guides.

    read     a batch of the outbox, its alerts and the reader's position in one transaction: each event once
    tell     what is due, the messages, their notices in wecom's outbox and the timeline in one transaction
    call     wecom/services/outbound.py: claimed, made, recorded; WeCom's own duplicate check behind it

A process that dies between any two of them has lost nothing and told nothing twice.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction

from campaigns import alerting
from campaigns.alerting import Decision, Item, Told
from campaigns.models import Alert, AlertMessage
from campaigns.services.alerts import alert_hits, alert_words
from campaigns.services.alerts.alert_rules import READER, live_rules, settings_of
from contacts.models import EventType
from contacts.services import outbox
from contacts.services.timeline import EventRow, record_events
from org.models import Staff
from scrm import clock
from tenants.models import Brand
from wecom.services.notices import Notice, notify_many

log = logging.getLogger(__name__)

BATCH, TABLE = 5_000, "alert_batch"
AT_ONCE = 5_000  # alerts told in one transaction
KEPT = timedelta(days=90)
_LOCK = 0x70_0A  # first key of the advisory lock; the second is the brand
State = Alert.State


def run(brand: Brand, *, batches: int = 200) -> None:
    """React to what is new, then tell what is due. Nothing switched on and nothing waiting costs two look-ups."""
    read(brand, batches=batches)
    while tell(brand) == AT_ONCE:
        pass


def read(brand: Brand, *, batches: int = 200) -> int:
    """New events become alerts; gives how many events were looked at."""
    n_all = 0
    for _round in range(batches):
        with transaction.atomic():
            rules = live_rules()
            if not rules:
                return n_all
            n, xid, event_id = outbox.take(brand, READER, TABLE, BATCH)
            if not n:
                return n_all
            table = f"pg_temp.{TABLE}"
            found = alert_hits.hits(brand, rules, table, since=clock.now() - alert_hits.NEWS)
            alert_hits.write(brand, found, table)
            outbox.move_to(brand, READER, xid, event_id)
        n_all += n
        if n < BATCH:
            return n_all
    return n_all


@transaction.atomic
def tell(brand: Brand) -> int:
    """One message for each guide with something due; gives how many alerts were looked at."""
    now = clock.now()
    due = Alert.objects.filter(state=State.WAITING, due_at__lte=now)
    if not due.exists() or not _alone(brand):
        return 0
    rows = list(due.order_by("due_at", "pk").select_related("contact")[:AT_ONCE])
    by_guide: dict[int, list[Alert]] = defaultdict(list)
    for row in rows:
        by_guide[row.staff_id or 0].append(row)
    guides = {s.pk: s for s in Staff.objects.select_related("corp").filter(pk__in=list(by_guide))}
    told, sent_at = _told(by_guide, now), _messages(list(by_guide), now)
    settings = settings_of(brand)
    decisions: dict[int, Decision] = {}
    for staff_id, waiting in by_guide.items():
        guide = guides.get(staff_id)
        if guide is None or guide.state != Staff.State.ACTIVE or not guide.userid or guide.corp is None:
            decisions[staff_id] = Decision(drop={row.pk: Alert.Reason.UNREACHABLE for row in waiting})
            continue
        items = [Item(row.pk, row.at, row.contact_id, (row.type, row.object_id)) for row in waiting]
        decisions[staff_id] = alerting.decide(now, items, told[staff_id], sent_at[staff_id], settings)
    _hold(brand, decisions)
    _drop(decisions, now)
    _send(brand, decisions, guides, {row.pk: row for row in rows}, now)
    return len(rows)


def _alone(brand: Brand) -> bool:
    """Two at once would each write a message of half of a guide's alerts."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_LOCK, brand.pk])
        return bool(cursor.fetchone()[0])


def _told(by_guide: dict[int, list[Alert]], now: datetime) -> dict[int, dict[int, Told]]:
    """{guide: {contact: the last message about them}} of the day before."""
    contact_ids = {row.contact_id for rows in by_guide.values() for row in rows}
    before = Alert.objects.filter(
        staff__in=list(by_guide),
        contact__in=contact_ids,
        state=State.SENT,
        done_at__gt=now - timedelta(days=1),
    )
    found: dict[int, dict[int, Told]] = defaultdict(dict)
    rows = before.order_by("done_at").values_list("staff_id", "contact_id", "done_at", "type", "object_id")
    for staff_id, contact_id, at, type, object_id in rows:
        if at is None or staff_id is None:
            continue
        last = found[staff_id].get(contact_id)
        what = last.what if last and last.at == at else frozenset()
        found[staff_id][contact_id] = Told(at, what | {(type, object_id)})
    return found


def _messages(staff_ids: Sequence[int], now: datetime) -> dict[int, list[datetime]]:
    found: dict[int, list[datetime]] = defaultdict(list)
    rows = AlertMessage.objects.filter(staff__in=staff_ids, at__gt=now - alerting.HOUR).values_list(
        "staff_id", "at"
    )
    for staff_id, at in rows:
        found[staff_id].append(at)
    return found


def _hold(brand: Brand, decisions: dict[int, Decision]) -> None:
    held = {pk: until for found in decisions.values() for pk, until in found.hold.items()}
    if held:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE campaigns_alert a SET due_at = h.until"
                " FROM unnest(%s::bigint[], %s::timestamptz[]) AS h(id, until) WHERE a.brand_id = %s AND a.id = h.id",
                [list(held), list(held.values()), brand.pk],
            )


def _drop(decisions: dict[int, Decision], now: datetime) -> None:
    by_reason: dict[str, list[int]] = defaultdict(list)
    for found in decisions.values():
        for pk, reason in found.drop.items():
            by_reason[reason].append(pk)
    for reason, ids in by_reason.items():
        Alert.objects.filter(pk__in=ids).update(state=State.SUPPRESSED, reason=reason, done_at=now)


def _send(
    brand: Brand,
    decisions: dict[int, Decision],
    guides: dict[int, Staff],
    rows: dict[int, Alert],
    now: datetime,
) -> None:
    sends = {
        staff_id: [rows[item.id] for item in found.send]
        for staff_id, found in decisions.items()
        if found.send
    }
    if not sends:
        return
    words = alert_words.texts(sends)
    made = AlertMessage.objects.bulk_create(
        AlertMessage(
            staff=guides[staff_id],
            at=now,
            n_alerts=len(alerts),
            n_contacts=len({row.contact_id for row in alerts}),
            text=words[staff_id].text,
        )
        for staff_id, alerts in sends.items()
    )
    message_of = {message.staff_id: message for message in made}
    pairs = [(row.pk, message_of[staff_id].pk) for staff_id, alerts in sends.items() for row in alerts]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_alert a SET state = 'sent', done_at = %s, message_id = s.message_id"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS s(id, message_id) WHERE a.brand_id = %s AND a.id = s.id",
            [now, [pk for pk, _message in pairs], [message for _pk, message in pairs], brand.pk],
        )
    events: list[EventRow] = [
        {
            "contact_id": contact_id,
            "type": EventType.ALERTED,
            "at": now,
            "staff_id": staff_id,
            "object_id": message_of[staff_id].pk,
            "source": "alert",
            "data": {"title": title[:200]},
        }
        for staff_id in sends
        for contact_id, title in words[staff_id].titles.items()
    ]
    record_events(brand, events)
    notify_many(
        brand,
        [
            Notice(guides[staff_id], notice_key(message), words[staff_id].text, words[staff_id].url)
            for staff_id, message in message_of.items()
        ],
    )
    log.info("alerts: %s messages of %s alerts", len(made), len(pairs))


def notice_key(message: AlertMessage) -> str:
    """What makes its notice one in wecom's outbox."""
    return f"alert:{message.pk}"


@transaction.atomic
def purge(brand: Brand) -> int:
    """Forget alerts and messages that are over; gives how many alerts."""
    before = clock.now() - KEPT
    n = 0
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM campaigns_alert WHERE brand_id = %s AND state <> 'waiting' AND at < %s",
            [brand.pk, before],
        )
        n = cursor.rowcount
        cursor.execute(
            "DELETE FROM campaigns_alertmessage m WHERE m.brand_id = %s AND m.at < %s AND NOT EXISTS (SELECT 1"
            " FROM campaigns_alert a WHERE a.brand_id = %s AND a.message_id = m.id)",
            [brand.pk, before, brand.pk],
        )
    return n
