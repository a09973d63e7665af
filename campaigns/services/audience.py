"""What conditions ask of touches (tagging/services/compile_leaves.py: ABOVE)."""

from typing import Any

from campaigns.models import Touch


def touches_sql(build: Any, leaf: dict[str, Any]) -> str:
    """Query of (contact_id, at) of delivered touches."""
    query = (
        f"SELECT contact_id, at FROM campaigns_touch WHERE brand_id = {int(build.brand_id)}"  # noqa: S608
        f" AND state = {Touch.State.DELIVERED:d}"
    )
    if sops := leaf.get("sop_ids"):
        query += f" AND sop_id IN ({', '.join(str(int(n)) for n in sops)})"
    return query
