"""Files for messages: uploaded by the editor of attachments, looked at in lists."""

from typing import Any

from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_GET, require_POST

from org.access import signed_in
from scrm.errors import ForbiddenError, InvalidError, NotFoundError, SCRMError
from scrm.responses import error_body
from wecom.models import MediaFile
from wecom.services import media

RIGHTS = ("codes.edit", "sops.edit", "broadcasts.edit", "content.edit")  # whoever writes messages
LOOK = (*RIGHTS, "codes.view", "sops.view", "broadcasts.view", "content.view")  # whoever sees them
_TYPES = {".jpg": "image/jpeg", ".png": "image/png"}


@require_POST
@signed_in
def media_upload(request: Any) -> HttpResponse:
    """`file` and `kind` in; {"id", "name", "kind", "size"} out, or {"error": {"message"}} with its status."""
    try:
        if not any(request.actor.can(right) for right in RIGHTS):
            raise ForbiddenError()
        file = request.FILES.get("file")
        if file is None:
            raise InvalidError("file is missing")
        kept = media.save_upload(request.brand, file=file, kind=request.POST.get("kind", ""))
    except SCRMError as error:
        return JsonResponse(error_body(error), status=error.http_status)
    return JsonResponse({"id": kept.pk, "name": kept.name, "kind": kept.kind, "size": kept.size})


@require_GET
@signed_in
def media_file(request: Any, file_id: int) -> HttpResponse:
    """A picture as it was uploaded; other files are never shown, so that nothing of a stranger runs on our
    address."""
    kept = MediaFile.objects.filter(pk=file_id, kind="image").first()
    kind = _TYPES.get(kept.path[-4:]) if kept else None
    if kept is None or kind is None or not any(request.actor.can(right) for right in LOOK):
        raise NotFoundError()
    response = HttpResponse(media.read(kept), content_type=kind)
    response["Cache-Control"] = "private, max-age=86400"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response
