"""An import taken back: what it made goes, what it changed comes back, what somebody has touched since stays and is told."""

from typing import Any

import pytest
from django.db import transaction

from commerce.models import Order, OrderLine, Product, Refund
from commerce.services import waiting as orders_waiting
from contacts.models import (
    Contact,
    ContactGram,
    ContactStat,
    CustomField,
    CustomValue,
    Event,
    EventKey,
    EventType,
    Identity,
    WaitingBehaviour,
)
from contacts.services.contacts import add_note
from contacts.services.follow import record_follow
from contacts.services.identity.identity import merge
from datafiles.models import ImportChange, ImportFile, ImportRange
from datafiles.services import imports, judge, undo
from org.access import SYSTEM
from org.models import AuditEntry, Job
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError
from tagging.models import ContactTag, DimBits, Tag
from tagging.services.bits import bits_check
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def take_back(brand: Any) -> Any:
    def run(file: ImportFile) -> dict[str, Any]:
        with tenant_scope(brand):
            with transaction.atomic():
                job = undo.start_undo(brand, file=file, by=SYSTEM)
            with transaction.atomic():
                job.refresh_from_db()
                file.refresh_from_db()
        assert (job.state, file.state) == (Job.State.DONE, ImportFile.State.UNDONE), job.error
        return file.result["undo"]

    return run


def numbers(done: dict[str, Any]) -> tuple[int, int, int]:
    return done["removed"], done["restored"], done["kept"]


def bits_are_right(brand: Any) -> bool:
    return bits_check.check(brand) == {} if hasattr(bits_check, "check") else True


def test_members_go_again(brand: Any, bring: Any, take_back: Any) -> None:
    with in_brand(brand):
        field = CustomField.objects.create(key="level", label="等级", type="text")
    text = "会员号,手机,姓名,标签,等级\nM1,13800138001,王,新标签,金\nM2,13800138002,李,,银\n"
    file = bring("members", text)
    assert numbers(take_back(file)) == (2, 0, 0)
    with in_brand(brand):
        for model in (
            Contact,
            Identity,
            ContactGram,
            ContactStat,
            CustomValue,
            ContactTag,
            Event,
            ImportRange,
            ImportChange,
        ):
            assert not model.objects.exists(), model
        assert not Tag.objects.filter(deleted_at=None).exists() and field.pk
        assert not any("1" in str(row) for row in DimBits.objects.values_list("bits", flat=True))
    with tenant_scope(brand), pytest.raises(ConflictError), transaction.atomic():
        undo.start_undo(brand, file=file, by=SYSTEM)
    assert bring("members", text).result["new"] == 2


def test_a_cancelled_undo_goes_on(brand: Any, bring: Any, take_back: Any, monkeypatch: Any) -> None:
    bring("members", "会员号,姓名\nM1,旧名\n")
    file = bring("members", "会员号,姓名\nM1,新名\nM2,李\nM3,王\nM4,张\n")
    monkeypatch.setattr(undo, "SLICE", 1)
    once = undo.step

    def and_cancel(brand: Any, job: Job) -> bool:
        more = once(brand, job)
        if job.result.get("removed", 0) == 2:
            jobs.cancel(job.pk)
        return more

    monkeypatch.setattr(undo, "step", and_cancel)
    with tenant_scope(brand):
        with transaction.atomic():
            job = undo.start_undo(brand, file=file, by=SYSTEM)
        with transaction.atomic():
            job.refresh_from_db()
            file.refresh_from_db()
            assert (job.state, file.state) == ("cancelled", "undoing") and undo.can_undo(file)
    monkeypatch.setattr(undo, "step", once)
    assert numbers(take_back(file)) == (3, 1, 0)
    with in_brand(brand):
        assert list(Contact.objects.values_list("name", flat=True)) == ["旧名"]


def test_cancelled_before_anything_is_written(brand: Any, put: Any, monkeypatch: Any) -> None:
    """The file is as before, and its import can begin anew."""
    file = put("members", "会员号\nM1\n")
    whole = judge.judge

    def and_cancel(*args: Any, **kwargs: Any) -> Any:
        counts = whole(*args, **kwargs)
        with transaction.atomic():
            jobs.cancel(Job.objects.get(state="running").pk)
        return counts

    monkeypatch.setattr(judge, "judge", and_cancel)
    with tenant_scope(brand):
        with transaction.atomic():
            job = imports.start_import(brand, file=file, by=SYSTEM)
        with transaction.atomic():
            job.refresh_from_db()
            file.refresh_from_db()
            assert (job.state, file.state, Contact.objects.count()) == ("cancelled", "uploaded", 0)
        monkeypatch.setattr(judge, "judge", whole)
        with transaction.atomic():
            imports.start_import(brand, file=file, by=SYSTEM)
        with transaction.atomic():
            file.refresh_from_db()
            assert (file.state, Contact.objects.count()) == ("done", 1)


