"""Behaviour as others tell it: each fact once, late ones too, of people who are not known yet."""

from datetime import UTC, datetime, timedelta
from typing import Any

from commerce.services.products import record_products
from contacts.models import BehaviourKind, Contact, Event, EventType, Identity, WaitingBehaviour
from contacts.sentences import lines
from contacts.services.behaviour import KINDS, attach, purge_waiting, record_behaviour
from contacts.services.follow import record_follow
from scrm import clock
from tests.factories import in_brand, make_contact

NOW = clock.now().replace(microsecond=0)


def view(**over: Any) -> dict[str, Any]:
    return {
        "kind": "view",
        "at": NOW,
        "buyer_kind": "openid",
        "buyer_scope": "wxapp",
        "buyer_value": "o1",
        **over,
    }


def told(brand: Any, *rows: dict[str, Any]) -> list[tuple[str, str]]:
    return [(o.result.value, o.reason) for o in record_behaviour(brand, rows, source="shop")]


def make_visitor(brand: Any, openid: str = "o1") -> Contact:
    contact = make_contact(brand)
    Identity.objects.create(contact=contact, kind="openid", scope="wxapp", value=openid)
    return contact


def test_each_fact_once(brand: Any) -> None:
    with in_brand(brand):
        visitor = make_visitor(brand)
        rows = [view(), view(), view(source_key="k1"), view(kind="cart", at=NOW - timedelta(seconds=1))]
        assert [r for r, _ in told(brand, *rows)] == ["accepted", "repeated", "accepted", "accepted"]
        assert [r for r, _ in told(brand, *rows)] == ["repeated"] * 4
        assert Event.objects.filter(contact_id=visitor.pk).count() == 3


def test_kinds_products_and_words(brand: Any) -> None:
    with in_brand(brand):
        make_visitor(brand)
        record_products(brand, [{"sku": "P1", "name": "婴儿湿巾"}])
        BehaviourKind.objects.create(key="sample", label="领取小样")
        BehaviourKind.objects.create(key="old", label="旧", archived_at=NOW)
        rows = [view(kind=kind, sku="P1") for kind in ("view", "favourite", "cart", "checkout")]
        rows += [view(kind="search", data={"query": "纸尿裤"}), view(kind="sample", data={"page": "新人页"})]
        rows += [
            view(kind="coupon_used", data={"title": "满200减30", "code": "C1"}),
            view(kind="word_said", data={"word": "想退款"}),
        ]
        rows += [view(kind="coupon_used", data={"code": "只有券码"})]
        rows += [view(sku="P9", data={"product": "未上架的"}), view(kind="old"), view(kind="nothing")]
        assert told(brand, *rows)[-2:] == [("refused", "unknown_kind")] * 2
        assert set(KINDS) <= {row["kind"] for row in rows}
        said = [line.text + line.detail for line in lines(Event.objects.order_by("pk"))]
        for word in ("婴儿湿巾", "纸尿裤", "领取小样新人页", "未上架的", "满200减30", "想退款", "只有券码"):
            assert any(word in text for text in said), word


def test_a_word_that_the_brand_had_named_itself_stays_its_own(brand: Any) -> None:
    with in_brand(brand):
        visitor = make_visitor(brand)
        kind = BehaviourKind.objects.create(key="coupon_used", label="用券（自有）")
        assert told(brand, view(kind="coupon_used")) == [("accepted", "")]
        event = Event.objects.get(contact_id=visitor.pk)
        assert (event.type, event.object_id) == (EventType.CUSTOM, kind.pk)


def test_what_is_refused(brand: Any, other_brand: Any) -> None:
    with in_brand(other_brand):
        theirs = make_visitor(other_brand)
    with in_brand(brand):
        assert told(
            brand,
            view(buyer_value=""),
            view(buyer_kind="qq"),
            view(at=NOW + timedelta(days=3)),
            view(source_key="x" * 121),
            view(data={"page": "x" * 5000}),
            view(contact_id=theirs.pk),
        ) == [
            ("refused", reason)
            for reason in ("bad_buyer", "bad_buyer", "bad_time", "bad_number", "too_long", "unknown_contact")
        ]
        assert not Event.objects.exists() and not WaitingBehaviour.objects.exists()


def test_the_unknown_are_waited_for(brand: Any, other_brand: Any, corp: Any, staff: Any) -> None:
    with in_brand(other_brand):
        make_visitor(other_brand)
    external = {"buyer_kind": "external_userid", "buyer_scope": "", "buyer_value": "wm1"}
    with in_brand(brand):
        assert told(brand, view(), view(**external)) == [("accepted", "unknown_person")] * 2
        assert told(brand, view()) == [("repeated", "")]
        contact = record_follow(
            brand, corp=corp, staff=staff, external_userid="wm1", at=NOW, source="callback"
        ).contact
        assert Event.objects.get(type=EventType.VIEWED).contact_id == contact.pk
        Identity.objects.create(contact=contact, kind="openid", scope="wxapp", value="o1")
        assert attach(brand, [contact.pk]) == 1 and attach(brand, [contact.pk]) == 0
        assert not WaitingBehaviour.objects.exists()
        told(brand, view(buyer_value="o2"))
    with in_brand(brand), clock.at(NOW + timedelta(days=200)):
        assert purge_waiting(brand) == 1


def test_the_past_has_room(brand: Any) -> None:
    """Months for which no partition was made."""
    with in_brand(brand):
        visitor = make_visitor(brand)
        past = [datetime(1997, 1, 1, tzinfo=UTC), datetime(2017, 11, 25, 3, tzinfo=UTC)]
        assert told(brand, *(view(at=at) for at in past)) == [("accepted", "")] * 2
        assert (
            list(Event.objects.filter(contact_id=visitor.pk).order_by("at").values_list("at", flat=True))
            == past
        )
