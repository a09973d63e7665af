# ruff: noqa: S608  names of tables and of our own targets; values are parameters
"""Members of a plan written in sets: new contacts with their identities, what has changed on others, joined ones."""

from typing import Any

from django.db import IntegrityError, transaction

from commerce.models import Order
from contacts import hooks
from contacts.models import Contact, CustomField, EventType, WaitingBehaviour
from contacts.services import positions, stats
from contacts.services.identity import apart
from contacts.services.identity.identity import merge
from contacts.services.search_sets import add_grams, refill_grams
from contacts.services.staging import analyze
from datafiles.kinds import members_tags
from datafiles.kinds.base import Code, Done, Task
from datafiles.kinds.members_kept import keep_before
from datafiles.models import ImportChange, ImportRange
from datafiles.services.tracks import note_ranges
from tenants.db.joins import joined_by_hash

IDS = ("external_userid", "unionid", "member_no", "phone")
STRONG = IDS[:3]
ATTACH = 5_000  # people for whom waiting orders are looked up at once
_COLUMNS = {"name": "c.name", "gender": "c.gender", "dnc": "c.do_not_contact", "member_at": "c.member_at"}


def apply(task: Task, cursor: Any) -> Done:
    """Write the rows of the temporary table `rows`, in the caller's transaction; each brings a `new_id`, for those whose
    contact is made here.

    For fields and tags `touched(n, id, is_new)` holds the contacts that were made or changed.
    """
    done = Done()
    cursor.execute(f"SELECT count(*) FILTER (WHERE code = {Code.NEW}), count(*) FROM rows")
    n_new, n_all = cursor.fetchone()
    first = _make(task, cursor, n_new, done) if n_new else 0
    if n_all > n_new:
        _join(task, cursor, done)
        _change(task, cursor, done)
    if has_fields(task) or task.has("tags"):
        _touched(cursor, done)
        _fields(task, cursor)
        members_tags.put_on(task, cursor, done)
    if n_new:
        stats.make(task.brand, first, n_new)  # last: its bits come behind those of the tags
    return done


def _touched(cursor: Any, done: Done) -> None:
    cursor.execute("CREATE TEMP TABLE touched (n integer, id bigint, is_new boolean) ON COMMIT DROP")
    if done.new:
        cursor.execute(f"INSERT INTO touched SELECT n, new_id, true FROM rows WHERE code = {Code.NEW}")
    if done.changed:
        cursor.execute("INSERT INTO touched SELECT n, id, false FROM change")


# ---- new ones


def _make(task: Task, cursor: Any, n_new: int, done: Done) -> int:
    """Gives the first of their positions."""
    first = task.place
    if first is None:  # a whole block: one number alone would come from a spare
        first = positions.take(task.brand, max(n_new, 2))
    name, gender, dnc, member_at = (
        f"r.{key}" if task.has(key) else "NULL" for key in ("name", "gender", "dnc", "member_at")
    )
    # in the order of the plan: the newest first, as the indexes of lists go
    cursor.execute(
        f"""
        INSERT INTO contacts_contact (brand_id, id, position, name, avatar, gender, kind, corp_name, do_not_contact,
                                      n_follows, added_at, member_at)
        SELECT %(brand)s, r.new_id, %(first)s + row_number() OVER () - 1, coalesce({name}, ''), '',
               coalesce({gender}::smallint, 0), {Contact.Kind.WECHAT}, '', coalesce({dnc}::boolean, false), 0,
               least({member_at}::timestamptz, %(now)s), coalesce({member_at}::timestamptz, %(now)s)
          FROM rows r WHERE r.code = {Code.NEW}
        """,
        {**task.params, "first": first},
    )
    done.new = cursor.rowcount
    _identities(task, cursor, done)
    note_ranges(cursor, task.file, "contact", f"SELECT new_id AS id FROM rows WHERE code = {Code.NEW}")
    if task.has("name"):
        add_grams(
            task.brand,
            f"SELECT new_id AS id, name AS text FROM rows WHERE code = {Code.NEW} AND name IS NOT NULL",
        )
    return first


