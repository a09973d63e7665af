"""Exactly who gets a broadcast and who does not and why: conditions of waves, the dry run, and the hold-out measured."""

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache

from campaigns.models import Broadcast, SendTask, Touch, Wave
from campaigns.services.broadcasts import broadcast_effect, broadcasts, dry_run, waves
from campaigns.services.broadcasts.broadcasts import VariantInput, WaveInput
from campaigns.services.governance import policy
from commerce.models import Order
from contacts.models import Contact, ContactStat
from org.access import RIGHTS, SYSTEM, Actor
from scrm import clock
from scrm.errors import ForbiddenError
from tagging.models import Segment
from tagging.services.tags import tags
from tests.campaigns.conftest import at, people_of, would_be
from tests.campaigns.test_api import client_of
from tests.campaigns.test_broadcasts import WRITER, given
from tests.factories import in_brand, make_contact, make_staff, make_tag
from wecom.models import OutboundCall

NOW = at("2026-03-10 10:00")
R, S = Touch.Reason, Touch.State


@pytest.fixture
def people(brand: Any, corp: Any) -> list[Contact]:
    """Ten, of two guides in turn."""
    with in_brand(brand):
        guides = [make_staff(brand, corp) for _ in range(2)]
        return [make_contact(brand, guides[n % 2]) for n in range(10)]


def tagged(brand: Any, some: list[Contact]) -> dict[str, Any]:
    tag = make_tag(brand)
    tags.add_tags(brand, contacts=some, tags=[tag], source="test")
    return {"kind": "tags", "mode": "any", "ids": [tag.pk]}


def launch(brand: Any, by: Actor = WRITER, **over: Any) -> Broadcast:
    draft = broadcasts.save_draft(brand, given(**over), by=by)
    return broadcasts.launch(brand, broadcast_id=draft.pk, by=by)


def ids(some: list[Contact]) -> set[int]:
    return {contact.pk for contact in some}


# ---- the condition of a wave


def test_whom_a_condition_leaves_out_has_a_reason(brand: Any, people: list[Contact]) -> None:
    """In the dry run, on the wave, in the ledger; a later wave still may take them."""
    with in_brand(brand), clock.at(NOW):
        plan = [WaveInput(condition=tagged(brand, people[:4])), WaveInput(NOW + timedelta(days=2))]
        draft = broadcasts.save_draft(brand, given(waves=plan), by=WRITER)
        run = dry_run.dry_run(brand, draft)
        assert (run.wanted, run.planned) == (10, 4)
        assert [(reason, n) for reason, _words, n in run.refused] == [(R.WAVE_CONDITION, 6)]
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
        waves.run_due(brand)
        first = Wave.objects.get(n=1)
        assert (first.numbers["wanted"], first.numbers["wave_condition"]) == (10, 6)
        assert set(people_of(brand, first, R.WAVE_CONDITION)) == ids(people[4:])
        held = Touch.objects.filter(state=S.BLOCKED, reason=R.WAVE_CONDITION)
        assert set(held.values_list("contact_id", flat=True)) == ids(people[4:])
        with clock.at(NOW + timedelta(days=2)):
            waves.run_due(brand)
        planned = Touch.objects.filter(state=S.PLANNED, wave_id=Wave.objects.get(n=2).pk)
        assert set(planned.values_list("contact_id", flat=True)) == ids(people[4:])


def test_the_winner_goes_to_those_for_whom_the_condition_holds(brand: Any, people: list[Contact]) -> None:
    test = {
        "goal": "opened", "hours": 24, "least": 100, "confidence": 95, "percent": 50, "auto": False, "wait_hours": 72,
    }  # fmt: skip
    with in_brand(brand), clock.at(NOW):
        some = tagged(brand, people[:4])
        both = [VariantInput("甲"), VariantInput("乙")]
        launched = launch(brand, waves=[WaveInput(condition=some)], variants=both, test=test)
        waves.run_due(brand)
        winner = launched.variants.order_by("letter")[:1].get()
        from campaigns.services.broadcasts import winners

        winners.choose(brand, broadcast_id=launched.pk, variant_id=winner.pk, by=WRITER)
        waves.run_due(brand)
        assert Wave.objects.filter(broadcast=launched, state="planned").count() == 2
        planned = Touch.objects.filter(state=S.PLANNED).values_list("contact_id", flat=True)
        assert sorted(planned) == sorted(ids(people[:4]))


def test_a_wave_and_a_broadcast_end(brand: Any, people: list[Contact]) -> None:
    with in_brand(brand), clock.at(NOW):
        launched = launch(brand, waves=[WaveInput(), WaveInput(NOW + timedelta(days=2))])
        waves.run_due(brand)
        waves.finish(brand)
        assert list(Wave.objects.order_by("n").values_list("state", flat=True)) == ["planned", "waiting"]
        SendTask.objects.update(state="final")
        waves.finish(brand)
        assert list(Wave.objects.order_by("n").values_list("state", flat=True)) == ["done", "waiting"]
        broadcasts.cancel(brand, broadcast_id=launched.pk, by=WRITER)
        assert list(Wave.objects.order_by("n").values_list("state", flat=True)) == ["done", "skipped"]


