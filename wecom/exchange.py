"""One HTTP exchange with WeCom: a request goes out, a JSON object (or a file) comes back, or one of our
exceptions.

It stands on urllib3, the layer below `requests`, whose sessions take as long for each call as all the rest. What urllib3
raises never leaves this module, not even as the context of another exception: its texts hold the URL, and the URL holds the
access token or the secret.
"""

import json
import os
import re
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import requests
import urllib3
from requests.adapters import DEFAULT_CA_BUNDLE_PATH
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)
from urllib3.fields import RequestField

from wecom.errors import LostAnswer, WeComUnavailable

CONNECT_S, READ_S = 3.0, 10.0
MAX_ANSWER_BYTES = 32 * 1024 * 1024  # the largest: a file in pieces of 20 MB

_FILENAMES = (
    re.compile(r"filename\*=utf-8''([^;]*)", re.IGNORECASE),
    re.compile(r'filename="?([^";]*)"?', re.IGNORECASE),
)
_RANGE = re.compile(r"bytes \d+-\d+/(\d+)")

_HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": "scrm"}
_JSON = {"Content-Type": "application/json; charset=utf-8"}
# what happened, as the log of calls names it
_NAMES: dict[type[Exception], str] = {
    ConnectTimeoutError: "ConnectTimeout",
    ReadTimeoutError: "ReadTimeout",
    NewConnectionError: "ConnectionError",
    NameResolutionError: "ConnectionError",
    ProtocolError: "ConnectionError",
}

_local = threading.local()


class NotSent(WeComUnavailable):
    """The request never went out, so even a call that must happen once may be tried again."""


def exchange(
    method: str,
    url: str,
    *,
    api: str,
    params: Mapping[str, Any],
    data: bytes | None = None,
    files: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    file: bool = False,
    end: float,
    repeatable: bool,
) -> dict[str, Any]:
    """Send once and read the answer.

    Args:
        files: parts of a form: name → (filename, contents as bytes).
        file: WeCom answers with the file itself, or with JSON when it refuses.
        end: `time.monotonic()` at which the answer must be there; the usual time-outs hold as well.
        repeatable: tells which exception a missing answer becomes.

    Returns:
        the JSON object, with `errcode` always there as an int. Of a file: `content` (bytes), `content_type`,
        `filename`, `total` (bytes of the whole file, when this is a piece of it), errcode 0.

    Raises:
        NotSent, LostAnswer (not repeatable and perhaps done), WeComUnavailable.
    """
    problem: type[WeComUnavailable] = WeComUnavailable if repeatable else LostAnswer
    reason, is_file = "", False
    left = max(0.1, end - time.monotonic())
    try:
        response = _connections(url, fresh=not repeatable).urlopen(
            method,
            _address(url, params),
            **_body(data, files, headers),
            timeout=urllib3.Timeout(min(CONNECT_S, left), min(READ_S, left)),
            redirect=False,  # a redirect would carry the token to another host
            retries=False,
            preload_content=False,
        )
        with response:
            status, content = response.status, _read(response, end)
            if file:
                is_file = _is_file(response.headers)
    except (HTTPError, OSError, ValueError) as error:
        reason = _NAMES.get(type(error), type(error).__name__)
        never_sent = isinstance(error, ConnectTimeoutError)  # refused and no such name, too
    if reason:  # raised here, outside the except block, so that the exception with the URL is not its context
        raise (NotSent if never_sent else problem)(api=api, errmsg=reason)
    if content is None:
        raise problem(api=api, errmsg="the answer is too long or too slow")
    if is_file and status in (200, 206):
        return {"errcode": 0, "content": content, **_about_file(response.headers)}
    if status != 200:
        # a gateway's 5xx says nothing about what the machine behind it did; 3xx and 4xx turned the request
        # away
        raise (problem if status >= 500 else WeComUnavailable)(api=api, errmsg=f"HTTP {status}")
    return _answer(content, api, problem)


