"""Members by file: found by their ids, made where nobody is, changed where something is new; twice is once."""

from typing import Any

import pytest

from contacts.models import (
    Contact,
    ContactGram,
    ContactStat,
    CustomField,
    CustomValue,
    Event,
    EventType,
    Identity,
)
from contacts.services.identity import apart
from contacts.services.search import grams_of, search
from datafiles.services import stage
from org.access import SYSTEM
from scrm import clock
from tagging.models import ContactTag, Tag
from tests.factories import in_brand, make_contact, make_tag

pytestmark = pytest.mark.django_db(transaction=True)

FILE = """会员号,手机号,姓名,性别,入会时间,标签
M1,13800138001,王小明,男,2024-03-05,VIP
M2,+86 138-0013-8002,李娜,女,2024/3/6 10:30,VIP、老客
M3,,张三,,2024年3月7日,
"""


def counts(file: Any, *names: str) -> tuple[int, ...]:
    return tuple(file.result.get(name, 0) for name in names)


def test_new_members_wait_with_their_ids(brand: Any, bring: Any) -> None:
    file = bring("members", FILE)
    assert counts(file, "rows", "new", "changed", "refused") == (3, 3, 0, 0)
    with in_brand(brand):
        people = {c.name: c for c in Contact.objects.all()}
        ming = people["王小明"]
        assert {c.state for c in people.values()} == {"member"}
        assert (ming.gender, ming.member_at.isoformat()) == (1, "2024-03-04T16:00:00+00:00")
        assert sorted(Identity.objects.values_list("kind", "value")) == [
            ("member_no", "M1"), ("member_no", "M2"), ("member_no", "M3"), ("phone", "13800138001"), ("phone", "13800138002"),
        ]  # fmt: skip
        assert sorted(c.position for c in people.values()) == [0, 1, 2]
        assert ContactStat.objects.count() == 3 and ContactStat.objects.get(contact=ming).gender == 1
        assert set(ContactGram.objects.filter(contact=ming).values_list("gram", flat=True)) == grams_of(
            "王小明"
        )
        assert search(brand, "小明").get() == ming and search(brand, "13800138002").get().name == "李娜"
        tags = {(t.tag.name, t.contact.name) for t in ContactTag.objects.select_related("tag", "contact")}
        assert tags == {("VIP", "王小明"), ("VIP", "李娜"), ("老客", "李娜")}


def test_the_same_file_twice_does_nothing(brand: Any, bring: Any) -> None:
    bring("members", FILE)
    with in_brand(brand):
        before = Event.objects.count()
    again = bring("members", FILE)
    assert counts(again, "rows", "same", "new", "changed") == (3, 3, 0, 0)
    with in_brand(brand):
        assert Contact.objects.count() == 3 and Event.objects.count() == before


def test_changes_and_further_ids(brand: Any, bring: Any, staff: Any) -> None:
    with in_brand(brand):
        friend = make_contact(brand, staff, name="WeCom 名", profile_at=clock.now(), gender=0)
        Identity.objects.create(contact=friend, kind="phone", value="13800138001")
        tag = make_tag(brand, "VIP")
    file = bring("members", FILE.replace("M3,,", "M3,13800138003,"))
    assert counts(file, "new", "changed", "reachable") == (2, 1, 1)
    with in_brand(brand):
        friend.refresh_from_db()
        # WeCom's own name stands; what it does not know is filled
        assert (friend.name, friend.gender, friend.state, bool(friend.member_at)) == (
            "WeCom 名",
            1,
            "reachable",
            True,
        )
        assert Identity.objects.filter(contact=friend, kind="member_no", value="M1").exists()
        assert ContactTag.objects.filter(contact=friend, tag=tag).exists()
    renamed = bring("members", FILE.replace("李娜", "李娜娜").replace("M3,,张三,,", "M3,,张三,男,"))
    assert counts(renamed, "new", "changed", "same") == (0, 2, 1)
    with in_brand(brand):
        assert search(brand, "娜娜").get().name == "李娜娜"


def test_two_rows_about_one_person(brand: Any, bring: Any, check: Any, put: Any) -> None:
    text = "会员号,姓名\nM1,旧\nM2,乙\nM1,新\n"
    file = put("members", text)
    found = check(file)
    assert (found["new"], found["repeated"]) == (2, 1)
    bring("members", text)
    with in_brand(brand):
        assert Identity.objects.get(value="M1").contact.name == "新"
    again = bring("members", text)
    assert counts(again, "new", "changed") == (0, 0)


def test_a_shared_phone_stays_with_the_first(brand: Any, bring: Any) -> None:
    text = "会员号,手机,姓名\nM1,13800138001,父\nM2,13800138001,子\n"
    for _ in range(2):
        bring("members", text)
        with in_brand(brand):
            assert Contact.objects.count() == 2
            assert Identity.objects.get(kind="phone").contact.name == "父"


def test_a_row_joins_a_waiting_member_with_a_friend(brand: Any, bring: Any, staff: Any) -> None:
    bring("members", "会员号,手机,姓名\nM1,13800138001,王\n")
    with in_brand(brand):
        friend = make_contact(brand, staff)
        Identity.objects.create(contact=friend, kind="unionid", value="u1")
    file = bring("members", "会员号,unionid\nM1,u1\n")
    assert counts(file, "joined") == (1,)
    with in_brand(brand):
        contact = Contact.objects.get()
        assert contact.state == "reachable" and Identity.objects.filter(contact=contact).count() == 4
        assert Event.objects.filter(type=EventType.MERGED).count() == 1


