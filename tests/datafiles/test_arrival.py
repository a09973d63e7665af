"""A member of an imported list adds a guide: one person, by the phone number that the guide notes or by unionid."""

from typing import Any

import pytest

from contacts.models import Contact, Event, EventType, Identity
from contacts.services import profile
from contacts.services.follow import record_follow
from scrm import clock
from tests.factories import in_brand

pytestmark = pytest.mark.django_db(transaction=True)


def arrive(brand: Any, corp: Any, staff: Any, external: str, phones: list[str], unionid: str = "") -> None:
    with in_brand(brand):
        record_follow(
            brand, corp=corp, staff=staff, external_userid=external, at=clock.now(), source="callback"
        )
        customer: Any = {
            "external_contact": {
                "external_userid": external,
                "name": "微信名",
                "type": 1,
                "unionid": unionid,
            },
            "follow_user": [{"userid": staff.userid, "remark_mobiles": phones}],
        }
        profile.keep(brand, corp=corp, customer=customer, read_at=clock.now(), source="callback")


def test_by_phone(brand: Any, corp: Any, staff: Any, bring: Any) -> None:
    bring("members", "会员号,手机,姓名\nM1,138 0013 8001,王小明\nM2,13800138002,李娜\n")
    bring("orders", "订单号,会员号,支付时间,订单金额\nO1,M1,2026-01-05,100\n")
    arrive(brand, corp, staff, "wm1", ["+86 138-0013-8001"])
    with in_brand(brand):
        ming = Identity.objects.get(value="M1").contact
        assert (ming.state, ming.n_follows, Contact.objects.count()) == ("reachable", 1, 2)
        assert {i.kind for i in ming.identities.all()} == {"member_no", "phone", "external_userid"}
        assert Event.objects.filter(type=EventType.MERGED).count() == 1
        assert Event.objects.get(type=EventType.ORDER_PAID).contact_id == ming.pk


def test_by_unionid(brand: Any, corp: Any, staff: Any, bring: Any) -> None:
    bring("members", "会员号,unionid,姓名\nM1,u1,王小明\n")
    arrive(brand, corp, staff, "wm1", [], "u1")
    with in_brand(brand):
        assert Contact.objects.get().state == "reachable"


def test_a_number_of_somebody_with_a_guide_joins_nobody(
    brand: Any, corp: Any, staff: Any, bring: Any
) -> None:
    arrive(brand, corp, staff, "wm1", ["13800138001"])
    arrive(brand, corp, staff, "wm2", ["13800138001"])
    bring("members", "会员号,手机,external_userid\nM1,13800138009,wm9\n")
    arrive(brand, corp, staff, "wm3", ["13800138009"])
    with in_brand(brand):
        assert Contact.objects.count() == 4 and not Event.objects.filter(type=EventType.MERGED).exists()
