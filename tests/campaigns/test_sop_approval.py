"""A second person for SOPs: handed in, approved, sent back, withdrawn; nobody gets around it alone."""

from dataclasses import replace
from typing import Any

import pytest

from campaigns.graph import tidy
from campaigns.models import Enrolment, Sop, SopRequest, SopVersion
from campaigns.services import named
from campaigns.services.governance import policy
from campaigns.services.graphs import graph_files, graphs
from campaigns.services.sops import enrolments, sop_approval, sop_requests, sops
from campaigns.services.sops.sops import StepInput
from org.access import SYSTEM, Actor
from org.models import AuditEntry
from scrm.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from tagging.models import Tag, TagGroup
from tests.campaigns.graphs import entry, line, touch, wait
from tests.factories import in_brand, make_contact, make_corp, make_staff

pytestmark = pytest.mark.django_db(transaction=True)

WRITER, CHECKER = Actor("小文", user_id=11), Actor("小审", user_id=12)
NAMESAKE = Actor("小文", user_id=13)  # the same name, somebody else
STEPS = [StepInput(1, 10, 0, "第一天"), StepInput(7, 10, 0, "第七天")]
State = SopRequest.State


@pytest.fixture
def house(brand: Any) -> Any:
    with in_brand(brand):
        policy.change_policy(brand, by=SYSTEM, sops_need_approval=True)
    return brand


def by_day(brand: Any, by: Actor = WRITER, name: str = "新客") -> Sop:
    return sops.create_sop(brand, name=name, steps=STEPS, by=by)


def drawn(brand: Any, *nodes: Any, by: Actor = WRITER, name: str = "画的") -> Sop:
    return graphs.create_graph_sop(brand, name=name, graph=line(entry(), *nodes or (touch("你好"),)), by=by)


def on_by_day(brand: Any) -> Sop:
    sop = by_day(brand)
    asked = sop_approval.switch_on(brand, sop_id=sop.pk, by=WRITER).request
    assert asked
    sop_approval.approve(brand, request_id=asked.pk, by=CHECKER)
    return sops.get_sop(sop.pk)


def on_canvas(brand: Any, *nodes: Any) -> Sop:
    sop = drawn(brand, *nodes)
    asked = sop_approval.publish(brand, sop_id=sop.pk, by=WRITER).request
    assert asked
    sop_approval.approve(brand, request_id=asked.pk, by=CHECKER)
    return sops.get_sop(sop.pk)


def draw(brand: Any, sop: Sop, *nodes: Any, by: Actor = WRITER) -> Sop:
    return graphs.save_draft(brand, sop_id=sop.pk, graph=line(entry(), *nodes), by=by)


def texts(sop: Sop) -> list[str]:
    return [step.text for step in sops.live_steps(sop.pk)]


def acts() -> list[str]:
    return list(AuditEntry.objects.filter(object_type="sop").order_by("pk").values_list("action", flat=True))


# ---- both forms, whole


def test_steps_by_day_are_switched_on_by_two(house: Any) -> None:
    with in_brand(house):
        sop = by_day(house)
        with pytest.raises(ConflictError) as refused:
            sops.switch_on(house, sop_id=sop.pk, by=WRITER)
        assert refused.value.code == "needs_approval"
        asked = sop_approval.switch_on(house, sop_id=sop.pk, by=WRITER, note="请看").request
        again = sop_approval.switch_on(house, sop_id=sop.pk, by=WRITER).request
        assert asked and again and again.pk == asked.pk and SopRequest.objects.count() == 1
        assert sops.get_sop(sop.pk).state == "draft"
        for own in (WRITER, replace(WRITER, name="改了名字")):
            with pytest.raises(ForbiddenError):
                sop_approval.approve(house, request_id=asked.pk, by=own)
        sop_approval.approve(house, request_id=asked.pk, by=NAMESAKE)
        assert sops.get_sop(sop.pk).state == "on"
        with pytest.raises(ConflictError) as late:
            sop_approval.approve(house, request_id=asked.pk, by=CHECKER)
        assert late.value.code == "not_waiting"
        found = SopRequest.objects.get()
        assert (found.state, found.decided_by_user_id, found.note) == (State.APPROVED, 13, "请看")
        assert acts() == ["sop.create", "sop.submit", "sop.approve", "sop.on"]


