"""API keys: `Authorization: Bearer <prefix>.<secret>`; the brand is the key's, its rights are the scopes."""

import hashlib
import hmac
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission

from org.access import Actor
from org.models import ApiKey
from scrm import clock
from scrm.errors import ForbiddenError, SCRMError
from tenants.models import Brand, BrandLookup
from tenants.scoping import tenant_scope


class BadKeyError(SCRMError):
    code, http_status = "unauthorized", 401


def digest_of(key: str) -> str:
    """sha256 hex of a whole key: keys are random and long, so no slow hash is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


def actor_of_key(key: str) -> tuple[Brand, Actor]:
    """Brand and actor of an API key.

    Raises:
        BadKeyError: unknown, revoked or malformed; always the same words.
    """
    bad = BadKeyError(_("The API key is missing or not valid"))
    prefix = key.partition(".")[0]
    lookup = (
        BrandLookup.objects.filter(kind=BrandLookup.Kind.API_KEY, key=prefix).select_related("brand").first()
        if prefix
        else None
    )
    if lookup is None or lookup.brand.state != Brand.State.ACTIVE:
        raise bad
    with tenant_scope(lookup.brand), transaction.atomic():
        row = ApiKey.objects.filter(prefix=prefix, revoked_at=None).first()
        if row is None or not hmac.compare_digest(row.digest, digest_of(key)):
            raise bad
        today = clock.today(lookup.brand.timezone)
        if row.used_on != today:  # once a day, not once a request
            ApiKey.objects.filter(pk=row.pk).update(used_on=today)
    return lookup.brand, Actor(f"api: {row.name}", rights=frozenset(row.rights))


class BrandAuthentication(BaseAuthentication):
    """Hands DRF what the middleware has found."""

    def authenticate(self, request: Any) -> tuple[Any, None]:
        return request._request.actor, None

    def authenticate_header(self, request: Any) -> str:
        return "Bearer"


class HasCapability(BasePermission):
    """A view names the right of each action in `capabilities`; an action not listed is refused."""

    def has_permission(self, request: Any, view: Any) -> bool:
        """Raises MethodNotAllowed: the address has nothing for this method. ForbiddenError: the key has not the right;
        `right` names it."""
        if hasattr(view, "action_map") and request.method.lower() not in view.action_map:
            raise MethodNotAllowed(request.method)
        action = getattr(view, "action", None) or request.method.lower()
        right = getattr(view, "capabilities", {}).get(action)
        if right and not request.user.can(right):
            raise ForbiddenError(_("The key has not the right %(right)s") % {"right": right}, right=right)
        return bool(right)