def test_who_has_been_met_since_stays(brand: Any, corp: Any, staff: Any, bring: Any, take_back: Any) -> None:
    file = bring("members", "会员号,external_userid,姓名\nM1,wm1,有导购\nM2,,有备注\nM3,,没人理\n")
    with in_brand(brand):
        record_follow(brand, corp=corp, staff=staff, external_userid="wm1", at=clock.now(), source="callback")
        noted = Identity.objects.get(value="M2").contact
        add_note(brand, contact=noted, text="来过店里", by=SYSTEM)
    done = take_back(file)
    assert numbers(done) == (1, 0, 2)
    assert sorted(name for _pk, name, _why in done["named"]) == ["有备注", "有导购"]
    with in_brand(brand):
        assert sorted(Contact.objects.values_list("name", flat=True)) == ["有备注", "有导购"]


def test_changed_values_come_back(brand: Any, bring: Any, take_back: Any) -> None:
    with in_brand(brand):
        field = CustomField.objects.create(key="level", label="等级", type="text")
    bring("members", "会员号,姓名,性别,等级\nM1,旧名,男,银\nM2,乙,,\nM3,丙,女,铜\n")
    file = bring(
        "members", "会员号,手机,姓名,性别,等级\nM1,13800138001,新名,女,金\nM2,,乙二,男,金\nM3,,丙二,女,铜\n"
    )
    assert file.result["changed"] == 3
    with in_brand(brand):
        Contact.objects.filter(identities__value="M3").update(name="又改了")
    done = take_back(file)
    assert numbers(done) == (0, 2, 1) and done["named"][0][1] == "又改了"
    with in_brand(brand):
        people = {
            i.value: i.contact for i in Identity.objects.filter(kind="member_no").select_related("contact")
        }
        assert [(people[m].name, people[m].gender) for m in ("M1", "M2", "M3")] == [
            ("旧名", 1),
            ("乙", 0),
            ("又改了", 2),
        ]
        assert not Identity.objects.filter(kind="phone").exists()
        values = {v.contact_id: v.value_text for v in CustomValue.objects.filter(field=field)}
        assert values == {people["M1"].pk: "银", people["M3"].pk: "铜"}
        assert ContactGram.objects.filter(contact=people["M1"], gram="旧名").exists()
        assert ContactStat.objects.get(contact=people["M1"]).gender == 1


def test_orders_go_again(brand: Any, bring: Any, take_back: Any) -> None:
    bring("members", "会员号\nM1\n")
    text = """订单号,会员号,支付时间,订单金额,商品编码,商品名称,小计
O1,M1,2026-01-05,100,A1,奶粉,100
O2,M9,2026-01-05,50,A1,奶粉,50
"""
    file = bring("orders", text)
    with in_brand(brand):
        assert ContactStat.objects.get().n_orders == 1 and Event.objects.filter(type=50).count() == 1
    changed = bring("orders", text.replace(",100,A1", ",90,A1"))
    assert changed.result["changed"] == 1
    assert numbers(take_back(changed)) == (0, 1, 0)
    with in_brand(brand):
        assert (
            Order.objects.get(order_no="O1").amount_fen == 10000
            and ContactStat.objects.get().spent_fen == 10000
        )
    assert numbers(take_back(file)) == (2, 0, 0)
    with in_brand(brand):
        assert not Order.objects.exists() and not OrderLine.objects.exists()
        assert not Event.objects.filter(type=50).exists() and ContactStat.objects.get().n_orders == 0
    assert bring("orders", text).result["new"] == 2


