"""What apps above this one know of content: dotted paths, because content imports none of them.

`USES`: functions `uses(brand, version_ids) -> [Use]`: where versions stand at this moment (steps, broadcasts, welcomes).
`RESULTS`: `results(brand, version_ids) -> {version_id: {"sent", "opened", "replied", "converted"}}`, of the ledger.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

from django.utils.module_loading import import_string

from tenants.models import Brand

USES: list[str] = ["campaigns.services.content_uses.uses", "livecodes.services.content_uses.uses"]
RESULTS: list[str] = ["campaigns.services.content_uses.results"]


class Use(TypedDict):
    """A place that names a version. `is_live`: it is sending, or will."""

    version_id: int
    kind: Any  # words: "Broadcast", "SOP" …
    name: str
    url: str
    is_live: bool


def uses(brand: Brand, version_ids: Iterable[int]) -> list[Use]:
    wanted = sorted(set(version_ids))
    return [use for path in USES if wanted for use in import_string(path)(brand, wanted)]


def results(brand: Brand, version_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """Figures of versions, all sources together; what nobody sent is missing."""
    total: dict[int, dict[str, int]] = {}
    for path in RESULTS if version_ids else ():
        for version_id, numbers in import_string(path)(brand, list(version_ids)).items():
            kept = total.setdefault(version_id, dict.fromkeys(("sent", "opened", "replied", "converted"), 0))
            for name, n in numbers.items():
                kept[name] += n
    return total
