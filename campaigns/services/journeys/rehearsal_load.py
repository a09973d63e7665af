"""Where a rehearsed SOP would have put guides above the brand's limit of a day, and what the brand's rule would have done.

An estimate: the walk asks nobody's day, so people go on as if everything had gone out; messages of one node on one day are one
send task for a guide, however often people came; what guides had to do then stands as it was, and nothing gives way.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from campaigns.models import TouchPolicy
from campaigns.services.calendar import calendar
from campaigns.services.governance import guide_load, rules, workload
from campaigns.services.ledger import planning
from tenants.models import Brand

MESSAGE, TASK = "message", "task"
GuideDay = tuple[int, int]  # guide, day as a number
MOST_DAYS, MOST_GUIDES = 400, 50


class Wanted(NamedTuple):
    """What a node wants of a guide on a day: a message to n customers, or n tasks."""

    kind: str
    n: int

    @property
    def things(self) -> int:
        return self.n if self.kind == TASK else workload.n_tasks(self.n)

    @property
    def people(self) -> int:
        return 0 if self.kind == TASK else self.n


@dataclass
class Estimate:
    """
    Attributes:
        things, people: of each guide and day above a limit, all that would have been wanted, with what was there before.
        moved, left_out: {(guide, day for which it was wanted, kind): messages or tasks}.
    """

    things: dict[GuideDay, int] = field(default_factory=dict)
    people: dict[GuideDay, int] = field(default_factory=dict)
    moved: Counter[tuple[int, int, str]] = field(default_factory=Counter)
    left_out: Counter[tuple[int, int, str]] = field(default_factory=Counter)


def estimate(
    wanted: Mapping[GuideDay, Sequence[Wanted]],
    before: Mapping[GuideDay, tuple[int, int]],
    tasks: int | None,
    people: int | None,
    days: int | None,
) -> Estimate:
    """
    Args:
        wanted: in the order in which people come to the nodes.
        before: (things to do, customers) that guides had.
        tasks, people: the limits of a day; None: none.
        days: so many days later at most; None: nothing is held back.
    """
    found = Estimate()
    used: dict[GuideDay, list[int]] = {}

    def room(key: GuideDay, one: Wanted) -> int:
        n, m = used.setdefault(key, list(before.get(key, (0, 0))))
        size = 1 if one.kind == TASK else planning.CHUNK
        by_tasks = one.n if tasks is None else max(tasks - n, 0) * size
        by_people = one.n if people is None or one.kind == TASK else max(people - m, 0)
        return min(one.n, by_tasks, by_people)

    for key, rows in sorted(wanted.items()):
        n, m = before.get(key, (0, 0))
        n, m = n + sum(one.things for one in rows), m + sum(one.people for one in rows)
        if (tasks is not None and n > tasks) or (people is not None and m > people):
            found.things[key], found.people[key] = n, m
        if days is None:
            continue
        guide, day = key
        for one in rows:
            for later in range(days + 1):
                fits = one._replace(n=room((guide, day + later), one))
                if not fits.n:
                    continue
                place = used[guide, day + later]
                place[0], place[1] = place[0] + fits.things, place[1] + fits.people
                if later:
                    found.moved[guide, day, one.kind] += fits.n
                one = one._replace(n=one.n - fits.n)
                if not one.n:
                    break
            if one.n:
                found.left_out[guide, day, one.kind] += one.n
    return found


def report(brand: Brand, sop_id: int, wanted: Mapping[GuideDay, Sequence[Wanted]]) -> dict[str, Any] | None:
    """None where the brand has no limit; else

    {"rule", "tasks_a_day", "people_a_day", "n_guides", "n_guide_days", "moved", "left_out", "moved_tasks", "left_out_tasks",
     "days": [{"on", "guides", "most", "most_people", "moved", "left_out", "moved_tasks", "left_out_tasks"}],
     "guides": [{"staff_id", "name", "days", "most", "most_people", "most_on", "moved", …}]}

    of days and guides above a limit; `moved`, `left_out`: messages. With the rule "warn" both stay 0.
    """
    policy = rules.policy_of(brand)
    tasks, people = policy.guide_tasks_a_day, policy.guide_people_a_day
    if tasks is None and people is None:
        return None
    days = {TouchPolicy.Busy.WARN: None, TouchPolicy.Busy.LEAVE_OUT: 0, TouchPolicy.Busy.NEXT_DAY: workload.DAYS}[
        TouchPolicy.Busy(policy.guide_busy)
    ]  # fmt: skip
    before: dict[GuideDay, tuple[int, int]] = {}
    if wanted:
        all_days = [day for _guide, day in wanted]
        first, last = date.fromordinal(min(all_days)), date.fromordinal(max(all_days) + workload.DAYS)
        had = guide_load.by_days(brand, {guide for guide, _day in wanted}, first, last, without_sop=sop_id)
        before = {(guide, on.toordinal()): both for (guide, on), both in had.items()}
    found = estimate(wanted, before, tasks, people, days)
    of_days: dict[int, dict[str, Any]] = defaultdict(_row)
    of_guides: dict[int, dict[str, Any]] = defaultdict(lambda: {**_row(), "days": 0, "most_on": ""})
    for (guide, day), n in found.things.items():
        m = found.people[guide, day]
        of_days[day]["guides"] += 1
        of_guides[guide]["days"] += 1
        if (n, m) > (of_guides[guide]["most"], of_guides[guide]["most_people"]):
            of_guides[guide]["most_on"] = date.fromordinal(day).isoformat()
        for row in (of_days[day], of_guides[guide]):
            row["most"], row["most_people"] = max(row["most"], n), max(row["most_people"], m)
    sums = _row()
    for name in ("moved", "left_out"):
        for (guide, day, kind), n in getattr(found, name).items():
            for row in (sums, of_days[day], of_guides[guide]):
                row[name + ("_tasks" if kind == TASK else "")] += n
    top = sorted(of_guides.items(), key=lambda item: (-item[1]["days"], -item[1]["most"], item[0]))
    called = calendar.names_of([guide for guide, _row in top[:MOST_GUIDES]])
    counts = {name: sums[name] for name in ("moved", "left_out", "moved_tasks", "left_out_tasks")}
    return {
        "rule": policy.guide_busy,
        "tasks_a_day": tasks,
        "people_a_day": people,
        "n_guides": len(of_guides),
        "n_guide_days": len(found.things),
        **counts,
        "days": [{"on": date.fromordinal(day).isoformat(), **of_days[day]} for day in sorted(of_days)[:MOST_DAYS]],
        "guides": [
            {"staff_id": guide, "name": called.get(guide, "—"), **{k: v for k, v in row.items() if k != "guides"}}
            for guide, row in top[:MOST_GUIDES]
        ],
    }  # fmt: skip


def _row() -> dict[str, Any]:
    return {
        "guides": 0, "most": 0, "most_people": 0, "moved": 0, "left_out": 0, "moved_tasks": 0, "left_out_tasks": 0,
    }  # fmt: skip
