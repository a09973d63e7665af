"""Each event as a sentence for people: one table, EventType → icon, tone and words.

The customer is the subject of every sentence. `%(staff)s` is the guide's name, the rest comes from the
event's data.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from contacts import hooks
from contacts.models import BehaviourKind, Event, EventType
from org.models import Staff
from scrm.templatetags.scrm import yuan

T = EventType

# EventType → (lucide icon, tone of frame.css, sentence)
SENTENCES: dict[EventType, tuple[str, str, Any]] = {
    T.ADDED: ("user-plus", "ok", _("Added %(staff)s")),
    T.ADDED_AGAIN: ("user-check", "ok", _("Added %(staff)s again")),
    T.HALF_ADDED: ("user-plus", "info", _("Asked to add %(staff)s, who has not confirmed yet")),
    T.LOST_BY_CUSTOMER: ("user-minus", "bad", _("Deleted %(staff)s")),
    T.LOST_BY_STAFF: ("user-x", "bad", _("Was deleted by %(staff)s")),
    T.TRANSFERRED: ("arrow-right-left", "muted", _("Was handed over by %(staff)s to %(to)s")),
    T.GONE: ("user-x", "warn", _("Was not found among the customers of %(staff)s any more")),
    T.HANDOVER_ASKED: ("arrow-right-left", "info", _("Is being handed over by %(staff)s to %(to)s")),
    T.HANDOVER_FAILED: ("arrow-right-left", "warn", _("Was not handed over by %(staff)s to %(to)s")),
    T.TAGGED: ("tag", "info", _("Got the tag %(tag)s")),
    T.UNTAGGED: ("tag", "muted", _("Lost the tag %(tag)s")),
    T.REMARKED: ("pencil", "muted", _("%(staff)s changed the remark from “%(before)s” to “%(after)s”")),
    T.MERGED: ("git-merge", "info", _("Was joined with another record, %(name)s")),
    T.PARTED: ("git-branch", "info", _("%(by)s said that this and %(name)s are two people")),
    T.DO_NOT_CONTACT: ("bell-off", "warn", _("Was put on do-not-contact by %(by)s")),
    T.LIFECYCLE_CHANGED: (
        "trending-up",
        "info",
        _("Moved from “%(before)s” to “%(after)s” in the lifecycle"),
    ),
    T.WELCOMED: ("message-circle-heart", "ok", _("Received the welcome of %(staff)s")),
    T.WELCOME_FAILED: ("message-circle-off", "warn", _("Did not receive the welcome of %(staff)s")),
    T.TOUCH_SENT: ("send", "ok", _("Received a message of SOP %(sop)s from %(staff)s")),
    T.TOUCH_FAILED: ("circle-alert", "bad", _("A message of SOP %(sop)s was not delivered")),
    T.TOUCH_BLOCKED: ("shield", "warn", _("A message of SOP %(sop)s was held back")),
    T.TOUCH_HANDED: ("hourglass", "info", _("A message of SOP %(sop)s waits for %(staff)s to send it")),
    T.SOP_ENTERED: ("route", "info", _("Entered SOP %(sop)s")),
    T.SOP_ENDED: ("flag", "muted", _("Left SOP %(sop)s")),
    T.NOTE: ("sticky-note", "muted", _("Note by %(by)s")),
    T.REMINDER_DONE: ("circle-check", "ok", _("%(by)s has done what the reminder said")),
    T.STAGE_CHANGED: ("milestone", "info", _("%(by)s moved the stage from “%(before)s” to “%(after)s”")),
    T.FIELD_CHANGED: ("pencil", "muted", _("%(by)s changed %(field)s from “%(before)s” to “%(after)s”")),
    T.ORDER_PAID: ("shopping-bag", "ok", _("Bought for %(money)s")),
    T.ORDER_REFUNDED: ("undo-2", "warn", _("Got %(money)s back")),
    T.GROUP_JOINED: ("messages-square", "ok", _("Joined the group %(group)s")),
    T.GROUP_LEFT: ("door-open", "warn", _("Left the group %(group)s")),
    T.WORD_SAID: ("message-square-quote", "info", _("Said “%(word)s”")),
    T.OPENED: ("mouse-pointer-click", "info", _("Opened “%(page)s”")),
    T.READ: ("book-open", "info", _("Read “%(page)s” for %(seconds)s s")),
    T.SHARED: ("share-2", "ok", _("Shared “%(page)s”")),
    T.TASK_GIVEN: ("list-todo", "info", _("%(staff)s has a task: %(title)s")),
    T.TASK_DONE: ("circle-check", "ok", _("%(staff)s has done a task: %(title)s")),
    T.TASK_MISSED: ("clock-alert", "warn", _("%(staff)s did not do a task in time: %(title)s")),
    T.ALERTED: ("bell-ring", "muted", _("%(staff)s was alerted: %(title)s")),
    T.TASK_LATER: ("clock", "muted", _("%(staff)s has put a task off: %(title)s")),
    T.LEAD_ADDED: ("user-check", "ok", _("Has been added from the list “%(title)s”")),
    T.FORM_ANSWERED: ("clipboard-check", "info", _("Answered the form “%(title)s”")),
    T.COUPON_USED: ("ticket-check", "ok", _("Used the coupon “%(title)s”")),
    T.MOMENT_LIKED: ("thumbs-up", "ok", _("Liked the moment “%(title)s” of %(staff)s")),
    T.MOMENT_COMMENTED: ("message-square-text", "ok", _("Commented on the moment “%(title)s” of %(staff)s")),
    T.VIEWED: ("eye", "muted", _("Viewed %(product)s")),
    T.FAVOURITED: ("heart", "info", _("Kept %(product)s as a favourite")),
    T.CARTED: ("shopping-cart", "info", _("Put %(product)s into the cart")),
    T.CHECKED_OUT: ("credit-card", "info", _("Began to pay for %(product)s")),
    T.SEARCHED: ("search", "muted", _("Searched for “%(query)s”")),
    T.CUSTOM: ("sparkles", "muted", "%(kind)s"),
}

# the same of a broadcast
BROADCASTS: dict[EventType, Any] = {
    T.TOUCH_SENT: _("Received broadcast %(broadcast)s from %(staff)s"),
    T.TOUCH_FAILED: _("Broadcast %(broadcast)s was not delivered"),
    T.TOUCH_BLOCKED: _("Broadcast %(broadcast)s was held back"),
    T.TOUCH_HANDED: _("Broadcast %(broadcast)s waits for %(staff)s to send it"),
}

# groups of the filter above the timeline: key → (label, types)
GROUPS: dict[str, tuple[Any, list[EventType]]] = {
    "follow": (_("Guides"), [t for t in T if t <= T.HANDOVER_FAILED]),
    "touches": (_("Messages"), [t for t in T if T.WELCOMED <= t <= T.TOUCH_HANDED]),
    "sops": (_("SOPs"), [T.SOP_ENTERED, T.SOP_ENDED]),
    "tags": (_("Tags"), [T.TAGGED, T.UNTAGGED]),
    "groups": (_("Groups"), [T.GROUP_JOINED, T.GROUP_LEFT, T.WORD_SAID]),
    "orders": (_("Orders"), [T.ORDER_PAID, T.ORDER_REFUNDED]),
    "content": (_("Content"), [t for t in T if T.OPENED <= t <= T.MOMENT_COMMENTED]),
    "tasks": (_("Tasks"), [t for t in T if T.TASK_GIVEN <= t <= T.TASK_LATER]),
    "behaviour": (_("Behaviour"), [t for t in T if T.VIEWED <= t <= T.CUSTOM]),
    "profile": (
        _("Profile"),
        [
            T.REMARKED,
            T.MERGED,
            T.PARTED,
            T.DO_NOT_CONTACT,
            T.STAGE_CHANGED,
            T.FIELD_CHANGED,
            T.LIFECYCLE_CHANGED,
        ],
    ),
    "notes": (_("Notes"), [T.NOTE, T.REMINDER_DONE]),
}

# what their sentence says already of where they came from
BY_HAND = (T.NOTE, T.PARTED, T.DO_NOT_CONTACT, T.REMARKED, T.REMINDER_DONE, T.STAGE_CHANGED, T.FIELD_CHANGED)

# stored words of why a message was not delivered (the names of campaigns' Touch.Reason, in lower case), how a task ended
# and why it was put off (`task_` before the values of campaigns' StaffTask.Outcome and TaskDelay.Why)
REASONS: dict[str, Any] = {
    "do_not_contact": _("Customer is on do-not-contact"),
    "capped": _("Cap of touches reached"),
    "not_followed": _("No guide has this customer any more"),
    "too_late": _("The step came too late"),
    "wecom_limit": _("Customer already received the mass messages that WeCom allows"),
    "not_friend": _("Not a friend any more when the guide sent it"),
    "refused": _("WeCom refused it"),
    "expired": _("WeCom's 20 seconds were over"),
    "no_code": _("WeCom gave no welcome code"),
    "already_welcomed": _("Another welcome was already delivered"),
    "too_often": _("Handed over twice in 90 days already"),
    "pending": _("Is being handed over already"),
    "receiver_full": _("The receiver has as many customers as WeCom allows"),
    "not_theirs": _("Is not a customer of this member any more"),
    "no_record": _("WeCom has no record of this hand-over"),
    "refused_by_customer": _("The customer refused"),
    "refused_kind": _("The customer does not want messages of this kind"),
    "no_contact_rule": _("A do-not-contact rule holds for this customer"),
    "too_soon": _("Too soon after another touch"),
    "allowance": _("WeCom's allowance for this customer is used up"),
    "outranked": _("A campaign of higher priority needed the place"),
    "guide_busy": _("The guide has enough to do on that day"),
    "left_sop": _("The customer had left the SOP before it went out"),
    "joined": _("Joined with a record that gets the same message"),
    "content": _("The content may not be sent any more"),
    "brand_hold_out": _("Brand's hold-out group: gets no campaign, to measure what they all do"),
    "hold_out": _("Hold-out group: gets nothing, to measure the effect"),
    "task_reached": pgettext_lazy("how a task ended", "Reached"),
    "task_agreed": pgettext_lazy("how a task ended", "Agreed"),
    "task_declined": pgettext_lazy("how a task ended", "Not interested"),
    "task_unreached": _("Not reached"),
    "task_busy": _("Had no time"),
    "task_asked": _("Asked to be called again"),
    "wave_condition": _("The condition of the wave does not hold"),
}

ENDS: dict[str, Any] = {
    "done": _("All steps done"),
    "lost": _("Customer lost"),
    "removed": _("Taken out by hand"),
    "sop": _("SOP ended"),
    "goal": _("Goal reached"),
    "exit": _("An exit held"),
    "version": _("Not in the new version"),
}

# stored words of where a tag or event came from
SOURCES: dict[str, Any] = {
    "callback": _("told by WeCom"),
    "wecom": _("in the WeCom client"),
    "sync": _("found by the sync"),
    "page": _("in the dashboard"),
    "api": _("through the API"),
    "sop": _("by an SOP"),
    "import": _("by an import"),
    "waiting": _("had waited for this customer"),
    "expiry": _("its time was over"),
    "rule": _("by an automatic rule"),
    "computed": _("computed"),
    "selection": _("in the dashboard"),
    "filter": _("for a filter"),
    "segment": _("for a segment"),
    "file": _("by a file"),
    "merge": _("by a merge of tags"),
    "undo": _("an act was taken back"),
    "welcome": "",
    "direct": "",
    "handover": "",
}


@dataclass(frozen=True)
class Line:
    """One event as the timeline shows it.

    Attributes:
        detail: a quoted text (message, note) or a reason; may be empty.
        source: where it came from, in words; may be empty.
    """

    event: Event
    icon: str
    tone: str
    text: str
    detail: str
    source: str


@dataclass(frozen=True)
class Names:
    """Names that sentences need, looked up once for all."""

    staff: Mapping[int, str]
    codes: Mapping[int, str]
    products: Mapping[int, str]
    orders: Mapping[int, str]  # what was bought
    kinds: Mapping[int, str]  # of behaviour, the brand's own
    whys: Mapping[str, str]  # why tags came or went


def names_of(events: Iterable[Event]) -> Names:
    """Names for some events: a query for each kind of thing that they name."""
    events = list(events)
    staff_ids = {e.staff_id for e in events if e.staff_id}
    code_ids = {e.object_id for e in events if e.type <= T.GONE and e.object_id}
    code_ids |= {code_id for e in events if (code_id := code_of(str(e.data.get("why") or "")))}
    staff = dict(Staff.objects.filter(pk__in=staff_ids).values_list("pk", "name"))
    kind_ids = _objects(events, [T.CUSTOM])
    kinds = BehaviourKind.objects.filter(pk__in=kind_ids).values_list("pk", "label") if kind_ids else ()
    return Names(
        staff,
        hooks.code_names(code_ids),
        hooks.product_names(_objects(events, [T.VIEWED, T.FAVOURITED, T.CARTED, T.CHECKED_OUT])),
        hooks.order_words(_objects(events, [T.ORDER_PAID, T.ORDER_REFUNDED])),
        dict(kinds),
        hooks.tag_whys(str(e.data.get("why") or "") for e in events if e.type in (T.TAGGED, T.UNTAGGED)),
    )


def _objects(events: Iterable[Event], types: Iterable[EventType]) -> set[int]:
    wanted = set(types)
    return {e.object_id for e in events if e.type in wanted and e.object_id}


def lines(events: Iterable[Event]) -> list[Line]:
    """Events as sentences, in the reader's language, one for each; a constant number of queries."""
    events = list(events)
    names = names_of(events)
    return [_line(event, names) for event in events]


