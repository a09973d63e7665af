"""The tag library: groups and tags, ours and WeCom's."""

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from org.access import brand_transaction, staff_can, staff_can_outside
from org.models import Corp
from scrm.errors import InvalidError, NotFoundError, SCRMError
from scrm.responses import go, toast
from tagging.models import Tag, TagGroup
from tagging.services import library
from tenants.scoping import tenant_scope
from wecom.client import client_for

COUNTED = 10_000  # carriers are counted up to here


@require_GET
@staff_can("tags.edit")
def tag_list(request: Any) -> HttpResponse:
    """All groups; how many carry each tag follows group by group, when it comes into view."""
    groups: dict[int, dict[str, Any]] = {
        group.pk: {"group": group, "tags": []}
        for group in TagGroup.objects.select_related("corp").order_by("corp", "-order", "pk")
    }
    for tag in Tag.objects.filter(deleted_at=None).order_by("-order", "pk"):
        groups[tag.group_id]["tags"].append({"tag": tag, "count": None})
    corps = list(Corp.objects.order_by("pk"))
    own = [g for g in groups.values() if not g["group"].corp_id]
    own.sort(key=lambda g: (-g["group"].order, g["group"].pk))
    # WeCom has no empty groups: one without tags is gone there
    sections = [
        {"corp": corp, "groups": [g for g in groups.values() if g["group"].corp_id == corp.pk and g["tags"]]}
        for corp in corps
    ]
    sections.append({"corp": None, "groups": own})
    return render(request, "tagging/list.html", {"sections": sections, "corps": corps})


@require_GET
@staff_can("tags.edit")
def group_body(request: Any, group_id: int) -> HttpResponse:
    """The tags of a group with their carriers: a fragment."""
    group = _group(group_id)
    return render(request, "tagging/_group.html", _with_counts(request, group))


def _with_counts(request: Any, group: TagGroup) -> dict[str, Any]:
    tags = list(Tag.objects.filter(group=group, deleted_at=None).order_by("-order", "pk"))
    counts = carriers(request.brand.pk, [tag.pk for tag in tags])
    return {
        "group": group,
        "tags": [{"tag": tag, "count": counts.get(tag.pk, 0)} for tag in tags],
        "counted": True,
    }


def carriers(brand_id: int, tag_ids: list[int]) -> dict[int, int]:
    """Tag id → how many contacts carry it, counted up to COUNTED + 1 in the index alone."""
    if not tag_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.id, c.n FROM unnest(%s::bigint[]) AS t(id) CROSS JOIN LATERAL (SELECT count(*) AS n FROM"
            " (SELECT 1 FROM tagging_contacttag"
            "  WHERE brand_id = %s AND tag_id = t.id LIMIT %s) x) c",
            [tag_ids, brand_id, COUNTED + 1],
        )
        return dict(cursor.fetchall())


# ---- changes; those of corp tags ask WeCom, so these views open their short transactions themselves


def _group(group_id: int) -> TagGroup:
    found = TagGroup.objects.select_related("corp").filter(pk=group_id).first()
    if found is None:
        raise NotFoundError()
    return found


def _tag(tag_id: int) -> Tag:
    found = Tag.objects.select_related("group__corp").filter(pk=tag_id, deleted_at=None).first()
    if found is None:
        raise NotFoundError()
    return found


def _item(request: Any, kind: str, item_id: int) -> Tag | TagGroup:
    with brand_transaction(request):
        return _tag(item_id) if kind == "tag" else _group(item_id)


def _form(request: Any, context: dict[str, Any], act: Callable[[], Any], done: str) -> HttpResponse:
    """A modal: GET shows it, POST acts; a refusal is shown in it with what was typed."""
    if request.method == "GET":
        return render(request, "tagging/form.html", context)
    try:
        with tenant_scope(request.brand):
            act()
    except NotFoundError:
        raise
    except SCRMError as error:
        typed = {"name": request.POST.get("name", ""), "names": request.POST.get("names", "")}
        return render(request, "tagging/form.html", context | typed | {"error": error.message}, status=422)
    return go(request, "/tags/", done)