def test_a_canvas_is_published_by_two(house: Any) -> None:
    with in_brand(house):
        sop = drawn(house)
        with pytest.raises(ConflictError):
            graphs.publish(house, sop_id=sop.pk, by=WRITER)
        asked = sop_approval.publish(house, sop_id=sop.pk, by=WRITER, note="第一版").request
        assert asked and not SopVersion.objects.exists() and sops.get_sop(sop.pk).state == "draft"
        outcome = sop_approval.approve(house, request_id=asked.pk, by=CHECKER)
        version = SopVersion.objects.get()
        assert outcome.version == version
        assert (version.published_by, version.approved_by, version.note) == ("小文", "小审", "第一版")
        assert sops.get_sop(sop.pk).state == "on"
        assert SopRequest.objects.get().version_id == version.pk
        assert acts() == ["sop.create", "sop.submit", "sop.approve", "sop.publish"]


def test_a_second_click_is_the_same_request_and_an_open_editor_goes_on(house: Any) -> None:
    with in_brand(house):
        sop = drawn(house)
        n = sop.draft_n
        asked = [
            sop_approval.publish(house, sop_id=sop.pk, by=WRITER, draft_n=n).request for _click in range(2)
        ]
        assert asked[0] and asked[1] and asked[0].pk == asked[1].pk
        other_words = line(entry(), touch("别的"))
        graphs.save_draft(house, sop_id=sop.pk, graph=other_words, by=WRITER, draft_n=n)
        with pytest.raises(ConflictError) as late:
            sop_approval.publish(house, sop_id=sop.pk, by=WRITER, draft_n=n)
        assert late.value.code == "draft_changed"


def test_without_the_rule_one_person_is_enough(brand: Any) -> None:
    with in_brand(brand):
        assert sop_approval.switch_on(brand, sop_id=by_day(brand).pk, by=WRITER).request is None
        outcome = sop_approval.publish(brand, sop_id=drawn(brand).pk, by=WRITER)
        assert outcome.request is None and outcome.version and outcome.version.approved_by == ""
        assert set(Sop.objects.values_list("state", flat=True)) == {"on"}


def test_whoever_drew_along_cannot_approve(house: Any) -> None:
    """The one who hands it in need not be the one who drew it: neither may say yes."""
    drawer = Actor("小画", user_id=21)
    with in_brand(house):
        sop = drawn(house)
        draw(house, sop, touch("改过的"), by=drawer)
        asked = sop_approval.publish(house, sop_id=sop.pk, by=CHECKER).request
        assert asked
        for own in (WRITER, drawer, CHECKER):
            with pytest.raises(ForbiddenError):
                sop_approval.approve(house, request_id=asked.pk, by=own)
        sop_approval.approve(house, request_id=asked.pk, by=NAMESAKE)
        # what comes next is somebody else's: whoever drew the version before may approve that
        sop = draw(house, sop, touch("又改了"), by=CHECKER)
        asked = sop_approval.publish(house, sop_id=sop.pk, by=CHECKER).request
        assert asked
        sop_approval.approve(house, request_id=asked.pk, by=drawer)


def test_drafts_of_old_are_known_by_the_names_of_their_makers(house: Any) -> None:
    with in_brand(house):
        sop = drawn(house)
        Sop.objects.update(makers=[])
        asked = sop_approval.publish(house, sop_id=sop.pk, by=CHECKER).request
        assert asked
        with pytest.raises(ForbiddenError):
            sop_approval.approve(house, request_id=asked.pk, by=WRITER)


# ---- running ones


def test_people_stay_in_the_old_version_until_the_new_one_is_approved(house: Any) -> None:
    with in_brand(house):
        guide = make_staff(house, make_corp(house))
        person = make_contact(house, guide)
        sop = on_canvas(house, wait(n=5), touch("旧"))
        enrolments.enrol_many(house, sop=sop, contact_ids=[person.pk], source="page")
        first = sop.version_id
        draw(house, sop, wait(n=5), touch("新"))
        asked = sop_approval.publish(house, sop_id=sop.pk, by=WRITER, people=graphs.MOVE).request
        assert asked and asked.before_id == first
        newcomer = make_contact(house, guide)
        enrolments.enrol_many(house, sop=sops.get_sop(sop.pk), contact_ids=[newcomer.pk], source="page")
        assert set(Enrolment.objects.values_list("version_id", flat=True)) == {first}
        outcome = sop_approval.approve(house, request_id=asked.pk, by=CHECKER)
        assert outcome.version and outcome.job and outcome.version.n == 2
        assert sops.get_sop(sop.pk).version_id == outcome.version.pk