def _line(event: Event, names: Names) -> Line:
    kind = EventType(event.type)
    icon, tone, words = SENTENCES[kind]
    keys = (
        "tag", "before", "after", "name", "by", "sop", "to", "group", "field", "query", "product", "kind",
        "word",
        "page", "seconds", "title", "broadcast",
    )  # fmt: skip
    values = dict.fromkeys(keys, "—")
    values |= {key: str(value) or "—" for key, value in event.data.items() if isinstance(value, (str, int))}
    values["staff"] = names.staff.get(event.staff_id or 0) or str(_("a guide"))
    if kind in (T.TRANSFERRED, T.HANDOVER_FAILED) and not event.data.get("to"):
        values["to"] = str(_("another guide"))
    if kind == T.DO_NOT_CONTACT and not event.data.get("value"):
        icon, tone, words = "bell", "ok", _("Was taken off do-not-contact by %(by)s")
    if event.data.get("broadcast") and kind in BROADCASTS:
        words = BROADCASTS[kind]
    if event.data.get("direct") and kind == T.TOUCH_SENT:
        words = _("Received a message from %(staff)s in the chat")
    if kind == T.TASK_LATER and event.data.get("taken_back"):
        words = _("%(staff)s did not put it off after all: %(title)s")
    if kind == T.COUPON_USED and not event.data.get("title"):
        values["title"] = str(event.data.get("code") or "—")
    values["money"] = yuan(event.data.get("amount_fen"))
    values["product"] = names.products.get(event.object_id or 0) or values["product"]
    values["kind"] = names.kinds.get(event.object_id or 0) or str(kind.label)
    code = names.codes.get(event.object_id or 0) if kind in (T.ADDED, T.ADDED_AGAIN, T.HALF_ADDED) else None
    if code:
        words = {
            T.ADDED: _("Added %(staff)s through %(code)s"),
            T.ADDED_AGAIN: _("Added %(staff)s again through %(code)s"),
            T.HALF_ADDED: _("Asked to add %(staff)s through %(code)s, who has not confirmed yet"),
        }[kind]
        values["code"] = code
    return Line(event, icon, tone, str(words) % values, _detail(kind, event, names), _source(event, names))


