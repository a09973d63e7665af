"""跟进阶段: a brand's own stages of following up, in order; each customer stands at one of them, or at none."""

from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from contacts.models import Contact, EventType, Stage
from contacts.services.fields import move_in
from contacts.services.timeline import EventRow, record_events
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand

MAX_STAGES = 20


def live_stages() -> list[Stage]:
    """The stages in their order, archived ones not."""
    return list(Stage.objects.filter(archived_at=None).order_by("position", "pk"))


def get_stage(stage_id: int) -> Stage:
    found = Stage.objects.filter(pk=stage_id).first()
    if found is None:
        raise NotFoundError()
    return found


@transaction.atomic
def create_stage(brand: Brand, *, by: Actor, name: str) -> Stage:
    """A new stage at the end; an archived one of this name comes back."""
    name = _name(name)
    if len(live_stages()) >= MAX_STAGES:
        raise ConflictError(_("At most %(n)s stages; archive one first") % {"n": MAX_STAGES})
    last = Stage.objects.order_by("-position").values_list("position", flat=True).first() or 0
    stage, is_new = Stage.objects.get_or_create(name=name, defaults={"position": last + 1})
    if not is_new and stage.archived_at is None:
        raise _taken()
    stage.archived_at, stage.position = None, last + 1
    stage.save(update_fields=["archived_at", "position"])
    audit.record(by, "stage.create", stage, after={"name": name})
    return stage


@transaction.atomic
def rename_stage(brand: Brand, stage_id: int, *, by: Actor, name: str) -> Stage:
    stage, name = get_stage(stage_id), _name(name)
    before, stage.name = stage.name, name
    try:
        with transaction.atomic():
            stage.save(update_fields=["name"])
    except IntegrityError as error:
        raise _taken() from error
    audit.record(by, "stage.edit", stage, before={"name": before}, after={"name": name})
    return stage


@transaction.atomic
def set_archived(brand: Brand, stage_id: int, *, by: Actor, archived: bool) -> Stage:
    """Put a stage away: who stands at it stays there, nobody can be moved to it."""
    stage = get_stage(stage_id)
    if (stage.archived_at is not None) != archived:
        stage.archived_at = clock.now() if archived else None
        stage.save(update_fields=["archived_at"])
        audit.record(by, "stage.archive" if archived else "stage.restore", stage)
    return stage


@transaction.atomic
def move_stage(brand: Brand, stage_id: int, *, down: bool) -> None:
    """One place up or down."""
    rows = Stage.objects.select_for_update().filter(archived_at=None).order_by("position", "pk")
    move_in(list(rows), stage_id, down=down)


@transaction.atomic
def set_stage(
    brand: Brand, *, contacts: Iterable[Contact | int], stage: Stage | None, by: Actor, source: str = "page"
) -> int:
    """Move contacts to a stage (None: to none), each with an event; gives how many moved. Safe to repeat.

    Raises:
        InvalidError: the stage is archived.
    """
    if stage is not None and stage.archived_at is not None:
        raise InvalidError(_("This stage is archived"))
    ids = sorted({c.pk if isinstance(c, Contact) else int(c) for c in contacts})
    rows: Any = Contact.objects.select_for_update(no_key=True).filter(pk__in=ids)
    rows = rows.exclude(stage=stage) if stage else rows.exclude(stage=None)
    before = dict(rows.order_by("pk").values_list("pk", "stage_id"))
    names = dict(Stage.objects.filter(pk__in=set(before.values()) - {None}).values_list("pk", "name"))
    now = clock.now()
    Contact.objects.filter(pk__in=list(before)).update(stage=stage, stage_at=now)
    events: list[EventRow] = [
        {
            "contact_id": pk,
            "type": EventType.STAGE_CHANGED,
            "at": now,
            "staff_id": by.staff.pk if by.staff else None,
            "object_id": stage.pk if stage else None,
            "source": source,
            "data": {
                "by": by.name, "before": names.get(old) or "", "after": stage.name if stage else "",
                "before_id": old,
            },
        }
        for pk, old in before.items()
    ]  # fmt: skip
    record_events(brand, events)
    return len(before)


def _name(text: str) -> str:
    text = " ".join(text.replace("\x00", "").split())
    if not text:
        raise InvalidError(_("A name is needed"), fields={"name": _("A name is needed")})
    if len(text) > 20:
        words = _("At most %(n)s characters") % {"n": 20}
        raise InvalidError(words, fields={"name": words})
    return text


def _taken() -> ConflictError:
    text = _("There is a stage of this name already")
    return ConflictError(text, fields={"name": text})
