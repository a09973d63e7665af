"""SOPs with a second person: hand in what is to come into force, approve it, send it back with a reason, withdraw it.

Where the brand wants nobody else asked (TouchPolicy.sops_need_approval), or there is nothing to approve, the same acts
bring it into force at once. What is approved is what was handed in: the request holds it whole.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from campaigns.graph import tidy, words
from campaigns.graph.raw_values import storable
from campaigns.models import Sop, SopRequest, SopVersion
from campaigns.services import second_person_notices
from campaigns.services.governance import gate
from campaigns.services.graphs import graphs
from campaigns.services.sops import enrolments, sop_requests, sop_steps, sops
from campaigns.services.sops.replanning import EditEffect
from campaigns.services.sops.sop_steps import StepInput
from org import audit
from org.access import Actor
from org.models import Job
from scrm.errors import ConflictError, ForbiddenError, InvalidError
from tenants.models import Brand

Kind, State = SopRequest.Kind, SopRequest.State
MAX_REASON = 200


@dataclass(frozen=True)
class Outcome:
    """What became of it: `request` waits for a second person, or it is in force (a canvas: as `version`)."""

    request: SopRequest | None = None
    version: SopVersion | None = None
    job: Job | None = None  # people who move, or are put in
    effect: EditEffect | None = None


# ---- bring into force, or hand in


@transaction.atomic
def switch_on(brand: Brand, *, sop_id: int, by: Actor, note: str = "") -> Outcome:
    """As sops.switch_on, of steps by day."""
    if not sop_requests.are_needed(brand):
        sops.switch_on(brand, sop_id=sop_id, by=by)
        return Outcome()
    sop = sops.get_to_start(brand, sop_id)
    now = {
        "steps": sop_steps.steps_as_rows(sop.pk),
        "late_days": sop.late_days,
        "before": None,
    }
    return Outcome(_ask(brand, sop, Kind.ON, now, by, note))


@transaction.atomic
def edit(
    brand: Brand,
    *,
    sop_id: int,
    name: str,
    late_days: int,
    steps: Sequence[StepInput],
    by: Actor,
    note: str = "",
) -> Outcome:
    """As sops.edit_sop; other steps of an SOP that is on or paused are handed in, and go out when they are approved. The
    name is another one at once."""
    gate.enter_gate(brand)
    sop = sops.to_edit(sop_id)
    if sop.state != Sop.State.DRAFT and sop_requests.are_needed(brand):
        name, ordered = sops.check_edit(brand, sop, name, late_days, steps)
        if sop_steps.changes_sending(sop, late_days, ordered):
            if name != sop.name:
                sops.rename(sop, name, by)
            before = {"steps": sop_steps.steps_as_rows(sop.pk), "late_days": sop.late_days}
            rows = [sop_steps.step_row(step) for step in ordered]
            wanted = {"steps": rows, "late_days": late_days, "before": before}
            return Outcome(_ask(brand, sop, Kind.CHANGE, wanted, by, note))
    effect = sops.edit_sop(brand, sop_id=sop_id, name=name, late_days=late_days, steps=steps, by=by)
    return Outcome(effect=effect)


@transaction.atomic
def publish(
    brand: Brand,
    *,
    sop_id: int,
    by: Actor,
    note: str = "",
    people: str = graphs.STAY,
    mapping: Mapping[str, str] | None = None,
    draft_n: int | None = None,
) -> Outcome:
    """As graphs.publish. People who are on their way stay where they are until it is approved."""
    if not sop_requests.are_needed(brand):
        version, job = graphs.publish(
            brand, sop_id=sop_id, by=by, note=note, people=people, mapping=mapping, draft_n=draft_n
        )
        return Outcome(version=version, job=job)
    gate.enter_gate(brand)
    sop = graphs.to_publish(sop_id, draft_n)
    clean = graphs.checked(brand, sop.draft or graphs.EMPTY, people)
    present = graphs.is_present(sop, clean)
    if present is not None and people == graphs.STAY:
        return Outcome(version=present)  # a double click: nothing is new
    return _ask_version(brand, sop, clean, by=by, note=note, people=people, mapping=mapping)


@transaction.atomic
def roll_back(
    brand: Brand,
    *,
    sop_id: int,
    n: int,
    by: Actor,
    people: str = graphs.STAY,
    mapping: Mapping[str, str] | None = None,
) -> Outcome:
    """As graphs.roll_back: a version that was approved comes back at once, others are handed in."""
    gate.enter_gate(brand)
    sop = graphs.to_publish(sop_id)
    version = graphs.older_version(sop, n)
    clean = graphs.checked(brand, version.graph, people)
    if not sop_requests.are_needed(brand) or graphs.is_approved(version, clean):
        new, job = graphs.roll_back(brand, sop_id=sop_id, n=n, by=by, people=people, mapping=mapping)
        return Outcome(version=new, job=job)
    note = graphs.back_note(n)
    return _ask_version(brand, sop, clean, by=by, note=note, people=people, mapping=mapping)


def _ask_version(
    brand: Brand,
    sop: Sop,
    clean: Any,
    *,
    by: Actor,
    note: str,
    people: str,
    mapping: Mapping[str, str] | None,
) -> Outcome:
    """The draft becomes what is handed in, so that another draft is seen to be another one. Where it is that already (a
    second click, an editor that is open) it is no new one."""
    if words.differences(tidy(sop.draft or graphs.EMPTY), clean):
        sop.draft, sop.draft_n = clean, sop.draft_n + 1
        sop.save(update_fields=["draft", "draft_n"])
    ways = storable(dict(mapping or {})) if people == graphs.MOVE else {}
    wanted = {"graph": clean, "people": people, "mapping": ways}
    return Outcome(_ask(brand, sop, Kind.VERSION, wanted, by, note))


@transaction.atomic
def set_priority(brand: Brand, *, sop_id: int, priority: int, by: Actor, note: str = "") -> Outcome:
    """As sops.set_priority; of an SOP that is on or paused it is handed in: what is planned for others would give way to it,
    or its own messages to others."""
    gate.enter_gate(brand)
    sop = sops.to_rank(sop_id, priority)
    if sop.state == Sop.State.DRAFT or sop.priority == priority or not sop_requests.are_needed(brand):
        sops.rank(sop, priority, by)
        return Outcome()
    wanted = {"priority": priority, "before": {"priority": sop.priority}}
    return Outcome(_ask(brand, sop, Kind.PRIORITY, wanted, by, note))


@transaction.atomic
def put_in(brand: Brand, *, sop_id: int, contact_ids: Collection[int], by: Actor, note: str = "") -> Outcome:
    """As enrolments.start_enrolling; a list of more than enrolments.MANY is handed in: it is as much as a broadcast."""
    ids = sorted(set(contact_ids))
    if len(ids) <= enrolments.MANY or not sop_requests.are_needed(brand):
        return Outcome(job=enrolments.fill(brand, enrolments.to_fill(sop_id), ids, by))
    sop = enrolments.to_fill(sop_id, lock=True)  # whoever ends it meanwhile takes the request with it
    return Outcome(_ask(brand, sop, Kind.PEOPLE, {"contact_ids": ids}, by, note))


def _ask(brand: Brand, sop: Sop, kind: str, proposal: dict[str, Any], by: Actor, note: str) -> SopRequest:
    """Handed in; the same once more is the same request, anything else takes the place of what waits."""
    old = sop_requests.waiting().filter(sop=sop).first()
    if old is not None and (old.kind, old.proposal) == (kind, proposal):
        return old
    sop_requests.overtake(sop, by)
    request = SopRequest.objects.create(
        sop=sop,
        kind=kind,
        proposal=proposal,
        note=note.replace("\x00", "").strip()[:200],
        before_id=sop.version_id,
        makers=sop_requests.makers_of(sop) if kind in sop_requests.OF_CONTENT else [],
        asked_by=by.name,
        asked_by_user_id=by.user_id,
    )
    audit.record(by, "sop.submit", sop, after={"request": request.pk, "note": request.note})
    second_person_notices.ask(brand, request)
    return request


# ---- decide


@transaction.atomic
def approve(brand: Brand, *, request_id: int, by: Actor) -> Outcome:
    """A second person says yes: what was handed in comes into force, in the name of both.

    Raises:
        ForbiddenError: somebody who has made or handed it in. ConflictError: it does not wait any more.
        InvalidError: it could not be handed in today: what it names is gone, content may not be sent any more.
    """
    gate.enter_gate(brand)
    sop, request = _locked(request_id)
    if sop_requests.is_own(request, by):
        raise ForbiddenError(_("Somebody else has to approve it"), code="own_work")
    sop_requests.close(request, State.APPROVED, by)
    audit.record(by, "sop.approve", sop, after={"request": request.pk, "asked_by": request.asked_by})
    outcome = _ACTS[Kind(request.kind)](brand, sop, request, by)
    if outcome.version is not None:
        request.version_id = outcome.version.pk
        request.save(update_fields=["version_id"])
    second_person_notices.decided(brand, request)
    return outcome


def _on(brand: Brand, sop: Sop, request: SopRequest, by: Actor) -> Outcome:
    sops.check_edit(brand, sop, sop.name, request.late_days, steps_of(request))  # words refused since
    sops.start(sops.get_to_start(brand, sop.pk), by)
    return Outcome()


def _change(brand: Brand, sop: Sop, request: SopRequest, by: Actor) -> Outcome:
    name, steps = sops.check_edit(brand, sop, sop.name, request.late_days, steps_of(request))
    effect = sops.put_in_force(
        brand, sop_id=sop.pk, name=name, late_days=request.late_days, steps=steps, by=by
    )
    return Outcome(effect=effect)


def _version(brand: Brand, sop: Sop, request: SopRequest, by: Actor) -> Outcome:
    clean = graphs.checked(brand, request.graph, request.people)
    version, job = graphs.put_in_force(
        brand,
        sop,
        clean,
        by=by,
        note=request.note,
        people=request.people,
        mapping=request.mapping,
        published_by=request.asked_by,
        approved_by=by.name,
    )
    return Outcome(version=version, job=job)


def _priority(brand: Brand, sop: Sop, request: SopRequest, by: Actor) -> Outcome:
    sops.rank(sops.to_rank(sop.pk, request.priority), request.priority, by)
    return Outcome()


def _people(brand: Brand, sop: Sop, request: SopRequest, by: Actor) -> Outcome:
    return Outcome(job=enrolments.fill(brand, enrolments.to_fill(sop.pk), request.contact_ids, by))


_ACTS = {
    Kind.ON: _on, Kind.CHANGE: _change, Kind.VERSION: _version, Kind.PRIORITY: _priority, Kind.PEOPLE: _people,
}  # fmt: skip


def steps_of(request: SopRequest) -> list[StepInput]:
    """The steps of a request, as they are written."""
    return [
        StepInput(
            row["day"],
            row["hour"],
            row["minute"],
            row["text"],
            row["attachments"],
            row["id"],
            row["content_version"],
        )
        for row in request.steps
    ]


@transaction.atomic
def reject(brand: Brand, *, request_id: int, reason: str, by: Actor) -> SopRequest:
    """Sent back to whoever handed it in; nothing comes into force.

    Raises:
        ConflictError: it does not wait any more. InvalidError: without a reason, or a long one.
    """
    sop, request = _locked(request_id)
    reason = reason.replace("\x00", "").strip()
    if not reason:
        text = _("Say what should be changed")
        raise InvalidError(text, fields={"reason": text})
    if len(reason) > MAX_REASON:
        text = _("At most %(n)d characters") % {"n": MAX_REASON}
        raise InvalidError(text, fields={"reason": text})
    sop_requests.close(request, State.REFUSED, by, reason)
    audit.record(by, "sop.reject", sop, after={"request": request.pk, "note": reason})
    second_person_notices.decided(brand, request)
    return request


@transaction.atomic
def withdraw(brand: Brand, *, request_id: int, by: Actor) -> SopRequest:
    """By whoever may write SOPs; it can be changed and handed in again.

    Raises:
        ConflictError: it does not wait any more.
    """
    sop, request = _locked(request_id)
    sop_requests.close(request, State.WITHDRAWN, by)
    audit.record(by, "sop.withdraw", sop, after={"request": request.pk})
    return request


def _locked(request_id: int) -> tuple[Sop, SopRequest]:
    """The SOP's row first, as whoever writes it."""
    sop = sops.get_sop(sop_requests.get_request(request_id).sop_id, lock=True)
    request = sop_requests.get_request(request_id, lock=True)
    if request.state != State.WAITING:
        raise ConflictError(
            _("It does not wait any more: %(state)s") % {"state": request.get_state_display()},
            code="not_waiting",
        )
    return sop, request
