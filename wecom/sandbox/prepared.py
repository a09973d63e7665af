"""Answers of `batch/get_by_user` prepared beforehand: the JSON of each relation, kept as it is served.

For tests of load: a million relations are then read as fast as a disk gives them. What changes a relation, its customer
or its tags throws its JSON away (triggers of the database), and the page is put together from the tables again.
"""

import json
from collections.abc import Sequence
from typing import Any

from django.db import connection

from . import store
from .models import Corp, Customer, Follow
from .quirks import QUIRKS

BASE = "\ue000"  # stands for the address under which the caller reaches the sandbox
SLICE = 5_000
AS_SHIPPED = (
    "short_pages",
    "lost_in_lists",
    "success_errcode",
    "last_cursor",
)  # quirks that the bytes follow

_PAGE = (
    "SELECT f.id, p.body FROM sandbox_follow f LEFT JOIN sandbox_prepared p ON p.follow = f.id"
    " WHERE f.corpid = %s AND f.userid = %s AND f.id > %s ORDER BY f.id LIMIT %s"
)


def prepare(corpid: str) -> dict[str, int]:
    """Prepare all relations of a corp that are not yet; gives how many are now."""
    corp: Corp = store.corp(corpid)
    last: int | None = 0
    while last is not None:
        with store.writing():  # nobody changes them between the reading and the keeping
            last = _prepare(corp, last)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM sandbox_prepared p JOIN sandbox_follow f ON f.id = p.follow WHERE f.corpid = %s",
            [corpid],
        )
        return {"prepared": cursor.fetchone()[0]}


def _prepare(corp: Corp, last: int) -> int | None:
    """The relations after one; the last of them, None when there were no more."""
    from .api.contacts import relation, tags_of

    rows = list(Follow.objects.filter(corpid=corp.corpid, id__gt=last).order_by("id")[:SLICE])
    if not rows:
        return None
    names = {row.external_userid for row in rows}
    people = {
        one.external_userid: one
        for one in Customer.objects.filter(corpid=corp.corpid, external_userid__in=names)
    }
    tags = tags_of([row.pk for row in rows])
    bodies = [
        (
            row.pk,
            store.as_json(relation(corp, row, people[row.external_userid], tags.get(row.pk, []), BASE)),
        )
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT OR REPLACE INTO sandbox_prepared (follow, body) VALUES (%s, %s)", bodies)
    return rows[-1].pk


def page(
    corpid: str, userids: Sequence[str], position: Sequence[Any] | None, limit: int
) -> list[tuple[int, int, str]]:
    """Up to limit + 1 of (place in the list, relation, JSON) after a position; none if not all of them are prepared."""
    if any(store.quirk(name) != QUIRKS[name].default for name in AS_SHIPPED):
        return []
    place, last = (int(position[0]), int(position[1])) if position else (0, 0)
    found: list[tuple[int, int, str]] = []
    with connection.cursor() as cursor:
        while place < len(userids) and len(found) <= limit:
            cursor.execute(_PAGE, [corpid, userids[place], last, limit + 1 - len(found)])
            for follow, body in cursor.fetchall():
                if body is None:
                    return []
                found.append((place, follow, body))
            place, last = place + 1, 0
    return found


def answer(bodies: Sequence[str], next_cursor: str, base_url: str) -> bytes:
    """The whole answer of a page."""
    rows = ", ".join(bodies).replace(BASE, base_url)
    head = '{"errcode": 0, "errmsg": "ok", "external_contact_list": ['
    return f'{head}{rows}], "next_cursor": {json.dumps(next_cursor)}}}'.encode()
