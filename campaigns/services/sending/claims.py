"""The claim of send tasks: planned → calling, in sets, with those left out who may not be written to any more."""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import F

from campaigns import governance
from campaigns.models import Broadcast, SendTask, Sop, SopStep, Touch
from campaigns.services.governance import gate, rules
from campaigns.services.journeys import slots
from campaigns.services.ledger import joined, leftovers, planning, touches
from campaigns.services.sending import senders
from contacts.models import EventType
from content.services import library, links, sensitive
from scrm import clock
from tenants.db.clash import turns
from tenants.db.joins import joined_by_loop
from tenants.models import Brand

log = logging.getLogger(__name__)
State = SendTask.State

TRIES = 4
LEASE = timedelta(seconds=90)  # a call ends after 20 s; then the process is gone, or its answer is
WHILE_TWIN = timedelta(seconds=60)
WAIT_WHILE_PAUSED = timedelta(minutes=10)
LATE_DAYS = 3  # of a task without SOP
ON_ITS_WAY = timedelta(
    hours=1
)  # what was in time when it was planned is not late for the minutes until its call
NEVER = timedelta(days=3650)


# what comes with a send task; without what may be large (a broadcast's list, an SOP's drawing) or is opened in vain
WITH = ("corp", "staff", "sop", "broadcast")
WITHOUT = (
    "broadcast__audience",
    "sop__draft",
    "sop__hook_secret",
    "corp__callback_token",
    "corp__callback_aes_key",
)


@dataclass(frozen=True)
class Claim:
    """A task in `calling`, and all that the call needs."""

    task: SendTask
    userid: str
    receivers: dict[str, int]  # external_userid → contact


def claim(
    brand: Brand, task_ids: Collection[int], attached: Mapping[int, slots.Attachments | None] | None = None
) -> list[Claim]:
    """Those of the tasks that may be called now, in one transaction. Left out: not now, or nobody is left.

    Args:
        attached: `slots.attached_now` of their steps, as the caller has uploaded it; asked here if not given.
    """
    try:
        return _claim_again(brand, task_ids, attached)
    except IntegrityError:
        # the twin of one of them is being called
        if len(task_ids) > 1:
            return [one for task_id in task_ids for one in claim(brand, [task_id], attached)]
        with transaction.atomic():
            SendTask.objects.filter(pk__in=task_ids, state=State.PLANNED).update(
                next_try_at=clock.now() + WHILE_TWIN
            )
        return []


def _claim_again(
    brand: Brand, task_ids: Collection[int], attached: Mapping[int, slots.Attachments | None] | None
) -> list[Claim]:
    """A claim that Postgres has taken back because of another one is made again."""
    for turn in turns(TRIES):
        with turn, transaction.atomic():
            return _claim_rows(brand, task_ids, attached)
        log.warning("a claim of %s send tasks met another one and is made again", len(task_ids))
    return []


