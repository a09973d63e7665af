"""One call of the API, as the handlers see it, with the readers of its parameters."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from . import ranges, store
from .errors import WeComError
from .models import App, Corp, Member

LARGEST = 2**40  # numbers beyond it are nobody's seconds, bytes or orders

Answer = dict[str, Any] | HttpResponse


@dataclass
class Call:
    """A request whose token was accepted. `body` is {} when it was no JSON object, as with WeCom."""

    request: HttpRequest
    app: App
    corp: Corp
    now: float
    query: dict[str, str]
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def corpid(self) -> str:
        return self.corp.corpid

    @property
    def base_url(self) -> str:
        """Address under which the caller reached the sandbox."""
        return f"{self.request.scheme}://{self.request.get_host()}"


@dataclass(frozen=True)
class Api:
    """A row of the table of paths.

    Args:
        needs: "app" any app, "customer" an app listed under 客户联系, "contacts" the contact-sync secret,
            "provider" nobody here: apps of third parties only,
            "none" no token at all (the handler then gets app and corp of nobody).
        empty: list fields that errors carry too.
        writes: run inside a transaction of the one writer.
    """

    method: str
    handler: Callable[..., Answer]
    needs: str = "app"
    empty: tuple[str, ...] = ()
    writes: bool = False


def parse_body(request: HttpRequest) -> dict[str, Any]:
    """The JSON object of a POST, or {}."""
    if request.method != "POST" or (request.content_type or "").startswith("multipart/"):
        return {}
    try:
        body = json.loads(request.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def text(body: dict[str, Any], key: str, *, missing: int | None = None, most: int | None = None) -> str:
    """A string parameter; `missing`: errcode when it is absent or empty; `most`: characters (40058)."""
    value = body.get(key)
    if value is None or value == "":
        if missing is not None:
            raise WeComError(missing, key if missing == 40063 else "")
        return ""
    if not isinstance(value, str):
        raise WeComError(40058, f"{key} should be a string")
    if most is not None and len(value) > most:
        raise WeComError(40058, f"{key} exceeds {most} characters")
    return value


def number(body: dict[str, Any], key: str, default: int | None = None, *, missing: int = 40063) -> int:
    """An integer parameter."""
    value = body.get(key)
    if value is None or value == "":
        if default is None:
            raise WeComError(missing, key)
        return default
    try:
        found = value if type(value) is int else int(str(value))
    except ValueError:
        raise WeComError(40058, f"{key} should be a number") from None
    if abs(found) > LARGEST:
        raise WeComError(40058, f"{key} is out of range")
    return found


def strings(body: dict[str, Any], key: str, *, most: int | None = None) -> list[str]:
    """A list of strings, [] when absent; anything else is 40058 (a string in place of a list too)."""
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or set(map(type, value)) - {str}:  # perhaps thousands, all out of JSON
        raise WeComError(40058, f"{key} should be an array of strings")
    if most is not None and len(value) > most:
        raise WeComError(40058, f"{key} exceeds {most} items")
    return value


def numbers(body: dict[str, Any], key: str, *, most: int | None = None) -> list[int]:
    """A list of integers, [] when absent."""
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(type(item) is int and abs(item) <= LARGEST for item in value):
        raise WeComError(40058, f"{key} should be an array of integers")
    if most is not None and len(value) > most:
        raise WeComError(40058, f"{key} exceeds {most} items")
    return value


def page_size(body: dict[str, Any], *, default: int, most: int, over: str) -> int:
    """`limit` of a page. over: what a larger one becomes, "most" or "default" (it differs per API)."""
    limit = number(body, "limit", default)
    if limit <= 0:
        return default
    if limit > most:
        return most if over == "most" else default
    return limit


def make_cursor(*position: Any) -> str:
    """A position as an opaque string."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def read_cursor(body: dict[str, Any], length: int) -> list[Any] | None:
    """The position a cursor carries, None at the start; anything not ours is 50100."""
    cursor = body.get("cursor")
    if not cursor:
        return None
    try:
        position = json.loads(base64.urlsafe_b64decode(str(cursor) + "=" * (-len(str(cursor)) % 4)))
    except (ValueError, binascii.Error):
        raise WeComError(50100) from None
    if not isinstance(position, list) or len(position) != length:
        raise WeComError(50100)
    return position


def cut_page(
    rows: Iterable[Any], limit: int, position: Callable[[Any], Sequence[Any]]
) -> tuple[list[Any], str]:
    """(rows of this page, next_cursor) of a query that asked for limit + 1 rows."""
    found = list(rows)
    if len(found) > limit and limit > 1 and store.quirk("short_pages") == "short":
        limit -= len(found) % 3 % limit
    page = found[:limit]
    return page, make_cursor(*position(page[-1])) if len(found) > limit else ""


def newest(body: dict[str, Any], rows: QuerySet, limit: int, *, within_s: int) -> tuple[list[Any], str]:
    """(rows of this page, next_cursor) of the lists of mass sends and moments: by time, kind and creator, newest first.

    Args:
        rows: with `created_at`, `create_type` and `creator`.
        within_s: the longest span that may be asked for.
    """
    start, end = number(body, "start_time"), number(body, "end_time")
    if end < start or end - start > within_s:
        raise WeComError(40058)
    rows = rows.filter(created_at__gte=start, created_at__lt=end + 1).order_by("-id")
    kind = number(body, "filter_type", 2)
    if kind in (0, 1):
        rows = rows.filter(create_type=kind)
    if creator := text(body, "creator"):
        rows = rows.filter(creator=creator)
    if position := read_cursor(body, 1):
        rows = rows.filter(id__lt=position[0])
    return cut_page(rows[: limit + 1], limit, lambda row: [row.pk])


def member(call: Call, userid: str, *, unknown: int = 60111) -> Member:
    """A member in the app's visible range who has not left."""
    if not userid:
        raise WeComError(41009)
    found = ranges.find(call.corpid, userid)
    if found is None:
        raise WeComError(unknown)
    if not ranges.sees(call.app, found.userid):
        raise WeComError(60011)
    return found


def serving_member(call: Call, userid: str, *, unknown: int = 60111) -> Member:
    """The same, who also has the customer-contact right (84074)."""
    found = member(call, userid, unknown=unknown)
    if not found.has_contact_right:
        raise WeComError(84074)
    return found
