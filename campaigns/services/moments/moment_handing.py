"""Moments to WeCom: claimed, called, recorded; found again when the third step was lost.

`add_moment_task` knows no id of ours, and WeCom answers with a job that ends with the moment's id. A call without an
answer stays in `calling`: it is looked for among WeCom's records by content, time and guides, and only when half an hour
has shown nothing (a job may take its time) is it made again.
"""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from campaigns import governance
from campaigns.models import Moment, Sop
from campaigns.services.governance import rules
from campaigns.services.moments import moment_content, moment_results
from campaigns.services.moments.moment_failures import fail
from campaigns.services.moments.moments import corp_tags
from content.services import library, sensitive
from org.models import Staff
from scrm import clock
from scrm.errors import InvalidError, SCRMError
from tenants.models import Brand
from wecom.api import moments as api
from wecom.client import WeComClient, client_for
from wecom.errors import LostAnswer, WeComForbidden, WeComRejected, WeComUnavailable
from wecom.services import media

log = logging.getLogger(__name__)
State = Moment.State

LEASE = timedelta(seconds=90)
MAX_CLAIM_AGE_S = 30.0  # between claim and call: a process that slept longer must not call any more
GIVE_UP_LOOKING = timedelta(minutes=30)
CLOCKS_DIFFER = timedelta(minutes=10)
LOOK_AGAIN = timedelta(seconds=60)
PAUSES = [timedelta(seconds=s) for s in (30, 60, 300, 900, 1800, 3600)]
WAIT_WHILE_PAUSED = timedelta(minutes=10)
JOB_SHORTEST, JOB_LONGEST, JOB_LIFE = timedelta(seconds=5), timedelta(minutes=5), timedelta(hours=24)


@dataclass(frozen=True)
class Claim:
    """A moment in `calling`, who publishes and who sees it (WeCom's ids), and when it was claimed."""

    moment: Moment
    userids: list[str]
    tag_ids: list[str]
    claimed_s: float


def move_on(brand: Brand, moment_id: int) -> None:
    """Do what a moment's state wants now. Safe to repeat, to run twice at once and to be killed anywhere."""
    with transaction.atomic():
        moment = Moment.objects.select_related("corp").filter(pk=moment_id).first()
    if moment is None or moment.next_try_at > clock.now():
        return
    if moment.state == State.PLANNED:
        _hand_over(brand, moment)
    elif moment.state == State.CALLING:
        _recover(moment)
    elif moment.state == State.RUNNING:
        _ask_job(brand, moment)
    elif moment.state == State.OUT:
        moment_results.poll(brand, moment.pk)


# ---- call


def _hand_over(brand: Brand, moment: Moment) -> None:
    client = client_for(moment.corp)
    try:
        # before the claim: an upload may take long, and a claim must be followed by its call at once
        content = moment_content.to_wecom(moment.corp, client, moment.attachments)
    except WeComUnavailable as error:
        _postpone(moment, error)
        return
    except (WeComRejected, InvalidError) as error:
        _refused(moment, error)
        return
    if (claim := _claim(brand, moment.pk)) is not None:
        _call(client, claim, content)


def _call(client: WeComClient, claim: Claim, content: list[dict[str, Any]]) -> None:
    moment = claim.moment
    if time.monotonic() - claim.claimed_s > MAX_CLAIM_AGE_S:
        _postpone(moment, None)
        return
    try:
        jobid = api.add_moment_task(
            client, text=moment.text, attachments=content, userids=claim.userids, tag_ids=claim.tag_ids
        )
    except LostAnswer as error:
        with transaction.atomic():
            _mine(moment).update(next_try_at=clock.now() + PAUSES[0], error=str(error)[:500])
    except WeComUnavailable as error:
        _postpone(moment, error)
    except (WeComRejected, InvalidError) as error:
        if getattr(error, "errcode", None) == media.UNKNOWN and media.forget(content):
            _postpone(moment, None)  # with a new upload
        else:
            _refused(moment, error)
    else:
        with transaction.atomic():
            values = {"state": State.RUNNING, "jobid": jobid, "n_tries": 0, "error": ""}
            if not _mine(moment).update(next_try_at=clock.now() + JOB_SHORTEST, **values):
                log.warning("moment %s: job %s came too late, it was looked for meanwhile", moment.pk, jobid)


def _claim(brand: Brand, moment_id: int) -> Claim | None:
    try:
        with transaction.atomic():
            return _claim_row(brand, moment_id)
    except IntegrityError:
        # its twin is being called
        with transaction.atomic():
            waiting = Moment.objects.filter(pk=moment_id, state=State.PLANNED)
            waiting.update(next_try_at=clock.now() + LOOK_AGAIN)
        return None


