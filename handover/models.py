"""继承: customers and groups go from one member to others, on the job (在职继承) or after leaving (离职继承)."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact
from groups.models import GroupChat
from org.models import Corp, Staff
from scrm import clock
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


class HandoverRun(TenantModel):
    """One act: what one member hands over, to whom. Its job gives it to WeCom; what WeCom makes of it is asked
    until it is final."""

    class State(models.TextChoices):
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        CANCELLED = "cancelled", _("Cancelled")

    corp = BrandForeignKey(Corp, on_delete=models.PROTECT, related_name="+")
    giver = BrandForeignKey(Staff, on_delete=models.PROTECT, related_name="+")
    is_resigned = models.BooleanField(default=False)  # the giver has left: WeCom has other calls for that
    message = models.CharField(_("Message to the customers"), max_length=200, blank=True)
    chosen = models.JSONField(default=dict)  # what was chosen, for the history: services/choosing.py
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    job_id = models.BigIntegerField(null=True)
    created_by = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["brand", "-id"], name="handover_newest"),
            models.Index(fields=["brand", "giver", "-id"], name="handover_giver"),
            models.Index(fields=["brand", "id"], name="handover_running", condition=Q(state="running")),
        ]


class HandoverShare(TenantModel):
    """A receiver of a run. WeCom tells results by giver and receiver, so they are asked for by share."""

    run = BrandForeignKey(HandoverRun, on_delete=models.CASCADE, related_name="shares")
    receiver = BrandForeignKey(Staff, on_delete=models.PROTECT, related_name="+")
    weight = models.IntegerField(default=1)
    poll_at = models.DateTimeField(null=True)  # when WeCom is asked next; empty: nothing waits
    n_polls = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "run", "receiver"], name="handover_share_once")
        ]
        indexes = [
            models.Index(
                fields=["brand", "poll_at"], name="handover_poll", condition=Q(poll_at__isnull=False)
            )
        ]


class HandoverItem(TenantModel):
    """One customer, or one group, of a run."""

    class Kind(models.IntegerChoices):
        CUSTOMER = 1, _("Customer")
        GROUP = 2, _("Group")

    class State(models.IntegerChoices):
        PLANNED = 0, _("Planned")
        CALLING = 1, _("Being given to WeCom")  # the answer is not known yet
        WAITING = 2, _("Waits for the customer")  # WeCom hands over after a day, unless the customer refuses
        DONE = 3, _("Handed over")
        REFUSED = 4, _("Refused by the customer")
        FAILED = 5, _("Not possible")
        CANCELLED = 6, _("Cancelled")
        SKIPPED = 7, _("Left out")  # WeCom would refuse it, so it was not asked

    LIVE = (State.PLANNED, State.CALLING, State.WAITING)

    run = BrandForeignKey(HandoverRun, on_delete=models.CASCADE, related_name="items")
    kind = models.SmallIntegerField(choices=Kind)
    giver = BrandForeignKey(
        Staff, on_delete=models.PROTECT, related_name="+"
    )  # the run's: for the keys below
    receiver = BrandForeignKey(Staff, on_delete=models.PROTECT, related_name="+")
    contact = BrandForeignKey(Contact, on_delete=models.PROTECT, null=True, related_name="+")
    external_userid = models.CharField(max_length=64, blank=True)
    chat = BrandForeignKey(GroupChat, on_delete=models.PROTECT, null=True, related_name="+")
    state = models.SmallIntegerField(choices=State, default=State.PLANNED)
    errcode = models.IntegerField(
        default=0
    )  # WeCom's, or the one that was foreseen; words: services/reasons.py
    asked_at = models.DateTimeField(null=True)
    takeover_at = models.DateTimeField(null=True)  # when WeCom does it, or did it
    done_at = models.DateTimeField(null=True)  # final, whatever came of it

    class Meta:
        constraints = [
            # nobody is handed over by two runs at once
            models.UniqueConstraint(
                fields=["brand", "giver", "external_userid"],
                name="handover_customer_live",
                condition=Q(kind=1, state__in=[0, 1, 2]),
            ),
            models.UniqueConstraint(
                fields=["brand", "giver", "chat"],
                name="handover_group_live",
                condition=Q(kind=2, state__in=[0, 1, 2]),
            ),
        ]
        indexes = [
            models.Index(fields=["brand", "run", "state", "id"], name="handover_item_state"),
            models.Index(fields=["brand", "external_userid", "-id"], name="handover_item_customer"),
            models.Index(
                fields=["brand", "chat", "-id"], name="handover_item_chat", condition=Q(chat__isnull=False)
            ),
            models.Index(
                fields=["brand", "contact"], name="handover_item_contact", condition=Q(contact__isnull=False)
            ),
        ]


class Unassigned(TenantModel):
    """A customer of a member who has left, whom nobody has got yet: WeCom's list, mirrored."""

    corp = BrandForeignKey(Corp, on_delete=models.CASCADE, related_name="+")
    staff = BrandForeignKey(Staff, on_delete=models.CASCADE, related_name="+")
    external_userid = models.CharField(max_length=64)
    left_at = models.DateTimeField()
    seen_in = models.BigIntegerField(null=True)  # the reading (org.Job) that last listed it

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "staff", "external_userid"], name="unassigned_once")
        ]
        indexes = [models.Index(fields=["brand", "corp", "seen_in"], name="unassigned_seen")]
