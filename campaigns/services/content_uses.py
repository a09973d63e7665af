"""Where content of the library stands in broadcasts, SOPs and moments, and what became of what was sent of it
(content/hooks.py)."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Sum
from django.utils.translation import gettext as _

from campaigns.models import Broadcast, DirectUse, Moment, SendTask, Sop, SopStep, Variant
from campaigns.services.named import graphs_in_use
from content.hooks import Use
from content.models import ContentVersion
from tenants.models import Brand

MOST = 50  # of each kind


def uses(brand: Brand, version_ids: Sequence[int]) -> list[Use]:
    return [*_broadcasts(version_ids), *_steps(version_ids), *_graphs(version_ids), *_moments(version_ids)]


def _broadcasts(version_ids: Sequence[int]) -> list[Use]:
    state = Broadcast.State
    live = {state.DRAFT, state.APPROVAL, state.ON, state.PAUSED}
    rows = (
        Variant.objects.filter(content_id__in=version_ids).select_related("broadcast").order_by("-pk")[:MOST]
    )
    return [
        _use(v.content_id, _("Broadcast"), v.broadcast.name, f"/broadcasts/{v.broadcast_id}/", v.broadcast.state in live)
        for v in rows
    ]  # fmt: skip


def _steps(version_ids: Sequence[int]) -> list[Use]:
    rows = SopStep.objects.filter(content_id__in=version_ids, removed_at=None, version=None).select_related(
        "sop"
    )
    return [
        _use(s.content_id, "SOP", s.sop.name, f"/sops/{s.sop_id}/", s.sop.state != Sop.State.ENDED)
        for s in rows.order_by("-pk")[:MOST]
    ]


def _graphs(version_ids: Sequence[int]) -> list[Use]:
    """Graphs name the item and send the version that is in force: those into which people come, those in which some
    still are, and drafts."""
    rows = ContentVersion.objects.filter(pk__in=version_ids).order_by("no").values_list("content_id", "pk")
    newest = dict(rows)
    graphs = graphs_in_use()
    sops = Sop.objects.exclude(state=Sop.State.ENDED).filter(form=Sop.Form.GRAPH).order_by("-pk")
    found: dict[tuple[int, int], Use] = {}
    for pk, name, draft in sops.values_list("pk", "name", "draft"):
        for graph in [*graphs.get(pk, ()), draft]:
            for node in _nodes(graph):
                content_id = node.get("content_id")
                if isinstance(content_id, int) and content_id in newest:
                    use = _use(newest[content_id], "SOP", name, f"/sops/{pk}/", True)
                    found.setdefault((pk, content_id), use)
    return list(found.values())


def _nodes(graph: Any) -> list[dict[str, Any]]:
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    rows = nodes.values() if isinstance(nodes, dict) else nodes if isinstance(nodes, list) else []
    return [node for node in rows if isinstance(node, dict)]


def _moments(version_ids: Sequence[int]) -> list[Use]:
    state = Moment.State
    live = {state.DRAFT, state.APPROVAL, state.PLANNED, state.CALLING, state.RUNNING}
    rows = Moment.objects.filter(content_id__in=version_ids).order_by("-pk")[:MOST]
    return [_use(m.content_id, _("Moments"), m.name, f"/moments/{m.pk}/", m.state in live) for m in rows]


def _use(version_id: int | None, kind: str, name: str, url: str, is_live: bool) -> Use:
    return {"version_id": version_id or 0, "kind": kind, "name": name, "url": url, "is_live": is_live}


def results(brand: Brand, version_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """Sent, opened, replied, converted of each version: folds of the send tasks, and of what guides sent in the chat."""
    rows: Any = (
        SendTask.objects.filter(content_id__in=version_ids)
        .values("content_id")
        .annotate(
            sent=Sum("n_sent"), opened=Sum("n_opened"), replied=Sum("n_replied"), converted=Sum("n_converted")
        )
    )
    found = {row.pop("content_id"): row for row in rows}
    direct: Any = (
        DirectUse.objects.filter(version_id__in=version_ids)
        .values("version_id")
        .annotate(
            sent=Sum("n_sent"), opened=Sum("n_opened"), replied=Sum("n_replied"), converted=Sum("n_converted")
        )
    )
    for row in direct:
        total = found.setdefault(row.pop("version_id"), dict.fromkeys(row, 0))
        for name, n in row.items():
            total[name] += n
    return found
