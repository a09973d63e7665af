"""What the brand has to be asked about a graph: names that exist, conditions that can be read, contents that may be sent."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from campaigns import graph as graphs
from campaigns.graph import kinds
from campaigns.graph.shape import Graph, Node, Problem, problem
from campaigns.services.journeys import dates, hooks, slots
from campaigns.services.moments import moment_content
from campaigns.services.sending import variables
from contacts.services import values as custom_values
from contacts.services.fields import live_fields
from content.models import Content
from content.services import library, sensitive
from scrm.errors import InvalidError, SCRMError
from tagging.conditions.summary import listed, sentence
from tagging.rule_events import EVENTS, FILTERS, clean_filters, event_of, source_of, value_words
from tagging.services.segments import audience, naming
from tenants.models import Brand
from wecom.services import attachments

WEEKDAYS = ("", lazy("Mon"), lazy("Tue"), lazy("Wed"), lazy("Thu"), lazy("Fri"), lazy("Sat"), lazy("Sun"))


def check(brand: Brand, graph: Graph) -> tuple[Graph, list[Problem]]:
    """A tidy graph with clean values, and everything that keeps it from being published."""
    clean, wrong = graphs.shape.read(graph, checks_of(brand))
    for node in clean["nodes"]:
        if graphs.KINDS[node["kind"]].slot and (message := slots.missing(node["kind"])):
            wrong.append(problem(node["id"], "", message))
        if (
            node["kind"] == "moments"
            and not node.get("content_id")
            and (node.get("text") or node.get("attachments"))
        ):
            text, attached = node.get("text") or "", node.get("attachments") or []
            _value, message = _tried(partial(moment_content.checked, brand, text, attached), None)
            if message:
                wrong.append(problem(node["id"], "text", message))
    return clean, wrong


def checks_of(brand: Brand) -> graphs.Checks:
    """The checks of shape.read; names are looked up once."""

    @cache
    def named(source: str) -> Callable[[Any], tuple[Any, str]]:
        return lambda ids: _ids(source, ids)

    @cache
    def fields() -> dict[str, Any]:
        return {field.key: field for field in live_fields()}

    def field(value: Any, node: Node) -> tuple[Any, str]:
        return value, "" if value in fields() else _("There is no such field any more")

    def field_value(value: Any, node: Node) -> tuple[Any, str]:
        if (custom := fields().get(str(node.get("field")))) is None:
            return value, ""
        return _tried(lambda: custom_values.parse(custom, value) is not None and value, value)

    def date_field(value: Any, node: Node) -> tuple[Any, str]:
        return value, "" if value in dates.choices(fields().values()) else _("Choose one of the list")

    return {
        kinds.EVENT: lambda value, node: (value, "" if value in EVENTS else _("Choose one of the list")),
        kinds.FILTERS: _filters,
        kinds.CONDITION: lambda value, node: _tried(lambda: audience.read(brand, value), value),
        kinds.TAGS: lambda value, node: named("tags")(value),
        kinds.CODES: lambda value, node: named("codes")(value),
        kinds.SEGMENT: lambda value, node: _one(named("segments"), value),
        kinds.GROUP_CODE: lambda value, node: _one(named("group_codes"), value),
        kinds.FIELD: field,
        kinds.VALUE: field_value,
        kinds.DATE_FIELD: date_field,
        kinds.MESSAGE: lambda value, node: _tried(lambda: _message(str(value)), value),
        kinds.ATTACHMENTS: lambda value, node: _tried(lambda: _attachments(value), value),
        kinds.CONTENT: lambda value, node: _content(brand, value),
        kinds.URL: lambda value, node: _tried(lambda: hooks.check_url(str(value)), value),
    }  # fmt: skip


def _message(text: str) -> str:
    variables.check_text(text)
    sensitive.check_here(text)
    return text


def _attachments(value: Any) -> list[dict[str, Any]]:
    clean = attachments.validate(value)
    sensitive.check_here("", clean)
    return clean


def _tried(act: Callable[[], Any], value: Any) -> tuple[Any, str]:
    try:
        return act(), ""
    except SCRMError as error:
        return value, str(error.message)
    except (TypeError, ValueError, KeyError, AttributeError):
        return value, _("This cannot be read")


def _filters(value: Any, node: Node) -> tuple[Any, str]:
    if node.get("event") not in EVENTS:
        return value, ""  # the event is what is wrong
    return _tried(lambda: clean_filters(event_of(node["event"]), value), value)


def _ids(source: str, value: Any) -> tuple[Any, str]:
    if not isinstance(value, list) or not all(isinstance(n, int) and 0 < n < 2**63 for n in value):
        return value, _("Choose from the list")
    known = naming.names({source: value})[source]
    return value, "" if len(known) == len(set(value)) else _("Something chosen here does not exist any more")


def _one(check_ids: Callable[[Any], tuple[Any, str]], value: Any) -> tuple[Any, str]:
    return value, check_ids([value])[1]


def _content(brand: Brand, value: Any) -> tuple[Any, str]:
    if not isinstance(value, int) or isinstance(value, bool):
        return value, _("Choose from the list")
    return _tried(lambda: library.usable(brand, value).content_id, value)


# ---- words


def say_for(brand: Brand) -> Callable[[str, Any], str]:
    """Names of what a graph speaks of, for graph.words."""

    @cache
    def field_labels() -> dict[str, str]:
        return {field.key: field.label for field in live_fields()}

    def names(source: str, ids: Any) -> str:
        known = naming.names({source: ids})[source]
        return listed(known.get(n) or f"#{n}" for n in ids)

    def of_filter(name: str, value: Any, event: str) -> str:
        source = source_of(name, event)
        known = naming.names({source: value})[source] if source else {}
        return listed(value_words(name, value, event, known))

    def filters(value: dict[str, Any]) -> str:
        parts, event = [], str(value.get("event"))
        for name in value:
            if name not in FILTERS:
                continue
            try:
                said = of_filter(name, value[name], event)
            except (KeyError, TypeError, ValueError):  # a draft: anything may stand there
                said = "—"
            # of a link, a form, a moment its name says enough
            is_plain = name == "object_ids" and bool(source_of(name, event))
            parts.append(
                said if is_plain else _("%(what)s: %(names)s") % {"what": FILTERS[name].label, "names": said}
            )
        return "; ".join(parts)

    def condition(value: Any) -> str:
        try:
            return sentence(value, naming.known(value))
        except (KeyError, TypeError, ValueError, AttributeError, InvalidError):
            return _("a condition that cannot be read")

    say: dict[str, Callable[[Any], str]] = {
        kinds.TAGS: lambda v: names("tags", v),
        kinds.CODES: lambda v: names("codes", v or []),
        kinds.SEGMENT: lambda v: names("segments", [v]) if isinstance(v, int) else "—",
        kinds.GROUP_CODE: lambda v: names("group_codes", [v]) if isinstance(v, int) else "—",
        kinds.EVENT: lambda v: str(EVENTS[v].label) if v in EVENTS else "—",
        kinds.FILTERS: filters,
        kinds.CONDITION: condition,
        kinds.FIELD: lambda v: field_labels().get(v, str(v)),
        kinds.DATE_FIELD: lambda v: str(dates.choices(live_fields()).get(v, v)),
        kinds.WEEKDAYS: lambda v: _(", ").join(str(WEEKDAYS[n] if 0 < n <= 7 else n) for n in v),
        kinds.CONTENT: lambda v: (
            Content.objects.filter(pk=v).values_list("name", flat=True).first() or f"#{v}"
        ),
    }
    return lambda of, value: (
        say[of](value) if of in say and value is not None else graphs.words.say_plainly(of, value)
    )
