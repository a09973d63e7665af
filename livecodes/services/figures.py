"""Figures of channel codes, counted from relations: who came through a code, and who is still there.

An add is a relation between a customer and a guide that began through the code; somebody who left and came
back counts once, on the day of the return. Days are the brand's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.core.cache import cache
from django.db import connection
from django.db.models import Count, Max, Q
from django.db.models.functions import TruncDate

from contacts.models import Follow
from livecodes.models import ChannelCode
from livecodes.services.rotation import day_start
from scrm import clock
from tenants.models import Brand

# whom a colleague has got by hand-over is not lost
LOST = Q(ended_at__isnull=False) & ~Q(end_kind=Follow.End.TRANSFERRED)
BIG, BIG_KEPT_S = 20_000, 300  # totals of codes with so many adds are counted every five minutes only


@dataclass(frozen=True)
class CodeFigures:
    """`still_ratio` and `fen_per_add` are None without adds (and without a cost)."""

    n_today: int = 0
    n_week: int = 0  # today and the six days before
    n_all: int = 0
    n_lost: int = 0
    cost_fen: int = 0

    @property
    def still_ratio(self) -> float | None:
        return (self.n_all - self.n_lost) / self.n_all if self.n_all else None

    @property
    def fen_per_add(self) -> int | None:
        return round(self.cost_fen / self.n_all) if self.n_all and self.cost_fen else None


def of_codes(brand: Brand, codes: Sequence[ChannelCode]) -> dict[int, CodeFigures]:
    """Figures of some codes by id, in the caller's transaction; two statements."""
    ids = [code.pk for code in codes]
    today = day_start(brand.timezone, clock.now())
    since = today - timedelta(days=6)
    recent = {
        code_id: (week, n_today)
        for code_id, week, n_today in Follow.objects.filter(channel_code_id__in=ids, added_at__gte=since)
        .values_list("channel_code_id")
        .annotate(week=Count("pk"), today=Count("pk", filter=Q(added_at__gte=today)))
        .order_by()
    }
    totals = _totals(brand, ids)
    return {
        code.pk: CodeFigures(
            n_week=recent.get(code.pk, (0, 0))[0],
            n_today=recent.get(code.pk, (0, 0))[1],
            n_all=totals[code.pk][0],
            n_lost=totals[code.pk][1],
            cost_fen=code.cost_fen,
        )
        for code in codes
    }


def _totals(brand: Brand, ids: Iterable[int]) -> dict[int, tuple[int, int]]:
    """(adds, lost) by code; big ones from the cache."""
    keys = {f"code-totals:{brand.pk}:{pk}": pk for pk in ids}
    found: dict[int, tuple[int, int]] = {keys[key]: value for key, value in cache.get_many(keys).items()}
    missing = [pk for pk in keys.values() if pk not in found]
    if not missing:
        return found
    counted = {
        pk: (n, lost)
        for pk, n, lost in Follow.objects.filter(channel_code_id__in=missing)
        .values_list("channel_code_id")
        .annotate(n=Count("pk"), lost=Count("pk", filter=LOST))
        .order_by()
    }
    big = {f"code-totals:{brand.pk}:{pk}": value for pk, value in counted.items() if value[0] >= BIG}
    if big:
        cache.set_many(big, BIG_KEPT_S)
    return found | {pk: counted.get(pk, (0, 0)) for pk in missing}


@dataclass(frozen=True)
class Kept:
    """Of the customers who came at least `days` days ago: how many there were, and how many stayed that
    long."""

    days: int
    n: int
    n_stayed: int

    @property
    def ratio(self) -> float | None:
        return self.n_stayed / self.n if self.n else None


def retention(brand: Brand, code: ChannelCode, days: Sequence[int] = (1, 7, 30)) -> list[Kept]:
    """Still there after 1, 7 and 30 days."""
    now = clock.now()
    parts = (
        "count(*) FILTER (WHERE added_at <= %s), count(*) FILTER (WHERE added_at <= %s"
        " AND (ended_at IS NULL OR end_kind = 'transfer' OR ended_at >= added_at + %s * interval '1 day'))"
    )
    params: list[Any] = []
    for n in days:
        before = now - timedelta(days=n)
        params += [before, before, n]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join([parts] * len(days))} FROM contacts_follow"  # noqa: S608
            " WHERE brand_id = %s AND channel_code_id = %s",
            [*params, brand.pk, code.pk],
        )
        row = cursor.fetchone()
    return [Kept(n, row[2 * i], row[2 * i + 1]) for i, n in enumerate(days)]


def by_day(brand: Brand, code: ChannelCode, n_days: int) -> list[tuple[date, int, int]]:
    """(day, adds, lost) of the last days, today last; days without any are there too."""
    zone = ZoneInfo(brand.timezone)
    first = day_start(brand.timezone, clock.now()) - timedelta(days=n_days - 1)
    added = _per_day(code, "added_at", first, zone)
    lost = _per_day(code, "ended_at", first, zone, LOST)
    days = [first.date() + timedelta(days=n) for n in range(n_days)]
    return [(day, added.get(day, 0), lost.get(day, 0)) for day in days]


def _per_day(
    code: ChannelCode, name: str, first: datetime, zone: ZoneInfo, which: Q | None = None
) -> dict[date, int]:
    rows = (
        Follow.objects.filter(which or Q(), channel_code_id=code.pk, **{f"{name}__gte": first})
        .annotate(on=TruncDate(name, tzinfo=zone))
        .values_list("on")
        .annotate(n=Count("pk"))
        .order_by()
    )
    return dict(rows)


@dataclass(frozen=True)
class GuideFigures:
    n_week: int = 0
    n_all: int = 0
    n_lost: int = 0
    last_at: datetime | None = None

    @property
    def still_ratio(self) -> float | None:
        return (self.n_all - self.n_lost) / self.n_all if self.n_all else None


def by_guide(brand: Brand, code: ChannelCode) -> Mapping[int, GuideFigures]:
    """Figures of each guide who ever had a customer through this code, by staff id."""
    since = day_start(brand.timezone, clock.now()) - timedelta(days=6)
    rows = (
        Follow.objects.filter(channel_code_id=code.pk)
        .values("staff_id")
        .annotate(
            n=Count("pk"),
            lost=Count("pk", filter=LOST),
            week=Count("pk", filter=Q(added_at__gte=since)),
            last=Max("added_at"),
        )
        .order_by()
    )
    return {r["staff_id"]: GuideFigures(r["week"], r["n"], r["lost"], r["last"]) for r in rows}
