"""Where WeCom's documents contradict themselves: each choice, as a client meets it."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
import xmltodict

from tests.wecom.sandbox.conftest import Api, Receiver
from tests.wecom.sandbox_client import CORPID, ControlError, Sandbox
from wecom.sandbox.quirks import QUIRKS

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
DAY = 86_400


class World:
    """A corp, its app, its callbacks."""

    def __init__(self, corp: Sandbox, receiver: Receiver) -> None:
        self.corp, self.receiver, self.api = corp, receiver, Api(corp)

    def act(self, what: str, /, **given: Any) -> Any:
        return self.corp.post(what, corpid=CORPID, **given)

    def scan(self, userid: str = "lisi", **given: Any) -> dict[str, Any]:
        return self.act("scan", userid=userid, **given)

    def told(self, n: int = 0) -> list[dict[str, Any]]:
        """The callbacks so far, in the order of their making; at least n."""
        self.corp.wait_idle()
        rows = self.corp.deliveries()
        assert len(rows) >= n
        return [xmltodict.parse(row["xml"])["xml"] for row in rows]

    def kinds(self) -> list[str]:
        return [row["change_type"] for row in self.corp.deliveries()]

    def posted(self, path: str, **body: Any) -> dict[str, Any]:
        return self.api.post(f"externalcontact/{path}", **body)

    def code(self, path: str, **body: Any) -> int:
        return self.posted(path, **body)["errcode"]

    def tag(self) -> dict[str, str]:
        """Ids of the console's tags by name."""
        groups = self.posted("get_corp_tag_list")["tag_group"]
        return {tag["name"]: tag["id"] for group in groups for tag in group["tag"]}

    def mass(self, who: str) -> str:
        made = self.posted("add_msg_template", sender="lisi", external_userid=[who], text={"content": "上新"})
        return made["msgid"]


def last_cursor(w: World) -> Any:
    w.scan()
    answer = w.posted("batch/get_by_user", userid_list=["lisi"])
    return answer.get("next_cursor", "absent")


def success_errcode(w: World) -> Any:
    return w.api.get("user/get", userid="lisi").get("errcode")


def error_lists(w: World) -> Any:
    return w.api.get("externalcontact/list", userid="nobody").get("external_userid")


def short_pages(w: World) -> Any:
    for _ in range(5):
        w.scan()
    sizes, cursor = [], ""
    while True:
        page = w.posted("batch/get_by_user", userid_list=["lisi"], limit=4, cursor=cursor)
        sizes.append(len(page["external_contact_list"]))
        cursor = page["next_cursor"]
        if not cursor:
            assert sum(sizes) == 5
            return sizes[0] == 4


def gettoken_again(w: World) -> Any:
    other = w.corp.token()
    assert w.api.get("user/get", userid="lisi")["errcode"] == 0  # the first one still lives
    return other == w.api.token


def foreign_secret(w: World) -> Any:
    w.corp.make_corp("ww0000000000000002", secret="another-corp", callback_url="")
    return w.corp.api("gettoken", corpid=CORPID, corpsecret="another-corp")["errcode"]


def used_login_code(w: World) -> Any:
    code = w.act("login", userid="lisi", redirect_uri="http://x/")["code"]
    return [w.api.get("auth/getuserinfo", code=code)["errcode"] for _ in range(2)][1]


def member_details(w: World) -> Any:
    return w.api.get("user/get", userid="lisi").get("mobile")


def fetch_child(w: World) -> Any:
    return len(w.api.get("user/list", department_id=1, fetch_child=1)["userlist"])


def contact_event_fields(w: World) -> Any:
    w.act("member_changes", userid="lisi", department=[3])
    return w.told()[-1].get("Name")


def no_customers(w: World) -> Any:
    return w.api.get("externalcontact/list", userid="wangwu")["errcode"]


def lost_in_lists(w: World) -> Any:
    who = w.scan()["external_userid"]
    w.act("customer_deletes", userid="lisi", external_userid=who)
    answer = w.posted("batch/get_by_user", userid_list=["lisi"])
    found = w.api.get("externalcontact/get", external_userid=who)["errcode"]
    return len(answer["external_contact_list"]), found


