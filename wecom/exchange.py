"""One HTTP exchange with WeCom: a request goes out, a JSON object (or a file) comes back, or one of our
exceptions.

What `requests` raises never leaves this module, not even as the context of another exception: its texts hold
the URL, and the URL holds the access token or the secret.
"""

import json
import os
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import unquote

import requests
import urllib3

from wecom.errors import LostAnswer, WeComUnavailable

CONNECT_S, READ_S = 3.0, 10.0
MAX_ANSWER_BYTES = 32 * 1024 * 1024  # the largest: a file in pieces of 20 MB

_FILENAMES = (
    re.compile(r"filename\*=utf-8''([^;]*)", re.IGNORECASE),
    re.compile(r'filename="?([^";]*)"?', re.IGNORECASE),
)
_RANGE = re.compile(r"bytes \d+-\d+/(\d+)")

_JSON = {"Content-Type": "application/json; charset=utf-8"}

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
        files: as for requests; contents as bytes, never file objects (a repeat would send an exhausted one).
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
        response = _session(url, fresh=not repeatable).request(
            method,
            url,
            params=dict(params),
            data=data,
            files=files,
            headers={**(headers or {}), **(_JSON if data is not None else {})},
            timeout=(min(CONNECT_S, left), min(READ_S, left)),
            allow_redirects=False,  # a redirect would carry the token to another host
            stream=True,
        )
        with response:
            status, content = response.status_code, _read(response, end)
            if file:
                is_file = _is_file(response.headers)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        reason, never_sent = type(error).__name__, _never_sent(error)
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


def _read(response: requests.Response, end: float) -> bytes | None:
    """The body, or None if it is too long or comes too slowly (a read time-out alone is renewed by every
    byte)."""
    content = bytearray()
    while chunk := response.raw.read1(65_536, decode_content=True):
        content += chunk
        if len(content) > MAX_ANSWER_BYTES or time.monotonic() > end:
            return None
    return bytes(content)


def _never_sent(error: Exception) -> bool:
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(cause, urllib3.exceptions.NewConnectionError)  # refused, or no such name


def _session(url: str, *, fresh: bool) -> requests.Session:
    """This thread's connections (requests promises nothing across threads, and a fork must not share
    sockets).

    Args:
        url: of WeCom: all calls go to one host.
        fresh: open a new connection. One that WeCom closed while it was idle breaks after the request was
            sent, which
            would leave a call that must happen once without an answer.
    """
    session: requests.Session | None = getattr(_local, "session", None)
    if session is None or _local.pid != os.getpid():
        session = requests.Session()
        # proxies and certificates of the environment, read once and not for every call; no password file
        session.trust_env = False
        session.proxies = requests.utils.get_environ_proxies(url)
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # shared by corps: no cookies
        _local.session, _local.pid = session, os.getpid()
    elif fresh:
        session.close()
    return session
