"""Figures of broadcasts, from waves and send tasks; the ledger itself is not counted."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Count, Sum

from campaigns.models import Broadcast, SendTask, Touch, Variant, Wave
from campaigns.services.broadcasts import rest_waves
from org.models import Staff

State = SendTask.State
PLANS = {"wanted", "planned", "tasks", "error"}  # keys of Wave.numbers that are no reasons


@dataclass
class Numbers:
    """People of a broadcast, a wave, a variant or a guide.

    Attributes:
        n: planned for: a row of the ledger with a guide.
        n_waiting: not with the customer yet.
        n_opened, n_replied, n_converted: of those delivered; converted_fen: orders counted for them.
        n_tasks, n_confirmed: send tasks, and those that their guide has confirmed.
    """

    n: int = 0
    n_sent: int = 0
    n_failed: int = 0
    n_cancelled: int = 0
    n_waiting: int = 0
    n_opened: int = 0
    n_replied: int = 0
    n_converted: int = 0
    converted_fen: int = 0
    n_tasks: int = 0
    n_confirmed: int = 0


@dataclass
class Report:
    """All figures of one broadcast; `refused` is [(reason, words, people, wave)]."""

    total: Numbers = field(default_factory=Numbers)
    wanted: int = 0
    refused: list[tuple[int, str, int, int]] = field(default_factory=list)
    waves: list[tuple[Wave, Numbers]] = field(default_factory=list)
    variants: list[tuple[Variant, Numbers]] = field(default_factory=list)
    guides: list[tuple[int, str, Numbers]] = field(default_factory=list)  # id, name


def _grouped(broadcast_ids: Sequence[int], by: str) -> dict[int, Numbers]:
    found: dict[int, Numbers] = defaultdict(Numbers)
    rows = SendTask.objects.filter(broadcast__in=broadcast_ids).order_by().values_list(by, "state")
    for key, state, n, sent, failed, opened, replied, converted, tasks, confirmed, fen in rows.annotate(
        a=Sum("n"), b=Sum("n_sent"), c=Sum("n_failed"), d=Sum("n_opened"), e=Sum("n_replied"), f=Sum("n_converted"),
        g=Count("pk"), h=Count("confirmed_at"), i=Sum("converted_fen"),
    ):  # fmt: skip
        row = found[key]
        row.n += n
        row.n_sent += sent
        row.n_failed += failed
        row.n_opened += opened
        row.n_replied += replied
        row.n_converted += converted
        row.converted_fen += int(fen)
        row.n_tasks += tasks
        row.n_confirmed += confirmed
        rest = max(n - sent - failed, 0)
        if state in (State.PLANNED, State.CALLING, State.HANDED):
            row.n_waiting += rest
        elif state == State.CANCELLED:
            row.n_cancelled += rest
    return found


def of_broadcasts(broadcast_ids: Sequence[int]) -> dict[int, Numbers]:
    """{broadcast: its figures}; one statement."""
    return _grouped(broadcast_ids, "broadcast_id") if broadcast_ids else {}


def report(broadcast: Broadcast, *, n_guides: int = 50) -> Report:
    """The figures of one broadcast; a constant number of queries."""
    found = Report()
    waves, variants = _grouped([broadcast.pk], "wave_id"), _grouped([broadcast.pk], "variant_id")
    rows = list(Wave.objects.filter(broadcast=broadcast).order_by("n"))
    # those who waited for their guide's next free day are counted there, unless that day was left out
    moved = {rest_waves.rest_of(wave) for wave in rows if wave.state != Wave.State.SKIPPED}
    for wave in rows:
        found.waves.append((wave, waves.get(wave.pk, Numbers())))
        # whom a wave's condition leaves out may be of another wave: they are counted where they are meant
        if not rest_waves.is_rest(wave):
            found.wanted += int(wave.numbers.get("wanted", 0)) - int(wave.numbers.get("wave_condition", 0))
        for name, n in wave.numbers.items():
            if name not in PLANS and n and not (name == "guide_busy" and wave.pk in moved):
                reason = Touch.Reason[name.upper()]
                found.refused.append((int(reason), str(reason.label), n, wave.pk))
    found.refused.sort(key=lambda row: -row[2])
    found.variants = [
        (variant, variants.get(variant.pk, Numbers()))
        for variant in Variant.objects.filter(broadcast=broadcast).order_by("letter")
    ]
    found.total = of_broadcasts([broadcast.pk]).get(broadcast.pk, Numbers())
    guides = _grouped([broadcast.pk], "staff_id")
    names = dict(Staff.objects.filter(pk__in=guides).values_list("pk", "name"))
    least = sorted(guides.items(), key=lambda row: (row[1].n_confirmed / (row[1].n_tasks or 1), -row[1].n))
    found.guides = [(staff_id, names.get(staff_id, "—"), numbers) for staff_id, numbers in least[:n_guides]]
    return found
