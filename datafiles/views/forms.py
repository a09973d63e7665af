"""The form of the columns: what it shows for each column of a file, and what it says when it comes back."""

import re
from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from datafiles.kinds import Kind
from datafiles.services.uploads import Head
from datafiles.targets import Target
from datafiles.values import options_of

SAMPLES = 3
_YEAR_LAST = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")


def option_words() -> dict[str, list[tuple[str, str]]]:
    return {
        "unit": [("yuan", _("yuan")), ("fen", _("fen"))],
        "order": [("dmy", _("31/12/2026: day first")), ("mdy", _("12/31/2026: month first"))],
    }


def columns_of(head: Head, targets: Sequence[Target], mapping: dict[str, Any]) -> list[dict[str, Any]]:
    """Each column with its heading, some cells, what it is read as, and the choices of that type."""
    chosen = {entry["column"]: (key, entry) for key, entry in mapping.items()}
    known = {target.key: target for target in targets}
    groups: dict[str, list[Target]] = {}
    for target in targets:
        groups.setdefault(str(target.group), []).append(target)
    words = option_words()
    found = []
    for n, heading in enumerate(head.headings):
        cells = [row[n].strip() for row in head.rows if n < len(row) and row[n].strip()]
        key, entry = chosen.get(n, ("", {}))
        chosen_target = known.get(key)
        options = []
        for name in options_of(chosen_target.type) if chosen_target else ():
            # the order of day and month matters only where it can be mistaken
            if name == "order" and not any(_YEAR_LAST.match(cell) for cell in cells[:50]):
                continue
            options.append({"name": name, "choices": words[name], "value": entry.get(name)})
        found.append(
            {
                "n": n, "heading": heading, "samples": list(dict.fromkeys(cells))[:SAMPLES], "target": key, "options": options,
                "hint": chosen_target.hint if chosen_target else "",
                "groups": [(group, [(t.key, t.label, t.key == key) for t in ts]) for group, ts in groups.items()],
            }
        )  # fmt: skip
    return found


def given_columns(given: Any, targets: Sequence[Target]) -> dict[str, dict[str, Any]]:
    """The mapping that a posted form says; the first column of a target counts."""
    known = {target.key: target for target in targets}
    mapping: dict[str, dict[str, Any]] = {}
    for name, key in given.items():
        number = name.removeprefix("c")
        if (
            not name.startswith("c")
            or not (number.isascii() and number.isdigit())
            or len(number) > 3
            or key not in known
            or key in mapping
        ):
            continue
        entry: dict[str, Any] = {"column": int(number)}
        for option, values in options_of(known[key].type).items():
            value = given.get(f"o{number}_{option}")
            if value in values:
                entry[option] = value
        mapping[key] = entry
    return mapping


def given_options(given: Any, kind: Kind) -> dict[str, Any]:
    """Options of the kind as a posted form says; a box that is not ticked is not sent."""
    found: dict[str, Any] = {}
    for name, default in kind.options.items():
        if isinstance(default, bool):
            if f"has_{name}" in given:
                found[name] = given.get(name) == "1"
        elif name in given:
            found[name] = str(given[name]).strip()[:64] or default
    return found
