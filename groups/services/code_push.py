"""The join way behind a group code, kept in WeCom as the code says: made, rewritten, deleted.

One process at a time talks to WeCom about a code: it claims the row, calls, and records; `due_at` is its lease, so that a
code whose process died is taken up by the tick. No call of WeCom lists join ways: when the answer to making one is lost, a
person decides whether another one is made.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from PIL import Image

from groups.models import GroupChat, GroupCode
from groups.services.codes import GONE, MAX_GROUPS
from scrm import clock
from tenants.models import Brand
from wecom.api import join_ways
from wecom.client import WeComClient, client_for
from wecom.errcodes import advice
from wecom.errors import LostAnswer, WeComError, WeComRateLimited, WeComUnavailable
from wecom.services import media, pictures

LEASE = timedelta(seconds=90)
PAUSES_S = (5, 20, 60, 300, 900)
DELETE_PAUSE = timedelta(hours=1)  # nobody can ask again for a code that is off the list: the tick does
TOO_FAST = 45009  # errcode
Sync = GroupCode.Sync
# words of `GroupCode.sync_error` that are not an errcode of WeCom; see `problem_of`
LOST, NO_ANSWER, DISSOLVED = "lost", "no_answer", "dissolved"
KNOWN = ("file_id", "config_id", "sent_chat_ids", "grown_chat_ids")  # true whatever was ordered meanwhile


@dataclass
class _Claim:
    code: GroupCode
    chat_ids: list[str]
    at: datetime


class _Picture(BytesIO):
    name = "qr.png"


def push(brand: Brand, code_id: int) -> None:
    """Make WeCom's join way agree with the code. Calls WeCom; outside a transaction. What WeCom answers is written to the
    code, never raised."""
    claim = _claim(code_id)
    if claim is None:
        return
    client = client_for(claim.code.corp)
    try:
        if claim.code.deleted_at:
            if claim.code.config_id:
                join_ways.delete_join_way(client, claim.code.config_id)
            values: dict[str, Any] = {"config_id": "", "sync_error": "", "n_tries": 0}
        else:
            values = _written(brand, claim, client)
    except LostAnswer:
        values = {"sync_state": Sync.FAILED, "sync_error": LOST}
    except WeComUnavailable as error:
        pause = PAUSES_S[min(claim.code.n_tries, len(PAUSES_S) - 1)]
        limit = TOO_FAST if isinstance(error, WeComRateLimited) else None  # ours, which stays below WeCom's
        values = {"sync_state": Sync.WAITING, "sync_error": str(error.errcode or limit or NO_ANSWER)}
        values |= {"due_at": clock.now() + timedelta(seconds=pause), "n_tries": claim.code.n_tries + 1}
    except WeComError as error:
        values = {"sync_state": Sync.FAILED, "sync_error": str(error.errcode or LOST)}
        if claim.code.deleted_at:
            values["due_at"] = clock.now() + DELETE_PAUSE
    _record(claim, values)


@transaction.atomic
def due(brand: Brand, limit: int = 50) -> list[int]:
    """Codes whose time has come; one index probe when there are none."""
    rows = GroupCode.objects.filter(due_at__lte=clock.now()).order_by("due_at", "pk")
    return list(rows.values_list("pk", flat=True)[:limit])


@transaction.atomic
def _claim(code_id: int) -> _Claim | None:
    now = clock.now()
    rows = GroupCode.objects.select_for_update(of=("self",)).select_related("corp")
    code = rows.filter(pk=code_id).first()
    if code is None or code.due_at is None or code.due_at > now:
        return None  # as it should be, or another process is at it
    if code.claimed_at and code.claimed_at > now - LEASE:
        return None  # it was ordered anew meanwhile: the tick goes on when the other process has recorded
    code.claimed_at, code.due_at = now, now + LEASE
    code.save(update_fields=["claimed_at", "due_at"])
    names = dict(GroupChat.objects.live().filter(pk__in=code.group_ids).values_list("pk", "chat_id"))
    return _Claim(code, [names[pk] for pk in code.group_ids if pk in names], now)


def _written(brand: Brand, claim: _Claim, client: WeComClient) -> dict[str, Any]:
    """Make or rewrite the way, fetch its picture; gives the fields to keep."""
    code = claim.code
    if not claim.chat_ids:
        return {"sync_state": Sync.FAILED, "sync_error": DISSOLVED}
    there: join_ways.JoinWay = join_ways.join_way(client, code.config_id) if code.config_id else {}
    grown, chat_ids = _with_grown(claim, there.get("chat_id_list") or [])
    about: dict[str, Any] = {
        "chat_ids": chat_ids, "state": code.state, "remark": code.name[:30], "auto_create": code.is_growing,
        "base_name": code.base_name, "base_number": len(grown) + 1,
    }  # fmt: skip
    told = list(dict.fromkeys([*code.sent_chat_ids, *chat_ids]))
    with (
        transaction.atomic()
    ):  # before the call: when this process dies after it, nothing told counts as WeCom's own
        GroupCode.objects.filter(pk=code.pk).update(sent_chat_ids=told, grown_chat_ids=grown)
    if code.config_id:
        join_ways.update_join_way(client, code.config_id, **about)
    else:
        code.config_id = join_ways.add_join_way(client, **about)
        with transaction.atomic():  # whatever happens to the picture, the way is known
            GroupCode.objects.filter(pk=code.pk).update(config_id=code.config_id)
    values: dict[str, Any] = {"sync_state": Sync.OK, "sync_error": "", "n_tries": 0}
    values |= {"sent_chat_ids": chat_ids, "grown_chat_ids": grown}
    if code.file_id is None:
        url = (there or join_ways.join_way(client, code.config_id)).get("qr_code") or ""
        picture = _as_png(pictures.fetch(url, api="qr_code"))
        with transaction.atomic():
            values["file_id"] = media.save_upload(brand, file=picture, kind="image").pk
    return values


def _with_grown(claim: _Claim, there: list[str]) -> tuple[list[str], list[str]]:
    """All groups that WeCom has made by itself, and the list to write: the chosen ones, then of WeCom's those that it still
    has behind the code, the newest as far as there is room."""
    code = claim.code
    sent = code.sent_chat_ids or claim.chat_ids
    grown = [*code.grown_chat_ids, *(chat_id for chat_id in there if chat_id not in sent)]
    grown = list(dict.fromkeys(grown))
    with transaction.atomic():
        gone = GroupChat.objects.filter(corp=code.corp_id, chat_id__in=grown).exclude(dismissed_at=None)
        dissolved = set(gone.values_list("chat_id", flat=True))
    left = {*there} - {*claim.chat_ids} - dissolved
    kept = [chat_id for chat_id in grown if chat_id in left]
    room = MAX_GROUPS - len(claim.chat_ids)
    return grown, [*claim.chat_ids, *(kept[-room:] if room else [])]


def _as_png(data: bytes) -> _Picture:
    """Whatever WeCom's picture is, messages take JPG and PNG."""
    out = _Picture()
    try:
        with Image.open(BytesIO(data)) as found:
            found.convert("RGB").save(out, "PNG")
    except (OSError, ValueError, SyntaxError):  # its head was right, its body is not
        raise WeComUnavailable(api="qr_code", errmsg="not a picture") from None
    out.seek(0)
    return out


