"""Template cards: what is checked, the code that lets an app change one, the change.

Source: developer.work.weixin.qq.com/document/path/90236, 94888.
"""

from typing import Any

from wecom.sandbox import ids, ranges, store
from wecom.sandbox.call import Call, number, numbers, strings, text
from wecom.sandbox.content import part
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import Member, Message, ResponseCode

KINDS = ("text_notice", "news_notice", "button_interaction", "vote_interaction", "multiple_interaction")


def check(call: Call, own: dict[str, Any]) -> str:
    """What a card must have; its first words."""
    kind = text(own, "card_type", missing=40063)
    if kind not in KINDS:
        raise WeComError(40058, "card_type")
    if kind.endswith("notice") and not part(own, "card_action"):
        raise WeComError(40063, "card_action")
    if _is_interactive(own):
        text(own, "task_id", missing=40063)
        if not call.app.callback_url:
            raise WeComError(43012)
    return text(part(own, "main_title"), "title") or text(own, "sub_title_text")


def _is_interactive(own: dict[str, Any]) -> bool:
    return str(own.get("card_type")).endswith("interaction") or bool(own.get("action_menu"))


def code_life_s() -> int:
    """How long an interactive card may be changed."""
    return int(store.quirk("card_code_hours")) * 3600


def response_code(call: Call, own: dict[str, Any], msgid: str) -> dict[str, str]:
    """{"response_code"} of an interactive card, {} for others."""
    if not _is_interactive(own):
        return {}
    row = ResponseCode.objects.create(
        code=ids.code(),
        corpid=call.corpid,
        agentid=call.app.agentid,
        msgid=msgid,
        expires_at=call.now + code_life_s(),
    )
    return {"response_code": row.code}


def update(call: Call) -> dict[str, Any]:
    """Another button text, or another card, for some of those who have it; the code is used up."""
    body = call.body
    if number(body, "agentid", missing=41011) != call.app.agentid:
        raise WeComError(301002)
    code = text(body, "response_code", missing=40063)
    row = ResponseCode.objects.filter(code=code, corpid=call.corpid, agentid=call.app.agentid).first()
    if row is None or row.used or call.now >= row.expires_at:
        raise WeComError(42017)
    button, card = part(body, "button"), part(body, "template_card")
    if not button and not card:
        raise WeComError(40063, "button")
    if card:
        check(call, card)
    users, parties = strings(body, "userids", most=1000), numbers(body, "partyids", most=100)
    rows = Message.objects.filter(corpid=call.corpid, kind="app", msgid=row.msgid)
    bad = []
    if number(body, "atall", 0) != 1:
        there = Member.objects.filter(corpid=call.corpid, status=ranges.ACTIVE, userid__in=users)
        known = {userid.lower() for userid in there.values_list("userid", flat=True)}
        bad = [userid for userid in users if userid.lower() not in known]
        known |= {userid.lower() for userid in ranges.members_in(call.corpid, parties)}
        if not known:
            raise WeComError(81013)
        rows = rows.filter(userid__in=list(known))
    replaced = text(button, "replace_name", missing=40063) if button else ""
    for message in rows:
        shown = card or {**message.attachments[0]["template_card"], "replaced_by": replaced}
        message.attachments = [{"msgtype": "template_card", "template_card": shown}]
        message.save(update_fields=["attachments"])
    ResponseCode.objects.filter(pk=row.pk).update(used=True)
    return {"invaliduser": bad} if bad else {}
