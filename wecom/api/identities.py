"""One person under several ids. Pages 90202, 97108, 95900.

A self-built app gets the unionid with every customer; only payments need openids. The conversions from a
unionid are for providers' apps, and WeCom punishes their use in bulk.
"""

from collections.abc import Sequence
from typing import TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import answered, at_most, needed
from wecom.client import WeComClient


class Pending(TypedDict):
    external_userid: str
    pending_id: str  # 90 days


class Renamed(TypedDict):
    external_userid: str
    new_external_userid: str


class FoundCustomer(TypedDict):
    """One of the two: a customer, or an id under which the person becomes one later."""

    external_userid: str
    pending_id: str


def customer_openid(client: WeComClient, external_userid: str) -> str:
    """The openid under which the company's merchant account pays a customer (WeChat users only)."""
    api, body = "externalcontact/convert_to_openid", {"external_userid": external_userid}
    return answered(client.call("POST", api, body=body, repeatable=True), api, "openid")


def member_openid(client: WeComClient, userid: str) -> str:
    """The openid of a member, for payments (43004: not bound to WeChat)."""
    api = "user/convert_to_openid"
    return answered(client.call("POST", api, body={"userid": userid}, repeatable=True), api, "openid")


def member_of_openid(client: WeComClient, openid: str) -> str:
    """The userid behind an openid of `member_openid`."""
    api = "user/convert_to_userid"
    return answered(client.call("POST", api, body={"openid": openid}, repeatable=True), api, "userid")


def customer_of_unionid(
    client: WeComClient, *, unionid: str, openid: str, of_corp: bool = True
) -> FoundCustomer:
    """Who a visitor of a mini-program is (providers' apps only).

    Args:
        openid: of the same mini-program or official account.
        of_corp: the program belongs to the company, not to the provider.
    """
    body = {"unionid": unionid, "openid": openid, "subject_type": 0 if of_corp else 1}
    answer = client.call("POST", "idconvert/unionid_to_external_userid", body=body, repeatable=True)
    return {
        "external_userid": str(answer.get("external_userid") or ""),
        "pending_id": str(answer.get("pending_id") or ""),
    }


def pending_ids(client: WeComClient, external_userids: Sequence[str], *, chat_id: str = "") -> list[Pending]:
    """The ids of `customer_of_unionid` for up to 100 people who are customers now."""
    needed(_("Customers"), external_userids)
    at_most(_("Customers"), external_userids, 100)
    body = {"external_userid": list(external_userids), **({"chat_id": chat_id} if chat_id else {})}
    answer = client.call("POST", "idconvert/batch/external_userid_to_pending_id", body=body, repeatable=True)
    return cast(list[Pending], answer.get("result") or [])


def new_external_userids(client: WeComClient, external_userids: Sequence[str]) -> list[Renamed]:
    """Today's ids of up to 1000 customers known by old ones (a company that changes its provider)."""
    needed(_("Customers"), external_userids)
    at_most(_("Customers"), external_userids, 1000)
    body = {"external_userid_list": list(external_userids)}
    answer = client.call("POST", "externalcontact/get_new_external_userid", body=body, repeatable=True)
    return cast(list[Renamed], answer.get("items") or [])
