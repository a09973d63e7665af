"""A rule over everybody, as a job: when it is switched on, each night, on demand; and the past of a rule on events."""

from contextlib import suppress
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.translation import gettext as _

from contacts.services import positions
from org.access import SYSTEM, Actor
from org.models import Job
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, SCRMError
from tagging.models import BITS, TagAct, TagRule, TagTarget
from tagging.services.bits.bits import ZERO
from tagging.services.rules import rule_preview
from tagging.services.rules.rule_preview import who_sql
from tagging.services.tags import acts
from tagging.services.tags.changes import Pairs, put_on, take_off
from tagging.services.tags.mass import PAIRS, targets
from tenants.models import Brand

JOB = "tag_rule"
MAX_PAST = 365
HELD_FROM = 500  # a run that nobody watches and that would change fewer people is never held back


class HeldBack(ConflictError):
    """A rule that was switched on for some people would change a large part of everybody now."""

    code = "held_back"


def start(brand: Brand, *, rule: TagRule, by: Actor, past_days: int = 0, again: bool = False) -> Job:
    """Run a rule over everybody as a job, in the caller's transaction.

    Args:
        past_days: of a rule on events: as if it had been on for so long.
        again: of a rule on a condition: also for those for whom it was true before (who lost the tag by hand).
    """
    params = {
        "rule_id": rule.pk,
        "past_days": min(past_days, MAX_PAST),
        "again": again,
        "user_id": by.user_id,
    }
    title = _("Rule “%(name)s”") % {"name": rule.name}
    return jobs.start_job(brand, kind=JOB, title=f"{title} #{rule.pk}", params=params, by=by)


def start_nightly(brand: Brand) -> list[Job]:
    """Every rule on a condition that has not run since the brand's midnight."""
    started = []
    with transaction.atomic():
        today = clock.today(brand.timezone)
        rules = TagRule.objects.filter(is_on=True, deleted_at=None, kind=TagRule.Kind.CONDITION)
        for rule in rules.order_by("position", "pk"):
            if rule.run_at is None or rule.run_at.astimezone(ZoneInfo(brand.timezone)).date() < today:
                started.append(start(brand, rule=rule, by=SYSTEM))
    return started


def step(brand: Brand, job: Job) -> bool:
    """One step: first who is meant is fixed, then the next chunks."""
    if "act_id" not in job.position:
        try:
            with transaction.atomic():
                return _fix(brand, job, _rule(job))
        except SCRMError as error:
            # a segment is gone, segments in a circle, far too many: nobody is meant, and the rule says why where people
            # look; it is tried again on the next night, or when somebody changes the rule
            with transaction.atomic():
                TagRule.objects.filter(pk=job.params["rule_id"]).update(
                    problem=str(error)[:200], run_at=clock.now()
                )
            raise
    with suppress(jobs.Stopped), transaction.atomic():
        rule = _rule(job)
        return _work(brand, job, rule, TagAct.objects.get(pk=job.position["act_id"]))
    return True


def _rule(job: Job) -> TagRule:
    rule = TagRule.objects.filter(pk=job.params["rule_id"], deleted_at=None).first()
    if rule is None or not rule.is_on:
        raise ConflictError(_("The rule was switched off meanwhile"))
    return rule


def _fix(brand: Brand, job: Job, rule: TagRule) -> bool:
    n_in, n_out, act = _targets(brand, job, rule)
    if not job.params.get("user_id"):
        _hold_back(brand, rule, n_in + n_out)
    TagRule.objects.filter(pk=rule.pk).update(run_at=clock.now(), problem="")
    if not n_in + n_out:
        TagAct.objects.filter(pk=act.pk).delete()
        jobs.save_step(job, n_total=0, result={"changed": 0})
        return False
    act.job_id = job.pk
    act.save(update_fields=["job_id"])
    jobs.save_step(
        job, position={"act_id": act.pk, "side": 0, "chunk": -1}, n_total=n_in + n_out, result={"changed": 0}
    )
    return True


def _hold_back(brand: Brand, rule: TagRule, n: int) -> None:
    """A segment or stage that a rule names was widened since somebody switched the rule on: what would need a yes then
    needs it now.

    Raises:
        HeldBack: nothing is changed.
    """
    if rule.confirmed_by or n < HELD_FROM:
        return
    everybody = rule_preview.n_everybody(brand)
    if n > rule_preview.LARGE * everybody:
        raise HeldBack(
            _(
                "Held back: it would change %(n)s of %(all)s customers. If this is meant, switch it off and on and say yes."
            )
            % {"n": f"{n:,}", "all": f"{everybody:,}"}
        )


