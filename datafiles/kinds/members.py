# ruff: noqa: S608  names of tables and of our own targets; values are parameters
"""会员: people by phone, member number, unionid or external_userid, with name, fields and tags.

Who is not there yet becomes a contact without a guide (state `member`): it can be counted, tagged and chosen, orders
find it by its identities, and when the person adds a guide the two become one (contacts/services/identity/identity.py).

Strong ids (external_userid, unionid, member number) say who somebody is. A phone number finds somebody where no strong
id does; where it is another person's, it stays there.
"""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.models import CustomField, Identity
from contacts.services.identity import apart
from datafiles import values
from datafiles.kinds import members_tags
from datafiles.kinds.base import Code, Judgement, Kind, Task
from datafiles.kinds.members_apply import apply, finish
from datafiles.targets import GENDERS, Target
from org.models import Corp
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand

STRONG = ("external_userid", "unionid", "member_no")
IDS = (*STRONG, "phone")
WHO, WHAT, OWN = gettext_lazy("Who it is"), gettext_lazy("What is known"), gettext_lazy("Custom fields")

_FIXED = [
    Target(
        "member_no", gettext_lazy("Member number"), "id",
        ("会员号", "会员编号", "会员卡号", "会员id", "卡号", "memberno", "memberid", "membernumber", "customerid", "用户id",
         "客户编号", "客户id"),
        WHO, 64,
    ),
    Target(
        "phone", gettext_lazy("Phone"), "phone",
        ("手机号", "手机", "手机号码", "电话", "联系电话", "移动电话", "电话号码", "phone", "mobile", "tel", "phonenumber",
         "mobilephone"),
        WHO, 40,
    ),
    Target("unionid", "unionid", "id", ("unionid", "微信unionid", "开放平台id"), WHO, 64),
    Target(
        "external_userid", "external_userid", "id",
        ("externaluserid", "外部联系人id", "外部联系人userid", "企微客户id"), WHO, 64,
    ),
    Target(
        "name", gettext_lazy("Name"), "text",
        ("姓名", "客户姓名", "会员姓名", "名字", "客户名称", "昵称", "称呼", "name", "fullname", "customername", "nickname"),
        WHAT, 100,
    ),
    Target("gender", gettext_lazy("Gender"), "gender", ("性别", "gender", "sex"), WHAT, choices=GENDERS),
    Target(
        "member_at", gettext_lazy("Member since"), "moment",
        ("入会时间", "入会日期", "注册时间", "注册日期", "开卡时间", "开卡日期", "成为会员时间", "创建时间", "joinedat", "joined",
         "membersince", "registeredat", "createdat"),
        WHAT,
    ),
    Target(
        "dnc", gettext_lazy("Do not contact"), "bool",
        ("不主动触达", "免打扰", "勿扰", "donotcontact", "dnc", "optout"), WHAT,
    ),
    Target(
        "tags", gettext_lazy("Tags"), "words", ("标签", "客户标签", "会员标签", "tags", "tag", "labels"), WHAT, 1000,
        hint=gettext_lazy("Several ones separated by commas; group/tag where a name exists twice"),
    ),
]  # fmt: skip


def targets(brand: Brand) -> list[Target]:
    """The fixed ones and the brand's own fields."""
    found = list(_FIXED)
    for field in CustomField.objects.filter(archived_at=None).order_by("position", "pk"):
        kind = {"text": "text", "number": "number", "date": "day", "choice": "choice", "bool": "bool"}[
            field.type
        ]
        choices = {option.lower(): option for option in field.options} if kind == "choice" else {}
        words = (field.label.lower().replace(" ", ""), field.key.lower().replace("_", ""))
        found.append(Target(f"f{field.pk}", field.label, kind, words, OWN, 200, choices))
    return found


def field_ids(task: Task) -> dict[str, int]:
    """Key of the target → custom field."""
    return {key: int(key[1:]) for key in task.columns if key[0] == "f" and key[1:].isdecimal()}


def corp_params(task: Task) -> dict[str, Any]:
    """Raises InvalidError when an external_userid comes and nobody knows of which corp."""
    found: dict[str, Any] = {"corpid": ""}
    if task.has("external_userid"):
        corps = list(Corp.objects.order_by("pk").values_list("corpid", flat=True))
        corpid = task.options.get("corpid") or (corps[0] if len(corps) == 1 else "")
        if corpid not in corps:
            text = _("Choose the WeCom corp of the external_userids")
            raise InvalidError(text, fields={"corpid": text})
        found["corpid"] = corpid
    return found


