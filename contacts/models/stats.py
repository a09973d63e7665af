"""What segments and values ask of a contact, in one narrow row."""

from django.db import models
from django.db.models import Q

from contacts.models.people import Contact
from scrm import clock
from tenants.base import KeyedTenantModel
from tenants.fields import BrandForeignKey


class ContactStat(KeyedTenantModel):
    """One row per contact, made with it (contacts/services/stats.py): copies of the contact's own columns,
    sums of its orders (commerce), its value (recomputed nightly). Everything can be rebuilt.

    Money, dates and counts only: what is a yes or no is a bit (tagging/services/bits/bits.py). Of the values only the cell of
    the grid is indexed, which few leave in a night: the nightly recompute rewrites the others in place (HOT). The other
    indexes cover what is asked most.
    """

    pk = models.CompositePrimaryKey("brand", "contact")
    # derived, and made with the contact: whoever ends a contact deletes it; a check of each by the database costs as much
    contact = BrandForeignKey(Contact, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    position = models.IntegerField(editable=False)  # Contact.position: the bit in every bitmap
    n_follows = models.IntegerField(default=0)
    added_at = models.DateTimeField(default=clock.now)
    lost_at = models.DateTimeField(null=True)
    # orders: kept by commerce/services/orders.py
    first_order_at = models.DateTimeField(null=True)
    last_order_at = models.DateTimeField(null=True)
    spent_fen = models.BigIntegerField(default=0)  # net of refunds
    ltv_fen = models.BigIntegerField(null=True)
    alive_ratio = models.FloatField(null=True)
    n_orders = models.IntegerField(default=0)
    next_order_on = models.DateField(null=True)
    # value: filled by the nightly recompute; empty until then
    value_score = models.SmallIntegerField(null=True)
    recency = models.SmallIntegerField(null=True)
    frequency = models.SmallIntegerField(null=True)
    monetary = models.SmallIntegerField(null=True)
    value_group = models.SmallIntegerField(null=True)
    lifecycle = models.SmallIntegerField(null=True)
    gender = models.SmallIntegerField(default=0)
    do_not_contact = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(
                fields=["brand", "last_order_at"],
                include=["contact", "position", "spent_fen", "n_orders", "do_not_contact"],
                name="stat_last_order",
                condition=Q(last_order_at__isnull=False),
            ),
            models.Index(fields=["brand", "added_at"], include=["contact", "position"], name="stat_added"),
            models.Index(fields=["brand", "spent_fen"], include=["contact", "position"], name="stat_spent"),
            # the people of a cell, the best first; who has bought nothing is not in it
            models.Index(
                fields=["brand", "recency", "frequency", "-value_score", "-spent_fen", "-contact"],
                name="stat_cell",
                condition=Q(recency__isnull=False),
            ),
        ]
