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
        parts = ", ".join(f"{k} {v:.1f}" for k, v in start["phases_s"].items())
        figures.append(Figure(f"make demo, {kind} start", start["total_s"], "s", parts))
    return figures