@require_http_methods(["GET", "POST"])
@staff_can_outside("tags.edit")
def group_new(request: Any) -> HttpResponse:
    with brand_transaction(request):
        corps = list(Corp.objects.order_by("pk"))
    context = {
        "title": _("New tag group"),
        "url": "/tags/groups/new/",
        "corps": corps,
        "ask_name": True,
        "ask_names": True,
        "where": request.POST.get("corp", ""),
    }

    def act() -> None:
        where = request.POST.get("corp", "")
        corp = next((c for c in corps if str(c.pk) == where), None)
        if where and corp is None:
            raise InvalidError(_("Choose one of the list"))
        library.create_group(
            request.brand,
            by=request.actor,
            name=request.POST.get("name", ""),
            names=_lines(request),
            corp=corp,
        )

    return _form(request, context, act, _("Group created"))


@require_http_methods(["GET", "POST"])
@staff_can_outside("tags.edit")
def tags_new(request: Any, group_id: int) -> HttpResponse:
    with brand_transaction(request):
        group = _group(group_id)
    context = {
        "title": _("New tags in %(group)s") % {"group": group.name},
        "url": f"/tags/groups/{group.pk}/new/",
        "ask_names": True,
        "is_corp": bool(group.corp_id),
    }

    def act() -> None:
        library.create_tags(request.brand, by=request.actor, group=group, names=_lines(request))

    return _form(request, context, act, _("Tags created"))


def _lines(request: Any) -> list[str]:
    """One tag per line, or separated by commas of either kind."""
    return (
        request.POST.get("names", "").replace("，", "\n").replace("、", "\n").replace(",", "\n").splitlines()
    )


@require_http_methods(["GET", "POST"])
@staff_can_outside("tags.edit")
def rename(request: Any, kind: str, item_id: int) -> HttpResponse:
    item = _item(request, kind, item_id)
    context = {
        "title": _("Rename the tag") if kind == "tag" else _("Rename the group"),
        "url": f"/tags/{kind}/{item.pk}/rename/",
        "ask_name": True,
        "name": item.name,
        "is_corp": bool(item.wecom_id),
    }

    def act() -> None:
        library.rename(request.brand, by=request.actor, item=item, name=request.POST.get("name", ""))

    return _form(request, context, act, _("Renamed"))


@require_POST
@staff_can_outside("tags.edit")
def delete(request: Any, kind: str, item_id: int) -> HttpResponse:
    item = _item(request, kind, item_id)
    with tenant_scope(request.brand):
        if isinstance(item, Tag):
            library.delete_tag(request.brand, by=request.actor, tag=item)
        else:
            library.delete_group(request.brand, by=request.actor, group=item)
    return go(request, "/tags/", _("Deleted"))


@require_POST
@staff_can_outside("tags.edit")
def move(request: Any, kind: str, item_id: int, way: str) -> HttpResponse:
    """One place up or down; a tag answers with its group, a group with the page."""
    item = _item(request, kind, item_id)
    with tenant_scope(request.brand):
        library.move(request.brand, by=request.actor, item=item, up=way == "up")
    if isinstance(item, TagGroup):
        return go(request, "/tags/")
    with brand_transaction(request):
        context = _with_counts(request, _group(item.group_id))
    return render(request, "tagging/_group.html", context)


@require_POST
@staff_can_outside("tags.edit")
def sync(request: Any) -> HttpResponse:
    """Read the libraries of all corps from WeCom now."""
    with brand_transaction(request):
        corps = list(Corp.objects.order_by("pk"))
    n = 0
    with tenant_scope(request.brand):
        for corp in corps:
            n += library.sync_corp_tags(request.brand, corp, client_for(corp))["tags"]
    if not corps:
        return toast(HttpResponse(status=204), _("No corp is connected yet"), "warning")
    return go(request, "/tags/", _("%(n)s corp tags read") % {"n": n})
