"""From the chat: how often content was sent and what came of it; a customer's wish not to be contacted, noted by a tap."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from campaigns.models import DirectUse, Touch
from campaigns.services.ledger import direct, marks
from commerce.services.orders import record_orders, record_refunds
from contacts.models import Contact, Event, EventType
from contacts.services.timeline import record_event
from content import hooks
from content.services import library
from org.models import AuditEntry
from scrm import clock
from tenants.scoping import tenant_scope
from tests.content.conftest import make_content
from tests.factories import in_brand, make_contact, make_staff, make_user

pytestmark = pytest.mark.django_db(transaction=True)
HX = {"HX-Request": "true"}


def send(brand: Any, contact: Any, staff: Any, version: int | None) -> int:
    touch_id, ticket = direct.make_ready(contact_id=contact.pk, staff_id=staff.pk, version_id=version)
    for _repeat in range(2):  # the browser repeats what it thinks was lost
        direct.record_direct(brand, contact_id=contact.pk, staff_id=staff.pk, ticket=ticket, text="在吗")
    return touch_id


def version_of(brand: Any) -> tuple[Any, int]:
    content = make_content(brand, kind="script")
    return content, library.usable(brand, content.pk).version_id or 0


def results(brand: Any, version: int) -> dict[str, int]:
    with in_brand(brand):
        return hooks.results(brand, [version]).get(version, {})


def test_what_guides_send_in_the_chat_is_counted(
    brand: Any, other_brand: Any, corp: Any, staff: Any, sign_in: Any
) -> None:
    with in_brand(brand):
        content, version = version_of(brand)
        second = make_staff(brand, corp)
        people = [make_contact(brand, staff) for _ in range(2)]
        send(brand, people[0], staff, version)
        send(brand, people[1], staff, version)
        send(brand, people[1], second, version)
        send(brand, people[1], second, None)  # the guide's own words
        assert set(DirectUse.objects.values_list("version_id", "staff_id", "n_sent")) == {
            (version, staff.pk, 2), (version, second.pk, 1),
        }  # fmt: skip
    assert results(brand, version) == {"sent": 3, "opened": 0, "replied": 0, "converted": 0}
    assert results(other_brand, version) == {}
    page = sign_in(brand).get(f"/content/{content.pk}/", headers={"accept-language": "en"}).text
    assert "sent 3" in page


def test_what_came_of_it_is_counted_too(brand: Any, staff: Any) -> None:
    now = clock.now() - timedelta(hours=5)
    with in_brand(brand):
        _content, version = version_of(brand)
        contact = make_contact(brand, staff)
    with tenant_scope(brand):
        marks.run(brand)  # where it begins
    with in_brand(brand), clock.at(now):
        touch_id = send(brand, contact, staff, version)
    with in_brand(brand):
        for kind, data in ((EventType.OPENED, {"touch": touch_id}), (EventType.FORM_ANSWERED, {})):
            at = now + timedelta(hours=1)
            record_event(brand, contact_id=contact.pk, type=kind, at=at, source="test", data=data)
        bought = now + timedelta(hours=2)
        order = {"order_no": "A", "contact_id": contact.pk, "amount_fen": 900, "state": 2}
        record_orders(brand, [{**order, "placed_at": bought, "paid_at": bought}], source="shop")
    with tenant_scope(brand):
        marks.run(brand)
    assert results(brand, version) == {"sent": 1, "opened": 1, "replied": 1, "converted": 1}
    with in_brand(brand):
        refund = {"order_no": "A", "refund_no": "R", "amount_fen": 900, "at": clock.now()}
        record_refunds(brand, [refund], source="shop")
    with tenant_scope(brand):
        marks.run(brand)
    assert results(brand, version) == {"sent": 1, "opened": 1, "replied": 1, "converted": 0}
    with in_brand(brand):
        assert Touch.objects.get().converted_at is None


def test_guides_who_send_the_same_at_once(brand: Any, corp: Any) -> None:
    with in_brand(brand):
        _content, version = version_of(brand)
        pairs = [(guide, make_contact(brand, guide)) for guide in (make_staff(brand, corp) for _ in range(4))]
    errors: list[Exception] = []

    def work(staff: Any, contact: Any) -> None:
        try:
            with in_brand(brand):
                send(brand, contact, staff, version)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=pair) for pair in pairs + pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and results(brand, version)["sent"] == 8


# ---- the wish


def test_a_wish_is_noted_by_a_tap_and_taken_back(
    brand: Any, other_brand: Any, staff: Any, sign_in: Any
) -> None:
    client = sign_in(brand, user=make_user(brand, "guide", staff=staff))
    with in_brand(brand):
        contact = make_contact(brand, staff)
        theirs = make_contact(brand, make_staff(brand, staff.corp))
    url = f"/g/customers/{contact.pk}/"
    assert f"{url}do-not-contact/on/" in client.get(url).text
    answer = client.post(f"{url}do-not-contact/on/", headers=HX)
    told = json.loads(answer["HX-Trigger"])
    assert (
        answer.status_code == 204
        and told["headChanged"]
        and told["toast"]["undo"] == f"{url}do-not-contact/off/"
    )
    with in_brand(brand):
        assert Contact.objects.get(pk=contact.pk).do_not_contact
        event = Event.objects.get(type=EventType.DO_NOT_CONTACT)
        assert (event.contact_id, event.staff_id, event.data["value"]) == (contact.pk, staff.pk, True)
        assert AuditEntry.objects.filter(action="contact.do_not_contact").count() == 1
    head = client.get(f"{url}cards/head/", headers=HX).text
    assert 'aria-checked="true"' in head and f"{url}do-not-contact/off/" in head
    again = client.post(f"{url}do-not-contact/on/", headers=HX)  # a double tap offers nothing to take back
    assert "undo" not in json.loads(again["HX-Trigger"])["toast"]
    assert client.post(told["toast"]["undo"], headers=HX).status_code == 204
    with in_brand(brand):
        assert not Contact.objects.get(pk=contact.pk).do_not_contact
    assert client.post(f"/g/customers/{theirs.pk}/do-not-contact/on/", headers=HX).status_code == 404
    assert sign_in(other_brand).post(f"{url}do-not-contact/on/", headers=HX).status_code == 404
    assert client.get(f"{url}do-not-contact/on/").status_code == 405


def test_without_the_right_the_switch_is_not_there(brand: Any, staff: Any, sign_in: Any) -> None:
    client = sign_in(brand, user=make_user(brand, "guide", staff=staff))
    with in_brand(brand):
        contact = make_contact(brand, staff, do_not_contact=True)
        staff.refresh_from_db()
        staff.role.rights = ["contacts.view"]
        staff.role.save()
    page = client.get(f"/g/customers/{contact.pk}/").text
    assert "do-not-contact" not in page
    assert client.post(f"/g/customers/{contact.pk}/do-not-contact/off/", headers=HX).status_code == 403
