"""Where a tag is named: rules, computed tags, segments, stages, saved filters, and in apps above. Asked before it is deleted, and
rewritten when two tags become one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from contacts.models import SavedView
from scrm.errors import ConflictError
from tagging.models import ComputedTag, LifecycleStage, Segment, TagRule
from tagging.named import swapped, tags_in, with_tag
from tenants.models import Brand

# Apps above this one: modules with `tag_uses(brand, tag_ids) -> list[Use]` and
# `replace_tag(brand, old_id, new_id) -> int`, each a constant number of queries, in the caller's transaction.
ABOVE = ["campaigns.services.named", "livecodes.services.code_tags", "guides.services.leads.named"]


@dataclass(frozen=True)
class Use:
    """One place that names a tag.

    Attributes:
        is_needed: the place does not work without the tag, so that it must not be deleted.
    """

    tag_id: int
    kind: Any  # words, e.g. 'Rule'
    name: str
    url: str
    is_needed: bool = False


def uses(brand: Brand, tag_ids: Sequence[int]) -> list[Use]:
    """Every place that names one of some tags."""
    wanted = set(tag_ids)
    if not wanted:
        return []
    found = [
        *_in_rules(wanted), *_in_computed(wanted), *_in_segments(wanted), *_in_stages(wanted), *_in_views(wanted)
    ]  # fmt: skip
    for path in ABOVE:
        found += import_string(f"{path}.tag_uses")(brand, sorted(wanted))
    return found


def refuse_if_needed(brand: Brand, tag_ids: Sequence[int]) -> None:
    """Before tags are deleted.

    Raises:
        ConflictError: something does not work without them; the message names it.
    """
    if needed := [use for use in uses(brand, tag_ids) if use.is_needed]:
        named = ", ".join(dict.fromkeys(f"{use.kind} “{use.name}”" for use in needed[:5]))
        raise ConflictError(
            _("Still needed by: %(places)s. Change them first.") % {"places": named}, code="in_use"
        )


def replace(brand: Brand, *, old_id: int, new_id: int) -> int:
    """Everything that names one tag names another one from now on; gives how many places."""
    n = 0
    for rule in TagRule.objects.select_for_update().filter(deleted_at=None):
        if old_id in rule_tags(rule):
            now = with_tag(
                {
                    name: getattr(rule, name)
                    for name in ("add_tag_ids", "remove_tag_ids", "filters", "condition")
                },
                old_id,
                new_id,
            )
            for name, value in now.items():
                setattr(rule, name, value)
            rule.save(update_fields=["add_tag_ids", "remove_tag_ids", "filters", "condition"])
            n += 1
    for segment in Segment.objects.select_for_update().filter(deleted_at=None, condition__isnull=False):
        if old_id in tags_in(segment.condition):
            segment.condition = with_tag(segment.condition, old_id, new_id)
            segment.save(update_fields=["condition"])
            n += 1
    for stage in LifecycleStage.objects.select_for_update():
        if old_id in tags_in(stage.condition):
            stage.condition = with_tag(stage.condition, old_id, new_id)
            stage.save(update_fields=["condition"])
            n += 1
    for view in SavedView.objects.select_for_update().all():
        tags = [int(t) for t in view.query.get("tag") or []]
        if old_id in tags:
            view.query = view.query | {"tag": swapped(tags, old_id, new_id)}
            view.save(update_fields=["query"])
            n += 1
    for path in ABOVE:
        n += import_string(f"{path}.replace_tag")(brand, old_id, new_id)
    return n


def rule_tags(rule: TagRule) -> set[int]:
    """Every tag that a rule names."""
    return {*rule.add_tag_ids, *rule.remove_tag_ids} | tags_in([rule.filters, rule.condition])


def _in_rules(wanted: set[int]) -> list[Use]:
    url = "/tags/rules/{}/"
    return [
        Use(tag_id, _("Rule"), rule.name, url.format(rule.pk), is_needed=rule.is_on)
        for rule in TagRule.objects.filter(deleted_at=None).order_by("position", "pk")
        for tag_id in sorted(rule_tags(rule) & wanted)
    ]


def _in_computed(wanted: set[int]) -> list[Use]:
    return [
        Use(bracket["tag_id"], _("Computed tag"), row.name, f"/tags/computed/{row.pk}/", is_needed=True)
        for row in ComputedTag.objects.filter(deleted_at=None)
        for bracket in row.brackets
        if bracket.get("tag_id") in wanted
    ]


def _in_segments(wanted: set[int]) -> list[Use]:
    rows = Segment.objects.filter(deleted_at=None, kind=Segment.Kind.DYNAMIC)
    return [
        Use(tag_id, _("Segment"), row.name, f"/segments/{row.pk}/", is_needed=True)
        for row in rows.order_by("name")
        for tag_id in sorted(tags_in(row.condition) & wanted)
    ]


def _in_stages(wanted: set[int]) -> list[Use]:
    return [
        Use(tag_id, _("Lifecycle stage"), stage.name, "/value/stages/", is_needed=True)
        for stage in LifecycleStage.objects.order_by("position")
        for tag_id in sorted(tags_in(stage.condition) & wanted)
    ]


def _in_views(wanted: set[int]) -> list[Use]:
    return [
        Use(tag_id, _("Saved filter"), view.name, "/contacts/")
        for view in SavedView.objects.filter(~Q(query={}))
        for tag_id in sorted({int(t) for t in view.query.get("tag") or []} & wanted)
    ]
