"""Import of files: upload, columns, check, import, result with undo."""

from typing import Any

from django.http import FileResponse, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from datafiles import layout
from datafiles.kinds import all_kinds, kind_of
from datafiles.models import ImportFile
from datafiles.reasons import in_words
from datafiles.services import imports, members, places, preview, refused, undo, uploads
from datafiles.views.forms import columns_of, given_columns, given_options
from org.access import staff_can, staff_can_outside
from org.models import Corp, Job
from scrm.errors import InvalidError, NotFoundError, SCRMError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go
from tenants.scoping import tenant_scope

LOOKS = {
    "new": "ok",
    "changed": "info",
    "waiting": "info",
    "joined": "info",
    "repeated": "warn",
    "refused": "bad",
}


def count_words() -> dict[str, str]:
    return {
        "new": _("New"), "changed": _("Changed"), "same": _("Unchanged"), "waiting": _("Waiting for their person or order"),
        "joined": _("Joined with another record"), "repeated": _("Repeated in the file"), "skipped": _("Passed over"),
        "refused": _("Faulty"), "reachable": _("Reachable already"), "tagged": _("Tags put on"),
        "phones_of_others": _("Phones that stay with another customer"), "known": _("Customers already: not given out"),
    }  # fmt: skip


def tabs_of(active: str, request: Any) -> list[dict[str, Any]]:
    tabs = [
        ("/imports/", _("Imports"), "imports", "imports.run"),
        ("/exports/", _("Exports"), "exports", "exports.run"),
    ]
    return [
        {"url": url, "label": label, "active": key == active}
        for url, label, key, right in tabs
        if request.actor.can(right)
    ]


def _file(file_id: int) -> ImportFile:
    found = ImportFile.objects.filter(pk=file_id).first()
    if found is None:
        raise NotFoundError()
    return found


@require_GET
@staff_can("imports.run")
def import_list(request: Any) -> HttpResponse:
    """All imports of the brand, newest first, and how many of its members are reachable."""
    page = keyset_page(
        ImportFile.objects.all(), order=("-created_at", "-pk"), after=request.GET.get("after"), size=30
    )
    jobs = Job.objects.in_bulk([file.job_id for file in page if file.job_id])
    rows = [
        {
            "file": file,
            "kind": kind_of(file.kind),
            "job": jobs.get(file.job_id),
            "numbers": _numbers(file, short=True),
        }
        for file in page
    ]
    context: dict[str, Any] = {"page": page, "rows": rows}
    if request.htmx and request.GET.get("after"):
        return render(request, "datafiles/_import_rows.html", context)
    context |= {
        "kinds": all_kinds(),
        "tabs": tabs_of("imports", request),
        "members": members.figures(request.brand),
    }
    return render(request, "datafiles/imports.html", context)


@require_http_methods(["GET", "POST"])
@staff_can_outside("imports.run")
def import_new(request: Any) -> HttpResponse:
    """Choose what the file holds and upload it. Outside of a transaction: 200 MB take their time."""
    kind = request.POST.get("kind") or request.GET.get("kind") or "members"
    context: dict[str, Any] = {
        "kinds": all_kinds(),
        "kind": kind,
        "error": "",
        "max_mb": uploads.MAX_BYTES // 1024 // 1024,
    }
    if request.method == "POST":
        data = request.FILES.get("file")
        try:
            if data is None:
                raise InvalidError(_("Choose a file"))
            with tenant_scope(request.brand):
                file = uploads.receive(
                    request.brand, kind=kind, name=data.name or "file", data=data, by=request.actor
                )
            return go(request, f"/imports/{file.pk}/")
        except (InvalidError, NotFoundError) as error:
            context["error"] = error.message
    return render(request, "datafiles/import_new.html", context, status=422 if context["error"] else 200)