def _claim_row(brand: Brand, moment_id: int) -> Claim | None:
    now = clock.now()
    rows = Moment.objects.select_for_update(skip_locked=True, of=("self",)).select_related("corp")
    moment = rows.filter(pk=moment_id, state=State.PLANNED, next_try_at__lte=now).first()
    if moment is None:
        return None
    sop_state = _state_of_sop(moment)
    if sop_state == Sop.State.ENDED:
        Moment.objects.filter(pk=moment.pk).update(state=State.CANCELLED, cancelled_at=now, ended_at=now)
        return None
    if sop_state == Sop.State.PAUSED:
        Moment.objects.filter(pk=moment.pk).update(next_try_at=now + WAIT_WHILE_PAUSED)
        return None
    allowed = rules.rules_of(brand)
    if (release := governance.release_at(now, allowed.quiet, allowed.zone)) > now:
        Moment.objects.filter(pk=moment.pk).update(next_try_at=release)
        return None
    userids, tag_ids = _range(moment)
    problem = ""
    if moment.at < now - timedelta(hours=moment.late_hours):
        problem = "late"
    elif moment.staff_ids and not userids:
        problem = "guides"  # nobody is never everybody
    elif moment.tag_ids and not tag_ids:
        problem = "tags"
    elif moment.content_id:
        problem = _not_usable(brand, moment.content_id, now)
    problem = problem or sensitive.refused_now(brand, moment.text, moment.attachments)
    if problem:
        fail(moment, problem, Moment.objects.all())
        return None
    moment.state, moment.called_at, moment.next_try_at = State.CALLING, now, now + LEASE
    moment.n_tries += 1
    moment.save(update_fields=["state", "called_at", "next_try_at", "n_tries"])
    return Claim(moment, userids, tag_ids, time.monotonic())


def _state_of_sop(moment: Moment) -> str:
    """Of the SOP that has ordered it; "" if none has."""
    if moment.source != "sop":
        return ""
    return Sop.objects.filter(pk=moment.source_id or 0).values_list("state", flat=True).first() or ""


def _not_usable(brand: Brand, version_id: int, at: datetime) -> str:
    """Why content of the library may not be published any more; "" when it may."""
    try:
        library.usable_version(brand, version_id, at)
    except SCRMError as error:
        return str(error)
    return ""


def _range(moment: Moment) -> tuple[list[str], list[str]]:
    """Members and tags in WeCom's ids, without those that are gone."""
    guides = Staff.objects.guides().filter(pk__in=moment.staff_ids, corp=moment.corp).exclude(userid="")
    tags = corp_tags(moment.corp).filter(pk__in=moment.tag_ids)
    return (
        list(guides.order_by("pk").values_list("userid", flat=True)),
        list(tags.order_by("pk").values_list("wecom_id", flat=True)),
    )


def _mine(moment: Moment) -> Any:
    """The row, as long as it is what this process has seen: nobody has taken it over."""
    states = [State.PLANNED, State.CALLING]
    return Moment.objects.filter(
        pk=moment.pk, state__in=states, called_at=moment.called_at, jobid="", moment_id=""
    )


def _postpone(moment: Moment, error: WeComUnavailable | WeComForbidden | None) -> None:
    """Certainly not done: planned again, a little later each time; at once if nothing was wrong."""
    pause = timedelta(0)
    if error is not None:
        growing = PAUSES[min(moment.n_tries, len(PAUSES) - 1)]
        pause = max(growing, timedelta(seconds=getattr(error, "retry_after_s", 0)))
    with transaction.atomic():
        _mine(moment).update(
            state=State.PLANNED,
            called_at=None,
            next_try_at=clock.now() + pause,
            n_tries=moment.n_tries + (error is not None),
            error=str(error)[:500] if error else "",
        )


def _refused(moment: Moment, error: WeComRejected | InvalidError) -> None:
    """WeCom says no. What a person can mend (secret, trusted IP, rights) waits for it; the rest is final."""
    if isinstance(error, WeComForbidden):
        _postpone(moment, error)
        return
    with transaction.atomic():
        fail(moment, _words(error), _mine(moment))


def _words(error: Any) -> str:
    number = getattr(error, "errcode", None)
    return (f"{error} ({number})" if number else str(error))[:500]


# ---- look


def _recover(moment: Moment) -> None:
    """Look for a call that was made and not recorded (or never made); make it again only when that is certain."""
    now = clock.now()
    with transaction.atomic():
        mine = Moment.objects.filter(pk=moment.pk, state=State.CALLING, next_try_at__lte=now)
        if moment.called_at is None or not mine.update(next_try_at=now + LOOK_AGAIN):
            return
    try:
        found = _find(client_for(moment.corp), moment)
    except WeComUnavailable:
        return  # the next tick looks again
    except WeComRejected as error:
        with transaction.atomic():
            _mine(moment).update(error=_words(error), next_try_at=clock.now() + PAUSES[3])
        return
    if found:
        _out(moment, found)
    elif now - moment.called_at >= GIVE_UP_LOOKING:
        _postpone(moment, None)


