"""The launcher behind the Makefile.

    python -m devtools.stack demo                 the whole product on this machine until Ctrl-C
    python -m devtools.stack stop | reset | clean | doctor
    python -m devtools.stack run [--fresh | --at NAME] -- COMMAND…

`run` gives a command the servers of a running demo, or starts the demo's own for as long as the command runs.
With --fresh the servers are empty and thrown away, with --at NAME they keep their data in var/NAME.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from devtools import doctor, ports, runfile
from devtools.places import ROOT, VAR, SetupError, fail, say
from devtools.postgres import data_folders, outside_folder
from devtools.services import Services, manage, wecom_at
from devtools.supervisor import Stopped, Supervisor

PYTHON = sys.executable
# who has the processor first when it is short: who answers WeCom and people, then who welcomes, then the rest.
# docker-compose.yml says the same with cpu_shares
NICENESS = {"worker-fast": 2, "worker": 8}


def demo() -> int:
    """Servers, migrations, demo brands, static files, processes; then watch. Returns the exit code."""
    run = runfile.take("demo")  # first: a killed demo's left-overs may hold the ports
    services, supervisor, times = None, None, Times()
    try:
        runfile.sweep()
        port, sandbox_port = ports.wanted("PORT", 8000), ports.wanted("SANDBOX_PORT", 8001)
        if port == sandbox_port:
            raise SetupError(f"PORT and SANDBOX_PORT are both {port}")
        check_disk(VAR)
        services = Services(VAR, run)
        supervisor = Supervisor(run, {}, VAR / "log")
        supervisor.listen()
        with times.of("servers"):
            services.start()
        say(services.in_words())
        supervisor.env = product_env(services, port, sandbox_port)
        run.note(env=supervisor.env, url=f"http://127.0.0.1:{port}/")
        for server in (services.postgres, services.valkey):
            if server:
                supervisor.adopt(server.name, server.process)
        bring_up(supervisor, times, port, sandbox_port)
        times.write()
        announce(port, sandbox_port, times)
        supervisor.watch()
    except Stopped:
        say("stopping")
        return 0
    except (SetupError, OSError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    finally:
        if supervisor:
            supervisor.end(["web", "beat", "worker", "worker-fast"], ["sandbox"])
        if services:
            services.stop()
        run.release()
        if services:
            say("stopped")
    return 0  # not reached: `watch` leaves by an exception


def bring_up(supervisor: Supervisor, times: "Times", port: int, sandbox_port: int) -> None:
    """Everything between the servers and a page that answers; the slow steps side by side."""
    sandbox = f"http://127.0.0.1:{sandbox_port}/"
    supervisor.start(
        "sandbox", manage("wecom_sandbox", "--port", str(sandbox_port), "--data", str(VAR / "sandbox"))
    )
    compiling = supervisor.begin([PYTHON, "-m", "devtools.messages", "compile"])
    with times.of("migrate"):
        supervisor.step([PYTHON, "-m", "devtools.database"], "migrate", log="migrate")
    supervisor.finish(compiling, "compiling the catalogue")
    say("database is up to date")
    collecting = None
    if not static_is_current():
        collecting = supervisor.begin(manage("collectstatic", "--noinput", "-v", "0"), log="collectstatic")
    with times.of("seed"):
        supervisor.wait_for(f"{sandbox}healthz")
        say("WeCom sandbox answers")
        supervisor.step(manage("seed_demo"), "seed_demo")
    if collecting:
        with times.of("static"):
            supervisor.finish(collecting, "collectstatic", log="collectstatic")
        static_stamp().write_text(static_digest())
    say("demo brands and static files are there; starting the processes")
    with times.of("processes"):
        for name, argv in product_processes(port).items():
            supervisor.start(name, argv, NICENESS.get(name, 0))
        supervisor.wait_for(f"http://127.0.0.1:{port}/healthz")


def product_processes(port: int) -> dict[str, list[str]]:
    """The same commands as in docker-compose.yml, with this machine's addresses and sizes."""
    scratch = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()  # noqa: S108
    web = ["-k", "gthread", "-w", "2", "--threads", "8", "--no-control-socket", "--graceful-timeout", "8"]
    celery = [PYTHON, "-m", "celery", "-A", "scrm"]
    worker = [*celery, "worker", "-l", "warning", "-c", "2", "--without-mingle", "--without-gossip"]
    return {
        "web": [
            PYTHON,
            "-m",
            "gunicorn",
            "scrm.wsgi",
            "-b",
            f"127.0.0.1:{port}",
            "--worker-tmp-dir",
            scratch,
            *web,
        ],
        "worker-fast": [*worker, "-Q", "fast", "-n", "fast@%h"],
        "worker": [*worker, "-Q", "default,bulk", "-n", "general@%h"],
        "beat": [*celery, "beat", "-l", "warning", "-s", str(VAR / "beat.db"), "--pidfile="],
    }


