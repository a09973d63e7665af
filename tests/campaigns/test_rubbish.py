"""Whatever comes from outside (bodies of the API, drafts of the canvas, files of SOPs) is taken or refused in words: never
an error of ours, never half saved, and what was saved can be read again.

RUBBISH=3000 tries harder.
"""

import copy
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns import graph as pure
from campaigns.models import AlertRule, Broadcast, Moment, Sop, SopVersion, StaffTask
from campaigns.services.graphs import graph_files, graphs
from campaigns.services.sops import sops
from campaigns.views import canvas_data
from content.models import Content
from org.access import RIGHTS, SYSTEM
from scrm import clock
from scrm.errors import SCRMError
from tagging.models import Segment, TagRule
from tests.campaigns.graphs import entry, line, rewired, touch, wait
from tests.campaigns.test_api import client_of
from tests.factories import in_brand, make_contact, make_corp, make_staff, make_tag

TRIES = int(os.environ.get("RUBBISH", "150"))
try_hard = settings(max_examples=TRIES, deadline=None, suppress_health_check=list(HealthCheck))

SPECIAL = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**40, 1.5, 1e308, float("nan"), float("inf"), "", " ", "x", "\x00",
    "a\x00b", "\ud800", "\udfff", "²", "٣", "1", "1" * 5_000, "字" * 3_000, "2026-02-30", "2026-13-01T99:99", "0000-01-01",
    "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+14:00", "25:61", "24:00", "a/b", "../x", "{员工姓名", "{客户昵称}",
    [], {}, [[]], [{}], [None], [0, "x"], {"": ""}, {"kind": "everybody"}, {"kind": "tags"}, {"kind": ["tags"]},
    {"kind": "tags", "mode": "any", "ids": [10**30]}, {"kind": "segment", "mode": "any", "ids": [2**63]},
    {"kind": "field", "key": "\x00", "test": "eq", "text": "\ud800"}, {"all": []}, {"any": [{"not": {}}]}, {"all": {"a": 1}},
    [{"type": "image", "file_id": 10**30}], [{"type": "link", "title": "\x00", "url": "https://x\ud800"}],
    [{"type": "link", "title": {}, "url": []}], [{"type": []}], [{"file_id": "²"}], [{"file_id": float("inf")}],
]  # fmt: skip
junk = st.one_of(
    st.sampled_from(SPECIAL),
    st.recursive(
        st.sampled_from(SPECIAL),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["kind", "all", "key", "ids", "\x00"]), inner)
        ),
        max_leaves=4,
    ),
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in some JSON."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for n in range(len(value)):
            yield from places(value[n], (*path, n))


@st.composite
def spoilt(draw: Any, good: Any) -> Any:
    """A good body with rubbish in one to three places."""
    body = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(body))))
        value = copy.deepcopy(draw(junk))
        if not path:
            return value
        holder = body
        for step in path[:-1]:
            holder = holder[step]
        if isinstance(holder, dict) and draw(st.integers(0, 5)) == 0:
            del holder[path[-1]]
        else:
            holder[path[-1]] = value
    return body


# ---- the API


