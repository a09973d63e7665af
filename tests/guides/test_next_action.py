"""The rules of the next best action: order and limits."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from content.models import Content
from guides.next_action import WORDS, Facts, next_action

NOW = datetime(2026, 3, 10, 4, tzinfo=UTC)
DAY = timedelta(days=1)


def kind(**over: Any) -> str:
    return next_action(Facts(now=NOW, today=date(2026, 3, 10), **over)).kind


@pytest.mark.parametrize(
    "facts, wanted",
    [
        ({}, "none"),
        ({"is_lost": True, "task": "t", "task_due_at": NOW - DAY}, "lost"),
        ({"task": "t", "task_due_at": NOW - DAY, "do_not_contact": True}, "task"),
        ({"do_not_contact": True, "cart_at": NOW - DAY}, "silent_please"),
        ({"cart_at": NOW - 7 * DAY}, "cart"),
        ({"cart_at": NOW - 9 * DAY}, "none"),
        ({"cart_at": NOW - 2 * DAY, "bought_at": NOW - DAY}, "none"),
        ({"cart_at": NOW - DAY, "bought_at": NOW - 2 * DAY, "next_order_on": date(2026, 3, 12)}, "cart"),
        ({"next_order_on": date(2026, 3, 17)}, "repurchase"),
        ({"next_order_on": date(2026, 3, 18)}, "none"),
        ({"next_order_on": date(2026, 1, 24)}, "repurchase"),
        ({"next_order_on": date(2026, 1, 23)}, "none"),
        ({"task": "t", "task_due_at": NOW + DAY, "next_order_on": date(2026, 3, 12)}, "repurchase"),
        ({"task": "t", "task_due_at": NOW + DAY, "added_at": NOW}, "task"),
        ({"added_at": NOW - 2 * DAY}, "hello"),
        ({"added_at": NOW - 2 * DAY, "spoken_at": NOW - DAY}, "none"),
        ({"added_at": NOW - 99 * DAY}, "again"),
        ({"added_at": NOW - 99 * DAY, "spoken_at": NOW - 29 * DAY}, "none"),
        ({"added_at": NOW - 99 * DAY, "spoken_at": NOW - 30 * DAY}, "again"),
    ],
)
def test_rules(facts: dict[str, Any], wanted: str) -> None:
    assert kind(**facts) == wanted


def test_words_of_the_library_are_for_steps_that_are_done_by_writing() -> None:
    assert set(WORDS) == set(Content.Occasion.values)
    found = {kind(**facts) for facts in ({"cart_at": NOW}, {"added_at": NOW}, {"added_at": NOW - 99 * DAY})}
    assert found == {"cart", "hello", "again"} < set(WORDS)


def test_every_action_has_a_reason() -> None:
    found = next_action(Facts(now=NOW, today=date(2026, 3, 10), cart_at=NOW - 2 * DAY, cart_product="茶"))
    assert "茶" in found.title and "2" in found.reason
