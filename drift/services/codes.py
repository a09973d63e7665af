"""Contact ways behind channel codes: what was deleted or changed in WeCom, and its repair."""

from typing import Any

from django.db import transaction

from drift.services.differences import New
from livecodes.models import ChannelCode
from livecodes.services import ways
from livecodes.services.doors import GONE_CODES, door_of
from org.access import Actor
from org.models import Corp
from tenants.models import Brand
from wecom.client import WeComClient
from wecom.errors import WeComRejected


def compare_codes(corp: Corp, client: WeComClient, *, after: int, limit: int) -> tuple[list[New], int | None]:
    """Some codes beside their contact ways, one call each; gives the differences and the code to go on from, None at
    the end. Calls WeCom, so outside of transactions."""
    with transaction.atomic():
        live = ChannelCode.objects.live().filter(corp=corp, pk__gt=after).exclude(config_id="")
        codes = list(live.order_by("pk")[:limit])
    found: list[New] = []
    for code in codes:
        try:
            shown = door_of(code).read(client, code.config_id)
        except WeComRejected as error:
            if error.errcode not in GONE_CODES:
                raise
            found.append(_new("code_missing", code, {"config_id": code.config_id}, {}))
            continue
        if code.claimed_at or code.sync_state != ChannelCode.Sync.OK:
            continue  # a change of ours is on its way
        mine: dict[str, Any] = {
            "users": sorted(code.current_userids),
            "skip_verify": code.skip_verify,
            "state": code.state,
            "remark": door_of(code).name(code),
        }
        theirs: dict[str, Any] = {
            "users": sorted(shown.userids),
            "skip_verify": shown.skip_verify,
            "state": code.state if shown.state is None else shown.state,
            "remark": shown.name,
        }
        names = [name for name in mine if mine[name] != theirs[name]]
        if names:
            found.append(
                _new("code_differs", code, {n: mine[n] for n in names}, {n: theirs[n] for n in names})
            )
    return found, codes[-1].pk if len(codes) == limit else None


def _new(kind: str, code: ChannelCode, ours: dict[str, Any], theirs: dict[str, Any]) -> New:
    return New(kind, str(code.pk), code.name, object_id=code.pk, ours=ours, theirs=theirs)


def rewrite(brand: Brand, code_id: int) -> None:
    """Have WeCom's contact way rewritten as the code says, in the caller's transaction."""
    from livecodes.tasks import push_code

    ways.mark_for_push([code_id])
    push_code.delay_on_commit(brand_id=brand.pk, code_id=code_id)


def remake(brand: Brand, by: Actor, code_id: int) -> None:
    """A new contact way for a code whose way was deleted in WeCom, in the caller's transaction."""
    ChannelCode.objects.filter(pk=code_id, claimed_at=None).update(
        sync_state=ChannelCode.Sync.FAILED, sync_error=ways.GONE
    )
    ways.remake(brand, by=by, code_id=code_id)
