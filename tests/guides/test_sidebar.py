"""The sidebar against the sandbox: signatures and tickets, the chat's customer, content made ready, what was sent."""

import hashlib
import io
import json
import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from PIL import Image

from campaigns.models import StaffTask, Touch
from campaigns.services.tasks import staff_tasks
from contacts.models import Event, EventType, Follow
from contacts.services import contacts as contact_services
from contacts.services.timeline import record_event
from content import tokens
from content.models import Content
from content.services import editing, links, posters, sensitive
from content.services.editing import ContentInput
from guides.services import customers, today
from org.access import SYSTEM
from org.models import Corp
from scrm import clock
from tenants.models import Brand
from tenants.scoping import tenant_scope
from tests.contacts.conftest import connected, sandbox, sandbox_server
from tests.content.test_posters import make_poster
from tests.factories import in_brand, make_contact, make_user, role
from wecom.api.auth import jsapi_signature
from wecom.services import media

__all__ = ["connected", "sandbox", "sandbox_server"]
PAGE = "http://testserver/g/sidebar/?corp=ww1"


@pytest.fixture
def chat(connected: SimpleNamespace, sign_in: Any, settings: Any) -> SimpleNamespace:
    """`connected`, guide `a` signed in with a customer, guide `b` with another one."""
    settings.PUBLIC_URL = "http://testserver"
    user = make_user(connected.brand, "guide", staff=connected.a)
    with in_brand(connected.brand):
        connected.mine = make_contact(connected.brand, connected.a, name="林小满")
        connected.other = make_contact(connected.brand, connected.b, name="别人的")
        connected.mine_id = connected.mine.follows.get().external_userid
        connected.other_id = connected.other.follows.get().external_userid
    connected.client = sign_in(connected.brand, user=user)
    return connected


def content(brand: Any, text: str, **over: Any) -> int:
    """A script of the library; the id of its version."""
    with in_brand(brand):
        given = ContentInput(**{"name": "话术", "text": text, "kind": "script", **over})
        made = editing.create_content(brand, given=given)
        return Content.objects.get(pk=made.content.pk).current_id or 0


def test_signatures_are_right_and_tickets_are_asked_once(chat: SimpleNamespace) -> None:
    first = chat.client.post("/g/sidebar/signature/", {"url": PAGE})
    assert first.status_code == 200 and "ticket" not in first.content.decode()
    given = first.json()
    for kind, name, agentid in (("corp", "config", ""), ("agent_config", "agent", chat.corp.agent_id)):
        one = given[name]
        query = {
            "kind": kind, "corpid": chat.corp.corpid, "agentid": agentid, "timestamp": one["timestamp"],
            "noncestr": one["nonceStr"], "signature": one["signature"], "url": PAGE, "callback": "done",
        }  # fmt: skip
        answer = chat.sandbox.http.get(f"{chat.sandbox.url}/jssdk-check.js", params=query).text
        assert answer == 'done("ok");', kind
    for _ in range(3):
        chat.client.post("/g/sidebar/signature/", {"url": PAGE})
    assert len(chat.sandbox.calls("get_jsapi_ticket")) == len(chat.sandbox.calls("ticket/get")) == 1


@pytest.mark.parametrize(
    "url",
    [
        "", "http://evil.example/g/sidebar/", "https://testserver/g/sidebar/", "http://testserver.evil.example/g/",
        "http://testserver/contacts/", "http://testserver@evil.example/g/", "http://testserver/g/" + "x" * 3000,
    ],
)  # fmt: skip
def test_only_our_own_pages_are_signed(chat: SimpleNamespace, url: str) -> None:
    assert chat.client.post("/g/sidebar/signature/", {"url": url}).status_code == 422
    assert chat.sandbox.calls("ticket/get") == []


def test_who_may_ask_for_a_signature(chat: SimpleNamespace, sign_in: Any) -> None:
    assert Client().post("/g/sidebar/signature/", {"url": PAGE}).status_code == 302
    assert sign_in(chat.brand, "operator").post("/g/sidebar/signature/", {"url": PAGE}).status_code == 422


@pytest.mark.parametrize("fault", ["http500", "html"])
def test_wecom_is_ill(chat: SimpleNamespace, fault: str) -> None:
    chat.sandbox.post("faults", corpid=chat.corp.corpid, api="ticket/get", kind=fault, times=9, seconds=0.1)
    answer = chat.client.post("/g/sidebar/signature/", {"url": PAGE}, headers={"HX-Request": "true"})
    assert answer.status_code in (502, 503) and "toast" in answer["HX-Trigger"]


