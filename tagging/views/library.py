"""The tag library: groups and tags, ours and WeCom's."""

from typing import Any

from django.db import connection
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from org.access import brand_transaction, staff_can, staff_can_outside
from org.models import Corp
from scrm import clock
from scrm.errors import FilterError, InvalidError
from scrm.ids import need_ids, read_id
from scrm.responses import go, toast
from tagging.models import Color, Dim, Tag, TagGroup
from tagging.services.bits import bits
from tagging.services.tags import corp_library, library
from tagging.services.tags.deleting import KEPT
from tagging.views.modals import get_group, get_item, get_tag, modal
from tagging.views.tabs import tabs
from tenants.scoping import tenant_scope
from wecom.client import client_for

SHOWN_AT_ONCE = 600  # tags; of a larger library each group comes when it is scrolled into view
FOUND = 200


@require_GET
@staff_can("tags.edit")
def tag_list(request: Any) -> HttpResponse:
    """All groups; how many carry each tag follows group by group, when it comes into view. `q` searches, `show` is
    archived or deleted."""
    q, show = request.GET.get("q", "").replace("\x00", "").strip()[:30], request.GET.get("show", "")
    corps = list(Corp.objects.order_by("pk"))
    context: dict[str, Any] = {"tabs": tabs("library"), "corps": corps, "q": q, "show": show}
    context["shows"] = [("archived", _("Archived")), ("deleted", _("Deleted in the last 30 days"))]
    if show not in ("", "archived", "deleted"):
        raise FilterError()
    if q or show:
        found = _found(q, show)
        context |= {"found": found[:FOUND], "more": len(found) > FOUND}
        context["counts"] = carriers(request.brand.pk, [tag.pk for tag in context["found"]])
    else:
        context |= _sections(corps)
    template = (
        "tagging/_library.html" if request.headers.get("HX-Target") == "library" else "tagging/list.html"
    )
    return render(request, template, context)


def _found(q: str, show: str) -> list[Tag]:
    rows = Tag.objects.select_related("group__corp").order_by(
        "group__corp", "-group__order", "group", "-order", "pk"
    )
    if show == "deleted":
        rows = rows.filter(deleted_at__gt=clock.now() - KEPT, merged_into_id=None).order_by(
            "-deleted_at", "pk"
        )
    elif show == "archived":
        rows = rows.filter(deleted_at=None, archived_at__isnull=False)
    else:
        rows = rows.filter(deleted_at=None)
    if q:
        rows = rows.filter(Q(name__icontains=q) | Q(group__name__icontains=q))
    return list(rows[: FOUND + 1])


def _sections(corps: list[Corp]) -> dict[str, Any]:
    """Groups by company, our own last. WeCom has no empty groups: one without tags is gone there."""
    alive = Q(tags__deleted_at=None, tags__archived_at=None)
    groups = list(
        TagGroup.objects.filter(deleted_at=None)
        .select_related("corp")
        .annotate(n_tags=Count("tags", filter=alive))
        .order_by("corp", "-order", "pk")
    )
    lazy = sum(group.n_tags for group in groups) > SHOWN_AT_ONCE
    tags: dict[int, list[dict[str, Any]]] = {}
    if not lazy:
        for tag in Tag.objects.filter(deleted_at=None, archived_at=None).order_by("-order", "pk"):
            tags.setdefault(tag.group_id, []).append({"tag": tag, "count": None})
    rows = [{"group": group, "tags": tags.get(group.pk, []), "lazy": lazy} for group in groups]
    sections: list[dict[str, Any]] = [
        {
            "corp": corp,
            "groups": [r for r in rows if r["group"].corp_id == corp.pk and r["group"].n_tags],  # type: ignore[attr-defined]
        }
        for corp in corps
    ]
    own = [r for r in rows if not r["group"].corp_id]  # type: ignore[attr-defined]
    sections.append({"corp": None, "groups": own})
    return {"sections": sections}


@require_GET
@staff_can("tags.edit")
def group_body(request: Any, group_id: int) -> HttpResponse:
    """The tags of a group with their carriers: a fragment."""
    return render(request, "tagging/_group.html", with_counts(request, get_group(group_id)))


def with_counts(request: Any, group: TagGroup) -> dict[str, Any]:
    tags = list(Tag.objects.filter(group=group, deleted_at=None, archived_at=None).order_by("-order", "pk"))
    counts = carriers(request.brand.pk, [tag.pk for tag in tags])
    return {
        "group": group,
        "tags": [{"tag": tag, "count": counts.get(tag.pk, 0)} for tag in tags],
        "counted": True,
    }


def carriers(brand_id: int, tag_ids: list[int]) -> dict[int, int]:
    """Tag id → how many contacts carry it, from the bitmaps."""
    if not tag_ids:
        return {}
    bits.flush()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT val, sum(bit_count(bits))::bigint FROM tagging_dimbits"
            " WHERE brand_id = %s AND dim = %s AND val = ANY(%s) GROUP BY val",
            [brand_id, int(Dim.TAG), tag_ids],
        )
        return dict(cursor.fetchall())


