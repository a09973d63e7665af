"""What cannot be read any more in a graph that runs: noted at its node of its version, shown on the SOP's page, tried again.
It never decides for anybody, and it never holds up another SOP."""

from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from campaigns.graph import words
from campaigns.graph.shape import Node
from campaigns.models import NodeTrouble, Sop
from campaigns.services.journeys import flows, plans
from campaigns.services.journeys.conditions import holds_for
from campaigns.services.journeys.goals import rows_of
from scrm import clock
from scrm.errors import SCRMError
from tenants.models import Brand

AGAIN = timedelta(minutes=10)  # people who stand before it are asked about anew
WHOLE = ""  # in place of a node: goals and exits
NOBODY = 0  # who is asked about when nobody is there


def note(version_id: int, node: str, error: object) -> None:
    """Say why, once; in the caller's transaction."""
    is_gone = getattr(error, "code", "") == "segment_missing"
    text = _("a segment that it names was deleted") if is_gone else str(error)[:200] or "?"
    row, is_new = NodeTrouble.objects.get_or_create(
        version_id=version_id, node=node, defaults={"error": text}
    )
    if not is_new and row.error != text:
        NodeTrouble.objects.filter(version=version_id, node=node).update(error=text)


def over(version_id: int, node: str) -> None:
    """It can be read again."""
    NodeTrouble.objects.filter(version=version_id, node=node).delete()


def known(version_ids: Collection[int]) -> set[tuple[int, str]]:
    """(version, node) of what is noted."""
    return set(NodeTrouble.objects.filter(version__in=version_ids).values_list("version_id", "node"))


def errors_of(sop: Sop) -> dict[str, str]:
    """{node: why it cannot be read} of the present version."""
    return dict(NodeTrouble.objects.filter(version=sop.version_id).values_list("node", "error"))


class Older(NamedTuple):
    """What cannot be read in version `n`, in which people still are; `name` is empty for goals and exits."""

    n: int
    name: str
    error: str


def of_older(brand: Brand, sop: Sop) -> list[Older]:
    """The same of older versions with people."""
    rows = NodeTrouble.objects.filter(version__sop=sop).exclude(version=sop.version_id)
    found = list(rows.order_by("-version", "node").values_list("version_id", "version__n", "node", "error"))
    if not found:
        return []
    peopled = flows.peopled_versions(brand, [sop.pk])
    of_version = plans.load({version_id for version_id, *_rest in found} & peopled)
    return [
        Older(n, words.name_of(of_version[version_id].nodes[node]) if node else "", error)
        for version_id, n, node, error in found
        if version_id in of_version and (not node or node in of_version[version_id].nodes)
    ]


# ---- nobody may come by for long


def look_again(brand: Brand) -> int:
    """Ask what was noted ten minutes ago once more; gives how much of it can be read again. One query when nothing is."""
    with transaction.atomic():
        now = clock.now()
        rows = NodeTrouble.objects.filter(tried_at__lte=now - AGAIN).order_by("version", "node")
        waiting = list(rows.select_for_update(skip_locked=True).values_list("version_id", "node"))
        found, n = plans.load({version_id for version_id, _node in waiting}) if waiting else {}, 0
        for version_id, node in waiting:
            NodeTrouble.objects.filter(version=version_id, node=node).update(tried_at=now)
            try:
                conditions = list(_conditions(found[version_id], node))
                for condition in conditions:
                    holds_for(brand, condition, [NOBODY], now=now)
            except SCRMError:
                continue
            if conditions:
                over(version_id, node)
                n += 1
        return n


def _conditions(plan: plans.Plan, node_id: str) -> Iterator[Any]:
    """What is asked there. Nothing where somebody else looks again: segments and dates of entries (arrivals.py), or the
    people who stand there."""
    if node_id == WHOLE:
        for _kind, row in rows_of(plan, "condition"):
            yield row["condition"]
        return
    node: Node = plan.nodes.get(node_id, {})
    if node.get("kind") == "entry" and node["by"] not in ("segment", "date"):
        yield node["condition"]
    elif node.get("kind") == "branch":
        yield from (
            (case["condition"] for case in node["cases"]) if node["mode"] == "cases" else (node["condition"],)
        )
