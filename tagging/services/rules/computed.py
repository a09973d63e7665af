"""动态标签: tags that move by themselves with a number of the person: months since joining, a baby's age, money spent.

Everybody is compared set by set, each night and when a set changes, and only differences are written; one person when
something happens to them (reacting.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from contacts.models import CustomField
from contacts.services import outbox
from org import audit
from org.access import SYSTEM, Actor
from org.models import Corp, Job
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, InvalidError, SCRMError
from tagging.measures import MEASURES, Bracket, problems
from tagging.models import Color, ComputedTag, Tag, TagAct
from tagging.services.tags import acts, deleting, library
from tagging.services.tags.changes import FEW, Done, Pairs, put_on, take_off
from tenants.models import Brand

JOB = "tag_computed"
SLICE = 50_000  # people per step
MAX_BRACKETS = 20
MAX_SETS = 30


# ---- what people do


def brackets_of(row: ComputedTag) -> list[Bracket]:
    return [Bracket(b.get("from"), b.get("to"), bool(b.get("none"))) for b in row.brackets]


def save(
    brand: Brand,
    *,
    by: Actor,
    values: Mapping[str, Any],
    row: ComputedTag | None = None,
    corp: Corp | None = None,
) -> ComputedTag:
    """Make a set of computed tags with its group, or change one. Outside of transactions, because corp tags are made in
    WeCom. A bracket that is dropped takes its tag with it.

    Args:
        values: name, measure, field_id, brackets: [{name, from, to, none, tag_id of a bracket that stays}].
        corp: of a new set: corp tags, which guides see in WeCom; else the platform's own.

    Raises:
        InvalidError: `fields` names what is wrong (`brackets.2` for a bracket); ConflictError.
    """
    name = library.clean_name(str(values.get("name") or ""))
    measure, field = _measure(values)
    wanted = _brackets(values.get("brackets"))
    if row is None:
        with transaction.atomic():
            alive = ComputedTag.objects.filter(deleted_at=None)
            if alive.count() >= MAX_SETS:
                raise ConflictError(_("There can be at most %(n)s computed tags") % {"n": MAX_SETS})
            if alive.filter(name=name).exists():
                raise _taken()
        group = library.create_group(
            brand, by=by, name=name, names=[b["name"] for b in wanted], corp=corp, color=Color.TEAL
        )
        row = ComputedTag(created_by=by.name, group=group)
    else:
        _change_tags(brand, by, row, wanted)
    with transaction.atomic():
        tags = dict(Tag.objects.filter(group=row.group_id, deleted_at=None).values_list("name", "pk"))
        before = audit.snapshot(row, ["name", "measure", "brackets"]) if row.pk else {}
        row.name, row.measure, row.field = name, measure, field
        row.brackets = [
            {"from": b["from"], "to": b["to"], "none": b["none"], "tag_id": tags[b["name"]]} for b in wanted
        ]
        row.run_on = None  # the next tick goes through everybody
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError as error:
            raise _taken() from error
        after = audit.snapshot(row, ["name", "measure", "brackets"])
        audit.record(
            by, "computed_tag.edit" if before else "computed_tag.create", row, before=before, after=after
        )
    return row


def _taken() -> ConflictError:
    text = _("There is a computed tag of this name already")
    return ConflictError(text, fields={"name": text})


def _measure(values: Mapping[str, Any]) -> tuple[str, CustomField | None]:
    measure = MEASURES.get(str(values.get("measure")))
    if measure is None:
        raise InvalidError(_("Choose one of the list"), fields={"measure": _("Choose one of the list")})
    if not measure.field_type:
        return str(values["measure"]), None
    with transaction.atomic():
        field = CustomField.objects.filter(
            pk=values.get("field_id") or 0, type=measure.field_type, archived_at=None
        ).first()
    if field is None:
        text = _("Choose a field of the right type")
        raise InvalidError(text, fields={"field_id": text})
    return str(values["measure"]), field


def _brackets(given: Any) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not given:
        raise InvalidError(
            _("At least one bracket is needed"), fields={"brackets": _("At least one bracket is needed")}
        )
    if len(given) > MAX_BRACKETS:
        raise InvalidError(_("At most %(n)s brackets") % {"n": MAX_BRACKETS}, fields={"brackets": ""})
    found: list[dict[str, Any]] = []
    wrong: dict[str, str] = {}
    for index, one in enumerate(given):
        try:
            found.append(
                {
                    "name": library.clean_name(str(one.get("name") or "")),
                    "from": _number(one.get("from")),
                    "to": _number(one.get("to")),
                    "none": bool(one.get("none")),
                    "tag_id": one.get("tag_id"),
                }
            )
        except (InvalidError, AttributeError, TypeError, ValueError) as error:
            wrong[f"brackets.{index}"] = (
                str(error) if isinstance(error, InvalidError) else str(_("A number is needed"))
            )
    if not wrong:
        shapes = [Bracket(b["from"], b["to"], b["none"]) for b in found]
        wrong = {f"brackets.{index}": str(text) for index, text in problems(shapes)}
        names = [b["name"] for b in found]
        wrong |= {
            f"brackets.{i}": str(_("This name is there twice")) for i, n in enumerate(names) if n in names[:i]
        }
    if wrong:
        raise InvalidError(next(iter(wrong.values())), fields=wrong)
    return found


def _number(value: Any) -> float | None:
    if value in (None, ""):
        return None
    if isinstance(value, bool):
        raise TypeError
    number = float(value)
    if not abs(number) < 2**53:
        raise ValueError
    return int(number) if number.is_integer() else number


def _change_tags(brand: Brand, by: Actor, row: ComputedTag, wanted: list[dict[str, Any]]) -> None:
    """Tags of brackets that stay are renamed, those of dropped ones deleted, new ones made."""
    with transaction.atomic():
        group = row.group
        tags = {
            tag.pk: tag for tag in Tag.objects.filter(group=group, deleted_at=None).select_related("group")
        }
    stay = {int(b["tag_id"]): b for b in wanted if b["tag_id"] and int(b["tag_id"]) in tags}
    dropped = [tags[b["tag_id"]] for b in row.brackets if b["tag_id"] in tags and b["tag_id"] not in stay]
    if dropped:
        with transaction.atomic():  # no longer needed by this set
            row.brackets = [b for b in row.brackets if b["tag_id"] in stay]
            row.save(update_fields=["brackets"])
        for tag in dropped:
            deleting.delete_tag(brand, by=by, tag=tag)
    for tag_id, bracket in stay.items():
        library.rename(brand, by=by, item=tags[tag_id], name=bracket["name"])
    there = {tags[tag_id].name for tag_id in stay}
    if new := [b["name"] for b in wanted if b["name"] not in there]:
        library.create_tags(brand, by=by, group=group, names=new)


@transaction.atomic
def switch(brand: Brand, *, by: Actor, row: ComputedTag, on: bool) -> Job | None:
    """Switched on, everybody is gone through at once, as the job that is given. Switched off, tags stay as they are."""
    from tagging.services.rules.reacting import READER, has_work  # which imports this module

    if row.is_on == on:
        return None
    if on and not has_work(brand):
        outbox.begin_here(brand, READER)
    row.is_on = on
    row.save(update_fields=["is_on"])
    audit.record(by, "computed_tag.on" if on else "computed_tag.off", row)
    return start(brand, row=row, by=by) if on else None


def delete(brand: Brand, *, by: Actor, row: ComputedTag) -> None:
    """Delete a set with its tags. Outside of transactions. Errors as `deleting.delete_group`, for what else names its
    tags; then the set is off and stays."""
    with transaction.atomic():
        group = row.group
        brackets, row.brackets, row.is_on = row.brackets, [], False  # its tags are needed by the set no more
        row.save(update_fields=["brackets", "is_on"])
    try:
        deleting.delete_group(brand, by=by, group=group)
    except SCRMError:
        with transaction.atomic():
            row.brackets = brackets
            row.save(update_fields=["brackets"])
        raise
    with transaction.atomic():
        row.deleted_at = clock.now()
        row.save(update_fields=["deleted_at"])
        audit.record(by, "computed_tag.delete", row)


# ---- the comparison

# Everybody of `which` with the tag that they should have.
_WANT = """
    SELECT p.contact_id, b.tag_id FROM (SELECT s.contact_id, {value} AS v FROM contacts_contactstat s {join}
                                         WHERE s.brand_id = %(brand)s AND {which}) p
      JOIN unnest(%(lows)s::float8[], %(highs)s::float8[], %(none)s::bool[], %(b_tags)s::bigint[])
           AS b(low, high, is_none, tag_id)
        ON (p.v IS NULL AND b.is_none)
           OR (p.v IS NOT NULL AND NOT b.is_none AND (b.low IS NULL OR p.v >= b.low) AND (b.high IS NULL OR p.v < b.high))
