"""Relations that the sync sees for the first time: persons, outside ids, relations, their events and tags, written from
the temporary tables of sync_stage.py in a fixed number of statements.

What is new is inserted plainly: who is in the way is a Conflict, found by the key itself.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from django.db import connection

from contacts import hooks
from contacts.models import EventType
from contacts.services.follow import recount
from contacts.services.identity.owner_sql import whose_phone
from contacts.services.search import first_grams, refresh_grams
from contacts.services.sync.sync_types import Row
from contacts.services.timeline import record_selected
from org.models import Corp
from scrm import clock
from tenants.models import Brand

_PERSONS = """
    CREATE TEMP TABLE sync_person ON COMMIT DROP AS
    SELECT x.person, x.n, x.n_guides, x.added_at, nextval('contacts_contact_id_seq') AS contact_id,
           (%(positions)s::bigint[])[row_number() OVER (ORDER BY x.n)] AS position
      FROM (SELECT s.person, min(s.n) AS n, count(DISTINCT p.staff_id) AS n_guides,
                   to_timestamp(min(p.added_s)) AS added_at
              FROM sync_found s JOIN sync_page p ON p.n = s.n WHERE s.person IS NOT NULL GROUP BY 1) x;
    UPDATE sync_found s SET contact_id = x.contact_id FROM sync_person x WHERE x.person = s.person
"""
_MAKE_CONTACTS = """
    WITH made AS (
        INSERT INTO contacts_contact
               (brand_id, id, position, name, avatar, gender, kind, corp_name, do_not_contact, n_follows, added_at,
                profile_at)
        SELECT %(b)s, x.contact_id, x.position, p.name, p.avatar, p.gender, p.kind, p.corp_name, false, x.n_guides,
               x.added_at, %(now)s
          FROM sync_person x JOIN sync_page p ON p.n = x.n ORDER BY x.position
    )
    INSERT INTO contacts_contactstat
           (brand_id, contact_id, position, n_follows, added_at, gender, do_not_contact, spent_fen, n_orders)
    SELECT %(b)s, x.contact_id, x.position, x.n_guides, x.added_at, p.gender, false, 0, 0
      FROM sync_person x JOIN sync_page p ON p.n = x.n ORDER BY x.position
"""
_NOTE_IDENTITIES = """
    WITH wanted AS MATERIALIZED (
        SELECT DISTINCT ON (kind, value COLLATE "C") kind, scope, value, contact_id FROM (
            SELECT 'external_userid' AS kind, %(corpid)s AS scope, p.external_userid AS value, s.contact_id, s.n
              FROM sync_found s JOIN sync_page p ON p.n = s.n WHERE NOT s.has_external
            UNION ALL
            SELECT 'unionid', '', p.unionid, s.contact_id, s.n
              FROM sync_found s JOIN sync_page p ON p.n = s.n WHERE p.unionid <> '' AND s.union_owner IS NULL
        ) t ORDER BY kind, value COLLATE "C", n
    ), noted AS (
        INSERT INTO contacts_identity (brand_id, contact_id, kind, scope, value, added_at)
        SELECT %(b)s, contact_id, kind, scope, value, %(now)s FROM wanted ORDER BY kind, value COLLATE "C"
    )
    SELECT array_agg(DISTINCT contact_id) FROM wanted
"""
# a phone number may belong to several, the first one keeps it
_NOTE_PHONES = """
    WITH noted AS (
        INSERT INTO contacts_identity (brand_id, contact_id, kind, scope, value, added_at)
        SELECT DISTINCT ON (x.value COLLATE "C") %(b)s, s.contact_id, 'phone', '', x.value, %(now)s
          FROM sync_found s JOIN sync_page p ON p.n = s.n, unnest(string_to_array(p.phones, ' ')) AS x(value)
         WHERE p.phones <> '' ORDER BY x.value COLLATE "C", s.n
        ON CONFLICT DO NOTHING RETURNING contact_id
    )
    SELECT array_agg(DISTINCT contact_id) FROM noted
