"""Departments and members: what differs, and its repair."""

from collections.abc import Iterable
from typing import Any

from drift.services.differences import New
from org.models import Corp, Department, Staff
from wecom.api.members import Department as WeComDepartment
from wecom.services.staff_sync import MemberRow

FIELDS = ("name", "departments", "position", "leader", "is_guide", "state")


def compare_departments(corp: Corp, found: Iterable[WeComDepartment]) -> list[New]:
    """All departments that the app may see beside ours, in the caller's transaction."""
    theirs = {
        d["id"]: {
            "name": (d.get("name") or str(d["id"]))[:64],
            "parent": d.get("parentid") or 0,
            "order": d.get("order") or 0,
        }
        for d in found
    }
    ours = {
        d.wecom_id: {"name": d.name, "parent": d.parent_wecom_id, "order": d.order}
        for d in Department.objects.filter(corp=corp)
    }
    return different("department", ours, theirs)


def different(
    what: str, ours: dict[Any, dict], theirs: dict[Any, dict], ids: dict[Any, int] | None = None
) -> list[New]:
    """Differences of two sets of things by key: `<what>_missing`, `_ghost`, `_differs`; `name` is the title."""
    found = []
    for key in sorted(ours.keys() | theirs.keys(), key=str):
        mine, other = ours.get(key), theirs.get(key)
        title, pk = str((other or mine or {}).get("name", key)), (ids or {}).get(key)
        if mine is None and other is not None:
            found.append(New(f"{what}_missing", str(key), title, object_id=pk, theirs=other))
        elif other is None and mine is not None:
            found.append(New(f"{what}_ghost", str(key), title, object_id=pk, ours=mine))
        elif (
            mine is not None
            and other is not None
            and (names := [n for n in other if mine.get(n) != other[n]])
        ):
            before, after = {n: mine.get(n) for n in names}, {n: other[n] for n in names}
            found.append(New(f"{what}_differs", str(key), title, object_id=pk, ours=before, theirs=after))
    return found


def compare_members(corp: Corp, rows: list[MemberRow]) -> tuple[list[New], list[int]]:
    """Some members of WeCom beside ours, in the caller's transaction; gives the differences and the staff ids seen.

    What the brand decides itself is no difference: role, store, and that somebody was disabled here.
    """
    known = {s.userid: s for s in Staff.objects.filter(corp=corp, userid__in=[row.userid for row in rows])}
    found = []
    for row in rows:
        staff = known.get(row.userid)
        if staff is None:
            found.append(New("member_missing", row.userid, row.name, theirs=_shown(row)))
            continue
        mine = {
            "name": staff.name,
            "departments": sorted(staff.department_ids),
            "position": staff.position,
            "leader": staff.leader_userid,
            "is_guide": staff.is_guide,
            "state": staff.state,
        }
        theirs = _shown(row)
        theirs["leader"] = theirs["leader"] or mine["leader"]
        if theirs["state"] == Staff.State.ACTIVE and staff.state != Staff.State.LEFT:
            theirs["state"] = mine["state"]
        names = [name for name in FIELDS if mine[name] != theirs[name]]
        if names:
            before, after = {n: mine[n] for n in names}, {n: theirs[n] for n in names}
            found.append(
                New("member_differs", row.userid, row.name, staff_id=staff.pk, ours=before, theirs=after)
            )
    return found, [staff.pk for staff in known.values()]


def _shown(row: MemberRow) -> dict[str, Any]:
    shown = row._asdict()
    del shown["userid"]
    return {**shown, "departments": sorted(row.departments)}


def ghosts(left: list[int], hidden: list[int]) -> list[New]:
    """Members who have left, or whom the app may not see any more, and whom we still count; in the caller's
    transaction."""
    found = []
    for staff in Staff.objects.filter(pk__in=[*left, *hidden]).order_by("pk"):
        is_gone = staff.pk in left
        if is_gone or staff.is_guide:
            after = {"state": Staff.State.LEFT.value} if is_gone else {"is_guide": False}
            before = {name: getattr(staff, name) for name in after}
            found.append(
                New("member_ghost", staff.userid, staff.name, staff_id=staff.pk, ours=before, theirs=after)
            )
    return found
