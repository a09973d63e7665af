"""Acts of the control API that need a line or two around the function that does them."""

from typing import Any

from . import clock, group_acts, moment_acts, people, store, transfer_acts
from .errors import Refused
from .habits import after_read
from .models import Customer, Message, Transfer

Given = dict[str, Any]


def scan(given: Given) -> Given:
    """A customer scans; what WeCom refuses is an error here, after the corp was told."""
    answer = people.scan(given["corpid"], given)
    if "refused" in answer:
        raise Refused(answer["refused"])
    return answer


def say(given: Given) -> Given:
    """A customer writes."""
    return {"id": people.say(given["corpid"], given["userid"], given["external_userid"], given["text"])}


def reply(given: Given) -> Given:
    """A member writes by hand."""
    return {"id": people.reply(given["corpid"], given["userid"], given["external_userid"], given["text"])}


def read(given: Given) -> Given:
    """A customer opens a chat: everything in it is read."""
    with store.writing():
        people.follow_of(given["corpid"], given["userid"], given["external_userid"])
        pair = {key: given[key] for key in ("corpid", "userid", "external_userid")}
        rows = list(
            Message.objects.filter(**pair, kind__in=("welcome", "mass", "reply"), read_at=None).order_by("id")
        )
        for row in rows:
            Message.objects.filter(pk=row.pk).update(read_at=clock.now())
            after_read(row)
    return {"read": len(rows)}


def customer_renames(given: Given) -> Given:
    """A customer calls himself something else; a client finds out when it asks."""
    with store.writing():
        row = people.customer_of(given["corpid"], given["external_userid"])
        Customer.objects.filter(pk=row.pk).update(name=given["name"][:100])
    return {}


def member_edits(given: Given) -> Given:
    """A member edits remark or tags in his client."""
    people.member_edits(given["corpid"], given["userid"], given["external_userid"], given)
    return {}


def react(given: Given) -> Given:
    """A customer (external_userid) or colleague (by) likes or comments on a member's moment."""
    by = given.get("external_userid") or given["by"]
    kind, text = given["kind"], given.get("text") or ""
    moment_acts.react(given["corpid"], given["moment_id"], given["userid"], by, kind, text)
    return {}


def group_change(given: Given) -> Given:
    """The owner changes name, notice, welcome template or owner of a group."""
    group_acts.change(given["corpid"], given["chat_id"], given)
    return {}


def group_say(given: Given) -> Given:
    """Somebody writes in a group."""
    return {"id": group_acts.say(given["corpid"], given["chat_id"], given["who"], given["text"])}


def transfer_now(given: Given) -> Given:
    """The waiting transfers of a customer (or of all) end now instead of after a day."""
    rows = Transfer.objects.filter(corpid=given["corpid"], status=2).order_by("id")
    if given.get("external_userid"):
        rows = rows.filter(external_userid=given["external_userid"])
    found = list(rows)
    for row in found:
        transfer_acts.complete(row)
    return {"completed": len(found)}
