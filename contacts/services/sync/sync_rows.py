"""WeCom's answers as rows, and rows as the lines that Postgres copies."""

from collections.abc import Iterable, Sequence
from typing import Any

from contacts.services.profile import digits
from contacts.services.search import searched
from contacts.services.sync.sync_types import Row
from wecom.api.contacts import Customer, Relation

MOST_SECONDS = 253_402_300_799  # the year 9999: what lies beyond is nobody's date
N_TABS = len(Row._fields) + 2
_SPECIAL = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\x00": None})


def rows_of(relations: Iterable[Relation], staff_ids: dict[str, int], seen_s: float) -> list[Row]:
    """Rows from a page of WeCom's, each relation once; members whom we do not know are left out.

    Args:
        staff_ids: userid in lower case → our id.
    """
    rows: dict[tuple[int, str], Row] = {}
    for relation in relations:
        person, info = relation["external_contact"], relation["follow_info"]
        staff_id = staff_ids.get((info.get("userid") or "").lower())
        external_userid = person.get("external_userid")
        if staff_id is not None and external_userid:
            tag_ids = info.get("tag_id")
            rows[staff_id, external_userid] = _row(staff_id, external_userid, person, info, tag_ids, seen_s)
    return list(rows.values())


def rows_of_customer(customer: Customer, staff_ids: dict[str, int], seen_s: float) -> list[Row]:
    """The same from one customer with everybody who has them."""
    person = customer["external_contact"]
    external_userid = person.get("external_userid")
    rows: dict[int, Row] = {}
    for info in customer["follow_user"]:
        staff_id = staff_ids.get((info.get("userid") or "").lower())
        if staff_id is not None and external_userid:
            tag_ids = [tag["tag_id"] for tag in info.get("tags") or [] if tag.get("tag_id")]
            rows[staff_id] = _row(staff_id, external_userid, person, info, tag_ids, seen_s)
    return list(rows.values())


def _row(staff_id: int, external_userid: str, person: Any, info: Any, tag_ids: Any, seen_s: float) -> Row:
    mobiles = info.get("remark_mobiles")
    return Row(
        staff_id,
        external_userid[:64],
        _text(person.get("name"), 100),
        _text(person.get("avatar"), 500),
        _small(person.get("gender")),
        _small(person.get("type")) or 1,
        _text(person.get("corp_full_name") or person.get("corp_name"), 100),
        _text(person.get("unionid"), 64),
        " ".join(sorted({digits(mobile) for mobile in mobiles} - {""})) if mobiles else "",
        _text(info.get("remark"), 100),
        _text(info.get("description"), 200),
        min(max(int(info.get("createtime") or 0), 0), MOST_SECONDS),
        _small(info.get("add_way")),
        _text(info.get("state"), 64),
        " ".join(sorted({str(tag_id) for tag_id in tag_ids if tag_id})) if tag_ids else "",
        seen_s,
    )


def _text(value: Any, limit: int) -> str:
    if not value:
        return ""
    text = value if type(value) is str else str(value)
    return text[:limit]


def _small(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 32_768 else 0


def escaped(text: str) -> str:
    """A value as COPY reads it."""
    return text if text.isprintable() and "\\" not in text else text.translate(_SPECIAL)


def lines(rows: Sequence[Row]) -> bytes:
    """Rows as text for COPY, numbered in their order, each with the words by which it is found."""
    found = []
    for n, row in enumerate(rows):
        fields = [str(n), *map(str, row), searched(row.name), searched(row.remark)]
        line = "\t".join(fields)
        if line.count("\t") != N_TABS or "\\" in line or "\n" in line or "\r" in line or "\x00" in line:
            line = "\t".join(field.translate(_SPECIAL) for field in fields)
        found.append(line)
    found.append("")
    return "\n".join(found).encode("utf-8", "replace")  # half of a pair of surrogates is no text
