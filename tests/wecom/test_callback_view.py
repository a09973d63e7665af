"""The callback address: what is let in, what is turned away, what is stored, and that it stays quick."""

import json
import os
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from org.models import Corp
from org.services.brands import new_aes_key
from scrm import clock
from tenants.models import Brand
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_brand, make_corp
from tests.wecom.events import address, envelope, event_xml, post_event, post_raw, post_xml, signed
from wecom.models import CallbackEvent, RefusedCallback
from wecom.sandbox.crypto import encrypt
from wecom.services import callback_keys, inbox

pytestmark = pytest.mark.django_db(transaction=True)

NOTED, FAMILY = "update_tag", "change_contact"  # an event that starts no task


@pytest.fixture(autouse=True)
def no_keys_from_other_tests() -> Any:
    callback_keys.forget()
    yield
    callback_keys.forget()


def stored(brand: Brand) -> list[CallbackEvent]:
    with in_brand(brand):
        return list(CallbackEvent.objects.order_by("pk"))


def refused(brand: Brand) -> dict[str, int]:
    with in_brand(brand):
        return dict(RefusedCallback.objects.values_list("reason", "n"))


# ---- GET: WeCom checks the address


def check(corp: Corp, echo: str = "1616140317555161061", **over: Any) -> Any:
    encrypted = encrypt(
        echo.encode(), aes_key=corp.callback_aes_key, receive_id=over.pop("receive_id", corp.corpid)
    )
    query = signed(corp, encrypted, **over) | {"echostr": encrypted}
    return Client().get(f"{address(corp)}?{urlencode(query)}")


def test_check_is_answered_with_the_plain_word(brand: Brand, corp: Corp) -> None:
    response = check(corp)
    assert (response.status_code, response.content) == (200, b"1616140317555161061")
    assert response["Content-Type"].startswith("text/plain")
    (event,) = stored(brand)
    assert (event.event, event.state) == ("verify_url", "noted")


@pytest.mark.parametrize(
    "over, reason",
    [
        ({"msg_signature": "0" * 40}, "signature"),
        ({"token": "another"}, "signature"),
        ({"receive_id": "ww0000000000000000"}, "receive_id"),
        ({"ahead_s": -3600}, "late"),
        ({"ahead_s": 3600}, "late"),
    ],
)
def test_check_is_refused(brand: Brand, corp: Corp, over: dict, reason: str) -> None:
    if "ahead_s" in over:  # of the moment of the test, not of the beginning of the run
        over = {"timestamp": int(time.time()) + over["ahead_s"]}
    assert check(corp, **over).status_code == 400
    assert refused(brand) == {reason: 1}
    assert stored(brand) == []


def test_check_without_parameters(brand: Brand, corp: Corp) -> None:
    assert Client().get(address(corp)).status_code == 400
    assert refused(brand) == {"signature": 1}


# ---- POST: events


def test_event_is_stored_and_answered_with_nothing(brand: Brand, corp: Corp) -> None:
    response = post_event(corp, NOTED, FAMILY, UserID="zhangsan", ExternalUserID="wm1", at=1_700_000_000)
    assert (response.status_code, response.content) == (200, b"")
    (event,) = stored(brand)
    assert (event.event, event.change_type, event.corp_id) == (FAMILY, NOTED, corp.pk)
    assert event.happened_at.timestamp() == 1_700_000_000
    assert "<![CDATA[zhangsan]]>" in event.body
    assert (event.state, event.n_repeats) == ("noted", 0)


def test_repeat_is_counted_not_stored(brand: Brand, corp: Corp) -> None:
    """WeCom repeats with the same query and body; a man in the middle may do so much later."""
    xml = event_xml(corp, NOTED, FAMILY, UserID="zhangsan", at=1_600_000_000)
    encrypted = encrypt(xml.encode(), aes_key=corp.callback_aes_key, receive_id=corp.corpid)
    query = signed(corp, encrypted, timestamp=1_600_000_000)
    for _ in range(3):
        assert post_raw(corp, envelope(encrypted), query).status_code == 200
    assert post_xml(corp, xml).status_code == 200  # encrypted anew
    (event,) = stored(brand)
    assert event.n_repeats == 3


