"""入组: people come into an SOP, one by one with their arrival or by the thousand from a list, and leave
it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from campaigns.models import Enrolment, Sop
from campaigns.services.governance import gate
from campaigns.services.journeys import entering, leaving, trouble
from campaigns.services.ledger.touches import array
from campaigns.services.sops import dues, schedule, sop_requests, sops
from contacts.models import Contact, EventType
from contacts.services.timeline import EventRow, record_events
from org import audit
from org.access import Actor
from org.models import Job
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, NotFoundError
from tenants.models import Brand

SLICE = 1_000  # people in one step of a job
MANY = 100  # a list of more than so many needs a second person, where the brand wants one for SOPs
OPEN = (Sop.State.ON, Sop.State.PAUSED)  # people who come while it is paused wait with the others

# Nobody is put into an SOP twice at a time, and nobody whom no guide can reach.
_INSERT = dues.listing(
    """
    INSERT INTO campaigns_enrolment AS e (brand_id, sop_id, contact_id, source, joined_at, position, next_run_at,
                                     entered_at, is_parked, end_kind)
    SELECT c.brand_id, %(sop)s, c.id, %(source)s, %(joined_at)s, %(position)s, %(next_at)s, %(now)s, false, ''
      FROM contacts_contact c
     WHERE c.brand_id = %(brand)s AND c.id = ANY(%(ids)s::bigint[]) AND c.lost_at IS NULL
     ORDER BY c.id
    ON CONFLICT (brand_id, sop_id, contact_id) WHERE ended_at IS NULL DO NOTHING
    """,
    "SELECT id, contact_id FROM moved",
)


def enrol(brand: Brand, *, contact: Contact, sop: Sop, at: datetime, source: str) -> Enrolment | None:
    """Put a contact into an SOP, in the caller's transaction.

    None when there is nothing to do: in it already, the SOP is a draft or has ended, no step lies after `at`.

    Args:
        at: day 0 is its date in the brand's zone; steps of that day before `at` are not for this person.
        source: channel_code:7, page …
    """
    with transaction.atomic():
        rows = _enter(brand, sop.pk, [contact.pk], at, source)
        return Enrolment.objects.get(pk=rows[0][0]) if rows else None


def enrol_many(
    brand: Brand, *, sop: Sop, contact_ids: Collection[int], source: str, at: datetime | None = None
) -> int:
    """The same for a set; gives how many are new. One statement for each thousand; safe to repeat."""
    at, ids, n = at or clock.now(), sorted(set(contact_ids)), 0
    try:
        for start in range(0, len(ids), SLICE):
            with transaction.atomic():
                n += len(_enter(brand, sop.pk, ids[start : start + SLICE], at, source))
    except entering.EntryUnreadable as error:
        # it lets nobody in and says so on the SOP's page; whatever else the caller does for these people goes on
        with transaction.atomic():
            trouble.note(error.version_id, error.node_id, error)
    return n


def _enter(brand: Brand, sop_id: int, ids: Sequence[int], at: datetime, source: str) -> list[tuple[int, int]]:
    """(enrolment, contact) of those who are new: into the steps, or to the entry of a graph."""
    with connection.cursor() as cursor:
        # an edit of the steps locks the row against this: who comes in has the steps from before it or from
        # after it
        cursor.execute(
            "SELECT state, name, form FROM campaigns_sop WHERE brand_id = %s AND id = %s FOR KEY SHARE",
            [brand.pk, sop_id],
        )
        row = cursor.fetchone()
        if row is None or row[0] not in OPEN:
            return []
        if row[2] == Sop.Form.GRAPH:  # an arrival knows the SOP's number only
            people = [(contact_id, at) for contact_id in ids]
            return entering.enter(brand, sop_id=sop_id, people=people, source=source)
        times = sops.step_times(sops.live_steps(sop_id))
        table = schedule.timetable(times, schedule.joining_date(at, brand.timezone), brand.timezone)
        next_at, position = schedule.next_step(table, at)
        if next_at is None:
            return []
        now = clock.now()
        cursor.execute(
            _INSERT,
            {
                "brand": brand.pk,
                "sop": sop_id,
                "source": source[:40],
                "joined_at": at,
                "position": position,
                "next_at": next_at,
                "now": now,
                "ids": array(ids),
            },
        )
        new: list[tuple[int, int]] = cursor.fetchall()
    events: list[EventRow] = [
        {
            "contact_id": contact_id,
            "type": EventType.SOP_ENTERED,
            "at": at,
            "object_id": sop_id,
            "source": "sop",
            "source_key": f"in:{enrolment_id}",
            "data": {"sop": row[1], "from": source[:40]},
        }
        for enrolment_id, contact_id in new
    ]
    record_events(brand, events)
    return new


@transaction.atomic
def remove(brand: Brand, *, enrolment_id: int, by: Actor) -> Enrolment:
    """Take a person out. What is with the guide already may still be sent.

    Raises:
        ConflictError: out already.
    """
    gate.enter_gate(brand)
    row = (
        Enrolment.objects.select_for_update().select_related("sop", "contact").filter(pk=enrolment_id).first()
    )
    if row is None:
        raise NotFoundError()
    if row.ended_at is not None:
        raise ConflictError(_("This person has left the SOP already"))
    leaving.leave(brand, [row.pk], Enrolment.End.REMOVED, clock.now())
    row.refresh_from_db()
    audit.record(by, "enrolment.remove", row, name=f"{row.sop}: {row.contact}")
    return row


@transaction.atomic
def take_out(brand: Brand, *, sop_id: int, contact_ids: Collection[int], by: Actor) -> set[int]:
    """Take people out of one SOP, as `remove`. Gives the contacts who were in it; safe to repeat.

    Raises:
        NotFoundError: no such SOP.
    """
    gate.enter_gate(brand)
    sop = sops.get_sop(sop_id)
    inside = Enrolment.objects.select_for_update().filter(sop=sop, contact__in=contact_ids, ended_at=None)
    rows = dict(inside.order_by("pk").values_list("pk", "contact_id"))
    if rows:
        leaving.leave(brand, rows, Enrolment.End.REMOVED, clock.now())
        audit.record(by, "sop.take_out", sop, after={"n": len(rows)})
    return set(rows.values())


# ---- a list, as a job


@transaction.atomic
def start_enrolling(brand: Brand, *, sop_id: int, contact_ids: Collection[int], by: Actor) -> Job:
    """Put a list of contacts into an SOP, a thousand at a time, watched on the page. A double click starts
    one job.

    Args:
        contact_ids: of this brand, visible to the person who asks; others are passed over.

    Raises:
        ConflictError: the SOP takes nobody, or a second person has to approve the list (sop_approval.put_in hands it in).
    """
    sop, ids = to_fill(sop_id), sorted(set(contact_ids))
    if len(ids) > MANY:
        sop_requests.check_alone(brand)
    return fill(brand, sop, ids, by)


def to_fill(sop_id: int, *, lock: bool = False) -> Sop:
    """Raises ConflictError: the SOP takes nobody."""
    sop = sops.get_sop(sop_id, lock=lock)
    if sop.state not in OPEN:
        raise ConflictError(_("Switch the SOP on first"))
    return sop


def fill(brand: Brand, sop: Sop, ids: Sequence[int], by: Actor) -> Job:
    """The job over a list. The caller has seen to the second person."""
    job = jobs.start_job(
        brand,
        kind="sop_enrol",
        title=_("Put %(n)s people into “%(sop)s”") % {"n": len(ids), "sop": sop.name},
        params={"sop_id": sop.pk, "contact_ids": ids, "at": clock.now().isoformat()},
        by=by,
        n_total=len(ids),
    )
    audit.record(by, "sop.enrol", sop, after={"n": len(ids)})
    return job


def step(brand: Brand, job: Job) -> bool:
    """One step of the job: the next thousand. `n_bad` counts those who were in it already or have no
    guide."""
    done = int(job.position.get("done", 0))
    ids = job.params["contact_ids"][done : done + SLICE]
    if not ids:
        return False
    with transaction.atomic():
        sop = sops.get_sop(job.params["sop_id"])
        if sop.state not in OPEN:
            raise ConflictError(_("The SOP has ended meanwhile"))
        new = len(_enter(brand, sop.pk, ids, datetime.fromisoformat(job.params["at"]), f"job:{job.pk}"))
        result: dict[str, Any] = {**job.result, "enrolled": job.result.get("enrolled", 0) + new}
        jobs.save_step(
            job,
            position={"done": done + len(ids)},
            n_done=done + len(ids),
            n_bad=job.n_bad + len(ids) - new,
            result=result,
        )
    return done + len(ids) < len(job.params["contact_ids"])