def _identities(task: Task, cursor: Any, done: Done) -> None:
    given = [kind for kind in IDS if task.has(kind)]
    rows = ", ".join(f"('{kind}', {_scope(kind)}, r.{kind})" for kind in given)
    insert = f"""
        INSERT INTO contacts_identity (brand_id, contact_id, kind, scope, value, added_at)
        SELECT %(brand)s, r.new_id, v.kind, v.scope, v.value, %(now)s
          FROM rows r, LATERAL (VALUES {rows}) v(kind, scope, value)
         WHERE r.code = {Code.NEW} AND v.value IS NOT NULL ORDER BY v.kind, v.scope, v.value
    """
    try:
        with transaction.atomic():  # nobody has any of these ids, as far as the check knows
            cursor.execute(insert, task.params)
    except IntegrityError:
        # of two who name one number whoever stands first in the plan has it
        cursor.execute(f"{insert}, r.ctid ON CONFLICT DO NOTHING", task.params)
        _give_up_overtaken(task, cursor, given, done)


def _give_up_overtaken(task: Task, cursor: Any, given: list[str], done: Done) -> None:
    """Somebody has just told the same person, or another row of this file has: those are judged again."""
    strong = [kind for kind in given if kind != "phone"]
    missing = " OR ".join(
        f"(r.{kind} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM contacts_identity i WHERE i.brand_id = %(brand)s"
        f" AND i.kind = '{kind}' AND i.scope = {_scope(kind)} AND i.value = r.{kind} AND i.contact_id = r.new_id))"
        for kind in strong
    )
    nothing = "NOT EXISTS (SELECT 1 FROM contacts_identity i WHERE i.brand_id = %(brand)s AND i.contact_id = r.new_id)"
    cursor.execute(
        f"CREATE TEMP TABLE overtaken ON COMMIT DROP AS SELECT r.new_id AS id FROM rows r"
        f" WHERE r.code = {Code.NEW} AND ({missing or 'false'} OR {nothing})",
        task.params,
    )
    done.late += cursor.rowcount
    done.new -= cursor.rowcount
    for statement in (
        "DELETE FROM contacts_identity i USING overtaken o WHERE i.brand_id = %(brand)s AND i.contact_id = o.id",
        "DELETE FROM contacts_contact c USING overtaken o WHERE c.brand_id = %(brand)s AND c.id = o.id",
        "DELETE FROM rows r USING overtaken o WHERE r.new_id = o.id",
    ):
        cursor.execute(statement, task.params)
    if "phone" in given:
        cursor.execute(
            f"SELECT count(*) FROM rows r WHERE r.code = {Code.NEW} AND r.phone IS NOT NULL AND NOT EXISTS (SELECT 1"
            " FROM contacts_identity i WHERE i.brand_id = %(brand)s AND i.contact_id = r.new_id AND i.kind = 'phone')",
            task.params,
        )
        done.notes["phones_of_others"] = cursor.fetchone()[0]


def _scope(kind: str) -> str:
    return "%(corpid)s" if kind == "external_userid" else "''"


# ---- those who are there


def _join(task: Task, cursor: Any, done: Done) -> None:
    """Two records of one person, as this file says. Few, one by one, through the one place that merges."""
    cursor.execute(f"SELECT n, contact_id, other_id FROM rows WHERE code = {Code.JOIN} ORDER BY n")
    for n, *pair in cursor.fetchall():
        found = list(Contact.objects.select_for_update().filter(pk__in=pair).order_by("pk"))
        if len(found) == 2 and apart.are_marked(*pair):  # said while the file was checked
            continue
        if len(found) == 2:
            merge(task.brand, keep=found[0], lose=found[1], why={"import": task.file.pk}, source="import")
            done.notes["joined"] = done.notes.get("joined", 0) + 1
        if found:
            cursor.execute("UPDATE rows SET contact_id = %s WHERE n = %s", [found[0].pk, n])


