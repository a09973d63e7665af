"""The lists of guides beside ours: one call per guide tells exactly whom WeCom shows and we do not, and the reverse.

It is the cheapest complete answer that WeCom has: a million relations of two thousand guides are two thousand calls,
where their details are ten thousand. It says nothing of remarks and tags.

Source: developer.work.weixin.qq.com/document/path/92113
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from contacts.models import Follow
from contacts.services.sync.sync_lanes import MEMBER_CODES, PAGE, begin, guides_of, results, rows_of_one
from contacts.services.sync.sync_run import LABELS, Run
from contacts.services.sync.sync_types import Row
from org.models import Corp
from scrm import clock
from tenants.models import Brand
from wecom.api import contacts as api
from wecom.client import client_for
from wecom.errors import WeComError, WeComRejected

log = logging.getLogger(__name__)

STEP_S = 20.0  # a step ends after this, so that others get their turn
LISTS = 25  # guides whose lists are compared at once
MOST_PEOPLE = (
    10_000  # customers to be read one by one: as many as a position holds; they are read before further lists
)

# the whole lists, as one text for each guide: a million ids are not a million rows
_OURS = """
    SELECT staff_id, string_agg(external_userid, E'\\n') FROM contacts_follow
     WHERE brand_id = (SELECT %(b)s) AND staff_id = ANY(%(staff)s) AND ended_at IS NULL AND NOT is_pending GROUP BY 1
"""
# What differs is looked at again, by the index that _FOUND in sync_stage.py takes too. A customer who deleted the guide
# stays in the guide's list, so that relation is not new; pending ones may be there or not; what changed after WeCom
# answered is not judged.
_DIFFER = f"""
    SELECT x.staff_id, x.external_userid, x.is_listed, f.id, f.contact_id
      FROM unnest(%(staff)s::bigint[], %(ids)s::text[], %(listed)s::boolean[]) AS x(staff_id, external_userid, is_listed)
      LEFT JOIN LATERAL (
          SELECT * FROM contacts_follow
           WHERE brand_id = (SELECT %(b)s) AND staff_id = x.staff_id AND external_userid >= x.external_userid
           ORDER BY external_userid LIMIT 1) f ON f.external_userid = x.external_userid
     WHERE CASE WHEN NOT x.is_listed THEN f.ended_at IS NULL AND NOT f.is_pending AND f.changed_at < %(before)s
                ELSE f.id IS NULL OR f.ended_at IS NOT NULL AND f.end_kind <> '{Follow.End.BY_CUSTOMER.value}'
                                     AND f.changed_at < %(before)s END
