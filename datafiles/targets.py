"""What a column of a file may become: names, types and the words by which headings are recognised. Pure."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Target:
    """One thing that a column can be read as.

    Attributes:
        key: its name in mappings, the API and the temporary tables (letters, digits, _).
        type: key of values.TYPES.
        words: headings, lower case, without blanks and brackets.
        group: targets of one group are shown together.
        max: longest text, in characters.
        choices: word → value, lower case, for types that have a list of words.
        is_required: a file without it cannot be imported.
    """

    key: str
    label: Any
    type: str
    words: tuple[str, ...] = ()
    group: Any = ""
    max: int = 200
    choices: dict[str, Any] = field(default_factory=dict)
    is_required: bool = False
    hint: Any = ""


@dataclass(frozen=True)
class Column:
    """A target with the column of the file that it is read from.

    Attributes:
        number: of the column, from 0.
        options: unit of money (yuan, fen), order of days (ymd, dmy, mdy) …
    """

    target: Target
    number: int
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def raw(self) -> str:
        """The column of the temporary table that holds its texts."""
        return f"c{self.number + 1}"


WORDS_YES = ("是", "1", "true", "yes", "y", "t", "√", "对", "有", "开", "启用", "在售", "上架")
WORDS_NO = ("否", "0", "false", "no", "n", "f", "×", "x", "错", "无", "关", "停用", "下架", "停售")
GENDERS = {
    "男": 1, "m": 1, "male": 1, "1": 1, "先生": 1, "男性": 1, "man": 1,
    "女": 2, "f": 2, "female": 2, "2": 2, "女士": 2, "女性": 2, "小姐": 2, "woman": 2,
    "未知": 0, "0": 0, "保密": 0, "unknown": 0, "不详": 0,
}  # fmt: skip
