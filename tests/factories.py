"""Plain functions that make rows; call them inside `in_brand(brand)`."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from contacts.models import Contact, Follow, Identity
from contacts.services import stats
from org.access import PRESETS, make_preset_roles
from org.models import Corp, Role, Staff
from org.services.brands import new_aes_key
from scrm import clock
from tagging.models import Tag, TagGroup
from tenants.models import Brand, BrandLookup, User, UserBrand
from tenants.scoping import tenant_scope

_numbers = itertools.count(1)


@contextmanager
def in_brand(brand: Brand | int) -> Iterator[None]:
    """Scope and transaction of a brand."""
    with tenant_scope(brand), transaction.atomic():
        yield


def make_brand(**over: Any) -> Brand:
    """A brand with its preset roles."""
    n = next(_numbers)
    brand = Brand.objects.create(**{"name": f"品牌{n}", "slug": f"brand-{n}", **over})
    with in_brand(brand):
        make_preset_roles(brand)
    return brand


def role(brand: Brand, key: str = "admin") -> Role:
    return Role.objects.get(name=PRESETS[key][0])


def make_corp(brand: Brand, **over: Any) -> Corp:
    n = next(_numbers)
    corp = Corp.objects.create(
        **{
            "name": f"企业{n}",
            "corpid": f"ww{n:016x}",
            "agent_id": 1000002,
            "secret": f"secret-{n}",
            "callback_token": f"token{n}",
            "callback_aes_key": new_aes_key(),
            "callback_path": f"path-{n}-{brand.pk}",
            **over,
        }
    )
    BrandLookup.objects.create(kind="corp", key=corp.corpid, brand=brand, target_id=corp.pk)
    BrandLookup.objects.create(kind="callback", key=corp.callback_path, brand=brand, target_id=corp.pk)
    return corp


def make_staff(brand: Brand, corp: Corp | None = None, **over: Any) -> Staff:
    n = next(_numbers)
    return Staff.objects.create(
        **{
            "name": f"导购{n}",
            "corp": corp,
            "userid": f"guide{n}" if corp else "",
            "is_guide": bool(corp),
            **over,
        }
    )


def make_user(brand: Brand, role_key: str = "admin", staff: Staff | None = None, **over: Any) -> User:
    """A user who may enter `brand` with a preset role; password `pass-12345`."""
    n = next(_numbers)
    user = User.objects.create_user(over.pop("username", f"user{n}"), "pass-12345", name=f"用户{n}", **over)
    with in_brand(brand):
        staff = staff or make_staff(brand)
        staff.role, staff.user_id = role(brand, role_key), user.pk
        staff.save()
        UserBrand.objects.create(user=user, brand=brand, staff_id=staff.pk)
    return user


def make_contact(brand: Brand, staff: Staff | None = None, corp: Corp | None = None, **over: Any) -> Contact:
    """A contact; with a guide it gets a follow and its external_userid."""
    n = next(_numbers)
    contact = Contact.objects.create(
        **{"name": f"客户{n}", "position": n, "n_follows": 1 if staff else 0, "added_at": clock.now(), **over}
    )
    if staff and (corp := corp or staff.corp):
        external = f"wm{n:030d}"
        Identity.objects.create(contact=contact, kind="external_userid", scope=corp.corpid, value=external)
        Follow.objects.create(
            contact=contact, staff=staff, corp=corp, external_userid=external, added_at=contact.added_at
        )
    stats.refresh(brand, [contact.pk])
    return contact


def make_tag(brand: Brand, name: str | None = None, group: TagGroup | None = None, **over: Any) -> Tag:
    n = next(_numbers)
    group = group or TagGroup.objects.create(name=f"标签组{n}")
    return Tag.objects.create(**{"group": group, "name": name or f"标签{n}", **over})
