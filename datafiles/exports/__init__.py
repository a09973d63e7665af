"""What can be taken out: one entry per list; a table of dotted paths, so that grep finds all of it."""

from django.utils.module_loading import import_string

from datafiles.exports.base import Export, ExportKind
from scrm.errors import NotFoundError

KINDS: dict[str, str] = {
    "contacts": "datafiles.exports.contacts.CONTACTS",
    "segment": "datafiles.exports.contacts.SEGMENT",
    "tags": "datafiles.exports.contacts.TAGS",
    "orders": "datafiles.exports.commerce.ORDERS",
    "products": "datafiles.exports.commerce.PRODUCTS",
    "refunds": "datafiles.exports.commerce.REFUNDS",
    "touches": "datafiles.exports.touches.TOUCHES",
    "broadcast": "datafiles.exports.broadcast.BROADCAST",
    "answers": "datafiles.exports.answers.ANSWERS",
    "codes": "datafiles.exports.codes.CODES",
    "leads": "guides.files.exports.LEADS",
    "behaviour": "datafiles.exports.behaviour.BEHAVIOUR",
    "groups": "datafiles.exports.groups.GROUPS",
    "group_members": "datafiles.exports.groups.MEMBERS",
    "handover": "datafiles.exports.handover.HANDOVER",
    "tasks": "datafiles.exports.tasks.TASKS",
    "waiting_tags": "datafiles.exports.waiting.WAITING",
    "differences": "drift.exports.DIFFERENCES",
    "audit": "datafiles.exports.audit.AUDIT",
}


def export_kind(key: str) -> ExportKind:
    """The list of this name.

    Raises:
        NotFoundError: there is none.
    """
    if key not in KINDS:
        raise NotFoundError()
    return import_string(KINDS[key])


def all_export_kinds() -> list[ExportKind]:
    return [import_string(path) for path in KINDS.values()]


__all__ = ["KINDS", "Export", "ExportKind", "all_export_kinds", "export_kind"]
