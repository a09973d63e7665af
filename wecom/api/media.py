"""Files for messages. Pages 90253, 95098, 90256, 96219, 90254.

A media_id lives three days and belongs to the corp. Upload shortly before sending and keep the file itself.
"""

import re
from typing import Any, Literal, NamedTuple, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import answered, at_most_bytes, link, needed
from wecom.client import WeComClient
from wecom.errors import InvalidMessage, WeComRejected, WeComUnavailable

Kind = Literal["image", "voice", "video", "file"]

MB = 1024 * 1024
MAX_BYTES = {"image": 10 * MB, "voice": 2 * MB, "video": 10 * MB, "file": 20 * MB}
UPLOAD_DEADLINE_S = 120.0

PIECE_BYTES = 20 * MB  # WeCom hands out no more at once
MAX_DOWNLOAD_BYTES = 200 * MB

_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}$")


class File(NamedTuple):
    name: str
    content_type: str
    data: bytes


class UrlUploadDetail(TypedDict, total=False):
    errcode: int
    errmsg: str
    media_id: str
    created_at: str


class UrlUpload(TypedDict, total=False):
    status: int  # 1 running, 2 done, 3 failed
    detail: UrlUploadDetail


def upload(client: WeComClient, kind: Kind, filename: str, data: bytes) -> str:
    """Upload for a message; gives its media_id (three days).

    Args:
        kind: image (JPG, PNG; ≤ 10 MB), voice (AMR; ≤ 2 MB), video (MP4; ≤ 10 MB), file (≤ 20 MB).
        filename: customers see it for `file`; for the others only its ending is sent.

    Raises:
        InvalidMessage: too small, too large or another type.
    """
    check_file(kind, data)
    return _upload(client, "media/upload", {"type": kind}, _part(kind, filename, data))


def upload_attachment(
    client: WeComClient,
    kind: Literal["image", "video", "file"],
    filename: str,
    data: bytes,
    *,
    album: bool = False,
) -> str:
    """Upload for a moment (朋友圈) or, with `album`, for the product album; not for messages."""
    check_file(kind, data)
    params = {"media_type": kind, "attachment_type": 2 if album else 1}
    return _upload(client, "media/upload_attachment", params, _part(kind, filename, data))


def upload_img(client: WeComClient, filename: str, data: bytes) -> str:
    """A picture with a lasting address, for `pic_url`: ≤ 2 MB; WeCom allows 1000 a day and 3000 a month per
    corp."""
    check_file("image", data, 2 * MB)
    api = "media/uploadimg"
    answer = client.call(
        "POST",
        api,
        files={"media": _part("image", filename, data)},
        deadline_s=UPLOAD_DEADLINE_S,
        repeatable=True,
    )
    return answered(answer, api, "url")


def upload_by_url(
    client: WeComClient, kind: Literal["video", "file"], url: str, *, filename: str, md5: str
) -> str:
    """Let WeCom fetch a large file (≤ 200 MB) for welcomes of groups; gives the job (60 minutes).

    Args:
        url: ≤ 1024 bytes; its server must serve ranges.
        filename: ≤ 128 bytes.
        md5: of the content, in hex.

    The event upload_media_job_finish tells the end, or `url_upload`. A repeat fetches a second copy.
    """
    needed(_("File"), filename)
    at_most_bytes(_("File name"), filename, 128)
    link(_("Link"), url, 1024)
    api = "media/upload_by_url"
    body = {"scene": 1, "type": kind, "filename": filename, "url": url, "md5": md5}
    return answered(client.call("POST", api, body=body, repeatable=True), api, "jobid")


def url_upload(client: WeComClient, jobid: str) -> UrlUpload:
    """How far WeCom is with fetching; at status 2 with the media_id, at 3 with an errcode."""
    answer = client.call("POST", "media/get_upload_by_url_result", body={"jobid": jobid}, repeatable=True)
    return cast(UrlUpload, answer)


def download(client: WeComClient, media_id: str) -> File:
    """Fetch a file by its media_id, one above 20 MB in pieces (up to 200 MB).

    Raises:
        WeComRejected: 40007 unknown, or older than three days.
    """
    return _download(client, "media/get", media_id)


def download_voice(client: WeComClient, media_id: str) -> File:
    """A recording of the JS SDK in its better quality (speex, 16 kHz); else as `download`."""
    return _download(client, "media/get/jssdk", media_id)


def _download(client: WeComClient, api: str, media_id: str) -> File:
    try:
        answer = _piece(client, api, media_id, None)
    except WeComRejected as error:
        if error.errcode != 830002:  # too large for one answer
            raise
        answer = _piece(client, api, media_id, 0)
    data, total = bytearray(answer["content"]), answer["total"] or 0
    if total > MAX_DOWNLOAD_BYTES:
        raise InvalidMessage(_("The file is larger than %(limit)d MB") % {"limit": MAX_DOWNLOAD_BYTES // MB})
    while len(data) < total:
        data += _piece(client, api, media_id, len(data))["content"]
    return File(answer["filename"], answer["content_type"], bytes(data))


def _piece(client: WeComClient, api: str, media_id: str, start: int | None) -> dict[str, Any]:
    answer = client.call(
        "GET",
        api,
        params={"media_id": media_id},
        headers={"Range": f"bytes={start}-{start + PIECE_BYTES - 1}"} if start is not None else None,
        file=True,
        repeatable=True,
        deadline_s=UPLOAD_DEADLINE_S,
    )
    if not answer.get("content"):
        raise WeComUnavailable(api=api, errmsg="an answer without a file")
    return answer


def check_file(kind: Kind, data: bytes, limit: int = 0) -> None:
    """Whether WeCom would take this file: its size, and its type by its first bytes."""
    limit = limit or MAX_BYTES[kind]
    if not 5 < len(data) <= limit:
        raise InvalidMessage(
            _("The file must be larger than 5 bytes and at most %(limit)d MB") % {"limit": limit // MB}
        )
    if kind == "image" and not data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        raise InvalidMessage(_("The picture must be JPG or PNG"))
    if kind == "video" and data[4:8] != b"ftyp":
        raise InvalidMessage(_("The video must be MP4"))
    if kind == "voice" and not data.startswith(b"#!AMR"):
        raise InvalidMessage(_("The voice recording must be AMR"))


def _part(kind: str, filename: str, data: bytes) -> tuple[str, bytes]:
    """Name and content of the part. WeCom reads `filename=` in UTF-8 but not `filename*=`; only `file` shows
    its name."""
    ending = _EXTENSION.search(filename)
    if kind != "file":
        return kind + (ending.group() if ending else ""), data
    name = re.sub(r'[\x00-\x1f\x7f"/\\]', "_", filename.rsplit("/", 1)[-1]).strip()[-100:]
    return name or "file", data


def _upload(client: WeComClient, api: str, params: dict[str, Any], part: tuple[str, bytes]) -> str:
    # a second copy does no harm, so an upload may be repeated
    answer = client.call(
        "POST", api, params=params, files={"media": part}, deadline_s=UPLOAD_DEADLINE_S, repeatable=True
    )
    return answered(answer, api, "media_id")
