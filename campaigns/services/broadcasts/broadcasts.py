"""群发: write one, look at what it would do, launch it, pause, resume, cancel.

States change under the brand's gate, so none changes in the middle of a plan. What goes out, and to whom, is waves.py.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from campaigns.models import Broadcast, SendTask, Touch, Variant, Wave
from campaigns.services import second_person, second_person_notices
from campaigns.services.broadcasts import winners
from campaigns.services.broadcasts.launch_checks import check_launch
from campaigns.services.governance import gate
from campaigns.services.governance.rules import policy_of
from campaigns.services.ledger import touches
from campaigns.services.sending import send_task_jobs, variables
from content.services import library, sensitive
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from tagging.conditions import ConditionError
from tagging.models import Segment
from tagging.services.segments import audience
from tenants.models import Brand
from wecom.services import attachments

LETTERS = "ABCDE"
MAX_WAVES, MAX_HOLD_OUT, MAX_LATE_HOURS, MAX_LIST = 10, 50, 24 * 14, 100_000
AFTER = ("", "not_opened", "not_replied", "opened", "everybody")  # what a later wave asks of an earlier one
REPEATS = ("", "day", "week", "month")
State = Broadcast.State


@dataclass(frozen=True)
class VariantInput:
    text: str = ""
    attachments: list[dict[str, Any]] = field(default_factory=list)
    weight: int = 1
    content_version: int | None = None  # of the library, as long as text and attachments are its own


@dataclass(frozen=True)
class WaveInput:
    """When a wave goes out and to whom.

    Attributes:
        at: None is at once, at the launch.
        after: "" is whoever of the audience was in no wave before; otherwise one of AFTER, asked of the wave before.
        condition: of tagging/conditions, narrows it further; {} is everybody.
    """

    at: datetime | None = None
    after: str = ""
    condition: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BroadcastInput:
    """A broadcast as it is written.

    Attributes:
        audience: {"segment": id}, {"condition": {…}} or {"contacts": [ids]}.
        repeat: "" once; day, week, month: again until `repeat_until`, each time with the audience of that moment.
        test: how its contents are compared, keys of winners.Rule; {}: not at all.
    """

    name: str
    audience: dict[str, Any]
    variants: Sequence[VariantInput]
    waves: Sequence[WaveInput] = (WaveInput(),)
    priority: int = 5
    hold_out_percent: int = 0
    late_hours: int = 48
    repeat: str = ""
    repeat_until: datetime | None = None
    test: dict[str, Any] = field(default_factory=dict)


def get_broadcast(broadcast_id: int, *, lock: bool = False) -> Broadcast:
    """The broadcast of the brand in scope.

    Raises:
        NotFoundError: missing, or another brand's.
    """
    rows = Broadcast.objects.select_for_update() if lock else Broadcast.objects.all()
    found = rows.filter(pk=broadcast_id).first()
    if found is None:
        raise NotFoundError()
    return found


# ---- write


@transaction.atomic
def save_draft(
    brand: Brand, given: BroadcastInput, *, by: Actor, broadcast_id: int | None = None
) -> Broadcast:
    """Make a draft, or write an existing one anew. Nothing is sent.

    Raises:
        InvalidError: what cannot be sent; its `fields` name the input.
        ConflictError: not a draft any more.
    """
    given = _checked(brand, given)
    if broadcast_id:
        broadcast = get_broadcast(broadcast_id, lock=True)
    else:
        broadcast = Broadcast(created_by=by.name, created_by_user_id=by.user_id)
    if broadcast.pk and broadcast.state != State.DRAFT:
        raise ConflictError(_("Only a draft can be changed; copy the broadcast to use it again"))
    before = _as_audit(broadcast) if broadcast.pk else {}
    broadcast.name, broadcast.audience = given.name, given.audience
    broadcast.priority, broadcast.hold_out_percent = given.priority, given.hold_out_percent
    broadcast.late_hours = given.late_hours
    until = given.repeat_until.isoformat() if given.repeat_until else None
    broadcast.repeat = {"every": given.repeat, "until": until} if given.repeat else {}
    broadcast.test = given.test
    broadcast.save()
    Variant.objects.filter(broadcast=broadcast).delete()
    Wave.objects.filter(broadcast=broadcast).delete()
    Variant.objects.bulk_create(
        Variant(
            broadcast=broadcast,
            letter=letter,
            text=v.text,
            attachments=v.attachments,
            weight=v.weight,
            content_id=library.same_version(v.content_version, v.text, v.attachments),
        )
        for letter, v in zip(LETTERS, given.variants, strict=False)
    )
    Wave.objects.bulk_create(
        Wave(
            broadcast=broadcast,
            n=n,
            at=wave.at or clock.now(),
            condition={"now": wave.at is None, "after": wave.after, "condition": wave.condition},
        )
        for n, wave in enumerate(given.waves, 1)
    )
    audit.record(
        by,
        "broadcast.edit" if before else "broadcast.create",
        broadcast,
        before=before,
        after=_as_audit(broadcast),
    )
    return broadcast


def _checked(brand: Brand, given: BroadcastInput) -> BroadcastInput:
    wrong: dict[str, str] = {}
    if not given.name.strip() or len(given.name.strip()) > 60:
        wrong["name"] = _("1 to 60 characters")
    if not 1 <= given.priority <= 9:
        wrong["priority"] = _("Between 1 and 9")
    if not 0 <= given.hold_out_percent <= MAX_HOLD_OUT:
        wrong["hold_out_percent"] = _("Between 0 and %(n)s per cent") % {"n": MAX_HOLD_OUT}
    if not 1 <= given.late_hours <= MAX_LATE_HOURS:
        wrong["late_hours"] = _("Between 1 and %(n)s hours") % {"n": MAX_LATE_HOURS}
    if given.repeat not in REPEATS:
        wrong["repeat"] = _("Unknown rhythm")
    elif given.repeat and (given.repeat_until is None or given.repeat_until <= clock.now()):
        wrong["repeat_until"] = _("Say until when it is repeated")
    elif given.repeat and len(given.waves) > 1:
        wrong["repeat"] = _("What is repeated has one wave")
    _check_audience(brand, given.audience, wrong)
    of_waves: dict[int, str] = {}
    _check_waves(brand, given.waves, wrong, of_waves)
    problems: dict[int, str] = {}
    variants = _check_variants(brand, given.variants, wrong, problems)
    test = winners.check(given.test, len(given.variants), wrong)
    if test and (given.repeat or (test["percent"] != 100 and len(given.waves) > 1)):
        wrong["test"] = _("A comparison whose winner goes to the rest has one wave and is not repeated")
    if wrong:
        raise InvalidError(next(iter(wrong.values())), fields=wrong, contents=problems, waves=of_waves)
    return BroadcastInput(
        **{**given.__dict__, "name": given.name.strip(), "variants": variants, "test": test}
    )


def _check_audience(brand: Brand, given: dict[str, Any], wrong: dict[str, str]) -> None:
    keys = set(given)
    if keys == {"segment"}:
        number = given["segment"]
        is_id = isinstance(number, int) and 0 < number < 2**62
        if not is_id or not Segment.objects.filter(pk=number, deleted_at=None).exists():
            wrong["audience"] = _("This segment does not exist any more")
    elif keys == {"condition"}:
        try:
            audience.read(brand, given["condition"])
        except ConditionError as error:
            wrong["audience"] = str(error)
    elif keys == {"contacts"}:
        ids = given["contacts"]
        if (
            not isinstance(ids, list)
            or not ids
            or len(ids) > MAX_LIST
            or not all(isinstance(n, int) and 0 < n < 2**62 for n in ids)
        ):
            wrong["audience"] = _("A list of 1 to %(n)s customers") % {"n": MAX_LIST}
    else:
        wrong["audience"] = _("Choose whom it is for")


def _check_waves(
    brand: Brand, waves: Sequence[WaveInput], wrong: dict[str, str], problems: dict[int, str]
) -> None:
    """`problems`: what is wrong with which of them, counted from 0; the last one stands in `wrong` as well."""
    if not 1 <= len(waves) <= MAX_WAVES:
        wrong["waves"] = _("1 to %(n)s waves") % {"n": MAX_WAVES}
        return
    for n, wave in enumerate(waves, 1):
        before = waves[n - 2].at if n > 1 else None
        if wave.after not in AFTER or (n == 1 and wave.after):
            problems[n - 1] = _("Wave %(n)s: unknown condition") % {"n": n}
        elif n > 1 and wave.at is None:
            problems[n - 1] = _("Wave %(n)s: when?") % {"n": n}
        elif wave.at and wave.at < clock.now():
            problems[n - 1] = _("Wave %(n)s: this time has passed") % {"n": n}
        elif wave.at and before and wave.at <= before:
            problems[n - 1] = _("Wave %(n)s: before the wave before it") % {"n": n}
        elif wave.condition:
            try:
                audience.read(brand, wave.condition)
            except ConditionError as error:
                problems[n - 1] = _("Wave %(n)s: %(error)s") % {"n": n, "error": error}
    if problems:
        wrong["waves"] = problems[max(problems)]


def _check_variants(
    brand: Brand, variants: Sequence[VariantInput], wrong: dict[str, str], problems: dict[int, str]
) -> list[VariantInput]:
    """The contents, tidy; `problems`: what is wrong with which of them, counted from 0."""
    if not 1 <= len(variants) <= len(LETTERS):
        wrong["variants"] = _("1 to %(n)s contents") % {"n": len(LETTERS)}
        return []
    checked = []
    for n, (letter, variant) in enumerate(zip(LETTERS, variants, strict=False)):
        try:
            if not variant.text.strip() and not variant.attachments:
                raise InvalidError(_("neither text nor attachment"))
            if not 1 <= variant.weight <= 100:
                raise InvalidError(_("a weight between 1 and 100"))
            variables.check_text(variant.text)
            clean = attachments.validate(variant.attachments)
            sensitive.check_here(variant.text, clean)
        except InvalidError as error:
            problems[n] = str(error.message)
            wrong["variants"] = _("Content %(letter)s: %(error)s") % {
                "letter": letter,
                "error": error.message,
            }
        else:
            checked.append(VariantInput(variant.text.strip(), clean, variant.weight, variant.content_version))
    return checked


@transaction.atomic
def delete_draft(brand: Brand, *, broadcast_id: int, by: Actor) -> None:
    broadcast = get_broadcast(broadcast_id, lock=True)
    if broadcast.state != State.DRAFT:
        raise ConflictError(_("Only a draft can be deleted"))
    audit.record(by, "broadcast.delete", broadcast, before=_as_audit(broadcast))
    broadcast.delete()


def _as_audit(broadcast: Broadcast) -> dict[str, Any]:
    row = audit.snapshot(
        broadcast, ["name", "state", "priority", "hold_out_percent", "late_hours", "repeat", "test"]
    )
    audience_of = broadcast.audience
    if "contacts" in audience_of:
        audience_of = {"contacts": len(audience_of["contacts"])}
    return {**row, "audience": audience_of, "texts": [v.text for v in broadcast.variants.order_by("letter")]}


# ---- states


@transaction.atomic
def launch(brand: Brand, *, broadcast_id: int, by: Actor) -> Broadcast:
    """Start it, or hand it to a second person where the brand wants that. Waves whose time is over go out at once.

    Raises:
        ConflictError: not a draft.
        InvalidError: what has changed since it was written (launch_checks.py).
    """
    gate.enter_gate(brand)
    broadcast = get_broadcast(broadcast_id, lock=True)
    check_launch(brand, broadcast)
    needs_approval = policy_of(brand).needs_approval
    broadcast.launched_by, broadcast.launched_by_user_id = by.name, by.user_id
    broadcast.save(update_fields=["launched_by", "launched_by_user_id"])
    if needs_approval:
        _switch(broadcast, {State.DRAFT}, State.APPROVAL, by, "broadcast.submit")
        second_person_notices.tell_of(brand, broadcast)
        return broadcast
    return _start(brand, broadcast, {State.DRAFT}, by, "broadcast.launch")


@transaction.atomic
def approve(brand: Brand, *, broadcast_id: int, by: Actor) -> Broadcast:
    """A second person says yes.

    Raises:
        ForbiddenError: the person who wrote or submitted it.
        InvalidError: as `launch`.
    """
    gate.enter_gate(brand)
    broadcast = get_broadcast(broadcast_id, lock=True)
    makers = (
        (broadcast.created_by, broadcast.created_by_user_id),
        (broadcast.launched_by, broadcast.launched_by_user_id),
    )
    if second_person.is_own(by, *makers):
        raise ForbiddenError(_("Somebody else has to approve it"))
    check_launch(brand, broadcast)
    return _start(brand, broadcast, {State.APPROVAL}, by, "broadcast.approve")


@transaction.atomic
def reject(brand: Brand, *, broadcast_id: int, by: Actor) -> Broadcast:
    """Back to a draft, also by whoever submitted it."""
    return _switch(
        get_broadcast(broadcast_id, lock=True), {State.APPROVAL}, State.DRAFT, by, "broadcast.reject"
    )


def _start(brand: Brand, broadcast: Broadcast, allowed: Collection[str], by: Actor, action: str) -> Broadcast:
    from campaigns.tasks import plan_waves

    now = clock.now()
    _switch(broadcast, allowed, State.ON, by, action)
    broadcast.launched_at = now
    broadcast.save(update_fields=["launched_at"])
    first = Wave.objects.filter(broadcast=broadcast, n=1, condition__now=True)
    first.update(at=now)
    if broadcast.test and broadcast.test["percent"] < 100:
        narrowed = Wave.objects.get(broadcast=broadcast, n=1).condition.get("condition") or {}
        rest = {"now": False, "after": "", "condition": narrowed, "winner": True}
        Wave.objects.create(broadcast=broadcast, n=2, at=now, condition=rest, state=Wave.State.HELD)
    plan_waves.delay_on_commit(brand_id=brand.pk)
    return broadcast


@transaction.atomic
def pause(brand: Brand, *, broadcast_id: int, by: Actor) -> Broadcast:
    """Nothing more is planned or handed to WeCom; what guides have already, they may send."""
    gate.enter_gate(brand)
    return _switch(get_broadcast(broadcast_id, lock=True), {State.ON}, State.PAUSED, by, "broadcast.pause")


@transaction.atomic
def resume(brand: Brand, *, broadcast_id: int, by: Actor) -> Broadcast:
    gate.enter_gate(brand)
    broadcast = _switch(
        get_broadcast(broadcast_id, lock=True), {State.PAUSED}, State.ON, by, "broadcast.resume"
    )
    SendTask.objects.filter(
        broadcast=broadcast, state=SendTask.State.PLANNED, next_try_at__gt=clock.now()
    ).update(next_try_at=clock.now())
    return broadcast


@transaction.atomic
def cancel(brand: Brand, *, broadcast_id: int, by: Actor) -> Broadcast:
    """Stop what was not sent: planned tasks at once; a job stops those that guides have and have not confirmed."""
    gate.enter_gate(brand)
    allowed = {State.ON, State.PAUSED, State.APPROVAL}
    broadcast = _switch(
        get_broadcast(broadcast_id, lock=True), allowed, State.CANCELLED, by, "broadcast.cancel"
    )
    now = clock.now()
    broadcast.ended_at = now
    broadcast.save(update_fields=["ended_at"])
    open_waves = Wave.objects.filter(broadcast=broadcast, state__in=[Wave.State.WAITING, Wave.State.HELD])
    open_waves.update(state=Wave.State.SKIPPED)
    rows = SendTask.objects.select_for_update().filter(broadcast=broadcast, state=SendTask.State.PLANNED)
    planned = list(rows.only("at", "brand").order_by("pk"))
    for task in planned:
        touches.settle(brand, send_task_id=task.pk, at=task.at, state=Touch.State.CANCELLED, done_at=now)
    # these and no other: one that is planned again only now is cancelled by its next claim
    SendTask.objects.filter(pk__in=[task.pk for task in planned]).update(state=SendTask.State.CANCELLED)
    _job(brand, broadcast, "broadcast_cancel", _("Stop “%(name)s”"), by)
    return broadcast


@transaction.atomic
def remind_all(brand: Brand, *, broadcast_id: int, by: Actor) -> None:
    """A job reminds every guide who has not confirmed yet."""
    broadcast = get_broadcast(broadcast_id)
    if broadcast.state not in (State.ON, State.PAUSED):
        raise ConflictError(_("Nobody has to confirm anything here"))
    _job(brand, broadcast, "broadcast_remind", _("Remind the guides of “%(name)s”"), by)


@transaction.atomic
def reassign_all(brand: Brand, *, broadcast_id: int, by: Actor) -> None:
    """A job gives what guides have not confirmed to other guides of the same customers."""
    broadcast = get_broadcast(broadcast_id)
    if broadcast.state not in (State.ON, State.PAUSED):
        raise ConflictError(_("Nobody has to confirm anything here"))
    _job(brand, broadcast, "broadcast_reassign", _("Other guides for “%(name)s”"), by)


def _job(brand: Brand, broadcast: Broadcast, kind: str, title: str, by: Actor) -> None:
    title = title % {"name": broadcast.name}
    send_task_jobs.start(brand, kind=kind, title=title, by=by, broadcast_id=broadcast.pk)


def _switch(broadcast: Broadcast, allowed: Collection[str], state: str, by: Actor, action: str) -> Broadcast:
    if broadcast.state not in allowed:
        raise ConflictError(_("The broadcast is “%(state)s” now") % {"state": broadcast.get_state_display()})
    before, broadcast.state = {"state": broadcast.state}, state
    broadcast.save(update_fields=["state"])
    audit.record(by, action, broadcast, before=before, after={"state": state})
    return broadcast
