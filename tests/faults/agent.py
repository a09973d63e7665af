"""The product's own code in a process beside web and workers, told what to do line by line: `python -m tests.faults.agent`.

A line of JSON in, {"act": …, arguments}; a line of JSON out, {"ok": …} or {"error": …}. It makes the brand of a test,
looks at what there is, and plays the minutes that no test waits for: leases that run out, sweeps, retries.
"""

import json
import os
import sys
import traceback
from datetime import timedelta
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scrm.settings")
import django

django.setup()

from django.db import close_old_connections, connection, transaction  # noqa: E402
from django.db.models import Count  # noqa: E402

from campaigns.models import SendTask, Touch  # noqa: E402
from campaigns.services import due  # noqa: E402
from campaigns.services.broadcasts import broadcasts, waves  # noqa: E402
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput  # noqa: E402
from campaigns.services.sending import handing, looking, results  # noqa: E402
from campaigns.tasks import tick_brand  # noqa: E402
from contacts.models import Contact, EventType, Follow  # noqa: E402
from contacts.services.sync import sync  # noqa: E402
from drift.services import runs  # noqa: E402
from livecodes.models import Welcome  # noqa: E402
from livecodes.services import codes, greeting, meeting, ways  # noqa: E402
from livecodes.services.content import CodeInput, GuideInput  # noqa: E402
from org.access import SYSTEM  # noqa: E402
from org.models import Corp, Job, Staff  # noqa: E402
from org.services import jobs  # noqa: E402
from org.services.brands import connect_corp, create_brand  # noqa: E402
from scrm import clock  # noqa: E402
from scrm.celery import app  # noqa: E402
from scrm.redis import redis_client  # noqa: E402
from tenants.models import Brand  # noqa: E402
from tenants.scoping import tenant_scope  # noqa: E402
from tests.faults import journey  # noqa: E402
from wecom.models import CallbackEvent, OutboundCall  # noqa: E402
from wecom.services import inbox, outbound  # noqa: E402
from wecom.services.outbound_order import OPEN  # noqa: E402
from wecom.tasks import deliver, handle_callback  # noqa: E402


def make_brand(*, corpid: str, secret: str, userids: list[str], slug: str) -> dict[str, Any]:
    """A brand with a corp and guides. Where WeCom has to post its events, and how they are sealed."""
    brand = create_brand(name=slug, slug=slug)
    with tenant_scope(brand):
        corp = connect_corp(brand, by=SYSTEM, name=slug, corpid=corpid, agent_id=1000002, secret=secret)
        with transaction.atomic():
            for userid in userids:
                Staff.objects.create(name=userid, corp=corp, userid=userid, is_guide=True)
    return {
        "brand_id": brand.pk,
        "path": f"/wecom/callback/{corp.callback_path}/",
        "token": corp.callback_token,
        "aes_key": corp.callback_aes_key,
    }


def make_code(*, brand_id: int) -> dict[str, Any]:
    """A channel code of all guides, with a welcome."""
    brand = Brand.objects.get(pk=brand_id)
    with tenant_scope(brand):
        with transaction.atomic():
            corp = Corp.objects.get()
            guides = [GuideInput(pk) for pk in Staff.objects.values_list("pk", flat=True)]
            Welcome.objects.create(text="{客户昵称|你好}，欢迎")
        code = codes.create_code(
            brand, by=SYSTEM, corp=corp, given=CodeInput(name="code", guides=guides), push=False
        )
        ways.push(brand, code.pk)
        with transaction.atomic():
            code.refresh_from_db()
    return {"state": code.state, "config_id": code.config_id}


def counts(*, brand_id: int) -> dict[str, Any]:
    """How far everything is."""
    with tenant_scope(brand_id), transaction.atomic():
        return {
            "inbox": _by(CallbackEvent.objects, "state"),
            "outbound": _by(OutboundCall.objects, "state"),
            "put_off": list(OutboundCall.objects.filter(state__in=OPEN).values_list("error", flat=True)),
            "touches": _by(Touch.objects, "state"),
            "jobs": _by(Job.objects, "state"),
            "contacts": Contact.objects.count(),
            "follows": Follow.objects.filter(ended_at=None).count(),
        }


def _by(rows: Any, field: str) -> dict[str, int]:
    return {str(key): n for key, n in rows.values_list(field).annotate(n=Count("pk"))}


_PEOPLE = """
    SELECT f.external_userid, s.userid, c.id AS contact, c.name, c.n_follows, f.remark,
           f.ended_at IS NOT NULL AS ended,
           (SELECT coalesce(array_agg(t.state ORDER BY t.id), '{}') FROM campaigns_touch t
             WHERE t.brand_id = f.brand_id AND t.contact_id = f.contact_id AND t.kind = %s) AS welcomes,
           (SELECT count(*) FROM contacts_event e
             WHERE e.brand_id = f.brand_id AND e.contact_id = f.contact_id AND e.type = %s) AS added,
           (SELECT count(*) FROM contacts_identity i
             WHERE i.brand_id = f.brand_id AND i.contact_id = f.contact_id) AS identities
      FROM contacts_follow f
      JOIN org_staff s ON s.brand_id = f.brand_id AND s.id = f.staff_id
      JOIN contacts_contact c ON c.brand_id = f.brand_id AND c.id = f.contact_id
     WHERE f.brand_id = %s ORDER BY f.id
"""


def people(*, brand_id: int) -> list[dict[str, Any]]:
    """Every relation, and what the ledger and the timeline say of its contact."""
    with tenant_scope(brand_id), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_PEOPLE, [int(Touch.Kind.WELCOME), int(EventType.ADDED), brand_id])
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for row in rows:
        row["welcomes"] = [Touch.State(state).name for state in row["welcomes"]]
    return rows


