"""What a person decides about one of WeCom's rules against words, within WeCom's limits."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from content.models import InterceptRule, SensitiveWord
from org.models import Corp, Department, Staff
from scrm.errors import InvalidError

MAX_NAME, MAX_WORDS, MAX_WORD, MAX_RANGE = 20, 300, 32, 1000  # WeCom's
FIELDS = ["name", "words", "semantics", "act", "userids", "department_ids"]


@dataclass(frozen=True)
class RuleInput:
    """What a person decides; the range in WeCom's ids."""

    name: str
    words: Sequence[str]
    act: int = InterceptRule.Act.STOP
    semantics: Sequence[int] = ()
    userids: Sequence[str] = ()
    department_ids: Sequence[int] = ()


def split_words(text: str) -> list[str]:
    """Words typed one a line or with commas, each once."""
    lines = text.replace("\x00", "").replace("，", "\n").replace("、", "\n").replace(",", "\n").splitlines()
    return list(dict.fromkeys(word for line in lines if (word := line.strip())))


def own_words() -> list[str]:
    """Forbidden words of the brand's own list that a rule can hold, the newest first."""
    rows = SensitiveWord.objects.filter(level=SensitiveWord.Level.REFUSE).order_by("-pk")
    return [word for word in rows.values_list("word", flat=True)[:MAX_WORDS] if len(word) <= MAX_WORD]


def fill(row: InterceptRule, given: RuleInput) -> None:
    """The rule as it is given, not saved."""
    row.name, row.words, row.act = given.name, list(given.words), given.act
    row.semantics = sorted(set(given.semantics))
    row.userids, row.department_ids = sorted(set(given.userids)), sorted(set(given.department_ids))


def check(given: RuleInput, corp: Corp, row: InterceptRule | None = None) -> None:
    """WeCom's limits, each at its field. Raises InvalidError."""
    problems: dict[str, str] = {}
    if not given.name:
        problems["name"] = _("Give the rule a name")
    elif len(given.name) > MAX_NAME:
        problems["name"] = _("At most %(n)d characters") % {"n": MAX_NAME}
    elif InterceptRule.objects.filter(corp=corp, name=given.name).exclude(pk=row.pk if row else 0).exists():
        problems["name"] = _("There is a rule of this name already")
    long = [word for word in given.words if len(word) > MAX_WORD]
    if not given.words:
        problems["words"] = _("Write at least one word")
    elif len(given.words) > MAX_WORDS:
        problems["words"] = _("A rule holds at most %(n)d words; these are %(m)d") % {
            "n": MAX_WORDS, "m": len(given.words),
        }  # fmt: skip
    elif long:
        problems["words"] = _("Longer than %(n)d characters: %(words)s") % {
            "n": MAX_WORD, "words": _(", ").join(word[:40] for word in long[:3]),
        }  # fmt: skip
    if given.act not in InterceptRule.Act.values:
        problems["act"] = _("Choose one of the list")
    if not set(given.semantics) <= set(InterceptRule.Semantic.values):
        problems["semantics"] = _("Choose one of the list")
    if not given.userids and not given.department_ids:
        problems["range"] = _("Choose departments or members for whom it holds")
    elif len(given.userids) > MAX_RANGE or len(given.department_ids) > MAX_RANGE:
        problems["range"] = _("At most %(n)d members and %(n)d departments: choose departments instead") % {
            "n": MAX_RANGE
        }
    if problems:
        raise InvalidError(next(iter(problems.values())), fields=problems)


def known_range(corp: Corp) -> tuple[set[str], set[int]]:
    """Members and departments that a person can choose here."""
    return (
        set(Staff.objects.filter(corp=corp).values_list("userid", flat=True)),
        set(Department.objects.filter(corp=corp).values_list("wecom_id", flat=True)),
    )
