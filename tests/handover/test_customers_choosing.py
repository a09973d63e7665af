"""Whose customers are handed over to whom, and asking WeCom again until everything is final."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from contacts.models import Follow
from handover.models import HandoverItem, HandoverRun, HandoverShare
from handover.services import results
from handover.tasks import tick_brand
from livecodes.models import ChannelCode
from livecodes.services import figures
from scrm import clock
from scrm.errors import InvalidError
from tagging.services.tags.tags import add_tags
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_staff, make_tag
from tests.groups.conftest import external
from tests.handover.conftest import House, later
from tests.handover.test_customers import LISTED, contact_of

pytestmark = pytest.mark.django_db(transaction=True)


# ---- choosing


def test_choosing_by_filter_and_by_list(house: House) -> None:
    contact = contact_of(house, 4)
    with in_brand(house.brand):
        tag = make_tag(house.brand)
        add_tags(house.brand, contacts=[contact], tags=[tag], source="page")
    run = house.start(house.b, customers="filter", filters={"tag": [tag.pk]})
    assert [item.external_userid for item in house.items(run)] == [external(4)]
    listed = (f"#{contact_of(house, 5).pk}", external(6), f"o{house.corp.pk}x{7:024d}", "nobody")
    run = house.start(house.b, customers="list", listed=listed)
    assert [item.external_userid for item in house.items(run)] == [external(5), external(6), external(7)]


@pytest.mark.parametrize(
    "bad",
    [
        {"customers": "nonsense"},
        {"customers": "none"},
        {"customers": "filter"},
        {"customers": "filter", "filters": {"state": "nonsense"}},
        {"customers": "list"},
        {"groups": "nonsense"},
        {"customers": "none", "groups": "list"},
        {"customers": "none", "groups": "all"},  # there are none
        {"customers": "list", "listed": ("nobody",)},
    ],
)
def test_what_is_not_understood_hands_nobody_over(house: House, bad: dict) -> None:
    with pytest.raises(InvalidError):
        house.start(house.b, **bad)
    with in_brand(house.brand):
        assert not HandoverRun.objects.exists()


def test_receivers_who_cannot_take_anybody(house: House, open_another: Callable[..., House]) -> None:
    with in_brand(house.brand):
        passive = make_staff(house.brand, house.corp, is_guide=False)
        dashboard = make_staff(house.brand)
    foreign = open_another().b
    for receiver in (house.a, passive, dashboard, foreign, (house.b, 0), (house.b, 101)):
        with pytest.raises(InvalidError):
            house.start(receiver)
    with pytest.raises(InvalidError):
        house.start(house.b, house.b)
    with pytest.raises(InvalidError):
        house.start(house.b, giver=dashboard)
    with pytest.raises(InvalidError):
        house.start(house.b, message="长" * 201)


def test_two_brands_hand_over_their_own(house: House, open_another: Callable[..., House]) -> None:
    other = open_another()
    other.sync()
    run = house.start(house.b)
    with in_brand(other.brand):
        assert not HandoverRun.objects.exists()
        assert not HandoverItem.objects.exists()
    assert other.transfers() == []
    theirs = other.start(other.b)
    other.complete()
    other.deliver()
    assert (house.states(run), other.states(theirs)) == ({"WAITING": 10}, {"DONE": 10})


# ---- asking again


def test_wecom_is_asked_now_and_then_until_everything_is_final(house: House) -> None:
    run = house.start(house.b)
    with in_brand(house.brand):
        share = HandoverShare.objects.get()
        assert share.poll_at and timedelta(minutes=50) < share.poll_at - clock.now() < timedelta(hours=2)
    with tenant_scope(house.brand):
        assert results.due() == []
        with later(hours=2):
            (share_id,) = results.due()
            assert results.due() == []  # leased
            results.poll(house.brand, share_id)
    house.complete()
    house.letters()  # all events are lost
    with tenant_scope(house.brand), later(hours=25):
        tick_brand.delay(brand_id=house.brand.pk)
    assert house.states(run) == {"DONE": 10}
    with in_brand(house.brand):
        assert HandoverShare.objects.get().poll_at is None


def test_what_wecom_has_forgotten_ends(house: House) -> None:
    run = house.start(house.b, customers="list", listed=LISTED)
    house.sandbox.post("reset", settings={})
    house.sandbox.make_corp(house.corp.corpid)
    house.sandbox.load(
        house.corp.corpid,
        members=[{"userid": s.userid, "name": s.name} for s in (house.a, house.b)],
    )
    house.poll(run)
    assert house.states(run) == {"WAITING": 3}
    with later(days=4):
        house.poll(run)
    assert house.states(run) == {"FAILED": 3}


def test_a_channel_does_not_lose_whom_it_handed_over(house: House) -> None:
    with in_brand(house.brand):
        code = ChannelCode.objects.create(corp=house.corp, name="包裹卡", state="c1")
        Follow.objects.filter(external_userid__in=LISTED).update(channel_code_id=code.pk)
    house.start(house.b, customers="list", listed=LISTED)
    house.complete()
    house.deliver()
    with in_brand(house.brand):
        numbers = figures.of_codes(house.brand, [code])[code.pk]
        assert (numbers.n_all, numbers.n_lost) == (3, 0)
        assert figures.by_guide(house.brand, code)[house.a.pk].n_lost == 0
        assert sum(lost for _day, _n, lost in figures.by_day(house.brand, code, 3)) == 0


def test_a_channel_counts_them_once_after_the_next_sync(house: House) -> None:
    """WeCom shows the source of a customer with the new guide, too."""
    customers = [
        {"external_userid": x, "follows": [{"userid": house.a.userid, "state": "c1"}]} for x in LISTED
    ]
    house.sandbox.load(house.corp.corpid, customers=customers)
    with in_brand(house.brand):
        code = ChannelCode.objects.create(corp=house.corp, name="包裹卡", state="c1")
        Follow.objects.filter(external_userid__in=LISTED).update(channel_code_id=code.pk, state="c1")
    house.start(house.b, customers="list", listed=LISTED)
    house.complete()
    house.deliver()
    with in_brand(house.brand):
        news = Follow.objects.filter(staff=house.b, external_userid__in=LISTED)
        assert set(news.values_list("state", "channel_code_id")) == {("c1", None)}
        news.update(state="")  # as if the event had not known it
    house.sync()
    with in_brand(house.brand):
        assert set(news.values_list("state", "channel_code_id")) == {("c1", None)}
        assert figures.of_codes(house.brand, [code])[code.pk].n_all == 3
