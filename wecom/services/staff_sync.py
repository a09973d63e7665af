"""Departments and members mirrored from WeCom: all of them (a stage of the sync), or the one that an event
names.

What the brand decides itself stays: role, store, log-in, and that somebody was disabled here.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from django.db import connection, transaction

from org.models import Corp, Department, Staff
from scrm import clock
from tenants.models import Brand
from wecom.api import contacts, members
from wecom.api.members import Member
from wecom.client import WeComClient, client_for
from wecom.errors import WeComRejected
from wecom.models import CallbackEvent

log = logging.getLogger(__name__)

_STATES = {1: Staff.State.ACTIVE, 2: Staff.State.DISABLED, 4: Staff.State.DISABLED, 5: Staff.State.LEFT}
_UNKNOWN = (40003, 46004, 60111)
_OUT_OF_RANGE = (60011, 60021, 50002)

# a guide who was disabled here is not enabled again by a sync; one who had left and is back, is
_SAVE = """
    INSERT INTO org_staff AS s
           (brand_id, corp_id, userid, name, department_ids, position, avatar, leader_userid, is_guide, state,
            created_at)
    SELECT %s, %s, m.userid, m.name, m.departments::bigint[], m.position, '', m.leader, m.is_guide, m.state,
           %s
      FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::boolean[], %s::text[])
           AS m(userid, name, departments, position, leader, is_guide, state)
     ORDER BY m.userid
    ON CONFLICT (brand_id, corp_id, userid) WHERE NOT userid = '' DO UPDATE
       SET name = coalesce(nullif(excluded.name, ''), s.name), position = excluded.position,
           department_ids = excluded.department_ids, is_guide = excluded.is_guide,
           leader_userid = coalesce(nullif(excluded.leader_userid, ''), s.leader_userid),
           state = CASE WHEN excluded.state <> 'active' THEN excluded.state
                        WHEN s.state = 'left' THEN 'active' ELSE s.state END
    RETURNING s.id
"""


def fetch_member(brand: Brand, corp: Corp, userid: str) -> Staff:
    """Read one member from WeCom and write them down. Calls WeCom, so outside a transaction.

    Raises:
        Staff.DoesNotExist: WeCom does not know them, or the app may not see them.
    """
    client = client_for(corp)
    try:
        member = members.user(client, userid)
    except WeComRejected as error:
        if error.errcode in (*_UNKNOWN, *_OUT_OF_RANGE):
            raise Staff.DoesNotExist(f"member {userid} of corp {corp.pk}: {error.errcode}") from error
        raise
    guides = {guide.lower() for guide in contacts.follow_users(client)}
    with transaction.atomic():
        (staff_id,) = save_members(brand, corp, [member], guides=guides)
        return Staff.objects.select_related("corp").get(pk=staff_id)


def save_members(
    brand: Brand,
    corp: Corp,
    found: Iterable[Member],
    *,
    guides: set[str],
    leaders: dict[int, str] | None = None,
) -> list[int]:
    """Write members down in the caller's transaction, set-based; gives their staff ids.

    Args:
        guides: userids (lower case) with the customer-contact right.
        leaders: department → userid of its leader, for those without a direct one.
    """
    columns: list[list[Any]] = [[], [], [], [], [], [], []]
    rows = member_rows(found, guides=guides, leaders=leaders or {})
    for row in rows:
        values = (*row[:2], "{" + ",".join(map(str, row.departments)) + "}", *row[3:])
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    if not rows:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_SAVE, [brand.pk, corp.pk, clock.now(), *columns])
        return [row[0] for row in cursor.fetchall()]


class MemberRow(NamedTuple):
    """A member in our words, as `save_members` writes it."""

    userid: str
    name: str
    departments: list[int]
    position: str
    leader: str
    is_guide: bool
    state: str


def member_rows(found: Iterable[Member], *, guides: set[str], leaders: dict[int, str]) -> list[MemberRow]:
    """WeCom's members in our words, each once; arguments as for `save_members`."""
    by_userid = {member["userid"].lower(): member for member in found if member.get("userid")}
    rows = []
    for userid, member in by_userid.items():
        state = _STATES.get(member.get("status", 1), Staff.State.ACTIVE)
        rows.append(
            MemberRow(
                userid,
                (member.get("name") or userid)[:64],
                [int(d) for d in member.get("department") or []],
                (member.get("position") or "")[:64],
                _leader(userid, member, leaders)[:64],
                userid in guides and state == Staff.State.ACTIVE,
                state.value,
            )
        )
    return rows


def _leader(userid: str, member: Member, leaders: dict[int, str]) -> str:
    own = [leader.lower() for leader in member.get("direct_leader") or []]
    main = member.get("main_department") or next(iter(member.get("department") or []), 0)
    return next((leader for leader in [*own, leaders.get(main, "")] if leader and leader != userid), "")


