"""Write content: every change of the words makes a new version; name, folder and expiry belong to the item."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from content import pages, variables
from content.models import Content, ContentPolicy, ContentVersion, Folder
from content.services import sensitive
from org import audit
from org.access import SYSTEM, Actor
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand
from wecom.services import attachments as stored_attachments

Kind, Form, State = Content.Kind, Content.Form, ContentVersion.State
MAX_NAME = 60


@dataclass(frozen=True)
class ContentInput:
    """An item as it is written; `page` only of a page, text and attachments of the others."""

    name: str
    kind: str = Kind.MESSAGE
    text: str = ""
    attachments: list[dict[str, Any]] = field(default_factory=list)
    page: dict[str, Any] = field(default_factory=dict)
    folder_id: int | None = None
    expires_at: datetime | None = None
    note: str = ""  # what was changed
    occasion: str = ""  # of a script: when the sidebar suggests it


@dataclass(frozen=True)
class Saved:
    content: Content
    version: ContentVersion | None  # None: the words are as they were
    warnings: list[str]

    @property
    def waits(self) -> bool:
        return self.version is not None and self.version.state == State.WAITING


def get_content(content_id: int, *, lock: bool = False) -> Content:
    """
    Raises:
        NotFoundError: missing, or another brand's.
    """
    rows = Content.objects.select_for_update(of=("self",)) if lock else Content.objects.all()
    content = rows.select_related("folder").filter(pk=content_id).first()
    if content is None:
        raise NotFoundError()
    return content


def needs_approval(brand: Brand) -> bool:
    """Whether a second person must approve what is written."""
    return ContentPolicy.objects.filter(needs_approval=True).exists()


@transaction.atomic
def create_content(brand: Brand, *, given: ContentInput, by: Actor = SYSTEM) -> Saved:
    """A new item with its first version.

    Raises:
        InvalidError: `fields` says what is wrong. NotFoundError: a folder or file of another brand.
    """
    clean, warnings = _checked(brand, given)
    content = Content(
        kind=clean.kind,
        name=clean.name,
        folder_id=clean.folder_id,
        expires_at=clean.expires_at,
        occasion=clean.occasion,
        created_by=by.name,
        form=_form(clean),
    )
    content.save()
    version = _add_version(brand, content, clean, by)
    audit.record(by, "content.create", content, after=_as_audit(content, clean))
    return Saved(content, version, warnings)


@transaction.atomic
def edit_content(brand: Brand, *, content_id: int, given: ContentInput, by: Actor = SYSTEM) -> Saved:
    """Change an item; other words make a new version, which takes over once it is approved.

    Raises:
        InvalidError, NotFoundError: as `create_content`. ConflictError: it is in the archive.
    """
    content = get_content(content_id, lock=True)
    if content.archived_at is not None:
        raise ConflictError(_("This is in the archive. Restore it first."))
    old = latest(content)
    clean, warnings = _checked(brand, given, content)
    before = _as_audit(content, _as_input(content, old))
    content.name, content.folder_id, content.expires_at = clean.name, clean.folder_id, clean.expires_at
    content.occasion = clean.occasion
    content.changed_at = clock.now()
    same = old is not None and (old.text, old.attachments, old.page) == (
        clean.text, clean.attachments, clean.page
    )  # fmt: skip
    again = old is not None and old.state == State.REFUSED
    version = None if same and not again else _add_version(brand, content, clean, by)
    content.form = _form(clean)
    content.search = _search(clean)
    content.save(
        update_fields=[
            "name",
            "folder",
            "expires_at",
            "occasion",
            "changed_at",
            "form",
            "search",
            "current_id",
            "n_versions",
        ]
    )
    audit.record(by, "content.edit", content, before=before, after=_as_audit(content, clean))
    return Saved(content, version, warnings)


def latest(content: Content) -> ContentVersion | None:
    """The newest version, approved or not."""
    return ContentVersion.objects.filter(content=content).order_by("-no").first()


def as_input(content: Content, version: ContentVersion | None = None) -> ContentInput:
    """What the editor shows: the newest version, or another one."""
    return _as_input(content, version or latest(content))


def _as_input(content: Content, version: ContentVersion | None) -> ContentInput:
    return ContentInput(
        name=content.name,
        kind=content.kind,
        text=version.text if version else "",
        attachments=list(version.attachments) if version else [],
        page=dict(version.page) if version else {},
        folder_id=content.folder_id,
        expires_at=content.expires_at,
        occasion=content.occasion,
    )


def _add_version(brand: Brand, content: Content, clean: ContentInput, by: Actor) -> ContentVersion:
    waits = needs_approval(brand)
    ContentVersion.objects.filter(content=content, state=State.WAITING).update(state=State.REPLACED)
    content.n_versions += 1
    version = ContentVersion.objects.create(
        content=content,
        no=content.n_versions,
        text=clean.text,
        attachments=clean.attachments,
        page=clean.page,
        is_personal=bool(variables.of_customer(clean.text)),
        state=State.WAITING if waits else State.APPROVED,
        made_by=by.name,
        made_by_user_id=by.user_id,
        note=clean.note,
    )
    if not waits:
        content.current_id = version.pk
    content.form, content.search = _form(clean), _search(clean)
    content.save(update_fields=["current_id", "n_versions", "form", "search"])
    return version


def _checked(
    brand: Brand, given: ContentInput, content: Content | None = None
) -> tuple[ContentInput, list[str]]:
    wrong: dict[str, str] = {}
    kind = content.kind if content else given.kind
    if kind not in Kind.values:
        raise InvalidError(_("Choose one of the list"), fields={"kind": _("Choose one of the list")})
    name = " ".join(given.name.split())
    if not 1 <= len(name) <= MAX_NAME:
        wrong["name"] = _("1 to %(n)d characters") % {"n": MAX_NAME}
    if given.folder_id is not None and not Folder.objects.filter(pk=given.folder_id).exists():
        raise NotFoundError()
    if (
        given.expires_at is not None
        and given.expires_at <= clock.now()
        and (content is None or content.expires_at != given.expires_at)
    ):
        wrong["expires_at"] = _("This time has passed already")
    if given.occasion and given.occasion not in Content.Occasion.values:
        wrong["occasion"] = _("Choose one of the list")
    elif given.occasion and kind != Kind.SCRIPT:
        wrong["occasion"] = _("Only scripts are suggested to guides")
    if len(given.note) > 200:
        wrong["note"] = _("At most %(n)d characters") % {"n": 200}
    places: dict[str, str] = {}
    text, attachments, page, warnings = "", [], {}, []
    try:
        if kind == Kind.PAGE:
            page = pages.check(given.page)
            pages.check_files(page)
            warnings = sensitive.check(brand, "\n".join(pages.words_of(page)))
        else:
            text = given.text.replace("\r\n", "\n").strip()
            variables.check(text)
            attachments = stored_attachments.validate(given.attachments)
            if not text and not attachments:
                raise InvalidError(_("Write a text or attach something"))
            warnings = sensitive.check(brand, text, attachments)
    except InvalidError as error:
        wrong["page" if kind == Kind.PAGE else "text"] = str(error.message)
        places = error.details.get("places", {})
    if wrong:
        raise InvalidError(next(iter(wrong.values())), fields=wrong, places=places)
    clean = ContentInput(
        name,
        kind,
        text,
        attachments,
        page,
        given.folder_id,
        given.expires_at,
        given.note.strip(),
        given.occasion,
    )
    return clean, warnings


def _form(clean: ContentInput) -> str:
    if clean.kind == Kind.PAGE:
        return Form.PAGE
    parts = ([Form.TEXT] if clean.text else []) + [a["type"] for a in clean.attachments]
    return parts[0] if len(parts) == 1 else Form.COMBINED


def _search(clean: ContentInput) -> str:
    words = [clean.name, clean.text, *sensitive.words_of(clean.attachments), *pages.words_of(clean.page)]
    return "\n".join(words).lower()[:20_000]


def _as_audit(content: Content, given: ContentInput) -> dict[str, Any]:
    return {
        "name": given.name,
        "folder": str(Folder.objects.filter(pk=given.folder_id).first() or "") if given.folder_id else "",
        "expires_at": given.expires_at.isoformat() if given.expires_at else "",
        "occasion": given.occasion,
        "text": given.text[:200],
        "attachments": [a["type"] for a in given.attachments],
        "version": content.n_versions,
    }


# ---- archive


@transaction.atomic
def archive(brand: Brand, *, content_id: int, by: Actor) -> Content:
    """Out of the library and of every picker; what names it already says so. Safe to repeat."""
    content = get_content(content_id, lock=True)
    if content.archived_at is None:
        content.archived_at = clock.now()
        content.save(update_fields=["archived_at"])
        audit.record(by, "content.archive", content)
    return content


@transaction.atomic
def restore(brand: Brand, *, content_id: int, by: Actor) -> Content:
    content = get_content(content_id, lock=True)
    if content.archived_at is not None:
        content.archived_at, content.changed_at = None, clock.now()
        content.save(update_fields=["archived_at", "changed_at"])
        audit.record(by, "content.restore", content)
    return content
