"""The sync is killed, overtaken, resumed, and gets bad answers."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.conf import settings as django_settings
from django.db import connection

from contacts.models import Follow
from contacts.services.sync import sync, sync_lanes
from org.access import SYSTEM
from org.models import Job
from org.services import jobs
from scrm import clock
from scrm.redis import redis_client
from tenants.models import Brand
from tenants.scoping import tenant_scope
from tests.contacts.test_sync import BATCH, customers, full, go_on, picture, queued, run_sync
from tests.factories import in_brand, make_brand, make_corp
from tests.wecom.sandbox_client import CORPID

__all__ = ["queued"]
pytestmark = pytest.mark.django_db(transaction=True)


# ---- killed, overtaken, resumed

WORKER = """
import sys
import threading
import django
django.setup()
from datetime import timedelta
from contacts.services.sync import sync, sync_lanes
from org.services import jobs
from scrm import clock
from tenants.models import Brand
from tenants.scoping import tenant_scope

brand_id, job_id, later, steps = map(int, sys.argv[1:])
sync_lanes.PAGE, sync_lanes.AHEAD, sync.MERGE, sync.STEP_S, sync.DEPARTMENTS = 5, 1, 1, 0, 1
inner = sync.step

def step(brand, job):
    global steps
    if steps < 0:  # it is killed before: whoever kills may be slow
        threading.Event().wait(600)
        sys.exit("nobody has killed it")
    steps -= 1
    more = inner(brand, job)
    print("step", flush=True)
    return more

sync.step = step
brand = Brand.objects.get(pk=brand_id)
with tenant_scope(brand), clock.at(clock.now() + timedelta(minutes=3 * later)):
    jobs.run(brand, job_id)
"""


def worker(brand: Brand, job: Job, later: int, steps: int) -> subprocess.Popen:
    """A process that makes so many steps and is at the next one."""
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "scrm.settings",
        "WECOM_API_URL": django_settings.WECOM_API_URL,
        "DATABASE_URL": os.environ["DATABASE_URL"].rpartition("/")[0]
        + f"/{connection.settings_dict['NAME']}",
    }
    argv = [sys.executable, "-c", WORKER, str(brand.pk), str(job.pk), str(later), str(steps)]
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)


def test_killed_again_and_again_the_result_is_the_same(connected: SimpleNamespace) -> None:
    corpid, secret = "ww00000000000000cc", "killed-secret"
    groups = [{"group_name": "等级", "tags": ["普通", "黄金"]}, {"group_name": "兴趣", "tags": ["咖啡"]}]
    people = customers(230)
    connected.sandbox.load(customers=people)
    connected.sandbox.make_corp(corpid, secret=secret)
    connected.sandbox.load(
        corpid, members=[{"userid": "GuideA", "name": "甲"}, {"userid": "guideb", "name": "乙"}],
        tag_groups=groups, customers=people,
    )  # fmt: skip
    full(connected.brand, connected.corp)
    killed = make_brand()
    with in_brand(killed):
        corp = make_corp(killed, corpid=corpid, secret=secret)
        job = sync.start_sync(killed, corp=corp, by=SYSTEM)
    chance = random.Random(3)
    for turn in range(5):
        process = worker(killed, job, turn, 4 + turn)
        assert process.stdout
        for _ in range(4 + turn):
            assert process.stdout.readline() == "step\n"
        time.sleep(chance.random() * 0.04)  # in the middle of a step, of a call or of a transaction
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for key in redis_client().scan_iter(
            "*:flight"
        ):  # places of the dead run out after 30 s: not waited for here
            redis_client().delete(key)
    with in_brand(killed):
        job.refresh_from_db()
        assert (job.state, job.n_done < 300) == ("running", True)
        assert job.n_done > 0
    with tenant_scope(killed), clock.at(clock.now() + timedelta(minutes=30)):
        assert job.pk in jobs.stranded(killed)
        done = jobs.run(killed, job.pk)
    assert done
    assert (done.state, done.n_done) == ("done", 307)
    assert picture(killed) == picture(connected.brand)


def test_overtaken_step_writes_nothing(connected: SimpleNamespace) -> None:
    """Two processes at one job (one was only slow): the slower one's work is rolled back."""
    connected.sandbox.load(customers=customers(5))
    with in_brand(connected.brand):
        job = sync.start_sync(connected.brand, corp=connected.corp, by=SYSTEM)
        slow = Job.objects.get(pk=job.pk)
    with tenant_scope(connected.brand):
        claimed = jobs.claim(job.pk)
        assert claimed
        assert sync.step(connected.brand, claimed)
        assert sync.step(connected.brand, slow)
    with in_brand(connected.brand):
        job.refresh_from_db()
        assert job.position["n"] == 1


def test_paused_and_resumed(connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_lanes, "PAGE", 10)
    monkeypatch.setattr(sync, "MERGE", 1)
    monkeypatch.setattr(sync, "STEP_S", 0)
    monkeypatch.setattr(sync_lanes, "AHEAD", 1)
    connected.sandbox.load(customers=customers(60))
    with in_brand(connected.brand):
        job = sync.start_sync(connected.brand, corp=connected.corp, by=SYSTEM)
        again = sync.start_sync(connected.brand, corp=connected.corp, by=SYSTEM)
    assert again.pk == job.pk  # a double click
    with tenant_scope(connected.brand):
        claimed = jobs.claim(job.pk)
        assert claimed
        for _ in range(8):
            sync.step(connected.brand, claimed)
    with in_brand(connected.brand):
        jobs.pause(job.pk)
        half = Follow.objects.count()
    assert 0 < half < 80
    with in_brand(connected.brand):
        jobs.resume(connected.brand, job.pk)
    go_on(connected.brand, job)
    assert len(picture(connected.brand)["follows"]) == 80


