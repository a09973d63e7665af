"""Filters of events (tagging/rule_events.py) as fields of a form: templates/tagging/rules/_filters.html."""

from typing import Any

from django.utils.translation import gettext as _

from scrm.errors import InvalidError
from tagging.rule_events import ANSWERS, FILTERS, IDS, MONEY, WORDS, RuleEvent
from tagging.services.naming import SOURCES

# filters of ids that are chosen from a list: name → source of tagging/services/naming.py
CHOSEN = {
    "tag_ids": "tags", "staff_ids": "staff", "code_ids": "codes", "stores": "stores", "product_ids": "products",
    "seen_product_ids": "products", "behaviour_ids": "behaviours",
}  # fmt: skip
MOST_CHOICES = 500


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


def yuan_of(fen: Any) -> str:
    return f"{fen / 100:.2f}".removesuffix(".00") if isinstance(fen, int) else ""


def filter_field(name: str, value: Any) -> dict[str, Any]:
    kind = FILTERS[name].kind
    field: dict[str, Any] = {"name": f"f_{name}", "label": FILTERS[name].label, "kind": kind, "value": value}
    if name in CHOSEN:
        rows, column = SOURCES[CHOSEN[name]]
        field |= {
            "kind": "choice",
            "choices": list(rows().values_list("pk", column)[:MOST_CHOICES]),
            "value": value or [],
        }
    elif kind in (IDS, WORDS):
        field["text"] = ", ".join(map(str, value or []))
    elif kind == MONEY:
        field["text"] = yuan_of(value)
    elif kind == ANSWERS:
        field["text"] = "\n".join(f"{row['question']}: {row['answer']}" for row in value or [])
    return field
