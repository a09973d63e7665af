"""Relations that the sync sees for the first time: persons, outside ids, relations, their events and tags, written from
the temporary tables of sync_stage.py in a fixed number of statements."""

from django.db import connection

from contacts import hooks
from contacts.models import EventType
from contacts.services import positions, stats
from contacts.services.follow import recount
from contacts.services.search import first_grams, refresh_grams
from contacts.services.sync_types import Conflict
from contacts.services.timeline import record_selected
from org.models import Corp
from scrm import clock
from tenants.models import Brand

_PERSONS = """
    CREATE TEMP TABLE sync_person ON COMMIT DROP AS
    SELECT x.person, x.n, x.n_guides, x.added_s, NULL::bigint AS contact_id,
           %s + row_number() OVER (ORDER BY x.n) - 1 AS position
      FROM (SELECT s.person, min(s.n) AS n, count(DISTINCT p.staff_id) AS n_guides, min(p.added_s) AS added_s
              FROM sync_found s JOIN sync_page p ON p.n = s.n WHERE s.person IS NOT NULL GROUP BY 1) x
"""
_MAKE_CONTACTS = """
    WITH made AS (
        INSERT INTO contacts_contact
               (brand_id, position, name, avatar, gender, kind, corp_name, do_not_contact, n_follows, added_at,
                profile_at)
        SELECT %s, x.position, p.name, p.avatar, p.gender, p.kind, p.corp_name, false, x.n_guides,
               to_timestamp(x.added_s), %s
          FROM sync_person x JOIN sync_page p ON p.n = x.n ORDER BY x.position
        RETURNING position, id
    )
    UPDATE sync_person x SET contact_id = made.id FROM made WHERE made.position = x.position
"""
_NAME_CONTACTS = """
    UPDATE sync_found s SET contact_id = x.contact_id FROM sync_person x WHERE x.person = s.person
"""
# an id that was free a moment ago must still be; a phone number may belong to several, the first one keeps it
_NOTE_IDENTITIES = """
    WITH wanted AS (
        SELECT DISTINCT ON (kind, scope, value COLLATE "C") kind, scope, value, contact_id FROM (
            SELECT 'external_userid' AS kind, %(corpid)s AS scope, p.external_userid AS value, s.contact_id, s.n
              FROM sync_found s JOIN sync_page p ON p.n = s.n WHERE NOT s.has_external
            UNION ALL
            SELECT 'unionid', '', p.unionid, s.contact_id, s.n
              FROM sync_found s JOIN sync_page p ON p.n = s.n WHERE p.unionid <> '' AND s.union_owner IS NULL
            UNION ALL
            SELECT 'phone', '', x.value, s.contact_id, s.n
              FROM sync_found s JOIN sync_page p ON p.n = s.n, unnest(string_to_array(p.phones, ' ')) AS x(value)
             WHERE p.phones <> ''
        ) t ORDER BY kind, scope, value COLLATE "C", n
    ), noted AS (
        INSERT INTO contacts_identity (brand_id, contact_id, kind, scope, value, added_at)
        SELECT %(b)s, contact_id, kind, scope, value, %(now)s FROM wanted ORDER BY kind, scope, value COLLATE "C"
        ON CONFLICT DO NOTHING RETURNING kind, contact_id
    )
    SELECT (SELECT count(*) FROM wanted WHERE kind <> 'phone'), (SELECT count(*) FROM noted WHERE kind <> 'phone'),
           (SELECT array_agg(DISTINCT contact_id) FROM noted)
"""
# one relation for a person and guide, also where WeCom shows the person to the guide under two ids
_DROP_SECONDS = """
    DELETE FROM sync_found s USING (
        SELECT s.n, row_number() OVER (PARTITION BY s.contact_id, p.staff_id ORDER BY s.n) AS k,
               EXISTS (SELECT FROM contacts_follow f WHERE f.brand_id = %s AND f.contact_id = s.contact_id
                                                       AND f.staff_id = p.staff_id) AS is_there
          FROM sync_found s JOIN sync_page p ON p.n = s.n WHERE s.follow_id IS NULL
    ) d WHERE d.n = s.n AND (d.k > 1 OR d.is_there)
"""
_MAKE_FOLLOWS = """
    INSERT INTO contacts_follow
           (brand_id, contact_id, staff_id, corp_id, external_userid, state, channel_code_id, add_way, remark,
            description, wecom_tag_ids, is_pending, added_at, end_kind, changed_at)
    SELECT %s, s.contact_id, p.staff_id, %s, p.external_userid, p.state, c.id, p.add_way, p.remark,
           p.description, string_to_array(p.tag_ids, ' ')::varchar[], false, to_timestamp(p.added_s), '',
           to_timestamp(p.added_s)
      FROM sync_found s JOIN sync_page p ON p.n = s.n
      LEFT JOIN sync_code c ON c.state = p.state
     WHERE s.follow_id IS NULL ORDER BY s.contact_id, p.staff_id
    ON CONFLICT DO NOTHING
"""
ASSIGNED = 202  # WeCom's add_way of whom a colleague has handed over: they did not come by themselves
# the key is that of services/follow.py, so the callback's event does not double it
_ADDED = f"""
    SELECT s.contact_id, {EventType.ADDED} AS type, to_timestamp(p.added_s) AS at, p.staff_id, c.id AS object_id,
           'sync' AS source,
           CASE WHEN p.state <> '' THEN jsonb_build_object('state', p.state) ELSE '{{}}' END
           || CASE WHEN p.add_way <> 0 THEN jsonb_build_object('add_way', p.add_way) ELSE '{{}}' END AS data,
           'follow' AS key_source, 'add:' || p.staff_id || ':' || p.external_userid || ':' || p.added_s AS source_key
      FROM sync_found s JOIN sync_page p ON p.n = s.n
      LEFT JOIN sync_code c ON c.state = p.state
     WHERE s.follow_id IS NULL AND NOT (p.add_way = {ASSIGNED} AND s.person IS NULL)
"""  # noqa: S608
# a relation that is older than what we knew of its contact makes the contact older
_MOVE_BACK = """
    UPDATE contacts_contact c SET added_at = x.added_at
      FROM (SELECT s.contact_id AS id, to_timestamp(min(p.added_s)) AS added_at
              FROM sync_found s JOIN sync_page p ON p.n = s.n
             WHERE s.follow_id IS NULL AND s.person IS NULL GROUP BY 1) x
     WHERE c.brand_id = %s AND c.id = x.id AND c.added_at > x.added_at
"""


