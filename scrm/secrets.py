"""Secrets at rest: a text column that only this program can read (Fernet, with key rotation)."""

from functools import cache
from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.db import models


@cache
def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.FIELD_KEYS])


class SecretField(models.TextField):
    """Encrypted in the database, plain in Python. Never in a form's initial value, a serializer, a log or an audit entry.

    The first key of FIELD_KEYS encrypts; all of them decrypt.
    """

    def get_prep_value(self, value: Any) -> Any:
        return _fernet().encrypt(value.encode()).decode() if value else value

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return _fernet().decrypt(value.encode()).decode() if value else value
