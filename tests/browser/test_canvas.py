"""The canvas of an SOP in Chromium: by mouse, by keys, as a list; undone, saved by itself, mended, in two windows."""

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from campaigns.models import Moment, Sop
from campaigns.services.graphs import graphs
from campaigns.services.journeys import walking
from campaigns.services.sops import enrolments
from contacts.models import EventType
from contacts.services.search import refresh_grams
from contacts.services.timeline import record_events
from org.access import SYSTEM
from org.models import Job
from org.services import jobs
from scrm import clock
from tests.factories import in_brand, make_contact, make_tag

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

GRAPH: dict[str, Any] = {
    "nodes": [
        {"id": "n1", "kind": "entry", "by": "hand"},
        {"id": "n2", "kind": "wait", "mode": "for", "n": 1, "unit": "days"},
        {"id": "n3", "kind": "touch", "title": "问候", "text": "你好"},
        {"id": "n4", "kind": "end"},
    ],
    "edges": [
        {"from": "n1", "out": "next", "to": "n2"},
        {"from": "n2", "out": "next", "to": "n3"},
        {"from": "n3", "out": "next", "to": "n4"},
    ],
}
NOTHING: dict[str, Any] = {"nodes": [], "edges": []}


@pytest.fixture
def desk(page: Page, live_server: Any, brand: Any, staff: Any, sign_in: Any, settings: Any) -> Page:
    """An operator."""
    key = sign_in(brand, "operator").cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
    return page


def make_sop(brand: Any, graph: Any = None) -> Sop:
    with in_brand(brand):
        return graphs.create_graph_sop(brand, name="新客", graph=graph or NOTHING, by=SYSTEM)


def draft(brand: Any, sop: Sop) -> dict[str, Any]:
    with in_brand(brand):
        found = Sop.objects.get(pk=sop.pk).draft
    assert found is not None
    return dict(found)


def saved(page: Page) -> None:
    expect(page.locator("#saved")).to_have_attribute("data-state", "saved")


def ways(graph: dict[str, Any]) -> list[str]:
    """Nodes of a straight graph in the order of walking."""
    found = ["n1"]
    while on := [edge["to"] for edge in graph["edges"] if edge["from"] == found[-1]]:
        found += on
    return found


def kinds_of(graph: dict[str, Any]) -> list[str]:
    return sorted(node["kind"] for node in graph["nodes"])


def drag(page: Page, start: Any, x: float, y: float) -> None:
    box = start.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(x - 20, y - 20, steps=4)
    page.mouse.move(x, y, steps=2)
    page.mouse.up()


