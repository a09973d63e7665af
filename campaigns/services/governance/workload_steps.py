"""Messages of SOPs and how much their guides have to confirm: what is too much for a day is left out, or gets a later moment on
the guide's next free day. See workload.py."""

from collections import defaultdict
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from campaigns.models import SendTask, Touch
from campaigns.services.governance import gate, outranking, workload, workload_room
from campaigns.services.governance.workload import Day, Key, Limits
from campaigns.services.ledger import planning
from campaigns.services.sending.senders import Sender
from tenants.models import Brand

BUSY = Touch.Reason.GUIDE_BUSY


class Wanted(NamedTuple):
    """A message of one step for some people."""

    step_id: int
    priority: int
    contact_ids: Sequence[int]


@dataclass
class Placed:
    """What became of those who do not get their message at the moment they were planned for.

    Attributes:
        later: {contact: moment} of those who get it on another day.
        refused: those who do not get it.
    """

    later: dict[int, datetime] = field(default_factory=dict)
    refused: dict[int, Touch.Reason] = field(default_factory=dict)


@dataclass
class _Rest:
    """Who has no moment yet: contacts of each guide, of one step."""

    step_id: int
    priority: int
    people: dict[int, list[int]]


def place(
    brand: Brand,
    wanted: Sequence[Wanted],
    chosen: MutableMapping[int, Sender],
    *,
    at: datetime,
    now: datetime,
    first: Collection[int] = (),
) -> Placed:
    """Find the day of each message, those of higher priority first; who gets none is taken out of `chosen`. In the caller's
    transaction, which holds the gate and writes the messages.

    Args:
        chosen: {contact: its sender} of those whom the gate lets through at `at`.
        first: for whom planned messages have given way: they are not taken back in vain.
    """
    found, limits = Placed(), workload.limits_of(brand)
    if limits is None or not chosen:
        return found
    rest = _of_guides(wanted, chosen)
    for one in rest if first else ():
        one.people = {pk: sorted(ids, key=lambda i: i not in first) for pk, ids in one.people.items()}
    for days in range(workload.DAYS + 1 if limits.is_moved else 1):
        moment = workload.days_later(brand, at, days, on_the_hour=True) if days else at
        fitting, refused = _fill(
            brand, [one for one in rest if one.people], moment, limits, now, is_asked=not days
        )
        found.refused |= refused
        if days:
            found.later |= dict.fromkeys(fitting, moment)
        if not any(one.people for one in rest):
            break
    for one in rest:
        for contact_ids in one.people.values():
            found.refused |= dict.fromkeys(contact_ids, BUSY)
    for contact_id in found.refused:
        chosen.pop(contact_id, None)
    return found


def _of_guides(wanted: Sequence[Wanted], chosen: Mapping[int, Sender]) -> list[_Rest]:
    """Each step once, those of higher priority first."""
    people: dict[tuple[int, int], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for one in wanted:
        of_guides = people[-one.priority, one.step_id]
        for contact_id in one.contact_ids:
            if sender := chosen.get(contact_id):
                of_guides[sender.staff_id].append(contact_id)
    return [_Rest(step_id, -below, found) for (below, step_id), found in sorted(people.items())]


def _fill(
    brand: Brand, rest: Sequence[_Rest], moment: datetime, limits: Limits, now: datetime, *, is_asked: bool
) -> tuple[list[int], dict[int, Touch.Reason]]:
    """Contacts for whom there is room on the day of `moment`, and whom of them the gate refuses then; both leave `rest`, and
    lower campaigns give way to the former.

    Args:
        is_asked: the gate has let them through at `moment`.
    """
    fitting: list[int] = []
    refused: dict[int, Touch.Reason] = {}
    used: dict[int, Day] = defaultdict(Day)  # what this question itself has put on the day
    room = _with_room(moment, [one.step_id for one in rest])
    for one in rest:
        days = _days(brand, one, moment, used)
        shares: dict[Key, int] = {(staff_id, one.step_id): len(ids) for staff_id, ids in one.people.items()}
        kept = workload.fit(shares, days, limits, room)
        chosen = {key: one.people[key[0]][:n] for key, n in kept.items()}
        for key, n in kept.items():
            one.people[key[0]] = one.people[key[0]][n:]
        if not is_asked and chosen:
            ids = [contact_id for some in chosen.values() for contact_id in some]
            no = gate.ask(brand, ids, moment)
            no = outranking.make_room(brand, no, dict.fromkeys(no, one.priority), at=moment, now=now)
            refused |= no
            chosen = {key: left for key, some in chosen.items() if (left := [i for i in some if i not in no])}
            days = _days(brand, one, moment, used)  # room was made by single messages
        kept = {key: len(some) for key, some in chosen.items()}
        workload_room.take_back(brand, workload.gives_way(kept, days, limits, room), now)
        for key, some in chosen.items():
            fitting += some
            used[key[0]].tasks += workload.n_tasks(len(some) - room.get(key, 0))
            used[key[0]].people += len(some)
        one.people = {staff_id: ids for staff_id, ids in one.people.items() if ids}
    return fitting, refused


def _days(brand: Brand, one: _Rest, moment: datetime, used: Mapping[int, Day]) -> dict[int, Day]:
    """What the guides of a step have on the day of `moment`, with what this question itself has put on it."""
    days = workload.days_of(brand, one.people, moment, one.priority)
    for staff_id, day in days.items():
        if more := used.get(staff_id):
            day.tasks += more.tasks
            day.people += more.people
    return days


def _with_room(moment: datetime, step_ids: Sequence[int]) -> dict[Key, int]:
    """{(guide, step): people for whom a task of that moment has room still}; planning.py fills it up."""
    rows = SendTask.objects.filter(
        next_try_at=moment, at=moment, state=SendTask.State.PLANNED, step__in=step_ids, n__lt=planning.CHUNK
    )
    return {
        (staff_id, step_id): planning.CHUNK - n
        for staff_id, step_id, n in rows.values_list("staff", "step", "n")
    }
