"""Acquisition links (获客助手). Source: developer.work.weixin.qq.com/document/path/97297, 97298, 97375."""

import datetime
from typing import Any

from wecom.sandbox import acquisition_acts, ids, ranges, store
from wecom.sandbox.call import Call, cut_page, number, numbers, page_size, read_cursor, strings, text
from wecom.sandbox.content import part
from wecom.sandbox.errors import WeComError
from wecom.sandbox.mass_acts import SHANGHAI
from wecom.sandbox.models import Follow, Happening, Link

MOST_PRIORITY = 1000
DAY_S = 86_400


def _own(call: Call) -> Link:
    link_id = text(call.body, "link_id", missing=40063)
    link = Link.objects.filter(corpid=call.corpid, agentid=call.app.agentid, link_id=link_id).first()
    if link is None:
        raise WeComError(40058, "link_id")
    return link


def _fill(call: Call, link: Link) -> None:
    """Name, range, priority from the body; range and priority overwrite as a whole."""
    body = call.body
    if "link_name" in body:
        link.name = text(body, "link_name", missing=40063, most=30)
    if "range" in body:
        given = part(body, "range")
        link.users, link.departments = strings(given, "user_list"), numbers(given, "department_list")
        for userid in link.users:
            if ranges.find(call.corpid, userid) is None:
                raise WeComError(40003, userid)
            if not ranges.sees(call.app, userid):
                raise WeComError(60011, userid)
    if not link.users and not link.departments:
        raise WeComError(40058, "range")
    everybody = {user.lower() for user in link.users}
    everybody |= {user.lower() for user in ranges.members_in(call.corpid, link.departments)}
    most = int(store.quirk("link_people"))
    if len(everybody) > most:
        raise WeComError(40058, f"range exceeds {most} people")
    if "priority_option" in body:
        option = part(body, "priority_option")
        link.priority_type = number(option, "priority_type")
        link.priority_users = strings(option, "priority_userid_list", most=MOST_PRIORITY)
        if link.priority_type not in (1, 2):
            raise WeComError(40058, "priority_type")
    if isinstance(body.get("skip_verify"), bool):
        link.skip_verify = body["skip_verify"]


def url_of(call: Call, link: Link) -> str:
    """Address of a link; WeCom's own host in reality."""
    return f"{call.base_url}/ca/{link.link_id}"


def _link(call: Call, link: Link) -> dict[str, Any]:
    return {
        "link_id": link.link_id,
        "link_name": link.name,
        "url": url_of(call, link),
        "create_time": int(link.create_time),
    }


def create_link(call: Call) -> dict[str, Any]:
    """Make a link."""
    text(call.body, "link_name", missing=40063)
    link = Link(link_id=ids.link_id(), corpid=call.corpid, agentid=call.app.agentid, create_time=call.now)
    _fill(call, link)
    link.save()
    return {"link": _link(call, link)}


def update_link(call: Call) -> dict[str, Any]:
    """Change a link."""
    link = _own(call)
    _fill(call, link)
    link.save()
    return {}


def delete_link(call: Call) -> dict[str, Any]:
    """Delete it; by API this makes no event."""
    _own(call).delete()
    return {}


def get(call: Call) -> dict[str, Any]:
    """A link with its range."""
    link = _own(call)
    found: dict[str, Any] = {
        "link": _link(call, link),
        "range": {"user_list": link.users, "department_list": link.departments},
    }
    where = found["link"] if store.quirk("link_skip_verify") == "in_link" else found
    where["skip_verify"] = link.skip_verify
    if link.priority_type:
        found["priority_option"] = {
            "priority_type": link.priority_type,
            "priority_userid_list": link.priority_users,
        }
    return found


def list_link(call: Call) -> dict[str, Any]:
    """Ids of the app's links."""
    limit = page_size(call.body, default=100, most=100, over="most")
    position = read_cursor(call.body, 1)
    rows = Link.objects.filter(
        corpid=call.corpid, agentid=call.app.agentid, id__gt=position[0] if position else 0
    )
    page, next_cursor = cut_page(rows.order_by("id")[: limit + 1], limit, lambda row: [row.pk])
    return {"link_id_list": [row.link_id for row in page], "next_cursor": next_cursor}


def customer(call: Call) -> dict[str, Any]:
    """Who came through a link, and whether he has written."""
    link = _own(call)
    limit = page_size(call.body, default=1000, most=1000, over="most")
    position = read_cursor(call.body, 1)
    rows = Follow.objects.filter(
        corpid=call.corpid, source_id=link.link_id, id__gt=position[0] if position else 0
    ).order_by("id")
    page, next_cursor = cut_page(rows[: limit + 1], limit, lambda row: [row.pk])
    found = [
        {
            "external_userid": row.external_userid,
            "userid": row.userid,
            "chat_status": int(row.has_spoken),
            "state": row.state,
        }
        for row in page
    ]
    return {"customer_list": found, "next_cursor": next_cursor}


def statistic(call: Call) -> dict[str, Any]:
    """Clicks and new customers of whole Shanghai days."""
    link = _own(call)
    start, end = number(call.body, "start_time"), number(call.body, "end_time")
    if not call.now - 181 * DAY_S <= start <= end <= start + 30 * DAY_S:
        raise WeComError(40058)
    first, last = day_start(start), day_start(end) + DAY_S
    rows = Happening.objects.filter(corpid=call.corpid, source_id=link.link_id, at__gte=first, at__lt=last)

    def people(kind: str) -> int:
        return rows.filter(kind=kind).values("external_userid").distinct().count()

    return {"click_link_customer_cnt": people("click"), "new_customer_cnt": people("add")}


def day_start(moment: float) -> int:
    """Midnight in Shanghai of the moment's day."""
    day = datetime.datetime.fromtimestamp(moment, SHANGHAI)
    return int(day.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())


def quota(call: Call) -> dict[str, Any]:
    """What was used and what is left."""
    known = acquisition_acts.balance(call.corpid)
    expires = day_start(call.now + 365 * DAY_S)
    return known | {"quota_list": [{"expire_date": expires, "balance": known["balance"]}]}
