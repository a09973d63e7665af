"""The mirror of groups: what WeCom showed becomes our rows, and what differs becomes joins and leaves.

Set-based: a constant number of statements for any number of groups and members. Several processes may read
one group at once: its row is locked while its members are compared, and an older reading changes nothing.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction

from contacts.models import EventType, Identity
from contacts.services.identity.owner_sql import whose
from contacts.services.timeline import EventRow, record_events
from groups.models import GroupChat, GroupMember
from groups.services import bits
from groups.services.reading import Reading
from org.models import Corp, Staff
from scrm import clock
from tenants.models import Brand

SAME = timedelta(seconds=60)  # somebody whom WeCom shows as joined later than this has left in between

_SAVE_GROUPS = """
    INSERT INTO groups_groupchat AS g
           (brand_id, corp_id, chat_id, name, owner_id, owner_userid, state, notice, admin_userids, n_members,
            n_customers, member_version, created_at, fetched_at, synced_in)
    SELECT %s, %s, x.chat_id, x.name, s.id, x.owner, x.state, x.notice, x.admins::jsonb, x.n_members,
           x.n_customers, x.version, x.created_at, x.seen_at, %s
      FROM unnest(%s::text[], %s::text[], %s::text[], %s::smallint[], %s::text[], %s::text[], %s::int[],
                  %s::int[], %s::text[], %s::timestamptz[], %s::timestamptz[])
           AS x(chat_id, name, owner, state, notice, admins, n_members, n_customers, version, created_at,
                seen_at)
      LEFT JOIN org_staff s ON s.brand_id = %s AND s.corp_id = %s AND s.userid = x.owner AND x.owner <> ''
     ORDER BY x.chat_id
    ON CONFLICT (brand_id, corp_id, chat_id) DO UPDATE
       SET name = excluded.name, owner_id = excluded.owner_id, owner_userid = excluded.owner_userid,
           state = excluded.state, notice = excluded.notice, admin_userids = excluded.admin_userids,
           n_members = excluded.n_members, n_customers = excluded.n_customers,
           member_version = excluded.member_version, created_at = excluded.created_at,
           fetched_at = excluded.fetched_at, dismissed_at = NULL,
           synced_in = coalesce(excluded.synced_in, g.synced_in)
     WHERE g.fetched_at IS NULL OR g.fetched_at <= excluded.fetched_at
    RETURNING chat_id, id
"""
# whoever is not shown any more, or has left and come back since
_END_STAYS = """
    UPDATE groups_groupmember m
       SET left_at = greatest(m.joined_at, coalesce(again.joined_at, told.at, seen.at)),
           quit_scene = coalesce(told.scene, %(unknown)s)
      FROM groups_groupmember o
      JOIN unnest(%(chats)s::bigint[], %(seen)s::timestamptz[]) AS seen(chat_id, at)
        ON seen.chat_id = o.chat_id
      LEFT JOIN unnest(%(x_chats)s::bigint[], %(x_userids)s::text[], %(x_joined)s::timestamptz[])
           AS again(chat_id, userid, joined_at) ON again.chat_id = o.chat_id AND again.userid = o.userid
      LEFT JOIN unnest(%(t_chats)s::bigint[], %(t_userids)s::text[], %(t_scenes)s::smallint[],
                       %(t_at)s::timestamptz[]) AS told(chat_id, userid, scene, at)
        ON told.chat_id = o.chat_id AND told.userid = o.userid
     WHERE o.brand_id = %(brand)s AND o.left_at IS NULL AND m.brand_id = o.brand_id AND m.id = o.id
       AND (again.userid IS NULL OR again.joined_at > o.joined_at + %(same)s)
    RETURNING m.id, m.chat_id, m.userid, m.contact_id, m.left_at, m.quit_scene
"""
# only new and changed ones are written; a person is known by external_userid, or else by unionid
_EXTERNAL_OWNER = whose("%(external)s", "%(corpid)s", "x.userid", given="x.kind = %(customer)s")
_UNION_OWNER = whose("%(union)s", "''", "x.unionid", given="x.unionid <> ''")
_SAVE_STAYS = f"""
    INSERT INTO groups_groupmember AS m
           (brand_id, chat_id, kind, userid, staff_id, contact_id, name, unionid, join_scene, invitor_userid,
            state, joined_at)
    SELECT %(brand)s, x.chat_id, x.kind, x.userid, s.id, coalesce(e.contact_id, u.contact_id), x.name,
           x.unionid, x.scene, x.invitor, x.state, x.joined_at
      FROM unnest(%(chats)s::bigint[], %(kinds)s::smallint[], %(userids)s::text[], %(names)s::text[],
                  %(unionids)s::text[], %(scenes)s::smallint[], %(invitors)s::text[], %(states)s::text[],
                  %(joined)s::timestamptz[])
           AS x(chat_id, kind, userid, name, unionid, scene, invitor, state, joined_at)
      LEFT JOIN org_staff s ON s.brand_id = %(brand)s AND s.corp_id = %(corp)s AND s.userid = x.userid
            AND x.kind = %(staff)s
      LEFT JOIN LATERAL {_EXTERNAL_OWNER} e ON true
      LEFT JOIN LATERAL {_UNION_OWNER} u ON true
      LEFT JOIN groups_groupmember o ON o.brand_id = %(brand)s AND o.chat_id = x.chat_id
            AND o.userid = x.userid AND o.left_at IS NULL
     WHERE o.id IS NULL OR o.name <> x.name OR o.unionid <> x.unionid
        OR o.staff_id IS DISTINCT FROM s.id
        OR (o.contact_id IS NULL AND coalesce(e.contact_id, u.contact_id) IS NOT NULL)
     ORDER BY x.chat_id, x.userid
    ON CONFLICT (brand_id, chat_id, userid) WHERE left_at IS NULL DO UPDATE
       SET name = excluded.name, unionid = excluded.unionid, staff_id = excluded.staff_id,
           contact_id = coalesce(m.contact_id, excluded.contact_id)
    RETURNING m.chat_id, m.userid, m.contact_id, m.joined_at, m.join_scene, m.invitor_userid, (m.xmax = 0)
