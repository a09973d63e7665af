"""The sync against the sandbox: everything once, then only differences; changes that nobody heard of; members."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections

from contacts.models import Contact, ContactGram, Event, EventType, Follow, Identity
from contacts.services.sync import sync, sync_halves, sync_lanes, sync_lists
from org.access import SYSTEM
from org.models import Corp, Department, Job, Staff
from org.services import jobs
from scrm import clock
from scrm.celery import app
from tagging.models import ContactTag, Tag
from tenants.db import statistics
from tenants.models import Brand
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_brand, make_corp, make_staff
from tests.tagging.test_hot_plans import crowd
from tests.wecom.sandbox_client import CORPID

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
