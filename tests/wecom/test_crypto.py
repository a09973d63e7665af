"""Callbacks: what WeCom sends is read, and of everything else only BadCallback gets out."""

import base64
import hashlib
import struct
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from wechatpy.enterprise.crypto import WeChatCrypto

from wecom.crypto import (
    MAX_BODY_BYTES,
    BadCallback,
    CallbackTooLarge,
    decrypt_callback,
    parse_event,
    verify_url,
)

TOKEN, KEY, CORP = "QDG6eK", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", "wx5823bf96d3bd56c7"
WHEN = {"timestamp": "1409659813", "nonce": "1372623149"}


def encrypt(plain: bytes, key: str = KEY, pad: bytes | None = None) -> str:
    """As WeCom does, `plain` with its head and tail; `pad` replaces the right padding."""
    raw = base64.b64decode(key + "=")
    n = 32 - len(plain) % 32
    padded = plain + (bytes([n]) * n if pad is None else pad)
    encryptor = Cipher(algorithms.AES(raw), modes.CBC(raw[:16])).encryptor()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()


def framed(message: bytes, receive_id: str = CORP) -> bytes:
    return b"r" * 16 + struct.pack(">I", len(message)) + message + receive_id.encode()


def signed(encrypted: str, token: str = TOKEN, **over: str) -> dict[str, str]:
    parts = sorted([token, WHEN["timestamp"], WHEN["nonce"], encrypted])
    return {**WHEN, "msg_signature": hashlib.sha1("".join(parts).encode()).hexdigest(), **over}


def envelope(encrypted: str) -> bytes:
    return f"<xml><ToUserName>{CORP}</ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>".encode()


def receive(plain: bytes, **kwargs: Any) -> str:
    encrypted = encrypt(plain, **kwargs)
    return decrypt_callback(envelope(encrypted), signed(encrypted), TOKEN, KEY, CORP)


def refused(call: Any, *args: Any) -> str:
    with pytest.raises(BadCallback) as caught:
        call(*args)
    return caught.value.reason


# ---- what WeCom sends


def test_sample_of_the_documentation() -> None:
    echo = "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="
    query = {
        "msg_signature": "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3",
        "timestamp": "1409659589",
        "nonce": "263014780",
        "echostr": echo,
    }
    assert verify_url(query, TOKEN, KEY, CORP) == "1616140317555161061"
    assert verify_url({**query, "echostr": echo.replace("+", " ")}, TOKEN, KEY, CORP) == "1616140317555161061"


@given(text=st.text(max_size=300))
def test_what_was_encrypted_is_read(text: str) -> None:
    message = text.encode("utf-8", "ignore")
    assert receive(framed(message)) == message.decode()


@pytest.mark.parametrize("length", range(32))
def test_every_length_of_padding(length: int) -> None:
    """WeCom pads to 32, so the pad byte goes from 1 to 32; half of them break an unpadder for 16."""
    assert receive(framed(b"x" * length)) == "x" * length


@given(message=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1))
def test_agrees_with_wechatpy(message: str) -> None:
    theirs = WeChatCrypto(TOKEN, KEY, CORP)
    body = theirs.encrypt_message(message, WHEN["nonce"], WHEN["timestamp"])
    encrypted = parse_event(body)["Encrypt"]
    assert decrypt_callback(body.encode(), signed(encrypted), TOKEN, KEY, CORP) == message


def test_query_may_be_djangos() -> None:
    from django.http import QueryDict

    encrypted = encrypt(framed(b"hello"))
    query = QueryDict(mutable=True)
    query.update({**signed(encrypted), "echostr": encrypted})
    assert verify_url(QueryDict(query.urlencode()), TOKEN, KEY, CORP) == "hello"


# ---- what it does not


