"""Log-in by password: throttle, lock and release, sessions, safe ways on, choice of brand, language."""

import time
from typing import Any

import pytest
from django.test import Client

from org.models import AuditEntry, Staff
from org.services import signin
from scrm.redis import redis_client
from tenants.models import Brand, User, UserBrand
from tests.factories import in_brand, make_user

pytestmark = pytest.mark.django_db(transaction=True)
RIGHT = "pass-12345"


def log_in(client: Client, username: str, password: str = RIGHT, path: str = "/login/", **more: Any) -> Any:
    return client.post(path, {"username": username, "password": password, **more})


def staff_of(brand: Brand, user: User) -> Staff:
    with in_brand(brand):
        return Staff.objects.get(user_id=user.pk)


def end_lock(username: str) -> None:
    """As if the lock's time were over."""
    redis_client().delete(signin._keys(username)[1])


def test_right_password_opens_the_only_brand(brand: Brand) -> None:
    user, client = make_user(brand, "operator"), Client()
    response = log_in(client, user.username.upper() + " ")
    assert (response.status_code, response["Location"]) == (302, "/")
    assert client.session["brand_id"] == brand.pk
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("name", ["known", "nobody"])
def test_wrong_password_and_unknown_name_look_the_same(brand: Brand, name: str) -> None:
    make_user(brand, username="known")
    client = Client()
    response = log_in(client, name, "wrong")
    assert response.status_code == 422
    assert response.context["form"].non_field_errors() == [str(signin._("User name or password is wrong"))]
    assert "user_id" not in client.session


def test_inactive_user_is_refused(brand: Brand) -> None:
    user = make_user(brand, is_active=False)
    assert log_in(Client(), user.username).status_code == 422


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/logout/", ""],
)
def test_next_stays_here(brand: Brand, target: str) -> None:
    user = make_user(brand)
    assert log_in(Client(), user.username, next=target)["Location"] == "/"


def test_next_is_followed(brand: Brand) -> None:
    user, client = make_user(brand), Client()
    first = client.get("/staff/?q=x")
    assert first["Location"] == "/login/?next=%2Fstaff%2F%3Fq%3Dx"
    assert client.get(first["Location"]).context["next"] == "/staff/?q=x"
    assert log_in(client, user.username, next="/staff/?q=x")["Location"] == "/staff/?q=x"


def test_a_form_sent_after_the_end_of_the_session_is_told_of(brand: Brand) -> None:
    client, page = Client(), "http://testserver/sops/new/?a=1"
    sent = client.post("/sops/new/", {"name": "x"}, HTTP_REFERER=page)
    assert sent["Location"] == "/login/?next=%2Fsops%2Fnew%2F%3Fa%3D1&unsaved=1"
    assert (
        client.get(sent["Location"]).context["unsaved"]
        and 'role="alert"' in client.get(sent["Location"]).content.decode()
    )
    assert log_in(client, make_user(brand).username, next="/sops/new/?a=1")["Location"] == "/sops/new/?a=1"
    other = Client().post("/sops/new/", {"name": "x"}, HTTP_REFERER="https://evil.example/staff/")
    assert other["Location"] == "/login/?unsaved=1"
    part = Client().get(
        "/contacts/", HTTP_HX_REQUEST="true", HTTP_HX_CURRENT_URL="http://testserver/contacts/?q=x"
    )
    assert part["HX-Redirect"] == "/login/?next=%2Fcontacts%2F%3Fq%3Dx"
    assert Client().post("/sops/new/", HTTP_REFERER="http://[")["Location"] == "/login/?unsaved=1"


