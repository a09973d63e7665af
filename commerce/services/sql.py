"""Conditions on orders that several statements share."""

from commerce.models import Order

PAID_STATES = (
    "(" + ", ".join(str(s.value) for s in (Order.State.PAID, Order.State.SHIPPED, Order.State.DONE)) + ")"
)

# guide of a customer at a moment, and the guide's store
GUIDE_AT = """
    SELECT f.staff_id, (SELECT m.store_id FROM org_staff m WHERE m.brand_id = (SELECT %(brand)s) AND m.id = f.staff_id)
           AS store_id
      FROM contacts_follow f
     WHERE f.brand_id = (SELECT %(brand)s) AND f.contact_id = {contact} AND NOT f.is_pending AND f.added_at <= {at}
       AND (f.ended_at IS NULL OR f.ended_at > {at}) AND {needed}
     ORDER BY f.added_at DESC, f.id DESC LIMIT 1
"""


def is_sale(row: str) -> str:
    """Does the order `row` count? Paid, not closed, not wholly refunded; what cost nothing counts."""
    return (
        f"({row}.paid_at IS NOT NULL AND {row}.state IN {PAID_STATES}"
        f" AND ({row}.amount_fen = 0 OR {row}.refunded_fen < {row}.amount_fen))"
    )


def is_to_tell(row: str) -> str:
    """Does the order `row` belong on the timeline of its customer?"""
    return f"({row}.contact_id IS NOT NULL AND {row}.paid_at IS NOT NULL AND {row}.state IN {PAID_STATES})"
