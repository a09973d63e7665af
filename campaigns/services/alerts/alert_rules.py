"""行为提醒 as people set them up: rules, and how often guides are told."""

from collections.abc import Mapping
from datetime import time, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.alerting import Settings
from campaigns.models import AlertPolicy, AlertRule
from contacts.services import outbox
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tagging import rule_events
from tagging.conditions import ConditionError
from tagging.rule_events import EVENTS, RuleEvent
from tagging.services.segments import audience
from tenants.models import Brand

READER = "alerts"
MAX_RULES = 50
FIELDS = ("name", "event", "filters", "condition")
# what guides may be told of: key of EVENTS → other words, or None; lost customers are told without a rule
ALERTS: dict[str, Any] = {
    "content_opened": None,
    "content_read": None,
    "content_shared": None,
    "form_answered": None,
    "moment_liked": None,
    "moment_commented": None,
    "carted": None,
    "checked_out": None,
    "viewed": None,
    "favourited": None,
    "searched": None,
    "behaviour": None,
    "order_paid": None,
    "order_refunded": None,
    "coupon_used": None,
    "added": gettext_lazy("Scanned a code again and added a colleague"),
    "added_again": gettext_lazy("Came back and added a colleague again"),
    "group_joined": None,
    "group_left": None,
    "word_said": None,
}
# ready to use: (name, event, filters)
TEMPLATES: list[tuple[Any, str]] = [
    (gettext_lazy("Opened what I sent"), "content_opened"),
    (gettext_lazy("Put something into the cart"), "carted"),
    (gettext_lazy("Began to check out"), "checked_out"),
    (gettext_lazy("Scanned a code again"), "added"),
    (gettext_lazy("Came back"), "added_again"),
]
LIMITS = {"window_minutes": (1, 24 * 60), "per_hour": (1, 60), "keep_hours": (1, 48)}


def label_of(key: str) -> str:
    """An event in words."""
    event = EVENTS.get(key)
    return str(ALERTS.get(key) or (event.label if event else key))


def get_rule(rule_id: int, *, lock: bool = False) -> AlertRule:
    """The rule of the brand in scope.

    Raises:
        NotFoundError: missing, deleted, or another brand's.
    """
    rows = AlertRule.objects.select_for_update() if lock else AlertRule.objects.all()
    found = rows.filter(pk=rule_id, deleted_at=None).first()
    if found is None:
        raise NotFoundError()
    return found


def build(brand: Brand, values: Mapping[str, Any], rule: AlertRule | None = None) -> AlertRule:
    """A rule with checked values, not saved.

    Raises:
        InvalidError: `fields` names what is wrong; an unknown event or condition never means everything.
    """
    rule = rule or AlertRule()
    if unknown := set(values) - set(FIELDS):
        text = _("Unknown: %(names)s") % {"names": ", ".join(sorted(unknown))}
        raise InvalidError(text, fields=dict.fromkeys(sorted(unknown), text))
    given = {name: getattr(rule, name) for name in FIELDS} | dict(values)
    name = " ".join(str(given["name"] or "").replace("\x00", "").split())
    if not 1 <= len(name) <= 60:
        raise InvalidError(_("1 to 60 characters"), fields={"name": _("1 to 60 characters")})
    event = event_of(given["event"])
    rule.name, rule.event = name, event.key
    rule.filters = rule_events.clean_filters(event, given["filters"] or {})
    rule.condition = {}
    if given["condition"]:
        try:
            rule.condition = audience.read(brand, given["condition"])
        except ConditionError as error:
            raise InvalidError(str(error), fields={"condition": str(error)}) from error
    rule.problem = ""
    return rule


def event_of(key: Any) -> RuleEvent:
    """
    Raises:
        InvalidError: nothing that guides are told of.
    """
    if key not in ALERTS:
        raise InvalidError(_("Choose what happens"), fields={"event": _("Choose one of the list")})
    return rule_events.event_of(key)


