"""Addresses of the guides' pages on the phone."""

from typing import Any

urlpatterns: list[Any] = []
