"""A file arrives: stored in the brand's folder, looked at, its columns guessed."""

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from django.db import transaction
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from datafiles import guess, layout
from datafiles.kinds import Kind, kind_of
from datafiles.layout import Layout
from datafiles.models import ImportFile, ImportTemplate
from datafiles.services import places, xlsx
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import InvalidError, LimitError
from tenants.models import Brand

MAX_BYTES = 200 * 1024 * 1024
SHOWN = 30  # rows of a preview
CHUNK = 1024 * 1024
_ASCII = bytes(range(128))


@dataclass(frozen=True)
class Head:
    """The beginning of a file: how it is laid out, its headings and first rows with values; of a workbook all of its
    first rows."""

    layout: Layout
    headings: list[str]
    rows: list[list[str]]
    sheet: Sequence[Sequence[str]] = ()


def receive(brand: Brand, *, kind: str, name: str, data: IO[bytes], by: Actor) -> ImportFile:
    """Keep an uploaded file and guess its columns. Call it outside of transactions: a large file takes its time.

    Raises:
        InvalidError: too large, empty, no spreadsheet.
    """
    chosen = kind_of(kind)
    draft, digest, size = _store(data)
    try:
        head = look(draft, name)
        with transaction.atomic():
            found = ImportFile.objects.create(
                kind=chosen.key,
                name=" ".join(name.replace("\x00", "").split())[-150:] or "file",
                size=size,
                digest=digest,
                layout=head.layout.as_json(),
                headings=head.headings,
                mapping=_first_mapping(brand, chosen, head),
                options={**chosen.options, "language": get_language() or "zh-hans"},
                created_by=by.name,
                user_id=by.user_id,
                staff_id=by.staff.pk if by.staff else None,
            )
            audit.record(by, "import.upload", found, after={"kind": kind, "bytes": size, "sha256": digest})
            places.move(draft, places.source_of(found))
            if head.sheet:
                _sheet_file(found).write_text(json.dumps(head.sheet), encoding="utf-8")
    finally:
        draft.unlink(missing_ok=True)
    return found


