"""What waits for a second person before it comes into force in an SOP: the rows, and the rule that nobody gets around.

Handed in, approved and refused in sop_approval.py; sops.py and graphs.py ask here before they bring anything into force.
"""

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from campaigns.models import Sop, SopRequest
from campaigns.services import second_person
from campaigns.services.governance.rules import policy_of
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import ConflictError, NotFoundError
from tenants.models import Brand

State = SopRequest.State
# what says and does something else than what is in force; other words in the draft overtake these alone
OF_CONTENT = (SopRequest.Kind.ON, SopRequest.Kind.CHANGE, SopRequest.Kind.VERSION)


def are_needed(brand: Brand) -> bool:
    """Whether the brand wants a second person for what comes into force in SOPs."""
    return policy_of(brand).sops_need_approval


def check_alone(brand: Brand) -> None:
    """Raises ConflictError where one person alone may not bring anything into force."""
    if are_needed(brand):
        raise ConflictError(_("A second person has to approve it: hand it in"), code="needs_approval")


def get_request(request_id: int, *, lock: bool = False) -> SopRequest:
    """The request of the brand in scope, with its SOP.

    Raises:
        NotFoundError: missing, or another brand's.
    """
    rows = SopRequest.objects.select_related("sop")
    if lock:
        rows = rows.select_for_update(of=("self",))
    found = rows.filter(pk=request_id).first()
    if found is None:
        raise NotFoundError()
    return found


def waiting() -> QuerySet[SopRequest]:
    """Those that somebody should decide on; what is in each (a whole graph, maybe) is read when it is asked for."""
    return SopRequest.objects.filter(state=State.WAITING).select_related("sop").defer("proposal")


def last_of(sop: Sop) -> SopRequest | None:
    """The one that waits, or that was sent back while nothing has been handed in or come into force since."""
    last = SopRequest.objects.filter(sop=sop).defer("proposal").order_by("-pk").first()
    if last is None or last.state not in (State.WAITING, State.REFUSED):
        return None
    is_past = sop.state == Sop.State.ENDED or sop.version_id != last.before_id
    is_on = last.kind == SopRequest.Kind.ON and sop.state != Sop.State.DRAFT
    return last if last.state == State.WAITING or not (is_past or is_on) else None


def change_of(sop: Sop, request_id: int | None) -> SopRequest | None:
    """Steps that were handed in and are not in force, whatever became of them: to go on with."""
    rows = SopRequest.objects.filter(sop=sop, kind=SopRequest.Kind.CHANGE).exclude(state=State.APPROVED)
    return rows.filter(pk=request_id).first() if request_id else None


def note_maker(sop: Sop, by: Actor) -> None:
    """Whoever works at what is not in force yet, once each; not saved here."""
    row = [by.name, by.user_id]
    if row not in sop.makers:
        sop.makers = [*sop.makers, row]


def makers_of(sop: Sop) -> list[list[Any]]:
    """Who has worked at what is not in force yet; of drafts from before this was noted, their names."""
    if sop.makers or sop.state != Sop.State.DRAFT:
        return list(sop.makers)
    return [[name, None] for name in {sop.created_by, sop.draft_by} if name]


def is_own(request: SopRequest, by: Actor) -> bool:
    """Whether somebody has made or handed in what is to be approved."""
    makers = [(str(name), user_id) for name, user_id in request.makers]
    return second_person.is_own(by, *makers, (request.asked_by, request.asked_by_user_id))


def overtake(sop: Sop, by: Actor, kinds: Collection[str] = SopRequest.Kind.values) -> None:
    """What waits counts no more: something else was written or has come into force. The caller holds the SOP's row."""
    for request in waiting().filter(sop=sop, kind__in=kinds):
        close(request, State.OVERTAKEN, by)
        audit.record(by, "sop.withdraw", sop, after={"request": request.pk, "overtaken": True})


def close(request: SopRequest, state: str, by: Actor, reason: str = "") -> None:
    request.state, request.reason = state, reason
    request.decided_by, request.decided_by_user_id, request.decided_at = by.name, by.user_id, clock.now()
    names = ["state", "reason", "decided_by", "decided_by_user_id", "decided_at"]
    request.save(update_fields=names)
