"""Members sign in through WeCom: against the sandbox, from the first redirect to the session."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.test import Client

from org.models import AuditEntry, Role, Staff
from scrm import clock
from tenants.models import Brand, User, UserBrand
from tests.factories import in_brand, make_user, role
from tests.wecom.sandbox_client import CORPID, SECRET

IN_WECOM = "Mozilla/5.0 … wxwork/4.1 MicroMessenger/7.0"


@pytest.fixture
def door(connected: SimpleNamespace, settings: Any) -> SimpleNamespace:
    """`connected`, with guide `a` as a guide of the dashboard too."""
    settings.WECOM_OAUTH_URL = settings.WECOM_LOGIN_URL = connected.sandbox.url
    with in_brand(connected.brand):
        connected.a.role = role(connected.brand, "guide")
        connected.a.save()
    return connected


def start(client: Client, *, agent: str = "Chrome", target: str = "") -> dict[str, str]:
    """Begin here; gives address and parameters of WeCom's page, which must answer."""
    answer = client.get(f"/login/wecom/{CORPID}/", {"next": target}, headers={"User-Agent": agent})
    assert answer.status_code == 302
    assert requests.get(answer["Location"], timeout=60).status_code == 200
    parts = urlsplit(answer["Location"])
    return {"page": parts.path, **{key: values[0] for key, values in parse_qs(parts.query).items()}}


def pick(door: SimpleNamespace, given: dict[str, str], **who: str) -> str:
    """The member picks who they are; gives the path that WeCom sends the browser back to."""
    url = door.sandbox.post(
        "login",
        corpid=CORPID,
        redirect_uri=given["redirect_uri"],
        state=given["state"],
        agent_id=int(given["agentid"]),
        **who,
    )["url"]
    assert url.startswith("http://testserver/login/wecom/")
    return url.removeprefix("http://testserver")


def enter(door: SimpleNamespace, client: Client, userid: str = "GuideA", **more: str) -> Any:
    return client.get(pick(door, start(client, **more), userid=userid))


def test_first_log_in_makes_the_user_and_the_second_finds_it(door: SimpleNamespace) -> None:
    client = Client()
    assert enter(door, client, target="/contacts/")["Location"] == "/contacts/"
    assert client.get("/").status_code == 200
    user = User.objects.get()
    assert user.username == f"guidea@{CORPID}" and not user.has_usable_password()
    assert client.session["user_id"] == user.pk and client.session["brand_id"] == door.brand.pk
    again = Client()
    assert enter(door, again)["Location"] == "/"
    assert User.objects.count() == UserBrand.objects.count() == 1
    with in_brand(door.brand):
        door.a.refresh_from_db()
        assert door.a.user_id == user.pk
        assert AuditEntry.objects.filter(action="staff.add_login", object_id=door.a.pk).count() == 1
    assert Client().post("/login/", {"username": user.username, "password": ""}).status_code == 422


def test_which_page_of_wecom(door: SimpleNamespace) -> None:
    inside = start(Client(), agent=IN_WECOM)
    assert inside["page"] == "/connect/oauth2/authorize" and inside["scope"] == "snsapi_base"
    outside = start(Client())
    assert outside["page"] == "/wwlogin/sso/login" and outside["login_type"] == "CorpApp"
    assert inside["state"] != outside["state"] and outside["state"].isalnum()
    client = Client()
    assert client.get(pick(door, start(client, agent=IN_WECOM), userid="GuideA")).status_code == 302


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/"])
def test_the_way_on_stays_here(door: SimpleNamespace, target: str) -> None:
    assert enter(door, Client(), target=target)["Location"] == "/"


def test_the_state_belongs_to_the_browser_once_and_for_ten_minutes(door: SimpleNamespace) -> None:
    victim, attacker = Client(), Client()
    path = pick(door, start(attacker), userid="GuideA")
    assert victim.get(path).status_code == 422  # never started
    start(victim)
    assert victim.get(path).status_code == 422  # started something else
    assert victim.get(path.replace("state=", "state=x")).status_code == 422
    assert attacker.get(path).status_code == 302
    assert attacker.get(path).status_code == 422  # used up
    assert "user_id" not in victim.session
    late = Client()
    path = pick(door, start(late), userid="GuideA")
    with clock.at(clock.now() + timedelta(minutes=11)):
        assert late.get(path).status_code == 422
    other_corp = Client()
    path = pick(door, start(other_corp), userid="GuideA").replace(CORPID, "wwother")
    assert other_corp.get(path).status_code == 422


def test_a_code_works_once(door: SimpleNamespace) -> None:
    first = Client()
    path = pick(door, start(first), userid="GuideA")
    assert first.get(path).status_code == 302
    second = Client()
    given = start(second)
    stolen = path.split("code=")[1].split("&")[0]
    answer = second.get(f"/login/wecom/{CORPID}/done/", {"code": stolen, "state": given["state"]})
    assert answer.status_code == 422 and "user_id" not in second.session


