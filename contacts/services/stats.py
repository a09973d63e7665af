"""ContactStat: one narrow row beside each contact, kept in the transaction that changes the contact."""

from collections.abc import Iterable

from django.db import connection, transaction

from contacts import hooks
from contacts.services.staging import numbers
from tenants.models import Brand

SLICE = 50_000

# what the row copies from the contact
_COPIED = ("position", "n_follows", "added_at", "lost_at", "gender", "do_not_contact")
_COLUMNS = ", ".join(_COPIED)
UPSERT = f"""
    INSERT INTO contacts_contactstat AS s (brand_id, contact_id, {_COLUMNS}, spent_fen, n_orders)
    SELECT c.brand_id, c.id, {", ".join(f"c.{name}" for name in _COPIED)}, 0, 0
      FROM contacts_contact c WHERE c.brand_id = %s AND c.id = ANY(%s::bigint[]) ORDER BY c.id
    ON CONFLICT (brand_id, contact_id) DO UPDATE
       SET ({_COLUMNS}) = ROW ({", ".join(f"excluded.{name}" for name in _COPIED)})
     WHERE ({", ".join(f"s.{name}" for name in _COPIED)})
           IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _COPIED)})
"""  # noqa: S608


def refresh(brand: Brand, contact_ids: Iterable[int]) -> None:
    """Make the rows of some contacts agree with the contacts, in the caller's transaction; set-based, safe to
    repeat. Their flags, guides and codes follow in the bitmaps at the end of the transaction."""
    ids = sorted(set(contact_ids))
    if not ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(UPSERT, [brand.pk, numbers(ids)])
    hooks.contacts_changed(brand, ids)


def make(brand: Brand, first: int, n: int) -> None:
    """The rows of contacts that this transaction has just made at `n` positions from `first` on (some may be empty), with
    their bits: for a hundred thousand at once."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO contacts_contactstat (brand_id, contact_id, {_COLUMNS}, spent_fen, n_orders)"  # noqa: S608
            f" SELECT c.brand_id, c.id, {', '.join(f'c.{name}' for name in _COPIED)}, 0, 0 FROM contacts_contact c"
            " WHERE c.brand_id = (SELECT %s::bigint) AND c.position >= %s AND c.position < %s ORDER BY c.id",
            [brand.pk, first, first + n],
        )
    hooks.contacts_made(brand, first, n)


def join(brand: Brand, *, keep_id: int, lose_id: int, bits: Iterable[tuple[int, int]]) -> None:
    """Two contacts become one: orders are added up, the row of the one that ends is deleted with its bits (`hooks.bits_of`)."""
    hooks.contacts_joined(brand, keep_id=keep_id, lose_id=lose_id, bits=bits)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE contacts_contactstat k SET n_orders = k.n_orders + l.n_orders,"
            " spent_fen = k.spent_fen + l.spent_fen,"
            " first_order_at = least(k.first_order_at, l.first_order_at),"
            " last_order_at = greatest(k.last_order_at, l.last_order_at)"
            " FROM contacts_contactstat l WHERE l.brand_id = %s AND l.contact_id = %s AND l.n_orders > 0"
            " AND k.brand_id = %s AND k.contact_id = %s",
            [brand.pk, lose_id, brand.pk, keep_id],
        )
        cursor.execute(
            "DELETE FROM contacts_contactstat WHERE brand_id = %s AND contact_id = %s", [brand.pk, lose_id]
        )


def rebuild(brand: Brand) -> int:
    """Compare all rows with the contacts and repair; gives how many were wrong. Slices of 50,000, each in a
    short transaction of its own, so call it outside of transactions."""
    after, n = 0, 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM contacts_contact"
                " WHERE brand_id = %s AND id > %s ORDER BY id LIMIT %s) x",
                [brand.pk, after, SLICE],
            )
            (ids,) = cursor.fetchone()
            if not ids:
                return n
            cursor.execute(UPSERT, [brand.pk, ids])
            n += cursor.rowcount
            after = ids[-1]
