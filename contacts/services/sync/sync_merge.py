"""Relations as WeCom lists them, merged into ours: some thirty statements for a thousand or five thousand of them.

Only differences are written. What a guide or a code has changed here and WeCom may not show yet (the outbox) is left
alone.
"""

from collections.abc import Sequence

from django.db import IntegrityError, connection

from contacts.models import Follow
from contacts.services import stats
from contacts.services.follow import SAME
from contacts.services.positions import Places
from contacts.services.search import refresh_grams
from contacts.services.staging import numbers
from contacts.services.sync import sync_new, sync_stage
from contacts.services.sync import sync_writes as write
from contacts.services.sync.sync_stage import Found
from contacts.services.sync.sync_types import Conflict, Known, Merged, Row
from org.models import Corp
from tenants.models import Brand


def merge(
    brand: Brand,
    corp: Corp,
    rows: Sequence[Row],
    text: bytes = b"",
    *,
    careful: bool = False,
    places: Places | None = None,
) -> Merged:
    """Merge rows of one corp, each relation once, in the caller's transaction; safe to repeat.

    Args:
        text: the same rows as `sync_rows.lines` writes them.
        careful: the try before this one was a Conflict.
        places: positions for new contacts that were taken beforehand.

    Raises:
        Conflict: roll back and try again.
    """
    done = Merged(relations=len(rows))
    if not rows:
        return done
    found = sync_stage.compare(brand, corp, rows, text)
    if found.n_new or found.changed:
        try:
            _write(brand, corp, rows, found, done, careful, places or Places(brand))
        except IntegrityError as error:
            raise Conflict from error
    return done


def _write(
    brand: Brand, corp: Corp, rows: Sequence[Row], found: Found, done: Merged, careful: bool, places: Places
) -> None:
    _lock(brand, corp, found.contact_ids)
    new = sync_new.New(brand, corp, rows)
    if found.n_persons:
        new.make_contacts(places.take(found.n_persons))
        done.new_contacts = found.n_persons
    new.note_identities()
    if found.n_new:
        done.new_relations = new.make_follows(found.n_new, careful=careful)
    if found.changed:
        done.changed, done.returned = _change(brand, corp, found.changed)
    if found.n_new:
        new.finish()
    for contact_id, n in sync_new.to_join() if found.n_other_owners else ():
        write.join(brand, contact_id, rows[n])
    for contact_id, phone in new.waiting_members():
        write.join_member(brand, contact_id, phone)


def _change(brand: Brand, corp: Corp, changed: Sequence[tuple[Row, Known]]) -> tuple[int, int]:
    """Write what differs on relations that we have; gives how many changed and how many live again."""
    returns = [(row, known) for row, known in changed if is_return(row, known)]
    back = [(row, known) for row, known in changed if is_back(row, known)]
    renamed = {known.contact_id: row for row, known in changed if known.profile != _profile(row, known)}
    write.write_profiles(brand, renamed)
    remarked = write.write_follows(brand, corp, changed)
    write.bring_back(brand, corp, returns, back)
    if renamed:
        stats.refresh(brand, renamed)
    if renamed or remarked:
        refresh_grams(brand, set(renamed) | remarked)
    return len(renamed) + len(remarked), len(returns) + len(back)


def _profile(row: Row, known: Known) -> tuple:
    """WeCom's profile; a name that it does not tell stays."""
    return (row.name or known.profile[0], *row.profile()[1:])


def is_return(row: Row, known: Known) -> bool:
    """A newer adding than the one we know: confirmed by the guide, or added again without our hearing of
    it."""
    if known.ended_at:
        return row.added_at > known.ended_at
    return known.is_pending or row.added_at > known.added_at + SAME


def is_back(row: Row, known: Known) -> bool:
    """A relation that WeCom did not list for a while (e.g. outside the visible range), and lists again."""
    return known.ended_at is not None and known.end_kind == Follow.End.GONE and row.added_at <= known.ended_at


def _lock(brand: Brand, corp: Corp, contact_ids: Sequence[int]) -> None:
    """In one order everywhere: whoever changes relations of a contact holds its row (services/follow.py).

    Raises:
        Conflict: somebody has been joined with another contact, or parted from one, since the comparison.
    """
    if contact_ids:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM contacts_contact WHERE brand_id = (SELECT %s) AND id = ANY(%s::bigint[])"
                " ORDER BY id FOR NO KEY UPDATE",
                [brand.pk, numbers(contact_ids)],
            )
            if cursor.rowcount != len(contact_ids) or sync_stage.have_moved(brand, corp):
                raise Conflict
