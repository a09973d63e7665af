"""The statements of tagging/services/tags/changes.py: parts of SQL that are put together there."""

from tagging.models import BITS, Dim

# What a query may give beside tag_id and contact_id; else the arguments hold for all pairs.
COLUMNS = {
    "source": "%(source)s::text",
    "staff_id": "%(staff_id)s::bigint",
    "at": "%(now)s::timestamptz",
    "expires_at": "%(expires_at)s::timestamptz",
    "act_id": "%(act_id)s::bigint",
}

# The database has no foreign keys of carried tags: their checks would cost as much as everything else. Of few pairs the
# rows are locked, so that nobody who ends meanwhile gets a tag; of many the nightly check takes what is nobody's.
# Of the tables only rows of these people and tags are read: joins of many are by hashing, which would read the brand's
# whole part of them. The brand in sub-selects: of one that is new Postgres knows nothing, so it plans for any of them.
# `wanted`: each pair once, by tag and contact, with its position and what the query gives itself.
_TAGS = """
    tags AS MATERIALIZED (
        SELECT t.id AS tag_id, t.name, g.name AS group_name, t.wecom_id <> '' AS is_corp
          FROM tagging_tag t JOIN tagging_taggroup g ON g.brand_id = (SELECT %(brand)s) AND g.id = t.group_id
         WHERE t.brand_id = (SELECT %(brand)s) AND t.id = ANY (ARRAY({ids})) {{present}}
    ),
"""
WANTED = f"""
    {_TAGS.format(ids="SELECT DISTINCT tag_id FROM pairs")}
    wanted AS MATERIALIZED (
        SELECT DISTINCT ON (tag_id, contact_id) * FROM (
            SELECT p.tag_id, p.contact_id, c.position::int AS position {{own}}
              FROM pairs p
              JOIN tags t ON t.tag_id = p.tag_id
              JOIN contacts_contact c ON c.brand_id = (SELECT %(brand)s) AND c.id = p.contact_id
               AND c.id = ANY (ARRAY(SELECT contact_id FROM pairs)) {{lock}}
        ) w ORDER BY tag_id, contact_id{{last}}
    ),
"""  # noqa: S608
# Of every one of some tags for every one of many contacts `pairs` are the contacts: each is met once as it is.
WANTED_EACH = f"""
    {_TAGS.format(ids="SELECT unnest(%(tag_ids)s::bigint[])")}
    wanted AS MATERIALIZED (
        SELECT unnest(ARRAY(SELECT tag_id FROM tags)) AS tag_id, c.id AS contact_id, c.position::int AS position
          FROM contacts_contact c
         WHERE c.brand_id = (SELECT %(brand)s) AND c.id = ANY (ARRAY(SELECT contact_id FROM pairs)) ORDER BY 1, 2
    ),
"""  # noqa: S608
# Where rows of the pairs of `wanted` lie, found tag by tag through the key: an index of contacts would give all tags of
# all of them.
_PLACES = """
    places AS MATERIALIZED (
        SELECT unnest(ARRAY(
            SELECT ct.ctid FROM tagging_contacttag ct
             WHERE ct.brand_id = (SELECT %(brand)s) AND ct.tag_id = t.tag_id AND ct.contact_id = ANY (t.contact_ids) {lock}
        )) AS place FROM (SELECT tag_id, array_agg(contact_id) AS contact_ids FROM wanted GROUP BY 1 ORDER BY 1) t
    ),
"""
_THERE = "ct.brand_id = (SELECT %(brand)s) AND ct.ctid = ANY (ARRAY(SELECT place FROM places))"
LOCKED = "ORDER BY p.tag_id, p.contact_id FOR KEY SHARE OF c"
# `changed`: the pairs of `wanted` that are different now
EVENTS = """
    told AS (
    INSERT INTO contacts_event (brand_id, at, contact_id, type, staff_id, object_id, source, data)
    SELECT %(brand)s, %(now)s, w.contact_id, {kind}, {staff_id}, w.tag_id, left(split_part({source}, ':', 1), 20),
           jsonb_build_object('tag', t.name, 'group', t.group_name, 'why', {source})
      FROM changed w JOIN tags t USING (tag_id)
    ),
"""
# 64 positions are put together as a number first: a kilobyte for each would take longer than all the rest
_FOLDED = f"""
    folded AS MATERIALIZED (
        SELECT tag_id, chunk, bit_or(word::bit(64)::bit({BITS}) >> 64 * nth) AS bits
          FROM (SELECT tag_id, position / {BITS} AS chunk, position %% {BITS} / 64 AS nth,
                       bit_or(1::bigint << 63 - position %% 64) AS word
                  FROM changed GROUP BY 1, 2, 3) x
         GROUP BY 1, 2
    )
"""  # noqa: S608
# How the bitmap follows. A few bits and many are noted, and written with everything else just before the commit
# (tagging/services/bits/bits.py); in a transaction of one statement nobody can be waited for crosswise: at once.
_FEW = "bits AS (SELECT tag_id, position FROM changed)"
_MANY = "bits AS (SELECT tag_id, array_agg(position)::text AS positions FROM changed GROUP BY 1)"
_AT_ONCE = f"""
    {_FOLDED}, written AS (
        INSERT INTO tagging_dimbits AS b (brand_id, dim, val, chunk, bits)
        SELECT %(brand)s, {int(Dim.TAG)}, tag_id, chunk, bits FROM folded ORDER BY tag_id, chunk
        ON CONFLICT (brand_id, dim, val, chunk) DO UPDATE SET bits = b.bits | excluded.bits
    )
"""  # noqa: S608
_NOTED = "(SELECT array_agg(tag_id) FROM bits), (SELECT array_agg({positions}) FROM bits)"
# way → the part of the statement, and what it gives to be noted
BITMAPS = {
    "at once": (_AT_ONCE, "NULL::bigint[], NULL::int[]"),
    "few": (_FEW, _NOTED.format(positions="position")),
    "many": (_MANY, _NOTED.format(positions="positions")),
}
BY_ACT = """
    (SELECT jsonb_object_agg(act_id, n) FROM (
        SELECT w.act_id, count(*) AS n FROM done d JOIN wanted w USING (tag_id, contact_id)
         WHERE w.act_id IS NOT NULL GROUP BY 1) a)
"""
# What WeCom has to be told, as rows: after the change the query may give others.
_CORP = "(SELECT array_agg(w.{name}) FROM wanted w JOIN tags t ON t.tag_id = w.tag_id AND t.is_corp)"
CORP = f"{_CORP.format(name='tag_id')}, {_CORP.format(name='contact_id')}"

