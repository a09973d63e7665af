"""Figures of lists: how many numbers came, are given out, asked, added; of a list and of each guide."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db.models import Count, F, Q

from guides.models import Lead, LeadQuerySet
from org.models import Staff

State = Lead.State


@dataclass(frozen=True)
class Numbers:
    n_waiting: int = 0
    n_given: int = 0
    n_asked: int = 0
    n_added: int = 0
    n_not_found: int = 0
    n_refused: int = 0
    n_known: int = 0
    n_closed: int = 0
    n_elsewhere: int = 0  # of the added ones, those who have added a colleague
    n_alone: int = 0  # of the added ones, those whom nobody had been given

    @property
    def n(self) -> int:
        """All that came."""
        return self.n_waiting + self.n_out + self.n_alone + self.n_known + self.n_closed

    @property
    def n_out(self) -> int:
        """Given to guides, whatever became of them."""
        return self.n_given + self.n_tried

    @property
    def n_tried(self) -> int:
        return self.n_asked + self.n_added_of_given + self.n_not_found + self.n_refused

    @property
    def n_added_of_given(self) -> int:
        return self.n_added - self.n_alone

    @property
    def n_open(self) -> int:
        return self.n_waiting + self.n_given + self.n_asked

    @property
    def added_ratio(self) -> float | None:
        """Added ÷ given to guides; who came without is in neither."""
        return self.n_added_of_given / self.n_out if self.n_out else None

    @property
    def asked_ratio(self) -> float | None:
        return self.n_tried / self.n_out if self.n_out else None


def _sums(rows: LeadQuerySet, key: str) -> dict[int, Numbers]:
    elsewhere = Q(state=State.ADDED) & Q(staff__isnull=False) & ~Q(added_staff_id=F("staff_id"))
    alone = Q(state=State.ADDED, n_given=0)  # what was taken back meanwhile had been given
    counts = (
        rows.values_list(key, "state")
        .annotate(all=Count("pk"), elsewhere=Count("pk", filter=elsewhere), alone=Count("pk", filter=alone))
        .order_by()
    )
    found: dict[int, dict[str, int]] = {}
    for value, state, n, n_elsewhere, n_alone in counts:
        mine = found.setdefault(value or 0, {})
        mine[f"n_{state}"] = n
        mine["n_elsewhere"] = mine.get("n_elsewhere", 0) + n_elsewhere
        mine["n_alone"] = mine.get("n_alone", 0) + n_alone
    return {value: Numbers(**sums) for value, sums in found.items()}


def of_lists(list_ids: Collection[int], *, staff: Staff | None) -> dict[int, Numbers]:
    """List → figures of what the person sees; one statement."""
    return (
        _sums(Lead.objects.visible_to(staff).filter(list__in=list(list_ids)), "list_id") if list_ids else {}
    )


def of_guides(list_id: int, *, staff: Staff | None) -> dict[int, Numbers]:
    """Guide → figures of a list; 0: nobody."""
    rows = Lead.objects.visible_to(staff).filter(list=list_id)
    return _sums(rows.exclude(state__in=[State.WAITING, State.KNOWN]), "staff_id")


def total(rows: Iterable[Numbers]) -> Numbers:
    rows = list(rows)
    return Numbers(**{name: sum(getattr(row, name) for row in rows) for name in Numbers.__dataclass_fields__})


def of_guide(staff: Staff) -> dict[str, int]:
    """What a guide has to ask and has asked, of all lists: {given, asked}; one statement."""
    rows = Lead.objects.filter(staff=staff, state__in=[State.GIVEN, State.ASKED])
    found = dict(rows.values_list("state").annotate(Count("pk")).order_by())
    return {"given": found.get(State.GIVEN, 0), "asked": found.get(State.ASKED, 0)}
