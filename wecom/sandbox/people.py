"""What customers and members do. Each act changes the tables and makes the events that WeCom makes for it.

Pages, the control API and the stream of arrivals all call these functions.
"""

from typing import Any

from . import acquisition_acts, chance, clock, codes, habits, ids, ranges, store
from .api import tags
from .errors import Refused
from .events import emit
from .models import (
    App,
    Customer,
    Follow,
    FollowTag,
    FriendRequest,
    GroupChat,
    Happening,
    Member,
    Message,
    Tag,
    WelcomeCode,
)

EXTERNAL = "change_external_contact"


def member_of(corpid: str, userid: str) -> Member:
    """A member who is there, or Refused (404)."""
    found = ranges.find(corpid, userid)
    if found is None:
        raise Refused(f"no member {userid!r}", status=404)
    return found


def member_name(corpid: str, userid: str) -> str:
    """His name, also after he left."""
    found = Member.objects.filter(corpid=corpid, userid=userid).values_list("name", flat=True).first()
    return found or userid


def customer_of(corpid: str, external_userid: str) -> Customer:
    """A customer, or Refused (404)."""
    found = Customer.objects.filter(corpid=corpid, external_userid=external_userid).first()
    if found is None:
        raise Refused(f"no customer {external_userid!r}", status=404)
    return found


def follow_of(corpid: str, userid: str, external_userid: str) -> Follow:
    """A relation, or Refused (404)."""
    found = Follow.objects.filter(corpid=corpid, userid=userid, external_userid=external_userid).first()
    if found is None:
        raise Refused(f"{external_userid!r} is no customer of {userid!r}", status=404)
    return found


def new_customer(corpid: str, given: dict[str, Any]) -> Customer:
    """A person who was not there before; given: external_userid?, name?, type?, gender?, unionid? …"""
    kind = int(given.get("type") or 1)
    return Customer.objects.create(
        corpid=corpid,
        external_userid=given.get("external_userid") or ids.external_userid(kind),
        name=given.get("name") or "微信用户",
        type=kind,
        gender=int(given.get("gender") or 0),
        unionid=given.get("unionid") or (ids.unionid() if kind == 1 else ""),
        avatar=given.get("avatar") or "",
        corp_name=given.get("corp_name") or "",
        position=given.get("position") or "",
        created_at=clock.now(),
    )


def person(corpid: str, given: dict[str, Any]) -> tuple[Customer, bool]:
    """(person, whether the corp sees him for the first time)."""
    external_userid = given.get("external_userid")
    if external_userid:
        known = Customer.objects.filter(corpid=corpid, external_userid=external_userid).first()
        if known is not None:
            return known, False
    return new_customer(corpid, given), True


def scan(corpid: str, given: dict[str, Any]) -> dict[str, Any]:
    """A customer scans a code (or opens a link, or scans a member's own code) and adds the member.

    Args:
        given: state | config_id | qr_code | link_id (with customer_channel?) | nothing; external_userid? or
            name?; userid? (who is met, else by chance); half? (the member has not confirmed yet).

    Returns:
        external_userid, userid, welcome_code (None: none was given), is_new (False: they knew each other, no
        event), pending (True: the member verifies, nothing is told before accept()); or refused (why).
    """
    store.corp(corpid)
    with store.writing():
        source = codes.find(corpid, given)
        if source.link is not None and acquisition_acts.is_unavailable(source.link, given):
            return {"refused": "the balance of this corp is used up"}
        someone, is_stranger = person(corpid, given)
        userid = _met(source, given.get("userid"), someone)
        known = Follow.objects.filter(
            corpid=corpid, userid=userid, external_userid=someone.external_userid
        ).first()
        answer = {"external_userid": someone.external_userid, "userid": userid, "welcome_code": None}
        if source.link is not None:
            happened(corpid, "click", userid, someone.external_userid, source.source_id)
        if known is not None and not known.lost:
            return answer | {"is_new": False, "pending": False}
        happened(corpid, "apply", userid, someone.external_userid, source.source_id)
        if source.link is not None:
            acquisition_acts.apply(source.link, source.state, is_new=is_stranger)
        if not source.skip_verify:
            FriendRequest.objects.update_or_create(
                corpid=corpid,
                userid=userid,
                external_userid=someone.external_userid,
                defaults={
                    "state": source.state,
                    "source_id": source.source_id,
                    "add_way": source.add_way,
                    "at": clock.now(),
                },
            )
            habits.after_request(corpid, userid, someone.external_userid)
            return answer | {"is_new": True, "pending": True}
        code = befriend(
            corpid,
            userid,
            someone,
            state=source.state,
            source_id=source.source_id,
            add_way=source.add_way,
            half=bool(given.get("half")),
            oper=someone.external_userid,
            own=given.get("habits"),
        )
        return answer | {"is_new": True, "pending": False, "welcome_code": code}


