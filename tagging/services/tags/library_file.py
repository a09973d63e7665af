"""A tag library from a spreadsheet: columns for group, tag and colour; groups and tags that are there already stay."""

import secrets
from dataclasses import asdict, dataclass, field
from typing import Any

from django.core.cache import cache
from django.utils.translation import gettext as _

from org.access import Actor
from org.models import Corp, Job
from org.services import jobs
from scrm import sheets
from scrm.errors import InvalidError, NotFoundError, SCRMError
from tagging.models import Color, Tag, TagGroup
from tagging.services.tags import library
from tenants.models import Brand

MAX_ROWS = 5_000
PREVIEW_S = 3600
JOB = "tag_library_file"
COLUMNS: dict[str, tuple[str, ...]] = {
    "group": ("标签组", "分组", "group", "tag group", "组名"),
    "name": ("标签", "标签名", "标签名称", "tag", "name"),
    "color": ("颜色", "colour", "color"),
}
COLORS: dict[str, str] = {
    "蓝": Color.BLUE, "绿": Color.GREEN, "橙": Color.AMBER, "黄": Color.AMBER, "红": Color.RED,
    "紫": Color.VIOLET, "青": Color.TEAL, "粉": Color.PINK, "灰": Color.GREY, "": "",
}  # fmt: skip


@dataclass
class Group:
    name: str
    color: str = ""
    new: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)


@dataclass
class Preview:
    """What a file would do. `bad`: (row number, text, why)."""

    token: str
    file_name: str
    corp_id: int | None
    groups: list[Group]
    bad: list[tuple[int, str, str]]

    @property
    def n_new(self) -> int:
        return sum(len(group.new) for group in self.groups)


def preview(brand: Brand, *, corp: Corp | None, data: bytes, name: str) -> Preview:
    """Read a file and compare it with the library; kept for an hour.

    Raises:
        InvalidError: no spreadsheet, too long, or the columns are not there.
    """
    lines = sheets.read(data, name, max_rows=MAX_ROWS)
    if not lines:
        raise InvalidError(_("The file is empty"))
    columns = _columns(lines[0][1])
    if not {"group", "name"} <= set(columns):
        raise InvalidError(_("The first row must name the columns 标签组 (group) and 标签 (tag)"))
    groups: dict[str, Group] = {}
    bad: list[tuple[int, str, str]] = []
    above = ""
    for number, cells in lines[1:]:
        cell = {key: cells[i].strip() if i < len(cells) else "" for key, i in columns.items()}
        above = cell["group"] or above  # merged cells: only the first row of a group names it
        try:
            _take(groups, above, cell)
        except InvalidError as error:
            bad.append((number, " · ".join(c for c in cells if c)[:60], str(error)))
    known = Tag.objects.filter(group__corp=corp, deleted_at=None, group__deleted_at=None)
    there = set(known.values_list("group__name", "name"))
    for group in groups.values():
        group.there = [n for n in group.new if (group.name, n) in there]
        group.new = [n for n in group.new if (group.name, n) not in there]
    found = Preview(
        secrets.token_urlsafe(12), name[:100], corp.pk if corp else None, list(groups.values()), bad
    )
    cache.set(_key(brand, found.token), asdict(found), PREVIEW_S)
    return found


def _columns(headings: list[str]) -> dict[str, int]:
    words = {word: key for key, names in COLUMNS.items() for word in names}
    found: dict[str, int] = {}
    for index, heading in enumerate(headings):
        key = words.get(heading.strip().lower().rstrip("*"))
        if key and key not in found:
            found[key] = index
    return found


def _take(groups: dict[str, Group], above: str, cell: dict[str, str]) -> None:
    """One row into its group; several tags in a cell are divided by commas.

    Raises:
        InvalidError: a name that WeCom would not take, an unknown colour.
    """
    name = library.clean_name(above)
    text = cell["name"].replace("，", ",").replace("、", ",").replace(";", ",").replace("；", ",")
    tags = library.clean_names(text.split(","))
    colour = cell.get("color", "").lower().removesuffix("色")
    color = COLORS.get(colour, colour)
    if color and color not in Color.values:
        raise InvalidError(_("Unknown colour: %(name)s") % {"name": cell["color"][:20]})
    group = groups.setdefault(name, Group(name))
    group.color = group.color or color
    group.new += [tag for tag in tags if tag not in group.new]


def recall(brand: Brand, token: str) -> Preview:
    """A file that was read within the last hour.

    Raises:
        NotFoundError.
    """
    stored = cache.get(_key(brand, token))
    if stored is None:
        raise NotFoundError(_("This preview is too old; upload the file again"))
    groups = [Group(**group) for group in stored.pop("groups")]
    return Preview(groups=groups, **stored)


def start(brand: Brand, *, by: Actor, token: str) -> Job:
    """Make what the file names, as a job: one step for each group, so that WeCom may take its time.

    Raises:
        InvalidError: nothing new in it; NotFoundError.
    """
    found = recall(brand, token)
    groups = [asdict(group) for group in found.groups if group.new]
    if not groups:
        raise InvalidError(_("Everything in this file is there already"))
    title = _("Tags from “%(file)s”") % {"file": f"{found.file_name} #{token[:4]}"}
    params = {"corp_id": found.corp_id, "groups": groups, "user_id": by.user_id}
    return jobs.start_job(brand, kind=JOB, title=title, params=params, by=by, n_total=found.n_new)


def step(brand: Brand, job: Job) -> bool:
    """One step: one group, made or filled. What WeCom refuses is noted in the job's result and the rest goes on."""
    from django.db import transaction

    at = int(job.position.get("group", 0))
    if at >= len(job.params["groups"]):
        return False
    wanted = job.params["groups"][at]
    problems: list[Any] = list(job.result.get("problems", []))
    by = Actor(job.created_by, job.params.get("user_id"))
    with transaction.atomic():
        corp = Corp.objects.get(pk=job.params["corp_id"]) if job.params["corp_id"] else None
        group = TagGroup.objects.filter(corp=corp, name=wanted["name"], deleted_at=None).first()
        there = (
            set(Tag.objects.filter(group=group, deleted_at=None).values_list("name", flat=True))
            if group
            else set()
        )
    names = [name for name in wanted["new"] if name not in there]
    n_bad = job.n_bad
    try:
        for start_ in range(0, len(names), 50):
            part = names[start_ : start_ + 50]
            if group is None:
                group = library.create_group(
                    brand,
                    by=by,
                    name=wanted["name"],
                    names=part,
                    corp=corp,
                    color=wanted["color"] or Color.BLUE,
                )
            else:
                library.create_tags(brand, by=by, group=group, names=part)
    except SCRMError as error:
        if hasattr(error, "retry_after_s"):
            raise
        problems.append([wanted["name"], str(error)])
        n_bad += len(names)
    with transaction.atomic():
        jobs.save_step(
            job,
            position={"group": at + 1},
            n_done=job.n_done + len(wanted["new"]),
            n_bad=n_bad,
            result={"problems": problems},
        )
    return True


def _key(brand: Brand, token: str) -> str:
    return f"tag_library_file:{brand.pk}:{token}"