def test_a_bad_moment_does_not_end_a_rhythm(brand: Any, people: list[Contact], corp: Any) -> None:
    """It is left out with its reason, who launched it is told, and the next time it goes out again."""
    first, until = at("2026-03-10 12:00"), at("2026-03-13 23:59")
    with in_brand(brand), clock.at(NOW):
        boss = make_staff(brand, corp, user_id=77)
        segment = Segment.objects.create(name="s", condition={"kind": "everybody"})
        launch(
            brand, Actor("小运", 77, boss), audience={"segment": segment.pk}, waves=[WaveInput(first)],
            repeat="day", repeat_until=until,
        )  # fmt: skip
        Segment.objects.update(deleted_at=NOW)
        with clock.at(first):
            waves.run_due(brand)
        Segment.objects.update(deleted_at=None)
        with clock.at(first + timedelta(days=1)):
            waves.run_due(brand)
        found = list(Wave.objects.order_by("n").values_list("state", "at"))
        assert found == [
            ("skipped", first), ("planned", first + timedelta(days=1)), ("waiting", first + timedelta(days=2)),
        ]  # fmt: skip
        [call] = OutboundCall.objects.filter(kind=OutboundCall.Kind.NOTICE)
        assert boss.userid in json.dumps(call.payload) and "春上新" in json.dumps(
            call.payload, ensure_ascii=False
        )


# ---- the dry run


def test_the_dry_run_names_contents_and_people(brand: Any, people: list[Contact], sign_in: Any) -> None:
    with in_brand(brand):
        policy.set_refusal(brand, contact_id=people[0].pk, kind=Touch.Kind.BROADCAST, refused=True, by=SYSTEM)
        lonely = make_contact(brand, make_staff(brand, people[0].follows.get().corp, state="left"))
        both = [VariantInput("甲"), VariantInput("乙")]
        draft = broadcasts.save_draft(brand, given(variants=both), by=WRITER)
        run = dry_run.dry_run(brand, draft)
        assert [letter for letter, _n in run.contents] == ["A", "B"]
        assert sum(n for _letter, n in run.contents) == run.planned == 9
        gets = set(would_be(brand, draft))
        assert gets == ids(people[1:])
        assert would_be(brand, draft, R.REFUSED_KIND) == [people[0].pk]
        assert would_be(brand, draft, R.NOT_FOLLOWED) == [lonely.pk]
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
        waves.run_due(brand)
        by_letter = Counter(Touch.objects.filter(state=S.PLANNED).values_list("variant_id", flat=True))
        assert {v.letter: by_letter[v.pk] for v in draft.variants.all()} == dict(run.contents)
        again = broadcasts.save_draft(brand, given(name="再来"), by=WRITER)
    client, url = sign_in(brand, "operator"), f"/broadcasts/{again.pk}/check/"
    assert f"{url}people/?what={int(R.REFUSED_KIND)}" in client.get(url).content.decode()
    page = client.get(f"{url}people/?what={int(R.REFUSED_KIND)}").content.decode()
    assert f"/contacts/{people[0].pk}/" in page and f"/contacts/{people[1].pk}/" not in page
    assert f"/contacts/{people[1].pk}/" in client.get(f"{url}people/").content.decode()
    for bad in ("x", "999", "-1"):
        assert client.get(f"{url}people/?what={bad}").status_code == 404, bad


def test_the_dry_run_counts_what_guides_have_already(brand: Any, people: list[Contact]) -> None:
    """Other campaigns' send tasks of that day count for the warning; those of yesterday and stopped ones do not."""
    with in_brand(brand), clock.at(NOW):
        policy.change_policy(brand, guide_tasks_a_day=2, by=SYSTEM)
        draft = broadcasts.save_draft(brand, given(), by=WRITER)
        guide = people[0].follows.get().staff
        for n, (moment, state) in enumerate((
            (NOW + timedelta(hours=3), "planned"), (NOW - timedelta(hours=3), "final"), (NOW - timedelta(days=1), "final"),
            (NOW, "cancelled"), (NOW, "failed"),
        )):  # fmt: skip
            SendTask.objects.create(
                corp=guide.corp,
                staff=guide,
                at=moment,
                state=state,
                content_digest=str(n),
                contact_ids=[],
                n=1,
            )
        run = dry_run.dry_run(brand, draft)
        assert {load.staff_id: load.n_already for load in run.guides}[guide.pk] == 2
        assert run.over_limit == 1
        policy.change_policy(brand, guide_tasks_a_day=3, by=SYSTEM)
        assert dry_run.dry_run(brand, draft).over_limit == 0


# ---- four eyes


