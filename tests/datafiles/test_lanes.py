"""The slices of a large plan are written by two connections: what is there afterwards is what one alone makes."""

import csv
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from django.apps import apps
from django.db import OperationalError, connection, transaction

from commerce.models import Order
from contacts.models import Contact, ContactStat, Identity
from datafiles.models import ImportFile, ImportRange
from datafiles.services import imports, judge, judge_halves, lanes, places, plans, refused, undo
from org.access import SYSTEM
from org.models import AuditEntry, Job
from org.services import jobs
from scrm import clock
from tagging.models import BITS
from tenants.models import Brand
from tenants.scoping import tenant_scope
from tests.factories import in_brand
from tests.threads import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

N = 60
NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)
# surrogates and moments of writing; the places of people are compared by who stands there
LEFT_OUT = {"id", "brand_id", "xid", "position", "file_id", "at_position"}


def members(**over: str) -> str:
    """Sixty people in no order of time: some without a phone, two of one phone in rows far apart, a row told twice, rows that
    cannot be read."""
    shuffled = random.Random(7).sample(range(1, N + 1), N)
    rows = []
    for n in shuffled:
        phone = "" if n % 11 == 0 else f"139000000{n:02d}"
        if n in (3, 29, 58):
            phone = "13911111111"  # a family
        row = (
            f"M{n},{phone},客{n} 王,{'男女'[n % 2]},2024-{n % 12 + 1:02d}-{n % 28 + 1:02d} 10:{n % 60:02d}:00"
        )
        rows.append(over.get(f"M{n}", row))
    rows += ["M5,13900000005,后来,女,2025-01-01 10:00:00", "M61,,名,男,昨天", ",,没有号,,", "M9"]
    return "会员号,手机号,姓名,性别,入会时间\n" + "\n".join(rows) + "\n"


def changed() -> str:
    """Every third one is other, M7 gets a phone of somebody new, ten are new, of whom two share a number."""
    text = members()
    for n in range(3, N, 3):
        text = text.replace(f"客{n} 王", f"客{n} 李").replace(f"M{n},", f"M{n},", 1)
    new = "".join(f"N{n},1370000{n % 9:04d},新{n},女,2025-02-{n:02d} 10:00:00\n" for n in range(1, 11))
    return text + new + "M11,13700000003,客11 王,女,2024-12-12 10:11:00\n"


def orders(amount: str = "{n}.50") -> str:
    """Four for each of some people, of whom some are not known yet; numbers twice; one of a day that is none."""
    rows = [
        f"D{n},M{n * 7 % 80},2026-{n % 9 + 1:02d}-{n % 28 + 1:02d} 10:{n % 60:02d}:00,{amount.format(n=n)},已完成"
        for n in random.Random(5).sample(range(1, 2 * N), 2 * N - 1)
    ]
    rows += ["D4,M28,2026-05-05 10:04:00,77.00,已完成", "D999,M3,2026-02-31 10:00:00,1.00,已完成", "D998,M3"]
    return "订单号,会员号,支付时间,实付金额,订单状态\n" + "\n".join(rows) + "\n"


def everything(brand: Brand) -> dict[str, Counter]:
    """All rows of customers, orders, tags and files, with people and orders by what they are called."""
    with in_brand(brand):
        people: dict[int, str] = {}
        for identity in Identity.objects.order_by("-kind"):  # phones first: the member number stands last
            people[identity.contact_id] = f"{identity.kind}:{identity.value}"
        spots = {position: people[pk] for pk, position in Contact.objects.values_list("pk", "position")}
        numbers = dict(Order.objects.values_list("pk", "order_no"))
        found = {}
        for model in apps.get_models():
            if model._meta.app_label not in ("contacts", "commerce", "tagging", "datafiles"):
                continue
            name = model.__name__
            if name in ("BrandCounter", "ImportFile"):
                continue
            fields = [f.attname for f in model._meta.concrete_fields]
            if "brand_id" not in fields:
                continue
            rows: Counter = Counter()
            for row in model._base_manager.all().values(*fields):
                if name == "DimBits":
                    who = [
                        spots[row["chunk"] * BITS + at]
                        for at, bit in enumerate(_bits(row["bits"]))
                        if bit == "1"
                    ]
                    rows.update((row["dim"], row["val"], one) for one in who)
                    continue
                if name == "ImportRange":
                    kept = people if row["table"] == "contact" else numbers
                    rows.update(
                        (row["table"], kept[n]) for n in range(row["low"], row["high"] + 1) if n in kept
                    )
                    continue
                told = dict(row)
                if name == "Contact":
                    told["contact_id"] = row["id"]
                if name == "Order":
                    told["order_id"] = row["id"]
                if name == "ImportChange":
                    told["object_id"] = (people if row["table"] == "contact" else numbers)[row["object_id"]]
                if name == "Event" and row["object_id"]:
                    told["object_id"] = numbers[row["object_id"]]
                for key, names in (("contact_id", people), ("order_id", numbers)):
                    if told.get(key):
                        told[key] = names[told[key]]
                rows[repr(sorted((k, v) for k, v in told.items() if k not in LEFT_OUT))] += 1
            found[name] = rows
        return found


