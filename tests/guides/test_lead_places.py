"""Where numbers belong that somebody enters who does not see the whole brand: they see all of them afterwards, whatever
their scope, and nobody outside of it does."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction

from datafiles.services import imports, uploads
from guides.models import Lead, LeadList
from guides.services.leads import giving
from org.access import SYSTEM, Actor
from org.models import Region, Scope, Store
from tenants.scoping import tenant_scope
from tests.datafiles.conftest import media
from tests.factories import in_brand, make_corp, make_staff, make_user, role

__all__ = ["media"]
pytestmark = pytest.mark.django_db(transaction=True)
FORM = {"name": "我的", "due_days": 5, "rows": "13900000001 张三\n13900000002 李四"}


@pytest.fixture(autouse=True)
def no_calls(monkeypatch: Any) -> None:
    monkeypatch.setattr("wecom.services.outbound.start", lambda *_args: None)


@pytest.fixture
def house(brand: Any, corp: Any) -> SimpleNamespace:
    """Two regions, a store of the first with a guide and a manager, a manager of each region who has no store."""
    with in_brand(brand):
        manager = role(brand, "manager")
        manager.rights = [*manager.rights, "imports.run"]
        manager.save()
        east, west = Region.objects.create(name="华东"), Region.objects.create(name="华西")
        store = Store.objects.create(name="南京店", region=east)
        guide = make_staff(brand, corp, store=store)
        people = {
            "east": make_staff(brand, corp, region=east),
            "west": make_staff(brand, corp, region=west),
            "shop": make_staff(brand, corp, store=store),
            "alone": make_staff(brand, corp),
        }
    return SimpleNamespace(brand=brand, guide=guide, store=store, region=east, **people)


def enter(house: SimpleNamespace, sign_in: Any, staff: Any, scope: str) -> Any:
    user = make_user(house.brand, "manager", staff=staff)
    with in_brand(house.brand):
        own = role(house.brand, "manager")
        own.pk, own.name, own.is_preset, own.scope = None, f"经理{staff.pk}", False, scope
        own.save()
        staff.role = own
        staff.save()
    return sign_in(house.brand, user=user)


@pytest.mark.parametrize(
    ("who", "scope", "seen_by"),
    [
        ("east", Scope.REGION, {"east"}),
        ("shop", Scope.STORE, {"shop", "east"}),
        ("alone", Scope.REGION, {"alone"}),  # of no region: themselves only
        ("alone", Scope.OWN, {"alone"}),
    ],
)
def test_what_is_pasted_is_seen(
    house: SimpleNamespace, other_brand: Any, sign_in: Any, who: str, scope: str, seen_by: set[str]
) -> None:
    scopes = {"east": Scope.REGION, "west": Scope.REGION, "shop": Scope.STORE, "alone": Scope.OWN, who: scope}
    found = {name: enter(house, sign_in, getattr(house, name), scopes[name]) for name in scopes}
    url = found[who].post("/leads/new/", FORM)["Location"]
    for name, client in found.items():
        text = client.get(url).content.decode()
        assert ("张三" in text and "李四" in text) is (name in seen_by), name
    assert sign_in(other_brand).get(url).status_code == 404


def test_a_region_manager_gives_out_what_they_pasted(house: SimpleNamespace, sign_in: Any) -> None:
    """To a guide of a store of the region; what is taken back waits for the guide's store, and the region sees it."""
    client = enter(house, sign_in, house.east, Scope.REGION)
    url = client.post("/leads/new/", FORM)["Location"]
    assert f'value="{house.guide.pk}"' in client.get(f"{url}give/").content.decode()
    assert client.post(f"{url}give/", {"guides": [house.guide.pk]}).status_code == 302
    with in_brand(house.brand):
        assert set(Lead.objects.values_list("staff", "region", "state")) == {
            (house.guide.pk, house.region.pk, "given")
        }
        found = LeadList.objects.get()
        giving.take_back(house.brand, by=SYSTEM, staff=None, list_id=found.pk)
        assert set(Lead.objects.values_list("store", "region")) == {(house.store.pk, house.region.pk)}
        assert Lead.objects.visible_to(house.east).count() == 2
    edit = {name: FORM[name] for name in ("name", "due_days")}
    for act in ("edit", "close", "open"):
        assert client.post(f"{url}{act}/", edit).status_code == 302, act
    shop = enter(house, sign_in, house.shop, Scope.STORE)
    assert "张三" in shop.get(url).content.decode()


def test_a_number_of_a_guide_without_a_store_goes_back_to_the_region(
    house: SimpleNamespace, sign_in: Any
) -> None:
    client = enter(house, sign_in, house.east, Scope.REGION)
    with in_brand(house.brand):
        roaming = make_staff(house.brand, house.guide.corp, region=house.region)
    url = sign_in(house.brand).post("/leads/new/", FORM)["Location"]  # an admin's: of no place
    assert "张三" not in client.get(url).content.decode()
    with in_brand(house.brand):
        found = LeadList.objects.get()
        choice = giving.Choice([roaming.pk])
        giving.give_out(house.brand, by=SYSTEM, staff=None, list_id=found.pk, choice=choice)
        giving.take_back(house.brand, by=SYSTEM, staff=None, list_id=found.pk)
    assert "张三" in client.get(url).content.decode()


def test_a_file_of_a_region_manager(house: SimpleNamespace, sign_in: Any, media: Any) -> None:
    client = enter(house, sign_in, house.east, Scope.REGION)
    with in_brand(house.brand):
        make_staff(house.brand, make_corp(house.brand), name="外区导购")
        by = Actor("区域经理", client.user.pk)
    data = io.BytesIO(
        "手机号,门店,导购\n13900000001,,\n13900000002,南京店,\n13900000003,,外区导购\n".encode()
    )
    with tenant_scope(house.brand):
        file = uploads.receive(house.brand, kind="leads", name="f.csv", data=data, by=by)
        with transaction.atomic():
            imports.start_import(house.brand, file=file, by=by)
        with transaction.atomic():
            rows = {row[0]: row[1:] for row in Lead.objects.values_list("phone", "store", "region")}
            seen = set(Lead.objects.visible_to(house.east).values_list("phone", flat=True))
    assert rows == {
        "13900000001": (None, house.region.pk),
        "13900000002": (house.store.pk, None),
        "13900000003": (None, house.region.pk),
    }
    assert seen == {"13900000001", "13900000002"}  # the third is meant for somebody elsewhere


def test_a_region_that_has_numbers_is_not_deleted(house: SimpleNamespace, sign_in: Any) -> None:
    with in_brand(house.brand):
        north = Region.objects.create(name="华北")
    boss = make_boss(house, north)
    enter(house, sign_in, boss, Scope.REGION).post("/leads/new/", FORM)
    with in_brand(house.brand):
        boss.region = None
        boss.save()
    admin = sign_in(house.brand)
    assert admin.post(f"/staff/regions/{north.pk}/delete/").status_code == 409
    with in_brand(house.brand):
        assert Region.objects.filter(pk=north.pk).exists()


def make_boss(house: SimpleNamespace, region: Region) -> Any:
    with in_brand(house.brand):
        return make_staff(house.brand, house.guide.corp, region=region)
