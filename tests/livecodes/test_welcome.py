"""The welcome against the sandbox: at most once, in time, and the reason in the ledger when not."""

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from campaigns.models import Touch
from contacts.models import Event, EventType
from livecodes.models import ChannelCode
from livecodes.services import greeting, meeting
from livecodes.services.content import WelcomeInput
from livecodes.tasks import tick_brand
from org.access import SYSTEM
from scrm import clock
from scrm.celery import app
from scrm.redis import redis_client
from tenants.scoping import tenant_scope
from tests.factories import in_brand
from tests.livecodes.conftest import ADD, Shop
from tests.threads import together
from wecom.crypto import parse_event
from wecom.models import CallbackEvent, MediaUpload
from wecom.services import inbox, media
from wecom.tasks import sweep_inbox

pytestmark = pytest.mark.django_db(transaction=True)
API = "externalcontact/send_welcome_msg"


def fault(shop: Shop, kind: str, api: str = API, **over: Any) -> None:
    shop.sandbox.post("faults", **{"corpid": shop.corp.corpid, "api": api, "kind": kind, "times": 1, **over})


def reasons(shop: Shop) -> list[str]:
    with in_brand(shop.brand):
        return [
            e.data.get("reason", "")
            for e in Event.objects.filter(type__in=[EventType.WELCOMED, EventType.WELCOME_FAILED]).order_by(
                "pk"
            )
        ]


def again(shop: Shop) -> None:
    """The queue delivers the task once more, because the process that had the event was killed."""
    with in_brand(shop.brand):
        (event_id,) = CallbackEvent.objects.values_list("pk", flat=True)
    with tenant_scope(shop.brand):
        inbox.process(shop.brand, event_id, orphaned=True)


def test_an_event_replayed_greets_once(shop: Shop) -> None:
    shop.arrive(shop.make_code(), name="小明")
    with tenant_scope(shop.brand):
        inbox.replay(shop.brand, by=SYSTEM, since=clock.now() - timedelta(hours=1))
    assert len(shop.welcomes()) == 1 and shop.ledger() == [("DELIVERED", "NONE")]
    assert len(shop.sandbox.calls(API, corpid=shop.corp.corpid)) == 1


def test_tasks_that_run_at_once_greet_once(shop: Shop) -> None:
    code = shop.make_code()
    who = shop.scan(code, name="小明")
    shop.tell(ADD, who, State=code.state)  # the follow is there, no code yet
    follow_id = shop.follow(who).pk

    def work() -> None:
        with tenant_scope(shop.brand):
            arrival = meeting.load(follow_id, code.pk)
            assert arrival is not None
            now = clock.now()
            greeting.greet(
                shop.brand, arrival, welcome_code=who["welcome_code"], happened_at=now, received_at=now
            )

    together(*[work] * 4)
    assert len(shop.welcomes()) == 1
    assert sorted(shop.ledger()) == [("DELIVERED", "NONE"), ("FAILED", "NO_CODE")]


@pytest.mark.parametrize("kind", ["drop_after", "hang", "html", "empty", "http500"])
def test_a_lost_answer_is_asked_again(shop: Shop, kind: str, monkeypatch: Any) -> None:
    """WeCom may have delivered it: the second call tells (41051), and the customer gets one message."""
    if kind == "hang":
        monkeypatch.setattr("wecom.exchange.READ_S", 2.0)
    fault(shop, kind, seconds=4)
    shop.arrive(shop.make_code(), name="小明")
    assert len(shop.welcomes()) == 1 and shop.ledger() == [("DELIVERED", "NONE")]


@pytest.mark.parametrize("then", ["errcode", "http500", "drop_after"])
def test_a_lost_answer_is_not_forgotten_when_wecom_is_busy_then(shop: Shop, then: str) -> None:
    """The second call tells nothing; the third one (41051), that it was ours that arrived."""
    fault(shop, "drop_after")
    fault(shop, then)
    shop.arrive(shop.make_code(), name="小明")
    assert len(shop.sandbox.calls(API, corpid=shop.corp.corpid)) == 3
    assert len(shop.welcomes()) == 1 and shop.ledger() == [("DELIVERED", "NONE")]


