"""Join ways and group welcome templates. Source: developer.work.weixin.qq.com/document/path/92229, 92366."""

from typing import Any

from wecom.sandbox import content, ids, store
from wecom.sandbox.call import Call, number, strings, text
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import ContactWay, GroupChat, GroupTemplate, JoinWay, Message

from . import media
from .contact_way import MOST_WAYS

MOST_CHATS = 5
MOST_TEMPLATES = 100


def _fill(call: Call, way: JoinWay) -> None:
    """Everything from the body: an update overwrites all of it."""
    body = call.body
    way.scene = number(body, "scene", missing=41038)
    if way.scene not in (1, 2):
        raise WeComError(41040)
    way.chat_ids = strings(body, "chat_id_list")
    if not 1 <= len(way.chat_ids) <= MOST_CHATS:
        raise WeComError(40058, "chat_id_list")
    there = GroupChat.objects.filter(corpid=call.corpid, dismissed_at=None, chat_id__in=way.chat_ids)
    if there.count() < len(set(way.chat_ids)):
        raise WeComError(40050)
    way.first_rooms = len(way.chat_ids)
    way.remark = text(body, "remark")[:30]  # longer is cut, not refused
    way.auto_create_room = number(body, "auto_create_room", 1)
    way.room_base_name = text(body, "room_base_name", most=40)
    way.room_base_id = number(body, "room_base_id", 1)
    way.state = text(body, "state", most=30)
    if isinstance(body.get("mark_source"), bool):
        way.mark_source = body["mark_source"]


def add_join_way(call: Call) -> dict[str, Any]:
    """Make one; its picture is told by get_join_way."""
    way = JoinWay(
        config_id=ids.config_id(), corpid=call.corpid, agentid=call.app.agentid, create_time=call.now, scene=2
    )
    _fill(call, way)
    made = (
        ContactWay.objects.filter(corpid=call.corpid).count()
        + JoinWay.objects.filter(corpid=call.corpid).count()
    )
    if made >= MOST_WAYS:
        raise WeComError(41045)
    way.save()
    return {"config_id": way.config_id}


def _own(call: Call) -> JoinWay:
    config_id = text(call.body, "config_id", missing=41043)
    way = JoinWay.objects.filter(corpid=call.corpid, agentid=call.app.agentid, config_id=config_id).first()
    if way is None:
        raise WeComError(41044)
    return way


def get_join_way(call: Call) -> dict[str, Any]:
    """One, with the groups that were added to it meanwhile."""
    way = _own(call)
    picture = {"qr_code": f"{call.base_url}/wwpic/{way.config_id}/0"}
    if way.scene == 1 and store.quirk("plugin_qr_code") == "absent":
        picture = {}
    return {
        "join_way": {
            "config_id": way.config_id,
            "scene": way.scene,
            "remark": way.remark,
            "auto_create_room": way.auto_create_room,
            "room_base_name": way.room_base_name,
            "room_base_id": way.room_base_id,
            "chat_id_list": way.chat_ids,
            **picture,
            "state": way.state,
            "mark_source": way.mark_source,
        }
    }


def update_join_way(call: Call) -> dict[str, Any]:
    """Overwrite it."""
    way = _own(call)
    _fill(call, way)
    way.save()
    return {}


def del_join_way(call: Call) -> dict[str, Any]:
    """The code does not work any more."""
    _own(call).delete()
    return {}


def _template(call: Call, most_bytes: int) -> dict[str, Any]:
    """Text and at most one of the flat objects, the first of them in WeCom's order."""
    body = call.body
    words = content.bounded(content.part(body, "text"), "content", most_bytes, over=45002)
    found: dict[str, Any] = {"text": {"content": words}} if words else {}
    if body.get("image"):
        found["image"] = content.image(call, content.part(body, "image"))
    elif body.get("link"):
        found["link"] = content.link(content.part(body, "link"))
    elif body.get("miniprogram"):
        found["miniprogram"] = content.miniprogram(call, content.part(body, "miniprogram"))
    else:
        for kind in ("file", "video"):
            if body.get(kind):
                media_id = text(content.part(body, kind), "media_id", missing=40063)
                media.check(call.corpid, media_id, kind, now=call.now)
                found[kind] = {"media_id": media_id}
                break
    if not found:
        raise WeComError(40063, "text")
    return found


def add_template(call: Call) -> dict[str, Any]:
    """Make a template; owners use it in their groups, `notify` only tells them of it."""
    found = _template(call, 3000)
    if GroupTemplate.objects.filter(corpid=call.corpid).count() >= MOST_TEMPLATES:
        raise WeComError(41055)
    row = GroupTemplate.objects.create(
        template_id=ids.msgid(),
        corpid=call.corpid,
        agentid=call.app.agentid,
        content=found,
        create_time=call.now,
    )
    if number(call.body, "notify", 1):
        owners = GroupChat.objects.filter(corpid=call.corpid, dismissed_at=None).values_list(
            "owner", flat=True
        )
        Message.objects.bulk_create(
            Message(
                corpid=call.corpid,
                kind="app",
                userid=owner,
                external_userid=str(call.app.agentid),
                text="管理员添加了入群欢迎语，请选择使用",
                at=call.now,
                msgid=row.template_id,
            )
            for owner in sorted(set(owners))
        )
    return {"template_id": row.template_id}


def _own_template(call: Call) -> GroupTemplate:
    template_id = text(call.body, "template_id", missing=40063)
    row = GroupTemplate.objects.filter(corpid=call.corpid, template_id=template_id).first()
    if row is None:
        raise WeComError(40037)
    return row


def edit_template(call: Call) -> dict[str, Any]:
    """Change an own template."""
    row = _own_template(call)
    if row.agentid != call.app.agentid:
        raise WeComError(60011)
    row.content = _template(call, 4000)
    row.save()
    return {}


def get_template(call: Call) -> dict[str, Any]:
    """A template; its picture as an address."""
    found = dict(_own_template(call).content)
    image = found.get("image")
    if image and "media_id" in image:
        found["image"] = {"pic_url": f"{call.base_url}/media/{image['media_id']}"}
    return found


def del_template(call: Call) -> dict[str, Any]:
    """Delete an own template."""
    row = _own_template(call)
    if row.agentid != call.app.agentid:
        raise WeComError(60011)
    row.delete()
    return {}
