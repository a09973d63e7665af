"""A ZIP of print-size QR pictures, made by a job (`code_zip`) one picture per step, downloaded with the
right `codes.view`."""

import re
import shutil
import zipfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from livecodes.models import ChannelCode
from livecodes.services import qr
from org.access import Actor
from org.models import Job
from org.services import jobs
from scrm import clock
from scrm.errors import InvalidError, NotFoundError, SCRMError
from tenants.models import Brand

KIND = "code_zip"
MAX_CODES = 1000
KEPT = timedelta(days=7)


def start_zip(brand: Brand, *, by: Actor, code_ids: Sequence[int], captions: bool = True) -> Job:
    """Start the job for some codes.

    Raises:
        InvalidError: none, or too many. NotFoundError: a code of another brand.
    """
    ids = sorted(set(code_ids))
    if not 0 < len(ids) <= MAX_CODES:
        raise InvalidError(_("Choose between 1 and %(n)d codes") % {"n": MAX_CODES})
    if ChannelCode.objects.live().filter(pk__in=ids).count() != len(ids):
        raise NotFoundError()
    title = ngettext("QR pictures of %(n)d code", "QR pictures of %(n)d codes", len(ids)) % {"n": len(ids)}
    return jobs.start_job(
        brand,
        kind=KIND,
        title=f"{title} · {clock.now():%H%M%S}",
        params={"code_ids": ids, "captions": captions},
        by=by,
        n_total=len(ids),
    )


def step(brand: Brand, job: Job) -> bool:
    """One picture into the job's folder; after the last one the ZIP. True: more to do."""
    ids, at = job.params["code_ids"], job.position.get("at", 0)
    folder = _folder(brand) / f"job-{job.pk}"
    if at == 0:
        _sweep(brand)
    if at >= len(ids):
        _pack(brand, job, folder)
        return False
    with transaction.atomic():
        code = ChannelCode.objects.filter(pk=ids[at]).first()
    problem = ""
    if code is None:
        problem = str(NotFoundError().message)
    else:
        try:
            data = qr.print_png(qr.picture(brand, code), code.name if job.params["captions"] else "")
        except SCRMError as error:
            problem = str(error)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _file_name(at + 1, code.name)).write_bytes(data)
    problems = list(job.result.get("problems", []))
    if problem:
        problems.append({"name": code.name if code else str(ids[at]), "reason": problem})
    with transaction.atomic():
        jobs.save_step(
            job,
            position={"at": at + 1},
            n_done=at + 1,
            n_bad=len(problems),
            result={**job.result, "problems": problems},
            stage=_("Drawing"),
        )
    return True


def finished_file(brand: Brand, job_id: int) -> tuple[Path, str]:
    """Path of a finished ZIP and the name to save it under.

    Raises:
        NotFoundError: no such job in this brand, or not finished, or swept after a week.
    """
    job = Job.objects.filter(pk=job_id, kind=KIND, state=Job.State.DONE).first()
    name = job.result.get("file") if job else None
    path = _folder(brand) / name if name else None
    if job is None or path is None or not path.is_file():
        raise NotFoundError(_("This file is not there any more; make it again"))
    return path, f"qr-codes-{job.created_at:%Y%m%d-%H%M}.zip"


def _pack(brand: Brand, job: Job, folder: Path) -> None:
    target = _folder(brand) / f"{job.pk}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".part")
    n = 0
    # pictures are compressed already
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.glob("*.png")) if folder.is_dir() else []:
            archive.write(path, path.name)
            n += 1
        if problems := job.result.get("problems"):
            words = "\r\n".join(f"{p['name']}: {p['reason']}" for p in problems)
            archive.writestr("README.txt", "\ufeff" + words)
    draft.replace(target)
    shutil.rmtree(folder, ignore_errors=True)
    result: dict[str, Any] = {**job.result, "file": target.name, "n": n, "size": target.stat().st_size}
    with transaction.atomic():
        jobs.save_step(job, result=result, stage="")


def _sweep(brand: Brand) -> None:
    """Old files and folders of jobs that were given up."""
    before = (clock.now() - KEPT).timestamp()
    for path in _folder(brand).glob("*"):
        if path.stat().st_mtime < before:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _folder(brand: Brand) -> Path:
    return Path(settings.MEDIA_ROOT) / str(brand.pk) / "zips"


def _file_name(number: int, name: str) -> str:
    """Numbered, so that two codes of one name stay apart; without what file systems refuse."""
    plain = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "_", name).strip(" .")[:60]
    return f"{number:04d}-{plain or 'code'}.png"