@pytest.mark.parametrize("errcode", [41096, -1, 45033])
def test_a_busy_wecom_is_asked_again_in_time(shop: Shop, errcode: int) -> None:
    fault(shop, "errcode", errcode=errcode, times=4)
    shop.arrive(shop.make_code(), name="小明")
    assert len(shop.welcomes()) == 1 and shop.ledger() == [("DELIVERED", "NONE")]


@pytest.mark.parametrize(
    "errcode, reason",
    [(41050, "EXPIRED"), (41051, "ALREADY_WELCOMED"), (41053, "REFUSED"), (84061, "NOT_FRIEND")],
)
def test_a_refusal_is_in_the_ledger(shop: Shop, errcode: int, reason: str) -> None:
    fault(shop, "errcode", errcode=errcode)
    shop.arrive(shop.make_code(), name="小明")
    assert shop.welcomes() == [] and shop.ledger() == [("FAILED", reason)]
    assert reasons(shop) == [reason.lower()]
    with in_brand(shop.brand):
        assert str(errcode) in Touch.objects.get().error


def test_a_code_that_waited_too_long_is_not_tried(shop: Shop) -> None:
    """The queue was long: after 18 s the call would come too late, and the ledger says so."""
    code = shop.make_code()
    app.conf.task_always_eager = False
    who = shop.arrive(code, name="小明")
    app.conf.task_always_eager = True
    with clock.at(clock.now() + timedelta(seconds=19)):
        sweep_inbox.delay()
    assert shop.welcomes() == [] and shop.ledger() == [("FAILED", "EXPIRED")]
    assert shop.sandbox.calls(API, corpid=shop.corp.corpid) == []
    assert shop.follow(who).contact.name == "小明"


@pytest.mark.parametrize("ahead_s", [120, -120])
def test_clocks_differ(shop: Shop, ahead_s: float) -> None:
    """WeCom's events come with times two minutes from now, or two minutes old: people are welcomed all the same."""
    shop.arrive(shop.make_code(), name="小明", ago=-ahead_s)
    assert len(shop.welcomes()) == 1 and shop.ledger() == [("DELIVERED", "NONE")]


def consents(shop: Shop, who: dict[str, Any], **over: Any) -> None:
    """The customer agrees that conversations are kept; WeCom tells us, with another code."""
    ids = {k: who[k] for k in ("external_userid", "userid")}
    code = shop.sandbox.post("audit_approved", corpid=shop.corp.corpid, **ids)["welcome_code"]
    shop.tell("msg_audit_approved", who, WelcomeCode=over.get("code", code))


def test_greeted_when_the_customer_agrees_to_the_archive(shop: Shop) -> None:
    """WeCom refuses the welcome before (41053) or brings no code with the adding; afterwards it goes, once."""
    code = shop.make_code()
    fault(shop, "errcode", errcode=41053, times=1)
    who = shop.arrive(code, name="小明")
    assert shop.welcomes(who) == []
    consents(shop, who)
    assert len(shop.welcomes(who)) == 1
    assert shop.ledger() == [("FAILED", "REFUSED"), ("DELIVERED", "NONE")]
    consents(shop, who)  # greeted already
    consents(shop, shop.arrive(code, name="小红"))
    assert len(shop.welcomes()) == 2
    late = shop.scan(code, name="小蓝")
    shop.tell(ADD, late, State=code.state)
    consents(shop, late)
    assert len(shop.welcomes(late)) == 1
    consents(shop, late, code="")  # WeCom gave none


