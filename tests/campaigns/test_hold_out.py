"""The brand's hold-out group: who is in it, that nothing reaches them, and what is said about it."""

from datetime import timedelta
from typing import Any

import pytest

from campaigns.models import Touch, TouchPolicy
from campaigns.services.governance import gate, hold_out, policy, rules
from campaigns.services.governance.hold_out import Group
from commerce.models import Order
from contacts.models import ContactStat
from org.access import SYSTEM
from scrm import clock
from scrm.errors import InvalidError
from tagging.models import Dim, Flag
from tagging.services.bits import frames
from tests.factories import in_brand, make_contact

K, R = Touch.Kind, Touch.Reason


@pytest.fixture
def people(brand: Any, corp: Any, staff: Any) -> list[int]:
    with in_brand(brand):
        return [make_contact(brand, staff).pk for _ in range(60)]


def held_of(brand: Any, people: list[int]) -> set[int]:
    return {
        pk for pk, held in zip(people, hold_out.is_held(people, rules.rules_of(brand)), strict=True) if held
    }


def test_a_share_gets_nothing(brand: Any, people: list[int]) -> None:
    with in_brand(brand):
        assert gate.ask(brand, people, clock.now()) == {}
        policy.change_policy(brand, hold_out_percent=20, by=SYSTEM)
        held = held_of(brand, people)
        assert 2 <= len(held) <= 30
        for kind in (K.SOP, K.BROADCAST):
            assert gate.ask(brand, people, clock.now(), kind=kind) == dict.fromkeys(held, R.BRAND_HOLD_OUT)
        frame = frames.Frame.whole(brand)
        everybody = frame.one(Dim.FLAG, Flag.EVERYBODY)
        verdict = gate.judge(frame, everybody, at=clock.now(), kind=K.BROADCAST, rules=rules.rules_of(brand))
        assert set(frames.contacts_at(brand, frame, verdict.refused[R.BRAND_HOLD_OUT])) == held
        # half the share is a part of the whole: nobody new is taken in
        many = list(range(1, 5_000))
        all_held = held_of(brand, many)
        policy.change_policy(brand, hold_out_percent=10, by=SYSTEM)
        assert held_of(brand, people) <= held and held_of(brand, many) < all_held


def test_drawn_anew(brand: Any, people: list[int]) -> None:
    with in_brand(brand):
        with clock.at(clock.now() - timedelta(days=30)):
            policy.change_policy(brand, hold_out_percent=20, by=SYSTEM)
        before, first = held_of(brand, people), TouchPolicy.objects.get().hold_out_since
        policy.change_policy(brand, min_gap_hours=3, by=SYSTEM)
        assert TouchPolicy.objects.get().hold_out_since == first
        policy.change_policy(brand, redraw=True, by=SYSTEM)
        assert held_of(brand, people) != before
        assert TouchPolicy.objects.get().hold_out_since > first
        policy.change_policy(brand, hold_out_percent=0, by=SYSTEM)
        assert TouchPolicy.objects.get().hold_out_since is None
        assert hold_out.effect_of(brand) is None
        for bad in (-1, 21):
            with pytest.raises(InvalidError):
                policy.change_policy(brand, hold_out_percent=bad, by=SYSTEM)


def test_compared(brand: Any, other_brand: Any, people: list[int]) -> None:
    """Orders before it began, people who came later and another brand's are not in it."""
    with in_brand(brand):
        began = clock.now() - timedelta(days=10)
        ContactStat.objects.update(added_at=began - timedelta(days=1))
        late = people[-1]
        ContactStat.objects.filter(contact=late).update(added_at=began + timedelta(days=1))
        with clock.at(began):
            policy.change_policy(brand, hold_out_percent=20, by=SYSTEM)
        held = held_of(brand, people) - {late}
        others = set(people) - held - {late}
        buyer, twice, old = sorted(others)[:3]
        kept = min(held)
        for n, (contact, fen, days) in enumerate((
            (buyer, 1000, 1), (twice, 500, 2), (twice, 700, 3), (old, 9999, 11), (kept, 300, 1), (late, 1, 1),
        )):  # fmt: skip
            paid_at = clock.now() - timedelta(days=days)
            Order.objects.create(
                source="t",
                order_no=f"{n}",
                contact_id=contact,
                paid_at=paid_at,
                placed_at=paid_at,
                amount_fen=fen,
                state=Order.State.PAID,
                is_sale=True,
                updated_at=paid_at,
            )
        ContactStat.objects.filter(contact=kept).update(lost_at=clock.now())
        ContactStat.objects.filter(contact=old).update(lost_at=began - timedelta(hours=1))
        found = hold_out.effect_of(brand)
        assert found is not None
        assert found.held == Group(len(held), 1, 1, 300, 90_000.0)
        assert found.others == Group(len(others) - 1, 2, 0, 2200, 1000.0**2 + 1200.0**2)
    with in_brand(other_brand):
        assert hold_out.effect_of(other_brand) is None


def test_differences() -> None:
    """Against figures worked out by hand: 12 % and 10 % of 10,000 and 1,000."""
    others, held = Group(10_000, 1_200, 300, 1_200_000, 1.2e9), Group(1_000, 100, 50, 100_000, 1.0e8)
    bought, spent, lost = hold_out.compare(held, others)
    assert bought and spent and lost
    assert bought.value == pytest.approx(0.02)
    assert (bought.low, bought.high) == pytest.approx((0.00035, 0.03965), abs=0.00005)
    assert spent.value == pytest.approx(20.0)
    assert bought.is_certain
    assert lost.value == pytest.approx(-0.02)
    assert lost.is_certain
    small = hold_out.compare(Group(29, 3), others)
    assert small == (None, None, None)
    same = hold_out.compare(Group(1_000, 120), others)[0]
    assert same is not None and not same.is_certain


def test_page(brand: Any, people: list[int], sign_in: Any) -> None:
    client = sign_in(brand)
    assert "还没有全局对照组" in client.get("/touches/effect/").content.decode()
    with in_brand(brand):
        policy.change_policy(brand, hold_out_percent=20, by=SYSTEM)
    page = client.get("/touches/effect/").content.decode()
    assert "全局对照组（20%）" in page
    form = client.get("/settings/touch/").content.decode()
    assert 'name="redraw"' in form
    assert sign_in(brand, "manager").get("/touches/effect/").status_code == 403
