# ruff: noqa: S608  names of our own tables
"""Members of an import taken back: those whom nobody has met since are removed, others get their values back."""

from typing import Any

from django.apps import apps
from django.utils.translation import gettext as _

from contacts.models import CustomField, EventType, Merge
from contacts.services import stats
from contacts.services.identity import parting
from contacts.services.identity.identity import MOVES
from contacts.services.search_sets import refill_grams
from datafiles.models import ImportFile
from datafiles.services.undo import Undone, doer
from org.models import Job
from scrm import clock
from scrm.errors import ConflictError
from tagging.models import Tag, TagAct
from tagging.services.bits import bits_made
from tagging.services.tags import changes
from tenants.models import Brand

# rows that the import itself has made, or that end with the contact
OWN = {
    "contacts.Identity",
    "contacts.Event",
    "contacts.CustomValue",
    "tagging.ContactTag",
    "tagging.TagBefore",
}
OWN_EVENTS = (EventType.TAGGED, EventType.UNTAGGED, EventType.DO_NOT_CONTACT)


def take_off_tags(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    """Tags that this import has put on, and those that it has made and nobody carries."""
    act = TagAct.objects.select_for_update().filter(pk=file.options.get("act_id")).first()
    if act is not None and act.undone_at is None:
        pairs = changes.Pairs(
            "SELECT tag_id, contact_id FROM tagging_contacttag WHERE brand_id = %(brand)s AND tag_id = ANY(%(tags)s)"
            " AND act_id = %(act)s",
            {"tags": act.add_tag_ids, "act": act.pk},
        )
        changes.take_off(brand, pairs, source=f"import:{file.pk}")
        act.undone_at, act.undone_by = clock.now(), file.created_by
        act.save(update_fields=["undone_at", "undone_by"])
    made = Tag.objects.filter(pk__in=file.options.get("made_tags", []), deleted_at=None)
    for tag in made.order_by("pk"):
        if not tag_is_carried(tag):
            Tag.objects.filter(pk=tag.pk).update(deleted_at=clock.now())
    return Undone()


def tag_is_carried(tag: Tag) -> bool:
    from tagging.models import ContactTag

    return ContactTag.objects.filter(tag=tag).exists()


def part_joined(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    """Whom this import has joined are two again; a later file or guide may join them anew."""
    done, by = Undone(), doer(Job.objects.get(pk=file.job_id or 0))
    for merge in Merge.objects.filter(pk__in=ids).only("contact", "lost_name"):
        try:
            parting.part(brand, contact_id=merge.contact_id, merge_id=merge.pk, by=by, for_good=False)
            done.parted += 1
        except ConflictError as error:
            done.kept.append((merge.contact_id, merge.lost_name, error.message))
    return done


def give_back(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    """Values as they were, unless somebody has changed them since."""
    params: dict[str, Any] = {"brand": brand.pk, "file": file.pk, "ids": ids, "now": clock.now()}
    cursor.execute(
        "SELECT id FROM contacts_contact WHERE brand_id = %(brand)s AND id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE",
        params,
    )
    values = {
        "name": "to_jsonb(c.name)", "gender": "to_jsonb(c.gender)", "dnc": "to_jsonb(c.do_not_contact)",
        "member_at": "to_jsonb(c.member_at)",
    }  # fmt: skip
    now = " || ".join(f"jsonb_build_object('{key}', {sql})" for key, sql in values.items())
    cursor.execute(
        f"""
        CREATE TEMP TABLE changed_back ON COMMIT DROP AS
        SELECT c.id, c.name, w.before, w.after, {now} AS present
          FROM datafiles_importchange w JOIN contacts_contact c ON c.brand_id = %(brand)s AND c.id = w.object_id
         WHERE w.brand_id = %(brand)s AND w.file_id = %(file)s AND w.table = 'contact' AND w.object_id = ANY(%(ids)s)
        """,
        params,
    )
    # moments are compared as such: a session writes them with the offset of its zone
    as_is = dict.fromkeys(values, "x.{0}->'{1}'") | {"member_at": "(x.{0}->>'{1}')::timestamptz"}
    sides = {key: (sql.format("after", key), sql.format("present", key)) for key, sql in as_is.items()}
    same = {key: f"(x.after ? '{key}' AND {after} = {now})" for key, (after, now) in sides.items()}
    cursor.execute(
        f"""
        UPDATE contacts_contact c SET
               name = CASE WHEN {same["name"]} THEN x.before->>'name' ELSE c.name END,
               gender = CASE WHEN {same["gender"]} THEN (x.before->>'gender')::smallint ELSE c.gender END,
               do_not_contact = CASE WHEN {same["dnc"]} THEN (x.before->>'dnc')::boolean ELSE c.do_not_contact END,
               member_at = CASE WHEN {same["member_at"]} THEN (x.before->>'member_at')::timestamptz ELSE c.member_at END
          FROM changed_back x WHERE c.brand_id = %(brand)s AND c.id = x.id AND c.id = ANY(%(ids)s)
        """,
        params,
    )
    # an id by which a guide has the person now stays
    cursor.execute(
        """
        DELETE FROM contacts_identity i USING changed_back x, jsonb_array_elements(x.after->'identities') e
         WHERE i.brand_id = %(brand)s AND i.contact_id = x.id AND i.kind = e->>0 AND i.scope = e->>1 AND i.value = e->>2
           AND NOT EXISTS (SELECT 1 FROM contacts_follow f WHERE f.brand_id = %(brand)s AND f.contact_id = x.id
                              AND f.external_userid = i.value)
        """,
        params,
    )
    for custom in CustomField.objects.order_by("pk"):
        _field_back(cursor, params, custom)
    kept = " OR ".join(f"(x.after ? '{key}' AND {after} <> {now})" for key, (after, now) in sides.items())
    cursor.execute(f"SELECT id, name FROM changed_back x WHERE {kept} ORDER BY id")
    why = _("changed since")
    left = [(pk, name, why) for pk, name in cursor.fetchall()]
    cursor.execute("DROP TABLE changed_back")
    refill_grams(brand, ids)
    stats.refresh(brand, ids)
    return Undone(restored=len(ids) - len(left), kept=left)


def _field_back(cursor: Any, params: dict[str, Any], custom: CustomField) -> None:
    """The values of one custom field: the one before, or none."""
    key, column = f"f{custom.pk}", custom.column
    kind = {"value_number": "float8", "value_date": "date", "value_bool": "boolean"}.get(column, "text")
    values = {**params, "field": custom.pk, "key": key}
    cursor.execute(
        f"DELETE FROM contacts_customvalue v USING changed_back x WHERE v.brand_id = %(brand)s AND v.field_id = %(field)s"
        f" AND v.contact_id = x.id AND jsonb_exists(x.after, %(key)s) AND (x.after->>%(key)s)::{kind} = v.{column}"
        f" AND x.before->>%(key)s IS NULL",
        values,
    )
    cursor.execute(
        f"UPDATE contacts_customvalue v SET {column} = (x.before->>%(key)s)::{kind} FROM changed_back x"
        f" WHERE v.brand_id = %(brand)s AND v.field_id = %(field)s AND v.contact_id = x.id AND jsonb_exists(x.after, %(key)s)"
        f" AND (x.after->>%(key)s)::{kind} = v.{column} AND x.before->>%(key)s IS NOT NULL",
        values,
    )


def remove(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    """Contacts that the import made. Who has a guide, an order, or anything that happened, stays."""
    params: dict[str, Any] = {"brand": brand.pk, "ids": ids, "own": list(map(int, OWN_EVENTS))}
    cursor.execute(
        "CREATE TEMP TABLE going ON COMMIT DROP AS SELECT id, position, name, NULL::text AS why, n_follows, lost_at"
        " FROM contacts_contact WHERE brand_id = %(brand)s AND id = ANY(%(ids)s) ORDER BY id FOR UPDATE",
        params,
    )
    cursor.execute("UPDATE going SET why = 'guide' WHERE n_follows > 0 OR lost_at IS NOT NULL")
    cursor.execute(
        "UPDATE going g SET why = 'guide' WHERE why IS NULL AND EXISTS (SELECT 1 FROM contacts_follow f"
        " WHERE f.brand_id = %(brand)s AND f.contact_id = g.id)",
        params,
    )
    cursor.execute(
        "UPDATE going g SET why = 'event' WHERE why IS NULL AND EXISTS (SELECT 1 FROM contacts_event e"
        " WHERE e.brand_id = %(brand)s AND e.contact_id = g.id AND NOT (e.source = 'import' AND e.type = ANY(%(own)s)))",
        params,
    )
    for move in MOVES:
        if move.model in OWN:
            continue
        table = apps.get_model(move.model)._meta.db_table
        test = f"t.{move.column} @> ARRAY[g.id]" if move.array else f"t.{move.column} = g.id"
        cursor.execute(
            f"UPDATE going g SET why = 'used' WHERE why IS NULL AND EXISTS (SELECT 1 FROM {table} t"
            f" WHERE t.brand_id = %(brand)s AND {test})",
            params,
        )
    cursor.execute("SELECT id, name, why FROM going WHERE why IS NOT NULL ORDER BY id")
    words = {
        "guide": _("has a guide"), "event": _("something has happened since"), "used": _("is used elsewhere"),
    }  # fmt: skip
    kept = [(pk, name, words[why]) for pk, name, why in cursor.fetchall()]
    cursor.execute(
        "SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(position), '{}') FROM going WHERE why IS NULL"
    )
    gone, positions = cursor.fetchone()
    cursor.execute("DROP TABLE going")
    if gone:
        bits_made.contacts_gone(brand, positions)
        for table in (
            "tagging_tagbefore", "tagging_contacttag", "contacts_customvalue", "contacts_contactgram", "contacts_contactstat",
            "contacts_event", "contacts_identity",
        ):  # fmt: skip
            cursor.execute(
                f"DELETE FROM {table} WHERE brand_id = %s AND contact_id = ANY(%s)", [brand.pk, gone]
            )
        cursor.execute("DELETE FROM contacts_contact WHERE brand_id = %s AND id = ANY(%s)", [brand.pk, gone])
    return Undone(removed=len(gone), kept=kept)
