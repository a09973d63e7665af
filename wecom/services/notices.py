"""Notices to staff: a message of the app in the WeCom client of one member."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urljoin

from django.conf import settings
from django.utils.text import Truncator

from org.models import Corp, Staff
from tenants.models import Brand
from wecom.models import OutboundCall
from wecom.services import outbound

TITLE_CHARS, TEXT_CHARS, TEXT_BYTES = 128, 512, 2048  # of a card; of a plain text


class Notice(NamedTuple):
    """What one member is told, once per `key`; see `notify_staff`."""

    staff: Staff
    key: str
    text: str
    url: str = ""


def notify_staff(brand: Brand, *, staff: Staff, key: str, text: str, url: str = "") -> OutboundCall | None:
    """Tell a member something, once per key, after the caller's transaction. None: told already, or not
    reachable (no WeCom account, or left).

    Args:
        text: the first line is the title where there is a `url`; what is too long for WeCom is cut.
        url: a page of ours (path or whole address): the notice becomes a card that opens it. A guide's page (`/g/…`)
            gets the corp added, so that whoever is not signed in goes through WeCom straight to it.
    """
    notice = Notice(staff, key, text, url)
    if not _can_get(staff) or staff.corp is None:
        return None
    return outbound.enqueue(
        brand, corp=staff.corp, kind=OutboundCall.Kind.NOTICE, key=_key(notice), payload=_payload(notice)
    )


def notify_many(brand: Brand, notices: Iterable[Notice]) -> int:
    """The same for many members; gives how many are told. One statement for each corp."""
    by_corp: dict[int, list[Notice]] = {}
    for notice in notices:
        if _can_get(notice.staff):
            by_corp.setdefault(notice.staff.corp_id or 0, []).append(notice)
    n = 0
    for rows in by_corp.values():
        calls: list[outbound.NewCall] = [{"key": _key(row), "payload": _payload(row)} for row in rows]
        corp = rows[0].staff.corp
        assert corp is not None
        n += len(outbound.enqueue_many(brand, corp=corp, kind=OutboundCall.Kind.NOTICE, calls=calls))
    return n


def tell_those_who(
    brand: Brand, corp: Corp, right: str, *, key: str, text: str, url: str, at_most: int = 20
) -> int:
    """The same for members of a corp who have a right; gives how many are told."""
    people = Staff.objects.with_right(right).filter(corp=corp)[:at_most]
    return notify_many(brand, [Notice(person, key, text, url) for person in people])


def told_since(notices: Iterable[Notice], moment: datetime) -> set[int]:
    """Ids of members who were told one of these after a moment."""
    of = {_key(notice): notice.staff.pk for notice in notices}
    rows = OutboundCall.objects.filter(kind=OutboundCall.Kind.NOTICE, key__in=list(of), created_at__gt=moment)
    return {of[key] for key in rows.values_list("key", flat=True)}


def _can_get(staff: Staff) -> bool:
    return staff.corp_id is not None and bool(staff.userid) and staff.state == Staff.State.ACTIVE


def _key(notice: Notice) -> str:
    return f"{notice.staff.pk}:{notice.key}"[:120]


def _payload(notice: Notice) -> dict[str, Any]:
    payload: dict[str, Any] = {"userid": notice.staff.userid}
    if not notice.url:
        return payload | {"text": notice.text.encode()[:TEXT_BYTES].decode(errors="ignore")}
    title, _line, rest = notice.text.strip().partition("\n")
    return payload | {
        "title": Truncator(title).chars(TITLE_CHARS),
        "text": Truncator(rest.strip() or title).chars(TEXT_CHARS),
        "url": urljoin(settings.PUBLIC_URL + "/", _with_corp(notice)),
    }


def _with_corp(notice: Notice) -> str:
    url, corp = notice.url, notice.staff.corp
    if not url.startswith("/g/") or corp is None:
        return url
    return f"{url}{'&' if '?' in url else '?'}corp={corp.corpid}"
