"""A/B/n of a broadcast: the rule, the test share, the winner by itself, by time and by hand."""

from datetime import time, timedelta
from typing import Any

import pytest

from campaigns.models import Broadcast, SendTask, Touch, Variant, Wave
from campaigns.services.broadcasts import broadcasts, waves, winners
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput, WaveInput
from campaigns.services.governance import policy
from campaigns.services.ledger import touches
from campaigns.tasks import finish_brand
from org.access import SYSTEM, Actor
from org.models import AuditEntry
from scrm import clock
from scrm.errors import ConflictError, InvalidError
from tests.campaigns.conftest import at
from tests.campaigns.test_broadcasts import EVERYBODY
from tests.factories import in_brand, make_contact, make_staff

NOW = at("2026-03-10 10:00")
RULE = {
    "goal": "opened",
    "hours": 2,
    "least": 50,
    "confidence": 95,
    "percent": 50,
    "auto": True,
    "wait_hours": 24,
}
WHO = Actor("小运")


@pytest.fixture
def people(brand: Any, corp: Any) -> list[Any]:
    with in_brand(brand):
        guides = [make_staff(brand, corp) for _ in range(2)]
        return [make_contact(brand, guides[n % 2]) for n in range(320)]


def launched(brand: Any, **over: Any) -> Broadcast:
    with in_brand(brand), clock.at(NOW):
        given = BroadcastInput(
            "比一比", EVERYBODY, [VariantInput("甲"), VariantInput("乙")], test={**RULE, **over}
        )
        draft = broadcasts.save_draft(brand, given, by=WHO)
        found = broadcasts.launch(brand, broadcast_id=draft.pk, by=WHO)
        waves.run_due(brand)
        return found


def deliver(brand: Any, broadcast: Broadcast, opened: dict[str, float]) -> None:
    """Everybody planned gets it at NOW; a share of each content's people opens it an hour later."""
    with in_brand(brand):
        letters = dict(Variant.objects.filter(broadcast=broadcast).values_list("pk", "letter"))
        for task in SendTask.objects.filter(broadcast=broadcast, n_sent=0):
            done = touches.settle(
                brand, send_task_id=task.pk, at=task.at, state=Touch.State.DELIVERED, done_at=NOW
            )
            SendTask.objects.filter(pk=task.pk).update(state="final", n_sent=len(done), confirmed_at=NOW)
            ids = [touch_id for touch_id, _contact in done]
            share = opened[letters[task.variant_id or 0]]
            chosen = Touch.objects.filter(pk__in=ids[: round(len(ids) * share)])
            chosen.update(opened_at=NOW + timedelta(hours=1))


def tick(brand: Any, hours: float) -> Broadcast:
    with clock.at(NOW + timedelta(hours=hours)):
        finish_brand(brand_id=brand.pk)
        with in_brand(brand):
            return Broadcast.objects.get()


def contents_by_wave(brand: Any) -> dict[int, set[str]]:
    with in_brand(brand):
        letters = dict(Variant.objects.values_list("pk", "letter"))
        found: dict[int, set[str]] = {}
        for n, variant in Touch.objects.filter(state__in=[1, 4]).values_list("wave_id", "variant_id"):
            found.setdefault(Wave.objects.get(pk=n).n, set()).add(letters[variant])
        return found


def test_the_winner_goes_to_the_rest(brand: Any, people: list[Any]) -> None:
    broadcast = launched(brand)
    with in_brand(brand):
        first, rest = Wave.objects.order_by("n")
        assert rest.state == "held" and 100 < first.numbers["wanted"] < 220
    deliver(brand, broadcast, {"A": 0.1, "B": 0.7})
    assert tick(brand, 1.5).winner_id is None  # the hours of nobody are over
    found = tick(brand, 3)
    with in_brand(brand):
        assert Variant.objects.get(pk=found.winner_id).letter == "B" and found.winner_by == "rule"
        assert AuditEntry.objects.get(action="broadcast.winner").after == {"content": "B", "why": "rule"}
        test = winners.test_of(brand, found)
        assert test and test.winner and test.certainty > 95
        with clock.at(NOW + timedelta(hours=3, minutes=1)):
            waves.run_due(brand)
        assert Touch.objects.count() == len(set(Touch.objects.values_list("contact_id", flat=True))) == 320
    assert contents_by_wave(brand) == {1: {"A", "B"}, 2: {"B"}}
    assert tick(brand, 4).winner_at == found.winner_at
    with in_brand(brand), pytest.raises(ConflictError):
        winners.choose(brand, broadcast_id=broadcast.pk, variant_id=found.winner_id or 0, by=WHO)