def _store(data: IO[bytes]) -> tuple[Path, str, int]:
    """Write an upload to disk piece by piece: its path, digest and size."""
    sha, size = hashlib.sha256(), 0
    path = places.uploads_folder() / hashlib.sha256(f"{clock.now()}{id(data)}".encode()).hexdigest()[:24]
    with path.open("wb") as out:
        while piece := data.read(CHUNK):
            size += len(piece)
            if size > MAX_BYTES:
                path.unlink()
                raise InvalidError(_("The file is larger than %(n)d MB") % {"n": MAX_BYTES // CHUNK})
            sha.update(piece)
            out.write(piece)
    if not size:
        path.unlink()
        raise InvalidError(_("The file is empty"))
    return path, sha.hexdigest(), size


def look(path: Path, name: str) -> Head:
    """Find out how a file is laid out.

    Raises:
        InvalidError: no spreadsheet.
    """
    with path.open("rb") as file:
        head = file.read(layout.HEAD)
    if head.startswith(b"PK\x03\x04"):
        rows = xlsx.first_rows(path)
        found, rows = layout.find_headings(Layout(form="xlsx"), rows)
        return replace(_head(found, rows), sheet=rows)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise InvalidError(_("This is the old .xls format. Save it as .xlsx or CSV."))
    if name.lower().endswith((".xlsx", ".xlsm")) or zipfile.is_zipfile(path):
        raise InvalidError(_("This file is not a spreadsheet, or it is damaged"))
    later = _beyond_ascii(path, len(head)) if head.isascii() and b"\x00" not in head else b""
    found, rows = layout.detect(head, is_whole=path.stat().st_size <= len(head), later=later)
    return _head(found, rows)


def _beyond_ascii(path: Path, start: int) -> bytes:
    """A piece of a file behind `start` from the first line on that has more than ASCII; empty without one."""
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(CHUNK):
            if not piece.isascii():
                at = len(piece) - len(piece.lstrip(_ASCII))
                line = piece.rfind(b"\n", 0, at) + 1
                return piece[line:] + file.read(layout.HEAD)
    return b""


def relook(file: ImportFile) -> Head:
    """The beginning of a stored file, by its layout."""
    path, given = places.source_of(file), layout.of_json(file.layout)
    if not path.is_file():
        raise InvalidError(_("The file is not there any more; upload it again"))
    if given.form == "xlsx":
        return _head(given, _sheet(file))
    with path.open("rb") as source:
        head = source.read(layout.HEAD)
    return _head(given, layout.read_head(head, given, is_whole=path.stat().st_size <= len(head)))


def _sheet_file(file: ImportFile) -> Path:
    return places.import_folder(file) / "sheet.json"


def _sheet(file: ImportFile) -> list[list[str]]:
    """The first rows of a workbook, kept at its upload: reading a large one takes many seconds, of each page as well."""
    kept = _sheet_file(file)
    if not kept.is_file():
        return xlsx.first_rows(places.source_of(file))
    return json.loads(kept.read_text(encoding="utf-8"))


def _head(found: Layout, rows: Sequence[Sequence[str]]) -> Head:
    start = found.first_row - 1
    values = [[str(cell) for cell in row] for row in rows[start : start + guess.SAMPLE]]
    return Head(
        found, layout.headings(found, rows), [row for row in values if any(cell.strip() for cell in row)]
    )


@transaction.atomic
def set_layout(
    brand: Brand, *, file: ImportFile, encoding: str, separator: str, titles: int, has_headings: bool
) -> ImportFile:
    """How a person says that the file is laid out; the columns are guessed anew.

    Raises:
        InvalidError: cannot be.
    """
    _may_change(file)
    given = layout.of_json(file.layout)
    if given.form == "csv" and (encoding not in layout.ENCODINGS or separator not in layout.SEPARATORS):
        raise InvalidError(_("Choose how the file is written"))
    if not 0 <= titles <= layout.MAX_TITLES:
        raise InvalidError(_("At most %(n)s lines above the headings") % {"n": layout.MAX_TITLES})
    if given.form == "csv":
        given = replace(given, encoding=encoding, separator=separator)
        if encoding != layout.of_json(file.layout).encoding:
            given = replace(given, skip=3 if _starts(file, b"\xef\xbb\xbf") and encoding == "utf-8" else
                            2 if _starts(file, b"\xff\xfe", b"\xfe\xff") and encoding.startswith("utf-16") else 0)  # fmt: skip
    file.layout = replace(given, titles=titles, has_headings=has_headings).as_json()
    head = relook(file)
    n_columns = max((len(row) for row in head.rows), default=1)
    counted = replace(head.layout, n_columns=_usual(head.rows) or n_columns)
    file.layout = counted.as_json()
    head = relook(file)
    file.headings, file.mapping = head.headings, _first_mapping(brand, kind_of(file.kind), head)
    file.state, file.checked = ImportFile.State.UPLOADED, {}
    file.save(update_fields=["layout", "headings", "mapping", "state", "checked"])
    (places.import_folder(file) / "prepared.json").unlink(missing_ok=True)
    return file


def _usual(rows: Sequence[Sequence[str]]) -> int:
    sizes = [len(row) for row in rows]
    return max(set(sizes), key=sizes.count, default=0)


def _starts(file: ImportFile, *marks: bytes) -> bool:
    with places.source_of(file).open("rb") as source:
        return source.read(4).startswith(marks)


def _may_change(file: ImportFile) -> None:
    from scrm.errors import ConflictError

    if file.state not in (ImportFile.State.UPLOADED, ImportFile.State.CHECKED):
        raise ConflictError(_("This file has been imported already"))


# ---- how files of this kind were mapped before


def signature(headings: Sequence[str]) -> str:
    return hashlib.sha256("\x1f".join(headings).encode()).hexdigest()


def _first_mapping(brand: Brand, kind: Kind, head: Head) -> dict[str, Any]:
    """As last time with the same headings; else as the newest file of this kind, where headings agree; else by guess."""
    known = ImportTemplate.objects.filter(kind=kind.key)
    same = known.filter(signature=signature(head.headings)).first()
    template = same or known.order_by("-used_at").first()
    return guess.guess(
        kind.targets(brand), head.headings, head.rows, remembered=template.mapping if template else None
    )


def remember(brand: Brand, file: ImportFile) -> None:
    """Keep the mapping of a file for the next one of its kind, in the caller's transaction."""
    options = {name: value for name, value in file.options.items() if name in kind_of(file.kind).options}
    ImportTemplate.objects.update_or_create(
        kind=file.kind,
        signature=signature(file.headings),
        defaults={
            "mapping": guess.remember(file.mapping, file.headings),
            "options": options,
            "used_at": clock.now(),
        },
    )


def same_file_before(file: ImportFile) -> ImportFile | None:
    """The newest import of the very same bytes."""
    done = ImportFile.objects.filter(digest=file.digest, kind=file.kind, state=ImportFile.State.DONE)
    return done.exclude(pk=file.pk).order_by("-created_at", "-pk").first()


__all__ = ["LimitError", "receive", "relook", "remember", "same_file_before", "set_layout"]
