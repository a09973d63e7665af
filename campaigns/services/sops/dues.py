"""Who is due when: lists of enrolments by moment, beside the wide rows of enrolments.

A step changes no column of an enrolment that an index holds, so its row is rewritten within its page; thousands of people
who wait for one moment are a few rows here. Whoever writes `next_run_at` or lets somebody back in lists them in the same
statement (`listing`). Lists are only added to: who was moved since still stands in an older one, so whoever takes a list
looks at the rows, and puts back who is due and could not be had.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from campaigns.services.ledger.touches import array
from tenants.db import statistics
from tenants.db.joins import joined_by_hash, joined_by_place
from tenants.db.under_way import begin
from tenants.models import Brand

_MOVED = """ RETURNING e.id, e.brand_id, e.contact_id, e.joined_at, e.next_run_at, e.version_id, e.ended_at, e.is_parked
), listed AS (
    INSERT INTO campaigns_enrolmentdue (brand_id, next_run_at, is_graph, n, ids)
    SELECT brand_id, next_run_at, version_id IS NOT NULL, count(*), array_agg(id)
      FROM moved WHERE ended_at IS NULL AND NOT is_parked AND next_run_at IS NOT NULL
     GROUP BY 1, 2, 3, id / 1024
) """  # a list has neighbours only: they lie in few pages
_IS_ANY = """
    SELECT EXISTS (SELECT FROM campaigns_enrolmentdue WHERE brand_id = %s AND is_graph = %s AND next_run_at <= %s)
"""
_PROBE = """
    SELECT EXISTS (SELECT FROM campaigns_enrolmentdue WHERE brand_id = %(b)s AND NOT is_graph AND next_run_at <= %(at)s),
           EXISTS (SELECT FROM campaigns_enrolmentdue WHERE brand_id = %(b)s AND is_graph AND next_run_at <= %(at)s)
"""
_TAKE = """
    DELETE FROM campaigns_enrolmentdue WHERE brand_id = %(b)s AND id = ANY(ARRAY(
        SELECT id FROM (
            SELECT id, n, sum(n) OVER (ORDER BY next_run_at, id) - n AS before FROM (
                SELECT id, n, next_run_at FROM campaigns_enrolmentdue
                 WHERE brand_id = %(b)s AND is_graph = %(graph)s AND next_run_at <= %(at)s
                 ORDER BY next_run_at, id LIMIT %(limit)s) earliest) counted
         WHERE counted.before = 0 OR counted.before + counted.n <= %(limit)s))
    RETURNING n, array_to_string(ids, ',')
"""
# of enrolments named by their ids: `ended_at IS NULL` would let Postgres take the index of those who are in an SOP, which it
# believes empty as long as it has counted only people who have ended: then all of the brand's are read, for each id again
STILL_IN = "coalesce(e.ended_at, 'infinity') = 'infinity'"
_DUE = (
    f"NOT e.is_parked AND {STILL_IN} AND e.next_run_at <= %(at)s AND (e.version_id IS NOT NULL) = %(graph)s"
)
_CLAIM = f"""
    SELECT {{columns}} FROM campaigns_enrolment e WHERE e.brand_id = %(b)s AND e.id = ANY(%(ids)s::bigint[]) AND {_DUE}
     ORDER BY e.next_run_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""  # noqa: S608
_CLAIM_EACH = f"""
    SELECT found.* FROM (SELECT DISTINCT unnest(%(ids)s::bigint[]) AS id ORDER BY 1) listed
     CROSS JOIN LATERAL (SELECT {{columns}} FROM campaigns_enrolment e
                          WHERE e.brand_id = (SELECT %(b)s) AND e.id = listed.id AND {_DUE}
                         OFFSET 0 FOR UPDATE SKIP LOCKED) found
     ORDER BY found.next_run_at LIMIT %(limit)s
"""  # noqa: S608
_PLACES = """
    SELECT moved.id, found.place::text FROM unnest(%s::bigint[]) AS moved(id) CROSS JOIN LATERAL (
        SELECT ctid AS place FROM campaigns_enrolment WHERE brand_id = (SELECT %s) AND id = moved.id OFFSET 0) found
"""
_PUT_BACK = f"""
    INSERT INTO campaigns_enrolmentdue (brand_id, next_run_at, is_graph, n, ids)
    SELECT e.brand_id, e.next_run_at, %(graph)s, count(*), array_agg(e.id) FROM campaigns_enrolment e
     WHERE e.brand_id = %(b)s AND e.id = ANY(%(ids)s::bigint[]) AND {_DUE} AND e.id <> ALL(%(had)s::bigint[])
     GROUP BY e.brand_id, e.next_run_at, e.id / 1024 RETURNING n
"""  # noqa: S608
_MEND = """
    INSERT INTO campaigns_enrolmentdue (brand_id, next_run_at, is_graph, n, ids)
    SELECT e.brand_id, e.next_run_at, e.version_id IS NOT NULL, count(*), array_agg(e.id) FROM campaigns_enrolment e
     WHERE e.brand_id = %(b)s AND e.ended_at IS NULL AND NOT e.is_parked AND e.next_run_at < %(before)s
       AND NOT EXISTS (SELECT FROM (SELECT d.next_run_at, d.is_graph, unnest(d.ids) AS id FROM campaigns_enrolmentdue d
                                     WHERE d.brand_id = %(b)s AND d.next_run_at < %(before)s) l
                        WHERE l.id = e.id AND l.next_run_at = e.next_run_at
                          AND l.is_graph = (e.version_id IS NOT NULL))
     GROUP BY 1, 2, 3, e.id / 1024 RETURNING n
"""
OVERDUE = timedelta(hours=1)


