"""A brand connected to the sandbox, for tests of the WeCom edge."""

from tests.contacts.conftest import connected
from tests.wecom.sandbox_client import sandbox, sandbox_server

__all__ = ["connected", "sandbox", "sandbox_server"]
