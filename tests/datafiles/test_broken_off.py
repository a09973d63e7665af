"""Imports that are killed or cancelled on their way: nothing twice, nothing lost, and a way back."""

from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connections, transaction

from commerce.models import Order
from contacts.models import Contact, ContactStat, Identity
from datafiles.models import ImportFile, ImportRange
from datafiles.services import imports, judge, plans, undo
from org.access import SYSTEM
from org.models import Job
from org.services import jobs
from scrm import clock
from tenants.scoping import tenant_scope
from tests.factories import in_brand

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

    def cancel() -> None:
        with in_brand(brand):
            jobs.cancel(Job.objects.get(state="running").pk)
        connections.close_all()

    def and_cancel(*args: Any) -> Any:
        calls.append(1)
        done = whole(*args)
        if len(calls) == 3:  # somebody else, while the slice is being written
            (person := Thread(target=cancel)).start()
            person.join()
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
