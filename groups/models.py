"""客户群: the brand's group chats with customers, mirrored from WeCom, and who has been in them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact
from org.models import Corp, Staff
from scrm import clock
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey
from wecom.models import MediaFile


class GroupChatQuerySet(models.QuerySet["GroupChat"]):
    def live(self) -> "GroupChatQuerySet":
        """Groups that have not been dissolved."""
        return self.filter(dismissed_at=None)

    def visible_to(self, staff: Staff) -> "GroupChatQuerySet":
        """What the data scope of a person's role shows: the brand, or groups of owners in the own region,
        store, or the own groups."""
        if staff.sees_brand:
            return self
        return self.filter(owner__in=Staff.objects.visible_to(staff).values("pk"))


class GroupChat(TenantModel):
    """客户群. WeCom has no call that makes or changes one: everything here is what WeCom told us."""

    class State(models.IntegerChoices):
        """WeCom's numbers."""

        NORMAL = 0, _("Normal")
        OWNER_LEFT = 1, _("The owner has left")
        INHERITING = 2, _("Being handed over")
        INHERITED = 3, _("Handed over")

    corp = BrandForeignKey(Corp, on_delete=models.PROTECT, related_name="+")
    chat_id = models.CharField(max_length=64)
    name = models.CharField(_("Name"), max_length=200, blank=True)  # empty: nobody has named it
    owner = BrandForeignKey(Staff, on_delete=models.PROTECT, null=True, related_name="+")
    owner_userid = models.CharField(max_length=64, blank=True)  # lower case; also of owners we do not know
    state = models.SmallIntegerField(_("State"), choices=State, default=State.NORMAL)
    notice = models.TextField(blank=True)
    admin_userids = models.JSONField(default=list)
    n_members = models.IntegerField(default=0)  # everybody who is in it now
    n_customers = models.IntegerField(default=0)  # of them, those who are not members of the company
    member_version = models.CharField(
        max_length=64, blank=True
    )  # WeCom's; events name the one before and after
    created_at = models.DateTimeField()
    dismissed_at = models.DateTimeField(null=True)
    fetched_at = models.DateTimeField(null=True)  # when its members were last read from WeCom
    synced_in = models.BigIntegerField(null=True)  # the sync (org.Job) that last saw it listed

    objects = GroupChatQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "corp", "chat_id"], name="group_chat_once")]
        indexes = [
            models.Index(fields=["brand", "-created_at", "-id"], name="group_chat_newest"),
            models.Index(fields=["brand", "-n_members", "-id"], name="group_chat_biggest"),
            models.Index(fields=["brand", "owner", "-created_at", "-id"], name="group_chat_owner"),
        ]

    def __str__(self) -> str:
        return self.name or self.chat_id