def _bits(value: Any) -> str:
    return value if isinstance(value, str) else format(value, f"0{BITS}b")


def leavings(file: ImportFile) -> dict[str, Any]:
    """What a file has left: its counts, refused rows with their numbers and words."""
    with in_brand(file.brand_id):
        file.refresh_from_db()
        with (places.import_folder(file) / refused.NAME).open(encoding="utf-8-sig", newline="") as rows:
            left_out = list(csv.reader(rows))
        entries = AuditEntry.objects.filter(object_id=str(file.pk)).order_by("pk")
        return {
            "result": {name: n for name, n in file.result.items() if name != "seconds"},
            "refused": left_out,
            "audit": [(entry.action, entry.after) for entry in entries],
        }


@pytest.fixture
def pids(monkeypatch: Any) -> list[int]:
    """The server processes that write slices, in turn."""
    seen: list[int] = []
    whole = plans.apply

    def apply(*args: Any) -> Any:
        seen.append(connection.connection.info.backend_pid)
        return whole(*args)

    monkeypatch.setattr(plans, "apply", apply)
    monkeypatch.setattr(plans, "SLICE", 7)
    return seen


@pytest.fixture
def quicker(monkeypatch: Any) -> Any:
    """`quicker(lane)`: the other one begins when this one has ended."""

    def arrange(first: int) -> None:
        whole, ended = lanes._lane, Event()

        def lane(task: Any, job: Any, number: int, *args: Any) -> None:
            if number != first and len(job.position["lanes"]) > 1:
                assert ended.wait(120)
            try:
                whole(task, job, number, *args)
            finally:
                ended.set()
                if number != first:
                    ended.clear()

        monkeypatch.setattr(lanes, "_lane", lane)

    return arrange


@pytest.mark.parametrize("first", [None, 0, 1])
def test_two_make_what_one_makes(
    brand: Any,
    other_brand: Any,
    bring: Any,
    pids: list[int],
    monkeypatch: Any,
    quicker: Any,
    first: int | None,
) -> None:
    """People, orders of whom some are waited for, changes of half of them, in an encoding of their own; whoever is quicker."""
    if first is not None:
        quicker(first)
    files = [
        ("orders", orders().replace(",M", ",M").encode("gb18030")),
        ("members", members().encode("gb18030")),
        ("orders", orders().encode("utf-16")),
        ("members", changed().replace("\n", "\r\n").encode()),
        ("orders", orders("{n}.75").encode("utf-8-sig")),
        ("members", changed().encode()),
    ]  # fmt: skip
    for step, (kind, data) in enumerate(files):
        told, made, used = [], [], []
        for least, of in ((1_000, brand), (2, other_brand)):
            monkeypatch.setattr(judge, "LANES_FROM", least)
            monkeypatch.setattr(judge_halves, "HALVES_FROM", least)
            pids.clear()
            with clock.at(NOW + timedelta(minutes=step)):
                told.append(leavings(bring(kind, data, of=of)))
            used.append(len(set(pids)))
            made.append(everything(of))
        assert told[0] == told[1], (step, kind)
        for name, rows in made[0].items():
            assert rows == made[1][name], (step, kind, name, rows - made[1][name], made[1][name] - rows)
        assert used == ([1, 2] if pids else [0, 0]), (step, kind)
    assert made[0]["Order"].total() == 2 * N - 1 and made[0]["Contact"].total() > N
    assert made[0]["DimBits"].total() and made[0]["Event"].total() and made[0]["ImportChange"].total()


