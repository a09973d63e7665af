"""Rubbish in every parameter and body of the API is refused in words, at its place; nothing crashes. Each address gets some
of it, the same in each run; EXPLORE=1 gives all of it to all."""

import json
import os
import re
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
from django.test import Client

from campaigns.models import Enrolment
from content.models import Content
from org.access import RIGHTS
from scrm import clock
from scrm.api_urls import urlpatterns
from tagging.models import Segment, TagGroup
from tests.contacts.test_api import client_of
from tests.factories import in_brand
from tests.scrm.described import Described
from tests.scrm.test_urls import FOREIGN, fill_all_tables

WORDS = [
    "", "x", "0", "-1", str(2**31), str(2**63), "9" * 400, "a%00b", "1.5", "true", "2026-01-01", "0001-01-01T00:00:00%2B14:00",
    "9999-12-31T23:59:59-12:00", "%F0%9F%98%80", "%ED%A0%BD", "%FF", str(FOREIGN), "x" * 5_000, "%C2%B2", "%D9%A3",
    # tokens of a page: [1], ["a"], [a moment without a zone, 1], [null], [1e99], a number too large, a moment before all time
    "WzFd", "WyJhIl0", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwgMV0", "W251bGxd", "WzFlOTld",
    "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OV0", "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwxXQ",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, -1, 0, 2**31, 2**63, 10**400, -(2**70), 1.5, 1e308, "", " ", "x", "a\x00b", "x" * 70_000, [], [[]], {}, {"a": 1},
    {"\x00": "\x00"}, "2026-01-01", "2026-01-01T10:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00",
    "2026-13-45T99:00", "NaN", "1e400", [None], [0], [2**63], [{}], ["a\x00"], "\u202e\U0001f600", "٣", "25:61", {"kind": "x"},
    "%s", "';--", FOREIGN, str(FOREIGN), [FOREIGN],
]  # fmt: skip
BODIES = [
    b"", b"[]", b"null", b"1", b"{", b'"x"', b"\xff", b'{"a":NaN}', b'{"a":1e999}', b'{"a":"\\ud800"}', b"[" * 5_000,
    b'{"a":' * 900 + b"1" + b"}" * 900,
]  # fmt: skip
ALL = bool(os.environ.get("EXPLORE"))


def test_rubbish_is_refused_in_words(brand: Any, api: Client, described: Described) -> None:
    asked, wrong = 0, []
    for method, path, content in rubbish(described):
        answer = api.generic(method, path, content, content_type="application/json")
        asked += 1
        if answer.status_code >= 400 and (problem := what_is_wrong(answer)):
            wrong.append((method, path[:200], content[:200], problem))
    assert asked > 500 and wrong == []


@pytest.fixture
def described(client: Client) -> Described:
    return Described(client.get("/api/v1/schema/", headers={"accept": "application/json"}).json())


@pytest.fixture
def api(db: Any, brand: Any, transactional_db: Any) -> Client:
    """A key with all rights of a brand that has one row in each table."""
    with in_brand(brand):
        fill_all_tables()
        # rows that no service would have made
        Segment.objects.update(condition={"kind": "everybody"})
        TagGroup.objects.update(corp=None)
        Content.objects.update(n_versions=1)
        Enrolment.objects.update(next_run_at=clock.now())
    client = client_of(brand, *RIGHTS)
    client.raise_request_exception = False
    return client


def rubbish(described: Described) -> Iterator[tuple[str, str, bytes]]:
    """(method, address, body), rubbish at one place of each."""
    words, values, bodies = cycle(WORDS), cycle(VALUES), cycle(BODIES)
    for path, acts in described.paths.items():
        if path in TALK:
            continue
        real = re.sub(r"\{\w+\}", str(FOREIGN), path)
        for method, act in acts.items():
            if method == "get":
                for parameter in act.get("parameters", []):
                    if parameter["in"] == "query":
                        for _n in range(len(WORDS) if ALL else 1):
                            yield "GET", f"{real}?{parameter['name']}={next(words)}", b""
                continue
            if method == "delete":
                continue
            content = act.get("requestBody", {}).get("content", {}).get("application/json")
            good = described.fitting(content["schema"]) if content else {}
            for _n in range(len(BODIES) if ALL else 1):
                yield method.upper(), real, next(bodies)
            for way in list(ways_in(good))[:: 1 if ALL else 3]:
                for _n in range(len(VALUES) if ALL else 1):
                    value = next(values)
                    yield method.upper(), real, json.dumps(put(good, way, value)).encode()
                    if ALL and len(way) == 1:
                        yield method.upper(), real, json.dumps({way[0]: value}).encode()


def ways_in(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each key and to the first item of each list."""
    if way:
        yield way
    if isinstance(value, dict):
        for key, one in value.items():
            yield from ways_in(one, (*way, key))
    elif isinstance(value, list):
        for n, one in enumerate(value[:1]):
            yield from ways_in(one, (*way, n))


def put(whole: Any, way: tuple[Any, ...], value: Any) -> Any:
    if not way:
        return value
    copy: Any = dict(whole) if isinstance(whole, dict) else list(whole)
    copy[way[0]] = put(whole[way[0]], way[1:], value)
    return copy


def what_is_wrong(answer: Any) -> str:
    """With a refusal; empty: nothing."""
    if answer.status_code >= 500:
        return str(answer.status_code)
    error = answer.json()["error"]
    fields = error.get("fields", {})
    if not (error["code"] and error["message"]):
        return "no words"
    if not all(texts and all(isinstance(text, str) and text for text in texts) for texts in fields.values()):
        return f"fields: {fields}"
    return ""


def _talk() -> set[str]:
    """Addresses that ask WeCom before they answer."""
    found = [p for p in urlpatterns if getattr(getattr(p.callback, "cls", None), "calls_out", False)]
    return {
        "/api/v1/" + re.sub(r"<\w+:(\w+)>", r"{\1}", str(p.pattern)).replace("{pk}", "{id}") for p in found
    }


TALK = _talk()
