"""What a file can bring: one module per kind; a table of dotted paths, so that grep finds all of it."""

from django.utils.module_loading import import_string

from datafiles.kinds.base import Code, Kind
from scrm.errors import NotFoundError

KINDS: dict[str, str] = {
    "members": "datafiles.kinds.members.KIND",
    "products": "datafiles.kinds.commerce.PRODUCTS",
    "orders": "datafiles.kinds.commerce.ORDERS",
    "refunds": "datafiles.kinds.commerce.REFUNDS",
    "behaviour": "datafiles.kinds.commerce.BEHAVIOUR",
    "leads": "guides.files.bringing.KIND",
}


def kind_of(key: str) -> Kind:
    """The kind of this name.

    Raises:
        NotFoundError: there is none; an unknown kind is never read as another one.
    """
    if key not in KINDS:
        raise NotFoundError()
    return import_string(KINDS[key])


def all_kinds() -> list[Kind]:
    return [import_string(path) for path in KINDS.values()]


__all__ = ["KINDS", "Code", "Kind", "all_kinds", "kind_of"]