def test_an_agreement_before_its_adding_is_tried_again(shop: Shop) -> None:
    code = shop.make_code()
    who = shop.scan(code, name="小明")
    consents(shop, who)
    assert shop.welcomes(who) == [] and shop.inbox() == {"retry": 1}
    shop.tell(ADD, who, State=code.state)
    with clock.at(clock.now() + timedelta(seconds=6)):
        sweep_inbox.delay()
    assert len(shop.welcomes(who)) == 1
    # long after it is not waited for
    gone = {"userid": who["userid"], "external_userid": "wm" + "z" * 30}
    shop.tell("msg_audit_approved", gone, WelcomeCode="x")
    with clock.at(clock.now() + timedelta(minutes=5)):
        sweep_inbox.delay()
    assert set(shop.inbox()) == {"done"}


def test_another_tool_was_first(shop: Shop) -> None:
    """The chat has begun before our call: WeCom's 41051 without any call of ours before."""
    code = shop.make_code()
    who = shop.scan(code, name="小明")
    ids = {k: who[k] for k in ("external_userid", "userid")}
    shop.sandbox.post("say", corpid=shop.corp.corpid, text="在吗", **ids)
    shop.tell(ADD, who, State=code.state, WelcomeCode=who["welcome_code"])
    assert shop.ledger() == [("FAILED", "ALREADY_WELCOMED")]


def test_a_slow_profile_does_not_hold_up_the_welcome(shop: Shop, monkeypatch: Any) -> None:
    monkeypatch.setattr(greeting, "PROFILE_S", 1.0)
    fault(shop, "slow", api="externalcontact/get", seconds=3)
    shop.arrive(shop.make_code(welcome="你好，{客户昵称}！"), name="小明")
    assert shop.welcomes() == ["你好！"]


def test_no_welcome_configured(shop: Shop) -> None:
    shop.arrive(shop.make_code(welcome=""), name="小明")
    assert shop.ledger() == [] and shop.sandbox.calls(API, corpid=shop.corp.corpid) == []


# ---- killed between the call and its record


def _turn(shop: Shop) -> tuple[str, str]:
    """Key and holder of the customer's turn."""
    event = CallbackEvent.objects.get()
    external_userid = parse_event(event.body)["ExternalUserID"]
    return f"turn:{shop.brand.pk}:inbox:{shop.corp.pk}:{external_userid}", f"event {event.pk}"


def kill_at_record(shop: Shop, code: ChannelCode, monkeypatch: Any, *, called: bool) -> dict[str, Any]:
    """An arrival whose process dies after (or before) WeCom was called, with the claim committed."""

    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    who = shop.scan(code, name="小明")
    with monkeypatch.context() as patch:
        patch.setattr(greeting.touches, "record_welcome_result" if called else "no_such", die, raising=False)
        if not called:
            patch.setattr(greeting, "send", die)
        with pytest.raises(Killed):
            shop.tell(ADD, who, State=code.state, WelcomeCode=who["welcome_code"])
    return who


@pytest.mark.parametrize("called", [True, False])
def test_killed_then_delivered_again(shop: Shop, monkeypatch: Any, called: bool) -> None:
    """Another worker gets the task: 41051 means that ours arrived; otherwise it is sent now. Never twice."""
    kill_at_record(shop, shop.make_code(), monkeypatch, called=called)
    assert shop.ledger() == [("PLANNED", "NONE")]
    with in_brand(shop.brand):
        redis_client().set(*_turn(shop))  # a killed process does not give its turn back
    again(shop)
    assert shop.inbox() == {"done": 1}
    assert len(shop.welcomes()) == 1 and shop.ledger() == [("DELIVERED", "NONE")]


@pytest.mark.parametrize("called, outcome", [(True, ("DELIVERED", "NONE")), (False, ("FAILED", "EXPIRED"))])
def test_killed_and_the_task_is_gone(shop: Shop, monkeypatch: Any, called: bool, outcome: tuple) -> None:
    """Redis lost the task as well: the minute's tick asks WeCom what became of it."""
    code = shop.make_code()
    kill_at_record(shop, code, monkeypatch, called=called)
    shop.sandbox.post("clock", offset_s=60)
    with clock.at(clock.now() + timedelta(seconds=60)):
        tick_brand.delay(brand_id=shop.brand.pk)
    assert shop.ledger() == [outcome] and len(shop.welcomes()) == int(called)


