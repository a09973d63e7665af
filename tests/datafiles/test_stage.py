"""A large file is compared by two connections, each with half of its rows: it finds what one alone finds."""

from typing import Any

import pytest
from django.db import connection

from contacts.models import Contact
from datafiles.services import places, stage
from tests.factories import in_brand

pytestmark = pytest.mark.django_db(transaction=True)

N = 40
ORDERS = "订单号,会员号,支付时间,实付金额,订单状态\n"


def members(**names: str) -> str:
    """Rows M1 … M40; of some the name: M7="新"."""
    rows = (
        f"M{n},139000000{n:02d},{names.get(f'M{n}', f'客{n}')},男,2024-03-{n % 28 + 1:02d} 10:00:00"
        for n in range(1, N + 1)
    )
    return "会员号,手机号,姓名,性别,入会时间\n" + "\n".join(rows) + "\n"


def orders(**amounts: str) -> str:
    rows = (
        f"D{n},M{n},2026-03-{n % 28 + 1:02d} 10:00:00,{amounts.get(f'D{n}', f'{n}.50')},已完成"
        for n in range(1, N + 1)
    )
    return ORDERS + "\n".join(rows) + "\n"


@pytest.fixture
def both_ways(check: Any, put: Any, monkeypatch: Any) -> Any:
    """Checks a file by one connection and by two; gives the counts, which are the same, as are plan and refused rows."""

    def run(kind: str, text: str) -> tuple[dict[str, Any], list[int]]:
        found, seen = [], list[int]()
        copied = stage.copy

        def copy(*args: Any) -> int:
            seen.append(connection.connection.info.backend_pid)
            return copied(*args)

        for least in (N + 100, 2):
            monkeypatch.setattr(stage, "HALVES_FROM", least)
            monkeypatch.setattr(stage, "copy", copy)
            file = put(kind, text)
            counts = check(file)
            folder = places.import_folder(file)
            found.append((counts, (folder / "plan.tsv").read_bytes(), (folder / "refused.tsv").read_bytes()))
        one, two = found
        assert one == two
        return one[0], [seen.count(pid) for pid in dict.fromkeys(seen)]

    return run


@pytest.mark.parametrize("end", ["\n", "", "\r\n"])
def test_nothing_has_changed(brand: Any, bring: Any, both_ways: Any, end: str) -> None:
    text = members()
    bring("members", text)
    text = text.replace("\n", "\r\n") if end == "\r\n" else text.rstrip("\n") + end
    counts, copies = both_ways("members", text)
    assert (counts["rows"], counts["same"], counts["planned"]) == (N, N, 0)
    assert copies == [2, 1]  # by this connection the whole and a half, the other half by another one


@pytest.mark.parametrize(
    "changed",
    [
        {"M3": "新"},
        {"M39": "新"},
        {"M3": "新", "M38": "新", "M40": ""},
        {f"M{n}": "新" for n in range(21, 41)},
    ],
)
def test_some_members_have_changed(brand: Any, bring: Any, both_ways: Any, changed: dict[str, str]) -> None:
    bring("members", members())
    text = members(**changed)
    counts, _copies = both_ways("members", text)
    n = sum(bool(name) for name in changed.values())
    assert (counts["rows"], counts.get("changed", 0), counts["same"]) == (N, n, N - n)
    assert bring("members", text).result["changed"] == n
    with in_brand(brand):
        assert Contact.objects.filter(name="新").count() == n
        assert Contact.objects.count() == N


def test_rows_about_one_person_lie_in_both_halves(brand: Any, bring: Any, both_ways: Any) -> None:
    """The last one counts, and the first one is refused though it says what is known."""
    bring("members", members())
    text = members() + "M2,13900000002,另名,男,2024-03-03 10:00:00\n"
    counts, _copies = both_ways("members", text)
    assert (counts["changed"], counts["repeated"], counts["same"]) == (1, 1, N - 1)


def test_bad_rows_keep_their_numbers(brand: Any, bring: Any, both_ways: Any) -> None:
    bring("members", members())
    text = "会员表,,,,\n" + members(M38="名" * 200)  # a title above the headings
    counts, _copies = both_ways("members", text)
    assert (counts["refused"], counts["same"]) == (1, N - 1)
    file = bring("members", text)
    with in_brand(brand):
        refused = (places.import_folder(file) / "refused.tsv").read_text()
    assert refused.startswith("40,text:name,M38,")


def test_a_quoted_file_is_compared_as_a_whole(brand: Any, bring: Any, both_ways: Any) -> None:
    bring("members", members())
    counts, copies = both_ways("members", members().replace("客5", '"客\n5"').replace("客39", '"客39"'))
    assert (counts["changed"], counts["same"], copies) == (1, N - 1, [2])


@pytest.mark.parametrize("changed", [{}, {"D2": "99.00"}, {"D2": "99.00", "D40": "98.00"}])
def test_orders(brand: Any, bring: Any, both_ways: Any, changed: dict[str, str]) -> None:
    bring("members", members())
    bring("orders", orders())
    counts, _copies = both_ways("orders", orders(**changed))
    assert (counts["rows"], counts.get("changed", 0), counts["same"]) == (N, len(changed), N - len(changed))


def test_what_stops_the_other_half_stops_the_check(
    brand: Any, bring: Any, put: Any, check: Any, monkeypatch: Any
) -> None:
    """It is the job's error, and nothing stays open."""
    bring("members", members())
    monkeypatch.setattr(stage, "HALVES_FROM", 2)
    monkeypatch.setattr(stage, "_other_half", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        check(put("members", members(M3="新")))
