# ruff: noqa: S608  names of tables and of our own targets; values are parameters
"""加好友名单 by file: numbers with names, notes, tags, and for which guide or store they are meant.

The file becomes one list. Nobody gets anything yet: the page of the list gives the numbers out.
"""

from pathlib import PurePath
from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from datafiles.kinds import members_tags
from datafiles.kinds.base import Code, Done, Judgement, Kind, Task
from datafiles.models import ImportFile
from datafiles.services.tracks import note_ranges
from datafiles.targets import Target
from guides.models import LeadList
from guides.services.leads import lists
from guides.services.leads.lists import ListInput
from guides.services.leads.who import IS_KNOWN, STATE, who
from org.access import Actor
from org.models import Staff, Store
from scrm import clock
from tenants.models import Brand

WHO, WHAT, FOR = (
    gettext_lazy("Who it is"),
    gettext_lazy("What is known"),
    gettext_lazy("For whom it is meant"),
)

TARGETS = [
    Target(
        "phone", gettext_lazy("Phone"), "phone",
        ("手机号", "手机", "手机号码", "电话", "联系电话", "移动电话", "电话号码", "phone", "mobile", "tel", "phonenumber",
         "mobilephone"),
        WHO, 40, is_required=True,
    ),
    Target(
        "name", gettext_lazy("Name"), "text",
        ("姓名", "客户姓名", "会员姓名", "名字", "客户名称", "昵称", "称呼", "name", "fullname", "customername"), WHO, 100,
    ),
    Target(
        "note", gettext_lazy("Note for the guide"), "text",
        ("备注", "说明", "跟进说明", "描述", "note", "notes", "remark", "comment"), WHAT, 300,
    ),
    Target(
        "tags", gettext_lazy("Tags"), "words", ("标签", "客户标签", "tags", "tag", "labels"), WHAT, 1000,
        hint=gettext_lazy("Put on when the customer has been added; several ones separated by commas"),
    ),
    Target(
        "guide", gettext_lazy("Guide"), "text",
        ("导购", "员工", "跟进人", "分配员工", "添加人", "顾问", "guide", "staff", "owner", "userid"), FOR, 64,
        hint=gettext_lazy("Name, or WeCom userid"),
    ),
    Target("store", gettext_lazy("Store"), "text", ("门店", "店铺", "所属门店", "store", "shop"), FOR, 64),
]  # fmt: skip


def targets(brand: Brand) -> list[Target]:
    return TARGETS


def params(task: Task) -> dict[str, Any]:
    """`own_…`: where numbers without store and guide go, as those that the same person pastes."""
    user_id = task.file.user_id
    staff = Staff.objects.select_related("role").filter(user_id=user_id).first() if user_id else None
    place = lists.place_of(staff) if staff else lists.Place()
    own = {"own_store": place.store_id, "own_region": place.region_id, "own_guide": place.staff_id}
    return {"file": task.file.pk, "now": clock.now(), **own}


def open_words(task: Task, cursor: Any) -> None:
    """`tag_word` as members have it, and `lead_word(kind, word, id)`: what guides and stores are called."""
    members_tags.open_words(task, cursor)
    rows: list[tuple[str, str, int]] = []
    if task.has("guide"):
        for pk, name, userid in Staff.objects.guides().values_list("pk", "name", "userid"):
            rows += [
                ("guide", word.strip().lower(), pk) for word in {name.lower(), userid.lower()} if word.strip()
            ]
    if task.has("store"):
        rows += [("store", name.strip().lower(), pk) for pk, name in Store.objects.values_list("pk", "name")]
    cursor.execute("CREATE TEMP TABLE lead_word (kind text, word text, id bigint) ON COMMIT DROP")
    cursor.execute(
        "INSERT INTO lead_word SELECT k, w, min(i) FROM unnest(%s::text[], %s::text[], %s::bigint[]) x(k, w, i)"
        " GROUP BY k, w HAVING count(DISTINCT i) = 1",
        [[row[n] for row in rows] for n in range(3)],
    )


