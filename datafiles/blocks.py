"""A file of text turned into regular CSV that COPY takes as it is: UTF-8, every record with the same number of
cells.

Postgres gives up a whole COPY for one bad record, so what cannot be right is taken out before: it leaves an
empty record in its place, so that numbers of rows stay those of the file. A block of lines without quotes is
looked at with numpy, as bytes; only where something is unusual Python's csv reads the lines of that block. A
file that is regular already is used where it lies.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np

from datafiles.layout import SPACES, Layout

BLOCK = 4 * 1024 * 1024
MAX_LINE = 1024 * 1024  # a longer one is no row of values
MAX_SPAN = 200  # lines of one record; a quote that is open for longer was a slip
BROKEN = "�"  # stands for bytes that are no character of the encoding
# of the whole process: any cell of a line that is not too long can be read
csv.field_size_limit(2 * MAX_LINE)


@dataclass
class Prepared:
    """The regular file.

    Attributes:
        path: the file itself when it was regular already.
        skip: bytes in front (BOM).
        n_records: with titles and headings.
        is_tidy: no cell has blanks around its text, or an apostrophe in front: nothing has to be cleaned.
        n_bad: what was taken out; its lines are in `bad_file` as JSON: number of the record from 1, reason, text.
    """

    path: Path
    separator: str = ","
    skip: int = 0
    n_records: int = 0
    n_bad: int = 0
    is_tidy: bool = True


def bad_file(target: Path) -> Path:
    """Where the lines that were taken out are kept."""
    return target.with_name("bad.jsonl")


def prepare(source: Path, layout: Layout, target: Path) -> Prepared:
    """Read the whole file once.

    Args:
        target: where the regular copy goes, if one is needed.
    """
    bad_file(target).unlink(missing_ok=True)
    with source.open("rb") as file:
        file.seek(layout.skip)
        writer = _Writer(source, target, layout)
        try:
            for block in _blocks(file, layout.encoding):
                writer.take(block)
            writer.end()
        finally:
            writer.close()
    return writer.done


def _blocks(file: IO[bytes], encoding: str) -> Iterator[bytes]:
    """Pieces that end with a line, in UTF-8; bytes that are no character become BROKEN."""
    if encoding == "utf-8":
        rest = b""
        while data := file.read(BLOCK):
            data = rest + data
            cut = data.rfind(b"\n") + 1 or data.rfind(b"\r", 0, len(data) - 1) + 1
            rest, data = data[cut:], data[:cut]
            if data:
                yield data
            if len(rest) > 4 * BLOCK:  # no line at all: cut, and refused by its length
                yield rest + b"\n"
                rest = b""
        if rest:
            yield rest
        return
    text = io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="")
    try:
        left = ""
        while piece := text.read(BLOCK // 2):
            piece = left + piece
            cut = piece.rfind("\n") + 1 or piece.rfind("\r", 0, len(piece) - 1) + 1
            left, piece = piece[cut:], piece[:cut]
            if piece:
                yield piece.encode()
            if len(left) > 4 * BLOCK:
                yield (left + "\n").encode()
                left = ""
        if left:
            yield left.encode()
    finally:
        text.detach()


def _is_tidy(block: bytes, text: str, separator: str) -> bool:
    """No blank beside the edge of a cell; apostrophes, tabs, full-width, non-breaking and zero-width blanks nowhere."""
    if any(mark in block for mark in _UNTIDY if mark != separator.encode()) or any(
        b in text for b in _BLANKS
    ):
        return False
    data = np.frombuffer(block, np.uint8)
    at = np.flatnonzero(data == 32)
    edges = np.zeros(256, bool)
    edges[[10, 13, ord(separator)]] = True
    before = edges[data[at - 1]] if len(at) else edges[:0]
    return not (before.any() or edges[data[np.minimum(at + 1, len(data) - 1)]].any())


_UNTIDY = (b'"', b"'", b"\t")
_BLANKS = (
    "\u3000\u00a0\u200b\u200c\u200d\u2060\ufeff"  # found in a text in a tenth of the time that bytes take
)


class _Writer:
    """Takes blocks, checks them, copies from the first irregular one on."""

    def __init__(self, source: Path, target: Path, layout: Layout) -> None:
        self.source, self.target, self.layout = source, target, layout
        self.done = Prepared(source, "," if layout.separator == SPACES else layout.separator, layout.skip)
        self.n_bytes = 0  # that were regular so far
        self.out: IO[bytes] | None = None
        self.bad: IO[str] | None = None
        self.eol: bytes | None = None
        self.pending = b""
        if layout.encoding != "utf-8" or layout.separator == SPACES:
            self._copy()

    def _copy(self) -> IO[bytes]:
        """From here on a copy is written; what was read so far was regular and is copied as it is."""
        if self.out is not None:
            return self.out
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.out = self.target.open("wb")
        with self.source.open("rb") as file:
            file.seek(self.layout.skip)
            left = self.n_bytes
            while left and (data := file.read(min(left, BLOCK))):
                self.out.write(data)
                left -= len(data)
        self.done.path, self.done.skip = self.target, 0
        return self.out

    def take(self, block: bytes) -> None:
        block, self.pending = self.pending + block, b""
        try:
            text = block.decode()
        except UnicodeDecodeError:
            text = ""
        self.done.is_tidy = self.done.is_tidy and bool(text) and _is_tidy(block, text, self.done.separator)
        if text and self.layout.separator != SPACES and (n := self._regular(block)):
            self.done.n_records += n
            self.n_bytes += len(block)
            if self.out is not None:
                self.out.write(block)
        else:
            self._slow(block, is_last=False)

    def end(self) -> None:
        if self.pending:
            block, self.pending = self.pending, b""
            self._slow(block, is_last=True)

    def close(self) -> None:
        for file in (self.out, self.bad):
            if file is not None:
                file.close()

    def _refuse(self, number: int, reason: str, text: str) -> None:
        if self.bad is None:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self.bad = bad_file(self.target).open("w", encoding="utf-8")
        self.bad.write(json.dumps([number, reason, text[:2000]], ensure_ascii=False) + "\n")
        self.done.n_bad += 1

    # ---- the quick way

    def _regular(self, block: bytes) -> int:
        """Number of lines of a block in UTF-8, if each is a record with the right number of cells; otherwise 0."""
        if b'"' in block or b"\x00" in block or self.layout.n_columns == 1:
            return 0
        if b"\\" in block and b"\\." in block:  # one byte is looked for in a tenth of the time
            return 0
        eol = b"\r\n" if b"\r" in block else b"\n"
        if self.eol not in (None, eol):
            return 0
        data = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(data == 10)
        if not len(ends) or ends[-1] != len(block) - 1:
            return 0
        if eol == b"\r\n" and not block.count(b"\r") == block.count(eol) == len(ends):
            return 0
        marks = np.flatnonzero(data == ord(self.done.separator))
        cells = np.diff(np.searchsorted(marks, ends), prepend=0) + 1
        if (cells != self.layout.n_columns).any() or np.diff(ends, prepend=-1).max() > MAX_LINE:
            return 0
        self.eol = eol
        return len(ends)

    # ---- the slow way

    def _slow(self, block: bytes, *, is_last: bool) -> None:
        text = block.decode("utf-8", "replace").replace("\x00", BROKEN)
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if lines[-1] == "":
            lines.pop()
        out, n = io.StringIO(), 0
        # a single cell may be empty, and COPY takes a line of \. for its end: then everything is quoted
        quoting: Literal[0, 1] = (
            csv.QUOTE_ALL if self.layout.n_columns == 1 or "\\." in text else csv.QUOTE_MINIMAL
        )
        # COPY takes the end of the first line for that of all: whatever comes later is written alike
        self.eol = self.eol or (b"\r\n" if block.split(b"\n", 1)[0].endswith(b"\r") else b"\n")
        eol = self.eol.decode()
        writer = csv.writer(out, delimiter=self.done.separator, lineterminator=eol, quoting=quoting)
        for cells in self._records(lines, is_last):
            writer.writerow(cells)
            n += 1
        self._copy().write(out.getvalue().encode())
        self.done.n_records += n

    def _records(self, lines: list[str], is_last: bool) -> Iterator[list[str]]:
        """Records of these lines with the right number of cells; what is cut off at the end waits."""
        if (whole := self._all_at_once(lines)) is not None:
            yield from whole
            return
        at, number, empty = 0, self.done.n_records, [""] * self.layout.n_columns
        while at < len(lines):
            cells, used, reason = self._record(lines, at, is_last)
            if not used:
                self.pending = ("\n".join(lines[at:]) + "\n").encode()
                return
            number += 1
            if reason:
                self._refuse(number, reason, lines[at])
            yield empty if reason else cells
            at += used

    def _all_at_once(self, lines: list[str]) -> list[list[str]] | None:
        """All records, if they are as they should be and none has more than one line."""
        if self.layout.separator == SPACES:
            return None
        if any(len(line) > MAX_LINE for line in lines):
            return None
        try:
            rows = list(
                csv.reader([line + "\n" for line in lines], delimiter=self.done.separator, strict=True)
            )
        except csv.Error:
            return None
        right = len(rows) == len(lines) and all(len(row) == self.layout.n_columns for row in rows)
        return rows if right else None

    def _record(self, lines: list[str], at: int, is_last: bool) -> tuple[list[str], int, str]:
        """The record that begins at a line: its cells, how many lines it has (0: not all of it is here yet),
        and why it cannot be right."""
        line, size = lines[at], self.layout.n_columns
        if len(line) > MAX_LINE:
            return [], 1, "long"
        if not line.strip():
            return [""] * size, 1, ""
        if self.layout.separator == SPACES:
            return self._sized(line.split(), 1)
        if '"' not in line:
            return self._sized(line.split(self.done.separator), 1)
        given = lines[at : at + MAX_SPAN]
        reader = csv.reader((text + "\n" for text in given), delimiter=self.done.separator, strict=True)
        try:
            cells = next(reader)
        except csv.Error:
            # either a slip in this line, or a quote that closes in the next block
            is_cut = not is_last and len(given) < MAX_SPAN and line.count('"') % 2 == 1
            if is_cut and not self._any_whole(given[1:]):
                return [], 0, ""
            return [], 1, "quotes"
        used = reader.line_num
        if used > 1 and (len(cells) != size or self._any_whole(given[1 : used - 1])):
            return [], 1, "quotes"  # a quote too many: the lines after it are records of their own
        return self._sized(cells, used)

    def _any_whole(self, lines: list[str]) -> bool:
        n = self.layout.n_columns
        return n > 1 and any(len(line.split(self.done.separator)) == n for line in lines)

    def _sized(self, cells: list[str], used: int) -> tuple[list[str], int, str]:
        size = self.layout.n_columns
        if len(cells) > size and not any(cell.strip() for cell in cells[size:]):
            cells = cells[:size]
        return cells, used, "" if len(cells) == size else "cells"
