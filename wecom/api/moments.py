"""Moments of customers (客户朋友圈): tasks, their results, who saw and liked. Pages 95094, 97612, 93333.

A moment is a task like a mass send: members publish it themselves in the client. `add_moment_task` gives a
job; the job ends with the moment's id.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import answered, at_most, at_most_bytes, at_most_chars, link, needed, span
from wecom.api.paging import rows
from wecom.client import WeComClient
from wecom.errors import InvalidMessage

Attachment = Mapping[str, Any]
MadeBy = Literal[0, 1, 2]  # 0 the company, 1 members, 2 both

TEXT_CHARS, TEXT_BYTES = 2000, 4000  # the older page and the newer one: both hold
MAX_IMAGES = 9
JOB_STARTED, JOB_RUNNING, JOB_DONE = 1, 2, 3


class SenderList(TypedDict, total=False):
    user_list: list[str]
    department_list: list[int]


class JobResult(TypedDict, total=False):
    errcode: int
    errmsg: str
    moment_id: str
    invalid_sender_list: SenderList
    invalid_external_contact_list: dict[str, list[str]]  # {"tag_list": […]}


class MomentJob(TypedDict, total=False):
    status: int  # 1 begun, 2 running, 3 done: only then `result` counts
    type: str
    result: JobResult


class Moment(TypedDict, total=False):
    moment_id: str
    creator: str  # absent when made through the API
    create_time: int | str
    create_type: int  # 0 the company, 1 a member
    visible_type: int  # 0 for some customers, 1 for all
    text: dict[str, str]
    image: list[dict[str, str]]
    video: dict[str, str]
    link: dict[str, str]
    location: dict[str, str]


class MomentTask(TypedDict, total=False):
    userid: str
    publish_status: int  # 0 not yet, 1 published


class Viewer(TypedDict, total=False):
    userid: str
    external_userid: str


class Reaction(TypedDict, total=False):
    """Either a customer or a member."""

    external_userid: str
    userid: str
    create_time: int


class Reactions(TypedDict):
    comment_list: list[Reaction]
    like_list: list[Reaction]


def check_moment(text: str, attachments: Sequence[Attachment] = ()) -> None:
    """Whether WeCom would take this as a moment.

    Args:
        text: ≤ 2000 characters and ≤ 4000 bytes; may be empty if there is an attachment.
        attachments: up to 9 images, or one video, or one link; each {"msgtype": t, t: {…}} with `media_id`
            from `media.upload_attachment`; a link has title ≤ 64 bytes, url and media_id (its picture).
    """
    needed(_("Text or attachment"), text.strip() or attachments)
    at_most_chars(_("Text"), text, TEXT_CHARS)
    at_most_bytes(_("Text"), text, TEXT_BYTES)
    kinds = {str(attachment.get("msgtype")) for attachment in attachments}
    if len(kinds) > 1 or not kinds <= {"image", "video", "link"}:
        raise InvalidMessage(_("A moment has pictures, or a video, or a link"))
    at_most(_("Attachments"), attachments, MAX_IMAGES if kinds == {"image"} else 1)
    for attachment in attachments:
        content = attachment.get(str(attachment["msgtype"]))
        if not isinstance(content, Mapping):
            raise InvalidMessage(_("A moment has pictures, or a video, or a link"))
        needed(_("File"), content.get("media_id"))
        if "link" in kinds:
            at_most_bytes(_("Link title"), content.get("title") or "", 64)
            link(_("Link"), content.get("url") or "")


def add_moment_task(
    client: WeComClient,
    *,
    text: str = "",
    attachments: Sequence[Attachment] = (),
    userids: Sequence[str] = (),
    department_ids: Sequence[int] = (),
    tag_ids: Sequence[str] = (),
) -> str:
    """Make a task for members to publish; gives the job (24 hours). WeCom takes 10 a minute.

    Args:
        userids, department_ids: who publishes (≤ 100,000); with nobody and no tags, everybody in range.
        tag_ids: corp tags; only customers with one of them see it. Without senders their followers publish.

    Raises:
        LostAnswer: the task may exist: look with `moments` before another.
    """
    check_moment(text, attachments)
    at_most(_("Members"), userids, 100_000)
    body: dict[str, Any] = {"text": {"content": text}} if text else {}
    if attachments:
        body["attachments"] = [dict(attachment) for attachment in attachments]
    visible: dict[str, Any] = {}
    if userids or department_ids:
        visible["sender_list"] = {"user_list": list(userids), "department_list": list(department_ids)}
    if tag_ids:
        visible["external_contact_list"] = {"tag_list": list(tag_ids)}
    if visible:
        body["visible_range"] = visible
    api = "externalcontact/add_moment_task"
    return answered(client.call("POST", api, body=body), api, "jobid")


def moment_job(client: WeComClient, jobid: str) -> MomentJob:
    """How far the job is; at status 3 with the moment's id, or its own errcode."""
    answer = client.call(
        "GET", "externalcontact/get_moment_task_result", params={"jobid": jobid}, repeatable=True
    )
    return cast(MomentJob, answer)


def cancel_moment(client: WeComClient, moment_id: str) -> None:
    """Stop what was not published yet; what was published stays."""
    body = {"moment_id": moment_id}
    client.call("POST", "externalcontact/cancel_moment_task", body=body, repeatable=True)


def moments(
    client: WeComClient, *, start_at: datetime, end_at: datetime, creator: str = "", made_by: MadeBy = 2
) -> list[Moment]:
    """Moments made in a span of at most 30 days; deleted ones are not among them."""
    body: dict[str, Any] = {**span(start_at, end_at, 30), "filter_type": made_by, "limit": 20}
    if creator:
        body["creator"] = creator
    return cast(list[Moment], list(rows(client, "externalcontact/get_moment_list", body, "moment_list")))


def moment_tasks(client: WeComClient, moment_id: str) -> list[MomentTask]:
    """Which members have published a moment of the company."""
    return cast(list[MomentTask], _rows(client, "get_moment_task", "task_list", 1000, moment_id=moment_id))


def moment_customers(client: WeComClient, moment_id: str, userid: str) -> list[Viewer]:
    """The customers whom a member chose to see it."""
    api = "get_moment_customer_list"
    return cast(list[Viewer], _rows(client, api, "customer_list", 1000, moment_id=moment_id, userid=userid))


def moment_viewers(client: WeComClient, moment_id: str, userid: str) -> list[str]:
    """external_userids of the customers who can really see it.

    Raises:
        WeComRejected: 41061 the member does not publish it, 41062 has not published it yet.
    """
    api = "get_moment_send_result"
    found = _rows(client, api, "customer_list", 5000, moment_id=moment_id, userid=userid)
    return [row["external_userid"] for row in found]


def moment_reactions(client: WeComClient, moment_id: str, userid: str) -> Reactions:
    """Comments and likes below what one member published."""
    body = {"moment_id": moment_id, "userid": userid}
    answer = client.call("POST", "externalcontact/get_moment_comments", body=body, repeatable=True)
    return {
        "comment_list": cast(list[Reaction], answer.get("comment_list") or []),
        "like_list": cast(list[Reaction], answer.get("like_list") or []),
    }


def _rows(client: WeComClient, name: str, field: str, limit: int, **of: str) -> list[dict[str, Any]]:
    return list(rows(client, f"externalcontact/{name}", {**of, "limit": limit}, field))