def test_no_difference_until_the_time_is_over(brand: Any, people: list[Any]) -> None:
    broadcast = launched(brand)
    deliver(brand, broadcast, {"A": 0.3, "B": 0.31})
    assert tick(brand, 20).winner_id is None
    found = tick(brand, 24.1)
    assert found.winner_by == "time" and found.winner_id
    assert found.state == "on"  # the rest is still to come


def test_by_hand_only(brand: Any, other_brand: Any, people: list[Any], sign_in: Any) -> None:
    broadcast = launched(brand, auto=False)
    deliver(brand, broadcast, {"A": 0.1, "B": 0.7})
    found = tick(brand, 30)
    assert found.winner_by == "rule"
    with in_brand(brand):
        assert Wave.objects.get(n=2).state == "held"
        a = Variant.objects.get(letter="A")
    url = f"/broadcasts/{broadcast.pk}/winner/"
    assert sign_in(other_brand).post(url, {"variant": a.pk}).status_code == 404
    assert sign_in(brand, "manager").post(url, {"variant": a.pk}).status_code == 403
    client = sign_in(brand, "operator")
    page = client.get(f"/broadcasts/{broadcast.pk}/").content.decode()
    assert url in page
    assert client.post(url, {"variant": "x"}).status_code == 404
    assert client.post(url, {"variant": 999}).status_code == 422
    assert client.post(url, {"variant": a.pk}).status_code == 302
    assert client.post(url, {"variant": a.pk}).status_code == 409
    with in_brand(brand):
        waves.run_due(brand)
    assert contents_by_wave(brand)[2] == {"A"}


def test_a_stopped_one_has_no_rest(brand: Any, people: list[Any]) -> None:
    broadcast = launched(brand)
    with in_brand(brand), clock.at(NOW):
        broadcasts.cancel(brand, broadcast_id=broadcast.pk, by=WHO)
        assert set(Wave.objects.filter(n=2).values_list("state", flat=True)) == {"skipped"}
    assert tick(brand, 30).winner_id is None


