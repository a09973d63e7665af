"""Pages of drawn SOPs: canvas and its draft, publishing, versions, figures, rehearsals; rights, brands, number of queries."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns import graph as pure
from campaigns.models import Enrolment, Moment, SendTask, Sop, SopCall
from campaigns.services.graphs import graphs
from campaigns.services.journeys import slots, walking
from campaigns.services.sops import enrolments, sops
from campaigns.services.sops.sops import StepInput
from campaigns.views import canvas_data
from contacts.services.search import refresh_grams
from content.models import TrackedLink
from org.access import SYSTEM
from org.models import Job, Staff
from org.services import jobs
from scrm import clock
from tagging.models import TagGroup
from tagging.services.segments import segments
from tagging.services.tags.tags import add_tags
from tests.campaigns.graphs import entry, line, rewired, touch, wait
from tests.factories import in_brand, make_contact, make_staff, make_tag

pytestmark = pytest.mark.django_db(transaction=True)


def make_sop(brand: Any, graph: Any = None, name: str = "新客", *, publish: bool = False) -> Sop:
    with in_brand(brand):
        graph = graph or line(entry(), wait(n=1), touch("你好"))
        sop = graphs.create_graph_sop(brand, name=name, graph=graph, by=SYSTEM)
        if publish:
            graphs.publish(brand, sop_id=sop.pk, by=SYSTEM)
            sop.refresh_from_db()
    return sop


def save(client: Any, sop: Sop, graph: Any, revision: Any) -> Any:
    return client.post(
        f"/sops/{sop.pk}/canvas/save/",
        json.dumps({"graph": graph, "revision": revision}),
        content_type="application/json",
    )


# ---- the canvas


def test_the_browser_knows_the_ways_out_that_the_engine_knows() -> None:
    """The table of views/canvas_data.py says of every kind and mode what graph.outs_of says."""
    cases: list[dict[str, Any]] = [
        {"kind": kind} for kind in pure.KINDS if kind not in ("branch", "split", "wait")
    ]
    modes = dict(next(p for p in pure.KINDS["wait"].params if p.name == "mode").choices)
    cases += [{"kind": "wait", "mode": mode} for mode in modes]
    cases += [
        {"kind": "branch", "mode": "yes_no"},
        {"kind": "branch", "mode": "cases", "cases": [{"key": "a"}, {"key": "b"}]},
        {"kind": "split", "shares": [{"key": "a"}, {"key": "b"}, {"key": "c"}]},
    ]
    for node in cases:
        found: list[str] = []
        for out in canvas_data._outs(pure.KINDS[node["kind"]]):
            if not all(node.get(name) in values for name, values in (out.get("when") or {}).items()):
                continue
            found += [part["key"] for part in node.get(out["each"], [])] if "each" in out else [out["key"]]
        assert tuple(found) == pure.outs_of(node), node


def test_every_kind_has_a_look_and_every_parameter_a_widget() -> None:
    from scrm.settings import BASE_DIR

    scripts = "".join(path.read_text() for path in (BASE_DIR / "frontend/static/canvas").glob("*.js"))
    assert set(canvas_data.LOOKS) == set(pure.KINDS)
    ofs = {p.of for kind in pure.KINDS.values() for p in kind.params} | {p.of for p in pure.SETTINGS}
    for of in ofs:
        named = (f"widgets.{of} =", f" {of}: ", f" {of}, ", f" {of},\n")
        assert any(text in scripts for text in named), f"no widget for {of}"


def test_a_slot_that_somebody_fills_is_a_node_like_others() -> None:
    for kind in pure.KINDS.values():
        assert canvas_data._kind(kind)["slot"] == (kind.slot and bool(slots.missing(kind.key)))
    assert not canvas_data._kind(pure.KINDS["moments"])["slot"]


def test_draft_is_saved_and_two_windows_notice_each_other(brand: Any, sign_in: Any) -> None:
    client, sop = sign_in(brand, "operator"), make_sop(brand)
    page = client.get(f"/sops/{sop.pk}/canvas/")
    assert page.status_code == 200 and page.context["canvas"]["problems"] == []
    graph = line(entry(), wait(n=1), touch(""))
    answer = save(client, sop, graph, sop.draft_n)
    assert answer.status_code == 200
    found = answer.json()
    assert [(p["node"], p["field"]) for p in found["problems"]] == [("n3", "text")]
    assert found["revision"] == sop.draft_n + 1 and set(found["summaries"]) == {"n1", "n2", "n3", "n4"}
    late = save(client, sop, line(entry()), sop.draft_n)
    assert late.status_code == 409 and late.json()["error"]["code"] == "draft_changed"
    with in_brand(brand):
        assert Sop.objects.get().draft == graph
    assert save(client, sop, line(entry()), None).status_code == 200  # by choice


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b'{"graph": [], "revision": 0}', b'{"graph": {"nodes": 1}, "revision": null}',
        b'{"graph": {"nodes": [{"id": "n1", "kind": "nothing"}], "edges": []}, "revision": null}',
        b'{"graph": {"nodes": [], "edges": []}, "revision": "x"}', b"\xff\xfe",
    ],
)  # fmt: skip
def test_bad_drafts_change_nothing(brand: Any, sign_in: Any, body: bytes) -> None:
    client, sop = sign_in(brand, "operator"), make_sop(brand)
    answer = client.post(f"/sops/{sop.pk}/canvas/save/", body, content_type="application/json")
    assert 400 <= answer.status_code < 500 and answer.json()["error"]["message"]
    with in_brand(brand):
        assert Sop.objects.get().draft == sop.draft


def test_names_and_sentences_of_what_a_graph_speaks_of(brand: Any, sign_in: Any) -> None:
    with in_brand(brand):
        tag = make_tag(brand, "宝妈")
        condition = {"all": [{"kind": "tags", "mode": "any", "ids": [tag.pk]}]}
        graph = line(entry(by="event", event="tagged", filters={"tag_ids": [tag.pk]}), touch("你好"))
        branch = {"id": "n9", "kind": "branch", "mode": "yes_no", "condition": condition}
        graph = rewired(graph, ("n2", "next", "n9"), ("n9", "yes", "n3"), ("n9", "no", "n3"), more=(branch,))
    client, sop = sign_in(brand, "operator"), make_sop(brand, graph)
    data = client.get(f"/sops/{sop.pk}/canvas/").context["canvas"]
    assert data["names"]["tags"] == {tag.pk: "宝妈"}
    assert any("宝妈" in text for text in data["sentences"].values())
    assert "宝妈" in data["summaries"]["n9"]
    found = client.get("/sops/choices/?source=tags&q=宝").json()["results"]
    assert [row[0] for row in found] == [tag.pk]
    assert client.get("/sops/choices/?source=passwords").status_code == 404
    assert client.get("/sops/choices/?source=tags&q=%00").status_code == 200


def test_what_an_event_is_about_is_chosen_by_name(brand: Any, other_brand: Any, sign_in: Any) -> None:
    """A link, a form, a moment, a group: nobody knows their numbers."""
    with in_brand(brand):
        link = TrackedLink.objects.create(name="秋装手册", key="k1", url="https://example.com")
        opened = {"event": "content_opened", "filters": {"object_ids": [link.pk]}}
        graph = line(entry(), wait("event", n=3, **opened), goals=[opened])
    client, sop = sign_in(brand, "operator"), make_sop(brand, graph)
    data = client.get(f"/sops/{sop.pk}/canvas/").context["canvas"]
    event = next(row for row in data["events"] if row["kind"] == "content_opened")
    assert event["objects"] == "links" and "雷达链接" in event["objects_label"]
    assert data["names"]["links"] == {link.pk: "秋装手册"} and "秋装手册" in data["summaries"]["n2"]
    found = client.get("/sops/choices/?source=links&q=秋装").json()["results"]
    assert found == [[link.pk, "秋装手册"]]
    assert sign_in(other_brand, "operator").get("/sops/choices/?source=links").json()["results"] == []
    for row in data["events"]:
        assert not row["objects"] or client.get(f"/sops/choices/?source={row['objects']}").status_code == 200


# ---- publish, versions, compare, back


def test_publish_move_compare_and_back(brand: Any, staff: Any, sign_in: Any) -> None:
    client, sop = sign_in(brand, "operator"), make_sop(brand)
    assert client.get(f"/sops/{sop.pk}/publish/").status_code == 200
    answer = client.post(
        f"/sops/{sop.pk}/publish/", {"go": "1", "draft_n": sop.draft_n}, headers={"HX-Request": "true"}
    )
    assert answer.status_code == 204 and answer["HX-Redirect"] == f"/sops/{sop.pk}/"
    with in_brand(brand):
        sop.refresh_from_db()
        people = [make_contact(brand, staff) for _ in range(3)]
        enrolments.enrol_many(brand, sop=sop, contact_ids=[c.pk for c in people], source="page")
        walking.run(brand, clock.now() + timedelta(minutes=1))
        graph = line(entry(), {"kind": "task", "subject": "电话"}, touch("再见"))
        graphs.save_draft(brand, sop_id=sop.pk, graph=graph, by=SYSTEM)
    asked = client.post(f"/sops/{sop.pk}/publish/", {"people": "move"})
    effect = asked.context["effect"]
    assert (effect.n_moved, effect.n_out) == (0, 3)  # the wait at which they stand has gone
    asked = client.post(f"/sops/{sop.pk}/publish/", {"people": "move", "to_n2": "n3", "to_n1": "nowhere"})
    assert (asked.context["effect"].n_moved, asked.context["effect"].n_out) == (3, 0)
    client.post(f"/sops/{sop.pk}/publish/", {"people": "move", "to_n2": "n3", "go": "1", "note": "打电话"})
    with in_brand(brand):
        job = Job.objects.get(kind="sop_move")
        jobs.run(brand, job.pk)
        assert {(e.node, e.version_id) for e in Enrolment.objects.all()} == {
            ("n3", Sop.objects.get().version_id)
        }
    numbers = client.get(f"/sops/{sop.pk}/").context["canvas"]["numbers"]
    assert (numbers["n2"]["in"], numbers["n2"]["out"], numbers["n3"]["in"], numbers["n3"]["waiting"]) == (
        0,
        0,
        3,
        3,
    )
    page = client.get(f"/sops/{sop.pk}/versions/")
    assert [(row["version"].n, row["n_in"]) for row in page.context["rows"]] == [(2, 3), (1, 0)]
    page = client.get(f"/sops/{sop.pk}/compare/?a=1&b=2")
    looks = {node["id"]: node["look"] for node in page.context["canvas"]["graph"]["nodes"]}
    assert looks["n2"] == "changed" and looks["n1"] == ""
    assert page.context["changes"]
    assert client.get(f"/sops/{sop.pk}/compare/?a=1&b=7").status_code == 404
    page = client.get(
        f"/sops/{sop.pk}/compare/"
    )  # the draft is version 2: what that one has changed is shown
    assert (page.context["a"], page.context["b"]) == ("1", "2") and page.context["changes"]
    asked = client.get(f"/sops/{sop.pk}/versions/1/back/")
    assert asked.status_code == 200 and not asked.context["loses_draft"]
    with in_brand(brand):  # whoever goes back is told that a draft will be replaced
        graphs.save_draft(
            brand, sop_id=sop.pk, graph=line(entry(), wait(n=2), wait(n=5), wait(n=2)), by=SYSTEM
        )
    assert client.get(f"/sops/{sop.pk}/versions/1/back/").context["loses_draft"]
    names = [
        name for _id, name in client.post(f"/sops/{sop.pk}/publish/", {"people": "move"}).context["targets"]
    ]
    assert len(set(names)) == len(names)  # waits without a title of their own are told apart
    client.post(f"/sops/{sop.pk}/versions/1/back/", {"go": "1", "people": "stay"})
    with in_brand(brand):
        assert [v.n for v in graphs.versions(sop.pk)] == [3, 2, 1]


def test_what_is_wrong_keeps_it_from_being_published(brand: Any, sign_in: Any) -> None:
    client, sop = sign_in(brand, "operator"), make_sop(brand, line(entry(), touch("")))
    page = client.post(f"/sops/{sop.pk}/publish/", {"go": "1"})
    assert page.status_code == 200 and page.context["problems"]
    with in_brand(brand):
        assert graphs.versions(sop.pk) == []


def test_a_draft_that_changed_since_is_not_published(brand: Any, sign_in: Any) -> None:
    client, sop = sign_in(brand, "operator"), make_sop(brand)
    page = client.post(f"/sops/{sop.pk}/publish/", {"go": "1", "draft_n": sop.draft_n + 5})
    assert page.context["error"]
    with in_brand(brand):
        assert graphs.versions(sop.pk) == []


# ---- figures


def test_figures_and_people_at_a_node(brand: Any, staff: Any, sign_in: Any) -> None:
    client, sop = sign_in(brand, "operator"), make_sop(brand, publish=True)
    with in_brand(brand):
        people = [make_contact(brand, staff, name=f"客户{n}") for n in range(3)]
        enrolments.enrol_many(brand, sop=sop, contact_ids=[c.pk for c in people], source="page")
        walking.run(brand, clock.now() + timedelta(minutes=1))
    data = client.get(f"/sops/{sop.pk}/").context["canvas"]
    assert data["numbers"]["n1"]["out"] == 3 and data["numbers"]["n2"]["waiting"] == 3
    drawer = client.get(f"/sops/{sop.pk}/nodes/n2/")
    assert {row.contact.name for row in drawer.context["page"]} == {"客户0", "客户1", "客户2"}
    assert client.get(f"/sops/{sop.pk}/nodes/n77/").status_code == 404
    assert client.get(f"/sops/{sop.pk}/?v=9").status_code == 404
    page = client.get(f"/sops/{sop.pk}/people/")
    waits = next(node for node in sop.draft["nodes"] if node["id"] == "n2")
    assert set(page.context["places"].values()) == {pure.words.describe(waits)} != {pure.words.name_of(waits)}
    assert "已离开" in page.content.decode() and "已离职" not in page.content.decode()


def test_messages_of_an_ended_sop_are_all_accounted_for(brand: Any, staff: Any, sign_in: Any) -> None:
    client, sop = sign_in(brand, "operator"), make_sop(brand, line(entry(), touch("你好")), publish=True)
    with in_brand(brand):
        people = [make_contact(brand, staff, name=f"客户{n}") for n in range(3)]
        enrolments.enrol_many(brand, sop=sop, contact_ids=[c.pk for c in people], source="page")
        walking.run(brand, clock.now() + timedelta(minutes=1))
        assert client.get(f"/sops/{sop.pk}/").context["rows"][0]["n"].waiting_for_guide == 3
        sops.end(brand, sop_id=sop.pk, by=SYSTEM)
        SendTask.objects.update(state=SendTask.State.CANCELLED)
    page = client.get(f"/sops/{sop.pk}/")
    row = page.context["rows"][0]["n"]
    assert (row.n_in, row.touched, row.waiting_for_guide, row.failed, row.n_blocked, row.cancelled) == (
        3, 0, 0, 0, 0, 3,
    )  # fmt: skip
    assert page.context["total"].n_cancelled == 3 and "已取消" in page.content.decode()


def test_figures_by_guide(brand: Any, staff: Any, sign_in: Any) -> None:
    graph = line(entry(), touch("你好"), {"kind": "task", "subject": "电话"})
    client, sop = sign_in(brand, "operator"), make_sop(brand, graph, publish=True)
    with in_brand(brand):
        other = make_staff(brand, staff.corp)
        people = [make_contact(brand, staff), make_contact(brand, staff), make_contact(brand, other)]
        enrolments.enrol_many(brand, sop=sop, contact_ids=[c.pk for c in people], source="page")
        walking.run(brand, clock.now() + timedelta(minutes=1))
    rows = client.get(f"/sops/{sop.pk}/guides/").context["rows"]
    assert [(row.staff.pk, row.n, row.n_tasks) for row in rows] == [(staff.pk, 2, 2), (other.pk, 1, 1)]


# ---- try it


def test_on_one_person(brand: Any, staff: Any, sign_in: Any) -> None:
    client, sop = sign_in(brand, "operator"), make_sop(brand)
    with in_brand(brand):
        person = make_contact(brand, staff, name="王小美")
        make_contact(brand, staff, name="李明")
        refresh_grams(brand, [person.pk])
    assert list(client.get(f"/sops/{sop.pk}/try/?q=小美").context["people"]) == [person]
    page = client.get(f"/sops/{sop.pk}/try/?contact={person.pk}")
    assert page.context["path"] == ["n1", "n2", "n3", "n4"]
    assert client.get(f"/sops/{sop.pk}/try/?contact=9{person.pk}9").status_code == 404
    with in_brand(brand):
        assert not Enrolment.objects.exists()


def test_rehearsal(brand: Any, staff: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    sop = make_sop(
        brand, line(entry(by="event", event="added"), touch("你好"), {"kind": "task", "subject": "电话"})
    )
    with in_brand(brand):
        make_contact(brand, staff)
    answer = client.post(f"/sops/{sop.pk}/rehearsals/", {"days": "30"})
    with in_brand(brand):
        job = Job.objects.get(kind="sop_rehearse")
    assert answer["Location"] == f"/sops/{sop.pk}/rehearsals/{job.pk}/"
    assert client.get(answer["Location"]).status_code == 200
    with in_brand(brand):
        jobs.run(brand, job.pk)
    page = client.get(answer["Location"])
    assert page.context["result"]["n_people"] == page.context["canvas"]["numbers"]["n1"]["in"]
    assert client.post(f"/sops/{sop.pk}/rehearsals/", {"days": "100000"}).status_code == 422
    assert [job.pk for job in client.get(f"/sops/{sop.pk}/rehearsals/").context["jobs"]] == [job.pk]


# ---- where one begins, files, segments


def test_ready_graphs_and_an_empty_canvas(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    page = client.get("/sops/start/")
    keys = [one["key"] for one in page.context["templates"]]
    assert len(keys) >= 7
    for key in [*keys, keys[0]]:  # the second of one name gets a number
        answer = client.post("/sops/start/", {"template": key})
        assert answer.status_code == 302 and client.get(answer["Location"]).status_code == 200
    assert client.post("/sops/start/", {"template": "nothing"}).status_code == 422
    assert client.post("/sops/start/", {"name": "新客"}).status_code == 302
    again = client.post("/sops/start/", {"name": "新客"})
    assert again.status_code == 422 and again.context["error"]


def test_as_a_file_into_another_brand(brand: Any, other_brand: Any, sign_in: Any) -> None:
    with in_brand(brand):
        group = TagGroup.objects.create(name="人群")
        tags = [make_tag(brand, name, group).pk for name in ("宝妈", "新客")]
    with in_brand(other_brand):
        mine = make_tag(other_brand, "宝妈", TagGroup.objects.create(name="人群"))
    sop = make_sop(brand, line(entry(), {"kind": "tag", "add_tag_ids": tags}))
    answer = sign_in(brand, "operator").get(f"/sops/{sop.pk}/export/")
    assert "attachment" in answer["Content-Disposition"]
    client = sign_in(other_brand, "operator")
    file = SimpleUploadedFile("a.json", answer.content)
    taken = client.post("/sops/start/", {"from": "file", "file": file})
    assert taken.status_code == 302
    page = client.get(taken["Location"])
    assert "新客" in page.content.decode()  # told: not in this brand
    node = next(n for n in page.context["canvas"]["graph"]["nodes"] if n["kind"] == "tag")
    assert node["add_tag_ids"] == [mine.pk]
    for bad in (b"", b"{}", b"[1]", b"\xff", b"[" * 5_000):
        refused = client.post("/sops/start/", {"from": "file", "file": SimpleUploadedFile("a.json", bad)})
        assert refused.status_code == 422 and refused.context["file_error"]
    assert client.post("/sops/start/", {"from": "file"}).status_code == 422


def test_a_segment_is_put_in(brand: Any, staff: Any, sign_in: Any) -> None:
    client, sop = sign_in(brand, "operator"), make_sop(brand, publish=True)
    with in_brand(brand):
        people = [make_contact(brand, staff) for _ in range(3)]
        tag = make_tag(brand, "宝妈")
        add_tags(brand, contacts=people[:2], tags=[tag.pk], source="page")
        condition = {"kind": "tags", "mode": "any", "ids": [tag.pk]}
        segment = segments.create_segment(brand, by=SYSTEM, name="宝妈", condition=condition)
    page = client.post(f"/sops/{sop.pk}/enrol/", {"segment": segment.pk, "values": ""})
    assert sorted(page.context["found"].contact_ids) == [c.pk for c in people[:2]]


def test_renamed(brand: Any, sign_in: Any) -> None:
    client, sop = sign_in(brand, "operator"), make_sop(brand)
    make_sop(brand, name="别的")
    assert client.post(f"/sops/{sop.pk}/rename/", {"name": "别的"}).status_code == 422
    assert client.post(f"/sops/{sop.pk}/rename/", {"name": "新名"}).status_code == 302
    with in_brand(brand):
        assert Sop.objects.get(pk=sop.pk).name == "新名"


def test_drawn_steps_are_named_in_the_ledger_and_on_a_contact(brand: Any, staff: Any, sign_in: Any) -> None:
    graph = line(entry(), touch("你好", title="问候"), wait(n=1, title="歇一天"))
    client, sop = sign_in(brand, "operator"), make_sop(brand, graph, publish=True)
    with in_brand(brand):
        person = make_contact(brand, staff)
        enrolments.enrol_many(brand, sop=sop, contact_ids=[person.pk], source="page")
        walking.run(brand, clock.now() + timedelta(minutes=1))
    assert "问候" in client.get("/touches/").content.decode()
    assert "问候" in client.get("/touches/tasks/").content.decode()
    assert "歇一天" in client.get(f"/contacts/{person.pk}/").content.decode()


def test_list_shows_both_forms(brand: Any, sign_in: Any) -> None:
    make_sop(brand, publish=True)
    with in_brand(brand):
        sops.create_sop(brand, name="按天", late_days=3, steps=[StepInput(1, 10, 0, "你好")], by=SYSTEM)
    page = sign_in(brand, "operator").get("/sops/").content.decode()
    assert "新客" in page and "按天" in page


# ---- rights, brands, queries

PAGES = [
    "",
    "canvas/",
    "publish/",
    "versions/",
    "versions/1/back/",
    "compare/",
    "nodes/n1/",
    "guides/",
    "try/",
    "rehearsals/",
    "export/",
    "rename/",
]
FOR_EDITORS = {"canvas/", "publish/", "versions/1/back/", "try/", "rehearsals/", "export/", "rename/"}


@pytest.mark.parametrize("page", PAGES)
def test_rights_and_brands(brand: Any, other_brand: Any, sign_in: Any, page: str) -> None:
    sop = make_sop(brand, publish=True)
    address = f"/sops/{sop.pk}/{page}"
    assert sign_in(brand, "operator").get(address).status_code == 200
    assert sign_in(brand, "guide").get(address).status_code == 403
    assert sign_in(brand, "manager").get(address).status_code == (403 if page in FOR_EDITORS else 200)
    assert sign_in(other_brand).get(address).status_code == 404


@pytest.mark.parametrize("page", ["", "versions/", "nodes/n2/", "guides/", "people/", "rehearsals/"])
def test_queries_do_not_grow(brand: Any, staff: Any, sign_in: Any, page: str) -> None:
    client, sop = sign_in(brand, "operator"), make_sop(brand, publish=True)
    counts = []
    for n in (2, 18):
        with in_brand(brand):
            for _ in range(n):
                graphs.publish(brand, sop_id=sop.pk, by=SYSTEM)
                guide = make_staff(brand, staff.corp)
                person = make_contact(brand, guide)
                enrolments.enrol_many(
                    brand, sop=Sop.objects.get(), contact_ids=[person.pk], source="page",
                    at=clock.now() - timedelta(days=2),
                )  # fmt: skip
            walking.run(brand, clock.now())
            if page == "rehearsals/":
                for days in range(1, n + 1):
                    with clock.at(clock.now() - timedelta(minutes=days * n)):
                        graphs.rehearse(brand, sop_id=sop.pk, by=SYSTEM, days=days)
        client.get(f"/sops/{sop.pk}/{page}")
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"/sops/{sop.pk}/{page}").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


# ---- figures while the page is open


def refuse(brand: Any, sop: Sop, node: str, error: str, staff_ids: list[int]) -> None:
    with in_brand(brand):
        corp = Staff.objects.get(pk=staff_ids[0]).corp
        Moment.objects.create(
            key=f"sop:{sop.pk}:{node}:2026-05-04:{Moment.objects.count()}", source="sop", source_id=sop.pk, name="m",
            corp=corp, at=clock.now(), state=Moment.State.FAILED, error=error, staff_ids=staff_ids,
        )  # fmt: skip


def test_fresh_figures(brand: Any, other_brand: Any, staff: Any, sign_in: Any) -> None:
    sop = make_sop(brand, line(entry(), {"kind": "moments", "text": "新品"}, wait(n=1)), publish=True)
    draft = make_sop(brand, name="草稿")
    with in_brand(brand):
        people = [make_contact(brand, staff) for _n in range(2)]
        enrolments.enrol_many(brand, sop=sop, contact_ids=[c.pk for c in people], source="page")
        walking.run(brand, clock.now())
    with in_brand(brand):
        Moment.objects.all().delete()  # there is no WeCom here that would take it
    client = sign_in(brand, "operator")
    page = client.get(f"/sops/{sop.pk}/").content.decode()
    assert f"/sops/{sop.pk}/figures/" in page and 'id="sop-n-people">2<' in page
    assert f"/sops/{draft.pk}/figures/" not in client.get(f"/sops/{draft.pk}/").content.decode()

    def told() -> Any:
        answer = client.get(f"/sops/{sop.pk}/figures/").content.decode()
        assert 'id="sop-n-people" hx-swap-oob="true">2<' in answer
        assert 'id="sop-stats" hx-swap-oob' in answer and 'id="sop-messages" hx-swap-oob' in answer
        return json.loads(answer.split('type="application/json">')[1].split("</script>")[0])

    assert told()["numbers"]["n3"]["waiting"] == 2 and told()["problems"] == []
    refuse(brand, sop, "n2", "invalid media (40007)", [staff.pk])
    [problem] = told()["problems"]
    assert problem["node"] == "n2" and "40007" in problem["message"]
    assert "40007" in client.get(f"/sops/{sop.pk}/").content.decode()
    assert "40007" in client.get(f"/sops/{sop.pk}/nodes/n2/").content.decode()
    counts = []
    for n in (1, 18):
        for _n in range(n):
            refuse(brand, sop, "n2", "invalid media (40007)", [staff.pk])
        with CaptureQueriesContext(connection) as seen:
            told()
        counts.append(len(seen))
    assert counts[0] == counts[1]
    assert client.get(f"/sops/{draft.pk}/figures/").status_code == 404
    assert sign_in(other_brand, "operator").get(f"/sops/{sop.pk}/figures/").status_code == 404
    assert sign_in(brand, "guide").get(f"/sops/{sop.pk}/figures/").status_code == 403


# ---- web hooks


def test_calls_of_web_hooks(brand: Any, sign_in: Any) -> None:
    sop = make_sop(
        brand,
        line(entry(), {"kind": "hook", "url": "https://shop.example/x", "title": "通知商城"}),
        publish=True,
    )
    admin, manager = sign_in(brand, "admin"), sign_in(brand, "manager")
    url = f"/sops/{sop.pk}/calls/"
    assert url in admin.get(f"/sops/{sop.pk}/").text and url not in admin.get("/sops/").text
    page = admin.get(url)
    assert page.status_code == 200 and page.context["secret"] == ""
    assert admin.post(f"{url}secret/").status_code == 302
    secret = admin.get(url).context["secret"]
    assert len(secret) == 48 and secret in admin.get(url).text
    admin.post(f"{url}secret/")
    assert admin.get(url).context["secret"] not in ("", secret)
    with in_brand(brand):
        contact = make_contact(brand)
        calls = [
            SopCall.objects.create(
                sop=sop, node="n2", contact_id=contact.pk, key=f"k{n}", url="https://shop.example/x", body={}, state=state,
                n_tries=7, status=500, error="HTTP 500", done_at=clock.now(),
            )
            for n, state in enumerate(["failed", "failed", "done"])
        ]  # fmt: skip
    text = manager.get(url).text
    assert "通知商城" in text and "HTTP 500" in text and admin.get(url).context["secret"] not in text
    assert f"{url}again/" not in text and manager.post(f"{url}again/").status_code == 403
    assert manager.post(f"{url}secret/").status_code == 403
    assert len(admin.get(f"{url}?state=failed").context["page"].rows) == 2
    assert admin.get(f"{url}?state=x").status_code == 422

    def states() -> list[tuple[str, int]]:
        with in_brand(brand):
            return list(SopCall.objects.order_by("pk").values_list("state", "n_tries"))

    admin.post(f"{url}again/", {"id": calls[0].pk})
    assert states() == [("waiting", 0), ("failed", 7), ("done", 7)]
    admin.post(f"{url}again/", {"id": calls[2].pk})
    assert admin.post(f"{url}again/", {"id": "x"}).status_code == 422  # never all of them
    assert states() == [("waiting", 0), ("failed", 7), ("done", 7)]
    admin.post(f"{url}again/")
    assert states() == [("waiting", 0), ("waiting", 0), ("done", 7)]
