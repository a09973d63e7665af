"""One step of a sync at work: its job, its position, and how both are saved."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from org.models import Corp, Job
from org.services.jobs import save_step
from tenants.models import Brand
from wecom.client import WeComClient


class Overtaken(Exception):
    """Another process runs this job; what this step did is rolled back."""


LABELS: dict[str, Callable[[], str]] = {
    "departments": lambda: _("Departments"),
    "members": lambda: _("Members"),
    "tags": lambda: _("Tags"),
    "ways": lambda: _("Channel codes"),
    "contacts": lambda: _("Customers"),
    "lists": lambda: _("Comparison of the lists"),
    "gone": lambda: _("Customers who are gone"),
    "end": lambda: "",
}


@dataclass
class Run:
    """One step of a sync: what it works with, and the position that it changes."""

    brand: Brand
    job: Job
    corp: Corp
    client: WeComClient
    at: dict[str, Any]
    waited_s: float = 0.0  # for WeCom's limits, since the position was saved
    n_read: int = 0  # relations of the batch that is being merged
    is_live: bool = True  # nobody has paused or cancelled the job since
    labels: dict[str, Callable[[], str]] = field(default_factory=lambda: LABELS)

    def save(self, **changes: Any) -> None:
        """Position and progress, in the caller's transaction; refuses when another process has moved the job
        on."""
        self._hold()
        after = {**self.at, "n": self.at.get("n", 0) + 1}
        transaction.on_commit(lambda: self.at.update(n=after["n"]))
        save_step(self.job, position=after, **changes)

    def note(self, **changes: Any) -> None:
        """Progress without the position; refuses likewise."""
        self._hold()
        save_step(self.job, **changes)

    def _hold(self) -> None:
        rows = Job.objects.select_for_update().values_list("position", "state")
        stored, state = rows.get(pk=self.job.pk)
        if stored.get("n", 0) != self.at.get("n", 0):
            raise Overtaken
        self.is_live = state == Job.State.RUNNING

    def counted(self, **more: float) -> dict[str, Any]:
        """The job's result with some counts added."""
        return {**self.job.result, **{name: self.job.result.get(name, 0) + n for name, n in more.items()}}

    def next(self, stage: str, **changes: Any) -> None:
        """The same, going on to another stage."""
        self.at["stage"] = stage
        self.save(stage=str(self.labels[stage]()), **changes)
