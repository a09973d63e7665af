"""Import of members and orders by file: first, unchanged again, half of them changed; each beside COPY of the same file into
a plain table with its columns (texts, numbers, moments; no index), and beside COPY into a temporary table of texts, which
reads nothing and logs nothing.

The ratio with an aim is that of the rows themselves: identities, words of the search, and the narrow row with its bits stand
beside the contacts, timeline and sums of the customers beside the orders; what is kept for the undo is in it. The whole is
told as a ratio of its own. The plain ORM does a sample row by row.
"""

import re
import resource
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, connections, transaction
from django.db.backends.signals import connection_created

from bench.data import GIVEN, SURNAMES
from bench.figures import Figure
from bench.scale import contacts
from contacts.models import Contact, Identity
from contacts.services import positions
from contacts.services.search import refresh_grams
from datafiles.models import ImportFile
from datafiles.services import imports, uploads
from org.access import SYSTEM
from org.models import Job
from org.services import brands, jobs
from scrm import clock
from tenants.models import Brand
from tenants.scoping import tenant_scope

# what took how long: words of the first 400 characters of the statements that make it
BESIDE = {
    "members": {
        "identities": r"contacts_identity",
        "search": r"contacts_contactgram|generate_series\(1, length",
        "narrow row and bits": r"contacts_contactstat|tagging_dimbits|string_agg\(lpad",
    },
    "orders": {
        "timeline": r"INTO contacts_event",
        "sums of the customers": r"contacts_contactstat|sums AS",
    },
}
PHASES = {"prepare": "reading", "judge": "comparing", "slices": "writing", "finish": "end"}
COLUMNS = {
    "members": ["text", "text", "text", "text", "timestamptz", "text", "text", "integer", "text"],
    "orders": ["text", "text", "timestamptz", "numeric", "text", "integer"],
}
LIMITS = {"first": 8.0, "unchanged": 2.5, "half changed": 14.0}


def run(full: bool) -> list[Figure]:
    n = contacts(full)
    brand = brands.create_brand(name="Bench imports", slug=f"bench-imports-{time.time_ns()}")
    folder = Path(settings.MEDIA_ROOT) / "bench-imports"
    folder.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    for kind, write in (("members", _members), ("orders", _orders)):
        for name in ("first", "unchanged", "half changed"):
            path = folder / f"{kind}-{name.replace(' ', '-')}.csv"
            write(path, n, 0.5 if name == "half changed" else 0.0)
            figures += _measure(brand, kind, name, path, n)
            path.unlink()
    figures.append(_by_orm(brand, n))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures.append(Figure("peak memory of the process", peak, "MB", "", "≤ 500 MB", peak <= 500))
    Brand.objects.filter(pk=brand.pk).update(state=Brand.State.CLOSED)
    return figures


def _members(path: Path, n: int, changed: float) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("会员号,手机号,姓名,性别,入会时间,会员等级,城市,积分,备注\n")
        for i in range(n):
            j = i * 7919 % n
            name = SURNAMES[j * 7 % len(SURNAMES)] + GIVEN[j * 13 % len(GIVEN)] + GIVEN[j * 31 % len(GIVEN)]
            year = 2015 + j % 10 + (1 if changed and i % 2 else 0)
            file.write(
                f"M{j:09d},{13800000000 + j},{name},{'男女'[j % 2]},{year}-{1 + j % 12:02d}-{1 + j % 28:02d} 10:{j % 60:02d}:00,"
                f"{'金银普'[j % 3]}卡,上海,{j % 5000},老客户 {j} 转来\n"
            )


def _orders(path: Path, n: int, changed: float) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("订单号,会员号,支付时间,实付金额,订单状态,件数\n")
        for i in range(n):
            j = i * 7919 % n
            fen = 990 + j % 90_000 + (100 if changed and i % 2 else 0)
            file.write(
                f"D{j:012d},M{j * 31 % n:09d},2026-{1 + j % 9:02d}-{1 + j % 28:02d} {j % 24:02d}:{j % 60:02d}:00,"
                f"{fen / 100:.2f},已完成,{1 + j % 5}\n"
            )


def _copies(kind: str, path: Path) -> tuple[float, float]:
    """Seconds of COPY of the file: into a plain table with its columns, and into a temporary one of texts."""
    types = COLUMNS[kind]
    return (
        _copy_s(path, "CREATE TABLE limit_of_file", types),
        _copy_s(path, "CREATE TEMP TABLE limit_of_file", ["text"] * len(types)),
    )