def test_the_way_back_survives_every_door(brand: Brand, other_brand: Brand) -> None:
    """By the log-in page of the brand, and by the choice between several."""
    back = "?next=%2Fsops%2Fnew%2F"
    found = Client().get("/login/find/", {"brand": brand.slug, "next": "/sops/new/"})
    assert found["Location"] == f"/login/{brand.slug}/{back}"
    assert f'href="/login/{back}"' in Client().get(found["Location"]).content.decode()
    assert 'name="next" value="/sops/new/"' in Client().get(f"/login/{back}").content.decode()
    assert Client().get("/login/find/", {"brand": brand.slug, "next": "//evil.example/"})["Location"] == (
        f"/login/{brand.slug}/"
    )
    user, client = make_user(brand), Client()
    make_second(user, other_brand)
    chosen = log_in(client, user.username, next="/sops/new/")
    assert chosen["Location"] == f"/switch/{back}"
    assert 'name="next" value="/sops/new/"' in client.get(chosen["Location"]).content.decode()
    assert client.post("/switch/", {"brand": brand.pk, "next": "/sops/new/"})["Location"] == "/sops/new/"


def test_lock_after_five_even_for_the_right_password_and_growing(brand: Brand) -> None:
    user, client = make_user(brand), Client()
    for _ in range(signin.FREE_TRIES):
        assert log_in(client, user.username, "wrong").status_code == 422
    refused = log_in(client, user.username)
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= signin.FIRST_LOCK_S
    for n in range(1, 9):
        end_lock(user.username)
        started, whole_s = time.monotonic(), min(signin.FIRST_LOCK_S * 2**n, signin.LONGEST_LOCK_S)
        assert log_in(client, user.username, "wrong").status_code == 422
        lock = signin.lock_of(user.username)
        assert lock is not None
        assert whole_s - (time.monotonic() - started) - 1 <= lock.left_s <= whole_s
    end_lock(user.username)
    assert log_in(client, user.username).status_code == 302
    assert signin.lock_of(user.username) is None


def test_success_forgets_failures(brand: Brand) -> None:
    user, client = make_user(brand), Client()
    for _ in range(3):
        for _ in range(signin.FREE_TRIES - 1):
            log_in(client, user.username, "wrong")
        assert log_in(client, user.username).status_code == 302
        client.post("/logout/")


def test_an_address_is_throttled_over_all_names(brand: Brand) -> None:
    user, client = make_user(brand), Client(REMOTE_ADDR="10.1.1.1")
    redis_client().set("signin:address:10.1.1.1", signin.ADDRESS_TRIES - 1, ex=signin.ADDRESS_WINDOW_S)
    assert log_in(client, "somebody-else", "wrong").status_code == 422
    assert log_in(client, user.username).status_code == 429
    assert log_in(Client(REMOTE_ADDR="10.1.1.2"), user.username).status_code == 302


def test_address_behind_the_proxy(brand: Brand, settings: Any) -> None:
    """What the visitor claims stands before what our proxy adds; without a proxy nobody believes it."""
    settings.SECURE = True
    client = Client(REMOTE_ADDR="172.18.0.2", headers={"X-Forwarded-For": "1.2.3.4, 9.9.9.9"})
    log_in(client, "nobody", "wrong")
    settings.SECURE = False
    log_in(client, "nobody", "wrong")
    assert redis_client().exists("signin:address:9.9.9.9", "signin:address:172.18.0.2") == 2
    assert not redis_client().exists("signin:address:1.2.3.4")


def lock(user: User) -> None:
    for _ in range(signin.FREE_TRIES):
        log_in(Client(), user.username, "wrong")


def test_admin_unlocks_and_it_is_on_record(brand: Brand, sign_in: Any) -> None:
    user, admin = make_user(brand, "operator"), sign_in(brand)
    lock(user)
    staff = staff_of(brand, user)
    page = admin.get(f"/staff/{staff.pk}/")
    assert page.context["login"]["lock"] is not None
    assert admin.post(f"/staff/{staff.pk}/unlock/").status_code == 302
    assert log_in(Client(), user.username).status_code == 302
    with in_brand(brand):
        entry = AuditEntry.objects.get(action="staff.unlock")
        assert (entry.object_id, entry.user_id) == (staff.pk, admin.user.pk)
        assert entry.before == {"wrong_tries": signin.FREE_TRIES}


