"""The spreadsheet of many codes: an empty one to fill, and what is wrong with which row of a filled one."""

import io
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from django.utils.translation import gettext as _
from openpyxl import Workbook

from content import variables
from livecodes.models import ChannelCode
from livecodes.services.roster import is_able
from org.models import Corp, Staff, Store
from scrm import sheets
from scrm.errors import InvalidError
from tagging.models import Tag

MAX_ROWS = 1000

# column → headings by which it is found
COLUMNS: dict[str, tuple[str, ...]] = {
    "name": ("名称", "渠道名称", "活码名称", "name", "code name"),
    "guides": ("导购", "员工", "使用成员", "成员", "guides", "guide", "staff", "members"),
    "place": ("地点", "位置", "投放位置", "place", "where"),
    "tags": ("标签", "客户标签", "tags", "tag"),
    "cost": ("成本", "费用", "成本(元)", "成本（元）", "cost", "cost (yuan)"),
    "remark": ("备注", "客户备注", "remark"),
    "welcome": ("欢迎语", "welcome", "welcome text"),
    "store": ("门店", "store"),
}

_SPLIT = re.compile(r"[,，;；、|\n]+")


@dataclass
class Row:
    """One line of the file as it will be made; `problem` says why it will not."""

    number: int
    name: str = ""
    guides: list[int] = field(default_factory=list)
    guide_names: list[str] = field(default_factory=list)
    place: str = ""
    tags: list[int] = field(default_factory=list)
    tag_names: list[str] = field(default_factory=list)
    cost_fen: int = 0
    remark: str = ""
    welcome: str = ""
    store_id: int | None = None
    problem: str = ""


@dataclass
class Preview:
    token: str
    file_name: str
    corp_id: int
    rows: list[Row]

    @property
    def good(self) -> list[Row]:
        return [row for row in self.rows if not row.problem]

    @property
    def bad(self) -> list[Row]:
        return [row for row in self.rows if row.problem]


