"""The lists of guides beside ours: one call per guide tells exactly whom WeCom shows and we do not, and the reverse.

It is the cheapest complete answer that WeCom has: a million relations of two thousand guides are two thousand calls,
where their details are ten thousand. It says nothing of remarks and tags.

Source: developer.work.weixin.qq.com/document/path/92113
"""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from contacts.models import Follow
from contacts.services.sync_lanes import MEMBER_CODES, PAGE, guides_of, in_threads
from contacts.services.sync_merge import merge
from contacts.services.sync_rows import escaped, rows_of_customer
from contacts.services.sync_run import LABELS, Run
from contacts.services.sync_types import Conflict, Row
from org.models import Corp, Staff
from scrm import clock
from tenants.models import Brand
from wecom.api import contacts as api
from wecom.client import client_for
from wecom.errors import WeComError, WeComRejected

log = logging.getLogger(__name__)

LISTS = 25  # guides in a step
NOT_OURS = (84061, 40096)  # nobody in the app's visible range has them (any more), or unknown

_LIST = "CREATE TEMP TABLE sync_list (staff_id bigint, external_userid text) ON COMMIT DROP"
# A customer who deleted the guide stays in the guide's list, so that relation is not new; pending ones may be there
# or not; what changed after WeCom answered is not judged.
_DIFFER = f"""
    SELECT l.staff_id, l.external_userid, f.id, f.contact_id
      FROM sync_list l
      FULL JOIN (
          SELECT id, contact_id, staff_id, external_userid, ended_at, end_kind, changed_at, is_pending
            FROM contacts_follow WHERE brand_id = %(b)s AND staff_id = ANY(%(staff)s)
      ) f ON f.staff_id = l.staff_id AND f.external_userid = l.external_userid
     WHERE f.id IS NULL
        OR l.staff_id IS NULL AND f.ended_at IS NULL AND NOT f.is_pending AND f.changed_at < %(before)s
        OR l.staff_id IS NOT NULL AND f.ended_at IS NOT NULL AND f.end_kind <> '{Follow.End.BY_CUSTOMER.value}'
           AND f.changed_at < %(before)s
"""  # noqa: S608


@dataclass(frozen=True)
class ListDifference:
    """Whom the lists show and we do not have: (staff id, external_userid); whom we have and they do not show: (follow
    id, contact id)."""

    unknown: list[tuple[int, str]]
    missing: list[tuple[int, int]]


def read_lists(corp: Corp, userids: Sequence[str]) -> dict[str, list[str] | None]:
    """The lists of some guides, five at a time; None for a guide whom WeCom refuses.

    Raises:
        WeComError: what concerns more than one member.
    """
    lists = in_threads(lambda userid: api.customers_of(client_for(corp), userid), userids)
    found: dict[str, list[str] | None] = {}
    for userid, own in zip(userids, lists, strict=True):
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
    lines = [f"{staff_id}\t{escaped(one)}\n" for staff_id, own in lists.items() for one in set(own)]
    with connection.cursor() as cursor:
        cursor.execute(_LIST)
        cursor.copy_expert("COPY sync_list FROM STDIN", io.BytesIO("".join(lines).encode()))
        cursor.execute(_DIFFER, {"b": brand.pk, "staff": list(lists), "before": before})
        rows = cursor.fetchall()
        cursor.execute("DROP TABLE sync_list")
    return ListDifference(
        unknown=[(row[0], row[1]) for row in rows if row[0] is not None],
        missing=[(row[2], row[3]) for row in rows if row[0] is None],
    )


def read_customers(corp: Corp, external_userids: Sequence[str], staff_ids: dict[str, int]) -> list[Row]:
    """Relations of some customers with these guides, five calls at a time; who is gone by now has none."""

    def read(external_userid: str) -> list[Row]:
        seen_s = clock.now().timestamp()
        try:
            customer = api.customer(client_for(corp), external_userid)
        except WeComRejected as error:
            if error.errcode in NOT_OURS:
                return []
            raise
        return rows_of_customer(customer, staff_ids, seen_s)

    found = in_threads(read, external_userids)
    for rows in found:
        if isinstance(rows, WeComError):
            raise rows
    return [row for rows in found for row in rows]


# ---- the stage of a sync


def compare_lists(run: Run) -> None:
    """Some guides: who is missing is marked, whom we do not have is read."""
    at = run.at
    with transaction.atomic():
        guides = guides_of(run).filter(pk__gt=at.get("listed", 0)).order_by("pk")
        part = dict(guides.values_list("userid", "pk")[:LISTS])
        skipped = set(at.get("skipped", []))
        if not part:
            at["only"] = at.pop("reread", [])
            at.pop("listed", None)
            return run.next("contacts" if at["only"] else "gone")
    asked_at = clock.now()
    lists = read_lists(run.corp, [userid for userid, pk in part.items() if pk not in skipped])
    at["skipped"] = sorted(skipped | {part[userid] for userid, own in lists.items() if own is None})
    own = {part[userid]: found for userid, found in lists.items() if found is not None}
    with transaction.atomic():
        found = compare(run.brand, own, asked_at)
    few, many = _by_guide(found.unknown, own)
    rows = _read_few(run, few)
    at["reread"] = sorted({*at.get("reread", []), *many})
    at["listed"] = max(part.values())
    for careful in (False, True):
        try:
            with transaction.atomic():
                merged = merge(run.brand, run.corp, rows, careful=careful)
                n = Follow.objects.filter(pk__in=[pk for pk, _ in found.missing], ended_at=None).update(
                    missing_in=run.job.pk
                )
                counts = {**vars(merged), "missing": n, "lists": len(own)}
                return run.save(stage=str(LABELS["lists"]()), result=run.counted(**counts))
        except Conflict:
            if careful:
                raise
            with transaction.atomic():
                run.job.refresh_from_db()
    return None


def _by_guide(unknown: Sequence[tuple[int, str]], lists: dict[int, list[str]]) -> tuple[list[str], list[int]]:
    """Customers to read one by one, and guides of whom all pages are fewer calls than that."""
    by_guide: dict[int, list[str]] = {}
    for staff_id, external_userid in unknown:
        by_guide.setdefault(staff_id, []).append(external_userid)
    many = [pk for pk, ids in by_guide.items() if len(ids) > -(-len(lists[pk]) // PAGE)]
    few = {one for pk, ids in by_guide.items() if pk not in many for one in ids}
    return sorted(few), many


def _read_few(run: Run, external_userids: Sequence[str]) -> list[Row]:
    if not external_userids:
        return []
    with transaction.atomic():
        staff_ids = dict(Staff.objects.filter(corp=run.corp).exclude(userid="").values_list("userid", "pk"))
    return read_customers(run.corp, external_userids, staff_ids)
