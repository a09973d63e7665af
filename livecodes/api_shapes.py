"""What the API takes and gives of channel codes and acquisition links."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers

from campaigns.models import Sop
from content.models import Content
from content.services import library
from livecodes.models import ChannelCode, LinkCustomer, Welcome
from livecodes.services.content import CodeInput, GuideInput, HoursInput, WelcomeInput
from org.models import Staff, Store
from scrm.api_body import Body, Id, id_list
from scrm.errors import InvalidError
from tagging.models import Tag
from tenants.models import Brand


def weekdays(**options: Any) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=7), help_text="1 Monday … 7 Sunday", **options
    )


class CodeGuideShape(Body):
    staff_id = Id()
    weight = serializers.IntegerField(required=False, default=1)
    daily_limit = serializers.IntegerField(required=False, allow_null=True, default=None)
    is_standby = serializers.BooleanField(required=False, default=False)


class CodeHoursShape(Body):
    """`start` after `end` goes over midnight; without a guide for all of the code."""

    weekdays = weekdays(min_length=1)
    start = serializers.TimeField(help_text="HH:MM in the brand's zone")
    end = serializers.TimeField()
    staff_id = Id(required=False, allow_null=True, default=None)


class WelcomeShape(Body):
    """A text and attachments, or what the library has in force under `content_id`."""

    text = serializers.CharField(required=False, allow_blank=True, max_length=20_000)
    attachments = serializers.ListField(child=serializers.DictField(), required=False)
    content_id = Id(required=False, write_only=True)
    content_version_id = Id(
        required=False,
        allow_null=True,
        help_text="of the library; dropped when the words are not its own any more",
    )
    audience = serializers.ChoiceField(
        choices=Welcome.Audience.values, required=False, default=Welcome.Audience.ALL
    )
    gender = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="0 unknown, 1 male, 2 female; null: any"
    )
    weekdays = weekdays(required=False, default=list)
    start = serializers.TimeField(required=False, allow_null=True, default=None)
    end = serializers.TimeField(required=False, allow_null=True, default=None)
    staff_id = Id(required=False, allow_null=True, default=None)
    department_id = Id(required=False, allow_null=True, default=None, help_text="WeCom's number")


class CodeIn(Body):
    name = serializers.CharField(max_length=60)
    corpid = serializers.CharField(
        max_length=64, required=False, help_text="only when it is made, and where the brand has several corps"
    )
    place = serializers.CharField(max_length=60, required=False, allow_blank=True)
    strategy = serializers.ChoiceField(choices=ChannelCode.Strategy.values, required=False)
    skip_verify = serializers.BooleanField(required=False)
    remark = serializers.CharField(max_length=20, required=False, allow_blank=True)
    cost_fen = serializers.IntegerField(required=False, min_value=0)
    store_id = Id(required=False, allow_null=True)
    owner_id = Id(required=False, allow_null=True, help_text="a staff member")
    sop_id = Id(required=False, allow_null=True)
    tag_ids = id_list(required=False)
    guides = CodeGuideShape(many=True)
    hours = CodeHoursShape(many=True, required=False)
    welcomes = WelcomeShape(many=True, required=False)


class CodeFiguresOut(serializers.Serializer):
    n_today = serializers.IntegerField()
    n_week = serializers.IntegerField(help_text="today and the six days before, in the brand's zone")
    n_all = serializers.IntegerField()
    n_lost = serializers.IntegerField()
    still_ratio = serializers.FloatField(allow_null=True)
    fen_per_add = serializers.IntegerField(allow_null=True)


class LinkFiguresOut(serializers.Serializer):
    """WeCom's own figures of a link."""

    n_clicks = serializers.IntegerField(source="clicks", help_text="of 30 days")
    n_new = serializers.IntegerField(source="new", help_text="of 30 days")
    n_customers = serializers.IntegerField(source="listed")
    n_wrote = serializers.IntegerField(source="wrote")


class CodeOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    corpid = serializers.CharField(source="corp.corpid")
    place = serializers.CharField()
    strategy = serializers.ChoiceField(choices=ChannelCode.Strategy.values)
    skip_verify = serializers.BooleanField()
    remark = serializers.CharField()
    cost_fen = serializers.IntegerField()
    store_id = serializers.IntegerField(allow_null=True)
    owner_id = serializers.IntegerField(allow_null=True)
    sop_id = serializers.IntegerField(allow_null=True)
    state = serializers.CharField(help_text="WeCom's `state`: each relation that began here carries it")
    qr_url = serializers.CharField(help_text="WeCom's picture of a code; empty until it is made")
    address = serializers.CharField(help_text="of a link, to be given away: it carries the channel")
    sync_state = serializers.ChoiceField(choices=ChannelCode.Sync.values)
    sync_error = serializers.CharField(help_text="what WeCom complains of, in words")
    current_userids = serializers.ListField(
        child=serializers.CharField(), help_text="members to whom it leads now"
    )
    created_at = serializers.DateTimeField()
    figures = CodeFiguresOut()
    wecom = LinkFiguresOut(allow_null=True, help_text="of a link")


class CodeWhole(CodeOut):
    """With its parts."""

    tag_ids = serializers.ListField(child=serializers.IntegerField())
    guides = CodeGuideShape(many=True)
    hours = CodeHoursShape(many=True)
    welcomes = WelcomeShape(many=True)


class CodeDayOut(serializers.Serializer):
    on = serializers.DateField()
    n_added = serializers.IntegerField()
    n_lost = serializers.IntegerField()


