"""The editor of broadcasts and copies: what the page cannot show stays as it is, and nothing gets lost."""

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from campaigns.models import Broadcast, Wave
from campaigns.services.broadcasts import broadcast_copy, broadcasts, launch_checks, waves
from campaigns.services.broadcasts.broadcasts import VariantInput, WaveInput
from campaigns.services.governance import policy
from campaigns.views import broadcast_edit
from content.models import Content, ContentVersion
from content.services import links
from org.access import Actor
from scrm import clock
from scrm.errors import InvalidError
from tagging.models import Segment
from tests.campaigns.conftest import at
from tests.campaigns.test_api import client_of
from tests.campaigns.test_broadcast_api import make_content
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


def test_what_cannot_go_out_any_more_is_said_before_the_launch(
    brand: Any, people: list[Any], sign_in: Any
) -> None:
    """A draft that waited for its launch, or for its approval, until the time of its second wave was over; content that
    expires between two waves."""
    manager = Actor("经理", 2, rights=frozenset({"broadcasts.approve"}))
    with in_brand(brand):
        now = clock.now()
        later = given(
            waves=[WaveInput(now + timedelta(hours=1)), WaveInput(now + timedelta(days=2), "opened")]
        )
        slow, waiting = (broadcasts.save_draft(brand, later, by=WRITER) for _n in range(2))
        policy.change_policy(brand, needs_approval=True, by=WRITER)
        assert broadcasts.launch(brand, broadcast_id=waiting.pk, by=WRITER).state == "approval"
        with clock.at(now + timedelta(days=3)):
            for act, draft, by in ((broadcasts.launch, slow, WRITER), (broadcasts.approve, waiting, manager)):
                with pytest.raises(InvalidError) as refused:
                    act(brand, broadcast_id=draft.pk, by=by)
                assert refused.value.code == "wave_over"
        content = make_content(brand, name="两天有效")
        Content.objects.filter(pk=content.pk).update(expires_at=now + timedelta(days=1))
        text = ContentVersion.objects.get(pk=content.current_id or 0).text
        said = [VariantInput(text, content_version=content.current_id)]
        draft = broadcasts.save_draft(brand, given(variants=said, waves=list(later.waves)), by=WRITER)
        assert draft.variants.get().content_id == content.current_id
        with pytest.raises(InvalidError) as refused:
            broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
        assert refused.value.code == "content_expired"
    client = sign_in(brand, "operator")
    page = client.get(f"/broadcasts/{draft.pk}/check/").content.decode()
    assert "第 2 波发出时" in page and "两天有效" in page
    assert client.post(f"/broadcasts/{draft.pk}/launch/").status_code == 422
    asked = client_of(brand, "broadcasts.view").post(f"/api/v1/broadcasts/{draft.pk}/dry-run/").json()
    assert "两天有效" in asked["problem"]
    with in_brand(brand):
        Content.objects.filter(pk=content.pk).update(expires_at=None)
    assert "第 2 波发出时" not in client.get(f"/broadcasts/{draft.pk}/check/").content.decode()
    assert client.post(f"/broadcasts/{draft.pk}/launch/").status_code == 302


def test_asking_who_opened_what_nobody_is_seen_to_open_is_warned_of(
    brand: Any, other_brand: Any, people: list[Any], sign_in: Any
) -> None:
    with in_brand(brand):
        link = links.create_link(brand, name="新品", url="https://a.cn")
        nameless = links.create_link(brand, name="不问是谁", url="https://a.cn", asks_who=False)
    with in_brand(other_brand):
        foreign = links.create_link(other_brand, name="别家的", url="https://a.cn")
    address = links.address_of
    card = {"type": "link", "title": "新品", "url": address(link)}
    later = clock.now() + timedelta(days=2)
    rule = {
        "goal": "opened",
        "hours": 24,
        "least": 50,
        "confidence": 95,
        "percent": 100,
        "auto": True,
        "wait_hours": 72,
    }

    def said(*variants: VariantInput, after: str = "", **over: Any) -> list[str]:
        with in_brand(brand):
            plan = [WaveInput(), WaveInput(later, after)] if after else [WaveInput()]
            draft = broadcasts.save_draft(brand, given(variants=variants, waves=plan, **over), by=WRITER)
            found = launch_checks.warnings_of(brand, draft)
            said.last = draft.pk  # type: ignore[attr-defined]
        return found

    with_link = VariantInput(f"看看{address(link)}")
    for good in (with_link, VariantInput("看看", [card]), VariantInput(f"看看{address(link, 'x' * 20)}")):
        assert said(good, after="not_opened") == [], good
    assert said(VariantInput("看看"), after="not_replied") == said(VariantInput("看看")) == []
    for blind in ("看看", "看看https://a.cn", f"看看{address(nameless)}", f"看看{address(foreign)}"):
        [warning] = said(VariantInput(blind), after="not_opened")
        assert "A" in warning and "2" in warning, blind
    [warning] = said(with_link, VariantInput("没有链接"), test=rule)
    assert "B" in warning and "A" not in warning
    assert len(said(with_link, VariantInput("没有链接"), after="opened", test=rule)) == 2
    pk = said.last  # type: ignore[attr-defined]
    page = sign_in(brand, "operator").get(f"/broadcasts/{pk}/check/").content.decode()
    assert page.count("没有雷达链接") == 4  # beside the figures, and in the question before the launch
    asked = client_of(brand, "broadcasts.view").post(f"/api/v1/broadcasts/{pk}/dry-run/").json()
    assert len(asked["warnings"]) == 2


