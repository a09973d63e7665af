"""Nodes that ask who has opened a message, after messages without a tracked link: said on the canvas, before publishing, by API
and to the second person; nobody is kept from publishing."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import SopRequest
from campaigns.services.governance import policy
from campaigns.services.graphs import graph_warnings, graphs
from content.services import links
from org.access import SYSTEM
from scrm import clock
from tests.campaigns.graphs import entry, line, rewired, touch, wait
from tests.campaigns.test_api import client_of
from tests.factories import in_brand

pytestmark = pytest.mark.django_db(transaction=True)
SPAN = {"type": "last", "n": 7, "unit": "day"}


def asks(result: str = "opened", **over: Any) -> dict[str, Any]:
    return {
        "kind": "touch", "window": SPAN, "result": result, "compare": {"op": "ge", "value": 1}, **over
    }  # fmt: skip


def branch(condition: Any) -> dict[str, Any]:
    return {"kind": "branch", "mode": "yes_no", "condition": condition}


@pytest.fixture
def addresses(brand: Any) -> dict[str, str]:
    with in_brand(brand):
        link = links.create_link(brand, name="新品", url="https://a.cn")
        nameless = links.create_link(brand, name="不问是谁", url="https://a.cn", asks_who=False)
    return {"link": links.address_of(link), "nameless": links.address_of(nameless)}


def said(brand: Any, graph: Any, sop_id: int | None = None) -> list[tuple[str, str]]:
    with in_brand(brand):
        return [(row["node"], row["field"]) for row in graph_warnings.warnings(brand, graph, sop_id)]


def test_which_nodes_are_blind(brand: Any, addresses: dict[str, str]) -> None:
    by_branch, by_wait = branch(asks()), wait("event", event="content_opened", n=2)
    plain, linked = touch("看看"), touch(f"看看{addresses['link']}")
    for blind in (plain, touch(f"看看{addresses['nameless']}"), touch("看看https://a.cn")):
        assert said(brand, line(entry(), blind, by_branch)) == [("n3", "condition")]
        assert said(brand, line(entry(), blind, by_wait)) == [("n3", "event")]
    card = touch("", attachments=[{"type": "link", "title": "新品", "url": addresses["link"]}])
    for good in (linked, card):
        assert said(brand, line(entry(), good, by_branch)) == said(brand, line(entry(), good, by_wait)) == []
    # one of several will do, and only what lies before it counts
    assert said(brand, line(entry(), plain, wait(n=1), linked, by_branch)) == []
    assert said(brand, line(entry(), plain, by_branch, linked)) == [("n3", "condition")]
    # nothing was sent before: it asks about other messages
    assert said(brand, line(entry(), by_branch, linked)) == []
    around = rewired(line(entry(), by_branch, plain), ("n3", "next", "n2"))
    assert said(brand, around) == [("n2", "condition")]


def test_which_conditions_ask(brand: Any) -> None:
    def of(condition: Any, sop_id: int | None = 7) -> bool:
        return bool(said(brand, line(entry(), touch("看看"), branch(condition)), sop_id))

    assert of(asks()) and of(asks("not_opened")) and of({"not": {"all": [asks(kinds=["sop"])]}})
    assert of(asks(sop_ids=[7, 8])) and of({"any": [{"kind": "flag"}, asks()]})
    assert of({"kind": "event", "event": "content_opened", "window": SPAN})
    for other in (
        asks("replied"), asks(kinds=["broadcast"]), asks(sop_ids=[8]), asks(broadcast_ids=[1]),
        {"kind": "event", "event": "content_opened", "link_ids": [1]}, {"kind": "event", "event": "order_paid"},
        {}, {"all": None}, {"all": [1]},
    ):  # fmt: skip
        assert not of(other), other
    cases = {"kind": "branch", "mode": "cases", "cases": [
        {"key": "a", "title": "", "condition": asks("replied")}, {"key": "b", "title": "", "condition": asks()},
    ]}  # fmt: skip
    assert said(brand, line(entry(), touch("看看"), cases)) == [("n3", "cases.1.condition")]
    filtered = wait("event", event="content_opened", n=2, filters={"object_ids": [1]})
    assert said(brand, line(entry(), touch("看看"), filtered)) == []


def test_nobody_asks_nothing_is_looked_up(brand: Any, addresses: dict[str, str]) -> None:
    graph = line(entry(), touch(f"看看{addresses['link']}"), wait(n=1))
    with in_brand(brand), CaptureQueriesContext(connection) as found:
        assert graph_warnings.warnings(brand, graph) == []
    assert len(found) == 0


def test_where_it_is_said(brand: Any, sign_in: Any) -> None:
    graph = line(entry(), touch("看看"), wait("event", event="content_opened", n=2, title="打开了吗"))
    with in_brand(brand), clock.at(clock.now() - timedelta(days=1)):
        sop = graphs.create_graph_sop(brand, name="旅程", graph=graph)
    operator = sign_in(brand, "operator")
    data = operator.get(f"/sops/{sop.pk}/canvas/").context["canvas"]
    assert [row["node"] for row in data["warnings"]] == ["n3"] and data["problems"] == []
    body = json.dumps({"graph": graph, "revision": 0})
    saved = operator.post(f"/sops/{sop.pk}/canvas/save/", body, "application/json").json()
    assert [row["node"] for row in saved["warnings"]] == ["n3"]
    assert "打开了吗" in operator.get(f"/sops/{sop.pk}/publish/").content.decode()
    with in_brand(brand):
        policy.change_policy(brand, sops_need_approval=True, by=SYSTEM)
    api = client_of(brand, "sops.view", "sops.edit")
    [row] = api.get(f"/api/v1/sops/{sop.pk}/graph/").json()["warnings"]
    assert (row["node"], row["field"]) == ("n3", "event") and "雷达链接" in row["message"]
    assert api.post(f"/api/v1/sops/{sop.pk}/publish/", {}, "application/json").status_code == 202
    with in_brand(brand):
        request = SopRequest.objects.get()
    [text] = api.get(f"/api/v1/sops/requests/{request.pk}/").json()["warnings"]
    assert "打开了吗" in text
    assert text in operator.get(f"/sops/requests/{request.pk}/").content.decode()
