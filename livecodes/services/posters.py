"""Channel codes on posters, for content/hooks.py: which may be chosen, and their pictures."""

from collections.abc import Iterable

from livecodes.models import ChannelCode
from livecodes.services import qr
from tenants.models import Brand


def choices() -> list[tuple[int, str]]:
    """(id, name) of the codes that have a picture or will have one, newest first."""
    rows = ChannelCode.objects.live().exclude(sync_state=ChannelCode.Sync.FAILED, qr_url="")
    return list(rows.order_by("-pk").values_list("pk", "name")[:2000])


def by_id(brand: Brand, code_ids: Iterable[int]) -> dict[int, ChannelCode]:
    """Codes that are not deleted, in the caller's transaction."""
    return {code.pk: code for code in ChannelCode.objects.live().filter(pk__in=list(code_ids))}


def picture(brand: Brand, code: ChannelCode) -> bytes:
    """As livecodes/services/qr.py: outside a transaction."""
    return qr.picture(brand, code)
