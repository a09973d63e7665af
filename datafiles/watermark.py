"""Whose copy a file is: in words at its end and in its properties, and in every row as a cell that looks empty. Pure.

The mark of a row is the number of the export in characters without width, so that a part of a file that turns up
somewhere still says where it came from.
"""

ZERO, ONE, EDGE = "\u200b", "\u200c", "\u2060"


def mark(export_id: int) -> str:
    """The invisible mark of an export."""
    return EDGE + "".join(ONE if bit == "1" else ZERO for bit in f"{export_id:b}") + EDGE


def read(text: str) -> int | None:
    """The number in the first mark of a text; None without one."""
    start = text.find(EDGE)
    stop = text.find(EDGE, start + 1)
    bits = text[start + 1 : stop] if -1 < start < stop else ""
    if not bits or set(bits) - {ZERO, ONE} or len(bits) > 63:
        return None
    return int("".join("1" if c == ONE else "0" for c in bits), 2)