def _find(client: WeComClient, moment: Moment) -> str:
    """WeCom's id of the record that this call made; "" if there is none.

    Ours is a record of the company made after our call, with our content, that we know under no other moment, and
    whose guides are all among ours.
    """
    assert moment.called_at is not None
    now = clock.now()
    start = max(moment.called_at - CLOCKS_DIFFER, now - timedelta(days=29))
    records = api.moments(client, start_at=start, end_at=now + CLOCKS_DIFFER, made_by=0)
    like = [
        record
        for record in records
        if record.get("moment_id")
        and moment_content.is_like(record, moment.text, moment.attachments, to_some=bool(moment.tag_ids))
        and datetime.fromtimestamp(int(record.get("create_time") or 0), UTC) >= start
    ]
    if not like:
        return ""
    with transaction.atomic():
        known = set(
            Moment.objects.filter(moment_id__in=[r["moment_id"] for r in like]).values_list(
                "moment_id", flat=True
            )
        )
        ours = {userid.lower() for userid in _range(moment)[0]}
    for record in sorted(like, key=lambda r: int(r.get("create_time") or 0)):
        if record["moment_id"] in known:
            continue
        if not ours:
            return record["moment_id"]
        tasks = api.moment_tasks(client, record["moment_id"])
        if tasks and {str(task.get("userid", "")).lower() for task in tasks} <= ours:
            return record["moment_id"]
    return ""


# ---- job


def _ask_job(brand: Brand, moment: Moment) -> None:
    """How far WeCom's job is; with its end the moment is with the guides."""
    now = clock.now()
    with transaction.atomic():
        mine = Moment.objects.filter(pk=moment.pk, state=State.RUNNING, next_try_at__lte=now)
        if not mine.update(next_try_at=now + LEASE):
            return
    client = client_for(moment.corp)
    age = now - (moment.called_at or moment.at)
    pause = min(max(age / 5, JOB_SHORTEST), JOB_LONGEST)
    try:
        job = api.moment_job(client, moment.jobid)
        if job.get("status") == api.JOB_DONE:
            _job_over(brand, moment, job.get("result") or {})
            return
        if age > JOB_LIFE:
            _lost_job(client, moment)
            return
    except WeComUnavailable:
        pause = max(pause, PAUSES[0])
    except WeComRejected as error:
        if age <= JOB_LIFE:
            with transaction.atomic():
                _running(moment).update(error=_words(error), next_try_at=now + PAUSES[2])
            return
        _lost_job(client, moment)
        return
    with transaction.atomic():
        _running(moment).update(next_try_at=now + pause)


def _running(moment: Moment) -> Any:
    return Moment.objects.filter(pk=moment.pk, state=State.RUNNING)


def _job_over(brand: Brand, moment: Moment, result: api.JobResult) -> None:
    moment_id = result.get("moment_id") or ""
    if result.get("errcode") or not moment_id:
        error = f"{result.get('errmsg') or '—'} ({result.get('errcode')})"
        with transaction.atomic():
            fail(moment, error, _running(moment))
        return
    left_out = {
        "users": (result.get("invalid_sender_list") or {}).get("user_list") or [],
        "tags": (result.get("invalid_external_contact_list") or {}).get("tag_list") or [],
    }
    if (problem := _nobody_left(moment, left_out)) != "":
        # WeCom knows none of those asked for: what it has made instead could be for everybody
        try:
            api.cancel_moment(client_for(moment.corp), moment_id)
        except WeComUnavailable:
            return  # the job is asked about again
        with transaction.atomic():
            fail(moment, problem, _running(moment), moment_id=moment_id, warnings=left_out)
        return
    _out(moment, moment_id, {name: ids[:100] for name, ids in left_out.items() if ids})
    moment_results.poll(brand, moment.pk)


def _nobody_left(moment: Moment, left_out: dict[str, list[str]]) -> str:
    with transaction.atomic():
        userids, tag_ids = _range(moment)
    if moment.tag_ids and not set(tag_ids) - set(left_out["tags"]):
        return "tags"
    if moment.staff_ids and not {u.lower() for u in userids} - {u.lower() for u in left_out["users"]}:
        return "guides"
    return ""


def _lost_job(client: WeComClient, moment: Moment) -> None:
    """WeCom keeps jobs for 24 hours: after that only its records tell."""
    try:
        found = _find(client, moment)
    except WeComUnavailable:
        return  # the lease runs out, and it is looked for again
    if found:
        _out(moment, found)
        return
    with transaction.atomic():
        fail(moment, "job", _running(moment))


def _out(moment: Moment, moment_id: str, warnings: dict[str, Any] | None = None) -> None:
    now = clock.now()
    with transaction.atomic():
        Moment.objects.filter(pk=moment.pk, state__in=[State.CALLING, State.RUNNING], moment_id="").update(
            state=State.OUT,
            moment_id=moment_id,
            out_at=now,
            next_try_at=now,
            n_tries=0,
            error="",
            warnings=warnings or {},
        )
