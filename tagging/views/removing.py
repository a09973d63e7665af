"""Deleting tags and groups, taking that back, and making one tag of two."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from org.access import brand_transaction, staff_can_outside
from scrm.errors import InvalidError
from scrm.ids import read_id
from scrm.responses import go
from tagging.models import Tag
from tagging.services.tags import deleting, merging, references
from tagging.services.tags.tags import choices
from tagging.views.library import carriers
from tagging.views.modals import get_item, get_tag, modal
from tenants.scoping import tenant_scope


@require_http_methods(["GET", "POST"])
@staff_can_outside("tags.edit")
def delete(request: Any, kind: str, item_id: int) -> HttpResponse:
    """GET: what hangs on it. POST: deleted, with a way back."""
    item = get_item(request, kind, item_id)
    with brand_transaction(request):
        ids = [item.pk]
        if not isinstance(item, Tag):
            ids = list(Tag.objects.filter(group=item, deleted_at=None).values_list("pk", flat=True))
        counts = carriers(request.brand.pk, ids)
        context = {
            "item": item,
            "kind": kind,
            "n_tags": len(ids),
            "n_people": sum(counts.values()),
            "uses": references.uses(request.brand, ids)[:30],
        }

    def act() -> HttpResponse:
        if isinstance(item, Tag):
            deleting.delete_tag(request.brand, by=request.actor, tag=item)
        else:
            deleting.delete_group(request.brand, by=request.actor, group=item)
        text = _("“%(name)s” is deleted") % {"name": item.name}
        return go(request, "/tags/", text, undo=f"/tags/{kind}/{item.pk}/restore/")

    return modal(request, "tagging/delete.html", context, act)


@require_POST
@staff_can_outside("tags.edit")
def restore(request: Any, kind: str, item_id: int) -> HttpResponse:
    """Take a deletion back."""
    item = get_item(request, kind, item_id, deleted=True)
    with tenant_scope(request.brand):
        if isinstance(item, Tag):
            deleting.restore_tag(request.brand, by=request.actor, tag=item)
        else:
            deleting.restore_group(request.brand, by=request.actor, group=item)
    return go(request, "/tags/", _("“%(name)s” is back, with everybody who carried it") % {"name": item.name})


@require_http_methods(["GET", "POST"])
@staff_can_outside("tags.edit")
def merge(request: Any, item_id: int) -> HttpResponse:
    """GET: choose the tag that stays. POST: the merge as a job."""
    with brand_transaction(request):
        tag = get_tag(item_id)
        groups = [
            {**group, "tags": [t for t in group["tags"] if t["id"] != tag.pk]}
            for group in choices(keep=[tag.pk])
            if not (group["is_corp"] and tag.group.corp_id) or group["is_corp"]
        ]
        context: dict[str, Any] = {
            "tag": tag,
            "groups": groups,
            "n_people": carriers(request.brand.pk, [tag.pk]).get(tag.pk, 0),
            "uses": references.uses(request.brand, [tag.pk])[:30],
        }

    def act() -> HttpResponse:
        chosen = request.POST.get("into", "")
        with brand_transaction(request):
            if (into := read_id(chosen)) is None:
                raise InvalidError(
                    _("Choose the tag that stays"), fields={"into": _("Choose the tag that stays")}
                )
            job = merging.start(request.brand, by=request.actor, old=tag, new=get_tag(into))
        return render(request, "tagging/job.html", {"title": _("Merge tags"), "job": job})

    return modal(request, "tagging/merge.html", context, act)
