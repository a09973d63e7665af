"""Files that attachments name, for editors."""

import json
from collections.abc import Iterable
from typing import Any

from wecom.models import MediaFile


def files_of(attachments: Iterable[str]) -> dict[str, dict[str, Any]]:
    """{id: {name, kind}} of the files in some JSON texts of attachments; what cannot be read is passed over."""
    ids = set()
    for text in attachments:
        try:
            ids |= {int(a["file_id"]) for a in json.loads(text or "[]") if a.get("file_id")}
        except (ValueError, TypeError, AttributeError):
            continue
    return {str(f.pk): {"name": f.name, "kind": f.kind} for f in MediaFile.objects.filter(pk__in=ids)}
