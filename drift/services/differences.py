"""Differences are written here: each thing and kind has one open row, however often it is seen."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from drift.kinds import KINDS
from drift.models import Difference, DriftRun
from org.models import Corp
from scrm import clock
from tenants.models import Brand

MOST = 10_000  # rows that one run lists of a kind; what goes beyond is counted

# A row that somebody has ignored stays so as long as WeCom says the same.
_WRITE = """
    WITH given AS (
        SELECT * FROM unnest(%(kinds)s::text[], %(keys)s::text[], %(titles)s::text[], %(contacts)s::bigint[],
                             %(staff)s::bigint[], %(objects)s::bigint[], %(ours)s::text[], %(theirs)s::text[])
                 AS g(kind, key, title, contact_id, staff_id, object_id, ours, theirs) ORDER BY kind, key
    )
    INSERT INTO drift_difference AS d
           (brand_id, run_id, last_run_id, corp_id, kind, key, title, contact_id, staff_id, object_id, ours, theirs,
            state, note, found_at, closed_by)
    SELECT %(brand)s, %(run)s, %(run)s, %(corp)s, kind, key, title, contact_id, staff_id, object_id, ours::jsonb,
           theirs::jsonb, 'open', '', %(now)s, ''
      FROM given
    ON CONFLICT (brand_id, corp_id, kind, key) WHERE state IN ('open', 'queued', 'ignored') DO UPDATE
       SET last_run_id = excluded.last_run_id, title = excluded.title, contact_id = excluded.contact_id,
           ours = excluded.ours, theirs = excluded.theirs,
           state = CASE WHEN d.state = 'ignored' AND d.theirs IS DISTINCT FROM excluded.theirs THEN 'open'
                        ELSE d.state END
    RETURNING d.id, d.kind, d.key, d.state
"""


@dataclass
class New:
    """One difference that was just seen; `ours` and `theirs` hold only what differs."""

    kind: str
    key: str
    title: str = ""
    contact_id: int | None = None
    staff_id: int | None = None
    object_id: int | None = None
    ours: dict[str, Any] = field(default_factory=dict)
    theirs: dict[str, Any] = field(default_factory=dict)


def record(
    brand: Brand, run: DriftRun | None, corp: Corp, found: Iterable[New]
) -> dict[tuple[str, str], int]:
    """Write differences in the caller's transaction; gives (kind, key) → id of those that are open.

    Raises:
        KeyError: an unknown kind.
    """
    rows = list({(new.kind, new.key[:140]): new for new in found}.values())
    for new in rows:
        KINDS[new.kind]
    if not rows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            _WRITE,
            {
                "brand": brand.pk,
                "run": run.pk if run else None,
                "corp": corp.pk,
                "now": clock.now(),
                "kinds": [new.kind for new in rows],
                "keys": [new.key[:140] for new in rows],
                "titles": [new.title[:120].replace("\x00", "") for new in rows],
                "contacts": [new.contact_id for new in rows],
                "staff": [new.staff_id for new in rows],
                "objects": [new.object_id for new in rows],
                "ours": [_json(new.ours) for new in rows],
                "theirs": [_json(new.theirs) for new in rows],
            },
        )
        return {(kind, key): pk for pk, kind, key, state in cursor.fetchall() if state == "open"}


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, default=str).replace("\\u0000", "")


def close(ids: Sequence[int], *, state: str, by: str, note: str = "") -> int:
    """Close open or waiting rows in the caller's transaction; gives how many."""
    open_ = Difference.objects.filter(pk__in=list(ids), state__in=["open", "queued", "ignored"])
    return open_.update(state=state, closed_at=clock.now(), closed_by=by[:64], note=note[:300])


def n_open() -> int:
    """How many differences wait for a person; in the caller's scope."""
    return Difference.objects.filter(state=Difference.State.OPEN).count()


class Tally:
    """Counts of a run by kind, kept in its job's position between the steps."""

    def __init__(self, at: dict[str, Any]) -> None:
        self.found: dict[str, int] = at.setdefault("found", {})
        self.repaired: dict[str, int] = at.setdefault("repaired", {})

    def room(self, found: Sequence[New]) -> list[New]:
        """Those that are still listed; all are counted."""
        counts, listed = Counter(self.found), []
        for new in found:
            counts[new.kind] += 1
            if counts[new.kind] <= MOST:
                listed.append(new)
        self.found.update(counts)
        return listed

    def repair(self, kinds: Iterable[str]) -> None:
        """Count what was repaired by itself."""
        self.repaired.update(Counter(self.repaired) + Counter(kinds))
