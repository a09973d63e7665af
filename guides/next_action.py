"""The next best action for one customer: stated rules in a stated order, each with its reason. Pure."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.utils.translation import gettext as _

CART_DAYS = 7
DUE_AHEAD_DAYS, DUE_AFTER_DAYS = 7, 45  # around the expected next order
NEW_DAYS = 3
WORDS = ("hello", "cart", "repurchase", "again")  # the values of content.models.Content.Occasion
SILENT_DAYS = 30


@dataclass(frozen=True)
class Facts:
    """What the rules look at; moments are aware, dates the brand's."""

    now: datetime
    today: date
    is_lost: bool = False
    do_not_contact: bool = False
    task: str = ""  # title of the most urgent open task of this guide about the customer
    task_due_at: datetime | None = None
    cart_at: datetime | None = None  # last put into the cart within a week
    cart_product: str = ""
    bought_at: datetime | None = None
    next_order_on: date | None = None
    added_at: datetime | None = None
    spoken_at: datetime | None = None  # when somebody of the brand last wrote, called or noted


@dataclass(frozen=True)
class Action:
    """What to do and why."""

    kind: str  # lost, silent_please, task, cart, repurchase, hello, again, none
    title: str
    reason: str
    look: str = "info"  # ok, info, warn, bad, muted

    @property
    def has_words(self) -> bool:
        """Whether it is done by writing: scripts of the library may say for it that they fit (Content.Occasion)."""
        return self.kind in WORDS


def next_action(facts: Facts) -> Action:
    """The first rule that holds."""
    for rule in RULES:
        if (found := rule(facts)) is not None:
            return found
    return Action("none", _("Nothing is due"), _("No task, no cart, and you have spoken lately."), "muted")


def _lost(facts: Facts) -> Action | None:
    if not facts.is_lost:
        return None
    return Action(
        "lost", _("Cannot be written to"), _("This customer is not among your contacts any more."), "bad"
    )


def _late_task(facts: Facts) -> Action | None:
    if facts.task_due_at is None or facts.task_due_at > facts.now:
        return None
    reason = (
        _("The deadline was %(days)s days ago")
        if _days(facts, facts.task_due_at)
        else _("The deadline is over")
    )
    return Action("task", facts.task, reason % {"days": _days(facts, facts.task_due_at)}, "bad")


def _silence_please(facts: Facts) -> Action | None:
    if not facts.do_not_contact:
        return None
    return Action(
        "silent_please",
        _("Answer, but do not write first"),
        _("The customer does not want to be contacted."),
        "warn",
    )


def _cart(facts: Facts) -> Action | None:
    if facts.cart_at is None or _days(facts, facts.cart_at) > CART_DAYS:
        return None
    if facts.bought_at is not None and facts.bought_at >= facts.cart_at:
        return None
    title = _("Ask about %(product)s") % {"product": facts.cart_product or _("the cart")}
    return Action(
        "cart",
        title,
        _("In the cart since %(days)s days, not bought") % {"days": _days(facts, facts.cart_at)},
    )


def _repurchase(facts: Facts) -> Action | None:
    if facts.next_order_on is None:
        return None
    left = (facts.next_order_on - facts.today).days
    if not -DUE_AFTER_DAYS <= left <= DUE_AHEAD_DAYS:
        return None
    words: dict[str, Any] = {"on": facts.next_order_on.isoformat(), "days": abs(left)}
    if left >= 0:
        reason = _("Expected to buy again on %(on)s, in %(days)s days") % words
    else:
        reason = _("Was expected to buy again on %(on)s, %(days)s days ago") % words
    return Action("repurchase", _("Remind of the next purchase"), reason)


def _open_task(facts: Facts) -> Action | None:
    if facts.task_due_at is None:
        return None
    return Action("task", facts.task, _("Your task, and it is not done yet"))


def _hello(facts: Facts) -> Action | None:
    if facts.added_at is None or facts.spoken_at is not None or _days(facts, facts.added_at) > NEW_DAYS:
        return None
    return Action("hello", _("Say hello"), _("New, and nobody has written yet"), "ok")


def _again(facts: Facts) -> Action | None:
    last = facts.spoken_at or facts.added_at
    if last is None or _days(facts, last) < SILENT_DAYS:
        return None
    return Action(
        "again",
        _("Get in touch again"),
        _("Nobody has spoken for %(days)s days") % {"days": _days(facts, last)},
    )


def _days(facts: Facts, moment: datetime) -> int:
    return max(0, (facts.now - moment).days)


RULES = (_lost, _late_task, _silence_please, _cart, _repurchase, _open_task, _hello, _again)
