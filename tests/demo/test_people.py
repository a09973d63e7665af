"""The demo's people come from the purchase history as it is."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from demo.management.commands.seed_demo import PEOPLE
from demo.people import people, purchases
from demo.story import STORIES

FILE = Path("demo_data/cdnow_master.txt")
NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)


def test_every_purchase_is_read() -> None:
    rows = list(purchases(FILE))
    assert (len(rows), len({row[0] for row in rows})) == (69_659, 23_570)  # Fader and Hardie's note
    assert sum(row[3] == 0 for row in rows) == 80  # free ones are part of the file


def test_the_same_seed_gives_the_same_people() -> None:
    args = {"n": 300, "skip": 10, "now": NOW, "seed": 5, "n_channels": 8, "n_guides": 12, "n_tags": 12}
    first = people(FILE, **args)
    assert first == people(FILE, **args) and first != people(FILE, **{**args, "seed": 6})
    assert [p.member_no for p in first] == [f"C{i:05d}" for i in range(11, 311)]
    assert len({p.external_userid for p in first}) == 300
    assert all(p.joined_at < NOW for p in first)
    assert all(p.lost_after is None or p.joined_at + p.lost_after < NOW for p in first)
    assert Counter(p.guide for p in first).keys() <= set(range(12))


def test_who_logs_in_has_a_member_of_wecom() -> None:
    """So that test messages and notices arrive somewhere; the operator's second brand knows them without one."""
    stories = {story.slug: story for story in STORIES}
    for name, _role, slugs in PEOPLE.values():
        story = stories[slugs[0]]
        assert (story.guides + story.office).count(name) == 1