@pytest.mark.parametrize(
    "over, field",
    [
        ({"goal": "liked"}, "test_goal"), ({"hours": 0}, "test_hours"), ({"least": 10}, "test_least"),
        ({"confidence": 100}, "test_confidence"), ({"percent": 0}, "test_percent"), ({"wait_hours": 1}, "test_wait_hours"),
        ({"auto": "yes"}, "test_auto"), ({"moon": 1}, "test"), ({"hours": "x"}, "test_hours"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be(brand: Any, over: dict[str, Any], field: str) -> None:
    two = [VariantInput("甲"), VariantInput("乙")]
    with in_brand(brand), pytest.raises(InvalidError) as refused:
        broadcasts.save_draft(brand, BroadcastInput("x", EVERYBODY, two, test={**RULE, **over}), by=SYSTEM)
    assert field in refused.value.details["fields"]


def test_one_content_or_several_waves_cannot_be_compared(brand: Any) -> None:
    two = [VariantInput("甲"), VariantInput("乙")]
    waves_ = [WaveInput(), WaveInput(NOW + timedelta(days=400))]
    for given in (
        BroadcastInput("x", EVERYBODY, two[:1], test=RULE),
        BroadcastInput("x", EVERYBODY, two, waves_, test=RULE),
    ):
        with in_brand(brand), pytest.raises(InvalidError) as refused:
            broadcasts.save_draft(brand, given, by=SYSTEM)
        assert set(refused.value.details["fields"]) == {"test"}


def test_the_editor_keeps_the_rule(brand: Any, sign_in: Any) -> None:
    from tests.campaigns.test_broadcasts import FORM

    client = sign_in(brand, "operator")
    form = {
        **FORM, "text": ["甲", "乙"], "attachments": ["[]", "[]"], "weight": ["1", "1"], "content": ["", ""],
        "test": "on", "test_goal": "bought",
        "test_hours": "48", "test_percent": "20", "test_auto": "on", "test_least": "", "test_confidence": "90",
        "test_wait_hours": "96",
    }  # fmt: skip
    answer = client.post("/broadcasts/new/", form)
    assert answer.status_code == 302
    with in_brand(brand):
        assert Broadcast.objects.get().test == {
            "goal": "bought", "hours": 48, "least": 200, "confidence": 90, "percent": 20, "auto": True, "wait_hours": 96,
        }  # fmt: skip
    assert 'value="96"' in client.get(f"{answer['Location']}edit/").content.decode()
    assert client.get(answer["Location"]).status_code == 200
    assert client.post("/broadcasts/new/", {**form, "test_wait_hours": "12"}).status_code == 422


def test_a_test_that_fell_into_an_outage_has_no_rest(brand: Any, people: list[Any]) -> None:
    """Nobody got the test: there is no winner, and the rest is not everybody."""
    with in_brand(brand), clock.at(NOW):
        two = [VariantInput("甲"), VariantInput("乙")]
        first = [WaveInput(NOW + timedelta(hours=1))]
        given = BroadcastInput("比一比", EVERYBODY, two, first, test=RULE, late_hours=2)
        draft = broadcasts.save_draft(brand, given, by=WHO)
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WHO)
    for hours in (5, 30, 60):
        with in_brand(brand), clock.at(NOW + timedelta(hours=hours)):
            waves.run_due(brand)
            winners.look_at_all(brand)
            waves.run_due(brand)
    with in_brand(brand):
        assert list(Wave.objects.order_by("n").values_list("state", flat=True)) == ["skipped", "skipped"]
        assert not Touch.objects.exists() and not SendTask.objects.exists()


def test_a_comparison_at_a_later_time_is_waited_for(brand: Any, people: list[Any], sign_in: Any) -> None:
    """Its hours begin when it goes out, not at the launch: until then nobody names a winner, and nobody gets two messages."""
    out = timedelta(days=60)
    with in_brand(brand), clock.at(NOW):
        two = [VariantInput("甲"), VariantInput("乙")]
        given = BroadcastInput("下月比一比", EVERYBODY, two, [WaveInput(NOW + out)], test=RULE)
        broadcast = broadcasts.save_draft(brand, given, by=WHO)
        broadcasts.launch(brand, broadcast_id=broadcast.pk, by=WHO)
    for hours in (1, 25, 24 * 50):
        assert tick(brand, hours).winner_id is None
        with in_brand(brand), clock.at(NOW + timedelta(hours=hours)):
            waves.run_due(brand)
            assert not Touch.objects.exists()
    client = sign_in(brand, "operator")
    url = f"/broadcasts/{broadcast.pk}/winner/"
    assert url not in client.get(f"/broadcasts/{broadcast.pk}/").content.decode()
    with in_brand(brand):
        a = Variant.objects.get(letter="A")
    assert client.post(url, {"variant": a.pk}).status_code == 409
    with in_brand(brand), clock.at(NOW + out):
        waves.run_due(brand)
        assert Wave.objects.get(n=1).state == "planned"
    assert tick(brand, 24 * 60 + 23).winner_id is None
    found = tick(brand, 24 * 60 + 25)
    assert found.winner_by == "time"
    with in_brand(brand), clock.at(NOW + out + timedelta(hours=26)):
        waves.run_due(brand)
        assert Wave.objects.get(n=2).state == "planned"
        people_of = list(Touch.objects.values_list("contact_id", flat=True))
        assert len(people_of) == len(set(people_of)) == 320
    with in_brand(brand):
        letters = dict(Variant.objects.values_list("pk", "letter"))
        first = Touch.objects.filter(wave_id=Wave.objects.get(n=1).pk).values_list("variant_id", flat=True)
        assert {letters[variant] for variant in first if variant} == {"A", "B"}


def test_quiet_hours_put_the_end_of_a_comparison_off(brand: Any, people: list[Any]) -> None:
    with in_brand(brand):
        policy.change_policy(brand, by=SYSTEM, quiet_start=time(9), quiet_end=time(23))
    launched(brand)  # held for thirteen hours
    assert tick(brand, 25).winner_id is None
    assert tick(brand, 38).winner_by == "time"
