"""Which code a `state` of WeCom belongs to, for relations that the sync has found."""

from collections.abc import Iterable

from livecodes.models import ChannelCode
from org.models import Corp
from tenants.models import Brand


def ids_of(brand: Brand, *, corp: Corp, states: Iterable[str]) -> dict[str, int]:
    """state → id of the code, deleted ones too: they have brought these customers."""
    wanted = [state for state in states if state]
    if not wanted:
        return {}
    return dict(ChannelCode.objects.filter(corp=corp, state__in=wanted).values_list("state", "pk"))


def names_of(code_ids: Iterable[int]) -> dict[int, str]:
    """Names of codes by id, deleted ones too: pages name where a customer came from."""
    return dict(ChannelCode.objects.filter(pk__in=list(code_ids)).values_list("pk", "name"))


def choices() -> list[tuple[int, str]]:
    """(id, name) of all codes that are not deleted, newest first, for filters."""
    return list(ChannelCode.objects.live().order_by("-pk").values_list("pk", "name")[:2000])
