"""The contact way behind a code, against the sandbox: made once, rewritten, deleted, whatever it answers."""

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from livecodes.models import ChannelCode, CodeGuide
from livecodes.services import codes, upkeep, ways
from livecodes.services.content import CodeInput, GuideInput, HoursInput, as_input
from livecodes.services.ways import problem_of
from livecodes.tasks import push_code, tick_brand
from org.access import SYSTEM
from org.models import Staff
from scrm import clock
from scrm.errors import ConflictError
from tenants.scoping import tenant_scope
from tests.factories import in_brand
from tests.livecodes.conftest import Shop
from wecom.client import client_for

pytestmark = pytest.mark.django_db(transaction=True)
Sync = ChannelCode.Sync


def n_ways(shop: Shop) -> int:
    return shop.sandbox.get("state", corpid=shop.corp.corpid)["counts"]["contact_ways"]


def fault(shop: Shop, api: str, kind: str, **over: Any) -> None:
    given = {"corpid": shop.corp.corpid, "api": f"externalcontact/{api}", "kind": kind, "times": 1, **over}
    shop.sandbox.post("faults", **given)


def tick(shop: Shop, moment: datetime | None = None) -> None:
    with clock.at(moment or clock.now() + timedelta(minutes=5)):
        tick_brand.delay(brand_id=shop.brand.pk)


def test_a_code_is_made_in_wecom(shop: Shop) -> None:
    code = shop.make_code(guides=[shop.a, shop.b])
    assert (code.sync_state, code.asked_at, code.claimed_at) == (Sync.OK, None, None)
    assert code.config_id and code.qr_url.startswith("http")
    assert code.current_userids == shop.users(code) == [shop.a.userid]  # in turn: one at a time


def test_an_edit_keeps_the_printed_code(shop: Shop) -> None:
    code = shop.make_code()
    with in_brand(shop.brand):
        given = CodeInput(**{**as_input(code).__dict__, "guides": [GuideInput(shop.b.pk)]})
        codes.edit_code(shop.brand, by=SYSTEM, code_id=code.pk, given=given)
    after = shop.fresh(code)
    assert (after.config_id, after.qr_url) == (code.config_id, code.qr_url)
    assert shop.users(code) == [shop.b.userid] and n_ways(shop) == 1


def test_a_deleted_code_is_dead_in_wecom(shop: Shop) -> None:
    code = shop.make_code()
    with in_brand(shop.brand):
        codes.delete_code(shop.brand, by=SYSTEM, code_id=code.pk)
    assert n_ways(shop) == 0
    assert (shop.fresh(code).config_id, shop.fresh(code).sync_state) == ("", Sync.OK)
    tick(shop)
    assert shop.calls("del_contact_way") == 1


@pytest.mark.parametrize("kind", ["drop_after", "html", "http500", "hang"])
def test_a_lost_answer_makes_no_second_way(shop: Shop, kind: str, monkeypatch: Any) -> None:
    """The way may have been made and its id lost for ever: it is looked for first."""
    fault(shop, "add_contact_way", kind, seconds=4)
    with monkeypatch.context() as patch:
        if kind == "hang":  # every other answer is waited for as long as ever
            patch.setattr("wecom.exchange.READ_S", 2.0)
        code = shop.make_code()
    assert code.sync_state == Sync.WAITING and code.asked_at and code.due_at
    assert problem_of(code.sync_error)[0]
    tick(shop)
    code = shop.fresh(code)
    assert (code.sync_state, code.asked_at, code.sync_error) == (Sync.OK, None, "")
    assert n_ways(shop) == 1 and shop.users(code) == [shop.a.userid]


