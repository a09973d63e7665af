"""Search by parts of names and remarks, and by outside ids."""

from typing import Any

import pytest
from django.db import connection

from contacts.models import Contact, ContactGram, Follow, Identity
from contacts.services.search import grams_of, refresh_grams, search
from tests.factories import in_brand, make_contact


def test_grams() -> None:
    assert grams_of("王小明") == {"王", "小", "明", "王小", "小明"}
    assert grams_of("A b", "b") == {"a", "b", "a ", " b"}
    assert grams_of("", "  ", "\x00") == set()
    assert grams_of("哈哈哈") == {"哈", "哈哈"}
    assert grams_of("👨‍👩‍👧小") >= {"小"}


@pytest.fixture
def people(brand: Any, staff: Any) -> dict[str, Contact]:
    names = ["王小明", "小明同学", "明小王", "李雷", "Vip 99号", "王小", "小明%", "哈哈"]
    with in_brand(brand):
        people = {name: make_contact(brand, staff, name=name) for name in names}
        Follow.objects.filter(contact=people["李雷"]).update(remark="老客户王小明")
        refresh_grams(brand, [c.pk for c in people.values()])
    return people


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("小明", {"王小明", "小明同学", "小明%", "李雷"}),
        ("王小明", {"王小明", "李雷"}),
        ("小王", {"明小王"}),
        ("明", {"王小明", "小明同学", "明小王", "小明%", "李雷"}),
        ("vip", {"Vip 99号"}),
        ("VIP  99", {"Vip 99号"}),
        ("小明%", {"小明%"}),
        ("%", {"小明%"}),
        ("哈哈哈", set()),
        ("李雷客户", set()),
        ("雷老", set()),
        ("没有", set()),
    ],
)
def test_search(brand: Any, people: Any, text: str, expected: set[str]) -> None:
    with in_brand(brand):
        assert {c.name for c in search(brand, text)} == expected


def test_nothing_asked(brand: Any, people: Any) -> None:
    with in_brand(brand):
        assert search(brand, "  ").count() == len(people)


def test_by_outside_ids(brand: Any, people: Any) -> None:
    with in_brand(brand):
        contact = people["哈哈"]
        Identity.objects.create(contact=contact, kind="phone", value="13800138000")
        Identity.objects.create(contact=contact, kind="member_no", value="VIP-0007")
        external = Identity.objects.get(contact=contact, kind="external_userid").value
        for text in ("13800138000", " VIP-0007 ", external):
            assert search(brand, text).get() == contact


def test_grams_follow_changes_of_names(brand: Any, people: Any) -> None:
    with in_brand(brand):
        contact = people["哈哈"]
        Contact.objects.filter(pk=contact.pk).update(name="韩梅梅")
        refresh_grams(brand, [contact.pk])
        assert search(brand, "梅梅").get() == contact
        assert not search(brand, "哈哈").exists()
        assert set(ContactGram.objects.filter(contact=contact).values_list("gram", flat=True)) == grams_of(
            "韩梅梅"
        )


def test_other_brands_names_are_not_found(brand: Any, other_brand: Any, people: Any) -> None:
    with in_brand(other_brand):
        for text in ("小明", "明", people["哈哈"].name):
            assert not search(other_brand, text).exists()


def test_the_index_serves_the_search(brand: Any, people: Any) -> None:
    """As the application's role, under row-level security: the gram is an index condition, not a filter."""
    with in_brand(brand), connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("app_rw",)
        cursor.execute("SET LOCAL enable_seqscan = off")
        for text, grams in (("明", ["明"]), ("王小明", ["王小", "小明"])):
            plan = search(brand, text).order_by("-added_at", "-pk").explain()
            conditions = [line for line in plan.splitlines() if "Index Cond" in line]
            for gram in grams:
                assert any(f"'{gram}'" in line and "brand_id" in line for line in conditions), plan
