"""Brand settings, quotas, API keys."""

from typing import Any

import pytest

from org.api_auth import actor_of_key, digest_of
from org.models import ApiKey, AuditEntry, Role, Staff
from scrm.errors import SCRMError
from tenants.models import Brand, BrandLookup
from tests.factories import in_brand

pytestmark = pytest.mark.django_db(transaction=True)


def actions(brand: Brand) -> list[AuditEntry]:
    with in_brand(brand):
        return list(AuditEntry.objects.order_by("pk"))


def test_name_and_zone(brand: Brand, other_brand: Brand, sign_in: Any) -> None:
    admin = sign_in(brand)
    page = admin.get("/settings/")
    assert f"/login/{brand.slug}/" in page.content.decode()
    assert admin.post("/settings/", {"name": "新名", "timezone": "Mars/Base"}).status_code == 422
    assert admin.post("/settings/", {"name": "", "timezone": "Asia/Tokyo"}).status_code == 422
    assert admin.post("/settings/", {"name": "新名", "timezone": "Asia/Tokyo"}).status_code == 302
    brand.refresh_from_db()
    other_brand.refresh_from_db()
    assert (brand.name, brand.timezone) == ("新名", "Asia/Tokyo")
    assert other_brand.timezone == "Asia/Shanghai"
    [entry] = actions(brand)
    assert entry.after == {"name": "新名", "timezone": "Asia/Tokyo"}
    assert sign_in(brand, "operator").post("/settings/", {"name": "x", "timezone": "UTC"}).status_code == 403


def test_a_zone_outside_the_short_list_is_kept(brand: Brand, sign_in: Any) -> None:
    Brand.objects.filter(pk=brand.pk).update(timezone="Asia/Kathmandu")
    admin = sign_in(brand)
    assert admin.post("/settings/", {"name": "山", "timezone": "Asia/Kathmandu"}).status_code == 302


def make_key(client: Any, **over: Any) -> Any:
    return client.post("/settings/keys/new/", {"name": "ERP", "rights": ["contacts.view"], **over})


def test_a_key_is_shown_once_works_and_ends(brand: Brand, other_brand: Brand, sign_in: Any) -> None:
    admin = sign_in(brand)
    page = make_key(admin)
    whole = page.context["whole"]
    assert whole in page.content.decode() and "no-store" in page["Cache-Control"]
    with in_brand(brand):
        key = ApiKey.objects.get()
    assert key.digest == digest_of(whole) and whole not in str(vars(key))
    found, actor = actor_of_key(whole)
    assert (found, actor.rights) == (brand, {"contacts.view"})
    listing = admin.get("/settings/keys/").content.decode()
    assert key.prefix in listing and whole not in listing
    for bad in (whole[:-1], key.prefix, "", "sk_x.y", whole + "x"):
        with pytest.raises(SCRMError):
            actor_of_key(bad)
    assert sign_in(other_brand).post(f"/settings/keys/{key.pk}/revoke/").status_code == 404
    assert actor_of_key(whole)[0] == brand
    assert admin.post(f"/settings/keys/{key.pk}/revoke/").status_code == 302
    with pytest.raises(SCRMError):
        actor_of_key(whole)
    assert not BrandLookup.objects.filter(kind="api_key").exists()
    assert admin.post(f"/settings/keys/{key.pk}/revoke/").status_code == 409
    assert [e.action for e in actions(brand)] == ["api_key.create", "api_key.revoke"]
    assert whole.partition(".")[2] not in str([(e.before, e.after) for e in actions(brand)])


def test_keys_need_the_right_and_give_no_more_than_one_has(brand: Brand, sign_in: Any) -> None:
    assert make_key(sign_in(brand, "operator")).status_code == 403
    admin = sign_in(brand)
    assert make_key(admin, rights=[]).status_code == 422
    assert make_key(admin, rights=["root"]).status_code == 422
    assert make_key(admin, name="").status_code == 422
    clerk = sign_in(brand, "guide")
    with in_brand(brand):
        weak = Role.objects.create(name="接口", rights=["keys.edit", "contacts.view"], scope="brand")
        Staff.objects.filter(user_id=clerk.user.pk).update(role=weak)
    assert make_key(clerk, rights=["contacts.view", "contacts.edit"]).status_code == 422
    assert make_key(clerk).status_code == 200
    with in_brand(brand):
        assert ApiKey.objects.count() == 1


def test_a_suspended_brands_key_is_refused(brand: Brand, sign_in: Any) -> None:
    whole = make_key(sign_in(brand)).context["whole"]
    Brand.objects.filter(pk=brand.pk).update(state="suspended")
    with pytest.raises(SCRMError):
        actor_of_key(whole)
