"""雷达: tracked links, who opened them, and their figures."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from content.models.library import Content
from scrm import clock
from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import BrandForeignKey, PartitionKey


class Via(models.IntegerChoices):
    """How a link came to whoever opened it; 1 to 4 are campaigns' Touch.Kind. Stored and signed: never renumber."""

    PLAIN = 0, _("Link itself")
    WELCOME = 1, _("Welcome message")
    SOP = 2, _("SOP message")
    BROADCAST = 3, _("Broadcast")
    DIRECT = 4, _("Message in the chat")
    MOMENT = 5, _("Moments")
    GROUP = 6, _("Group")
    POSTER = 7, _("Poster")
    SHARED = 9, _("Passed on by a customer")


class TrackedLink(TenantModel):
    """A short address of our own, `/l/<key>/`, to an outside address or to a page of the library. `key` is unique over
    all brands through `BrandLookup`."""

    key = models.CharField(max_length=16, editable=False)
    name = models.CharField(_("Name"), max_length=60)
    url = models.CharField(_("Address"), max_length=1000, blank=True)  # empty: a page
    content = BrandForeignKey(Content, on_delete=models.PROTECT, null=True, blank=True, related_name="links")
    page = models.CharField(
        max_length=20, blank=True, editable=False
    )  # key of hooks.PAGES: a page of an app above
    asks_who = models.BooleanField(_("Ask WeCom who opens it, inside WeChat and WeCom"), default=True)
    n_opens = models.BigIntegerField(default=0, editable=False)
    n_known = models.IntegerField(default=0, editable=False)  # customers who have opened it
    opened_at = models.DateTimeField(null=True, editable=False)  # last
    created_by = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    archived_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "key"], name="tracked_link_key")]
        indexes = [
            models.Index(fields=["brand", "-id"], name="tracked_link_newest"),
            models.Index(
                fields=["brand", "content"],
                name="tracked_link_page",
                condition=models.Q(content__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Visit(TenantModel):
    """One opening of a link in one browser. Partitioned by month."""

    at = PartitionKey()
    link_id = models.BigIntegerField()
    visitor = models.CharField(max_length=22)  # random, of the browser's cookie
    contact_id = models.BigIntegerField(null=True)  # whom WeCom named
    staff_id = models.BigIntegerField(null=True)  # whose link it was
    send_task_id = models.BigIntegerField(null=True)
    touch_id = models.BigIntegerField(null=True)
    via = models.SmallIntegerField(choices=Via, default=Via.PLAIN)
    from_visit_id = models.BigIntegerField(null=True)
    from_contact_id = models.BigIntegerField(null=True)
    seconds = models.IntegerField(default=0)  # in view
    depth = models.SmallIntegerField(default=0)  # per cent of the page
    beat_at = models.DateTimeField(null=True)  # the browser last told
    is_reading = models.BooleanField(default=False)  # told, and not yet folded
    folded_s = models.IntegerField(default=0)  # seconds that the figures know

    class Meta:
        indexes = [
            models.Index(fields=["brand", "link_id", "-at"], name="visit_link"),
            models.Index(fields=["brand", "link_id", "visitor"], name="visit_visitor"),
            models.Index(
                fields=["brand", "beat_at"], name="visit_reading", condition=models.Q(is_reading=True)
            ),
        ]


class LinkPerson(TenantModel):
    """A customer and a link: folds of their visits; without one (`n_opens` 0) they have only passed it on."""

    link = BrandForeignKey(TrackedLink, on_delete=models.CASCADE, related_name="+")
    contact_id = models.BigIntegerField()
    staff_id = models.BigIntegerField(null=True)  # whose link it was the first time
    via = models.SmallIntegerField(choices=Via, default=Via.PLAIN)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    n_opens = models.IntegerField(default=1)
    n_shared = models.IntegerField(default=0)  # browsers that opened it from theirs
    seconds = models.IntegerField(default=0)
    depth = models.SmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "link", "contact_id"], name="link_person_once")
        ]
        indexes = [
            models.Index(fields=["brand", "link", "-last_at", "-id"], name="link_person_last"),
            models.Index(fields=["brand", "contact_id"], name="link_person_contact"),
        ]


class LinkDay(KeyedTenantModel):
    """Figures of a link on a day of the brand, by guide (0: none) and way."""

    pk = models.CompositePrimaryKey("brand", "link_id", "on", "staff_id", "via")
    link_id = models.BigIntegerField()
    on = models.DateField()
    staff_id = models.BigIntegerField(default=0)
    via = models.SmallIntegerField(choices=Via)
    n_opens = models.IntegerField(default=0)
    n_new = models.IntegerField(default=0)  # people and browsers that had not opened it before
    n_reads = models.IntegerField(default=0)
    seconds = models.BigIntegerField(default=0)