def product_env(
    services: Services, port: int | None = None, sandbox_port: int | None = None
) -> dict[str, str]:
    """This environment plus the product's settings; what the user has set stands."""
    settings = services.settings() | {
        "DEBUG": "0",
        "SECURE": "0",
        "MEDIA_ROOT": str(services.folder / "media"),
    }
    address = f"http://127.0.0.1:{port or os.environ.get('PORT') or 8000}"
    sandbox = f"http://127.0.0.1:{sandbox_port or os.environ.get('SANDBOX_PORT') or 8001}"
    settings |= {"PUBLIC_URL": address} | wecom_at(sandbox)
    given = {name: value for name, value in os.environ.items() if value}
    return settings | given


def announce(port: int, sandbox_port: int, times: "Times") -> None:
    """Address, log-ins, and where the time went."""
    say(
        f"ready in {times.total():.0f} s: "
        + ", ".join(f"{name} {spent:.1f}" for name, spent in times.spent.items())
    )
    print(f"\n  the product                       http://127.0.0.1:{port}/")
    print(f"  WeCom sandbox, play the customer  http://127.0.0.1:{sandbox_port}/\n")
    logins = VAR / "demo-logins.txt"
    if logins.exists():
        print("\n".join(f"  {line}".rstrip() for line in logins.read_text().splitlines()) + "\n")
    print(f"  logs are in {VAR / 'log'}; Ctrl-C stops everything, the data stays\n", flush=True)


def check_disk(folder: Path) -> None:
    """Raises SetupError below MIN_FREE_MB (2000) of free disk where the data will lie."""
    wanted = os.environ.get("MIN_FREE_MB") or "2000"
    if not wanted.isdecimal():
        raise SetupError(f"MIN_FREE_MB={wanted} is not a number of megabytes")
    free = shutil.disk_usage(folder).free // 1_000_000
    if free < int(wanted):
        raise SetupError(
            f"only {free} MB of disk are free for {folder}, {wanted} are wanted (MIN_FREE_MB sets the limit)"
        )


class Times:
    """Seconds per phase, with those of the Makefile's steps before (each a line of var/setup-seconds)."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.spent: dict[str, float] = {}
        earlier = VAR / "setup-seconds"
        if earlier.exists():
            for line in earlier.read_text().splitlines():
                name, _, seconds = line.partition(" ")
                self.spent[name] = float(seconds)
        self.before = sum(self.spent.values())

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.spent[name] = round(time.monotonic() - began, 2)

    def total(self) -> float:
        return self.before + time.monotonic() - self.started

    def write(self) -> None:
        """var/timings.json: {"first": …, "last": …}, each with the seconds of its phases and their total.

        `first` is the start that made the data, with the building of the environment if that was just before.
        """
        (VAR / "setup-seconds").unlink(missing_ok=True)
        path = VAR / "timings.json"
        kept = json.loads(path.read_text()) if path.exists() else {}
        entry = {
            "phases_s": self.spent,
            "total_s": round(self.total(), 2),
            "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        kept["last" if "first" in kept else "first"] = entry
        path.write_text(json.dumps(kept, indent=1) + "\n")


def static_stamp() -> Path:
    return VAR / "static.stamp"


def static_is_current() -> bool:
    stamp = static_stamp()
    return stamp.exists() and (VAR / "static").is_dir() and stamp.read_text() == static_digest()


def static_digest() -> str:
    """Changes with our own static files, the third-party ones, and the packages (which bring some too)."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "frontend" / "static").rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    for path in (
        VAR / "vendor" / ".stamp",
        ROOT / "requirements" / "prod.lock",
        ROOT / "scrm" / "settings.py",
    ):
        digest.update(path.read_bytes() if path.exists() else b"-")
    return digest.hexdigest()


