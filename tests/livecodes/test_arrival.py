"""A customer arrives, through the callback view, against the sandbox: what is written, what reaches whom."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import Enrolment
from campaigns.services.sops import sops
from campaigns.services.sops.sops import StepInput
from contacts.models import Contact, Follow
from livecodes.services.codes import delete_code
from livecodes.services.content import GuideInput, WelcomeInput
from livecodes.tasks import tick_brand
from org.access import SYSTEM
from org.models import Staff
from scrm import clock
from tagging.models import ContactTag, Tag, TagGroup
from tests.factories import in_brand, make_tag
from tests.livecodes.conftest import ADD, BY_CUSTOMER, BY_STAFF, HALF, Shop
from wecom.services import inbox

pytestmark = pytest.mark.django_db(transaction=True)


def wecom_tag(shop: Shop) -> Tag:
    """The corp tag 包裹 of the sandbox, mirrored."""
    token = shop.sandbox.token(shop.corp.corpid)
    (group,) = shop.sandbox.api("externalcontact/get_corp_tag_list", {}, access_token=token)["tag_group"]
    with in_brand(shop.brand):
        mine = TagGroup.objects.create(corp=shop.corp, wecom_id=group["group_id"], name=group["group_name"])
        return make_tag(shop.brand, group["tag"][0]["name"], mine, wecom_id=group["tag"][0]["id"])


def make_sop(shop: Shop) -> Any:
    with in_brand(shop.brand):
        sop = sops.create_sop(shop.brand, name="新客", steps=[StepInput(1, 10, 0, "第一天")], by=SYSTEM)
        return sops.switch_on(shop.brand, sop_id=sop.pk, by=SYSTEM)


def test_an_arrival_end_to_end(shop: Shop) -> None:
    tag, own, sop = wecom_tag(shop), None, make_sop(shop)
    with in_brand(shop.brand):
        own = make_tag(shop.brand, "自有")
    code = shop.make_code(tag_ids=[tag.pk, own.pk], sop_id=sop.pk, remark="{渠道}-{客户昵称}")

    who = shop.arrive(code, name="小明")

    follow = shop.follow(who)
    assert (follow.staff_id, follow.state, follow.channel_code_id) == (shop.a.pk, code.state, code.pk)
    assert (follow.contact.name, follow.contact.n_follows) == ("小明", 1)
    assert shop.welcomes() == ["你好，小明！我是花间的甲"]
    assert shop.ledger() == [("DELIVERED", "NONE")]
    with in_brand(shop.brand):
        rows = ContactTag.objects.order_by("tag")
        assert [(r.tag_id, r.source) for r in rows] == [(t.pk, f"channel_code:{code.pk}") for t in (tag, own)]
        assert Enrolment.objects.get().source == f"channel_code:{code.pk}"
    assert set(shop.events()) == {"ADDED", "TAGGED", "SOP_ENTERED", "WELCOMED"}
    there = shop.at_wecom(who)
    assert ([t["name"] for t in there["tags"]], there["remark"]) == (["包裹"], "包裹卡-小明")
    assert follow.remark == "包裹卡-小明"
    (notice,) = shop.notices(shop.a)
    assert "包裹卡" in notice
    assert shop.inbox() == {"done": 1}


@pytest.mark.parametrize("times", [2, 3])
def test_repeats_of_an_event_do_nothing(shop: Shop, times: int) -> None:
    code = shop.make_code()
    who = shop.scan(code, name="小明")
    moment = time.time()
    for _ in range(times):  # WeCom repeats a callback that it thinks was lost: the very same body
        shop.tell(ADD, who, at=moment, State=code.state, WelcomeCode=who["welcome_code"])
    assert len(shop.welcomes()) == len(shop.notices(shop.a)) == shop.events().count("ADDED") == 1


def test_an_event_handled_again_does_nothing(shop: Shop) -> None:
    """A worker dies after its work and before the inbox hears of it: the event is handled a second time."""
    tag = wecom_tag(shop)
    code = shop.make_code(tag_ids=[tag.pk], sop_id=make_sop(shop).pk, remark="{渠道}")
    who = shop.arrive(code, name="小明")

    def seen() -> tuple:
        calls = len(shop.notices(shop.a)), len(shop.outbound("mark_tag"))
        return shop.events(), shop.welcomes(), shop.ledger(), calls

    before = seen()
    with in_brand(shop.brand):
        inbox.replay(shop.brand, by=SYSTEM, since=clock.now() - timedelta(hours=1))
    assert seen() == before and shop.inbox() == {"done": 1}
    assert shop.at_wecom(who)["remark"] == "包裹卡"


def test_half_add_then_add_is_one_arrival(shop: Shop) -> None:
    tag = wecom_tag(shop)
    code = shop.make_code(tag_ids=[tag.pk], remark="{渠道}")
    who = shop.arrive(code, half=True, ago=3, name="小明")
    assert shop.welcomes() == ["你好，小明！我是花间的甲"]  # greeted at once
    assert (shop.follow(who).is_pending, shop.events()) == (True, ["HALF_ADDED", "WELCOMED"])
    shop.sandbox.post("accept", corpid=shop.corp.corpid, **{k: who[k] for k in ("external_userid", "userid")})
    shop.tell(ADD, who, State=code.state)  # without a code: it was used
    assert (shop.follow(who).is_pending, len(shop.contacts())) == (False, 1)
    assert shop.events().count("ADDED") == shop.events().count("TAGGED") == 1
    assert len(shop.welcomes()) == len(shop.notices(shop.a)) == 1
    assert shop.ledger() == [("DELIVERED", "NONE")]  # no 'WeCom gave no code' beside it
    assert [t["name"] for t in shop.at_wecom(who)["tags"]] == ["包裹"]


def test_half_add_without_code_then_add_with_it(shop: Shop) -> None:
    code = shop.make_code()
    who = shop.scan(code, name="小明", half=True)
    shop.tell(HALF, who, ago=2, State=code.state)
    shop.sandbox.post("accept", corpid=shop.corp.corpid, **{k: who[k] for k in ("external_userid", "userid")})
    shop.tell(ADD, who, State=code.state, WelcomeCode=who["welcome_code"])
    assert (len(shop.welcomes()), shop.events().count("ADDED")) == (1, 1)


def test_the_half_add_comes_after_the_add(shop: Shop) -> None:
    code = shop.make_code()
    who = shop.scan(code, name="小明", half=True)
    shop.sandbox.post("accept", corpid=shop.corp.corpid, **{k: who[k] for k in ("external_userid", "userid")})
    moment = time.time()
    shop.tell(ADD, who, at=moment, State=code.state)
    shop.tell(HALF, who, at=moment - 2, State=code.state, WelcomeCode=who["welcome_code"])
    assert not shop.follow(who).is_pending
    assert (len(shop.welcomes()), len(shop.notices(shop.a)), shop.events().count("ADDED")) == (1, 1, 1)


def test_a_deletion_that_overtakes_its_add(shop: Shop) -> None:
    """The loss is handled first; the late add must not bring the customer back nor greet them."""
    code = shop.make_code(tag_ids=[wecom_tag(shop).pk], sop_id=make_sop(shop).pk)
    who = shop.scan(code, name="小明")
    shop.sandbox.post(
        "customer_deletes", corpid=shop.corp.corpid, **{k: who[k] for k in ("external_userid", "userid")}
    )
    moment = time.time()
    shop.tell(BY_CUSTOMER, who, at=moment - 2)
    shop.tell(ADD, who, at=moment - 5, State=code.state, WelcomeCode=who["welcome_code"])
    follow = shop.follow(who)
    assert (follow.end_kind, follow.state, follow.channel_code_id) == ("customer", code.state, code.pk)
    assert follow.contact.n_follows == 0 and follow.added_at < follow.ended_at
    assert shop.welcomes() == [] and shop.ledger() == [("FAILED", "NOT_FRIEND")]
    with in_brand(shop.brand):
        assert not Enrolment.objects.exists() and not ContactTag.objects.exists()


def test_an_old_deletion_does_not_end_a_newer_add(shop: Shop) -> None:
    code = shop.make_code()
    who = shop.arrive(code, name="小明")
    shop.tell(BY_STAFF, who, ago=3600)
    assert shop.follow(who).ended_at is None
    assert shop.notices(shop.boss) == []


def test_deleted_and_added_again_is_welcomed_again(shop: Shop) -> None:
    code = shop.make_code(tag_ids=[wecom_tag(shop).pk])
    who = shop.arrive(code, ago=6, name="小明")
    ids = {k: who[k] for k in ("external_userid", "userid")}
    shop.sandbox.post("customer_deletes", corpid=shop.corp.corpid, **ids)
    shop.tell(BY_CUSTOMER, who, ago=3)
    assert shop.arrive(code, external_userid=who["external_userid"])["welcome_code"] != who["welcome_code"]
    assert len(shop.welcomes()) == 2 and shop.follow(who).ended_at is None
    assert [e for e in shop.events() if "ADD" in e or "LOST" in e] == [
        "ADDED",
        "LOST_BY_CUSTOMER",
        "ADDED_AGAIN",
    ]
    assert len(shop.notices(shop.a)) == 3  # added, lost, came back
    assert len(shop.contacts()) == 1


def test_a_member_whom_we_do_not_know_is_fetched(shop: Shop) -> None:
    """Somebody joined the corp after the last sync: the customer is greeted in time all the same."""
    shop.sandbox.load(
        shop.corp.corpid,
        members=[{"userid": "NewOne", "name": "新人", "department": [1], "has_contact_right": True}],
    )
    with in_brand(shop.brand):
        from livecodes.services.codes import create_code
        from livecodes.services.content import CodeInput

        create_code(
            shop.brand, by=SYSTEM, corp=shop.corp,
            given=CodeInput("店", [GuideInput(shop.a.pk)], welcomes=[WelcomeInput("我是{员工姓名}")]),
        )  # fmt: skip
        from livecodes.models import ChannelCode

        code = ChannelCode.objects.get()
    who = shop.scan(None, userid="NewOne", name="小明")
    shop.tell(ADD, who, State=code.state, WelcomeCode=who["welcome_code"])
    assert shop.welcomes() == ["我是新人"] and shop.inbox() == {"done": 1}
    with in_brand(shop.brand):
        assert Staff.objects.get(userid="newone").name == "新人"


def test_a_member_whom_wecom_does_not_know_either(shop: Shop) -> None:
    shop.tell(ADD, {"userid": "ghost", "external_userid": "wm" + "x" * 30})
    assert shop.inbox() == {"retry": 1} and shop.contacts() == []


def test_an_add_without_a_channel(shop: Shop) -> None:
    """Somebody scanned the guide's own card: no State; the brand's default welcome."""
    from livecodes.models import Welcome

    with in_brand(shop.brand):
        Welcome.objects.create(text="欢迎来到{品牌}")
    who = shop.arrive(None, userid=shop.a.userid, name="小明")
    follow = shop.follow(who)
    assert (follow.state, follow.channel_code_id) == ("", None)
    assert shop.welcomes() == ["欢迎来到花间"] and len(shop.notices(shop.a)) == 1


def test_an_unknown_state_is_kept(shop: Shop) -> None:
    who = shop.scan(None, userid=shop.a.userid, name="小明")
    shop.tell(ADD, who, State="another-tool-42")
    assert (shop.follow(who).state, shop.follow(who).channel_code_id) == ("another-tool-42", None)


def test_a_contact_of_wecom_type(shop: Shop) -> None:
    """Somebody of another company's WeCom: no welcome code; the ledger says why."""
    who = shop.arrive(shop.make_code(), name="王经理", type=2, corp_name="供应商")
    assert shop.welcomes() == [] and shop.ledger() == [("FAILED", "NO_CODE")]
    assert (shop.follow(who).contact.kind, shop.follow(who).contact.name) == (Contact.Kind.WECOM, "王经理")


