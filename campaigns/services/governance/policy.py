"""Settings of how often and when customers may hear from the brand; the gate (gate.py) keeps them."""

from collections.abc import Sequence
from datetime import date, time
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from campaigns.governance import MAX_DAYS, CapRule
from campaigns.models import Cap, NoContactRule, Refusal, Touch, TouchPolicy
from campaigns.services.governance.gate import enter_gate
from campaigns.services.governance.rules import caps_of, policy_of
from contacts import hooks
from contacts.models import Contact
from org import audit
from org.access import SYSTEM, Actor
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from tagging.models import Tag
from tenants.models import Brand

MAX_CAPS, MAX_N, MAX_GAP_HOURS = 10, 100, 24 * 30
MAX_GUIDE_PEOPLE = 50_000  # a day through one guide
MAX_ATTRIBUTION_DAYS = 90
NIGHT = time(21), time(9)  # quiet hours of a new brand, in its zone
MAX_HOLD_OUT = 20  # per cent of all customers
CAPPED_KINDS = (0, int(Touch.Kind.SOP), int(Touch.Kind.BROADCAST))
REFUSABLE = (Touch.Kind.SOP, Touch.Kind.BROADCAST)


@transaction.atomic
def change_policy(
    brand: Brand, *, by: Actor, caps: Sequence[CapRule] | None = None, redraw: bool = False, **values: Any
) -> TouchPolicy:
    """Set some of the policy; it holds from the next question on.

    Args:
        caps: all caps of the brand from now on; None leaves them.
        redraw: another hold-out group of the brand is drawn; its watching begins anew, as with another size.
        values: columns of TouchPolicy.

    Raises:
        InvalidError: out of range; its `fields` name the columns (`caps` for a cap).
    """
    enter_gate(brand)
    policy = policy_of(brand)
    before = _snapshot(brand, policy)
    for name, value in values.items():
        TouchPolicy._meta.get_field(name)  # raises where there is none
        setattr(policy, name, value)
    _check(policy)
    if redraw:
        policy.hold_out_round += 1
    if redraw or policy.hold_out_percent != before["hold_out_percent"]:
        policy.hold_out_since = clock.now() if policy.hold_out_percent else None
    # a brand that has a policy has its caps as rows: the default is written down
    rows = list(caps) if caps is not None else caps_of(brand)
    _check_caps(rows)
    policy.save()
    Cap.objects.all().delete()
    Cap.objects.bulk_create([Cap(days=cap.days, n=cap.n, kind=cap.kind) for cap in rows])
    audit.record(by, "touch_policy.edit", policy, before=before, after=_snapshot(brand, policy))
    return policy


def start_brand(brand: Brand) -> None:
    """What a newly opened brand begins with: nobody is written to at night. Its people may change that."""
    quiet_start, quiet_end = NIGHT
    change_policy(brand, by=SYSTEM, quiet_start=quiet_start, quiet_end=quiet_end)


def _snapshot(brand: Brand, policy: TouchPolicy) -> dict[str, Any]:
    columns = [f.name for f in TouchPolicy._meta.local_fields if f.name not in ("id", "brand")]
    caps = [
        f"{cap.n}/{cap.days}" + (f" ({Touch.Kind(cap.kind).label})" if cap.kind else "")
        for cap in caps_of(brand)
    ]
    return {**audit.snapshot(policy, columns), "caps": caps}


def _check(policy: TouchPolicy) -> None:
    wrong: dict[str, str] = {}
    if not 0 <= policy.min_gap_hours <= MAX_GAP_HOURS:
        wrong["min_gap_hours"] = _("Between 0 and %(n)s hours") % {"n": MAX_GAP_HOURS}
    if bool(policy.quiet_start) != bool(policy.quiet_end):
        wrong["quiet_end"] = _("Give both times or none")
    elif policy.quiet_start is not None and policy.quiet_start == policy.quiet_end:
        wrong["quiet_end"] = _("The times are the same")
    if policy.allowance not in TouchPolicy.Allowance.values:
        wrong["allowance"] = _("Unknown allowance")
    if policy.sender not in TouchPolicy.Sender.values:
        wrong["sender"] = _("Unknown rule")
    if policy.guide_tasks_a_day is not None and not 1 <= policy.guide_tasks_a_day <= MAX_N:
        wrong["guide_tasks_a_day"] = _("Between 1 and %(n)s") % {"n": MAX_N}
    if policy.guide_people_a_day is not None and not 1 <= policy.guide_people_a_day <= MAX_GUIDE_PEOPLE:
        wrong["guide_people_a_day"] = _("Between 1 and %(n)s") % {"n": MAX_GUIDE_PEOPLE}
    if policy.guide_busy not in TouchPolicy.Busy.values:
        wrong["guide_busy"] = _("Unknown rule")
    elif (
        policy.guide_busy != TouchPolicy.Busy.WARN
        and policy.guide_tasks_a_day is None
        and policy.guide_people_a_day is None
    ):
        wrong["guide_busy"] = _("Say how many send tasks or customers a day are enough")
    if not 1 <= policy.attribution_days <= MAX_ATTRIBUTION_DAYS:
        wrong["attribution_days"] = _("Between 1 and %(n)s days") % {"n": MAX_ATTRIBUTION_DAYS}
    if not 0 <= policy.hold_out_percent <= MAX_HOLD_OUT:
        wrong["hold_out_percent"] = _("Between 0 and %(n)s per cent") % {"n": MAX_HOLD_OUT}
    if wrong:
        raise InvalidError(next(iter(wrong.values())), fields=wrong)


