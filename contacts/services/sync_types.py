"""What the sync works with: a relation in our words, what we have of it, what has to be done."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


class Conflict(Exception):
    """Another transaction has just made the same customer: roll back and merge again."""


class Row(NamedTuple):
    """One relation (guide, customer) in our words; `seen_at`: when WeCom said so."""

    staff_id: int
    external_userid: str
    name: str
    avatar: str
    gender: int
    kind: int
    corp_name: str
    unionid: str
    phones: tuple[str, ...]
    remark: str
    description: str
    added_at: datetime
    add_way: int
    state: str
    tag_ids: tuple[str, ...]
    seen_at: datetime

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

    def add(self, counts: dict[str, int]) -> dict[str, int]:
        """Totals so far plus this merge."""
        return {name: counts.get(name, 0) + value for name, value in vars(self).items()}


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


@dataclass
class Plan:
    """Rows by what has to be done with them."""

    known: list[tuple[Row, Known]] = field(default_factory=list)
    met: list[tuple[Row, int]] = field(default_factory=list)  # contact known, relation new
    strangers: list[Row] = field(default_factory=list)
    profiles: dict[int, tuple] = field(default_factory=dict)  # contact id → what we have
    unionids: dict[str, int] = field(default_factory=dict)  # unionid → contact id that has it


def person_of(row: Row) -> str:
    """What makes strangers of one batch one person; an external_userid never looks like a unionid."""
    return row.unionid or row.external_userid