def template_xlsx() -> bytes:
    """An empty file with the headings and one example."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["名称", "导购", "地点", "标签", "成本(元)", "备注", "欢迎语", "门店"])
    sheet.append(
        [
            "包裹卡-11月",
            "zhangsan、李四",
            "包裹卡",
            "包裹、新客",
            200,
            "包裹-{客户昵称}",
            "你好，{客户昵称|朋友}！",
            "",
        ]
    )
    for column, width in zip("ABCDEFGH", (20, 24, 16, 20, 12, 20, 50, 16), strict=True):
        sheet.column_dimensions[column].width = width
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def read_rows(corp: Corp, data: bytes, name: str) -> list[Row]:
    """Every row of a file, with what is wrong with it, in the caller's transaction.

    Raises:
        InvalidError: the file cannot be read, or a needed column is missing.
    """
    lines = sheets.read(data, name, max_rows=MAX_ROWS)
    if not lines:
        raise InvalidError(_("The file is empty"))
    columns = _columns(lines[0][1])
    if len(lines) == 1:
        raise InvalidError(_("The file has headings only"))
    known = _Known.load(corp)
    rows = [
        _row(number, {key: cells[i] if i < len(cells) else "" for key, i in columns.items()}, known)
        for number, cells in lines[1:]
    ]
    _refuse_repeats(rows)
    return rows


def _columns(headings: list[str]) -> dict[str, int]:
    names = {heading: key for key, words in COLUMNS.items() for heading in words}
    found: dict[str, int] = {}
    for index, heading in enumerate(headings):
        key = names.get(heading.strip().lower().replace("（", "(").replace("）", ")").removesuffix("*"))
        if key:
            found.setdefault(key, index)
    missing = [COLUMNS[key][0] for key in ("name", "guides") if key not in found]
    if missing:
        raise InvalidError(
            _("The first row must name the columns; missing: %(names)s") % {"names": ", ".join(missing)}
        )
    return found


@dataclass
class _Known:
    """What rows may name, loaded once for the whole file. Names of several people or tags hold several
    ids."""

    staff: dict[str, list[Staff]]
    tags: dict[str, list[int]]
    stores: dict[str, int]
    codes: set[str]

    @classmethod
    def load(cls, corp: Corp) -> "_Known":
        staff: dict[str, list[Staff]] = defaultdict(list)
        for person in Staff.objects.filter(corp=corp).exclude(userid=""):
            if is_able(person):
                staff[person.name.strip().lower()].append(person)
        for people in list(staff.values()):
            for person in people:
                staff[person.userid] = [person]  # a userid says exactly who is meant
        tags: dict[str, list[int]] = defaultdict(list)
        for pk, name, group in Tag.objects.filter(deleted_at=None).values_list("pk", "name", "group__name"):
            tags[name.strip().lower()].append(pk)
            tags[f"{group}/{name}".strip().lower()].append(pk)
        stores = {name.strip().lower(): pk for pk, name in Store.objects.values_list("pk", "name")}
        return cls(
            dict(staff), dict(tags), stores, set(ChannelCode.objects.live().values_list("name", flat=True))
        )


def _row(number: int, cells: Mapping[str, str], known: _Known) -> Row:
    row = Row(number, cells.get("name", ""), place=cells.get("place", ""), welcome=cells.get("welcome", ""))
    row.remark = cells.get("remark", "")
    try:
        _fill(row, cells, known)
    except InvalidError as error:
        row.problem = str(error)
    return row


def _fill(row: Row, cells: Mapping[str, str], known: _Known) -> None:
    if not row.name:
        raise InvalidError(_("The name is missing"))
    for value, limit, what in (
        (row.name, 60, _("name")),
        (row.place, 60, _("place")),
        (row.remark, 20, _("remark")),
    ):
        if len(value) > limit:
            raise InvalidError(_("The %(what)s is longer than %(n)d characters") % {"what": what, "n": limit})
    if row.name in known.codes:
        raise InvalidError(_("There is a code of this name already"))
    for word in _words(cells.get("guides", "")):
        people = known.staff.get(word.lower(), [])
        if not people:
            raise InvalidError(_("Nobody called “%(name)s” can take customers") % {"name": word})
        if len(people) > 1:
            raise InvalidError(
                _("Several guides are called “%(name)s”; write the userid: %(ids)s")
                % {"name": word, "ids": ", ".join(sorted(p.userid for p in people))}
            )
        if people[0].pk not in row.guides:
            row.guides.append(people[0].pk)
            row.guide_names.append(people[0].name)
    if not row.guides:
        raise InvalidError(_("A guide is missing"))
    for word in _words(cells.get("tags", "")):
        ids = known.tags.get(word.lower(), [])
        if len(ids) != 1:
            text = (
                _("There is no tag “%(name)s”")
                if not ids
                else _("Several tags are called “%(name)s”; write group/tag")
            )
            raise InvalidError(text % {"name": word})
        if ids[0] not in row.tags:
            row.tags.append(ids[0])
            row.tag_names.append(word)
    row.cost_fen = _fen(cells.get("cost", ""))
    variables.check(row.remark, max_bytes=10_000)
    variables.check(row.welcome)
    if store := cells.get("store", ""):
        row.store_id = known.stores.get(store.lower())
        if row.store_id is None:
            raise InvalidError(_("There is no store “%(name)s”") % {"name": store})


def _words(text: str) -> list[str]:
    return [word.strip() for word in _SPLIT.split(text) if word.strip()]


def _fen(text: str) -> int:
    plain = re.sub(r"[\s,，¥￥元]", "", text)
    if not plain:
        return 0
    try:
        fen = Decimal(plain) * 100
    except InvalidOperation:
        raise InvalidError(_("“%(text)s” is not an amount") % {"text": text}) from None
    if not fen.is_finite() or fen < 0 or fen > 10**12 or fen != fen.to_integral_value():
        raise InvalidError(_("“%(text)s” is not an amount") % {"text": text})
    return int(fen)


def _refuse_repeats(rows: list[Row]) -> None:
    counts = Counter(row.name for row in rows if row.name)
    seen: set[str] = set()
    for row in rows:
        if counts[row.name] > 1 and row.name in seen and not row.problem:
            row.problem = _("The name is in the file twice")
        seen.add(row.name)
