"""The outbox: each write to WeCom made, repeated where that helps, given up with a reason, made again."""

from collections import Counter
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction

from org.access import SYSTEM
from org.tasks import run_job
from scrm import clock
from scrm.celery import app
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_brand, make_corp, make_staff
from tests.threads import together
from tests.wecom.sandbox_client import CORPID
from wecom import tasks
from wecom.models import OutboundCall
from wecom.services import notices, outbound
from wecom.services.turns import turn

pytestmark = pytest.mark.django_db(transaction=True)

EXTERNAL = "wm" + "1" * 30


@pytest.fixture
def by_hand() -> Any:
    """Tasks are only put into the queue, which nobody reads."""
    app.conf.task_always_eager = False
    yield
    app.conf.task_always_eager = True


@pytest.fixture
def customer(connected: SimpleNamespace) -> SimpleNamespace:
    """A customer of guide `a` in the sandbox."""
    connected.sandbox.load(
        customers=[{"external_userid": EXTERNAL, "name": "顾客", "follows": [{"userid": "guidea"}]}]
    )
    return connected


def remark(connected: SimpleNamespace, key: str = "k", external: str = EXTERNAL, text: str = "老顾客") -> int:
    with in_brand(connected.brand):
        call = outbound.enqueue(
            connected.brand,
            corp=connected.corp,
            kind="remark",
            key=key,
            subject=external,
            payload={"userid": "guidea", "external_userid": external, "remark": text},
        )
    return call.pk if call else 0


def row(connected: SimpleNamespace, pk: int) -> OutboundCall:
    with in_brand(connected.brand):
        return OutboundCall.objects.get(pk=pk)


def deliver(connected: SimpleNamespace, pk: int) -> str | None:
    with tenant_scope(connected.brand):
        return outbound.deliver_one(connected.brand, pk)


def test_many_calls_go_behind_everything_else(connected: SimpleNamespace, by_hand: None) -> None:
    """A tag for a hundred thousand is half an hour of calls: an import that somebody starts then does not wait for it."""
    with in_brand(connected.brand):
        outbound.start(connected.brand, list(range(1, 2 * outbound.AT_ONCE + 1)))
    run_job.delay(brand_id=connected.brand.pk, job_id=1)
    with in_brand(connected.brand):
        outbound.start(connected.brand, [1])
    found: dict[str, list[str]] = {"bulk": [], "default": []}
    with app.connection_for_read() as connection:
        for queue, taken in found.items():
            while message := connection.default_channel.basic_get(queue, no_ack=True):
                taken.append(str(message.headers["task"]))
    assert found == {
        "bulk": ["org.tasks.run_job", *["wecom.tasks.deliver"] * 2],
        "default": ["wecom.tasks.deliver"],
    }


def follow_in_wecom(connected: SimpleNamespace) -> dict:
    return connected.sandbox.get("customer", corpid=CORPID, external_userid=EXTERNAL)["follows"][0]


def made(connected: SimpleNamespace, api: str) -> int:
    return len(connected.sandbox.calls(api))


def test_remark_arrives_once(customer: SimpleNamespace) -> None:
    pk = remark(customer)
    assert remark(customer) == 0  # the same act again
    assert row(customer, pk).state == "done"
    assert follow_in_wecom(customer)["remark"] == "老顾客"
    assert made(customer, "externalcontact/remark") == 1


def test_tags_arrive(customer: SimpleNamespace) -> None:
    library = customer.sandbox.api(
        "externalcontact/get_corp_tag_list", {}, access_token=customer.sandbox.token()
    )
    ids = [tag["id"] for tag in library["tag_group"][0]["tag"]]
    for n, change in enumerate(({"add": ids}, {"add": [], "remove": ids[:1]})):
        with in_brand(customer.brand):
            outbound.enqueue(
                customer.brand,
                corp=customer.corp,
                kind="mark_tag",
                key=f"t{n}",
                subject=EXTERNAL,
                payload={"userid": "guidea", "external_userid": EXTERNAL, **change},
            )
    profile = customer.sandbox.api(
        "externalcontact/get", access_token=customer.sandbox.token(), external_userid=EXTERNAL
    )
    assert [tag["tag_id"] for tag in profile["follow_user"][0]["tags"]] == ids[1:]


