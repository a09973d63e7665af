"""Broadcasts after an outage, and beside one that cannot be read."""

from datetime import timedelta
from typing import Any

import pytest

from campaigns.models import Broadcast, Touch, Wave
from campaigns.services.broadcasts import broadcasts, waves
from campaigns.services.broadcasts.broadcasts import WaveInput
from org.access import SYSTEM
from scrm import clock
from tagging.models import Segment
from tagging.services.segments import segments
from tests.campaigns.conftest import at
from tests.campaigns.test_broadcasts import NOW, WRITER, given, people
from tests.factories import in_brand

__all__ = ["people"]


@pytest.mark.parametrize(
    "every, back, following",
    [
        ("day", "2026-03-14 15:00", "2026-03-15 12:00"),
        ("week", "2026-03-30 15:00", "2026-03-31 12:00"),
        ("month", "2026-07-01 15:00", "2026-07-10 12:00"),
    ],
)
def test_days_that_were_missed_are_not_made_up_for_in_a_row(
    brand: Any, people: list[Any], every: str, back: str, following: str
) -> None:
    """The servers were down for some of its days: one message goes out now and the next one on its day, not one each minute."""
    first = at("2026-03-10 12:00")
    with in_brand(brand), clock.at(NOW):
        until = at("2026-12-01 23:59")
        draft = broadcasts.save_draft(
            brand, given(waves=[WaveInput(first)], repeat=every, repeat_until=until), by=WRITER
        )
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
    with in_brand(brand), clock.at(first):
        waves.run_due(brand)
    for minute in range(4):
        with in_brand(brand), clock.at(at(back) + timedelta(minutes=minute)):
            waves.run_due(brand)
    with in_brand(brand):
        sent = Touch.objects.filter(contact_id=people[0].pk, state=Touch.State.PLANNED)
        assert sorted(sent.values_list("at", flat=True)) == [first, at(back)]
        assert Wave.objects.get(state="waiting").at == at(following)


@pytest.mark.parametrize("hours, approved_after, sent", [(23, 0, True), (25, 0, False), (25, 2, True)])
def test_a_wave_that_fell_into_an_outage_keeps_to_its_late_hours(
    brand: Any, people: list[Any], hours: int, approved_after: int, sent: bool
) -> None:
    """The servers come back when its time is over for longer than a message may be late; whoever has approved it after its
    time has meant that."""
    first = at("2026-03-10 12:00")
    with in_brand(brand), clock.at(NOW):
        draft = broadcasts.save_draft(brand, given(waves=[WaveInput(first)], late_hours=24), by=WRITER)
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
        if approved_after:
            launched_at = first + timedelta(hours=approved_after)
            Broadcast.objects.filter(pk=draft.pk).update(launched_at=launched_at)
    with in_brand(brand), clock.at(first + timedelta(hours=hours)):
        assert waves.run_due(brand) == sent
        wave = Wave.objects.get()
        assert wave.state == ("planned" if sent else "skipped") and Touch.objects.exists() == sent
        assert bool(wave.numbers.get("error")) != sent
        assert waves.finish(brand) == (not sent)


def test_one_that_cannot_be_read_does_not_stop_the_others(brand: Any, people: list[Any]) -> None:
    """Its segment names another one that is gone."""
    with in_brand(brand), clock.at(NOW):
        inner = segments.create_segment(brand, by=SYSTEM, name="里", condition={"kind": "everybody"})
        outer = segments.create_segment(
            brand, by=SYSTEM, name="外", condition={"kind": "segment", "mode": "any", "ids": [inner.pk]}
        )
        broken = broadcasts.save_draft(brand, given(audience={"segment": outer.pk}, priority=9), by=WRITER)
        sound = broadcasts.save_draft(brand, given(), by=WRITER)
        for one in (broken, sound):
            broadcasts.launch(brand, broadcast_id=one.pk, by=WRITER)
        Segment.objects.filter(pk=inner.pk).update(deleted_at=NOW)
        assert waves.run_due(brand) == 1
        assert set(Touch.objects.values_list("broadcast_id", flat=True)) == {sound.pk}
        wave = Wave.objects.get(broadcast=broken)
        assert wave.state == "skipped" and wave.numbers["error"]
