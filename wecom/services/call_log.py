"""The log of calls to WeCom: from Redis into the database in sets, and what the set-up doctor, the page of
calls and a support person read out of it.

Single calls stay 14 days, figures per hour 13 months. Lines come at least once: a worker that dies between
its commit and the cut of the list writes them again.
"""

import json
import logging
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import uuid4

import redis
from django.db import connection, transaction
from django.db.models import Max, QuerySet
from django.utils.translation import gettext as _

from scrm import clock
from scrm.redis import redis_client
from tenants.models import Brand
from wecom.call_log import Line, key
from wecom.errcodes import Advice, Kind, advice
from wecom.models import ApiCall, ApiCallHour
from wecom.tokens import delete_if

log = logging.getLogger(__name__)

KEPT = timedelta(days=14)
HOURS_KEPT = timedelta(days=400)
AT_ONCE = 2_000  # lines per transaction
LOCK_MS = 60_000
DELETE_AT_ONCE = 20_000
# upper bounds of the buckets of durations; the last bucket has none
BOUNDS_MS = (
    *(1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750),
    *(1000, 1500, 2000, 3000, 5000, 7500, 10_000, 20_000),
)

_ADD_HOURS = """
    INSERT INTO wecom_apicallhour AS h (brand_id, corp_id, api, at, n, n_failed, waited_ms, buckets)
    SELECT %s, v.corp_id, v.api, v.at, v.n, v.n_failed, v.waited_ms,
           ARRAY(SELECT b::text::int
                   FROM jsonb_array_elements(v.buckets) WITH ORDINALITY AS e (b, i) ORDER BY i)
      FROM jsonb_to_recordset(%s::jsonb)
        AS v (corp_id bigint, api text, at timestamptz, n int, n_failed int, waited_ms bigint, buckets jsonb)
    ON CONFLICT (brand_id, corp_id, api, at) DO UPDATE SET
        n = h.n + excluded.n,
        n_failed = h.n_failed + excluded.n_failed,
        waited_ms = h.waited_ms + excluded.waited_ms,
        buckets = ARRAY(
            SELECT coalesce(a, 0) + coalesce(b, 0)
              FROM unnest(h.buckets, excluded.buckets) WITH ORDINALITY AS t (a, b, i) ORDER BY i)
"""


# ---- from Redis into the database


def brands_with_lines(brand_ids: Sequence[int], client: redis.Redis | None = None) -> list[int]:
    """Which of the brands have lines that wait; one round trip for all of them."""
    pipe = (client or redis_client()).pipeline(transaction=False)
    for brand_id in brand_ids:
        pipe.exists(key(brand_id))
    return [brand_id for brand_id, there in zip(brand_ids, pipe.execute(), strict=True) if there]


def flush(brand_id: int, client: redis.Redis | None = None) -> int:
    """Move the waiting lines of the brand in scope into the database; gives how many. Call it outside of a
    transaction. While another process does it, this one does nothing."""
    client = client or redis_client()
    lock, me, moved = f"{key(brand_id)}:lock", uuid4().hex, 0
    while client.set(lock, me, nx=True, px=LOCK_MS):
        try:
            found: list[Any] = client.lrange(key(brand_id), 0, AT_ONCE - 1)  # type: ignore[assignment]
            if found:
                with transaction.atomic():
                    _write(brand_id, list(_read(found)))
                client.ltrim(key(brand_id), len(found), -1)
                moved += len(found)
        finally:
            delete_if(client, lock, me)
        if len(found) < AT_ONCE:
            break
    return moved


def _read(found: Iterable[bytes]) -> Iterable[Line]:
    for text in found:
        try:
            yield Line(*json.loads(text))
        except (ValueError, TypeError):  # written by another version
            log.warning("a line of the log of calls cannot be read")


def _write(brand_id: int, lines: list[Line]) -> None:
    ApiCall.objects.bulk_create(
        ApiCall(
            at=datetime.fromtimestamp(line.at, UTC),
            corp_id=line.corp_id,
            api=line.api[:64],
            errcode=line.errcode,
            is_failed=line.is_failed,
            note=line.note[:40],
            hint=line.hint[:40],
            ms=line.ms,
            waited_ms=line.waited_ms,
            attempt=line.attempt,
        )
        for line in lines
    )
    hours = [_hour(*of, list(these)) for of, these in groupby(sorted(lines, key=_of), _of)]
    with connection.cursor() as cursor:
        cursor.execute(_ADD_HOURS, [brand_id, json.dumps(hours)])


def _of(line: Line) -> tuple[int, str, int]:
    return line.corp_id, line.api[:64], int(line.at) // 3600 * 3600


def _hour(corp_id: int, api: str, begin: int, lines: list[Line]) -> dict[str, Any]:
    buckets = [0] * (len(BOUNDS_MS) + 1)
    for line in lines:
        buckets[bisect_right(BOUNDS_MS, line.ms)] += line.note != "limit"  # never sent: no duration
    return {
        "corp_id": corp_id,
        "api": api,
        "at": datetime.fromtimestamp(begin, UTC).isoformat(),
        "n": len(lines),
        "n_failed": sum(line.is_failed for line in lines),
        "waited_ms": sum(line.waited_ms for line in lines),
        "buckets": buckets,
    }


