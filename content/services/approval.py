"""Versions: approve or send back (four eyes), compare, take an old one again; the brand's rule."""

import difflib
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from content import pages
from content.models import Content, ContentPolicy, ContentVersion
from content.services import editing, sensitive
from content.services.editing import Saved, get_content
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from tenants.models import Brand

State = ContentVersion.State


def waiting() -> QuerySet[ContentVersion]:
    """Versions that somebody should decide on."""
    return ContentVersion.objects.filter(state=State.WAITING, content__archived_at=None)


def get_version(content_id: int, no: int) -> ContentVersion:
    """
    Raises:
        NotFoundError: no such version of an item of this brand.
    """
    row = ContentVersion.objects.select_related("content").filter(content=content_id, no=no).first()
    if row is None:
        raise NotFoundError()
    return row


@transaction.atomic
def decide(
    brand: Brand, *, content_id: int, no: int, approve: bool, note: str = "", by: Actor
) -> ContentVersion:
    """Approve the waiting version, which is then in force, or send it back with a reason. The same decision again
    changes nothing.

    Raises:
        ForbiddenError: one's own version. ConflictError: it does not wait any more. InvalidError: sent back without
            a reason, or a word was put on the list of refused ones since.
    """
    content = get_content(content_id, lock=True)
    version = get_version(content_id, no)
    wanted = State.APPROVED if approve else State.REFUSED
    if version.state == wanted:
        return version
    if version.state != State.WAITING:
        raise ConflictError(_("This version does not wait for a decision any more"))
    own = by.user_id is not None and by.user_id == version.made_by_user_id
    if own or by.name == version.made_by:
        raise ForbiddenError(_("A second person has to decide on what you have written"), code="own_content")
    note = note.strip()
    if not approve and not note:
        raise InvalidError(_("Say what should be changed"), fields={"note": _("Say what should be changed")})
    if len(note) > 200:
        raise InvalidError(_("At most %(n)d characters") % {"n": 200}, fields={"note": _("Too long")})
    if approve:
        sensitive.check(brand, "\n".join([version.text, *pages.words_of(version.page)]), version.attachments)
        content.current_id, content.changed_at = version.pk, clock.now()
        content.save(update_fields=["current_id", "changed_at"])
    version.state, version.decided_by, version.decided_at = wanted, by.name, clock.now()
    version.decision_note = note
    version.save(update_fields=["state", "decided_by", "decided_at", "decision_note"])
    verb = "content.approve" if approve else "content.send_back"
    audit.record(by, verb, content, after={"version": no, "note": note})
    return version


def take_again(brand: Brand, *, content_id: int, no: int, by: Actor) -> Saved:
    """An old version once more, as the newest one; it is approved like any other.

    Raises:
        ConflictError: it is the newest one already, or the item is in the archive. InvalidError: it could not be
            written today (a file is gone, a word is refused).
    """
    with transaction.atomic():
        content = get_content(content_id, lock=True)
        old = get_version(content_id, no)
        if no == content.n_versions:
            raise ConflictError(_("This is the newest version already"))
        given = replace(editing.as_input(content, old), note=_("Version %(n)d again") % {"n": no})
        saved = editing.edit_content(brand, content_id=content_id, given=given, by=by)
        if saved.version is None:
            raise ConflictError(_("The newest version has the same words already"))
        return saved


@transaction.atomic
def set_needs_approval(brand: Brand, *, needs: bool, by: Actor) -> None:
    """Whether a second person must approve what is written from now on; what is approved stays approved."""
    row, _made = ContentPolicy.objects.get_or_create()
    if row.needs_approval != needs:
        row.needs_approval = needs
        row.save(update_fields=["needs_approval"])
        audit.record(
            by, "content.rule", after={"needs_approval": needs}, before={"needs_approval": not needs}
        )


# ---- compare


@dataclass(frozen=True)
class Piece:
    """A stretch of two texts: same, gone, new."""

    kind: str
    text: str


def differences(old: str, new: str) -> list[Piece]:
    """Two texts as one, character by character (Chinese has no spaces), in the order of reading."""
    pieces: list[Piece] = []
    for op, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if op == "equal":
            pieces.append(Piece("same", old[a:b]))
            continue
        if b > a:
            pieces.append(Piece("gone", old[a:b]))
        if d > c:
            pieces.append(Piece("new", new[c:d]))
    return pieces


def compare(old: ContentVersion, new: ContentVersion) -> dict[str, Any]:
    """What differs: `text` in pieces, `gone` and `added` attachments (of pages: in the text)."""
    words = [_words(version) for version in (old, new)]
    return {
        "text": differences(*words),
        "gone": [a for a in old.attachments if a not in new.attachments],
        "added": [a for a in new.attachments if a not in old.attachments],
        "same": words[0] == words[1] and old.attachments == new.attachments,
    }


def _words(version: ContentVersion) -> str:
    if version.content.kind != Content.Kind.PAGE:
        return version.text
    lines = pages.words_of(version.page)
    lines += [f"→ {url}" for url in pages.urls_in(version.page)]
    lines += [f"▣ {file_id}" for file_id in sorted(pages.file_ids(version.page))]
    return "\n".join(lines)
