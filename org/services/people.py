"""Staff: role, place, state, log-in.

Nobody gives what they do not have, nobody changes their own role, and somebody who can edit staff remains.
"""

import secrets
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from org import audit
from org.access import Actor
from org.models import Region, Role, Scope, Staff, Store
from org.services import brands, signin
from scrm.errors import ConflictError, ForbiddenError, InvalidError, LimitError
from tenants.models import Brand, User, UserBrand

WIDTH = {Scope.OWN: 0, Scope.STORE: 1, Scope.REGION: 2, Scope.BRAND: 3}


def check_may_give(by: Actor, *, rights: list[str], scope: str) -> None:
    """Raises ForbiddenError unless `by` has all these rights and sees at least as much."""
    own_scope = by.staff.scope if by.staff else Scope.OWN
    if set(rights) - by.rights or WIDTH[Scope(scope)] > WIDTH[Scope(own_scope)]:
        raise ForbiddenError(_("You cannot give or change rights that you do not have yourself"))


def check_above(by: Actor, staff: Staff) -> None:
    """Raises ForbiddenError for somebody whose role is stronger than one's own."""
    if staff.role is not None:
        check_may_give(by, rights=staff.role.rights, scope=staff.role.scope)


def lock_admins() -> None:
    """Let changes that could remove the last administrator go one after another."""
    list(
        Role.objects.select_for_update().filter(rights__contains=["staff.edit"]).values_list("pk", flat=True)
    )


def check_admin_remains(brand: Brand) -> None:
    """Raises ConflictError when nobody could edit staff any more; called at the end of a change."""
    admins = Staff.objects.filter(
        state=Staff.State.ACTIVE, user_id__isnull=False, role__rights__contains=["staff.edit"]
    )
    user_ids = [pk for pk in admins.values_list("user_id", flat=True) if pk is not None]
    if not User.objects.filter(pk__in=user_ids, is_active=True).exists():
        raise ConflictError(
            _("Nobody could edit staff and roles any more: give somebody else that right first")
        )


def _is_self(by: Actor, staff: Staff) -> bool:
    return by.staff is not None and by.staff.pk == staff.pk


@transaction.atomic
def edit_staff(
    brand: Brand,
    *,
    by: Actor,
    staff: Staff,
    name: str,
    role: Role | None,
    store: Store | None,
    region: Region | None,
    state: str,
) -> Staff:
    """Change name, role, place and state of a staff member; a member who left WeCom stays left.

    Raises:
        ForbiddenError: own role or state, or rights beyond one's own.
        ConflictError: nobody could edit staff any more, or the member has left WeCom.
    """
    lock_admins()
    fields = ["name", "role", "store", "region", "state"]
    staff = (
        Staff.objects.select_for_update(of=("self",))
        .select_related("role", "store", "region")
        .get(pk=staff.pk)
    )
    before = audit.snapshot(staff, fields)
    role_changes = (role.pk if role else None) != staff.role_id
    if _is_self(by, staff) and (role_changes or state != staff.state):
        raise ForbiddenError(_("You cannot change your own role or state"))
    if role_changes or state != staff.state:
        check_above(by, staff)
        if role is not None and role_changes:
            check_may_give(by, rights=role.rights, scope=role.scope)
    if state != staff.state and Staff.State.LEFT in (state, staff.state):
        raise ConflictError(_("Who has left is decided by WeCom's member list"))
    staff.name, staff.role, staff.store, staff.region = name, role, store, region
    staff.state = Staff.State(state)
    staff.save(update_fields=fields)
    check_admin_remains(brand)
    after = audit.snapshot(staff, fields)
    if before != after:
        audit.record(by, "staff.edit", staff, before=before, after=after)
    return staff