def _met(source: codes.Source, userid: str | None, someone: Customer) -> str:
    if userid:
        for one in source.people:
            if one.lower() == userid.lower():
                return one
        raise Refused(f"{userid!r} is not behind this code")
    if not source.people:
        raise Refused("nobody is behind this code")
    if store.quirk("code_picks_guide") == "turn":
        before = Happening.objects.filter(corpid=someone.corpid, kind="apply", source_id=source.source_id)
        return source.people[before.count() % len(source.people)]
    return chance.draws("met", source.source_id, someone.external_userid, clock.now()).choice(source.people)


def befriend(
    corpid: str,
    userid: str,
    person: Customer,
    *,
    state: str,
    source_id: str,
    add_way: int,
    half: bool = False,
    oper: str = "",
    with_code: bool = True,
    own: dict[str, Any] | None = None,
) -> str | None:
    """Make (or revive) the relation and tell the apps; the welcome code of the first app, if any."""
    now = clock.now()
    Follow.objects.bulk_create(
        [
            Follow(
                corpid=corpid,
                userid=userid,
                external_userid=person.external_userid,
                createtime=now,
                add_way=add_way,
                oper_userid=oper or userid,
                state=state,
                source_id=source_id,
                half=half,
            )
        ],
        update_conflicts=True,
        unique_fields=["corpid", "external_userid", "userid"],
        update_fields=[
            "createtime",
            "add_way",
            "oper_userid",
            "state",
            "source_id",
            "half",
            "lost",
            "has_spoken",
        ],
    )
    happened(corpid, "add", userid, person.external_userid, source_id)
    codes = _welcome_codes(corpid, userid, person) if with_code else {}
    if half:
        habits.after_request(corpid, userid, person.external_userid)
    habits.after_added(corpid, userid, person.external_userid, own)
    if half or store.quirk("half_first") == "yes":
        _tell_added("add_half_external_contact", corpid, userid, person, state, codes)
    if not half:
        _tell_added("add_external_contact", corpid, userid, person, state, codes)
    return next(iter(codes.values()), None)


def _tell_added(
    change_type: str, corpid: str, userid: str, person: Customer, state: str, codes: dict[int, str]
) -> None:
    def fields(app: App) -> list[tuple[str, Any]]:
        return [
            ("UserID", userid),
            ("ExternalUserID", person.external_userid),
            ("State", state or None),
            ("WelcomeCode", codes.get(app.agentid)),
        ]

    emit(corpid, EXTERNAL, change_type, fields, userid=userid)


def _welcome_codes(corpid: str, userid: str, person: Customer) -> dict[int, str]:
    """A code per app that hears of the arrival; none for WeCom users, nor where the console greets."""
    if person.type != 1 or member_of(corpid, userid).console_welcome:
        return {}
    arrival = ids.code()
    rows = [
        WelcomeCode(
            code=ids.code(),
            corpid=corpid,
            agentid=app.agentid,
            userid=userid,
            external_userid=person.external_userid,
            arrival=arrival,
            expires_at=clock.now() + clock.for_machines(store.setting("welcome_life_s")),
        )
        for app in store.apps_of(corpid)
        if app.kind == "app" and app.callable and ranges.sees(app, userid)
    ]
    WelcomeCode.objects.bulk_create(rows)
    return {row.agentid: row.code for row in rows}


def accept(corpid: str, userid: str, external_userid: str) -> dict[str, Any]:
    """A member confirms a half add or accepts a request; only then it is add_external_contact."""
    with store.writing():
        person = customer_of(corpid, external_userid)
        userid = member_of(corpid, userid).userid
        asked = FriendRequest.objects.filter(
            corpid=corpid, userid=userid, external_userid=external_userid
        ).first()
        if asked is not None:
            state, source_id, add_way = asked.state, asked.source_id, asked.add_way
            asked.delete()
            code = befriend(
                corpid,
                userid,
                person,
                state=state,
                source_id=source_id,
                add_way=add_way,
                oper=external_userid,
            )
            return {"welcome_code": code}
        follow = follow_of(corpid, userid, external_userid)
        if not follow.half:
            raise Refused("there is nothing to confirm")
        Follow.objects.filter(pk=follow.pk).update(half=False)
        greeted = WelcomeCode.objects.filter(
            corpid=corpid, userid=userid, external_userid=external_userid, used_at__gte=follow.createtime
        ).exists()
        codes = {} if greeted or follow.has_spoken else _welcome_codes(corpid, userid, person)
        _tell_added("add_external_contact", corpid, userid, person, follow.state, codes)
        return {"welcome_code": next(iter(codes.values()), None)}


def say(corpid: str, userid: str, external_userid: str, text: str) -> int:
    """The customer writes to the member; a chat has begun, so no welcome can come any more. Message id."""
    with store.writing():
        follow = follow_of(corpid, userid, external_userid)
        if follow.lost:
            raise Refused("this customer deleted the member")
        now = clock.now()
        Follow.objects.filter(pk=follow.pk).update(last_chat_at=now, has_spoken=True)
        happened(corpid, "say", follow.userid, external_userid, follow.source_id)
        if follow.add_way == codes.LINK:
            acquisition_acts.customer_spoke(follow)
        row = Message.objects.create(
            corpid=corpid,
            kind="say",
            userid=follow.userid,
            external_userid=external_userid,
            text=text,
            at=now,
        )
        habits.after_said(corpid, follow.userid, external_userid, row.pk)
        return row.pk