def test_people_are_moved_by_two_as_well(house: Any) -> None:
    """The version is approved; that its people go over was not."""
    with in_brand(house):
        sop = on_canvas(house, wait(n=5), touch("旧"))
        same = sop_approval.publish(house, sop_id=sop.pk, by=WRITER)
        assert same.request is None and same.version and same.version.pk == sop.version_id
        with pytest.raises(ConflictError):
            graphs.publish(house, sop_id=sop.pk, by=WRITER, people=graphs.MOVE)
        asked = sop_approval.publish(house, sop_id=sop.pk, by=WRITER, people=graphs.MOVE).request
        assert asked
        assert sop_approval.approve(house, request_id=asked.pk, by=CHECKER).job


def test_steps_of_a_running_sop_change_by_two(house: Any) -> None:
    with in_brand(house):
        sop = on_by_day(house)
        first, second = sops.live_steps(sop.pk)
        kept = StepInput(1, 10, 0, "第一天", step_id=first.pk)
        new = [kept, replace(kept, day=7, text="第七天，改过", step_id=second.pk)]
        for state in ("on", "paused"):
            if state == "paused":
                sops.pause(house, sop_id=sop.pk, by=WRITER)
            with pytest.raises(ConflictError) as refused:
                sops.edit_sop(house, sop_id=sop.pk, name="新客", late_days=3, steps=new, by=WRITER)
            assert refused.value.code == "needs_approval"
        outcome = sop_approval.edit(house, sop_id=sop.pk, name="新客", late_days=3, steps=new, by=WRITER)
        assert outcome.request and texts(sop) == ["第一天", "第七天"]
        sop_approval.approve(house, request_id=outcome.request.pk, by=CHECKER)
        assert texts(sop) == ["第一天", "第七天，改过"]
        assert [step.pk for step in sops.live_steps(sop.pk)] == [first.pk, second.pk]


def test_a_name_needs_nobody_days_do(house: Any) -> None:
    with in_brand(house):
        sop = on_by_day(house)
        same = [
            StepInput(s.day, s.hour, s.minute, s.text, s.attachments, s.pk) for s in sops.live_steps(sop.pk)
        ]
        assert not sop_approval.edit(
            house, sop_id=sop.pk, name="叫别的", late_days=3, steps=same, by=WRITER
        ).request
        assert sops.get_sop(sop.pk).name == "叫别的"
        assert sop_approval.edit(
            house, sop_id=sop.pk, name="叫别的", late_days=9, steps=same, by=WRITER
        ).request
        assert sops.get_sop(sop.pk).late_days == 3


def test_a_name_is_another_one_at_once_and_a_yes_takes_none_back(house: Any) -> None:
    """Nor does a yes fail because another SOP has meanwhile taken the name that it had when it was handed in."""

    def same(sop: Sop, text: str = "") -> list[StepInput]:
        return [
            StepInput(s.day, s.hour, s.minute, text or s.text, step_id=s.pk) for s in sops.live_steps(sop.pk)
        ]

    with in_brand(house):
        sop = on_by_day(house)
        asked = sop_approval.edit(
            house, sop_id=sop.pk, name="叫别的", late_days=3, steps=same(sop, "改过"), by=WRITER
        ).request
        assert asked and sops.get_sop(sop.pk).name == "叫别的" and texts(sop) == ["第一天", "第七天"]
        draft = by_day(house, name="草稿")
        on = sop_approval.switch_on(house, sop_id=draft.pk, by=WRITER).request
        assert on
        for one, name in ((sop, "又叫别的"), (draft, "另一份草稿")):
            sop_approval.edit(house, sop_id=one.pk, name=name, late_days=3, steps=same(one), by=CHECKER)
        for name in ("新客", "叫别的", "草稿"):
            by_day(house, name=name)
        for request in (asked, on):
            sop_approval.approve(house, request_id=request.pk, by=CHECKER)
        assert (sops.get_sop(sop.pk).name, texts(sop)) == ("又叫别的", ["改过", "改过"])
        found = sops.get_sop(draft.pk)
        assert (found.name, found.state) == ("另一份草稿", "on")