def test_a_code_that_was_deleted_meanwhile(shop: Shop) -> None:
    """Printed codes outlive it: the customer is counted for it, but it orders nothing any more."""
    code = shop.make_code(tag_ids=[wecom_tag(shop).pk], remark="{渠道}")
    who = shop.scan(code, name="小明")
    with in_brand(shop.brand):
        delete_code(shop.brand, by=SYSTEM, code_id=code.pk)
        from livecodes.models import Welcome

        Welcome.objects.create(text="欢迎")
    shop.tell(ADD, who, State=code.state, WelcomeCode=who["welcome_code"])
    follow = shop.follow(who)
    assert (follow.channel_code_id, follow.remark) == (code.pk, "")
    assert shop.welcomes() == ["欢迎"]  # the brand's default, not the code's
    with in_brand(shop.brand):
        assert not ContactTag.objects.exists()


def test_a_known_customer_adds_a_second_guide(shop: Shop) -> None:
    code = shop.make_code(
        guides=[shop.a, shop.b],
        welcomes=[WelcomeInput("新朋友"), WelcomeInput("老朋友", audience="returning")],
    )
    who = shop.arrive(code, name="小明")
    with in_brand(shop.brand):  # years ago
        old = clock.now() - timedelta(days=300)
        Contact.objects.update(added_at=old)
        Follow.objects.update(added_at=old, changed_at=old)
    second = shop.arrive(code, external_userid=who["external_userid"], userid=shop.b.userid)
    assert second["userid"] == shop.b.userid
    assert shop.welcomes() == ["新朋友", "老朋友"]
    (contact,) = shop.contacts()
    assert contact.n_follows == 2


