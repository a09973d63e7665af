"""Opening a brand, its people, its corps: the acts of the back office and of the set-up pages."""

import secrets as random

from django.db import IntegrityError, transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from org import audit
from org.access import Actor, make_preset_roles
from org.models import Corp, Role, Staff
from scrm.errors import ConflictError, InvalidError
from tenants.models import Brand, BrandLookup, PlatformEntry, User, UserBrand
from tenants.scoping import tenant_scope


def create_brand(
    *, name: str, by: User | None = None, slug: str = "", timezone: str = "Asia/Shanghai"
) -> Brand:
    """A new brand with its preset roles. Opens its own transactions; call it outside of a scope."""
    with transaction.atomic():
        brand = Brand.objects.create(
            name=name, slug=slug or slugify(name) or random.token_hex(4), timezone=timezone
        )
        PlatformEntry.objects.create(user=by, brand=brand, action="brand.create", after={"name": name})
    with tenant_scope(brand), transaction.atomic():
        make_preset_roles(brand)
    return brand


def set_brand_state(brand: Brand, *, state: str, by: User) -> None:
    """Suspend, open again or close a brand."""
    with transaction.atomic():
        before, brand.state = brand.state, Brand.State(state)
        brand.save(update_fields=["state"])
        PlatformEntry.objects.create(
            user=by, brand=brand, action="brand.state", before={"state": before}, after={"state": brand.state}
        )


@transaction.atomic
def add_person(
    brand: Brand,
    *,
    by: Actor,
    username: str,
    name: str,
    role: Role,
    password: str | None = None,
    staff: Staff | None = None,
) -> tuple[Staff, User]:
    """Give somebody a log-in to the brand; an existing user keeps their password and gets one more brand.

    Args:
        staff: the WeCom member who this is; a new row without WeCom otherwise.
    """
    user = User.objects.filter(username=username.strip().lower()).first()
    if user is None:
        if not password:
            text = _("A new user needs a password")
            raise InvalidError(text, fields={"password": text})
        user = User.objects.create_user(username, password, name=name)
    if UserBrand.objects.filter(user=user, brand=brand).exists():
        raise ConflictError(_("This user is already a member of the brand"))
    if staff is None:
        staff = Staff(name=name)
    staff.user_id, staff.role = user.pk, role
    staff.save()
    UserBrand.objects.create(user=user, brand=brand, staff_id=staff.pk)
    audit.record(by, "staff.add_login", staff, after={"username": user.username, "role": role.name})
    return staff, user


def connect_corp(
    brand: Brand,
    *,
    by: Actor,
    name: str,
    corpid: str,
    agent_id: int,
    secret: str,
    callback_token: str = "",
    callback_aes_key: str = "",
) -> Corp:
    """Connect a WeCom corp through its self-built app. Its id belongs to one brand only.

    Token and EncodingAESKey are made here when not given: the admin copies them into WeCom's console once.

    Raises:
        ConflictError: the corp is connected already, here or elsewhere (which one is not said).
    """
    corpid = corpid.strip()
    path = random.token_urlsafe(18)
    try:
        with transaction.atomic():
            corp = Corp.objects.create(
                name=name,
                corpid=corpid,
                agent_id=agent_id,
                secret=secret.strip(),
                callback_token=callback_token or random.token_hex(16),
                callback_aes_key=callback_aes_key or new_aes_key(),
                callback_path=path,
            )
            BrandLookup.objects.create(kind=BrandLookup.Kind.CORP, key=corpid, brand=brand, target_id=corp.pk)
            BrandLookup.objects.create(
                kind=BrandLookup.Kind.CALLBACK, key=path, brand=brand, target_id=corp.pk
            )
            audit.record(by, "corp.connect", corp, after=corp.as_audit())
    except IntegrityError as error:
        raise ConflictError(_("This corp is connected already")) from error
    return corp


def new_aes_key() -> str:
    """43 letters and digits, as WeCom's console makes them (base64 of 32 bytes without padding, no signs)."""
    import base64

    while True:
        key = base64.b64encode(random.token_bytes(32)).decode().rstrip("=")
        # the last character must decode without stray bits, as b64encode guarantees; signs are not allowed
        if key.isalnum():
            return key
