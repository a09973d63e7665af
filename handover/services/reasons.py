"""Why somebody or a group was not handed over, in plain words and with what one can do about it."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from handover.models import HandoverItem
from wecom.errcodes import advice

NO_RECORD = 1  # our own number: WeCom has taken it and knows nothing of it afterwards
NO_ANSWER = 2  # … it was in the call and not in the answer
TOO_OFTEN, PENDING, FULL, NOT_THEIRS, UNKNOWN = 40128, 40129, 40099, 40131, 40096
GROUP_PENDING, GROUP_TOO_OFTEN, GROUP_SAME_OWNER = 90507, 90508, 90504

# errcode → words, what to do
_WORDS: dict[int, tuple[Any, Any]] = {
    NO_RECORD: (
        _("WeCom has no record of this hand-over"),
        _("Hand over again; WeCom says then what is in the way."),
    ),
    NO_ANSWER: (_("WeCom did not answer for this one"), _("Hand over again.")),
    TOO_OFTEN: (
        _("Handed over twice in 90 days already"),
        _(
            "WeCom allows two hand-overs of a customer within 90 days. Wait, or ask the customer to add the new guide."
        ),
    ),
    PENDING: (_("Is being handed over already"), _("Wait for the end of the other hand-over.")),
    40100: (_("Is being handed over already"), _("Wait for the end of the other hand-over.")),
    FULL: (
        _("The receiver has as many customers as WeCom allows"),
        _("Choose another receiver, or have the limit raised in the WeCom console."),
    ),
    NOT_THEIRS: (
        _("Is not a customer of this member any more"),
        _("Nothing to do: the customer has gone, or another guide has got them."),
    ),
    84061: (
        _("Is not a customer of this member any more"),
        _("Nothing to do: the customer has gone, or another guide has got them."),
    ),
    UNKNOWN: (_("WeCom does not know this customer"), _("Nothing to do.")),
    41054: (
        _("The receiver may not have customers"),
        _("Choose another receiver, or give them the right in WeCom."),
    ),
    84074: (
        _("The receiver may not have customers"),
        _("Choose another receiver, or give them the right in WeCom."),
    ),
    610004: (
        _("The receiver may not have customers"),
        _("Choose another receiver, or give them the right in WeCom."),
    ),
    40098: (
        _("The receiver is not verified by real name"),
        _("The receiver signs in to WeCom and is verified."),
    ),
    60011: (
        _("The app does not see the receiver"),
        _("Widen the app's visible range in the WeCom console, or choose another receiver."),
    ),
    60111: (_("WeCom does not know the receiver any more"), _("Choose another receiver.")),
    90500: (
        _("The owner of the group has not left the company"),
        _("Wait until WeCom knows that they have left."),
    ),
    90501: (_("Not a customer group"), _("Nothing to do.")),
    90502: (
        _("The owner of the group has left the company"),
        _("Hand it over as a group of somebody who has left."),
    ),
    90503: (_("The group is full"), _("Somebody has to leave the group first.")),
    GROUP_SAME_OWNER: (_("The receiver owns the group already"), _("Nothing to do.")),
    GROUP_PENDING: (_("Is being handed over already"), _("Wait for the end of the other hand-over.")),
    GROUP_TOO_OFTEN: (
        _("Handed over too often, or already"),
        _("WeCom allows two hand-overs of a group within 90 days."),
    ),
}

# the words of the timeline: contacts/sentences.py: REASONS
TIMELINE: dict[int, str] = {
    NO_RECORD: "no_record",
    NO_ANSWER: "no_record",
    TOO_OFTEN: "too_often",
    PENDING: "pending",
    40100: "pending",
    FULL: "receiver_full",
    NOT_THEIRS: "not_theirs",
    84061: "not_theirs",
}


def words_of(item: HandoverItem) -> tuple[Any, Any]:
    """(why, what to do) of an item that was not handed over; empty where there is nothing to say."""
    if item.state == HandoverItem.State.REFUSED:
        return (
            _("The customer refused"),
            _("The customer stays with the old guide, or with nobody when that one has left."),
        )
    return of_code(item.errcode)


def of_code(errcode: int) -> tuple[Any, Any]:
    """The same for one of WeCom's numbers, or of ours."""
    if not errcode:
        return "", ""
    return _WORDS.get(errcode) or (advice(errcode).text, advice(errcode).page)
