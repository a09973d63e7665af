"""Lists that WeCom gives in pages with `cursor` and `next_cursor`."""

from collections.abc import Iterator
from typing import Any

from wecom.client import WeComClient
from wecom.errors import WeComUnavailable


def rows(client: WeComClient, path: str, body: dict[str, Any], field: str) -> Iterator[Any]:
    """All rows of `field`, page after page. A page may be empty or short although more follow: only the
    cursor ends."""
    cursor, seen = "", {""}
    while True:
        answer = client.call("POST", path, body={**body, "cursor": cursor}, repeatable=True)
        yield from answer.get(field) or []
        cursor = answer.get("next_cursor") or ""
        if not cursor:
            return
        if cursor in seen:  # would go round for ever
            raise WeComUnavailable(api=path, errmsg="the cursor came twice")
        seen.add(cursor)