"""
_VALUES = """
    {kind} JOIN contacts_customvalue v ON v.brand_id = %(brand)s AND v.field_id = %(field)s AND v.contact_id = s.contact_id
       AND {which}
"""
_OFF = """
    SELECT ct.tag_id, ct.contact_id FROM tagging_contacttag ct
     WHERE ct.brand_id = %(brand)s AND ct.tag_id = ANY(%(all_tags)s) AND {which}
       AND NOT EXISTS (SELECT 1 FROM ({want}) w WHERE w.contact_id = ct.contact_id AND w.tag_id = ct.tag_id)
"""
_ON = """
    SELECT w.tag_id, w.contact_id FROM ({want}) w
     WHERE NOT EXISTS (SELECT 1 FROM tagging_contacttag ct WHERE ct.brand_id = %(brand)s AND ct.tag_id = ANY(%(all_tags)s)
                          AND {which} AND ct.tag_id = w.tag_id AND ct.contact_id = w.contact_id)
"""


def _compare(
    brand: Brand, row: ComputedTag, which: str, params: dict[str, Any], *, are_many: bool
) -> tuple[int, int]:
    """Write the differences of some people; gives (added, removed). `which` is a test of `{}.contact_id`."""
    measure, shapes = MEASURES[row.measure], brackets_of(row)
    join = ""
    if measure.field_type:
        has_none = any(shape.is_none for shape in shapes)
        join = _VALUES.format(kind="LEFT" if has_none else "", which=which.format("v"))
    want = _WANT.format(value=measure.sql, join=join, which=which.format("s"))
    tag_ids = [b["tag_id"] for b in row.brackets]
    values = {
        **params,
        "today": clock.today(brand.timezone),
        "zone": brand.timezone,
        "field": row.field_id,
        "lows": [s.low for s in shapes],
        "highs": [s.high for s in shapes],
        "none": [s.is_none for s in shapes],
        "b_tags": tag_ids,
        "all_tags": tag_ids,
    }
    source = f"computed:{row.pk}"
    theirs = which.format("ct")

    def pairs(sql: str) -> Pairs:
        return Pairs(sql.format(want=want, which=theirs), values, is_joined=are_many)

    off: Done = take_off(brand, pairs(_OFF), source=source)
    on = put_on(brand, pairs(_ON), source=source)
    return on.n, off.n


def refresh(brand: Brand, row: ComputedTag, contact_ids: Sequence[int]) -> int:
    """Some people compared, in the caller's transaction; gives how many tags moved."""
    ids, are_many = list(contact_ids), len(contact_ids) > FEW
    which = "{}.contact_id = ANY(%(ids)s)"
    added, removed = _compare(brand, row, which, {"ids": ids}, are_many=are_many)
    if added or removed:
        acts.count(_act(brand, row), added=added, removed=removed)
    return added + removed