def listing(sql: str, give: str = "SELECT count(*) FROM moved") -> str:
    """A statement that writes enrolments `e` and lists those of them who wait for a moment.

    Args:
        sql: an INSERT or UPDATE of `campaigns_enrolment` as `e`, without RETURNING.
        give: what it answers with, from `moved`: id, contact_id, joined_at …
    """
    return "WITH moved AS (" + sql + _MOVED + give


def places_of(text: str) -> list[str]:
    """Places in the table of enrolments (`ctid`), as Postgres writes an array of them; `touches.quoted` is the way back."""
    return text[2:-2].split('","')


@contextmanager
def advancing(
    brand: Brand, sql: str, places: Mapping[int, str], given: Callable[[Mapping[int, str]], Sequence[Any]]
) -> Iterator[None]:
    """Move enrolments on that the transaction has locked, while the block prepares what comes next: it must not ask
    Postgres. They are where they were when they were locked, so that no index is asked; unless the transaction has written
    some of them since: then their places are looked up.

    Args:
        sql: of `listing`, by places.
        places: {enrolment: its place} of those who move.
        given: its parameters for some places.
    """
    params = given(places)  # while Postgres may be at something else still
    with connection.cursor() as cursor:
        with joined_by_place(cursor):
            counted = begin(sql, params, len(places))
            yield
            [(n,)] = counted()
        if n != len(places):
            cursor.execute(_PLACES, [array(places), brand.pk])
            found = dict(cursor.fetchall())
            with joined_by_place(cursor):
                cursor.execute(sql, given(found))


def probe(brand: Brand, at: datetime) -> tuple[bool, bool]:
    """Whether anybody may be due in an SOP of steps, and in a graph."""
    with connection.cursor() as cursor:
        cursor.execute(_PROBE, {"b": brand.pk, "at": at})
        by_day, by_graph = cursor.fetchone()
    return by_day, by_graph


def is_any(brand: Brand, at: datetime, *, is_graph: bool) -> bool:
    """The same for one form."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_ANY, [brand.pk, is_graph, at])
        return bool(cursor.fetchone()[0])


def take(brand: Brand, at: datetime, limit: int, *, is_graph: bool) -> tuple[int, str]:
    """Take the earliest lists that are due at `at`, as many as hold no more than `limit` people and at least one, in the
    caller's transaction, which holds the gate: (people listed, an array literal of them). Who is not had goes back by
    `put_back`."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"b": brand.pk, "at": at, "graph": is_graph, "limit": limit})
        rows = cursor.fetchall()
    return sum(row[0] for row in rows), array(row[1] for row in rows)


def claim(brand: Brand, n_listed: int, *, columns: str) -> str:
    """A SELECT that locks who of some lists is due, the earliest first, with parameters `b`, `ids`, `at`, `graph`, `limit`;
    whom somebody else holds is passed over. One by one in a brand that counts for little with Postgres: it would go through
    all that are in an SOP.

    Args:
        columns: of the enrolment `e`, with its `next_run_at`.
    """
    knows = statistics.believes(brand, "campaigns_enrolment", 2 * n_listed)
    return (_CLAIM if knows else _CLAIM_EACH).format(columns=columns)


def put_back(brand: Brand, at: datetime, listed: str, had: Collection[int], *, is_graph: bool) -> int:
    """List again who of some lists is due and was not had: somebody else holds the row, or the batch was full. Gives how
    many."""
    with connection.cursor() as cursor:
        cursor.execute(
            _PUT_BACK, {"b": brand.pk, "at": at, "ids": listed, "had": array(had), "graph": is_graph}
        )
        return sum(row[0] for row in cursor.fetchall())


def mend(brand: Brand, at: datetime) -> int:
    """List again who has been due for an hour and is in no list; gives how many: none, unless something went wrong."""
    # after an outage everybody is due: each beside each list of theirs would take hours under the gate
    with connection.cursor() as cursor, joined_by_hash(cursor):
        cursor.execute(_MEND, {"b": brand.pk, "before": at - OVERDUE})
        return sum(row[0] for row in cursor.fetchall())
