"""Audit entries in words: what was done to what, and which values changed (`{% load audit %}`)."""

import re
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.utils.translation import gettext as _

from org.access import RIGHTS
from org.audit_fields import FIELDS
from org.audit_values import value_words
from org.audit_words import OBJECTS, STATES, VERBS
from org.models import AuditEntry

register = template.Library()

PAGES = {
    "staff": "/staff/{}/",
    "role": "/staff/roles/{}/",
    "contact": "/contacts/{}/",
    "channelcode": "/codes/{}/",
    "sop": "/sops/{}/",
    "broadcast": "/broadcasts/{}/",
    "moment": "/moments/{}/",
    "segment": "/segments/{}/",
    "content": "/content/{}/",
    "tagrule": "/tags/rules/{}/",
}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")


@register.filter
def action_words(action: str) -> str:
    """`role.edit` → 'Role changed'; an unknown action is shown as it is."""
    thing, _dot, verb = action.partition(".")
    if thing in OBJECTS and verb in VERBS:
        return _("%(thing)s %(done)s") % {"thing": OBJECTS[thing], "done": VERBS[verb]}
    return action


@register.filter
def audit_url(entry: AuditEntry) -> str:
    """The page of the row concerned, if it has one; the row may be gone since."""
    pattern = PAGES.get(entry.object_type)
    return (
        pattern.format(entry.object_id)
        if pattern and entry.object_id and ".delete" not in entry.action
        else ""
    )


@register.simple_tag(takes_context=True)
def changed(context: dict, entry: AuditEntry) -> list[dict[str, Any]]:
    """`changes` with moments in the brand's zone."""
    brand: Any = getattr(context.get("request"), "brand", None)
    return changes(entry, ZoneInfo(brand.timezone) if brand else UTC)


def changes(entry: AuditEntry, zone: tzinfo = UTC) -> list[dict[str, Any]]:
    """Rows {name, old, new} of an entry; of two lists only what came and what went."""
    before, after = entry.before, entry.after
    rows = []
    for name in [*after, *(k for k in before if k not in after)]:
        old, new = before.get(name), after.get(name)
        if isinstance(old, list) and isinstance(new, list):
            old, new = [v for v in old if v not in new], [v for v in new if v not in old]
        rows.append(
            {
                "name": FIELDS.get(name, name.replace("_", " ")),
                "old": _text(_worded(entry, name, old), zone),
                "new": _text(_worded(entry, name, new), zone),
            }
        )
    return rows


def _worded(entry: AuditEntry, name: str, value: Any) -> Any:
    """Codes as words, also inside lists and dicts."""
    if isinstance(value, list):
        return [_worded(entry, name, one) for one in value]
    if isinstance(value, dict):
        return {key: _worded(entry, key, one) for key, one in value.items()}
    found = value_words(entry.action, entry.object_type, name, value)
    return STATES.get(found, found) if name == "state" and isinstance(found, str) else found


def _text(value: Any, zone: tzinfo) -> str:
    if value is None or value == "" or value in ([], {}):
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return _(", ").join(_text(v, zone) for v in value)
    if isinstance(value, dict):
        return _(", ").join(f"{FIELDS.get(k, k)}: {_text(v, zone)}" for k, v in value.items())
    if not isinstance(value, str):
        return str(value)  # a number, or words that are translated now
    if MOMENT.match(value):
        try:
            return f"{datetime.fromisoformat(value).astimezone(zone):%Y-%m-%d %H:%M}"
        except (ValueError, OverflowError):  # a name that only begins like a moment
            return value
    return str(RIGHTS.get(value, value))