def _change(task: Task, cursor: Any, done: Done) -> None:
    cursor.execute(
        "SELECT coalesce(array_agg(DISTINCT contact_id), '{}')::text FROM rows"
        f" WHERE code IN ({Code.CHANGED}, {Code.JOIN})"
    )
    params = {**task.params, "ids": cursor.fetchone()[0]}
    # in one order everywhere: two bulk acts on the same people wait for each other instead of deadlocking
    cursor.execute(
        "CREATE TEMP TABLE locked ON COMMIT DROP AS SELECT id, name, gender, do_not_contact, member_at, profile_at"
        " FROM contacts_contact WHERE brand_id = (SELECT %(brand)s) AND id = ANY(%(ids)s::bigint[]) ORDER BY id"
        " FOR NO KEY UPDATE",
        params,
    )
    cursor.execute("ANALYZE locked (id)")
    new = {key: _after(task, key) for key in _COLUMNS}
    sides = ", ".join(f"{_COLUMNS[key]} AS old_{key}, {value} AS {key}" for key, value in new.items())
    cursor.execute(
        f"CREATE TEMP TABLE change ON COMMIT DROP AS SELECT k.n, c.id, {sides} FROM rows k"
        f" JOIN locked c ON c.id = k.contact_id WHERE k.code IN ({Code.CHANGED}, {Code.JOIN}) ORDER BY c.id, k.n",
        params,
    )
    n_there = cursor.rowcount
    cursor.execute(f"SELECT count(*) FROM rows WHERE code IN ({Code.CHANGED}, {Code.JOIN})")
    done.late += cursor.fetchone()[0] - n_there
    differs = " OR ".join(f"x.{key} IS DISTINCT FROM x.old_{key}" for key in new)
    cursor.execute(f"SELECT count(*), array_agg(id)::text FROM change x WHERE {differs}")
    n_changed, params["ids"] = cursor.fetchone()
    if n_changed:
        with joined_by_hash(cursor, n_changed):
            cursor.execute(
                "UPDATE contacts_contact c SET name = x.name, gender = x.gender, do_not_contact = x.dnc, member_at = x.member_at"
                " FROM change x WHERE c.brand_id = (SELECT %(brand)s) AND c.id = x.id AND c.id = ANY(%(ids)s::bigint[])",
                params,
            )
    _note_identities(task, cursor)
    analyze(cursor, "noted", "change (id)")
    with joined_by_hash(cursor, n_there):
        keep_before(task, cursor, list(new))
    done.changed = n_there
    _follow_up(task, cursor)


def _note_identities(task: Task, cursor: Any) -> None:
    """Further ids of people who are there; `noted` holds them."""
    cursor.execute(
        "CREATE TEMP TABLE noted (contact_id bigint, kind text, scope text, value text) ON COMMIT DROP"
    )
    given = [kind for kind in IDS if task.has(kind)]
    is_further = " OR ".join(f"(k.{kind} IS NOT NULL AND NOT k.has_{kind})" for kind in given)
    cursor.execute(f"SELECT EXISTS (SELECT 1 FROM rows k WHERE k.code <> {Code.NEW} AND ({is_further}))")
    if not cursor.fetchone()[0]:
        return
    rows = ", ".join(f"('{kind}', {_scope(kind)}, k.{kind}, k.has_{kind})" for kind in given)
    cursor.execute(
        f"""
        WITH now AS (
            INSERT INTO contacts_identity (brand_id, contact_id, kind, scope, value, added_at)
            SELECT %(brand)s, x.id, v.kind, v.scope, v.value, %(now)s
              FROM change x JOIN rows k USING (n), LATERAL (VALUES {rows}) v(kind, scope, value, is_there)
             WHERE v.value IS NOT NULL AND NOT v.is_there
             ORDER BY v.kind, v.scope, v.value ON CONFLICT DO NOTHING RETURNING contact_id, kind, scope, value)
        INSERT INTO noted SELECT * FROM now
        """,
        task.params,
    )


def _follow_up(task: Task, cursor: Any) -> None:
    """What depends on the columns of a contact: words of the search, the narrow row, bits, the timeline."""
    cursor.execute(
        "SELECT coalesce(array_agg(id) FILTER (WHERE name <> old_name), '{}'),"
        " coalesce(array_agg(id) FILTER (WHERE gender <> old_gender OR dnc <> old_dnc OR (name <> old_name AND '' IN"
        " (name, old_name)) OR old_member_at IS NULL), '{}') FROM change"
    )
    renamed, flagged = cursor.fetchone()
    if renamed:
        refill_grams(task.brand, renamed)
    stats.refresh(task.brand, flagged)
    if task.has("dnc"):
        _tell_do_not_contact(task, cursor)


