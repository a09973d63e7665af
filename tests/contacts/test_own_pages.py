"""Pages of own fields, stages, kinds and reminders: on the customer's page and in the settings."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone as zones

from contacts.models import BehaviourKind, Contact, CustomField, CustomValue, Reminder, Stage
from contacts.services import fields, stages
from org.access import Actor
from scrm import clock
from tests.factories import in_brand, make_contact, make_staff

ME = Actor("我")


@pytest.fixture
def contact(brand: Any, staff: Any) -> Contact:
    with in_brand(brand):
        fields.create_field(brand, by=ME, label="生日", type="date", key="birthday")
        fields.create_field(brand, by=ME, label="肤质", type="choice", key="skin", options=["干性", "油性"])
        stages.create_stage(brand, by=ME, name="有意向")
        return make_contact(brand, staff, name="王小明")


def test_profile_card(brand: Any, contact: Contact, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    page = client.get(f"/contacts/{contact.pk}/").text
    assert "肤质" in page and "有意向" in page
    url = f"/contacts/{contact.pk}/fields/"
    assert 'name="skin"' in client.get(url).text
    bad = client.post(url, {"birthday": "gestern", "skin": "油性"})
    assert bad.status_code == 422 and "gestern" in bad.text
    with in_brand(brand):
        assert not CustomValue.objects.exists()
        stage = Stage.objects.get()
    good = client.post(url, {"birthday": "2000-02-29", "skin": "油性"})
    assert good.status_code == 200 and "2000-02-29" in good.text
    moved = client.post(f"/contacts/{contact.pk}/stage/", {"stage": stage.pk})
    assert "selected" in moved.text
    with in_brand(brand):
        contact.refresh_from_db()
        assert contact.stage == stage
    for odd in ("x", "²", "9" * 30):
        assert client.post(f"/contacts/{contact.pk}/stage/", {"stage": odd}).status_code == 422, odd


def test_reminders(brand: Any, corp: Any, contact: Contact, staff: Any, sign_in: Any) -> None:
    client = sign_in(brand, "guide", staff=staff)
    url = f"/contacts/{contact.pk}/reminders/new/"
    assert client.get(url).status_code == 200
    due = (clock.now() + timedelta(days=1)).astimezone(zones.get_fixed_timezone(480))
    form = {"text": "问候老客户", "due_at": due.strftime("%Y-%m-%dT%H:%M"), "staff": staff.pk}
    for wrong in ({"text": ""}, {"due_at": "x"}, {"due_at": "2020-01-01T10:00"}, {"staff": "0"}):
        assert client.post(url, form | wrong).status_code == 422, wrong
    assert "问候老客户" in client.post(url, form).text
    with in_brand(brand):
        row = Reminder.objects.get()
        assert abs(row.due_at - due) < timedelta(minutes=1)
        stranger = make_staff(brand, corp)
    assert "问候老客户" in client.get("/reminders/").text
    assert "问候老客户" in client.get("/reminders/?whose=all").text
    other = sign_in(brand, "guide", staff=stranger)
    assert "问候老客户" not in other.get("/reminders/?whose=all").text
    assert other.post(f"/reminders/{row.pk}/done/").status_code == 404
    for act in ("later", "done", "open", "done"):
        assert client.post(f"/reminders/{row.pk}/{act}/", {"on": "list"}).status_code == 200, act
    assert "问候老客户" in client.get("/reminders/?done=1").text
    assert client.post(f"/reminders/{row.pk}/word/").status_code == 404
    client.post(f"/reminders/{row.pk}/delete/")
    with in_brand(brand):
        assert not Reminder.objects.exists()


def test_settings(brand: Any, other_brand: Any, contact: Contact, sign_in: Any) -> None:
    client = sign_in(brand)
    page = "/fields/"
    assert "肤质" in client.get(page).text
    for what in ("field", "stage", "kind"):
        assert client.get(f"{page}{what}/new/").status_code == 200
    assert client.get(f"{page}word/new/").status_code == 404
    made = {"label": "家里有宠物", "key": "has_pet", "type": "bool"}
    assert client.post(f"{page}field/new/", made).status_code == 302
    again = client.post(f"{page}field/new/", made)
    assert again.status_code == 422 and "家里有宠物" in again.text
    assert client.post(f"{page}kind/new/", {"label": "领小样", "key": "view"}).status_code == 422
    assert client.post(f"{page}kind/new/", {"label": "领小样", "key": "sample"}).status_code == 302
    assert client.post(f"{page}stage/new/", {"label": "老客"}).status_code == 302
    assert client.post(f"{page}stage/new/", {"label": "老客"}).status_code == 422
    with in_brand(brand):
        skin, kind = CustomField.objects.get(key="skin"), BehaviourKind.objects.get()
    assert "油性" in client.get(f"{page}field/{skin.pk}/").text
    client.post(f"{page}field/{skin.pk}/", {"label": "肤质", "options": "干性\n油皮"})
    client.post(f"{page}kind/{kind.pk}/", {"label": "领取小样"})
    client.post(f"{page}field/{skin.pk}/up/")
    client.post(f"{page}kind/{kind.pk}/archive/")
    with in_brand(brand):
        assert CustomField.objects.get(key="skin").options == ["干性", "油皮"]
        assert [f.key for f in fields.live_fields()] == ["skin", "birthday", "has_pet"]
        assert BehaviourKind.objects.get().archived_at and BehaviourKind.objects.get().label == "领取小样"
    assert "领取小样" in client.get(page).text
    client.post(f"{page}kind/{kind.pk}/restore/")
    assert sign_in(brand, "guide").get(page).status_code == 403
    assert sign_in(other_brand).get(f"{page}field/{skin.pk}/").status_code == 404