"""  # noqa: S608


@dataclass(frozen=True)
class ListDifference:
    """Whom the lists show and we do not have: (staff id, external_userid); whom we have and they do not show: (follow
    id, contact id)."""

    unknown: list[tuple[int, str]]
    missing: list[tuple[int, int]]


def ask_lists(corp: Corp, userids: Sequence[str]) -> list[tuple[str, Any]]:
    """Begin to read the lists of some guides, five at a time; `lists_of` has them."""

    def read(userid: str) -> list[str]:
        return api.customers_of(client_for(corp), userid)

    return list(zip(userids, begin(read, userids), strict=True))


def lists_of(corp: Corp, asked: Sequence[tuple[str, Any]]) -> dict[str, list[str] | None]:
    """The lists by userid; None for a guide whom WeCom refuses.

    Raises:
        WeComError: what concerns more than one member.
    """
    lists = results([work for _, work in asked])
    found: dict[str, list[str] | None] = {}
    for (userid, _), own in zip(asked, lists, strict=True):
        if isinstance(own, WeComError):
            if not isinstance(own, WeComRejected) or own.errcode not in MEMBER_CODES:
                raise own
            log.warning("guide %s of corp %s has no list: %r", userid, corp.pk, own)
            own = None
        found[userid] = own
    return found


def compare(brand: Brand, lists: dict[int, list[str]], before: datetime) -> ListDifference:
    """Lists by staff id beside our relations, in the caller's transaction.

    Args:
        before: when WeCom was asked.
    """
    given: dict[str, Any] = {"b": brand.pk, "staff": list(lists), "before": before}
    differs: list[tuple[int, str, bool]] = []
    with connection.cursor() as cursor:
        cursor.execute(_OURS, given)
        ours = dict(cursor.fetchall())
        for staff_id, own in lists.items():
            shown, known = set(own), set(ours.pop(staff_id, "").split("\n")) - {""}
            differs += [(staff_id, one.replace("\x00", ""), True) for one in shown - known]
            differs += [(staff_id, one, False) for one in known - shown]
        if not differs:
            return ListDifference([], [])
        staff, ids, listed = map(list, zip(*differs, strict=True))
        cursor.execute(_DIFFER, {**given, "staff": staff, "ids": ids, "listed": listed})
        rows = cursor.fetchall()
    return ListDifference(
        unknown=[(row[0], row[1]) for row in rows if row[2]],
        missing=[(row[3], row[4]) for row in rows if not row[2]],
    )


def read_customers(corp: Corp, external_userids: Sequence[str], staff_ids: dict[str, int]) -> list[Row]:
    """Relations of some customers with these guides, five calls at a time; who is gone by now has none."""

    def read(external_userid: str) -> list[Row]:
        return rows_of_one(client_for(corp), external_userid, staff_ids)

    found = results(begin(read, external_userids))
    for rows in found:
        if isinstance(rows, WeComError):
            raise rows
    return [row for rows in found for row in rows]


# ---- the stage of a sync


def compare_lists(run: Run) -> None:
    """The lists of some guides, the next ones on their way while these are compared: who is missing is marked, whom we
    do not have is read in the stage after this one, by pages of the guide or one by one."""
    at = run.at
    until = time.monotonic() + STEP_S
    for part, asked_at, asked in _ahead(run):
        lists = lists_of(run.corp, asked)
        at["skipped"] = sorted(
            {*at.get("skipped", []), *(part[u] for u, own in lists.items() if own is None)}
        )
        own = {part[userid]: found for userid, found in lists.items() if found is not None}
        with transaction.atomic():
            found = compare(run.brand, own, asked_at)
            few, many = _by_guide(found.unknown, own)
            at["people"] = sorted({*at.get("people", []), *few})
            at["reread"] = sorted({*at.get("reread", []), *many})
            at["listed"] = max(part.values())
            n = Follow.objects.filter(pk__in=[pk for pk, _ in found.missing], ended_at=None).update(
                missing_in=run.job.pk
            )
            run.save(stage=str(LABELS["lists"]()), result=run.counted(missing=n, lists=len(own)))
        if not run.is_live or time.monotonic() > until:
            return None
        if len(at["people"]) >= MOST_PEOPLE:
            break
    else:
        at.pop("listed", None)
    with transaction.atomic():
        at["only"] = at.pop("reread", [])
        return run.next("contacts" if at["only"] or at.get("people") else "gone")


Part = tuple[dict[str, int], datetime, list[tuple[str, Any]]]


def _ahead(run: Run) -> Iterator[Part]:
    """Guides who were not listed yet, some at a time: userid → id, when WeCom was asked, and what it was asked. The next
    part is always asked before this one is given."""
    waiting: Part | None = None
    after = run.at.get("listed", 0)
    while True:
        with transaction.atomic():
            guides = guides_of(run).filter(pk__gt=after).order_by("pk")
            part = dict(guides.values_list("userid", "pk")[:LISTS])
        skipped = run.at.get("skipped", [])
        asked_at = clock.now()
        asked = ask_lists(run.corp, [userid for userid, pk in part.items() if pk not in skipped])
        if waiting:
            yield waiting
        if not part:
            return
        waiting, after = (part, asked_at, asked), max(part.values())


def _by_guide(unknown: Sequence[tuple[int, str]], lists: dict[int, list[str]]) -> tuple[set[str], list[int]]:
    """Customers to read one by one, and guides of whom all pages are fewer calls than that."""
    by_guide: dict[int, list[str]] = {}
    for staff_id, external_userid in unknown:
        by_guide.setdefault(staff_id, []).append(external_userid)
    many = [pk for pk, ids in by_guide.items() if len(ids) > -(-len(lists[pk]) // PAGE)]
    return {one for pk, ids in by_guide.items() if pk not in many for one in ids}, many