def test_those_who_share_a_number_are_written_by_one(
    brand: Any, put: Any, pids: list[int], monkeypatch: Any
) -> None:
    """All three of the family stand at the beginning: the first of them has the phone, whoever is quicker."""
    monkeypatch.setattr(judge, "LANES_FROM", 2)
    file = put("members", members())
    with tenant_scope(brand), transaction.atomic():
        imports.start_import(brand, file=file, by=SYSTEM)
    with in_brand(brand):
        plan = plans.of_round(file, 1).read_text().splitlines()
        assert {line.split("\t")[8] for line in plan[:3]} == {"M3", "M29", "M58"}
        owner = Identity.objects.get(kind="phone", value="13911111111").contact
        assert owner.identities.get(kind="member_no").value == plan[0].split("\t")[8]
        assert Contact.objects.filter(identities__value__in=["M3", "M29", "M58"]).distinct().count() == 3


@pytest.mark.parametrize("text", [
    "会员号,手机号,姓名,标签\n" + "".join(f"M{n},139000000{n:02d},客{n},贵宾\n" for n in range(10, 40)),
    "订单号,会员号,支付时间,商品金额,商品编号,商品名称\n"
    + "".join(f"D{n},M{n},2026-03-01,{n},S{n % 3},货{n}\n" for n in range(30)),
])  # fmt: skip
def test_what_makes_more_than_its_own_is_written_by_one(
    brand: Any, bring: Any, pids: list[int], monkeypatch: Any, text: str
) -> None:
    """Tags have an act that all share; lines of orders make products."""
    monkeypatch.setattr(judge, "LANES_FROM", 2)
    file = bring("members" if text.startswith("会员号") else "orders", text)
    assert file.result["new"] == 30 and len(set(pids)) == 1 and len(pids) > 2


def test_two_who_become_one_are_written_by_one(
    brand: Any, bring: Any, pids: list[int], monkeypatch: Any
) -> None:
    monkeypatch.setattr(judge, "LANES_FROM", 2)
    bring("members", "手机号,姓名\n" + "".join(f"139000000{n:02d},客{n}\n" for n in range(10, 40)))
    bring("members", "会员号,姓名\n" + "".join(f"M{n},客{n}\n" for n in range(10, 12)))
    pids.clear()
    text = "会员号,手机号,姓名\n" + "".join(f"M{n},139000000{n:02d},新{n}\n" for n in range(10, 40))
    file = bring("members", text)
    assert file.result["joined"] == 2 and len(set(pids)) == 1
    with in_brand(brand):
        assert Contact.objects.count() == 30


@pytest.mark.parametrize("at", [1, 4, 6])
@pytest.mark.parametrize(("kind", "text"), [("members", members()), ("orders", orders())])
def test_killed_and_gone_on(
    brand: Any, put: Any, bring: Any, pids: list[int], monkeypatch: Any, kind: str, text: str, at: int
) -> None:
    """Each half goes on behind its last slice: nothing is written twice, nothing is left out, and there is a way back."""
    monkeypatch.setattr(judge, "LANES_FROM", 2)
    if kind == "orders":
        bring("members", members())
    pids.clear()
    file, whole = put(kind, text), plans.apply
    with monkeypatch.context() as until:

        def end(*args: Any) -> Any:
            done = whole(*args)
            if len(pids) >= at:
                raise KeyboardInterrupt
            return done

        until.setattr(plans, "apply", end)
        with pytest.raises(KeyboardInterrupt), tenant_scope(brand), transaction.atomic():
            imports.start_import(brand, file=file, by=SYSTEM)
    model: Any = Contact if kind == "members" else Order
    with in_brand(brand):
        job = Job.objects.get(state="running")
        n_new = N + 1 - (kind == "members") if kind == "members" else 2 * N - 1
        assert model.objects.count() == job.result["new"] < n_new
        assert len(job.position["lanes"]) == 2
    pids.clear()
    with clock.at(clock.now() + timedelta(minutes=5)), tenant_scope(brand):
        done = jobs.run(brand, job.pk)
    assert done is not None and done.state == Job.State.DONE, done
    with in_brand(brand):
        file.refresh_from_db()
        assert file.result["new"] == model.objects.count() == n_new
        if kind == "orders":
            sums = sum(ContactStat.objects.values_list("n_orders", flat=True))
            assert sums == Order.objects.exclude(contact=None).count()
        ranges = ImportRange.objects.filter(file=file, table="contact" if kind == "members" else "order")
        assert sum(row.high - row.low + 1 for row in ranges) == n_new
    with tenant_scope(brand), transaction.atomic():
        undo.start_undo(brand, file=file, by=SYSTEM)
    with in_brand(brand):
        assert not model.objects.exists()


