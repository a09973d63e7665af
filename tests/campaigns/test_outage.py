"""Broadcasts after an outage, and beside one that cannot be read."""

from datetime import timedelta
from typing import Any

import pytest

from campaigns.models import Touch, Wave
from campaigns.services import broadcasts, waves
from campaigns.services.broadcasts import WaveInput
from org.access import SYSTEM
from scrm import clock
from tagging.models import Segment
from tagging.services import segments
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