def api_writes_tell(w: World) -> Any:
    who = w.scan()["external_userid"]
    w.posted("remark", userid="lisi", external_userid=who, remark="甲")
    w.posted("mark_tag", userid="lisi", external_userid=who, add_tag=[w.tag()["黄金"]])
    return w.kinds()[1:]


def clear_mobiles(w: World) -> Any:
    who = w.scan()["external_userid"]
    w.posted("remark", userid="lisi", external_userid=who, remark_mobiles=["13800000000"])
    return w.code("remark", userid="lisi", external_userid=who, remark_mobiles="")


def half_first(w: World) -> Any:
    w.scan()
    return w.kinds()


def code_picks_guide(w: World) -> Any:
    w.corp.post("seed", seed=1)  # chance may give turns, too
    w.posted("add_contact_way", type=2, scene=2, user=["lisi", "wangwu"], state="both")
    met = [w.act("scan", state="both")["userid"] for _ in range(8)]
    return met == ["lisi", "wangwu"] * 4


def link_people(w: World) -> Any:
    many = [{"userid": f"u{n}", "name": str(n)} for n in range(150)]
    w.corp.load(members=many)
    return w.code(
        "customer_acquisition/create_link",
        link_name="a",
        range={"user_list": [one["userid"] for one in many]},
    )


def link_skip_verify(w: World) -> Any:
    made = w.posted("customer_acquisition/create_link", link_name="a", range={"user_list": ["lisi"]})["link"]
    found = w.posted("customer_acquisition/get", link_id=made["link_id"])
    return "skip_verify" in found, "skip_verify" in found["link"]


def link_message_event(w: World) -> Any:
    link = w.posted("customer_acquisition/create_link", link_name="a", range={"user_list": ["lisi"]})["link"]
    who = w.act("scan", link_id=link["link_id"], customer_channel="sms")["external_userid"]
    for _ in range(3):
        w.act("say", userid="lisi", external_userid=who, text="在吗")
    event = w.told()[-1]
    assert event["ChangeType"] == "message_from_customer"
    return "ChatKey" in event, "ChatSeq" in event


def corp_tags(w: World) -> Any:
    names = [{"name": str(n)} for n in range(3001)]
    return w.code("add_corp_tag", group_name="多", tag=names)


def known_tag_name(w: World) -> Any:
    answer = w.posted("add_corp_tag", group_name="等级", tag=[{"name": "黄金"}, {"name": "白金"}])
    return answer.get("errcode"), [tag["name"] for tag in answer.get("tag_group", {}).get("tag", ())]


def foreign_tag(w: World) -> Any:
    return w.code("edit_corp_tag", id=w.tag()["黄金"], name="金")


def last_tag_events(w: World) -> Any:
    w.act("tag_deletes", id=w.tag()["咖啡"])
    return [event["TagType"] for event in w.told()]


def used_welcome_code(w: World) -> Any:
    given = {"welcome_code": w.scan()["welcome_code"], "text": {"content": "你好"}}
    return [w.code("send_welcome_msg", **given) for _ in range(2)][1]


def receive_rule(w: World) -> Any:
    """How many of nine a week arrive in two weeks of one month, from a Monday."""
    who = w.scan()["external_userid"]
    w.corp.post("clock", at=1_772_337_600 + 8 * DAY, speed=0)  # 2026-03-09, a Monday
    w.api.token = w.corp.token()
    for n in range(18):
        if n == 9:
            w.corp.post("clock", advance_s=7 * DAY)
            w.api.token = w.corp.token()
        w.act("confirm", msgid=w.mass(who))
    return len(w.corp.sent("mass"))


def task_sent_status(w: World) -> Any:
    msgid = w.mass(w.scan()["external_userid"])
    w.act("confirm", msgid=msgid)
    return w.posted("get_groupmsg_task", msgid=msgid)["task_list"][0]["status"]


def mass_list_time(w: World) -> Any:
    w.mass(w.scan()["external_userid"])
    now = int(w.corp.get("state")["now"])
    found = w.posted("get_groupmsg_list_v2", chat_type="single", start_time=now - DAY, end_time=now + DAY)
    return type(found["group_msg_list"][0]["create_time"])


def moment_text(w: World) -> Any:
    """2,001 letters; 2,000 Chinese characters."""
    return [w.code("add_moment_task", text={"content": words}) for words in ("a" * 2001, "好" * 2000)]