def params(task: Task) -> dict[str, Any]:
    found: dict[str, Any] = {**corp_params(task), "now": clock.now()}
    for key, pk in field_ids(task).items():
        found[f"id_{key}"] = pk
    return found


def scope(kind: str) -> str:
    return "%(corpid)s" if kind == "external_userid" else "''"


def _identity(kind: str) -> str:
    return (
        f"LEFT JOIN contacts_identity i_{kind} ON i_{kind}.brand_id = %(brand)s AND i_{kind}.kind = '{kind}'"
        f" AND i_{kind}.scope = {scope(kind)} AND i_{kind}.value = "
    )


def _field(task: Task, key: str) -> tuple[str, str]:
    """(join, column) of the present value of a custom field; `picked` names the contact."""
    column = {"number": "value_number", "day": "value_date", "bool": "value_bool"}.get(
        task.columns[key].target.type, "value_text"
    )
    join = (
        f"LEFT JOIN contacts_customvalue w_{key} ON w_{key}.brand_id = %(brand)s AND w_{key}.field_id = %(id_{key})s"
        f" AND w_{key}.contact_id = "
    )
    return join, f"w_{key}.{column}"


def quick(task: Task, source: str = "stage") -> str:
    """Rows whose texts are not, character for character, what the brand has. One strong id is enough to compare by, and
    further ids must be the same contact's."""
    ids = [kind for kind in IDS if kind in task.columns]
    first = ids[0]
    if task.has("tags"):
        return ""
    same = [f"i_{kind}.contact_id = i_{first}.contact_id" for kind in ids[1:]]
    joins = [_identity(kind) + f"s.{task.columns[kind].raw}" for kind in ids]
    joins.append(f"LEFT JOIN contacts_contact c ON c.brand_id = %(brand)s AND c.id = i_{first}.contact_id")
    if source != "stage":  # a few rows: not all ids and all contacts are looked through for them
        raw = {kind: f"ANY(ARRAY(SELECT {task.columns[kind].raw} FROM {source}))" for kind in ids}
        joins = [
            f"{join} AND i_{kind}.value = {raw[kind]}" for kind, join in zip(ids, joins, strict=False)
        ] + [
            f"{joins[-1]} AND c.id = ANY(ARRAY(SELECT i.contact_id FROM contacts_identity i WHERE i.brand_id = %(brand)s"
            f" AND i.kind = '{first}' AND i.scope = {scope(first)} AND i.value = {raw[first]}))"
        ]
    same.append("c.member_at IS NOT NULL")
    for key, column in task.columns.items():
        x = f"s.{column.raw}"
        if key == "name":
            same.append(
                f"({x} = c.name OR {x} IS NULL OR (c.profile_at IS NOT NULL AND c.name <> '' AND length({x}) <= 100))"
            )
        elif key == "gender":
            same.append(f"c.gender = CASE {x} WHEN '男' THEN 1 WHEN '女' THEN 2 END")
        elif key == "dnc":
            same.append(f"c.do_not_contact = CASE {x} WHEN '是' THEN true WHEN '否' THEN false END")
        elif key == "member_at":
            same.append(values.is_moment(x, "c.member_at", task.brand.timezone))
        elif key not in IDS:
            join, value = _field(task, key)
            joins.append(join + f"i_{first}.contact_id")
            kind = {"number": "float8", "day": "date"}.get(column.target.type)
            if column.target.type == "bool":
                same.append(f"{value} = CASE {x} WHEN '是' THEN true WHEN '否' THEN false END")
            elif kind:
                valid = f"CASE WHEN pg_input_is_valid({x}, '{kind}') THEN {x}::{kind} END"
                same.append(f"({valid} = {value} OR ({x} IS NULL AND {value} IS NULL))")
            else:
                same.append(f"({x} = {value} OR {x} IS NULL)")
    return f"SELECT s.n FROM {source} s {' '.join(joins)} WHERE ({' AND '.join(same)}) IS NOT TRUE"


def known(task: Task) -> str:
    """Rows to compare with: the ids of the kind by which `quick` finds people."""
    kind = next(kind for kind in IDS if kind in task.columns)
    return f"SELECT 1 FROM contacts_identity i WHERE i.brand_id = %(brand)s AND i.kind = '{kind}' AND i.scope = {scope(kind)}"


