"""What the pages of tags share."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _

from org.access import brand_transaction
from scrm.errors import InvalidError, NotFoundError, SCRMError
from tagging.models import Tag, TagGroup
from tenants.scoping import tenant_scope


def tabs(active: str) -> list[dict[str, Any]]:
    """The tabs under the heading."""
    rows = [
        ("library", "/tags/", _("Tag library")),
        ("rules", "/tags/rules/", _("Automatic rules")),
        ("computed", "/tags/computed/", _("Computed tags")),
        ("acts", "/tags/history/", _("What was done")),
        ("waiting", "/tags/waiting/", _("Waiting tags")),
    ]
    return [{"url": url, "label": label, "active": key == active} for key, url, label in rows]


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


def ids_of(data: QueryDict, name: str) -> list[int]:
    """Numbers of a field that comes several times.

    Raises:
        InvalidError.
    """
    try:
        return [int(n) for n in data.getlist(name)]
    except ValueError as error:
        raise InvalidError(_("Choose one of the list"), fields={name: _("Choose one of the list")}) from error
