"""What an administrator does in the console: members, departments, corp tags; with the events of each."""

from typing import Any

from . import bulk, clock, ids, people, store
from .api import tags
from .errors import Refused
from .events import emit
from .models import (
    Department,
    Follow,
    FriendRequest,
    GroupChat,
    GroupMember,
    Happening,
    MassTask,
    Member,
    Message,
    MomentTask,
    Seat,
    Tag,
    TagGroup,
)

CONTACT, TAG = "change_contact", "change_external_tag"


def member_joins(corpid: str, given: dict[str, Any]) -> None:
    """A new member. given: as in /control/load."""
    with store.writing():
        if Member.objects.filter(corpid=corpid, userid=given["userid"]).exclude(status=5).exists():
            raise Refused(f"{given['userid']!r} is there already")
        bulk.put_members(corpid, [given])
        _tell_member(corpid, "create_user", given["userid"])


def member_changes(corpid: str, given: dict[str, Any]) -> None:
    """Departments, name, position, right or status of a member; only a move makes an event.

    Addresses configured after 2022-08-15 hear of nothing else.
    """
    with store.writing():
        row = people.member_of(corpid, given["userid"])
        before = row.departments
        for key in ("name", "position", "mobile", "status", "has_contact_right", "console_welcome"):
            if key in given:
                setattr(row, key, given[key])
        if "department" in given:
            row.departments = [int(one) for one in given["department"]]
            Seat.objects.filter(corpid=corpid, userid=row.userid).delete()
            Seat.objects.bulk_create(
                Seat(corpid=corpid, dept_id=one, userid=row.userid) for one in set(row.departments)
            )
        row.save()
        if given.get("new_userid"):
            _renamed(corpid, row, given["new_userid"])
            return
        if row.departments != before or store.quirk("contact_event_fields") == "all":
            _tell_member(corpid, "update_user", row.userid)


def _renamed(corpid: str, row: Member, userid: str) -> None:
    """Another userid, which an administrator may give once; everything of the member goes along."""
    if Member.objects.filter(corpid=corpid, userid=userid).exclude(pk=row.pk).exists():
        raise Refused(f"{userid!r} is there already")
    before = row.userid
    for model in (Seat, Follow, FriendRequest, MassTask, MomentTask, Message, Happening):
        model.objects.filter(corpid=corpid, userid=before).update(userid=userid)
    GroupChat.objects.filter(corpid=corpid, owner=before).update(owner=userid)
    GroupMember.objects.filter(corpid=corpid, userid=before, type=1).update(userid=userid)
    Member.objects.filter(pk=row.pk).update(userid=userid)
    fields = [("UserID", before), ("NewUserID", userid), ("Department", ",".join(map(str, row.departments)))]
    emit(corpid, CONTACT, "update_user", fields, userid=userid, customer_contact=False)


def _tell_member(corpid: str, change_type: str, userid: str) -> None:
    row = people.member_of(corpid, userid)
    fields: list[tuple[str, Any]] = [
        ("UserID", row.userid),
        ("Department", ",".join(map(str, row.departments))),
    ]
    if store.quirk("contact_event_fields") == "all":
        fields += [
            ("Name", row.name),
            ("MainDepartment", row.departments[0] if row.departments else 1),
            ("IsLeaderInDept", ",".join(str(int(one in row.leader_in)) for one in row.departments)),
            ("Position", row.position),
            ("Mobile", row.mobile),
            ("Gender", row.gender),
            ("Email", row.email),
            ("Status", row.status),
            ("Alias", row.alias),
        ]
    emit(corpid, CONTACT, change_type, fields, userid=row.userid, customer_contact=False)