def test_nothing_is_called_before_the_commit(customer: SimpleNamespace) -> None:
    with pytest.raises(RuntimeError), in_brand(customer.brand):
        outbound.enqueue(customer.brand, corp=customer.corp, kind="remark", key="k", payload={})
        raise RuntimeError
    assert made(customer, "externalcontact/remark") == 0
    with in_brand(customer.brand):
        assert OutboundCall.objects.count() == 0


def test_many_at_once(customer: SimpleNamespace) -> None:
    calls: list[outbound.NewCall] = [
        {
            "key": f"k{n}",
            "subject": EXTERNAL,
            "payload": {"userid": "guidea", "external_userid": EXTERNAL, "remark": f"r{n}"},
        }
        for n in range(outbound.AT_ONCE + 3)
    ]
    with in_brand(customer.brand):
        assert (
            len(outbound.enqueue_many(customer.brand, corp=customer.corp, kind="remark", calls=calls)) == 53
        )
        assert outbound.enqueue_many(customer.brand, corp=customer.corp, kind="remark", calls=calls) == []
    with in_brand(customer.brand):
        assert set(OutboundCall.objects.values_list("state", flat=True)) == {"done"}


@pytest.mark.parametrize("fault", ["html", "empty", "http500"])
def test_what_is_no_answer_is_called_again_later(
    customer: SimpleNamespace, fault: str, by_hand: None
) -> None:
    customer.sandbox.post("faults", corpid=CORPID, api="externalcontact/remark", kind=fault)
    pk, now = remark(customer), clock.now()
    with clock.at(now + timedelta(seconds=1)):
        assert deliver(customer, pk) == "waiting"
    assert row(customer, pk).error
    customer.sandbox.post("faults/clear")
    with clock.at(now + timedelta(seconds=2)):
        assert deliver(customer, pk) is None  # too early
    with clock.at(now + timedelta(seconds=7)):
        assert deliver(customer, pk) == "done"
    assert follow_in_wecom(customer)["remark"] == "老顾客"


def test_work_done_without_an_answer_is_not_done_twice(customer: SimpleNamespace) -> None:
    customer.sandbox.post("faults", corpid=CORPID, api="externalcontact/remark", kind="drop_after", times=1)
    pk = remark(customer)
    assert row(customer, pk).state == "done"
    assert follow_in_wecom(customer)["remark"] == "老顾客"


@pytest.mark.parametrize("errcode", [-1, 45033, 42001, 40014, 45035])
def test_one_bad_answer_is_absorbed(customer: SimpleNamespace, errcode: int) -> None:
    customer.sandbox.post(
        "faults", corpid=CORPID, api="externalcontact/remark", kind="errcode", errcode=errcode, times=1
    )
    pk = remark(customer)
    assert row(customer, pk).state == "done"


def test_limit_is_waited_for_and_not_a_failure(customer: SimpleNamespace, by_hand: None) -> None:
    customer.sandbox.post(
        "faults", corpid=CORPID, api="externalcontact/remark", kind="errcode", errcode=45009, times=1
    )
    pk, now = remark(customer), clock.now()
    with clock.at(now):
        assert deliver(customer, pk) == "waiting"
    waiting = row(customer, pk)
    assert waiting.n_tries == 0
    assert waiting.next_try_at >= now + timedelta(seconds=50)


@pytest.mark.parametrize(
    "errcode, state", [(84061, "done"), (40096, "failed"), (60020, "failed"), (48002, "failed")]
)
def test_refusals(customer: SimpleNamespace, errcode: int, state: str) -> None:
    """84061: the customer has gone, nothing is left to do. The others are for a person to see."""
    customer.sandbox.post(
        "faults", corpid=CORPID, api="externalcontact/remark", kind="errcode", errcode=errcode
    )
    pk = remark(customer)
    call = row(customer, pk)
    assert call.state == state
    assert str(errcode) in call.error
    assert made(customer, "externalcontact/remark") == 1


