"""Found and lost: repeats, returns, late facts, eight processes at once."""

import itertools
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from contacts.models import Contact, Event, EventType, Follow, Identity
from contacts.services.follow import end_follow, record_follow
from contacts.services.search import search
from scrm import clock
from tests.factories import in_brand, make_corp, make_staff
from tests.threads import together

T = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
E = EventType


def minute(n: int) -> datetime:
    return T + timedelta(minutes=n)


@pytest.fixture
def add(brand: Any, corp: Any, staff: Any) -> Any:
    def act(n: int, **over: Any) -> Any:
        values = {
            "corp": corp,
            "staff": staff,
            "external_userid": "wmA",
            "at": minute(n),
            "source": "callback",
            **over,
        }
        return record_follow(brand, **values)

    return act


@pytest.fixture
def lose(brand: Any, corp: Any, staff: Any) -> Any:
    def act(n: int, kind: str = "customer", **over: Any) -> Any:
        values = {
            "corp": corp,
            "staff": staff,
            "external_userid": "wmA",
            "at": minute(n),
            "source": "callback",
            **over,
        }
        return end_follow(brand, kind=kind, **values)

    return act


def story() -> list[EventType]:
    return [EventType(t) for t in Event.objects.order_by("at", "id").values_list("type", flat=True)]


def flags(result: Any) -> str:
    names = ("is_new_follow", "is_new_contact", "is_return", "is_late")
    return " ".join(name.removeprefix("is_") for name in names if getattr(result, name))


def state() -> tuple[int, datetime | None, datetime]:
    contact = Contact.objects.get()
    return contact.n_follows, contact.lost_at, contact.added_at


def test_first_add_and_its_repeats(brand: Any, add: Any) -> None:
    with in_brand(brand):
        first = add(0, state="s1", add_way=1, name="小明", channel_code_id=7)
        assert flags(first) == "new_follow new_contact"
        assert first.contact.n_follows == 1
        assert flags(add(0, state="s1")) == flags(add(0, source="sync")) == ""
        assert (story(), state()) == ([E.ADDED], (1, None, T))
        event = Event.objects.get()
        assert (event.object_id, event.data) == (7, {"state": "s1", "add_way": 1})
        assert search(brand, "小明").get() == first.contact
        assert Identity.objects.get().value == "wmA"


def test_sync_tells_the_same_add_some_seconds_apart(brand: Any, add: Any) -> None:
    with in_brand(brand):
        add(0)
        assert flags(add(0, at=T + timedelta(seconds=4), source="sync", state="late-known", add_way=1)) == ""
        assert (story(), Follow.objects.get().state) == ([E.ADDED], "late-known")


def test_sync_was_quicker_than_the_event(brand: Any, add: Any, lose: Any) -> None:
    """The arrival itself must still greet, tag and enrol, once."""
    with in_brand(brand):
        assert flags(add(0, source="sync")) == "new_follow new_contact"
        assert flags(add(0, state="s1", channel_code_id=3)) == "new_follow"
        assert flags(add(0, state="s1")) == ""
        assert (story(), Follow.objects.get().channel_code_id) == ([E.ADDED], 3)
        lose(5), add(9, source="sync")
        assert flags(add(9)) == "new_follow" and flags(add(9)) == ""


def test_two_guides_of_one_customer(brand: Any, corp: Any, add: Any, lose: Any) -> None:
    with in_brand(brand):
        other = make_staff(brand, corp)
        add(0)
        assert flags(add(1, staff=other)) == "new_follow"
        assert state() == (2, None, T)
        lose(2)
        assert state() == (1, None, T)
        lose(3, "staff", staff=other)
        assert state() == (0, minute(3), T)
        assert story() == [E.ADDED, E.ADDED, E.LOST_BY_CUSTOMER, E.LOST_BY_STAFF]


def test_half_add_is_confirmed(brand: Any, add: Any) -> None:
    with in_brand(brand):
        assert flags(add(0, pending=True, state="s1")) == "new_follow new_contact"
        assert state() == (0, None, T)
        assert not Contact.objects.reachable().exists()
        assert flags(add(0, pending=True)) == ""
        assert flags(add(5)) == "new_follow"
        assert flags(add(5)) == ""
        follow = Follow.objects.get()
        assert (follow.is_pending, follow.added_at, follow.state) == (False, minute(5), "s1")
        assert (story(), state()) == ([E.HALF_ADDED, E.ADDED], (1, None, T))
        assert Contact.objects.reachable().exists()


def test_half_add_told_after_the_add(brand: Any, add: Any) -> None:
    with in_brand(brand):
        add(0)
        assert flags(add(0, pending=True)) == ""
        assert not Follow.objects.get().is_pending


def test_customer_comes_back(brand: Any, add: Any, lose: Any) -> None:
    with in_brand(brand):
        follow = add(0, state="s1", channel_code_id=1).follow
        Follow.objects.update(wecom_tag_ids=["t1"])
        assert lose(1) == follow
        assert Follow.objects.get().wecom_tag_ids == []
        assert flags(add(2, state="s2", channel_code_id=2)) == "return"
        follow.refresh_from_db()
        assert (follow.state, follow.added_at, follow.ended_at, follow.channel_code_id) == (
            "s2",
            minute(2),
            None,
            2,
        )
        assert (story(), state()) == ([E.ADDED, E.LOST_BY_CUSTOMER, E.ADDED_AGAIN], (1, None, T))


