"""朋友圈: write one, launch it now or at a time, remind its guides, take it back. What WeCom makes of it is
moment_handing.py and moment_results.py.

A moment is shown, not sent: nobody can be left out by a cap or a wish, and WeCom does not say who looked at it. So it
has no row in the ledger and counts for no cap (docs/moments.md).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from campaigns.models import Moment, MomentGuide
from campaigns.services import second_person, second_person_notices
from campaigns.services.governance.rules import policy_of
from campaigns.services.moments import moment_content
from content.services import library
from org import audit
from org.access import SYSTEM, Actor
from org.models import Corp, Staff
from scrm import clock
from scrm.errors import ConflictError, ForbiddenError, InvalidError, LimitError, NotFoundError
from tagging.models import Tag
from tenants.models import Brand
from wecom.services.notices import Notice, notify_many

State = Moment.State
MAX_GUIDES, MAX_TAGS, MAX_LATE_HOURS = 10_000, 100, 24 * 7
FUTURE = timedelta(days=366)
REMIND_AFTER = timedelta(hours=4)  # a guide is reminded of one moment no more often
EDITABLE = (State.DRAFT,)


@dataclass(frozen=True)
class MomentInput:
    """A moment as it is written.

    Attributes:
        attachments: see moment_content.py.
        staff_ids: who publishes; empty: every guide, or with tags the guides of customers who have one.
        tag_ids: customers with one of these tags of WeCom see it; empty: all customers of the guides.
        at: None is at its launch.
    """

    name: str
    text: str = ""
    attachments: list[dict[str, Any]] = field(default_factory=list)
    corp_id: int | None = None
    staff_ids: Sequence[int] = ()
    tag_ids: Sequence[int] = ()
    at: datetime | None = None
    late_hours: int = 24
    content_id: int | None = None


def get_moment(moment_id: int, *, lock: bool = False) -> Moment:
    """The moment of the brand in scope.

    Raises:
        NotFoundError: missing, or another brand's.
    """
    rows = Moment.objects.select_for_update() if lock else Moment.objects.select_related("corp")
    found = rows.filter(pk=moment_id).first()
    if found is None:
        raise NotFoundError()
    return found


# ---- write


@transaction.atomic
def save_draft(brand: Brand, given: MomentInput, *, by: Actor, moment_id: int | None = None) -> Moment:
    """Make a draft, or write an existing one anew. Nothing is published.

    Raises:
        InvalidError: what WeCom or we refuse; its `fields` name the input.
        ConflictError: not a draft any more.
    """
    values = _checked(brand, given)
    moment = (
        get_moment(moment_id, lock=True)
        if moment_id
        else Moment(key=f"page:{uuid4().hex}", created_by=by.name, created_by_user_id=by.user_id)
    )
    if moment.pk and moment.state not in EDITABLE:
        raise ConflictError(_("Only a draft can be changed; copy the moment to use it again"))
    before = _as_audit(moment) if moment.pk else {}
    _fill(moment, values)
    moment.save()
    action = "moment.edit" if before else "moment.create"
    audit.record(by, action, moment, before=before, after=_as_audit(moment))
    return moment


def _fill(moment: Moment, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(moment, name, value)
    moment.content_digest = moment_content.digest(moment.text, moment.attachments)


def _checked(brand: Brand, given: MomentInput) -> dict[str, Any]:
    wrong: dict[str, str] = {}
    name = str(given.name).strip()
    if not 1 <= len(name) <= 60:
        wrong["name"] = _("1 to 60 characters")
    text, attachments = "", list[dict[str, Any]]()
    try:
        text, attachments = moment_content.checked(brand, given.text, given.attachments)
    except InvalidError as error:
        wrong["text"] = str(error)
    corp = _corp(given.corp_id, wrong)
    staff_ids = _guides(corp, given.staff_ids, wrong)
    tag_ids = _tags(corp, given.tag_ids, wrong)
    now = clock.now()
    if given.at is not None and not now - timedelta(minutes=5) <= given.at <= now + FUTURE:
        wrong["at"] = _("Between now and a year from now")
    if not 1 <= given.late_hours <= MAX_LATE_HOURS:
        wrong["late_hours"] = _("Between 1 and %(n)s hours") % {"n": MAX_LATE_HOURS}
    if wrong or corp is None:
        raise InvalidError(next(iter(wrong.values())), fields=wrong)
    return {
        "name": name, "text": text, "attachments": attachments, "corp": corp, "staff_ids": staff_ids,
        "tag_ids": tag_ids, "at": given.at or now, "is_now": given.at is None, "late_hours": given.late_hours,
        "content_id": library.same_version(given.content_id, text, attachments),
    }  # fmt: skip


def _corp(corp_id: int | None, wrong: dict[str, str]) -> Corp | None:
    corps = (
        list(Corp.objects.order_by("pk")[:2]) if corp_id is None else list(Corp.objects.filter(pk=corp_id))
    )
    if len(corps) != 1:
        wrong["corp"] = _("Choose the WeCom corp") if corps else _("Connect WeCom first")
        return None
    return corps[0]


def _guides(corp: Corp | None, ids: Sequence[int], wrong: dict[str, str]) -> list[int]:
    wanted = sorted(set(ids))
    if len(wanted) > MAX_GUIDES:
        wrong["guides"] = _("At most %(n)s guides; choose nobody for all of them") % {"n": MAX_GUIDES}
    elif wanted and Staff.objects.guides().filter(pk__in=wanted, corp=corp).count() != len(wanted):
        wrong["guides"] = _("Not all of these are active guides of this corp")
    return wanted


def _tags(corp: Corp | None, ids: Sequence[int], wrong: dict[str, str]) -> list[int]:
    wanted = sorted(set(ids))
    if len(wanted) > MAX_TAGS:
        wrong["tags"] = _("At most %(n)s tags") % {"n": MAX_TAGS}
    elif wanted and corp_tags(corp).filter(pk__in=wanted).count() != len(wanted):
        wrong["tags"] = _("WeCom can only be asked by its own tags, those of this corp")
    return wanted


def corp_tags(corp: Corp | None) -> Any:
    """Tags that WeCom knows: the only ones by which a moment can be shown to some."""
    return Tag.objects.filter(group__corp=corp, deleted_at=None).exclude(wecom_id="")


@transaction.atomic
def duplicate(brand: Brand, *, moment_id: int, by: Actor) -> Moment:
    """A draft with the same content and range; guides and tags that are gone are left out."""
    old = get_moment(moment_id)
    staff = Staff.objects.guides().filter(pk__in=old.staff_ids, corp=old.corp)
    given = MomentInput(
        name=_("%(name)s (copy)") % {"name": old.name[:50]},
        text=old.text,
        attachments=old.attachments,
        corp_id=old.corp_id,
        staff_ids=list(staff.values_list("pk", flat=True)),
        tag_ids=list(corp_tags(old.corp).filter(pk__in=old.tag_ids).values_list("pk", flat=True)),
        late_hours=old.late_hours,
        content_id=old.content_id,
    )
    return save_draft(brand, given, by=by)


@transaction.atomic
def delete_draft(brand: Brand, *, moment_id: int, by: Actor) -> None:
    moment = get_moment(moment_id, lock=True)
    if moment.state != State.DRAFT:
        raise ConflictError(_("Only a draft can be deleted"))
    audit.record(by, "moment.delete", moment, before=_as_audit(moment))
    moment.delete()


def _as_audit(moment: Moment) -> dict[str, Any]:
    row = audit.snapshot(moment, ["name", "text", "at", "late_hours", "staff_ids", "tag_ids"])
    return {**row, "attachments": len(moment.attachments)}


# ---- states


@transaction.atomic
def launch(brand: Brand, *, moment_id: int, by: Actor) -> Moment:
    """Planned: it goes to WeCom now, or at its time; or handed to a second person where the brand wants that.

    Raises:
        ConflictError: not a draft.
    """
    moment = get_moment(moment_id, lock=True)
    moment.launched_by, moment.launched_by_user_id = by.name, by.user_id
    if policy_of(brand).needs_approval:
        _switch(moment, {State.DRAFT}, State.APPROVAL)
        moment.save(update_fields=["state", "launched_by", "launched_by_user_id"])
        audit.record(by, "moment.submit", moment)
        second_person_notices.tell_of(brand, moment)
        return moment
    return _plan(brand, moment, State.DRAFT, by, "moment.launch")


@transaction.atomic
def approve(brand: Brand, *, moment_id: int, by: Actor) -> Moment:
    """A second person says yes.

    Raises:
        ForbiddenError: the person who wrote or submitted it. ConflictError: it does not wait for that.
    """
    moment = get_moment(moment_id, lock=True)
    makers = (
        (moment.created_by, moment.created_by_user_id),
        (moment.launched_by, moment.launched_by_user_id),
    )
    if second_person.is_own(by, *makers):
        raise ForbiddenError(_("Somebody else has to approve it"))
    return _plan(brand, moment, State.APPROVAL, by, "moment.approve")


@transaction.atomic
def reject(brand: Brand, *, moment_id: int, by: Actor) -> Moment:
    """Back to a draft, also by whoever submitted it."""
    moment = get_moment(moment_id, lock=True)
    _switch(moment, {State.APPROVAL}, State.DRAFT)
    moment.save(update_fields=["state"])
    audit.record(by, "moment.reject", moment)
    return moment


def _plan(brand: Brand, moment: Moment, before: str, by: Actor, action: str) -> Moment:
    _switch(moment, {before}, State.PLANNED)
    now = clock.now()
    moment.at = max(moment.at, now) if not moment.is_now else now
    moment.next_try_at = moment.at
    moment.save(update_fields=["state", "at", "next_try_at", "launched_by", "launched_by_user_id"])
    audit.record(by, action, moment, after={"at": moment.at.isoformat()})
    _start(brand, moment)
    return moment


def _start(brand: Brand, moment: Moment) -> None:
    from campaigns.tasks import run_moment

    if moment.at <= clock.now():
        run_moment.delay_on_commit(brand_id=brand.pk, moment_id=moment.pk)


@transaction.atomic
def create_for(
    brand: Brand,
    given: MomentInput,
    *,
    key: str,
    source: str,
    source_id: int | None = None,
    by: Actor = SYSTEM,
) -> Moment:
    """A moment that is planned at once, for an SOP, a rule or the API; the same key gives the one that is there. By API it
    waits for a second person where the brand wants that.

    Args:
        key: ≤ 70 characters; what makes it one within its source.
        source: sop, api … (≤ 10 characters).

    Raises:
        InvalidError: as `save_draft`.
    """
    whole = f"{source}:{key}"[:80]
    if (found := Moment.objects.filter(key=whole).first()) is not None:
        return found
    # an SOP has been switched on by somebody who knew what it publishes; an order by API is asked about like a click
    waits = source == "api" and policy_of(brand).needs_approval
    moment = Moment(
        key=whole,
        source=source,
        source_id=source_id,
        created_by=by.name,
        created_by_user_id=by.user_id,
        state=State.APPROVAL if waits else State.PLANNED,
    )
    _fill(moment, _checked(brand, given))
    moment.next_try_at = moment.at
    try:
        with transaction.atomic():
            moment.save()
    except IntegrityError:
        return Moment.objects.get(key=whole)  # somebody else has just ordered the same
    audit.record(by, "moment.create", moment, after=_as_audit(moment))
    if waits:
        second_person_notices.tell_of(brand, moment)
    else:
        _start(brand, moment)
    return moment


@transaction.atomic
def note_refused(
    brand: Brand, given: MomentInput, error: str, *, key: str, source: str, source_id: int | None = None
) -> None:
    """A moment that could not even be ordered, kept as a failed one with the reason, so that somebody sees it; the same
    key once. In nobody's way: raises nothing but for a corp that is not there."""
    whole = f"{source}:{key}"[:80]
    now = clock.now()
    Moment.objects.get_or_create(
        key=whole,
        defaults={
            "source": source,
            "source_id": source_id,
            "state": State.FAILED,
            "name": given.name,
            "corp": Corp.objects.get(pk=given.corp_id or 0),
            "text": str(given.text)[:4000],
            "staff_ids": sorted(given.staff_ids),
            "at": now,
            "ended_at": now,
            "error": error[:500],
        },
    )


