"""What is done when its moment has come: the table of kinds that life.py plays."""

from typing import Any

from . import (
    arrivals,
    behaviour,
    chance,
    clock,
    life,
    mass_acts,
    moment_acts,
    people,
    purchases,
    transfer_acts,
)
from . import group_acts as groups
from .errors import Refused
from .habits import after_read
from .models import Follow, GroupMember, JoinWay, MassTask, Message, MomentTask, Tag, Transfer

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
    """Through one of the corp's join ways, if there is one."""
    ways = list(JoinWay.objects.filter(corpid=corpid).order_by("id").values_list("config_id", flat=True))
    if not ways:
        return
    config_id = chance.draws("join", corpid, given["external_userid"], clock.now()).choice(ways)
    groups.join(corpid, {"config_id": config_id, "external_userid": given["external_userid"]})


def _quit(corpid: str, given: Given) -> None:
    if GroupMember.objects.filter(chat_id=given["chat_id"], userid=given["external_userid"]).exists():
        groups.leave(corpid, given["chat_id"], given["external_userid"])


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


def _first_confirm() -> tuple[float, int] | None:
    rows = MassTask.objects.filter(status=0, confirm_at__isnull=False).order_by("confirm_at", "id")
    return rows.values_list("confirm_at", "id").first()  # type: ignore[return-value]


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


def _first_publish() -> tuple[float, int] | None:
    rows = MomentTask.objects.filter(status=0, publish_at__isnull=False).order_by("publish_at", "id")
    return rows.values_list("publish_at", "id").first()  # type: ignore[return-value]


def _publish(key: int) -> None:
    task = MomentTask.objects.get(pk=key)
    if behaviour.guide(task.corpid, task.userid)["confirm_after_s"] is None:
        MomentTask.objects.filter(pk=key).update(publish_at=None)
        return
    moment_acts.publish(task.corpid, task.moment_id, task.userid)


def _first_transfer() -> tuple[float, int] | None:
    rows = Transfer.objects.filter(status=2).order_by("takeover_time", "id")
    return rows.values_list("takeover_time", "id").first()


def _complete(key: int) -> None:
    transfer_acts.complete(Transfer.objects.get(pk=key))


life.SOURCES[:] = [
    (_first_confirm, _confirm, lambda key: MassTask.objects.filter(pk=key).update(confirm_at=None)),
    (_first_publish, _publish, lambda key: MomentTask.objects.filter(pk=key).update(publish_at=None)),
    (_first_transfer, _complete, lambda key: Transfer.objects.filter(pk=key).update(status=3)),
]
