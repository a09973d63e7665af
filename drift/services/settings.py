"""When a brand is reconciled, and what is repaired by itself."""

from collections.abc import Iterable
from datetime import time

from django.db import transaction
from django.utils.translation import gettext as _

from drift.kinds import AUTO, KINDS
from drift.models import DriftSettings
from org import audit
from org.access import Actor
from scrm.errors import InvalidError
from tenants.models import Brand

_FIELDS = ["is_nightly", "at", "auto"]


def settings_of(brand: Brand) -> DriftSettings:
    """The brand's settings, or those as shipped; in the caller's transaction."""
    return DriftSettings.objects.first() or DriftSettings()


def auto_kinds(brand: Brand) -> frozenset[str]:
    """Kinds that are repaired by themselves."""
    auto = settings_of(brand).auto
    return frozenset(AUTO if auto is None else auto)


@transaction.atomic
def edit_settings(
    brand: Brand, *, by: Actor, is_nightly: bool, at: time, auto: Iterable[str]
) -> DriftSettings:
    """Change them.

    Raises:
        InvalidError: an unknown kind.
    """
    chosen = sorted(set(auto))
    if not set(chosen) <= set(KINDS):
        raise InvalidError(_("Unknown kind of difference"), fields={"auto": ", ".join(KINDS)})
    found = DriftSettings.objects.select_for_update().first() or DriftSettings()
    before = audit.snapshot(found, _FIELDS)
    found.is_nightly, found.at, found.auto = is_nightly, at, chosen
    found.save()
    audit.record(
        by, "drift.settings", found, before=before, after=audit.snapshot(found, _FIELDS), name=brand.name
    )
    return found