class Shop:
    """A brand with something of everything, and good bodies."""

    def __init__(self, brand: Any) -> None:
        self.brand = brand
        with in_brand(brand):
            corp = make_corp(brand)
            staff = make_staff(brand, corp)
            contact, tag = make_contact(brand, staff), make_tag(brand)
            self.graph = every_kind(tag.pk)
            drawn = graphs.create_graph_sop(brand, name="旅程", graph=self.graph)
        self.client = client_of(brand, *RIGHTS)
        tags = {"kind": "tags", "mode": "any", "ids": [tag.pk]}
        later = (clock.now() + timedelta(days=2)).isoformat()
        contents = [{"text": "新品", "attachments": [], "weight": 1}]
        waves = [{"at": later, "after": "", "condition": tags}]
        broadcast = {
            "name": "春上新", "audience": {"condition": {"all": [tags]}}, "contents": contents, "waves": waves,
            "priority": 5, "hold_out_percent": 10, "late_hours": 24, "repeat": "week", "repeat_until": later,
        }  # fmt: skip
        moment = {
            "key": "k",
            "name": "圈",
            "text": "新",
            "attachments": [],
            "staff_ids": [staff.pk],
            "tag_ids": [],
            "at": later,
        }
        task = {
            "key": "t",
            "kind": "call",
            "title": "打",
            "note": "x",
            "due_at": later,
            "contact_id": contact.pk,
        }
        rule = {
            "name": "加",
            "event": "carted",
            "filters": {"seen_categories": ["奶粉"]},
            "condition": tags,
            "is_on": True,
        }
        self.bodies: list[tuple[str, str, Any]] = [
            ("post", "/api/v1/sops/graphs/", {"name": "新旅程", "graph": self.graph}),
            ("patch", f"/api/v1/sops/{drawn.pk}/graph/", {"name": "旅程", "graph": self.graph, "draft_n": 0}),
            ("post", f"/api/v1/sops/{drawn.pk}/publish/", {"note": "x", "people": "stay", "mapping": {"n1": "n1"}}),
            ("post", f"/api/v1/sops/{drawn.pk}/enrol/", {"contact_ids": [contact.pk]}),
            ("post", "/api/v1/broadcasts/", broadcast),
            ("post", "/api/v1/moments/", moment),
            ("post", "/api/v1/tasks/", {"rows": [task]}),
            ("post", "/api/v1/alert-rules/", rule),
            ("post", "/api/v1/segments/count/", {"condition": {"all": [tags, {"not": tags}]}}),
            ("post", "/api/v1/segments/", {"name": "包", "condition": {"any": [tags]}, "note": "x"}),
            ("post", "/api/v1/content/", {"name": "话术", "text": "你好", "attachments": [], "page": {}, "expires_at": later}),
        ]  # fmt: skip

    def counts(self) -> list[int]:
        models: list[Any] = [
            Sop,
            SopVersion,
            Broadcast,
            Moment,
            StaffTask,
            AlertRule,
            Segment,
            Content,
            TagRule,
        ]
        with in_brand(self.brand):
            return [model.objects.count() for model in models]


def every_kind(tag_id: int) -> Any:
    """A graph with a node of each kind that can be published."""
    tags = {"kind": "tags", "mode": "any", "ids": [tag_id]}
    graph = line(
        entry("event", event="tagged", filters={"tag_ids": [tag_id]}, condition=tags),
        wait("time", time="10:00", weekdays=[1, 2]),
        wait("event", event="order_paid", n=2, unit="days"),
        wait("date", date="2027-01-01"),
        {"kind": "branch", "condition": tags},
        {"kind": "branch", "mode": "cases", "cases": [{"key": "a", "title": "A", "condition": tags}]},
        {"kind": "split", "shares": [{"key": "a", "percent": 50}, {"key": "b", "percent": 50}]},
        touch("你好", attachments=[{"type": "link", "title": "看", "url": "https://x.cn"}]),
        {"kind": "moments", "text": "上新"},
        {"kind": "task", "subject": "打电话", "note": "问问"},
        {"kind": "tag", "add_tag_ids": [tag_id]},
        {"kind": "hook", "url": "https://example.com/x"},
        goals=[{"event": "order_paid", "filters": {"amount_from_fen": 100}}],
        exits=[{"condition": tags}],
        hours=True, reentry="after",
    )  # fmt: skip
    return rewired(graph, ("n6", "else", "n7"), ("n7", "b", "n8"))


@pytest.fixture
def shop(brand: Any) -> Shop:
    return Shop(brand)


def test_good_bodies_are_taken(shop: Shop) -> None:
    """Else the rubbish would be refused for another reason."""
    for method, url, body in shop.bodies:
        answer = send(shop.client, method, url, body)
        assert answer.status_code < 300, (url, answer.content.decode())


