"""One item: page with preview, versions and uses; the editors of messages, scripts and pages."""

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from contacts.services.fields import live_fields
from content import hooks, pages, questions, variables
from content.models import Content, ContentVersion, Folder, TrackedLink
from content.services import approval, editing, folders, links, page_html, sensitive
from content.services.editing import ContentInput
from content.views.library import total_of
from content.views.words import attached_of
from org.access import staff_can
from org.forms import add_errors, is_for_saving
from scrm import clock, json_in
from scrm.errors import ConflictError, InvalidError, SCRMError
from scrm.ids import read_id
from scrm.responses import go
from wecom.models import MediaFile

Kind, State = Content.Kind, ContentVersion.State
SAMPLE = {"客户昵称": "小明", "员工姓名": "小美", "门店": "人民广场店", "渠道": "包裹卡"}


class ContentForm(forms.Form):
    """Text, attachments and page are fields of their own on the page."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=60,
        help_text=gettext_lazy("For your colleagues; customers do not see it."),
    )
    folder = forms.TypedChoiceField(
        label=gettext_lazy("Folder"), coerce=int, required=False, empty_value=None
    )
    expires_at = forms.DateTimeField(
        label=gettext_lazy("Usable until"),
        required=False,
        input_formats=["%Y-%m-%dT%H:%M"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=gettext_lazy("Afterwards it cannot be chosen or sent. Empty: without end."),
    )
    note = forms.CharField(
        label=gettext_lazy("What was changed"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("For whoever approves it or compares versions later."),
    )

    occasion = forms.ChoiceField(
        label=gettext_lazy("Suggest it when"),
        choices=[("", gettext_lazy("Never: it is searched for")), *Content.Occasion.choices],
        required=False,
        help_text=gettext_lazy(
            "It stands on top of the sidebar while this is the next step with a customer."
        ),
    )

    def __init__(
        self, *args: Any, choices: list[tuple[int, str]], zone: ZoneInfo, kind: str, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.zone = zone
        self.fields["folder"].choices = [("", _("None")), *choices]  # type: ignore[attr-defined]
        if kind != Kind.SCRIPT:
            del self.fields["occasion"]

    def clean_expires_at(self) -> datetime | None:
        given = self.cleaned_data["expires_at"]
        # the field is the brand's wall clock, whatever the process thinks its zone is
        return given.replace(tzinfo=self.zone) if given else None


# ---- one item


@require_GET
@staff_can("content.view")
def content_detail(request: Any, content_id: int) -> HttpResponse:
    content = editing.get_content(content_id)
    # the list of versions shows who and when; the words are those of the newest one
    rows = ContentVersion.objects.filter(content=content).defer("text", "attachments", "page")
    versions = list(rows.order_by("-no")[:100])
    ids = [v.pk for v in versions]
    results = hooks.results(request.brand, ids)
    for version in versions:
        version.numbers = results.get(version.pk, {})  # type: ignore[attr-defined]
    by_id = {v.pk: v for v in versions}
    uses = [use | {"no": by_id[use["version_id"]].no} for use in hooks.uses(request.brand, ids)]
    newest = editing.latest(content)
    is_expired = content.expires_at is not None and content.expires_at <= clock.now()
    context = {
        "content": content,
        "versions": versions,
        "newest": newest,
        "current": by_id.get(content.current_id or 0),
        "waiting": next((v for v in versions if v.state == State.WAITING), None),
        "numbers": total_of(results.values()),
        "uses": uses,
        "is_expired": is_expired,
        "links": [
            (row, links.address_of(row))
            for row in TrackedLink.objects.filter(content=content, archived_at=None).order_by("pk")[:20]
        ],
        "stale": [u for u in uses if u["is_live"]] if is_expired or content.archived_at else [],
        **preview_of(request, newest),
    }
    return render(request, "content/detail.html", context)


def preview_of(request: Any, version: ContentVersion | None) -> dict[str, Any]:
    """What templates/content/_preview.html shows of a version."""
    if version is None:
        return {"shown": None}
    text = variables.render(version.text, SAMPLE | {"品牌": request.brand.name})
    attachments = [dict(a) for a in version.attachments]
    files = MediaFile.objects.in_bulk([a["file_id"] for a in attachments if a.get("file_id")])
    for attachment in attachments:
        file = files.get(attachment.get("file_id", 0))
        attachment["name"] = file.name if file else _("missing file")
        attachment["size"] = file.size if file else 0
    page = page_html.shown(version.page, _media) if version.page else None
    return {
        "shown": version,
        "text": text,
        "attachments": attachments,
        "article": page,
        "brand": request.brand,
    }


def _media(file_id: int) -> str:
    return f"/wecom/media/{file_id}/"


@require_GET
@staff_can("content.view")
def content_compare(request: Any, content_id: int, no: int) -> HttpResponse:
    """Two versions beside each other: `no` and the one that `with` names (default: the newest)."""
    content = editing.get_content(content_id)
    old = approval.get_version(content_id, no)
    new = approval.get_version(content_id, read_id(request.GET.get("with")) or content.n_versions)
    if new.no < old.no:
        old, new = new, old
    context = {"content": content, "old": old, "new": new, "change": approval.compare(old, new)}
    return render(request, "content/compare.html", context)


@require_POST
@staff_can("content.edit")
def content_again(request: Any, content_id: int, no: int) -> HttpResponse:
    saved = approval.take_again(request.brand, content_id=content_id, no=no, by=request.actor)
    return go(request, f"/content/{content_id}/", _said(saved))


@require_POST
@staff_can("content.edit")
def content_archive(request: Any, content_id: int) -> HttpResponse:
    editing.archive(request.brand, content_id=content_id, by=request.actor)
    undo = f"/content/{content_id}/restore/"
    return go(request, f"/content/{content_id}/", _("In the archive"), undo=undo)


@require_POST
@staff_can("content.edit")
def content_restore(request: Any, content_id: int) -> HttpResponse:
    editing.restore(request.brand, content_id=content_id, by=request.actor)
    return go(request, f"/content/{content_id}/", _("Restored"))


# ---- editor


@require_http_methods(["GET", "POST"])
@staff_can("content.edit")
def content_edit(request: Any, content_id: int | None = None) -> HttpResponse:
    content = editing.get_content(content_id) if content_id else None
    if content and content.archived_at is not None:
        raise ConflictError(_("This is in the archive. Restore it first."))
    kind = content.kind if content else request.GET.get("kind", "")
    kind = kind if kind in Kind.values else Kind.MESSAGE
    given = editing.as_input(content) if content else ContentInput(name="", kind=kind)
    zone = ZoneInfo(request.brand.timezone)
    folder = content.folder_id if content else read_id(request.GET.get("folder"))
    until = (
        content.expires_at.astimezone(zone).replace(tzinfo=None) if content and content.expires_at else None
    )
    form = ContentForm(
        request.POST or None,
        initial={"name": given.name, "folder": folder, "expires_at": until, "occasion": given.occasion},
        choices=folders.choices(list(Folder.objects.all())),
        zone=zone,
        kind=kind,
    )
    text, attachments = given.text, json.dumps(given.attachments, ensure_ascii=False)
    page = given.page or {"title": "", "intro": "", "cover": None, "blocks": []}
    posted = request.method == "POST"
    wrong, places = "", dict[str, str]()
    if posted:
        text, attachments = request.POST.get("text", ""), request.POST.get("attachments", "[]")
        page = _read(request.POST.get("page"), page)
        if is_for_saving(request, form):
            try:
                saved = _save(request, content, kind, form.cleaned_data, text, attachments, page)
                if kind == Kind.PAGE:
                    links.link_of_page(request.brand, saved.content, by=request.actor)
                return go(request, f"/content/{saved.content.pk}/", _said(saved), _kind_of(saved))
            except SCRMError as error:
                places = error.details.get("places", {})
                wrong = str(error.details.get("fields", {}).get("text" if kind != Kind.PAGE else "page", ""))
                add_errors(form, error)
                if wrong and form.non_field_errors():
                    form.errors.pop("__all__", None)
        elif kind == Kind.PAGE and "brought_back" not in request.POST:
            places = _places(page)  # told together with what is wrong above it
    context = {
        "content": content,
        "kind": kind,
        "kind_label": Kind(kind).label,
        "form": form,
        "text": text,
        "attachments": attachments,
        "files": _files(attachments),
        "page": page,
        "question_kinds": [(key, str(label)) for key, label in questions.KINDS.items()],
        "question_fields": [(field.key, field.label) for field in live_fields()] if kind == Kind.PAGE else [],
        "wrong": wrong,
        "places": places,
        "variables": variables.choices(),
        "most_bytes": variables.MAX_BYTES,
        "needs_approval": editing.needs_approval(request.brand),
        "sample": SAMPLE | {"品牌": request.brand.name},
    }
    template = "content/page_edit.html" if kind == Kind.PAGE else "content/edit.html"
    return render(request, template, context, status=422 if posted else 200)


def _save(
    request: Any,
    content: Content | None,
    kind: str,
    form: dict[str, Any],
    text: str,
    attachments: str,
    page: Any,
) -> editing.Saved:
    given = ContentInput(
        name=form["name"],
        kind=kind,
        text=text,
        attachments=_read(attachments, None),
        page=page,
        folder_id=form["folder"],
        expires_at=form["expires_at"],
        note=form["note"],
        occasion=form.get("occasion", ""),
    )
    if content is None:
        return editing.create_content(request.brand, given=given, by=request.actor)
    return editing.edit_content(request.brand, content_id=content.pk, given=given, by=request.actor)


def _read(text: str | None, otherwise: Any) -> Any:
    try:
        return json_in.loads(text or "")
    except ValueError:
        return otherwise


def _files(attachments: str) -> dict[str, dict[str, str]]:
    given = _read(attachments, [])
    ids = set()
    for a in given if isinstance(given, list) else []:
        if isinstance(a, dict) and (pk := read_id(a.get("file_id"))):
            ids.add(pk)
    return {str(f.pk): {"name": f.name, "kind": f.kind} for f in MediaFile.objects.filter(pk__in=ids)}


def _said(saved: editing.Saved) -> str:
    if saved.version is None:
        said = _("Saved")
    elif saved.waits:
        said = _("Saved. Version %(n)d waits for approval.") % {"n": saved.version.no}
    else:
        said = _("Saved. Version %(n)d is in force.") % {"n": saved.version.no}
    return " ".join([said, *saved.warnings])


def _kind_of(saved: editing.Saved) -> str:
    return "warning" if saved.warnings else "success"


@require_POST
@staff_can("content.view")
def content_check(request: Any) -> HttpResponse:
    """What is wrong with a text, while it is being written: variables, length, sensitive words."""
    text = request.POST.get("text", "")[:20_000]
    problem, warnings = "", []
    try:
        variables.check(text)
        warnings = sensitive.check(request.brand, text, attached_of(request.POST.get("attachments", "")))
    except InvalidError as error:
        problem = str(error.message)
    personal = variables.of_customer(text)
    context = {"problem": problem, "warnings": warnings, "personal": sorted(set(personal))}
    return render(request, "content/_check.html", context)


def _places(page: Any) -> dict[str, str]:
    """What is wrong with a page, by place."""
    try:
        pages.check(page)
    except InvalidError as error:
        return dict(error.details.get("places", {}))
    return {}


@require_POST
@staff_can("content.view")
def page_preview(request: Any) -> HttpResponse:
    """The page as it is being written; what is wrong with it instead, when it cannot be shown."""
    context: dict[str, Any] = {"problem": "", "article": None, "brand": request.brand}
    try:
        page = pages.check(_read(request.POST.get("page"), None))
        pages.check_files(page)
        context["article"] = page_html.shown(page, _media)
        context["warnings"] = sensitive.check(request.brand, "\n".join(pages.words_of(page)))
    except InvalidError as error:
        context["problem"] = str(error.message)
    return render(request, "content/_page_preview.html", context)