def _check_caps(caps: Sequence[CapRule]) -> None:
    seen = {(cap.days, cap.kind) for cap in caps}
    text = ""
    if len(caps) > MAX_CAPS:
        text = _("At most %(n)s caps") % {"n": MAX_CAPS}
    elif len(seen) < len(caps):
        text = _("Two caps for the same days and kind")
    elif any(not 1 <= cap.days <= MAX_DAYS for cap in caps):
        text = _("Between 1 and %(n)s days") % {"n": MAX_DAYS}
    elif any(not 1 <= cap.n <= MAX_N for cap in caps):
        text = _("Between 1 and %(n)s touches") % {"n": MAX_N}
    elif any(cap.kind not in CAPPED_KINDS for cap in caps):
        text = _("Unknown kind of touch")
    if text:
        raise InvalidError(text, fields={"caps": text})


# ---- do-not-contact rules and wishes


@transaction.atomic
def add_no_contact_rule(
    brand: Brand,
    *,
    by: Actor,
    name: str,
    tag_id: int | None = None,
    channel_code_id: int | None = None,
    starts_on: date | None = None,
    ends_on: date | None = None,
    kinds: Sequence[int] = (),
) -> NoContactRule:
    """People with a tag, or of a channel code, or (for given days only) everybody, are left alone.

    Raises:
        InvalidError: both a tag and a code, days in the wrong order, everybody for ever, a name that is taken.
    """
    rule = NoContactRule(
        name=name,
        tag_id=tag_id,
        channel_code_id=channel_code_id,
        starts_on=starts_on,
        ends_on=ends_on,
        kinds=list(kinds),
        created_by=by.name,
    )
    _check_rule(rule)
    enter_gate(brand)
    _save_rule(rule)
    audit.record(by, "no_contact.create", rule, after=_rule(rule))
    return rule


@transaction.atomic
def change_no_contact_rule(brand: Brand, *, rule_id: int, by: Actor, **values: Any) -> NoContactRule:
    """Change some of a rule; it holds from the next question on.

    Args:
        values: as of `add_no_contact_rule`; what is left out stays.

    Raises:
        InvalidError: as there.
        NotFoundError: no such rule.
    """
    enter_gate(brand)
    rule = NoContactRule.objects.filter(pk=rule_id).first()
    if rule is None:
        raise NotFoundError()
    before = _rule(rule)
    for name, value in values.items():
        NoContactRule._meta.get_field(name)  # raises where there is none
        setattr(rule, name, value)
    _check_rule(rule)
    _save_rule(rule)
    audit.record(by, "no_contact.edit", rule, before=before, after=_rule(rule))
    return rule


@transaction.atomic
def delete_no_contact_rule(brand: Brand, *, rule_id: int, by: Actor) -> None:
    enter_gate(brand)
    rule = NoContactRule.objects.filter(pk=rule_id).first()
    if rule is None:
        raise NotFoundError()
    audit.record(by, "no_contact.delete", rule, before=_rule(rule))
    rule.delete()


def _check_rule(rule: NoContactRule) -> None:
    wrong: dict[str, str] = {}
    name, tag_id, channel_code_id = rule.name, rule.tag_id, rule.channel_code_id
    starts_on, ends_on = rule.starts_on, rule.ends_on
    if not name.strip() or len(name) > 40:
        wrong["name"] = _("1 to 40 characters")
    if tag_id and channel_code_id:
        wrong["channel_code_id"] = _("A tag or a channel code, not both")
    if tag_id and not Tag.objects.filter(pk=tag_id, deleted_at=None).exists():
        wrong["tag_id"] = _("There is no such tag")
    if channel_code_id and channel_code_id not in hooks.code_names({channel_code_id}):
        wrong["channel_code_id"] = _("There is no such channel code")
    if starts_on and ends_on and ends_on < starts_on:
        wrong["ends_on"] = _("Before its beginning")
    if not tag_id and not channel_code_id and not (starts_on and ends_on):
        wrong["ends_on"] = _("A rule for everybody needs its first and last day")
    if any(kind not in CAPPED_KINDS[1:] for kind in rule.kinds):
        wrong["kinds"] = _("Unknown kind of touch")
    if wrong:
        raise InvalidError(next(iter(wrong.values())), fields=wrong)


def _save_rule(rule: NoContactRule) -> None:
    rule.name, rule.kinds = rule.name.strip(), sorted(set(rule.kinds))
    try:
        with transaction.atomic():
            rule.save()
    except IntegrityError as error:
        raise InvalidError(_("This name is taken"), fields={"name": _("This name is taken")}) from error


def _rule(rule: NoContactRule) -> dict[str, Any]:
    return audit.snapshot(rule, ["name", "tag_id", "channel_code_id", "starts_on", "ends_on", "kinds"])


@transaction.atomic
def set_refusal(
    brand: Brand, *, contact_id: int, kind: Touch.Kind | int, refused: bool, by: Actor, source: str = "page"
) -> bool:
    """Note a customer's wish to get (or not to get) touches of a kind; False when it was so already.

    Raises:
        InvalidError: a kind that cannot be refused.
        NotFoundError: no such contact.
    """
    if kind not in REFUSABLE:
        raise InvalidError(_("Unknown kind of touch"))
    contact = Contact.objects.filter(pk=contact_id).first()
    if contact is None:
        raise NotFoundError()
    if refused:
        rows = [Refusal(kind=int(kind), contact=contact, source=source, by=by.name, at=clock.now())]
        known = Refusal.objects.filter(kind=int(kind), contact=contact).exists()
        Refusal.objects.bulk_create(rows, ignore_conflicts=True)
        changed = not known
    else:
        changed = bool(Refusal.objects.filter(kind=int(kind), contact=contact).delete()[0])
    if changed:
        label = str(Touch.Kind(kind).label)
        audit.record(by, "contact.refusal", contact, before={label: not refused}, after={label: refused})
    return changed
