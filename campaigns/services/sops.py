"""SOPs: write one, switch it on, change it while people are in it, pause, end, copy.

What changes plans holds the brand's gate (gate.py), so it never meets a tick in the middle of a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, ProtectedError, QuerySet
from django.utils.translation import gettext as _

from campaigns.models import Enrolment, Moment, SendTask, Sop, SopStep, Touch
from campaigns.services import gate, replanning, touches, variables
from campaigns.services.journeys import leaving
from campaigns.services.replanning import EditEffect
from campaigns.services.schedule import MAX_DAY, StepTime
from content.services import sensitive
from org import audit
from org.access import SYSTEM, Actor
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand
from wecom.services import attachments

MAX_STEPS = 50
MAX_LATE_DAYS = 30
CLOSE_SLICE = 5_000


@dataclass(frozen=True)
class StepInput:
    """One step as it is written; `step_id` names the step that it changes, None makes a new one."""

    day: int
    hour: int
    minute: int
    text: str = ""
    attachments: list[dict[str, Any]] = field(default_factory=list)
    step_id: int | None = None


def get_sop(sop_id: int, *, lock: bool = False) -> Sop:
    """The SOP of the brand in scope.

    Raises:
        NotFoundError: missing, or another brand's.
    """
    rows = Sop.objects.select_for_update() if lock else Sop.objects.all()
    sop = rows.filter(pk=sop_id).first()
    if sop is None:
        raise NotFoundError()
    return sop


def live_steps(sop_id: int) -> list[SopStep]:
    """The steps in force, in order."""
    return list(SopStep.objects.filter(sop=sop_id, removed_at=None).order_by("position"))


def step_times(steps: Sequence[SopStep]) -> list[StepTime]:
    return [StepTime(s.day, s.hour, s.minute, s.position, s.pk) for s in steps]


# ---- write and change


@transaction.atomic
def create_sop(
    brand: Brand, *, name: str, late_days: int = 3, steps: Sequence[StepInput] = (), by: Actor = SYSTEM
) -> Sop:
    """A draft; nobody can be put into it before it is switched on.

    Raises:
        InvalidError: a name that is taken, steps that WeCom would not take.
    """
    name, steps = _checked(brand, name, late_days, steps)
    sop = save_sop(Sop(name=name, late_days=late_days, created_by=by.name))
    _write_steps(sop, steps)
    audit.record(by, "sop.create", sop, after=_as_audit(sop))
    return sop


@transaction.atomic
def edit_sop(
    brand: Brand, *, sop_id: int, name: str, late_days: int, steps: Sequence[StepInput], by: Actor
) -> EditEffect:
    """Change name and steps, also while people are in it.

    What somebody has received stays received and is never sent again. The next step of each is the first one
    whose time is still to come; what was due already and not handled yet stays due. Who has none left is
    finished.

    Raises:
        ConflictError: the SOP has ended.
    """
    gate.enter_gate(brand)
    sop = get_sop(sop_id, lock=True)
    if sop.is_graph:
        raise ConflictError(_("This SOP is drawn on the canvas"))
    if sop.state == Sop.State.ENDED:
        raise ConflictError(_("The SOP has ended. Copy it to use it again."))
    name, steps = _checked(brand, name, late_days, steps, sop)
    before, old = _as_audit(sop), step_times(live_steps(sop.pk))
    sop.name, sop.late_days = name, late_days
    save_sop(sop)
    _write_steps(sop, steps)
    effect = replanning.replan(brand, sop.pk, old, step_times(live_steps(sop.pk)))
    audit.record(by, "sop.edit", sop, before=before, after=_as_audit(sop))
    return effect


def preview_edit(brand: Brand, *, sop_id: int, steps: Sequence[StepInput]) -> EditEffect:
    """What `edit_sop` with these steps would do to the people in it; changes nothing."""
    get_sop(sop_id)
    ordered = _ordered(steps)
    times = [StepTime(s.day, s.hour, s.minute, i, s.step_id or 0) for i, s in enumerate(ordered)]
    old = step_times(live_steps(sop_id))
    return replanning.effect_of(replanning.plans_after(brand, sop_id, old, times))


def checked_name(name: str, sop: Sop | None = None) -> str:
    """A name that no other SOP has.

    Raises:
        InvalidError: empty, too long, or taken.
    """
    name = name.replace("\x00", "").strip()
    if not name or len(name) > 60:
        raise InvalidError(
            _("A name of 1 to 60 characters is needed"), fields={"name": _("1 to 60 characters")}
        )
    same = Sop.objects.filter(name=name)
    if (same.exclude(pk=sop.pk) if sop else same).exists():
        raise InvalidError(
            _("There is an SOP of this name already"), fields={"name": _("This name is taken")}
        )
    return name


def free_name(name: str) -> str:
    """The name with the first number that is free."""
    taken = set(Sop.objects.filter(name__startswith=name[:50]).values_list("name", flat=True))
    n = 2
    while (found := f"{name[:50]} ({n})") in taken:
        n += 1
    return found


def _checked(
    brand: Brand, name: str, late_days: int, steps: Sequence[StepInput], sop: Sop | None = None
) -> tuple[str, list[StepInput]]:
    name = checked_name(name, sop)
    if not 0 <= late_days <= MAX_LATE_DAYS:
        text = _("Between 0 and %(n)s days") % {"n": MAX_LATE_DAYS}
        raise InvalidError(text, fields={"late_days": text})
    if len(steps) > MAX_STEPS:
        raise InvalidError(_("At most %(n)s steps") % {"n": MAX_STEPS})
    if sop and sop.state != Sop.State.DRAFT and not steps:
        raise InvalidError(_("An SOP that is switched on needs at least one step"))
    return name, _ordered(steps)


def _ordered(steps: Sequence[StepInput]) -> list[StepInput]:
    """In order of time, each of them checked."""
    seen: set[tuple[int, int, int]] = set()
    checked = []
    for n, step in enumerate(steps, 1):
        if not (0 <= step.day <= MAX_DAY and 0 <= step.hour <= 23 and 0 <= step.minute <= 59):
            raise InvalidError(
                _("Step %(n)s: day 0 to %(most)s, a time of day") % {"n": n, "most": MAX_DAY}, step=n
            )
        if (moment := (step.day, step.hour, step.minute)) in seen:
            raise InvalidError(_("Step %(n)s has the same day and time as another one") % {"n": n}, step=n)
        seen.add(moment)
        if not step.text.strip() and not step.attachments:
            raise InvalidError(_("Step %(n)s has neither text nor attachment") % {"n": n}, step=n)
        try:
            variables.check_text(step.text)
            clean = attachments.validate(step.attachments)
            sensitive.check_here(step.text, clean)
        except InvalidError as error:
            text = _("Step %(n)s: %(error)s") % {"n": n, "error": error.message}
            raise InvalidError(text, code=error.code, step=n, problem=str(error.message)) from error
        checked.append(replace(step, text=step.text.strip(), attachments=clean))
    return sorted(checked, key=lambda s: (s.day, s.hour, s.minute))


def save_sop(sop: Sop) -> Sop:
    """Raises InvalidError where the name was taken a moment ago."""
    try:
        with transaction.atomic():
            sop.save()
    except IntegrityError as error:
        raise InvalidError(
            _("There is an SOP of this name already"), fields={"name": _("This name is taken")}
        ) from error
    return sop


def _write_steps(sop: Sop, steps: Sequence[StepInput]) -> None:
    """Make the stored steps those given (in order): changed in place, added, or taken out but kept."""
    old = {step.pk: step for step in live_steps(sop.pk)}
    given = [step.step_id for step in steps if step.step_id is not None]
    if set(given) - old.keys() or len(given) != len(set(given)):
        raise InvalidError(_("The SOP was changed by somebody else meanwhile. Load the page again."))
    now = clock.now()
    gone = [pk for pk in old if pk not in given]
    SopStep.objects.filter(pk__in=gone).update(removed_at=now)
    # out of each other's way first: positions are unique
    SopStep.objects.filter(pk__in=given).update(position=-1 - F("position"))
    for position, step in enumerate(steps):
        values: dict[str, Any] = {
            "position": position,
            "day": step.day,
            "hour": step.hour,
            "minute": step.minute,
            "text": step.text,
            "attachments": step.attachments,
        }
        if step.step_id is None:
            SopStep.objects.create(sop=sop, **values)
        else:
            SopStep.objects.filter(pk=step.step_id).update(**values)


# ---- states


@transaction.atomic
def switch_on(brand: Brand, *, sop_id: int, by: Actor) -> Sop:
    """People can be put into it from now on.

    Raises:
        ConflictError: not a draft.
        InvalidError: no step.
    """
    sop = get_sop(sop_id, lock=True)
    if sop.is_graph:
        raise ConflictError(_("A canvas is switched on by publishing it"))
    if not live_steps(sop.pk):
        raise InvalidError(_("Write at least one step first"))
    return _switch(sop, {Sop.State.DRAFT}, Sop.State.ON, by, "sop.on")


@transaction.atomic
def pause(brand: Brand, *, sop_id: int, by: Actor) -> Sop:
    """Nothing more is planned or handed to WeCom; people can still be put in. What guides have already, they
    may send."""
    gate.enter_gate(brand)
    return _switch(get_sop(sop_id, lock=True), {Sop.State.ON}, Sop.State.PAUSED, by, "sop.pause")


@transaction.atomic
def resume(brand: Brand, *, sop_id: int, by: Actor) -> Sop:
    """Go on; steps that came due meanwhile are caught up or recorded as too late, as after any stop."""
    gate.enter_gate(brand)
    sop = _switch(get_sop(sop_id, lock=True), {Sop.State.PAUSED}, Sop.State.ON, by, "sop.resume")
    Enrolment.objects.filter(sop=sop, ended_at=None, is_parked=True).update(is_parked=False)
    SendTask.objects.filter(sop=sop, state=SendTask.State.PLANNED).update(next_try_at=clock.now())
    _planned_moments(sop.pk).filter(at__lte=clock.now()).update(next_try_at=clock.now())
    return sop


@transaction.atomic
def end(brand: Brand, *, sop_id: int, by: Actor) -> Sop:
    """For good: everybody leaves, what was planned and not handed to WeCom yet is cancelled, and a job stops at WeCom what
    guides have and have not confirmed.

    The people leave in slices after commit (tasks.close_sop).
    """
    from campaigns.tasks import close_sop

    gate.enter_gate(brand)
    sop = get_sop(sop_id, lock=True)
    _switch(sop, {Sop.State.ON, Sop.State.PAUSED}, Sop.State.ENDED, by, "sop.end")
    close_sop.delay_on_commit(brand_id=brand.pk, sop_id=sop.pk)
    if n := unconfirmed(sop.pk).count():
        title, params = _("Stop “%(name)s”") % {"name": sop.name}, {"sop_id": sop.pk, "after": 0}
        jobs.start_job(brand, kind="sop_stop", title=title, params=params, by=by, n_total=n)
    return sop


def unconfirmed(sop_id: int) -> "QuerySet[SendTask]":
    """Send tasks that guides have, or will have in a moment, and have not confirmed."""
    open_states = [SendTask.State.CALLING, SendTask.State.HANDED]
    return SendTask.objects.filter(sop=sop_id, state__in=open_states, confirmed_at=None).order_by()


def close_slice(brand: Brand, *, sop_id: int, limit: int = CLOSE_SLICE) -> int:
    """End some enrolments of an SOP that has ended; gives how many. Own transaction; repeat until 0."""
    now = clock.now()
    with transaction.atomic():
        gate.enter_gate(brand)
        if get_sop(sop_id).state != Sop.State.ENDED:
            return 0
        ids = Enrolment.objects.filter(sop=sop_id, ended_at=None).order_by("pk").values_list("pk", flat=True)
        return leaving.leave(brand, list(ids[:limit]), Enrolment.End.SOP_ENDED, now)


def cancel_planned(brand: Brand, *, sop_id: int) -> int:
    """Cancel what an SOP that has ended had planned and not handed over; gives how many send tasks. Own
    transaction."""
    now = clock.now()
    with transaction.atomic():
        if get_sop(sop_id).state != Sop.State.ENDED:
            return 0
        tasks = list(SendTask.objects.select_for_update().filter(sop=sop_id, state=SendTask.State.PLANNED))
        for task in tasks:
            touches.settle(brand, send_task_id=task.pk, at=task.at, state=Touch.State.CANCELLED, done_at=now)
        SendTask.objects.filter(pk__in=[t.pk for t in tasks]).update(state=SendTask.State.CANCELLED)
        _planned_moments(sop_id).update(state=Moment.State.CANCELLED, cancelled_at=now, ended_at=now)
    return len(tasks)


def _planned_moments(sop_id: int) -> QuerySet[Moment]:
    """Moments that its graph has ordered and WeCom does not have yet."""
    return Moment.objects.filter(source="sop", source_id=sop_id, state=Moment.State.PLANNED)


@transaction.atomic
def duplicate(brand: Brand, *, sop_id: int, by: Actor) -> Sop:
    """A draft with the same steps under a name of its own; nobody is in it."""
    from campaigns.services import graphs

    sop = get_sop(sop_id)
    name = free_name(sop.name)
    if sop.is_graph:
        return graphs.create_graph_sop(brand, name=name, graph=sop.draft, by=by)
    steps = [StepInput(s.day, s.hour, s.minute, s.text, s.attachments) for s in live_steps(sop.pk)]
    return create_sop(brand, name=name, late_days=sop.late_days, steps=steps, by=by)


@transaction.atomic
def delete_draft(brand: Brand, *, sop_id: int, by: Actor) -> None:
    """Remove an SOP that was never switched on.

    Raises:
        ConflictError: it was, or a channel code names it.
    """
    sop = get_sop(sop_id, lock=True)
    if sop.state != Sop.State.DRAFT:
        raise ConflictError(_("Only a draft can be deleted; end the SOP instead"))
    audit.record(by, "sop.delete", sop, before=_as_audit(sop))
    try:
        with transaction.atomic():
            sop.delete()
    except (ProtectedError, IntegrityError) as error:
        raise ConflictError(_("A channel code leads into this SOP; change the code first")) from error


def _switch(sop: Sop, allowed: set[str], state: str, by: Actor, action: str) -> Sop:
    if sop.state not in allowed:
        raise ConflictError(_("The SOP is “%(state)s” now") % {"state": sop.get_state_display()})
    before, sop.state = {"state": sop.state}, state
    sop.save(update_fields=["state"])
    audit.record(by, action, sop, before=before, after={"state": state})
    return sop


def _as_audit(sop: Sop) -> dict[str, Any]:
    steps = [
        {
            "day": s.day,
            "time": f"{s.hour:02}:{s.minute:02}",
            "text": s.text,
            "attachments": [a.get("title") or a.get("type") for a in s.attachments],
        }
        for s in live_steps(sop.pk)
    ]
    return {"name": sop.name, "late_days": sop.late_days, "state": sop.state, "steps": steps}
