"""python -m wecom.sandbox --port 8001 --data var/sandbox: one gunicorn process, many threads."""

import argparse
import os
import socket
import sys
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

THREADS = 32


class Server(BaseApplication):
    """gunicorn without its command line."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        super().__init__()

    def load_config(self) -> None:
        for key, value in self.options.items():
            self.cfg.set(key, value)

    def load(self) -> Any:
        """In the worker: tables, memory, threads, then the WSGI application."""
        import django
        from django.core.management import call_command
        from django.core.wsgi import get_wsgi_application

        django.setup(set_prefix=False)
        call_command("migrate", verbosity=0, interactive=False)
        from . import delivery, store, ticker

        store.load()
        delivery.start()
        ticker.start()
        return get_wsgi_application()


def port_problem(host: str, port: int) -> str:
    """Why the port cannot be listened on, or ""; gunicorn would try for five seconds before it says so."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as reason:
            return reason.strerror or str(reason)
    return ""


def main(argv: list[str] | None = None) -> None:
    """Parse arguments and serve until a signal."""
    parser = argparse.ArgumentParser(prog="python -m wecom.sandbox", description="A stand-in for WeCom.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument(
        "--data", type=Path, default=Path("var/sandbox"), help="folder of its database and media"
    )
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--check", action="store_true", help="only prepare the data folder, then end")
    given = parser.parse_args(argv)
    given.data.mkdir(parents=True, exist_ok=True)
    os.environ["SANDBOX_DATA"] = str(given.data.resolve())
    os.environ["DJANGO_SETTINGS_MODULE"] = "wecom.sandbox.settings"
    if given.check:
        import django
        from django.core.management import call_command

        django.setup(set_prefix=False)
        call_command("migrate", verbosity=0, interactive=False)
        sys.stdout.write("sandbox: ok\n")
        return
    problem = port_problem(given.host, given.port)
    if problem:
        sys.exit(f"sandbox: port {given.port} cannot be used: {problem}")
    Server(
        {
            "bind": f"{given.host}:{given.port}",
            "workers": 1,
            "threads": given.threads,
            "worker_class": "gthread",
            "worker_connections": 1000,
            "keepalive": 75,
            "graceful_timeout": 2,
            "timeout": 120,
            "loglevel": "warning",
            "control_socket_disable": True,  # it would lie in $HOME, shared by every gunicorn there
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108
            "proc_name": "wecom-sandbox",
        }
    ).run()


if __name__ == "__main__":
    main()
