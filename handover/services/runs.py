"""A run of hand-overs: preview, start, cancel."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from handover.models import HandoverItem, HandoverRun, HandoverShare
from handover.services import choosing, reasons
from handover.services.choosing import Candidate, Choice
from handover.services.shares import MAX_WEIGHT, deal
from org import audit
from org.access import Actor
from org.models import Corp, Job, Staff
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand

KIND = "handover"
MAX_RECEIVERS = 100
MESSAGE_CHARS = 200
State = HandoverItem.State


@dataclass(frozen=True)
class Share:
    """A receiver and their weight."""

    staff_id: int
    weight: int = 1


@dataclass(frozen=True)
class Preview:
    """What a run would do.

    Attributes:
        refused: (why, what to do, how many) of customers and groups that WeCom would refuse.
        by_receiver: (receiver, customers, groups).
        n_known: customers whom their receiver has already.
    """

    n_customers: int
    n_groups: int
    refused: list[tuple[Any, Any, int]]
    by_receiver: list[tuple[Staff, int, int]]
    n_known: int = 0
    n_listed_unknown: int = 0
    warnings: list[Any] = field(default_factory=list)


def check_giver(giver: Staff) -> Corp:
    """The corp of somebody whose customers can be handed over."""
    if giver.corp is None or not giver.userid:
        raise InvalidError(
            _("%(name)s is no WeCom member") % {"name": giver.name}, fields={"giver": _("No WeCom member")}
        )
    return giver.corp


def check_receivers(giver: Staff, shares: Sequence[Share]) -> list[tuple[Staff, int]]:
    """The receivers as rows, in the order given.

    Raises:
        InvalidError: none, too many, or somebody who cannot have customers.
    """
    problem = ""
    people = Staff.objects.guides().in_bulk({share.staff_id for share in shares})
    if not shares:
        problem = _("Choose at least one receiver")
    elif len(shares) > MAX_RECEIVERS:
        problem = _("At most %(n)s receivers") % {"n": MAX_RECEIVERS}
    elif len({share.staff_id for share in shares}) < len(shares):
        problem = _("Somebody is there twice")
    elif giver.pk in people:
        problem = _("The receiver must be somebody else")
    elif any(not 1 <= share.weight <= MAX_WEIGHT for share in shares):
        problem = _("Weights go from 1 to %(n)s") % {"n": MAX_WEIGHT}
    elif len(people) < len(shares) or any(p.corp_id != giver.corp_id for p in people.values()):
        problem = _("A receiver is no active guide of this company")
    if problem:
        raise InvalidError(problem, fields={"receivers": problem})
    return [(people[share.staff_id], share.weight) for share in shares]


def preview(brand: Brand, *, giver: Staff, choice: Choice, shares: Sequence[Share]) -> Preview:
    """What would happen, in the caller's transaction; raises InvalidError as `start_run`."""
    corp = check_giver(giver)
    choice.check()
    receivers = check_receivers(giver, shares) if shares else []
    people, chats = candidates_of(brand, corp, giver, choice, [s for s, _w in receivers])
    refused = Counter(c.errcode for c in (*people, *chats) if c.errcode)
    by_receiver = []
    n_known = 0
    if receivers:
        customers = Counter(receiver for c, receiver in assign(people, receivers) if not c.errcode)
        groups = Counter(receiver for c, receiver in assign(chats, receivers) if not c.errcode)
        by_receiver = [(staff, customers[staff.pk], groups[staff.pk]) for staff, _w in receivers]
        n_known = sum(1 for c in people if c.known_to and not c.errcode)
    n_unknown = 0
    if choice.customers == "list":
        n_unknown = max(0, len(choice.listed) - len(people))
    return Preview(
        n_customers=sum(not c.errcode for c in people),
        n_groups=sum(not c.errcode for c in chats),
        refused=[(*reasons.of_code(code), n) for code, n in refused.most_common()],
        by_receiver=by_receiver,
        n_known=n_known,
        n_listed_unknown=n_unknown,
    )


def candidates_of(
    brand: Brand, corp: Corp, giver: Staff, choice: Choice, receivers: Sequence[Staff]
) -> tuple[list[Candidate], list[Candidate]]:
    ids = [staff.pk for staff in receivers]
    people = choosing.customers(brand, corp=corp, giver=giver, choice=choice, receivers=ids)
    return people, choosing.groups(brand, corp=corp, giver=giver, choice=choice)


