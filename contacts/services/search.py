"""Search by name or remark through rows of bigrams, by outside id through identities.

LIKE and trigrams are no index conditions under row-level security; equality of text is. `contact_gram`
holds the bigrams and single characters of each contact's name and remarks.
"""

from collections.abc import Iterable

from django.db import connection
from django.db.models import Exists, OuterRef, Q

from contacts.models import Contact, ContactGram, ContactQuerySet, Follow, Identity
from org.models import Corp
from tenants.models import Brand

MAX_TEXT = 40


def grams_of(*texts: str) -> set[str]:
    """Single characters and bigrams of names, in lower case; white space counts as one blank and never
    alone."""
    grams: set[str] = set()
    for text in texts:
        plain = _plain(text)
        grams.update(plain, (plain[i : i + 2] for i in range(len(plain) - 1)))
    grams.discard(" ")
    return grams


def _plain(text: str) -> str:
    return " ".join(text.replace("\x00", "").lower().split())


def search(brand: Brand, text: str, contacts: ContactQuerySet | None = None) -> ContactQuerySet:
    """Contacts whose name or a remark holds `text`, or one of whose identities is exactly `text`.

    One character is looked up as it is, two or more by their bigrams and then compared; empty text filters
    nothing.
    """
    contacts = Contact.objects.all() if contacts is None else contacts
    plain = _plain(text)[:MAX_TEXT]
    if not plain:
        return contacts
    if (
        len(plain) > 3 and plain.isascii() and " " not in plain
    ):  # an id, a phone or a member number looks like this
        found = set(_by_identity(text.strip()[:64]))
        if found:
            return contacts.filter(pk__in=found)
    if len(plain) == 1:
        return contacts.filter(_has_gram(plain))
    for i in range(len(plain) - 1):
        contacts = contacts.filter(_has_gram(plain[i : i + 2]))
    # all bigrams are there, but perhaps not side by side, or spread over name and remarks
    remarks = Follow.objects.filter(contact=OuterRef("pk"), remark__icontains=plain)
    return contacts.filter(Q(name__icontains=plain) | Exists(remarks))


def _by_identity(value: str) -> list[int]:
    # kind and scope are spelt out, because the index begins with them
    scopes = ["", *Corp.objects.values_list("corpid", flat=True)]
    found = Identity.objects.filter(kind__in=Identity.Kind.values, scope__in=scopes, value=value)
    return list(found.values_list("contact_id", flat=True)[:50])


def _has_gram(gram: str) -> Exists:
    return Exists(ContactGram.objects.filter(contact=OuterRef("pk"), gram=gram))


def refresh_grams(brand: Brand, contact_ids: Iterable[int]) -> None:
    """Make the grams of some contacts agree with their names and remarks, in the caller's transaction;
    set-based."""
    ids = sorted(set(contact_ids))
    texts: dict[int, list[str]] = {
        pk: [name] for pk, name in Contact.objects.filter(pk__in=ids).values_list("pk", "name")
    }
    for pk, remark in (
        Follow.objects.filter(contact__in=list(texts)).exclude(remark="").values_list("contact_id", "remark")
    ):
        texts[pk].append(remark)
    wanted = {(pk, gram) for pk, parts in texts.items() for gram in grams_of(*parts)}
    present = set(ContactGram.objects.filter(contact__in=ids).values_list("contact_id", "gram"))
    _delete(brand, sorted(present - wanted))
    _insert(brand, sorted(wanted - present))


def _delete(brand: Brand, rows: list[tuple[int, str]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM contacts_contactgram g"
                " USING unnest(%s::bigint[], %s::text[]) AS x(contact_id, gram)"
                " WHERE g.brand_id = %s AND g.contact_id = x.contact_id AND g.gram = x.gram",
                [[r[0] for r in rows], [r[1] for r in rows], brand.pk],
            )


def _insert(brand: Brand, rows: list[tuple[int, str]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO contacts_contactgram (brand_id, contact_id, gram)"
                " SELECT %s, x.contact_id, x.gram"
                " FROM unnest(%s::bigint[], %s::text[]) AS x(contact_id, gram)"
                " ON CONFLICT DO NOTHING",
                [brand.pk, [r[0] for r in rows], [r[1] for r in rows]],
            )
