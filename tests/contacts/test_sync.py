"""The sync against the sandbox: everything once, then only differences, through kills and bad answers."""

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact, ContactGram, Event, EventType, Follow, Identity
from contacts.services import sync, sync_gone, sync_halves, sync_lanes, sync_lists
from contacts.services.follow import end_follow, record_follow
from contacts.services.sync_types import Conflict
from org.access import SYSTEM
from org.models import Corp, Department, Job, Staff
from org.services import jobs
from scrm import clock
from scrm.celery import app
from scrm.redis import redis_client
from tagging.models import ContactTag, Tag
from tagging.services.tags import add_tags
from tenants.db import statistics
from tenants.models import Brand
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_brand, make_corp, make_staff
from tests.tagging.test_hot_plans import crowd
from tests.wecom.sandbox_client import CORPID
from wecom.models import OutboundCall
from wecom.services import outbound

pytestmark = pytest.mark.django_db(transaction=True)

OLD = int(datetime(2025, 3, 1, 4, tzinfo=UTC).timestamp())
BATCH = "externalcontact/batch/get_by_user"


@pytest.fixture(autouse=True)
def queued() -> Any:
    """Jobs only start when a test runs them; tasks go to a queue that nobody reads."""
    app.conf.task_always_eager = False
    yield
    app.conf.task_always_eager = True


def external(n: int) -> str:
    return f"wm{n:030d}"


def customers(
    n: int, first: int = 0, guides: tuple[str, ...] = ("GuideA", "guideb"), **over: Any
) -> list[dict]:
    """Every third one has two guides; tags and remarks differ."""
    return [
        {
            "external_userid": external(i),
            "name": f"顾客{i}",
            "unionid": f"o{i:027d}",
            "gender": i % 3,
            "follows": [
                {
                    "userid": guide,
                    "createtime": OLD + i,
                    "remark": f"备注{i}" if i % 2 else "",
                    "add_way": 1,
                    "tags": [["普通"], ["黄金", "咖啡"], []][i % 3],
                }
                for guide in (guides if i % 3 == 0 else guides[:1])
            ],
            **over,
        }
        for i in range(first, first + n)
    ]


def run_sync(brand: Brand, corp: Corp, **kind: Any) -> Job:
    """Start and run to the end, or to what stops it."""
    with in_brand(brand):
        job = sync.start_sync(brand, corp=corp, by=SYSTEM, **kind)
    with tenant_scope(brand):
        done = jobs.run(brand, job.pk)
    assert done is not None
    return done


def go_on(brand: Brand, job: Job) -> None:
    """What the sweep does with a job that waits; it ends well."""
    with tenant_scope(brand):
        done = jobs.run(brand, job.pk)
    assert done
    assert (done.state, done.error) == ("done", "")


def full(brand: Brand, corp: Corp, **kind: Any) -> dict:
    job = run_sync(brand, corp, **kind)
    assert (job.state, job.error) == ("done", "")
    return job.result


def picture(brand: Brand) -> dict[str, Any]:
    """All that a sync writes, without our own ids."""
    with in_brand(brand):
        names = dict(Contact.objects.values_list("pk", "name"))
        contacts = Contact.objects.values_list("name", "gender", "kind", "n_follows", "added_at", "lost_at")
        follows = Follow.objects.values_list(
            "staff__userid", "external_userid", "contact__name", "remark", "state", "add_way",
            "wecom_tag_ids", "added_at", "end_kind", "is_pending",
        )  # fmt: skip
        tag_names = dict(Tag.objects.values_list("wecom_id", "name"))
        return {
            "contacts": sorted(contacts, key=repr),
            "follows": sorted(
                [(*row[:6], sorted(tag_names[t] for t in row[6]), *row[7:]) for row in follows], key=repr
            ),
            "identities": sorted(Identity.objects.values_list("kind", "value", "contact__name")),
            "tags": sorted(ContactTag.objects.values_list("tag__name", "contact__name", "source")),
            "grams": sorted(ContactGram.objects.values_list("gram", "contact__name")),
            "events": sorted(
                (names[c], t, at, s)
                for c, t, at, s in Event.objects.values_list("contact_id", "type", "at", "source")
            ),
            "staff": sorted(
                Staff.objects.exclude(userid="").values_list(
                    "userid", "name", "department_ids", "is_guide", "state"
                ),
                key=repr,
            ),
            "positions": Contact.objects.values("position").distinct().count() == len(names),
        }


