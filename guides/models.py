"""加好友名单: phone numbers that guides are to add, and what has become of each. 名片: a guide's public page."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from content.models import TrackedLink
from org.models import Region, Scope, Staff, Store
from scrm import clock
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


class LeadList(TenantModel):
    """名单: numbers that came together, from a file, a pasted list or the API."""

    class Source(models.TextChoices):
        FILE = "file", _("File")
        PAGE = "page", _("Pasted")
        API = "api", "API"

    name = models.CharField(_("Name"), max_length=80)
    source = models.CharField(max_length=4, choices=Source)
    file_id = models.BigIntegerField(null=True)  # datafiles.ImportFile
    words = models.CharField(
        _("Words of the request"), max_length=200, blank=True
    )  # 申请语, copied by the guide
    tag_ids = ArrayField(models.BigIntegerField(), default=list)  # for whoever is added from it
    due_days = models.SmallIntegerField(_("Days that a guide has"), default=3)
    again_days = models.SmallIntegerField(_("Goes to somebody else after days"), null=True)
    guide_ids = ArrayField(
        models.BigIntegerField(), default=list
    )  # whom it was given to: who may get it next
    created_by = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "file_id"], name="lead_list_file"),
        ]
        indexes = [models.Index(fields=["brand", "-id"], name="lead_list_newest")]

    def __str__(self) -> str:
        return self.name


class LeadQuerySet(models.QuerySet["Lead"]):
    def visible_to(self, staff: Staff | None) -> "LeadQuerySet":
        """Numbers of guides within a person's data scope, and those of their store or region that nobody has yet; None:
        an API key, which sees all."""
        if staff is None or staff.sees_brand:
            return self
        mine = Q(staff__in=Staff.objects.visible_to(staff).values("pk"))
        if staff.scope == Scope.REGION and staff.region_id:
            # not a join: rows are locked by this condition
            stores = Store.objects.filter(region=staff.region_id)
            mine |= Q(staff=None, store__in=stores.values("pk"))
            mine |= Q(staff=None, store=None, region=staff.region_id)
        if staff.scope == Scope.STORE and staff.store_id:
            mine |= Q(staff=None, store=staff.store_id)
        return self.filter(mine)


class Lead(TenantModel):
    """待加号码: one number of a list. While nobody has it, `staff` is for whom the list means it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Not given out")
        GIVEN = "given", pgettext_lazy("number for a guide", "To add")
        ASKED = "asked", pgettext_lazy("number for a guide", "Request sent")
        ADDED = "added", pgettext_lazy("number for a guide", "Added")
        NOT_FOUND = "not_found", pgettext_lazy("number for a guide", "Not found")
        REFUSED = "refused", pgettext_lazy("number for a guide", "Refused by the customer")
        KNOWN = "known", _("Customer already")
        CLOSED = "closed", _("Taken out")

    OPEN = (State.WAITING, State.GIVEN, State.ASKED)
    MATCHED = (*OPEN, State.NOT_FOUND, State.REFUSED)  # who appears after all counts as added

    tag_ids = ArrayField(models.BigIntegerField(), default=list)  # above `list`, which is the builtin here
    list = BrandForeignKey(LeadList, on_delete=models.CASCADE, related_name="+")
    phone = models.CharField(max_length=20)  # as contacts.identities.normal writes it
    name = models.CharField(max_length=100, blank=True)
    note = models.CharField(max_length=300, blank=True)  # of the brand, for the guide
    store = BrandForeignKey(Store, on_delete=models.PROTECT, null=True, related_name="+")
    region = BrandForeignKey(
        Region, on_delete=models.PROTECT, null=True, related_name="+"
    )  # of who has no store
    staff = BrandForeignKey(Staff, on_delete=models.PROTECT, null=True, related_name="+")
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    contact_id = models.BigIntegerField(null=True)  # who it is, once known
    added_staff_id = models.BigIntegerField(null=True)  # whom they have added; perhaps a colleague
    said = models.CharField(max_length=300, blank=True)  # by the guide
    n_given = models.SmallIntegerField(default=0)
    given_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=clock.now)

    objects = LeadQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "list", "phone"], name="lead_once"),
            # a number is asked by one guide at a time, whatever lists it stands in
            models.UniqueConstraint(
                fields=["brand", "phone"],
                name="lead_open_once",
                condition=Q(state__in=["waiting", "given", "asked"]),
            ),
        ]
        indexes = [
            models.Index(fields=["brand", "list", "state", "id"], name="lead_list_state"),
            models.Index(
                fields=["brand", "staff", "state", "id"],
                name="lead_guide",
                condition=Q(state__in=["given", "asked"]),
            ),
            models.Index(
                fields=["brand", "phone"],
                name="lead_matched",
                condition=Q(state__in=["waiting", "given", "asked", "not_found", "refused"]),
            ),
            models.Index(
                fields=["brand", "contact_id"], name="lead_contact", condition=Q(contact_id__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.name or f"…{self.phone[-4:]}"


class Card(TenantModel):
    """名片: what a guide's public page says, `/c/<key of the link>/`. Name and picture are the staff's."""

    staff = BrandForeignKey(Staff, on_delete=models.CASCADE, related_name="+")
    link = BrandForeignKey(TrackedLink, on_delete=models.PROTECT, related_name="+")
    title = models.CharField(
        _("Job title"), max_length=40, blank=True
    )  # empty: the position that WeCom knows
    words = models.CharField(_("About me"), max_length=300, blank=True)  # empty: the brand's
    code_id = models.BigIntegerField(
        null=True
    )  # livecodes.ChannelCode; none: the guide's own, if there is one
    changed_by = models.CharField(max_length=64, blank=True)
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "staff"], name="card_once"),
            models.UniqueConstraint(fields=["brand", "link"], name="card_link"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class CardStyle(TenantModel):
    """What the cards of a brand have in common."""

    words = models.CharField(_("Words where a guide has none"), max_length=300, blank=True)
    invitation = models.CharField(_("Words above the code"), max_length=60, blank=True)
    color = models.CharField(_("Colour"), max_length=7, default="#2f57d9")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand"], name="card_style_once")]
