"""The form of a hand-over: what a person gives, read into the words of the services; pure but for the rows that
fill its lists."""

from dataclasses import dataclass, field
from typing import Any

from handover.services.choosing import Choice, read_list
from handover.services.runs import Share
from scrm.errors import InvalidError
from scrm.ids import read_id, read_ids

_FILTERS = ("tag", "all", "code", "since", "until", "dnc")


@dataclass
class Given:
    """What the form holds, as given; kept when it comes back with errors."""

    customers: str = "all"
    groups: str = "none"
    segment: str = ""
    filters: dict[str, Any] = field(default_factory=dict)
    listed: str = ""
    chats: list[int] = field(default_factory=list)
    receivers: list[Share] = field(default_factory=list)
    message: str = ""
    errors: dict[str, str] = field(default_factory=dict)

    def choice(self) -> Choice:
        return Choice(
            customers=self.customers,
            groups=self.groups,
            filters=self.filters if self.customers == "filter" else {},
            segment_id=read_id(self.segment) if self.customers == "segment" else None,
            listed=read_list(self.listed) if self.customers == "list" else (),
            chat_ids=tuple(self.chats) if self.groups == "list" else (),
        )

    def refuse(self, error: InvalidError) -> None:
        """Errors beside their fields; what belongs to none stands on top."""
        self.errors = {name: str(text) for name, text in error.details.get("fields", {}).items()}
        if not self.errors:
            self.errors = {"": str(error)}


def read(data: Any) -> Given:
    """A form as a browser sends it (QueryDict)."""
    filters = {name: data.get(f"f_{name}", "") for name in _FILTERS if data.get(f"f_{name}")}
    if tags := read_ids(data, "f_tag"):
        filters["tag"] = tags
    return Given(
        customers=data.get("customers", "all"),
        groups=data.get("groups", "none"),
        segment=data.get("segment", ""),
        filters=filters,
        listed=data.get("listed", "")[:200_000],
        chats=read_ids(data, "chat"),
        receivers=[
            Share(staff_id, read_id(data.get(f"weight_{staff_id}")) or 1)
            for staff_id in read_ids(data, "receiver")
        ],
        message=data.get("message", ""),
    )
