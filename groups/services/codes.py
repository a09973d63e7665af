"""群活码: a person orders one here; services/code_push.py makes it in WeCom, which lists none: what is not kept is lost."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from groups.models import GroupChat, GroupCode, GroupMember
from org import audit
from org.access import SYSTEM, Actor
from org.models import Staff
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand

MAX_GROUPS, MAX_NAME, MAX_BASE = 5, 60, 40  # of groups and the name of new ones: WeCom's
_FIELDS = ["name", "group_ids", "is_growing", "base_name"]
Sync = GroupCode.Sync
GONE = (
    "41043",
    "41044",
)  # WeCom's numbers, as `sync_error` keeps them: it does not know the join way (any more)


@dataclass(frozen=True)
class GroupCodeInput:
    """All that a person decides about a code."""

    name: str
    group_ids: Sequence[int] = field(default=())
    is_growing: bool = True
    base_name: str = ""


def get_code(code_id: int, *, lock: bool = False) -> GroupCode:
    """
    Raises:
        NotFoundError: missing, deleted, or another brand's.
    """
    rows = GroupCode.objects.live()
    rows = rows.select_for_update(of=("self",)) if lock else rows
    code = rows.select_related("corp", "file").filter(pk=code_id).first()
    if code is None:
        raise NotFoundError()
    return code


@transaction.atomic
def create_code(
    brand: Brand, *, given: GroupCodeInput, staff: Staff | None = None, by: Actor = SYSTEM
) -> GroupCode:
    """A new code; it is made in WeCom after the commit.

    Args:
        staff: who asks: groups out of their sight are not found. None: all of the brand.

    Raises:
        InvalidError: `fields` says what is wrong.
    """
    name, chats = _checked(given, staff)
    code = GroupCode.objects.create(
        corp_id=chats[0].corp_id,
        name=name,
        group_ids=[chat.pk for chat in chats],
        is_growing=given.is_growing,
        base_name=given.base_name.strip(),
        state=f"g{secrets.token_hex(8)}",
        due_at=clock.now(),
        created_by=by.name,
    )
    audit.record(by, "group_code.create", code, after=audit.snapshot(code, _FIELDS))
    _start(brand, code)
    return code


@transaction.atomic
def edit_code(
    brand: Brand, *, code_id: int, given: GroupCodeInput, staff: Staff | None = None, by: Actor = SYSTEM
) -> GroupCode:
    """Other groups behind the same picture; what is printed stays. Raises as `create_code`, and NotFoundError."""
    code = get_code(code_id, lock=True)
    name, chats = _checked(given, staff, code)
    before = audit.snapshot(code, _FIELDS)
    if code.config_id and not code.sent_chat_ids:
        # told before it was noted what: else the groups that it had would count as WeCom's own
        old = GroupChat.objects.filter(pk__in=code.group_ids)
        code.sent_chat_ids = list(old.values_list("chat_id", flat=True))
    code.name, code.group_ids = name, [chat.pk for chat in chats]
    code.is_growing, code.base_name = given.is_growing, given.base_name.strip()
    _order(code)
    code.save(update_fields=[*_FIELDS, "sent_chat_ids", "sync_state", "sync_error", "due_at", "n_tries"])
    audit.record(by, "group_code.edit", code, before=before, after=audit.snapshot(code, _FIELDS))
    _start(brand, code)
    return code


@transaction.atomic
def retry(brand: Brand, *, code_id: int, by: Actor) -> GroupCode:
    """Ask WeCom again.

    Raises:
        ConflictError: nothing is wrong with it.
    """
    code = get_code(code_id, lock=True)
    if code.sync_state != Sync.FAILED:
        raise ConflictError(_("Nothing is wrong with this code"))
    if code.sync_error in GONE:  # another one is made: nothing of the old one is left
        code.config_id, code.file_id, code.sent_chat_ids, code.grown_chat_ids = "", None, [], []
        code.save(update_fields=["config_id", "file_id", "sent_chat_ids", "grown_chat_ids"])
    _order(code)
    code.save(update_fields=["sync_state", "sync_error", "due_at", "n_tries"])
    audit.record(by, "group_code.retry", code)
    _start(brand, code)
    return code


@transaction.atomic
def rewrite(brand: Brand, code_id: int) -> None:
    """Have WeCom's join way rewritten as the code says: somebody has changed it there."""
    code = get_code(code_id, lock=True)
    _order(code)
    code.save(update_fields=["sync_state", "sync_error", "due_at", "n_tries"])
    _start(brand, code)


