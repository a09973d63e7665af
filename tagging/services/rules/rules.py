"""自动标签规则 as people make them: create, change, put in order, switch on and off, delete."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from contacts.services import outbox
from org import audit
from org.access import Actor
from org.models import Job
from scrm import clock
from scrm.errors import ConflictError, InvalidError
from tagging import rule_events
from tagging.models import ComputedTag, TagRule, TagRuleBits
from tagging.services.rules import rule_preview, rule_runs
from tagging.services.rules.reacting import READER, has_work
from tagging.services.rules.rule_graph import refuse_circles
from tagging.services.segments import audience
from tagging.services.tags import mass
from tenants.models import Brand

MAX_RULES = 200
MAX_TAGS = 20
MAX_WINDOW = 730
FIELDS = (
    "name", "kind", "event", "filters", "window_days", "n_at_least", "amount_at_least_fen", "condition",
    "keeps_in_step", "add_tag_ids", "remove_tag_ids", "expires_days",
)  # fmt: skip


class NeedsYes(ConflictError):
    """The rule would hit so many that somebody has to say yes; `details` hold n_match, n_people, n_everybody, share."""

    code = "confirm"


def build(brand: Brand, values: Mapping[str, Any], rule: TagRule | None = None) -> TagRule:
    """A rule with checked values, not saved. Nothing else than FIELDS is taken.

    Raises:
        InvalidError: `fields` names what is wrong; ConditionError for the condition.
    """
    rule = rule or TagRule()
    if unknown := set(values) - set(FIELDS):
        text = _("Unknown: %(names)s") % {"names": ", ".join(sorted(unknown))}
        raise InvalidError(text, fields=dict.fromkeys(sorted(unknown), text))
    for name in FIELDS:
        if name in values:
            setattr(rule, name, values[name])
    rule.name = " ".join(str(rule.name or "").replace("\x00", "").split())
    if not 1 <= len(rule.name) <= 60:
        raise _wrong("name", _("A name of at most 60 characters is needed"))
    if rule.kind not in TagRule.Kind.values:
        raise _wrong("kind", _("Choose one of the list"))
    if rule.kind == TagRule.Kind.EVENT:
        _build_event(rule)
    else:
        rule.event, rule.filters, rule.window_days, rule.n_at_least, rule.amount_at_least_fen = (
            "",
            {},
            None,
            1,
            None,
        )
        rule.keeps_in_step = bool(rule.keeps_in_step)
        if not rule.condition:
            raise _wrong("condition", _("Choose at least one condition"))
    rule.condition = audience.read(brand, rule.condition) if rule.condition else None
    _build_tags(rule)
    return rule


def _build_event(rule: TagRule) -> None:
    event = rule_events.event_of(rule.event)
    rule.filters = rule_events.clean_filters(event, rule.filters or {})
    rule.keeps_in_step = False
    rule.window_days = _whole(rule.window_days, "window_days", 1, MAX_WINDOW)
    rule.n_at_least = _whole(rule.n_at_least, "n_at_least", 1, 10_000) or 1
    rule.amount_at_least_fen = _whole(rule.amount_at_least_fen, "amount_at_least_fen", 1, 10**12)
    if rule.amount_at_least_fen and not event.has_amount:
        raise _wrong("amount_at_least_fen", _("This event has no amount"))
    if (rule.n_at_least > 1 or rule.amount_at_least_fen) and not rule.window_days:
        raise _wrong("window_days", _("Within how many days?"))
    if rule.n_at_least == 1 and not rule.amount_at_least_fen:
        rule.window_days = None


def _build_tags(rule: TagRule) -> None:
    try:
        plus, minus = list(map(int, rule.add_tag_ids or [])), list(map(int, rule.remove_tag_ids or []))
    except (TypeError, ValueError) as error:
        raise _wrong("add_tag_ids", _("Choose one of the list")) from error
    if not plus and not minus:
        raise _wrong("add_tag_ids", _("Choose at least one tag"))
    if len(plus) + len(minus) > MAX_TAGS:
        raise _wrong("add_tag_ids", _("At most %(n)s tags in one rule") % {"n": MAX_TAGS})
    if both := set(plus) & set(minus):
        raise _wrong("remove_tag_ids", _("The same tag cannot be added and removed"), tags=sorted(both))
    for name, ids in (("add_tag_ids", plus), ("remove_tag_ids", minus)):
        try:
            mass.alive(ids)
        except InvalidError as error:
            raise _wrong(name, str(error)) from error
    kept = {b["tag_id"] for row in ComputedTag.objects.filter(deleted_at=None) for b in row.brackets}
    if kept & {*plus, *minus}:
        raise _wrong("add_tag_ids", _("A computed tag moves by itself; a rule cannot change it"))
    rule.add_tag_ids, rule.remove_tag_ids = list(dict.fromkeys(plus)), list(dict.fromkeys(minus))
    rule.expires_days = _whole(rule.expires_days, "expires_days", 1, mass.MAX_DAYS)
    if rule.expires_days and not plus:
        rule.expires_days = None


def _whole(value: Any, name: str, low: int, high: int) -> int | None:
    if value in (None, ""):
        return None
    try:
        number = int(value)
        if isinstance(value, bool) or number != float(value) or not low <= number <= high:
            raise ValueError
    except (TypeError, ValueError) as error:
        raise _wrong(
            name, _("A whole number from %(low)s to %(high)s") % {"low": low, "high": high}
        ) from error
    return number


def _wrong(name: str, text: str, **more: Any) -> InvalidError:
    return InvalidError(text, fields={name: text}, **more)


@transaction.atomic
def create(brand: Brand, *, by: Actor, values: Mapping[str, Any]) -> TagRule:
    """A new rule, switched off, behind the others.

    Raises:
        InvalidError, ConflictError: a circle, a name that is taken, too many rules.
    """
    rule = build(brand, values)
    alive = TagRule.objects.filter(deleted_at=None)
    if alive.count() >= MAX_RULES:
        raise ConflictError(_("There can be at most %(n)s rules") % {"n": MAX_RULES})
    rule.position = (alive.aggregate(last=Max("position"))["last"] or 0) + 1
    rule.created_by = by.name
    refuse_circles(brand, [*alive.filter(is_on=True), rule])
    _save(rule)
    audit.record(by, "tag_rule.create", rule, after=audit.snapshot(rule, list(FIELDS)))
    return rule


@transaction.atomic
def edit(
    brand: Brand, *, by: Actor, rule: TagRule, values: Mapping[str, Any], confirmed: bool = False
) -> TagRule:
    """Change a rule; one that is on goes on with its new words from now.

    Raises:
        as `create`; NeedsYes: it is on and would hit very many.
    """
    rule = TagRule.objects.select_for_update().get(pk=rule.pk, deleted_at=None)
    before = audit.snapshot(rule, list(FIELDS))
    rule = build(brand, values, rule)
    others = TagRule.objects.filter(deleted_at=None, is_on=True).exclude(pk=rule.pk)
    refuse_circles(brand, [*others, rule])
    if rule.is_on:
        _ask(brand, rule, by, confirmed)
        if rule.kind == TagRule.Kind.EVENT:
            rule.on_since = clock.now()
    if rule.problem:
        rule.run_at = None  # mended: the next tick goes through everybody
    rule.updated_at, rule.problem = clock.now(), ""
    _save(rule)
    audit.record(by, "tag_rule.edit", rule, before=before, after=audit.snapshot(rule, list(FIELDS)))
    return rule


def _save(rule: TagRule) -> None:
    try:
        with transaction.atomic():
            rule.save()
    except IntegrityError as error:
        text = _("There is a rule of this name already")
        raise ConflictError(text, fields={"name": text}) from error


@transaction.atomic
def switch_on(
    brand: Brand, *, by: Actor, rule: TagRule, confirmed: bool = False, past_days: int = 0
) -> Job | None:
    """Switch a rule on. One on a condition runs over everybody at once, as the job that is given; one on an event begins
    now, or (`past_days`) also with what happened in the last days.

    Raises:
        NeedsYes: it would hit more than the share that nobody wants by mistake, and `confirmed` is not set.
        ConflictError: a circle; InvalidError: something it names is gone.
    """
    rule = TagRule.objects.select_for_update().get(pk=rule.pk)
    if rule.is_on:
        return None
    rule = build(brand, {}, rule)
    refuse_circles(brand, [*TagRule.objects.filter(deleted_at=None, is_on=True), rule])
    _ask(brand, rule, by, confirmed, past_days)
    if not has_work(brand):
        outbox.begin_here(brand, READER)
    rule.is_on, rule.on_since, rule.problem = True, clock.now(), ""
    rule.save(update_fields=["is_on", "on_since", "problem", "confirmed_by"])
    TagRuleBits.objects.filter(rule_id=rule.pk).delete()
    audit.record(by, "tag_rule.on", rule, after={"confirmed": confirmed, "past_days": past_days})
    if rule.kind == TagRule.Kind.CONDITION or past_days:
        return rule_runs.start(brand, rule=rule, by=by, past_days=past_days)
    return None


def _ask(brand: Brand, rule: TagRule, by: Actor, confirmed: bool, past_days: int = 0) -> None:
    """What needs a yes has one: of this time, for the rule as it is now. An older one holds no more."""
    rule.confirmed_by = ""
    found = rule_preview.preview(brand, rule, days=past_days or rule_preview.DAYS, n_sample=0)
    if found.is_large and confirmed:
        rule.confirmed_by = by.name
    elif found.is_large:
        share = f"{found.share:.0%}"
        raise NeedsYes(
            _(
                "This rule holds for %(match)s of %(all)s customers (%(share)s) and would change %(n)s of them now. Say yes"
                " explicitly if this is meant."
            )
            % {
                "match": f"{found.n_match:,}",
                "n": f"{found.n_people:,}",
                "all": f"{found.n_everybody:,}",
                "share": share,
            },
            n_match=found.n_match,
            n_people=found.n_people,
            n_everybody=found.n_everybody,
            share=round(found.share, 4),
        )


@transaction.atomic
def switch_off(brand: Brand, *, by: Actor, rule: TagRule) -> None:
    """A rule that is off does nothing; what it did stays."""
    if TagRule.objects.filter(pk=rule.pk, is_on=True).update(is_on=False):
        rule.is_on = False
        audit.record(by, "tag_rule.off", rule)


@transaction.atomic
def delete(brand: Brand, *, by: Actor, rule: TagRule) -> None:
    """Delete a rule; what it did stays, with its name in the history."""
    if TagRule.objects.filter(pk=rule.pk, deleted_at=None).update(deleted_at=clock.now(), is_on=False):
        TagRuleBits.objects.filter(rule_id=rule.pk).delete()
        audit.record(by, "tag_rule.delete", rule)


@transaction.atomic
def reorder(brand: Brand, *, by: Actor, ids: Sequence[int]) -> None:
    """The order in which rules run: of two that contradict each other for one person the later one stands."""
    rules = {rule.pk: rule for rule in TagRule.objects.select_for_update().filter(deleted_at=None)}
    if set(ids) != set(rules) or len(ids) != len(rules):
        raise InvalidError(_("The list has changed meanwhile. Load the page again."))
    for place, rule_id in enumerate(ids, start=1):
        rules[rule_id].position = place
    TagRule.objects.bulk_update(rules.values(), ["position"])
    audit.record(by, "tag_rule.move", after={"order": [rules[n].name for n in ids]})