def test_two_real_people_are_not_joined(brand: Any, bring: Any) -> None:
    bring("members", "会员号,unionid\nM1,u1\nM2,u2\n")
    file = bring("members", "会员号,unionid\nM1,u2\n")
    assert file.result["reasons"] == {"other_person": 1}
    with in_brand(brand):
        assert Contact.objects.count() == 2


def test_custom_fields_by_type(brand: Any, bring: Any) -> None:
    with in_brand(brand):
        kinds = {"等级": "choice", "积分": "number", "生日": "date", "备注": "text", "有宝宝": "bool"}
        fields = {
            label: CustomField.objects.create(key=f"k{n}", label=label, type=t, options=["金卡", "银卡"] if t == "choice" else [])
            for n, (label, t) in enumerate(kinds.items())
        }  # fmt: skip
    text = '会员号,等级,积分,生日,备注,有宝宝\nM1,金卡,"1,200",1990-5-6,好,是\nM2,铜卡,x,31/12/1990,,否\n'
    file = bring("members", text)
    assert counts(file, "new", "refused") == (1, 1)
    with in_brand(brand):
        found = {
            row.field.label: getattr(row, row.field.column)
            for row in CustomValue.objects.select_related("field")
        }
        assert {k: str(v) for k, v in found.items()} == {
            "等级": "金卡", "积分": "1200.0", "生日": "1990-05-06", "备注": "好", "有宝宝": "True",
        }  # fmt: skip
    assert file.result["reasons"] == {f"choice:f{fields['等级'].pk}": 1, f"number:f{fields['积分'].pk}": 1}
    again = bring("members", text.replace("好", "很好"))
    assert counts(again, "changed", "new") == (1, 0)
    with in_brand(brand):
        assert CustomValue.objects.get(field=fields["备注"]).value_text == "很好"


def test_only_those_who_are_there(brand: Any, bring: Any) -> None:
    bring("members", "会员号\nM1\n")
    file = bring("members", "会员号,标签\nM1,a\nM2,a\n", options={"make_new": False})
    assert (counts(file, "changed", "new", "refused"), file.result["reasons"]) == (
        (1, 0, 1),
        {"unknown_person": 1},
    )


def test_tags_of_one_name(brand: Any, bring: Any) -> None:
    with in_brand(brand):
        groups = [make_tag(brand, "金").group for _ in range(2)]
    bring("members", f"会员号,标签\nM1,{groups[1].name}/金\nM2,新组/新标签\n")
    with in_brand(brand):
        assert ContactTag.objects.get(contact__identities__value="M1").tag.group == groups[1]
        assert ContactTag.objects.get(contact__identities__value="M2").tag.group.name == "新组"
        assert Tag.objects.count() == 3


def test_other_brands_are_untouched(brand: Any, other_brand: Any, bring: Any) -> None:
    bring("members", FILE)
    bring("members", FILE, of=other_brand)
    with in_brand(other_brand):
        assert Contact.objects.count() == 3
    with in_brand(brand):
        assert Contact.objects.count() == 3


@pytest.mark.parametrize("changed", [0, 3, 40])
@pytest.mark.parametrize("kind", ["members", "orders"])
def test_many_rows_of_which_some_have_changed(
    brand: Any, bring: Any, monkeypatch: Any, kind: str, changed: int
) -> None:
    """Whether a look at some rows says that few or most have changed: each is judged as it is."""
    monkeypatch.setattr(stage, "SAMPLE", 3)
    n = 70

    def file(n_changed: int) -> str:
        if kind == "members":
            lines = [f"M{i},1380013{i:04d},客户{i}{'乙' * (i < n_changed)}" for i in range(n)]
            return "会员号,手机,姓名\n" + "\n".join(lines) + "\n"
        lines = [f"O{i},M{i},2026-01-02 10:00:00,{i + 1 + (i < n_changed)}.00" for i in range(n)]
        return "订单号,会员号,支付时间,订单金额\n" + "\n".join(lines) + "\n"

    assert bring(kind, file(0)).result["new"] == n
    result = bring(kind, file(changed)).result
    assert (result["new"], result["changed"], result["same"]) == (0, changed, n - changed)


def test_who_is_not_the_same_person_is_not_joined(brand: Any, bring: Any, staff: Any) -> None:
    """Whatever a file says; the row is told with its reason."""
    bring("members", "会员号,手机,姓名\nM1,13800138001,王\n")
    with in_brand(brand):
        friend = make_contact(brand, staff)
        Identity.objects.create(contact=friend, kind="unionid", value="u1")
        member = Contact.objects.exclude(pk=friend.pk).get()
        apart.mark(brand, friend.pk, member.pk, by=SYSTEM)
    file = bring("members", "会员号,unionid\nM1,u1\n")
    assert file.result["reasons"] == {"two_people": 1} and counts(file, "joined") == (0,)
    with in_brand(brand):
        assert Contact.objects.count() == 2
