# ruff: noqa: S608  names of our own columns; values are parameters
"""What a file of members has changed, kept so that it can be taken back."""

from typing import Any

from datafiles.kinds.base import Task
from datafiles.services.tracks import write_changes


def keep_before(task: Task, cursor: Any, keys: list[str]) -> None:
    """Values before and after, by which the import can be undone; the first change of a contact by this file stands."""
    pairs = {side: _differing(keys, prefix) for side, prefix in (("before", "old_"), ("after", ""))}
    differs = " OR ".join(f"x.{key} IS DISTINCT FROM x.old_{key}" for key in keys)
    # added up before: for each contact anew, a file that adds a phone to everybody would read all of them for each
    write_changes(
        cursor,
        f"""
        SELECT %(brand)s, %(file)s, 'contact', x.id, {pairs["before"]}, {pairs["after"]} || coalesce(i.added, '{{}}')
          FROM change x LEFT JOIN (
               SELECT contact_id, jsonb_build_object('identities', jsonb_agg(jsonb_build_array(kind, scope, value))) AS added
                 FROM noted GROUP BY contact_id) i ON i.contact_id = x.id
         WHERE {differs} OR i.added IS NOT NULL
        """,
        {**task.params, "file": task.file.pk},
    )


def _differing(keys: list[str], prefix: str) -> str:
    """The columns that differ as jsonb. Mostly it is one, which is told without adding up objects."""
    one = " ".join(
        f"WHEN {' AND '.join(f'x.{other} IS NOT DISTINCT FROM x.old_{other}' for other in keys if other != key)}"
        f" THEN {_if_differs(key, prefix)}"
        for key in keys
    )
    return f"CASE {one} ELSE {' || '.join(_if_differs(key, prefix) for key in keys)} END"


def _if_differs(key: str, prefix: str) -> str:
    value = f"jsonb_build_object('{key}', x.{prefix}{key})"
    return f"CASE WHEN x.{key} IS DISTINCT FROM x.old_{key} THEN {value} ELSE '{{}}' END"
