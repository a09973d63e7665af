"""自定义字段: a brand's own fields of customers, and their values."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from contacts.models import Contact, CustomField, CustomValue, EventType
from contacts.services.timeline import EventRow, record_events
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
    label = _label(label)
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
    field.label, field.options = _label(label), _options(field.type, options)
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


def _label(text: str) -> str:
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


# ---- values


def parse(field: CustomField, raw: Any) -> Value:
    """A value as somebody wrote it (text of a form or file, JSON of the API); empty is None.

    Raises:
        InvalidError: it cannot be one of this field; `fields` names the key.
    """
    text = raw.replace("\x00", "").strip() if isinstance(raw, str) else raw
    if text is None or text == "":
        return None
    try:
        return _PARSERS[T(field.type)](field, text)
    except (ValueError, TypeError, OverflowError) as error:
        words = str(error.args[0]) if isinstance(error, _Wrong) else str(_WORDS[T(field.type)]())
        raise InvalidError(f"{field.label}: {words}", fields={field.key: words}) from error


class _Wrong(ValueError):
    """With words of its own."""


def _text(field: CustomField, raw: Any) -> str:
    if not isinstance(raw, (str, int, float)) or isinstance(raw, bool):
        raise ValueError
    if len(str(raw)) > MAX_TEXT:
        raise _Wrong(_("At most %(n)s characters") % {"n": MAX_TEXT})
    return str(raw)


def _number(field: CustomField, raw: Any) -> float:
    if isinstance(raw, bool):
        raise ValueError
    value = float(raw.replace(",", "").replace("，", "")) if isinstance(raw, str) else float(raw)
    if not math.isfinite(value):
        raise ValueError
    return value


def _date(field: CustomField, raw: Any) -> date:
    if isinstance(raw, date):
        return raw
    parts = re.fullmatch(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?", raw)
    if parts is None:
        raise ValueError
    year, month, day = (int(part) for part in parts.groups())
    return date(year, month, day)


def _choice(field: CustomField, raw: Any) -> str:
    if raw not in field.options:
        raise ValueError
    return raw


def _bool(field: CustomField, raw: Any) -> bool:
    word = str(raw).lower()
    if word not in YES | NO:
        raise ValueError
    return word in YES


_PARSERS: dict[T, Any] = {
    T.TEXT: _text, T.NUMBER: _number, T.DATE: _date, T.CHOICE: _choice, T.BOOL: _bool,
}  # fmt: skip
_WORDS: dict[T, Any] = {
    T.TEXT: lambda: _("This is not a text"),
    T.NUMBER: lambda: _("This is not a number"),
    T.DATE: lambda: _("A date such as 2026-03-01 is needed"),
    T.CHOICE: lambda: _("This is not one of the options"),
    T.BOOL: lambda: _("Yes or no is needed"),
}


def show(field: CustomField, value: Value) -> str:
    """A value for people; empty for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return f"{value:,.10g}" if isinstance(value, float) else str(value)


def values_of(contact_ids: Iterable[int], fields: Sequence[CustomField]) -> dict[int, dict[int, Value]]:
    """Contact id → field id → value, for a page of contacts: one query."""
    columns = {field.pk: field.column for field in fields}
    found: dict[int, dict[int, Value]] = {}
    rows = CustomValue.objects.filter(contact__in=list(contact_ids), field__in=list(columns))
    for row in rows:
        found.setdefault(row.contact_id, {})[row.field_id] = getattr(row, columns[row.field_id])
    return found


@transaction.atomic
def set_values(
    brand: Brand, *, contact: Contact, values: Mapping[CustomField, Any], by: Actor, source: str = "page"
) -> int:
    """Set some fields of one contact as written (`parse`), each change on the timeline; gives how many changed.

    Raises:
        InvalidError: a value cannot be read; then nothing is changed.
    """
    wanted = {field: parse(field, raw) for field, raw in values.items()}
    Contact.objects.select_for_update(no_key=True).filter(pk=contact.pk).first()  # one change after the other
    present = values_of([contact.pk], list(wanted)).get(contact.pk, {})
    changed = {field: value for field, value in wanted.items() if present.get(field.pk) != value}
    now, events = clock.now(), []
    for field, value in changed.items():
        write_values(brand, field, {contact.pk: value})
        event: EventRow = {
            "contact_id": contact.pk,
            "type": EventType.FIELD_CHANGED,
            "at": now,
            "staff_id": by.staff.pk if by.staff else None,
            "object_id": field.pk,
            "source": source,
            "data": {
                "field": field.label, "by": by.name,
                "before": show(field, present.get(field.pk)), "after": show(field, value),
            },
        }  # fmt: skip
        events.append(event)
    record_events(brand, events)
    return len(changed)


_SQL_TYPES = {
    "value_text": "text", "value_number": "float8", "value_date": "date", "value_bool": "boolean",
}  # fmt: skip


def write_values(brand: Brand, field: CustomField, values: Mapping[int, Value]) -> int:
    """Values of one field for many contacts (contact id → value of its type, None takes it away), in the caller's
    transaction; set-based, unchanged rows are not touched, nothing on the timeline. Gives how many changed."""
    column = connection.ops.quote_name(field.column)
    kind = _SQL_TYPES[field.column]
    given = sorted((pk, value) for pk, value in values.items() if value is not None)
    gone = sorted(pk for pk, value in values.items() if value is None)
    n = 0
    with connection.cursor() as cursor:
        if gone:
            cursor.execute(
                "DELETE FROM contacts_customvalue WHERE brand_id = %s AND field_id = %s AND contact_id = ANY(%s)",
                [brand.pk, field.pk, gone],
            )
            n += cursor.rowcount
        if given:
            cursor.execute(
                f"INSERT INTO contacts_customvalue AS v (brand_id, field_id, contact_id, {column})"  # noqa: S608
                f" SELECT %s, %s, x.id, x.value FROM unnest(%s::bigint[], %s::{kind}[]) x(id, value)"
                "   LEFT JOIN contacts_customvalue o ON o.brand_id = %s AND o.field_id = %s AND o.contact_id = x.id"
                f" WHERE o.{column} IS DISTINCT FROM x.value ORDER BY x.id"
                f" ON CONFLICT (brand_id, field_id, contact_id) DO UPDATE SET {column} = excluded.{column}",
                [brand.pk, field.pk, [pk for pk, _v in given], [v for _pk, v in given], brand.pk, field.pk],
            )
            n += cursor.rowcount
    return n
