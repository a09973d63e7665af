"""The conditions of one brand among ten of the same size, beside the same when there were two.

First the two are measured, then eight brands are added and it is measured again. The times of the two are kept, so that it
can be repeated once the ten are there; all other figures of this database are those of ten brands from then on.
"""

import json
from pathlib import Path

from django.conf import settings

from bench import big
from bench.figures import Figure
from bench.segments import Bench
from scrm import clock
from tenants.models import Brand
from tenants.scoping import tenant_scope


def run(full: bool) -> list[Figure]:
    here, _beside = big.brands(full)
    kept = Path(settings.MEDIA_ROOT) / f"tenfold-{here.n}.json"
    if not Brand.objects.filter(slug=f"big-{here.n}-3").exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(_times(here)))
    big.neighbours(full)
    two, ten = json.loads(kept.read_text()), _times(here)
    figures = [
        Figure(
            name,
            ten[name] * 1000,
            "ms",
            f"among two {two[name] * 1000:.2f} ms, ratio {ten[name] / two[name]:.2f}",
        )
        for name in two
    ]
    ratio = sum(ten.values()) / sum(two.values())
    return [
        *figures,
        Figure("all of them, ten brands beside two", ratio, "×", "", "<= 1.1 x", ratio <= 1.1),
    ]


def _times(here: big.Big) -> dict[str, float]:
    """Median seconds by condition; of the nested ones the 95th percentile."""
    with tenant_scope(here.brand), clock.at(big.NOW):
        bench = Bench(here)
        found = {name: bench._count(condition)[0] for name, condition, *_rest in bench.conditions()}
        return found | {figure.name: figure.value / 1000 for figure in bench.nested()}
