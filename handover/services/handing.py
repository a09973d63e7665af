"""The job of a run: plan its customers and groups, give them to WeCom in calls of a hundred.

A chunk is claimed in one transaction, the call made outside of any, the answer recorded in another. When the
process dies in between, the chunk is looked up at WeCom before anything is sent again; and even a second call
would do no harm, because WeCom answers 40129 for whoever is being handed over already.

Source: developer.work.weixin.qq.com/document/path/92125, 94081, 92127, 95703
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from groups.services.mirror import merge
from groups.services.sync import read_groups
from handover.models import HandoverItem, HandoverRun, HandoverShare
from handover.services import outcomes, reasons, results
from handover.services.choosing import Candidate, Choice
from handover.services.runs import assign, candidates_of, close_if_over
from org.models import Job, Staff
from org.services.jobs import save_step
from scrm import clock
from scrm.errors import NotFoundError, SCRMError
from tenants.models import Brand
from wecom.api import transfers as api
from wecom.client import client_for
from wecom.errors import InvalidMessage, WeComRateLimited, WeComRejected
from wecom.exchange import NotSent
from wecom.services.notices import notify_staff

log = logging.getLogger(__name__)

State = HandoverItem.State
Kind = HandoverItem.Kind
CHUNK = 100  # WeCom's limit for a call
GROUPS_A_DAY = 300  # from one person to one new owner
SHANGHAI = ZoneInfo("Asia/Shanghai")
SLICE = 5_000
FIRST_POLL = timedelta(hours=1)
# answers to a whole call that are about its receiver: only their customers cannot be handed over
RECEIVER_CODES = frozenset({40003, 40031, 40098, 41054, 46004, 60011, 60021, 60111, 84074, 84083, 610004})
NOT_DONE = (NotSent, WeComRateLimited, WeComRejected, InvalidMessage)  # after these nothing has begun
TOO_MUCH = 45009

_PLAN = """
    INSERT INTO handover_handoveritem
           (brand_id, run_id, kind, giver_id, receiver_id, contact_id, external_userid, chat_id, state, errcode,
            done_at)
    SELECT %s, %s, %s, %s, x.receiver_id, x.contact_id, x.external, x.chat_id, x.state, x.errcode,
           CASE WHEN x.state = %s THEN %s::timestamptz END
      FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::smallint[], %s::int[])
           AS x(receiver_id, contact_id, external, chat_id, state, errcode)
    ON CONFLICT DO NOTHING
"""


class Tomorrow(SCRMError):
    """WeCom's limit of a day is used up; the job goes on by itself."""

    code, http_status, retry_after_s = "handover_tomorrow", 503, 600


def step(brand: Brand, job: Job) -> bool:
    """One step of the job; True: there is more."""
    with transaction.atomic():
        run = HandoverRun.objects.select_related("corp", "giver").filter(pk=job.params.get("run_id")).first()
    if run is None:
        raise NotFoundError(_("The hand-over was removed"))
    stage = job.position.get("stage", "plan")
    if stage == "plan":
        _plan(brand, run, job)
    elif recover(brand, run):
        _moved(job, stage)
    elif stage == "customers":
        _customers(brand, run, job)
    elif stage == "groups":
        _groups(brand, run, job)
    elif stage == "tell":
        _tell(brand, run, job)
    return job.position.get("stage") != "end"


@transaction.atomic
def _moved(job: Job, stage: str, **changes: Any) -> None:
    items = HandoverItem.objects.filter(run=job.params["run_id"]).exclude(state=State.CANCELLED)
    counts = dict(items.values_list("state").annotate(n=Count("pk")).order_by())
    save_step(
        job,
        position={"stage": stage},
        stage=str(STAGES[stage]()),
        n_total=sum(counts.values()),
        n_done=sum(counts.values()) - counts.get(State.PLANNED, 0) - counts.get(State.CALLING, 0),
        n_bad=counts.get(State.FAILED, 0) + counts.get(State.SKIPPED, 0),
        **changes,
    )


STAGES: dict[str, Callable[[], str]] = {
    "customers": lambda: _("Customers"),
    "groups": lambda: _("Groups"),
    "tell": lambda: "",
    "end": lambda: "",
}


# ---- plan