def sync_departments(brand: Brand, corp: Corp, client: WeComClient) -> list[members.Department]:
    """Mirror all departments that the app may see; gives them. Calls WeCom, so outside a transaction."""
    found = members.departments(client)
    with transaction.atomic():
        store_departments(corp, found)
    return found


def store_departments(
    corp: Corp, found: Sequence[members.Department], *, only: Collection[int] | None = None
) -> None:
    """Write all departments of WeCom down, in the caller's transaction; those not among them are gone.

    Args:
        only: leave the others as they are here.
    """
    rows = [
        Department(
            corp=corp,
            wecom_id=d["id"],
            name=(d.get("name") or str(d["id"]))[:64],
            parent_wecom_id=d.get("parentid") or 0,
            order=d.get("order") or 0,
        )
        for d in found
    ]
    gone = Department.objects.filter(corp=corp).exclude(wecom_id__in=[row.wecom_id for row in rows])
    if only is not None:
        rows = [row for row in rows if row.wecom_id in only]
        gone = gone.filter(wecom_id__in=list(only))
    Department.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["brand", "corp", "wecom_id"],
        update_fields=["name", "parent_wecom_id", "order"],
        batch_size=1000,
    )
    gone.delete()


def leaders_of(departments: Sequence[members.Department]) -> dict[int, str]:
    """Department → its first leader, in lower case."""
    return {d["id"]: d["department_leader"][0].lower() for d in departments if d.get("department_leader")}


def check_unseen(corp: Corp, client: WeComClient, staff_ids: Sequence[int]) -> int:
    """Ask about members whom the departments did not show any more; gives how many have left.

    Somebody outside the app's visible range has not left, but serves no customers for us.
    """
    left, hidden = who_left(corp, client, staff_ids)
    with transaction.atomic():
        mark_left(left, hidden)
    return len(left)


def who_left(corp: Corp, client: WeComClient, staff_ids: Sequence[int]) -> tuple[list[int], list[int]]:
    """Of some staff, who has left and who is outside of what the app may see. Calls WeCom."""
    with transaction.atomic():
        unseen = list(Staff.objects.filter(pk__in=list(staff_ids), corp=corp).values_list("pk", "userid"))
    left, hidden = [], []
    for staff_id, userid in unseen:
        try:
            if members.user(client, userid).get("status") == 5:
                left.append(staff_id)
        except WeComRejected as error:
            if error.errcode in _UNKNOWN:
                left.append(staff_id)
            elif error.errcode in _OUT_OF_RANGE:
                hidden.append(staff_id)
            else:
                raise
    return left, hidden


def mark_left(left: Sequence[int], hidden: Sequence[int] = ()) -> None:
    """Write down what `who_left` has found, in the caller's transaction."""
    Staff.objects.filter(pk__in=left).update(state=Staff.State.LEFT, is_guide=False)
    Staff.objects.filter(pk__in=hidden).update(is_guide=False)


# ---- events


def on_member_changed(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """change_contact create_user, update_user: read the member anew (the event holds only part of it).

    Source: developer.work.weixin.qq.com/document/path/90970
    """
    userid = str(payload.get("UserID") or "").lower()
    new_userid = str(payload.get("NewUserID") or "").lower()
    if new_userid and new_userid != userid and _is_renamed(corp, userid, new_userid):
        with transaction.atomic():
            if not Staff.objects.filter(corp=corp, userid=new_userid).exists():
                Staff.objects.filter(corp=corp, userid=userid).update(userid=new_userid)
    try:
        fetch_member(brand, corp, new_userid or userid)
    except Staff.DoesNotExist:
        # moved out of what the app may see, or gone again
        log.info("member of event %s is not visible", event.pk)
        with transaction.atomic():
            Staff.objects.filter(corp=corp, userid=new_userid or userid).update(is_guide=False)


def _is_renamed(corp: Corp, userid: str, new_userid: str) -> bool:
    """Whether WeCom knows the new userid and no more the old one: an old event that is handled again must not rename
    somebody who has got the old one since."""
    client = client_for(corp)
    return _is_known(client, new_userid) and not _is_known(client, userid)


def _is_known(client: WeComClient, userid: str) -> bool:
    try:
        members.user(client, userid)
    except WeComRejected as error:
        if error.errcode not in (*_UNKNOWN, *_OUT_OF_RANGE):
            raise
        return error.errcode in _OUT_OF_RANGE
    return True


def on_member_deleted(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """change_contact delete_user: the member has left. An event that is older than their return changes
    nothing."""
    userid = str(payload.get("UserID") or "").lower()
    try:
        staff = fetch_member(brand, corp, userid)
    except Staff.DoesNotExist:
        with transaction.atomic():
            Staff.objects.filter(corp=corp, userid=userid).update(state=Staff.State.LEFT, is_guide=False)
    else:
        log.info("event %s says that staff %s has left, WeCom still knows them", event.pk, staff.pk)


def on_department_changed(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """change_contact create_party, update_party, delete_party: mirror the departments anew."""
    sync_departments(brand, corp, client_for(corp))