class LinkDayOut(serializers.Serializer):
    on = serializers.DateField(help_text="WeCom's day: Asia/Shanghai")
    n_clicks = serializers.IntegerField()
    n_new = serializers.IntegerField()


class CodeKeptOut(serializers.Serializer):
    days = serializers.IntegerField()
    n = serializers.IntegerField(help_text="who came at least so long ago")
    n_stayed = serializers.IntegerField()


class CodeGuideFiguresOut(serializers.Serializer):
    staff_id = serializers.IntegerField()
    n_week = serializers.IntegerField()
    n_all = serializers.IntegerField()
    n_lost = serializers.IntegerField()
    last_at = serializers.DateTimeField(allow_null=True)


class CodeReportOut(serializers.Serializer):
    figures = CodeFiguresOut()
    by_day = CodeDayOut(many=True, help_text="oldest first")
    kept = CodeKeptOut(many=True, help_text="still there after 1, 7 and 30 days")
    guides = CodeGuideFiguresOut(many=True, help_text="whoever had a customer through it")
    wecom = LinkFiguresOut(allow_null=True, help_text="of a link")
    wecom_by_day = LinkDayOut(many=True, help_text="of a link: 30 days, those that WeCom has told")


class LinkCustomerOut(serializers.Serializer):
    external_userid = serializers.CharField()
    contact_id = serializers.IntegerField(allow_null=True, help_text="null until the sync has brought them")
    staff_id = serializers.IntegerField()
    state = serializers.CharField(help_text="empty for who opened the bare address")
    chat = serializers.ChoiceField(choices=[chat.name.lower() for chat in LinkCustomer.Chat])
    seen_at = serializers.DateTimeField()


class ExpiringOut(serializers.Serializer):
    on = serializers.DateField()
    n = serializers.IntegerField()


class QuotaOut(serializers.Serializer):
    """What a corp has left for new customers through links."""

    corpid = serializers.CharField(source="corp.corpid")
    balance = serializers.IntegerField()
    total = serializers.IntegerField(help_text="used since the beginning")
    expiring = ExpiringOut(many=True)
    alarm_below = serializers.IntegerField()
    read_at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField(help_text="why WeCom did not say; empty when it did")


# ---- reading


def code_input(brand: Brand, given: Mapping[str, Any], old: CodeInput | None = None) -> CodeInput:
    """A whole code from checked data; of a change, what was left out is as it was.

    Raises:
        InvalidError: ids that this brand does not have, at their field; a welcome with both a text and a content;
            a content that cannot be sent.
    """
    _known(given)
    changes: dict[str, Any] = {name: value for name, value in given.items() if name != "corpid"}
    if "guides" in given:
        changes["guides"] = [GuideInput(**row) for row in given["guides"]]
    if "hours" in given:
        changes["hours"] = [
            HoursInput(**{**row, "weekdays": tuple(row["weekdays"])}) for row in given["hours"]
        ]
    if "welcomes" in given:
        changes["welcomes"] = [_welcome(brand, row) for row in given["welcomes"]]
    return CodeInput(**{**(old.__dict__ if old else {}), **changes})


def _known(given: Mapping[str, Any]) -> None:
    welcomes = given.get("welcomes", [])
    asked: list[tuple[str, Any, Iterable[int | None]]] = [
        ("guides", Staff, [row["staff_id"] for row in given.get("guides", [])]),
        ("hours", Staff, [row["staff_id"] for row in given.get("hours", [])]),
        ("welcomes", Staff, [row["staff_id"] for row in welcomes]),
        ("welcomes", Content, [row.get("content_id") for row in welcomes]),
        ("owner_id", Staff, [given.get("owner_id")]),
        ("store_id", Store, [given.get("store_id")]),
        ("sop_id", Sop, [given.get("sop_id")]),
        ("tag_ids", Tag, given.get("tag_ids", [])),
    ]
    problems: dict[str, str] = {}
    for name, model, ids in asked:
        wanted = {pk for pk in ids if pk is not None}
        there = set(model.objects.filter(pk__in=wanted).values_list("pk", flat=True)) if wanted else set()
        if unknown := sorted(wanted - there):
            problems[name] = _("Unknown: %(ids)s") % {"ids": ", ".join(map(str, unknown[:20]))}
    if problems:
        raise InvalidError(next(iter(problems.values())), fields=problems)


def _welcome(brand: Brand, row: Mapping[str, Any]) -> WelcomeInput:
    text, attachments = row.get("text", ""), row.get("attachments", [])
    version = row.get("content_version_id")
    if "content_id" in row:
        if text or attachments:
            problem = _("Give a text or a content of the library, not both")
            raise InvalidError(problem, fields={"welcomes": problem})
        chosen = library.usable(brand, row["content_id"], personal=True)
        text, attachments, version = chosen.text, chosen.attachments, chosen.version_id
    return WelcomeInput(
        text=text,
        attachments=tuple(attachments),
        audience=row["audience"],
        gender=row["gender"],
        weekdays=tuple(row["weekdays"]),
        start=row["start"],
        end=row["end"],
        staff_id=row["staff_id"],
        department_wecom_id=row["department_id"],
        content_version=version,
    )


# ---- showing


def parts_of(given: CodeInput) -> dict[str, Any]:
    """Guides, hours, tags and welcomes, for CodeWhole."""
    return {
        "tag_ids": list(given.tag_ids),
        "guides": given.guides,
        "hours": given.hours,
        "welcomes": [
            {
                **welcome.__dict__,
                "content_version_id": welcome.content_version,
                "department_id": welcome.department_wecom_id,
            }
            for welcome in given.welcomes
        ],
    }