def test_unknown_event_is_noted(brand: Brand, corp: Corp) -> None:
    assert post_event(corp, "something_new", event="new_family").status_code == 200
    (event,) = stored(brand)
    assert (event.state, event.error) == ("noted", "unknown event")


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{("&" + a + ";") * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><xml><Encrypt>&i;</Encrypt></xml>"
)


@pytest.mark.parametrize(
    "body, status, reason",
    [
        (BOMB, 400, "xml"),
        ("x" * (2 * 1024 * 1024), 413, "too_large"),
        ("", 400, "xml"),
        ("not xml at all", 400, "xml"),
        ("<xml><ToUserName>a</ToUserName></xml>", 400, "no_encrypt"),
        (b"\xff\xfe\x00", 400, "xml"),
    ],
)
def test_rubbish_is_refused(brand: Brand, corp: Corp, body: Any, status: int, reason: str) -> None:
    started = time.thread_time()  # of the processor: others may have it meanwhile
    assert post_raw(corp, body, {}).status_code == status
    assert time.thread_time() - started < 2
    assert refused(brand) == {reason: 1}
    assert stored(brand) == []


def test_bomb_inside_a_well_signed_letter(brand: Brand, corp: Corp) -> None:
    assert post_xml(corp, BOMB).status_code == 400
    assert refused(brand) == {"xml": 1}