def test_wrong_signature_token_or_receiver() -> None:
    encrypted = encrypt(framed(b"<xml/>"))
    body = envelope(encrypted)
    good = signed(encrypted)
    assert decrypt_callback(body, good, TOKEN, KEY, CORP) == "<xml/>"
    for bad in (
        {**good, "msg_signature": good["msg_signature"].upper()},
        {**good, "msg_signature": good["msg_signature"][:-1]},
        {**good, "msg_signature": ""},
        {**good, "msg_signature": "签名" * 20},
        {**good, "nonce": "1"},
        {**good, "timestamp": "1"},
        {},
    ):
        assert refused(decrypt_callback, body, bad, TOKEN, KEY, CORP) == "signature"
    assert refused(decrypt_callback, body, good, "other", KEY, CORP) == "signature"
    assert refused(decrypt_callback, body, good, TOKEN, KEY, "ww0000000000000000") == "receive_id"
    assert refused(decrypt_callback, body, good, TOKEN, KEY[:-1], CORP) == "key"
    assert refused(decrypt_callback, body, good, TOKEN, "中" * 43, CORP) == "key"
    other_key = KEY[::-1]
    assert refused(decrypt_callback, body, good, TOKEN, other_key, CORP) in {
        "padding",
        "length",
        "receive_id",
    }


@pytest.mark.parametrize(
    ("plain", "pad", "reason"),
    [
        (framed(b"x" * 22), b"\0\0\0\0", "padding"),
        (framed(b"x" * 22), b"\x04\x04\x04\x21", "padding"),  # more than 32
        (framed(b"x" * 22), b"\x04\x03\x04\x04", "padding"),
        (b"", b"\x10" * 16, "length"),
        (b"r" * 16 + b"\0\0\0", None, "length"),
        (b"r" * 16 + b"\xff\xff\xff\xff" + b"message" + CORP.encode(), None, "length"),
        (b"r" * 16 + struct.pack(">I", 3) + b"message" + CORP.encode(), None, "receive_id"),
        (framed(b"\xff\xfe"), None, "text"),
        (framed(b"hello", ""), None, "receive_id"),
    ],
)
def test_rightly_signed_rubbish(plain: bytes, pad: bytes | None, reason: str) -> None:
    assert refused(lambda: receive(plain, pad=pad)) == reason


@pytest.mark.parametrize("text", ["", "x", "====", "AAAA", "AAAA AAAA", "ä", "QUJD" * 5, "A" * 10_001])
def test_signed_but_not_encrypted(text: str) -> None:
    query = {**signed(text), "echostr": text}
    assert refused(verify_url, query, TOKEN, KEY, CORP) in {"base64", "cipher", "signature", "padding"}


def test_size() -> None:
    assert refused(decrypt_callback, b"<" * (MAX_BODY_BYTES + 1), {}, TOKEN, KEY, CORP) == "too_large"
    with pytest.raises(CallbackTooLarge):
        decrypt_callback(b"x" * 2 * MAX_BODY_BYTES, {}, TOKEN, KEY, CORP)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        b"<xml>",
        b"<xml><Encrypt>abc</xml>",
        b'{"encrypt": "abc"}',
        b"<xml><Encrypt/></xml>",
        b"<xml><Encrypt>a</Encrypt><Encrypt>b</Encrypt></xml>",
        b"<xml><Encrypt><A>a</A></Encrypt></xml>",
        b"<xml><A/></xml>",
        b"<Encrypt>abc</Encrypt>",
        b'<?xml version="1.0" encoding="utf-7"?><xml/>',
        "<xml>中</xml>".encode("utf-16"),
        b"<xml>" * 200_000,
    ],
)
def test_bodies_that_are_no_envelope(body: bytes) -> None:
    assert refused(decrypt_callback, body, {}, TOKEN, KEY, CORP) in {"xml", "no_encrypt"}


