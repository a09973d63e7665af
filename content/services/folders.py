"""Folders of the library: a tree of at most four levels."""

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from content.models import Content, Folder
from content.services.library import folder_ids
from org import audit
from org.access import Actor
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand

MAX_DEPTH, MAX_FOLDERS = 4, 500


def tree(rows: Sequence[Folder]) -> list[tuple[Folder, int]]:
    """Folders with their depth (0, 1 …), each below its parent, by name."""
    children: dict[int | None, list[Folder]] = {}
    for row in sorted(rows, key=lambda f: f.name):
        children.setdefault(row.parent_id, []).append(row)
    result: list[tuple[Folder, int]] = []

    def walk(parent: int | None, depth: int) -> None:
        for row in children.pop(parent, []):
            result.append((row, depth))
            walk(row.pk, depth + 1)

    walk(None, 0)
    return result


def choices(rows: Sequence[Folder]) -> list[tuple[int, str]]:
    """(id, name indented by depth) for a select."""
    return [(row.pk, "　" * depth + row.name) for row, depth in tree(rows)]


def get_folder(folder_id: int) -> Folder:
    """
    Raises:
        NotFoundError: missing, or another brand's.
    """
    row = Folder.objects.filter(pk=folder_id).first()
    if row is None:
        raise NotFoundError()
    return row


@transaction.atomic
def save_folder(
    brand: Brand, *, name: str, parent_id: int | None, by: Actor, folder_id: int | None = None
) -> Folder:
    """A new folder, or one renamed and moved.

    Raises:
        InvalidError: no name, a taken one, too deep, or into itself. NotFoundError: folder or parent.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= 40:
        raise _wrong("name", _("1 to %(n)d characters") % {"n": 40})
    row = get_folder(folder_id) if folder_id else Folder()
    before = audit.snapshot(row, ["name", "parent_id"]) if folder_id else {}
    depth = 0
    if parent_id is not None:
        get_folder(parent_id)
        parents = dict(Folder.objects.values_list("pk", "parent_id"))
        here: int | None = parent_id
        while here is not None:
            if here == folder_id:
                raise _wrong("parent", _("A folder cannot lie in itself"))
            depth, here = depth + 1, parents.get(here)
    below = _height(folder_id) if folder_id else 0
    if depth + below >= MAX_DEPTH:
        raise _wrong("parent", _("At most %(n)d levels of folders") % {"n": MAX_DEPTH})
    if not folder_id and Folder.objects.count() >= MAX_FOLDERS:
        raise InvalidError(_("At most %(n)d folders") % {"n": MAX_FOLDERS})
    row.name, row.parent_id = name, parent_id
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise _wrong("name", _("There is a folder of this name here already")) from None
    verb = "content_folder.edit" if folder_id else "content_folder.create"
    audit.record(by, verb, row, before=before, after=audit.snapshot(row, ["name", "parent_id"]))
    return row


@transaction.atomic
def delete_folder(brand: Brand, *, folder_id: int, by: Actor) -> None:
    """An empty folder goes.

    Raises:
        ConflictError: something is in it. NotFoundError: no such folder.
    """
    row = get_folder(folder_id)
    if Content.objects.filter(folder=row).exists() or Folder.objects.filter(parent=row).exists():
        raise ConflictError(_("The folder is not empty. Move what is in it first (the archive counts too)."))
    audit.record(by, "content_folder.delete", row)
    row.delete()


def _height(folder_id: int) -> int:
    """Levels below a folder."""
    below = set(folder_ids(folder_id)) - {folder_id}
    parents: dict[int, Any] = dict(Folder.objects.filter(pk__in=below).values_list("pk", "parent_id"))

    def depth(pk: int) -> int:
        return 1 if parents[pk] == folder_id else 1 + depth(parents[pk])

    return max((depth(pk) for pk in below), default=0)


def _wrong(name: str, text: str) -> InvalidError:
    return InvalidError(text, fields={name: text})
