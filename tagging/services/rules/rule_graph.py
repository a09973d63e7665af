"""Which rule can set off which: rules that set off each other in a circle are refused, and the circle is named."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from scrm.errors import ConflictError, InvalidError
from tagging.conditions import references
from tagging.models import LifecycleStage, Segment, Tag, TagRule
from tenants.models import Brand


@dataclass(frozen=True)
class Node:
    """What sets a rule off, and what it does to tags.

    Attributes:
        on_added, on_removed: tags whose coming or going sets it off; None: any tag's.
        added, removed: tags that it may put on, and take off (also later: when their time is over, or when its
            condition is true no more).
    """

    rule_id: int
    name: str
    on_added: frozenset[int] | None
    on_removed: frozenset[int] | None
    added: frozenset[int]
    removed: frozenset[int]

    def sets_off(self, other: "Node") -> set[int]:
        """The tags by which this rule sets off another one."""
        return _common(self.added, other.on_added) | _common(self.removed, other.on_removed)


def _common(changed: frozenset[int], watched: frozenset[int] | None) -> set[int]:
    return set(changed if watched is None else changed & watched)


def node_of(rule: TagRule, segments: Mapping[int, Any], stages: Sequence[Any] = ()) -> Node:
    """A rule as a node; `segments`: id → condition of the dynamic ones; `stages`: conditions of the lifecycle's."""
    added, removed = frozenset(rule.add_tag_ids), set(rule.remove_tag_ids)
    if rule.expires_days or rule.keeps_in_step:
        removed |= added
    on_added: frozenset[int] | None = frozenset()
    on_removed: frozenset[int] | None = frozenset()
    if rule.kind == TagRule.Kind.CONDITION:
        on_added = on_removed = frozenset(tags_read(rule.condition, segments, stages))
    elif rule.event in ("tagged", "untagged"):
        named = rule.filters.get("tag_ids")
        watched = frozenset(named) if named else None
        on_added, on_removed = (watched, on_removed) if rule.event == "tagged" else (on_added, watched)
    return Node(rule.pk or 0, rule.name, on_added, on_removed, added, frozenset(removed))


def tags_read(condition: Any, segments: Mapping[int, Any], stages: Sequence[Any] = ()) -> set[int]:
    """The tags that a condition asks for, through segments and lifecycle stages as well: who is in a stage is decided by
    the conditions of all that come before it too."""
    found: set[int] = set()
    for named in _named(condition, segments, stages):
        found |= named.get("tags", set())
    return found


def reads_stages(condition: Any, segments: Mapping[int, Any]) -> bool:
    """Whether a condition asks for lifecycle stages, through segments as well."""
    return any("lifecycle_stages" in named for named in _named(condition, segments, ()))


def _named(
    condition: Any, segments: Mapping[int, Any], stages: Sequence[Any]
) -> Iterator[dict[str, set[int]]]:
    """What a condition names, and what the segments and stages name that it asks for."""
    seen: set[int] = set()
    todo, later = [condition], list(stages)
    while todo:
        named = references(todo.pop() or {"kind": "everybody"})
        yield named
        new = named.get("segments", set()) - seen
        seen |= new
        todo += [segments[n] for n in new if n in segments]
        if "lifecycle_stages" in named:
            todo += later
            later = []


def circle(nodes: Sequence[Node]) -> list[tuple[Node, int]]:
    """A chain of rules that comes back to its beginning: (rule, tag by which it sets off the next one). Empty: none."""
    by_id = {node.rule_id: node for node in nodes}
    next_ = {
        node.rule_id: [(other.rule_id, min(tags)) for other in nodes if (tags := node.sets_off(other))]
        for node in nodes
    }
    safe: set[int] = set()

    def visit(rule_id: int, chain: list[tuple[int, int]]) -> list[tuple[int, int]]:
        at = next((i for i, (seen, _tag) in enumerate(chain) if seen == rule_id), None)
        if at is not None:
            return chain[at:]
        if rule_id not in safe:
            for other, tag in next_[rule_id]:
                if found := visit(other, [*chain, (rule_id, tag)]):
                    return found
            safe.add(rule_id)
        return []

    for node in nodes:
        if found := visit(node.rule_id, []):
            return [(by_id[rule_id], tag) for rule_id, tag in found]
    return []


def refuse_circles(
    brand: Brand,
    rules: Iterable[TagRule],
    *,
    segments: Mapping[int, Any] | None = None,
    stages: Sequence[Any] | None = None,
) -> None:
    """Raises ConflictError (`circle`) when some rules set off each other in a circle; the message names it.

    Args:
        segments: conditions that are about to be saved; the others are read.
        stages: likewise, of all lifecycle stages.
    """
    known = _segments() | dict(segments or {})
    if stages is None:
        stages = list(LifecycleStage.objects.values_list("condition", flat=True))
    found = circle([node_of(rule, known, stages) for rule in rules])
    if not found:
        return
    names = dict(Tag.objects.filter(pk__in={tag for _node, tag in found}).values_list("pk", "name"))
    steps = [part for node, tag in found for part in (node.name, f"[{names.get(tag, tag)}]")]
    chain = " → ".join([*steps, found[0][0].name])
    raise ConflictError(
        _("These rules would set off each other in a circle: %(chain)s") % {"chain": chain},
        code="circle",
        chain=chain,
    )


def refuse_circles_of_segment(brand: Brand, segment_id: int, condition: Any) -> None:
    """Before a segment is saved: with its new condition, do rules that are on set off each other, or does a lifecycle
    stage ask for itself?"""
    known = _segments() | {segment_id: condition}
    for name, own in LifecycleStage.objects.values_list("name", "condition"):
        if segment_id in _segments_of(own, known) and reads_stages(condition, known):
            text = _(
                "The lifecycle stage “%(name)s” asks for this segment, so the segment cannot ask for stages"
            )
            raise ConflictError(text % {"name": name}, code="circle", chain=name)
    rules = TagRule.objects.filter(is_on=True, deleted_at=None)
    refuse_circles(brand, rules, segments={segment_id: condition})


def refuse_circles_of_stages(brand: Brand, stages: Sequence[tuple[str, Any]]) -> None:
    """Before the lifecycle is saved (name, condition of each stage): does a stage ask for stages, or do rules that are
    on set off each other through them?

    Raises:
        InvalidError: who is in a stage would depend on who was.
    """
    known = _segments()
    for name, condition in stages:
        if reads_stages(condition, known):
            raise InvalidError(_("%(name)s: a stage cannot ask for lifecycle stages") % {"name": name})
    rules = TagRule.objects.filter(is_on=True, deleted_at=None)
    refuse_circles(brand, rules, stages=[condition for _name, condition in stages])


def _segments() -> dict[int, Any]:
    rows = Segment.objects.filter(deleted_at=None, kind=Segment.Kind.DYNAMIC)
    return dict(rows.values_list("pk", "condition"))


def _segments_of(condition: Any, segments: Mapping[int, Any]) -> set[int]:
    return {pk for named in _named(condition, segments, ()) for pk in named.get("segments", set())}