@transaction.atomic
def _record(claim: _Claim, values: dict[str, Any]) -> None:
    """What was found out, unless somebody has changed the code meanwhile: then the next push goes on."""
    code = GroupCode.objects.select_for_update(of=("self",)).filter(pk=claim.code.pk).first()
    if code is None or code.claimed_at != claim.at:
        return
    is_new = code.due_at != claim.at + LEASE  # ordered anew while WeCom was being called
    kept = {name: value for name, value in values.items() if not is_new or name in KNOWN}
    GroupCode.objects.filter(pk=code.pk).update(
        **{"claimed_at": None, "due_at": code.due_at if is_new else None, **kept}
    )


def problem_of(problem: str) -> str:
    """Words for `GroupCode.sync_error` in the reader's language."""
    if problem in GONE:
        return _(
            "The code was deleted in WeCom: whoever scans it comes nowhere. Try again makes another picture."
        )
    if problem.lstrip("-").isdecimal():
        return f"{advice(int(problem)).text} ({problem})"
    words = {
        LOST: _("WeCom did not answer. Try again makes another code."),
        NO_ANSWER: _("WeCom did not answer, or with something unreadable. It is tried again."),
        DISSOLVED: _("All its groups have been dissolved: choose others"),
    }
    return words.get(problem, problem)


def push_due(brand: Brand) -> int:
    """What the tick does: codes whose process died, or whose time has come again."""
    ids = due(brand)
    for code_id in ids:
        push(brand, code_id)
    return len(ids)
