"""QR pictures of codes. WeCom gives the address of a picture, not the link inside; so the picture itself is
fetched, kept, and enlarged for print without smoothing, dot by dot.
"""

import hashlib
import io
import math
from functools import cache
from pathlib import Path

import segno
from django.conf import settings
from django.utils.translation import gettext as _
from PIL import Image, ImageDraw, ImageFont

from livecodes.models import ChannelCode
from livecodes.services.doors import address_of
from scrm.errors import ConflictError
from tenants.models import Brand
from wecom.services import media, pictures

PRINT_PX, PRINT_DPI = 1200, 300  # 1,200 dots at 300 dpi: 10 cm
CAPTION_CHARS = 60
_FONT = "NotoSansSC-Regular.ttf"


def picture(brand: Brand, code: ChannelCode) -> bytes:
    """The QR picture as WeCom drew it, from our disk after the first time. May call WeCom: outside a
    transaction.

    Raises:
        ConflictError: the code has no picture yet. WeComUnavailable: it cannot be fetched now.
    """
    if not code.qr_url:
        raise ConflictError(_("WeCom has not made the QR code of “%(name)s” yet") % {"name": code.name})
    if code.kind == ChannelCode.Kind.LINK:
        return _drawn(address_of(code))
    path = _folder(brand) / f"{code.pk}-{hashlib.sha256(code.qr_url.encode()).hexdigest()[:16]}"
    if path.is_file():
        return path.read_bytes()
    data = pictures.fetch(code.qr_url, api="qr_code")
    media.write(path, data)
    return data


def _drawn(address: str) -> bytes:
    """A QR picture of an address, drawn by ourselves: WeCom draws none for links."""
    out = io.BytesIO()
    segno.make_qr(address, error="m").save(out, kind="png", scale=8, border=4)
    return out.getvalue()


def print_png(data: bytes, caption: str = "") -> bytes:
    """The picture at print size as PNG: at least 1,200 dots, 300 dpi, the caption below (if the font is
    there)."""
    with Image.open(io.BytesIO(data)) as source:
        qr = source.convert("RGB")
    factor = max(1, math.ceil(PRINT_PX / min(qr.size)))
    qr = qr.resize((qr.width * factor, qr.height * factor), Image.Resampling.NEAREST)
    font_path = _font_path()
    if caption and font_path:
        qr = _with_caption(qr, caption.strip()[:CAPTION_CHARS], font_path)
    out = io.BytesIO()
    qr.save(out, "PNG", dpi=(PRINT_DPI, PRINT_DPI), optimize=True)
    return out.getvalue()


def screen_png(data: bytes) -> bytes:
    """The picture as PNG in its own size, for pages."""
    with Image.open(io.BytesIO(data)) as source:
        out = io.BytesIO()
        source.convert("RGB").save(out, "PNG")
    return out.getvalue()


def _folder(brand: Brand) -> Path:
    return Path(settings.MEDIA_ROOT) / str(brand.pk) / "qr"


@cache
def _font_path() -> Path | None:
    """A font with Chinese characters; a fresh machine has none, so it comes with the front end's packages."""
    base = settings.BASE_DIR / "var"
    places = [base / "fonts" / _FONT, base / "vendor" / "fonts" / _FONT]
    return next((path for path in places if path.is_file()), None)


def _with_caption(qr: Image.Image, caption: str, font_path: Path) -> Image.Image:
    size = max(24, qr.width // 20)
    font = ImageFont.truetype(str(font_path), size)
    lines, line = [], ""
    for character in caption:
        if font.getlength(line + character) > qr.width * 0.92:
            lines.append(line)
            line = ""
        line += character
    lines.append(line)
    height = int(size * 1.4)
    sheet = Image.new("RGB", (qr.width, qr.height + height * len(lines) + size // 2), "white")
    sheet.paste(qr, (0, 0))
    draw = ImageDraw.Draw(sheet)
    for n, text in enumerate(lines):
        draw.text((qr.width / 2, qr.height + n * height + height / 2), text, "black", font, anchor="mm")
    return sheet
