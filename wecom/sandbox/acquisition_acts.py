"""What happens at acquisition links: applications, the paid balance, the first messages.

Source: developer.work.weixin.qq.com/document/path/97299
"""

from typing import Any

from . import ids, store
from .errors import Refused
from .events import emit
from .models import Follow, Link, Message

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
    before = balance(corpid)
    store.remember(f"acquisition:{corpid}", before | {"balance": left})
    if before["balance"] == 0 < left:
        emit(corpid, EVENT, "balance_increased", ())


def apply(link: Link, state: str, *, is_new: bool) -> None:
    """Somebody applies through a link; only who is new to the corp costs."""
    before = balance(link.corpid)
    if is_new and before["balance"] <= 0:
        emit(link.corpid, EVENT, "link_unavailable", [("LinkId", link.link_id)])
        raise Refused("the balance of this corp is used up")
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
