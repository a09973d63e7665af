"""Who is not the same person, whatever ids say: said once by somebody, kept for good."""

from django.db import connection
from django.db.models import Q

from contacts.models import NotSame
from org.access import Actor
from tenants.models import Brand

# two contacts of a statement, by SQL of their ids
SQL = (
    "EXISTS (SELECT 1 FROM contacts_notsame z WHERE z.brand_id = %(brand)s AND z.one_id = least({one}, {two})"
    " AND z.two_id = greatest({one}, {two}))"
)


def mark(brand: Brand, one_id: int, two_id: int, *, by: Actor) -> None:
    """Two contacts are two people, in the caller's transaction; safe to repeat."""
    row = NotSame(one_id=min(one_id, two_id), two_id=max(one_id, two_id), said_by=by.name)
    NotSame.objects.bulk_create([row], ignore_conflicts=True)


def unmark(one_id: int, two_id: int) -> None:
    """Somebody knows better now: they are one person."""
    NotSame.objects.filter(one_id=min(one_id, two_id), two_id=max(one_id, two_id)).delete()


def are_marked(one_id: int, two_id: int) -> bool:
    return NotSame.objects.filter(one_id=min(one_id, two_id), two_id=max(one_id, two_id)).exists()


def others(contact_id: int) -> set[int]:
    """Contacts who are not the same as this one."""
    rows = NotSame.objects.filter(Q(one_id=contact_id) | Q(two_id=contact_id)).values_list("one_id", "two_id")
    return {other for pair in rows for other in pair} - {contact_id}


def carry_over(brand: Brand, *, keep_id: int, lose_id: int) -> None:
    """Whoever is not the one that ends is not the one that stays either. What was said of the one that ends stays too: it
    may come back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO contacts_notsame (brand_id, one_id, two_id, said_by, said_at)"
            " SELECT brand_id, least(x.other, %(keep)s), greatest(x.other, %(keep)s), said_by, said_at FROM ("
            "   SELECT brand_id, two_id AS other, said_by, said_at FROM contacts_notsame"
            "    WHERE brand_id = %(brand)s AND one_id = %(lose)s"
            "   UNION ALL SELECT brand_id, one_id, said_by, said_at FROM contacts_notsame"
            "    WHERE brand_id = %(brand)s AND two_id = %(lose)s) x"
            " WHERE x.other <> %(keep)s ON CONFLICT DO NOTHING",
            {"brand": brand.pk, "keep": keep_id, "lose": lose_id},
        )


def carry_back(brand: Brand, *, keep_id: int, lost_id: int) -> None:
    """They are two again: what was said of the one that comes back alone holds for the other one no more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM contacts_notsame k USING ("
            "   SELECT two_id AS other, said_by, said_at FROM contacts_notsame"
            "    WHERE brand_id = %(brand)s AND one_id = %(lost)s"
            "   UNION ALL SELECT one_id, said_by, said_at FROM contacts_notsame"
            "    WHERE brand_id = %(brand)s AND two_id = %(lost)s) x"
            " WHERE k.brand_id = %(brand)s AND x.other <> %(keep)s AND k.one_id = least(x.other, %(keep)s)"
            "   AND k.two_id = greatest(x.other, %(keep)s) AND (k.said_by, k.said_at) = (x.said_by, x.said_at)",
            {"brand": brand.pk, "keep": keep_id, "lost": lost_id},
        )
