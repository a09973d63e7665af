"""Callbacks from WeCom: signature, decryption, XML. A stranger's bytes in, text or `BadCallback` out.

Written on `cryptography` and expat: wechatpy's own WeChatCrypto compares signatures in variable time, does
not look at the padding, and lets a dozen kinds of exceptions out.

Source: developer.work.weixin.qq.com/document/path/90968 (algorithm), 90238 (envelope)
"""

import base64
import hashlib
import hmac
import struct
from collections.abc import Mapping
from typing import Any
from xml.parsers import expat

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

MAX_BODY_BYTES = 1024 * 1024
MAX_DEPTH = 8  # the deepest documented event has 5
BLOCK = 32  # WeCom pads to 32 bytes, not to the cipher's 16

# elements that hold a list even when it has one item or none
_LISTS = {"MemChangeList", "SelectedItems", "OptionIds", "ExtAttr"}

Event = dict[str, Any]  # values: str, list or dict


class BadCallback(Exception):
    """Not a callback of this corp. `reason` is a short stable word for counting, never what was sent.

    Reasons: too_large, xml, no_encrypt, signature, key, base64, cipher, padding, length, receive_id, text.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CallbackTooLarge(BadCallback):
    """More than 1 MB; real ones have a few kB."""

    def __init__(self) -> None:
        super().__init__("too_large")


def verify_url(query: Mapping[str, str], token: str, aes_key: str, receive_id: str) -> str:
    """Answer to WeCom's check of the callback address (GET): send it back as the whole body, within one
    second.

    Args:
        query: msg_signature, timestamp, nonce, echostr, percent-decoded.
        token, aes_key: of the console page where this address stands.
        receive_id: the corp id.

    Raises:
        BadCallback
    """
    echo = query.get("echostr", "").replace(" ", "+")  # some proxies decode + twice
    _check_signature(query, token, echo)
    return _decrypt(echo, aes_key, receive_id)


def decrypt_callback(body: bytes, query: Mapping[str, str], token: str, aes_key: str, receive_id: str) -> str:
    """The event XML in a callback (POST); arguments as for `verify_url`.

    An old timestamp is accepted: WeCom repeats a delivery with its first timestamp and nonce, and the inbox
    stores an event once.

    Raises:
        CallbackTooLarge, BadCallback
    """
    if len(body) > MAX_BODY_BYTES:
        raise CallbackTooLarge
    encrypted = _parse(body).get("Encrypt")
    if not isinstance(encrypted, str) or not encrypted:
        raise BadCallback("no_encrypt")
    _check_signature(query, token, encrypted)
    return _decrypt(encrypted, aes_key, receive_id)


def parse_event(xml: str) -> Event:
    """A decrypted event as WeCom's names → str; lists of `<Item>` and the like → list; other nested elements
    → dict.

    An element that is missing and one that is empty mean the same: read with `.get(name) or ""`.

    Raises:
        BadCallback: not XML, a DOCTYPE (XML bomb), nested too deeply.
    """
    try:
        return _parse(xml.encode())
    except UnicodeEncodeError:
        raise BadCallback("xml") from None


def _check_signature(query: Mapping[str, str], token: str, encrypted: str) -> None:
    parts = sorted([token, query.get("timestamp", ""), query.get("nonce", ""), encrypted])
    text = "".join(parts).encode("utf-8", "replace")
    expected = hashlib.sha1(text, usedforsecurity=False).hexdigest()  # WeCom's choice
    given = query.get("msg_signature", "").encode("utf-8", "replace")
    if not hmac.compare_digest(expected.encode(), given):
        raise BadCallback("signature")


def _decrypt(encrypted: str, aes_key: str, receive_id: str) -> str:
    """Random 16 bytes, 4 bytes length, message, receive id; AES-256-CBC, padded to 32. The signature is
    checked before, so nobody learns anything from how this fails."""
    key = _key(aes_key)
    try:
        cipher_text = base64.b64decode(encrypted.strip(), validate=True)
    except ValueError:
        raise BadCallback("base64") from None
    if not cipher_text or len(cipher_text) % 16:
        raise BadCallback("cipher")
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    padded = decryptor.update(cipher_text) + decryptor.finalize()
    n = padded[-1]
    if not 1 <= n <= BLOCK or n > len(padded) or padded[-n:] != bytes([n]) * n:
        raise BadCallback("padding")
    plain = padded[:-n]
    if len(plain) < 20:
        raise BadCallback("length")
    (size,) = struct.unpack(">I", plain[16:20])
    if size > len(plain) - 20:
        raise BadCallback("length")
    message, receiver = plain[20 : 20 + size], plain[20 + size :]
    if not hmac.compare_digest(receiver, receive_id.encode()):
        raise BadCallback("receive_id")
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise BadCallback("text") from None


def _key(aes_key: str) -> bytes:
    """32 bytes from the 43 characters of the console's EncodingAESKey."""
    try:
        key = base64.b64decode(aes_key + "=", validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise BadCallback("key")
    return key


def _parse(xml: bytes) -> Event:
    """XML without a DOCTYPE, so without entities to expand or files to read, and not deeper than
    `MAX_DEPTH`."""
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    root: Event = {}
    open_: list[tuple[str, Event, list[str]]] = []  # name, children, text

    def refuse(*_: Any) -> None:
        raise BadCallback("xml")

    def start(name: str, _attributes: Any) -> None:
        if len(open_) >= MAX_DEPTH:
            raise BadCallback("xml")
        open_.append((name, {}, []))

    def end(_name: str) -> None:
        name, children, text = open_.pop()
        value = _value(name, children, "".join(text))
        if not open_:
            root.update(children)
            return
        siblings = open_[-1][1]
        if name not in siblings:
            siblings[name] = value
        elif isinstance(siblings[name], _Several):
            siblings[name].append(value)
        else:
            siblings[name] = _Several([siblings[name], value])

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda data: open_[-1][2].append(data)
    try:
        parser.Parse(xml, True)
    except expat.ExpatError:
        raise BadCallback("xml") from None
    return root


class _Several(list[Any]):
    """Elements of one name beside each other."""


def _value(name: str, children: Event, text: str) -> Any:
    if name in _LISTS:
        found = [
            v for value in children.values() for v in (value if isinstance(value, _Several) else [value])
        ]
        return found or ([text.strip()] if text.strip() else [])  # older deliveries put text without Item
    return children or text
