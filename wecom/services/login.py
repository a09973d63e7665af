"""A WeCom member signs in: from the code that WeCom hands the browser to a staff member and a user."""

import secrets
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from org import audit
from org.access import Actor
from org.models import Corp, Staff
from org.services.people import check_quota
from scrm.errors import ForbiddenError, InvalidError, NotFoundError
from tenants.models import Brand, BrandLookup, User, UserBrand
from tenants.scoping import tenant_scope
from wecom.api import auth
from wecom.client import client_for
from wecom.errors import LostAnswer, WeComRejected


@dataclass(frozen=True)
class Door:
    """Where somebody signs in: a corp and its brand."""

    brand: Brand
    corp: Corp


def find_door(corpid: str) -> Door:
    """The brand of a corp id. Raises NotFoundError, for a closed brand too."""
    lookup = (
        BrandLookup.objects.filter(kind=BrandLookup.Kind.CORP, key=corpid)
        .exclude(brand__state=Brand.State.CLOSED)
        .select_related("brand")
        .first()
    )
    if lookup is None:
        raise NotFoundError()
    with tenant_scope(lookup.brand), transaction.atomic():
        corp = Corp.objects.filter(corpid=corpid).first()
    if corp is None:
        raise NotFoundError()
    return Door(lookup.brand, corp)


def sign_in(door: Door, code: str) -> User:
    """Ask WeCom who came with `code`, and give that member's user; made the first time, without a password.

    Opens its own scope and transaction after the call.

    Raises:
        InvalidError: the code is used up, or the visitor is no member of the corp.
        ForbiddenError: a member whom this brand has given no role, or who has left or is switched off.
        WeComError: WeCom does not answer, or refuses the app (the set-up doctor says why).
    """
    try:
        visitor = auth.user_info(client_for(door.corp, deadline_s=10), code)
    except LostAnswer as error:
        raise _used_up() from error
    except WeComRejected as error:
        if error.errcode in (40029, 42022):
            raise _used_up() from error
        raise
    if not visitor.userid:
        raise InvalidError(
            _("You are not a member of %(corp)s in WeCom") % {"corp": door.corp.name}, code="no_member"
        )
    with tenant_scope(door.brand), transaction.atomic():
        staff = (
            Staff.objects.select_for_update(of=("self",))
            .select_related("role")
            .filter(corp=door.corp, userid=visitor.userid.lower())
            .first()
        )
        if staff is None or staff.state != Staff.State.ACTIVE or staff.role is None:
            raise ForbiddenError(
                _("%(brand)s has not given you a role yet: ask its administrator")
                % {"brand": door.brand.name},
                code="no_role",
            )
        user = User.objects.filter(pk=staff.user_id).first() if staff.user_id else None
        if user is None:
            user = _make_user(door, staff)
    if not user.is_active:
        raise ForbiddenError(_("Your log-in is switched off"), code="inactive")
    return user


def _used_up() -> InvalidError:
    return InvalidError(_("This log-in is used up. Please start again."), code="bad_code")


def _make_user(door: Door, staff: Staff) -> User:
    """The user of a member, named after both ids.

    Somebody may have taken that name before us, with a password of their own: a user who belongs to another
    brand is left alone, any other one loses the password.
    """
    check_quota(door.brand)
    username = f"{staff.userid}@{door.corp.corpid}".lower()[:100]
    user = User.objects.filter(username=username).first()
    if user is not None and (
        user.is_platform_owner or UserBrand.objects.filter(user=user).exclude(brand=door.brand).exists()
    ):
        username, user = f"{username[:88]}-{secrets.token_hex(4)}", None
    if user is None:
        user = User.objects.create_user(username, None, name=staff.name[:60])
    else:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    staff.user_id = user.pk
    staff.save(update_fields=["user_id"])
    UserBrand.objects.update_or_create(user=user, brand=door.brand, defaults={"staff_id": staff.pk})
    audit.record(Actor(staff.name, user.pk), "staff.add_login", staff, after={"username": username})
    return user
