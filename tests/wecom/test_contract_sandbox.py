"""The sandbox against recorded shapes of WeCom's answers: the calls of test_contract.py, made for real."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests

from scrm import clock
from scrm.redis import redis_client
from tests.wecom import contract
from tests.wecom.sandbox_client import CORPID, SECRET, Sandbox
from wecom.api import (
    acquisition,
    albums,
    app_messages,
    contact_ways,
    directory,
    group_welcomes,
    intercept_rules,
    join_ways,
    media,
    member_tags,
    messages,
    moments,
    strategies,
    tags,
    transfers,
)
from wecom.api.checks import SHANGHAI
from wecom.client import WeComClient
from wecom.errors import WeComForbidden
from wecom.sandbox.api import table_paths

CONTACTS_SECRET = "contact-sync-secret-0123456789"
NOBODY = "http://127.0.0.1:9/"  # a callback address, for interactive cards; nobody answers there
VOICE = b"#!AMR\n" + b"0" * 64
EXAMPLES = [example for example in contract.examples() if not example.get("provider")]


class Recorder(WeComClient):
    """The client, keeping WeCom's answers as they came."""

    answers: list[tuple[str, dict[str, Any]]]

    def _try(self, this: Any, end: float, **request: Any) -> dict[str, Any]:
        answer = super()._try(this, end, **request)
        self.answers.append((this.api, answer))
        return answer