def judge(task: Task) -> Judgement:
    joins = [
        who("t.phone"),
        "LEFT JOIN guides_lead o ON o.brand_id = %(brand)s AND o.phone = t.phone"
        " AND o.state IN ('waiting', 'given', 'asked')",
        "LEFT JOIN guides_leadlist g ON g.brand_id = %(brand)s AND g.file_id = %(file)s",
        "LEFT JOIN guides_lead m ON m.brand_id = %(brand)s AND m.list_id = g.id AND m.phone = t.phone",
    ]
    reasons = [
        ("t.phone IS NULL AND t.v_phone IS NULL", "no_id"),
        ("o.id IS NOT NULL AND m.id IS NULL", "open_lead"),
    ]
    extra = {"is_known": ("boolean", f"coalesce({IS_KNOWN}, false)")}
    for key in ("guide", "store"):
        if task.has(key):
            joins.append(
                f"LEFT JOIN lead_word w_{key} ON w_{key}.kind = '{key}' AND w_{key}.word = lower(t.{key})"
            )
            reasons.append((f"t.{key} IS NOT NULL AND w_{key}.id IS NULL", f"unknown_{key}"))
            extra[f"{key}_id"] = ("bigint", f"w_{key}.id")
    return Judgement(
        joins=" ".join(joins),
        code=f"CASE WHEN m.id IS NULL THEN {Code.NEW} ELSE {Code.SAME} END",
        extra=extra,
        reasons=reasons,
        who="t.phone",
        counts={"known": f"is_known AND code = {Code.NEW}"},
        order="n",
    )


def prepare(task: Task) -> None:
    """The list of the file, and tags that are missing."""
    by = Actor(task.file.created_by, task.file.user_id)
    with transaction.atomic():
        if not LeadList.objects.filter(file_id=task.file.pk).exists():
            name = PurePath(task.file.name).stem[:80].strip() or _("Numbers to add")
            lists.create_list(
                task.brand, by=by, given=ListInput(name), source=LeadList.Source.FILE, file_id=task.file.pk
            )
        words = task.file.checked.get("counts", {}).get("new_tags", []) if task.has("tags") else []
        if words and task.options.get("make_tags", True):
            options = dict(task.file.options)
            options["made_tags"] = options.get("made_tags", []) + members_tags.make(words)
            task.file.options = task.options = options
            task.file.save(update_fields=["options"])


def apply(task: Task, cursor: Any) -> Done:
    """Numbers of the plan into the file's list. Who has become a customer since the check is noted as one."""

    def column(key: str, kind: str = "text") -> str:
        return f"r.{key}" if task.has(key.removesuffix("_id")) else f"NULL::{kind}"

    store = f"coalesce({column('store_id', 'bigint')}, %(own_store)s::bigint)"
    region = f"CASE WHEN {store} IS NULL THEN %(own_region)s::bigint END"
    guide = (
        f"coalesce({column('guide_id', 'bigint')}, CASE WHEN {store} IS NULL THEN %(own_guide)s::bigint END)"
    )

    tags = "'{}'::bigint[]"
    if task.has("tags"):
        tags = (
            f"(SELECT coalesce(array_agg(DISTINCT m.tag_id), '{{}}') FROM {members_tags.WORDS.format('r')}"
            " JOIN tag_word m ON m.word = lower(btrim(w.word)))"
        )
    cursor.execute("CREATE TEMP TABLE made_leads (id bigint) ON COMMIT DROP")
    cursor.execute(
        "WITH made AS (INSERT INTO guides_lead (brand_id, list_id, phone, name, note, tag_ids, store_id, region_id, staff_id,"
        "   state, contact_id, said, n_given, created_at)"
        f" SELECT %(brand)s, g.id, r.phone, coalesce({column('name')}, ''), coalesce({column('note')}, ''), {tags},"
        f"   {store}, {region}, {guide}, {STATE}, c.id, '', 0, %(now)s"
        f"  FROM rows r JOIN guides_leadlist g ON g.brand_id = %(brand)s AND g.file_id = %(file)s {who('r.phone')}"
        "  ORDER BY r.n ON CONFLICT DO NOTHING RETURNING id)"
        " INSERT INTO made_leads SELECT id FROM made",
        task.params,
    )
    n = cursor.rowcount
    note_ranges(cursor, task.file, "lead", "SELECT id FROM made_leads")
    done = Done(new=n)
    cursor.execute("SELECT count(*) FROM rows")
    done.late = cursor.fetchone()[0] - n  # in another open list by now: judged again, and then refused
    return done


def page(file: ImportFile) -> tuple[str, Any]:
    return reverse("leads_of_file", args=[file.pk]), _("To the list: give the numbers out")


KIND = Kind(
    key="leads", label=gettext_lazy("Numbers to add"), icon="user-plus",
    hint=gettext_lazy("Phone numbers that guides are to add, with name, note and tags"),
    targets=targets, needs=[("phone",)], judge=judge, apply=apply, open=open_words, look=members_tags.look, prepare=prepare,
    tables=("guides_lead",), params=params, page=page, options={"make_tags": True},
)  # fmt: skip
