"""How many came to each node and by which way they left: kept as a fold (NodeFlow), so that nobody counts enrolments. Beside it,
of tasks, how many were not given because the guide has enough to do: no way, those people go on."""

from collections.abc import Collection, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import Sum

from campaigns.models import NodeFlow, Sop
from campaigns.services.governance import gate
from tenants.models import Brand

IN = "in"
BUSY = "busy"
Flow = tuple[int, int, str, str]  # sop, version, node, way


def add(brand: Brand, at: datetime, counts: Mapping[Flow, int]) -> None:
    """Add to the fold, in the caller's transaction, which holds the gate."""
    rows = sorted((flow, n) for flow, n in counts.items() if n)
    if not rows:
        return
    on = at.astimezone(ZoneInfo(brand.timezone)).date()
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO campaigns_nodeflow AS f (brand_id, sop_id, version_id, node, way, n, "on")'
            " SELECT %s, v.*, %s FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bigint[])"
            " AS v(sop_id, version_id, node, way, n)"
            ' ON CONFLICT (brand_id, version_id, node, way, "on") DO UPDATE SET n = f.n + excluded.n',
            [brand.pk, on, *([flow[i] for flow, _n in rows] for i in range(4)), [n for _flow, n in rows]],
        )


def peopled_versions(brand: Brand, sop_ids: Collection[int]) -> set[int]:
    """Versions of some SOPs in which somebody stands."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT version_id FROM campaigns_nodeflow WHERE brand_id = %s AND sop_id = ANY(%s) GROUP BY version_id"
            " HAVING sum(CASE way WHEN 'in' THEN n WHEN 'busy' THEN 0 ELSE -n END) > 0",
            [brand.pk, list(sop_ids)],
        )
        return {row[0] for row in cursor.fetchall()}


def waiting_truth(brand: Brand, sop_id: int) -> dict[tuple[int, str], int]:
    """{(version, node): people there}, counted from enrolments that have been moved at least once."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT version_id, node, count(*) FROM campaigns_enrolment WHERE brand_id = %s AND sop_id = %s"
            " AND ended_at IS NULL AND position > 0 GROUP BY 1, 2",
            [brand.pk, sop_id],
        )
        return {(version, node): n for version, node, n in cursor.fetchall()}


@transaction.atomic
def mend(brand: Brand, sop_id: int, at: datetime) -> int:
    """Compare the fold with the truth and correct how many came in; gives how many nodes were wrong."""
    gate.enter_gate(brand)
    truth = waiting_truth(brand, sop_id)
    stored: dict[tuple[int, str], int] = {}
    ways = NodeFlow.objects.filter(sop_id=sop_id).exclude(way=BUSY).order_by()
    rows = ways.values_list("version_id", "node", "way")
    for version, node, way, n in rows.annotate(n=Sum("n")):
        key = (version, node)
        stored[key] = stored.get(key, 0) + (n if way == IN else -n)
    wrong = {key: truth.get(key, 0) - stored.get(key, 0) for key in truth.keys() | stored.keys()}
    wrong = {key: n for key, n in wrong.items() if n}
    add(brand, at, {(sop_id, version, node, IN): n for (version, node), n in wrong.items()})
    return len(wrong)


def mend_all(brand: Brand, at: datetime) -> int:
    """`mend` of every graph that people can stand in, each in a transaction of its own."""
    rows = Sop.objects.filter(form=Sop.Form.GRAPH, version_id__isnull=False).exclude(state=Sop.State.DRAFT)
    with transaction.atomic():
        ids = list(rows.order_by("pk").values_list("pk", flat=True))
    return sum(mend(brand, sop_id, at) for sop_id in ids)