def test_a_process_that_dies_while_wecom_is_asked(shop: Shop) -> None:
    """Killed between the call and its record: the lease runs out, the way is found, not made again."""
    code = shop.make_code()
    with in_brand(shop.brand):
        ChannelCode.objects.filter(pk=code.pk).update(
            config_id="", qr_url="", current_userids=[], sync_state=Sync.WAITING, asked_at=clock.now(),
            claimed_at=clock.now(), due_at=clock.now() + ways.LEASE,
        )  # fmt: skip
    push_code.delay(brand_id=shop.brand.pk, code_id=code.pk)  # somebody else has it: not touched
    assert shop.fresh(code).config_id == ""
    tick(shop)
    assert shop.fresh(code).config_id == code.config_id and n_ways(shop) == 1


@pytest.mark.parametrize("errcode, page", [(48002, True), (41045, False), (40058, False)])
def test_a_refusal_is_told_in_plain_words(shop: Shop, errcode: int, page: bool) -> None:
    fault(shop, "add_contact_way", "errcode", errcode=errcode)
    code = shop.make_code()
    text, console = problem_of(code.sync_error)
    assert code.sync_state == Sync.FAILED and str(errcode) in text and bool(console) is page
    assert code.asked_at is None  # WeCom said no: nothing was made
    with in_brand(shop.brand):
        ways.retry(shop.brand, by=SYSTEM, code_id=code.pk)
    assert shop.fresh(code).sync_state == Sync.OK and n_ways(shop) == 1


@pytest.mark.parametrize("errcode", [-1, 45009, 45033])
def test_a_busy_wecom_is_asked_again(shop: Shop, errcode: int) -> None:
    code = shop.make_code()
    fault(shop, "update_contact_way", "errcode", errcode=errcode, times=3)
    with in_brand(shop.brand):
        ways.mark_for_push([code.pk])
    push_code.delay(brand_id=shop.brand.pk, code_id=code.pk)
    shop.sandbox.post("faults/clear")
    from scrm.redis import redis_client

    for key in redis_client().scan_iter("wecom:*:block"):  # the minute that WeCom shuts the API
        redis_client().delete(key)
    tick(shop)
    assert (shop.fresh(code).sync_state, shop.fresh(code).sync_error) == (Sync.OK, "")


def test_one_member_whom_wecom_refuses_does_not_stop_the_code(shop: Shop) -> None:
    """乙 lost the customer-contact right; WeCom refuses the whole list without saying whom."""
    shop.sandbox.load(
        shop.corp.corpid,
        members=[{"userid": shop.b.userid, "name": "乙", "department": [1], "has_contact_right": False}],
    )
    code = shop.make_code(guides=[shop.b, shop.a])
    assert code.sync_state == Sync.OK and shop.users(code) == [shop.a.userid]
    with in_brand(shop.brand):
        refused = CodeGuide.objects.get(code=code, staff=shop.b)
    assert refused.refused_at and "41054" in problem_of(refused.refusal)[0]


def test_nobody_left_is_said_and_mended(shop: Shop) -> None:
    code = shop.make_code(guides=[shop.a])
    with in_brand(shop.brand):
        Staff.objects.filter(pk=shop.a.pk).update(state=Staff.State.LEFT)
    tick(shop)
    code = shop.fresh(code)
    assert (code.sync_state, code.sync_error) == (Sync.FAILED, ways.NOBODY)
    assert shop.users(code) == [shop.a.userid]  # WeCom wants at least one; the code page says what is wrong
    with in_brand(shop.brand):
        assert codes.replace_guide(shop.brand, by=SYSTEM, old=shop.a, new=shop.b) == (1, [])
    assert shop.fresh(code).sync_state == Sync.OK and shop.users(code) == [shop.b.userid]


def test_a_leaver_is_taken_off_within_a_minute(shop: Shop) -> None:
    code = shop.make_code(guides=[shop.a, shop.b])
    assert shop.users(code) == [shop.a.userid]
    with in_brand(shop.brand):
        Staff.objects.filter(pk=shop.a.pk).update(state=Staff.State.LEFT)
    tick(shop, clock.now() + timedelta(minutes=1))
    assert shop.users(code) == [shop.b.userid]