def card_code_hours(w: World) -> Any:
    card = {
        "card_type": "button_interaction",
        "task_id": "t",
        "main_title": {"title": "跟进"},
        "button_list": [{"text": "好", "key": "k"}],
    }
    body = {"touser": "lisi", "msgtype": "template_card", "agentid": 1000002, "template_card": card}
    code = w.api.post("message/send", **body)["response_code"]
    w.corp.post("clock", advance_s=30 * 3600)
    w.api.token = w.corp.token()
    given = {
        "userids": ["lisi"],
        "agentid": 1000002,
        "response_code": code,
        "button": {"replace_name": "好了"},
    }
    return w.api.post("message/update_template_card", **given)["errcode"]


def image_mb(w: World) -> Any:
    url, query = f"{w.corp.url}/cgi-bin/media/upload", {"access_token": w.api.token, "type": "image"}
    body = PNG + bytes(6 * 1024 * 1024)
    return requests.post(url, params=query, files={"media": ("a.png", body)}, timeout=60).json()["errcode"]


def upload_boundary(w: World) -> Any:
    url, query = f"{w.corp.url}/cgi-bin/media/upload", {"access_token": w.api.token, "type": "image"}
    body = (
        b'--B\r\nContent-Disposition: form-data; name="media"; filename="a.png"\r\n\r\n'
        + PNG
        + b"\r\n--B--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data"}
    return requests.post(url, params=query, data=body, headers=headers, timeout=60).json()["errcode"]


def group(w: World, **given: Any) -> str:
    return w.act("group_create", owner="lisi", name="群", **given)["chat_id"]


def scanned_join_scene(w: World) -> Any:
    w.act("group_join", chat_id=group(w), name="甲")
    return w.told()[-1]["JoinScene"]


def changed_members(w: World) -> Any:
    who = w.act("group_join", chat_id=group(w), name="甲")["external_userid"]
    return w.told()[-1]["MemChangeList"] == who


def plugin_qr_code(w: World) -> Any:
    way = w.posted("groupchat/add_join_way", scene=1, chat_id_list=[group(w)])
    return "qr_code" in w.posted("groupchat/get_join_way", config_id=way["config_id"])["join_way"]


def transfers_in_90_days(w: World) -> Any:
    who, codes = w.scan()["external_userid"], []
    for pair in (("lisi", "wangwu"), ("wangwu", "lisi"), ("lisi", "wangwu")):
        given = {"handover_userid": pair[0], "takeover_userid": pair[1], "external_userid": [who]}
        codes.append(w.posted("transfer_customer", **given)["customer"][0]["errcode"])
        w.act("transfer_now")
    return codes


def transfer_keeps(w: World) -> Any:
    who = w.scan()["external_userid"]
    w.act("member_edits", userid="lisi", external_userid=who, remark="老客", add_tags=["黄金"])
    w.posted("transfer_customer", handover_userid="lisi", takeover_userid="wangwu", external_userid=[who])
    w.act("transfer_now")
    [follow] = w.api.get("externalcontact/get", external_userid=who)["follow_user"]
    return follow["remark"], [tag["tag_name"] for tag in follow["tags"]]


def envelope(w: World) -> Any:
    w.receiver.statuses = [403]
    w.act("callback_raw", xml="<xml></xml>")
    return w.receiver.raw[-1][1][:1]


def envelope_agentid(w: World) -> Any:
    w.scan()
    w.corp.wait_idle()
    return xmltodict.parse(w.receiver.raw[-1][1])["xml"]["AgentID"]


def empty_elements(w: World) -> Any:
    w.scan()
    return "State" in w.told()[-1]


def chat_id_first(w: World) -> Any:
    group(w)
    [xml] = [row["xml"] for row in (w.corp.wait_idle(), w.corp.deliveries())[1]]
    return xml.index("<ChatId>") < xml.index("<ChangeType>")


