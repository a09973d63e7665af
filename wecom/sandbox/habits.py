"""What people will do after something happened to them, by their habits (behaviour.py). Only plans; happenings.py does it."""

from typing import Any

from . import behaviour, chance, clock, life
from .models import Due, Message

Habits = dict[str, Any]
READ = ("welcome", "mass", "reply")  # messages that a customer reads
ANNOYING = ("welcome", "mass")  # … after which he may delete the guide
BETWEEN = ("userid", "external_userid")


def _due(how: Habits, what: str, corpid: str, key: tuple[object, ...], given: dict[str, Any]) -> Due | None:
    """The row for something that happens at this rate after this while, or None: not this time."""
    if not chance.happens(how[f"{what}_rate"], what, corpid, *key):
        return None
    after = chance.draws(what, "after", corpid, *key).uniform(*how[f"{what}_after_s"])
    return Due(at=clock.now() + after, corpid=corpid, kind=what, given=given)


def _plan(*rows: Due | None) -> None:
    found = [row for row in rows if row is not None]
    if found:
        life.plan_many(found)


def after_request(corpid: str, userid: str, external_userid: str) -> None:
    """A customer asked a guide who verifies, or added him half."""
    pair = {"userid": userid, "external_userid": external_userid}
    key = (userid.lower(), external_userid, int(clock.now()))
    _plan(_as_guide("accept", behaviour.guide(corpid, userid), corpid, key, pair))


def _as_guide(
    what: str, how: Habits, corpid: str, key: tuple[object, ...], given: dict[str, Any]
) -> Due | None:
    """A guide's habit; his kinds of happenings begin with "guide_" where customers have one of that name."""
    row = _due(how, what, corpid, ("guide", *key), given)
    if row is not None and what == "delete":
        row.kind = "guide_delete"
    return row


def after_added(corpid: str, userid: str, external_userid: str, own: Habits | None = None) -> None:
    """A relation began. own: habits of this customer that differ from the others'."""
    pair = {"userid": userid, "external_userid": external_userid}
    key = (userid.lower(), external_userid, int(clock.now()))
    customer = behaviour.customers(corpid) | (own or {})
    guide = behaviour.guide(corpid, userid)
    _plan(
        _due(customer, "say", corpid, key, pair),
        _due(customer, "join", corpid, key, {"external_userid": external_userid}),
        _as_guide("note", guide, corpid, key, pair),
        _as_guide("delete", guide, corpid, key, pair),
    )


def after_sent(corpid: str, messages: list[tuple[int, str, str, str]]) -> None:
    """Messages arrived: (id, kind, userid, external_userid) each."""
    how = behaviour.customers(corpid)
    if how["read_rate"] <= 0:
        return
    _plan(*(_due(how, "read", corpid, (row[0],), {"message": row[0]}) for row in messages if row[1] in READ))


def after_read(message: Message) -> None:
    """He answers, buys, or has enough of it."""
    how, key = behaviour.customers(message.corpid), (message.pk,)
    pair = {name: getattr(message, name) for name in BETWEEN}
    if message.kind in ANNOYING:
        gone = _due(how, "delete", message.corpid, key, pair)
        if gone is not None:
            _plan(gone)
            return
    _plan(
        _due(how, "answer", message.corpid, key, pair),
        _due(how, "buy", message.corpid, key, pair | {"message": message.pk}),
    )


def after_said(corpid: str, userid: str, external_userid: str, message: int) -> None:
    """The customer wrote: the guide may reply."""
    pair = {"userid": userid, "external_userid": external_userid}
    _plan(_as_guide("reply", behaviour.guide(corpid, userid), corpid, (message,), pair))


def after_joined(corpid: str, chat_id: str, external_userid: str) -> None:
    """A customer is in a group."""
    key = (chat_id, external_userid, int(clock.now()))
    given = {"chat_id": chat_id, "external_userid": external_userid}
    _plan(_due(behaviour.customers(corpid), "quit", corpid, key, given))


def after_published(corpid: str, moment_id: str, userid: str, seen_by: list[str]) -> None:
    """A guide published a moment."""
    how = behaviour.customers(corpid)
    if how["like_rate"] <= 0:
        return
    given = {"moment_id": moment_id, "userid": userid}
    _plan(
        *(
            _due(how, "like", corpid, (moment_id, userid.lower(), one), given | {"external_userid": one})
            for one in seen_by
        )
    )