def test_hours_begin_and_end_without_anybody(shop: Shop) -> None:
    zone = ZoneInfo(shop.brand.timezone)
    morning = (clock.now() + timedelta(days=1)).astimezone(zone).replace(hour=9, minute=30)
    with clock.at(morning):
        code = shop.make_code(
            guides=[GuideInput(shop.a.pk), GuideInput(shop.b.pk, is_standby=True)],
            hours=[HoursInput(tuple(range(1, 8)), time(9), time(18))],
        )
    assert shop.users(code) == [shop.a.userid]
    tick(shop, morning.replace(hour=17, minute=59))
    assert shop.users(code) == [shop.a.userid] and shop.calls("update_contact_way") == 0
    tick(shop, morning.replace(hour=18, minute=0))
    assert shop.users(code) == [shop.b.userid]
    tick(shop, morning.replace(hour=18, minute=1))
    tick(shop, morning.replace(hour=3, minute=0) + timedelta(days=1))
    assert shop.calls("update_contact_way") == 1  # nothing is due, nothing is called
    tick(shop, morning.replace(hour=9, minute=0) + timedelta(days=1))
    assert shop.users(code) == [shop.a.userid]


def test_a_code_deleted_in_wecom_is_shown_and_made_anew(shop: Shop) -> None:
    code = shop.make_code()
    token = shop.sandbox.token(shop.corp.corpid)
    shop.sandbox.api("externalcontact/del_contact_way", {"config_id": code.config_id}, access_token=token)
    with pytest.raises(ConflictError), in_brand(shop.brand):
        ways.remake(shop.brand, by=SYSTEM, code_id=code.pk)  # as far as we know it works
    with tenant_scope(shop.brand):
        found = upkeep.check_ways(shop.brand, shop.corp, client_for(shop.corp))
    assert found == {"checked": 1, "changed": 0, "missing": 1, "next": None}
    assert shop.fresh(code).sync_error == ways.GONE
    with in_brand(shop.brand):
        ways.remake(shop.brand, by=SYSTEM, code_id=code.pk)
    after = shop.fresh(code)
    assert after.sync_state == Sync.OK and after.config_id not in ("", code.config_id)


def test_what_was_changed_outside_is_put_right_by_the_sync(shop: Shop) -> None:
    made = [shop.make_code(name) for name in ("一", "二", "三")]
    token = shop.sandbox.token(shop.corp.corpid)
    shop.sandbox.api(
        "externalcontact/update_contact_way",
        {"config_id": made[1].config_id, "user": [shop.b.userid]},
        access_token=token,
    )
    found: dict[str, Any] = {"next": 0}
    seen = []
    while found["next"] is not None:
        with tenant_scope(shop.brand):
            found = upkeep.check_ways(
                shop.brand, shop.corp, client_for(shop.corp), after=found["next"], limit=2
            )
        seen.append((found["checked"], found["changed"]))
    assert seen == [(2, 1), (1, 0)]
    assert [shop.users(code) for code in made] == [[shop.a.userid]] * 3


def test_an_edit_during_a_push_is_told_afterwards(shop: Shop) -> None:
    """A person changes the code while WeCom is being called: the older list does not stay."""
    code = shop.make_code(guides=[shop.a])
    with tenant_scope(shop.brand):
        with in_brand_scope():
            ways.mark_for_push([code.pk])
        claim = ways._claim(shop.brand, code.pk)
        assert claim
        with in_brand_scope():
            given = CodeInput(**{**as_input(code).__dict__, "guides": [GuideInput(shop.b.pk)]})
            codes.edit_code(shop.brand, by=SYSTEM, code_id=code.pk, given=given)
        changes = ways._write(shop.brand, claim, client_for(shop.corp))
        assert ways._record(claim, changes) is True
    push_code.delay(brand_id=shop.brand.pk, code_id=code.pk)
    assert shop.users(code) == [shop.b.userid] and shop.fresh(code).sync_state == Sync.OK


def in_brand_scope() -> Any:
    from django.db import transaction

    return transaction.atomic()
