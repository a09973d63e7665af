"""Many items at once: pictures and files dropped onto the library, move, archive."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from content.models import Content
from content.services import editing, folders
from content.services.editing import ContentInput, Saved
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from tenants.models import Brand
from wecom.services import media

MAX_FILES = 30
_KINDS = {".jpg": "image", ".jpeg": "image", ".png": "image", ".mp4": "video"}


def kind_of(name: str) -> str:
    """What a file is to WeCom, by the end of its name; its content is checked when it is kept."""
    return next((kind for end, kind in _KINDS.items() if name.lower().endswith(end)), "file")


def add_files(
    brand: Brand, *, files: Iterable[Any], folder_id: int | None, by: Actor
) -> tuple[list[Saved], list[tuple[str, str]]]:
    """An item for each file; gives what was made, and (name, reason) of what cannot be used.

    Raises:
        InvalidError: too many at once. NotFoundError: no such folder.
    """
    given = list(files)
    if len(given) > MAX_FILES:
        raise InvalidError(_("At most %(n)d files at once") % {"n": MAX_FILES})
    if folder_id is not None:
        folders.get_folder(folder_id)
    made: list[Saved] = []
    bad: list[tuple[str, str]] = []
    for file in given:
        name = str(file.name or "")
        try:
            with transaction.atomic():
                kept = media.save_upload(brand, file=file, kind=kind_of(name))
                title = kept.name.rsplit(".", 1)[0][-60:].strip() or kept.name[:60]
                attachments = [{"type": kept.kind, "file_id": kept.pk}]
                item = ContentInput(name=title, attachments=attachments, folder_id=folder_id)
                made.append(editing.create_content(brand, given=item, by=by))
        except InvalidError as error:
            bad.append((name, str(error.message)))
    return made, bad


@transaction.atomic
def move(brand: Brand, *, content_ids: Sequence[int], folder_id: int | None, by: Actor) -> int:
    """Items into a folder (None: none).

    Raises:
        NotFoundError: no such folder, or none of the items.
    """
    folder = folders.get_folder(folder_id) if folder_id is not None else None
    rows = _known(content_ids)
    Content.objects.filter(pk__in=[row.pk for row in rows]).update(folder=folder)
    audit.record(
        by, "content.move", after={"folder": str(folder or ""), "items": [r.name for r in rows][:50]}
    )
    return len(rows)


@transaction.atomic
def archive_many(brand: Brand, *, content_ids: Sequence[int], by: Actor) -> int:
    """Items into the archive; those that are there already stay. Raises NotFoundError for none."""
    rows = [row for row in _known(content_ids) if row.archived_at is None]
    Content.objects.filter(pk__in=[row.pk for row in rows]).update(archived_at=clock.now())
    for row in rows:
        audit.record(by, "content.archive", row)
    return len(rows)


def _known(content_ids: Sequence[int]) -> list[Content]:
    rows = list(Content.objects.filter(pk__in=list(content_ids)[:500]))
    if not rows:
        raise NotFoundError()
    return rows
