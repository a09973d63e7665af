"""Tags and segments that stored JSON names: conditions, filters of events, audiences, graphs of SOPs; pure.

Whoever keeps such JSON tells it before a tag or a segment is deleted, and has it rewritten when two tags become one
(tagging/services/tags/references.py, segments.py: USES).
"""

from collections.abc import Iterable, Iterator
from typing import Any

TAG_LISTS = ("tag_ids", "add_tag_ids", "remove_tag_ids")
SEGMENT_NUMBERS = ("segment", "segment_id")


def _dicts(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, list):
        for item in node:
            yield from _dicts(item)
    elif isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _dicts(value)


def _numbers(values: Any) -> set[int]:
    return {n for n in values if type(n) is int} if isinstance(values, list) else set()


def tags_in(node: Any) -> set[int]:
    """The tags that some JSON names itself (not through segments)."""
    found: set[int] = set()
    for part in _dicts(node):
        if part.get("kind") == "tags":
            found |= _numbers(part.get("ids"))
        for name in TAG_LISTS:
            found |= _numbers(part.get(name))
    return found


def segments_in(node: Any) -> set[int]:
    """The segments that some JSON names."""
    found: set[int] = set()
    for part in _dicts(node):
        if part.get("kind") == "segment":
            found |= _numbers(part.get("ids"))
        found |= _numbers([part.get(name) for name in SEGMENT_NUMBERS])
    return found


def with_tag(node: Any, old_id: int, new_id: int) -> Any:
    """The same JSON with one tag in the place of another one."""
    if isinstance(node, list):
        return [with_tag(item, old_id, new_id) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: with_tag(value, old_id, new_id) for key, value in node.items()}
    if node.get("kind") == "tags" and isinstance(node.get("ids"), list):
        made["ids"] = swapped(node["ids"], old_id, new_id)
        if isinstance(n := node.get("n"), int):  # `at least n` of fewer than were chosen
            made["n"] = min(n, len(made["ids"]))
    for name in TAG_LISTS:
        if isinstance(node.get(name), list):
            made[name] = swapped(node[name], old_id, new_id)
    if "add_tag_ids" in made and "remove_tag_ids" in made:
        made["remove_tag_ids"] = [n for n in made["remove_tag_ids"] if n not in made["add_tag_ids"]]
    return made


def swapped(ids: Iterable[int], old_id: int, new_id: int) -> list[int]:
    """A list of tags with one in the place of another one, each once."""
    return list(dict.fromkeys(new_id if n == old_id else n for n in ids))