def _claim_rows(
    brand: Brand, task_ids: Collection[int], attached: Mapping[int, slots.Attachments | None] | None
) -> list[Claim]:
    gate.keep_out_planners(brand)
    now, allowed = clock.now(), rules.rules_of(brand)
    release = governance.release_at(now, allowed.quiet, allowed.zone)
    rows = SendTask.objects.select_for_update(skip_locked=True, of=("self",)).order_by("pk")
    rows = rows.filter(pk__in=task_ids, state=State.PLANNED, next_try_at__lte=now)
    tasks = list(rows.select_related(*WITH).defer(*WITHOUT))
    paused = [task.pk for task in tasks if _is_paused(task)]
    ended = [task for task in tasks if is_ended(task) and task.pk not in paused]
    running = [task for task in tasks if task.pk not in paused and task not in ended]
    if release > now:
        SendTask.objects.filter(pk__in=[task.pk for task in running]).update(next_try_at=release)
        running = []
    # asked before anything is written: who asks writes down first what is noted of bitmaps, and a claim that did so in
    # between would hold rows of them for which others wait
    claims = []
    in_time = {pk: now - late for pk, late in _late_after(running).items()}
    held = _Held(
        brand,
        now,
        _left_alone(brand, running, now),
        leftovers.of_tasks(brand, running),
        joined.surplus(brand, running, in_time),
    )
    SendTask.objects.filter(pk__in=paused).update(next_try_at=now + WAIT_WHILE_PAUSED)
    for task in ended:
        touches.settle(brand, send_task_id=task.pk, at=task.at, state=Touch.State.CANCELLED, done_at=now)
    SendTask.objects.filter(pk__in=[task.pk for task in ended]).update(state=State.CANCELLED)
    attached = attached_to(brand, running) if attached is None else attached
    content = _Contents(brand, now, attached, running)
    for task in running:
        if (task.moved_at or task.at) < in_time[task.pk]:
            held.back(task, task.contact_ids, Touch.Reason.TOO_LATE)
        elif content.is_gone(task):
            held.back(task, task.contact_ids, Touch.Reason.CONTENT)
        elif receivers := _receivers(task, held):
            _take_over(brand, task, content.attached, receivers)
            claims.append(Claim(task, task.staff.userid, receivers))
            continue
        SendTask.objects.filter(pk=task.pk).update(state=State.FAILED, contact_ids=[], n=0)
    SendTask.objects.filter(pk__in=[one.task.pk for one in claims]).update(
        state=State.CALLING, called_at=None, next_try_at=now + LEASE, n_tries=F("n_tries") + 1
    )
    held.count()
    return claims


_BEGIN = """
    UPDATE campaigns_sendtask t SET called_at = %s, next_try_at = %s
      FROM unnest(%s::bigint[], %s::int[]) AS v(id, n_tries)
     WHERE t.brand_id = %s AND t.id = v.id AND t.n_tries = v.n_tries AND t.state = 'calling' AND t.called_at IS NULL
    RETURNING t.id
"""


def begin(brand: Brand, some: Sequence[Claim]) -> list[Claim]:
    """Just before their calls, committed: from here on a call may have been made, and a lost one is looked for. Left out:
    those whose lease ran out meanwhile, which somebody else has."""
    if not some:
        return []
    now = clock.now()
    with transaction.atomic(), connection.cursor() as cursor, joined_by_loop(cursor):
        ids, tries = [one.task.pk for one in some], [one.task.n_tries for one in some]
        cursor.execute(_BEGIN, [now, now + LEASE, ids, tries, brand.pk])
        begun = {row[0] for row in cursor.fetchall()}
    mine = [one for one in some if one.task.pk in begun]
    for one in mine:
        one.task.called_at = now
    return mine


@transaction.atomic
def give_back(task_ids: Collection[int]) -> int:
    """Claimed by a process that was gone before it began to call: planned again at once; gives how many."""
    now = clock.now()
    gone = SendTask.objects.filter(pk__in=task_ids, state=State.CALLING, called_at=None, next_try_at__lte=now)
    return gone.update(state=State.PLANNED, next_try_at=now)


def _left_alone(brand: Brand, tasks: Iterable[SendTask], now: datetime) -> dict[int, dict[int, Touch.Reason]]:
    """{kind: who of its people is to be left alone by now, and why}; one question for each kind."""
    if not gate.has_wishes():
        return {}
    people: dict[int, set[int]] = defaultdict(set)
    for task in tasks:
        people[task.kind].update(task.contact_ids)
    return {kind: gate.wishes(brand, ids, now, kind) for kind, ids in people.items()}


def attached_to(brand: Brand, tasks: Iterable[SendTask]) -> dict[int, slots.Attachments | None]:
    """What is attached now to messages whose content another part brings, see `slots.attached_now`."""
    return slots.attached_now(
        brand, {task.step_id for task in tasks if task.step_id and task.content_id is None}
    )


