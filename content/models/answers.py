"""表单: what people answered on pages that ask something."""

from django.db import models

from content.models.library import Content
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


class FormAnswer(TenantModel):
    """One person's answers to the form of a page, by key of the question (content/questions.py). A person is a customer
    whom WeCom has named, else a browser; answering again replaces the answers."""

    content = BrandForeignKey(Content, on_delete=models.CASCADE, related_name="+")
    version_id = models.BigIntegerField()  # of the content, as it was answered last
    link_id = models.BigIntegerField()
    visitor = models.CharField(max_length=22)  # of the browser's cookie
    contact_id = models.BigIntegerField(null=True)
    staff_id = models.BigIntegerField(null=True)  # whose link it was
    answers = models.JSONField()
    n_times = models.IntegerField(default=1)
    first_at = models.DateTimeField()
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "content", "contact_id"],
                name="form_answer_contact",
                condition=models.Q(contact_id__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["brand", "content", "visitor"],
                name="form_answer_browser",
                condition=models.Q(contact_id__isnull=True),
            ),
        ]
        indexes = [
            models.Index(fields=["brand", "content", "-at", "-id"], name="form_answer_newest"),
            models.Index(
                fields=["brand", "contact_id"],
                name="form_answer_of",
                condition=models.Q(contact_id__isnull=False),
            ),
        ]
