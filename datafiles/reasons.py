"""Why a row is left out, in words. Keys are stored; `key:detail` names a target or another row."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

# of a cell that cannot be read as its column's type: key of values.TYPES
CELLS: dict[str, Any] = {
    "text": gettext_lazy("is too long or has characters that cannot be read"),
    "id": gettext_lazy(
        "is too long, or a spreadsheet has shortened it (1.38E+10): format the column as text"
    ),
    "phone": gettext_lazy("is not a phone number"),
    "number": gettext_lazy("is not a number"),
    "integer": gettext_lazy("is not a whole number"),
    "money": gettext_lazy("is not an amount"),
    "moment": gettext_lazy("is not a date that exists"),
    "choice": gettext_lazy("is none of the words allowed here"),
    "bool": gettext_lazy("is neither yes nor no"),
}
ROWS: dict[str, Any] = {
    "cells": gettext_lazy("The row does not have as many cells as the headings"),
    "quotes": gettext_lazy("A quotation mark is not closed"),
    "long": gettext_lazy("The line is too long"),
    "no_id": gettext_lazy("Nothing says who or what this row is about"),
    "unknown_person": gettext_lazy("Nobody is known by these ids"),
    "other_person": gettext_lazy("The ids of this row belong to two different customers"),
    "future": gettext_lazy("The date lies in the future"),
    "no_amount": gettext_lazy("The amount is missing"),
    "no_time": gettext_lazy("The date is missing"),
    "unknown_kind": gettext_lazy("This kind of behaviour is not known"),
    "bad_number": gettext_lazy("The number is missing or too long"),
    "bad_amount": gettext_lazy("The amount is missing or impossible"),
    "bad_quantity": gettext_lazy("The quantity is impossible"),
    "bad_state": gettext_lazy("The state is not known"),
    "bad_buyer": gettext_lazy("The buyer cannot be read"),
    "bad_time": gettext_lazy("The date is impossible"),
    "unknown_contact": gettext_lazy("The customer does not exist any more"),
    "too_long": gettext_lazy("The row is too long"),
    "two_people": gettext_lazy(
        "Its ids are of two customers of whom somebody has said that they are not the same person"
    ),
    "open_lead": gettext_lazy("This number is in an open list already"),
    "unknown_guide": gettext_lazy("No guide is called so, or several are"),
    "unknown_store": gettext_lazy("No store is called so"),
}


def in_words(key: str, labels: Mapping[str, str]) -> str:
    """One reason.

    Args:
        labels: key of a target → its heading in the file or its name.
    """
    name, _sep, detail = key.partition(":")
    if name == "repeated":
        return _("Row %(n)s is about the same and counts") % {"n": detail}
    if detail and name in CELLS:
        return _("%(name)s: %(text)s") % {"name": labels.get(detail, detail), "text": CELLS[name]}
    return str(ROWS[name]) if name in ROWS else key


def sentence(keys: str, labels: Mapping[str, str]) -> str:
    """Several reasons, separated by blanks, as one text."""
    return "；".join(dict.fromkeys(in_words(key, labels) for key in keys.split()))