def test_a_claim_whose_event_is_gone_ends_after_all(shop: Shop, monkeypatch: Any) -> None:
    kill_at_record(shop, shop.make_code(), monkeypatch, called=False)
    with in_brand(shop.brand):
        CallbackEvent.objects.all().delete()
    with clock.at(clock.now() + timedelta(seconds=60)):
        tick_brand.delay(brand_id=shop.brand.pk)
    assert shop.ledger() == [("FAILED", "EXPIRED")]


# ---- attachments


def png(size: int = 8) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (size, size), "red").save(out, "PNG")
    return out.getvalue()


def test_attachments_go_along(shop: Shop, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    with in_brand(shop.brand):
        picture = media.save_upload(shop.brand, file=SimpleUploadedFile("优惠券.png", png()), kind="image")
    given = (
        {"type": "image", "file_id": picture.pk},
        {"type": "link", "title": "会员中心", "url": "https://example.com/vip", "desc": "", "picurl": ""},
    )
    code = shop.make_code(welcomes=[WelcomeInput("欢迎", attachments=given)])
    shop.arrive(code, name="小明")
    (row,) = shop.sandbox.sent("welcome", corpid=shop.corp.corpid)
    assert [a["msgtype"] for a in row["attachments"]] == ["image", "link"]
    shop.arrive(code, name="小红")
    assert len(shop.sandbox.calls("media/upload", corpid=shop.corp.corpid)) == 1  # uploaded once


def test_files_lie_ready_before_anybody_comes(shop: Shop, settings: Any, tmp_path: Any) -> None:
    """Uploaded when the welcome is saved, and again before WeCom forgets them."""
    settings.MEDIA_ROOT = tmp_path
    with in_brand(shop.brand):
        picture = media.save_upload(shop.brand, file=SimpleUploadedFile("a.png", png()), kind="image")
    shop.make_code(welcomes=[WelcomeInput("欢迎", attachments=({"type": "image", "file_id": picture.pk},))])

    def uploads() -> int:
        return len(shop.sandbox.calls("media/upload", corpid=shop.corp.corpid))

    assert uploads() == 1
    tick_brand.delay(brand_id=shop.brand.pk)
    assert uploads() == 1
    redis_client().delete(f"warm:{shop.brand.pk}")  # an hour later, two days on
    with clock.at(clock.now() + timedelta(days=2, hours=1)):
        tick_brand.delay(brand_id=shop.brand.pk)
    assert uploads() == 2


@pytest.mark.parametrize("trouble", ["file", "upload", "media_id", "forgotten"])
def test_a_file_that_cannot_be_had_does_not_cost_the_welcome(
    shop: Shop, settings: Any, tmp_path: Any, trouble: str
) -> None:
    settings.MEDIA_ROOT = tmp_path
    with in_brand(shop.brand):
        picture = media.save_upload(shop.brand, file=SimpleUploadedFile("a.png", png()), kind="image")
    code = shop.make_code(
        welcomes=[WelcomeInput("欢迎", attachments=({"type": "image", "file_id": picture.pk},))]
    )
    with in_brand(shop.brand):
        MediaUpload.objects.all().delete()  # as if the upload after saving had not come through
    if trouble == "file":
        (tmp_path / picture.path).unlink()
    elif trouble == "upload":
        fault(shop, "errcode", api="media/upload", errcode=45001)
    elif trouble == "media_id":
        fault(shop, "errcode", errcode=40007)
    else:
        with in_brand(shop.brand):
            hour_ago = clock.now() - timedelta(hours=1)
            MediaUpload.objects.create(file=picture, corp=shop.corp, media_id="gone", uploaded_at=hour_ago)
    shop.arrive(code, name="小明")
    (row,) = shop.sandbox.sent("welcome", corpid=shop.corp.corpid)
    assert (row["text"], row["attachments"]) == ("欢迎", [])
    with in_brand(shop.brand):
        assert not MediaUpload.objects.filter(media_id="gone").exists()  # the next welcome uploads it anew
    assert shop.ledger() == [("DELIVERED", "NONE")]