class GroupMember(TenantModel):
    """A stay of somebody in a group: who comes back has a second row. `userid` is a member's userid (lower
    case) or an external_userid; `contact` is empty for people who have added nobody of the brand."""

    class Kind(models.IntegerChoices):
        """WeCom's numbers."""

        STAFF = 1, _("Member of the company")
        CUSTOMER = 2, _("Customer")

    class Scene(models.IntegerChoices):
        """How somebody came in; WeCom's numbers of groupchat/get."""

        UNKNOWN = 0, _("Unknown")
        INVITED = 1, _("Invited")
        LINK = 2, _("By an invitation link")
        QR = 3, _("By the group's QR code")

    class Quit(models.IntegerChoices):
        """How somebody left; WeCom's numbers of the event, and 2 where nobody told."""

        BY_THEMSELVES = 0, _("Left by themselves")
        REMOVED = 1, _("Removed from the group")
        UNKNOWN = 2, _("Not in the group any more")
        DISMISSED = 3, _("The group was dissolved")

    chat = BrandForeignKey(GroupChat, on_delete=models.CASCADE, related_name="members")
    kind = models.SmallIntegerField(choices=Kind)
    userid = models.CharField(max_length=64)
    staff = BrandForeignKey(Staff, on_delete=models.SET_NULL, null=True, related_name="+")
    contact = BrandForeignKey(Contact, on_delete=models.SET_NULL, null=True, related_name="+")
    name = models.CharField(max_length=100, blank=True)  # WeCom's name, or the one used in this group
    unionid = models.CharField(max_length=64, blank=True)
    join_scene = models.SmallIntegerField(choices=Scene, default=Scene.UNKNOWN)
    invitor_userid = models.CharField(max_length=64, blank=True)  # a member of the company, lower case
    state = models.CharField(max_length=64, blank=True)  # of the join way (群活码) that was scanned
    joined_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True)
    quit_scene = models.SmallIntegerField(choices=Quit, null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "chat", "userid"], name="group_member_once", condition=Q(left_at=None)
            )
        ]
        indexes = [
            models.Index(fields=["brand", "chat", "-joined_at", "-id"], name="group_member_joined"),
            models.Index(
                fields=["brand", "chat", "-left_at", "-id"],
                name="group_member_left",
                condition=Q(left_at__isnull=False),
            ),
            models.Index(
                fields=["brand", "contact", "-joined_at"],
                name="group_member_contact",
                condition=Q(contact__isnull=False),
            ),
            # somebody in groups becomes a customer
            models.Index(fields=["brand", "state"], name="group_member_state", condition=~Q(state="")),
            models.Index(fields=["brand", "userid"], name="group_member_who", condition=Q(contact=None)),
        ]

    @property
    def shown_name(self) -> str:
        """A name for pages; needs `contact` and `staff`."""
        known = (self.contact.name if self.contact else "") or (self.staff.name if self.staff else "")
        return self.name or known or self.userid


class GroupCodeQuerySet(models.QuerySet["GroupCode"]):
    def live(self) -> "GroupCodeQuerySet":
        return self.filter(deleted_at=None)


class GroupCode(TenantModel):
    """群活码: a QR code that leads into groups, filled one after the other (WeCom's join way)."""

    class Sync(models.TextChoices):
        WAITING = "waiting", _("Being made in WeCom")
        OK = "ok", _("Live")
        FAILED = "failed", _("WeCom refused it")

    corp = BrandForeignKey(Corp, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(_("Name"), max_length=60)
    group_ids = ArrayField(
        models.BigIntegerField(), default=list
    )  # GroupChat, in the order in which they fill
    is_growing = models.BooleanField(_("WeCom makes a new group when all are full"), default=True)
    base_name = models.CharField(_("Name of new groups"), max_length=40, blank=True)  # a number follows
    state = models.CharField(max_length=30, editable=False)  # WeCom's; each stay of who came by it carries it
    config_id = models.CharField(max_length=64, blank=True, editable=False)
    file = BrandForeignKey(
        MediaFile, on_delete=models.PROTECT, null=True, editable=False, related_name="+"
    )  # the picture
    sync_state = models.CharField(max_length=8, choices=Sync, default=Sync.WAITING, editable=False)
    sync_error = models.CharField(
        max_length=300, blank=True, editable=False
    )  # words: services/code_push.py: problem_of
    # chat_ids as WeCom was last told them, and all those of groups that it has made by itself behind this code
    sent_chat_ids = ArrayField(models.CharField(max_length=64), default=list, editable=False)
    grown_chat_ids = ArrayField(models.CharField(max_length=64), default=list, editable=False)
    claimed_at = models.DateTimeField(null=True, editable=False)  # a process is talking to WeCom about it
    due_at = models.DateTimeField(null=True, editable=False)  # when the tick looks next
    n_tries = models.IntegerField(default=0, editable=False)
    created_by = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)

    objects = GroupCodeQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "state"], name="group_code_state")]
        indexes = [
            models.Index(fields=["brand", "-id"], name="group_code_newest", condition=Q(deleted_at=None)),
            models.Index(
                fields=["brand", "due_at"], name="group_code_due", condition=Q(due_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.name
