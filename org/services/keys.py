"""API keys: made once, shown once, kept as a hash; their rights are scopes."""

import secrets

from django.db import transaction
from django.utils.translation import gettext as _

from org import audit
from org.access import Actor
from org.api_auth import digest_of
from org.models import ApiKey
from org.services.roles import check_rights
from scrm import clock
from scrm.errors import ConflictError, ForbiddenError, InvalidError
from tenants.models import Brand, BrandLookup


@transaction.atomic
def create_key(brand: Brand, *, by: Actor, name: str, rights: list[str]) -> tuple[ApiKey, str]:
    """A key `<prefix>.<secret>`; the whole is returned here and never again.

    Raises:
        ForbiddenError: a right that one does not have oneself.
        InvalidError: no right at all, or an unknown one.
    """
    rights = check_rights(rights)
    if not rights:
        raise InvalidError(_("Choose at least one right"), fields={"rights": _("Choose at least one right")})
    if set(rights) - by.rights:
        raise ForbiddenError(_("You cannot give or change rights that you do not have yourself"))
    prefix = f"sk_{secrets.token_hex(5)}"
    whole = f"{prefix}.{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        name=name.strip(), prefix=prefix, digest=digest_of(whole), rights=rights, created_by=by.name
    )
    BrandLookup.objects.create(kind=BrandLookup.Kind.API_KEY, key=prefix, brand=brand, target_id=key.pk)
    audit.record(by, "api_key.create", key, after={"name": key.name, "rights": rights}, name=key.name)
    return key, whole


@transaction.atomic
def revoke_key(brand: Brand, *, by: Actor, key: ApiKey) -> None:
    """End a key at once. Raises ConflictError when it has ended already."""
    if not ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=clock.now()):
        raise ConflictError(_("This key is revoked already"))
    BrandLookup.objects.filter(kind=BrandLookup.Kind.API_KEY, key=key.prefix).delete()
    audit.record(by, "api_key.revoke", key, before={"name": key.name, "rights": key.rights}, name=key.name)
