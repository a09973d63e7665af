"""The picture of a poster, for one guide or one customer: `plan` in the brand's scope, then `draw` outside of a transaction,
because avatars and channel codes may have to be fetched from WeCom.

The code of the poster's link is signed. A guide's names the guide (`via` poster): who scans it is counted for them. A
customer's names the customer, too: who scans it was brought by them (event 72), for their own guide. A finished picture is
kept on the disk by a digest of everything that is on it; not a customer's, who asks for it once.
"""

import hashlib
import io
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import segno
from django.conf import settings
from django.utils.translation import gettext as _
from PIL import Image, ImageDraw, ImageFont

from contacts.models import Contact, Follow
from content import hooks, tokens, variables
from content.models import Poster, Via
from content.services import links
from org.models import Staff
from scrm.errors import InvalidError
from scrm.templatetags.frame import initials
from tenants.models import Brand
from wecom.errors import WeComUnavailable
from wecom.models import MediaFile
from wecom.services import media, pictures

AVATAR_S = 4.0  # seconds; without it the name's first characters stand there
GREY = (93, 107, 130)
FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
)


@dataclass(frozen=True)
class Drawing:
    """Everything that `draw` needs, read from the database."""

    background: MediaFile
    parts: list[dict[str, Any]]
    address: str  # of the link's code
    codes: dict[int, Any]  # channel codes, for hooks.poster_code_picture
    name: str  # of the guide
    avatar: str  # its address
    is_kept: bool


def plan(
    brand: Brand, poster: Poster, *, staff: Staff | None = None, contact: Contact | None = None
) -> Drawing:
    """What is on the poster of a guide, or of a customer who passes it on. In the caller's scope and transaction.

    Raises:
        InvalidError: a channel code on it was deleted.
    """
    if staff is None and contact is not None:
        follow = Follow.objects.filter(contact=contact, ended_at=None).order_by("added_at").first()
        staff = Staff.objects.select_related("store").filter(pk=follow.staff_id).first() if follow else None
    staff_id = staff.pk if staff else 0
    address = ""
    if poster.link is not None:
        what = tokens.Passed(contact.pk, staff_id) if contact else tokens.Sent(staff_id, via=Via.POSTER)
        address = links.address_of(poster.link, tokens.pack(brand.pk, poster.link.key, what))
    values = variables.values_for(brand=brand, staff=staff, customer=contact.name if contact else "")
    given = poster.layout.get("parts", [])
    wanted = {part["code"] for part in given if part["kind"] == "code"}
    codes = hooks.poster_codes_by_id(brand, wanted)
    if wanted - codes.keys():
        raise InvalidError(_("The channel code on this poster was deleted: choose another one"))
    parts = [
        {**part, "text": variables.render(part["text"], values, max_chars=100)}
        if part["kind"] == "text"
        else part
        for part in given
    ]
    name, avatar = (staff.name, staff.avatar) if staff else (brand.name, "")
    return Drawing(poster.background, parts, address, codes, name, avatar, is_kept=contact is None)


def draw(brand: Brand, drawing: Drawing) -> bytes:
    """The picture, a JPEG. In the brand's scope; may call WeCom: outside a transaction.

    Raises:
        InvalidError: the server has no Chinese font, or the background is gone. ConflictError, WeComUnavailable: the
            picture of a channel code cannot be had now.
    """
    # the picture of a code is another one when WeCom has made it anew
    codes = {code_id: hooks.poster_code_picture(brand, code) for code_id, code in drawing.codes.items()}
    digests = {str(code_id): hashlib.sha256(data).hexdigest() for code_id, data in codes.items()}
    whole = json.dumps(
        [drawing.background.digest, drawing.parts, drawing.address, digests, drawing.name, drawing.avatar],
        sort_keys=True,
    )
    path = Path(settings.MEDIA_ROOT) / f"{brand.pk}/posters/{hashlib.sha256(whole.encode()).hexdigest()}.jpg"
    if path.is_file():
        return path.read_bytes()
    has_avatar = any(part["kind"] == "avatar" for part in drawing.parts)
    avatar = _avatar(brand, drawing.avatar) if has_avatar else None
    data = _drawn(media.read(drawing.background), drawing, codes, avatar)
    # drawn without an avatar that is there: perhaps it can be had the next time
    if drawing.is_kept and not (has_avatar and drawing.avatar and avatar is None):
        media.write(path, data)
    return data


