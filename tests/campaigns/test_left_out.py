"""Whom the condition of a wave leaves out with many others: counted and named everywhere, without a row each."""

from collections import Counter
from typing import Any

import pytest

from campaigns.models import Touch, Wave
from campaigns.panels import contact_panel
from campaigns.services.broadcasts import left_out, waves
from campaigns.services.broadcasts.broadcasts import WaveInput
from contacts.models import Contact
from contacts.services.identity.merging import merge
from datafiles.exports.base import Export
from datafiles.exports.broadcast import BROADCAST
from scrm import clock
from tagging.services.segments import audience, persons
from tagging.services.segments.audience import Audience
from tests.campaigns.conftest import people_of
from tests.campaigns.test_broadcast_whom import NOW, ids, launch, tagged
from tests.campaigns.test_broadcasts import WRITER
from tests.factories import in_brand, make_contact, make_staff

R, S = Touch.Reason, Touch.State


@pytest.fixture
def people(brand: Any, corp: Any) -> list[Contact]:
    with in_brand(brand):
        guide = make_staff(brand, corp)
        return [make_contact(brand, guide) for _ in range(10)]


def test_many_whom_a_condition_leaves_out_are_a_set(
    brand: Any, people: list[Contact], monkeypatch: Any
) -> None:
    """No row each: the wave's figures and list, the person's page, the file and conditions say it all the same."""
    monkeypatch.setattr(left_out, "LISTED", 5)
    with in_brand(brand), clock.at(NOW):
        launched = launch(brand, waves=[WaveInput(condition=tagged(brand, people[:4]))])
        waves.run_due(brand)
        wave = Wave.objects.get()
        assert (wave.numbers["planned"], wave.numbers["wave_condition"]) == (4, 6)
        assert set(people_of(brand, wave, R.WAVE_CONDITION)) == ids(people[4:])
        assert not Touch.objects.filter(reason=R.WAVE_CONDITION).exists() and Touch.objects.count() == 4

        [shown] = contact_panel(brand, people[7], WRITER)["context"]["touches"]
        assert (shown.broadcast_id, shown.state, shown.reason) == (launched.pk, S.BLOCKED, R.WAVE_CONDITION)
        assert left_out.of_contact(people[0].pk) == []
        person = persons.load(people[7].pk)
        assert person and [message.state for message in person.messages] == ["held_back"]

        asked = {"kind": "touch", "broadcast_ids": [launched.pk], "result": "held_back"}
        for condition in (asked, {"kind": "touch", "result": "held_back"}):
            read = audience.read(brand, condition)
            assert set(Audience(brand, read).ids()) == ids(people[4:])
        assert not set(
            Audience(
                brand, audience.read(brand, {"kind": "touch", "result": "held_back", "kinds": ["sop"]})
            ).ids()
        )

        export = Export(brand, {"broadcast": launched.pk}, None)
        place, rows = None, []
        for _page in range(9):
            page, place = BROADCAST.page(export, place, 4)
            rows += page
            if not page:
                break
        assert sorted(row[3] for row in rows) == sorted(ids(people))
        assert Counter(row[7] for row in rows) == {"": 4, str(R.WAVE_CONDITION.label): 6}


def test_bitmaps_of_several_waves_are_asked_as_one(
    brand: Any, people: list[Contact], monkeypatch: Any
) -> None:
    monkeypatch.setattr(left_out, "LISTED", 5)
    with in_brand(brand), clock.at(NOW):
        for n in (4, 2):
            launch(brand, waves=[WaveInput(condition=tagged(brand, people[:n]))])
            waves.run_due(brand)
        today, long_ago = {"type": "last", "n": 3}, {"type": "before", "n": 3}
        none, twice = {"op": "eq", "value": 0}, {"op": "ge", "value": 2}
        for more, found in (
            ({}, people[2:]),
            ({"window": today}, people[2:]),
            ({"window": long_ago}, []),
            ({"compare": twice}, people[4:]),
            ({"compare": none}, people[:2]),
            ({"compare": none, "window": long_ago}, people),
        ):
            asked = audience.read(brand, {"kind": "touch", "result": "held_back", **more})
            assert set(Audience(brand, asked).ids()) == ids(found)
            assert Audience(brand, asked).has(ids(people[3:5])) == ids(people[3:5]) & ids(found)


def test_a_page_of_whom_nobody_is_left_is_not_the_last(
    brand: Any, people: list[Contact], monkeypatch: Any
) -> None:
    """Some have become one with somebody since: those behind them are still in the file."""
    monkeypatch.setattr(left_out, "LISTED", 5)
    with in_brand(brand), clock.at(NOW):
        launched = launch(brand, waves=[WaveInput(condition=tagged(brand, people[:1]))])
        waves.run_due(brand)
        for lost in people[1:4]:
            merge(brand, keep=people[0], lose=lost, why={"phone": True})
        place, found = (0, -1), []
        while page := left_out.of_broadcast(brand, launched, place, 2):
            found += [touch.contact_id for _position, touch in page]
            place = (page[-1][1].wave_id or 0, page[-1][0])
        assert found == [person.pk for person in people[4:]]
