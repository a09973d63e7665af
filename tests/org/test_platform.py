"""The back office: who enters, what it does, and that no customer is there."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone as django_timezone

from org.models import Staff
from org.services import signin
from tenants.models import Brand, BrandHealth, PlatformEntry, User, UserBrand
from tests.factories import in_brand, make_brand, make_contact, make_corp, make_staff, role

pytestmark = pytest.mark.django_db(transaction=True)
PATHS = ["/platform/", "/platform/new/", "/platform/log/", "/platform/people/"]


@pytest.fixture
def owner() -> Client:
    user = User.objects.create_user("owner", "pass-12345", name="平台", is_platform_owner=True)
    client = Client()
    session = client.session
    session.update({"user_id": user.pk, "user_hash": user.get_session_auth_hash()})
    session.save()
    client.user = user  # type: ignore[attr-defined]
    return client


OPEN = {
    "name": "山茶花", "slug": "camellia", "timezone": "Asia/Shanghai", "contact_quota": 500, "staff_quota": 5,
    "admin_name": "林晓", "admin_username": "linxiao", "admin_password": "pass-12345",
}  # fmt: skip


def test_only_the_platform_owner_enters(brand: Brand, sign_in: Any, owner: Client) -> None:
    admin = sign_in(brand)
    for path in [*PATHS, f"/platform/{brand.pk}/"]:
        assert Client().get(path)["Location"].startswith("/login/")
        assert admin.get(path).status_code == 403
        assert owner.get(path).status_code == 200
    for path in (f"/platform/{brand.pk}/state/", f"/platform/{brand.pk}/quota/", "/platform/new/"):
        assert admin.post(path, OPEN | {"state": "closed"}).status_code == 403
    brand.refresh_from_db()
    assert brand.state == "active"
    assert owner.get("/platform/999999999/").status_code == 404


def test_the_owner_sees_no_brand_from_inside(brand: Brand, owner: Client) -> None:
    for path in ("/", "/staff/", "/audit/", "/settings/keys/"):
        assert owner.get(path)["Location"] == "/platform/", path
    session = owner.session
    session["brand_id"] = brand.pk
    session.save()
    assert owner.get("/staff/")["Location"] == "/platform/"


def test_open_a_brand_with_its_first_admin(owner: Client) -> None:
    refused = owner.post("/platform/new/", OPEN | {"admin_password": ""})
    assert refused.status_code == 422 and refused.context["form"].errors.keys() == {"admin_password"}
    assert owner.post("/platform/new/", OPEN | {"slug": "wecom"}).status_code == 422
    assert owner.post("/platform/new/", OPEN | {"timezone": "x"}).status_code == 422
    assert Brand.objects.count() == 0 and PlatformEntry.objects.count() == 0
    response = owner.post("/platform/new/", OPEN)
    brand = Brand.objects.get()
    assert response["Location"] == f"/platform/{brand.pk}/"
    assert (brand.contact_quota, brand.staff_quota) == (500, 5)
    assert owner.post("/platform/new/", OPEN).status_code == 422  # the short name is taken
    assert Brand.objects.count() == 1
    client = Client()
    assert client.post("/login/", {"username": "linxiao", "password": "pass-12345"})["Location"] == "/"
    assert client.get("/staff/roles/").status_code == 200
    with in_brand(brand):
        assert Staff.objects.get().role == role(brand, "admin")
    # the same person opens a second one and keeps the password
    assert owner.post("/platform/new/", OPEN | {"slug": "second", "admin_password": ""}).status_code == 302
    assert client.post("/login/", {"username": "linxiao", "password": "pass-12345"})["Location"] == "/switch/"


def test_suspend_close_and_open_again(brand: Brand, sign_in: Any, owner: Client) -> None:
    admin, url = sign_in(brand), f"/platform/{brand.pk}/state/"
    assert owner.post(url, {"state": "exploded"}).status_code == 422
    for state, expected in [("suspended", 200), ("closed", 302), ("active", 200)]:
        assert owner.post(url, {"state": state}).status_code == 302
        assert admin.get("/").status_code == expected
    owner.post(url, {"state": "active"})
    states = list(PlatformEntry.objects.order_by("pk").values_list("before__state", "after__state"))
    assert states == [("active", "suspended"), ("suspended", "closed"), ("closed", "active")]


def test_quota(brand: Brand, owner: Client) -> None:
    url = f"/platform/{brand.pk}/quota/"
    assert owner.post(url, {"contact_quota": 0, "staff_quota": 1}).status_code == 422
    assert owner.post(url, {"contact_quota": "9" * 30, "staff_quota": 1}).status_code == 422
    for _ in range(2):  # the second time nothing changes and nothing is written
        assert owner.post(url, {"contact_quota": 7, "staff_quota": 8}).status_code == 302
    brand.refresh_from_db()
    assert (brand.contact_quota, brand.staff_quota) == (7, 8)
    entry = PlatformEntry.objects.get()
    assert (entry.user, entry.after) == (owner.user, {"contact_quota": 7, "staff_quota": 8})  # type: ignore[attr-defined]


def test_list_health_and_query_count(owner: Client) -> None:
    def n_queries() -> int:
        with CaptureQueriesContext(connection) as queries:
            owner.get("/platform/")
        return len(queries)

    def healthy(brand: Brand) -> None:
        now = django_timezone.localtime()
        BrandHealth.objects.create(
            brand=brand, checked_at=now, n_contacts=1234, problem="inbox_dead,staff_quota"
        )

    for _ in range(2):
        healthy(make_brand())
    few = n_queries()
    for _ in range(20):
        healthy(make_brand())
    assert n_queries() == few
    page = owner.get("/platform/").content.decode()
    assert "1,234" in page and "inbox_dead" not in page
    name = Brand.objects.first().name  # type: ignore[union-attr]
    found = owner.get("/platform/", {"q": name}).context["page"]
    assert name in [brand.name for brand in found]
    assert len(owner.get("/platform/", {"state": "closed"}).context["page"]) == 0


def test_no_customer_anywhere(brand: Brand, owner: Client) -> None:
    """No query of the back office touches a table of a brand."""
    with in_brand(brand):
        make_contact(brand, make_staff(brand, make_corp(brand)), name="绝密客户")
    with CaptureQueriesContext(connection) as queries:
        pages = [owner.get(path).content.decode() for path in [*PATHS, f"/platform/{brand.pk}/"]]
    assert not any("绝密客户" in page for page in pages)
    tables = {word.strip('"') for q in queries for word in q["sql"].replace("(", " ").split() if "_" in word}
    assert not any(
        t.startswith(("contacts_", "org_", "wecom_", "livecodes_", "campaigns_", "tagging_")) for t in tables
    )


def test_log_ins_of_several_brands_are_looked_after_here(
    brand: Brand, other_brand: Brand, owner: Client, sign_in: Any
) -> None:
    user = sign_in(brand).user
    with in_brand(other_brand):
        staff = Staff.objects.create(name="x", user_id=user.pk, role=role(other_brand, "guide"))
        UserBrand.objects.create(user=user, brand=other_brand, staff_id=staff.pk)
    for _ in range(signin.FREE_TRIES):
        Client().post("/login/", {"username": user.username, "password": "wrong"})
    [row] = owner.get("/platform/people/", {"q": user.username}).context["rows"]
    assert [b.pk for b in row[1]] == [brand.pk, other_brand.pk] and row[2] is not None
    url = f"/platform/people/{user.pk}/"
    assert sign_in(brand).post(url + "unlock/").status_code == 403
    assert owner.post(url + "unlock/").status_code == 302
    assert signin.lock_of(user.username) is None
    page = owner.post(url + "password/")
    password = page.context["new_password"]
    assert password in page.content.decode() and "no-store" in page["Cache-Control"]
    assert Client().post("/login/", {"username": user.username, "password": password}).status_code == 302
    assert owner.post(f"/platform/people/{owner.user.pk}/password/").status_code == 403  # type: ignore[attr-defined]
    entries = list(PlatformEntry.objects.order_by("pk"))
    assert [e.action for e in entries] == ["user.unlock", "user.password"]
    assert password not in str([(e.before, e.after) for e in entries])
