"""“Send me a test”: what a message would be arrives at one's own member, and nothing else happens; at the sandbox over HTTP."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from campaigns.models import Broadcast, SendTask, Touch
from campaigns.services.broadcasts import broadcasts
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput
from campaigns.services.graphs import graphs
from campaigns.services.sending import trial
from contacts.models import Event
from contacts.services.search import refresh_grams
from content.models import TrackedLink, Visit
from content.services import editing, links, sensitive
from content.services.editing import ContentInput
from org.access import SYSTEM
from org.models import AuditEntry, Role, Staff, Store
from scrm import clock
from tagging.models import Segment
from tenants.models import Brand, User
from tests.campaigns.conftest import Live, make_live, set_sandbox_clock
from tests.campaigns.test_api import client_of
from tests.content.conftest import make_picture
from tests.factories import in_brand, make_contact, make_corp, make_staff, make_user
from tests.wecom.sandbox_client import Sandbox
from wecom.services import media

pytestmark = pytest.mark.django_db(transaction=True)
NEW = "/broadcasts/test/"


class Desk:
    """An operator who is a member of WeCom, with guides and customers at the sandbox."""

    def __init__(self, live: Live, sign_in: Any, role: str = "operator") -> None:
        self.live, self.brand = live, live.brand
        with in_brand(live.brand):
            self.me = make_staff(live.brand, live.corp, name="运营小李", userid="lee", is_guide=False)
        self.user: User = make_user(live.brand, role, staff=self.me)
        live.sandbox.load(
            live.corp.corpid, members=[{"userid": "lee", "name": "运营小李", "department": [1]}]
        )
        self.client: Client = sign_in(live.brand, user=self.user)

    def ask(self, url: str = NEW, act: str = "send", **fields: Any) -> Any:
        return self.client.post(url, {"act": act, **fields}, headers={"HX-Request": "true"})

    def got(self) -> list[dict[str, Any]]:
        """App messages that members really have, oldest first."""
        return list(self.live.sandbox.sent("app", corpid=self.live.corp.corpid))

    def entries(self) -> list[AuditEntry]:
        with in_brand(self.brand):
            return list(AuditEntry.objects.filter(action__endswith=".test").order_by("pk"))


@pytest.fixture
def desk(live: Live, sign_in: Any) -> Desk:
    return Desk(live, sign_in)


def nothing_counted(brand: Brand) -> None:
    with in_brand(brand):
        assert not Touch.objects.exists() and not SendTask.objects.exists() and not Visit.objects.exists()
        assert not Event.objects.exists()


# ---- from the editor of a broadcast


def test_it_arrives_as_the_customer_would_get_it(desk: Desk) -> None:
    """Variables are those of the guide from whom the chosen customer would hear; what is not known has its stand-in."""
    with in_brand(desk.brand):
        store = Store.objects.create(name="人民广场店")
        Staff.objects.filter(pk=desk.live.guides[1].pk).update(store=store)
    a, b = desk.live.contacts[:2]  # of the first and of the second guide
    text = "{员工姓名}（{门店|本店}）：新品到店，\r\n{品牌}"
    for contact in (a, b):
        answer = desk.ask(text=text, contact=contact.pk)
        assert answer.status_code == 200 and 'data-result="sent"' in answer.content.decode()
    assert [(row["userid"], row["text"]) for row in desk.got()] == [
        ("lee", f"【测试】小A（本店）：新品到店，\n{desk.brand.name}"),
        ("lee", f"【测试】小B（人民广场店）：新品到店，\n{desk.brand.name}"),
    ]
    nothing_counted(desk.brand)
    first, second = desk.entries()
    assert (first.action, first.actor, first.object_id) == ("broadcast.test", "运营小李", None)
    assert first.after == {"receivers": "运营小李", "contact_id": a.pk, "n_sent": 1, "reason": ""}
    assert second.after["contact_id"] == b.pk


def test_everything_that_can_be_attached(desk: Desk, settings: Any) -> None:
    """Pictures, files and links as app messages of their kind; a mini-program in words; a tracked link counts nothing."""
    file = io.BytesIO(b"%PDF-1.4 price list")
    file.name = "价目表.pdf"
    with in_brand(desk.brand):
        picture = make_picture(desk.brand)
        paper = media.save_upload(desk.brand, file=file, kind="file")
        link = links.create_link(desk.brand, name="新品", url="https://shop.example.com/new", asks_who=False)
    address = links.address_of(link)
    attached = [
        {"type": "image", "file_id": picture.pk},
        {"type": "file", "file_id": paper.pk},
        {"type": "link", "title": "新品", "url": address, "desc": "春装", "picurl": ""},
        {"type": "miniprogram", "title": "商城", "appid": "wx1", "page": "pages/a", "file_id": picture.pk},
    ]
    answer = desk.ask(text=f"看看 {address}", attachments=json.dumps(attached))
    assert 'data-result="sent"' in answer.content.decode()
    text, image, paper_row, news, words = desk.got()
    assert text["text"] == f"【测试】看看 {address}test/"
    assert [row["attachments"][0]["msgtype"] for row in (image, paper_row, news)] == ["image", "file", "news"]
    article = news["attachments"][0]["news"]["articles"][0]
    assert (article["title"], article["url"]) == ("【测试】新品", f"{address}test/")
    assert words["text"].startswith("【测试】") and "商城" in words["text"] and not words["attachments"]
    # whoever opens it from the test gets there, and is not counted; from the link itself they are
    path = address.removeprefix(settings.PUBLIC_URL)
    headers = {"User-Agent": "Mozilla/5.0 (iPhone) MicroMessenger/8.0", "Accept": "text/html"}
    opened = Client().get(f"{path}test/", headers=headers)
    assert opened.headers["Location"] == "https://shop.example.com/new"
    nothing_counted(desk.brand)
    Client().get(path, headers=headers)
    with in_brand(desk.brand):
        assert Visit.objects.count() == 1 and TrackedLink.objects.exists()


def test_long_texts_come_in_parts_and_attachments_alone_with_a_word(desk: Desk) -> None:
    with in_brand(desk.brand):
        picture = make_picture(desk.brand)
    text = "\n".join(f"第{n}行：" + "新" * 60 for n in range(20))  # 3,900 bytes; an app message takes 2,048
    desk.ask(text=text)
    rows = [row["text"] for row in desk.got()]
    assert len(rows) == 2 and rows[0].startswith("【测试 1/2】") and rows[1].startswith("【测试 2/2】第")
    assert "".join(row.partition("】")[2] for row in rows) == text
    desk.ask(text="", attachments=json.dumps([{"type": "image", "file_id": picture.pk}]))
    head, image = desk.got()[2:]
    assert head["text"].startswith("【测试】") and image["attachments"][0]["msgtype"] == "image"


def test_nobody_chosen_is_somebody_of_the_audience(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or one of one's own; only those whom the person sees are found by name, without asking the audience."""
    with in_brand(desk.brand):
        special = desk.live.contacts[3]
        segment = Segment.objects.create(
            name="一个",
            kind="dynamic",
            condition={"kind": "staff", "mode": "any", "ids": [desk.live.guides[1].pk]},
        )
        special.name = "王小明"
        special.save(update_fields=["name"])
        refresh_grams(desk.brand, [special.pk])
    page = desk.ask(act="look", text="你好", audience=str(segment.pk)).content.decode()
    own = {c.pk for c in desk.live.contacts[1::2]}
    shown = {c.pk for c in desk.live.contacts if f'value="{c.pk}"' in page}
    assert shown == own and "小B" in page and desk.got() == []
    with monkeypatch.context() as silent:
        silent.delattr(trial, "of_audience")
        find = {"text": "你好", "audience": str(segment.pk), "contact": desk.live.contacts[0].pk}
        found = desk.ask(act="find", q="小明", **find).content.decode()
    assert {c.pk for c in desk.live.contacts if f'value="{c.pk}"' in found} == {special.pk}
    with in_brand(desk.brand):
        mine = make_contact(desk.brand, desk.me, name="我的客户")
    page = desk.ask(act="look", text="你好").content.decode()
    assert f'value="{mine.pk}" checked' in page
    with in_brand(desk.brand):  # who may not see contacts finds none, and writes as themselves
        role = Role.objects.get(pk=Staff.objects.get(pk=desk.me.pk).role_id)
        role.rights = ["broadcasts.view", "broadcasts.edit"]
        role.save(update_fields=["rights"])
    page = desk.ask(text="{员工姓名}：你好", q="小明").content.decode()
    assert "小明" not in page and desk.got()[-1]["text"] == "【测试】运营小李：你好"
    assert desk.ask(text="x", contact=special.pk).status_code == 404


