"""海报: templates. Their pictures are drawn by services/poster_pictures.py.

{"kind": "qr", "x", "y", "w"}              the tracked link of the poster, for the guide or customer whose poster it is
{"kind": "code", "x", "y", "w", "code"}    a channel code of the brand: who scans it adds one of its guides
{"kind": "avatar", "x", "y", "w"}          the guide's picture, round
{"kind": "text", "x", "y", "w", "size", "text", "color", "align"}
"""

import io
import re
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from PIL import Image

from content import hooks, variables
from content.models import Poster
from content.services import links, sensitive
from org import audit
from org.access import SYSTEM, Actor
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from scrm.ids import read_id
from tenants.models import Brand
from wecom.models import MediaFile
from wecom.services import media

MAX_PARTS, MAX_SIDE, MIN_SIDE = 12, 3_000, 200
KINDS = ("qr", "code", "avatar", "text")
ALIGNS = ("left", "center", "right")


def get_poster(poster_id: int) -> Poster:
    """
    Raises:
        NotFoundError: missing, or another brand's.
    """
    row = Poster.objects.select_related("background", "link").filter(pk=poster_id).first()
    if row is None:
        raise NotFoundError()
    return row


def usable_poster(poster_id: int) -> Poster:
    """One that may be sent.

    Raises:
        NotFoundError: missing, another brand's, or archived.
    """
    row = get_poster(poster_id)
    if row.archived_at is not None:
        raise NotFoundError()
    return row


def search(brand: Brand, *, q: str = "", limit: int = 50) -> list[Poster]:
    """Posters that may be chosen, newest first, by words of their name; one query."""
    found = Poster.objects.filter(archived_at=None)
    for word in q.replace("\x00", "").split()[:6]:
        found = found.filter(name__icontains=word)
    return list(found.order_by("-pk")[:limit])


def words_of(poster: Poster) -> str:
    """Everything that is written on it."""
    return "\n".join(part["text"] for part in poster.layout.get("parts", []) if part["kind"] == "text")


@transaction.atomic
def save_poster(
    brand: Brand,
    *,
    name: str,
    background_id: int,
    link_id: int | None = None,
    layout: Any,
    poster_id: int | None = None,
    by: Actor = SYSTEM,
) -> Poster:
    """A new template, or another one in its place. `link_id` is needed where it shows the link's code.

    Raises:
        InvalidError: what is wrong. NotFoundError: file, link or poster.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= 60:
        raise InvalidError(
            _("A name of 1 to %(n)d characters is needed") % {"n": 60}, fields={"name": _("Give it a name")}
        )
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
    parts = check_parts(layout, width, height)
    codes = {part["code"] for part in parts if part["kind"] == "code"}
    if codes - hooks.poster_codes_by_id(brand, codes).keys():
        raise InvalidError(_("Choose a channel code that is not deleted"))
    if link_id is None and any(part["kind"] == "qr" for part in parts):
        text = _("Choose where the code leads to")
        raise InvalidError(text, fields={"link": text})
    row.name, row.background = name, file
    row.link = links.get_link(link_id) if link_id is not None else None
    row.width, row.height, row.changed_at = width, height, clock.now()
    row.layout = {"parts": parts}
    row.save()
    audit.record(by, "poster.edit" if poster_id else "poster.create", row, after={"name": name})
    return row


@transaction.atomic
def archive_poster(brand: Brand, *, poster_id: int, archive: bool = True, by: Actor) -> Poster:
    """Off the lists: guides do not send it any more; what was sent still leads where it led. Safe to repeat;
    `archive=False`: back.

    Raises:
        NotFoundError: missing, or another brand's.
    """
    row = Poster.objects.select_for_update().filter(pk=poster_id).first()
    if row is None:
        raise NotFoundError()
    if (row.archived_at is not None) != archive:
        row.archived_at = clock.now() if archive else None
        row.save(update_fields=["archived_at"])
        audit.record(by, "poster.archive" if archive else "poster.restore", row)
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
    if not any(part["kind"] in ("qr", "code") for part in clean):
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
    if part["kind"] != "text":
        if y + w > height:
            raise wrong
        square = {"kind": part["kind"], "x": x, "y": y, "w": w}
        if part["kind"] == "code":
            if (code := read_id(part.get("code"))) is None:
                raise InvalidError(_("Part %(n)d: choose a channel code") % {"n": n})
            square["code"] = code
        return square
    text, color = str(part.get("text") or "").strip()[:100], str(part.get("color") or "#222222")
    if not text or not re.fullmatch(r"#[0-9a-fA-F]{6}", color) or part.get("align", "left") not in ALIGNS:
        raise InvalidError(_("Part %(n)d: words and a colour are needed") % {"n": n})
    try:
        variables.check(text)
        sensitive.check_here(text)
    except InvalidError as error:
        said = _("Part %(n)d: %(problem)s") % {"n": n, "problem": error.message}
        raise InvalidError(said, code=error.code) from None
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