def reply(
    corpid: str, userid: str, external_userid: str, text: str, attachments: list[dict[str, Any]] | None = None
) -> int:
    """The member writes to the customer by hand, or sends what a page in the sidebar has prepared. Message id."""
    with store.writing():
        follow = follow_of(corpid, userid, external_userid)
        if follow.lost:
            raise Refused("this customer deleted the member")
        now = clock.now()
        Follow.objects.filter(pk=follow.pk).update(last_chat_at=now, half=False)
        happened(corpid, "reply", follow.userid, external_userid)
        row = Message.objects.create(
            corpid=corpid,
            kind="reply",
            userid=follow.userid,
            external_userid=external_userid,
            text=text,
            attachments=attachments or [],
            at=now,
        )
        habits.after_sent(corpid, [(row.pk, "reply", follow.userid, external_userid)])
        return row.pk


def customer_deletes(corpid: str, userid: str, external_userid: str) -> None:
    """The customer deletes the member: one side only, the member keeps him in his list."""
    with store.writing():
        follow = follow_of(corpid, userid, external_userid)
        if follow.lost:
            raise Refused("this customer deleted the member before")
        Follow.objects.filter(pk=follow.pk).update(lost=True)
        happened(corpid, "lost", follow.userid, external_userid, follow.source_id)
        fields = [("UserID", follow.userid), ("ExternalUserID", external_userid)]
        emit(corpid, EXTERNAL, "del_follow_user", fields, userid=follow.userid)
        if follow.add_way == codes.LINK:
            acquisition_acts.customer_left(follow)


def member_deletes(corpid: str, userid: str, external_userid: str, source: str | None = None) -> None:
    """The member deletes the customer (or, with source DELETE_BY_TRANSFER, hands him over)."""
    with store.writing():
        follow = follow_of(corpid, userid, external_userid)
        FollowTag.objects.filter(follow=follow.pk).delete()
        Follow.objects.filter(pk=follow.pk).delete()
        happened(corpid, "deleted", follow.userid, external_userid)
        fields = [("UserID", follow.userid), ("ExternalUserID", external_userid), ("Source", source)]
        emit(corpid, EXTERNAL, "del_external_contact", fields, userid=follow.userid)


def member_edits(corpid: str, userid: str, external_userid: str, given: dict[str, Any]) -> None:
    """The member edits remark or tags in his client. given: remark?, description?, add_tags?, remove_tags?,
    personal_tags?; tags by id or name."""
    with store.writing():
        follow = follow_of(corpid, userid, external_userid)
        changes = {key: given[key] for key in ("remark", "description", "personal_tags") if key in given}
        if changes:
            Follow.objects.filter(pk=follow.pk).update(**changes)
        known = tag_ids_by_name(corpid)
        tags.put(
            follow.pk,
            [_tag_id(known, tag) for tag in given.get("add_tags") or ()],
            [_tag_id(known, tag) for tag in given.get("remove_tags") or ()],
        )
        fields = [("UserID", follow.userid), ("ExternalUserID", external_userid)]
        emit(corpid, EXTERNAL, "edit_external_contact", fields, userid=follow.userid)


def tag_ids_by_name(corpid: str) -> dict[str, str]:
    """Ids of corp tags by name and by id."""
    found: dict[str, str] = {}
    for tag_id, name in Tag.objects.filter(corpid=corpid, deleted=False).values_list("tag_id", "name"):
        found.setdefault(name, tag_id)
        found[tag_id] = tag_id
    return found


def _tag_id(known: dict[str, str], tag: str) -> str:
    if tag not in known:
        raise Refused(f"no tag {tag!r}")
    return known[tag]


def member_leaves(corpid: str, userid: str) -> None:
    """The member leaves the corp; his customers and groups wait for an heir."""
    with store.writing():
        row = member_of(corpid, userid)
        emit(
            corpid,
            "change_contact",
            "delete_user",
            [("UserID", row.userid)],
            userid=userid,
            customer_contact=False,
        )
        Member.objects.filter(pk=row.pk).update(status=ranges.LEFT, left_at=clock.now())
        GroupChat.objects.filter(corpid=corpid, owner=row.userid, dismissed_at=None).update(status=1)


def audit_approved(corpid: str, userid: str, external_userid: str) -> dict[str, Any]:
    """The customer agrees to chat archiving (会话内容存档); he may be greeted once more."""
    with store.writing():
        follow = follow_of(corpid, userid, external_userid)
        codes = (
            {}
            if follow.has_spoken
            else _welcome_codes(corpid, follow.userid, customer_of(corpid, external_userid))
        )
        _tell_added(
            "msg_audit_approved", corpid, follow.userid, customer_of(corpid, external_userid), "", codes
        )
        return {"welcome_code": next(iter(codes.values()), None)}


def happened(corpid: str, kind: str, userid: str, external_userid: str = "", source_id: str = "") -> None:
    """Note something for the statistics."""
    Happening.objects.create(
        corpid=corpid,
        kind=kind,
        userid=userid,
        external_userid=external_userid,
        source_id=source_id,
        at=clock.now(),
    )
