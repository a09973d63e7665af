"""Customers who scan a channel code: from the callback to the welcome in their chat."""

import time
from concurrent.futures import ThreadPoolExecutor

from django.db import connection, transaction

from bench import servers
from bench.corp import Bench, bench_corp
from bench.figures import Figure, percentile
from campaigns.models import Touch
from livecodes.models import ChannelCode, Welcome
from livecodes.services import codes, ways
from livecodes.services.content import CodeInput, GuideInput
from org.access import SYSTEM
from org.models import Staff
from tenants.scoping import tenant_scope
from wecom.models import CallbackEvent
from wecom.services import inbox

PER_SECOND = 20


def run(full: bool) -> list[Figure]:
    seconds = 60 if full else 15
    with bench_corp(guides=10) as made:
        code = _code(made)
        with (
            servers.web(made.web_port, **made.env),
            servers.worker("fast", 2, **made.env),
            servers.worker("default,bulk", 1, **made.env),
            servers.beat(**made.env),
        ):
            _warm(made, code)
            start = time.perf_counter()
            with ThreadPoolExecutor(8) as pool:
                for i in range(PER_SECOND * seconds):
                    if (pause := start + i / PER_SECOND - time.perf_counter()) > 0:
                        time.sleep(pause)
                    pool.submit(_scan, made, code, i + 1)
            expected = PER_SECOND * seconds + 1
            deadline = time.monotonic() + 60
            while _welcomed(made) < expected and time.monotonic() < deadline:
                time.sleep(0.5)
        waits = _waits(made)
        sent = made.read("sent", kind="welcome", limit=100_000)
        doubled = len(sent) - len({row["external_userid"] for row in sent})
        queries = _queries(made, code)
    p99 = percentile(waits, 0.99)
    name = f"callback → welcome sent at {PER_SECOND} arrivals/s"
    once = len(sent) == expected and not doubled
    return [
        Figure(f"{name}: p50", percentile(waits, 0.5), "s", "WeCom allows 20 s"),
        Figure(f"{name}: p99", p99, "s", f"{len(waits):,} arrivals", "≤ 3 s", p99 <= 3),
        Figure("welcomes that customers got", len(sent), "messages", f"{doubled} doubled", f"{expected:,}", once),
        Figure("queries of an arrival (its own transaction)", queries, "queries"),
    ]  # fmt: skip


def _warm(made: Bench, code: ChannelCode) -> None:
    """All processes are up and have done everything once."""
    _scan(made, code, 0)
    deadline = time.monotonic() + 60
    while not _welcomed(made) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)


def _code(made: Bench) -> ChannelCode:
    with tenant_scope(made.brand):
        with transaction.atomic():
            guides = [GuideInput(s.pk) for s in Staff.objects.filter(is_guide=True)]
            Welcome.objects.create(text="{客户昵称|你好}，我是{员工姓名}")
        code = codes.create_code(
            made.brand, by=SYSTEM, corp=made.corp, given=CodeInput(name="bench", guides=guides), push=False
        )
        ways.push(made.brand, code.pk)
    return code


def _scan(made: Bench, code: ChannelCode, i: int) -> None:
    made.control("scan", corpid=made.corp.corpid, state=code.state, name=f"客户{i}")


def _welcomed(made: Bench) -> int:
    with tenant_scope(made.brand), transaction.atomic():
        return Touch.objects.filter(kind=Touch.Kind.WELCOME, state=Touch.State.DELIVERED).count()


def _waits(made: Bench) -> list[float]:
    """Seconds from the callback's receipt to the recorded answer of send_welcome_msg, without the warming one."""
    with tenant_scope(made.brand), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT extract(epoch FROM t.done_at - min(e.received_at))
              FROM campaigns_touch t
              JOIN contacts_follow f ON f.brand_id = t.brand_id AND f.contact_id = t.contact_id
              JOIN wecom_callbackevent e ON e.brand_id = t.brand_id AND position(f.external_userid in e.body) > 0
             WHERE t.brand_id = %s AND t.kind = %s AND t.done_at IS NOT NULL
             GROUP BY t.id, t.done_at ORDER BY t.done_at
            """,
            [made.brand.pk, Touch.Kind.WELCOME],
        )
        return [float(row[0]) for row in cursor.fetchall()][1:]


def _queries(made: Bench, code: ChannelCode) -> int:
    """Statements of one arrival handled in this process, up to the commit of the inbox event; tasks are not started."""
    from scrm.celery import app

    (external,) = made.load_customers(1)
    xml = (
        f"<xml><ToUserName>{made.corp.corpid}</ToUserName><FromUserName>sys</FromUserName><CreateTime>{int(time.time())}</CreateTime>"
        "<MsgType>event</MsgType><Event>change_external_contact</Event><ChangeType>add_external_contact</ChangeType>"
        f"<UserID>{made.userids[0]}</UserID><ExternalUserID>{external}</ExternalUserID><State>{code.state}</State>"
        "<WelcomeCode>WBENCH</WelcomeCode></xml>"
    )
    count = 0

    def counting(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        nonlocal count
        count += not sql.startswith(("SAVEPOINT", "RELEASE", "SET LOCAL"))
        return execute(sql, params, many, context)

    app.conf.task_always_eager = False
    with tenant_scope(made.brand):
        with transaction.atomic():
            event_id = inbox.receive(made.brand.pk, made.corp.pk, xml).event_id
        with connection.execute_wrapper(counting):
            inbox.process(made.brand, event_id)
        with transaction.atomic():
            assert CallbackEvent.objects.get(pk=event_id).state == CallbackEvent.State.DONE
    return count