def _detail(kind: EventType, event: Event, names: Names) -> str:
    data = event.data
    shown = ("text",) if kind in (T.OPENED, T.READ, T.SHARED) else ("text", "page", "result")
    parts = [str(data[key]) for key in shown if data.get(key)]
    if kind in (T.ORDER_PAID, T.ORDER_REFUNDED):
        words = (names.orders.get(event.object_id or 0), data.get("order_no"))
        parts += [str(word) for word in words if word]
    if reason := data.get("reason"):
        parts.append(str(REASONS.get(reason, reason)))
    if data.get("until"):
        parts.append(_("until %(when)s") % {"when": data["until"]})
    if data.get("error"):
        parts.append(str(data["error"]))
    if kind == T.SOP_ENDED and data.get("end"):
        parts.append(str(ENDS.get(data["end"], data["end"])))
    if kind == T.MERGED and data.get("unionid"):
        parts.append(str(_("Both have the same unionid")))
    elif kind == T.MERGED and data.get("by"):
        parts.append(_("%(by)s knew both for one person") % {"by": data["by"]})
    return " · ".join(parts)


def _source(event: Event, names: Names) -> str:
    if event.type in (T.TAGGED, T.UNTAGGED):
        who = names.staff.get(event.staff_id or 0, "")
        return " · ".join(
            part
            for part in (who, source_words(event.data.get("why") or event.source, names.codes, names.whys))
            if part
        )
    if event.type in BY_HAND or event.source in ("sop", "broadcast", "welcome", "value"):
        return ""
    return str(SOURCES.get(event.source, event.source))


def code_of(source: str) -> int | None:
    """The channel code in a source such as `channel_code:7`."""
    kind, _colon, number = source.partition(":")
    return int(number) if kind == "channel_code" and number.isdecimal() else None


def source_words(source: str, codes: Mapping[int, str], whys: Mapping[str, str] | None = None) -> str:
    """Why a tag is there, in words: `channel_code:7`, `rule:3`, `page`, `wecom` …; codes: names by id; whys: words of
    what tags know themselves (hooks.tag_whys)."""
    if code_id := code_of(source):
        name = codes.get(code_id)
        return str(_("by channel code %(name)s") % {"name": name}) if name else str(_("by a channel code"))
    if whys and source in whys:
        return whys[source]
    kind = source.partition(":")[0]
    return str(SOURCES.get(kind, source))
