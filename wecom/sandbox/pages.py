"""Pages for people: scan a code, be the customer, be the guide, watch callbacks, make trouble.

They only read; every act goes through page_acts.py to the functions of the control API.
"""

from collections.abc import Callable
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from . import behaviour, delivery, dispatch
from .errors import Refused
from .models import (
    App,
    Corp,
    Customer,
    Delivery,
    Follow,
    FollowTag,
    FriendRequest,
    GroupChat,
    GroupMember,
    Mass,
    MassReceiver,
    MassTask,
    Media,
    Member,
    Message,
    Moment,
    MomentTask,
    Purchase,
    Reaction,
    Tag,
)
from .page_frame import frame, names_of, page
from .pages_stage import GUIDES, rows_of
from .people import customer_of

PAGE = 24
ROWS = 50
CHAT_ROWS = 200
Page = Callable[..., HttpResponse]


@page
def customers(request: HttpRequest, corp: Corp) -> HttpResponse:
    """Everybody who can be played, newest first."""
    context = frame(request, corp, "customers")
    rows = Customer.objects.filter(corpid=corp.corpid).order_by("-id")
    if context["q"]:
        rows = rows.filter(Q(name__contains=context["q"]) | Q(external_userid=context["q"]))
    if request.GET.get("before"):
        rows = rows.filter(id__lt=int(request.GET["before"]))
    found = list(rows[: ROWS + 1])
    names = names_of(corp.corpid)
    guides: dict[str, list[str]] = {}
    for follow in Follow.objects.filter(
        corpid=corp.corpid, external_userid__in=[row.external_userid for row in found]
    ).order_by("id"):
        guides.setdefault(follow.external_userid, []).append(names.get(follow.userid, follow.userid))
    context |= {
        "rows": [(row, guides.get(row.external_userid, [])) for row in found[:ROWS]],
        "more": found[ROWS - 1].pk if len(found) > ROWS else None,
    }
    return render(request, "sandbox/customers.html", context)


@page
def customer(request: HttpRequest, corp: Corp, external_userid: str) -> HttpResponse:
    """A customer's phone: his chats, and the one that is open."""
    context = frame(request, corp, "customers")
    person = customer_of(corp.corpid, external_userid)
    names = names_of(corp.corpid)
    follows = list(
        Follow.objects.filter(corpid=corp.corpid, external_userid=external_userid).order_by("-createtime")
    )
    asked = list(FriendRequest.objects.filter(corpid=corp.corpid, external_userid=external_userid))
    opened = request.GET.get("with") or (follows[0].userid if follows else "")
    follow = next((row for row in follows if row.userid.lower() == opened.lower()), None)
    context |= {
        "person": person,
        "chats": [(row, names.get(row.userid, row.userid)) for row in follows],
        "asked": [(row, names.get(row.userid, row.userid)) for row in asked],
        "follow": follow,
        "guide": names.get(opened, opened),
        "moments": _moments_seen(corp.corpid, follows),
        "names": names,
        "chats_in": GroupChat.objects.filter(
            corpid=corp.corpid,
            dismissed_at=None,
            chat_id__in=GroupMember.objects.filter(corpid=corp.corpid, userid=external_userid).values(
                "chat_id"
            ),
        ),
        "messages": _chat(corp.corpid, opened, external_userid),
        "media": _files(corp.corpid),
        "side": "customer",
        "orders": Purchase.objects.filter(corpid=corp.corpid, external_userid=external_userid).order_by(
            "-id"
        )[:5],
        "opened": bool(request.GET.get("with")),
    }
    template = "sandbox/_chat.html" if request.GET.get("part") else "sandbox/customer.html"
    return render(request, template, context)


def _chat(corpid: str, userid: str, external_userid: str) -> list[Message]:
    """The newest messages of a chat, oldest first; each with .gap: whether a time is shown above it."""
    rows = Message.objects.filter(corpid=corpid, userid=userid, external_userid=external_userid).exclude(
        kind="app"
    )
    found = list(rows.order_by("-id")[:CHAT_ROWS])[::-1]
    last = 0.0
    for row in found:
        row.gap = row.at - last > 300  # type: ignore[attr-defined]
        last = row.at
    return found


