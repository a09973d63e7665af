"""Join ways behind group codes: what was deleted or changed in WeCom, and its repair."""

from typing import Any

from django.db import transaction

from drift.services.differences import New
from groups.models import GroupChat, GroupCode
from groups.services import codes
from org.access import Actor
from org.models import Corp
from tenants.models import Brand
from wecom.api import join_ways
from wecom.client import WeComClient
from wecom.errors import WeComRejected


def compare_group_codes(
    corp: Corp, client: WeComClient, *, after: int, limit: int
) -> tuple[list[New], int | None]:
    """Some codes beside their join ways, one call each; gives the differences and the code to go on from, None at the
    end. Groups that WeCom has added by itself are no difference. Calls WeCom, so outside of transactions."""
    with transaction.atomic():
        live = GroupCode.objects.live().filter(
            corp=corp, pk__gt=after, sync_state=GroupCode.Sync.OK, due_at=None
        )
        rows = list(live.exclude(config_id="").order_by("pk")[:limit])
    found: list[New] = []
    for code in rows:
        try:
            there = join_ways.join_way(client, code.config_id)
        except WeComRejected as error:
            if str(error.errcode) not in codes.GONE:
                raise
            found.append(_new("group_code_missing", code, {"config_id": code.config_id}, {}))
            continue
        if new := _differs(code, there):
            found.append(new)
    return found, rows[-1].pk if len(rows) == limit else None


def _differs(code: GroupCode, there: join_ways.JoinWay) -> New | None:
    is_growing = bool(there.get("auto_create_room", 1))
    pairs: dict[str, tuple[Any, Any]] = {
        "state": (code.state, there.get("state") or ""),
        "remark": (code.name[:30], there.get("remark") or ""),
        "is_growing": (code.is_growing, is_growing),
    }
    if code.is_growing and is_growing:
        pairs["base_name"] = (code.base_name, there.get("room_base_name") or "")
    shown = there.get("chat_id_list") or []
    if missing := [chat_id for chat_id in code.sent_chat_ids if chat_id not in shown]:
        pairs["chats"] = (_names(code.corp_id, missing), [])
    differ = [name for name, (ours, theirs) in pairs.items() if ours != theirs]
    if not differ:
        return None
    ours, theirs = ({name: pairs[name][side] for name in differ} for side in (0, 1))
    return _new("group_code_differs", code, ours, theirs)


def _names(corp_id: int, chat_ids: list[str]) -> list[str]:
    with transaction.atomic():
        names = dict(
            GroupChat.objects.filter(corp=corp_id, chat_id__in=chat_ids).values_list("chat_id", "name")
        )
    return [names.get(chat_id) or chat_id for chat_id in chat_ids]


def _new(kind: str, code: GroupCode, ours: dict[str, Any], theirs: dict[str, Any]) -> New:
    return New(kind, str(code.pk), code.name, object_id=code.pk, ours=ours, theirs=theirs)


def repair(brand: Brand, kind: str, code_id: int, by: Actor) -> None:
    """In the caller's transaction: the join way is rewritten as the code says; one that was deleted is made anew, with
    another picture. Raises NotFoundError, ConflictError: nothing is to be done any more."""
    if kind == "group_code_missing":
        codes.note_gone(code_id)
        codes.retry(brand, code_id=code_id, by=by)
    else:
        codes.rewrite(brand, code_id)
