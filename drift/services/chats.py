"""Group chats and who is in them: what differs between WeCom's groups and ours, and their repair.

The names of people in a group are their own business and no difference; they are followed without a word.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from drift.services.differences import New
from groups.models import GroupChat, GroupMember
from groups.services import sync as group_sync
from groups.services.mirror import SAME, merge
from groups.services.reading import OWNER_CODES, Reading, Stay, list_groups
from org.access import SYSTEM
from org.models import Corp, Job, Staff
from tenants.db.clash import turns
from tenants.models import Brand
from wecom.client import client_for
from wecom.crypto import parse_event
from wecom.errors import WeComRejected
from wecom.models import CallbackEvent

KINDS = ("group_missing", "group_ghost", "group_differs", "group_members_differ")
TRIES = 4  # of a merge that others meet
GRACE = timedelta(minutes=10)  # the callback of a joining may still be on its way
NAMED = 20  # people whom a difference names


def are_mirrored(brand: Brand, corp: Corp) -> bool:
    """Whether all groups of a corp were read once, so that there is something to compare; else that is started."""
    with transaction.atomic():
        syncs = Job.objects.filter(kind=group_sync.KIND, params__corp_id=corp.pk)
        if syncs.filter(state__in=[Job.State.WAITING, Job.State.RUNNING, Job.State.PAUSED]).exists():
            return False
        if syncs.filter(state=Job.State.DONE).exists():
            return True
        group_sync.start_sync(brand, corp=corp, by=SYSTEM)
        return False


def compare(corp: Corp, readings: Sequence[Reading]) -> dict[str, list[New]]:
    """Groups as WeCom shows them beside ours, in the caller's transaction: chat_id → differences. Groups that must be
    left alone, because an event of theirs waits in the inbox or we have read them since, are not in it."""
    busy = _busy(corp)
    known = {
        chat.chat_id: chat
        for chat in GroupChat.objects.select_related("owner").filter(
            corp=corp, chat_id__in=[reading.chat_id for reading in readings]
        )
    }
    inside, names = _inside(known, readings)
    owners = {reading.owner for reading in readings} | {one for r in readings for one in r.admins}
    owners |= {one for chat in known.values() for one in (chat.owner_userid, *chat.admin_userids)}
    staff = {
        row.userid: row
        for row in Staff.objects.filter(corp=corp, userid__in=owners - {""}).only("userid", "name")
    }
    found: dict[str, list[New]] = {}
    for reading in readings:
        chat = known.get(reading.chat_id)
        is_newer = chat is not None and (chat.fetched_at or reading.seen_at) > reading.seen_at
        if reading.is_hidden or reading.chat_id in busy or is_newer:
            continue
        found[reading.chat_id] = _of(reading, chat, inside[chat.pk] if chat else {}, names, staff)
    return found


def _inside(
    known: dict[str, GroupChat], readings: Sequence[Reading]
) -> tuple[dict[int, dict[str, datetime]], dict[tuple[int, str], str]]:
    """Who is in each group as we have it (userid → joined at), and the names of those whom WeCom does not show any more."""
    stays = GroupMember.objects.filter(chat__in=[chat.pk for chat in known.values()], left_at=None)
    inside: dict[int, dict[str, datetime]] = defaultdict(dict)
    for chat_id, userid, joined_at in stays.values_list("chat_id", "userid", "joined_at"):
        inside[chat_id][userid] = joined_at
    left: set[str] = set()
    for reading in readings:
        if chat := known.get(reading.chat_id):
            left |= inside[chat.pk].keys() - {stay.userid for stay in reading.stays}
    rows = stays.filter(userid__in=left).select_related("contact", "staff") if left else []
    return inside, {(row.chat_id, row.userid): row.shown_name for row in rows}


def _busy(corp: Corp) -> set[str]:
    """Groups of which an event waits to be handled."""
    waiting = CallbackEvent.objects.filter(
        corp=corp,
        event="change_external_chat",
        state__in=[CallbackEvent.State.NEW, CallbackEvent.State.RETRY],
    )
    return {str(parse_event(body).get("ChatId") or "") for body in waiting.values_list("body", flat=True)}


def _of(
    reading: Reading,
    chat: GroupChat | None,
    inside: dict[str, datetime],
    names: dict[tuple[int, str], str],
    staff: dict[str, Staff],
) -> list[New]:
    if chat is None or chat.dismissed_at is not None:
        is_new = reading.created_at is not None and reading.created_at > reading.seen_at - GRACE
        if reading.is_gone or is_new:
            return []
        theirs = {"owner": _name(reading.owner, staff), "n_members": len(reading.stays)}
        return [_new("group_missing", reading, chat, staff, theirs=theirs)]
    if reading.is_gone:
        ours = {"owner": _name(chat.owner_userid, staff), "n_members": chat.n_members}
        return [_new("group_ghost", reading, chat, staff, ours=ours)]
    return [
        new for new in (_itself(reading, chat, staff), _people(reading, chat, inside, names, staff)) if new
    ]


def _itself(reading: Reading, chat: GroupChat, staff: dict[str, Staff]) -> New | None:
    pairs = {
        "name": (chat.name, reading.name),
        "owner": (chat.owner_userid, reading.owner),
        "notice": (chat.notice, reading.notice),
        "admins": (sorted(chat.admin_userids), sorted(reading.admins)),
        "group_state": (chat.state, chat.state if reading.state is None else reading.state),
    }
    differ = [name for name, (ours, theirs) in pairs.items() if ours != theirs]
    if not differ:
        return None
    sides = [{name: _words(name, pairs[name][side], staff) for name in differ} for side in (0, 1)]
    return _new("group_differs", reading, chat, staff, ours=sides[0], theirs=sides[1])


def _words(name: str, value: Any, staff: dict[str, Staff]) -> Any:
    if name == "owner":
        return _name(value, staff)
    return [_name(one, staff) for one in value] if name == "admins" else value


def _people(
    reading: Reading,
    chat: GroupChat,
    inside: dict[str, datetime],
    names: dict[tuple[int, str], str],
    staff: dict[str, Staff],
) -> New | None:
    shown = {stay.userid: stay for stay in reading.stays}
    joined = [stay for stay in reading.stays if _has_joined(stay, inside.get(stay.userid), reading)]
    left = [userid for userid in inside if userid not in shown]
    if not joined and not left:
        return None
    ours = {
        "users": _listed([names.get((chat.pk, userid), userid) for userid in left]),
        "n_members": len(inside),
    }
    theirs = {"users": _listed([stay.name or stay.userid for stay in joined]), "n_members": len(shown)}
    return _new("group_members_differ", reading, chat, staff, ours=ours, theirs=theirs)


def _has_joined(stay: Stay, ours: datetime | None, reading: Reading) -> bool:
    """Somebody whom we do not have in the group, or who has left it and come back since; not just now."""
    if ours is None:
        return stay.joined_at <= reading.seen_at - GRACE
    return stay.joined_at > ours + SAME


def _listed(names: Iterable[str]) -> list[str]:
    names = sorted(names)
    more = len(names) - NAMED
    return [*names[:NAMED], _("and %(n)d more") % {"n": more}] if more > 0 else names


def _name(userid: str, staff: dict[str, Staff]) -> str:
    return staff[userid].name if userid in staff else userid


def _new(
    kind: str,
    reading: Reading,
    chat: GroupChat | None,
    staff: dict[str, Staff],
    *,
    ours: dict[str, Any] | None = None,
    theirs: dict[str, Any] | None = None,
) -> New:
    owner = staff.get(reading.owner or (chat.owner_userid if chat else ""))
    title = reading.name or (chat.name if chat else "") or reading.chat_id
    owner_id = owner.pk if owner else chat.owner_id if chat else None
    return New(
        kind,
        reading.chat_id,
        title,
        staff_id=owner_id,
        object_id=chat.pk if chat else None,
        ours=ours or {},
        theirs=theirs or {},
    )


def follow(
    brand: Brand,
    corp: Corp,
    readings: Sequence[Reading],
    found: dict[str, list[New]],
    auto: Collection[str],
    *,
    job_id: int,
) -> list[New]:
    """Take over groups of which nothing is to wait for a person, in the caller's transaction; gives what was repaired.
    A group is read as a whole: of one that differs in two ways, both are repaired or none."""
    free = {chat_id for chat_id, own in found.items() if all(new.kind in auto for new in own)}
    merge(
        brand,
        corp,
        [reading for reading in readings if reading.chat_id in free],
        job_id=job_id,
        source="sync",
    )
    seen = [reading.chat_id for reading in readings]
    GroupChat.objects.filter(corp=corp, chat_id__in=seen).update(synced_in=job_id)
    return [new for chat_id in free for new in found[chat_id]]


def repair(brand: Brand, corp: Corp, chat_ids: Sequence[str]) -> set[str]:
    """Make some groups here as WeCom shows them now; gives those that it shows. Calls WeCom, so outside of transactions."""
    readings = group_sync.read_groups(corp, dict.fromkeys(sorted(set(chat_ids))))
    states = _states(corp, {reading.owner for reading in readings if reading.owner})
    readings = [replace(reading, state=states.get(reading.chat_id)) for reading in readings]
    for turn in turns(TRIES):
        with turn, transaction.atomic():
            merge(brand, corp, readings, source="sync")
            break
    return {reading.chat_id for reading in readings if not reading.is_hidden}


def _states(corp: Corp, owners: Iterable[str]) -> dict[str, int]:
    """chat_id → state of the groups of some owners: the list tells it, a group itself does not."""
    client = client_for(corp)
    found: dict[str, int] = {}
    for owner in sorted(owners):
        cursor = ""
        while True:
            try:
                page = list_groups(client, [owner], cursor, 1000)
            except WeComRejected as error:
                if error.errcode not in OWNER_CODES:
                    raise
                break  # whose groups WeCom shows one by one, and does not list
            found |= {row["chat_id"]: row.get("status", 0) for row in page["group_chat_list"]}
            cursor = page["next_cursor"]
            if not cursor:
                break
    return found