def _take_over(
    brand: Brand,
    task: SendTask,
    attached: Mapping[int, slots.Attachments | None],
    receivers: dict[str, int],
) -> None:
    """What is special to one task, on its row and in memory; the rest is written for all at once."""
    changed: dict[str, Any] = {}
    if len(receivers) < len(task.contact_ids):
        changed |= {"contact_ids": list(receivers.values()), "n": len(receivers)}
    text, stored = with_tails(brand, task, attached)
    if (text, stored) != (task.text, task.attachments):
        digest = planning.digest_of(text, stored)
        changed |= {"text": text, "attachments": stored, "content_digest": digest}
    if changed:
        SendTask.objects.filter(pk=task.pk).update(**changed)
    changed |= {"state": State.CALLING, "called_at": None, "n_tries": task.n_tries + 1}
    for name, value in changed.items():
        setattr(task, name, value)


def with_tails(
    brand: Brand, task: SendTask, attached: Mapping[int, slots.Attachments | None]
) -> tuple[str, slots.Attachments]:
    """Text and attachments as they are handed over: tracked links say whose message it is. What was handed over is
    kept on the task, for a call whose answer is lost is found by its content."""
    stored = attached.get(task.step_id or 0) or task.attachments
    return links.personalise(
        brand, task.text, stored, staff_id=task.staff_id, send_task_id=task.pk, via=task.kind
    )


def _is_paused(task: SendTask) -> bool:
    return (task.sop is not None and task.sop.state == Sop.State.PAUSED) or (
        task.broadcast is not None and task.broadcast.state == Broadcast.State.PAUSED
    )


def is_ended(task: SendTask) -> bool:
    return (task.sop is not None and task.sop.state == Sop.State.ENDED) or (
        task.broadcast is not None and task.broadcast.state == Broadcast.State.CANCELLED
    )


def _late_after(tasks: Collection[SendTask]) -> dict[int, timedelta]:
    """{task: how long after its time it is still handed over}, in a canvas as its version has chosen; one query for these."""
    steps = {task.step_id for task in tasks if task.sop and task.sop.is_graph and task.step_id}
    rows = SopStep.objects.filter(pk__in=steps).values_list("pk", "version__graph__settings") if steps else ()
    chosen = dict(rows)
    found = {}
    for task in tasks:
        if task.broadcast:
            found[task.pk] = timedelta(hours=task.broadcast.late_hours)
        elif settings := chosen.get(task.step_id or 0):
            skips = settings["late"] == "skip"
            found[task.pk] = timedelta(hours=settings["late_hours"]) + ON_ITS_WAY if skips else NEVER
        else:
            found[task.pk] = timedelta(days=task.sop.late_days if task.sop else LATE_DAYS) + ON_ITS_WAY
    return found


class _Contents:
    """Which content may not be sent any more since its messages were planned: it was put away or has expired, in the
    library or in another part, or says what the brand refuses by now."""

    def __init__(
        self,
        brand: Brand,
        now: datetime,
        attached: Mapping[int, slots.Attachments | None],
        tasks: Collection[SendTask],
    ) -> None:
        self.brand, self.now, self.attached = brand, now, attached
        self.gone: dict[int, bool] = {}
        # all texts in one question: each guide has one of their own, and hardly ever is one refused
        whole = "\n".join(task.text for task in tasks)
        self.may_be_refused = bool(
            sensitive.refused_now(brand, whole, [item for task in tasks for item in task.attachments])
        )

    def is_gone(self, task: SendTask) -> bool:
        return self._is_put_away(task) or self._is_refused(task)

    def _is_refused(self, task: SendTask) -> bool:
        return self.may_be_refused and bool(sensitive.refused_now(self.brand, task.text, task.attachments))

    def _is_put_away(self, task: SendTask) -> bool:
        if task.content_id is None:
            return self.attached.get(task.step_id or 0, []) is None
        if task.content_id not in self.gone:
            self.gone[task.content_id] = library.is_gone(task.content_id, self.now)
        return self.gone[task.content_id]


