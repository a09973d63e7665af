"""The contact way (「联系我」) or acquisition link behind a code, kept in WeCom as the code says: made, rewritten,
deleted.

One process at a time talks to WeCom about a code: it claims the row, calls, and records; `due_at` is the
lease, so that a code whose process died is taken up by the tick. Making a contact way is not repeatable at
WeCom (no client id, and a lost `config_id` can never be edited again): `asked_at` stays set while the answer
is not known, and the way is looked for before another is made.

Source: developer.work.weixin.qq.com/document/path/92228
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from livecodes.models import ChannelCode, CodeGuide
from livecodes.services.doors import GONE_CODES, door_of
from livecodes.services.roster import Roster, roster_of
from livecodes.services.rotation import Duty
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import ConflictError, NotFoundError
from tenants.models import Brand
from wecom.client import WeComClient, client_for
from wecom.errcodes import advice
from wecom.errors import WeComError, WeComForbidden, WeComRateLimited, WeComRejected, WeComUnavailable
from wecom.exchange import NotSent

log = logging.getLogger(__name__)

Sync = ChannelCode.Sync
LEASE = timedelta(seconds=90)  # longer than a push takes, a look-up included
PAUSES_S = (5, 20, 60, 300, 900)
FORBIDDEN_PAUSE = timedelta(hours=1)  # somebody has to change something in the console
MEMBER_CODES = frozenset({40003, 60011, 41054, 40098, 84074, 610004, 40031, 46004, 60111, 84083})
NOT_MADE = (WeComRejected, WeComRateLimited, NotSent)  # after these WeCom has surely made nothing
NOBODY_PAUSE = timedelta(minutes=10)
# words of `ChannelCode.sync_error` that are not an errcode of WeCom; see `problem_of`
NOBODY, GONE, NO_ANSWER, UNAVAILABLE = "nobody", "gone", "no_answer", "unavailable"


@dataclass
class _Claim:
    code: ChannelCode
    roster: Roster
    lease: datetime


def push(brand: Brand, code_id: int) -> bool:
    """Make WeCom's contact way agree with the code; does nothing when it does or when another process is at
    it.

    Calls WeCom; outside a transaction. What WeCom answers is written to the code, never raised.

    Returns:
        True: something changed meanwhile, push again.
    """
    claim = _claim(brand, code_id)
    if claim is None:
        return False
    client = client_for(claim.code.corp)
    try:
        changes = _delete(claim, client) if claim.code.deleted_at else _write(brand, claim, client)
    except WeComError as error:
        changes = problem_fields(claim.code, error)
    return _record(claim, changes)


# ---- claim


@transaction.atomic
def _claim(brand: Brand, code_id: int) -> _Claim | None:
    now = clock.now()
    code = (
        ChannelCode.objects.select_for_update(of=("self",)).select_related("corp").filter(pk=code_id).first()
    )
    if code is None:
        return None
    if code.claimed_at and code.claimed_at > now - LEASE:
        # its holder sees that `due_at` is no longer the lease, and goes round once more
        _save(code, due_at=now)
        return None
    if code.sync_state == Sync.FAILED and not (code.due_at and code.due_at <= now):
        return None  # waits for a person, or for its time
    roster = roster_of(brand, code)
    if not is_needed(code, roster):
        due_at = roster.next_change() if code.deleted_at is None else None
        _save(code, claimed_at=None, due_at=due_at, n_tries=0, sync_error="")
        return None
    lease = now + LEASE
    _save(code, claimed_at=now, due_at=lease)
    return _Claim(code, roster, lease)


def is_needed(code: ChannelCode, roster: Roster) -> bool:
    if code.deleted_at:
        return bool(code.config_id or code.asked_at)
    if code.sync_state != Sync.OK or not code.config_id:
        return True
    return set(roster.plan().userids) != set(code.current_userids)


def _save(code: ChannelCode, **values: Any) -> None:
    for name, value in values.items():
        setattr(code, name, value)
    code.save(update_fields=list(values))


# ---- call


def _write(brand: Brand, claim: _Claim, client: WeComClient) -> dict[str, Any]:
    """Make or rewrite the way; members whom WeCom refuses are left out one by one. Gives the fields to
    record."""
    code, ahead = claim.code, None
    while True:
        plan = claim.roster.plan(ahead=ahead)
        if plan.duty == Duty.NOBODY:
            return _failed(NOBODY, due_at=clock.now() + NOBODY_PAUSE)
        userids = list(plan.userids)
        try:
            if code.config_id:
                door_of(code).update(client, code, code.config_id, userids)
                changes = {}
            else:
                changes = _make(code, client, userids)
        except WeComRejected as error:
            if error.errcode not in MEMBER_CODES:
                raise
            if len(userids) > 1:
                ahead = 1  # WeCom does not say which of them: one at a time
                continue
            _refuse(brand, claim, plan.staff_ids[0], error)
            continue
        return changes | {"current_userids": userids, "sync_state": Sync.OK, "sync_error": "", "n_tries": 0}


def _make(code: ChannelCode, client: WeComClient, userids: list[str]) -> dict[str, Any]:
    """Ask WeCom for a new contact way or link, or find the one that it made without our hearing of it."""
    door = door_of(code)
    if code.asked_at and (found := door.find(client, code)):
        door.update(client, code, found.config_id, userids)  # it may hold members of long ago
        return {"config_id": found.config_id, "qr_url": found.url, "asked_at": None}
    with transaction.atomic():
        _save(code, asked_at=code.asked_at or clock.now())
    try:
        made = door.make(client, code, userids)
    except NOT_MADE:
        with transaction.atomic():
            _save(code, asked_at=None)
        raise
    return {"config_id": made.config_id, "qr_url": made.url, "asked_at": None}


def _refuse(brand: Brand, claim: _Claim, staff_id: int, error: WeComRejected) -> None:
    """Note on a guide why WeCom does not take them, and go on without."""
    now = clock.now()
    with transaction.atomic():
        CodeGuide.objects.filter(code=claim.code, staff=staff_id).update(
            refused_at=now, refusal=str(error.errcode)
        )
        claim.roster = roster_of(brand, claim.code)


def _delete(claim: _Claim, client: WeComClient) -> dict[str, Any]:
    code = claim.code
    config_id = code.config_id
    if not config_id and code.asked_at:
        found = door_of(code).find(client, code)
        config_id = found.config_id if found else ""
    if config_id:
        door_of(code).delete(client, config_id)
    done = {"sync_state": Sync.OK, "sync_error": "", "n_tries": 0}
    return done | {"config_id": "", "asked_at": None, "current_userids": []}


# ---- record


def _failed(problem: str, **more: Any) -> dict[str, Any]:
    return {"sync_state": Sync.FAILED, "sync_error": problem, **more}


def problem_fields(code: ChannelCode, error: WeComError) -> dict[str, Any]:
    """The fields to record for what WeCom answered; a code that works goes on working meanwhile."""
    log.warning("code %s: %r", code.pk, error)
    if isinstance(error, WeComUnavailable):
        pause_s = max(PAUSES_S[min(code.n_tries, len(PAUSES_S) - 1)], error.retry_after_s)
        return {
            "sync_error": str(error.errcode or NO_ANSWER),
            "n_tries": code.n_tries + 1,
            "due_at": clock.now() + timedelta(seconds=pause_s),
        }
    if error.errcode in GONE_CODES and code.config_id:
        return _failed(GONE)
    if isinstance(error, WeComForbidden):
        return _failed(str(error.errcode), due_at=clock.now() + FORBIDDEN_PAUSE)
    return _failed(str(error.errcode))


def problem_of(problem: str) -> tuple[str, str]:
    """Words for `ChannelCode.sync_error` or `CodeGuide.refusal` in the reader's language, and the console
    page that mends it."""
    if problem.isdecimal():
        known = advice(int(problem))
        return f"{known.text} ({problem})", str(known.page)
    words = {
        NOBODY: _("Nobody behind this code can take customers now. Choose other guides."),
        GONE: _("Somebody deleted this code in WeCom. Its printed QR codes are dead; make a new one."),
        NO_ANSWER: _("WeCom did not answer. It is tried again."),
        UNAVAILABLE: _(
            "WeCom says that this link adds nobody now: the balance is used up, or its guides cannot."
        ),
    }
    return words.get(problem, problem), ""


@transaction.atomic
def _record(claim: _Claim, changes: dict[str, Any]) -> bool:
    code = ChannelCode.objects.select_for_update(of=("self",)).get(pk=claim.code.pk)
    if code.claimed_at != claim.code.claimed_at:  # the lease ran out and somebody else has it
        changes.pop("due_at", None)
        changes = {k: v for k, v in changes.items() if k in ("config_id", "qr_url", "asked_at")}
        if changes:
            _save(code, **changes)
        return True
    again = code.due_at != claim.lease  # somebody wanted a push meanwhile
    # deleted while it was being made: the way has to go again
    again = again or bool(code.deleted_at and not claim.code.deleted_at)
    due_at = changes.pop("due_at", None) or (None if code.deleted_at else claim.roster.next_change())
    if again and code.sync_state == Sync.WAITING:
        changes.pop("sync_state", None)  # an edit that came meanwhile still has to be told to WeCom
    _save(code, claimed_at=None, due_at=clock.now() if again else due_at, **changes)
    return again


# ---- acts


@transaction.atomic
def mark_for_push(code_ids: Iterable[int]) -> int:
    """The codes have changed: WeCom has to be told. The caller starts `push_code` after its commit."""
    return ChannelCode.objects.filter(pk__in=list(code_ids)).update(
        sync_state=Sync.WAITING, sync_error="", due_at=clock.now(), n_tries=0
    )


@transaction.atomic
def retry(brand: Brand, *, by: Actor, code_id: int) -> ChannelCode:
    """Somebody has mended what WeCom complained of: try again now, with refused guides too."""
    from livecodes.tasks import push_code

    code = ChannelCode.objects.live().filter(pk=code_id).first()
    if code is None:
        raise NotFoundError()
    CodeGuide.objects.filter(code=code).update(refused_at=None, refusal="")
    mark_for_push([code.pk])
    audit.record(by, "code.retry", code)
    push_code.delay_on_commit(brand_id=brand.pk, code_id=code.pk)
    return code


@transaction.atomic
def remake(brand: Brand, *, by: Actor, code_id: int) -> ChannelCode:
    """A new contact way, and so a new QR picture, for a code that was deleted in WeCom.

    Raises:
        ConflictError: the present one still works, and printed codes would die.
    """
    from livecodes.tasks import push_code

    code = ChannelCode.objects.live().select_for_update(of=("self",)).filter(pk=code_id).first()
    if code is None:
        raise NotFoundError()
    if code.sync_state != Sync.FAILED or not code.config_id:
        raise ConflictError(_("The QR code of this channel works; a new one would make printed ones useless"))
    before = {"config_id": code.config_id}
    _save(code, config_id="", qr_url="", asked_at=None, current_userids=[])
    mark_for_push([code.pk])
    audit.record(by, "code.remake", code, before=before, after={"config_id": ""})
    push_code.delay_on_commit(brand_id=brand.pk, code_id=code.pk)
    return code
