"""Full sync of a corp from a sandbox with WeCom's limits (10,000 calls a minute, five at a time, 30 ms each), once more
unchanged, and a day's 20,000 changes; in this process: time beside what WeCom itself allows, and where the processor's
time went. Each begins a minute after the one before it: calls of the last minute count for the limits, and the time
that WeCom allows is that of a sync before which nobody has called."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from bench import servers
from bench.corp import Bench, bench_corp
from bench.figures import Figure
from contacts.models import Follow
from contacts.services.follow import record_follow
from contacts.services.sync import sync
from contacts.services.sync.sync_lanes import PAGE
from contacts.services.sync.sync_rows import rows_of
from org.access import SYSTEM
from org.models import Corp, Job, Staff
from org.services import jobs
from scrm import clock
from tenants.scoping import tenant_scope
from wecom.api import contacts as api
from wecom.client import client_for

MINUTE_LIMIT, IN_FLIGHT, ANSWER_S = 10_000, 5, 0.030
MINUTE_S = 61  # in our own window the second of a call counts whole
MEMORY_MB = 300
RATIO = 1.3


@dataclass
class Spent:
    """Seconds on the wall, and of the processor by process."""

    wall: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)

    def words(self, n: int) -> str:
        """Processor time of each process in µs for one relation."""
        return ", ".join(f"{name} {seconds / n * 1e6:.0f}" for name, seconds in self.cpu.items()) + " µs each"


@contextmanager
def measured(made: Bench) -> Iterator[Spent]:
    """Time of a block: here, in the sandbox, in Postgres."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        postgres = _parent(cursor.fetchone()[0])
    before = (_own(), servers.cpu_s(made.sandbox_pid), servers.cpu_s(postgres))
    spent, start = Spent(), time.perf_counter()
    yield spent
    spent.wall = time.perf_counter() - start
    after = (_own(), servers.cpu_s(made.sandbox_pid), servers.cpu_s(postgres))
    spent.cpu = {
        name: b - a for name, a, b in zip(("product", "sandbox", "Postgres"), before, after, strict=True)
    }


def _own() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def run(full: bool) -> list[Figure]:
    return run_sized(1_000_000, 200, 20_000) if full else run_sized(20_000, 50, 400)


