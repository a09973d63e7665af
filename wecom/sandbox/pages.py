"""Pages for people: scan a code, be the customer, be the guide, watch callbacks, make trouble.

They only read; every act goes through page_acts.py to the functions of the control API.
"""

import functools
from collections.abc import Callable
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render

from . import clock, delivery, dispatch, faults, ranges, store, ticker
from .errors import Refused
from .generate import a_name, draw
from .models import (
    App,
    ContactWay,
    Corp,
    Customer,
    Delivery,
    Follow,
    FollowTag,
    FriendRequest,
    Mass,
    MassReceiver,
    MassTask,
    Media,
    Member,
    Message,
    Tag,
)
from .people import customer_of, member_of, people_behind

PAGE = 24
ROWS = 50
CHAT_ROWS = 200
Page = Callable[..., HttpResponse]


def language(request: HttpRequest) -> dict[str, Any]:
    """Chinese unless the page's cookie says English; with the address to come back to after a change."""
    lang = "en" if request.COOKIES.get("sandbox_lang") == "en" else "zh"
    return {"lang": lang, "address": request.get_full_path()}


def set_language(request: HttpRequest) -> HttpResponse:
    """Switch the language and go back."""
    back = request.GET.get("next", "/")
    response = HttpResponseRedirect(back if back.startswith("/") and not back.startswith("//") else "/")
    response.set_cookie("sandbox_lang", "en" if request.GET.get("to") == "en" else "zh", max_age=365 * 86_400)
    return response


def page(view: Page) -> Page:
    """A page of one corp: what the frame needs, and a page of its own for what is not there."""

    @functools.wraps(view)
    def shown(request: HttpRequest, corpid: str, **parts: str) -> HttpResponse:
        try:
            corp = store.corp(corpid)
            return view(request, corp, **parts)
        except Refused as reason:
            context = {"problem": str(reason), **language(request)}
            return render(request, "sandbox/problem.html", context, status=reason.status)

    return shown


def _frame(request: HttpRequest, corp: Corp, tab: str) -> dict[str, Any]:
    return {
        "corp": corp,
        "corps": Corp.objects.order_by("name"),
        "tab": tab,
        "problem": request.GET.get("problem", ""),
        "done": request.GET.get("done", ""),
        "q": request.GET.get("q", "").strip(),
        "here": request.path,
        "now": clock.now(),
        **language(request),
    }


def home(request: HttpRequest) -> HttpResponse:
    """The corps; straight into the only one."""
    corps = list(Corp.objects.order_by("name"))
    if len(corps) == 1:
        return redirect("codes", corpid=corps[0].corpid)
    counts = {
        row["corpid"]: row["n"]
        for row in Customer.objects.values("corpid").annotate(n=Count("id")).order_by("corpid")
    }
    context = {
        "corps": [(corp, counts.get(corp.corpid, 0)) for corp in corps],
        "base_url": f"{request.scheme}://{request.get_host()}",
        **language(request),
    }
    return render(request, "sandbox/home.html", context)


@page
def codes(request: HttpRequest, corp: Corp) -> HttpResponse:
    """The street: every code that can be scanned."""
    context = _frame(request, corp, "codes")
    ways = ContactWay.objects.filter(corpid=corp.corpid).order_by("-id")
    if context["q"]:
        ways = ways.filter(Q(remark__contains=context["q"]) | Q(state__contains=context["q"]))
    if request.GET.get("before"):
        ways = ways.filter(id__lt=int(request.GET["before"]))
    found = list(ways[: PAGE + 1])
    names = _names(corp.corpid)
    adds = {
        row["source_id"]: row["n"]
        for row in Follow.objects.filter(corpid=corp.corpid, source_id__in=[way.config_id for way in found])
        .values("source_id")
        .annotate(n=Count("id"))
    }
    cards = []
    for way in found[:PAGE]:
        behind = people_behind(way)
        cards.append(
            {
                "way": way,
                "people": [names.get(userid, userid) for userid in behind[:3]],
                "n_people": len(behind),
                "n_adds": adds.get(way.config_id, 0),
            }
        )
    context |= {
        "cards": cards,
        "more": found[PAGE - 1].pk if len(found) > PAGE else None,
        "members": _able(corp.corpid)[:PAGE],
        "stream": ticker.streams().get(corp.corpid),
    }
    return render(request, "sandbox/codes.html", context)


