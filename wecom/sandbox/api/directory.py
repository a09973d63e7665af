"""Writing members and departments, with the contact-sync secret; none of it makes events.

Source: developer.work.weixin.qq.com/document/path/90195 to 90207, 95895, 90202.
"""

import re
from typing import Any

from wecom.sandbox import clock, ids, ranges
from wecom.sandbox.bulk import put_departments
from wecom.sandbox.call import Call, number, numbers, strings, text
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import Department, GroupChat, Member, Seat

USERID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-@.]{0,63}")
FORBIDDEN = set('\\:*?"<>｜|')
MOST_DELETED = 200
MOST_DEPARTMENTS = 100


def _department_name(call: Call, row: Department) -> str:
    name = text(call.body, "name", missing=40063, most=64)
    if FORBIDDEN & set(name):
        raise WeComError(40058, "name")
    if (
        Department.objects.filter(corpid=call.corpid, parentid=row.parentid, name=name)
        .exclude(pk=row.pk)
        .exists()
    ):
        raise WeComError(60008)
    return name


def _parent(call: Call) -> int:
    parentid = number(call.body, "parentid")
    if not Department.objects.filter(corpid=call.corpid, dept_id=parentid).exists():
        raise WeComError(60004)
    return parentid


def create_department(call: Call) -> dict[str, Any]:
    """A new department; its id, if none is given, is the next one."""
    row = Department(corpid=call.corpid, parentid=_parent(call))
    row.name = _department_name(call, row)
    known = (
        Department.objects.filter(corpid=call.corpid).order_by("-dept_id").values_list("dept_id", flat=True)
    )
    row.dept_id = number(call.body, "id", (known.first() or 1) + 1)
    if row.dept_id in known or row.dept_id < 1:
        raise WeComError(60008)
    row.order = number(call.body, "order", 0)
    row.save()
    return {"errmsg": "created", "id": row.dept_id}


def _department(call: Call, dept_id: int) -> Department:
    row = Department.objects.filter(corpid=call.corpid, dept_id=dept_id).first()
    if row is None:
        raise WeComError(60003)
    return row


def update_department(call: Call) -> dict[str, Any]:
    """What is given changes."""
    row = _department(call, number(call.body, "id"))
    if "parentid" in call.body:
        row.parentid = _parent(call)
        if row.parentid in ranges.subtree(call.corpid, [row.dept_id]):
            raise WeComError(60004)
    if call.body.get("name"):
        row.name = _department_name(call, row)
    row.order = number(call.body, "order", row.order)
    row.save()
    return {"errmsg": "updated"}


def delete_department(call: Call) -> dict[str, Any]:
    """Only an empty one without children, never the root."""
    row = _department(call, number(dict(call.query), "id"))
    if row.dept_id == 1:
        raise WeComError(60007)
    if Department.objects.filter(corpid=call.corpid, parentid=row.dept_id).exists():
        raise WeComError(60006)
    if Seat.objects.filter(corpid=call.corpid, dept_id=row.dept_id).exists():
        raise WeComError(60005)
    row.delete()
    return {"errmsg": "deleted"}


def _fill(call: Call, row: Member) -> list[dict[str, Any]]:
    """The body into the member; departments made on the way (an unknown id gets a department)."""
    body = call.body
    for key, most in (("name", 64), ("position", 128), ("alias", 64), ("mobile", 32), ("email", 64)):
        if key in body:
            setattr(row, key, text(body, key, most=most))
    if "gender" in body:
        row.gender = number(body, "gender")
    if "enable" in body:
        row.status = ranges.ACTIVE if number(body, "enable") else 2
    taken = Member.objects.filter(corpid=call.corpid).exclude(pk=row.pk).exclude(status=ranges.LEFT)
    if row.mobile and taken.filter(mobile=row.mobile).exists():
        raise WeComError(60104)
    if row.email and taken.filter(email=row.email).exists():
        raise WeComError(60106)
    made: list[dict[str, Any]] = []
    if "department" in body:
        if not isinstance(body["department"], list):
            raise WeComError(41019)
        row.departments = numbers(body, "department", most=MOST_DEPARTMENTS)
        known = set(Department.objects.filter(corpid=call.corpid).values_list("dept_id", flat=True))
        made = [{"name": f"部门{one}", "id": one} for one in row.departments if one not in known]
        put_departments(call.corpid, [{**one, "parentid": 1} for one in made])
    leaders = numbers(body, "is_leader_in_dept")
    if leaders:
        row.leader_in = [one for one, is_leader in zip(row.departments, leaders, strict=False) if is_leader]
    return made


