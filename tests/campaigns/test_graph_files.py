"""Graphs ready to use, graphs as files between brands, and the API of graphs."""

import json
from typing import Any

import pytest

from campaigns.graph.templates import TEMPLATES
from campaigns.models import Enrolment, Sop
from campaigns.services.graphs import graph_files, graphs
from contacts.models import CustomField
from org.access import SYSTEM
from scrm import clock
from scrm.errors import InvalidError
from tagging.services.segments import segments
from tests.campaigns.graphs import entry, line, touch, wait
from tests.campaigns.test_api import client_of
from tests.campaigns.test_journeys import START, World
from tests.factories import in_brand, make_brand, make_tag

pytestmark = pytest.mark.django_db(transaction=True)

OPEN = {  # what a template leaves to be chosen
    "six_a_year": {("in", "segment_id")},
    "launch": {("in", "segment_id"), ("day", "date")},
    "drowsy": {("in", "segment_id")},
    "birthday": {("in", "date_field")},
}


@pytest.mark.parametrize("key", list(TEMPLATES))
def test_a_template_can_be_published_once_its_gaps_are_filled(key: str) -> None:
    world = World()
    with in_brand(world.brand), clock.at(START):
        sop = graphs.create_from_template(world.brand, key=key)
        assert {(p["node"], p["field"]) for p in graphs.validate(world.brand, sop.draft)} == OPEN.get(
            key, set()
        )
        CustomField.objects.create(key="birthday", label="生日", type="date")
        segment = segments.create_segment(
            world.brand, by=SYSTEM, name="老客", condition={"kind": "follow", "values": ["reachable"]}
        )
        chosen = {"segment_id": segment.pk, "date": "2026-12-01", "date_field": "field:birthday"}
        graph = sop.draft
        for node in graph["nodes"]:
            node |= {f: chosen[f] for n, f in OPEN.get(key, set()) if n == node["id"]}
        graphs.save_draft(world.brand, sop_id=sop.pk, graph=graph, by=SYSTEM)
        version, _job = graphs.publish(world.brand, sop_id=sop.pk, by=SYSTEM)
        assert version.n == 1 and len(graphs.summary(world.brand, version.graph)) == len(graph["nodes"])
        again = graphs.create_from_template(world.brand, key=key)
        assert again.name == f"{sop.name} (2)"


def test_a_file_goes_to_another_brand() -> None:
    one, two = World(), make_brand()
    with in_brand(one.brand):
        vip, unknown = make_tag(one.brand, "金卡"), make_tag(one.brand, "只在这里")
        group = vip.group.name
        graph = line(
            entry("event", event="tagged", filters={"tag_ids": [vip.pk]}),
            wait(n=1),
            touch("你好"),
            {"kind": "tag", "add_tag_ids": [vip.pk, unknown.pk]},
            {"kind": "branch", "condition": {"not": {"kind": "tags", "mode": "any", "ids": [vip.pk]}}},
            goals=[{"condition": {"kind": "tags", "mode": "any", "ids": [unknown.pk]}}],
        )
        sop = graphs.create_graph_sop(one.brand, name="旅程", graph=graph)
        assert graphs.validate(one.brand, graph) == []
        data = json.loads(json.dumps(graph_files.export_sop(one.brand, sop_id=sop.pk, by=SYSTEM)))
    with in_brand(two):
        from tagging.models import TagGroup

        mine = make_tag(two, "金卡", TagGroup.objects.create(name=group))
        made, missing = graph_files.import_sop(two, data, by=SYSTEM)
        assert [name.split(" / ")[1] for source, name in missing if source == "tags"] == ["只在这里"]
        nodes = {node["id"]: node for node in made.draft["nodes"]}
        assert nodes["n1"]["filters"] == {"tag_ids": [mine.pk]} and nodes["n4"]["add_tag_ids"] == [mine.pk]
        assert nodes["n5"]["condition"]["not"]["ids"] == [mine.pk]
        assert {(p["node"], p["field"]) for p in graphs.validate(two, made.draft)} == {
            ("", "goals.0.condition")
        }
        assert graph_files.import_sop(two, data, by=SYSTEM)[0].name == "旅程 (2)"
    with in_brand(one.brand):  # at home everything is found again
        assert graph_files.import_sop(one.brand, data, by=SYSTEM)[1] == []


