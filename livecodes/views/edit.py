"""Making and changing a channel code."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from content import variables
from content.services import library
from livecodes.forms import CodeForm, initial_of, lists_of
from livecodes.models import ChannelCode
from livecodes.services import codes
from livecodes.services.content import CodeInput, as_input
from livecodes.services.roster import is_able
from org.access import staff_can
from org.forms import add_errors, is_for_saving
from org.models import Corp, Staff
from scrm import json_in
from scrm.errors import InvalidError, NotFoundError, SCRMError
from scrm.ids import read_ids
from scrm.responses import go
from tagging.services.tags import tags
from wecom.models import MediaFile

EMPTY: dict[str, list] = {"guides": [], "hours": [], "welcomes": []}
# what a new code starts with: customers are Chinese, whatever the language of the page
FIRST_WELCOME = "你好，{客户昵称|朋友}！我是{员工姓名}，很高兴认识你，有什么需要随时告诉我～"


@require_http_methods(["GET", "POST"])
@staff_can("codes.edit")
def code_new(request: Any) -> HttpResponse:
    corps = list(Corp.objects.order_by("pk"))
    if not corps:
        return render(request, "livecodes/no_corp.html")
    is_link = request.GET.get("kind") == ChannelCode.Kind.LINK
    kind = ChannelCode.Kind.LINK if is_link else ChannelCode.Kind.CODE
    start = {"strategy": ChannelCode.Strategy.IN_TURN, "skip_verify": True, "corp": corps[0].pk}
    form = CodeForm(request.POST or None, initial=start, corps=corps)
    if is_for_saving(request, form):
        corp = next((c for c in corps if c.pk == form.cleaned_data["corp"]), None)
        if corp is None:
            raise NotFoundError()
        try:
            given = form.content(read_ids(request.POST, "tags"))
            code = codes.create_code(request.brand, by=request.actor, corp=corp, given=given, kind=kind)
        except InvalidError as error:
            _show(form, error)
        else:
            made = (
                _("Saved; WeCom is making the link") if is_link else _("Saved; WeCom is making the QR code")
            )
            return go(request, f"/codes/{code.pk}/", made)
    return _page(request, form, None, corps, kind=kind)


@require_http_methods(["GET", "POST"])
@staff_can("codes.edit")
def code_edit(request: Any, code_id: int) -> HttpResponse:
    code = codes.get_code(code_id)
    form = CodeForm(request.POST or None, initial=initial_of(code), corps=[code.corp], sop_id=code.sop_id)
    if is_for_saving(request, form):
        try:
            given = form.content(read_ids(request.POST, "tags"))
            codes.edit_code(request.brand, by=request.actor, code_id=code.pk, given=given)
        except InvalidError as error:
            _show(form, error)
        else:
            return go(request, f"/codes/{code.pk}/", _("Saved; printed codes stay as they are"))
    return _page(request, form, code, [code.corp], as_input(code), kind=code.kind)


def _show(form: CodeForm, error: SCRMError) -> None:
    """A refusal beside its field; the lists have places of their own on the page."""
    fields: dict[str, Any] = error.details.get("fields", {})
    renamed = {"cost_fen": "cost"}
    form.list_errors = {  # type: ignore[attr-defined]
        key: fields[key] for key in ("guides", "hours", "welcomes", "tags") if key in fields
    }
    rest = {renamed.get(k, k): v for k, v in fields.items() if k not in form.list_errors}  # type: ignore[attr-defined]
    if rest or not fields:
        add_errors(form, InvalidError(error.message, fields=rest))


def _page(
    request: Any,
    form: CodeForm,
    code: ChannelCode | None,
    corps: list[Corp],
    given: CodeInput | None = None,
    *,
    kind: str,
) -> HttpResponse:
    posted = request.method == "POST"
    lists: Any = lists_of(given) if given else {**EMPTY, "welcomes": [{"text": FIRST_WELCOME}]}
    if posted:
        try:
            lists = json_in.loads(request.POST.get("lists", "")) or EMPTY
        except ValueError:
            lists = EMPTY
    chosen = read_ids(request.POST, "tags") if posted else list(given.tag_ids) if given else []
    context = {
        "form": form,
        "code": code,
        "is_link": kind == ChannelCode.Kind.LINK,
        "errors": getattr(form, "list_errors", {}),
        "lists": lists if isinstance(lists, dict) else EMPTY,
        "people": _people(corps, [g.staff_id for g in given.guides] if given else []),
        "groups": tags.choices(),
        "chosen": chosen,
        "places": sorted(
            set(ChannelCode.objects.live().exclude(place="").values_list("place", flat=True)[:500])
        ),
        **editor_context(lists),
    }
    return render(request, "livecodes/edit.html", context, status=422 if posted else 200)


def editor_context(lists: Any) -> dict[str, Any]:
    """What the welcome editor needs on a page: its variables, WeCom's limit, names of attached files."""
    return {
        "variables": variables.choices(),
        "most_bytes": variables.MAX_BYTES,
        "files": _files(lists),
        "picked": _picked(lists),
        "weekdays": [(n, label) for n, label in enumerate(weekday_names(), 1)],
    }


def weekday_names() -> list[str]:
    return [_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun")]


def _picked(lists: Any) -> dict[str, str]:
    """Names of the versions of the library that welcomes say."""
    rows = lists.get("welcomes") if isinstance(lists, dict) else None
    ids = {row.get("content") for row in (rows if isinstance(rows, list) else []) if isinstance(row, dict)}
    found = library.names_of(pk for pk in ids if isinstance(pk, int) and 0 < pk < 2**63)
    return {str(pk): f"{about['name']} v{about['no']}" for pk, about in found.items()}


def _files(lists: Any) -> dict[str, dict[str, str]]:
    ids = set()
    rows = lists.get("welcomes") if isinstance(lists, dict) else None
    for row in rows if isinstance(rows, list) else []:
        for attachment in (row.get("attachments") or []) if isinstance(row, dict) else []:
            file_id = attachment.get("file_id") if isinstance(attachment, dict) else None
            if isinstance(file_id, int):
                ids.add(file_id)
    return {str(f.pk): {"name": f.name, "kind": f.kind} for f in MediaFile.objects.filter(pk__in=ids)}


def _people(corps: list[Corp], kept: list[int]) -> list[dict[str, Any]]:
    """Who can be chosen: able guides of these corps, and those behind the code already, able or not."""
    staff = Staff.objects.filter(corp__in=corps).select_related("store").order_by("name", "pk")
    wanted = (staff.guides() | staff.filter(pk__in=kept)) if kept else staff.guides()
    return [
        {
            "id": p.pk,
            "name": p.name,
            "userid": p.userid,
            "store": p.store.name if p.store else "",
            "corp": p.corp_id,
            "able": is_able(p),
        }
        for p in wanted[:3000]
    ]
