"""Tags: 100,000 people at once right after a checkpoint, one person at a time, rules over events, computed tags.

Each beside the machine's limit of the same run and beside the plain ORM.
"""

import multiprocessing
import time
from collections.abc import Callable
from typing import Any

from django.db import connection, connections, transaction

from bench import big
from bench.data import brand_of
from bench.figures import Figure
from bench.limits import copy_rate
from bench.scale import contacts
from contacts.models import Contact, Event, EventType
from contacts.services import stats
from contacts.services.timeline import record_event
from org.access import SYSTEM
from org.models import Job
from org.services import jobs
from scrm import clock
from tagging.models import ComputedTag, ContactTag, Dim, Tag, TagAct, TagBefore, TagGroup, TagRule
from tagging.services.bits import bits_check
from tagging.services.rules import computed, reacting, rules
from tagging.services.tags import mass
from tagging.services.tags.changes import each, put_on
from tagging.services.tags.tags import add_tags
from tagging.services.tags.tags import put_on as by_person
from tenants.models import Brand
from tenants.scoping import tenant_scope

CLIENTS = (1, 4)
MADE = "bench"
SECONDS = 3.0


def run(full: bool) -> list[Figure]:
    n = contacts(full)
    many = min(100_000, n // 2)
    here, _beside = big.brands(full)
    with tenant_scope(here.brand):
        figures = [*_many(here.brand, many), *_one(here.brand)]
        _forget(here.brand)
    brand = brand_of(n)
    with tenant_scope(brand):
        stats.rebuild(brand)
        bits_check.check(
            brand
        )  # people who are built by plain SQL have no bits; what differs at the end is the acts' fault
        _quiet(brand)
        return [*figures, *_rules(brand, many), *_computed(brand, n)]


def _forget(brand: Brand) -> None:
    """The big brand is again as it was built."""
    with transaction.atomic():
        ids = list(Tag.objects.filter(group__name__startswith=MADE).values_list("pk", flat=True))
        ContactTag.objects.filter(tag__in=ids).delete()
        bits_check.repair(brand, Dim.TAG, ids)
        TagBefore.objects.filter(tag_id__in=ids).delete()
        Event.objects.filter(type=EventType.TAGGED, object_id__in=ids).delete()
        Tag.objects.filter(pk__in=ids).update(deleted_at=clock.now())


def _quiet(brand: Brand) -> None:
    """Earlier runs' rules do not take part."""
    with transaction.atomic():
        TagRule.objects.update(is_on=False)
        ComputedTag.objects.update(is_on=False)


def _tag(name: str) -> Tag:
    with transaction.atomic():
        group = TagGroup.objects.create(name=f"{MADE} {name} {time.time_ns()}"[:30])
        return Tag.objects.create(group=group, name=name)


def _checkpoint() -> str:
    """After it the first change of every page is written whole: the worst moment for scattered changes."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT pg_has_role(current_user, 'pg_checkpoint', 'USAGE')")
        if not cursor.fetchone()[0]:
            return "no right to checkpoint"
        cursor.execute("CHECKPOINT")
        return "right after a checkpoint"


# ---- many at once


def _many(brand: Brand, many: int) -> list[Figure]:
    """Scattered people: every nth."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(id) FROM (SELECT id FROM contacts_contact WHERE brand_id = %s"
            " ORDER BY md5(position::text) LIMIT %s) x",
            [brand.pk, many],
        )
        (ids,) = cursor.fetchone()
    copy_s = many / copy_rate()
    tag = _tag("一批")
    when = _checkpoint()
    start = time.perf_counter()
    with transaction.atomic():
        for k in range(0, many, 50_000):
            put_on(brand, each([tag.pk], ids[k : k + 50_000]), source="bench", timeline=False)
    bare = time.perf_counter() - start
    tag = _tag("一批带动态")
    _checkpoint()
    start = time.perf_counter()
    with transaction.atomic():
        who = mass.Who.of_ids(ids)
        job = mass.start(brand, kind=TagAct.Kind.SEGMENT, title="bench", by=SYSTEM, who=who, add=[tag.pk])
    done = jobs.run(brand, job.pk)
    if done is None or done.state != Job.State.DONE:
        raise RuntimeError(f"the act did not end: {done and done.error}")
    whole = time.perf_counter() - start
    plain = _plain(_tag("逐个"), ids[:400])
    words = (
        f"{bare / copy_s:.0f} × COPY of as many rows ({copy_s * 1000:.0f} ms); ORM row by row {plain:,.0f}/s"
    )
    return [
        Figure(
            f"{many:,} tagged: truth and bitmap ({when})",
            bare * 1000,
            "ms",
            words,
            "≤ 30 × COPY",
            bare <= 30 * copy_s,
        ),
        Figure(
            f"{many:,} tagged as a job, timeline and undo too",
            whole * 1000,
            "ms",
            f"{whole / copy_s:.0f} × COPY",
        ),
    ]


