"""What a rule would have told yesterday, by the settings of now; nothing is written."""

from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection, transaction

from campaigns import alerting
from campaigns.alerting import Item
from campaigns.governance import day_of, midnight
from campaigns.models import Alert, AlertRule
from campaigns.services.alerts import alert_hits
from campaigns.services.alerts.alert_rules import settings_of
from scrm import clock
from tagging.rule_events import event_of
from tenants.models import Brand

MOST = 20_000  # events of one day that are looked at
TABLE = "alert_preview"


@dataclass
class Preview:
    """
    Attributes:
        n_events: events that fit; `is_cut` when only the first `MOST` events of the kind were looked at.
        not_told: (words, number) of what would not have been told.
    """

    first: datetime
    n_events: int = 0
    n_messages: int = 0
    n_guides: int = 0
    is_cut: bool = False
    not_told: list[tuple[str, int]] = field(default_factory=list)


@transaction.atomic
def yesterday(brand: Brand, rule: AlertRule) -> Preview:
    """The brand's day before today; guides are those of now."""
    today = day_of(clock.now(), brand.timezone)
    first, last = midnight(today - 1, brand.timezone), midnight(today, brand.timezone)
    found = Preview(first)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{TABLE}")
        cursor.execute(
            f"CREATE TEMP TABLE {TABLE} ON COMMIT DROP AS"  # noqa: S608
            " SELECT id, at, contact_id, type, staff_id, object_id, data"
            " FROM contacts_event WHERE brand_id = %s AND type = %s AND at >= %s AND at < %s ORDER BY at LIMIT %s",
            [brand.pk, int(event_of(rule.event).type), first, last, MOST + 1],
        )
        found.is_cut = cursor.rowcount > MOST
    table = f"pg_temp.{TABLE}"
    looked = AlertRule(pk=rule.pk, event=rule.event, filters=rule.filters, condition=rule.condition)
    hits = alert_hits.hits(brand, [looked], table, since=first)
    found.n_events = len(hits)
    rows, nobody = [], 0
    for staff_id, event_id, at, contact_id, type, object_id in alert_hits.receivers(brand, hits, table):
        if staff_id is None:
            nobody += 1
        else:
            rows.append((staff_id, Item(event_id, at, contact_id, (type, object_id))))
    outcome = alerting.rehearse(rows, settings_of(brand))
    found.n_messages, found.n_guides = outcome.n_messages, len(outcome.guides)
    dropped = dict(outcome.dropped)
    if nobody:
        dropped[Alert.Reason.NO_GUIDE] = nobody
    found.not_told = [
        (str(Alert.Reason(reason).label), n) for reason, n in sorted(dropped.items(), key=lambda r: -r[1])
    ]
    return found