def test_half_add_of_a_former_customer_is_a_return(brand: Any, add: Any, lose: Any) -> None:
    with in_brand(brand):
        add(0), lose(1), add(2, pending=True)
        assert state()[:2] == (0, None)
        assert flags(add(3)) == "return"
        assert story() == [E.ADDED, E.LOST_BY_CUSTOMER, E.HALF_ADDED, E.ADDED_AGAIN]


def test_return_whose_loss_nobody_told(brand: Any, add: Any) -> None:
    with in_brand(brand):
        add(0)
        assert flags(add(90)) == "return"
        assert story() == [E.ADDED, E.ADDED_AGAIN]


def test_lost_and_back_within_a_second(brand: Any, add: Any, lose: Any) -> None:
    with in_brand(brand):
        add(0), lose(0)
        assert flags(add(0)) == "return"
        assert Follow.objects.get().ended_at is None
        assert story() == [E.ADDED, E.LOST_BY_CUSTOMER, E.ADDED_AGAIN]


def test_loss_told_before_its_add(brand: Any, add: Any, lose: Any) -> None:
    with in_brand(brand):
        lose(5)
        assert flags(add(0, state="s1")) == "late"
        follow = Follow.objects.get()
        assert (follow.ended_at, follow.added_at, follow.state) == (minute(5), T, "s1")
        assert (story(), state()) == ([E.ADDED, E.LOST_BY_CUSTOMER], (0, minute(5), T))
        assert flags(add(0)) == "late" and story() == [E.ADDED, E.LOST_BY_CUSTOMER]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order_of_add_loss_and_return(brand: Any, add: Any, lose: Any, order: Any) -> None:
    facts = [lambda: add(0), lambda: lose(10), lambda: add(20)]
    with in_brand(brand):
        for n in order:
            facts[n]()
        for n in order:  # everything comes twice
            facts[n]()
        follow = Follow.objects.get()
        assert (follow.ended_at, follow.added_at) == (None, minute(20))
        assert state() == (1, None, T)
        assert len(story()) == 3 and story()[1] == E.LOST_BY_CUSTOMER


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_any_order_that_ends_with_a_loss(brand: Any, add: Any, lose: Any, order: Any) -> None:
    facts = [lambda: add(0), lambda: lose(10), lambda: add(20), lambda: lose(30, "staff")]
    with in_brand(brand):
        for n in order:
            facts[n]()
        assert Follow.objects.get().ended_at is not None
        assert (state()[0], state()[2], len(story())) == (0, T, 4)


def test_both_sides_delete(brand: Any, add: Any, lose: Any) -> None:
    with in_brand(brand):
        add(0), lose(1), lose(2, "staff"), lose(1)
        follow = Follow.objects.get()
        assert (follow.end_kind, follow.ended_at) == ("customer", minute(1))
        assert story() == [E.ADDED, E.LOST_BY_CUSTOMER, E.LOST_BY_STAFF]


def test_gone_is_replaced_by_what_happened(brand: Any, add: Any, lose: Any) -> None:
    with in_brand(brand):
        assert lose(0, "gone", external_userid="wmUnknown") is None
        assert not Contact.objects.exists()
        add(0), lose(50, "gone"), lose(30)
        follow = Follow.objects.get()
        assert (follow.end_kind, follow.ended_at) == ("customer", minute(30))
        assert state() == (0, minute(30), T)


def test_the_future_is_now(brand: Any, add: Any) -> None:
    with in_brand(brand):
        later = clock.now() + timedelta(days=2)
        follow = add(0, at=later).follow
        assert follow.added_at <= clock.now()
        assert flags(add(0, at=later)) == ""


def test_one_external_userid_in_two_corps_and_two_brands(brand: Any, other_brand: Any, add: Any) -> None:
    with in_brand(brand):
        add(0)
        second = make_corp(brand)
        assert flags(add(0, corp=second, staff=make_staff(brand, second))) == "new_follow new_contact"
        assert Contact.objects.count() == 2
    with in_brand(other_brand):
        corp = make_corp(other_brand)
        record_follow(
            other_brand,
            corp=corp,
            staff=make_staff(other_brand, corp),
            external_userid="wmA",
            at=T,
            source="sync",
        )
        assert Contact.objects.count() == Event.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["same", "guides", "mixed"])
def test_eight_at_once(brand: Any, corp: Any, staff: Any, add: Any, lose: Any, what: str) -> None:
    with in_brand(brand):
        guides = [make_staff(brand, corp) for _ in range(8)]

    def work(n: int) -> Any:
        with in_brand(brand):
            if what == "mixed" and n % 2:
                lose(1)
                return None
            return add(0, staff=guides[n] if what == "guides" else staff)

    results = [found for found in together(*(partial(work, n) for n in range(8))) if found]
    with in_brand(brand):
        n_follows = {"same": 1, "guides": 8, "mixed": 0}[what]
        assert len(results) == (4 if what == "mixed" else 8)
        assert (Contact.objects.count(), Identity.objects.count()) == (1, 1)
        assert Follow.objects.count() == max(n_follows, 1)
        assert (Contact.objects.get().n_follows, len(story())) == (
            n_follows,
            {"same": 1, "guides": 8, "mixed": 2}[what],
        )
        assert sum(r.is_new_contact for r in results) == (
            1 if what != "mixed" else sum(r.is_new_contact for r in results)
        )