def _seated(row: Member) -> None:
    row.save()
    Seat.objects.filter(corpid=row.corpid, userid=row.userid).delete()
    Seat.objects.bulk_create(
        Seat(corpid=row.corpid, dept_id=one, userid=row.userid) for one in set(row.departments)
    )


def _made(made: list[dict[str, Any]]) -> dict[str, Any]:
    return {"created_department_list": {"department_info": made}} if made else {}


def create_member(call: Call) -> dict[str, Any]:
    """A new member; who had left may come back under his id."""
    userid = text(call.body, "userid", missing=41009)
    if not USERID.fullmatch(userid):
        raise WeComError(40003)
    text(call.body, "name", missing=40063)
    if not call.body.get("mobile") and not call.body.get("email"):
        raise WeComError(60129)
    row = Member.objects.filter(corpid=call.corpid, userid=userid).first()
    if row is not None and row.status != ranges.LEFT:
        raise WeComError(60102)
    row = row or Member(corpid=call.corpid, userid=userid)
    row.status, row.left_at, row.departments = 4, None, [1]  # 4: not activated until he logs in
    made = _fill(call, row)
    _seated(row)
    return {"errmsg": "created", **_made(made)}


def update_member(call: Call) -> dict[str, Any]:
    """What is given changes; the mobile of an activated member silently does not."""
    row = ranges.find(call.corpid, text(call.body, "userid", missing=41009))
    if row is None:
        raise WeComError(60111)
    before = row.mobile
    made = _fill(call, row)
    if row.status == ranges.ACTIVE and before:
        row.mobile = before
    _seated(row)
    return {"errmsg": "updated", **_made(made)}


def _leave(call: Call, userid: str) -> None:
    row = ranges.find(call.corpid, userid)
    if row is None:
        raise WeComError(60111)
    Member.objects.filter(pk=row.pk).update(status=ranges.LEFT, left_at=clock.now())
    GroupChat.objects.filter(corpid=call.corpid, owner=row.userid, dismissed_at=None).update(status=1)


def delete_member(call: Call) -> dict[str, Any]:
    """The member leaves."""
    _leave(call, call.query.get("userid", ""))
    return {"errmsg": "deleted"}


def delete_members(call: Call) -> dict[str, Any]:
    """Several; one unknown id and none is deleted."""
    userids = strings(call.body, "useridlist")
    if not userids:
        raise WeComError(41009)
    if len(userids) > MOST_DELETED:
        raise WeComError(40032)
    if any(ranges.find(call.corpid, userid) is None for userid in userids):
        raise WeComError(40031)
    for userid in {userid.lower(): userid for userid in userids}.values():
        _leave(call, userid)
    return {"errmsg": "deleted"}


def userid_by_email(call: Call) -> dict[str, Any]:
    """A member by his address."""
    email = text(call.body, "email", missing=40063)
    if number(call.body, "email_type", 1) not in (1, 2):
        raise WeComError(40058, "email_type")
    row = Member.objects.filter(corpid=call.corpid, email=email).exclude(status=ranges.LEFT).first()
    if row is None or not ranges.sees(call.app, row.userid):
        raise WeComError(46004)
    return {"userid": row.userid}


def openid_of(corpid: str, userid: str) -> str:
    """A member's openid in his corp."""
    return ids.seeded("o", 28, corpid, userid)


def convert_to_userid(call: Call) -> dict[str, Any]:
    """A member by the openid that user/convert_to_openid gave."""
    openid = text(call.body, "openid", missing=40063)
    for userid in Member.objects.filter(corpid=call.corpid).values_list("userid", flat=True):
        if openid_of(call.corpid, userid) == openid:
            return {"userid": userid}
    raise WeComError(40073)