def cancel(brand: Brand, *, moment_id: int, by: Actor, at_once: bool = True) -> Moment:
    """Who has not published it yet does not any more; what is published stays. Calls WeCom: outside a transaction,
    unless it is left to the next tick (`at_once` false).

    Raises:
        ConflictError: it is just being handed over, or is over.
    """
    from campaigns.services.moments import moment_results

    with transaction.atomic():
        moment = get_moment(moment_id, lock=True)
        if moment.state == State.CALLING:
            raise ConflictError(_("It is just being handed to WeCom; try again in a minute"))
        if (
            moment.state not in (State.APPROVAL, State.PLANNED, State.RUNNING, State.OUT)
            or moment.cancelled_at
        ):
            raise ConflictError(_("It is over already"))
        now = clock.now()
        audit.record(by, "moment.cancel", moment, before={"state": moment.state})
        moment.cancelled_at = now
        if moment.state in (State.APPROVAL, State.PLANNED):
            moment.state, moment.ended_at = State.CANCELLED, now
        # whatever happens from here on, the next tick goes on with it
        moment.next_try_at = now
        moment.save(update_fields=["cancelled_at", "state", "ended_at", "next_try_at"])
    if at_once and moment.state == State.OUT:
        moment_results.poll(brand, moment.pk)
    with transaction.atomic():
        return get_moment(moment_id)


