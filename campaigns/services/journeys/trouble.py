"""What cannot be read any more in a graph that runs: noted at its node, shown on the SOP's page, tried again. It never
decides for anybody, and it never holds up another SOP."""

from datetime import timedelta

from django.utils.translation import gettext as _

from campaigns.models import EntryMark, Sop

AGAIN = timedelta(minutes=10)  # people who stand before it are asked about anew
WHOLE = ""  # in place of a node: goals and exits


def note(sop_id: int, node: str, error: object) -> None:
    """Say why, once; in the caller's transaction."""
    is_gone = getattr(error, "code", "") == "segment_missing"
    text = _("a segment that it names was deleted") if is_gone else str(error)[:200] or "?"
    mark, is_new = EntryMark.objects.get_or_create(sop_id=sop_id, node=node, defaults={"error": text})
    if not is_new and mark.error != text:
        EntryMark.objects.filter(sop=sop_id, node=node).update(error=text)


def over(sop_id: int, node: str) -> None:
    """It can be read again."""
    EntryMark.objects.filter(sop=sop_id, node=node).exclude(error="").update(error="")


def known(sop_ids: list[int]) -> set[tuple[int, str]]:
    """(SOP, node) of what is noted."""
    rows = EntryMark.objects.filter(sop__in=sop_ids).exclude(error="")
    return set(rows.values_list("sop_id", "node"))


def errors_of(sop: Sop) -> dict[str, str]:
    """{node: why it cannot be read}."""
    return dict(EntryMark.objects.filter(sop=sop).exclude(error="").values_list("node", "error"))