def test_cancelled_while_both_write(brand: Any, put: Any, pids: list[int], monkeypatch: Any) -> None:
    """Neither commits a slice after it."""
    monkeypatch.setattr(judge, "LANES_FROM", 2)
    file, whole, counted, once = put("members", members()), plans.apply, [], iter([True])

    def cancel() -> None:
        with in_brand(brand):
            jobs.cancel(Job.objects.get(state="running").pk)
            counted.append(Contact.objects.count())

    def apply(*args: Any) -> Any:
        done = whole(*args)
        if len(pids) >= 4 and next(once, False):  # one of the two, should both come here at the same moment
            elsewhere(cancel)
        return done

    monkeypatch.setattr(plans, "apply", apply)
    with tenant_scope(brand), transaction.atomic():
        imports.start_import(brand, file=file, by=SYSTEM)
    with in_brand(brand):
        file.refresh_from_db()
        assert (file.state, Job.objects.get().state) == ("running", "cancelled")
        assert Contact.objects.count() == counted[0] < N


def test_a_job_begun_before_there_were_two_goes_on(brand: Any, put: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(plans, "SLICE", 7)
    file, whole = put("members", members()), lanes.of_plan

    def older(*args: Any) -> dict[str, Any]:
        place = whole(*args)
        del place["lanes"]
        return {**place, "at": 0}

    monkeypatch.setattr(lanes, "of_plan", older)
    with tenant_scope(brand), transaction.atomic():
        imports.start_import(brand, file=file, by=SYSTEM)
    with in_brand(brand):
        file.refresh_from_db()
        assert (file.state, file.result["new"]) == ("done", Contact.objects.count())


def test_a_slice_that_has_met_another_one_is_counted_once(
    brand: Any, put: Any, pids: list[int], monkeypatch: Any
) -> None:
    """Postgres takes it back after its place was written, and it is written again."""
    monkeypatch.setattr(judge, "LANES_FROM", 2)
    file, whole, met = put("members", members()), jobs.save_step, []

    class Met(Exception):
        pgcode = "40P01"

    def save(job: Job, **changes: Any) -> None:
        whole(job, **changes)
        if pids and len(pids) % 2 and len(met) < lanes.TRIES - 1 and "lanes" in changes.get("position", {}):
            met.append(len(pids))
            raise OperationalError from Met

    monkeypatch.setattr(jobs, "save_step", save)
    with tenant_scope(brand), transaction.atomic():
        imports.start_import(brand, file=file, by=SYSTEM)
    with in_brand(brand):
        file.refresh_from_db()
        job = Job.objects.get()
        assert met and (file.state, job.n_done) == ("done", job.n_total)
        assert file.result["new"] == Contact.objects.count() == ContactStat.objects.count() == N


def test_what_stops_one_stops_the_other(brand: Any, put: Any, pids: list[int], monkeypatch: Any) -> None:
    """It is the job's error; what was committed before stands and is counted."""
    monkeypatch.setattr(judge, "LANES_FROM", 2)
    file, whole = put("members", members()), plans.apply

    def apply(*args: Any) -> Any:
        if pids and connection.connection.info.backend_pid != pids[0] and len(pids) > 3:
            raise ZeroDivisionError
        return whole(*args)

    monkeypatch.setattr(plans, "apply", apply)
    with pytest.raises(ZeroDivisionError), tenant_scope(brand), transaction.atomic():
        imports.start_import(brand, file=file, by=SYSTEM)
    with in_brand(brand):
        job = Job.objects.get()
        assert (job.state, job.result["new"]) == ("failed", Contact.objects.count())
