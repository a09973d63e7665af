"""The sync and relations: who is not there any more, who is found again, and what arrives meanwhile."""

import random
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.db import connections

from contacts.models import Contact, Event, EventType, Follow
from contacts.services.follow import end_follow, record_follow
from contacts.services.sync import sync, sync_gone, sync_lanes
from scrm import clock
from tagging.models import Tag
from tagging.services.tags.tags import add_tags
from tests.contacts.test_sync import OLD, customers, external, full, picture, queued
from tests.factories import in_brand
from tests.wecom.sandbox_client import CORPID
from wecom.models import OutboundCall
from wecom.services import outbound

__all__ = ["queued"]
pytestmark = pytest.mark.django_db(transaction=True)


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


def test_adding_that_is_told_when_the_customer_has_gone(connected: SimpleNamespace) -> None:
    """The sync has seen the adding, which its own event tells after the loss: the timeline has it once."""
    connected.sandbox.load(customers=customers(3))
    full(connected.brand, connected.corp)
    given = {
        "corp": connected.corp,
        "staff": connected.a,
        "external_userid": external(1),
        "source": "callback",
    }
    with in_brand(connected.brand):
        end_follow(
            connected.brand, kind=Follow.End.BY_CUSTOMER, at=datetime.fromtimestamp(OLD + 60, UTC), **given
        )
    for moment in (1, 1, 30):  # the last one is another adding between the two
        with in_brand(connected.brand):
            told = record_follow(connected.brand, at=datetime.fromtimestamp(OLD + moment, UTC), **given)
        assert (told.is_new_follow, told.is_return) == (False, False)
    events = [e[1:3] for e in picture(connected.brand)["events"] if e[0] == "顾客1"]
    assert sorted(events) == [
        (EventType.ADDED, datetime.fromtimestamp(OLD + 1, UTC)),
        (EventType.ADDED, datetime.fromtimestamp(OLD + 30, UTC)),
        (EventType.LOST_BY_CUSTOMER, datetime.fromtimestamp(OLD + 60, UTC)),
    ]


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
