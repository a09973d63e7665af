"""The signed tail of a tracked link, `/l/<key>/<token>/`: who sent it, with which message, whose visit it was shared from,
or which customer passes it on. Pure. It is no identity: a link can be passed on, so the person who opens it is known only by
WeCom's OAuth.

A token is a type, numbers of 7 bits a byte, and 8 bytes of HMAC over brand, key and all of it; URL-safe base64 without
padding, about 20 characters.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from django.conf import settings

_MAC = 8
_SENT, _SHARED, _PASSED = 1, 2, 3


@dataclass(frozen=True)
class Sent:
    """The link as it was sent: by whom, in what; 0 is 'none'. `via` is content.models.Via."""

    staff_id: int = 0
    send_task_id: int = 0
    touch_id: int = 0
    via: int = 0


@dataclass(frozen=True)
class Shared:
    """The link as the browser of a visit shows it: whoever else opens it got it from there."""

    visit_id: int
    visit_at: int  # microseconds since 1970: visits are partitioned by time


@dataclass(frozen=True)
class Passed:
    """The link as a customer passes it on, on a poster of their own; for their guide, or 0."""

    contact_id: int
    staff_id: int = 0


Told = Sent | Shared | Passed


def pack(brand_id: int, key: str, what: Told) -> str:
    if isinstance(what, Sent):
        numbers = [_SENT, what.via, what.staff_id, what.send_task_id, what.touch_id]
        while len(numbers) > 2 and not numbers[-1]:
            numbers.pop()
    elif isinstance(what, Passed):
        numbers = [_PASSED, what.contact_id, what.staff_id]
    else:
        numbers = [_SHARED, what.visit_id, what.visit_at]
    body = b"".join(_varint(n) for n in numbers)
    return base64.urlsafe_b64encode(body + _sign(brand_id, key, body)).decode().rstrip("=")


def unpack(brand_id: int, key: str, token: str) -> Told | None:
    """None for anything that was not made by `pack` for this brand and link."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    body, mac = raw[:-_MAC], raw[-_MAC:]
    if not body or len(raw) > 80 or not hmac.compare_digest(mac, _sign(brand_id, key, body)):
        return None
    kind, *numbers = _numbers(body)
    if kind == _SENT:
        via, staff, task, touch = (numbers + [0] * 4)[:4]
        return Sent(staff_id=staff, send_task_id=task, touch_id=touch, via=via)
    if kind == _SHARED and len(numbers) == 2:
        return Shared(*numbers)
    if kind == _PASSED and len(numbers) == 2:
        return Passed(*numbers)
    return None


def _sign(brand_id: int, key: str, body: bytes) -> bytes:
    secret = hashlib.sha256(b"content.tokens:" + settings.SECRET_KEY.encode()).digest()
    return hmac.digest(secret, f"{brand_id}:{key}:".encode() + body, "sha256")[:_MAC]


def _varint(n: int) -> bytes:
    if n < 0:
        raise ValueError("numbers of a token are not below zero")
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _numbers(body: bytes) -> list[int]:
    found, n, shift = [], 0, 0
    for byte in body:
        n |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            found.append(n)
            n, shift = 0, 0
    return found
