"""Rights, preset roles, and the decorators that every view carries (a test walks the URLs)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from org.models import Role, Scope, Staff
from scrm.errors import ForbiddenError
from tenants.models import Brand
from tenants.scoping import tenant_scope

RIGHTS: dict[str, Any] = {
    "overview.view": _("See the overview"),
    "contacts.view": _("See contacts"),
    "contacts.edit": _("Edit contacts"),
    "contacts.phones": _("See whole phone numbers"),
    "tags.edit": _("Edit tags"),
    "segments.view": _("See segments"),
    "segments.edit": _("Edit segments"),
    "fields.edit": _("Edit custom fields, stages and kinds of behaviour"),
    "orders.view": _("See products and orders"),
    "orders.edit": _("Edit products, record orders and refunds"),
    "behaviour.edit": _("Record behaviour of customers"),
    "groups.view": _("See customer groups"),
    "handover.view": _("See hand-overs"),
    "handover.run": _("Hand customers and groups over"),
    "codes.view": _("See channel codes"),
    "codes.edit": _("Edit channel codes and welcomes"),
    "content.view": _("See the content library"),
    "content.edit": _("Write content, links and posters"),
    "content.approve": _("Approve content of others, keep the sensitive words"),
    "sops.view": _("See SOPs and touches"),
    "sops.edit": _("Edit SOPs, enrol contacts"),
    "broadcasts.view": _("See broadcasts and moments"),
    "broadcasts.edit": _("Write, launch and stop broadcasts and moments"),
    "broadcasts.approve": _("Approve broadcasts, moments and SOPs of others"),
    "tasks.view": _("See tasks of guides"),
    "tasks.edit": _("Give tasks to guides, take them back"),
    "leads.view": _("See lists of numbers to add"),
    "leads.edit": _("Give numbers to guides, take them back"),
    "imports.run": _("Import files"),
    "exports.run": _("Export lists"),
    "sync.view": _("See sync, inbox and jobs"),
    "sync.run": _("Start syncs, replay events"),
    "corps.edit": _("Connect WeCom, set-up doctor"),
    "staff.view": _("See staff, stores and roles"),
    "staff.edit": _("Edit staff, stores and roles"),
    "keys.edit": _("Manage API keys"),
    "brand.edit": _("Brand settings: caps and quotas"),
    "audit.view": _("See the audit log"),
}

# key → (name, rights, data scope); made with every brand
PRESETS: dict[str, tuple[str, list[str], str]] = {
    "admin": ("品牌管理员", list(RIGHTS), Scope.BRAND),
    "operator": (
        "运营",
        [
            "overview.view", "contacts.view", "contacts.edit", "tags.edit", "segments.view", "segments.edit", "fields.edit",
            "orders.view", "orders.edit", "behaviour.edit", "codes.view", "codes.edit", "sops.view", "sops.edit",
            "broadcasts.view", "broadcasts.edit", "imports.run", "exports.run", "sync.view", "staff.view",
            "groups.view", "handover.view", "handover.run", "content.view", "content.edit", "tasks.view", "tasks.edit",
            "leads.view", "leads.edit",
        ],
        Scope.BRAND,
    ),
    "manager": (
        "店长",
        [
            "overview.view", "contacts.view", "contacts.edit", "orders.view", "codes.view", "sops.view", "staff.view",
            "groups.view", "handover.view", "content.view", "tasks.view", "tasks.edit", "leads.view", "leads.edit",
        ],
        Scope.STORE,
    ),
    "guide": ("导购", ["overview.view", "contacts.view", "contacts.edit", "orders.view", "groups.view"], Scope.OWN),
}  # fmt: skip


def make_preset_roles(brand: Brand) -> dict[str, Role]:
    """The preset roles of a new brand, by key of PRESETS; safe to repeat."""
    return {
        key: Role.objects.get_or_create(
            name=name,
            defaults={
                "rights": rights, "scope": scope, "is_preset": True, "preset_key": key, "rights_known": list(RIGHTS),
            },
        )[0]
        for key, (name, rights, scope) in PRESETS.items()
    }  # fmt: skip


@dataclass(frozen=True)
class Actor:
    """Who does something: a person in the dashboard, an API key, or the system itself."""

    name: str
    user_id: int | None = None
    staff: Staff | None = None
    rights: frozenset[str] = field(default_factory=frozenset)

    def can(self, right: str) -> bool:
        return right in self.rights


SYSTEM = Actor("system")


def staff_can(right: str) -> Callable:
    """View decorator: inside the brand's scope and transaction, for people whose role holds `right`."""
    return _decorator(right, outside=False)


def staff_can_outside(right: str) -> Callable:
    """The same without scope and transaction, for views that call WeCom; see `brand_transaction`."""
    return _decorator(right, outside=True)


def _decorator(right: str, *, outside: bool) -> Callable:
    if right not in RIGHTS:
        raise ValueError(f"unknown right {right}")

    def decorate(view: Callable) -> Callable:
        @wraps(view)
        def wrapper(request: Any, *args: Any, **kwargs: Any) -> Any:
            if not request.actor.can(right):
                raise ForbiddenError()
            return view(request, *args, **kwargs)

        wrapper.right, wrapper.access = right, "outside" if outside else "brand"  # type: ignore[attr-defined]
        return wrapper

    return decorate


def signed_in(view: Callable) -> Callable:
    """View decorator: any signed-in person of the brand, inside its scope."""
    return _mark(view, "brand")


def public(view: Callable) -> Callable:
    """View decorator: nobody needs to be signed in; no scope, no transaction (log-in, callback, health)."""
    return _mark(view, "public")


def signed_in_outside(view: Callable) -> Callable:
    """View decorator: a signed-in person, perhaps without a brand; no scope (switching brands)."""
    return _mark(view, "user")


def platform_only(view: Callable) -> Callable:
    """View decorator: the platform owner's back office; no brand, so no customer can be read."""
    return _mark(view, "platform")


def _mark(view: Callable, access: str) -> Callable:
    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return view(request, *args, **kwargs)

    wrapper.access = access  # type: ignore[attr-defined]
    return wrapper


@contextmanager
def brand_transaction(request: Any) -> Iterator[None]:
    """A short transaction in the scope of the request's brand, for views outside of it."""
    with tenant_scope(request.brand), transaction.atomic():
        yield
