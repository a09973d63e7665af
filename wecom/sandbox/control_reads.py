"""Control calls that only read: what was received, what was called, what the sandbox knows."""

import collections
from typing import Any

from django.db.models import Count

from . import arrivals, chance, clock, delivery, dispatch, faults, group_acts, life, people, purchases, store
from .models import (
    ContactWay,
    Customer,
    Delivery,
    Follow,
    FollowTag,
    GroupChat,
    Link,
    Mass,
    MassTask,
    Member,
    Message,
    Moment,
    MomentTask,
    Purchase,
    Tag,
    Transfer,
)

MOST_ROWS = 1000
Given = dict[str, Any]


def sent(given: Given) -> list[Given]:
    """What was really received, oldest first; kind, userid, external_userid, after (id), limit narrow it."""
    rows = Message.objects.filter(corpid=given["corpid"]).order_by("id")
    for field in ("kind", "userid", "external_userid", "msgid"):
        if given.get(field):
            rows = rows.filter(**{field: given[field]})
    if given.get("after"):
        rows = rows.filter(id__gt=int(given["after"]))
    fields = (
        "id",
        "kind",
        "userid",
        "external_userid",
        "text",
        "attachments",
        "at",
        "msgid",
        "welcome_code",
        "read_at",
    )
    return list(rows.values(*fields)[: int(given.get("limit") or MOST_ROWS)])


def calls(given: Given) -> list[Given]:
    """Calls of the API, oldest first (kept in memory, the last 50,000)."""
    rows = [
        row
        for row in list(dispatch.calls)
        if given.get("corpid") in (None, row["corpid"])
        and given.get("api") in (None, row["api"])
        and row["id"] > int(given.get("after") or 0)
    ]
    return rows[-int(given.get("limit") or MOST_ROWS) :]


def call_counts(given: Given) -> dict[str, int]:
    """How many of the calls in memory went to which API."""
    wanted = given.get("corpid")
    return collections.Counter(row["api"] for row in list(dispatch.calls) if wanted in (None, row["corpid"]))


def state(given: Given) -> Given:
    """Counts of a corp, or of everything, with clock and settings."""
    corpid = given.get("corpid")
    models: dict[str, Any] = {
        "members": Member,
        "customers": Customer,
        "follows": Follow,
        "contact_ways": ContactWay,
        "groups": GroupChat,
        "links": Link,
        "mass_sends": Mass,
        "moments": Moment,
        "messages": Message,
    }
    counts = {
        name: (model.objects.filter(corpid=corpid) if corpid else model.objects.all()).count()
        for name, model in models.items()
    }
    by_state = Delivery.objects.filter(corpid=corpid) if corpid else Delivery.objects.all()
    return {
        "counts": counts,
        "deliveries": dict(by_state.values_list("state").annotate(n=Count("id"))),
        "idle": delivery.is_idle(corpid or ""),
        "waiting_tasks": (MassTask.objects.filter(corpid=corpid) if corpid else MassTask.objects.all())
        .filter(status=0)
        .count(),
        "now": clock.now(),
        "clock": clock.anchor(),
        "settings": store.settings(),
        "faults": faults.active(),
        "streams": arrivals.streams(),
        "seed": chance.seed(),
        "next_at": (life.peek() or [None])[0],
    }


def customer(given: Given) -> Given:
    """A customer with his relations, as the sandbox knows them."""
    corpid, external_userid = given["corpid"], given["external_userid"]
    row = people.customer_of(corpid, external_userid)
    follows: list[Any] = list(
        Follow.objects.filter(corpid=corpid, external_userid=external_userid).order_by("id").values()
    )
    for follow in follows:
        tag_ids = list(FollowTag.objects.filter(follow=follow["id"]).values_list("tag_id", flat=True))
        names = dict(Tag.objects.filter(tag_id__in=tag_ids).values_list("tag_id", "name"))
        follow["tags"] = [{"id": tag_id, "name": names.get(tag_id, "")} for tag_id in tag_ids]
    fields = ("external_userid", "name", "type", "gender", "unionid", "avatar", "corp_name", "position")
    return {field: getattr(row, field) for field in fields} | {"follows": follows}


def deliveries(given: Given) -> list[Given]:
    """The log of callbacks, oldest first."""
    rows = Delivery.objects.order_by("id")
    for field in ("corpid", "event", "change_type", "state"):
        if given.get(field):
            rows = rows.filter(**{field: given[field]})
    if given.get("after"):
        rows = rows.filter(id__gt=int(given["after"]))
    fields = ("id", "corpid", "agentid", "event", "change_type", "xml", "state", "created_at", "attempts")
    return list(rows.values(*fields)[: int(given.get("limit") or MOST_ROWS)])


def mass_sends(given: Given) -> list[Given]:
    """Mass sends of a corp, newest first, with their members' tasks."""
    rows: list[Any] = list(Mass.objects.filter(corpid=given["corpid"]).order_by("-id").values()[:MOST_ROWS])
    for row in rows:
        row["tasks"] = list(MassTask.objects.filter(msgid=row["msgid"]).values())
    return rows


def orders(given: Given) -> list[Given]:
    """What customers bought, oldest first; after (id), limit narrow it."""
    rows = Purchase.objects.filter(corpid=given["corpid"], id__gt=int(given.get("after") or 0)).order_by("id")
    found = rows[: int(given.get("limit") or MOST_ROWS)]
    return [{"id": row.pk, **purchases.document(row)} for row in found]


def moments(given: Given) -> list[Given]:
    """Moments of a corp, newest first, with their members' tasks."""
    rows: list[Any] = list(Moment.objects.filter(corpid=given["corpid"]).order_by("-id").values()[:MOST_ROWS])
    for row in rows:
        row["tasks"] = list(MomentTask.objects.filter(moment_id=row["moment_id"]).values())
    return rows


def groups(given: Given) -> list[Given]:
    """Groups of a corp, newest first, with their members."""
    rows = GroupChat.objects.filter(corpid=given["corpid"]).order_by("-id")[:MOST_ROWS]
    return [group_acts.detail(row) | {"dismissed_at": row.dismissed_at, "status": row.status} for row in rows]


def transfers(given: Given) -> list[Any]:
    """Transfers of a corp, newest first."""
    return list(Transfer.objects.filter(corpid=given["corpid"]).order_by("-id").values()[:MOST_ROWS])