def _answer(content: bytes, api: str, problem: type[WeComUnavailable]) -> dict[str, Any]:
    answer: Any = None
    errcode = 0
    try:
        answer = json.loads(content.decode("utf-8", "replace"), strict=False)
        errcode = int(answer.get("errcode", 0))
    except (ValueError, TypeError, AttributeError, RecursionError):
        answer = None
    if answer is None:
        raise problem(api=api, errmsg="the answer is not a JSON object")
    answer["errcode"] = errcode
    return answer


def _is_file(headers: Mapping[str, str]) -> bool:
    """WeCom answers 200 in both cases; only the head tells a file from a refusal."""
    kind = headers.get("Content-Type", "").split(";")[0].strip().lower()
    return "Content-Disposition" in headers or kind not in ("application/json", "text/plain", "text/html", "")


def _about_file(headers: Mapping[str, str]) -> dict[str, Any]:
    disposition = headers.get("Content-Disposition", "")
    name = _FILENAMES[0].search(disposition) or _FILENAMES[1].search(disposition)
    total = _RANGE.match(headers.get("Content-Range", ""))
    text = unquote(name.group(1)) if name else ""
    with suppress(UnicodeError):
        text = text.encode("latin-1").decode()  # plain `filename=` is UTF-8 that was read as Latin-1
    return {
        "content_type": headers.get("Content-Type", "").split(";")[0].strip().lower(),
        "filename": text.rsplit("/", 1)[-1][:200],
        "total": int(total.group(1)) if total else None,
    }


def _address(url: str, params: Mapping[str, Any]) -> str:
    given = {name: value for name, value in params.items() if value is not None}
    return f"{url}{'&' if '?' in url else '?'}{urlencode(given, doseq=True)}" if given else url


def _body(
    data: bytes | None, files: Mapping[str, Any] | None, headers: Mapping[str, str] | None
) -> dict[str, Any]:
    """The body of a request and its headers."""
    if files:
        parts = [RequestField(name, data=content, filename=named) for name, (named, content) in files.items()]
        for part in parts:
            part.make_multipart()
        data, kind = urllib3.encode_multipart_formdata(parts)
        return {"body": data, "headers": {**_HEADERS, "Content-Type": kind, **(headers or {})}}
    return {"body": data, "headers": {**_HEADERS, **(headers or {}), **(_JSON if data is not None else {})}}


def _read(response: urllib3.BaseHTTPResponse, end: float) -> bytes | None:
    """The body, or None if it is too long or comes too slowly (a read time-out alone is renewed by every
    byte)."""
    content = bytearray()
    while chunk := response.read1(65_536, decode_content=True):
        content += chunk
        if len(content) > MAX_ANSWER_BYTES or time.monotonic() > end:
            return None
    return bytes(content)


def _connections(url: str, *, fresh: bool) -> urllib3.PoolManager:
    """This thread's connections (a fork must not share sockets).

    Args:
        url: of WeCom: all calls go to one host.
        fresh: open a new connection. One that WeCom closed while it was idle breaks after the request was
            sent, which
            would leave a call that must happen once without an answer.
    """
    found: urllib3.PoolManager | None = getattr(_local, "connections", None)
    if found is None or _local.pid != os.getpid():
        found = _local.connections = _open(url)
        _local.pid = os.getpid()
    elif fresh:
        found.clear()
    return found


@cache
def _trusted() -> ssl.SSLContext:
    bundle = (
        os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    )
    is_folder = Path(bundle).is_dir()
    return ssl.create_default_context(
        cafile=None if is_folder else bundle, capath=bundle if is_folder else None
    )


def _open(url: str) -> urllib3.PoolManager:
    """Through the environment's proxy, with its certificates; no password file, and no cookies, because corps share the
    connections."""
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    if proxy:
        proxy = requests.utils.prepend_scheme_if_needed(proxy, "http")
        return requests.adapters.HTTPAdapter().proxy_manager_for(proxy, ssl_context=_trusted())
    return urllib3.PoolManager(ssl_context=_trusted())