def _after(task: Task, key: str) -> str:
    """The value of a column of the contact after the row; WeCom's own name and gender stand."""
    if key == "member_at":
        given = "k.member_at" if task.has(key) else "NULL"
        return f"coalesce({given}, c.member_at, %(now)s)"
    if not task.has(key):
        return _COLUMNS[key]
    if key == "dnc":
        return "coalesce(k.dnc, c.do_not_contact)"
    empty = "c.name = ''" if key == "name" else "c.gender = 0"
    return f"CASE WHEN c.profile_at IS NULL OR {empty} THEN coalesce(k.{key}, c.{key}) ELSE c.{key} END"


def _tell_do_not_contact(task: Task, cursor: Any) -> None:
    cursor.execute(
        "INSERT INTO contacts_event (brand_id, at, contact_id, type, source, data)"
        f" SELECT %(brand)s, %(now)s, x.id, {EventType.DO_NOT_CONTACT}, 'import',"
        " jsonb_build_object('value', x.dnc, 'by', %(by)s::text) FROM change x WHERE x.dnc <> x.old_dnc",
        {**task.params, "by": task.file.created_by},
    )


# ---- fields and tags, of all


def has_fields(task: Task) -> list[str]:
    return [key for key in task.columns if key[0] == "f" and key[1:].isdecimal()]


def _fields(task: Task, cursor: Any) -> None:
    keys = has_fields(task)
    if not keys:
        return
    cursor.execute(
        "CREATE TEMP TABLE people ON COMMIT DROP AS SELECT t.id AS person_id, t.is_new, r.* FROM touched t JOIN rows r USING (n)"
    )
    for key in keys:
        column = CustomField(type=_FIELD_TYPES[task.columns[key].target.type]).column
        cursor.execute(
            f"""
            WITH told AS (
                SELECT p.person_id, p.is_new, p.{key} AS value, w.{column} AS old FROM people p
                  LEFT JOIN contacts_customvalue w ON w.brand_id = %(brand)s AND w.field_id = %(field)s
                        AND w.contact_id = p.person_id
                 WHERE p.{key} IS NOT NULL AND w.{column} IS DISTINCT FROM p.{key}
            ), done AS (
                INSERT INTO contacts_customvalue (brand_id, field_id, contact_id, {column})
                SELECT %(brand)s, %(field)s, person_id, value FROM told ORDER BY person_id
                ON CONFLICT (brand_id, field_id, contact_id) DO UPDATE SET {column} = excluded.{column}
            )
            INSERT INTO datafiles_importchange AS w (brand_id, file_id, "table", object_id, before, after)
            SELECT %(brand)s, %(file)s, 'contact', person_id, jsonb_build_object('{key}', old),
                   jsonb_build_object('{key}', value)
              FROM told WHERE NOT is_new
            ON CONFLICT (brand_id, file_id, "table", object_id) DO UPDATE
               SET before = excluded.before || w.before, after = w.after || excluded.after
            """,
            {**task.params, "file": task.file.pk, "field": int(key[1:])},
        )


_FIELD_TYPES = {"text": "text", "number": "number", "day": "date", "choice": "choice", "bool": "bool"}


def finish(task: Task) -> None:
    """After the last slice: orders and behaviour that waited for these people become theirs."""
    with transaction.atomic():
        waits = (
            Order.objects.filter(contact=None).exclude(buyer_value="").exists()
            or WaitingBehaviour.objects.exists()
        )
        changed = ImportChange.objects.filter(file=task.file, table="contact", after__has_key="identities")
        ranges = (
            list(ImportRange.objects.filter(file=task.file, table="contact").values_list("low", "high"))
            if waits
            else []
        )
        ids = list(changed.values_list("object_id", flat=True)) if waits else []
    for low, high in ranges:
        for start in range(low, high + 1, ATTACH):
            with transaction.atomic():
                hooks.identities_noted(task.brand, list(range(start, min(start + ATTACH, high + 1))))
    for start in range(0, len(ids), ATTACH):
        with transaction.atomic():
            hooks.identities_noted(task.brand, ids[start : start + ATTACH])
