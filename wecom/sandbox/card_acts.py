"""A member presses a button of a template card. Source: developer.work.weixin.qq.com/document/path/90240."""

from typing import Any

from . import ids, people, store
from .api.cards import code_life_s
from .clock import now
from .errors import Refused
from .events import emit
from .models import Message, ResponseCode


def click(corpid: str, given: dict[str, Any]) -> None:
    """given: userid, msgid, key (of the button), options? ({question_key: [option id]})."""
    with store.writing():
        member = people.member_of(corpid, given["userid"])
        message = Message.objects.filter(
            corpid=corpid, kind="app", userid=member.userid, msgid=given["msgid"]
        ).first()
        if message is None or not message.attachments or "template_card" not in message.attachments[0]:
            raise Refused("this member has no such card", status=404)
        card = message.attachments[0]["template_card"]
        agentid = int(message.external_userid)
        code = ResponseCode.objects.create(
            code=ids.code(),
            corpid=corpid,
            agentid=agentid,
            msgid=message.msgid,
            expires_at=now() + code_life_s(),
        )
        fields: list[tuple[str, Any]] = [
            ("EventKey", given["key"]),
            ("TaskId", card.get("task_id") or ""),
            ("CardType", card.get("card_type") or ""),
            ("ResponseCode", code.code),
            ("AgentID", agentid),
        ]
        options = given.get("options") or {}
        if options:
            fields.append(("SelectedItems", {"SelectedItem": [_selected(*one) for one in options.items()]}))
        emit(
            corpid,
            "template_card_event",
            "",
            fields,
            userid=member.userid,
            customer_contact=False,
            agentid=agentid,
            sender=member.userid,
        )


def _selected(question: str, chosen: list[str]) -> dict[str, Any]:
    return {"QuestionKey": question, "OptionIds": {"OptionId": chosen}}
