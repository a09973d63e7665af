"""TCP ports of 127.0.0.1."""

import itertools
import os
import random
import socket

from devtools.places import SetupError

_FROM, _SPAN = 12_000, 20_000
_PORTS = ((_FROM + place % _SPAN) for place in itertools.count(random.SystemRandom().randrange(_SPAN)))


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
    """A port that is free and that no outgoing connection is given: below the range that Linux takes those from.

    One of 127.0.0.1's own (bind to 0) may be taken by any connection of the machine before the server starts.
    Two callers never get the same one in a process; two processes begin at places of their own.
    """
    for port in itertools.islice(_PORTS, _SPAN):
        if is_free(port):
            return port
    raise SetupError("no free port between 12000 and 32000")


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
