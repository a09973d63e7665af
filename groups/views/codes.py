"""Group codes: list, form, picture."""

from typing import Any
from urllib.parse import quote

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from groups.models import GroupChat, GroupCode
from groups.services import codes
from groups.services.code_push import problem_of
from groups.services.codes import GroupCodeInput
from groups.views.tabs import tabs
from org.access import staff_can
from org.forms import add_errors
from scrm.errors import InvalidError, NotFoundError
from scrm.ids import read_ids
from scrm.keyset import keyset_page
from scrm.responses import go
from wecom.services import media

MOST_CHOICES = 1_000


class GroupCodeForm(forms.Form):
    """Groups are a checklist of their own on the page."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=codes.MAX_NAME,
        help_text=gettext_lazy("For your colleagues; customers do not see it."),
    )
    is_growing = forms.BooleanField(
        label=gettext_lazy("WeCom makes a new group when all are full"), required=False
    )
    base_name = forms.CharField(
        label=gettext_lazy("Name of new groups"),
        max_length=codes.MAX_BASE,
        required=False,
        help_text=gettext_lazy("A number follows: VIP 1, VIP 2 … Empty: WeCom names them."),
    )


@require_GET
@staff_can("groups.view")
@vary_on_headers("HX-Request")
def code_list(request: Any) -> HttpResponse:
    found = GroupCode.objects.live()
    if q := request.GET.get("q", "").replace("\x00", "").strip()[:60]:
        found = found.filter(name__icontains=q)
    page = keyset_page(found, order=("-pk",), after=request.GET.get("after"), size=30)
    chats = GroupChat.objects.visible_to(request.staff).in_bulk(
        [pk for code in page.rows for pk in code.group_ids]
    )
    context = {
        "page": page,
        "joined": codes.joined_by(page.rows),
        "chats": {code.pk: [chats[pk] for pk in code.group_ids if pk in chats] for code in page.rows},
        "problems": {code.pk: problem_of(code.sync_error) for code in page.rows},
        "is_filtered": bool(q),
        "is_making": any(code.sync_state == GroupCode.Sync.WAITING for code in page.rows),
    }
    context["has_groups"] = bool(chats) or GroupChat.objects.live().exists()
    if request.htmx:
        return render(request, "groups/_codes.html", context)
    context |= {"tabs": tabs(request, "group_codes"), "q": q}
    return render(request, "groups/codes.html", context)


@require_http_methods(["GET", "POST"])
@staff_can("codes.edit")
def code_edit(request: Any, code_id: int | None = None) -> HttpResponse:
    """The modal of a new or an old code."""
    code = codes.get_code(code_id) if code_id else None
    initial = {"is_growing": True}
    if code:
        initial = {name: getattr(code, name) for name in ("name", "is_growing", "base_name")}
    form = GroupCodeForm(request.POST or None, initial=initial)
    chosen = code.group_ids if code else []
    error = ""
    if request.method == "POST":
        chosen = read_ids(request.POST, "groups")
        if form.is_valid():
            given = GroupCodeInput(group_ids=chosen, **form.cleaned_data)
            try:
                if code:
                    codes.edit_code(
                        request.brand, code_id=code.pk, given=given, staff=request.staff, by=request.actor
                    )
                else:
                    codes.create_code(request.brand, given=given, staff=request.staff, by=request.actor)
                return go(request, "group_codes", _("Saved; WeCom is being told"))
            except InvalidError as problem:
                error = str(problem.details.get("fields", {}).pop("groups", ""))
                add_errors(form, problem)
                if error and form.non_field_errors():
                    form.errors.pop("__all__", None)
    context = {
        "code": code,
        "form": form,
        "chosen": chosen,
        "choices": _choices(request, code),
        "error": error,
        "most": codes.MAX_GROUPS,
    }
    status = 422 if form.errors or error else 200
    return render(request, "groups/code_edit.html", context, status=status)


def _choices(request: Any, code: GroupCode | None) -> list[dict[str, Any]]:
    """Groups that may be chosen, those of the code first: in their order they are filled. Of the code's own, those out of
    sight have no name."""
    rows = GroupChat.objects.live().visible_to(request.staff).select_related("owner")
    rows = rows.order_by("owner__name", "-created_at", "-pk")
    if code:
        rows = rows.filter(corp=code.corp_id)
    kept = (
        list(GroupChat.objects.live().filter(pk__in=code.group_ids).select_related("owner")) if code else []
    )
    kept.sort(key=lambda chat: code.group_ids.index(chat.pk) if code else 0)
    known = {chat.pk for chat in kept}
    seen = set(GroupChat.objects.visible_to(request.staff).filter(pk__in=known).values_list("pk", flat=True))
    found = [*kept, *(chat for chat in rows[:MOST_CHOICES] if chat.pk not in known)]
    return [
        {
            "id": chat.pk,
            "name": f"{chat.name or _('Group without a name')} ({chat.n_members})"
            if chat.pk in seen or chat.pk not in known
            else _("Group of colleagues"),
            "group": _("Behind this code")
            if chat.pk in known
            else chat.owner.name
            if chat.owner
            else chat.owner_userid,
        }
        for chat in found
    ]


@require_POST
@staff_can("codes.edit")
def code_retry(request: Any, code_id: int) -> HttpResponse:
    codes.retry(request.brand, code_id=code_id, by=request.actor)
    return go(request, "group_codes", _("WeCom is being asked again"))


@require_POST
@staff_can("codes.edit")
def code_delete(request: Any, code_id: int) -> HttpResponse:
    codes.delete_code(request.brand, code_id=code_id, by=request.actor)
    return go(request, "group_codes", _("Deleted"))


@require_GET
@staff_can("groups.view")
def code_picture(request: Any, code_id: int) -> HttpResponse:
    """The QR picture; `keep=1`: to save it."""
    code = codes.get_code(code_id)
    if code.file is None:
        raise NotFoundError()
    kind = "image/png" if code.file.path.endswith(".png") else "image/jpeg"
    response = HttpResponse(media.read(code.file), content_type=kind)
    response["Cache-Control"] = "private, max-age=3600"
    if request.GET.get("keep"):
        end = code.file.path.rpartition(".")[2]
        response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(code.name)}.{end}"
    return response
