"""The library: list, upload, moving and archiving many, folders."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django import forms
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from content import hooks
from content.models import Content, ContentVersion, Folder
from content.services import folders, library, shelf
from content.views.tabs import tabs
from org.access import staff_can
from org.forms import add_errors
from scrm import clock
from scrm.errors import SCRMError
from scrm.ids import read_id, read_ids
from scrm.keyset import keyset_page
from scrm.responses import error_body, flash, go

SOON = timedelta(days=7)
STATES = [
    ("waiting", gettext_lazy("Waits for approval")),
    ("soon", gettext_lazy("Expires within 7 days")),
    ("expired", gettext_lazy("Expired")),
    ("archived", gettext_lazy("In the archive")),
]


@require_GET
@staff_can("content.view")
@vary_on_headers("HX-Request")
def content_list(request: Any) -> HttpResponse:
    given = request.GET
    folder_id = read_id(given.get("folder"))
    found = library.matching(Content.objects.all(), q=given.get("q", "")[:60], folder_id=folder_id)
    found = _in_state(found, given.get("state", ""))
    for name, known in (("kind", Content.Kind.values), ("form", Content.Form.values)):
        if given.get(name) in known:
            found = found.filter(**{name: given[name]})
    page = keyset_page(
        found.select_related("folder"), order=("-changed_at", "-pk"), after=given.get("after"), size=30
    )
    _decorate(request, page.rows)
    context: dict[str, Any] = {"page": page, "look": "list" if given.get("look") == "list" else "grid"}
    if request.htmx and given.get("after"):
        return render(request, "content/_cards.html", context)
    rows = list(Folder.objects.all())
    context |= {
        "tabs": tabs(request, "content"),
        "folders": folders.tree(rows),
        "folder": next((f for f in rows if f.pk == folder_id), None),
        "folder_id": folder_id,
        "kinds": Content.Kind.choices,
        "forms": Content.Form.choices,
        "states": STATES,
        "folder_choices": folders.choices(rows),
        "is_filtered": any(given.get(n) for n in ("q", "folder", "kind", "form", "state")),
    }
    return render(request, "content/list.html", context)


def _in_state(found: Any, state: str) -> Any:
    now = clock.now()
    if state == "archived":
        return found.exclude(archived_at=None)
    found = found.live()
    if state == "waiting":
        wanted = ContentVersion.objects.filter(state=ContentVersion.State.WAITING).values("content")
        return found.filter(pk__in=wanted)
    if state == "soon":
        return found.filter(expires_at__gt=now, expires_at__lte=now + SOON)
    if state == "expired":
        return found.filter(expires_at__lte=now)
    return found


def _decorate(request: Any, rows: Any) -> None:
    """The newest version, a picture and figures of each; as many queries for one as for thirty."""
    items = [row.pk for row in rows]
    newest = library.newest_of(items)
    of: dict[int, list[int]] = {}
    for content_id, pk in ContentVersion.objects.filter(content__in=items).values_list("content_id", "pk"):
        of.setdefault(content_id, []).append(pk)
    results = hooks.results(request.brand, [pk for own in of.values() for pk in own])
    now = clock.now()
    for row in rows:
        row.newest = newest.get(row.pk)
        row.numbers = total_of(results.get(pk, {}) for pk in of.get(row.pk, []))
        row.picture = picture_of(row.newest)
        row.is_expired = row.expires_at is not None and row.expires_at <= now
        row.ends_soon = not row.is_expired and row.expires_at is not None and row.expires_at <= now + SOON


def total_of(numbers: Iterable[dict[str, int]]) -> dict[str, int]:
    """Figures of several versions, added up."""
    total = dict.fromkeys(("sent", "opened", "replied", "converted"), 0)
    for row in numbers:
        for name, n in row.items():
            total[name] += n
    return total


def picture_of(version: ContentVersion | None) -> int | None:
    """The first picture of a version: cover of a page, image, cover of a mini-program."""
    if version is None:
        return None
    if version.page.get("cover"):
        return int(version.page["cover"])
    kinds = ("image", "miniprogram")
    return next((a["file_id"] for a in version.attachments if a["type"] in kinds), None)


# ---- many at once


@require_POST
@staff_can("content.edit")
def content_upload(request: Any) -> HttpResponse:
    """`files`, `folder`: an item each. JSON for the page's script: {"made": n, "bad": [{"name", "reason"}]}."""
    try:
        made, bad = shelf.add_files(
            request.brand,
            files=request.FILES.getlist("files"),
            folder_id=read_id(request.POST.get("folder")),
            by=request.actor,
        )
    except SCRMError as error:
        return JsonResponse(error_body(error), status=error.http_status)
    if made:
        text = ngettext("%(n)d item added", "%(n)d items added", len(made)) % {"n": len(made)}
        flash(request, text, "warning" if bad else "success")
    return JsonResponse({"made": len(made), "bad": [{"name": n, "reason": r} for n, r in bad]})


@require_POST
@staff_can("content.edit")
def content_many(request: Any) -> HttpResponse:
    """`ids`, `act`: move (to `folder`, empty: none) or archive."""
    ids = read_ids(request.POST)
    if request.POST.get("act") == "archive":
        n = shelf.archive_many(request.brand, content_ids=ids, by=request.actor)
        text = ngettext("%(n)d item is in the archive", "%(n)d items are in the archive", n) % {"n": n}
    else:
        to = read_id(request.POST.get("folder"))
        n = shelf.move(request.brand, content_ids=ids, folder_id=to, by=request.actor)
        text = ngettext("%(n)d item moved", "%(n)d items moved", n) % {"n": n}
    return go(request, request.POST.get("back") if _is_ours(request.POST.get("back")) else "content", text)


def _is_ours(address: str | None) -> bool:
    return bool(address) and str(address).startswith("/content/")


# ---- folders


class FolderForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=40)
    parent = forms.TypedChoiceField(
        label=gettext_lazy("Inside"), coerce=int, required=False, empty_value=None
    )

    def __init__(self, *args: Any, choices: list[tuple[int, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["parent"].choices = [("", _("The library")), *choices]  # type: ignore[attr-defined]


@require_http_methods(["GET", "POST"])
@staff_can("content.edit")
def folder_edit(request: Any, folder_id: int | None = None) -> HttpResponse:
    """The modal of a new or an old folder."""
    row = folders.get_folder(folder_id) if folder_id else None
    own = set(library.folder_ids(row.pk)) if row else set()
    choices = [c for c in folders.choices(list(Folder.objects.all())) if c[0] not in own]
    inside = row.parent_id if row else read_id(request.GET.get("parent"))
    form = FolderForm(
        request.POST or None, initial={"name": row.name if row else "", "parent": inside}, choices=choices
    )
    if request.method == "POST" and form.is_valid():
        try:
            saved = folders.save_folder(
                request.brand,
                name=form.cleaned_data["name"],
                parent_id=form.cleaned_data["parent"],
                folder_id=folder_id,
                by=request.actor,
            )
            return go(request, f"/content/?folder={saved.pk}", _("Saved"))
        except SCRMError as error:
            add_errors(form, error)
    status = 422 if request.method == "POST" else 200
    return render(request, "content/folder.html", {"form": form, "folder": row}, status=status)


@require_POST
@staff_can("content.edit")
def folder_delete(request: Any, folder_id: int) -> HttpResponse:
    folders.delete_folder(request.brand, folder_id=folder_id, by=request.actor)
    return go(request, "content", _("Deleted"))