# ---- changes; those of corp tags ask WeCom, so these views open their short transactions themselves


@require_http_methods(["GET", "POST"])
@staff_can_outside("tags.edit")
def group_new(request: Any) -> HttpResponse:
    with brand_transaction(request):
        corps = list(Corp.objects.order_by("pk"))
    context = {
        "title": _("New tag group"),
        "url": "/tags/groups/new/",
        "corps": corps,
        "ask": ("name", "color", "names"),
        "colors": Color.choices,
        "color": Color.BLUE,
        "where": request.POST.get("corp", ""),
    }

    def act() -> HttpResponse:
        where = request.POST.get("corp", "")
        corp = next((c for c in corps if str(c.pk) == where), None)
        if where and corp is None:
            raise InvalidError(_("Choose one of the list"), fields={"corp": _("Choose one of the list")})
        library.create_group(
            request.brand,
            by=request.actor,
            name=request.POST.get("name", ""),
            names=_lines(request),
            corp=corp,
            color=request.POST.get("color") or Color.BLUE,
        )
        return go(request, "/tags/", _("Group created"))

    return modal(request, "tagging/form.html", context, act)


@require_http_methods(["GET", "POST"])
@staff_can_outside("tags.edit")
def tags_new(request: Any, group_id: int) -> HttpResponse:
    with brand_transaction(request):
        group = get_group(group_id)
    context = {
        "title": _("New tags in %(group)s") % {"group": group.name},
        "url": f"/tags/groups/{group.pk}/new/",
        "ask": ("names",),
        "is_corp": bool(group.corp_id),
    }

    def act() -> HttpResponse:
        library.create_tags(request.brand, by=request.actor, group=group, names=_lines(request))
        return go(request, "/tags/", _("Tags created"))

    return modal(request, "tagging/form.html", context, act)


def _lines(request: Any) -> list[str]:
    """One tag per line, or separated by commas of either kind."""
    return (
        request.POST.get("names", "").replace("，", "\n").replace("、", "\n").replace(",", "\n").splitlines()
    )


@require_http_methods(["GET", "POST"])
@staff_can_outside("tags.edit")
def edit(request: Any, kind: str, item_id: int) -> HttpResponse:
    """Name and colour."""
    item = get_item(request, kind, item_id)
    colors = list(Color.choices)
    context = {
        "title": _("Edit the tag") if kind == "tag" else _("Edit the group"),
        "url": f"/tags/{kind}/{item.pk}/edit/",
        "ask": ("name", "color"),
        "name": item.name,
        "color": item.color,
        "colors": [("", _("As its group")), *colors] if kind == "tag" else colors,
        "is_corp": bool(item.wecom_id),
    }

    def act() -> HttpResponse:
        color = library.clean_color(request.POST.get("color", item.color), may_be_empty=kind == "tag")
        library.rename(request.brand, by=request.actor, item=item, name=request.POST.get("name", item.name))
        library.recolor(request.brand, by=request.actor, item=item, color=color)
        return go(request, "/tags/", _("Saved"))

    return modal(request, "tagging/form.html", context, act)


@require_POST
@staff_can_outside("tags.edit")
def order(request: Any) -> HttpResponse:
    """A new order: `ids` from the top, of tags (with `group`) or of groups. Tags answer with their group."""
    ids = need_ids(request.POST, "ids")[:1000]
    group_id = request.POST.get("group", "")
    group = None
    if group_id:
        with brand_transaction(request):
            group = get_group(read_id(group_id) or 0)
    with tenant_scope(request.brand):
        library.reorder(request.brand, by=request.actor, ids=ids, group=group)
    if group is None:
        return toast(HttpResponse(status=204), _("Order saved"))
    with brand_transaction(request):
        context = with_counts(request, group)
    return toast(render(request, "tagging/_group.html", context), _("Order saved"))


@require_POST
@staff_can("tags.edit")
def archive(request: Any, item_id: int, way: str) -> HttpResponse:
    """A tag out of sight, or back."""
    tag = get_tag(item_id)
    library.archive(request.brand, by=request.actor, tag=tag, value=way == "archive")
    if way == "archive":
        text = _("“%(name)s” is archived: who carries it keeps it, nobody new gets it") % {"name": tag.name}
        return go(request, "/tags/", text, undo=f"/tags/tag/{tag.pk}/unarchive/")
    return go(request, "/tags/", _("“%(name)s” is offered again") % {"name": tag.name})


@require_POST
@staff_can_outside("tags.edit")
def sync(request: Any) -> HttpResponse:
    """Read the libraries of all corps from WeCom now."""
    with brand_transaction(request):
        corps = list(Corp.objects.order_by("pk"))
    n = 0
    with tenant_scope(request.brand):
        for corp in corps:
            n += corp_library.sync_corp_tags(request.brand, corp, client_for(corp))["tags"]
    if not corps:
        return toast(HttpResponse(status=204), _("No corp is connected yet"), "warning")
    return go(request, "/tags/", _("%(n)s corp tags read") % {"n": n})
