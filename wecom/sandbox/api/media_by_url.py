"""Files fetched from an address, for group welcome templates.

Source: developer.work.weixin.qq.com/document/path/96219
"""

import hashlib
import threading
from typing import Any

import requests
from django.db import close_old_connections

from wecom.sandbox import ids, store
from wecom.sandbox.call import Call, number, text
from wecom.sandbox.content import bounded, link_url
from wecom.sandbox.errors import WeComError, head
from wecom.sandbox.events import emit
from wecom.sandbox.models import Media, UrlJob

from .media import path_of

MOST_BYTES = 200 * 1024 * 1024
JOB_LIFE_S = 3600
TIMEOUT_S = 10


def upload(call: Call) -> dict[str, Any]:
    """Start a job; it really fetches the address."""
    if number(call.body, "scene") != 1:
        raise WeComError(40058, "scene")
    kind = text(call.body, "type", missing=40063)
    if kind not in ("video", "file"):
        raise WeComError(40004)
    job = UrlJob.objects.create(
        jobid=ids.code(),
        corpid=call.corpid,
        agentid=call.app.agentid,
        kind=kind,
        filename=bounded(call.body, "filename", 128, missing=40063),
        url=link_url(call.body, "url", missing=40063, most=1024),
        md5=text(call.body, "md5", missing=40063).lower()[:32],
        created_at=call.now,
    )
    threading.Thread(target=_fetch, args=(job.jobid,), name="upload_by_url", daemon=True).start()
    return {"jobid": job.jobid}


def take_up() -> None:
    """Fetch what an earlier process did not get to."""
    for jobid in UrlJob.objects.filter(status=1).values_list("jobid", flat=True):
        threading.Thread(target=_fetch, args=(jobid,), name="upload_by_url", daemon=True).start()


def _download(job: UrlJob) -> tuple[int, bytes]:
    """(errcode, bytes)."""
    try:
        answer = requests.get(job.url, timeout=TIMEOUT_S, stream=True)
        body = answer.raw.read(MOST_BYTES + 1, decode_content=True)
    except (requests.RequestException, OSError):
        return 830003, b""
    if answer.status_code not in (200, 206):
        return 830003, b""
    if len(body) > MOST_BYTES:
        return 45001, b""
    if hashlib.md5(body).hexdigest() != job.md5:  # noqa: S324  WeCom's choice
        return 301019, b""
    return 0, body


def _fetch(jobid: str) -> None:
    try:
        waiting = UrlJob.objects.filter(jobid=jobid, status=1)
        with store.writing():  # the row is there once the call that made it has committed
            job = waiting.first()
        if job is None:
            return
        errcode, body = _download(job)
        with store.writing():
            if not waiting.exists():  # wiped meanwhile, or it came back with an import and was fetched again
                return
            media_id = _keep(job, body) if errcode == 0 else ""
            UrlJob.objects.filter(jobid=jobid).update(
                status=3 if errcode else 2, errcode=errcode, media_id=media_id
            )
            fields = [("JobId", jobid)]
            emit(
                job.corpid, "upload_media_job_finish", "", fields, customer_contact=False, agentid=job.agentid
            )
    finally:
        close_old_connections()


def _keep(job: UrlJob, body: bytes) -> str:
    row = Media.objects.create(
        media_id=ids.media_id(),
        corpid=job.corpid,
        origin="upload",
        type=job.kind,
        filename=job.filename,
        content_type="video/mp4" if job.kind == "video" else "application/octet-stream",
        size=len(body),
        created_at=job.created_at,
    )
    target = path_of(row.media_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(body)
    return row.media_id


def result(call: Call) -> dict[str, Any]:
    """How far a job is."""
    job = UrlJob.objects.filter(corpid=call.corpid, jobid=text(call.body, "jobid", missing=40063)).first()
    if job is None or call.now > job.created_at + JOB_LIFE_S:
        raise WeComError(40088)
    detail: dict[str, Any] = {"errcode": job.errcode, "errmsg": head(job.errcode) if job.errcode else "ok"}
    if job.media_id:
        detail |= {"media_id": job.media_id, "created_at": str(int(job.created_at))}
    return {"status": job.status, "detail": detail}
