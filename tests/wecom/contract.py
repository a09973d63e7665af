"""Recorded shapes of WeCom's answers (tests/wecom/examples/README.md): read them, call by them, compare."""

import importlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from wecom.api.app_messages import To
from wecom.api.checks import SHANGHAI
from wecom.client import WeComClient

FOLDER = Path(__file__).parent / "examples"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))

_START, _END = datetime(2026, 11, 1, 3, tzinfo=UTC), datetime(2026, 11, 20, 3, tzinfo=UTC)
NOW = datetime(
    2026, 11, 21, 3, tzinfo=UTC
)  # WeCom has figures of 180 days: the samples are of the weeks before this one


def moments_of(start_at: datetime, end_at: datetime, since: date, until: date) -> dict[str, Any]:
    """The placeholders of a span, with the seconds that go out for them."""
    midnight = {
        name: int(datetime(on.year, on.month, on.day, tzinfo=SHANGHAI).timestamp())
        for name, on in (("since_s", since), ("until_s", until))
    }
    return {
        "start_at": start_at,
        "end_at": end_at,
        "start_s": int(start_at.timestamp()),
        "end_s": int(end_at.timestamp()),
        "since": since,
        "until": until,
        **midnight,
    }


SAMPLES: dict[str, Any] = {
    **moments_of(_START, _END, date(2026, 11, 1), date(2026, 11, 20)),
    "png": PNG,
    "userid": "zhangsan",
    "other": "lisi",
    "left": "wangwu",
    "newcomer": "sunqi",
    "newcomer2": "zhouba",
    "department": 2,
    "empty_department": 12,
    "member_tag": 7,
    "strategy": 1,
    "moment_strategy": 3,
    "mobile": "13800001111",
    "email": "fang@example.com",
    "unionid": "oUnionid000000000000000001",
    "member_openid": "oMemberOpenid00000000000001",
    "customer": "wmSAMPLE00000000000000000000001",
    "customer2": "wmSAMPLE00000000000000000000002",
    "customer_of_left": "wmSAMPLE00000000000000000000003",
    "colleague": "woSAMPLE00000000000000000000004",
    "video_url": "https://files.example.com/v.mp4",
}


class Placeholders(dict[str, Any]):
    """Samples for the client: a name that is not in the table stands for itself."""

    def __missing__(self, name: str) -> str:
        return f"SAMPLE-{name}"


def examples() -> list[dict[str, Any]]:
    """All entries of all files but errors.json, each with a name of its own."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        if path.name != "errors.json":
            found += [
                {"name": entry["call"].partition(".")[2], **entry, "topic": path.stem}
                for entry in json.loads(path.read_text("utf-8"))
            ]
    return found


def title(example: dict[str, Any]) -> str:
    """For pytest's ids."""
    kind = example["with"].get("kind", "") if example["topic"] == "tags" else ""
    return "-".join(part for part in (example["topic"], example["name"], kind) if part)


def placeholders_of(value: Any) -> Iterator[str]:
    """Names of the placeholders in a value, in order."""
    if isinstance(value, str) and value.startswith("$"):
        yield value[1:]
    elif isinstance(value, dict):
        for inner in value.values():
            yield from placeholders_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from placeholders_of(inner)


def fill(value: Any, given: Any) -> Any:
    """The value with its placeholders filled in from a mapping."""
    if isinstance(value, str) and value.startswith("$"):
        return given[value[1:]]
    if isinstance(value, dict):
        if set(value) == {"To"}:
            return To(**fill(value["To"], given))
        return {key: fill(inner, given) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, given) for inner in value]
    return value


def call(client: WeComClient, example: dict[str, Any], given: Any) -> Any:
    """Make the call of an example; iterators are read to their end."""
    module, _, name = example["call"].partition(".")
    function: Callable[..., Any] = getattr(importlib.import_module(f"wecom.api.{module}"), name)
    result = function(client, **fill(example["with"], given))
    return list(result) if isinstance(result, Iterator) else result


def plain(value: Any) -> Any:
    """Named tuples as lists."""
    return list(value) if isinstance(value, tuple) else value


def full(shape: Any) -> Any:
    """The answer of an example with everything that may be there, without the marks."""
    if isinstance(shape, dict):
        return {key.rstrip("?~"): full(inner) for key, inner in shape.items() if key != "*"}
    return [full(inner) for inner in shape] if isinstance(shape, list) else shape


def least(shape: Any) -> Any:
    """The answer with only what must be there."""
    if isinstance(shape, dict):
        return {
            key.rstrip("~"): least(inner)
            for key, inner in shape.items()
            if not key.rstrip("~").endswith("?") and key != "*"
        }
    return [least(inner) for inner in shape] if isinstance(shape, list) else shape


def no_lists(shape: dict[str, Any]) -> dict[str, Any]:
    """The shape of a refusal: its lists are there and empty."""
    return {key: [] if isinstance(inner, list) else inner for key, inner in shape.items()}


def differences(shape: Any, answer: Any, at: str = "") -> list[str]:
    """What keeps an answer from having the shape: fields missing or unknown, other types, empty lists."""
    if isinstance(shape, dict):
        if not isinstance(answer, dict):
            return [f"{at}: {type(answer).__name__} instead of an object"]
        return _in_object(shape, answer, at)
    if isinstance(shape, list):
        if not isinstance(answer, list):
            return [f"{at}: {type(answer).__name__} instead of a list"]
        if shape and not answer and (isinstance(shape[0], dict) or at.count(".") == 1):
            return [f"{at}: empty, nothing to compare"]
        return [text for inner in answer if shape for text in differences(shape[0], inner, f"{at}[]")]
    wanted = (int, float) if isinstance(shape, float) else type(shape)
    if not isinstance(answer, wanted) or isinstance(answer, bool) != isinstance(shape, bool):
        return [f"{at}: {answer!r} is not {type(shape).__name__}"]
    return []


def _in_object(shape: dict[str, Any], answer: dict[str, Any], at: str) -> list[str]:
    if not shape:
        return []
    found = []
    fields = {key.rstrip("?~"): key for key in shape if key != "*"}
    for name, key in fields.items():
        where = f"{at}.{name}"
        if name not in answer:
            if "?" not in key:
                found.append(f"{where}: missing")
        elif "~" in key:
            if not isinstance(answer[name], int) and not str(answer[name]).isdigit():
                found.append(f"{where}: {answer[name]!r} is no number")
        elif not ("?" in key and answer[name] in ([], {})):
            found += differences(shape[key], answer[name], where)
    if "*" not in shape:
        found += [f"{at}.{name}: unknown" for name in answer if name not in fields]
    return found