def test_four_eyes_are_two_people_not_two_names(brand: Any, people: list[Contact]) -> None:
    rights = frozenset(RIGHTS)
    with in_brand(brand), clock.at(NOW):
        policy.change_policy(brand, needs_approval=True, by=SYSTEM)
        writer = Actor("小王", 1, rights=rights)
        for sender in (writer, Actor("小李", 2, rights=rights)):
            draft = broadcasts.save_draft(brand, given(), by=writer)
            broadcasts.launch(brand, broadcast_id=draft.pk, by=sender)
            for own in {writer, sender}:  # under whatever name
                with pytest.raises(ForbiddenError):
                    broadcasts.approve(brand, broadcast_id=draft.pk, by=Actor("换了名", own.user_id))
            namesake = Actor("小王", 3, rights=rights)
            assert broadcasts.approve(brand, broadcast_id=draft.pk, by=namesake).state == "on"


# ---- the effect of its hold-out


def order(contact_id: int, paid_at: Any, fen: int) -> None:
    Order.objects.create(
        source="t", order_no=f"{contact_id}-{fen}", contact_id=contact_id, paid_at=paid_at, placed_at=paid_at,
        amount_fen=fen, state=Order.State.PAID, is_sale=True, updated_at=paid_at,
    )  # fmt: skip


def test_the_hold_out_of_a_broadcast_is_measured(
    brand: Any, other_brand: Any, corp: Any, sign_in: Any
) -> None:
    with in_brand(brand):
        guide = make_staff(brand, corp)
        everybody = [make_contact(brand, guide) for _ in range(80)]
        few = tagged(brand, everybody[:76])
        policy.change_policy(brand, attribution_days=3, by=SYSTEM)
        with clock.at(NOW):
            launched = launch(brand, hold_out_percent=50, waves=[WaveInput(condition=few)])
            assert broadcast_effect.effect_of_broadcast(brand, launched) is None  # nothing is planned yet
            waves.run_due(brand)
        wave = Wave.objects.get()
        held = set(people_of(brand, wave, R.HOLD_OUT))
        others = ids(everybody[:76]) - held
        buyer, twice, late, *_rest = sorted(others)
        spared = min(held)
        for contact, days, fen in (
            (buyer, 1, 1000), (twice, 0, 500), (twice, 2, 700), (late, 3, 9999), (spared, 1, 300),
            (buyer, -1, 50), (everybody[79].pk, 1, 4),
        ):  # fmt: skip
            order(contact, NOW + timedelta(days=days), fen)
        ContactStat.objects.filter(contact__in=[buyer, everybody[78].pk]).update(
            lost_at=NOW + timedelta(days=1)
        )
        found = broadcast_effect.effect_of_broadcast(brand, launched)
        assert found is not None and (found.percent, found.since) == (50, wave.planned_at)
        assert found.held == (len(held), 1, 0, 300, 90_000.0)
        assert found.others == (len(others), 2, 1, 2200, 1000.0**2 + 1200.0**2)
        assert (found.bought is None) == (min(len(held), len(others)) < 30)
        plain = launch(brand)
        assert broadcast_effect.effect_of_broadcast(brand, plain) is None
    page = sign_in(brand, "operator").get(f"/broadcasts/{launched.pk}/").content.decode()
    assert "本次群发对照组（50%）" in page
    api = client_of(brand, "broadcasts.view")
    effect = api.get(f"/api/v1/broadcasts/{launched.pk}/").json()["effect"]
    assert (effect["held"]["n"], effect["others"]["spent_fen"]) == (len(held), 2200)
    assert api.get(f"/api/v1/broadcasts/{plain.pk}/").json()["effect"] is None


def test_a_rhythm_counts_each_person_from_the_first_to_the_last_time(brand: Any, corp: Any) -> None:
    cache.clear()
    with in_brand(brand):
        guide = make_staff(brand, corp)
        everybody = [make_contact(brand, guide) for _ in range(6)]
        policy.change_policy(brand, attribution_days=1, by=SYSTEM)
        first = at("2026-03-10 12:00")
        with clock.at(NOW):
            launched = launch(
                brand,
                hold_out_percent=1,
                waves=[WaveInput(first)],
                repeat="day",
                repeat_until=at("2026-03-12 23:59"),
            )
        for day in range(3):
            with clock.at(first + timedelta(days=day)):
                waves.run_due(brand)
                if day == 1:
                    everybody.append(make_contact(brand, guide))
        newest = everybody[-1].pk  # was wanted on the last day alone
        order(newest, first + timedelta(days=1), 1)
        order(newest, first + timedelta(days=2, hours=1), 2)
        order(everybody[0].pk, first + timedelta(days=1, hours=1), 4)
        order(everybody[0].pk, first + timedelta(days=3), 8)
        found = broadcast_effect.effect_of_broadcast(brand, launched)
        assert found is not None
        assert found.held.spent_fen + found.others.spent_fen == 6
        assert found.held.n + found.others.n == 7