def purge(brand: Brand) -> int:
    """Delete what is older than it is kept, in slices; gives how many single calls."""
    now, deleted = clock.now(), 0
    while True:
        with transaction.atomic():
            too_old = ApiCall.objects.filter(at__lt=now - KEPT)
            old = list(too_old.order_by("at").values_list("pk", flat=True)[:DELETE_AT_ONCE])
            if old:
                too_old.filter(pk__in=old).delete()
        deleted += len(old)
        if len(old) < DELETE_AT_ONCE:
            break
    with transaction.atomic():
        ApiCallHour.objects.filter(at__lt=now - HOURS_KEPT).delete()
    return deleted


# ---- reading


@dataclass(frozen=True)
class ApiFigures:
    """Calls of one API in a span."""

    api: str
    n: int
    n_failed: int
    p95_ms: int
    waited_ms: int  # on average


def calls(
    *, since: datetime, corp_id: int | None = None, api: str = "", failed: bool = False
) -> QuerySet[ApiCall]:
    """Single calls of the brand in scope; order by `-at`, `-pk`."""
    found = ApiCall.objects.filter(at__gte=since)
    if corp_id is not None:
        found = found.filter(corp_id=corp_id)
    if api:
        found = found.filter(api=api)
    return found.filter(is_failed=True) if failed else found


def figures(*, since: datetime, corp_id: int | None = None) -> list[ApiFigures]:
    """Per API, those with most failures first, then the busiest; whole hours."""
    sums: dict[str, list[Any]] = defaultdict(lambda: [0, 0, 0, [0] * (len(BOUNDS_MS) + 1)])
    for hour in _hours(since, corp_id).iterator(chunk_size=2000):
        total = sums[hour.api]
        total[0] += hour.n
        total[1] += hour.n_failed
        total[2] += hour.waited_ms
        total[3] = [a + b for a, b in zip(total[3], hour.buckets, strict=True)]
    rows = [
        ApiFigures(api, n, n_failed, percentile(buckets, 0.95), round(waited / n) if n else 0)
        for api, (n, n_failed, waited, buckets) in sums.items()
    ]
    return sorted(rows, key=lambda row: (-row.n_failed, -row.n, row.api))


def by_hour(*, since: datetime, corp_id: int | None = None) -> dict[datetime, tuple[int, int]]:
    """Hour → calls that went well, calls that did not."""
    sums: dict[datetime, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for at, n, n_failed in _hours(since, corp_id).values_list("at", "n", "n_failed"):
        well, failed = sums[at]
        sums[at] = (well + n - n_failed, failed + n_failed)
    return dict(sums)


def _hours(since: datetime, corp_id: int | None) -> QuerySet[ApiCallHour]:
    found = ApiCallHour.objects.filter(at__gte=since.replace(minute=0, second=0, microsecond=0))
    return found if corp_id is None else found.filter(corp_id=corp_id)


def percentile(buckets: Sequence[int], part: float) -> int:
    """Milliseconds below which that part of the calls stayed, as exact as the buckets; 0 without calls."""
    wanted, low = sum(buckets) * part, 0
    if not wanted:
        return 0
    for count, high in zip(buckets, BOUNDS_MS, strict=False):
        if count >= wanted:
            return round(low + (high - low) * wanted / count)
        wanted, low = wanted - count, high
    return low


def last_failures(*, corp_id: int, n: int = 5) -> list[ApiCall]:
    """The newest failure of each API and errcode of a corp (the set-up doctor)."""
    newest = (
        calls(since=clock.now() - KEPT, corp_id=corp_id, failed=True)
        .values("api", "errcode", "note")
        .annotate(last=Max("id"))
        .order_by("-last")[:n]
    )
    ids = [row["last"] for row in newest]
    return list(ApiCall.objects.filter(at__gte=clock.now() - KEPT, pk__in=ids).order_by("-pk"))


def explain(errcode: int | None, note: str) -> Advice:
    """What became of a call, in words for people, and the console page that mends it."""
    if errcode is not None:
        return advice(errcode) if errcode else Advice(Kind.STATE, _("Done"))
    if note == "limit":
        return Advice(Kind.LIMIT, _("Not sent: WeCom's limit would have been passed."))
    if note.startswith("HTTP"):
        return Advice(Kind.RETRY, _("WeCom's server answered with a fault of its own (%s).") % note)
    if "Timeout" in note or "too slow" in note:
        return Advice(Kind.RETRY, _("WeCom did not answer in time."))
    if "Connection" in note:
        return Advice(Kind.RETRY, _("There was no connection to WeCom."))
    return Advice(Kind.RETRY, _("The answer could not be read (%s).") % (note or "?"))