def test_what_could_not_be_sent_is_said(desk: Desk) -> None:
    """An unknown variable, one of the customer, a refused word: the test goes out with what stands in, and says so."""
    with in_brand(desk.brand):
        sensitive.add_words(desk.brand, words=["最低价"], level="refuse", by=SYSTEM)
    page = desk.ask(text="{客户昵称|朋友}，{谁|大家}：全网最低价").content.decode()
    assert desk.got()[0]["text"] == "【测试】朋友，大家：全网最低价"
    assert "{谁}" in page or "{客户昵称}" in page
    assert "最低价" in page.split("trial-chat")[1].split("field-error", 1)[1]
    for nothing in (
        {"text": " "},
        {"text": "x", "attachments": '[{"type": "image"}]'},
        {"attachments": "[["},
    ):
        assert desk.ask(**nothing).status_code == 422, nothing
    assert len(desk.got()) == 1


# ---- to whom, and how often


def test_no_member_no_app(desk: Desk, sign_in: Any, live: Live) -> None:
    """Said in words, with the preview and without a button; sending all the same is refused."""
    client = sign_in(live.brand, "operator")  # of the dashboard alone
    for given, status in (({"act": "look"}, 200), ({"act": "send"}, 422)):
        answer = client.post(NEW, {"text": "你好", **given}, headers={"HX-Request": "true"})
        page = answer.content.decode()
        assert answer.status_code == status and "data-why-not" in page and "btn-primary" not in page
        assert "【测试】你好" in page
    assert desk.got() == [] and desk.entries() == []