def test_the_customer_of_the_chat(chat: SimpleNamespace, other_brand: Any, sign_in: Any) -> None:
    def ask(client: Client, external_userid: str) -> str:
        answer = client.get("/g/sidebar/customer/", {"external_userid": external_userid})
        assert answer.status_code == 200
        return answer.content.decode()

    assert "林小满" in ask(chat.client, chat.mine_id)
    nobody = ask(chat.client, "wm_nobody")
    assert (
        ask(chat.client, chat.other_id) == nobody and "别人的" not in nobody
    )  # nobody can tell the difference
    for odd in ("", "\x00", "x" * 500, "' OR 1=1 --"):
        assert "林小满" not in ask(chat.client, odd)
    with in_brand(other_brand):
        theirs = make_user(other_brand, "admin")
    assert "林小满" not in ask(sign_in(other_brand, user=theirs), chat.mine_id)


def test_words_for_the_next_step_stand_first(chat: SimpleNamespace) -> None:
    content(chat.brand, "第一次见面", name="见面", occasion="hello")
    content(chat.brand, "购物车里的还要吗", name="购物车", occasion="cart")
    content(chat.brand, "随便聊聊", name="闲聊")
    for n in range(40):
        content(chat.brand, f"群发文案{n}", name=f"群发{n}", kind="message")
    url = f"/g/customers/{chat.mine.pk}/"

    def names() -> tuple[list[str], list[str]]:
        context = chat.client.get(f"{url}scripts/").context
        return [row["name"] for row in context["fitting"]], [row["name"] for row in context["rows"]]

    first, rest = names()
    assert first == ["见面"] and rest[:2] == ["闲聊", "购物车"] and len(rest) == 29
    page = chat.client.get(url).content.decode()
    assert "打个招呼" in page and "data-words" in page
    with in_brand(chat.brand):
        record_event(chat.brand, contact_id=chat.mine.pk, type=EventType.CARTED, at=clock.now(), source="api")
    assert names()[0] == ["购物车"]
    found = chat.client.get(f"{url}scripts/?q=闲聊").context
    assert found["fitting"] == [] and [row["name"] for row in found["rows"]] == ["闲聊"]
    with in_brand(chat.brand):
        contact_services.set_do_not_contact(chat.brand, contacts=[chat.mine], value=True, by=SYSTEM)
    assert names()[0] == [] and "data-words" not in chat.client.get(url).content.decode()


def test_a_call_that_nobody_answered_is_no_conversation(chat: SimpleNamespace) -> None:
    """Called in vain, a new customer still waits for a word."""
    with in_brand(chat.brand):
        Follow.objects.filter(contact=chat.mine).update(added_at=clock.now() - timedelta(days=1))

        def waits() -> tuple[str, bool]:
            lists = [row["key"] for row in today.waiting_of(chat.brand, chat.a)]
            return customers.next_step(chat.brand, chat.mine, chat.a).kind, "new" in lists

        for outcome, after in (("unreached", ("hello", True)), ("", ("none", False))):
            assert waits() == ("hello", True)
            task = StaffTask.objects.create(
                staff=chat.a, contact=chat.mine, kind="call", title="打个电话", key=outcome,
                due_at=clock.now() + timedelta(days=1), source="page",
            )  # fmt: skip
            staff_tasks.complete(chat.brand, task_id=task.pk, by=SYSTEM, outcome=outcome)
            assert waits() == after


