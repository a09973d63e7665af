"""The values of custom fields: read as people write them, kept by type, each change on the timeline."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from contacts.identities import normal
from contacts.models import Contact, CustomField, CustomValue, EventType, Identity
from contacts.services.fields import live_fields
from contacts.services.identity.owner_sql import whose
from contacts.services.outcomes import Outcome, Result
from contacts.services.staging import own_corpid
from contacts.services.timeline import EventRow, record_events
from org.access import Actor
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand

MAX_TEXT = 200
YES = {"1", "true", "yes", "y", "on", "是", "有"}
NO = {"0", "false", "no", "n", "off", "否", "无"}
T = CustomField.Type

Value = str | float | date | bool | None


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
    return sum(set_many(brand, {contact.pk: wanted}, by=by, source=source).values())


def set_many(
    brand: Brand, wanted: Mapping[int, Mapping[CustomField, Value]], *, by: Actor, source: str
) -> dict[int, int]:
    """Contact id → its new values (parsed), in the caller's transaction: set-based, each change on the timeline. Gives
    how many changed, by contact."""
    fields = {field.pk: field for values in wanted.values() for field in values}
    # one change after the other
    list(
        Contact.objects.select_for_update(no_key=True)
        .filter(pk__in=list(wanted))
        .order_by("pk")
        .values_list("pk")
    )
    present = values_of(wanted, list(fields.values()))
    by_field: dict[int, dict[int, Value]] = {}
    counts: dict[int, int] = {}
    events: list[EventRow] = []
    for contact_id, values in wanted.items():
        for field, value in values.items():
            old = present.get(contact_id, {}).get(field.pk)
            if old == value:
                continue
            by_field.setdefault(field.pk, {})[contact_id] = value
            counts[contact_id] = counts.get(contact_id, 0) + 1
            events.append(
                {
                    "contact_id": contact_id,
                    "type": EventType.FIELD_CHANGED,
                    "at": clock.now(),
                    "staff_id": by.staff.pk if by.staff else None,
                    "object_id": field.pk,
                    "source": source,
                    "data": {
                        "field": field.label, "by": by.name,
                        "before": show(field, old), "after": show(field, value),
                    },
                }
            )  # fmt: skip
    for field_id, changes in by_field.items():
        write_values(brand, fields[field_id], changes)
    record_events(brand, events)
    return counts


@transaction.atomic
def record_values(brand: Brand, rows: Sequence[dict[str, Any]], *, by: Actor) -> list[Outcome]:
    """Values of many contacts as somebody tells them; one outcome for each row, in order. Safe to repeat. The last row
    of a contact stands.

    Args:
        rows: {contact_id} or {buyer_kind, buyer_scope, buyer_value}, and fields: {key: value as written}.
    """
    fields = {field.key: field for field in live_fields()}
    owners = _owners(brand, rows)
    found: list[Outcome] = []
    wanted: dict[int, dict[CustomField, Value]] = {}
    for row, owner in zip(rows, owners, strict=True):
        try:
            values = {fields[key]: parse(fields[key], raw) for key, raw in row["fields"].items()}
        except KeyError as error:
            found.append(Outcome(Result.REFUSED, None, f"unknown_field: {error.args[0]}"))
            continue
        except InvalidError as error:
            found.append(Outcome(Result.REFUSED, None, f"bad_value: {error.message}"))
            continue
        if owner is None:
            found.append(Outcome(Result.REFUSED, None, "unknown_person"))
            continue
        wanted.setdefault(owner, {}).update(values)
        found.append(Outcome(Result.REPEATED, owner))
    changed = set_many(brand, wanted, by=by, source="api")
    return [
        Outcome(Result.ACCEPTED, o.id) if o.result == Result.REPEATED and o.id in changed else o
        for o in found
    ]


def _owners(brand: Brand, rows: Sequence[dict[str, Any]]) -> list[int | None]:
    """The contact of each row, by id or identity; three queries."""
    ids = {row["contact_id"] for row in rows if row.get("contact_id")}
    known = set(Contact.objects.filter(pk__in=ids).values_list("pk", flat=True))
    with connection.cursor() as cursor:
        corpid = own_corpid(cursor, brand)
        keys = [_key(row, corpid) for row in rows]
        wanted = sorted({key for key in keys if key[2]})
        cursor.execute(
            "SELECT x.kind, x.scope, x.value, i.contact_id"  # noqa: S608
            " FROM unnest(%s::text[], %s::text[], %s::text[]) x(kind, scope, value)"
            f" JOIN LATERAL {whose('x.kind', 'x.scope', 'x.value', brand='%s')} i ON true",
            [*([key[n] for key in wanted] for n in range(3)), brand.pk],
        )
        owners = {(kind, scope, value): pk for kind, scope, value, pk in cursor.fetchall()}
    given = [row.get("contact_id") for row in rows]
    return [
        (pk if pk in known else None) if pk else owners.get(key) for pk, key in zip(given, keys, strict=True)
    ]


def _key(row: dict[str, Any], corpid: str) -> tuple[str, str, str]:
    kind = row.get("buyer_kind") or ""
    scope = row.get("buyer_scope") or (corpid if kind == Identity.Kind.EXTERNAL_USERID else "")
    return kind, scope, normal(kind, row.get("buyer_value") or "")


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
