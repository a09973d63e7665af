"""How a figure is shown: value, unit, what the machine allows, the ratio, the target."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    unit: str
    limit: str = ""  # the machine's limit or a plain baseline, measured in the same run
    target: str = ""
    met: bool | None = None


def show(title: str, figures: Sequence[Figure]) -> None:
    print(f"\n## {title}")
    for f in figures:
        mark = {True: "met", False: "MISSED", None: ""}[f.met]
        print(f"  {f.name:<58} {f.value:>12,.2f} {f.unit:<14} {f.target:<16} {mark:<7} {f.limit}", flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def timed(act: Callable[[], object], times: int = 5) -> float:
    """Median seconds of some runs."""
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)
