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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from datafiles.layout import SPACES, Layout

BLOCK = 4 * 1024 * 1024
MAX_LINE = 1024 * 1024  # a longer one is no row of values
MAX_SPAN = 200  # lines of one record; a quote that is open for longer was a slip
EVERY = 10_000  # records between two entries of the index
BROKEN = "�"  # stands for bytes that are no character of the encoding


@dataclass
class Prepared:
    """The regular file.

    Attributes:
        path: the file itself when it was regular already.
        index: (records before, byte) pairs, every EVERY records.
        n_records: with titles and headings.
        n_bad: what was taken out; its lines are in `bad_file` as JSON: number of the record from 1, reason, text.
    """

    path: Path
    separator: str = ","
    index: list[tuple[int, int]] = field(default_factory=list)
    n_records: int = 0
    n_bad: int = 0


def bad_file(target: Path) -> Path:
    """Where the lines that were taken out are kept."""
    return target.with_name("bad.jsonl")


def prepare(
    source: Path, layout: Layout, target: Path, *, moved: Callable[[int], None] = lambda n: None
) -> Prepared:
    """Read the whole file once.

    Args:
        target: where the regular copy goes, if one is needed.
        moved: told the number of bytes read, after every block.
    """
    separator = "," if layout.separator == SPACES else layout.separator
    with source.open("rb") as file:
        file.seek(layout.skip)
        writer = _Writer(source, target, layout, separator)
        try:
            for block in _blocks(file, layout.encoding):
                writer.take(block)
                moved(file.tell())
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
            cut = _cut(data)
            rest, data = data[cut:], data[:cut]
            if data:
                yield data
            if len(rest) > 16 * MAX_LINE:  # no line at all: cut it, it is refused by its length
                yield rest + b"\n"
                rest = b""
        if rest:
            yield rest
        return
    text = io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="")
    try:
        rest_text = ""
        while piece := text.read(BLOCK // 2):
            piece = rest_text + piece
            cut = max(piece.rfind("\n"), _lone_cr(piece)) + 1
            rest_text, piece = piece[cut:], piece[:cut]
            if piece:
                yield piece.encode()
            if len(rest_text) > 16 * MAX_LINE:
                yield (rest_text + "\n").encode()
                rest_text = ""
        if rest_text:
            yield rest_text.encode()
    finally:
        text.detach()


def _cut(data: bytes) -> int:
    """Behind the last line end; a carriage return at the very end may be half of one."""
    cut = data.rfind(b"\n") + 1
    return cut or data.rfind(b"\r", 0, len(data) - 1) + 1


def _lone_cr(text: str) -> int:
    return -1 if "\n" in text else text.rfind("\r", 0, len(text) - 1)


class _Writer:
    """Takes blocks, checks them, copies from the first irregular one on."""

    def __init__(self, source: Path, target: Path, layout: Layout, separator: str) -> None:
        self.source, self.target, self.layout = source, target, layout
        self.done = Prepared(source, separator)
        self.byte = layout.skip
        self.out: IO[bytes] | None = None
        self.bad: IO[str] | None = None
        self.eol: bytes | None = None
        self.pending = b""
        if layout.encoding != "utf-8" or layout.separator == SPACES:
            self._copy()

    def _copy(self) -> None:
        """From here on a copy is written; what was read so far was regular and is copied as it is."""
        if self.out is not None:
            return
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.out = self.target.open("wb")
        if self.done.n_records:
            with self.source.open("rb") as file:
                file.seek(self.layout.skip)
                left = self.byte - self.layout.skip
                while left and (data := file.read(min(left, BLOCK))):
                    self.out.write(data)
                    left -= len(data)
        self.byte -= self.layout.skip
        self.done.index = [(n, at - self.layout.skip) for n, at in self.done.index]
        self.done.path = self.target

    def take(self, block: bytes) -> None:
        block = self.pending + block
        self.pending = b""
        if self.layout.separator != SPACES and (lines := self._regular(block)) is not None:
            self._add(block, lines)
        else:
            self._copy()
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

    def _regular(self, block: bytes) -> np.ndarray | None:
        """Ends of the lines, if each line is a record with the right number of cells; otherwise None."""
        if b'"' in block or b"\x00" in block or b"\\." in block:
            return None
        eol = b"\r\n" if b"\r" in block else b"\n"
        if self.eol not in (None, eol):
            return None
        data = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(data == 10)
        if not len(ends) or ends[-1] != len(block) - 1:
            return None
        n_cr = block.count(b"\r") if eol == b"\r\n" else 0
        if n_cr and (n_cr != len(ends) or block.count(b"\r\n") != n_cr):
            return None
        marks = np.flatnonzero(data == ord(self.done.separator))
        cells = np.diff(np.searchsorted(marks, ends), prepend=0) + 1
        if (cells != self.layout.n_columns).any() or np.diff(ends, prepend=-1).max() > MAX_LINE:
            return None
        try:
            block.decode()
        except UnicodeDecodeError:
            return None
        self.eol = eol
        return ends

    def _add(self, data: bytes, ends: np.ndarray) -> None:
        """Note records (their ends within `data`) and write them, if a copy is written."""
        n, before = len(ends), self.done.n_records
        for record in range(-(-before // EVERY) * EVERY, before + n, EVERY):
            at = record - before
            self.done.index.append((record, self.byte + (int(ends[at - 1]) + 1 if at else 0)))
        self.done.n_records += n
        self.byte += len(data)
        if self.out is not None:
            self.out.write(data)

    # ---- the slow way

    def _slow(self, block: bytes, *, is_last: bool) -> None:
        text = block.decode("utf-8", "replace").replace("\x00", BROKEN)
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if lines[-1] == "":
            lines.pop()
        out, chunks, size, n = io.StringIO(), [], 0, 0
        # a single cell may be empty, and COPY takes a line of \\. for its end: then everything is quoted
        quoting = csv.QUOTE_ALL if self.layout.n_columns == 1 or "\\." in text else csv.QUOTE_MINIMAL
        eol = (self.eol or b"\n").decode()
        writer = csv.writer(out, delimiter=self.done.separator, lineterminator=eol, quoting=quoting)
        for cells in self._records(lines, is_last):
            if (self.done.n_records + n) % EVERY == 0:
                chunks.append(out.getvalue().encode())
                size += len(chunks[-1])
                out.seek(0)
                out.truncate()
                self.done.index.append((self.done.n_records + n, self.byte + size))
            writer.writerow(cells)
            n += 1
        chunks.append(out.getvalue().encode())
        self.done.n_records += n
        for data in chunks:
            self.byte += len(data)
            assert self.out is not None
            self.out.write(data)

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
        try:
            rows = list(
                csv.reader([line + "\n" for line in lines], delimiter=self.done.separator, strict=True)
            )
        except csv.Error:
            return None
        right = len(rows) == len(lines) and all(len(row) == self.layout.n_columns for row in rows)
        return rows if right else None

    def _record(self, lines: list[str], at: int, is_last: bool) -> tuple[list[str], int, str]:
        """The record that begins at a line: its cells, how many lines it has (0: not all of it is here yet), and
        why it cannot be right."""
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
            if not is_last and len(given) < MAX_SPAN and _is_open(line) and not self._any_whole(given[1:]):
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


def _is_open(line: str) -> bool:
    return line.count('"') % 2 == 1