def department_put(corpid: str, given: dict[str, Any]) -> None:
    """Make a department or change it. given: id, name, parentid?, order?."""
    with store.writing():
        is_new = not Department.objects.filter(corpid=corpid, dept_id=given["id"]).exists()
        bulk.put_departments(corpid, [given])
        fields: list[tuple[str, Any]] = [
            ("Id", int(given["id"])),
            ("Name", given["name"]),
            ("ParentId", str(given.get("parentid") or 0)),
        ]
        if is_new:
            fields.append(("Order", int(given.get("order") or 0)))
        change_type = "create_party" if is_new else "update_party"
        emit(corpid, CONTACT, change_type, fields, customer_contact=False)


def department_deletes(corpid: str, dept_id: int) -> None:
    """Delete an empty department."""
    with store.writing():
        if Seat.objects.filter(corpid=corpid, dept_id=dept_id).exists():
            raise Refused("there are members in it")
        if not Department.objects.filter(corpid=corpid, dept_id=dept_id).delete()[0]:
            raise Refused(f"no department {dept_id}", status=404)
        emit(corpid, CONTACT, "delete_party", [("Id", int(dept_id))], customer_contact=False)


def _tell_tag(corpid: str, change_type: str, tag_id: str, kind: str | None) -> None:
    emit(corpid, TAG, change_type, [("Id", tag_id), ("TagType", kind)])


def tag_adds(corpid: str, group_name: str, names: list[str]) -> dict[str, Any]:
    """Tags made in the console, into a group that is made if need be."""
    with store.writing():
        group = TagGroup.objects.filter(corpid=corpid, name=group_name, strategy=None, deleted=False).first()
        if group is None:
            group = TagGroup.objects.create(
                group_id=ids.tag_id(), corpid=corpid, name=group_name, create_time=clock.now()
            )
            _tell_tag(corpid, "create", group.group_id, "tag_group")
        made = {}
        for name in names:
            tag = Tag.objects.create(
                tag_id=ids.tag_id(),
                corpid=corpid,
                group_id=group.group_id,
                name=name,
                create_time=clock.now(),
            )
            made[name] = tag.tag_id
            _tell_tag(corpid, "create", tag.tag_id, "tag")
        return {"group_id": group.group_id, "tags": made}


def tag_renames(corpid: str, tag_id: str, name: str) -> None:
    """A tag or a group gets another name in the console."""
    with store.writing():
        if Tag.objects.filter(corpid=corpid, tag_id=tag_id, deleted=False).update(name=name):
            _tell_tag(corpid, "update", tag_id, "tag")
        elif TagGroup.objects.filter(corpid=corpid, group_id=tag_id, deleted=False).update(name=name):
            _tell_tag(corpid, "update", tag_id, "tag_group")
        else:
            raise Refused(f"no tag {tag_id!r}", status=404)


def tag_deletes(corpid: str, tag_id: str) -> None:
    """A tag or a group is deleted in the console; a group that became empty is told, too."""
    with store.writing():
        groups = TagGroup.objects.filter(corpid=corpid, deleted=False)
        before = set(groups.values_list("group_id", flat=True))
        tag = Tag.objects.filter(corpid=corpid, tag_id=tag_id, deleted=False).first()
        if tag is None and tag_id not in before:
            raise Refused(f"no tag {tag_id!r}", status=404)
        tags.remove(corpid, [tag_id], [tag_id])
        gone = sorted(before - set(groups.values_list("group_id", flat=True)))
        if tag is not None and not (gone and store.quirk("last_tag_events") == "group"):
            _tell_tag(corpid, "delete", tag_id, "tag")
        for group_id in gone:
            _tell_tag(corpid, "delete", group_id, "tag_group")


def tags_shuffled(corpid: str, group_id: str | None, order: list[str]) -> None:
    """Tags of a group (or, without one, the groups) are put into another order."""
    with store.writing():
        for place, one in enumerate(reversed(order)):
            if group_id:
                Tag.objects.filter(corpid=corpid, tag_id=one).update(order=place)
            else:
                TagGroup.objects.filter(corpid=corpid, group_id=one).update(order=place)
        emit(corpid, TAG, "shuffle", [("Id", group_id)])