def test_only_one_guide(connected: SimpleNamespace) -> None:
    connected.sandbox.load(customers=customers(9))
    result = full(connected.brand, connected.corp, kind="guide", staff=connected.b)
    assert result["relations"] == 3
    with in_brand(connected.brand):
        assert set(Follow.objects.values_list("staff__userid", flat=True)) == {"guideb"}
        connected.corp.refresh_from_db()
        assert connected.corp.synced_at is None


# ---- bad answers


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "errcode", "errcode": -1},
        {"kind": "errcode", "errcode": 40014},
        {"kind": "errcode", "errcode": 42001},
        {"kind": "errcode", "errcode": 45033},
        {"kind": "html"},
        {"kind": "empty"},
        {"kind": "http500"},
        {"kind": "drop_after"},
        {"kind": "slow", "seconds": 0.3},
    ],
    ids=lambda fault: str(fault.get("errcode", fault["kind"])),
)
def test_one_bad_answer_of_each_call(connected: SimpleNamespace, fault: dict) -> None:
    connected.sandbox.load(customers=customers(30))
    for api in ("department/list", "user/list", "externalcontact/get_follow_user_list", BATCH):
        connected.sandbox.post("faults", corpid=CORPID, api=api, times=1, **fault)
    full(connected.brand, connected.corp)
    assert len(picture(connected.brand)["follows"]) == 40


@pytest.mark.parametrize("fault", [{"kind": "html"}, {"kind": "errcode", "errcode": -1}], ids=["html", "-1"])
def test_wecom_down_for_a_while(connected: SimpleNamespace, fault: dict) -> None:
    connected.sandbox.load(customers=customers(30))
    connected.sandbox.post("faults", corpid=CORPID, api=BATCH, **fault)
    job = run_sync(connected.brand, connected.corp)
    assert job.state == "waiting"  # the sweep takes it up again
    assert job.error
    connected.sandbox.post("faults/clear")
    go_on(connected.brand, job)
    assert len(picture(connected.brand)["follows"]) == 40


def test_limit_is_waited_for(connected: SimpleNamespace) -> None:
    connected.sandbox.load(customers=customers(3))
    connected.sandbox.post("faults", corpid=CORPID, api=BATCH, kind="errcode", errcode=45009, times=1)
    assert run_sync(connected.brand, connected.corp).state == "waiting"


@pytest.mark.parametrize("errcode", [60020, 48002, 40001])
def test_what_an_admin_has_to_mend_fails_with_its_reason(connected: SimpleNamespace, errcode: int) -> None:
    connected.sandbox.load(customers=customers(3))
    connected.sandbox.post("faults", corpid=CORPID, api=BATCH, kind="errcode", errcode=errcode)
    job = run_sync(connected.brand, connected.corp)
    assert job.state == "failed"
    assert job.error
    connected.sandbox.post("faults/clear")
    with in_brand(connected.brand):
        jobs.resume(connected.brand, job.pk)
    go_on(connected.brand, job)


def test_members_without_customers(connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """84061 for a guide with nobody is an empty list."""
    monkeypatch.setattr(sync_lanes, "LANES", 1)
    connected.sandbox.load(members=[{"userid": f"empty{n}", "name": "空"} for n in range(3)])
    assert full(connected.brand, connected.corp)["relations"] == 0
    connected.sandbox.load(customers=customers(3))
    connected.sandbox.post("faults", corpid=CORPID, api=BATCH, kind="errcode", errcode=84061, times=1)
    assert full(connected.brand, connected.corp)["relations"] == 4


def test_one_member_whom_wecom_refuses(connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are read; the relations of the refused one do not end."""
    monkeypatch.setattr(sync_lanes, "LANES", 1)
    monkeypatch.setattr(sync_lanes, "PER_LANE", 1)
    connected.sandbox.load(customers=customers(9))
    full(connected.brand, connected.corp)
    connected.sandbox.post("faults", corpid=CORPID, api=BATCH, kind="errcode", errcode=60111, times=2)
    job = run_sync(connected.brand, connected.corp)
    assert (job.state, job.n_bad, job.result["skipped"]) == ("done", 1, 1)
    assert job.result.get("gone", 0) == 0
    with in_brand(connected.brand):
        assert Follow.objects.filter(ended_at=None).count() == 12


def test_forgotten_cursor_starts_the_guides_again(
    connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_lanes, "PAGE", 10)
    monkeypatch.setattr(sync_lanes, "LANES", 1)
    connected.sandbox.load(customers=customers(30))
    connected.sandbox.post("faults", corpid=CORPID, api=BATCH, kind="slow", seconds=0, times=2)
    connected.sandbox.post("faults", corpid=CORPID, api=BATCH, kind="errcode", errcode=50100, times=1)
    result = full(connected.brand, connected.corp)
    assert result["new_relations"] == 40
