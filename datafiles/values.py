# ruff: noqa: S608  the names are our own, texts go through `quote`
"""Texts of cells as values, in SQL: a million rows are read by Postgres, never by Python row by row.

Each type gives an expression over a text without blanks around it (or NULL) whose value is NULL where the text
cannot be read. `SET LOCAL timezone` says in which zone a moment without one is meant.
"""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from datafiles.targets import WORDS_NO, WORDS_YES, Column
from scrm import clock

# blanks that people and programs leave around a value: full-width, non-breaking, zero-width, the mark of a file
BLANKS = " \t\r\n\u00a0\u3000\u200b\u200c\u200d\u2060\ufeff"
WIDE = "０１２３４５６７８９．－＋（）：／"
NARROW = "0123456789.-+():/"


def quote(text: str) -> str:
    """A text as a literal of SQL, for words of our own tables; `%` is doubled for the driver."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''").replace("%", "%%") + "'"


def cleaned(column: Column, *, is_tidy: bool = False) -> str:
    """The text of a cell without blanks; an apostrophe that keeps a formula from running is no part of it.

    Args:
        is_tidy: neither is anywhere in the file.
    """
    if is_tidy:
        return f"s.{column.raw}"
    text = f"btrim(s.{column.raw}, {quote(BLANKS)})"
    if column.target.type in ("text", "id", "words"):
        text = f"CASE WHEN s.{column.raw} LIKE '''%%' THEN substr({text}, 2) ELSE {text} END"
    return f"nullif({text}, '')"


def narrow(x: str) -> str:
    return f"translate({x}, '{WIDE}', '{NARROW}')"


def text(x: str, column: Column) -> str:
    return f"CASE WHEN length({x}) <= {column.target.max} AND strpos({x}, '�') = 0 THEN {x} END"


def identifier(x: str, column: Column) -> str:
    """Numbers of members, orders, goods. What Excel has turned into 1.38E+10 has lost its digits."""
    return (
        f"CASE WHEN length({x}) <= {column.target.max} AND strpos({x}, '�') = 0"
        f" AND NOT ({x} LIKE '%%E+%%' AND {x} ~ '^\\d([.]\\d+)?E[+]\\d+$') THEN {x} END"
    )


def phone(x: str, column: Column) -> str:
    """Digits, without China's +86; as contacts/identities.py writes it."""
    # as most are written: eleven digits. Read as a number, which takes a tenth of the time of looking at each; of eleven
    # characters that say more than 9,999,999,999 and begin with a digit none but 0x… is anything else
    usual = f"{x} >= '13' AND {x} < '2' AND length({x}) = 11 AND pg_input_is_valid({x}, 'int8') AND {x}::int8 > 9999999999"
    return (
        f"CASE WHEN {usual} THEN {x}"
        f" WHEN {x} ~ '^[-+() .0-9０-９－（）＋]{{6,30}}$' THEN"
        f" (SELECT CASE WHEN length(d) BETWEEN 6 AND 20 THEN d END FROM (SELECT regexp_replace("
        f"regexp_replace({narrow(x)}, '\\D', '', 'g'), '^(00)?86(?=1\\d{{10}}$)', '') AS d) q) END"
    )


def number(x: str, column: Column) -> str:
    plain = f"translate({narrow(x)}, ',， ', '')"
    return f"CASE WHEN {x} ~ '^[-+０-９0-9.．,， －]{{1,30}}$' AND {plain} ~ '^[-+]?\\d+([.]\\d+)?$' THEN {plain}::float8 END"


def integer(x: str, column: Column) -> str:
    plain = f"translate({narrow(x)}, ',， ', '')"
    # as most are written: digits alone, told in a tenth of the time of a pattern
    usual = f"length({x}) BETWEEN 1 AND 9 AND ltrim({x}, '0123456789') = ''"
    return (
        f"CASE WHEN {usual} THEN {x}::int"
        f" WHEN length({x}) <= 12 AND {plain} ~ '^\\d{{1,9}}([.]0+)?$' THEN {plain}::numeric::int END"
    )


def money(x: str, column: Column) -> str:
    """Fen, from yuan or fen; thousands may be separated, ￥ and 元 may stand beside."""
    unit = column.options.get("unit", "yuan")
    plain = f"translate({narrow(x)}, '¥￥元,， ', '')"
    factor = "" if unit == "fen" else " * 100"
    shape = r"^\d{1,11}([.]\d{1,6})?$"
    # 1.234,56 would be read as 1.23456
    clear = f"NOT ({x} LIKE '%%,%%' AND {x} ~ ',\\d{{1,2}}$')"
    # as most are written: 12.34
    usual = f"length({x}) BETWEEN 4 AND 14 AND strpos({x}, '.') = length({x}) - 2 AND translate({x}, '0123456789', '') = '.'"
    quick = "" if unit == "fen" else f"WHEN {usual} THEN translate({x}, '.', '')::bigint "
    return (
        f"CASE {quick}WHEN length({x}) <= 30 AND {plain} ~ '{shape}' AND {clear}"
        f" THEN round({plain}::numeric{factor})::bigint END"
    )