def test_a_brand_without_wecom(brand: Brand, sign_in: Any) -> None:
    page = sign_in(brand, "operator").post(NEW, {"text": "你好", "act": "send"})
    assert page.status_code == 422 and "还没有接入企业微信" in page.content.decode()


def test_wecoms_refusal_is_shown(desk: Desk) -> None:
    """The first refusal ends it; what went out before stays said."""
    desk.live.sandbox.post("faults", api="message/send", kind="errcode", errcode=60011, times=1)
    answer = desk.ask(text="你好")
    page = answer.content.decode()
    assert answer.status_code == 200 and 'data-result="refused"' in page and "60011" in page
    assert desk.got() == [] and "60011" in desk.entries()[0].after["reason"]
    with in_brand(desk.brand):
        picture = make_picture(desk.brand)
    attached = json.dumps([{"type": "image", "file_id": picture.pk}] * 2)
    desk.live.sandbox.post("faults", api="media/upload", kind="errcode", errcode=48002, times=1)
    page = desk.ask(text="再来", attachments=attached).content.decode()
    assert 'data-result="part"' in page and "48002" in page
    assert [row["text"] for row in desk.got()] == ["【测试】再来"]
    assert desk.entries()[1].after["n_sent"] == 1


def test_a_double_click_arrives_once_and_a_second_try_again(desk: Desk) -> None:
    """WeCom drops the same content for half an hour unless it is told otherwise."""
    now = clock.now()
    set_sandbox_clock(desk.live.sandbox, now)
    pages = [desk.ask(text="你好").content.decode() for _n in range(2)]
    assert len(desk.got()) == 1 and all("30 秒" in page for page in pages)
    set_sandbox_clock(desk.live.sandbox, now + timedelta(minutes=2))
    desk.ask(text="你好")
    assert len(desk.got()) == 2


def test_ten_a_minute(desk: Desk) -> None:
    for n in range(10):
        assert desk.ask(text=f"第{n}次").status_code == 200
    refused = desk.ask(text="第十一次")
    assert refused.status_code == 422 and "10" in refused.content.decode()
    assert desk.ask(text="看看", act="look").status_code == 200
    assert len(desk.got()) == 10 and len(desk.entries()) == 10
    # by API it is the same person
    client = client_of(desk.brand, "content.edit")
    with in_brand(desk.brand):
        item = editing.create_content(desk.brand, given=ContentInput(name="a", text="b"), by=SYSTEM).content
    answer = client.post(
        f"/api/v1/content/{item.pk}/test/", {"staff_id": desk.me.pk}, content_type="application/json"
    )
    assert answer.status_code == 429 and answer.json()["error"]["retry_after_s"] == 60


# ---- from the canvas, from steps, from the library

GRAPH: dict[str, Any] = {
    "nodes": [
        {"id": "n1", "kind": "entry", "by": "hand"},
        {"id": "n2", "kind": "touch", "text": "{员工姓名}问候"},
        {"id": "n3", "kind": "touch"},
        {"id": "n4", "kind": "end"},
    ],
    "edges": [],
}