_INSERT = "INSERT INTO tagging_contacttag AS ct (brand_id, tag_id, contact_id, source, staff_id, at, expires_at, act_id)"
_ROWS = """
    SELECT %(brand)s, w.tag_id, w.contact_id, {{source}}, {{staff_id}}, {{at}}, {{expires_at}}, {{act_id}} FROM {rows}
"""
_SORTED = "ORDER BY w.tag_id, w.contact_id"
# A row that is there already is only changed when it would end earlier; `xmax` tells the two apart.
_KEPT = """
        ON CONFLICT (brand_id, tag_id, contact_id) DO UPDATE
           SET source = excluded.source, staff_id = excluded.staff_id, expires_at = excluded.expires_at,
               act_id = excluded.act_id
         WHERE ct.expires_at IS NOT NULL AND (excluded.expires_at IS NULL OR excluded.expires_at > ct.expires_at)
        RETURNING tag_id, contact_id, (xmax = 0) AS is_new
"""
DONE = f"""
    done AS ({_INSERT} {_ROWS.format(rows="wanted w")} {_SORTED} {_KEPT}),
    changed AS (SELECT w.* FROM done d JOIN wanted w USING (tag_id, contact_id) WHERE d.is_new),
"""  # noqa: S608
# Of many, those who do not carry it yet are written without asking for each row, which is a quarter cheaper. When somebody
# else puts one of them on at this moment the statement fails, and the other way is gone.
DONE_FRESH = f"""
    fresh AS MATERIALIZED (
        SELECT * FROM wanted w
         WHERE (w.tag_id, w.contact_id) NOT IN (SELECT k.tag_id, k.contact_id FROM known k)
    ),
    written_fresh AS ({_INSERT} {_ROWS.format(rows="fresh w")}),
    again AS ({_INSERT} {_ROWS.format(rows="wanted w JOIN known k ON k.tag_id = w.tag_id AND k.contact_id = w.contact_id")}
              {_SORTED} {_KEPT}),
    done AS (SELECT tag_id, contact_id, true AS is_new FROM fresh UNION ALL SELECT tag_id, contact_id, is_new FROM again),
    changed AS (
        SELECT * FROM fresh
        UNION ALL
        SELECT w.* FROM again d JOIN wanted w USING (tag_id, contact_id) WHERE d.is_new
    ),
"""  # noqa: S608
KNOWN = f"""
    {_PLACES.format(lock="")}
    known AS MATERIALIZED (SELECT ct.* FROM tagging_contacttag ct WHERE {_THERE}),
"""  # noqa: S608
PUT_ON = """
    WITH pairs AS MATERIALIZED ({pairs}), {wanted} {known} {before} {done} {events} {bits}
    SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new), {corp}, {noted}, {by_act} FROM done
"""
BEFORE_PUT_ON = """
    before AS (
        INSERT INTO tagging_tagbefore (brand_id, act_id, tag_id, contact_id, source, staff_id, at, expires_at,
                                       before_act_id)
        SELECT ct.brand_id, {act_id}, ct.tag_id, ct.contact_id, ct.source, ct.staff_id, ct.at, ct.expires_at, ct.act_id
          FROM wanted w JOIN known ct ON ct.tag_id = w.tag_id AND ct.contact_id = w.contact_id
         WHERE {act_id} IS NOT NULL
           AND ct.expires_at IS NOT NULL AND ({expires_at} IS NULL OR {expires_at} > ct.expires_at)
        ON CONFLICT DO NOTHING
    ),
"""
TAKE_OFF = f"""
    WITH pairs AS MATERIALIZED ({{pairs}}), {{wanted}}
    {_PLACES.format(lock="ORDER BY ct.contact_id FOR UPDATE OF ct")}
    done AS (DELETE FROM tagging_contacttag ct WHERE {_THERE} RETURNING ct.*),
    changed AS (SELECT w.* FROM done d JOIN wanted w USING (tag_id, contact_id)),
    {{before}} {{events}} {{bits}}
    SELECT count(*), 0, {{corp}}, {{noted}}, {{by_act}} FROM done
"""  # noqa: S608
BEFORE_TAKE_OFF = """
    before AS (
        INSERT INTO tagging_tagbefore (brand_id, act_id, tag_id, contact_id, source, staff_id, at, expires_at,
                                       before_act_id)
        SELECT d.brand_id, {act_id}, d.tag_id, d.contact_id, d.source, d.staff_id, d.at, d.expires_at, d.act_id
          FROM done d JOIN wanted w USING (tag_id, contact_id) WHERE {act_id} IS NOT NULL
        ON CONFLICT DO NOTHING
    ),
"""
