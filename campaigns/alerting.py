"""When a guide is told of what customers do. Pure: what waits for one guide, what was told before, and the settings give
what goes into a message now, what waits on and until when, and what is not told at all and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from itertools import groupby
from typing import NamedTuple

from campaigns.governance import WECOM_ZONE, release_at

HOUR = timedelta(hours=1)
SAME, HOURLY, LATE = "same", "hourly", "late"  # Alert.Reason


@dataclass(frozen=True)
class Settings:
    """What a brand allows.

    Attributes:
        quiet: local times between which nobody is told; what happens in them is told at their end.
        window: time between two messages to a guide about one customer.
        per_hour: messages to one guide in any hour.
        keep: what is older is not told any more.
    """

    zone: str = WECOM_ZONE
    quiet: tuple[time, time] | None = None
    window: timedelta = timedelta(minutes=30)
    per_hour: int = 6
    keep: timedelta = timedelta(hours=12)


class Item(NamedTuple):
    """An alert that waits. `what` makes two of them the same: (type, object)."""

    id: int
    at: datetime
    contact_id: int
    what: tuple[int, int | None]


class Told(NamedTuple):
    """The last message to the guide about one customer: when, and what it was about."""

    at: datetime
    what: frozenset[tuple[int, int | None]]


@dataclass
class Decision:
    """What becomes of the items of one guide at a moment; each is in one of the three."""

    send: list[Item] = field(default_factory=list)
    hold: dict[int, datetime] = field(default_factory=dict)
    drop: dict[int, str] = field(default_factory=dict)


def decide(
    now: datetime,
    waiting: Iterable[Item],
    told: Mapping[int, Told],
    messages: Sequence[datetime],
    settings: Settings,
) -> Decision:
    """For one guide.

    Args:
        told: {contact: Told}.
        messages: when messages went to the guide, at least those of the last hour.
    """
    found = Decision()
    recent = sorted(at for at in messages if at > now - HOUR)
    is_full = len(recent) >= settings.per_hour
    free_at = recent[-settings.per_hour] + HOUR if is_full else now
    free_at = max(free_at, release_at(now, settings.quiet, settings.zone))
    for item in waiting:
        before = told.get(item.contact_id)
        if item.at < now - settings.keep:
            found.drop[item.id] = HOURLY if is_full else LATE
        elif before and now < before.at + settings.window and item.what in before.what:
            found.drop[item.id] = SAME  # nothing new: the guide knows
        elif before and before.at + settings.window > free_at:
            found.hold[item.id] = before.at + settings.window
        elif free_at > now:
            found.hold[item.id] = free_at
        else:
            found.send.append(item)
    return found


@dataclass
class Outcome:
    """What a day of alerts would have come to."""

    n_messages: int = 0
    n_sent: int = 0
    guides: set[int] = field(default_factory=set)
    dropped: dict[str, int] = field(default_factory=dict)


def rehearse(rows: Iterable[tuple[int, Item]], settings: Settings) -> Outcome:
    """(guide, item) of some time played through, each told as soon as it may be."""
    outcome = Outcome()
    for staff_id, group in groupby(
        sorted(rows, key=lambda row: (row[0], row[1].at, row[1].id)), key=lambda row: row[0]
    ):
        due = {item.id: (item.at, item) for _staff, item in group}
        told: dict[int, Told] = {}
        messages: list[datetime] = []
        while due:
            now = min(at for at, _item in due.values())
            ready = [item for at, item in due.values() if at <= now]
            found = decide(now, ready, told, messages, settings)
            for item_id, reason in found.drop.items():
                del due[item_id]
                outcome.dropped[reason] = outcome.dropped.get(reason, 0) + 1
            for item_id, until in found.hold.items():
                due[item_id] = (until, due[item_id][1])
            if found.send:
                messages.append(now)
                outcome.n_messages += 1
                outcome.n_sent += len(found.send)
                outcome.guides.add(staff_id)
                for item in found.send:
                    del due[item.id]
                told |= told_of(now, found.send)
    return outcome


def told_of(at: datetime, items: Iterable[Item]) -> dict[int, Told]:
    """{contact: Told} of a message."""
    what: dict[int, set[tuple[int, int | None]]] = {}
    for item in items:
        what.setdefault(item.contact_id, set()).add(item.what)
    return {contact_id: Told(at, frozenset(found)) for contact_id, found in what.items()}
