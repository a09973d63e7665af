"""The REST API, version 1: authenticated by a brand's API key."""

from typing import Any

urlpatterns: list[Any] = []
