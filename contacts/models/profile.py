"""What a brand itself notes of a customer: its own fields, stages of following up, reminders."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from contacts.models.people import Contact
from org.models import Staff
from scrm import clock
from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import BrandForeignKey


class CustomField(TenantModel):
    """自定义字段: a field of customers that the brand has made. `key` is its name in files, conditions and
    the API and never changes; what is archived keeps its values."""

    class Type(models.TextChoices):
        TEXT = "text", _("Text")
        NUMBER = "number", pgettext_lazy("type of a field", "Number")
        DATE = "date", _("Date")
        CHOICE = "choice", _("Choice")
        BOOL = "bool", _("Yes or no")

    key = models.CharField(_("Key"), max_length=40)
    label = models.CharField(_("Name"), max_length=40)
    type = models.CharField(_("Type"), max_length=6, choices=Type)
    options = ArrayField(models.CharField(max_length=60), default=list)  # of a choice, in order
    position = models.SmallIntegerField(default=0)
    archived_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "key"], name="custom_field_key")]

    def __str__(self) -> str:
        return self.label

    @property
    def column(self) -> str:
        """The column of CustomValue that holds values of this type."""
        return VALUE_COLUMNS[self.type]


VALUE_COLUMNS: dict[str, str] = {
    CustomField.Type.TEXT: "value_text",
    CustomField.Type.NUMBER: "value_number",
    CustomField.Type.DATE: "value_date",
    CustomField.Type.CHOICE: "value_text",
    CustomField.Type.BOOL: "value_bool",
}


class CustomValue(KeyedTenantModel):
    """The value that a contact has in a custom field; no row is no value. One typed column is filled.

    Each column has an index of its own that row-level security lets Postgres use: text, float8, date and
    boolean compare leakproof, numeric does not.
    """

    pk = models.CompositePrimaryKey("brand", "field", "contact")
    field = BrandForeignKey(CustomField, on_delete=models.CASCADE, related_name="+")
    contact = BrandForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    value_text = models.CharField(max_length=200, null=True)
    value_number = models.FloatField(null=True)
    value_date = models.DateField(null=True)
    value_bool = models.BooleanField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["brand", "contact"], name="custom_value_contact"),
            *(
                models.Index(
                    fields=["brand", "field", column],
                    include=["contact"],
                    name=f"custom_{column}",
                    condition=Q(**{f"{column}__isnull": False}),
                )
                for column in ("value_text", "value_number", "value_date", "value_bool")
            ),
        ]


class Reminder(TenantModel):
    """提醒: something that a colleague wants to be reminded of at a moment, about one customer."""

    contact = BrandForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    staff = BrandForeignKey(Staff, on_delete=models.PROTECT, related_name="+")  # who is reminded
    text = models.CharField(_("What to do"), max_length=200)
    due_at = models.DateTimeField(_("When"))
    noticed_at = models.DateTimeField(null=True)  # when the notice went out
    done_at = models.DateTimeField(null=True)
    done_by = models.CharField(max_length=64, blank=True)
    created_by = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [
            models.Index(
                fields=["brand", "due_at"],
                name="reminder_due",
                condition=Q(done_at__isnull=True, noticed_at__isnull=True),
            ),
            models.Index(
                fields=["brand", "staff", "due_at", "id"],
                name="reminder_open",
                condition=Q(done_at__isnull=True),
            ),
            models.Index(fields=["brand", "contact", "-due_at"], name="reminder_contact"),
        ]