def _avatar(brand: Brand, url: str) -> bytes | None:
    """The guide's picture, from our disk after the first time; None where WeCom gives none that can be drawn."""
    if not url:
        return None
    path = Path(settings.MEDIA_ROOT) / f"{brand.pk}/avatars/{hashlib.sha256(url.encode()).hexdigest()}"
    if path.is_file():
        return path.read_bytes()
    with suppress(WeComUnavailable):
        data = pictures.fetch(url, api="avatar", seconds=AVATAR_S)
        media.write(path, data)
        return data
    return None


def _drawn(background: bytes, drawing: Drawing, codes: dict[int, bytes], avatar: bytes | None) -> bytes:
    with Image.open(io.BytesIO(background)) as opened:
        picture = opened.convert("RGB")
    for part in drawing.parts:
        at, side = (part["x"], part["y"]), part["w"]
        match part["kind"]:
            case "qr":
                made = io.BytesIO()
                segno.make_qr(drawing.address, error="m").save(made, kind="png", scale=10, border=2)
                picture.paste(_square(made.getvalue(), side, Image.Resampling.NEAREST), at)
            case "code":
                picture.paste(_square(codes[part["code"]], side, Image.Resampling.LANCZOS), at)
            case "avatar":
                face = _face(avatar, side) if avatar else _initials(drawing.name, side)
                picture.paste(face, at, _disc(side))
            case _:
                _write(picture, part)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def _square(data: bytes, side: int, how: Image.Resampling) -> Image.Image:
    with Image.open(io.BytesIO(data)) as code:
        return code.convert("RGB").resize((side, side), how)


def _face(data: bytes, side: int) -> Image.Image:
    """The middle of a picture."""
    with Image.open(io.BytesIO(data)) as found:
        whole = found.convert("RGB")
    least = min(whole.size)
    left, top = (whole.width - least) // 2, (whole.height - least) // 2
    return whole.crop((left, top, left + least, top + least)).resize((side, side), Image.Resampling.LANCZOS)


def _initials(name: str, side: int) -> Image.Image:
    """Where there is no picture: the name as the pages show it."""
    face = Image.new("RGB", (side, side), GREY)
    pen = ImageDraw.Draw(face)
    pen.text(
        (side / 2, side / 2), initials(name), font=_font(max(8, side * 2 // 5)), fill="white", anchor="mm"
    )
    return face


def _disc(side: int) -> Image.Image:
    """A round mask, drawn four times as large for a smooth edge."""
    mask = Image.new("L", (side * 4, side * 4), 0)
    ImageDraw.Draw(mask).ellipse((0, 0, side * 4 - 1, side * 4 - 1), fill=255)
    return mask.resize((side, side), Image.Resampling.LANCZOS)


def _write(picture: Image.Image, part: dict[str, Any]) -> None:
    pen, font, text = ImageDraw.Draw(picture), _font(part["size"]), part["text"]
    while text and pen.textlength(text, font=font) > part["w"]:
        text = text[:-1]
    free = part["w"] - pen.textlength(text, font=font)
    shift = {"left": 0.0, "center": free / 2, "right": free}[part["align"]]
    pen.text((part["x"] + shift, part["y"]), text, font=font, fill=part["color"])


def _font(size: int) -> ImageFont.FreeTypeFont:
    own = [
        str(settings.BASE_DIR / "var" / place / "NotoSansSC-Regular.ttf")
        for place in ("fonts", "vendor/fonts")
    ]
    for path in (*own, *FONTS):
        if Path(path).is_file():
            return ImageFont.truetype(path, size)
    raise InvalidError(_("The server has no Chinese font: install fonts-noto-cjk"), code="no_font")