def test_drawn_by_mouse(desk: Page, live_server: Any, brand: Any) -> None:
    page, sop = desk, make_sop(brand)
    page.goto(f"{live_server.url}/sops/{sop.pk}/canvas/")
    stage = page.locator("#stage").bounding_box()
    assert stage
    middle = stage["x"] + stage["width"] / 2
    drag(page, page.locator("#palette [data-kind=entry]"), middle, stage["y"] + 80)
    expect(page.locator(".node-card")).to_have_count(1)
    # a way out asks what comes next
    page.locator("[data-node=n1] .port").click()
    page.click(".canvas-menu [data-kind=wait]")
    page.fill("#inspector [data-param=n] input", "3")
    # dropped on an edge: between the two
    edge = page.locator(".edge-hit").first.bounding_box()
    assert edge
    drag(
        page,
        page.locator("#palette [data-kind=touch]"),
        edge["x"] + edge["width"] / 2,
        edge["y"] + edge["height"] / 2,
    )
    page.fill("#inspector [data-param=text] textarea", "你好，我是{员工姓名}")
    page.keyboard.press("Escape")
    expect(page.locator(".edge")).to_have_count(2)
    # pulled into the empty: a new node there
    last = page.locator("[data-node=n2] .port")
    box = last.bounding_box()
    assert box
    drag(page, last, box["x"] + 160, box["y"] + 60)
    page.click(".canvas-menu [data-kind=end]")
    saved(page)
    graph = draft(brand, sop)
    assert kinds_of(graph) == ["end", "entry", "touch", "wait"]
    assert {(e["from"], e["to"]) for e in graph["edges"]} == {("n1", "n3"), ("n3", "n2"), ("n2", "n4")}
    wait = next(n for n in graph["nodes"] if n["kind"] == "wait")
    assert (wait["mode"], wait["n"]) == ("for", 3)
    # moved; connected anew by dragging onto another card; an edge taken out
    before = page.locator("[data-node=n4]").bounding_box()
    assert before
    drag(page, page.locator("[data-node=n4] .node-card"), before["x"] + 20, before["y"] + 90)
    target = page.locator("[data-node=n4]").bounding_box()
    assert target
    drag(page, page.locator("[data-node=n3] .port"), target["x"] + 60, target["y"] + 30)
    saved(page)
    assert {"from": "n3", "out": "next", "to": "n4"} in draft(brand, sop)["edges"]
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    saved(page)
    graph = draft(brand, sop)
    assert {"from": "n3", "out": "next", "to": "n2"} in graph["edges"]
    page.keyboard.press("Control+y")
    page.keyboard.press("Control+y")
    saved(page)
    assert {"from": "n3", "out": "next", "to": "n4"} in draft(brand, sop)["edges"]


def test_drawn_by_keys(desk: Page, live_server: Any, brand: Any) -> None:
    page, sop = desk, make_sop(brand)
    page.goto(f"{live_server.url}/sops/{sop.pk}/canvas/")
    page.keyboard.press("a")
    page.keyboard.press("Enter")  # the first of the menu: an entry
    expect(page.locator("[data-node=n1] .node-card")).to_be_focused()
    page.keyboard.press("a")
    page.locator(".canvas-menu [data-kind=touch]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-node=n2] .node-card")).to_be_focused()
    page.keyboard.press("Enter")  # into its form
    page.locator("#inspector textarea").first.focus()
    page.keyboard.type("谢谢")
    page.keyboard.press("Escape")
    expect(page.locator("[data-node=n2] .node-card")).to_be_focused()
    page.keyboard.press("a")
    page.locator(".canvas-menu [data-kind=end]").focus()
    page.keyboard.press("Enter")
    saved(page)
    graph = draft(brand, sop)
    assert kinds_of(graph) == ["end", "entry", "touch"]
    assert [(e["from"], e["to"]) for e in graph["edges"]] == [("n1", "n2"), ("n2", "n3")]
    # walk, move, double, take out, all undone
    page.keyboard.press("ArrowUp")
    expect(page.locator("[data-node=n2] .node-card")).to_be_focused()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Control+d")
    expect(page.locator(".node-card")).to_have_count(4)
    page.keyboard.press("Delete")
    expect(page.locator(".node-card")).to_have_count(3)
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    expect(page.locator(".node-card")).to_have_count(0)
    for _ in range(4):
        page.keyboard.press("Control+z")
    saved(page)
    assert draft(brand, sop)["nodes"] == graph["nodes"]


def test_what_is_wrong_is_said_at_the_node(desk: Page, live_server: Any, brand: Any) -> None:
    page, sop = desk, make_sop(brand, GRAPH)
    page.goto(f"{live_server.url}/sops/{sop.pk}/canvas/")
    expect(page.locator(".node.wrong")).to_have_count(0)
    page.click("[data-node=n3] .node-card")
    page.fill("#inspector [data-param=text] textarea", "")
    expect(page.locator("[data-node=n3].wrong")).to_be_visible()
    expect(page.locator("#inspector [data-param=text] > .field-error")).to_be_visible()
    expect(page.locator("[data-problem-count]")).to_have_text("1")
    page.fill("#inspector [data-param=text] textarea", "好久不见")
    expect(page.locator(".node.wrong")).to_have_count(0)
    # a node that is taken out: those around it are joined
    page.keyboard.press("Escape")
    page.keyboard.press("Delete")
    saved(page)
    assert {"from": "n2", "out": "next", "to": "n4"} in draft(brand, sop)["edges"]


