"""Pictures the sandbox serves: QR codes, avatars, uploaded images."""

import hashlib
import io

import segno
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse

from .api.media import path_of
from .models import ContactWay, Customer, JoinWay, Media, Member

CACHE = "public, max-age=86400"


def _qr(text: str) -> HttpResponse:
    out = io.BytesIO()
    segno.make(text, error="m").save(out, kind="png", scale=10, border=4)
    return HttpResponse(out.getvalue(), content_type="image/png")


def _base(request: HttpRequest) -> str:
    return f"{request.scheme}://{request.get_host()}"


def contact_way_qr(request: HttpRequest, config_id: str, size: str) -> HttpResponse:
    """QR of a contact way or join way; it leads to the page of who scans it. 404 once the way is deleted."""
    ways = (ContactWay, JoinWay)
    if not any(way.objects.filter(config_id=config_id).exists() for way in ways):
        raise Http404
    return _qr(f"{_base(request)}/q/{config_id}")


def member_qr(request: HttpRequest, corpid: str, userid: str) -> HttpResponse:
    """QR of a member's own code."""
    if not Member.objects.filter(corpid=corpid, userid=userid).exists():
        raise Http404
    return _qr(f"{_base(request)}/q/{corpid}/{userid}")


def uploaded(request: HttpRequest, media_id: str) -> HttpResponse:
    """A picture from uploadimg."""
    row = Media.objects.filter(media_id=media_id, origin="img").first()
    if row is None:
        raise Http404
    response = HttpResponse(path_of(media_id).read_bytes(), content_type=row.content_type)
    response["Cache-Control"] = CACHE
    return response


def medium(request: HttpRequest, media_id: str) -> HttpResponse:
    """An uploaded file as a page shows it; WeCom's own way is media/get."""
    row = Media.objects.filter(media_id=media_id).first()
    if row is None or not path_of(media_id).exists():
        raise Http404
    return HttpResponse(path_of(media_id).read_bytes(), content_type=row.content_type)


ASSETS = {"sandbox.css": "text/css", "sandbox.js": "text/javascript"}


def asset(request: HttpRequest, name: str) -> HttpResponse:
    """The pages' own style and script."""
    if name not in ASSETS:
        raise Http404
    return HttpResponse((settings.HERE / "static" / name).read_bytes(), content_type=ASSETS[name])


def avatar(request: HttpRequest, key: str) -> HttpResponse:
    """A coloured square with the first letter of the name."""
    name = Customer.objects.filter(external_userid=key).values_list("name", flat=True).first() or key
    hue = int(hashlib.blake2b(key.encode(), digest_size=2).hexdigest(), 16) % 360
    letter = (name[:1] or "?").replace("&", "&amp;").replace("<", "&lt;")
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96" width="96" height="96">'
        f'<rect width="96" height="96" fill="hsl({hue} 45% 52%)"/>'
        '<text x="48" y="64" font-size="46" text-anchor="middle" fill="#fff" font-family="sans-serif">'
        f"{letter}</text></svg>"
    )
    response = HttpResponse(svg, content_type="image/svg+xml")
    response["Cache-Control"] = CACHE
    return response
