"""Who is in which group, as bitmaps (tagging/services/bits/bits.py); the truth is the open stays."""

from collections.abc import Iterable

from tagging.models import Dim
from tagging.services.bits.bits import clear_bits, set_bits
from tenants.models import Brand

# named by tagging/services/bits/bits_check.py
TRUTH = """
    SELECT m.chat_id AS val, s.position FROM groups_groupmember m
      JOIN contacts_contactstat s ON s.brand_id = %(b)s AND s.contact_id = m.contact_id
     WHERE m.brand_id = %(b)s AND m.chat_id = ANY(%(vals)s) AND m.left_at IS NULL"""
VALUES = "SELECT id FROM groups_groupchat WHERE brand_id = %(b)s"


def came_in(brand: Brand, pairs: Iterable[tuple[int, int]]) -> None:
    """(group id, contact id) of contacts who are in a group now."""
    set_bits(brand, Dim.GROUP, _by_chat(pairs))


def went_out(brand: Brand, pairs: Iterable[tuple[int, int]]) -> None:
    """(group id, contact id) of contacts who have left a group. Call it before `came_in`: the last word counts."""
    clear_bits(brand, Dim.GROUP, _by_chat(pairs))


def _by_chat(pairs: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for chat_id, contact_id in pairs:
        found.setdefault(chat_id, []).append(contact_id)
    return found