@transaction.atomic
def _plan(brand: Brand, run: HandoverRun, job: Job) -> None:
    """All rows of the run, also of those whom WeCom would refuse: they are left out with the reason."""
    choice = Choice.from_json(run.chosen)
    shares = list(run.shares.select_related("receiver").order_by("pk"))
    receivers = [(share.receiver, share.weight) for share in shares]
    people, chats = candidates_of(brand, run.corp, run.giver, choice, [staff for staff, _w in receivers])
    rows = [(Kind.CUSTOMER, *pair) for pair in assign(people, receivers)]
    rows += [(Kind.GROUP, *pair) for pair in assign(chats, receivers)]
    with connection.cursor() as cursor:
        for kind in Kind:
            mine = [(candidate, receiver) for k, candidate, receiver in rows if k == kind]
            for start in range(0, len(mine), SLICE):
                _insert(cursor, brand, run, kind, mine[start : start + SLICE])
    _moved(job, "customers")


def _insert(
    cursor: Any, brand: Brand, run: HandoverRun, kind: Kind, rows: Sequence[tuple[Candidate, int]]
) -> None:
    cursor.execute(
        _PLAN,
        [
            brand.pk,
            run.pk,
            kind.value,
            run.giver_id,
            State.SKIPPED.value,
            clock.now(),
            [receiver for _c, receiver in rows],
            [c.contact_id for c, _r in rows],
            [c.external_userid for c, _r in rows],
            [c.chat_id for c, _r in rows],
            [(State.SKIPPED if c.errcode else State.PLANNED).value for c, _r in rows],
            [c.errcode for c, _r in rows],
        ],
    )


# ---- customers


def _customers(brand: Brand, run: HandoverRun, job: Job) -> None:
    chunk = _claim(run, Kind.CUSTOMER)
    if not chunk:
        return _moved(job, "groups")
    receiver = chunk[0].receiver
    try:
        answers = _call(run, receiver, [item.external_userid for item in chunk])
    except NOT_DONE as error:
        _not_done(brand, run, receiver, chunk, error)
        return _moved(job, "customers")
    # what else is raised leaves the chunk as it is: perhaps it was done, the next step looks it up
    codes = {row["external_userid"]: int(row.get("errcode") or 0) for row in answers}
    _record(brand, run, chunk, codes)
    return _moved(job, "customers")


def _call(run: HandoverRun, receiver: Staff, external_userids: list[str]) -> list[api.Started]:
    client = client_for(run.corp)
    given = {
        "handover_userid": run.giver.userid,
        "takeover_userid": receiver.userid,
        "external_userids": external_userids,
    }
    if run.is_resigned:
        return api.transfer_resigned_customers(client, **given)  # type: ignore[arg-type]
    return api.transfer_customers(client, message=run.message, **given)  # type: ignore[arg-type]


@transaction.atomic
def _claim(
    run: HandoverRun, kind: Kind, receiver_id: int | None = None, limit: int = 0
) -> list[HandoverItem]:
    """The next items of one receiver, marked as being given to WeCom."""
    planned = HandoverItem.objects.filter(run=run, kind=kind, state=State.PLANNED)
    if receiver_id is None:
        receiver_id = planned.order_by("receiver", "pk").values_list("receiver", flat=True).first()
    rows = planned.filter(receiver=receiver_id).order_by("pk").select_for_update(of=("self",))
    items = list(rows.select_related("receiver", "chat")[: limit or CHUNK])
    HandoverItem.objects.filter(pk__in=[item.pk for item in items]).update(
        state=State.CALLING, asked_at=clock.now()
    )
    return items


def _not_done(
    brand: Brand, run: HandoverRun, receiver: Staff, chunk: list[HandoverItem], error: Exception
) -> None:
    """WeCom has begun nothing. What is about the receiver ends their part of the run; the rest waits, or
    stops the job for a person to look at."""
    ids = [item.pk for item in chunk]
    with transaction.atomic():
        HandoverItem.objects.filter(pk__in=ids, state=State.CALLING).update(
            state=State.PLANNED, asked_at=None
        )
        errcode = error.errcode if isinstance(error, WeComRejected) else None
        if errcode in RECEIVER_CODES:
            log.warning("hand-over %s: receiver %s refused: %r", run.pk, receiver.pk, error)
            theirs = HandoverItem.objects.filter(run=run, receiver=receiver, state=State.PLANNED)
            outcomes.fail(brand, run, list(theirs.select_related("receiver")), errcode or 0)
            return
    raise error


