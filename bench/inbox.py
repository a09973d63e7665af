"""How fast a full inbox is emptied after an outage, and how many calls the sandbox answers."""

import json
import time
from collections.abc import Iterable

from django.db import connection, transaction
from django.db.models import Count, Max, Min

from bench import servers
from bench.callbacks import fire
from bench.corp import Bench, bench_corp
from bench.figures import Figure
from tenants.scoping import tenant_scope
from wecom.client import client_for
from wecom.models import CallbackEvent
from wecom.services import inbox
from wecom.tasks import handle_callback

EVENT = (
    "<xml><ToUserName>{corp}</ToUserName><FromUserName>sys</FromUserName><CreateTime>{at}</CreateTime><MsgType>event</MsgType>"
    "<Event>change_external_contact</Event><ChangeType>{change}</ChangeType><UserID>{user}</UserID>"
    "<ExternalUserID>{external}</ExternalUserID></xml>"
)
PROCESSES = 2


def run(full: bool) -> list[Figure]:
    n = 5000 if full else 500
    with bench_corp(guides=20) as made:
        externals = made.load_customers(n)
        alone = _one_by_one(made, externals[: n // 10])
        adds = _drain(made, "add_external_contact", externals[n // 10 :])
        edits = _drain(made, "edit_external_contact", externals[n // 10 :])
        reads, writes = _calls(made, externals, 400 if full else 100)
    return [
        Figure("inbox drained: adds (contact, follow, timeline, notice)", adds, "events/s", f"{PROCESSES} processes"),
        Figure("the same, in one process without a queue", alone, "events/s", "for comparison"),
        Figure("inbox drained: edits (profile read from WeCom, compared)", edits, "events/s", f"{PROCESSES} processes"),
        Figure("sandbox: pages of 100 relations, prepared", reads, "calls/s", "one process, 8 connections"),
        Figure("sandbox: remarks written", writes, "calls/s", "one process, 8 connections"),
    ]  # fmt: skip


def _store(made: Bench, change: str, externals: Iterable[str]) -> list[int]:
    at, ids = int(time.time()) - 60, []
    with tenant_scope(made.brand), transaction.atomic():
        for n, external in enumerate(externals):
            user = made.userids[n % len(made.userids)]
            xml = EVENT.format(corp=made.corp.corpid, at=at, change=change, user=user, external=external)
            ids.append(inbox.receive(made.brand.pk, made.corp.pk, xml).event_id)
    return ids


def _one_by_one(made: Bench, externals: list[str]) -> float:
    ids = _store(made, "add_external_contact", externals)
    start = time.perf_counter()
    with tenant_scope(made.brand):
        for event_id in ids:
            inbox.process(made.brand, event_id)
    return len(ids) / (time.perf_counter() - start)


def _drain(made: Bench, change: str, externals: list[str]) -> float:
    """Events a second from the first one finished to the last: the start of the worker does not count."""
    ids = _store(made, change, externals)
    for event_id in ids:
        handle_callback.apply_async(kwargs={"brand_id": made.brand.pk, "event_id": event_id})
    deadline = time.monotonic() + 200
    with servers.worker("fast", PROCESSES, **made.env):
        while True:
            connection.close_if_unusable_or_obsolete()
            with tenant_scope(made.brand), transaction.atomic():
                rows = CallbackEvent.objects.filter(pk__in=ids, state=CallbackEvent.State.DONE)
                done = rows.aggregate(n=Count("pk"), first=Min("done_at"), last=Max("done_at"))
            if done["n"] == len(ids):
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"{done['n']} of {len(ids)} events are done; see var/bench.log")
            time.sleep(0.3)
    return (len(ids) - 1) / (done["last"] - done["first"]).total_seconds()


def _calls(made: Bench, externals: list[str], n: int) -> tuple[float, float]:
    """Pages read and remarks written, a second; WeCom's limits are off."""
    made.control("settings", limits=False, in_flight=0)
    made.control("prepare", corpid=made.corp.corpid)
    token = client_for(made.corp).access_token
    page = json.dumps({"userid_list": made.userids, "cursor": "", "limit": 100})
    read = f"/cgi-bin/externalcontact/batch/get_by_user?access_token={token}\t{page}"
    remark = f"/cgi-bin/externalcontact/remark?access_token={token}\t"
    wrote = [
        remark + json.dumps({"userid": made.userids[i % len(made.userids)], "external_userid": x, "remark": f"r{i}"})
        for i, x in enumerate(externals[:n])
    ]  # fmt: skip
    port = int(made.sandbox.rpartition(":")[2])
    rates = []
    for lines in ([read] * n, wrote):
        done = fire(port, "\n".join(lines), 0, 8)
        assert done["statuses"] == {"200": len(lines)}, done["statuses"]
        rates.append(len(lines) / done["wall_s"])
    return rates[0], rates[1]
