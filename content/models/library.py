"""素材库: folders, items and their versions."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from scrm import clock
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


class ContentPolicy(TenantModel):
    """How a brand keeps its library; one row, made when something is changed."""

    needs_approval = models.BooleanField(
        _("New and changed content must be approved by a second person"), default=False
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand"], name="content_policy_once")]


class Folder(TenantModel):
    """A folder of the library; of scripts it is the category."""

    parent = BrandForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    name = models.CharField(_("Name"), max_length=40)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "parent", "name"], name="content_folder_name", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return self.name


class ContentQuerySet(models.QuerySet["Content"]):
    def live(self) -> "ContentQuerySet":
        return self.filter(archived_at=None)


class Content(TenantModel):
    """素材: what is sent stands in its versions. `current_id` is the one in force: the newest approved one."""

    class Kind(models.TextChoices):
        MESSAGE = "message", _("Message")
        SCRIPT = "script", _("Script")  # 话术: a quick reply for the chat with one customer
        PAGE = "page", _("Page")  # an article of our own, opened through a tracked link

    class Form(models.TextChoices):
        """What the newest version holds; for icons and filters."""

        TEXT = "text", _("Text")
        IMAGE = "image", _("Image")
        LINK = "link", _("Link")
        MINIPROGRAM = "miniprogram", _("Mini-program")
        VIDEO = "video", _("Video")
        FILE = "file", _("File")
        COMBINED = "combined", _("Combined")
        PAGE = "page", _("Page")

    class Occasion(models.TextChoices):
        """When a script is the one to send: the kinds of a guide's next best action."""

        HELLO = "hello", _("New, and nobody has written yet")
        CART = "cart", _("Something is in the cart, not bought")
        REPURCHASE = "repurchase", _("The next purchase is due")
        AGAIN = "again", _("Nobody has spoken for a month")

    kind = models.CharField(_("Kind"), max_length=7, choices=Kind, default=Kind.MESSAGE, editable=False)
    form = models.CharField(max_length=11, choices=Form, editable=False)
    name = models.CharField(_("Name"), max_length=60)
    folder = BrandForeignKey(
        Folder, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("Folder"), related_name="+"
    )
    occasion = models.CharField(_("Suggest it when"), max_length=10, choices=Occasion, blank=True, default="")
    current_id = models.BigIntegerField(null=True, editable=False)  # ContentVersion
    n_versions = models.IntegerField(default=0, editable=False)
    search = models.TextField(editable=False, default="")  # name and words, lower case
    expires_at = models.DateTimeField(_("Usable until"), null=True, blank=True)
    archived_at = models.DateTimeField(null=True, editable=False)
    created_by = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    changed_at = models.DateTimeField(default=clock.now, editable=False)

    objects = ContentQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["brand", "-changed_at", "-id"], name="content_newest"),
            models.Index(fields=["brand", "folder"], name="content_by_folder"),
        ]

    def __str__(self) -> str:
        return self.name


class ContentVersion(TenantModel):
    """One wording of an item; never changed once written. Messages in the ledger name it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waits for approval")
        APPROVED = "approved", _("Approved")
        REFUSED = "refused", _("Sent back")
        REPLACED = "replaced", _("Replaced before it was approved")

    content = BrandForeignKey(Content, on_delete=models.CASCADE, related_name="versions")
    no = models.IntegerField()  # 1, 2, …
    text = models.TextField(blank=True)  # variables {员工姓名} …, see content/variables.py
    attachments = models.JSONField(default=list)  # see wecom/services/attachments.py
    page = models.JSONField(default=dict)  # of a page: see content/pages.py
    is_personal = models.BooleanField(default=False)  # speaks of the customer: not for mass sends
    state = models.CharField(max_length=8, choices=State)
    made_by = models.CharField(max_length=64)
    made_by_user_id = models.BigIntegerField(null=True)  # nobody approves their own
    created_at = models.DateTimeField(default=clock.now)
    note = models.CharField(max_length=200, blank=True)  # what was changed, in the maker's words
    decided_by = models.CharField(max_length=64, blank=True)
    decided_at = models.DateTimeField(null=True)
    decision_note = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "content", "no"], name="content_version_no"),
            models.UniqueConstraint(
                fields=["brand", "content"],
                name="content_version_waiting",
                condition=models.Q(state="waiting"),
            ),
        ]