@require_GET
@staff_can("imports.run")
def import_detail(request: Any, file_id: int) -> HttpResponse:
    """One page for the whole way: columns, check, import, result."""
    file = _file(file_id)
    job = Job.objects.filter(pk=file.job_id).first() if file.job_id else None
    is_live = job is not None and job.is_live
    context: dict[str, Any] = {
        "file": file, "kind": kind_of(file.kind), "job": job, "is_live": is_live, "done_url": f"/imports/{file.pk}/",
        "done_label": _("Show the result"), "before": uploads.same_file_before(file) if file.state in imports.BEFORE else None,
        "can_undo": undo.can_undo(file) and not is_live, "steps": _steps(file, is_live),
    }  # fmt: skip
    if file.state in imports.BEFORE and not is_live:
        context |= _editor(request, file, file.mapping, "")
    if file.state == ImportFile.State.CHECKED or file.state not in imports.BEFORE:
        context |= _report(file)
    return render(request, "datafiles/import.html", context)


def _steps(file: ImportFile, is_live: bool) -> list[dict[str, Any]]:
    names = [_("Upload"), _("Columns"), _("Check"), _("Import")]
    at = 1 if file.state == ImportFile.State.UPLOADED else 2 if file.state == ImportFile.State.CHECKED else 3
    at = 2 if is_live and file.state == ImportFile.State.UPLOADED else at
    return [
        {"name": name, "state": "done" if n < at else "now" if n == at else ""}
        for n, name in enumerate(names)
    ]


def _editor(request: Any, file: ImportFile, mapping: dict[str, Any], error: Any) -> dict[str, Any]:
    """What the form of the columns shows; the file may have been deleted after its days."""
    try:
        head = uploads.relook(file)
    except SCRMError as gone:
        return {"gone": gone.message}
    kind = kind_of(file.kind)
    targets = kind.targets(request.brand)
    shown = ImportFile(
        brand_id=file.brand_id, kind=file.kind, mapping=mapping, options=file.options, layout=file.layout, headings=file.headings
    )  # fmt: skip
    task = imports.task_of(request.brand, shown)
    rows = preview.rows_of(task, head)
    given = layout.of_json(file.layout)
    return {
        "columns": columns_of(head, targets, mapping), "read": list(task.columns.values()), "preview": rows,
        "n_problems": sum(any(cell.problem for cell in row) for row in rows), "error": error, "layout": given,
        "encodings": layout.ENCODINGS,
        "separators": [(",", ","), (";", ";"), ("\t", _("tab")), ("|", "|"), (layout.SPACES, _("blanks"))],
        "options": file.options, "corps": list(Corp.objects.order_by("pk").values_list("corpid", "name")),
        "has_corp_ids": "external_userid" in mapping, "has_tags": "tags" in mapping, "titles": range(layout.MAX_TITLES + 1),
    }  # fmt: skip


@require_POST
@staff_can("imports.run")
def import_columns(request: Any, file_id: int) -> HttpResponse:
    """Keep what a person says of the columns and show the first rows anew; `then=check` or `then=import` goes on."""
    file = _file(file_id)
    kind = kind_of(file.kind)
    mapping, error = given_columns(request.POST, kind.targets(request.brand)), ""
    options = given_options(request.POST, kind)
    try:
        imports.set_mapping(request.brand, file=file, mapping=mapping, options=options)
    except InvalidError as problem:
        error = str(problem.message)
    then = request.POST.get("then")
    if not error and then in ("check", "import"):
        start = imports.start_check if then == "check" else imports.start_import
        start(request.brand, file=file, by=request.actor)
        return go(request, f"/imports/{file.pk}/")
    context = {"file": file, "kind": kind, **_editor(request, file, mapping, error if then else "")}
    return render(request, "datafiles/_columns.html", context, status=422 if then else 200)


@require_POST
@staff_can("imports.run")
def import_layout(request: Any, file_id: int) -> HttpResponse:
    """How the file is written: characters, separator, headings."""
    file, given = _file(file_id), request.POST
    titles = given.get("titles", "0")
    uploads.set_layout(
        request.brand, file=file, encoding=given.get("encoding", "utf-8"), separator=given.get("separator", ","),
        titles=min(read_id(titles) or 0, 99), has_headings=given.get("has_headings") == "1",
    )  # fmt: skip
    return go(request, f"/imports/{file.pk}/", _("The columns were read again"))