def _copy_s(path: Path, create: str, types: list[str]) -> float:
    spent = []
    for _ in range(3):
        with connections["owner"].cursor() as cursor, path.open("rb") as file:
            cursor.execute(f"{create} ({', '.join(f'c{i} {kind}' for i, kind in enumerate(types))})")
            start = time.perf_counter()
            cursor.copy_expert("COPY limit_of_file FROM STDIN WITH (FORMAT csv, HEADER)", file, size=1 << 18)
            spent.append(time.perf_counter() - start)
            cursor.execute("DROP TABLE limit_of_file")
    return sorted(spent)[1]


@contextmanager
def _clocked(kind: str) -> Iterator[Counter]:
    """Seconds of statements by what they are about. Two connections write side by side, each half of it: what both have
    spent counts half."""
    spent: Counter = Counter()
    busy: set[str] = set()

    def watch(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        start = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            for name, pattern in BESIDE[kind].items():
                if re.search(
                    rf"^\s*(WITH|INSERT|DELETE|SELECT string_agg|SELECT array_agg|SELECT contact_id).*?({pattern})",
                    str(sql)[:400],
                    re.S,
                ):
                    spent[name] += time.perf_counter() - start  # type: ignore[assignment]
                    busy.add(threading.current_thread().name)
                    break

    def begin(connection: Any, **_more: Any) -> None:
        connection.execute_wrappers.append(watch)

    with connection.execute_wrapper(watch):
        connection_created.connect(begin)
        try:
            yield spent
        finally:
            connection_created.disconnect(begin)
            for name in spent:
                spent[name] /= len(busy)


def _measure(brand: Brand, kind: str, name: str, path: Path, n: int) -> list[Figure]:
    with tenant_scope(brand):
        before = _copies(kind, path)
        with path.open("rb") as data:
            file = uploads.receive(brand, kind=kind, name=path.name, data=data, by=SYSTEM)
        phases: Counter = Counter()
        with _clocked(kind) as spent:
            start = time.perf_counter()
            with transaction.atomic():
                job = imports.start_import(brand, file=file, by=SYSTEM)
            done: Job | None = job
            while done is not None and done.state in (Job.State.WAITING, Job.State.RUNNING):
                part, began = done.position.get("part", "prepare"), time.perf_counter()
                done = jobs.run(brand, job.pk, until=lambda: True)
                phases[PHASES[part]] += time.perf_counter() - began  # type: ignore[assignment]
            seconds = time.perf_counter() - start
        assert done is not None and done.state == Job.State.DONE, done and done.error
        after = _copies(kind, path)
        with transaction.atomic():
            result = ImportFile.objects.get(pk=file.pk).result
    copy, of_texts = ((one + two) / 2 for one, two in zip(before, after, strict=True))
    wanted = {"first": "new", "unchanged": "same", "half changed": "changed"}[name]
    expected = n // 2 if name == "half changed" else n
    assert result[wanted] == expected, (name, result)
    beside = sum(spent.values())
    ratio, limit = (seconds - beside) / copy, LIMITS[name]
    parts = ", ".join(f"{what} {s:.1f} s" for what, s in phases.items())
    words = ", ".join(f"{what} {s:.1f} s" for what, s in spent.items() if s > 0.05)
    told = f"{seconds - beside:.1f} s; COPY {copy:.2f} s, of texts {of_texts:.2f} s ({(seconds - beside) / of_texts:.1f} ×)"
    whole = f"{seconds:.1f} s: {parts}; beside the rows {words or 'nothing'}"
    return [
        Figure(f"{n:,} {kind}, {name}", ratio, "× COPY", told, f"≤ {limit:g} ×", ratio <= limit),
        Figure("    the whole", seconds / copy, "× COPY", whole),
    ]


def _by_orm(brand: Brand, n: int, sample: int = 200) -> Figure:
    """The same members row by row with the plain ORM, extrapolated."""
    with tenant_scope(brand):
        start = time.perf_counter()
        for i in range(sample):
            with transaction.atomic():
                contact = Contact.objects.create(
                    position=positions.take(brand),
                    name=f"客户{i}",
                    added_at=clock.now(),
                    member_at=clock.now(),
                )
                for kind, value in (("member_no", f"ORM{i}"), ("phone", f"1990000{i:04d}")):
                    Identity.objects.get_or_create(
                        kind=kind, scope="", value=value, defaults={"contact": contact}
                    )
                refresh_grams(brand, [contact.pk])
        seconds = (time.perf_counter() - start) / sample * n
    return Figure(f"{n:,} members row by row with the ORM (extrapolated from {sample})", seconds, "s")