def test_truncated_letter(brand: Brand, corp: Corp) -> None:
    encrypted = encrypt(
        event_xml(corp, NOTED, FAMILY).encode(), aes_key=corp.callback_aes_key, receive_id=corp.corpid
    )
    whole = envelope(encrypted)
    assert post_raw(corp, whole[: len(whole) // 2], signed(corp, encrypted)).status_code == 400
    short = encrypted[:-24]
    assert post_raw(corp, envelope(short), signed(corp, encrypted)).status_code == 400
    assert post_raw(corp, envelope(short), signed(corp, short)).status_code == 400
    assert sum(refused(brand).values()) == 3
    assert stored(brand) == []


@pytest.mark.parametrize(
    "over, reason",
    [
        ({"msg_signature": "0" * 40}, "signature"),
        ({"msg_signature": ""}, "signature"),
        ({"nonce": "other"}, "signature"),
        ({"token": "another"}, "signature"),
        ({"receive_id": ""}, "receive_id"),
        ({"receive_id": "ww0000000000000000"}, "receive_id"),
    ],
)
def test_false_letter_is_refused(brand: Brand, corp: Corp, over: dict, reason: str) -> None:
    xml = event_xml(corp, NOTED, FAMILY)
    for _ in range(2):
        response = post_xml(corp, xml, **over)
        assert (response.status_code, response.content) == (400, b"")
    assert refused(brand) == {reason: 2}  # counted per day and reason
    assert stored(brand) == []


def test_another_key_is_refused(brand: Brand, corp: Corp) -> None:
    assert post_xml(corp, event_xml(corp, NOTED, FAMILY), aes_key=new_aes_key()).status_code == 400
    assert sum(refused(brand).values()) == 1


def test_late_timestamp_of_a_delivery_is_accepted(brand: Brand, corp: Corp) -> None:
    assert post_xml(corp, event_xml(corp, NOTED, FAMILY), timestamp=1_500_000_000).status_code == 200
    assert len(stored(brand)) == 1


def test_unknown_address_and_method(brand: Brand, corp: Corp) -> None:
    assert Client().post("/wecom/callback/unknown/", "x", content_type="text/xml").status_code == 404
    assert Client().put(address(corp), "x").status_code == 405
    assert refused(brand) == {}


def test_closed_brand_has_no_address(brand: Brand, corp: Corp) -> None:
    brand.state = "closed"
    brand.save()
    assert post_event(corp, NOTED, FAMILY).status_code == 404


def test_each_corp_has_its_own_keys(brand: Brand, corp: Corp) -> None:
    """A letter to one brand, well signed for another one, opens nothing."""
    other = make_brand()
    with in_brand(other):
        theirs = make_corp(other)
    xml = event_xml(theirs, NOTED, FAMILY)
    encrypted = encrypt(xml.encode(), aes_key=theirs.callback_aes_key, receive_id=theirs.corpid)
    assert post_raw(corp, envelope(encrypted), signed(theirs, encrypted)).status_code == 400
    assert post_raw(theirs, envelope(encrypted), signed(theirs, encrypted)).status_code == 200
    assert stored(brand) == []
    assert len(stored(other)) == 1


def test_same_event_of_two_brands_is_two(brand: Brand, corp: Corp) -> None:
    other = make_brand()
    with in_brand(other):
        theirs = make_corp(other)
    xml = event_xml(corp, NOTED, FAMILY)
    assert post_xml(corp, xml).status_code == post_xml(theirs, xml).status_code == 200
    assert len(stored(brand)) == len(stored(other)) == 1


def test_renewed_keys_work_at_once(brand: Brand, corp: Corp) -> None:
    assert post_event(corp, NOTED, FAMILY).status_code == 200  # the old keys are remembered now
    with in_brand(brand):
        corp.callback_token, corp.callback_aes_key = "renewed", new_aes_key()
        corp.save()
    callback_keys._kept[corp.callback_path] = (
        time.monotonic() - 2,
        callback_keys._kept[corp.callback_path][1],
    )
    assert post_event(corp, NOTED, FAMILY, UserID="after").status_code == 200
    assert refused(brand) == {}


def test_three_statements_at_most(brand: Brand, corp: Corp) -> None:
    post_event(corp, NOTED, FAMILY)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert post_event(corp, NOTED, FAMILY, UserID="x").status_code == 200
    statements = [q["sql"] for q in queries if q["sql"] not in ("BEGIN", "COMMIT")]
    assert len(statements) <= 3, statements


WITHOUT_REDIS = """
import json, sys, time
import django
django.setup()
from django.test import Client
Client().get("/wecom/callback/unknown/")  # loads the code
codes, seconds = [], []
for url, body in json.load(sys.stdin):
    started = time.monotonic()
    codes.append(Client().post(url, body, content_type="text/xml").status_code)
    seconds.append(time.monotonic() - started)
print(json.dumps({"codes": codes, "seconds": seconds}))
"""


def test_without_redis_the_event_is_stored_and_found_by_the_sweep(brand: Brand, corp: Corp) -> None:
    """A web process of its own whose Redis is not there."""
    for n in range(3):  # a machine that does something else meanwhile may be slow in one round
        if max(_seconds_without_redis(corp, f"wm{n}")) < 5:  # after that WeCom would send it again
            break
    else:
        pytest.fail("WeCom would not have waited")
    events = stored(brand)
    assert [e.state for e in events] == ["new"] * 3 * (n + 1)
    with clock.at(events[-1].received_at + inbox.SWEEP_AFTER), tenant_scope(brand):
        assert inbox.due(10) == [e.pk for e in events]
        assert inbox.due(10) == []  # queued now: the next sweep does not take them again


def _seconds_without_redis(corp: Corp, prefix: str) -> list[float]:
    """How long each of three letters took in a process of its own."""
    letters = []
    for n in range(3):
        xml = event_xml(corp, "add_external_contact", UserID="u", ExternalUserID=f"{prefix}{n}")
        encrypted = encrypt(xml.encode(), aes_key=corp.callback_aes_key, receive_id=corp.corpid)
        letters.append((f"{address(corp)}?{urlencode(signed(corp, encrypted))}", envelope(encrypted)))
    database = settings.DATABASES["default"]
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "scrm.settings",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "ALLOWED_HOSTS": "testserver",
        "LOG_LEVEL": "CRITICAL",
        "DATABASE_URL": os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{database['NAME']}",
    }
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_REDIS],
        input=json.dumps(letters),
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["codes"] == [200, 200, 200]
    return answer["seconds"]