def _files(corpid: str) -> dict[str, Media]:
    """The newest files by id, for the names of attachments."""
    return {row.media_id: row for row in Media.objects.filter(corpid=corpid).order_by("-created_at")[:500]}


@page
def members(request: HttpRequest, corp: Corp) -> HttpResponse:
    """Everybody who works there, with what waits for him."""
    context = frame(request, corp, "members")
    rows = Member.objects.filter(corpid=corp.corpid).order_by("id")
    if context["q"]:
        rows = rows.filter(Q(name__contains=context["q"]) | Q(userid__contains=context["q"]))
    if request.GET.get("after"):
        rows = rows.filter(id__gt=int(request.GET["after"]))
    found = list(rows[: ROWS + 1])
    userids = [row.userid for row in found]

    def counted(rows: Any) -> dict[str, int]:
        return {row["userid"]: row["n"] for row in rows.values("userid").annotate(n=Count("id"))}

    waiting = counted(MassTask.objects.filter(corpid=corp.corpid, status=0, userid__in=userids))
    own = counted(Follow.objects.filter(corpid=corp.corpid, userid__in=userids))
    context |= {
        "rows": [(row, own.get(row.userid, 0), waiting.get(row.userid, 0)) for row in found[:ROWS]],
        "more": found[ROWS - 1].pk if len(found) > ROWS else None,
    }
    return render(request, "sandbox/members.html", context)


@page
def member(request: HttpRequest, corp: Corp, userid: str) -> HttpResponse:
    """A guide's phone: mass sends to confirm, requests, messages of the app, customers."""
    context = frame(request, corp, "members")
    row = Member.objects.filter(corpid=corp.corpid, userid=userid).first()
    if row is None:
        raise Refused(f"no member {userid!r}", status=404)
    opened = request.GET.get("with", "")
    context |= {"member": row, "media": _files(corp.corpid), "side": "member", "opened": opened}
    if opened:
        context |= _as_member(corp.corpid, row, opened)
        template = "sandbox/_chat.html" if request.GET.get("part") else "sandbox/member_chat.html"
        return render(request, template, context)
    context |= _duties(corp.corpid, row)
    context["habits"] = rows_of(GUIDES, behaviour.guide(corp.corpid, row.userid))
    follows = Follow.objects.filter(corpid=corp.corpid, userid=row.userid).order_by("-id")
    if context["q"]:
        named = Customer.objects.filter(corpid=corp.corpid, name__contains=context["q"])
        follows = follows.filter(external_userid__in=named.values("external_userid"))
    found = list(follows[:ROWS])
    people = {
        one.external_userid: one
        for one in Customer.objects.filter(
            corpid=corp.corpid, external_userid__in=[f.external_userid for f in found]
        )
    }
    context["follows"] = [(follow, people[follow.external_userid]) for follow in found]
    template = "sandbox/_duties.html" if request.GET.get("part") else "sandbox/member.html"
    return render(request, template, context)


def _as_member(corpid: str, row: Member, external_userid: str) -> dict[str, Any]:
    follow = Follow.objects.filter(corpid=corpid, userid=row.userid, external_userid=external_userid).first()
    on = set(FollowTag.objects.filter(follow=follow.pk).values_list("tag_id", flat=True)) if follow else set()
    tags = Tag.objects.filter(corpid=corpid, deleted=False).order_by("group_id", "-order")
    return {
        "person": customer_of(corpid, external_userid),
        "follow": follow,
        "sidebars": App.objects.filter(corpid=corpid).exclude(sidebar_url=""),
        "guide": row.name,
        "messages": _chat(corpid, row.userid, external_userid),
        "tags": [(tag, tag.tag_id in on) for tag in tags[:200]],
    }


