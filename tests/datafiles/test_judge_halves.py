"""A large file of which all rows have to be looked at is judged by two connections: what one alone finds."""

from typing import Any

import pytest
from django.db import connection

from contacts.models import Contact, Identity
from datafiles.services import judge, judge_halves, judged, places, stage
from tests.factories import in_brand

pytestmark = pytest.mark.django_db(transaction=True)

N = 40
HEADINGS = "会员号,手机号,姓名,性别,入会时间\n"


def member(n: int, **over: str) -> str:
    told = {"phone": f"139000000{n:02d}", "name": f"客{n}", "at": f"2024-03-{n % 28 + 1:02d} 10:00:00"} | over
    return f"M{n},{told['phone']},{told['name']},男,{told['at']}\n"


def members(first: int = 1, **over: str) -> str:
    return HEADINGS + "".join(member(n, **over) for n in range(first, N + 1))


def orders(amount: str = "9.50") -> str:
    rows = (f"D{n},M{n},2026-03-{n % 28 + 1:02d} 10:00:00,{amount},已完成\n" for n in range(1, N + 1))
    return "订单号,会员号,支付时间,实付金额,订单状态\n" + "".join(rows)


@pytest.fixture
def both_ways(check: Any, put: Any, monkeypatch: Any) -> Any:
    """Judges a file by one connection and by two; gives the counts, which are the same, as are refused rows and the lines of the
    plan, and whether two were at work to the end."""

    def run(kind: str, text: str | bytes) -> tuple[dict[str, Any], bool]:
        found, used, whole = [], [], judged.count
        monkeypatch.setattr(judge, "LANES_FROM", 2)
        monkeypatch.setattr(stage, "HALVES_FROM", 2)

        def count(*args: Any) -> Any:
            used.append(connection.connection.info.backend_pid)
            return whole(*args)

        monkeypatch.setattr(judged, "count", count)
        for least in (N + 100, 2):
            used.clear()
            monkeypatch.setattr(judge_halves, "HALVES_FROM", least)
            file = put(kind, text)
            counts = check(file)
            folder = places.import_folder(file)
            plan = (folder / "plan.tsv").read_bytes().splitlines()
            assert not [path for path in folder.iterdir() if path.name.startswith("half-")]
            found.append((counts, sorted(plan), (folder / "refused.tsv").read_bytes()))
        assert found[0] == found[1]
        return found[0][0], len(set(used)) == 2

    return run


def test_all_are_new(brand: Any, both_ways: Any, bring: Any) -> None:
    counts, by_two = both_ways("members", members())
    assert (counts["new"], counts["planned"], counts["rows"], by_two) == (N, N, N, True)
    bring("members", members())
    counts, by_two = both_ways("orders", orders())
    assert (counts["new"], counts["waiting"], by_two) == (N, 0, True)
    assert both_ways("orders", orders("9.60"))[1]


def test_most_have_changed(brand: Any, both_ways: Any, bring: Any) -> None:
    """Some are new, some as they were; the changed ones lie in the second half."""
    bring("members", members())
    text = members() + "".join(member(n) for n in range(N + 1, N + 10))
    text = text.replace("客3", "新")
    text = text.replace("男", "女", 25)
    counts, by_two = both_ways("members", text)
    assert (counts["new"], counts["rows"], by_two) == (9, N + 9, True)
    assert (counts["changed"], counts["same"]) == (35, 5)


@pytest.mark.parametrize("end", ["", "\n"])
def test_rows_about_the_same_in_both_halves(brand: Any, both_ways: Any, bring: Any, end: str) -> None:
    """The last one counts; refused ones keep their numbers, also those of the second half."""
    text = (
        members() + member(3, name="后") + member(3, name="再后") + member(38, at="昨天") + ",,没有号,,\n\n"
    )
    text = text.rstrip("\n") + end
    counts, by_two = both_ways("members", text)
    assert (counts["new"], counts["repeated"], counts["refused"], by_two) == (N, 2, 2, True)
    file = bring("members", text)
    with in_brand(brand):
        assert Identity.objects.get(value="M3").contact.name == "再后"
        refused = (places.import_folder(file) / "refused.tsv").read_text().splitlines()
    assert [line.split(",")[0] for line in refused] == ["4", "42", "44", "45"]
    assert "repeated:43" in refused[0]


def test_one_number_of_two_in_both_halves(brand: Any, both_ways: Any, bring: Any) -> None:
    """They stand at the beginning, in the order in which one connection writes them."""
    text = members() + member(50, phone="13900000002", at="2024-12-01 10:00:00")
    counts, by_two = both_ways("members", text)
    assert (counts["new"], by_two) == (N + 1, True)
    file = bring("members", text)
    assert file.result["phones_of_others"] == 1
    with in_brand(brand):
        plan = (places.import_folder(file) / "plan-1.tsv").read_text().splitlines()
        assert [line.split("\t")[8] for line in plan[:2]] == ["M50", "M2"]
        assert (
            Identity.objects.get(value="13900000002").contact.identities.get(kind="member_no").value == "M50"
        )


def test_whoever_becomes_one_is_judged_by_one(brand: Any, both_ways: Any, bring: Any) -> None:
    bring("members", "手机号,姓名\n" + "".join(f"139000000{n:02d},客{n}\n" for n in range(30, N + 1)))
    bring("members", "会员号,姓名\n" + "".join(f"M{n},客{n}\n" for n in range(35, N + 1)))
    counts, by_two = both_ways("members", members())
    assert (counts["joined"], by_two) == (6, False)
    bring("members", members())
    with in_brand(brand):
        assert Contact.objects.count() == N


def test_too_many_repeats_are_judged_by_one(brand: Any, both_ways: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(judge_halves, "MAX_TWICE", 1)
    counts, by_two = both_ways("members", members() + member(3) + member(30))
    assert (counts["repeated"], by_two) == (2, False)


@pytest.mark.parametrize(
    "text",
    [members().replace("客5", '"客\n5"'), members().replace("男", "男,贵宾").replace("性别", "性别,标签")],
)
def test_quotes_and_tags_are_judged_by_one(brand: Any, both_ways: Any, text: str) -> None:
    assert not both_ways("members", text)[1]


@pytest.mark.parametrize("side", [0, 1])
def test_what_stops_a_half_stops_the_check(
    brand: Any, put: Any, check: Any, monkeypatch: Any, side: int
) -> None:
    monkeypatch.setattr(judge_halves, "HALVES_FROM", 2)
    whole = judge_halves._half

    def half(cursor: Any, number: int, *args: Any) -> Any:
        return 1 / 0 if number == side else whole(cursor, number, *args)

    monkeypatch.setattr(judge_halves, "_half", half)
    with pytest.raises(ZeroDivisionError):
        check(put("members", members()))
