"""Who opened a link: WeCom says it, through its OAuth page, against the sandbox."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from contacts.models import Event, EventType
from content.models import LinkPerson, TrackedLink, Visit
from content.services import browsers, links
from content.views import public
from tenants.scoping import tenant_scope
from tests.campaigns.conftest import Live, live, sandbox, sandbox_server, wecom
from tests.content.conftest import MAKER
from tests.content.test_links import PHONE, TARGET, WECHAT, browser, path_of
from tests.factories import in_brand

__all__ = ["live", "sandbox", "sandbox_server", "wecom"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def link(live: Live, monkeypatch: pytest.MonkeyPatch) -> TrackedLink:
    monkeypatch.setattr(
        public, "WECOM_PATIENCE_S", 60.0
    )  # a busy machine's sandbox has time to say who it is
    with in_brand(live.brand):
        return links.create_link(live.brand, name="新品", url=TARGET, by=MAKER)


def come_back(live: Live, client: Any, address: str, **whom: Any) -> Any:
    """The tester is somebody on WeCom's page; the browser comes back with a code."""
    given = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert given["scope"] == "snsapi_base" and given["appid"] == live.corp.corpid
    answer = live.sandbox.post(
        "login",
        corpid=live.corp.corpid,
        redirect_uri=given["redirect_uri"],
        state=given["state"],
        agent_id=int(given["agentid"]),
        **whom,
    )
    return client.get(path_of(answer["url"]))


def test_a_customer_is_named_once_a_browser(live: Live, link: TrackedLink) -> None:
    contact = live.contacts[0]
    client = browser(WECHAT)
    asked = client.get(f"/l/{link.key}/")
    assert "/connect/oauth2/authorize" in asked["Location"]
    answer = come_back(live, client, asked["Location"], external_userid=live.externals[contact.pk])
    assert answer["Location"] == TARGET
    assert client.get(f"/l/{link.key}/")["Location"] == TARGET  # known from now on
    with in_brand(live.brand):
        assert Event.objects.get(type=EventType.OPENED).contact_id == contact.pk
        assert LinkPerson.objects.get().contact_id == contact.pk and Visit.objects.count() == 1
    # outside of WeChat nobody is asked
    assert browser(PHONE).get(f"/l/{link.key}/")["Location"] == TARGET


def test_colleagues_strangers_and_refusals_get_there_too(live: Live, link: TrackedLink) -> None:
    def open_as(**whom: Any) -> Any:
        client = browser(WECHAT)
        return come_back(live, client, client.get(f"/l/{link.key}/")["Location"], **whom)

    assert open_as(userid=live.guides[0].userid)["Location"] == TARGET
    with in_brand(live.brand):
        assert Visit.objects.count() == 0  # a colleague looks: counted nowhere
    assert open_as(external_userid="")["Location"] == TARGET
    with in_brand(live.brand):
        assert Visit.objects.get().contact_id is None
    client = browser(WECHAT)
    state = parse_qs(urlsplit(client.get(f"/l/{link.key}/")["Location"]).query)["state"][0]
    assert client.get(f"/l/{link.key}/who/?state={state}&code=wrong")["Location"] == TARGET
    for bad in ("", "?state=x&code=y", f"?state={state}&code=y"):  # not asked from this browser
        assert browser(WECHAT).get(f"/l/{link.key}/who/{bad}")["Location"] == TARGET
    with in_brand(live.brand):
        assert Visit.objects.count() == 2  # WeCom did not know the code: somebody opened it all the same


def test_another_person_on_the_same_device(live: Live, link: TrackedLink) -> None:
    client = browser(WECHAT)
    for n in (0, 1):
        client.cookies.pop(browsers.cookie_name(live.brand), None)
        asked = client.get(f"/l/{link.key}/")
        come_back(live, client, asked["Location"], external_userid=live.externals[live.contacts[n].pk])
    with in_brand(live.brand):
        assert {p.contact_id for p in LinkPerson.objects.all()} == {c.pk for c in live.contacts[:2]}


def test_wecom_is_gone_and_the_customer_gets_there(live: Live, link: TrackedLink, settings: Any) -> None:
    client = browser(WECHAT)
    asked = client.get(f"/l/{link.key}/")["Location"]
    state = parse_qs(urlsplit(asked).query)["state"][0]
    settings.WECOM_API_URL = "http://127.0.0.1:9"
    assert client.get(f"/l/{link.key}/who/?state={state}&code=abc")["Location"] == TARGET
    with in_brand(live.brand):
        assert Visit.objects.get().contact_id is None


def test_a_message_of_a_guide_says_whose_it_was(live: Live, link: TrackedLink) -> None:
    """SOP → WeCom → the customer opens the link in it → the touch is opened."""
    from datetime import timedelta

    from campaigns.models import SendTask, Touch
    from campaigns.services.ledger import marks
    from campaigns.services.sops import enrolments
    from campaigns.services.sops.sops import StepInput
    from content.models import Via
    from scrm import clock
    from tests.campaigns.conftest import at

    card = {"type": "link", "title": "新品", "url": links.address_of(link)}
    contact = live.contacts[0]
    start = at("2026-03-02 09:00")
    with clock.at(start):
        sop = live.make_sop(StepInput(0, 10, 0, f"看 {links.address_of(link)}", [card]))
        with in_brand(live.brand):
            enrolments.enrol(live.brand, contact=contact, sop=sop, at=start, source="page")
            marks.run(live.brand)
    live.tick(start + timedelta(hours=1))
    live.tick(start + timedelta(hours=1, seconds=30))
    assert live.confirm_all(start + timedelta(hours=2)) == 1
    [(_whom, text)] = live.received()
    address = text.removeprefix("看 ")
    with in_brand(live.brand):
        task = SendTask.objects.get()
        assert task.text == text and task.attachments[0]["url"] == address
        Touch.objects.filter(send_task_id=task.pk).update(
            state=Touch.State.DELIVERED, done_at=start + timedelta(hours=2)
        )
    client = browser(WECHAT)
    with clock.at(start + timedelta(hours=3)):
        asked = client.get(path_of(address))
        come_back(live, client, asked["Location"], external_userid=live.externals[contact.pk])
        with in_brand(live.brand):
            visit = Visit.objects.get()
            assert (visit.send_task_id, visit.staff_id, visit.via) == (task.pk, task.staff_id, Via.SOP)
        with tenant_scope(live.brand):
            marks.run(live.brand)
    with in_brand(live.brand):
        assert Touch.objects.get(send_task_id=task.pk).opened_at is not None
