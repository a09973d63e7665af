"""The audit log: one call beside each change, in its transaction."""

from typing import Any

from django.db.models import Model

from org.access import Actor
from org.models import AuditEntry

SECRET_WORDS = ("secret", "token", "password", "aes_key", "digest")


def record(
    by: Actor,
    action: str,
    obj: Model | None = None,
    *,
    before: dict | None = None,
    after: dict | None = None,
    name: str = "",
) -> None:
    """Write who did what; `before`/`after` hold only JSON values of what changed, never secrets.

    Args:
        action: `<object>.<verb>`, e.g. `code.edit`.
        obj: the row concerned; its class name and id are kept, so that the entry outlives it.
    """
    before, after = _clean(before or {}), _clean(after or {})
    if before and after:
        changed = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
        before = {k: v for k, v in before.items() if k in changed}
        after = {k: v for k, v in after.items() if k in changed}
    AuditEntry.objects.create(
        user_id=by.user_id,
        actor=by.name,
        action=action,
        object_type=(obj._meta.model_name if obj is not None else None) or action.split(".")[0],
        object_id=obj.pk if obj is not None else None,
        object_name=(name or (str(obj) if obj is not None else ""))[:100],
        before=before,
        after=after,
    )


def snapshot(obj: Model, fields: list[str]) -> dict[str, Any]:
    """Values of some fields as JSON can hold them, for `before` and `after`."""
    return {f: _plain(getattr(obj, f)) for f in fields}


def _plain(value: Any) -> Any:
    if isinstance(value, Model):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value if isinstance(value, (str, int, float, bool, type(None), dict)) else str(value)


def _clean(values: dict) -> dict:
    return {k: "***" if any(w in k for w in SECRET_WORDS) else _plain(v) for k, v in values.items()}