"""  # noqa: S608


class Leave(NamedTuple):
    """What an event told of somebody who left: how and when."""

    scene: int
    at: datetime


# (chat_id, userid) → what an event told; the reading alone does not say how somebody left
Told = Mapping[tuple[str, str], Leave]


@dataclass
class Merged:
    """What a merge found and did."""

    groups: int = 0
    new_groups: int = 0
    joined: int = 0
    left: int = 0
    dismissed: int = 0
    hidden: int = 0
    changed_chats: list[int] = field(default_factory=list)  # ids of groups with joins or leaves

    def counts(self) -> dict[str, int]:
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}


@transaction.atomic
def merge(
    brand: Brand,
    corp: Corp,
    readings: Sequence[Reading],
    *,
    job_id: int | None = None,
    told: Told | None = None,
    source: str,
) -> Merged:
    """Make our rows agree with what WeCom showed; events for joins and leaves of known customers.

    Args:
        job_id: the sync that read them; kept, so that it knows afterwards which groups it has not seen.
        source: of the events: callback or sync.
    """
    result = Merged()
    if not readings:
        return result
    known = {
        chat.chat_id: chat
        for chat in GroupChat.objects.select_for_update()
        .filter(corp=corp, chat_id__in=[r.chat_id for r in readings])
        .order_by("chat_id")
    }
    readings = [
        r
        for r in readings
        if r.chat_id not in known or (known[r.chat_id].fetched_at or r.seen_at) <= r.seen_at
    ]
    for reading in readings:
        if reading.is_gone and reading.chat_id in known and not known[reading.chat_id].dismissed_at:
            result.left += dismiss(brand, known[reading.chat_id], at=reading.seen_at, source=source)
            result.dismissed += 1
    hidden = [known[r.chat_id].pk for r in readings if r.is_hidden and r.chat_id in known]
    result.hidden = sum(r.is_hidden for r in readings)
    if hidden and job_id is not None:
        GroupChat.objects.filter(pk__in=hidden).update(synced_in=job_id)
    shown = [r for r in readings if not (r.is_gone or r.is_hidden)]
    if not shown:
        return result
    with connection.cursor() as cursor:
        chats = _save_groups(cursor, brand, corp, shown, known, job_id)
        shown = [r for r in shown if r.chat_id in chats]
        result.groups, result.new_groups = len(shown), len([r for r in shown if r.chat_id not in known])
        ended = _end_stays(cursor, brand, shown, chats, told or {})
        saved = _save_stays(cursor, brand, corp, shown, chats)
    names = {chats[r.chat_id]: r.name for r in shown}
    new = [row for row in saved if row[6]]
    result.joined, result.left = len(new), result.left + len(ended)
    result.changed_chats = sorted({row[1] for row in ended} | {row[0] for row in saved})
    joined = [row[:6] for row in saved if row[2]]
    bits.went_out(brand, [(row[1], row[3]) for row in ended if row[3]])
    bits.came_in(brand, [(row[0], row[2]) for row in joined])
    record_events(brand, [*leave_events(ended, names, source), *join_events(corp, joined, names, source)])
    return result


def _save_groups(
    cursor: Any,
    brand: Brand,
    corp: Corp,
    shown: Sequence[Reading],
    known: Mapping[str, GroupChat],
    job_id: int | None,
) -> dict[str, int]:
    cursor.execute(
        _SAVE_GROUPS,
        [
            brand.pk,
            corp.pk,
            job_id,
            [r.chat_id for r in shown],
            [r.name for r in shown],
            [r.owner for r in shown],
            [_state(r, known.get(r.chat_id)) for r in shown],
            [r.notice for r in shown],
            [json.dumps(r.admins) for r in shown],
            [len(r.stays) for r in shown],
            [sum(s.kind == GroupMember.Kind.CUSTOMER for s in r.stays) for r in shown],
            [r.version for r in shown],
            [r.created_at for r in shown],
            [r.seen_at for r in shown],
            brand.pk,
            corp.pk,
        ],
    )
    return dict(cursor.fetchall())


def _state(reading: Reading, known: GroupChat | None) -> int:
    """The list tells the state; the details alone do not, but a new owner ends what was before."""
    if reading.state is not None:
        return reading.state
    if known is None or known.owner_userid != reading.owner:
        return GroupChat.State.NORMAL
    return known.state


def _end_stays(
    cursor: Any, brand: Brand, shown: Sequence[Reading], chats: Mapping[str, int], told: Told
) -> list[tuple]:
    stays = [(chats[r.chat_id], s.userid, s.joined_at) for r in shown for s in r.stays]
    hints = [(chats[c], userid, leave) for (c, userid), leave in told.items() if c in chats]
    cursor.execute(
        _END_STAYS,
        {
            "brand": brand.pk,
            "unknown": GroupMember.Quit.UNKNOWN.value,
            "same": SAME,
            "chats": [chats[r.chat_id] for r in shown],
            "seen": [r.seen_at for r in shown],
            "x_chats": [row[0] for row in stays],
            "x_userids": [row[1] for row in stays],
            "x_joined": [row[2] for row in stays],
            "t_chats": [row[0] for row in hints],
            "t_userids": [row[1] for row in hints],
            "t_scenes": [row[2].scene for row in hints],
            "t_at": [row[2].at for row in hints],
        },
    )
    return cursor.fetchall()


def _save_stays(
    cursor: Any, brand: Brand, corp: Corp, shown: Sequence[Reading], chats: Mapping[str, int]
) -> list[tuple]:
    rows = [(chats[r.chat_id], s) for r in shown for s in r.stays]
    cursor.execute(
        _SAVE_STAYS,
        {
            "brand": brand.pk,
            "corp": corp.pk,
            "corpid": corp.corpid,
            "staff": GroupMember.Kind.STAFF.value,
            "customer": GroupMember.Kind.CUSTOMER.value,
            "external": Identity.Kind.EXTERNAL_USERID.value,
            "union": Identity.Kind.UNIONID.value,
            "chats": [chat for chat, _ in rows],
            "kinds": [s.kind for _, s in rows],
            "userids": [s.userid for _, s in rows],
            "names": [s.name for _, s in rows],
            "unionids": [s.unionid for _, s in rows],
            "scenes": [s.scene for _, s in rows],
            "invitors": [s.invitor for _, s in rows],
            "states": [s.state for _, s in rows],
            "joined": [s.joined_at for _, s in rows],
        },
    )
    return cursor.fetchall()


def join_events(
    corp: Corp, rows: Iterable[Sequence[Any]], names: Mapping[int, str], source: str
) -> list[EventRow]:
    """Events of stays (chat id, userid, contact id, joined at, scene, invitor) of known customers."""
    rows = list(rows)
    invitors = {row[5] for row in rows if row[5]}
    staff = dict(Staff.objects.filter(corp=corp, userid__in=invitors).values_list("userid", "pk"))
    return [
        {
            "contact_id": contact_id,
            "type": EventType.GROUP_JOINED,
            "at": joined_at,
            "staff_id": staff.get(invitor),
            "object_id": chat_id,
            "source": source,
            "key_source": "group",
            "source_key": f"join:{chat_id}:{userid}:{int(joined_at.timestamp())}",
            "data": {"group": names.get(chat_id, ""), "scene": scene},
        }
        for chat_id, userid, contact_id, joined_at, scene, invitor in rows
    ]


def leave_events(rows: Iterable[Sequence[Any]], names: Mapping[int, str], source: str) -> list[EventRow]:
    """Events of ended stays (id, chat id, userid, contact id, left at, quit scene) of known customers."""
    return [
        {
            "contact_id": contact_id,
            "type": EventType.GROUP_LEFT,
            "at": left_at,
            "object_id": chat_id,
            "source": source,
            "key_source": "group",
            "source_key": f"leave:{stay_id}",
            "data": {"group": names.get(chat_id, ""), "scene": scene},
        }
        for stay_id, chat_id, _userid, contact_id, left_at, scene in rows
        if contact_id
    ]


def dismiss(brand: Brand, chat: GroupChat, *, at: datetime, source: str) -> int:
    """A group is dissolved: everybody has left; gives how many. In the caller's transaction, its row locked."""
    at = min(at, clock.now())
    GroupChat.objects.filter(pk=chat.pk).update(
        dismissed_at=at, n_members=0, n_customers=0, fetched_at=max(at, chat.fetched_at or at)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE groups_groupmember SET left_at = greatest(joined_at, %s), quit_scene = %s"
            " WHERE brand_id = %s AND chat_id = %s AND left_at IS NULL"
            " RETURNING id, chat_id, userid, contact_id, left_at, quit_scene",
            [at, GroupMember.Quit.DISMISSED.value, brand.pk, chat.pk],
        )
        ended = cursor.fetchall()
    bits.went_out(brand, [(row[1], row[3]) for row in ended if row[3]])
    record_events(brand, leave_events(ended, {chat.pk: chat.name}, source))
    return len(ended)
