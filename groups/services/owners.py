"""Whose groups are listed next: WeCom gives groups by their owners, a hundred at a time, page after page.

`at` is the position of a long job: {"after": the last owner who is through, "cursor": WeCom's page, "apart": owners to be
asked for by themselves, "skipped": whom WeCom does not let us name}.
"""

import logging
from typing import Any

from django.db import transaction

from groups.services.reading import OWNER_CODES
from org.models import Corp, Staff
from wecom.errors import WeComRejected

log = logging.getLogger(__name__)

OWNERS = 100  # in a call
BAD_CURSOR = 50100


@transaction.atomic
def next_owners(corp: Corp, at: dict[str, Any]) -> dict[int, str]:
    """Staff id → userid of those who are asked for now. Everybody who ever was a member may own some."""
    people = Staff.objects.filter(corp=corp).exclude(userid="")
    if apart := at.get("apart"):
        return dict(people.filter(pk__in=apart[0]).values_list("pk", "userid"))
    later = people.filter(pk__gt=at["after"]).order_by("pk")
    return dict(later.values_list("pk", "userid")[:OWNERS])


def are_through(at: dict[str, Any], owners: dict[int, str]) -> None:
    """All groups of these owners were listed."""
    at["cursor"] = ""
    if at.get("apart"):
        at["apart"] = at["apart"][1:]
    else:
        at["after"] = max(owners)


def go_round(corp: Corp, at: dict[str, Any], owners: dict[int, str], error: WeComRejected) -> bool:
    """WeCom refuses a list because of one of its owners: they are asked for in halves, down to the one who is left out.
    False: it is about something else."""
    if error.errcode == BAD_CURSOR and at["cursor"]:
        at["cursor"] = ""
        return True
    if error.errcode not in OWNER_CODES:
        return False
    are_through(at, owners)
    ids = sorted(owners)
    if len(ids) > 1:
        half = len(ids) // 2
        at["apart"] = [ids[:half], ids[half:], *(at.get("apart") or [])]
    else:
        log.warning("groups of corp %s: owner %s left out: %r", corp.pk, ids[0], error)
        at["skipped"] = [*at.get("skipped", []), ids[0]]
    return True
