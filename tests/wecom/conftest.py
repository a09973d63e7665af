"""A brand connected to the sandbox, for tests of the WeCom edge. Words are compared in English, also where the Chinese
catalogue is compiled; a request that asks for Chinese gets it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import translation

from tests.contacts.conftest import connected
from tests.wecom.sandbox_client import sandbox, sandbox_server

__all__ = ["connected", "sandbox", "sandbox_server"]


@pytest.fixture(autouse=True)
def words_in_english(settings: Any) -> Iterator[None]:
    settings.LANGUAGE_CODE = "en"
    with translation.override("en"):
        yield
