"""Exports: a list written to a file by a job, page by page, for the person who asked, for some days.

Each step appends rows and commits place and length of the file together; what a killed step had written beyond that
length is cut off. An xlsx is made from the finished CSV at the end.
"""

import csv
import io
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import translation
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from datafiles import watermark
from datafiles.exports import Export, export_kind
from datafiles.models import ExportFile
from datafiles.services import places, workbook
from org import audit
from org.access import Actor
from org.models import Job, Staff
from org.services import jobs
from scrm import clock
from scrm.errors import ForbiddenError, InvalidError, NotFoundError
from scrm.harmless import harmless
from tenants.models import Brand

KIND = "file_export"
FORMATS = ("csv", "xlsx")
PAGE = 1_000
PAGES = 5  # per step
MAX_ROWS = 5_000_000


def start_export(
    brand: Brand, *, kind: str, query: Any, format: str, by: Actor, staff: Staff | None
) -> ExportFile:
    """Begin an export, in the caller's transaction. Logged with its filter.

    Args:
        query: the filter, as the list's own page or the API gives it.
        staff: whose view of the list it is; None: an API key.

    Raises:
        ForbiddenError: the person may not see this list. InvalidError: a filter or format that is not understood.
    """
    chosen = export_kind(kind)
    if not by.can(chosen.right):
        raise ForbiddenError()
    if format not in FORMATS:
        raise InvalidError(_("Choose CSV or XLSX"), fields={"format": _("Choose CSV or XLSX")})
    params = chosen.read(brand, query)
    if not all(map(by.can, chosen.also(params))):
        raise ForbiddenError()
    is_masked, has_whole_ids = not by.can("contacts.phones"), by.can("contacts.edit")
    export = Export(brand, params, staff, is_masked, has_whole_ids)
    part = chosen.title(export)
    title = f"{chosen.label}{f' · {part}' if part else ''}"[:100]
    found = ExportFile.objects.create(
        kind=kind, format=format, title=title,
        params={**params, "_language": get_language() or "zh-hans", "_whole_ids": has_whole_ids},
        is_masked=is_masked, created_by=by.name, user_id=by.user_id, staff_id=staff.pk if staff else None,
        expires_at=clock.now() + places.EXPORT_KEPT,
    )  # fmt: skip
    audit.record(
        by,
        "export.start",
        found,
        after={"kind": kind, "filter": params, "format": format, "masked": is_masked},
    )
    job = jobs.start_job(
        brand, kind=KIND, title=f"{_('Export: %(title)s') % {'title': title}} #{found.pk}", params={"export_id": found.pk},
        by=by, n_total=chosen.count(export),
    )  # fmt: skip
    found.job_id = job.pk
    found.save(update_fields=["job_id"])
    return found


def _of(brand: Brand, row: ExportFile) -> Export:
    """The export as its kind sees it, with the person's present scope: who has lost a right meanwhile gets nothing."""
    params = {name: value for name, value in row.params.items() if not name.startswith("_")}
    has_whole_ids = bool(row.params.get("_whole_ids"))
    if row.staff_id is None:
        return Export(brand, params, None, row.is_masked, has_whole_ids)
    staff = Staff.objects.select_related("role", "store", "region").filter(pk=row.staff_id).first()
    kind = export_kind(row.kind)
    if staff is None or not all(map(staff.can, ["exports.run", kind.right, *kind.also(params)])):
        raise ForbiddenError()
    has_whole_ids = has_whole_ids and staff.can("contacts.edit")
    return Export(brand, params, staff, row.is_masked or not staff.can("contacts.phones"), has_whole_ids)


def step(brand: Brand, job: Job) -> bool:
    """One step: some pages of rows; after the last one the end of the file."""
    with transaction.atomic():
        row = ExportFile.objects.filter(pk=job.params["export_id"]).first()
        if row is None:
            raise NotFoundError()
        with translation.override(row.params.get("_language")):
            export, kind = _of(brand, row), export_kind(row.kind)
            path = places.export_folder(row) / "rows.csv"
            place, size, n = job.position.get("place"), job.position.get("size", 0), job.n_done
            sign = watermark.mark(row.pk)
            out = io.StringIO()
            writer = csv.writer(out)
            if not size:
                writer.writerow(
                    [*(harmless(name) for name in kind.columns(export)), ""]
                )  # own fields name some
            is_end = False
            for _n in range(PAGES):
                rows, place = kind.page(export, place, PAGE)
                if not rows:
                    is_end = True
                    break
                writer.writerows([[*(harmless(cell) for cell in cells), sign] for cells in rows])
                n += len(rows)
            if n > MAX_ROWS:
                raise InvalidError(_("More than %(n)s rows; narrow the filter") % {"n": f"{MAX_ROWS:,}"})
            data = out.getvalue().encode()
            _append(path, data if size else b"\xef\xbb\xbf" + data, size)
            size += len(data) + (0 if size else 3)
            if is_end:
                _finish(brand, row, job, path, n, list(kind.columns(export)))
            jobs.save_step(job, position={"place": place, "size": size}, n_done=n)
            return not is_end


def _append(path: Path, data: bytes, size: int) -> None:
    """Write behind what is committed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("r+b" if path.exists() else "wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(data)


def _finish(brand: Brand, row: ExportFile, job: Job, path: Path, n: int, headings: list[str]) -> None:
    """The last line, the workbook, and the log."""
    words = footer(brand, row, n)
    target = path.with_name(f"export.{row.format}")
    if row.format == "xlsx":
        workbook.write(path, target, words=words, title=row.title, by=row.created_by)
        path.unlink()
    else:
        with path.open("ab") as file:
            file.write((harmless(words) + "\r\n").encode())
        path.replace(target)
    row.n_rows, row.size, row.ended_at = n, target.stat().st_size, clock.now()
    row.save(update_fields=["n_rows", "size", "ended_at"])
    audit.record(Actor(row.created_by, row.user_id), "export.done", row, after={"kind": row.kind, "rows": n})


def footer(brand: Brand, row: ExportFile, n: int) -> str:
    """Who took it out, when, and of which brand."""
    export = Export(brand, {}, None)
    return _("%(brand)s · exported by %(who)s on %(when)s · %(n)s rows · no. %(number)s · internal, do not pass on") % {
        "brand": brand.name, "who": row.created_by, "when": export.when(row.created_at), "n": f"{n:,}", "number": row.pk,
    }  # fmt: skip


def is_of(row: ExportFile, by: Actor) -> bool:
    """Whether somebody asked for an export and may still see such a list."""
    same = row.user_id == by.user_id and (by.user_id is not None or row.created_by == by.name)
    return same and by.can(export_kind(row.kind).right)


def open_file(brand: Brand, *, export_id: int, by: Actor) -> tuple[Path, str]:
    """Path of a finished export and the name to save it under, for the person who asked for it; the download is logged.

    Raises:
        NotFoundError: another person's or brand's, not finished, or expired.
    """
    row = ExportFile.objects.filter(pk=export_id, ended_at__isnull=False, purged_at=None).first()
    if row is None or not is_of(row, by):
        raise NotFoundError()
    path = places.export_folder(row) / f"export.{row.format}"
    if row.expires_at < clock.now() or not path.is_file():
        raise NotFoundError(_("This file is not there any more; make it again"))
    row.n_downloads += 1
    row.save(update_fields=["n_downloads"])
    audit.record(
        by, "export.download", row, after={"kind": row.kind, "rows": row.n_rows, "n": row.n_downloads}
    )
    return path, f"{row.kind}-{row.created_at:%Y%m%d-%H%M}-{row.pk}.{row.format}"
