"""Callbacks as WeCom sends them, for tests through the real view: signed and encrypted by the sandbox's own
code."""

import itertools
import secrets
import time
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.test import Client

from org.models import Corp
from wecom.sandbox.crypto import encrypt, signature

CONTACT = "change_external_contact"
_moments = itertools.count(1)


def event_xml(
    corp: Corp, change_type: str, event: str = CONTACT, at: int | None = None, **elements: Any
) -> str:
    """The decrypted XML of an event; `at` in seconds since 1970."""
    common = {
        "ToUserName": corp.corpid,
        "FromUserName": "sys",
        "CreateTime": int(time.time()) if at is None else at,
        "MsgType": "event",
        "Event": event,
        **({"ChangeType": change_type} if change_type else {}),
    }
    inner = "".join(f"<{k}><![CDATA[{v}]]></{k}>" for k, v in {**common, **elements}.items())
    return f"<xml>{inner}</xml>"


def signed(corp: Corp, encrypted: str, *, timestamp: int | None = None, **over: str) -> dict[str, str]:
    """Query of a delivery; `over` falsifies parts of it."""
    stamp, nonce = str(int(time.time()) if timestamp is None else timestamp), secrets.token_hex(5)
    query = {"timestamp": stamp, "nonce": nonce}
    query["msg_signature"] = signature(
        token=over.pop("token", corp.callback_token), timestamp=stamp, nonce=nonce, encrypted=encrypted
    )
    return {**query, **over}


def envelope(encrypted: str, corpid: str = "") -> str:
    return (
        f"<xml><ToUserName><![CDATA[{corpid}]]></ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    )


def address(corp: Corp) -> str:
    return f"/wecom/callback/{corp.callback_path}/"


def post_raw(
    corp: Corp, body: str | bytes, query: dict[str, str], *, client: Client | None = None, **extra: Any
) -> HttpResponse:
    """POST anything to the callback address of a corp."""
    url = f"{address(corp)}?{urlencode(query)}"
    return (client or Client()).post(url, body, content_type="text/xml", **extra)  # type: ignore[return-value]


def post_xml(
    corp: Corp, xml: str, *, receive_id: str | None = None, aes_key: str | None = None, **over: Any
) -> HttpResponse:
    """Deliver an event; `receive_id`, `aes_key` and `over` (parts of the query) falsify it."""
    encrypted = encrypt(
        xml.encode(),
        aes_key=aes_key or corp.callback_aes_key,
        receive_id=corp.corpid if receive_id is None else receive_id,
    )
    return post_raw(corp, envelope(encrypted, corp.corpid), signed(corp, encrypted, **over))


def post_event(corp: Corp, change_type: str, event: str = CONTACT, **elements: Any) -> HttpResponse:
    """Deliver `change_external_contact`/`change_type`, or another event."""
    return post_xml(corp, event_xml(corp, change_type, event, **elements))
