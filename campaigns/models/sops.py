"""SOP: steps or a graph, and who is in them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact
from scrm import clock
from scrm.secrets import SecretField
from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import BrandForeignKey


class Sop(TenantModel):
    """SOP: steps on days after joining, at an hour of the brand's zone, or a graph of nodes (campaigns/graph/)."""

    class Form(models.TextChoices):
        STEPS = "steps", _("Steps by day")
        GRAPH = "graph", _("Canvas")

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        ON = "on", _("On")
        PAUSED = "paused", _("Paused")
        ENDED = "ended", _("Ended")

    name = models.CharField(_("Name"), max_length=60)
    state = models.CharField(_("State"), max_length=6, choices=State, default=State.DRAFT)
    late_days = models.IntegerField(_("A late step is still sent within days"), default=3)
    # 1 … 9: its messages that are only planned give way to a campaign of higher priority, and those of lower ones to it
    priority = models.SmallIntegerField(_("Priority"), default=5)
    created_by = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    # who has worked at what is not in force yet, [[name, id of the user or null]]: none of them may approve it
    makers = models.JSONField(default=list, editable=False)
    # of a graph: what is being drawn, and the version (SopVersion) into which people come
    form = models.CharField(max_length=5, choices=Form, default=Form.STEPS, editable=False)
    draft = models.JSONField(null=True, editable=False)
    draft_n = models.IntegerField(default=0, editable=False)  # counts saves: two editors notice each other
    draft_by = models.CharField(max_length=64, blank=True, editable=False)
    draft_at = models.DateTimeField(null=True, editable=False)
    version_id = models.BigIntegerField(null=True, editable=False)
    hook_secret = SecretField(blank=True, default="", editable=False)  # signs its web hooks

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "name"], name="sop_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_graph(self) -> bool:
        return self.form == self.Form.GRAPH


class SopVersion(TenantModel):
    """版本: a graph as it was published; never changed."""

    sop = BrandForeignKey(Sop, on_delete=models.CASCADE, related_name="versions")
    n = models.IntegerField()  # 1, 2, …
    graph = models.JSONField()
    note = models.CharField(_("What is new"), max_length=200, blank=True)
    published_by = models.CharField(max_length=64, blank=True)
    published_at = models.DateTimeField(default=clock.now)
    approved_by = models.CharField(max_length=64, blank=True)  # second person; empty: nobody was asked

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "sop", "n"], name="sop_version_n")]

    def __str__(self) -> str:
        return f"v{self.n}"


class SopStep(TenantModel):
    """One message of an SOP: day N after joining (day 0 is the day of joining itself), at hour:minute of the
    brand's zone.

    A step that was taken out keeps its row (`removed_at`): touches and send tasks name it. A message of a graph has a
    row for each version (`version`, `node`), so that the ledger names it in the same way; its day means nothing.
    """

    sop = BrandForeignKey(Sop, on_delete=models.CASCADE, related_name="steps")
    position = models.IntegerField()  # 0, 1, 2 … in order of (day, hour, minute)
    day = models.IntegerField(_("Day after joining"))
    hour = models.SmallIntegerField(_("Hour"), default=10)
    minute = models.SmallIntegerField(_("Minute"), default=0)
    text = models.TextField(_("Text"), blank=True)
    attachments = models.JSONField(
        _("Attachments"), default=list, blank=True
    )  # see wecom/services/attachments.py
    content_id = models.BigIntegerField(null=True, editable=False)  # version of the library
    removed_at = models.DateTimeField(null=True, editable=False)
    version = BrandForeignKey(SopVersion, on_delete=models.CASCADE, null=True, editable=False)
    node = models.CharField(max_length=12, blank=True, editable=False)
    title = models.CharField(max_length=60, blank=True, editable=False)  # of the node

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "sop", "position"],
                name="sop_step_position",
                condition=models.Q(removed_at=None),
            )
        ]


