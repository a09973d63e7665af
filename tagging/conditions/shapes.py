"""The shape of a condition and what is wrong with one; pure.

A condition is JSON: a group `{"all": […]}`, `{"any": […]}` or `{"not": …}`, or a leaf `{"kind": "tags", …}` whose
parameters tagging/conditions/leaves.py lists. What cannot be read raises; nothing is ever taken to mean everybody.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from scrm.errors import InvalidError
from tagging.conditions import windows
from tagging.conditions.leaves import LEAVES, Leaf, Param

Condition = dict[str, Any]

MAX_DEPTH = 8
MAX_LEAVES = 60
MAX_IDS = 500
MAX_TEXTS = 100
MAX_TEXT = 200
OPS = ("eq", "ne", "ge", "gt", "le", "lt", "between")


@dataclass(frozen=True)
class Problem:
    """What is wrong with one place of a condition.

    Attributes:
        path: which node, as the positions in the groups from the outside in: `0.2`; empty for the whole.
        param: which parameter of the leaf; empty for the whole.
    """

    path: str
    param: str
    text: str


class ConditionError(InvalidError):
    """A condition that cannot be read; `problems` says where and why."""

    code = "condition"

    def __init__(self, problems: list[Problem]) -> None:
        shown = [{"path": p.path, "param": p.param, "text": p.text} for p in problems]
        super().__init__(problems[0].text, problems=shown)
        self.problems = problems


@dataclass(frozen=True)
class Known:
    """What a condition may name: source (tags, staff, segments …) → {id: name}, and custom fields by key.

    A name that is not here is refused. Whoever has no names to compare with passes none.
    """

    names: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    fields: Mapping[str, "FieldType"] = field(default_factory=dict)


@dataclass(frozen=True)
class FieldType:
    """A custom field: type text, number, date, choice or bool."""

    label: str
    type: str
    options: tuple[str, ...] = ()


def parse(raw: Any, known: Known | None = None) -> Condition:
    """Read a condition; gives it with nothing but what it means.

    Raises:
        ConditionError: with every problem found.
    """
    reader = _Reader(known)
    condition = reader.node(raw, "", 1)
    if not reader.problems and reader.n_leaves > MAX_LEAVES:
        reader.wrong("", "", _("At most %(n)d conditions") % {"n": MAX_LEAVES})
    if reader.problems:
        raise ConditionError(reader.problems)
    return condition


def leaves(condition: Condition) -> Iterator[Condition]:
    """All leaves of a condition that has been read."""
    for key in ("all", "any"):
        for item in condition.get(key, ()):
            yield from leaves(item)
    if "not" in condition:
        yield from leaves(condition["not"])
    if "kind" in condition:
        yield condition


def references(condition: Condition) -> dict[str, set[int]]:
    """The ids that a condition names, by source: {"tags": {1, 2}, "segments": {7}}; a stored leaf of a kind that is not
    known (`read` refuses it) names none."""
    found: dict[str, set[int]] = {}
    for leaf in leaves(condition):
        known = LEAVES.get(leaf["kind"])
        for param in known.params if known else ():
            if param.type == "ids" and leaf.get(param.name):
                found.setdefault(param.source, set()).update(leaf[param.name])
    return found


class _Reader:
    def __init__(self, known: Known | None) -> None:
        self.known = known
        self.problems: list[Problem] = []
        self.n_leaves = 0

    def wrong(self, path: str, param: str, text: str) -> None:
        self.problems.append(Problem(path, param, text))

    def node(self, raw: Any, path: str, depth: int) -> Condition:
        if not isinstance(raw, dict):
            self.wrong(path, "", _("A condition is needed here"))
        elif depth > MAX_DEPTH:
            self.wrong(path, "", _("Groups are nested more than %(n)d deep") % {"n": MAX_DEPTH})
        elif len(found := [key for key in ("all", "any", "not", "kind") if key in raw]) != 1:
            self.wrong(path, "", _("This is neither a group nor a condition"))
        elif found[0] == "kind":
            return self.leaf(raw, path)
        elif extra := sorted(set(raw) - {found[0]}):
            self.wrong(path, extra[0], _("Unknown: %(name)s") % {"name": extra[0]})
        elif found[0] == "not":
            return {"not": self.node(raw["not"], f"{path}.0".lstrip("."), depth + 1)}
        elif not isinstance(raw[found[0]], list) or not raw[found[0]]:
            self.wrong(path, "", _("This group is empty"))
        else:
            items = enumerate(raw[found[0]])
            return {found[0]: [self.node(item, f"{path}.{i}".lstrip("."), depth + 1) for i, item in items]}
        return {}

    def leaf(self, raw: Condition, path: str) -> Condition:
        self.n_leaves += 1
        kind = raw["kind"]
        leaf = LEAVES.get(kind) if isinstance(kind, str) else None
        if leaf is None:
            self.wrong(path, "kind", _("Unknown condition: %(name)s") % {"name": str(kind)[:40]})
            return {}
        params = {param.name: param for param in leaf.params}
        for name in sorted(set(raw) - set(params) - {"kind"}, key=str):
            self.wrong(path, str(name), _("Unknown: %(name)s") % {"name": str(name)[:40]})
        read: Condition = {"kind": kind}
        for name, param in params.items():
            value = raw.get(name)
            if value is None or value in ("", []):
                if param.default is not None:
                    read[name] = param.default
                elif param.required(raw):
                    self.wrong(path, name, str(param.missing or _("This is needed")))
                continue
            try:
                read[name] = READERS[param.type](value, param, self.known)
            except _Wrong as error:
                self.wrong(path, name, str(error))
        if leaf.check and not any(p.path == path for p in self.problems):
            for name, text in leaf.check(read, self.known):
                self.wrong(path, name, text)
        return read


class _Wrong(ValueError):
    pass


def _ids(value: Any, param: Param, known: Known | None) -> list[int]:
    if not isinstance(value, list) or not all(type(n) is int and 0 < n < 2**63 for n in value):
        raise _Wrong(_("A list of numbers is needed"))
    if len(value) > MAX_IDS:
        raise _Wrong(_("At most %(n)d can be chosen") % {"n": MAX_IDS})
    ids = sorted(set(value))
    if known is not None:
        names = known.names.get(param.source, {})
        if gone := [n for n in ids if n not in names]:
            text = _("Something chosen here does not exist any more (%(ids)s)")
            raise _Wrong(text % {"ids": ", ".join(map(str, gone[:5]))})
    return ids


def _words(value: Any, param: Param, known: Known | None) -> list[Any]:
    if not isinstance(value, list):
        raise _Wrong(_("A list is needed"))
    for word in value:
        if word not in param.options or isinstance(word, bool):
            raise _Wrong(_("Unknown: %(name)s") % {"name": str(word)[:40]})
    return [option for option in param.options if option in value]


def _word(value: Any, param: Param, known: Known | None) -> str:
    if not isinstance(value, str) or value not in param.options:
        raise _Wrong(_("Unknown: %(name)s") % {"name": str(value)[:40]})
    return value


def _texts(value: Any, param: Param, known: Known | None) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise _Wrong(_("A list of words is needed"))
    return list(dict.fromkeys(_text(text, param, known) for text in value))[:MAX_TEXTS]


def _text(value: Any, param: Param, known: Known | None) -> str:
    if not isinstance(value, str) or not value.strip() or "\x00" in value:
        raise _Wrong(_("A text is needed"))
    if len(value) > MAX_TEXT:
        raise _Wrong(_("At most %(n)d characters") % {"n": MAX_TEXT})
    return value.strip()


def _bool(value: Any, param: Param, known: Known | None) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(_("Yes or no is needed"))
    return value


def _int(value: Any, param: Param, known: Known | None) -> int:
    if type(value) is not int or not 1 <= value <= 1_000_000:
        raise _Wrong(_("A whole number from 1 is needed"))
    return value


def _compare(value: Any, param: Param, known: Known | None) -> dict[str, Any]:
    """{"op": one of OPS, "value": number, "to": number (of between)}."""
    if not isinstance(value, dict) or set(value) - {"op", "value", "to"}:
        raise _Wrong(_("A comparison with a number is needed"))
    op = value.get("op")
    if op not in OPS:
        raise _Wrong(_("Unknown: %(name)s") % {"name": str(op)[:40]})
    read = {"op": op, "value": _number(value.get("value"))}
    if op == "between":
        read["to"] = _number(value.get("to"))
        if read["to"] < read["value"]:
            raise _Wrong(_("The second number is less than the first one"))
    return read


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 10**15:
        raise _Wrong(_("A number is needed"))
    return value


def _window(value: Any, param: Param, known: Known | None) -> windows.Window:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in param.options:
        raise _Wrong(_("Choose a time"))
    read: windows.Window = {"type": kind}
    allowed = WINDOW_PARAMS.get(kind, ())
    if extra := sorted(set(value) - {"type", *allowed}):
        raise _Wrong(_("Unknown: %(name)s") % {"name": str(extra[0])[:40]})
    if "n" in allowed:
        n = value.get("n")
        least = 0 if kind in ("next", "anniversary") else 1
        if type(n) is not int or not least <= n <= windows.MAX_DAYS:
            raise _Wrong(_("A number of days from %(least)d to %(most)d is needed")
                         % {"least": least, "most": windows.MAX_DAYS})  # fmt: skip
        read["n"] = n
    if kind == "last" and value.get("unit", "day") != "day":
        if value["unit"] != "hour" or param.unit != "hour":
            raise _Wrong(_("Unknown: %(name)s") % {"name": str(value["unit"])[:40]})
        read["unit"] = "hour"
    if kind in ("this", "previous"):
        read["unit"] = value.get("unit")
        if read["unit"] not in windows.UNITS:
            raise _Wrong(_("Choose a day, a week, a month or a year"))
    if kind == "month":
        read["of"] = value.get("of", "this")
        if read["of"] not in ("this", "next"):
            raise _Wrong(_("Unknown: %(name)s") % {"name": str(read["of"])[:40]})
    if kind == "between":
        bounds = {name: _day(value[name]) for name in ("from", "to") if value.get(name)}
        if not bounds:
            raise _Wrong(_("Choose a first or a last day"))
        if len(bounds) == 2 and bounds["to"] < bounds["from"]:
            raise _Wrong(_("The last day is before the first one"))
        read.update(bounds)
    return read


WINDOW_PARAMS = {
    "last": ("n", "unit"),
    "before": ("n",),
    "next": ("n",),
    "anniversary": ("n",),
    "between": ("from", "to"),
    "this": ("unit",),
    "previous": ("unit",),
    "month": ("of",),
}


def _day(value: Any) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        raise _Wrong(_("%(value)s is not a day") % {"value": str(value)[:40]}) from None


READERS: dict[str, Callable[[Any, Param, Known | None], Any]] = {
    "ids": _ids,
    "words": _words,
    "word": _word,
    "texts": _texts,
    "text": _text,
    "bool": _bool,
    "int": _int,
    "compare": _compare,
    "window": _window,
}

__all__ = [
    "Condition",
    "ConditionError",
    "FieldType",
    "Known",
    "Leaf",
    "Problem",
    "leaves",
    "parse",
    "references",
]
