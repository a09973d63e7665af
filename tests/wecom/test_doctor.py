"""The set-up doctor and its pages: what is wrong in WeCom's console is named, in words, with its page."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import translation

from org.models import AuditEntry, Corp
from scrm import clock
from tenants.models import BrandLookup
from tenants.scoping import tenant_scope
from tests import factories
from tests.factories import in_brand, make_brand, make_corp, make_user
from tests.wecom.events import event_xml, post_xml
from tests.wecom.sandbox_client import CORPID
from wecom.errors import WeComUnavailable
from wecom.services import callback_keys, doctor
from wecom.services.doctor_words import Finding, findings

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def english() -> Any:
    with translation.override("en"):
        yield


@pytest.fixture
def ready(connected: SimpleNamespace, settings: Any) -> SimpleNamespace:
    """Everything is as it should be."""
    settings.PUBLIC_URL = "https://scrm.example.com"
    connected.sandbox.make_corp(trusted_domains=["scrm.example.com"])
    callback_keys.forget()
    assert post_xml(connected.corp, event_xml(connected.corp, "msg_audit_approved")).status_code == 200
    return connected


def examine(shop: SimpleNamespace, later_s: int = 0) -> dict[str, Finding]:
    with tenant_scope(shop.brand), clock.at(clock.now() + timedelta(seconds=later_s)):
        doctor.examine(shop.brand, shop.corp)
    with in_brand(shop.brand):
        return {one.key: one for one in findings(Corp.objects.get(pk=shop.corp.pk))}


def states(found: dict[str, Finding]) -> dict[str, str]:
    return {key: one.state for key, one in found.items() if one.state != "ok"}


def test_all_is_well(ready: SimpleNamespace) -> None:
    found = examine(ready)
    assert list(found) == doctor.KEYS
    assert states(found) == {}
    assert "2" in found["guides"].text
    assert found["callback"].at is not None


@pytest.mark.parametrize(
    "given, key, word",
    [
        ({"secret": "another-secret-of-the-app"}, "secret", "secret is wrong"),
        ({"trusted_ips": ["203.0.113.9"]}, "ip", "127.0.0.1"),
        ({"callable": False}, "callable", "may not call"),
        ({"trusted_domains": ["other.example.com"]}, "domain", "other.example.com"),
    ],
    ids=["secret", "ip", "callable", "domain"],
)
def test_what_is_wrong_in_the_console(ready: SimpleNamespace, given: dict, key: str, word: str) -> None:
    ready.sandbox.make_corp(**given)
    found = examine(ready)
    assert found[key].state in ("failed", "warning")
    assert word in found[key].text
    assert "console" in found[key].page
    others = {name for name, state in states(found).items() if state in ("failed", "warning")}
    assert others <= {key, "ways", "tags"}
    ready.sandbox.make_corp(
        trusted_ips=["127.0.0.1"],
        callable=True,
        trusted_domains=["scrm.example.com"],
        secret=ready.corp.secret,
    )
    assert states(examine(ready, later_s=10)) == {}


@pytest.mark.parametrize(
    "api, errcode, key, page",
    [
        ("gettoken", 40013, "secret", "Company information"),
        ("gettoken", 40001, "secret", "App management"),
        ("agent/get", 60020, "ip", "Trusted company IP"),
        ("agent/get", 301002, "app", "App management"),
        ("agent/get", 50003, "app", "App management"),
        ("externalcontact/get_follow_user_list", 48002, "callable", "Apps that may call the API"),
        ("externalcontact/get_follow_user_list", 84074, "callable", "Permission settings"),
        ("externalcontact/list_contact_way", 48002, "ways", "Apps that may call the API"),
        ("externalcontact/get_corp_tag_list", 48006, "tags", "your app"),
        ("externalcontact/get_corp_tag_list", 60020, "ip", "Trusted company IP"),
    ],
)
def test_each_refusal_names_its_page(
    ready: SimpleNamespace, api: str, errcode: int, key: str, page: str
) -> None:
    ready.sandbox.post("faults", corpid=CORPID, api=api, kind="errcode", errcode=errcode)
    ready.sandbox.post("kill_tokens", corpid=CORPID)
    found = examine(ready)
    assert found[key].state == "failed"
    assert page in found[key].page
    assert str(errcode) in found[key].detail


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "html"}, {"kind": "empty"}, {"kind": "http500"}, {"kind": "hang", "seconds": 30},
        {"kind": "errcode", "errcode": -1}, {"kind": "errcode", "errcode": 45009},
    ],
    ids=lambda fault: str(fault.get("errcode", fault["kind"])),
)  # fmt: skip
def test_wecom_does_not_answer(ready: SimpleNamespace, fault: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DEADLINE_S", 1.5)
    ready.sandbox.post("faults", corpid=CORPID, api="agent/get", **fault)
    found = examine(ready)
    assert found["secret"].state == "ok"
    assert found["app"].state == "failed"
    assert found["app"].text
    assert found["guides"].state == "skipped"
    assert found["callback"].state == "ok"  # what we know ourselves is told all the same


def test_wecom_is_not_there(ready: SimpleNamespace, settings: Any) -> None:
    settings.WECOM_API_URL = "http://127.0.0.1:1"
    found = examine(ready)
    assert found["secret"].state == "failed"
    assert {found[key].state for key in ("ip", "app", "guides", "ways")} == {"skipped"}


def test_nobody_may_serve_customers(ready: SimpleNamespace) -> None:
    ready.sandbox.load(
        members=[
            {"userid": "GuideA", "name": "甲", "has_contact_right": False},
            {"userid": "guideb", "name": "乙", "has_contact_right": False},
        ]
    )
    found = examine(ready)
    assert found["guides"].state == "failed"
    assert "Usage scope" in found["guides"].page


def test_callback_never_called(connected: SimpleNamespace) -> None:
    assert examine(connected)["callback"].state == "failed"


def test_callback_with_another_token(ready: SimpleNamespace) -> None:
    assert post_xml(ready.corp, event_xml(ready.corp, "x"), token="another").status_code == 400
    found = examine(ready)
    assert found["refused"].state == "failed"
    assert "Token" in found["refused"].text
    assert post_xml(ready.corp, event_xml(ready.corp, "msg_audit_approved", UserID="2")).status_code == 200
    assert examine(ready, later_s=10)["refused"].state == "warning"  # an event came since


def test_callback_silent_for_weeks(ready: SimpleNamespace) -> None:
    found = examine(ready, later_s=20 * 86400)
    assert found["callback"].state == "warning"


def test_address_of_this_machine_only(ready: SimpleNamespace, settings: Any) -> None:
    settings.PUBLIC_URL = "http://localhost:8000"
    assert examine(ready)["address"].state == "ok"  # WeCom's stand-in is on this machine too
    settings.WECOM_API_URL = "http://192.0.2.1:1"
    settings.PUBLIC_URL = "http://127.0.0.1:8000"
    report = doctor.Report()
    doctor._address(report)
    assert report.checks["address"]["state"] == "failed"


# ---- pages


def test_connect_a_company(sign_in: Any, brand: Any, sandbox: Any, settings: Any) -> None:
    settings.WECOM_API_URL = sandbox.url
    client = sign_in(brand)
    assert client.get("/setup/").status_code == 200
    assert "AgentId" in client.get("/setup/new/").content.decode()
    given = {
        "name": "总部",
        "corpid": " ww1234567890abcdef ",
        "agent_id": "1000002",
        "secret": "very-secret-word",
    }
    answer = client.post("/setup/new/", given)
    page = answer.content.decode()
    with in_brand(brand):
        corp = Corp.objects.get()
    assert (corp.corpid, corp.secret) == ("ww1234567890abcdef", "very-secret-word")
    assert "no-store" in answer["Cache-Control"]
    for shown in (corp.callback_token, corp.callback_aes_key, f"/wecom/callback/{corp.callback_path}/"):
        assert shown in page
    for url in ("/setup/", f"/setup/{corp.pk}/", f"/setup/{corp.pk}/edit/"):
        page = client.get(url).content.decode()
        for hidden in (corp.secret, corp.callback_token, corp.callback_aes_key):
            assert hidden not in page
    with in_brand(brand):
        entry = str(AuditEntry.objects.filter(action="corp.connect").values_list("before", "after").get())
    assert "very-secret-word" not in entry
    again = client.post("/setup/new/", given)
    assert again.status_code == 422
    assert "very-secret-word" not in again.content.decode()


@pytest.mark.parametrize(
    "over",
    [{"corpid": "x"}, {"corpid": ""}, {"agent_id": "abc"}, {"agent_id": "0"}, {"secret": ""}, {"name": ""}],
)
def test_bad_input(sign_in: Any, brand: Any, over: dict) -> None:
    given = {"name": "总部", "corpid": "ww1234567890abcdef", "agent_id": "1000002", "secret": "s"} | over
    assert sign_in(brand).post("/setup/new/", given).status_code == 422
    with in_brand(brand):
        assert Corp.objects.count() == 0


def test_corp_of_another_brand_cannot_be_connected(sign_in: Any, brand: Any) -> None:
    other = make_brand()
    with in_brand(other):
        theirs = make_corp(other)
    given = {"name": "x", "corpid": theirs.corpid, "agent_id": "1", "secret": "s"}
    assert sign_in(brand).post("/setup/new/", given).status_code == 422
    with in_brand(brand):
        assert Corp.objects.count() == 0


def test_edit_keeps_the_secret_unless_given(sign_in: Any, brand: Any, corp: Corp) -> None:
    client = sign_in(brand)
    given = {"name": "新名", "corpid": corp.corpid, "agent_id": "1000009", "secret": ""}
    assert client.post(f"/setup/{corp.pk}/edit/", given).status_code == 302
    with in_brand(brand):
        got = Corp.objects.get()
    assert (got.name, got.agent_id, got.secret) == ("新名", 1000009, corp.secret)
    client.post(f"/setup/{corp.pk}/edit/", {**given, "secret": "changed-secret"})
    with in_brand(brand):
        assert Corp.objects.get().secret == "changed-secret"
        assert "changed-secret" not in str(list(AuditEntry.objects.values_list("before", "after")))


def test_corp_id_can_be_corrected_until_members_came(sign_in: Any, brand: Any, corp: Corp) -> None:
    client = sign_in(brand)
    given = {"name": "x", "corpid": "wwcorrected000001", "agent_id": "1", "secret": ""}
    assert client.post(f"/setup/{corp.pk}/edit/", given).status_code == 302
    assert BrandLookup.objects.filter(kind="corp", key="wwcorrected000001", brand=brand).exists()
    assert not BrandLookup.objects.filter(kind="corp", key=corp.corpid).exists()
    with in_brand(brand):
        factories.make_staff(brand, corp)
    assert client.post(f"/setup/{corp.pk}/edit/", {**given, "corpid": "ww0000000000again"}).status_code == 422


def test_new_keys_are_shown_once(sign_in: Any, brand: Any, corp: Corp) -> None:
    client = sign_in(brand)
    page = client.post(f"/setup/{corp.pk}/keys/").content.decode()
    with in_brand(brand):
        got = Corp.objects.get()
    assert got.callback_token != corp.callback_token
    assert got.callback_aes_key != corp.callback_aes_key
    assert got.callback_token in page
    assert got.callback_aes_key in page
    assert got.callback_token not in client.get(f"/setup/{corp.pk}/").content.decode()
    assert client.get(f"/setup/{corp.pk}/keys/").status_code == 405


def test_check_button(ready: SimpleNamespace, sign_in: Any) -> None:
    client = sign_in(ready.brand)
    answer = client.post(f"/setup/{ready.corp.pk}/check/", headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer.content.decode().count('data-state="ok"') == len(doctor.KEYS)
    again = client.post(f"/setup/{ready.corp.pk}/check/", headers={"HX-Request": "true"})
    assert again.status_code == 429  # WeCom bans who asks too often with a wrong secret
    assert client.get(f"/setup/{ready.corp.pk}/").status_code == 200


def test_message_to_oneself(ready: SimpleNamespace, sign_in: Any) -> None:
    user = make_user(ready.brand, staff=ready.a)
    client = sign_in(ready.brand, user=user)
    assert client.post(f"/setup/{ready.corp.pk}/message/", headers={"HX-Request": "true"}).status_code == 204
    assert [sent["userid"].lower() for sent in ready.sandbox.sent("app")] == ["guidea"]
    assert sign_in(ready.brand).post(f"/setup/{ready.corp.pk}/message/").status_code == 422
    ready.sandbox.post("faults", corpid=CORPID, api="message/send", kind="html")
    assert client.post(f"/setup/{ready.corp.pk}/message/").status_code == WeComUnavailable.http_status


@pytest.mark.parametrize("role", ["operator", "guide"])
def test_only_who_may(ready: SimpleNamespace, sign_in: Any, role: str) -> None:
    client = sign_in(ready.brand, role)
    for url in ("/setup/", "/setup/new/", f"/setup/{ready.corp.pk}/"):
        assert client.get(url).status_code == 403
    for act in ("check", "keys", "message", "edit"):
        assert client.post(f"/setup/{ready.corp.pk}/{act}/").status_code == 403


def test_corp_of_another_brand_is_not_there(ready: SimpleNamespace, sign_in: Any) -> None:
    client = sign_in(make_brand())
    assert client.get(f"/setup/{ready.corp.pk}/").status_code == 404
    for act in ("check", "keys", "message", "edit"):
        assert client.post(f"/setup/{ready.corp.pk}/{act}/").status_code == 404
