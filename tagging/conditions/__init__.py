"""Conditions: what they may say (leaves), how one is read (shapes), what one means (evaluate), how one reads in words
(summary), windows of time, ready ones (templates). Pure: no query, no clock."""

from tagging.conditions.evaluate import Context, Person, holds
from tagging.conditions.shapes import (
    Condition,
    ConditionError,
    FieldType,
    Known,
    Problem,
    leaves,
    parse,
    references,
)

__all__ = [
    "Condition",
    "ConditionError",
    "Context",
    "FieldType",
    "Known",
    "Person",
    "Problem",
    "holds",
    "leaves",
    "parse",
    "references",
]