def test_stopping_needs_nobody(house: Any) -> None:
    with in_brand(house):
        sop = on_canvas(house)
        draw(house, sop, touch("新"))
        asked = sop_approval.publish(house, sop_id=sop.pk, by=WRITER).request
        assert asked
        sops.pause(house, sop_id=sop.pk, by=WRITER)
        sops.resume(house, sop_id=sop.pk, by=WRITER)
        assert sop_requests.get_request(asked.pk).state == State.WAITING
        sops.end(house, sop_id=sop.pk, by=WRITER)
        assert sop_requests.get_request(asked.pk).state == State.OVERTAKEN
        with pytest.raises(ConflictError):
            sop_approval.approve(house, request_id=asked.pk, by=CHECKER)


# ---- back to a version


def test_back_to_an_approved_version_needs_nobody(house: Any) -> None:
    with in_brand(house):
        sop = on_canvas(house, touch("一"))
        draw(house, sop, touch("二"))
        asked = sop_approval.publish(house, sop_id=sop.pk, by=WRITER).request
        assert asked
        sop_approval.approve(house, request_id=asked.pk, by=CHECKER)
        draw(house, sop, touch("三"))
        waits = sop_approval.publish(house, sop_id=sop.pk, by=WRITER).request
        assert waits
        outcome = sop_approval.roll_back(house, sop_id=sop.pk, n=1, by=WRITER)
        assert outcome.request is None and outcome.version
        assert (outcome.version.n, outcome.version.approved_by) == (3, "小审")
        # what waited was made for another version: it has to be handed in again
        assert sop_requests.get_request(waits.pk).state == State.OVERTAKEN


def test_back_to_a_version_of_one_person_needs_two(brand: Any) -> None:
    with in_brand(brand):
        sop = drawn(brand, touch("一"))
        graphs.publish(brand, sop_id=sop.pk, by=WRITER)
        draw(brand, sop, touch("二"))
        graphs.publish(brand, sop_id=sop.pk, by=WRITER)
        policy.change_policy(brand, by=SYSTEM, sops_need_approval=True)
        with pytest.raises(ConflictError) as refused:
            graphs.roll_back(brand, sop_id=sop.pk, n=1, by=WRITER)
        assert refused.value.code == "needs_approval"
        asked = sop_approval.roll_back(brand, sop_id=sop.pk, n=1, by=WRITER).request
        assert asked
        version = sop_approval.approve(brand, request_id=asked.pk, by=CHECKER).version
        assert version and (version.n, version.approved_by) == (3, "小审")
        with pytest.raises(ConflictError):  # the present one
            sop_approval.roll_back(brand, sop_id=sop.pk, n=3, by=WRITER)


# ---- what counts no more


def test_a_change_after_it_was_handed_in_voids_it(house: Any) -> None:
    with in_brand(house):
        sop = drawn(house)
        asked = sop_approval.publish(house, sop_id=sop.pk, by=WRITER).request
        assert asked
        moved = tidy(sops.get_sop(sop.pk).draft)
        for node in moved["nodes"]:
            node["x"] += 40
        graphs.save_draft(house, sop_id=sop.pk, graph=moved, by=CHECKER)  # only another place
        assert sop_requests.get_request(asked.pk).state == State.WAITING
        assert sops.get_sop(sop.pk).makers == [["小文", 11]]
        draw(house, sop, touch("你好！"))
        assert sop_requests.get_request(asked.pk).state == State.OVERTAKEN
        with pytest.raises(ConflictError):
            sop_approval.approve(house, request_id=asked.pk, by=CHECKER)
        assert not SopVersion.objects.exists()

        steps = by_day(house)
        asked = sop_approval.switch_on(house, sop_id=steps.pk, by=WRITER).request
        assert asked
        given = [
            StepInput(s.day, s.hour, s.minute, f"{s.text}。", step_id=s.pk) for s in sops.live_steps(steps.pk)
        ]
        sops.edit_sop(house, sop_id=steps.pk, name="新客", late_days=3, steps=given, by=WRITER)
        with pytest.raises(ConflictError):
            sop_approval.approve(house, request_id=asked.pk, by=CHECKER)
        assert sops.get_sop(steps.pk).state == "draft"


