"""How transfers of customers end: done after a day, refused, or the new member is full."""

from . import clock, people, store
from .api import tags
from .errors import Refused
from .events import emit
from .models import Customer, Follow, FollowTag, Transfer

ASSIGNED = 202  # add_way of an inherited customer


def complete(row: Transfer) -> None:
    """The customer goes over, with the events that WeCom makes."""
    with store.writing():
        if not Transfer.objects.filter(pk=row.pk, status=2).update(status=1, takeover_time=clock.now()):
            return
        old = Follow.objects.filter(
            corpid=row.corpid, userid=row.handover, external_userid=row.external_userid
        ).first()
        state = old.state if old else ""
        tag_ids = (
            list(FollowTag.objects.filter(follow=old.pk).order_by("id").values_list("tag_id", flat=True))
            if old
            else []
        )
        if old is not None and row.kind == "onjob":
            people.member_deletes(row.corpid, row.handover, row.external_userid, "DELETE_BY_TRANSFER")
        elif old is not None:  # the member has left: nobody is told of his side
            FollowTag.objects.filter(follow=old.pk).delete()
            Follow.objects.filter(pk=old.pk).delete()
        person = Customer.objects.get(corpid=row.corpid, external_userid=row.external_userid)
        known = Follow.objects.filter(
            corpid=row.corpid, userid=row.takeover, external_userid=row.external_userid, lost=False
        )
        if not known.exists():
            people.befriend(
                row.corpid, row.takeover, person, state=state, source_id="", add_way=ASSIGNED, with_code=False
            )
        if old is not None and store.quirk("transfer_keeps") == "notes":
            new = people.follow_of(row.corpid, row.takeover, row.external_userid)
            Follow.objects.filter(pk=new.pk).update(remark=old.remark, description=old.description)
            tags.put(new.pk, tag_ids, [])


def fail(corpid: str, takeover: str, external_userid: str, reason: str) -> None:
    """The customer refuses (customer_refused), or the new member is full (customer_limit_exceed)."""
    outcomes = {"customer_refused": 3, "customer_limit_exceed": 4}
    if reason not in outcomes:
        raise Refused(f"reason must be one of {', '.join(outcomes)}")
    with store.writing():
        row = Transfer.objects.filter(
            corpid=corpid, takeover=takeover, external_userid=external_userid, status=2
        ).first()
        if row is None:
            raise Refused("no such transfer waits", status=404)
        Transfer.objects.filter(pk=row.pk).update(status=outcomes[reason])
        fields = [("FailReason", reason), ("UserID", row.takeover), ("ExternalUserID", external_userid)]
        emit(corpid, people.EXTERNAL, "transfer_fail", fields, userid=row.takeover)