def _record(brand: Brand, run: HandoverRun, chunk: list[HandoverItem], codes: Mapping[str, int]) -> None:
    """Write WeCom's answers down: begun, or why not."""
    unsure = [
        item
        for item in chunk
        if codes.get(item.external_userid, reasons.NO_ANSWER) in (reasons.PENDING, 40100, reasons.NO_ANSWER)
    ]
    # 'being handed over already' may be this very hand-over, begun by a call whose answer was lost
    records = results.records_of(run, chunk[0].receiver) if unsure else {}
    begun, failed = [], []
    for item in chunk:
        errcode = codes.get(item.external_userid, reasons.NO_ANSWER)
        record = records.get(item.external_userid)
        if errcode == 0 or (item in unsure and record and record.get("status") == api.WAITING):
            begun.append(item)
        else:
            failed.append((item, errcode))
    with transaction.atomic():
        outcomes.begin(brand, run, begun)
        for errcode in {code for _item, code in failed}:
            outcomes.fail(brand, run, [item for item, code in failed if code == errcode], errcode)
        if begun:
            share = HandoverShare.objects.filter(run=run, receiver=chunk[0].receiver, poll_at=None)
            share.update(poll_at=clock.now() + FIRST_POLL, n_polls=0)


def recover(brand: Brand, run: HandoverRun) -> bool:
    """Items whose call was made by a process that died: WeCom is asked what it knows of them. True: there
    were some."""
    with transaction.atomic():
        lost = list(
            HandoverItem.objects.filter(run=run, state=State.CALLING)
            .select_related("receiver", "chat")
            .order_by("receiver", "pk")
        )
    if not lost:
        return False
    for receiver in {item.receiver_id: item.receiver for item in lost}.values():
        mine = [item for item in lost if item.receiver_id == receiver.pk]
        if people := [item for item in mine if item.kind == Kind.CUSTOMER]:
            results.look_up(brand, run, receiver, people)
        if chats := [item for item in mine if item.kind == Kind.GROUP]:
            _look_up_groups(brand, run, receiver, chats)
    return True


# ---- groups


def _groups(brand: Brand, run: HandoverRun, job: Job) -> None:
    planned = HandoverItem.objects.filter(run=run, kind=Kind.GROUP, state=State.PLANNED)
    with transaction.atomic():
        receivers = list(planned.order_by("receiver").values_list("receiver", flat=True).distinct())
        room = {pk: GROUPS_A_DAY - _today(run, pk) for pk in receivers}
    if not receivers:
        return _moved(job, "tell")
    free = [pk for pk in receivers if room[pk] > 0]
    if not free:
        raise Tomorrow(_("WeCom allows 300 groups a day from one owner to another; it goes on tomorrow"))
    chunk = _claim(run, Kind.GROUP, free[0], min(CHUNK, room[free[0]]))
    if not chunk:
        return _moved(job, "groups")
    receiver, client = chunk[0].receiver, client_for(run.corp)
    chat_ids = [item.chat.chat_id for item in chunk if item.chat]
    act = api.transfer_resigned_groups if run.is_resigned else api.transfer_groups
    try:
        answer = act(client, chat_ids=chat_ids, new_owner=receiver.userid)
    except NOT_DONE as error:
        _not_done(brand, run, receiver, chunk, error)
        return _moved(job, "groups")
    failed = {row["chat_id"]: int(row.get("errcode") or 0) for row in answer}
    waits = [item for item in chunk if failed.get(_chat_id(item)) == TOO_MUCH]
    _record_groups(brand, run, receiver, [item for item in chunk if item not in waits], failed)
    with transaction.atomic():
        ids = [item.pk for item in waits]
        HandoverItem.objects.filter(pk__in=ids, state=State.CALLING).update(
            state=State.PLANNED, asked_at=None
        )
    _moved(job, "groups")
    if waits:
        raise Tomorrow(_("WeCom takes no more groups today; it goes on tomorrow"))
    return None