@transaction.atomic
def remind(brand: Brand, *, moment_id: int, by: Actor) -> int:
    """A message of the app to everybody who has not published it yet; gives how many were told.

    Raises:
        ConflictError: nobody has to publish anything.
        LimitError: everybody was reminded within the last hours.
    """
    moment = get_moment(moment_id)
    waiting = MomentGuide.objects.filter(moment=moment, state=MomentGuide.State.WAITING)
    if moment.state != State.OUT or moment.cancelled_at or not waiting.exists():
        raise ConflictError(_("Nobody has to publish anything here"))
    now = clock.now()
    due = waiting.exclude(reminded_at__gt=now - REMIND_AFTER).select_for_update(of=("self",))
    guides = list(due.order_by("pk").select_related("staff__corp"))
    if not guides:
        raise LimitError(
            _("Everybody was reminded within the last %(n)s hours")
            % {"n": REMIND_AFTER // timedelta(hours=1)},
            retry_after_s=int(REMIND_AFTER.total_seconds()),
        )
    text = _("Please publish the moment “%(name)s”: WeCom, 客户联系, 客户朋友圈") % {"name": moment.name}
    words, stamp = f"{text}\n{moment.text[:200]}", int(now.timestamp())
    n = notify_many(brand, [Notice(g.staff, f"moment:{g.pk}:{stamp}", words) for g in guides if g.staff])
    MomentGuide.objects.filter(pk__in=[guide.pk for guide in guides]).update(reminded_at=now)
    audit.record(by, "moment.remind", moment, after={"n": n})
    return n


def _switch(moment: Moment, allowed: Collection[str], state: str) -> None:
    if moment.state not in allowed:
        raise ConflictError(_("The moment is “%(state)s” now") % {"state": moment.get_state_display()})
    moment.state = state
