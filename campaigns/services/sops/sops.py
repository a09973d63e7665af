"""SOPs: write one, switch it on, change it while people are in it, pause, end, copy.

What changes plans holds the brand's gate (gate.py), so it never meets a tick in the middle of a batch.
"""

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError, QuerySet
from django.utils.translation import gettext as _

from campaigns.models import Enrolment, Moment, SendTask, Sop, Touch
from campaigns.services.governance import gate
from campaigns.services.journeys import leaving
from campaigns.services.ledger import touches
from campaigns.services.sending import send_task_jobs
from campaigns.services.sops import dues, replanning, sop_requests
from campaigns.services.sops.replanning import EditEffect
from campaigns.services.sops.schedule import StepTime
from campaigns.services.sops.sop_steps import (
    MAX_STEPS,
    StepInput,
    changes_sending,
    check_content,
    check_contents,
    check_ids,
    live_steps,
    ordered,
    step_times,
    write_steps,
)
from org import audit
from org.access import SYSTEM, Actor
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand

MAX_LATE_DAYS = 30
CLOSE_SLICE = 5_000
MIN_PRIORITY, MAX_PRIORITY = 1, 9
_LET_GO_ON = dues.listing(
    "UPDATE campaigns_enrolment e SET is_parked = false"
    " WHERE e.brand_id = %s AND e.sop_id = %s AND e.ended_at IS NULL AND e.is_parked"
)


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
    makers = [[by.name, by.user_id]]
    sop = save_sop(Sop(name=name, late_days=late_days, created_by=by.name, makers=makers))
    write_steps(sop, steps)
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
        ConflictError: the SOP has ended, or it is not a draft any more and a second person has to approve other steps
            (sop_approval.edit hands them in).
    """
    gate.enter_gate(brand)
    sop = to_edit(sop_id)
    name, steps = check_edit(brand, sop, name, late_days, steps)
    if changes_sending(sop, late_days, steps):
        if sop.state != Sop.State.DRAFT:
            sop_requests.check_alone(brand)
        sop_requests.overtake(sop, by)
    return put_in_force(brand, sop_id=sop.pk, name=name, late_days=late_days, steps=steps, by=by)


def to_edit(sop_id: int) -> Sop:
    """The SOP, locked. Raises ConflictError: it is drawn, or has ended."""
    sop = get_sop(sop_id, lock=True)
    if sop.is_graph:
        raise ConflictError(_("This SOP is drawn on the canvas"))
    if sop.state == Sop.State.ENDED:
        raise ConflictError(_("The SOP has ended. Copy it to use it again."))
    return sop


def check_edit(
    brand: Brand, sop: Sop, name: str, late_days: int, steps: Sequence[StepInput]
) -> tuple[str, list[StepInput]]:
    """Name and steps in order, tidy. Raises InvalidError, also where a step is not there any more."""
    name, checked = _checked(brand, name, late_days, steps, sop)
    check_ids(sop, checked)
    return name, checked


def put_in_force(
    brand: Brand, *, sop_id: int, name: str, late_days: int, steps: Sequence[StepInput], by: Actor
) -> EditEffect:
    """Checked steps become those of the SOP. The caller holds the gate, and has seen to the second person."""
    sop = to_edit(sop_id)
    before, old = _as_audit(sop), step_times(live_steps(sop.pk))
    sop.name, sop.late_days = name, late_days
    if sop.state == Sop.State.DRAFT:
        sop_requests.note_maker(sop, by)
    save_sop(sop)
    write_steps(sop, steps)
    effect = replanning.replan(brand, sop.pk, old, step_times(live_steps(sop.pk)))
    audit.record(by, "sop.edit", sop, before=before, after=_as_audit(sop))
    return effect


def preview_edit(brand: Brand, *, sop_id: int, steps: Sequence[StepInput]) -> EditEffect:
    """What `edit_sop` with these steps would do to the people in it; changes nothing."""
    get_sop(sop_id)
    rows = enumerate(ordered(steps))
    times = [StepTime(s.day, s.hour, s.minute, i, s.step_id or 0) for i, s in rows]
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
    checked = ordered(steps)
    kept = {s.pk: s.content_id for s in live_steps(sop.pk)} if sop else {}
    for n, step in enumerate(steps, 1):
        if step.content_version != kept.get(step.step_id or 0):  # chosen now
            check_content(brand, step.content_version, n)
    return name, checked


def rename(sop: Sop, name: str, by: Actor) -> Sop:
    """Of both forms, at once: a name goes to nobody. The caller holds the SOP's row.

    Raises:
        InvalidError: the name is taken.
    """
    before = {"name": sop.name}
    sop.name = checked_name(name, sop)
    save_sop(sop)
    audit.record(by, "sop.edit", sop, before=before, after={"name": sop.name})
    return sop


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


@transaction.atomic
def set_priority(brand: Brand, *, sop_id: int, priority: int, by: Actor) -> Sop:
    """1 … 9, of both forms; also of its messages that are planned and that WeCom does not have yet. What waits for a second
    person is overtaken by it.

    Raises:
        InvalidError. ConflictError: the SOP has ended, or it is on or paused and a second person has to approve it
            (sop_approval.set_priority hands it in).
    """
    gate.enter_gate(brand)
    sop = to_rank(sop_id, priority)
    if sop.state != Sop.State.DRAFT and sop.priority != priority:
        sop_requests.check_alone(brand)
    return rank(sop, priority, by)


def to_rank(sop_id: int, priority: int) -> Sop:
    """The SOP, locked. Raises as `set_priority`."""
    if not MIN_PRIORITY <= priority <= MAX_PRIORITY:
        text = _("Between 1 and 9")
        raise InvalidError(text, fields={"priority": text})
    sop = get_sop(sop_id, lock=True)
    if sop.state == Sop.State.ENDED:
        raise ConflictError(_("The SOP has ended. Copy it to use it again."))
    return sop


def rank(sop: Sop, priority: int, by: Actor) -> Sop:
    """The priority is another one from now on. The caller holds the gate, and has seen to the second person."""
    before = sop.priority
    if before != priority:
        sop_requests.overtake(sop, by)
        sop.priority = priority
        sop.save(update_fields=["priority"])
        SendTask.objects.filter(sop=sop, state=SendTask.State.PLANNED).update(priority=priority)
        audit.record(by, "sop.edit", sop, before={"priority": before}, after={"priority": priority})
    return sop


# ---- states


@transaction.atomic
def switch_on(brand: Brand, *, sop_id: int, by: Actor) -> Sop:
    """People can be put into it from now on.

    Raises:
        ConflictError: not a draft, or a second person has to approve it (sop_approval.switch_on hands it in).
        InvalidError: no step.
    """
    sop_requests.check_alone(brand)
    return start(get_to_start(brand, sop_id), by)


def get_to_start(brand: Brand, sop_id: int) -> Sop:
    """The SOP of steps, locked. Raises as `switch_on`."""
    sop = get_sop(sop_id, lock=True)
    if sop.is_graph:
        raise ConflictError(_("A canvas is switched on by publishing it"))
    _check_state(sop, {Sop.State.DRAFT})
    steps = live_steps(sop.pk)
    if not steps:
        raise InvalidError(_("Write at least one step first"))
    check_contents(brand, steps)
    return sop


def start(sop: Sop, by: Actor) -> Sop:
    """On from now on. The caller holds the SOP's row, and has seen to the second person."""
    sop_requests.overtake(sop, by)
    sop.makers = []
    sop.save(update_fields=["makers"])
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
    with connection.cursor() as cursor:
        cursor.execute(_LET_GO_ON, [brand.pk, sop.pk])
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
    sop_requests.overtake(sop, by)
    close_sop.delay_on_commit(brand_id=brand.pk, sop_id=sop.pk)
    if SendTask.objects.unconfirmed().filter(sop=sop.pk).exists():
        title = _("Stop “%(name)s”") % {"name": sop.name}
        send_task_jobs.start(brand, kind="sop_stop", title=title, by=by, sop_id=sop.pk)
    return sop


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
    from campaigns.services.graphs import graphs

    sop = get_sop(sop_id)
    name = free_name(sop.name)
    if sop.is_graph:
        copy = graphs.create_graph_sop(brand, name=name, graph=sop.draft, by=by)
        return set_priority(brand, sop_id=copy.pk, priority=sop.priority, by=by)
    steps = [
        StepInput(s.day, s.hour, s.minute, s.text, s.attachments, content_version=s.content_id)
        for s in live_steps(sop.pk)
    ]
    copy = create_sop(brand, name=name, late_days=sop.late_days, steps=steps, by=by)
    return set_priority(brand, sop_id=copy.pk, priority=sop.priority, by=by)


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


def _check_state(sop: Sop, allowed: set[str]) -> None:
    if sop.state not in allowed:
        raise ConflictError(_("The SOP is “%(state)s” now") % {"state": sop.get_state_display()})


def _switch(sop: Sop, allowed: set[str], state: str, by: Actor, action: str) -> Sop:
    _check_state(sop, allowed)
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
            **({"content": s.content_id} if s.content_id else {}),
        }
        for s in live_steps(sop.pk)
    ]
    about = {"name": sop.name, "late_days": sop.late_days, "state": sop.state, "priority": sop.priority}
    return {**about, "steps": steps}