@transaction.atomic
def note_gone(code_id: int) -> None:
    """WeCom does not know the join way of a code that we thought live."""
    get_code(code_id)
    live = GroupCode.objects.filter(pk=code_id, sync_state=Sync.OK)
    live.update(sync_state=Sync.FAILED, sync_error=GONE[-1])


@transaction.atomic
def delete_code(brand: Brand, *, code_id: int, by: Actor) -> None:
    """Off the list, and after the commit out of WeCom: whoever scans it comes nowhere."""
    code = get_code(code_id, lock=True)
    code.deleted_at = clock.now()
    _order(code)
    code.save(update_fields=["deleted_at", "sync_state", "sync_error", "due_at", "n_tries"])
    audit.record(by, "group_code.delete", code)
    _start(brand, code)


def _order(code: GroupCode) -> None:
    code.sync_state, code.sync_error, code.due_at, code.n_tries = Sync.WAITING, "", clock.now(), 0


def _start(brand: Brand, code: GroupCode) -> None:
    from groups.tasks import push_code

    push_code.delay_on_commit(brand_id=brand.pk, code_id=code.pk)


def _checked(
    given: GroupCodeInput, staff: Staff | None, code: GroupCode | None = None
) -> tuple[str, list[GroupChat]]:
    """The name, and the groups in the order given."""
    wrong: dict[str, str] = {}
    name = " ".join(given.name.split())
    if not 1 <= len(name) <= MAX_NAME:
        wrong["name"] = _("1 to %(n)d characters") % {"n": MAX_NAME}
    elif GroupCode.objects.live().filter(name=name).exclude(pk=code.pk if code else 0).exists():
        wrong["name"] = _("There is a code of this name already")
    if len(given.base_name.strip()) > MAX_BASE:
        wrong["base_name"] = _("At most %(n)d characters") % {"n": MAX_BASE}
    ids = list(dict.fromkeys(given.group_ids))
    kept = set(code.group_ids) if code else set()
    rows = GroupChat.objects.live().filter(pk__in=ids)
    seen = rows if staff is None else rows.filter(pk__in=kept) | rows.visible_to(staff)
    found = {chat.pk: chat for chat in seen}
    chats = [found[pk] for pk in ids if pk in found]
    if not 1 <= len(ids) <= MAX_GROUPS:
        wrong["groups"] = _("Choose 1 to %(n)d groups") % {"n": MAX_GROUPS}
    elif len(chats) != len(ids):
        wrong["groups"] = _("A group chosen here does not exist any more")
    elif len({chat.corp_id for chat in chats}) > 1 or (code and chats[0].corp_id != code.corp_id):
        wrong["groups"] = _("All groups have to belong to one WeCom corp")
    if wrong:
        raise InvalidError(next(iter(wrong.values())), fields=wrong)
    return name, chats


# ---- for pages and messages


def joined_by(codes: Iterable[GroupCode]) -> dict[int, int]:
    """{code id: how many stays began by it}; one query."""
    states = {code.state: code.pk for code in codes}
    rows = (
        GroupMember.objects.filter(state__in=list(states))
        .order_by()
        .values_list("state")
        .annotate(n=Count("pk"))
    )
    return {states[state]: n for state, n in rows}


def invitation(brand: Brand, node: dict[str, Any]) -> tuple[str, list[dict[str, Any]]] | None:
    """What an SOP's node "group" says: its text, and the picture of the code. None while there is no picture."""
    code = GroupCode.objects.live().filter(pk=node.get("group_code_id") or 0).first()
    if code is None or code.file_id is None:
        return None
    return str(node.get("text") or ""), [{"type": "image", "file_id": code.file_id}]