def moment(x: str, column: Column) -> str:
    """A moment: 2026-1-31 8:05, 2026/1/31, 2026年1月31日, 20260131, 31.1.2026 or 1/31/2026 (`order`), a serial number
    of Excel, seconds or milliseconds since 1970. Years from 1900 to 2199."""
    plain = f"rtrim(translate({narrow(x)}, '年月/日时分秒', '--- ::'), ' :')"
    # beginning with a year is by far the most frequent: the rest is not even looked at then
    valid = "CASE WHEN pg_input_is_valid({0}, 'timestamptz') THEN ({0})::timestamptz END"
    iso = f"{x} >= '1900-' AND {x} < '2200' AND {x} LIKE '____-__-__%%'"
    parts = r"'^(\d{1,2})[-./](\d{1,2})[-./](\d{4})(.*)$'"
    turned = r"'\3-\1-\2\4'" if column.options.get("order") == "mdy" else r"'\3-\2-\1\4'"
    rest = (
        f"(SELECT CASE WHEN p ~ '^(19|2[01])\\d\\d[-.]\\d{{1,2}}[-.]\\d{{1,2}}\\M' THEN {valid.format('p')}"
        f" WHEN p ~ '^(19|2[01])\\d{{6}}([ T]\\d|$)' THEN {valid.format('p')}"
        f" WHEN p ~ '^(19|2[01])\\d{{12}}$' THEN"
        f" (SELECT {valid.format('r')} FROM (SELECT substr(p, 1, 8) || ' ' || substr(p, 9) AS r) z)"
        f" WHEN p ~ '^\\d{{1,2}}[-.]\\d{{1,2}}[-.](19|2[01])\\d\\d\\M' THEN"
        f" (SELECT {valid.format('r')} FROM (SELECT regexp_replace(p, {parts}, {turned}) AS r) z)"
        f" WHEN p ~ '^\\d{{5}}([.]\\d+)?$' THEN"
        f" date_trunc('second', timestamp '1899-12-30' + p::float8 * interval '1 day' + interval '0.5 second')::timestamptz"
        f" WHEN p ~ '^\\d{{9,10}}$' THEN to_timestamp(p::bigint)"
        f" WHEN p ~ '^\\d{{12,13}}$' THEN to_timestamp(p::bigint / 1000.0) END"
        f" FROM (SELECT {plain} AS p) w)"
    )
    return f"CASE WHEN {iso} THEN {valid.format(x)} WHEN length({x}) <= 40 THEN {rest} END"


def is_moment(x: str, known: str, timezone: str) -> str:
    """Whether a text beginning with a year says a moment that is known: as most files write it, compared as Postgres writes
    it, which is quicker than reading it. A text that was written at another offset of the zone is read."""
    valid = f"{x} >= '1900-' AND {x} < '2200' AND pg_input_is_valid({x}, 'timestamptz')"
    return f"({x} || '{_offset(timezone)}' = {known}::text OR {known} = CASE WHEN {valid} THEN {x}::timestamptz END)"


def _offset(timezone: str) -> str:
    """How Postgres writes the present offset of a zone: +08, -03:30."""
    text = clock.now().astimezone(ZoneInfo(timezone)).strftime("%z")
    return text[:3] if text[3:] == "00" else f"{text[:3]}:{text[3:]}"


def day(x: str, column: Column) -> str:
    return f"({moment(x, column)})::date"


def choice(x: str, column: Column) -> str:
    cases = " ".join(
        f"WHEN {quote(word)} THEN {quote(value) if isinstance(value, str) else value}"
        for word, value in column.target.choices.items()
    )
    return f"CASE lower({x}) {cases} END" if cases else "NULL"


def yes_no(x: str, column: Column) -> str:
    yes, no = (", ".join(map(quote, words)) for words in (WORDS_YES, WORDS_NO))
    return f"CASE WHEN lower({x}) IN ({yes}) THEN true WHEN lower({x}) IN ({no}) THEN false END"


# type → (type of SQL, expression, what the person reads when a text cannot be read: key of reasons.py)
TYPES: dict[str, tuple[str, Callable[[str, Column], str], str]] = {
    "text": ("text", text, "text"),
    "words": ("text", text, "text"),
    "id": ("text", identifier, "id"),
    "phone": ("text", phone, "phone"),
    "number": ("float8", number, "number"),
    "integer": ("integer", integer, "integer"),
    "money": ("bigint", money, "money"),
    "moment": ("timestamptz", moment, "moment"),
    "day": ("date", day, "moment"),
    "choice": ("text", choice, "choice"),
    "gender": ("smallint", choice, "choice"),
    "code": ("smallint", choice, "choice"),
    "bool": ("boolean", yes_no, "bool"),
}


def sql_type(column: Column) -> str:
    return TYPES[column.target.type][0]


def value(x: str, column: Column) -> str:
    return TYPES[column.target.type][1](x, column)


def options_of(type_: str) -> dict[str, Any]:
    """What a person may choose for a column of a type: option → values, the first is the default."""
    return {
        "money": {"unit": ("yuan", "fen")},
        "moment": {"order": ("dmy", "mdy")},
        "day": {"order": ("dmy", "mdy")},
    }.get(type_, {})