@transaction.atomic
def give_login(
    brand: Brand,
    *,
    by: Actor,
    username: str,
    name: str,
    role: Role,
    password: str | None,
    staff: Staff | None = None,
) -> tuple[Staff, User]:
    """Let somebody sign in by password, as a WeCom member or as a person of the dashboard only.

    Raises:
        ForbiddenError: the role holds more than one has oneself.
        LimitError: the brand's quota of log-ins is used up.
        InvalidError: the password is too simple, or missing for a new user.
    """
    check_may_give(by, rights=role.rights, scope=role.scope)
    if staff is not None:
        check_above(by, staff)
    check_quota(brand)
    username = username.strip().lower()
    if User.objects.filter(username=username).exists():
        password = None
    elif password:
        signin.check_new_password(password)
    return brands.add_person(
        brand, by=by, username=username, name=name, role=role, password=password, staff=staff
    )


def check_quota(brand: Brand) -> None:
    """Raises LimitError when no further person may get a log-in."""
    if n_logins(brand) >= brand.staff_quota:
        raise LimitError(_("The brand's quota of log-ins is used up (%(n)s)") % {"n": brand.staff_quota})


def n_logins(brand: Brand) -> int:
    """People who may enter the brand."""
    return UserBrand.objects.filter(brand=brand).count()


@transaction.atomic
def remove_login(brand: Brand, *, by: Actor, staff: Staff) -> None:
    """Take the log-in to this brand away; the user's other brands are not touched.

    A WeCom member loses the role as well, which would open the log-in with WeCom again.
    """
    lock_admins()
    if _is_self(by, staff):
        raise ForbiddenError(_("You cannot remove your own log-in"))
    check_above(by, staff)
    user = _user(brand, staff)
    UserBrand.objects.filter(brand=brand, staff_id=staff.pk).delete()
    Staff.objects.filter(pk=staff.pk).update(user_id=None, **({"role": None} if staff.userid else {}))
    check_admin_remains(brand)
    audit.record(by, "staff.remove_login", staff, before={"username": user.username})


@transaction.atomic
def reset_password(brand: Brand, *, by: Actor, staff: Staff) -> str:
    """A new random password, returned once; all sessions of the user end.

    Raises:
        ForbiddenError: the person's role is stronger, or the log-in serves other brands too, which an
            administrator of this one must not take over.
    """
    user = _user(brand, staff)
    check_above(by, staff)
    _check_ours_alone(brand, user)
    password = secrets.token_urlsafe(9)
    user.set_password(password)
    user.save(update_fields=["password"])
    signin.forget_failures(user.username)
    audit.record(by, "staff.reset_password", staff)
    return password


@transaction.atomic
def unlock(brand: Brand, *, by: Actor, staff: Staff) -> None:
    """Release somebody who typed too many wrong passwords.

    Raises:
        ForbiddenError: as in reset_password: nobody here helps to guess a log-in of another brand.
    """
    user = _user(brand, staff)
    _check_ours_alone(brand, user)
    lock = signin.lock_of(user.username)
    audit.record(by, "staff.unlock", staff, before={"wrong_tries": lock.n if lock else 0})
    transaction.on_commit(lambda: signin.forget_failures(user.username))


def _user(brand: Brand, staff: Staff) -> User:
    entry = UserBrand.objects.filter(brand=brand, staff_id=staff.pk).select_related("user").first()
    if entry is None:
        raise InvalidError(_("This person has no log-in"))
    return entry.user


def is_ours_alone(brand: Brand, user: User) -> bool:
    """Whether a log-in serves this brand only."""
    return (
        not user.is_platform_owner and not UserBrand.objects.filter(user=user).exclude(brand=brand).exists()
    )


def _check_ours_alone(brand: Brand, user: User) -> None:
    if not is_ours_alone(brand, user):
        raise ForbiddenError(_("This log-in serves other brands too; the platform's owner can help"))


def logins_of(brand: Brand, staff_ids: list[int]) -> dict[int, dict[str, Any]]:
    """Per staff id: {"user": User, "lock": signin.Lock | None}, in one query and one round to Redis."""
    entries = UserBrand.objects.filter(brand=brand, staff_id__in=staff_ids).select_related("user")
    users = {entry.staff_id: entry.user for entry in entries}
    locks = signin.locks_of([user.username for user in users.values()])
    return {pk: {"user": user, "lock": locks.get(user.username)} for pk, user in users.items()}
