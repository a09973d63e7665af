"""Kinds of nodes and their parameters, as tables: the palette, the forms and the checks are made from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

# How a parameter is written: `shape.READERS` reads the plain ones; those of NAMED the brand has to know
# (services/graphs/graph_checks.py): tags, segment, codes, field, condition, text, attachments …
TEXT, LONG, INT, BOOL, CHOICE, TIME, DATE, WEEKDAYS = (
    "text",
    "long",
    "int",
    "bool",
    "choice",
    "time",
    "date",
    "weekdays",
)
EVENT, FILTERS, CONDITION, CASES, SHARES, EVENTS = (
    "event",
    "filters",
    "condition",
    "cases",
    "shares",
    "events",
)
TAGS, SEGMENT, CODES, FIELD, VALUE, DATE_FIELD, CONTENT, ATTACHMENTS, MESSAGE, URL, OBJECT = (
    "tags",
    "segment",
    "codes",
    "field",
    "value",
    "date_field",
    "content",
    "attachments",
    "message",
    "url",
    "object",
)
GROUP_CODE = "group_code"


@dataclass(frozen=True)
class Param:
    """One parameter of a node.

    Attributes:
        of: how it is written, one of the words above.
        when: shown, read and needed only where another parameter has one of some values.
        needed: a graph without it cannot be published.
        least, most: of a number.
    """

    name: str
    of: str
    label: Any
    needed: bool = True
    default: Any = None
    choices: tuple[tuple[str, Any], ...] = ()
    when: tuple[str, tuple[Any, ...]] | None = None
    least: int = 0
    most: int = 1_000_000
    help: Any = ""

    def holds_for(self, node: Any) -> bool:
        """Whether the node has this parameter, by the values of its others."""
        return self.when is None or node.get(self.when[0]) in self.when[1]


@dataclass(frozen=True)
class Kind:
    """A kind of node.

    Attributes:
        outs: its ways out; empty for `end`; branch and split have one for each of their parts.
        group: where it stands in the palette.
        slot: it works once another part of the product has it; see services/journeys/slots.py.
    """

    key: str
    label: Any
    group: Any
    params: tuple[Param, ...]
    outs: tuple[str, ...] = ("next",)
    help: Any = ""
    slot: bool = False


_FLOW, _REACH, _DATA = _("Flow"), _("Reach"), _("Data")
UNITS = (("minutes", _("minutes")), ("hours", _("hours")), ("days", _("days")))
TASK_KINDS = (
    ("call", pgettext_lazy("task of a guide", "Call")),
    ("thank", _("Thank")),
    ("visit", pgettext_lazy("task of a guide", "Visit")),
    ("message", _("Write a message")),
    ("other", _("Something else")),
)
_IN, _EVENT_IN = ("by", ("event",)), ("mode", ("event",))

ENTRY = Kind(
    "entry", _("Entry"), _FLOW, help=_("Who comes in, and when"),
    params=(
        Param("by", CHOICE, _("Comes in by"), default="hand", choices=(
            ("hand", _("By hand")), ("event", _("Something happens")), ("segment", _("Enters a segment")),
            ("date", _("A date of the customer")), ("code", _("Channel code")))),
        Param("event", EVENT, _("Event"), when=_IN),
        Param("filters", FILTERS, _("Only if"), needed=False, when=_IN),
        Param("segment_id", SEGMENT, _("Segment"), when=("by", ("segment",))),
        Param("present", BOOL, _("Also those who are in it when the SOP is switched on"), needed=False,
              default=False, when=("by", ("segment",))),
        Param("date_field", DATE_FIELD, _("Date"), when=("by", ("date",))),
        Param("yearly", BOOL, _("Every year"), needed=False, default=True, when=("by", ("date",))),
        Param("offset_days", INT, _("Days after (negative: before)"), default=0, least=-365, most=365, when=("by", ("date",))),
        Param("time", TIME, _("At"), default="10:00", when=("by", ("date",))),
        Param("code_ids", CODES, _("Channel codes"), when=("by", ("code",))),
        Param("condition", CONDITION, _("Only customers for whom"), needed=False),
    ),
)  # fmt: skip
WAIT = Kind(
    "wait", _("Wait"), _FLOW, help=_("For a time, until a moment, or until something happens"),
    params=(
        Param("mode", CHOICE, _("Wait"), default="for", choices=(
            ("for", _("For a time")), ("time", _("Until a time of day")), ("day", _("Until a day after coming in")),
            ("date", _("Until a date")), ("event", _("Until something happens")))),
        Param("event", EVENT, _("Event"), when=_EVENT_IN),
        Param("filters", FILTERS, _("Only if"), needed=False, when=_EVENT_IN),
        Param("n", INT, _("How long"), default=1, least=1, most=3650, when=("mode", ("for", "event")),
              help=_("When something is waited for: at most so long")),
        Param("unit", CHOICE, _("Unit"), default="days", choices=UNITS, when=("mode", ("for", "event"))),
        Param("day", INT, _("Day after coming in (0: that day)"), default=1, least=0, most=3650, when=("mode", ("day",))),
        Param("date", DATE, _("Date"), when=("mode", ("date",))),
        Param("weekdays", WEEKDAYS, _("On these weekdays"), needed=False, default=(), when=("mode", ("time",))),
        Param("time", TIME, _("At"), default="10:00", when=("mode", ("time", "day", "date"))),
        Param("then", TIME, _("Then until"), needed=False, default="", when=("mode", ("for",)),
              help=_("The first such time of day after it; empty: at once")),
    ),
)  # fmt: skip
BRANCH = Kind(
    "branch", _("Branch"), _FLOW, outs=("yes", "no"), help=_("Different ways for different customers"),
    params=(
        Param("mode", CHOICE, _("Ways"), default="yes_no", choices=(("yes_no", _("Yes or no")), ("cases", _("Several")))),
        Param("condition", CONDITION, _("Yes if"), when=("mode", ("yes_no",))),
        Param("cases", CASES, _("Cases"), when=("mode", ("cases",)), help=_("The first that holds; “else” for all others")),
    ),
)  # fmt: skip
SPLIT = Kind(
    "split", _("Random split"), _FLOW, outs=(), help=_("By chance that stays the same for a customer"),
    params=(Param("shares", SHARES, _("Shares"), help=_("Per cent, 100 together")),),
)  # fmt: skip
END = Kind("end", _("End"), _FLOW, (), outs=(), help=_("The journey ends"))
_WHAT = (
    Param("content_id", CONTENT, _("From the library"), needed=False),
    Param("text", MESSAGE, _("Text"), needed=False, default=""),
    Param("attachments", ATTACHMENTS, _("Attachments"), needed=False, default=()),
)
TOUCH = Kind("touch", _("Message"), _REACH, _WHAT, help=_("Through the customer's guide, under governance"))
MOMENTS = Kind(
    "moments", _("Moments"), _REACH, _WHAT, slot=True, help=_("In the moments of the customer's guide")
)
TASK = Kind(
    "task", _("Task for the guide"), _REACH, help=_("Something to do by a deadline"),
    params=(
        Param("task_kind", CHOICE, _("Kind"), default="call", choices=TASK_KINDS),
        Param("subject", TEXT, _("Title"), most=80),
        Param("note", LONG, _("What to do"), needed=False, default="", most=1000),
        Param("due_hours", INT, _("To be done within hours"), default=24, least=1, most=24 * 60),
    ),
)  # fmt: skip
COUPON = Kind(
    "coupon", _("Coupon"), _REACH, (Param("object_id", OBJECT, _("Coupon"), needed=False),), slot=True
)
GROUP = Kind(
    "group",
    _("Invite into a group"),
    _REACH,
    (
        Param("group_code_id", GROUP_CODE, _("Group code")),
        Param("text", MESSAGE, _("Text"), needed=False, default=""),
    ),
    help=_("A message with the picture of a group code, under governance"),
    slot=True,
)
TAG = Kind(
    "tag", _("Tags"), _DATA, help=_("Put on and take off"),
    params=(
        Param("add_tag_ids", TAGS, _("Put on"), needed=False, default=()),
        Param("remove_tag_ids", TAGS, _("Take off"), needed=False, default=()),
    ),
)  # fmt: skip
SET_FIELD = Kind(
    "field", _("Set a field"), _DATA,
    params=(Param("field", FIELD, _("Field")), Param("value", VALUE, pgettext_lazy("of a field", "Value"), most=200)),
)  # fmt: skip
HOOK = Kind(
    "hook", _("Web hook"), _DATA, help=_("Tells a system of yours; signed, and repeated until it answers"),
    params=(Param("url", URL, _("Address"), most=500),),
)  # fmt: skip

KINDS: dict[str, Kind] = {
    kind.key: kind
    for kind in (ENTRY, WAIT, BRANCH, SPLIT, END, TOUCH, TASK, MOMENTS, COUPON, GROUP, TAG, SET_FIELD, HOOK)
}
MESSAGES = (
    "touch",
    "group",
)  # kinds that send a message to the customer, each known to the ledger by a row of SopStep
HELD_BY_HOURS = ("touch", "moments", "task", "coupon", "group")  # kinds that business hours hold

# Parameters of the whole, under "settings"
SETTINGS: tuple[Param, ...] = (
    Param("reentry", CHOICE, _("Re-entry"), default="never", choices=(
        ("never", _("Never")), ("after", _("After some days")), ("always", _("Always, one at a time")))),
    Param("reentry_days", INT, _("Days after leaving"), default=30, least=1, most=3650, when=("reentry", ("after",))),
    Param("goals", EVENTS, _("Goals"), needed=False, default=(), help=_("Whoever reaches one leaves at once")),
    Param("exits", EVENTS, _("Exits"), needed=False, default=(), help=_("Whoever fulfils one leaves at once")),
    Param("hours", BOOL, _("Only within business hours"), needed=False, default=False,
          help=_("Messages and tasks wait for them")),
    Param("hours_from", TIME, _("From"), default="09:00", when=("hours", (True,))),
    Param("hours_until", TIME, _("until"), default="21:00", when=("hours", (True,))),
    Param("hours_days", WEEKDAYS, _("On these weekdays"), needed=False, default=(), when=("hours", (True,))),
    Param("late", CHOICE, _("A message that comes too late"), default="skip", choices=(
        ("send", _("is sent all the same")), ("skip", _("is left out")),
        ("shift", _("is sent, and all that follows is shifted")))),
    Param("late_hours", INT, _("Too late after hours"), default=72, least=1, most=24 * 30),
)  # fmt: skip


def outs_of_parts(parts: Sequence[Any]) -> tuple[str, ...]:
    """Keys of cases or shares."""
    return tuple(str(part.get("key", "")) for part in parts if isinstance(part, dict))
