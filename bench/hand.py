"""Hand-over of a broadcast by the product's own worker to a sandbox with WeCom's limits: 1,000 customers for each guide.
With it what needs whole chunks: claims and marking. Beside it one Celery task for each contact."""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path

from django.db import connection, connections, transaction

from bench import scale, servers
from bench.corp import Bench, bench_corp
from bench.figures import Figure
from bench.limits import copy_rate
from campaigns.models import Broadcast, SendTask, Touch, Variant, Wave
from campaigns.services import due
from campaigns.services.broadcasts import waves
from campaigns.services.ledger import touches
from campaigns.services.sending import claims
from campaigns.tasks import poll, start_tasks
from org.models import Staff
from scrm import clock
from scrm.redis import redis_client
from tenants.scoping import tenant_scope

EACH = 1_000  # customers of a guide
MINUTE_LIMIT, IN_FLIGHT, ANSWER_S = 10_000, 5, 0.030
RATIO = 1.3
MESSAGES = 400  # Celery messages of the baseline
SLICE = 50_000


def run(full: bool) -> list[Figure]:
    guides = max(20, scale.contacts(full) // EACH)
    n = guides * EACH
    with bench_corp(guides=guides) as made:
        began = time.perf_counter()
        build(made, n)
        print(
            f"  {n:,} customers of {guides:,} guides: built in {time.perf_counter() - began:.0f} s",
            flush=True,
        )
        made.control("settings", answer_ms=ANSWER_S * 1000, confirm_after_s=None)
        with tenant_scope(made.brand):
            plan_s = _plan(made)
            claims = _claims(made)
            hand, calls = _hand_over(made)
            marks = _marks(made, n)
    return [
        Figure(f"plan for {n:,}, one content, whole chunks", n / plan_s, "contacts/s"),
        *claims,
        hand,
        Figure("messages made at WeCom", calls, "calls", "", f"{guides:,}", calls == guides),
        *marks,
    ]


# ---- a brand on both sides


def build(made: Bench, n: int) -> None:
    """Customers of the sandbox and of the product, guide after guide in turn, by sets."""
    from wecom.sandbox import ids

    made.control("generate", corpid=made.corp.corpid, customers=n, seed=1)
    b, corp_id, now = made.brand.pk, made.corp.pk, clock.now()
    with tenant_scope(made.brand), transaction.atomic():
        guides = list(Staff.objects.filter(is_guide=True).order_by("pk").values_list("pk", flat=True))
    owner = connections["owner"]
    with transaction.atomic("owner"), owner.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute(
            "INSERT INTO contacts_contact (brand_id, position, name, avatar, gender, kind, corp_name, do_not_contact, n_follows,"
            " added_at) SELECT %s, i, '客户' || i, '', 0, 1, '', false, 1, %s FROM generate_series(0, %s) i",
            [b, now, n - 1],
        )
        cursor.execute(
            "INSERT INTO contacts_contactstat (brand_id, contact_id, position, n_follows, added_at, gender, do_not_contact,"
            " n_orders, spent_fen) SELECT brand_id, id, position, 1, added_at, 0, false, 0, 0 FROM contacts_contact"
            " WHERE brand_id = %s ORDER BY id",
            [b],
        )
        for start in range(0, n, SLICE):
            external = [
                ids.seeded("wm", 32, made.corp.corpid, 1, k) for k in range(start, min(start + SLICE, n))
            ]
            cursor.execute(
                "CREATE TEMP TABLE bench_external ON COMMIT DROP AS SELECT c.id, c.position, c.added_at, e.value"
                " FROM unnest(%s::text[]) WITH ORDINALITY AS e(value, n)"
                " JOIN contacts_contact c ON c.brand_id = %s AND c.position = %s + e.n - 1",
                [external, b, start],
            )
            cursor.execute(
                "INSERT INTO contacts_follow (brand_id, contact_id, staff_id, corp_id, external_userid, state, add_way,"
                " remark, description, wecom_tag_ids, is_pending, added_at, end_kind, changed_at)"
                " SELECT %s, id, (%s::bigint[])[1 + position %% %s], %s, value, '', 1, '', '', '{}', false, added_at, '',"
                " added_at"
                " FROM bench_external ORDER BY position",
                [b, guides, len(guides), corp_id],
            )
            cursor.execute(
                "INSERT INTO contacts_identity (brand_id, contact_id, kind, scope, value, added_at)"
                " SELECT %s, id, 'external_userid', %s, value, added_at FROM bench_external",
                [b, made.corp.corpid],
            )
            cursor.execute("DROP TABLE bench_external")
        cursor.execute(
            "INSERT INTO tagging_dimbits (brand_id, dim, val, chunk, bits)"
            " SELECT %s, 3, v.val, position / 8192, bit_or(set_bit(0::bit(8192), position %% 8192, 1))"
            " FROM contacts_contactstat, (VALUES (0), (2)) AS v(val) WHERE brand_id = %s GROUP BY 3, 4",
            [b, b],
        )
    with owner.cursor() as cursor:
        cursor.execute(
            "VACUUM ANALYZE contacts_contact, contacts_contactstat, contacts_follow, contacts_identity"
        )


def _plan(made: Bench) -> float:
    with transaction.atomic():
        broadcast = Broadcast.objects.create(
            name="bench", state="on", audience={"condition": {"kind": "everybody"}}, launched_at=clock.now()
        )
        Variant.objects.create(broadcast=broadcast, letter="A", text="新品到店")
        wave = Wave.objects.create(broadcast=broadcast, n=1, at=clock.now())
    start = time.perf_counter()
    assert waves.plan(made.brand, wave.pk)
    return time.perf_counter() - start


# ---- claims


def _claims(made: Bench) -> list[Figure]:
    """The state of a chunk, one commit each; and the product's whole claim, which looks at each receiver once more."""
    with transaction.atomic():
        ids = list(SendTask.objects.filter(state="planned").order_by("pk").values_list("pk", flat=True)[:300])
    rounds, contacts, start = max(1, 200 // len(ids)), 0, time.perf_counter()
    for _round in range(rounds):
        for task_id in ids:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE campaigns_sendtask SET called_at = %s WHERE brand_id = %s AND id ="
                    " (SELECT id FROM campaigns_sendtask WHERE brand_id = %s AND id = %s AND state = 'planned'"
                    " FOR UPDATE SKIP LOCKED) RETURNING n",
                    [clock.now(), made.brand.pk, made.brand.pk, task_id],
                )
                contacts += cursor.fetchone()[0]
    rate = contacts / (time.perf_counter() - start)
    whole, start = 0, time.perf_counter()
    some = ids[:50]
    for task_id in some:
        [claim] = claims.claim(made.brand, [task_id])
        whole += len(claim.receivers)
        with transaction.atomic():  # the next one has the same guide's content
            SendTask.objects.filter(pk=task_id).update(
                state="planned", called_at=None, next_try_at=clock.now()
            )
    spent = time.perf_counter() - start
    return [
        Figure("claims of chunks", rate, "contacts/s", f"{EACH} a chunk", "≥ 1,000,000", rate >= 1e6),
        Figure("claims with every receiver looked at again", whole / spent, "contacts/s"),
    ]


# ---- hand over


@contextmanager
def _worker(made: Bench) -> Iterator[int]:
    """The product's worker, ready; the id of its process."""
    with servers.worker("default,bulk", IN_FLIGHT, **made.env) as child:
        _messages(made, 20)
        yield child.pid


def _messages(made: Bench, n: int) -> float:
    """Seconds for so many messages that do nothing but open the brand's scope."""
    start = time.perf_counter()
    for _n in range(n):
        poll.delay(brand_id=made.brand.pk, task_ids=[])
    with_work = SendTask.objects.filter(state="planned").order_by("-pk")
    with transaction.atomic():
        last = with_work.values_list("pk", flat=True).first()
        SendTask.objects.filter(pk=last).update(state="handed", next_try_at=clock.now())
    # one message behind them all: when its send task has been asked about, the others are done
    poll.delay(brand_id=made.brand.pk, task_ids=[last])
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with transaction.atomic():
            row = SendTask.objects.get(pk=last)
        if row.next_try_at > clock.now():
            break
        time.sleep(0.02)
    with transaction.atomic():
        SendTask.objects.filter(pk=last).update(state="planned", next_try_at=clock.now(), error="")
    return time.perf_counter() - start


def _cpu_s(pid: int) -> float:
    """Processor seconds of a process and its children, those that have ended too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return servers.cpu_s(pid) + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _hand_over(made: Bench) -> tuple[Figure, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    postgres = int(Path(f"/proc/{backend}/stat").read_text().rsplit(")", 1)[1].split()[1])
    with _worker(made) as pid:
        single = _messages(made, MESSAGES) / MESSAGES
        with transaction.atomic():
            n_tasks = SendTask.objects.filter(state="planned").count()
        valkey = int(redis_client().info("server")["process_id"])
        pids = {"worker": pid, "sandbox": made.sandbox_pid, "Postgres": postgres, "Valkey": valkey}
        made.control("calls/forget")
        before = {name: _cpu_s(number) for name, number in pids.items()}
        start = time.perf_counter()
        start_tasks(made.brand, due.look().tasks)
        until = time.monotonic() + max(120.0, n_tasks * 0.5)
        while time.monotonic() < until:
            with transaction.atomic():
                left = SendTask.objects.filter(state__in=["planned", "calling"]).exists()
            if not left:
                break
            time.sleep(0.05)
        spent = time.perf_counter() - start
        cpu = {name: _cpu_s(number) - before[name] for name, number in pids.items()}
        with transaction.atomic():
            if n_open := SendTask.objects.exclude(state="handed").count():
                raise RuntimeError(f"{n_open} send tasks were not handed over")
    calls = len(made.read("calls", api="externalcontact/add_msg_template", limit=50_000))
    # a call takes up to 10,000 people of one guide, so there is one for each; five at once bind, and the minute's limit from
    # the 10,001st call on
    allowed = max(n_tasks * ANSWER_S / IN_FLIGHT, (n_tasks - 1) // MINUTE_LIMIT * 60)
    n = n_tasks * EACH
    words = ", ".join(
        f"{name} {seconds:.1f} s ({seconds / n * 1e6:.0f} µs each)" for name, seconds in cpu.items()
    )
    about = (
        f"{spent:.1f} s, WeCom allows it in {allowed:.1f} s; processor: {words}; one Celery task for each contact would take"
        f" {single * n / 60:.0f} min (sample of {MESSAGES})"
    )
    ratio = spent / allowed
    return Figure(
        f"hand-over of {n:,} touches", ratio, "× allowed", about, f"≤ {RATIO}", ratio <= RATIO
    ), calls


# ---- mark


def _marks(made: Bench, n: int) -> list[Figure]:
    """Every receiver delivered, a commit for each chunk: the first half by one connection, the second by two at the same
    time, as a worker's processes do (four in docker-compose.yml, two in the demo)."""
    copy = copy_rate()
    with transaction.atomic():
        tasks = list(SendTask.objects.filter(state="handed").order_by("pk").only("pk", "at"))
    middle = len(tasks) // 2
    alone = _marked(made, tasks[:middle])
    rate = _marked(made, tasks[middle::2], tasks[middle + 1 :: 2])
    ratio = f"{rate / copy:.3f} × COPY ({copy:,.0f} rows/s); by one connection {alone:,.0f}/s, {alone / copy:.3f} ×"
    return [
        Figure(
            f"mark {n:,} as sent, by two processes' connections", rate, "contacts/s", ratio, "≥ 0.1 × COPY", rate / copy >= 0.1
        )
    ]  # fmt: skip


def _marked(made: Bench, *shares: Sequence[SendTask]) -> float:
    """Receivers marked in a second, each share of the tasks by a connection of its own."""

    def mark(tasks: Sequence[SendTask]) -> int:
        n = 0
        try:
            for task in tasks:
                with transaction.atomic():
                    done = touches.settle(
                        made.brand,
                        send_task_id=task.pk,
                        at=task.at,
                        state=Touch.State.DELIVERED,
                        done_at=clock.now(),
                    )
                    n += len(done)
        finally:
            connection.close()  # of this thread
        return n

    start = time.perf_counter()
    with ThreadPoolExecutor(len(shares)) as pool:
        work = [pool.submit(copy_context().run, mark, tasks) for tasks in shares]
        n = sum(one.result() for one in work)
    return n / (time.perf_counter() - start)
