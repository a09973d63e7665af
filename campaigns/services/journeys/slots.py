"""Nodes that other parts of the product bring: a table of dotted paths. A graph with one that nobody brings cannot be
published."""

from collections.abc import Callable, Sequence
from typing import Any

from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from campaigns.graph import KINDS

# kind → `act(brand, *, sop, node, people, at) -> None`, in the caller's transaction, which holds the gate; `people` are
# rows (enrolment id, contact id, staff id or None, key ≤ 60 characters that is the same in a repeat)
SLOTS: dict[str, str] = {"moments": "campaigns.services.journeys.moments.order"}

Rows = Sequence[tuple[int, int, int | None, str]]


def missing(kind: str) -> str:
    """Why a node of this kind cannot be published; empty when it can."""
    if kind in SLOTS:
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
