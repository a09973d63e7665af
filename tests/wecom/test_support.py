"""The platform's support reads a brand's calls to WeCom: who, what of it, and what is written down about it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from org.models import AuditEntry
from scrm import clock
from tenants.models import Brand, PlatformEntry
from tests.factories import in_brand, make_contact
from tests.org.test_platform import owner
from tests.wecom.test_calls_page import READ, WRITE, log
from wecom.tasks import flush_calls

__all__ = ["owner"]
pytestmark = pytest.mark.django_db(transaction=True)
HX = {"HX-Request": "true"}


def apis(client: Client, path: str, **query: Any) -> list[str]:
    answer = client.get(path, query)
    assert answer.status_code == 200
    return [call.api for call in answer.context["page"]]


def test_support_sees_what_the_brand_sees(brand: Brand, other_brand: Brand, corp: Any, owner: Client) -> None:
    now = clock.now()
    log(brand, corp)
    log(brand, corp, api=WRITE, errcode=48002, hint="98765", ms=1234, at=now - timedelta(minutes=5))
    log(other_brand, corp, api="others/api")
    flush_calls()
    path = f"/platform/{brand.pk}/calls/"
    assert apis(owner, path) == [READ, WRITE]
    assert apis(owner, path, failed="1") == [WRITE]
    assert apis(owner, path, api=READ) == [READ]
    assert apis(owner, f"/platform/{other_brand.pk}/calls/") == ["others/api"]
    page = owner.get(path).content.decode()
    for words in ("48002", "98765", "1,234", "calls-by-hour", brand.name):
        assert words in page
    assert "<html" not in owner.get(path, {"failed": "1"}, headers=HX).content.decode()
    assert path in owner.get(f"/platform/{brand.pk}/").content.decode()
    assert owner.get("/platform/999999999/calls/").status_code == 404


def test_what_the_set_up_check_found_is_there_and_no_secret(brand: Brand, corp: Any, owner: Client) -> None:
    with in_brand(brand):
        corp.checks = [
            {"key": "callable", "state": "failed", "errcode": 48002, "facts": {"errmsg": "api forbidden"}}
        ]
        corp.save()
    page = owner.get(f"/platform/{brand.pk}/calls/").content.decode()
    assert "48002: api forbidden" in page
    for secret in (corp.secret, corp.callback_token, corp.callback_aes_key, corp.callback_path):
        assert secret and secret not in page


def test_it_is_written_down_on_both_sides_once_an_hour(brand: Brand, owner: Client, sign_in: Any) -> None:
    path, now = f"/platform/{brand.pk}/calls/", clock.now()
    for minutes in (0, 1, 59, 61):
        with clock.at(now + timedelta(minutes=minutes)):
            assert owner.get(path).status_code == 200
    assert PlatformEntry.objects.filter(brand=brand, action="brand.calls").count() == 2
    with in_brand(brand):
        entries = AuditEntry.objects.filter(action="call_log.read_by_support")
        assert [entry.actor for entry in entries] == ["平台", "平台"]
    assert "平台" in sign_in(brand).get("/audit/").content.decode()
    assert "brand.calls" not in owner.get("/platform/log/").content.decode()  # in words


def test_nobody_else_comes_and_no_customer_is_there(
    brand: Brand, staff: Any, owner: Client, sign_in: Any
) -> None:
    with in_brand(brand):
        make_contact(brand, staff, name="王小美")
    path = f"/platform/{brand.pk}/calls/"
    assert sign_in(brand).get(path).status_code == 403
    assert Client().get(path).status_code == 302
    assert owner.post(path).status_code == 405
    assert "王小美" not in owner.get(path).content.decode()
    assert owner.get("/contacts/")["Location"] == "/platform/"  # the brand is not entered


def test_two_calls_cost_what_twenty_cost(brand: Brand, corp: Any, owner: Client) -> None:
    counts, path = [], f"/platform/{brand.pk}/calls/"
    for n in (2, 18):
        log(brand, corp, n=n)
        flush_calls()
        owner.get(path)
        with CaptureQueriesContext(connection) as seen:
            owner.get(path)
        counts.append(len(seen))
    assert counts[0] == counts[1]
