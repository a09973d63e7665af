"""朋友圈: what guides publish to their moments, and how far each of them has come."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from org.models import Corp, Staff
from scrm import clock
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


class Moment(TenantModel):
    """朋友圈任务: one content of one corp, published by its guides, seen by their customers.

    draft → (approval) → planned → calling → running (jobid known) → out (moment_id known) → done. A lost answer leaves it in
    `calling`, from where it is looked for among WeCom's records before it may be made again.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        APPROVAL = "approval", _("Waits for approval")
        PLANNED = "planned", _("Planned")
        CALLING = "calling", _("Being handed over")
        RUNNING = "running", _("WeCom prepares it")
        OUT = "out", _("With the guides")
        DONE = "done", _("Finished")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    name = models.CharField(_("Name"), max_length=60)
    corp = BrandForeignKey(Corp, on_delete=models.PROTECT, related_name="+")
    text = models.TextField(_("Text"), blank=True)
    attachments = models.JSONField(default=list, blank=True)  # images, or one video, or one link
    content_id = models.BigIntegerField(null=True)  # version of the library
    staff_ids = ArrayField(models.BigIntegerField(), default=list)  # who publishes; []: see tag_ids
    tag_ids = ArrayField(
        models.BigIntegerField(), default=list
    )  # who sees it; []: all customers of the guides
    at = models.DateTimeField(_("Goes out"))
    is_now = models.BooleanField(default=True)  # of a draft: at its launch, not at `at`
    late_hours = models.IntegerField(_("Still handed over after hours"), default=24)
    state = models.CharField(max_length=9, choices=State, default=State.DRAFT)
    content_digest = models.CharField(max_length=40)  # of text and attachments
    jobid = models.CharField(max_length=64, blank=True)
    moment_id = models.CharField(max_length=64, blank=True)
    called_at = models.DateTimeField(null=True)
    out_at = models.DateTimeField(null=True)
    next_try_at = models.DateTimeField(default=clock.now)
    n_tries = models.IntegerField(default=0)
    error = models.CharField(max_length=500, blank=True)
    warnings = models.JSONField(default=dict)  # what WeCom left out: {"users": […], "tags": […]}
    n_guides = models.IntegerField(default=0)  # folds of MomentGuide
    n_published = models.IntegerField(default=0)
    n_customers = models.IntegerField(default=0)  # who can see it
    n_likes = models.IntegerField(default=0)
    n_comments = models.IntegerField(default=0)
    source = models.CharField(max_length=10, default="page")  # page, api, sop
    source_id = models.BigIntegerField(null=True)
    key = models.CharField(max_length=80)  # what makes it one: whoever orders the same twice orders it once
    created_by = models.CharField(max_length=64, blank=True)
    created_by_user_id = models.BigIntegerField(null=True)  # tenants.User; None: an API key, an SOP
    launched_by = models.CharField(max_length=64, blank=True)
    launched_by_user_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(default=clock.now)
    cancelled_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "key"], name="moment_key"),
            # a moment whose answer was lost cannot be taken for its twin
            models.UniqueConstraint(
                fields=["brand", "corp", "content_digest"],
                name="moment_calling",
                condition=models.Q(state="calling"),
            ),
        ]
        indexes = [
            models.Index(
                fields=["brand", "next_try_at"],
                name="moment_due",
                condition=models.Q(state__in=["planned", "calling", "running", "out"]),
            ),
            models.Index(fields=["brand", "-id"], name="moment_newest"),
            models.Index(fields=["brand", "at"], name="moment_at"),
            models.Index(
                fields=["brand", "moment_id"], name="moment_wecom", condition=~models.Q(moment_id="")
            ),
        ]

    def __str__(self) -> str:
        return self.name


class MomentGuide(TenantModel):
    """One guide's part of a moment."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Not published yet")
        PUBLISHED = "published", _("Published")
        MISSED = "missed", _("Not published")

    moment = BrandForeignKey(Moment, on_delete=models.CASCADE, related_name="guides")
    staff = BrandForeignKey(
        Staff, on_delete=models.CASCADE, null=True, related_name="+"
    )  # None: not synced yet
    userid = models.CharField(max_length=64)
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    published_at = models.DateTimeField(null=True)  # seen to be published; WeCom does not tell when
    n_customers = models.IntegerField(default=0)
    n_likes = models.IntegerField(default=0)
    n_comments = models.IntegerField(default=0)
    next_read_at = models.DateTimeField(null=True)  # of viewers and reactions
    reminded_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "moment", "userid"], name="moment_guide_once")
        ]
        indexes = [
            models.Index(
                fields=["brand", "next_read_at"],
                name="moment_guide_due",
                condition=models.Q(next_read_at__isnull=False),
            ),
            models.Index(
                fields=["brand", "staff", "-id"],
                name="moment_guide_open",
                condition=models.Q(state="waiting"),
            ),
        ]
