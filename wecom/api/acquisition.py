"""获客助手 acquisition links: pages that add a member as soon as they are opened. Pages 97297, 97298, 97375.

A paid product: WeCom counts new customers against a balance (`quota`). The app itself has to be among those
that may call the customer contact API. `State` of the events is what `channel_url` put into the address.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, TypedDict, cast
from urllib.parse import quote

from django.utils.translation import gettext as _

from wecom.api.checks import answered, at_most, at_most_bytes, at_most_chars, needed, whole_days
from wecom.api.paging import rows
from wecom.client import WeComClient
from wecom.errors import InvalidMessage, LostAnswer

_API = "externalcontact/customer_acquisition"


class Link(TypedDict, total=False):
    link_id: str
    link_name: str
    url: str
    create_time: int
    skip_verify: bool


class LinkRange(TypedDict, total=False):
    user_list: list[str]
    department_list: list[int]


class PriorityOption(TypedDict, total=False):
    priority_type: int  # 1 whoever of the corp has the customer already, 2 only those listed
    priority_userid_list: list[str]


class LinkDetail(TypedDict):
    link: Link
    range: LinkRange
    priority_option: PriorityOption


class LinkCustomer(TypedDict, total=False):
    external_userid: str
    userid: str
    chat_status: int  # 0 the customer has not written, 1 has written, 2 unknown
    state: str


class LinkCustomers(TypedDict):
    customer_list: list[LinkCustomer]
    next_cursor: str  # "" at the end


class LinkFigures(TypedDict):
    click_link_customer_cnt: int
    new_customer_cnt: int


class ExpiringQuota(TypedDict, total=False):
    expire_date: int
    balance: int


class Quota(TypedDict, total=False):
    total: int  # used since the beginning
    balance: int
    quota_list: list[ExpiringQuota]


def create_link(
    client: WeComClient,
    name: str,
    *,
    userids: Sequence[str] = (),
    department_ids: Sequence[int] = (),
    skip_verify: bool = True,
    priority: PriorityOption | None = None,
) -> Link:
    """Make a link.

    Args:
        name: ≤ 30 characters.
        userids, department_ids: who is added; 500 people at most after the departments were opened up.
        priority: whom a customer who knows somebody already is given to; only in some industries.

    Raises:
        LostAnswer: perhaps made; look with `links` and `link`, and compare names.
    """
    needed(_("Name"), name)
    answer = client.call(
        "POST", f"{_API}/create_link", body=_body(name, userids, department_ids, skip_verify, priority)
    )
    made = answer.get("link")
    if not isinstance(made, dict):
        raise LostAnswer(api=f"{_API}/create_link", errmsg="no link in the answer")
    answered(made, f"{_API}/create_link", "link_id")
    return cast(Link, made)


def link(client: WeComClient, link_id: str) -> LinkDetail:
    answer = client.call("POST", f"{_API}/get", body={"link_id": link_id}, repeatable=True)
    found = dict(answer.get("link") or {})
    if "skip_verify" in answer:  # in the link on WeCom's page, beside it elsewhere
        found.setdefault("skip_verify", answer["skip_verify"])
    return {
        "link": cast(Link, {"link_id": link_id, **found}),
        "range": cast(LinkRange, answer.get("range") or {}),
        "priority_option": cast(PriorityOption, answer.get("priority_option") or {}),
    }


def links(client: WeComClient) -> list[str]:
    """Ids of all links of this app."""
    return list(rows(client, f"{_API}/list_link", {"limit": 100}, "link_id_list"))


def update_link(
    client: WeComClient,
    link_id: str,
    *,
    name: str | None = None,
    userids: Sequence[str] | None = None,
    department_ids: Sequence[int] | None = None,
    skip_verify: bool | None = None,
    priority: PriorityOption | None = None,
) -> None:
    """Change what is given. Members and departments go together: giving either replaces both."""
    body = _body(name, userids, department_ids, skip_verify, priority)
    client.call("POST", f"{_API}/update_link", body={"link_id": link_id, **body}, repeatable=True)


def delete_link(client: WeComClient, link_id: str) -> None:
    """Delete a link; no event follows. A repeat after a lost answer may hear that there is no such link."""
    client.call("POST", f"{_API}/delete_link", body={"link_id": link_id}, repeatable=True)


def link_customers(client: WeComClient, link_id: str, cursor: str = "") -> LinkCustomers:
    """One page, at most 1000, of the customers who came by a link; keep `next_cursor` to go on from here."""
    body = {"link_id": link_id, "limit": 1000, "cursor": cursor}
    answer = client.call("POST", f"{_API}/customer", body=body, repeatable=True)
    return {
        "customer_list": cast(list[LinkCustomer], answer.get("customer_list") or []),
        "next_cursor": answer.get("next_cursor") or "",
    }


def link_figures(client: WeComClient, link_id: str, *, since: date, until: date) -> LinkFigures:
    """How many opened the link and how many of them are new customers; ≤ 30 days, of the last 180."""
    first, last = whole_days(since, until, 30, back=180)
    body = {"link_id": link_id, "start_time": first, "end_time": last}
    answer = client.call("POST", f"{_API}/statistic", body=body, repeatable=True)
    return {
        "click_link_customer_cnt": int(answer.get("click_link_customer_cnt") or 0),
        "new_customer_cnt": int(answer.get("new_customer_cnt") or 0),
    }


def quota(client: WeComClient) -> Quota:
    """What is left of the balance, and until when."""
    return cast(Quota, client.call("GET", "externalcontact/customer_acquisition_quota", repeatable=True))


def channel_url(url: str, channel: str) -> str:
    """The link with the channel that comes back as `state`; ≤ 64 bytes, WeCom would cut the rest off."""
    at_most_bytes(_("Channel"), channel, 64)
    return f"{url}{'&' if '?' in url else '?'}customer_channel={quote(channel, safe='')}"


def app_scheme(url: str) -> str:
    """The address by which other apps open a link (or a `channel_url`) in WeChat."""
    return f"weixin://biz/ww/profile/{quote(url, safe='')}"


def _body(
    name: str | None,
    userids: Sequence[str] | None,
    department_ids: Sequence[int] | None,
    skip_verify: bool | None,
    priority: PriorityOption | None,
) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if name is not None:
        needed(_("Name"), name)
        at_most_chars(_("Name"), name, 30)
        body["link_name"] = name
    if userids is not None or department_ids is not None:
        needed(_("Members"), userids or department_ids)
        at_most(_("Members"), userids or (), 500)
        body["range"] = {"user_list": list(userids or ()), "department_list": list(department_ids or ())}
    if skip_verify is not None:
        body["skip_verify"] = skip_verify
    if priority is not None:
        if priority.get("priority_type") not in (1, 2):
            raise InvalidMessage(_("Priority: the whole company or chosen members"))
        at_most(_("Members"), priority.get("priority_userid_list") or (), 1000)
        body["priority_option"] = dict(priority)
    return body