def stop() -> int:
    """End the demo that runs from this checkout, and wait for its end."""
    facts = runfile.running("demo")
    if not facts:
        runfile.sweep()  # perhaps its launcher was killed
        print("no demo is running")
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(facts["pid"], signal.SIGTERM)
    limit = time.monotonic() + 60
    while runfile.running("demo") is not None:
        if time.monotonic() > limit:
            raise SetupError(f"the demo (pid {facts['pid']}) does not end")
        time.sleep(0.1)
    print("stopped")
    return 0


def reset() -> int:
    """Remove the demo's data; the next start makes it anew. The environment and the static files stay."""
    stop()
    names = ("valkey", "sandbox", "media", "secrets.json", "demo-logins.txt", "timings.json", "beat.db")
    for path in [*data_folders(), *(VAR / name for name in names)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    print("the demo's data is removed")
    return 0


def clean() -> int:
    """What `make clean` cannot name: servers that run, and what root keeps outside the checkout."""
    stop()
    shutil.rmtree(outside_folder(), ignore_errors=True)
    return 0


def run_command(command: list[str], *, fresh: bool, at: str | None) -> int:
    """`run`: the command has the terminal; its exit code is ours."""
    if not fresh and not at and (facts := runfile.running("demo")) and facts.get("env"):
        return _call(command, facts["env"], None)
    run = None if fresh else runfile.take(at or "demo")
    services = None
    try:
        services = Services(None if fresh else VAR / at if at else VAR, run)
        services.start()
        env = product_env(services)
        if run:
            run.note(env=env)
        return _call(command, env, services.run)
    finally:
        if services:
            services.stop()
        if run:
            run.release()


def _call(command: list[str], env: dict[str, str], run: runfile.RunFile | None) -> int:
    """Run in the foreground: the terminal's Ctrl-C is the command's, SIGTERM is handed on."""
    process: subprocess.Popen[bytes] | None = None
    stopped: list[int] = []

    def hand_on(number: int, frame: object) -> None:
        stopped.append(number)
        if process:
            process.terminate()

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, hand_on)
    process = subprocess.Popen(command, env=env, cwd=ROOT)
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    if stopped:
        process.terminate()
    try:
        if run:
            run.note_child("command", process.pid)
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, previous)
    return code if code >= 0 else 128 - code


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parsers = parser.add_subparsers(dest="action", required=True)
    for name in ("demo", "stop", "reset", "clean", "doctor"):
        parsers.add_parser(name)
    runner = parsers.add_parser("run")
    place = runner.add_mutually_exclusive_group()
    place.add_argument("--fresh", action="store_true")
    place.add_argument("--at", metavar="NAME")
    runner.add_argument("command", nargs="+")
    args = parser.parse_args()
    VAR.mkdir(exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGHUP):  # `finally` runs; the demo has its own handlers
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        if args.action == "run":
            return run_command(args.command, fresh=args.fresh, at=args.at)
        actions = {"demo": demo, "stop": stop, "reset": reset, "clean": clean, "doctor": doctor.show}
        return actions[args.action]()
    except (SetupError, OSError) as error:
        fail(str(error))


if __name__ == "__main__":
    raise SystemExit(main())
