"""What happens at acquisition links: applications, the paid balance, the first messages.

Source: developer.work.weixin.qq.com/document/path/97299
"""

from typing import Any

from . import clock, ids, store
from .errors import Refused
from .events import emit
from .models import Customer, Follow, Link, Message

EVENT = "customer_acquisition"
START_BALANCE = 1000
LOW_BALANCE = 20
TOLD_MESSAGES = (3, 5, 10)  # numbers of a customer's messages that WeCom tells about


def balance(corpid: str) -> dict[str, int]:
    """{"total": used so far, "balance": left}."""
    return store.recall(f"acquisition:{corpid}") or {"total": 0, "balance": START_BALANCE}


def set_balance(corpid: str, left: int) -> None:
    """The corp bought more, or the tester takes it away."""
    store.corp(corpid)
    with store.writing():
        before = balance(corpid)
        store.remember(f"acquisition:{corpid}", before | {"balance": left})
        if before["balance"] == 0 < left:
            emit(corpid, EVENT, "balance_increased", ())


def is_unavailable(link: Link, given: dict[str, Any]) -> bool:
    """Whether the link cannot take a new customer any more; WeCom then tells so."""
    who = given.get("external_userid") or ""
    if balance(link.corpid)["balance"] > 0 or is_known(link.corpid, who):
        return False
    emit(link.corpid, EVENT, "link_unavailable", [("LinkId", link.link_id)])
    return True


def is_known(corpid: str, external_userid: str) -> bool:
    """Whether the corp knows the person: then he costs nothing."""
    return Customer.objects.filter(corpid=corpid, external_userid=external_userid).exists()


def apply(link: Link, state: str, *, is_new: bool) -> None:
    """Somebody applies through a link; only who is new to the corp costs."""
    before = balance(link.corpid)
    if state:
        emit(link.corpid, EVENT, "friend_request", [("LinkId", link.link_id), ("State", state)])
    if not is_new:
        return
    left = before["balance"] - 1
    store.remember(f"acquisition:{link.corpid}", {"total": before["total"] + 1, "balance": left})
    if left == 0:
        emit(link.corpid, EVENT, "balance_exhausted", ())
    elif left == LOW_BALANCE - 1:
        emit(link.corpid, EVENT, "balance_low", ())


def link_deleted(corpid: str, link_id: str) -> None:
    """An administrator deletes a link in the console; by API this makes no event."""
    with store.writing():
        if not Link.objects.filter(corpid=corpid, link_id=link_id).delete()[0]:
            raise Refused(f"no link {link_id!r}", status=404)
        emit(corpid, EVENT, "delete_link", [("LinkId", link_id)])


def profile_opened(corpid: str, link_id: str, state: str) -> None:
    """A customer looks at the member behind a link and does not add him (told in some industries only)."""
    with store.writing():
        if not Link.objects.filter(corpid=corpid, link_id=link_id).exists():
            raise Refused(f"no link {link_id!r}", status=404)
        emit(corpid, EVENT, "open_profile", [("LinkId", link_id), ("State", state)])


def quota_expires(corpid: str, n: int, days: int) -> None:
    """What was bought runs out in some days: WeCom tells 14, 7, 3, 2 and 1 days before."""
    store.corp(corpid)
    with store.writing():
        fields = [("ExpireTime", int(clock.now()) + int(days) * 86_400), ("ExpireQuotaNum", int(n))]
        emit(corpid, EVENT, "quota_expire_soon", fields)


def _both(follow: Follow) -> list[tuple[str, Any]]:
    return [("UserID", follow.userid), ("ExternalUserID", follow.external_userid)]


def customer_spoke(follow: Follow) -> None:
    """Called before the message is stored: the first one, and some later ones, are told."""
    before = Message.objects.filter(
        corpid=follow.corpid, userid=follow.userid, external_userid=follow.external_userid, kind="say"
    ).count()
    if before == 0:
        emit(follow.corpid, EVENT, "customer_start_chat", _both(follow), userid=follow.userid)
    if before + 1 in TOLD_MESSAGES:
        fields: list[tuple[str, Any]] = [("LinkId", follow.source_id), ("State", follow.state or None)]
        if store.quirk("link_message_event") == "ids":
            fields += [*_both(follow), ("ChatSeq", before + 1)]
        else:
            fields.append(("ChatKey", ids.code()))
        emit(follow.corpid, EVENT, "message_from_customer", fields, userid=follow.userid)


def customer_left(follow: Follow) -> None:
    """The customer deleted the member he had met through a link."""
    fields = [("LinkId", follow.source_id), ("State", follow.state or None), *_both(follow)]
    emit(follow.corpid, EVENT, "del_follow_user", fields, userid=follow.userid)
