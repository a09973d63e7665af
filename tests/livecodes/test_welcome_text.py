"""Which welcome: tables."""

from dataclasses import dataclass, field
from datetime import datetime, time
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest

from livecodes.services.welcome import choose

ZONE = ZoneInfo("Asia/Shanghai")
MONDAY_23 = datetime(2026, 11, 23, 23, 0, tzinfo=ZONE)
MONDAY_10 = datetime(2026, 11, 23, 10, 0, tzinfo=ZONE)


@dataclass(frozen=True)
class W:
    pk: int
    code_id: int | None = None
    staff_id: int | None = None
    department_wecom_id: int | None = None
    audience: str = "all"
    gender: int | None = None
    weekdays: list[int] = field(default_factory=list, hash=False)
    start: time | None = None
    end: time | None = None


DEFAULT = W(1)
DEPARTMENT = W(2, department_wecom_id=30)
GUIDE = W(3, staff_id=7)
CODE = W(4, code_id=5)
CODE_DEPARTMENT = W(5, code_id=5, department_wecom_id=30)
CODE_GUIDE = W(6, code_id=5, staff_id=7)
LADDER = [DEFAULT, DEPARTMENT, GUIDE, CODE, CODE_DEPARTMENT, CODE_GUIDE]


def pick(welcomes: list[W], **over) -> int | None:
    given = {
        "code_id": 5,
        "staff_id": 7,
        "department_ids": [1, 30],
        "local": MONDAY_10,
        "is_returning": False,
    }
    found = choose(welcomes, **{**given, **over})
    return found.pk if found else None


@pytest.mark.parametrize("n", range(1, 7))
def test_the_more_specific_place_wins(n: int) -> None:
    for order in permutations(LADDER[:n]):
        assert pick(list(order)) == n


@pytest.mark.parametrize(
    "over, expected",
    [
        ({"staff_id": 8}, 5),
        ({"staff_id": 8, "department_ids": []}, 4),
        ({"code_id": 6}, 3),
        ({"code_id": None}, 3),
        ({"code_id": None, "staff_id": 8}, 2),
        ({"code_id": None, "staff_id": 8, "department_ids": [31]}, 1),
    ],
)
def test_what_is_not_meant_for_them_is_left_out(over: dict, expected: int) -> None:
    assert pick(LADDER, **over) == expected


@pytest.mark.parametrize(
    "welcomes, over, expected",
    [
        ([], {}, None),
        # hours over midnight, in the brand's zone
        ([W(1, code_id=5), W(2, code_id=5, start=time(22), end=time(6))], {"local": MONDAY_23}, 2),
        ([W(1, code_id=5), W(2, code_id=5, start=time(22), end=time(6))], {"local": MONDAY_10}, 1),
        # Monday's night lasts until Tuesday morning
        (
            [W(1), W(2, weekdays=[1], start=time(22), end=time(6))],
            {"local": MONDAY_10.replace(day=24, hour=5)},
            2,
        ),
        ([W(1), W(2, weekdays=[1], start=time(22), end=time(6))], {"local": MONDAY_10.replace(hour=5)}, 1),
        ([W(1), W(2, weekdays=[6, 7])], {}, 1),
        ([W(1), W(2, weekdays=[6, 7])], {"local": MONDAY_10.replace(day=28)}, 2),
        # a code's welcome outside its hours leaves room for the guide's
        ([W(1, staff_id=7), W(2, code_id=5, start=time(9), end=time(10))], {}, 1),
        # audience
        ([W(1), W(2, audience="new"), W(3, audience="returning")], {}, 2),
        ([W(1), W(2, audience="new"), W(3, audience="returning")], {"is_returning": True}, 3),
        ([W(2, audience="new")], {"is_returning": True}, None),
        # gender: unknown fits only what does not ask
        ([W(1), W(2, gender=2)], {"gender": 2}, 2),
        ([W(1), W(2, gender=2)], {"gender": 0}, 1),
        # more conditions win, then hours before weekdays, then the older
        ([W(1, start=time(9), end=time(18)), W(2, gender=2, weekdays=[1])], {"gender": 2}, 2),
        ([W(1, weekdays=[1]), W(2, start=time(9), end=time(18))], {}, 2),
        ([W(2), W(1)], {}, 1),
    ],
)
def test_conditions(welcomes: list[W], over: dict, expected: int | None) -> None:
    assert pick(welcomes, **over) == expected
