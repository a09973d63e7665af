"""The touches of one broadcast, person by person: what stands behind each of its figures."""

from django.db.models import QuerySet

from campaigns.models import Broadcast, SendTask, Touch

MARKS = {"opened": "opened_at", "replied": "replied_at", "converted": "converted_at"}


def of_broadcast(rows: "QuerySet[Touch]", broadcast: Broadcast) -> "QuerySet[Touch]":
    """Those of a broadcast. The ledger is sorted by the moment that a touch was planned for, and a broadcast has few of
    them: they are looked up, so that nothing else is read. Two queries."""
    sent = SendTask.objects.filter(broadcast=broadcast).order_by().values_list("at", flat=True).distinct()
    held = Touch.objects.filter(broadcast_id=broadcast.pk, send_task_id=None).order_by()
    moments = {*sent, *held.values_list("at", flat=True).distinct()}
    return rows.filter(broadcast_id=broadcast.pk, at__in=sorted(moments))


def marked(rows: "QuerySet[Touch]", mark: str) -> "QuerySet[Touch]":
    """Those whose customer did something after it: a key of MARKS."""
    return rows.filter(**{f"{MARKS[mark]}__isnull": False})