"""
# one relation for a person and guide, also where WeCom shows the person to the guide under two ids
_DROP_SECONDS = """
    DELETE FROM sync_found s USING (
        SELECT s.n, row_number() OVER (PARTITION BY s.contact_id, p.staff_id ORDER BY s.n) AS k,
               EXISTS (SELECT FROM contacts_follow f WHERE f.brand_id = (SELECT %(b)s) AND f.contact_id = s.contact_id
                                                       AND f.staff_id = p.staff_id) AS is_there
          FROM sync_found s JOIN sync_page p ON p.n = s.n WHERE s.follow_id IS NULL
    ) d WHERE d.n = s.n AND (d.k > 1 OR d.is_there)
"""
_CODES = "LEFT JOIN unnest(%(states)s::text[], %(codes)s::bigint[]) AS c(state, id) ON c.state = p.state"
_MAKE_FOLLOWS = f"""
    INSERT INTO contacts_follow
           (brand_id, contact_id, staff_id, corp_id, external_userid, state, channel_code_id, add_way, remark,
            description, wecom_tag_ids, is_pending, added_at, end_kind, changed_at)
    SELECT %(b)s, s.contact_id, p.staff_id, %(corp)s, p.external_userid, p.state, c.id, p.add_way, p.remark,
           p.description, string_to_array(p.tag_ids, ' ')::varchar[], false, to_timestamp(p.added_s), '',
           to_timestamp(p.added_s)
      FROM sync_found s JOIN sync_page p ON p.n = s.n {_CODES}
     WHERE s.follow_id IS NULL ORDER BY s.contact_id, p.staff_id
"""  # noqa: S608
ASSIGNED = 202  # WeCom's add_way of whom a colleague has handed over: they did not come by themselves
# Without a key, which would be one more row of a million: whoever hears of the same adding later finds the relation, and
# looks for its event (services/follow.py).
_ADDED = f"""
    SELECT s.contact_id, {EventType.ADDED} AS type, to_timestamp(p.added_s) AS at, p.staff_id, c.id AS object_id,
           'sync' AS source,
           CASE WHEN p.state <> '' THEN jsonb_build_object('state', p.state) ELSE '{{}}' END
           || CASE WHEN p.add_way <> 0 THEN jsonb_build_object('add_way', p.add_way) ELSE '{{}}' END AS data,
           NULL AS key_source, NULL AS source_key
      FROM sync_found s JOIN sync_page p ON p.n = s.n {_CODES}
     WHERE s.follow_id IS NULL AND NOT (p.add_way = {ASSIGNED} AND s.person IS NULL)
"""  # noqa: S608
_TAGGED = """
    SELECT s.contact_id, p.staff_id, string_to_array(p.tag_ids, ' ') FROM sync_found s
      JOIN sync_page p ON p.n = s.n WHERE s.follow_id IS NULL AND p.tag_ids <> ''
"""
# a relation that is older than what we knew of its contact makes the contact older
_MOVE_BACK = """
    UPDATE contacts_contact c SET added_at = x.added_at
      FROM (SELECT s.contact_id AS id, to_timestamp(min(p.added_s)) AS added_at
              FROM sync_found s JOIN sync_page p ON p.n = s.n
             WHERE s.follow_id IS NULL AND s.person IS NULL GROUP BY 1) x
     WHERE c.brand_id = (SELECT %(b)s) AND c.id = x.id AND c.added_at > x.added_at
"""
_PLACES = f"""
    SELECT p.staff_id, c.id, array_agg(x.position)
      FROM sync_found s JOIN sync_page p ON p.n = s.n JOIN sync_person x ON x.person = s.person {_CODES}
     GROUP BY 1, 2
"""  # noqa: S608
_WORDS = """
    SELECT s.contact_id, p.words AS word FROM sync_found s JOIN sync_page p ON p.n = s.n WHERE s.person IS NOT NULL
    UNION ALL
    SELECT s.contact_id, p.remark_words AS word FROM sync_found s JOIN sync_page p ON p.n = s.n
     WHERE s.person IS NOT NULL AND p.remark_words <> ''
