"""What is done when its moment has come: the table of kinds that life.py plays."""

from typing import Any

from . import (
    arrivals,
    behaviour,
    chance,
    clock,
    delivery,
    life,
    mass_acts,
    moment_acts,
    people,
    purchases,
    transfer_acts,
)
from . import group_acts as groups
from .app_acts import take_reply
from .errors import Refused
from .habits import after_read
from .models import Follow, GroupChat, GroupMember, JoinWay, MassTask, Message, MomentTask, Tag, Transfer

Given = dict[str, Any]
SAID = (
    "你好",
    "在吗？",
    "这个还有货吗",
    "有优惠券吗",
    "什么时候发货",
    "好的，谢谢",
    "怎么入群？",
    "想了解一下新品",
    "[微笑]",
)
REPLIED = (
    "在的，您说",
    "有的，给您留着",
    "稍等，我帮您看一下",
    "今天就发",
    "好的，欢迎常来",
    "这款最近很受欢迎",
)
NOTED = ("常客", "送礼用", "住附近", "喜欢新品", "等活动", "价格敏感")


def words(corpid: str, of: tuple[str, ...], *key: object) -> str:
    """One of several sentences."""
    return chance.draws("words", corpid, *key).choice(of)


def _say(corpid: str, given: Given) -> None:
    text = words(corpid, SAID, "say", given["external_userid"], clock.now())
    people.say(corpid, given["userid"], given["external_userid"], text)


def _reply(corpid: str, given: Given) -> None:
    text = words(corpid, REPLIED, "reply", given["external_userid"], clock.now())
    people.reply(corpid, given["userid"], given["external_userid"], text)


def _accept(corpid: str, given: Given) -> None:
    people.accept(corpid, given["userid"], given["external_userid"])


def _note(corpid: str, given: Given) -> None:
    """A remark, and a tag if the corp has any."""
    key = ("note", given["external_userid"], clock.now())
    tag_ids = list(
        Tag.objects.filter(corpid=corpid, deleted=False).order_by("tag_id").values_list("tag_id", flat=True)
    )
    edits: Given = {"remark": words(corpid, NOTED, *key)}
    if tag_ids:
        edits["add_tags"] = [chance.draws("tag", corpid, *key).choice(tag_ids)]
    people.member_edits(corpid, given["userid"], given["external_userid"], edits)


def _guide_delete(corpid: str, given: Given) -> None:
    """Only who never wrote."""
    follow = people.follow_of(corpid, given["userid"], given["external_userid"])
    if not follow.has_spoken:
        people.member_deletes(corpid, given["userid"], given["external_userid"])


def _read(corpid: str, given: Given) -> None:
    row = Message.objects.filter(pk=given["message"], read_at=None).first()
    if row is None:
        return
    if not Follow.objects.filter(
        corpid=corpid, userid=row.userid, external_userid=row.external_userid, lost=False
    ).exists():
        return
    Message.objects.filter(pk=row.pk).update(read_at=clock.now())
    after_read(row)


def _buy(corpid: str, given: Given) -> None:
    low, high = behaviour.customers(corpid)["buy_fen"]
    fen = chance.draws("basket", corpid, given["external_userid"], given["message"]).randint(
        int(low), int(high)
    )
    purchases.buy(
        corpid, {"external_userid": given["external_userid"], "userid": given["userid"], "amount_fen": fen}
    )


def _delete(corpid: str, given: Given) -> None:
    people.customer_deletes(corpid, given["userid"], given["external_userid"])


def _like(corpid: str, given: Given) -> None:
    moment_acts.react(corpid, given["moment_id"], given["userid"], given["external_userid"], "like")


def _join(corpid: str, given: Given) -> None:
    """Through one of the corp's join ways; without any, a guide invites him into his group."""
    dice = chance.draws("join", corpid, given["external_userid"], clock.now())
    who = {"external_userid": given["external_userid"]}
    ways = list(JoinWay.objects.filter(corpid=corpid).order_by("id").values_list("config_id", flat=True))
    if ways:
        groups.join(corpid, who | {"config_id": dice.choice(ways)})
        return
    chats = list(
        GroupChat.objects.filter(corpid=corpid, dismissed_at=None)
        .order_by("id")
        .values_list("chat_id", "owner")
    )
    if chats:
        chat_id, owner = dice.choice(chats)
        groups.join(corpid, who | {"chat_id": chat_id, "invitor": owner})


def _quit(corpid: str, given: Given) -> None:
    if GroupMember.objects.filter(chat_id=given["chat_id"], userid=given["external_userid"]).exists():
        groups.leave(corpid, given["chat_id"], given["external_userid"])


delivery.ON_REPLY[:] = [take_reply]
life.ACTS.update(
    {
        "arrive": arrivals.arrive,
        "say": _say,
        "answer": _say,
        "reply": _reply,
        "accept": _accept,
        "note": _note,
        "guide_delete": _guide_delete,
        "read": _read,
        "buy": _buy,
        "delete": _delete,
        "like": _like,
        "join": _join,
        "quit": _quit,
    }
)


# ---- moments that stand in the tables they belong to


def _confirm(key: int) -> None:
    task = MassTask.objects.get(pk=key)
    if (
        behaviour.guide(task.corpid, task.userid)["confirm_after_s"] is None
    ):  # told to wait for a person meanwhile
        MassTask.objects.filter(pk=key).update(confirm_at=None)
        return
    try:
        mass_acts.confirm(task.corpid, task.msgid, task.userid)
    except Refused:
        MassTask.objects.filter(pk=key).update(confirm_at=None)


def _publish(key: int) -> None:
    task = MomentTask.objects.get(pk=key)
    if behaviour.guide(task.corpid, task.userid)["confirm_after_s"] is None:
        MomentTask.objects.filter(pk=key).update(publish_at=None)
        return
    moment_acts.publish(task.corpid, task.moment_id, task.userid)


def _complete(key: int) -> None:
    transfer_acts.complete(Transfer.objects.get(pk=key))


life.SOURCES[:] = [
    life.Source(
        "SELECT confirm_at AS at, id FROM sandbox_masstask WHERE status = 0 AND confirm_at IS NOT NULL"
        " ORDER BY confirm_at, id",
        _confirm,
        lambda key: MassTask.objects.filter(pk=key).update(confirm_at=None),
    ),
    life.Source(
        "SELECT publish_at AS at, id FROM sandbox_momenttask WHERE status = 0 AND publish_at IS NOT NULL"
        " ORDER BY publish_at, id",
        _publish,
        lambda key: MomentTask.objects.filter(pk=key).update(publish_at=None),
    ),
    life.Source(
        "SELECT takeover_time AS at, id FROM sandbox_transfer WHERE status = 2 ORDER BY takeover_time, id",
        _complete,
        lambda key: Transfer.objects.filter(pk=key).update(status=3),
    ),
]
