"""The pickers inside other forms: content of the library (templates/components/content_picker.html), and a page or tracked
link as a link card (templates/components/attachments.html)."""

import json
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from content.models import Content, Folder
from content.services import cards, folders, library
from org.access import signed_in
from scrm.errors import ForbiddenError
from scrm.ids import read_id
from wecom.models import MediaFile

RIGHTS = ("content.view", "sops.edit", "broadcasts.edit", "codes.edit")  # whoever sends content
KINDS = (Content.Kind.MESSAGE, Content.Kind.SCRIPT)


def need_writer(request: Any) -> None:
    """
    Raises:
        ForbiddenError: nobody who writes to customers.
    """
    if not any(request.actor.can(right) for right in RIGHTS):
        raise ForbiddenError()


@require_GET
@signed_in
def picker(request: Any) -> HttpResponse:
    """`q`, `folder`, `kind`; `personal=1`: also what speaks of the customer. `part=rows`: only the rows."""
    need_writer(request)
    given = request.GET
    folder_id = read_id(given.get("folder"))
    kind = given.get("kind", "") if given.get("kind") in KINDS else ""
    personal = given.get("personal") == "1"
    rows = library.search(
        request.brand,
        q=given.get("q", "")[:60],
        folder_id=folder_id,
        kind=kind,
        personal=personal,
        limit=41,
    )
    files = _files(rows)
    for row in rows:
        picked = {key: row[key] for key in ("content_id", "version_id", "name", "text", "attachments")}
        own = {str(a["file_id"]) for a in row["attachments"] if a.get("file_id")}
        row["json"] = json.dumps(
            picked | {"files": {pk: files[pk] for pk in own if pk in files}}, ensure_ascii=False
        )
        row["picture"] = next((a["file_id"] for a in row["attachments"] if a["type"] == "image"), None)
    context = {
        "rows": rows[:40],
        "more": len(rows) > 40,
        "q": given.get("q", ""),
        "folder": given.get("folder", ""),
        "kind": kind,
        "personal": personal,
        "kinds": [(k.value, k.label) for k in KINDS],
    }
    if given.get("part") == "rows":
        return render(request, "content/_picker_rows.html", context)
    context["folders"] = folders.choices(list(Folder.objects.all()))
    context["is_empty"] = not rows and not Content.objects.live().exists()
    return render(request, "content/_picker.html", context)


def _files(rows: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    ids = {a["file_id"] for row in rows for a in row["attachments"] if a.get("file_id")}
    return {str(f.pk): {"name": f.name, "kind": f.kind} for f in MediaFile.objects.filter(pk__in=ids)}


@require_GET
@signed_in
def link_picker(request: Any) -> HttpResponse:
    """Pages and tracked links: `q`, `folder`; `part=rows`: only the rows."""
    need_writer(request)
    given = request.GET
    q, folder_id = given.get("q", "")[:60], read_id(given.get("folder"))
    rows = cards.search(request.brand, q=q, folder_id=folder_id, limit=41)
    covers = MediaFile.objects.in_bulk([row["cover"] for row in rows if row["cover"]])
    for row in rows:
        cover = covers.get(row["cover"] or 0)
        files = {str(cover.pk): {"name": cover.name, "kind": cover.kind}} if cover else {}
        picked = {"card": row["card"], "cover": cover.pk if cover else None, "files": files}
        row["json"] = json.dumps(picked, ensure_ascii=False)
    context = {"rows": rows[:40], "more": len(rows) > 40, "q": q, "folder": given.get("folder", "")}
    if given.get("part") == "rows":
        return render(request, "content/_link_picker_rows.html", context)
    context["folders"] = folders.choices(list(Folder.objects.all()))
    context["is_empty"] = not rows and not cards.choosable().exists()
    return render(request, "content/_link_picker.html", context)