def _act(brand: Brand, row: ComputedTag) -> TagAct:
    tags = [b["tag_id"] for b in row.brackets]
    return acts.of_day(
        brand,
        kind=TagAct.Kind.COMPUTED,
        title=row.name,
        day=clock.today(brand.timezone),
        owner_id=row.pk,
        add=tags,
        remove=tags,
    )


def start(brand: Brand, *, row: ComputedTag, by: Actor) -> Job:
    """Go through everybody as a job, in the caller's transaction."""
    title = _("Computed tag “%(name)s”") % {"name": row.name}
    return jobs.start_job(brand, kind=JOB, title=f"{title} #{row.pk}", params={"row_id": row.pk}, by=by)


def start_due(brand: Brand) -> list[Job]:
    """The sets that have not been gone through since the brand's midnight, or since they were changed."""
    with transaction.atomic():
        today = clock.today(brand.timezone)
        rows = ComputedTag.objects.filter(is_on=True, deleted_at=None).exclude(run_on=today)
        return [start(brand, row=row, by=SYSTEM) for row in rows.order_by("pk")]


def step(brand: Brand, job: Job) -> bool:
    """One step: the next people."""
    with transaction.atomic():
        row = ComputedTag.objects.filter(pk=job.params["row_id"], deleted_at=None, is_on=True).first()
        if row is None:
            raise ConflictError(_("It was switched off meanwhile"))
        low = int(job.position.get("after", 0))
        began = job.position.get("day") or clock.today(brand.timezone).isoformat()
        n, high = _next(brand, low)
        if n:
            which = "{0}.contact_id > %(low)s AND {0}.contact_id <= %(high)s"
            added, removed = _compare(brand, row, which, {"low": low, "high": high}, are_many=True)
            if added or removed:
                acts.count(_act(brand, row), added=added, removed=removed)
            moved = int(job.result.get("changed", 0)) + added + removed
            place = {"after": high, "day": began}
            jobs.save_step(job, position=place, n_done=job.n_done + n, result={"changed": moved})
            return True
        # the day on which it began: what changes after midnight is of the next night
        ComputedTag.objects.filter(pk=row.pk).update(run_at=clock.now(), run_on=began)
        return False


def _next(brand: Brand, low: int) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(max(contact_id), 0) FROM (SELECT contact_id FROM contacts_contactstat"
            " WHERE brand_id = %s AND contact_id > %s ORDER BY contact_id LIMIT %s) x",
            [brand.pk, low, SLICE],
        )
        return cursor.fetchone()


def counts(brand: Brand, row: ComputedTag) -> dict[int, int]:
    """How many people fall into each bracket now, by its tag; nothing is changed. Also for sets that are not saved."""
    measure, shapes = MEASURES[row.measure], brackets_of(row)
    join = _VALUES.format(kind="LEFT") if measure.field_type else ""
    want = _WANT.format(value=measure.sql, join=join, which="true")
    params: dict[str, Any] = {
        "brand": brand.pk,
        "today": clock.today(brand.timezone),
        "zone": brand.timezone,
        "field": row.field_id,
        "lows": [s.low for s in shapes],
        "highs": [s.high for s in shapes],
        "none": [s.is_none for s in shapes],
        "b_tags": list(range(len(shapes))),
    }
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT tag_id, count(*) FROM ({want}) w GROUP BY 1", params)  # noqa: S608
        return dict(cursor.fetchall())
