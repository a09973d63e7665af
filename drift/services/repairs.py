"""Repair of differences by a person: one, some, a kind, or all that are open, as a job.

What is written is never what a difference says, but what WeCom says now: it is read again first. A difference that is
not there any more is settled.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from contacts import hooks
from contacts.models import Follow
from contacts.services.sync.sync_gone import end_gone
from contacts.services.sync.sync_halves import TRIES, may_repeat
from contacts.services.sync.sync_lists import read_customers
from contacts.services.sync.sync_merge import merge
from drift.kinds import DECISIONS, KINDS
from drift.models import Difference
from drift.services import chats, codes, group_codes
from drift.services.differences import close
from org import audit
from org.access import SYSTEM, Actor
from org.models import Corp, Job, Staff
from org.services.jobs import save_step, start_job
from scrm.errors import ConflictError, InvalidError, NotFoundError, SCRMError
from tenants.db.clash import turns
from tenants.models import Brand
from wecom.client import client_for
from wecom.errors import WeComForbidden, WeComUnavailable
from wecom.services import staff_sync

KIND = "drift_repair"
SLICE = 200
State = Difference.State


@transaction.atomic
def start_repair(
    brand: Brand, *, by: Actor, ids: Sequence[int] = (), kind: str = "", everything: bool = False
) -> Job:
    """Repair open differences: some by id, those of a kind, or all. Gives the job that does it.

    Raises:
        InvalidError: nothing chosen, or an unknown kind.
        NotFoundError: none of them is open.
    """
    open_ = Difference.objects.filter(state__in=[State.OPEN, State.IGNORED])
    if ids:
        chosen = open_.filter(pk__in=list(ids))
    elif kind:
        if kind not in KINDS:
            raise InvalidError(_("Unknown kind of difference"), fields={"kind": ", ".join(KINDS)})
        chosen = open_.filter(kind=kind, state=State.OPEN)
    elif everything:
        # a new QR code is a decision of its own
        chosen = open_.filter(state=State.OPEN).exclude(kind__in=DECISIONS)
    else:
        raise InvalidError(_("Choose what to repair"))
    n = chosen.update(state=State.QUEUED, closed_by=by.name[:64], note="")
    if not n:
        raise NotFoundError(_("None of these differences is open any more."))
    audit.record(by, "drift.repair", after={"n": n, "kind": kind, "ids": list(ids)[:20]}, name=kind)
    return _job(brand, by)


def _job(brand: Brand, by: Actor) -> Job:
    with translation.override(settings.LANGUAGE_CODE):
        title = _("Repair of differences")
    job = start_job(brand, kind=KIND, title=title, params={}, by=by)
    n_waiting = Difference.objects.filter(state=State.QUEUED).count()
    Job.objects.filter(pk=job.pk).update(n_total=n_waiting + job.n_done)
    return job


@transaction.atomic
def take_up(brand: Brand) -> Job | None:
    """Go on with what waits and has no job any more (it was cancelled, or ended in the moment they were queued)."""
    is_live = Job.objects.filter(kind=KIND, state__in=["waiting", "running", "paused"]).exists()
    waiting = Difference.objects.filter(state=State.QUEUED)
    return None if is_live or not waiting.exists() else _job(brand, SYSTEM)


@transaction.atomic
def ignore(brand: Brand, *, by: Actor, ids: Sequence[int]) -> int:
    """Leave open differences as they are; they come up again only if WeCom says something else. Gives how many."""
    rows = Difference.objects.filter(pk__in=list(ids), state=State.OPEN)
    n = close(list(rows.values_list("pk", flat=True)), state=State.IGNORED, by=by.name)
    if not n:
        raise NotFoundError(_("None of these differences is open any more."))
    audit.record(by, "drift.ignore", after={"n": n, "ids": list(ids)[:20]})
    return n


@transaction.atomic
def reopen(brand: Brand, *, by: Actor, ids: Sequence[int]) -> int:
    """Take back that they are left as they are; gives how many."""
    rows = Difference.objects.filter(pk__in=list(ids), state=State.IGNORED)
    n = rows.update(state=State.OPEN, closed_at=None, closed_by="")
    if not n:
        raise NotFoundError()
    audit.record(by, "drift.reopen", after={"n": n, "ids": list(ids)[:20]})
    return n


# ---- the job


def step(brand: Brand, job: Job) -> bool:
    """Repair some of what waits, of one corp and area; True: there is more."""
    with transaction.atomic():
        waiting = Difference.objects.filter(state=State.QUEUED).order_by("corp_id", "kind", "pk")
        rows = list(waiting.select_related("corp")[:SLICE])
    if not rows:
        return False
    for (corp, area), group in groupby(rows, key=lambda row: (row.corp, KINDS[row.kind].area)):
        part = list(group)
        try:
            REPAIRS[area](brand, corp, part)
        except (WeComUnavailable, WeComForbidden):
            raise  # the whole job waits, or an admin has to mend something
        except SCRMError as error:
            with transaction.atomic():
                _give_back(part, str(error))
    with transaction.atomic():
        n_bad = Difference.objects.filter(pk__in=[row.pk for row in rows], state=State.OPEN).count()
        save_step(job, n_done=job.n_done + len(rows), n_bad=job.n_bad + n_bad)
    return True


def _give_back(rows: Sequence[Difference], why: str) -> None:
    Difference.objects.filter(pk__in=[row.pk for row in rows], state=State.QUEUED).update(
        state=State.OPEN, note=why[:300], closed_by=""
    )


def _close(rows: Sequence[Difference], state: str = State.REPAIRED) -> None:
    for by, group in groupby(sorted(rows, key=lambda row: row.closed_by), key=lambda row: row.closed_by):
        close([row.pk for row in group], state=state, by=by)


def _members(brand: Brand, corp: Corp, rows: Sequence[Difference]) -> None:
    """Departments all at once, members one by one, as WeCom shows them now."""
    client = client_for(corp)
    if any(row.kind.startswith("department") for row in rows):
        staff_sync.sync_departments(brand, corp, client)
    for row in rows:
        if row.kind.startswith("member"):
            try:
                staff_sync.fetch_member(brand, corp, row.key)
            except Staff.DoesNotExist:
                with transaction.atomic():
                    staff = Staff.objects.filter(corp=corp, userid=row.key).first()
                if staff:
                    left, hidden = staff_sync.who_left(corp, client, [staff.pk])
                    with transaction.atomic():
                        staff_sync.mark_left(left, hidden)
    with transaction.atomic():
        _close(rows)


def _tags(brand: Brand, corp: Corp, rows: Sequence[Difference]) -> None:
    """The library is one thing: all of it."""
    hooks.sync_tags(brand, corp, client_for(corp))
    with transaction.atomic():
        _close(rows)


def _codes(brand: Brand, corp: Corp, rows: Sequence[Difference]) -> None:
    for row in rows:
        with transaction.atomic():
            try:
                if row.kind == "code_differs":
                    codes.rewrite(brand, row.object_id or 0)
                else:
                    codes.remake(brand, _by(row), row.object_id or 0)
                _close([row])
            except (NotFoundError, ConflictError):
                _close([row], State.SETTLED)  # deleted here meanwhile, or it works again


def _by(row: Difference) -> Actor:
    return Actor(row.closed_by) if row.closed_by else SYSTEM


def _relations(brand: Brand, corp: Corp, rows: Sequence[Difference]) -> None:
    """The customers are read again, each with everybody who has them; what WeCom says of them is merged, and relations
    that it does not show end."""
    external = sorted({row.key.rpartition(":")[2] for row in rows})
    with transaction.atomic():
        staff_ids = dict(Staff.objects.filter(corp=corp).exclude(userid="").values_list("userid", "pk"))
    told = read_customers(corp, external, staff_ids)
    shown = {(row.staff_id, row.external_userid) for row in told}
    for turn in turns(TRIES, may_repeat):
        with turn, transaction.atomic():
            merge(brand, corp, told, careful=turn.n > 0)
            live = Follow.objects.filter(
                corp=corp, external_userid__in=external, ended_at=None, is_pending=False
            )
            concerned = {staff_id for row in rows for staff_id in _guides(row)}
            ended = [
                pk
                for pk, *pair in live.values_list("pk", "staff_id", "external_userid")
                if tuple(pair) not in shown and pair[0] in concerned
            ]
            if ended:
                end_gone(brand, ended)
            _close(rows)
            return


def _groups(brand: Brand, corp: Corp, rows: Sequence[Difference]) -> None:
    shown = [row for row in rows if not row.kind.startswith("group_code")]
    if shown:
        there = chats.repair(brand, corp, [row.key for row in shown])
        with transaction.atomic():
            _close([row for row in shown if row.key in there])
            _give_back(
                [row for row in shown if row.key not in there], _("WeCom does not show this group to the app")
            )
    for row in rows:
        if row not in shown:
            with transaction.atomic():
                try:
                    group_codes.repair(brand, row.kind, row.object_id or 0, _by(row))
                    _close([row])
                except (NotFoundError, ConflictError):
                    _close([row], State.SETTLED)  # deleted here meanwhile, or it works again


def _guides(row: Difference) -> set[int]:
    """Guides whose relation a difference is about."""
    guides = {row.staff_id, row.ours.get("staff_id"), row.theirs.get("staff_id")}
    return {pk for pk in guides if isinstance(pk, int)}


REPAIRS: dict[str, Callable[[Brand, Corp, Any], None]] = {
    "members": _members,
    "tags": _tags,
    "codes": _codes,
    "relations": _relations,
    "groups": _groups,
}
