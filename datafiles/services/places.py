"""Where files lie: the brand's folder, one folder for each import and export, deleted after some days."""

import shutil
from datetime import timedelta
from pathlib import Path

from django.conf import settings

from datafiles.models import ExportFile, ImportFile
from scrm import clock

KEPT = timedelta(days=30)  # an import's file and what it was refused
EXPORT_KEPT = timedelta(days=3)


def import_folder(file: ImportFile) -> Path:
    return Path(settings.MEDIA_ROOT) / str(file.brand_id) / "imports" / str(file.pk)


def export_folder(file: ExportFile) -> Path:
    return Path(settings.MEDIA_ROOT) / str(file.brand_id) / "exports" / str(file.pk)


def source_of(file: ImportFile) -> Path:
    """The bytes as they were uploaded."""
    return import_folder(file) / "source"


def uploads_folder() -> Path:
    """Where uploads are written while they arrive: on the disk of the media, so that moving them is a rename."""
    folder = Path(settings.MEDIA_ROOT) / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sweep_uploads() -> int:
    """Delete what uploads have left that broke off with their process; gives how many files."""
    oldest, n = clock.now().timestamp() - timedelta(days=1).total_seconds(), 0
    for path in uploads_folder().iterdir():
        if path.is_file() and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
            n += 1
    return n


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