def test_too_long_for_wecom_is_found_before_the_call(customer: SimpleNamespace) -> None:
    pk = remark(customer, text="长" * 21)
    assert row(customer, pk).state == "failed"
    assert made(customer, "externalcontact/remark") == 0


def test_given_up_in_the_end_and_made_again_by_hand(customer: SimpleNamespace, by_hand: None) -> None:
    customer.sandbox.post("faults", corpid=CORPID, api="externalcontact/remark", kind="errcode", errcode=-1)
    pk, now = remark(customer), clock.now()
    states = []
    for _ in range(len(outbound.PAUSES_S) + 1):
        with clock.at(now):
            states.append(deliver(customer, pk))
        now = row(customer, pk).next_try_at
    assert states == ["waiting"] * len(outbound.PAUSES_S) + ["failed"]
    customer.sandbox.post("faults/clear")
    app.conf.task_always_eager = True
    with in_brand(customer.brand):
        assert outbound.try_again(customer.brand, by=SYSTEM, call_ids=[pk]) == 1
    assert row(customer, pk).state == "done"


def test_try_again_stays_in_the_brand(customer: SimpleNamespace) -> None:
    other = make_brand()
    with in_brand(other):
        corp = make_corp(other)
        foreign = OutboundCall.objects.create(corp=corp, kind="remark", key="x", payload={}, state="failed")
    with in_brand(customer.brand):
        assert outbound.try_again(customer.brand, by=SYSTEM, call_ids=[foreign.pk]) == 0
        assert outbound.try_again(customer.brand, by=SYSTEM, call_ids=None) == 0
        assert outbound.try_again(customer.brand, by=SYSTEM, call_ids=[]) == 0
    with in_brand(other):
        foreign.refresh_from_db()
        assert foreign.state == "failed"


def test_call_of_a_killed_worker_comes_back(customer: SimpleNamespace, by_hand: None) -> None:
    pk, now = remark(customer), clock.now()
    with tenant_scope(customer.brand), clock.at(now):
        assert outbound._claim(pk)  # and the process is gone
        assert outbound.deliver_one(customer.brand, pk) is None
    app.conf.task_always_eager = True
    with clock.at(now + outbound.LEASE + timedelta(seconds=5)):
        assert tasks.sweep_outbound() == 1
    assert row(customer, pk).state == "done"


