"""TCP ports of 127.0.0.1."""

import os
import socket

from devtools.places import SetupError


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:port now (a connection in TIME_WAIT does not count)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def any_free() -> int:
    """A port that was free a moment ago; whoever takes it must be ready to ask again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wanted(setting: str, default: int) -> int:
    """The port that `setting` of the environment names; refused when it is no port or is taken.

    Raises:
        SetupError: with the line to show.
    """
    text = os.environ.get(setting) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise SetupError(f"{setting}={text} is not a port (1 to 65535)")
    if not is_free(int(text)):
        other = f"make demo {setting}={int(text) + 10}"
        raise SetupError(f"port {text} is taken by another program; use another one, for example: {other}")
    return int(text)


def answers(port: int, seconds: float = 0.2) -> bool:
    """Whether something accepts connections on 127.0.0.1:port."""
    try:
        with socket.create_connection(("127.0.0.1", port), seconds):
            return True
    except OSError:
        return False
