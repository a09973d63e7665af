"""Broadcasts from the draft to the last result: services, pages, two brands."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from campaigns.models import Broadcast, SendTask, Touch, Wave
from campaigns.services.broadcasts import broadcasts, dry_run, waves
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput, WaveInput
from campaigns.services.governance import policy
from campaigns.services.sops import schedule
from campaigns.tasks import finish_brand
from contacts.services import contacts as contact_services
from content.services import sensitive
from org.access import SYSTEM, Actor
from org.models import AuditEntry, Job, Role
from scrm import clock
from scrm.errors import ConflictError, ForbiddenError, InvalidError
from tests.campaigns.conftest import Live, at, set_sandbox_clock
from tests.campaigns.test_api import client_of
from tests.factories import in_brand, make_contact, make_staff, role

NOW = at("2026-03-10 10:00")
S = Touch.State
EVERYBODY = {"condition": {"kind": "everybody"}}
WRITER, CHECKER = Actor("小运"), Actor("小审")


def given(**over: Any) -> BroadcastInput:
    return BroadcastInput(
        **{
            "name": "春上新",
            "audience": EVERYBODY,
            "variants": [VariantInput("{员工姓名}：新品到店")],
            **over,
        }
    )


@pytest.fixture
def people(brand: Any, corp: Any) -> list[Any]:
    with in_brand(brand):
        guides = [make_staff(brand, corp) for _ in range(2)]
        return [make_contact(brand, guides[n % 2]) for n in range(10)]


@pytest.mark.parametrize(
    "over",
    [
        {"name": " "}, {"name": "长" * 61}, {"audience": {}}, {"audience": {"segment": 99}}, {"audience": {"contacts": []}},
        {"audience": {"condition": {"kind": "moon"}}}, {"audience": {"contacts": ["x"]}}, {"variants": []},
        {"variants": [VariantInput("")]}, {"variants": [VariantInput("{客户昵称} 你好")]},
        {"variants": [VariantInput("a", weight=0)]},
        {"waves": []}, {"waves": [WaveInput(), WaveInput()]}, {"waves": [WaveInput(after="not_opened")]}, {"priority": 10},
        {"waves": [WaveInput(NOW + timedelta(days=2)), WaveInput(NOW + timedelta(days=1))]}, {"hold_out_percent": 51},
        {"waves": [WaveInput(condition={"kind": "moon"})]}, {"repeat": "year"}, {"repeat": "day"}, {"late_hours": 0},
        {"repeat": "day", "repeat_until": NOW - timedelta(days=1)},
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused(brand: Any, people: list[Any], over: dict[str, Any]) -> None:
    with in_brand(brand), clock.at(NOW), pytest.raises(InvalidError) as refused:
        broadcasts.save_draft(brand, given(**over), by=WRITER)
    assert set(refused.value.details["fields"]) <= {*over, "repeat_until"}


def test_the_dry_run_is_what_the_launch_does(brand: Any, people: list[Any]) -> None:
    with in_brand(brand), clock.at(NOW):
        policy.set_refusal(brand, contact_id=people[0].pk, kind=Touch.Kind.BROADCAST, refused=True, by=SYSTEM)
        draft = broadcasts.save_draft(brand, given(hold_out_percent=20), by=WRITER)
        run = dry_run.dry_run(brand, draft)
        assert not Touch.objects.exists() and not SendTask.objects.exists()
        assert run.wanted == 10 and run.planned + run.n_held == 10 and run.n_guides == run.n_tasks
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
        assert waves.run_due(brand) == 1
        held = Counter(Touch.objects.filter(state=S.BLOCKED).values_list("reason", flat=True))
        assert held == {reason: n for reason, _words, n in run.refused}
        assert Touch.objects.filter(state=S.PLANNED).count() == run.planned
        # whom the draw has held out hangs on ids: seldom all customers of a guide
        tasks = SendTask.objects.values_list("staff_id", flat=True)
        assert len(tasks) == len(set(tasks)) == run.n_tasks >= 1
        assert waves.run_due(brand) == 0
        with pytest.raises(ConflictError):
            broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)


def test_a_second_person_approves(brand: Any, people: list[Any]) -> None:
    with in_brand(brand), clock.at(NOW):
        policy.change_policy(brand, needs_approval=True, by=SYSTEM)
        draft = broadcasts.save_draft(brand, given(), by=WRITER)
        assert broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER).state == "approval"
        assert waves.run_due(brand) == 0
        with pytest.raises(ForbiddenError):
            broadcasts.approve(brand, broadcast_id=draft.pk, by=WRITER)
        assert broadcasts.approve(brand, broadcast_id=draft.pk, by=CHECKER).state == "on"
        assert waves.run_due(brand) == 1
        assert {"broadcast.submit", "broadcast.approve"} <= set(
            AuditEntry.objects.values_list("action", flat=True)
        )


def test_of_two_at_once_the_higher_priority_gets_the_place(brand: Any, people: list[Any]) -> None:
    from campaigns.governance import CapRule

    with in_brand(brand), clock.at(NOW):
        policy.change_policy(brand, caps=[CapRule(1, 1)], by=SYSTEM)
        low = broadcasts.save_draft(brand, given(name="低", priority=2), by=WRITER)
        high = broadcasts.save_draft(brand, given(name="高", priority=8), by=WRITER)
        for one in (low, high):
            broadcasts.launch(brand, broadcast_id=one.pk, by=WRITER)
        waves.run_due(brand)
        planned = Touch.objects.filter(state=S.PLANNED)
        assert set(planned.values_list("broadcast_id", flat=True)) == {high.pk} and planned.count() == 10
        assert set(Touch.objects.filter(broadcast_id=low.pk).values_list("reason", flat=True)) == {
            Touch.Reason.CAPPED
        }


def test_waves_and_their_conditions(live: Live) -> None:
    """The second wave goes to who got the first and did not open it, the third to nobody who was in one before."""
    moments = [None, NOW + timedelta(days=3), NOW + timedelta(days=6)]
    asked = ["", "not_opened", ""]
    with clock.at(NOW), in_brand(live.brand):
        plan = [WaveInput(moment, after) for moment, after in zip(moments, asked, strict=True)]
        draft = broadcasts.save_draft(live.brand, given(waves=plan), by=WRITER)
        broadcasts.launch(live.brand, broadcast_id=draft.pk, by=WRITER)
    live.tick(NOW)
    live.confirm_all(NOW + timedelta(minutes=5))
    live.tick(NOW + timedelta(minutes=10))
    with in_brand(live.brand):
        first = Touch.objects.filter(state=S.DELIVERED).order_by("contact_id")
        assert first.count() == 6
        first.filter(contact_id__in=[live.contacts[0].pk, live.contacts[1].pk]).update(opened_at=NOW)
    live.tick(NOW + timedelta(days=3))
    live.tick(NOW + timedelta(days=6))
    with in_brand(live.brand):
        found = {wave.n: wave.numbers["wanted"] for wave in Wave.objects.order_by("n")}
        assert found == {1: 6, 2: 4, 3: 0}
    live.confirm_all(NOW + timedelta(days=6, minutes=5))
    live.tick(NOW + timedelta(days=6, hours=1))
    times = Counter(
        external for external, _text in live.received() for _n in range(live.received()[external, _text])
    )
    assert sorted(times.values()) == [1, 1, 2, 2, 2, 2]
    with in_brand(live.brand), clock.at(NOW + timedelta(days=7)):
        finish_brand(brand_id=live.brand.pk)
        assert Broadcast.objects.get().state == "done"


def test_pause_resume_stop(live: Live) -> None:
    with clock.at(NOW), in_brand(live.brand):
        draft = broadcasts.save_draft(live.brand, given(), by=WRITER)
        broadcasts.launch(live.brand, broadcast_id=draft.pk, by=WRITER)
        waves.run_due(live.brand)
        broadcasts.pause(live.brand, broadcast_id=draft.pk, by=WRITER)
    live.tick(NOW + timedelta(minutes=1))
    with clock.at(NOW + timedelta(minutes=2)), in_brand(live.brand):
        assert set(SendTask.objects.values_list("state", flat=True)) == {"planned"}
        broadcasts.resume(live.brand, broadcast_id=draft.pk, by=WRITER)
    live.tick(NOW + timedelta(minutes=3))
    with in_brand(live.brand):
        assert set(SendTask.objects.values_list("state", flat=True)) == {"handed"}
        one = SendTask.objects.order_by("pk").first()
    live.sandbox.post("confirm", corpid=live.corp.corpid, msgid=one.msgid)
    with clock.at(NOW + timedelta(minutes=5)):
        with in_brand(live.brand):
            broadcasts.cancel(live.brand, broadcast_id=draft.pk, by=WRITER)
        live.tick(NOW + timedelta(minutes=6))
    states = Counter(t.state for t in live.ledger())
    assert states == {S.DELIVERED: 3, S.CANCELLED: 3}
    assert sum(live.received().values()) == 3


def test_stopped_while_it_is_being_handed_over(live: Live) -> None:
    """What WeCom got in the same moment is stopped there, whatever the answer."""
    live.sandbox.post("faults", api="externalcontact/add_msg_template", kind="drop_after", times=2)
    set_sandbox_clock(live.sandbox, NOW)
    with clock.at(NOW), in_brand(live.brand):
        draft = broadcasts.save_draft(live.brand, given(), by=WRITER)
        broadcasts.launch(live.brand, broadcast_id=draft.pk, by=WRITER)
    live.tick(NOW)
    with clock.at(NOW), in_brand(live.brand):
        assert set(SendTask.objects.values_list("state", flat=True)) == {"calling"}
        broadcasts.cancel(live.brand, broadcast_id=draft.pk, by=WRITER)
    for minute in (1, 3):  # found, then stopped
        live.tick(NOW + timedelta(minutes=minute))
    with in_brand(live.brand):
        assert set(SendTask.objects.values_list("state", flat=True)) == {"cancelled"}
    assert {t.state for t in live.ledger()} == {S.CANCELLED}
    assert live.confirm_all(NOW + timedelta(minutes=5)) == 0 and live.received() == {}


def test_one_guide_who_has_left_does_not_hold_up_the_stop(live: Live) -> None:
    set_sandbox_clock(live.sandbox, NOW)
    with clock.at(NOW), in_brand(live.brand):
        draft = broadcasts.save_draft(live.brand, given(), by=WRITER)
        broadcasts.launch(live.brand, broadcast_id=draft.pk, by=WRITER)
    live.tick(NOW + timedelta(minutes=1))
    api = "externalcontact/cancel_groupmsg_send"
    live.sandbox.post("faults", api=api, kind="errcode", errcode=40003, times=1)
    with clock.at(NOW + timedelta(minutes=2)), in_brand(live.brand):
        broadcasts.cancel(live.brand, broadcast_id=draft.pk, by=WRITER)
    with in_brand(live.brand):
        job = Job.objects.get(kind="broadcast_cancel")
        assert (job.state, job.params["failed"]) == ("done", 1)
        assert Counter(SendTask.objects.values_list("state", flat=True)) == {"handed": 1, "cancelled": 1}
    live.tick(NOW + timedelta(minutes=40))
    with in_brand(live.brand):
        assert set(SendTask.objects.values_list("state", flat=True)) == {"cancelled"}


def test_repeated_with_the_audience_of_the_moment(brand: Any, people: list[Any]) -> None:
    with in_brand(brand), clock.at(NOW):
        first = at("2026-03-10 12:00")
        until = at("2026-03-12 23:59")
        draft = broadcasts.save_draft(
            brand, given(waves=[WaveInput(first)], repeat="day", repeat_until=until), by=WRITER
        )
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
        for day in range(5):
            with clock.at(first + timedelta(days=day)):
                if day == 1:
                    make_contact(brand, make_staff(brand, people[0].follows.get().corp))
                waves.run_due(brand)
        assert list(Wave.objects.order_by("n").values_list("at", "numbers__wanted")) == [
            (first, 10), (first + timedelta(days=1), 11), (first + timedelta(days=2), 11),
        ]  # fmt: skip


@pytest.mark.parametrize(
    "start, every, expected",
    [
        ("2026-01-31 10:00", "month", ["2026-02-28", "2026-03-31", "2026-04-30"]),
        ("2024-01-31 10:00", "month", ["2024-02-29", "2024-03-31"]),
        ("2024-02-28 10:00", "day", ["2024-02-29", "2024-03-01"]),
        ("2026-12-28 10:00", "week", ["2027-01-04"]),
    ],
)
def test_rhythms(start: str, every: str, expected: list[str]) -> None:
    moment = first = at(start)
    for on in expected:
        moment = schedule.next_in_rhythm(moment, every, "Asia/Shanghai", first)
        assert moment == at(f"{on} 10:00")


def test_a_segment_that_is_gone_sends_to_nobody(brand: Any, people: list[Any]) -> None:
    from tagging.models import Segment

    with in_brand(brand), clock.at(NOW):
        segment = Segment.objects.create(name="s", condition={"kind": "everybody"})
        draft = broadcasts.save_draft(brand, given(audience={"segment": segment.pk}), by=WRITER)
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
        segment.deleted_at = NOW
        segment.save()
        assert waves.run_due(brand) == 0 and not Touch.objects.exists()
        wave = Wave.objects.get()
        assert wave.state == "skipped" and wave.numbers["error"]


# ---- pages

FORM = {
    "name": "春上新", "audience": "everybody", "priority": "5", "hold_out_percent": "0", "late_hours": "48", "repeat": "",
    "repeat_until": "", "text": "新品到店", "attachments": "[]", "weight": "1", "content": "",
    "at": "", "after": "", "segment": "",
}  # fmt: skip


def test_pages_from_draft_to_launch(brand: Any, other_brand: Any, people: list[Any], sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    assert client.get("/broadcasts/").status_code == client.get("/broadcasts/new/").status_code == 200
    answer = client.post("/broadcasts/new/", FORM)
    assert answer.status_code == 302
    url = answer["Location"]
    assert client.get(url).status_code == client.get(f"{url}edit/").status_code == 200
    with in_brand(brand):  # whoever launches or approves it sees when and to whom it goes
        draft, later = Broadcast.objects.get(), clock.now() + timedelta(days=2)
        only = {"after": "not_opened", "condition": {"kind": "do_not_contact", "value": False}}
        second = Wave.objects.create(broadcast=draft, n=2, at=later, condition=only)
    first, then = client.get(url).context["planned_waves"]
    assert (first["at"], first["after"], first["only"]) == (None, "", "")
    assert (then["at"], then["after"]) == (later, "收到上一波但未打开的") and then["only"]
    with in_brand(brand):
        second.delete()
    check = client.get(f"{url}check/")
    assert "10 位客户每人收到 1 条消息" in check.context["question"]
    assert check.context["question"] in check.content.decode()
    page = client.get(url).content.decode()
    assert (
        page.count('data-confirm-from="#launch-words"') == 1 and 'id="launch-words"' in check.content.decode()
    )
    for bad in (
        {"text": ""},
        {"name": ""},
        {"audience": "999"},
        {"at": "soon"},
        {"attachments": "{"},
        {"weight": "x"},
    ):
        assert client.post("/broadcasts/new/", {**FORM, **bad}).status_code == 422, bad
    assert client.post(f"{url}launch/").status_code == 302
    assert client.post(f"{url}launch/").status_code == 409
    assert client.get(url).context["is_starting"]
    with in_brand(brand):
        assert waves.run_due(brand) in (0, 1)
        wave = Wave.objects.get()
    assert not client.get(url).context["is_starting"]
    for page in (
        url,
        f"{url}numbers/",
        f"{url}waves/{wave.pk}/?what=0",
        "/touches/",
        "/touches/tasks/",
        "/broadcasts/?show=over",
    ):
        assert client.get(page).status_code == 200, page
    assert client.get(f"{url}edit/").status_code == 409
    stranger = sign_in(other_brand)
    for page in (url, f"{url}check/", f"{url}numbers/", f"{url}waves/{wave.pk}/"):
        assert stranger.get(page).status_code == 404, page
    assert stranger.post(f"{url}cancel/").status_code == 404
    assert sign_in(brand, "guide").get("/broadcasts/").status_code == 403
    assert client.post(f"{url}approve/").status_code == 403  # not an approver
    assert client.post(f"{url}cancel/").status_code == 302
    assert client.post(f"{url}duplicate/").status_code == 302


def test_the_people_behind_each_figure(live: Live, other_brand: Any, sign_in: Any) -> None:
    """Each figure of the page leads to as many touches as it says, of this broadcast alone."""
    with clock.at(NOW), in_brand(live.brand):
        contact_services.set_do_not_contact(live.brand, contacts=[live.contacts[0]], value=True, by=SYSTEM)
        drafts = [broadcasts.save_draft(live.brand, given(name=name), by=WRITER) for name in ("一", "二")]
        mine = drafts[0]
        broadcasts.launch(live.brand, broadcast_id=mine.pk, by=WRITER)
    client, url = sign_in(live.brand, "operator"), f"/broadcasts/{mine.pk}/"

    def behind(figure: str) -> int:
        page = client.get(client.get(url).context["lists"][figure]).context["page"]
        assert {touch.broadcast_id for touch in page} <= {mine.pk}
        return len(page)

    live.tick(NOW)
    with clock.at(NOW + timedelta(minutes=1)), in_brand(live.brand):
        broadcasts.launch(live.brand, broadcast_id=drafts[1].pk, by=WRITER)
    live.tick(NOW + timedelta(minutes=1))
    with clock.at(NOW + timedelta(minutes=2)):
        assert not client.get(url).context["is_starting"]
        assert (behind("all"), behind("n_waiting"), behind("n_sent")) == (6, 5, 0)
    with in_brand(live.brand):
        one = SendTask.objects.filter(broadcast=mine).order_by("pk").first()
    live.sandbox.post("confirm", corpid=live.corp.corpid, msgid=one.msgid)
    live.tick(NOW + timedelta(minutes=10))
    with in_brand(live.brand):
        got = Touch.objects.filter(state=S.DELIVERED)
        got.filter(contact_id=got.first().contact_id).update(opened_at=NOW, converted_at=NOW)
    with clock.at(NOW + timedelta(days=200)):  # whatever the period of the list
        assert (behind("n_sent"), behind("n_waiting"), behind("n_failed")) == (one.n, 5 - one.n, 0)
        assert (behind("n_opened"), behind("n_replied"), behind("n_converted")) == (1, 0, 1)
        page = client.get(url).content.decode()
        assert f"/touches/?broadcast={mine.pk}&amp;days=0&amp;guide={one.staff_id}" in page
        assert (
            f'<option value="{mine.pk}" selected>'
            in client.get(f"/touches/?broadcast={mine.pk}").content.decode()
        )
        assert len(client.get(f"/touches/?broadcast={mine.pk}&guide={one.staff_id}").context["page"]) == one.n
        assert (
            len(client.get("/touches/?days=0").context["page"]) == 0
        )  # of everything it is the longest period
    asked = client_of(live.brand, "sops.view")
    path = f"/api/v1/touches/?broadcast={mine.pk}"
    assert len(asked.get(path).json()["results"]) == 6
    assert len(asked.get(f"{path}&mark=opened&staff={one.staff_id}").json()["results"]) == 1
    assert asked.get(f"{path}&mark=liked").status_code == 422
    assert sign_in(other_brand).get(f"/touches/?broadcast={mine.pk}").status_code == 404
    reader = sign_in(live.brand, "operator")
    with in_brand(live.brand):
        Role.objects.filter(pk=role(live.brand, "operator").pk).update(rights=["broadcasts.view"])
    assert reader.get(url).context["lists"] == {}


def test_words_that_are_refused_by_now(brand: Any, people: list[Any]) -> None:
    """Neither a draft nor a wave that waits goes out with a word that came to the list meanwhile."""
    with in_brand(brand), clock.at(NOW):
        draft = broadcasts.save_draft(brand, given(), by=WRITER)
        late = given(name="后来", waves=[WaveInput(NOW + timedelta(hours=1))])
        waits = broadcasts.save_draft(brand, late, by=WRITER)
        broadcasts.launch(brand, broadcast_id=waits.pk, by=WRITER)
        sensitive.add_words(brand, words=["新品"], level="refuse", by=WRITER)
    with in_brand(brand), clock.at(NOW), pytest.raises(InvalidError) as refused:
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
    assert "新品" in str(refused.value)
    with clock.at(NOW + timedelta(hours=1)), in_brand(brand):
        assert waves.run_due(brand) == 0 and not Touch.objects.exists()
        assert "新品" in Wave.objects.get(broadcast=waits).numbers["error"]
