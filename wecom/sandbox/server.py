"""gunicorn without its command line; what happens in its worker before the first request."""

import gc
import json
import logging
import os
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

log = logging.getLogger(__name__)


class Server(BaseApplication):
    """One process, many threads."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        super().__init__()

    def load_config(self) -> None:
        for key, value in self.options.items():
            self.cfg.set(key, value)

    def load(self) -> Any:
        """In the worker: tables, memory, threads, then the WSGI application."""
        from django.core.wsgi import get_wsgi_application

        from .__main__ import prepare

        prepare()
        from . import delivery, store, ticker
        from .api import media_by_url

        store.load()
        delivery.start()
        media_by_url.take_up()
        ticker.start()
        _begin()
        application = get_wsgi_application()
        # what is loaded stays: no need to look through it again and again
        gc.freeze()
        gc.set_threshold(50_000)
        return application


def _goes_on(_arbiter: Any, worker: Any) -> None:
    """In a worker that replaces one that crashed: its scenario has begun."""
    if worker.age > 1:
        os.environ.pop("SANDBOX_SCENARIO", None)


def _begin() -> None:
    """The scenario of the command line; after a crash of the worker the running one just goes on."""
    wanted = os.environ.pop("SANDBOX_SCENARIO", "")
    if not wanted:
        return
    from . import scenario, scenario_file
    from .errors import Refused

    given = json.loads(wanted)
    try:
        if given["speed"] is None:
            text = given.get("scenario")
            whole = scenario_file.read(text) if text is not None else scenario_file.ready_one(given["name"])
            given["speed"] = whole.get("speed") or 1
        scenario.start({key: value for key, value in given.items() if value is not None})
    except Refused as reason:
        log.error("scenario: %s", reason)
        raise SystemExit(4) from None  # gunicorn's code for an application that cannot be loaded


def serve(host: str, port: int, threads: int) -> None:
    """Until a signal."""
    Server(
        {
            "bind": f"{host}:{port}",
            "workers": 1,
            "post_fork": _goes_on,
            "threads": threads,
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
