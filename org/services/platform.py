"""The platform owner's acts on brands: open one with its first admin, change quotas (state: brands.py)."""

import secrets
from zoneinfo import available_timezones

from django.db import IntegrityError, transaction
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from org.access import PRESETS, Actor
from org.models import Role
from org.services import signin
from org.services.brands import add_person, create_brand
from scrm.errors import ConflictError, ForbiddenError, InvalidError
from tenants.models import Brand, PlatformEntry, User
from tenants.scoping import tenant_scope

# what apps above this one give a new brand: dotted paths of functions (brand), in its scope and transaction
STARTS = ("campaigns.services.governance.policy.start_brand",)
RESERVED_SLUGS = {"find", "wecom"}  # below /login/


def open_brand(
    *,
    by: User,
    name: str,
    slug: str = "",
    timezone: str = "Asia/Shanghai",
    contact_quota: int | None = None,
    staff_quota: int | None = None,
    admin_username: str,
    admin_name: str,
    admin_password: str | None = None,
) -> Brand:
    """A new brand with preset roles and its first administrator, all or nothing; call it outside of a scope.

    Raises:
        ConflictError: the short name is taken.
        InvalidError: unknown time zone, reserved short name, or a new user without a password.
    """
    check_timezone(timezone)
    if slug in RESERVED_SLUGS:
        raise InvalidError(
            _("This short name is reserved"), fields={"slug": _("This short name is reserved")}
        )
    try:
        with transaction.atomic():
            brand = create_brand(name=name, by=by, slug=slug.lower(), timezone=timezone)
            if contact_quota is not None and staff_quota is not None:
                Brand.objects.filter(pk=brand.pk).update(contact_quota=contact_quota, staff_quota=staff_quota)
                brand.refresh_from_db()
            with tenant_scope(brand), transaction.atomic():
                admin = Role.objects.get(name=PRESETS["admin"][0])
                add_person(
                    brand,
                    by=Actor(str(by), by.pk),
                    username=admin_username,
                    name=admin_name,
                    role=admin,
                    password=admin_password,
                )
                for path in STARTS:
                    import_string(path)(brand)
    except IntegrityError as error:
        raise ConflictError(
            _("This short name is taken"), fields={"slug": _("This short name is taken")}
        ) from error
    return brand


@transaction.atomic
def set_quota(brand: Brand, *, contact_quota: int, staff_quota: int, by: User) -> None:
    """Change how much a brand may hold; written to the platform's log when it differs."""
    brand = Brand.objects.select_for_update().get(pk=brand.pk)
    before = {"contact_quota": brand.contact_quota, "staff_quota": brand.staff_quota}
    after = {"contact_quota": contact_quota, "staff_quota": staff_quota}
    if before == after:
        return
    Brand.objects.filter(pk=brand.pk).update(**after)
    PlatformEntry.objects.create(user=by, brand=brand, action="brand.quota", before=before, after=after)


@transaction.atomic
def unlock_user(user: User, *, by: User) -> None:
    """Release a user who typed too many wrong passwords; for log-ins that serve several brands."""
    lock = signin.lock_of(user.username)
    PlatformEntry.objects.create(
        user=by,
        action="user.unlock",
        before={"wrong_tries": lock.n if lock else 0},
        after={"username": user.username},
    )
    transaction.on_commit(lambda: signin.forget_failures(user.username))


@transaction.atomic
def reset_user_password(user: User, *, by: User) -> str:
    """A new random password, returned once; all sessions of the user end.

    Raises:
        ForbiddenError: another platform owner's, or one's own (that is changed on the account page).
    """
    if user.is_platform_owner:
        raise ForbiddenError(_("Platform owners change their own password"))
    password = secrets.token_urlsafe(9)
    user.set_password(password)
    user.save(update_fields=["password"])
    PlatformEntry.objects.create(user=by, action="user.password", after={"username": user.username})
    transaction.on_commit(lambda: signin.forget_failures(user.username))
    return password


def check_timezone(name: str) -> None:
    if name not in available_timezones():
        raise InvalidError(_("Unknown time zone"), fields={"timezone": _("Unknown time zone")})
