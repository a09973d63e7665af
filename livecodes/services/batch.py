"""Many codes from a spreadsheet (batch_sheet.py): a preview that is kept for an hour, then a job that makes the good rows
(`code_batch`)."""

import secrets
from dataclasses import asdict

from django.core.cache import cache
from django.db import transaction
from django.utils.translation import gettext as _

from livecodes.services import ways
from livecodes.services.batch_sheet import Preview, Row, read_rows
from livecodes.services.codes import create_code
from livecodes.services.content import CodeInput, GuideInput, WelcomeInput
from org.access import Actor
from org.models import Corp, Job
from org.services import jobs
from scrm.errors import InvalidError, NotFoundError, SCRMError
from tenants.models import Brand

KIND = "code_batch"
SLICE = 20  # codes per transaction
PREVIEW_S = 3600


# ---- preview


def preview(brand: Brand, *, corp: Corp, data: bytes, name: str) -> Preview:
    """Read a file and check every row against the brand, in the caller's transaction; kept for an hour for
    `start`.

    Raises:
        InvalidError: the file cannot be read, or a needed column is missing.
    """
    rows = read_rows(corp, data, name)
    found = Preview(secrets.token_urlsafe(12), name[:100], corp.pk, rows)
    stored = {"file_name": found.file_name, "corp_id": corp.pk, "rows": [asdict(row) for row in rows]}
    cache.set(_key(brand, found.token), stored, PREVIEW_S)
    return found


# ---- job


def start(brand: Brand, *, by: Actor, token: str) -> Job:
    """Make the good rows of a preview.

    Raises:
        NotFoundError: the preview is older than an hour, or another brand's.
    """
    already = Job.objects.filter(kind=KIND, params__token=token).first()
    if already is not None:
        return already  # a double click
    found = recall(brand, token)
    if not found.good:
        raise InvalidError(_("No row of this file can be made"))
    return jobs.start_job(
        brand,
        kind=KIND,
        title=_("Codes from “%(file)s”") % {"file": f"{found.file_name} #{token[:4]}"},
        params={
            "corp_id": found.corp_id,
            "user_id": by.user_id,
            "rows": [asdict(row) for row in found.good],
            "token": token,
        },
        by=by,
        n_total=len(found.good),
    )


def recall(brand: Brand, token: str) -> Preview:
    stored = cache.get(_key(brand, token))
    if stored is None:
        raise NotFoundError(_("This preview is too old; upload the file again"))
    return Preview(token, stored["file_name"], stored["corp_id"], [Row(**row) for row in stored["rows"]])


def _key(brand: Brand, token: str) -> str:
    return f"batch:{brand.pk}:{token}"


def step(brand: Brand, job: Job) -> bool:
    """Some codes into our tables, or one of them into WeCom. True: more to do."""
    made = job.position.get("made", 0)
    if made < len(job.params["rows"]):
        _make(brand, job, made)
        return True
    code_ids: list[int] = job.result.get("code_ids", [])
    pushed = job.position.get("pushed", 0)
    if pushed >= len(code_ids):
        return False
    ways.push(brand, code_ids[pushed])
    with transaction.atomic():
        position = {**job.position, "pushed": pushed + 1}
        n_bad, is_last = len(job.result.get("problems", [])), pushed + 1 == len(code_ids)
        stage = "" if is_last else _("Making them in WeCom")
        jobs.save_step(job, position=position, n_done=pushed + 1 + n_bad, stage=stage)
    return True


@transaction.atomic
def _make(brand: Brand, job: Job, start_at: int) -> None:
    """A slice of rows and the new position in one commit, so that no row is made twice."""
    rows = [Row(**row) for row in job.params["rows"][start_at : start_at + SLICE]]
    corp = Corp.objects.get(pk=job.params["corp_id"])
    by = Actor(job.created_by, job.params.get("user_id"))
    code_ids, problems = list(job.result.get("code_ids", [])), list(job.result.get("problems", []))
    for row in rows:
        try:
            with transaction.atomic():
                code_ids.append(create_code(brand, by=by, corp=corp, given=_input(row), push=False).pk)
        except SCRMError as error:  # what has changed since the preview
            problems.append({"row": row.number, "name": row.name, "reason": str(error)})
    jobs.save_step(
        job,
        position={**job.position, "made": start_at + len(rows)},
        result={**job.result, "code_ids": code_ids, "problems": problems},
        n_bad=len(problems),
        stage=_("Writing them down"),
    )


def _input(row: Row) -> CodeInput:
    return CodeInput(
        name=row.name,
        place=row.place,
        guides=[GuideInput(pk) for pk in row.guides],
        tag_ids=row.tags,
        cost_fen=row.cost_fen,
        remark=row.remark,
        store_id=row.store_id,
        welcomes=[WelcomeInput(text=row.welcome)] if row.welcome else [],
    )