def test_condition_of_a_branch(desk: Page, live_server: Any, brand: Any) -> None:
    with in_brand(brand):
        make_tag(brand, "宝妈")
    page, sop = desk, make_sop(brand, GRAPH)
    page.goto(f"{live_server.url}/sops/{sop.pk}/canvas/")
    page.click("[data-node=n2] .node-card")
    page.click("#palette [data-kind=branch]")
    page.click("#inspector .canvas-condition .btn")
    page.locator("#condition-dialog .builder-add button").first.click()
    page.locator("#condition-dialog .builder-chooser input").first.click()
    page.click("#condition-dialog .builder-choice:has-text('宝妈')")
    page.click("[data-condition-ok]")
    expect(page.locator("#inspector .canvas-condition p")).to_contain_text("宝妈")
    expect(page.locator(".node:has-text('宝妈')")).to_be_visible()
    ways = page.locator("#inspector .canvas-way select")
    expect(ways).to_have_count(2)
    ways.nth(1).select_option("n4")
    saved(page)
    graph = draft(brand, sop)
    branch = next(n for n in graph["nodes"] if n["kind"] == "branch")
    assert branch["condition"]["all"][0]["kind"] == "tags"
    assert {"from": branch["id"], "out": "no", "to": "n4"} in graph["edges"]
    page.reload()
    page.click(f"[data-node={branch['id']}] .node-card")
    expect(page.locator("#inspector .canvas-condition p")).to_contain_text("宝妈")


def test_two_windows_notice_each_other(desk: Page, live_server: Any, brand: Any) -> None:
    page, sop = desk, make_sop(brand, GRAPH)
    address = f"{live_server.url}/sops/{sop.pk}/canvas/"
    page.goto(address)
    other = page.context.new_page()
    other.goto(address)
    other.click("[data-node=n3] .node-card")
    other.fill("#inspector [data-param=title] input", "他人的")
    saved(other)
    page.click("[data-node=n3] .node-card")
    page.fill("#inspector [data-param=title] input", "我的")
    expect(page.locator("#conflict")).to_be_visible()
    assert next(n["title"] for n in draft(brand, sop)["nodes"] if n["id"] == "n3") == "他人的"
    page.locator("#conflict button").nth(1).click()
    saved(page)
    expect(page.locator("#conflict")).to_be_hidden()
    assert next(n["title"] for n in draft(brand, sop)["nodes"] if n["id"] == "n3") == "我的"