def test_a_node_as_it_is_drawn(desk: Desk) -> None:
    with in_brand(desk.brand):
        item = editing.create_content(
            desk.brand, given=ContentInput(name="库", text="库里的话"), by=SYSTEM
        ).content
        sop = graphs.create_graph_sop(desk.brand, name="新客", graph=GRAPH, by=SYSTEM)
    url = f"/sops/{sop.pk}/test/"
    node = {"id": "n2", "kind": "touch", "text": "{员工姓名}：改过"}
    assert 'data-result="sent"' in desk.ask(url, node=json.dumps(node)).content.decode()
    desk.ask(url, node=json.dumps({"id": "n2", "kind": "touch", "content_id": item.pk, "text": "旧"}))
    desk.ask("/sops/test/", text="第一步")
    texts = [row["text"] for row in desk.got()]
    assert texts[0].endswith("：改过") and texts[1:] == ["【测试】库里的话", "【测试】第一步"]
    assert [(e.action, e.object_id) for e in desk.entries()] == [
        ("sop.test", sop.pk), ("sop.test", sop.pk), ("sop.test", None),
    ]  # fmt: skip
    for bad in ({"id": "n1", "kind": "wait"}, {"id": "n2", "kind": "group"}, {"id": "x"}, [], "{"):
        given = bad if isinstance(bad, str) else json.dumps(bad)
        assert desk.ask(url, node=given).status_code == 422, bad
    with in_brand(desk.brand):
        editing.archive(desk.brand, content_id=item.pk, by=SYSTEM)
    gone = desk.ask(url, node=json.dumps({"id": "n2", "kind": "touch", "content_id": item.pk}))
    assert gone.status_code == 422 and len(desk.got()) == 3
    nothing_counted(desk.brand)


def test_content_of_the_library(desk: Desk) -> None:
    """It may speak of the customer; of a page its link card goes out."""
    with in_brand(desk.brand):
        given = ContentInput(name="问候", text="{客户昵称|朋友}，我是{员工姓名}")
        item = editing.create_content(desk.brand, given=given, by=SYSTEM).content
        page = {"title": "护肤", "intro": "三步", "cover": None, "blocks": [{"type": "text", "text": "洗脸"}]}
        article = editing.create_content(
            desk.brand, given=ContentInput(name="文章", kind="page", page=page), by=SYSTEM
        ).content
        contact = desk.live.contacts[0]
    assert desk.ask(f"/content/{article.pk}/test/").status_code == 422  # it has no link yet
    with in_brand(desk.brand):
        links.link_of_page(desk.brand, article)
    desk.ask(f"/content/{item.pk}/test/", contact=contact.pk)
    desk.ask(f"/content/{article.pk}/test/")
    greeting, word, card = desk.got()
    assert greeting["text"] == f"【测试】{contact.name}，我是小A"
    assert word["text"].startswith("【测试】")
    assert card["attachments"][0]["news"]["articles"][0]["title"] == "【测试】护肤"
    assert [e.action for e in desk.entries()] == ["content.test", "content.test"]


# ---- rights and brands


@pytest.mark.parametrize("right", ["broadcasts.edit", "sops.edit", "content.edit"])
def test_rights(desk: Desk, right: str) -> None:
    """Whoever may edit the thing may try it, and nobody else."""
    with in_brand(desk.brand):
        item = editing.create_content(desk.brand, given=ContentInput(name="a", text="b"), by=SYSTEM).content
        role = Role.objects.get(pk=Staff.objects.get(pk=desk.me.pk).role_id)
        role.rights = ["contacts.view", "broadcasts.view", "sops.view", "content.view", right]
        role.save(update_fields=["rights"])
    urls = {
        "broadcasts.edit": NEW,
        "sops.edit": "/sops/test/",
        "content.edit": f"/content/{item.pk}/test/",
    }
    answers = {name: desk.ask(url, text="你好").status_code for name, url in urls.items()}
    assert answers == {name: 200 if name == right else 403 for name in urls}
    assert len(desk.got()) == 1


