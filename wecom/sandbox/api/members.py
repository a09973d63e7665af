"""Members, departments, the app itself.

Source: developer.work.weixin.qq.com/document/path/90196 to 90208, 96067.
"""

from typing import Any

from wecom.sandbox import ranges, store
from wecom.sandbox.call import Call, cut_page, member, number, page_size, read_cursor, text
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import Department, Member, Seat

from .directory import openid_of


def agent_get(call: Call) -> dict[str, Any]:
    """The app as the console shows it, with its visible range."""
    agentid = number(dict(call.query), "agentid", missing=41011)
    if agentid != call.app.agentid:
        raise WeComError(301002)
    if call.app.visible is None:
        users, parties = [], [1]
    else:
        users, parties = call.app.visible.get("users", []), call.app.visible.get("departments", [])
    return {
        "agentid": call.app.agentid,
        "name": call.app.name,
        "square_logo_url": f"{call.base_url}/avatar/app.svg",
        "description": "",
        "allow_userinfos": {"user": [{"userid": userid} for userid in users]},
        "allow_partys": {"partyid": parties},
        "allow_tags": {"tagid": []},
        "close": 0,
        "redirect_domain": (call.app.trusted_domains or [""])[0],
        "report_location_flag": 0,
        "isreportenter": 0,
        "home_url": "",
        "customized_publish_status": 1,
    }


def _detail(call: Call, row: Member) -> dict[str, Any]:
    """user/get and user/list; apps made since 2022-06-20 see neither mobile, gender nor avatar."""
    found: dict[str, Any] = {
        "userid": row.userid,
        "name": row.name,
        "department": row.departments,
        "order": [0] * len(row.departments),
        "is_leader_in_dept": [int(dept_id in row.leader_in) for dept_id in row.departments],
        "main_department": row.departments[0] if row.departments else 1,
        "direct_leader": [],
        "position": row.position,
        "telephone": "",
        "alias": row.alias,
        "status": row.status,
        "extattr": {"attrs": []},
        "external_position": "",
    }
    if store.quirk("member_details") == "hidden":
        return found
    return found | {
        "mobile": row.mobile,
        "gender": str(row.gender),
        "email": row.email,
        "biz_mail": "",
        "address": "",
        "avatar": f"{call.base_url}/avatar/{row.userid}.svg",
        "thumb_avatar": f"{call.base_url}/avatar/{row.userid}.svg",
        "qr_code": f"{call.base_url}/qr/member/{call.corpid}/{row.userid}",
    }


def user_get(call: Call) -> dict[str, Any]:
    """One member."""
    return _detail(call, member(call, call.query.get("userid", "")))


def _members_of(call: Call) -> list[Member]:
    """Members of ?department_id (with its children if fetch_child) in the app's visible range."""
    dept_id = number(dict(call.query), "department_id", missing=40063)
    below = ranges.subtree(call.corpid, [dept_id])
    if not below:
        raise WeComError(60003)
    if number(dict(call.query), "fetch_child", 0) == 0 or store.quirk("fetch_child") == "ignored":
        below = {dept_id}
    in_range = ranges.visible_departments(call.app)
    if in_range is not None and dept_id not in in_range:
        raise WeComError(60011)
    userids = {
        user.lower()
        for user in Seat.objects.filter(corpid=call.corpid, dept_id__in=list(below)).values_list(
            "userid", flat=True
        )
    }
    rows = Member.objects.filter(corpid=call.corpid).exclude(status=ranges.LEFT).order_by("id")
    return [row for row in rows if row.userid.lower() in userids]


def user_simplelist(call: Call) -> dict[str, Any]:
    """Names and departments."""
    return {
        "userlist": [
            {"userid": row.userid, "name": row.name, "department": row.departments}
            for row in _members_of(call)
        ]
    }


def user_list(call: Call) -> dict[str, Any]:
    """Details."""
    return {"userlist": [_detail(call, row) for row in _members_of(call)]}


def user_list_id(call: Call) -> dict[str, Any]:
    """One row per member and department, for the contact-sync secret."""
    limit = page_size(call.body, default=10_000, most=10_000, over="most")
    position = read_cursor(call.body, 1)
    seats = Seat.objects.filter(corpid=call.corpid, id__gt=position[0] if position else 0).order_by("id")
    page, next_cursor = cut_page(seats[: limit + 1], limit, lambda seat: [seat.pk])
    rows = [{"userid": seat.userid, "department": seat.dept_id} for seat in page]
    return {"next_cursor": next_cursor, "dept_user": rows}


def user_getuserid(call: Call) -> dict[str, Any]:
    """A member by mobile number."""
    mobile = text(call.body, "mobile", missing=40063)
    found = Member.objects.filter(corpid=call.corpid, mobile=mobile).exclude(status=ranges.LEFT).first()
    if found is None or not ranges.sees(call.app, found.userid):
        raise WeComError(46004)
    return {"userid": found.userid}


def user_convert_to_openid(call: Call) -> dict[str, Any]:
    """A member's openid."""
    found = member(call, text(call.body, "userid", missing=41009))
    return {"openid": openid_of(call.corpid, found.userid)}


def _departments(call: Call) -> list[Department]:
    given = call.query.get("id")
    rows = Department.objects.filter(corpid=call.corpid).order_by("-order", "dept_id")
    wanted: set[int] | None = None
    if given:
        wanted = ranges.subtree(call.corpid, [number(dict(call.query), "id")])
        if not wanted:
            raise WeComError(60003)
    in_range = ranges.visible_departments(call.app)
    return [
        row
        for row in rows
        if (wanted is None or row.dept_id in wanted) and (in_range is None or row.dept_id in in_range)
    ]


def _leaders(corpid: str) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for userid, leader_in in (
        Member.objects.filter(corpid=corpid).exclude(status=ranges.LEFT).values_list("userid", "leader_in")
    ):
        for dept_id in leader_in:
            found.setdefault(dept_id, []).append(userid)
    return found


def _department(row: Department, leaders: dict[int, list[str]]) -> dict[str, Any]:
    return {
        "id": row.dept_id,
        "name": row.name,
        "name_en": "",
        "department_leader": leaders.get(row.dept_id, []),
        "parentid": row.parentid,
        "order": row.order,
    }


def department_list(call: Call) -> dict[str, Any]:
    """The visible tree, or the part below ?id."""
    leaders = _leaders(call.corpid)
    return {"department": [_department(row, leaders) for row in _departments(call)]}


def department_simplelist(call: Call) -> dict[str, Any]:
    """Ids only."""
    rows = _departments(call)
    return {
        "department_id": [{"id": row.dept_id, "parentid": row.parentid, "order": row.order} for row in rows]
    }


def department_get(call: Call) -> dict[str, Any]:
    """One department."""
    dept_id = number(dict(call.query), "id", missing=40063)
    row = Department.objects.filter(corpid=call.corpid, dept_id=dept_id).first()
    if row is None:
        raise WeComError(60003)
    in_range = ranges.visible_departments(call.app)
    if in_range is not None and dept_id not in in_range:
        raise WeComError(60011)
    return {"department": _department(row, _leaders(call.corpid))}
