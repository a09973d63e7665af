"""Goals and exits: whoever reaches one leaves at once, by what happens or by a condition."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from campaigns.models import Enrolment
from campaigns.services.journeys.conditions import holds_for
from campaigns.services.journeys.happened import first_after
from campaigns.services.journeys.plans import Plan
from tenants.models import Brand

if TYPE_CHECKING:
    from campaigns.services.journeys.walking import Walker

KINDS = (("goals", Enrolment.End.GOAL), ("exits", Enrolment.End.EXIT))


def rows_of(plan: Plan, what: str) -> Iterator[tuple[str, Any]]:
    """(how it ends, row) of goals and exits that are an `event` or a `condition`."""
    for name, kind in KINDS:
        for row in plan.settings.get(name) or []:
            if row.get(what):
                yield kind, row


def leavers(brand: Brand, plan: Plan, people: Sequence["Walker"], at: datetime) -> list[tuple["Walker", str]]:
    """Those of some people of one version for whom a condition holds now, each once; goals before exits. Of those who
    have just come in, also who has reached one by an event since.

    Raises:
        SCRMError: a condition cannot be read any more.
    """
    found: list[tuple[Walker, str]] = []
    left = list(people)
    for kind, row in rows_of(plan, "event"):
        new = [(w.contact_id, w.joined_at) for w in left if w.position == 0]
        done = first_after(brand, row, new)
        found += [(w, kind) for w in left if w.position == 0 and w.contact_id in done]
        left = [w for w in left if w.position > 0 or w.contact_id not in done]
    for kind, row in rows_of(plan, "condition"):
        there = holds_for(brand, row["condition"], [w.contact_id for w in left], now=at)
        found += [(walker, kind) for walker in left if walker.contact_id in there]
        left = [walker for walker in left if walker.contact_id not in there]
    return found
