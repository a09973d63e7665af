"""The corp's tag library: what differs."""

from drift.services.differences import New
from drift.services.members import different
from org.models import Corp
from tagging.models import Tag, TagGroup
from wecom.api.tags import TagGroup as WeComGroup

MAX_NAME = 30


def compare_tags(corp: Corp, found: list[WeComGroup]) -> list[New]:
    """The whole library beside ours, in the caller's transaction. An order of tags that differs is followed without
    a word: it is nobody's mistake."""
    groups = {g["group_id"]: {"name": g.get("group_name", "")[:MAX_NAME]} for g in found}
    tags = {
        tag["id"]: {"name": tag["name"][:MAX_NAME], "group": group.get("group_name", "")[:MAX_NAME]}
        for group in found
        for tag in group.get("tag") or []
        if not tag.get("deleted")
    }
    our_tags = (
        Tag.objects.filter(group__corp=corp, deleted_at=None).exclude(wecom_id="").select_related("group")
    )
    ours = {tag.wecom_id: {"name": tag.name, "group": tag.group.name} for tag in our_tags}
    ids = {tag.wecom_id: tag.pk for tag in our_tags}
    # a group lives as long as one of its tags does, here as there
    live = {tag.group.wecom_id: {"name": tag.group.name} for tag in our_tags}
    names = dict(
        TagGroup.objects.filter(corp=corp, wecom_id__in=list(groups)).values_list("wecom_id", "name")
    )
    our_groups = live | {key: {"name": name} for key, name in names.items() if key in groups}
    differs = different("tag_group", our_groups, groups) + different("tag", ours, tags, ids)
    # a tag whose group was renamed is no difference of its own
    renamed = {our_groups[key]["name"]: groups[key]["name"] for key in our_groups.keys() & groups.keys()}
    for new in differs:
        if (
            new.kind == "tag_differs"
            and "group" in new.theirs
            and renamed.get(new.ours["group"]) == new.theirs["group"]
        ):
            del new.ours["group"], new.theirs["group"]
    return [new for new in differs if new.ours or new.theirs]
