"""Corp tags on their way to WeCom: one queued call for each relation, and what is still on its way."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection

from contacts.models import Follow
from org.models import Corp
from scrm import clock
from tenants.models import Brand
from wecom.models import OutboundCall
from wecom.services import outbound


@dataclass(frozen=True)
class Mark:
    """Tags to put on and take off one relation (corp, guide, customer); WeCom's ids."""

    follow: Follow
    add: list[str]
    remove: list[str]


def queue_marks(brand: Brand, marks: list[Mark]) -> None:
    """Queue the calls in the caller's transaction and note on each relation what WeCom will show afterwards.

    API calls make no callback, so nobody tells us later; `on_the_way` says what is not there yet.
    """
    if not marks:
        return
    _take_back(marks)
    act = secrets.token_hex(6)  # the same tags may be put on, taken off and put on again: three acts
    for corp in {mark.follow.corp_id: mark.follow.corp for mark in marks}.values():
        calls: list[outbound.NewCall] = [
            {
                "key": f"{act}:{mark.follow.pk}",
                "subject": mark.follow.external_userid,
                "payload": {
                    "userid": mark.follow.staff.userid,
                    "external_userid": mark.follow.external_userid,
                    "add": mark.add,
                    "remove": mark.remove,
                },
            }
            for mark in marks
            if mark.follow.corp_id == corp.pk
        ]
        outbound.enqueue_many(brand, corp=corp, kind=OutboundCall.Kind.MARK_TAG, calls=calls)
    rows = [(m.follow.pk, sorted((set(m.follow.wecom_tag_ids) | set(m.add)) - set(m.remove))) for m in marks]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE contacts_follow f SET wecom_tag_ids = string_to_array(x.ids, ' ')::varchar[]"
            " FROM unnest(%s::bigint[], %s::text[]) AS x(id, ids) WHERE f.brand_id = %s AND f.id = x.id",
            [[pk for pk, _ in rows], [" ".join(ids) for _, ids in rows], brand.pk],
        )


def _take_back(marks: list[Mark]) -> None:
    """Take what is contrary out of calls that still wait: they may be made after the new one, or fail for hours first."""
    mine = {(mark.follow.staff.userid, mark.follow.external_userid): mark for mark in marks}
    waiting = OutboundCall.objects.select_for_update(skip_locked=True).filter(
        kind=OutboundCall.Kind.MARK_TAG,
        state=OutboundCall.State.WAITING,
        subject__in={mark.follow.external_userid for mark in marks},
    )
    for call in waiting:
        mark = mine.get((call.payload["userid"], call.payload["external_userid"]))
        if mark is None or call.corp_id != mark.follow.corp_id:
            continue
        add = [tag for tag in call.payload["add"] if tag not in mark.remove]
        remove = [tag for tag in call.payload["remove"] if tag not in mark.add]
        if len(add) + len(remove) == len(call.payload["add"]) + len(call.payload["remove"]):
            continue
        call.payload = {**call.payload, "add": add, "remove": remove}
        if not add and not remove:
            call.state, call.done_at = OutboundCall.State.DONE, clock.now()
        call.save(update_fields=["payload", "state", "done_at"])


def on_the_way(
    corp: Corp, external_userids: Iterable[str]
) -> dict[tuple[str, str], tuple[set[str], set[str]]]:
    """(userid, external_userid) → tags that we have put on, and taken off, and WeCom may not show yet."""
    waiting = OutboundCall.objects.filter(
        corp=corp,
        kind=OutboundCall.Kind.MARK_TAG,
        subject__in=list(external_userids),
        state__in=[OutboundCall.State.WAITING, OutboundCall.State.CALLING],
    )
    found: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    for payload in waiting.order_by("pk").values_list("payload", flat=True):
        key = (payload["userid"], payload["external_userid"])
        added, removed = found.get(key, (set(), set()))
        add, remove = set(payload["add"]), set(payload["remove"])
        found[key] = ((added | add) - remove, (removed | remove) - add)
    return found
