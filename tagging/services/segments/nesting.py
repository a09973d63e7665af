"""Segments in segments: all that a condition names through others, circles among them, and how far it may go."""

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext as _

from scrm.errors import ConflictError, NotFoundError
from tagging.conditions import Condition, leaves, references
from tagging.models import Segment

MAX_LEVELS = 10  # of segments in segments
MAX_EXPANDED = 1_000  # conditions, those of segments within counted where they stand


def reachable(conditions: Iterable[Condition]) -> dict[int, Segment]:
    """All segments that some conditions name, directly or through others, as far as they exist: a query for each level."""
    found: dict[int, Segment] = {}
    asked: set[int] = set()
    todo = {pk for condition in conditions for pk in references(condition).get("segments", ())}
    while todo:
        asked |= todo
        new = Segment.objects.filter(deleted_at=None).in_bulk(todo)
        found |= new
        todo = {
            pk
            for row in new.values()
            if row.condition
            for pk in references(row.condition).get("segments", ())
        }
        todo -= asked
    return found


def nested_segments(
    condition: Condition, *, checked: bool = True, present: Mapping[int, Segment] | None = None
) -> dict[int, Condition | int]:
    """All segments that a condition names, directly or through others: id → condition, or version of a list.

    Args:
        checked: False for whoever looks for circles itself.
        present: the segments that there are, of whoever asks for many conditions (`reachable`).

    Raises:
        NotFoundError: one of them was deleted; a segment that cannot be read is nobody's.
        ConflictError: they name each other in a circle, too deep, or too many.
    """
    found: dict[int, Condition | int] = {}
    todo = set(references(condition).get("segments", ()))
    while todo:
        if present is None:
            new = Segment.objects.filter(deleted_at=None).in_bulk(todo)
        else:
            new = {pk: present[pk] for pk in todo if pk in present}
        if missing := todo - set(new):
            raise NotFoundError(code="segment_missing", segments=sorted(missing))
        todo = set()
        for pk, segment in new.items():
            if segment.kind == Segment.Kind.DYNAMIC and segment.condition:
                found[pk] = segment.condition
                todo |= set(references(segment.condition).get("segments", ()))
            else:
                found[pk] = segment.version_id or 0
        todo -= set(found)
    if checked and circle(found):
        raise ConflictError(_("Segments that refer to each other in a circle select nobody"), code="circle")
    if checked:
        _refuse_too_much(condition, found)
    return found


def _refuse_too_much(condition: Condition, segments: Mapping[int, Condition | int]) -> None:
    """Each segment is put where it is named: twenty that name the one before twice would be a million conditions."""
    known: dict[int, tuple[int, int]] = {}

    def size(node: Condition, level: int) -> tuple[int, int]:
        """Conditions and levels."""
        n, deepest = 0, 0
        for leaf in leaves(node):
            n += 1
            for pk in leaf["ids"] if leaf["kind"] == "segment" else ():
                if level > MAX_LEVELS:
                    raise ConflictError(
                        _("Segments are nested more than %(n)d deep") % {"n": MAX_LEVELS}, code="too_deep"
                    )
                if pk not in known:
                    found = segments[pk]
                    known[pk] = size(found, level + 1) if isinstance(found, dict) else (1, 0)
                n, deepest = n + known[pk][0], max(deepest, known[pk][1] + 1)
        if level + deepest > MAX_LEVELS + 1:
            raise ConflictError(
                _("Segments are nested more than %(n)d deep") % {"n": MAX_LEVELS}, code="too_deep"
            )
        return n, deepest

    if size(condition, 1)[0] > MAX_EXPANDED:
        raise ConflictError(
            _("Together with the segments within there are more than %(n)d conditions") % {"n": MAX_EXPANDED},
            code="too_many",
        )


def circle(segments: Mapping[int, Condition | int]) -> list[int]:
    """A chain of segments that comes back to its beginning; empty when there is none."""
    safe: set[int] = set()

    def visit(segment_id: int, chain: list[int]) -> list[int]:
        if segment_id in chain:
            return [*chain[chain.index(segment_id) :], segment_id]
        found = segments.get(segment_id)
        if segment_id not in safe and isinstance(found, dict):
            for named in references(found).get("segments", ()):
                if there := visit(named, [*chain, segment_id]):
                    return there
        safe.add(segment_id)
        return []

    return next((there for segment_id in segments if (there := visit(segment_id, []))), [])
