"""QR pictures: on the page, for print, and many as a ZIP. They may have to be fetched from WeCom: outside
transactions."""

from typing import Any
from urllib.parse import quote

from django.http import FileResponse, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from livecodes.services import codes, qr, zips
from org.access import brand_transaction, staff_can, staff_can_outside
from org.models import Job
from scrm.errors import NotFoundError
from tenants.scoping import tenant_scope


@require_GET
@staff_can_outside("codes.view")
def qr_picture(request: Any, code_id: int) -> HttpResponse:
    """The picture as PNG; `print=1` in print size to keep, `plain=1` without the name below."""
    with brand_transaction(request):
        code = codes.get_code(code_id)
    with tenant_scope(request.brand):
        data = qr.picture(request.brand, code)
    if not request.GET.get("print"):
        response = HttpResponse(qr.screen_png(data), content_type="image/png")
        response["Cache-Control"] = "private, max-age=3600"
        return response
    caption = "" if request.GET.get("plain") else code.name
    response = HttpResponse(qr.print_png(data, caption), content_type="image/png")
    response["Content-Disposition"] = _attachment(f"{code.name}.png")
    return response


@require_GET
@staff_can("codes.view")
def zip_page(request: Any, job_id: int) -> HttpResponse:
    """Progress of a ZIP, then the file."""
    job = Job.objects.filter(pk=job_id, kind=zips.KIND).first()
    if job is None:
        raise NotFoundError()
    return render(
        request,
        "livecodes/zip.html",
        {"job": job, "problems": job.result.get("problems", []), "file": f"/codes/zips/{job.pk}/file/"},
    )


@require_GET
@staff_can("codes.view")
def zip_file(request: Any, job_id: int) -> FileResponse:
    path, name = zips.finished_file(request.brand, job_id)
    response = FileResponse(path.open("rb"), content_type="application/zip")
    response["Content-Disposition"] = _attachment(name)
    return response


def _attachment(name: str) -> str:
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