@transaction.atomic
def save(brand: Brand, values: Mapping[str, Any], *, by: Actor, rule_id: int | None = None) -> AlertRule:
    """Make a rule (switched off), or change one; a change holds from the next event on.

    Raises:
        ConflictError: too many.
    """
    rule = get_rule(rule_id, lock=True) if rule_id else None
    if rule is None and AlertRule.objects.filter(deleted_at=None).count() >= MAX_RULES:
        raise ConflictError(_("At most %(n)s rules; delete one first") % {"n": MAX_RULES})
    before = audit.snapshot(rule, list(FIELDS)) if rule else {}
    rule = build(brand, values, rule)
    rule.created_by = rule.created_by or by.name
    rule.save()
    after = audit.snapshot(rule, list(FIELDS))
    audit.record(by, "alert_rule.edit" if before else "alert_rule.create", rule, before=before, after=after)
    return rule


@transaction.atomic
def switch(brand: Brand, *, rule_id: int, on: bool, by: Actor) -> AlertRule:
    """Events from now on count; a second time changes nothing."""
    rule = get_rule(rule_id, lock=True)
    if rule.is_on == on:
        return rule
    if on and not has_work():
        outbox.begin_here(brand, READER)  # what happened while nobody listened is nobody's business
    rule.is_on, rule.on_since = on, clock.now() if on else None
    rule.save(update_fields=["is_on", "on_since"])
    audit.record(by, "alert_rule.on" if on else "alert_rule.off", rule)
    return rule


@transaction.atomic
def delete(brand: Brand, *, rule_id: int, by: Actor) -> None:
    """What it told stays in the list."""
    rule = get_rule(rule_id, lock=True)
    rule.is_on, rule.deleted_at = False, clock.now()
    rule.save(update_fields=["is_on", "deleted_at"])
    audit.record(by, "alert_rule.delete", rule, before=audit.snapshot(rule, list(FIELDS)))


def live_rules() -> list[AlertRule]:
    return list(AlertRule.objects.filter(is_on=True, deleted_at=None).order_by("pk"))


def has_work() -> bool:
    """Whether anybody is to be told of anything."""
    return AlertRule.objects.filter(is_on=True, deleted_at=None).exists()


# ---- how often


def policy_of(brand: Brand) -> AlertPolicy:
    """The brand's policy; the default (not saved) where nobody has set one."""
    return AlertPolicy.objects.first() or AlertPolicy(quiet_start=time(22), quiet_end=time(8))


def settings_of(brand: Brand) -> Settings:
    row = policy_of(brand)
    return Settings(
        zone=brand.timezone,
        quiet=(row.quiet_start, row.quiet_end) if row.quiet_start and row.quiet_end else None,
        window=timedelta(minutes=row.window_minutes),
        per_hour=row.per_hour,
        keep=timedelta(hours=row.keep_hours),
    )


@transaction.atomic
def change_policy(brand: Brand, *, by: Actor, **values: Any) -> AlertPolicy:
    """Quiet hours (both or none), window_minutes, per_hour, keep_hours.

    Raises:
        InvalidError: `fields` names what is wrong.
    """
    row = AlertPolicy.objects.select_for_update().first() or policy_of(brand)
    names = ["quiet_start", "quiet_end", *LIMITS]
    before = audit.snapshot(row, names) if row.pk else {}
    wrong: dict[str, str] = {}
    for name, value in values.items():
        if name not in names:
            raise InvalidError(_("Unknown: %(names)s") % {"names": name}, fields={name: name})
        if name in LIMITS and (not isinstance(value, int) or not LIMITS[name][0] <= value <= LIMITS[name][1]):
            wrong[name] = _("Between %(a)s and %(b)s") % {"a": LIMITS[name][0], "b": LIMITS[name][1]}
        setattr(row, name, value)
    if bool(row.quiet_start) != bool(row.quiet_end):
        wrong["quiet_end"] = _("Quiet hours need a beginning and an end")
    elif row.quiet_start and row.quiet_start == row.quiet_end:
        wrong["quiet_end"] = _("Quiet hours of a whole day would tell nobody anything")
    if wrong:
        raise InvalidError(next(iter(wrong.values())), fields=wrong)
    row.save()
    audit.record(
        by, "alert_policy.edit", row, name=_("Alerts"), before=before, after=audit.snapshot(row, names)
    )
    return row
