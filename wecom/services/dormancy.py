"""WeCom puts an app to sleep that hardly anybody opens: its interfaces then answer 48006, and nothing is synced or sent."""

from typing import Any

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from org.access import SYSTEM
from org.models import Corp
from tenants.models import Brand
from wecom.models import CallbackEvent, OutboundCall
from wecom.services import outbound
from wecom.services.notices import tell_those_who

ASLEEP = 48006  # errcode of every call meanwhile
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


@transaction.atomic
def on_app_dormant(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """Tell those who look after the connection, once for each event; what failed while the app slept is made up for."""
    if WORDS[event.event] is _AWAKE:
        asleep = OutboundCall.objects.filter(
            corp=corp, state=OutboundCall.State.FAILED, error__endswith=f"({ASLEEP})"
        )
        if ids := list(asleep.values_list("pk", flat=True)):
            outbound.try_again(brand, by=SYSTEM, call_ids=ids)
    text = str(WORDS[event.event])
    tell_those_who(brand, corp, "corps.edit", key=f"dormant:{event.pk}", text=text, url="/setup/")
