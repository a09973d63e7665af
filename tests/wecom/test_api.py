"""Every call of wecom/api against the sandbox process, as the product makes it."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from scrm import clock
from tests.wecom.sandbox_client import CORPID, SECRET, Sandbox
from wecom.api import auth, contact_ways, contacts, media, members, messages, tags
from wecom.client import WeComClient, client_for, login_url, oauth_url
from wecom.errors import (
    InvalidMessage,
    LostAnswer,
    WeComForbidden,
    WeComRateLimited,
    WeComRejected,
    WeComUnavailable,
)

PNG = b"\x89PNG\r\n\x1a\n" + b"picture"
CORP = SimpleNamespace(id=1, brand_id=7, corpid=CORPID, agent_id=1000002, secret=SECRET)


@pytest.fixture
def wecom(sandbox: Sandbox, settings: Any) -> Sandbox:
    settings.WECOM_API_URL = settings.WECOM_OAUTH_URL = settings.WECOM_LOGIN_URL = sandbox.url
    sandbox.make_corp()
    sandbox.load(
        departments=[{"id": 1, "name": "总部", "parentid": 0}, {"id": 2, "name": "南京路店", "parentid": 1}],
        members=[
            {"userid": "zhangsan", "name": "张三", "department": [2], "position": "导购"},
            {"userid": "lisi", "name": "李四", "department": [2], "leader": True},
            {"userid": "wangwu", "name": "王五", "department": [1]},
        ],
        customers=[
            {
                "external_userid": f"wm{n:030d}",
                "name": f"客户{n}",
                "follows": [{"userid": "zhangsan", "remark": f"备注{n}", "state": "s1"}],
            }
            for n in range(120)
        ],
    )
    return sandbox


@pytest.fixture
def client(wecom: Sandbox) -> WeComClient:
    return client_for(CORP)


def n_calls(wecom: Sandbox, api: str) -> int:
    return len(wecom.calls(api))


# ---- members and customers


def test_members(client: WeComClient) -> None:
    assert [(d["id"], d["name"]) for d in members.departments(client)] == [(1, "总部"), (2, "南京路店")]
    assert sorted(m["userid"] for m in members.department_users(client, 2)) == ["lisi", "zhangsan"]
    assert members.user(client, "zhangsan")["name"] == "张三"
    assert members.agent(client)["agentid"] == 1000002
    with pytest.raises(WeComRejected) as caught:
        members.user(client, "nobody")
    assert caught.value.errcode == 60111


def test_customers(client: WeComClient) -> None:
    assert "zhangsan" in contacts.follow_users(client)
    assert len(contacts.customers_of(client, "zhangsan")) == 120
    assert contacts.customers_of(client, "lisi") == []  # WeCom says 84061
    customer = contacts.customer(client, f"wm{5:030d}")
    assert customer["external_contact"]["name"] == "客户5"
    assert [(f["userid"], f["remark"], f["state"]) for f in customer["follow_user"]] == [
        ("zhangsan", "备注5", "s1")
    ]
    with pytest.raises(WeComRejected):
        contacts.customer(client, "wm" + "x" * 30)


def test_all_customers_in_batches(client: WeComClient) -> None:
    names, cursor = [], ""
    while True:
        batch = contacts.batch_customers(client, ["zhangsan", "lisi"], cursor)
        names += [row["external_contact"]["name"] for row in batch["external_contact_list"]]
        assert all(row["follow_info"]["userid"] == "zhangsan" for row in batch["external_contact_list"])
        cursor = batch["next_cursor"]
        if not cursor:
            break
    assert sorted(names) == sorted(f"客户{n}" for n in range(120))
    with pytest.raises(InvalidMessage):
        contacts.batch_customers(client, ["zhangsan"] * 101)


def test_remark(client: WeComClient) -> None:
    them = f"wm{1:030d}"
    contacts.remark(client, "zhangsan", them, remark="老客户", mobiles=["13800000000"])
    [follow] = contacts.customer(client, them)["follow_user"]
    assert (follow["remark"], follow["remark_mobiles"]) == ("老客户", ["13800000000"])
    contacts.remark(client, "zhangsan", them, description="喜欢茶", mobiles=[])
    [follow] = contacts.customer(client, them)["follow_user"]
    assert (follow["remark"], follow["description"]) == ("老客户", "喜欢茶")
    assert not [mobile for mobile in follow.get("remark_mobiles", []) if mobile]
    for wrong in ({}, {"remark": "长" * 21}, {"description": "长" * 151}):
        with pytest.raises(InvalidMessage):
            contacts.remark(client, "zhangsan", them, **wrong)


# ---- contact ways


def test_contact_ways(client: WeComClient) -> None:
    before = clock.now() - timedelta(minutes=1)
    made = contact_ways.add_contact_way(
        client, userids=["zhangsan", "lisi"], state="c1-门店", remark="门店码", skip_verify=False
    )
    assert made["qr_code"].startswith("http")
    way = contact_ways.contact_way(client, made["config_id"])
    assert (way["state"], way["user"], way["skip_verify"]) == ("c1-门店", ["zhangsan", "lisi"], False)

    contact_ways.update_contact_way(client, made["config_id"], userids=["lisi"])
    way = contact_ways.contact_way(client, made["config_id"])
    assert (way["user"], way["remark"], way["skip_verify"]) == (
        ["lisi"],
        "门店码",
        False,
    )  # not asked, not changed

    until = clock.now() + timedelta(minutes=1)
    assert contact_ways.contact_ways(client, start_at=before, end_at=until) == [made["config_id"]]
    assert contact_ways.delete_contact_way(client, made["config_id"]) is True
    assert contact_ways.delete_contact_way(client, made["config_id"]) is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"userids": []},
        {"userids": ["zhangsan"] * 101},
        {"userids": ["zhangsan", "lisi"], "several": False},
        {"state": "x" * 31},
        {"remark": "长" * 31},
    ],
)
def test_contact_way_that_cannot_be(client: WeComClient, wecom: Sandbox, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage):
        contact_ways.add_contact_way(client, **{"userids": ["zhangsan"], "state": "s", **wrong})
    assert n_calls(wecom, "externalcontact/add_contact_way") == 0


def test_a_contact_way_whose_answer_was_lost_is_found(client: WeComClient, wecom: Sandbox) -> None:
    wecom.post("faults", kind="drop_after", api="externalcontact/add_contact_way", times=1)
    before = clock.now() - timedelta(minutes=1)
    with pytest.raises(LostAnswer):
        contact_ways.add_contact_way(client, userids=["zhangsan"], state="lost")
    found = contact_ways.contact_ways(client, start_at=before, end_at=clock.now() + timedelta(minutes=1))
    assert [contact_ways.contact_way(client, config_id)["state"] for config_id in found] == ["lost"]


# ---- tags


def test_tags(client: WeComClient) -> None:
    group = tags.add_corp_tags(client, ["金卡", "银卡"], group_name="会员", order=5)
    gold, silver = (tag["id"] for tag in group["tag"])
    tags.add_corp_tags(client, ["铜卡"], group_id=group["group_id"])
    tags.edit_corp_tag(client, gold, name="黑金卡")
    [library] = tags.corp_tags(client, group_ids=[group["group_id"]])
    assert {tag["name"] for tag in library["tag"]} == {"黑金卡", "银卡", "铜卡"}
    assert library["group_name"] == "会员"
    assert len(tags.corp_tags(client)) == 1

    them = f"wm{2:030d}"
    for _ in range(2):  # again does no harm
        tags.mark_tag(client, "zhangsan", them, add=[gold, silver])
    tags.mark_tag(client, "zhangsan", them, remove=[silver])
    [follow] = contacts.customer(client, them)["follow_user"]
    assert [tag["tag_id"] for tag in follow["tags"]] == [gold]

    tags.delete_corp_tags(client, tag_ids=[silver])
    with pytest.raises(WeComRejected) as caught:
        tags.mark_tag(client, "lisi", them, add=[gold])
    assert caught.value.errcode == 84061
    for wrong in ({}, {"add": ["t"] * 101}):
        with pytest.raises(InvalidMessage):
            tags.mark_tag(client, "zhangsan", them, **wrong)
    for names in ([], ["长" * 31], [""]):
        with pytest.raises(InvalidMessage):
            tags.add_corp_tags(client, names, group_name="会员")


# ---- messages


def scan(wecom: Sandbox, client: WeComClient) -> dict[str, Any]:
    way = contact_ways.add_contact_way(client, userids=["zhangsan"], state="s")
    return wecom.post("scan", corpid=CORPID, config_id=way["config_id"], name="新客户")


def test_welcome_arrives_once(client: WeComClient, wecom: Sandbox) -> None:
    arrival = scan(wecom, client)
    media_id = media.upload(client, "image", "欢迎.png", PNG)
    messages.send_welcome(
        client,
        arrival["welcome_code"],
        text="你好，新客户",
        attachments=[{"msgtype": "image", "image": {"media_id": media_id}}],
    )
    [sent] = wecom.sent("welcome")
    assert (sent["external_userid"], sent["text"]) == (arrival["external_userid"], "你好，新客户")
    assert len(sent["attachments"]) == 1
    with pytest.raises(WeComRejected) as caught:
        messages.send_welcome(client, arrival["welcome_code"], text="again")
    assert caught.value.errcode in (41050, 41051)
    assert len(wecom.sent("welcome")) == 1


def test_welcome_whose_answer_was_lost(client: WeComClient, wecom: Sandbox) -> None:
    """The second call learns that the first one arrived."""
    arrival = scan(wecom, client)
    wecom.post("faults", kind="drop_after", api="externalcontact/send_welcome_msg", times=1)
    messages.send_welcome(client, arrival["welcome_code"], text="你好")
    assert len(wecom.sent("welcome")) == 1
    assert n_calls(wecom, "externalcontact/send_welcome_msg") == 2


def test_welcome_while_another_app_is_sending(client: WeComClient, wecom: Sandbox) -> None:
    arrival = scan(wecom, client)
    wecom.post("faults", kind="errcode", errcode=41096, api="externalcontact/send_welcome_msg", times=2)
    messages.send_welcome(client, arrival["welcome_code"], text="你好")
    assert len(wecom.sent("welcome")) == 1


def test_mass_send(client: WeComClient, wecom: Sandbox) -> None:
    before = clock.now() - timedelta(minutes=1)
    who = [f"wm{n:030d}" for n in range(3)]
    task = messages.add_msg_template(client, sender="zhangsan", external_userids=who, text="新品到店")
    assert task["fail_list"] == []
    until = clock.now() + timedelta(minutes=1)
    [record] = messages.groupmsg_list(client, start_at=before, end_at=until)
    assert record["msgid"] == task["msgid"]
    assert [(t["userid"], t["status"]) for t in messages.groupmsg_task(client, task["msgid"])] == [
        ("zhangsan", 0)
    ]
    messages.remind(client, task["msgid"])
    wecom.post("confirm", corpid=CORPID, msgid=task["msgid"])
    assert messages.groupmsg_task(client, task["msgid"])[0]["status"] != 0
    results = messages.groupmsg_send_result(client, task["msgid"], "zhangsan")
    assert sorted((r["external_userid"], r["status"]) for r in results) == [(them, 1) for them in who]
    assert sorted(sent["external_userid"] for sent in wecom.sent("mass")) == who

    other = messages.add_msg_template(client, sender="zhangsan", external_userids=who[:1], text="不要了")
    messages.cancel(client, other["msgid"])
    assert len(wecom.sent("mass")) == 3


def test_mass_send_is_never_made_twice(client: WeComClient, wecom: Sandbox) -> None:
    given: dict[str, Any] = {"sender": "zhangsan", "external_userids": [f"wm{0:030d}"], "text": "一次"}
    wecom.post("faults", kind="drop_after", api="externalcontact/add_msg_template", times=1)
    before = clock.now() - timedelta(minutes=1)
    with pytest.raises(LostAnswer):
        messages.add_msg_template(client, **given)
    [record] = messages.groupmsg_list(client, start_at=before, end_at=clock.now() + timedelta(minutes=1))
    assert record["text"]["content"] == "一次"
    wecom.post("faults", kind="errcode", errcode=-1, api="externalcontact/add_msg_template", times=1)
    with pytest.raises(WeComUnavailable):
        messages.add_msg_template(client, **given)
    assert n_calls(wecom, "externalcontact/add_msg_template") == 2


def test_mass_send_nobody_can_receive(client: WeComClient) -> None:
    with pytest.raises(WeComRejected) as caught:
        messages.add_msg_template(client, sender="lisi", external_userids=[f"wm{0:030d}"], text="x")
    assert caught.value.errcode == 41048
    for wrong in (
        {"sender": ""},
        {"external_userids": []},
        {"external_userids": ["w"] * 10_001},
        {"text": " "},
    ):
        given: dict[str, Any] = {"sender": "lisi", "external_userids": ["w"], "text": "x", **wrong}
        with pytest.raises(InvalidMessage):
            messages.add_msg_template(client, **given)


def test_messages_to_members(client: WeComClient, wecom: Sandbox) -> None:
    for _ in range(2):  # the same within half an hour is shown once
        assert messages.send_text(client, ["zhangsan", "nobody"], "客户删除了你") == ["nobody"]
    assert (
        messages.send_text_card(client, ["lisi"], title="提醒", description="…", url="https://x.test/1") == []
    )
    sent = wecom.sent("app")
    assert [message["userid"] for message in sent] == ["zhangsan", "lisi"]
    assert sent[0]["text"] == "客户删除了你"
    for call in (
        lambda: messages.send_text(client, [], "x"),
        lambda: messages.send_text(client, ["a"], "长" * 700),
        lambda: messages.send_text_card(client, ["a"], title="t", description="d", url="javascript:alert(1)"),
        lambda: messages.send_text_card(
            client, ["a"], title="t" * 129, description="d", url="https://x.test"
        ),
    ):
        with pytest.raises(InvalidMessage):
            call()


OK_LINK = {"title": "t", "url": "https://x.test"}


@pytest.mark.parametrize(
    ("text", "attachments"),
    [
        ("", []),
        ("  \n", []),
        ("长" * 1334, []),  # 4002 bytes
        ("x", [{"msgtype": "link", "link": OK_LINK}] * 10),
        ("x", [{"msgtype": "poem", "poem": {}}]),
        ("x", [{"msgtype": "link", "image": {}}]),
        ("x", [{}]),
        ("x", [{"msgtype": "image", "image": {}}]),
        ("x", [{"msgtype": "link", "link": {**OK_LINK, "title": "长" * 43}}]),  # 129 bytes
        ("x", [{"msgtype": "link", "link": {**OK_LINK, "desc": "长" * 171}}]),
        ("x", [{"msgtype": "link", "link": {**OK_LINK, "url": "x.test"}}]),
        ("x", [{"msgtype": "link", "link": {**OK_LINK, "url": "https://x.test/" + "y" * 2048}}]),
        ("x", [{"msgtype": "miniprogram", "miniprogram": {"title": "t", "appid": "wx1", "page": "p"}}]),
        ("x", [{"msgtype": "file", "file": {"media_id": ""}}]),
    ],
)
def test_content_that_wecom_would_refuse(text: str, attachments: list[Any]) -> None:
    with pytest.raises(InvalidMessage) as caught:
        messages.check_content(text, attachments)
    assert caught.value.code == "invalid_message"
    assert str(caught.value)


def test_content_at_the_limit() -> None:
    links = [{"msgtype": "link", "link": {**OK_LINK, "title": "长" * 42, "desc": "长" * 170}}] * 9
    messages.check_content("长" * 1333, links)
    messages.check_content("", links[:1])


# ---- files


def test_files(client: WeComClient, wecom: Sandbox) -> None:
    assert media.upload(client, "file", "报价单 2025.pdf", b"%PDF-1.7 content")
    assert media.upload_attachment(client, "image", "x.png", PNG)
    assert media.upload_img(client, "x.png", PNG).startswith("http")
    wecom.post("kill_tokens", corpid=CORPID)
    assert media.upload(client, "image", "x.png", PNG)  # the repeat after the refresh carries the bytes again
    assert [call["errcode"] for call in wecom.calls("media/upload")] == [0, 40014, 0]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("image", b"12345"),
        ("image", b"GIF89a" + b"x" * 100),
        ("image", PNG + b"x" * media.MAX_BYTES["image"]),
        ("video", b"no video at all"),
        ("voice", b"no voice at all"),
        ("file", b""),
    ],
)
def test_files_that_wecom_would_refuse(client: WeComClient, wecom: Sandbox, kind: Any, data: bytes) -> None:
    with pytest.raises(InvalidMessage):
        media.upload(client, kind, "x", data)
    assert n_calls(wecom, "media/upload") == 0


# ---- log-in and pages


def test_signature_of_the_documentation() -> None:
    ticket = "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg"
    signed = auth.jsapi_signature(
        ticket, "http://mp.weixin.qq.com?params=value#x", nonce="Wm3WZYTPz0wzccnW", timestamp=1414587457
    )
    assert signed["signature"] == "0f9de62fce790f9a083d5c99e95740ceb90c27ed"


def test_tickets_are_fetched_once(client: WeComClient, wecom: Sandbox) -> None:
    for _ in range(2):
        both = auth.jsapi_signatures(client_for(CORP), "https://x.test/page?a=1#top")
        assert both["config"]["signature"] != both["agent"]["signature"]
    assert n_calls(wecom, "get_jsapi_ticket") == n_calls(wecom, "ticket/get") == 1
    assert auth.corp_ticket(client) != auth.agent_ticket(client)
    assert auth.callback_ips(client)


def test_log_in_with_a_bad_code(client: WeComClient) -> None:
    with pytest.raises(WeComRejected) as caught:
        auth.user_info(client, "no-code")
    assert caught.value.errcode == 40029


def test_addresses_of_the_log_in_pages(settings: Any) -> None:
    settings.WECOM_OAUTH_URL, settings.WECOM_LOGIN_URL = "https://o.test", "https://l.test"
    back = "https://scrm.test/wecom/back?next=/a&b=1"
    assert oauth_url(CORP, back, "abc123") == (
        f"https://o.test/connect/oauth2/authorize?appid={CORPID}"
        "&redirect_uri=https%3A%2F%2Fscrm.test%2Fwecom%2Fback%3Fnext%3D%2Fa%26b%3D1"
        "&response_type=code&scope=snsapi_base&state=abc123&agentid=1000002#wechat_redirect"
    )
    assert login_url(CORP, back, "abc123").startswith(
        f"https://l.test/wwlogin/sso/login?login_type=CorpApp&appid={CORPID}&agentid=1000002&redirect_uri="
    )
    for state in ("", "a b", "ä", "x" * 129):
        with pytest.raises(ValueError, match="state"):
            oauth_url(CORP, back, state)


# ---- what an admin has to mend


def test_the_app_may_not_call(client: WeComClient, wecom: Sandbox) -> None:
    wecom.make_corp(callable=False)
    with pytest.raises(WeComForbidden) as caught:
        contacts.follow_users(client)
    assert caught.value.errcode == 48002
    assert "Apps that may call" in str(caught.value.page)


def test_the_address_is_not_trusted(client: WeComClient, wecom: Sandbox) -> None:
    wecom.make_corp(trusted_ips=["203.0.113.1"])
    with pytest.raises(WeComForbidden) as caught:
        members.departments(client)
    assert (caught.value.errcode, caught.value.from_ip) == (60020, "127.0.0.1")


def test_the_secret_is_wrong(wecom: Sandbox) -> None:
    wrong = client_for(SimpleNamespace(**{**vars(CORP), "secret": "wrong"}))
    for _ in range(3):
        with pytest.raises(WeComForbidden) as caught:
            members.departments(wrong)
        assert caught.value.errcode == 40001
    assert n_calls(wecom, "gettoken") == 1


# ---- wear and tear


def test_a_killed_token_costs_one_refresh(client: WeComClient, wecom: Sandbox) -> None:
    members.departments(client)
    wecom.post("kill_tokens", corpid=CORPID)
    members.departments(client)
    assert n_calls(wecom, "gettoken") == 2


@pytest.mark.parametrize("kind", ["html", "empty", "http500", "drop_after"])
def test_a_read_survives(client: WeComClient, wecom: Sandbox, kind: str) -> None:
    wecom.post("faults", kind=kind, api="department/list", times=2)
    assert len(members.departments(client)) == 2


def test_over_wecoms_limit(client: WeComClient, wecom: Sandbox) -> None:
    wecom.post("settings", minute_limit=3)
    wecom.stop_clock()  # its minutes are those of the clock: none begins meanwhile
    for _ in range(3):
        members.departments(client)
    with pytest.raises(WeComRateLimited) as caught:
        members.departments(client)
    assert caught.value.retry_after_s == 60
    with pytest.raises(WeComRateLimited):  # asked ourselves, not WeCom
        members.departments(client_for(CORP))
    assert n_calls(wecom, "department/list") == 4
