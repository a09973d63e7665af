"""Keeping all codes of a brand right without anybody's doing: hours that begin and end, people who leave,
what was changed in WeCom."""

from typing import Any

from django.db import connection, transaction

from livecodes.models import ChannelCode
from livecodes.services.doors import GONE_CODES, door_of
from livecodes.services.roster import rosters
from livecodes.services.ways import LEASE, Sync, is_needed, problem_fields
from org.models import Corp, Staff
from scrm import clock
from tenants.models import Brand
from wecom.client import WeComClient
from wecom.errors import WeComRejected


def due_codes(brand: Brand, limit: int = 1000) -> list[int]:
    """Codes of which WeCom has to be told something now; for the others that came due the next look is noted.

    One set of statements for all of them, in a transaction of its own.
    """
    now = clock.now()
    with transaction.atomic():
        codes = list(
            ChannelCode.objects.filter(due_at__lte=now)
            .order_by("due_at")
            .select_for_update(skip_locked=True)[:limit]
        )
        push_ids, quiet = [], []
        for roster in rosters(brand, codes).values():
            code = roster.code
            is_free = code.claimed_at is None or code.claimed_at <= now - LEASE
            if is_free and (code.claimed_at or is_needed(code, roster) or code.n_tries):
                push_ids.append(code.pk)
            elif is_free:
                code.due_at = roster.next_change() if code.deleted_at is None else None
                quiet.append(code)
        ChannelCode.objects.bulk_update(quiet, ["due_at"], batch_size=500)
    return push_ids


@transaction.atomic
def mark_codes_of_leavers(brand: Brand) -> int:
    """Codes that still lead to somebody who has left, is disabled or lost WeCom's right come due; gives how
    many.

    Starts from those people, who are few, so the tick may ask each minute.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE livecodes_channelcode c SET due_at = %s FROM livecodes_codeguide g, org_staff s"
            " WHERE s.brand_id = %s AND s.userid <> '' AND (s.state <> %s OR NOT s.is_guide)"
            " AND g.brand_id = s.brand_id AND g.staff_id = s.id"
            " AND c.brand_id = g.brand_id AND c.id = g.code_id"
            " AND c.deleted_at IS NULL AND c.sync_state = %s AND s.userid = ANY(c.current_userids)"
            " AND (c.due_at IS NULL OR c.due_at > %s)",
            [(now := clock.now()), brand.pk, Staff.State.ACTIVE, Sync.OK, now],
        )
        return cursor.rowcount


def check_ways(
    brand: Brand, corp: Corp, client: WeComClient, *, after: int = 0, limit: int | None = None
) -> dict[str, Any]:
    """For the sync: compare the contact ways of a corp with our codes, one `get_contact_way` for each.

    A way whose members were changed outside is rewritten; one that was deleted in WeCom is shown on its code.

    Args:
        after: go on behind this code id.
        limit: codes to look at; None for all.

    Returns:
        `checked`, `changed`, `missing`, and `next`: code id to go on from, or None at the end.
    """
    from livecodes.tasks import push_code

    with transaction.atomic():
        codes = list(
            ChannelCode.objects.live()
            .filter(corp=corp, pk__gt=after)
            .exclude(config_id="")
            .order_by("pk")[:limit]
        )
    result: dict[str, Any] = {"checked": 0, "changed": 0, "missing": 0, "next": None}
    for code in codes:
        try:
            shown = door_of(code).read(client, code.config_id)
        except WeComRejected as error:
            if error.errcode not in GONE_CODES:
                raise
            result["missing"] += 1
            with transaction.atomic():
                ChannelCode.objects.filter(pk=code.pk, config_id=code.config_id).update(
                    **problem_fields(code, error)
                )
        else:
            users = shown.userids
            changes = {"qr_url": shown.url} if shown.url and shown.url != code.qr_url else {}
            differs = set(users) != set(code.current_userids) or shown.skip_verify != code.skip_verify
            with transaction.atomic():
                free = ChannelCode.objects.filter(pk=code.pk, config_id=code.config_id, claimed_at=None)
                if differs and code.sync_state == Sync.OK:
                    free = free.filter(current_userids=code.current_userids)  # not rewritten meanwhile
                    if free.update(
                        current_userids=users, sync_state=Sync.WAITING, due_at=clock.now(), **changes
                    ):
                        result["changed"] += 1
                        push_code.delay_on_commit(brand_id=brand.pk, code_id=code.pk)
                elif changes:
                    free.update(**changes)
        result["checked"] += 1
    if limit is not None and len(codes) == limit:
        result["next"] = codes[-1].pk
    return result
