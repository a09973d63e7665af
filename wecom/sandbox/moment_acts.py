"""What members and customers do with moments: publish, like, comment."""

from typing import Any

from django.db.models import QuerySet

from . import behaviour, clock, habits, ids, ranges, store
from .errors import Refused
from .mass_acts import able_senders, patience
from .models import Follow, FollowTag, Moment, MomentTask, Reaction


def audience(moment: Moment, userid: str) -> QuerySet[Follow]:
    """Customers of a member whom the moment is for: all, or those with one of its tags."""
    rows = Follow.objects.filter(corpid=moment.corpid, userid=userid)
    if moment.tags:
        rows = rows.filter(id__in=FollowTag.objects.filter(tag_id__in=moment.tags).values("follow"))
    return rows


def assign(
    moment: Moment, visible: set[str] | None, users: list[str], departments: list[int], *, asked: bool
) -> None:
    """A task per member: those named, else (tags only) the followers of tagged customers, else everybody."""
    able = able_senders(moment.corpid, visible)
    if asked:
        named = {userid.lower() for userid in users}
        named |= {userid.lower() for userid in ranges.members_in(moment.corpid, departments)}
        able &= named
    elif moment.tags:
        tagged = FollowTag.objects.filter(tag_id__in=moment.tags).values("follow")
        followers = Follow.objects.filter(corpid=moment.corpid, id__in=tagged).values_list(
            "userid", flat=True
        )
        able &= {userid.lower() for userid in followers.distinct()}
    rows = []
    for userid in sorted(able):
        member = ranges.find(moment.corpid, userid)
        if member is None:
            continue
        rows.append(
            MomentTask(
                corpid=moment.corpid,
                moment_id=moment.moment_id,
                userid=member.userid,
                publish_at=patience(moment.corpid, member.userid, moment.moment_id, moment.ready_at),
            )
        )
    MomentTask.objects.bulk_create(rows)


def publish(corpid: str, moment_id: str, userid: str | None = None) -> dict[str, int]:
    """Members (or one) publish a moment; how many did."""
    with store.writing():
        moment = Moment.objects.filter(corpid=corpid, moment_id=moment_id).first()
        if moment is None:
            raise Refused(f"no moment {moment_id!r}", status=404)
        now = clock.now()
        Moment.objects.filter(pk=moment.pk, ready_at__gt=now).update(ready_at=now)
        tasks = MomentTask.objects.filter(moment_id=moment_id, status=0)
        if userid:
            tasks = tasks.filter(userid=userid)
        publishers = list(tasks.order_by("id").values_list("userid", flat=True))
        n = tasks.update(status=1, published_at=now, publish_at=None)
        if behaviour.customers(corpid)["like_rate"] > 0:
            for one in publishers:
                seen_by = audience(moment, one).filter(lost=False).order_by("id")
                habits.after_published(
                    corpid, moment_id, one, list(seen_by.values_list("external_userid", flat=True))
                )
        return {"published": n}


def post_own(corpid: str, given: dict[str, Any]) -> dict[str, str]:
    """A guide posts a moment of his own in the client (create_type 1). given: userid, text."""
    with store.writing():
        member = ranges.find(corpid, given["userid"])
        if member is None:
            raise Refused(f"no member {given['userid']!r}", status=404)
        now = clock.now()
        moment = Moment.objects.create(
            moment_id=ids.moment_id(),
            jobid=ids.code(),
            corpid=corpid,
            creator=member.userid,
            create_type=1,
            text=given["text"],
            created_at=now,
            ready_at=now,
        )
        MomentTask.objects.create(corpid=corpid, moment_id=moment.moment_id, userid=member.userid)
        publish(corpid, moment.moment_id)
        return {"moment_id": moment.moment_id}


def react(corpid: str, moment_id: str, userid: str, by: str, kind: str, text: str = "") -> None:
    """A customer (or colleague) likes or comments on a member's published moment."""
    if kind not in ("like", "comment"):
        raise Refused("kind must be like or comment")
    with store.writing():
        task = MomentTask.objects.filter(corpid=corpid, moment_id=moment_id, userid=userid, status=1).first()
        if task is None:
            raise Refused(f"{userid!r} has not published {moment_id!r}", status=404)
        Reaction.objects.create(
            corpid=corpid,
            moment_id=moment_id,
            userid=task.userid,
            by=by,
            kind=kind,
            text=text,
            at=clock.now(),
        )
