"""Files that attachments name, for editors."""

from collections.abc import Iterable
from typing import Any

from scrm import json_in
from scrm.ids import read_id
from wecom.models import MediaFile


def files_of(attachments: Iterable[str]) -> dict[str, dict[str, Any]]:
    """{id: {name, kind}} of the files in some JSON texts of attachments; what cannot be read is passed over."""
    ids = set[int]()
    for text in attachments:
        try:
            ids |= {read_id(a.get("file_id")) or 0 for a in json_in.loads(text or "[]")}
        except (ValueError, TypeError, AttributeError):
            continue
    return {str(f.pk): {"name": f.name, "kind": f.kind} for f in MediaFile.objects.filter(pk__in=ids)}