@require_POST
@staff_can("imports.run")
def import_start(request: Any, file_id: int) -> HttpResponse:
    """Import what the check has shown."""
    file = _file(file_id)
    imports.start_import(request.brand, file=file, by=request.actor)
    return go(request, f"/imports/{file.pk}/")


@require_POST
@staff_can("imports.run")
def import_undo(request: Any, file_id: int) -> HttpResponse:
    file = _file(file_id)
    undo.start_undo(request.brand, file=file, by=request.actor)
    return go(request, f"/imports/{file.pk}/")


@require_POST
@staff_can("imports.run")
def import_discard(request: Any, file_id: int) -> HttpResponse:
    """Throw away a file that was not imported."""
    file = _file(file_id)
    imports.discard(request.brand, file=file, by=request.actor)
    return go(request, "/imports/", _("The file was deleted"))


@require_GET
@staff_can("imports.run")
def import_refused(request: Any, file_id: int) -> Any:
    """Rows that were left out, to mend and upload again; the download is logged."""
    file = _file(file_id)
    path = places.import_folder(file) / refused.NAME
    if not path.is_file():
        raise NotFoundError(_("This file is not there any more; check the file again"))
    imports.note_download(request.brand, file=file, by=request.actor)
    name = file.name.rsplit(".", 1)[0]
    return FileResponse(
        path.open("rb"), as_attachment=True, filename=f"{name}-{_('refused')}.csv", content_type="text/csv"
    )


def _numbers(file: ImportFile, *, short: bool = False) -> list[dict[str, Any]]:
    """Counts in words: of the result, or before it of the check."""
    words, counts = count_words(), file.result or file.checked.get("counts", {})
    keys = ["new", "changed", "same", "refused"] if short else list(words)
    return [
        {"key": key, "label": words[key], "n": counts[key], "look": LOOKS.get(key, "")}
        for key in keys
        if isinstance(counts.get(key), int)
        and (counts[key] or (key in ("new", "changed", "same") and not short))
    ]


def _notes(file: ImportFile, counts: dict[str, Any]) -> list[str]:
    """What the numbers do not say by themselves: a check counts rows, an import orders."""
    if file.kind != "orders" or not {"sku", "product", "quantity"} & file.mapping.keys():
        return []
    if file.state == ImportFile.State.CHECKED:
        return [_("Counted in rows; several rows of one order become one order.")]
    told = sum(counts.get(key, 0) for key in ("new", "changed", "same", "refused", "repeated", "skipped"))
    return [_("Several rows of one order are one order here.")] if told < counts.get("rows", 0) else []


def _report(file: ImportFile) -> dict[str, Any]:
    counts, kind = file.result or file.checked.get("counts", {}), kind_of(file.kind)
    names = dict(enumerate(file.headings))
    labels = {key: names.get(entry["column"], key) for key, entry in file.mapping.items()}
    reasons = sorted(counts.get("reasons", {}).items(), key=lambda item: -item[1])
    left_out = [(in_words(key, labels), n) for key, n in reasons]
    if counts.get("repeated"):
        left_out.append((count_words()["repeated"], counts["repeated"]))
    n_refused = counts.get("refused", 0) + counts.get("repeated", 0)
    return {
        "notes": _notes(file, counts), "is_said_twice": sum(n for _words, n in left_out) > n_refused,
        "counts": counts, "numbers": _numbers(file), "reasons": left_out,
        "n_refused": n_refused, "new_tags": counts.get("new_tags", []),
        "has_refused": (places.import_folder(file) / refused.NAME).is_file(), "undone": file.result.get("undo"),
        "n_to_write": counts.get("planned", 0),
        "next": kind.page(file) if kind.page and file.state == ImportFile.State.DONE else None,
    }  # fmt: skip
