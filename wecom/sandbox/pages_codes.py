"""Pages of codes: what can be scanned, and what a phone shows after scanning."""

from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from . import arrivals, scenario_file, store
from .codes import people_behind
from .generate import a_name, draw
from .models import ContactWay, Corp, Customer, Follow, GroupChat, JoinWay, Link
from .page_frame import able_members, frame, language, names_of, page
from .people import member_of

PAGE = 24


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
        "ready": [] if corps else scenario_file.ready(),
        "base_url": f"{request.scheme}://{request.get_host()}",
        **language(request),
    }
    return render(request, "sandbox/home.html", context)


@page
def codes(request: HttpRequest, corp: Corp) -> HttpResponse:
    """The street: every code that can be scanned."""
    context = frame(request, corp, "codes")
    ways = ContactWay.objects.filter(corpid=corp.corpid).order_by("-id")
    if context["q"]:
        ways = ways.filter(Q(remark__contains=context["q"]) | Q(state__contains=context["q"]))
    if request.GET.get("before"):
        ways = ways.filter(id__lt=int(request.GET["before"]))
    found = list(ways[: PAGE + 1])
    names = names_of(corp.corpid)
    adds = {
        row["source_id"]: row["n"]
        for row in Follow.objects.filter(corpid=corp.corpid, source_id__in=[way.config_id for way in found])
        .values("source_id")
        .annotate(n=Count("id"))
    }
    cards = []
    for way in found[:PAGE]:
        behind = people_behind(way.corpid, way.users, way.parties)
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
        "members": able_members(corp.corpid)[:PAGE],
        "join_ways": JoinWay.objects.filter(corpid=corp.corpid).order_by("-id")[:PAGE],
        "links": Link.objects.filter(corpid=corp.corpid).order_by("-id")[:PAGE],
        "stream": arrivals.streams().get(corp.corpid),
    }
    return render(request, "sandbox/codes.html", context)


def scanned(request: HttpRequest, config_id: str) -> HttpResponse:
    """What a phone shows after scanning a contact way or a join way."""
    way = ContactWay.objects.filter(config_id=config_id).first()
    join_way = None if way else JoinWay.objects.filter(config_id=config_id).first()
    if way is not None:
        corp = store.corp(way.corpid)
        behind, room = people_behind(way.corpid, way.users, way.parties), {}
    elif join_way is not None:
        corp, behind = store.corp(join_way.corpid), []
        room = {"chats": GroupChat.objects.filter(chat_id__in=join_way.chat_ids, dismissed_at=None)}
    else:
        return _nowhere(request)
    return _scanned(request, corp, behind, {"way": way, "join_way": join_way, **room})


def opened_link(request: HttpRequest, link_id: str) -> HttpResponse:
    """What a phone shows after opening an acquisition link (/ca/…?customer_channel=…)."""
    link = Link.objects.filter(link_id=link_id).first()
    if link is None:
        return _nowhere(request)
    behind = people_behind(link.corpid, link.users, link.departments)
    more = {"link": link, "channel": request.GET.get("customer_channel", "")}
    return _scanned(request, store.corp(link.corpid), behind, more)


def _nowhere(request: HttpRequest) -> HttpResponse:
    context = {"problem": "这个码已失效 · This code leads nowhere", **language(request)}
    return render(request, "sandbox/problem.html", context, status=404)


def _scanned(request: HttpRequest, corp: Corp, behind: list[str], more: dict[str, Any]) -> HttpResponse:
    names = names_of(corp.corpid)
    context = frame(request, corp, "codes") | _persons(request, corp) | more
    context["people"] = [(userid, names.get(userid, userid)) for userid in behind[:20]]
    return render(request, "sandbox/scanned.html", context)


@page
def scanned_member(request: HttpRequest, corp: Corp, userid: str) -> HttpResponse:
    """The same for a member's own code."""
    member = member_of(corp.corpid, userid)
    return _scanned(request, corp, [member.userid], {"member": member})


def _persons(request: HttpRequest, corp: Corp) -> dict[str, Any]:
    """Who could be scanning: a new name, or somebody of before."""
    rows = Customer.objects.filter(corpid=corp.corpid).order_by("-id")
    wanted = request.GET.get("q", "").strip()
    if wanted:
        rows = rows.filter(name__contains=wanted)
    return {"new_name": a_name(draw), "persons": rows[:12]}
