"""触达: send tasks handed to WeCom and the ledger of every single touch."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models.broadcasts import Broadcast
from campaigns.models.sops import Sop, SopStep
from org.models import Corp, Staff
from scrm import clock
from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import BrandForeignKey, PartitionKey


class SendTaskQuerySet(models.QuerySet):
    def unconfirmed(self) -> "SendTaskQuerySet":
        """Guides have them, or will in a moment, and have not confirmed; also those that somebody stops just now."""
        states = [SendTask.State.CALLING, SendTask.State.HANDED]
        return self.filter(state__in=states, confirmed_at=None)

    def to_confirm(self) -> "SendTaskQuerySet":
        """Guides have them and can confirm them."""
        return self.filter(state=SendTask.State.HANDED, confirmed_at=None, cancelled_at=None)


class SendTask(TenantModel):
    """A chunk: one content, one guide, at most 1,000 contacts, one call of add_msg_template, one claim.

    States: planned → calling → handed (msgid known) → final; a lost answer leaves it in `calling`, from where
    it is looked for by get_groupmsg_list_v2 before it may be sent again (decisions: ten minutes).
    """

    class State(models.TextChoices):
        PLANNED = "planned", _("Planned")
        CALLING = "calling", _("Being handed over")
        HANDED = "handed", _("Waiting for the guide")
        FINAL = "final", _("Finished")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    kind = models.SmallIntegerField(default=2)  # Touch.Kind
    priority = models.SmallIntegerField(
        default=5
    )  # 1 … 9; while it is planned, a higher one may take a person
    corp = BrandForeignKey(Corp, on_delete=models.PROTECT, related_name="+")
    staff = BrandForeignKey(Staff, on_delete=models.PROTECT, related_name="+")
    broadcast = BrandForeignKey(Broadcast, on_delete=models.CASCADE, null=True, related_name="+")
    wave_id = models.BigIntegerField(null=True)  # campaigns.Wave
    variant_id = models.BigIntegerField(null=True)  # campaigns.Variant
    content_id = models.BigIntegerField(null=True)  # version of the library
    sop = BrandForeignKey(Sop, on_delete=models.CASCADE, null=True, related_name="+")
    step = BrandForeignKey(SopStep, on_delete=models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()  # planned for; the `at` of its touches
    text = models.TextField(blank=True)  # as handed over
    attachments = models.JSONField(default=list)
    content_digest = models.CharField(
        max_length=40
    )  # of text and attachments: finds a task whose answer was lost
    contact_ids = ArrayField(models.BigIntegerField())
    n = models.IntegerField()
    n_sent = models.IntegerField(default=0)
    n_failed = models.IntegerField(default=0)
    n_opened = models.IntegerField(default=0)  # folds of its touches' marks
    n_replied = models.IntegerField(default=0)
    n_converted = models.IntegerField(default=0)
    converted_fen = models.BigIntegerField(default=0)  # orders counted for its touches
    # ids between which its touches lie, so that a broadcast's need no index by send task; None: an SOP's
    touch_first = models.BigIntegerField(null=True)
    touch_last = models.BigIntegerField(null=True)
    state = models.CharField(max_length=9, choices=State, default=State.PLANNED)
    msgid = models.CharField(max_length=64, blank=True)
    called_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    next_try_at = models.DateTimeField(default=clock.now)  # next claim, look-up or poll
    n_tries = models.IntegerField(default=0)
    cancelled_at = models.DateTimeField(
        null=True
    )  # somebody (or the 30 days' limit) stopped it; results may still come
    reminded_at = ArrayField(models.DateTimeField(), default=list)  # of the last 24 hours
    is_moving = models.BooleanField(default=False)  # stopped, so that other guides get its people
    moved_at = models.DateTimeField(null=True)  # planned anew then, from another guide's task
    moved_from = models.BigIntegerField(null=True)
    error = models.CharField(max_length=500, blank=True)

    objects = SendTaskQuerySet.as_manager()

    class Meta:
        constraints = [
            # one call of one guide and content under way: a task whose answer was lost cannot be taken for
            # its twin
            models.UniqueConstraint(
                fields=["brand", "staff", "content_digest"],
                name="send_task_calling",
                condition=models.Q(state="calling"),
            )
        ]
        indexes = [
            models.Index(
                fields=["brand", "next_try_at"],
                name="send_task_due",
                condition=models.Q(state__in=["planned", "calling", "handed"]),
            ),
            models.Index(fields=["brand", "sop", "-id"], name="send_task_sop"),
            # what an SOP has planned (services/ledger/leftovers.py); of SOPs alone: whoever asks for tasks by their ids is
            # not led here
            models.Index(
                fields=["brand", "sop", "at"],
                name="send_task_planned",
                condition=models.Q(state="planned", sop__isnull=False),
            ),
            models.Index(fields=["brand", "staff", "-id"], name="send_task_staff"),
            models.Index(
                fields=["brand", "content_id"],
                name="send_task_content",
                condition=models.Q(content_id__isnull=False),
            ),
            models.Index(fields=["brand", "at"], name="send_task_at"),  # calendar
            models.Index(
                fields=["brand", "staff", "called_at"],
                name="send_task_waits",
                condition=models.Q(state="handed"),
            ),
            # whether a record of WeCom is known (services/sending/looking.py)
            models.Index(fields=["brand", "msgid"], name="send_task_msgid", condition=~models.Q(msgid="")),
            models.Index(
                fields=["brand", "broadcast", "-id"],
                name="send_task_broadcast",
                condition=models.Q(broadcast__isnull=False),
            ),
        ]


class Touch(TenantModel):
    """触达: one message to one contact: the ledger. Partitioned by month of `at`, the time it was planned
    for.

    `state` changes often and is never indexed, so that updates stay within their page.
    """

    class Kind(models.IntegerChoices):
        WELCOME = 1, _("Welcome message")
        SOP = 2, _("SOP message")
        BROADCAST = 3, _("Broadcast")
        DIRECT = 4, _("Message in the chat")  # sent by a guide from the sidebar, not a mass message

    class State(models.IntegerChoices):
        PLANNED = 1, _("Planned")
        BLOCKED = 2, _("Held back")
        HANDED = (
            3,
            _("Waiting for the guide"),
        )  # of a broadcast its send task alone says so: services/ledger/waiting.py
        DELIVERED = 4, _("Delivered")
        FAILED = 5, _("Not delivered")
        CANCELLED = 6, _("Cancelled")

    class Reason(models.IntegerChoices):
        NONE = 0, ""
        DO_NOT_CONTACT = 1, _("Customer is on do-not-contact")
        CAPPED = 2, _("Cap of touches reached")
        NOT_FOLLOWED = 3, _("No guide has this customer any more")
        TOO_LATE = 4, _("The step came too late")
        WECOM_LIMIT = 5, _("Customer already received the mass messages that WeCom allows")
        NOT_FRIEND = 6, _("Not a friend any more when the guide sent it")
        REFUSED = 7, _("WeCom refused it")
        EXPIRED = 8, _("WeCom's 20 seconds were over")
        NO_CODE = 9, _("WeCom gave no welcome code")
        ALREADY_WELCOMED = 10, _("Another welcome was already delivered")
        REFUSED_KIND = 11, _("The customer does not want messages of this kind")
        NO_CONTACT_RULE = 12, _("A do-not-contact rule holds for this customer")
        TOO_SOON = 13, _("Too soon after another touch")
        ALLOWANCE = 14, _("WeCom's allowance for this customer is used up")
        OUTRANKED = 15, _("A campaign of higher priority needed the place")
        HOLD_OUT = 16, _("Hold-out group: gets nothing, to measure the effect")
        WAVE_CONDITION = 17, _("The condition of the wave does not hold")
        CONTENT = 18, _("The content may not be sent any more")
        BRAND_HOLD_OUT = 19, _("Brand's hold-out group: gets no campaign, to measure what they all do")
        GUIDE_BUSY = 20, _("The guide has enough to do on that day")
        LEFT_SOP = 21, _("The customer had left the SOP before it went out")
        JOINED = 22, _("Joined with a record that gets the same message")

    # a row that is marked becomes longer (`done_at`): a page holds all of its rows once more, so that no index is touched
    partition_fillfactor = 47

    at = PartitionKey()
    kind = models.SmallIntegerField(choices=Kind)
    contact_id = models.BigIntegerField()
    staff_id = models.BigIntegerField(null=True)
    sop_id = models.BigIntegerField(null=True)
    step_id = models.BigIntegerField(null=True)
    broadcast_id = models.BigIntegerField(null=True)
    wave_id = models.BigIntegerField(null=True)
    variant_id = models.BigIntegerField(null=True)
    content_id = models.BigIntegerField(null=True)
    code_id = models.BigIntegerField(null=True)  # channel code of a welcome
    send_task_id = models.BigIntegerField(null=True)
    state = models.SmallIntegerField(choices=State, default=State.PLANNED)
    reason = models.SmallIntegerField(choices=Reason, default=Reason.NONE)
    done_at = models.DateTimeField(null=True)  # delivered, failed or blocked at
    opened_at = models.DateTimeField(null=True)  # first opening of its link (services/ledger/marks.py)
    replied_at = models.DateTimeField(null=True)
    converted_at = models.DateTimeField(null=True)  # first order counted for it
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        # none on what changes later; each row stands in as few as its kind needs
        indexes = [
            models.Index(fields=["brand", "contact_id", "-at"], name="touch_contact"),
            models.Index(
                fields=["brand", "send_task_id"],
                name="touch_send_task",
                condition=models.Q(send_task_id__isnull=False, broadcast_id__isnull=True),
            ),
            models.Index(
                fields=["brand", "sop_id", "-at"], name="touch_sop", condition=models.Q(sop_id__isnull=False)
            ),
            models.Index(
                fields=["brand", "broadcast_id", "reason", "-at"],
                name="touch_broadcast_held",
                condition=models.Q(broadcast_id__isnull=False, send_task_id__isnull=True),
            ),
        ]


class TouchKey(KeyedTenantModel):
    """What makes a touch one: `w:<digest of the welcome code>`, `s:<enrolment>:<step>`. Unpartitioned, unlike
    Touch."""

    pk = models.CompositePrimaryKey("brand", "key")
    key = models.CharField(max_length=60)
    touch_at = models.DateTimeField()
    touch_id = models.BigIntegerField(null=True)


class TouchOrder(KeyedTenantModel):
    """An order that counts for a touch, once: the last message before it (services/ledger/marks.py). Gone when all of it was
    refunded."""

    pk = models.CompositePrimaryKey("brand", "order_id")
    order_id = models.BigIntegerField()
    at = models.DateTimeField()  # of its event
    touch_at = models.DateTimeField()
    touch_id = models.BigIntegerField()
    fen = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["brand", "touch_id"], name="touch_order_touch")]


class DirectUse(KeyedTenantModel):
    """How often a guide has sent a version of the library in the chat, and what came of it: a fold of the ledger, which
    nobody counts for a list. A row for each guide, so that guides never wait for each other."""

    pk = models.CompositePrimaryKey("brand", "version_id", "staff_id")
    version_id = models.BigIntegerField()
    staff_id = models.BigIntegerField()
    n_sent = models.IntegerField(default=0)
    n_opened = models.IntegerField(default=0)
    n_replied = models.IntegerField(default=0)
    n_converted = models.IntegerField(default=0)
    last_at = models.DateTimeField(null=True)


class StepBlocked(KeyedTenantModel):
    """How many touches of a step were held back, by day and reason: a fold of the ledger, so that the list of
    SOPs need not count it. Written under the gate or with planners kept out of it (services/governance/gate.py)."""

    pk = models.CompositePrimaryKey("brand", "step_id", "on", "reason")
    step_id = models.BigIntegerField()
    on = models.DateField()
    reason = models.SmallIntegerField(choices=Touch.Reason)
    sop_id = models.BigIntegerField()
    n = models.BigIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["brand", "sop_id"], name="step_blocked_sop")]
