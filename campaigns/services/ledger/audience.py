"""What conditions ask of touches (tagging/services/segments/compile_leaves.py: ABOVE)."""

from typing import Any

from campaigns.models import Touch
from campaigns.services.broadcasts import left_out
from tagging.conditions.leaves import TOUCH_KINDS
from tagging.services.segments.compile import is_one_of
from tagging.services.segments.compile_leaves import is_at_all, within

_ARRIVED = f"t.state = {Touch.State.DELIVERED:d}"
# of a broadcast the send task says it (campaigns/services/ledger/waiting.py)
_WAITS = f"""(t.state = {Touch.State.HANDED:d} OR t.state = {Touch.State.PLANNED:d} AND t.broadcast_id IS NOT NULL
    AND EXISTS (SELECT FROM campaigns_sendtask h WHERE h.brand_id = t.brand_id AND h.id = t.send_task_id
                                                   AND h.state = 'handed'))"""
RESULTS: dict[str, str] = {
    "delivered": _ARRIVED,
    "opened": "t.opened_at IS NOT NULL",
    "not_opened": f"{_ARRIVED} AND t.opened_at IS NULL",
    "replied": "t.replied_at IS NOT NULL",
    "not_replied": f"{_ARRIVED} AND t.replied_at IS NULL",
    "bought": "t.converted_at IS NOT NULL",
    "not_bought": f"{_ARRIVED} AND t.converted_at IS NULL",
    "waiting": _WAITS,
    "failed": f"t.state = {Touch.State.FAILED:d}",
    "held_back": f"t.state = {Touch.State.BLOCKED:d}",
}


def touches_sql(build: Any, leaf: dict[str, Any]) -> str:
    """Query of (contact_id, at) of touches: of a result, of kinds, of any of some SOPs and broadcasts."""
    brand, sops, broadcasts = int(build.brand_id), leaf.get("sop_ids", ()), leaf.get("broadcast_ids", ())
    tests = [f"t.brand_id = {brand}", RESULTS[leaf.get("result", "delivered")], *build.among("t.contact_id")]
    if kinds := [TOUCH_KINDS[word] for word in leaf.get("kinds", ())]:
        tests.append(is_one_of("t.kind", kinds))
    rows = f"SELECT t.contact_id, t.at FROM campaigns_touch t WHERE {' AND '.join(tests)}"  # noqa: S608
    parts = [f"{rows} AND {is_one_of('t.sop_id', sops)}"] if sops else []
    if broadcasts:
        # No index knows a delivered touch by its broadcast (each message would have to be written there too): its send
        # tasks know the moments it was planned for, by which the rows lie. What never had a task has an index.
        of_these = is_one_of("broadcast_id", broadcasts)
        moments = f"SELECT DISTINCT at FROM campaigns_sendtask WHERE brand_id = {brand} AND {of_these}"  # noqa: S608
        planned = f"{rows} AND t.send_task_id IS NOT NULL AND t.at = k.at AND t.{of_these}"
        parts.append(
            f"SELECT t.contact_id, t.at FROM ({moments} OFFSET 0) k CROSS JOIN LATERAL ({planned} OFFSET 0) t"  # noqa: S608
        )
        if leaf.get("result") == "held_back":
            parts.append(f"{rows} AND t.send_task_id IS NULL AND t.{of_these}")
    parts = parts or [rows]
    kinds = leaf.get("kinds") or ["broadcast"]
    if leaf.get("result") == "held_back" and "broadcast" in kinds and (broadcasts or not sops):
        among = build.among("s.contact_id")
        once = "" if among or not is_at_all(leaf["compare"]) else _planned_within(build, leaf["window"])
        parts.append(left_out.held_sql(brand, broadcasts, among, once))
    return " UNION ALL ".join(parts)


def _planned_within(build: Any, window: Any) -> str:
    return "true" if window["type"] == "ever" else within("v.planned_at", window, build)
