"""Columns that several tables share."""

from django.db import models


def userid_field(**kwargs: object) -> "models.CharField[str, str]":
    """A member's id: unique without regard to case."""
    return models.CharField(max_length=64, db_collation="NOCASE", **kwargs)  # type: ignore[arg-type]
