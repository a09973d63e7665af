"""Kinds of behaviour that a brand has named itself."""

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from contacts.models import BehaviourKind
from contacts.services.behaviour import KINDS
from contacts.services.fields import KEY, label_of
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand

MAX_KINDS = 50


def get_kind(kind_id: int) -> BehaviourKind:
    found = BehaviourKind.objects.filter(pk=kind_id).first()
    if found is None:
        raise NotFoundError()
    return found


@transaction.atomic
def create_kind(brand: Brand, *, by: Actor, label: str, key: str) -> BehaviourKind:
    """A new kind; `key` is what the shop sends.

    Raises:
        InvalidError, ConflictError: the key cannot be used, or is taken.
    """
    label, key = label_of(label), key.strip().lower()
    if not KEY.fullmatch(key) or key in KINDS:
        text = _("Small letters, digits and _ only, beginning with a letter")
        text = _("This word means a kind that is there already") if key in KINDS else text
        raise InvalidError(text, fields={"key": text})
    if BehaviourKind.objects.filter(archived_at=None).count() >= MAX_KINDS:
        raise ConflictError(_("At most %(n)s kinds; archive one first") % {"n": MAX_KINDS})
    try:
        with transaction.atomic():
            kind = BehaviourKind.objects.create(key=key, label=label)
    except IntegrityError as error:
        text = _("There is a kind with this key already")
        raise ConflictError(text, fields={"key": text}) from error
    audit.record(by, "behaviour_kind.create", kind, after={"name": label, "key": key})
    return kind


@transaction.atomic
def rename_kind(brand: Brand, kind_id: int, *, by: Actor, label: str) -> BehaviourKind:
    kind = get_kind(kind_id)
    before, kind.label = kind.label, label_of(label)
    kind.save(update_fields=["label"])
    audit.record(by, "behaviour_kind.edit", kind, before={"name": before}, after={"name": kind.label})
    return kind


@transaction.atomic
def set_archived(brand: Brand, kind_id: int, *, by: Actor, archived: bool) -> BehaviourKind:
    """An archived kind is refused from now on; what was told stays on the timelines."""
    kind = get_kind(kind_id)
    if (kind.archived_at is not None) != archived:
        kind.archived_at = clock.now() if archived else None
        kind.save(update_fields=["archived_at"])
        audit.record(by, "behaviour_kind.archive" if archived else "behaviour_kind.restore", kind)
    return kind
