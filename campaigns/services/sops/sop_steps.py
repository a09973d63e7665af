"""Steps of an SOP by day: as they are written, checked, compared and stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import F
from django.utils.translation import gettext as _

from campaigns.models import Sop, SopStep
from campaigns.services.sending import variables
from campaigns.services.sops.schedule import MAX_DAY, StepTime
from content.services import library, sensitive
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from tenants.models import Brand
from wecom.services import attachments

MAX_STEPS = 50


@dataclass(frozen=True)
class StepInput:
    """One step as it is written; `step_id` names the step that it changes, None makes a new one."""

    day: int
    hour: int
    minute: int
    text: str = ""
    attachments: list[dict[str, Any]] = field(default_factory=list)
    step_id: int | None = None
    content_version: int | None = None  # of the library, while text and files are its own


def live_steps(sop_id: int) -> list[SopStep]:
    """The steps in force, in order."""
    return list(SopStep.objects.filter(sop=sop_id, removed_at=None).order_by("position"))


def step_times(steps: Sequence[SopStep]) -> list[StepTime]:
    return [StepTime(s.day, s.hour, s.minute, s.position, s.pk) for s in steps]


def step_row(step: StepInput) -> dict[str, Any]:
    """A step as it is kept in a request, and compared."""
    return {
        "id": step.step_id,
        "day": step.day,
        "hour": step.hour,
        "minute": step.minute,
        "text": step.text,
        "attachments": step.attachments,
        "content_version": library.same_version(step.content_version, step.text, step.attachments),
    }


def steps_as_rows(sop_id: int) -> list[dict[str, Any]]:
    """The steps in force, as `step_row` writes them."""
    return [
        {
            "id": s.pk,
            "day": s.day,
            "hour": s.hour,
            "minute": s.minute,
            "text": s.text,
            "attachments": s.attachments,
            "content_version": s.content_id,
        }
        for s in live_steps(sop_id)
    ]


def changes_sending(sop: Sop, late_days: int, steps: Sequence[StepInput]) -> bool:
    """Whether other messages, or at other times, would go out than now; a name alone goes to nobody."""
    return late_days != sop.late_days or [step_row(s) for s in steps] != steps_as_rows(sop.pk)


def ordered(steps: Sequence[StepInput]) -> list[StepInput]:
    """In order of time, each of them checked."""
    seen: set[tuple[int, int, int]] = set()
    checked = []
    for n, step in enumerate(steps, 1):
        if not (0 <= step.day <= MAX_DAY and 0 <= step.hour <= 23 and 0 <= step.minute <= 59):
            raise InvalidError(
                _("Step %(n)s: day 0 to %(most)s, a time of day") % {"n": n, "most": MAX_DAY}, step=n
            )
        if (moment := (step.day, step.hour, step.minute)) in seen:
            raise InvalidError(_("Step %(n)s has the same day and time as another one") % {"n": n}, step=n)
        seen.add(moment)
        said = step.text.replace("\x00", "").strip()
        if not said and not step.attachments:
            raise InvalidError(_("Step %(n)s has neither text nor attachment") % {"n": n}, step=n)
        try:
            variables.check_text(step.text)
            clean = attachments.validate(step.attachments)
            sensitive.check_here(step.text, clean)
        except InvalidError as error:
            text = _("Step %(n)s: %(error)s") % {"n": n, "error": error.message}
            raise InvalidError(text, code=error.code, step=n, problem=str(error.message)) from error
        checked.append(replace(step, text=said, attachments=clean))
    return sorted(checked, key=lambda s: (s.day, s.hour, s.minute))


def check_contents(brand: Brand, steps: Sequence[SopStep]) -> None:
    """Raises InvalidError: what a step takes from the library may not be sent (any more)."""
    for n, step in enumerate(steps, 1):
        check_content(brand, step.content_id, n)


def check_content(brand: Brand, version_id: int | None, n: int) -> None:
    """Raises InvalidError: what step `n` takes from the library may not be sent (any more)."""
    if not version_id:
        return
    try:
        library.usable_version(brand, version_id)
    except NotFoundError:
        return  # another brand's, or none: `same_version` keeps no id of it
    except InvalidError as error:
        text = _("Step %(n)s: %(error)s") % {"n": n, "error": error.message}
        raise InvalidError(text, code=error.code, step=n, problem=str(error.message)) from error


def check_ids(sop: Sop, steps: Sequence[StepInput]) -> tuple[set[int], list[int]]:
    """Steps that are there, and those that the given ones change. Raises InvalidError: one is there no more."""
    old = {step.pk for step in live_steps(sop.pk)}
    given = [step.step_id for step in steps if step.step_id is not None]
    if set(given) - old or len(given) != len(set(given)):
        raise InvalidError(_("The SOP was changed by somebody else meanwhile. Load the page again."))
    return old, given


def write_steps(sop: Sop, steps: Sequence[StepInput]) -> None:
    """Make the stored steps those given (in order): changed in place, added, or taken out but kept."""
    old, given = check_ids(sop, steps)
    now = clock.now()
    gone = [pk for pk in old if pk not in given]
    SopStep.objects.filter(pk__in=gone).update(removed_at=now)
    # out of each other's way first: positions are unique
    SopStep.objects.filter(pk__in=given).update(position=-1 - F("position"))
    for position, step in enumerate(steps):
        values: dict[str, Any] = {
            "position": position,
            "day": step.day,
            "hour": step.hour,
            "minute": step.minute,
            "text": step.text,
            "attachments": step.attachments,
            "content_id": library.same_version(step.content_version, step.text, step.attachments),
        }
        if step.step_id is None:
            SopStep.objects.create(sop=sop, **values)
        else:
            SopStep.objects.filter(pk=step.step_id).update(**values)
