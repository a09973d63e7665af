"""The XML of events, and to whom they go.

Only what a person does makes an event; calls of the API do not.
Source: developer.work.weixin.qq.com/document/path/92130
"""

from collections.abc import Callable, Iterable
from typing import Any

from . import clock, delivery, ranges, store
from .models import App

Fields = Iterable[tuple[str, Any]]


def element(name: str, value: Any) -> str:
    """Numbers bare, text in CDATA, a list as Items, a dict as elements of its own."""
    if isinstance(value, dict):  # {"name": value}, or {"name": [value, …]} for several of a name
        parts = [
            (key, one) for key, ones in value.items() for one in (ones if isinstance(ones, list) else [ones])
        ]
        return f"<{name}>{''.join(element(key, one) for key, one in parts)}</{name}>"
    if isinstance(value, list):
        return f"<{name}>{''.join(element('Item', item) for item in value)}</{name}>"
    if isinstance(value, int):
        return f"<{name}>{value}</{name}>"
    text = str(value).replace("]]>", "]]]]><![CDATA[>")
    return f"<{name}><![CDATA[{text}]]></{name}>"


def event_xml(corpid: str, event: str, change_type: str, fields: Fields, *, sender: str = "sys") -> str:
    """A decrypted event as WeCom writes it; fields whose value is None are left out."""
    common: list[tuple[str, Any]] = [
        ("ToUserName", corpid),
        ("FromUserName", sender),
        ("CreateTime", int(clock.now())),
        ("MsgType", "event"),
        ("Event", event),
    ]
    if change_type:
        common.append(("ChangeType", change_type))
    own = [
        (name, value)
        for name, value in fields
        if value is not None or store.quirk("empty_elements") == "empty"
    ]
    if own and own[0][0] == "ChatId" and store.quirk("chat_id_first") == "before":
        common.insert(-1, own.pop(0))
    parts = [element(name, "" if value is None else value) for name, value in [*common, *own]]
    return f"<xml>{''.join(parts)}</xml>"


def emit(
    corpid: str,
    event: str,
    change_type: str,
    fields: Fields | Callable[[App], Fields],
    *,
    userid: str | None = None,
    customer_contact: bool = True,
    agentid: int | None = None,
    sender: str = "sys",
) -> None:
    """Send an event to each app of the corp that may see it.

    Args:
        fields: the event's own elements, or a function of the app (each app has its own welcome code).
        userid: the member it is about; apps that do not see him are left out.
        agentid: only this app; sender: FromUserName, for what a member does in it.
        customer_contact: only for apps listed under 客户联系.
    """
    for app in store.apps_of(corpid):
        if not app.callback_url or (customer_contact and not app.callable):
            continue
        if agentid is not None and app.agentid != agentid:
            continue
        if userid is not None and not ranges.sees(app, userid):
            continue
        own = fields(app) if callable(fields) else fields
        xml = event_xml(corpid, event, change_type, own, sender=sender)
        delivery.send(app, event=event, change_type=change_type, xml=xml)