def _names(corpid: str) -> dict[str, str]:
    return dict(Member.objects.filter(corpid=corpid).values_list("userid", "name"))


def _able(corpid: str) -> Any:
    return Member.objects.filter(corpid=corpid, status=ranges.ACTIVE, has_contact_right=True).order_by("id")


def scanned(request: HttpRequest, config_id: str) -> HttpResponse:
    """What a phone shows after scanning a contact way."""
    way = ContactWay.objects.filter(config_id=config_id).first()
    if way is None:
        context = {"problem": "这个码已失效 · This code leads nowhere", **language(request)}
        return render(request, "sandbox/problem.html", context, status=404)
    names = _names(way.corpid)
    behind = people_behind(way)
    corp = store.corp(way.corpid)
    context = _frame(request, corp, "codes") | _persons(request, corp)
    context |= {"way": way, "people": [(userid, names.get(userid, userid)) for userid in behind[:20]]}
    return render(request, "sandbox/scanned.html", context)


@page
def scanned_member(request: HttpRequest, corp: Corp, userid: str) -> HttpResponse:
    """The same for a member's own code."""
    member = member_of(corp.corpid, userid)
    context = _frame(request, corp, "codes") | _persons(request, corp)
    return render(
        request,
        "sandbox/scanned.html",
        context | {"member": member, "people": [(member.userid, member.name)]},
    )


def _persons(request: HttpRequest, corp: Corp) -> dict[str, Any]:
    """Who could be scanning: a new name, or somebody of before."""
    rows = Customer.objects.filter(corpid=corp.corpid).order_by("-id")
    wanted = request.GET.get("q", "").strip()
    if wanted:
        rows = rows.filter(name__contains=wanted)
    return {"new_name": a_name(draw), "persons": rows[:12]}


@page
def customers(request: HttpRequest, corp: Corp) -> HttpResponse:
    """Everybody who can be played, newest first."""
    context = _frame(request, corp, "customers")
    rows = Customer.objects.filter(corpid=corp.corpid).order_by("-id")
    if context["q"]:
        rows = rows.filter(Q(name__contains=context["q"]) | Q(external_userid=context["q"]))
    if request.GET.get("before"):
        rows = rows.filter(id__lt=int(request.GET["before"]))
    found = list(rows[: ROWS + 1])
    names = _names(corp.corpid)
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
    context = _frame(request, corp, "customers")
    person = customer_of(corp.corpid, external_userid)
    names = _names(corp.corpid)
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
        "messages": _chat(corp.corpid, opened, external_userid),
        "media": _files(corp.corpid),
        "side": "customer",
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
    context = _frame(request, corp, "members")
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
    context = _frame(request, corp, "members")
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
        "notices": Message.objects.filter(corpid=corpid, userid=row.userid, kind="app").order_by("-id")[:30],
    }


@page
def trouble(request: HttpRequest, corp: Corp) -> HttpResponse:
    """Faults, disturbed callbacks, limits, the clock, the stream of arrivals."""
    context = _frame(request, corp, "trouble")
    context |= {
        "settings": store.settings(),
        "faults": faults.active(),
        "kinds": faults.KINDS,
        "apis": sorted(dispatch.TABLE),
        "stream": ticker.streams().get(corp.corpid),
        "speed": clock.anchor()["speed"],
        "steps": ((60, "1 分钟", "1 min"), (3600, "1 小时", "1 h"), (86_400, "1 天", "1 day")),
        "apps": App.objects.filter(corpid=corp.corpid).order_by("id"),
    }
    return render(request, "sandbox/trouble.html", context)


@page
def traffic(request: HttpRequest, corp: Corp) -> HttpResponse:
    """Callbacks that were sent and API calls that came, newest first."""
    context = _frame(request, corp, "traffic")
    own = [row for row in list(dispatch.calls)[-5000:] if row["corpid"] == corp.corpid]
    context |= {
        "deliveries": Delivery.objects.filter(corpid=corp.corpid).order_by("-id")[:ROWS],
        "calls": own[: -2 * ROWS - 1 : -1],
        "idle": delivery.is_idle(corp.corpid),
    }
    template = "sandbox/_traffic.html" if request.GET.get("part") else "sandbox/traffic.html"
    return render(request, template, context)
