"""Which brand is being served: one context variable that the ORM, Postgres and the logs follow.

`tenant_scope(brand)` opens the scope of one brand; `all_brands()` is deliberate work over all of them and
only works on the connections `ops` and `owner`. Scopes of different brands do not nest. Tenant rows are
reached only inside a scope and a transaction.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from django.db import connections

if TYPE_CHECKING:
    from tenants.models import Brand

ALL = object()
_brand: ContextVar[Any] = ContextVar("brand_id", default=None)


class NoBrandError(RuntimeError):
    """Tenant data was touched without a brand; always a mistake in code, never a user's."""


def current_brand_id() -> int:
    """The brand in scope; also the default of every `brand` column.

    Raises:
        NoBrandError: no scope is open, or the scope is `all_brands()`.
    """
    value = _brand.get()
    if value is None or value is ALL:
        raise NoBrandError("no brand in scope: open tenant_scope(brand) first")
    return value


def brand_filter(alias: str) -> int | None:
    """What the compiler adds to a statement on connection `alias`: a brand id, or None for all brands.

    Raises:
        NoBrandError: no scope, or all brands on a connection of request code.
    """
    value = _brand.get()
    if value is ALL:
        if alias not in ("ops", "owner"):
            raise NoBrandError("all_brands() works on the connections `ops` and `owner` only")
        return None
    return current_brand_id()


def setting() -> str:
    """Text for `SET LOCAL app.brand_id`; empty when no single brand is chosen."""
    value = _brand.get()
    return str(int(value)) if value is not None and value is not ALL else ""


def describe() -> str:
    """For logs: the brand id, `all` or `-`."""
    value = _brand.get()
    return "-" if value is None else "all" if value is ALL else str(value)


@contextmanager
def _activate(value: Any) -> Iterator[None]:
    if _brand.get() not in (None, value):
        raise RuntimeError("another brand is already in scope; scopes never nest")
    token = _brand.set(value)
    try:
        _apply()
        yield
    finally:
        _brand.reset(token)
        _apply()


def _apply() -> None:
    """Tell transactions that are open already (a test's, or a scope chosen late)."""
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block and not connection.needs_rollback:
            connection.apply_brand(setting())  # type: ignore[attr-defined]


def tenant_scope(brand: "Brand | int") -> Any:
    """Context manager: everything inside belongs to this brand (an instance or its id)."""
    return _activate(brand if isinstance(brand, int) else brand.pk)


def all_brands() -> Any:
    """Context manager for the few jobs over all brands, on `ops` or `owner` only."""
    return _activate(ALL)