# ---- going


@pytest.mark.parametrize("change, event", [(BY_STAFF, "LOST_BY_STAFF"), (BY_CUSTOMER, "LOST_BY_CUSTOMER")])
def test_a_loss_is_recorded_and_the_manager_is_told(shop: Shop, change: str, event: str) -> None:
    code = shop.make_code()
    who = shop.arrive(code, ago=5, name="小明")
    moment = time.time() - 1
    for _ in range(2):
        shop.tell(change, who, at=moment)
    assert shop.events().count(event) == 1 and shop.follow(who).contact.lost_at
    (alert,) = shop.notices(shop.boss)
    assert "小明" in alert and "甲" in alert
    assert len(shop.notices(shop.a)) == (2 if change == BY_CUSTOMER else 1)
    # the phone's page, by way of the corp: whoever taps it is not signed in there
    page = f"/g/customers/{shop.follow(who).contact_id}/?corp="
    told = [row for row in shop.sandbox.sent("app", corpid=shop.corp.corpid) if row["text"] == alert]
    assert told and all(page in str(row) for row in told)


def test_a_hand_over_is_no_loss(shop: Shop) -> None:
    who = shop.arrive(shop.make_code(), ago=5, name="小明")
    shop.tell(BY_STAFF, who, Source="DELETE_BY_TRANSFER")
    assert shop.events()[-1] == "TRANSFERRED" and shop.notices(shop.boss) == []
    assert shop.follow(who).end_kind == "transfer"


