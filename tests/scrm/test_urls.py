"""Every address: declares who may come, sends strangers to the log-in page, knows no id of another brand."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time
from typing import Any

import pytest
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.test import Client
from django.urls import URLPattern, get_resolver

from org.access import RIGHTS
from org.api_auth import actor_of_key
from org.models import Staff
from org.services import keys
from scrm import clock
from tenants.base import TenantModel
from tenants.models import Brand
from tests.factories import in_brand

FOREIGN = 987_654_321  # id of one row of each table of the other brand
ACCESS = {"brand", "outside", "public", "user", "platform"}


@dataclass(frozen=True)
class Address:
    path: str
    view: Any
    has_id: bool

    @property
    def access(self) -> str:
        return getattr(self.view, "access", "") or ("api" if hasattr(self.view, "cls") else "")


def addresses(patterns: Any = None, prefix: str = "") -> Iterator[Address]:
    """All addresses, with FOREIGN for each id and the first possible word elsewhere."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        path, n = _filled(str(entry.pattern))
        if isinstance(entry, URLPattern):
            yield Address("/" + prefix + path, entry.callback, bool(n) or str(FOREIGN) in prefix)
        else:
            yield from addresses(entry.url_patterns, prefix + path)


def _filled(pattern: str) -> tuple[str, int]:
    """`contacts/<int:id>/`, `^jobs/(?P<job_id>\\d+)/(?P<act>pause|resume)/$` as paths; number of ids."""
    text, n = re.subn(r"<int:\w+>|<str:pk>|\(\?P<(?:\w+_id|pk)>[^)]*\)", str(FOREIGN), pattern)
    text = re.sub(r"\(\?P<\w+>([^|)]*)[^)]*\)", r"\1", text)
    text = re.sub(r"<(?:slug|str|path):?\w*>|<\w+>", "word", text)
    return text.lstrip("^").rstrip("$").replace("\\", ""), n


def test_every_view_declares_who_may_come() -> None:
    for address in addresses():
        if address.access == "api":
            assert getattr(address.view.cls, "capabilities", None), f"{address.path}: no capabilities"
            for action in address.view.actions.values() if hasattr(address.view, "actions") else []:
                assert address.view.cls.capabilities.get(action) in RIGHTS, f"{address.path}: {action}"
        else:
            assert address.access in ACCESS, f"{address.path}: no access declared"
            right = getattr(address.view, "right", None)
            assert right is None or right in RIGHTS, address.path


@pytest.mark.django_db(transaction=True)
def test_strangers_are_sent_to_the_log_in_page() -> None:
    for address in addresses():
        for answer in (Client().get(address.path), Client().post(address.path)):
            if address.access == "api":
                assert answer.status_code == 401, address.path
            elif address.access != "public":
                assert answer.status_code == 302, (address.path, answer.status_code)
                assert answer["Location"].startswith("/login/"), address.path


# ---- ids of another brand


def fill_all_tables() -> None:
    """One row with the id FOREIGN in every table of the brand in scope."""
    todo = [m for m in apps.get_models() if issubclass(m, TenantModel)]
    done: set[Any] = set()
    while todo:
        ready = [m for m in todo if all(f.related_model in done | {m} for f in _references(m) if not f.null)]
        assert ready, f"references in a circle: {todo}"
        for model in ready:
            if not model._default_manager.filter(pk=FOREIGN).exists():
                model._default_manager.create(pk=FOREIGN, **{f.attname: _value(f) for f in _needed(model)})
            done.add(model)
            todo.remove(model)


def _references(model: Any) -> list[Any]:
    return [f for f in model._meta.concrete_fields if f.related_model and f.name != "brand"]


def _needed(model: Any) -> list[Any]:
    fields = [f for f in model._meta.concrete_fields if f.name not in ("brand", "id")]
    return [f for f in fields if not (f.null or f.has_default() or f.has_db_default())]


VALUES: list[tuple[Any, Any]] = [
    (models.DateTimeField, clock.now()),
    (models.DateField, date(2026, 1, 1)),
    (models.TimeField, time(9)),
    (models.JSONField, {}),
    (ArrayField, []),
    (models.BooleanField, False),
    (models.FloatField, 1.0),
    (models.IntegerField, 1),
    (models.CharField, "x"),
    (models.TextField, "x"),
]


def _value(field: Any) -> Any:
    if field.related_model:
        return FOREIGN
    if field.choices:
        return field.flatchoices[0][0]
    for kind, value in VALUES:
        if isinstance(field, kind):
            return value
    raise AssertionError(f"no value for {field}")


@pytest.mark.django_db(transaction=True)
def test_no_address_knows_an_id_of_another_brand(brand: Brand, other_brand: Brand, sign_in: Any) -> None:
    with in_brand(other_brand):
        fill_all_tables()
    admin = sign_in(brand)
    with in_brand(brand):
        staff = Staff.objects.get(user_id=admin.user.pk)
        whole = keys.create_key(brand, by=_actor(brand, staff), name="all", rights=list(RIGHTS))[1]
    api = Client(headers={"Authorization": f"Bearer {whole}"})
    assert actor_of_key(whole)[0] == brand
    n = 0
    for address in addresses():
        if not address.has_id or address.access == "public":
            continue
        n += 1
        client = api if address.access == "api" else admin
        missing = address.path.replace(str(FOREIGN), str(FOREIGN + 1))
        for method in (client.get, client.post):
            status = method(address.path).status_code
            if address.access == "platform":
                assert status == 403, address.path
                continue
            # 405: another method; 403: what the API does not offer; 409: asked before anything is looked up
            assert status in {404, 405, 409} | ({403} if address.access == "api" else set()), (
                address.path,
                status,
            )
            assert status == method(missing).status_code, address.path  # nobody can tell the difference
    assert n > 20


def _actor(brand: Brand, staff: Staff) -> Any:
    from org.access import Actor

    return Actor(staff.name, staff.user_id, staff, frozenset(RIGHTS))


@pytest.mark.django_db(transaction=True)
def test_the_walk_would_notice(brand: Brand, sign_in: Any) -> None:
    """The same ids in one's own brand are found: the 404 above is the wall, not a wrong address."""
    with in_brand(brand):
        fill_all_tables()
    admin = sign_in(brand)
    mine = [a.path for a in addresses() if a.has_id and a.access in ("brand", "outside")]
    found = [path for path in mine if admin.get(path).status_code == 200]
    assert len(found) >= 5, found
