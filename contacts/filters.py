"""The filters of the contact list: what the address says, as values; pure but for the reader's time zone.

What cannot be read raises: a filter that is not understood must never mean 'everybody'.
"""

from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scrm.errors import FilterError

STATES = ("reachable", "lost", "pending", "member")
MAX_TAGS = 20


@dataclass(frozen=True)
class Filters:
    """What to look for; empty values do not filter.

    Attributes:
        q: part of a name or remark, or an outside id.
        guide, store, code: the relation; with one of them `state`, `since` and `until` speak of that
        relation.
        tags: with `all_tags` every one, otherwise at least one.
        state: one of STATES.
        since, until: days of adding in the brand's zone, both included.
        dnc: only do-not-contact.
        segment: who is in it at the moment of looking.
    """

    q: str = ""
    guide: int | None = None
    store: int | None = None
    code: int | None = None
    tags: tuple[int, ...] = field(default=())
    all_tags: bool = False
    state: str = ""
    since: date | None = None
    until: date | None = None
    dnc: bool = False
    segment: int | None = None

    @property
    def relation(self) -> bool:
        """Whether the filters speak of a relation to a guide."""
        return bool(self.guide or self.store or self.code)

    def __bool__(self) -> bool:
        return self != Filters()

    def moments(self, zone: str) -> tuple[datetime | None, datetime | None]:
        """`since` and `until` as the moments [from, before) in an IANA zone."""
        info = ZoneInfo(zone)
        start = datetime.combine(self.since, time.min, info) if self.since else None
        end = datetime.combine(self.until + timedelta(days=1), time.min, info) if self.until else None
        return start, end

    def as_query(self) -> dict[str, Any]:
        """Parameters that `parse` reads again; also what a saved view holds."""
        pairs = {
            "q": self.q,
            "guide": self.guide,
            "store": self.store,
            "code": self.code,
            "tag": list(self.tags),
            "all": "1" if self.all_tags and self.tags else "",
            "state": self.state,
            "since": self.since.isoformat() if self.since else "",
            "until": self.until.isoformat() if self.until else "",
            "dnc": "1" if self.dnc else "",
            "segment": self.segment,
        }
        return {key: value for key, value in pairs.items() if value}


def parse(query: Any) -> Filters:
    """Filters of an address (QueryDict) or of a saved view (dict).

    Raises:
        InvalidError: a value that cannot be read.
    """
    get = query.get
    tags = query.getlist("tag") if hasattr(query, "getlist") else list(query.get("tag") or [])
    found = Filters(
        q=str(get("q") or "").replace("\x00", "").strip()[:64],
        guide=_number(get("guide")),
        store=_number(get("store")),
        code=_number(get("code")),
        tags=tuple(dict.fromkeys(n for n in map(_number, tags) if n is not None)),
        all_tags=_flag(get("all")),
        state=str(get("state") or ""),
        since=_day(get("since")),
        until=_day(get("until")),
        dnc=_flag(get("dnc")),
        segment=_number(get("segment")),
    )
    if found.state not in ("", *STATES) or len(found.tags) > MAX_TAGS:
        raise FilterError()
    return found if found.tags else replace(found, all_tags=False)


def _number(value: Any) -> int | None:
    if value in (None, ""):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError) as error:
        raise FilterError() from error
    if not 0 < number < 2**63:
        raise FilterError()
    return number


def _flag(value: Any) -> bool:
    if value not in (None, "", "0", "1", True, False):
        raise FilterError()
    return value in ("1", True)


def _day(value: Any) -> date | None:
    if value in (None, ""):
        return None
    try:
        day = date.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise FilterError() from error
    if not 2000 <= day.year <= 2200:
        raise FilterError()
    return day
