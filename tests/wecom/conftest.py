"""Fixtures `sandbox_server` and `sandbox`: WeCom as a process of its own."""

from tests.wecom.sandbox_client import sandbox, sandbox_server

__all__ = ["sandbox", "sandbox_server"]
