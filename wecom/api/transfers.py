"""Handing customers and groups over: of members on the job (在职继承) and of those who have left (离职继承).
Pages 92125, 94088, 92124, 94081, 94082, 92127, 95703.

A call only starts a transfer of customers. It ends by itself after 24 hours unless the customer refuses; then
the events del_external_contact (Source DELETE_BY_TRANSFER) and add_external_contact come, or transfer_fail.
Groups change hands at once.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import at_most, at_most_chars, needed
from wecom.api.paging import rows
from wecom.client import WeComClient
from wecom.errors import InvalidMessage

MAX_CUSTOMERS = 100  # in one call
MAX_GROUPS = 100
WAITING, DONE, REFUSED, FULL, NO_RECORD = 2, 1, 3, 4, 5  # status of a transfer


class Started(TypedDict):
    """errcode 0: started. 40096 unknown, 84061 and 40131 not this member's customer, 40099 the receiver is
    full, 40100 and 40129 being transferred already, 40128 transferred too often in 90 days."""

    external_userid: str
    errcode: int


class Transfer(TypedDict, total=False):
    external_userid: str
    status: int  # 1 done, 2 waiting, 3 the customer refused, 4 the receiver is full, 5 no record
    takeover_time: int  # in the future while it waits


class Unassigned(TypedDict, total=False):
    handover_userid: str
    external_userid: str
    dimission_time: int


class FailedGroup(TypedDict, total=False):
    """90500 the owner has not left, 90501 no customer group, 90502 the owner has left (on the job only),
    90503 full, 90504 the owner is the same, 90507 being handed over, 90508 handed over already."""

    chat_id: str
    errcode: int
    errmsg: str


def transfer_customers(
    client: WeComClient,
    *,
    handover_userid: str,
    takeover_userid: str,
    external_userids: Sequence[str],
    message: str = "",
) -> list[Started]:
    """Start to hand customers of a member on the job over; one answer per customer.

    Args:
        external_userids: 1 to 100. In 90 days WeCom allows two transfers of a customer.
        message: told to the customers, ≤ 200 characters; WeCom has words of its own.

    Raises:
        LostAnswer: perhaps started; `transfers` tells. A second call would answer 40129 for those started.
    """
    at_most_chars(_("Message to the customers"), message, 200)
    body = _customers(handover_userid, takeover_userid, external_userids)
    if message:
        body["transfer_success_msg"] = message
    return _start(client, "externalcontact/transfer_customer", body)


def transfers(client: WeComClient, *, handover_userid: str, takeover_userid: str) -> Iterator[Transfer]:
    """What became of all customers that one member on the job gave to another."""
    return _results(client, "externalcontact/transfer_result", handover_userid, takeover_userid)


def unassigned(client: WeComClient) -> Iterator[Unassigned]:
    """All customers of members who have left and that nobody has got yet, page after page."""
    api, body, seen = "externalcontact/get_unassigned_list", {"page_size": 1000, "cursor": ""}, {""}
    while True:
        answer = client.call("POST", api, body=body, repeatable=True)
        yield from cast(list[Unassigned], answer.get("info") or [])
        cursor = str(answer.get("next_cursor") or "")
        if answer.get("is_last") or cursor in seen:
            return
        seen.add(cursor)
        body["cursor"] = cursor


class UnassignedPage(TypedDict):
    info: list[Unassigned]
    next_cursor: str  # "" at the end


def unassigned_page(client: WeComClient, cursor: str = "") -> UnassignedPage:
    """One page, at most 1000, of the same list; keep `next_cursor` to go on from here."""
    body = {"page_size": 1000, "cursor": cursor}
    answer = client.call("POST", "externalcontact/get_unassigned_list", body=body, repeatable=True)
    after = str(answer.get("next_cursor") or "")
    return {
        "info": cast(list[Unassigned], answer.get("info") or []),
        "next_cursor": "" if answer.get("is_last") or after == cursor else after,
    }


def transfer_resigned_customers(
    client: WeComClient, *, handover_userid: str, takeover_userid: str, external_userids: Sequence[str]
) -> list[Started]:
    """The same for a member who has left (WeComRejected 40097 if not)."""
    body = _customers(handover_userid, takeover_userid, external_userids)
    return _start(client, "externalcontact/resigned/transfer_customer", body)


def resigned_transfers(
    client: WeComClient, *, handover_userid: str, takeover_userid: str
) -> Iterator[Transfer]:
    """What became of all customers that somebody who has left gave to another member."""
    return _results(client, "externalcontact/resigned/transfer_result", handover_userid, takeover_userid)


def transfer_resigned_groups(
    client: WeComClient, *, chat_ids: Sequence[str], new_owner: str
) -> list[FailedGroup]:
    """Give groups of somebody who has left to a new owner; gives those that failed, the rest is done.

    300 groups a day from one person to one new owner; within a year of leaving. A repeat does no harm: it
    answers 90504 or 90508 for what is done.
    """
    return _groups(client, "externalcontact/groupchat/transfer", chat_ids, new_owner)


def transfer_groups(client: WeComClient, *, chat_ids: Sequence[str], new_owner: str) -> list[FailedGroup]:
    """Give groups of a member on the job to a new owner; each at most twice in 90 days, 300 a day."""
    return _groups(client, "externalcontact/groupchat/onjob_transfer", chat_ids, new_owner)


def _customers(handover_userid: str, takeover_userid: str, external_userids: Sequence[str]) -> dict[str, Any]:
    needed(_("Receiver"), takeover_userid)
    needed(_("Customers"), external_userids)
    at_most(_("Customers"), external_userids, MAX_CUSTOMERS)
    if handover_userid.lower() == takeover_userid.lower():
        raise InvalidMessage(_("The receiver must be somebody else"))
    return {
        "handover_userid": handover_userid,
        "takeover_userid": takeover_userid,
        "external_userid": list(external_userids),
    }


def _start(client: WeComClient, api: str, body: dict[str, Any]) -> list[Started]:
    return cast(list[Started], client.call("POST", api, body=body).get("customer") or [])


def _results(client: WeComClient, api: str, handover_userid: str, takeover_userid: str) -> Iterator[Transfer]:
    body = {"handover_userid": handover_userid, "takeover_userid": takeover_userid}
    return cast(Iterator[Transfer], rows(client, api, body, "customer"))


def _groups(client: WeComClient, api: str, chat_ids: Sequence[str], new_owner: str) -> list[FailedGroup]:
    needed(_("Receiver"), new_owner)
    needed(_("Groups"), chat_ids)
    at_most(_("Groups"), chat_ids, MAX_GROUPS)
    body = {"chat_id_list": list(chat_ids), "new_owner": new_owner}
    answer = client.call("POST", api, body=body, repeatable=True)
    return cast(list[FailedGroup], answer.get("failed_chat_list") or [])