def kin(task: Task) -> str:
    """Rows of `stage` about people of whom `odd` has rows as well."""
    parts = []
    for kind in (kind for kind in IDS if kind in task.columns):
        raw = task.columns[kind].raw
        parts.append(
            f"SELECT s.n FROM stage s JOIN contacts_identity k ON k.brand_id = %(brand)s AND k.kind = '{kind}'"
            f" AND k.scope = {scope(kind)} AND k.value = s.{raw} WHERE k.contact_id IN (SELECT contact_id FROM people)"
        )
    people = " UNION ".join(
        f"SELECT i_{kind}.contact_id FROM odd o JOIN stage s ON s.n = o.n {_identity(kind)}s.{task.columns[kind].raw}"
        for kind in IDS
        if kind in task.columns
    )
    return f"WITH people AS MATERIALIZED ({people}) {' UNION '.join(parts)}"


def judge(task: Task) -> Judgement:
    ids = [kind for kind in IDS if kind in task.columns]
    strong = [kind for kind in ids if kind != "phone"]
    joins = ["LEFT JOIN contacts_contact c ON c.brand_id = %(brand)s AND c.id = t.person"]
    changes = ["c.member_at IS NULL"]
    for kind in ids:
        changes.append(f"(t.{kind} IS NOT NULL AND t.i_{kind} IS NULL)")
    for key in task.columns:
        if key in ("name", "gender"):
            empty = "c.name = ''" if key == "name" else "c.gender = 0"
            changes.append(f"(t.{key} <> c.{key} AND (c.profile_at IS NULL OR {empty}))")
        elif key == "dnc":
            changes.append("t.dnc <> c.do_not_contact")
        elif key == "member_at":
            changes.append("t.member_at <> c.member_at")
        elif key == "tags":
            changes.append(_MISSING_TAGS)
        elif key not in IDS:
            join, value = _field(task, key)
            joins.append(join + "t.person")
            changes.append(f"(t.{key} IS NOT NULL AND {value} IS DISTINCT FROM t.{key})")
    no_id = " AND ".join(f"t.{kind} IS NULL" for kind in ids)
    reasons = [(no_id, "no_id")]
    if len(strong) > 1:
        reasons.append((f"t.other IS NOT NULL AND {_conflict('t.person', 't.other')}", "other_person"))
    if ids[1:]:
        reasons.append((f"t.other IS NOT NULL AND {_two_people('t.person', 't.other')}", "two_people"))
    if not task.options.get("make_new", True):
        reasons.append(("t.person IS NULL", "unknown_person"))
    code = (
        f"CASE WHEN t.person IS NULL THEN {Code.NEW} WHEN t.other IS NOT NULL THEN {Code.JOIN}"
        f" WHEN {' OR '.join(f'coalesce({c}, false)' for c in changes)} THEN {Code.CHANGED} ELSE {Code.SAME} END"
    )
    first = ", ".join(f"'{kind}:' || t.{kind}" for kind in ids)
    return Judgement(
        wrap=_persons(ids, strong),
        joins=" ".join(joins),
        code=code,
        extra={
            "contact_id": ("bigint", "t.person"),
            "other_id": ("bigint", "t.other"),
            "is_friend": ("boolean", "c.n_follows > 0"),
            **{f"has_{kind}": ("boolean", f"t.i_{kind} IS NOT NULL") for kind in ids},
        },
        reasons=reasons,
        who=f"coalesce(t.person::text, {first})",
        # as they lie in the tables: those who are there by their number, new ones by time, in which they get theirs; the newest
        # first, as the indexes of lists go, which grow at their end then
        order=f"contact_id{', member_at DESC' if task.has('member_at') else ''}",
        order_of_new="member_at DESC" if task.has("member_at") else "n",
        counts={"reachable": "is_friend AND code <> 9"},
        # tags have acts and bitmaps of their own, which belong to nobody
        named=None if task.has("tags") else _named(ids),
    )


def _named(ids: list[str]) -> str:
    """Ids of nobody that planned rows name. One id alone is what makes two rows one: it is there once."""
    if len(ids) < 2:
        return ""
    hashes = ", ".join(
        f"(CASE WHEN NOT has_{kind} THEN hashtextextended({kind}, {turn}) END)"
        for turn, kind in enumerate(ids)
    )
    return (
        f"SELECT n, h FROM judged, LATERAL (VALUES {hashes}) v(h)"
        f" WHERE code IN ({Code.NEW}, {Code.CHANGED}) AND h IS NOT NULL"
    )