def test_who_may_not_unlock(brand: Brand, other_brand: Brand, sign_in: Any) -> None:
    user = make_user(brand, "guide")
    lock(user)
    pk = staff_of(brand, user).pk
    assert sign_in(brand, "operator").post(f"/staff/{pk}/unlock/").status_code == 403
    assert sign_in(other_brand).post(f"/staff/{pk}/unlock/").status_code == 404
    make_second(user, other_brand)
    assert (
        sign_in(brand).post(f"/staff/{pk}/unlock/").status_code == 403
    )  # would help to guess the other brand's
    assert signin.lock_of(user.username) is not None


def make_second(user: User, brand: Brand, role_key: str = "guide") -> None:
    """Let a user into one more brand."""
    with in_brand(brand):
        from tests.factories import role

        staff = Staff.objects.create(name=user.name, user_id=user.pk, role=role(brand, role_key))
        UserBrand.objects.create(user=user, brand=brand, staff_id=staff.pk)


# ---- sessions


def test_the_session_key_changes_at_log_in_and_old_content_is_gone(brand: Brand) -> None:
    user, client = make_user(brand), Client()
    session = client.session
    session["planted"] = True
    session.save()
    before = client.cookies["scrm_session"].value if "scrm_session" in client.cookies else session.session_key
    client.cookies["scrm_session"] = before
    log_in(client, user.username)
    assert client.cookies["scrm_session"].value != before
    assert "planted" not in client.session
    assert Client(headers={"Cookie": f"scrm_session={before}"}).get("/").status_code == 302


def test_a_session_that_does_not_fit_leads_to_the_log_in_page(brand: Brand, sign_in: Any) -> None:
    for change in (
        {"user_id": 10**9},
        {"user_hash": "x" * 64},
        {"user_hash": ""},
        {"user_id": make_user(brand).pk},  # somebody else's id under one's own hash
        {"user_id": "1 OR 1=1"},
        {"user_id": [1]},
    ):
        client = sign_in(brand)
        session = client.session
        session.update(change)
        session.save()
        response = client.get("/")
        assert (response.status_code, response["Location"]) == (302, "/login/"), change
    client = sign_in(brand)
    client.cookies["scrm_session"] = client.cookies["scrm_session"].value[:-3] + "abc"
    assert client.get("/")["Location"] == "/login/"


@pytest.mark.parametrize("brand_id", ["theirs", 10**9, "x", None])
def test_a_brand_that_is_not_ones_own_is_not_entered(
    brand: Brand, other_brand: Brand, sign_in: Any, brand_id: Any
) -> None:
    client = sign_in(brand)
    session = client.session
    session["brand_id"] = other_brand.pk if brand_id == "theirs" else brand_id
    session.save()
    assert client.get("/")["Location"] == "/switch/"


def test_htmx_gets_a_redirect_of_the_whole_page() -> None:
    response = Client().get("/", headers={"HX-Request": "true"})
    assert (response.status_code, response["HX-Redirect"]) == (204, "/login/")


def test_log_out_ends_the_session(brand: Brand, sign_in: Any) -> None:
    client = sign_in(brand)
    key = client.cookies["scrm_session"].value
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/")["Location"] == "/login/"
    client.cookies["scrm_session"] = key
    assert client.get("/").status_code == 302


def test_forms_need_their_token(brand: Brand) -> None:
    user = make_user(brand)
    assert log_in(Client(enforce_csrf_checks=True), user.username).status_code == 403


def test_changing_the_password_signs_other_devices_out(brand: Brand) -> None:
    user, here, there = make_user(brand), Client(), Client()
    log_in(here, user.username)
    log_in(there, user.username)
    given = {"old": RIGHT, "new": "better-67890", "again": "better-67890"}
    assert here.post("/account/", given | {"old": "wrong"}).status_code == 422
    assert here.post("/account/", given | {"again": "other-67890"}).status_code == 422
    assert here.post("/account/", given | {"new": "123", "again": "123"}).status_code == 422
    assert here.post("/account/", given).status_code == 302
    assert here.get("/").status_code == 200
    assert there.get("/").status_code == 302
    assert log_in(Client(), user.username).status_code == 422
    assert log_in(Client(), user.username, "better-67890").status_code == 302