def test_two_brands(desk: Desk, wecom: Sandbox, sign_in: Any) -> None:
    """Nothing of another brand: no content, no SOP, no broadcast, no customer, no file; and the own corp sends."""
    other = Desk(make_live(wecom), sign_in)
    with in_brand(desk.brand):
        item = editing.create_content(desk.brand, given=ContentInput(name="a", text="b"), by=SYSTEM).content
        sop = graphs.create_graph_sop(desk.brand, name="新客", graph=GRAPH, by=SYSTEM)
        given = BroadcastInput("春", {"condition": {"kind": "everybody"}}, [VariantInput("你好")])
        draft = broadcasts.save_draft(desk.brand, given, by=SYSTEM)
        picture = make_picture(desk.brand)
    for url in (f"/content/{item.pk}/test/", f"/sops/{sop.pk}/test/", f"/broadcasts/{draft.pk}/test/"):
        assert other.ask(url, text="你好").status_code == 404, url
        assert desk.ask(url, text="你好").status_code == 200, url
    assert other.ask(text="你好", contact=desk.live.contacts[0].pk).status_code == 404
    attached = json.dumps([{"type": "image", "file_id": picture.pk}])
    assert other.ask(text="你好", attachments=attached).status_code == 422
    assert other.got() == [] and other.entries() == [] and len(desk.got()) == 2  # two say the same at once
    other.ask(text="我们的")
    assert [row["text"] for row in other.got()] == ["【测试】我们的"] and len(desk.got()) == 2


# ---- by API


def test_api(desk: Desk, wecom: Sandbox, sign_in: Any) -> None:
    with in_brand(desk.brand):
        sop = graphs.create_graph_sop(desk.brand, name="新客", graph=GRAPH, by=SYSTEM)
        contents = [VariantInput("甲：{员工姓名}"), VariantInput("乙：{门店|本店}")]
        ids = [desk.live.contacts[1].pk]
        draft = broadcasts.save_draft(
            desk.brand, BroadcastInput("春", {"contacts": ids}, contents), by=SYSTEM
        )
    key = client_of(desk.brand, "broadcasts.edit", "sops.edit")

    def post(url: str, client: Any = key, **given: Any) -> Any:
        return client.post(f"/api/v1/{url}", given, content_type="application/json")

    url = f"broadcasts/{draft.pk}/test/"
    made = post(url, staff_id=desk.me.pk).json()
    assert (made["is_sent"], made["contact_id"], made["guide_id"]) == (True, ids[0], desk.live.guides[1].pk)
    assert made["parts"] == [{"kind": "text", "words": "【测试】甲：小B", "state": "sent", "reason": ""}]
    made = post(url, staff_id=desk.me.pk, letter="B", contact_id=desk.live.contacts[0].pk).json()
    assert made["parts"][0]["words"] == "【测试】乙：本店" and made["doubts"] == []
    assert post(f"sops/{sop.pk}/test/", staff_id=desk.me.pk, node="n2").json()["is_sent"]
    assert len(desk.got()) == 3
    assert [entry.actor[:5] for entry in desk.entries()] == ["api: "] * 3

    assert post(url, staff_id=desk.me.pk, letter="C").status_code == 404
    assert post(f"sops/{sop.pk}/test/", staff_id=desk.me.pk, node="n9").status_code == 404
    assert post(f"sops/{sop.pk}/test/", staff_id=desk.me.pk, node="n3").status_code == 422  # empty
    assert post(url).status_code == 400 and post(url, staff_id=desk.me.pk, to="x").status_code == 400
    guide = post(url, staff_id=desk.live.guides[0].pk)  # may not edit it
    assert guide.status_code == 422 and "staff_id" in guide.json()["error"]["fields"]
    assert post(url, client_of(desk.brand, "broadcasts.view"), staff_id=desk.me.pk).status_code == 403
    other = Desk(make_live(wecom), sign_in)
    theirs = client_of(other.brand, "broadcasts.edit")
    assert post(url, theirs, staff_id=other.me.pk).status_code == 404
    assert post(url, key, staff_id=other.me.pk).status_code == 422
    assert post(url, staff_id=desk.me.pk, contact_id=other.live.contacts[0].pk).status_code == 404
    assert len(desk.got()) == 3 and other.got() == []
    nothing_counted(desk.brand)
    with in_brand(desk.brand):
        assert Broadcast.objects.get().state == "draft"


def test_a_corp_without_its_secret(desk: Desk) -> None:
    with in_brand(desk.brand):
        make_corp(desk.brand)  # another one is connected
        desk.live.corp.secret = ""
        desk.live.corp.save(update_fields=["secret"])
    refused = desk.ask(text="你好")
    assert refused.status_code == 422 and "data-why-not" in refused.content.decode()
