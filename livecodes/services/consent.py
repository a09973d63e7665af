"""msg_audit_approved: a customer has agreed that conversations are kept (会话内容存档), and WeCom gives a welcome code anew.

Where a brand keeps conversations, WeCom refuses a welcome before that (41053) or gives no code with the adding: then this
is the first moment at which the customer can be greeted.

Source: developer.work.weixin.qq.com/document/path/92005, 92137
"""

from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from campaigns.models import Touch
from contacts.models import Follow
from livecodes.services import greeting
from livecodes.services.meeting import SAME_ARRIVAL, Arrival, load
from org.models import Corp
from scrm import clock
from scrm.errors import SCRMError
from tenants.models import Brand
from wecom.models import CallbackEvent
from wecom.services.inbox import CODE_LIFE


class NotAddedYet(SCRMError):
    """The event of the adding has not come yet; the inbox tries again."""

    code, http_status = "not_added_yet", 503


def on_consent(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """Greet who was not greeted at this adding.

    Raises:
        NotAddedYet: the code still lives, and the relation is not known.
    """
    welcome_code = payload.get("WelcomeCode")
    if not welcome_code:
        return
    arrival = _arrival(corp, payload)
    if arrival is None:
        if clock.now() - event.received_at < CODE_LIFE:
            raise NotAddedYet(_("The customer's adding has not been told yet"))
        return
    if not _is_greeted(arrival):
        greeting.greet(
            brand,
            arrival,
            welcome_code=welcome_code,
            happened_at=event.happened_at,
            received_at=event.received_at,
        )


@transaction.atomic
def _arrival(corp: Corp, payload: dict[str, Any]) -> Arrival | None:
    follow = Follow.objects.filter(
        corp=corp,
        staff__userid=str(payload.get("UserID") or "").lower(),
        external_userid=payload.get("ExternalUserID") or "",
        ended_at=None,
    ).first()
    return load(follow.pk, follow.channel_code_id) if follow else None


@transaction.atomic
def _is_greeted(arrival: Arrival) -> bool:
    """By us, or by another tool."""
    welcomes = Touch.objects.filter(
        contact_id=arrival.contact.pk,
        staff_id=arrival.staff.pk,
        kind=Touch.Kind.WELCOME,
        at__gte=arrival.follow.added_at - SAME_ARRIVAL,
    )
    return welcomes.filter(Q(state=Touch.State.DELIVERED) | Q(reason=Touch.Reason.ALREADY_WELCOMED)).exists()