def test_another_priority_and_another_request_take_its_place(house: Any) -> None:
    with in_brand(house):
        sop = drawn(house)
        first = sop_approval.publish(house, sop_id=sop.pk, by=WRITER).request
        sops.set_priority(house, sop_id=sop.pk, priority=9, by=WRITER)
        second = sop_approval.publish(house, sop_id=sop.pk, by=WRITER).request
        draw(house, sop, touch("别的"))
        third = sop_approval.publish(house, sop_id=sop.pk, by=WRITER).request
        assert first and second and third
        states = [sop_requests.get_request(one.pk).state for one in (first, second, third)]
        assert states == [State.OVERTAKEN, State.OVERTAKEN, State.WAITING]


def test_what_is_gone_by_then_is_not_approved(house: Any) -> None:
    with in_brand(house):
        tag = Tag.objects.create(group=TagGroup.objects.create(name="组"), name="会员")
        put_on = {"kind": "tag", "add_tag_ids": [tag.pk]}
        sop = drawn(house, put_on)
        asked = sop_approval.publish(house, sop_id=sop.pk, by=WRITER).request
        assert asked
        other = Tag.objects.create(group=tag.group, name="会员卡")
        named.replace_tag(house, tag.pk, other.pk)  # two tags became one
        waits = sop_requests.get_request(asked.pk)
        assert waits.state == State.WAITING
        assert waits.proposal["graph"]["nodes"][1]["add_tag_ids"] == [other.pk]
        Tag.objects.filter(pk=other.pk).delete()
        with pytest.raises(InvalidError) as refused:
            sop_approval.approve(house, request_id=asked.pk, by=CHECKER)
        assert refused.value.code == "graph_problems"
    with in_brand(house):
        assert sop_requests.get_request(asked.pk).state == State.WAITING and not SopVersion.objects.exists()


# ---- priority, lists of people


@pytest.mark.parametrize("make", [on_by_day, on_canvas])
def test_the_priority_of_what_runs_is_another_one_by_two(house: Any, make: Any) -> None:
    with in_brand(house):
        sop = make(house)
        with pytest.raises(ConflictError) as refused:
            sops.set_priority(house, sop_id=sop.pk, priority=9, by=WRITER)
        assert refused.value.code == "needs_approval"
        assert (
            sop_approval.set_priority(house, sop_id=sop.pk, priority=5, by=WRITER).request is None
        )  # as it is
        asked = sop_approval.set_priority(house, sop_id=sop.pk, priority=9, by=WRITER, note="大促").request
        again = sop_approval.set_priority(house, sop_id=sop.pk, priority=9, by=WRITER).request
        assert asked and again and (again.pk, asked.kind, asked.note) == (asked.pk, "priority", "大促")
        assert sops.get_sop(sop.pk).priority == 5
        with pytest.raises(ForbiddenError):
            sop_approval.approve(house, request_id=asked.pk, by=WRITER)
        other = sop_approval.set_priority(house, sop_id=sop.pk, priority=8, by=WRITER).request
        assert other and sop_requests.get_request(asked.pk).state == State.OVERTAKEN
        if sop.is_graph:  # what is being drawn has nothing to do with it
            draw(house, sop, touch("别的"))
        sops.pause(house, sop_id=sop.pk, by=WRITER)
        sop_approval.approve(house, request_id=other.pk, by=CHECKER)
        assert sops.get_sop(sop.pk).priority == 8
        entry_ = AuditEntry.objects.filter(action="sop.edit").order_by("-pk")[0]
        assert (entry_.before, entry_.after) == ({"priority": 5}, {"priority": 8})
        sop_approval.set_priority(house, sop_id=sop.pk, priority=1, by=WRITER)
        sops.end(house, sop_id=sop.pk, by=WRITER)
        assert not sop_requests.waiting().exists()
        with pytest.raises(ConflictError):
            sop_approval.set_priority(house, sop_id=sop.pk, priority=2, by=WRITER)
        with pytest.raises(InvalidError):
            sop_approval.set_priority(house, sop_id=sop.pk, priority=0, by=WRITER)


