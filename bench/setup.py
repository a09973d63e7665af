"""`make demo` from a clean clone and again: what the launcher noted on this machine (var/timings.json)."""

import json

from bench.figures import Figure
from bench.servers import ROOT


def run(full: bool) -> list[Figure]:
    file = ROOT / "var" / "timings.json"
    if not file.exists():
        print("  no var/timings.json: start `make demo` once")
        return []
    figures = []
    for kind, start in json.loads(file.read_text()).items():
        phases = {k: v for k, v in start.items() if k != "total"}
        parts = ", ".join(f"{k} {v:.1f}" for k, v in phases.items())
        figures.append(Figure(f"make demo, {kind} start", start["total"], "s", parts))
    return figures
