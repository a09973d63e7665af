# ruff: noqa: S608  parts of our own statements
"""Tags that a file of members names: those that are there by name or group/name, new ones in a group of their own."""

from typing import Any

from django.utils.translation import gettext as _

from datafiles.kinds.base import Code, Done, Task
from org.access import Actor
from scrm.errors import InvalidError
from tagging.models import Tag, TagAct, TagGroup
from tagging.services.tags import acts, changes, library

MAX_NEW = 200  # a column of names or remarks is no column of tags
SPLIT = "[,，;；、|]+"
WORDS = f"LATERAL regexp_split_to_table({{0}}.tags, '{SPLIT}') w(word)"


def open_words(task: Task, cursor: Any) -> None:
    """Make `tag_word(word, tag_id)`: names and group/names in lower case that mean one tag."""
    if not task.has("tags"):
        return
    found: dict[str, set[int]] = {}
    for pk, name, group in Tag.objects.filter(deleted_at=None).values_list("pk", "name", "group__name"):
        for word in (name.strip().lower(), f"{group}/{name}".strip().lower()):
            found.setdefault(word, set()).add(pk)
    # where two are called the same, the one that this import has put into its own group is meant
    own = set(task.options.get("made_tags", []))
    pairs = [
        (word, min(pks & own or pks)) for word, pks in found.items() if len(pks) == 1 or len(pks & own) == 1
    ]
    cursor.execute("CREATE TEMP TABLE tag_word (word text, tag_id bigint) ON COMMIT DROP")
    cursor.execute(
        "INSERT INTO tag_word SELECT * FROM unnest(%s::text[], %s::bigint[])",
        [[p[0] for p in pairs], [p[1] for p in pairs]],
    )


def look(task: Task, cursor: Any) -> dict[str, Any]:
    """Names of tags that the file brings and nobody has made yet, or that mean several."""
    if not task.has("tags"):
        return {}
    cursor.execute(
        f"SELECT DISTINCT btrim(w.word) FROM judged j, {WORDS.format('j')} WHERE j.code < {Code.EMPTY}"
        f" AND btrim(w.word) <> '' AND NOT EXISTS (SELECT 1 FROM tag_word m WHERE m.word = lower(btrim(w.word)))"
        f" ORDER BY 1 LIMIT {MAX_NEW + 1}"
    )
    words = [row[0] for row in cursor.fetchall()]
    if len(words) > MAX_NEW and task.options.get("make_tags", True):
        text = _("The column of tags would make more than %(n)d new tags; is it another column?") % {
            "n": MAX_NEW
        }
        raise InvalidError(text)
    return {"new_tags": words}


def make_tags(task: Task) -> None:
    """Before the first slice, in the caller's transaction: the act under which tags are put on, and tags that are missing."""
    if not task.has("tags"):
        return
    by = Actor(task.file.created_by, task.file.user_id)
    words = task.file.checked.get("counts", {}).get("new_tags", [])
    options = dict(task.file.options)
    if "act_id" not in options:
        title = _("Import of “%(name)s”") % {"name": task.file.name}
        options["act_id"] = acts.begin(task.brand, kind=TagAct.Kind.FILE, title=title, by=by).pk
    if words and task.options.get("make_tags", True):
        options["made_tags"] = options.get("made_tags", []) + make(words)
    task.file.options = task.options = options
    task.file.save(update_fields=["options"])


def make(words: list[str]) -> list[int]:
    """Names without a group come into a group of imported tags; names with one into a group of that name."""
    made: list[int] = []
    groups: dict[str, list[str]] = {}
    for word in words:
        before, _sep, name = word.partition("/") if "/" in word.strip("/") else ("", "", word)
        groups.setdefault(before.strip() or _("Imported"), []).append(name.strip()[: library.MAX_NAME])
    for group_name, names in groups.items():
        group = TagGroup.objects.filter(corp=None, name=group_name[: library.MAX_NAME]).first()
        if group is None:
            group = TagGroup.objects.create(name=group_name[: library.MAX_NAME])
        for name in dict.fromkeys(names):
            tag, is_new = Tag.objects.get_or_create(group=group, name=name, deleted_at=None)
            if is_new:
                made.append(tag.pk)
    return made


def put_on(task: Task, cursor: Any, done: Done) -> None:
    """Tags of the people whom the slice has touched."""
    if not task.has("tags"):
        return
    pairs = changes.Pairs(
        f"SELECT m.tag_id, t.id AS contact_id FROM touched t JOIN rows r USING (n), {WORDS.format('r')}"
        " JOIN tag_word m ON m.word = lower(btrim(w.word))"
    )
    act_id = task.options.get("act_id")
    put = changes.put_on(task.brand, pairs, source=f"import:{task.file.pk}", act_id=act_id)
    done.notes["tagged"] = put.n
    cursor.execute(f"SELECT coalesce(array_agg(DISTINCT tag_id), '{{}}') FROM ({pairs.sql}) x")
    act = TagAct.objects.select_for_update(no_key=True).filter(pk=act_id).first() if act_id else None
    if act is not None:
        act.add_tag_ids = sorted({*act.add_tag_ids, *cursor.fetchone()[0]})
        act.n_added += put.n
        act.n_people += done.new + done.changed
        act.save(update_fields=["add_tag_ids", "n_added", "n_people"])