def test_one_customer_one_call_at_a_time(
    customer: SimpleNamespace, by_hand: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of two kinds, which have no order among themselves."""
    first, second = remark(customer, "1"), mark(customer, "2", add=(first_tag(customer),))
    with tenant_scope(customer.brand), turn(customer.brand, "outbound", EXTERNAL, wait_s=0, hold_s=300):
        assert outbound.deliver_one(customer.brand, first) == "waiting"
    assert row(customer, first).n_tries == 0

    monkeypatch.setattr(outbound, "TURN_WAIT_S", 60.0)  # however long a busy machine takes for one

    def work(pk: int) -> str | None:
        with clock.at(clock.now() + timedelta(seconds=5)):
            return deliver(customer, pk)

    results = together(*(partial(work, pk) for pk in (first, second, first, second)))
    assert sorted(results, key=str) == [None, None, "done", "done"]
    assert made(customer, "externalcontact/remark") == made(customer, "externalcontact/mark_tag") == 1


def test_notice_reaches_the_member(connected: SimpleNamespace, settings: Any) -> None:
    settings.PUBLIC_URL = "https://scrm.example.com"
    with in_brand(connected.brand):
        notices.notify_staff(
            connected.brand, staff=connected.a, key="1", text="新客户\n顾客甲", url="/contacts/1/"
        )
        notices.notify_staff(connected.brand, staff=connected.a, key="2", text="好" * 2000)
        assert notices.notify_staff(connected.brand, staff=connected.a, key="1", text="again") is None
        assert (
            notices.notify_staff(connected.brand, staff=make_staff(connected.brand), key="3", text="x")
            is None
        )
    with in_brand(connected.brand):
        assert set(OutboundCall.objects.values_list("state", flat=True)) == {"done"}
    card, text = connected.sandbox.sent("app")
    assert "https://scrm.example.com/contacts/1/" in str(card)
    assert "新客户" in str(card)
    assert len(text["text"].encode()) <= 2048


def test_more_notices_than_wecom_takes_in_a_minute_wait(connected: SimpleNamespace) -> None:
    """WeCom drops them in silence."""
    connected.sandbox.post("clock", offset_s=0)
    with in_brand(connected.brand):
        calls = [
            notices.notify_staff(connected.brand, staff=connected.a, key=str(n), text=f"第{n}条")
            for n in range(40)
        ]
        notices.notify_staff(connected.brand, staff=connected.b, key="b", text="另一位")
    ids = [call.pk for call in calls if call]
    with in_brand(connected.brand):
        states = Counter(OutboundCall.objects.filter(pk__in=ids).values_list("state", flat=True))
        assert states == {"done": 28, "waiting": 12}
        waiting = OutboundCall.objects.filter(state="waiting")
        assert {call.n_tries for call in waiting} == {0}
        assert all(timedelta(0) < call.next_try_at - clock.now() <= timedelta(minutes=1) for call in waiting)
    later = clock.now() + timedelta(seconds=62)
    connected.sandbox.post("clock", offset_s=62)
    with clock.at(later), tenant_scope(connected.brand):
        outbound.deliver_many(connected.brand, ids)
    with in_brand(connected.brand):
        assert set(OutboundCall.objects.values_list("state", flat=True)) == {"done"}
    got = [message["text"] for message in connected.sandbox.sent("app")]
    assert sorted(got) == sorted(["另一位", *(f"第{n}条" for n in range(40))])


def test_notice_to_nobody_is_a_failure(connected: SimpleNamespace) -> None:
    with in_brand(connected.brand):
        stranger = make_staff(connected.brand, connected.corp, userid="stranger")
        call = notices.notify_staff(connected.brand, staff=stranger, key="1", text="x")
    assert call
    assert row(connected, call.pk).state == "failed"


def test_a_commit_that_fails_sends_nothing(customer: SimpleNamespace) -> None:
    with tenant_scope(customer.brand), transaction.atomic():
        remark_id = outbound.enqueue(
            customer.brand, corp=customer.corp, kind="remark", key="z", payload={"userid": "a"}
        )
        transaction.set_rollback(True)
    assert remark_id
    assert made(customer, "externalcontact/remark") == 0


# ---- order


def mark(connected: SimpleNamespace, key: str, *, add: tuple = (), remove: tuple = ()) -> int:
    with in_brand(connected.brand):
        call = outbound.enqueue(
            connected.brand,
            corp=connected.corp,
            kind="mark_tag",
            key=key,
            subject=EXTERNAL,
            payload={"userid": "guidea", "external_userid": EXTERNAL, "add": [*add], "remove": [*remove]},
        )
    assert call
    return call.pk


def first_tag(connected: SimpleNamespace) -> str:
    library = connected.sandbox.api(
        "externalcontact/get_corp_tag_list", {}, access_token=connected.sandbox.token()
    )
    return library["tag_group"][0]["tag"][0]["id"]


def fail(connected: SimpleNamespace, **over: Any) -> None:
    """The next remark fails, with all its repeats."""
    connected.sandbox.post("faults", corpid=CORPID, api="externalcontact/remark", **{"times": 3, **over})


def test_a_later_remark_waits_for_the_one_before_it(customer: SimpleNamespace, by_hand: None) -> None:
    """The first fails and is tried again in half a minute; the second must not be overwritten by it then."""
    fail(customer, kind="http500")
    first, second, now = remark(customer, "1", text="先"), remark(customer, "2", text="后"), clock.now()
    assert deliver(customer, first) == "waiting"
    with tenant_scope(customer.brand), clock.at(now + timedelta(seconds=1)):
        assert outbound.deliver_one(customer.brand, second) is None and outbound.due(10) == []
    app.conf.task_always_eager = True
    with tenant_scope(customer.brand), clock.at(now + timedelta(seconds=60)):
        assert outbound.due(10) == [first]
        tasks.sweep_outbound.delay()
    assert (row(customer, first).state, row(customer, second).state) == ("done", "done")
    assert follow_in_wecom(customer)["remark"] == "后"
    assert made(customer, "externalcontact/remark") == 3 + 2


def test_another_kind_and_another_customer_do_not_wait(customer: SimpleNamespace, by_hand: None) -> None:
    fail(customer, kind="http500")
    assert deliver(customer, remark(customer, "1")) == "waiting"
    assert deliver(customer, mark(customer, "t", add=(first_tag(customer),))) == "done"
    assert deliver(customer, remark(customer, "2", external="wm" + "2" * 30)) in ("done", "failed")


def test_a_call_given_up_lets_the_next_one_go(customer: SimpleNamespace, by_hand: None) -> None:
    fail(customer, kind="errcode", errcode=40003, times=1)
    first, second = remark(customer, "1", text="先"), remark(customer, "2", text="后")
    app.conf.task_always_eager = True
    with tenant_scope(customer.brand):
        outbound.deliver_many(customer.brand, [second, first])
    assert (row(customer, first).state, row(customer, second).state) == ("failed", "done")
    assert follow_in_wecom(customer)["remark"] == "后"


def test_what_failed_does_not_undo_what_came_later(customer: SimpleNamespace, by_hand: None) -> None:
    """Pressed 'again' days later: an old remark and tags that have changed since are left out."""
    library = customer.sandbox.api(
        "externalcontact/get_corp_tag_list", {}, access_token=customer.sandbox.token()
    )
    one, two = [tag["id"] for tag in library["tag_group"][0]["tag"]][:2]
    old = [
        remark(customer, "1", text="先"),
        mark(customer, "t1", add=(one, two)),
        mark(customer, "t2", add=(one,)),
    ]
    with in_brand(customer.brand):
        OutboundCall.objects.filter(pk__in=old).update(state="failed", done_at=clock.now())
    for pk in (remark(customer, "2", text="后"), mark(customer, "t3", remove=(one,))):
        assert deliver(customer, pk) == "done"
    app.conf.task_always_eager = True
    with in_brand(customer.brand):
        assert outbound.try_again(customer.brand, by=SYSTEM, call_ids=None) == 3
    assert [row(customer, pk).state for pk in old] == ["done"] * 3
    assert row(customer, old[1]).payload["add"] == [two]
    now = follow_in_wecom(customer)
    assert now["remark"] == "后"
    profile = customer.sandbox.api(
        "externalcontact/get", access_token=customer.sandbox.token(), external_userid=EXTERNAL
    )
    assert [tag["tag_id"] for tag in profile["follow_user"][0]["tags"]] == [two]


def test_a_tag_deleted_meanwhile_takes_no_other_with_it(customer: SimpleNamespace, by_hand: Any) -> None:
    token = customer.sandbox.token()

    def call(path: str, **body: Any) -> Any:
        return customer.sandbox.api(f"externalcontact/{path}", body, access_token=token)

    made = call("add_corp_tag", group_name="会员", tag=[{"name": "一"}, {"name": "二"}])["tag_group"]["tag"]
    gone, stays = (tag["id"] for tag in made)
    with in_brand(customer.brand):
        payload = {"userid": "guidea", "external_userid": EXTERNAL, "add": [gone, stays], "remove": []}
        queued = outbound.enqueue(
            customer.brand, corp=customer.corp, kind="mark_tag", key="t", subject=EXTERNAL, payload=payload
        )
    call("del_corp_tag", tag_id=[gone])
    assert queued and deliver(customer, queued.pk) == "done"
    follow = follow_in_wecom(customer)
    assert stays in str(follow) and gone not in str(follow)