def test_as_a_list_on_a_phone(desk: Page, live_server: Any, brand: Any) -> None:
    page, sop = desk, make_sop(brand, GRAPH)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{live_server.url}/sops/{sop.pk}/canvas/")
    expect(page.locator("#outline [data-outline]")).to_have_count(4)
    page.click("[data-outline=n2] .outline-head")
    page.fill("[data-outline=n2] [data-param=n] input", "5")
    page.locator("[data-outline=n2] .outline-acts button").first.click()
    page.click(".canvas-menu [data-kind=task]")
    page.fill("[data-outline=n5] [data-param=subject] input", "电话回访")
    saved(page)
    graph = draft(brand, sop)
    assert {(e["from"], e["to"]) for e in graph["edges"]} == {
        ("n1", "n2"),
        ("n2", "n5"),
        ("n5", "n3"),
        ("n3", "n4"),
    }
    expect(page.locator("[data-outline=n2] .node-title").first).to_have_text(re.compile("5"))
    # one place earlier, undone, one later, and taken out: who waited for it goes on to the next, and no gap stays
    page.click("[data-outline=n5] .outline-acts >> text=上移")
    saved(page)
    assert ways(draft(brand, sop)) == ["n1", "n5", "n2", "n3", "n4"]
    expect(page.locator("[data-outline=n5] .outline-acts >> text=下移")).to_be_visible()
    expect(page.locator("[data-outline=n5] .outline-acts >> text=上移")).to_have_count(
        0
    )  # an entry stays first
    page.click("[data-canvas-act=undo]")
    page.click("[data-outline=n2] .outline-acts >> text=下移")
    saved(page)
    graph = draft(brand, sop)
    assert ways(graph) == ["n1", "n5", "n2", "n3", "n4"]
    before = {node["id"]: node["y"] for node in graph["nodes"]}
    page.click("[data-outline=n5] .outline-acts >> text=删除")
    saved(page)
    graph = draft(brand, sop)
    assert ways(graph) == ["n1", "n2", "n3", "n4"]
    after = {node["id"]: node["y"] for node in graph["nodes"]}
    step = before["n2"] - before["n5"]
    assert after == {"n1": before["n1"], **{name: before[name] - step for name in ("n2", "n3", "n4")}}
    page.click("[data-canvas-act=undo]")
    saved(page)
    assert {node["id"]: node["y"] for node in draft(brand, sop)["nodes"]} == before
    page.click("[data-canvas-act=redo]")
    saved(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(".outline-settings summary").click()
    page.select_option(".outline-settings [data-param=reentry] select", "after")
    expect(page.locator(".outline-settings [data-param=reentry_days] input")).to_be_visible()
    page.click("[data-canvas-act=canvas]")
    expect(page.locator("#inspector")).not_to_have_class(re.compile("open"))
    page.locator("[data-node=n2] .node-card").click()
    expect(page.locator("#inspector")).to_have_class(re.compile("open"))
    page.click("#inspector .panel-close")
    expect(page.locator("#inspector")).to_be_hidden()
    card = page.locator("[data-node=n2] .node-card")
    before_drag = card.bounding_box()
    assert before_drag
    drag(page, card, before_drag["x"] + 90, before_drag["y"] + 60)
    expect(page.locator("#inspector")).not_to_have_class(
        re.compile("open")
    )  # whoever moves a node sees where
    card.click()
    expect(page.locator("#inspector")).to_have_class(re.compile("open"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_published_and_its_figures_seen(desk: Page, live_server: Any, brand: Any, staff: Any) -> None:
    page, sop = desk, make_sop(brand, GRAPH)
    with in_brand(brand):
        people = [make_contact(brand, staff, name=f"客户{n}") for n in range(3)]
    page.goto(f"{live_server.url}/sops/{sop.pk}/canvas/")
    # changed and published at once: what was changed is saved first
    page.click("[data-node=n3] .node-card")
    page.fill("#inspector [data-param=text] textarea", "欢迎")
    page.click("main [hx-get$='/publish/']")
    page.fill("#modal [name=note]", "第一版")
    page.click("#modal [name=go]")
    page.wait_for_url(f"**/sops/{sop.pk}/")
    with in_brand(brand):
        assert [n["text"] for n in graphs.versions(sop.pk)[0].graph["nodes"] if n["id"] == "n3"] == ["欢迎"]
        ids = [contact.pk for contact in people]
        enrolments.enrol_many(brand, sop=Sop.objects.get(), contact_ids=ids, source="page")
        walking.run(brand, clock.now() + timedelta(minutes=1))
    page.reload()
    expect(page.locator("[data-node=n2] .node-numbers b").nth(1)).to_have_text("3")
    page.click("[data-node=n2] .node-card")
    expect(page.locator("#drawer")).to_contain_text("客户2")


def test_tried_on_a_person_and_rehearsed(desk: Page, live_server: Any, brand: Any, staff: Any) -> None:
    graph = {
        **GRAPH,
        "nodes": [{"id": "n1", "kind": "entry", "by": "event", "event": "added"}, *GRAPH["nodes"][1:]],
    }
    page, sop = desk, make_sop(brand, graph)
    with in_brand(brand):
        person = make_contact(brand, staff, name="王小美")
        refresh_grams(brand, [person.pk])
        row = {
            "contact_id": person.pk,
            "type": EventType.ADDED,
            "at": clock.now() - timedelta(days=9),
            "staff_id": staff.pk,
        }
        record_events(brand, [row])  # type: ignore[list-item]
    page.goto(f"{live_server.url}/sops/{sop.pk}/canvas/")
    page.click("main [hx-get$='/try/']")
    page.fill("#drawer [name=q]", "小美")
    page.click("#try-people button:has-text('王小美')")
    expect(page.locator(".try-steps li")).to_have_count(4)
    expect(page.locator(".look-path")).to_have_count(4)
    page.click("#drawer .btn-close")
    expect(page.locator(".look-path")).to_have_count(0)
    page.goto(f"{live_server.url}/sops/{sop.pk}/rehearsals/")
    page.click("main form button.btn-primary")
    page.wait_for_url("**/rehearsals/*/")
    with in_brand(brand):
        job = Job.objects.get(kind="sop_rehearse")
        jobs.run(brand, job.pk)
    page.reload()
    expect(page.locator("[data-node=n3] .node-numbers b").first).to_have_text("1")
    expect(page.locator(".heat")).to_be_visible()


@pytest.mark.parametrize(
    "path", ["start/", "{sop}/", "{sop}/versions/", "{sop}/compare/", "{sop}/guides/", "{sop}/rehearsals/"]
)
def test_pages_fit_a_phone(desk: Page, live_server: Any, brand: Any, path: str) -> None:
    sop = make_sop(brand, GRAPH)
    with in_brand(brand):
        graphs.publish(brand, sop_id=sop.pk, by=SYSTEM)
    desk.set_viewport_size({"width": 390, "height": 844})
    desk.goto(f"{live_server.url}/sops/" + path.format(sop=sop.pk))
    assert desk.evaluate("document.documentElement.scrollWidth") <= 390


def test_figures_come_fresh_and_a_refused_moment_is_said_at_its_node(
    desk: Page, live_server: Any, brand: Any, staff: Any
) -> None:
    moments: dict[str, Any] = {"id": "n3", "kind": "moments", "title": "新品朋友圈", "text": "新品到店"}
    graph = {**GRAPH, "nodes": [node if node["id"] != "n3" else moments for node in GRAPH["nodes"]]}
    sop = make_sop(brand, graph)
    with in_brand(brand):
        graphs.publish(brand, sop_id=sop.pk, by=SYSTEM)
    desk.goto(f"{live_server.url}/sops/{sop.pk}/")
    desk.click("[data-canvas-act=canvas]")
    waiting = desk.locator("[data-node=n2] .node-number").nth(1)
    expect(waiting).to_contain_text("0")
    with in_brand(brand):
        ids = [make_contact(brand, staff).pk for _ in range(3)]
        enrolments.enrol_many(brand, sop=Sop.objects.get(pk=sop.pk), contact_ids=ids, source="page")
        walking.run(brand, clock.now())
        Moment.objects.create(
            key=f"sop:{sop.pk}:n3:2026-01-01:0", source="sop", source_id=sop.pk, name="m", corp=staff.corp,
            state=Moment.State.FAILED, error="invalid media (40007)", staff_ids=[staff.pk], at=clock.now(),
        )  # fmt: skip
    desk.evaluate("htmx.trigger('#sop-fresh', 'refresh')")  # what the page does every half minute
    expect(waiting).to_contain_text("3")
    expect(desk.locator("#sop-stats")).to_contain_text("3")
    expect(desk.locator("[data-node=n3] .node-mark")).to_be_visible()
    expect(desk.locator("#sop-troubles")).to_contain_text("40007")
    expect(desk.locator("#sop-messages tr")).to_have_count(1)
    desk.click("[data-node=n3] .node-card")
    expect(desk.locator("#drawer-content")).to_contain_text("40007")
