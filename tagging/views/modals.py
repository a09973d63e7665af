"""Modals of tags and groups: what they are about, and how they answer."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from org.access import brand_transaction
from scrm.errors import NotFoundError, SCRMError
from tagging.models import Tag, TagGroup
from tenants.scoping import tenant_scope


def get_group(group_id: int, *, deleted: bool = False) -> TagGroup:
    found = TagGroup.objects.select_related("corp").filter(pk=group_id).first()
    if found is None or (found.deleted_at is not None) != deleted:
        raise NotFoundError()
    return found


def get_tag(tag_id: int, *, deleted: bool = False) -> Tag:
    found = Tag.objects.select_related("group__corp").filter(pk=tag_id).first()
    if found is None or (found.deleted_at is not None) != deleted:
        raise NotFoundError()
    return found


def get_item(request: Any, kind: str, item_id: int, *, deleted: bool = False) -> Tag | TagGroup:
    with brand_transaction(request):
        if kind == "tag":
            return get_tag(item_id, deleted=deleted)
        return get_group(item_id, deleted=deleted)


def modal(
    request: Any,
    template: str,
    context: dict[str, Any],
    act: Callable[[], HttpResponse],
) -> HttpResponse:
    """A modal: GET shows it, POST acts outside of a transaction; a refusal is shown in it with what was typed."""
    if request.method == "GET":
        return render(request, template, context)
    try:
        with tenant_scope(request.brand):
            return act()
    except NotFoundError:
        raise
    except SCRMError as error:
        shown = {"error": error.message, "fields": error.details.get("fields", {}), "typed": request.POST}
        return render(request, template, context | shown, status=422)
