"""The editor of broadcasts and copies: what the page cannot show stays as it is, and nothing gets lost."""

from datetime import timedelta
from typing import Any

import pytest

from campaigns.models import Broadcast, Wave
from campaigns.services import broadcast_copy, broadcasts, waves
from campaigns.services.broadcasts import WaveInput
from campaigns.views import broadcast_edit
from scrm import clock
from scrm.errors import InvalidError
from tagging.models import Segment
from tests.campaigns.conftest import at
from tests.campaigns.test_broadcasts import FORM, WRITER, given
from tests.factories import in_brand, make_contact, make_corp, make_staff, make_tag

NOW = at("2026-03-10 10:00")


@pytest.fixture
def people(brand: Any) -> list[Any]:
    with in_brand(brand):
        guide = make_staff(brand, make_corp(brand))
        return [make_contact(brand, guide) for _ in range(4)]


def tagged(brand: Any) -> dict[str, Any]:
    return {"kind": "tags", "mode": "any", "ids": [make_tag(brand).pk]}


def conditions(broadcast_id: int) -> list[Any]:
    rows = Wave.objects.filter(broadcast=broadcast_id).order_by("n")
    return [wave.condition.get("condition") for wave in rows]


def test_conditions_that_the_page_cannot_show_stay(brand: Any, people: list[Any], sign_in: Any) -> None:
    """Neither a tag's id becomes a segment's, nor a condition without ids everybody."""
    client = sign_in(brand, "operator")
    with in_brand(brand):
        of_tag, reachable = tagged(brand), {"kind": "follow", "values": ["reachable"]}
        Segment.objects.create(pk=of_tag["ids"][0], name="s", condition={"kind": "everybody"})
        later = clock.now() + timedelta(days=2)
        plan = [WaveInput(condition=of_tag), WaveInput(later, "", reachable)]
        draft = broadcasts.save_draft(brand, given(waves=plan), by=WRITER)
        kept = [f"as_is-{pk}" for pk in draft.waves.order_by("n").values_list("pk", flat=True)]
    url = f"/broadcasts/{draft.pk}/edit/"
    page = client.get(url).content.decode()
    for value in kept:
        assert f'<option value="{value}" selected>' in page
    sent = {**FORM, "audience": "as_is", "at": ["", later.strftime("%Y-%m-%dT%H:%M")], "after": ["", ""]}
    sent["segment"] = kept
    assert client.post(url, sent).status_code == 302
    with in_brand(brand):
        assert conditions(draft.pk) == [of_tag, reachable]
    # by its old name, or by one that was never there, a condition is nothing rather than everybody
    for chosen in (kept, ["as_is-x", ""], ["x", ""]):
        assert client.post(url, {**sent, "segment": chosen}).status_code == 422, chosen
    with in_brand(brand):
        assert conditions(draft.pk) == [of_tag, reachable]


def test_what_is_chosen_stands_in_a_long_list(
    brand: Any, people: list[Any], sign_in: Any, monkeypatch: Any
) -> None:
    """Also a segment behind the last one that the select holds; one that is gone is named and refused."""
    monkeypatch.setattr(broadcast_edit, "MOST_SEGMENTS", 1)
    client = sign_in(brand, "operator")
    with in_brand(brand):
        Segment.objects.create(name="a", condition={"kind": "everybody"})
        far = Segment.objects.create(name="z", condition={"kind": "everybody"})
        narrow = {"kind": "segment", "mode": "any", "ids": [far.pk]}
        plan = [WaveInput(condition=narrow)]
        draft = broadcasts.save_draft(brand, given(audience={"segment": far.pk}, waves=plan), by=WRITER)
    url = f"/broadcasts/{draft.pk}/edit/"
    assert client.get(url).content.decode().count(f'<option value="{far.pk}" selected>') == 2
    assert (
        f'<option value="{far.pk}" selected>'
        in client.get(f"/broadcasts/new/?segment={far.pk}").content.decode()
    )
    sent = {**FORM, "audience": str(far.pk), "segment": str(far.pk)}
    assert client.post(url, sent).status_code == 302
    with in_brand(brand):
        assert Broadcast.objects.get().audience == {"segment": far.pk} and conditions(draft.pk) == [narrow]
        Segment.objects.filter(pk=far.pk).update(deleted_at=clock.now())
    assert client.get(url).content.decode().count(f'<option value="{far.pk}" selected>') == 2
    assert client.post(url, sent).status_code == 422


