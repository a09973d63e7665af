"""What the audit log calls values that are kept as codes. Those of a field with choices are said by its model; the table
says where the words of the others stand, in apps above this one."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.apps import apps
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

# (what the act is done to, name of the value): where pairs, choices of a model, or a dict of what has a label stand;
# short ones stand here
VALUES: dict[tuple[str, str], str | dict[Any, Any]] = {
    ("alert_rule", "event"): "tagging.rule_events.EVENTS",
    ("broadcast", "every"): "campaigns.views.broadcast_edit.REPEATS",
    ("broadcast", "goal"): "campaigns.views.broadcast_edit.GOALS",
    ("broadcast", "why"): {"rule": _("the rule"), "time": _("the time was over")},
    ("drift", "auto"): "drift.kinds.KINDS",
    ("drift", "kind"): "drift.kinds.KINDS",
    ("drift", "kinds"): "drift.kinds.KINDS",
    ("export", "kind"): "datafiles.exports.KINDS",
    ("import", "kind"): "datafiles.kinds.KINDS",
    ("intercept", "semantics"): "content.models.InterceptRule:Semantic",
    ("no_contact", "kinds"): "campaigns.models.Touch:Kind",
    ("sensitive_word", "level"): "content.models.SensitiveWord:Level",
    ("sync", "kind"): {"full": _("everything"), "changes": _("what has changed"), "guide": _("of one guide")},
    ("tag_rule", "event"): "tagging.rule_events.EVENTS",
    ("task", "kind"): "campaigns.models.StaffTask:Kind",
    ("code", "audience"): "livecodes.models.Welcome:Audience",
    ("welcome", "gender"): {0: _("Unknown"), 1: _("Male"), 2: _("Female")},
}

PATH = re.compile(r"[a-z_]+(\.\w+)+")


def value_words(action: str, object_type: str, name: str, value: Any) -> Any:
    """The words of a code, or the value as it is."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        return value
    thing = action.partition(".")[0]
    return (_of_table(thing, name) or _of_model(object_type, name)).get(value, value)


@cache
def _of_table(thing: str, name: str) -> Mapping[Any, Any]:
    given = VALUES.get((thing, name), {})
    found: Any = given
    if isinstance(given, str):
        path, _colon, inner = given.partition(":")
        found = import_string(path)
        found = getattr(found, inner).choices if inner else found
    return {key: _label(one) for key, one in dict(found).items()}


def _label(one: Any) -> Any:
    """Of what has one; a table may name by a dotted path what has it."""
    if isinstance(one, str) and PATH.fullmatch(one):
        one = import_string(one)
    return getattr(one, "label", one)


@cache
def _of_model(object_type: str, name: str) -> Mapping[Any, Any]:
    """Choices of the field of this name, of whatever the entry is about."""
    for model in apps.get_models():
        if model._meta.model_name == object_type:
            field = next((f for f in model._meta.fields if f.name == name), None)
            return dict(getattr(field, "flatchoices", ()) or ())
    return {}