def test_everything_arrives(connected: SimpleNamespace) -> None:
    connected.sandbox.make_corp(open_platform=True)
    connected.sandbox.load(customers=customers(250))
    result = full(connected.brand, connected.corp)
    assert result["relations"] == 250 + 84
    assert (result["new_contacts"], result["new_relations"]) == (250, 334)
    got = picture(connected.brand)
    assert len(got["contacts"]) == 250
    assert len(got["follows"]) == 334
    assert len(got["identities"]) == 500
    assert [e[1:] for e in got["events"] if e[0] == "顾客7"] == [
        (EventType.ADDED, datetime.fromtimestamp(OLD + 7, UTC), "sync")
    ]
    assert len(got["events"]) == 334
    assert ("guidea", external(7), "顾客7", "备注7", "", 1, ["咖啡", "黄金"]) == got["follows"][
        [f[1] for f in got["follows"]].index(external(7))
    ][:7]
    assert ("黄金", "顾客7", "wecom") in got["tags"]
    with in_brand(connected.brand):
        contact = Contact.objects.get(name="顾客6")
        assert (contact.n_follows, contact.gender) == (2, 0)
        assert contact.added_at == datetime.fromtimestamp(OLD + 6, UTC)
        assert contact.profile_at is not None
        connected.corp.refresh_from_db()
        assert connected.corp.synced_at is not None
        job = Job.objects.get(kind=sync.KIND)
        assert job.n_done == job.n_total == 334


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_postgres_is_told_of_a_brand_that_grows(
    connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a brand that it knows, a new one counts as one row, and batches would be looked up by any index."""
    crowd(make_brand(), 1_000)
    tables = [table for each in sync.TABLES.values() for table in each]
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(tables)}")
    monkeypatch.setattr(sync, "MANY", 50)
    connected.sandbox.load(customers=customers(120))
    assert full(connected.brand, connected.corp)["new_contacts"] == 120
    assert not statistics.refresh(connected.brand, tables, 120)


def test_again_changes_nothing(connected: SimpleNamespace) -> None:
    connected.sandbox.load(customers=customers(60))
    full(connected.brand, connected.corp)
    before = picture(connected.brand)
    result = full(connected.brand, connected.corp)
    assert {k: result[k] for k in ("relations", "new_contacts", "new_relations", "changed", "returned")} == {
        "relations": 80, "new_contacts": 0, "new_relations": 0, "changed": 0, "returned": 0,
    }  # fmt: skip
    assert picture(connected.brand) == before


def test_differences_are_taken_over(connected: SimpleNamespace) -> None:
    connected.sandbox.load(customers=customers(10))
    full(connected.brand, connected.corp)
    connected.sandbox.post(
        "member_edits", corpid=CORPID, external_userid=external(1), userid="GuideA", remark="新备注",
        add_tags=["普通"], remove_tags=["黄金"],
    )  # fmt: skip
    connected.sandbox.load(
        customers=[{**customers(1, 2)[0], "name": "改名了", "gender": 1}, *customers(2, 20)]
    )
    result = full(connected.brand, connected.corp)
    assert result["new_contacts"] == 2
    got = picture(connected.brand)
    assert ("普通", "顾客1", "wecom") in got["tags"]
    assert ("黄金", "顾客1", "wecom") not in got["tags"]
    assert [e[1] for e in got["events"] if e[0] == "顾客1"] == [
        EventType.ADDED, EventType.TAGGED, EventType.UNTAGGED, EventType.REMARKED,
    ]  # fmt: skip
    assert any(c[0] == "改名了" and c[1] == 1 for c in got["contacts"])
    assert not any(g[0] == "顾客" and g[1] == "改名了" for g in got["grams"])
    assert ("改名", "改名了") in got["grams"]


def test_two_brands_do_not_meet(connected: SimpleNamespace) -> None:
    """The same people (one unionid) in the corps of two brands are two contacts."""
    other = make_brand()
    corpid = "ww00000000000000bb"
    connected.sandbox.make_corp(open_platform=True)
    connected.sandbox.make_corp(corpid, secret="other-secret", open_platform=True)
    connected.sandbox.load(corpid, members=[{"userid": "guidea", "name": "丙"}], tag_groups=[
        {"group_name": "等级", "tags": ["普通", "黄金", "咖啡"]}])  # fmt: skip
    connected.sandbox.load(customers=customers(6))
    connected.sandbox.load(corpid, customers=customers(3, guides=("guidea",)))
    with in_brand(other):
        theirs = make_corp(other, corpid=corpid, secret="other-secret")
    full(connected.brand, connected.corp)
    before = picture(connected.brand)
    full(other, theirs)
    assert picture(connected.brand) == before
    assert len(picture(other)["contacts"]) == 3


def test_unionid_joins_what_was_two(connected: SimpleNamespace) -> None:
    """A contact known by unionid only, and one known by external_userid only, turn out to be one person."""
    with in_brand(connected.brand):
        for n, key in enumerate((("unionid", "", "o" + "7" * 27), ("external_userid", CORPID, external(7)))):
            contact = Contact.objects.create(name=f"旧{n}", position=900 + n, added_at=clock.now())
            Identity.objects.create(contact=contact, kind=key[0], scope=key[1], value=key[2])
    connected.sandbox.make_corp(open_platform=True)
    people = [{**customers(1, n)[0], "unionid": f"o{n}" + f"{n}" * 26} for n in (7, 8)]
    connected.sandbox.load(customers=people)
    full(connected.brand, connected.corp)
    with in_brand(connected.brand):
        contact = Contact.objects.get(identities__value=external(7))
        assert set(contact.identities.values_list("value", flat=True)) == {external(7), "o" + "7" * 27}
        assert contact.name == "顾客7"
        assert Event.objects.filter(contact_id=contact.pk, type=EventType.MERGED).count() == 1
        assert Contact.objects.count() == 2


# ---- what has changed while nobody heard


def _apart(connected: SimpleNamespace) -> None:
    """Many of one guide and few of the other are new, some are gone, and no callback has told it."""
    connected.sandbox.load(customers=customers(60))
    full(connected.brand, connected.corp)
    connected.sandbox.load(customers=customers(24, 100, guides=("GuideA",)))
    connected.sandbox.load(customers=customers(2, 200, guides=("guideb",)))
    for n in (1, 3, 6):
        connected.sandbox.post("member_deletes", corpid=CORPID, external_userid=external(n), userid="GuideA")


def _as_if_read_anew(connected: SimpleNamespace) -> None:
    """What is open here is what another brand finds in a corp with the same people."""
    got = picture(connected.brand)
    there = {(row[0], row[1]) for row in got["follows"] if not row[8]}
    shown = {(userid, one) for userid in ("guidea", "guideb") for one in connected.sandbox.api(
        "externalcontact/list", userid=userid, access_token=connected.sandbox.token())["external_userid"]}  # fmt: skip
    assert there == shown
    assert sorted(row[1] for row in got["follows"] if row[8] == "gone") == [external(n) for n in (1, 3, 6)]
    assert len(got["contacts"]) == 60 + 26
    assert len([e for e in got["events"] if e[1] == EventType.ADDED]) == 80 + 26
    assert got["positions"]


def test_changes_by_pages_and_one_by_one(connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_lanes, "PAGE", 10)
    monkeypatch.setattr(sync_lists, "PAGE", 10)
    _apart(connected)
    connected.sandbox.post("calls/forget")
    result = full(connected.brand, connected.corp, kind="changes")
    assert (result["new_relations"], result["gone"], result["lists"]) == (26, 3, 2)
    calls = connected.sandbox.get("calls/counts", corpid=CORPID)
    assert calls["externalcontact/get"] == 2
    assert calls[BATCH] == 9  # the guide with 82
    _as_if_read_anew(connected)
    again = full(connected.brand, connected.corp, kind="changes")
    assert (again.get("new_relations", 0), again["gone"]) == (0, 0)


def test_changes_in_many_small_steps(connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step by somebody who knows the stored position only; one dies between reading and writing."""
    for module, name, value in (
        (sync_lists, "LISTS", 1), (sync_lists, "MOST_PEOPLE", 2), (sync_lists, "STEP_S", 0), (sync, "STEP_S", 0),
        (sync_lanes, "PEOPLE", 4), (sync_lanes, "SINGLE", 2), (sync_lanes, "AHEAD", 1), (sync, "MERGE", 1),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    _apart(connected)
    with in_brand(connected.brand):
        job = sync.start_sync(connected.brand, corp=connected.corp, by=SYSTEM, kind="changes")
    with tenant_scope(connected.brand):
        assert jobs.claim(job.pk)
        inner, died = sync_halves.merge, list[bool]()

        def merge(*args: Any, **more: Any) -> Any:
            done = inner(*args, **more)
            if len(died) < 2:
                died.append(True)
                raise KeyError
            return done

        monkeypatch.setattr(sync_halves, "merge", merge)
        more, stages = True, set()
        while more:
            with in_brand(connected.brand):
                fresh = Job.objects.get(pk=job.pk)
            stages.add((fresh.position.get("stage"), len(fresh.position.get("people", []))))
            try:
                more = sync.step(connected.brand, fresh)
            except KeyError:
                assert len(died) <= 2
    assert len(died) == 2
    assert {stage for stage, _ in stages} >= {"lists", "contacts", "gone"}
    _as_if_read_anew(connected)


def test_a_customer_who_is_gone_when_we_ask(connected: SimpleNamespace) -> None:
    _apart(connected)
    connected.sandbox.post(
        "faults", corpid=CORPID, api="externalcontact/get", kind="errcode", errcode=84061, times=1
    )
    result = full(connected.brand, connected.corp, kind="changes")
    assert result["gone"] == 3
    assert result["new_relations"] in (25, 26)  # who was refused is found by the next one
    full(connected.brand, connected.corp, kind="changes")
    _as_if_read_anew(connected)


# ---- members


def test_members_and_departments(connected: SimpleNamespace) -> None:
    connected.sandbox.load(
        departments=[{"id": 1, "name": "总部", "parentid": 0}, {"id": 5, "name": "一店", "parentid": 1}],
        members=[
            {"userid": "Boss", "name": "店长", "department": [5], "leader": True, "has_contact_right": False},
            {"userid": "GuideC", "name": "丙", "department": [1, 5], "position": "导购"},
        ],
    )
    with in_brand(connected.brand):
        gone = make_staff(connected.brand, connected.corp, userid="gone", name="走了")
        disabled = make_staff(connected.brand, connected.corp, userid="guidec", state="disabled")
        Department.objects.create(corp=connected.corp, wecom_id=99, name="旧部门")
    full(connected.brand, connected.corp)
    with in_brand(connected.brand):
        assert dict(Department.objects.values_list("wecom_id", "name")) == {1: "总部", 5: "一店"}
        boss, c = Staff.objects.get(userid="boss"), Staff.objects.get(userid="guidec")
        gone.refresh_from_db()
    assert (boss.name, boss.is_guide, boss.department_ids) == ("店长", False, [5])
    assert (c.pk, c.is_guide, c.position, sorted(c.department_ids)) == (disabled.pk, True, "导购", [1, 5])
    assert c.state == Staff.State.DISABLED  # somebody here disabled them: the sync does not enable
    assert (gone.state, gone.is_guide) == ("left", False)


# ---- who is not there any more


def test_missing_relations_end(connected: SimpleNamespace) -> None:
    connected.sandbox.load(customers=customers(12))
    full(connected.brand, connected.corp)
    for n in (1, 3):  # 1 loses its only guide, 3 one of two; no callback reaches us
        connected.sandbox.post("member_deletes", corpid=CORPID, external_userid=external(n), userid="GuideA")
    result = full(connected.brand, connected.corp)
    assert result["gone"] == 2
    got = picture(connected.brand)
    assert [f[1:3] for f in got["follows"] if f[8] == "gone"] == [
        (external(1), "顾客1"),
        (external(3), "顾客3"),
    ]
    assert [c[3] for c in got["contacts"] if c[0] in ("顾客1", "顾客3")] == [0, 1]
    assert EventType.GONE in [e[1] for e in got["events"] if e[0] == "顾客1"]
    with in_brand(connected.brand):
        assert Contact.objects.get(name="顾客1").lost_at is not None
    assert full(connected.brand, connected.corp)["gone"] == 0  # once


def test_what_is_found_again_lives_again(connected: SimpleNamespace) -> None:
    connected.sandbox.load(customers=customers(4))
    full(connected.brand, connected.corp)
    with in_brand(connected.brand):
        Follow.objects.filter(external_userid=external(1)).update(
            ended_at=clock.now(), end_kind="gone", changed_at=clock.now()
        )
        Contact.objects.filter(name="顾客1").update(n_follows=0, lost_at=clock.now())
    assert full(connected.brand, connected.corp)["returned"] == 1
    with in_brand(connected.brand):
        contact = Contact.objects.get(name="顾客1")
        assert (contact.n_follows, contact.lost_at) == (1, None)


def test_customer_who_deleted_the_guide_stays_lost(connected: SimpleNamespace) -> None:
    """WeCom goes on listing the relation: the guide still has the customer in the list."""
    connected.sandbox.load(customers=customers(4))
    full(connected.brand, connected.corp)
    with in_brand(connected.brand):
        end_follow(
            connected.brand, corp=connected.corp, staff=connected.a, external_userid=external(1),
            at=clock.now(), kind=Follow.End.BY_CUSTOMER, source="callback",
        )  # fmt: skip
    full(connected.brand, connected.corp)
    with in_brand(connected.brand):
        assert Follow.objects.get(external_userid=external(1)).end_kind == "customer"


def test_added_again_while_we_did_not_listen(connected: SimpleNamespace) -> None:
    connected.sandbox.load(customers=customers(4))
    full(connected.brand, connected.corp)
    back = datetime.fromtimestamp(OLD + 90_000, UTC)
    with in_brand(connected.brand):
        end_follow(
            connected.brand, corp=connected.corp, staff=connected.a, external_userid=external(1),
            at=datetime.fromtimestamp(OLD + 80_000, UTC), kind=Follow.End.BY_CUSTOMER, source="callback",
        )  # fmt: skip
    connected.sandbox.load(customers=[{"external_userid": external(1), "name": "顾客1", "follows": [
        {"userid": "GuideA", "createtime": OLD + 90_000}]}])  # fmt: skip
    assert full(connected.brand, connected.corp)["returned"] == 1
    with in_brand(connected.brand):
        follow = Follow.objects.get(external_userid=external(1))
        assert (follow.ended_at, follow.added_at) == (None, back)
        assert Event.objects.filter(type=EventType.ADDED_AGAIN, at=back).count() == 1


def test_half_added_is_not_gone_and_is_confirmed(connected: SimpleNamespace) -> None:
    with in_brand(connected.brand):
        record_follow(
            connected.brand, corp=connected.corp, staff=connected.a, external_userid=external(1),
            at=datetime.fromtimestamp(OLD, UTC), pending=True, source="callback",
        )  # fmt: skip
    full(connected.brand, connected.corp)
    with in_brand(connected.brand):
        assert Follow.objects.get().ended_at is None
    connected.sandbox.load(customers=customers(1, 1))
    full(connected.brand, connected.corp)
    with in_brand(connected.brand):
        assert not Follow.objects.get().is_pending
        assert Contact.objects.get().n_follows == 1


def test_half_of_them_missing_is_not_believed(
    connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_gone, "GONE_ALLOWED", 2)
    connected.sandbox.load(customers=customers(8, guides=("guidea",)))
    full(connected.brand, connected.corp)
    for n in range(4):
        connected.sandbox.post("member_deletes", corpid=CORPID, external_userid=external(n), userid="guidea")
    result = full(connected.brand, connected.corp)
    assert (result["suspicious"], result.get("gone", 0)) == (4, 0)
    with in_brand(connected.brand):
        assert Follow.objects.filter(ended_at=None).count() == 8


# ---- together with arrivals and the outbox


def test_sync_that_is_quicker_than_the_event(connected: SimpleNamespace) -> None:
    """The event of the adding is handled afterwards: still an arrival, once, with what the code orders."""
    connected.sandbox.load(customers=customers(3))
    full(connected.brand, connected.corp)
    flags = []
    for _ in range(2):
        with in_brand(connected.brand):
            result = record_follow(
                connected.brand, corp=connected.corp, staff=connected.a, external_userid=external(1),
                at=datetime.fromtimestamp(OLD + 1, UTC), state="x", source="callback",
            )  # fmt: skip
        flags.append((result.is_new_follow, result.is_new_contact))
    assert flags == [(True, False), (False, False)]
    assert len([e for e in picture(connected.brand)["events"] if e[0] == "顾客1"]) == 1


def test_what_is_on_its_way_to_wecom_is_not_undone(connected: SimpleNamespace) -> None:
    connected.sandbox.load(customers=customers(3))
    full(connected.brand, connected.corp)
    with in_brand(connected.brand):
        contact, tag = Contact.objects.get(name="顾客2"), Tag.objects.get(name="普通")
        add_tags(connected.brand, contacts=[contact], tags=[tag], source="page")
        outbound.enqueue(
            connected.brand, corp=connected.corp, kind="remark", key="r", subject=external(2),
            payload={"userid": "guidea", "external_userid": external(2), "remark": "我们的"},
        )  # fmt: skip
        Follow.objects.filter(external_userid=external(2)).update(remark="我们的")
        assert OutboundCall.objects.filter(state="waiting").count() == 2
    before = picture(connected.brand)
    full(connected.brand, connected.corp)
    assert picture(connected.brand) == before


def test_arrivals_during_the_sync(connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same customers come by callback at the same time: nobody is doubled, nobody is missing."""
    monkeypatch.setattr(sync_lanes, "PAGE", 20)
    monkeypatch.setattr(sync, "MERGE", 1)
    connected.sandbox.load(customers=customers(120))
    problems: list[Exception] = []

    def arrive() -> None:
        order = list(range(120))
        random.Random(7).shuffle(order)
        try:
            for n in order:
                with in_brand(connected.brand):
                    record_follow(
                        connected.brand, corp=connected.corp, staff=connected.a, external_userid=external(n),
                        at=datetime.fromtimestamp(OLD + n, UTC), source="callback",
                    )  # fmt: skip
        except Exception as error:
            problems.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=arrive)
    thread.start()
    full(connected.brand, connected.corp)
    thread.join()
    assert problems == []
    got = picture(connected.brand)
    assert len(got["contacts"]) == 120
    assert len(got["follows"]) == 160
    assert len([e for e in got["events"] if e[1] == EventType.ADDED]) == 160
    assert [c[3] for c in got["contacts"] if c[0] in ("顾客6", "顾客7")] == [2, 1]


# ---- killed, overtaken, resumed

WORKER = """
import sys
import django
django.setup()
from datetime import timedelta
from contacts.services import sync, sync_lanes
from org.services import jobs
from scrm import clock
from tenants.models import Brand
from tenants.scoping import tenant_scope

brand_id, job_id, later = map(int, sys.argv[1:])
sync_lanes.PAGE, sync_lanes.AHEAD, sync.MERGE, sync.STEP_S, sync.DEPARTMENTS = 5, 1, 1, 0, 1
inner = sync.step

def step(brand, job):
    more = inner(brand, job)
    print("step", flush=True)
    return more

sync.step = step
brand = Brand.objects.get(pk=brand_id)
with tenant_scope(brand), clock.at(clock.now() + timedelta(minutes=3 * later)):
    jobs.run(brand, job_id)
"""


def worker(brand: Brand, job: Job, later: int) -> subprocess.Popen:
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "scrm.settings",
        "WECOM_API_URL": django_settings.WECOM_API_URL,
        "DATABASE_URL": os.environ["DATABASE_URL"].rpartition("/")[0]
        + f"/{connection.settings_dict['NAME']}",
    }
    argv = [sys.executable, "-c", WORKER, str(brand.pk), str(job.pk), str(later)]
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
        process = worker(killed, job, turn)
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


# ---- cost


def test_statements_per_batch_do_not_grow(connected: SimpleNamespace) -> None:
    counts = []
    for size, guide in ((10, connected.a), (60, connected.b)):
        connected.sandbox.load(customers=customers(size, 1000 * size, guides=(guide.userid,)))
        with in_brand(connected.brand):
            job = sync.start_sync(connected.brand, corp=connected.corp, by=SYSTEM, kind="guide", staff=guide)
        with tenant_scope(connected.brand):
            claimed = jobs.claim(job.pk)
            assert claimed
            sync.step(connected.brand, claimed)
            with CaptureQueriesContext(connection) as queries:
                sync.step(connected.brand, claimed)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 52


# ---- two connections


def test_halves_make_one_picture(connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches parted between two connections: the same as by one, counted once."""
    monkeypatch.setattr(sync_lanes, "PAGE", 20)
    connected.sandbox.make_corp(open_platform=True)
    people = customers(120)
    twice = {"顾客40", "顾客41"}
    people[41]["unionid"] = people[40]["unionid"]  # one person with two ids, one in each half
    connected.sandbox.load(customers=people)
    other = make_brand()
    with in_brand(other):
        corp = make_corp(other, corpid="ww00000000000000cc", secret="other-secret")
    connected.sandbox.make_corp(corp.corpid, secret="other-secret", open_platform=True)
    groups = [{"group_name": "等级", "tags": ["普通", "黄金"]}, {"group_name": "兴趣", "tags": ["咖啡"]}]
    members = [{"userid": "GuideA", "name": "甲"}, {"userid": "guideb", "name": "乙"}]
    connected.sandbox.load(corp.corpid, members=members, tag_groups=groups, customers=people)
    alone = full(other, corp)
    monkeypatch.setattr(sync_halves, "HALF_FROM", 2)
    monkeypatch.setattr(sync, "MERGE", 2)
    parted = full(connected.brand, connected.corp)
    names = ("relations", "new_contacts", "new_relations", "changed", "returned")
    assert [parted[name] for name in names] == [alone[name] for name in names]
    assert (parted["new_contacts"], parted["new_relations"]) == (119, 159)
    got, want = picture(connected.brand), picture(other)
    for name in ("contacts", "identities"):  # whose name the one with two ids has is chance
        assert len(got[name]) == len(want[name])
        assert {row for row in got[name] if not {*row} & twice} == {
            row for row in want[name] if not {*row} & twice
        }
    assert got["positions"]
    again = full(connected.brand, connected.corp)
    assert (again["new_contacts"], again["new_relations"], again["changed"]) == (0, 0, 0)
    assert picture(connected.brand) == got


def test_half_that_is_in_the_way_comes_again(
    connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One half is rolled back: the batch is there once all the same, and counted once."""
    monkeypatch.setattr(sync_halves, "HALF_FROM", 2)
    connected.sandbox.load(customers=customers(60))
    inner, seen = sync_halves.merge, []

    def merge(*args: Any, careful: bool, **more: Any) -> Any:
        done = inner(*args, careful=careful, **more)
        seen.append(careful)
        if len(seen) == 2:
            raise Conflict
        return done

    monkeypatch.setattr(sync_halves, "merge", merge)
    result = full(connected.brand, connected.corp)
    assert (result["relations"], result["new_contacts"], result["new_relations"]) == (80, 60, 80)
    assert sorted(seen) == [False, False, True]
    assert picture(connected.brand)["positions"]


def test_the_second_connection_is_closed(connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a step is over, not when somebody collects garbage: a sync has many steps."""
    monkeypatch.setattr(sync_halves, "HALF_FROM", 2)
    connected.sandbox.load(customers=customers(20))
    pids: set[int] = set()
    inner = sync_halves.hurry

    def hurry() -> None:
        inner()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pids.add(cursor.fetchone()[0])

    monkeypatch.setattr(sync_halves, "hurry", hurry)
    gc.disable()
    try:
        full(connected.brand, connected.corp)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            mine = cursor.fetchone()[0]
            for _look in range(200):  # Postgres ends a backend a moment after its socket
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", [list(pids - {mine})]
                )
                if not cursor.fetchone()[0]:
                    break
                cursor.execute("SELECT pg_sleep(0.01)")
            else:
                pytest.fail("the second connection is still there")
    finally:
        gc.enable()
    assert len(pids) > 1