def test_a_copy_has_every_wave_and_its_condition(brand: Any, people: list[Any]) -> None:
    with in_brand(brand):
        condition = tagged(brand)
        with clock.at(NOW):
            plan = [
                WaveInput(NOW + timedelta(hours=2)),
                WaveInput(NOW + timedelta(days=3), "not_opened"),
                WaveInput(NOW + timedelta(days=6), "", condition),
            ]
            old = broadcasts.save_draft(brand, given(waves=plan), by=WRITER)
            broadcasts.launch(brand, broadcast_id=old.pk, by=WRITER)
        with clock.at(NOW + timedelta(days=10)):
            copy = broadcast_copy.duplicate(brand, broadcast_id=old.pk, by=WRITER)
        assert [(w.at, w.condition) for w in copy.waves.order_by("n")] == [
            (w.at + timedelta(days=10), {**w.condition, "now": False}) for w in old.waves.order_by("n")
        ]
        with clock.at(NOW + timedelta(hours=1)):  # what lies ahead stays where it is
            copy = broadcast_copy.duplicate(brand, broadcast_id=old.pk, by=WRITER)
        assert [w.at for w in copy.waves.order_by("n")] == [w.at for w in old.waves.order_by("n")]


def test_a_copy_of_what_went_out_at_once_keeps_the_days_between(brand: Any, people: list[Any]) -> None:
    with in_brand(brand):
        with clock.at(NOW):
            plan = [WaveInput(), WaveInput(NOW + timedelta(days=3), "everybody")]
            old = broadcasts.save_draft(brand, given(waves=plan), by=WRITER)
            broadcasts.launch(brand, broadcast_id=old.pk, by=WRITER)
        with clock.at(NOW + timedelta(days=30, hours=5)):
            copy = broadcast_copy.duplicate(brand, broadcast_id=old.pk, by=WRITER)
        first, second = copy.waves.order_by("n")
        assert first.condition["now"] and second.at == NOW + timedelta(days=34)


def test_a_copy_of_a_rhythm_is_a_rhythm(brand: Any, people: list[Any]) -> None:
    with in_brand(brand):
        first, until = at("2026-03-10 12:00"), at("2026-03-13 23:59")
        with clock.at(NOW):
            draft = given(waves=[WaveInput(first)], repeat="day", repeat_until=until)
            old = broadcasts.save_draft(brand, draft, by=WRITER)
            broadcasts.launch(brand, broadcast_id=old.pk, by=WRITER)
        for day in range(4):
            with clock.at(first + timedelta(days=day)):
                waves.run_due(brand)
        assert old.waves.count() == 4
        with clock.at(at("2026-04-01 13:00")):
            copy = broadcast_copy.duplicate(brand, broadcast_id=old.pk, by=WRITER)
        assert [w.at for w in copy.waves.all()] == [at("2026-04-02 12:00")]
        assert copy.repeat["every"] == "day"
        assert broadcast_copy.datetime.fromisoformat(copy.repeat["until"]) == at("2026-04-05 23:59")


def test_a_copy_of_what_names_something_gone_is_refused(brand: Any, people: list[Any]) -> None:
    with in_brand(brand), clock.at(NOW):
        segment = Segment.objects.create(name="s", condition={"kind": "everybody"})
        condition = {"kind": "segment", "mode": "any", "ids": [segment.pk]}
        old = broadcasts.save_draft(brand, given(waves=[WaveInput(condition=condition)]), by=WRITER)
        Segment.objects.filter(pk=segment.pk).update(deleted_at=NOW)
        with pytest.raises(InvalidError):
            broadcast_copy.duplicate(brand, broadcast_id=old.pk, by=WRITER)
