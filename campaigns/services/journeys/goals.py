"""Goals and exits: whoever reaches one leaves at once, by what happens or by a condition."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from campaigns.models import Enrolment
from campaigns.services.journeys.conditions import holds_for
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


def leavers(
    brand: Brand, plans: Mapping[int, Plan], people: Sequence["Walker"], at: datetime
) -> list[tuple["Walker", str]]:
    """Those of some people for whom a condition of their version holds now, each once; goals before exits."""
    found: list[tuple[Walker, str]] = []
    for version_id, plan in plans.items():
        left = [walker for walker in people if walker.version_id == version_id]
        for kind, row in rows_of(plan, "condition"):
            there = holds_for(brand, row["condition"], [w.contact_id for w in left], now=at)
            found += [(walker, kind) for walker in left if walker.contact_id in there]
            left = [walker for walker in left if walker.contact_id not in there]
    return found
