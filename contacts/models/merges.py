"""What a merge of two contacts has moved, for as long as it can be taken back; and who is not the same person."""

from django.db import models

from contacts.models.people import Contact
from scrm import clock
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


class Merge(TenantModel):
    """合并记录: written in the merge's transaction; contacts/services/identity/parting.py reads it and forgets it
    after some weeks.

    Keys of the JSON are `app.Model` or `app.Model.column` of contacts/services/identity/merging.py: MOVES.
    """

    contact = BrandForeignKey(Contact, on_delete=models.CASCADE, related_name="+")  # who stays
    lost_id = models.BigIntegerField()  # the contact that has ended; the same id comes back
    lost_name = models.CharField(max_length=100, blank=True)
    at = models.DateTimeField(default=clock.now)
    source = models.CharField(max_length=20, blank=True)
    why = models.JSONField(default=dict)  # {"unionid": …}, {"phone": true}, {"import": file}
    moved = models.JSONField(default=dict)  # column → keys of rows that went over
    dropped = models.JSONField(default=dict)  # model → whole rows that clashed and are gone
    folded = models.JSONField(
        default=dict
    )  # model → [row that stayed before, and after it took the other one in]
    lost = models.JSONField(default=dict)  # contact, stat: whole rows; bits: [dim, val]
    kept = models.JSONField(default=dict)  # before, after: whole rows of the contact; bits
    parted_at = models.DateTimeField(null=True)
    parted_by = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "lost_id", "at"], name="merge_once")]
        indexes = [
            models.Index(fields=["brand", "contact", "-at"], name="merge_kept"),
            models.Index(fields=["brand", "at"], name="merge_old"),
        ]


class NotSame(TenantModel):
    """非同一人: two contacts of whom somebody has said that they are two people; nothing joins them again. `one_id` is the
    smaller one."""

    one_id = models.BigIntegerField()
    two_id = models.BigIntegerField()
    said_by = models.CharField(max_length=64)
    said_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "one_id", "two_id"], name="not_same_once")]
        indexes = [models.Index(fields=["brand", "two_id"], name="not_same_two")]
