"""Notices around a second person: whoever may approve hears that something waits, whoever handed it in hears the answer."""

from collections.abc import Iterable

from django.utils.translation import gettext as _

from campaigns.models import Broadcast, Moment, SopRequest
from campaigns.services import launchers
from org.models import Staff
from scrm import clock
from tenants.models import Brand
from wecom.services.notices import Notice, notify_many

MOST = 20  # people who are told that something waits


def tell(
    brand: Brand, *, key: str, name: str, words: str, url: str, sees: str, makers: Iterable[int | None]
) -> int:
    """To everybody who may approve it and has not made it; gives how many are told.

    Args:
        sees: the right to look at it. makers: ids of the users who have made it or handed it in.
    """
    own = set(makers) - {None}
    people = Staff.objects.with_right("broadcasts.approve").filter(role__rights__contains=[sees])
    text = "\n".join(filter(None, [_("“%(name)s” waits for your approval") % {"name": name}, words]))
    told = people.exclude(user_id__in=own)[:MOST] if own else people[:MOST]
    return notify_many(brand, [Notice(person, key, text, url) for person in told])


def tell_of(brand: Brand, what: Broadcast | Moment) -> int:
    """Of a broadcast or a moment; each time that it is handed in."""
    kind = "broadcast" if isinstance(what, Broadcast) else "moment"
    who = what.launched_by or what.created_by
    return tell(
        brand,
        key=f"{kind}_approval:{what.pk}:{clock.now():%Y%m%d%H%M%S}",
        name=what.name,
        words=handed_in(who, _("Broadcast") if kind == "broadcast" else _("Moments")),
        url=f"/{kind}s/{what.pk}/",
        sees="broadcasts.view",
        makers=[what.created_by_user_id, what.launched_by_user_id],
    )


def handed_in(who: str, what: str) -> str:
    return _("%(who)s has handed it in: %(what)s") % {"who": who, "what": what}


def ask(brand: Brand, request: SopRequest) -> int:
    """Of what was handed in for an SOP."""
    words = handed_in(request.asked_by, str(request.get_kind_display()))
    return tell(
        brand,
        key=f"sop_request:{request.pk}",
        name=request.sop.name,
        words="\n".join(filter(None, [words, request.note])),
        url=address(request),
        sees="sops.view",
        makers=[request.asked_by_user_id, *(user_id for _name, user_id in request.makers)],
    )


def decided(brand: Brand, request: SopRequest) -> None:
    """To who handed it in; to nobody where that was an API key."""
    is_yes = request.state == SopRequest.State.APPROVED
    title = _("“%(name)s” is approved") if is_yes else _("“%(name)s” was sent back")
    words = _("Decided by %(who)s") % {"who": request.decided_by}
    text = "\n".join(filter(None, [title % {"name": request.sop.name}, words, request.reason]))
    key = f"sop_decided:{request.pk}"
    launchers.tell_user(brand, request.asked_by_user_id, key=key, text=text, url=address(request))


def address(request: SopRequest) -> str:
    return f"/sops/requests/{request.pk}/"