def _receivers(task: SendTask, held: "_Held") -> dict[str, int]:
    """Who is still to get it: between plan and call a person may have gone, asked to be left alone or turned out to be
    somebody who gets it already; between two calls also left the SOP."""
    if surplus := held.surplus.get(task.pk):
        for reason, touch_ids in surplus.touches.items():
            held.back(task, task.contact_ids, reason, touch_ids)
        # two records of one task have left the same number twice
        task.contact_ids = list(dict.fromkeys(pk for pk in task.contact_ids if pk not in surplus.gone))
        SendTask.objects.filter(pk=task.pk).update(contact_ids=task.contact_ids, n=len(task.contact_ids))
    if left := held.left_sop.get(task.pk):
        held.back(task, left, leftovers.REASON)
        task.contact_ids = [pk for pk in task.contact_ids if pk not in left]
        SendTask.objects.filter(pk=task.pk).update(contact_ids=task.contact_ids, n=len(task.contact_ids))
    found, quiet = senders.receivers(held.brand, task.staff_id, task.contact_ids)
    wishes = held.left_alone.get(task.kind, {})
    left_alone = {pk: wishes[pk] for pk in found.values() if pk in wishes}
    found = {external: pk for external, pk in found.items() if pk not in left_alone}
    for reason in sorted(set(left_alone.values())):
        held.back(task, [pk for pk, why in left_alone.items() if why == reason], reason)
    if len(found) < len(task.contact_ids):
        gone = set(task.contact_ids) - set(found.values()) - quiet - set(left_alone)
        held.back(task, quiet, Touch.Reason.DO_NOT_CONTACT)
        held.back(task, gone, Touch.Reason.NOT_FOLLOWED)
    return found


class _Held:
    """Whom a claim leaves out.

    Attributes:
        left_alone: {kind: {contact: the wish that is in the way}}.
        left_sop: {send task: who has left its SOP since it was claimed before}.
        surplus: {send task: what people would get twice, who were two records}.
        counts: {(SOP, step, reason): people}, added to the figures once: claims that held rows of several steps one
            after the other would wait for each other.
    """

    def __init__(
        self,
        brand: Brand,
        now: datetime,
        left_alone: Mapping[int, Mapping[int, Touch.Reason]],
        left_sop: Mapping[int, Collection[int]],
        surplus: Mapping[int, joined.Surplus],
    ) -> None:
        self.brand, self.now, self.left_alone = brand, now, left_alone
        self.left_sop, self.surplus = left_sop, surplus
        self.counts: Counter[tuple[int, int, int]] = Counter()

    def back(
        self,
        task: SendTask,
        contact_ids: Collection[int],
        reason: Touch.Reason,
        touch_ids: Collection[int] | None = None,
    ) -> None:
        """Write it, for all touches of these people in the task or for some."""
        if not contact_ids:
            return
        done = touches.settle(
            self.brand,
            send_task_id=task.pk,
            at=task.at,
            state=Touch.State.BLOCKED,
            reason=reason,
            done_at=self.now,
            contact_ids=contact_ids,
            touch_ids=touch_ids,
        )
        touches.tell(
            self.brand,
            EventType.TOUCH_BLOCKED,
            done,
            at=self.now,
            staff_id=task.staff_id,
            data=about(task),
            reason=reason,
            source=source_of(task),
        )
        if task.sop_id and task.step_id:
            self.counts[task.sop_id, task.step_id, int(reason)] += len(done)

    def count(self) -> None:
        planning.count_blocked(self.brand, self.now, +self.counts)


def about(task: SendTask) -> dict[str, Any]:
    """What a timeline entry says of the message."""
    campaign = (
        {"broadcast": task.broadcast.name} if task.broadcast else {"sop": task.sop.name if task.sop else ""}
    )
    return {**campaign, "text": task.text[: touches.EXCERPT]}


def source_of(task: SendTask) -> str:
    """Where its timeline entries come from."""
    return "broadcast" if task.broadcast_id else "sop"
