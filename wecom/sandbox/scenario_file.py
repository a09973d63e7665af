"""The file of a scenario: read, checked, and the ready ones of the package.

The format is told in docs/sandbox-scenarios.md.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from .errors import Refused

Given = dict[str, Any]
FOLDER = Path(__file__).parent / "scenarios"
KEYS = {
    "title",
    "about",
    "seed",
    "hours",
    "speed",
    "starts",
    "corp",
    "people",
    "generate",
    "settings",
    "guides",
    "customers",
    "arrivals",
    "plan",
}
ARRIVAL_KEYS = {"from", "to", "per_hour", "through", "habits"}
PLAN_KEYS = {"at", "from", "to", "every", "do", "with"}
NOT_IN_A_PLAN = {
    "reset",
    "load",
    "generate",
    "corps",
    "scenario/start",
    "scenario/step",
    "scenario/stop",
    "seed",
}
SPAN = re.compile(r"(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
WORKING_DAY_S = 43_200


def seconds(value: Any, where: str) -> float:
    """ "1h30m", "2d", "90s" or a number as seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = SPAN.fullmatch(str(value))
    if match is None:
        raise Refused(f"{where}: {value!r} is no span like 90s, 15m, 1h30m, 2d")
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return days * 86_400.0 + hours * 3600 + minutes * 60 + rest


def read(given: Any) -> Given:
    """A scenario from an object, YAML or JSON, checked.

    Raises:
        Refused: what is wrong, and where.
    """
    if isinstance(given, str):
        try:
            given = yaml.safe_load(given)
        except yaml.YAMLError as reason:
            raise Refused(f"no YAML: {reason}") from None
    if not isinstance(given, dict):
        raise Refused("a scenario is an object")
    _only(given, KEYS, "scenario")
    for n, one in enumerate(given.get("arrivals") or ()):
        _only(one, ARRIVAL_KEYS, f"arrivals[{n}]")
        seconds(one.get("from", 0), f"arrivals[{n}].from")
        seconds(one.get("to", length(given)), f"arrivals[{n}].to")
        if not isinstance(one.get("per_hour"), int | float) or one["per_hour"] <= 0:
            raise Refused(f"arrivals[{n}].per_hour: a number above 0")
    for n, one in enumerate(given.get("plan") or ()):
        _check_plan(one, f"plan[{n}]", given)
    return given


def _only(given: Any, known: set[str], where: str) -> None:
    if not isinstance(given, dict):
        raise Refused(f"{where}: an object")
    unknown = sorted(set(given) - known)
    if unknown:
        raise Refused(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(sorted(known))}")


def _check_plan(one: Any, where: str, whole: Given) -> None:
    from .control_table import ACTS  # the table has the calls of this file too

    _only(one, PLAN_KEYS, where)
    if one.get("do") not in ACTS or one["do"] in NOT_IN_A_PLAN:
        raise Refused(f"{where}.do: no call {one.get('do')!r} of the control API")
    if ("at" in one) == ("every" in one):
        raise Refused(f"{where}: either at or every")
    for key in ("at", "every", "from", "to"):
        if key in one:
            seconds(one[key], f"{where}.{key}")
    if "every" in one and seconds(one["every"], where) < 1:
        raise Refused(f"{where}.every: at least a second")
    row = ACTS[one["do"]]
    if row.takes != "*":
        row.check(
            {"corpid": "", **(one.get("with") or {})} if "corpid" in row.takes else one.get("with") or {}
        )


def length(given: Given) -> float:
    return float(given.get("hours") or WORKING_DAY_S / 3600) * 3600


def ready() -> list[Given]:
    """The scenarios of the package, the calm one first: name, title, about, hours, speed, seed."""
    told = [(path.stem, yaml.safe_load(path.read_text("utf-8"))) for path in FOLDER.glob("*.yaml")]
    keys = ("title", "about", "hours", "speed", "seed")
    return [
        {"name": name, **{key: one.get(key) for key in keys}}
        for name, one in sorted(told, key=lambda pair: pair[1]["seed"])
    ]


def ready_one(name: str) -> Given:
    """A scenario of the package, or Refused (404)."""
    path = FOLDER / f"{name}.yaml"
    if not re.fullmatch(r"[\w-]+", name) or not path.exists():
        raise Refused(
            f"no scenario {name!r}; there are {', '.join(one['name'] for one in ready())}", status=404
        )
    return read(path.read_text("utf-8"))
