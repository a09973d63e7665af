"""The gate: every touch but the welcome passes here before it is planned.

One question for a set of people, one answer with a reason for each refusal. Whoever asks holds the brand's
gate until the end of the transaction, in which the touches are written: two planners at once would both
find room under the cap.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils.translation import gettext as _

from campaigns.models import Touch, TouchPolicy
from campaigns.services.touches import array
from org import audit
from org.access import Actor
from scrm.errors import InvalidError
from tenants.models import Brand

_GATE = 0x70_0C  # first key of the advisory lock; the second is the brand
MAX_CAP_N, MAX_CAP_DAYS = 100, 90
_COUNTED = [Touch.State.PLANNED, Touch.State.HANDED, Touch.State.DELIVERED]

# ::bigint[] matters: a bigint is not hashed against integers, and 5,000 × 5,000 comparisons would follow
_ASK = """
    SELECT c.id, c.n_follows = 0 FROM contacts_contact c
     WHERE c.brand_id = %s AND c.id = ANY(%s::bigint[]) AND (c.n_follows = 0 OR c.do_not_contact)
"""
_CAPPED = """
    SELECT t.contact_id FROM campaigns_touch t
     WHERE t.brand_id = %s AND t.contact_id = ANY(%s::bigint[]) AND t.at > %s AND t.at <= %s
       AND t.kind <> %s AND t.state = ANY(%s::smallint[])
     GROUP BY t.contact_id HAVING count(*) >= %s
"""


def enter_gate(brand: Brand) -> None:
    """Wait for the brand's gate and hold it until the transaction ends; entering twice is harmless."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_GATE, brand.pk])


def try_gate(brand: Brand) -> bool:
    """Take the gate if it is free."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_GATE, brand.pk])
        return bool(cursor.fetchone()[0])


def ask(brand: Brand, contact_ids: Collection[int], at: datetime) -> dict[int, Touch.Reason]:
    """Who of these people may not get a touch at `at`, and why; whoever is not in the answer may get one.

    Takes the brand's gate: write the touches in the same transaction, at most one for each person and
    question.

    Reasons, the first that holds: NOT_FOLLOWED (no guide has them now),
    DO_NOT_CONTACT, CAPPED (planned, handed and delivered touches in the cap's days, welcomes not counted).
    """
    enter_gate(brand)
    ids = sorted(set(contact_ids))
    if not ids:
        return {}
    policy = policy_of(brand)
    refused: dict[int, Touch.Reason] = {}
    window = [at - timedelta(days=policy.cap_days), at]
    kind, counted = int(Touch.Kind.WELCOME), array(map(int, _COUNTED))
    with connection.cursor() as cursor:
        cursor.execute(_CAPPED, [brand.pk, array(ids), *window, kind, counted, policy.cap_n])
        refused |= {contact_id: Touch.Reason.CAPPED for (contact_id,) in cursor}
        cursor.execute(_ASK, [brand.pk, array(ids)])
        for contact_id, alone in cursor:
            refused[contact_id] = Touch.Reason.NOT_FOLLOWED if alone else Touch.Reason.DO_NOT_CONTACT
    return refused


def policy_of(brand: Brand) -> TouchPolicy:
    """The brand's cap; the default (not saved) where nobody has set one."""
    return TouchPolicy.objects.first() or TouchPolicy()


@transaction.atomic
def change_policy(brand: Brand, *, cap_n: int, cap_days: int, by: Actor) -> TouchPolicy:
    """Set the cap; it holds from the next step on.

    Raises:
        InvalidError: out of range.
    """
    if not 1 <= cap_n <= MAX_CAP_N:
        raise InvalidError(
            _("Between 1 and %(n)s touches") % {"n": MAX_CAP_N}, fields={"cap_n": str(MAX_CAP_N)}
        )
    if not 1 <= cap_days <= MAX_CAP_DAYS:
        raise InvalidError(
            _("Between 1 and %(n)s days") % {"n": MAX_CAP_DAYS}, fields={"cap_days": str(MAX_CAP_DAYS)}
        )
    enter_gate(brand)
    policy = policy_of(brand)
    before = audit.snapshot(policy, ["cap_n", "cap_days"])
    policy.cap_n, policy.cap_days = cap_n, cap_days
    policy.save()
    audit.record(
        by, "touch_policy.edit", policy, before=before, after=audit.snapshot(policy, ["cap_n", "cap_days"])
    )
    return policy