def test_an_order_whose_earlier_customer_is_somebody_else_now(
    brand: Any, bring: Any, take_back: Any, caplog: Any
) -> None:
    """It had been M1's, was told to be M2's, and meanwhile M1 has become one with M3: taken back it waits for M1, who is
    found by night."""
    bring("members", "会员号\nM1\nM2\nM3\n")
    text = "订单号,会员号,支付时间,订单金额\nO1,M1,2026-01-05,100\n"
    bring("orders", text)
    changed = bring("orders", text.replace("M1", "M2"))
    with in_brand(brand):
        people = dict(Identity.objects.values_list("value", "contact"))
        assert Order.objects.get().contact_id == people["M2"]
        found = {one.pk: one for one in Contact.objects.select_for_update().order_by("pk")}
        merge(brand, keep=found[people["M3"]], lose=found[people["M1"]], why={})
    assert numbers(take_back(changed)) == (0, 1, 0)
    with in_brand(brand):
        order = Order.objects.get()
        assert (order.contact_id, order.buyer_value) == (None, "M1")
        assert orders_waiting.attach_all(brand) == 1
        assert Order.objects.get().contact_id == people["M3"] and not caplog.text
        assert ContactStat.objects.get(n_orders=1).contact_id == people["M3"]


def test_refunds_and_products(brand: Any, bring: Any, take_back: Any) -> None:
    products = bring("products", "商品编号,商品名称,价格\nA1,奶粉,1\nA2,尿裤,2\n")
    orders = bring("orders", "订单号,会员号,支付时间,订单金额,商品编码\nO1,M1,2026-01-05,100,A1\n")
    refunds = bring("refunds", "退款编号,订单号,退款金额\nR1,O1,30\n")
    done = take_back(orders)
    assert numbers(done) == (0, 0, 1)  # its refund came with another file
    assert numbers(take_back(refunds)) == (1, 0, 0)
    with in_brand(brand):
        assert not Refund.objects.exists() and Order.objects.get().refunded_fen == 0
    assert numbers(take_back(products)) == (1, 0, 1)
    with in_brand(brand):
        assert Product.objects.get().sku == "A1"


def test_behaviour_goes_again(brand: Any, bring: Any, take_back: Any) -> None:
    bring("members", "会员号\nM1\n")
    text = "会员号,行为类型,时间\nM1,浏览,2026-01-05 10:00\nM9,加购,2026-01-05 11:00\n"
    first = bring("behaviour", text)
    second = bring("behaviour", text + "M1,收藏,2026-01-06\n")
    assert second.result["new"] == 1
    assert numbers(take_back(second)) == (1, 0, 0)
    with in_brand(brand):
        assert Event.objects.filter(type__gte=90).count() == 1 and EventKey.objects.count() == 2
    assert numbers(take_back(first)) == (2, 0, 0)
    with in_brand(brand):
        assert not Event.objects.filter(type__gte=90).exists() and not WaitingBehaviour.objects.exists()
    assert bring("behaviour", text).result["new"] == 2


def test_whom_a_file_has_joined_are_two_again(brand: Any, bring: Any, take_back: Any, staff: Any) -> None:
    """Both have their own moments again (the file is read in the brand's zone), and another file may join them."""
    bring("members", "会员号,手机,姓名\nM1,13800138001,王\n")
    with in_brand(brand):
        friend = make_contact(brand, staff, name="小王")
        Identity.objects.create(contact=friend, kind="unionid", value="u1")
        before = {row["id"]: row for row in Contact.objects.values()}
    text = "会员号,unionid\nM1,u1\n"
    file = bring("members", text)
    with in_brand(brand):
        one = Contact.objects.get()
        assert one.added_at == min(row["added_at"] for row in before.values())
        assert one.member_at == next(row["member_at"] for row in before.values() if row["member_at"])
    done = take_back(file)
    assert (done["parted"], done["kept"]) == (1, 0)
    with in_brand(brand):
        assert {row["id"]: row for row in Contact.objects.values()} == before
        assert Identity.objects.get(value="u1").contact_id == friend.pk
        assert Event.objects.filter(type=EventType.PARTED, source="import").count() == 2
        assert AuditEntry.objects.filter(action="contact.part").count() == 2
    assert bring("members", text).result["joined"] == 1


def test_since_when_somebody_is_a_member_comes_back(
    brand: Any, bring: Any, take_back: Any, staff: Any
) -> None:
    with in_brand(brand):
        friend = make_contact(brand, staff)
        Identity.objects.create(contact=friend, kind="unionid", value="u1")
    file = bring("members", "会员号,unionid\nM1,u1\n")
    with in_brand(brand):
        assert Contact.objects.get().member_at is not None
    assert numbers(take_back(file)) == (0, 1, 0)
    with in_brand(brand):
        assert Contact.objects.get().member_at is None
