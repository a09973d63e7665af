"""Which column of a file is what: by the words of its heading, then by what its cells look like. Pure.

A person sees the guess and may change it; how a file of the same headings was mapped last time goes before.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from datafiles.targets import Target

SAMPLE = 200
_NOISE = re.compile(r"[\s_\-*:：#.]|[(（\[【].*?[)）\]】]")
# type → what a cell of it looks like
_SHAPES: dict[str, str] = {
    "phone": r"(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}",
    "moment": r"(?:19|20)\d\d[-/.年]?(?:0?[1-9]|1[0-2])[-/.月]?(?:0?[1-9]|[12]\d|3[01])日?(?:[ T].*)?"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:19|20)\d\d(?:[ T].*)?|1[0-9]{9}(?:\d{3})?",
    "gender": r"男|女|男性|女性|male|female|m|f|先生|女士",
}


def normal_heading(text: str) -> str:
    """A heading as it is compared: lower case, without blanks, signs and what stands in brackets."""
    return _NOISE.sub("", text.strip().lower())


def guess(
    targets: Sequence[Target],
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    remembered: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """Target → {"column": n, options …}.

    Args:
        rows: some records with values.
        remembered: target → {"heading": …, options …} of the last file of this kind.
    """
    known = {target.key: target for target in targets}
    names = {heading: n for n, heading in reversed(list(enumerate(headings)))}
    mapping: dict[str, dict[str, Any]] = {}
    free = set(range(len(headings)))
    for key, entry in (remembered or {}).items():
        n = names.get(entry.get("heading", ""))
        if key in known and n in free:
            mapping[key] = {"column": n, **{k: v for k, v in entry.items() if k != "heading"}}
            free.discard(n)
    frame = pd.DataFrame(
        [(list(row) + [""] * len(headings))[: len(headings)] for row in rows[:SAMPLE]], dtype="str"
    )
    words = {n: normal_heading(heading) for n, heading in enumerate(headings)}
    for exact in (True, False):
        for target in targets:
            if target.key in mapping:
                continue
            for n in sorted(free):
                if _fits(target, words[n], exact=exact) and _may_hold(target, frame, n):
                    mapping[target.key] = {"column": n}
                    free.discard(n)
                    break
    for target in targets:
        if (
            target.key not in mapping
            and target.type in _SHAPES
            and (n := _by_look(target.type, frame, free)) is not None
        ):
            mapping[target.key] = {"column": n}
            free.discard(n)
    for key, entry in mapping.items():
        for option, value in _options(
            known[key].type, frame, entry["column"], headings[entry["column"]]
        ).items():
            entry.setdefault(option, value)
    return mapping


def _fits(target: Target, word: str, *, exact: bool) -> bool:
    if exact:
        return word in target.words or word == normal_heading(str(target.label)) or word == target.key
    return any(len(known) > 1 and known in word for known in target.words)


def _share(frame: pd.DataFrame, n: int, shape: str) -> float:
    """Share of the filled cells of a column that look like `shape`; 0 when nearly none is filled."""
    if n not in frame.columns:
        return 0.0
    cells = frame[n].str.strip()
    cells = cells[cells != ""]
    if not len(cells):
        return 0.0
    return float(cells.str.lower().str.fullmatch(shape).mean())


def _may_hold(target: Target, frame: pd.DataFrame, n: int) -> bool:
    """A heading may deceive (手机 of a model of phones): the cells must be possible at all."""
    shape = _SHAPES.get(target.type)
    if shape is None or n not in frame.columns or not (frame[n].str.strip() != "").any():
        return True
    loose = r"\d{5}(?:\.\d+)?|.*\d.*\d.*\d.*\d.*" if target.type == "moment" else r"[-+() .\d]{5,}"
    if target.type == "gender":
        return _share(frame, n, f"{shape}|[012]|未知|保密|unknown") > 0.3
    return _share(frame, n, loose) > 0.3


def _by_look(type_: str, frame: pd.DataFrame, free: set[int]) -> int | None:
    shares = {n: _share(frame, n, _SHAPES[type_]) for n in sorted(free)}
    best = max(shares, key=shares.__getitem__, default=None)
    return best if best is not None and shares[best] > 0.8 else None


def _options(type_: str, frame: pd.DataFrame, n: int, heading: str) -> dict[str, Any]:
    if type_ == "money":
        is_fen = "分" in heading.replace("积分", "") or heading.lower().endswith(("fen", "cents", "_cent"))
        return {"unit": "fen" if is_fen else "yuan"}
    if type_ in ("moment", "day") and n in frame.columns:
        parts = frame[n].str.extract(r"^\s*(\d{1,2})[-/.](\d{1,2})[-/.]\d{4}").dropna().astype(int)
        if len(parts):
            return {"order": "mdy" if (parts[1] > 12).any() and not (parts[0] > 12).any() else "dmy"}
    return {}


def remember(mapping: Mapping[str, Mapping[str, Any]], headings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A mapping by the words of the headings, as `guess` takes it back."""
    return {
        key: {"heading": headings[entry["column"]], **{k: v for k, v in entry.items() if k != "column"}}
        for key, entry in mapping.items()
        if entry["column"] < len(headings)
    }