def test_who_refuses_at_wecom_comes_back_to_the_log_in_page(door: SimpleNamespace) -> None:
    client = Client()
    given = start(client)
    assert client.get(f"/login/wecom/{CORPID}/done/", {"state": given["state"]})["Location"] == "/login/"


@pytest.mark.parametrize(
    "change, status", [({"role": None}, 403), ({"state": "left"}, 403), ({"state": "disabled"}, 403)]
)
def test_members_without_a_role_or_gone(door: SimpleNamespace, change: dict, status: int) -> None:
    with in_brand(door.brand):
        Staff.objects.filter(pk=door.a.pk).update(**change)
    client = Client()
    assert enter(door, client).status_code == status
    assert "user_id" not in client.session and User.objects.count() == 0


def test_who_is_no_member(door: SimpleNamespace) -> None:
    client = Client()
    assert client.get(pick(door, start(client))).status_code == 422
    door.sandbox.load(members=[{"userid": "NotSynced", "name": "丙"}])
    assert enter(door, client, "NotSynced").status_code == 403
    assert Client().get("/login/wecom/ww-unknown/").status_code == 404
    Brand.objects.filter(pk=door.brand.pk).update(state="closed")
    assert Client().get(f"/login/wecom/{CORPID}/").status_code == 404


def test_a_switched_off_user(door: SimpleNamespace) -> None:
    enter(door, Client())
    User.objects.update(is_active=False)
    client = Client()
    assert enter(door, client).status_code == 403 and "user_id" not in client.session


def test_no_seat_left(door: SimpleNamespace) -> None:
    Brand.objects.filter(pk=door.brand.pk).update(staff_quota=0)
    assert enter(door, Client()).status_code == 429
    assert User.objects.count() == 0


def test_a_name_that_somebody_took_before(door: SimpleNamespace, other_brand: Brand) -> None:
    """Another brand's user of the member's name, with a password known there, is not handed this brand."""
    taken = make_user(other_brand, username=f"guidea@{CORPID}")
    client = Client()
    assert enter(door, client)["Location"] == "/"
    assert client.session["user_id"] != taken.pk
    assert [e.brand for e in UserBrand.objects.filter(user=taken).select_related("brand")] == [other_brand]


def test_a_left_over_name_loses_its_password(door: SimpleNamespace) -> None:
    left_over = User.objects.create_user(f"guidea@{CORPID}", "pass-12345", name="x")
    client = Client()
    assert enter(door, client)["Location"] == "/"
    assert client.session["user_id"] == left_over.pk
    assert (
        Client().post("/login/", {"username": left_over.username, "password": "pass-12345"}).status_code
        == 422
    )


def test_an_admin_who_takes_the_log_in_closes_wecom_s_door_too(door: SimpleNamespace, sign_in: Any) -> None:
    client = Client()
    enter(door, client)
    assert sign_in(door.brand).post(f"/staff/{door.a.pk}/remove-login/").status_code == 302
    assert client.get("/")["Location"] == "/switch/"
    assert enter(door, client).status_code == 403


@pytest.mark.parametrize("fault", ["http500", "html", "hang"])
def test_wecom_is_ill(door: SimpleNamespace, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    path = pick(door, start(client), userid="GuideA")
    door.sandbox.post("faults", corpid=CORPID, api="auth/getuserinfo", kind=fault, times=9, seconds=0.1)
    assert client.get(path).status_code in (422, 502, 503)
    assert "user_id" not in client.session


def test_a_refused_app_says_what_to_mend(door: SimpleNamespace) -> None:
    client = Client()
    path = pick(door, start(client), userid="GuideA")
    door.sandbox.post("faults", corpid=CORPID, api="auth/getuserinfo", kind="errcode", errcode=60020, times=1)
    answer = client.get(path)
    assert answer.status_code == 422 and "user_id" not in client.session


def test_the_log_in_page_offers_it(door: SimpleNamespace, other_brand: Brand) -> None:
    page = Client().get(f"/login/{door.brand.slug}/?next=/contacts/").content.decode()
    assert f"/login/wecom/{CORPID}/?next=/contacts/" in page.replace("%2F", "/")
    assert CORPID not in Client().get(f"/login/{other_brand.slug}/").content.decode()


def test_a_member_of_several_brands_of_ours_enters_this_one(
    door: SimpleNamespace, other_brand: Brand
) -> None:
    enter(door, Client())
    user = User.objects.get()
    with in_brand(other_brand):
        staff = Staff.objects.create(name="x", user_id=user.pk, role=Role.objects.first())
        UserBrand.objects.create(user=user, brand=other_brand, staff_id=staff.pk)
    client = Client()
    assert enter(door, client)["Location"] == "/"
    assert client.session["brand_id"] == door.brand.pk
    assert SECRET not in str(dict(client.session))
