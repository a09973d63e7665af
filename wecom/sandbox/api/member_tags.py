"""Tags of members (internal grouping, nothing to do with customers).

Source: developer.work.weixin.qq.com/document/path/90210 to 90216.
"""

from typing import Any

from wecom.sandbox import ranges
from wecom.sandbox.call import Call, number, numbers, strings, text
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import Department, Member, MemberTag

MOST_USERS, MOST_PARTIES = 1000, 100


def _find(call: Call, body: dict[str, Any]) -> MemberTag:
    row = MemberTag.objects.filter(corpid=call.corpid, tagid=number(body, "tagid", missing=41017)).first()
    if row is None:
        raise WeComError(40068)
    return row


def _own(call: Call) -> MemberTag:
    row = _find(call, call.body if call.body else dict(call.query))
    if row.agentid != call.app.agentid:
        raise WeComError(81011)
    return row


def list_tags(call: Call) -> dict[str, Any]:
    """All of them."""
    rows = MemberTag.objects.filter(corpid=call.corpid).order_by("tagid")
    return {"taglist": [{"tagid": row.tagid, "tagname": row.name} for row in rows]}


def get(call: Call) -> dict[str, Any]:
    """Who has it."""
    row = _find(call, dict(call.query))
    members = Member.objects.filter(corpid=call.corpid, userid__in=row.users).exclude(status=ranges.LEFT)
    users = [{"userid": one.userid, "name": one.name} for one in members if ranges.sees(call.app, one.userid)]
    return {"tagname": row.name, "userlist": users, "partylist": row.parties}


def _name(call: Call, row: MemberTag) -> str:
    name = text(call.body, "tagname", missing=40063)
    if len(name) > 32:
        raise WeComError(40072)
    if MemberTag.objects.filter(corpid=call.corpid, name=name).exclude(pk=row.pk).exists():
        raise WeComError(40071)
    return name


def create(call: Call) -> dict[str, Any]:
    """A new tag; the next number unless one is given."""
    row = MemberTag(corpid=call.corpid, agentid=call.app.agentid)
    row.name = _name(call, row)
    known = MemberTag.objects.filter(corpid=call.corpid).order_by("-tagid").values_list("tagid", flat=True)
    row.tagid = number(call.body, "tagid", (known.first() or 0) + 1)
    if row.tagid in known:
        raise WeComError(40068)
    row.save()
    return {"errmsg": "created", "tagid": row.tagid}


def update(call: Call) -> dict[str, Any]:
    """Another name."""
    row = _own(call)
    row.name = _name(call, row)
    row.save()
    return {"errmsg": "updated"}


def delete(call: Call) -> dict[str, Any]:
    """Gone."""
    _own(call).delete()
    return {"errmsg": "deleted"}


def _given(call: Call) -> tuple[list[str], list[int], dict[str, Any]]:
    """(known users, known parties, what was unknown): errcode 0 with invalidlist, all unknown: 40070."""
    users = strings(call.body, "userlist", most=MOST_USERS)
    parties = numbers(call.body, "partylist", most=MOST_PARTIES)
    if not users and not parties:
        raise WeComError(40035)
    there = {
        row.userid.lower(): row.userid for row in Member.objects.filter(corpid=call.corpid, userid__in=users)
    }
    good = [there[userid.lower()] for userid in users if userid.lower() in there]
    known = set(
        Department.objects.filter(corpid=call.corpid, dept_id__in=parties).values_list("dept_id", flat=True)
    )
    if not good and not known:
        raise WeComError(40070)
    bad_users = [userid for userid in users if userid.lower() not in there]
    bad_parties = [one for one in parties if one not in known]
    answer: dict[str, Any] = {"invalidlist": "|".join(bad_users)} if bad_users else {}
    return (
        good,
        [one for one in parties if one in known],
        answer | ({"invalidparty": bad_parties} if bad_parties else {}),
    )


def add_users(call: Call) -> dict[str, Any]:
    """Put it on members and departments."""
    row = _own(call)
    users, parties, answer = _given(call)
    row.users = list(dict.fromkeys([*row.users, *users]))
    row.parties = list(dict.fromkeys([*row.parties, *parties]))
    row.save()
    return answer


def delete_users(call: Call) -> dict[str, Any]:
    """Take it off."""
    row = _own(call)
    users, parties, answer = _given(call)
    row.users = [one for one in row.users if one not in users]
    row.parties = [one for one in row.parties if one not in parties]
    row.save()
    return answer
