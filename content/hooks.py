"""What apps above this one know of content: dotted paths, because content imports none of them.

`USES`: functions `uses(brand, version_ids) -> [Use]`: where versions stand at this moment (steps, broadcasts, welcomes).
`POSTER_*`: the channel codes that posters can show: `choices()`, `by_id(brand, ids)`, `picture(brand, code)`.
`PAGES`: pages that tracked links of apps above lead to.
`RESULTS`: `results(brand, version_ids) -> {version_id: {"sent", "opened", "replied", "converted"}}`, of the ledger.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

from django.utils.module_loading import import_string

from tenants.models import Brand

USES: list[str] = ["campaigns.services.content_uses.uses", "livecodes.services.content_uses.uses"]
RESULTS: list[str] = ["campaigns.services.content_uses.results"]
# kinds of pages of apps above: key → name of the address, which takes the link's key
PAGES = {"card": "business_card", "wishes": "wish_page"}
CHOSEN_PAGES = [
    "wishes"
]  # of these, what can be put into any message; cards are sent from where they are kept
POSTER_CODES = "livecodes.services.posters.choices"
POSTER_CODES_BY_ID = "livecodes.services.posters.by_id"
POSTER_CODE_PICTURE = "livecodes.services.posters.picture"


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


def poster_codes() -> list[tuple[int, str]]:
    """(id, name) of the channel codes that a poster can show."""
    return import_string(POSTER_CODES)()


def poster_codes_by_id(brand: Brand, code_ids: Iterable[int]) -> dict[int, Any]:
    """Of these, those that are not deleted, for `poster_code_picture`; in the caller's transaction."""
    wanted = sorted(set(code_ids))
    return import_string(POSTER_CODES_BY_ID)(brand, wanted) if wanted else {}


def poster_code_picture(brand: Brand, code: Any) -> bytes:
    """The picture of a code. May call WeCom: outside a transaction."""
    return import_string(POSTER_CODE_PICTURE)(brand, code)