def _duties(corpid: str, row: Member) -> dict[str, Any]:
    tasks = list(MassTask.objects.filter(corpid=corpid, userid=row.userid).order_by("status", "-id")[:20])
    sends = {mass.msgid: mass for mass in Mass.objects.filter(msgid__in=[task.msgid for task in tasks])}
    receivers: dict[int, dict[int, int]] = {}
    for one in (
        MassReceiver.objects.filter(task__in=[task.pk for task in tasks])
        .values("task", "status")
        .annotate(n=Count("id"))
    ):
        receivers.setdefault(one["task"], {})[one["status"]] = one["n"]
    asked = FriendRequest.objects.filter(corpid=corpid, userid=row.userid)
    half = Follow.objects.filter(corpid=corpid, userid=row.userid, half=True)
    waiting = [one.external_userid for one in asked] + [one.external_userid for one in half[:ROWS]]
    return {
        "tasks": [
            {
                "task": task,
                "mass": sends[task.msgid],
                "n": sum(receivers.get(task.pk, {}).values()),
                "by": receivers.get(task.pk, {}),
            }
            for task in tasks
        ],
        "waiting": Customer.objects.filter(corpid=corpid, external_userid__in=waiting),
        "moments": _moments_to_publish(corpid, row.userid),
        "notices": Message.objects.filter(corpid=corpid, userid=row.userid, kind="app").order_by("-id")[:30],
    }


def _moments_to_publish(corpid: str, userid: str) -> list[tuple[MomentTask, Moment]]:
    tasks = list(MomentTask.objects.filter(corpid=corpid, userid=userid).order_by("status", "-id")[:10])
    moments = {
        one.moment_id: one for one in Moment.objects.filter(moment_id__in=[t.moment_id for t in tasks])
    }
    return [(task, moments[task.moment_id]) for task in tasks]


def _moments_seen(corpid: str, follows: list[Follow]) -> list[dict[str, Any]]:
    """Published moments that a customer sees, newest first, with his likes."""
    found = []
    for follow in follows:
        if follow.lost:
            continue
        on = set(FollowTag.objects.filter(follow=follow.pk).values_list("tag_id", flat=True))
        done = MomentTask.objects.filter(
            corpid=corpid, userid=follow.userid, status=1, published_at__gte=follow.createtime
        )
        for task in done.order_by("-id")[:10]:
            moment = Moment.objects.get(moment_id=task.moment_id)
            if moment.tags and not on.intersection(moment.tags):
                continue
            reactions = list(Reaction.objects.filter(moment_id=task.moment_id, userid=task.userid))
            likes = [one.by for one in reactions if one.kind == "like"]
            comments = [one for one in reactions if one.kind == "comment"]
            liked = follow.external_userid in likes
            found.append(
                {"task": task, "moment": moment, "likes": len(likes), "liked": liked, "comments": comments}
            )
    return sorted(found, key=lambda one: -(one["task"].published_at or 0))


@page
def traffic(request: HttpRequest, corp: Corp) -> HttpResponse:
    """Callbacks that were sent and API calls that came, newest first."""
    context = frame(request, corp, "traffic")
    wanted, bad = context["q"], bool(request.GET.get("bad"))
    own = [
        row
        for row in list(dispatch.calls)[-5000:]
        if row["corpid"] == corp.corpid and wanted in row["api"] and not (bad and row["errcode"] == 0)
    ]
    told = Delivery.objects.filter(corpid=corp.corpid).order_by("-id")
    if wanted:
        told = told.filter(
            Q(event__contains=wanted) | Q(change_type__contains=wanted) | Q(xml__contains=wanted)
        )
    if bad:
        told = told.exclude(state="done")
    context |= {
        "deliveries": told[:ROWS],
        "calls": own[: -2 * ROWS - 1 : -1],
        "bad": bad,
        "idle": delivery.is_idle(corp.corpid),
    }
    template = "sandbox/_traffic.html" if request.GET.get("part") else "sandbox/traffic.html"
    return render(request, template, context)
