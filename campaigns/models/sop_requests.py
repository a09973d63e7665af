"""What waits for a second person before it comes into force in an SOP."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models.sops import Sop
from scrm import clock
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


class SopRequest(TenantModel):
    """送审: what somebody wants to bring into force in an SOP, exactly as it was handed in; a yes is a yes to that.

    `proposal` of steps: {steps: [{id, day, hour, minute, text, attachments, content_version}], late_days, before: {steps,
    late_days}}; of a canvas: {graph, people, mapping}; of a priority: {priority, before};
    of a list of people: {contact_ids}.
    """

    class Kind(models.TextChoices):
        ON = "on", _("Switch on")  # steps by day
        CHANGE = "change", _("Other steps")  # while it is on or paused
        VERSION = "version", _("New version")  # of a canvas; its first one switches it on
        PRIORITY = "priority", _("Other priority")  # while it is on or paused
        PEOPLE = "people", _("A list of people")  # put in by hand

    class State(models.TextChoices):
        WAITING = "waiting", _("Waits for approval")
        APPROVED = "approved", _("Approved")
        REFUSED = "refused", _("Sent back")
        WITHDRAWN = "withdrawn", _("Withdrawn")
        OVERTAKEN = "overtaken", _("Overtaken by a change")

    sop = BrandForeignKey(Sop, on_delete=models.CASCADE, related_name="requests")
    kind = models.CharField(max_length=8, choices=Kind)
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    proposal = models.JSONField()
    note = models.CharField(max_length=200, blank=True)  # for whoever decides
    before_id = models.BigIntegerField(null=True)  # SopVersion that was in force when it was handed in
    makers = models.JSONField(default=list)  # [[name, id of the user or null]]: none of them may approve it
    asked_by = models.CharField(max_length=64)
    asked_by_user_id = models.BigIntegerField(null=True)
    asked_at = models.DateTimeField(default=clock.now)
    decided_by = models.CharField(max_length=64, blank=True)
    decided_by_user_id = models.BigIntegerField(null=True)
    decided_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=200, blank=True)  # of a refusal
    version_id = models.BigIntegerField(null=True)  # SopVersion that it became

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "sop"], name="sop_request_waits_once", condition=models.Q(state="waiting")
            )
        ]
        indexes = [models.Index(fields=["brand", "sop", "-id"], name="sop_request_newest")]

    def __str__(self) -> str:
        return self.sop.name

    # what is handed in, by form

    @property
    def steps(self) -> list[dict[str, Any]]:
        return list(self.proposal.get("steps", []))

    @property
    def late_days(self) -> int:
        return int(self.proposal.get("late_days", 0))

    @property
    def before(self) -> dict[str, Any] | None:
        """Steps and days that were in force; None: nothing was."""
        return self.proposal.get("before")

    @property
    def priority(self) -> int:
        return int(self.proposal.get("priority", 0))

    @property
    def contact_ids(self) -> list[int]:
        return list(self.proposal.get("contact_ids", []))

    @property
    def graph(self) -> Any:
        return self.proposal.get("graph")

    @property
    def people(self) -> str:
        return str(self.proposal.get("people", ""))

    @property
    def mapping(self) -> dict[str, str]:
        return dict(self.proposal.get("mapping", {}))