def test_a_wave_that_asks_about_one_that_is_held(brand: Any, people: list[Any], sign_in: Any) -> None:
    """The first wave is held by quiet hours until nine: nobody can have opened it at eight. One who was in no wave before can
    be written to then."""
    evening, morning = at("2026-03-10 22:30"), at("2026-03-11 08:00")
    with in_brand(brand), clock.at(evening):
        policy.change_policy(brand, quiet_start=time(22), quiet_end=time(9), by=WRITER)
        for first in (None, evening + timedelta(minutes=30)):
            plan = [WaveInput(first), WaveInput(morning, "not_opened")]
            draft = broadcasts.save_draft(brand, given(name=f"晚{first}"[:20], waves=plan), by=WRITER)
            with pytest.raises(InvalidError) as refused:
                broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
            assert refused.value.code == "wave_held" and "03-11 09:00" in str(refused.value.message)
            said = launch_checks.problem_of(brand, Broadcast.objects.get(pk=draft.pk))
            assert said == str(refused.value.message)
        for second in (WaveInput(at("2026-03-11 09:01"), "not_opened"), WaveInput(morning)):
            one = given(name=f"早{second.after}", waves=[WaveInput(), second])
            draft = broadcasts.save_draft(brand, one, by=WRITER)
            assert broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER).state == "on"
        third = [WaveInput(), WaveInput(morning), WaveInput(at("2026-03-11 08:30"), "everybody")]
        draft = broadcasts.save_draft(brand, given(name="三", waves=third), by=WRITER)
        assert "第 2 波" in launch_checks.problem_of(brand, draft)  # which is held as well


def test_content_that_expires_in_quiet_hours_is_not_launched(brand: Any, people: list[Any]) -> None:
    """Its messages would be handed over in the morning."""
    evening = datetime(2026, 3, 2, 22, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
    with in_brand(brand), clock.at(evening):
        policy.change_policy(brand, quiet_start=time(22), quiet_end=time(9), by=WRITER)
        content = make_content(brand, name="到早上八点")
        Content.objects.filter(pk=content.pk).update(expires_at=evening + timedelta(hours=9, minutes=30))
        text = ContentVersion.objects.get(pk=content.current_id or 0).text
        said = [VariantInput(text, content_version=content.current_id)]
        draft = broadcasts.save_draft(brand, given(variants=said), by=WRITER)
        with pytest.raises(InvalidError) as refused:
            broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
        assert refused.value.code == "content_expired"
        policy.change_policy(brand, quiet_start=None, quiet_end=None, by=WRITER)
        assert broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER).state == "on"
        assert not launch_checks.problem_of(brand, Broadcast.objects.get(pk=draft.pk))


def test_everything_wrong_is_told_at_its_place(brand: Any, people: list[Any], sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    with in_brand(brand):
        Segment.objects.create(name="a", condition={"kind": "everybody"})
    page = client.post("/broadcasts/new/", {**FORM, "name": "", "text": " "})
    assert page.status_code == 422
    assert page.context["form"].errors.keys() == {"name"}
    assert page.context["contents"][0]["error"]  # not only once the name is there
    soon, past = ((clock.now() + timedelta(days=n)).strftime("%Y-%m-%dT%H:%M") for n in (2, -2))
    for moments, wrong in (([past], 0), (["", ""], 1), ([soon, past], 1), ([soon, soon], 1)):
        sent = {**FORM, "at": moments, "after": [""] * len(moments), "segment": [""] * len(moments)}
        page = client.post("/broadcasts/new/", sent)
        assert page.status_code == 422
        rows = page.context["waves"]
        assert [bool(row.get("error")) for row in rows] == [n == wrong for n in range(len(moments))], moments
        assert rows[wrong]["at"] == moments[wrong] and rows[wrong]["error"] in page.content.decode()
    with in_brand(brand):
        assert not Broadcast.objects.exists()
