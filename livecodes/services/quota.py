"""获客助手: what is left of the balance, and the alarm when it runs short.

Read each hour where there are links, and at once when WeCom tells of a change; told once for each shortage.

Source: developer.work.weixin.qq.com/document/path/97375, 97299
"""

import logging
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from livecodes.models import AcquisitionQuota, ChannelCode
from org import audit
from org.access import Actor
from org.models import Corp
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from tenants.models import Brand
from wecom.api import acquisition
from wecom.client import client_for
from wecom.errors import WeComError
from wecom.models import CallbackEvent
from wecom.services.notices import tell_those_who

log = logging.getLogger(__name__)

EVERY = timedelta(hours=1)
SOON = timedelta(days=14)  # WeCom itself begins to warn so long before a part of the balance expires
MAX_TOLD = 10
MAX_ALARM = 1_000_000


def due(brand: Brand) -> list[Corp]:
    """Corps with links whose balance was not read for an hour."""
    with transaction.atomic():
        with_links = ChannelCode.objects.live().filter(kind=ChannelCode.Kind.LINK).values("corp")
        fresh = AcquisitionQuota.objects.filter(read_at__gt=clock.now() - EVERY).values("corp")
        return list(Corp.objects.filter(pk__in=with_links).exclude(pk__in=fresh).order_by("pk"))


def read(brand: Brand, corp: Corp) -> AcquisitionQuota:
    """Ask WeCom and write it down; calls WeCom, so outside of a transaction. What WeCom refuses (the product is
    not bought) is written down, never raised."""
    try:
        found, error = acquisition.quota(client_for(corp)), ""
    except WeComError as problem:
        log.warning("quota of corp %s: %r", corp.pk, problem)
        found, error = {}, str(problem)[:300]
    with transaction.atomic():
        AcquisitionQuota.objects.get_or_create(corp=corp)
        row = AcquisitionQuota.objects.select_for_update().get(corp=corp)
        row.read_at, row.error = clock.now(), error
        if not error:
            row.total, row.balance = int(found.get("total") or 0), int(found.get("balance") or 0)
            row.expiring = _expiring(found.get("quota_list") or [])
            _alarm(brand, corp, row)
        row.save()
        return row


def _expiring(rows: Any) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        seconds, n = int(row.get("expire_date") or 0), int(row.get("balance") or 0)
        if seconds and n:
            found.append({"on": datetime.fromtimestamp(seconds, UTC).date().isoformat(), "n": n})
    return sorted(found, key=lambda one: one["on"])


def is_short(row: AcquisitionQuota) -> bool:
    return not row.error and row.balance < row.alarm_below


def expires_soon(row: AcquisitionQuota) -> list[dict[str, Any]]:
    """Parts of the balance that end within two weeks: {on: date, n}."""
    until = (clock.now() + SOON).date()
    soon = [part for part in row.expiring if date.fromisoformat(part["on"]) <= until]
    return [{"on": date.fromisoformat(part["on"]), "n": part["n"]} for part in soon]


def _alarm(brand: Brand, corp: Corp, row: AcquisitionQuota) -> None:
    """Tell once that the balance runs short; who has bought more is warned again the next time."""
    if not is_short(row):
        row.told_at = None
        return
    if row.told_at is not None:
        return
    row.told_at = clock.now()
    lines = [
        _("Acquisition links: the balance runs short"),
        _("%(n)s new customers are left") % {"n": row.balance},
    ]
    if not row.balance:
        lines[1] = _("The balance is used up: links add no new customers")
    tell(brand, corp, "\n".join(lines), key=f"quota:{row.pk}:{row.told_at.timestamp()}")


def tell(brand: Brand, corp: Corp, text: str, *, key: str) -> None:
    """A notice to those in WeCom who look after channel codes; in the caller's transaction."""
    tell_those_who(brand, corp, "codes.edit", key=key, text=text, url="/codes/links/", at_most=MAX_TOLD)


@transaction.atomic
def set_alarm(brand: Brand, *, by: Actor, corp_id: int, below: int) -> AcquisitionQuota:
    """From which balance on it is called short.

    Raises:
        InvalidError: no number that makes sense.
    """
    corp = Corp.objects.filter(pk=corp_id).first()
    if corp is None:
        raise NotFoundError()
    if not 0 <= below <= MAX_ALARM:
        text = _("A number from 0 to %(n)s") % {"n": MAX_ALARM}
        raise InvalidError(text, fields={"alarm_below": text})
    AcquisitionQuota.objects.get_or_create(corp=corp)
    row = AcquisitionQuota.objects.select_for_update().get(corp=corp)
    before, row.alarm_below, row.told_at = row.alarm_below, below, None
    row.save(update_fields=["alarm_below", "told_at"])
    after = {"alarm_below": below}
    audit.record(by, "quota.alarm", row, before={"alarm_below": before}, after=after, name=corp.name)
    return row


def on_balance_changed(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """customer_acquisition balance_low, balance_exhausted, balance_increased: the balance is read, not believed."""
    read(brand, corp)


def on_quota_expires(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """customer_acquisition quota_expire_soon: WeCom tells 14, 7, 3, 2 and 1 days before."""
    row = read(brand, corp)
    n = str(payload.get("ExpireQuotaNum") or "")
    with transaction.atomic():
        if n.isdecimal():
            lines = [
                _("Acquisition links: a part of the balance expires"),
                _("%(n)s new customers, paid for, are lost soon") % {"n": n},
            ]
            tell(brand, corp, "\n".join(lines), key=f"expire:{row.pk}:{event.pk}")
