"""python -m wecom.sandbox: one gunicorn process, many threads."""

import argparse
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

THREADS = 32
ABOUT = """
A stand-in for WeCom (企业微信): the same HTTP under /cgi-bin/, the same callbacks, OAuth and QR log-in, a stand-in of the
JS SDK; behind it virtual guides and customers, faults to order, and a clock that can be moved. It keeps its own
database in one folder and needs nothing of the product it lies beside. It has no log-in: do not put it on a public
address.
"""
EXAMPLES = """
examples:
  %(prog)s                                    http://127.0.0.1:8001/ with its data in var/sandbox
  %(prog)s --scenario calm-day --speed 60     an example shop lives a day in twelve minutes
  %(prog)s --data /tmp/one --port 9001        another one beside it
  %(prog)s --scenarios                        which scenarios come with it

then:
  a browser at /                scan codes, be the customer, be the guide, break things
  POST /control/corps           make a corp: {"corpid": "ww…", "secret": "…", "callback_url": …, "token": …, "aes_key": …}
  GET  /control/openapi.json    what else tests can ask for (a table for people: --describe)
  GET  /cgi-bin/gettoken        … and your software takes it for WeCom: point its base address here

Variables: LOG_LEVEL (WARNING). Ends with Ctrl-C; what was done is kept, also after kill -9.
"""


def parser() -> argparse.ArgumentParser:
    """What may be said when it is started."""
    made = argparse.ArgumentParser(
        prog=os.environ.get("SANDBOX_PROG") or "python -m wecom.sandbox",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    made.add_argument("--port", type=int, default=8001, help="port to listen on (8001)")
    made.add_argument(
        "--data",
        type=Path,
        default=Path("var/sandbox"),
        help="folder of its database and files (var/sandbox)",
    )
    made.add_argument("--threads", type=int, default=THREADS, help=f"calls served at once ({THREADS})")
    made.add_argument(
        "--scenario", metavar="NAME|FILE", help="begin a scenario: a ready one, or a YAML or JSON file"
    )
    made.add_argument("--seed", help="seed of that scenario, instead of its own")
    made.add_argument("--speed", type=float, help="how fast the clock then runs (the scenario's speed)")
    made.add_argument("--check", action="store_true", help="only prepare the data folder, then end")
    made.add_argument("--describe", action="store_true", help="print the control API as a page, then end")
    made.add_argument("--scenarios", action="store_true", help="list the ready scenarios, then end")
    return made


def port_problem(host: str, port: int) -> str:
    """Why the port cannot be listened on, or ""; gunicorn would try for five seconds before it says so."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as reason:
            return reason.strerror or str(reason)
    return ""


def prepare() -> None:
    """Django with the sandbox's own settings, and its tables."""
    import django
    from django.core.management import call_command

    django.setup(set_prefix=False)
    call_command("migrate", verbosity=0, interactive=False)


def wanted_scenario(given: argparse.Namespace) -> dict[str, Any] | None:
    """What scenario.start shall be told, or None."""
    if not given.scenario:
        return None
    path = Path(given.scenario)
    wanted: dict[str, Any] = {"name": given.scenario}
    if path.suffix in (".yaml", ".yml", ".json"):
        if not path.exists():
            sys.exit(f"sandbox: no file {path}")
        wanted = {"name": path.stem, "scenario": path.read_text("utf-8")}
    return wanted | {"seed": given.seed, "speed": given.speed}


def main(argv: list[str] | None = None) -> None:
    """Parse arguments and serve until a signal."""
    given = parser().parse_args(argv)
    os.environ["DJANGO_SETTINGS_MODULE"] = "wecom.sandbox.settings"
    if given.describe or given.scenarios:
        _tell(given)
        return
    given.data.mkdir(parents=True, exist_ok=True)
    os.environ["SANDBOX_DATA"] = str(given.data.resolve())
    wanted = wanted_scenario(given)
    if wanted is not None:
        os.environ["SANDBOX_SCENARIO"] = json.dumps(wanted)
    if given.check:
        prepare()
        sys.stdout.write("sandbox: ok\n")
        return
    problem = port_problem(given.host, given.port)
    if problem:
        sys.exit(f"sandbox: port {given.port} cannot be used: {problem}")
    from .server import serve

    serve(given.host, given.port, given.threads)


def _tell(given: argparse.Namespace) -> None:
    import django

    django.setup(set_prefix=False)
    if given.describe:
        from .control_docs import page

        sys.stdout.write(page())
        return
    from .scenario_file import ready

    for one in ready():
        sys.stdout.write(f"{one['name']:14} {one['hours']:>4} h  {one['title']['zh']} {one['title']['en']}\n")
        sys.stdout.write(f"{'':22} {one['about']['en']}\n")


if __name__ == "__main__":
    main()
