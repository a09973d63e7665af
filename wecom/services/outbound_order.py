"""In which order calls of the outbox are made: those of one kind about one customer in the order in which they were
written down, also when one of them has to be tried again for hours. WeCom keeps what it hears last."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from scrm import clock
from tenants.models import Brand
from wecom.models import OutboundCall

State = OutboundCall.State
OPEN = (State.WAITING, State.CALLING)


def first_in_line() -> Q:
    """Calls that no older open one of their kind and customer stands before."""
    older = OutboundCall.objects.filter(
        kind=OuterRef("kind"), subject=OuterRef("subject"), pk__lt=OuterRef("pk"), state__in=OPEN
    )
    return Q(subject="") | Q(~Exists(older))


def behind(subjects: Iterable[str]) -> list[int]:
    """Calls whose turn has come, now that others about these customers are over; in the caller's transaction."""
    waiting = OutboundCall.objects.filter(
        first_in_line(), subject__in=set(subjects), state=State.WAITING, next_try_at__lte=clock.now()
    )
    return list(waiting.order_by("pk").values_list("pk", flat=True))


# a later call has said the same thing anew: what is written twice, description beside remark, counts as two things
_REMARKED_SINCE = """
    UPDATE wecom_outboundcall o SET state = 'done', done_at = %s, error = %s
     WHERE o.brand_id = %s AND o.id = ANY(%s) AND o.state = 'failed' AND o.kind = 'remark' AND EXISTS (
           SELECT 1 FROM wecom_outboundcall n
            WHERE n.brand_id = %s AND n.subject = o.subject AND n.kind = o.kind AND n.id > o.id
              AND n.state <> 'failed' AND n.payload->>'userid' = o.payload->>'userid'
              AND n.payload ?& ARRAY(SELECT jsonb_object_keys(jsonb_strip_nulls(o.payload))))
"""


def drop_overtaken(brand: Brand, call_ids: Sequence[int]) -> None:
    """Take out of failed calls that are to be made again what later ones have changed meanwhile: an old remark, tags
    that were put on or taken off since. In the caller's transaction."""
    now, why = clock.now(), _("A later call has changed this already")
    with connection.cursor() as cursor:
        cursor.execute(_REMARKED_SINCE, [now, why, brand.pk, list(call_ids), brand.pk])
    failed = OutboundCall.objects.filter(pk__in=call_ids, state=State.FAILED, kind=OutboundCall.Kind.MARK_TAG)
    later = OutboundCall.objects.filter(
        kind=OuterRef("kind"), subject=OuterRef("subject"), pk__gt=OuterRef("pk")
    )
    old = list(failed.exclude(subject="").filter(Exists(later.exclude(state=State.FAILED))))
    if not old:
        return
    new = OutboundCall.objects.filter(
        kind=OutboundCall.Kind.MARK_TAG, subject__in={call.subject for call in old}
    ).exclude(state=State.FAILED)
    marked: dict[tuple[int, str, str], list[tuple[int, set[str]]]] = {}
    for call in new:
        marked.setdefault(_relation(call), []).append((call.pk, _tags(call)))
    for call in old:
        since = {tag for pk, tags in marked.get(_relation(call), []) if pk > call.pk for tag in tags}
        if not since & _tags(call):
            continue
        for name in ("add", "remove"):
            call.payload[name] = [tag for tag in call.payload.get(name) or [] if tag not in since]
        if not _tags(call):
            call.state, call.done_at, call.error = State.DONE, now, why
        call.save(update_fields=["payload", "state", "done_at", "error"])


def _relation(call: OutboundCall) -> tuple[int, str, Any]:
    return call.corp_id, call.subject, call.payload.get("userid")


def _tags(call: OutboundCall) -> set[str]:
    return {*(call.payload.get("add") or []), *(call.payload.get("remove") or [])}
