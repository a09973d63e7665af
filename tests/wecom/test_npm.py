"""WeCom as other people's software sees it: packages of the npm registry that never heard of us talk to the
sandbox, and WeCom's own crypto package seals letters for our callback and opens the sandbox's."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import xmltodict
from django.conf import settings
from redis import ConnectionPool

from scrm import clock
from scrm.redis import redis_client
from tests.factories import in_brand
from tests.wecom.npm_packages import Node, node, results
from tests.wecom.sandbox_client import AES_KEY, CORPID, SECRET, TOKEN, Sandbox
from wecom.api.auth import jsapi_signature
from wecom.models import CallbackEvent, RefusedCallback

__all__ = ["node"]
pytestmark = pytest.mark.npm
CUSTOMERS = [f"wm{n:030d}" for n in range(3)]


@pytest.fixture
def corp_there(sandbox: Sandbox) -> Sandbox:
    sandbox.make_corp(open_platform=True)
    sandbox.load(
        departments=[{"id": 1, "name": "总部", "parentid": 0}, {"id": 2, "name": "一店", "parentid": 1}],
        members=[
            {"userid": "zhangsan", "name": "张三", "department": [2], "mobile": "13800001111"},
            {"userid": "lisi", "name": "李四", "department": [2]},
            {"userid": "wangwu", "name": "王五", "department": [2]},
        ],
        customers=[
            {"external_userid": one, "name": f"客户{n}", "follows": [{"userid": "zhangsan"}]}
            for n, one in enumerate(CUSTOMERS)
        ]
        + [{"external_userid": "wmLEFT", "name": "老客户", "follows": [{"userid": "wangwu"}]}],
    )
    return sandbox


# ---- an SDK with a function per call, its host led to the sandbox


def cpwx(node: Node, sandbox: Sandbox, steps: list[Any], secret: str = SECRET) -> list[Any]:
    redis = ConnectionPool.from_url(settings.REDIS_URL).connection_kwargs
    given = {
        "corp": {"corpId": CORPID, "corpSecret": secret, "agentId": "1000002"},
        "redis": {key: redis[key] for key in ("host", "port", "db", "password") if redis.get(key)},
        "steps": steps,
    }
    return node.steps("cpwx.cjs", given, preload="redirect.cjs", WECOM_AT=sandbox.url)


def test_a_typed_sdk_works_with_customers(node: Node, corp_there: Sandbox) -> None:
    contact = "ExContactAPI"
    found = results(
        cpwx(
            node,
            corp_there,
            [
                [contact, "getFollowUserList", []],
                [contact, "getUserList", ["zhangsan"]],
                [contact, "addCorpTag", [None, "会员", None, [{"name": "金卡"}, {"name": "银卡"}]]],
                [contact, "markTag", ["zhangsan", CUSTOMERS[0], ["$2.tag_group.tag.0.id"]]],
                [contact, "getUserInfo", [CUSTOMERS[0]]],
                [contact, "editCorpTag", ["$2.tag_group.tag.1.id", "铜卡"]],
                [contact, "delCorpTag", [["$2.tag_group.tag.1.id"]]],
                [contact, "getCorpTagList", []],
                [contact, "addContactWay", [2, 2, None, "门店", False, "door", ["zhangsan", "lisi"]]],
                [contact, "updateContactWay", ["$8.config_id", None, "新备注", True, "door2", ["lisi"]]],
                [contact, "getContactWay", ["$8.config_id"]],
                [contact, "delContactWay", ["$8.config_id"]],
                ["UserAPI", "get", ["zhangsan"]],
                ["UserAPI", "getUserIdByMobile", ["13800001111"]],
                ["UserAPI", "departmentUserInfo", ["2"]],
                ["DepartmentAPI", "get", []],
                ["BasicAPI", "getApiDomainIp", []],
            ],
        )
    )
    assert found[0] == {"follow_user": ["zhangsan", "lisi", "wangwu"]}
    assert found[1] == {"external_userid": CUSTOMERS}
    [follow] = found[4]["follow_user"]
    assert [tag["tag_name"] for tag in follow["tags"]] == ["金卡"]
    assert [tag["name"] for tag in found[7]["tag_group"][0]["tag"]] == ["金卡"]
    way = found[10]["contact_way"]
    assert (way["state"], way["remark"]) == ("door2", "新备注")
    assert (way["user"], way["skip_verify"]) == (["lisi"], True)
    assert found[8]["qr_code"].startswith("http")
    assert (found[12]["name"], found[13]["userid"]) == ("张三", "zhangsan")
    assert [member["userid"] for member in found[14]["userlist"]] == ["zhangsan", "lisi", "wangwu"]
    assert [one["name"] for one in found[15]["department"]] == ["总部", "一店"]
    assert len(corp_there.calls("gettoken")) == 1


def test_a_typed_sdk_works_with_groups_transfers_and_figures(node: Node, corp_there: Sandbox) -> None:
    group = {"owner": "zhangsan", "name": "一店群", "members": ["lisi"], "customers": CUSTOMERS[:1]}
    chat = corp_there.post("group_create", corpid=CORPID, **group)["chat_id"]
    corp_there.post("member_leaves", corpid=CORPID, userid="wangwu")
    contact, day = "ExContactAPI", 86_400
    yesterday = int(time.time()) // day * day - day
    owners = {"userid_list": ["zhangsan"]}
    found = results(
        cpwx(
            node,
            corp_there,
            [
                [contact, "getGroupChat", [chat]],
                [contact, "getGroupChatStatistic", [yesterday, yesterday, owners, 1, 1, 1, 500]],
                [contact, "getGroupChatStatisticByDay", [yesterday, yesterday, owners]],
                [contact, "getUserBehaviorData", [yesterday, yesterday, ["zhangsan"]]],
                [contact, "addGroupWelcomeTemplate", [{"content": "欢迎"}]],
                [contact, "editGroupWelcomeTemplate", ["$4.template_id", {"content": "你好"}]],
                [contact, "getGroupWelcomeTemplate", ["$4.template_id"]],
                [contact, "delGroupWelcomeTemplate", ["$4.template_id"]],
                [contact, "transferCustomer", ["zhangsan", "lisi", [CUSTOMERS[1]], "换人"]],
                [contact, "getTransferResult", ["zhangsan", "lisi"]],
                [contact, "getUnassignedList", [0, 100]],
                [contact, "transferResignedCustomer", ["wangwu", "lisi", ["wmLEFT"]]],
                [contact, "getTransferResignedResult", ["wangwu", "lisi"]],
                [contact, "transferGroupChat", [[chat], "lisi"]],
                [contact, "addMsgTemplate", ["single", [CUSTOMERS[0]], "zhangsan", {"content": "新品"}]],
            ],
        )
    )
    assert (found[0]["group_chat"]["name"], found[0]["group_chat"]["owner"]) == ("一店群", "zhangsan")
    assert (found[1]["total"], found[1]["items"]) == (1, [])  # this package cannot begin at the first row
    assert found[2]["items"][0]["stat_time"] <= yesterday
    assert len(found[3]["behavior_data"]) == 1
    assert found[6]["text"] == {"content": "你好"}
    assert found[8]["customer"] == [{"external_userid": CUSTOMERS[1], "errcode": 0}]
    assert found[9]["customer"][0]["status"] == 2
    assert [row["external_userid"] for row in found[10]["info"]] == ["wmLEFT"]
    assert found[12]["customer"][0]["external_userid"] == "wmLEFT"
    assert found[13]["failed_chat_list"][0]["errcode"] == 90500
    assert found[14]["msgid"].startswith("msg")


def test_a_typed_sdk_hears_wecoms_refusals(node: Node, corp_there: Sandbox) -> None:
    answers = cpwx(
        node,
        corp_there,
        [
            ["ExContactAPI", "getUserList", ["lisi"]],
            ["ExContactAPI", "getUserInfo", ["wmNOBODY"]],
            ["ExContactAPI", "getContactWay", ["0" * 32]],
            ["ExContactAPI", "markTag", ["lisi", CUSTOMERS[0], ["etNOTHING"]]],
            ["ExContactAPI", "sendWelcomeMsg", ["CODE", {"content": "hi"}]],
            ["UserAPI", "get", ["nobody"]],
        ],
    )
    heads = ("not external contact", "invalid external userid", "invalid", "", "invalid", "userid not found")
    assert len(answers) == len(heads)
    for answer, head in zip(answers, heads, strict=True):
        assert answer["error"].startswith(head), answer
    assert redis_client().delete(f"cp_wx_access_token_{CORPID}_1000002")  # where this package keeps its token
    [refused] = cpwx(node, corp_there, [["UserAPI", "get", ["zhangsan"]]], secret="wrong" * 8)
    assert refused["error"].startswith("invalid credential")


def test_a_typed_sdk_lives_a_whole_day(node: Node, corp_there: Sandbox, tmp_path: Path) -> None:
    """Log-in, files, a code, the welcome of who scanned it, a mass send and its results, colleagues, a robot."""
    corp_there.post("settings", quirks={"upload_boundary": "guessed"})  # this package names none
    picture = tmp_path / "poster.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    code = corp_there.post("login", corpid=CORPID, userid="zhangsan", redirect_uri="http://x/")["code"]
    contact = "ExContactAPI"
    found = results(
        cpwx(
            node,
            corp_there,
            [
                ["OauthAPI", "getUserInfo", [code]],
                ["MediaAPI", "upload", ["image", str(picture)]],
                ["MediaAPI", "uploadImg", [str(picture)]],
                [contact, "addContactWay", [1, 2, None, "门店", True, "door", ["zhangsan"]]],
            ],
        )
    )
    assert found[0]["UserId"] == "zhangsan"
    media_id, pic_url = found[1]["media_id"], found[2]["url"]
    met = corp_there.post("scan", corpid=CORPID, state="door", name="小满")
    who = met["external_userid"]
    image = {"image": {"media_id": media_id}}
    found = results(
        cpwx(
            node,
            corp_there,
            [
                [contact, "sendWelcomeMsg", [met["welcome_code"], {"content": "欢迎"}, *image.values()]],
                [contact, "getUserInfo", [who]],
                [contact, "addMsgTemplate", ["single", [who], "zhangsan", {"content": "新品"}]],
            ],
        )
    )
    [follow] = found[1]["follow_user"]
    assert (follow["userid"], follow["state"]) == ("zhangsan", "door")
    assert [row["text"] for row in corp_there.sent("welcome")] == ["欢迎"]
    msgid = found[2]["msgid"]
    assert corp_there.post("confirm", corpid=CORPID, msgid=msgid) == {"tasks": 1, "sent": 1}
    robot = corp_there.post("robot_add", corpid=CORPID)["webhook"]
    text = {"msgtype": "text", "text": {"content": "今天新增 1 位客户"}}
    found = results(
        cpwx(
            node,
            corp_there,
            [
                [contact, "getGroupMsgResult", [msgid]],
                ["SendMsgAPI", "sendTextMessage", [message("zhangsan", "群发已送达")]],
                ["TagAPI", "create", ["店长"]],
                ["TagAPI", "getTagList", []],
                ["DepartmentAPI", "get", []],
                ["ChatAPI", "create", [["zhangsan", "lisi"], "zhangsan", "一店"]],
                ["ChatAPI", "sendTextMessage", [{"chatid": "$5.chatid", **text}]],
                ["ChatAPI", "get", ["$5.chatid"]],
                ["GroupRobotAPI", "sendTextMsg", [f"https://qyapi.weixin.qq.com{robot}", text]],
            ],
        )
    )
    [row] = found[0]["detail_list"]
    assert (row["external_userid"], row["status"]) == (who, 1)
    assert [one["tagname"] for one in found[3]["taglist"]] == ["店长"]
    assert found[7]["chat_info"]["userlist"] == ["zhangsan", "lisi"]
    assert [one["text"] for one in corp_there.sent("robot")] == ["今天新增 1 位客户"]
    assert [one["text"] for one in corp_there.sent("achat")] == ["今天新增 1 位客户"]
    assert [one["text"] for one in corp_there.sent("app")] == ["群发已送达"]
    assert pic_url.startswith("http")


# ---- an SDK whose host can be set


def easywechat(node: Node, sandbox: Sandbox, steps: list[Any], tmp_path: Path) -> list[Any]:
    config = {
        "corp_id": CORPID,
        "secret": SECRET,
        "token": TOKEN,
        "aes_key": AES_KEY,
        "http": {"baseURL": sandbox.url},
        "file_cache": {"path": str(tmp_path)},
    }
    given = {"config": config, "agentId": 1000002, "steps": steps}
    return node.steps("easywechat.cjs", given)


def test_an_sdk_with_its_host_set(node: Node, corp_there: Sandbox, tmp_path: Path) -> None:
    page = "http://testserver/sidebar/?a=1"
    found = results(
        easywechat(
            node,
            corp_there,
            [
                ["get", "/cgi-bin/externalcontact/list", {"userid": "zhangsan"}],
                [
                    "postJson",
                    "/cgi-bin/externalcontact/batch/get_by_user",
                    {"userid_list": ["zhangsan"], "limit": 2},
                ],
                [
                    "postJson",
                    "/cgi-bin/externalcontact/batch/get_by_user",
                    {"userid_list": ["zhangsan"], "limit": 2, "cursor": "$1.next_cursor"},
                ],
                ["postJson", "/cgi-bin/externalcontact/customer_acquisition/list_link", {}],
                ["postJson", "/cgi-bin/message/send", message("zhangsan|nobody", "你好")],
                ["config", page],
                ["agentConfig", page],
                ["get", "/cgi-bin/get_jsapi_ticket", {}],
            ],
            tmp_path,
        )
    )
    assert found[0]["external_userid"] == CUSTOMERS
    both = found[1]["external_contact_list"] + found[2]["external_contact_list"]
    assert [row["external_contact"]["external_userid"] for row in both] == CUSTOMERS
    assert found[2]["next_cursor"] == ""
    assert found[3]["link_id_list"] == []
    assert found[4]["invaliduser"] == "nobody"
    assert corp_there.sent("app")[0]["text"] == "你好"
    signed = found[5]
    ours = jsapi_signature(
        found[7]["ticket"], page, nonce=signed["nonceStr"], timestamp=int(signed["timestamp"])
    )
    assert signed["signature"] == ours["signature"]
    assert found[6]["signature"] != signed["signature"]


def test_an_sdk_reads_a_mass_send_and_a_moment_to_the_end(
    node: Node, corp_there: Sandbox, tmp_path: Path
) -> None:
    """What has pages and waits: 41063 first, then tasks and receivers by cursor; a moment by its job."""
    corp_there.post("settings", dispatch_s=3600)
    post = "postJson"
    mass = {"sender": "zhangsan", "external_userid": CUSTOMERS, "text": {"content": "新品"}}
    found = easywechat(
        node,
        corp_there,
        [
            [post, "/cgi-bin/externalcontact/add_msg_template", mass],
            [post, "/cgi-bin/externalcontact/get_groupmsg_task", {"msgid": "$0.msgid"}],
            [post, "/cgi-bin/externalcontact/add_moment_task", {"text": {"content": "早"}}],
        ],
        tmp_path,
    )
    msgid, jobid = found[0]["ok"]["msgid"], found[2]["ok"]["jobid"]
    assert "41063" in json.dumps(found[1])
    corp_there.post("confirm", corpid=CORPID, msgid=msgid)
    corp_there.post("clock", advance_s=60)
    sent = {"msgid": msgid, "userid": "zhangsan", "limit": 2}
    found = results(
        easywechat(
            node,
            corp_there,
            [
                [post, "/cgi-bin/externalcontact/get_groupmsg_task", {"msgid": msgid}],
                [post, "/cgi-bin/externalcontact/get_groupmsg_send_result", sent],
                [
                    post,
                    "/cgi-bin/externalcontact/get_groupmsg_send_result",
                    {**sent, "cursor": "$1.next_cursor"},
                ],
                ["get", "/cgi-bin/externalcontact/get_moment_task_result", {"jobid": jobid}],
            ],
            tmp_path,
        )
    )
    assert [row["status"] for row in found[0]["task_list"]] == [2]
    rows = found[1]["send_list"] + found[2]["send_list"]
    assert [(row["external_userid"], row["status"]) for row in rows] == [(one, 1) for one in CUSTOMERS]
    assert found[2]["next_cursor"] == ""
    assert (found[3]["status"], found[3]["result"]["errcode"]) == (3, 0)


@pytest.fixture
def sdk_server(node: Node) -> Iterator[tuple[str, Any]]:
    config = {"corp_id": CORPID, "secret": SECRET, "token": TOKEN, "aes_key": AES_KEY}
    process = node.start("easywechat_server.cjs", CONFIG=json.dumps(config))
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/callback", process.stdout
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_an_sdks_own_server_takes_our_callbacks_and_answers(
    sdk_server: tuple[str, Any], corp_there: Sandbox
) -> None:
    """It accepts the address, hears events as XML, and its passive reply reaches the member."""
    url, lines = sdk_server
    corp_there.make_corp(callback_url=url)
    assert corp_there.post("verify_callback", corpid=CORPID) == {"ok": True, "status": 200}
    who = corp_there.post("scan", corpid=CORPID, userid="zhangsan", name="小满")["external_userid"]
    heard = json.loads(lines.readline())
    assert (heard["ChangeType"], heard["ExternalUserID"]) == ("add_external_contact", who)
    corp_there.post("member_changes", corpid=CORPID, userid="lisi", department=[1])
    assert json.loads(lines.readline())["ChangeType"] == "update_user"
    corp_there.post("app_says", corpid=CORPID, userid="lisi", text="今天几个新客")
    assert json.loads(lines.readline())["Content"] == "今天几个新客"
    corp_there.wait_idle()
    assert [(row["userid"], row["text"]) for row in corp_there.sent("app")] == [
        ("lisi", "收到：今天几个新客")
    ]
    assert {row["state"] for row in corp_there.deliveries()} == {"done"}


def message(to: str, text: str) -> dict[str, Any]:
    return {"touser": to, "msgtype": "text", "agentid": 1000002, "text": {"content": text}}


# ---- WeCom's own crypto package


def crypto(node: Node, steps: list[Any], corp: Any, timestamp: int | None = None) -> list[Any]:
    return results(
        node.steps(
            "crypto.cjs",
            {
                "token": corp.callback_token,
                "aesKey": corp.callback_aes_key,
                "receiveId": corp.corpid,
                "timestamp": timestamp or int(clock.now().timestamp()),
                "steps": steps,
            },
        )
    )


def event(corpid: str, n: int, text: str = "") -> str:
    return (
        f"<xml><ToUserName><![CDATA[{corpid}]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName>"
        f"<CreateTime>{1_790_000_000 + n}</CreateTime><MsgType><![CDATA[event]]></MsgType>"
        f"<Event><![CDATA[unknown_event]]></Event><Note><![CDATA[{text}]]></Note></xml>"
    )


@pytest.mark.django_db(transaction=True)
def test_our_callback_opens_letters_of_the_official_package(
    node: Node, brand: Any, corp: Any, live_server: Any
) -> None:
    """One letter for each length of the padding (1 to 32 bytes), Chinese text among them; then a changed one."""
    url = f"{live_server.url}/wecom/callback/{corp.callback_path}/"
    echo, *letters = crypto(
        node,
        [["seal", "回声 echo 123"], *(["seal", event(corp.corpid, n, "你好" + "x" * n)] for n in range(32))],
        corp,
    )
    answer = requests.get(url, params={**echo["query"], "echostr": echo["encrypted"]}, timeout=60)
    assert (answer.status_code, answer.content.decode()) == (200, "回声 echo 123")

    def post(letter: dict[str, Any], **over: str) -> requests.Response:
        body = f"<xml><ToUserName>x</ToUserName><Encrypt><![CDATA[{letter['encrypted']}]]></Encrypt></xml>"
        return requests.post(url, body.encode(), params={**letter["query"], **over}, timeout=60)

    for letter in letters:
        answer = post(letter)
        assert (answer.status_code, answer.content) == (200, b"")
    assert post(letters[0], nonce="1").status_code == 400
    with in_brand(brand):
        bodies = (
            CallbackEvent.objects.filter(event="unknown_event")
            .order_by("happened_at")
            .values_list("body", flat=True)
        )
        assert [xmltodict.parse(body)["xml"]["Note"] for body in bodies] == [
            "你好" + "x" * n for n in range(32)
        ]
        assert RefusedCallback.objects.get().reason == "signature"


@pytest.mark.django_db
def test_page_signatures_agree(node: Node, corp: Any) -> None:
    page, at = "http://testserver/侧边栏?x=1", 1_790_000_000
    [theirs] = crypto(node, [["page", page, "TICKET", "NONCE", at]], corp)
    assert theirs == jsapi_signature("TICKET", page, nonce="NONCE", timestamp=at)


@pytest.fixture
def receiver(node: Node) -> Iterator[tuple[str, Any]]:
    process = node.start("receiver.cjs", TOKEN=TOKEN, AES_KEY=AES_KEY, RECEIVE_ID=CORPID)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/callback", process.stdout
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_official_package_opens_the_sandboxes_letters(
    receiver: tuple[str, Any], corp_there: Sandbox
) -> None:
    url, letters = receiver
    corp_there.make_corp(callback_url=url)
    corp_there.post("verify_callback", corpid=CORPID)
    assert json.loads(letters.readline())["good"] is True
    for n in range(3):
        corp_there.post(
            "member_edits", corpid=CORPID, userid="zhangsan", external_userid=CUSTOMERS[n], remark=f"备注{n}"
        )
    changed = set()
    for _ in range(3):
        letter = json.loads(letters.readline())
        assert letter["good"] is True
        told = xmltodict.parse(letter["message"])["xml"]
        assert (told["Event"], told["ChangeType"]) == ("change_external_contact", "edit_external_contact")
        changed.add(told["ExternalUserID"])
    assert changed == set(CUSTOMERS)
    corp_there.wait_idle()
    assert {row["state"] for row in corp_there.deliveries()} == {"done"}