def _persons(ids: list[str], strong: list[str]) -> str:
    """The typed rows with `i_<kind>`, whose each id is; `person`, whom the row is about; `other`, who is the same person.

    One subquery in the other: what is worked out of one join is the key of the next one, and whole tables are joined.
    As LATERAL it would be a loop that looks through all contacts for each row.
    """
    has_phone = "phone" in ids
    by_phone = "t.i_phone"
    if strong and has_phone:
        # the person of a phone number is somebody else if they have another id of a kind that the row names
        named = " OR ".join(
            f"(t.{kind} IS NOT NULL AND t.i_phone IN (SELECT m.contact_id FROM contacts_identity m"
            f" WHERE m.brand_id = %(brand)s AND m.kind = '{kind}' AND m.scope = {scope(kind)}))"
            for kind in strong
        )
        by_phone = f"CASE WHEN t.i_phone IS NOT NULL AND NOT ({named}) THEN t.i_phone END"
    found = [f"t.i_{kind}" for kind in strong] + ([by_phone] if has_phone else [])
    other, join = ["NULL::bigint"], ""
    other += [f"CASE WHEN t.i_{kind} <> t.person THEN t.i_{kind} END" for kind in strong[1:]]
    if strong and has_phone:
        # mostly nobody: looked up one by one, by the key
        join = (
            " LEFT JOIN LATERAL (SELECT b.id, b.n_follows, b.lost_at, b.member_at FROM contacts_contact b"
            " WHERE b.brand_id = (SELECT %(brand)s) AND b.id = t.i_phone AND t.i_phone <> t.person OFFSET 0) b ON true"
        )
        other.append(
            "CASE WHEN b.id IS NOT NULL AND b.n_follows = 0 AND b.lost_at IS NULL AND b.member_at IS NOT NULL"
            f" AND NOT {_conflict('t.person', 't.i_phone')} THEN b.id END"
        )
    identities = " ".join(_identity(kind) + f"t.{kind}" for kind in ids)
    columns = ", ".join(f"i_{kind}.contact_id AS i_{kind}" for kind in ids)
    known = f"(SELECT t.*, {columns} FROM {{typed}} t {identities} OFFSET 0)"
    persons = f"(SELECT t.*, coalesce({', '.join(found)}) AS person FROM {known} t OFFSET 0)"
    return f"(SELECT t.*, coalesce({', '.join(other)}) AS other FROM {persons} t{join} OFFSET 0)"


def _conflict(one: str, two: str) -> str:
    """Two contacts with different ids of a kind of which a person has one."""
    return (
        "EXISTS (SELECT 1 FROM contacts_identity a JOIN contacts_identity b ON b.brand_id = %(brand)s AND b.kind = a.kind"
        f" AND b.scope = a.scope WHERE a.brand_id = %(brand)s AND a.contact_id = {one} AND b.contact_id = {two}"
        f" AND a.kind IN ({', '.join(repr(kind) for kind in STRONG)}))"
    )


def _two_people(one: str, two: str) -> str:
    return apart.SQL.replace("{one}", one).replace("{two}", two)


_MISSING_TAGS = (
    "(t.tags IS NOT NULL AND EXISTS (SELECT 1 FROM regexp_split_to_table(t.tags, '[,，;；、|]+') w(word)"
    " WHERE btrim(word) <> '' AND NOT EXISTS (SELECT 1 FROM tag_word m JOIN tagging_contacttag x ON x.brand_id ="
    " %(brand)s AND x.tag_id = m.tag_id AND x.contact_id = t.person WHERE m.word = lower(btrim(w.word)))))"
)

assert set(IDS) < set(Identity.Kind.values)

KIND = Kind(
    key="members",
    label=gettext_lazy("Member list"),
    icon="users",
    hint=gettext_lazy("People by phone or member number, with name, tags and your own fields"),
    targets=targets,
    needs=[IDS],
    judge=judge,
    quick=quick,
    known=known,
    kin=kin,
    apply=apply,
    open=members_tags.open_words,
    look=members_tags.look,
    prepare=members_tags.make_tags,
    finish=finish,
    ids_of="contacts_contact",
    has_places=True,
    tables=("contacts_contact", "contacts_identity", "contacts_contactstat"),
    options={"make_new": True, "make_tags": True, "corpid": ""},
    params=params,
)
