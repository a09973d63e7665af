"""The end of a reconciliation: moves between guides are told as such, and the run is written down."""

from django.db import connection

from drift.kinds import KINDS
from drift.models import Difference
from drift.services.differences import MOST, close
from drift.services.work import SYSTEM_NAME, Work
from scrm import clock

# A customer whom one guide has lost and another one has won between two runs is with another guide: one difference.
_MOVED = """
    WITH seen AS (
        SELECT id, kind, split_part(key, ':', 2) AS external, contact_id, title, staff_id, state, closed_at, closed_by,
               row_number() OVER (PARTITION BY kind, split_part(key, ':', 2) ORDER BY id) AS n
          FROM drift_difference
         WHERE brand_id = %(brand)s AND last_run_id = %(run)s AND kind IN ('relation_ghost', 'relation_missing')
           AND state IN ('open', 'repaired')
    ), moved AS (
        SELECT g.id AS old_id, m.id AS new_id, g.external, coalesce(m.contact_id, g.contact_id) AS contact_id, m.title,
               g.staff_id AS old_staff, m.staff_id AS new_staff, g.state AS old_state, m.state AS new_state,
               CASE WHEN g.state = 'repaired' AND m.state = 'repaired' THEN 'repaired' ELSE 'open' END AS state,
               m.closed_at, m.closed_by
          FROM seen g JOIN seen m ON m.external = g.external AND m.n = g.n
         WHERE g.kind = 'relation_ghost' AND m.kind = 'relation_missing'
    ), gone AS (
        DELETE FROM drift_difference d USING moved
         WHERE d.brand_id = %(brand)s AND d.id IN (moved.old_id, moved.new_id)
    ), written AS (
        INSERT INTO drift_difference AS d
               (brand_id, run_id, last_run_id, corp_id, kind, key, title, contact_id, staff_id, object_id, ours, theirs,
                state, note, found_at, closed_at, closed_by)
        SELECT %(brand)s, %(run)s, %(run)s, %(corp)s, 'owner_differs', old_staff || '>' || new_staff || ':' || external,
               title, contact_id, new_staff, NULL, jsonb_build_object('staff_id', old_staff),
               jsonb_build_object('staff_id', new_staff), state, '', %(now)s,
               CASE WHEN state = 'repaired' THEN closed_at END, CASE WHEN state = 'repaired' THEN closed_by ELSE '' END
          FROM moved
        ON CONFLICT (brand_id, corp_id, kind, key) WHERE state IN ('open', 'queued', 'ignored')
        DO UPDATE SET last_run_id = excluded.last_run_id
    )
    SELECT state, old_state, new_state FROM moved
"""


def finish(work: Work) -> None:
    """Moves between guides are told as such, what was open and was not seen any more is settled, and the run is
    written down; in the caller's transaction."""
    run, row = work.run, work.drift_run
    with connection.cursor() as cursor:
        cursor.execute(
            _MOVED, {"brand": run.brand.pk, "run": row.pk, "corp": run.corp.pk, "now": clock.now()}
        )
        moved = cursor.fetchall()
    tally = work.tally
    for state, old_state, new_state in moved:
        _shift(tally.found, "owner_differs", ["relation_ghost", "relation_missing"])
        halves = (("relation_ghost", old_state), ("relation_missing", new_state))
        done = [kind for kind, half in halves if half == Difference.State.REPAIRED]
        _shift(tally.repaired, "owner_differs" if state == Difference.State.REPAIRED else "", done)
    skipped, unlisted = set(run.at.get("skipped", [])), run.at.get("groups", {}).get("skipped", [])
    unseen = Difference.objects.filter(corp=run.corp, state=Difference.State.OPEN).exclude(last_run_id=row.pk)
    # what this run could not look at, or has not listed for its number, is still open
    unseen = unseen.exclude(kind__in=[kind for kind, n in tally.found.items() if n > MOST])
    unseen = unseen.exclude(kind__in=[kind for kind in KINDS if KINDS[kind].area == run.at.get("blind")])
    unseen = unseen.exclude(staff_id__in=skipped) if skipped else unseen
    # of owners whose list WeCom refuses, the groups that we have are read one by one
    unseen = unseen.exclude(kind="group_missing", staff_id__in=unlisted) if unlisted else unseen
    row.n_settled = close(
        list(unseen.values_list("pk", flat=True)), state=Difference.State.SETTLED, by=SYSTEM_NAME
    )
    kinds = tally.found.keys() | tally.repaired.keys()
    row.counts = {
        kind: {"found": tally.found.get(kind, 0), "repaired": tally.repaired.get(kind, 0)}
        for kind in sorted(kinds)
        if tally.found.get(kind) or tally.repaired.get(kind)
    }
    row.n_found = sum(one["found"] for one in row.counts.values())
    row.n_repaired = sum(one["repaired"] for one in row.counts.values())
    row.n_compared = run.job.result.get("compared", 0)
    row.n_suspicious, row.n_skipped = run.at.get("suspicious", 0), len(skipped)
    row.ended_at = clock.now()
    row.save()
    run.at = {key: value for key, value in run.at.items() if key in ("n", "since")}


def _shift(counts: dict[str, int], to: str, away: list[str]) -> None:
    for kind in away:
        counts[kind] = max(0, counts.get(kind, 0) - 1)
    if to:
        counts[to] = counts.get(to, 0) + 1