def test_posters_are_sent_with_the_guides_code_or_the_customers(
    chat: SimpleNamespace, other_brand: Any, sign_in: Any, settings: Any, tmp_path: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    with in_brand(chat.brand):
        poster = make_poster(chat.brand, name="会员日海报")
    with in_brand(other_brand):
        foreign = make_poster(other_brand)
    url = f"/g/customers/{chat.mine.pk}/"
    page = chat.client.get(f"{url}scripts/").content.decode()
    assert "会员日海报" in page and f'data-send-poster="{poster.pk}"' in page
    assert "会员日海报" in chat.client.get(f"{url}scripts/?q=会员日").content.decode()
    assert "会员日海报" not in chat.client.get(f"{url}scripts/?q=别的").content.decode()
    pictures = [chat.client.get(f"{url}posters/{poster.pk}/{own}") for own in ("", "?own=1")]
    assert [p["Content-Type"] for p in pictures] == ["image/jpeg"] * 2
    assert pictures[0].content != pictures[1].content
    for own in ("", "1"):
        made = chat.client.post(f"{url}prepare/", {"poster": poster.pk, "own": own}).json()
        [message] = made["messages"]
        assert message["msgtype"] == "image" and message["image"]["mediaid"] and made["text"] == "会员日海报"
        given = {"text": made["text"], "ticket": made["ticket"]}
        assert chat.client.post(f"{url}sent/", given).status_code == 200
    with in_brand(chat.brand):
        assert Touch.objects.filter(kind=Touch.Kind.DIRECT, contact_id=chat.mine.pk).count() == 2
        posters.archive_poster(chat.brand, poster_id=poster.pk, by=SYSTEM)  # since the list was read
    assert "会员日海报" not in chat.client.get(f"{url}scripts/").content.decode()
    assert chat.client.get(f"{url}posters/{poster.pk}/").status_code == 404
    assert chat.client.post(f"{url}prepare/", {"poster": poster.pk}).status_code == 404
    with in_brand(chat.brand):
        posters.archive_poster(chat.brand, poster_id=poster.pk, archive=False, by=SYSTEM)
        sensitive.add_words(chat.brand, words=["我是"], level="refuse", by=SYSTEM)
    assert chat.client.get(f"{url}posters/{poster.pk}/").status_code == 422
    assert chat.client.post(f"{url}prepare/", {"poster": poster.pk}).status_code == 422
    for path in (f"{url}posters/{foreign.pk}/", f"/g/customers/{chat.other.pk}/posters/{poster.pk}/"):
        assert chat.client.get(path).status_code == 404, path
    assert chat.client.post(f"{url}prepare/", {"poster": foreign.pk}).status_code == 404


def test_scripts_are_searched_and_filled_in(chat: SimpleNamespace) -> None:
    content(chat.brand, "{客户昵称|你好}，我是{员工姓名}", name="问候")
    content(chat.brand, "新品到店", name="新品")
    url = f"/g/customers/{chat.mine.pk}/scripts/"
    page = chat.client.get(url).content.decode()
    assert "林小满，我是甲" in page and "新品到店" in page
    found = chat.client.get(url, {"q": "新品"}).content.decode()
    assert "新品到店" in found and "我是甲" not in found


def test_sent_once_into_the_ledger_and_onto_the_timeline(chat: SimpleNamespace) -> None:
    version = content(chat.brand, "{客户昵称}，新品到店")
    url = f"/g/customers/{chat.mine.pk}/"
    made = chat.client.post(f"{url}prepare/", {"version": version}).json()
    assert made["messages"] == [{"msgtype": "text", "text": {"content": "林小满，新品到店"}}]
    given = {"text": made["text"], "ticket": made["ticket"]}
    for _ in range(2):  # the browser repeats what it thinks was lost
        assert chat.client.post(f"{url}sent/", given).status_code == 200
    with in_brand(chat.brand):
        touch = Touch.objects.get()
        assert (touch.kind, touch.state, touch.content_id) == (
            Touch.Kind.DIRECT,
            Touch.State.DELIVERED,
            version,
        )
        assert (touch.contact_id, touch.staff_id) == (chat.mine.pk, chat.a.pk)
        event = Event.objects.get(type=EventType.TOUCH_SENT)
        assert event.object_id == touch.pk and event.data["text"] == "林小满，新品到店"
    page = chat.client.get(f"/contacts/{chat.mine.pk}/").content.decode()
    assert "Received a message from 甲 in the chat" in page or "在聊天中收到" in page
    for bad in ("", "x", made["ticket"][:-2] + "zz"):
        assert chat.client.post(f"{url}sent/", given | {"ticket": bad}).status_code == 422, bad
    with in_brand(chat.brand):
        second = make_contact(chat.brand, chat.a)
    assert (
        chat.client.post(f"/g/customers/{second.pk}/sent/", given).status_code == 422
    )  # made for somebody else
    with clock.at(clock.now() + timedelta(days=2)), in_brand(chat.brand):
        assert Touch.objects.count() == 1


def test_a_part_is_noted_with_words_of_its_own(chat: SimpleNamespace) -> None:
    url = f"/g/customers/{chat.mine.pk}/"
    made = chat.client.post(f"{url}prepare/", {"text": "在吗"}).json()
    given = {"text": made["text"], "ticket": made["ticket"]}
    told = json.loads(chat.client.post(f"{url}sent/", {**given, "part": "1"})["HX-Trigger"])["toast"]
    whole = json.loads(chat.client.post(f"{url}sent/", given)["HX-Trigger"])["toast"]
    assert (told["kind"], whole["kind"]) == ("warning", "success") and told["text"] != whole["text"]
    with in_brand(chat.brand):
        assert Touch.objects.count() == 1


def test_a_tracked_link_knows_whose_message_it_was_in(chat: SimpleNamespace) -> None:
    with in_brand(chat.brand):
        link = links.create_link(chat.brand, name="新品", url="https://shop.example/new", by=SYSTEM)
    address = links.address_of(link)
    version = content(chat.brand, f"看看 {address}")
    url = f"/g/customers/{chat.mine.pk}/"
    made = chat.client.post(f"{url}prepare/", {"version": version}).json()
    [tail] = re.findall(re.escape(address.rstrip("/")) + r"/([A-Za-z0-9_-]+)/", made["text"])
    chat.client.post(f"{url}sent/", {"text": made["text"], "ticket": made["ticket"]})
    told = tokens.unpack(chat.brand.pk, link.key, tail)
    with in_brand(chat.brand):
        touch = Touch.objects.get()
    assert told is not None and (told.staff_id, told.touch_id) == (chat.a.pk, touch.pk)


def test_files_are_uploaded_and_links_become_news(chat: SimpleNamespace) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(picture, "PNG")
    picture.seek(0)
    picture.name = "a.png"
    with tenant_scope(chat.brand):
        file = media.save_upload(chat.brand, file=picture, kind="image")
    attachments = [
        {"type": "image", "file_id": file.pk},
        {"type": "link", "title": "新品", "url": "https://shop.example/", "desc": "", "picurl": ""},
    ]
    version = content(chat.brand, "看看", attachments=attachments)
    made = chat.client.post(f"/g/customers/{chat.mine.pk}/prepare/", {"version": version}).json()["messages"]
    assert [m["msgtype"] for m in made] == ["text", "image", "news"]
    assert made[1]["image"]["mediaid"] and made[2]["news"]["link"] == "https://shop.example/"


def test_pages_and_links_are_sent_as_cards(chat: SimpleNamespace, other_brand: Brand) -> None:
    page = {"title": "护肤手册", "intro": "三步", "blocks": [{"type": "text", "text": "洗脸"}]}
    with in_brand(chat.brand):
        item = editing.create_content(chat.brand, given=ContentInput("手册", kind="page", page=page)).content
        link = links.link_of_page(chat.brand, item)
    with in_brand(other_brand):
        theirs = links.create_link(other_brand, name="别家", url="https://a.cn")
    listed = chat.client.get(f"/g/customers/{chat.mine.pk}/scripts/").content.decode()
    assert f'data-send-link="{link.pk}"' in listed and "护肤手册" in listed and "别家" not in listed
    copied = re.search(r'data-copy="[^"]*/l/([^/"]+)/([^/"]+)/"', listed)
    assert copied and tokens.unpack(chat.brand.pk, *copied.groups()) == tokens.Sent(chat.a.pk, via=4)
    url = f"/g/customers/{chat.mine.pk}/"
    made = chat.client.post(f"{url}prepare/", {"link": link.pk}).json()
    [message] = made["messages"]
    assert message["news"]["title"] == "护肤手册" and message["news"]["desc"] == "三步"
    assert f"/l/{link.key}/" in message["news"]["link"] and made["text"] == "护肤手册"
    chat.client.post(f"{url}sent/", {"text": made["text"], "ticket": made["ticket"]})
    with in_brand(chat.brand):
        touch = Touch.objects.get()
        assert touch.content_id == item.current_id  # the page has its figures
        token = urlsplit(message["news"]["link"]).path.split("/")[3]
        told = tokens.unpack(chat.brand.pk, link.key, token)
        assert isinstance(told, tokens.Sent) and (told.staff_id, told.touch_id) == (chat.a.pk, touch.pk)
        editing.archive(chat.brand, content_id=item.pk, by=SYSTEM)
    for gone in (link.pk, theirs.pk, 10**30):
        assert chat.client.post(f"{url}prepare/", {"link": gone}).status_code in (404, 422)


def test_words_of_ones_own(chat: SimpleNamespace) -> None:
    url = f"/g/customers/{chat.mine.pk}/prepare/"
    made = chat.client.post(url, {"text": " 在吗 "}).json()
    assert made["messages"] == [{"msgtype": "text", "text": {"content": "在吗"}}] and made["text"] == "在吗"
    assert chat.client.post(url, {"text": ""}).status_code == 422
    assert chat.client.post(url, {"text": "字" * 2000}).status_code == 422
    assert chat.client.post(url, {"version": "9" * 30}).status_code == 422
    assert chat.client.post(url, {"version": "12345"}).status_code == 404


def test_refused_words_are_not_made_ready(chat: SimpleNamespace) -> None:
    with in_brand(chat.brand):
        sensitive.add_words(chat.brand, words=["国家级"], level="refuse", note="广告法", by=SYSTEM)
        sensitive.add_words(chat.brand, words=["赠品"], level="warn", by=SYSTEM)
    url = f"/g/customers/{chat.mine.pk}/prepare/"
    refused = chat.client.post(url, {"text": "国 家-级 面霜"}, headers={"HX-Request": "true"})
    assert refused.status_code == 422
    told = json.loads(refused["HX-Trigger"])["toast"]["text"]
    assert "国家级" in told and "广告法" in told
    assert chat.client.post(url, {"text": "有赠品"}).status_code == 200  # only warned of


def test_words_refused_since_a_script_was_written(chat: SimpleNamespace) -> None:
    """What the library holds is older than the list; a customer's name is not what the brand says."""
    with in_brand(chat.brand):
        script = editing.create_content(
            chat.brand,
            given=ContentInput("话术", kind="script", text="{客户昵称}，国家级面霜到了"),
            by=SYSTEM,
        )
        fine = editing.create_content(
            chat.brand, given=ContentInput("问候", kind="script", text="{客户昵称}，在吗"), by=SYSTEM
        )
        link = links.create_link(chat.brand, name="国家级面霜", url="https://shop.example/a", by=SYSTEM)
        sensitive.add_words(chat.brand, words=["国家级", chat.mine.name], level="refuse", by=SYSTEM)
    url = f"/g/customers/{chat.mine.pk}/prepare/"
    assert chat.client.post(url, {"version": script.content.current_id}).status_code == 422
    assert chat.client.post(url, {"link": link.pk}).status_code == 422
    assert chat.client.post(url, {"version": fine.content.current_id}).status_code == 200


def test_the_signed_text_is_what_wecom_documents() -> None:
    """The vector of WeCom's page: raw values in this order, the address without what follows #."""
    ticket = "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg"
    url = "http://mp.weixin.qq.com?params=value"
    signed = jsapi_signature(ticket, url + "#x", nonce="Wm3WZYTPz0wzccnW", timestamp=1414587457)
    assert signed["signature"] == "0f9de62fce790f9a083d5c99e95740ceb90c27ed"
    text = f"jsapi_ticket={ticket}&noncestr=Wm3WZYTPz0wzccnW&timestamp=1414587457&url={url}"
    assert hashlib.sha1(text.encode()).hexdigest() == signed["signature"]


def test_a_guide_comes_in_through_wecom(connected: SimpleNamespace, settings: Any) -> None:
    """From a card in WeCom to the page, silently; a tampered state or a used code opens nothing."""
    settings.WECOM_OAUTH_URL = settings.WECOM_LOGIN_URL = connected.sandbox.url
    settings.PUBLIC_URL = "http://testserver"
    corp: Corp = connected.corp
    with in_brand(connected.brand):
        connected.a.role = role(connected.brand, "guide")
        connected.a.save()
    client = Client(headers={"User-Agent": "wxwork/4.1"})
    start = client.get(f"/g/?corp={corp.corpid}")["Location"]
    away = client.get(start)["Location"]
    assert away.startswith(f"{connected.sandbox.url}/connect/oauth2/authorize?")
    query = {key: values[0] for key, values in parse_qs(urlsplit(away).query).items()}
    back = connected.sandbox.post(
        "login", corpid=corp.corpid, redirect_uri=query["redirect_uri"], state=query["state"],
        agent_id=int(query["agentid"]), userid="GuideA",
    )["url"].removeprefix("http://testserver")  # fmt: skip
    assert Client().get(back).status_code == 422  # somebody else's browser
    assert client.get(back.replace("state=", "state=0")).status_code == 422  # tampered: and used up by that
    assert client.get(back).status_code == 422
    away = client.get(start)["Location"]
    query = {key: values[0] for key, values in parse_qs(urlsplit(away).query).items()}
    back = connected.sandbox.post(
        "login", corpid=corp.corpid, redirect_uri=query["redirect_uri"], state=query["state"],
        agent_id=int(query["agentid"]), userid="GuideA",
    )["url"].removeprefix("http://testserver")  # fmt: skip
    landed = client.get(back)
    assert landed["Location"] == f"/g/?corp={corp.corpid}"
    assert client.get(landed["Location"]).status_code == 200
    assert client.get(back).status_code == 422  # used up
