from tests.contacts.conftest import connected, sandbox, sandbox_server

__all__ = ["connected", "sandbox", "sandbox_server"]
