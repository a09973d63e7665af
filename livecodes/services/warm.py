"""Files of welcomes lie ready in WeCom before a customer comes: an upload does not fit into the welcome's 20
seconds."""

import logging
from collections.abc import Iterable

from django.db import transaction

from livecodes.models import ChannelCode, Welcome
from livecodes.services.content import WelcomeInput
from org.models import Corp
from scrm.errors import SCRMError
from tenants.models import Brand
from wecom.client import client_for
from wecom.models import MediaFile
from wecom.services import media

log = logging.getLogger(__name__)


def warm(brand: Brand) -> int:
    """Upload, or upload again before WeCom forgets them, the files of all welcomes in use; gives how many
    are ready.

    Calls WeCom; outside a transaction. A file that cannot be had is left to the next round.
    """
    with transaction.atomic():
        corps = list(Corp.objects.order_by("pk"))
        codes = dict(ChannelCode.objects.live().values_list("pk", "corp_id"))
        wanted: dict[int, set[int]] = {corp.pk: set() for corp in corps}  # corp id → file ids
        rows = Welcome.objects.exclude(attachments=[]).values_list("code_id", "attachments")
        for code_id, attachments in rows:
            ids = {a["file_id"] for a in attachments if a.get("file_id")}
            if code_id is None:
                for found in wanted.values():
                    found |= ids
            elif code_id in codes:
                wanted[codes[code_id]] |= ids
        files = MediaFile.objects.in_bulk(set().union(*wanted.values()))
    n = 0
    for corp in corps:
        client = client_for(corp)
        for file_id in sorted(wanted[corp.pk] & files.keys()):
            try:
                media.media_id(corp, client, files[file_id])
            except SCRMError as error:
                log.warning("file %s is not ready in corp %s: %r", file_id, corp.pk, error)
            else:
                n += 1
    return n


def warm_later(brand: Brand, welcomes: Iterable[WelcomeInput]) -> None:
    """After the commit of what a person has saved, if files are in it."""
    from livecodes.tasks import warm_welcomes

    if any(attachment.get("file_id") for welcome in welcomes for attachment in welcome.attachments):
        warm_welcomes.delay_on_commit(brand_id=brand.pk)
