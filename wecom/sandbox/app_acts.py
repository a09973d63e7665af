"""What members do in an app, and what the platform tells an app: messages, menus, dormancy, jobs.

Source: developer.work.weixin.qq.com/document/path/90239, 90240, 90241 (passive replies).
"""

from typing import Any
from xml.etree import ElementTree

from . import clock, crypto, delivery, ids, people, ranges, store
from .errors import Refused
from .events import element, emit
from .models import App, Delivery, MemberTag, Message

OF_MEMBERS = (
    "subscribe",
    "unsubscribe",
    "enter_agent",
    "click",
    "view",
    "LOCATION",
    "template_card_menu_event",
)
OF_PLATFORM = (
    "close_inactive_agent",
    "reopen_inactive_agent",
    "inactive_alert",
    "low_active_alert",
    "low_active",
    "active_restored",
    "batch_job_result",
)
KINDS = ("text", "image", "voice", "video", "location", "link")
CONTENT: dict[str, tuple[str, ...]] = {
    "text": ("Content",),
    "image": ("PicUrl", "MediaId"),
    "voice": ("MediaId", "Format"),
    "video": ("MediaId", "ThumbMediaId"),
    "location": ("Location_X", "Location_Y", "Scale", "Label"),
    "link": ("Title", "Description", "Url", "PicUrl"),
}


def _app(corpid: str, given: dict[str, Any]) -> App:
    for app in store.apps_of(corpid):
        if app.kind == "app" and given.get("agent_id") in (None, app.agentid, str(app.agentid)):
            return app
    raise Refused("no such app", status=404)


def says(corpid: str, given: dict[str, Any]) -> dict[str, Any]:
    """A member writes to the app; what the app answers in the same breath (passive reply) reaches him.

    Args:
        given: userid, text | msgtype with fields ({MediaId: …}), agent_id?.
    """
    with store.writing():
        app, member = _app(corpid, given), people.member_of(corpid, given["userid"])
        if not ranges.sees(app, member.userid):
            raise Refused("the app is not visible to this member")
        kind = given.get("msgtype") or "text"
        if kind not in KINDS:
            raise Refused(f"msgtype is one of {', '.join(KINDS)}")
        own = {"Content": given.get("text") or "", **(given.get("fields") or {})}
        msgid = str(int.from_bytes(ids.version().encode()[:6], "big"))
        parts: list[tuple[str, Any]] = [
            ("ToUserName", corpid),
            ("FromUserName", member.userid),
            ("CreateTime", int(clock.now())),
            ("MsgType", kind),
            *((name, own.get(name, "")) for name in CONTENT[kind]),
            ("MsgId", int(msgid)),
            ("AgentID", app.agentid),
        ]
        xml = f"<xml>{''.join(element(name, value) for name, value in parts)}</xml>"
        delivery.send(app, event="message", change_type=kind, xml=xml)
        return {"msgid": msgid}


def take_reply(row: Delivery, body: str) -> None:
    """A passive reply: an encrypted message in the answer to a member's message; anything else is ignored."""
    app = next((one for one in store.apps_of(row.corpid) if one.agentid == row.agentid), None)
    try:
        sealed = ElementTree.fromstring(body)  # noqa: S314  from the tester's own server
        encrypted = sealed.findtext("Encrypt") or ""
        signed = crypto.signature(
            token=app.token if app else "",
            timestamp=sealed.findtext("TimeStamp") or "",
            nonce=sealed.findtext("Nonce") or "",
            encrypted=encrypted,
        )
        if app is None or signed != sealed.findtext("MsgSignature"):
            return
        message, receive_id = crypto.decrypt(encrypted, aes_key=app.aes_key)
        plain = ElementTree.fromstring(message)  # noqa: S314
    except (ElementTree.ParseError, ValueError, IndexError):
        return
    if receive_id != row.corpid or plain.findtext("FromUserName") != row.corpid:
        return
    kind = plain.findtext("MsgType") or ""
    fields = {
        child.tag: child.text or "" for child in plain if child.tag not in ("ToUserName", "FromUserName")
    }
    with store.writing():
        Message.objects.create(
            corpid=row.corpid,
            kind="app",
            userid=plain.findtext("ToUserName") or "",
            external_userid=str(row.agentid),
            text=plain.findtext("Content") or "",
            attachments=[] if kind == "text" else [{"msgtype": kind, kind: fields}],
            at=clock.now(),
            msgid="passive",
        )


def happens(corpid: str, given: dict[str, Any]) -> None:
    """A member opens the app, presses its menu …, or the platform tells the app something.

    Args:
        given: event; userid (for what members do), key?, agent_id?, fields? (further elements).
    """
    event = given["event"]
    if event not in OF_MEMBERS + OF_PLATFORM:
        raise Refused(f"event is one of {', '.join(OF_MEMBERS + OF_PLATFORM)}")
    with store.writing():
        app = _app(corpid, given)
        sender = people.member_of(corpid, given.get("userid") or "").userid if event in OF_MEMBERS else "sys"
        fields = _elements(event, given, app)
        emit(
            corpid,
            event,
            "",
            fields,
            userid=sender if event in OF_MEMBERS else None,
            customer_contact=False,
            agentid=app.agentid,
            sender=sender,
        )


def _elements(event: str, given: dict[str, Any], app: App) -> list[tuple[str, Any]]:
    key, more = given.get("key") or "", dict(given.get("fields") or {})
    agentid = ("AgentID", app.agentid)
    if event in ("subscribe", "unsubscribe", "enter_agent", "click", "view"):
        return [("EventKey", key), agentid]
    if event == "LOCATION":
        place = {"Latitude": "31.230416", "Longitude": "121.473701", "Precision": "30", **more}
        return [*place.items(), agentid, ("AppType", "wxwork")]
    if event == "template_card_menu_event":
        card = {"TaskId": "", "CardType": "text_notice", **more}
        return [("EventKey", key), *card.items(), ("ResponseCode", ids.code()), agentid]
    if event == "batch_job_result":
        job = {"JobId": ids.code(), "JobType": "sync_user", "ErrCode": 0, "ErrMsg": "ok", **more}
        return [("BatchJob", job)]
    return [agentid]


def member_tag_changes(corpid: str, given: dict[str, Any]) -> None:
    """An administrator puts a member tag on people or departments, or takes it off, in the console.

    Args:
        given: tagid, add_users?, del_users?, add_parties?, del_parties?.
    """
    with store.writing():
        row = MemberTag.objects.filter(corpid=corpid, tagid=int(given["tagid"])).first()
        if row is None:
            raise Refused(f"no member tag {given['tagid']!r}", status=404)
        lists = {
            key: list(given.get(key) or [])
            for key in ("add_users", "del_users", "add_parties", "del_parties")
        }
        row.users = [
            one for one in dict.fromkeys([*row.users, *lists["add_users"]]) if one not in lists["del_users"]
        ]
        row.parties = [
            one
            for one in dict.fromkeys([*row.parties, *lists["add_parties"]])
            if one not in lists["del_parties"]
        ]
        row.save()
        names = ("AddUserItems", "DelUserItems", "AddPartyItems", "DelPartyItems")
        told = [
            (name, ",".join(map(str, one)) or None) for name, one in zip(names, lists.values(), strict=True)
        ]
        emit(corpid, "change_contact", "update_tag", [("TagId", row.tagid), *told], customer_contact=False)
