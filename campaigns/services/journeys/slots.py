"""Nodes that other parts of the product bring: a table of dotted paths. A graph with one that nobody brings cannot be
published."""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from django.db import connection
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from campaigns.graph import KINDS
from campaigns.graph.shape import Node
from tenants.models import Brand

# kind → `act(brand, *, sop, node, people, at) -> None`, in the caller's transaction, which holds the gate; `people` are
# rows (enrolment id, contact id, staff id or None, key ≤ 60 characters that is the same in a repeat)
SLOTS: dict[str, str] = {"moments": "campaigns.services.journeys.moments.order"}
# kind → `content(brand, node) -> (text, attachments) or None`: what a message of this kind says when it is sent; None: it
# cannot be sent now
CONTENTS: dict[str, str] = {"group": "groups.services.codes.invitation"}

Attachments = list[dict[str, Any]]
Rows = Sequence[tuple[int, int, int | None, str]]


def missing(kind: str) -> str:
    """Why a node of this kind cannot be published; empty when it can."""
    if kind in SLOTS or kind in CONTENTS:
        return ""
    return _("“%(kind)s” is not part of this installation yet; take the node out to publish") % {
        "kind": KINDS[kind].label
    }


def act_of(kind: str) -> Callable[..., Any]:
    """The function behind a kind.

    Raises:
        KeyError: nobody brings it.
    """
    return import_string(SLOTS[kind])


def content_of(brand: Brand, node: Node) -> tuple[str, Attachments] | None:
    """What a message of one of CONTENTS says now; None where it cannot be sent."""
    return import_string(CONTENTS[node["kind"]])(brand, node)


_NODES = """
    SELECT s.id, n.node FROM campaigns_sopstep s
      JOIN campaigns_sopversion v ON v.brand_id = s.brand_id AND v.id = s.version_id
     CROSS JOIN LATERAL jsonb_array_elements(v.graph -> 'nodes') AS n(node)
     WHERE s.brand_id = %s AND s.id = ANY(%s) AND n.node ->> 'id' = s.node AND n.node ->> 'kind' = ANY(%s)
"""


def attached_now(brand: Brand, step_ids: Collection[int]) -> dict[int, Attachments | None]:
    """{step: what is attached to its message now, None where it cannot be sent} of those steps whose content another
    part brings: between plan and hand-over a group may have got another picture, or none."""
    if not step_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_NODES, [brand.pk, sorted(step_ids), list(CONTENTS)])
        nodes = cursor.fetchall()
    found: dict[int, Attachments | None] = {}
    for step_id, node in nodes:
        said = content_of(brand, json.loads(node) if isinstance(node, str) else node)
        found[step_id] = None if said is None else said[1]
    return found
