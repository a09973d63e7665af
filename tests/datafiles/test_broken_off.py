"""Imports that are killed or cancelled on their way: nothing twice, nothing lost, and a way back."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from commerce.models import Order
from contacts.models import Contact, ContactStat, Identity
from datafiles.kinds import members_apply
from datafiles.models import ImportFile, ImportRange
from datafiles.services import imports, judge, plans, undo
from org.access import SYSTEM
from org.models import AuditEntry, Job
from org.services import jobs
from scrm import clock
from tagging.models import Tag, TagAct
from tenants.scoping import tenant_scope
from tests.factories import in_brand
from tests.threads import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)
MEMBERS = "会员号,手机,姓名\n" + "".join(f"M{n},1380013800{n},客户{n}\n" for n in range(9))
ORDERS = "订单号,会员号,支付时间,订单金额\n" + "".join(
    f"O{n},M{n % 3},2026-01-0{n + 1},{n + 1}\n" for n in range(9)
)


def start(brand: Any, file: ImportFile) -> Job:
    with tenant_scope(brand), transaction.atomic():
        return imports.start_import(brand, file=file, by=SYSTEM)


def killed(monkeypatch: Any, module: Any, name: str, at: int) -> None:
    """The process ends at the call number `at` of a function, with everything that is not committed."""
    whole, calls = getattr(module, name), []

    def run(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        done = whole(*args, **kwargs)
        if len(calls) == at:
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(module, name, run)


def at_first_call(brand: Any, monkeypatch: Any, module: Any, name: str, act: Any) -> None:
    """At the first call of a function somebody else does something at once."""
    whole, calls = getattr(module, name), []

    def other() -> None:
        with tenant_scope(brand):
            act(Job.objects.get)

    def run(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            elsewhere(other)
        return whole(*args, **kwargs)

    monkeypatch.setattr(module, name, run)


def cancel(job: Any) -> None:
    with transaction.atomic():
        pk = job(state="running").pk
    jobs.cancel(pk)


def go_on(brand: Any, job: Job) -> Job:
    """Minutes later the sweep finds the job."""
    with clock.at(clock.now() + timedelta(minutes=5)), tenant_scope(brand):
        assert jobs.stranded(brand) == [job.pk]
        done = jobs.run(brand, job.pk)
    assert done is not None and done.state == Job.State.DONE, done
    return done


@pytest.mark.parametrize(
    ("module", "name", "at"), [(plans, "apply", 1), (plans, "apply", 3), (judge, "judge", 1)]
)
@pytest.mark.parametrize(("kind", "text"), [("members", MEMBERS), ("orders", ORDERS)])
def test_killed_and_gone_on(
    brand: Any, put: Any, bring: Any, monkeypatch: Any, module: Any, name: str, at: int, kind: str, text: str
) -> None:
    monkeypatch.setattr(plans, "SLICE", 2)
    if kind == "orders":
        bring("members", MEMBERS)
    file = put(kind, text)
    with monkeypatch.context() as until:
        killed(until, module, name, at)
        with pytest.raises(KeyboardInterrupt):
            start(brand, file)
    with in_brand(brand):
        job = Job.objects.get(state="running")
        assert (Contact if kind == "members" else Order).objects.count() == (
            2 * (at - 1) if name == "apply" else 0
        )
    go_on(brand, job)
    with in_brand(brand):
        file.refresh_from_db()
        assert (file.state, file.result["new"], file.result.get("refused", 0)) == ("done", 9, 0)
        assert (Contact.objects.count(), Identity.objects.filter(kind="member_no").count()) == (9, 9)
        if kind == "orders":
            assert Order.objects.count() == 9
            assert ContactStat.objects.get(contact__identities__value="M1").spent_fen == 1500
        ranges = ImportRange.objects.filter(file=file, table="contact" if kind == "members" else "order")
        assert sum(row.high - row.low + 1 for row in ranges) == 9


def test_cancelled_half_way_and_taken_back(brand: Any, put: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(plans, "SLICE", 2)
    file, whole, calls = put("members", MEMBERS), plans.apply, []

    def cancel_now() -> None:
        with in_brand(brand):
            jobs.cancel(Job.objects.get(state="running").pk)

    def and_cancel(*args: Any) -> Any:
        calls.append(1)
        done = whole(*args)
        if len(calls) == 3:  # somebody else, while the slice is being written
            elsewhere(cancel_now)
        return done

    monkeypatch.setattr(plans, "apply", and_cancel)
    start(brand, file)
    with in_brand(brand):
        file.refresh_from_db()
        assert (file.state, Contact.objects.count(), undo.can_undo(file)) == ("running", 4, True)
        assert Job.objects.get().state == "cancelled"
    with tenant_scope(brand), transaction.atomic():
        undo.start_undo(brand, file=file, by=SYSTEM)
    with in_brand(brand):
        file.refresh_from_db()
        assert (file.state, file.result["undo"]["removed"]) == ("undone", 4)
        assert not Contact.objects.exists() and not Identity.objects.exists()


TAGGED = "会员号,标签\nM1,贵宾\nM2,新客\n"


@pytest.mark.parametrize("module", [imports, judge])
def test_cancelled_before_the_first_slice(brand: Any, put: Any, monkeypatch: Any, module: Any) -> None:
    """While the file is read or compared: nothing is made, no tag either, and the file can be imported later."""
    file = put("members", TAGGED)
    with monkeypatch.context() as until:
        at_first_call(brand, until, module, "prepare" if module is imports else "judge", cancel)
        start(brand, file)
    with in_brand(brand):
        file.refresh_from_db()
        job = Job.objects.get()
        assert (job.state, file.state, job.position.get("part", "judge")) == (
            "cancelled",
            "uploaded",
            "judge",
        )
        assert not Tag.objects.exists() and not TagAct.objects.exists() and not Contact.objects.exists()
    start(brand, file)
    with in_brand(brand):
        file.refresh_from_db()
        assert (file.state, file.result["new"], file.result["tagged"], Tag.objects.count()) == (
            "done",
            2,
            2,
            2,
        )


def test_a_check_that_was_cancelled_tells_nothing(brand: Any, put: Any, monkeypatch: Any) -> None:
    file = put("members", MEMBERS)
    at_first_call(brand, monkeypatch, judge, "judge", cancel)
    with tenant_scope(brand), transaction.atomic():
        job = imports.start_check(brand, file=file, by=SYSTEM)
    with in_brand(brand):
        file.refresh_from_db()
        job.refresh_from_db()
        assert (job.state, file.state, file.checked, job.result) == ("cancelled", "uploaded", {}, {})


def test_cancelled_at_the_end(brand: Any, put: Any, monkeypatch: Any) -> None:
    """All slices are written, the end is not: the file is as one that was broken off, and can be undone."""
    file = put("members", MEMBERS)
    at_first_call(brand, monkeypatch, members_apply.hooks, "identities_noted", cancel)
    with in_brand(brand):
        Order.objects.create(source="x", order_no="1", buyer_kind="member_no", buyer_value="none",
                             placed_at=clock.now(), updated_at=clock.now(), amount_fen=1, state=1)  # fmt: skip
    start(brand, file)
    with in_brand(brand):
        file.refresh_from_db()
        assert (Job.objects.get().state, file.state, file.result, undo.can_undo(file)) == (
            "cancelled",
            "running",
            {},
            True,
        )
        assert not AuditEntry.objects.filter(action="import.done").exists()


def test_two_processes_at_the_end(brand: Any, put: Any, monkeypatch: Any) -> None:
    """One had lost its lease: what the other one has ended is not ended again."""

    def take_over(job: Any) -> None:
        with transaction.atomic():
            pk = job(state="running").pk
        with clock.at(clock.now() + timedelta(minutes=5)):
            done = jobs.run(brand, pk)
        assert done is not None and done.state == Job.State.DONE, done

    file = put("members", MEMBERS)
    at_first_call(brand, monkeypatch, imports, "_finish", take_over)
    start(brand, file)
    with in_brand(brand):
        file.refresh_from_db()
        assert (Job.objects.get().state, file.state, file.result["new"]) == ("done", "done", 9)
        assert AuditEntry.objects.filter(action="import.done").count() == 1
