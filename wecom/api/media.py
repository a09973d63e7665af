"""Files for messages. Pages 90253, 95098, 90256.

A media_id lives three days and belongs to the corp. Upload shortly before sending and keep the file itself.
"""

import re
from typing import Any, Literal

from django.utils.translation import gettext as _

from wecom.api.checks import answered
from wecom.client import WeComClient
from wecom.errors import InvalidMessage

Kind = Literal["image", "voice", "video", "file"]

MB = 1024 * 1024
MAX_BYTES = {"image": 10 * MB, "voice": 2 * MB, "video": 10 * MB, "file": 20 * MB}
UPLOAD_DEADLINE_S = 120.0

_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}$")


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