BOMBS = [
    '<!DOCTYPE xml [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><xml><Encrypt>&b;</Encrypt></xml>',
    '<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><Encrypt>&a;</Encrypt></xml>',
    '<!DOCTYPE xml SYSTEM "http://example.com/x.dtd"><xml><Encrypt>a</Encrypt></xml>',
    "<!DOCTYPE xml><xml><Encrypt>a</Encrypt></xml>",
    "<xml><Encrypt>&undefined;</Encrypt></xml>",
]


@pytest.mark.parametrize("xml", BOMBS)
def test_xml_bombs(xml: str) -> None:
    assert refused(decrypt_callback, xml.encode(), {}, TOKEN, KEY, CORP) == "xml"
    assert refused(parse_event, xml) == "xml"


@settings(max_examples=300)
@given(
    body=st.binary(max_size=300)
    | st.binary(max_size=60).map(lambda b: b"<xml><Encrypt>" + b + b"</Encrypt></xml>"),
    query=st.dictionaries(st.sampled_from(["msg_signature", "timestamp", "nonce", "echostr"]), st.text()),
    token=st.text(),
    key=st.text() | st.just(KEY),
)
def test_only_bad_callback_gets_out(body: bytes, query: dict[str, str], token: str, key: str) -> None:
    refused(decrypt_callback, body, query, token, key, CORP)
    refused(verify_url, query, token, key, CORP)


@settings(max_examples=300)
@given(blocks=st.binary(max_size=200), text=st.text(max_size=50))
def test_only_bad_callback_gets_out_behind_the_signature(blocks: bytes, text: str) -> None:
    """Whoever knows the token but not the key."""
    for encrypted in (base64.b64encode(blocks).decode(), text):
        try:
            signature = signed(encrypted)
        except UnicodeEncodeError:
            continue
        refused(verify_url, {**signature, "echostr": encrypted}, TOKEN, KEY, CORP)


@given(text=st.text())
def test_parse_event_of_anything(text: str) -> None:
    for xml in (text, f"<xml>{text}</xml>", f"<xml><A>{text}</A></xml>"):
        try:
            assert isinstance(parse_event(xml), dict)
        except BadCallback as error:
            assert error.reason == "xml"


# ---- events


def test_event_of_an_arrival() -> None:
    event = parse_event(
        """<xml>
          <ToUserName><![CDATA[ww1]]></ToUserName>
          <CreateTime>1403610513</CreateTime>
          <ChangeType><![CDATA[add_external_contact]]></ChangeType>
          <State><![CDATA[a&b<c>]]></State>
          <Source/>
        </xml>"""
    )
    assert event == {
        "ToUserName": "ww1",
        "CreateTime": "1403610513",
        "ChangeType": "add_external_contact",
        "State": "a&b<c>",
        "Source": "",
    }


@pytest.mark.parametrize(
    ("inner", "members"),
    [
        ("<Item>wmA</Item><Item>zhangsan</Item>", ["wmA", "zhangsan"]),
        ("<Item>wmA</Item>", ["wmA"]),
        ("", []),
        ("\n  ", []),
        ("wmA", ["wmA"]),  # older deliveries
    ],
)
def test_lists_stay_lists(inner: str, members: list[str]) -> None:
    event = parse_event(f"<xml><MemChangeList>{inner}</MemChangeList></xml>")
    assert event["MemChangeList"] == members


def test_nested_events() -> None:
    event = parse_event(
        "<xml><BatchJob><JobId>1</JobId><ErrCode>0</ErrCode></BatchJob>"
        "<SelectedItems><SelectedItem><QuestionKey>q</QuestionKey>"
        "<OptionIds><OptionId>a</OptionId><OptionId>b</OptionId></OptionIds></SelectedItem></SelectedItems>"
        "<A>1</A><A>2</A></xml>"
    )
    assert event == {
        "BatchJob": {"JobId": "1", "ErrCode": "0"},
        "SelectedItems": [{"QuestionKey": "q", "OptionIds": ["a", "b"]}],
        "A": ["1", "2"],
    }
