"""What a person decides about a channel code: its shape, its limits, and the rows it becomes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import time
from typing import Any

from django.utils.translation import gettext as _

from campaigns.models import Sop
from content import variables
from content.services import library, sensitive
from livecodes.models import ChannelCode, CodeGuide, CodeHours, CodeTag, Welcome
from livecodes.services.roster import is_able
from org import audit
from org.models import Corp, Staff, Store
from scrm.errors import InvalidError, NotFoundError
from tagging.models import Tag
from wecom.services import attachments as stored_attachments

MAX_GUIDES, MAX_WEIGHT, MAX_TAGS, MAX_WELCOMES = 500, 100, 20, 30
MAX_COST_FEN = 10**12


@dataclass(frozen=True)
class GuideInput:
    staff_id: int
    weight: int = 1
    daily_limit: int | None = None
    is_standby: bool = False


@dataclass(frozen=True)
class HoursInput:
    """1 Monday … 7 Sunday; `start > end` goes over midnight; without `staff_id` for all guides of the
    code."""

    weekdays: tuple[int, ...]
    start: time
    end: time
    staff_id: int | None = None


@dataclass(frozen=True)
class WelcomeInput:
    text: str = ""
    attachments: tuple[dict[str, Any], ...] = ()  # as wecom/services/attachments.py stores them
    audience: str = Welcome.Audience.ALL
    gender: int | None = None
    weekdays: tuple[int, ...] = ()
    start: time | None = None
    end: time | None = None
    staff_id: int | None = None
    department_wecom_id: int | None = None
    content_version: int | None = None  # of the library


@dataclass(frozen=True)
class CodeInput:
    """All that a person decides about a code; ids of this brand, anything else is 'not found'."""

    name: str
    guides: Sequence[GuideInput]
    place: str = ""
    strategy: str = ChannelCode.Strategy.IN_TURN
    skip_verify: bool = True
    remark: str = ""
    cost_fen: int = 0
    store_id: int | None = None
    owner_id: int | None = None
    sop_id: int | None = None
    tag_ids: Sequence[int] = field(default=())
    hours: Sequence[HoursInput] = field(default=())
    welcomes: Sequence[WelcomeInput] = field(default=())


# ---- showing


def as_input(code: ChannelCode) -> CodeInput:
    """What the form shows of a code."""
    return CodeInput(
        name=code.name,
        place=code.place,
        strategy=code.strategy,
        skip_verify=code.skip_verify,
        remark=code.remark,
        cost_fen=code.cost_fen,
        store_id=code.store_id,
        owner_id=code.owner_id,
        sop_id=code.sop_id,
        tag_ids=list(
            CodeTag.objects.filter(code=code, tag__deleted_at=None)
            .order_by("pk")
            .values_list("tag_id", flat=True)
        ),
        guides=[
            GuideInput(g.staff_id, g.weight, g.daily_limit, g.is_standby)
            for g in CodeGuide.objects.filter(code=code).order_by("pk")
        ],
        hours=[
            HoursInput(tuple(h.weekdays), h.start, h.end, h.staff_id)
            for h in CodeHours.objects.filter(code=code).order_by("pk")
        ],
        welcomes=[welcome_input(w) for w in Welcome.objects.filter(code=code).order_by("pk")],
    )


def welcome_input(welcome: Welcome) -> WelcomeInput:
    return WelcomeInput(
        text=welcome.text,
        attachments=tuple(welcome.attachments),
        audience=welcome.audience,
        gender=welcome.gender,
        weekdays=tuple(welcome.weekdays),
        start=welcome.start,
        end=welcome.end,
        staff_id=welcome.staff_id,
        department_wecom_id=welcome.department_wecom_id,
        content_version=welcome.content_id,
    )


def as_audit(code: ChannelCode) -> dict[str, Any]:
    """The code with its parts, in words, for before and after."""
    given = as_input(code)
    names = dict(Staff.objects.filter(pk__in=[g.staff_id for g in given.guides]).values_list("pk", "name"))
    tags = Tag.objects.filter(pk__in=given.tag_ids).order_by("pk").values_list("name", flat=True)
    return {
        **audit.snapshot(code, ["name", "place", "strategy", "skip_verify", "remark", "cost_fen"]),
        "store": str(code.store or ""),
        "owner": str(code.owner or ""),
        "sop": str(code.sop or ""),
        "tags": list(tags),
        "guides": [
            f"{names.get(g.staff_id, g.staff_id)} ×{g.weight}"
            + (f" ≤{g.daily_limit}" if g.daily_limit is not None else "")
            + (" standby" if g.is_standby else "")
            for g in given.guides
        ],
        "hours": [
            f"{''.join(map(str, h.weekdays))} {h.start:%H:%M}-{h.end:%H:%M}"
            + (f" {names.get(h.staff_id, h.staff_id)}" if h.staff_id else "")
            for h in given.hours
        ],
        "welcomes": [
            {"audience": w.audience, "text": w.text[:60], "attachments": len(w.attachments)}
            for w in given.welcomes
        ],
    }


# ---- checks


def check(given: CodeInput, corp: Corp, code: ChannelCode | None) -> None:
    problems: dict[str, str] = {}
    name = given.name.strip()
    if not name:
        problems["name"] = _("Give the code a name")
    elif len(name) > 60:
        problems["name"] = _("At most %(n)d characters") % {"n": 60}
    elif ChannelCode.objects.live().filter(name=name).exclude(pk=code.pk if code else 0).exists():
        problems["name"] = _("There is a code of this name already")
    if len(given.place) > 60:
        problems["place"] = _("At most %(n)d characters") % {"n": 60}
    if given.strategy not in ChannelCode.Strategy.values:
        problems["strategy"] = _("Choose one of the list")
    if not 0 <= given.cost_fen <= MAX_COST_FEN:
        problems["cost_fen"] = _("The cost cannot be below zero")
    if len(given.remark) > 20:
        problems["remark"] = _("At most %(n)d characters") % {"n": 20}
    for key, check in (("remark", _check_remark), ("guides", _check_guides), ("hours", _check_hours)):
        if key not in problems and (problem := check(given, corp, code)):
            problems[key] = problem
    try:
        check_welcomes(given.welcomes)
    except InvalidError as error:
        problems["welcomes"] = str(error)
    if len(given.tag_ids) > MAX_TAGS:
        problems["tags"] = _("At most %(n)d tags") % {"n": MAX_TAGS}
    if problems:
        raise InvalidError(next(iter(problems.values())), fields=problems)
    _known(Store, [given.store_id])
    _known(Staff, [given.owner_id])
    _known(Sop, [given.sop_id])
    _known(Tag, given.tag_ids)


def _known(model: Any, ids: Iterable[int | None]) -> None:
    wanted: list[int] = list({pk for pk in ids if pk is not None})
    if wanted and model.objects.filter(pk__in=wanted).count() != len(wanted):
        raise NotFoundError()


def _check_remark(given: CodeInput, corp: Corp, code: ChannelCode | None) -> str:
    try:
        variables.check(given.remark, max_bytes=10_000)
    except InvalidError as error:
        return str(error)
    return ""


def _check_guides(given: CodeInput, corp: Corp, code: ChannelCode | None) -> str:
    ids = [g.staff_id for g in given.guides]
    if not ids:
        return _("Choose at least one guide")
    if len(ids) > MAX_GUIDES:
        return _("At most %(n)d guides") % {"n": MAX_GUIDES}
    if len(set(ids)) != len(ids):
        return _("A guide is in the list twice")
    staff = Staff.objects.in_bulk(ids)
    if len(staff) != len(ids):
        raise NotFoundError()
    kept = set(CodeGuide.objects.filter(code=code).values_list("staff_id", flat=True)) if code else set()
    for g in given.guides:
        person = staff[g.staff_id]
        if person.corp_id != corp.pk or (not is_able(person) and g.staff_id not in kept):
            return _("%(name)s cannot take customers in this corp") % {"name": person.name}
        if not 1 <= g.weight <= MAX_WEIGHT:
            return _("%(name)s: a weight is between 1 and %(n)d") % {"name": person.name, "n": MAX_WEIGHT}
        if g.daily_limit is not None and not 1 <= g.daily_limit <= 100_000:
            return _("%(name)s: a daily limit is at least 1; leave it empty for none") % {"name": person.name}
    return ""


def _check_hours(given: CodeInput, corp: Corp, code: ChannelCode | None) -> str:
    guides = {g.staff_id for g in given.guides}
    for h in given.hours:
        if not h.weekdays or not set(h.weekdays) <= set(range(1, 8)):
            return _("Working hours: choose at least one weekday")
        if h.staff_id is not None and h.staff_id not in guides:
            return _("Working hours: choose a guide of this code")
    return _("At most %(n)d lines of working hours") % {"n": 100} if len(given.hours) > 100 else ""


def check_welcomes(welcomes: Sequence[WelcomeInput]) -> list[list[dict[str, Any]]]:
    """Whether welcomes may be saved; gives their attachments, cleaned.

    Raises:
        InvalidError: which one, and what is wrong.
    """
    if len(welcomes) > MAX_WELCOMES:
        raise InvalidError(_("At most %(n)d welcomes") % {"n": MAX_WELCOMES})
    clean = []
    for number, w in enumerate(welcomes, 1):
        try:
            if not w.text.strip() and not w.attachments:
                raise InvalidError(_("write a text or add an attachment"))
            variables.check(w.text)
            if w.audience not in Welcome.Audience.values or w.gender not in (None, 0, 1, 2):
                raise InvalidError(_("choose for whom it is"))
            if (w.start is None) != (w.end is None):
                raise InvalidError(_("give both a beginning and an end of the hours"))
            if not set(w.weekdays) <= set(range(1, 8)):
                raise InvalidError(_("choose weekdays"))
            _known(Staff, [w.staff_id])
            clean.append(stored_attachments.validate(list(w.attachments)))
            sensitive.check_here(w.text, clean[-1])
        except InvalidError as error:
            if len(welcomes) == 1:
                raise
            raise InvalidError(_("Welcome %(n)d: %(problem)s") % {"n": number, "problem": error}) from None
    return clean


# ---- writing


def apply(code: ChannelCode, given: CodeInput) -> None:
    code.name, code.place, code.remark = given.name.strip(), given.place.strip(), given.remark.strip()
    code.strategy, code.skip_verify, code.cost_fen = given.strategy, given.skip_verify, given.cost_fen
    code.store_id, code.owner_id, code.sop_id = given.store_id, given.owner_id, given.sop_id


def write_parts(code: ChannelCode, given: CodeInput) -> None:
    """Guides, hours, tags and welcomes as given; guides that stay keep their row and lose a refusal of
    WeCom."""
    there = {g.staff_id: g for g in CodeGuide.objects.filter(code=code)}
    wanted = {g.staff_id: g for g in given.guides}
    CodeGuide.objects.filter(code=code).exclude(staff__in=list(wanted)).delete()
    changed = []
    for staff_id, g in wanted.items():
        row = there.get(staff_id) or CodeGuide(code=code, staff_id=staff_id)
        row.weight, row.daily_limit, row.is_standby = g.weight, g.daily_limit, g.is_standby
        row.refused_at, row.refusal = None, ""
        changed.append(row)
    CodeGuide.objects.bulk_create([row for row in changed if row.pk is None])
    CodeGuide.objects.bulk_update(
        [row for row in changed if row.pk is not None and row.staff_id in there],
        ["weight", "daily_limit", "is_standby", "refused_at", "refusal"],
    )
    CodeHours.objects.filter(code=code).delete()
    CodeHours.objects.bulk_create(
        CodeHours(code=code, staff_id=h.staff_id, weekdays=sorted(set(h.weekdays)), start=h.start, end=h.end)
        for h in given.hours
    )
    CodeTag.objects.filter(code=code).delete()
    CodeTag.objects.bulk_create(CodeTag(code=code, tag_id=tag_id) for tag_id in dict.fromkeys(given.tag_ids))
    Welcome.objects.filter(code=code).delete()
    Welcome.objects.bulk_create(
        new_welcome(w, clean, code=code)
        for w, clean in zip(given.welcomes, check_welcomes(given.welcomes), strict=True)
    )


def new_welcome(given: WelcomeInput, clean: list[dict[str, Any]], code: ChannelCode | None = None) -> Welcome:
    """An unsaved row; `clean`: its attachments after `check_welcomes`."""
    return Welcome(
        code=code,
        staff_id=given.staff_id,
        department_wecom_id=given.department_wecom_id,
        audience=given.audience,
        gender=given.gender,
        weekdays=sorted(set(given.weekdays)),
        start=given.start,
        end=given.end,
        text=given.text.strip(),
        attachments=clean,
        content_id=library.same_version(given.content_version, given.text, clean),
    )
