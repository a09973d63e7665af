"""Rules by which WeCom stops words, against the sandbox: pages, limits at the field, errors, answers that were lost."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from content.models import InterceptReading, InterceptRule
from content.services import intercept_reading, intercepts, sensitive
from content.services.intercept_input import RuleInput
from content.views import intercepts as views
from org.access import SYSTEM
from org.models import AuditEntry, Department, Staff
from scrm.errors import ConflictError
from tenants.scoping import tenant_scope
from tests.contacts.test_api import client_of
from tests.factories import in_brand
from tests.livecodes.conftest import Shop, sandbox, sandbox_server, shop, wecom
from wecom.errors import WeComError

__all__ = ["sandbox", "sandbox_server", "shop", "wecom"]
pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/content/intercepts/"
API = "externalcontact/{}_intercept_rule"


def at_wecom(shop: Shop) -> dict[str, dict[str, Any]]:
    """Name → the rule as WeCom has it."""
    token = shop.sandbox.token(shop.corp.corpid)
    rows = shop.sandbox.api("externalcontact/get_intercept_rule_list", None, access_token=token)["rule_list"]
    found = [
        shop.sandbox.api(API.format("get"), {"rule_id": row["rule_id"]}, access_token=token)["rule"]
        for row in rows
    ]
    return {rule["rule_name"]: rule for rule in found}


def make(shop: Shop, name: str = "私单", **over: Any) -> InterceptRule:
    given = RuleInput(**{"name": name, "words": ["转账"], "userids": [shop.a.userid], **over})
    with tenant_scope(shop.brand):
        return intercepts.create_rule(shop.brand, by=SYSTEM, corp=shop.corp, given=given)


def read(shop: Shop) -> str:
    with tenant_scope(shop.brand):
        return intercept_reading.read(shop.brand, shop.corp)


def posted(shop: Shop, **over: Any) -> dict[str, Any]:
    return {
        "name": "私单",
        "words": "转账\n微信号，转账",
        "act": "1",
        "semantics": ["1", "3"],
        "staff": [shop.a.pk],
        **over,
    }


def test_a_rule_from_making_to_its_end(shop: Shop, sign_in: Any) -> None:
    with in_brand(shop.brand):
        Department.objects.create(corp=shop.corp, wecom_id=1, name="总部")
        sensitive.add_words(shop.brand, words=["最便宜"], level="refuse", by=SYSTEM)
    admin = sign_in(shop.brand)
    assert "最便宜" in admin.get(f"{LIST}new/{shop.corp.pk}/").content.decode()
    answer = admin.post(f"{LIST}new/{shop.corp.pk}/", posted(shop, departments=["1"]))
    assert answer.status_code == 302, answer.content
    rule = at_wecom(shop)["私单"]
    assert (rule["word_list"], rule["intercept_type"]) == (["转账", "微信号"], 1)
    assert rule["extra_rule"]["semantics_list"] == [1, 3]
    assert rule["applicable_range"] == {"user_list": [shop.a.userid], "department_list": [1]}
    page = admin.get(LIST).content.decode()
    assert "私单" in page and "微信号" in page and shop.a.name in page and "总部" in page
    with in_brand(shop.brand):
        row = InterceptRule.objects.get()
    path = f"{LIST}{row.pk}/"
    assert "微信号" in admin.get(path).content.decode()
    changed = posted(
        shop, name="私单二", words="转账", act="2", semantics=[], staff=[shop.b.pk], departments=[]
    )
    assert admin.post(path, changed).status_code == 302
    rule = at_wecom(shop)["私单二"]
    assert (rule["word_list"], rule["intercept_type"], rule["extra_rule"]["semantics_list"]) == (
        ["转账"],
        2,
        [],
    )
    assert rule["applicable_range"] == {"user_list": [shop.b.userid], "department_list": []}
    assert admin.post(f"{path}delete/").status_code == 302
    assert at_wecom(shop) == {}
    assert "私单二" not in admin.get(LIST).content.decode()
    with in_brand(shop.brand):
        acts = list(AuditEntry.objects.filter(action__startswith="intercept.").order_by("pk"))
        assert [entry.action for entry in acts] == ["intercept.create", "intercept.edit", "intercept.delete"]
        assert (acts[1].before["words"], acts[1].after["words"]) == (["转账", "微信号"], ["转账"])


def test_who_is_chosen_is_always_offered(shop: Shop, sign_in: Any, monkeypatch: Any) -> None:
    """A company has more members than a page offers: those of the rule stay in it."""
    monkeypatch.setattr(views, "MOST", 1)
    with in_brand(shop.brand):
        Staff.objects.filter(pk=shop.b.pk).update(name="~最后")
        for n in (1, 2):
            Department.objects.create(corp=shop.corp, wecom_id=n, parent_wecom_id=n - 1, name=f"{n}部")
    rule = make(shop, userids=[shop.b.userid], department_ids=[2])
    page = sign_in(shop.brand).get(f"{LIST}{rule.pk}/").text
    for name, pk in (("staff", shop.b.pk), ("departments", 2)):
        assert f'name="{name}" value="{pk}" checked' in page


def test_wecoms_limits_are_said_at_the_field(shop: Shop, sign_in: Any) -> None:
    admin, path = sign_in(shop.brand), f"{LIST}new/{shop.corp.pk}/"
    for bad, words in (
        ({"name": ""}, "rule-name"),
        ({"name": "名" * 21}, "20"),
        ({"words": " ，\n"}, "rule-words"),
        ({"words": "\n".join(f"词{n}" for n in range(301))}, "301"),
        ({"words": "长" * 33}, "32"),
        ({"act": "3"}, "act"),
        ({"act": ""}, "act"),
        ({"semantics": ["4"]}, "semantics"),
        ({"staff": []}, "staff"),
        ({"staff": ["999999999"]}, "staff"),
    ):
        answer = admin.post(path, posted(shop, **bad))
        assert answer.status_code == 422, bad
        assert 'class="field-error"' in answer.content.decode() and words in answer.content.decode(), bad
    with in_brand(shop.brand):
        rows = [Staff(corp=shop.corp, name=f"{n}", userid=f"many{n}") for n in range(1_001)]
        many = [person.pk for person in Staff.objects.bulk_create(rows)]
    answer = admin.post(path, posted(shop, staff=many))
    assert answer.status_code == 422 and "1000" in answer.content.decode()
    assert at_wecom(shop) == {} and not shop.calls("add_intercept_rule")
    make(shop)
    assert admin.post(path, posted(shop)).status_code == 422  # the name is taken
    with in_brand(shop.brand):
        InterceptRule.objects.bulk_create(
            InterceptRule(corp=shop.corp, rule_id=f"r{n}", name=f"规则{n}", words=["x"]) for n in range(99)
        )
    assert "100" in admin.post(path, posted(shop, name="第一百零一")).content.decode()
    assert len(at_wecom(shop)) == 1


def test_what_wecom_refuses_is_shown_with_what_was_typed(shop: Shop, sign_in: Any) -> None:
    admin = sign_in(shop.brand)
    shop.sandbox.post("faults", kind="errcode", errcode=48002, api=API.format("add"), times=1)
    answer = admin.post(f"{LIST}new/{shop.corp.pk}/", posted(shop))
    page = answer.content.decode()
    assert answer.status_code == 422 and "alert-danger" in page and "微信号" in page
    shop.sandbox.post(
        "faults", kind="errcode", errcode=48002, api="externalcontact/get_intercept_rule_list", times=1
    )
    assert admin.post(f"{LIST}read/").status_code == 302
    with in_brand(shop.brand):
        assert InterceptReading.objects.get().error
        assert not InterceptRule.objects.exists()
    assert "alert-danger" in admin.get(LIST).content.decode()
    assert admin.post(f"{LIST}read/").status_code == 302
    with in_brand(shop.brand):
        assert InterceptReading.objects.get().error == ""


def test_a_lost_answer_makes_no_second_rule(shop: Shop) -> None:
    shop.sandbox.post("faults", kind="drop_after", api=API.format("add"), times=1)
    row = make(shop)
    assert at_wecom(shop)["私单"]["rule_id"] == row.rule_id
    assert len(at_wecom(shop)) == 1
    shop.sandbox.post("faults", kind="http500", api=API.format("add"), times=1)
    with pytest.raises(WeComError):
        make(shop, "另一条")
    with in_brand(shop.brand):
        assert InterceptRule.objects.count() == 1


def test_what_was_done_in_wecom_is_seen(shop: Shop) -> None:
    row, gone = make(shop), make(shop, "要删")
    token = shop.sandbox.token(shop.corp.corpid)
    change = {
        "rule_id": row.rule_id,
        "word_list": ["红包", "返现"],
        "add_applicable_range": {"user_list": ["stranger", shop.boss.userid.upper()]},
    }
    shop.sandbox.api(API.format("update"), change, access_token=token)
    shop.sandbox.api(API.format("del"), {"rule_id": gone.rule_id}, access_token=token)
    for _ in range(2):
        assert read(shop) == ""
    with in_brand(shop.brand):
        row = InterceptRule.objects.get()
        assert (row.words, row.userids) == (
            ["红包", "返现"],
            sorted([shop.a.userid, shop.boss.userid, "stranger"]),
        )
    given = RuleInput("私单", ["红包"], userids=[shop.b.userid])
    with tenant_scope(shop.brand):
        intercepts.edit_rule(shop.brand, by=SYSTEM, rule_pk=row.pk, given=given)
    # whom we do not know stays in it; whom we know goes, however WeCom spells them
    assert set(at_wecom(shop)["私单"]["applicable_range"]["user_list"]) == {shop.b.userid, "stranger"}
    shop.sandbox.api(API.format("del"), {"rule_id": row.rule_id}, access_token=token)
    with tenant_scope(shop.brand), pytest.raises(ConflictError):
        intercepts.edit_rule(shop.brand, by=SYSTEM, rule_pk=row.pk, given=given)
    with in_brand(shop.brand):
        assert not InterceptRule.objects.exists()
    last = make(shop, "末条")
    shop.sandbox.api(API.format("del"), {"rule_id": last.rule_id}, access_token=token)
    with tenant_scope(shop.brand):
        intercepts.delete_rule(shop.brand, by=SYSTEM, rule_pk=last.pk)  # gone already
    with in_brand(shop.brand):
        assert not InterceptRule.objects.exists()


def test_the_page_reads_what_is_stale_by_itself_once(shop: Shop, sign_in: Any) -> None:
    admin = sign_in(shop.brand)
    assert 'hx-trigger="load"' in admin.get(LIST).content.decode()
    hx = {"HX-Request": "true"}
    assert admin.post(f"{LIST}read/", {"quiet": "1"}, headers=hx)["HX-Redirect"] == LIST
    assert 'hx-trigger="load"' not in admin.get(LIST).content.decode()
    before = shop.calls("get_intercept_rule_list")
    admin.post(f"{LIST}read/", {"quiet": "1"}, headers=hx)
    assert shop.calls("get_intercept_rule_list") == before


def test_by_api(shop: Shop, other_brand: Any) -> None:
    url, json = "/api/v1/intercept-rules/", {"content_type": "application/json"}
    api = client_of(shop.brand, "content.view", "content.approve")
    body = {
        "name": "私单",
        "words": ["转账", "微信号"],
        "finds": ["red_packet"],
        "userids": [shop.a.userid.upper()],
    }
    made = api.post(url, body, **json)
    assert made.status_code == 201, made.content
    rule = at_wecom(shop)["私单"]
    assert (rule["word_list"], rule["extra_rule"]["semantics_list"], rule["intercept_type"]) == (
        ["转账", "微信号"],
        [3],
        1,
    )
    path = f"{url}{made.json()['id']}/"
    changed = api.patch(path, {"act": "warn", "userids": [shop.b.userid]}, **json).json()
    assert (changed["act"], changed["words"], changed["userids"]) == (
        "warn",
        ["转账", "微信号"],
        [shop.b.userid],
    )
    assert at_wecom(shop)["私单"]["applicable_range"]["user_list"] == [shop.b.userid]
    for bad, field in (
        ({"name": "名" * 21}, "name"),
        ({"words": []}, "words"),
        ({"words": ["长" * 33]}, "words"),
        ({"finds": ["bank card"]}, "finds"),
        ({"act": "shout"}, "act"),
        ({"userids": ["nobody"]}, "userids"),
        ({"userids": []}, "range"),
        ({"department_ids": [77]}, "department_ids"),
        ({"corpid": "ww-none"}, "corpid"),
        ({"name": "私单"}, "name"),
    ):
        answer = api.post(url, {**body, "name": "另一条", **bad}, **json)
        wrong = {name.partition(".")[0] for name in answer.json()["error"]["fields"]}
        assert answer.status_code in (400, 422) and field in wrong, (
            bad,
            answer.content,
        )
    with in_brand(shop.brand):
        InterceptRule.objects.update(act=9)  # one that WeCom has added since
    assert api.get(url).json()["results"][0]["act"] == "other"
    assert "act" in api.patch(path, {"name": "改名"}, **json).json()["error"]["fields"]
    assert api.patch(path, {"act": "stop"}, **json).json()["act"] == "stop"
    shop.sandbox.post("faults", kind="errcode", errcode=48002, api=API.format("add"), times=1)
    assert api.post(url, {**body, "name": "另一条"}, **json).json()["error"]["code"] == "wecom_forbidden"
    viewer = client_of(shop.brand, "content.view")
    stranger = client_of(other_brand, "content.view", "content.approve")
    for client, status in ((viewer, 403), (stranger, 404)):
        assert (
            client.patch(path, {"act": "stop"}, **json).status_code
            == client.delete(path).status_code
            == status
        )
    assert viewer.post(url, body, **json).status_code == 403
    assert stranger.post(url, body, **json).status_code == 422  # no corp
    assert api.delete(path).status_code == 204
    assert at_wecom(shop) == {} and api.get(url).json()["results"] == []
    with in_brand(shop.brand):
        assert AuditEntry.objects.filter(action__startswith="intercept.", actor="api: key").count() == 4


def test_rights_brands_and_statements(shop: Shop, other_brand: Any, sign_in: Any) -> None:
    row = make(shop)
    path, new = f"{LIST}{row.pk}/", f"{LIST}new/{shop.corp.pk}/"
    operator, guide, stranger = (
        sign_in(shop.brand, "operator"),
        sign_in(shop.brand, "guide"),
        sign_in(other_brand),
    )
    assert operator.get(LIST).status_code == 200  # looks only
    for client, status in ((operator, 403), (guide, 403), (stranger, 404)):
        for answer in (
            client.get(path), client.post(path, posted(shop)), client.post(f"{path}delete/"), client.get(new),
            client.post(new, posted(shop)),
        ):  # fmt: skip
            assert answer.status_code == status
    assert guide.get(LIST).status_code == 403
    assert "私单" not in stranger.get(LIST).content.decode()
    api = client_of(shop.brand, "content.view")
    (shown,) = api.get("/api/v1/intercept-rules/").json()["results"]
    assert (shown["name"], shown["words"], shown["act"], shown["corpid"]) == (
        "私单",
        ["转账"],
        "stop",
        shop.corp.corpid,
    )
    assert client_of(other_brand, "content.view").get("/api/v1/intercept-rules/").json()["results"] == []
    assert client_of(shop.brand, "codes.view").get("/api/v1/intercept-rules/").status_code == 403
    admin, counts = sign_in(shop.brand), []
    for n in (2, 20):
        with in_brand(shop.brand):
            for i in range(InterceptRule.objects.count(), n):
                InterceptRule.objects.create(
                    corp=shop.corp,
                    rule_id=f"r{i}",
                    name=f"规则{i}",
                    words=["x"],
                    userids=[shop.b.userid],
                    department_ids=[i],
                )
        admin.get(LIST)
        with CaptureQueriesContext(connection) as seen:
            admin.get(LIST)
        counts.append(len(seen))
    assert counts[0] == counts[1]