# ---- brands


def test_several_brands_are_chosen_from_and_switched_between(
    brand: Brand, other_brand: Brand, sign_in: Any
) -> None:
    user, client = make_user(brand), Client()
    make_second(user, other_brand)
    third = make_brand_of_nobody()
    assert log_in(client, user.username)["Location"] == "/switch/"
    assert client.get("/")["Location"] == "/switch/"
    page = client.get("/switch/").content.decode()
    assert brand.name in page and other_brand.name in page and third.name not in page
    assert client.post("/switch/", {"brand": brand.pk})["Location"] == "/"
    assert client.get("/staff/").status_code == 200  # admin here
    key = client.cookies["scrm_session"].value
    assert client.post("/switch/", {"brand": other_brand.pk})["Location"] == "/"
    assert client.cookies["scrm_session"].value != key
    assert client.get("/staff/").status_code == 403  # guide there
    for pk in (third.pk, "x", ""):
        assert client.post("/switch/", {"brand": pk}).status_code == 404
    assert client.session["brand_id"] == other_brand.pk


def make_brand_of_nobody() -> Brand:
    from tests.factories import make_brand

    return make_brand()


def test_the_address_of_a_brand_chooses_it(brand: Brand, other_brand: Brand) -> None:
    user, client = make_user(brand), Client()
    make_second(user, other_brand)
    assert other_brand.name in client.get(f"/login/{other_brand.slug}/").content.decode()
    log_in(client, user.username, path=f"/login/{other_brand.slug}/")
    assert client.session["brand_id"] == other_brand.pk
    only_one = make_user(brand)
    log_in(client, only_one.username, path=f"/login/{other_brand.slug}/")
    assert client.session["brand_id"] == brand.pk


def test_closed_brands_cannot_be_entered_and_suspended_ones_can(brand: Brand, sign_in: Any) -> None:
    client = sign_in(brand)
    Brand.objects.filter(pk=brand.pk).update(state="suspended")
    assert client.get("/").status_code == 200
    Brand.objects.filter(pk=brand.pk).update(state="closed")
    assert client.get("/")["Location"] == "/switch/"
    assert client.post("/switch/", {"brand": brand.pk}).status_code == 404
    assert brand.name not in Client().get(f"/login/{brand.slug}/").content.decode()


def test_a_person_without_a_role_gets_nowhere(brand: Brand, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    with in_brand(brand):
        Staff.objects.filter(user_id=client.user.pk).update(state="disabled")
    assert client.get("/").status_code == 403
    with in_brand(brand):
        Staff.objects.filter(user_id=client.user.pk).update(state="active", role=None)
    assert client.get("/").status_code == 403


def test_find_brand_tells_nothing(brand: Brand) -> None:
    assert Client().get("/login/find/", {"brand": brand.slug.upper()})["Location"] == f"/login/{brand.slug}/"
    assert Client().get("/login/find/", {"brand": "no-such"})["Location"] == "/login/no-such/"
    assert Client().get("/login/find/", {"brand": "../x"})["Location"] == "/login/"


# ---- language


def test_language_is_kept_for_the_browser_and_the_person(brand: Brand, sign_in: Any) -> None:
    client = sign_in(brand)
    response = client.post("/i18n/", {"language": "en", "next": "/audit/"})
    assert response["Location"] == "/audit/"
    assert 'lang="en"' in client.get("/audit/").content.decode()
    assert User.objects.get(pk=client.user.pk).language == "en"
    other = Client()
    log_in(other, client.user.username)
    assert other.cookies["scrm_language"].value == "en"
    client.post("/i18n/", {"language": "xx", "next": "//evil.example"})
    assert User.objects.get(pk=client.user.pk).language == "en"
    assert 'lang="zh-CN"' in Client().get("/login/").content.decode()
