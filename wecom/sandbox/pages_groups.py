"""Pages of customer groups: who is in, what was said, come in and go out."""

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from . import group_acts
from .generate import a_name, draw
from .models import Corp, Customer, GroupChat, GroupMember, GroupTemplate, Message
from .page_frame import able_members, frame, names_of, page

ROWS = 50
CHAT_ROWS = 200


@page
def groups(request: HttpRequest, corp: Corp) -> HttpResponse:
    """Living groups, newest first."""
    context = frame(request, corp, "groups")
    rows = GroupChat.objects.filter(corpid=corp.corpid, dismissed_at=None).order_by("-id")
    if context["q"]:
        rows = rows.filter(name__contains=context["q"])
    if request.GET.get("before"):
        rows = rows.filter(id__lt=int(request.GET["before"]))
    found = list(rows[: ROWS + 1])
    names = names_of(corp.corpid)
    counts = {
        row["chat_id"]: row["n"]
        for row in GroupMember.objects.filter(chat_id__in=[chat.chat_id for chat in found])
        .values("chat_id")
        .annotate(n=Count("id"))
    }
    context |= {
        "rows": [
            (chat, names.get(chat.owner, chat.owner), counts.get(chat.chat_id, 0)) for chat in found[:ROWS]
        ],
        "more": found[ROWS - 1].pk if len(found) > ROWS else None,
        "able": able_members(corp.corpid)[:200],
    }
    return render(request, "sandbox/groups.html", context)


@page
def group(request: HttpRequest, corp: Corp, chat_id: str) -> HttpResponse:
    """A group as those in it see it."""
    context = frame(request, corp, "groups")
    chat = group_acts.chat_of(corp.corpid, chat_id)
    names = names_of(corp.corpid)
    rows = list(GroupMember.objects.filter(chat_id=chat_id).order_by("type", "id"))
    known = Customer.objects.filter(corpid=corp.corpid, external_userid__in=[row.userid for row in rows])
    names |= {one.external_userid: one.name for one in known}
    said = (
        Message.objects.filter(corpid=corp.corpid, external_userid=chat_id)
        .exclude(kind="app")
        .order_by("-id")
    )
    context |= {
        "chat": chat,
        "owner": names.get(chat.owner, chat.owner),
        "people": [(row, names.get(row.userid, row.userid)) for row in rows],
        "messages": [(row, names.get(row.userid, row.userid)) for row in list(said[:CHAT_ROWS])[::-1]],
        "templates": GroupTemplate.objects.filter(corpid=corp.corpid).order_by("-create_time")[:50],
        "staff": able_members(corp.corpid)[:200],
        "new_name": a_name(draw),
    }
    template = "sandbox/_group_chat.html" if request.GET.get("part") else "sandbox/group.html"
    return render(request, template, context)