def assign(found: Sequence[Candidate], receivers: Sequence[tuple[Staff, int]]) -> list[tuple[Candidate, int]]:
    """Candidates with the id of their receiver: whoever has the customer already, else by weight. Those that
    WeCom would refuse take nobody's place."""
    free = [c for c in found if not c.known_to and not c.errcode]
    places = iter(deal(len(free), [weight for _staff, weight in receivers]))
    first = receivers[0][0].pk
    return [(c, c.known_to or (first if c.errcode else receivers[next(places)][0].pk)) for c in found]


@transaction.atomic
def start_run(
    brand: Brand, *, by: Actor, giver: Staff, choice: Choice, shares: Sequence[Share], message: str = ""
) -> HandoverRun:
    """Start handing over; its job does the rest after the commit.

    Raises:
        InvalidError: with `fields`, for the form.
    """
    corp = check_giver(giver)
    choice.check()
    receivers = check_receivers(giver, shares)
    message = message.strip()
    is_resigned = giver.state == Staff.State.LEFT
    if len(message) > MESSAGE_CHARS:
        text = _("At most %(n)s characters") % {"n": MESSAGE_CHARS}
        raise InvalidError(text, fields={"message": text})
    people, chats = candidates_of(brand, corp, giver, choice, [s for s, _w in receivers])
    if not any(not c.errcode for c in (*people, *chats)):
        raise InvalidError(
            _("There is nothing to hand over"), fields={"customers": _("There is nothing to hand over")}
        )
    run = HandoverRun.objects.create(
        corp=corp,
        giver=giver,
        is_resigned=is_resigned,
        message="" if is_resigned else message,
        chosen=choice.as_json(),
        created_by=by.name,
    )
    HandoverShare.objects.bulk_create(
        [HandoverShare(run=run, receiver=staff, weight=weight) for staff, weight in receivers]
    )
    with translation.override(settings.LANGUAGE_CODE):  # the title is what makes a job one
        title = _("Hand-over of %(name)s (%(n)s)") % {"name": giver.name, "n": run.pk}
    job = jobs.start_job(brand, kind=KIND, title=title, params={"run_id": run.pk}, by=by)
    HandoverRun.objects.filter(pk=run.pk).update(job_id=job.pk)
    run.job_id = job.pk
    audit.record(
        by,
        "handover.start",
        run,
        after={
            "receivers": {staff.name: weight for staff, weight in receivers},
            "customers": sum(not c.errcode for c in people),
            "groups": sum(not c.errcode for c in chats),
            "message": run.message,
        },
        name=giver.name,
    )
    return run


@transaction.atomic
def cancel_run(brand: Brand, *, by: Actor, run_id: int) -> int:
    """What has not been given to WeCom stays where it is; gives how many that are. What WeCom has got goes
    on: it has no call to take it back."""
    run = HandoverRun.objects.select_for_update().filter(pk=run_id).first()
    if run is None:
        raise NotFoundError()
    planned = run.items.filter(state=State.PLANNED)
    job = Job.objects.filter(pk=run.job_id or 0).first()
    is_live = job is not None and job.is_live
    n = planned.update(state=State.CANCELLED, done_at=clock.now())
    if not n and not is_live:
        raise ConflictError(_("Everything has been given to WeCom already"))
    if job is not None and is_live:
        with suppress(ConflictError):  # it has just ended
            jobs.cancel(job.pk)
    audit.record(by, "handover.cancel", run, after={"n": n}, name=run.giver.name)
    close_if_over(run, cancelled=True)
    return n


def close_if_over(run: HandoverRun, *, cancelled: bool = False, job_is_over: bool = False) -> bool:
    """End a run of which nothing is open any more; in the caller's transaction. True: it has just ended."""
    if run.items.filter(state__in=HandoverItem.LIVE).exists():
        return False
    live = [Job.State.WAITING, Job.State.RUNNING, Job.State.PAUSED]
    if not (cancelled or job_is_over) and Job.objects.filter(pk=run.job_id or 0, state__in=live).exists():
        return False
    is_cancelled = cancelled or run.items.filter(state=State.CANCELLED).exists()
    state = HandoverRun.State.CANCELLED if is_cancelled else HandoverRun.State.DONE
    ended = HandoverRun.objects.filter(pk=run.pk, state=HandoverRun.State.RUNNING)
    return bool(ended.update(state=state, ended_at=clock.now()))
