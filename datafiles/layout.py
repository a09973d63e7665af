"""How a file of rows is laid out: its characters, what separates its cells, where its headings are. Pure.

Found from the first bytes; a person may correct what was found.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.utils.translation import gettext as _

from scrm.errors import InvalidError

HEAD = 256 * 1024  # bytes that are looked at
SPACES = "spaces"  # columns of fixed width: any number of blanks between two cells
SEPARATORS = {",": ",", ";": ";", "\t": "\t", "|": "|", SPACES: SPACES}
ENCODINGS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be", "big5")
MAX_COLUMNS = 200
MAX_TITLES = 10  # lines above the headings that are looked at
_NO_TEXT = re.compile(
    r"[\x00-\x08\x0e-\x1f]"
)  # a picture or program has many; text, whatever its characters, hardly any
_NUMBER = re.compile(r"[-+￥¥]?[\d,]*\.?\d+(%|元)?|\d{4}[-/.年]\d{1,2}([-/.月]\d{1,2}.*)?")


@dataclass(frozen=True)
class Layout:
    """
    Attributes:
        form: csv or xlsx.
        skip: bytes of the mark in front (BOM).
        titles: records before the headings.
        has_headings: whether the first record after the titles names the columns.
        n_columns: cells of a record; a record with another number is refused.
    """

    form: str = "csv"
    encoding: str = "utf-8"
    skip: int = 0
    separator: str = ","
    titles: int = 0
    has_headings: bool = True
    n_columns: int = 1

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def first_row(self) -> int:
        """Number of the first record with values, as a spreadsheet counts: from 1."""
        return self.titles + (2 if self.has_headings else 1)


def of_json(values: dict[str, Any]) -> Layout:
    return Layout(**values)


def detect(head: bytes, *, is_whole: bool, later: bytes = b"") -> tuple[Layout, list[list[str]]]:
    """The layout of a file of text that begins with `head`, and its first records.

    Args:
        later: from the first line on that has more than ASCII, where the head says nothing about the characters.

    Raises:
        InvalidError: nothing in it, or no text.
    """
    if not head.strip(b"\x00\r\n\t \xef\xbb\xbf\xff\xfe"):
        raise InvalidError(_("The file is empty"))
    encoding, skip = _encoding(later, False) if later else _encoding(head, is_whole)
    text = _decoded(head[skip:], encoding, is_whole)
    if len(_NO_TEXT.findall(text)) > len(text) // 100:
        raise InvalidError(_("This file is not a spreadsheet, or it is damaged"))
    layout = Layout(encoding=encoding, skip=skip, separator=_separator(text))
    return find_headings(layout, records(text, layout.separator))


def read_head(head: bytes, layout: Layout, *, is_whole: bool) -> list[list[str]]:
    """The first records as a given layout reads them."""
    return records(_decoded(head[layout.skip :], layout.encoding, is_whole), layout.separator)


def find_headings(layout: Layout, rows: Sequence[Sequence[str]]) -> tuple[Layout, list[list[str]]]:
    """The same layout with titles, headings and number of columns as the first records show them."""
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    if not filled:
        raise InvalidError(_("The file is empty"))
    sizes = Counter(len(row) for row in filled)
    n_columns = max(sizes, key=lambda size: (sizes[size], size))
    if n_columns > MAX_COLUMNS:
        raise InvalidError(_("The file has more than %(n)d columns") % {"n": MAX_COLUMNS})
    titles = 0
    for row in rows[:MAX_TITLES]:
        # a title stands alone in its line, or beside empty cells
        if len(row) == n_columns and sum(bool(cell.strip()) for cell in row) > n_columns // 2:
            break
        titles += 1
    if titles == min(len(rows), MAX_TITLES):
        titles = 0
    first = rows[titles]
    has_headings = not any(_NUMBER.fullmatch(cell.strip()) for cell in first if cell.strip())
    found = replace(layout, titles=titles, has_headings=has_headings, n_columns=n_columns)
    return found, [list(row) for row in rows]


def headings(layout: Layout, rows: Sequence[Sequence[str]]) -> list[str]:
    """Names of the columns: the headings, made different from each other; numbers where there are none."""
    first = list(rows[layout.titles]) if layout.has_headings and layout.titles < len(rows) else []
    names: list[str] = []
    for n in range(layout.n_columns):
        name = " ".join(first[n].replace("\x00", "").split())[:60] if n < len(first) else ""
        name = name or _("Column %(n)d") % {"n": n + 1}
        same = (name, *(f"{name} ({k})" for k in range(2, len(names) + 3)))
        names.append(next(other for other in same if other not in names))
    return names


def records(text: str, separator: str) -> list[list[str]]:
    """Records of a piece of text, as people see them; broken ones as well as can be."""
    if separator == SPACES:
        return [line.split() for line in text.splitlines()]
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "�").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    try:
        return list(csv.reader((line + "\n" for line in lines), delimiter=separator))
    except csv.Error:
        return [line.split(separator) for line in lines]


def _encoding(head: bytes, is_whole: bool) -> tuple[str, int]:
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ):
        if head.startswith(mark):
            return encoding, len(mark)
    # ASCII in UTF-16 has a zero in every other byte, and so have the ends of lines where all else is Chinese
    for first, encoding, line_end in ((1, "utf-16-le", b"\n\x00"), (0, "utf-16-be", b"\x00\n")):
        half, other = head[first::2].count(0), head[1 - first :: 2].count(0)
        n = len(head) // 2
        if half > 0.3 * n and other < 0.05 * n:
            return encoding, 0
        if half > 1 and other * 20 <= half and line_end in head:
            return encoding, 0
    for encoding in ("utf-8", "gb18030"):
        try:
            _strict(head, encoding, is_whole)
            return encoding, 0
        except UnicodeDecodeError:
            continue
    # a few damaged characters: what reads most of it is meant
    broken = {name: head.decode(name, "replace").count("�") for name in ("utf-8", "gb18030", "big5")}
    return min(broken, key=broken.__getitem__), 0


def _strict(head: bytes, encoding: str, is_whole: bool) -> str:
    """Decode; a character that is cut at the end is no mistake."""
    try:
        return head.decode(encoding)
    except UnicodeDecodeError as error:
        if not is_whole and error.start >= len(head) - 4:
            return head[: error.start].decode(encoding)
        raise


def _decoded(data: bytes, encoding: str, is_whole: bool) -> str:
    text = data.decode(encoding, "replace")
    if not is_whole and (cut := max(text.rfind("\n"), text.rfind("\r"))) > 0:
        text = text[: cut + 1]  # the last line may be cut
    return text


def _separator(text: str) -> str:
    """What splits most lines into the same number of cells, more than one."""
    sample = "\n".join(text.splitlines()[:200])
    best, best_score = ",", (0.0, 0)
    for separator in SEPARATORS:
        sizes = Counter(len(row) for row in records(sample, separator) if row)
        if not sizes:
            continue
        size, n = max(sizes.items(), key=lambda item: (item[1] if item[0] > 1 else 0, item[0]))
        if size < 2:
            continue
        share = n / sizes.total()
        if separator == SPACES:
            share *= 0.6  # only where nothing else does it: names and dates with a time hold blanks
        score = (round(share, 1), size)
        if score > best_score:
            best, best_score = separator, score
    return best
