"""Search by name or remark through rows of bigrams, by outside id through identities.

LIKE and trigrams are no index conditions under row-level security; equality of text is. `contact_gram`
holds the bigrams and single characters of each contact's name and remarks.
"""

from collections.abc import Iterable

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from contacts.models import Contact, ContactGram, ContactQuerySet, Follow, Identity
from org.models import Corp
from tenants.models import Brand

MAX_TEXT = 40
MAX_GRAMS = 8  # of a longer text the first ones find, the comparison does the rest


def grams_of(*texts: str) -> set[str]:
    """Single characters and bigrams of names, in lower case; white space counts as one blank and never
    alone."""
    grams: set[str] = set()
    for text in texts:
        plain = searched(text)
        grams.update(plain, (plain[i : i + 2] for i in range(len(plain) - 1)))
    grams.discard(" ")
    return grams


def searched(text: str) -> str:
    """A text as it is searched: lower case, one blank for white space."""
    return " ".join(text.replace("\x00", "").lower().split())


class Search:
    """One text to look for: as an outside id, or as a part of a name or remark.

    One character is looked up as it is, two or more by their bigrams and then compared.
    """

    def __init__(self, text: str) -> None:
        self.text = text.replace("\x00", "").strip()[:64]
        self.plain = searched(text)[:MAX_TEXT]

    def by_identity(self) -> list[int] | None:
        """Ids of contacts of which the text is an identity; None when it is no id of anybody."""
        if len(self.plain) <= 3 or not self.plain.isascii() or " " in self.plain:
            return None
        # kind and scope are spelt out, because the index begins with them
        scopes = ["", *Corp.objects.values_list("corpid", flat=True)]
        found = Identity.objects.filter(kind__in=Identity.Kind.values, scope__in=scopes, value=self.text)
        return sorted(set(found.values_list("contact_id", flat=True)[:50])) or None

    def gram_sets(self) -> list[tuple[Q, QuerySet]]:
        """For each gram of the text: a test of a contact, and the ids of all who have it."""
        plain = self.plain
        grams = [plain] if len(plain) == 1 else [plain[i : i + 2] for i in range(len(plain) - 1)]
        rows = [ContactGram.objects.filter(gram=gram) for gram in list(dict.fromkeys(grams))[:MAX_GRAMS]]
        return [(Q(Exists(row.filter(contact=OuterRef("pk")))), row.values("contact_id")) for row in rows]

    def recheck(self) -> Q:
        """All bigrams are there, but perhaps not side by side, or spread over name and remarks."""
        if len(self.plain) <= 2:
            return Q()  # the gram is the text
        remarks = Follow.objects.filter(contact=OuterRef("pk"), remark__icontains=self.plain)
        return Q(name__icontains=self.plain) | Q(Exists(remarks))


def search(brand: Brand, text: str, contacts: ContactQuerySet | None = None) -> ContactQuerySet:
    """Contacts whose name or a remark holds `text`, or one of whose identities is exactly `text`.

    Empty text filters nothing. For pages use `listing.page`, which chooses how to go about it.
    """
    contacts = Contact.objects.all() if contacts is None else contacts
    what = Search(text)
    if not what.plain:
        return contacts
    found = what.by_identity()
    if found is not None:
        return contacts.filter(pk__in=found)
    return contacts.filter(*(test for test, _ids in what.gram_sets()), what.recheck())


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


FIRST_GRAMS = """
    INSERT INTO contacts_contactgram (brand_id, contact_id, gram)
    SELECT DISTINCT %(b)s, t.contact_id, substr(t.word, t.i, n.length)
      FROM (SELECT contact_id, word, generate_series(1, length(word)) AS i FROM ({words}) w) t, (VALUES (1), (2)) n(length)
     WHERE substr(t.word, t.i, n.length) <> ' ' ORDER BY 3, 2
"""


def first_grams(brand: Brand, words: str) -> None:
    """Search of contacts that this transaction has made: nobody else sees them, and nothing has to go. Faster than
    `refresh_grams`.

    Args:
        words: SELECT of contact_id and word, a name or remark as `searched` gives it, in any number for each.
    """
    with connection.cursor() as cursor:
        cursor.execute(FIRST_GRAMS.format(words=words), {"b": brand.pk})


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