def _plain(tag: Tag, ids: list[int]) -> float:
    start = time.perf_counter()
    for contact_id in ids:
        with transaction.atomic():
            ContactTag.objects.get_or_create(tag=tag, contact_id=contact_id, defaults={"source": "bench"})
    spent = time.perf_counter() - start
    with transaction.atomic():  # it knows nothing of bitmaps
        ContactTag.objects.filter(tag=tag).delete()
    return len(ids) / spent


# ---- one at a time


def _one(brand: Brand) -> list[Figure]:
    """The act of the product (truth, bitmap, timeline) against a durable commit of one row by the same number of clients:
    as the product makes transactions, and as a bare INSERT, which is one round trip. Beside it a person's whole act on a
    page, with a look at the tag and the audit log."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bench_one_row (a bigint, b bigint, at timestamptz)")
        cursor.execute("GRANT INSERT ON bench_one_row TO app_rw")
    with transaction.atomic():
        ids = list(Contact.objects.order_by("?").values_list("pk", flat=True)[:20_000])
    found = []
    for clients in CLIENTS:
        commits = _clients(brand, clients, _commit, [], 0)
        bare = _clients(brand, clients, _insert, [], 0)
        tagged = _clients(brand, clients, _tag_one, ids, _tag(f"单个{clients}").pk)
        by_people = _clients(brand, clients, _tag_by_person, ids, _tag(f"人工{clients}").pk)
        ratio = tagged / commits
        words = (
            f"{ratio:.2f} × transactions of one row ({commits:,.0f}/s), {tagged / bare:.2f} × bare INSERTs ({bare:,.0f}/s);"
            f" a person's act with audit {by_people:,.0f}/s, {by_people / commits:.2f} ×"
        )
        found.append(
            Figure(
                f"one contact tagged, {clients} client(s)",
                tagged,
                "acts/s",
                words,
                "≥ 0.8 × commits",
                ratio >= 0.8,
            )
        )
    return found


def _commit(brand: Brand, n: int, ids: list[int], tag_id: int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_one_row VALUES (%s, %s, %s)", [brand.pk, n, clock.now()])


def _insert(brand: Brand, n: int, ids: list[int], tag_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_one_row VALUES (%s, %s, %s)", [brand.pk, n, clock.now()])


def _tag_one(brand: Brand, n: int, ids: list[int], tag_id: int) -> None:
    add_tags(brand, contacts=[ids[n % len(ids)]], tags=[tag_id], source="page")


def _tag_by_person(brand: Brand, n: int, ids: list[int], tag_id: int) -> None:
    with transaction.atomic():
        by_person(brand, contact_ids=[ids[n % len(ids)]], tag_ids=[tag_id], by=SYSTEM)


def _clients(brand: Brand, clients: int, act: Callable[..., None], ids: list[int], tag_id: int) -> float:
    """Acts per second of some processes."""
    queue: Any = multiprocessing.get_context("fork").Queue()
    context = multiprocessing.get_context("fork")
    started = [
        context.Process(target=_client, args=(brand, act, ids[k::clients], tag_id, queue))
        for k in range(clients)
    ]
    for process in started:
        process.start()
    total = sum(queue.get() for _process in started)
    for process in started:
        process.join()
    return total


def _client(brand: Brand, act: Callable[..., None], ids: list[int], tag_id: int, queue: Any) -> None:
    for alias in connections:
        connections[alias].connection = None  # the parent's; it must not be closed from here
    with tenant_scope(brand):
        act(brand, 0, ids, tag_id)
        n, end = 1, time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            act(brand, n, ids, tag_id)
            n += 1
    queue.put(n / SECONDS)


# ---- rules and computed tags


def _rules(brand: Brand, events: int) -> list[Figure]:
    """20 rules over as many events: reading, matching, tagging, the timeline, all in."""
    with transaction.atomic():
        group = TagGroup.objects.create(name=f"规则 {time.time_ns()}"[:30])
        tags = Tag.objects.bulk_create(Tag(group=group, name=f"标签{i}") for i in range(20))
        for i, tag in enumerate(tags):
            values = {
                "name": f"bench {i} {time.time_ns()}", "kind": "event", "event": "word_said" if i % 2 else "content_opened",
                "filters": {"words": [f"w{i}"]}, "add_tag_ids": [tag.pk],
            }  # fmt: skip
            rules.switch_on(
                brand, by=SYSTEM, rule=rules.create(brand, by=SYSTEM, values=values), confirmed=True
            )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO contacts_event (brand_id, at, contact_id, type, source, data)"
            " SELECT brand_id, %s, id, CASE WHEN position %% 2 = 0 THEN %s ELSE %s END, 'bench',"
            "        jsonb_build_object('text', 'w' || position %% 40) FROM contacts_contact"
            "  WHERE brand_id = %s ORDER BY position LIMIT %s",
            [clock.now(), int(EventType.OPENED), int(EventType.WORD_SAID), brand.pk, events],
        )
    start = time.perf_counter()
    n = reacting.react(brand)
    spent = time.perf_counter() - start
    with transaction.atomic():
        n_tagged = ContactTag.objects.filter(tag__group=group).count()
    plain = _plain_rules(brand, tags)
    with transaction.atomic():
        ContactTag.objects.filter(source="bench", tag__in=[tag.pk for tag in tags]).delete()
    _quiet(brand)
    words = f"{20 * n / spent:,.0f} rules × events/s; {n_tagged:,} tags put on; one event after the other by ORM {plain:,.0f}/s"
    return [Figure(f"20 rules over {n:,} events", n / spent, "events/s", words)]


def _plain_rules(brand: Brand, tags: list[Tag]) -> float:
    with transaction.atomic():
        ids = list(Contact.objects.values_list("pk", flat=True)[:200])
    start = time.perf_counter()
    for n, contact_id in enumerate(ids):
        with transaction.atomic():
            for rule in TagRule.objects.filter(is_on=True):
                if f"w{n % 40}" in rule.filters["words"]:
                    ContactTag.objects.get_or_create(
                        tag_id=rule.add_tag_ids[0], contact_id=contact_id, defaults={"source": "bench"}
                    )
                    at = clock.now()
                    record_event(brand, contact_id=contact_id, type=EventType.TAGGED, at=at, source="bench")
    return len(ids) / (time.perf_counter() - start)


def _computed(brand: Brand, n: int) -> list[Figure]:
    """Months since joining for everybody: the first time, and a night in which nothing moved."""
    shapes = [(None, 1), (1, 3), (3, 6), (6, None)]
    brackets = [{"name": f"档{i}", "from": low, "to": high} for i, (low, high) in enumerate(shapes)]
    name = f"月数 {time.time_ns()}"[:30]
    row = computed.save(
        brand, by=SYSTEM, values={"name": name, "measure": "months_joined", "brackets": brackets}
    )
    with transaction.atomic():
        row.is_on = True
        row.save(update_fields=["is_on"])
    times = []
    for _round in range(2):
        with transaction.atomic():
            job = computed.start(brand, row=row, by=SYSTEM)
        start = time.perf_counter()
        while computed.step(brand, job):
            pass
        times.append(time.perf_counter() - start)
        with transaction.atomic():
            type(job).objects.filter(pk=job.pk).update(state="done")
    _quiet(brand)
    wrong = sum(bits_check.check(brand).values())
    return [
        Figure(f"computed tag, {n:,} people, first time", times[0], "s"),
        Figure(f"computed tag, {n:,} people, nothing has moved", times[1], "s"),
        Figure("bits that differ from the truth afterwards", wrong, "bits", "", "0", wrong == 0),
    ]