MEETS: dict[str, tuple[Callable[[World], Any], dict[str, Any]]] = {
    "last_cursor": (last_cursor, {"empty": "", "absent": "absent"}),
    "success_errcode": (success_errcode, {"given": 0, "absent": None}),
    "error_lists": (error_lists, {"empty": [], "absent": None}),
    "short_pages": (short_pages, {"full": True, "short": False}),
    "gettoken_again": (gettoken_again, {"same": True, "new": False}),
    "foreign_secret": (foreign_secret, {"40001": 40001, "40091": 40091}),
    "used_login_code": (used_login_code, {"42022": 42022, "40029": 40029}),
    "member_details": (member_details, {"hidden": None, "shown": "13800000001"}),
    "fetch_child": (fetch_child, {"obeyed": 4, "ignored": 1}),
    "contact_event_fields": (contact_event_fields, {"ids": None, "all": "李四"}),
    "no_customers": (no_customers, {"84061": 84061, "empty": 0}),
    "lost_in_lists": (lost_in_lists, {"kept": (1, 0), "gone": (0, 84061)}),
    "api_writes_tell": (api_writes_tell, {"no": [], "yes": ["edit_external_contact"] * 2}),
    "clear_mobiles": (clear_mobiles, {"refused": 40058, "clears": 0}),
    "half_first": (
        half_first,
        {"no": ["add_external_contact"], "yes": ["add_half_external_contact", "add_external_contact"]},
    ),
    "code_picks_guide": (code_picks_guide, {"chance": False, "turn": True}),
    "link_people": (link_people, {"500": 0, "100": 40058}),
    "link_skip_verify": (link_skip_verify, {"in_link": (False, True), "top": (True, False)}),
    "link_message_event": (link_message_event, {"chat_key": (True, False), "ids": (False, True)}),
    "corp_tags": (corp_tags, {"10000": 0, "3000": 40126}),
    "known_tag_name": (known_tag_name, {"40071": (40071, []), "returned": (0, ["黄金", "白金"])}),
    "foreign_tag": (foreign_tag, {"60011": 60011, "48002": 48002}),
    "last_tag_events": (last_tag_events, {"both": ["tag", "tag_group"], "group": ["tag_group"]}),
    "used_welcome_code": (used_welcome_code, {"41051": 41051, "41050": 41050}),
    "receive_rule": (receive_rule, {"month": 18, "week": 14, "day": 2, "month4": 4}),
    "task_sent_status": (task_sent_status, {"2": 2, "1": 1}),
    "mass_list_time": (mass_list_time, {"number": int, "string": str}),
    "moment_text": (moment_text, {"both": [40058, 40058], "chars": [40058, 0], "bytes": [0, 40058]}),
    "card_code_hours": (card_code_hours, {"72": 0, "24": 42017}),
    "image_mb": (image_mb, {"10": 0, "5": 40009}),
    "upload_boundary": (upload_boundary, {"required": 44001, "guessed": 0}),
    "scanned_join_scene": (scanned_join_scene, {"3": "3", "1": "1"}),
    "changed_members": (changed_members, {"items": False, "text": True}),
    "plugin_qr_code": (plugin_qr_code, {"given": True, "absent": False}),
    "transfers_in_90_days": (transfers_in_90_days, {"2": [0, 0, 40128], "1": [0, 40128, 40131]}),
    "transfer_keeps": (transfer_keeps, {"nothing": ("", []), "notes": ("老客", ["黄金"])}),
    "envelope": (envelope, {"xml": b"<", "json": b"{"}),
    "envelope_agentid": (envelope_agentid, {"given": "1000002", "empty": None}),
    "empty_elements": (empty_elements, {"absent": False, "empty": True}),
    "chat_id_first": (chat_id_first, {"after": False, "before": True}),
}
EVERY = [(name, choice) for name, quirk in QUIRKS.items() for choice in quirk.choices]


@pytest.mark.parametrize(("name", "choice"), EVERY)
def test_each_choice(corp: Sandbox, receiver: Receiver, name: str, choice: str) -> None:
    corp.post("settings", quirks={name: choice})
    meet, wanted = MEETS[name]
    assert set(wanted) == set(QUIRKS[name].choices)
    assert meet(World(corp, receiver)) == wanted[choice]


def test_they_are_listed_and_an_unknown_choice_is_refused(corp: Sandbox) -> None:
    listed = {row["name"]: row for row in corp.get("quirks")}
    assert set(listed) == set(QUIRKS) == set(corp.get("settings")["quirks"])
    assert all(row["page"] and row["title"] and len(row["choices"]) > 1 for row in listed.values())
    for quirks in ({"envelope": "yaml"}, {"no_such": "1"}):
        with pytest.raises(ControlError):
            corp.post("settings", quirks=quirks)
