"""Customers (external contacts): who has whom, profiles, remarks.

Pages 92571, 92113, 92114, 92994, 92115, 99434.
"""

from collections.abc import Sequence
from typing import Any, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import at_most, at_most_chars, needed
from wecom.client import WeComClient
from wecom.errors import WeComRejected


class ExternalContact(TypedDict, total=False):
    external_userid: str
    name: str
    avatar: str
    type: int  # 1 WeChat user, 2 WeCom user of another company
    gender: int  # 0 unknown, 1 male, 2 female
    unionid: str  # only type 1, and only if the corp has bound a WeChat developer account
    position: str
    corp_name: str
    corp_full_name: str


class FollowTag(TypedDict, total=False):
    group_name: str
    tag_name: str
    tag_id: str  # a personal tag (type 2) has none
    type: int  # 1 corp tag, 2 personal tag, 3 tag of a rule group


class FollowUser(TypedDict, total=False):
    userid: str
    remark: str
    description: str
    createtime: int  # seconds
    tags: list[FollowTag]  # in `customer` only
    tag_id: list[str]  # in `batch_customers` only: ids without names, no personal tags
    remark_corp_name: str
    remark_mobiles: list[str]
    add_way: int
    oper_userid: str
    state: str


class Customer(TypedDict):
    external_contact: ExternalContact
    follow_user: list[FollowUser]


class Relation(TypedDict):
    """One row of a batch: the same customer comes once for each follower."""

    external_contact: ExternalContact
    follow_info: FollowUser


class Batch(TypedDict):
    external_contact_list: list[Relation]
    next_cursor: str  # "" at the end
    unlicensed: list[str]  # members that WeCom skipped for lack of a licence


class Served(TypedDict, total=False):
    """Somebody whom a member serves, customer or not."""

    is_customer: bool
    tmp_openid: str  # four hours, only to tell people apart
    external_userid: str  # customers only
    name: str  # masked, others only
    follow_userid: str  # who has them, or whose group they are in
    chat_id: str  # customer groups
    chat_name: str  # other groups
    add_time: int


class ServedPage(TypedDict):
    info_list: list[Served]
    next_cursor: str  # "" at the end


def follow_users(client: WeComClient) -> list[str]:
    """Members with the customer-contact right, within the app's visible range."""
    return list(
        client.call("GET", "externalcontact/get_follow_user_list", repeatable=True).get("follow_user") or []
    )


def customers_of(client: WeComClient, userid: str) -> list[str]:
    """All external_userids of a member; WeCom says 84061 when there are none, we say []."""
    try:
        answer = client.call("GET", "externalcontact/list", params={"userid": userid}, repeatable=True)
    except WeComRejected as error:
        if error.errcode == 84061:
            return []
        raise
    return list(answer.get("external_userid") or [])


def customer(client: WeComClient, external_userid: str) -> Customer:
    """Profile with all followers in the visible range.

    Raises:
        WeComRejected: 84061 nobody in range follows them (any more), 40096 unknown.
    """
    followers: list[FollowUser] = []
    profile: ExternalContact = {}
    cursor = ""
    while True:
        params = {"external_userid": external_userid, **({"cursor": cursor} if cursor else {})}
        answer = client.call("GET", "externalcontact/get", params=params, repeatable=True)
        profile = profile or cast(ExternalContact, answer.get("external_contact") or {})
        page = answer.get("follow_user") or []
        followers += page
        cursor = answer.get("next_cursor") or ""  # only above 500 followers
        if not cursor or not page:
            return {"external_contact": profile, "follow_user": followers}


def batch_customers(client: WeComClient, userids: Sequence[str], cursor: str = "", limit: int = 100) -> Batch:
    """One page of the relations of up to 100 members; keep `next_cursor` to go on from here."""
    at_most(_("Members"), userids, 100)
    answer = client.call(
        "POST",
        "externalcontact/batch/get_by_user",
        body={"userid_list": list(userids), "cursor": cursor, "limit": limit},
        repeatable=True,
    )
    failed = answer.get("fail_info") or {}
    return {
        "external_contact_list": cast(list[Relation], answer.get("external_contact_list") or []),
        "next_cursor": answer.get("next_cursor") or "",
        "unlicensed": list(failed.get("unlicensed_userid_list") or []),
    }


def served(client: WeComClient, cursor: str = "") -> ServedPage:
    """One page, at most 1000, of everybody whom members serve, also those who are no customers."""
    body = {"limit": 1000, **({"cursor": cursor} if cursor else {})}
    answer = client.call("POST", "externalcontact/contact_list", body=body, repeatable=True)
    return {
        "info_list": cast(list[Served], answer.get("info_list") or []),
        "next_cursor": answer.get("next_cursor") or "",
    }


def remark(
    client: WeComClient,
    userid: str,
    external_userid: str,
    *,
    remark: str | None = None,
    description: str | None = None,
    company: str | None = None,
    mobiles: Sequence[str] | None = None,
    picture_media_id: str | None = None,
) -> None:
    """Edit what a member noted about a customer; None leaves a field as it is.

    Args:
        remark: ≤ 20 characters.
        description: ≤ 150 characters.
        company: ≤ 20 characters; only for WeChat users.
        mobiles: replaces all; empty clears.
        picture_media_id: from `media.upload`.
    """
    body: dict[str, Any] = {"userid": userid, "external_userid": external_userid}
    for name, value, limit in (
        ("remark", remark, 20),
        ("description", description, 150),
        ("remark_company", company, 20),
    ):
        if value is not None:
            at_most_chars(name, value, limit)
            body[name] = value
    if mobiles is not None:
        body["remark_mobiles"] = list(mobiles) or [""]
    if picture_media_id is not None:
        body["remark_pic_mediaid"] = picture_media_id
    needed(_("A remark"), len(body) > 2)
    client.call("POST", "externalcontact/remark", body=body, repeatable=True)
