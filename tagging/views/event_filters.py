"""Filters of events (tagging/rule_events.py) as fields of a form: templates/tagging/rules/_filters.html."""

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _

from scrm.errors import InvalidError
from scrm.ids import read_id
from tagging.rule_events import (
    ANSWERS,
    CHOSEN,
    FILTERS,
    IDS,
    MONEY,
    WORDS,
    RuleEvent,
    label_of,
    source_of,
    value_words,
    yuan_of,
)
from tagging.services.segments import naming
from tagging.services.segments.naming import SOURCES

MOST_CHOICES = 500
MOST_WORDS = 3  # values of a filter that a list shows


def read_filters(post: Any, event: RuleEvent) -> dict[str, Any]:
    """{filter: value} of a form, empty ones left out; `rule_events.clean_filters` checks them.

    Raises:
        InvalidError: an amount that is no number.
    """
    filters: dict[str, Any] = {}
    for name in event.filters:
        kind, text = FILTERS[name].kind, post.get(f"f_{name}", "")
        if name in CHOSEN or kind == IDS:
            given: Any = [n for part in post.getlist(f"f_{name}") for n in _parts(part)]
        elif kind == WORDS:
            given = _parts(text.replace("\n", ","))
        elif kind == MONEY:
            given = fen_of(text, name)
        else:
            pairs = (line.replace("：", ":").partition(":") for line in text.splitlines())
            given = [
                {"question": q.strip(), "answer": a.strip()}
                for q, mark, a in pairs
                if mark and q.strip() and a.strip()
            ]
        if given not in ([], None):
            filters[name] = given
    return filters


def _parts(text: str) -> list[str]:
    return [part for part in text.replace("，", ",").split(",") if part.strip()]


def fen_of(text: str, name: str) -> int | None:
    text = text.strip().replace(",", "")
    if not text:
        return None
    try:
        return round(float(text) * 100)
    except (ValueError, OverflowError) as error:
        raise InvalidError(_("A number is needed"), fields={name: _("A number is needed")}) from error


def names_of(rules: Iterable[Any]) -> dict[str, dict[int, str]]:
    """{source: {id: name}} of what the filters of rules (`event`, `filters`) name; one query for each source."""
    wanted: dict[str, set[int]] = {}
    for rule in rules:
        for name, value in rule.filters.items():
            if source := source_of(name, rule.event):
                wanted.setdefault(source, set()).update(value)
    return naming.names(wanted)


def filter_words(rule: Any, names: dict[str, dict[int, str]]) -> list[str]:
    """The filters of a rule with their values, for people; `names` of `names_of`."""
    found = []
    for name, value in rule.filters.items():
        if name not in FILTERS:
            continue
        values = value_words(name, value, rule.event, names.get(source_of(name, rule.event), {}))
        words = _(", ").join(values[:MOST_WORDS]) + (" …" if len(values) > MOST_WORDS else "")
        found.append(_("%(what)s: %(names)s") % {"what": label_of(name, rule.event), "names": words})
    return found


def filter_field(name: str, value: Any, event: str) -> dict[str, Any]:
    """A filter of an event as the form shows it."""
    kind = FILTERS[name].kind
    field: dict[str, Any] = {
        "name": f"f_{name}",
        "label": label_of(name, event),
        "kind": kind,
        "value": value,
    }
    if source := source_of(name, event):
        rows, column = SOURCES[source]
        chosen = {pk for n in value or [] if (pk := read_id(n))}  # after a refusal as typed
        found = dict(rows().values_list("pk", column)[:MOST_CHOICES])
        # what is chosen is always among them, however many there are
        found |= dict(rows().filter(pk__in=chosen - set(found)).values_list("pk", column))
        field |= {
            "kind": "choice",
            "choices": [{"id": pk, "name": words or f"#{pk}"} for pk, words in found.items()],
            "value": sorted(chosen),
        }
    elif kind in (IDS, WORDS):
        field["text"] = ", ".join(map(str, value or []))
    elif kind == MONEY:
        field["text"] = yuan_of(value)
    elif kind == ANSWERS:
        field["text"] = "\n".join(f"{row['question']}: {row['answer']}" for row in value or [])
    return field
