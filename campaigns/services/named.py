"""Where reach names tags and segments: broadcasts, waves, SOPs, alerts, moments, rules of who is left alone. Asked before
one of them is deleted, rewritten when two tags become one (tagging/services/tags/references.py, segments.py: USES)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from campaigns.models import (
    AlertRule,
    Broadcast,
    Enrolment,
    Moment,
    NoContactRule,
    Sop,
    SopRequest,
    SopVersion,
    Wave,
)
from tagging.named import segments_in, swapped, tags_in, with_tag
from tagging.services.tags.references import Use
from tenants.models import Brand

_B, _M = Broadcast.State, Moment.State
LIVE = (_B.DRAFT, _B.APPROVAL, _B.ON, _B.PAUSED)
TO_COME = (Wave.State.WAITING, Wave.State.HELD)
LIVE_MOMENTS = (_M.DRAFT, _M.APPROVAL, _M.PLANNED)


@dataclass(frozen=True)
class _Place:
    """What is named, as JSON, and whether it is used at this moment."""

    kind: str
    name: str
    url: str
    said: Any
    is_needed: bool


def _places() -> Iterator[_Place]:
    waves: dict[int, list[Any]] = {}
    for broadcast_id, condition in Wave.objects.filter(
        broadcast__state__in=LIVE, state__in=TO_COME
    ).values_list("broadcast_id", "condition"):
        waves.setdefault(broadcast_id, []).append(condition)
    for b in Broadcast.objects.filter(state__in=LIVE).order_by("-pk"):
        audience = [b.audience, *waves.get(b.pk, ())]
        yield _Place(_("Broadcast"), b.name, f"/broadcasts/{b.pk}/", audience, b.state != _B.DRAFT)
    graphs = graphs_in_use()
    for sop in Sop.objects.exclude(state=Sop.State.ENDED).filter(form=Sop.Form.GRAPH).order_by("name"):
        yield _Place("SOP", sop.name, f"/sops/{sop.pk}/", sop.draft, False)
        if sop.pk in graphs:
            yield _Place("SOP", sop.name, f"/sops/{sop.pk}/", graphs[sop.pk], sop.state != Sop.State.DRAFT)
    for rule in AlertRule.objects.filter(deleted_at=None).order_by("name"):
        hits = [rule.filters, rule.condition]
        yield _Place(_("Alert rule"), rule.name, f"/alerts/rules/{rule.pk}/", hits, rule.is_on)
    for m in Moment.objects.filter(state__in=LIVE_MOMENTS).order_by("-pk"):
        seen_by = {"tag_ids": list(m.tag_ids)}
        yield _Place(_("Moments"), m.name, f"/moments/{m.pk}/", seen_by, m.state != _M.DRAFT)
    for alone in NoContactRule.objects.filter(tag__isnull=False).order_by("name"):
        # without its tag it would leave nobody alone
        yield _Place(
            _("Do-not-contact rule"), alone.name, "/settings/touch/", {"tag_ids": [alone.tag_id]}, True
        )


def graphs_in_use() -> dict[int, list[Any]]:
    """SOP → the graphs into which people come, and those in which some still are."""
    current = Sop.objects.exclude(state=Sop.State.ENDED).exclude(version_id=None)
    wanted = set(current.values_list("version_id", flat=True))
    wanted |= set(
        Enrolment.objects.filter(ended_at=None, version_id__isnull=False)
        .values_list("version_id", flat=True)
        .distinct()
    )
    found: dict[int, list[Any]] = {}
    rows = SopVersion.objects.filter(pk__in=[pk for pk in wanted if pk])
    for sop_id, graph in rows.values_list("sop_id", "graph"):
        found.setdefault(sop_id, []).append(graph)
    return found


def tag_uses(brand: Brand, tag_ids: Sequence[int]) -> list[Use]:
    """Every place of reach that names one of some tags, each once."""
    found: dict[tuple[int, str, str], Use] = {}
    for place in _places():
        for tag_id in sorted(tags_in(place.said) & set(tag_ids)):
            key = (tag_id, place.kind, place.url + place.name)
            needed = place.is_needed or (key in found and found[key].is_needed)
            found[key] = Use(tag_id, place.kind, place.name, place.url, is_needed=needed)
    return list(found.values())


def segment_uses(brand: Brand, segment_id: int) -> list[tuple[str, str, str]]:
    """Every place of reach that names a segment: (kind, name, address)."""
    found = [
        (place.kind, place.name, place.url) for place in _places() if segment_id in segments_in(place.said)
    ]
    return list(dict.fromkeys(found))


def replace_tag(brand: Brand, old_id: int, new_id: int) -> int:
    """Another tag from now on, in what is over as well; gives how many places. The graph of a version says the same as
    before: its tag has another number."""
    n = 0
    for rows, names in (
        (Broadcast.objects.all(), ("audience",)),
        (Wave.objects.all(), ("condition",)),
        (Sop.objects.exclude(draft=None), ("draft",)),
        (SopVersion.objects.all(), ("graph",)),
        (SopRequest.objects.filter(kind=SopRequest.Kind.VERSION), ("proposal",)),
        (AlertRule.objects.all(), ("filters", "condition")),
    ):
        for row in rows.select_for_update(no_key=True):
            before = {name: getattr(row, name) for name in names}
            if old_id not in tags_in(list(before.values())):
                continue
            for name, said in before.items():
                setattr(row, name, with_tag(said, old_id, new_id))
            changed = [*names]
            if isinstance(row, Sop):  # an editor that is open notices
                row.draft_n += 1
                changed.append("draft_n")
            row.save(update_fields=changed)
            n += 1
    for moment in Moment.objects.filter(tag_ids__contains=[old_id]).select_for_update(no_key=True):
        moment.tag_ids = swapped(moment.tag_ids, old_id, new_id)
        moment.save(update_fields=["tag_ids"])
        n += 1
    return n + NoContactRule.objects.filter(tag=old_id).update(tag=new_id)