def send(client: Client, method: str, url: str, body: Any) -> Any:
    return getattr(client, method)(url, json.dumps(body), content_type="application/json")


@try_hard
@given(data=st.data())
def test_bodies_of_the_api(shop: Shop, data: st.DataObject) -> None:
    method, url, good = data.draw(st.sampled_from(shop.bodies))
    body = data.draw(spoilt(good))
    before = shop.counts()
    answer = send(shop.client, method, url, body)
    assert answer.status_code < 500
    if answer.status_code >= 400:
        assert answer.json()["error"]["message"] and shop.counts() == before
    elif url.endswith("/graphs/"):
        assert shop.client.get(f"/api/v1/sops/{answer.json()['id']}/graph/").status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"{", b"[" * 100_000, b'{"a":' * 50_000, b'{"name": NaN}', b'{"graph": 1e999}', b"\xff\xfe{", b'"\\ud800"',
        b'{"name": "' + b"x" * 13_000_000 + b'"}', b'{"n": ' + b"9" * 5_000 + b"}", b'{"name": "\\u0000", "name": "\\ud83d"}',
    ],
    ids=range(10),
)  # fmt: skip
def test_what_is_hardly_json(shop: Shop, raw: bytes, sign_in: Any) -> None:
    before, person = shop.counts(), sign_in(shop.brand, "operator")
    [_first, (_patch, url, _body), *_] = shop.bodies
    for client, method, address in (
        (shop.client, "post", "/api/v1/sops/graphs/"),
        (shop.client, "patch", url),
        (shop.client, "post", "/api/v1/segments/count/"),
        (person, "post", url.replace("/api/v1", "").replace("/graph/", "/canvas/save/")),
    ):
        answer = getattr(client, method)(address, raw, content_type="application/json")
        assert 400 <= answer.status_code < 500, address
    assert shop.counts() == before


# ---- graphs and files


@try_hard
@given(data=st.data())
def test_drafts_are_refused_or_can_be_read_again(shop: Shop, data: st.DataObject) -> None:
    graph = data.draw(spoilt(shop.graph))
    with in_brand(shop.brand):
        try:
            sop = graphs.create_graph_sop(shop.brand, name=sops.free_name("稿"), graph=graph)
        except SCRMError as error:
            assert str(error)
            return
        sop.refresh_from_db()
        assert pure.tidy(sop.draft) == sop.draft
        graphs.summary(shop.brand, sop.draft)
        json.dumps(canvas_data.of_graph(shop.brand, sop.draft))
        graphs.compare(shop.brand, shop.graph, sop.draft)
        problems = graphs.validate(shop.brand, sop.draft)
        graph_files.export_sop(shop.brand, sop_id=sop.pk, by=SYSTEM)
        try:
            graphs.publish(shop.brand, sop_id=sop.pk, by=SYSTEM)
        except SCRMError:
            assert problems and not SopVersion.objects.filter(sop=sop).exists()
        else:
            assert not problems


@try_hard
@given(data=st.data())
def test_files_of_sops(shop: Shop, data: st.DataObject) -> None:
    with in_brand(shop.brand):
        [sop] = Sop.objects.order_by("pk")[:1]  # the first, whatever the tries before have left
        good = graph_files.export_sop(shop.brand, sop_id=sop.pk, by=SYSTEM)
        file, before = data.draw(spoilt(good)), Sop.objects.count()
        try:
            made, missing = graph_files.import_sop(shop.brand, file, by=SYSTEM)
        except SCRMError as error:
            assert str(error) and Sop.objects.count() == before
            return
        made.refresh_from_db()
        assert made.name and all(isinstance(name, str) for _source, name in missing)
        graphs.summary(shop.brand, made.draft)
        graphs.validate(shop.brand, made.draft)