def test_a_long_list_of_people_needs_two(house: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(enrolments, "MANY", 2)
    with in_brand(house):
        guide = make_staff(house, make_corp(house))
        ids = [make_contact(house, guide).pk for _ in range(4)]
        sop = on_canvas(house)
        with pytest.raises(ConflictError) as refused:
            enrolments.start_enrolling(house, sop_id=sop.pk, contact_ids=ids, by=WRITER)
        assert refused.value.code == "needs_approval"
        few = sop_approval.put_in(house, sop_id=sop.pk, contact_ids=ids[:2], by=WRITER)
        assert few.job and few.request is None
        asked = sop_approval.put_in(house, sop_id=sop.pk, contact_ids=ids, by=WRITER, note="老客").request
        again = sop_approval.put_in(house, sop_id=sop.pk, contact_ids=ids[::-1], by=WRITER).request
        assert asked and again and (again.pk, asked.kind, asked.note) == (asked.pk, "people", "老客")
        draw(house, sop, touch("别的"))
        with pytest.raises(ForbiddenError):
            sop_approval.approve(house, request_id=asked.pk, by=WRITER)
        outcome = sop_approval.approve(house, request_id=asked.pk, by=CHECKER)
        assert outcome.job and outcome.job.params["contact_ids"] == ids
        assert acts()[-2:] == ["sop.approve", "sop.enrol"]
        last = sop_approval.put_in(house, sop_id=sop.pk, contact_ids=ids[1:], by=WRITER).request
        assert last
        sop_approval.reject(house, request_id=last.pk, reason="太多", by=CHECKER)
        sops.end(house, sop_id=sop.pk, by=WRITER)
        with pytest.raises(ConflictError):
            sop_approval.put_in(house, sop_id=sop.pk, contact_ids=ids, by=WRITER)


def test_without_the_rule_a_list_needs_nobody(brand: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(enrolments, "MANY", 0)
    with in_brand(brand):
        sop = by_day(brand)
        sops.switch_on(brand, sop_id=sop.pk, by=WRITER)
        assert sop_approval.put_in(brand, sop_id=sop.pk, contact_ids=[1], by=WRITER).job
        assert enrolments.start_enrolling(brand, sop_id=sop.pk, contact_ids=[1], by=WRITER)


def test_the_priority_of_a_draft_needs_nobody(house: Any) -> None:
    with in_brand(house):
        sop = drawn(house)
        assert sop_approval.set_priority(house, sop_id=sop.pk, priority=9, by=WRITER).request is None
        assert sops.get_sop(sop.pk).priority == 9


# ---- other ways in


def test_copies_templates_and_files_wait_as_all_do(house: Any) -> None:
    with in_brand(house):
        source = on_canvas(house)
        made = [
            sops.duplicate(house, sop_id=source.pk, by=WRITER),
            graphs.create_from_template(house, key="birthday", by=WRITER),
            graph_files.import_sop(
                house, graph_files.export_sop(house, sop_id=source.pk, by=WRITER), by=WRITER
            )[0],
            graphs.open_as_graph(house, sop_id=on_by_day(house).pk, by=WRITER),
        ]
        for sop in made:
            found = sops.get_sop(sop.pk)
            assert (found.state, found.makers) == ("draft", [["小文", 11]])
            with pytest.raises(ConflictError) as refused:
                graphs.publish(house, sop_id=sop.pk, by=WRITER)
            assert refused.value.code == "needs_approval"


def test_the_rule_is_switched_off_while_something_waits(house: Any) -> None:
    with in_brand(house):
        sop = drawn(house)
        asked = sop_approval.publish(house, sop_id=sop.pk, by=WRITER).request
        assert asked
        policy.change_policy(house, by=SYSTEM, sops_need_approval=False)
        assert sop_approval.publish(house, sop_id=sop.pk, by=WRITER).version
        assert sop_requests.get_request(asked.pk).state == State.OVERTAKEN


def test_another_brands_request_is_not_there(house: Any, other_brand: Any) -> None:
    with in_brand(house):
        asked = sop_approval.publish(house, sop_id=drawn(house).pk, by=WRITER).request
        assert asked
    with in_brand(other_brand):
        for act in (sop_approval.approve, sop_approval.withdraw):
            with pytest.raises(NotFoundError):
                act(other_brand, request_id=asked.pk, by=CHECKER)
        with pytest.raises(NotFoundError):
            sop_approval.reject(other_brand, request_id=asked.pk, reason="x", by=CHECKER)
        graphs.publish(other_brand, sop_id=drawn(other_brand).pk, by=WRITER)  # the rule is of one brand
    with in_brand(house):
        assert sop_requests.get_request(asked.pk).state == State.WAITING