class World:
    """A corp with people in it, and ids of everything that examples name: made when they are asked for."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.made: dict[str, Any] = {}
        self.client, self.contacts = self._client(SECRET), self._client(CONTACTS_SECRET)
        now = clock.now()
        today = now.astimezone(SHANGHAI).date()
        self.moments = contract.moments_of(
            now - timedelta(hours=1),
            now + timedelta(hours=1),
            today - timedelta(days=3),
            today - timedelta(days=1),
        )

    def _client(self, secret: str) -> Recorder:
        agent_id = 1000002 if secret == SECRET else 0
        client = Recorder(
            CORPID, secret, agent_id, brand_id=7, api_url=self.sandbox.url, redis_conn=redis_client()
        )
        client.answers = []
        return client

    def __getitem__(self, name: str) -> Any:
        if name in self.moments:
            return self.moments[name]
        if name not in self.made:
            self.made[name] = MAKERS[name](self)
        return self.made[name]

    def act(self, what: str, /, **given: Any) -> Any:
        """A call of the control API."""
        return self.sandbox.post(what, corpid=CORPID, **given)

    def upload(self, kind: str = "image", **more: Any) -> str:
        return media.upload_attachment(self.client, kind, "a.png", contract.PNG, **more)  # type: ignore[arg-type]


CUSTOMER, CUSTOMER2, OF_LEFT = (
    "wmCUSTOMER0000000000000000000001",
    "wmCUSTOMER0000000000000000000002",
    "wmLEFT",
)
COLLEAGUE = "woCOLLEAGUE000000000000000000001"


def people(sandbox: Sandbox) -> None:
    sandbox.make_corp(open_platform=True, contact_secret=CONTACTS_SECRET, callback_url=NOBODY)
    sandbox.load(
        departments=[
            {"id": 1, "name": "总部", "parentid": 0},
            {"id": 2, "name": "南京路店", "parentid": 1},
            {"id": 12, "name": "空店", "parentid": 1},
        ],
        members=[
            {
                "userid": "zhangsan",
                "name": "王芳",
                "department": [2],
                "leader": True,
                "mobile": "13800001111",
                "email": "zhangsan@example.com",
            },
            {"userid": "lisi", "name": "李四", "department": [2], "mobile": "13800001112"},
            {"userid": "wangwu", "name": "王五", "department": [2], "mobile": "13800001113"},
            {"userid": "lonely", "name": "独行", "department": [2], "mobile": "13800001114"},
        ],
        tag_groups=[{"group_name": "会员等级", "tags": ["金卡"]}],
        customers=[
            {
                "external_userid": CUSTOMER,
                "name": "小雨",
                "unionid": "oUnionid000000000000000001",
                "gender": 2,
                "follows": [{"userid": "zhangsan", "remark": "小雨", "state": "door", "tags": ["金卡"]}],
            },
            {"external_userid": CUSTOMER2, "name": "小雪", "follows": [{"userid": "zhangsan"}]},
            {"external_userid": OF_LEFT, "name": "小风", "follows": [{"userid": "wangwu"}]},
            {
                "external_userid": COLLEAGUE,
                "name": "陈总",
                "type": 2,
                "corp_name": "茶叶公司",
                "follows": [{"userid": "zhangsan"}],
            },
        ],
    )


def make_moment(world: World) -> str:
    moments.moment_job(world.client, world["jobid"])
    world.sandbox.post("clock", advance_s=60)
    moment_id = moments.moment_job(world.client, world["jobid"])["result"]["moment_id"]
    world.act("publish", moment_id=moment_id, userid="zhangsan")
    for kind in ("like", "comment"):
        world.act(
            "react",
            moment_id=moment_id,
            userid="zhangsan",
            external_userid=CUSTOMER,
            kind=kind,
            text="好" if kind == "comment" else "",
        )
    return moment_id


def make_chat(world: World) -> str:
    given = {"name": "一店福利群", "notice": "每周三上新", "members": ["lisi"], "admins": ["lisi"]}
    return world.act("group_create", owner="zhangsan", customers=[CUSTOMER], **given)["chat_id"]


def make_used_link(world: World) -> str:
    link_id = world["link_id"]
    world.act("scan", link_id=link_id, state="sms", name="链接来的")
    return link_id


def make_leaver(world: World) -> str:
    world.act("member_leaves", userid="wangwu")
    return "wangwu"


def make_transfer(world: World) -> bool:
    transfers.transfer_customers(
        world.client, handover_userid="zhangsan", takeover_userid="lisi", external_userids=[CUSTOMER]
    )
    return True


def make_transfer_of_left(world: World) -> bool:
    transfers.transfer_resigned_customers(
        world.client, handover_userid=world["left"], takeover_userid="lisi", external_userids=[OF_LEFT]
    )
    return True


def make_code(world: World, **given: Any) -> str:
    return world.act("login", redirect_uri="http://testserver/done", **given)["code"]


def make_msgid(world: World) -> str:
    made = messages.add_msg_template(
        world.client, sender="zhangsan", external_userids=[CUSTOMER], text="新品到店"
    )
    return made["msgid"]


def make_member(world: World, userid: str) -> str:
    directory.create_member(
        world.contacts,
        userid,
        "新人",
        department_ids=[2],
        mobile=f"139{abs(hash(userid)) % 10**8:08d}",
        invite=False,
    )
    return userid


def make_card(world: World) -> str:
    card = {
        "card_type": "button_interaction",
        "task_id": "task-0",
        "main_title": {"title": "跟进客户"},
        "button_list": [{"text": "已跟进", "key": "done", "style": 1}],
    }
    to = app_messages.To(userids=["zhangsan"])
    return app_messages.send_template_card(world.client, to, card)["response_code"]


def make_strategy(world: World, kind: strategies.Kind) -> int:
    return strategies.create_strategy(
        world.client,
        kind,
        name="华东",
        admins=["zhangsan"],
        privilege={"view_customer_list": True} if kind == "customer" else {"send_moment": True},
        range_=[{"type": 1, "userid": "zhangsan"}, {"type": 2, "partyid": 2}],
    )


def make_strategy_tag(world: World) -> str:
    made = strategies.add_strategy_tags(world.client, world["strategy"], ["到店"], group_name="门店标签")
    return made["tag"][0]["id"]


def make_tag(world: World) -> str:
    return tags.add_corp_tags(world.client, ["银卡"], group_name="等级")["tag"][0]["id"]


def make_tagged(world: World) -> bool:
    tags.mark_tag(world.client, "zhangsan", CUSTOMER, add=[world["tag"]])
    return True


def make_tagged_member(world: World) -> bool:
    member_tags.tag_members(world.client, world["member_tag"], userids=["zhangsan"], department_ids=[2])
    return True


MAKERS: dict[str, Callable[[World], Any]] = {
    "png": lambda world: contract.PNG,
    "userid": lambda world: "zhangsan",
    "other": lambda world: "lisi",
    "left": make_leaver,
    "newcomer": lambda world: make_member(world, "sunqi"),
    "newcomer2": lambda world: make_member(world, "zhouba"),
    "department": lambda world: 2,
    "empty_department": lambda world: 12,
    "mobile": lambda world: "13800001111",
    "email": lambda world: "zhangsan@example.com",
    "member_openid": lambda world: world.client.call(
        "POST", "user/convert_to_openid", body={"userid": "zhangsan"}
    )["openid"],
    "tagged_member": make_tagged_member,
    "member_tag": lambda world: member_tags.create_member_tag(world.client, "区域经理"),
    "customer": lambda world: CUSTOMER,
    "customer2": lambda world: CUSTOMER2,
    "customer_of_left": lambda world: OF_LEFT,
    "colleague": lambda world: COLLEAGUE,
    "code": lambda world: make_code(world, userid="zhangsan", scope="snsapi_privateinfo"),
    "code_of_stranger": lambda world: make_code(world, external_userid=CUSTOMER),
    "user_ticket": lambda world: world.client.call("GET", "auth/getuserinfo", params={"code": world["code"]})[
        "user_ticket"
    ],
    "config_id": lambda world: contact_ways.add_contact_way(
        world.client, userids=["zhangsan", "lisi"], state="door", remark="门店码"
    )["config_id"],
    "link_id": lambda world: acquisition.create_link(world.client, "双十一", userids=["zhangsan"])["link_id"],
    "used_link": make_used_link,
    "tag": make_tag,
    "tagged": make_tagged,
    "strategy": lambda world: make_strategy(world, "customer"),
    "moment_strategy": lambda world: make_strategy(world, "moment"),
    "strategy_tag": make_strategy_tag,
    "welcome_code": lambda world: world.act("scan", config_id=world["config_id"], name="新客")[
        "welcome_code"
    ],
    "msgid": make_msgid,
    "media_id": lambda world: media.upload(world.client, "image", "image.png", contract.PNG),
    "voice_media": lambda world: media.upload(world.client, "voice", "a.amr", VOICE),
    "moment_media": lambda world: world.upload(),
    "album_media": lambda world: world.upload(album=True),
    "app_msgid": lambda world: app_messages.send_markdown(
        world.client, app_messages.To(userids=["zhangsan"]), "**你好**"
    )["msgid"],
    "response_code": make_card,
    "jobid": lambda world: moments.add_moment_task(
        world.client,
        text="周末上新",
        attachments=[{"msgtype": "image", "image": {"media_id": world["moment_media"]}}],
        userids=["zhangsan"],
    ),
    "moment_id": make_moment,
    "chat": make_chat,
    "opengid": lambda world: world["chat"],
    "join_way": lambda world: join_ways.add_join_way(
        world.client,
        chat_ids=[world["chat"]],
        state="table",
        remark="桌贴",
        base_name="福利群",
        base_number=10,
    ),
    "template_id": lambda world: group_welcomes.add_group_welcome(world.client, text="欢迎 %NICKNAME%"),
    "transferred": make_transfer,
    "transferred_of_left": make_transfer_of_left,
    "video_url": lambda world: f"{world.sandbox.url}/assets/sandbox.css",
    "url_job": lambda world: media.upload_by_url(
        world.client, "video", world["video_url"], filename="v.mp4", md5="0" * 32
    ),
    "product": lambda world: albums.add_product(
        world.client, description="龙井", price_fen=100, media_ids=[world["album_media"]], number="LJ50"
    ),
    "rule": lambda world: intercept_rules.add_rule(
        world.client, name="私单", words=["转账"], act=1, userids=["zhangsan"], semantics=[1]
    ),
}


@pytest.fixture
def world(sandbox: Sandbox) -> World:
    people(sandbox)
    return World(sandbox)


def served(sandbox: Sandbox, api: str) -> bool:
    """Unknown paths are 404 with an empty body."""
    return requests.get(f"{sandbox.url}/cgi-bin/{api}", timeout=60).status_code != 404


@pytest.mark.parametrize("example", EXAMPLES, ids=contract.title)
def test_the_sandbox_answers_in_this_shape(example: dict[str, Any], world: World) -> None:
    api = example["request"]["api"]
    for name in contract.placeholders_of([example["with"], example.get("needs", [])]):
        world[name]
    client = world.contacts if example.get("secret") == "contacts" else world.client
    client.answers.clear()
    contract.call(client, example, world)
    answers = [answer for path, answer in client.answers if path == api]
    assert answers
    for answer in answers:
        if "the file" in example["answer"]:
            assert answer["content"] in (contract.PNG, VOICE)
            continue
        assert answer.pop("errcode") == 0
        assert isinstance(answer.pop("errmsg"), str)
        assert contract.differences(example["answer"], answer) == []


def test_the_sandbox_serves_every_call(sandbox: Sandbox) -> None:
    missing = {
        example["request"]["api"] for example in EXAMPLES if not served(sandbox, example["request"]["api"])
    }
    assert missing == set()


# what the sandbox serves and no example records, with the reason
LEFT_OUT = {
    "gettoken": "our client has a function of its own: test_token_and_old_identity",
    "user/getuserinfo": "the old spelling, which our client does not call: test_token_and_old_identity",
    "externalcontact/unionid_to_external_userid": "older name of idconvert/…, refused like it: providers only",
    "externalcontact/get_group_msg_result": "replaced by get_groupmsg_…: sandbox/test_internal.py, wechatpy",
    "externalcontact/transfer": "replaced by resigned/transfer_customer: sandbox/test_internal.py, wechatpy",
    "externalcontact/get_transfer_result": "replaced by resigned/transfer_result: sandbox/test_internal.py",
    "appchat/create": "internal groups, no part of the product: sandbox/test_internal.py, two SDKs",
    "appchat/update": "as above",
    "appchat/get": "as above",
    "appchat/send": "as above",
    "webhook/send": "robots, no part of the product: sandbox/test_internal.py, an SDK",
    "webhook/upload_media": "as above",
}


def test_every_call_of_the_sandbox_has_an_example_or_a_reason() -> None:
    recorded = {example["request"]["api"] for example in contract.examples()}
    assert set(table_paths()) - recorded == set(LEFT_OUT)


@pytest.mark.parametrize(
    "example",
    json.loads((contract.FOLDER / "errors.json").read_text()),
    ids=lambda e: f"{e['errcode']}-{e['name']}",
)
def test_refusals(example: dict[str, Any], world: World) -> None:
    """The code, and the lists that stay in the answer, empty."""
    tokens = {"none": {}, "bad": {"access_token": "x" * 64}}
    query = tokens.get(example.get("token", ""), {"access_token": world.sandbox.token()})
    url = f"{world.sandbox.url}/cgi-bin/{example['api']}"
    response = requests.request(
        example["method"],
        url,
        params={**query, **example.get("query", {})},
        json=example.get("body"),
        timeout=60,
    )
    assert response.status_code == 200
    answer = response.json()
    assert answer["errcode"] == example["errcode"], answer
    assert contract.differences({**contract.no_lists(example["answer"]), "errcode": 1}, answer) == []
    assert not [name for name, value in answer.items() if isinstance(value, list) and value]
    assert answer["errmsg"].startswith(example["answer"]["errmsg"].partition(",")[0])


@pytest.mark.parametrize(
    "example", [example for example in contract.examples() if example.get("provider")], ids=contract.title
)
def test_calls_of_providers_are_refused(example: dict[str, Any], world: World) -> None:
    """A self-built app may not convert ids."""
    given = contract.Placeholders({**contract.SAMPLES, "customer": CUSTOMER})
    with pytest.raises(WeComForbidden) as caught:
        contract.call(world.client, example, given)
    assert caught.value.errcode == 48002


def test_token_and_old_identity(world: World) -> None:
    """Two calls that our client does not make through wecom/api."""
    token = world.sandbox.api("gettoken", corpid=CORPID, corpsecret=SECRET)
    shape = {"errcode": 0, "errmsg": "ok", "access_token": "T", "expires_in": 7200}
    assert contract.differences(shape, token) == []
    assert world.sandbox.api("gettoken", corpid=CORPID, corpsecret=SECRET) == {
        **token,
        "expires_in": pytest.approx(token["expires_in"], abs=60),
    }
    old = world.sandbox.api("user/getuserinfo", access_token=token["access_token"], code=world["code"])
    shape = {"errcode": 0, "errmsg": "ok", "UserId": "zhangsan", "DeviceId?": "", "user_ticket?": "U"}
    assert contract.differences(shape, old) == []


def test_unknown_paths_are_empty(sandbox: Sandbox) -> None:
    for method in ("GET", "POST"):
        response = requests.request(method, f"{sandbox.url}/cgi-bin/externalcontact/no_such_call", timeout=60)
        assert (response.status_code, response.content) == (404, b"")