"""
# Those who wait have an index, small until a list of members is imported; whoever has the number is looked up by key.
_MEMBERS = f"""
    SELECT DISTINCT s.contact_id, x.value FROM sync_found s
      JOIN sync_page p ON p.n = s.n AND p.phones <> '', unnest(string_to_array(p.phones, ' ')) AS x(value)
      JOIN LATERAL {whose_phone("x.value", brand="%(b)s")} i ON true
      JOIN LATERAL (SELECT id, member_at, n_follows, lost_at FROM contacts_contact
                     WHERE brand_id = (SELECT %(b)s) AND id = i.contact_id OFFSET 0) c ON true
     WHERE c.id <> s.contact_id AND c.member_at IS NOT NULL AND c.n_follows = 0 AND c.lost_at IS NULL
"""  # noqa: S608


class New:
    """What is new of some rows, written in the caller's transaction, in the order of these methods."""

    def __init__(self, brand: Brand, corp: Corp, rows: Sequence[Row]) -> None:
        self.brand, self.corp = brand, corp
        self.positions: list[int] = []
        self.has_phones = any(row.phones for row in rows)
        self.has_tags = any(row.tag_ids for row in rows)
        self.states = {row.state for row in rows if row.state}
        self.given: dict[str, Any] = {
            "b": brand.pk, "corp": corp.pk, "corpid": corp.corpid, "now": clock.now(), "states": [], "codes": [],
        }  # fmt: skip

    def make_contacts(self, positions: list[int]) -> None:
        """A contact with its figures for each person whom we do not know."""
        self.positions = positions
        with connection.cursor() as cursor:
            cursor.execute(_PERSONS, {"positions": f"{{{','.join(map(str, positions))}}}"})
            cursor.execute(_MAKE_CONTACTS, self.given)

    def note_identities(self) -> None:
        """Keep the outside ids of all that was found."""
        noted: set[int] = set()
        with connection.cursor() as cursor:
            for statement in (_NOTE_IDENTITIES, _NOTE_PHONES) if self.has_phones else (_NOTE_IDENTITIES,):
                cursor.execute(statement, self.given)
                noted.update(cursor.fetchone()[0] or ())
        hooks.identities_noted(self.brand, sorted(noted))

    def make_follows(self, n_new: int, *, careful: bool) -> int:
        """New relations with their events and tags; gives how many.

        Args:
            careful: look first for relations that cannot be made: the try before this one was a Conflict.
        """
        if self.states:
            codes = hooks.codes_by_state(self.brand, corp=self.corp, states=self.states)
            self.given |= {"states": list(codes), "codes": list(codes.values())}
        tagged = []
        with connection.cursor() as cursor:
            if careful:
                cursor.execute(_DROP_SECONDS, self.given)
                n_new -= cursor.rowcount
            cursor.execute(_MAKE_FOLLOWS, self.given)
            record_selected(self.brand, _ADDED, self.given)
            if self.has_tags:
                cursor.execute(_TAGGED)
                tagged = cursor.fetchall()
        if tagged:
            hooks.first_tags(self.brand, corp=self.corp, rows=tagged)
        return n_new

    def finish(self) -> None:
        """What hangs on new relations: counts of contacts that were known; bitmaps and search of those that were made."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT contact_id FROM sync_found WHERE follow_id IS NULL AND person IS NULL"
            )
            met = [row[0] for row in cursor.fetchall()]
            if met:
                cursor.execute(_MOVE_BACK, self.given)
            places = []
            if self.positions:
                cursor.execute(_PLACES, self.given)
                places = cursor.fetchall()
        if met:
            recount(self.brand, met)
            refresh_grams(self.brand, met)
        if self.positions:
            for first, n in runs(self.positions):
                hooks.contacts_made(self.brand, first, n)
            hooks.relations_made(self.brand, places)
            first_grams(self.brand, _WORDS)

    def waiting_members(self) -> list[tuple[int, str]]:
        """(contact id, phone) where somebody of an imported list waits with the number that a guide has noted."""
        if not self.has_phones:
            return []
        with connection.cursor() as cursor:
            cursor.execute(_MEMBERS, self.given)
            return cursor.fetchall()


def runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """(first, how many) of the numbers that follow each other."""
    parts = (list(part) for _, part in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]))
    return [(part[0][1], len(part)) for part in parts]


def to_join() -> list[tuple[int, int]]:
    """(contact id, number of the row) where the row's unionid belongs to another contact."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT contact_id, min(n) FROM sync_found WHERE union_owner <> contact_id"
            " GROUP BY contact_id, union_owner"
        )
        return cursor.fetchall()
