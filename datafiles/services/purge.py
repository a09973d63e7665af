"""Files of people's data do not lie about: imports keep theirs for 30 days, exports for three."""

from django.db import transaction

from datafiles.models import ExportFile, ImportChange, ImportFile, ImportRange
from datafiles.services import places
from org.models import Job
from scrm import clock
from tenants.models import Brand


def purge(brand: Brand) -> int:
    """Delete bytes whose time is over, and what only an undo needed; gives how many files."""
    now = clock.now()
    with transaction.atomic():
        live = Job.objects.filter(state__in=["waiting", "running", "paused"]).values("pk")
        imports = ImportFile.objects.filter(purged_at=None, created_at__lt=now - places.KEPT).exclude(
            job_id__in=live
        )
        exports = ExportFile.objects.filter(purged_at=None, expires_at__lt=now).exclude(job_id__in=live)
        old, gone = list(imports), list(exports)
        for file in old:
            file.purged_at = now
            file.save(update_fields=["purged_at"])
        for row in gone:
            row.purged_at = now
            row.save(update_fields=["purged_at"])
        folders = [places.import_folder(file) for file in old] + [places.export_folder(row) for row in gone]
    for file in old:
        with transaction.atomic():
            ImportRange.objects.filter(file=file).delete()
            ImportChange.objects.filter(file=file).delete()
    for folder in folders:
        places.remove(folder)
    return len(folders)
