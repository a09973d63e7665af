"""敏感词: the brand's list, and the check that everything written to customers passes.

problems = sensitive.check(brand, text, attachments)     raises for refused words, gives the warnings
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import StrIndex
from django.utils.translation import gettext as _

from content.models import SensitiveWord
from content.words import plain
from org import audit
from org.access import Actor
from scrm.errors import InvalidError, NotFoundError
from tenants.models import Brand
from tenants.scoping import current_brand_id

MAX_WORDS = 20_000
MAX_LENGTH = 40
Level = SensitiveWord.Level


@dataclass(frozen=True)
class Found:
    word: str
    level: str
    note: str


def find(brand: Brand, texts: Iterable[str]) -> list[Found]:
    """The brand's words that stand in any of the texts, refused ones first."""
    compared = plain("\n".join(text for text in texts if text)).replace("\x00", "")
    if not compared:
        return []
    rows = SensitiveWord.objects.exclude(plain="").annotate(at=StrIndex(Value(compared), "plain"))
    hits = rows.filter(at__gt=0).only("word", "plain", "level", "note")
    return sorted(
        (Found(w.word, w.level, w.note) for w in hits), key=lambda f: (f.level != Level.REFUSE, f.word)
    )


def check(brand: Brand, text: str, attachments: Sequence[dict[str, Any]] = ()) -> list[str]:
    """Refuse what holds a refused word; gives sentences about the words that are only warned of.

    Raises:
        InvalidError: code sensitive_words, `words` in its details.
    """
    found = find(brand, [text, *words_of(attachments)])
    if said := refusal(found):
        refused = [f.word for f in found if f.level == Level.REFUSE]
        raise InvalidError(said, code="sensitive_words", words=refused)
    return warnings(found)


def refused_now(brand: Brand, text: str, attachments: Sequence[dict[str, Any]] = ()) -> str:
    """The sentence about refused words in what was written earlier, asked again before it is sent; empty without one."""
    return refusal(find(brand, [text, *words_of(attachments)]))


def refusal(found: Sequence[Found]) -> str:
    """The sentence about the refused words; empty without one."""
    refused = [f for f in found if f.level == Level.REFUSE]
    if not refused:
        return ""
    words = _(", ").join(_with_note(f) for f in refused[:10])
    return _("This cannot be said to customers: %(words)s") % {"words": words}


def warnings(found: Sequence[Found]) -> list[str]:
    """A sentence about each word that is only warned of."""
    return [
        _("Be careful with these words: %(words)s") % {"words": _with_note(f)}
        for f in found
        if f.level != Level.REFUSE
    ]


def check_here(text: str, attachments: Sequence[dict[str, Any]] = ()) -> list[str]:
    """`check` for the brand in scope, where a form's checks do not carry it along."""
    return check(Brand(pk=current_brand_id()), text, attachments)


def words_of(attachments: Iterable[dict[str, Any]]) -> list[str]:
    """What customers read of attachments."""
    return [str(a.get(name) or "") for a in attachments for name in ("title", "desc")]


def _with_note(found: Found) -> str:
    return f"“{found.word}”（{found.note}）" if found.note else f"“{found.word}”"


# ---- the list


@transaction.atomic
def add_words(
    brand: Brand, *, words: Iterable[str], level: str, note: str = "", by: Actor
) -> tuple[int, list[str]]:
    """New words, or another level for those that are there; gives how many changed and what cannot be used.

    Raises:
        InvalidError: an unknown level, or more words than a list holds.
    """
    if level not in Level.values:
        raise InvalidError(_("Choose one of the list"))
    if len(note) > 100:
        raise InvalidError(_("At most %(n)d characters") % {"n": 100})
    rows: dict[str, SensitiveWord] = {}
    bad: list[str] = []
    for given in words:
        word = " ".join(given.split())
        if not word:
            continue
        key = plain(word)
        if not key or len(word) > MAX_LENGTH or len(key) > MAX_LENGTH:
            bad.append(word[:60])
            continue
        rows[key] = SensitiveWord(word=word, plain=key, level=level, note=note.strip(), created_by=by.name)
    if not rows:
        return 0, bad
    known = set(SensitiveWord.objects.values_list("plain", flat=True))
    if len(known | rows.keys()) > MAX_WORDS:
        raise InvalidError(_("A list holds at most %(n)d words") % {"n": MAX_WORDS})
    SensitiveWord.objects.bulk_create(
        rows.values(),
        batch_size=2_000,
        update_conflicts=True,
        unique_fields=["brand", "plain"],
        update_fields=["word", "level", "note"],
    )
    audit.record(
        by,
        "sensitive_word.add",
        after={"n": len(rows), "level": level, "words": [w.word for w in rows.values()][:50]},
    )
    return len(rows), bad


def read_file(data: bytes) -> list[str]:
    """Words of a text file, one a line, in UTF-8 or GB18030.

    Raises:
        InvalidError: too large, or not a text.
    """
    if len(data) > 2 * 1024 * 1024:
        raise InvalidError(_("The file is too large: at most %(n)d MB") % {"n": 2})
    if b"\x00" in data:
        raise InvalidError(_("This is not a text file"))
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding).splitlines()
        except UnicodeDecodeError:
            continue
    raise InvalidError(_("This is not a text file"))


@transaction.atomic
def remove_words(brand: Brand, *, word_ids: Sequence[int], by: Actor) -> int:
    """
    Raises:
        NotFoundError: none of them is there.
    """
    rows = list(SensitiveWord.objects.filter(pk__in=word_ids))
    if not rows:
        raise NotFoundError()
    audit.record(by, "sensitive_word.remove", before={"words": [w.word for w in rows][:50], "n": len(rows)})
    SensitiveWord.objects.filter(pk__in=[w.pk for w in rows]).delete()
    return len(rows)
