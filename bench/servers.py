"""The product's own processes for a benchmark: web, workers, sandbox, on free ports, stopped afterwards."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from devtools import processes, stack

ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def process(*argv: str, ready: str = "", niceness: int = 0, **env: str) -> Iterator[subprocess.Popen]:
    """A child with its own process group; `ready` is an address that must answer 200 first."""
    log = (ROOT / "var" / "bench.log").open("ab")
    child = subprocess.Popen(
        [sys.executable, *argv],
        cwd=ROOT,
        env={**os.environ, **env},
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    if niceness:
        processes.yield_to_others(child.pid, niceness)
    try:
        deadline = time.monotonic() + 30
        while ready:
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{argv} did not start; see var/bench.log")
            with contextlib.suppress(OSError):
                if urllib.request.urlopen(ready, timeout=2).status == 200:
                    break
            time.sleep(0.05)
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
        log.close()


def _collect_static() -> None:
    """Pages name their files by what is in them: those of an older checkout, or none, are errors."""
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--noinput", "-v", "0"], cwd=ROOT, check=True
    )


@contextlib.contextmanager
def web(port: int, workers: int = 2, **env: str) -> Iterator[subprocess.Popen]:
    _collect_static()
    argv = ["-m", "gunicorn", "scrm.wsgi", "-b", f"127.0.0.1:{port}", "-k", "gthread", "-w", str(workers)]
    argv += [
        "--threads",
        "8",
        "--no-control-socket",
        "--worker-tmp-dir",
        "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp",
    ]
    with process(*argv, ready=f"http://127.0.0.1:{port}/healthz", **env) as child:
        yield child


@contextlib.contextmanager
def worker(queues: str, concurrency: int = 1, **env: str) -> Iterator[subprocess.Popen]:
    niceness = stack.NICENESS["worker-fast" if queues == "fast" else "worker"]
    argv = ["-m", "celery", "-A", "scrm", "worker", "-Q", queues, "-c", str(concurrency), "-l", "warning"]
    argv += ["--without-mingle", "--without-gossip", "--without-heartbeat"]
    with process(*argv, niceness=niceness, **env) as child:
        yield child


@contextlib.contextmanager
def beat(**env: str) -> Iterator[subprocess.Popen]:
    schedule = ROOT / "var" / "bench-beat"
    with process("-m", "celery", "-A", "scrm", "beat", "-l", "warning", "-s", str(schedule), **env) as child:
        yield child


@contextlib.contextmanager
def sandbox(port: int, data: Path) -> Iterator[subprocess.Popen]:
    argv = ["manage.py", "wecom_sandbox", "--port", str(port), "--data", str(data)]
    with process(*argv, ready=f"http://127.0.0.1:{port}/healthz") as child:
        yield child


def memory_mb(pid: int) -> list[float]:
    """Resident memory of a process's children (gunicorn's workers), each in MB."""
    sizes = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == pid:
                status = (path.parent / "status").read_text()
                sizes.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
    return sizes


def cpu_s(pid: int) -> float:
    """Processor seconds of a process and its children, those that have ended too."""
    total, tick = 0.0, os.sysconf("SC_CLK_TCK")
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            fields = path.read_text().rsplit(")", 1)[1].split()
            if int(path.parent.name) == pid or int(fields[1]) == pid:
                own = fields[11:15] if int(path.parent.name) == pid else fields[11:13]
                total += sum(map(int, own)) / tick
    return total
