"""Members and departments by event, through the callback address: read anew from WeCom, whatever the event
says."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.utils.module_loading import import_string

from org.models import Department, Staff
from tests.factories import in_brand, make_brand, make_corp, make_staff
from tests.wecom.events import post_event
from tests.wecom.sandbox_client import CORPID
from wecom.callbacks import HANDLERS
from wecom.models import CallbackEvent
from wecom.services import callback_keys

pytestmark = pytest.mark.django_db(transaction=True)
EVENT = "change_contact"


@pytest.fixture(autouse=True)
def fresh_keys() -> None:
    callback_keys.forget()


def told(shop: SimpleNamespace, change: str, **elements: Any) -> CallbackEvent:
    assert post_event(shop.corp, change, EVENT, **elements).status_code == 200
    with in_brand(shop.brand):
        return CallbackEvent.objects.latest("pk")


def member(shop: SimpleNamespace, userid: str) -> Staff | None:
    with in_brand(shop.brand):
        return Staff.objects.filter(corp=shop.corp, userid=userid).first()


def test_every_handler_is_there() -> None:
    for path in HANDLERS.values():
        assert callable(import_string(path))


def test_new_member(connected: SimpleNamespace) -> None:
    connected.sandbox.load(members=[{"userid": "NewOne", "name": "新人", "position": "导购"}])
    assert told(connected, "create_user", UserID="NewOne", Department="1").state == "done"
    new = member(connected, "newone")
    assert new
    assert (new.name, new.position, new.is_guide, new.state) == ("新人", "导购", True, "active")


def test_changed_member_keeps_what_is_ours(connected: SimpleNamespace) -> None:
    with in_brand(connected.brand):
        Staff.objects.filter(pk=connected.a.pk).update(state="disabled")
    connected.sandbox.load(members=[{"userid": "GuideA", "name": "甲二", "has_contact_right": False}])
    told(connected, "update_user", UserID="GuideA")
    changed = member(connected, "guidea")
    assert changed
    assert (changed.pk, changed.name, changed.is_guide, changed.state) == (
        connected.a.pk,
        "甲二",
        False,
        "disabled",
    )


def test_renamed_userid(connected: SimpleNamespace) -> None:
    connected.sandbox.post("member_leaves", corpid=CORPID, userid="GuideA")
    connected.sandbox.load(members=[{"userid": "GuideA2", "name": "甲"}])
    told(connected, "update_user", UserID="GuideA", NewUserID="GuideA2")
    assert member(connected, "guidea") is None
    renamed = member(connected, "guidea2")
    assert renamed
    assert renamed.pk == connected.a.pk


def test_an_old_rename_that_comes_again(connected: SimpleNamespace) -> None:
    """Somebody else has the old userid by now: they are not renamed."""
    connected.sandbox.load(members=[{"userid": "GuideA2", "name": "甲"}])
    told(connected, "update_user", UserID="GuideA", NewUserID="GuideA2")
    same = member(connected, "guidea")
    assert same and same.pk == connected.a.pk
    other = member(connected, "guidea2")
    assert other and other.pk != same.pk


def test_leaver(connected: SimpleNamespace) -> None:
    connected.sandbox.post("member_leaves", corpid=CORPID, userid="GuideA")
    told(connected, "delete_user", UserID="GuideA")
    gone = member(connected, "guidea")
    assert gone
    assert (gone.state, gone.is_guide) == ("left", False)
    connected.sandbox.load(members=[{"userid": "GuideA", "name": "甲"}])
    told(connected, "create_user", UserID="GuideA")
    back = member(connected, "guidea")
    assert back
    assert (back.pk, back.state, back.is_guide) == (connected.a.pk, "active", True)


def test_late_leaving_does_not_remove_who_is_back(connected: SimpleNamespace) -> None:
    told(connected, "delete_user", UserID="GuideA")
    still = member(connected, "guidea")
    assert still
    assert still.state == "active"


def test_member_outside_the_visible_range(connected: SimpleNamespace) -> None:
    assert told(connected, "update_user", UserID="stranger").state == "done"
    assert member(connected, "stranger") is None


def test_departments(connected: SimpleNamespace) -> None:
    departments = [{"id": 1, "name": "总部", "parentid": 0}, {"id": 7, "name": "七店", "parentid": 1}]
    connected.sandbox.load(departments=departments)
    told(connected, "create_party", Id=7, Name="七店", ParentId=1)
    with in_brand(connected.brand):
        assert set(Department.objects.values_list("wecom_id", "name")) == {(1, "总部"), (7, "七店")}


def test_same_userid_in_another_brand_is_somebody_else(connected: SimpleNamespace) -> None:
    other = make_brand()
    with in_brand(other):
        theirs = make_staff(other, make_corp(other), userid="guidea", name="别人")
    connected.sandbox.load(members=[{"userid": "GuideA", "name": "改名"}])
    told(connected, "update_user", UserID="GuideA")
    with in_brand(other):
        theirs.refresh_from_db()
        assert theirs.name == "别人"


def test_wecom_down_the_event_waits(connected: SimpleNamespace) -> None:
    connected.sandbox.post("faults", corpid=CORPID, api="user/get", kind="html")
    event = told(connected, "update_user", UserID="GuideA")
    assert event.state == "retry"
    assert event.error