def _record_groups(
    brand: Brand, run: HandoverRun, receiver: Staff, chunk: list[HandoverItem], failed: Mapping[str, int]
) -> None:
    """Groups change hands at once; each is read again, so that the mirror shows its new owner."""
    done = [item for item in chunk if failed.get(_chat_id(item), 0) in (0, reasons.GROUP_SAME_OWNER)]
    readings = read_groups(run.corp, {_chat_id(item): None for item in done})
    with transaction.atomic():
        merge(brand, run.corp, readings, source="handover")
        outcomes.groups_done(brand, run, done)
        for errcode in set(failed.values()):
            mine = [item for item in chunk if item not in done and failed.get(_chat_id(item)) == errcode]
            outcomes.fail(brand, run, mine, errcode)


def _look_up_groups(brand: Brand, run: HandoverRun, receiver: Staff, lost: list[HandoverItem]) -> None:
    """Was it done? WeCom shows the owner."""
    readings = read_groups(run.corp, {_chat_id(item): None for item in lost})
    owners = {reading.chat_id: reading.owner for reading in readings}
    with transaction.atomic():
        merge(brand, run.corp, readings, source="handover")
        done = [item for item in lost if owners.get(_chat_id(item)) == receiver.userid]
        outcomes.groups_done(brand, run, done)
        again = [item.pk for item in lost if item not in done]
        HandoverItem.objects.filter(pk__in=again, state=State.CALLING).update(
            state=State.PLANNED, asked_at=None
        )


def _chat_id(item: HandoverItem) -> str:
    return item.chat.chat_id if item.chat else ""


def _today(run: HandoverRun, receiver_id: int) -> int:
    """Groups that went from this owner to this receiver since midnight in Shanghai."""
    midnight = clock.now().astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
    done = HandoverItem.objects.filter(kind=Kind.GROUP, state=State.DONE, giver=run.giver_id)
    return done.filter(receiver=receiver_id, done_at__gte=midnight).count()


# ---- end


@transaction.atomic
def _tell(brand: Brand, run: HandoverRun, job: Job) -> None:
    """Tell each receiver once what comes to them."""
    rows = (
        HandoverItem.objects.filter(run=run, state__in=[State.WAITING, State.DONE])
        .order_by()
        .values_list("receiver", "kind")
        .annotate(n=Count("pk"))
    )
    counts = {(receiver, kind): n for receiver, kind, n in rows}
    for share in run.shares.select_related("receiver__corp").order_by("pk"):
        n_people = counts.get((share.receiver_id, Kind.CUSTOMER), 0)
        n_chats = counts.get((share.receiver_id, Kind.GROUP), 0)
        lines = [_("Handed over to you from %(name)s") % {"name": run.giver.name}]
        if n_people:
            lines.append(_("%(n)s customers, within 24 hours unless they refuse") % {"n": n_people})
        if n_chats:
            lines.append(_("%(n)s groups, now") % {"n": n_chats})
        if n_people or n_chats:
            notify_staff(
                brand,
                staff=share.receiver,
                key=f"handover:{run.pk}",
                text="\n".join(lines),
                url="/g/customers/",
            )
    close_if_over(run, job_is_over=True)
    _moved(job, "end")


def finish_cancelled(brand: Brand) -> list[int]:
    """Runs whose job was cancelled on its own card: what is planned is cancelled too. Gives runs with items
    whose call was made by a process that died, to be recovered outside of a transaction."""
    with transaction.atomic():
        running = HandoverRun.objects.filter(state=HandoverRun.State.RUNNING)
        jobs_over = Job.objects.filter(
            pk__in=running.values("job_id"), state__in=[Job.State.CANCELLED, Job.State.DONE]
        )
        over = dict(jobs_over.values_list("pk", "state"))
        found = list(running.filter(job_id__in=over))
        for run in found:
            if over[run.job_id or 0] == Job.State.CANCELLED:
                run.items.filter(state=State.PLANNED).update(state=State.CANCELLED, done_at=clock.now())
            close_if_over(run)
        calling = HandoverItem.objects.filter(run__in=[run.pk for run in found], state=State.CALLING)
        return list(calling.order_by().values_list("run", flat=True).distinct())
