"""自定义字段: a brand's own fields of customers, and their values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from contacts.models import CustomField, CustomValue
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand

MAX_FIELDS, MAX_OPTIONS, MAX_TEXT = 60, 100, 200
KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
YES = {"1", "true", "yes", "y", "on", "是", "有"}
NO = {"0", "false", "no", "n", "off", "否", "无"}
T = CustomField.Type

Value = str | float | date | bool | None


def live_fields() -> list[CustomField]:
    """The brand's fields in their order, archived ones not."""
    return list(CustomField.objects.filter(archived_at=None).order_by("position", "pk"))


def get_field(field_id: int) -> CustomField:
    found = CustomField.objects.filter(pk=field_id).first()
    if found is None:
        raise NotFoundError()
    return found


# ---- the fields themselves


@transaction.atomic
def create_field(
    brand: Brand, *, by: Actor, label: str, type: str, options: Sequence[str] = (), key: str = ""
) -> CustomField:
    """A new field at the end of the list.

    Args:
        key: its name in files and the API; made from a number when empty.

    Raises:
        InvalidError, ConflictError: the key is taken, or there are too many.
    """
    label = label_of(label)
    if type not in T.values:
        raise InvalidError(_("Choose one of the list"), fields={"type": _("Choose one of the list")})
    if CustomField.objects.filter(archived_at=None).count() >= MAX_FIELDS:
        raise ConflictError(_("At most %(n)s fields; archive one first") % {"n": MAX_FIELDS})
    key = key.strip().lower() or f"field_{CustomField.objects.count() + 1}"
    if not KEY.fullmatch(key):
        text = _("Small letters, digits and _ only, beginning with a letter")
        raise InvalidError(text, fields={"key": text})
    last = CustomField.objects.order_by("-position").values_list("position", flat=True).first() or 0
    try:
        with transaction.atomic():
            field = CustomField.objects.create(
                key=key, label=label, type=type, position=last + 1, options=_options(type, options)
            )
    except IntegrityError as error:
        text = _("There is a field with this key already")
        raise ConflictError(text, fields={"key": text}) from error
    after = {"name": label, "key": key, "type": type, "options": field.options}
    audit.record(by, "field.create", field, after=after)
    return field


@transaction.atomic
def edit_field(
    brand: Brand,
    field_id: int,
    *,
    by: Actor,
    label: str,
    options: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
) -> CustomField:
    """Change name and options. Values of options that are gone stay with those who have them.

    Args:
        renamed: old option → new one; the values follow.
    """
    field = get_field(field_id)
    before = {"name": field.label, "options": field.options}
    field.label, field.options = label_of(label), _options(field.type, options)
    field.save(update_fields=["label", "options"])
    for old, new in (renamed or {}).items():
        if old != new and new in field.options:
            CustomValue.objects.filter(field=field, value_text=old).update(value_text=new)
    audit.record(
        by, "field.edit", field, before=before, after={"name": field.label, "options": field.options}
    )
    return field


@transaction.atomic
def set_archived(brand: Brand, field_id: int, *, by: Actor, archived: bool) -> CustomField:
    """Put a field away, with its values, or bring it back."""
    field = get_field(field_id)
    if (field.archived_at is not None) != archived:
        field.archived_at = clock.now() if archived else None
        field.save(update_fields=["archived_at"])
        audit.record(by, "field.archive" if archived else "field.restore", field)
    return field


@transaction.atomic
def move_field(brand: Brand, field_id: int, *, down: bool) -> None:
    """One place up or down in the list."""
    move_in(
        list(CustomField.objects.select_for_update().filter(archived_at=None).order_by("position", "pk")),
        field_id,
        down=down,
    )


def move_in(rows: list[Any], row_id: int, *, down: bool) -> None:
    """Swap a row of an ordered list with its neighbour and number all of them."""
    at = next((n for n, row in enumerate(rows) if row.pk == row_id), None)
    if at is None:
        raise NotFoundError()
    to = min(max(at + (1 if down else -1), 0), len(rows) - 1)
    rows.insert(to, rows.pop(at))
    for n, row in enumerate(rows):
        if row.position != n:
            row.position = n
            row.save(update_fields=["position"])


def label_of(text: str) -> str:
    text = " ".join(text.replace("\x00", "").split())[:40]
    if not text:
        raise InvalidError(_("A name is needed"), fields={"label": _("A name is needed")})
    return text


def _options(type: str, options: Iterable[str]) -> list[str]:
    if type != T.CHOICE:
        return []
    found = list(dict.fromkeys(" ".join(o.replace("\x00", "").split())[:60] for o in options if o.strip()))
    if not found:
        text = _("A choice needs at least one option")
        raise InvalidError(text, fields={"options": text})
    if len(found) > MAX_OPTIONS:
        text = _("At most %(n)s options") % {"n": MAX_OPTIONS}
        raise InvalidError(text, fields={"options": text})
    return found
