"""What the sync works with: a relation in our words, what we have of it, what a merge did."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple


class Conflict(Exception):
    """Another transaction has just made the same customer or relation: roll back and merge again."""


class Row(NamedTuple):
    """One relation (guide, customer) in our words, as it is copied into Postgres.

    Attributes:
        phones, tag_ids: sorted, with blanks between them.
        added_s: when the customer was added, seconds since 1970.
        seen_s: when WeCom said so.
    """

    staff_id: int
    external_userid: str
    name: str
    avatar: str
    gender: int
    kind: int
    corp_name: str
    unionid: str
    phones: str
    remark: str
    description: str
    added_s: int
    add_way: int
    state: str
    tag_ids: str
    seen_s: float

    @property
    def added_at(self) -> datetime:
        return datetime.fromtimestamp(self.added_s, UTC)

    @property
    def seen_at(self) -> datetime:
        return datetime.fromtimestamp(self.seen_s, UTC)

    def profile(self) -> tuple:
        """What belongs to the person, not to the relation; True: it was read from WeCom."""
        return (self.name, self.avatar, self.gender, self.kind, self.corp_name, True)


@dataclass
class Merged:
    """What a merge found and did."""

    relations: int = 0
    new_contacts: int = 0
    new_relations: int = 0
    returned: int = 0
    changed: int = 0


@dataclass
class Known:
    """Our row of a relation and its contact, as read for comparison."""

    follow_id: int
    contact_id: int
    state: str
    remark: str
    description: str
    tag_ids: list[str]
    add_way: int
    is_pending: bool
    added_at: datetime
    ended_at: datetime | None
    end_kind: str
    profile: tuple  # as `Row.profile`
    union_owner: int | None  # contact that has the row's unionid