@pytest.mark.parametrize(
    "data",
    [
        None, [], {}, {"format": "scrm-sop"}, {"format": "scrm-sop", "version": 2, "names": {}},
        {"format": "scrm-sop", "version": 1, "names": {}, "graph": 3},
        {"format": "scrm-sop", "version": 1, "names": {"tags": []}, "graph": {"nodes": [
            {"id": "a", "kind": "branch", "condition": {"kind": "tags", "ids": 5}}]}},
        {"format": "scrm-sop", "version": 1, "names": {}, "graph": {"settings": {"goals": [3]}}},
    ],
)  # fmt: skip
def test_other_files_are_refused_or_left_open(data: Any) -> None:
    brand = make_brand()
    with in_brand(brand):
        try:
            made, _missing = graph_files.import_sop(brand, data, by=SYSTEM)
        except InvalidError:
            assert not Sop.objects.exists()
        else:
            assert graphs.validate(brand, made.draft)


def test_api() -> None:
    world = World()
    client, reader = client_of(world.brand, "sops.view", "sops.edit"), client_of(world.brand, "sops.view")
    graph = line(entry(), wait(n=1), touch("你好"))
    given = {"name": "旅程", "graph": graph}
    assert reader.post("/api/v1/sops/graphs/", given, "application/json").status_code == 403
    made = client.post("/api/v1/sops/graphs/", given, "application/json")
    assert made.status_code == 201 and made.json()["problems"] == []
    path = f"/api/v1/sops/{made.json()['id']}"
    bad = client.patch(f"{path}/graph/", {"graph": line(entry(), touch(""))}, "application/json").json()
    assert [(p["node"], p["field"]) for p in bad["problems"]] == [("n2", "text")]
    refused = client.post(f"{path}/publish/", {}, "application/json")
    assert refused.status_code == 422 and refused.json()["error"]["code"] == "graph_problems"
    stale = client.patch(f"{path}/graph/", {"graph": graph, "draft_n": 0}, "application/json")
    assert stale.status_code == 409
    assert client.patch(f"{path}/graph/", {"graph": 3}, "application/json").status_code == 422
    client.patch(f"{path}/graph/", {"graph": graph, "name": "新名"}, "application/json")
    assert client.post(f"{path}/publish/", {"note": "一"}, "application/json").json()["version"] == 1
    ids = [c.pk for c in world.people]
    assert client.post(f"{path}/enrol/", {"contact_ids": ids}, "application/json").status_code == 202
    with in_brand(world.brand):
        assert Enrolment.objects.count() == 4
    world.now = clock.now()
    world.tick()
    nodes = {row["node"]: row for row in reader.get(f"{path}/nodes/").json()["results"]}
    assert nodes["n2"]["n_waiting"] == 4 and nodes["n1"]["outs"] == {"next": 4}
    read = reader.get(f"{path}/graph/").json()
    assert (read["name"], read["version"], read["state"]) == ("新名", 1, "on") and len(read["summary"]) == 4
    assert reader.get(f"{path}/").json()["form"] == "graph"
    other = make_brand()
    for rest in ("graph/", "nodes/"):
        assert client_of(other, "sops.view").get(f"{path}/{rest}").status_code == 404


def test_six_contacts_a_year_go_round() -> None:
    graph = TEMPLATES["six_a_year"].graph()
    ways = {edge["from"]: edge["to"] for edge in graph["edges"]}
    node, seen = "t1", []
    for _ in range(24):
        seen.append(node)
        node = ways[node]
    assert node == "t1" and seen[:12] == seen[12:] and not any(n["kind"] == "end" for n in graph["nodes"])