def start_sync(*, brand_id: int, kind: str) -> int:
    """The id of the job."""
    with tenant_scope(brand_id), transaction.atomic():
        corp = Corp.objects.get()
        return sync.start_sync(Brand.objects.get(pk=brand_id), corp=corp, by=SYSTEM, kind=kind).pk


def start_drift(*, brand_id: int) -> int:
    """A reconciliation; the id of its job."""
    with tenant_scope(brand_id), transaction.atomic():
        return runs.start_run(Brand.objects.get(pk=brand_id), corp=Corp.objects.get(), by=SYSTEM).pk


def job(*, brand_id: int, job_id: int) -> dict[str, Any]:
    """State and progress of a job."""
    with tenant_scope(brand_id), transaction.atomic():
        row = Job.objects.get(pk=job_id)
        return {"state": row.state, "n_done": row.n_done, "error": row.error, "result": row.result}


def sweep(*, brand_id: int) -> None:
    """What beat starts every few seconds."""
    with tenant_scope(brand_id):
        for event_id in inbox.due(500):
            handle_callback.delay(brand_id=brand_id, event_id=event_id)
        if calls := outbound.due(500):
            deliver.delay(brand_id=brand_id, call_ids=calls)


def later(*, brand_id: int, seconds: int) -> dict[str, Any]:
    """What the sweeps and workers would do so many seconds from now, until nothing is left to do."""
    brand, client = Brand.objects.get(pk=brand_id), redis_client()
    for pattern in ("*:flight", "turn:*"):  # what a killed process held in Redis runs out there in real time
        for key in client.scan_iter(pattern):
            client.delete(key)
    then = clock.now() + timedelta(seconds=seconds)
    for n in range(20):
        # what is put off for some seconds is due in the next round
        with clock.at(then + n * timedelta(seconds=10)), tenant_scope(brand):
            events, calls = inbox.due(500), outbound.due(500)
            for event_id in events:
                inbox.process(brand, event_id)
            outbound.deliver_many(brand, calls)
            greeting.settle_lost(brand)
            unmet = meeting.unmet(brand)
            for ids in unmet:
                meeting.meet(brand, **ids)
            stranded = jobs.stranded(brand)
            for job_id in stranded:
                jobs.run(brand, job_id)
            with transaction.atomic():
                is_open = OutboundCall.objects.filter(state__in=OPEN).exists()
            if not (events or calls or unmet or stranded or is_open):
                break
    return counts(brand_id=brand_id)


def start_broadcast(*, brand_id: int, contents: int = 2) -> int:
    """A broadcast to everybody, launched; its id."""
    brand = Brand.objects.get(pk=brand_id)
    with tenant_scope(brand), transaction.atomic():
        given = BroadcastInput(
            "杀进程",
            {"condition": {"kind": "everybody"}},
            [VariantInput(f"{n} 号内容") for n in range(contents)],
        )
        draft = broadcasts.save_draft(brand, given, by=SYSTEM)
        return broadcasts.launch(brand, broadcast_id=draft.pk, by=SYSTEM).pk


def beat(*, brand_id: int) -> None:
    """What beat starts each minute for broadcasts."""
    tick_brand.delay(brand_id=brand_id)


def later_reach(*, brand_id: int, seconds: int) -> dict[str, int]:
    """What the ticks and workers would do for broadcasts so many seconds from now; states of send tasks."""
    brand, client = Brand.objects.get(pk=brand_id), redis_client()
    for key in client.scan_iter("*:flight"):
        client.delete(key)
    with clock.at(clock.now() + timedelta(seconds=seconds)), tenant_scope(brand):
        for _round in range(8):
            waves.run_due(brand)
            found = due.look()
            ids = {state: [task_id for task_id, _guide in rows] for state, rows in found.tasks.items()}
            handing.hand_over(brand, ids["planned"])
            looking.recover(brand, ids["calling"])
            for task_id in ids["handed"]:
                results.poll(brand, task_id)
            if not any(found.tasks.values()):
                break
        waves.finish(brand)
    with tenant_scope(brand), transaction.atomic():
        return _by(SendTask.objects, "state")


def ledger(*, brand_id: int) -> list[list[Any]]:
    """[external id, state, number of touches] of a brand's broadcasts, by person."""
    with tenant_scope(brand_id), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.value, t.state, count(*) FROM campaigns_touch t"
            " JOIN contacts_identity i ON i.brand_id = t.brand_id AND i.contact_id = t.contact_id"
            "  AND i.kind = 'external_userid'"
            " WHERE t.brand_id = %s AND t.broadcast_id IS NOT NULL GROUP BY 1, 2",
            [brand_id],
        )
        return [[external, Touch.State(state).name, n] for external, state, n in cursor.fetchall()]


def ready() -> bool:
    """Postgres answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def workers() -> list[str]:
    """Names of the Celery workers that answer, without their host."""
    replies = app.control.broadcast("ping", reply=True, limit=2, timeout=1.0)
    return [name.partition("@")[0] for reply in replies or [] for name in reply]


ACTS = {
    act.__name__: act
    for act in [
        make_brand, make_code, counts, people, start_sync, start_drift, job, sweep, later, ready, start_broadcast, beat,
        later_reach, ledger, workers, *journey.ACTS,
    ]
}  # fmt: skip


def main() -> None:
    for line in sys.stdin:
        given = json.loads(line)
        close_old_connections()
        try:
            answer = {"ok": ACTS[given.pop("act")](**given)}
        except Exception as error:  # told to the test, which decides
            answer = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main()
