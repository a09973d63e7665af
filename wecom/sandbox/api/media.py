"""Uploaded files. Source: developer.work.weixin.qq.com/document/path/90253, 95098, 90256, 90254."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse
from django.http.multipartparser import MultiPartParserError

from wecom.sandbox import ids, store
from wecom.sandbox.call import Answer, Call
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import Media

MB = 1024 * 1024
LIFE_S = 3 * 86_400
LIMITS = {
    "image": (10 * MB, 40009),
    "voice": (2 * MB, 45001),
    "video": (10 * MB, 40011),
    "file": (20 * MB, 45001),
}
IMG_LIMIT = 2 * MB
IMG_PER_DAY, IMG_PER_MONTH = 1000, 3000


def path_of(media_id: str) -> Path:
    """File of a medium."""
    return Path(settings.DATA) / "media" / media_id


def _kind(head: bytes) -> str:
    """What the first bytes say: image/png, image/jpeg, video/mp4, audio/amr or ''."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[4:8] == b"ftyp":
        return "video/mp4"
    if head.startswith(b"#!AMR"):
        return "audio/amr"
    return ""


def _received(call: Call) -> UploadedFile:
    request = call.request
    kind, _, rest = (request.META.get("CONTENT_TYPE") or "").partition(";")
    if (
        kind.strip() == "multipart/form-data"
        and "boundary" not in rest
        and store.quirk("upload_boundary") == "guessed"
    ):
        first = request.body.split(b"\r\n", 1)[0].decode("latin-1")
        request.META["CONTENT_TYPE"] = f"multipart/form-data; boundary={first[2:] or '-'}"
    try:
        given = request.FILES.get("media")
    except MultiPartParserError:
        raise WeComError(44001) from None
    if given is None or not given.size:
        raise WeComError(44001)
    if given.size <= 5:
        raise WeComError(40006)
    return given


def _keep(call: Call, given: UploadedFile, *, origin: str, kind: str, content_type: str) -> Media:
    row = Media(
        media_id=ids.media_id(),
        corpid=call.corpid,
        origin=origin,
        type=kind,
        filename=(given.name or "file")[:300],
        content_type=content_type,
        size=given.size or 0,
        created_at=call.now,
    )
    target = path_of(row.media_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        for chunk in given.chunks():
            out.write(chunk)
    row.save(force_insert=True)
    return row


def _checked(call: Call, kind: str) -> tuple[UploadedFile, str]:
    given = _received(call)
    most, errcode = LIMITS[kind]
    if kind == "image":
        most = int(store.quirk("image_mb")) * MB
    if (given.size or 0) > most:
        raise WeComError(errcode)
    head = given.read(16)
    given.seek(0)
    found = _kind(head)
    wanted = {"image": ("image/png", "image/jpeg"), "voice": ("audio/amr",), "video": ("video/mp4",)}.get(
        kind
    )
    if wanted is not None and found not in wanted:
        raise WeComError(40004)
    return given, found or given.content_type or "application/octet-stream"


def temporary(call: Call, kind: str, origin: str) -> dict[str, Any]:
    """Keep a file for three days."""
    given, content_type = _checked(call, kind)
    row = _keep(call, given, origin=origin, kind=kind, content_type=content_type)
    return {"errmsg": "", "type": kind, "media_id": row.media_id, "created_at": str(int(call.now))}


def upload(call: Call) -> dict[str, Any]:
    """For messages; three days."""
    kind = call.query.get("type", "")
    if kind not in LIMITS:
        raise WeComError(40005)
    return temporary(call, kind, "upload")


def upload_attachment(call: Call) -> dict[str, Any]:
    """For moments (attachment_type 1) and product albums (2); three days."""
    kind, use = call.query.get("media_type", ""), call.query.get("attachment_type", "")
    if kind not in ("image", "video", "file") or use not in ("1", "2"):
        raise WeComError(40005)
    return temporary(call, kind, f"attachment:{use}")


def uploadimg(call: Call) -> dict[str, Any]:
    """A permanent address for pic_url."""
    given = _received(call)
    if (given.size or 0) > IMG_LIMIT:
        raise WeComError(40009)
    head = given.read(16)
    given.seek(0)
    content_type = _kind(head)
    if content_type not in ("image/png", "image/jpeg"):
        raise WeComError(40123)
    sent = Media.objects.filter(corpid=call.corpid, origin="img")
    if sent.filter(created_at__gt=call.now - 86_400).count() >= IMG_PER_DAY:
        raise WeComError(45009)
    if sent.filter(created_at__gt=call.now - 30 * 86_400).count() >= IMG_PER_MONTH:
        raise WeComError(45009)
    row = _keep(call, given, origin="img", kind="image", content_type=content_type)
    return {"url": f"{call.base_url}/wwimg/{row.media_id}"}


def get(call: Call) -> Answer:
    """The file itself, or JSON with an errcode."""
    row = _living(call.corpid, call.query.get("media_id", ""), call.now)
    response = HttpResponse(path_of(row.media_id).read_bytes(), content_type=row.content_type)
    plain = row.filename.encode("ascii", "ignore").decode().replace('"', "") or "file"
    response["Content-Disposition"] = (
        f"attachment; filename=\"{plain}\"; filename*=utf-8''{quote(row.filename)}"
    )
    return response


def _living(corpid: str, media_id: str, now: float) -> Media:
    row = Media.objects.filter(media_id=media_id, corpid=corpid).exclude(origin="img").first()
    if row is None or now >= row.created_at + LIFE_S:
        raise WeComError(40007)
    return row


def check(corpid: str, media_id: str, kind: str, *, now: float, origin: str = "upload") -> None:
    """40007 unless the medium lives, is of that kind and was uploaded for that use."""
    row = _living(corpid, media_id, now)
    if row.type != kind or row.origin != origin:
        raise WeComError(40007)


def check_pic_url(corpid: str, url: str) -> None:
    """Only addresses that uploadimg gave."""
    media_id = url.rsplit("/wwimg/", 1)[-1]
    if not Media.objects.filter(media_id=media_id, corpid=corpid, origin="img").exists():
        raise WeComError(40058, "pic_url is not from uploadimg")