def run_sized(n: int, guides: int, changes: int) -> list[Figure]:
    """The figures for `n` relations of so many guides; the aim is for a hundred thousand and more, below it what is
    done once weighs too much."""
    figures = []
    with bench_corp(guides=guides, with_staff=False) as made:
        made.control("generate", corpid=made.corp.corpid, customers=n, seed=1)
        made.control("prepare", corpid=made.corp.corpid)
        made.control("settings", answer_ms=ANSWER_S * 1000)
        figures += _baselines(made)
        for name in ("first", "unchanged"):
            job, spent = _sync(made, "full")
            stored = _count(made, Follow.objects.filter(ended_at=None))
            figures.append(_figure(f"full sync of {n:,} relations, {name}", made, job, spent, n, stored == n))
        _drift_apart(made, changes // 2)
        job, spent = _sync(made, "changes")
        done = job.result["new_relations"] + job.result["gone"]
        stored = _count(made, Follow.objects.filter(ended_at=None))
        good = (done, stored) == (changes, n)
        figures.append(_figure(f"sync of {changes:,} changes among {n:,}", made, job, spent, changes, good))
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures.append(
            Figure("peak memory of the process", peak_mb, "MB", "", f"≤ {MEMORY_MB} MB", peak_mb <= MEMORY_MB)
        )
    return figures


def _sync(made: Bench, kind: str) -> tuple[Job, Spent]:
    if sum(made.read("calls/counts").values()) > 1_000:
        time.sleep(MINUTE_S)
    made.control("calls/forget")
    with tenant_scope(made.brand), measured(made) as spent:
        with transaction.atomic():
            job = sync.start_sync(made.brand, corp=made.corp, by=SYSTEM, kind=kind)
        done = jobs.run(made.brand, job.pk)
    assert done is not None
    if done.state != Job.State.DONE:
        raise RuntimeError(f"the sync ended as {done.state}: {done.error}")
    return done, spent


def _figure(name: str, made: Bench, job: Job, spent: Spent, n: int, good: bool) -> Figure:
    allowed_s, calls = _allowed_s(made)
    ratio = spent.wall / allowed_s
    about = (
        f"{spent.wall:.1f} s for {calls:,} calls, WeCom allows them in {allowed_s:.1f} s; {n / spent.wall:,.0f}/s;"
        f" processor: {spent.words(n)}; waiting for our limits {float(job.result.get('waited_s', 0)) / spent.wall:.0%}"
    )
    if calls < 1_000:
        return Figure(name, ratio, "× WeCom", about, "", None if good else False)
    return Figure(name, ratio, "× WeCom", about, f"≤ {RATIO} ×", good and ratio <= RATIO)


def _allowed_s(made: Bench) -> tuple[float, int]:
    """How long WeCom's limits make the calls of the last sync take at least; each API has limits of its own."""
    by_api = made.read("calls/counts")
    calls = {name: n for name, n in by_api.items() if name != "gettoken"}
    most = max(calls.values())
    return max(most / MINUTE_LIMIT * 60, most * ANSWER_S / IN_FLIGHT), sum(calls.values())


def _count(made: Bench, rows: Any) -> int:
    with tenant_scope(made.brand), transaction.atomic():
        return rows.count()


def _drift_apart(made: Bench, n: int) -> None:
    """As if no event had come for days: `n` relations are here of people whom WeCom does not list, and as many of those
    whom it lists are not here. Who they are is drawn by lot: any guide's, new and old, wherever they stand on WeCom's pages."""
    other = "left({0}, 2) || 'gone' || substr({0}, 7)"
    with tenant_scope(made.brand), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE apart ON COMMIT DROP AS SELECT id, contact_id FROM contacts_follow"
            " WHERE brand_id = %s ORDER BY md5(external_userid) LIMIT %s",
            [made.brand.pk, n],
        )
        cursor.execute(
            f"UPDATE contacts_follow t SET external_userid = {other.format('t.external_userid')} FROM apart a"
            " WHERE t.brand_id = %s AND t.id = a.id",
            [made.brand.pk],
        )
        # another person: by the unionid WeCom's would be known
        cursor.execute(
            f"UPDATE contacts_identity t SET value = {other.format('t.value')} FROM apart a"
            " WHERE t.brand_id = %s AND t.contact_id = a.contact_id AND t.kind IN ('external_userid', 'unionid')",
            [made.brand.pk],
        )


# ---- beside it


def _baselines(made: Bench) -> list[Figure]:
    """What the machine gives: one page after the other, read and understood but not kept; and relations written the
    plain way, one by one through the ORM."""
    client = client_for(made.corp)
    with tenant_scope(made.brand):
        start, n, cursor = time.perf_counter(), 0, ""
        staff_ids = {userid.lower(): 1 for userid in made.userids}
        for _ in range(40):
            page = api.batch_customers(client, made.userids[:100], cursor, PAGE)
            n += len(rows_of(page["external_contact_list"], staff_ids, 0.0))
            cursor = page["next_cursor"]
        read = n / (time.perf_counter() - start)
        written = _timed(300, _one_by_one(made, page))
    return [
        Figure("pages read one after the other, nothing kept", read, "relations/s"),
        Figure("relations written one by one", written, "relations/s"),
    ]


def _timed(n: int, act: Callable[[int], None]) -> float:
    start = time.perf_counter()
    for i in range(n):
        act(i)
    return n / (time.perf_counter() - start)


def _one_by_one(made: Bench, page: api.Batch) -> Callable[[int], None]:
    """A function that writes the i-th made-up relation in a transaction of its own; undone afterwards."""
    with transaction.atomic():
        corp = Corp.objects.get(pk=made.corp.pk)
        staff = Staff.objects.filter(corp=corp, userid="baseline").first() or Staff.objects.create(
            name="Baseline", corp=corp, userid="baseline", is_guide=False
        )

    def act(i: int) -> None:
        with transaction.atomic():
            record_follow(
                made.brand, corp=corp, staff=staff, external_userid=f"wmbaseline{i}", at=clock.now(),
                name="王小明", source="import",
            )  # fmt: skip
            transaction.set_rollback(True)

    return act
