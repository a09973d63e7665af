"""Files of a brand for messages: kept on our disk, uploaded to WeCom when needed, again before its three days
end."""

import hashlib
import io
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, cast

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from PIL import Image, UnidentifiedImageError

from org.models import Corp
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand
from wecom.api import media as api
from wecom.client import WeComClient
from wecom.models import MediaFile, MediaUpload

Kind = Literal["image", "video", "file"]
KINDS: tuple[str, ...] = ("image", "video", "file")
# WeCom forgets a media_id after three days; a mass send may lie there for a day before the guide confirms it
FRESH = timedelta(days=2)
JUST_NOW = timedelta(minutes=10)  # what WeCom does not know so soon after it took it, it will not take
UNKNOWN = 40007  # its errcode for a media_id that it does not know
_ENDINGS = {
    "image": {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png"},
    "video": {b"": ".mp4"},
    "file": {b"": ".bin"},
}


def save_upload(brand: Brand, *, file: Any, kind: str) -> MediaFile:
    """Keep an uploaded file; the same content again gives the same row.

    Args:
        file: Django's UploadedFile (or anything with `name` and `read()`).
        kind: image (JPG, PNG ≤ 10 MB), video (MP4 ≤ 10 MB), file (≤ 20 MB).

    Raises:
        InvalidError: too large, another type, or not a picture inside.
    """
    if kind not in KINDS:
        raise InvalidError(_("An attachment is an image, a video or a file"))
    limit = api.MAX_BYTES[kind]
    data = file.read(limit + 1)
    api.check_file(cast(Kind, kind), data)
    if kind == "image":
        _check_picture(data)
    digest = hashlib.sha256(data).hexdigest()
    path = f"{brand.pk}/{digest[:2]}/{digest}{_ending(kind, data)}"
    write(Path(settings.MEDIA_ROOT) / path, data)
    with transaction.atomic():
        found, _made = MediaFile.objects.get_or_create(
            digest=digest, kind=kind, defaults={"name": _name(file.name), "path": path, "size": len(data)}
        )
    return found


def read(file: MediaFile) -> bytes:
    """The content.

    Raises:
        InvalidError: the file is no longer on the disk.
    """
    try:
        return (Path(settings.MEDIA_ROOT) / file.path).read_bytes()
    except FileNotFoundError:
        raise InvalidError(
            _("The file “%(name)s” is missing; upload it again") % {"name": file.name}
        ) from None


def media_id(corp: Corp, client: WeComClient, file: MediaFile, *, use: str = MediaUpload.Use.MESSAGE) -> str:
    """WeCom's id of the file in this corp, uploaded if there is none that will live for another day. Calls
    WeCom, so outside a transaction.

    Args:
        use: for messages, or for moments.
    """
    with transaction.atomic():
        fresh = MediaUpload.objects.filter(file=file, corp=corp, use=use, uploaded_at__gt=clock.now() - FRESH)
        upload = fresh.first()
    if upload:
        return upload.media_id
    started = clock.now()
    make = api.upload_attachment if use == MediaUpload.Use.MOMENT else api.upload
    new_id = make(client, cast(Any, file.kind), file.name, read(file))
    with transaction.atomic():
        MediaUpload.objects.update_or_create(
            file=file, corp=corp, use=use, defaults={"media_id": new_id, "uploaded_at": started}
        )
    return new_id


def forget(content: Iterable[Mapping[str, Any]]) -> bool:
    """WeCom does not know a media_id of this content: all that were not uploaded just now are uploaded anew when they are
    needed again.

    Args:
        content: attachments in WeCom's form.

    Returns:
        Whether a second call may go better: not when all of them were quite new.
    """
    parts = [part for item in content for part in item.values() if isinstance(part, dict)]
    ids = {part[name] for part in parts for name in ("media_id", "pic_media_id") if part.get(name)}
    with transaction.atomic():
        known = MediaUpload.objects.filter(media_id__in=ids)
        known.filter(uploaded_at__lte=clock.now() - JUST_NOW).delete()
        return len(ids) > known.values("media_id").distinct().count()


def _check_picture(data: bytes) -> None:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.verify()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise InvalidError(_("The picture is damaged")) from None


def _ending(kind: str, data: bytes) -> str:
    return next(ending for head, ending in _ENDINGS[kind].items() if data.startswith(head))


def _name(name: str | None) -> str:
    """What the person called it, without folders and control characters; ≤ 120 characters."""
    plain = re.sub(r"[\x00-\x1f\x7f]", "", re.split(r"[\\/]", name or "")[-1]).strip()
    return plain[-120:] or "file"


def write(path: Path, data: bytes) -> None:
    """Whole or not at all: a reader never sees half a file."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