# ---- the list behind the code follows


def test_the_next_arrival_goes_to_the_next_guide(shop: Shop) -> None:
    code = shop.make_code(guides=[shop.a, shop.b])
    met = [shop.arrive(code, name=f"客{n}")["userid"] for n in range(4)]
    assert met == [shop.a.userid, shop.b.userid] * 2


def test_the_daily_limit_moves_to_the_standby_and_is_over_at_midnight(shop: Shop) -> None:
    code = shop.make_code(
        guides=[GuideInput(shop.a.pk, daily_limit=2), GuideInput(shop.b.pk, is_standby=True)]
    )
    met = [shop.arrive(code, name=f"客{n}")["userid"] for n in range(3)]
    assert met == [shop.a.userid, shop.a.userid, shop.b.userid]
    with clock.at(clock.now() + timedelta(days=1)):
        tick_brand.delay(brand_id=shop.brand.pk)
    assert shop.users(code) == [shop.a.userid]


# ---- brands


def test_two_brands_do_not_meet(shop: Shop, open_another: Callable[..., Shop]) -> None:
    """The same person adds guides of two brands; a State of the one means nothing to the other."""
    other = open_another(name="别家")
    code, theirs = shop.make_code(), other.make_code("别家的", welcome="别家欢迎你")
    mine = shop.arrive(code, name="小明", unionid="o-union-1")
    yours = other.scan(theirs, name="小明", unionid="o-union-1")
    other.tell(ADD, yours, State=code.state, WelcomeCode=yours["welcome_code"])
    assert shop.follow(mine).channel_code_id == code.pk
    assert other.follow(yours).channel_code_id is None
    assert (len(shop.contacts()), len(other.contacts())) == (1, 1)
    assert len(shop.welcomes()) == 1 and shop.inbox() == other.inbox() == {"done": 1}


# ---- cost


def test_statements_of_an_arrival(shop: Shop, capsys: Any) -> None:
    """What an arrival costs the database before the welcome can go out."""
    code = shop.make_code(
        guides=[shop.a, shop.b], tag_ids=[wecom_tag(shop).pk], sop_id=make_sop(shop).pk, remark="{渠道}"
    )
    shop.arrive(code, name="前面的人")  # the process has its block of positions
    who = shop.scan(code, name="小明")
    from livecodes.services import arrival
    from tenants.scoping import tenant_scope
    from wecom.models import CallbackEvent

    with tenant_scope(shop.brand):
        event = CallbackEvent(happened_at=clock.now())
        payload = {
            "UserID": who["userid"], "ExternalUserID": who["external_userid"], "State": code.state,
            "WelcomeCode": who["welcome_code"],
        }  # fmt: skip
        from django.db import transaction

        with CaptureQueriesContext(connection) as captured, transaction.atomic():
            arrival._record_arrival(shop.brand, shop.corp, payload, event, pending=False)
            n = len([q for q in captured.captured_queries if not _is_frame(q["sql"])])
            transaction.set_rollback(True)
    with capsys.disabled():
        print(f"\n  arrival with tag, SOP, remark and notice: {n} statements")
    assert n <= 23  # each costs a round trip while the customer waits


def _is_frame(sql: str) -> bool:
    return sql.startswith(("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET LOCAL"))


def test_time_is_the_events_own(shop: Shop) -> None:
    code = shop.make_code()
    who, moment = shop.scan(code, name="小明"), int(time.time()) - 7
    shop.tell(ADD, who, at=moment, State=code.state, WelcomeCode=who["welcome_code"])
    assert shop.follow(who).added_at.timestamp() == moment
