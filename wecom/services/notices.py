"""Notices to staff: a message of the app in the WeCom client of one member."""

from typing import Any
from urllib.parse import urljoin

from django.conf import settings
from django.utils.text import Truncator

from org.models import Staff
from tenants.models import Brand
from wecom.models import OutboundCall
from wecom.services import outbound

TITLE_CHARS, TEXT_CHARS, TEXT_BYTES = 128, 512, 2048  # of a card; of a plain text


def notify_staff(brand: Brand, *, staff: Staff, key: str, text: str, url: str = "") -> OutboundCall | None:
    """Tell a member something, once per key, after the caller's transaction. None: told already, or not
    reachable (no WeCom account, or left).

    Args:
        text: the first line is the title where there is a `url`; what is too long for WeCom is cut.
        url: a page of ours (path or whole address): the notice becomes a card that opens it.
    """
    if staff.corp is None or not staff.userid or staff.state != Staff.State.ACTIVE:
        return None
    payload: dict[str, Any] = {"userid": staff.userid}
    if url:
        title, _line, rest = text.strip().partition("\n")
        payload |= {
            "title": Truncator(title).chars(TITLE_CHARS),
            "text": Truncator(rest.strip() or title).chars(TEXT_CHARS),
            "url": urljoin(settings.PUBLIC_URL + "/", url),
        }
    else:
        payload["text"] = text.encode()[:TEXT_BYTES].decode(errors="ignore")
    return outbound.enqueue(
        brand, corp=staff.corp, kind=OutboundCall.Kind.NOTICE, key=f"{staff.pk}:{key}"[:120], payload=payload
    )