class Enrolment(TenantModel):
    """入组: one contact in one SOP.

    `next_run_at` is the moment of the next step: what lies before it is settled, whatever the steps are
    edited to. `position` (of that step) is for people to read.

    In a graph the person stands at `node` of `version_id` until `next_run_at`; `position` counts the nodes passed.
    """

    class End(models.TextChoices):
        DONE = "done", _("All steps done")
        LOST = "lost", _("Customer lost")
        REMOVED = "removed", _("Taken out by hand")
        SOP_ENDED = "sop", _("SOP ended")
        GOAL = "goal", _("Goal reached")
        EXIT = "exit", _("An exit held")
        VERSION = "version", _("Not in the new version")

    sop = BrandForeignKey(Sop, on_delete=models.CASCADE, related_name="+")
    contact = BrandForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    source = models.CharField(max_length=40)  # channel_code:7, page
    joined_at = models.DateTimeField()  # day 0
    position = models.IntegerField(default=0)
    next_run_at = models.DateTimeField(null=True)  # empty when ended
    is_parked = models.BooleanField(default=False)  # came due while the SOP was paused: in no list
    entered_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)
    end_kind = models.CharField(max_length=8, choices=End, blank=True)
    version_id = models.BigIntegerField(null=True)  # SopVersion; empty in an SOP of steps
    node = models.CharField(max_length=12, blank=True, default="", db_default="")
    node_at = models.DateTimeField(null=True)  # came to the node
    woken_at = models.DateTimeField(null=True)  # what it waits for has happened
    # was due then, and waits until what its node asks can be read again (journeys/trouble.py)
    held_from = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "sop", "contact"], name="enrolment_once", condition=models.Q(ended_at=None)
            )
        ]
        # none on what a step changes: its row is rewritten within its page. Who is due stands in EnrolmentDue
        indexes = [
            models.Index(fields=["brand", "contact"], name="enrolment_contact"),
            # those in it now are listed by enrolment_once
            models.Index(
                fields=["brand", "sop", "-id"],
                include=["end_kind"],
                name="enrolment_ended",
                condition=models.Q(ended_at__isnull=False),
            ),
        ]


class EnrolmentDue(TenantModel):
    """Enrolments that wait for one moment (services/sops/dues.py). Whoever is in an SOP and not parked stands in a list of their
    `next_run_at`; who was moved since may stand in older ones as well."""

    next_run_at = models.DateTimeField()
    is_graph = models.BooleanField()
    n = models.IntegerField()
    ids = ArrayField(models.BigIntegerField())

    class Meta:
        indexes = [models.Index(fields=["brand", "is_graph", "next_run_at"], name="enrolment_due")]


class NodeFlow(KeyedTenantModel):
    """How many came to a node of a graph ("in") and by which way they left it ("next", "yes", "goal" …), by day: a fold,
    written under the gate. Who stands there now is the first less all others. "busy" is no way: tasks that were not given,
    because the guide has enough to do."""

    pk = models.CompositePrimaryKey("brand", "version_id", "node", "way", "on")
    version_id = models.BigIntegerField()
    node = models.CharField(max_length=12)
    way = models.CharField(max_length=12)
    on = models.DateField()
    sop_id = models.BigIntegerField()
    n = models.BigIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["brand", "sop_id"], name="node_flow_sop")]


class EntryMark(KeyedTenantModel):
    """How far an entry has read: the version of a segment, the date of a date. Made when the SOP is switched on."""

    pk = models.CompositePrimaryKey("brand", "sop", "node")
    sop = BrandForeignKey(Sop, on_delete=models.CASCADE, related_name="+")
    node = models.CharField(max_length=12)
    segment_version_id = models.BigIntegerField(null=True)
    last_on = models.DateField(null=True)


class NodeTrouble(KeyedTenantModel):
    """What cannot be read any more at a node of a version, and why; no node: its goals and exits. A row is there as long
    as it cannot."""

    pk = models.CompositePrimaryKey("brand", "version", "node")
    version = BrandForeignKey(SopVersion, on_delete=models.CASCADE, related_name="+")
    node = models.CharField(max_length=12, blank=True)
    error = models.CharField(max_length=200)
    tried_at = models.DateTimeField(default=clock.now)


class SopCall(TenantModel):
    """A call of a web hook that has to be made; `key` tells the receiver which repeats are one."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waits")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    sop = BrandForeignKey(Sop, on_delete=models.CASCADE, related_name="+")
    node = models.CharField(max_length=12)
    contact_id = models.BigIntegerField()
    key = models.CharField(max_length=60)
    url = models.CharField(max_length=500)
    body = models.JSONField()
    state = models.CharField(max_length=7, choices=State, default=State.WAITING)
    n_tries = models.IntegerField(default=0)
    next_try_at = models.DateTimeField(default=clock.now)
    done_at = models.DateTimeField(null=True)
    status = models.IntegerField(null=True)  # as the receiver answered
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "key"], name="sop_call_key")]
        indexes = [
            models.Index(
                fields=["brand", "next_try_at"], name="sop_call_due", condition=models.Q(state="waiting")
            ),
            models.Index(fields=["brand", "sop", "-id"], name="sop_call_newest"),
        ]