_MADE = """
    SELECT x.position, p.staff_id, c.id, s.contact_id, p.name, p.remark
      FROM sync_found s JOIN sync_page p ON p.n = s.n JOIN sync_person x ON x.person = s.person
      LEFT JOIN sync_code c ON c.state = p.state
"""


def make_contacts(brand: Brand) -> tuple[int, int]:
    """A contact for each person whom we do not know; gives the first of their positions, and how many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT person) FROM sync_found")
        (n,) = cursor.fetchone()
        first = positions.take(brand, n)
        cursor.execute(_PERSONS, [first])
        cursor.execute(_MAKE_CONTACTS, [brand.pk, clock.now()])
        cursor.execute(_NAME_CONTACTS)
    return first, n


def note_identities(brand: Brand, corp: Corp) -> None:
    """Keep the outside ids of all that was found.

    Raises:
        Conflict: an id that was free a moment ago is not any more.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_IDENTITIES, {"b": brand.pk, "corpid": corp.corpid, "now": clock.now()})
        n_wanted, n_noted, contact_ids = cursor.fetchone()
    if n_noted != n_wanted:
        raise Conflict
    hooks.identities_noted(brand, contact_ids or [])


def make_follows(brand: Brand, corp: Corp, n_new: int, *, careful: bool) -> int:
    """New relations with their events and tags; gives how many.

    Args:
        careful: look first for relations that cannot be made: the try before this one was a Conflict.

    Raises:
        Conflict: not all could be made.
    """
    with connection.cursor() as cursor:
        if careful:
            cursor.execute(_DROP_SECONDS, [brand.pk])
            n_new -= cursor.rowcount
        cursor.execute(
            "SELECT DISTINCT p.state FROM sync_found s JOIN sync_page p ON p.n = s.n"
            " WHERE s.follow_id IS NULL AND p.state <> ''"
        )
        states = {row[0] for row in cursor.fetchall()}
        codes = hooks.codes_by_state(brand, corp=corp, states=states) if states else {}
        cursor.execute(
            "CREATE TEMP TABLE sync_code ON COMMIT DROP AS SELECT * FROM unnest(%s::text[], %s::bigint[]) AS c(state, id)",
            [list(codes), list(codes.values())],
        )
        cursor.execute(_MAKE_FOLLOWS, [brand.pk, corp.pk])
        if cursor.rowcount != n_new:
            raise Conflict
        record_selected(brand, _ADDED, {})
        cursor.execute(
            "SELECT s.contact_id, p.staff_id, string_to_array(p.tag_ids, ' ') FROM sync_found s"
            " JOIN sync_page p ON p.n = s.n WHERE s.follow_id IS NULL AND p.tag_ids <> ''"
        )
        tagged = cursor.fetchall()
    if tagged:
        hooks.first_tags(brand, corp=corp, rows=tagged)
    return n_new


def finish(brand: Brand, first: int, n_made: int) -> None:
    """What hangs on new relations: counts of contacts that were known; figures, bitmaps and search of those that were
    made, at `n_made` positions from `first` on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT contact_id FROM sync_found WHERE follow_id IS NULL AND person IS NULL"
        )
        met = [row[0] for row in cursor.fetchall()]
        if met:
            cursor.execute(_MOVE_BACK, [brand.pk])
        made = []
        if n_made:
            cursor.execute(_MADE)
            made = cursor.fetchall()
    if met:
        recount(brand, met)
        refresh_grams(brand, met)
    if n_made:
        stats.make(brand, first, n_made)
        hooks.relations_made(brand, [row[:3] for row in made])
        first_grams(brand, [(row[3], text) for row in made for text in row[4:]])


_MEMBERS = """
    SELECT DISTINCT s.contact_id, x.value FROM sync_found s
      JOIN sync_page p ON p.n = s.n AND p.phones <> '', unnest(string_to_array(p.phones, ' ')) AS x(value)
      JOIN contacts_identity i ON i.brand_id = %(b)s AND i.kind = 'phone' AND i.scope = '' AND i.value = x.value
      JOIN contacts_contact c ON c.brand_id = %(b)s AND c.id = i.contact_id
     WHERE c.id <> s.contact_id AND c.member_at IS NOT NULL AND c.n_follows = 0 AND c.lost_at IS NULL
"""


def waiting_members(brand: Brand) -> list[tuple[int, str]]:
    """(contact id, phone) where somebody of an imported list waits with the number that a guide has noted."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM sync_page WHERE phones <> '')")
        if not cursor.fetchone()[0]:
            return []
        cursor.execute(_MEMBERS, {"b": brand.pk})
        return cursor.fetchall()


def to_join() -> list[tuple[int, int]]:
    """(contact id, number of the row) where the row's unionid belongs to another contact."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT contact_id, min(n) FROM sync_found WHERE union_owner <> contact_id"
            " GROUP BY contact_id, union_owner"
        )
        return cursor.fetchall()
