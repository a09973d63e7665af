"""导入与导出: files that came in and what became of them, files that went out and who took them."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from scrm import clock
from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import BrandForeignKey


class ImportFile(TenantModel):
    """One uploaded file, how it is to be read, and what its import did. The file itself lies in the brand's
    folder until `purged_at`."""

    class State(models.TextChoices):
        UPLOADED = "uploaded", _("Uploaded")
        CHECKED = "checked", _("Checked")
        RUNNING = "running", _("Importing")
        DONE = "done", _("Imported")
        UNDOING = "undoing", _("Being undone")
        UNDONE = "undone", _("Undone")

    kind = models.CharField(max_length=20)  # key of datafiles/kinds: KINDS
    name = models.CharField(max_length=150)  # as the person's computer called it
    size = models.BigIntegerField()
    digest = models.CharField(max_length=64)  # sha256 of the bytes: the same file again is told
    layout = models.JSONField(default=dict)  # datafiles/layout.py: Layout
    headings = models.JSONField(default=list)  # names of the columns, in the file's order
    n_rows = models.BigIntegerField(default=0)  # records of the file, heading and title rows not
    mapping = models.JSONField(default=dict)  # target of the kind → {"column": n, …}
    options = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.UPLOADED)
    job_id = models.BigIntegerField(null=True)  # org.Job: the newest check, import or undo
    checked = models.JSONField(default=dict)  # what the dry run said: counts, reasons
    result = models.JSONField(default=dict)  # what was done: counts, reasons, seconds
    created_by = models.CharField(max_length=64)
    user_id = models.BigIntegerField(null=True)
    staff_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)
    purged_at = models.DateTimeField(null=True)  # when the bytes were deleted

    class Meta:
        indexes = [
            models.Index(fields=["brand", "-created_at", "-id"], name="import_newest"),
            models.Index(fields=["brand", "digest"], name="import_digest"),
        ]

    def __str__(self) -> str:
        return self.name


class ImportTemplate(TenantModel):
    """How a kind of file was mapped last time, by the words of its headings."""

    kind = models.CharField(max_length=20)
    signature = models.CharField(max_length=64)  # sha256 of the headings
    mapping = models.JSONField(default=dict)  # target → {"heading": …, …}
    options = models.JSONField(default=dict)
    used_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "kind", "signature"], name="import_template_once")
        ]
        indexes = [models.Index(fields=["brand", "kind", "-used_at"], name="import_template_newest")]


class ImportRange(TenantModel):
    """Rows that an import has made, as a range of ids of one table: what the undo removes."""

    file = BrandForeignKey(ImportFile, on_delete=models.CASCADE, related_name="+")
    table = models.CharField(max_length=20)  # contact, product, order, refund …
    low = models.BigIntegerField()
    high = models.BigIntegerField()  # included

    class Meta:
        indexes = [models.Index(fields=["brand", "file", "table", "low"], name="import_range_file")]


class ImportChange(KeyedTenantModel):
    """A row that was there and that an import has changed: the values before and after."""

    pk = models.CompositePrimaryKey("brand", "file", "table", "object_id")
    # no foreign key in the database: the file that is being imported is there, and a check for each row takes as long as it
    file = BrandForeignKey(ImportFile, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    table = models.CharField(max_length=20)
    object_id = models.BigIntegerField()
    before = models.JSONField()
    after = models.JSONField()


class ExportFile(TenantModel):
    """A list that somebody took out: what of it, for whom, and how often it was downloaded."""

    kind = models.CharField(max_length=20)  # key of datafiles/exports: KINDS
    format = models.CharField(max_length=4)  # csv, xlsx
    title = models.CharField(max_length=120)
    params = models.JSONField(default=dict)  # the filter
    is_masked = models.BooleanField(default=True)  # phone numbers
    job_id = models.BigIntegerField(null=True)
    n_rows = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    created_by = models.CharField(max_length=64)
    user_id = models.BigIntegerField(null=True)  # empty: an API key
    staff_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    n_downloads = models.IntegerField(default=0)
    purged_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["brand", "-created_at", "-id"], name="export_newest")]

    def __str__(self) -> str:
        return self.title
