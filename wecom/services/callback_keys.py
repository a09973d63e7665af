"""Which corp a callback address belongs to, and the keys to open its letters; remembered in this process for
a moment."""

import threading
import time
from dataclasses import dataclass

from django.db import transaction

from org.models import Corp
from tenants.models import Brand, BrandLookup
from tenants.scoping import tenant_scope

KEEP_S = 30.0  # a key that was replaced in the console's page may open letters this long in other processes
MAX_KEPT = 2_000

_lock = threading.Lock()
_kept: dict[str, tuple[float, "CallbackKeys"]] = {}


@dataclass(frozen=True)
class CallbackKeys:
    """What is needed to open a letter and to store it."""

    brand_id: int
    timezone: str
    corp_id: int
    corpid: str
    token: str
    aes_key: str

    def __repr__(self) -> str:
        return f"<CallbackKeys of corp {self.corp_id}>"


def find(path: str, *, fresh: bool = False) -> CallbackKeys | None:
    """The keys of a callback address; None when nobody has this address or its brand is closed.

    Args:
        fresh: read them again (what came could not be opened: perhaps the keys were renewed a moment ago),
            though not more often than once a second, so that rubbish from outside does not become queries.
    """
    now = time.monotonic()
    kept = _kept.get(path)
    if kept and now - kept[0] < (1.0 if fresh else KEEP_S):
        return kept[1]
    keys = _read(path)
    with _lock:
        if keys is None:
            _kept.pop(path, None)  # unknown addresses are not remembered: anybody can make them up
        else:
            if len(_kept) >= MAX_KEPT:
                _kept.clear()
            _kept[path] = (now, keys)
    return keys


def forget() -> None:
    """Forget all keys of this process."""
    with _lock:
        _kept.clear()


def _read(path: str) -> CallbackKeys | None:
    lookup = (
        BrandLookup.objects.filter(kind=BrandLookup.Kind.CALLBACK, key=path).select_related("brand").first()
    )
    if lookup is None or lookup.target_id is None or lookup.brand.state == Brand.State.CLOSED:
        return None
    with tenant_scope(lookup.brand), transaction.atomic():
        corp = Corp.objects.filter(pk=lookup.target_id).first()
    if corp is None:
        return None
    return CallbackKeys(
        brand_id=lookup.brand_id,
        timezone=lookup.brand.timezone,
        corp_id=corp.pk,
        corpid=corp.corpid,
        token=corp.callback_token,
        aes_key=corp.callback_aes_key,
    )
