"""Random ids in the shapes that WeCom's have."""

import base64
import hashlib
import string

from . import chance

_ALPHABET = string.ascii_letters + string.digits + "_-"


def _random(prefix: str, length: int) -> str:
    return prefix + "".join(_ALPHABET[byte & 63] for byte in chance.fresh(length - len(prefix)))


def _hex(n_bytes: int) -> str:
    return chance.fresh(n_bytes).hex()


def _urlsafe(n_bytes: int) -> str:
    return base64.urlsafe_b64encode(chance.fresh(n_bytes)).decode().rstrip("=")


def external_userid(kind: int = 1) -> str:
    """wm… a WeChat user (kind 1), wo… a WeCom user of another corp (kind 2)."""
    return _random("wo" if kind == 2 else "wm", 32)


def seeded(prefix: str, length: int, *parts: object) -> str:
    """The same id for the same parts: generated people keep theirs from run to run."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=length).digest()
    return prefix + "".join(_ALPHABET[byte & 63] for byte in digest[: length - len(prefix)])


def unionid() -> str:
    """o…, 28 characters, as the WeChat open platform gives it."""
    return _random("o", 28)


def tag_id(of_strategy: bool = False) -> str:
    """et…: corp tags and tag groups alike; st… those of rule groups."""
    return _random("st" if of_strategy else "et", 32)


def config_id() -> str:
    """32 hex digits: contact ways and join ways."""
    return _hex(16)


def version() -> str:
    """32 hex digits: the state of a group's members."""
    return _hex(16)


def msgid() -> str:
    """msg…: mass sends, app messages, group welcome templates."""
    return _random("msg", 32)


def media_id() -> str:
    """Opaque, 64 characters."""
    return _random("3", 64)


def token() -> str:
    """An access token, long as WeCom's are (they ask to reserve 512 bytes)."""
    return _urlsafe(160)


def code() -> str:
    """Welcome codes, log-in codes and tickets."""
    return _urlsafe(32)


def chat_id() -> str:
    """wr…: a customer group."""
    return _random("wr", 32)


def link_id() -> str:
    """ca…: an acquisition link."""
    return "cawcde" + _hex(8)


def moment_id() -> str:
    """mom…: a moment."""
    return _random("mom", 32)


def order_no() -> str:
    """Number of a purchase: what a shop would print."""
    return "S" + str(int.from_bytes(chance.fresh(7), "big")).zfill(17)
