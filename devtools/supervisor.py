"""Runs the demo's steps and processes until somebody stops it or a process ends by itself."""

import signal
import subprocess
import sys
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path
from types import FrameType

from devtools import processes
from devtools.places import ROOT, SetupError
from devtools.runfile import RunFile


class Stopped(Exception):
    """Ctrl-C, SIGTERM or a closed terminal: not a fault."""


class Supervisor:
    """Starts commands with one environment, notes them in the run file, ends them all.

    Args:
        env: the whole environment of every command.
        logs: folder of one log file per process.
    """

    def __init__(self, run: RunFile, env: dict[str, str], logs: Path) -> None:
        self.run, self.env, self.logs = run, env, logs
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.steps: list[subprocess.Popen[bytes]] = []
        self._stopping = False

    def listen(self) -> None:
        """From here on Ctrl-C and the like raise Stopped at the next wait instead of ending this process."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop_soon)

    def start(self, name: str, argv: list[str], niceness: int = 0) -> None:
        """Start a process that is to run until the end."""
        self._check_stop()
        log = self.logs / f"{name}.log"
        self.children[name] = processes.start(argv, log=log, env=self.env, cwd=ROOT)
        if niceness:
            processes.yield_to_others(self.children[name].pid, niceness)
        self.run.note_child(name, self.children[name].pid)

    def adopt(self, name: str, process: subprocess.Popen[bytes] | None) -> None:
        """Watch a process that somebody else started and ends (Postgres, Valkey)."""
        if process:
            self.children[name] = process

    def begin(self, argv: list[str], *, log: str | None = None) -> subprocess.Popen[bytes]:
        """Start a command that ends by itself; `finish` waits for it. Without `log` it has the terminal."""
        self._check_stop()
        step = processes.start(argv, log=self.logs / f"{log}.log" if log else None, env=self.env, cwd=ROOT)
        self.steps.append(step)
        return step

    def finish(self, step: subprocess.Popen[bytes], what: str, *, log: str | None = None) -> None:
        """Wait for a command of `begin`.

        Raises:
            SetupError: it failed, or a process ended meanwhile.
            Stopped: somebody stopped the launcher.
        """
        while step.poll() is None:
            self.look()
            time.sleep(0.02)
        self.steps.remove(step)
        if step.returncode:
            end = processes.last_lines(self.logs / f"{log}.log") if log else ""
            how = processes.how_it_ended(step.returncode)
            raise SetupError(
                f"{what} failed ({how})" + (f"; the end of its log:\n{end}" if end else "; see above")
            )

    def step(self, argv: list[str], what: str, *, log: str | None = None) -> None:
        """`begin` and `finish`."""
        self.finish(self.begin(argv, log=log), what, log=log)

    def look(self) -> None:
        """Raise Stopped when asked to stop, SetupError when a process has ended by itself."""
        self._check_stop()
        for name, process in self.children.items():
            if process.poll() is not None:
                raise SetupError(self._obituary(name, process.returncode))

    def wait_for(self, url: str, *, seconds: float = 90) -> None:
        """Until the address answers 200; `look`s all the while."""
        limit = time.monotonic() + seconds
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({})
        )  # a proxy of the environment is not asked
        last = "no answer"
        while time.monotonic() < limit:
            self.look()
            try:
                with opener.open(url, timeout=3) as answer:
                    if answer.status == 200:
                        return
            except (OSError, HTTPException) as error:
                last = str(error)
            time.sleep(0.05)
        raise SetupError(f"{url} does not answer after {seconds:.0f} s: {last}; logs are in {self.logs}")

    def watch(self) -> None:
        """Wait for the end; leaves by Stopped or SetupError only."""
        while True:
            self.look()
            time.sleep(0.2)

    def end(self, *groups: list[str]) -> None:
        """End steps and started processes; every process of a group before any of the next group."""
        for step in self.steps:
            processes.end(step, patience_s=3)
        for names in groups:
            there = [self.children[name] for name in names if name in self.children]
            for process in there:
                if process.poll() is None:
                    process.terminate()
            for process in there:
                processes.end(process)

    def _obituary(self, name: str, code: int) -> str:
        end = processes.last_lines(self.logs / f"{name}.log")
        line = f"{name} ended by itself ({processes.how_it_ended(code)}); everything else is stopped"
        return f"{line}; the end of {self.logs / name}.log:\n{end}" if code > 0 and end else line

    def _check_stop(self) -> None:
        if self._stopping:
            raise Stopped

    def _stop_soon(self, number: int, frame: FrameType | None) -> None:
        if not self._stopping and number == signal.SIGINT and sys.stdout.isatty():
            print(flush=True)  # the terminal has just written ^C
        self._stopping = True
