"""WeCom puts an app to sleep that hardly anybody opens: its interfaces then answer 48006, and nothing is synced or sent."""

from typing import Any

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from org.access import SYSTEM
from org.models import Corp
from tenants.models import Brand
from wecom.models import CallbackEvent, OutboundCall
from wecom.services import app_state, outbound
from wecom.services.app_state import ASLEEP, State
from wecom.services.notices import tell_those_who

_WARNED = _(
    "WeCom warns: our app is hardly used\nIf nobody opens it, WeCom stops its interfaces, and nothing is synced or sent any"
    " more. Let some members open the app in WeCom."
)
_STOPPED = _(
    "WeCom has put our app to sleep\nNothing is synced or sent until an administrator starts it again in the WeCom admin"
    " console."
)
_AWAKE = _("WeCom has started our app again\nEverything goes on; what waited is made up for.")
WORDS: dict[str, Promise] = {
    "inactive_alert": _WARNED,
    "low_active_alert": _WARNED,
    "close_inactive_agent": _STOPPED,
    "low_active": _STOPPED,
    "reopen_inactive_agent": _AWAKE,
    "active_restored": _AWAKE,
}


def _state(words: Promise) -> str:
    return "" if words is _AWAKE else State.ASLEEP if words is _STOPPED else State.WARNED


@transaction.atomic
def on_app_dormant(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """Tell those who look after the connection, once for each event; what failed while the app slept is made up for.

    A sleeping app cannot tell: pages say it (`Corp.app_state`, templates/org/_app_state.html), and the brand's other apps
    tell those who look after them.
    """
    words, key = WORDS[event.event], f"dormant:{event.pk}"
    app_state.note(corp, _state(words), at=event.happened_at)
    if words is _AWAKE:
        asleep = OutboundCall.objects.filter(
            corp=corp, state=OutboundCall.State.FAILED, error__endswith=f"({ASLEEP})"
        ).exclude(
            kind=OutboundCall.Kind.NOTICE, key__contains=":dormant:"
        )  # that it sleeps is not true any more
        ids, size = list(asleep.order_by("pk").values_list("pk", flat=True)), outbound.MOST_AGAIN
        for n in range(0, len(ids), size):  # the oldest first: a later call does not overtake them
            outbound.try_again(brand, by=SYSTEM, call_ids=ids[n : n + size])
    tell_those_who(brand, corp, "corps.edit", key=key, text=str(words), url="/setup/")
    title, _line, rest = str(words).partition("\n")
    for other in Corp.objects.exclude(pk=corp.pk).exclude(app_state=State.ASLEEP).order_by("pk"):
        text = f"{title}\n{corp.name}: {rest}"
        tell_those_who(brand, other, "corps.edit", key=key, text=text, url="/setup/")
