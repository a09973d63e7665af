"""Processes that the launcher starts: each in a session of its own, provable later by pid and start time."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from devtools.places import say


def identity(pid: int) -> str:
    """A text that this very process keeps and a later one with its pid does not have; "" once it has ended.

    A zombie counts as ended. Minimal Debian has no `ps`, so /proc is read; macOS has only `ps`.
    """
    if sys.platform.startswith("linux"):
        try:
            # "pid (command, which may hold spaces and brackets) state ppid … starttime(22nd)"
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in "ZX" else fields[19]
    shown = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True
    ).stdout
    state, _, started = shown.strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()


def start(argv: list[str], *, log: Path | None, **options: Any) -> subprocess.Popen[bytes]:
    """Start in a session of its own, so that Ctrl-C in the terminal reaches only the launcher.

    Output goes to `log`; None leaves it on the launcher's.
    """
    with contextlib.ExitStack() as files:
        if log:
            log.parent.mkdir(parents=True, exist_ok=True)
            if log.exists() and log.stat().st_size > 20_000_000:
                log.replace(log.with_suffix(".old"))
            options["stdout"] = options["stderr"] = files.enter_context(log.open("ab"))
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True, **options)


def yield_to_others(pid: int, niceness: int) -> None:
    """Let other processes have the processor first, also those of other sessions: Linux weighs sessions against
    each other (autogroup), so the nice value of a process that leads its own says nothing by itself."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))


def signal_group(pid: int, number: int) -> None:
    """Signal everything in the group that the process leads (gunicorn's and Celery's children are in it).

    A process that leads none (the command of `run`, which has the terminal) is signalled alone.
    """
    with contextlib.suppress(ProcessLookupError):
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            os.kill(pid, number)


def end(process: subprocess.Popen[bytes], *, gently: int = signal.SIGTERM, patience_s: float = 12) -> None:
    """Ask the leader to stop; what is left of its group after `patience_s` is killed."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(gently)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # the group lives on as long as any member does
    process.wait()


def end_stranger(name: str, pid: int, proof: str, *, patience_s: float = 12) -> bool:
    """End a process that an earlier launcher left behind, if it is provably that one; says whether it was."""
    if not proof or identity(pid) != proof:
        return False
    say(f"ending {name} (pid {pid}), left over from an earlier run")
    signal_group(pid, signal.SIGINT if name == "postgres" else signal.SIGTERM)
    limit = time.monotonic() + patience_s
    while identity(pid) == proof and time.monotonic() < limit:
        time.sleep(0.05)
    signal_group(pid, signal.SIGKILL)
    while identity(pid) == proof:
        time.sleep(0.05)
    return True


def how_it_ended(code: int) -> str:
    """`returncode` of subprocess in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log file, indented, "" when there is none."""
    try:
        lines = log.read_bytes()[-8000:].decode(errors="replace").splitlines()[-count:]
    except OSError:
        return ""
    return "\n".join("    " + line for line in lines)
