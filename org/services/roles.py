"""Roles: rights and data scope. A role is made and changed only by people who have all of it themselves."""

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from org import audit
from org.access import PRESETS, RIGHTS, SYSTEM, Actor
from org.models import Role, Scope, Staff
from org.services.people import check_admin_remains, check_may_give, lock_admins
from scrm.errors import ConflictError, InvalidError
from tenants.models import Brand

_FIELDS = ["name", "rights", "scope"]

# groups of checkboxes on the page; a test holds them equal to RIGHTS
GROUPS: list[tuple[str, list[str]]] = [
    ("overview", ["overview.view"]),
    ("contacts", ["contacts.view", "contacts.edit", "contacts.phones", "fields.edit"]),
    ("segments", ["tags.edit", "segments.view", "segments.edit"]),
    ("orders", ["orders.view", "orders.edit", "behaviour.edit"]),
    ("codes", ["codes.view", "codes.edit"]),
    ("sops", ["sops.view", "sops.edit", "broadcasts.view", "broadcasts.edit", "broadcasts.approve"]),
    ("tasks", ["tasks.view", "tasks.edit", "leads.view", "leads.edit"]),
    ("content", ["content.view", "content.edit", "content.approve"]),
    ("groups", ["groups.view", "handover.view", "handover.run"]),
    ("files", ["imports.run", "exports.run"]),
    ("wecom", ["sync.view", "sync.run", "corps.edit"]),
    ("brand", ["staff.view", "staff.edit", "brand.edit", "keys.edit", "audit.view"]),
]


def check_rights(rights: list[str]) -> list[str]:
    """The rights in the order of RIGHTS, without repeats. Raises InvalidError for an unknown one."""
    if set(rights) - RIGHTS.keys():
        raise InvalidError(_("Unknown right"))
    return [right for right in RIGHTS if right in rights]


def create_role(brand: Brand, *, by: Actor, name: str, rights: list[str], scope: str) -> Role:
    """Raises ForbiddenError for rights or a scope beyond one's own, ConflictError for a taken name."""
    rights = check_rights(rights)
    check_may_give(by, rights=rights, scope=scope)
    try:
        with transaction.atomic():
            role = Role.objects.create(
                name=name.strip(), rights=rights, scope=Scope(scope), rights_known=list(RIGHTS)
            )
            audit.record(by, "role.create", role, after=audit.snapshot(role, _FIELDS))
    except IntegrityError as error:
        raise _taken() from error
    return role


def edit_role(brand: Brand, *, by: Actor, role: Role, name: str, rights: list[str], scope: str) -> Role:
    """Change a role for everybody who has it; effective with their next request.

    Raises:
        ForbiddenError: the role holds, or would hold, more than one has oneself.
        ConflictError: the name is taken, or nobody could edit staff any more.
    """
    rights = check_rights(rights)
    try:
        with transaction.atomic():
            lock_admins()
            role = Role.objects.select_for_update().get(pk=role.pk)
            before = audit.snapshot(role, _FIELDS)
            if sorted(role.rights) != sorted(rights) or role.scope != scope:
                check_may_give(by, rights=role.rights, scope=role.scope)
                check_may_give(by, rights=rights, scope=scope)
            role.name, role.rights, role.scope = name.strip(), rights, Scope(scope)
            role.rights_known = list(RIGHTS)
            role.save(update_fields=[*_FIELDS, "rights_known"])
            check_admin_remains(brand)
            if (after := audit.snapshot(role, _FIELDS)) != before:
                audit.record(by, "role.edit", role, before=before, after=after)
    except IntegrityError as error:
        raise _taken() from error
    return role


@transaction.atomic
def add_new_rights(brand: Brand) -> int:
    """Give preset roles the rights that a new version of the product brought for them; gives how many roles changed.

    What a person took away stays away: only rights that nobody has seen on the role yet are added. Safe to repeat.
    """
    rows = Role.objects.filter(is_preset=True).exclude(rights_known__contains=list(RIGHTS))
    changed = 0
    for role in rows.select_for_update():
        preset = PRESETS[role.preset_key][1] if role.preset_key in PRESETS else []
        fresh = set(preset) - set(role.rights_known) - set(role.rights)
        before = audit.snapshot(role, _FIELDS)
        role.rights = check_rights([right for right in role.rights if right in RIGHTS] + sorted(fresh))
        role.rights_known = list(RIGHTS)
        role.save(update_fields=["rights", "rights_known"])
        if fresh:
            changed += 1
            audit.record(SYSTEM, "role.edit", role, before=before, after=audit.snapshot(role, _FIELDS))
    return changed


@transaction.atomic
def delete_role(brand: Brand, *, by: Actor, role: Role) -> None:
    """Raises ConflictError for a preset role or one that somebody has."""
    role = Role.objects.select_for_update().get(pk=role.pk)
    if role.is_preset:
        raise ConflictError(_("A preset role cannot be deleted"))
    if Staff.objects.filter(role=role).exists():
        raise ConflictError(_("Somebody has this role; give them another one first"))
    check_may_give(by, rights=role.rights, scope=role.scope)
    audit.record(by, "role.delete", role, before=audit.snapshot(role, _FIELDS))
    role.delete()


def _taken() -> ConflictError:
    text = _("A role of this name exists already")
    return ConflictError(text, fields={"name": text})
