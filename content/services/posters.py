"""海报: templates, and the picture for one guide or customer.

The code on a poster is a tracked link whose signed tail names the guide (`via` poster): who scans it is counted for them.
A finished picture is kept on the disk by a digest of everything that is on it; not one that was made for a customer, whose
name may stand on it and who asks for it once.
"""

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import segno
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from PIL import Image, ImageDraw, ImageFont

from contacts.models import Contact, Follow
from content import tokens, variables
from content.models import Poster, Via
from content.services import links, sensitive
from org import audit
from org.access import SYSTEM, Actor
from org.models import Staff
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from tenants.models import Brand
from wecom.models import MediaFile
from wecom.services import media

MAX_PARTS, MAX_SIDE, MIN_SIDE = 12, 3_000, 200
KINDS = ("qr", "text")
ALIGNS = ("left", "center", "right")
FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
)


def get_poster(poster_id: int) -> Poster:
    """
    Raises:
        NotFoundError: missing, or another brand's.
    """
    row = Poster.objects.select_related("background", "link").filter(pk=poster_id).first()
    if row is None:
        raise NotFoundError()
    return row


@transaction.atomic
def save_poster(
    brand: Brand,
    *,
    name: str,
    background_id: int,
    link_id: int,
    layout: Any,
    poster_id: int | None = None,
    by: Actor = SYSTEM,
) -> Poster:
    """A new template, or another one in its place.

    Raises:
        InvalidError: what is wrong. NotFoundError: file, link or poster.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= 60:
        raise InvalidError(_("1 to %(n)d characters") % {"n": 60}, fields={"name": _("Give it a name")})
    file = MediaFile.objects.filter(pk=background_id, kind="image").first()
    if file is None:
        raise InvalidError(_("Choose a background picture"))
    with Image.open(io.BytesIO(media.read(file))) as picture:
        width, height = picture.size
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise InvalidError(
            _("A background has %(least)d to %(most)d pixels a side") % {"least": MIN_SIDE, "most": MAX_SIDE}
        )
    row = get_poster(poster_id) if poster_id else Poster(created_by=by.name)
    row.name, row.background, row.link = name, file, links.get_link(link_id)
    row.width, row.height, row.changed_at = width, height, clock.now()
    row.layout = {"parts": check_parts(layout, width, height)}
    row.save()
    audit.record(by, "poster.edit" if poster_id else "poster.create", row, after={"name": name})
    return row


def check_parts(layout: Any, width: int, height: int) -> list[dict[str, Any]]:
    """The parts of a layout with known fields only.

    Raises:
        InvalidError: says which part, and what is wrong.
    """
    parts = layout.get("parts") if isinstance(layout, dict) else None
    if not isinstance(parts, list) or not 1 <= len(parts) <= MAX_PARTS:
        raise InvalidError(_("A poster has 1 to %(n)d parts") % {"n": MAX_PARTS})
    clean = [_part(part, n, width, height) for n, part in enumerate(parts, 1)]
    if not any(part["kind"] == "qr" for part in clean):
        raise InvalidError(_("A poster needs a place for the code"))
    return clean


def _part(part: Any, n: int, width: int, height: int) -> dict[str, Any]:
    wrong = InvalidError(_("Part %(n)d does not lie on the background") % {"n": n})
    if not isinstance(part, dict) or part.get("kind") not in KINDS:
        raise wrong
    try:
        x, y, w = (int(part.get(name) or 0) for name in ("x", "y", "w"))
        size = int(part.get("size") or 40)
    except (TypeError, ValueError, OverflowError):
        raise wrong from None
    if not (0 <= x < width and 0 <= y < height and 40 <= w <= width - x and 8 <= size <= 400):
        raise wrong
    if part["kind"] == "qr":
        if y + w > height:
            raise wrong
        return {"kind": "qr", "x": x, "y": y, "w": w}
    text, color = str(part.get("text") or "").strip()[:100], str(part.get("color") or "#222222")
    if not text or not re.fullmatch(r"#[0-9a-fA-F]{6}", color) or part.get("align", "left") not in ALIGNS:
        raise InvalidError(_("Part %(n)d: words and a colour are needed") % {"n": n})
    variables.check(text)
    sensitive.check_here(text)
    align = part.get("align", "left")
    return {
        "kind": "text",
        "x": x,
        "y": y,
        "w": w,
        "size": size,
        "text": text,
        "color": color,
        "align": align,
    }


# ---- the picture


def render(
    brand: Brand, poster: Poster, *, staff: Staff | None = None, contact: Contact | None = None
) -> bytes:
    """A JPEG for a guide, or for a customer with the code of their own guide. In the caller's scope.

    Raises:
        InvalidError: the server has no Chinese font, or the background is gone.
    """
    if staff is None and contact is not None:
        follow = Follow.objects.filter(contact=contact, ended_at=None).order_by("added_at").first()
        staff = Staff.objects.select_related("store").filter(pk=follow.staff_id).first() if follow else None
    token = tokens.pack(brand.pk, poster.link.key, tokens.Sent(staff.pk if staff else 0, via=Via.POSTER))
    values = variables.values_for(brand=brand, staff=staff, customer=contact.name if contact else "")
    parts = [
        {**part, "text": variables.render(part["text"], values, max_chars=100)}
        if part["kind"] == "text"
        else part
        for part in poster.layout.get("parts", [])
    ]
    address = links.address_of(poster.link, token)
    whole = json.dumps([poster.background.digest, parts, address], sort_keys=True)
    path = Path(settings.MEDIA_ROOT) / f"{brand.pk}/posters/{hashlib.sha256(whole.encode()).hexdigest()}.jpg"
    if path.is_file():
        return path.read_bytes()
    data = _draw(media.read(poster.background), parts, address)
    if contact is None:
        media.write(path, data)
    return data


def _draw(background: bytes, parts: list[dict[str, Any]], address: str) -> bytes:
    with Image.open(io.BytesIO(background)) as opened:
        picture = opened.convert("RGB")
    pen = ImageDraw.Draw(picture)
    for part in parts:
        if part["kind"] == "qr":
            drawn = io.BytesIO()
            segno.make_qr(address, error="m").save(drawn, kind="png", scale=10, border=2)
            with Image.open(drawn) as code:
                square = code.convert("RGB").resize((part["w"], part["w"]), Image.Resampling.NEAREST)
            picture.paste(square, (part["x"], part["y"]))
            continue
        font = _font(part["size"])
        text = part["text"]
        while text and pen.textlength(text, font=font) > part["w"]:
            text = text[:-1]
        free = part["w"] - pen.textlength(text, font=font)
        shift = {"left": 0.0, "center": free / 2, "right": free}[part["align"]]
        pen.text((part["x"] + shift, part["y"]), text, font=font, fill=part["color"])
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def _font(size: int) -> ImageFont.FreeTypeFont:
    own = [
        str(settings.BASE_DIR / "var" / place / "NotoSansSC-Regular.ttf")
        for place in ("fonts", "vendor/fonts")
    ]
    for path in (*own, *FONTS):
        if Path(path).is_file():
            return ImageFont.truetype(path, size)
    raise InvalidError(_("The server has no Chinese font: install fonts-noto-cjk"), code="no_font")