# Who is in now; of these the new ones, and those who are in no more, beside what was noted last time.
_FIX_CONDITION = f"""
    WITH now AS MATERIALIZED (SELECT q.chunk, q.bits FROM ({{who}}) AS q(chunk, bits)),
    was AS MATERIALIZED (SELECT chunk, bits FROM tagging_tagrulebits WHERE brand_id = %(brand)s AND rule_id = %(rule)s),
    both_ AS MATERIALIZED (
        SELECT chunk, coalesce(now.bits, {ZERO}) AS is_in, coalesce(was.bits, {ZERO}) AS was_in
          FROM now FULL JOIN was USING (chunk)
    ),
    sides AS (
        SELECT 0 AS side, chunk, CASE WHEN %(again)s THEN is_in ELSE is_in & ~was_in END AS bits FROM both_
         UNION ALL
        SELECT 1, chunk, was_in & ~is_in FROM both_ WHERE %(leave)s
    ),
    fixed AS (
        INSERT INTO tagging_tagtarget (brand_id, act_id, side, chunk, n, bits)
        SELECT %(brand)s, %(act)s, side, chunk, bit_count(bits), bits FROM sides WHERE bit_count(bits) > 0
        RETURNING side, n
    ),
    noted AS (
        INSERT INTO tagging_tagrulebits AS r (brand_id, rule_id, chunk, bits)
        SELECT %(brand)s, %(rule)s, chunk, is_in FROM both_ WHERE is_in <> was_in
        ON CONFLICT (brand_id, rule_id, chunk) DO UPDATE SET bits = excluded.bits
    )
    SELECT coalesce(sum(n) FILTER (WHERE side = 0), 0), coalesce(sum(n) FILTER (WHERE side = 1), 0) FROM fixed
"""  # noqa: S608
_FIX_PAST = """
    WITH fixed AS (
        INSERT INTO tagging_tagtarget (brand_id, act_id, side, chunk, n, bits)
        SELECT %(brand)s, %(act)s, 0, q.chunk, bit_count(q.bits), q.bits FROM ({who}) AS q(chunk, bits)
         WHERE bit_count(q.bits) > 0 RETURNING n
    )
    SELECT coalesce(sum(n), 0), 0 FROM fixed
"""


def _targets(brand: Brand, job: Job, rule: TagRule) -> tuple[int, int, TagAct]:
    past = int(job.params["past_days"])
    who, params = who_sql(brand, rule, past or 1)
    act = acts.begin(
        brand,
        kind=TagAct.Kind.RULE,
        title=rule.name,
        by=Actor(job.created_by, job.params.get("user_id")),
        add=rule.add_tag_ids,
        remove=rule.remove_tag_ids,
        owner_id=rule.pk,
        expires_at=clock.now() + timedelta(days=rule.expires_days) if rule.expires_days else None,
    )
    values: dict[str, Any] = {
        **params,
        "brand": brand.pk,
        "rule": rule.pk,
        "act": act.pk,
        "again": bool(job.params.get("again")),
        "leave": rule.keeps_in_step,
    }
    sql = _FIX_CONDITION if rule.kind == TagRule.Kind.CONDITION else _FIX_PAST
    with positions.joined(brand) as cursor:
        cursor.execute(sql.format(who=who), values)
        n_in, n_out = cursor.fetchone()
    return int(n_in), int(n_out), act


def _work(brand: Brand, job: Job, rule: TagRule, act: TagAct) -> bool:
    side, after = int(job.position["side"]), int(job.position["chunk"])
    rows = TagTarget.objects.filter(act_id=act.pk, side=side, chunk__gt=after).order_by("chunk")
    n_tags = max(1, len(act.add_tag_ids) + len(act.remove_tag_ids))
    found = list(rows.values_list("chunk", "n")[: max(1, PAIRS // (BITS * n_tags))])
    if not found:
        jobs.hold(job)
        if side == TagTarget.Side.IN:
            jobs.save_step(job, position={**job.position, "side": 1, "chunk": -1})
            return True
        TagTarget.objects.filter(act_id=act.pk).delete()
        return False
    chunks = [chunk for chunk, _n in found]
    added, removed = (enter if side == TagTarget.Side.IN else leave)(
        brand, rule, act, lambda tag_ids: targets(act.pk, chunks, tag_ids, side)
    )
    people = sum(n for _chunk, n in found)
    jobs.hold(job)
    acts.count(act, people=people, added=added, removed=removed)
    jobs.save_step(
        job,
        position={**job.position, "chunk": chunks[-1]},
        n_done=job.n_done + people,
        result={"changed": int(job.result.get("changed", 0)) + added + removed},
    )
    return True


def enter(brand: Brand, rule: TagRule, act: TagAct, pairs_of: Any) -> tuple[int, int]:
    """A rule holds for some people: gives how many tags were put on and taken off.

    Args:
        pairs_of: function of tag ids that gives Pairs.
    """
    source, added, removed = f"rule:{rule.pk}", 0, 0
    if rule.add_tag_ids:
        done = put_on(
            brand, pairs_of(rule.add_tag_ids), source=source, expires_at=act.expires_at, act_id=act.pk
        )
        added = done.n + done.n_later
    if rule.remove_tag_ids:
        removed = take_off(brand, pairs_of(rule.remove_tag_ids), source=source, act_id=act.pk).n
    return added, removed


def leave(brand: Brand, rule: TagRule, act: TagAct, pairs_of: Any) -> tuple[int, int]:
    """A rule's condition is true of some people no more: what it has put on itself is taken off."""
    if not rule.add_tag_ids:
        return 0, 0
    pairs: Pairs = pairs_of(rule.add_tag_ids)
    own = Pairs(
        f"SELECT p.tag_id, p.contact_id FROM ({pairs.sql}) p JOIN tagging_contacttag own ON own.brand_id = %(brand)s"  # noqa: S608
        " AND own.tag_id = p.tag_id AND own.contact_id = p.contact_id AND own.source = %(own_source)s",
        {**pairs.params, "own_source": f"rule:{rule.pk}"},
        pairs.most,
    )
    return 0, take_off(brand, own, source=f"rule:{rule.pk}", act_id=act.pk).n
